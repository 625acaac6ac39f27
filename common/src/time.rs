//! Time inside imon: nanoseconds of UTC. Zones exist only in the analyzer's command line and
//! reports.

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// An instant: nanoseconds since 1970-01-01 00:00 UTC, leap seconds not counted (POSIX). Reaches to
/// the year 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixNanos(pub i64);

impl UnixNanos {
    /// The instant `seconds` and `nanos` after the epoch; clamped to what the type can hold.
    pub fn from_parts(seconds: u64, nanos: u64) -> Self {
        let total = i128::from(seconds) * i128::from(NANOS_PER_SECOND) + i128::from(nanos);
        Self(i64::try_from(total).unwrap_or(i64::MAX))
    }

    /// The start of the interval of `length_ns` (at least 1) that holds this instant.
    pub fn floor_to(self, length_ns: i64) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(length_ns.max(1))))
    }

    /// Nanoseconds from `earlier` to here, negative where `earlier` is later; saturating.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_goes_down_before_the_epoch_too() {
        assert_eq!(UnixNanos(-1).floor_to(10), UnixNanos(-10));
        assert_eq!(UnixNanos(19).floor_to(10), UnixNanos(10));
    }

    #[test]
    fn a_time_beyond_the_range_is_clamped() {
        assert_eq!(UnixNanos::from_parts(u64::MAX, 0), UnixNanos(i64::MAX));
    }
}
