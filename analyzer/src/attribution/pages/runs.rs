//! How much a host moves at a time: what it never moved for a page is not called likely.

use imon_common::time::NANOS_PER_SECOND;

/// Bytes of a host belong to one run as long as it is silent for less than this: two whole seconds
/// without any, as flows are known by the second.
const RUN_ENDS_NS: i64 = 2 * NANOS_PER_SECOND;

/// A run of no more than this may be the largest of its host: on the worlds such runs were right in
/// 91 to 98 % of bytes, whatever came before, and larger ones without any before in 28 to 85 %
/// (several tabs).
const SMALL_RUN: u64 = 250_000;

/// How much larger than the largest run before one may be, in halves: files differ. Up to here
/// large runs of the worlds with several tabs were right in 93 % of bytes, those of two to three
/// times as much in 57 %, of more than seven in 25 %.
const LARGER_HALVES: u64 = 3;

/// Runs of one host on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Runs {
    /// When the one that goes on moved bytes last, and how many by then.
    at: i64,
    bytes: u64,
    /// Bytes of the two largest before it, the largest first.
    most: [u64; 2],
}

impl Runs {
    /// The host moved bytes until `at`.
    pub fn moved(&mut self, at: i64, bytes: u64) {
        if at.saturating_sub(self.at) > RUN_ENDS_NS {
            let [first, second] = self.most;
            self.most = [first.max(self.bytes), second.max(first.min(self.bytes))];
            self.bytes = 0;
        }
        self.at = at;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The run that goes on is small, or not much larger than one before.
    pub fn as_usual(self) -> bool {
        let [largest, _] = self.most;
        self.bytes <= SMALL_RUN || self.bytes <= (largest / 2).saturating_mul(LARGER_HALVES)
    }

    /// Two runs before were as large as the one that goes on.
    pub fn as_often(self) -> bool {
        let [_, second] = self.most;
        self.bytes <= second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(runs: &[u64]) -> Runs {
        let mut of_host = Runs::default();
        for (bytes, i) in runs.iter().zip(1..) {
            // Over two seconds, then silent for ten.
            of_host.moved(12 * i * NANOS_PER_SECOND, bytes / 2);
            of_host.moved((12 * i + 1) * NANOS_PER_SECOND, bytes - bytes / 2);
        }
        of_host
    }

    #[test]
    fn a_run_is_measured_by_the_larger_ones_before_it() {
        assert!(after(&[250_000]).as_usual() && !after(&[250_001]).as_usual());
        assert!(after(&[1_000_000, 1_500_000]).as_usual() && !after(&[1_000_000, 1_500_002]).as_usual());
        assert!(after(&[3_000_000, 20_000, 1_500_000]).as_usual());
        assert!(!after(&[30_000]).as_often() && !after(&[30_000, 30_000]).as_often());
        assert!(after(&[30_000, 40_000, 30_000]).as_often());
        assert!(!after(&[30_000, 40_000, 20_000, 30_001]).as_often(), "one of two was as large");
        assert!(after(&[40_000, 20_000, 30_000, 30_000]).as_often());
    }

    #[test]
    fn what_goes_on_without_a_pause_is_one_run() {
        let mut runs = Runs::default();
        for second in 1..=10 {
            runs.moved(second * 2 * NANOS_PER_SECOND, 100_000);
        }
        assert!(!runs.as_usual(), "a million bytes, and none before");
        runs.moved(i64::MAX, u64::MAX);
        runs.moved(i64::MAX, u64::MAX);
        assert!(!runs.as_usual());
    }
}
