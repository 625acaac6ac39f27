//! Packets of tunnels that were longer than the way took, and went in fragments: the flow inside is
//! one, and what is in later fragments names it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Meter, MeterConfig, Observer, Usage};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use std::collections::BTreeSet;
use std::convert::Infallible;

/// Flows (server and its port), names, and bytes of a capture.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    flows: BTreeSet<String>,
    names: Vec<String>,
    bytes: u64,
}

impl Observer for Seen {
    type Error = Infallible;

    fn name(&mut self, _: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.names.push(seen.name.to_string());
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, _: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.flows.insert(format!("{}:{}/{}", flow.server, flow.server_port, flow.proto));
        self.bytes += usage.bytes();
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, _: &[Count]) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Packets without link header, 1 ms apart.
fn through(packets: &[Vec<u8>]) -> Seen {
    let (mut meter, mut seen) = (Meter::new(MeterConfig::default()), Seen::default());
    for (i, data) in packets.iter().enumerate() {
        let ts = UnixNanos(1_793_491_200_000_000_000 + i as i64 * 1_000_000);
        let (orig_len, link_type) = (data.len() as u32, LinkType(101));
        meter.packet(&CapturedPacket { ts, orig_len, link_type, interface: 0, data }, &mut seen).unwrap();
    }
    meter.flush(&mut seen).unwrap();
    seen
}

fn ipv4(proto: u8, ends: ([u8; 4], [u8; 4]), field: u16, payload: &[u8]) -> Vec<u8> {
    let total = (20 + payload.len() as u16).to_be_bytes();
    let field = field.to_be_bytes();
    [&[0x45, 0, total[0], total[1], 0, 7, field[0], field[1], 64, proto, 0, 0][..], &ends.0, &ends.1, payload].concat()
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    let end = |last: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    [&[0x60, 0, 0, 0, len[0], len[1], next, 64][..], &end(1), &end(2), payload].concat()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    [&50_000u16.to_be_bytes()[..], &port.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

const INSIDE: ([u8; 4], [u8; 4]) = ([192, 168, 1, 10], [198, 51, 100, 60]);
const OUTSIDE: ([u8; 4], [u8; 4]) = ([203, 0, 113, 1], [203, 0, 113, 2]);

/// A TCP segment with a hello of 1,300 bytes, its name at the end.
fn inner() -> Vec<u8> {
    let entry = [&[0, 0, 0, 16, 0, 14, 0, 0, 11][..], b"a.piece.com"].concat();
    let extensions = [&[0, 51, 4, 0xb0][..], &[9; 1200], &entry].concat();
    let len = (extensions.len() as u16).to_be_bytes();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &len, &extensions].concat();
    let [_, _, high, low] = (body.len() as u32).to_be_bytes();
    let record = (body.len() as u16 + 4).to_be_bytes();
    let hello = [&[22, 3, 1][..], &record, &[1, 0, high, low], &body].concat();
    let head =
        [&50_000u16.to_be_bytes()[..], &443u16.to_be_bytes(), &[0, 0, 0, 9, 0, 0, 0, 1, 0x50, 24, 9, 9, 0, 0, 0, 0]];
    ipv4(6, INSIDE, 0, &[&head.concat()[..], &hello].concat())
}

/// The fragments of a datagram of the outer IPv4, `size` bytes of it each.
fn pieces(proto: u8, whole: &[u8], size: usize) -> Vec<Vec<u8>> {
    let more = |i: usize| if (i + 1) * size < whole.len() { 0x2000 } else { 0 };
    let piece = |(i, bytes)| ipv4(proto, OUTSIDE, (i * size / 8) as u16 | more(i), bytes);
    whole.chunks(size).enumerate().map(piece).collect()
}

/// The same of IPv6.
fn pieces6(next: u8, whole: &[u8], size: usize) -> Vec<Vec<u8>> {
    let more = |i: usize| u16::from((i + 1) * size < whole.len());
    let piece = |(i, bytes): (usize, &[u8])| {
        let field = ((i * size) as u16 | more(i)).to_be_bytes();
        ipv6(44, &[&[next, 0, field[0], field[1], 0, 0, 0, 7][..], bytes].concat())
    };
    whole.chunks(size).enumerate().map(piece).collect()
}

#[test]
fn a_hello_inside_is_read_from_all_fragments_of_the_tunnels_packet() {
    let ethernet = [&[2; 12][..], &[8, 0], &inner()].concat();
    let carried: [(u8, Vec<u8>); 5] = [
        (4, inner()),
        (47, [&[0, 0, 8, 0][..], &inner()].concat()),
        (47, [&[0x20, 0, 0x65, 0x58, 0, 0, 0, 1][..], &ethernet].concat()),
        (17, udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet].concat())),
        (17, udp(2152, &[&[0x30, 0xff, 5, 0x40, 0, 0, 0, 1][..], &inner()].concat())),
    ];
    for (proto, whole) in carried {
        for size in [96, 512, 800] {
            let forward = pieces(proto, &whole, size);
            let others = pieces6(if proto == 4 { 4 } else { proto }, &whole, size);
            for mut packets in [forward, others] {
                for _ in 0..2 {
                    let seen = through(&packets);
                    let bytes = packets.iter().map(|p| p.len() as u64).sum();
                    let (flows, names) =
                        ([String::from("198.51.100.60:443/6")].into(), vec![String::from("a.piece.com")]);
                    assert_eq!(seen, Seen { flows, names, bytes }, "{proto} in pieces of {size}");
                    packets.reverse();
                }
            }
        }
    }
}

#[test]
fn an_answer_inside_is_read_from_all_fragments_of_the_tunnels_packet() {
    let mut message =
        vec![0, 7, 0x81, 0x80, 0, 1, 0, 40, 0, 0, 0, 0, 1, b'a', 4, b'p', b'a', b'r', b't', 0, 0, 1, 0, 1];
    for i in 0..40 {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, i]);
    }
    let mut datagram = udp(40_000, &message);
    datagram[..2].copy_from_slice(&53u16.to_be_bytes());
    let ends = ([198, 51, 100, 53], [192, 168, 1, 10]);
    let whole = [&[0, 0, 8, 0][..], &ipv4(17, ends, 0, &datagram)].concat();
    for mut packets in [pieces(47, &whole, 200), pieces6(47, &whole, 200)] {
        for _ in 0..2 {
            let seen = through(&packets);
            assert_eq!(seen.flows.len(), 1, "{seen:?}");
            assert!(seen.names.iter().all(|name| name == "a.part") && !seen.names.is_empty(), "{seen:?}");
            packets.reverse();
        }
    }
}
