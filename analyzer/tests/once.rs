//! What passes several interfaces of one capture is in the books once, whichever way it came there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use serde_json::Value;
use std::io::Read as _;
use std::path::Path;
use support::{Home, rows_and_ledger};

const ALL: &str = "--from 1970-01-01 --to 2150-01-01 --by host --include-local --limit 0 --format json";

/// Rows and ledger of a capture, the same through every door.
fn books(home: &Home, capture: &Path) -> (Vec<Value>, Value) {
    let name = capture.display();
    let direct = rows_and_ledger(&home.ok(&format!("report {name} {ALL}")));
    std::fs::create_dir_all(home.path("empty")).unwrap();
    home.ok(&format!("ingest {name} --database one/imon.db"));
    let stored = home.ok(&format!("report --database one/imon.db --spool empty {ALL}"));
    assert_eq!(rows_and_ledger(&stored), direct, "{name} ingested");
    if let Some(recorded) = home.record(&format!("--read {name} --spool spool")) {
        assert_eq!(recorded.code, Some(0), "{}", recorded.err);
        let said = format!("IP bytes: {}", direct.1["ip_bytes"]);
        assert!(recorded.err.contains(&said), "{said}: {}", recorded.err);
        let stored = home.ok(&format!("report --database two/imon.db --spool spool {ALL}"));
        assert_eq!(rows_and_ledger(&stored), direct, "{name} recorded");
    }
    assert_eq!(direct.1["residual_bytes"], 0, "{name}");
    direct
}

/// A pcap file of these packets: time in µs, and bytes.
fn pcap(link_type: u32, packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, link_type] {
        file.extend(word.to_le_bytes());
    }
    for (at, bytes) in packets {
        let (seconds, micros) = (1_790_000_000 + at / 1_000_000, at % 1_000_000);
        for word in [seconds as u32, micros as u32, bytes.len() as u32, bytes.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(bytes);
    }
    file
}

/// A pcapng file of two interfaces, Ethernet and raw IP: time in µs, interface, and bytes.
fn pcapng(packets: &[(u64, u32, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let length = 12 + body.len().next_multiple_of(4) as u32;
        file.extend(kind.to_le_bytes());
        file.extend(length.to_le_bytes());
        file.extend(body);
        file.resize(file.len().next_multiple_of(4), 0);
        file.extend(length.to_le_bytes());
    };
    block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    for (link, name) in [(1_u16, *b"eth0"), (101, *b"tun0")] {
        let options = [&[2, 0, 4, 0][..], &name, &[0; 4]].concat();
        block(1, &[&link.to_le_bytes()[..], &[0; 6], &options].concat());
    }
    for (at, interface, bytes) in packets {
        let ts = 1_790_000_000_000_000 + at;
        let words = [*interface, (ts >> 32) as u32, ts as u32, bytes.len() as u32, bytes.len() as u32];
        let mut body: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
        body.extend(bytes);
        block(6, &body);
    }
    file
}

/// An IPv4 packet from our side or to it.
fn ipv4(proto: u8, id: u16, inward: bool, ends: [[u8; 4]; 2], body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + body.len() as u16).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend([0, 0, 64, proto, 0, 0]);
    let [from, to] = if inward { [ends[1], ends[0]] } else { ends };
    packet.extend(from);
    packet.extend(to);
    packet.extend(body);
    packet
}

/// Ports, then zeros up to a length in `rest`, then a payload.
fn ported(inward: bool, ports: [u16; 2], rest: &[u8], payload: &[u8]) -> Vec<u8> {
    let [from, to] = if inward { [ports[1], ports[0]] } else { ports };
    [&from.to_be_bytes()[..], &to.to_be_bytes(), rest, payload].concat()
}

fn tcp(n: u16, inward: bool, payload: &[u8]) -> Vec<u8> {
    let numbers = [u32::from(n).to_be_bytes(), [0, 0, 0, 1], [0x50, 0x10, 2, 0], [0; 4]].concat();
    ported(inward, [40_000, 80], &numbers, payload)
}

fn udp(inward: bool, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len() as u16).to_be_bytes();
    ported(inward, [51_820, 51_820], &[length, [0, 0]].concat(), payload)
}

fn cooked(interface: u32, hardware: u16, ip: &[u8]) -> Vec<u8> {
    let mut frame = vec![8, 0, 0, 0];
    frame.extend(interface.to_be_bytes());
    frame.extend(hardware.to_be_bytes());
    frame.extend([4, 6, 2, 0, 0, 0, 0, 1, 0, 0]);
    frame.extend(ip);
    frame
}

fn ethernet(ip: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0][..], ip].concat()
}

#[test]
fn a_bond_in_an_any_capture_counts_once() {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/field/any-bond.pcap.gz");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap()).read_to_end(&mut plain).unwrap();
    let home = Home::new();
    let (_, ledger) = books(&home, &home.write("any-bond.pcap", &plain));
    assert_eq!((&ledger["ip_bytes"], &ledger["copies_bytes"]), (&29_875.into(), &29_875.into()));
    assert_eq!(
        (&ledger["packets"], &ledger["ip_packets"], &ledger["copies_packets"]),
        (&88.into(), &44.into(), &44.into())
    );
    let table = home.ok("report any-bond.pcap --from 1970-01-01 --to 2150-01-01");
    assert!(table.contains("seen on another interface"), "{table}");
}

#[test]
fn a_capture_of_several_interfaces_counts_once_from_its_first_packet_on() {
    let ends = [[192, 168, 0, 2], [198, 51, 100, 1]];
    let mut packets = Vec::new();
    for n in 0..20 {
        let ip = ipv4(6, n, n % 2 == 1, ends, &tcp(n, n % 2 == 1, &[7; 200]));
        packets.push((u64::from(n) * 1_000, 0, ethernet(&ip)));
        packets.push((u64::from(n) * 1_000 + 8, 1, ip));
    }
    let home = Home::new();
    let (rows, ledger) = books(&home, &home.write("two.pcapng", &pcapng(&packets)));
    assert_eq!((&ledger["ip_bytes"], &ledger["copies_bytes"]), (&4_800.into(), &4_800.into()));
    assert_eq!(rows.len(), 1);
}

/// A tunnel like WireGuard's: a request inside, and data that comes in; each packet in a datagram
/// of the carrier.
#[test]
fn of_a_tunnel_and_its_carrier_the_sum_is_the_carriers_and_the_carrier_is_named() {
    let (inside_ends, outside_ends) = ([[10, 8, 0, 2], [203, 0, 113, 80]], [[192, 168, 0, 2], [198, 51, 100, 9]]);
    let (mut any, mut two, mut inside, mut outside) = (Vec::new(), Vec::new(), 0, 0);
    for n in 0..600_u16 {
        let (at, inward) = (u64::from(n) * 5_000, n % 4 != 0);
        let request = b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n".to_vec();
        let payload = if inward { vec![0; 1_300] } else { request };
        let inner = ipv4(6, n, inward, inside_ends, &tcp(n, inward, &payload));
        let sealed = vec![n as u8; inner.len().next_multiple_of(16) + 32];
        let outer = ipv4(17, n, inward, outside_ends, &udp(inward, &sealed));
        (inside, outside) = (inside + inner.len(), outside + outer.len());
        let [first, second] = if inward { [70, 0] } else { [0, 70] };
        any.push((at + first, cooked(7, 65_534, &inner)));
        any.push((at + second, cooked(2, 1, &outer)));
        two.push((at + first, 1, inner));
        two.push((at + second, 0, ethernet(&outer)));
    }
    any.sort_by_key(|(at, _)| *at);
    two.sort_by_key(|(at, ..)| *at);
    for (name, file) in [("any.pcap", pcap(276, &any)), ("two.pcapng", pcapng(&two))] {
        let home = Home::new();
        let (rows, ledger) = books(&home, &home.write(name, &file));
        assert_eq!(ledger["ip_bytes"], outside, "{name}");
        assert_eq!((&ledger["copies_bytes"], &ledger["carried_bytes"]), (&inside.into(), &inside.into()), "{name}");
        assert_eq!(ledger["tunnel_carriers"], serde_json::json!(["198.51.100.9"]), "{name}");
        let of = |host: &str| {
            rows.iter().find(|row| row["host"] == host).map_or(0, |row| row["total_bytes"].as_u64().unwrap())
        };
        assert_eq!(of("www.example.org") as usize, inside, "{name}");
        assert_eq!(of("198.51.100.9") as usize, outside - inside, "{name}");
        let table = home.ok(&format!("report {name} --from 1970-01-01 --to 2150-01-01"));
        assert!(table.contains("198.51.100.9: carries a tunnel that was recorded, too"), "{table}");
    }
}
