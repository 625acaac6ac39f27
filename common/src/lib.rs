//! The part of imon that both programs share: bytes in, plain values out.
//!
//! ```text
//! frame ─► wire::decode ─► observe::Meter ─► Observer (segment::SegmentWriter, or the analyzer's attribution)
//! ```
//!
//! Invariants that every module here keeps:
//! - takes byte slices, `Read` and `Write`; opens no path, has no clock, starts no thread;
//! - never panics on bytes from outside and bounds every loop that such bytes can lengthen;
//! - loses nothing silently: what cannot be decoded is counted, by reason, with its bytes.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

// Files that unit tests and tests of the outside share call it by its name.
#[cfg(test)]
extern crate self as imon_common;

pub mod capture_file;
pub mod cursor;
pub mod flow;
pub mod local;
pub mod names;
pub mod observe;
pub mod packet;
pub mod segment;
pub mod shown;
pub mod time;
pub mod wire;
pub mod work;
