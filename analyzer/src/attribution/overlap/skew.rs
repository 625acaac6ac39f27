//! Clocks that are apart: two recorders that saw the same connections saw them begin at one
//! instant, whatever their clocks say. Where they say different ones, seconds do not fit each
//! other, and what both hold is not found by its amounts.

use super::tells;
use crate::attribution::pending::{Tuple, tuple};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::Flow;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};

/// Clocks that are further apart than this are not compared: by then ports are used again.
const REACH_NS: i64 = 600 * NANOS_PER_SECOND;

/// Connections that must agree before clocks are said to be apart.
const AGREE: usize = 8;

/// How far these may be from each other: one recorder may be farther down the way, and packets
/// wait.
const SPREAD_NS: i64 = NANOS_PER_SECOND / 4;

/// Less is not said: packets that cross a second are few, and what both hold is found all the same.
const APART_NS: i64 = NANOS_PER_SECOND / 10;

/// Differences kept of two runs: more do not make it clearer.
const MAX_DIFFERENCES: usize = 256;

/// Pairs of runs that are kept in mind.
const MAX_PAIRS: usize = 1_024;

/// Connections kept in mind for each half of [`REACH_NS`].
const MAX_BEGUN: usize = 131_072;

/// IANA protocol number of TCP.
const TCP: u8 = 6;

/// Two sources that saw the same connections with clocks that are apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skew {
    /// Name of the source whose clock is ahead.
    pub ahead: String,
    /// Name of the other one.
    pub behind: String,
    /// How far ahead in nanoseconds: the median over the connections.
    pub by_ns: i64,
    /// Connections that both saw begin, as far as they were compared.
    pub flows: usize,
}

/// A connection that began.
#[derive(Debug, Clone, Copy)]
struct Begun {
    source: usize,
    run: [u8; 16],
    at: UnixNanos,
}

/// What two runs saw begin: the numbers of a source of each, and by how much the second was later.
#[derive(Debug, Default)]
struct Compared {
    sources: (usize, usize),
    differences: Vec<i64>,
}

/// Compares when connections began.
#[derive(Debug, Default)]
pub(super) struct Skews {
    /// Those of the last stretch of time, and of the one before it.
    begun: [HashMap<Tuple, Begun, RandomState>; 2],
    /// When the last stretch began.
    since: UnixNanos,
    compared: HashMap<([u8; 16], [u8; 16]), Compared, RandomState>,
}

impl Skews {
    /// A flow began in a source of a run.
    pub(super) fn began(&mut self, source: usize, run: [u8; 16], flow: &Flow) {
        let tuple = tuple(flow);
        if flow.proto != TCP || !flow.begin_seen || !tells(&tuple) {
            return;
        }
        let at = flow.start;
        if at.since(self.since).abs() > REACH_NS || self.begun[0].len() >= MAX_BEGUN {
            self.begun.swap(0, 1);
            self.begun[0].clear();
            self.since = at;
        }
        let known = self.begun.iter().find_map(|begun| begun.get(&tuple)).copied();
        match known {
            Some(other) if other.run != run => self.compare(other, Begun { source, run, at }),
            // Its ports are used again, or it is new.
            _ => _ = self.begun[0].insert(tuple, Begun { source, run, at }),
        }
    }

    fn compare(&mut self, one: Begun, other: Begun) {
        let (one, other) = if one.run < other.run { (one, other) } else { (other, one) };
        let difference = other.at.since(one.at);
        let key = (one.run, other.run);
        if difference.abs() > REACH_NS || (self.compared.len() >= MAX_PAIRS && !self.compared.contains_key(&key)) {
            return;
        }
        let compared = self.compared.entry(key).or_default();
        compared.sources = (one.source, other.source);
        if compared.differences.len() < MAX_DIFFERENCES {
            compared.differences.push(difference);
        }
    }

    /// Numbers of two sources whose clocks are apart, the one that is ahead first; by how much; and
    /// the connections that say so. In the order of the numbers.
    pub(super) fn found(&self) -> Vec<(usize, usize, i64, usize)> {
        let mut found: Vec<_> = self.compared.values().filter_map(Compared::skew).collect();
        found.sort_unstable();
        found
    }
}

impl Compared {
    fn skew(&self) -> Option<(usize, usize, i64, usize)> {
        let mut sorted = self.differences.clone();
        sorted.sort_unstable();
        let median = *sorted.get(sorted.len() / 2)?;
        let agree = sorted.iter().filter(|difference| (*difference - median).abs() <= SPREAD_NS).count();
        let is_clear = agree >= AGREE && agree.saturating_mul(4) >= sorted.len().saturating_mul(3);
        let (first, second) = self.sources;
        let (ahead, behind) = if median > 0 { (second, first) } else { (first, second) };
        (is_clear && median.abs() >= APART_NS).then_some((ahead, behind, median.abs(), agree))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(port: u16, at_ms: i64) -> Flow {
        let (client, server) = (([10, 0, 0, 1], port).into(), ([192, 0, 2, 1], 443).into());
        Flow { number: port.into(), ..Flow::outgoing(client, server, TCP, UnixNanos(at_ms * 1_000_000)) }
    }

    /// Connections that begin every second, in two recorders of which the second says `late_ms`
    /// more.
    fn two(n: u16, late_ms: impl Fn(u16) -> i64) -> Vec<(usize, usize, i64, usize)> {
        let mut skews = Skews::default();
        for i in 0..n {
            let at = 1_700_000_000_000 + i64::from(i) * 1_000;
            skews.began(0, [1; 16], &flow(40_000 + i, at));
            skews.began(1, [2; 16], &flow(40_000 + i, at + late_ms(i)));
        }
        skews.found()
    }

    #[test]
    fn clocks_that_are_apart_are_found_with_the_one_that_is_ahead_first() {
        let noise = |i: u16| i64::from(i % 7) * 10;
        let found = two(40, |i| 3_000 + noise(i));
        assert!(matches!(found[..], [(1, 0, by, 40)] if (3_000_000_000..3_100_000_000).contains(&by)), "{found:?}");
        let found = two(40, |i| -70_000 - noise(i));
        assert!(matches!(found[..], [(0, 1, by, 40)] if (70_000_000_000..70_100_000_000).contains(&by)), "{found:?}");
    }

    #[test]
    fn clocks_that_agree_few_connections_and_chance_say_nothing() {
        assert!(two(40, |i| i64::from(i % 5)).is_empty());
        assert!(two(7, |_| 3_000).is_empty());
        // Ports that are used again at any time.
        assert!(two(200, |i| i64::from(i) * 7_919 % 500_000).is_empty());
        // One recorder that goes on in another segment.
        let mut skews = Skews::default();
        for i in 0..40 {
            skews.began(0, [1; 16], &flow(40_000 + i, 1_000));
            skews.began(1, [1; 16], &flow(40_000 + i, 4_000));
        }
        assert!(skews.found().is_empty());
    }
}
