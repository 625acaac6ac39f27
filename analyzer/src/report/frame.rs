//! The frame that a report is made from: sorted, cut and summed by polars.
//!
//! Columns: the texts of the keys (`site`, `day`, …: String), then UInt64: `up_bytes`,
//! `down_bytes`, `total_bytes`, `packets`, one `<evidence>_bytes` for each kind (not by evidence),
//! `low_bytes`, `high_bytes`; by device also `device_name` (String). Up is from our side.

use super::axes::{Axes, Cell, Value};
use super::pages::{PageNote, PageSums};
use super::sums::{Cells, KINDS, Sums};
use crate::books::{Books, Evidence};
use crate::error::Error;
use crate::owners::Owner;
use crate::question::{Key, Question};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use imon_common::work;
use polars::prelude::{
    BooleanChunked, Column, DataFrame, Int64Chunked, IntoColumn, NewChunkedArray, PlSmallStr, PolarsResult,
    SortMultipleOptions, StringChunked, UInt64Chunked,
};

/// Most rows that a report by time is filled up to with zeros; above it only rows with something
/// are there.
const MAX_FILLED_ROWS: usize = 1_000_000;

/// Column that only the table shows: 1 where a key is no site of its own.
const MARK: &str = "mark";

/// Column of a report by hosts: 1 where a name stands there.
const NAMED: &str = "named";

/// Column of a report by device: what the device calls itself, null where it is not known.
const DEVICE_NAME: &str = "device_name";

/// Columns of a report with labels of whose addresses are: network and country, null where nothing
/// is known.
const OWNER: [&str; 2] = ["owner network", "owner country"];

/// Column with the row's place in the sums.
const ROW: &str = "row";

/// The rows of a report, sorted, and what was cut off.
#[derive(Debug)]
pub struct Frame {
    frame: DataFrame,
    keys: Vec<Key>,
    rest: Option<Rest>,
    total: Rest,
    /// Addresses have labels of whose they are.
    has_owners: bool,
    /// What the bytes of each row are made of, in a report with pages, by the row's place in the
    /// sums.
    pages: Option<HashMap<u64, PageSums, RandomState>>,
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

/// One row as sinks see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Text of each key, safe to show.
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
    /// Bytes that only this row can explain.
    pub low_bytes: u64,
    /// Bytes that this row could explain, those booked elsewhere included.
    pub high_bytes: u64,
    /// A key of it is no site but stands for itself.
    pub marked: bool,
    /// A name stands there, and no address.
    pub named: bool,
    /// What the device calls itself, safe to show.
    pub device_name: Option<&'a str>,
    /// Whose the address is, as far as a file tells: network and country, safe to show.
    pub owner: [Option<&'a str>; 2],
    /// What the bytes are made of, in a report with pages.
    pub page: Option<&'a PageSums>,
}

impl Line<'_> {
    /// Its amounts, as sums of one row.
    pub fn sums(&self) -> Rest {
        let Self { up_bytes, down_bytes, total_bytes, packets, .. } = *self;
        Rest { rows: 1, up_bytes, down_bytes, total_bytes, packets }
    }
}

impl Frame {
    /// The frame of `question`; several `axes` give their rows one after the other. `notes`: how
    /// each row of the books came to its page, in a report with pages.
    pub(super) fn new(
        books: &Books,
        question: &Question,
        axes: Vec<Axes>,
        notes: Option<&[PageNote]>,
    ) -> Result<Self, Error> {
        Self::build(books, question, axes, notes).map_err(|e| Error::failed("cannot make the report").because(&e))
    }

    fn build(books: &Books, question: &Question, axes: Vec<Axes>, notes: Option<&[PageNote]>) -> PolarsResult<Self> {
        let mut wide = Wide::default();
        let mut pages: HashMap<u64, PageSums, RandomState> = HashMap::default();
        let keys = axes.first().map(|axes| axes.keys().to_vec()).unwrap_or_default();
        let has_owners = axes.iter().any(|axes| axes.has_owners);
        for mut axes in axes {
            let mut cells = Cells::new(&books.rows, question, &mut axes, notes.unwrap_or_default());
            fill(&mut cells, &mut axes, question, books);
            let first = wide.sums.len() as u64;
            pages.extend(cells.pages.drain().map(|(number, sums)| (first.saturating_add(number.into()), sums)));
            wide.add(&cells, &axes);
        }
        let frame = wide.into_frame(&keys, has_owners)?;
        let frame = sorted(frame, &keys)?;
        let total = Rest::of(&frame)?;
        let (frame, rest) = cut(frame, &keys, question)?;
        Ok(Self { frame, keys, rest, total, has_owners, pages: notes.is_some().then_some(pages) })
    }

    /// The keys, in the order of the columns.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Whether there are pages.
    pub fn has_pages(&self) -> bool {
        self.pages.is_some()
    }

    /// Whether addresses have labels of whose they are.
    pub fn has_owners(&self) -> bool {
        self.has_owners
    }

    /// What was cut off.
    pub fn rest(&self) -> Option<Rest> {
        self.rest
    }

    /// Sums of all rows, shown or not.
    pub fn total(&self) -> Rest {
        self.total
    }

    /// What the bytes of all rows are made of, shown or not, in a report with pages.
    pub fn page_total(&self) -> Option<PageSums> {
        let mut total = PageSums::default();
        self.pages.as_ref()?.values().for_each(|page| total.add(page));
        Some(total)
    }

    /// The rows, in order.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let amounts = ["up_bytes", "down_bytes", "total_bytes", "packets", "low_bytes", "high_bytes"];
        let amounts: Option<Vec<_>> = amounts.iter().map(|c| self.numbers(c)).collect();
        let kinds: Option<Vec<_>> = Evidence::ALL.iter().map(|kind| self.numbers(&evidence_column(*kind))).collect();
        let texts: Vec<_> = self.keys.iter().filter_map(|key| self.frame.column(key.word()).ok()?.str().ok()).collect();
        let (mark, named, row) = (self.numbers(MARK), self.numbers(NAMED), self.numbers(ROW));
        let device_names = self.frame.column(DEVICE_NAME).ok().and_then(|column| column.str().ok());
        let owner = OWNER.map(|name| self.frame.column(name).ok().and_then(|column| column.str().ok()));
        let line = |i: usize| {
            let at = |column: &&UInt64Chunked| column.get(i).unwrap_or_default();
            let amounts: Vec<u64> = amounts.iter().flatten().map(at).collect();
            let &[up_bytes, down_bytes, total_bytes, packets, low_bytes, high_bytes] = amounts.as_slice() else {
                return None;
            };
            let page = row.and_then(|row| row.get(i)).zip(self.pages.as_ref());
            Some(Line {
                key: texts.iter().map(|text| text.get(i).unwrap_or_default()).collect(),
                up_bytes,
                down_bytes,
                total_bytes,
                packets,
                evidence: kinds.as_ref().and_then(|k| k.iter().map(at).collect::<Vec<_>>().try_into().ok()),
                low_bytes,
                high_bytes,
                marked: mark.is_some_and(|mark| mark.get(i) == Some(1)),
                named: named.is_some_and(|named| named.get(i) == Some(1)),
                device_name: device_names.and_then(|names| names.get(i)),
                owner: owner.map(|column| column.and_then(|column| column.get(i))),
                page: page.and_then(|(row, pages)| pages.get(&row)),
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

/// Rows of zeros for times without anything, where times are keys.
fn fill(cells: &mut Cells, axes: &mut Axes, question: &Question, books: &Books) {
    let times = axes.times(question, books);
    if times.is_empty() {
        return;
    }
    let mut seen: HashSet<Cell, RandomState> = HashSet::default();
    let mut others: Vec<Cell> = cells.cells.iter().map(|(cell, _)| Cell { time: 0, ..*cell }).collect();
    others.retain(|cell| seen.insert(*cell));
    // Time alone has its rows even where there is nothing at all, unless nothing was recorded.
    if others.is_empty() && axes.keys().iter().all(|key| key.is_time()) && books.observed.is_some() {
        others.push(Cell::default());
    }
    cells.fill(&times, &others, MAX_FILLED_ROWS);
}

/// Columns of the frame, one entry a row.
#[derive(Default)]
struct Wide {
    /// Text of each key.
    texts: Vec<Vec<String>>,
    /// Place in its order of each key that is a time, else 0.
    places: Vec<Vec<i64>>,
    /// Number of the name asked for, where there are several.
    nth: Vec<u64>,
    mark: Vec<u64>,
    named: Vec<u64>,
    name: Vec<Option<String>>,
    owner: [Vec<Option<String>>; 2],
    sums: Vec<Sums>,
}

impl Wide {
    fn add(&mut self, cells: &Cells, axes: &Axes) {
        let keys = axes.keys().len();
        self.texts.resize_with(keys, Vec::new);
        self.places.resize_with(keys, Vec::new);
        for (cell, sums) in &cells.cells {
            work::step();
            let (mut marked, mut named, mut name, mut owner) = (false, true, None, None);
            for (i, (texts, places)) in self.texts.iter_mut().zip(&mut self.places).enumerate() {
                let (text, place) = match axes.value(*cell, i) {
                    Some(Value::Label(label)) => {
                        marked |= label.marked;
                        named &= label.named;
                        name = name.or_else(|| label.name.clone());
                        owner = owner.or_else(|| label.owner.clone());
                        (label.text.as_str(), 0)
                    }
                    Some(Value::Time(text, place)) => (text, place),
                    None => ("", 0),
                };
                texts.push(text.to_owned());
                places.push(place);
            }
            self.nth.push(cell.nth.into());
            self.mark.push(marked.into());
            self.named.push(named.into());
            self.name.push(name);
            let Owner { network, country } = owner.unwrap_or_default();
            self.owner.iter_mut().zip([network, country]).for_each(|(column, text)| column.push(text));
            self.sums.push(*sums);
        }
    }

    fn into_frame(self, keys: &[Key], has_owners: bool) -> PolarsResult<DataFrame> {
        let mut columns = Vec::with_capacity(3 * keys.len() + KINDS + 10);
        let prefixes = prefix_totals(&self, keys.len());
        for (i, ((key, texts), (places, totals))) in
            keys.iter().zip(&self.texts).zip(self.places.into_iter().zip(prefixes)).enumerate()
        {
            let named = |name: String| PlSmallStr::from_string(name);
            columns.push(StringChunked::from_iter_values(PlSmallStr::from_str(key.word()), texts.iter()).into_column());
            columns.push(Int64Chunked::from_vec(named(place_column(i)), places).into_column());
            columns.push(UInt64Chunked::from_vec(named(total_column(i)), totals).into_column());
        }
        let column = |name: &str, of: fn(&Sums) -> u64| numbers(name, self.sums.iter().map(of).collect());
        columns.push(column("up_bytes", |s| s.up));
        columns.push(column("down_bytes", |s| s.down));
        columns.push(column("total_bytes", Sums::total));
        columns.push(column("packets", |s| s.packets));
        if !keys.contains(&Key::Evidence) {
            for kind in Evidence::ALL {
                let of = |s: &Sums| s.kinds.get(kind.index()).copied().unwrap_or_default();
                columns.push(numbers(&evidence_column(kind), self.sums.iter().map(of).collect()));
            }
        }
        columns.push(column("low_bytes", |s| s.total().saturating_sub(s.shared)));
        columns.push(column("high_bytes", |s| s.total().saturating_add(s.elsewhere)));
        if keys.contains(&Key::Device) {
            let names = StringChunked::from_iter_options(DEVICE_NAME.into(), self.name.into_iter());
            columns.push(names.into_column());
        }
        for (name, texts) in OWNER.into_iter().zip(self.owner).filter(|_| has_owners) {
            columns.push(StringChunked::from_iter_options(name.into(), texts.into_iter()).into_column());
        }
        columns.push(numbers(MARK, self.mark));
        columns.push(numbers(NAMED, self.named));
        columns.push(numbers(NTH, self.nth));
        columns.push(numbers(ROW, (0..self.sums.len() as u64).collect()));
        DataFrame::new_infer_height(columns)
    }
}

/// Column that rows of several names are sorted by first.
const NTH: &str = "nth";

fn place_column(i: usize) -> String {
    format!("place {i}")
}

fn total_column(i: usize) -> String {
    format!("total {i}")
}

/// For each row and each key the bytes of all rows that agree in this key and those before it: what
/// the largest come first by.
fn prefix_totals(wide: &Wide, keys: usize) -> Vec<Vec<u64>> {
    let mut totals = Vec::with_capacity(keys);
    let rows = wide.sums.len();
    // Number of each row's prefix so far.
    let mut prefix: Vec<u64> = wide.nth.clone();
    for texts in wide.texts.iter().take(keys) {
        let mut number: HashMap<(u64, &str), u64, RandomState> = HashMap::default();
        let mut sums: Vec<u64> = Vec::new();
        for (row, text) in texts.iter().enumerate().take(rows) {
            let before = prefix.get(row).copied().unwrap_or_default();
            let of = *number.entry((before, text.as_str())).or_insert_with(|| {
                sums.push(0);
                sums.len() as u64 - 1
            });
            if let Some(prefix) = prefix.get_mut(row) {
                *prefix = of;
            }
            if let (Some(sum), Some(own)) = (sums.get_mut(of as usize), wide.sums.get(row)) {
                *sum = sum.saturating_add(own.total());
            }
        }
        totals.push(prefix.iter().map(|of| sums.get(*of as usize).copied().unwrap_or_default()).collect());
    }
    totals
}

/// Key by key: times in order, else the largest first and equal ones by name.
fn sorted(frame: DataFrame, keys: &[Key]) -> PolarsResult<DataFrame> {
    let (mut by, mut descending) = (vec![PlSmallStr::from_static(NTH)], vec![false]);
    for (i, key) in keys.iter().enumerate() {
        if key.is_time() {
            by.push(PlSmallStr::from_string(place_column(i)));
            descending.push(false);
        } else {
            by.push(PlSmallStr::from_string(total_column(i)));
            by.push(PlSmallStr::from_str(key.word()));
            descending.extend([true, false]);
        }
    }
    frame.sort(by, SortMultipleOptions::default().with_order_descending_multi(descending))
}

/// Cuts off what is too small, and of each key that is no time all but the largest; gives the sums
/// of what is gone.
fn cut(frame: DataFrame, keys: &[Key], question: &Question) -> PolarsResult<(DataFrame, Option<Rest>)> {
    if question.limit.is_none() && question.min_bytes == 0 {
        return Ok((frame, None));
    }
    let limit = question.limit.unwrap_or(usize::MAX);
    let texts: Vec<&StringChunked> =
        keys.iter().map(|key| frame.column(key.word())?.str()).collect::<PolarsResult<_>>()?;
    let (nth, bytes) = (frame.column(NTH)?.u64()?, frame.column("total_bytes")?.u64()?);
    // With time as a key a limit counts values; without any other key it counts rows.
    let counts_rows = keys.iter().all(|key| key.is_time());
    let mut before: Vec<&str> = Vec::new();
    let mut before_nth = None;
    let mut counted = vec![0_usize; keys.len()];
    let mut kept = Vec::with_capacity(frame.height());
    let mut rows = 0;
    for row in 0..frame.height() {
        let now: Vec<&str> = texts.iter().map(|text| text.get(row).unwrap_or_default()).collect();
        let is_same_name = before_nth == nth.get(row);
        let same = if is_same_name { now.iter().zip(&before).take_while(|(a, b)| a == b).count() } else { 0 };
        // The first key that differs has one value more; those behind it begin anew.
        for (i, count) in counted.iter_mut().enumerate().skip(same) {
            *count = if i == same && is_same_name { count.saturating_add(1) } else { 1 };
        }
        (before, before_nth) = (now, nth.get(row));
        let within = match counts_rows {
            true => rows < limit,
            false => keys.iter().zip(&counted).all(|(key, count)| key.is_time() || *count <= limit),
        };
        let keep = within && bytes.get(row).unwrap_or_default() >= question.min_bytes;
        rows += usize::from(keep);
        kept.push(keep);
    }
    if kept.iter().all(|keep| *keep) {
        return Ok((frame, None));
    }
    let gone: Vec<bool> = kept.iter().map(|keep| !keep).collect();
    let mask = |of: Vec<bool>| BooleanChunked::from_iter_values("kept".into(), of.into_iter());
    let rest = Rest::of(&frame.filter(&mask(gone))?)?;
    Ok((frame.filter(&mask(kept))?, Some(rest)))
}

fn numbers(name: &str, values: Vec<u64>) -> Column {
    UInt64Chunked::from_vec(PlSmallStr::from_str(name), values).into_column()
}

/// Name of the evidence column of a kind.
pub(super) fn evidence_column(kind: Evidence) -> String {
    format!("{}_bytes", kind.word())
}
