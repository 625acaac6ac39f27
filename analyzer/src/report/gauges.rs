//! Gauges for Prometheus (text format 0.0.4, for node_exporter's textfile collector): bytes of
//! today and of billing periods, by site and by device.
//!
//! What is booked again moves bytes from one site to another, and a series that comes and goes
//! reads as a loss. So the sites and devices that have a series are fixed for a day: the largest of
//! the days before. All others are one series, and what has no name is one; together they are the
//! total.

use super::{Line, Masker, Report};
use crate::books::{Books, Row};
use crate::error::Error;
use crate::question::{Filters, Key, Question};
use crate::range::Range;
use crate::site::Sites;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Days that say who is a member: those before yesterday, of which nothing more is learned.
const DAYS_BEFORE: i64 = 8;

/// What all that are no members are called; no host name and no address has brackets.
const OTHERS: &str = "(others)";

/// What has no name is called.
const UNNAMED: &str = "(unnamed)";

/// A billing period of a plan, up to now.
#[derive(Debug, Clone)]
pub struct Billed {
    /// What the plan is called.
    pub plan: String,
    /// The period.
    pub range: Range,
    /// Interfaces of the books that count, by index; `None`: all.
    pub interfaces: Option<Vec<bool>>,
    /// Bytes that count.
    pub used: u64,
    /// Bytes that are paid for.
    pub allowance: Option<u64>,
    /// What the period may come to.
    pub projection: Option<(u64, u64)>,
}

/// What gauges are made of.
pub struct Gauges<'a> {
    /// Books from [`Gauges::needs_from`] on.
    pub books: &'a Books,
    /// How hosts become sites.
    pub sites: &'a Sites,
    /// Which bytes.
    pub filters: &'a Filters,
    /// The zone in which days begin.
    pub zone: &'a TimeZone,
    /// The time.
    pub now: UnixNanos,
    /// Most sites, and most devices, that have a series.
    pub limit: usize,
    /// What becomes of names.
    pub masker: &'a Masker,
}

/// Who has a series, each with what it calls itself.
type Members = BTreeMap<String, Option<String>>;

/// Amounts of one series.
#[derive(Debug, Clone, Copy, Default)]
struct Amounts {
    up: u64,
    down: u64,
}

impl Amounts {
    fn add(&mut self, line: &Line<'_>) {
        self.up = self.up.saturating_add(line.up_bytes);
        self.down = self.down.saturating_add(line.down_bytes);
    }
}

/// The beginning of a local day, so many days before that of `now`.
fn day(now: UnixNanos, zone: &TimeZone, before: i64) -> Option<UnixNanos> {
    let local: Zoned = Timestamp::from_nanosecond(now.0.into()).ok()?.to_zoned(zone.clone());
    let start = local.checked_sub(before.days()).ok()?.start_of_day().ok()?;
    i64::try_from(start.timestamp().as_nanosecond()).ok().map(UnixNanos)
}

impl Gauges<'_> {
    /// From where on books are needed.
    pub fn needs_from(now: UnixNanos, zone: &TimeZone) -> Option<UnixNanos> {
        day(now, zone, DAYS_BEFORE)
    }

    /// All of them as text.
    ///
    /// # Errors
    /// As [`Report::new`].
    pub fn text(&self, billed: &[Billed]) -> Result<String, Error> {
        let at = |before| day(self.now, self.zone, before);
        let range = |from, to| Range { from, to, zone: self.zone.clone() };
        let tomorrow = day(self.now, self.zone, -1);
        let today = range(at(0), tomorrow);
        // On the first days those before yesterday hold nothing yet.
        let stretches = [range(at(DAYS_BEFORE), at(1)), range(at(DAYS_BEFORE), at(0)), today.clone()];
        let mut page = Page::default();
        let mut totals = String::new();
        for (key, metric) in [(Key::Site, "imon_site_bytes"), (Key::Device, "imon_device_bytes")] {
            let members = self.members(key, &stretches)?;
            page.head(metric, &format!("IP bytes of {}s since the period began.", key.word()));
            let mut periods: Vec<(String, Range, Option<&[bool]>)> = vec![("today".to_owned(), today.clone(), None)];
            periods.extend(billed.iter().map(|billed| {
                (
                    format!("billing\",plan=\"{}", escaped(&billed.plan)),
                    billed.range.clone(),
                    billed.interfaces.as_deref(),
                )
            }));
            for (period, range, interfaces) in &periods {
                let lines = self.series(&mut page, (metric, key), (period, range, *interfaces), &members)?;
                if key == Key::Site {
                    totals.push_str(&lines);
                }
            }
        }
        page.head("imon_bytes", "IP bytes to and from sites since the period began.");
        page.text.push_str(&totals);
        plans(&mut page, billed);
        if let Some((_, last)) = self.books.observed {
            page.head("imon_booked_to_timestamp_seconds", "Until when anything is booked, in seconds since 1970.");
            _ = writeln!(page.text, "imon_booked_to_timestamp_seconds {}", last.0.div_euclid(NANOS_PER_SECOND));
        }
        Ok(page.text)
    }

    /// Rows by `key` of a stretch of time.
    fn report(&self, key: Key, range: &Range, interfaces: Option<&[bool]>) -> Result<Report, Error> {
        let inside = |row: &&Row| {
            let bucket = UnixNanos(row.bucket_s.saturating_mul(NANOS_PER_SECOND));
            let counts = |all: &[bool]| all.get(row.interface as usize).copied().unwrap_or_default();
            range.contains(bucket) && interfaces.is_none_or(counts)
        };
        let rows = self.books.rows.iter().filter(inside).copied().collect();
        let books = Books {
            rows,
            hosts: self.books.hosts.clone(),
            devices: self.books.devices.clone(),
            device_ends: self.books.device_ends.clone(),
            device_names: self.books.device_names.clone(),
            candidate_sets: self.books.candidate_sets.clone(),
            interfaces: self.books.interfaces.clone(),
            sources: self.books.sources.clone(),
            ..Books::default()
        };
        let question = Question { filters: self.filters.clone(), ..Question::by(key, range.clone()) };
        Report::new(&books, &question, self.sites)
    }

    /// The largest of the first stretch in which there is anything, with what devices call
    /// themselves.
    fn members(&self, key: Key, stretches: &[Range]) -> Result<Members, Error> {
        for range in stretches {
            let report = self.report(key, range, None)?;
            let lines = report.frame().lines();
            let named = lines.iter().filter(|line| line.total_bytes > 0 && is_named(key, line));
            let called = |line: &Line<'_>| line.device_name.map(str::to_owned);
            let members: Members =
                named.take(self.limit).filter_map(|line| Some((key_of(line)?.to_owned(), called(line)))).collect();
            if !members.is_empty() {
                return Ok(members);
            }
        }
        Ok(Members::new())
    }

    /// The series of a period; gives those of its total.
    fn series(
        &self,
        page: &mut Page,
        (metric, key): (&str, Key),
        (period, range, interfaces): (&str, &Range, Option<&[bool]>),
        members: &Members,
    ) -> Result<String, Error> {
        let report = self.report(key, range, interfaces)?;
        let (mut others, mut unnamed, mut total) = (Amounts::default(), Amounts::default(), Amounts::default());
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let lines = report.frame().lines();
        let label = |text: &str, name: Option<&str>| {
            let name = name.filter(|_| !self.masker.hides_devices());
            let name = name.map(|name| format!(",name=\"{}\"", escaped(name))).unwrap_or_default();
            format!(",{}=\"{}\"{name}", key.word(), escaped(&self.masker.key(key, text)))
        };
        for line in &lines {
            total.add(line);
            match key_of(line).filter(|text| members.contains_key(*text) && is_named(key, line)) {
                Some(text) => {
                    seen.insert(text);
                    let mut own = Amounts::default();
                    own.add(line);
                    page.sample(metric, period, &label(text, line.device_name), own);
                }
                None if is_named(key, line) => others.add(line),
                None => unnamed.add(line),
            }
        }
        // A member that moved nothing has a series all the same.
        for (text, name) in members.iter().filter(|(text, _)| !seen.contains(text.as_str())) {
            page.sample(metric, period, &label(text, name.as_deref()), Amounts::default());
        }
        page.sample(metric, period, &format!(",{}=\"{OTHERS}\"", key.word()), others);
        if key == Key::Site {
            page.sample(metric, period, &format!(",{}=\"{UNNAMED}\"", key.word()), unnamed);
        }
        let mut of_total = Page::default();
        of_total.sample("imon_bytes", period, "", total);
        Ok(of_total.text)
    }
}

fn key_of<'a>(line: &Line<'a>) -> Option<&'a str> {
    line.key.first().copied()
}

/// Whether a name stands there; every device has one.
fn is_named(key: Key, line: &Line<'_>) -> bool {
    key == Key::Device || line.named
}

fn plans(page: &mut Page, billed: &[Billed]) {
    type Of = fn(&Billed) -> Option<u64>;
    let metrics: [(&str, &str, Of); 5] = [
        ("imon_plan_used_bytes", "Bytes of the billing period that count.", |b| Some(b.used)),
        ("imon_plan_allowance_bytes", "Bytes that the plan has in the billing period.", |b| b.allowance),
        ("imon_plan_projection_low_bytes", "Bytes that the period comes to at least, by its pace.", |b| {
            Some(b.projection?.0)
        }),
        ("imon_plan_projection_high_bytes", "Bytes that the period comes to at most, by its pace.", |b| {
            Some(b.projection?.1)
        }),
        ("imon_plan_period_end_timestamp_seconds", "When the billing period ends, in seconds since 1970.", |b| {
            u64::try_from(b.range.to?.0.div_euclid(NANOS_PER_SECOND)).ok()
        }),
    ];
    for (metric, help, of) in metrics {
        let values: Vec<(&Billed, u64)> = billed.iter().filter_map(|billed| Some((billed, of(billed)?))).collect();
        if !values.is_empty() {
            page.head(metric, help);
        }
        for (billed, value) in values {
            _ = writeln!(page.text, "{metric}{{plan=\"{}\"}} {value}", escaped(&billed.plan));
        }
    }
}

/// The text so far.
#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, metric: &str, help: &str) {
        _ = writeln!(self.text, "# HELP {metric} {help}\n# TYPE {metric} gauge");
    }

    fn sample(&mut self, metric: &str, period: &str, labels: &str, amounts: Amounts) {
        for (direction, bytes) in [("down", amounts.down), ("up", amounts.up)] {
            _ = writeln!(self.text, "{metric}{{period=\"{period}\"{labels},direction=\"{direction}\"}} {bytes}");
        }
    }
}

/// A label's value: backslashes, quotes and line feeds are escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
