//! Which finished captures of a collector go: by the rules for segments (`retention`). Age counts
//! only by a clock that was steady for an hour, one capture an hour; a flood takes no other day
//! what it keeps.

use crate::clock::Now;
use crate::retention::{HOUR_NS, Instant, SteadyClock, in_order, length_text, room, too_old};
use crate::rotate::{Retention, Rotation, Sealed};

/// What is known of the clock, and of the last removal for age.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    clock: SteadyClock,
    removed_for_age_boot_ns: Option<i64>,
}

impl Keeping {
    /// Stands for the boot of captures that were begun in this run: they are no older than the boot
    /// clock says. Of others their stamps are all that is known.
    pub(super) const THIS_RUN: [u8; 16] = [1; 16];

    /// The captures that go now, each with its reason. To be asked often, as the clock is watched
    /// here.
    pub(super) fn due(
        &mut self,
        finished: &[Sealed],
        now: Now,
        (rotation, keep): (Rotation, Retention),
    ) -> Vec<(String, String)> {
        let now = Instant { wall_ns: now.wall.0, boot_ns: now.boot_ns };
        self.clock.see(now);
        let mut sealed = in_order(finished.to_vec());
        let mut gone = Vec::new();
        let rested = self.removed_for_age_boot_ns.is_none_or(|before| now.boot_ns.saturating_sub(before) >= HOUR_NS);
        let steady_ns = self.clock.steady_ns(now);
        if rested && steady_ns >= HOUR_NS && too_old(&sealed, now, Self::THIS_RUN, keep) > 0 {
            let limit = length_text(i64::try_from(keep.age.as_nanos()).unwrap_or(i64::MAX));
            let steady = length_text(steady_ns);
            let why = format!("older than {limit} by a clock that has been steady for {steady}");
            gone.push((sealed.remove(0).name, why));
            self.removed_for_age_boot_ns = Some(now.boot_ns);
        }
        let too_much = room(&sealed, now, rotation.size_bytes, keep).remove;
        gone.extend(too_much.into_iter().map(|capture| (capture.name, "to keep to the budget".to_owned())));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retention::DAY_NS;
    use imon_common::segment::SegmentMark;
    use imon_common::time::UnixNanos;
    use std::time::Duration;

    /// 2026-11-01T00:00:00Z.
    const BEGAN_NS: i64 = 1_793_491_200_000_000_000;
    const MINUTE_NS: i64 = HOUR_NS / 60;
    const KEEP: (Rotation, Retention) = (
        Rotation { size_bytes: 100, every: Duration::from_secs(3_600) },
        Retention { size_bytes: 10_000, age: Duration::from_secs(10 * 86_400) },
    );

    fn at(wall_ns: i64, boot_ns: i64) -> Now {
        Now { wall: UnixNanos(wall_ns), awake_ns: boot_ns, boot_ns }
    }

    /// Captures of this many days, one a day, that were found when the collector was started.
    fn found(days: i64) -> Vec<Sealed> {
        let capture = |day: i64| Sealed {
            name: format!("{day}"),
            mark: None,
            len_bytes: 100,
            changed_ns: BEGAN_NS + day * DAY_NS,
        };
        (0..days).map(capture).collect()
    }

    /// Removes what is due, minute by minute, by a clock that is `ahead` by so much; gives the
    /// names with the minutes.
    fn run(
        keeping: &mut Keeping,
        all: &mut Vec<Sealed>,
        minutes: i64,
        ahead: impl Fn(i64) -> i64,
    ) -> Vec<(String, i64)> {
        let mut gone = Vec::new();
        for minute in 0..minutes {
            let boot_ns = minute * MINUTE_NS;
            let now = at(BEGAN_NS + 9 * DAY_NS + boot_ns + ahead(minute), boot_ns);
            for (name, _) in keeping.due(all, now, KEEP) {
                all.retain(|capture| capture.name != name);
                gone.push((name, minute));
            }
        }
        gone
    }

    #[test]
    fn a_clock_that_jumps_for_a_moment_removes_nothing() {
        let jumps = |minute| if minute == 90 { 200 * DAY_NS } else { 0 };
        assert_eq!(run(&mut Keeping::default(), &mut found(9), 180, jumps), []);
    }

    #[test]
    fn what_is_too_old_goes_one_an_hour_by_a_steady_clock() {
        let later = |_| 3 * DAY_NS;
        let gone = run(&mut Keeping::default(), &mut found(9), 240, later);
        assert_eq!(gone, [("0".to_owned(), 60), ("1".into(), 120)]);
    }

    #[test]
    fn what_was_begun_in_this_run_is_no_older_than_it() {
        let mark = SegmentMark { recorder: [0; 16], sequence: 1, boot: Keeping::THIS_RUN, monotonic_start_ns: 0 };
        let mut own: Vec<Sealed> = found(1).into_iter().map(|one| Sealed { mark: Some(mark), ..one }).collect();
        assert_eq!(run(&mut Keeping::default(), &mut own, 240, |_| 200 * DAY_NS), []);
    }

    #[test]
    fn a_flood_takes_no_other_day_what_it_keeps() {
        let mut all = found(9);
        let today = BEGAN_NS + 9 * DAY_NS;
        for n in 0..1_000 {
            all.push(Sealed { name: format!("flood {n}"), mark: None, len_bytes: 100, changed_ns: today + n });
            for (name, _) in Keeping::default().due(&all.clone(), at(today + n, n), KEEP) {
                all.retain(|capture| capture.name != name);
            }
        }
        assert_eq!(all.iter().filter(|capture| !capture.name.starts_with("flood")).count(), 9);
        assert!(all.iter().map(|capture| capture.len_bytes).sum::<u64>() <= KEEP.1.size_bytes);
    }
}
