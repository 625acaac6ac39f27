//! The short way, of most packets: they move bytes in a flow that is known and in which nothing is
//! looked for any more.

use super::super::expected::Expected;
use super::Meter;
use super::flows::HANDSHAKE;
use crate::flow::{Asks, Entry, FlowKey, Side};
use crate::names::dhcp;
use crate::names::resolver::{DnsTracker, MDNS_PORT};
use crate::packet::{CapturedPacket, LinkType};
use crate::wire::{Common, Tcp, Transport, Udp};
use crate::work;

/// LINKTYPE_ETHERNET, whose frames hold one packet each.
const ETHERNET: LinkType = LinkType(1);

impl Meter {
    /// Books a packet if all that it can do is to move bytes. Else, with `false`, nothing has
    /// changed, and the packet is to go the long way ([`Meter::frame`]), which would do the same
    /// with those that are booked here: what there looks at a packet is asked for here.
    #[inline(always)]
    pub(super) fn book_known(&mut self, packet: &CapturedPacket<'_>, common: &Common<'_>) -> bool {
        if packet.link_type != ETHERNET || self.no_names || common.note.is_some() || !self.copies.is_alone(packet) {
            return false;
        }
        let ports = match &common.transport {
            Transport::Tcp(tcp) => (tcp.src_port, tcp.dst_port),
            Transport::Udp(udp) => (udp.src_port, udp.dst_port),
            _ => return false,
        };
        let (key, side) = FlowKey::of_bytes(&common.ends, ports, common.proto);
        let Some(entry) = self.table.find(&key).and_then(|slot| self.table.get_mut(slot)) else { return false };
        let from_client = entry.client_is_low == (side == Side::Low);
        let moves_only = match &common.transport {
            Transport::Tcp(tcp) => moves_only(entry, tcp),
            Transport::Udp(udp) => carries_on(entry, udp, from_client) && !common.ends.is_from_nobody(),
            _ => false,
        };
        if !(moves_only && entry.is_settled(from_client)) {
            return false;
        }
        entry.pending.add_packet(from_client, common.ip_bytes.into());
        self.totals.packets += 1;
        self.totals.ip_packets += 1;
        self.totals.ip_bytes += u64::from(common.ip_bytes);
        work::step();
        true
    }
}

/// Whether nothing in a segment is looked at in its flow.
#[inline(always)]
fn moves_only(entry: &Entry, tcp: &Tcp<'_>) -> bool {
    let begins_or_ends = tcp.flags & (Tcp::SYN | Tcp::FIN | Tcp::RST) != 0;
    // Without a name, DNS may be in it.
    let may_name = !entry.has_name && DnsTracker::wants_tcp(tcp.src_port, tcp.dst_port);
    // One that cannot ask has the name of a hello, and is parted by another hello only.
    let may_ask = (entry.asks != Asks::No || entry.is_closed())
        && matches!(tcp.payload.first(), Some(&(b'A'..=b'Z' | HANDSHAKE)));
    !(begins_or_ends || may_name || may_ask || entry.is_followed() || Expected::may_note(tcp.dst_port))
}

/// Whether nothing in a datagram is looked at in its flow.
#[inline(always)]
fn carries_on(entry: &Entry, udp: &Udp<'_>, from_client: bool) -> bool {
    let may_ask = entry.asks != Asks::No && matches!(udp.payload.first(), Some(&(0xc0.. | HANDSHAKE)));
    let may_name = match entry.has_name {
        true => entry.wants_id && !from_client,
        false => DnsTracker::may_read(udp) || dhcp::is_to_server(udp.src_port, udp.dst_port),
    };
    !(may_ask || may_name || udp.dst_port == MDNS_PORT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture_file::CaptureReader;
    use crate::flow::Flow;
    use crate::names::NameSeen;
    use crate::observe::{Count, MeterConfig, Observer, Usage};
    use crate::time::UnixNanos;
    use crate::wire;
    use std::convert::Infallible;
    use std::path::Path;
    use std::process::Command;

    /// Everything that was observed, in order.
    #[derive(Debug, Default, PartialEq)]
    struct Seen(Vec<(Option<Flow>, String)>);

    impl Observer for Seen {
        type Error = Infallible;
        fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
            self.0.push((Some(flow.clone()), format!("{seen:?}")));
            Ok(())
        }
        fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
            self.0.push((Some(flow.clone()), format!("{interval:?} {usage:?}")));
            Ok(())
        }
        fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
            self.0.push((None, format!("{ts:?} {counts:?}")));
            Ok(())
        }
    }

    /// A meter that takes either way, and one that knows the long one only.
    struct Ways {
        any: (Meter, Seen),
        long: (Meter, Seen),
        short_packets: u64,
    }

    impl Ways {
        fn new() -> Self {
            let new = || (Meter::new(MeterConfig::default()), Seen::default());
            Self { any: new(), long: new(), short_packets: 0 }
        }

        fn packet(&mut self, packet: &CapturedPacket<'_>) {
            let frame = |(meter, seen): &mut (Meter, Seen)| {
                let Ok(()) = meter.frame(packet, &wire::decode(packet), seen);
            };
            for (meter, seen) in [&mut self.any, &mut self.long] {
                let Ok(()) = meter.enter(packet.ts, seen);
            }
            match wire::common(packet) {
                Some(common) if self.any.0.book_known(packet, &common) => self.short_packets += 1,
                _ => frame(&mut self.any),
            }
            frame(&mut self.long);
        }

        /// The share of packets that took the short way.
        fn end(mut self) -> f64 {
            for (meter, seen) in [&mut self.any, &mut self.long] {
                let Ok(()) = meter.flush(seen);
            }
            assert_eq!(self.any.0.totals(), self.long.0.totals());
            for (any, long) in self.any.1.0.iter().zip(&self.long.1.0) {
                assert_eq!(any, long);
            }
            assert_eq!(self.any.1.0.len(), self.long.1.0.len());
            self.short_packets as f64 / self.long.0.totals().packets.max(1) as f64
        }
    }

    /// The capture of the demo, unpacked by the program for that, and small ones.
    fn captures() -> Vec<Vec<u8>> {
        let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
        let demo = Command::new("zcat").arg(testdata.join("netlab/browse-lan.pcap.gz")).output().unwrap();
        let field = testdata.join("field").read_dir().unwrap().map(|entry| entry.unwrap().path());
        let plain = field.filter(|path| path.extension().is_some_and(|e| e == "pcap"));
        [demo.stdout].into_iter().chain(plain.map(|path| std::fs::read(path).unwrap())).collect()
    }

    #[test]
    fn the_short_way_leads_where_the_long_one_does() {
        let mut share = 0.0_f64;
        for capture in captures() {
            let mut ways = Ways::new();
            let mut reader = CaptureReader::new(capture.as_slice()).unwrap();
            while let Ok(Some(packet)) = reader.next_packet() {
                ways.packet(&packet);
            }
            share = share.max(ways.end());
        }
        assert!(share > 0.5, "{share} of the packets took it");
    }

    /// Bytes that make a packet something else: flags, ports, first bytes of requests, hellos and
    /// DNS, lengths.
    const TELLING: [u8; 16] = [0, 1, 2, 4, 6, 16, 17, 21, 22, 53, 0x45, b'G', 0x60, 0x81, 0xc3, 0xff];

    #[test]
    fn the_short_way_takes_no_packet_that_would_do_more() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) as usize % below
        };
        for capture in captures() {
            let mut ways = Ways::new();
            let mut reader = CaptureReader::new(capture.as_slice()).unwrap();
            while let Ok(Some(packet)) = reader.next_packet() {
                let mut bytes = packet.data.to_vec();
                if next(4) == 0 {
                    // Anywhere in the headers; in that of TCP or UDP; where a payload begins.
                    let place = [next(bytes.len().clamp(1, 90)), 34 + next(33), 54 + next(15)][next(3)];
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte = TELLING[next(TELLING.len())];
                    }
                }
                ways.packet(&CapturedPacket { data: &bytes, ..packet });
            }
            ways.end();
        }
    }
}
