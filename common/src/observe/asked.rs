//! Names that devices ask for at the moment at which they begin a flow.
//!
//! A program that keeps an address longer than its answer lives connects to it and asks again at
//! the same time (RFC 8767 lets resolvers do so, too); the answer to that query may hold other
//! addresses. Then the query is what names the flow. Other queries are told by their answers, so
//! that only those beside which a flow began are observations.

use crate::flow::{Flow, Scope};
use crate::names::NameSeen;
use crate::time::UnixNanos;
use crate::wire::Mac;
use crate::work;
use std::collections::VecDeque;
use std::net::IpAddr;

/// How far a query may be from the beginning of a flow. In public captures those that named the
/// flow were at most 11 ms away, most of them less than 1 ms; how much of it attribution uses is
/// its own decision.
const MOMENT_NS: i64 = 20_000_000;

/// Queries and beginnings of flows remembered, each. A browser that opens a page asks for one or
/// two dozens of names in 20 ms; behind a router that serves many, some queries are not told. Every
/// query and every beginning looks at all of them.
const LIMIT: usize = 24;

/// Who asked, or began a flow.
#[derive(Debug, Clone, Copy)]
struct Device {
    address: IpAddr,
    mac: Option<Mac>,
}

#[derive(Debug)]
struct Query {
    /// The flow of the query; for one that a machine asks itself, one for each address of its.
    flows: Vec<Flow>,
    seen: NameSeen,
    told: bool,
}

impl Query {
    /// The flow of the query, if this device asked.
    fn of(&self, device: &Device) -> Option<&Flow> {
        asked_in(&self.flows, &self.seen, device)
    }
}

/// The address of who asked in a flow.
fn asker<'a>(flow: &'a Flow, seen: &NameSeen) -> &'a IpAddr {
    if seen.asker_is_server { &flow.server } else { &flow.client }
}

/// The one of the query's flows in which this device asked.
fn asked_in<'a>(flows: &'a [Flow], seen: &NameSeen, device: &Device) -> Option<&'a Flow> {
    let same_card = |flow: &Flow| !seen.asker_is_server && device.mac.is_some() && flow.client_mac == device.mac;
    flows.iter().find(|flow| *asker(flow, seen) == device.address || same_card(flow))
}

/// The queries and the beginnings of flows of the last moment.
#[derive(Debug, Default)]
pub(super) struct Asked {
    queries: VecDeque<Query>,
    begun: VecDeque<(UnixNanos, Device)>,
}

impl Asked {
    /// A device asked for a name, in one of `flows`. Gives the flow in which it is to be told now;
    /// else it waits for a flow to begin. Of several queries for one name (A, AAAA, HTTPS) one is
    /// told.
    pub(super) fn query(&mut self, flows: &[Flow], seen: &NameSeen) -> Option<Flow> {
        work::steps(self.queries.len() + self.begun.len());
        let mut past = None;
        while self.queries.len() >= LIMIT || self.queries.front().is_some_and(|q| is_past(q.seen.ts, seen.ts)) {
            past = self.queries.pop_front();
        }
        // By address: behind one hardware address several may ask, if it is a router's.
        let same = |known: &Query| {
            let addresses = known.flows.iter().map(|flow| asker(flow, &known.seen));
            known.seen.name == seen.name && addresses.eq(flows.iter().map(|flow| asker(flow, seen)))
        };
        if let Some(known) = self.queries.iter_mut().rev().find(|known| same(known)) {
            // The later one is nearer to what begins from now on.
            known.seen.ts = known.seen.ts.max(seen.ts);
            return None;
        }
        let near = self.begun.iter().filter(|(ts, _)| is_near(*ts, seen.ts));
        let told = near.filter_map(|(_, device)| asked_in(flows, seen, device)).next().cloned();
        let mut kept = past.map_or(Vec::new(), |query| query.flows); // its memory
        kept.clear();
        kept.extend_from_slice(flows);
        self.queries.push_back(Query { flows: kept, seen: seen.clone(), told: told.is_some() });
        told
    }

    /// A flow began: gives the queries of its client since `from` that are to be told now.
    pub(super) fn begin(&mut self, flow: &Flow, from: UnixNanos) -> Vec<(Flow, NameSeen)> {
        if !flow.is_to_service() || flow.scope == Scope::Local {
            return Vec::new();
        }
        while self.begun.len() >= LIMIT || self.begun.front().is_some_and(|(ts, _)| is_past(*ts, flow.start)) {
            self.begun.pop_front();
        }
        work::steps(self.queries.len());
        let device = Device { address: flow.client, mac: flow.client_mac };
        self.begun.push_back((flow.start, device));
        let due = |q: &&mut Query| !q.told && is_near(q.seen.ts, flow.start) && q.seen.ts >= from;
        let tell = |q: &mut Query| {
            let flow = q.of(&device)?.clone();
            q.told = true;
            Some((flow, q.seen.clone()))
        };
        self.queries.iter_mut().filter(due).filter_map(tell).collect()
    }
}

/// Whether `ts` is too long before `now`. Time may go backwards a little; what lies after is kept.
fn is_past(ts: UnixNanos, now: UnixNanos) -> bool {
    now.since(ts) > MOMENT_NS
}

fn is_near(ts: UnixNanos, other: UnixNanos) -> bool {
    ts.since(other).saturating_abs() <= MOMENT_NS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Name, NameKind};

    fn flow(client: &str, server_port: u16, start_us: i64) -> Flow {
        let client = (client.parse::<IpAddr>().unwrap(), 50_000);
        let server = ([203, 0, 113, 1], server_port);
        Flow::outgoing(client.into(), server.into(), 6, UnixNanos(start_us * 1_000))
    }

    fn query(name: &str, us: i64) -> NameSeen {
        NameSeen {
            ts: UnixNanos(us * 1_000),
            kind: NameKind::DnsQuery,
            name: Name::from_host(name.as_bytes()).unwrap(),
            chain: Vec::new(),
            addresses: Vec::new(),
            asker_is_server: false,
            relayed: false,
        }
    }

    const ME: &str = "192.168.1.5";

    /// Whether the query is told at once.
    fn ask(asked: &mut Asked, flow: &Flow, seen: &NameSeen) -> bool {
        asked.query(std::slice::from_ref(flow), seen).is_some()
    }

    fn begin(asked: &mut Asked, flow: &Flow) -> Vec<(Flow, NameSeen)> {
        asked.begin(flow, UnixNanos(i64::MIN))
    }

    fn names(told: &[(Flow, NameSeen)]) -> Vec<&str> {
        told.iter().map(|(_, seen)| seen.name.as_str()).collect()
    }

    #[test]
    fn a_query_is_told_once_when_a_flow_begins_beside_it() {
        let mut asked = Asked::default();
        let lookup = flow(ME, 53, 0);
        assert!(!ask(&mut asked, &lookup, &query("a.example", 0)));
        assert!(!ask(&mut asked, &lookup, &query("b.example", 10_000)));
        assert_eq!(names(&begin(&mut asked, &flow(ME, 443, 25_000))), ["b.example"], "a.example is too long ago");
        assert_eq!(names(&begin(&mut asked, &flow(ME, 443, 26_000))), [] as [&str; 0]);
        assert!(ask(&mut asked, &lookup, &query("c.example", 44_000)), "a flow began before it");
        assert!(!ask(&mut asked, &lookup, &query("c.example", 44_100)), "for AAAA: the same name again");
        assert!(!ask(&mut asked, &lookup, &query("d.example", 60_000)));
    }

    #[test]
    fn flows_of_others_and_to_no_service_tell_nothing() {
        let mut asked = Asked::default();
        assert!(!ask(&mut asked, &flow(ME, 53, 0), &query("a.example", 0)));
        let begun = [flow("192.168.1.6", 443, 0), flow(ME, 6_881, 0), flow(ME, 53, 0), flow(ME, 853, 0)];
        let seen_later = Flow { begin_seen: false, ..flow(ME, 443, 0) };
        let local = Flow { scope: Scope::Local, ..flow(ME, 443, 0) };
        for flow in begun.iter().chain([&seen_later, &local]) {
            assert_eq!(names(&begin(&mut asked, flow)), [] as [&str; 0]);
        }
        assert_eq!(names(&begin(&mut asked, &flow(ME, 443, 0))), ["a.example"]);
    }

    #[test]
    fn a_device_is_known_by_its_card_whatever_address_it_asks_from() {
        let mac = Some(Mac([2, 0, 0, 0, 0, 1]));
        let mut asked = Asked::default();
        let lookup = Flow { client_mac: mac, ..flow("2001:db8::5", 53, 0) };
        assert!(!ask(&mut asked, &lookup, &query("a.example", 0)));
        assert_eq!(names(&begin(&mut asked, &Flow { client_mac: mac, ..flow(ME, 443, 0) })), ["a.example"]);
    }

    #[test]
    fn a_repeated_query_counts_by_its_last_time_and_for_its_own_address() {
        let mac = Some(Mac([2, 0, 0, 0, 0, 1]));
        let mut asked = Asked::default();
        let [one, two] = ["10.0.0.1", "10.0.0.2"].map(|client| Flow { client_mac: mac, ..flow(client, 53, 0) });
        assert!(!ask(&mut asked, &one, &query("a.example", 0)));
        assert!(!ask(&mut asked, &one, &query("a.example", 15_000)));
        assert!(!ask(&mut asked, &two, &query("a.example", 16_000)), "behind a router another one asks for the same");
        let told = begin(&mut asked, &flow("10.0.0.1", 443, 25_000));
        assert_eq!((names(&told), told[0].1.ts.0), (vec!["a.example"], 15_000_000));
        assert_eq!(begin(&mut asked, &flow("10.0.0.2", 443, 26_000))[0].0.client, two.client);
    }

    #[test]
    fn a_query_of_the_interval_before_is_not_told() {
        let mut asked = Asked::default();
        assert!(!ask(&mut asked, &flow(ME, 53, 0), &query("a.example", 995_000)));
        assert_eq!(asked.begin(&flow(ME, 443, 1_005_000), UnixNanos(1_000_000_000)), []);
        assert_eq!(names(&asked.begin(&flow(ME, 443, 1_006_000), UnixNanos(0))), ["a.example"]);
    }

    #[test]
    fn a_flood_of_either_takes_no_more_room() {
        let mut asked = Asked::default();
        for i in 0..1_000 {
            ask(&mut asked, &flow(ME, 53, 0), &query(&format!("{i}.example"), 0));
            begin(&mut asked, &flow("192.168.1.6", 443, 0));
        }
        assert_eq!((asked.queries.len(), asked.begun.len()), (LIMIT, LIMIT));
    }
}
