//! A month → files of it.

use super::schema::{Part, SCHEMA, schema};
use super::sheets::DAY_S;
use super::text;
use crate::books::month::{Month, MonthRows, RowSums};
use crate::books::{BUCKET_S, Endpoint, Host, Row};
use crate::question::mac_text;
use crate::site::Sites;
use crate::table::units::{hex, uuid};
use arrow_array::builder::{
    BooleanBuilder, Int32Builder, Int64Builder, ListBuilder, StringDictionaryBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::io::{self, Write};
use std::sync::Arc;

/// How files are laid out. The default is a choice that `make bench-books` can measure beside
/// others.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// What rows are sorted by.
    pub order: Order,
    /// Rows of a group.
    pub group_rows: usize,
    /// Bloom filters for hosts and sites, sized by their number.
    pub bloom: bool,
    /// Seconds that a row is of.
    pub seconds: i32,
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Time, then site.
    TimeFirst,
    /// Site, then time.
    SiteFirst,
}

impl Default for Layout {
    fn default() -> Self {
        Self { order: Order::TimeFirst, group_rows: 131_072, bloom: false, seconds: BUCKET_S as i32 }
    }
}

/// Rows of a page: what is read for a quarter of an hour.
pub(super) const PAGE_ROWS: usize = 8_192;

/// Level of zstd: its own default, not measured against others yet.
const LEVEL: i32 = 3;

/// What a file says of itself, and what is the same in all its rows.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Stands for the database.
    pub database: [u8; 16],
    /// Who recorded it.
    pub recorder: [u8; 16],
    /// Which month.
    pub month: Month,
    /// Rises with every file that is written.
    pub generation: u64,
    /// How hosts become sites.
    pub sites: &'a Sites,
}

/// What devices are called, by endpoint.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    /// The device's address.
    pub device: Vec<String>,
    /// What it calls itself; empty where it is not known.
    pub name: Vec<String>,
}

/// What rows of a UTC day sum up to that the ledger does not tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaySum {
    /// The day's first second.
    pub day_s: i64,
    /// Numbers of evidence, kind of traffic and blind spot (0: none), and 1 where a name stands.
    pub class: [u8; 4],
    /// The host that carried a tunnel; empty for none.
    pub carrier: String,
    /// Packets of both directions.
    pub packets: u64,
    /// Bytes of both directions.
    pub bytes: u64,
}

/// What a ledger is made of.
#[derive(Debug, Clone, Copy)]
pub struct Ledger<'a> {
    /// Counts, and the sources that they are of.
    pub month: &'a MonthRows,
    /// Facts.
    pub facts: &'a [Fact],
    /// Sums of the rows by days.
    pub sums: &'a [DaySum],
}

/// A fact about the month that is no count, for `rebuild --from-books`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// `source`, `gap`, `overlap`, `name`, `recorded`, `gone` or `end`.
    pub kind: &'static str,
    /// When, in Unix seconds.
    pub at_s: i64,
    /// Identity of the source that it is of.
    pub source: Vec<u8>,
    /// The rest, as JSON.
    pub about: String,
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

/// Writes the rows of `month` that `which` names.
///
/// # Errors
/// Those of writing.
pub fn rows(
    out: impl Write + Send,
    (month, labels): (&MonthRows, &Labels),
    mut which: Vec<usize>,
    (about, layout): (&About<'_>, Layout),
) -> io::Result<RowSums> {
    let table = Table::new((month, labels), about, layout);
    which.sort_unstable_by_key(|i| table.place(month.rows.get(*i), layout.order));
    let distinct = table.site_count();
    let mut file = File::new(out, Part::Rows, about, (layout, distinct))?;
    let mut sums = RowSums::default();
    for chunk in which.chunks(layout.group_rows) {
        let rows: Vec<&Row> = chunk.iter().filter_map(|i| month.rows.get(*i)).collect();
        rows.iter().for_each(|row| sums.add(row.amounts()));
        file.group(table.usage(&rows)?)?;
    }
    file.end()?;
    Ok(sums)
}

/// Writes the parts of `month` that `which` names.
///
/// # Errors
/// Those of writing.
pub fn parts(
    out: impl Write + Send,
    (month, labels): (&MonthRows, &Labels),
    mut which: Vec<usize>,
    (about, layout): (&About<'_>, Layout),
) -> io::Result<RowSums> {
    let table = Table::new((month, labels), about, layout);
    which.sort_unstable_by_key(|i| table.place(month.parts.get(*i).map(|part| &part.row), layout.order));
    let mut file = File::new(out, Part::Pages, about, (layout, 0))?;
    let mut sums = RowSums::default();
    for chunk in which.chunks(layout.group_rows) {
        let parts: Vec<_> = chunk.iter().filter_map(|i| month.parts.get(*i)).collect();
        parts.iter().for_each(|part| sums.add(part.row.amounts()));
        let mut columns = table.usage(&parts.iter().map(|part| &part.row).collect::<Vec<_>>())?;
        columns.push(keyed(parts.iter().map(|part| part.page), &table.hosts)?);
        let mut sureness = StringDictionaryBuilder::<Int32Type>::new();
        parts.iter().try_for_each(|part| sureness.append(part.sureness.word()).map(drop)).map_err(failed)?;
        columns.push(Arc::new(sureness.finish()));
        let none = u32::try_from(table.hosts.len()).unwrap_or(u32::MAX);
        let or_none: Vec<String> = table.hosts.iter().cloned().chain([String::new()]).collect();
        columns.push(keyed(parts.iter().map(|part| part.rival.unwrap_or(none)), &or_none)?);
        file.group(columns)?;
    }
    file.end()?;
    Ok(sums)
}

/// Writes the counts that `which` names, facts, and sums of days.
///
/// # Errors
/// Those of writing.
pub fn ledger(
    out: impl Write + Send,
    ledger: &Ledger<'_>,
    mut which: Vec<usize>,
    (about, layout): (&About<'_>, Layout),
) -> io::Result<RowSums> {
    let Ledger { month, facts, sums: days } = *ledger;
    let key = |i: &usize| month.counts.get(*i).map(|c| (c.bucket_s, c.counter, c.detail, c.source));
    which.sort_unstable_by_key(key);
    let mut file = File::new(out, Part::Ledger, about, (layout, 0))?;
    let mut sums = RowSums::default();
    let counts: Vec<_> = which.iter().filter_map(|i| month.counts.get(*i)).collect();
    let rows = counts.len() + facts.len() + days.len();
    let mut columns = Columns::new(rows);
    let (mut numbers, recorder) = (<[Int64Builder; 4]>::default(), uuid(about.recorder));
    for count in &counts {
        sums.add([count.bytes, 0, count.packets, 0]);
        columns.time(count.bucket_s, BUCKET_S as i32);
        let source = month.sources.get(count.source as usize).map(|source| hex(source)).unwrap_or_default();
        columns.texts([&recorder, &source, "count", ""])?;
        let values = [count.counter.into(), count.detail.into(), signed(count.packets), signed(count.bytes)];
        numbers.iter_mut().zip(values).for_each(|(column, value)| column.append_value(value));
    }
    for fact in facts {
        columns.time(fact.at_s, BUCKET_S as i32);
        columns.texts([&recorder, &hex(&fact.source), fact.kind, &fact.about])?;
        numbers.iter_mut().for_each(|column| column.append_value(0));
    }
    for sum in days {
        columns.time(sum.day_s, DAY_S as i32);
        columns.texts([&recorder, "", "sum", &sum.carrier])?;
        let [evidence, traffic, blind, named] = sum.class;
        let values = [evidence.into(), u32::from_be_bytes([0, named, blind, traffic]).into()];
        let values = values.into_iter().chain([signed(sum.packets), signed(sum.bytes)]);
        numbers.iter_mut().zip(values).for_each(|(column, value)| column.append_value(value));
    }
    let Columns { mut start, mut seconds, texts } = columns;
    let [recorder, source, kind, about] = texts.map(|mut column| Arc::new(column.finish()) as ArrayRef);
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(start.finish()), Arc::new(seconds.finish()), recorder, source, kind];
    arrays.extend(numbers.map(|mut column| Arc::new(column.finish()) as ArrayRef));
    arrays.push(about);
    if rows > 0 {
        file.group(arrays)?;
    }
    file.end()?;
    Ok(sums)
}

/// Columns of the ledger that are built value by value.
struct Columns {
    start: TimestampMicrosecondBuilder,
    seconds: Int32Builder,
    texts: [StringDictionaryBuilder<Int32Type>; 4],
}

impl Columns {
    fn new(rows: usize) -> Self {
        let start = TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC");
        Self { start, seconds: Int32Builder::with_capacity(rows), texts: Default::default() }
    }

    fn time(&mut self, start_s: i64, seconds: i32) {
        self.start.append_value(micros(start_s));
        self.seconds.append_value(seconds);
    }

    fn texts(&mut self, texts: [&str; 4]) -> io::Result<()> {
        self.texts.iter_mut().zip(texts).try_for_each(|(column, text)| column.append(text).map(drop).map_err(failed))
    }
}

fn micros(second: i64) -> i64 {
    second.saturating_mul(1_000_000)
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Texts by index, as a dictionary.
fn keyed(indices: impl Iterator<Item = u32>, values: &[String]) -> io::Result<ArrayRef> {
    let keys: Int32Array = indices.map(|i| i32::try_from(i).unwrap_or(i32::MAX)).collect();
    let values = Arc::new(StringArray::from_iter_values(values));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values).map_err(failed)?))
}

fn same(text: &str, rows: usize) -> io::Result<ArrayRef> {
    keyed(std::iter::repeat_n(0, rows), &[text.to_owned()])
}

/// What the indices of rows stand for, as texts.
struct Table<'a> {
    month: &'a MonthRows,
    labels: &'a Labels,
    seconds: i32,
    recorder: String,
    hosts: Vec<String>,
    sites: Vec<String>,
    families: Vec<String>,
    /// Place of each host among all, sorted by site.
    places: Vec<u32>,
}

impl<'a> Table<'a> {
    fn new((month, labels): (&'a MonthRows, &'a Labels), about: &About<'_>, layout: Layout) -> Self {
        let hosts: Vec<String> = month.hosts.iter().map(text::of_host).collect();
        let sites: Vec<String> = month.hosts.iter().map(|host| about.sites.of_host(host).0).collect();
        let families = month.hosts.iter().map(|host| about.sites.family_of_host(host).0).collect();
        let mut order: Vec<usize> = (0..hosts.len()).collect();
        order.sort_unstable_by_key(|i| (sites.get(*i), hosts.get(*i)));
        let mut places = vec![0; hosts.len()];
        for (place, host) in (0u32..).zip(order) {
            if let Some(of) = places.get_mut(host) {
                *of = place;
            }
        }
        Self { month, labels, seconds: layout.seconds, recorder: uuid(about.recorder), hosts, sites, families, places }
    }

    fn site_count(&self) -> usize {
        let mut sites: Vec<&String> = self.sites.iter().collect();
        sites.sort_unstable();
        sites.dedup();
        sites.len()
    }

    /// Where a row stands.
    fn place(&self, row: Option<&Row>, order: Order) -> Option<[i64; 9]> {
        let row = row?;
        let site = self.places.get(row.host as usize).copied().unwrap_or_default().into();
        let (first, second) = match order {
            Order::TimeFirst => (row.bucket_s, site),
            Order::SiteFirst => (site, row.bucket_s),
        };
        let blind = row.blind.map_or(0, |blind| blind.number());
        Some([
            first,
            second,
            row.device.into(),
            row.evidence.number().into(),
            row.traffic.number().into(),
            blind.into(),
            row.candidates.map_or(-1, i64::from),
            row.interface.into(),
            row.source.into(),
        ])
    }

    /// The columns that rows and parts have in common.
    fn usage(&self, rows: &[&Row]) -> io::Result<Vec<ArrayRef>> {
        let month = self.month;
        let each = |of: fn(&Row) -> u32| rows.iter().map(move |row| of(row));
        let by_end = |of: &dyn Fn(&Endpoint) -> String| {
            keyed(each(|row| row.device), &month.endpoints.iter().map(of).collect::<Vec<_>>())
        };
        let start = rows.iter().map(|row| micros(row.bucket_s));
        let start = arrow_array::TimestampMicrosecondArray::from_iter_values(start).with_timezone("UTC");
        let vlan = |row: &&Row| month.interfaces.get(row.interface as usize).and_then(|i| i.vlan).map_or(0, i32::from);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(start),
            Arc::new(Int32Array::from_iter_values(rows.iter().map(|_| self.seconds))),
            same(&self.recorder, rows.len())?,
            keyed(
                each(|row| row.interface),
                &month.interfaces.iter().map(|interface| interface.name.clone()).collect::<Vec<_>>(),
            )?,
            Arc::new(Int32Array::from_iter_values(rows.iter().map(vlan))),
            by_end(&|end| end.address.to_string())?,
            by_end(&|end| end.mac.map(mac_text).unwrap_or_default())?,
            keyed(each(|row| row.device), &self.labels.device)?,
            keyed(each(|row| row.device), &self.labels.name)?,
            keyed(each(|row| row.host), &self.hosts)?,
        ];
        let mut named = BooleanBuilder::with_capacity(rows.len());
        rows.iter().for_each(|row| {
            named.append_value(matches!(month.hosts.get(row.host as usize), Some(Host::Name(_))));
        });
        columns.push(Arc::new(named.finish()));
        columns.push(keyed(each(|row| row.host), &self.sites)?);
        columns.push(keyed(each(|row| row.host), &self.families)?);
        let words: [fn(&Row) -> &'static str; 3] =
            [|row| row.evidence.word(), |row| row.blind.map_or("", |blind| blind.word()), |row| row.traffic.word()];
        for word in words {
            let mut column = StringDictionaryBuilder::<Int32Type>::new();
            rows.iter().try_for_each(|row| column.append(word(row)).map(drop)).map_err(failed)?;
            columns.push(Arc::new(column.finish()));
        }
        for i in 0..4 {
            let amount = |row: &&Row| row.amounts().get(i).copied().map(signed).unwrap_or_default();
            columns.push(Arc::new(arrow_array::Int64Array::from_iter_values(rows.iter().map(amount))));
        }
        columns.push(self.candidates(rows)?);
        columns.push(keyed(each(|row| row.source), &month.sources.iter().map(|id| hex(id)).collect::<Vec<_>>())?);
        Ok(columns)
    }

    fn candidates(&self, rows: &[&Row]) -> io::Result<ArrayRef> {
        let field = match schema(Part::Rows).field_with_name("candidates").map_err(failed)?.data_type() {
            arrow_schema::DataType::List(field) => Arc::clone(field),
            other => return Err(io::Error::other(format!("candidates are {other}"))),
        };
        let mut column = ListBuilder::new(StringDictionaryBuilder::<Int32Type>::new()).with_field(field);
        for row in rows {
            let set = row.candidates.and_then(|set| self.month.candidate_sets.get(set as usize));
            let mut names: Vec<&String> =
                set.into_iter().flatten().filter_map(|host| self.hosts.get(*host as usize)).collect();
            names.sort_unstable();
            for name in names {
                column.values().append(name).map_err(failed)?;
            }
            column.append(true);
        }
        Ok(Arc::new(column.finish()))
    }
}

/// A file that is being written.
pub(super) struct File<W: Write + Send> {
    writer: ArrowWriter<W>,
    part: Part,
}

impl<W: Write + Send> File<W> {
    fn new(out: W, part: Part, about: &About<'_>, (layout, sites): (Layout, usize)) -> io::Result<Self> {
        let version = crate::version::fields(about.sites).into_iter().map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name.to_owned(), text)
        });
        let own = [
            ("schema", SCHEMA.to_owned()),
            ("table", part.word().to_owned()),
            ("month", about.month.to_string()),
            ("recorder", uuid(about.recorder)),
            ("database", uuid(about.database)),
            ("generation", about.generation.to_string()),
        ];
        let metadata = own.map(|(name, text)| (name.to_owned(), text)).into_iter().chain(version);
        Self::saying(out, part, metadata.map(|(name, text)| (format!("imon.{name}"), text)), (layout, sites))
    }

    /// One with this metadata; `distinct`: about so many hosts and sites.
    pub(super) fn saying(
        out: W,
        part: Part,
        metadata: impl Iterator<Item = (String, String)>,
        (layout, distinct): (Layout, usize),
    ) -> io::Result<Self> {
        let metadata = metadata.map(|(key, text)| KeyValue { key, value: Some(text) });
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL).map_err(failed)?))
            .set_created_by(format!("imon-analyze {}", env!("CARGO_PKG_VERSION")))
            .set_max_row_group_row_count(Some(layout.group_rows))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(1_024)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_column_statistics_enabled(ColumnPath::from("start"), EnabledStatistics::Page)
            .set_key_value_metadata(Some(metadata.collect()));
        for amount in ["up_bytes", "down_bytes", "up_packets", "down_packets"] {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(amount), false);
            properties = properties.set_column_encoding(ColumnPath::from(amount), Encoding::DELTA_BINARY_PACKED);
        }
        for name in ["host", "site"] {
            if layout.bloom && part != Part::Ledger {
                properties = properties
                    .set_column_bloom_filter_enabled(ColumnPath::from(name), true)
                    .set_column_bloom_filter_max_ndv(ColumnPath::from(name), distinct as u64);
            }
        }
        let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(out, schema(part), options).map_err(failed)?;
        Ok(Self { writer, part })
    }

    /// Writes columns as a group of their own.
    pub(super) fn group(&mut self, columns: Vec<ArrayRef>) -> io::Result<()> {
        let batch = RecordBatch::try_new(schema(self.part), columns).map_err(failed)?;
        self.writer.write(&batch).and_then(|()| self.writer.flush()).map_err(failed)
    }

    /// Bytes that were written.
    pub(super) fn len_bytes(&self) -> u64 {
        self.writer.bytes_written() as u64
    }

    /// Writes the end.
    pub(super) fn end(self) -> io::Result<()> {
        self.writer.close().map(drop).map_err(failed)
    }
}
