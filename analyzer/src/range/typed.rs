//! Times as people type them: days, weeks, months, instants, and words. Each stands for a stretch
//! of time with a beginning and an end.

use super::{MAX_DAYS_AGO, outside, zoned_nanos};
use crate::error::{Error, shown};
use imon_common::time::UnixNanos;
use jiff::civil::{Date, DateTime, ISOWeekDate, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp, ToSpan, Zoned};

/// A stretch of time: first instant inside, first instant after it. An instant is its own end.
pub type Stretch = (UnixNanos, UnixNanos);

/// How times are written behind every option.
const TIMES: &str = "2026-11-01, 2026-11, 2026-W46, 2026-11-01T14:00, 14:00, today, yesterday, monday, 7d (today and six \
                     days before), this-month, last-month, this-week, last-week";

/// How else times are written behind most options.
const RANGES: &str = "billing, last-billing, or 2026-11-01..2026-11-07";

/// How times are written behind `option`.
fn hint(option: &str) -> String {
    match option {
        "--on" => format!("times are written {TIMES}"),
        "--compare" => format!("previous, last-year, or a time: {TIMES}, {RANGES}"),
        _ => format!("times are written {TIMES}, {RANGES}"),
    }
}

/// What `text` stands for, typed behind `option` at the time `now`, in the zone of `now`.
///
/// # Errors
/// Usage: it is no time, it does not exist in that zone, or it can be read in two ways.
pub fn stretch(option: &str, text: &str, now: &Zoned) -> Result<Stretch, Error> {
    let word = text.to_ascii_lowercase();
    let failed = |e: &jiff::Error| outside(option, text, e);
    let days = |days: Result<(Date, Date), jiff::Error>| {
        let (first, after) = days.map_err(|e| failed(&e))?;
        let start = |day: Date| day.to_zoned(now.time_zone().clone()).and_then(|z| z.start_of_day());
        let nanos = |day| start(day).map(|z| zoned_nanos(&z)).map_err(|e| failed(&e));
        Ok((nanos(first)?, nanos(after)?))
    };
    if let Some(span) = of_word(&word, now.date()) {
        return days(span);
    }
    if let Some(span) = of_calendar(&word) {
        return days(span);
    }
    if let Some(at) = instant(&word, now) {
        return at.map(|at| (at, at)).map_err(|error| match error {
            Instant::Twice(one, other) => ambiguous(option, text, &[one, other]),
            Instant::Never => Error::usage(format!("{option} `{}` does not exist in this zone", shown(text)))
                .cause("clocks are set forward over it"),
        });
    }
    let readings = other_writings(text);
    match readings.as_slice() {
        [] => {
            let error = Error::usage(format!("{option} `{}` is no time", shown(text)));
            Err(match word.as_str() {
                "week" | "month" => error.hint(format!("this-{word}, or last-{word}")),
                "day" => error.hint("today, yesterday, or a day such as monday or 2026-11-01"),
                "year" | "this-year" => error.hint("a year is written 2026"),
                _ => error.hint(hint(option)),
            })
        }
        [one] => Err(Error::usage(format!("{option} `{}` is no time", shown(text)))
            .hint(format!("write {one}, if that is meant"))),
        several => Err(ambiguous(option, text, several)),
    }
}

fn ambiguous(option: &str, text: &str, readings: &[String]) -> Error {
    Error::usage(format!("{option} `{}` can be read in two ways", shown(text))).hint(readings.join(", or "))
}

type Days = Result<(Date, Date), jiff::Error>;

/// Days that a word stands for: the first, and the first after them.
fn of_word(word: &str, today: Date) -> Option<Days> {
    let day = |day: Date| day.tomorrow().map(|after| (day, after));
    let from = |first: Date, length: Span| first.checked_add(length).map(|after| (first, after));
    let monday = |date: Date| date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days());
    let month = today.first_of_month();
    let days = match word {
        "today" => day(today),
        "yesterday" => today.yesterday().and_then(day),
        "this-week" => monday(today).and_then(|first| from(first, 7.days())),
        "last-week" => monday(today).and_then(|m| m.checked_sub(7.days())).and_then(|first| from(first, 7.days())),
        "this-month" => from(month, 1.month()),
        "last-month" => month.checked_sub(1.month()).and_then(|first| from(first, 1.month())),
        "this-year" => from(today.first_of_year(), 1.year()),
        "last-year" => today.first_of_year().checked_sub(1.year()).and_then(|first| from(first, 1.year())),
        _ => {
            if let Some(days) = word.strip_suffix('d').and_then(|n| n.parse::<u32>().ok()) {
                let within = (1..=MAX_DAYS_AGO).contains(&days);
                let first = within.then(|| today.checked_sub(i64::from(days - 1).days()))?;
                return Some(first.and_then(|first| today.tomorrow().map(|after| (first, after))));
            }
            // The latest such day, today included.
            let ago = i64::from(weekday(word)?.until(today.weekday()));
            today.checked_sub(ago.days()).and_then(day)
        }
    };
    Some(days)
}

fn weekday(word: &str) -> Option<Weekday> {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let days = [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday];
    let is = |name: &&str| *name == word || (word.len() == 3 && name.starts_with(word));
    names.iter().position(is).and_then(|i| days.get(i).copied())
}

/// Days that a date, a week, a month or a year stands for.
fn of_calendar(text: &str) -> Option<Days> {
    let number = |text: &str, digits: usize| {
        (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<i16>().ok())?
    };
    let mut parts = text.split('-');
    let year = number(parts.next()?, 4)?;
    let small = |text: &str| number(text, 2).and_then(|n| i8::try_from(n).ok());
    let (second, third) = (parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    let from = |first: Result<Date, jiff::Error>, length: Span| {
        first.and_then(|first| first.checked_add(length).map(|after| (first, after)))
    };
    match (second, third) {
        (None, _) => Some(from(Date::new(year, 1, 1), 1.year())),
        (Some(week), None) if week.starts_with('w') => {
            let week = small(week.get(1..)?)?;
            Some(from(ISOWeekDate::new(year, week, Weekday::Monday).map(|day| day.date()), 7.days()))
        }
        (Some(month), None) => {
            let month = small(month).filter(|month| (1..=12).contains(month))?;
            Some(from(Date::new(year, month, 1), 1.month()))
        }
        (Some(month), Some(day)) => Some(from(Date::new(year, small(month)?, small(day)?), 1.day())),
    }
}

/// Why a local time is no instant.
enum Instant {
    /// Clocks are set back over it: these two.
    Twice(String, String),
    /// Clocks are set forward over it.
    Never,
}

/// The instant that a time of a day stands for, with or without its date, and with or without its
/// offset from UTC.
fn instant(text: &str, now: &Zoned) -> Option<Result<UnixNanos, Instant>> {
    let text = text.to_ascii_uppercase().replacen(' ', "T", 1);
    let has_date = text.as_bytes().get(4) == Some(&b'-');
    let text = if has_date { text } else { format!("{}T{text}", now.date()) };
    let time = text.split_once('T').map(|(_, time)| time)?;
    // Two digits and no more are an hour only behind a date.
    if !(time.contains(':') || has_date && time.len() == 2) {
        return None;
    }
    if time.contains(['Z', '+', '-']) {
        let at = text.parse::<Timestamp>().ok()?.as_nanosecond();
        return Some(Ok(UnixNanos(i64::try_from(at).ok()?)));
    }
    let local: DateTime = text.parse().ok()?;
    Some(of_local(local, now.time_zone()))
}

fn of_local(local: DateTime, zone: &TimeZone) -> Result<UnixNanos, Instant> {
    let ambiguous = zone.to_ambiguous_zoned(local);
    match ambiguous.offset() {
        AmbiguousOffset::Gap { .. } => Err(Instant::Never),
        AmbiguousOffset::Fold { before, after } => {
            let shown = |offset: jiff::tz::Offset| {
                let at = offset.to_timestamp(local).map(|at| at.display_with_offset(offset).to_string());
                at.unwrap_or_default()
            };
            Err(Instant::Twice(shown(before), shown(after)))
        }
        AmbiguousOffset::Unambiguous { .. } => {
            ambiguous.compatible().map(|at| zoned_nanos(&at)).map_err(|_| Instant::Never)
        }
    }
}

/// What a date in another writing may mean, as it is written here.
fn other_writings(text: &str) -> Vec<String> {
    let parts: Vec<&str> = text.split(['.', '/', '-']).filter(|part| !part.is_empty()).collect();
    let numbers: Option<Vec<i16>> = parts.iter().map(|part| part.parse().ok()).collect();
    let date = |year: i16, month: i16, day: i16| {
        let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        Date::new(year, month, day).ok().map(|date| date.to_string())
    };
    let mut readings: Vec<String> = match numbers.as_deref() {
        Some([a, b, year]) if *year >= 1000 => {
            [date(*year, *b, *a), date(*year, *a, *b)].into_iter().flatten().collect()
        }
        Some([year, a, b]) if *year >= 1000 => date(*year, *a, *b).into_iter().collect(),
        Some([year, week]) if *year >= 1000 && (1..=53).contains(week) => vec![format!("{year}-W{week:02}")],
        _ => Vec::new(),
    };
    readings.dedup();
    readings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Thursday.
    fn now(zone: &str) -> Zoned {
        "2026-11-05T12:20:00Z".parse::<Timestamp>().unwrap().to_zoned(TimeZone::get(zone).unwrap())
    }

    fn read(zone: &str, text: &str) -> (String, String) {
        let now = now(zone);
        let (start, end) = stretch("--from", text, &now).unwrap();
        let show = |at: UnixNanos| crate::range::rfc3339(&crate::range::zoned(at, now.time_zone()).unwrap());
        (show(start), show(end))
    }

    fn days(text: &str) -> (String, String) {
        let (start, end) = read("UTC", text);
        let day = |text: String| text.strip_suffix("T00:00:00+00:00").unwrap().to_owned();
        (day(start), day(end))
    }

    #[test]
    fn days_weeks_months_and_words_are_stretches() {
        for (text, start, end) in [
            ("2026-11-01", "2026-11-01", "2026-11-02"),
            ("2026-11", "2026-11-01", "2026-12-01"),
            ("2026-02", "2026-02-01", "2026-03-01"),
            ("2026-12", "2026-12-01", "2027-01-01"),
            ("2026", "2026-01-01", "2027-01-01"),
            ("2026-W46", "2026-11-09", "2026-11-16"),
            ("2026-w01", "2025-12-29", "2026-01-05"),
            ("today", "2026-11-05", "2026-11-06"),
            ("Yesterday", "2026-11-04", "2026-11-05"),
            ("thursday", "2026-11-05", "2026-11-06"),
            ("fri", "2026-10-30", "2026-10-31"),
            ("monday", "2026-11-02", "2026-11-03"),
            ("7d", "2026-10-30", "2026-11-06"),
            ("1d", "2026-11-05", "2026-11-06"),
            ("this-week", "2026-11-02", "2026-11-09"),
            ("last-week", "2026-10-26", "2026-11-02"),
            ("this-month", "2026-11-01", "2026-12-01"),
            ("last-month", "2026-10-01", "2026-11-01"),
            ("last-year", "2025-01-01", "2026-01-01"),
        ] {
            assert_eq!(days(text), (start.to_owned(), end.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_instant_is_its_own_end() {
        for (text, at) in [
            ("2026-11-05T14:00", "2026-11-05T14:00:00+01:00"),
            ("2026-11-05 14:00", "2026-11-05T14:00:00+01:00"),
            ("2026-11-05T14", "2026-11-05T14:00:00+01:00"),
            ("14:15", "2026-11-05T14:15:00+01:00"),
            ("2026-11-05T14:00Z", "2026-11-05T15:00:00+01:00"),
            ("2026-11-05t14:00:30+02:00", "2026-11-05T13:00:30+01:00"),
        ] {
            assert_eq!(read("Europe/Berlin", text), (at.to_owned(), at.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_an_error_with_both() {
        let error = |text: &str| stretch("--from", text, &now("Europe/Berlin")).unwrap_err();
        for (text, says) in [
            ("05.11.2026", "hint:  2026-11-05, or 2026-05-11"),
            ("5/11/2026", "hint:  2026-11-05, or 2026-05-11"),
            ("25.11.2026", "hint:  write 2026-11-25, if that is meant"),
            ("2026/11/05", "hint:  write 2026-11-05, if that is meant"),
            ("2026-46", "hint:  write 2026-W46, if that is meant"),
            ("2026-10-25T02:30", "hint:  2026-10-25T02:30:00+02:00, or 2026-10-25T02:30:00+01:00"),
            ("2026-03-29T02:30", "cause: clocks are set forward over it"),
            ("tomorrow", "hint:  times are written 2026-11-01, 2026-11"),
            ("", "hint:  times are written"),
            ("0d", "hint:  times are written"),
            ("99999999d", "hint:  times are written"),
            ("-1d", "hint:  times are written"),
            ("2026-02-30", "is outside the calendar"),
            ("2026-W54", "is outside the calendar"),
            ("2026-11-5", "hint:  write 2026-11-05, if that is meant"),
            ("14", "hint:  times are written"),
            ("2026-11-05T", "hint:  times are written"),
            ("monday..", "hint:  times are written"),
        ] {
            let error = error(text);
            assert_eq!(error.exit_code(), 2, "{text}");
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }
}
