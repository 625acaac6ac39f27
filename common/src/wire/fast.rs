//! The shape that nearly all packets have: Ethernet with at most one VLAN tag (or a cooked capture,
//! or no link header), IPv4 without options or IPv6 without extension headers, TCP or UDP. Straight
//! code without a loop; whatever is different in any way goes to `walk`.
//!
//! What is found is kept as references and small numbers until the packet is built in its place at
//! the very end: a packet has some 200 bytes, and each move of one costs as much as reading its
//! headers.

use super::span::{Span, offset};
use super::transport::{self, TCP, UDP};
use super::{DecodeError, IpPacket, Mac, Transport, meta, tunnel};
use crate::packet::{CapturedPacket, LinkType};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// LINKTYPE_ETHERNET.
const ETHERNET: LinkType = LinkType(1);

/// A packet of the common shape.
pub(crate) struct Common<'a> {
    dst_mac: Option<&'a [u8; 6]>,
    src_mac: Option<&'a [u8; 6]>,
    pub(crate) ends: Ends<'a>,
    pub(crate) proto: u8,
    pub(crate) ip_bytes: u32,
    pub(crate) transport: Transport<'a>,
    pub(crate) note: Option<DecodeError>,
    inner_at: u32,
}

/// Source and destination.
pub(crate) enum Ends<'a> {
    V4(&'a [u8; 4], &'a [u8; 4]),
    V6(&'a [u8; 16], &'a [u8; 16]),
}

impl Ends<'_> {
    /// Whether the sender has no address yet.
    #[inline(always)]
    pub(crate) fn is_from_nobody(&self) -> bool {
        match self {
            Self::V4(src, _) => **src == [0; 4],
            Self::V6(src, _) => **src == [0; 16],
        }
    }
}

/// A link header of the common shape.
struct Link<'a> {
    dst_mac: Option<&'a [u8; 6]>,
    src_mac: Option<&'a [u8; 6]>,
    ether_type: [u8; 2],
    rest: &'a [u8],
}

/// An IP header of the common shape.
struct Ip<'a> {
    ends: Ends<'a>,
    proto: u8,
    ip_bytes: u32,
    body: Span<'a>,
}

/// The packet in `packet`, if it has the common shape and is no tunnel.
#[inline(always)]
pub(crate) fn common<'a>(packet: &CapturedPacket<'a>) -> Option<Common<'a>> {
    let link = if packet.link_type == ETHERNET { ethernet(packet.data)? } else { other_link(packet)? };
    let ip = match link.ether_type {
        [0x08, 0x00] => ipv4(link.rest)?,
        [0x86, 0xdd] => ipv6(link.rest)?,
        _ => return None,
    };
    // More is stated than was captured: true only where the capture cut the frame.
    if ip.body.bytes.len() < ip.body.wire as usize && !packet.is_cut() {
        return None;
    }
    let (transport, note) = match ip.proto {
        TCP => {
            let (tcp, note) = transport::whole_tcp(ip.body)?;
            (Transport::Tcp(tcp), note)
        }
        UDP => {
            let (udp, note) = transport::whole_udp(ip.body, false)?;
            if tunnel::is_tunnel_port(udp.dst_port)
                || tunnel::is_tunnel_port(udp.src_port)
                || tunnel::may_be_teredo(udp.payload, udp.payload_len)
            {
                return None;
            }
            (Transport::Udp(udp), note)
        }
        _ => return None,
    };
    let (dst_mac, src_mac) = (link.dst_mac, link.src_mac);
    let Ip { ends, proto, ip_bytes, .. } = ip;
    Some(Common { dst_mac, src_mac, ends, proto, ip_bytes, transport, note, inner_at: offset(packet.data, link.rest) })
}

impl<'a> Common<'a> {
    /// The packet as everybody else knows it.
    #[inline(always)]
    pub(crate) fn packet(self) -> IpPacket<'a> {
        let (src, dst) = match self.ends {
            Ends::V4(src, dst) => (IpAddr::V4(Ipv4Addr::from(*src)), IpAddr::V4(Ipv4Addr::from(*dst))),
            Ends::V6(src, dst) => (IpAddr::V6(Ipv6Addr::from(*src)), IpAddr::V6(Ipv6Addr::from(*dst))),
        };
        IpPacket {
            ip_bytes: self.ip_bytes,
            length_from_frame: false,
            src_mac: self.src_mac.map(|a| Mac(*a)),
            dst_mac: self.dst_mac.map(|a| Mac(*a)),
            src,
            dst,
            proto: self.proto,
            fragment: None,
            datagram: None,
            transport: self.transport,
            depth: 1,
            note: self.note,
            inner_at: self.inner_at,
        }
    }
}

/// Ethernet with at most one tag.
#[inline(always)]
fn ethernet(bytes: &[u8]) -> Option<Link<'_>> {
    let (dst_mac, rest) = bytes.split_first_chunk::<6>()?;
    let (src_mac, rest) = rest.split_first_chunk::<6>()?;
    let (mut ether_type, mut rest) = rest.split_first_chunk::<2>()?;
    if *ether_type == [0x81, 0x00] {
        (_, rest) = rest.split_first_chunk::<2>()?;
        (ether_type, rest) = rest.split_first_chunk::<2>()?;
    }
    Some(Link { dst_mac: Some(dst_mac), src_mac: Some(src_mac), ether_type: *ether_type, rest })
}

/// Linux cooked captures of devices that speak Ethernet or IP, and raw IP.
#[inline(never)]
fn other_link<'a>(packet: &CapturedPacket<'a>) -> Option<Link<'a>> {
    let (hardware, kind, address, address_len, ether_type, rest) = match packet.link_type.0 {
        12 | 14 | 101 | 228 | 229 => {
            let ether_type = match packet.data.first()? >> 4 {
                4 if packet.link_type.0 != 229 => [0x08, 0x00],
                6 => [0x86, 0xdd],
                _ => return None,
            };
            return Some(Link { dst_mac: None, src_mac: None, ether_type, rest: packet.data });
        }
        113 => {
            let ([k0, k1, h0, h1, l0, l1, tail @ ..], rest) = packet.data.split_first_chunk::<16>()?;
            let (address, [_, _, t0, t1]) = tail.split_first_chunk::<6>()? else {
                return None;
            };
            ([*h0, *h1], [*k0, *k1], address, u16::from_be_bytes([*l0, *l1]), [*t0, *t1], rest)
        }
        276 => {
            let ([t0, t1, _, _, _, _, _, _, h0, h1, kind, len, tail @ ..], rest) =
                packet.data.split_first_chunk::<20>()?;
            ([*h0, *h1], [0, *kind], tail.first_chunk::<6>()?, u16::from(*len), [*t0, *t1], rest)
        }
        _ => return None,
    };
    // Ethernet, loopback, PPP, none: the hardware types under which the protocol field is an
    // EtherType for certain.
    matches!(u16::from_be_bytes(hardware), 1 | 512 | 772 | 65534).then_some(())?;
    let dst_mac = (kind == [0, meta::TO_ALL]).then_some(&Mac::BROADCAST.0);
    Some(Link { dst_mac, src_mac: (address_len == 6).then_some(address), ether_type, rest })
}

/// An IPv4 packet without options that is no fragment and states its length.
#[inline(always)]
fn ipv4(bytes: &[u8]) -> Option<Ip<'_>> {
    let (head, rest) = bytes.split_first_chunk::<12>()?;
    let (src, rest) = rest.split_first_chunk::<4>()?;
    let (dst, rest) = rest.split_first_chunk::<4>()?;
    let [first, _, l0, l1, _, _, f0, f1, _, proto, _, _] = *head;
    let total = u32::from(u16::from_be_bytes([l0, l1]));
    let fragmented = u16::from_be_bytes([f0, f1]) & 0x3fff != 0;
    if first != 0x45 || total < 20 || fragmented {
        return None;
    }
    let body = Span { bytes: rest, wire: 0 }.with_length(total - 20);
    Some(Ip { ends: Ends::V4(src, dst), proto, ip_bytes: total, body })
}

/// An IPv6 packet that states its length.
#[inline(always)]
fn ipv6(bytes: &[u8]) -> Option<Ip<'_>> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let (src, rest) = rest.split_first_chunk::<16>()?;
    let (dst, rest) = rest.split_first_chunk::<16>()?;
    let [first, _, _, _, l0, l1, proto, _] = *head;
    let stated = u32::from(u16::from_be_bytes([l0, l1]));
    if first >> 4 != 6 || stated == 0 {
        return None;
    }
    let body = Span { bytes: rest, wire: 0 }.with_length(stated);
    Some(Ip { ends: Ends::V6(src, dst), proto, ip_bytes: 40 + stated, body })
}
