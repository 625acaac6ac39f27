//! Sequence numbers of an exporter: what was lost, what came twice, when it began anew.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

/// Datagrams of an exporter that are remembered, so that the same one captured on two interfaces
/// counts once. Copies follow each other at once.
const REMEMBERED: usize = 64;

/// A jump by more than this is no loss that could be counted: numbers of another kind, or a restart
/// that nothing else shows. A lost hour of a busy exporter is less.
const MOST_LOST: u32 = 1 << 20;

/// Numbers that come this far too late are of datagrams that overtook each other.
const REORDERED: u32 = 1_024;

/// What the number of a datagram tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It comes behind the one before, or nothing can be said.
    Follows,
    /// It is late.
    Late,
    /// The exporter began anew.
    Restarted,
}

/// The numbers of one exporter.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    /// Number of the last datagram; unknown before the first and after a restart.
    last: Option<u32>,
    /// What that one counted, where it could be told.
    counted: Option<u32>,
    /// The number of a datagram counts what is in it as well, as softflowd does in IPFIX.
    counts_own: bool,
    /// Its uptime in the last datagram, in milliseconds.
    uptime_ms: Option<u32>,
    seen: VecDeque<u64>,
}

impl Sequence {
    /// Whether the same datagram was there shortly before.
    pub(super) fn is_copy(&mut self, message: &[u8]) -> bool {
        // Nobody gains by a collision but to have a datagram of his own ignored.
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(message);
        if self.seen.contains(&hash) {
            return true;
        }
        if self.seen.len() >= REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(hash);
        false
    }

    /// What the number `is` says; to be followed by [`Self::passed`] when the datagram was read.
    pub(super) fn told(&mut self, is: u32, uptime_ms: Option<u32>) -> Told {
        let before = uptime_ms.and_then(|now| self.uptime_ms.replace(now));
        if let (Some(now), Some(before)) = (uptime_ms, before) {
            // Modulo 2^32 the uptime goes on; a restart sets it back by more than a datagram that
            // came late.
            let back = before.wrapping_sub(now);
            if back > 60_000 && back < u32::MAX / 2 {
                (self.last, self.counted) = (None, None);
                return Told::Restarted;
            }
        }
        let Some(last) = self.last else { return Told::Follows };
        let back = last.wrapping_sub(is);
        match back {
            1..=REORDERED => Told::Late,
            0 => Told::Follows,
            _ if back < u32::MAX / 2 && is <= REORDERED => {
                (self.last, self.counted) = (None, None);
                Told::Restarted
            }
            _ => Told::Follows,
        }
    }

    /// How far `is` is ahead of the number before.
    pub(super) fn since(&self, is: u32) -> Option<u32> {
        self.last.map(|last| is.wrapping_sub(last))
    }

    /// The datagram before counted so many, and not what was said of it.
    pub(super) fn recount(&mut self, counted: u32) {
        self.counted = Some(counted);
    }

    /// The datagram of that number counted so many; `None` if that could not be told. Gives how
    /// many are missing before it.
    pub(super) fn passed(&mut self, is: u32, counted: Option<u32>, told: Told) -> u32 {
        if told == Told::Late {
            return 0;
        }
        let since = self.since(is);
        self.last = Some(is);
        let before = std::mem::replace(&mut self.counted, counted);
        let Some(since) = since.filter(|since| *since <= MOST_LOST) else { return 0 };
        if before != Some(since) && counted == Some(since) {
            self.counts_own = true;
        }
        let expected = if self.counts_own { counted } else { before };
        expected.map_or(0, |expected| since.saturating_sub(expected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(sequence: &mut Sequence, is: u32, uptime_ms: u32, counted: u32) -> (Told, u32) {
        let told = sequence.told(is, Some(uptime_ms));
        (told, sequence.passed(is, Some(counted), told))
    }

    #[test]
    fn numbers_that_count_their_own_records_are_learnt() {
        let mut of = Sequence::default();
        let mut lost = |is, counted| {
            let told = of.told(is, None);
            of.passed(is, Some(counted), told)
        };
        // As softflowd numbers them; the first holds options as well, which it does not count.
        assert_eq!([lost(12, 13), lost(42, 30), lost(44, 2), lost(76, 32), lost(126, 30)], [0, 0, 0, 0, 20]);
    }

    #[test]
    fn losses_late_ones_and_restarts_are_told_apart() {
        let mut of = Sequence::default();
        assert_eq!(step(&mut of, 100, 1_000, 30), (Told::Follows, 0), "the first");
        assert_eq!(step(&mut of, 130, 2_000, 30), (Told::Follows, 0));
        assert_eq!(step(&mut of, 190, 3_000, 10), (Told::Follows, 30));
        assert_eq!(step(&mut of, 160, 2_500, 30), (Told::Late, 0), "the lost one came after all");
        assert_eq!(step(&mut of, 200, 4_000_000, 5), (Told::Follows, 0));
        assert_eq!(step(&mut of, 0, 10, 5), (Told::Restarted, 0), "by its uptime");
        assert_eq!(step(&mut of, 5, 20, 5), (Told::Follows, 0));
        let mut wraps = Sequence::default();
        assert_eq!(step(&mut wraps, u32::MAX, u32::MAX - 5, 1), (Told::Follows, 0));
        assert_eq!(step(&mut wraps, 0, 10, 1), (Told::Follows, 0), "number and uptime went round");
    }

    #[test]
    fn without_uptime_a_number_near_zero_is_a_restart_and_any_other_jump_is_nothing() {
        let mut of = Sequence::default();
        let mut step = |is, counted| {
            let told = of.told(is, None);
            (told, of.passed(is, counted, told))
        };
        assert_eq!(step(5_000_000, Some(10)), (Told::Follows, 0));
        assert_eq!(step(0, Some(10)), (Told::Restarted, 0));
        assert_eq!(step(3_000_000_000, None), (Told::Follows, 0));
        assert_eq!(step(3_000_000_500, Some(1)), (Told::Follows, 0), "nobody knows how many records there were");
    }

    #[test]
    fn a_copy_is_known_again_for_a_while() {
        let mut of = Sequence::default();
        assert!(!of.is_copy(b"one"));
        assert!(of.is_copy(b"one"));
        for n in 0..REMEMBERED {
            assert!(!of.is_copy(&n.to_be_bytes()));
        }
        assert!(!of.is_copy(b"one"));
    }
}
