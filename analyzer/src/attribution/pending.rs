//! Flows that are not over: those whose verdict is open, and those that still move bytes.

mod tuples;

use super::aging::{Few, Held as _};
use super::answers::AnswerBook;
use super::overlap::Doubled;
use super::policy::Policy;
use super::rules::{Choice, Said, Verdict, answered_meanwhile, judge_inside, names_itself};
use super::{HORIZON_NS, Ledger, SILENCE_NS, push};
use crate::books::{Host, bucket_of};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use imon_common::flow::Flow;
use imon_common::names::Name;
use imon_common::observe::Usage;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::work;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use tuples::Tuples;

/// A flow that is no TCP connection is another one after this silence, also over two sources: the
/// flow table's own time-out for answered datagrams.
const DATAGRAM_SILENCE_NS: i64 = 300 * NANOS_PER_SECOND;

/// IANA protocol number of TCP.
const TCP: u8 = 6;

/// What a flow moved in one bucket of one source. There is at least one for each flow that waits:
/// small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Number of the source.
    source: u32,
    /// On which interface, by the ledger's own number ([`Ledger::interface_of`]).
    pub interface: u32,
    /// Start of the first interval in it.
    pub first: UnixNanos,
    /// Start of the last interval in it.
    pub last: UnixNanos,
    /// The amount.
    pub usage: Usage,
}

impl Share {
    /// What was moved in one interval.
    pub fn new(at: At, interval: UnixNanos, usage: Usage) -> Self {
        let source = u32::try_from(at.source).unwrap_or(u32::MAX);
        Self { source, interface: at.interface, first: interval, last: interval, usage }
    }

    /// Number of the source.
    pub fn source(&self) -> usize {
        self.source as usize
    }

    /// Start of the bucket in Unix seconds.
    pub fn bucket_s(&self) -> i64 {
        bucket_of(self.first)
    }
}

/// Where a flow moved something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Number of the source.
    pub source: usize,
    /// On which interface: see [`Share::interface`].
    pub interface: u32,
}

/// A flow that goes on in a source and began in an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Its number in the run of the source in which it goes on.
    pub number: u64,
    /// Number of the source in which it began, or of its stand-in in the store.
    pub origin: usize,
    /// The flow as it began.
    pub flow: Flow,
    /// Where it is booked.
    pub verdict: Verdict,
}

/// Which flow: numbers count within a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FlowId {
    pub(super) run: u32,
    pub(super) number: u64,
}

/// A source other than its first in which a flow moves bytes.
#[derive(Debug, Clone, Copy)]
struct Crossing {
    source: usize,
    number: u64,
}

/// A flow that is not over. There are tens of thousands: what few of them have is in boxes.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) flow: Flow,
    /// The source in which it began.
    origin: usize,
    /// The source in which it moved bytes last.
    latest: usize,
    /// Start of the last interval in which it moved something.
    pub(super) last: UnixNanos,
    /// All that it moved.
    pub(super) total: Usage,
    /// Its client sent something in its first interval. Unlike the total this is also known of what
    /// is read only for what it teaches.
    pub(super) sent: bool,
    /// It carries a name that it is booked on: asked for each second.
    names_itself: bool,
    /// What is not booked yet.
    shares: Few<Share>,
    /// What the device was answered before the flow began, and asked meanwhile.
    pub(super) said: Said,
    /// Where it is booked, once that is fixed.
    pub(super) verdict: Option<Box<Verdict>>,
    /// It began in a source that is booked already: nothing of it is booked here.
    pub(super) elsewhere: bool,
    others: Option<Box<Others>>,
}

/// What a flow has to do with other sources than the one in which it began.
#[derive(Debug, Default)]
struct Others {
    /// Sources that it crossed into before its verdict was fixed.
    crossings: Vec<Crossing>,
    /// Sources in which it moved bytes and that are not booked yet, each once.
    moved_in: Vec<usize>,
    /// What other sources hold as well of what is not booked yet.
    doubled: Vec<Doubled>,
}

impl Pending {
    pub(super) fn new(flow: Flow, origin: usize, last: UnixNanos) -> Self {
        Self {
            names_itself: names_itself(&flow),
            flow,
            origin,
            latest: origin,
            last,
            total: Usage::default(),
            sent: false,
            shares: Few::None,
            said: Said::default(),
            verdict: None,
            elsewhere: false,
            others: None,
        }
    }

    /// Takes a name from inside the flow. Where the verdict is fixed it counts from here on.
    pub(super) fn rename<L: Ledger>(&mut self, flow: &Flow, policy: &Policy, ledger: &mut L) {
        // A flow that was carried in may have been named by what is read again now.
        if self.flow.name == flow.name {
            return;
        }
        // What it moved before has no name, also as a blind spot: when it is booked must not
        // matter.
        self.book(ledger);
        self.flow.name.clone_from(&flow.name);
        self.flow.opened = flow.opened;
        self.names_itself = names_itself(&self.flow);
        if self.verdict.is_some()
            && let Some(verdict) = judge_inside(&self.flow, policy)
        {
            self.verdict = Some(Box::new(verdict));
        }
    }

    /// Settles what was asked for while it began, once it is known how that was answered. What
    /// stands speaks for other flows.
    pub(super) fn hear_replies(&mut self, answers: &mut AnswerBook) {
        let Some(meanwhile) = &mut self.said.meanwhile else { return };
        let asked = std::mem::take(&mut meanwhile.asked);
        meanwhile.answered = meanwhile.answered.take().or_else(|| answered_meanwhile(&self.flow, &asked, answers));
        let names_itself = answers.policy().in_flow && self.names_itself;
        let speaks = !asked.is_empty() && self.sent && !names_itself;
        if let Some(host) = self.said.guessed().filter(|_| speaks) {
            answers.guess(&self.flow, host);
        }
    }

    /// The name that it has by now, where `before` is what its device was answered before it began.
    pub(super) fn named<'a>(&'a self, before: Option<&'a Choice>) -> Option<&'a Name> {
        let settled = self.verdict.as_ref().and_then(|verdict| match &verdict.host {
            Host::Name(name) => Some(name),
            Host::Address(_) | Host::Service(_) => None,
        });
        let inside = || self.flow.name.as_ref().filter(|_| self.names_itself).map(|carried| &carried.name);
        settled.or_else(inside).or_else(|| before.map(|asked| &asked.host))
    }

    /// Number of the source in which it began.
    pub(super) fn origin(&self) -> usize {
        self.origin
    }

    /// Whether `flow`, which goes on with this one, has client and server the other way round.
    pub(super) fn is_turned(&self, flow: &Flow) -> bool {
        (flow.client, flow.client_port) != (self.flow.client, self.flow.client_port)
    }

    /// Adds usage. Where the verdict is fixed, the bucket before is booked when it is over.
    pub(super) fn add<L: Ledger>(&mut self, at: At, interval: UnixNanos, usage: Usage, ledger: &mut L) {
        self.total.add(usage);
        let share = Share::new(at, interval, usage);
        let key = |s: &Share| (s.source, s.interface, s.bucket_s());
        if let Some(last) = self.shares.last_mut().filter(|last| key(last) == key(&share)) {
            last.usage.add(usage);
            (last.first, last.last) = (last.first.min(interval), last.last.max(interval));
            return;
        }
        self.book(ledger);
        self.shares.add(share);
    }

    /// Notes that it moves bytes in `source` now. Tells whether it moved the last ones in another.
    #[inline]
    pub(super) fn enter<L: Ledger>(&mut self, source: usize, number: u64, ledger: &mut L) -> bool {
        if self.latest == source {
            return false;
        }
        self.latest = source;
        self.others.get_or_insert_default().crossings.push(Crossing { source, number });
        self.carry(ledger);
        true
    }

    /// Notes what another source holds as well.
    pub(super) fn double(&mut self, doubled: Doubled) {
        self.others.get_or_insert_default().doubled.push(doubled);
    }

    /// Tells the ledger of crossings, once the verdict is fixed.
    pub(super) fn carry<L: Ledger>(&mut self, ledger: &mut L) {
        let (Some(verdict), Some(others)) = (&self.verdict, &mut self.others) else { return };
        for Crossing { source, number } in others.crossings.drain(..) {
            let (flow, verdict) = (self.flow.clone(), Verdict::clone(verdict));
            ledger.carried(source, &Carried { number, origin: self.origin, flow, verdict });
        }
    }

    /// Books what waits, if the verdict is fixed.
    pub(super) fn book<L: Ledger>(&mut self, ledger: &mut L) {
        if let Some(verdict) = &self.verdict
            && !self.shares.values().is_empty()
        {
            ledger.book(&self.flow, self.shares.values(), verdict);
            // Most flows that are booked move nothing any more.
            self.shares = Few::None;
            if let Some(others) = self.others.as_mut().filter(|others| !others.doubled.is_empty()) {
                ledger.doubled(&self.flow, &others.doubled, verdict);
                others.doubled = Vec::new();
            }
        }
    }
}

/// A 5-tuple without direction.
pub(super) type Tuple = (u8, (IpAddr, u16), (IpAddr, u16));

pub(super) fn tuple(flow: &Flow) -> Tuple {
    let (a, b) = ((flow.client, flow.client_port), (flow.server, flow.server_port));
    if a <= b { (flow.proto, a, b) } else { (flow.proto, b, a) }
}

/// Whether both show a name of their own inside, and not the same one: then the ports were used
/// again. Behind a relay one connection shows the name that it is asked for, and then the one
/// inside.
fn is_other(flow: &Flow, earlier: &Flow) -> bool {
    match (&flow.name, &earlier.name) {
        (Some(name), Some(before)) => name.name != before.name && !before.relayed,
        _ => false,
    }
}

/// Flows by their numbers. In boxes: the map moves what it holds whenever it grows, and a flow is
/// taken out and put back.
type Flows = HashMap<FlowId, Box<Pending>, RandomState>;

/// All flows that are not over.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    flows: Flows,
    /// The latest flow of each 5-tuple.
    tuples: Tuples,
    /// Flows that go on with another one, which stands for them.
    stand_ins: HashMap<FlowId, FlowId, RandomState>,
    /// When verdicts are to be fixed.
    due: BinaryHeap<Reverse<(UnixNanos, FlowId)>>,
    open_runs: HashSet<u32, RandomState>,
    /// Flows that moved bytes in a source that is not booked yet: there may be thousands of
    /// sources, and looking at all flows for each of them would be work by the square.
    of_source: HashMap<usize, HashSet<FlowId, RandomState>, RandomState>,
    /// Sources are booked one by one: else nobody asks which flows moved bytes in one.
    by_source: bool,
}

impl Waiting {
    /// Says that sources will be booked one by one.
    pub(super) fn follow_sources(&mut self) {
        self.by_source = true;
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    #[inline]
    pub(super) fn get(&self, id: FlowId) -> Option<&Pending> {
        self.flows.get(&id).map(Box::as_ref)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut Pending> {
        self.flows.get_mut(&id).map(Box::as_mut)
    }

    /// The flow that stands for this one.
    #[inline]
    pub(super) fn resolve(&self, id: FlowId) -> FlowId {
        if self.stand_ins.is_empty() { id } else { self.stand_ins.get(&id).copied().unwrap_or(id) }
    }

    pub(super) fn open_run(&mut self, run: u32) {
        self.open_runs.insert(run);
    }

    pub(super) fn close_run(&mut self, run: u32) {
        self.open_runs.remove(&run);
    }

    /// Takes in a flow that has just begun.
    pub(super) fn begin(&mut self, id: FlowId, pending: Box<Pending>) {
        if !pending.elsewhere {
            self.tuples.insert(&self.flows, id, &pending.flow);
            // A start that lies after the first bytes is no start.
            let began = pending.flow.start.0.min(pending.last.0.saturating_add(NANOS_PER_SECOND));
            self.due.push(Reverse((UnixNanos(began.saturating_add(HORIZON_NS)), id)));
        }
        if self.by_source {
            self.of_source.entry(pending.origin).or_default().insert(id);
        }
        self.flows.insert(id, pending);
    }

    /// Notes that a flow moves bytes in `source`, in which it did not begin.
    pub(super) fn moves_in(&mut self, id: FlowId, source: usize) {
        if self.by_source
            && let Some(pending) = self.flows.get_mut(&id)
            && self.of_source.entry(source).or_default().insert(id)
        {
            push(&mut pending.others.get_or_insert_default().moved_in, source);
        }
    }

    /// Takes in a flow that began in a source that is not booked here, and goes on in one that
    /// begins at `from`.
    pub(super) fn seed(&mut self, run: u32, from: UnixNanos, carried: Carried) {
        let id = FlowId { run, number: carried.number };
        // It may be seeded already by an earlier source, and have moved on since.
        if self.flows.get(&id).is_some_and(|known| !known.elsewhere) {
            return;
        }
        let alive = from.max(carried.flow.start);
        let mut pending = Box::new(Pending::new(carried.flow, carried.origin, alive));
        pending.verdict = Some(Box::new(carried.verdict));
        self.tuples.insert(&self.flows, id, &pending.flow);
        self.flows.insert(id, pending);
    }

    /// Lets `flow`, whose beginning was not seen, go on with a flow of the same 5-tuple that was
    /// alive within the time-out. Tells whether it does.
    pub(super) fn take_over(&mut self, id: FlowId, flow: &Flow) -> bool {
        let is_tcp = flow.proto == TCP;
        let Some(earlier) = self.tuples.get(&self.flows, flow) else { return false };
        // Captures that were read again up to where this one goes on: their flows are known here by
        // their beginnings, in a run of their own.
        let is_same = || {
            let began = |p: &Pending| p.flow.start == flow.start && p.flow.begin_seen;
            earlier.run != id.run && self.flows.get(&earlier).map(Box::as_ref).is_some_and(began)
        };
        if is_tcp && flow.begin_seen && !is_same() {
            return false;
        }
        // Within a run the recorder itself has told them apart, but for TCP that it had no room
        // for.
        let other_run = earlier.run != id.run && !self.open_runs.contains(&earlier.run);
        if !(other_run || (is_tcp && earlier.run == id.run)) || earlier == id {
            return false;
        }
        let silence = if is_tcp { SILENCE_NS } else { DATAGRAM_SILENCE_NS };
        let goes_on = |p: &Pending| flow.start.since(p.last) <= silence && !is_other(flow, &p.flow);
        let alive = self.flows.get(&earlier).map(Box::as_ref).is_some_and(goes_on);
        if alive {
            self.stand_ins.insert(id, earlier);
        }
        alive
    }

    /// A flow whose verdict is to be fixed before `now`.
    pub(super) fn pop_due(&mut self, now: UnixNanos) -> Option<FlowId> {
        let Reverse((at, _)) = self.due.peek()?;
        if *at >= now {
            return None;
        }
        self.due.pop().map(|Reverse((_, id))| id)
    }

    pub(super) fn take(&mut self, id: FlowId) -> Option<Box<Pending>> {
        self.flows.remove(&id)
    }

    pub(super) fn put_back(&mut self, id: FlowId, pending: Box<Pending>) {
        self.flows.insert(id, pending);
    }

    /// Takes out flows that have been silent since `before`, in the order of their beginnings.
    pub(super) fn take_silent(&mut self, before: UnixNanos) -> Vec<(FlowId, Box<Pending>)> {
        work::steps(self.flows.len());
        let mut over: Vec<_> = self.flows.extract_if(|_, p| p.last < before).collect();
        over.sort_unstable_by_key(|(id, _)| *id);
        for (id, pending) in &over {
            let moved_in = pending.others.iter().flat_map(|others| &others.moved_in);
            for source in moved_in.chain([&pending.origin]) {
                if let Some(flows) = self.of_source.get_mut(source) {
                    flows.remove(id);
                }
            }
            self.tuples.remove(*id, &pending.flow);
        }
        if !self.stand_ins.is_empty() {
            let flows = &self.flows;
            self.stand_ins.retain(|_, stands| flows.contains_key(stands));
        }
        // Entries of flows that are gone would otherwise wait for their time.
        if self.due.len() > 2 * self.flows.len() + 1024 {
            let flows = &self.flows;
            self.due.retain(|Reverse((_, id))| flows.contains_key(id));
        }
        over
    }

    /// Takes out all flows, in the order of their beginnings.
    pub(super) fn take_all(&mut self) -> Vec<(FlowId, Box<Pending>)> {
        self.take_silent(UnixNanos(i64::MAX))
    }

    /// Half of the flows have been silent since this time.
    pub(super) fn median_age(&self) -> UnixNanos {
        work::steps(self.flows.len());
        let mut ages: Vec<UnixNanos> = self.flows.values().map(|p| p.last).collect();
        let middle = ages.len() / 2;
        if ages.is_empty() { UnixNanos(0) } else { *ages.select_nth_unstable(middle).1 }
    }

    /// Flows of which bytes in `source` wait to be booked, in the order of their beginnings.
    /// Nothing moves in it any more.
    pub(super) fn take_shares_of(&mut self, source: usize) -> Vec<FlowId> {
        let mut ids = Vec::new();
        for id in self.of_source.remove(&source).unwrap_or_default() {
            work::step();
            if let Some(pending) = self.flows.get_mut(&id) {
                if let Some(others) = &mut pending.others {
                    others.moved_in.retain(|of| *of != source);
                }
                if pending.shares.values().iter().any(|share| share.source() == source) {
                    ids.push(id);
                }
            }
        }
        ids.sort_unstable();
        ids
    }
}

#[cfg(test)]
mod tests;
