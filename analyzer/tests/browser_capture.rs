//! A real browser's capture (testdata/netlab) against what the servers' own logs say.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use assert_cmd::Command;
use serde_json::Value;
use std::path::PathBuf;

fn testdata(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/netlab").join(file)
}

fn report(by: &str) -> Value {
    let output = Command::cargo_bin("imon-analyze")
        .unwrap()
        .args(["report", "--format", "json", "--by", by])
        .arg(testdata("browse-lan.pcap.gz"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Hosts whose bytes nobody can know from the packets, or whose truth is counted in another way.
const DIFFERENT: [&str; 5] = [
    // Resolved before the capture began, no name in the flow: only the address is left.
    "cached-nosni.site-j.test",
    // One address, both asked for, no name in the flows: a tie, shown as one.
    "nosni-b.site-l.test",
    "nosni-c.site-m.test",
    // An ICMP error of 181 bytes to its address is in the row `(icmp, arp)`.
    "api.site-d.test",
    // Its DNS traffic is in the row `(dns)`.
    "dns.resolver.test",
];

/// Packets and IP bytes of the whole capture.
fn truth_total() -> (u64, u64) {
    let text = std::fs::read_to_string(testdata("truth-total.tsv")).unwrap();
    let fields: Vec<u64> = text.lines().nth(1).unwrap().split('\t').map(|f| f.parse().unwrap()).collect();
    (fields[0], fields[2])
}

/// IP bytes of each host whose connections carried no other host.
fn truth_hosts() -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(testdata("truth-hosts.tsv")).unwrap();
    let mut hosts: Vec<(String, u64, u64)> = Vec::new();
    for line in text.lines().skip(1) {
        let f: Vec<&str> = line.split('\t').collect();
        let number = |i: usize| f[i].parse::<u64>().unwrap();
        let (bytes, shared) = (number(12) + number(13), number(6));
        match hosts.iter_mut().find(|(host, ..)| host == f[1]) {
            Some(host) => (host.1, host.2) = (host.1 + bytes, host.2 + shared),
            None => hosts.push((f[1].into(), bytes, shared)),
        }
    }
    hosts.into_iter().filter(|(host, _, shared)| !host.starts_with('(') && *shared == 0).map(|h| (h.0, h.1)).collect()
}

#[test]
fn the_ledger_holds_every_byte_of_the_capture() {
    let ledger = &report("site")["ledger"];
    let of = |field: &str| ledger[field].as_u64().unwrap();
    assert_eq!((of("packets"), of("ip_bytes")), truth_total());
    let lines = ["named_bytes", "address_only_bytes", "local_bytes", "undecodable_bytes"];
    assert_eq!(lines.into_iter().map(of).sum::<u64>(), of("ip_bytes"));
}

#[test]
fn hosts_that_can_be_known_are_booked_to_the_byte() {
    let report = report("host");
    let booked = |name: &str| {
        let row = report["rows"].as_array().unwrap().iter().find(|row| row["host"] == name);
        row.map_or(0, |row| row["total_bytes"].as_u64().unwrap())
    };
    assert!(truth_hosts().len() > 25);
    let wrong: Vec<String> = truth_hosts()
        .into_iter()
        .filter(|(host, bytes)| booked(host) != *bytes && !DIFFERENT.contains(&host.as_str()))
        .map(|(host, bytes)| format!("{host}: {} booked, {bytes} true", booked(&host)))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}
