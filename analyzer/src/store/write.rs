//! A source into the store.

use super::sums::{self, Sums};
use super::usage::{self, Points, endpoint_id, signed};
use super::{CaptureFacts, KnownSource, Store, StoreError, blob, pages, recorded, removed, sealed, taught};
use crate::attribution::Carried;
use crate::books::month::{CountRow, Month};
use crate::books::{Host, Overlap};
use crate::rollup::Rollup;
use crate::timeline::{Gone, Recorded};
use imon_common::capture_file::ContentId;
use imon_common::names::Name;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use imon_common::work;
use rusqlite::{Connection, Params, StatementStatus, Transaction, TransactionBehavior, params};
use std::path::Path;

/// Where a segment stands among those of its recorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The recorder, over all its runs.
    pub recorder: [u8; 16],
    /// Its run.
    pub run: [u8; 16],
    /// Number among all segments of the recorder.
    pub sequence: u64,
}

impl Place {
    /// What a segment says of itself; `None` for older formats, and for captures, which count
    /// within their run.
    pub fn of(header: &SegmentHeader) -> Option<Self> {
        let SegmentHeader { recorder, run, sequence, .. } = *header;
        (header.format >= 3 && header.monotonic_start_ns != 0).then_some(Self { recorder, run, sequence })
    }
}

/// What is written about a source, beside its sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSource {
    /// Segment UUID, or SHA-256 of a capture file.
    pub identity: Vec<u8>,
    /// `segment` or `capture`.
    pub kind: &'static str,
    /// Where it was read from.
    pub path: String,
    /// The segment that a capture was kept as.
    pub kept: Option<String>,
    /// UUID of that segment.
    pub kept_segment: Option<[u8; 16]>,
    /// Recorder, run, and place among all segments of the recorder, where the segment says it.
    pub place: Option<Place>,
    /// Identity of the packets of a capture, where its segment says it.
    pub content: Option<ContentId>,
    /// What the capture file was.
    pub capture: Option<CaptureFacts>,
    /// Its bytes count whatever other sources hold.
    pub allow_overlap: bool,
    /// Interface or name of the capture.
    pub interface: String,
    /// First interval observed.
    pub first: UnixNanos,
    /// Last interval observed.
    pub last: UnixNanos,
    /// How it ended, in a word.
    pub ended: String,
    /// Bytes of the file, as far as it was read.
    pub len_bytes: u64,
    /// Records in it.
    pub records: u64,
    /// When it recorded, if it was recorded live.
    pub recorded: Option<Recorded>,
    /// Other segments of its recorder of which it says that they are gone.
    pub gone: Vec<Gone>,
}

impl Store {
    /// Writes a source and its sums in one transaction, in place of what the same source gave
    /// before, and of the source in the row `instead_of`, of which it is the longer version.
    /// `origin_of` gives the identity behind the number of a source in which a flow began.
    ///
    /// # Errors
    /// [`StoreError`]; the store is then as it was.
    pub fn replace_source<'i>(
        &mut self,
        source: &NewSource,
        instead_of: Option<i64>,
        rollup: &Rollup,
        origin_of: impl Fn(usize) -> &'i [u8],
    ) -> Result<(), StoreError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let endpoints = sealed::Endpoints::before(&tx)?;
        tx.execute("DELETE FROM source WHERE identity = ?1 OR id = ?2", params![source.identity, instead_of])?;
        let id = insert_source(&tx, source)?;
        recorded::insert(&tx, id, source.recorded.as_ref(), &source.gone)?;
        let mut sums = Sums::new();
        insert_rows(&tx, id, rollup, &mut sums)?;
        insert_counts(&tx, id, rollup, &mut sums)?;
        removed::insert(&tx, id, (source, rollup), &mut sums)?;
        sums::insert(&tx, id, &sums)?;
        taught::insert(&tx, id, rollup)?;
        insert_called(&tx, id, rollup)?;
        pages::insert_habits(&tx, id, &rollup.habits)?;
        insert_carried(&tx, id, &rollup.carried, origin_of)?;
        insert_met(&tx, id, rollup)?;
        sealed::source(&tx, id)?;
        endpoints.seal_new(&tx)?;
        tx.commit()?;
        Ok(())
    }
}

impl Store {
    /// Removes sources and everything booked from them, with months that are put away and are of
    /// no others, and remembers that they are not to be ingested again. It is on the disk when this
    /// returns. The segments that captures were kept as are doomed, and room is given back to the
    /// file system.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is removed then, or only what nothing points to any more is still
    /// there, or the room was not given back.
    pub fn prune(&mut self, sources: &[KnownSource], months: &[Month]) -> Result<(), StoreError> {
        self.durably(|tx| {
            months.iter().try_for_each(|month| super::months::forget_closed(tx, *month))?;
            for KnownSource { path, segment, .. } in sources.iter().filter(|source| source.is_capture) {
                tx.execute("INSERT OR IGNORE INTO doomed (path, segment) VALUES (?1, ?2)", params![path, segment])?;
            }
            sealed::amend(tx, &["gone", "pruned"], || {
                sources.iter().try_for_each(|source| forget_source(tx, source.id))
            })
        })?;
        // No copy of the database: who prunes may have no room for one.
        self.shrink()
    }

    /// Removes hosts, endpoints, sets of candidates and interfaces that nothing points to.
    pub(super) fn remove_unused(&mut self) -> Result<(), StoreError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let unused = [
            "DELETE FROM interface WHERE id NOT IN (SELECT interface FROM rollup)
             AND id NOT IN (SELECT interface FROM page_rollup)",
            "DELETE FROM candidate_set WHERE id NOT IN (SELECT candidates FROM rollup)
             AND id NOT IN (SELECT candidates FROM page_rollup)",
            "DELETE FROM endpoint WHERE id NOT IN (SELECT endpoint FROM rollup)
             AND id NOT IN (SELECT endpoint FROM page_rollup) AND id NOT IN (SELECT endpoint FROM endpoint_name)
             AND id NOT IN (SELECT endpoint FROM closed_endpoint)",
            // Sets name hosts by their ids, joined by commas, which is the inside of a JSON list.
            "DELETE FROM host WHERE id NOT IN (SELECT host FROM rollup) AND id NOT IN (SELECT host FROM page_rollup)
             AND id NOT IN (SELECT page FROM page_rollup) AND id NOT IN (SELECT rival FROM page_rollup)
             AND id NOT IN (SELECT value FROM candidate_set, json_each('[' || hosts || ']'))",
        ];
        sealed::amend(&tx, &["endpoint"], || unused.iter().try_for_each(|sql| run(&tx, sql, [])))?;
        tx.commit()?;
        Ok(())
    }

    /// Writes a copy of the database, private as the database is, to a file that does not exist
    /// yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        // SQLite takes an empty file, and would make one that everybody may read.
        crate::files::create_new(path).map_err(|source| StoreError::File { path: path.into(), source })?;
        vacuum_into(&self.db, path)?;
        Ok(())
    }
}

/// Copies a database without what is free in it.
pub(super) fn vacuum_into(db: &Connection, path: &Path) -> rusqlite::Result<()> {
    // From the root on: a name that begins with `file:` would be taken for a URI.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let name = path.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(path.clone()))?;
    db.execute("VACUUM INTO ?1", [name]).map(drop)
}

/// Removes a source, and remembers it.
fn forget_source(tx: &Transaction<'_>, id: i64) -> Result<(), StoreError> {
    // What is known by its packets need not be known by its file.
    for (identity, is_known) in
        [("identity", "content IS NULL OR length(identity) = 16"), ("kept_segment", "true"), ("content", "true")]
    {
        let sql = format!(
            "INSERT OR IGNORE INTO pruned (identity)
             SELECT {identity} FROM source WHERE id = ?1 AND {identity} IS NOT NULL AND ({is_known})"
        );
        tx.prepare_cached(&sql)?.execute([id])?;
    }
    recorded::prune(tx, id)?;
    run(tx, "DELETE FROM source WHERE id = ?1", [id])
}

/// Runs a statement, and counts what SQLite did for it as work.
fn run(tx: &Transaction<'_>, sql: &str, params: impl Params) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(sql)?;
    statement.execute(params)?;
    work::steps(usize::try_from(statement.reset_status(StatementStatus::VmStep)).unwrap_or_default());
    Ok(())
}

fn insert_source(tx: &Transaction<'_>, source: &NewSource) -> Result<i64, StoreError> {
    tx.execute(
        "INSERT INTO source (identity, kind, path, kept, kept_segment, interface, first_ns, last_ns, ended, len_bytes, records,
                             recorder, run, sequence, content, file_len, packets, chain_captures, chain,
                             allow_overlap, summed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, 1)",
        params![
            source.identity,
            source.kind,
            source.path,
            source.kept,
            source.kept_segment,
            source.interface,
            source.first.0,
            source.last.0,
            source.ended,
            signed(source.len_bytes),
            signed(source.records),
            source.place.map(|place| place.recorder),
            source.place.map(|place| place.run),
            source.place.map(|place| signed(place.sequence)),
            source.content,
            source.capture.map(|capture| signed(capture.file_len)),
            source.capture.map(|capture| signed(capture.packets)),
            source.capture.map(|capture| signed(capture.chain.captures)),
            source.capture.map(|capture| capture.chain.id),
            source.allow_overlap,
        ],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Rows and parts, with their checksums.
fn insert_rows(tx: &Transaction<'_>, source: i64, rollup: &Rollup, sums: &mut Sums) -> Result<(), StoreError> {
    let points = Points {
        hosts: rollup.hosts.values(),
        endpoints: rollup.roster.endpoints.values(),
        candidate_sets: rollup.candidate_sets.values(),
        interfaces: rollup.interfaces.values(),
    };
    let rows = || rollup.rows.iter().map(|(key, usage)| key.row(*usage));
    let parts = || rollup.pages.iter().map(|(key, usage)| key.part(*usage));
    let hashes = points.hashes();
    rows().for_each(|row| sums::add(sums, row.bucket_s, hashes.row(&row)));
    parts().for_each(|part| sums::add(sums, part.row.bucket_s, hashes.part(&part, hashes.row(&part.row))));
    usage::insert(tx, &points, (rows(), parts()), |_| Some(source))
}

fn insert_counts(tx: &Transaction<'_>, source: i64, rollup: &Rollup, sums: &mut Sums) -> Result<(), StoreError> {
    for ((bucket, counter), (packets, bytes)) in &rollup.counts {
        let (counter, detail) = counter.to_numbers();
        let (packets, bytes) = (*packets, *bytes);
        let count = CountRow { bucket_s: *bucket, source: 0, counter, detail, packets, bytes };
        sums::add(sums, *bucket, sums::of_count(&count));
        usage::insert_count(tx, source, &count)?;
    }
    for ((bucket, name, other), (packets, bytes)) in &rollup.left_out {
        let overlap = Overlap { source: name.clone(), of: other.clone(), packets: *packets, bytes: *bytes };
        sums::add(sums, *bucket, sums::of_overlap(&overlap));
        tx.prepare_cached(
            "INSERT INTO overlap (source, bucket, name, other, packets, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![source, bucket, name, other, signed(*packets), signed(*bytes)])?;
    }
    for gap in &rollup.gaps {
        tx.prepare_cached("INSERT INTO gap (source, from_ns, to_ns, reason) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![source, gap.from.0, gap.to.0, gap.reason])?;
    }
    Ok(())
}

fn insert_called(tx: &Transaction<'_>, source: i64, rollup: &Rollup) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO endpoint_name (source, endpoint, kind, name, last_ns) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for ((endpoint, kind, name), last) in &rollup.roster.called {
        insert.execute(params![source, endpoint_id(tx, *endpoint)?, *kind as u8, name.as_str(), last.0])?;
    }
    Ok(())
}

impl Store {
    /// A flow goes on in a source as another one than was known, or does no more: the source is to
    /// be booked again. Given is the identity of the source in which it began.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is changed then.
    pub fn goes_on_as(&mut self, source: i64, number: u64, now: Option<(&[u8], &Carried)>) -> Result<(), StoreError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        sealed::amend_source(&tx, source, || {
            tx.execute("DELETE FROM carried WHERE source = ?1 AND number = ?2", params![source, number as i64])?;
            match now {
                Some((origin, carried)) => insert_carried(&tx, source, std::slice::from_ref(carried), |_| origin),
                None => Ok(()),
            }
        })?;
        tx.execute("UPDATE source SET stale = 1 WHERE id = ?1", [source])?;
        tx.commit()?;
        Ok(())
    }
}

fn insert_carried<'i>(
    tx: &Transaction<'_>,
    source: i64,
    all: &[Carried],
    origin_of: impl Fn(usize) -> &'i [u8],
) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT OR REPLACE INTO carried (source, number, origin, client, client_port, server, server_port, proto, scope,
                                         begin_seen, mac, start_ns, name_kind, name, host, evidence, traffic, candidates,
                                         opened, name_from_server, name_relayed, interface, vlan)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
                 ?23)",
    )?;
    for Carried { number, origin, flow, verdict } in all {
        let name = flow.name.as_ref();
        let host = match &verdict.host {
            Host::Name(name) => name.as_str(),
            Host::Address(_) | Host::Service(_) => "",
        };
        let candidates = verdict.candidates.iter().map(Name::as_str).collect::<Vec<_>>().join("\n");
        insert.execute(params![
            source,
            *number as i64,
            origin_of(*origin),
            blob::of_address(flow.client),
            flow.client_port,
            blob::of_address(flow.server),
            flow.server_port,
            flow.proto,
            flow.scope as u8,
            flow.begin_seen,
            blob::of_mac(flow.client_mac),
            flow.start.0,
            name.map_or(0, |name| name.kind as u8),
            name.map_or("", |name| name.name.as_str()),
            host,
            verdict.evidence.number(),
            verdict.traffic.number(),
            candidates,
            flow.opened as u8,
            name.is_some_and(|name| name.from_server),
            name.is_some_and(|name| name.relayed),
            flow.interface,
            flow.vlan.unwrap_or_default(),
        ])?;
    }
    Ok(())
}

fn insert_met(tx: &Transaction<'_>, source: i64, rollup: &Rollup) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached("INSERT INTO met (source, mac, network, last_ns) VALUES (?1, ?2, ?3, ?4)")?;
    for ((mac, network), last) in &rollup.met {
        insert.execute(params![source, blob::of_mac(Some(*mac)), blob::of_address(*network), last.0])?;
    }
    Ok(())
}
