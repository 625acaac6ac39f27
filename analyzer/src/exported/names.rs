//! Names of the same network from other sources: flow records hold none.

use super::record::End;
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Observer, Usage};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::Mac;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;

/// Names that are kept. A home asks for some 50,000 names a day; at 400 bytes each these are 200
/// MiB.
const MAX_NAMES: usize = 1 << 19;

/// How far the beginning of a flow may be from its name inside, by two clocks.
const SAME_FLOW_NS: i64 = 120 * NANOS_PER_SECOND;

/// Both ends of a flow, the lower first, and its protocol.
type Ends = (End, End, u8);

/// What other sources of the same network saw.
#[derive(Debug, Default)]
pub struct Names {
    /// Answers and questions, by time.
    answers: Vec<(Flow, NameSeen)>,
    /// Names inside flows, by the ends of these, by time.
    in_flows: HashMap<Ends, Vec<NameSeen>>,
    /// The hardware address that an address had last.
    macs: HashMap<IpAddr, Mac>,
    /// Names that were seen and not kept.
    pub left_out: u64,
}

impl Names {
    /// Answers from `from` on, in the order of time.
    pub(super) fn answers_from(&self, from: UnixNanos) -> usize {
        self.answers.partition_point(|(_, seen)| seen.ts < from)
    }

    /// The answer at a place.
    pub(super) fn answer(&self, place: usize) -> Option<&(Flow, NameSeen)> {
        self.answers.get(place)
    }

    /// The name inside the flow between these ends that began around `start`.
    pub(super) fn inside(&self, ends: (End, End), proto: u8, start: UnixNanos) -> Option<&NameSeen> {
        let names = self.in_flows.get(&ordered(ends, proto))?;
        let apart = |seen: &&NameSeen| seen.ts.since(start).saturating_abs();
        names.iter().min_by_key(apart).filter(|seen| apart(seen) <= SAME_FLOW_NS)
    }

    /// The hardware address that an address had last.
    pub(super) fn mac(&self, address: IpAddr) -> Option<Mac> {
        self.macs.get(&address).copied()
    }
}

fn ordered((a, b): (End, End), proto: u8) -> Ends {
    (a.min(b), a.max(b), proto)
}

/// Gathers names while sources are read, and nothing else of them.
#[derive(Debug, Default)]
pub struct Gatherer {
    names: Names,
    kept: usize,
}

impl Gatherer {
    /// What was gathered.
    pub fn finish(mut self) -> Names {
        self.names.answers.sort_by_key(|(_, seen)| seen.ts);
        self.names
    }
}

impl Observer for Gatherer {
    type Error = Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        if let Some(mac) = flow.client_mac {
            self.names.macs.insert(flow.client, mac);
        }
        if self.kept >= MAX_NAMES {
            self.names.left_out += 1;
            return Ok(());
        }
        self.kept += 1;
        if seen.kind.is_in_flow() {
            let end = |address, port| End { address, port };
            let ends = (end(flow.client, flow.client_port), end(flow.server, flow.server_port));
            self.names.in_flows.entry(ordered(ends, flow.proto)).or_default().push(seen.clone());
        } else {
            self.names.answers.push((Flow { name: None, ..flow.clone() }, seen.clone()));
        }
        Ok(())
    }

    fn usage(&mut self, _: &Flow, _: UnixNanos, _: Usage) -> Result<(), Infallible> {
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, _: &[Count]) -> Result<(), Infallible> {
        Ok(())
    }
}
