//! What a recorder keeps while its disk is full: sums without addresses, and a gap. A report must
//! account for them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use imon_common::flow::{Flow, Scope};
use imon_common::observe::{Count, Counter, GapReason, Observer as _, Usage};
use imon_common::segment::SegmentWriter;
use imon_common::time::UnixNanos;
use std::net::{IpAddr, Ipv4Addr};
use support::{Home, segment_header};

const START: UnixNanos = UnixNanos(1_790_000_100_000_000_000);

/// The flow that stands for all others of a scope, as imon-record writes it.
fn everyone(scope: Scope, number: u64) -> Flow {
    Flow {
        number,
        client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        server: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        client_port: 0,
        server_port: 0,
        proto: u8::MAX,
        scope,
        begin_seen: false,
        opened: imon_common::flow::Opener::Client,
        interface: 0,
        vlan: None,
        client_mac: None,
        start: START,
        name: None,
    }
}

#[test]
fn sums_without_detail_are_in_the_ledger_and_the_gap_is_told() {
    let home = Home::new();
    let mut writer = SegmentWriter::create(Vec::new(), &segment_header([1; 16], [2; 16], 0, START)).unwrap();
    let gap = Count { counter: Counter::Gap(GapReason::NoSpace), packets: 1, bytes: 5_000_000_000 };
    writer.counts(START, &[gap]).unwrap();
    for (scope, down_bytes) in [(Scope::Remote, 700), (Scope::Local, 50), (Scope::Transit, 9)] {
        let usage = Usage { down_packets: 1, down_bytes, ..Usage::default() };
        writer.usage(&everyone(scope, u64::MAX - down_bytes), START, usage).unwrap();
    }
    home.write("spool/folded.seg", &writer.finish().unwrap().0);
    for line in ["report spool/folded.seg", "report --spool spool --from 2026-09-21 --to 2026-09-21"] {
        let json: serde_json::Value = serde_json::from_str(&home.ok(&format!("{line} --format json"))).unwrap();
        let ledger = &json["ledger"];
        let bytes = |key: &str| ledger[key].as_u64().unwrap();
        assert_eq!((bytes("ip_bytes"), bytes("address_only_bytes"), bytes("local_bytes")), (759, 709, 50), "{line}");
        assert_eq!(ledger["residual_bytes"], 0);
        assert_eq!(ledger["gaps"][0]["reason"], "no-space", "{ledger}");
        assert_eq!(json["rows"][0]["site"], "(other addresses)", "{json}");
        assert_eq!(json["rows"][0]["total_bytes"], 709);
    }
}
