//! Date ranges: inclusive local days outside, half-open instants inside.

mod before;
mod typed;

pub use before::Back;

use crate::books::{BUCKET_S, Observed};
use crate::error::{Error, shown};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};
use std::path::PathBuf;

/// Most days that `Nd` may go back: a century, so that a slip of the finger is an error and not an
/// empty report.
const MAX_DAYS_AGO: u32 = 36_525;

/// A half-open range of instants and the zone whose days it was made of. An end that is `None` is
/// open.
#[derive(Debug, Clone)]
pub struct Range {
    /// First instant inside.
    pub from: Option<UnixNanos>,
    /// First instant after it.
    pub to: Option<UnixNanos>,
    /// The zone that its days, and those of reports, are counted in.
    pub zone: TimeZone,
}

/// What is meant where no end of a range is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsaid {
    /// The local day that goes on.
    Today,
    /// Everything there is.
    Everything,
}

impl Unsaid {
    /// What is meant of files: all that they hold; of a database, which is there for years, today.
    pub fn of(files: &[PathBuf]) -> Self {
        if files.is_empty() { Self::Today } else { Self::Everything }
    }
}

impl Range {
    /// Everything there is.
    pub fn everything(zone: TimeZone) -> Self {
        Self { from: None, to: None, zone }
    }

    /// The first instant of a local day as typed behind `option`: see [`Self::of_days`].
    ///
    /// # Errors
    /// Usage: there is no such day.
    pub fn start_of(option: &str, day: &str, now: Timestamp, zone: &TimeZone) -> Result<UnixNanos, Error> {
        let today = now.to_zoned(zone.clone()).date();
        start_of_day(option, parse_day(option, day, today)?, zone)
    }

    /// The local days `from` to `to`, both included, as typed: `2026-11-01`, `today`, `yesterday`,
    /// or `7d` (seven days ago). One of them missing leaves that end open; both missing gives what
    /// `unsaid` is.
    ///
    /// # Errors
    /// Usage errors: no such date, `from` after `to`.
    pub fn of_days(
        (from, to): (Option<&str>, Option<&str>),
        unsaid: Unsaid,
        now: Timestamp,
        zone: TimeZone,
    ) -> Result<Self, Error> {
        let today = now.to_zoned(zone.clone()).date();
        let day = |option: &str, text: Option<&str>| text.map(|t| parse_day(option, t, today)).transpose();
        let (first, last) = match (day("--from", from)?, day("--to", to)?) {
            (None, None) if unsaid == Unsaid::Today => (Some(today), Some(today)),
            (Some(first), Some(last)) if first > last => return Err(backwards(first, last)),
            ends => ends,
        };
        let after = |day: Date| day.tomorrow().map_err(|e| outside("--to", &day.to_string(), &e));
        Ok(Self {
            from: first.map(|day| start_of_day("--from", day, &zone)).transpose()?,
            to: last.map(|day| start_of_day("--to", after(day)?, &zone)).transpose()?,
            zone,
        })
    }

    /// The range that `typed` stands for; without an end it is what `unsaid` is.
    ///
    /// # Errors
    /// Usage errors: no such time, one that can be read in two ways, a beginning after the end.
    pub fn of_typed(typed: &Typed<'_>, unsaid: Unsaid, now: Timestamp, zone: TimeZone) -> Result<Self, Error> {
        let here = now.to_zoned(zone.clone());
        let stretch = |option: &str, text: &str| typed::stretch(option, text, &here);
        let between = |option: &str, text: &str| match text.split_once("..") {
            Some(("", "")) => stretch(option, text),
            Some((first, "")) => Err(one_end(option, text, &format!("`--from {}`", shown(first)))),
            Some(("", last)) => Err(one_end(option, text, &format!("`--to {}`", shown(last)))),
            Some((first, last)) => Ok::<_, Error>((stretch(option, first)?.0, stretch(option, last)?.1)),
            None => stretch(option, text),
        };
        let (from, to) = match (typed.within, typed.from, typed.to) {
            (Some((option, within)), ..) => {
                let (from, to) = between(option, within)?;
                (Some(from), Some(to))
            }
            (None, Some(from), None) if from.contains("..") => {
                let (from, to) = between("--from", from)?;
                (Some(from), Some(to))
            }
            (None, None, None) if unsaid == Unsaid::Today => {
                let (from, to) = stretch("--from", "today")?;
                (Some(from), Some(to))
            }
            (None, from, to) => {
                let from = from.map(|text| stretch("--from", text)).transpose()?;
                let to = to.map(|text| stretch("--to", text)).transpose()?;
                (from.map(|(start, _)| start), to.map(|(_, end)| end))
            }
        };
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            if from == to && [UnixNanos(i64::MIN), UnixNanos(i64::MAX)].contains(&from) {
                return Err(Error::usage("the range is outside the years that imon counts")
                    .cause("they reach from 1677-09-22 to 2262-04-11"));
            }
            let show = |at| zoned(at, &zone).as_ref().map(rfc3339).unwrap_or_default();
            return Err(Error::usage(format!("the range begins at {} and ends at {}", show(from), show(to)))
                .hint("the first time comes first; a day, week or month is included as a whole"));
        }
        Ok(Self { from, to, zone })
    }

    /// The same range, if the books can tell it from its surroundings: they are kept in quarter
    /// hours.
    ///
    /// # Errors
    /// Usage: an end lies within a quarter hour.
    pub fn in_quarters(self) -> Result<Self, Error> {
        // The ends of all time are no ends of a quarter hour, and cut none.
        let is_whole =
            |at: &UnixNanos| [i64::MIN, i64::MAX].contains(&at.0) || at.0.rem_euclid(BUCKET_S * NANOS_PER_SECOND) == 0;
        match [self.from, self.to].into_iter().flatten().find(|at| !is_whole(at)) {
            Some(at) => {
                let show = |at: UnixNanos| zoned(at, &self.zone).as_ref().map(rfc3339).unwrap_or_default();
                let before = at.floor_to(BUCKET_S * NANOS_PER_SECOND);
                let after = UnixNanos(before.0.saturating_add(BUCKET_S * NANOS_PER_SECOND));
                Err(Error::usage(format!("{} lies within a quarter hour", show(at)))
                    .cause("the books are kept in quarter hours")
                    .hint(format!("{} or {}; `imon-analyze flows` takes any time", show(before), show(after))))
            }
            None => Ok(self),
        }
    }

    /// Whether `at` lies inside.
    pub fn contains(&self, at: UnixNanos) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }

    /// Whether any of `from..to` lies inside; all of the range may lie in it.
    pub fn overlaps(&self, from: UnixNanos, to: UnixNanos) -> bool {
        self.from.is_none_or(|first| first < to) && self.to.is_none_or(|end| from < end)
    }

    /// The part of `from..to` that lies inside; of what lies outside something without length.
    pub fn clip(&self, from: UnixNanos, to: UnixNanos) -> (UnixNanos, UnixNanos) {
        let inside = |at: UnixNanos| {
            let at = self.from.map_or(at, |first| at.max(first));
            self.to.map_or(at, |end| at.min(end))
        };
        (inside(from), inside(to))
    }

    /// The instants to show: open ends are those of what was observed, whole seconds around it;
    /// `None` where neither is known.
    pub fn ends(&self, observed: Observed) -> (Option<Zoned>, Option<Zoned>) {
        let (first, last) = observed.unzip();
        let second = |at: UnixNanos| at.floor_to(NANOS_PER_SECOND);
        let after = |at: UnixNanos| UnixNanos(second(at).0.saturating_add(NANOS_PER_SECOND));
        let show = |at: UnixNanos| zoned(at, &self.zone);
        // Where nothing of what was observed lies inside, an open end stays open: a range never
        // ends before it begins.
        let first = first.map(second).filter(|first| self.to.is_none_or(|to| *first < to));
        let last = last.map(after).filter(|last| self.from.is_none_or(|from| from < *last));
        (self.from.or(first).and_then(show), self.to.or(last).and_then(show))
    }

    /// The name of the zone, or its offset where it has no name.
    pub fn zone_name(&self) -> String {
        zone_name(&self.zone)
    }
}

/// The ends of a range as typed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Typed<'a> {
    /// The option that it stands behind, and the whole of a day, week, month or `A..B`.
    pub within: Option<(&'a str, &'a str)>,
    /// The first time inside, or `A..B`.
    pub from: Option<&'a str>,
    /// The last time inside; an instant is the first after it.
    pub to: Option<&'a str>,
}

/// An instant in nanoseconds, as far as they can count.
fn zoned_nanos(at: &Zoned) -> UnixNanos {
    UnixNanos(at.timestamp().as_nanosecond().clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

/// The zone to count days in: `option` (an IANA name such as `Europe/Berlin`, `UTC`, or a fixed
/// offset such as `+05:30`), else the system's by `TZ` or /etc/localtime, else UTC.
///
/// # Errors
/// Usage errors: no such zone, in the option or in `TZ`.
pub fn zone(option: Option<&str>) -> Result<TimeZone, Error> {
    match option {
        Some(name) if name.starts_with(['+', '-']) => fixed_offset(name).ok_or_else(|| {
            Error::usage(format!("`{}` is no offset from UTC", shown(name)))
                .hint("offsets are written +05:30, -0330 or +01, east of Greenwich with a plus, and reach to 24 hours")
        }),
        Some(name) => TimeZone::get(name).map_err(|e| {
            Error::usage(format!("unknown time zone `{}`", shown(name)))
                .because(&e)
                .hint("zones have names such as Europe/Berlin, America/St_Johns or UTC; +05:30 is an offset from UTC")
        }),
        None if std::env::var_os("TZ").is_some_and(|tz| !tz.is_empty()) => TimeZone::try_system().map_err(|e| {
            Error::usage("the environment variable TZ names no known time zone")
                .because(&e)
                .hint("--zone Europe/Berlin chooses one for this run")
        }),
        // A machine without /etc/localtime keeps UTC; the report says which zone it used.
        None => Ok(TimeZone::try_system().unwrap_or(TimeZone::UTC)),
    }
}

/// The zone of an offset in ISO 8601's form: sign, two digits of hours, and perhaps two of minutes,
/// with a colon or without.
fn fixed_offset(text: &str) -> Option<TimeZone> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':').filter(|(hours, _)| hours.len() == 2)?,
        _ => return None,
    };
    let number = |text: &str, most| {
        let value = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i32>().ok())??;
        (value <= most).then_some(value)
    };
    let seconds = number(hours, 24)? * 3600 + number(minutes, 59)? * 60;
    match seconds {
        0 => Some(TimeZone::UTC),
        1..=86_400 => Offset::from_seconds(sign * seconds).ok().map(TimeZone::fixed),
        _ => None,
    }
}

/// `at` in `zone`; `None` beyond the years that the calendar has.
pub fn zoned(at: UnixNanos, zone: &TimeZone) -> Option<Zoned> {
    Timestamp::from_nanosecond(at.0.into()).ok().map(|t| t.to_zoned(zone.clone()))
}

/// An instant as shown in reports and JSON: RFC 3339 with offset, without the zone's name.
pub fn rfc3339(at: &Zoned) -> String {
    at.timestamp().display_with_offset(at.offset()).to_string()
}

fn zone_name(zone: &TimeZone) -> String {
    if let Some(name) = zone.iana_name() {
        return name.to_owned();
    }
    match zone.to_fixed_offset() {
        Ok(offset) => offset.to_string(),
        Err(_) => "local time".to_owned(),
    }
}

fn parse_day(option: &str, text: &str, today: Date) -> Result<Date, Error> {
    let ago = |days: u32| today.checked_sub(i64::from(days).days()).map_err(|e| outside(option, text, &e));
    match text {
        "today" => return Ok(today),
        "yesterday" => return ago(1),
        _ => {}
    }
    if let Some(days) = text.strip_suffix('d').and_then(|n| n.parse::<u32>().ok()) {
        return if days <= MAX_DAYS_AGO { ago(days) } else { Err(bad_day(option, text)) };
    }
    // The calendar's own parser takes times and week dates as well, and would drop the time
    // silently.
    let digits = |range| text.get(range).is_some_and(|t: &str| t.bytes().all(|b| b.is_ascii_digit()));
    let shape = text.len() == 10 && digits(0..4) && digits(5..7) && digits(8..10);
    if !shape || text.get(4..5) != Some("-") || text.get(7..8) != Some("-") {
        return Err(bad_day(option, text));
    }
    text.parse().map_err(|e: jiff::Error| bad_day(option, text).because(&e))
}

fn start_of_day(option: &str, day: Date, zone: &TimeZone) -> Result<UnixNanos, Error> {
    let failed = |e: jiff::Error| outside(option, &day.to_string(), &e);
    let start = day.to_zoned(zone.clone()).and_then(|z| z.start_of_day()).map_err(failed)?;
    let nanos = start.timestamp().as_nanosecond();
    Ok(UnixNanos(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64))
}

fn bad_day(option: &str, text: &str) -> Error {
    Error::usage(format!("{option} `{}` is not a day", shown(text)))
        .hint("days are written 2026-11-01, today, yesterday or 7d (seven days ago); both ends are included")
}

fn outside(option: &str, text: &str, error: &jiff::Error) -> Error {
    Error::usage(format!("{option} `{}` is outside the calendar", shown(text)))
        .because(error)
        .hint("days are written 2026-11-01, and each month has only those that the calendar has")
}

/// A range of which one end is missing.
fn one_end(option: &str, text: &str, instead: &str) -> Error {
    let error = Error::usage(format!("{option} `{}` has one end", shown(text)));
    error.hint(format!("{instead} asks without the other one; with both it is `2026-11-01..2026-11-30`"))
}

fn backwards(first: Date, last: Date) -> Error {
    Error::usage(format!("--from {first} is after --to {last}"))
        .hint(format!("both days are included: --from {last} --to {first} covers what lies between"))
}

/// The start of a bucket, for people: in UTC.
pub fn utc_bucket(bucket_s: i64) -> String {
    jiff::Timestamp::from_second(bucket_s).map(|t| t.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(zone: &str, from: Option<&str>, to: Option<&str>) -> Result<Range, Error> {
        let now = "2026-11-05T23:30:00Z".parse().unwrap();
        Range::of_days((from, to), Unsaid::Today, now, TimeZone::get(zone).unwrap())
    }

    fn hours(zone: &str, from: &str, to: &str) -> f64 {
        let range = at(zone, Some(from), Some(to)).unwrap();
        range.to.unwrap().since(range.from.unwrap()) as f64 / 3.6e12
    }

    fn ends(range: &Range) -> (String, String) {
        let (from, to) = range.ends(None);
        (rfc3339(&from.unwrap()), rfc3339(&to.unwrap()))
    }

    #[test]
    fn a_time_overlaps_a_range_that_lies_wholly_in_it() {
        let range = Range { from: Some(UnixNanos(10)), to: Some(UnixNanos(20)), zone: TimeZone::UTC };
        let overlaps = |from, to| range.overlaps(UnixNanos(from), UnixNanos(to));
        assert!(overlaps(0, 30) && overlaps(12, 13) && overlaps(0, 11) && overlaps(19, 30));
        assert!(!overlaps(0, 10) && !overlaps(20, 30));
    }

    #[test]
    fn days_are_as_long_as_the_zone_makes_them() {
        for (zone, day, length) in [
            ("Europe/Berlin", "2026-03-28", 24.0),
            ("Europe/Berlin", "2026-03-29", 23.0),
            ("Europe/Berlin", "2026-10-25", 25.0),
            ("America/St_Johns", "2026-03-08", 23.0),
            ("America/St_Johns", "2026-11-01", 25.0),
            ("Australia/Lord_Howe", "2026-10-04", 23.5),
            ("Asia/Kathmandu", "2026-03-29", 24.0),
            // Clocks jump at midnight: the day begins at 01:00.
            ("Africa/Cairo", "2026-04-24", 23.0),
            ("UTC", "2026-03-29", 24.0),
        ] {
            assert_eq!(hours(zone, day, day), length, "{zone} {day}");
        }
        assert_eq!(hours("Europe/Berlin", "2026-10-24", "2026-10-26"), 73.0);
    }

    #[test]
    fn ends_are_the_exact_instants_of_local_midnights() {
        let days = |zone, from, to| ends(&at(zone, Some(from), Some(to)).unwrap());
        let expect = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(
            days("Europe/Berlin", "2026-03-29", "2026-03-29"),
            expect("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00")
        );
        assert_eq!(
            days("Asia/Kathmandu", "2026-11-01", "2026-11-02"),
            expect("2026-11-01T00:00:00+05:45", "2026-11-03T00:00:00+05:45")
        );
        assert_eq!(
            days("America/St_Johns", "2026-11-01", "2026-11-01"),
            expect("2026-11-01T00:00:00-02:30", "2026-11-02T00:00:00-03:30")
        );
    }

    #[test]
    fn words_count_from_the_local_day() {
        // 23:30 UTC is already the next day in Berlin.
        let berlin = |from, to| ends(&at("Europe/Berlin", from, to).unwrap()).0;
        assert_eq!(berlin(None, None), "2026-11-06T00:00:00+01:00");
        assert_eq!(berlin(Some("yesterday"), Some("today")), "2026-11-05T00:00:00+01:00");
        assert_eq!(berlin(Some("7d"), Some("today")), "2026-10-30T00:00:00+01:00");
        assert_eq!(ends(&at("UTC", None, None).unwrap()).1, "2026-11-06T00:00:00+00:00");
    }

    fn typed(within: Option<&str>, from: Option<&str>, to: Option<&str>) -> Result<(String, String), Error> {
        let now = "2026-11-05T12:20:00Z".parse().unwrap();
        let within = within.map(|text| ("--in", text));
        let range = Range::of_typed(&Typed { within, from, to }, Unsaid::Today, now, TimeZone::UTC)?.in_quarters()?;
        let text = |at: Option<UnixNanos>| at.and_then(|at| zoned(at, &TimeZone::UTC)).map(|at| at.date().to_string());
        Ok((text(range.from).unwrap_or_default(), text(range.to).unwrap_or_default()))
    }

    #[test]
    fn a_range_goes_from_the_beginning_of_one_time_to_the_end_of_another() {
        let expect = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(typed(None, None, None).unwrap(), expect("2026-11-05", "2026-11-06"));
        assert_eq!(typed(Some("last-month"), None, None).unwrap(), expect("2026-10-01", "2026-11-01"));
        assert_eq!(typed(Some("2026-11-01..2026-11-07"), None, None).unwrap(), expect("2026-11-01", "2026-11-08"));
        assert_eq!(typed(None, Some("2026-10..2026-W45"), None).unwrap(), expect("2026-10-01", "2026-11-09"));
        assert_eq!(typed(None, Some("2026-10"), Some("yesterday")).unwrap(), expect("2026-10-01", "2026-11-05"));
        assert_eq!(typed(None, Some("7d"), None).unwrap(), expect("2026-10-30", ""));
        assert_eq!(typed(None, Some("10:00"), Some("14:00")).unwrap(), expect("2026-11-05", "2026-11-05"));
        for (from, to, says) in [
            (
                "2026-11-02",
                "2026-11-01",
                "the range begins at 2026-11-02T00:00:00+00:00 and ends at 2026-11-02T00:00:00",
            ),
            ("14:00", "14:00", "the range begins at"),
            ("14:10", "15:00", "2026-11-05T14:00:00+00:00 or 2026-11-05T14:15:00+00:00"),
        ] {
            let error = typed(None, Some(from), Some(to)).unwrap_err();
            assert!(error.to_string().contains(says) && error.exit_code() == 2, "{error}");
        }
        for (one_end, instead) in [("2026-11-02..", "`--from 2026-11-02`"), ("..2026-11-02", "`--to 2026-11-02`")] {
            let error = typed(Some(one_end), None, None).unwrap_err();
            let says = [format!("--in `{one_end}` has one end"), instead.to_owned()];
            assert!(says.iter().all(|says| error.to_string().contains(says)) && error.exit_code() == 2, "{error}");
        }
        assert!(typed(Some(".."), None, None).unwrap_err().to_string().contains("`..` is no time"));
    }

    #[test]
    fn a_missing_end_is_open() {
        let range = at("UTC", Some("2026-11-02"), None).unwrap();
        assert!(range.to.is_none() && range.contains(UnixNanos(i64::MAX)));
        assert!(!range.contains(UnixNanos(range.from.unwrap().0 - 1)));
        let now = "2026-11-05T12:00:00Z".parse().unwrap();
        let all = Range::of_days((None, None), Unsaid::Everything, now, TimeZone::UTC).unwrap();
        assert!(all.from.is_none() && all.to.is_none());
    }

    #[test]
    fn open_ends_show_what_was_observed() {
        let observed = Some((UnixNanos(1_500_000_000), UnixNanos(2_000_000_001)));
        let (from, to) = Range::everything(TimeZone::UTC).ends(observed);
        assert_eq!(rfc3339(&from.unwrap()), "1970-01-01T00:00:01+00:00");
        assert_eq!(rfc3339(&to.unwrap()), "1970-01-01T00:00:03+00:00");
    }

    #[test]
    fn what_is_not_a_day_is_a_usage_error_with_a_hint() {
        for text in ["2026-02-30", "2026-11-1", "01.11.2026", "2026-11-01T12:00", "tomorrow", "", "99999999d", "-1d"] {
            let error = at("UTC", Some(text), None).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}");
            assert!(error.to_string().contains("  hint:  days are written 2026-11-01"), "{error}");
        }
        let error = at("UTC", Some("2026-11-02"), Some("2026-11-01")).unwrap_err();
        assert!(error.to_string().starts_with("error: --from 2026-11-02 is after --to 2026-11-01\n  hint:"), "{error}");
        assert_eq!(at("UTC", None, Some("9999-12-31")).unwrap_err().exit_code(), 2);
        assert_eq!(zone(Some("Europe/Atlantis")).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_zone_may_be_an_offset() {
        for (text, start) in [
            ("+05:30", "2026-11-01T00:00:00+05:30"),
            ("+0530", "2026-11-01T00:00:00+05:30"),
            ("-03:30", "2026-11-01T00:00:00-03:30"),
            ("+01", "2026-11-01T00:00:00+01:00"),
            ("-12", "2026-11-01T00:00:00-12:00"),
            ("+14:00", "2026-11-01T00:00:00+14:00"),
            ("-00:00", "2026-11-01T00:00:00+00:00"),
        ] {
            let zone = zone(Some(text)).unwrap();
            let now = "2026-11-05T12:00:00Z".parse().unwrap();
            let range =
                Range::of_days((Some("2026-11-01"), Some("2026-11-01")), Unsaid::Everything, now, zone).unwrap();
            assert_eq!(ends(&range).0, start, "{text}");
            assert_eq!(range.to.unwrap().since(range.from.unwrap()), 24 * 3600 * NANOS_PER_SECOND);
        }
        assert_eq!(zone_name(&zone(Some("+05:30")).unwrap()), "+05:30");
        for text in ["+5:30", "+05:60", "+25", "+24:01", "+", "-", "+05:3", "+05:30:00", "+0x:30", "+1", "-ab", "+٠٥"]
        {
            let error = zone(Some(text)).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}");
            assert!(error.to_string().contains("hint:  offsets are written +05:30"), "{error}");
        }
    }

    #[test]
    fn a_zone_is_called_by_its_name_or_its_offset() {
        assert_eq!(zone_name(&TimeZone::get("Asia/Kathmandu").unwrap()), "Asia/Kathmandu");
        assert_eq!(zone_name(&TimeZone::UTC), "UTC");
        assert_eq!(zone_name(&TimeZone::fixed(jiff::tz::offset(-3))), "-03");
    }
}
