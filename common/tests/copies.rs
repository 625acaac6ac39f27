//! The same packet on several interfaces of one capture counts once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Counter, Meter, MeterConfig, Observer, Totals, Usage};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use std::convert::Infallible;
use std::net::IpAddr;

const MS: i64 = 1_000_000;

/// What was booked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Booked {
    usage: Usage,
    copies: (u64, u64),
    carried: u64,
    clients: Vec<(IpAddr, Option<u8>)>,
}

impl Observer for Booked {
    type Error = Infallible;

    fn name(&mut self, _: &Flow, _: &NameSeen) -> Result<(), Infallible> {
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, _: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.usage.add(usage);
        let client = (flow.client, flow.client_mac.map(|mac| mac.0[5]));
        if !self.clients.contains(&client) {
            self.clients.push(client);
        }
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        for count in counts {
            match count.counter {
                Counter::Copy => self.copies = (self.copies.0 + count.packets, self.copies.1 + count.bytes),
                Counter::Carried(_) => self.carried += count.bytes,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A capture in the making: packets go through a meter.
struct Capture {
    meter: Meter,
    booked: Booked,
}

impl Capture {
    /// One that says that it has several interfaces, or shows it with its link type.
    fn of_several() -> Self {
        let mut capture = Self::new();
        capture.meter.expect_copies();
        capture
    }

    fn new() -> Self {
        Self { meter: Meter::new(MeterConfig::default()), booked: Booked::default() }
    }

    /// A packet with its link header on an interface, at a time in ms.
    fn see(&mut self, at_ns: i64, interface: u32, link_type: u16, data: &[u8]) {
        let (ts, orig_len) = (UnixNanos(1_790_000_000_000_000_000 + at_ns), data.len() as u32);
        let packet = CapturedPacket { ts, orig_len, link_type: LinkType(link_type), interface, data };
        let before = self.meter.totals();
        self.meter.packet(&packet, &mut self.booked).unwrap();
        let Totals { packets, ip_bytes, copies_bytes, .. } = self.meter.totals();
        assert_eq!(packets, before.packets + 1);
        assert!(ip_bytes + copies_bytes > before.ip_bytes + before.copies_bytes, "no byte disappears");
    }

    /// Without link header.
    fn raw(&mut self, at_ns: i64, interface: u32, ip: &[u8]) {
        self.see(at_ns, interface, 101, ip);
    }

    /// Packets and bytes that count, then those of copies.
    fn end(mut self) -> [u64; 4] {
        self.meter.flush(&mut self.booked).unwrap();
        let (totals, usage) = (self.meter.totals(), self.booked.usage);
        assert_eq!((totals.ip_packets, totals.ip_bytes), (usage.packets(), usage.bytes() + totals.carried_bytes));
        assert_eq!(totals.carried_bytes, self.booked.carried);
        assert_eq!((totals.copies, totals.copies_bytes), self.booked.copies);
        assert_eq!(totals.packets, totals.ip_packets + totals.copies);
        [usage.packets(), usage.bytes(), self.booked.copies.0, self.booked.copies.1]
    }
}

/// An IPv4 packet of this protocol, identification and time to live.
fn v4(proto: u8, id: u16, ttl: u8, body: &[u8]) -> Vec<u8> {
    let total = 20 + body.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend([0x40, 0, ttl, proto, 0, ttl, 192, 168, 0, 2, 198, 51, 100, 1]);
    packet.extend(body);
    packet
}

fn v6(next: u8, hops: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0x12, 0x34];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([next, hops]);
    for end in ["fd00::2", "2001:db8::1"] {
        packet.extend(end.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    packet.extend(body);
    packet
}

fn tcp(seq: u32, ack: u32, checksum: u16, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0xc3, 0x50, 1, 0xbb];
    segment.extend(seq.to_be_bytes());
    segment.extend(ack.to_be_bytes());
    segment.extend([0x50, 0x10, 2, 0]);
    segment.extend(checksum.to_be_bytes());
    segment.extend([0, 0]);
    segment.extend(payload);
    segment
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0xc3, 0x50, 0x13, 0x88];
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// A Linux cooked header of version 2: interface, hardware type, packet type.
fn cooked(interface: u32, hardware: u16, kind: u8, ip: &[u8]) -> Vec<u8> {
    let mut frame = if ip[0] >> 4 == 4 { vec![8, 0, 0, 0] } else { vec![0x86, 0xdd, 0, 0] };
    frame.extend(interface.to_be_bytes());
    frame.extend(hardware.to_be_bytes());
    frame.extend([kind, 6, 2, 0, 0, 0, 0, interface as u8, 0, 0]);
    frame.extend(ip);
    frame
}

fn ethernet(source: u8, ip: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, source];
    frame.extend(if ip[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] });
    frame.extend(ip);
    // Short frames are padded.
    frame.resize(frame.len().max(60), 0);
    frame
}

#[test]
fn a_packet_on_two_interfaces_counts_once_and_one_that_is_sent_again_counts_again() {
    let mut capture = Capture::of_several();
    let packet = v4(6, 7, 64, &tcp(1_000, 1, 0, &[1; 100]));
    for (at, interface) in [(0, 2), (5_000, 5), (MS, 2), (MS + 5_000, 5), (2 * MS, 2)] {
        capture.raw(at, interface, &packet);
    }
    assert_eq!(capture.end(), [3, 420, 2, 280]);
}

#[test]
fn while_there_is_one_interface_nothing_is_a_copy() {
    for (mut capture, interface) in [(Capture::new(), 0), (Capture::new(), 7), (Capture::of_several(), 7)] {
        (0..10).for_each(|n| capture.raw(n, interface, &v4(17, 0, 64, &udp(b"the same again"))));
        assert_eq!(capture.end(), [10, 420, 0, 0]);
    }
}

#[test]
fn a_second_interface_that_was_not_announced_costs_the_packets_on_their_way() {
    let mut capture = Capture::new();
    for n in 0..3 {
        let packet = v4(17, 0, 64, &udp(&[n; 12]));
        capture.raw(i64::from(n) * MS, 0, &packet);
        capture.raw(i64::from(n) * MS + 9, 1, &packet);
    }
    assert_eq!(capture.end(), [4, 160, 2, 80]);
}

#[test]
fn cooked_captures_tell_their_interfaces_themselves() {
    let mut capture = Capture::new();
    let [out, back] = [v4(6, 1, 64, &tcp(1, 1, 0, b"hello")), v6(17, 64, &udp(b"answer"))];
    for (n, packet) in [&out, &back, &out].into_iter().enumerate() {
        for interface in [2, 5, 9] {
            capture.see(n as i64 * MS + i64::from(interface), 0, 276, &cooked(interface, 1, 4, packet));
        }
    }
    assert_eq!(capture.end(), [3, 45 + 54 + 45, 6, 2 * (45 + 54 + 45)]);
}

/// A Linux cooked header of version 1: packet type, hardware type.
fn cooked_1(kind: u8, hardware: u16, ip: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, kind];
    frame.extend(hardware.to_be_bytes());
    frame.extend([0, 6, 2, 0, 0, 0, 0, kind, 0, 0, 8, 0]);
    frame.extend(ip);
    frame
}

#[test]
fn in_older_cooked_captures_what_comes_in_and_leaves_again_counts_once() {
    let packet = |id| v4(6, id, 64, &tcp(id.into(), 1, 0, b"hello"));
    let passed_on = |id| v4(6, id, 63, &tcp(id.into(), 1, 0, b"hello"));
    // Through a router, its own, for others, and what came to it.
    let mut capture = Capture::new();
    for (at, kind, ip) in [
        (0, 0, packet(1)),
        (9_000, 4, passed_on(1)),
        (MS, 4, packet(2)),
        (2 * MS, 3, packet(3)),
        (3 * MS, 0, packet(4)),
        (4 * MS, 0, packet(5)),
        (4 * MS + 9_000, 4, passed_on(5)),
    ] {
        capture.see(at, 0, 113, &cooked_1(kind, 1, &ip));
    }
    assert_eq!(capture.end(), [5, 5 * 45, 2, 2 * 45]);
    // A header without number does not tell two of one kind apart, but nobody sends two packets
    // with one identification, or the same data twice within a millisecond: a bridge and its ports.
    let data = v6(6, 64, &tcp(1, 1, 0, b"hello"));
    for packet in [packet(1), v4(17, 1, 64, &udp(b"ping")), v4(6, 0, 64, &tcp(1, 1, 0, b"hello")), data] {
        let len = packet.len() as u64;
        let mut capture = Capture::new();
        (0..4).for_each(|n| capture.see(n * 9_000, 0, 113, &cooked_1(0, 1, &packet)));
        assert_eq!(capture.end(), [1, len, 3, 3 * len]);
        // What comes later was sent again.
        let mut capture = Capture::new();
        (0..4).for_each(|n| capture.see(n * 2 * MS, 0, 113, &cooked_1(0, 1, &packet)));
        assert_eq!(capture.end(), [4, 4 * len, 0, 0]);
    }
    // Datagrams without identification, and acknowledgements, may be sent again at once.
    for packet in [v4(17, 0, 64, &udp(b"ping")), v6(17, 64, &udp(b"ping")), v6(6, 64, &tcp(1, 1, 0, b""))] {
        let len = packet.len() as u64;
        let mut capture = Capture::new();
        (0..4).for_each(|n| capture.see(n * 9_000, 0, 113, &cooked_1(0, 1, &packet)));
        assert_eq!(capture.end(), [4, 4 * len, 0, 0]);
    }
    // Into a tunnel whose headers can be read: the longer one counts.
    let mut capture = Capture::new();
    let inner = packet(6);
    capture.see(0, 0, 113, &cooked_1(4, 778, &inner));
    capture.see(9_000, 0, 113, &cooked_1(4, 1, &v4(47, 8, 64, &[&[0, 0, 8, 0][..], &inner].concat())));
    assert_eq!(capture.end(), [1, 69, 1, 45]);
}

#[test]
fn a_modem_whose_capture_is_cooked_is_no_tunnel_of_itself() {
    let mut capture = Capture::new();
    for n in 0..200_u16 {
        let (kind, body) = if n % 2 == 0 { (4, vec![1; 300]) } else { (0, vec![2; 240]) };
        capture.see(i64::from(n) * MS, 0, 113, &cooked_1(kind, 512, &v4(6, n, 64, &tcp(n.into(), 1, 0, &body))));
    }
    assert_eq!(capture.end(), [200, 100 * 340 + 100 * 280, 0, 0]);
}

#[test]
fn a_burst_of_identical_datagrams_counts_as_often_as_it_was_sent() {
    let datagram = ethernet(1, &v4(17, 0, 64, &udp(&[0; 100])));
    // Interleaved, one interface after the other, and lost on one of them.
    for order in ["abababab", "aaaabbbb", "aabbabab", "abaaabb", "bbaaaab"] {
        let mut capture = Capture::of_several();
        for (n, interface) in order.bytes().enumerate() {
            capture.see(n as i64 * 1_000, u32::from(interface), 1, &datagram);
        }
        let copies = order.len() as u64 - 4;
        assert_eq!(capture.end(), [4, 4 * 128, copies, copies * 128], "{order}");
    }
}

#[test]
fn what_hops_and_cards_change_does_not_hide_a_copy() {
    let cases = [
        ("a router counts down", v4(6, 7, 64, &tcp(9, 9, 0, b"x")), v4(6, 7, 63, &tcp(9, 9, 0, b"x"))),
        ("a card fills in", v4(6, 7, 64, &tcp(9, 9, 0, b"x")), v4(6, 7, 64, &tcp(9, 9, 0xbeef, b"x"))),
        ("IPv6 router", v6(17, 64, &udp(b"question")), v6(17, 63, &udp(b"question"))),
        ("ping", v4(1, 7, 64, &[8, 0, 1, 2, 3, 4, 5, 6, 7]), v4(1, 7, 63, &[8, 0, 1, 2, 3, 4, 5, 6, 7])),
    ];
    for (case, inside, outside) in cases {
        let mut capture = Capture::of_several();
        capture.see(0, 0, 1, &ethernet(1, &inside));
        // The other one is no Ethernet and pads nothing.
        capture.raw(3 * MS, 1, &outside);
        assert_eq!(capture.end()[..3], [1, inside.len() as u64, 1], "{case}");
    }
}

#[test]
fn what_differs_or_comes_much_later_is_another_packet() {
    let base = || v4(17, 7, 64, &udp(b"question one"));
    let later = |at: i64, packet: Vec<u8>| {
        let mut capture = Capture::of_several();
        capture.raw(0, 0, &base());
        capture.raw(at, 1, &packet);
        capture.end()[2]
    };
    assert_eq!(later(2 * MS, base()), 1);
    assert_eq!(later(-2 * MS, base()), 1, "captures of several interfaces are not strictly in order");
    for (case, at, packet) in [
        ("sent again on another path", 200 * MS, base()),
        ("another identification", MS, v4(17, 8, 64, &udp(b"question one"))),
        ("another payload", MS, v4(17, 7, 64, &udp(b"question two"))),
        ("longer", MS, v4(17, 7, 64, &udp(b"question one."))),
    ] {
        assert_eq!(later(at, packet), 0, "{case}");
    }
    let mut capture = Capture::of_several();
    capture.raw(0, 0, &v4(6, 0, 64, &tcp(100, 1, 0, b"x")));
    capture.raw(1, 1, &v4(6, 0, 64, &tcp(101, 1, 0, b"x")));
    capture.raw(2, 1, &v4(6, 0, 64, &tcp(100, 2, 0, b"x")));
    assert_eq!(capture.end()[2], 0, "TCP's numbers");
}

#[test]
fn the_first_sight_gives_the_hardware_address() {
    let mut capture = Capture::of_several();
    let packet = v4(6, 7, 64, &tcp(1, 1, 0, b"x"));
    capture.see(0, 0, 1, &ethernet(0x11, &packet));
    capture.see(1, 1, 1, &ethernet(0x22, &packet));
    capture.meter.flush(&mut capture.booked).unwrap();
    assert_eq!(capture.booked.clients, [("192.168.0.2".parse().unwrap(), Some(0x11))]);
}

#[test]
fn of_a_tunnel_and_what_is_inside_the_longer_one_counts() {
    let inner = v4(6, 7, 64, &tcp(1, 1, 0, &[5; 200]));
    let gre = |inner: &[u8]| v4(47, 99, 64, &[&[0, 0, 8, 0][..], inner].concat());
    let vxlan = |inner: &[u8]| {
        let mut datagram = udp(&[&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet(3, inner)].concat());
        datagram[2..4].copy_from_slice(&4789_u16.to_be_bytes());
        v4(17, 99, 64, &datagram)
    };
    for outer in [gre(&inner), vxlan(&inner), v4(4, 99, 64, &inner)] {
        for order in [[0, 1], [1, 0]] {
            let mut capture = Capture::of_several();
            for (n, tunnel) in order.into_iter().enumerate() {
                match tunnel {
                    0 => capture.raw(n as i64 * 1_000, 0, &inner),
                    _ => capture.see(n as i64 * 1_000, 1, 1, &ethernet(1, &outer)),
                }
            }
            assert_eq!(capture.end(), [1, outer.len() as u64, 1, inner.len() as u64], "{order:?}");
        }
    }
}

#[test]
fn fragments_are_copies_of_themselves_only() {
    let part = |offset: u16, more: bool| {
        let mut packet = v4(17, 7, 64, &[4; 64]);
        let flags = (u16::from(more) << 13) | (offset / 8);
        packet[6..8].copy_from_slice(&flags.to_be_bytes());
        packet
    };
    let mut capture = Capture::of_several();
    for packet in [part(0, true), part(64, true), part(128, false)] {
        capture.raw(0, 0, &packet);
        capture.raw(1, 1, &packet);
    }
    assert_eq!(capture.end(), [3, 3 * 84, 3, 3 * 84]);
}

#[test]
fn what_was_cut_short_is_still_known_again_or_counted() {
    let packet = v4(6, 0, 64, &tcp(1, 1, 0, &[5; 200]));
    for cut in 20..packet.len() {
        let mut capture = Capture::of_several();
        capture.raw(0, 0, &packet[..cut]);
        capture.raw(1, 1, &packet[..cut]);
        // Of the header alone no two packets can be told apart.
        assert_eq!(capture.end()[2], u64::from(cut > 20), "{cut}");
    }
}

#[test]
fn interfaces_beyond_all_bounds_and_a_flood_cost_no_more_memory() {
    let mut capture = Capture::new();
    let packet = v4(17, 0, 64, &udp(&[0; 20]));
    for interface in 0..300 {
        capture.see(0, 0, 276, &cooked(interface, 1, 4, &packet));
    }
    let [packets, _, copies, _] = capture.end();
    // Those of which 128 are told apart; the others are taken for one.
    assert_eq!((packets, copies), (173, 127));
    let mut capture = Capture::of_several();
    for n in 0..200_000_u32 {
        capture.raw(i64::from(n) * 1_000, n % 3, &v4(17, 0, 64, &udp(&[0; 20])));
    }
    let [packets, _, copies, _] = capture.end();
    assert_eq!(packets + copies, 200_000);
}

/// A packet of ours, or one that comes in, between these two.
fn between(proto: u8, id: u16, inward: bool, ends: [[u8; 4]; 2], ports: [u16; 2], payload: usize) -> Vec<u8> {
    let (ends, ports) = if inward { ([ends[1], ends[0]], [ports[1], ports[0]]) } else { (ends, ports) };
    let mut body = if proto == 6 { tcp(id.into(), 1, 0, &vec![0; payload]) } else { udp(&vec![id as u8; payload]) };
    body[..2].copy_from_slice(&ports[0].to_be_bytes());
    body[2..4].copy_from_slice(&ports[1].to_be_bytes());
    let mut packet = v4(proto, id, 64, &body);
    packet[12..16].copy_from_slice(&ends[0]);
    packet[16..20].copy_from_slice(&ends[1]);
    packet
}

const OUR_TUNNEL: [[u8; 4]; 2] = [[10, 8, 0, 2], [203, 0, 113, 80]];
const OUR_LINK: [[u8; 4]; 2] = [[192, 168, 0, 2], [198, 51, 100, 9]];

/// A tunnel on interface 5 whose packets interface 2 carries, for so many packets a second and some
/// seconds: what is inside, and what is around it. Every third comes in; those show outside first.
fn tunnel(capture: &mut Capture, seconds: u16, packets: u16, cooked_tunnel: bool) -> [u64; 2] {
    let mut sums = [0, 0];
    for n in 0..seconds * packets {
        let at = i64::from(n) * 1_000 * MS / i64::from(packets);
        let (inward, payload) = (n % 3 == 2, usize::from(n) % 7 * 180);
        let inner = between(6, n, inward, OUR_TUNNEL, [40_000, 443], payload);
        let padded = payload.next_multiple_of(16) + 40 + 32;
        let outer = between(17, n, inward, OUR_LINK, [51_820, 51_820], padded);
        sums = [sums[0] + inner.len() as u64, sums[1] + outer.len() as u64];
        let mut see = |after: i64, inside: bool| match (inside, cooked_tunnel) {
            (true, true) => capture.see(at + after, 0, 276, &cooked(5, 65_534, 4, &inner)),
            (false, true) => capture.see(at + after, 0, 276, &cooked(2, 1, 4, &outer)),
            (true, false) => capture.raw(at + after, 1, &inner),
            (false, false) => capture.see(at + after, 0, 1, &ethernet(1, &outer)),
        };
        let [first, second] = [!inward, inward];
        see(0, first);
        see(80_000, second);
    }
    sums
}

#[test]
fn of_an_encrypted_tunnel_and_its_carrier_the_sum_is_the_carriers() {
    for (seconds, packets, cooked) in [(1, 12, true), (3, 40, true), (3, 40, false), (2, 900, true)] {
        let mut capture = Capture::of_several();
        let [inner, outer] = tunnel(&mut capture, seconds, packets, cooked);
        capture.meter.flush(&mut capture.booked).unwrap();
        assert_eq!(capture.booked.usage.bytes(), outer, "{seconds} {packets}");
        assert_eq!(capture.booked.carried, inner);
        let all = 2 * u64::from(seconds * packets);
        assert_eq!((capture.booked.usage.packets(), capture.booked.copies.0), (all, 0));
    }
}

#[test]
fn a_flow_beside_a_tunnel_is_no_carrier() {
    // Both on the link: the carrier, and another flow with packets of the same lengths, much more
    // or much less of them.
    for others in [1, 7] {
        let mut capture = Capture::of_several();
        let mut around = 0;
        for n in 0..300_u16 {
            let at = i64::from(n) * 10 * MS;
            capture.raw(at, 1, &between(6, n, false, OUR_TUNNEL, [40_000, 443], 1_000));
            let outer = between(17, n, false, OUR_LINK, [51_820, 51_820], 1_072);
            around += outer.len() as u64;
            capture.see(at + 60_000, 0, 1, &ethernet(1, &outer));
            for k in 0..if others == 1 { u16::from(n % 4 == 0) } else { others } {
                let beside = between(6, n * 8 + k, true, OUR_LINK, [50_000, 443], 1_060);
                around += beside.len() as u64;
                capture.see(at + 70_000 + i64::from(k), 0, 1, &ethernet(1, &beside));
            }
        }
        capture.meter.flush(&mut capture.booked).unwrap();
        assert_eq!(capture.booked.usage.bytes(), around, "{others}");
        assert_eq!(capture.booked.carried, 300 * 1_040);
    }
}

#[test]
fn a_tunnel_that_shows_merged_packets_is_known_after_some_seconds() {
    let mut capture = Capture::of_several();
    let (mut inside, mut around) = (0, 0);
    for n in 0..60_u16 {
        let at = i64::from(n) * 100 * MS;
        // One of 14 KB inside leaves as ten; acknowledgements come back as they are.
        let inner = between(6, n, false, OUR_TUNNEL, [40_000, 443], 14_000);
        capture.raw(at, 1, &inner);
        inside += inner.len() as u64;
        for k in 0..10 {
            let outer = between(17, n * 10 + k, false, OUR_LINK, [51_820, 51_820], 1_472);
            around += outer.len() as u64;
            capture.see(at + 50_000 + i64::from(k), 0, 1, &ethernet(1, &outer));
        }
        let [inner, outer] =
            [between(6, n, true, OUR_TUNNEL, [40_000, 443], 0), between(17, n, true, OUR_LINK, [51_820, 51_820], 80)];
        (inside, around) = (inside + inner.len() as u64, around + outer.len() as u64);
        capture.see(at + 30 * MS, 0, 1, &ethernet(1, &outer));
        capture.raw(at + 30 * MS + 50_000, 1, &inner);
    }
    capture.meter.flush(&mut capture.booked).unwrap();
    // Six seconds, of which the first two count twice.
    let carried = capture.booked.carried;
    assert!(carried * 6 >= inside * 39 / 10 && carried < inside, "{carried} of {inside}");
    assert_eq!(capture.booked.usage.bytes() + carried, inside + around);
}

#[test]
fn what_a_router_sends_into_a_tunnel_is_not_taken_for_its_carrier() {
    let mut capture = Capture::of_several();
    let (mut inside, mut around) = (0, 0);
    for n in 0..200_u16 {
        let at = i64::from(n) * 10 * MS;
        let inner = between(6, n, false, [[192, 168, 7, 7], [203, 0, 113, 80]], [40_000, 443], 900 + usize::from(n));
        let outer = between(17, n, false, OUR_LINK, [51_820, 51_820], 1_000 + usize::from(n));
        (inside, around) = (inside + inner.len() as u64, around + outer.len() as u64);
        capture.see(at, 2, 1, &ethernet(1, &inner)); // from the home
        capture.raw(at + 40_000, 1, &inner); // into the tunnel
        capture.see(at + 90_000, 0, 1, &ethernet(2, &outer)); // and out
    }
    capture.meter.flush(&mut capture.booked).unwrap();
    assert_eq!(capture.booked.copies, (200, inside));
    assert_eq!((capture.booked.usage.bytes(), capture.booked.carried), (around, inside));
}
