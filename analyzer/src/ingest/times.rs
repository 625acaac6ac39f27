//! What segments say of time while they are read: when each recorded, and what it knows of others.

use super::overheard::Ear;
use super::run::Read;
use crate::rollup::Rollup;
use crate::timeline::{Gone, Recorded, Said, Timeline};
use imon_common::observe::Count;
use imon_common::segment::{SegmentHeader, SegmentReport};
use imon_common::time::UnixNanos;
use std::collections::HashMap;

/// Gathers it by source.
#[derive(Debug, Default)]
pub(super) struct Times {
    current: usize,
    said: HashMap<usize, Said>,
}

impl Times {
    /// What follows is of `source`.
    pub(super) fn turn(&mut self, source: usize) {
        self.current = source;
    }

    /// Takes in counts of the present source.
    pub(super) fn counts(&mut self, ts: UnixNanos, counts: &[Count]) {
        if counts.iter().any(Said::is_of) {
            self.said.entry(self.current).or_default().counts(ts, counts);
        }
    }

    /// What a segment that was read says; nothing where it was not recorded live.
    pub(super) fn end(
        &mut self,
        source: usize,
        header: &SegmentHeader,
        report: &SegmentReport,
    ) -> (Option<Recorded>, Vec<Gone>) {
        let said = self.said.remove(&source).unwrap_or_default();
        match Recorded::of(header, report, said.run_before) {
            Some(recorded) => (Some(recorded), said.gone(header.recorder)),
            None => (None, Vec::new()),
        }
    }
}

/// Hears when was recorded: for books that are kept in memory.
#[derive(Debug, Default)]
pub struct TimeKeeper {
    times: Times,
    recorded: Vec<Recorded>,
    gone: Vec<Gone>,
}

impl TimeKeeper {
    /// When was recorded.
    pub fn finish(self) -> Timeline {
        Timeline::of(&self.recorded, &self.gone)
    }
}

impl Ear<Rollup> for TimeKeeper {
    fn turn(&mut self, source: usize) {
        self.times.turn(source);
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) {
        self.times.counts(ts, counts);
    }

    fn end(&mut self, ledger: &mut Rollup, source: usize, read: &Read) {
        if let Read::Segment(header, report) = read {
            ledger.note_damage(report);
            let (recorded, gone) = self.times.end(source, header, report);
            self.recorded.extend(recorded);
            self.gone.extend(gone);
        }
    }
}
