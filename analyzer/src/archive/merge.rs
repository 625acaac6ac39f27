//! Files of one table → groups of rows, sorted by start and site: of many recorders, in bounded
//! memory.

use super::ArchiveError;
use super::read::{Broken, Table, dictionary, primitive, value};
use super::schema::{Part, schema};
use super::write::Layout;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_select::interleave::interleave;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::collections::{BTreeMap, BTreeSet};

/// Rows that are decoded at a time of each file: of a hundred files a few hundred thousand rows are
/// in memory.
const BATCH_ROWS: usize = 2_048;

/// What becomes of a batch before it is merged.
pub(super) type Change<'a> = &'a dyn Fn(RecordBatch) -> Result<RecordBatch, Broken>;

/// A file that is read from its beginning.
struct Cursor {
    reader: ParquetRecordBatchReader,
    /// Number of its batch among those that are held; `None`: it has ended.
    held: Option<usize>,
    at: usize,
    len: usize,
}

/// A row by its batch's number and its place there.
type Pick = (usize, usize);

struct Merge<'a> {
    part: Part,
    change: Change<'a>,
    cursors: Vec<Cursor>,
    held: BTreeMap<usize, RecordBatch>,
    next: usize,
}

/// Calls `give` with the columns of each group, in order. Rows of the same start and site stay in
/// the order of `tables`. A ledger is no sequence of times: its files follow each other.
///
/// # Errors
/// A file is broken, or those of `give`.
pub(super) fn merge(
    (tables, part): (&[Table], Part),
    change: Change<'_>,
    give: &mut dyn FnMut(Vec<ArrayRef>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut merge = Merge { part, change, cursors: Vec::new(), held: BTreeMap::new(), next: 0 };
    let broken = |source| ArchiveError::Broken { path: part.word().into(), source };
    let group_rows = Layout::default().group_rows;
    let mut picks: Vec<Pick> = Vec::new();
    let mut flush = |merge: &mut Merge<'_>, picks: &mut Vec<Pick>, count: usize| {
        let later = picks.split_off(count);
        let columns = merge.columns(picks).map_err(broken)?;
        *picks = later;
        merge.let_go(picks);
        give(columns)
    };
    match part {
        Part::Ledger => {
            for table in tables {
                merge.begin(table).map_err(broken)?;
                while merge.take(0, None, &mut picks).map_err(broken)? {
                    if picks.len() >= group_rows {
                        flush(&mut merge, &mut picks, group_rows)?;
                    }
                }
                merge.cursors.clear();
            }
        }
        Part::Rows | Part::Pages => {
            for table in tables {
                merge.begin(table).map_err(broken)?;
            }
            while let Some(start) = merge.first().map_err(broken)? {
                let from = picks.len();
                for i in 0..merge.cursors.len() {
                    while merge.take(i, Some(start), &mut picks).map_err(broken)? {}
                }
                merge.sort(picks.get_mut(from..).unwrap_or_default()).map_err(broken)?;
                while picks.len() >= group_rows {
                    flush(&mut merge, &mut picks, group_rows)?;
                }
            }
        }
    }
    if picks.is_empty() {
        return Ok(());
    }
    let all = picks.len();
    flush(&mut merge, &mut picks, all)
}

impl Merge<'_> {
    fn begin(&mut self, table: &Table) -> Result<(), Broken> {
        let reader = table.batches(BATCH_ROWS)?;
        self.cursors.push(Cursor { reader, held: None, at: 0, len: 0 });
        self.load(self.cursors.len().saturating_sub(1))
    }

    /// The next batch of a file.
    fn load(&mut self, cursor: usize) -> Result<(), Broken> {
        let Some(cursor) = self.cursors.get_mut(cursor) else { return Ok(()) };
        cursor.held = None;
        while let Some(batch) = cursor.reader.next().transpose()? {
            if batch.num_rows() > 0 {
                let batch = (self.change)(batch)?;
                (cursor.held, cursor.at, cursor.len) = (Some(self.next), 0, batch.num_rows());
                self.held.insert(self.next, batch);
                self.next += 1;
                break;
            }
        }
        Ok(())
    }

    fn start_of(&self, cursor: &Cursor) -> Result<Option<i64>, Broken> {
        let Some(batch) = cursor.held.and_then(|held| self.held.get(&held)) else { return Ok(None) };
        Ok(primitive::<TimestampMicrosecondType>(batch, "start")?.get(cursor.at).copied())
    }

    /// The earliest start of all.
    fn first(&self) -> Result<Option<i64>, Broken> {
        let mut first = None;
        for cursor in &self.cursors {
            let start = self.start_of(cursor)?;
            first = first.into_iter().chain(start).min();
        }
        Ok(first)
    }

    /// Takes the rows of a file's batch that have this start (or all of it); whether there were
    /// any.
    fn take(&mut self, number: usize, start: Option<i64>, picks: &mut Vec<Pick>) -> Result<bool, Broken> {
        let Some(cursor) = self.cursors.get(number) else { return Ok(false) };
        let Some((held, batch)) = cursor.held.and_then(|held| Some((held, self.held.get(&held)?))) else {
            return Ok(false);
        };
        let starts = primitive::<TimestampMicrosecondType>(batch, "start")?;
        let rest = starts.get(cursor.at..).unwrap_or_default();
        let count = rest.iter().take_while(|of| start.is_none_or(|start| **of == start)).count();
        picks.extend((cursor.at..cursor.at + count).map(|row| (held, row)));
        let (at, len) = (cursor.at + count, cursor.len);
        if let Some(cursor) = self.cursors.get_mut(number) {
            cursor.at = at;
        }
        if at >= len {
            self.load(number)?;
        }
        Ok(count > 0)
    }

    /// Sorts rows of one start by site, then host.
    fn sort(&self, picks: &mut [Pick]) -> Result<(), Broken> {
        let mut keyed: Vec<(&str, &str, Pick)> = Vec::with_capacity(picks.len());
        let mut last = None;
        for (held, row) in picks.iter().copied() {
            let columns = match last {
                Some((of, columns)) if of == held => columns,
                _ => {
                    let batch = self.held.get(&held).ok_or_else(|| Broken::Form("a batch that is gone".into()))?;
                    (dictionary(batch, "site")?, dictionary(batch, "host")?)
                }
            };
            last = Some((held, columns));
            keyed.push((value(columns.0, row)?, value(columns.1, row)?, (held, row)));
        }
        keyed.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        picks.iter_mut().zip(keyed).for_each(|(pick, (.., sorted))| *pick = sorted);
        Ok(())
    }

    /// The columns of these rows.
    fn columns(&self, picks: &[Pick]) -> Result<Vec<ArrayRef>, Broken> {
        let used: BTreeSet<usize> = picks.iter().map(|(held, _)| *held).collect();
        let places: BTreeMap<usize, usize> = used.iter().enumerate().map(|(place, held)| (*held, place)).collect();
        let batches: Vec<&RecordBatch> = used.iter().filter_map(|held| self.held.get(held)).collect();
        let indices: Vec<(usize, usize)> =
            picks.iter().map(|(held, row)| (places.get(held).copied().unwrap_or_default(), *row)).collect();
        let mut columns = Vec::new();
        for i in 0..schema(self.part).fields().len() {
            let arrays: Vec<&dyn arrow_array::Array> =
                batches.iter().filter_map(|batch| batch.columns().get(i)).map(|column| &**column).collect();
            if arrays.iter().any(|array| array.null_count() > 0) {
                return Err(Broken::Form("a column has nulls".into()));
            }
            columns.push(interleave(&arrays, &indices)?);
        }
        Ok(columns)
    }

    /// Forgets batches of which nothing is needed any more.
    fn let_go(&mut self, picks: &[Pick]) {
        let mut needed: BTreeSet<usize> = picks.iter().map(|(held, _)| *held).collect();
        needed.extend(self.cursors.iter().filter_map(|cursor| cursor.held));
        self.held.retain(|held, _| needed.contains(held));
    }
}
