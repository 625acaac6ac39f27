//! Files of a month → rows, in batches, only the columns that are asked for.

use super::schema::{Part, SCHEMA, schema};
use super::text;
use super::write::DaySum;
use crate::books::month::{CountRow, Month};
use crate::books::{Blind, Endpoint, Evidence, Host, Interface, PageRow, Row, Sureness, Traffic};
use crate::question::parse_mac;
use crate::rollup::Interner;
use crate::table::units::from_hex;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array as _, ArrayRef, DictionaryArray, RecordBatch, StringArray};
use bytes::Bytes;
use imon_common::names::Name;
use imon_common::wire::Mac;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::net::IpAddr;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 16_384;

/// What stands for names that are not told apart.
pub(super) const OTHER_NAMES: &str = "(other-names)";

/// Bytes that are read at a time for a hash.
const CHUNK_BYTES: usize = 256 * 1024;

/// Why a file cannot be read as one of a month.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The system says so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no Parquet, or none of ours.
    #[error("{0}")]
    Form(String),
}

impl From<parquet::errors::ParquetError> for Broken {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Form(error.to_string())
    }
}

impl From<arrow_schema::ArrowError> for Broken {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::Form(error.to_string())
    }
}

/// SHA-256 and length of a file from its beginning.
///
/// # Errors
/// Those of reading.
pub fn hash_of(file: &mut File) -> io::Result<([u8; 32], u64)> {
    file.rewind()?;
    let (mut hash, mut len, mut buffer) = (Sha256::new(), 0u64, vec![0; CHUNK_BYTES]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hash.finalize().into(), len)),
            Ok(n) => {
                hash.update(buffer.get(..n).unwrap_or_default());
                len += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// What rows of files point to, each once, over all files.
#[derive(Debug, Default)]
pub struct Pool {
    /// What [`Row::host`] points to.
    pub hosts: Interner<Host>,
    /// What [`Row::device`] points to.
    pub endpoints: Interner<Endpoint>,
    /// What [`Row::candidates`] points to, each sorted.
    pub candidate_sets: Interner<Vec<u32>>,
    /// What [`Row::interface`] points to.
    pub interfaces: Interner<Interface>,
    /// What [`Row::source`] points to.
    pub sources: Interner<Vec<u8>>,
}

/// Which columns are read that not every question needs; of the others rows have 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Hosts, and which of them could own the bytes as well. Without them a host stands for all that
    /// are names, and one for all others; those that carry tunnels stay what they are.
    pub hosts: bool,
    /// Endpoints.
    pub endpoints: bool,
    /// Interfaces.
    pub interfaces: bool,
    /// Sources.
    pub sources: bool,
}

impl Wanted {
    /// All of them.
    pub const ALL: Self = Self { hosts: true, endpoints: true, interfaces: true, sources: true };

    /// What either wants.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            hosts: self.hosts || other.hosts,
            endpoints: self.endpoints || other.endpoints,
            interfaces: self.interfaces || other.interfaces,
            sources: self.sources || other.sources,
        }
    }

    /// The row without what is not wanted; its host stays.
    #[must_use]
    pub fn told_apart(self, row: Row) -> Row {
        let or_none = |is: bool, index: u32| if is { index } else { 0 };
        Row {
            candidates: row.candidates.filter(|_| self.hosts),
            device: or_none(self.endpoints, row.device),
            interface: or_none(self.interfaces, row.interface),
            source: or_none(self.sources, row.source),
            ..row
        }
    }
}

/// The host that stands for all names, or for all others.
pub(super) fn stand_in(named: bool) -> Host {
    let name = named.then(|| Name::from_presentation(OTHER_NAMES)).flatten();
    name.map_or(Host::Address(IpAddr::from([0, 0, 0, 0])), Host::Name)
}

/// Bytes that were read.
pub(super) type Spent = Arc<AtomicU64>;

/// A file whose bytes are counted as they are read.
#[derive(Debug, Clone)]
pub(super) struct Input {
    file: Arc<File>,
    spent: Spent,
}

/// Part of an [`Input`], from a place on.
pub(super) struct Piece {
    input: Input,
    at: u64,
}

impl io::Read for Piece {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.file.read_at(buffer, self.at)?;
        self.at = self.at.saturating_add(read as u64);
        self.input.spent.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Length for Input {
    fn len(&self) -> u64 {
        self.file.metadata().map_or(0, |about| about.len())
    }
}

impl ChunkReader for Input {
    type T = io::BufReader<Piece>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(io::BufReader::new(Piece { input: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // What a hostile file claims to have may be more than there is.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            return Err(parquet::errors::ParquetError::EOF("the file is shorter".to_owned()));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        self.spent.fetch_add(length as u64, Ordering::Relaxed);
        Ok(bytes.into())
    }
}

/// A file of a month whose end was understood.
#[derive(Debug)]
pub struct Table {
    input: Input,
    metadata: ArrowReaderMetadata,
    part: Part,
}

impl Table {
    /// Reads the end of a file.
    ///
    /// # Errors
    /// It is no file of this kind.
    pub fn new(file: File, part: Part) -> Result<Self, Broken> {
        Self::counting(file, part, Spent::default())
    }

    /// The same; what is read of it is counted.
    ///
    /// # Errors
    /// See [`Table::new`].
    pub(super) fn counting(file: File, part: Part, spent: Spent) -> Result<Self, Broken> {
        let input = Input { file: Arc::new(file), spent };
        let options = ArrowReaderOptions::new()
            .with_schema(schema(part))
            .with_offset_index_policy(PageIndexPolicy::Optional)
            .with_column_index_policy(PageIndexPolicy::Skip);
        let metadata = ArrowReaderMetadata::load(&input, options)?;
        let table = Self { input, metadata, part };
        let about = table.about();
        let is = |key: &str, value: &str| about.get(key).is_some_and(|found| found == value);
        match is("imon.schema", SCHEMA) && is("imon.table", part.word()) {
            true => Ok(table),
            false => Err(Broken::Form(format!("it is no table `{}` of {SCHEMA}", part.word()))),
        }
    }

    /// The metadata by key.
    pub fn about(&self) -> BTreeMap<String, String> {
        let pairs = self.metadata.metadata().file_metadata().key_value_metadata();
        let pair =
            |about: &parquet::file::metadata::KeyValue| (about.key.clone(), about.value.clone().unwrap_or_default());
        pairs.into_iter().flatten().map(pair).collect()
    }

    /// How many rows it has.
    pub fn row_count(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// All of it, in batches of so many rows.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn batches(&self, rows: usize) -> Result<ParquetRecordBatchReader, Broken> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.input.clone(), self.metadata.clone());
        Ok(builder.with_batch_size(rows).build()?)
    }

    fn reader(&self, columns: &[&str], rows: Option<Range<usize>>) -> Result<ParquetRecordBatchReader, Broken> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.input.clone(), self.metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let mut builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
        if let Some(rows) = rows {
            let total = usize::try_from(self.row_count()).unwrap_or(usize::MAX);
            builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(std::iter::once(rows), total));
        }
        Ok(builder.build()?)
    }

    /// Which rows can be of these seconds; `None`: all of them are.
    fn selected(&self, (from_s, to_s): (i64, i64)) -> Result<Option<Range<usize>>, Broken> {
        let month = self.about().get("imon.month").and_then(|month| month.parse::<Month>().ok()).map(Month::seconds);
        if month.is_some_and(|(first_s, end_s)| from_s <= first_s && end_s <= to_s) {
            return Ok(None);
        }
        let (mut at, mut first, mut last, mut all) = (0usize, usize::MAX, 0usize, true);
        for batch in self.reader(&["start"], None)? {
            let batch = batch?;
            for micros in primitive::<TimestampMicrosecondType>(&batch, "start")? {
                let second = micros.div_euclid(1_000_000);
                if second >= from_s && second < to_s {
                    (first, last) = (first.min(at), at + 1);
                } else {
                    all = false;
                }
                at += 1;
            }
        }
        Ok((!all).then(|| first.min(last)..last))
    }

    /// Calls `take` with each row of the seconds from `from_s` to before `to_s`.
    ///
    /// # Errors
    /// [`Broken`]; some rows were taken then.
    pub fn rows(
        &self,
        seconds: (i64, i64),
        wanted: Wanted,
        pool: &mut Pool,
        mut take: impl FnMut(&Pool, Row),
    ) -> Result<(), Broken> {
        let Some(mut columns) = self.columns(seconds, wanted)? else { return Ok(()) };
        while let Some(batch) = columns.next_batch()? {
            columns.usage(&batch, pool, |pool, _, row| take(pool, row))?;
        }
        Ok(())
    }

    /// Calls `take` with each part of a row, likewise.
    ///
    /// # Errors
    /// [`Broken`]; some parts were taken then.
    pub fn parts(
        &self,
        seconds: (i64, i64),
        pool: &mut Pool,
        take: &mut dyn FnMut(&Pool, PageRow),
    ) -> Result<(), Broken> {
        let Some(mut columns) = self.columns(seconds, Wanted::ALL)? else { return Ok(()) };
        while let Some(batch) = columns.next_batch()? {
            let (page, rival) = (dictionary(&batch, "page")?, dictionary(&batch, "rival")?);
            let hosts = dictionary(&batch, "host")?;
            let words = words(dictionary(&batch, "sureness")?, |word| {
                Sureness::ALL.into_iter().find(|class| class.word() == word)
            })?;
            let mut found = Vec::with_capacity(batch.num_rows());
            columns.usage(&batch, pool, |_, i, row| found.push((i, row)))?;
            for (i, row) in found {
                let own = value(hosts, i)?;
                let mut of = |text: &str| match text {
                    "" => Ok(None),
                    own_text if own_text == own => Ok(Some(row.host)),
                    // Pages are of names.
                    text => host(text, true).map(|host| Some(pool.hosts.index_of(&host))),
                };
                let (page, rival) = (of(value(page, i)?)?, of(value(rival, i)?)?);
                let (Some(page), Some(sureness)) = (page, words.get(i).copied().flatten()) else {
                    return Err(Broken::Form("a part without its page".to_owned()));
                };
                take(pool, PageRow { row, page, sureness, rival });
            }
        }
        Ok(())
    }

    fn columns(&self, seconds: (i64, i64), wanted: Wanted) -> Result<Option<Columns>, Broken> {
        let selected = self.selected(seconds)?;
        if selected.as_ref().is_some_and(Range::is_empty) {
            return Ok(None);
        }
        let names = self.column_names(wanted);
        Ok(Some(Columns { reader: self.reader(&names, selected)?, seconds, wanted, caches: Caches::default() }))
    }

    /// Calls `take` with the rows of a group that `rows` selects; `None`: all of them.
    pub(super) fn group_rows(
        &self,
        (group, rows): (usize, Option<RowSelection>),
        (seconds, wanted): ((i64, i64), Wanted),
        pool: &mut Pool,
        mut take: impl FnMut(&Pool, Row),
    ) -> Result<(), Broken> {
        let reader = self.group_reader(&self.column_names(wanted), (group, rows))?;
        let mut columns = Columns { reader, seconds, wanted, caches: Caches::default() };
        while let Some(batch) = columns.next_batch()? {
            columns.usage(&batch, pool, |pool, _, row| take(pool, row))?;
        }
        Ok(())
    }

    /// Some columns of a group.
    pub(super) fn group_reader(
        &self,
        columns: &[&str],
        (group, rows): (usize, Option<RowSelection>),
    ) -> Result<ParquetRecordBatchReader, Broken> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.input.clone(), self.metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let mut builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS).with_row_groups(vec![group]);
        if let Some(rows) = rows {
            builder = builder.with_row_selection(rows);
        }
        Ok(builder.build()?)
    }

    /// The groups, as the end of the file describes them.
    pub(super) fn groups(&self) -> &[RowGroupMetaData] {
        self.metadata.metadata().row_groups()
    }

    /// Where the file's bytes are.
    pub(super) fn input(&self) -> &Input {
        &self.input
    }

    fn column_names(&self, wanted: Wanted) -> Vec<&'static str> {
        let mut names = vec!["start", "host", "named", "evidence", "blind", "scope"];
        names.extend(["candidates"].iter().filter(|_| wanted.hosts));
        names.extend(["up_bytes", "down_bytes", "up_packets", "down_packets"]);
        names.extend(["device_address", "device_mac"].iter().filter(|_| wanted.endpoints));
        names.extend(["interface", "vlan"].iter().filter(|_| wanted.interfaces));
        names.extend(["source"].iter().filter(|_| wanted.sources));
        if self.part == Part::Pages {
            names.extend(["page", "sureness", "rival"]);
        }
        names
    }

    /// Calls `take` with what the rows of each UTC day sum up to, of days from `from_s` to before
    /// `to_s`.
    pub(super) fn day_sums(&self, (from_s, to_s): (i64, i64), take: &mut dyn FnMut(DaySum)) -> Result<(), Broken> {
        for batch in self.reader(&["start", "kind", "counter", "detail", "packets", "bytes", "about"], None)? {
            let batch = batch?;
            let starts = primitive::<TimestampMicrosecondType>(&batch, "start")?;
            let is_sum = words(dictionary(&batch, "kind")?, |word| Some(word == "sum"))?;
            let abouts = dictionary(&batch, "about")?;
            let number = |name| primitive::<Int64Type>(&batch, name);
            let (counter, detail) = (number("counter")?, number("detail")?);
            let (packets, bytes) = (number("packets")?, number("bytes")?);
            for (i, micros) in starts.iter().enumerate() {
                let day_s = micros.div_euclid(1_000_000);
                if is_sum.get(i).copied().flatten() != Some(true) || day_s < from_s || day_s >= to_s {
                    continue;
                }
                let at = |column: &[i64]| column.get(i).copied().unwrap_or_default();
                let [_, named, blind, traffic] = u32::try_from(at(detail)).unwrap_or_default().to_be_bytes();
                let evidence = u8::try_from(at(counter)).map_err(|_| odd("counter"))?;
                let class = [evidence, traffic, blind, named];
                let carrier = value(abouts, i)?.to_owned();
                take(DaySum { day_s, class, carrier, packets: unsigned(at(packets)), bytes: unsigned(at(bytes)) });
            }
        }
        Ok(())
    }

    /// Calls `take` with each count of the seconds from `from_s` to before `to_s`; its source is 0
    /// unless they are asked for.
    ///
    /// # Errors
    /// [`Broken`]; some counts were taken then.
    pub fn counts(
        &self,
        seconds: (i64, i64),
        with_sources: bool,
        pool: &mut Pool,
        take: &mut dyn FnMut(CountRow),
    ) -> Result<(), Broken> {
        let mut names = vec!["start", "kind", "counter", "detail", "packets", "bytes"];
        names.extend(["source"].iter().filter(|_| with_sources));
        let mut source_ids = Ids::default();
        for batch in self.reader(&names, None)? {
            let batch = batch?;
            let starts = primitive::<TimestampMicrosecondType>(&batch, "start")?;
            let is_count = words(dictionary(&batch, "kind")?, |word| Some(word == "count"))?;
            let number = |name| primitive::<Int64Type>(&batch, name);
            let (counter, detail) = (number("counter")?, number("detail")?);
            let (packets, bytes) = (number("packets")?, number("bytes")?);
            let sources = with_sources.then(|| dictionary(&batch, "source")).transpose()?;
            sources.into_iter().for_each(|column| source_ids.begin(column));
            for (i, micros) in starts.iter().enumerate() {
                let bucket_s = micros.div_euclid(1_000_000);
                if is_count.get(i).copied().flatten() != Some(true) || bucket_s < seconds.0 || bucket_s >= seconds.1 {
                    continue;
                }
                let at = |column: &[i64]| column.get(i).copied().unwrap_or_default();
                let source = match sources {
                    Some(column) => source_ids.of(column, i, |text| source(text, pool))?,
                    None => 0,
                };
                take(CountRow {
                    bucket_s,
                    source,
                    counter: u8::try_from(at(counter)).unwrap_or_default(),
                    detail: u32::try_from(at(detail)).unwrap_or_default(),
                    packets: unsigned(at(packets)),
                    bytes: unsigned(at(bytes)),
                });
            }
        }
        Ok(())
    }

    /// Calls `take` with kind, source and text of each fact.
    ///
    /// # Errors
    /// [`Broken`]; some facts were taken then.
    pub fn facts(&self, take: &mut dyn FnMut(&str, &[u8], &str)) -> Result<(), Broken> {
        for batch in self.reader(&["kind", "source", "about"], None)? {
            let batch = batch?;
            let (kind, source, about) =
                (dictionary(&batch, "kind")?, dictionary(&batch, "source")?, dictionary(&batch, "about")?);
            for i in 0..batch.num_rows() {
                let kind = value(kind, i)?;
                if kind != "count" {
                    let source = from_hex(value(source, i)?);
                    take(kind, &source.ok_or_else(|| odd("source"))?, value(about, i)?);
                }
            }
        }
        Ok(())
    }
}

/// The columns of usage while they are read.
struct Columns {
    reader: ParquetRecordBatchReader,
    seconds: (i64, i64),
    wanted: Wanted,
    caches: Caches,
}

/// The lists of hosts that could own bytes as well.
struct Lists<'b> {
    offsets: &'b [i32],
    names: &'b DictionaryArray<Int32Type>,
}

impl<'b> Lists<'b> {
    fn new(batch: &'b RecordBatch) -> Result<Self, Broken> {
        let lists = column(batch, "candidates")?.as_list_opt::<i32>().ok_or_else(|| odd("candidates"))?;
        let names = lists.values().as_dictionary_opt::<Int32Type>().ok_or_else(|| odd("candidates"))?;
        Ok(Self { offsets: lists.value_offsets(), names })
    }

    /// Where the names of a row are, if it has some.
    fn of(&self, i: usize) -> Option<Range<i32>> {
        let (from, to) = (*self.offsets.get(i)?, *self.offsets.get(i + 1)?);
        (from < to).then_some(from..to)
    }
}

/// What values of dictionaries stand for, by column.
#[derive(Default)]
struct Caches {
    named: Ids,
    addresses: Ids,
    addresses_of: Interner<IpAddr>,
    macs: Ids,
    macs_of: Interner<Option<Mac>>,
    interfaces: Ids,
    interfaces_of: Interner<String>,
    sources: Ids,
    candidates: Ids,
    /// What stands for hosts that are no names, and for names.
    stand_ins: [Option<u32>; 2],
    /// The last endpoint of each address: most have one.
    ends: Vec<Option<(u32, u32)>>,
    /// The last interface, as neighbours are alike.
    last_interface: Option<(u32, i32, u32)>,
}

impl Columns {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>, Broken> {
        Ok(self.reader.next().transpose()?)
    }

    fn usage(
        &mut self,
        batch: &RecordBatch,
        pool: &mut Pool,
        mut take: impl FnMut(&Pool, usize, Row),
    ) -> Result<(), Broken> {
        let starts = primitive::<TimestampMicrosecondType>(batch, "start")?;
        let hosts = dictionary(batch, "host")?;
        let named = column(batch, "named")?.as_boolean_opt().ok_or_else(|| odd("named"))?;
        let of_evidence = |word: &str| Evidence::ALL.into_iter().find(|kind| kind.word() == word);
        let evidence = words(dictionary(batch, "evidence")?, of_evidence)?;
        let of_blind = |word: &str| Some(Blind::ALL.into_iter().find(|blind| blind.word() == word));
        let blind = words(dictionary(batch, "blind")?, of_blind)?;
        let of_traffic = |word: &str| Traffic::ALL.into_iter().find(|traffic| traffic.word() == word);
        let traffic = words(dictionary(batch, "scope")?, of_traffic)?;
        let amounts = ["up_bytes", "down_bytes", "up_packets", "down_packets"];
        let amounts = amounts.map(|name| primitive::<Int64Type>(batch, name));
        let [up_bytes, down_bytes, up_packets, down_packets] = amounts;
        let (up_bytes, down_bytes, up_packets, down_packets) = (up_bytes?, down_bytes?, up_packets?, down_packets?);
        let candidates = if self.wanted.hosts { Some(Lists::new(batch)?) } else { None };
        let ends = if self.wanted.endpoints {
            let columns = (dictionary(batch, "device_address")?, dictionary(batch, "device_mac")?);
            self.caches.addresses.begin(columns.0);
            self.caches.macs.begin(columns.1);
            Some(columns)
        } else {
            None
        };
        let interfaces = if self.wanted.interfaces {
            let columns = (dictionary(batch, "interface")?, primitive::<Int32Type>(batch, "vlan")?);
            self.caches.interfaces.begin(columns.0);
            Some(columns)
        } else {
            None
        };
        let sources = self.wanted.sources.then(|| dictionary(batch, "source")).transpose()?;
        sources.into_iter().for_each(|column| self.caches.sources.begin(column));
        self.caches.named.begin(hosts);
        candidates.iter().for_each(|lists| self.caches.candidates.begin(lists.names));
        let mut addresses = Ids::default();
        addresses.begin(hosts);
        for (i, micros) in starts.iter().enumerate() {
            let bucket_s = micros.div_euclid(1_000_000);
            if bucket_s < self.seconds.0 || bucket_s >= self.seconds.1 {
                continue;
            }
            let (is_name, blind) = (named.value(i), blind.get(i).copied().flatten().flatten());
            let host = if self.wanted.hosts || blind == Some(Blind::Tunnel) {
                let ids = if is_name { &mut self.caches.named } else { &mut addresses };
                ids.of(hosts, i, |text| host(text, is_name).map(|host| pool.hosts.index_of(&host)))?
            } else {
                let [address, name] = &mut self.caches.stand_ins;
                let place = if is_name { name } else { address };
                *place.get_or_insert_with(|| pool.hosts.index_of(&stand_in(is_name)))
            };
            let device = match ends {
                Some((address, mac)) => self.caches.end(address, mac, i, pool)?,
                None => 0,
            };
            let interface = match interfaces {
                Some((name, vlan)) => self.caches.interface(name, vlan.get(i).copied().unwrap_or_default(), i, pool)?,
                None => 0,
            };
            let source = match sources {
                Some(column) => self.caches.sources.of(column, i, |text| source(text, pool))?,
                None => 0,
            };
            let candidates = match candidates.as_ref().and_then(|lists| Some((lists, lists.of(i)?))) {
                Some((lists, list)) => Some(set(&mut self.caches.candidates, lists.names, list, pool)?),
                None => None,
            };
            let at = |column: &[i64]| unsigned(column.get(i).copied().unwrap_or_default());
            let row = Row {
                bucket_s,
                host,
                device,
                evidence: evidence.get(i).copied().flatten().ok_or_else(|| odd("evidence"))?,
                traffic: traffic.get(i).copied().flatten().ok_or_else(|| odd("scope"))?,
                candidates,
                blind,
                interface,
                source,
                up_bytes: at(up_bytes),
                down_bytes: at(down_bytes),
                up_packets: at(up_packets),
                down_packets: at(down_packets),
            };
            take(pool, i, row);
        }
        Ok(())
    }
}

impl Caches {
    fn end(
        &mut self,
        address: &DictionaryArray<Int32Type>,
        mac: &DictionaryArray<Int32Type>,
        i: usize,
        pool: &mut Pool,
    ) -> Result<u32, Broken> {
        let of = &mut self.addresses_of;
        let address = self.addresses.of(address, i, |text| {
            let address: IpAddr = text.parse().map_err(|_| odd("device_address"))?;
            Ok(of.index_of(&address))
        })?;
        let of = &mut self.macs_of;
        let mac = self.macs.of(mac, i, |text| match (text, parse_mac(text)) {
            ("", _) => Ok(of.index_of(&None)),
            (_, Some(mac)) => Ok(of.index_of(&Some(mac))),
            _ => Err(odd("device_mac")),
        })?;
        let place = address as usize;
        if let Some((_, end)) = self.ends.get(place).copied().flatten().filter(|(known, _)| *known == mac) {
            return Ok(end);
        }
        let end = (self.addresses_of.get(address).copied(), self.macs_of.get(mac).copied());
        let (Some(address), Some(of)) = end else { return Err(odd("device_address")) };
        let end = pool.endpoints.index_of(&Endpoint { address, mac: of });
        if self.ends.len() <= place {
            self.ends.resize(place + 1, None);
        }
        if let Some(last) = self.ends.get_mut(place) {
            *last = Some((mac, end));
        }
        Ok(end)
    }

    fn interface(
        &mut self,
        name: &DictionaryArray<Int32Type>,
        vlan: i32,
        i: usize,
        pool: &mut Pool,
    ) -> Result<u32, Broken> {
        let of = &mut self.interfaces_of;
        let name = self.interfaces.of(name, i, |text| Ok(of.index_of(&text.to_owned())))?;
        if let Some((.., found)) = self.last_interface.filter(|(n, v, _)| (*n, *v) == (name, vlan)) {
            return Ok(found);
        }
        let text = self.interfaces_of.get(name).cloned().unwrap_or_default();
        let id = u16::try_from(vlan).map_err(|_| odd("vlan"))?;
        let interface = Interface { name: text, vlan: Some(id).filter(|id| *id != 0) };
        let found = pool.interfaces.index_of(&interface);
        self.last_interface = Some((name, vlan, found));
        Ok(found)
    }
}

/// What the values of a dictionary stand for, as far as rows have asked.
#[derive(Default)]
struct Ids {
    values: Option<ArrayRef>,
    ids: Vec<u32>,
}

impl Ids {
    /// The next rows are of this column: most have the dictionary of those before.
    fn begin(&mut self, column: &DictionaryArray<Int32Type>) {
        if self.values.as_ref().is_none_or(|values| !Arc::ptr_eq(values, column.values())) {
            self.values = Some(Arc::clone(column.values()));
            self.ids.clear();
            self.ids.resize(column.values().len(), u32::MAX);
        }
    }

    #[inline]
    fn of(
        &mut self,
        column: &DictionaryArray<Int32Type>,
        i: usize,
        find: impl FnOnce(&str) -> Result<u32, Broken>,
    ) -> Result<u32, Broken> {
        let key = column.keys().values().get(i).and_then(|key| usize::try_from(*key).ok());
        let known = key.and_then(|key| self.ids.get_mut(key)).ok_or_else(|| odd("dictionary"))?;
        if *known == u32::MAX {
            *known = find(value(column, i)?)?;
        }
        Ok(*known)
    }
}

fn odd(column: &str) -> Broken {
    Broken::Form(format!("a value of the column `{column}` that imon does not write"))
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

fn host(text: &str, named: bool) -> Result<Host, Broken> {
    text::to_host(text, named).ok_or_else(|| odd("host"))
}

fn source(text: &str, pool: &mut Pool) -> Result<u32, Broken> {
    let identity = from_hex(text).ok_or_else(|| odd("source"))?;
    Ok(pool.sources.index_of(&identity))
}

/// A set of candidates, all of which are names.
fn set(ids: &mut Ids, names: &DictionaryArray<Int32Type>, range: Range<i32>, pool: &mut Pool) -> Result<u32, Broken> {
    let mut hosts = Vec::with_capacity(range.len());
    for i in range {
        let i = usize::try_from(i).unwrap_or(usize::MAX);
        hosts.push(ids.of(names, i, |text| host(text, true).map(|host| pool.hosts.index_of(&host)))?);
    }
    hosts.sort_unstable();
    Ok(pool.candidate_sets.index_of(&hosts))
}

pub(super) fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef, Broken> {
    let found = batch.column_by_name(name).filter(|column| column.null_count() == 0);
    found.ok_or_else(|| Broken::Form(format!("the column `{name}` is missing, or has nulls")))
}

pub(super) fn primitive<'b, T: arrow_array::ArrowPrimitiveType>(
    batch: &'b RecordBatch,
    name: &str,
) -> Result<&'b [T::Native], Broken> {
    let column = column(batch, name)?.as_primitive_opt::<T>();
    Ok(column.ok_or_else(|| odd(name))?.values())
}

pub(super) fn dictionary<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b DictionaryArray<Int32Type>, Broken> {
    column(batch, name)?.as_dictionary_opt::<Int32Type>().ok_or_else(|| odd(name))
}

pub(super) fn value(column: &DictionaryArray<Int32Type>, i: usize) -> Result<&str, Broken> {
    let key = column.keys().values().get(i).and_then(|key| usize::try_from(*key).ok());
    let values: Option<&StringArray> = column.values().as_string_opt();
    match (key, values) {
        (Some(key), Some(values)) if key < values.len() => Ok(values.value(key)),
        _ => Err(odd("dictionary")),
    }
}

/// What each row's word stands for.
fn words<T: Copy>(
    column: &DictionaryArray<Int32Type>,
    of: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>, Broken> {
    let values: &StringArray = column.values().as_string_opt().ok_or_else(|| odd("dictionary"))?;
    let meanings: Vec<Option<T>> = values.iter().map(|word| word.and_then(&of)).collect();
    let meaning = |key: &i32| usize::try_from(*key).ok().and_then(|key| meanings.get(key).copied()).flatten();
    Ok(column.keys().values().iter().map(meaning).collect())
}
