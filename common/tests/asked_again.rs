//! Requests for several hosts over one connection, wherever they stand in its segments.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

#[path = "../src/observe/testing.rs"]
mod testing;

use etherparse::PacketBuilder;
use imon_common::observe::{Meter, MeterConfig};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use std::collections::BTreeMap;
use testing::Seen;

/// Packets and bytes up, and bytes down, by the flow's name as it is at the end.
fn by_name(seen: &Seen) -> BTreeMap<&str, (u64, u64, u64)> {
    let mut sums = BTreeMap::<&str, (u64, u64, u64)>::new();
    for (number, usage) in &seen.usage {
        let name = seen.names.get(number).and_then(|names| names.last());
        let sum = sums.entry(name.map_or("", String::as_str)).or_default();
        *sum = (sum.0 + usage.up_packets, sum.1 + usage.up_bytes, sum.2 + usage.down_bytes);
    }
    sums
}

/// IPv4 and TCP headers without options.
const HEADERS: u64 = 40;

/// Segments of a connection through a meter: from the client?, where in its side's stream, payload.
/// `step_ms` between them.
struct Connection {
    meter: Meter,
    seen: Seen,
    now_ms: i64,
    step_ms: i64,
}

impl Connection {
    fn new(step_ms: i64) -> Self {
        Self { meter: Meter::new(MeterConfig::default()), seen: Seen::default(), now_ms: 1_000_010, step_ms }
    }

    fn packet(&mut self, data: &[u8], orig_len: usize) {
        let ts = UnixNanos(self.now_ms * 1_000_000);
        self.now_ms += self.step_ms;
        let orig_len = u32::try_from(orig_len).unwrap();
        let packet = CapturedPacket { ts, orig_len, link_type: LinkType(101), interface: 0, data };
        self.meter.packet(&packet, &mut self.seen).unwrap();
    }

    fn segment(&mut self, from_client: bool, at: usize, payload: &[u8]) {
        let (client, server) = (([192, 168, 1, 2], 50_000), ([203, 0, 113, 9], 80));
        let (src, dst) = if from_client { (client, server) } else { (server, client) };
        let seq = u32::try_from(at).unwrap().wrapping_add(u32::MAX - 100);
        let mut data = Vec::new();
        let tcp = PacketBuilder::ipv4(src.0, dst.0, 64).tcp(src.1, dst.1, seq, 1_000).ack(1);
        tcp.write(&mut data, payload).unwrap();
        self.packet(&data, data.len());
    }

    fn up(&mut self, at: usize, payload: &[u8]) {
        self.segment(true, at, payload);
    }

    fn down(&mut self, payload: &[u8]) {
        self.segment(false, 0, payload);
    }

    fn end(mut self) -> Seen {
        self.meter.flush(&mut self.seen).unwrap();
        self.seen
    }
}

fn get(host: &str) -> Vec<u8> {
    format!("GET /x HTTP/1.1\r\nAccept: */*\r\nHost: {host}\r\nCookie: {}\r\n\r\n", host.repeat(5)).into_bytes()
}

/// A request with a body that looks like another request.
fn post(host: &str) -> Vec<u8> {
    let body = "GET / HTTP/1.1\r\nHost: inside.example\r\n\r\n";
    format!("POST /batch HTTP/1.1\r\nContent-Length: {}\r\nHost: {host}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn of_a_segment_with_several_requests_each_host_has_its_own_bytes() {
    let requests = [get("a.example"), get("b.example"), post("c.example"), get("b.example"), get("a.example")];
    let mut connection = Connection::new(1);
    connection.up(0, &requests.concat());
    connection.down(b"HTTP/1.1 200 OK\r\n\r\n");
    connection.up(requests.concat().len(), &get("d.example"));
    let seen = connection.end();
    let len = |i: usize| requests[i].len() as u64;
    let by_name = by_name(&seen);
    assert_eq!(by_name["a.example"], (1, HEADERS + 2 * len(0), HEADERS + 19));
    assert_eq!(by_name["b.example"], (0, 2 * len(1), 0));
    assert_eq!(by_name["c.example"], (0, len(2), 0));
    assert_eq!(by_name["d.example"], (1, HEADERS + get("d.example").len() as u64, 0));
    assert_eq!((by_name.len(), seen.usage.len()), (4, 6));
}

/// What each host has of a stream of requests that is cut at these places.
fn expected(requests: &[(&'static str, Vec<u8>)], cuts: &[usize]) -> BTreeMap<&'static str, (u64, u64, u64)> {
    let mut sums = BTreeMap::<&str, (u64, u64, u64)>::new();
    let mut begin = 0;
    for (host, bytes) in requests {
        let range = begin..begin + bytes.len();
        let begun = cuts.iter().filter(|cut| range.contains(cut)).count() as u64;
        let sum = sums.entry(host).or_default();
        *sum = (sum.0 + begun, sum.1 + bytes.len() as u64 + begun * HEADERS, 0);
        begin = range.end;
    }
    sums
}

fn requests() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a.example", get("a.example")),
        ("b.example", get("b.example")),
        ("c.example", post("c.example")),
        ("c.example", get("c.example")),
        ("a.example", get("a.example")),
    ]
}

#[test]
fn wherever_a_stream_of_requests_is_cut_each_host_has_its_own_bytes() {
    let requests = requests();
    let stream: Vec<u8> = requests.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    for first in 1..stream.len() {
        let mut cuts = vec![0, first, (first + 97).min(stream.len() - 1)];
        cuts.dedup();
        // In one interval, and in one for each segment: then what a segment shows of a request
        // without its host is with the host before.
        for step_ms in [1, 1_000] {
            let mut connection = Connection::new(step_ms);
            for (from, to) in cuts.iter().copied().zip(cuts.iter().skip(1).copied().chain([stream.len()])) {
                connection.up(from, &stream[from..to]);
            }
            let (seen, expected) = (connection.end(), expected(&requests, &cuts));
            if step_ms == 1 {
                assert_eq!(by_name(&seen), expected, "cut at {cuts:?}");
            }
            assert!(by_name(&seen).keys().eq(expected.keys()), "cut at {cuts:?}: {:?}", by_name(&seen));
            let total = |sums: BTreeMap<&str, (u64, u64, u64)>| sums.values().map(|sum| sum.1).sum::<u64>();
            assert_eq!(total(by_name(&seen)), total(expected), "cut at {cuts:?}");
        }
        // Each segment is sent again with the one before. What follows a request that ended with
        // its segment is not looked for within another one.
        let boundary = |cut: &usize| {
            (1..requests.len()).any(|n| requests[..n].iter().map(|(_, bytes)| bytes.len()).sum::<usize>() == *cut)
        };
        if cuts.iter().any(boundary) {
            continue;
        }
        let mut connection = Connection::new(1);
        let ends: Vec<_> = cuts.iter().skip(1).copied().chain([stream.len()]).collect();
        for (i, end) in ends.iter().enumerate() {
            connection.up(cuts[i.saturating_sub(1)], &stream[cuts[i.saturating_sub(1)]..*end]);
        }
        let seen = connection.end();
        assert!(by_name(&seen).keys().eq(&["a.example", "b.example", "c.example"]), "cut at {cuts:?}");
        assert_eq!(seen.usage.len(), 4, "cut at {cuts:?}: {:?}", by_name(&seen));
    }
}

#[test]
fn a_host_in_the_second_segment_of_a_request_has_the_first_one_as_well() {
    let long = |host: &str| {
        let path = "x".repeat(1_400);
        format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
    };
    let (first, second, third) = (get("a.example"), long("b.example"), long("b.example"));
    let mut connection = Connection::new(1);
    connection.up(0, &first);
    connection.down(&[7; 500]);
    let at = first.len();
    connection.up(at, &second[..1_000]);
    connection.down(&[7; 60]); // the rest of what was asked for before
    connection.up(at, &second[..1_000]); // sent again
    connection.up(at + 1_000, &second[1_000..]);
    connection.down(&[7; 900]);
    // Another one for the same host is no other flow.
    let at = at + second.len();
    connection.up(at + 700, &third[700..]); // out of order
    connection.up(at, &third[..700]);
    let seen = connection.end();
    let [a, b] = [first.len() as u64, (second.len() + 1_000 + third.len()) as u64];
    let expected = BTreeMap::from([
        ("a.example", (1, a + HEADERS, 560 + 2 * HEADERS)),
        ("b.example", (5, b + 5 * HEADERS, 900 + HEADERS)),
    ]);
    assert_eq!((by_name(&seen), seen.usage.len()), (expected, 2));
}

#[test]
fn what_cannot_be_read_stays_with_the_host_before() {
    let chunked =
        b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\n\r\n".to_vec();
    let behind_chunks = [chunked, get("b.example")].concat();
    let no_host = [get("a.example"), b"GET / HTTP/1.0\r\n\r\n".to_vec(), b"GET / HT".to_vec()].concat();
    let no_request = [get("a.example"), b"PUT it here\r\n".to_vec(), get("b.example")].concat();
    for stream in [behind_chunks, no_host, no_request] {
        let mut connection = Connection::new(1);
        connection.up(0, &stream);
        let seen = connection.end();
        assert_eq!(by_name(&seen), BTreeMap::from([("a.example", (1, stream.len() as u64 + HEADERS, 0))]));
    }
    // A header of which the capture has the beginning only.
    let mut connection = Connection::new(990);
    connection.up(0, &get("a.example"));
    let mut data = Vec::new();
    let tcp = PacketBuilder::ipv4([192, 168, 1, 2], [203, 0, 113, 9], 64).tcp(50_000, 80, 200, 1_000).ack(1);
    tcp.write(&mut data, &get("b.example")).unwrap();
    connection.packet(&data[..60], data.len());
    connection.down(&[7; 100]);
    let seen = connection.end();
    assert_eq!(by_name(&seen).keys().copied().collect::<Vec<_>>(), ["a.example"]);
}

#[test]
fn what_looks_like_a_request_in_an_answer_asks_for_nothing() {
    let (first, second) = (get("a.example"), get("b.example"));
    let in_answer = get("c.example");
    for answer in [&in_answer[..], &in_answer[..20], &[&first[..], &in_answer].concat()] {
        let mut connection = Connection::new(1);
        connection.up(0, &first);
        connection.down(answer);
        // Who follows the answer misses this.
        connection.up(first.len(), &second[..30]);
        connection.up(first.len() + 30, &second[30..]);
        let seen = connection.end();
        let down = answer.len() as u64 + HEADERS;
        let [a, b] = [first.len() as u64 + HEADERS, second.len() as u64 + 2 * HEADERS];
        assert_eq!(by_name(&seen), BTreeMap::from([("a.example", (1, a, down)), ("b.example", (2, b, 0))]));
    }
}

#[test]
fn a_connection_that_only_begins_requests_takes_no_more_than_it_should() {
    let mut connection = Connection::new(1);
    let (mut bytes, mut at) = (0, 0);
    for n in 0..5_000_usize {
        let piece = match n % 4 {
            0 => get("a.example"),
            1 => b"GET /".to_vec(),
            2 => [get("b.example"), b"GET /".to_vec()].concat(),
            _ => vec![b'x'; 1_400],
        };
        connection.up(at, &piece);
        at += piece.len() + n % 3;
        bytes += piece.len() as u64 + HEADERS;
    }
    let total: u64 = connection.end().usage.values().map(|usage| usage.bytes()).sum();
    assert_eq!(total, bytes);
}

/// A frame of HTTP/2 of stream 1.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

/// A request of HTTP/2: `GET` with this field for its authority, and a body.
fn h2_request(authority: &[u8]) -> Vec<u8> {
    let block = [&b"\x82\x86\x84"[..], authority].concat();
    [frame(1, 4, &block), frame(0, 1, &[7; 40])].concat()
}

/// The same with a header block in three frames, the first one padded.
fn h2_request_in_frames(authority: &[u8]) -> Vec<u8> {
    let (first, rest) = authority.split_at(1);
    let padded = [&b"\x05\x82\x86\x84"[..], first, &[0; 5]].concat();
    let (middle, last) = rest.split_at(rest.len() / 2);
    [frame(1, 8, &padded), frame(9, 0, middle), frame(9, 4, last)].concat()
}

#[test]
fn requests_of_http2_for_other_hosts_begin_flows_wherever_they_are_cut() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [frame(4, 0, &[]), frame(8, 0, &[0, 0, 255, 255])].concat();
    let requests = [
        // With an index, by the index, without one, and again by the index of the first.
        ("a.example", [&preface[..], &settings, &h2_request(b"\x41\x09a.example")].concat()),
        ("a.example", h2_request(b"\xbe")),
        ("b.example", h2_request(b"\x01\x09b.example")),
        ("b.example", frame(6, 0, &[1; 8])),
        ("c.example", h2_request_in_frames(b"\x41\x09c.example")),
        ("a.example", h2_request(b"\xbf")),
        ("c.example", h2_request(b"\xbe")),
    ];
    let stream: Vec<u8> = requests.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    for cut in 1..=stream.len() {
        let mut connection = Connection::new(1);
        connection.up(0, &stream[..cut]);
        connection.up(0, &stream[..cut]); // sent again
        connection.down(&[0; 100]);
        connection.up(cut, &stream[cut..]);
        let seen = connection.end();
        let by_name = by_name(&seen);
        assert!(by_name.keys().eq(&["a.example", "b.example", "c.example"]), "cut at {cut}: {by_name:?}");
        let total = by_name.values().map(|sum| sum.1).sum::<u64>();
        assert_eq!(total, (stream.len() + cut) as u64 + 3 * HEADERS);
        if cut == stream.len() {
            let sent: u64 = requests.iter().filter(|(host, _)| *host == "b.example").map(|(_, b)| b.len() as u64).sum();
            assert_eq!(by_name["b.example"], (0, sent, 0));
        }
    }
    // Behind a gap nothing is known: all stays with the host that was asked last.
    let mut connection = Connection::new(1);
    connection.up(0, &requests[0].1);
    let at = requests[0].1.len();
    connection.up(at + 10, &requests[2].1);
    connection.up(at + 10 + requests[2].1.len(), &requests[4].1);
    assert_eq!(by_name(&connection.end()).keys().copied().collect::<Vec<_>>(), ["a.example"]);
}

#[test]
fn a_body_in_chunks_asks_for_nothing_and_what_follows_it_does() {
    let head = b"POST /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n";
    let inside = get("inside.example");
    let (next, ok) = (get("b.example"), b"HTTP/1.1 200 OK\r\n\r\n");
    // With its end, and without: lost, or followed by fields; and with an answer that goes on.
    let ends: [(&[u8], &[u8]); 3] =
        [(b"0\r\n\r\n", b""), (b"0\r\nX: y\r\n\r\n", b""), (b"0\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n")];
    for (end, answer) in ends {
        // The header in one segment, and in two.
        for cut in [head.len(), 20] {
            let mut connection = Connection::new(1);
            let mut at = 0;
            let mut up = |connection: &mut Connection, payload: &[u8]| {
                connection.up(at, payload);
                at += payload.len();
            };
            up(&mut connection, &head[..cut]);
            if cut < head.len() {
                up(&mut connection, &head[cut..]);
            }
            if !answer.is_empty() {
                connection.down(answer);
            }
            // In the middle, and in the last segment.
            up(&mut connection, &inside);
            up(&mut connection, &[&inside[..], b"\r\n", end].concat());
            connection.down(ok);
            up(&mut connection, &next);
            let seen = connection.end();
            let sums = by_name(&seen);
            assert_eq!(sums.keys().copied().collect::<Vec<_>>(), ["a.example", "b.example"], "{cut} {end:?}");
            assert_eq!(sums["b.example"], (1, HEADERS + next.len() as u64, 0));
        }
    }
}
