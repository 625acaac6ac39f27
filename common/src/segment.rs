//! Segment files: the facts, kept. docs/SEGMENT-FORMAT.md is the contract.

mod block;
mod header;
mod reader;
mod writer;

pub use header::SegmentHeader;
pub use reader::SegmentEnd;
pub use writer::{SegmentTotals, SegmentWriter};
