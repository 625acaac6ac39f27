//! What reading a segment shows: how it ended, and what was damaged.

use crate::segment::{BlockError, SegmentClose};
use crate::time::UnixNanos;

/// Why a segment gave no further records. Offsets are bytes from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentEnd {
    /// The end block is there, nothing was damaged, and the totals agree.
    Sealed {
        /// Records of all kinds.
        records: u64,
    },
    /// No end block: still being written, or the recorder was killed.
    Open {
        /// End of the last good block.
        valid_to: u64,
    },
    /// The last block is incomplete.
    Torn {
        /// End of the last good block.
        valid_to: u64,
        /// Bytes after it.
        left_over: u64,
    },
    /// A complete block fails its check: not the same as the end of data. Reading went on at the
    /// next good group.
    Damaged {
        /// Where the first bad block begins.
        at: u64,
        /// What was wrong with it.
        cause: BlockError,
    },
}

/// A damaged place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// First byte that could not be used.
    pub from: u64,
    /// First byte after it that could be used again; the end of the file if there was none.
    pub to: u64,
    /// What was wrong.
    pub cause: BlockError,
    /// Interval of the last good block before it, if there was one.
    pub before: Option<UnixNanos>,
    /// Interval of the first good block after it, if there was one.
    pub after: Option<UnixNanos>,
}

/// What reading a segment showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentReport {
    /// How it ended.
    pub end: SegmentEnd,
    /// What its end block tells beside the totals; nothing where there is none.
    pub close: SegmentClose,
    /// Good records: those delivered, and those of kinds that only a newer version knows, which are
    /// passed over.
    pub records: u64,
    /// Packets of the usage rows delivered.
    pub packets: u64,
    /// IP bytes of the usage rows delivered.
    pub bytes: u64,
    /// Good blocks, the end block included.
    pub blocks: u64,
    /// Bytes of the file that were read.
    pub len_bytes: u64,
    /// Damaged places, in order, at most 100.
    pub damage: Vec<Damage>,
    /// Bytes of all damaged places.
    pub damaged_bytes: u64,
    /// Interval of the first good block.
    pub first: Option<UnixNanos>,
    /// Interval of the last good block.
    pub last: Option<UnixNanos>,
    /// Until when everything was recorded that was seen: what the end block says, else what the
    /// last good block does, else the end of its interval. `None` where there is neither.
    pub recorded_to: Option<UnixNanos>,
}
