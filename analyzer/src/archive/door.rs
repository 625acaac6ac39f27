//! Rows of a range, wherever they are.

use super::dataset::is_in;
use super::days;
use super::fold::Apart;
use super::gathering::Gathering;
use super::known::Known;
use super::only::{Only, Recorded, Unread};
use super::read::{Spent, Table, Wanted};
use super::schema::Part;
use super::shares;
use super::{ArchiveError, Broken, Dataset, Entry, Folder};
use crate::books::month::Month;
use crate::books::{Books, Evidence, Host, Observed, Traffic};
use crate::range::Range;
use crate::store::{ClosedFile, Snapshot, Store, seconds_of};
use crate::threads::{self, Threads};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;

/// How often a snapshot is taken anew because a month was opened or put away meanwhile.
const TRIES: usize = 5;

/// Fewer bytes than these are hashed sooner than a thread begins.
const WORTH_A_THREAD_BYTES: u64 = 4 * 1024 * 1024;

/// What a question needs to know of rows.
pub struct Need<'a> {
    /// The range.
    pub range: &'a Range,
    /// Parts that pages pulled in: then rows are not summed up.
    pub pages: bool,
    /// What is told apart, where endpoints stand for devices: of the first the rows of the books
    /// are, of others [`Books::sides`]. Where there is none every row is read as it is.
    pub apart: Vec<Apart<'a>>,
    /// The rows that it asks for, where it is not all of them: of months that are put away, and of
    /// a dataset, few others are read.
    pub only: Option<Only<'a>>,
    /// How many threads sum up the rows of closed months of a database.
    pub threads: Threads,
}

impl Need<'_> {
    /// What any of its questions wants of rows. Parts are of rows with the same key.
    pub(super) fn wanted(&self) -> Wanted {
        match self.pages || self.apart.is_empty() {
            true => Wanted::ALL,
            false => self.apart.iter().fold(Wanted::default(), |all, apart| all.or(apart.wanted)),
        }
    }
}

impl std::fmt::Debug for Need<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Need").field("range", self.range).field("pages", &self.pages).finish_non_exhaustive()
    }
}

/// A month that cannot be read: its bytes are missing in the books.
#[derive(Debug)]
pub struct Hole {
    /// The month.
    pub month: Month,
    /// Why.
    pub error: ArchiveError,
}

/// Books, and what is missing in them.
#[derive(Debug)]
pub struct Opened {
    /// The books of the range.
    pub books: Books,
    /// Months that are not in them.
    pub holes: Vec<Hole>,
    /// Bytes that were read of files, where they are counted: of a dataset.
    pub read_bytes: u64,
}

/// The files of a month and a recorder that a question needs, opened.
struct Shelf {
    month: Month,
    recorder: [u8; 16],
    rows: Option<Table>,
    pages: Option<Table>,
    ledger: Option<Table>,
}

/// The books of a range.
///
/// # Errors
/// The database, or the folder. A month that cannot be read is a hole.
pub fn books(store: &Store, mut need: Need<'_>) -> Result<Opened, ArchiveError> {
    let folder = store.path().map(Folder::of);
    let (range, pages) = (need.range, need.pages);
    // Every row is told where nothing is summed up.
    let only = need.only.take().filter(|_| !pages && !need.apart.is_empty());
    let mut tries = 0;
    loop {
        tries += 1;
        let mut unread = only.as_ref().map(|_| Unread::new(seconds_of(range)));
        let mut gathering = Gathering::new(&need);
        let mut snapshot = store.snapshot(range, &mut |books, rows, parts| {
            gathering.open(books, (rows, parts), only.as_ref().zip(unread.as_mut()));
        })?;
        gathering.begin(&mut snapshot);
        let (shelves, holes) = opened(folder.as_ref(), &snapshot.closed, (pages, need.threads))?;
        // A month that was opened, or put away anew, since the snapshot.
        let is_gone = |hole: &Hole| matches!(hole.error, ArchiveError::Missing { .. });
        if tries < TRIES && holes.iter().any(is_gone) && store.closed()? != snapshot.all_closed {
            continue;
        }
        return read(store, gathering, (snapshot, only.as_ref().zip(unread)), (shelves, holes));
    }
}

/// The books of a range of a dataset, as far as they are those of a database that holds the same.
///
/// # Errors
/// There is no dataset, or a manifest cannot be read. What cannot be read is a hole.
pub fn dataset_books(root: &Path, mut need: Need<'_>) -> Result<Opened, ArchiveError> {
    let (mut tries, only) = (0, need.only.take().filter(|_| !need.pages));
    loop {
        tries += 1;
        let dataset = Dataset::open(root)?;
        let opened = dataset_read(&dataset, &need, only.as_ref())?;
        // An export took the place of files since the manifests were read.
        let is_gone = |hole: &Hole| matches!(hole.error, ArchiveError::Missing { .. });
        if tries < TRIES && opened.holes.iter().any(is_gone) && Dataset::open(root)? != dataset {
            continue;
        }
        return Ok(opened);
    }
}

/// Reads one file after the other: of a fleet there are more than a process may open.
fn dataset_read(dataset: &Dataset, need: &Need<'_>, only: Option<&Only<'_>>) -> Result<Opened, ArchiveError> {
    let Known { mut snapshot, labels, mut holes, spent, summed, summaries, replaced } = dataset.known(need)?;
    let (seconds, pages) = (snapshot.seconds, need.pages);
    let only = only.filter(|_| dataset.is_summed(seconds, &summed));
    let days = Days::of(dataset, (need, only), snapshot.books.observed, &spent);
    let mut unread = only.map(|_| Unread::new(seconds));
    let mut gathering = Gathering::new(need);
    gathering.begin(&mut snapshot);
    let is_read = |(part, _, entry): &(Part, Month, &Entry)| *part != Part::Ledger || !replaced.contains(&entry.file);
    let files = dataset.in_range(seconds, pages).filter(is_read);
    let files = files.flat_map(|(part, month, entry)| {
        let pieces = days.rest((part, month, entry), seconds);
        pieces.into_iter().map(move |seconds| (part, month, entry, seconds))
    });
    let summaries = summaries.into_iter().filter(|(month, _)| is_in(*month, seconds));
    let summaries = summaries.map(|(month, entry)| (Part::Ledger, month, entry, seconds));
    let days_of = days.files.iter().filter(|(month, _)| is_in(*month, days.whole));
    let days_of = days_of.map(|(month, entry)| (Part::Rows, *month, *entry, days.whole));
    for (part, month, entry, seconds) in files.chain(summaries).chain(days_of) {
        gathering.seconds = seconds;
        let recorder = dataset.recorder_of(entry);
        let is_asked = only.is_none_or(|only| only.takes_recorder(recorder));
        // Its sums are in its ledger.
        if part == Part::Rows && !is_asked && unread.as_ref().is_some_and(|unread| unread.has_whole(month)) {
            continue;
        }
        let pruned = only.zip(unread.as_mut());
        let read = dataset.table(entry, part, &spent).and_then(|table| {
            let taken = match (part, pruned) {
                (Part::Rows, Some((only, unread))) => {
                    let of_row = |text: &str| only.takes_recorder(dataset.recorder_called(text));
                    let recorded = match recorder {
                        None if only.asks_for_recorders() => Recorded::ByRow(&of_row),
                        _ => Recorded::All(is_asked),
                    };
                    gathering.only(&table, (only, recorded), unread)
                }
                (Part::Ledger, Some((_, unread))) => unread.sums(&table).and_then(|()| gathering.table(part, &table)),
                _ => gathering.table(part, &table),
            };
            taken.map_err(|source| ArchiveError::Broken { path: dataset.path(entry), source })
        });
        match read {
            Ok(()) => {}
            Err(error @ ArchiveError::Broken { .. }) if gathering.has_begun => return Err(error),
            Err(error) => holes.push(Hole { month, error }),
        }
        gathering.has_begun = false;
    }
    let mut opened = gathering.finish((snapshot, holes), unread, || Ok(labels))?;
    opened.read_bytes = spent.load(Ordering::Relaxed);
    Ok(opened)
}

/// Rows by day that are read instead of rows.
#[derive(Default)]
struct Days<'d> {
    /// The days that they are read of.
    whole: (i64, i64),
    files: Vec<(Month, &'d Entry)>,
    /// Files that they stand for.
    replaced: BTreeSet<String>,
}

impl<'d> Days<'d> {
    /// Those of a dataset, where a question needs no more.
    fn of(
        dataset: &'d Dataset,
        (need, only): (&Need<'_>, Option<&Only<'_>>),
        observed: Observed,
        spent: &Spent,
    ) -> Self {
        let Wanted { hosts: _, endpoints, interfaces, sources } = need.wanted();
        let by_recorder = only.is_some_and(Only::asks_for_recorders);
        if endpoints || interfaces || sources || by_recorder || need.pages {
            return Self::default();
        }
        let (from_s, to_s) = seconds_of(need.range);
        let months = dataset.in_range((from_s, to_s), false).map(|(_, month, _)| month.seconds());
        let (first_s, end_s) = months.fold((i64::MAX, i64::MIN), |(from, to), of| (from.min(of.0), to.max(of.1)));
        if first_s >= end_s {
            return Self::default();
        }
        let whole = Unread::new((from_s.max(first_s), to_s.min(end_s))).days();
        if whole.0 >= whole.1 || !days::are_whole(&need.apart, observed, whole) {
            return Self::default();
        }
        let (files, replaced) = dataset.days(whole, spent);
        Self { whole, files, replaced }
    }

    /// Of which seconds a file is read all the same.
    fn rest(&self, (part, month, entry): (Part, Month, &Entry), seconds: (i64, i64)) -> Vec<(i64, i64)> {
        if part != Part::Rows || !self.replaced.contains(&entry.file) {
            return vec![seconds];
        }
        let edges = [(seconds.0, self.whole.0), (self.whole.1, seconds.1)];
        edges.into_iter().filter(|edge| edge.0 < edge.1 && is_in(month, *edge)).collect()
    }
}

/// Opens the files of the months; all of a month and recorder, or none. Their hashes are compared
/// by several threads.
fn opened(
    folder: Option<&Folder>,
    files: &[ClosedFile],
    (pages, threads): (bool, Threads),
) -> Result<(Vec<Shelf>, Vec<Hole>), ArchiveError> {
    let shelf = |of_one: &[ClosedFile]| {
        let &ClosedFile { month, recorder, .. } = of_one.first()?;
        let open = |part| {
            let file = of_one.iter().find(|file| file.part == part);
            file.map(|file| folder.ok_or(ArchiveError::InMemory)?.open(file)).transpose()
        };
        let shelf = open(Part::Rows).and_then(|rows| {
            let pages = if pages { open(Part::Pages)? } else { None };
            Ok(Shelf { month, recorder, rows, pages, ledger: open(Part::Ledger)? })
        });
        Some((month, shelf))
    };
    let months: Vec<&[ClosedFile]> = files.chunk_by(|a, b| (a.month, a.recorder) == (b.month, b.recorder)).collect();
    let bytes = files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.len_bytes));
    let count = threads.for_work(bytes, WORTH_A_THREAD_BYTES).min(months.len()).max(1);
    let parts: Vec<&[&[ClosedFile]]> = months.chunks(months.len().div_ceil(count).max(1)).collect();
    let found = threads::each(&parts, |part| part.iter().filter_map(|of_one| shelf(of_one)).collect::<Vec<_>>());
    let (mut shelves, mut holes): (Vec<Shelf>, Vec<Hole>) = (Vec::new(), Vec::new());
    for (month, shelf) in found.into_iter().flatten() {
        match shelf {
            Ok(shelf) => shelves.push(shelf),
            Err(error) if error.is_of_one_month() => holes.push(Hole { month, error }),
            Err(error) => return Err(error),
        }
    }
    Ok((shelves, holes))
}

fn read(
    store: &Store,
    mut gathering: Gathering<'_>,
    (snapshot, only): (Snapshot, Option<(&Only<'_>, Unread)>),
    (shelves, holes): (Vec<Shelf>, Vec<Hole>),
) -> Result<Opened, ArchiveError> {
    let broken = |month: Month| move |source| ArchiveError::Broken { path: format!("month={month}").into(), source };
    let Some((only, mut unread)) = only else {
        let tables: Vec<(Month, &Table)> =
            shelves.iter().filter_map(|of| Some((of.month, of.rows.as_ref()?))).collect();
        shares::rows(&mut gathering, &tables).map_err(|(month, source)| broken(month)(source))?;
        for shelf in &shelves {
            shelf.beside(&mut gathering).map_err(broken(shelf.month))?;
        }
        return gathering.finish((snapshot, holes), None, || store.labels());
    };
    let own = store.recorder()?;
    for shelf in &shelves {
        shelf.only(&mut gathering, (only, own), &mut unread).map_err(broken(shelf.month))?;
    }
    gathering.finish((snapshot, holes), Some(unread), || store.labels())
}

impl Shelf {
    /// All but the rows.
    fn beside(&self, gathering: &mut Gathering<'_>) -> Result<(), Broken> {
        for (part, table) in [(Part::Pages, &self.pages), (Part::Ledger, &self.ledger)] {
            table.as_ref().map_or(Ok(()), |table| gathering.table(part, table))?;
        }
        Ok(())
    }

    /// What is asked for, of a database with the name `own`; the rest is in the sums of its ledger.
    fn only(
        &self,
        gathering: &mut Gathering<'_>,
        (only, own): (&Only<'_>, [u8; 16]),
        unread: &mut Unread,
    ) -> Result<(), Broken> {
        let is_asked = only.takes_recorder(Some(Some(self.recorder).filter(|recorder| *recorder != own)));
        let is_summed = self.ledger.as_ref().map_or(Ok(false), Table::has_sums)?;
        if let Some(rows) = &self.rows {
            match is_summed {
                true => gathering.only(rows, (only, Recorded::All(is_asked)), unread)?,
                false => unread.unsummed(|unread| gathering.only(rows, (only, Recorded::All(is_asked)), unread))?,
            }
        }
        let Some(ledger) = &self.ledger else { return Ok(()) };
        unread.sums(ledger)?;
        gathering.table(Part::Ledger, ledger)
    }
}

/// Calls `add` with the bytes of each host, evidence and kind of traffic, over all months.
///
/// # Errors
/// As [`books`]; months that cannot be read are left out.
pub fn sums(store: &Store, mut add: impl FnMut(&Host, Evidence, Traffic, u64)) -> Result<Vec<Hole>, ArchiveError> {
    let range = Range::everything(jiff::tz::TimeZone::UTC);
    let wanted = Wanted { hosts: true, ..Wanted::default() };
    let apart = vec![Apart::new(wanted, |_| |_| 0)];
    let need = Need { range: &range, pages: false, apart, only: None, threads: Threads::Fitting };
    let Opened { books, holes, .. } = books(store, need)?;
    for row in &books.rows {
        if let Some(host) = books.hosts.get(row.host as usize) {
            add(host, row.evidence, row.traffic, row.up_bytes.saturating_add(row.down_bytes));
        }
    }
    Ok(holes)
}
