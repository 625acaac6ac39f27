//! The frame that a report is made from: grouped, summed, sorted and cut by polars.
//!
//! Columns: the key's text (`site`, `day`, …: String), then UInt64: `up_bytes`, `down_bytes`, `total_bytes`, `packets`,
//! one `<evidence>_bytes` for each kind (not by evidence), `low_bytes`, `high_bytes`; by device also `device_name`
//! (String). Up is from our side.

use super::keys::{Key, Keys};
use super::{By, Query};
use crate::books::{Books, Evidence, Row};
use crate::error::Error;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::work;
use polars::prelude::{
    Column, DataFrame, IntoColumn, NewChunkedArray, PlSmallStr, PolarsError, PolarsResult, SortMultipleOptions,
    StringChunked, UInt64Chunked,
};

const KINDS: usize = Evidence::ALL.len();

/// Names of the evidence columns, in the order of [`Evidence::ALL`].
pub(super) const EVIDENCE_COLUMNS: [&str; KINDS] = [
    "sni_bytes",
    "quic_bytes",
    "http_bytes",
    "dns_bytes",
    "dns_shared_bytes",
    "dns_late_bytes",
    "dns_other_bytes",
    "known_bytes",
    "dns_asked_bytes",
    "ptr_bytes",
    "ech_outer_bytes",
    "infra_bytes",
    "none_bytes",
];

/// Columns of every frame after the key and before the evidence.
pub(super) const AMOUNT_COLUMNS: [&str; 4] = ["up_bytes", "down_bytes", "total_bytes", "packets"];

/// Columns of every frame after the evidence.
pub(super) const BOUND_COLUMNS: [&str; 2] = ["low_bytes", "high_bytes"];

/// Column that only the table shows: 1 where the key is no site of its own.
const MARK: &str = "mark";

/// Column of a report by device: what the device calls itself, null where it is not known.
pub(super) const DEVICE_NAME: &str = "device_name";

/// Column that rows by time are sorted by, gone afterwards.
const PLACE_IN_TIME: &str = "order";

/// The rows of a report, sorted, and what the limit cut off.
#[derive(Debug, Clone)]
pub struct Frame {
    frame: DataFrame,
    key_columns: Vec<&'static str>,
    rest: Option<Rest>,
    total: Rest,
}

/// Sums of rows that are not shown one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rest {
    /// How many rows.
    pub rows: u64,
    /// IP bytes from our side.
    pub up_bytes: u64,
    /// IP bytes to our side.
    pub down_bytes: u64,
    /// Both.
    pub total_bytes: u64,
    /// Packets of both directions.
    pub packets: u64,
}

/// One row as renderers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Text of each key column, safe to show.
    pub key: Vec<&'a str>,
    /// IP bytes from our side.
    pub up_bytes: u64,
    /// IP bytes to our side.
    pub down_bytes: u64,
    /// Both.
    pub total_bytes: u64,
    /// Packets of both directions.
    pub packets: u64,
    /// Bytes by kind in the order of [`Evidence::ALL`]; `None` in a report by evidence.
    pub evidence: Option<[u64; KINDS]>,
    /// Bytes that only this key can explain.
    pub low_bytes: u64,
    /// Bytes that this key could explain, those booked elsewhere included.
    pub high_bytes: u64,
    /// It is no site but stands for itself.
    pub marked: bool,
    /// What the device calls itself, safe to show.
    pub device_name: Option<&'a str>,
}

/// What is summed for one key.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    up: u64,
    down: u64,
    packets: u64,
    kinds: [u64; KINDS],
    doubt: Doubt,
}

/// Bytes that shared answers and shared connections leave in doubt.
#[derive(Debug, Clone, Copy, Default)]
struct Doubt {
    /// Booked on this key, but others could explain them.
    shared: u64,
    /// Booked on another key, but this one could explain them.
    elsewhere: u64,
}

impl Sums {
    fn add(&mut self, evidence: Evidence, up: u64, down: u64, packets: u64) {
        self.up = self.up.saturating_add(up);
        self.down = self.down.saturating_add(down);
        self.packets = self.packets.saturating_add(packets);
        if let Some(kind) = self.kinds.get_mut(evidence.index()) {
            *kind = kind.saturating_add(up).saturating_add(down);
        }
    }

    fn total(&self) -> u64 {
        self.up.saturating_add(self.down)
    }
}

impl Frame {
    /// The frame of `query`; several `keys` give their rows one after the other.
    pub(super) fn new(books: &Books, query: &Query, keys: Vec<Keys>) -> Result<Self, Error> {
        Self::build(books, query, keys).map_err(|e| Error::failed("cannot make the report").because(&e))
    }

    fn build(books: &Books, query: &Query, keys: Vec<Keys>) -> PolarsResult<Self> {
        let mut key_columns = Vec::new();
        let mut wide = Wide::default();
        for (i, mut keys) in keys.into_iter().enumerate() {
            key_columns = keys.columns();
            let sums = group(books, query, &mut keys)?;
            wide.add(i, sums, &keys);
        }
        let by_time = key_columns.iter().any(|c| matches!(*c, "hour" | "day" | "month"));
        let frame = wide.into_frame(&key_columns, query.by != By::Evidence || by_time)?;
        let frame = sorted(&frame, &key_columns, by_time)?;
        let total = Rest::of(&frame)?;
        let limit = query.limit.unwrap_or(usize::MAX);
        let rest = (frame.height() > limit)
            .then(|| Rest::of(&frame.slice(i64::try_from(limit).unwrap_or(i64::MAX), frame.height() - limit)));
        Ok(Self { frame: frame.head(Some(limit)), key_columns, rest: rest.transpose()?, total })
    }

    /// Names of the key's columns.
    pub fn key_columns(&self) -> &[&'static str] {
        &self.key_columns
    }

    /// Whether the rows are devices, which may have names.
    pub fn has_device_names(&self) -> bool {
        self.frame.get_column_index(DEVICE_NAME).is_some()
    }

    /// Whether there is a column for each kind of evidence; not in a report by evidence.
    pub fn has_evidence(&self) -> bool {
        EVIDENCE_COLUMNS.iter().all(|c| self.frame.get_column_index(c).is_some())
    }

    /// What the limit cut off.
    pub fn rest(&self) -> Option<Rest> {
        self.rest
    }

    /// Sums of all rows, shown or not.
    pub fn total(&self) -> Rest {
        self.total
    }

    /// The rows, in order.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let amounts: Option<Vec<_>> = AMOUNT_COLUMNS.iter().chain(&BOUND_COLUMNS).map(|c| self.numbers(c)).collect();
        let kinds: Option<Vec<_>> = EVIDENCE_COLUMNS.iter().map(|c| self.numbers(c)).collect();
        let texts: Vec<_> = self.key_columns.iter().filter_map(|c| self.frame.column(c).ok()?.str().ok()).collect();
        let mark = self.numbers(MARK);
        let device_names = self.frame.column(DEVICE_NAME).ok().and_then(|column| column.str().ok());
        let line = |i: usize| {
            let at = |column: &&UInt64Chunked| column.get(i).unwrap_or_default();
            let amounts: Vec<u64> = amounts.iter().flatten().map(at).collect();
            let &[up_bytes, down_bytes, total_bytes, packets, low_bytes, high_bytes] = amounts.as_slice() else {
                return None;
            };
            let evidence = kinds.as_ref().and_then(|k| k.iter().map(at).collect::<Vec<_>>().try_into().ok());
            let key = texts.iter().map(|text| text.get(i).unwrap_or_default()).collect();
            let marked = mark.is_some_and(|m| m.get(i) == Some(1));
            let device_name = device_names.and_then(|names| names.get(i));
            Some(Line {
                key,
                up_bytes,
                down_bytes,
                total_bytes,
                packets,
                evidence,
                low_bytes,
                high_bytes,
                marked,
                device_name,
            })
        };
        (0..self.frame.height()).filter_map(line).collect()
    }

    fn numbers(&self, column: &str) -> Option<&UInt64Chunked> {
        self.frame.column(column).ok()?.u64().ok()
    }
}

impl Rest {
    fn of(frame: &DataFrame) -> PolarsResult<Self> {
        let sum = |column: &str| -> PolarsResult<u64> {
            Ok(frame.column(column)?.u64()?.iter().flatten().fold(0, u64::saturating_add))
        };
        Ok(Self {
            rows: u64::try_from(frame.height()).unwrap_or(u64::MAX),
            up_bytes: sum("up_bytes")?,
            down_bytes: sum("down_bytes")?,
            total_bytes: sum("total_bytes")?,
            packets: sum("packets")?,
        })
    }
}

/// Sums of each key, and of each key and kind of evidence.
fn group(books: &Books, query: &Query, keys: &mut Keys) -> PolarsResult<HashMap<Key, Sums, RandomState>> {
    let mut cells = Cells::with_capacity(books.rows.len());
    let mut doubts = HashMap::default();
    work::steps(books.rows.len());
    for row in books.rows.iter().filter(|row| query.takes(row.traffic)) {
        let key = keys.key(row);
        if row.candidates.is_some() {
            doubt(row, key, keys, &mut doubts);
        }
        if let Some(key) = key {
            cells.push(key.pack(row.evidence), row);
        }
    }
    let mut sums = cells.summed()?;
    for (key, doubt) in doubts {
        if keys.possible_too {
            sums.entry(key).or_default().doubt = doubt;
        } else if let Some(sum) = sums.get_mut(&key) {
            sum.doubt = doubt;
        }
    }
    Ok(sums)
}

/// Books the doubt about a row whose bytes could belong to others than `booked`.
fn doubt(row: &Row, booked: Option<Key>, keys: &mut Keys, doubts: &mut HashMap<Key, Doubt, RandomState>) {
    let bytes = row.up_bytes.saturating_add(row.down_bytes);
    let (places, time) = keys.candidates(row);
    let own = booked.map_or(Keys::NOWHERE, |key| key.place);
    let mut shared = false;
    for &place in places.iter().filter(|place| **place != own) {
        shared = true;
        if place != Keys::NOWHERE {
            let doubt = doubts.entry(Key { place, time }).or_default();
            doubt.elsewhere = doubt.elsewhere.saturating_add(bytes);
        }
    }
    if let Some(key) = booked.filter(|_| shared) {
        let doubt = doubts.entry(key).or_default();
        doubt.shared = doubt.shared.saturating_add(bytes);
    }
}

/// The rows of the books as columns, keyed by one number.
struct Cells {
    cell: Vec<u64>,
    up: Vec<u64>,
    down: Vec<u64>,
    packets: Vec<u64>,
}

impl Cells {
    fn with_capacity(rows: usize) -> Self {
        let column = || Vec::with_capacity(rows);
        Self { cell: column(), up: column(), down: column(), packets: column() }
    }

    fn push(&mut self, cell: u64, row: &Row) {
        self.cell.push(cell);
        self.up.push(row.up_bytes);
        self.down.push(row.down_bytes);
        self.packets.push(row.up_packets.saturating_add(row.down_packets));
    }

    /// Grouped by cell in polars; a cell is one key and one kind.
    // The eager sum is marked as superseded by the lazy one since 2022; the lazy engine would more than double the build.
    #[expect(deprecated)]
    fn summed(self) -> PolarsResult<HashMap<Key, Sums, RandomState>> {
        let frame = DataFrame::new_infer_height(vec![
            numbers("cell", self.cell),
            numbers("up", self.up),
            numbers("down", self.down),
            numbers("packets", self.packets),
        ])?;
        let grouped = frame.group_by(["cell"])?.select(["up", "down", "packets"]).sum()?;
        let column =
            |name: &str| -> PolarsResult<Vec<u64>> { Ok(grouped.column(name)?.u64()?.iter().flatten().collect()) };
        let amounts = column("up_sum")?.into_iter().zip(column("down_sum")?).zip(column("packets_sum")?);
        let mut sums: HashMap<Key, Sums, RandomState> = HashMap::default();
        for (cell, ((up, down), packets)) in column("cell")?.into_iter().zip(amounts) {
            if let Some((key, evidence)) = Key::unpack(cell) {
                sums.entry(key).or_default().add(evidence, up, down, packets);
            }
        }
        Ok(sums)
    }
}

/// Columns of the frame, one entry a row.
#[derive(Default)]
struct Wide {
    place: Vec<String>,
    time: Vec<String>,
    mark: Vec<u64>,
    name: Vec<Option<String>>,
    order: Vec<u64>,
    sums: Vec<Sums>,
}

impl Wide {
    fn add(&mut self, nth: usize, sums: HashMap<Key, Sums, RandomState>, keys: &Keys) {
        for (key, sum) in sums {
            work::step();
            let label = keys.label(key);
            let (time, first_s) = keys.time_label(key).unwrap_or_default();
            self.place.push(label.map(|l| l.text.clone()).unwrap_or_default());
            self.name.push(label.and_then(|l| l.name.clone()));
            self.mark.push(label.is_some_and(|l| l.marked).into());
            self.time.push(time.to_owned());
            self.order.push(place_in_time(nth, first_s));
            self.sums.push(sum);
        }
    }

    fn into_frame(self, key_columns: &[&'static str], with_kinds: bool) -> PolarsResult<DataFrame> {
        let mut columns = Vec::with_capacity(key_columns.len() + KINDS + 8);
        for name in key_columns {
            let texts = if matches!(*name, "hour" | "day" | "month") { &self.time } else { &self.place };
            columns.push(StringChunked::from_iter_values(PlSmallStr::from_str(name), texts.iter()).into_column());
        }
        let column = |name: &str, of: fn(&Sums) -> u64| numbers(name, self.sums.iter().map(of).collect());
        columns.push(column("up_bytes", |s| s.up));
        columns.push(column("down_bytes", |s| s.down));
        columns.push(column("total_bytes", Sums::total));
        columns.push(column("packets", |s| s.packets));
        if with_kinds {
            for (i, name) in EVIDENCE_COLUMNS.into_iter().enumerate() {
                let kind = |s: &Sums| s.kinds.get(i).copied().unwrap_or_default();
                columns.push(numbers(name, self.sums.iter().map(kind).collect()));
            }
        }
        columns.push(column("low_bytes", |s| s.total().saturating_sub(s.doubt.shared)));
        columns.push(column("high_bytes", |s| s.total().saturating_add(s.doubt.elsewhere)));
        if key_columns.contains(&"device") {
            let names = StringChunked::from_iter_options(DEVICE_NAME.into(), self.name.into_iter());
            columns.push(names.into_column());
        }
        columns.push(numbers(MARK, self.mark));
        columns.push(numbers(PLACE_IN_TIME, self.order));
        DataFrame::new_infer_height(columns)
    }
}

/// Where a row stands in a report by time: name after name, each in order of time.
fn place_in_time(nth: usize, first_s: i64) -> u64 {
    // Counted from 2.2 million years before 1970, so that no time is negative.
    let time = first_s.saturating_add(1 << 46).clamp(0, (1 << 47) - 1) as u64;
    (nth as u64) << 47 | time
}

/// By time in order, else the largest first and equal ones by name.
fn sorted(frame: &DataFrame, key_columns: &[&str], by_time: bool) -> PolarsResult<DataFrame> {
    let name = key_columns.first().copied().ok_or_else(|| PolarsError::NoData("no key column".into()))?;
    let sorted = if by_time {
        frame.sort([PLACE_IN_TIME], SortMultipleOptions::default())?
    } else {
        frame.sort(["total_bytes", name], SortMultipleOptions::default().with_order_descending_multi([true, false]))?
    };
    sorted.drop(PLACE_IN_TIME)
}

fn numbers(name: &str, values: Vec<u64>) -> Column {
    UInt64Chunked::from_vec(PlSmallStr::from_str(name), values).into_column()
}
