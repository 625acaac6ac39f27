//! When a segment is sealed, and what is known of sealed ones. Decisions only; `spool` and
//! `pipeline` act on them.

use imon_common::segment::SegmentMark;
use std::time::Duration;

/// When the open segment is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// From this length on, in bytes.
    pub size_bytes: u64,
    /// From this age on.
    pub every: Duration,
}

impl Rotation {
    /// Whether a segment of this length and age is to be sealed now.
    pub fn is_due(self, len_bytes: u64, age: Duration) -> bool {
        len_bytes >= self.size_bytes || age >= self.every
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Bytes of all segments together, the open one with what it may grow to included.
    pub size_bytes: u64,
    /// Age of a segment's last change; `retention` says how it is judged.
    pub age: Duration,
}

/// A sealed segment, as the disk budget sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// File name; names sort by the time of the start.
    pub name: String,
    /// What its header says; `None` for what is no segment.
    pub mark: Option<SegmentMark>,
    /// Length in bytes.
    pub len_bytes: u64,
    /// Last change, in nanoseconds of UTC.
    pub changed_ns: i64,
}

impl Sealed {
    /// Place among the segments of this recorder.
    pub fn sequence(&self) -> Option<u64> {
        self.mark.map(|mark| mark.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_sealed_by_size_or_by_age() {
        let rotation = Rotation { size_bytes: 100, every: Duration::from_secs(10) };
        assert!(!rotation.is_due(99, Duration::from_millis(9_999)));
        assert!(rotation.is_due(100, Duration::ZERO));
        assert!(rotation.is_due(0, Duration::from_secs(10)));
    }
}
