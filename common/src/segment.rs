//! Segment files: the facts, kept. docs/SEGMENT-FORMAT.md is the contract.
//!
//! A file is a header and blocks. Blocks form groups: the first block of a group starts its
//! dictionaries anew (of addresses, names and flows), the others add to them, so that a block can
//! be written every second and still costs little, and a group can be read without anything before
//! it. Nothing here opens a path.

mod block;
mod decoder;
mod dictionary;
mod direct;
mod header;
mod interned;
mod lists;
mod reader;
mod tail;
pub mod varint;
mod writer;

pub use block::BlockError;
pub use decoder::time_of_block;
pub use direct::{Blocks, Direct};
pub use header::{HeaderError, SegmentHeader, SegmentMark};
pub use reader::{Damage, ReadError, SegmentEnd, SegmentReader, SegmentReport};
pub use tail::SegmentTail;
pub use writer::{SegmentClose, SegmentTotals, SegmentWriter};

/// Largest amount in one record: more than any link moves in an interval (2^48 bytes in a second
/// are 2 Pbit/s), and small enough that sums over any number of rows that fits a disk do not
/// overflow 64 bits unnoticed. Writers keep to it, and readers take more for damage.
const MAX_AMOUNT: u64 = 1 << 48;

/// Suffix of a segment that is being written, or whose recorder was killed.
pub const PART_SUFFIX: &str = ".part";

/// Suffix of a finished segment.
pub const SEALED_SUFFIX: &str = ".seg";

/// What a recorder keeps in its spool beside segments; a file that is replaced has `.new` behind
/// its name for a moment.
pub const SPOOL_FILES: [&str; 5] = ["collector", "recorder.id", "recorder.lock", "start.json", "status.json"];

#[cfg(test)]
mod tests;
