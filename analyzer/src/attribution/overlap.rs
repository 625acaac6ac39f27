//! The same traffic in two sources: a live recording and a capture of the same link, pieces of a
//! ring that overlap, a capture and its twin that was cut shorter. Packets are not at hand any
//! more; what is compared is what each flow moved in each interval.
//!
//! One row that is equal proves little: keepalives of one size, or a long flow between two machines
//! that were both recorded. Two sources overlap where most rows of the time that both saw are
//! equal, of several flows, with different amounts.

mod skew;

pub use skew::Skew;

use super::pending::{At, FlowId, Tuple};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use imon_common::flow::Flow;
use imon_common::observe::Usage;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use imon_common::work;
use skew::Skews;
use std::cmp::Reverse;
use std::hash::BuildHasher as _;

/// Different amounts of flows that must be equal before two sources overlap: what happens as often
/// is no chance.
const TELLING: usize = 12;

/// Flows that these must be of. Two machines that talk to each other share one or two.
const FLOWS: usize = 3;

/// Of the rows that the smaller of two sources has in the time that both saw, so many must be equal
/// in four: interfaces lose packets, and captures have filters.
const EQUAL_OF_FOUR: u64 = 3;

/// Most rows of an interval that are compared: some full flow tables. Of more the rest counts as it
/// is.
const MAX_ROWS: usize = 262_144;

/// Most pairs of sources that are kept in mind. Each has rows that are equal; sources that are open
/// at a time are 64.
const MAX_PAIRS: usize = 4_096;

/// The place of a source among those that hold the same: what begins first counts, then the longer
/// file. Not which was read first.
type Rank = (UnixNanos, Reverse<u64>, String, usize);

/// A source.
#[derive(Debug)]
struct Known {
    run: [u8; 16],
    rank: Rank,
    /// Its bytes count whatever else holds them.
    allowed: bool,
    /// First and last interval with a row.
    seen: Option<(UnixNanos, UnixNanos)>,
    /// Rows before the interval `seen.1`, and in it.
    rows: (u64, u64),
    ended: bool,
    /// Rows of the others when it began, and when it was over.
    others: [Vec<(usize, u64)>; 2],
}

/// What two sources have in common: the one that counts first.
#[derive(Debug, Default)]
struct Pair {
    equal: u64,
    /// Hashes of flows, and of what they moved; no more than tell.
    flows: HashSet<u64, RandomState>,
    amounts: HashSet<u64, RandomState>,
}

/// A row of the interval that is read.
#[derive(Debug)]
struct Row {
    source: usize,
    interface: u32,
    flow: FlowId,
    usage: Usage,
}

/// What a flow moved in a source that another one holds as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubled {
    /// Number of the source.
    pub source: usize,
    /// Number of the one that counts.
    pub of: usize,
    /// On which interface of its source: see [`super::Share::interface`].
    pub interface: u32,
    /// When.
    pub interval: UnixNanos,
    /// The amount.
    pub usage: Usage,
}

/// Looks for what several sources hold.
#[derive(Debug, Default)]
pub struct Overlaps {
    sources: Vec<Option<Known>>,
    /// Lengths of the files, as far as they are known.
    lengths: HashMap<usize, u64, RandomState>,
    rows: Vec<Row>,
    at: UnixNanos,
    pairs: HashMap<(usize, usize), Pair, RandomState>,
    hasher: RandomState,
    /// Sources that ended in the interval that is read.
    closing: Vec<usize>,
    /// The run of the first source, and whether there are others.
    runs: Option<([u8; 16], bool)>,
    skews: Skews,
}

impl Overlaps {
    pub(super) fn size(&mut self, source: usize, len_bytes: u64) {
        self.lengths.insert(source, len_bytes);
    }

    /// A source begins.
    pub(super) fn begin(&mut self, source: usize, header: &SegmentHeader) {
        if self.sources.len() <= source {
            self.sources.resize_with(source + 1, || None);
        }
        let (first, has_others) = self.runs.get_or_insert((header.run, false));
        *has_others |= *first != header.run;
        let len_bytes = self.lengths.get(&source).copied().unwrap_or_default();
        let label = crate::books::label(header);
        if let Some(place) = self.sources.get_mut(source) {
            *place = Some(Known {
                run: header.run,
                rank: (header.start, Reverse(len_bytes), label, source),
                allowed: false,
                seen: None,
                rows: (0, 0),
                ended: false,
                others: [Vec::new(), Vec::new()],
            });
        }
    }

    /// Bytes of this source count whatever else holds them: the user knows better.
    pub(super) fn allow(&mut self, source: usize) {
        if let Some(known) = self.known_mut(source) {
            known.allowed = true;
        }
    }

    /// A source was read.
    pub(super) fn end(&mut self, source: usize) {
        if let Some(known) = self.known_mut(source) {
            known.ended = true;
            self.closing.push(source);
        }
    }

    /// A flow is seen for the first time in a source.
    pub(super) fn began(&mut self, source: usize, flow: &Flow) {
        if self.runs.is_some_and(|(_, has_others)| has_others)
            && let Some(run) = self.known(source).map(|known| known.run)
        {
            self.skews.began(source, run, flow);
        }
    }

    /// Sources that saw the same connections with clocks that are apart, so far: what both hold
    /// counts twice. None of those that are known to overlap, or may.
    pub fn skews(&self) -> Vec<Skew> {
        let is_known = |a: usize, b: usize| self.is_overlap(a, b) || self.is_overlap(b, a);
        let allows = |source: usize| self.known(source).is_some_and(|known| known.allowed);
        let found = self.skews.found().into_iter();
        let found = found.filter(|(a, b, ..)| !is_known(*a, *b) && !allows(*a) && !allows(*b));
        let label = |source: usize| self.label(source).to_owned();
        found.map(|(a, b, by_ns, flows)| Skew { ahead: label(a), behind: label(b), by_ns, flows }).collect()
    }

    fn known(&self, source: usize) -> Option<&Known> {
        self.sources.get(source)?.as_ref()
    }

    fn known_mut(&mut self, source: usize) -> Option<&mut Known> {
        self.sources.get_mut(source)?.as_mut()
    }

    /// Takes what a flow moved. Rows of one interval come together.
    #[inline]
    pub(super) fn row(&mut self, at: At, flow: FlowId, interval: UnixNanos, usage: Usage) {
        let At { source, interface } = at;
        self.at = interval;
        if self.rows.len() < MAX_ROWS {
            self.rows.push(Row { source, interface, flow, usage });
        }
        let Some(known) = self.sources.get_mut(source).and_then(Option::as_mut) else { return };
        match &mut known.seen {
            Some((_, last)) if *last == interval => known.rows.1 += 1,
            Some((_, last)) => {
                *last = interval;
                known.rows = (known.rows.0 + known.rows.1, 1);
            }
            None => {
                known.seen = Some((interval, interval));
                known.rows = (0, 1);
                let others = self.rows_before(source, interval);
                if let Some(known) = self.known_mut(source) {
                    known.others[0] = others;
                }
            }
        }
    }

    /// Rows that the other open sources have before `interval`.
    fn rows_before(&self, source: usize, interval: UnixNanos) -> Vec<(usize, u64)> {
        let of = |(number, known): (usize, &Option<Known>)| {
            let known = known.as_ref().filter(|known| number != source && !known.ended)?;
            let (_, last) = known.seen?;
            Some((number, if last < interval { known.rows.0 + known.rows.1 } else { known.rows.0 }))
        };
        self.sources.iter().enumerate().filter_map(of).collect()
    }

    /// The interval is over. Gives what was moved in one source and is in another one as well;
    /// `tuple` gives what tells flows of different sources apart, and whether its first end is the
    /// client.
    pub(super) fn turn(&mut self, tuple: impl Fn(FlowId) -> Option<(Tuple, bool)>) -> Vec<(FlowId, Doubled)> {
        let rows = std::mem::take(&mut self.rows);
        let mut found = Vec::new();
        let first_run = rows.first().and_then(|row| self.known(row.source)).map(|known| known.run);
        let is_mixed = rows.iter().any(|row| self.known(row.source).map(|known| known.run) != first_run);
        if is_mixed {
            // Amounts as the first end of the tuple sees them.
            let mut of_tuple: HashMap<Tuple, Vec<(usize, Usage)>, RandomState> = HashMap::default();
            let mut turned = vec![false; rows.len()];
            for ((place, row), turned) in rows.iter().enumerate().zip(&mut turned) {
                work::step();
                if let Some((tuple, is_first)) = tuple(row.flow) {
                    *turned = !is_first;
                    let usage = if is_first { row.usage } else { super::turned(row.usage) };
                    of_tuple.entry(tuple).or_default().push((place, usage));
                }
            }
            for (tuple, alike) in of_tuple.iter().filter(|(_, alike)| alike.len() > 1) {
                for (place, usage) in alike {
                    if let Some(row) = rows.get(*place)
                        && let Some((of, usage)) = self.held((tuple, alike), row, *usage, &rows)
                    {
                        let is_turned = turned.get(*place).copied().unwrap_or_default();
                        let usage = if is_turned { super::turned(usage) } else { usage };
                        let doubled =
                            Doubled { source: row.source, of, interface: row.interface, interval: self.at, usage };
                        found.push((row.flow, doubled));
                    }
                }
            }
            // A hash map has no order.
            found.sort_unstable_by_key(|(flow, doubled)| (*flow, doubled.source, doubled.of));
        }
        for source in std::mem::take(&mut self.closing) {
            let Some(last) = self.known(source).and_then(|known| known.seen) else { continue };
            let others = self.rows_before(source, UnixNanos(last.1.0.saturating_add(1)));
            if let Some(known) = self.known_mut(source) {
                known.others[1] = others;
            }
        }
        self.rows = rows;
        self.rows.clear();
        found
    }

    /// The source before that of `row` that holds the same, and how much of it; `alike`: places in
    /// `rows` of this tuple's, and their usage.
    fn held(
        &mut self,
        (tuple, alike): (&Tuple, &[(usize, Usage)]),
        row: &Row,
        usage: Usage,
        rows: &[Row],
    ) -> Option<(usize, Usage)> {
        work::steps(alike.len());
        let own = self.known(row.source)?;
        let before = alike.iter().filter_map(|(place, usage)| {
            let other = rows.get(*place)?;
            let known = self.known(other.source)?;
            (known.run != own.run && known.rank < own.rank).then_some((other.source, known, *usage))
        });
        let mut best: Option<(&Rank, usize, Usage, bool)> = None;
        for (number, known, held) in before {
            let amount = if held == usage { Some((usage, true)) } else { self.at_an_end(own, known, usage, held) };
            if let Some((amount, is_equal)) = amount
                && best.is_none_or(|(rank, _, _, was_equal)| (!is_equal, &known.rank) < (!was_equal, rank))
            {
                best = Some((&known.rank, number, amount, is_equal));
            }
        }
        let (_, of, amount, is_equal) = best?;
        if is_equal {
            self.note(of, row.source, tuple, usage);
        }
        Some((of, amount))
    }

    /// In the first and the last interval of the time that both saw, one of two sources has seen a
    /// part of it: it is in the other.
    fn at_an_end(&self, own: &Known, other: &Known, usage: Usage, held: Usage) -> Option<(Usage, bool)> {
        let within = |a: Usage, b: Usage| {
            a.up_bytes <= b.up_bytes
                && a.down_bytes <= b.down_bytes
                && a.up_packets <= b.up_packets
                && a.down_packets <= b.down_packets
        };
        let begins = |known: &Known| known.seen.is_some_and(|(first, _)| first == self.at);
        let ends = |known: &Known| known.ended && known.seen.is_some_and(|(_, last)| last == self.at);
        if (begins(own) || ends(own)) && within(usage, held) {
            return Some((usage, false));
        }
        ((begins(other) || ends(other)) && within(held, usage)).then_some((held, false))
    }

    /// Notes that a row is equal.
    fn note(&mut self, of: usize, source: usize, tuple: &Tuple, usage: Usage) {
        if self.pairs.len() >= MAX_PAIRS && !self.pairs.contains_key(&(of, source)) {
            return;
        }
        let (flow, amount) = (self.hasher.hash_one(tuple), self.hasher.hash_one((tuple, of_usage(usage))));
        let pair = self.pairs.entry((of, source)).or_default();
        pair.equal += 1;
        if tells(tuple) && (pair.amounts.len() < TELLING || pair.flows.len() < FLOWS) {
            pair.flows.insert(flow);
            if pair.amounts.len() < TELLING {
                pair.amounts.insert(amount);
            }
        }
    }

    /// Whether `source` holds what `of` does, in the time that both saw.
    pub fn is_overlap(&self, of: usize, source: usize) -> bool {
        let (Some(pair), Some(a), Some(b)) = (self.pairs.get(&(of, source)), self.known(of), self.known(source)) else {
            return false;
        };
        if a.allowed || b.allowed || pair.amounts.len() < TELLING || pair.flows.len() < FLOWS {
            return false;
        }
        let rows = |number: usize, known: &Known, other: &Known| {
            let of_list = |list: &[(usize, u64)]| list.iter().find(|(of, _)| *of == number).map(|(_, rows)| *rows);
            let until = of_list(&other.others[1]).filter(|_| other.ended).unwrap_or(known.rows.0 + known.rows.1);
            until.saturating_sub(of_list(&other.others[0]).unwrap_or_default())
        };
        let in_common = rows(of, a, b).min(rows(source, b, a));
        pair.equal.saturating_mul(4) >= in_common.saturating_mul(EQUAL_OF_FOUR)
    }

    /// What people call a source: the name of its file.
    pub fn label(&self, source: usize) -> &str {
        self.known(source).map_or("", |known| known.rank.2.as_str())
    }
}

/// What a hash is made of.
fn of_usage(usage: Usage) -> [u64; 4] {
    [usage.up_bytes, usage.down_bytes, usage.up_packets, usage.down_packets]
}

/// Whether the amounts of such a flow say something: groups, and services that talk from their own
/// port (NTP, mDNS), have one size in every network, and so has DHCP, where everybody is nobody.
fn tells((proto, a, b): &Tuple) -> bool {
    let is_one = |address: std::net::IpAddr| match address {
        std::net::IpAddr::V4(a) => !a.is_multicast() && !a.is_broadcast() && !a.is_unspecified(),
        std::net::IpAddr::V6(a) => !a.is_multicast() && !a.is_unspecified(),
    };
    matches!(proto, 6 | 17 | 132) && is_one(a.0) && is_one(b.0) && a.1 != b.1 && a.1.max(b.1) >= 1_024
}
