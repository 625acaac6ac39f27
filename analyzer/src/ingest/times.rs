//! What segments say of time while they are read: when each recorded, and what it knows of others.

use super::run::{Read, Taker};
use crate::attribution::Attributor;
use crate::rollup::Rollup;
use crate::timeline::{Gone, Recorded, Said, Timeline};
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Observer, Usage};
use imon_common::packet::Interface;
use imon_common::segment::{SegmentHeader, SegmentReport};
use imon_common::time::UnixNanos;
use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;

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

/// An attributor that also hears when was recorded: for books that are kept in memory.
#[derive(Debug)]
pub struct Timed {
    attributor: Attributor<Rollup>,
    times: Times,
    recorded: Vec<Recorded>,
    gone: Vec<Gone>,
}

impl Timed {
    /// Hands everything on to `attributor`.
    pub fn new(attributor: Attributor<Rollup>) -> Self {
        Self { attributor, times: Times::default(), recorded: Vec::new(), gone: Vec::new() }
    }

    /// The sums, and when was recorded.
    pub fn finish(self) -> (Rollup, Timeline) {
        (self.attributor.finish(), Timeline::of(&self.recorded, &self.gone))
    }
}

impl Taker for Timed {
    fn file(&mut self, source: usize, path: &Path, len_bytes: u64) {
        Taker::file(&mut self.attributor, source, path, len_bytes);
    }

    fn begin(&mut self, source: usize, header: &SegmentHeader) {
        Taker::begin(&mut self.attributor, source, header);
    }

    fn turn(&mut self, source: usize, ts: UnixNanos) {
        self.times.turn(source);
        Taker::turn(&mut self.attributor, source, ts);
    }

    fn end(&mut self, source: usize, read: &Read) {
        if let Read::Segment(header, report) = read {
            self.attributor.ledger.note_damage(report);
            let (recorded, gone) = self.times.end(source, header, report);
            self.recorded.extend(recorded);
            self.gone.extend(gone);
        }
        Taker::end(&mut self.attributor, source, read);
    }

    fn end_run(&mut self, run: &[u8; 16]) {
        Taker::end_run(&mut self.attributor, run);
    }
}

impl Observer for Timed {
    type Error = Infallible;

    fn interface(&mut self, number: u32, interface: &Interface) -> Result<(), Infallible> {
        self.attributor.interface(number, interface)
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.attributor.name(flow, seen)
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.attributor.usage(flow, interval, usage)
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        self.times.counts(ts, counts);
        self.attributor.counts(ts, counts)
    }
}
