//! Frames of every link type and tunnel, written out byte by byte, and what holds for any bytes at
//! all.

use super::*;
use crate::packet::LinkType;
use crate::time::UnixNanos;
use proptest::prelude::*;

/// 198.51.100.1:1234 → 203.0.113.2:80, UDP, 4 bytes of payload: 32 bytes of IPv4.
fn inner4() -> Vec<u8> {
    v4(17, [198, 51, 100, 1], [203, 0, 113, 2], &udp(1234, 80, b"data"))
}

/// 2001:db8::1:1234 → 2001:db8::2:80, UDP, 4 bytes of payload: 52 bytes of IPv6.
fn inner6() -> Vec<u8> {
    v6(17, &udp(1234, 80, b"data"))
}

fn v4(proto: u8, src: [u8; 4], dst: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let total = (20 + payload.len()) as u16;
    let [l0, l1] = total.to_be_bytes();
    join(&[&[0x45, 0, l0, l1, 0x12, 0x34, 0, 0, 64, proto, 0, 0], &src, &dst, payload])
}

/// The outer packet of tunnels: 192.0.2.1 → 192.0.2.2.
fn outer4(proto: u8, payload: &[u8]) -> Vec<u8> {
    v4(proto, [192, 0, 2, 1], [192, 0, 2, 2], payload)
}

fn v6(proto: u8, payload: &[u8]) -> Vec<u8> {
    v6_between([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], proto, payload)
}

fn v6_between(src: [u8; 16], proto: u8, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (payload.len() as u16).to_be_bytes();
    let dst = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    join(&[&[0x60, 0, 0, 0, l0, l1, proto, 64], &src, &dst, payload])
}

fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let len = 8 + payload.len() as u16;
    join(&[&src.to_be_bytes(), &dst.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload])
}

/// UDP from an ephemeral port to `port`, in the outer packet.
fn over_udp(port: u16, payload: &[u8]) -> Vec<u8> {
    outer4(17, &udp(50_000, port, payload))
}

fn tcp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&src.to_be_bytes(), &dst.to_be_bytes(), &[0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0], payload])
}

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[2, 0, 0, 0, 0, 2], &[2, 0, 0, 0, 0, 1], &ether_type.to_be_bytes(), payload])
}

fn snap(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[0xaa, 0xaa, 3, 0, 0, 0], &ether_type.to_be_bytes(), payload])
}

/// A record of Endace's extensible format, of this type.
fn erf(kind: u8, payload: &[&[u8]]) -> Vec<u8> {
    join(&[&[0; 8], &[kind, 0, 0, 0, 0, 0, 0, 0], &join(payload)])
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn frame(link: u16, data: &[u8]) -> Frame<'_> {
    let orig_len = data.len() as u32;
    decode(&CapturedPacket { ts: UnixNanos(0), orig_len, link_type: LinkType(link), interface: 0, data })
}

fn ip(link: u16, data: &[u8]) -> IpPacket<'_> {
    match frame(link, data) {
        Frame::Ip(packet) => packet,
        other => panic!("link type {link}: {other:?}"),
    }
}

/// `src:port>dst:port/proto bytes depth`, with the note where there is one.
fn line(packet: &IpPacket<'_>) -> String {
    let (s, d) = match &packet.transport {
        Transport::Tcp(t) => (t.src_port, t.dst_port),
        Transport::Udp(u) => (u.src_port, u.dst_port),
        _ => (0, 0),
    };
    let note = packet.note.map_or(String::new(), |n| format!(" {:?} {:?}", n.layer, n.fault));
    let IpPacket { src, dst, proto, ip_bytes, depth, .. } = packet;
    format!("{src}:{s}>{dst}:{d}/{proto} {ip_bytes} {depth}{note}")
}

const INNER4: &str = "198.51.100.1:1234>203.0.113.2:80/17";
const INNER6: &str = "2001:db8::1:1234>2001:db8::2:80/17";

/// Each of `frames` of link type `link` holds [`inner4`] or [`inner6`] as its outermost packet.
fn all_hold_ip(frames: &[(u16, Vec<u8>)]) {
    for (at, (link, data)) in frames.iter().enumerate() {
        let got = line(&ip(*link, data));
        let want = [format!("{INNER4} 32 1"), format!("{INNER6} 52 1")];
        assert!(want.contains(&got), "frame {at} of link type {link}: {got}");
    }
}

/// Each of `packets` is a tunnel around [`inner4`] or [`inner6`]: bytes of the outer, flow of the
/// inner packet.
fn all_are_tunnels(packets: &[Vec<u8>]) {
    for (at, data) in packets.iter().enumerate() {
        let got = line(&ip(101, data));
        let want = [format!("{INNER4} {} 2", data.len()), format!("{INNER6} {} 2", data.len())];
        assert!(want.contains(&got), "tunnel {at}: {got}");
    }
}

#[test]
fn ethernet_and_its_tags_lead_to_ip() {
    let tag = |t: u16, rest: &[u8]| join(&[&t.to_be_bytes(), &[0, 7], rest]);
    let inner = join(&[&[0x08, 0], &inner4()]);
    let tagged = |tags: &[u16]| {
        let tail = tags.iter().rev().fold(inner.clone(), |rest, t| tag(*t, &rest));
        (1, join(&[&[2; 12], &tail]))
    };
    all_hold_ip(&[
        (1, ethernet(0x0800, &inner4())),
        (1, ethernet(0x86dd, &inner6())),
        tagged(&[0x8100]),
        tagged(&[0x88a8, 0x8100]),
        tagged(&[0x9100, 0x8100, 0x8100, 0x8100, 0x8100]),
        (1, ethernet(40, &snap(0x0800, &inner4()))),
        (1, ethernet(60, &snap(0x86dd, &inner6()))),
        (1, ethernet(35, &join(&[&[6, 6, 3], &inner4()]))),
        (1, ethernet(0x8864, &join(&[&[0x11, 0, 0, 1, 0, 34, 0, 0x21], &inner4()]))),
        (1, ethernet(0x8864, &join(&[&[0x11, 0, 0, 1, 0, 54, 0, 0x57], &inner6()]))),
        (1, ethernet(0x8847, &join(&[&[0, 1, 0, 64, 0, 2, 1, 64], &inner4()]))),
        (1, ethernet(0x8847, &join(&[&[0, 2, 1, 64], &inner6()]))),
        // Pseudo wires: with control word, and without although the address begins with a nibble of
        // 0.
        (1, ethernet(0x8847, &join(&[&[0, 2, 1, 64, 0, 0, 0, 0], &ethernet(0x0800, &inner4())]))),
        (1, ethernet(0x8847, &join(&[&[0, 2, 1, 64], &ethernet(0x0800, &inner4())]))),
        (1, ethernet(0x88e7, &join(&[&[0, 0, 0, 9], &ethernet(0x0800, &inner4())]))),
        (1, ethernet(0x8903, &join(&[&[0, 9], &ethernet(0x0800, &inner4())]))),
        (1, ethernet(0x22f3, &join(&[&[0, 0x40, 0, 1, 0, 2, 0, 0, 0, 0], &ethernet(0x0800, &inner4())]))),
        (1, ethernet(0x88e5, &join(&[&[0, 0, 0, 0, 0, 1, 0x08, 0], &inner4()]))),
        (1, ethernet(0x88e5, &join(&[&[0x20, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0x08, 0], &inner4()]))),
        (1, ethernet(0x892f, &join(&[&[0, 50, 0, 1, 0x08, 0], &inner4()]))),
        (1, ethernet(0x893f, &join(&[&[0, 0, 0, 1, 0, 0, 0x08, 0], &inner4()]))),
        (1, ethernet(0x894f, &join(&[&[0, 3, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0], &inner4()]))),
        (281, join(&[&[2; 12], &[0, 0, 0, 1, 0x08, 0], &inner4()])),
        (282, join(&[&[0, 0, 0, 1], &ethernet(0x0800, &inner4())])),
        (284, join(&[&[2; 12], &[0, 0, 0, 1, 0x08, 0], &inner4()])),
        (285, join(&[&[2; 12], &[0xda, 0xda, 0, 0, 0, 0, 0, 1, 0x08, 0], &inner4()])),
        (1, ethernet(0xdada, &join(&[&[0, 0, 0, 0, 0, 1, 0x08, 0], &inner4()]))),
        (274, join(&[&[0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xd5], &ethernet(0x0800, &inner4())])),
    ]);
}

#[test]
fn cooked_raw_and_serial_links_lead_to_ip() {
    all_hold_ip(&[
        (101, inner4()),
        (12, inner6()),
        (14, inner4()),
        (228, inner4()),
        (229, inner6()),
        (0, join(&[&[2, 0, 0, 0], &inner4()])),
        (0, join(&[&[0, 0, 0, 2], &inner4()])),
        (0, join(&[&[30, 0, 0, 0], &inner6()])),
        (0, join(&[&[0, 0, 0, 24], &inner6()])),
        (108, join(&[&[0, 0, 0, 28], &inner6()])),
        (109, join(&[&[0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0], &inner4()])),
        (113, join(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0], &inner4()])),
        (113, join(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0, 4], &snap(0x0800, &inner4())])),
        (276, join(&[&[0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &inner6()])),
        (9, join(&[&[0xff, 3, 0, 0x21], &inner4()])),
        (9, join(&[&[0x21], &inner4()])),
        (9, join(&[&[0xff, 3, 0x02, 0x81, 0, 2, 1, 64], &inner4()])),
        (9, join(&[&[0xff, 3, 0, 0x3d, 0xc0, 0, 0, 1, 0x21], &inner4()])),
        (50, join(&[&[0xff, 3, 0, 0x57], &inner6()])),
        (50, join(&[&[0x0f, 0, 8, 0], &inner4()])),
        (51, join(&[&[0x11, 0, 0, 1, 0, 34, 0, 0x21], &inner4()])),
        (219, join(&[&[0, 2, 1, 64], &inner4()])),
        (104, join(&[&[0x8f, 0, 0x86, 0xdd], &inner6()])),
        (107, join(&[&[0x18, 0x41, 3, 0xcc], &inner4()])),
        (107, join(&[&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0], &inner4()])),
        (107, join(&[&[0x18, 0x41, 8, 0], &inner4()])),
        (100, snap(0x0800, &inner4())),
        (100, inner4()),
        (100, join(&[&[0xfe, 0xfe, 3, 0xcf, 0, 0x21], &inner4()])),
        (100, join(&[&[0, 0x57], &inner6()])),
        (100, join(&[&[0xff, 3, 0, 0x21], &inner4()])),
        (100, join(&[&[0, 0], &ethernet(0x86dd, &inner6())])),
        (123, join(&[&[0x82, 0, 0, 100], &snap(0x0800, &inner4())])),
        (10, join(&[&[0x57], &[2; 12], &snap(0x0800, &inner4())])),
        (6, join(&[&[0x10, 0x40], &[2; 12], &snap(0x0800, &inner4())])),
        (6, join(&[&[0x10, 0x40], &[2; 6], &[0x82, 2, 2, 2, 2, 2], &[4, 0, 0, 1], &snap(0x0800, &inner4())])),
        (8, join(&[&[0, 0x40], &[0; 14], &inner4()])),
        (117, join(&[&[61, 2], &[0; 62], &inner4()])),
        (122, join(&[&[1; 16], &snap(0x0800, &inner4())])),
        (138, join(&[&[1; 16], &[8, 0], &inner4()])),
        (
            197,
            join(&[
                &[0; 8],
                &[0x82, 0, 0, 0, 0, 0, 0, 0],
                &[5, 0, 0, 0, 0, 0, 0, 0],
                &[0, 0],
                &ethernet(0x0800, &inner4()),
            ]),
        ),
        (197, erf(10, &[&[0x0f, 0, 8, 0], &inner4()])),
        (197, erf(15, &[&[0xff, 3, 0, 0x21], &inner4()])),
        (197, erf(19, &[&[0xff, 3, 0, 0x57], &inner6()])),
        (197, erf(5, &[&[0, 0, 0, 1], &[0x8f, 0, 0x86, 0xdd], &inner6()])),
        (197, erf(17, &[&[0, 0, 0, 1], &[0xff, 3, 0, 0x21], &inner4()])),
        (197, erf(4, &[&[0, 0, 0, 0x20], &snap(0x0800, &inner4())])),
        (197, erf(9, &[&[0; 8], &inner4()])),
        (166, join(&[&[1, 3, 0, 0x21], &inner4()])),
        (204, join(&[&[1, 0xff, 3, 0, 0x21], &inner4()])),
        (226, join(&[&[1, 26, 0, 0], &[0; 20], &inner6()])),
        (242, join(&[&[1; 40], &[8, 0, 0, 0], &inner4()])),
        (258, join(&[&[12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], &ethernet(0x0800, &inner4())])),
        (149, join(&[&[16, 0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0], &inner4()])),
        (192, join(&[&[0, 0, 8, 0, 1, 0, 0, 0], &ethernet(0x0800, &inner4())])),
        (239, join(&[&[2, 0, 0, 0, 8, 0, 1, 0, 0, 8, 1, 0, 36, 0, 9, 0], &inner4()])),
        (239, join(&[&[10, 0, 0, 0, 0, 5, 0, 10, 0x41, 0, 0, 0, 0, 56, 0, 9], &inner6()])),
    ]);
}

#[test]
fn unencrypted_802_11_data_frames_lead_to_ip_in_every_wrapping() {
    let header = |control: u8, flags: u8| join(&[&[control, flags, 0, 0], &[2; 18], &[0x10, 0]]);
    let body = snap(0x0800, &inner4());
    let plain = join(&[&header(0x08, 1), &body]);
    let amsdu = join(&[&header(0x88, 2), &[0x80, 0], &[2; 12], &[0, 40], &body]);
    all_hold_ip(&[
        (105, plain.clone()),
        (105, join(&[&header(0x88, 2), &[0, 0], &body])),
        (105, join(&[&header(0x08, 3), &[2; 6], &body])),
        (105, join(&[&header(0x88, 0x82), &[0, 0, 0, 0, 0, 0], &body])),
        (105, amsdu),
        (127, join(&[&[0, 0, 8, 0, 0, 0, 0, 0], &plain])),
        // Two presence words, time, then flags that announce padding behind the QoS header.
        (
            127,
            join(&[
                &[0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0],
                &[0; 8],
                &[0x20],
                &header(0x88, 2),
                &[0, 0, 0, 0],
                &body,
            ]),
        ),
        (119, join(&[&[0x44, 0, 0, 0, 144, 0, 0, 0], &[0; 136], &plain])),
        (119, join(&[&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64], &[0; 56], &plain])),
        (163, join(&[&[0x80, 0x21, 0x10, 1, 0, 0, 0, 64], &[0; 56], &plain])),
        (192, join(&[&[0, 0, 8, 0, 105, 0, 0, 0], &plain])),
    ]);
    for frame_control in [[0x80, 0], [0xb4, 0], [0x48, 1], [0xc8, 1]] {
        let other = join(&[&header(frame_control[0], frame_control[1]), &body]);
        assert!(matches!(frame(105, &other), Frame::NotIp(NotIp::Link)), "{frame_control:x?}");
    }
    let encrypted = join(&[&header(0x08, 0x41), &body]);
    for (link, front) in [(105, &[][..]), (127, &[0, 0, 8, 0, 0, 0, 0, 0])] {
        let got = join(&[front, &encrypted]);
        assert!(matches!(frame(link, &got), Frame::NotIp(NotIp::LinkType(105))), "what is encrypted says so");
    }
}

#[test]
fn every_packet_of_an_aggregate_of_802_11_is_read() {
    let header = join(&[&[0x88, 2, 0, 0], &[2; 18], &[0x10, 0, 0x80, 0]]);
    let subframe = |last: u8, payload: &[u8]| {
        let mut subframe =
            join(&[&[4, 0, 0, 0, 0, last], &[2, 0, 0, 0, 0, 1], &(payload.len() as u16).to_be_bytes(), payload]);
        subframe.resize(subframe.len().next_multiple_of(4), 0);
        subframe
    };
    let four = snap(0x0800, &inner4());
    let odd = snap(0x0800, &v4(17, [198, 51, 100, 1], [203, 0, 113, 2], &udp(1234, 80, b"odd")));
    let arp = snap(0x0806, &[0; 28]);
    let further = |link: u16, data: &[u8], orig_len: u32| -> Vec<String> {
        let packet = CapturedPacket { ts: UnixNanos(0), orig_len, link_type: LinkType(link), interface: 0, data };
        let shown = |frame: Frame<'_>| match frame {
            Frame::Ip(p) => format!("{} {:?}", line(&p), p.dst_mac.map(|m| m.0[5])),
            Frame::NotIp(kind) => format!("{kind:?}"),
            Frame::Undecodable { error, .. } => format!("{error:?}"),
        };
        super::further(&packet).map_or(Vec::new(), |frames| frames.map(shown).collect())
    };
    let whole = join(&[&header, &subframe(5, &odd), &subframe(6, &four), &subframe(7, &arp), &subframe(8, &four)]);
    let want = [format!("{INNER4} 32 1 Some(6)"), "EtherType(2054)".into(), format!("{INNER4} 32 1 Some(8)")];
    for (link, front) in [(105, &[][..]), (127, &[0, 0, 8, 0, 0, 0, 0, 0]), (192, &[0, 0, 8, 0, 105, 0, 0, 0])] {
        for end in [&[][..], &[1, 2, 3, 4]] {
            let data = join(&[front, &whole, end]);
            assert_eq!(line(&ip(link, &data)), format!("{INNER4} 31 1"));
            assert_eq!(further(link, &data, data.len() as u32), want, "link type {link}");
        }
    }
    // One that is cut keeps its length; one packet, and a frame that is no aggregate, have nothing
    // further.
    let cut = &whole[..whole.len() - 4];
    assert_eq!(further(105, cut, whole.len() as u32)[2], format!("{INNER4} 32 1 Some(8)"));
    for alone in [join(&[&header, &subframe(5, &odd)]), join(&[&header[..24], &[0, 0], &four])] {
        assert_eq!(further(105, &alone, alone.len() as u32), Vec::<String>::new());
    }
    assert_eq!(further(1, &ethernet(0x0800, &inner4()), 46), Vec::<String>::new());
}

#[test]
fn hardware_addresses_come_from_the_header_in_front_of_ip() {
    let (one, two) = (Some(Mac([2, 0, 0, 0, 0, 1])), Some(Mac([2, 0, 0, 0, 0, 2])));
    let data = ethernet(0x0800, &inner4());
    assert_eq!((ip(1, &data).src_mac, ip(1, &data).dst_mac), (one, two));
    let data = ethernet(0x8864, &join(&[&[0x11, 0, 0, 1, 0, 34, 0, 0x21], &inner4()]));
    assert_eq!((ip(1, &data).src_mac, ip(1, &data).dst_mac), (one, two));
    let data = join(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0], &inner4()]);
    assert_eq!((ip(113, &data).src_mac, ip(113, &data).dst_mac), (one, None));
    let (a1, a2, a3) = ([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let data = join(&[&[0x08, 1, 0, 0], &a1, &a2, &a3, &[0, 0], &snap(0x0800, &inner4())]);
    assert_eq!((ip(105, &data).src_mac, ip(105, &data).dst_mac), (one, two));
    assert_eq!(ip(101, &inner4()).src_mac, None);
    let data = ethernet(0x0800, &over_udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &[7; 12], &[8, 0], &inner4()])));
    assert_eq!((ip(1, &data).src_mac, ip(1, &data).depth), (one, 2));
}

#[test]
fn what_is_no_ip_is_counted_by_what_it_is() {
    for (link, data, kind) in [
        (1, ethernet(0x0806, &[0; 28]), NotIp::EtherType(0x0806)),
        (1, ethernet(0x88cc, &[0; 28]), NotIp::EtherType(0x88cc)),
        (1, join(&[&[2; 12], &[0x81, 0, 0, 7, 0x08, 0x06], &[0; 28]]), NotIp::EtherType(0x0806)),
        (1, ethernet(38, &join(&[&[0x42, 0x42, 3], &[0; 35]])), NotIp::Llc),
        (1, ethernet(50, &join(&[&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0], &[0; 42]])), NotIp::Llc),
        (1, ethernet(0x8863, &[0x11, 9, 0, 0, 0, 0]), NotIp::EtherType(0x8863)),
        (1, ethernet(0x8847, &[0, 2, 1, 64, 0x10, 0, 0, 0]), NotIp::EtherType(0x8847)),
        (1, ethernet(0x88e5, &[0x2c; 40]), NotIp::EtherType(0x88e5)),
        (9, vec![0xff, 3, 0xc0, 0x21, 9, 0, 0, 4], NotIp::Link),
        (104, vec![0x8f, 0, 0x80, 0x35, 0, 0, 0, 2], NotIp::Link),
        (0, vec![7, 0, 0, 0, 1, 2, 3], NotIp::Link),
        (147, inner4(), NotIp::LinkType(147)),
        (189, vec![0; 64], NotIp::LinkType(189)),
        (65535, vec![], NotIp::LinkType(65535)),
    ] {
        match frame(link, &data) {
            Frame::NotIp(got) => assert_eq!(got, kind, "link type {link}"),
            other => panic!("link type {link}: {other:?}"),
        }
    }
}

#[test]
fn a_header_that_was_cut_off_is_undecodable_with_what_remains() {
    let whole = ethernet(0x0800, &inner4());
    for cut in 0..34 {
        let layer = if cut < 14 { Layer::Link } else { Layer::Ipv4 };
        let packet = CapturedPacket {
            ts: UnixNanos(0),
            orig_len: 46,
            link_type: LinkType(1),
            interface: 0,
            data: &whole[..cut],
        };
        let Frame::Undecodable { error, bytes } = decode(&packet) else { panic!("cut at {cut}") };
        assert_eq!(error, DecodeError { layer, fault: Fault::Truncated }, "cut at {cut}");
        assert_eq!(bytes, if cut < 14 { 46 } else { 32 }, "cut at {cut}");
    }
    let data = ethernet(0x0800, &[0x44; 40]);
    assert!(matches!(
        frame(1, &data),
        Frame::Undecodable { error: DecodeError { layer: Layer::Ipv4, fault: Fault::Malformed }, bytes: 40 }
    ));
    // Van Jacobson's compression: IP, but not without the packets before.
    let data = [0xff, 3, 0, 0x2d, 1, 2, 3, 4];
    let Frame::Undecodable { error, bytes } = frame(9, &data) else { panic!() };
    assert_eq!((error, bytes), (DecodeError { layer: Layer::Link, fault: Fault::Unsupported }, 8));
}

#[test]
fn the_length_that_counts_is_the_one_that_the_header_states() {
    let decoded = |data: &[u8], orig_len: u32| match decode(&CapturedPacket {
        ts: UnixNanos(0),
        orig_len,
        link_type: LinkType(1),
        interface: 0,
        data,
    }) {
        Frame::Ip(p) => (p.ip_bytes, p.length_from_frame),
        other => panic!("{other:?}"),
    };
    let packet = ethernet(0x0800, &inner4());
    assert_eq!(decoded(&join(&[&packet, &[0; 14]]), 60), (32, false), "padding is no traffic");
    assert_eq!(decoded(&packet, 2_147_483_647), (32, false), "a frame length that lies is not believed");
    assert_eq!(decoded(&packet, 10), (32, false), "nor one that is too short");
    assert_eq!(decoded(&packet[..34], 46), (32, false), "nor does the captured length count");
    let mut offload = packet.clone();
    offload[16..18].fill(0);
    assert_eq!(decoded(&offload, 9014), (9000, true));
    assert_eq!(decoded(&offload, 4_000_000_000), (32, true));
    let mut v6 = ethernet(0x86dd, &inner6());
    v6[18..20].fill(0);
    assert_eq!(decoded(&v6, 70_014), (70_000, true));
    v6[20] = 59; // no next header: the length of 0 is true
    assert_eq!(decoded(&v6, 66), (40, false));
}

#[test]
fn an_ipv6_payload_length_of_0_is_true_unless_offload_left_it_so() {
    let packet = |proto: u8, payload: &[u8]| {
        let mut packet = v6(proto, payload);
        packet[4..6].fill(0);
        packet
    };
    let of = |data: &[u8], link: u16| {
        let p = ip(link, data);
        (p.ip_bytes, p.length_from_frame)
    };
    let vlan = |packet: &[u8]| join(&[&[2; 12], &[0x81, 0, 0, 7, 0x86, 0xdd], packet]);
    // Padding, whatever number stands in front of it; with a check sequence behind it, a VLAN tag,
    // a trailer of a switch.
    for proto in [99, 6, 17, 58, 0, 44, 60, 132] {
        for data in [packet(proto, &[0; 6]), packet(proto, &[0; 10]), packet(proto, &[0; 400])] {
            assert_eq!(of(&ethernet(0x86dd, &data), 1), (40, false), "{proto} in {} bytes", data.len());
            assert_eq!(of(&vlan(&data), 1), (40, false), "{proto} in {} bytes, tagged", data.len());
        }
        let cooked = join(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x86, 0xdd], &packet(proto, &[0; 6])]);
        assert_eq!(of(&cooked, 113), (40, false));
    }
    // Six bytes that look like the beginning of a header are no segment.
    assert_eq!(of(&ethernet(0x86dd, &packet(6, &[0, 80, 0xc0, 1, 0, 0])), 1), (40, false));
    // Large packets before they are cut into segments.
    assert_eq!(of(&ethernet(0x86dd, &packet(6, &tcp(443, 50_000, &[7; 3000]))), 1), (3060, true));
    assert_eq!(of(&ethernet(0x86dd, &packet(17, &udp(443, 50_000, &[7; 3000]))), 1), (3048, true));
    assert_eq!(of(&packet(17, &udp(443, 50_000, &[7; 3000])), 101), (3048, true));
}

#[test]
fn a_length_beyond_the_frame_is_believed_only_where_the_capture_was_cut() {
    let of = |data: &[u8], link: u16, orig_len: u32| {
        let link_type = LinkType(link);
        let Frame::Ip(p) = decode(&CapturedPacket { ts: UnixNanos(0), orig_len, link_type, interface: 0, data }) else {
            panic!()
        };
        (p.ip_bytes, p.length_from_frame, p.note.map(|n| (n.layer, n.fault)))
    };
    let stated = |mut packet: Vec<u8>, len: u16| {
        let at = if packet[0] >> 4 == 4 { 2 } else { 4 };
        packet[at..at + 2].copy_from_slice(&len.to_be_bytes());
        packet
    };
    // 402 bytes on the wire, 53,020 by the header.
    let lie = stated(outer4(6, &tcp(443, 50_000, &[7; 348])), 53_020);
    let tag = [&[2; 12][..], &[0x81, 0, 0, 7, 0x08, 0]].concat();
    for (link, front) in [(1, &ethernet(0x0800, &[])), (1, &tag), (101, &vec![])] {
        let (data, wire) = (join(&[front, &lie]), front.len() as u32 + 388);
        let note = Some((Layer::Ipv4, Fault::Malformed));
        assert_eq!(of(&data, link, wire), (388, true, note), "captured whole");
        assert_eq!(of(&data, link, wire - 1), (388, true, note), "an original length that is too short says nothing");
        assert_eq!(of(&data, link, wire + 1), (53_020, false, None), "cut");
        assert_eq!(of(&data[..front.len() + 60], link, wire), (53_020, false, None), "cut");
        assert_eq!(of(&data, link, 0), (53_020, false, None), "nothing says that it was not cut");
    }
    let lie = ethernet(0x86dd, &stated(v6(17, &udp(443, 50_000, &[7; 340])), 50_000));
    assert_eq!(of(&lie, 1, 402), (388, true, Some((Layer::Ipv6, Fault::Malformed))));
    assert_eq!(of(&lie, 1, 403), (50_040, false, None));
    // A firewall that logs the beginning of packets does not say so in the frame.
    let logged = join(&[&[2, 0, 0, 0, 48, 0, 9, 0], &stated(inner4(), 1500), &[0; 12]]);
    assert_eq!(of(&logged, 239, logged.len() as u32).0, 1500);
    // Lengths inside tunnels are not counted.
    let tunnel = outer4(47, &join(&[&[0, 0, 8, 0], &stated(inner4(), 9000)]));
    assert_eq!(of(&tunnel, 101, 56), (56, false, None));
}

#[test]
fn ports_stand_at_the_same_place_in_sctp_dccp_and_udp_lite() {
    let body = [&1234u16.to_be_bytes()[..], &80u16.to_be_bytes(), &[0; 12]].concat();
    let ports = |p: &IpPacket<'_>| match p.transport {
        Transport::Ports { src_port, dst_port } => Some((src_port, dst_port)),
        _ => None,
    };
    for proto in [132, 33, 136] {
        assert_eq!(ports(&ip(101, &outer4(proto, &body))), Some((1234, 80)));
        assert_eq!(ports(&ip(1, &ethernet(0x86dd, &v6(proto, &body)))), Some((1234, 80)));
        assert_eq!(ports(&ip(101, &outer4(proto, &body[..3]))), None);
        let mut first = outer4(proto, &body);
        first[6] = 0x20;
        assert_eq!(ports(&ip(101, &first)), Some((1234, 80)));
        first[6..8].copy_from_slice(&[0, 2]);
        assert_eq!(ports(&ip(101, &first)), None, "a later fragment has none");
        let tunnel = outer4(47, &join(&[&[0, 0, 8, 0], &outer4(proto, &body)]));
        assert_eq!(ports(&ip(101, &tunnel)), Some((1234, 80)));
    }
    assert_eq!(ports(&ip(101, &outer4(50, &body))), None);
}

/// A netlink message of the kind that netfilter sends: `type`, then family and the packet in the
/// attribute.
fn netlink_message(number: u16, attribute: u16, big: bool, packet: &[u8]) -> Vec<u8> {
    let two = |n: usize| if big { (n as u16).to_be_bytes() } else { (n as u16).to_le_bytes() };
    let mut body = join(&[&[2, 0, 0, 0], &two(5), &two(7), &[9, 0, 0, 0]]); // an attribute of five bytes, padded
    if attribute > 0 {
        body.extend(join(&[&two(4 + packet.len()), &two(attribute.into()), packet]));
    }
    let len = 16 + body.len();
    let four = if big { (len as u32).to_be_bytes() } else { (len as u32).to_le_bytes() };
    let mut message = join(&[&four, &two(number.into()), &[0; 10], &body]);
    message.resize(len.next_multiple_of(4), 0);
    message
}

#[test]
fn every_packet_in_a_frame_of_netlink_is_read() {
    let log = |big, packet: &[u8]| netlink_message(0x0400, 9, big, packet);
    let other = netlink_message(0x0401, 0, false, &[]);
    let odd = v4(17, [198, 51, 100, 1], [203, 0, 113, 2], &udp(1234, 80, b"odd"));
    let monitor = [0, 4, 3, 56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12];
    let cooked2 = [0, 12, 0, 0, 0, 0, 0, 9, 3, 56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mixed = [log(false, &odd), other.clone(), netlink_message(0x0300, 10, false, &inner4()), log(false, &inner4())];
    for big in [false, true] {
        let plain = [log(big, &odd), log(big, &inner4()), log(big, &inner4())];
        for messages in [plain.concat(), mixed.concat(), [&other[..], &plain.concat(), &other].concat()] {
            for (link, front) in [(253, &monitor[..]), (113, &monitor), (276, &cooked2)] {
                let data = join(&[front, &messages]);
                let packet = CapturedPacket {
                    ts: UnixNanos(0),
                    orig_len: data.len() as u32,
                    link_type: LinkType(link),
                    interface: 0,
                    data: &data,
                };
                let further: Vec<_> = further(&packet).unwrap().map(|frame| format!("{frame:?}")).collect();
                assert_eq!(line(&ip(link, &data)), format!("{INNER4} 31 1"), "link type {link}");
                assert_eq!(further.len(), 2, "link type {link}");
                assert!(
                    further.iter().all(|f| f.contains("ip_bytes: 32,") && f.contains("src_port: 1234")),
                    "{further:?}"
                );
            }
        }
    }
    // One message, none, and other families: nothing further.
    for (family, messages, count) in [(12, log(false, &odd), Some(0)), (12, other.clone(), Some(0)), (0, other, None)] {
        let data = join(&[&monitor[..15], &[family], &messages]);
        let packet =
            CapturedPacket { ts: UnixNanos(0), orig_len: 0, link_type: LinkType(253), interface: 0, data: &data };
        assert_eq!(further(&packet).map(Iterator::count), count);
    }
    // What was cut off is undecodable, and said.
    let whole = join(&[&monitor, &log(false, &inner4()), &log(false, &inner4())]);
    let cut = &whole[..whole.len() - 20];
    let packet = CapturedPacket {
        ts: UnixNanos(0),
        orig_len: whole.len() as u32,
        link_type: LinkType(253),
        interface: 0,
        data: cut,
    };
    assert!(matches!(further(&packet).unwrap().next(), Some(Frame::Undecodable { .. })));
}

#[test]
fn a_jumbo_length_is_believed_where_the_frame_has_room_for_it() {
    // RFC 2675: hop-by-hop header with option 0xc2, here 100,000 bytes of payload.
    let hop = [17, 0, 0xc2, 4, 0, 1, 0x86, 0xa0];
    let mut packet = v6(0, &join(&[&hop, &udp(1, 2, b"x")]));
    packet[4..6].fill(0);
    let data = ethernet(0x86dd, &packet);
    let at = |orig_len| {
        let packet = CapturedPacket { ts: UnixNanos(0), orig_len, link_type: LinkType(1), interface: 0, data: &data };
        let Frame::Ip(p) = decode(&packet) else { panic!() };
        (p.ip_bytes, p.length_from_frame, p.proto)
    };
    assert_eq!(at(100_054), (100_040, false, 17));
    assert_eq!(at(200), (186, true, 17));
}

#[test]
fn ipv4_options_and_ipv6_extension_headers_are_passed() {
    let options = join(&[
        &[0x46, 0, 0, 36, 0, 0, 0, 0, 64, 17, 0, 0],
        &[198, 51, 100, 1],
        &[203, 0, 113, 2],
        &[1; 4],
        &udp(1234, 80, b"data"),
    ]);
    assert_eq!(line(&ip(101, &options)), format!("{INNER4} 36 1"));
    let chain = join(&[
        &[43, 0, 1, 4, 0, 0, 0, 0],
        &[44, 0, 0, 0, 0, 0, 0, 0],
        &[51, 0, 0, 0, 0, 0, 0, 9], // an atomic fragment (RFC 6946)
        &[60, 4, 0, 0],
        &[0; 20],
        &[140, 0, 1, 4, 0, 0, 0, 0],
        &[17, 0, 0, 0, 0, 0, 0, 0],
        &udp(1234, 80, b"data"),
    ]);
    let packet = v6(0, &chain);
    assert_eq!(line(&ip(101, &packet)), format!("{INNER6} {} 1", packet.len()));
    assert_eq!(ip(101, &packet).fragment, None);
    let mobility = v6(135, &[59, 0, 5, 0, 0, 0, 0, 0]);
    assert_eq!(ip(101, &mobility).proto, 135);
    let authenticated = outer4(51, &join(&[&[17, 4, 0, 0], &[0; 20], &udp(7, 9, b"")]));
    assert_eq!(line(&ip(101, &authenticated)), "192.0.2.1:7>192.0.2.2:9/17 52 1");
    let endless = v6(60, &[60, 0, 1, 4, 0, 0, 0, 0].repeat(40));
    assert_eq!(ip(101, &endless).note, Some(DecodeError { layer: Layer::Ipv6, fault: Fault::Unsupported }));
    let cut = v6(60, &[17, 9, 1, 4, 0, 0, 0, 0]);
    assert_eq!(ip(101, &cut).note, Some(DecodeError { layer: Layer::Ipv6, fault: Fault::Malformed }));
}

#[test]
fn every_fragment_says_so_and_only_the_first_has_ports() {
    let mut first = inner4();
    first[6] = 0x20;
    let packet = ip(101, &first);
    assert_eq!(packet.fragment, Some(Fragment { id: 0x1234, offset_bytes: 0, more: true }));
    assert!(matches!(packet.transport, Transport::Udp(Udp { src_port: 1234, .. })));
    let mut last = inner4();
    last[6..8].copy_from_slice(&[0, 3]);
    let packet = ip(101, &last);
    assert_eq!(packet.fragment, Some(Fragment { id: 0x1234, offset_bytes: 24, more: false }));
    assert_eq!(packet.datagram.unwrap(), Datagram { src: packet.src, dst: packet.dst, proto: 17, inside_bytes: 0 });
    assert!(matches!(packet.transport, Transport::Other(p) if p.len() == 12));
    let v6_last = v6(44, &[17, 0, 0, 0x10, 0, 1, 2, 3, 9, 9]);
    let packet = ip(101, &v6_last);
    assert_eq!(packet.fragment, Some(Fragment { id: 0x0001_0203, offset_bytes: 16, more: false }));
    assert_eq!(packet.proto, 17);
}

#[test]
fn the_first_fragment_of_a_tunnel_shows_the_flow_and_names_its_datagram() {
    let mut packet = outer4(47, &join(&[&[0, 0, 8, 0], &inner4()]));
    packet[6] = 0x20;
    let got = ip(101, &packet);
    assert_eq!(line(&got), format!("{INNER4} 56 2"));
    // GRE's header and the inner IP header.
    let outer = Datagram { src: [192, 0, 2, 1].into(), dst: [192, 0, 2, 2].into(), proto: 47, inside_bytes: 24 };
    assert_eq!((got.datagram, got.fragment.map(|f| f.id)), (Some(outer), Some(0x1234)));
}

#[test]
fn tunnels_by_protocol_number_give_the_inner_flow() {
    let eth4 = ethernet(0x0800, &inner4());
    let data_frame = join(&[&[0x08, 1, 0, 0], &[2; 18], &[0x10, 0], &snap(0x0800, &inner4())]);
    for queue in [0x8200_u16, 0x8210, 0x82f0, 0x8370] {
        all_are_tunnels(&[outer4(47, &join(&[&[0, 0], &queue.to_be_bytes(), &data_frame]))]);
    }
    let encrypted = join(&[&[0, 0, 0x82, 0, 0x08, 0x41, 0, 0], &[2; 18], &[0x10, 0], &[9; 40]]);
    assert_eq!(line(&ip(101, &outer4(47, &encrypted))), "192.0.2.1:0>192.0.2.2:0/47 88 1", "the carrier stays");
    all_are_tunnels(&[
        outer4(4, &inner4()),
        outer4(41, &inner6()),
        v6(41, &inner6()),
        v6(4, &inner4()),
        outer4(47, &join(&[&[0, 0, 8, 0], &inner4()])),
        outer4(47, &join(&[&[0, 0, 0x86, 0xdd], &inner6()])),
        outer4(47, &join(&[&[0xb0, 0, 8, 0], &[0; 12], &inner4()])),
        outer4(47, &join(&[&[0x40, 0, 8, 0], &[0; 4], &[0, 2, 0, 4, 1, 1, 1, 1], &[0; 4], &inner4()])),
        outer4(47, &join(&[&[0x20, 0, 0x65, 0x58, 0, 0, 1, 0], &eth4])),
        outer4(47, &join(&[&[0, 0, 0x88, 0x47, 0, 2, 1, 64], &inner4()])),
        outer4(47, &join(&[&[0x30, 0x81, 0x88, 0x0b, 0, 34, 0, 1], &[0; 8], &[0xff, 3, 0, 0x21], &inner4()])),
        outer4(47, &join(&[&[0x20, 1, 0x64, 0, 0, 46, 1, 0], &eth4])),
        outer4(47, &join(&[&[0, 0, 0x88, 0xbe], &eth4])),
        outer4(47, &join(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0], &eth4])),
        outer4(47, &join(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20], &[0; 11], &eth4])),
        outer4(47, &join(&[&[0, 0, 0x22, 0xeb, 0x20], &[0; 9], &[0x08, 1], &[0; 8], &inner4()])),
        outer4(47, &join(&[&[0, 0, 0x88, 0x3e], &inner4()])),
        outer4(47, &join(&[&[0, 0, 0x88, 0x3e, 1, 0, 0, 0], &inner4()])),
        outer4(97, &join(&[&[0x30, 0], &eth4])),
        outer4(115, &join(&[&[0, 0, 0, 9], &eth4])),
        outer4(115, &join(&[&[0, 0, 0, 9], &[7; 8], &eth4])),
        outer4(137, &join(&[&[0, 2, 1, 64], &inner4()])),
        v6(143, &eth4),
        outer4(103, &join(&[&[0x21, 0, 0, 0, 0, 0, 0, 0], &inner4()])),
    ]);
}

#[test]
fn tunnels_over_udp_give_the_inner_flow() {
    let eth4 = ethernet(0x0800, &inner4());
    let teredo = v6(17, &udp(1234, 80, b"data"));
    let between_peers = v6_between([0x20, 1, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 1], 17, &udp(1234, 80, b"data"));
    all_are_tunnels(&[
        over_udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &eth4])),
        over_udp(8472, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &join(&[&[2; 12], &[0x81, 0, 0, 7, 8, 0], &inner4()])])),
        over_udp(4789, &join(&[&[0x88, 0, 0, 5, 0, 0, 1, 0], &eth4])),
        // The flag of VXLAN-GPE on the port of VXLAN: a reserved bit there, which senders set.
        over_udp(4789, &join(&[&[0x0c, 0, 0, 3, 0, 0, 1, 0], &eth4])),
        over_udp(4789, &join(&[&[0x0c, 0, 0, 0, 0, 0, 1, 0], &eth4])),
        over_udp(8472, &join(&[&[0xff, 0xff, 0xff, 0xff, 0, 0, 1, 0xff], &eth4])),
        over_udp(4789, &join(&[&[0x0c, 0, 0, 1, 0, 0, 1, 0], &inner4()])),
        over_udp(4790, &join(&[&[0x0c, 0, 0, 1, 0, 0, 1, 0], &inner4()])),
        over_udp(4790, &join(&[&[0x0c, 0, 0, 3, 0, 0, 1, 0], &eth4])),
        over_udp(4790, &join(&[&[0x0c, 0, 0, 4, 0, 0, 1, 0], &[0, 2, 1, 2, 0, 0, 1, 1], &inner6()])),
        over_udp(6081, &join(&[&[0, 0, 0x65, 0x58, 0, 0, 1, 0], &eth4])),
        over_udp(6081, &join(&[&[1, 0, 0x86, 0xdd, 0, 0, 1, 0], &[9; 4], &inner6()])),
        over_udp(2152, &join(&[&[0x30, 0xff, 0, 32, 0, 0, 0, 1], &inner4()])),
        over_udp(2152, &join(&[&[0x34, 0xff, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0x10, 9, 0], &inner4()])),
        over_udp(2152, &join(&[&[0x32, 0xff, 0, 36, 0, 0, 0, 1, 0, 1, 0, 0], &inner4()])),
        over_udp(3386, &join(&[&[0x1e, 0xff], &[0; 18], &inner4()])),
        over_udp(3544, &teredo),
        over_udp(3544, &join(&[&[0, 0, 0xaf, 0xff, 1, 2, 3, 4], &teredo])),
        over_udp(3544, &join(&[&[0, 1, 0, 0], &[0; 9], &[0, 0, 0xaf, 0xff, 1, 2, 3, 4], &teredo])),
        over_udp(1701, &join(&[&[0, 2, 0, 1, 0, 1, 0xff, 3, 0, 0x21], &inner4()])),
        over_udp(1701, &join(&[&[0x4a, 2, 0, 50, 0, 1, 0, 1, 0, 0, 0, 0, 0, 2, 9, 9, 0, 0x21], &inner4()])),
        over_udp(1701, &join(&[&[0, 3, 0, 0, 0, 0, 0, 1], &eth4])),
        over_udp(5072, &join(&[&[0x41, 0x52, 0x11, 41, 0, 0, 0, 0], &[0; 16], &[0; 20], &inner6()])),
        over_udp(5247, &join(&[&[0, 0x10, 0, 0, 0, 0, 0, 0], &eth4])),
        over_udp(
            5247,
            &join(&[&[0, 0x10, 3, 0, 0, 0, 0, 0], &[8, 1, 0, 0], &[2; 18], &[0x10, 0], &snap(0x0800, &inner4())]),
        ),
        over_udp(
            5247,
            &join(&[&[0, 0x10, 3, 0, 0, 0, 0, 0], &[1, 8, 0, 0], &[2; 18], &[1, 0x10], &snap(0x0800, &inner4())]),
        ),
        over_udp(6635, &join(&[&[0, 2, 1, 64], &inner4()])),
        over_udp(4341, &join(&[&[0x80, 0, 0, 1, 0, 0, 0, 0], &inner4()])),
        over_udp(4342, &join(&[&[0x80, 0, 0, 0], &inner4()])),
        over_udp(4754, &join(&[&[0, 0, 8, 0], &inner4()])),
        over_udp(6080, &join(&[&[0, 4, 0, 0], &inner4()])),
        over_udp(6080, &inner4()),
        over_udp(37_008, &join(&[&[1, 0, 0, 1, 0, 10, 1, 9, 1], &eth4])),
    ]);
    let packet = over_udp(40_000, &between_peers);
    assert_eq!(ip(101, &packet).depth, 2);
    let packet = over_udp(40_000, &teredo);
    assert_eq!(ip(101, &packet).depth, 1, "an IPv6 packet of no Teredo address is only data");
}

#[test]
fn what_stands_between_ethernet_and_ip_may_stand_inside_a_tunnel() {
    let frame = |rest: &[&[u8]]| join(&[&[2; 12], &join(rest), &inner4()]);
    let session = |protocol: &[u8]| {
        let len = (inner4().len() + protocol.len()) as u16;
        join(&[&[0x88, 0x64, 0x11, 0, 0, 1], &len.to_be_bytes(), protocol])
    };
    let customer = [2; 12];
    for frame in [
        frame(&[&session(&[0, 0x21])]),
        frame(&[&[0x81, 0, 0, 7], &session(&[0x21])]),
        frame(&[&[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64]]),
        frame(&[&[0x92, 0, 0, 7, 0x81, 0, 0, 8, 8, 0]]),
        frame(&[&[0x88, 0xa8, 0, 7, 0x88, 0xe7, 0, 0, 0, 1], &customer, &[8, 0]]),
        join(&[&[2; 12], &[0, 48], &snap(0x0800, &inner4())]),
    ] {
        all_are_tunnels(&[
            over_udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &frame])),
            // Reserved bits are ignored on receipt (RFC 7348 section 5, RFC 8926 section 3.4).
            over_udp(4789, &join(&[&[0x08, 0, 0, 0, 0, 0, 1, 9], &frame])),
            over_udp(6081, &join(&[&[0, 0, 0x65, 0x58, 0, 0, 1, 9], &frame])),
            over_udp(2152, &join(&[&[0x30, 0xff, 0, 32, 0, 0, 0, 1], &frame])),
            outer4(115, &join(&[&[0, 0, 0, 1], &frame])),
        ]);
    }
    // Other EtherTypes inside lead to no IP: what carries them stays.
    for rest in [&[0x88, 0x63, 0x11, 0, 0, 0, 0, 0][..], &[0x88, 0x47, 0, 2, 0, 64], &[0x88, 0xcc]] {
        let frame = join(&[&[2; 12], rest, &inner4()]);
        let packet = over_udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &frame]));
        assert_eq!(line(&ip(101, &packet)), format!("192.0.2.1:50000>192.0.2.2:4789/17 {} 1", packet.len()));
    }
}

#[test]
fn a_pseudo_wire_without_control_word_is_no_ip_whatever_its_address_begins_with() {
    let label = [0, 2, 1, 64];
    for first in [0x45, 0x4f, 0x60, 0x64, 0x6f] {
        for fifth in [0x00, 0x10, 0xdd] {
            let frame = join(&[&[first, 2, 2, 2, fifth, 2], &[2; 6], &[8, 0], &inner4()]);
            let outer = ethernet(0x8847, &join(&[&label, &frame]));
            assert_eq!(line(&ip(1, &outer)), format!("{INNER4} 32 1"), "{first:x} {fifth:x}");
        }
    }
    for packet in [inner4(), inner6()] {
        let padded = join(&[&label, &packet, &[0; 6]]);
        assert_eq!(ip(1, &ethernet(0x8847, &padded)).ip_bytes as usize, packet.len());
    }
}

#[test]
fn ordinary_traffic_on_the_port_of_a_tunnel_stays_what_it_is() {
    for port in [1701, 2152, 3386, 3544, 4341, 4342, 4754, 4789, 4790, 5072, 5247, 6080, 6081, 6635, 8472, 37_008] {
        for payload in [
            &b""[..],
            b"x",
            &[0; 64],
            &[0xff; 64],
            b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
            &[0x45; 64],
            &[0x60; 64],
        ] {
            let packet = over_udp(port, payload);
            assert_eq!(line(&ip(101, &packet)), format!("192.0.2.1:50000>192.0.2.2:{port}/17 {} 1", packet.len()));
        }
    }
}

#[test]
fn a_tunnel_whose_inside_cannot_be_read_keeps_the_outer_flow_and_says_why() {
    let whole = outer4(47, &join(&[&[0, 0, 8, 0], &inner4()]));
    for (cut, note) in [(22, "Tunnel Truncated"), (30, "Ipv4 Truncated")] {
        let packet = CapturedPacket {
            ts: UnixNanos(0),
            orig_len: 56,
            link_type: LinkType(101),
            interface: 0,
            data: &whole[..cut],
        };
        let Frame::Ip(got) = decode(&packet) else { panic!() };
        assert_eq!(line(&got), format!("192.0.2.1:0>192.0.2.2:0/47 56 1 {note}"));
    }
    let arp = outer4(47, &join(&[&[0, 0, 0x65, 0x58], &ethernet(0x0806, &[0; 28])]));
    assert_eq!(line(&ip(101, &arp)), format!("192.0.2.1:0>192.0.2.2:0/47 {} 1", arp.len()), "ARP is no failure");
    let nested = (0..60).fold(inner4(), |packet, _| outer4(4, &packet));
    assert_eq!(ip(101, &nested).note, Some(DecodeError { layer: Layer::Ipv4, fault: Fault::Unsupported }));
    assert_eq!(ip(101, &nested).ip_bytes as usize, nested.len());
}

/// Link types that lead somewhere, and some that do not.
const LINK_TYPES: [u16; 60] = [
    0, 1, 6, 8, 9, 10, 12, 13, 14, 50, 51, 100, 101, 102, 104, 105, 106, 107, 108, 109, 113, 117, 119, 122, 123, 127,
    138, 143, 147, 149, 163, 166, 178, 189, 192, 197, 204, 205, 206, 226, 228, 229, 239, 240, 241, 242, 252, 253, 254,
    258, 259, 274, 276, 281, 282, 284, 285, 286, 1000, 65535,
];

/// What holds for any frame: both ways through agree, the length has its bounds, payloads lie
/// inside their packet.
fn holds(link: u16, data: &[u8], orig_len: u32) {
    let packet = CapturedPacket { ts: UnixNanos(0), orig_len, link_type: LinkType(link), interface: 0, data };
    let general = walk::decode(&packet);
    if let Some(common) = fast::common(&packet) {
        assert_eq!(format!("{:?}", Frame::Ip(common.packet())), format!("{general:?}"), "both ways differ");
    }
    let further = further(&packet).map_or(0, Iterator::count);
    assert!(further <= data.len() / 14, "{further} packets in {} bytes", data.len());
    if let Frame::Ip(p) = &general {
        assert!(p.ip_bytes >= 20 && p.depth >= 1);
        assert!(p.ip_bytes <= 1 << 20 || !p.length_from_frame);
        assert_eq!(p.fragment.is_some(), p.datagram.is_some());
        if let Transport::Tcp(Tcp { payload, payload_len, .. }) | Transport::Udp(Udp { payload, payload_len, .. }) =
            p.transport
        {
            assert!(payload.len() <= payload_len as usize);
        }
    }
}

/// Frames of the tests above, for mutation.
fn seeds() -> Vec<(u16, Vec<u8>)> {
    let eth4 = ethernet(0x0800, &inner4());
    let hop = join(&[&[17, 0, 0xc2, 4, 0, 1, 0x86, 0xa0], &udp(1, 2, b"x")]);
    vec![
        (1, ethernet(0x0800, &outer4(6, &tcp(443, 50_000, b"hello")))),
        (1, ethernet(0x86dd, &v6(6, &tcp(443, 50_000, b"hello")))),
        (1, ethernet(0x86dd, &v6(0, &hop))),
        (1, join(&[&[2; 12], &[0x81, 0, 0, 7, 0x08, 0], &inner4()])),
        (1, ethernet(0x8847, &join(&[&[0, 2, 1, 64, 0, 0, 0, 0], &eth4]))),
        (1, ethernet(0x0800, &outer4(47, &join(&[&[0xb0, 0, 0x65, 0x58], &[0; 12], &eth4])))),
        (1, ethernet(0x0800, &over_udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &eth4])))),
        (
            1,
            ethernet(
                0x0800,
                &over_udp(2152, &join(&[&[0x34, 0xff, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0x10, 9, 0], &inner4()])),
            ),
        ),
        (1, ethernet(0x0800, &over_udp(5247, &join(&[&[0, 0x10, 0, 0, 0, 0, 0, 0], &eth4])))),
        (
            1,
            ethernet(
                0x0800,
                &over_udp(1701, &join(&[&[0x4a, 2, 0, 50, 0, 1, 0, 1, 0, 0, 0, 0, 0, 2, 9, 9, 0, 0x21], &inner4()])),
            ),
        ),
        (1, ethernet(0x0800, &over_udp(5072, &join(&[&[0x41, 0x52, 0x11, 41, 0, 0, 0, 0], &[0; 36], &inner6()])))),
        (113, join(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0], &inner4()])),
        (276, join(&[&[0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &inner6()])),
        (101, inner6()),
        (127, join(&[&[0, 0, 8, 0, 0, 0, 0, 0], &[8, 1, 0, 0], &[2; 18], &[0x10, 0], &snap(0x0800, &inner4())])),
        (239, join(&[&[2, 0, 0, 0, 8, 0, 1, 0, 0, 8, 1, 0, 36, 0, 9, 0], &inner4()])),
        (
            253,
            join(&[
                &[0, 4, 3, 56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12],
                &netlink_message(0x0400, 9, false, &inner4()).repeat(3),
            ]),
        ),
        (101, outer4(132, &[4, 0xd2, 0, 80, 0, 0, 0, 0])),
        (
            105,
            join(&[
                &[0x88, 2, 0, 0],
                &[2; 18],
                &[0x10, 0, 0x80, 0],
                &join(&[&[2; 12], &[0, 40], &snap(0x0800, &inner4()), &[0, 0]]).repeat(3),
            ]),
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_of_any_link_type_bring_the_decoder_down(
        link in prop::sample::select(&LINK_TYPES[..]),
        data in prop::collection::vec(any::<u8>(), 0..300),
        orig_len in any::<u32>(),
    ) {
        holds(link, &data, orig_len);
    }

    #[test]
    fn no_mutation_of_a_good_frame_brings_the_decoder_down(
        seed in prop::sample::select(seeds()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        grow in prop::collection::vec(any::<u8>(), 0..40),
        whole in any::<bool>(),
    ) {
        let (link, mut data) = seed;
        for (at, value) in changes {
            let at = at.index(data.len());
            data[at] = value;
        }
        if !whole {
            data.truncate(cut.index(data.len()));
        }
        let orig_len = data.len() as u32;
        holds(link, &data, orig_len);
        data.extend(grow);
        holds(link, &data, orig_len);
        holds(link, &data, data.len() as u32 + 1000);
    }
}
