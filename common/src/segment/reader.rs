//! Reading a segment.

/// Why a segment gave no further records. Offsets are bytes from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentEnd {
    /// The end block is there and its totals agree.
    Sealed,
    /// No end block: still being written, or the recorder was killed.
    Open {
        /// End of the last good block.
        valid_to: u64,
    },
}
