//! The file header.

use crate::local::LocalNets;
use crate::packet::LinkType;
use crate::time::UnixNanos;

/// What a segment says of itself before its first block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Identifies this segment for ever.
    pub segment: [u8; 16],
    /// Identifies the run of the recorder; flow numbers count within it.
    pub recorder: [u8; 16],
    /// Place of this segment in the run, from 0.
    pub sequence: u64,
    /// Wall clock at the start (for a capture file: its first packet).
    pub start: UnixNanos,
    /// Monotonic clock at the start, in nanoseconds; 0 where there is none.
    pub monotonic_start_ns: u64,
    /// Interval of the usage rows in nanoseconds.
    pub interval_ns: i64,
    /// Link type of the capture.
    pub link_type: LinkType,
    /// Interface name, or the capture file's name. At most 255 bytes.
    pub interface: String,
    /// The local networks by which directions were settled.
    pub local: LocalNets,
}

impl SegmentHeader {
    /// The file name of the segment without its suffix: start, recorder and sequence, so that names sort by time.
    pub fn file_stem(&self) -> String {
        String::new()
    }
}
