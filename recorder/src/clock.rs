//! The clocks, and what their disagreement tells: the machine slept, or the wall clock was stepped.

use crate::error::Error;
use imon_common::observe::{Count, Counter, GapReason};
use imon_common::time::UnixNanos;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Nanoseconds in a second.
const SECOND_NS: i64 = 1_000_000_000;

/// A difference of clocks between two readings that is taken for a step or a sleep. NTP slews by at
/// most 500 ppm (0.13 ms in a turn of 250 ms) and steps from 128 ms on (RFC 5905 STEPT); readings
/// themselves may be apart by the time that a busy machine takes the processor away, which this
/// leaves room for. A choice, not a measurement.
const NOTICEABLE_NS: i64 = SECOND_NS / 2;

/// The three clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// UTC, as packets are stamped. Can be stepped.
    pub wall: UnixNanos,
    /// CLOCK_MONOTONIC: stands still while the machine sleeps.
    pub awake_ns: i64,
    /// CLOCK_BOOTTIME: goes on while the machine sleeps.
    pub boot_ns: i64,
}

impl Now {
    /// Reads the clocks.
    ///
    /// # Errors
    /// A clock is missing, which no supported kernel shows.
    pub fn read() -> Result<Self, Error> {
        Ok(Self {
            wall: UnixNanos(read(ClockId::CLOCK_REALTIME)?),
            awake_ns: read(ClockId::CLOCK_MONOTONIC)?,
            boot_ns: read(ClockId::CLOCK_BOOTTIME)?,
        })
    }

    /// Real time since `earlier`, sleep included.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.boot_ns - earlier.boot_ns).unwrap_or(0))
    }
}

fn read(clock: ClockId) -> Result<i64, Error> {
    let time = clock_gettime(clock)
        .map_err(|source| Error::System { doing: "cannot read the clock", source: source.into() })?;
    Ok(time.tv_sec().saturating_mul(SECOND_NS).saturating_add(time.tv_nsec()))
}

/// A gap with the instant from which on it is counted.
pub type GapAt = (UnixNanos, Count);

/// What happened to the clocks between two readings: the gaps to record.
///
/// A sleep lasts as long as boot time ran ahead of monotonic time. A step is what the wall clock
/// moved beyond boot time: forward it leaves a hole in the record, whose length is the gap's;
/// backward there is no hole, only the event.
pub fn gaps_between(before: Now, after: Now) -> Vec<GapAt> {
    let slept_ns = (after.boot_ns - before.boot_ns) - (after.awake_ns - before.awake_ns);
    let stepped_ns = after.wall.since(before.wall).saturating_sub(after.boot_ns - before.boot_ns);
    let mut gaps = Vec::new();
    if slept_ns >= NOTICEABLE_NS {
        gaps.push((before.wall, gap(GapReason::Suspend, slept_ns)));
    }
    if stepped_ns.saturating_abs() >= NOTICEABLE_NS {
        gaps.push((before.wall, gap(GapReason::ClockStep, stepped_ns.max(0))));
    }
    gaps
}

/// One gap of `length_ns`.
pub fn gap(reason: GapReason, length_ns: i64) -> Count {
    Count { counter: Counter::Gap(reason), packets: 1, bytes: u64::try_from(length_ns).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: i64, awake_ns: i64, boot_ns: i64) -> Now {
        Now { wall: UnixNanos(wall), awake_ns, boot_ns }
    }

    #[test]
    fn clocks_that_advance_together_tell_nothing() {
        assert_eq!(gaps_between(at(0, 0, 0), at(250_000_000, 250_000_100, 250_000_200)), []);
        // Stopped by a debugger for an hour: all three run on.
        assert_eq!(gaps_between(at(0, 0, 0), at(3600 * SECOND_NS, 3600 * SECOND_NS, 3600 * SECOND_NS)), []);
    }

    #[test]
    fn sleep_is_a_gap_as_long_as_the_sleep() {
        let gaps = gaps_between(at(1_000, 0, 0), at(1_000 + 61 * SECOND_NS, SECOND_NS, 61 * SECOND_NS));
        assert_eq!(gaps, [(UnixNanos(1_000), gap(GapReason::Suspend, 60 * SECOND_NS))]);
    }

    #[test]
    fn a_step_forward_is_a_hole_and_a_step_backward_an_event() {
        let hour = 3600 * SECOND_NS;
        assert_eq!(gaps_between(at(0, 0, 0), at(hour, 0, 0)), [(UnixNanos(0), gap(GapReason::ClockStep, hour))]);
        assert_eq!(gaps_between(at(hour, 0, 0), at(0, 0, 0)), [(UnixNanos(hour), gap(GapReason::ClockStep, 0))]);
    }

    #[test]
    fn a_sleep_with_a_step_is_both() {
        let gaps = gaps_between(at(0, 0, 0), at(100 * SECOND_NS, SECOND_NS, 61 * SECOND_NS));
        assert_eq!(gaps.len(), 2);
        assert_eq!(gaps[1].1.bytes, 39_000_000_000);
    }
}
