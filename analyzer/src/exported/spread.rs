//! What a record says of a stretch of time, spread over it.

use imon_common::time::{NANOS_PER_SECOND, UnixNanos};

/// Length of the intervals that a flow is spread over. Books have buckets of 15 minutes; exporters
/// report a flow every 1 to 30 minutes.
const INTERVAL_NS: i64 = 60 * NANOS_PER_SECOND;

/// Intervals that one record is spread over at most: two hours by the minute. Longer flows, of
/// exporters without an active time-out, get longer intervals.
const MAX_INTERVALS: i64 = 120;

/// The parts of `start..end` (`end` not before `start`) by the minute: the beginning of each, and
/// its weight. The first begins at `start`. Never empty.
fn parts(start: UnixNanos, end: UnixNanos) -> impl Iterator<Item = (UnixNanos, u64)> {
    let length = end.since(start).max(0);
    let minutes = (length / INTERVAL_NS) / MAX_INTERVALS + 1;
    let step = minutes.saturating_mul(INTERVAL_NS);
    let last = UnixNanos(start.0.saturating_add(length));
    let mut at = Some(start);
    std::iter::from_fn(move || {
        let begin = at?;
        let next = UnixNanos(begin.0.saturating_sub(begin.0.rem_euclid(step)).saturating_add(step));
        let stop = next.min(last);
        at = (next < last).then_some(next);
        // Of what takes no time at all everything is in one part.
        Some((begin, u64::try_from(stop.since(begin)).unwrap_or(0).max(1)))
    })
}

/// Spreads each of `amounts` over `start..end` in proportion to time, by largest remainders: the
/// parts of each amount sum up to it. Parts in which nothing was moved are left out, unless all
/// amounts are 0.
pub(super) fn spread<const N: usize>(
    amounts: [u64; N],
    (start, end): (UnixNanos, UnixNanos),
) -> Vec<(UnixNanos, [u64; N])> {
    let weights: Vec<(UnixNanos, u64)> = parts(start, end).collect();
    if let [(only, _)] = weights.as_slice() {
        return vec![(*only, amounts)];
    }
    let mut spread: Vec<(UnixNanos, [u64; N])> = weights.iter().map(|(begin, _)| (*begin, [0; N])).collect();
    for (index, amount) in amounts.into_iter().enumerate() {
        let shares = shares(amount, &weights);
        for (share, (_, of_part)) in shares.into_iter().zip(&mut spread) {
            if let Some(place) = of_part.get_mut(index) {
                *place = share;
            }
        }
    }
    if amounts.iter().any(|amount| *amount > 0) {
        spread.retain(|(_, part)| part.iter().any(|amount| *amount > 0));
    } else {
        spread.truncate(1);
    }
    spread
}

/// Shares of `amount` by weight that sum up to it (Hamilton's method); of equal remainders the
/// earlier part gets more.
fn shares(amount: u64, weights: &[(UnixNanos, u64)]) -> Vec<u64> {
    let all: u128 = weights.iter().map(|(_, weight)| u128::from(*weight)).sum::<u128>().max(1);
    let exact = |weight: u64| u128::from(amount) * u128::from(weight);
    let mut shares: Vec<u64> =
        weights.iter().map(|(_, weight)| u64::try_from(exact(*weight) / all).unwrap_or(u64::MAX)).collect();
    let left = amount.saturating_sub(shares.iter().sum());
    let mut by_remainder: Vec<(std::cmp::Reverse<u128>, usize)> = weights
        .iter()
        .enumerate()
        .map(|(place, (_, weight))| (std::cmp::Reverse(exact(*weight) % all), place))
        .collect();
    by_remainder.sort_unstable();
    for (_, place) in by_remainder.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
        if let Some(share) = shares.get_mut(place) {
            *share += 1;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> UnixNanos {
        UnixNanos(s * NANOS_PER_SECOND)
    }

    #[test]
    fn parts_follow_the_minutes_and_sum_up() {
        // 30 s of the first minute, a whole one, and 10 s: 100 s.
        let spread = spread([1_000, 10], (at(30), at(130)));
        assert_eq!(spread, [(at(30), [300, 3]), (at(60), [600, 6]), (at(120), [100, 1])]);
    }

    #[test]
    fn the_largest_remainders_get_what_is_left() {
        // Weights 30, 60, 10: exactly 0.9, 1.8, 0.3 of 3.
        let spread = spread([3], (at(30), at(130)));
        assert_eq!(spread, [(at(30), [1]), (at(60), [2])]);
    }

    #[test]
    fn a_flow_without_length_stays_in_one_piece_and_one_without_bytes_is_kept() {
        assert_eq!(spread([7, 1], (at(59), at(59))), [(at(59), [7, 1])]);
        assert_eq!(spread([0, 0], (at(30), at(130))), [(at(30), [0, 0])]);
        assert_eq!(spread([5], (at(60), at(10))), [(at(60), [5])], "an end before its start");
    }

    #[test]
    fn sums_are_exact_whatever_the_amounts_and_times_are() {
        let mut random = 7u64;
        for _ in 0..2_000 {
            let mut next = |most: u64| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 11) % most
            };
            let (bytes, packets) = (next(1 << 50), next(1 << 20));
            let start = UnixNanos(next(1 << 60) as i64);
            let end = UnixNanos(start.0 + next(1 << 47) as i64);
            let spread = spread([bytes, packets], (start, end));
            assert_eq!(spread.iter().map(|(_, [b, _])| b).sum::<u64>(), bytes);
            assert_eq!(spread.iter().map(|(_, [_, p])| p).sum::<u64>(), packets);
            assert!(spread.len() as i64 <= MAX_INTERVALS + 1, "{}", spread.len());
            assert!(spread.iter().all(|(at, _)| (start..=end).contains(at)));
        }
        let most = spread([u64::MAX], (UnixNanos(0), UnixNanos(i64::MAX)));
        assert_eq!(most.iter().map(|(_, [b])| *b).sum::<u64>(), u64::MAX);
    }
}
