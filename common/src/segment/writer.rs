//! Writing a segment, append only.

use super::SegmentHeader;
use crate::flow::Flow;
use crate::names::NameSeen;
use crate::observe::{Count, Observer, Usage};
use crate::time::UnixNanos;
use std::io::{self, Write};

/// What went into a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentTotals {
    /// Records of all kinds.
    pub records: u64,
    /// Packets of all usage rows.
    pub packets: u64,
    /// IP bytes of all usage rows.
    pub bytes: u64,
}

/// Appends observations to a segment. Nothing is on its way to `out` before [`Self::commit`].
#[derive(Debug)]
pub struct SegmentWriter<W> {
    out: W,
}

impl<W: Write> SegmentWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn create(out: W, header: &SegmentHeader) -> io::Result<Self> {
        _ = header;
        Ok(Self { out })
    }

    /// Writes what was taken since the last commit as one block (several where it is large); nothing if there is nothing.
    ///
    /// # Errors
    /// What `out` gives. After an error the writer must not be used again.
    pub fn commit(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Bytes written so far, header included.
    pub fn len_bytes(&self) -> u64 {
        0
    }

    /// The file behind the writer, for syncing.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// Commits, writes the end block with the totals, and gives the file back, unsynced.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn finish(self) -> io::Result<(W, SegmentTotals)> {
        Ok((self.out, SegmentTotals::default()))
    }
}

impl<W: Write> Observer for SegmentWriter<W> {
    type Error = io::Error;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> io::Result<()> {
        _ = (flow, seen);
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> io::Result<()> {
        _ = (flow, interval, usage);
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> io::Result<()> {
        _ = (ts, counts);
        Ok(())
    }
}
