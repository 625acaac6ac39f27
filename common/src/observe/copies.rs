//! The same packet on several interfaces of one capture.
//!
//! Who captures on all interfaces of a machine (`any`), or on several by name, gets a packet once
//! for each that it passes: a bridge and its ports, a bond and its members, a container's link and
//! the card, the inner and the outer side of a router, a tunnel and the link that carries it. It is
//! one packet of the books. The first sight of it counts; what comes later on *another* interface
//! is a copy. On the *same* interface it is a packet of its own: a retransmission, or a datagram
//! that was sent twice.
//!
//! Cooked headers of version 1 do not tell one interface from another of its kind. There a packet
//! is a copy if nobody sends another one like it in that time: with the identification of the one
//! before, or, in IPv6, with the same bytes of a TCP stream.
//!
//! A packet is known again by what no hop on one machine changes: addresses, protocol,
//! identification or flow label, length and fragment offset; ports, sequence and acknowledgement
//! numbers, flags and window of TCP; the first bytes of any other payload. Of a tunnel's packet the
//! innermost one is looked at. Left out are the time to live (a router counts it down) and with it
//! the header's checksum; traffic class and congestion marks (queues change them); checksums of TCP
//! and UDP (a card fills them in after one of the interfaces has seen the packet); TCP options
//! (routers clamp the segment size).
//!
//! Packets of which an end, or both, were translated in between are known by [`Natted`]. Not known
//! again, and thus counted on each interface: packets that were merged or cut in between (a
//! super-packet of segmentation offload on one interface, its segments on the other).

use super::natted::{End, Natted, ends};
use crate::cursor::Cursor;
use crate::packet::{CapturedPacket, LinkType};
use crate::time::UnixNanos;
use crate::wire::IpPacket;
use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

/// Longest time between two sights of one packet. Through a machine a packet takes microseconds,
/// and some milliseconds where it waits in a queue. No sender repeats one after so short a time:
/// Linux waits for 200 ms at least (TCP_RTO_MIN), RFC 6298 section 2.4 for a second. So what a
/// sender repeats on another path counts again.
const WINDOW_NS: i64 = 50_000_000;

/// Longest time between two sights of one packet whose interfaces are not told apart: a bridge
/// hands on what its port received within microseconds, and repetitions take a round trip.
const UNTOLD_NS: i64 = 1_000_000;

/// Packets remembered: those of [`WINDOW_NS`] at 600,000 a second. With [`Sight`] of 64 bytes, 2
/// MiB.
const SIGHTS: usize = 32_768;

/// Buckets of the index; as many as sights, so that a chain has one or two.
const BUCKETS: usize = 32_768;

/// Most sights that are compared with a packet. Only identical ones and chance share a bucket; a
/// burst of identical datagrams reaches the next interface before more than a network driver's
/// budget (64, NAPI_POLL_WEIGHT) have come.
const MAX_STEPS: usize = 64;

/// Interfaces that are told apart; those beyond are taken for one, whose packets are never copies
/// of each other. A machine full of containers has about 110.
const MAX_PLACES: usize = 128;

/// Bytes of a payload that are compared: headers of RTP, DNS and QUIC with their numbers, and some
/// of what follows.
const PAYLOAD_BYTES: usize = 16;

/// First bytes of a packet that hold all that is compared: an IPv4 header with options, and ports,
/// numbers and payload behind it.
const COMPARED: usize = 128;

/// LINKTYPE_LINUX_SLL, whose header does not say which interface it is, but what the interface made
/// of the packet.
const COOKED: LinkType = LinkType(113);

/// LINKTYPE_LINUX_SLL2, whose header has the number of the interface.
const COOKED_2: LinkType = LinkType(276);

/// Packet type of what the machine itself sends (`PACKET_OUTGOING`).
const OUTGOING: u16 = 4;

/// Where a packet was seen: the interface of the capture, and what a cooked header says of the one
/// behind it.
pub(super) type Place = u64;

/// No interface's number, which has 32 bits.
const NO_INTERFACE: u64 = u64::MAX;

/// Knows packets again.
#[derive(Debug)]
pub(super) struct Copies {
    /// The interface of which nothing is asked, as there is no other: all that a packet of it costs
    /// is this comparison.
    alone: u64,
    /// The only interface so far.
    only: Option<Place>,
    /// `None` while there is one interface.
    sights: Option<Box<Sights>>,
    natted: Natted,
}

impl Default for Copies {
    fn default() -> Self {
        Self { alone: NO_INTERFACE, only: None, sights: None, natted: Natted::default() }
    }
}

/// A packet that was seen before, on another interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    /// Bytes by which it is longer than what was counted: the headers of a tunnel around it.
    pub(super) more_bytes: u32,
}

impl Copies {
    /// The capture has several interfaces. Else this shows with the first packet of the second one,
    /// and the packets that were on their way between the two just then are counted on both.
    pub(super) fn expect(&mut self) {
        self.alone = NO_INTERFACE;
        self.sights.get_or_insert_default();
    }

    /// Whether all packets until now, and this one, are of one interface.
    #[inline]
    pub(super) fn is_alone(&self, packet: &CapturedPacket<'_>) -> bool {
        self.alone == u64::from(packet.interface)
    }

    /// Whether packets come from several interfaces.
    pub(super) fn has_several(&self) -> bool {
        self.sights.is_some()
    }

    /// The packet as it was on the other side of a translator, where that was seen first.
    #[inline]
    pub(super) fn as_first<'a>(&mut self, ip: &IpPacket<'a>) -> Option<IpPacket<'a>> {
        self.natted.as_first(ip)
    }

    /// Whether a packet was seen before on another interface. `first`: what [`Self::as_first`]
    /// gave.
    #[inline(never)]
    pub(super) fn look(
        &mut self,
        packet: &CapturedPacket<'_>,
        ip: &IpPacket<'_>,
        first: Option<&IpPacket<'_>>,
    ) -> Option<Copy> {
        let place = passage_of(packet);
        let is_only = place == *self.only.get_or_insert(place);
        // Whoever writes cooked headers mostly captures on all interfaces.
        if self.sights.is_none() && is_only && !matches!(packet.link_type, COOKED | COOKED_2) {
            self.alone = packet.interface.into();
            return None;
        }
        self.expect();
        let inner = packet.data.get(ip.inner_at as usize..)?;
        let patched = first.and_then(ends).map(|ends| with_ends(inner, ends));
        let as_first = patched.as_ref().and_then(|(bytes, len)| bytes.get(..*len)).unwrap_or(inner);
        let copy = self.sights.as_mut()?.look(packet, place, ip.ip_bytes, as_first);
        let is_known = first.is_some();
        let mut is_second = || self.natted.is_second((packet.ts, place), (ip, is_known), inner);
        copy.or_else(|| is_second().map(|more_bytes| Copy { more_bytes }))
    }
}

/// The interface that a packet passed, as far as the capture tells: of cooked headers of version 1
/// it is only known of which kind it was.
pub(super) fn place_of(packet: &CapturedPacket<'_>) -> Place {
    let behind = match packet.link_type {
        COOKED => cooked_kind(packet).1.into(),
        _ => cooked_index(packet),
    };
    (u64::from(behind) << 32) | u64::from(packet.interface)
}

/// The same, and of cooked headers of version 1 whether the packet left by it: what a machine
/// passes on comes in by one interface and leaves by another.
fn passage_of(packet: &CapturedPacket<'_>) -> Place {
    let leaves = packet.link_type == COOKED && cooked_kind(packet).0 == OUTGOING;
    place_of(packet) | u64::from(leaves) << 63
}

/// What a cooked header of version 1 begins with: the packet's type, and the interface's.
#[inline]
fn cooked_kind(packet: &CapturedPacket<'_>) -> (u16, u16) {
    let mut at = Cursor::new(packet.data);
    (at.be_u16().unwrap_or(0), at.be_u16().unwrap_or(0))
}

/// The number of the interface in a cooked header of version 2; 0 without one.
#[inline]
pub(super) fn cooked_index(packet: &CapturedPacket<'_>) -> u32 {
    let mut at = Cursor::new(packet.data);
    match packet.link_type {
        COOKED_2 => at.skip(4).and_then(|()| at.be_u32()).unwrap_or(0),
        _ => 0,
    }
}

/// The packets of the last moments, the latest of each bucket first.
#[derive(Debug)]
struct Sights {
    hasher: RandomState,
    places: Vec<Place>,
    /// The sight with number `n` stands at `n % SIGHTS` until it is the oldest.
    ring: Vec<Sight>,
    /// Number of the latest sight of each bucket; 0 for none.
    latest: Vec<u64>,
    /// Number of the next sight.
    next: u64,
}

/// One packet, on one or more interfaces.
#[derive(Debug, Clone, Copy)]
struct Sight {
    fingerprint: u64,
    /// When it was seen first.
    ts: UnixNanos,
    /// Where, one bit for each of [`Sights::places`].
    places: u128,
    /// The sight before it in the same bucket.
    before: u64,
    /// Bytes that were counted.
    bytes: u32,
}

impl Default for Sights {
    fn default() -> Self {
        Self { hasher: RandomState::default(), places: Vec::new(), ring: Vec::new(), latest: vec![0; BUCKETS], next: 1 }
    }
}

impl Sights {
    fn look(&mut self, packet: &CapturedPacket<'_>, place: Place, bytes: u32, inner: &[u8]) -> Option<Copy> {
        let (ts, Print { hash: fingerprint, is_single }) = (packet.ts, fingerprint(&self.hasher, inner)?);
        let is_untold = is_single && packet.link_type == COOKED;
        let here = self.bit_of(place);
        let bucket = fingerprint as usize % BUCKETS;
        let mut number = self.latest.get(bucket).copied().unwrap_or(0);
        for _ in 0..MAX_STEPS {
            let Some(sight) = self.at(number) else { break };
            let age_ns = ts.since(sight.ts);
            if age_ns > WINDOW_NS {
                break; // as are those before it
            }
            let is_elsewhere = sight.places & here == 0 || is_untold && age_ns.abs() <= UNTOLD_NS;
            if sight.fingerprint == fingerprint && is_elsewhere && age_ns >= -WINDOW_NS {
                sight.places |= here;
                let more_bytes = bytes.saturating_sub(sight.bytes);
                sight.bytes += more_bytes;
                return Some(Copy { more_bytes });
            }
            number = sight.before;
        }
        self.remember(bucket, Sight { fingerprint, ts, places: here, before: 0, bytes });
        None
    }

    /// The sight with this number, if it is still there.
    fn at(&mut self, number: u64) -> Option<&mut Sight> {
        let is_there = number != 0 && self.next.saturating_sub(number) <= SIGHTS as u64;
        self.ring.get_mut(number as usize % SIGHTS).filter(|_| is_there)
    }

    fn remember(&mut self, bucket: usize, sight: Sight) {
        let number = self.next;
        self.next += 1;
        let before = self.latest.get_mut(bucket).map_or(0, |latest| std::mem::replace(latest, number));
        let sight = Sight { before, ..sight };
        if self.ring.is_empty() {
            // Numbers begin at 1: the first place is taken last.
            self.ring.reserve_exact(SIGHTS);
            self.ring.push(sight);
        }
        match self.ring.get_mut(number as usize % SIGHTS) {
            Some(place) => *place = sight,
            None => self.ring.push(sight),
        }
    }

    fn bit_of(&mut self, place: Place) -> u128 {
        let known = self.places.iter().position(|p| *p == place);
        let at = known.unwrap_or_else(|| {
            if self.places.len() < MAX_PLACES {
                self.places.push(place);
            }
            self.places.len() - 1
        });
        1 << at
    }
}

/// What tells a packet from others.
struct Print {
    hash: u64,
    /// No sender gives two packets of a moment the same one.
    is_single: bool,
}

/// What is compared of an IP packet, header first, as far as it was captured; `None` where too
/// little was.
fn fingerprint(hasher: &RandomState, packet: &[u8]) -> Option<Print> {
    let mut hash = hasher.build_hasher();
    let mut words = |words: &[u64]| words.iter().for_each(|word| hash.write_u64(*word));
    let (proto, later_fragment, body, id) = match packet.first()? >> 4 {
        4 => {
            let [first, _, l0, l1, i0, i1, f0, f1, _, proto, _, _, ends @ ..] = *packet.first_chunk::<20>()?;
            words(&[u64::from_be_bytes([l0, l1, i0, i1, f0, f1, 0, proto]), u64::from_be_bytes(ends)]);
            let header_len = usize::from(first & 0x0f) * 4;
            let body_len = usize::from(u16::from_be_bytes([l0, l1])).checked_sub(header_len);
            let is_later = u16::from_be_bytes([f0, f1]) & 0x1fff != 0;
            let id = u16::from_be_bytes([i0, i1]);
            (proto, is_later, without_padding(packet.get(header_len..)?, body_len), id)
        }
        _ => {
            let (head, body) = packet.split_first_chunk::<40>()?;
            let [_, c1, c2, c3, l0, l1, proto, _, ends @ ..] = *head;
            words(&[u64::from_be_bytes([0, c1 & 0x0f, c2, c3, l0, l1, 0, proto])]);
            ends.as_chunks::<8>().0.iter().for_each(|word| words(&[u64::from_be_bytes(*word)]));
            let body_len = Some(u16::from_be_bytes([l0, l1]).into()).filter(|length| *length > 0);
            (proto, false, without_padding(body, body_len), 0)
        }
    };
    // Behind a header of which nothing was captured no two packets can be told apart.
    body.first()?;
    let (head, payload) = match (proto, later_fragment) {
        (6, false) => (body.get(..16).unwrap_or(body), &[][..]),
        (17, false) => (body.get(..6).unwrap_or(body), body.get(8..).unwrap_or_default()),
        _ => (body.get(..8).unwrap_or(body), body.get(8..).unwrap_or_default()),
    };
    hash.write(head);
    hash.write(payload.get(..PAYLOAD_BYTES).unwrap_or(payload));
    // An identification of 0 is none (RFC 6864 section 4.1). Acknowledgements without data are
    // repeated, data is not.
    let has_data = proto == 6 && body.get(12).is_some_and(|offset| body.len() > usize::from(offset >> 4) * 4);
    Some(Print { hash: hash.finish(), is_single: id != 0 || has_data && !later_fragment })
}

/// The first bytes of a packet, with these addresses and ports in the place of its own.
fn with_ends(packet: &[u8], (src, dst): (End, End)) -> ([u8; COMPARED], usize) {
    let mut bytes = [0; COMPARED];
    let len = packet.len().min(COMPARED);
    if let (Some(to), Some(from)) = (bytes.get_mut(..len), packet.get(..len)) {
        to.copy_from_slice(from);
    }
    // Of IPv6 the header of a fragment stands before the ports.
    let is_in_pieces = packet.get(6) == Some(&44);
    let mut put = |at: usize, value: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    };
    let body = match (src.0, dst.0) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            put(12, &src.octets());
            put(16, &dst.octets());
            usize::from(packet.first().map_or(0, |first| first & 0x0f)) * 4
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            put(8, &src.octets());
            put(24, &dst.octets());
            if is_in_pieces { 40 + 8 } else { 40 }
        }
        _ => return (bytes, len),
    };
    put(body, &src.1.to_be_bytes());
    put(body + 2, &dst.1.to_be_bytes());
    (bytes, len)
}

/// The body of a packet without what the frame has behind it: short frames are padded on some
/// links.
fn without_padding(body: &[u8], stated: Option<usize>) -> &[u8] {
    stated.and_then(|length| body.get(..length)).unwrap_or(body)
}
