//! What attribution hands over, and to whom.

use super::{Called, Carried, Doubled, Habit, Learned, Led, Overlaps, PagePart, Share, Verdict};
use imon_common::flow::Flow;
use imon_common::observe::{Count, Usage};
use imon_common::packet::Interface;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use std::path::Path;

/// A flow that is over.
#[derive(Debug, Clone, Copy)]
pub struct Over<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// Number of the source in which it began.
    pub origin: usize,
    /// Start of the last interval in which it moved something.
    pub last: UnixNanos,
    /// All that it moved.
    pub total: Usage,
    /// Where that belongs.
    pub verdict: &'a Verdict,
}

/// Keeps which sources and interfaces there are.
pub trait Places {
    /// A source begins.
    fn source(&mut self, source: usize, header: &SegmentHeader);

    /// The source that begins next comes from this file.
    fn file(&mut self, source: usize, path: &Path);

    /// The interface with this number of a source is called so.
    fn interface(&mut self, source: usize, number: u32, interface: &Interface);
}

/// Takes what flows moved and where it belongs, and everything that is not usage.
pub trait Ledger {
    /// Where this ledger keeps which sources and interfaces there are; a ledger that has such a
    /// place need not listen itself.
    fn places(&mut self) -> Option<&mut dyn Places> {
        None
    }

    /// A source that is booked begins.
    fn source(&mut self, source: usize, header: &SegmentHeader) {
        if let Some(places) = self.places() {
            places.source(source, header);
        }
    }

    /// The source that begins next comes from this file.
    fn file(&mut self, source: usize, path: &Path) {
        if let Some(places) = self.places() {
            places.file(source, path);
        }
    }

    /// The interface with this number of a source is called so; told before the flows of it, and
    /// perhaps again.
    fn interface(&mut self, source: usize, number: u32, interface: &Interface) {
        if let Some(places) = self.places() {
            places.interface(source, number, interface);
        }
    }

    /// The ledger's own number for where `flow` is seen in a source. Of a flow that goes on from
    /// one source to another each has its own; it stands in [`Share::interface`].
    fn interface_of(&mut self, source: usize, flow: &Flow) -> u32 {
        _ = (source, flow);
        0
    }

    /// `flow` moved `shares`, and `verdict` says where they belong. Called as often as there is
    /// something to book.
    fn book(&mut self, flow: &Flow, shares: &[Share], verdict: &Verdict) {
        _ = (flow, shares, verdict);
    }

    /// A flow is over.
    fn over(&mut self, over: &Over<'_>) {
        _ = over;
    }

    /// Counts of a source around `ts`.
    fn counts(&mut self, source: usize, ts: UnixNanos, counts: &[Count]) {
        _ = (source, ts, counts);
    }

    /// An answer in a source taught something: kept by the store so that the next source begins
    /// with it.
    fn learned(&mut self, source: usize, learned: &Learned) {
        _ = (source, learned);
    }

    /// An answer in a source showed what leads to an infrastructure name: kept like
    /// [`Ledger::learned`].
    fn led(&mut self, source: usize, led: &Led) {
        _ = (source, led);
    }

    /// A flow that began in an earlier source goes on in this one: kept by the store, so that this
    /// source can be booked again without the earlier one.
    fn carried(&mut self, source: usize, carried: &Carried) {
        _ = (source, carried);
    }

    /// Which pages pulled in what of a flow; only where pages are followed, and after all else that
    /// a source has.
    fn pages(&mut self, flow: &Flow, verdict: &Verdict, parts: &[PagePart]) {
        _ = (flow, verdict, parts);
    }

    /// What following pages learned in a source: kept by the store like [`Ledger::learned`].
    fn habit(&mut self, source: usize, habit: &Habit) {
        _ = (source, habit);
    }

    /// A client was met in a source: kept by the store for telling devices from routers.
    fn met(&mut self, source: usize, flow: &Flow) {
        _ = (source, flow);
    }

    /// Of what `flow` moved and is booked, this is in other sources, too. Whether these overlap is
    /// known when all was read.
    fn doubled(&mut self, flow: &Flow, doubled: &[Doubled], verdict: &Verdict) {
        _ = (flow, doubled, verdict);
    }

    /// Everything was read and booked: what is in two sources that overlap counts once.
    fn leave_out(&mut self, overlaps: &Overlaps) {
        _ = overlaps;
    }

    /// A device in a source told its name.
    fn called(&mut self, source: usize, called: &Called) {
        _ = (source, called);
    }
}
