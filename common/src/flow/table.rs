//! The bounded flow table: fixed memory whatever arrives.

use super::Flow;
use crate::names::finder::Search;
use crate::observe::Usage;
use crate::time::NANOS_PER_SECOND;
use crate::wire;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;

/// Most places of the index that are taken at once; tables that are larger grow.
const INDEX_AT_ONCE: usize = 65_536;

/// Flows that are found by a guess: as many as have packets at the same time on a busy link.
const LATELY: usize = 2_048;

/// No slot: end of a list.
const NONE: u32 = u32::MAX;

/// A 5-tuple without direction: the lower end (by address, then port) comes first. IPv4 and IPv6
/// never collide.
#[derive(Debug, Clone, Copy, Eq)]
pub(crate) struct FlowKey([u64; 5]);

impl PartialEq for FlowKey {
    /// Word by word: what is derived for an array calls `memcmp`, at 5 % of the time of a packet,
    /// and an iterator is not inlined across units of the compiler.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let ([a, b, c, d, e], [f, g, h, i, j]) = (self.0, other.0);
        (a ^ f) | (b ^ g) | (c ^ h) | (d ^ i) | (e ^ j) == 0
    }
}

impl Hash for FlowKey {
    /// Word by word: what is derived for an array hashes a slice of bytes, with a call and a loop.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|word| state.write_u64(*word));
    }
}

/// Which end of a [`FlowKey`] sent a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Low,
    High,
}

#[inline]
fn words(address: &IpAddr) -> (u64, u64, u64) {
    match address {
        IpAddr::V4(a) => (0, u64::from(u32::from(*a)), 0),
        IpAddr::V6(a) => {
            let bits = u128::from(*a);
            ((bits >> 64) as u64, bits as u64, 1)
        }
    }
}

impl FlowKey {
    /// The key of a packet, and the end that sent it.
    #[inline]
    pub(crate) fn of((src, src_port): (&IpAddr, u16), (dst, dst_port): (&IpAddr, u16), proto: u8) -> (Self, Side) {
        let (s1, s0, v6) = words(src);
        let (d1, d0, _) = words(dst);
        Self::of_words(((s1, s0), src_port), ((d1, d0), dst_port), (proto, v6))
    }

    /// The same of addresses as they stand in a packet.
    #[inline(always)]
    pub(crate) fn of_bytes(ends: &wire::Ends<'_>, (src_port, dst_port): (u16, u16), proto: u8) -> (Self, Side) {
        match *ends {
            wire::Ends::V4(src, dst) => {
                let [src, dst] = [src, dst].map(|a| (0, u64::from(u32::from_be_bytes(*a))));
                Self::of_words((src, src_port), (dst, dst_port), (proto, 0))
            }
            wire::Ends::V6(src, dst) => {
                let [src, dst] = [src, dst].map(|a| u128::from_be_bytes(*a)).map(|a| ((a >> 64) as u64, a as u64));
                Self::of_words((src, src_port), (dst, dst_port), (proto, 1))
            }
        }
    }

    #[inline(always)]
    fn of_words(
        ((s1, s0), src_port): ((u64, u64), u16),
        ((d1, d0), dst_port): ((u64, u64), u16),
        (proto, v6): (u8, u64),
    ) -> (Self, Side) {
        let rest = (u64::from(proto) << 8) | v6;
        if (s1, s0, src_port) <= (d1, d0, dst_port) {
            let ports = (u64::from(src_port) << 48) | (u64::from(dst_port) << 32);
            (Self([s1, s0, d1, d0, ports | rest]), Side::Low)
        } else {
            let ports = (u64::from(dst_port) << 48) | (u64::from(src_port) << 32);
            (Self([d1, d0, s1, s0, ports | rest]), Side::High)
        }
    }
}

/// How long a flow may be silent, by what is known of it. Order = order of eviction when the table
/// is full, down to the share that a class keeps.
///
/// Four bytes wide for the sake of the numbers that stand for no class: by one of them the compiler
/// tells a slot that is free, and it takes the widest field for that. This one is beside what every
/// packet looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Class {
    /// TCP that ended (both FINs, or RST).
    Closed = 0,
    /// Packets of one side only: scans live here, and cannot push out what answers.
    Unanswered = 1,
    /// Answered, not TCP.
    Datagram = 2,
    /// Answered TCP.
    Stream = 3,
}

impl Class {
    const ALL: [Self; 4] = [Self::Closed, Self::Unanswered, Self::Datagram, Self::Stream];

    /// The part of a table of `limit` places that other classes cannot take from this one. Without
    /// one, a table full of idle connections would have no place for new flows but the last: each
    /// packet of two that begin together would push the other out. Guesses: a scan fills an eighth,
    /// and 8,192 beginnings are a second's worth of a large site.
    fn share(self, limit: usize) -> usize {
        match self {
            Self::Closed | Self::Stream => 0,
            Self::Unanswered => limit / 8,
            Self::Datagram => limit / 4,
        }
    }

    /// Time-outs: late TCP segments of an ended connection come within a minute (2 MSL in practice,
    /// RFC 9293 section 3.4.1); NAT boxes drop UDP after 2 to 5 minutes (RFC 4787 REQ-5) and idle
    /// TCP after about an hour or more (RFC 5382 REQ-5 asks for 2 h 4 min; 1 h keeps push
    /// connections with their name, as keep-alives come sooner).
    fn timeout_ns(self) -> i64 {
        NANOS_PER_SECOND
            * match self {
                Self::Closed => 60,
                Self::Unanswered => 120,
                Self::Datagram => 300,
                Self::Stream => 3600,
            }
    }
}

/// What a flow may ask for behind its name, and who is followed because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Asks {
    /// Nothing that can be seen.
    No,
    /// Beginnings of packets are looked at.
    MayAsk,
    /// All packets of the client are.
    ClientFollowed,
    /// All packets of the server are.
    ServerFollowed,
}

/// A flow in the table, with what is pending for the current interval. What every packet looks at
/// comes first and together, in two cache lines: with many flows each one is a miss.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Entry {
    key: FlowKey,
    class: Class,
    /// The client is the low end of the key.
    pub(crate) client_is_low: bool,
    /// FINs seen: bit 0 from the low end, bit 1 from the high end.
    pub(crate) fins: u8,
    /// Sides heard: bit 0 the client, bit 1 the server.
    pub(crate) sides: u8,
    /// Has a place in the list of flows used in this interval.
    pub(crate) touched: bool,
    /// The flow has the hardware address of its client, or was told without one: a flow stays what
    /// it was told to be, or whoever hears of it again would know less, or more, by where a segment
    /// began to define it anew. Here because every packet asks.
    pub(crate) mac_is_settled: bool,
    /// The flow has a name; likewise.
    pub(crate) has_name: bool,
    /// The connection id that its server chooses is of interest, and may come.
    pub(crate) wants_id: bool,
    /// Whether it may ask for other hosts than the one that named it.
    pub(crate) asks: Asks,
    /// `isn` is known.
    has_isn: bool,
    isn: u32,
    /// Sequence number of the request that parted it from the flow before; of QUIC a number for the
    /// connection id that named it. 0 where nothing did.
    pub(crate) asked_at: u32,
    pub(crate) pending: Usage,
    pub(crate) search: Search,
    last_ns: i64,
    prev: u32,
    next: u32,
    pub(crate) flow: Flow,
}

impl Entry {
    pub(crate) fn key(&self) -> FlowKey {
        self.key
    }

    /// Sequence number of the SYN that began it.
    pub(crate) fn isn(&self) -> Option<u32> {
        self.has_isn.then_some(self.isn)
    }

    /// Whether anything came from this end.
    pub(crate) fn has_sent(&self, side: Side) -> bool {
        self.sides & if self.client_is_low == (side == Side::Low) { 1 } else { 2 } != 0
    }

    /// Whether one more packet from this side changes nothing but what is pending: the flow is
    /// known to have moved something in this interval, this side was heard before, its client's
    /// hardware address is known, and no name is searched for.
    #[inline(always)]
    pub(crate) fn is_settled(&self, from_client: bool) -> bool {
        let side = if from_client { 1 } else { 2 };
        self.touched && self.sides & side != 0 && self.mac_is_settled && self.search.is_done()
    }

    /// Whether all packets of a side are looked at.
    #[inline(always)]
    pub(crate) fn is_followed(&self) -> bool {
        matches!(self.asks, Asks::ClientFollowed | Asks::ServerFollowed)
    }

    /// Whether it ended.
    #[inline(always)]
    pub(crate) fn is_closed(&self) -> bool {
        self.class == Class::Closed
    }

    pub(crate) fn set_isn(&mut self, isn: Option<u32>) {
        (self.has_isn, self.isn) = (isn.is_some(), isn.unwrap_or(0));
    }
}

#[derive(Debug, Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
    len: usize,
}

/// Flows by key, in four lists by class, each in order of last use.
#[derive(Debug)]
pub(crate) struct FlowTable {
    index: HashTable<u32>,
    hasher: RandomState,
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    lists: [List; 4],
    limit: usize,
    next_number: u64,
    /// Hash and slot of flows that had packets lately, by a part of the hash. A guess, which the
    /// key confirms: packets come in trains, and the index lies in two more places of the memory.
    lately: Vec<(u32, u32)>,
}

impl FlowTable {
    /// Flows in it.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// A table for at most `limit` flows (at least 1).
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            // At its full size at once: growing it would look at every flow. 5 bytes a place.
            index: HashTable::with_capacity(limit.clamp(1, INDEX_AT_ONCE)),
            hasher: RandomState::default(),
            // Likewise: only what is used takes memory, but to move it takes time.
            slots: Vec::with_capacity(limit.clamp(1, INDEX_AT_ONCE)),
            free: Vec::new(),
            lists: [List { head: NONE, tail: NONE, len: 0 }; 4],
            limit: limit.clamp(1, NONE as usize - 1),
            next_number: 0,
            lately: vec![(0, NONE); LATELY],
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.limit
    }

    #[inline(always)]
    pub(crate) fn find(&mut self, key: &FlowKey) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        let slots = &self.slots;
        let is_it = |slot: &u32| entry_of(slots, *slot).is_some_and(|e| e.key == *key);
        let (place, tag) = lately(hash);
        let guess = self.lately.get_mut(place)?;
        if !(guess.0 == tag && is_it(&guess.1)) {
            *guess = (tag, *self.index.find(hash, is_it)?);
        }
        Some(guess.1)
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&Entry> {
        entry_of(&self.slots, slot)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// The number of the next flow, which is used up by this.
    pub(crate) fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// Adds a flow, whose number is set here. The caller makes room first ([`Self::is_full`],
    /// [`Self::oldest`]).
    pub(crate) fn insert(&mut self, key: FlowKey, client_is_low: bool, mut flow: Flow, now_ns: i64) -> u32 {
        flow.number = self.take_number();
        let entry = Entry {
            mac_is_settled: flow.client_mac.is_some(),
            has_name: flow.name.is_some(),
            wants_id: false,
            asks: if flow.proto == super::TCP { Asks::MayAsk } else { Asks::No },
            flow,
            key,
            class: Class::Unanswered,
            client_is_low,
            fins: 0,
            sides: 0,
            has_isn: false,
            isn: 0,
            asked_at: 0,
            pending: Usage::default(),
            touched: false,
            search: Search::default(),
            last_ns: now_ns,
            prev: NONE,
            next: NONE,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.slots.get_mut(slot as usize) {
                    *place = Some(entry);
                }
                slot
            }
            None => {
                self.slots.push(Some(entry));
                // Cannot exceed u32: `limit` is below it.
                (self.slots.len() - 1) as u32
            }
        };
        let (hasher, slots, hash) = (&self.hasher, &self.slots, self.hasher.hash_one(key));
        self.index.insert_unique(hash, slot, |s| entry_of(slots, *s).map_or(0, |e| hasher.hash_one(e.key)));
        let (place, tag) = lately(hash);
        if let Some(guess) = self.lately.get_mut(place) {
            *guess = (tag, slot);
        }
        self.link(slot, Class::Unanswered);
        slot
    }

    /// Takes a flow out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Entry> {
        let key = self.get(slot)?.key;
        self.unlink(slot);
        if let Ok(found) = self.index.find_entry(self.hasher.hash_one(key), |s| *s == slot) {
            found.remove();
        }
        self.free.push(slot);
        self.slots.get_mut(slot as usize)?.take()
    }

    /// Notes that a flow was used at `now_ns`. To be called once per interval and flow, not per
    /// packet.
    pub(crate) fn refresh(&mut self, slot: u32, now_ns: i64) {
        let Some(entry) = self.get_mut(slot) else {
            return;
        };
        entry.last_ns = entry.last_ns.max(now_ns);
        let class = entry.class;
        self.unlink(slot);
        self.link(slot, class);
    }

    /// Moves a flow to another class.
    pub(crate) fn reclass(&mut self, slot: u32, class: Class) {
        if self.get(slot).is_some_and(|e| e.class != class) {
            self.unlink(slot);
            self.link(slot, class);
        }
    }

    pub(crate) fn class(&self, slot: u32) -> Option<Class> {
        self.get(slot).map(|e| e.class)
    }

    /// The flow to give up first when room is needed.
    pub(crate) fn oldest(&self) -> Option<u32> {
        let beyond_share = |(class, list): &(Class, &List)| list.len > class.share(self.limit);
        Class::ALL.into_iter().zip(&self.lists).find(beyond_share).map(|(_, list)| list.head)
    }

    /// A flow that has been silent for longer than its class allows, if there is one.
    pub(crate) fn expired(&self, now_ns: i64) -> Option<u32> {
        Class::ALL.into_iter().zip(&self.lists).find_map(|(class, list)| {
            let entry = self.get(list.head)?;
            (now_ns.saturating_sub(entry.last_ns) > class.timeout_ns()).then_some(list.head)
        })
    }

    fn link(&mut self, slot: u32, class: Class) {
        let Some(list) = self.lists.get_mut(class as usize) else {
            return;
        };
        let old_tail = std::mem::replace(&mut list.tail, slot);
        list.len += 1;
        if list.head == NONE {
            list.head = slot;
        }
        if let Some(before) = self.get_mut(old_tail) {
            before.next = slot;
        }
        if let Some(entry) = self.get_mut(slot) {
            (entry.class, entry.prev, entry.next) = (class, old_tail, NONE);
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Some(entry) = self.get(slot) else { return };
        let (class, prev, next) = (entry.class, entry.prev, entry.next);
        self.with_list(class, |list| list.len -= 1);
        match self.get_mut(prev) {
            Some(before) => before.next = next,
            None => self.with_list(class, |list| list.head = next),
        }
        match self.get_mut(next) {
            Some(after) => after.prev = prev,
            None => self.with_list(class, |list| list.tail = prev),
        }
    }

    fn with_list(&mut self, class: Class, set: impl FnOnce(&mut List)) {
        if let Some(list) = self.lists.get_mut(class as usize) {
            set(list);
        }
    }
}

/// Where a flow with this hash is remembered, and by what.
#[inline(always)]
fn lately(hash: u64) -> (usize, u32) {
    (hash as usize % LATELY, (hash >> 32) as u32)
}

#[inline]
fn entry_of(slots: &[Option<Entry>], slot: u32) -> Option<&Entry> {
    slots.get(slot as usize)?.as_ref()
}

#[cfg(test)]
mod tests;
