//! Attribution with an ear on what it is told: everything goes to the attributor, and an ear hears
//! what it wants of it.

use super::run::{Read, Taker};
use crate::attribution::{Attributor, Ledger};
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Observer, Usage};
use imon_common::packet::Interface;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use std::convert::Infallible;
use std::path::Path;

/// Hears, before the attributor does, what it is told; `ledger` is the attributor's.
pub trait Ear<L> {
    /// What follows is of `source`.
    fn turn(&mut self, source: usize) {
        _ = source;
    }

    /// A name was seen.
    fn name(&mut self, ledger: &mut L, flow: &Flow, seen: &NameSeen) {
        _ = (ledger, flow, seen);
    }

    /// What a flow moved.
    fn usage(&mut self, flow: &Flow, usage: Usage) {
        _ = (flow, usage);
    }

    /// Counts around `ts`.
    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) {
        _ = (ts, counts);
    }

    /// A source was read.
    fn end(&mut self, ledger: &mut L, source: usize, read: &Read) {
        _ = (ledger, source, read);
    }
}

/// Two listen.
impl<L, A: Ear<L>, B: Ear<L>> Ear<L> for (A, B) {
    fn turn(&mut self, source: usize) {
        self.0.turn(source);
        self.1.turn(source);
    }

    fn name(&mut self, ledger: &mut L, flow: &Flow, seen: &NameSeen) {
        self.0.name(ledger, flow, seen);
        self.1.name(ledger, flow, seen);
    }

    fn usage(&mut self, flow: &Flow, usage: Usage) {
        self.0.usage(flow, usage);
        self.1.usage(flow, usage);
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) {
        self.0.counts(ts, counts);
        self.1.counts(ts, counts);
    }

    fn end(&mut self, ledger: &mut L, source: usize, read: &Read) {
        self.0.end(ledger, source, read);
        self.1.end(ledger, source, read);
    }
}

/// An attributor, and who listens.
#[derive(Debug)]
pub struct Overheard<L, E> {
    /// Gets everything.
    pub attributor: Attributor<L>,
    /// Listens.
    pub ear: E,
}

impl<L: Ledger, E: Ear<L>> Taker for Overheard<L, E> {
    fn file(&mut self, source: usize, path: &Path, len_bytes: u64) {
        Taker::file(&mut self.attributor, source, path, len_bytes);
    }

    fn begin(&mut self, source: usize, header: &SegmentHeader) {
        Taker::begin(&mut self.attributor, source, header);
    }

    fn turn(&mut self, source: usize, ts: UnixNanos) {
        self.ear.turn(source);
        Taker::turn(&mut self.attributor, source, ts);
    }

    fn end(&mut self, source: usize, read: &Read) {
        self.ear.end(&mut self.attributor.ledger, source, read);
        Taker::end(&mut self.attributor, source, read);
    }

    fn end_run(&mut self, run: &[u8; 16]) {
        Taker::end_run(&mut self.attributor, run);
    }
}

impl<L: Ledger, E: Ear<L>> Observer for Overheard<L, E> {
    type Error = Infallible;

    fn interface(&mut self, number: u32, interface: &Interface) -> Result<(), Infallible> {
        self.attributor.interface(number, interface)
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.ear.name(&mut self.attributor.ledger, flow, seen);
        self.attributor.name(flow, seen)
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.ear.usage(flow, usage);
        self.attributor.usage(flow, interval, usage)
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        self.ear.counts(ts, counts);
        self.attributor.counts(ts, counts)
    }
}
