//! etherparse (lax) beside `wire::decode`: what both must agree on. Shared by the tests and the
//! fuzz targets.

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::wire::{Frame, IpPacket, Layer, Transport, decode};
use std::net::IpAddr;

/// What etherparse says of the first IP header of a packet.
struct Oracle {
    src: IpAddr,
    dst: IpAddr,
    /// Protocol behind the extension headers, if they could be followed.
    proto: Option<u8>,
    /// Stated length, if the header states one.
    ip_bytes: Option<u32>,
    fragment: bool,
    /// Ports and the captured payload.
    transport: Option<(u16, u16, Vec<u8>)>,
}

fn oracle(slice: &LaxSlicedPacket<'_>) -> Option<Oracle> {
    let net = slice.net.as_ref()?;
    let (src, dst, stated) = match net {
        LaxNetSlice::Ipv4(ip) => {
            let h = ip.header();
            let total = u32::from(h.total_len());
            (h.source_addr().into(), h.destination_addr().into(), (total != 0).then_some(total))
        }
        LaxNetSlice::Ipv6(ip) => {
            let h = ip.header();
            let stated = u32::from(h.payload_length());
            (h.source_addr().into(), h.destination_addr().into(), (stated != 0).then_some(stated + 40))
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let payload = net.ip_payload_ref()?;
    // A stop in the IP layer or its extensions leaves the protocol unknown.
    let stopped_early = slice.stop_err.is_some() && slice.transport.is_none();
    let transport = match &slice.transport {
        Some(TransportSlice::Tcp(t)) => Some((t.source_port(), t.destination_port(), t.payload().to_vec())),
        Some(TransportSlice::Udp(u)) => Some((u.source_port(), u.destination_port(), u.payload().to_vec())),
        _ => None,
    };
    Some(Oracle {
        src,
        dst,
        proto: (!stopped_early).then_some(payload.ip_number.0),
        ip_bytes: stated,
        fragment: payload.fragmented,
        transport,
    })
}

/// What etherparse makes of a packet; `None` where it does not know the link type or reads nothing.
pub fn slice(link: LinkType, data: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    match link.0 {
        1 => LaxSlicedPacket::from_ethernet(data).ok(),
        12 | 14 | 101 | 228 | 229 => LaxSlicedPacket::from_ip(data).ok(),
        _ => None,
    }
}

/// The difference between the two, if there is one that none of the known reasons covers.
pub fn difference(packet: &CapturedPacket<'_>) -> Option<String> {
    let theirs = slice(packet.link_type, packet.data)?;
    let oracle = oracle(&theirs);
    match (decode(packet), oracle) {
        (Frame::Ip(ours), Some(oracle)) => differs(&ours, &oracle),
        (Frame::Undecodable { error, .. }, Some(oracle)) => {
            let bad_length = oracle.ip_bytes.is_some_and(|n| n < 20) || too_short_for_options(&theirs);
            // IPv4 under IPv6's number: etherparse goes by the nibble, we by the number, as tshark
            // does.
            let mismatch = oracle.src.is_ipv4() && error.layer == Layer::Ipv6;
            (!bad_length && !mismatch).then(|| format!("ours cannot be decoded: {error:?}"))
        }
        (Frame::NotIp(kind), Some(_)) => Some(format!("ours is no IP: {kind:?}")),
        (_, None) => None,
    }
}

fn too_short_for_options(slice: &LaxSlicedPacket<'_>) -> bool {
    match &slice.net {
        Some(LaxNetSlice::Ipv4(ip)) => ip.header().total_len() < u16::from(ip.header().ihl()) * 4,
        _ => false,
    }
}

fn differs(ours: &IpPacket<'_>, oracle: &Oracle) -> Option<String> {
    if oracle.ip_bytes.is_some_and(|n| n != ours.ip_bytes) && !ours.length_from_frame {
        return Some(format!("length {} and {:?}", ours.ip_bytes, oracle.ip_bytes));
    }
    if ours.depth > 1 {
        return None;
    }
    if (ours.src, ours.dst) != (oracle.src, oracle.dst) {
        return Some(format!("ends {}>{} and {}>{}", ours.src, ours.dst, oracle.src, oracle.dst));
    }
    // Extension headers that etherparse does not know, and those that it follows only once or in
    // the usual order: it stands still where we go on.
    if matches!(oracle.proto, Some(0 | 43 | 44 | 51 | 60 | 135 | 139 | 140)) {
        return None;
    }
    // A padded IPv6 frame whose header states nothing behind itself: etherparse takes the padding
    // for a packet.
    if oracle.ip_bytes.is_none() && ours.src.is_ipv6() && ours.ip_bytes == 40 {
        return None;
    }
    // In a later fragment what follows is no header; etherparse takes it for one.
    let later_fragment = ours.fragment.is_some_and(|f| f.offset_bytes > 0);
    if oracle.proto.is_some_and(|p| p != ours.proto) && !later_fragment {
        return Some(format!("protocol {} and {:?}", ours.proto, oracle.proto));
    }
    if oracle.proto.is_some() && oracle.fragment != ours.fragment.is_some() {
        return Some(format!("fragment {:?} and {}", ours.fragment, oracle.fragment));
    }
    let (src, dst, payload) = oracle.transport.as_ref()?;
    let (ports, our_payload) = match &ours.transport {
        Transport::Tcp(t) => ((t.src_port, t.dst_port), t.payload),
        Transport::Udp(u) => ((u.src_port, u.dst_port), u.payload),
        other => return Some(format!("transport {other:?}")),
    };
    if ports != (*src, *dst) {
        return Some(format!("ports {ports:?} and {src},{dst}"));
    }
    (ours.note.is_none() && our_payload != payload)
        .then(|| format!("payload {} and {}", our_payload.len(), payload.len()))
}
