//! imon-analyze: which sites used my bandwidth, when, and how sure are we?
fn main() {}
