//! A connection on the ports of one that is over, whose SYN was not seen.
#![allow(clippy::unwrap_used, missing_docs)]

use etherparse::PacketBuilder;
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Meter, MeterConfig, Observer, Usage};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// Bytes by number of flow.
#[derive(Default)]
struct Flows(BTreeMap<u64, u64>);

impl Observer for Flows {
    type Error = Infallible;

    fn name(&mut self, _: &Flow, _: &NameSeen) -> Result<(), Infallible> {
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, _: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        *self.0.entry(flow.number).or_default() += usage.bytes();
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, _: &[Count]) -> Result<(), Infallible> {
        Ok(())
    }
}

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
    let (mut meter, mut flows) = (Meter::new(MeterConfig::default()), Flows::default());
    let mut packet = |second: i64, from_client: bool, ends: bool, seq: u32, payload: &[u8]| {
        let (client, server) = (([192, 168, 1, 2], 50_000), ([203, 0, 113, 9], 443));
        let (src, dst) = if from_client { (client, server) } else { (server, client) };
        let tcp = PacketBuilder::ipv4(src.0, dst.0, 64).tcp(src.1, dst.1, seq, 1_000).ack(1);
        let mut data = Vec::new();
        if ends { tcp.fin() } else { tcp }.write(&mut data, payload).unwrap();
        let (ts, orig_len) = (UnixNanos(second * NANOS_PER_SECOND), data.len() as u32);
        let packet = CapturedPacket { ts, orig_len, link_type: LinkType(101), interface: 0, data: &data };
        meter.packet(&packet, &mut flows).unwrap();
    };
    packet(100, true, false, 1, &hello("a.example"));
    packet(101, false, true, 1, b"bye");
    packet(101, true, true, 200, b"bye");
    packet(102, true, false, 9_000, &hello("b.example"));
    packet(102, false, false, 9_000, &[7; 1_000]);
    // The client says no more, and the server goes on after longer than what is over is kept.
    packet(103, true, true, 9_200, b"");
    packet(190, false, false, 10_000, &[7; 1_000]);
    meter.tick(UnixNanos(i64::MAX), &mut flows).unwrap();
    assert_eq!(flows.0.len(), 2, "{:?}", flows.0);
    assert!(flows.0.values().any(|bytes| *bytes > 2_000), "{:?}", flows.0);
}
