//! The flow of fragments that do not show it (RFC 791 section 3.2, RFC 8200 section 4.5).
//!
//! Only the first fragment of a datagram shows ports. Later ones are booked where it was. Those
//! that come before it wait for it for a moment, and are booked without ports if it does not come.

use crate::packet::Spot;
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use crate::wire::{Datagram, Fragment, IpPacket, Mac, Tcp, Transport};
use crate::work;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Datagrams in pieces remembered at a time, of which the first fragment was seen. Fragments of one
/// datagram come back to back; a few hundred cover even a busy link that carries nothing else, and
/// a flood of fragments costs no more.
const LIMIT: usize = 256;

/// A datagram is forgotten after this time: reassembly time-outs are 30 to 60 s (RFC 1122 section
/// 3.3.2, RFC 8200).
const TIMEOUT_NS: i64 = 30 * NANOS_PER_SECOND;

/// Fragments that wait for their first one at a time. The largest datagram has 45 at an MTU of
/// 1,500.
const EARLY_LIMIT: usize = 256;

/// How long they wait: senders that begin with the last fragment send the first one right behind,
/// and networks that exchange packets do so within milliseconds. What waits longer is booked a
/// second late at most.
const EARLY_NS: i64 = NANOS_PER_SECOND;

/// Bytes of waiting fragments that are kept, so that a name in them is found: a few hellos. Without
/// bytes they wait all the same.
const EARLY_BYTES: usize = 256 * 1024;

/// A 5-tuple as a packet shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FiveTuple {
    pub(crate) src: (IpAddr, u16),
    pub(crate) dst: (IpAddr, u16),
    pub(crate) proto: u8,
}

/// Bytes of a TCP header up to and including its flags (RFC 9293 section 3.1).
const TCP_FLAGS_END: usize = 14;

/// What the first fragment of a datagram shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct First {
    /// In a tunnel that of the packet inside.
    pub(crate) flow: FiveTuple,
    /// Where the datagram is a TCP segment, or carries one.
    tcp: Option<Header>,
    /// Bytes of the datagram before what `flow` says, which offsets count.
    inside_bytes: u32,
}

/// The TCP header of a datagram in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    /// It goes on in the next fragment. Of 8 bytes are the shortest ones (RFC 791 section 3.2):
    /// they show the ports and this sequence number.
    Open { seq: u32 },
    /// Its length, and the sequence number of the first byte behind it.
    Whole { len: u32, seq: u32 },
}

impl Header {
    /// `len`: of the header. A SYN takes a number (RFC 9293 section 3.4).
    fn whole(seq: u32, flags: u8, len: u32) -> Self {
        Self::Whole { len, seq: seq.wrapping_add(u32::from(flags & Tcp::SYN != 0)) }
    }
}

impl First {
    pub(crate) fn of(ip: &IpPacket<'_>, flow: FiveTuple) -> Self {
        let tcp = match &ip.transport {
            Transport::Tcp(tcp) => match tcp.header_len {
                0 => Some(Header::Open { seq: tcp.seq }),
                len => Some(Header::whole(tcp.seq, tcp.flags, len.into())),
            },
            _ => None,
        };
        Self { flow, tcp, inside_bytes: ip.datagram.map_or(0, |datagram| datagram.inside_bytes) }
    }

    /// A later fragment, told as if no IPv6 extension header and no tunnel were part of the
    /// datagram.
    pub(crate) fn without_headers<'a>(&self, ip: &IpPacket<'a>) -> IpPacket<'a> {
        let shift = |part: Fragment| {
            let offset_bytes = part.offset_bytes.saturating_sub(self.inside_bytes);
            Fragment { offset_bytes, ..part }
        };
        let FiveTuple { src: (src, _), dst: (dst, _), proto } = self.flow;
        let datagram = ip.datagram.map(|datagram| Datagram { proto, ..datagram });
        IpPacket { src, dst, proto, datagram, fragment: ip.fragment.map(shift), ..*ip }
    }

    /// Whether extension headers, or a tunnel's, are part of the datagram.
    pub(crate) fn has_headers(&self) -> bool {
        self.inside_bytes > 0
    }

    /// Takes from a later fragment what the first one did not have of the TCP header.
    fn complete(&mut self, part: Fragment, bytes: &[u8]) {
        let Some(Header::Open { seq }) = self.tcp else { return };
        let Some(offset) = usize::try_from(part.offset_bytes.saturating_sub(self.inside_bytes)).ok() else { return };
        // The data offset is the first half of the byte before the flags.
        let Some(at) = (TCP_FLAGS_END - 2).checked_sub(offset) else { return };
        if let Some([data_offset, flags]) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            self.tcp = Some(Header::whole(seq, *flags, u32::from(data_offset >> 4) * 4));
        }
    }

    /// A later fragment of a TCP segment, as the segment that it would be by itself.
    pub(crate) fn segment<'a>(&self, part: Fragment, bytes: &'a [u8]) -> Option<Tcp<'a>> {
        let Some(Header::Whole { len, seq }) = self.tcp else { return None };
        // What is left of the header.
        let header = len.saturating_sub(part.offset_bytes);
        let bytes = bytes.get(usize::try_from(header).ok()?..)?;
        let seq = seq.wrapping_add(part.offset_bytes.saturating_sub(len));
        let payload_len = u32::try_from(bytes.len()).ok()?;
        let (src_port, dst_port) = (self.flow.src.1, self.flow.dst.1);
        Some(Tcp { src_port, dst_port, seq, flags: Tcp::ACK, header_len: 0, payload: bytes, payload_len })
    }
}

/// A fragment that came before the first one of its datagram.
#[derive(Debug)]
pub(crate) struct Early {
    /// When it came, and where it was seen.
    pub(crate) at: (UnixNanos, Spot),
    datagram: Datagram,
    part: Fragment,
    ip_bytes: u32,
    depth: u8,
    src_mac: Option<Mac>,
    dst_mac: Option<Mac>,
    bytes: Vec<u8>,
}

impl Early {
    /// `None` where the packet is no fragment, or shows more than one does.
    fn of(at: (UnixNanos, Spot), ip: &IpPacket<'_>, room: usize) -> Option<Self> {
        let (part, datagram, Transport::Other(bytes)) = (ip.fragment?, ip.datagram?, &ip.transport) else {
            return None;
        };
        let bytes = if bytes.len() <= room { bytes.to_vec() } else { Vec::new() };
        let IpPacket { ip_bytes, depth, src_mac, dst_mac, .. } = *ip;
        Some(Self { at, datagram, part, ip_bytes, depth, src_mac, dst_mac, bytes })
    }

    /// The packet again. Its notes were counted when it came.
    pub(crate) fn packet(&self) -> IpPacket<'_> {
        IpPacket {
            inner_at: 0,
            ip_bytes: self.ip_bytes,
            length_from_frame: false,
            src_mac: self.src_mac,
            dst_mac: self.dst_mac,
            src: self.datagram.src,
            dst: self.datagram.dst,
            proto: self.datagram.proto,
            fragment: Some(self.part),
            datagram: Some(self.datagram),
            transport: Transport::Other(&self.bytes),
            depth: self.depth,
            note: None,
        }
    }
}

/// What the fragments of one datagram share: addresses, protocol and identification (RFC 791
/// section 3.2). In IPv6 the protocol may differ from one to the next (RFC 8200 section 4.5).
type Key = (IpAddr, IpAddr, Option<u8>, u32);

fn key_of(datagram: &Datagram, part: Fragment) -> Key {
    let Datagram { src, dst, proto, .. } = *datagram;
    (src, dst, src.is_ipv4().then_some(proto), part.id)
}

/// What is known of a datagram.
#[derive(Debug)]
enum Known {
    First(UnixNanos, First),
    Early(Vec<Early>),
}

/// What to do with a fragment.
#[derive(Debug)]
pub(crate) enum Seen {
    /// It is the first one: book it, then these, which have waited for it, in the order of their
    /// places.
    First(First, Vec<Early>),
    /// It belongs where the first one was.
    Later(First),
    /// Nothing is known: it is booked as it is.
    Alone,
    /// It waits. These have waited long enough, or made room: they are booked as they are.
    Waits(Vec<Early>),
}

/// The datagrams of which fragments were seen.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    known: HashMap<Key, (u64, Known), RandomState>,
    /// Datagrams whose first fragment was seen, and those that wait for it, oldest first. A number
    /// says whether the key still means the same datagram.
    firsts: VecDeque<(Key, u64)>,
    earlies: VecDeque<(Key, u64, UnixNanos)>,
    last_number: u64,
    /// Fragments that wait, and their bytes.
    waiting: usize,
    waiting_bytes: usize,
}

impl Fragments {
    /// Sees a fragment at a time and in a place; `flow` is what the packet itself shows.
    pub(crate) fn see(&mut self, at: (UnixNanos, Spot), ip: &IpPacket<'_>, part: Fragment, flow: FiveTuple) -> Seen {
        let Some(datagram) = ip.datagram else { return Seen::Alone };
        let key = key_of(&datagram, part);
        if part.offset_bytes == 0 {
            let mut first = First::of(ip, flow);
            let mut early = self.take_early(&key);
            early.sort_by_key(|early| early.part.offset_bytes);
            early.iter().for_each(|early| first.complete(early.part, &early.bytes));
            self.learn(key, at.0, first);
            return Seen::First(first, early);
        }
        match self.known.get_mut(&key) {
            Some((_, Known::First(seen, first))) if at.0.since(*seen).saturating_abs() <= TIMEOUT_NS => {
                if let Transport::Other(bytes) = &ip.transport {
                    first.complete(part, bytes);
                }
                Seen::Later(*first)
            }
            _ => self.wait(key, at, ip),
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn learn(&mut self, key: Key, ts: UnixNanos, first: First) {
        let number = self.next_number();
        self.known.insert(key, (number, Known::First(ts, first)));
        self.firsts.push_back((key, number));
        if self.firsts.len() > LIMIT
            && let Some((oldest, number)) = self.firsts.pop_front()
            && self.known.get(&oldest).is_some_and(|(n, _)| *n == number)
        {
            self.known.remove(&oldest);
        }
    }

    fn wait(&mut self, key: Key, at: (UnixNanos, Spot), ip: &IpPacket<'_>) -> Seen {
        let mut done = self.expired(at.0);
        while self.waiting >= EARLY_LIMIT {
            match self.oldest_early() {
                Some(oldest) => done.extend(oldest),
                None => break,
            }
        }
        let Some(early) = Early::of(at, ip, EARLY_BYTES.saturating_sub(self.waiting_bytes)) else {
            return Seen::Alone;
        };
        (self.waiting, self.waiting_bytes) = (self.waiting + 1, self.waiting_bytes + early.bytes.len());
        match self.known.get_mut(&key) {
            Some((_, Known::Early(list))) => list.push(early),
            _ => {
                let number = self.next_number();
                self.known.insert(key, (number, Known::Early(vec![early])));
                if self.earlies.len() >= 2 * EARLY_LIMIT {
                    // Those whose first fragment came need no place; at most half of them are left.
                    work::steps(self.earlies.len());
                    let known = &self.known;
                    self.earlies.retain(|(key, number, _)| known.get(key).is_some_and(|(n, _)| n == number));
                }
                self.earlies.push_back((key, number, at.0));
            }
        }
        Seen::Waits(done)
    }

    /// Takes those out that have waited too long by `now`.
    pub(crate) fn expired(&mut self, now: UnixNanos) -> Vec<Early> {
        let mut done = Vec::new();
        while self.earlies.front().is_some_and(|(.., ts)| now.since(*ts).saturating_abs() > EARLY_NS) {
            done.extend(self.oldest_early().unwrap_or_default());
        }
        done
    }

    /// Takes all out that wait.
    pub(crate) fn take_waiting(&mut self) -> Vec<Early> {
        let mut done = Vec::new();
        while let Some(oldest) = self.oldest_early() {
            done.extend(oldest);
        }
        done
    }

    /// Takes the datagram out that waits longest; `None` if none does.
    fn oldest_early(&mut self) -> Option<Vec<Early>> {
        while let Some((key, number, _)) = self.earlies.pop_front() {
            work::step();
            if self.known.get(&key).is_some_and(|(n, _)| *n == number) {
                return Some(self.take_early(&key));
            }
        }
        None
    }

    /// Takes out what waits of a datagram.
    fn take_early(&mut self, key: &Key) -> Vec<Early> {
        if !matches!(self.known.get(key), Some((_, Known::Early(_)))) {
            return Vec::new();
        }
        let Some((_, Known::Early(list))) = self.known.remove(key) else { return Vec::new() };
        self.waiting -= list.len();
        self.waiting_bytes -= list.iter().map(|early| early.bytes.len()).sum::<usize>();
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> (IpAddr, IpAddr) {
        ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap())
    }

    fn flow(src_port: u16) -> FiveTuple {
        let (src, dst) = addresses();
        FiveTuple { src: (src, src_port), dst: (dst, 4000), proto: 17 }
    }

    /// The fragment at `offset` of datagram `id`.
    fn see(table: &mut Fragments, ns: i64, id: u32, offset_bytes: u32) -> Seen {
        let (src, dst) = addresses();
        let part = Fragment { id, offset_bytes, more: true };
        let ip = IpPacket {
            inner_at: 0,
            ip_bytes: 1500,
            length_from_frame: false,
            src_mac: None,
            dst_mac: None,
            src,
            dst,
            proto: 17,
            fragment: Some(part),
            datagram: Some(Datagram { src, dst, proto: 17, inside_bytes: 0 }),
            transport: Transport::Other(&[7; 1480]),
            depth: 1,
            note: None,
        };
        table.see((UnixNanos(ns), Spot::default()), &ip, part, flow(if offset_bytes == 0 { 53 } else { 0 }))
    }

    #[test]
    fn a_later_fragment_gets_the_flow_of_the_first_one_of_its_datagram_only() {
        let mut table = Fragments::default();
        assert!(
            matches!(see(&mut table, 0, 7, 0), Seen::First(first, early) if first.flow == flow(53) && early.is_empty())
        );
        assert!(matches!(see(&mut table, 5, 7, 1480), Seen::Later(first) if first.flow == flow(53)));
        assert!(matches!(see(&mut table, 5, 8, 1480), Seen::Waits(done) if done.is_empty()));
        assert!(matches!(see(&mut table, 31 * NANOS_PER_SECOND, 7, 1480), Seen::Waits(done) if done.len() == 1));
        for id in 0..1000 {
            see(&mut table, 32 * NANOS_PER_SECOND, id, 0);
        }
        assert!(table.firsts.len() == LIMIT && table.known.len() == LIMIT);
    }

    #[test]
    fn fragments_that_come_first_wait_for_the_first_one_of_their_datagram() {
        let mut table = Fragments::default();
        for (id, offset) in [(1, 2960), (2, 2960), (1, 1480), (2, 1480)] {
            assert!(matches!(see(&mut table, 0, id, offset), Seen::Waits(done) if done.is_empty()));
        }
        for id in [1, 2] {
            let Seen::First(_, early) = see(&mut table, 9, id, 0) else { panic!() };
            assert_eq!(early.iter().map(|e| e.part.offset_bytes).collect::<Vec<_>>(), [1480, 2960]);
            assert_eq!(early[0].packet().ip_bytes, 1500);
        }
        assert_eq!((table.waiting, table.waiting_bytes), (0, 0));
        assert!(matches!(see(&mut table, 9, 1, 4440), Seen::Later(_)));
    }

    #[test]
    fn what_waits_is_bounded_in_number_bytes_and_time_and_nothing_is_lost() {
        let mut table = Fragments::default();
        let mut out = 0;
        for id in 0..10_000 {
            // Some datagrams of many fragments, some of one.
            let Seen::Waits(done) = see(&mut table, i64::from(id), id / 3, 1480) else { panic!() };
            out += done.len();
            assert!(table.waiting <= EARLY_LIMIT && table.waiting_bytes <= EARLY_BYTES);
            assert!(table.known.len() <= EARLY_LIMIT && table.earlies.len() <= EARLY_LIMIT);
        }
        assert_eq!(out + table.waiting, 10_000);
        assert_eq!(table.expired(UnixNanos(EARLY_NS)).len(), 0);
        assert_eq!(out + table.expired(UnixNanos(EARLY_NS + 10_000)).len(), 10_000);
        assert_eq!((table.waiting, table.waiting_bytes, table.known.len()), (0, 0, 0));
        // Stale entries of the queue do not grow without bound.
        for id in 0..10_000 {
            see(&mut table, 0, id, 1480);
            see(&mut table, 0, id, 0);
        }
        assert!(table.earlies.len() <= 2 * EARLY_LIMIT, "{}", table.earlies.len());
        assert_eq!(table.take_waiting().len(), 0);
    }
}
