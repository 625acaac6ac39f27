//! Files of a month → rows, in batches, only the columns that are asked for.

mod columns;
mod input;
mod ledger;
mod usage;

use columns::words;
pub(super) use columns::{column, dictionary, primitive, value};
pub(super) use input::{Input, Spent};
pub(super) use ledger::Sources;
use usage::{Caches, Columns, host};

use super::schema::{Part, SCHEMA, schema};
use crate::books::{Endpoint, Host, Interface, PageRow, Row, Sureness};
use crate::rollup::Interner;
use arrow_array::RecordBatch;
use arrow_array::types::TimestampMicrosecondType;
use imon_common::names::Name;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::net::IpAddr;
use std::sync::Arc;

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
    /// Hosts, and which of them could own the bytes as well. Without them a host stands for all
    /// that are names, and one for all others; those that carry tunnels stay what they are.
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

    fn reader(&self, columns: &[&str]) -> Result<ParquetRecordBatchReader, Broken> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.input.clone(), self.metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        Ok(builder.with_projection(mask).with_batch_size(BATCH_ROWS).build()?)
    }

    /// The groups that have rows of these seconds, and which of its rows are: `None`: all of them.
    pub(super) fn groups_of(&self, (from_s, to_s): (i64, i64)) -> Result<Vec<(usize, Option<RowSelection>)>, Broken> {
        let mut groups = Vec::new();
        for (number, group) in self.groups().iter().enumerate() {
            let (first, end) = span(group).unwrap_or((i64::MIN, i64::MAX));
            if first >= from_s && end <= to_s {
                groups.push((number, None));
            } else if first < to_s && end > from_s {
                let rows = self.rows_of(number, (from_s, to_s))?;
                groups.extend(rows.map(|rows| (number, Some(rows))));
            }
        }
        Ok(groups)
    }

    /// The rows of a group from the first to the last one of these seconds.
    fn rows_of(&self, group: usize, (from_s, to_s): (i64, i64)) -> Result<Option<RowSelection>, Broken> {
        let (mut at, mut first, mut end) = (0usize, usize::MAX, 0usize);
        for batch in self.group_reader(&["start"], (group, None))? {
            let batch = batch?;
            for micros in primitive::<TimestampMicrosecondType>(&batch, "start")? {
                let second = micros.div_euclid(1_000_000);
                if second >= from_s && second < to_s {
                    (first, end) = (first.min(at), at + 1);
                }
                at += 1;
            }
        }
        let rows = std::iter::once(first..end);
        Ok((first < end).then(|| RowSelection::from_consecutive_ranges(rows, at)))
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
        for group in self.groups_of(seconds)? {
            let mut columns = self.columns(group, (seconds, wanted))?;
            while let Some(batch) = columns.next_batch()? {
                columns.usage(&batch, None, pool, |pool, _, row| take(pool, row))?;
            }
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
        for group in self.groups_of(seconds)? {
            let mut columns = self.columns(group, (seconds, Wanted::ALL))?;
            while let Some(batch) = columns.next_batch()? {
                parts_of(&mut columns, &batch, pool, take)?;
            }
        }
        Ok(())
    }

    /// The columns of usage of some rows of a group; `None`: of all.
    pub(super) fn columns(
        &self,
        group: (usize, Option<RowSelection>),
        (seconds, wanted): ((i64, i64), Wanted),
    ) -> Result<Columns, Broken> {
        let reader = self.group_reader(&self.column_names(wanted), group)?;
        Ok(Columns { reader, seconds, wanted, caches: Caches::default() })
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
}

/// First second of a group, and the one after its last, as its statistics have them.
pub(super) fn span(group: &RowGroupMetaData) -> Option<(i64, i64)> {
    let column = group.columns().iter().find(|column| column.column_path().string() == "start")?;
    match column.statistics()? {
        Statistics::Int64(of) => {
            let second = |micros: &i64| micros.div_euclid(1_000_000);
            Some((second(of.min_opt()?), second(of.max_opt()?).saturating_add(1)))
        }
        _ => None,
    }
}

/// The parts of rows of a batch.
fn parts_of(
    columns: &mut Columns,
    batch: &RecordBatch,
    pool: &mut Pool,
    take: &mut dyn FnMut(&Pool, PageRow),
) -> Result<(), Broken> {
    let (page, rival) = (dictionary(batch, "page")?, dictionary(batch, "rival")?);
    let hosts = dictionary(batch, "host")?;
    let words =
        words(dictionary(batch, "sureness")?, |word| Sureness::ALL.into_iter().find(|class| class.word() == word))?;
    let mut found = Vec::with_capacity(batch.num_rows());
    columns.usage(batch, None, pool, |_, i, row| found.push((i, row)))?;
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
    Ok(())
}
