//! Rows of a range while they are gathered, from the database and from files.

use super::door::{Hole, Need, Opened};
use super::fold::{Apart, Fold};
use super::only::{Asked, Only, Unread};
use super::places::{Places, Pointed, at};
use super::read::{Pool, Sources, Table, Wanted};
use super::schema::Part;
use super::shares::{Share, Wish};
use super::{ArchiveError, Broken};
use crate::books::month::CountRow;
use crate::books::{Books, Endpoint, Gap, Observed, PageRow, Row, Source};
use crate::range::Range;
use crate::rollup;
use crate::store::{Devices, Snapshot, StoreError, listed};
use crate::table::units::hex;
use crate::threads::Threads;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Why a month is missing, as the reason of a gap.
const MISSING: &str = "books-missing";
const DAMAGED: &str = "books-damaged";

/// Rows of a range while they are gathered.
pub(super) struct Gathering<'n> {
    range: &'n Range,
    /// Parts are asked for.
    pages: bool,
    pub(super) threads: Threads,
    pub(super) pool: Pool,
    /// Of what the database itself holds.
    places: Places,
    pub(super) wanted: Wanted,
    /// What is told apart; nothing: rows stay as they are.
    pub(super) apart: &'n [Apart<'n>],
    /// When something was observed: known before the first row.
    pub(super) observed: Observed,
    /// Made with the first row.
    pub(super) fold: Option<Fold<'n>>,
    parts: Vec<PageRow>,
    counts: HashMap<(u8, u32), (u64, u64)>,
    pub(super) devices: DeviceOf,
    pub(super) seconds: (i64, i64),
    /// What is asked for, where it is not all.
    pub(super) asked: Asked,
    /// Most pages of the group before had something that is asked for.
    pub(super) is_dense: bool,
    /// Something of a file was taken: if it is broken further on, what was taken cannot be undone.
    pub(super) has_begun: bool,
}

impl<'n> Gathering<'n> {
    /// Nothing so far.
    pub(super) fn new(need: &'n Need<'n>) -> Self {
        let apart = if need.pages { &[] } else { need.apart.as_slice() };
        Self {
            range: need.range,
            pages: need.pages,
            threads: need.threads,
            pool: Pool::default(),
            places: Places::default(),
            wanted: need.wanted(),
            apart,
            observed: None,
            fold: None,
            parts: Vec::new(),
            counts: HashMap::new(),
            devices: DeviceOf::default(),
            seconds: (0, 0),
            asked: Asked::default(),
            is_dense: false,
            has_begun: false,
        }
    }

    /// Takes in rows that the database itself holds, and which have devices.
    pub(super) fn open(
        &mut self,
        books: &Books,
        (rows, parts): (&[Row], &[PageRow]),
        mut only: Option<(&Only<'_>, &mut Unread)>,
    ) {
        self.observed = books.observed;
        let fold = self.fold.get_or_insert_with(|| Fold::new(self.apart, books.observed));
        self.places.learn(&Pointed::of_books(books), &mut self.pool);
        for row in rows {
            if let Some((only, unread)) = &mut only {
                let placed = self.places.row(row);
                if !self.asked.takes(&placed, &self.pool, only) {
                    unread.open_row(&placed, self.pool.hosts.get(placed.host));
                    continue;
                }
            }
            let host = self.places.stand_in(row, (books, self.wanted), &mut self.pool);
            let row = self.wanted.told_apart(self.places.row(row));
            fold.add(Row { host: host.unwrap_or(row.host), ..row }, &self.pool.hosts);
        }
        // The database reads parts for their checksums, whether they are asked for or not.
        self.parts.extend(parts.iter().filter(|_| self.pages).map(|part| self.places.part(part)));
    }

    /// Takes in what else the database holds; files may follow.
    pub(super) fn begin(&mut self, snapshot: &mut Snapshot) {
        self.counts = std::mem::take(&mut snapshot.counts).into_iter().collect();
        (self.devices, self.seconds) = (DeviceOf::new(&snapshot.devices), snapshot.seconds);
        self.observed = snapshot.books.observed;
    }

    /// What a thread has to know that sums up some of the rows.
    pub(super) fn wish(&self) -> Wish<'n> {
        let Self { apart, observed, wanted, seconds, devices, .. } = self;
        Wish { apart, observed: *observed, wanted: *wanted, seconds: *seconds, devices: devices.anew() }
    }

    /// Takes in sums of rows that come after all that were taken.
    pub(super) fn absorb(&mut self, Share { pool, fold: other }: Share<'n>) {
        let mut places = Places::default();
        places.learn(&Pointed::of_pool(&pool), &mut self.pool);
        let fold = self.fold.get_or_insert_with(|| Fold::new(self.apart, self.observed));
        fold.absorb(other, [&self.pool.hosts, &pool.hosts], |row| places.row(&row));
    }

    /// All that a file has of the range.
    pub(super) fn table(&mut self, part: Part, table: &Table) -> Result<(), Broken> {
        let Self { pool, wanted, fold, parts, counts, devices, seconds, has_begun, apart, observed, .. } = self;
        let fold = fold.get_or_insert_with(|| Fold::new(apart, *observed));
        match part {
            Part::Rows => table.rows(*seconds, *wanted, pool, |pool, mut row| {
                *has_begun = true;
                row.device = if wanted.endpoints { devices.of(row.device, pool) } else { 0 };
                fold.add(row, &pool.hosts);
            }),
            Part::Pages => table.parts(*seconds, pool, &mut |pool, mut part| {
                *has_begun = true;
                part.row.device = devices.of(part.row.device, pool);
                parts.push(part);
            }),
            Part::Ledger => table.counts(*seconds, Sources::LeftOut, pool, &mut |count: CountRow| {
                *has_begun = true;
                let sum: &mut (u64, u64) = counts.entry((count.counter, count.detail)).or_default();
                *sum = (sum.0.saturating_add(count.packets), sum.1.saturating_add(count.bytes));
            }),
        }
    }

    pub(super) fn finish(
        self,
        (snapshot, holes): (Snapshot, Vec<Hole>),
        unread: Option<Unread>,
        labels_of_all: impl FnOnce() -> Result<Vec<Source>, StoreError>,
    ) -> Result<Opened, ArchiveError> {
        let range = self.range;
        let Snapshot { mut books, mut gaps, overlaps, timeline, .. } = snapshot;
        gaps.extend(holes.iter().map(gap));
        (books.rows, books.sides) = self.fold.map(|fold| fold.finish(&self.pool.hosts)).unwrap_or_default();
        books.pages = self.parts;
        let Pool { hosts, candidate_sets, interfaces, sources, .. } = self.pool;
        books.hosts = hosts.values().to_vec();
        books.candidate_sets = candidate_sets.values().to_vec();
        books.interfaces = interfaces.values().to_vec();
        let mut labels: HashMap<Vec<u8>, Source> =
            books.sources.drain(..).map(|source| (source.identity.clone(), source)).collect();
        if sources.values().iter().any(|identity| !labels.contains_key(identity)) {
            labels.extend(labels_of_all()?.into_iter().map(|source| (source.identity.clone(), source)));
        }
        let unknown =
            |identity: &Vec<u8>| Source { identity: identity.clone(), label: hex(identity), ..Source::default() };
        let source = |identity: &Vec<u8>| labels.get(identity).cloned().unwrap_or_else(|| unknown(identity));
        books.sources = sources.values().iter().map(source).collect();
        in_order(&mut books);
        let counts = listed(self.counts.into_iter().collect());
        match unread {
            None => books.ledger = rollup::ledger(&books.rows, &books.hosts, counts, gaps),
            Some(unread) => {
                let (rows, mut hosts) = unread.rows(books.hosts.len());
                let all: Vec<Row> = books.rows.iter().chain(&rows).copied().collect();
                hosts.splice(0..0, books.hosts.iter().cloned());
                books.ledger = rollup::ledger(&all, &hosts, counts, gaps);
                books.unread = rows;
            }
        }
        books.add_timeline(timeline, range);
        books.ledger.leave_out(overlaps);
        books.ledger.note_removed(&books.removed);
        Ok(Opened { books, holes, read_bytes: 0 })
    }
}

/// A month that is missing, as a gap.
fn gap(hole: &Hole) -> Gap {
    let (from, to) = hole.month.instants();
    let reason = if matches!(hole.error, ArchiveError::Missing { .. }) { MISSING } else { DAMAGED };
    Gap { from, to, reason: reason.to_owned(), interface: None }
}

/// Devices of the endpoints of a pool.
#[derive(Default)]
pub(super) struct DeviceOf {
    ends: Arc<HashMap<Endpoint, u32>>,
    /// By the endpoint's index, as far as they were asked for.
    of: Vec<u32>,
}

impl DeviceOf {
    fn new(devices: &Devices) -> Self {
        let ends = devices.clients.endpoints.iter().zip(&devices.clients.device_of);
        Self { ends: Arc::new(ends.map(|(end, device)| (*end, *device)).collect()), of: Vec::new() }
    }

    /// Those of another pool.
    pub(super) fn anew(&self) -> Self {
        Self { ends: Arc::clone(&self.ends), of: Vec::new() }
    }

    pub(super) fn of(&mut self, endpoint: u32, pool: &Pool) -> u32 {
        while self.of.len() <= endpoint as usize {
            let Some(end) = pool.endpoints.get(u32::try_from(self.of.len()).unwrap_or(u32::MAX)) else { return 0 };
            self.of.push(self.ends.get(end).copied().unwrap_or_default());
        }
        at(&self.of, endpoint)
    }
}

/// What rows point to in its order, each once, and nothing else: so books do not depend on where
/// their rows were.
fn in_order(books: &mut Books) {
    let of_rows = || books.all_rows();
    let sets: BTreeSet<u32> = of_rows().filter_map(|row| row.candidates).collect();
    let in_sets = sets.iter().filter_map(|set| books.candidate_sets.get(*set as usize)).flatten().copied();
    let in_parts = books.pages.iter().flat_map(|part| [Some(part.page), part.rival]).flatten();
    let (hosts, host_places) = kept(&books.hosts, of_rows().map(|row| row.host).chain(in_sets).chain(in_parts));
    let (interfaces, interface_places) = kept(&books.interfaces, of_rows().map(|row| row.interface));
    let (sources, source_places) = kept(&books.sources, of_rows().map(|row| row.source));
    for set in &mut books.candidate_sets {
        set.iter_mut().for_each(|host| *host = at(&host_places, *host));
        set.sort_unstable();
    }
    let (candidate_sets, set_places) = kept(&books.candidate_sets, sets.into_iter());
    for row in books.all_rows_mut() {
        row.host = at(&host_places, row.host);
        row.candidates = row.candidates.map(|set| at(&set_places, set));
        row.interface = at(&interface_places, row.interface);
        row.source = at(&source_places, row.source);
    }
    for part in &mut books.pages {
        part.page = at(&host_places, part.page);
        part.rival = part.rival.map(|rival| at(&host_places, rival));
    }
    (books.hosts, books.interfaces, books.candidate_sets) = (hosts, interfaces, candidate_sets);
    books.sources = sources;
}

/// Those of `values` that are `used`, sorted, and the new place of each.
fn kept<T: Ord + Clone>(values: &[T], used: impl Iterator<Item = u32>) -> (Vec<T>, Vec<u32>) {
    let mut is_used = vec![false; values.len()];
    for index in used {
        if let Some(is_used) = is_used.get_mut(index as usize) {
            *is_used = true;
        }
    }
    let mut order: Vec<usize> = (0..values.len()).filter(|i| is_used.get(*i) == Some(&true)).collect();
    order.sort_unstable_by_key(|i| values.get(*i));
    let mut places = vec![0; values.len()];
    for (place, old) in (0u32..).zip(&order) {
        if let Some(of) = places.get_mut(*old) {
            *of = place;
        }
    }
    (order.iter().filter_map(|i| values.get(*i).cloned()).collect(), places)
}
