//! Headers between two IP headers: what follows an IP header by protocol number, and what UDP
//! carries by port.
//!
//! A protocol number says for certain what follows. A port does not: whoever sends to 4789 need not
//! speak VXLAN. So a tunnel over UDP is entered only where its header has the form that the
//! standard gives it *and* an IP header that fits stands behind it (or an Ethernet header in front
//! of one). Everything else stays an ordinary UDP flow, without a note: nothing failed.

use super::span::Span;
use super::walk::{Kind, Next, Step, Stop, next};
use super::{Fault, Layer, NotIp, link, mpls, network, ppp};

/// Most source route entries of a GRE header (RFC 1701) that are passed over; the feature is
/// extinct.
const MAX_SOURCE_ROUTES: usize = 8;

/// Most extension headers of a GTP-U header (3GPP TS 29.281 section 5.2.1); a packet carries one or
/// two.
const MAX_GTP_EXTENSIONS: usize = 8;

/// Most tags of a TZSP header that are passed over; senders write about ten.
const MAX_TZSP_TAGS: usize = 32;

/// What follows an IP header with this protocol number, TCP and UDP apart.
///
/// # Errors
/// `Done` where it is no tunnel.
pub(super) fn over_ip(proto: u8, at: Span<'_>) -> Step<'_> {
    match proto {
        4 | 94 => next(Kind::Ip(Layer::Ipv4), at), // IP in IP (RFC 2003), its predecessor
        41 => next(Kind::Ip(Layer::Ipv6), at),     // RFC 4213, RFC 2473
        47 => next(Kind::Gre, at),
        97 => ether_ip(at),
        103 => pim(at),
        115 => l2tp_v3(at),
        137 => next(Kind::Mpls, at),     // RFC 4023
        143 => next(Kind::Ethernet, at), // RFC 8986
        _ => Err(Stop::Done),
    }
}

/// EtherIP (RFC 3378): version 3 in the first nibble (some senders use the second), then Ethernet.
fn ether_ip(at: Span<'_>) -> Step<'_> {
    let ([version, _], after) = at.split::<2>()?;
    if matches!(version, 0x30..=0x3f | 0x03) {
        next(Kind::Ethernet, after)
    } else {
        Err(Stop::Fault(Fault::Unsupported))
    }
}

/// A PIM register message (RFC 7761 section 4.9.3) is a tunnel for multicast packets; the other
/// messages are PIM's own.
fn pim(at: Span<'_>) -> Step<'_> {
    match at.split::<8>() {
        Ok(([0x21, ..], inner)) if network::looks_like_ip(inner) => next(Kind::Ip(Layer::Ipv4), inner),
        _ => Err(Stop::Done),
    }
}

/// GRE versions 0 (RFC 2784, RFC 2890, RFC 1701) and 1 (RFC 2637).
pub(super) fn gre(at: Span<'_>) -> Step<'_> {
    let ([flags, version, t0, t1], mut at) = at.split::<4>()?;
    let protocol = u16::from_be_bytes([*t0, *t1]);
    let version_number = version & 0x07;
    if version_number == 1 && protocol == 0x6400 {
        return next(Kind::Ethernet, at.skip(4)?); // MikroTik's Ethernet over IP
    }
    if version_number > 1 {
        return Err(Stop::Fault(Fault::Unsupported));
    }
    let (checksum, routing, key, sequence) =
        (flags & 0x80 != 0, flags & 0x40 != 0, flags & 0x20 != 0, flags & 0x10 != 0);
    if checksum || routing {
        at = at.skip(4)?;
    }
    if key {
        at = at.skip(4)?; // version 1: payload length and call id
    }
    if sequence {
        at = at.skip(4)?;
    }
    if version_number == 1 && version & 0x80 != 0 {
        at = at.skip(4)?; // acknowledgement
    }
    if routing {
        at = source_routes(at)?;
    }
    match protocol {
        // An acknowledgement of version 1 has no payload; it still names PPP.
        0x880b if at.wire == 0 => Err(Stop::Done),
        0x88be if sequence => next(Kind::Ethernet, at.skip(8)?), // ERSPAN type II
        0x88be => next(Kind::Ethernet, at),                      // ERSPAN type I
        0x22eb => erspan3(at),
        0x883e if !network::looks_like_ip(at) => next(Kind::Ip(Layer::Ipv4), at.skip(4)?), // WCCP with redirect header
        0x883e => next(Kind::Ip(Layer::Ipv4), at),
        0x6559 => next(Kind::FrameRelay, at),
        // Aruba's access points: frames of 802.11 without check sequence; the last digits number
        // the queue.
        0x8200..=0x8370 if protocol & 0x0f == 0 => next(Kind::Wifi { padded: false, swapped: false }, at),
        // Below 1536 the field is no EtherType but an address family or a vendor's own.
        0..=1535 => Err(Stop::NotIp(NotIp::EtherType(protocol))),
        number => next(Kind::EtherType(number), at),
    }
}

/// Passes over source route entries: address family, offset, length, up to an entry of length 0.
fn source_routes(mut at: Span<'_>) -> Result<Span<'_>, Fault> {
    for _ in 0..MAX_SOURCE_ROUTES {
        let ([_, _, _, len], after) = at.split::<4>()?;
        at = after.skip((*len).into())?;
        if *len == 0 {
            return Ok(at);
        }
    }
    Err(Fault::Unsupported)
}

/// ERSPAN type III (draft-foschiano-erspan section 4.3): 12 bytes, 8 more where the last bit says
/// so; frame type 0 is Ethernet, 2 is IP.
fn erspan3(at: Span<'_>) -> Step<'_> {
    let ([.., kind, flags], mut after) = at.split::<12>()?;
    if flags & 1 != 0 {
        after = after.skip(8)?;
    }
    match kind >> 2 & 0x1f {
        0 => next(Kind::Ethernet, after),
        2 => next(Kind::Ip(Layer::Ipv4), after),
        _ => Err(Stop::NotIp(NotIp::Link)),
    }
}

/// Network service header (RFC 8300): length in words of four bytes, next protocol.
pub(super) fn nsh(at: Span<'_>) -> Step<'_> {
    let ([_, len, _, protocol], _) = at.split::<4>()?;
    let at = at.skip(usize::from(len & 0x3f).max(1) * 4)?;
    match protocol {
        1 => next(Kind::Ip(Layer::Ipv4), at),
        2 => next(Kind::Ip(Layer::Ipv6), at),
        3 => next(Kind::Ethernet, at),
        4 => next(Kind::Nsh, at),
        5 => next(Kind::Mpls, at),
        _ => Err(Stop::NotIp(NotIp::EtherType(0x894f))),
    }
}

/// L2TPv3 over IP (RFC 3931 section 4.1.1): session id 0 is control.
fn l2tp_v3(at: Span<'_>) -> Step<'_> {
    let ([s0, s1, s2, s3], after) = at.split::<4>()?;
    if [*s0, *s1, *s2, *s3] == [0; 4] {
        return Err(Stop::Done);
    }
    pseudo_wire(after).ok_or(Stop::Done)
}

/// What stands behind an L2TPv3 session id: cookie and sublayer have a length that only the control
/// connection knows, so the first combination that gives IP is taken.
fn pseudo_wire(at: Span<'_>) -> Option<Next<'_>> {
    [0, 4, 8, 12].into_iter().find_map(|len| {
        let inner = at.skip(len).ok()?;
        if link::ethernet_holds_ip(inner) {
            return Some(Next { kind: Kind::Ethernet, at: inner });
        }
        ppp::guess(inner)
    })
}

/// Whether UDP on this port may be a tunnel.
#[inline]
pub(super) fn is_tunnel_port(port: u16) -> bool {
    // The low ports in use (53, 123, 443) and the ephemeral ones leave after two comparisons.
    (port.wrapping_sub(1700) < 7300 || port == 37_008) && known_port(port)
}

fn known_port(port: u16) -> bool {
    matches!(
        port,
        1701 | 2152 | 3386 | 3544 | 4341 | 4342 | 4754 | 4789 | 4790 | 5072 | 5247 | 6080 | 6081 | 6635 | 8472 | 37008
    )
}

/// Whether a UDP payload may be an IPv6 packet of Teredo (RFC 4380), which uses any port between
/// clients and relays.
#[inline]
pub(super) fn may_be_teredo(payload: &[u8], payload_len: u32) -> bool {
    match payload {
        [0x60..=0x6f, _, _, _, l0, l1, ..] => u32::from(u16::from_be_bytes([*l0, *l1])) + 40 == payload_len,
        _ => false,
    }
}

/// What a UDP payload carries, if it is a tunnel. Both ports are tried: some tunnels answer from
/// their port only.
pub(super) fn over_udp(src_port: u16, dst_port: u16, at: Span<'_>) -> Option<Next<'_>> {
    if is_tunnel_port(dst_port)
        && let Some(found) = on_port(dst_port, at)
    {
        return Some(found);
    }
    if is_tunnel_port(src_port)
        && let Some(found) = on_port(src_port, at)
    {
        return Some(found);
    }
    teredo_between_peers(at)
}

fn on_port(port: u16, at: Span<'_>) -> Option<Next<'_>> {
    match port {
        1701 => l2tp(at),
        2152 => gtp_u(at),
        3386 => gtp_v0(at),
        3544 => teredo(at),
        4341 => ip(at.skip(8).ok()?), // LISP data (RFC 9300 section 5.3)
        4342 => lisp_control(at),
        4754 => gre_in_udp(at),
        4789 | 8472 => vxlan(at),
        4790 => vxlan_gpe(at),
        5072 => ayiya(at),
        5247 => capwap(at),
        6080 => gue(at),
        6081 => geneve(at),
        37_008 => tzsp(at),
        6635 => mpls::guess(at), // RFC 7510
        _ => None,
    }
}

/// The IP packet that starts at `at`, if one does.
fn ip(at: Span<'_>) -> Option<Next<'_>> {
    network::looks_like_ip(at).then_some(Next { kind: Kind::Ip(Layer::Ipv4), at })
}

/// The Ethernet frame that starts at `at`, if it holds IP.
fn ethernet(at: Span<'_>) -> Option<Next<'_>> {
    link::ethernet_holds_ip(at).then_some(Next { kind: Kind::Ethernet, at })
}

/// What an EtherType announces, if it is IP or an Ethernet frame with IP, directly or behind MPLS
/// or NSH.
fn by_ether_type(number: u16, at: Span<'_>) -> Option<Next<'_>> {
    match number {
        0x0800 | 0x86dd => ip(at),
        0x6558 => ethernet(at),
        0x8847 | 0x8848 => mpls::guess(at),
        0x894f => Some(Next { kind: Kind::Nsh, at }),
        _ => None,
    }
}

/// VXLAN (RFC 7348 section 5), with a group policy or without: the flag for a valid identifier.
/// Reserved bits are ignored on receipt, and vendors use them. Some senders set that of VXLAN-GPE
/// on this port, with its next protocol or without.
fn vxlan(at: Span<'_>) -> Option<Next<'_>> {
    let ([flags, ..], after) = at.split::<8>().ok()?;
    if flags & 0x08 == 0 {
        return None;
    }
    ethernet(after).or_else(|| vxlan_gpe(at))
}

/// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe section 3): the next protocol stands in the fourth byte.
fn vxlan_gpe(at: Span<'_>) -> Option<Next<'_>> {
    let ([flags, _, _, protocol, ..], after) = at.split::<8>().ok()?;
    if flags & 0xc8 != 0x08 {
        return None;
    }
    match (flags & 0x04 != 0, protocol) {
        (false, 0) | (true, 3) => ethernet(after),
        (true, 1 | 2) => ip(after),
        (true, 4) => Some(Next { kind: Kind::Nsh, at: after }),
        (true, 5) => mpls::guess(after),
        _ => None,
    }
}

/// Geneve (RFC 8926 section 3.4): version 0, options in words of four bytes, EtherType. The
/// reserved byte is ignored on receipt.
fn geneve(at: Span<'_>) -> Option<Next<'_>> {
    let ([first, _, t0, t1, ..], after) = at.split::<8>().ok()?;
    if first >> 6 != 0 {
        return None;
    }
    by_ether_type(u16::from_be_bytes([*t0, *t1]), after.skip(usize::from(first & 0x3f) * 4).ok()?)
}

/// GTP-U (3GPP TS 29.281 section 5): version 1, message 255, optional fields, extension headers,
/// then the user's packet.
fn gtp_u(at: Span<'_>) -> Option<Next<'_>> {
    let ([flags, message, ..], mut at) = at.split::<8>().ok()?;
    if flags & 0xf8 != 0x30 || *message != 0xff {
        return None;
    }
    if flags & 0x07 != 0 {
        let ([.., kind], after) = at.split::<4>().ok()?;
        let mut kind = if flags & 0x04 != 0 { *kind } else { 0 };
        at = after;
        for _ in 0..MAX_GTP_EXTENSIONS {
            if kind == 0 {
                break;
            }
            let len = usize::from(at.u8_at(0)?).max(1) * 4;
            kind = at.u8_at(len - 1)?;
            at = at.skip(len).ok()?;
        }
    }
    ip(at).or_else(|| ethernet(at)).or_else(|| ppp::guess(at))
}

/// GTP version 0 (3GPP TS 09.60 section 6): 20 bytes of header.
fn gtp_v0(at: Span<'_>) -> Option<Next<'_>> {
    let ([flags, message, ..], after) = at.split::<20>().ok()?;
    (flags & 0xf0 == 0x10 && *message == 0xff).then(|| ip(after))?
}

/// A Teredo packet on its well-known port (RFC 4380 section 5.1.1): authentication and origin may
/// stand in front.
fn teredo(mut at: Span<'_>) -> Option<Next<'_>> {
    if let [0x00, 0x01, id_len, auth_len, ..] = at.bytes {
        at = at.skip(13 + usize::from(*id_len) + usize::from(*auth_len)).ok()?;
    }
    if let [0x00, 0x00, ..] = at.bytes {
        at = at.skip(8).ok()?;
    }
    matches!(at.bytes, [0x60..=0x6f, ..]).then(|| ip(at))?
}

/// A Teredo packet on any port: an IPv6 packet that fills the datagram exactly, one end of it in
/// 2001::/32.
fn teredo_between_peers(at: Span<'_>) -> Option<Next<'_>> {
    if !may_be_teredo(at.bytes, at.wire) {
        return None;
    }
    let end = |offset: usize| at.bytes.get(offset..offset + 4) == Some(&[0x20, 0x01, 0, 0]);
    (end(8) || end(24)).then_some(Next { kind: Kind::Ip(Layer::Ipv6), at })
}

/// L2TP over UDP: version 2 data messages (RFC 2661 section 3.1) carry PPP, version 3 (RFC 3931
/// section 4.1.2) anything.
fn l2tp(at: Span<'_>) -> Option<Next<'_>> {
    let ([flags, version], after) = at.split::<2>().ok()?;
    match (flags & 0xb4, version & 0x0f) {
        (0x00, 2) => {}
        (0x00, 3) => return pseudo_wire(after.skip(6).ok()?),
        _ => return None,
    }
    let mut after = if flags & 0x40 != 0 { after.skip(2).ok()? } else { after };
    after = after.skip(4).ok()?; // tunnel and session
    if flags & 0x08 != 0 {
        after = after.skip(4).ok()?; // sequence
    }
    if flags & 0x02 != 0 {
        let pad = after.be_u16_at(0)?;
        after = after.skip(2 + usize::from(pad)).ok()?;
    }
    ppp::guess(after)
}

/// AYIYA (draft-massar-v6ops-ayiya section 3): lengths of identity and signature, then a packet by
/// protocol number.
fn ayiya(at: Span<'_>) -> Option<Next<'_>> {
    let ([id, signature, operation, protocol, ..], after) = at.split::<8>().ok()?;
    let len = (1_usize << (id >> 4)) + usize::from(signature >> 4) * 4;
    (operation & 0x0f == 1 && matches!(protocol, 4 | 41)).then_some(())?;
    ip(after.skip(len).ok()?)
}

/// CAPWAP data (RFC 5415 section 4.3): header length in words of four bytes; 802.3 or 802.11
/// frames, the latter with frame control in either order. Keep-alives and later fragments carry no
/// header of a packet.
fn capwap(at: Span<'_>) -> Option<Next<'_>> {
    let ([preamble, h1, h2, h3, _, _, f0, f1], _) = at.split::<8>().ok()?;
    let later_fragment = h3 & 0x80 != 0 && u16::from_be_bytes([*f0, *f1]) & 0xfff8 != 0;
    if *preamble != 0 || h3 & 0x08 != 0 || later_fragment {
        return None; // also another version, and DTLS
    }
    let inner = at.skip(usize::from(h1 >> 3) * 4).ok()?;
    if h2 & 1 == 0 {
        return ethernet(inner);
    }
    wifi(inner, false).or_else(|| wifi(inner, true))
}

/// The 802.11 frame that starts at `at`, if it is a data frame with IP.
fn wifi(at: Span<'_>, swapped: bool) -> Option<Next<'_>> {
    let Next { at: body, .. } = super::wifi::data_frame(at, false, swapped, &mut Default::default()).ok()?;
    match body.bytes {
        [0xaa, 0xaa, 0x03, 0, 0, 0, 0x08, 0x00, ..] | [0xaa, 0xaa, 0x03, 0, 0, 0, 0x86, 0xdd, ..] => {
            let inner = body.skip(8).ok()?;
            network::looks_like_ip(inner).then_some(Next { kind: Kind::Wifi { padded: false, swapped }, at })
        }
        _ => None,
    }
}

/// An encapsulated LISP control message (RFC 9301 section 5.8): type 8, then the IP packet that it
/// is about.
fn lisp_control(at: Span<'_>) -> Option<Next<'_>> {
    let ([first, ..], after) = at.split::<4>().ok()?;
    (first >> 4 == 8).then(|| ip(after))?
}

/// GRE in UDP (RFC 8086): a header without surprises, for IP or Ethernet.
fn gre_in_udp(at: Span<'_>) -> Option<Next<'_>> {
    let ([flags, version, t0, t1], _) = at.split::<4>().ok()?;
    let plain = flags & 0x4f == 0 && *version == 0;
    let known = matches!(u16::from_be_bytes([*t0, *t1]), 0x0800 | 0x86dd | 0x6558 | 0x8847);
    (plain && known).then_some(Next { kind: Kind::Gre, at })
}

/// Generic UDP encapsulation (draft-ietf-intarea-gue): version 1 is an IP packet as it is.
fn gue(at: Span<'_>) -> Option<Next<'_>> {
    let ([first, protocol, ..], after) = at.split::<4>().ok()?;
    match first >> 6 {
        0 if first & 0x20 == 0 && matches!(protocol, 4 | 41) => ip(after.skip(usize::from(first & 0x1f) * 4).ok()?),
        1 => ip(at),
        _ => None,
    }
}

/// TaZmen sniffer protocol: a received frame behind tags of type and length; type 0 is padding,
/// type 1 ends them.
fn tzsp(at: Span<'_>) -> Option<Next<'_>> {
    let ([version, kind, p0, p1], mut at) = at.split::<4>().ok()?;
    if *version != 1 || *kind > 1 {
        return None;
    }
    for _ in 0..MAX_TZSP_TAGS {
        match at.bytes {
            [0, ..] => at = at.skip(1).ok()?,
            [1, ..] => {
                let frame = at.skip(1).ok()?;
                return match u16::from_be_bytes([*p0, *p1]) {
                    1 => ethernet(frame),
                    18 => wifi(frame, false),
                    _ => None,
                };
            }
            [_, len, ..] => at = at.skip(2 + usize::from(*len)).ok()?,
            _ => return None,
        }
    }
    None
}
