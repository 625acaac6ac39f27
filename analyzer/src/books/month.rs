//! A month (UTC) as it is put away: rows as the store has them, before endpoints become devices.

use super::{Endpoint, Host, Interface, PageRow, Row};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::fmt;
use std::str::FromStr;

/// A month of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(i32);

impl Month {
    /// The month with this number: years from year 0 times twelve, and the months before it.
    pub fn from_number(number: i64) -> Option<Self> {
        let month = Self(i32::try_from(number).ok()?);
        month.first_day().map(|_| month)
    }

    /// See [`Month::from_number`].
    pub fn number(self) -> i64 {
        self.0.into()
    }

    /// The month that holds this second since 1970; `None` outside the calendar.
    pub fn of_second(second: i64) -> Option<Self> {
        let day = jiff::Timestamp::from_second(second).ok()?.to_zoned(jiff::tz::TimeZone::UTC).date();
        Some(Self(i32::from(day.year()) * 12 + i32::from(day.month()) - 1))
    }

    /// The month after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    fn first_day(self) -> Option<jiff::civil::Date> {
        let (year, month) = (i16::try_from(self.0.div_euclid(12)).ok()?, i8::try_from(self.0.rem_euclid(12) + 1).ok()?);
        jiff::civil::Date::new(year, month, 1).ok()
    }

    /// Its first second, and the first one after it.
    pub fn seconds(self) -> (i64, i64) {
        let first = |month: Self, else_at| {
            let at = month.first_day().and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
            at.map_or(else_at, |at| at.timestamp().as_second())
        };
        (first(self, i64::MIN), first(self.next(), i64::MAX))
    }

    /// Its first instant, and the first one after it: [`Month::seconds`], as far as instants reach.
    pub fn instants(self) -> (UnixNanos, UnixNanos) {
        let at = |second: i64| UnixNanos(second.saturating_mul(NANOS_PER_SECOND));
        let (from_s, to_s) = self.seconds();
        (at(from_s), at(to_s))
    }

    /// Whether something that was observed from `first` to `last` reaches into it.
    pub fn is_touched(self, first: UnixNanos, last: UnixNanos) -> bool {
        let (from, to) = self.instants();
        first < to && from <= last
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1))
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a month such as 2026-10".to_owned();
        let (year, month) = text.split_once('-').ok_or_else(wrong)?;
        let is_number = |text: &str, len| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(year, 4) || !is_number(month, 2) {
            return Err(wrong());
        }
        let (year, month): (i64, i64) = (year.parse().map_err(|_| wrong())?, month.parse().map_err(|_| wrong())?);
        (1..=12).contains(&month).then_some(year * 12 + month - 1).and_then(Self::from_number).ok_or_else(wrong)
    }
}

/// A count of a bucket that is no usage: see `Counter::to_numbers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountRow {
    /// Start of the bucket in Unix seconds.
    pub bucket_s: i64,
    /// Index into [`MonthRows::sources`].
    pub source: u32,
    /// The counter's number.
    pub counter: u8,
    /// Its detail.
    pub detail: u32,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What the store holds of a month. `device` of rows is an index into `endpoints`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MonthRows {
    /// What [`Row::host`] points to.
    pub hosts: Vec<Host>,
    /// What [`Row::device`] points to.
    pub endpoints: Vec<Endpoint>,
    /// What [`Row::candidates`] points to.
    pub candidate_sets: Vec<Vec<u32>>,
    /// What [`Row::interface`] points to.
    pub interfaces: Vec<Interface>,
    /// What [`Row::source`] points to: identities.
    pub sources: Vec<Vec<u8>>,
    /// Usage.
    pub rows: Vec<Row>,
    /// Parts that pages pulled in.
    pub parts: Vec<PageRow>,
    /// Everything else that is counted.
    pub counts: Vec<CountRow>,
}

/// Sums of rows: what must agree wherever they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowSums {
    /// How many rows.
    pub rows: u64,
    /// IP bytes up, IP bytes down, packets up, packets down.
    pub amounts: [u64; 4],
}

impl RowSums {
    /// Takes in a row's amounts.
    pub fn add(&mut self, amounts: [u64; 4]) {
        self.rows = self.rows.saturating_add(1);
        self.amounts.iter_mut().zip(amounts).for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }
}

impl Row {
    /// Bytes up, bytes down, packets up, packets down.
    pub fn amounts(&self) -> [u64; 4] {
        [self.up_bytes, self.down_bytes, self.up_packets, self.down_packets]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_know_their_seconds_and_their_names() {
        let month: Month = "2026-10".parse().unwrap();
        assert_eq!(month.seconds(), (1_790_812_800, 1_793_491_200));
        assert_eq!((month.to_string().as_str(), month.next().to_string().as_str()), ("2026-10", "2026-11"));
        let (from, to) = month.instants();
        assert_eq!((from, to), (UnixNanos(1_790_812_800_000_000_000), UnixNanos(1_793_491_200_000_000_000)));
        let before = UnixNanos(from.0 - 1);
        assert!(month.is_touched(before, from) && month.is_touched(UnixNanos(to.0 - 1), to));
        assert!(!month.is_touched(before, before) && !month.is_touched(to, to));
        for (second, name) in [(1_793_491_199, "2026-10"), (1_793_491_200, "2026-11"), (-1, "1969-12"), (0, "1970-01")]
        {
            assert_eq!(Month::of_second(second).unwrap().to_string(), name);
        }
        let december: Month = "2027-12".parse().unwrap();
        assert_eq!(december.next().to_string(), "2028-01");
        assert_eq!(Month::from_number(december.number()), Some(december));
        for text in ["2026-13", "2026-00", "2026-1", "26-10", "2026-10-01", "+026-10", ""] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
        assert_eq!((Month::of_second(i64::MAX), Month::from_number(i64::MAX)), (None, None));
    }
}
