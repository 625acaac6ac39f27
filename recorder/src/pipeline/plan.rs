//! What all segments of a run have in common, and when they begin.

use crate::rotate::{Retention, Rotation};
use imon_common::local::LocalNets;
use imon_common::packet::LinkType;
use imon_common::time::UnixNanos;

/// What all segments of a run have in common.
#[derive(Debug)]
pub struct Plan {
    /// Interface, or name of the capture file.
    pub interface: String,
    /// Link type for the header.
    pub link_type: LinkType,
    /// Which addresses are ours.
    pub local: LocalNets,
    /// Length of an interval in nanoseconds.
    pub interval_ns: i64,
    /// When to seal.
    pub rotation: Rotation,
    /// What to keep; `None` keeps everything.
    pub retention: Option<Retention>,
    /// Bytes of records that wait in memory while the disk is full, before only sums are kept; with
    /// 0 a full disk ends the recording.
    pub waiting_bytes: usize,
    /// Identifies the time for which the machine has been running; zeros where that has nothing to
    /// do with the packets.
    pub boot: [u8; 16],
}

/// An instant on the two clocks that a segment has: UTC for its records, another one for its age.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// UTC.
    pub wall: UnixNanos,
    /// A clock in nanoseconds that is not stepped; of a capture file the packets' own. Goes into
    /// the header.
    pub steady_ns: i64,
}
