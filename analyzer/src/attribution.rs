//! Facts → opinion: which host a flow's bytes belong to, and how we know.
//!
//! One pass in time order, constant memory. A flow's usage waits until the flow is over (or room is needed), so that a
//! name seen later in the flow, or an answer that came late, still counts for its first bytes. What this device was
//! answered before the flow is looked up when the flow begins: later answers cannot push it out. Segments of one run of
//! a recorder are read as one source, so that a flow alive across a rotation stays one flow. Nothing here reads a file,
//! a clock or the store; the same observations always give the same bookings.

mod aging;
mod answers;
mod blind;
mod policy;
mod rules;

pub use answers::{AnswerBook, Asker, Learned, MAX_ADDRESSES_OF_A_DEVICE, network_of};
pub use blind::blind;
pub use policy::{FRESH_NS, HORIZON_NS, KNOWN_NS, LATE_NS, Policy};
pub use rules::{Rule, Verdict, names_itself};

use crate::books::bucket_of;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Observer, Usage};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use rules::{Choice, asked_before, judge};

/// Flows that wait for their end at a time: twice the recorder's flow table. Beyond it the longest silent ones are
/// booked with what is known.
const PENDING_LIMIT: usize = 131_072;

/// A flow that was silent for this long is over: the longest time-out of the flow table.
const PENDING_NS: i64 = 3_600 * NANOS_PER_SECOND;

/// How often silent flows are looked for.
const SWEEP_NS: i64 = 300 * NANOS_PER_SECOND;

/// What a flow moved in one bucket of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Number of the source ([`Attributor::set_source`]).
    pub source: usize,
    /// Start of the bucket in Unix seconds.
    pub bucket_s: i64,
    /// Start of the first interval in it.
    pub first: UnixNanos,
    /// The amount.
    pub usage: Usage,
}

/// Takes flows that are over, and everything that is not usage.
pub trait Ledger {
    /// `flow` moved `shares`, and `verdict` says where they belong. `last` is the start of the last interval in which it
    /// moved something.
    fn settle(&mut self, flow: &Flow, last: UnixNanos, shares: &[Share], verdict: &Verdict);

    /// Counts of a source around `ts`.
    fn counts(&mut self, source: usize, ts: UnixNanos, counts: &[Count]);

    /// An answer in a source taught something: kept by the store so that the next source begins with it.
    fn learned(&mut self, source: usize, learned: &Learned);
}

#[derive(Debug)]
struct Pending {
    flow: Flow,
    last: UnixNanos,
    shares: Vec<Share>,
    /// What the device was answered before the flow began.
    asked: Option<Choice>,
}

/// Takes observations of sources, one after the other, and settles their flows.
#[derive(Debug)]
pub struct Attributor<L> {
    answers: AnswerBook,
    /// Where flows are settled.
    pub ledger: L,
    pending: HashMap<u64, Pending, RandomState>,
    next_sweep: Option<UnixNanos>,
    source: usize,
    /// Run of the recorder that the current source belongs to.
    run: Option<[u8; 16]>,
}

impl<L: Ledger> Attributor<L> {
    /// An attributor that begins with what `answers` knows.
    pub fn new(answers: AnswerBook, ledger: L) -> Self {
        Self { answers, ledger, pending: HashMap::default(), next_sweep: None, source: 0, run: None }
    }

    /// From here on observations belong to this run of a recorder. Flows of another run are over.
    pub fn begin_run(&mut self, run: [u8; 16]) {
        if self.run != Some(run) {
            self.settle_all();
            self.run = Some(run);
        }
    }

    /// From here on observations belong to source number `source`, for a ledger that keeps sources apart.
    pub fn set_source(&mut self, source: usize) {
        self.source = source;
    }

    /// Replaces what is known from before.
    pub fn set_answers(&mut self, answers: AnswerBook) {
        self.answers = answers;
    }

    /// Settles everything that still waits.
    pub fn settle_all(&mut self) {
        // In the order of their beginnings: what is printed is the same in every run.
        let mut pending: Vec<_> = std::mem::take(&mut self.pending).into_iter().collect();
        pending.sort_unstable_by_key(|(number, _)| *number);
        pending.iter().for_each(|(_, pending)| self.settle(pending));
        self.next_sweep = None;
    }

    /// Settles everything and gives the ledger back.
    pub fn finish(mut self) -> L {
        self.settle_all();
        self.ledger
    }

    fn settle(&mut self, pending: &Pending) {
        let verdict = judge(&pending.flow, pending.last, pending.asked.as_ref(), &self.answers);
        self.ledger.settle(&pending.flow, pending.last, &pending.shares, &verdict);
    }

    /// Settles flows that have been silent since `before`.
    fn settle_silent(&mut self, before: UnixNanos) {
        let mut over: Vec<_> = self.pending.extract_if(|_, p| p.last < before).collect();
        over.sort_unstable_by_key(|(number, _)| *number);
        over.iter().for_each(|(_, pending)| self.settle(pending));
    }

    fn make_room(&mut self, now: UnixNanos) {
        if self.next_sweep.is_none_or(|at| now >= at) {
            self.next_sweep = Some(UnixNanos(now.0.saturating_add(SWEEP_NS)));
            self.settle_silent(UnixNanos(now.0.saturating_sub(PENDING_NS)));
        }
        if self.pending.len() >= PENDING_LIMIT {
            let mut ages: Vec<UnixNanos> = self.pending.values().map(|p| p.last).collect();
            let middle = ages.len() / 2;
            let (_, median, _) = ages.select_nth_unstable(middle);
            let before = UnixNanos(median.0.saturating_add(1));
            self.settle_silent(before);
        }
    }
}

impl<L: Ledger> Observer for Attributor<L> {
    type Error = std::convert::Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Self::Error> {
        if seen.kind.is_in_flow()
            && let Some(pending) = self.pending.get_mut(&flow.number)
        {
            pending.flow.name.clone_from(&flow.name);
        }
        let (ledger, source) = (&mut self.ledger, self.source);
        self.answers.learn(flow, seen, |learned| ledger.learned(source, learned));
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Self::Error> {
        let bucket_s = bucket_of(interval);
        let share = Share { source: self.source, bucket_s, first: interval, usage };
        if let Some(pending) = self.pending.get_mut(&flow.number) {
            pending.last = pending.last.max(interval);
            if pending.flow.name.is_none() {
                pending.flow.name.clone_from(&flow.name);
            }
            match pending.shares.last_mut() {
                Some(last) if (last.source, last.bucket_s) == (share.source, bucket_s) => {
                    last.usage.add(usage);
                    last.first = last.first.min(interval);
                }
                _ => pending.shares.push(share),
            }
            return Ok(());
        }
        self.make_room(interval);
        self.answers.meet(flow);
        let asked = asked_before(flow, &self.answers);
        let pending = Pending { flow: flow.clone(), last: interval, shares: vec![share], asked };
        self.pending.insert(flow.number, pending);
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Self::Error> {
        self.ledger.counts(self.source, ts, counts);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
