//! A source into the store.

use super::sums::{self, Sums};
use super::{CaptureFacts, Store, StoreError, blob, pages, recorded};
use crate::attribution::{Asker, Carried};
use crate::books::{Blind, Host, Interface, Overlap};
use crate::rollup::{Endpoint, Rollup, RowKey};
use crate::timeline::{Gone, Recorded};
use imon_common::capture_file::ContentId;
use imon_common::names::Name;
use imon_common::observe::Usage;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use imon_common::work;
use rusqlite::{OptionalExtension as _, Params, StatementStatus, Transaction, TransactionBehavior, params};
use std::net::IpAddr;

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
        tx.execute("DELETE FROM source WHERE identity = ?1 OR id = ?2", params![source.identity, instead_of])?;
        let id = insert_source(&tx, source)?;
        recorded::insert(&tx, id, source.recorded.as_ref(), &source.gone)?;
        let mut sums = Sums::new();
        insert_rows(&tx, id, rollup, &mut sums)?;
        insert_counts(&tx, id, rollup, &mut sums)?;
        sums::insert(&tx, id, &sums)?;
        insert_answers(&tx, id, rollup)?;
        insert_heads(&tx, id, rollup)?;
        insert_called(&tx, id, rollup)?;
        pages::insert_habits(&tx, id, &rollup.habits)?;
        insert_carried(&tx, id, rollup, origin_of)?;
        tx.commit()?;
        Ok(())
    }
}

impl Store {
    /// Removes sources and everything booked from them, remembers that they are not to be ingested
    /// again, and gives the room back to the file system.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is removed then, or only what nothing points to any more is still
    /// there, or the room was not given back.
    pub fn prune(&mut self, ids: &[i64]) -> Result<(), StoreError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for id in ids {
            // What is known by its packets need not be known by its file.
            for (identity, is_known) in [
                ("identity", "content IS NULL OR length(identity) = 16"),
                ("kept_segment", "true"),
                ("content", "true"),
            ] {
                let sql = format!(
                    "INSERT OR IGNORE INTO pruned (identity)
                     SELECT {identity} FROM source WHERE id = ?1 AND {identity} IS NOT NULL AND ({is_known})"
                );
                tx.prepare_cached(&sql)?.execute([id])?;
            }
            recorded::prune(&tx, *id)?;
            run(&tx, "DELETE FROM source WHERE id = ?1", [id])?;
        }
        tx.commit()?;
        // SQLite would look through all sums for each host that goes, to find one that points to
        // it: that there is none is what these statements say themselves. The switch has no effect
        // within a transaction.
        self.db.pragma_update(None, "foreign_keys", false)?;
        let removed = self.remove_unused();
        self.db.pragma_update(None, "foreign_keys", true)?;
        removed?;
        self.db.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(())
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
        for sql in unused {
            run(&tx, sql, [])?;
        }
        tx.commit()?;
        Ok(())
    }

    /// Writes a copy of the database, private as the database is, to a file that does not exist
    /// yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn copy_to(&self, path: &std::path::Path) -> Result<(), StoreError> {
        // SQLite takes an empty file, and would make one that everybody may read.
        crate::files::create_new(path).map_err(|source| StoreError::File { path: path.into(), source })?;
        self.db.execute("VACUUM INTO ?1", [path.to_string_lossy()])?;
        Ok(())
    }
}

/// Runs a statement, and counts what SQLite did for it as work.
fn run(tx: &Transaction<'_>, sql: &str, params: impl Params) -> Result<(), StoreError> {
    let mut statement = tx.prepare_cached(sql)?;
    statement.execute(params)?;
    work::steps(usize::try_from(statement.reset_status(StatementStatus::VmStep)).unwrap_or_default());
    Ok(())
}

/// SQLite has signed integers; no sum here comes near its bound.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
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

fn insert_rows(tx: &Transaction<'_>, source: i64, rollup: &Rollup, sums: &mut Sums) -> Result<(), StoreError> {
    let hosts = rollup.hosts.values().iter().map(|h| host_id(tx, h)).collect::<Result<Vec<_>, _>>()?;
    let endpoints = rollup.endpoints.values().iter().map(|e| endpoint_id(tx, *e)).collect::<Result<Vec<_>, _>>()?;
    let sets = rollup.candidate_sets.values().iter().map(|s| set_id(tx, s, &hosts)).collect::<Result<Vec<_>, _>>()?;
    let interfaces = rollup.interfaces.values().iter().map(|i| interface_id(tx, i)).collect::<Result<Vec<_>, _>>()?;
    sum_rows(rollup, sums);
    let id = |ids: &[i64], index: u32| ids.get(index as usize).copied().unwrap_or_default();
    let key_of = |key: &RowKey| -> [i64; 8] {
        let candidates = key.candidates.map_or(0, |set| id(&sets, set));
        let (host, endpoint) = (id(&hosts, key.host), id(&endpoints, key.endpoint));
        let evidence = key.evidence.number().into();
        let blind = key.blind.map_or(0, Blind::number).into();
        let interface = id(&interfaces, key.interface);
        [key.bucket_s, host, endpoint, evidence, key.traffic.number().into(), candidates, blind, interface]
    };
    let mut rows: Vec<([i64; 8], Usage)> = rollup.rows.iter().map(|(key, usage)| (key_of(key), *usage)).collect();
    // In the order of the primary key: the tree grows at its end.
    rows.sort_unstable_by_key(|(key, _)| *key);
    let mut insert = tx.prepare_cached(
        "INSERT INTO rollup (source, bucket, host, endpoint, evidence, traffic, candidates, blind, interface,
                             up_bytes, down_bytes, up_packets, down_packets)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    for ([bucket, host, endpoint, evidence, traffic, candidates, blind, interface], usage) in rows {
        insert.execute(params![
            source,
            bucket,
            host,
            endpoint,
            evidence,
            traffic,
            candidates,
            blind,
            interface,
            signed(usage.up_bytes),
            signed(usage.down_bytes),
            signed(usage.up_packets),
            signed(usage.down_packets),
        ])?;
    }
    let mut parts: Vec<_> = rollup
        .pages
        .iter()
        .map(|(key, usage)| {
            let rival = key.rival.map_or(0, |rival| id(&hosts, rival));
            (key_of(&key.row), [id(&hosts, key.page), key.sureness.number().into(), rival], *usage)
        })
        .collect();
    parts.sort_unstable_by_key(|(key, page, _)| (*key, *page));
    let mut insert = tx.prepare_cached(
        "INSERT INTO page_rollup (source, bucket, host, endpoint, evidence, traffic, candidates, blind, interface,
                                  page, sureness, rival, up_bytes, down_bytes, up_packets, down_packets)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?;
    for (key, [page, sureness, rival], usage) in parts {
        let [bucket, host, endpoint, evidence, traffic, candidates, blind, interface] = key;
        insert.execute(params![
            source,
            bucket,
            host,
            endpoint,
            evidence,
            traffic,
            candidates,
            blind,
            interface,
            page,
            sureness,
            rival,
            signed(usage.up_bytes),
            signed(usage.down_bytes),
            signed(usage.up_packets),
            signed(usage.down_packets),
        ])?;
    }
    Ok(())
}

/// Checksums of the rows, and of the parts of rows that pages pulled in.
fn sum_rows(rollup: &Rollup, sums: &mut Sums) {
    let at = |list: &[u64], index: u32| list.get(index as usize).copied().unwrap_or_default();
    let hosts: Vec<u64> = rollup.hosts.values().iter().map(sums::of_host).collect();
    let endpoints: Vec<u64> = rollup.endpoints.values().iter().map(|e| sums::of_endpoint(*e)).collect();
    let set = |set: &Vec<u32>| sums::of_set(set.iter().map(|host| at(&hosts, *host)));
    let sets: Vec<u64> = rollup.candidate_sets.values().iter().map(set).collect();
    let interfaces: Vec<u64> = rollup.interfaces.values().iter().map(sums::of_interface).collect();
    let hash_of = |key: &RowKey, usage: &Usage| {
        let set = key.candidates.map_or(0, |set| at(&sets, set));
        let numbers = [key.evidence.number(), key.traffic.number(), key.blind.map_or(0, Blind::number)];
        let points = [at(&hosts, key.host), at(&endpoints, key.endpoint), set, at(&interfaces, key.interface)];
        sums::of_row(points, numbers, *usage)
    };
    for (key, usage) in &rollup.rows {
        sums::add(sums, key.bucket_s, hash_of(key, usage));
    }
    for (key, usage) in &rollup.pages {
        let rival = key.rival.map_or(0, |rival| at(&hosts, rival));
        let hash = sums::of_part(hash_of(&key.row, usage), at(&hosts, key.page), rival, key.sureness.number());
        sums::add(sums, key.row.bucket_s, hash);
    }
}

fn insert_counts(tx: &Transaction<'_>, source: i64, rollup: &Rollup, sums: &mut Sums) -> Result<(), StoreError> {
    for ((bucket, counter), (packets, bytes)) in &rollup.counts {
        let (number, detail) = counter.to_numbers();
        sums::add(sums, *bucket, sums::of_count(number.into(), detail.into(), *packets, *bytes));
        tx.prepare_cached(
            "INSERT INTO bucket_count (bucket, source, counter, detail, packets, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![bucket, source, number, detail, signed(*packets), signed(*bytes)])?;
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

fn insert_answers(tx: &Transaction<'_>, source: i64, rollup: &Rollup) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO answer (source, address, asker, host, first_ns, last_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    // In the order of the primary key: the tree grows at its end.
    let row = |((asker, address, host), seen): (&(Asker, IpAddr, Name), &(UnixNanos, UnixNanos))| {
        (blob::of_address(*address), blob::of_asker(*asker), host.clone(), *seen)
    };
    let mut rows: Vec<_> = rollup.learned.iter().map(row).collect();
    rows.sort_unstable();
    for (address, asker, host, (first, last)) in rows {
        insert.execute(params![source, address, asker, host.as_str(), first.0, last.0])?;
    }
    Ok(())
}

fn insert_heads(tx: &Transaction<'_>, source: i64, rollup: &Rollup) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO head (source, target, asker, head, first_ns, last_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for ((asker, target, head), (first, last)) in &rollup.led {
        insert.execute(params![source, target.as_str(), blob::of_asker(*asker), head.as_str(), first.0, last.0])?;
    }
    Ok(())
}

fn insert_called(tx: &Transaction<'_>, source: i64, rollup: &Rollup) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO endpoint_name (source, endpoint, kind, name, last_ns) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for ((endpoint, kind, name), last) in &rollup.called {
        insert.execute(params![source, endpoint_id(tx, *endpoint)?, *kind as u8, name.as_str(), last.0])?;
    }
    Ok(())
}

fn insert_carried<'i>(
    tx: &Transaction<'_>,
    source: i64,
    rollup: &Rollup,
    origin_of: impl Fn(usize) -> &'i [u8],
) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT OR REPLACE INTO carried (source, number, origin, client, client_port, server, server_port, proto, scope,
                                         begin_seen, mac, start_ns, name_kind, name, host, evidence, traffic, candidates,
                                         opened, name_from_server, name_relayed, interface, vlan)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
                 ?23)",
    )?;
    for Carried { number, origin, flow, verdict } in &rollup.carried {
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
    let mut insert = tx.prepare_cached("INSERT INTO met (source, mac, network) VALUES (?1, ?2, ?3)")?;
    for (mac, network) in &rollup.met {
        insert.execute(params![source, blob::of_mac(Some(*mac)), blob::of_address(*network)])?;
    }
    Ok(())
}

pub(super) fn host_id(tx: &Transaction<'_>, host: &Host) -> Result<i64, StoreError> {
    match host {
        Host::Name(name) => id_of(tx, "host", "name", &name.as_str()),
        Host::Address(address) => id_of(tx, "host", "address", &blob::of_address(*address)),
        Host::Service(service) => id_of(tx, "host", "service", &blob::of_service(*service)),
    }
}

pub(super) fn endpoint_id(tx: &Transaction<'_>, endpoint: Endpoint) -> Result<i64, StoreError> {
    let key = params![blob::of_address(endpoint.address), blob::of_mac(endpoint.mac)];
    let found = tx
        .prepare_cached("SELECT id FROM endpoint WHERE address = ?1 AND mac = ?2")?
        .query_row(key, |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    tx.prepare_cached("INSERT INTO endpoint (address, mac) VALUES (?1, ?2)")?.execute(key)?;
    Ok(tx.last_insert_rowid())
}

pub(super) fn interface_id(tx: &Transaction<'_>, interface: &Interface) -> Result<i64, StoreError> {
    let key = params![interface.name, interface.vlan.unwrap_or_default()];
    let found = tx
        .prepare_cached("SELECT id FROM interface WHERE name = ?1 AND vlan = ?2")?
        .query_row(key, |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    tx.prepare_cached("INSERT INTO interface (name, vlan) VALUES (?1, ?2)")?.execute(key)?;
    Ok(tx.last_insert_rowid())
}

pub(super) fn set_id(tx: &Transaction<'_>, set: &[u32], hosts: &[i64]) -> Result<i64, StoreError> {
    let mut ids: Vec<i64> = set.iter().filter_map(|index| hosts.get(*index as usize).copied()).collect();
    ids.sort_unstable();
    let text = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    id_of(tx, "candidate_set", "hosts", &text)
}

/// The id of the row whose `column` holds `value`, made where it does not exist.
fn id_of(tx: &Transaction<'_>, table: &str, column: &str, value: &dyn rusqlite::ToSql) -> Result<i64, StoreError> {
    let found = tx
        .prepare_cached(&format!("SELECT id FROM {table} WHERE {column} = ?1"))?
        .query_row([value], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    tx.prepare_cached(&format!("INSERT INTO {table} ({column}) VALUES (?1)"))?.execute([value])?;
    Ok(tx.last_insert_rowid())
}
