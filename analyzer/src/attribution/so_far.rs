//! Verdicts before they are fixed, for a view of what is recorded now.
//!
//! The rules are the same as for the books, asked with what is known by now; nothing is changed, so
//! that who looks does not change what is booked. What comes until [`super::HORIZON_NS`] after a
//! flow began may change its verdict.

use super::pending::FlowId;
use super::rules::{answered_meanwhile, asked_before, judge};
use super::{Attributor, Ledger, Verdict};
use imon_common::flow::Flow;

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
            return Some((flow, SoFar { verdict: verdict.clone(), standing: Standing::Fixed }));
        }
        let mut said = pending.said.clone();
        // Of the flows of this interval it was not looked up yet.
        said.before = said.before.or_else(|| asked_before(flow, &self.answers));
        let asked = std::mem::take(&mut said.asked);
        said.meanwhile = said.meanwhile.or_else(|| answered_meanwhile(flow, &asked, &self.answers));
        if pending.total.up_packets == 0 {
            said.meanwhile = None;
        }
        let verdict = judge(flow, pending.last, &said, &self.answers);
        Some((flow, SoFar { verdict, standing: Standing::Open }))
    }
}
