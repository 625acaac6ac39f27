//! What much traffic costs. Measurements, not judgements of a busy machine: run with
//! `cargo test --release -p imon-analyze --test scale -- --ignored --nocapture --test-threads 1`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use imon_analyze::attribution::{AnswerBook, Attributor, Habits};
use imon_analyze::ingest::{Ingest, ReadOptions};
use imon_analyze::rollup::Rollup;
use imon_analyze::store::Store;
use imon_common::flow::{Flow, Scope};
use imon_common::names::{AnswerAddress, Name, NameKind, NameSeen, RecordKind};
use imon_common::observe::{Observer, Usage};
use imon_common::segment::SegmentWriter;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::Mac;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;
use support::segment_header;

const START_S: i64 = 1_793_491_200;

/// A line of /proc/self/status in MiB.
fn status_mib(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Seconds of processor time that this process has used.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // Fields 14 and 15 of proc(5), in ticks of 10 ms.
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

fn flow(number: u64, at: UnixNanos, server: u32) -> Flow {
    let device = (number % 50) as u8;
    Flow {
        number,
        client: [192, 168, 1, device].into(),
        server: IpAddr::V4((0x0500_0000 + server).into()),
        client_port: 1_024 + (number % 60_000) as u16,
        server_port: 443,
        proto: 6,
        scope: Scope::Remote,
        begin_seen: true,
        opened: imon_common::flow::Opener::Client,
        interface: 0,
        vlan: None,
        client_mac: Some(Mac([2, 0, 0, 0, 0, device])),
        start: UnixNanos(at.0 + 1_000_000),
        name: None,
    }
}

/// The lookup before a flow: one name for the server's address.
fn lookup(flow: &Flow, at: UnixNanos, name: u64) -> (Flow, NameSeen) {
    let IpAddr::V4(server) = flow.server else { unreachable!() };
    let seen = NameSeen {
        ts: at,
        kind: NameKind::Dns,
        name: Name::from_host(format!("host{name}.site{}.example", name % 1_000).as_bytes()).unwrap(),
        chain: Vec::new(),
        addresses: vec![AnswerAddress { address: server.into(), ttl_s: 60, record: RecordKind::A }],
        asker_is_server: false,
        relayed: false,
    };
    (Flow { server: [192, 168, 1, 254].into(), server_port: 53, proto: 17, ..flow.clone() }, seen)
}

const MOVED: Usage = Usage { up_packets: 5, down_packets: 9, up_bytes: 900, down_bytes: 12_000 };

#[test]
#[ignore = "measures; takes seven minutes"]
fn memory_of_attribution_with_ten_million_flows_and_a_million_names() {
    const FLOWS: u64 = 10_000_000;
    const NAMES: u64 = 1_000_000;
    let before = status_mib("VmHWM");
    let mut attributor = Attributor::new(AnswerBook::default(), Rollup::default());
    attributor.follow_pages(Habits::default());
    let began = cpu_s();
    for number in 0..FLOWS {
        // A day: 116 flows a second.
        let at = UnixNanos((START_S + (number * 86_400 / FLOWS) as i64) * NANOS_PER_SECOND);
        let name = number * NAMES / FLOWS;
        let flow = flow(number, at, (name % 3_000_000) as u32);
        if number.is_multiple_of(10) {
            let (asker, seen) = lookup(&flow, at, name);
            let Ok(()) = attributor.name(&asker, &seen);
        }
        let Ok(()) = attributor.usage(&flow, at, MOVED);
    }
    let rollup = attributor.finish();
    let bytes: u64 = rollup.rows.values().map(|usage| usage.bytes()).sum();
    assert_eq!(bytes, FLOWS * MOVED.bytes(), "every byte is booked");
    let peak = status_mib("VmHWM");
    eprintln!("{FLOWS} flows, {NAMES} names: peak {peak} MiB ({before} before), {:.1} CPU s", cpu_s() - began);
    assert!(peak - before < 1_024, "{peak} MiB");
}

/// One hour of a home: 4,000 flows to 1,500 servers, each looked up.
fn hour(number: u64) -> Vec<u8> {
    const FLOWS: u64 = 4_000;
    let start = START_S + number as i64 * 3_600;
    let id = u128::from(number + 1).to_be_bytes();
    let header = segment_header(id, [7; 16], number, UnixNanos(start * NANOS_PER_SECOND));
    let mut writer = SegmentWriter::create(Vec::new(), &header).unwrap();
    let nth = |hour: u64, i: u64| {
        let second = START_S + hour as i64 * 3_600 + (i * 3_590 / FLOWS) as i64;
        // Most hosts come again every hour, some are new.
        let host = if i.is_multiple_of(10) { 1_500 + hour * 150 + i / 10 % 150 } else { i * 7 % 1_350 };
        (second, host, flow(hour * FLOWS + i, UnixNanos(second * NANOS_PER_SECOND), host as u32))
    };
    let mut seconds: BTreeMap<i64, Vec<(Flow, Option<u64>)>> = BTreeMap::new();
    for i in 0..FLOWS {
        let (second, host, flow) = nth(number, i);
        for later in (1..3).filter(|later| second + later < start + 3_600) {
            seconds.entry(second + later).or_default().push((flow.clone(), None));
        }
        seconds.entry(second).or_default().push((flow, Some(host)));
    }
    // Some go on from the hour before.
    for i in (0..100).filter(|_| number > 0) {
        let (.., flow) = nth(number - 1, FLOWS - 1 - i);
        (0..10).for_each(|minute| seconds.entry(start + 60 * minute).or_default().push((flow.clone(), None)));
    }
    for (second, flows) in seconds {
        let at = UnixNanos(second * NANOS_PER_SECOND);
        for (flow, host) in &flows {
            if let Some(host) = host {
                let (asker, seen) = lookup(flow, at, *host);
                writer.name(&asker, &seen).unwrap();
            }
        }
        flows.iter().for_each(|(flow, _)| writer.usage(flow, at, MOVED).unwrap());
    }
    writer.finish().unwrap().0
}

#[test]
#[ignore = "measures; takes a minute"]
fn ingest_of_an_hour_after_thirty_days() {
    const HOURS: u64 = 30 * 24;
    let dir = tempfile::tempdir().unwrap();
    let write = |number: u64| {
        let path = dir.path().join(format!("{number:04}.seg"));
        std::fs::write(&path, hour(number)).unwrap();
        path
    };
    let mut store = Store::open(&dir.path().join("imon.db")).unwrap();
    let mut measure = |what: &str, paths: Vec<std::path::PathBuf>| {
        let (cpu, wall) = (cpu_s(), Instant::now());
        let mut ingest = Ingest::new(&mut store, dir.path().join("captures"), ReadOptions::default());
        ingest.sources(paths).unwrap();
        let (cpu, wall) = (cpu_s() - cpu, wall.elapsed().as_secs_f64());
        eprintln!("{what}: {cpu:.2} CPU s, {wall:.2} s, peak {} MiB", status_mib("VmHWM"));
        cpu
    };
    measure("30 days of hourly segments", (0..HOURS).map(write).collect());
    let one = measure("one hour more", vec![write(HOURS)]);
    measure("and one more", vec![write(HOURS + 1)]);
    measure("nothing new", vec![dir.path().join("0000.seg")]);
    eprintln!("database: {} MiB", std::fs::metadata(dir.path().join("imon.db")).unwrap().len() >> 20);
    assert!(one < 60.0);
}
