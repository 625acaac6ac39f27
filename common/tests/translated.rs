//! What passes a translator of addresses (NAT) between two interfaces of one capture counts once,
//! in one flow.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Counter, Meter, MeterConfig, Observer, Usage};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;

const US: i64 = 1_000;
const MS: i64 = 1_000 * US;

type End = ([u8; 4], u16);

const INNER: End = ([172, 17, 0, 2], 50_001);
const OUTER: End = ([192, 168, 1, 10], 61_000);
const SERVER: End = ([198, 51, 100, 80], 443);

/// Interfaces: behind the translator, and in front.
const INSIDE: u32 = 1;
const OUTSIDE: u32 = 2;

#[derive(Debug, Default)]
struct Booked {
    flows: BTreeMap<String, Usage>,
    copies: u64,
}

impl Observer for Booked {
    type Error = Infallible;

    fn name(&mut self, _: &Flow, _: &NameSeen) -> Result<(), Infallible> {
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, _: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        let name = format!("{}:{}>{}:{}", flow.client, flow.client_port, flow.server, flow.server_port);
        self.flows.entry(name).or_default().add(usage);
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        self.copies += counts.iter().filter(|c| c.counter == Counter::Copy).map(|c| c.packets).sum::<u64>();
        Ok(())
    }
}

/// An IPv4 packet.
fn v4(proto: u8, id: u16, ttl: u8, (src, dst): (End, End), rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((24 + rest.len() as u16).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend([0x40, 0, ttl, proto, ttl, ttl]);
    packet.extend([src.0, dst.0].concat());
    packet.extend([src.1.to_be_bytes(), dst.1.to_be_bytes()].concat());
    packet.extend(rest);
    packet
}

fn tcp(ends: (End, End), n: u16, flags: u8, ttl: u8, payload: &[u8]) -> Vec<u8> {
    let mut rest = (u32::from(n) * 7_919).to_be_bytes().to_vec();
    rest.extend((u32::from(n) * 104_729).to_be_bytes());
    rest.extend([0x50, flags, 200, 0, ttl, ttl, 0, 0]);
    rest.extend(payload);
    v4(6, n, ttl, ends, &rest)
}

fn udp(ends: (End, End), id: u16, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    v4(17, id, 64, ends, &[&len.to_be_bytes()[..], &[0, 0], payload].concat())
}

struct Capture {
    meter: Meter,
    booked: Booked,
    at: i64,
}

impl Capture {
    fn new() -> Self {
        let mut meter = Meter::new(MeterConfig::default());
        meter.expect_copies();
        Self { meter, booked: Booked::default(), at: 0 }
    }

    fn see(mut self, interface: u32, data: &[u8]) -> Self {
        let ts = UnixNanos(1_790_000_000_000_000_000 + self.at);
        let packet = CapturedPacket { ts, orig_len: data.len() as u32, link_type: LinkType(101), interface, data };
        self.meter.packet(&packet, &mut self.booked).unwrap();
        self.at += 20 * US;
        self
    }

    fn later(mut self, by: i64) -> Self {
        self.at += by;
        self
    }

    /// A packet from within to the outside, on both sides.
    fn out(self, inner: End, outer: End, n: u16, flags: u8) -> Self {
        let on = |src, ttl| tcp((src, SERVER), n, flags, ttl, if flags & 8 != 0 { b"data" } else { b"" });
        self.see(INSIDE, &on(inner, 64)).see(OUTSIDE, &on(outer, 63)).later(MS)
    }

    /// One from outside.
    fn back(self, inner: End, outer: End, n: u16, flags: u8) -> Self {
        let on = |dst, ttl| tcp((SERVER, dst), n, flags, ttl, &[7; 1_000]);
        self.see(OUTSIDE, &on(outer, 50)).see(INSIDE, &on(inner, 49)).later(MS)
    }

    /// Flows with their packets up and down, and copies.
    fn end(mut self) -> (Vec<(String, u64, u64)>, u64) {
        self.meter.flush(&mut self.booked).unwrap();
        let flows = self.booked.flows.iter();
        (flows.map(|(name, u)| (name.clone(), u.up_packets, u.down_packets)).collect(), self.booked.copies)
    }
}

fn shown(client: End, server: End) -> String {
    let [client_address, server_address] = [client.0, server.0].map(Ipv4Addr::from);
    format!("{client_address}:{}>{server_address}:{}", client.1, server.1)
}

const SYN: u8 = 2;
const SYN_ACK: u8 = 18;
const ACK: u8 = 16;
const DATA: u8 = 24;

#[test]
fn a_connection_through_a_router_is_one_flow_of_its_inner_side() {
    let capture = Capture::new().out(INNER, OUTER, 1, SYN).back(INNER, OUTER, 2, SYN_ACK).out(INNER, OUTER, 3, DATA);
    let capture = (4..20).fold(capture, |capture, n| capture.back(INNER, OUTER, n, DATA));
    assert_eq!(capture.end(), (vec![(shown(INNER, SERVER), 2, 17)], 19));
    // The port may stay as it is.
    let outer = (OUTER.0, INNER.1);
    let capture = Capture::new().out(INNER, outer, 1, SYN).back(INNER, outer, 2, SYN_ACK);
    assert_eq!(capture.end(), (vec![(shown(INNER, SERVER), 1, 1)], 2));
}

#[test]
fn one_that_is_met_in_the_middle_is_its_inner_side_s_from_its_second_packet_on() {
    let capture = Capture::new().back(INNER, OUTER, 2, ACK).back(INNER, OUTER, 3, DATA).out(INNER, OUTER, 4, ACK);
    let flows = vec![(shown(INNER, SERVER), 1, 1), (shown(OUTER, SERVER), 0, 1)];
    assert_eq!(capture.end(), (flows, 3));
}

#[test]
fn a_forwarded_port_is_one_flow_of_the_address_that_was_asked() {
    let (visitor, ours, inside) = (([203, 0, 113, 9], 40_000), ([192, 168, 1, 10], 80), ([172, 17, 0, 2], 8_080));
    let ask = |dst, n, flags| tcp((visitor, dst), n, flags, 60, b"");
    let answer = |src, n, flags| tcp((src, visitor), n, flags, 60, b"page");
    let mut capture = Capture::new().see(OUTSIDE, &ask(ours, 1, SYN)).see(INSIDE, &ask(inside, 1, SYN));
    for n in [2, 4, 6] {
        capture = capture.see(INSIDE, &answer(inside, n, SYN_ACK)).see(OUTSIDE, &answer(ours, n, SYN_ACK));
        capture = capture.see(OUTSIDE, &ask(ours, n + 1, ACK)).see(INSIDE, &ask(inside, n + 1, ACK));
    }
    assert_eq!(capture.end(), (vec![(shown(ours, visitor), 3, 4)], 7));
}

#[test]
fn ports_that_are_given_to_another_host_are_its_own() {
    let other = ([172, 17, 0, 3], 40_404);
    let capture = Capture::new().out(INNER, OUTER, 1, SYN).back(INNER, OUTER, 2, SYN_ACK).later(MS);
    let capture = capture.out(other, OUTER, 3, SYN).back(other, OUTER, 4, SYN_ACK).back(other, OUTER, 5, DATA);
    assert_eq!(capture.end(), (vec![(shown(INNER, SERVER), 1, 1), (shown(other, SERVER), 1, 2)], 5));
}

#[test]
fn datagrams_are_known_by_their_payload() {
    let ask = |src| udp((src, SERVER), 0, b"0123456789abcdef, and more");
    let answer = |dst| udp((SERVER, dst), 0, b"fedcba9876543210, and less");
    let through = |capture: Capture| {
        let capture = capture.see(INSIDE, &ask(INNER)).see(OUTSIDE, &ask(OUTER));
        capture.see(OUTSIDE, &answer(OUTER)).see(INSIDE, &answer(INNER))
    };
    assert_eq!(through(Capture::new()).end(), (vec![(shown(INNER, SERVER), 1, 1)], 2));
    // A few bytes may be chance.
    let short = |src| udp((src, SERVER), 0, b"ping");
    assert_eq!(Capture::new().see(INSIDE, &short(INNER)).see(OUTSIDE, &short(OUTER)).end().1, 0);
}

#[test]
fn what_resembles_a_translation_and_is_none_counts() {
    let syn = |ends| tcp(ends, 1, SYN, 64, b"");
    let first = syn((INNER, SERVER));
    // Whoever passes on what it received is no translator: no identification, or one of its own.
    let both = tcp((OUTER, ([198, 51, 100, 81], 443)), 1, SYN, 64, b"");
    let both = [&both[..4], &[0, 7], &both[6..]].concat();
    let other_numbers = tcp((OUTER, SERVER), 2, SYN, 64, b"");
    for (case, second, interface, after) in [
        ("both ends differ", &both, OUTSIDE, 0),
        ("other numbers", &other_numbers, OUTSIDE, 0),
        ("on the same interface", &syn((OUTER, SERVER)), INSIDE, 0),
        ("much later", &syn((OUTER, SERVER)), OUTSIDE, 200 * MS),
    ] {
        let (flows, copies) = Capture::new().see(INSIDE, &first).later(after).see(interface, second).end();
        assert_eq!((flows.len(), copies), (2, 0), "{case}");
    }
    // A program says the same to a group by each of its interfaces.
    let group = ([224, 0, 0, 251], 5_353);
    let announce = |src| udp((src, group), 0, b"0123456789abcdef, and more");
    let capture = Capture::new().see(INSIDE, &announce((INNER.0, 5_353))).see(OUTSIDE, &announce((OUTER.0, 5_353)));
    assert_eq!(capture.end().1, 0);
}

#[test]
fn what_is_remembered_is_bounded_and_a_flood_costs_no_byte() {
    let mut capture = Capture::new();
    for n in 0..20_000_u32 {
        let inner = ([172, 17, (n >> 8) as u8, n as u8], 50_000);
        let outer = (OUTER.0, 1_024 + n as u16);
        capture = capture.see(INSIDE, &tcp((inner, SERVER), n as u16, SYN, 64, b""));
        capture = capture.see(OUTSIDE, &tcp((outer, SERVER), n as u16, SYN, 63, b""));
    }
    let totals = capture.meter.totals();
    assert_eq!(totals.ip_packets + totals.copies, 40_000);
    assert_eq!(capture.end().1, 20_000);
}

/// A datagram in three pieces, of which the first one shows ports.
fn pieces(ends: (End, End), id: u16, ttl: u8) -> [Vec<u8>; 3] {
    let whole = udp(ends, id, &(0..200).collect::<Vec<u8>>());
    [(0, 64), (64, 128), (128, 208)].map(|(from, to)| {
        let mut piece = [&whole[..20], &whole[20 + from..20 + to]].concat();
        let total = (20 + to - from) as u16;
        let field = (from / 8) as u16 | if to == 208 { 0 } else { 0x2000 };
        piece[2..4].copy_from_slice(&total.to_be_bytes());
        piece[6..8].copy_from_slice(&field.to_be_bytes());
        piece[8] = ttl;
        piece
    })
}

#[test]
fn datagrams_in_pieces_count_once_in_the_flow_of_the_inner_side() {
    let both = |mut capture: Capture, interfaces: [u32; 2], sides: [[Vec<u8>; 3]; 2]| {
        // The kernel puts pieces together before it translates, and cuts them again.
        for (interface, pieces) in interfaces.into_iter().zip(sides) {
            for piece in pieces {
                capture = capture.see(interface, &piece);
            }
        }
        capture.later(MS)
    };
    let out = |capture, id| {
        both(capture, [INSIDE, OUTSIDE], [(INNER, 64), (OUTER, 63)].map(|(end, ttl)| pieces((end, SERVER), id, ttl)))
    };
    let back = |capture, id| {
        both(capture, [OUTSIDE, INSIDE], [(OUTER, 50), (INNER, 49)].map(|(end, ttl)| pieces((SERVER, end), id, ttl)))
    };
    let capture = back(back(out(out(Capture::new(), 1), 2), 3), 4);
    assert_eq!(capture.end(), (vec![(shown(INNER, SERVER), 6, 6)], 12));
    // Another datagram on the other side is none of these.
    let capture =
        both(Capture::new(), [INSIDE, OUTSIDE], [pieces((INNER, SERVER), 1, 64), pieces((OUTER, SERVER), 2, 63)]);
    assert_eq!(capture.end().1, 0);
}

/// An ICMP message about a packet: unreachable, or time exceeded.
fn error(kind: u8, (src, dst): ([u8; 4], [u8; 4]), about: &[u8], ttl: u8) -> Vec<u8> {
    let rest = [&[0, 0, 0, 0][..], &about[..28]].concat();
    v4(1, 77, ttl, ((src, u16::from(kind) << 8), (dst, u16::from(ttl))), &rest)
}

#[test]
fn errors_and_echoes_of_icmp_count_once() {
    let router = [203, 0, 113, 1];
    for kind in [3, 11] {
        let about = |end: End| udp((end, SERVER), 9, b"0123456789abcdef");
        let capture = Capture::new().see(OUTSIDE, &error(kind, (router, OUTER.0), &about(OUTER), 60));
        let capture = capture.see(INSIDE, &error(kind, (router, INNER.0), &about(INNER), 59));
        // One about another packet is another one.
        let other = udp((INNER, SERVER), 10, b"0123456789abcdef");
        let (flows, copies) = capture.see(INSIDE, &error(kind, (router, INNER.0), &other, 59)).end();
        assert_eq!((flows.iter().map(|flow| flow.1 + flow.2).sum::<u64>(), copies), (2, 1), "{kind}");
    }
    // The identifier of an echo is translated like a port.
    let echo = |(src, dst): ([u8; 4], [u8; 4]), kind: u8, id: u16, sequence: u16, ttl: u8| {
        let rest = [&id.to_be_bytes()[..], &sequence.to_be_bytes(), b"0123456789abcdef"].concat();
        v4(1, 0, ttl, ((src, u16::from(kind) << 8), (dst, id)), &rest)
    };
    let mut capture = Capture::new();
    for sequence in 0..3 {
        for (kind, ttl) in [(8, 64), (0, 50)] {
            let (inner, outer) = ((INNER.0, SERVER.0), (OUTER.0, SERVER.0));
            let turn = |(a, b)| if kind == 8 { (a, b) } else { (b, a) };
            let inside = (INSIDE, echo(turn(inner), kind, 5, sequence, ttl));
            let outside = (OUTSIDE, echo(turn(outer), kind, 900, sequence, ttl - 1));
            for (interface, bytes) in if kind == 8 { [inside, outside] } else { [outside, inside] } {
                capture = capture.see(interface, &bytes);
            }
        }
    }
    let (flows, copies) = capture.later(MS).end();
    assert_eq!((flows.iter().map(|flow| flow.1 + flow.2).sum::<u64>(), copies), (6, 6));
}

/// A container asks a port of its own host, which another container serves: source and destination
/// are translated at once.
#[test]
fn a_connection_whose_ends_are_both_translated_is_one_flow() {
    let (asks, published) = (([172, 17, 0, 2], 50_001), ([192, 168, 1, 10], 80));
    let (bridge, serves) = (([172, 17, 0, 1], 61_000), ([172, 17, 0, 3], 8_080));
    let out = |capture: Capture, n, flags| {
        let capture = capture.see(INSIDE, &tcp((asks, published), n, flags, 64, b""));
        capture.see(OUTSIDE, &tcp((bridge, serves), n, flags, 63, b"")).later(MS)
    };
    let back = |capture: Capture, n, flags| {
        let capture = capture.see(OUTSIDE, &tcp((serves, bridge), n, flags, 64, b"page"));
        capture.see(INSIDE, &tcp((published, asks), n, flags, 63, b"page")).later(MS)
    };
    let capture = out(back(out(Capture::new(), 1, SYN), 2, SYN_ACK), 3, ACK);
    let capture = (4..9).fold(capture, |capture, n| back(capture, n, DATA));
    assert_eq!(capture.end(), (vec![(shown(asks, published), 2, 6)], 8));
    // Met in the middle, with what is asked: it stays as it was seen first.
    let capture = back(out(out(Capture::new(), 1, ACK), 2, DATA), 3, DATA);
    assert_eq!(capture.end(), (vec![(shown(asks, published), 2, 1)], 3));
    // Who is several routers away is no translator of this machine.
    let far = |ttl| tcp((bridge, serves), 1, ACK, ttl, b"");
    for (ttl, copies) in [(62, 1), (66, 1), (61, 0), (67, 0)] {
        let capture = Capture::new().see(INSIDE, &tcp((asks, published), 1, ACK, 64, b"")).see(OUTSIDE, &far(ttl));
        assert_eq!(capture.end().1, copies, "{ttl}");
    }
    // Met in the middle, with an answer: its second packet is in the right flow.
    let capture = out(back(back(Capture::new(), 2, DATA), 3, DATA), 4, ACK);
    assert_eq!(capture.end().1, 3);
    // Datagrams with an identification likewise.
    let ask = |ends, id| udp(ends, id, b"0123456789abcdef");
    let capture = Capture::new().see(INSIDE, &ask((asks, published), 5)).see(OUTSIDE, &ask((bridge, serves), 5));
    assert_eq!(capture.end(), (vec![(shown(asks, published), 1, 0)], 1));
    // Who passes on what it was told is no translator.
    let capture = Capture::new().see(INSIDE, &ask((asks, published), 0)).see(OUTSIDE, &ask((bridge, serves), 0));
    assert_eq!(capture.end().1, 0);
    let capture = Capture::new().see(INSIDE, &ask((asks, published), 5)).see(OUTSIDE, &ask((bridge, serves), 6));
    assert_eq!(capture.end().1, 0);
}

/// An IPv6 packet of TCP or UDP with these addresses, made of an IPv4 packet (RFC 7915 section 4).
fn as_v6(packet: &[u8], ends: ([u8; 16], [u8; 16]), ports: Option<(u16, u16)>) -> Vec<u8> {
    let mut rest = packet[20..].to_vec();
    if let Some((src, dst)) = ports {
        rest[..4].copy_from_slice(&[src.to_be_bytes(), dst.to_be_bytes()].concat());
    }
    let head = [&[0x60, 0, 0, 0][..], &(rest.len() as u16).to_be_bytes(), &[packet[9], 63]].concat();
    [&head[..], &ends.0, &ends.1, &rest].concat()
}

/// `198.51.100.80` behind a prefix of 96 bits, and of 64.
const TRANSLATED: [[u8; 16]; 2] = [
    [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 198, 51, 100, 80],
    [0x20, 1, 0xd, 0xb8, 1, 0x22, 3, 0x44, 0, 198, 51, 100, 80, 0, 0, 0],
];
const SIX: [u8; 16] = [0x20, 1, 0xd, 0xb8, 4, 0x64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

#[test]
fn a_translation_between_ipv4_and_ipv6_counts_once_and_the_longer_one() {
    for (case, server) in TRANSLATED.into_iter().enumerate() {
        // 464XLAT translates within the machine (RFC 6877), NAT64 for others (RFC 6146): whose
        // packets are seen first stands for both, and NAT64 has ports of its own.
        for (four_first, port) in [(true, None), (false, Some(4_000))] {
            let mut capture = Capture::new();
            for n in 1..=6 {
                let flags = [SYN, SYN_ACK, DATA][(n as usize - 1).min(2)];
                let is_up = n % 2 == 1;
                let (ends, six, ports) = match is_up {
                    true => ((INNER, SERVER), (SIX, server), port.map(|port| (port, SERVER.1))),
                    false => ((SERVER, INNER), (server, SIX), port.map(|port| (SERVER.1, port))),
                };
                let four = tcp(ends, n, flags, 64, if flags == DATA { &[7; 100] } else { b"" });
                let six = as_v6(&four, six, ports);
                let inside = if four_first { &four } else { &six };
                let outside = if four_first { &six } else { &four };
                capture = match is_up {
                    true => capture.see(INSIDE, inside).see(OUTSIDE, outside),
                    false => capture.see(OUTSIDE, outside).see(INSIDE, inside),
                };
                capture = capture.later(MS);
            }
            capture.meter.flush(&mut capture.booked).unwrap();
            let usage: Vec<&Usage> = capture.booked.flows.values().collect();
            assert_eq!(usage.len(), 1, "{case} {:?}", capture.booked.flows);
            assert_eq!((usage[0].up_packets, usage[0].down_packets, capture.booked.copies), (3, 3, 6));
            // IPv6 with TCP, and 100 bytes in four packets: what the outer link carries of 464XLAT.
            assert_eq!(usage[0].bytes(), 6 * 60 + 4 * 100, "{case} {:?}", capture.booked.flows);
        }
    }
}

#[test]
fn packets_of_ipv4_and_ipv6_without_an_address_in_common_are_two() {
    let four = tcp((INNER, SERVER), 1, DATA, 64, b"data");
    let elsewhere = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    let other_port = as_v6(&four, (SIX, TRANSLATED[0]), Some((INNER.1, 8_443)));
    for six in [as_v6(&four, (SIX, elsewhere), None), other_port] {
        let (flows, copies) = Capture::new().see(INSIDE, &four).see(OUTSIDE, &six).end();
        assert_eq!((flows.len(), copies), (2, 0));
    }
    // The payload of UDP tells as well, if there is enough of it; the same interface is none.
    let ends = (INNER, SERVER);
    for (payload, interface, flows) in [(&[7; 16][..], OUTSIDE, 1), (&[7; 15], OUTSIDE, 2), (&[7; 16], INSIDE, 2)] {
        let four = udp(ends, 1, payload);
        let six = as_v6(&four, (SIX, TRANSLATED[0]), None);
        let (found, _) = Capture::new().see(INSIDE, &four).see(interface, &six).end();
        assert_eq!(found.len(), flows, "{} bytes", payload.len());
    }
}
