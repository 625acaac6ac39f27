//! What an exporter's times are in ours.

use imon_common::time::{NANOS_PER_SECOND, UnixNanos};

const NANOS_PER_MILLI: i64 = 1_000_000;

/// How far the header's time of a message may be from when it was captured while both clocks are
/// taken for right: the header has whole seconds, and a message waits for some records.
const CLOCK_SLACK_NS: i64 = 5 * NANOS_PER_SECOND;

/// How far a flow may end after its message was captured: clocks of line cards differ by that much.
const FUTURE_NS: i64 = 60 * NANOS_PER_SECOND;

/// Flows that began longer ago than this did not: the uptime of NetFlow goes round every 49.7 days.
const MOST_AGE_NS: i64 = 50 * 24 * 3_600 * NANOS_PER_SECOND;

/// Uptimes that are this far ahead of the message's own are of its near future, and not of a round
/// before, in milliseconds.
const AHEAD_MS: i32 = 600_000;

/// The times that a message states, and when it was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// When it was captured: the one clock that is known to be ours.
    pub(super) seen: UnixNanos,
    /// When it was sent, by the exporter's clock.
    pub(super) sent: UnixNanos,
    /// How long the exporter had been up then, in milliseconds; modulo 2^32.
    pub(super) uptime_ms: Option<u32>,
    /// When it was started, by its own clock, in milliseconds of Unix time.
    pub(super) started_ms: Option<u64>,
}

impl Clock {
    /// An instant by the exporter's clock.
    pub(super) fn absolute(&self, at: UnixNanos) -> UnixNanos {
        let apart = self.seen.since(self.sent);
        match apart.checked_abs() {
            Some(..=CLOCK_SLACK_NS) => at,
            _ => UnixNanos(at.0.saturating_add(apart)),
        }
    }

    /// An instant in milliseconds of uptime; `None` if nothing says when the exporter was started.
    pub(super) fn of_uptime(&self, ms: u32) -> Option<UnixNanos> {
        let Some(now) = self.uptime_ms else {
            let started = i64::try_from(self.started_ms?).ok()?;
            let at = started.checked_add(ms.into())?.checked_mul(NANOS_PER_MILLI)?;
            return Some(self.absolute(UnixNanos(at)));
        };
        let age = now.wrapping_sub(ms);
        let signed = age.cast_signed();
        let age_ms = if (-AHEAD_MS..0).contains(&signed) { i64::from(signed) } else { i64::from(age) };
        Some(UnixNanos(self.seen.0.saturating_sub(age_ms * NANOS_PER_MILLI)))
    }

    /// Start and end as they can be true, and whether the stated ones were not.
    pub(super) fn plausible(&self, start: UnixNanos, end: UnixNanos) -> ((UnixNanos, UnixNanos), bool) {
        let could_be = |at: UnixNanos| (-FUTURE_NS..=MOST_AGE_NS).contains(&self.seen.0.saturating_sub(at.0));
        match (could_be(start), could_be(end)) {
            (true, true) if start <= end => ((start, end), false),
            // The end before the start, which is what a wrap of some milliseconds looks like.
            (_, true) => ((end, end), true),
            (true, false) => ((start, start), true),
            (false, false) => ((self.seen, self.seen), true),
        }
    }
}

/// A time in NTP's format (RFC 5905 section 6), era 0.
pub(super) fn ntp(bits: u64) -> UnixNanos {
    const UNIX_BEGAN_S: i64 = 2_208_988_800;
    let (seconds, fraction) = (i64::try_from(bits >> 32).unwrap_or(0), bits & 0xffff_ffff);
    let nanos = i64::try_from((u128::from(fraction) * 1_000_000_000) >> 32).unwrap_or(0);
    UnixNanos((seconds - UNIX_BEGAN_S).saturating_mul(NANOS_PER_SECOND).saturating_add(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(1_793_491_200 * NANOS_PER_SECOND);

    fn clock(sent: UnixNanos, uptime_ms: u32) -> Clock {
        Clock { seen: NOW, sent, uptime_ms: Some(uptime_ms), started_ms: None }
    }

    fn before(seconds: i64) -> UnixNanos {
        UnixNanos(NOW.0 - seconds * NANOS_PER_SECOND)
    }

    #[test]
    fn uptimes_are_ages_whatever_the_exporters_clock_says_and_where_they_wrap() {
        let without_a_clock = clock(UnixNanos(0), 90_000);
        assert_eq!(without_a_clock.of_uptime(30_000), Some(before(60)));
        assert_eq!(clock(NOW, 1_000).of_uptime(u32::MAX - 8_999), Some(before(10)), "it went round in between");
        assert_eq!(clock(NOW, 1_000).of_uptime(2_000), Some(before(-1)), "a line card that is ahead");
    }

    #[test]
    fn absolute_times_are_moved_only_where_the_clocks_disagree() {
        assert_eq!(clock(before(2), 0).absolute(before(30)), before(30));
        assert_eq!(clock(before(3_600), 0).absolute(before(3_630)), before(30));
        assert_eq!(clock(UnixNanos(i64::MIN), 0).absolute(UnixNanos(5)), UnixNanos(i64::MAX));
    }

    #[test]
    fn the_start_of_the_exporter_stands_in_for_its_uptime() {
        let clock = Clock { uptime_ms: None, started_ms: Some(1_793_491_100_000), ..clock(NOW, 0) };
        assert_eq!(clock.of_uptime(40_000), Some(before(60)));
        assert_eq!(Clock { started_ms: None, ..clock }.of_uptime(40_000), None);
    }

    #[test]
    fn times_that_cannot_be_are_put_right_and_told() {
        let clock = clock(NOW, 0);
        assert_eq!(clock.plausible(before(60), before(1)), ((before(60), before(1)), false));
        assert_eq!(clock.plausible(before(1), before(2)), ((before(2), before(2)), true), "a wrapped duration");
        assert_eq!(clock.plausible(UnixNanos(0), before(2)), ((before(2), before(2)), true));
        assert_eq!(clock.plausible(before(9), before(-999)), ((before(9), before(9)), true));
        assert_eq!(clock.plausible(UnixNanos(0), UnixNanos(i64::MAX)), ((NOW, NOW), true));
    }

    #[test]
    fn ntp_times_begin_in_1900() {
        assert_eq!(ntp((2_208_988_800 + 5) << 32 | 0x8000_0000), UnixNanos(5_500_000_000));
    }
}
