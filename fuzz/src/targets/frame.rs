//! One frame of any link type: what is decoded lies within the frame, and both ways of the decoder
//! agree.

use crate::frames::frame;
use imon_common::packet::CapturedPacket;
use imon_common::wire::{Frame, Transport, decode, further};

/// One input.
pub fn run(data: &[u8]) {
    let Some(packet) = frame(data) else { return };
    let decoded = decode(&packet);
    check(&packet, &decoded);
    further(&packet).into_iter().flatten().for_each(|frame| check(&packet, &frame));
    tagged_is_the_same(&packet, &decoded);
}

fn check(packet: &CapturedPacket<'_>, decoded: &Frame<'_>) {
    let Frame::Ip(ip) = decoded else { return };
    assert!(ip.depth >= 1);
    assert_eq!(ip.fragment.is_some(), ip.datagram.is_some());
    assert!(ip.ip_bytes >= 20 || ip.length_from_frame, "{} IP bytes", ip.ip_bytes);
    assert!(ip.ip_bytes <= 40 + 65_535 || ip.length_from_frame, "{} IP bytes stated", ip.ip_bytes);
    let (payload, len) = match &ip.transport {
        Transport::Tcp(tcp) => (tcp.payload, tcp.payload_len),
        Transport::Udp(udp) => (udp.payload, udp.payload_len),
        Transport::Other(bytes) => (*bytes, 0),
        Transport::Ports { .. } => return,
        Transport::Unreadable => return,
    };
    assert!(payload.is_empty() || packet.data.as_ptr_range().contains(&payload.as_ptr()), "payload from elsewhere");
    assert!(payload.len() <= packet.data.len());
    // The UDP length of a first fragment is that of the whole datagram.
    let whole = ip.depth == 1 && ip.fragment.is_none();
    assert!(!whole || len <= ip.ip_bytes, "payload of {len} in {} IP bytes", ip.ip_bytes);
}

/// Plain IP in Ethernet goes the fast way; behind three tags the same bytes go the other way.
fn tagged_is_the_same(packet: &CapturedPacket<'_>, decoded: &Frame<'_>) {
    let (1, Some((macs, rest))) = (packet.link_type.0, packet.data.split_at_checked(12)) else { return };
    if !matches!(rest, [0x08, 0x00, ..] | [0x86, 0xdd, ..]) || !matches!(decoded, Frame::Ip(ip) if ip.depth == 1) {
        return;
    }
    let tags = [0x81, 0, 0, 7].repeat(3);
    let data = [macs, &tags, rest].concat();
    let orig_len = if packet.orig_len == 0 { 0 } else { packet.orig_len + 12 };
    // A chain of headers as long as the walk's bound ends three headers earlier behind three tags.
    let long_chain = matches!(decoded, Frame::Ip(ip) if matches!(ip.transport, Transport::Other(_)));
    let again = CapturedPacket { data: &data, orig_len, ..*packet };
    let mut tagged = decode(&again);
    if let Frame::Ip(ip) = &mut tagged {
        ip.inner_at -= tags.len() as u32;
    }
    assert!(long_chain || format!("{decoded:?}") == format!("{tagged:?}"), "{decoded:?}\n{tagged:?}");
}
