//! Connections that show several hosts one after the other, or a host in pieces: whose the bytes
//! are, by both doors.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use support::{Connection, Home, client_hello, dns_answer, pcap, udp};

const CLIENT: ([u8; 4], u16) = ([192, 168, 1, 10], 50_000);
const SERVER: ([u8; 4], u16) = ([198, 51, 100, 7], 3_128);

/// Hosts, evidence and bytes of the flows to `SERVER` and from it, in the order of their
/// beginnings; a recording of the same packets has the same.
fn flows(packets: &[(u64, Vec<u8>)]) -> Vec<(String, String, u64)> {
    let home = Home::new();
    home.write("a.pcap", &pcap(packets));
    let list = |source: &str| {
        let lines = home.ok(&format!("flows {source}"));
        let mut flows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        flows.iter_mut().for_each(|flow| flow["source"].take().as_str().map(drop).unwrap());
        flows.sort_by_key(|flow| flow["start"].as_str().unwrap().to_owned());
        flows
    };
    let flows = list("a.pcap");
    if let Some(run) = home.record("--read a.pcap --spool spool") {
        assert_eq!(run.code, Some(0), "{}", run.err);
        assert_eq!(list("spool"), flows);
    }
    let text = |flow: &Value, key: &str| flow[key].as_str().unwrap().to_owned();
    let bytes = |flow: &Value| flow["up_bytes"].as_u64().unwrap() + flow["down_bytes"].as_u64().unwrap();
    let is_dns = |flow: &&Value| flow["server_port"] == 53;
    flows.iter().filter(|flow| !is_dns(flow)).map(|f| (text(f, "host"), text(f, "evidence"), bytes(f))).collect()
}

fn row(host: &str, evidence: &str, bytes: u64) -> (String, String, u64) {
    (host.to_owned(), evidence.to_owned(), bytes)
}

fn open() -> Connection {
    Connection::open(1_700_000_000_000_000, CLIENT, SERVER, true)
}

#[test]
fn each_request_of_a_connection_counts_for_the_host_that_it_asks_for() {
    // As a proxy is asked, and as a proxy asks; the methods and targets differ, the host counts.
    let proxied = |host: &str| format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
    let plain = |host: &str| format!("POST /x HTTP/1.1\r\nAccept: */*\r\nhost: {host}:80\r\n\r\n").into_bytes();
    for request in [proxied as fn(&str) -> Vec<u8>, plain] {
        let [first, again, other] = [request("a.first.com"), request("a.first.com"), request("b.other.com")];
        let packets = open().ask(&first).answer(&[7; 300]).ask(&again).answer(&[7; 500]);
        let packets = packets.ask(&other).answer(&[7; 900]).ask(&first).answer(&[7; 40]).packets;
        let len = |request: &[u8]| request.len() as u64 + 40;
        assert_eq!(
            flows(&packets),
            [
                row("a.first.com", "http", 3 * 40 + 2 * len(&first) + 340 + 540),
                row("b.other.com", "http", len(&other) + 940),
                row("a.first.com", "http", len(&first) + 80),
            ]
        );
    }
    // A tunnel through the same connection, and what only looks like a request.
    let connect = b"CONNECT c.third.com:22 HTTP/1.1\r\n\r\n";
    let packets = open().ask(&proxied("a.first.com")).answer(&[7; 300]).ask(connect).answer(b"SSH-2.0-x\r\n").packets;
    let hosts: Vec<String> = flows(&packets).into_iter().map(|(host, ..)| host).collect();
    assert_eq!(hosts, ["a.first.com", "c.third.com"]);
    for other in
        [&b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n"[..], b"GET / HTTP/1.1\r\nHost: {x}\r\n\r\n", b"GET me b.other.com"]
    {
        let packets = open().ask(&plain("a.first.com")).answer(&[7; 300]).ask(other).answer(&[7; 900]).packets;
        assert_eq!(flows(&packets).len(), 1, "{}", String::from_utf8_lossy(other));
    }
    // The host may come before the request ends; what is sent again was asked before.
    let (begun, rest) = (&proxied("b.other.com")[..30], &proxied("b.other.com")[30..]);
    let packets = open().ask(&proxied("a.first.com")).answer(&[7; 300]).ask(begun).ask(rest).answer(&[7; 900]);
    let mut packets = packets.packets;
    let again = packets[3].1.clone();
    packets.insert(packets.len() - 1, (packets[packets.len() - 1].0 - 10, again));
    let rows = flows(&packets);
    assert_eq!((rows.len(), rows[1].0.as_str()), (2, "b.other.com"), "{rows:?}");
    assert!(rows[1].2 > 940, "{rows:?}");
    // The server's own words are none of its requests.
    let packets = open().ask(&plain("a.first.com")).answer(&plain("b.other.com")).packets;
    assert_eq!(flows(&packets).len(), 1);
}

#[test]
fn ports_that_are_used_again_name_another_connection_though_no_syn_was_seen() {
    let first = open().ask(&client_hello("a.first.com")).answer(&[7; 300]);
    for later_s in [1, 30, 90, 900] {
        for closing in [&[0x11, 0x11][..], &[0x14]] {
            let mut packets = first.packets.clone();
            // As the helper makes them, with other flags: both sides end it, or one aborts it.
            for (i, flags) in closing.iter().enumerate() {
                let mut frame = packets[if i == 0 { 2 } else { 1 }].1.clone();
                frame[47] = *flags;
                packets.push((1_700_000_000_100_000 + i as u64, frame));
            }
            let at_us = 1_700_000_000_000_000 + later_s * 1_000_000;
            let again = Connection::open(at_us, CLIENT, SERVER, false).ask(&client_hello("b.other.com"));
            packets.extend(again.answer(&[7; 900]).packets);
            let rows = flows(&packets);
            let hosts: Vec<&str> = rows.iter().map(|(host, ..)| host.as_str()).collect();
            assert_eq!(hosts, ["a.first.com", "b.other.com"], "{later_s} s, {closing:?}");
            assert_eq!(rows[1].2, 40 + client_hello("b.other.com").len() as u64 + 940);
        }
    }
}

#[test]
fn what_a_relay_is_asked_for_is_read_though_it_comes_in_pieces() {
    let request = b"\x05\x01\x00\x03\x0ba.first.com\x00\x16";
    for cut in 4..request.len() {
        let packets = open().ask(b"\x05\x01\x00").answer(b"\x05\x00").ask(&request[..cut]).ask(&request[cut..]);
        let packets = packets.answer(b"\x05\0\0\x01\0\0\0\0\0\0").ask(b"SSH-2.0-x\r\n").packets;
        let rows = flows(&packets);
        assert_eq!((rows[0].0.as_str(), rows[0].1.as_str(), rows.len()), ("a.first.com", "http", 1), "cut at {cut}");
    }
}

#[test]
fn the_zones_of_homes_are_local_whatever_carries_the_name() {
    let router = ([192, 168, 1, 1], 80);
    for host in ["openwrt.lan", "box.home", "fritz.box", "wiki.corp", "printer.localdomain"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
        let home = Home::new();
        let web = Connection::open(1_700_000_000_000_000, CLIENT, router, true).ask(&request).answer(&[7; 300]);
        home.write("a.pcap", &pcap(&web.packets));
        let (rows, ledger) = support::rows_and_ledger(&home.ok("report a.pcap --format json"));
        assert_eq!((rows.len(), &ledger["local_bytes"]), (0, &ledger["ip_bytes"]), "{host}");
        // Named by DNS, where it names nothing by itself.
        let nas = ([192, 168, 1, 50], 8_443);
        let answer = udp(([192, 168, 1, 1], 53), (CLIENT.0, 40_000), &dns_answer(host, nas.0));
        let mut packets = vec![(1_700_000_000_000_000, answer)];
        packets.extend(Connection::open(1_700_000_000_050_000, CLIENT, nas, true).ask(&[9; 90]).packets);
        home.write("b.pcap", &pcap(&packets));
        let (rows, _) = support::rows_and_ledger(&home.ok("report b.pcap --format json --include-local --by host"));
        assert!(rows.iter().any(|row| row["host"] == host), "{rows:?}");
    }
}
