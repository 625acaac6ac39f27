//! Verdicts before they are fixed, for a view of what is recorded now.
//!
//! The rules are the same as for the books, asked with what is known by now; nothing is changed, so
//! that who looks does not change what is booked. What comes until [`super::HORIZON_NS`] after a
//! flow began may change its verdict.

use super::pages::{Pulled, Second};
use super::pending::FlowId;
use super::rules::{answered_meanwhile, asked_before, judge, told_later};
use super::{Attributor, Ledger, Verdict, is_pulled_in, teaches};
use imon_common::flow::Flow;
use imon_common::names::Name;

/// What is known of a flow by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoFar {
    /// Where its bytes belong.
    pub verdict: Verdict,
    /// Whether that can still change.
    pub standing: Standing,
}

/// Whether a verdict can still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// What comes may change it.
    Open,
    /// It is booked like that.
    Fixed,
}

impl<L: Ledger> Attributor<L> {
    /// What stands for the flow that has this number in the run of the source whose observations
    /// come: itself, or the flow that it goes on with.
    pub fn id_of(&self, number: u64) -> FlowId {
        self.flows.resolve(FlowId { run: self.current().run, number })
    }

    /// The flow that began in `source` with this number.
    pub fn id_in(&self, source: usize, number: u64) -> FlowId {
        let run = self.sources.get(source).copied().flatten().map_or(0, |source| source.run);
        FlowId { run, number }
    }

    /// Whether `flow` has client and server the other way round than what stands for it.
    pub fn is_turned(&self, id: FlowId, flow: &Flow) -> bool {
        self.flows.get(id).is_some_and(|pending| pending.is_turned(flow))
    }

    /// What is known of a flow by now; `None` where it is over, or was never seen.
    pub fn so_far(&self, id: FlowId) -> Option<(&Flow, SoFar)> {
        let pending = self.flows.get(id)?;
        let flow = &pending.flow;
        if let Some(verdict) = &pending.verdict {
            return Some((flow, SoFar { verdict: Verdict::clone(verdict), standing: Standing::Fixed }));
        }
        let mut said = pending.said.clone();
        // Of the flows of this interval it was not looked up yet.
        said.before = said.before.or_else(|| asked_before(flow, &self.answers));
        if let Some(meanwhile) = &mut said.meanwhile {
            let answered = || answered_meanwhile(flow, &meanwhile.asked, &self.answers);
            meanwhile.answered = meanwhile.answered.take().or_else(answered);
        }
        if pending.total.up_packets == 0 {
            said.meanwhile = None;
        }
        let verdict = judge(flow, pending.last, &said, &self.answers);
        Some((flow, SoFar { verdict, standing: Standing::Open }))
    }

    /// Which pages pulled in what, by what is known by now: of every flow that is not over. What
    /// is over was told to the ledger. Nothing where pages are not followed.
    pub fn pulled_so_far(&self) -> Vec<Pulled> {
        let Some(pages) = &self.pages else { return Vec::new() };
        let names: Vec<_> = self.seconds.iter().map(|(id, ..)| self.named_so_far(*id)).collect();
        let latest = self.seconds.iter().zip(&names).filter_map(|((id, place, interval, usage), host)| {
            let flow = &self.flows.get(*id).filter(|pending| !pending.flow.is_inbound())?.flow;
            let device = self.answers.browser_of(flow, *interval);
            let (place, interval, usage) = (*place, *interval, *usage);
            Some(Second { id: *id, device, flow, host: host.as_ref(), place, interval, usage })
        });
        pages.so_far(latest, |number| teaches(&self.sources, number))
    }

    /// Whether a page can pull in what a flow with this verdict moved.
    pub fn can_be_pulled_in(&self, id: FlowId, verdict: &Verdict) -> bool {
        self.flows.get(id).is_some_and(|pending| !pending.elsewhere && is_pulled_in(&pending.flow, verdict))
    }

    /// The name by which pages follow a flow of the interval that is not over.
    fn named_so_far(&self, id: FlowId) -> Option<Name> {
        let pending = self.flows.get(id)?;
        let asked = || asked_before(&pending.flow, &self.answers);
        let before = pending.said.before.clone().or_else(asked);
        let late = || told_later(&pending.flow, &self.answers);
        let is_known = self.pages.as_ref().is_some_and(|pages| pages.knows(id));
        pending.named(before.as_ref()).cloned().or_else(|| if is_known { None } else { late() })
    }
}
