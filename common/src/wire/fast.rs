//! The shape that nearly all packets have: Ethernet, at most one VLAN tag, IPv4 without options or IPv6 without
//! extension headers, TCP or UDP. Straight code without a loop; whatever is different in any way goes to `walk`.

use super::span::Span;
use super::transport::{self, TCP, UDP};
use super::{IpPacket, Mac, Transport, tunnel};
use crate::packet::{CapturedPacket, LinkType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// LINKTYPE_ETHERNET.
const ETHERNET: LinkType = LinkType(1);

/// The packet in `packet`, if it has the common shape and is no tunnel.
#[inline]
pub(super) fn decode<'a>(packet: &CapturedPacket<'a>) -> Option<IpPacket<'a>> {
    if packet.link_type != ETHERNET {
        return None;
    }
    let (head, mut rest) = packet.data.split_first_chunk::<14>()?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, mut t0, mut t1] = *head;
    if [t0, t1] == [0x81, 0x00] {
        let tag;
        (tag, rest) = rest.split_first_chunk::<4>()?;
        [_, _, t0, t1] = *tag;
    }
    let (src, dst, proto, ip_bytes, body) = match [t0, t1] {
        [0x08, 0x00] => ipv4(rest)?,
        [0x86, 0xdd] => ipv6(rest)?,
        _ => return None,
    };
    let (transport, note) = match proto {
        TCP => transport::tcp(body),
        UDP => transport::udp(body, false),
        _ => return None,
    };
    if let Transport::Udp(u) = &transport
        && (tunnel::is_tunnel_port(u.dst_port)
            || tunnel::is_tunnel_port(u.src_port)
            || tunnel::may_be_teredo(u.payload, u.payload_len))
    {
        return None;
    }
    Some(IpPacket {
        ip_bytes,
        length_from_frame: false,
        src_mac: Some(Mac([s0, s1, s2, s3, s4, s5])),
        dst_mac: Some(Mac([d0, d1, d2, d3, d4, d5])),
        src,
        dst,
        proto,
        fragment: None,
        datagram: None,
        transport,
        depth: 1,
        note,
    })
}

type Plain<'a> = (IpAddr, IpAddr, u8, u32, Span<'a>);

#[inline]
fn ipv4(bytes: &[u8]) -> Option<Plain<'_>> {
    let (head, after) = bytes.split_first_chunk::<20>()?;
    let [first, _, l0, l1, _, _, f0, f1, _, proto, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *head;
    let total = u32::from(u16::from_be_bytes([l0, l1]));
    let fragmented = u16::from_be_bytes([f0, f1]) & 0x3fff != 0;
    if first != 0x45 || total < 20 || fragmented {
        return None;
    }
    let src = IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3));
    let dst = IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3));
    Some((src, dst, proto, total, Span { bytes: after, wire: 0 }.with_length(total - 20)))
}

#[inline]
fn ipv6(bytes: &[u8]) -> Option<Plain<'_>> {
    let (head, after) = bytes.split_first_chunk::<40>()?;
    let ([first, _, _, _, l0, l1, proto, _], addresses) = head.split_first_chunk::<8>()?;
    let (src, dst) = addresses.split_first_chunk::<16>()?;
    let stated = u32::from(u16::from_be_bytes([*l0, *l1]));
    if first >> 4 != 6 || stated == 0 {
        return None;
    }
    let src = IpAddr::V6(Ipv6Addr::from(*src));
    let dst = IpAddr::V6(Ipv6Addr::from(*dst.first_chunk::<16>()?));
    Some((src, dst, *proto, 40 + stated, Span { bytes: after, wire: 0 }.with_length(stated)))
}
