//! Which sealed segments must go, and when there is no more room for detail. Decisions only;
//! `pipeline/room` acts on them.
//!
//! Two reasons to remove, and what each may not do:
//!
//! - **Age** (`--keep-days`) rests on the wall clock, which may be wrong. Segments go in the order
//!   in which they were written, one an hour at the most, and only while the clock agrees with the
//!   one that is never set: [`SteadyClock`], [`too_old`].
//! - **Room** (`--keep-size`) may be used up by anybody who can send packets. Each day keeps a
//!   share of its own, whatever comes later, and the day that needs more loses detail before
//!   another loses its record: [`room`].

use crate::rotate::{Retention, Sealed};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

const SECOND_NS: i64 = 1_000_000_000;

/// A day of UTC.
pub const DAY_NS: i64 = 86_400 * SECOND_NS;

/// How long the wall clock must have agreed with the boot clock before age counts, and how long it
/// is from one removal for age to the next. A choice: long beside what sets a clock (NTP, a person
/// who sees that it is wrong), short beside a day.
pub const HOUR_NS: i64 = 3_600 * SECOND_NS;

/// How far the wall clock may move against the boot clock and still be the same clock. NTP slews by
/// at most 0.05 % (3 minutes in four days) and sets small errors at once; against days of age a
/// minute is nothing.
const DRIFT_NS: i64 = 60 * SECOND_NS;

/// A stamp from before this instant is of a clock that was not set: 2026-01-01, when there was no
/// such segment yet.
const PLAUSIBLE_NS: i64 = 1_767_225_600 * SECOND_NS;

/// An instant as the decisions see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant {
    /// UTC, by a clock that may be wrong.
    pub wall_ns: i64,
    /// The boot clock: never set, goes on while the machine sleeps.
    pub boot_ns: i64,
}

impl Instant {
    /// The day of UTC.
    pub fn day(self) -> i64 {
        self.wall_ns.div_euclid(DAY_NS)
    }
}

/// Watches how the wall clock moves against the boot clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SteadyClock {
    /// Wall clock minus boot clock at the last look, and when this agreement began with which
    /// difference.
    last_ns: Option<i64>,
    since: Option<Instant>,
}

impl SteadyClock {
    /// Takes in a reading of both. Gives by how much the wall clock was set since the last one, if
    /// it was.
    pub fn see(&mut self, now: Instant) -> Option<i64> {
        let difference = |at: Instant| at.wall_ns.saturating_sub(at.boot_ns);
        let set_ns = difference(now).saturating_sub(self.last_ns.unwrap_or(difference(now)));
        self.last_ns = Some(difference(now));
        let away = |since: Instant| difference(now).saturating_sub(difference(since)).saturating_abs();
        if self.since.is_none_or(|since| away(since) > DRIFT_NS) {
            self.since = Some(now);
        }
        (set_ns.saturating_abs() >= SECOND_NS).then_some(set_ns)
    }

    /// For how long both have agreed, by the boot clock.
    pub fn steady_ns(&self, now: Instant) -> i64 {
        self.since.map_or(0, |since| now.boot_ns.saturating_sub(since.boot_ns))
    }
}

/// Sorts by the order in which segments were written. What is no segment comes first.
pub fn in_order(mut sealed: Vec<Sealed>) -> Vec<Sealed> {
    sealed.sort_by(|a, b| (a.sequence(), a.changed_ns, &a.name).cmp(&(b.sequence(), b.changed_ns, &b.name)));
    sealed
}

/// How many segments, from the first on, are older than what is kept. `sealed` is in order; `boot`
/// identifies the present boot of the machine, with zeros for none.
///
/// A segment is as old as its own stamp and that of the one behind it both say: one wrong stamp
/// makes nothing old. One of this boot is no older than the boot clock says. Stamps that cannot be
/// (before there was such a thing, or in the future) say nothing, and where none says anything
/// nothing is old.
pub fn too_old(sealed: &[Sealed], now: Instant, boot: [u8; 16], keep: Retention) -> usize {
    let limit_ns = i64::try_from(keep.age.as_nanos()).unwrap_or(i64::MAX);
    let stamp = |s: &Sealed| Some(s.changed_ns).filter(|ns| (PLAUSIBLE_NS..=now.wall_ns).contains(ns));
    let is_old = |(place, segment): (usize, &Sealed)| {
        let behind = sealed.get(place.saturating_add(1)..).unwrap_or_default();
        let own_and_next = stamp(segment).max(behind.first().and_then(stamp));
        let last_change = own_and_next.or_else(|| behind.iter().find_map(stamp));
        let by_boot_ns = segment.mark.filter(|mark| mark.boot == boot && boot != [0; 16]).map_or(i64::MAX, |mark| {
            now.boot_ns.saturating_sub(i64::try_from(mark.monotonic_start_ns).unwrap_or(i64::MAX))
        });
        last_change.is_some_and(|ns| now.wall_ns.saturating_sub(ns).min(by_boot_ns) > limit_ns)
    };
    sealed.iter().enumerate().take_while(|found| is_old(*found)).count()
}

/// What to do for want of room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// These go, in this order.
    pub remove: Vec<Sealed>,
    /// The day that this is about.
    pub day: i64,
    /// What its sealed segments take.
    pub today_bytes: u64,
    /// What they and the open one may take with detail; from there on only sums.
    pub detail_bytes: u64,
}

/// Bytes that each day keeps, if it has so many: half of the budget, divided by the days that are
/// kept.
pub fn share_bytes(keep: Retention) -> u64 {
    keep.size_bytes / 2 / days(keep)
}

fn days(keep: Retention) -> u64 {
    keep.age.as_secs().div_ceil(86_400).max(1)
}

/// Which segments go so that the rest, and `reserve_bytes` for the open one, keep to the budget;
/// and how much the present day may take. `sealed` is in order.
///
/// The oldest go first, of days that keep their share without them. Only if that is not enough
/// (segments were larger than half a share) the largest of the other days loses more, then the
/// present one. A day is what the stamps say; when a wrong clock makes more of them than are kept,
/// the latest ones have a share.
pub fn room(sealed: &[Sealed], now: Instant, reserve_bytes: u64, keep: Retention) -> Room {
    let mut days = Days::of(sealed, now.day(), keep);
    let today_bytes = days.bytes.get(&days.today).copied().unwrap_or(0);
    // What each other day can do without, in order, the oldest of a day first.
    let (mut spare, mut settled, mut least) = (Vec::new(), HashSet::from([days.today]), days.bytes.clone());
    for segment in sealed.iter().filter(|s| day_of(s) != days.today) {
        let day = day_of(segment);
        let sum = least.entry(day).or_default();
        match sum.checked_sub(segment.len_bytes).filter(|rest| *rest >= days.share(day) && !settled.contains(&day)) {
            Some(rest) => {
                *sum = rest;
                spare.push(segment);
            }
            None => drop(settled.insert(day)),
        }
    }
    let others = sum(least.iter().filter(|(day, _)| **day != days.today).map(|(_, bytes)| *bytes));
    let for_today = keep.size_bytes.saturating_sub(others).saturating_sub(reserve_bytes);

    let is_over = |days: &Days<'_>| sum(days.bytes.values().copied().chain([reserve_bytes])) > keep.size_bytes;
    for segment in spare {
        if is_over(&days) {
            days.take(segment);
        }
    }
    // Not enough: rather less than a share for one than a disk that is full for all.
    while is_over(&days) {
        let Some(segment) =
            days.largest().and_then(|day| sealed.iter().find(|s| day_of(s) == day && !days.has_taken(s)))
        else {
            break;
        };
        days.take(segment);
    }
    Room {
        remove: days.taken.into_iter().cloned().collect(),
        day: now.day(),
        today_bytes,
        // Its own share is for the sums. However little the others leave, some detail is kept.
        detail_bytes: for_today.saturating_sub(share_bytes(keep)).max(keep.size_bytes / 4),
    }
}

fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

fn day_of(segment: &Sealed) -> i64 {
    segment.changed_ns.div_euclid(DAY_NS)
}

/// What each day has, while segments are taken from it.
struct Days<'a> {
    today: i64,
    bytes: BTreeMap<i64, u64>,
    /// The latest days, as many as are kept.
    sharing: HashSet<i64>,
    share_bytes: u64,
    taken: Vec<&'a Sealed>,
}

impl<'a> Days<'a> {
    fn of(sealed: &[Sealed], today: i64, keep: Retention) -> Self {
        let (mut bytes, mut sharing) = (BTreeMap::<i64, u64>::new(), HashSet::new());
        for segment in sealed.iter().rev() {
            let day = day_of(segment);
            if (sharing.len() as u64) < days(keep) {
                sharing.insert(day);
            }
            let sum = bytes.entry(day).or_default();
            *sum = sum.saturating_add(segment.len_bytes);
        }
        Self { today, bytes, sharing, share_bytes: share_bytes(keep), taken: Vec::new() }
    }

    fn share(&self, day: i64) -> u64 {
        if self.sharing.contains(&day) { self.share_bytes } else { 0 }
    }

    /// The day that has most beyond its share; the present one only if no other has more than that.
    fn largest(&self) -> Option<i64> {
        let beyond = |day: i64, bytes: u64| bytes.saturating_sub(self.share(day));
        let some = self.bytes.iter().filter(|(_, bytes)| **bytes > 0);
        let key = |day: i64, bytes: u64| (beyond(day, bytes) > 0, day != self.today, beyond(day, bytes));
        some.max_by_key(|(day, bytes)| key(**day, **bytes)).map(|(day, _)| *day)
    }

    fn take(&mut self, segment: &'a Sealed) {
        if let Some(sum) = self.bytes.get_mut(&day_of(segment)) {
            *sum = sum.saturating_sub(segment.len_bytes);
        }
        self.taken.push(segment);
    }

    fn has_taken(&self, segment: &Sealed) -> bool {
        self.taken.iter().any(|taken| taken.name == segment.name)
    }
}

/// A length of time in whole hours or days, for people.
pub fn length_text(ns: i64) -> String {
    let time = Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
    match time.as_secs() / 3_600 {
        hours @ 0..48 => format!("{hours} h"),
        hours => format!("{} days", hours / 24),
    }
}

#[cfg(test)]
mod tests;
