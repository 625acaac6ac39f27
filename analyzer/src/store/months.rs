//! Months that are put away, as far as the database knows them; and the way of rows out of it and
//! back.

use super::about::adopt;
use super::read::{Places, unsigned};
use super::removed::{SELECT_REMOVED, removed_row};
use super::sealed::{self, CLOSED, Endpoints};
use super::sums::{self, Hashes, Read, Sums};
use super::usage::{self, Points, endpoint_id, signed};
use super::{Store, StoreError, blob};
use crate::archive::Part;
use crate::books::month::{CountRow, Month, MonthRows, RowSums};
use crate::books::{Books, Endpoint};
use crate::rollup::Identities;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A file of a month that is put away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedFile {
    /// The month.
    pub month: Month,
    /// Who recorded it.
    pub recorder: [u8; 16],
    /// Which table.
    pub part: Part,
    /// Rises with every closing.
    pub generation: u64,
    /// Its name.
    pub file: String,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
    /// Its length.
    pub len_bytes: u64,
    /// What its rows sum up to.
    pub sums: RowSums,
}

/// What is known of the devices, over all that was ever booked.
#[derive(Debug, Clone, Default)]
pub struct Devices {
    /// Which clients are one device.
    pub clients: Identities,
    /// Row of each client.
    pub(super) ids: Vec<i64>,
}

impl Store {
    /// What SQLite finds wrong with the file, if anything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn faults(&self) -> Result<Option<String>, StoreError> {
        let found: String = self.db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        Ok((found != "ok").then_some(found))
    }

    /// The files of all months that are put away, by month, recorder and part.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn closed(&self) -> Result<Vec<ClosedFile>, StoreError> {
        let mut select = self.db.prepare_cached(
            "SELECT month, recorder, part, generation, file, sha256, len_bytes, row_count, up_bytes, down_bytes,
                    up_packets, down_packets FROM closed ORDER BY month, recorder, part",
        )?;
        let mut rows = select.query([])?;
        let mut files = Vec::new();
        while let Some(row) = rows.next()? {
            let part: String = row.get(2)?;
            let (Some(month), Some(part)) = (Month::from_number(row.get(0)?), Part::of_word(&part)) else { continue };
            let number = |i: usize| row.get(i).map(unsigned);
            files.push(ClosedFile {
                month,
                recorder: row.get(1)?,
                part,
                generation: number(3)?,
                file: row.get(4)?,
                sha256: row.get(5)?,
                len_bytes: number(6)?,
                sums: RowSums { rows: number(7)?, amounts: [number(8)?, number(9)?, number(10)?, number(11)?] },
            });
        }
        Ok(files)
    }

    /// Months of which there are sums in the database.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_months(&self) -> Result<BTreeSet<Month>, StoreError> {
        let mut months = BTreeSet::new();
        for sql in [
            "SELECT min(bucket) FROM rollup WHERE bucket >= ?1",
            "SELECT min(bucket) FROM bucket_count WHERE bucket >= ?1",
        ] {
            let mut select = self.db.prepare_cached(sql)?;
            let mut from = i64::MIN;
            while let Some(bucket) = select.query_row([from], |row| row.get::<_, Option<i64>>(0))? {
                let Some(month) = Month::of_second(bucket) else { break };
                months.insert(month);
                from = month.seconds().1;
            }
        }
        Ok(months)
    }

    /// Rows of sums of a month in the database.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_rows(&self, month: Month) -> Result<u64, StoreError> {
        let mut select = self.db.prepare_cached("SELECT count(*) FROM rollup WHERE bucket >= ?1 AND bucket < ?2")?;
        Ok(unsigned(select.query_row(month.seconds(), |row| row.get(0))?))
    }

    /// Rows of sources that have sums in a month that is put away, by month.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn closed_sources(&self) -> Result<BTreeMap<Month, Vec<i64>>, StoreError> {
        let mut select = self.db.prepare_cached("SELECT month, source FROM closed_source ORDER BY month, source")?;
        let mut rows = select.query([])?;
        let mut sources: BTreeMap<Month, Vec<i64>> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            if let Some(month) = Month::from_number(row.get(0)?) {
                sources.entry(month).or_default().push(row.get(1)?);
            }
        }
        Ok(sources)
    }

    /// The recorder of each source, by its identity; of captures, and of formats that do not say
    /// it, what stands for this database.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn recorders(&self) -> Result<HashMap<Vec<u8>, [u8; 16]>, StoreError> {
        let own = self.recorder()?;
        let mut select = self.db.prepare_cached("SELECT identity, recorder FROM source")?;
        let mut rows = select.query([])?;
        let mut recorders = HashMap::new();
        while let Some(row) = rows.next()? {
            let recorder: Option<Vec<u8>> = row.get(1)?;
            recorders.insert(row.get(0)?, recorder.and_then(|r| r.try_into().ok()).unwrap_or(own));
        }
        Ok(recorders)
    }

    /// Everything that the database holds of a month's sums, compared with its checksums.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn month_rows(&self, month: Month) -> Result<MonthRows, StoreError> {
        // Whoever changes a month reads it within the transaction that does so.
        let tx = self.db.is_autocommit().then(|| self.db.unchecked_transaction()).transpose()?;
        let (from_s, to_s) = month.seconds();
        let (rows, read) = self.read_month(from_s, to_s)?;
        self.verify(from_s, to_s, read)?;
        tx.map(Transaction::commit).transpose()?;
        Ok(rows)
    }

    /// Everything that the database holds of a month's sums, and what its checksums should be.
    pub(super) fn read_month(&self, from_s: i64, to_s: i64) -> Result<(MonthRows, Read), StoreError> {
        let (mut books, mut places, mut read) = (Books::default(), Places::default(), Read::default());
        let ids = self.rows((from_s, to_s), (&mut books, &mut places), &mut |_, _, _| Ok(()))?;
        let mut counts = Vec::new();
        self.each_count((from_s, to_s), &mut read, |source, count| {
            counts.push(CountRow { source: places.sources.of(source), ..count });
        })?;
        self.sources(&mut books, &mut places)?;
        self.sets(&mut books, &mut places)?;
        self.hosts(&mut books, &places)?;
        let mut hashes = Hashes::default();
        hashes.learn(&books, self.endpoint_hashes(&places, 0)?);
        hashes.read(&books, [&ids[0], &ids[1]], &mut read);
        self.overlaps(from_s, to_s, &mut read)?;
        self.removed(from_s, to_s, &mut read)?;
        let endpoints = self.endpoints_of(&places)?;
        let Books { hosts, candidate_sets, interfaces, sources, rows, pages, .. } = books;
        let sources = sources.into_iter().map(|source| source.identity).collect();
        let parts = pages;
        Ok((MonthRows { hosts, endpoints, candidate_sets, interfaces, sources, rows, parts, counts }, read))
    }

    fn endpoints_of(&self, places: &Places) -> Result<Vec<Endpoint>, StoreError> {
        let mut select = self.db.prepare_cached("SELECT address, mac FROM endpoint WHERE id = ?1")?;
        let mut endpoint = |id: &i64| -> Result<_, StoreError> {
            let (address, mac): (Vec<u8>, Vec<u8>) = select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let address = blob::to_address(&address).unwrap_or([0, 0, 0, 0].into());
            Ok(Endpoint { address, mac: blob::to_mac(&mac) })
        };
        places.endpoints.ids.iter().map(&mut endpoint).collect()
    }

    /// All devices: which endpoints are one follows from all of them, so that a device is the same
    /// in every range.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn devices(&self) -> Result<Devices, StoreError> {
        let mut select = self.db.prepare_cached("SELECT id, address, mac FROM endpoint ORDER BY id")?;
        let mut rows = select.query([])?;
        let (mut endpoints, mut ids) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let (address, mac): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
            let Some(address) = blob::to_address(&address) else { continue };
            imon_common::work::step();
            ids.push(row.get(0)?);
            endpoints.push(Endpoint { address, mac: blob::to_mac(&mac) });
        }
        let called = self.called()?;
        let called = called.iter().map(|(endpoint, kind, name, last)| (*endpoint, *kind, name, *last));
        Ok(Devices { clients: Identities::of(endpoints, called), ids })
    }

    /// The number of a closing that begins: no file of another one has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next_generation(&mut self) -> Result<u64, StoreError> {
        let sql = "UPDATE closing SET generation = generation + 1 RETURNING generation";
        Ok(unsigned(
            self.durably(|tx| sealed::amend(tx, &["closing"], || Ok(tx.query_row(sql, [], |row| row.get(0))?)))?,
        ))
    }

    /// The highest number that a closing had.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn generation(&self) -> Result<u64, StoreError> {
        let sql = "SELECT generation FROM closing";
        Ok(unsigned(self.db.query_row(sql, [], |row| row.get(0))?))
    }

    /// Puts a month away: from now on its sums are in `files`. Nothing is changed if rows have come
    /// or gone since it was read with `rows` rows.
    ///
    /// # Errors
    /// [`StoreError`]; the month is as it was then.
    pub fn close_month(&mut self, month: Month, files: &[ClosedFile], rows: u64) -> Result<bool, StoreError> {
        // What goes here points to others, and nothing points to it. SQLite would still collect all
        // rows first, and then remove them one by one. The switch has no effect within a
        // transaction.
        self.db.pragma_update(None, "foreign_keys", false)?;
        let closed = self.put_away(month, files, rows);
        self.db.pragma_update(None, "foreign_keys", true)?;
        let closed = closed?;
        if closed {
            self.shrink()?;
        }
        Ok(closed)
    }

    fn put_away(&mut self, month: Month, files: &[ClosedFile], rows: u64) -> Result<bool, StoreError> {
        self.durably(|tx| {
            let (from_s, to_s) = month.seconds();
            let sql = "SELECT count(*) FROM rollup WHERE bucket >= ?1 AND bucket < ?2";
            if unsigned(tx.query_row(sql, [from_s, to_s], |row| row.get(0))?) != rows {
                return Ok(false);
            }
            sealed::amend(tx, &CLOSED, || {
                for sql in [
                    "INSERT OR IGNORE INTO closed_source (month, source)
                 SELECT DISTINCT ?3, source FROM rollup WHERE bucket >= ?1 AND bucket < ?2
                 UNION SELECT DISTINCT ?3, source FROM bucket_count WHERE bucket >= ?1 AND bucket < ?2",
                    "INSERT OR IGNORE INTO closed_endpoint (month, endpoint)
                 SELECT DISTINCT ?3, endpoint FROM rollup WHERE bucket >= ?1 AND bucket < ?2",
                ] {
                    tx.execute(sql, params![from_s, to_s, month.number()])?;
                }
                for table in ["page_rollup", "rollup", "bucket_count"] {
                    remove_rows(tx, table, (from_s, to_s))?;
                }
                // What is beside the rows stays, and so does its checksum alone.
                tx.execute("DELETE FROM checked WHERE bucket >= ?1 AND bucket < ?2", [from_s, to_s])?;
                check_beside(tx, from_s, to_s)?;
                files.iter().try_for_each(|file| insert_closed(tx, file))?;
                Ok(true)
            })
        })
    }

    /// Takes the sums of a month back. Sources that are no longer known are left out.
    ///
    /// # Errors
    /// [`StoreError`]; the month is put away as before then.
    pub fn reopen_month(&mut self, month: Month, rows: &MonthRows) -> Result<(), StoreError> {
        self.durably(|tx| {
            let endpoints = Endpoints::before(tx)?;
            forget_closed(tx, month)?;
            insert_month(tx, rows)?;
            endpoints.seal_new(tx)?;
            // Added to what is there: overlaps stayed, and other sources may have come meanwhile.
            check_rows(tx, rows)
        })
    }

    /// Forgets a month that is put away: its files are to be removed.
    ///
    /// # Errors
    /// [`StoreError`]; it is put away as before then.
    pub fn drop_month(&mut self, month: Month) -> Result<(), StoreError> {
        self.durably(|tx| forget_closed(tx, month))
    }

    /// Takes in a month from its files: what they say of its sources is booked where the source is
    /// not known yet.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is taken in then.
    pub fn adopt_month(
        &mut self,
        files: &[ClosedFile],
        facts: &[(String, Vec<u8>, String)],
        (endpoints, sources): (&[Endpoint], &[Vec<u8>]),
    ) -> Result<(), StoreError> {
        self.durably(|tx| {
            let known = Endpoints::before(tx)?;
            adopt_all(tx, facts)?;
            sealed::amend(tx, &["closed", "closed_source", "closed_endpoint", "closing"], || {
                for file in files {
                    insert_closed(tx, file)?;
                    tx.execute("UPDATE closing SET generation = max(generation, ?1)", [signed(file.generation)])?;
                }
                let Some(month) = files.first().map(|file| file.month.number()) else { return Ok(()) };
                for end in endpoints {
                    let id = endpoint_id(tx, *end)?;
                    tx.execute("INSERT OR IGNORE INTO closed_endpoint (month, endpoint) VALUES (?1, ?2)", [month, id])?;
                }
                for identity in sources {
                    tx.execute(
                    "INSERT OR IGNORE INTO closed_source (month, source) SELECT ?1, id FROM source WHERE identity = ?2",
                    params![month, identity],
                )?;
                }
                Ok(())
            })?;
            known.seal_new(tx)
        })
    }

    /// Takes in what files know of sources and clients, where nothing is known of these yet.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is taken in then.
    pub fn adopt_facts(
        &mut self,
        facts: &[(String, Vec<u8>, String)],
        endpoints: &[Endpoint],
    ) -> Result<(), StoreError> {
        self.durably(|tx| {
            let known = Endpoints::before(tx)?;
            adopt_all(tx, facts)?;
            for endpoint in endpoints {
                endpoint_id(tx, *endpoint)?;
            }
            known.seal_new(tx)
        })
    }

    /// Makes this database the one that wrote those files.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn become_recorder(&mut self, id: [u8; 16]) -> Result<(), StoreError> {
        let sql = "UPDATE about SET value = ?1 WHERE key = 'recorder'";
        self.durably(|tx| sealed::amend(tx, &["about"], || Ok(tx.execute(sql, [id]).map(drop)?)))?;
        // Into the file itself, where a journal is compared with it.
        _ = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        Ok(())
    }

    /// A transaction that is on the disk when this returns: what it says is unlinked next cannot
    /// be had again.
    pub(super) fn durably<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.db.pragma_update(None, "synchronous", "FULL")?;
        let done = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from);
        let done = done.and_then(|tx| {
            let done = work(&tx)?;
            tx.commit()?;
            Ok(done)
        });
        self.db.pragma_update(None, "synchronous", "NORMAL")?;
        done
    }

    /// Removes what nothing points to any more, and gives room back to the file system as far as
    /// that needs no copy of the database.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn shrink(&mut self) -> Result<(), StoreError> {
        // SQLite would look through all sums for each host that goes, to find one that points to
        // it: that there is none is what these statements say themselves. The switch has no effect
        // within a transaction.
        self.db.pragma_update(None, "foreign_keys", false)?;
        let removed = self.remove_unused();
        self.db.pragma_update(None, "foreign_keys", true)?;
        removed?;
        if self.db.pragma_query_value(None, "auto_vacuum", |row| row.get::<_, i64>(0))? == 0 {
            return self.make_shrinkable();
        }
        // Each step frees a page.
        let mut vacuum = self.db.prepare("PRAGMA incremental_vacuum")?;
        let mut steps = vacuum.query([])?;
        while steps.next()?.is_some() {}
        // A reader keeps it from being emptied: next time.
        _ = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        Ok(())
    }
}

impl Store {
    /// A database that an older version made gives no room back: once a quarter of it is free it is
    /// packed into a new file, which SQLite puts in its place when it is whole. Where the disk has
    /// no room for that it stays as it is.
    fn make_shrinkable(&mut self) -> Result<(), StoreError> {
        let pages = |name: &str| self.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if pages("freelist_count")?.saturating_mul(4) > pages("page_count")? {
            _ = self.db.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
        }
        Ok(())
    }
}

pub(super) fn forget_closed(tx: &Connection, month: Month) -> Result<(), StoreError> {
    sealed::amend(tx, &CLOSED, || {
        for table in CLOSED {
            tx.execute(&format!("DELETE FROM {table} WHERE month = ?1"), [month.number()])?;
        }
        Ok(())
    })
}

/// Books what files know of sources that are new here.
fn adopt_all(tx: &Transaction<'_>, facts: &[(String, Vec<u8>, String)]) -> Result<(), StoreError> {
    let mut new: HashMap<&[u8], i64> = HashMap::new();
    for (kind, identity, about) in facts {
        adopt(tx, kind, (identity, about), &mut new)?;
    }
    new.into_values().try_for_each(|source| sealed::source(tx, source))
}

pub(super) fn insert_closed(tx: &Connection, file: &ClosedFile) -> Result<(), StoreError> {
    let ClosedFile { month, recorder, part, generation, file, sha256, len_bytes, sums } = file;
    let [up_bytes, down_bytes, up_packets, down_packets] = sums.amounts.map(signed);
    tx.prepare_cached(
        "INSERT INTO closed (month, recorder, part, generation, file, sha256, len_bytes, row_count, up_bytes, down_bytes,
                             up_packets, down_packets) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        month.number(),
        recorder,
        part.word(),
        signed(*generation),
        file,
        sha256,
        signed(*len_bytes),
        signed(sums.rows),
        up_bytes,
        down_bytes,
        up_packets,
        down_packets,
    ])?;
    Ok(())
}

/// The row of each source of a month, if it is known.
fn source_ids(tx: &Transaction<'_>, rows: &MonthRows) -> Result<Vec<Option<i64>>, StoreError> {
    let mut select = tx.prepare_cached("SELECT id FROM source WHERE identity = ?1")?;
    let mut id = |identity: &Vec<u8>| select.query_row([identity], |row| row.get(0)).optional();
    Ok(rows.sources.iter().map(&mut id).collect::<Result<_, _>>()?)
}

fn points(month: &MonthRows) -> Points<'_> {
    let MonthRows { hosts, endpoints, candidate_sets, interfaces, .. } = month;
    Points { hosts, endpoints, candidate_sets, interfaces }
}

fn insert_month(tx: &Transaction<'_>, month: &MonthRows) -> Result<(), StoreError> {
    let sources = source_ids(tx, month)?;
    let source_of = |index: u32| sources.get(index as usize).copied().flatten();
    usage::insert(tx, &points(month), (month.rows.iter().copied(), month.parts.iter().copied()), source_of)?;
    for count in &month.counts {
        if let Some(source) = source_of(count.source) {
            usage::insert_count(tx, source, count)?;
        }
    }
    Ok(())
}

/// Adds to a checksum.
pub(super) fn check(tx: &Connection, (bucket_s, source): (i64, i64), hash: u64) -> Result<(), StoreError> {
    let mut select = tx.prepare_cached("SELECT sum FROM checked WHERE bucket = ?1 AND source = ?2")?;
    let before: Option<i64> = select.query_row([bucket_s, source], |row| row.get(0)).optional()?;
    let sum = (before.unwrap_or_default() as u64).wrapping_add(hash);
    tx.prepare_cached("INSERT OR REPLACE INTO checked (bucket, source, sum) VALUES (?1, ?2, ?3)")?
        .execute(params![bucket_s, source, sum as i64])?;
    Ok(())
}

/// Removes the rows of some buckets. Where a table has no others, as after captures of one old
/// month, SQLite drops it as a whole: rows that go one by one cost as much as they did when they
/// came.
fn remove_rows(db: &Connection, table: &str, (from_s, to_s): (i64, i64)) -> Result<(), StoreError> {
    // Two questions: of each SQLite looks at one end of the key.
    let others = format!(
        "SELECT EXISTS (SELECT 1 FROM {table} WHERE bucket < ?1) OR EXISTS (SELECT 1 FROM {table} WHERE bucket >= ?2)"
    );
    match db.query_row(&others, [from_s, to_s], |row| row.get(0))? {
        true => db.execute(&format!("DELETE FROM {table} WHERE bucket >= ?1 AND bucket < ?2"), [from_s, to_s])?,
        false => db.execute(&format!("DELETE FROM {table}"), [])?,
    };
    Ok(())
}

/// Checksums of overlaps, and of what was removed.
fn check_beside(tx: &Transaction<'_>, from_s: i64, to_s: i64) -> Result<(), StoreError> {
    let mut select = tx.prepare_cached(
        "SELECT name, other, packets, bytes, bucket, source FROM overlap WHERE bucket >= ?1 AND bucket < ?2",
    )?;
    let mut rows = select.query([from_s, to_s])?;
    while let Some(row) = rows.next()? {
        let (packets, bytes) = (unsigned(row.get(2)?), unsigned(row.get(3)?));
        let overlap = crate::books::Overlap { source: row.get(0)?, of: row.get(1)?, packets, bytes };
        check(tx, (row.get(4)?, row.get(5)?), sums::of_overlap(&overlap))?;
    }
    let mut select = tx.prepare_cached(&format!("{SELECT_REMOVED} WHERE bucket >= ?1 AND bucket < ?2"))?;
    let mut rows = select.query([from_s, to_s])?;
    while let Some(row) = rows.next()? {
        let (source, removed) = removed_row(row)?;
        check(tx, (removed.bucket_s, source), sums::of_removed(&removed))?;
    }
    Ok(())
}

/// Checksums of rows, parts and counts that came back.
fn check_rows(tx: &Transaction<'_>, month: &MonthRows) -> Result<(), StoreError> {
    let sources = source_ids(tx, month)?;
    let hashes = points(month).hashes();
    let mut all: HashMap<i64, Sums> = HashMap::new();
    let mut add = |bucket_s: i64, source: u32, hash: u64| {
        if let Some(source) = sources.get(source as usize).copied().flatten() {
            sums::add(all.entry(source).or_default(), bucket_s, hash);
        }
    };
    month.rows.iter().for_each(|row| add(row.bucket_s, row.source, hashes.row(row)));
    for part in &month.parts {
        add(part.row.bucket_s, part.row.source, hashes.part(part, hashes.row(&part.row)));
    }
    month.counts.iter().for_each(|count| add(count.bucket_s, count.source, sums::of_count(count)));
    for (source, sums) in all {
        sums.into_iter().try_for_each(|(bucket_s, hash)| check(tx, (bucket_s, source), hash))?;
    }
    Ok(())
}
