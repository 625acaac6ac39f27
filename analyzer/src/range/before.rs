//! The range that another one is compared with.

use super::{Range, zoned, zoned_nanos};
use crate::books::BUCKET_S;
use crate::error::Error;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::{SignedDuration, Span, Timestamp, ToSpan as _, Zoned};

/// Most months and days of a range that are counted as such.
const MAX_MONTHS: i32 = 1_200;

/// How far back the other range lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// By its own length: the month before a month, the seven days before seven days.
    Length,
    /// By a year.
    Year,
}

/// How far it is from one local time to the same one in the range before.
#[derive(Debug, Clone, Copy)]
enum Step {
    Calendar(Span),
    Clock(SignedDuration),
}

impl Step {
    fn back(self, at: &Zoned) -> Result<Zoned, jiff::Error> {
        match self {
            Self::Calendar(span) => at.checked_sub(span),
            Self::Clock(length) => at.checked_sub(length),
        }
    }
}

impl Range {
    /// This range and the one before it. Of a range that is not over both end as far in as now:
    /// nothing can be compared with days to come.
    ///
    /// # Errors
    /// Usage: an end is open, or lies outside the calendar.
    pub fn with_before(&self, back: Back, now: Timestamp) -> Result<[Self; 2], Error> {
        let open = || {
            Error::usage("a range with an open end has none before it")
                .hint("--in 2026-11, or --from and --to; --compare takes any range, as in --compare 2026-10")
        };
        let (from, to) = self.from.zip(self.to).ok_or_else(open)?;
        let failed = |e: jiff::Error| Error::usage("the range before is outside the calendar").because(&e);
        let (first, end) = zoned(from, &self.zone).zip(zoned(to, &self.zone)).ok_or_else(open)?;
        let step = match back {
            Back::Year => Step::Calendar(1.year()),
            Back::Length => length(&first, &end),
        };
        let now = UnixNanos(i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX));
        let quarter = now.floor_to(BUCKET_S * NANOS_PER_SECOND);
        let is_over = quarter <= from || to <= quarter;
        let until = if is_over { end } else { zoned(quarter, &self.zone).ok_or_else(open)? };
        let begin = step.back(&first).map_err(failed)?;
        let mut before_end = step.back(&until).map_err(failed)?;
        if back == Back::Length && is_over {
            // Months differ in length: the one before ends where this one begins.
            before_end = first;
        }
        let quarters = |at: &Zoned| zoned_nanos(at).floor_to(BUCKET_S * NANOS_PER_SECOND);
        let range = |from, to| Self { from: Some(from), to: Some(to), zone: self.zone.clone() };
        Ok([range(from, quarters(&until)), range(quarters(&begin), quarters(&before_end))])
    }
}

/// How long a range is: in months where it is months, in days where it is days.
fn length(first: &Zoned, end: &Zoned) -> Step {
    let starts_a_day = |at: &Zoned| at.start_of_day().is_ok_and(|start| start == *at);
    let clock = Step::Clock(first.duration_until(end));
    if !starts_a_day(first) || !starts_a_day(end) {
        return clock;
    }
    let (a, b) = (first.date(), end.date());
    let months = i32::from(b.year() - a.year()) * 12 + i32::from(b.month()) - i32::from(a.month());
    let is_months = (1..=MAX_MONTHS).contains(&months) && a.checked_add(months.months()).is_ok_and(|day| day == b);
    if is_months {
        return Step::Calendar(months.months());
    }
    a.until(b).map_or(clock, |days| Step::Calendar(days.get_days().days()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::{Typed, Unsaid, rfc3339};
    use jiff::tz::TimeZone;

    fn ranges(within: &str, back: Back, now: &str) -> [(String, String); 2] {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now: Timestamp = now.parse().unwrap();
        let typed = Typed { within: Some(("--in", within)), from: None, to: None };
        let range = Range::of_typed(&typed, Unsaid::Everything, now, zone.clone()).unwrap();
        range.with_before(back, now).unwrap().map(|range| {
            let show = |at: Option<UnixNanos>| rfc3339(&zoned(at.unwrap(), &zone).unwrap());
            (show(range.from), show(range.to))
        })
    }

    #[test]
    fn what_is_over_is_compared_as_a_whole() {
        let late = "2027-01-20T12:00:00Z";
        let [_, before] = ranges("2026-11", Back::Length, late);
        assert_eq!(before, ("2026-10-01T00:00:00+02:00".into(), "2026-11-01T00:00:00+01:00".into()));
        let [_, before] = ranges("2026-03-01..2026-03-07", Back::Length, late);
        assert_eq!(before, ("2026-02-22T00:00:00+01:00".into(), "2026-03-01T00:00:00+01:00".into()));
        let [_, before] = ranges("2026-11-05T10:00..2026-11-05T12:30", Back::Length, late);
        assert_eq!(before, ("2026-11-05T07:30:00+01:00".into(), "2026-11-05T10:00:00+01:00".into()));
        let [_, before] = ranges("2026-11", Back::Year, late);
        assert_eq!(before, ("2025-11-01T00:00:00+01:00".into(), "2025-12-01T00:00:00+01:00".into()));
    }

    #[test]
    fn what_is_not_over_is_compared_as_far_as_it_is() {
        let [now, before] = ranges("2026-11", Back::Length, "2026-11-20T11:08:00Z");
        assert_eq!(now, ("2026-11-01T00:00:00+01:00".into(), "2026-11-20T12:00:00+01:00".into()));
        assert_eq!(before, ("2026-10-01T00:00:00+02:00".into(), "2026-10-20T12:00:00+02:00".into()));
        let [_, before] = ranges("today", Back::Length, "2026-11-20T11:08:00Z");
        assert_eq!(before, ("2026-11-19T00:00:00+01:00".into(), "2026-11-19T12:00:00+01:00".into()));
        let open = Range::everything(TimeZone::UTC);
        assert_eq!(open.with_before(Back::Length, Timestamp::UNIX_EPOCH).unwrap_err().exit_code(), 2);
    }
}
