//! Months are put away, and taken back.

use super::ArchiveError;
use super::folder::{Folder, Leftovers};
use super::read::{Pool, Sources, Table, Wanted};
use super::schema::Part;
use super::sheets::Sheets;
use super::write::Layout;
use crate::books::month::{Month, MonthRows, RowSums};
use crate::store::{ClosedFile, KnownSource, Store};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// How long after its end a month is put away: what comes later than an older name is fresh
/// (`KNOWN_NS`) changes nothing in it.
const AFTER_NS: i64 = 7 * 86_400 * NANOS_PER_SECOND;

/// What became of a month that was to be put away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// It is put away: so many rows, in so many bytes.
    Closed {
        /// Rows of sums.
        rows: u64,
        /// Bytes of its files.
        len_bytes: u64,
    },
    /// It stays open.
    Open(Why),
}

/// Why a month stays open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There is nothing of it in the database.
    Nothing,
    /// It is not over, or not for long enough.
    NotOver,
    /// This source of it may still grow.
    OpenSource(String),
    /// This source of it is to be booked again.
    Stale(String),
}

/// The months of a database.
#[derive(Debug)]
pub struct Archive<'a> {
    pub(super) store: &'a mut Store,
    pub(super) folder: Folder,
}

impl<'a> Archive<'a> {
    /// That of a database.
    ///
    /// # Errors
    /// It is in memory.
    pub fn new(store: &'a mut Store) -> Result<Self, ArchiveError> {
        let folder = store.path().map(Folder::of).ok_or(ArchiveError::InMemory)?;
        Ok(Self { store, folder })
    }

    /// Removes what closings left that were cut short.
    ///
    /// # Errors
    /// The database, or the folder.
    pub fn tidy(&mut self) -> Result<Leftovers, ArchiveError> {
        if !self.folder.path().exists() {
            return Ok(Leftovers::default());
        }
        let own = self.store.recorder()?;
        self.folder.tidy(&self.store.closed()?, self.store.generation()?, own)
    }

    /// Puts away every month that is over for long enough.
    ///
    /// # Errors
    /// The database, or the folder. Months before are put away then.
    pub fn close_due(&mut self, now: UnixNanos) -> Result<Vec<(Month, Closing)>, ArchiveError> {
        let mut closings = Vec::new();
        for month in self.store.open_months()? {
            match self.close(month, now) {
                Ok(closing) => closings.push((month, closing)),
                // What is wrong with an old file of this month keeps no other one open.
                Err(error) if error.is_of_one_month() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(closings)
    }

    /// Puts a month away, if it can be. What came to it since it was put away the last time is put
    /// to it.
    ///
    /// # Errors
    /// The database, or the folder; the month is as it was then.
    pub fn close(&mut self, month: Month, now: UnixNanos) -> Result<Closing, ArchiveError> {
        self.close_as(month, now, Layout::default())
    }

    /// The same with another layout, to measure it.
    ///
    /// # Errors
    /// See [`Archive::close`].
    pub fn close_as(&mut self, month: Month, now: UnixNanos, layout: Layout) -> Result<Closing, ArchiveError> {
        if let Some(why) = self.stays_open(month, now)? {
            return Ok(Closing::Open(why));
        }
        if self.store.closed()?.iter().any(|file| file.month == month) {
            self.reopen(month)?;
        }
        let rows = self.store.month_rows(month)?;
        let files = self.write(month, &rows, layout)?;
        let sums = |part: Part| files.iter().filter(|file| file.part == part).map(|file| file.sums.rows).sum::<u64>();
        let closing =
            Closing::Closed { rows: sums(Part::Rows), len_bytes: files.iter().map(|file| file.len_bytes).sum() };
        if self.store.close_month(month, &files, sums(Part::Rows))? {
            return Ok(closing);
        }
        self.folder.remove(&files);
        Ok(Closing::Open(Why::Nothing))
    }

    fn stays_open(&self, month: Month, now: UnixNanos) -> Result<Option<Why>, ArchiveError> {
        if month.instants().1.0.saturating_add(AFTER_NS) > now.0 {
            return Ok(Some(Why::NotOver));
        }
        if !self.store.open_months()?.contains(&month) {
            return Ok(Some(Why::Nothing));
        }
        for source in self.store.known_sources()? {
            let is_there = || Path::new(&source.path).exists();
            if !month.is_touched(source.first, source.last) {
                continue;
            }
            if source.ended == "open" && is_there() {
                return Ok(Some(Why::OpenSource(source.path)));
            }
            if source.stale && is_there() {
                return Ok(Some(Why::Stale(source.path)));
            }
        }
        Ok(None)
    }

    /// Writes the files of a month, those of each recorder.
    fn write(&mut self, month: Month, rows: &MonthRows, layout: Layout) -> Result<Vec<ClosedFile>, ArchiveError> {
        // Durable before there is a file: no other closing ever has it.
        let generation = self.store.next_generation()?;
        self.write_as(month, rows, (generation, layout))
    }

    /// The same under this number.
    pub(super) fn write_as(
        &mut self,
        month: Month,
        rows: &MonthRows,
        (generation, layout): (u64, Layout),
    ) -> Result<Vec<ClosedFile>, ArchiveError> {
        let sheets = Sheets::new(self.store, month, rows)?;
        let mut files = Vec::new();
        for recorder in sheets.recorders() {
            let facts = sheets.facts(self.store, recorder)?;
            for part in Part::ALL {
                let made = self.folder.make((part, month, recorder), generation, |out| {
                    sheets.write((part, recorder), &facts, (generation, layout), out)
                });
                let (file, sha256, len_bytes, sums) = made?;
                files.push(ClosedFile { month, recorder, part, generation, file, sha256, len_bytes, sums });
            }
        }
        Ok(files)
    }

    /// Takes a month back into the database, and removes its files.
    ///
    /// # Errors
    /// A file of it is missing or damaged, or the database; the month is as it was then.
    pub fn reopen(&mut self, month: Month) -> Result<(), ArchiveError> {
        let files = self.files_of(month)?;
        let rows = self.rows_of(&files)?;
        self.store.reopen_month(month, &rows)?;
        self.folder.remove(&files);
        Ok(())
    }

    /// Everything that the files of a month hold, compared with what they should.
    pub(super) fn rows_of(&self, files: &[ClosedFile]) -> Result<MonthRows, ArchiveError> {
        let (mut rows, mut pool) = (MonthRows::default(), Pool::default());
        for file in files {
            let table = self.folder.open(file)?;
            let sums = read_whole(&table, file.part, &mut pool, &mut rows)
                .map_err(|source| ArchiveError::Broken { path: self.folder.file(file), source })?;
            if sums != file.sums {
                return Err(ArchiveError::Sums { path: self.folder.file(file) });
            }
        }
        let Pool { hosts, endpoints, candidate_sets, interfaces, sources } = pool;
        Ok(MonthRows {
            hosts: hosts.values().to_vec(),
            endpoints: endpoints.values().to_vec(),
            candidate_sets: candidate_sets.values().to_vec(),
            interfaces: interfaces.values().to_vec(),
            sources: sources.values().to_vec(),
            ..rows
        })
    }

    /// Takes back the months in which these sources have sums, so that they can be booked again.
    /// Gives the sources that cannot: a file of a month of theirs is missing or damaged, and what
    /// it held of others would be lost.
    ///
    /// # Errors
    /// The database, or the folder.
    pub fn reopen_for(&mut self, sources: &[i64]) -> Result<HashSet<i64>, ArchiveError> {
        let wanted: HashSet<i64> = sources.iter().copied().collect();
        let mut kept = HashSet::new();
        for (month, of_month) in self.store.closed_sources()? {
            if !of_month.iter().any(|source| wanted.contains(source)) {
                continue;
            }
            match self.reopen(month) {
                Ok(()) => {}
                // All of it is booked again: nothing is lost with the file.
                Err(error) if error.is_of_one_month() && of_month.iter().all(|source| wanted.contains(source)) => {
                    // Whatever happens before they are.
                    self.store.mark_stale(&of_month)?;
                    let files = self.files_of(month)?;
                    self.store.drop_month(month)?;
                    self.folder.remove(&files);
                }
                Err(error) if error.is_of_one_month() => kept.extend(of_month),
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }

    /// Removes sources with everything that is booked of them, all or nothing. Months that are put
    /// away and hold others as well are open then; those of no others go with their files. The
    /// segments of captures are doomed.
    ///
    /// # Errors
    /// A file of a month with other sources as well is missing or damaged; the database.
    pub fn prune(&mut self, sources: &[KnownSource]) -> Result<(), ArchiveError> {
        let going: HashSet<i64> = sources.iter().map(|source| source.id).collect();
        let (mut months, mut files) = (Vec::new(), Vec::new());
        for (month, of_month) in self.store.closed_sources()? {
            if of_month.iter().all(|source| going.contains(source)) {
                files.extend(self.files_of(month)?);
                months.push(month);
            } else if of_month.iter().any(|source| going.contains(source)) {
                self.reopen(month)?;
            }
        }
        self.store.prune(sources, &months)?;
        self.folder.remove(&files);
        Ok(())
    }

    fn files_of(&self, month: Month) -> Result<Vec<ClosedFile>, ArchiveError> {
        Ok(self.store.closed()?.into_iter().filter(|file| file.month == month).collect())
    }

    /// Reads a month's files to the end and compares them with what was written.
    ///
    /// # Errors
    /// The first thing that does not agree.
    pub fn check(&self, files: &[ClosedFile]) -> Result<(), ArchiveError> {
        self.rows_of(files).map(drop)
    }

    /// The files of all months that are put away, by month.
    ///
    /// # Errors
    /// The database.
    pub fn months(&self) -> Result<BTreeMap<Month, Vec<ClosedFile>>, ArchiveError> {
        let mut months: BTreeMap<Month, Vec<ClosedFile>> = BTreeMap::new();
        for file in self.store.closed()? {
            months.entry(file.month).or_default().push(file);
        }
        Ok(months)
    }

    /// Where a file of a month is.
    pub fn path_of(&self, file: &ClosedFile) -> std::path::PathBuf {
        self.folder.file(file)
    }
}

/// Reads all of a file into `rows`; gives what it sums up to.
pub(super) fn read_whole(
    table: &Table,
    part: Part,
    pool: &mut Pool,
    rows: &mut MonthRows,
) -> Result<RowSums, super::Broken> {
    let all = (i64::MIN, i64::MAX);
    let mut sums = RowSums::default();
    match part {
        Part::Rows => table.rows(all, Wanted::ALL, pool, |_, row| {
            sums.add(row.amounts());
            rows.rows.push(row);
        })?,
        Part::Pages => table.parts(all, pool, &mut |_, part| {
            sums.add(part.row.amounts());
            rows.parts.push(part);
        })?,
        Part::Ledger => table.counts(all, Sources::Told, pool, &mut |count| {
            sums.add([count.bytes, 0, count.packets, 0]);
            rows.counts.push(count);
        })?,
    }
    Ok(sums)
}
