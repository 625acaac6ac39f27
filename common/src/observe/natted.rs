//! The same packet before and behind a translation of addresses (NAT, RFC 3022): a container's link
//! and the card, the inner and the outer side of a home's router.
//!
//! Nothing in a packet says that it was translated, but all that hosts choose at random stays:
//! sequence, acknowledgement and identification of TCP, the payload of UDP, of an echo and of a
//! later fragment, and of an ICMP error the numbers of the packet that it is about. Two packets of
//! different interfaces that agree in all that, and in one of their ends, are one. So are two that
//! agree in no end (a translator on the same machine for both), if their identification or
//! acknowledgement says something as well, and hardly any router lies between them: who passes on
//! what it received gives it a new identification.
//! Between IPv4 and IPv6 (RFC 7915) identification and flow label are made anew, and one end stands
//! inside the other's address (RFC 6052): two packets with the same numbers of TCP, or the same
//! payload, are one if that end agrees. The longer one counts, as of a tunnel's packet.
//! From then on packets of the side that was seen second are taken for those of the first, so that
//! both directions are of one flow, whichever side they show on first. ICMP has no ports that would
//! tell whose flow it is: it stays on the side that was seen first.

use super::copies::Place;
use crate::flow::{FlowKey, Side};
use crate::time::UnixNanos;
use crate::wire::{self, IpPacket, Tcp, Transport, Udp};
use crate::work;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, Ipv4Addr};

/// Longest time between the two sights, as for any copy.
const WINDOW_NS: i64 = 50_000_000;

/// Packets in which the other side of one is looked for. It comes within microseconds, as a packet
/// of the same machine.
const RECENT: usize = 1_024;

/// Flows whose other side is remembered, oldest first out: those of a busy home. One that is
/// forgotten is known again by its next packet.
const FLOWS: usize = 4_096;

/// Payload of UDP that is compared, and the least: names, ids and random numbers of DNS, QUIC,
/// WireGuard and NTP.
const PAYLOAD: usize = 64;
const LEAST_PAYLOAD: usize = 16;

/// IANA protocol numbers of ICMP, ICMP for IPv6, and the fragment header of IPv6.
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const FRAGMENT: u8 = 44;

/// Highest port that only services have.
const LAST_WELL_KNOWN: u16 = 1_023;

/// Datagrams in pieces of which the first one was taken for that of the other side.
const DATAGRAMS: usize = 64;

/// Most routers between two sights of a packet of which both ends were translated: the machine
/// itself, and one to spare.
const MAX_HOPS: u8 = 2;

/// An address and a port.
pub(super) type End = (IpAddr, u16);

/// What stands for what: source and destination of each.
#[derive(Debug, Clone, Copy)]
struct Swap {
    old: (End, End),
    new: (End, End),
}

impl Swap {
    /// The ends on the side that stands for both, of a packet with these.
    fn of(&self, src: End, dst: End) -> Option<(End, End)> {
        match (src, dst) {
            ends if ends == self.old => Some(self.new),
            (src, dst) if (dst, src) == self.old => Some((self.new.1, self.new.0)),
            _ => None,
        }
    }
}

/// A datagram in pieces, as it shows, and what stands for its ends.
#[derive(Debug, Clone, Copy)]
struct Datagram {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    ends: (End, End),
}

/// A packet that may show again, translated.
#[derive(Debug, Clone, Copy)]
struct Recent {
    print: u64,
    ts: UnixNanos,
    place: Place,
    src: End,
    dst: End,
    hops: u8,
    bytes: u32,
}

/// Knows packets again whose addresses were translated.
#[derive(Debug, Default)]
pub(super) struct Natted {
    hasher: RandomState,
    swaps: HashMap<FlowKey, Swap, RandomState>,
    order: VecDeque<FlowKey>,
    recent: Vec<Option<Recent>>,
    /// The same by what stays when IPv4 becomes IPv6, or the other way round.
    across: Vec<Option<Recent>>,
    datagrams: VecDeque<Datagram>,
}

impl Natted {
    /// The packet as it was on the side that was seen first; `None` where nothing is known of it.
    #[inline]
    pub(super) fn as_first<'a>(&mut self, ip: &IpPacket<'a>) -> Option<IpPacket<'a>> {
        if self.swaps.is_empty() {
            return None;
        }
        let Some((src, dst)) = ends(ip) else { return self.later_as_first(ip) };
        let (new_src, new_dst) = self.swaps.get(&key(ip, src, dst))?.of(src, dst)?;
        if let Some(part) = ip.fragment {
            if self.datagrams.len() >= DATAGRAMS {
                self.datagrams.pop_front();
            }
            self.datagrams.push_back(Datagram { src: src.0, dst: dst.0, id: part.id, ends: (new_src, new_dst) });
        }
        Some(with_ends(ip, new_src, new_dst))
    }

    /// The same of a later fragment.
    fn later_as_first<'a>(&self, ip: &IpPacket<'a>) -> Option<IpPacket<'a>> {
        let part = ip.fragment?;
        work::steps(self.datagrams.len());
        let same = |known: &&Datagram| (known.src, known.dst, known.id) == (ip.src, ip.dst, part.id);
        let (src, dst) = self.datagrams.iter().rev().find(same)?.ends;
        Some(with_ends(ip, src, dst))
    }

    /// Whether this packet, whose IP header begins `bytes`, was seen on another interface with
    /// another address at one of its ends or both, and by how much it is longer. Remembers it, if
    /// not. `is_known`: [`Self::as_first`] gave something for it.
    pub(super) fn is_second(
        &mut self,
        at: (UnixNanos, Place),
        (ip, is_known): (&IpPacket<'_>, bool),
        bytes: &[u8],
    ) -> Option<u32> {
        if self.is_same_family(at, ip, bytes) {
            return Some(0);
        }
        self.is_other_family(at, (ip, is_known), bytes)
    }

    fn is_same_family(&mut self, (ts, place): (UnixNanos, Place), ip: &IpPacket<'_>, bytes: &[u8]) -> bool {
        let shown = ends(ip);
        let (src, dst) = shown.unwrap_or(((ip.src, 0), (ip.dst, 0)));
        let Some(Print { hash: print, is_single, hops }) = print(&self.hasher, ip, bytes).filter(|_| is_host(dst.0))
        else {
            return false;
        };
        work::step();
        if self.recent.is_empty() {
            self.recent = vec![None; RECENT];
        }
        let Some(slot) = self.recent.get_mut(print as usize % RECENT) else { return false };
        let ends_fit = |first: &Recent| match (first.src == src, first.dst == dst) {
            (true, true) => false,
            (false, false) => is_single && first.hops.abs_diff(hops) <= MAX_HOPS,
            _ => true,
        };
        let is_other_side = |first: &Recent| {
            first.print == print
                && first.place != place
                && ts.since(first.ts).saturating_abs() <= WINDOW_NS
                && first.src.0.is_ipv4() == src.0.is_ipv4()
                && ends_fit(first)
        };
        match *slot {
            Some(first) if is_other_side(&first) => {
                if shown.is_some() {
                    self.learn(ip, &first, (src, dst));
                }
                true
            }
            _ => {
                *slot = Some(Recent { print, ts, place, src, dst, hops, bytes: ip.ip_bytes });
                false
            }
        }
    }

    /// The same across a translation between IPv4 and IPv6.
    fn is_other_family(
        &mut self,
        (ts, place): (UnixNanos, Place),
        (ip, is_known): (&IpPacket<'_>, bool),
        packet: &[u8],
    ) -> Option<u32> {
        let (src, dst) = ends(ip).filter(|(_, dst)| is_host(dst.0))?;
        let print = print_across(&self.hasher, ip, packet)?;
        work::step();
        if self.across.is_empty() {
            self.across = vec![None; RECENT];
        }
        let slot = self.across.get_mut(print as usize % RECENT)?;
        let is_other_side = |first: &Recent| {
            first.print == print
                && first.place != place
                && ts.since(first.ts).saturating_abs() <= WINDOW_NS
                && (is_inside(first.src, src) || is_inside(first.dst, dst))
        };
        match *slot {
            Some(first) if is_other_side(&first) => {
                if !is_known {
                    self.learn(ip, &first, (src, dst));
                }
                Some(ip.ip_bytes.saturating_sub(first.bytes))
            }
            _ => {
                *slot = Some(Recent { print, ts, place, src, dst, hops: 0, bytes: ip.ip_bytes });
                None
            }
        }
    }

    /// Notes which flow stands for which. What is seen first stands for the other: so a flow that
    /// is seen from its beginning is one. An answer that is seen before what it answers was
    /// translated comes to the outer address first; the inner one is whose it is.
    fn learn(&mut self, ip: &IpPacket<'_>, first: &Recent, (src, dst): (End, End)) {
        let second = Recent { src, dst, ..*first };
        let comes_from_service = first.src == src || is_from_service(first);
        let is_answer = first.dst != dst && !opens(ip) && comes_from_service;
        let (other, stands) = if is_answer { (first, &second) } else { (&second, first) };
        let swap = Swap { old: (other.src, other.dst), new: (stands.src, stands.dst) };
        let other = key(ip, other.src, other.dst);
        if self.swaps.insert(other, swap).is_none() {
            self.order.push_back(other);
        }
        // No flow stands for one that itself stands for something else.
        self.swaps.remove(&key(ip, stands.src, stands.dst));
        while self.order.len() > FLOWS {
            work::step();
            if let Some(oldest) = self.order.pop_front() {
                self.swaps.remove(&oldest);
            }
        }
    }
}

fn key(ip: &IpPacket<'_>, src: End, dst: End) -> FlowKey {
    let (key, _): (FlowKey, Side) = FlowKey::of((&src.0, src.1), (&dst.0, dst.1), ip.proto);
    key
}

/// Of a packet in the middle of a flow: whether it comes from where services are.
fn is_from_service(first: &Recent) -> bool {
    first.src.1 <= LAST_WELL_KNOWN && first.dst.1 > LAST_WELL_KNOWN
}

/// The ends of a TCP or UDP packet that shows its ports.
pub(super) fn ends(ip: &IpPacket<'_>) -> Option<(End, End)> {
    let (src_port, dst_port) = match &ip.transport {
        Transport::Tcp(tcp) => (tcp.src_port, tcp.dst_port),
        Transport::Udp(udp) => (udp.src_port, udp.dst_port),
        _ => return None,
    };
    Some(((ip.src, src_port), (ip.dst, dst_port)))
}

fn with_ends<'a>(ip: &IpPacket<'a>, src: End, dst: End) -> IpPacket<'a> {
    let transport = match ip.transport {
        Transport::Tcp(tcp) => Transport::Tcp(Tcp { src_port: src.1, dst_port: dst.1, ..tcp }),
        Transport::Udp(udp) => Transport::Udp(Udp { src_port: src.1, dst_port: dst.1, ..udp }),
        other => other,
    };
    // A hardware address is that of the side on which it shows.
    let src_mac = ip.src_mac.filter(|_| src.0 == ip.src);
    let dst_mac = ip.dst_mac.filter(|_| dst.0 == ip.dst);
    let datagram = ip.datagram.map(|known| wire::Datagram { src: src.0, dst: dst.0, ..known });
    IpPacket { src: src.0, dst: dst.0, src_mac, dst_mac, datagram, transport, ..*ip }
}

/// A program may say the same to a group by each of its interfaces.
fn is_host(address: IpAddr) -> bool {
    !address.is_multicast() && address != IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

/// Whether a packet begins a flow, as far as it shows.
fn opens(ip: &IpPacket<'_>) -> bool {
    match &ip.transport {
        Transport::Tcp(tcp) => tcp.flags & (Tcp::SYN | Tcp::ACK) == Tcp::SYN,
        Transport::Udp(udp) => udp.src_port > LAST_WELL_KNOWN || udp.dst_port <= LAST_WELL_KNOWN,
        _ => false,
    }
}

/// What tells a packet from others on whichever side it shows.
struct Print {
    hash: u64,
    /// No other packet has the same one, whatever its ends.
    is_single: bool,
    /// Time to live, or hop limit.
    hops: u8,
}

/// What translation does not change of a packet, header first, and chance does not repeat; `None`
/// where too little of it is there.
fn print(hasher: &RandomState, ip: &IpPacket<'_>, packet: &[u8]) -> Option<Print> {
    let mut hash = hasher.build_hasher();
    let (body, id, hops) = match packet.first()? >> 4 {
        4 => {
            let [first, _, l0, l1, i0, i1, f0, f1, hops, ..] = *packet.first_chunk::<20>()?;
            hash.write_u64(u64::from_be_bytes([l0, l1, i0, i1, f0, f1, 4, ip.proto]));
            (packet.get(usize::from(first & 0x0f) * 4..)?, u16::from_be_bytes([i0, i1]).into(), hops)
        }
        _ => {
            let [_, _, _, _, l0, l1, next, hops, ..] = *packet.first_chunk::<40>()?;
            hash.write_u64(u64::from_be_bytes([l0, l1, next, 0, 0, 0, 6, ip.proto]));
            match (packet.get(40..)?, ip.fragment) {
                (body, Some(part)) if next == FRAGMENT => {
                    hash.write(body.get(2..8)?);
                    (body.get(8..)?, part.id, hops)
                }
                (body, _) => (body, 0, hops),
            }
        }
    };
    let is_later = ip.fragment.is_some_and(|part| part.offset_bytes > 0);
    let acknowledges = match &ip.transport {
        // Numbers, flags and window.
        Transport::Tcp(tcp) => {
            hash.write(body.get(4..16)?);
            tcp.flags & Tcp::ACK != 0
        }
        Transport::Udp(udp) => {
            hash.write(payload(udp.payload)?);
            false
        }
        Transport::Other(_) if is_later => {
            hash.write(payload(body)?);
            false
        }
        Transport::Other(_) if matches!(ip.proto, ICMP | ICMPV6) => {
            icmp(&mut hash, body)?;
            false
        }
        _ => return None,
    };
    Some(Print { hash: hash.finish(), is_single: id != 0 || acknowledges, hops })
}

/// What a translation between IPv4 and IPv6 leaves as it is: of TCP and UDP in one piece.
fn print_across(hasher: &RandomState, ip: &IpPacket<'_>, packet: &[u8]) -> Option<u64> {
    let mut hash = hasher.build_hasher();
    let body = match (packet.first()? >> 4, ip.fragment) {
        (4, None) => packet.get(usize::from(packet.first()? & 0x0f) * 4..)?,
        (6, None) if packet.get(6) == Some(&ip.proto) => packet.get(40..)?,
        _ => return None,
    };
    match &ip.transport {
        Transport::Tcp(tcp) => {
            hash.write_u32(tcp.payload_len);
            hash.write(body.get(4..16)?);
        }
        Transport::Udp(udp) => {
            hash.write_u32(udp.payload_len);
            hash.write(payload(udp.payload)?);
        }
        _ => return None,
    }
    Some(hash.finish())
}

/// Whether one of two ends is the other one with its IPv4 address inside an IPv6 one: behind a
/// prefix of any length (RFC 6052 section 2.2), as nobody says here which a translator has.
fn is_inside(one: End, other: End) -> bool {
    let (v4, v6) = match (one.0, other.0) {
        (IpAddr::V4(v4), IpAddr::V6(v6)) | (IpAddr::V6(v6), IpAddr::V4(v4)) => (v4, v6),
        _ => return false,
    };
    let [_, _, _, _, a, b, c, d, u, e, f, g, h, i, j, k] = v6.octets();
    let behind = [[h, i, j, k], [a, b, c, d], [b, c, d, e], [c, d, e, f], [d, e, f, g], [e, f, g, h]];
    let mut behind = behind.into_iter().take(if u == 0 { 6 } else { 1 });
    one.1 == other.1 && behind.any(|bytes| Ipv4Addr::from(bytes) == v4)
}

fn payload(bytes: &[u8]) -> Option<&[u8]> {
    (bytes.len() >= LEAST_PAYLOAD).then_some(bytes.get(..PAYLOAD).unwrap_or(bytes))
}

/// What stays of an ICMP message (RFC 5508 section 4): of an echo all but the identifier, which
/// stands for a port; of an error what is not an address or a port of the packet inside.
fn icmp(hash: &mut impl Hasher, message: &[u8]) -> Option<()> {
    let (head, inside) = message.split_first_chunk::<8>()?;
    let [kind, code, _, _, r0, r1, r2, r3] = *head;
    hash.write(&[kind, code]);
    match kind {
        0 | 8 | 128 | 129 => {
            hash.write(&[r2, r3]);
            hash.write(payload(inside)?);
        }
        _ => {
            hash.write(&[r0, r1, r2, r3]);
            let header_len = match inside.first()? >> 4 {
                4 => {
                    // Length, identification and fragment; protocol.
                    hash.write(inside.get(2..8)?);
                    hash.write(inside.get(9..10)?);
                    usize::from(inside.first()? & 0x0f) * 4
                }
                6 => {
                    hash.write(inside.get(1..7)?);
                    40
                }
                _ => return None,
            };
            // The sequence number of TCP, the length of UDP.
            hash.write(inside.get(header_len + 4..header_len + 8)?);
        }
    }
    Some(())
}
