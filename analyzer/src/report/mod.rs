//! Query → frame → table, JSON or CSV. Nothing outside this folder knows polars; nothing in it knows SQL, the clock or
//! the environment.
//!
//! ```text
//! Books + Query ─► keys (which row belongs where) ─► frame (grouped, sorted, cut) ─► table | json | csv
//! ```

mod csv;
mod frame;
mod json;
mod keys;
mod ledger;
mod pages;
mod table;
pub(crate) mod units;

pub use frame::{Frame, Line, Rest};
pub use keys::Unit;

use crate::books::{Books, Evidence, Ledger, Traffic};
use crate::error::Error;
use crate::range::{Range, rfc3339};
use crate::site::Sites;
use jiff::Zoned;
use std::io::{self, Write};

/// What the rows of a report stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// Registrable domain, or the site that it is part of.
    Site,
    /// Site whose page pulled the bytes in (first party), as far as that can be told; else as by site.
    Page,
    /// The owner of several sites, or the site itself.
    Family,
    /// Host name or address.
    Host,
    /// Our own side.
    Device,
    /// What our own side offers to others: bytes of flows that somebody outside opened.
    Served,
    /// Local hour.
    Hour,
    /// Local day.
    Day,
    /// Local month.
    Month,
    /// How the bytes came by their name.
    Evidence,
}

impl By {
    /// Every axis.
    pub const ALL: [Self; 10] = [
        Self::Site,
        Self::Page,
        Self::Family,
        Self::Host,
        Self::Device,
        Self::Served,
        Self::Hour,
        Self::Day,
        Self::Month,
        Self::Evidence,
    ];

    /// The word for it: the option's value and the name of the key's column.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Page => "page",
            Self::Family => "family",
            Self::Host => "host",
            Self::Device => "device",
            Self::Served => "served",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Evidence => "evidence",
        }
    }

    /// Whether there are so many keys that a table for people shows the largest only.
    pub const fn is_long(self) -> bool {
        matches!(self, Self::Site | Self::Page | Self::Family | Self::Host | Self::Device | Self::Served)
    }
}

/// What is asked of the books.
#[derive(Debug, Clone)]
pub struct Query {
    /// What the rows stand for.
    pub by: By,
    /// Most rows; the rest is summed up. `None`: all.
    pub limit: Option<usize>,
    /// Local traffic gets rows too.
    pub include_local: bool,
    /// The range that the books are of, and the zone that days are counted in.
    pub range: Range,
}

impl Query {
    /// Whether rows of this kind of traffic are in the report.
    pub fn takes(&self, traffic: Traffic) -> bool {
        match traffic {
            Traffic::Served => self.by == By::Served,
            Traffic::Local => self.include_local && self.by != By::Served,
            Traffic::Visited | Traffic::Transit => self.by != By::Served,
        }
    }
}

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
}

impl Format {
    /// How a plain list is written in this format; `None` for the table, which is made for people.
    pub fn lines(self) -> Option<crate::cli::LineFormat> {
        match self {
            Self::Table => None,
            Self::Json => Some(crate::cli::LineFormat::Json),
            Self::Csv => Some(crate::cli::LineFormat::Csv),
        }
    }
}

/// Rows and ledger of one query, ready to be written.
#[derive(Debug)]
pub struct Report {
    frame: Frame,
    zone: String,
    from: Option<Zoned>,
    to: Option<Zoned>,
    ledger: Ledger,
    /// Bytes by kind of evidence over the whole range, local traffic left out.
    named_by: [u64; Evidence::ALL.len()],
    /// The names that the rows are of, when they are not of everything.
    names: Vec<String>,
    /// What the bytes of each page are made of, in a report by page.
    pages: Option<pages::Sums>,
    /// Nothing was visited: the rows are what was served, though something else was asked for.
    only_served: bool,
}

/// Whether a report on what was visited would be empty because all that was recorded was opened by others: a server's
/// capture. Then what was served is the answer.
fn is_only_served(books: &Books, query: &Query) -> bool {
    let about_sites = matches!(query.by, By::Site | By::Page | By::Family | By::Host);
    let has = |traffic: Traffic| books.rows.iter().any(|row| row.traffic == traffic);
    about_sites && has(Traffic::Served) && !books.rows.iter().any(|row| query.takes(row.traffic))
}

impl Report {
    /// The report that `query` asks for.
    ///
    /// # Errors
    /// `Failed` if the frame cannot be made: never seen, polars reports it.
    pub fn new(books: &Books, query: &Query, sites: &Sites) -> Result<Self, Error> {
        let only_served = is_only_served(books, query);
        let of_served = Query { by: By::Served, ..query.clone() };
        let query = if only_served { &of_served } else { query };
        let paged = (query.by == By::Page).then(|| pages::on_pages(books, query, sites));
        let books = paged.as_ref().map_or(books, |(books, _)| books);
        let keys = keys::Keys::of_axis(books, query, sites);
        let report = Self::of(books, query, Frame::new(books, query, vec![keys])?, Vec::new())?;
        Ok(Self { pages: paged.map(|(_, sums)| sums), only_served, ..report })
    }

    /// One row for each of `names` and each local `unit` in which bytes were, or could have been, its own. A family
    /// stands for its sites, a site for its hosts, a registrable domain that is part of a site for the hosts below it, any
    /// other name for the host or address of that name. `query.by` and `query.limit` do not count here.
    ///
    /// # Errors
    /// As [`Report::new`].
    pub fn of_names(books: &Books, query: &Query, sites: &Sites, names: &[String], unit: Unit) -> Result<Self, Error> {
        let keys = names.iter().map(|name| keys::Keys::of_name(books, query, sites, name, unit)).collect();
        Self::of(books, query, Frame::new(books, query, keys)?, names.to_vec())
    }

    fn of(books: &Books, query: &Query, frame: Frame, names: Vec<String>) -> Result<Self, Error> {
        let mut named_by = [0_u64; Evidence::ALL.len()];
        for row in books.rows.iter().filter(|row| row.traffic.is_of_sites()) {
            if let Some(bytes) = named_by.get_mut(row.evidence.index()) {
                *bytes = bytes.saturating_add(row.up_bytes).saturating_add(row.down_bytes);
            }
        }
        let (from, to) = query.range.ends(books);
        let ledger = books.ledger.clone();
        Ok(Self {
            frame,
            zone: query.range.zone_name(),
            from,
            to,
            ledger,
            named_by,
            names,
            pages: None,
            only_served: false,
        })
    }

    /// The rows.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Writes it. `width`: columns of the terminal, `None` where there is none; then nothing is cut.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, format: Format, width: Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Table => table::write(self, width, out),
            Format::Json => json::write(self, out),
            Format::Csv => csv::write(self, out),
        }
    }

    /// What a row's bytes are made of, in a report by page.
    fn page(&self, line: &Line<'_>) -> Option<&pages::PageSums> {
        self.pages.as_ref()?.get(*line.key.first()?)
    }

    /// Bytes of the range that belong to rows of some kind and are in none: 0 unless rows and ledger disagree, or the
    /// rows are those of some names only.
    fn not_in_rows(&self) -> i128 {
        if !self.names.is_empty() {
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
