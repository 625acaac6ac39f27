//! The clock of the facts moves on: what is looked up, followed and settled then.

use super::pages::Second;
use super::rules::{MEANWHILE_NS, Meanwhile, REPLIED_NS, asked_before, asked_meanwhile, told_later};
use super::{Attributor, Ledger, PENDING_LIMIT, SILENCE_NS, learner, pending};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};

/// How often silent flows are looked for.
const SWEEP_NS: i64 = 300 * NANOS_PER_SECOND;

/// Most flows that a search for silent ones may look at for each time that a flow has moved
/// something since the last search. Time may jump to and fro (captures of two clocks, merged), and
/// each jump forward would be a search.
const LOOKS_FOR_A_MOVE: usize = 8;

impl<L: Ledger> Attributor<L> {
    /// Makes the interval that starts at `ts` the current one.
    #[inline]
    pub(super) fn advance(&mut self, ts: UnixNanos) {
        if self.clock != Some(ts) {
            self.clock = Some(ts);
            self.pass(ts);
        }
    }

    /// Looks up, follows and settles what the clock has passed.
    pub(super) fn pass(&mut self, now: UnixNanos) {
        self.look_for_doubles();
        self.look_up_fresh();
        self.look_up_unasked(UnixNanos(now.0.saturating_sub(MEANWHILE_NS)));
        self.look_up_unanswered(UnixNanos(now.0.saturating_sub(REPLIED_NS)));
        self.follow_seconds();
        if let Some(pages) = self.pages.as_mut().filter(|pages| pages.is_over(now)) {
            pages.end(learner(&mut self.ledger, &self.sources));
        }
        while let Some(id) = self.flows.pop_due(now) {
            let Some(mut pending) = self.flows.take(id) else { continue };
            self.decide(&mut pending);
            pending.book(&mut self.ledger);
            self.flows.put_back(id, pending);
        }
        let is_due = self.next_sweep.is_none_or(|at| now >= at || at.since(now) > SWEEP_NS);
        if is_due && self.moves.saturating_mul(LOOKS_FOR_A_MOVE) >= self.flows.len() {
            self.moves = 0;
            self.next_sweep = Some(UnixNanos(now.0.saturating_add(SWEEP_NS)));
            self.settle_silent(UnixNanos(now.0.saturating_sub(SILENCE_NS)));
        }
    }

    /// What several sources hold of the interval that is over.
    pub(super) fn look_for_doubles(&mut self) {
        let (Some(overlaps), flows) = (&mut self.overlaps, &mut self.flows) else { return };
        let tuple_of = |id| {
            let flow = &flows.get(id)?.flow;
            let tuple = pending::tuple(flow);
            Some((tuple, tuple.1 == (flow.client, flow.client_port)))
        };
        for (id, doubled) in overlaps.turn(tuple_of) {
            if let Some(pending) = flows.get_mut(id).filter(|pending| !pending.elsewhere) {
                pending.double(doubled);
            }
        }
    }

    /// What their devices were answered before the flows of the last interval began: later answers
    /// cannot push it out.
    pub(super) fn look_up_fresh(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh);
        // `unasked` is in order.
        fresh.sort_by_key(|(start, id)| (*start, id.run, id.number));
        for (_, id) in fresh {
            // One that goes on in a source that was opened meanwhile may have its verdict already.
            if let Some(pending) = self.flows.get_mut(id) {
                pending.said.before = asked_before(&pending.flow, &self.answers);
                match &pending.said.before {
                    Some(asked) => self.answers.begin(&pending.flow, &asked.host),
                    None => self.unasked.push_back((pending.flow.start, id)),
                }
            }
        }
        if let Some((start, _)) = self.unasked.len().checked_sub(PENDING_LIMIT).and_then(|more| self.unasked.get(more))
        {
            self.look_up_unasked(*start);
        }
    }

    /// What devices asked for while they began flows, of flows that began before `end`.
    pub(super) fn look_up_unasked(&mut self, end: UnixNanos) {
        while let Some((start, id)) = self.unasked.pop_front_if(|(start, _)| *start < end) {
            if let Some(pending) = self.flows.get_mut(id) {
                let asked = asked_meanwhile(&pending.flow, &self.answers);
                if !asked.is_empty() {
                    pending.said.meanwhile = Some(Box::new(Meanwhile { asked, answered: None }));
                    self.unanswered.push_back((start, id));
                }
            }
        }
    }

    /// How it was answered, of flows that began before `end`.
    pub(super) fn look_up_unanswered(&mut self, end: UnixNanos) {
        while let Some((_, id)) = self.unanswered.pop_front_if(|(start, _)| *start < end) {
            if let Some(pending) = self.flows.get_mut(id) {
                pending.hear_replies(&mut self.answers);
            }
        }
    }

    /// Tells those who follow pages what flows moved in the interval that is over.
    pub(super) fn follow_seconds(&mut self) {
        let Some(pages) = &mut self.pages else { return };
        for (id, place, interval, usage) in self.seconds.drain(..) {
            let Some(pending) = self.flows.get_mut(id) else { continue };
            let flow = &pending.flow;
            if flow.is_inbound() {
                continue; // no page of ours pulls in what others fetch from us
            }
            let named = pending.named(pending.said.before.as_ref());
            let other = || told_later(flow, &self.answers);
            let late = if named.is_none() && !pages.knows(id) { other() } else { None };
            let device = self.answers.browser_of(flow, interval);
            let second = Second { id, device, flow, host: named.or(late.as_ref()), place, interval, usage };
            pages.second(&second, learner(&mut self.ledger, &self.sources));
        }
    }

    /// Settles flows that have been silent since `before`.
    pub(super) fn settle_silent(&mut self, before: UnixNanos) {
        self.follow_seconds();
        if let Some(pages) = &mut self.pages {
            pages.judge_before(before);
        }
        for (id, pending) in self.flows.take_silent(before) {
            self.settle(id, pending);
        }
    }
}
