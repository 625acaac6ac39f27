//! More than can be held: a scan of more flows than the table has places for, and packets that come
//! faster than names can be looked for. Memory stays, and every byte is counted.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Counter, Meter, MeterConfig, Names, Observer, Usage};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::segment::{SegmentHeader, SegmentWriter};
use imon_common::time::UnixNanos;
use std::convert::Infallible;

/// Raw IP.
const LINK: LinkType = LinkType(101);

/// 28 bytes and the payload, from 192.168.0.2 to `server`.
fn udp(server: [u8; 4], ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    let mut bytes = vec![0x45, 0];
    bytes.extend((20 + length).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 17, 0, 0, 192, 168, 0, 2]);
    bytes.extend(server);
    for field in [ports.0, ports.1, length, 0] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend(payload);
    bytes
}

fn packet(data: &[u8], ts: UnixNanos) -> CapturedPacket<'_> {
    CapturedPacket { ts, orig_len: data.len() as u32, link_type: LINK, interface: 0, data }
}

/// Most resident memory of this process so far, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// `IMON_SCAN` sets the number of flows; 10,000,000 is what a scan of a day may have.
#[test]
fn a_scan_costs_a_fixed_amount_of_memory_and_every_byte_is_counted() {
    let flows: u32 = std::env::var("IMON_SCAN").map_or(300_000, |n| n.parse().unwrap());
    let header = SegmentHeader {
        segment: [1; 16],
        recorder: [2; 16],
        run: [3; 16],
        link_type: LINK,
        interface: "test0".into(),
        ..SegmentHeader::default()
    };
    let before = peak_kib();
    let mut writer = SegmentWriter::create(std::io::sink(), &header).unwrap();
    let mut meter = Meter::new(MeterConfig::default());
    for n in 0..flows {
        let [a, b, c, d] = n.to_be_bytes();
        let data = udp([20 + a, b, c, d], (40_000, 443), &[0xc0, 0, 0, 0, 1, d, c, b, a]);
        meter.packet(&packet(&data, UnixNanos(i64::from(n) * 10_000)), &mut writer).unwrap();
    }
    meter.flush(&mut writer).unwrap();
    let (_, totals) = writer.finish().unwrap();
    assert_eq!((totals.packets, totals.bytes), (u64::from(flows), 37 * u64::from(flows)));
    let more = peak_kib() - before;
    assert!(more < 32 * 1024, "{more} KiB");
}

#[derive(Default)]
struct Books {
    names: usize,
    usage: Usage,
    given_up: u64,
}

impl Observer for Books {
    type Error = Infallible;
    fn name(&mut self, _: &Flow, _: &NameSeen) -> Result<(), Infallible> {
        self.names += 1;
        Ok(())
    }
    fn usage(&mut self, _: &Flow, _: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.usage.add(usage);
        Ok(())
    }
    fn counts(&mut self, _: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        self.given_up += counts.iter().filter(|c| c.counter == Counter::NamesGivenUp).map(|c| c.packets).sum::<u64>();
        Ok(())
    }
}

#[test]
fn while_names_are_not_looked_for_bytes_are_counted_and_the_loss_is_stated() {
    let request = b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
    let mut books = Books::default();
    let mut meter = Meter::new(MeterConfig::default());
    for (server, look) in [(1, true), (2, false), (3, true)] {
        meter.set_names(if look { Names::LookedFor } else { Names::PassedOver });
        let mut tcp = vec![0x45, 0, 0, 40 + request.len() as u8, 0, 0, 0, 0, 64, 6, 0, 0, 192, 168, 0, 2];
        tcp.extend([198, 51, 100, server, 0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
        tcp.extend(request);
        let Ok(()) = meter.packet(&packet(&tcp, UnixNanos(0)), &mut books);
    }
    let Ok(()) = meter.flush(&mut books);
    assert_eq!((books.names, books.given_up, books.usage.packets()), (2, 1, 3));
    assert_eq!(books.usage.bytes(), 3 * (40 + request.len() as u64));
}
