//! Names and flows that concern what is to be explained, heard and booked as a report does.

use super::super::Where;
use super::super::who::{Who, asker};
use super::{Booked, MOST, Seen, Target};
use crate::attribution::{Called, Ledger, Over, Places, Share, Verdict};
use crate::books::Host;
use crate::config::Devices;
use crate::ingest::Ear;
use crate::question::{Filters, HostFilter};
use crate::rollup::Roster;
use crate::site::Sites;
use imon_common::flow::Flow;
use imon_common::names::{NameKind, NameSeen};
use imon_common::time::UnixNanos;
use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;

/// Names with their answers, and flows of the target, that wait until it is known which devices
/// they are of. A day of a home has some ten thousand.
const MAX_WAITING: usize = 262_144;

/// Everything that is told of the target's names, beside attribution as in a report.
#[derive(Default)]
pub(super) struct Told {
    /// The addresses that the target is or was seen to have.
    pub(super) addresses: HashSet<IpAddr>,
    pub(super) names: VecDeque<Seen>,
    /// Of whatever name: which ones decided is known when the flows are.
    pub(super) queries: VecDeque<Seen>,
    /// Names that were dropped for later ones.
    pub(super) more: u64,
    /// Names of whatever device, where some are asked for.
    pub(super) waiting: VecDeque<Heard>,
    /// How many these are with their answers.
    pub(super) weight: usize,
    /// The source that is read.
    pub(super) source: usize,
}

/// A name that waits.
pub(super) struct Heard {
    flow: Flow,
    seen: NameSeen,
}

/// How much room a name takes.
fn weight(seen: &NameSeen) -> usize {
    1 + seen.addresses.len() + seen.chain.len()
}

impl Told {
    /// Everything was heard: names that waited are told, if their devices are asked for.
    pub(super) fn settle(&mut self, ledger: &Flows<'_>, who: &Who) {
        for Heard { flow, seen } in std::mem::take(&mut self.waiting) {
            let (client, mac) = asker(&flow, &seen);
            if who.takes(client, mac) {
                self.take(ledger, &flow, &seen);
            }
        }
    }

    fn take(&mut self, ledger: &Flows<'_>, flow: &Flow, seen: &NameSeen) {
        let by_name = ledger.target.is(&seen.name, ledger.sites);
        let (client, mac) = asker(flow, seen);
        let one = |address, ttl_s| Seen {
            ts: seen.ts,
            client,
            mac,
            address,
            name: seen.name.clone(),
            kind: seen.kind,
            ttl_s,
            chain: seen.chain.clone(),
        };
        if seen.kind == NameKind::DnsEmpty {
            return;
        }
        if seen.kind == NameKind::DnsQuery {
            if self.queries.len() >= MOST {
                self.queries.pop_front();
            }
            self.queries.push_back(one(None, None));
            return;
        }
        let inside = seen.kind.is_in_flow().then(|| one(Some(flow.server), None));
        let answers = seen.addresses.iter().map(|answer| one(Some(answer.address), Some(answer.ttl_s)));
        for name in inside.into_iter().chain(answers) {
            // The rivals of a name are those that its addresses have too.
            if by_name && self.addresses.len() < MOST {
                self.addresses.extend(name.address);
            }
            if !by_name && !name.address.is_some_and(|address| self.addresses.contains(&address)) {
                continue;
            }
            if self.names.len() >= MOST {
                self.names.pop_front();
                self.more += 1;
            }
            self.names.push_back(name);
        }
    }
}

impl Ear<Flows<'_>> for Told {
    fn turn(&mut self, source: usize) {
        self.source = source;
    }

    fn name(&mut self, ledger: &mut Flows<'_>, flow: &Flow, seen: &NameSeen) {
        let Flows { window, asked, at, .. } = &mut *ledger;
        if !window.is_none_or(|(from, to)| (from..=to).contains(&seen.ts)) {
            return;
        }
        if !at.is_taken(asked.filters, self.source, flow) {
            return;
        }
        if asked.filters.device_lists().next().is_none() {
            return self.take(ledger, flow, seen);
        }
        // An answer of thousands of addresses takes the room of as many.
        self.weight += weight(seen);
        while self.weight > MAX_WAITING
            && let Some(Heard { seen, .. }) = self.waiting.pop_front()
        {
            self.weight -= weight(&seen);
            self.more += 1;
        }
        self.waiting.push_back(Heard { flow: flow.clone(), seen: seen.clone() });
    }
}

/// Which of the target's flows are told.
pub(super) struct Wanted<'a> {
    pub(super) hosts: HostFilter<'a>,
    pub(super) filters: &'a Filters,
    pub(super) min_bytes: u64,
}

/// The flows that concern the target.
pub(super) struct Flows<'a> {
    pub(super) target: &'a Target,
    pub(super) sites: &'a Sites,
    pub(super) window: Option<(UnixNanos, UnixNanos)>,
    pub(super) asked: Wanted<'a>,
    pub(super) at: Where,
    pub(super) flows: Vec<Booked>,
    /// Flows that were dropped for larger ones.
    pub(super) more: u64,
    /// Every client, and what it calls itself.
    pub(super) roster: Roster,
}

impl Flows<'_> {
    fn is_wanted(&mut self, over: &Over<'_>) -> bool {
        let Over { flow, origin, total, verdict, .. } = *over;
        let Wanted { hosts, filters, min_bytes } = &self.asked;
        total.bytes() >= *min_bytes
            && filters.takes_evidence(verdict.evidence)
            && hosts.takes(&verdict.host)
            && self.at.is_taken(filters, origin, flow)
    }

    /// Everything was read: of the flows whose devices are asked for, the largest are kept.
    pub(super) fn settle(&mut self, known: &Devices) -> Who {
        let who = Who::of(self.roster.identities(), known, self.asked.filters);
        self.flows.retain(|booked| who.takes(booked.flow.client, booked.flow.client_mac));
        self.cut(MOST);
        who
    }

    /// Keeps the largest.
    fn cut(&mut self, most: usize) {
        self.flows.sort_by_key(|booked| (std::cmp::Reverse(booked.bytes), booked.flow.start, booked.flow.number));
        self.more += u64::try_from(self.flows.len().saturating_sub(most)).unwrap_or(u64::MAX);
        self.flows.truncate(most);
    }

    /// Most flows that are kept until all was read.
    fn most(&self) -> usize {
        if self.asked.filters.device_lists().next().is_some() { MAX_WAITING } else { MOST }
    }
}

impl Ledger for Flows<'_> {
    fn places(&mut self) -> Option<&mut dyn Places> {
        Some(&mut self.at.seen)
    }

    fn book(&mut self, flow: &Flow, _: &[Share], _: &Verdict) {
        // Beyond that many clients nobody is told apart: what is theirs is left out where devices
        // are asked for.
        _ = self.roster.meet(flow);
    }

    fn called(&mut self, _: usize, called: &Called) {
        self.roster.call(called);
    }

    fn over(&mut self, over: &Over<'_>) {
        let Over { flow, last, total, verdict, .. } = *over;
        let in_window = self.window.is_none_or(|(from, to)| flow.start <= to && last >= from);
        let is_meant = match self.target {
            Target::Address(target) => flow.server == *target,
            Target::Name(_) => {
                let booked = match &verdict.host {
                    Host::Name(host) => self.target.is(host, self.sites),
                    Host::Address(_) | Host::Service(_) => false,
                };
                booked || verdict.candidates.iter().any(|host| self.target.is(host, self.sites))
            }
        };
        if in_window && is_meant && self.is_wanted(over) {
            let bytes = total.bytes();
            self.flows.push(Booked { flow: flow.clone(), bytes, verdict: verdict.clone() });
            if self.flows.len() >= 2 * self.most() {
                self.cut(self.most());
            }
        }
    }
}
