//! Frames: from an input, and around payloads.

use crate::Feed;
use crate::initial::datagrams;
use crate::pieces::{Piece, pieces};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;

/// Link types are numbers up to about this.
const LINK_TYPES: u16 = 304;

/// Most frames taken from one input.
const MAX_FRAMES: usize = 600;

/// One frame of an input: link type, bytes that the capture cut (65,535: the original length is
/// given as 0), data.
pub fn frame(input: &[u8]) -> Option<CapturedPacket<'_>> {
    let mut feed = Feed(input);
    let link_type = LinkType(feed.u16()? % LINK_TYPES);
    Some(with_original(link_type, UnixNanos(0), feed.u16()?, feed.0))
}

fn with_original(link_type: LinkType, ts: UnixNanos, missing: u16, data: &[u8]) -> CapturedPacket<'_> {
    let orig_len = if missing == u16::MAX { 0 } else { data.len() as u32 + u32::from(missing) };
    CapturedPacket { ts, orig_len, link_type, interface: 0, data }
}

/// Frames of one link type: link type, then for each: time step, missing, length, data.
pub fn frames(input: &[u8]) -> impl Iterator<Item = CapturedPacket<'_>> {
    let mut feed = Feed(input);
    let link_type = LinkType(feed.u16().unwrap_or(1) % LINK_TYPES);
    let mut ts = 1_760_000_000_000_000_000_i64;
    std::iter::from_fn(move || {
        // Small steps, hours, and both ways.
        let step = i64::from(feed.u8()?.cast_signed());
        ts = ts.saturating_add(step.pow(5).saturating_mul(1_000_000));
        let (missing, len) = (feed.u16()?, feed.u16()?);
        Some(with_original(link_type, UnixNanos(ts), missing, feed.bytes(len.into())))
    })
    .take(MAX_FRAMES)
}

/// Adds a record for [`frames`].
pub fn put(input: &mut Vec<u8>, missing: u16, data: &[u8]) {
    let data = &data[..data.len().min(65_535)];
    input.push(1);
    input.extend(missing.to_le_bytes());
    input.extend((data.len() as u16).to_le_bytes());
    input.extend(data);
}

/// An IPv4 packet with this transport layer.
fn ipv4(proto: u8, up: bool, transport: &[u8]) -> Vec<u8> {
    let total = (20 + transport.len()).min(65_535) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, proto, 0, 0]);
    let (client, server) = ([10, 0, 0, 1], [192, 0, 2, 1]);
    packet.extend(if up { [client, server] } else { [server, client] }.as_flattened());
    packet.extend(&transport[..usize::from(total) - 20]);
    packet
}

/// A UDP datagram over IPv4.
pub fn udp(up: bool, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let (src, dst) = if up { ports } else { (ports.1, ports.0) };
    let len = (8 + payload.len()).min(65_515) as u16;
    let mut datagram = [src.to_be_bytes(), dst.to_be_bytes(), len.to_be_bytes(), [0; 2]].concat();
    datagram.extend(payload);
    ipv4(17, up, &datagram)
}

/// A TCP segment over IPv4.
fn tcp(piece: &Piece<'_>) -> Vec<u8> {
    let tcp = &piece.tcp;
    let mut segment = [tcp.src_port.to_be_bytes(), tcp.dst_port.to_be_bytes()].concat();
    segment.extend(tcp.seq.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x50, tcp.flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(tcp.payload);
    ipv4(6, piece.from_client, &segment)
}

/// The packets, as raw IP, that a target's input stands for; what is no packet gives none.
pub fn packets_of(target: &str, input: &[u8]) -> Vec<Vec<u8>> {
    match target {
        "dns_message" => vec![udp(false, (40_000, 53), input), udp(false, (40_000, 4_000), input)],
        "dns_stream" => pieces(input, (40_000, 53)).map(|p| tcp(&p)).collect(),
        "hello_stream" | "http" => pieces(input, (40_000, 443)).map(|p| tcp(&p)).collect(),
        "quic_datagrams" => datagrams(input).map(|(up, bytes, _)| udp(up, (40_000, 443), &bytes)).collect(),
        _ => Vec::new(),
    }
}
