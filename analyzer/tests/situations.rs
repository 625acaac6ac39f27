//! Situations that users met, as reports show them. What is decoded of them stands in
//! common/tests/situations.rs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::{Home, pcap, rows_and_ledger, testdata};

fn field(name: &str) -> String {
    testdata(&format!("field/{name}.pcap")).display().to_string()
}

fn books(home: &Home, file: &str, more: &str) -> (Vec<Value>, Value) {
    rows_and_ledger(&home.ok(&format!("report {file} --format json {more}")))
}

/// A pcap file of this link type.
fn of_link_type(link_type: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    let timed: Vec<_> =
        packets.iter().enumerate().map(|(i, p)| (1_700_000_000_000_000 + i as u64, p.clone())).collect();
    let mut file = pcap(&timed);
    file[20..22].copy_from_slice(&link_type.to_le_bytes());
    file
}

#[test]
fn a_group_is_local_traffic_and_no_device() {
    let home = Home::new();
    let (rows, ledger) = books(&home, &field("multicast-from-global"), "--by device --include-local");
    assert_eq!((&ledger["local_bytes"], &ledger["ip_bytes"]), (&json!(156), &json!(156)));
    let devices: Vec<&str> = rows.iter().map(|row| row["device"].as_str().unwrap()).collect();
    assert!(!devices.is_empty() && !devices.iter().any(|d| ["ff02::fb", "224.0.0.251"].contains(d)), "{devices:?}");
    let (rows, _) = books(&home, &field("multicast-from-global"), "--by site");
    assert!(rows.is_empty(), "{rows:?}");
}

#[test]
fn the_files_give_their_sums_and_names() {
    let home = Home::new();
    for (name, ip_bytes) in [("ipv6-plen0-padded", 40), ("pcap-2.1", 4500), ("frag-210", 4060)] {
        assert_eq!(books(&home, &field(name), "").1["ip_bytes"], ip_bytes, "{name}");
    }
    for (name, host) in [
        ("redhat61", "rh.example.com"),
        ("tls-ipfrag", "frag.example.com"),
        ("http-cut-cr", "ocsp.int-x3.letsencrypt.org"),
        ("host-junk", "mail.example.de"),
        ("sni-port", "example.com"),
    ] {
        let (rows, _) = books(&home, &field(name), "--by host");
        let hosts: Vec<_> = rows.iter().map(|row| row["host"].as_str().unwrap()).collect();
        assert_eq!(hosts, [host], "{name}");
    }
    assert_eq!(home.ok(&format!("flows {}", field("frag-210"))).lines().count(), 1);
}

#[test]
fn what_frames_without_ip_hold_is_listed_with_a_hint_where_ip_may_be_inside() {
    let home = Home::new();
    let frame = |ether_type: u16| [&[2; 12][..], &ether_type.to_be_bytes(), &[0x2c; 46]].concat();
    home.write("kinds.pcap", &of_link_type(1, &[0x0806, 0x88e5, 0x0806, 0xbeef].map(frame)));
    let ledger = books(&home, "kinds.pcap", "").1;
    let kinds: Vec<_> = ledger["non_ip"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| {
            (
                kind["kind"].as_str().unwrap(),
                kind["number"].as_u64(),
                kind["name"].as_str(),
                kind["packets"].as_u64().unwrap(),
                kind["hint"].is_string(),
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [
            ("ether-type", Some(0x0806), Some("ARP"), 2, false),
            ("ether-type", Some(0x88e5), Some("MACsec"), 1, true),
            ("ether-type", Some(0xbeef), None, 1, true),
        ]
    );
    assert_eq!(ledger["non_ip_packets"], 4);
    let table = home.ok("report kinds.pcap");
    for line in
        ["- EtherType 0x0806 (ARP)", "hint: EtherType 0x88e5 (MACsec): encrypted", "hint: EtherType 0xbeef (unknown): "]
    {
        assert!(table.lines().any(|l| l.starts_with(line)), "{line}: {table}");
    }
    // Link types: of USB, of anybody's own, of none that is known.
    for (link_type, shown) in [(189, "189 (USB_LINUX)"), (147, "147 (USER0)"), (9999, "9999 (unknown)")] {
        home.write("link.pcap", &of_link_type(link_type, &[vec![0; 64]]));
        let table = home.ok("report link.pcap");
        assert!(table.contains(&format!("- link type {shown}")), "{table}");
        assert!(table.contains(&format!("hint: link type {shown}: ")), "{table}");
    }
}

#[test]
fn lengths_by_the_frame_and_names_that_no_host_has_are_lines_of_the_ledger() {
    let home = Home::new();
    let mut lie = support::udp(([192, 168, 1, 2], 5_000), ([203, 0, 113, 9], 4_000), &[7; 360]);
    lie[16..18].copy_from_slice(&53_020_u16.to_be_bytes());
    home.write("lie.pcap", &pcap(&[(1, lie)]));
    let ledger = books(&home, "lie.pcap", "").1;
    assert_eq!(ledger["ip_bytes"], 388);
    assert_eq!((&ledger["length_from_frame_packets"], &ledger["length_from_frame_bytes"]), (&json!(1), &json!(388)));
    assert!(home.ok("report lie.pcap").contains("hint: 1 packets by frame length"));
    let ledger = books(&home, &field("host-junk"), "").1;
    assert_eq!(ledger["not_a_host_flows"], 0, "its host is read");
}
