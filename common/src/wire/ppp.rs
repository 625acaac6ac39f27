//! PPP and its relatives on serial lines: Cisco HDLC, frame relay.

use super::link::ether_type;
use super::span::Span;
use super::walk::{Kind, Next, Step, Stop, next};
use super::{Fault, Layer, NotIp, network};

/// PPP protocol numbers (IANA, Point-to-Point Protocol Field Assignments).
mod protocol {
    pub(super) const IPV4: u16 = 0x0021;
    pub(super) const IPV6: u16 = 0x0057;
    pub(super) const VJ_COMPRESSED: u16 = 0x002d;
    pub(super) const VJ_UNCOMPRESSED: u16 = 0x002f;
    pub(super) const BRIDGED: u16 = 0x0031;
    pub(super) const MULTILINK: u16 = 0x003d;
    pub(super) const LINK_COMPRESSED: u16 = 0x00fb;
    pub(super) const COMPRESSED: u16 = 0x00fd;
    pub(super) const MPLS: u16 = 0x0281;
    pub(super) const MPLS_MULTICAST: u16 = 0x0283;
}

/// The protocol number (RFC 1661 section 2, one byte where it was compressed) after an optional
/// address and control field (RFC 1662 section 3.1), and what follows.
fn split_protocol(at: Span<'_>) -> Result<(u16, Span<'_>), Fault> {
    let at = if let [0xff, 0x03, ..] = at.bytes { at.skip(2)? } else { at };
    let ([first], after) = at.split::<1>()?;
    if first & 1 == 1 {
        return Ok(((*first).into(), after));
    }
    let (number, after) = at.split::<2>()?;
    Ok((u16::from_be_bytes(*number), after))
}

/// Reads a PPP frame.
pub(super) fn ppp(at: Span<'_>) -> Step<'_> {
    // LINKTYPE_PPP and _PPP_HDLC hold Cisco HDLC where the first byte says so.
    if let [0x0f | 0x8f, 0x00, ..] = at.bytes {
        return next(Kind::Chdlc, at);
    }
    let (number, at) = split_protocol(at)?;
    match number {
        protocol::IPV4 => next(Kind::Ip(Layer::Ipv4), at),
        protocol::IPV6 => next(Kind::Ip(Layer::Ipv6), at),
        protocol::MPLS | protocol::MPLS_MULTICAST => next(Kind::Mpls, at),
        protocol::BRIDGED => bridged(at),
        protocol::MULTILINK => multilink(at),
        // IP, but its header is compressed against earlier packets (RFC 1144) or the whole is (RFC
        // 1962).
        protocol::VJ_COMPRESSED | protocol::VJ_UNCOMPRESSED | protocol::LINK_COMPRESSED | protocol::COMPRESSED => {
            Err(Stop::Fault(Fault::Unsupported))
        }
        _ => Err(Stop::NotIp(NotIp::Link)),
    }
}

/// The PPP frame at `at`, if it holds an IP packet that fits. For tunnels that are known by their
/// port only.
pub(super) fn guess(at: Span<'_>) -> Option<Next<'_>> {
    match split_protocol(at).ok()? {
        (protocol::IPV4 | protocol::IPV6, inner) if network::looks_like_ip(inner) => {
            Some(Next { kind: Kind::Ip(Layer::Ipv4), at: inner })
        }
        _ => None,
    }
}

/// A bridged frame (RFC 3518 section 4.2): flags and pads, MAC type, optional LAN identifier; type
/// 1 is Ethernet.
fn bridged(at: Span<'_>) -> Step<'_> {
    let ([flags, mac_type], at) = at.split::<2>()?;
    let at = if flags & 0x40 != 0 { at.skip(4)? } else { at };
    if *mac_type == 1 { next(Kind::Ethernet, at) } else { Err(Stop::NotIp(NotIp::Link)) }
}

/// A multilink fragment with long sequence numbers (RFC 1990 section 3). The beginning of a packet
/// states the length of the whole, so the later fragments count as frames of the link.
fn multilink(at: Span<'_>) -> Step<'_> {
    let ([flags, ..], after) = at.split::<4>()?;
    if flags & 0x80 != 0 { next(Kind::Ppp, after) } else { Err(Stop::NotIp(NotIp::Link)) }
}

/// Reads Cisco HDLC: address, control, EtherType.
pub(super) fn chdlc(at: Span<'_>) -> Step<'_> {
    let ([_, _, t0, t1], at) = at.split::<4>()?;
    match u16::from_be_bytes([*t0, *t1]) {
        0x8035 | 0x2000 | 0xfefe => Err(Stop::NotIp(NotIp::Link)), // SLARP, CDP, OSI
        number => ether_type(number, at),
    }
}

/// Reads frame relay: Q.922 address of two to four bytes, then RFC 2427 or Cisco's EtherType.
pub(super) fn frame_relay(at: Span<'_>) -> Step<'_> {
    let len = at.bytes.iter().take(4).position(|b| b & 1 == 1).map(|last| last + 1);
    let at = at.skip(len.unwrap_or(2).max(2))?;
    match at.bytes {
        [0x03, 0x00, 0x80, _, _, _, t0, t1, ..] => snap_type(at, 8, [*t0, *t1]),
        [0x03, 0x80, _, _, _, t0, t1, ..] => snap_type(at, 7, [*t0, *t1]),
        [0x03, 0xcc, ..] => next(Kind::Ip(Layer::Ipv4), at.skip(2)?),
        [0x03, 0x8e, ..] => next(Kind::Ip(Layer::Ipv6), at.skip(2)?),
        [0x03, 0xcf, ..] => next(Kind::Ppp, at.skip(2)?),
        [0x03, ..] => Err(Stop::NotIp(NotIp::Link)),
        [t0, t1, ..] => ether_type(u16::from_be_bytes([*t0, *t1]), at.skip(2)?),
        _ => Err(Stop::Fault(Fault::Truncated)),
    }
}

/// The EtherType of a SNAP header that ends after `len` bytes; bridged frames of OUI 00-80-C2
/// included.
fn snap_type(at: Span<'_>, len: usize, number: [u8; 2]) -> Step<'_> {
    let bridged = at.bytes.get(len - 5..len - 2) == Some(&[0x00, 0x80, 0xc2]);
    let at = at.skip(len)?;
    match (bridged, u16::from_be_bytes(number)) {
        (true, 1 | 7) => next(Kind::Ethernet, at),
        (true, _) => Err(Stop::NotIp(NotIp::Llc)),
        (false, number) => ether_type(number, at),
    }
}
