//! Names that belong to a flow and to nobody else: those asked of a relay, and those that visitors
//! ask us for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use support::{Connection, Home, client_hello, dns_answer, dns_query, pcap, testdata, udp};

const ME: [u8; 4] = [192, 168, 1, 10];
const OTHER: [u8; 4] = [192, 168, 1, 11];
const RELAY: [u8; 4] = [198, 51, 100, 80];
const VISITOR: [u8; 4] = [203, 0, 113, 77];
const RESOLVER: [u8; 4] = [192, 168, 1, 1];

/// Flows of a capture, as JSON.
fn flows(home: &Home, capture: &str, options: &str) -> Vec<Value> {
    let text = home.ok(&format!("flows {capture} --format json {options}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn write(home: &Home, connections: Vec<Vec<(u64, Vec<u8>)>>) -> String {
    let mut packets = connections.concat();
    packets.sort_by_key(|(at, _)| *at);
    home.write("a.pcap", &pcap(&packets)).to_string_lossy().into_owned()
}

/// ssh, which never says a name, to an address, by two devices.
fn ssh_to(address: [u8; 4]) -> Vec<Vec<(u64, Vec<u8>)>> {
    let ssh = |at_us, client| {
        let connection = Connection::open(at_us, (client, 50_022), (address, 22), true);
        connection.answer(b"SSH-2.0-server\r\n").ask(b"SSH-2.0-client\r\n").answer(&[1; 900]).packets
    };
    vec![ssh(20_000_000, ME), ssh(21_000_000, OTHER)]
}

fn field<'a>(flow: &'a Value, name: &str) -> &'a str {
    flow[name].as_str().unwrap()
}

#[track_caller]
fn ssh_has_no_name(flows: &[Value]) {
    let ssh: Vec<_> = flows.iter().filter(|flow| flow["server_port"] == 22).collect();
    assert!(!ssh.is_empty());
    for flow in ssh {
        assert_eq!((field(flow, "host"), field(flow, "evidence")), (field(flow, "server"), "none"));
    }
}

#[test]
fn a_name_behind_a_relay_names_the_flow_and_not_the_relay() {
    let hello = client_hello("behind.example");
    let http = b"GET / HTTP/1.1\r\nHost: behind.example\r\n\r\n".to_vec();
    let h2_connect = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &[0, 0, 0, 4, 0, 0, 0, 0, 0],  // SETTINGS
        &[0, 0, 29, 1, 4, 0, 0, 0, 1], // HEADERS
        b"\x42\x07CONNECT\x41\x12behind.example:443",
    ]
    .concat();
    let cases: [(&str, Vec<Vec<u8>>); 7] = [
        (
            "CONNECT",
            vec![b"CONNECT behind.example:443 HTTP/1.1\r\nHost: behind.example:443\r\n\r\n".to_vec(), hello.clone()],
        ),
        ("CONNECT to an address", vec![b"CONNECT 203.0.113.5:443 HTTP/1.1\r\n\r\n".to_vec(), hello.clone()]),
        ("absolute target", vec![b"GET http://behind.example/a HTTP/1.1\r\nHost: behind.example\r\n\r\n".to_vec()]),
        ("SOCKS5", vec![vec![5, 1, 0], b"\x05\x01\x00\x03\x0ebehind.example\x01\xbb".to_vec(), hello.clone()]),
        ("SOCKS5 to an address", vec![vec![5, 1, 0], vec![5, 1, 0, 1, 203, 0, 113, 5, 1, 0xbb], hello]),
        ("SOCKS4a", vec![b"\x04\x01\x00\x50\0\0\0\x01me\0behind.example\0".to_vec(), http]),
        ("CONNECT by HTTP/2", vec![h2_connect]),
    ];
    for (case, asked) in cases {
        let home = Home::new();
        let mut connection = Connection::open(1_000_000, (ME, 50_001), (RELAY, 3_128), true);
        for payload in &asked {
            connection = connection.ask(payload).answer(b"ok, go on\r\n");
        }
        let capture = write(&home, [ssh_to(RELAY), vec![connection.answer(&[2; 1_000]).packets]].concat());
        let flows = flows(&home, &capture, "");
        let relayed = flows.iter().find(|flow| flow["server_port"] == 3_128).unwrap();
        assert_eq!(field(relayed, "host"), "behind.example", "{case}");
        ssh_has_no_name(&flows);
    }
}

#[test]
fn in_whatever_pieces_a_relay_is_asked_it_keeps_no_name() {
    let socks4 = (&b"\x04\x01\x01\xbb\xcb\0\x71\x05me\0"[..], &b"\0\x5a\x01\xbb\xcb\0\x71\x05"[..]);
    let socks4a = (&b"\x04\x01\x01\xbb\0\0\0\x01me\0behind.example\0"[..], &b"\0\x5a\0\0\0\0\0\0"[..]);
    let socks5 =
        (&b"\x05\x01\x00\x05\x01\x00\x01\xcb\0\x71\x05\x01\xbb"[..], &b"\x05\0\0\x01\xcb\0\x71\x05\x9c\x40"[..]);
    for (request, reply) in [socks4, socks4a, socks5] {
        for size in [1, 2, 3, 5, 8] {
            let home = Home::new();
            let mut relayed = Connection::open(1_000_000, (ME, 50_001), (RELAY, 443), true);
            for piece in request.chunks(size) {
                relayed = relayed.ask(piece);
            }
            let relayed = relayed.answer(reply).ask(&client_hello("behind.example")).answer(&[2; 900]);
            let other =
                Connection::open(9_000_000, (OTHER, 50_002), (RELAY, 443), false).ask(&[9; 50]).answer(&[9; 900]);
            let flows = flows(&home, &write(&home, vec![relayed.packets, other.packets]), "");
            // A hello behind more than 24 segments is not looked for.
            assert!(size == 1 || field(&flows[0], "host") == "behind.example", "{request:?} in pieces of {size}");
            assert_eq!(field(&flows[1], "evidence"), "none", "{request:?} in pieces of {size}");
        }
    }
}

#[test]
fn a_name_asked_of_its_own_server_still_names_the_address() {
    let home = Home::new();
    let web = Connection::open(1_000_000, (ME, 50_001), (RELAY, 443), true).ask(&client_hello("own.example"));
    // Without a hello: it began before the capture.
    let begun = Connection::open(5_000_000, (ME, 50_002), (RELAY, 443), false).ask(&[9; 50]).answer(&[9; 900]);
    let capture = write(&home, vec![web.packets, begun.packets]);
    let flows = flows(&home, &capture, "");
    assert_eq!(field(&flows[1], "host"), "own.example");
    assert_eq!(field(&flows[1], "evidence"), "known");
}

/// A visitor's connections to a web server of ours, seen in different ways.
fn visits(port: u16) -> Vec<(&'static str, Connection)> {
    let visitor = |handshake| Connection::open(1_000_000, (VISITOR, 40_001), (ME, port), handshake);
    vec![
        ("handshake and TLS", visitor(true).ask(&client_hello("www.google.com")).answer(&[1; 3_000][..1_400])),
        ("TLS alone", visitor(false).ask(&client_hello("www.google.com")).answer(&[1; 1_400])),
        ("HTTP", visitor(true).ask(b"GET / HTTP/1.1\r\nHost: www.google.com\r\n\r\n").answer(&[1; 1_400])),
        ("no word", visitor(true).answer(&[1; 1_400])),
    ]
}

#[test]
fn what_visitors_ask_for_names_our_service_by_address_and_no_visit_of_ours() {
    for port in [443, 8_443] {
        for (case, visit) in visits(port) {
            let home = Home::new();
            let capture = write(&home, [ssh_to(VISITOR), vec![visit.packets]].concat());
            ssh_has_no_name(&flows(&home, &capture, ""));
            let json = home.ok(&format!("report {capture} --by served --format json"));
            let (rows, ledger) = support::rows_and_ledger(&json);
            assert_eq!(rows.len(), 1, "{case}: {json}");
            assert_eq!(field(&rows[0], "served"), format!("192.168.1.10:{port}/tcp"), "{case}");
            assert_eq!(ledger["served_bytes"], rows[0]["total_bytes"]);
            assert_eq!((&ledger["named_bytes"], &ledger["residual_bytes"]), (&0.into(), &0.into()));
            let sites = home.ok(&format!("report {capture} --by site --format csv"));
            assert!(!sites.contains("google"), "{case}: {sites}");
        }
    }
}

#[test]
fn the_name_that_a_visitor_asked_for_is_still_told() {
    let home = Home::new();
    let (_, visit) = visits(443).remove(0);
    let capture = write(&home, vec![visit.packets]);
    let flow = flows(&home, &capture, "").remove(0);
    assert_eq!((field(&flow, "host"), field(&flow, "scope")), ("www.google.com", "served"));
    assert!(home.ok(&format!("names {capture}")).contains("www.google.com"));
}

#[test]
fn our_own_dns_shows_which_name_is_ours() {
    let public = [198, 18, 5, 5];
    for (case, own, options) in [("split DNS", ME, ""), ("a public address", public, "--local 198.18.5.0/24")] {
        let home = Home::new();
        let asked = |at_us, client: [u8; 4], name: &str, address| {
            let (client, server) = ((client, 40_000), (RESOLVER, 53));
            let (query, answer) = (dns_query(name), dns_answer(name, address));
            vec![(at_us, udp(client, server, &query)), (at_us + 500, udp(server, client, &answer))]
        };
        let hello = |at_us, port, name: &str| {
            let visit = Connection::open(at_us, (VISITOR, port), (own, 443), true);
            visit.ask(&client_hello(name)).answer(&[1; 1_000]).packets
        };
        let capture = write(
            &home,
            vec![
                asked(500_000, OTHER, "www.mine.example", own),
                hello(2_000_000, 40_001, "www.mine.example"),
                hello(3_000_000, 40_002, "www.other.example"),
            ],
        );
        let json = home.ok(&format!("report {capture} --by served --format json {options}"));
        let (rows, _) = support::rows_and_ledger(&json);
        let mut names: Vec<&str> = rows.iter().map(|row| field(row, "served")).collect();
        names.sort_unstable();
        let own = std::net::Ipv4Addr::from(own);
        assert_eq!(names, [&format!("{own}:443/tcp"), "www.mine.example"], "{case}");
    }
}

#[test]
fn a_report_of_a_server_shows_what_was_served_and_says_so() {
    let home = Home::new();
    let (_, visit) = visits(443).remove(0);
    let capture = write(&home, vec![visit.packets]);
    let table = home.ok(&format!("report {capture}"));
    assert!(table.contains("nothing was visited; others fetched this from our side"), "{table}");
    assert!(table.contains("192.168.1.10:443/tcp"), "{table}");
    let (rows, _) = support::rows_and_ledger(&home.ok(&format!("report {capture} --format json")));
    assert_eq!(field(&rows[0], "served"), "192.168.1.10:443/tcp");
}

#[test]
fn what_a_server_says_like_a_client_names_nothing() {
    let home = Home::new();
    let connection = Connection::open(1_000_000, (ME, 50_001), (RELAY, 5_555), true);
    let connection = connection.ask(b"hi").answer(b"GET / HTTP/1.1\r\nHost: www.google.com\r\n\r\n");
    let capture = write(&home, [ssh_to(RELAY), vec![connection.packets]].concat());
    let flows = flows(&home, &capture, "");
    assert!(flows.iter().all(|flow| field(flow, "host") == "198.51.100.80" && field(flow, "scope") == "visited"));
}

#[test]
fn pings_errors_and_answers_that_come_in_are_told_apart() {
    let icmp = |src: [u8; 4], dst: [u8; 4], kind: u8| {
        let mut frame = udp((src, 0), (dst, 0), &[0; 20]);
        frame[23] = 1; // protocol
        frame[34] = kind;
        frame
    };
    for (kind, scope) in [(8, "served"), (0, "visited"), (11, "visited"), (3, "visited")] {
        let home = Home::new();
        let capture = write(&home, vec![vec![(1_000_000, icmp(VISITOR, ME, kind))]]);
        let flow = flows(&home, &capture, "").remove(0);
        assert_eq!(field(&flow, "scope"), scope, "type {kind}");
    }
}

#[test]
fn the_reported_captures_come_out_right() {
    let home = Home::new();
    let path = |file: &str| testdata(&format!("field/{file}.pcap")).to_string_lossy().into_owned();
    for file in ["proxy-connect", "proxy-absolute-known", "inbound-known-same-dev"] {
        ssh_has_no_name(&flows(&home, &path(file), ""));
    }
    let flows = flows(&home, &path("inbound-known-same-dev"), "");
    let visit = flows.iter().find(|flow| flow["scope"] == "served").unwrap();
    assert_eq!((field(visit, "host"), visit["client_port"].as_u64()), ("cloud.mydomain.org", Some(443)));
}

#[test]
fn datagrams_that_come_in_are_served_unless_they_may_go_on_from_before() {
    let datagram = |at_s: u64, from_us, ports: (u16, u16)| {
        let (own, other) = ((ME, ports.0), (VISITOR, ports.1));
        let (src, dst) = if from_us { (own, other) } else { (other, own) };
        (at_s * 1_000_000, udp(src, dst, &[1; 200]))
    };
    // A binding request of STUN (RFC 8489 section 5).
    let check = |at_s: u64, ports: (u16, u16)| {
        let message = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
        (at_s * 1_000_000, udp((VISITOR, ports.1), (ME, ports.0), &message))
    };
    let cases = [
        ("to a service of ours", vec![datagram(1, false, (27_015, 50_000))], "served"),
        ("an answer of somebody's service", vec![datagram(1, false, (50_000, 27_015))], "visited"),
        (
            "a VPN that may have begun before",
            vec![datagram(1, false, (50_000, 51_820)), datagram(2, true, (50_000, 51_820))],
            "visited",
        ),
        (
            "long after the first packet",
            vec![datagram(1, true, (40_000, 9)), datagram(400, false, (50_000, 51_820))],
            "served",
        ),
        (
            "a call between peers, whose check comes first",
            vec![datagram(1, true, (40_000, 9)), check(400, (50_000, 51_820)), datagram(401, true, (50_000, 51_820))],
            "visited",
        ),
        ("a check to a service of ours", vec![datagram(1, true, (40_000, 9)), check(400, (3_478, 51_820))], "served"),
        ("both time servers", vec![datagram(1, false, (123, 123))], "visited"),
        ("ours, and first", vec![datagram(1, true, (50_000, 51_820))], "visited"),
    ];
    for (case, packets, scope) in cases {
        let home = Home::new();
        let capture = write(&home, vec![packets]);
        let flow = flows(&home, &capture, "").pop().unwrap();
        assert_eq!(field(&flow, "scope"), scope, "{case}");
    }
}

#[test]
fn a_capture_of_a_public_server_leads_to_the_option_that_makes_it_ours() {
    const SERVER: [u8; 4] = [198, 51, 100, 5];
    let visits = (1..=4u8).map(|n| {
        let visitor = ([203, 0, 113, n], 50_000);
        let connection = Connection::open(1_000_000 + u64::from(n), visitor, (SERVER, 443), true);
        connection.ask(&client_hello("www.own.example")).answer(&[7; 1_000]).packets
    });
    let home = Home::new();
    let capture = write(&home, visits.collect());
    let hint = "`--local 198.51.100.5` tells what it served";

    let found = home.analyze(["report", &capture]);
    assert!(found.err.contains("100 % of the bytes are of 198.51.100.5"), "{}", found.err);
    assert!(found.err.contains(hint), "{}", found.err);
    let booked = home.analyze(["ingest", &capture, "--database", "own.db"]);
    assert!(booked.err.contains(hint), "{}", booked.err);

    let found = home.analyze(["report", &capture, "--local", "198.51.100.5"]);
    assert!(!found.err.contains("--local"), "{}", found.err);
    assert!(found.out.contains("served"), "{}", found.out);
}

#[test]
fn data_that_our_side_asked_an_ftp_server_to_bring_is_no_service_of_ours() {
    let home = Home::new();
    for (asked, scope) in [("PORT 192,168,1,10,200,10\r\n", "visited"), ("NOOP\r\n", "served")] {
        let commands = Connection::open(1_000_000, (ME, 50_021), (RELAY, 21), true).ask(asked.as_bytes());
        let data = Connection::open(2_000_000, (RELAY, 20), (ME, 51_210), true).ask(&[7; 1_000]);
        let capture = write(&home, vec![commands.packets, data.packets]);
        let flows = flows(&home, &capture, "");
        let data = flows.iter().find(|flow| flow["server_port"] == 20).unwrap();
        assert_eq!(field(data, "scope"), scope, "{asked}");
    }
}
