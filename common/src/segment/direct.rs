//! Observations as a segment would give them back, without its bytes between: the way of a capture
//! that is not kept. What [`super::SegmentWriter`] cuts and rounds is cut and rounded here, and
//! records come in the order of blocks: names, usage, counts. So whoever takes them hears the same
//! as from a segment of the same packets, but for where a long interval is cut.

use super::dictionary::{MAX_INTERFACE_NAME, MAX_INTERFACES, MAX_VLAN, interface_of_nothing, micros};
use super::writer::{MAX_ADDRESSES, MAX_CHAIN, bounded, bounded_count};
use super::{SegmentHeader, SegmentTotals};
use crate::flow::Flow;
use crate::names::NameSeen;
use crate::observe::{Count, Observer, Usage};
use crate::packet::{Interface, Spot};
use crate::time::UnixNanos;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Most records of a block: a scan of a second costs no more memory than this, some 700 KiB.
const MOST_RECORDS: usize = 4_096;

/// Records of one interval.
#[derive(Debug, Clone, Copy)]
struct Block {
    interval: UnixNanos,
    /// Where its records end in the lists of [`Blocks`].
    ends: Ends,
}

/// How many records there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ends {
    interfaces: usize,
    names: usize,
    usage: usize,
    counts: usize,
}

/// Whole blocks, in order, and records of one that is not whole.
#[derive(Debug, Default)]
pub struct Blocks {
    blocks: Vec<Block>,
    /// The first block that was not given.
    next: usize,
    /// What was given.
    given: Ends,
    interfaces: Vec<(u32, Interface)>,
    names: Vec<(Flow, NameSeen)>,
    usage: Vec<(Flow, Usage)>,
    counts: Vec<(UnixNanos, Count)>,
}

impl Blocks {
    /// The interval of the next block; `None` if all were given.
    pub fn next_time(&self) -> Option<UnixNanos> {
        self.blocks.get(self.next).map(|block| block.interval)
    }

    /// Records of all kinds that wait, given ones included.
    pub fn len(&self) -> usize {
        self.names.len() + self.usage.len() + self.counts.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands the next block to `observer`; nothing if there is none.
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn give<O: Observer>(&mut self, observer: &mut O) -> Result<(), O::Error> {
        let Some(Block { interval, ends }) = self.blocks.get(self.next).copied() else { return Ok(()) };
        self.next += 1;
        let given = std::mem::replace(&mut self.given, ends);
        for (number, interface) in self.interfaces.get(given.interfaces..ends.interfaces).unwrap_or_default() {
            observer.interface(*number, interface)?;
        }
        for (flow, seen) in self.names.get(given.names..ends.names).unwrap_or_default() {
            observer.name(flow, seen)?;
        }
        for (flow, usage) in self.usage.get(given.usage..ends.usage).unwrap_or_default() {
            observer.usage(flow, interval, *usage)?;
        }
        for (ts, count) in self.counts.get(given.counts..ends.counts).unwrap_or_default() {
            observer.counts(*ts, std::slice::from_ref(count))?;
        }
        Ok(())
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.blocks.clear();
        self.interfaces.clear();
        self.names.clear();
        self.usage.clear();
        self.counts.clear();
        (self.next, self.given) = (0, Ends::default());
    }

    fn ends(&self) -> Ends {
        Ends {
            interfaces: self.interfaces.len(),
            names: self.names.len(),
            usage: self.usage.len(),
            counts: self.counts.len(),
        }
    }
}

/// Records that are gathered before they are handed over, where nothing else asks for it: handing
/// over costs as much as some records, and these still lie in the processor's cache.
const GATHERED: usize = 512;

/// Takes observations and makes [`Blocks`] of them.
#[derive(Debug)]
pub struct Direct {
    interval_ns: i64,
    blocks: Blocks,
    /// Interval of what is pending.
    interval: Option<UnixNanos>,
    /// Where the records of whole blocks end.
    whole: Ends,
    known_interfaces: BTreeMap<u32, Interface>,
    told_interfaces: BTreeSet<Spot>,
    /// The one that was told, or looked for, last.
    last_interface: Option<Spot>,
    totals: SegmentTotals,
}

impl Direct {
    /// In place of the segment that has this header.
    pub fn new(header: &SegmentHeader) -> Self {
        Self {
            interval_ns: header.interval_ns,
            blocks: Blocks::default(),
            interval: None,
            whole: Ends::default(),
            known_interfaces: BTreeMap::new(),
            told_interfaces: BTreeSet::new(),
            last_interface: None,
            totals: SegmentTotals::default(),
        }
    }

    /// What was taken since the last block becomes one; nothing if there is nothing.
    pub fn commit(&mut self) {
        let ends = self.blocks.ends();
        let Some(interval) = self.interval.take() else { return };
        if ends == self.whole {
            return;
        }
        self.whole = ends;
        self.blocks.blocks.push(Block { interval, ends });
    }

    /// Whether whole blocks hold so many records that they are worth taking.
    pub fn is_worth_taking(&self) -> bool {
        self.whole() >= GATHERED
    }

    /// Records in whole blocks.
    pub fn whole(&self) -> usize {
        self.whole.names + self.whole.usage + self.whole.counts
    }

    /// What was taken so far.
    pub fn totals(&self) -> SegmentTotals {
        self.totals
    }

    /// Hands over the whole blocks, and takes `empty` for the next ones. What is no whole block
    /// stays.
    pub fn take(&mut self, empty: Blocks) -> Blocks {
        let mut rest = empty;
        rest.clear();
        let whole = std::mem::take(&mut self.whole);
        rest.interfaces.extend(self.blocks.interfaces.drain(whole.interfaces..));
        rest.names.extend(self.blocks.names.drain(whole.names..));
        rest.usage.extend(self.blocks.usage.drain(whole.usage..));
        rest.counts.extend(self.blocks.counts.drain(whole.counts..));
        std::mem::replace(&mut self.blocks, rest)
    }

    /// Makes room for a record of the interval that holds `ts`; gives the interval's start.
    #[inline]
    fn enter(&mut self, ts: UnixNanos) -> UnixNanos {
        let interval = ts.floor_to(self.interval_ns);
        let is_full = || self.blocks.len() - self.whole() >= MOST_RECORDS;
        if self.interval.is_some_and(|current| current != interval || is_full()) {
            self.commit();
        }
        self.interval = Some(interval);
        self.totals.records += 1;
        interval
    }

    /// The flow as a segment defines it; its interface is told before it.
    #[inline]
    fn flow(&mut self, flow: &Flow) -> Flow {
        let spot = Spot { interface: flow.interface, vlan: flow.vlan.map(|id| id.min(MAX_VLAN)) };
        let named = spot != Spot::default() || !self.known_interfaces.is_empty();
        if named && self.last_interface != Some(spot) {
            self.tell_interface(spot);
        }
        Flow { start: whole_micros(flow.start), vlan: spot.vlan, ..flow.clone() }
    }

    #[cold]
    fn tell_interface(&mut self, spot: Spot) {
        self.last_interface = Some(spot);
        if self.told_interfaces.len() >= MAX_INTERFACES || !self.told_interfaces.insert(spot) {
            return;
        }
        let known = self.known_interfaces.get(&spot.interface);
        let mut told = known.cloned().unwrap_or_else(interface_of_nothing);
        if told.name.len() > MAX_INTERFACE_NAME {
            let bytes = told.name.as_bytes().get(..MAX_INTERFACE_NAME).unwrap_or_default();
            told.name = String::from_utf8_lossy(bytes).into_owned();
        }
        self.blocks.interfaces.push((spot.interface, told));
    }
}

/// Times inside an interval are kept in whole microseconds.
fn whole_micros(ts: UnixNanos) -> UnixNanos {
    UnixNanos(micros(ts).saturating_mul(1_000))
}

impl Observer for Direct {
    /// Never given: as that of the segment writer, so that one way serves both.
    type Error = io::Error;

    fn interface(&mut self, number: u32, interface: &Interface) -> io::Result<()> {
        if self.known_interfaces.len() < MAX_INTERFACES {
            self.known_interfaces.insert(number, interface.clone());
            // Flows from before it was known had no interface.
            self.last_interface = None;
        }
        Ok(())
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> io::Result<()> {
        let parts = seen.addresses.len().div_ceil(MAX_ADDRESSES).max(1);
        for part in 0..parts {
            self.enter(seen.ts);
            let flow = self.flow(flow);
            let mut told = NameSeen { ts: whole_micros(seen.ts), ..seen.clone() };
            if seen.kind.is_in_flow() {
                (told.chain, told.addresses) = (Vec::new(), Vec::new());
            }
            told.chain.truncate(MAX_CHAIN);
            if parts > 1 {
                told.addresses = seen.addresses.chunks(MAX_ADDRESSES).nth(part).unwrap_or_default().to_vec();
            }
            self.blocks.names.push((flow, told));
        }
        Ok(())
    }

    #[inline]
    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> io::Result<()> {
        self.enter(interval);
        let (flow, usage) = (self.flow(flow), bounded(usage));
        self.totals.packets += usage.packets();
        self.totals.bytes += usage.bytes();
        self.blocks.usage.push((flow, usage));
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> io::Result<()> {
        for count in counts {
            self.enter(ts);
            self.blocks.counts.push((ts, bounded_count(count)));
        }
        Ok(())
    }
}
