//! What is kept of flows beside themselves: it comes and goes with them.

use super::super::rules::Rule;
use super::*;
use crate::books::{Evidence, Traffic};

/// Sums up what is booked.
#[derive(Debug, Default)]
struct Booked(Vec<(i64, u64)>);

impl Ledger for Booked {
    fn book(&mut self, _: &Flow, shares: &[Share], _: &Verdict) {
        self.0.extend(shares.iter().map(|share| (share.bucket_s(), share.usage.up_bytes)));
    }
}

const AT: At = At { source: 0, interface: 0 };

fn flow(port: u16) -> Flow {
    let (client, server) = (([192, 168, 1, 7], port).into(), ([192, 0, 2, 1], 443).into());
    Flow { number: port.into(), ..Flow::outgoing(client, server, 17, UnixNanos(0)) }
}

fn id(number: u64) -> FlowId {
    FlowId { run: 0, number }
}

fn begin(waiting: &mut Waiting, id: FlowId, flow: Flow) {
    waiting.begin(id, Box::new(Pending::new(flow, 0, UnixNanos(0))));
}

#[test]
fn the_latest_flow_of_a_five_tuple_is_found_from_either_side() {
    let mut waiting = Waiting::default();
    begin(&mut waiting, id(1), flow(50_001));
    begin(&mut waiting, id(2), flow(50_001));
    begin(&mut waiting, id(3), flow(50_003));
    let turned = |flow: Flow| Flow {
        client: flow.server,
        client_port: flow.server_port,
        server: flow.client,
        server_port: flow.client_port,
        ..flow
    };
    let latest = |waiting: &Waiting, flow: &Flow| waiting.tuples.get(&waiting.flows, flow);
    assert_eq!(latest(&waiting, &flow(50_001)), Some(id(2)));
    assert_eq!(latest(&waiting, &turned(flow(50_001))), Some(id(2)));
    assert_eq!(latest(&waiting, &flow(50_002)), None);
    assert_eq!(latest(&waiting, &Flow { proto: 6, ..flow(50_001) }), None);
    // One that is not the latest takes nothing with it.
    waiting.tuples.remove(id(1), &flow(50_001));
    assert_eq!(latest(&waiting, &flow(50_001)), Some(id(2)));
    waiting.tuples.remove(id(2), &flow(50_001));
    assert_eq!((latest(&waiting, &flow(50_001)), latest(&waiting, &flow(50_003))), (None, Some(id(3))));
}

#[test]
fn nothing_is_left_of_flows_that_are_over() {
    let (mut waiting, mut ledger) = (Waiting::default(), Booked::default());
    waiting.follow_sources();
    for number in 0..1_000 {
        begin(&mut waiting, id(number), flow(40_000 + number as u16));
        for source in [3, 0, 4] {
            waiting.get_mut(id(number)).unwrap().enter(source, number, &mut ledger);
            waiting.moves_in(id(number), source);
        }
    }
    assert_eq!((waiting.tuples.len(), waiting.of_source.len(), waiting.of_source[&3].len()), (1_000, 3, 1_000));
    assert_eq!(waiting.take_all().len(), 1_000);
    assert_eq!((waiting.len(), waiting.tuples.len()), (0, 0));
    assert!(waiting.of_source.values().all(HashSet::is_empty));
}

#[test]
fn what_is_booked_is_booked_once() {
    let (mut pending, mut ledger) = (Pending::new(flow(50_000), 0, UnixNanos(0)), Booked::default());
    let usage = |bytes| Usage { up_bytes: bytes, up_packets: 1, ..Usage::default() };
    let second = |at: i64| UnixNanos(at * NANOS_PER_SECOND);
    // Three quarters of an hour before it is known whose they are.
    for (at, bytes) in [(0, 1), (1, 2), (900, 4), (1_800, 8)] {
        pending.add(AT, second(at), usage(bytes), &mut ledger);
    }
    assert_eq!(ledger.0, []);
    pending.verdict = Some(Box::new(Verdict {
        host: Host::Address(flow(0).server),
        evidence: Evidence::None,
        rule: Rule::Nothing,
        candidates: Vec::new(),
        traffic: Traffic::Visited,
    }));
    pending.book(&mut ledger);
    pending.book(&mut ledger);
    for (at, bytes) in [(1_801, 16), (2_700, 32), (2_701, 64)] {
        pending.add(AT, second(at), usage(bytes), &mut ledger);
    }
    pending.book(&mut ledger);
    assert_eq!(ledger.0, [(0, 3), (900, 4), (1_800, 8), (1_800, 16), (2_700, 96)]);
    assert_eq!(pending.total.up_bytes, 127);
}
