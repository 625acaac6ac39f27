//! The segment that is being written: takes observations whole as long as there is room for them,
//! else their sums.

use crate::folded::Folded;
use crate::segment_file::SegmentFile;
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Counter, GapReason, Observer, Usage};
use imon_common::packet::Interface;
use imon_common::segment::{SegmentClose, SegmentHeader, SegmentMark, SegmentWriter};
use imon_common::time::UnixNanos;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// An open segment.
#[derive(Debug)]
pub struct OpenSegment {
    writer: SegmentWriter<SegmentFile<Arc<File>>>,
    folded: Option<Folded>,
    shedding: bool,
    /// Time without detail, sums of which are written, that is not stated yet.
    unstated: Option<(UnixNanos, UnixNanos)>,
    interval_ns: i64,
    part: String,
    stem: String,
    mark: SegmentMark,
}

impl OpenSegment {
    /// Writes the header. `part`: the file's name without its suffix.
    ///
    /// # Errors
    /// What the file gives.
    pub fn create(file: SegmentFile<Arc<File>>, header: &SegmentHeader, part: String) -> io::Result<Self> {
        let writer = SegmentWriter::create(file, header)?;
        Ok(Self {
            writer,
            folded: None,
            shedding: false,
            unstated: None,
            interval_ns: header.interval_ns,
            part,
            stem: header.file_stem(),
            mark: header.mark(),
        })
    }

    /// File name without its suffix, until it is sealed.
    pub fn part(&self) -> &str {
        &self.part
    }

    /// What its header says first.
    pub fn mark(&self) -> SegmentMark {
        self.mark
    }

    /// The file, and what waits for room in it.
    pub fn file(&self) -> &SegmentFile<Arc<File>> {
        self.writer.get_ref()
    }

    /// The file, to try again to write what waits.
    pub fn file_mut(&mut self) -> &mut SegmentFile<Arc<File>> {
        self.writer.get_mut()
    }

    /// Bytes of the segment, what waits for room included.
    pub fn len_bytes(&self) -> u64 {
        self.writer.len_bytes()
    }

    /// Says that all that was seen until `to` is in the segment with what was taken.
    pub fn recorded_to(&mut self, to: UnixNanos) {
        if self.folded.is_none() {
            self.writer.recorded_to(to);
        }
    }

    /// Writes what was taken.
    ///
    /// # Errors
    /// What the file gives.
    pub fn commit(&mut self) -> io::Result<()> {
        if self.shedding && !self.writer.get_ref().is_full() {
            self.write_sums()?;
        }
        self.writer.commit()
    }

    /// Packets and IP bytes that were taken, in detail or as sums, those that wait for room or for
    /// the next block included.
    pub fn taken(&self) -> (u64, u64) {
        let (totals, sums) = (self.writer.totals(), self.folded.as_ref().map(Folded::sum).unwrap_or_default());
        (totals.packets + sums.packets(), totals.bytes + sums.bytes())
    }

    /// From now on only sums are taken, to the end of this segment, and written as they come.
    /// [`Self::state_gap`] says so.
    pub fn shed_detail(&mut self) {
        self.shedding = true;
    }

    /// Writes the sums that were taken so far.
    fn write_sums(&mut self) -> io::Result<()> {
        let Some(folded) = self.folded.take() else {
            return Ok(());
        };
        if let (Some(from), Some(until)) = (folded.from(), folded.until()) {
            let (first, last) = self.unstated.unwrap_or((from, until));
            self.unstated = Some((first.min(from), last.max(until)));
        }
        folded.replay_sums(&mut self.writer)
    }

    /// Where only sums are taken on purpose: says for how long there was no detail since the last
    /// time, from when on.
    ///
    /// # Errors
    /// What the file gives.
    pub fn state_gap(&mut self) -> io::Result<Option<(UnixNanos, Count)>> {
        if !self.shedding {
            return Ok(None);
        }
        self.write_sums()?;
        let Some((from, until)) = self.unstated.take() else {
            return Ok(None);
        };
        let bytes = u64::try_from(until.since(from)).unwrap_or(0);
        let gap = Count { counter: Counter::Gap(GapReason::NoSpace), packets: 1, bytes };
        self.writer.counts(from, &[gap])?;
        Ok(Some((from, gap)))
    }

    /// There are sums in place of detail.
    pub fn is_folded(&self) -> bool {
        self.folded.is_some()
    }

    /// The sums that were taken in place of detail. From here on detail is taken again, which is
    /// right in a new segment only: this one has missed names.
    pub fn take_folded(&mut self) -> Option<Folded> {
        self.folded.take()
    }

    /// Writes the end block; gives the file back, and the name that it is to have, without suffix.
    ///
    /// # Errors
    /// What the file gives.
    pub fn finish(self, close: &SegmentClose) -> io::Result<(SegmentFile<Arc<File>>, String)> {
        Ok((self.writer.close(close)?.0, self.stem))
    }

    /// Where sums go, if that is what is taken now.
    fn folded(&mut self) -> Option<&mut Folded> {
        if self.folded.is_none() && (self.shedding || self.writer.get_ref().is_full()) {
            self.folded = Some(Folded::new(self.interval_ns));
        }
        self.folded.as_mut()
    }
}

impl Observer for OpenSegment {
    type Error = io::Error;

    fn interface(&mut self, number: u32, interface: &Interface) -> io::Result<()> {
        self.writer.interface(number, interface)
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> io::Result<()> {
        match self.folded() {
            Some(folded) => folded.name(flow, seen),
            None => self.writer.name(flow, seen),
        }
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> io::Result<()> {
        match self.folded() {
            Some(folded) => folded.usage(flow, interval, usage),
            None => self.writer.usage(flow, interval, usage),
        }
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> io::Result<()> {
        match self.folded() {
            Some(folded) => folded.counts(ts, counts),
            None => self.writer.counts(ts, counts),
        }
    }
}
