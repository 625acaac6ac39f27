//! The same packet before and behind a translation of addresses (NAT, RFC 3022): a container's link
//! and the card, the inner and the outer side of a home's router.
//!
//! Nothing in a packet says that it was translated, but one end of it, and all that hosts choose
//! at random, stays: sequence, acknowledgement and identification of TCP, the payload of UDP. Two
//! packets of different interfaces that agree in all that, and differ in one end alone, are one.
//! From then on packets of the side that was seen second are taken for those of the first, so that
//! both directions are of one flow, whichever side they show on first.

use super::copies::Place;
use crate::flow::{FlowKey, Side};
use crate::time::UnixNanos;
use crate::wire::{IpPacket, Tcp, Transport, Udp};
use crate::work;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

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

/// Highest port that only services have.
const LAST_WELL_KNOWN: u16 = 1_023;

/// An address and a port.
pub(super) type End = (IpAddr, u16);

/// What stands for what.
#[derive(Debug, Clone, Copy)]
struct Swap {
    old: End,
    new: End,
}

/// A packet that may show again, translated.
#[derive(Debug, Clone, Copy)]
struct Recent {
    print: u64,
    ts: UnixNanos,
    place: Place,
    src: End,
    dst: End,
}

/// Knows packets again whose addresses were translated.
#[derive(Debug, Default)]
pub(super) struct Natted {
    hasher: RandomState,
    swaps: HashMap<FlowKey, Swap, RandomState>,
    order: VecDeque<FlowKey>,
    recent: Vec<Option<Recent>>,
}

impl Natted {
    /// The packet as it was on the side that was seen first; `None` where nothing is known of it.
    #[inline]
    pub(super) fn as_first<'a>(&self, ip: &IpPacket<'a>) -> Option<IpPacket<'a>> {
        if self.swaps.is_empty() {
            return None;
        }
        let (src, dst) = ends(ip)?;
        let swap = self.swaps.get(&key(ip, src, dst))?;
        // The hardware address is not that of the other side.
        if src == swap.old {
            Some(IpPacket { src_mac: None, ..with_ends(ip, swap.new, dst) })
        } else if dst == swap.old {
            Some(IpPacket { dst_mac: None, ..with_ends(ip, src, swap.new) })
        } else {
            None
        }
    }

    /// Whether this packet, whose IP header begins `bytes`, was seen on another interface with
    /// another address at one of its ends. Remembers it, if not.
    pub(super) fn is_second(&mut self, (ts, place): (UnixNanos, Place), ip: &IpPacket<'_>, bytes: &[u8]) -> bool {
        let Some((src, dst)) = ends(ip).filter(|(_, dst)| is_host(dst.0)) else { return false };
        let Some(print) = print(&self.hasher, ip, bytes) else { return false };
        work::step();
        if self.recent.is_empty() {
            self.recent = vec![None; RECENT];
        }
        let Some(slot) = self.recent.get_mut(print as usize % RECENT) else { return false };
        let one_end = |first: &Recent| (first.src == src) != (first.dst == dst);
        let is_other_side = |first: &Recent| {
            first.print == print
                && first.place != place
                && ts.since(first.ts).saturating_abs() <= WINDOW_NS
                && first.src.0.is_ipv4() == src.0.is_ipv4()
                && one_end(first)
        };
        match *slot {
            Some(first) if is_other_side(&first) => {
                self.learn(ip, &first, (src, dst));
                true
            }
            _ => {
                *slot = Some(Recent { print, ts, place, src, dst });
                false
            }
        }
    }

    /// Notes which flow stands for which. What is seen first stands for the other: so a flow that
    /// is seen from its beginning is one. An answer that is seen before what it answers was
    /// translated comes to the outer address first; the inner one is whose it is.
    fn learn(&mut self, ip: &IpPacket<'_>, first: &Recent, (src, dst): (End, End)) {
        let second = Recent { src, dst, ..*first };
        let is_answer = first.dst != dst && !opens(ip);
        let (other, stands) = if is_answer { (first, &second) } else { (&second, first) };
        let swap = match other.src == stands.src {
            true => Swap { old: other.dst, new: stands.dst },
            false => Swap { old: other.src, new: stands.src },
        };
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

/// The ends of a whole TCP or UDP packet.
pub(super) fn ends(ip: &IpPacket<'_>) -> Option<(End, End)> {
    let (src_port, dst_port) = match &ip.transport {
        _ if ip.fragment.is_some() => return None,
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
    IpPacket { src: src.0, dst: dst.0, transport, ..*ip }
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

/// What translation does not change of a packet, header first, and chance does not repeat; `None`
/// where too little of it is there.
fn print(hasher: &RandomState, ip: &IpPacket<'_>, packet: &[u8]) -> Option<u64> {
    let mut hash = hasher.build_hasher();
    let body = match packet.first()? >> 4 {
        4 => {
            let [first, _, l0, l1, i0, i1, f0, f1, ..] = *packet.first_chunk::<20>()?;
            hash.write_u64(u64::from_be_bytes([l0, l1, i0, i1, f0, f1, 4, ip.proto]));
            packet.get(usize::from(first & 0x0f) * 4..)?
        }
        _ => {
            let [_, _, _, _, l0, l1, next, ..] = *packet.first_chunk::<40>()?;
            hash.write_u64(u64::from_be_bytes([l0, l1, next, 0, 0, 0, 6, ip.proto]));
            packet.get(40..)?
        }
    };
    match &ip.transport {
        // Numbers, flags and window.
        Transport::Tcp(_) => hash.write(body.get(4..16)?),
        Transport::Udp(udp) => {
            let payload = udp.payload.get(..PAYLOAD).unwrap_or(udp.payload);
            if payload.len() < LEAST_PAYLOAD {
                return None;
            }
            hash.write(payload);
        }
        _ => return None,
    }
    Some(hash.finish())
}
