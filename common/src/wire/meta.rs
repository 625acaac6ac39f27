//! Headers that a capture mechanism puts in front of a frame: cooked captures, radio headers,
//! firewall logs.
//!
//! Several of them are written in the byte order of the machine that captured, which no field
//! states; it is taken from a field whose value can be right in one order only.

use super::link::ether_type;
use super::span::Span;
use super::walk::{Kind, LinkFacts, Step, Stop, next};
use super::{Fault, Layer, Mac, NotIp, network};
use crate::packet::CapturedPacket;

/// Linux hardware type of a netlink monitor.
const ARPHRD_NETLINK: u16 = 824;

/// Most attributes of a netlink message that are passed over to find the packet; the kernel sends
/// about a dozen.
const MAX_ATTRIBUTES: usize = 64;

/// Most presence words of a radiotap header that are passed over; one for each antenna, so few have
/// more than four.
const MAX_PRESENCE_WORDS: usize = 32;

/// Most extension headers of an ERF record that are passed over; cards write at most a few.
const MAX_ERF_EXTENSIONS: usize = 16;

/// The protocol families by the numbers of the systems that capture files come from.
fn by_family(family: u32, at: Span<'_>) -> Step<'_> {
    match family {
        2 => next(Kind::Ip(Layer::Ipv4), at),
        // Linux; NetBSD and OpenBSD; FreeBSD; Darwin; Solaris.
        10 | 24 | 28 | 30 | 26 => next(Kind::Ip(Layer::Ipv6), at),
        _ if network::looks_like_ip(at) => next(Kind::Ip(Layer::Ipv4), at),
        number => match u16::try_from(number) {
            Ok(number) if number > 1536 => ether_type(number, at),
            _ => Err(Stop::NotIp(NotIp::Link)),
        },
    }
}

/// A 32-bit number below 65,536 in either byte order.
fn either_order(bytes: [u8; 4]) -> u32 {
    match bytes {
        [0, 0, ..] => u32::from_be_bytes(bytes),
        _ => u32::from_le_bytes(bytes),
    }
}

/// LINKTYPE_NULL and _LOOP: a protocol family of four bytes. PPP with address and control field
/// occurs as well.
pub(super) fn family(at: Span<'_>) -> Step<'_> {
    if let [0xff, 0x03, 0x00, _, ..] = at.bytes {
        return next(Kind::Ppp, at);
    }
    let (number, after) = at.split::<4>()?;
    by_family(either_order(*number), after)
}

/// OpenBSD's encapsulating interface: family, SPI, flags.
pub(super) fn enc(at: Span<'_>) -> Step<'_> {
    let ([a, b, c, d, ..], after) = at.split::<12>()?;
    by_family(either_order([*a, *b, *c, *d]), after)
}

/// BSD packet filter log: its length, then the family.
pub(super) fn pflog(at: Span<'_>) -> Step<'_> {
    let ([len, family], _) = at.split::<2>()?;
    by_family((*family).into(), at.skip(usize::from(*len).next_multiple_of(4))?)
}

/// Solaris ipnet: version, family, and the zones between which the packet went.
pub(super) fn ipnet(at: Span<'_>) -> Step<'_> {
    let ([_, family, ..], after) = at.split::<24>()?;
    by_family((*family).into(), after)
}

/// SLIP with the direction and what is known of the compressed header (RFC 1144) in front.
pub(super) fn slip(at: Span<'_>) -> Step<'_> {
    let ([_, kind, ..], after) = at.split::<16>()?;
    if kind & 0x80 != 0 || kind >> 4 == 7 {
        Err(Stop::Fault(Fault::Unsupported))
    } else {
        next(Kind::Ip(Layer::Ipv4), after)
    }
}

/// Packet type of a cooked capture: a frame to everybody, whose address the capture left out.
pub(super) const TO_ALL: u8 = 1;

/// Linux cooked capture, version 1.
pub(super) fn sll<'a>(at: Span<'a>, facts: &mut LinkFacts) -> Step<'a> {
    let (head, after) = at.split::<16>()?;
    let [k0, k1, h0, h1, l0, l1, a0, a1, a2, a3, a4, a5, _, _, p0, p1] = *head;
    if [l0, l1] == [0, 6] {
        facts.src = Some(Mac([a0, a1, a2, a3, a4, a5]));
    }
    facts.dst = ([k0, k1] == [0, TO_ALL]).then_some(Mac::BROADCAST);
    cooked(u16::from_be_bytes([h0, h1]), u16::from_be_bytes([p0, p1]), after, facts)
}

/// Linux cooked capture, version 2.
pub(super) fn sll2<'a>(at: Span<'a>, facts: &mut LinkFacts) -> Step<'a> {
    let (head, after) = at.split::<20>()?;
    let [p0, p1, _, _, _, _, _, _, h0, h1, kind, len, a0, a1, a2, a3, a4, a5, _, _] = *head;
    if len == 6 {
        facts.src = Some(Mac([a0, a1, a2, a3, a4, a5]));
    }
    facts.dst = (kind == TO_ALL).then_some(Mac::BROADCAST);
    cooked(u16::from_be_bytes([h0, h1]), u16::from_be_bytes([p0, p1]), after, facts)
}

/// What follows a cooked header, by the hardware type (Linux ARPHRD_) and the protocol field.
fn cooked<'a>(hardware: u16, protocol: u16, at: Span<'a>, facts: &mut LinkFacts) -> Step<'a> {
    match (hardware, protocol) {
        (770, _) => next(Kind::FrameRelay, at),
        (801, _) => next(Kind::Link(105), at),
        (802, _) => next(Kind::Link(119), at),
        (803, _) => next(Kind::Link(127), at),
        (ARPHRD_NETLINK, family) => netlink_messages(family, at, facts),
        (_, 1) => Err(Stop::NotIp(NotIp::Llc)), // Novell's frames without LLC
        (_, 4) => next(Kind::Llc, at),
        (_, 0..=1535) => Err(Stop::NotIp(NotIp::Link)), // CAN and other frames that have no EtherType
        (_, number) => ether_type(number, at),
    }
}

/// LINKTYPE_NETLINK: a cooked header whose protocol field is the netlink family.
pub(super) fn netlink<'a>(at: Span<'a>, facts: &mut LinkFacts) -> Step<'a> {
    let ([.., f0, f1], after) = at.split::<16>()?;
    netlink_messages(u16::from_be_bytes([*f0, *f1]), after, facts)
}

/// Netlink messages: packets that a firewall queues for or logs to a program are inside; nothing
/// else is IP. The first packet is read here, the others by [`messages_of`].
fn netlink_messages<'a>(family: u16, at: Span<'a>, facts: &mut LinkFacts) -> Step<'a> {
    facts.may_be_cut = true;
    at.split::<16>()?;
    let first = (family == NETFILTER).then(|| Messages { at }.next()).flatten();
    first.map_or(Err(Stop::NotIp(NotIp::LinkType(253))), |message| message.packet())
}

/// The netlink family of firewalls.
const NETFILTER: u16 = 12;

/// The messages with packets in a frame of netlink, captured on a monitor of its own or among other
/// interfaces.
#[cold]
pub(super) fn messages_of<'a>(packet: &CapturedPacket<'a>) -> Option<Messages<'a>> {
    let at = Span::unbounded(packet.data);
    let (hardware, family, at) = match packet.link_type.0 {
        253 | 113 => {
            let ([_, _, h0, h1, .., f0, f1], at) = at.split::<16>().ok()?;
            ([*h0, *h1], [*f0, *f1], at)
        }
        276 => {
            let ([f0, f1, _, _, _, _, _, _, h0, h1, ..], at) = at.split::<20>().ok()?;
            ([*h0, *h1], [*f0, *f1], at)
        }
        _ => return None,
    };
    let is_netlink = packet.link_type.0 == 253 || u16::from_be_bytes(hardware) == ARPHRD_NETLINK;
    (is_netlink && u16::from_be_bytes(family) == NETFILTER).then_some(Messages { at })
}

/// A message with a packet inside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// What follows its header.
    pub(super) body: Span<'a>,
    little: bool,
    /// Number of the attribute that holds the packet.
    attribute: u16,
}

impl<'a> Message<'a> {
    /// The packet in it.
    pub(super) fn packet(&self) -> Step<'a> {
        attributes(self.body, self.little, self.attribute)
    }
}

/// Messages one behind the other, each padded to four bytes. Those without packets are passed over.
/// Each takes at least 16 bytes of the frame, which bounds them.
#[derive(Debug)]
pub(super) struct Messages<'a> {
    at: Span<'a>,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        loop {
            let ([l0, l1, l2, l3, t0, t1, ..], after) = self.at.split::<16>().ok()?;
            let [big, small] = [u32::from_be_bytes([*l0, *l1, *l2, *l3]), u32::from_le_bytes([*l0, *l1, *l2, *l3])];
            let (little, len) = (small <= big, small.min(big));
            let number = if little { u16::from_le_bytes([*t0, *t1]) } else { u16::from_be_bytes([*t0, *t1]) };
            let body = after.with_length(len.checked_sub(16)?);
            let behind = usize::try_from(len).ok().and_then(|len| self.at.skip(len.next_multiple_of(4)).ok());
            self.at = behind.unwrap_or(Span { bytes: &[], wire: 0 });
            let attribute = match number {
                0x0300 => 10, // NFQNL_MSG_PACKET, NFQA_PAYLOAD
                0x0400 => 9,  // NFULNL_MSG_PACKET, NFULA_PAYLOAD
                _ => continue,
            };
            return Some(Message { body, little, attribute });
        }
    }
}

/// LINKTYPE_NFLOG: the inside of a log message, in the capturing machine's byte order.
pub(super) fn nflog<'a>(at: Span<'a>, facts: &mut LinkFacts) -> Step<'a> {
    facts.may_be_cut = true;
    let (_, after) = at.split::<4>()?;
    let ([l0, l1, ..], _) = after.split::<4>()?;
    let little = u16::from_le_bytes([*l0, *l1]) <= u16::from_be_bytes([*l0, *l1]);
    attributes(at, little, 9)
}

/// The packet in the attribute `payload` of a netfilter message: family, version, resource, then
/// attributes of length and type, padded to four bytes.
fn attributes(at: Span<'_>, little: bool, payload: u16) -> Step<'_> {
    let number = |bytes| {
        if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    };
    let ([family, ..], mut at) = at.split::<4>()?;
    for _ in 0..MAX_ATTRIBUTES {
        if at.bytes.is_empty() {
            return Err(Stop::NotIp(NotIp::Link));
        }
        let ([l0, l1, t0, t1], value) = at.split::<4>()?;
        let len = number([*l0, *l1]);
        if number([*t0, *t1]) & 0x3fff == payload {
            return by_family((*family).into(), value.with_length(u32::from(len).saturating_sub(4)));
        }
        at = at.skip(usize::from(len).max(4).next_multiple_of(4))?;
    }
    Err(Stop::Fault(Fault::Unsupported))
}

/// Radiotap (<https://www.radiotap.org>): length, presence words, fields. Only the flags matter
/// here: whether the 802.11 header is padded.
pub(super) fn radiotap(at: Span<'_>) -> Step<'_> {
    let (head, _) = at.split::<8>()?;
    let [version, _, l0, l1, p0, _, _, p3] = *head;
    if version != 0 {
        return Err(Stop::Fault(Fault::Unsupported));
    }
    let mut fields = 8;
    let mut last = p3;
    for _ in 0..MAX_PRESENCE_WORDS {
        if last & 0x80 == 0 {
            break;
        }
        last = at.u8_at(fields + 3).unwrap_or(0);
        fields += 4;
    }
    if p0 & 1 != 0 {
        fields = fields.next_multiple_of(8) + 8; // time in front of the flags
    }
    let flags = if p0 & 2 != 0 { at.u8_at(fields).unwrap_or(0) } else { 0 };
    let at = at.skip(u16::from_le_bytes([l0, l1]).into())?;
    next(Kind::Wifi { padded: flags & 0x20 != 0, swapped: false }, at)
}

/// Per-packet information: length, then the LINKTYPE_ of the frame (CACE Technologies, PPI format
/// 1.0.7).
pub(super) fn ppi(at: Span<'_>) -> Step<'_> {
    let ([_, _, l0, l1, t0, t1, t2, t3], _) = at.split::<8>()?;
    inner_type(u32::from_le_bytes([*t0, *t1, *t2, *t3]), at.skip(u16::from_le_bytes([*l0, *l1]).into())?)
}

/// Apple's PKTAP: header length, record type (1: a packet follows), LINKTYPE_ of the frame. Also on
/// the number 149, which anybody may use: believed only where the length can be right.
pub(super) fn pktap(at: Span<'_>) -> Step<'_> {
    let ([l0, l1, l2, l3, r0, r1, r2, r3, t0, t1, t2, t3], _) = at.split::<12>()?;
    let len = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
    if len < 12 || u32::from_le_bytes([*r0, *r1, *r2, *r3]) != 1 {
        return Err(Stop::NotIp(NotIp::Link));
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    inner_type(u32::from_le_bytes([*t0, *t1, *t2, *t3]), at.skip(len)?)
}

/// A frame of another link type inside. Those that nest again do so within the bound of the walk.
fn inner_type(number: u32, at: Span<'_>) -> Step<'_> {
    match u16::try_from(number) {
        Ok(number) => next(Kind::Link(number), at),
        Err(_) => Err(Stop::Fault(Fault::Unsupported)),
    }
}

/// Endace's extensible record: time, type, length; extension headers of eight bytes while their
/// first bit is set.
pub(super) fn erf(at: Span<'_>) -> Step<'_> {
    let (head, mut after) = at.split::<16>()?;
    let [_, _, _, _, _, _, _, _, kind, ..] = *head;
    let mut extended = kind & 0x80 != 0;
    for _ in 0..MAX_ERF_EXTENSIONS {
        if !extended {
            break;
        }
        let ([first, ..], rest) = after.split::<8>()?;
        (extended, after) = (first & 0x80 != 0, rest);
    }
    match kind & 0x7f {
        // A frame of PPP or Cisco HDLC: by itself, with a colour or a hash in the record's header,
        // behind the header of its channel.
        1 | 10 | 15 | 19 => next(Kind::Ppp, after),
        5 | 17 => next(Kind::Ppp, after.skip(4)?),
        // ATM's header, behind that of a channel.
        4 => super::link::atm(after.skip(4)?),
        9 => super::link::atm(after.skip(8)?),
        2 | 11 | 16 | 20 => next(Kind::Ethernet, after.skip(2)?),
        22 => next(Kind::Ip(Layer::Ipv4), after),
        23 => next(Kind::Ip(Layer::Ipv6), after),
        _ => Err(Stop::NotIp(NotIp::LinkType(197))),
    }
}

/// Prism header: its length stands behind a message code; AVS headers occur under the same number.
pub(super) fn prism(at: Span<'_>) -> Step<'_> {
    let ([c0, c1, c2, c3, l0, l1, l2, l3], _) = at.split::<8>()?;
    if [*c0, *c1, *c2] == [0x80, 0x21, 0x10] {
        return avs(at);
    }
    let len = match [*c0, *c1, *c2, *c3] {
        [0, 0, ..] => u32::from_be_bytes([*l0, *l1, *l2, *l3]),
        _ => u32::from_le_bytes([*l0, *l1, *l2, *l3]),
    };
    wifi_after(at, len)
}

/// AVS header: magic, length.
pub(super) fn avs(at: Span<'_>) -> Step<'_> {
    let ([_, _, _, _, l0, l1, l2, l3], _) = at.split::<8>()?;
    wifi_after(at, u32::from_be_bytes([*l0, *l1, *l2, *l3]))
}

fn wifi_after(at: Span<'_>, len: u32) -> Step<'_> {
    let at = at.skip(usize::try_from(len).unwrap_or(usize::MAX))?;
    next(Kind::Wifi { padded: false, swapped: false }, at)
}

/// SunATM: kind of traffic, VPI, VCI; then LANE or LLC.
pub(super) fn sunatm(at: Span<'_>) -> Step<'_> {
    let ([kind, ..], after) = at.split::<4>()?;
    match kind & 0x0f {
        1 => next(Kind::Ethernet, after.skip(2)?), // behind the LAN emulation client's id
        2 => super::link::atm(after),
        _ => Err(Stop::NotIp(NotIp::Link)),
    }
}

/// Juniper's Ethernet: magic, flags, optional extensions; the frame has its link header unless a
/// flag says no.
pub(super) fn juniper_ethernet(at: Span<'_>) -> Step<'_> {
    let ([m0, m1, m2, flags], after) = at.split::<4>()?;
    if [*m0, *m1, *m2] != [0x4d, 0x47, 0x43] {
        return Err(Stop::NotIp(NotIp::Link));
    }
    let after = if flags & 0x80 != 0 {
        let ([l0, l1], extensions) = after.split::<2>()?;
        extensions.skip(u16::from_be_bytes([*l0, *l1]).into())?
    } else {
        after
    };
    if flags & 0x02 == 0 {
        return next(Kind::Ethernet, after);
    }
    // Without link header: four bytes of family in front of the packet.
    let (family, after) = after.split::<4>()?;
    by_family(either_order(*family), after)
}
