//! Question → sums → frame → table. Nothing outside this folder knows polars; nothing in it knows
//! SQL, the clock or the environment.
//!
//! ```text
//! Books + Question ─► axes (which row belongs where) ─► sums ─► frame (sorted, cut) ─► columns ─► a sink
//! ```

mod axes;
mod calendar;
mod clients;
mod columns;
mod compare;
mod frame;
pub mod gauges;
mod ledger;
mod mask;
mod origins;
pub mod overview;
mod pages;
mod places;
mod sums;
mod times;

use calendar::Calendar;
pub use clients::devices as devices_called;
pub use columns::name_of;
pub use compare::{Carried, Comparison};
pub use frame::{Frame, Line, Rest};
pub use ledger::overlap_text;
pub use mask::{Mask, Masker, Side};
pub use origins::called as sources_called;
pub use pages::{BookedOn, PageSums, page_parts};
pub use places::{Label, called, host_label};

use crate::books::{Books, Evidence, Interface, Ledger, Traffic};
use crate::error::{Error, shown};
use crate::imported::Piece;
use crate::page::HtmlSink;
use crate::question::{Filters, Key, Question};
use crate::range::{Range, rfc3339};
use crate::site::Sites;
pub use crate::table::TotalsShown as LedgerShown;
use crate::table::{CsvSink, Field, Footer, Head, JsonDocument, ParquetSink, Sink, TextSink, TextStyle};
use crate::timeline::Timeline;
use imon_common::time::UnixNanos;
use jiff::Zoned;
use serde_json::json;
use std::io::{self, Write};

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people: aligned columns, then the ledger.
    #[default]
    Table,
    /// One document: range, rows, ledger.
    Json,
    /// A header with units, then the rows; no ledger.
    Csv,
    /// Typed columns for data frames, with -o FILE; of report, site, flows and names.
    Parquet,
    /// A page for a browser, one file that asks for nothing; without --by an overview.
    Html,
    /// Gauges for Prometheus of today and of billing periods, by site and device; of report.
    Prometheus,
}

impl Format {
    /// How a plain list is written in this format; `None` for the table, which is made for people.
    pub fn lines(self) -> Option<crate::cli::LineFormat> {
        match self {
            Self::Table => None,
            Self::Json => Some(crate::cli::LineFormat::Json),
            Self::Csv => Some(crate::cli::LineFormat::Csv),
            Self::Parquet => Some(crate::cli::LineFormat::Parquet),
            Self::Html | Self::Prometheus => None,
        }
    }
}

/// What writes a table in this format; text in that style, a page with that title. Gauges are made
/// of several reports ([`gauges`]), and never of one table: what asks for them here gets text.
pub fn sink<'a>(format: Format, style: TextStyle, title: String, out: &'a mut dyn Write) -> Box<dyn Sink + 'a> {
    match format {
        Format::Table | Format::Prometheus => Box::new(TextSink::new(out, style)),
        Format::Json => Box::new(JsonDocument::new(out)),
        Format::Csv => Box::new(CsvSink::new(out)),
        Format::Parquet => Box::new(ParquetSink::new(out)),
        Format::Html => Box::new(HtmlSink::new(out, title)),
    }
}

/// Rows and ledger of one question, ready to be written.
#[derive(Debug)]
pub struct Report {
    frame: Frame,
    zone: String,
    from: Option<Zoned>,
    to: Option<Zoned>,
    ledger: Ledger,
    /// When was recorded, in the range that was asked for and of what was observed.
    timeline: Timeline,
    range: Range,
    observed: Option<(UnixNanos, UnixNanos)>,
    /// Bytes by kind of evidence over the whole range, local traffic left out.
    named_by: [u64; Evidence::ALL.len()],
    /// The names that the rows are of, when they are not of everything.
    names: Vec<String>,
    /// What the rows are of, when they are not of everything.
    filters: Filters,
    /// Bytes that a row has at least.
    min_bytes: u64,
    /// Nothing was visited: the rows are what was served, though something else was asked for.
    only_served: bool,
    /// What made it.
    versions: Vec<Field>,
    /// Where it was looked: what people read where there is nothing, a line each.
    looked: Vec<String>,
    /// What another program counted before, of the interfaces that are asked for.
    imported: Vec<Piece>,
    /// What becomes of names.
    masker: Masker,
}

/// Whether a report on what was visited would be empty because all that was recorded was opened by
/// others: a server's capture. Then what was served is the answer.
fn is_only_served(books: &Books, question: &Question) -> bool {
    let about_sites = question.keys.iter().any(|key| key.is_of_host() && *key != Key::Served);
    let all = || books.rows.iter().chain(&books.unread);
    about_sites && all().any(|row| row.traffic == Traffic::Served) && !all().any(|row| question.takes(row.traffic))
}

/// The question with what was served in place of what was visited.
fn of_served(question: &Question) -> Question {
    let mut keys: Vec<Key> = Vec::new();
    for key in &question.keys {
        let key = if key.is_of_host() { Key::Served } else { *key };
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Question { keys, ..question.clone() }
}

/// What another program counted of what the filters ask for: it knows interfaces, and nothing else.
fn imported_of(books: &Books, filters: &Filters) -> Vec<Piece> {
    let others = Filters { interfaces: Vec::new(), ..filters.clone() };
    if !others.is_empty() {
        return Vec::new();
    }
    let takes = |piece: &&Piece| filters.takes_interface(&Interface { name: piece.interface.clone(), vlan: None });
    books.imported.iter().filter(takes).cloned().collect()
}

/// Maps the start of a bucket to one that stands for its stretch of time, as far as a question
/// tells stretches apart.
pub fn stretches(question: &Question) -> impl FnMut(i64) -> i64 + use<> {
    let times: Vec<Key> = question.keys.iter().copied().filter(|key| key.is_time()).collect();
    let mut calendar = Calendar::new(times, question);
    let mut stands: Vec<i64> = Vec::new();
    move |bucket_s| {
        let id = usize::try_from(calendar.id(bucket_s)).unwrap_or(usize::MAX);
        match stands.get(id) {
            Some(stands) => *stands,
            // Numbers are given one after the other.
            None => {
                stands.push(bucket_s);
                bucket_s
            }
        }
    }
}

impl Report {
    /// The report that `question` asks for.
    ///
    /// # Errors
    /// `Failed` if the frame cannot be made: never seen, polars reports it.
    pub fn new(books: &Books, question: &Question, sites: &Sites) -> Result<Self, Error> {
        let only_served = is_only_served(books, question);
        let served = only_served.then(|| of_served(question));
        let question = served.as_ref().unwrap_or(question);
        let paged = question.keys.contains(&Key::Page).then(|| pages::on_pages(books, sites));
        let notes = paged.as_ref().map(|(_, notes)| notes.as_slice());
        let books = paged.as_ref().map_or(books, |(books, _)| books);
        let axes = vec![axes::Axes::of_question(books, question, sites)];
        let report = Self::of(books, question, sites, Frame::new(books, question, axes, notes)?);
        Ok(Self { only_served, ..report })
    }

    /// One row for each of `names` and each local stretch of time of the question's keys in which
    /// bytes were, or could have been, its own. A family stands for its sites, a site for its
    /// hosts, a registrable domain that is part of a site for the hosts below it, any other name
    /// for the host or address of that name. Keys of hosts do not count here.
    ///
    /// # Errors
    /// As [`Report::new`].
    pub fn of_names(books: &Books, question: &Question, sites: &Sites, names: &[String]) -> Result<Self, Error> {
        let axes = names
            .iter()
            .enumerate()
            .map(|(nth, name)| axes::Axes::of_name(books, question, sites, (nth, name)))
            .collect();
        let report = Self::of(books, question, sites, Frame::new(books, question, axes, None)?);
        Ok(Self { names: names.to_vec(), ..report })
    }

    fn of(books: &Books, question: &Question, sites: &Sites, frame: Frame) -> Self {
        let mut named_by = [0_u64; Evidence::ALL.len()];
        for row in books.rows.iter().chain(&books.unread).filter(|row| row.traffic.is_of_sites()) {
            if let Some(bytes) = named_by.get_mut(row.evidence.index()) {
                *bytes = bytes.saturating_add(row.up_bytes).saturating_add(row.down_bytes);
            }
        }
        let (from, to) = question.range.ends(books.observed);
        Self {
            frame,
            zone: question.range.zone_name(),
            from,
            to,
            ledger: books.ledger.clone(),
            timeline: books.timeline.clone(),
            range: question.range.clone(),
            observed: books.observed,
            named_by,
            names: Vec::new(),
            filters: question.filters.clone(),
            min_bytes: question.min_bytes,
            only_served: false,
            versions: crate::version::fields(sites),
            looked: Vec::new(),
            imported: imported_of(books, &question.filters),
            masker: Masker::default(),
        }
    }

    /// The same report, which says where it was looked if there is nothing.
    #[must_use]
    pub fn looked_in(self, looked: Vec<String>) -> Self {
        Self { looked, ..self }
    }

    /// The same report with numbers for names; `books`: those that it is of.
    #[must_use]
    pub fn masked(self, mask: Option<Mask>, books: &Books) -> Self {
        let masker = Masker::new(mask, books);
        // These lines name the files and the database.
        let looked = if masker.hides_devices() { Vec::new() } else { self.looked };
        Self { masker, looked, ..self }
    }

    /// What becomes of names.
    pub fn masker(&self) -> &Masker {
        &self.masker
    }

    /// The rows.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Writes it; text in that style.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, format: Format, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
        columns::write(self, &mut *sink(format, style, self.days(), out))
    }

    /// The local days that it is of, for people; of less than a day also the hours.
    pub fn days(&self) -> String {
        let (Some(from), Some(to)) = (&self.from, &self.to) else { return "no time at all".to_owned() };
        let is_midnight = |at: &Zoned| at.start_of_day().is_ok_and(|start| start == *at);
        let format = |at: &Zoned, how: &str| at.strftime(how).to_string();
        let last = to.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap_or_else(|_| to.clone());
        let is_one_day = from.date() == last.date();
        match (is_midnight(from) && is_midnight(to), is_one_day) {
            (true, true) => format(from, "%A, %-d %B %Y"),
            (true, false) => format!("{} to {}", format(from, "%-d %B %Y"), format(&last, "%-d %B %Y")),
            (false, true) => format!("{} to {}", format(from, "%-d %B %Y, %H:%M"), format(to, "%H:%M")),
            (false, false) => format!("{} to {}", format(from, "%-d %B %Y, %H:%M"), format(to, "%-d %B %Y, %H:%M")),
        }
    }

    /// What stands above its rows.
    pub fn head(&self) -> Head {
        columns::head(self)
    }

    /// What stands below its rows, but for what signs in rows mean.
    pub fn footer(&self) -> Footer {
        columns::footer(self, &[])
    }

    /// The filters by their words, with numbers for names that are hidden.
    fn filters_shown(&self) -> Vec<(&'static str, Vec<String>)> {
        self.masker.filters(&self.filters)
    }

    /// What the rows are of, in words for people; `None` if of everything.
    fn filter_text(&self) -> Option<String> {
        let words: Vec<String> =
            self.filters_shown().into_iter().map(|(what, values)| format!("{what} {}", values.join(" or "))).collect();
        (!words.is_empty()).then(|| shown(&words.join(", ")))
    }

    /// The same for scripts.
    fn filter_json(&self) -> Option<serde_json::Value> {
        let filters = self.filters_shown();
        let fields = filters.into_iter().map(|(what, values)| (what.to_owned(), json!(values)));
        let fields: serde_json::Map<_, _> = fields.collect();
        (!fields.is_empty()).then(|| fields.into())
    }

    /// Bytes of the range that belong to rows of some kind and are in none: 0 unless rows and
    /// ledger disagree, or the rows are not of everything.
    fn not_in_rows(&self) -> i128 {
        if !self.names.is_empty() || !self.filters.is_empty() {
            return 0;
        }
        let Ledger { named_bytes, infrastructure_bytes, address_only_bytes, .. } = self.ledger;
        let booked: i128 = [named_bytes, infrastructure_bytes, address_only_bytes].map(i128::from).iter().sum();
        let named_by: i128 = self.named_by.iter().copied().map(i128::from).sum();
        booked - named_by
    }

    /// Bytes of the range with this kind of evidence, local traffic left out.
    fn named_by(&self, evidence: Evidence) -> u64 {
        self.named_by.get(evidence.index()).copied().unwrap_or_default()
    }

    fn start(&self) -> Option<String> {
        self.from.as_ref().map(rfc3339)
    }

    fn end(&self) -> Option<String> {
        self.to.as_ref().map(rfc3339)
    }

    fn instant(&self, at: imon_common::time::UnixNanos) -> Option<String> {
        let zone = self.from.as_ref().or(self.to.as_ref()).map_or(jiff::tz::TimeZone::UTC, |z| z.time_zone().clone());
        crate::range::zoned(at, &zone).as_ref().map(rfc3339)
    }
}

#[cfg(test)]
mod tests;
