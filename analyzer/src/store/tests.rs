use super::*;
use crate::attribution::{Ledger as _, Share, Verdict};
use crate::books::{Blind, Evidence, Host};
use crate::range::Range;
use crate::rollup::Rollup;
use imon_common::flow::{Flow, Scope};
use imon_common::observe::Usage;
use imon_common::time::UnixNanos;

#[test]
fn a_new_store_is_empty_and_up_to_date() {
    let store = Store::in_memory().unwrap();
    assert!(store.status().unwrap().sources.is_empty());
}

/// A TCP flow to `port` without a name.
fn flow(port: u16, begin_seen: bool) -> Flow {
    Flow {
        number: port.into(),
        client: [192, 168, 1, 5].into(),
        server: [203, 0, 113, 9].into(),
        client_port: 50_000,
        server_port: port,
        proto: 6,
        scope: Scope::Remote,
        begin_seen,
        opened: imon_common::flow::Opener::Client,
        interface: 0,
        client_mac: None,
        start: UnixNanos(0),
        name: None,
    }
}

#[test]
fn blind_spots_of_one_host_stay_apart_in_the_store() {
    let mut rollup = Rollup::default();
    for (port, begin_seen, down_bytes) in [(443, true, 1), (443, false, 20), (853, true, 300), (80, false, 4_000)] {
        let flow = flow(port, begin_seen);
        let verdict = Verdict {
            host: Host::Address(flow.server),
            evidence: Evidence::None,
            rule: crate::attribution::Rule::Nothing,
            candidates: Vec::new(),
            traffic: crate::books::Traffic::Visited,
        };
        let usage = Usage { down_bytes, down_packets: 1, ..Usage::default() };
        let at = UnixNanos(0);
        rollup.book(&flow, &[Share { source: 0, bucket_s: 0, first: at, last: at, usage }], &verdict);
    }
    let source = NewSource {
        identity: vec![1; 16],
        kind: "segment",
        path: "a.seg".into(),
        kept: None,
        kept_segment: None,
        place: None,
        content: None,
        capture: None,
        allow_overlap: false,
        interface: "eth0".into(),
        first: UnixNanos(0),
        last: UnixNanos(0),
        ended: "sealed".into(),
        len_bytes: 1,
        records: 4,
        recorded: None,
        gone: Vec::new(),
    };
    let mut store = Store::in_memory().unwrap();
    store.replace_source(&source, None, &rollup, |_| &[]).unwrap();
    let everything = Range::everything(jiff::tz::TimeZone::UTC);
    let stored = store.books(&everything).unwrap().ledger;
    assert_eq!(stored, rollup.books(&everything).ledger);
    let of = |blind| stored.address_only_by.of(blind);
    assert_eq!([Blind::NoName, Blind::BeginNotSeen, Blind::EncryptedDns].map(of), [1, 4_020, 300]);
    assert_eq!((stored.address_only_bytes, stored.blind_spots), (4_321, stored.address_only_by));
}
