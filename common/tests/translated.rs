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
    let both = syn((OUTER, ([198, 51, 100, 81], 443)));
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
