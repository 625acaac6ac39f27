//! Which sites used my bandwidth, when, and how sure are we?

#[allow(dead_code)] // not yet used by a command
mod input;

fn main() {}
