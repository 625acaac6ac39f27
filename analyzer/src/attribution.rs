//! Facts → opinion: which host a flow's bytes belong to, and how we know.
//!
//! One pass in time order, bounded memory. A flow's verdict rests on the flow, the name inside it,
//! and answers up to [`HORIZON_NS`] after it began: it is fixed when the clock of the facts has
//! passed that, or the facts are over, and not when the flow happens to end. So the same facts give
//! the same bookings, however they are split into sources and in however many commands they are
//! read. Nothing here reads a file, a clock or the store.

mod aging;
mod answers;
mod blind;
mod called;
mod clock;
mod heads;
mod ledger;
mod overlap;
mod pages;
mod pending;
mod policy;
mod rules;
mod so_far;
mod translated;

pub use answers::{AnswerBook, Asker, Learned, Led, Lesson, MAX_ADDRESSES_OF_A_DEVICE, ServicePort, network_of};
pub use blind::blind;
pub use called::{Called, called};
pub use ledger::{Ledger, Over, Places};
pub use overlap::{Doubled, Overlaps, Skew};
pub use pages::{Habit, Habits, HabitsOfSite, PagePart, Pulled, What};
pub use pending::{At, Carried, FlowId, Share};
pub use policy::{ASKED_NS, DAY_NS, FRESH_NS, HABIT_DAYS, HORIZON_NS, KNOWN_NS, LATE_NS, Policy};
pub use rules::{Rule, Verdict, names_itself};
pub use so_far::{SoFar, Standing};

use crate::books::{Blind, Host};
use aging::push;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Observer, Usage};
use imon_common::packet::Interface;
use imon_common::segment::SegmentHeader;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::work;
use pages::Pages;
use pending::{Pending, Tuple, Waiting, tuple};
use rules::judge;
use std::collections::VecDeque;
use std::convert::Infallible;

/// A flow that was silent for this long is over: the longest time-out of the flow table.
pub const SILENCE_NS: i64 = 3_600 * NANOS_PER_SECOND;

/// How far before a flow's beginning answers must be known with every time at which they came; of
/// older ones the last time is enough. A minute more than answers are fresh for: what the flows of
/// the seconds before were told counts, too (queries).
pub const PAST_NS: i64 = FRESH_NS + 60 * NANOS_PER_SECOND;

/// Flows remembered at a time: twice the recorder's flow table. Beyond it the longest silent half
/// is booked with what is known.
const PENDING_LIMIT: usize = 131_072;

/// What a source is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// It is booked.
    #[default]
    Book,
    /// It is booked already: only what it teaches about later sources counts.
    Learn,
}

/// Where a flow is booked in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The flow.
    pub flow: Flow,
    /// Number of the source in which it began.
    pub origin: usize,
    /// Start of the last interval in which it moved something.
    pub last: UnixNanos,
    /// Where.
    pub verdict: Verdict,
}

/// What is known of a source.
#[derive(Debug, Clone, Copy)]
struct Source {
    run: u32,
    role: Role,
}

/// Takes observations of sources, in time order over all of them, and settles their flows.
#[derive(Debug)]
pub struct Attributor<L> {
    answers: AnswerBook,
    /// Where flows are settled.
    pub ledger: L,
    flows: Waiting,
    /// Flows first seen in the current interval: what was asked before them is looked up when all
    /// of it was read.
    fresh: Vec<(UnixNanos, FlowId)>,
    /// Flows that were begun without a name, in order: what was asked for meanwhile is looked up a
    /// little later.
    unasked: VecDeque<(UnixNanos, FlowId)>,
    /// Of these the ones that something was asked for beside, in order: how it was answered is
    /// looked up later.
    unanswered: VecDeque<(UnixNanos, FlowId)>,
    /// Start of the current interval.
    clock: Option<UnixNanos>,
    next_sweep: Option<UnixNanos>,
    /// How often flows moved something since silent ones were looked for.
    moves: usize,
    sources: Vec<Option<Source>>,
    runs: HashMap<[u8; 16], u32, RandomState>,
    /// The source whose observations come.
    source: usize,
    /// Follows which page pulls bytes in, if asked to.
    pages: Option<Pages>,
    /// Looks for what several sources hold, if asked to.
    overlaps: Option<Overlaps>,
    /// Flows of which is told where they are booked in the end.
    watched: HashSet<Tuple, RandomState>,
    /// Those of them that are over.
    watched_over: Vec<Settled>,
    /// What flows moved in the current interval, for it: names are looked up when all of the
    /// interval was read.
    seconds: Vec<(FlowId, At, UnixNanos, Usage)>,
}

impl<L: Ledger> Attributor<L> {
    /// An attributor that begins with what `answers` knows.
    pub fn new(answers: AnswerBook, ledger: L) -> Self {
        Self {
            answers,
            ledger,
            flows: Waiting::default(),
            fresh: Vec::new(),
            unasked: VecDeque::new(),
            unanswered: VecDeque::new(),
            clock: None,
            next_sweep: None,
            moves: 0,
            sources: Vec::new(),
            runs: HashMap::default(),
            source: 0,
            pages: None,
            overlaps: None,
            seconds: Vec::new(),
            watched: HashSet::default(),
            watched_over: Vec::new(),
        }
    }

    /// Tells of flows with these addresses and ports where they are booked in the end
    /// ([`Self::watched`]).
    pub fn watch<'f>(&mut self, flows: impl Iterator<Item = &'f Flow>) {
        self.watched.extend(flows.map(tuple));
    }

    /// Of the flows that were to be watched the ones that are settled.
    pub fn watched(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.watched_over)
    }

    /// Also follows which page pulled bytes in, beginning with what `habits` knows.
    pub fn follow_pages(&mut self, habits: Habits) {
        self.pages = Some(Pages::new(habits));
    }

    /// Sources will be booked one by one ([`Self::book_source`]), and not only when all are read.
    pub fn follow_sources(&mut self) {
        self.flows.follow_sources();
    }

    /// Also looks for what several sources hold.
    pub fn look_for_overlaps(&mut self) {
        self.overlaps = Some(Overlaps::default());
    }

    /// What several sources hold, if that was looked for.
    pub fn overlaps(&self) -> Option<&Overlaps> {
        self.overlaps.as_ref()
    }

    /// The file of source number `source` is so long.
    pub fn size_source(&mut self, source: usize, len_bytes: u64) {
        if let Some(overlaps) = &mut self.overlaps {
            overlaps.size(source, len_bytes);
        }
    }

    /// Bytes of a source count whatever other sources hold. To be said after [`Self::add_source`].
    pub fn allow_overlap(&mut self, source: usize) {
        if let Some(overlaps) = &mut self.overlaps {
            overlaps.allow(source);
        }
    }

    /// A source was read.
    pub fn end_source(&mut self, source: usize) {
        if let Some(overlaps) = &mut self.overlaps {
            overlaps.end(source);
        }
    }

    /// Source number `source` has this header; `carried` are flows that go on in it and began in
    /// sources that are not booked here.
    pub fn add_source(&mut self, source: usize, header: &SegmentHeader, role: Role, carried: Vec<Carried>) {
        let next = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
        let run = *self.runs.entry(header.run).or_insert(next);
        if self.sources.len() <= source {
            self.sources.resize(source + 1, None);
        }
        if let Some(place) = self.sources.get_mut(source) {
            *place = Some(Source { run, role });
        }
        if let Some(overlaps) = &mut self.overlaps {
            overlaps.begin(source, header);
        }
        if role == Role::Book {
            self.ledger.source(source, header);
        }
        for carried in carried {
            self.flows.seed(run, header.start, carried);
        }
        self.flows.open_run(run);
        self.source = source;
    }

    /// Takes flows that go on in a source that begins at `from`, by their numbers in a run that is
    /// not read any more.
    pub fn add_carried(&mut self, run: [u8; 16], from: UnixNanos, carried: Vec<Carried>) {
        let next = u32::try_from(self.runs.len()).unwrap_or(u32::MAX);
        let run = *self.runs.entry(run).or_insert(next);
        for carried in carried {
            self.flows.seed(run, from, carried);
        }
    }

    /// From here on observations are of `source`, in the interval that starts at `ts`.
    pub fn turn_to(&mut self, source: usize, ts: UnixNanos) {
        self.source = source;
        self.advance(ts);
    }

    /// The run's last source has been read: what goes on after it does so in another run.
    pub fn end_run(&mut self, run: &[u8; 16]) {
        if let Some(run) = self.runs.get(run) {
            self.flows.close_run(*run);
        }
    }

    /// Books everything of `source`, after whose end the clock has passed [`HORIZON_NS`]. Only
    /// after [`Self::follow_sources`].
    pub fn book_source(&mut self, source: usize) {
        for id in self.flows.take_shares_of(source) {
            let Some(mut pending) = self.flows.take(id) else { continue };
            self.decide(&mut pending);
            pending.book(&mut self.ledger);
            self.flows.put_back(id, pending);
        }
        let ids = self.pages.as_mut().map(|pages| pages.with_parts_of(source)).unwrap_or_default();
        for id in ids {
            let (Some(pages), Some(pending)) = (&mut self.pages, self.flows.get_mut(id)) else { continue };
            let parts = pages.take_parts_of(id, source);
            book_parts(&mut self.ledger, pending, &parts);
        }
    }

    /// Settles everything that still waits: there are no further facts.
    pub fn settle_all(&mut self) {
        self.look_for_doubles();
        self.look_up_fresh();
        self.look_up_unasked(UnixNanos(i64::MAX));
        self.look_up_unanswered(UnixNanos(i64::MAX));
        self.follow_seconds();
        if let Some(pages) = &mut self.pages {
            pages.end(learner(&mut self.ledger, &self.sources));
        }
        for (id, pending) in self.flows.take_all() {
            self.settle(id, pending);
        }
        self.next_sweep = None;
    }

    /// Settles everything and gives the ledger back.
    pub fn finish(mut self) -> L {
        self.settle_all();
        if let Some(overlaps) = &self.overlaps {
            self.ledger.leave_out(overlaps);
        }
        self.ledger
    }

    fn current(&self) -> Source {
        let known = self.sources.get(self.source).copied().flatten();
        known.unwrap_or(Source { run: 0, role: Role::Book })
    }

    fn settle(&mut self, id: FlowId, mut pending: Box<Pending>) {
        let parts = self.pages.as_mut().map(|pages| pages.take(id)).unwrap_or_default();
        if pending.elsewhere {
            return;
        }
        self.decide(&mut pending);
        pending.book(&mut self.ledger);
        if let Some(verdict) = &pending.verdict {
            let (flow, origin) = (&pending.flow, pending.origin());
            let Pending { last, total, .. } = *pending;
            if self.watched.contains(&tuple(flow)) {
                let (flow, verdict) = (flow.clone(), Verdict::clone(verdict));
                self.watched_over.push(Settled { flow, origin, last, verdict });
            }
            self.ledger.over(&Over { flow, origin, last, total, verdict });
        }
        book_parts(&mut self.ledger, &pending, &parts);
    }

    /// Fixes the verdict, where it is not fixed already.
    fn decide(&mut self, pending: &mut Pending) {
        if pending.verdict.is_none() && !pending.elsewhere {
            pending.hear_replies(&mut self.answers);
            if pending.total.up_packets == 0 {
                pending.said.meanwhile = None;
            }
            let verdict = judge(&pending.flow, pending.last, &pending.said, &self.answers);
            pending.verdict = Some(Box::new(verdict));
            pending.carry(&mut self.ledger);
        }
    }

    /// A flow that is seen for the first time.
    #[cold]
    fn begin_flow(&mut self, id: FlowId, flow: &Flow, interval: UnixNanos, usage: Usage) {
        let role = self.current().role;
        self.answers.meet(flow);
        if let Some(overlaps) = &mut self.overlaps {
            overlaps.began(self.source, flow);
        }
        if role == Role::Book {
            self.ledger.met(self.source, flow);
        }
        if self.flows.len() >= PENDING_LIMIT {
            self.look_up_fresh();
            let before = self.flows.median_age();
            self.settle_silent(UnixNanos(before.0.saturating_add(1)));
        }
        let mut pending = Box::new(Pending::new(flow.clone(), self.source, interval));
        pending.elsewhere = role == Role::Learn;
        pending.sent = usage.up_packets > 0;
        let place = self.place_of(flow);
        pending.add(place, interval, usage, &mut self.ledger);
        self.flows.begin(id, pending);
        self.fresh.push((flow.start, id));
        self.move_second(id, place, interval, usage);
    }

    /// Where `flow` is seen in the current source.
    #[inline]
    fn place_of(&mut self, flow: &Flow) -> At {
        At { source: self.source, interface: self.ledger.interface_of(self.source, flow) }
    }

    /// Keeps what a flow moved for those who follow pages, or look for overlaps.
    #[inline]
    fn move_second(&mut self, id: FlowId, place: At, interval: UnixNanos, usage: Usage) {
        if self.pages.is_some() {
            self.seconds.push((id, place, interval, usage));
        }
        if let Some(overlaps) = &mut self.overlaps {
            overlaps.row(place, id, interval, usage);
        }
    }
}

impl<L: Ledger> Observer for Attributor<L> {
    type Error = Infallible;

    fn interface(&mut self, number: u32, interface: &Interface) -> Result<(), Self::Error> {
        if self.current().role == Role::Book {
            self.ledger.interface(self.source, number, interface);
        }
        Ok(())
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Self::Error> {
        let Source { run, role } = self.current();
        if seen.kind.is_in_flow() {
            let id = self.flows.resolve(FlowId { run, number: flow.number });
            if let Some(pending) = self.flows.get_mut(id)
                && (role == Role::Book || !pending.elsewhere)
            {
                pending.rename(flow, self.answers.policy(), &mut self.ledger);
            }
        }
        let (ledger, source) = (&mut self.ledger, self.source);
        if role == Role::Book
            && let Some(called) = called(flow, seen)
        {
            ledger.called(source, &called);
        }
        self.answers.learn(flow, seen, |lesson| {
            if role == Role::Book {
                match lesson {
                    Lesson::Address(learned) => ledger.learned(source, learned),
                    Lesson::Head(led) => ledger.led(source, led),
                }
            }
        });
        Ok(())
    }

    #[inline]
    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Self::Error> {
        self.advance(interval);
        self.moves = self.moves.saturating_add(1);
        work::step();
        let Source { run, role } = self.current();
        let own = FlowId { run, number: flow.number };
        let id = self.flows.resolve(own);
        let place = self.place_of(flow);
        let source = self.source;
        if let Some(pending) = self.flows.get_mut(id)
            && (role == Role::Learn || !pending.elsewhere)
        {
            pending.last = pending.last.max(interval);
            if role == Role::Learn {
                if pending.elsewhere && pending.flow.name.is_none() {
                    (pending.flow.name, pending.flow.opened) = (flow.name.clone(), flow.opened);
                }
                if !pending.elsewhere {
                    // It is booked here, and goes on in a source that is booked already.
                    if pending.flow.name.is_none() && flow.name.is_some() {
                        pending.rename(flow, self.answers.policy(), &mut self.ledger);
                    }
                    pending.total.add(if pending.is_turned(flow) { turned(usage) } else { usage });
                }
                self.move_second(id, place, interval, usage);
                return Ok(());
            }
            if pending.flow.name.is_none() && flow.name.is_some() {
                pending.rename(flow, self.answers.policy(), &mut self.ledger);
            }
            let usage = if pending.is_turned(flow) { turned(usage) } else { usage };
            let enters = pending.enter(source, flow.number, &mut self.ledger);
            pending.add(place, interval, usage, &mut self.ledger);
            if enters {
                self.flows.moves_in(id, source);
            }
            self.move_second(id, place, interval, usage);
            return Ok(());
        }
        // Also in a source that is booked already: what a flow does there counts for its verdict.
        if self.flows.take_over(own, flow) {
            return self.usage(flow, interval, usage);
        }
        self.begin_flow(own, flow, interval, usage);
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Self::Error> {
        if self.current().role == Role::Book {
            self.ledger.counts(self.source, ts, counts);
        }
        Ok(())
    }
}

/// Books what pages pulled in of a flow. What a resolver moves serves every page, and what stays
/// inside or has no name is nobody's.
fn book_parts<L: Ledger>(ledger: &mut L, pending: &Pending, parts: &[PagePart]) {
    let Some(verdict) = pending.verdict.as_ref().filter(|_| !parts.is_empty()) else { return };
    if is_pulled_in(&pending.flow, verdict) {
        ledger.pages(&pending.flow, verdict, parts);
    }
}

/// Whether a page can have pulled in what a flow moved.
fn is_pulled_in(flow: &Flow, verdict: &Verdict) -> bool {
    let third_party = matches!(verdict.host, Host::Name(_)) && verdict.traffic.is_of_sites();
    third_party && blind(flow, verdict) != Some(Blind::EncryptedDns)
}

/// Whether a source is learned from. What is read only for what it teaches was learned from before.
fn teaches(sources: &[Option<Source>], number: usize) -> bool {
    !matches!(sources.get(number), Some(Some(Source { role: Role::Learn, .. })))
}

/// Hands what is learned about pages to the ledger.
fn learner<'l, L: Ledger>(ledger: &'l mut L, sources: &'l [Option<Source>]) -> impl FnMut(usize, &Habit) -> bool + 'l {
    |number, habit| {
        let learns = teaches(sources, number);
        if learns {
            ledger.habit(number, habit);
        }
        learns
    }
}

/// Usage as the other end sees it.
fn turned(usage: Usage) -> Usage {
    Usage {
        up_packets: usage.down_packets,
        down_packets: usage.up_packets,
        up_bytes: usage.down_bytes,
        down_bytes: usage.up_bytes,
    }
}

#[cfg(test)]
mod tests;
