//! Link headers: which link type begins with what, Ethernet and its tags, LLC.

use super::span::Span;
use super::walk::{Kind, LinkFacts, Step, Stop, next};
use super::{Fault, Layer, Mac, NotIp, meta, mpls, network, ppp};

/// Largest value of the type field that is a length (IEEE 802.3 section 3.2.6).
const MAX_LENGTH: u16 = 1500;

/// Most VLAN tags that are looked behind while guessing whether an Ethernet frame starts somewhere.
const MAX_TAGS_GUESSED: usize = 4;

/// Reads the first header of a frame by its LINKTYPE_ number
/// (<https://www.tcpdump.org/linktypes.html>). DLT_ numbers that captures of single systems use in
/// their place are accepted where nothing else has that number.
pub(super) fn of_type<'a>(number: u16, at: Span<'a>, facts: &mut LinkFacts) -> Step<'a> {
    match number {
        1 => ethernet(at, facts),
        // Raw IP: DLT_RAW of most systems and of OpenBSD, LINKTYPE_RAW, _IPV4, _IPV6.
        12 | 14 | 101 | 228 => next(Kind::Ip(Layer::Ipv4), at),
        229 => next(Kind::Ip(Layer::Ipv6), at),
        0 | 108 => meta::family(at),
        6 => token_ring(at),
        8 => meta::slip(at),
        9 | 50 => next(Kind::Ppp, at),
        10 => fddi(at),
        13 | 100 | 106 => atm(at),
        51 => pppoe(at),
        102 => next(Kind::Ip(Layer::Ipv4), at.skip(24)?), // SLIP with BSD/OS header
        104 => next(Kind::Chdlc, at),
        105 => next(Kind::Wifi { padded: false, swapped: false }, at),
        107 => next(Kind::FrameRelay, at),
        109 => meta::enc(at),
        113 => meta::sll(at, facts),
        117 => meta::pflog(at),
        119 => meta::prism(at),
        122 => next(Kind::Llc, at.skip(16)?), // IP over Fibre Channel (RFC 2625)
        123 => meta::sunatm(at),
        127 => meta::radiotap(at),
        138 => tag(at, 16), // Apple IP over IEEE 1394
        143 => docsis(at),
        149 | 258 => meta::pktap(at),
        163 => meta::avs(at),
        166 => next(Kind::Ppp, pppd(at)?),
        178 => meta::juniper_ethernet(at),
        192 => meta::ppi(at),
        197 => meta::erf(at),
        204 => next(Kind::Ppp, at.skip(1)?),
        205 => next(Kind::Chdlc, at.skip(1)?),
        206 => next(Kind::FrameRelay, at.skip(1)?),
        219 => next(Kind::Mpls, at),
        226 => meta::ipnet(at),
        239 => meta::nflog(at, facts),
        240 => next(Kind::Ethernet, at.skip(4)?),  // netANALYZER
        241 => next(Kind::Ethernet, at.skip(12)?), // the same with preamble
        242 => infiniband(at),
        253 => meta::netlink(at, facts),
        259 => next(Kind::Ethernet, at.skip(8)?), // EPON with preamble
        274 => mpacket(at),
        276 => meta::sll2(at, facts),
        281 => tagged_after_addresses(at, facts, 4), // Broadcom switch tag
        282 => next(Kind::Ethernet, at.skip(4)?),    // the same in front of the frame
        284 => tagged_after_addresses(at, facts, 4), // Marvell DSA tag
        285 => tagged_after_addresses(at, facts, 8), // Marvell DSA tag with EtherType
        other => Err(Stop::NotIp(NotIp::LinkType(other))),
    }
}

/// Reads an Ethernet header (IEEE 802.3 section 3.1.1).
pub(super) fn ethernet<'a>(at: Span<'a>, facts: &mut LinkFacts) -> Step<'a> {
    let (head, rest) = at.split::<14>()?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *head;
    // Cisco ISL: an Ethernet frame inside an 802.3 frame to one of two addresses of Cisco's.
    if let ([0x01 | 0x03, 0x00, 0x0c, 0x00, 0x00], true) = ([d0, d1, d2, d3, d4], t0 <= 5) {
        return next(Kind::Ethernet, at.skip(26)?);
    }
    facts.dst = Some(Mac([d0, d1, d2, d3, d4, d5]));
    facts.src = Some(Mac([s0, s1, s2, s3, s4, s5]));
    ether_type(u16::from_be_bytes([t0, t1]), rest)
}

/// Reads what an EtherType announces, or LLC where the number is a length.
pub(super) fn ether_type(number: u16, at: Span<'_>) -> Step<'_> {
    match number {
        0..=MAX_LENGTH | 0x8870 => llc(at),
        0x0800 => next(Kind::Ip(Layer::Ipv4), at),
        0x86dd => next(Kind::Ip(Layer::Ipv6), at),
        0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => tag(at, 2), // VLAN tags
        0x8864 => pppoe(at),
        0x8847 | 0x8848 => next(Kind::Mpls, at),
        0x880b => next(Kind::Ppp, at),
        0x6558 => next(Kind::Ethernet, at),          // transparent bridging
        0x88e7 => next(Kind::Ethernet, at.skip(4)?), // provider backbone bridge (IEEE 802.1ah)
        0x8903 => next(Kind::Ethernet, at.skip(2)?), // FabricPath
        0x22f3 => trill(at),
        0x4305 => batman(at),
        0x88e5 => macsec(at),
        0x894f => next(Kind::Nsh, at),
        0x892f | 0xf1c1 | 0x8926 => tag(at, 4), // HSR (IEC 62439-3), R-TAG (IEEE 802.1CB), VN-tag
        0x893f | 0x8909 | 0xdada => tag(at, 6), // E-tag (IEEE 802.1BR), Cisco metadata, DSA
        other => Err(Stop::NotIp(NotIp::EtherType(other))),
    }
}

/// Passes over a tag of `len` bytes, behind which the next EtherType stands.
fn tag(at: Span<'_>, len: usize) -> Step<'_> {
    let ([t0, t1], after) = at.skip(len)?.split::<2>()?;
    next(Kind::EtherType(u16::from_be_bytes([*t0, *t1])), after)
}

/// Reads IP over InfiniBand (RFC 4391 section 6): global route header, EtherType, two reserved
/// bytes.
fn infiniband(at: Span<'_>) -> Step<'_> {
    let ([t0, t1, _, _], after) = at.skip(40)?.split::<4>()?;
    next(Kind::EtherType(u16::from_be_bytes([*t0, *t1])), after)
}

/// Ethernet addresses, a switch tag of `len` bytes, an EtherType.
fn tagged_after_addresses<'a>(at: Span<'a>, facts: &mut LinkFacts, len: usize) -> Step<'a> {
    let (head, rest) = at.split::<12>()?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = *head;
    facts.dst = Some(Mac([d0, d1, d2, d3, d4, d5]));
    facts.src = Some(Mac([s0, s1, s2, s3, s4, s5]));
    tag(rest, len)
}

/// Reads an LLC header (IEEE 802.2), and the SNAP header behind it (RFC 1042).
pub(super) fn llc(at: Span<'_>) -> Step<'_> {
    match at.bytes {
        [0xaa | 0xab, 0xaa | 0xab, 0x03, o0, o1, o2, p0, p1, ..] => {
            let inner = at.skip(8)?;
            match ([*o0, *o1, *o2], u16::from_be_bytes([*p0, *p1])) {
                // RFC 1042, and IEEE 802.1H for bridges to Ethernet.
                ([0x00, 0x00, 0x00] | [0x00, 0x00, 0xf8], number) if number > MAX_LENGTH => {
                    next(Kind::EtherType(number), inner)
                }
                ([0x00, 0x80, 0xc2], 1 | 7) => bridged(inner),
                _ => Err(Stop::NotIp(NotIp::Llc)),
            }
        }
        [0x06, 0x06, 0x03, ..] => next(Kind::Ip(Layer::Ipv4), at.skip(3)?),
        [0xfe, 0xfe, 0x03, 0xcc, ..] => next(Kind::Ip(Layer::Ipv4), at.skip(4)?),
        [0xfe, 0xfe, 0x03, 0x8e, ..] => next(Kind::Ip(Layer::Ipv6), at.skip(4)?),
        [0xfe, 0xfe, 0x03, 0xcf, ..] => next(Kind::Ppp, at.skip(4)?), // RFC 2364 section 6
        [0xaa | 0xab, 0xaa | 0xab, 0x03, ..] => Err(Stop::Fault(Fault::Truncated)),
        [_, _, _, ..] => Err(Stop::NotIp(NotIp::Llc)),
        _ => Err(Stop::Fault(Fault::Truncated)),
    }
}

/// An Ethernet frame behind SNAP (RFC 2684 section 5.2), with two bytes of padding in front on ATM.
fn bridged(at: Span<'_>) -> Step<'_> {
    match at.skip(2) {
        Ok(padded) if ethernet_holds_ip(padded) => next(Kind::Ethernet, padded),
        _ => next(Kind::Ethernet, at),
    }
}

/// Whether an Ethernet frame that holds IP seems to start here: by itself, or behind what stands
/// between the two on the links of providers.
pub(super) fn ethernet_holds_ip(at: Span<'_>) -> bool {
    let Ok(mut at) = at.skip(12) else {
        return false;
    };
    for _ in 0..=MAX_TAGS_GUESSED {
        let Ok(([t0, t1], after)) = at.split::<2>() else {
            return false;
        };
        let behind = match u16::from_be_bytes([*t0, *t1]) {
            0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => after.skip(2),
            0x88e7 => after.skip(16), // the customer's addresses stand behind the tag
            0x0800 | 0x86dd => return network::looks_like_ip(after),
            0x8864 => return after.skip(6).is_ok_and(|session| ppp::guess(session).is_some()),
            0x8847 | 0x8848 => return mpls::holds_ip(after),
            0..=MAX_LENGTH => return snap_holds_ip(after),
            _ => return false,
        };
        match behind {
            Ok(behind) => at = behind,
            Err(_) => return false,
        }
    }
    false
}

/// Whether LLC and SNAP with an IP packet behind them start here.
fn snap_holds_ip(at: Span<'_>) -> bool {
    let is_ip =
        matches!(at.bytes, [0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00, ..] | [0xaa, 0xaa, 0x03, 0, 0, 0, 0x86, 0xdd, ..]);
    is_ip && at.skip(8).is_ok_and(network::looks_like_ip)
}

/// Reads a PPPoE session header (RFC 2516 section 4): only code 0 carries PPP.
fn pppoe(at: Span<'_>) -> Step<'_> {
    let ([_, code, ..], after) = at.split::<6>()?;
    if *code == 0 { next(Kind::Ppp, after) } else { Err(Stop::NotIp(NotIp::EtherType(0x8863))) }
}

/// Reads a TRILL header (RFC 6325 section 3.1): options in units of four bytes, then Ethernet.
fn trill(at: Span<'_>) -> Step<'_> {
    let ([f0, f1, ..], after) = at.split::<6>()?;
    let options = u16::from_be_bytes([*f0, *f1]) >> 6 & 0x1f;
    next(Kind::Ethernet, after.skip(usize::from(options) * 4)?)
}

/// Reads a packet of B.A.T.M.A.N. advanced (compatibility version 15): unicast and broadcast carry
/// Ethernet.
fn batman(at: Span<'_>) -> Step<'_> {
    let ([kind, version], _) = at.split::<2>()?;
    match (version, kind) {
        (15, 0x01) => next(Kind::Ethernet, at.skip(14)?),
        (15, 0x40) => next(Kind::Ethernet, at.skip(10)?),
        (15, 0x42) => next(Kind::Ethernet, at.skip(18)?),
        _ => Err(Stop::NotIp(NotIp::EtherType(0x4305))),
    }
}

/// Reads a MACsec tag (IEEE 802.1AE section 9.3); only frames that are not encrypted can be
/// followed.
fn macsec(at: Span<'_>) -> Step<'_> {
    let ([control, ..], after) = at.split::<6>()?;
    if control & 0x0c != 0 {
        return Err(Stop::NotIp(NotIp::EtherType(0x88e5)));
    }
    tag(after, if control & 0x20 != 0 { 8 } else { 0 })
}

/// Reads a token ring header (RFC 1042, IEEE 802.5), with source routing.
fn token_ring(at: Span<'_>) -> Step<'_> {
    let (head, after) = at.split::<14>()?;
    let [_, control, _, _, _, _, _, _, source, ..] = *head;
    if control >> 6 != 1 {
        return Err(Stop::NotIp(NotIp::Link));
    }
    let routing = if source & 0x80 != 0 { after.split::<1>().map(|([b], _)| usize::from(b & 0x1f))? } else { 0 };
    next(Kind::Llc, after.skip(routing)?)
}

/// Reads an FDDI header (RFC 1188): LLC frames only.
fn fddi(at: Span<'_>) -> Step<'_> {
    let ([control, ..], after) = at.split::<13>()?;
    if control & 0x30 == 0x10 { next(Kind::Llc, after) } else { Err(Stop::NotIp(NotIp::Link)) }
}

/// Reads an AAL5 frame (RFC 2684): LLC, or on a virtual circuit of its own IP, PPP (RFC 2364
/// section 5) or Ethernet behind two bytes of padding.
pub(super) fn atm(at: Span<'_>) -> Step<'_> {
    if network::looks_like_ip(at) {
        return next(Kind::Ip(Layer::Ipv4), at);
    }
    if let Some(inner) = ppp::guess(at) {
        return Ok(inner);
    }
    match at.skip(2) {
        Ok(frame) if at.bytes.starts_with(&[0, 0]) && ethernet_holds_ip(frame) => next(Kind::Ethernet, frame),
        _ => next(Kind::Llc, at),
    }
}

/// Reads a DOCSIS MAC header: packet frames, with their extended header.
fn docsis(at: Span<'_>) -> Step<'_> {
    let ([control, parameter, ..], after) = at.split::<6>()?;
    if control >> 6 != 0 {
        return Err(Stop::NotIp(NotIp::Link));
    }
    let extended = if control & 1 == 1 { usize::from(*parameter) } else { 0 };
    next(Kind::Ethernet, after.skip(extended)?)
}

/// PPP whose address byte was replaced by the direction.
fn pppd(at: Span<'_>) -> Result<Span<'_>, Fault> {
    at.skip(if at.u8_at(1) == Some(3) { 2 } else { 1 })
}

/// Reads an IEEE 802.3br mPacket: preamble and delimiter, then Ethernet. Continuation fragments are
/// frames of the link.
fn mpacket(at: Span<'_>) -> Step<'_> {
    let ([.., delimiter], after) = at.split::<8>()?;
    match delimiter {
        0xd5 | 0xe6 | 0x4c | 0x7f | 0xb3 => next(Kind::Ethernet, after),
        _ => Err(Stop::NotIp(NotIp::Link)),
    }
}
