//! UDP datagrams that IP carried in fragments, put together again: of DNS, and of hellos.
//!
//! Large answers (DNSSEC, long TXT) come so where EDNS allows it. Only what begins on a port of
//! DNS, or like a hello, is kept, save for a handful of later fragments that came before their
//! first one.

use super::Passage;
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use crate::wire::{Fragment, Udp};
use crate::work;
use std::net::IpAddr;

/// Most datagrams that are waited for. The fragments of one leave together, so few overlap; at 64
/// KiB each this is 1 MiB.
const MAX_DATAGRAMS: usize = 16;

/// Most pieces of one datagram: 64 KiB in fragments of the smallest MTU of IPv6 are 53. A sender
/// who cuts finer is not waited for.
const MAX_PIECES: usize = 64;

/// Most later fragments kept before their first one is seen, and the longest of them (a jumbo
/// frame).
const MAX_EARLY: usize = 8;
const MAX_EARLY_LEN: usize = 9_000;

/// How long a datagram is waited for: the upper value of RFC 1122 section 3.3.2 is two minutes, of
/// Linux 30 s.
const LIFETIME_NS: i64 = 30 * NANOS_PER_SECOND;

/// Bytes of a UDP header, which offsets count in.
const UDP_HEADER_LEN: usize = 8;

/// What the fragments of a datagram have in common.
type Key = (IpAddr, IpAddr, u32);

#[derive(Debug)]
struct Datagram {
    key: Key,
    passage: Passage,
    /// The payload, zeros where it is missing.
    payload: Vec<u8>,
    /// Parts that are there (from, to), not overlapping.
    pieces: Vec<(usize, usize)>,
}

#[derive(Debug)]
struct Early {
    key: Key,
    ts: UnixNanos,
    fragment: Fragment,
    bytes: Vec<u8>,
}

/// Datagrams in pieces, oldest first.
#[derive(Debug, Default)]
pub(in crate::names) struct Fragments {
    datagrams: Vec<Datagram>,
    early: Vec<Early>,
}

impl Fragments {
    /// Takes a first fragment. Gives the datagram if it is thereby complete.
    pub(in crate::names) fn first(&mut self, passage: &Passage, id: u32, udp: &Udp<'_>) -> Option<(Passage, Vec<u8>)> {
        let key = (passage.src.ip(), passage.dst.ip(), id);
        self.expire(passage.ts);
        self.datagrams.retain(|datagram| datagram.key != key);
        let len = usize::try_from(udp.payload_len).ok().filter(|len| *len <= usize::from(u16::MAX))?;
        if udp.payload.len() >= len {
            return None; // whole by itself, and read as such (atomic fragment, RFC 6946)
        }
        if self.datagrams.len() >= MAX_DATAGRAMS {
            self.datagrams.remove(0);
        }
        let mut datagram = Datagram { key, passage: *passage, payload: vec![0; len], pieces: Vec::new() };
        datagram.put(0, udp.payload)?;
        self.datagrams.push(datagram);
        let (mine, others) = std::mem::take(&mut self.early).into_iter().partition(|early| early.key == key);
        self.early = others;
        let mine: Vec<Early> = mine;
        mine.into_iter().find_map(|early| self.later(key, passage.ts, early.fragment, &early.bytes))
    }

    /// Takes a fragment that is not the first. Gives the datagram if it is thereby complete.
    pub(in crate::names) fn later(
        &mut self,
        key: Key,
        ts: UnixNanos,
        fragment: Fragment,
        bytes: &[u8],
    ) -> Option<(Passage, Vec<u8>)> {
        self.expire(ts);
        let Some(index) = self.datagrams.iter().position(|datagram| datagram.key == key) else {
            self.keep_early(key, ts, fragment, bytes);
            return None;
        };
        let datagram = self.datagrams.get_mut(index)?;
        let at = usize::try_from(fragment.offset_bytes).ok()?.checked_sub(UDP_HEADER_LEN)?;
        let kept = datagram.put(at, bytes);
        if kept.is_none() || datagram.is_complete() {
            let datagram = self.datagrams.remove(index);
            return kept.map(|()| (Passage { ts, ..datagram.passage }, datagram.payload));
        }
        None
    }

    fn keep_early(&mut self, key: Key, ts: UnixNanos, fragment: Fragment, bytes: &[u8]) {
        if bytes.len() > MAX_EARLY_LEN {
            return;
        }
        // The memory of the oldest is used again: heavy traffic in fragments costs a copy, no
        // allocation.
        let mut kept = if self.early.len() >= MAX_EARLY { self.early.remove(0).bytes } else { Vec::new() };
        kept.clear();
        kept.extend_from_slice(bytes);
        self.early.push(Early { key, ts, fragment, bytes: kept });
    }

    fn expire(&mut self, now: UnixNanos) {
        work::steps(self.datagrams.len() + self.early.len());
        self.datagrams.retain(|datagram| now.since(datagram.passage.ts).saturating_abs() <= LIFETIME_NS);
        self.early.retain(|early| now.since(early.ts).saturating_abs() <= LIFETIME_NS);
    }
}

impl Datagram {
    /// Writes `bytes` at `at`. A repetition changes nothing; `None` if it overlaps otherwise
    /// (forged: RFC 5722), reaches beyond the end, or is one piece too many.
    fn put(&mut self, at: usize, bytes: &[u8]) -> Option<()> {
        let end = at.checked_add(bytes.len())?;
        if bytes.is_empty() || self.pieces.contains(&(at, end)) {
            return Some(());
        }
        let overlaps = self.pieces.iter().any(|(from, to)| at < *to && *from < end);
        if overlaps || self.pieces.len() >= MAX_PIECES {
            return None;
        }
        self.payload.get_mut(at..end)?.copy_from_slice(bytes);
        self.pieces.push((at, end));
        Some(())
    }

    fn is_complete(&self) -> bool {
        self.pieces.iter().map(|(from, to)| to - from).sum::<usize>() == self.payload.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(ts: i64) -> Passage {
        let [src, dst] = ["9.9.9.9:53", "10.0.0.2:4000"].map(|a| a.parse().unwrap());
        Passage { ts: UnixNanos(ts), src, dst, from_client: false }
    }

    fn key(id: u32) -> Key {
        (passage(0).src.ip(), passage(0).dst.ip(), id)
    }

    fn first(f: &mut Fragments, id: u32, payload: &[u8], payload_len: u32) -> Option<Vec<u8>> {
        let udp = Udp { src_port: 53, dst_port: 4_000, payload, payload_len };
        f.first(&passage(0), id, &udp).map(|(_, payload)| payload)
    }

    fn later(f: &mut Fragments, id: u32, at: u32, bytes: &[u8]) -> Option<Vec<u8>> {
        let fragment = Fragment { id, offset_bytes: at + 8, more: true };
        f.later(key(id), UnixNanos(1), fragment, bytes).map(|(_, payload)| payload)
    }

    #[test]
    fn fragments_in_any_order_give_the_datagram() {
        let mut f = Fragments::default();
        assert_eq!(first(&mut f, 1, b"abcdefgh", 18), None);
        assert_eq!(later(&mut f, 1, 16, b"qr"), None);
        assert_eq!(later(&mut f, 1, 16, b"qr"), None); // a repetition
        assert_eq!(later(&mut f, 2, 8, b"other id"), None);
        assert_eq!(later(&mut f, 1, 8, b"ijklmnop").unwrap(), b"abcdefghijklmnopqr");
        // Backwards, the first fragment last.
        assert_eq!(later(&mut f, 3, 16, b"qr"), None);
        assert_eq!(later(&mut f, 3, 8, b"ijklmnop"), None);
        assert_eq!(first(&mut f, 3, b"abcdefgh", 18).unwrap(), b"abcdefghijklmnopqr");
        assert!(f.datagrams.is_empty());
    }

    #[test]
    fn overlapping_and_overlong_fragments_end_the_wait() {
        for (at, bytes) in [(7, &b"xijklmnop"[..]), (8, b"ijklmnopq")] {
            let mut f = Fragments::default();
            first(&mut f, 1, b"abcdefgh", 16);
            assert_eq!(later(&mut f, 1, at, bytes), None);
            assert_eq!(later(&mut f, 1, 8, b"ijklmnop"), None);
        }
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_time() {
        let mut f = Fragments::default();
        for id in 0..1_000 {
            first(&mut f, id, b"abcdefgh", 65_000);
            later(&mut f, 10_000 + id, 8, &[0; 1_480]);
        }
        assert_eq!((f.datagrams.len(), f.early.len()), (MAX_DATAGRAMS, MAX_EARLY));
        for piece in 0..=MAX_PIECES as u32 {
            later(&mut f, 999, 8 + 16 * piece, b"12345678");
        }
        assert_eq!(f.datagrams.len(), MAX_DATAGRAMS - 1);
        f.expire(UnixNanos(LIFETIME_NS + 2));
        assert_eq!((f.datagrams.len(), f.early.len()), (0, 0));
    }
}
