//! The store's answers.

use super::chunks::Take;
use super::sums::{self, Read};
use super::{ClosedFile, Devices, Store, StoreError, blob};
use crate::books::month::CountRow;
use crate::books::{Blind, Books, Evidence, Gap, Host, Interface, Observed, Overlap, PageRow, Row, Source, Traffic};
use crate::range::Range;
use crate::rollup::{self, Endpoint};
use crate::timeline::Timeline;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::names::{Name, NameKind};
use imon_common::observe::{Count, Counter};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use rusqlite::OptionalExtension as _;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Its row.
    pub id: i64,
    /// `segment` or `capture`.
    pub kind: String,
    /// Where it was read from.
    pub path: String,
    /// The segment that a capture was kept as.
    pub kept: Option<String>,
    /// How it ended, in a word.
    pub ended: String,
    /// Bytes of the file, as far as it was read.
    pub len_bytes: u64,
    /// First interval observed.
    pub first: UnixNanos,
    /// Last interval observed.
    pub last: UnixNanos,
    /// Interface or name of the capture.
    pub interface: String,
    /// Records in it.
    pub records: u64,
    /// The segment, if it was recorded live.
    pub segment: Option<[u8; 16]>,
    /// Its bytes count whatever other sources hold.
    pub allow_overlap: bool,
}

/// The store at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// All sources, oldest first.
    pub sources: Vec<SourceRow>,
    /// Rows of sums.
    pub rollup_rows: u64,
    /// Different hosts (names and addresses).
    pub hosts: u64,
    /// Bytes of the database file, without its journal.
    pub len_bytes: u64,
    /// When was recorded, and when not.
    pub timeline: Timeline,
}

/// Counts that are no usage, by counter and detail: packets and bytes.
pub(crate) type Counts = BTreeMap<(u8, u32), (u64, u64)>;

/// The same one by one.
pub(crate) fn listed(counts: Counts) -> impl Iterator<Item = Count> {
    counts.into_iter().map(|((counter, detail), (packets, bytes))| {
        let counter = Counter::from_numbers(counter, detail);
        Count { counter, packets, bytes }
    })
}

/// What the database holds of a range, of one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Rows and what they point to; the ledger is empty.
    pub books: Books,
    /// Counts by counter and detail: packets and bytes.
    pub counts: Counts,
    /// Gaps that segments state themselves.
    pub gaps: Vec<Gap>,
    /// What is left out because another source holds it.
    pub overlaps: Vec<Overlap>,
    /// When was recorded.
    pub timeline: Timeline,
    /// All devices.
    pub devices: Devices,
    /// First second of the range, and the first one after it.
    pub seconds: (i64, i64),
    /// Files of months of the range that are put away.
    pub closed: Vec<ClosedFile>,
    /// Files of all of them.
    pub all_closed: Vec<ClosedFile>,
}

const SOURCE_COLUMNS: &str = "id, kind, path, ended, len_bytes, first_ns, last_ns, interface, records, kept,
     (SELECT segment FROM recorded WHERE recorded.source = source.id), allow_overlap";

fn source_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<SourceRow> {
    Ok(SourceRow {
        id: row.get(0)?,
        kind: row.get(1)?,
        path: row.get(2)?,
        ended: row.get(3)?,
        len_bytes: unsigned(row.get(4)?),
        first: UnixNanos(row.get(5)?),
        last: UnixNanos(row.get(6)?),
        interface: row.get(7)?,
        records: unsigned(row.get(8)?),
        kept: row.get(9)?,
        segment: row.get(10)?,
        allow_overlap: row.get(11)?,
    })
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

impl Store {
    /// The source with this identity, if it was ingested; for the UUID of a kept segment, the
    /// capture that it was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn source(&self, identity: &[u8]) -> Result<Option<SourceRow>, StoreError> {
        let sql = format!("SELECT {SOURCE_COLUMNS} FROM source WHERE identity = ?1 OR kept_segment = ?1");
        Ok(self.db.prepare_cached(&sql)?.query_row([identity], source_row).optional()?)
    }

    /// What the store holds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn status(&self) -> Result<Status, StoreError> {
        let sql = format!("SELECT {SOURCE_COLUMNS} FROM source ORDER BY first_ns, id");
        let sources = self.db.prepare(&sql)?.query_map([], source_row)?.collect::<Result<_, _>>()?;
        let count = |sql: &str| self.db.query_row(sql, [], |row| row.get(0).map(unsigned));
        Ok(Status {
            sources,
            rollup_rows: count("SELECT count(*) FROM rollup")?,
            hosts: count("SELECT count(*) FROM host")?,
            timeline: self.timeline(&Range::everything(jiff::tz::TimeZone::UTC))?,
            len_bytes: count("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")?,
        })
    }

    /// What the database holds of a range, with the files of months that are put away: all of one
    /// moment. Its rows and their parts are handed to `take`, which has devices in them, and books
    /// with what they point to so far, and when something was
    /// observed.
    ///
    /// # Errors
    /// [`StoreError`]; what was taken is not to be relied on then.
    pub fn snapshot(&self, range: &Range, take: Take<'_>) -> Result<Snapshot, StoreError> {
        // One transaction: another program may book meanwhile.
        let tx = self.db.unchecked_transaction()?;
        let seconds = seconds_of(range);
        let (from_s, to_s) = seconds;
        let devices = self.devices()?;
        let (mut books, mut read) = self.taken((from_s, to_s), &devices, take)?;
        devices.clients.clone().tell(&mut books);
        let gaps = self.gaps(from_s, to_s)?;
        let counts = self.counts(from_s, to_s, &mut read)?;
        let timeline = self.timeline(range)?;
        let overlaps = self.overlaps(from_s, to_s, &mut read)?;
        books.removed = self.removed(from_s, to_s, &mut read)?;
        self.verify(from_s, to_s, read)?;
        let all_closed = self.closed()?;
        tx.commit()?;
        let is_in = |file: &&ClosedFile| file.month.seconds().0 < to_s && file.month.seconds().1 > from_s;
        let closed = all_closed.iter().filter(is_in).cloned().collect();
        Ok(Snapshot { books, counts, gaps, overlaps, timeline, devices, seconds, closed, all_closed })
    }

    /// First and last instant of all sources.
    pub(super) fn observed(&self) -> Result<Observed, StoreError> {
        Ok(self.db.query_row("SELECT min(first_ns), max(last_ns) FROM source", [], |row| {
            let (first, last): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(first.zip(last).map(|(first, last)| (UnixNanos(first), UnixNanos(last))))
        })?)
    }

    /// The books of a range, as far as the database itself holds them: see `archive::books`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn books(&self, range: &Range) -> Result<Books, StoreError> {
        let (mut rows, mut pages) = (Vec::new(), Vec::new());
        let mut take = |_: &Books, of: &[Row], parts: &[PageRow]| {
            rows.extend_from_slice(of);
            pages.extend_from_slice(parts);
        };
        let Snapshot { mut books, counts, gaps, overlaps, timeline, .. } = self.snapshot(range, &mut take)?;
        (books.rows, books.pages) = (rows, pages);
        books.ledger = rollup::ledger(&books.rows, &books.hosts, listed(counts), gaps);
        books.add_timeline(timeline, range);
        books.ledger.leave_out(overlaps);
        books.ledger.note_removed(&books.removed);
        Ok(books)
    }

    /// What all sources are called.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn labels(&self) -> Result<Vec<Source>, StoreError> {
        let mut select = self.db.prepare_cached(&format!("SELECT {SOURCE} FROM source"))?;
        let rows = select.query_map([], |row| source_of(row).map(|(source, _)| source))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What rows point to as sources and interfaces, as far as it is not in the books yet. Rows
    /// that an older version wrote point to the interface of their source.
    pub(super) fn sources(&self, books: &mut Books, places: &mut Places) -> Result<(), StoreError> {
        let mut select = self.db.prepare_cached(&format!("SELECT {SOURCE} FROM source WHERE id = ?1"))?;
        for id in places.sources.ids.iter().skip(books.sources.len()) {
            let (source, interface) = select.query_row([id], source_of)?;
            books.sources.push(source);
            places.own.push(interface);
        }
        let mut select = self.db.prepare_cached("SELECT name, vlan FROM interface WHERE id = ?1")?;
        for id in places.interfaces.ids.iter().skip(books.interfaces.len()) {
            let interface = match own_interface(*id) {
                Some(source) => Interface { name: places.own.get(source).cloned().unwrap_or_default(), vlan: None },
                None => select.query_row([id], |row| {
                    Ok(Interface { name: row.get(0)?, vlan: Some(row.get(1)?).filter(|id| *id != 0) })
                })?,
            };
            books.interfaces.push(interface);
        }
        Ok(())
    }

    /// Hashes of the endpoints that rows point to, after the first `known`.
    pub(super) fn endpoint_hashes(&self, places: &Places, known: usize) -> Result<Vec<u64>, StoreError> {
        let mut select = self.db.prepare_cached("SELECT address, mac FROM endpoint WHERE id = ?1")?;
        let mut hash = |id: &i64| -> Result<u64, StoreError> {
            let found: Option<(Vec<u8>, Vec<u8>)> =
                select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            let endpoint = found.and_then(|(address, mac)| {
                Some(Endpoint { address: blob::to_address(&address)?, mac: blob::to_mac(&mac) })
            });
            Ok(endpoint.map(sums::of_endpoint).unwrap_or_default())
        };
        places.endpoints.ids.iter().skip(known).map(&mut hash).collect()
    }

    pub(super) fn sets(&self, books: &mut Books, places: &mut Places) -> Result<(), StoreError> {
        // Sets name hosts that may have no row of their own.
        let mut select = self.db.prepare_cached("SELECT hosts FROM candidate_set WHERE id = ?1")?;
        for id in places.sets.ids.iter().skip(books.candidate_sets.len()) {
            let text: Option<String> = select.query_row([id], |row| row.get(0)).optional()?;
            let hosts = text.unwrap_or_default();
            let set = hosts.split(',').filter_map(|id| id.parse().ok()).map(|id| places.hosts.of(id)).collect();
            books.candidate_sets.push(set);
        }
        Ok(())
    }

    pub(super) fn hosts(&self, books: &mut Books, places: &Places) -> Result<(), StoreError> {
        let mut select = self.db.prepare_cached("SELECT name, address, service FROM host WHERE id = ?1")?;
        for id in places.hosts.ids.iter().skip(books.hosts.len()) {
            books.hosts.push(select.query_row([id], |row| Ok(host(row.get(0)?, row.get(1)?, row.get(2)?)))?);
        }
        Ok(())
    }

    /// What devices called themselves, in all sources.
    pub(super) fn called(&self) -> Result<Vec<(Endpoint, NameKind, Name, UnixNanos)>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT e.address, e.mac, n.kind, n.name, max(n.last_ns)
             FROM endpoint_name n JOIN endpoint e ON e.id = n.endpoint GROUP BY n.endpoint, n.kind, n.name",
        )?;
        let mut rows = select.query([])?;
        let mut called = Vec::new();
        while let Some(row) = rows.next()? {
            let (address, mac, name): (Vec<u8>, Vec<u8>, String) = (row.get(0)?, row.get(1)?, row.get(3)?);
            let kind = NameKind::from_number(row.get(2)?);
            if let (Some(address), Some(kind), Some(name)) =
                (blob::to_address(&address), kind, Name::from_presentation(&name))
            {
                called.push((Endpoint { address, mac: blob::to_mac(&mac) }, kind, name, UnixNanos(row.get(4)?)));
            }
        }
        Ok(called)
    }

    fn counts(&self, from_s: i64, to_s: i64, read: &mut Read) -> Result<Counts, StoreError> {
        let mut counts = Counts::new();
        self.each_count((from_s, to_s), read, |_, CountRow { counter, detail, packets, bytes, .. }| {
            let sum = counts.entry((counter, detail)).or_default();
            *sum = (sum.0.saturating_add(packets), sum.1.saturating_add(bytes));
        })?;
        Ok(counts)
    }

    /// Calls `take` with each count of these buckets and the database's row of its source; the
    /// source of the count itself is not filled in.
    pub(super) fn each_count(
        &self,
        (from_s, to_s): (i64, i64),
        read: &mut Read,
        mut take: impl FnMut(i64, CountRow),
    ) -> Result<(), StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT bucket, source, counter, detail, packets, bytes FROM bucket_count
             WHERE bucket >= ?1 AND bucket < ?2",
        )?;
        let mut rows = select.query([from_s, to_s])?;
        while let Some(row) = rows.next()? {
            let (bucket_s, source) = (row.get(0)?, row.get(1)?);
            let (packets, bytes) = (unsigned(row.get(4)?), unsigned(row.get(5)?));
            let count = CountRow { bucket_s, source: 0, counter: row.get(2)?, detail: row.get(3)?, packets, bytes };
            read.add(bucket_s, source, sums::of_count(&count));
            take(source, count);
        }
        Ok(())
    }

    /// All that is in two sources and counts in one of them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn all_overlaps(&self) -> Result<Vec<Overlap>, StoreError> {
        self.overlaps(i64::MIN, i64::MAX, &mut Read::default())
    }

    /// Rows of sources of which something is left out, because another source holds it as well.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sources_with_overlaps(&self) -> Result<HashSet<i64>, StoreError> {
        let mut select = self.db.prepare_cached("SELECT DISTINCT source FROM overlap")?;
        Ok(select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    pub(super) fn overlaps(&self, from_s: i64, to_s: i64, read: &mut Read) -> Result<Vec<Overlap>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT name, other, packets, bytes, bucket, source FROM overlap WHERE bucket >= ?1 AND bucket < ?2
             ORDER BY name, other",
        )?;
        let mut rows = select.query([from_s, to_s])?;
        let mut overlaps: Vec<Overlap> = Vec::new();
        while let Some(row) = rows.next()? {
            let (packets, bytes) = (unsigned(row.get(2)?), unsigned(row.get(3)?));
            let overlap = Overlap { source: row.get(0)?, of: row.get(1)?, packets, bytes };
            read.add(row.get(4)?, row.get(5)?, sums::of_overlap(&overlap));
            match overlaps.last_mut().filter(|last| last.source == overlap.source && last.of == overlap.of) {
                Some(last) => {
                    last.packets = last.packets.saturating_add(packets);
                    last.bytes = last.bytes.saturating_add(bytes);
                }
                None => overlaps.push(overlap),
            }
        }
        Ok(overlaps)
    }

    fn gaps(&self, from_s: i64, to_s: i64) -> Result<Vec<Gap>, StoreError> {
        let ns = |s: i64| s.saturating_mul(NANOS_PER_SECOND);
        let mut select = self.db.prepare_cached(
            "SELECT from_ns, to_ns, reason FROM gap WHERE to_ns > ?1 AND from_ns < ?2 ORDER BY from_ns, to_ns, reason",
        )?;
        let rows = select.query_map([ns(from_s), ns(to_s)], |row| {
            Ok(Gap { from: UnixNanos(row.get(0)?), to: UnixNanos(row.get(1)?), reason: row.get(2)?, interface: None })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The host in a row of table `host`.
fn host(name: Option<String>, address: Option<Vec<u8>>, service: Option<Vec<u8>>) -> Host {
    let service = service.and_then(|s| blob::to_service(&s)).map(Host::Service);
    let name = name.and_then(|n| Name::from_presentation(&n)).map(Host::Name);
    let address = address.and_then(|a| blob::to_address(&a)).map(Host::Address);
    name.or(address).or(service).unwrap_or(Host::Address([0, 0, 0, 0].into()))
}

/// First bucket inside a range and first bucket after it, in Unix seconds.
pub fn seconds_of(range: &Range) -> (i64, i64) {
    let seconds = |at: UnixNanos| at.0.div_euclid(NANOS_PER_SECOND);
    (range.from.map_or(i64::MIN, seconds), range.to.map_or(i64::MAX, seconds))
}

/// Rows of the database in the order in which a report's rows first point to them.
#[derive(Default)]
pub(super) struct Place {
    pub(super) ids: Vec<i64>,
    index: HashMap<i64, u32, RandomState>,
}

impl Place {
    #[inline]
    pub(super) fn of(&mut self, id: i64) -> u32 {
        *self.index.entry(id).or_insert_with(|| {
            self.ids.push(id);
            u32::try_from(self.ids.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

#[derive(Default)]
pub(super) struct Places {
    pub(super) hosts: Place,
    pub(super) endpoints: Place,
    pub(super) sets: Place,
    pub(super) sources: Place,
    /// Interfaces; those of whole sources as negative numbers, see [`own_interface`].
    pub(super) interfaces: Place,
    /// The interface of each source that has one as a whole.
    own: Vec<String>,
}

/// What stands for the interface of the source in this place, where no row of its own does.
fn of_source(source: u32) -> i64 {
    -1 - i64::from(source)
}

/// The source's place, if a number stands for its interface.
fn own_interface(id: i64) -> Option<usize> {
    usize::try_from(id.checked_neg()?.checked_sub(1)?).ok()
}

/// The columns of [`source_of`].
const SOURCE: &str = "identity, path, kind, interface, recorder IS NOT NULL,
    (SELECT recorder FROM recorded WHERE recorded.source = source.id)";

/// A source, and the interface that rows of an older version are on.
fn source_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Source, String)> {
    let (path, kind, interface): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
    let (has_recorder, recorder): (bool, Option<Vec<u8>>) = (row.get(4)?, row.get(5)?);
    // As `books::label` has it.
    let is_capture = kind == "capture" || (has_recorder && recorder.is_none());
    let (identity, label) = (row.get(0)?, label_of(&path, is_capture.then_some(interface.as_str())));
    let recorder = recorder.and_then(|id| id.try_into().ok());
    let source = Source { identity, label, path, recorder };
    Ok((source, if is_capture { String::new() } else { interface }))
}

/// What people call a source: what the segment of a capture has as its interface, else the name of
/// the segment's file.
pub fn label_of(path: &str, capture: Option<&str>) -> String {
    let stem = || Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    capture.map_or_else(stem, str::to_owned)
}

impl Places {
    /// A row of `rollup`, or the beginning of one of `page_rollup`, with endpoints in the place of
    /// devices.
    pub(super) fn row(&mut self, row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
        let (candidates, interface): (i64, i64) = (row.get(5)?, row.get(11)?);
        let source = self.sources.of(row.get(12)?);
        let interface = if interface == 0 { of_source(source) } else { interface };
        Ok(Row {
            bucket_s: row.get(0)?,
            host: self.hosts.of(row.get(1)?),
            device: self.endpoints.of(row.get(2)?),
            evidence: Evidence::from_number(row.get(3)?).unwrap_or(Evidence::None),
            traffic: Traffic::from_number(row.get(4)?).unwrap_or(Traffic::Visited),
            candidates: (candidates != 0).then(|| self.sets.of(candidates)),
            blind: Blind::from_number(row.get(6)?),
            interface: self.interfaces.of(interface),
            source,
            up_bytes: unsigned(row.get(7)?),
            down_bytes: unsigned(row.get(8)?),
            up_packets: unsigned(row.get(9)?),
            down_packets: unsigned(row.get(10)?),
        })
    }
}
