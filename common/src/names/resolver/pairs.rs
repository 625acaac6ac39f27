//! Queries remembered until their responses come.

use super::super::{NameKind, NameSeen, dns};
use super::Passage;
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use foldhash::fast::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;

/// How long a query may wait. Resolvers give up on a name after 10 to 30 s and answer with a
/// failure; a minute leaves room for captures merged from two clocks.
const LIFETIME_NS: i64 = 60 * NANOS_PER_SECOND;

/// Places in which one query may be: the oldest of them gives way.
const WAYS: usize = 4;

/// What is kept of a query: a hash of everything that its response repeats, and when. A hash of 0
/// is an empty place.
#[derive(Debug, Clone, Copy)]
struct Query {
    hash: u64,
    ts: UnixNanos,
}

const EMPTY: Query = Query { hash: 0, ts: UnixNanos(i64::MIN) };

/// A table of fixed size. A response does not take its query out: a second one (a repetition in the
/// capture, or a forged one that raced the true one) is paired just as well.
#[derive(Debug)]
pub(super) struct Pairs {
    sets: usize,
    hasher: RandomState,
    table: Vec<[Query; WAYS]>,
    /// Working space.
    graph: dns::Graph,
    answers: Vec<dns::Answer>,
}

impl Pairs {
    pub(super) fn new(queries: usize) -> Self {
        Self {
            sets: queries.div_ceil(WAYS).max(1),
            hasher: RandomState::default(),
            table: Vec::new(),
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
        let question = subject.as_ref().map(|subject| subject.hash);
        if let Some(query) = subject.filter(|subject| !subject.is_response) {
            self.remember(self.hash(query.hash, at.src, at.dst), at.ts);
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
        let complete = reading.answers(&mut self.answers);
        let is_paired = |known: &Self| question.is_some_and(|q| known.is_known(known.hash(q, at.dst, at.src), at.ts));
        if self.answers.is_empty() {
            // That there is no address is told only of what was asked: who makes it up takes a name
            // away.
            let nothing = if is_unicast { reading.nothing(complete) } else { None };
            let Some(dns::Nothing { name, chain, families }) = nothing.filter(|_| is_paired(self)) else { return };
            let (kind, addresses, asker_is_server) = (NameKind::DnsEmpty, families, at.from_client);
            let (ts, relayed) = (at.ts, false);
            seen.push(NameSeen { ts, kind, name, chain, addresses, asker_is_server, relayed });
            return;
        }
        let kind = if is_unicast && !is_paired(self) { NameKind::DnsUnpaired } else { kind };
        seen.extend(self.answers.drain(..).map(|answer| NameSeen {
            ts: at.ts,
            kind,
            name: answer.name,
            chain: answer.chain,
            addresses: answer.addresses,
            // The asker is the destination of the response.
            asker_is_server: at.from_client,
            relayed: false,
        }));
    }

    fn hash(&self, question: u64, asker: SocketAddr, server: SocketAddr) -> u64 {
        self.hasher.hash_one((question, asker, server)).max(1)
    }

    fn remember(&mut self, hash: u64, ts: UnixNanos) {
        if self.table.is_empty() {
            self.table = vec![[EMPTY; WAYS]; self.sets];
        }
        let index = self.index(hash);
        let Some(set) = self.table.get_mut(index) else { return };
        let same = set.iter().position(|query| query.hash == hash);
        let oldest = || set.iter().enumerate().min_by_key(|(_, query)| query.ts).map(|(i, _)| i);
        if let Some(place) = same.or_else(oldest).and_then(|i| set.get_mut(i)) {
            *place = Query { hash, ts };
        }
    }

    fn is_known(&self, hash: u64, ts: UnixNanos) -> bool {
        let set = self.table.get(self.index(hash)).into_iter().flatten();
        // Also a little later than its response: packets of two interfaces come out of order.
        set.into_iter().any(|query| query.hash == hash && ts.since(query.ts).saturating_abs() <= LIFETIME_NS)
    }

    fn index(&self, hash: u64) -> usize {
        // The remainder is below `sets`, which is a usize.
        usize::try_from(hash % self.sets as u64).unwrap_or(0)
    }
}
