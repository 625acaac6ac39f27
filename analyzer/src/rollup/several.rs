//! Rollups of several sources at a time.

use super::Rollup;
use crate::attribution::{Called, Carried, Doubled, Habit, Learned, Led, Ledger, PagePart, Share, Verdict};
use imon_common::flow::Flow;
use imon_common::observe::Count;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use std::collections::BTreeMap;

/// Rollups of several sources, by number; those that are written already are gone.
#[derive(Debug, Default)]
pub struct Rollups(pub BTreeMap<usize, Rollup>);

impl Ledger for Rollups {
    fn source(&mut self, source: usize, header: &SegmentHeader) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.source(source, header);
        }
    }

    fn interface(&mut self, source: usize, number: u32, interface: &imon_common::packet::Interface) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.interface(source, number, interface);
        }
    }

    fn interface_of(&mut self, source: usize, flow: &Flow) -> u32 {
        self.0.get_mut(&source).map_or(0, |rollup| rollup.interface_of(source, flow))
    }

    fn book(&mut self, flow: &Flow, shares: &[Share], verdict: &Verdict) {
        // Shares of one source stand together, in order.
        for part in shares.chunk_by(|a, b| a.source() == b.source()) {
            if let Some(rollup) = part.first().and_then(|share| self.0.get_mut(&share.source())) {
                rollup.book(flow, part, verdict);
            }
        }
    }

    fn doubled(&mut self, flow: &Flow, doubled: &[Doubled], verdict: &Verdict) {
        for doubled in doubled {
            if let Some(rollup) = self.0.get_mut(&doubled.source) {
                rollup.doubled(flow, std::slice::from_ref(doubled), verdict);
            }
        }
    }

    fn pages(&mut self, flow: &Flow, verdict: &Verdict, parts: &[PagePart]) {
        for part in parts {
            if let Some(rollup) = self.0.get_mut(&part.share.source()) {
                rollup.pages(flow, verdict, std::slice::from_ref(part));
            }
        }
    }

    fn habit(&mut self, source: usize, habit: &Habit) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.habit(source, habit);
        }
    }

    fn counts(&mut self, source: usize, ts: UnixNanos, counts: &[Count]) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.counts(source, ts, counts);
        }
    }

    fn led(&mut self, source: usize, led: &Led) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.led(source, led);
        }
    }

    fn learned(&mut self, source: usize, learned: &Learned) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.learned(source, learned);
        }
    }

    fn called(&mut self, source: usize, called: &Called) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.called(source, called);
        }
    }

    fn carried(&mut self, source: usize, carried: &Carried) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.carried(source, carried);
        }
    }

    fn met(&mut self, source: usize, flow: &Flow) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.met(source, flow);
        }
    }
}
