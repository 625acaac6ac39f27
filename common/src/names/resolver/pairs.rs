//! Queries remembered until their responses come.

use super::super::{Name, NameKind, NameSeen, dns};
use super::Passage;
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use foldhash::fast::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;

/// What a response to another query may differ in alone: id, question, server, the asker's port.
const MISSES: usize = 4;

/// How long a query may wait. Resolvers give up on a name after 10 to 30 s and answer with a
/// failure; a minute leaves room for captures merged from two clocks.
const LIFETIME_NS: i64 = 60 * NANOS_PER_SECOND;

/// Queries that wait to be put into the table of those that are nearly right: 10 KiB of them.
const MAX_WAITING: usize = 256;

/// Places in which one query may be: the oldest of them gives way.
const WAYS: usize = 4;

/// What is kept of a query: a hash of what its response repeats, and when. A hash of 0 is an empty
/// place.
#[derive(Debug, Clone, Copy)]
struct Query {
    hash: u64,
    ts: UnixNanos,
}

const EMPTY: Query = Query { hash: 0, ts: UnixNanos(i64::MIN) };

/// Tables of fixed size. A response does not take its query out: a second one (a repetition in the
/// capture, or a forged one that raced the true one) is paired just as well.
#[derive(Debug)]
pub(super) struct Pairs {
    hasher: RandomState,
    queries: Table,
    /// Queries without one of the things that a response repeats.
    nearly: Table,
    /// What is not in that table yet. Its places lie far from each other in memory: many in a row
    /// are waited for together, and few answers ask for them.
    waiting: Vec<([u64; MISSES], UnixNanos)>,
    /// Public names of ECH that nobody has taken yet.
    pub(super) public_names: Vec<Name>,
    /// Working space.
    graph: dns::Graph,
    answers: Vec<dns::Answer>,
}

impl Pairs {
    pub(super) fn new(queries: usize) -> Self {
        Self {
            hasher: RandomState::default(),
            queries: Table::new(queries),
            nearly: Table::new(queries.saturating_mul(MISSES)),
            waiting: Vec::new(),
            public_names: Vec::new(),
            graph: dns::Graph::default(),
            answers: Vec::new(),
        }
    }

    /// Takes a message: remembers a query and adds the name that it asks an address for to `seen`,
    /// or what a response teaches.
    pub(super) fn message(&mut self, at: &Passage, kind: NameKind, bytes: &[u8], seen: &mut Vec<NameSeen>) {
        let is_unicast = kind == NameKind::Dns;
        let Some(mut reading) = dns::Reading::begin(bytes, &mut self.graph) else { return };
        let subject = if is_unicast { reading.subject(&self.hasher) } else { None };
        let about = subject.as_ref().map(|subject| (subject.id, subject.question));
        if let Some(query) = subject.filter(|subject| !subject.is_response) {
            let about = (query.id, query.question);
            self.queries.remember(self.hasher.hash_one((about, at.src, at.dst)), at.ts);
            self.waiting.push((misses(&self.hasher, about, at.src, at.dst), at.ts));
            if self.waiting.len() >= MAX_WAITING {
                settle(&mut self.nearly, &mut self.waiting);
            }
            seen.extend(query.asked.map(|name| NameSeen {
                ts: at.ts,
                kind: NameKind::DnsQuery,
                name,
                chain: Vec::new(),
                addresses: Vec::new(),
                asker_is_server: !at.from_client,
                relayed: false,
            }));
            return;
        }
        let is_known = |hash| self.queries.knows(hash, at.ts);
        let is_paired = about.is_some_and(|about| is_known(self.hasher.hash_one((about, at.dst, at.src))));
        if !is_paired && about.is_some() {
            settle(&mut self.nearly, &mut self.waiting);
        }
        // Nobody takes it for the response to that query (RFC 5452 section 9.1). The response to
        // one that was forgotten is beside it in every way.
        let is_beside = |hash: &&u64| self.nearly.knows(**hash, at.ts);
        let is_forged = |about| misses(&self.hasher, about, at.dst, at.src).iter().filter(is_beside).count() == 1;
        let is_forged = !is_paired && about.is_some_and(is_forged);
        let complete = reading.answers(&mut self.answers);
        if is_paired {
            self.public_names.extend(reading.public_names());
        }
        // That there is no address is told only of what was asked: who makes it up takes a name
        // away.
        let has_answer = self.answers.iter().any(|answer| answer.is_asked);
        let nothing = if is_unicast && is_paired && !has_answer { reading.nothing(complete) } else { None };
        let response_kind = if is_unicast && !is_paired { NameKind::DnsUnpaired } else { kind };
        // The asker is the destination of the response.
        let (ts, asker_is_server) = (at.ts, at.from_client);
        seen.extend(nothing.map(|dns::Nothing { name, chain, families }| {
            let (kind, addresses) = (NameKind::DnsEmpty, families);
            NameSeen { ts, kind, name, chain, addresses, asker_is_server, relayed: false }
        }));
        seen.extend(self.answers.drain(..).map(|answer| {
            let relayed = is_forged || is_unicast && !answer.is_asked;
            let kind = if relayed { NameKind::DnsUnpaired } else { response_kind };
            let dns::Answer { name, chain, addresses, .. } = answer;
            NameSeen { ts, kind, name, chain, addresses, asker_is_server, relayed }
        }));
    }
}

/// Puts what waits into its table, in the order in which it came.
fn settle(nearly: &mut Table, waiting: &mut Vec<([u64; MISSES], UnixNanos)>) {
    for (hashes, ts) in waiting.drain(..) {
        hashes.iter().for_each(|hash| nearly.remember(*hash, ts));
    }
}

/// A query, each time without one of the things that its response repeats.
fn misses(hasher: &RandomState, (id, question): (u16, u64), asker: SocketAddr, server: SocketAddr) -> [u64; MISSES] {
    [
        hasher.hash_one((0u8, question, asker, server)),
        hasher.hash_one((1u8, id, asker, server)),
        hasher.hash_one((2u8, id, question, asker)),
        hasher.hash_one((3u8, id, question, asker.ip(), server)),
    ]
}

/// The places in which one query may be.
#[derive(Debug, Clone)]
struct Set([Query; WAYS]);

/// Hashes and when each was seen last, in a fixed number of places.
#[derive(Debug)]
struct Table {
    sets: usize,
    table: Vec<Set>,
}

impl Table {
    fn new(places: usize) -> Self {
        Self { sets: places.div_ceil(WAYS).max(1), table: Vec::new() }
    }

    fn remember(&mut self, hash: u64, ts: UnixNanos) {
        let hash = hash.max(1);
        if self.table.is_empty() {
            self.table = vec![Set([EMPTY; WAYS]); self.sets];
        }
        let index = self.index(hash);
        let Some(Set(set)) = self.table.get_mut(index) else { return };
        let (mut place, mut is_same, mut oldest) = (0, false, UnixNanos(i64::MAX));
        // Without a branch: it would be guessed wrong, and what follows would wait for the memory
        // that this place is in.
        for (way, query) in set.iter().enumerate() {
            let same = query.hash == hash;
            let is_better = !is_same & (same | (query.ts < oldest));
            place = if is_better { way } else { place };
            oldest = if is_better { query.ts } else { oldest };
            is_same |= same;
        }
        if let Some(place) = set.get_mut(place) {
            *place = Query { hash, ts };
        }
    }

    fn knows(&self, hash: u64, ts: UnixNanos) -> bool {
        let hash = hash.max(1);
        let set = self.table.get(self.index(hash)).map_or(&[][..], |set| &set.0);
        // Also a little later than its response: packets of two interfaces come out of order.
        set.iter().any(|query| query.hash == hash && ts.since(query.ts).saturating_abs() <= LIFETIME_NS)
    }

    fn index(&self, hash: u64) -> usize {
        // As much of `sets` as the hash is of all hashes: a division takes longer.
        ((u128::from(hash) * self.sets as u128) >> 64) as usize
    }
}
