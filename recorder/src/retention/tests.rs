use super::*;
use imon_common::segment::SegmentMark;

const BOOT: [u8; 16] = [9; 16];
const KEEP: Retention = Retention { size_bytes: 2 << 30, age: Duration::from_secs(90 * 86_400) };
/// 2026-11-27, by a clock that is right.
const TODAY_NS: i64 = 20_784 * DAY_NS;

fn segment(sequence: u64, len_bytes: u64, changed_ns: i64) -> Sealed {
    let mark = SegmentMark { recorder: [1; 16], sequence, boot: [1; 16], monotonic_start_ns: 0 };
    Sealed { name: format!("{sequence:06}.seg"), mark: Some(mark), len_bytes, changed_ns }
}

fn at(wall_ns: i64) -> Instant {
    Instant { wall_ns, boot_ns: 1_000 * DAY_NS }
}

/// One segment a day, the oldest of them so many days ago.
fn days_ago(days: i64) -> Vec<Sealed> {
    (0..=days).map(|n| segment(n as u64, 1, TODAY_NS - (days - n) * DAY_NS)).collect()
}

#[test]
fn the_order_is_that_of_the_sequence_whatever_the_stamps_say() {
    let mut list = vec![segment(2, 1, 5), segment(0, 1, 9), segment(1, 1, 0)];
    list.push(Sealed { mark: None, ..segment(7, 1, 1) });
    let order: Vec<_> = in_order(list).iter().map(Sealed::sequence).collect();
    assert_eq!(order, [None, Some(0), Some(1), Some(2)]);
}

#[test]
fn what_both_its_own_stamp_and_the_next_call_old_is_old() {
    assert_eq!(too_old(&days_ago(89), at(TODAY_NS), BOOT, KEEP), 0);
    assert_eq!(too_old(&days_ago(100), at(TODAY_NS), BOOT, KEEP), 9, "of 91 to 99 days; the next of each is old, too");
    assert_eq!(too_old(&[], at(TODAY_NS), BOOT, KEEP), 0);
    let alone = [segment(0, 1, TODAY_NS - 91 * DAY_NS)];
    assert_eq!(too_old(&alone, at(TODAY_NS), BOOT, KEEP), 1);
}

#[test]
fn one_wrong_stamp_makes_nothing_old() {
    // A board without a battery: 1970, or the day its system was built, at the beginning and in
    // between.
    for wrong_ns in [5 * SECOND_NS, PLAUSIBLE_NS - 1, PLAUSIBLE_NS + DAY_NS, TODAY_NS + 900 * DAY_NS] {
        for place in [0, 1, 40, 88] {
            let mut list = days_ago(88);
            list[place].changed_ns = wrong_ns;
            assert_eq!(too_old(&list, at(TODAY_NS), BOOT, KEEP), 0, "{wrong_ns} at {place}");
        }
    }
    // Among old ones it is as old as what is behind it, and does not stand in the way.
    let mut list = days_ago(100);
    list[3].changed_ns = 5 * SECOND_NS;
    assert_eq!(too_old(&list, at(TODAY_NS), BOOT, KEEP), 9);
    // Where no clock was ever set nothing is known.
    let unset: Vec<_> = (0..50).map(|n| segment(n, 1, n as i64 * DAY_NS)).collect();
    assert_eq!(too_old(&unset, at(TODAY_NS), BOOT, KEEP), 0);
    assert_eq!(too_old(&unset, at(60 * DAY_NS), BOOT, KEEP), 0);
}

#[test]
fn what_was_written_in_this_boot_is_no_older_than_the_boot_clock_says() {
    let mut list = days_ago(200);
    for segment in &mut list {
        segment.mark = segment.mark.map(|mark| SegmentMark { boot: BOOT, ..mark });
    }
    let now = Instant { wall_ns: TODAY_NS, boot_ns: 10 * DAY_NS };
    assert_eq!(too_old(&list, now, BOOT, KEEP), 0);
    assert_eq!(too_old(&list, now, [7; 16], KEEP), 109, "of another boot");
    assert_eq!(too_old(&list, Instant { boot_ns: 300 * DAY_NS, ..now }, BOOT, KEEP), 109, "so long ago in this one");
}

#[test]
fn the_clock_is_steady_from_the_last_time_on_that_it_was_set() {
    let mut clock = SteadyClock::default();
    let see = |clock: &mut SteadyClock, wall_s: i64, boot_s: i64| {
        let now = Instant { wall_ns: wall_s * SECOND_NS, boot_ns: boot_s * SECOND_NS };
        let set = clock.see(now).map(|ns| ns / SECOND_NS);
        (set, clock.steady_ns(now) / SECOND_NS)
    };
    // 1970, and NTP after ten minutes; a jump of 200 days for six seconds; years back.
    assert_eq!(see(&mut clock, 5, 5), (None, 0));
    assert_eq!(see(&mut clock, 605, 605), (None, 600));
    assert_eq!(see(&mut clock, 1_790_000_000, 606), (Some(1_789_999_394), 0));
    assert_eq!(see(&mut clock, 1_790_003_600, 4_206), (None, 3_600));
    let jump = 200 * 86_400;
    assert_eq!(see(&mut clock, 1_790_003_601 + jump, 4_207), (Some(jump), 0));
    assert_eq!(see(&mut clock, 1_790_003_607, 4_213), (Some(-jump), 0));
    assert_eq!(see(&mut clock, 1_600_000_000, 4_214), (Some(-190_003_608), 0));
    // Small corrections are noticed and change nothing, until they add up.
    assert_eq!(see(&mut clock, 1_600_000_030, 4_215), (Some(29), 1));
    assert_eq!(see(&mut clock, 1_600_000_060, 4_216), (Some(29), 2));
    assert_eq!(see(&mut clock, 1_600_000_090, 4_217), (Some(29), 0));
    // Slewed by 0.05 %.
    for hour in 1..40 {
        let (wall_s, boot_s) = (1_600_000_090 + hour * 3_600, 4_217 + hour * 3_600 - hour);
        assert_eq!(see(&mut clock, wall_s, boot_s).1, boot_s - 4_217);
    }
}

/// Bytes by day.
fn by_day(list: &[Sealed]) -> BTreeMap<i64, u64> {
    let mut bytes = BTreeMap::new();
    list.iter().for_each(|s| *bytes.entry(day_of(s)).or_default() += s.len_bytes);
    bytes
}

/// A spool whose recorder writes so many bytes in an hour, by the rules.
struct Simulated {
    sealed: Vec<Sealed>,
    sequence: u64,
    /// Bytes that had no room for detail.
    shed_bytes: u64,
}

/// What the sums of an hour take: 60 bytes a second (measured: `pipeline::tests::a_flood_…` has 40
/// to 60).
const SUMS_BYTES: u64 = 3_600 * 60;

impl Simulated {
    fn new() -> Self {
        Self { sealed: Vec::new(), sequence: 0, shed_bytes: 0 }
    }

    fn hour(&mut self, wall_ns: i64, bytes: u64, keep: Retention) {
        let size = (share_bytes(keep) / 2).max(64 << 10);
        let (mut left, mut shedding) = (bytes, false);
        while left > 0 {
            let now = at(wall_ns);
            let judged = room(&self.sealed, now, size, keep);
            self.sealed.retain(|s| !judged.remove.contains(s));
            let total: u64 = self.sealed.iter().map(|s| s.len_bytes).sum();
            assert!(total + size <= keep.size_bytes, "{total}");
            let for_detail = judged.detail_bytes.saturating_sub(judged.today_bytes).min(size).min(left);
            if for_detail == 0 {
                shedding = true;
                self.shed_bytes += left;
                break;
            }
            self.push(wall_ns, for_detail);
            left -= for_detail;
        }
        if shedding {
            self.push(wall_ns, (4 * SUMS_BYTES).min(size));
        }
    }

    fn push(&mut self, wall_ns: i64, bytes: u64) {
        self.sealed.push(segment(self.sequence, bytes, wall_ns));
        self.sequence += 1;
    }

    fn days(&mut self, days: std::ops::Range<i64>, bytes_in_an_hour: u64, keep: Retention) {
        // Four hours at a time, which makes fewer segments to look at.
        for part in days.start * 6..days.end * 6 {
            self.hour(TODAY_NS + part * 4 * HOUR_NS, 4 * bytes_in_an_hour, keep);
        }
    }
}

/// What a flood at the highest rate writes: 2 GiB in seven minutes.
const FLOOD_IN_AN_HOUR: u64 = (2 << 30) / 7 * 60;

#[test]
fn a_flood_takes_nothing_from_months_of_ordinary_days_but_detail_from_its_own() {
    let mut spool = Simulated::new();
    spool.days(-89..0, 400 << 10, KEEP); // 9.4 MiB a day
    let before = by_day(&spool.sealed);
    assert_eq!((before.len(), spool.shed_bytes), (89, 0));
    spool.days(0..1, FLOOD_IN_AN_HOUR, KEEP);
    let after = by_day(&spool.sealed);
    assert!(before.iter().all(|(day, bytes)| after[day] == *bytes), "each had less than its share of 11.4 MiB");
    assert!(spool.shed_bytes > 23 * FLOOD_IN_AN_HOUR);
    let flooded = after[&TODAY_NS.div_euclid(DAY_NS)];
    assert!((1 << 30..3 << 29).contains(&flooded), "what the others leave: {flooded}");
    // The days after it have all their detail: the flood's day gives way, down to its share.
    let shed = spool.shed_bytes;
    spool.days(1..60, 400 << 10, KEEP);
    assert_eq!(spool.shed_bytes, shed);
    let later = by_day(&spool.sealed);
    let kept = before.range(TODAY_NS.div_euclid(DAY_NS) - 30..);
    assert!(kept.clone().all(|(day, bytes)| later[day] == *bytes) && kept.count() == 30, "the last 90 days");
}

#[test]
fn a_flood_of_weeks_leaves_each_day_its_share() {
    let mut spool = Simulated::new();
    spool.days(-80..0, 4 << 20, KEEP); // 96 MiB a day: more than their share
    let ordinary = by_day(&spool.sealed);
    assert_eq!(ordinary.len(), 80);
    spool.days(0..9, FLOOD_IN_AN_HOUR, KEEP);
    let after = by_day(&spool.sealed);
    for (day, bytes) in &ordinary {
        assert!(after[day] >= share_bytes(KEEP).min(*bytes), "{day}: {} of {bytes}", after[day]);
    }
    assert_eq!(after.len(), 89);
}

#[test]
fn days_of_a_wrong_clock_have_no_share_beyond_the_number_that_is_kept() {
    let mut spool = Simulated::new();
    for hour in 0..400 {
        // Each hour another day, years to and fro.
        spool.hour(TODAY_NS + (hour * 7_919 % 4_000) * DAY_NS, 5 << 20, KEEP);
    }
    let total: u64 = spool.sealed.iter().map(|s| s.len_bytes).sum();
    assert!(total <= KEEP.size_bytes);
    let latest: Vec<_> = spool.sealed.iter().rev().take(80).map(|s| s.sequence().unwrap()).collect();
    assert_eq!(latest, (320..400).rev().collect::<Vec<_>>(), "the latest are there");
}

#[test]
fn with_segments_larger_than_a_share_the_budget_holds_and_the_largest_days_give() {
    let keep = Retention { size_bytes: 1_000, age: Duration::from_secs(10 * 86_400) };
    // Shares of 50; days of one segment each, one of 400, and one within its share.
    let days = [(0_i64, 400), (1, 40), (2, 300), (3, 200)];
    let list: Vec<_> = days.map(|(day, bytes)| segment(day as u64, bytes, TODAY_NS + day * DAY_NS)).into();
    let now = at(TODAY_NS + 4 * DAY_NS);
    let removed =
        |reserve| room(&list, now, reserve, keep).remove.iter().map(|s| s.sequence().unwrap()).collect::<Vec<_>>();
    assert_eq!(removed(60), [] as [u64; 0]);
    assert_eq!(removed(61), [0]);
    assert_eq!(removed(461), [0, 2]);
    assert_eq!(removed(761), [0, 2, 3]);
    assert_eq!(removed(961), [0, 2, 3, 1]);
    // Of the present day only what no other can give.
    let today = at(TODAY_NS + DAY_NS);
    let list = [segment(0, 300, TODAY_NS), segment(1, 500, today.wall_ns), segment(2, 500, today.wall_ns)];
    assert_eq!(room(&list, today, 0, keep).remove, [list[0].clone()]);
    assert_eq!(room(&list, today, 1, keep).remove, [list[0].clone(), list[1].clone()]);
}

#[test]
fn some_detail_is_kept_of_each_day() {
    let keep = Retention { size_bytes: 1_000, age: Duration::from_secs(86_400) };
    let full = [segment(0, 900, TODAY_NS - DAY_NS)];
    assert_eq!(room(&full, at(TODAY_NS), 0, keep).detail_bytes, 250);
    assert_eq!(room(&[], at(TODAY_NS), 100, keep).detail_bytes, 400);
}
