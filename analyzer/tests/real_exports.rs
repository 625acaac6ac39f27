//! Exports of real exporters, beside the traffic that they are of: testdata/exports/README.md.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use support::{Home, testdata};

const LOCAL: &str = "--local 2001:db8:1::/64";

/// Bytes by site: of all, and of those that something names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Bytes {
    all: u64,
    named: BTreeMap<String, u64>,
}

/// What `flows` lists; of IPv4 only where `v4` is asked for.
fn bytes(home: &Home, line: &str, v4: bool) -> Bytes {
    let mut sum = Bytes::default();
    for line in home.ok(&format!("flows {line} {LOCAL}")).lines() {
        let flow: Value = serde_json::from_str(line).unwrap();
        let bytes = flow["up_bytes"].as_u64().unwrap() + flow["down_bytes"].as_u64().unwrap();
        if v4 && flow["client"].as_str().unwrap().contains(':') {
            continue;
        }
        sum.all += bytes;
        if flow["evidence"] != "none" {
            *sum.named.entry(flow["site"].as_str().unwrap().to_owned()).or_default() += bytes;
        }
    }
    sum
}

/// The share of nameable bytes that are booked on the right site.
fn right(found: &Bytes, truth: &Bytes) -> f64 {
    let right: u64 = truth.named.iter().map(|(site, b)| found.named.get(site).map_or(0, |f| *f.min(b))).sum();
    right as f64 / truth.named.values().sum::<u64>() as f64
}

#[test]
fn what_softflowd_and_pmacct_export_has_the_bytes_and_the_sites_of_the_traffic() {
    let home = Home::in_memory();
    for name in ["lan.seg", "dns.seg"] {
        std::fs::copy(testdata(&format!("exports/{name}")), home.path(name)).unwrap();
    }
    for exporter in ["softflowd-v5", "softflowd-v9", "softflowd-ipfix", "softflowd-biflow", "pmacct-v9"] {
        let file = format!("{exporter}.pcap.gz");
        std::fs::copy(testdata(&format!("exports/{file}")), home.path(&file)).unwrap();
        let truth = bytes(&home, "lan.seg", exporter.ends_with("v5"));
        // By DNS alone, and with the names that the same flows carry.
        for (names, least) in [("dns.seg", 0.85), ("lan.seg", 0.99)] {
            let found = bytes(&home, &format!("{file} --exported --names-from {names}"), false);
            let ratio = found.all as f64 / truth.all as f64;
            assert!((0.99..=1.01).contains(&ratio), "{exporter}: {ratio} of the bytes");
            let share = right(&found, &truth);
            assert!(share >= least, "{exporter} by {names}: {share} of the nameable bytes are right");
        }
        let report = home.ok(&format!("report {file} --exported --format json"));
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["ledger"]["export_faults"], serde_json::json!([]), "{exporter}");
        assert_eq!(report["ledger"]["residual_bytes"], 0, "{exporter}");
    }
}

/// Whoever forgot `--exported` says it later, and need not remove anything.
#[test]
fn a_capture_that_was_booked_for_its_packets_is_booked_again_for_its_exports() {
    let home = Home::new();
    let capture = support::recent("exports/softflowd-v9.pcap.gz");
    home.write("exports.pcap", &capture);
    std::fs::create_dir_all(home.path("none")).unwrap();
    let (mut packets, mut summaries) = (Vec::new(), Vec::new());
    for options in ["", " --exported", " --exported", ""] {
        let run = home.analyze(format!("ingest exports.pcap --database imon.db{options}").split_whitespace());
        summaries.push(run.err.lines().last().unwrap_or_default().to_owned());
        let report = home.ok("report --database imon.db --spool none --from 2020-01-01 --json");
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        packets.push(report["ledger"]["packets"].as_u64().unwrap());
    }
    assert_eq!(packets[0], 36);
    assert!(packets[1] > 10_000 && packets[1..].iter().all(|n| *n == packets[1]), "{packets:?}");
    let begin = |known: usize| ["ingested 1 source ", "ingested 0 sources "][known];
    for (summary, known) in summaries.iter().zip([0, 0, 1, 1]) {
        assert!(summary.starts_with(begin(known)), "{summaries:?}");
        assert!(summary.contains(&format!("; {known} known already")), "{summaries:?}");
    }
}

#[test]
fn who_reads_a_capture_for_what_is_not_in_it_is_told() {
    let home = Home::in_memory();
    // Each exporter sends to a port of its own: no list of usual ones knows them.
    for name in ["softflowd-v5", "softflowd-v9", "softflowd-ipfix", "softflowd-biflow", "pmacct-v9"] {
        let path = support::testdata(&format!("exports/{name}.pcap.gz"));
        let note = |option: &[&str]| home.analyze([&["report", path.to_str().unwrap()], option].concat()).err;
        assert!(note(&[]).contains("holds NetFlow or IPFIX datagrams, to 127.0.0.1:"), "{name}: {}", note(&[]));
        assert!(!note(&["--exported"]).contains("NetFlow"), "{name}: {}", note(&["--exported"]));
    }
    let path = &support::captures()[0];
    let run = |option: &[&str]| home.analyze([&["report", path.to_str().unwrap()], option].concat()).err;
    assert!(!run(&[]).contains("NetFlow"), "{}", run(&[]));
    assert!(run(&["--exported"]).contains("holds no NetFlow or IPFIX datagram"), "{}", run(&["--exported"]));
}
