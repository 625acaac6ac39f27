//! A connection on the ports of one that is over, whose SYN was not seen.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../src/observe/testing.rs"]
mod testing;

use etherparse::PacketBuilder;
use imon_common::observe::{Meter, MeterConfig};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use testing::Seen;

/// A ClientHello with this server name.
fn hello(name: &str) -> Vec<u8> {
    let len = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
    let sni = [&len(name.len() + 3)[..], &[0], &len(name.len()), name.as_bytes()].concat();
    let extension = [&[0, 0][..], &len(sni.len()), &sni].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &len(extension.len()), &extension].concat();
    let handshake = [&[1, 0][..], &len(body.len()), &body].concat();
    [&[22, 3, 1][..], &len(handshake.len()), &handshake].concat()
}

#[test]
fn what_was_over_before_does_not_end_the_next_one_early() {
    let (mut meter, mut seen) = (Meter::new(MeterConfig::default()), Seen::default());
    let mut packet = |second: i64, from_client: bool, ends: bool, seq: u32, payload: &[u8]| {
        let (client, server) = (([192, 168, 1, 2], 50_000), ([203, 0, 113, 9], 443));
        let (src, dst) = if from_client { (client, server) } else { (server, client) };
        let tcp = PacketBuilder::ipv4(src.0, dst.0, 64).tcp(src.1, dst.1, seq, 1_000).ack(1);
        let mut data = Vec::new();
        if ends { tcp.fin() } else { tcp }.write(&mut data, payload).unwrap();
        let (ts, orig_len) = (UnixNanos(second * NANOS_PER_SECOND), data.len() as u32);
        let packet = CapturedPacket { ts, orig_len, link_type: LinkType(101), interface: 0, data: &data };
        meter.packet(&packet, &mut seen).unwrap();
    };
    packet(100, true, false, 1, &hello("a.example"));
    packet(101, false, true, 1, b"bye");
    packet(101, true, true, 200, b"bye");
    packet(102, true, false, 9_000, &hello("b.example"));
    packet(102, false, false, 9_000, &[7; 1_000]);
    // The client says no more, and the server goes on after longer than what is over is kept.
    packet(103, true, true, 9_200, b"");
    packet(190, false, false, 10_000, &[7; 1_000]);
    meter.tick(UnixNanos(i64::MAX), &mut seen).unwrap();
    let bytes: Vec<u64> = seen.usage.values().map(|usage| usage.bytes()).collect();
    assert!(bytes.len() == 2 && bytes.iter().any(|bytes| *bytes > 2_000), "{bytes:?}");
}

/// Packets of each flow, up and down, when these segments pass between two hosts, 100 ms apart:
/// from the client?, flags (`S`, `A` or both), sequence number.
fn packets(segments: &[(bool, &str, u32)]) -> Vec<(u64, u64)> {
    let (mut meter, mut seen) = (Meter::new(MeterConfig::default()), Seen::default());
    for ((from_client, flags, seq), i) in segments.iter().zip(0..) {
        let (client, server) = (([192, 168, 1, 2], 50_000), ([203, 0, 113, 9], 8_000));
        let (src, dst) = if *from_client { (client, server) } else { (server, client) };
        let mut tcp = PacketBuilder::ipv4(src.0, dst.0, 64).tcp(src.1, dst.1, *seq, 1_000);
        tcp = if flags.contains('S') { tcp.syn() } else { tcp };
        tcp = if flags.contains('A') { tcp.ack(1) } else { tcp };
        let mut data = Vec::new();
        tcp.write(&mut data, &[]).unwrap();
        let (ts, orig_len) = (UnixNanos(100 * NANOS_PER_SECOND + i * 100_000_000), data.len() as u32);
        let packet = CapturedPacket { ts, orig_len, link_type: LinkType(101), interface: 0, data: &data };
        meter.packet(&packet, &mut seen).unwrap();
    }
    meter.flush(&mut seen).unwrap();
    seen.usage.values().map(|usage| (usage.up_packets, usage.down_packets)).collect()
}

#[test]
fn syns_that_cross_open_one_connection() {
    // RFC 9293 section 3.5, figure 8.
    let crossing = [(true, "S", 100), (false, "S", 300), (true, "SA", 100), (false, "SA", 300), (true, "A", 101)];
    assert_eq!(packets(&crossing), [(3, 2)]);
    // What was answered with SYN+ACK is over when another SYN comes, from either end.
    let again = [(true, "S", 100), (false, "SA", 300), (true, "A", 101)];
    for opens in [(true, "S", 900), (false, "S", 900)] {
        assert_eq!(packets(&[&again[..], &[opens]].concat()).len(), 2);
    }
}
