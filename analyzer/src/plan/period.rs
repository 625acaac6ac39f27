//! When a billing period begins and ends.

use super::Plan;
use crate::books::BUCKET_S;
use crate::range::zoned;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Zoned};

/// A billing period: local days, and the instants that they begin and end at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// First day.
    pub first: Date,
    /// First day after it.
    pub after: Date,
    /// First instant.
    pub from: UnixNanos,
    /// First instant after it.
    pub to: UnixNanos,
}

impl Period {
    /// How many days it has.
    pub fn days(&self) -> u32 {
        days_between(self.first, self.after)
    }

    /// Whether `at` lies in it.
    pub fn contains(&self, at: UnixNanos) -> bool {
        self.from <= at && at < self.to
    }

    /// How long it is, in seconds.
    pub fn length_s(&self) -> u64 {
        u64::try_from(self.to.0.saturating_sub(self.from.0) / NANOS_PER_SECOND).unwrap_or_default()
    }
}

/// Days from one to another, 0 if it is no later one.
pub(super) fn days_between(first: Date, after: Date) -> u32 {
    first.until(after).map_or(0, |span| u32::try_from(span.get_days()).unwrap_or_default())
}

/// The billing date in the month of `of`.
fn in_month(of: Date, billing_day: i8) -> Option<Date> {
    Date::new(of.year(), of.month(), billing_day.clamp(1, of.days_in_month())).ok()
}

/// The first day of the billing month that `day` lies in.
pub fn first_day(day: Date, billing_day: i8) -> Option<Date> {
    let this = in_month(day, billing_day)?;
    if this <= day { Some(this) } else { in_month(day.first_of_month().checked_sub(1.month()).ok()?, billing_day) }
}

/// The first day of the billing month after the one that begins on `first`.
pub fn next_day(first: Date, billing_day: i8) -> Option<Date> {
    in_month(first.first_of_month().checked_add(1.month()).ok()?, billing_day)
}

/// The first instant of a local day, which is a beginning of a quarter hour in every zone in use.
pub(super) fn start_of(day: Date, zone: &TimeZone) -> Option<UnixNanos> {
    let start = day.to_zoned(zone.clone()).ok()?.start_of_day().ok()?;
    let nanos = UnixNanos(i64::try_from(start.timestamp().as_nanosecond()).ok()?);
    Some(nanos.floor_to(BUCKET_S * NANOS_PER_SECOND))
}

impl Plan {
    /// The local time at which something happens.
    pub fn local(&self, at: UnixNanos) -> Option<Zoned> {
        zoned(at, &self.zone)
    }

    /// The first instant of this version; `None`: it was always there.
    pub(super) fn begins(&self) -> Option<UnixNanos> {
        start_of(self.from?, &self.zone)
    }

    /// Whether this version is in force: from the beginning of its first day, in its own zone, to
    /// that of the next one.
    pub(super) fn is_in_force(&self, at: UnixNanos) -> bool {
        self.begins().is_none_or(|begin| begin <= at) && self.until.is_none_or(|(_, end)| at < end)
    }

    /// The local day of an instant, of those on which this version is in force: where the next one
    /// is of another zone, the last one is longer or shorter.
    pub(super) fn day_of(&self, at: UnixNanos) -> Option<Date> {
        let day = self.local(at)?.date();
        let last = self.until.and_then(|(until, _)| until.yesterday().ok());
        Some(last.map_or(day, |last| day.min(last)))
    }

    /// The period that a day lies in; `None` where this version of the plan is not in force, and
    /// beyond the calendar.
    pub fn period_of(&self, day: Date) -> Option<Period> {
        if self.from.is_some_and(|from| day < from) || self.until.is_some_and(|(until, _)| until <= day) {
            return None;
        }
        let first = first_day(day, self.billing_day)?;
        let after = next_day(first, self.billing_day)?;
        let first = self.from.map_or(first, |from| first.max(from));
        let from = start_of(first, &self.zone)?;
        // The version ends within it, or with it.
        let (after, to) = match self.until.filter(|(until, _)| *until <= after) {
            Some((until, to)) => (until, to.max(from)),
            None => (after, start_of(after, &self.zone)?),
        };
        Some(Period { first, after, from, to })
    }

    /// The period before one of this version of the plan.
    pub fn before(&self, period: &Period) -> Option<Period> {
        self.period_of(period.first.yesterday().ok()?)
    }
}
