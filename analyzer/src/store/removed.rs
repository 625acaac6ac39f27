//! What the user has removed: the rules, how much it was, and everything else that told of it.

use super::months::insert_closed;
use super::read::unsigned;
use super::sealed::Good;
use super::sums::{self, Read, Sums};
use super::usage::signed;
use super::{ClosedFile, NewSource, Store, StoreError, blob, taught};
use crate::books::month::Month;
use crate::books::{Endpoint, Host, Interface, Removed, Traffic};
use crate::removal::{Key, Removals, Seconds};
use crate::rollup::Rollup;
use imon_common::time::NANOS_PER_SECOND;
use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params, params_from_iter};
use std::collections::{BTreeSet, HashSet};

/// The columns of [`removed_row`].
pub(super) const SELECT_REMOVED: &str = "SELECT source, bucket, interface, vlan, traffic, up_bytes, down_bytes,
    up_packets, down_packets FROM removed";

/// A row of [`SELECT_REMOVED`], with the row of its source.
pub(super) fn removed_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, Removed)> {
    let amount = |i: usize| row.get(i).map(unsigned);
    let interface = Interface { name: row.get(2)?, vlan: Some(row.get(3)?).filter(|id| *id != 0) };
    let traffic = Traffic::from_number(row.get(4)?).unwrap_or(Traffic::Visited);
    let amounts = [amount(5)?, amount(6)?, amount(7)?, amount(8)?];
    Ok((row.get(0)?, Removed { bucket_s: row.get(1)?, interface, traffic, amounts }))
}

const ADD_REMOVED: &str = "ON CONFLICT DO UPDATE SET up_bytes = up_bytes + excluded.up_bytes,
    down_bytes = down_bytes + excluded.down_bytes, up_packets = up_packets + excluded.up_packets,
    down_packets = down_packets + excluded.down_packets";

fn add_removed(db: &Connection, source: i64, removed: &Removed) -> Result<(), StoreError> {
    let Removed { bucket_s, interface, traffic, amounts } = removed;
    let [up_bytes, down_bytes, up_packets, down_packets] = amounts.map(signed);
    let (vlan, traffic) = (interface.vlan.unwrap_or_default(), traffic.number());
    let sql = format!("INSERT INTO removed VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) {ADD_REMOVED}");
    db.prepare_cached(&sql)?.execute(params![
        bucket_s,
        source,
        interface.name,
        vlan,
        traffic,
        up_bytes,
        down_bytes,
        up_packets,
        down_packets
    ])?;
    Ok(())
}

/// What was taken out of a source that is booked. A segment that it was kept as holds it still.
pub(super) fn insert(
    tx: &Transaction<'_>,
    id: i64,
    (source, rollup): (&NewSource, &Rollup),
    sums: &mut Sums,
) -> Result<(), StoreError> {
    for ((bucket_s, interface, traffic), usage) in &rollup.removed {
        let amounts = [usage.up_bytes, usage.down_bytes, usage.up_packets, usage.down_packets];
        let removed = Removed { bucket_s: *bucket_s, interface: interface.clone(), traffic: *traffic, amounts };
        sums::add(sums, *bucket_s, sums::of_removed(&removed));
        add_removed(tx, id, &removed)?;
    }
    if let (false, Some(path), Some(segment)) = (rollup.removed.is_empty(), &source.kept, source.kept_segment) {
        tx.execute("INSERT OR IGNORE INTO doomed (path, segment) VALUES (?1, ?2)", params![path, segment])?;
    }
    Ok(())
}

/// Who is to be forgotten, and when.
#[derive(Debug, Clone)]
pub struct Gone {
    /// By what the rules know them.
    pub keys: Vec<Key>,
    /// All clients of the database that these rules take.
    pub ends: Vec<Endpoint>,
    /// When: whole buckets.
    pub seconds: Seconds,
}

/// Names and addresses that nobody else used, and what else only they were called.
#[derive(Debug, Clone, Default)]
pub struct Forgotten {
    /// Hosts.
    pub hosts: BTreeSet<Host>,
    /// Their sites.
    pub sites: BTreeSet<String>,
}

impl Gone {
    /// First instant, and the first one after it.
    fn nanos(&self) -> (i64, i64) {
        let (from_s, to_s) = self.seconds;
        (from_s.saturating_mul(NANOS_PER_SECOND), to_s.saturating_mul(NANOS_PER_SECOND))
    }

    /// How answers call who asked for them.
    fn askers(&self) -> BTreeSet<Vec<u8>> {
        let mut askers = BTreeSet::new();
        for end in &self.ends {
            let address = blob::of_address(end.address);
            askers.insert([&[0], address.as_slice()].concat());
            askers.insert(address);
            askers.extend(end.mac.map(|mac| mac.0.to_vec()));
        }
        askers
    }
}

/// Sources that observed something between two instants.
const SOURCES: &str = "source IN (SELECT id FROM source WHERE first_ns < ?2 AND last_ns >= ?1)";

impl Store {
    /// The rules.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn removals(&self) -> Result<Removals, StoreError> {
        let mut select = self.db.prepare_cached("SELECT family, prefix, key, from_s, to_s FROM removal")?;
        let rows = select.query_map([], |row| {
            let key = Key { family: row.get(0)?, prefix: row.get(1)?, digest: row.get(2)? };
            Ok((key, (row.get(3)?, row.get(4)?)))
        })?;
        Ok(Removals::new(self.salt()?, rows.collect::<Result<Vec<_>, _>>()?))
    }

    /// How many wishes there are.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn wishes(&self) -> Result<u64, StoreError> {
        Ok(unsigned(self.db.query_row("SELECT count(DISTINCT wish) FROM removal", [], |row| row.get(0))?))
    }

    /// What makes the keys of rules this database's own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn salt(&self) -> Result<Vec<u8>, StoreError> {
        Ok(self.db.query_row("SELECT value FROM about WHERE key = 'salt'", [], |row| row.get(0))?)
    }

    pub(super) fn removed(&self, from_s: i64, to_s: i64, read: &mut Read) -> Result<Vec<Removed>, StoreError> {
        let sql = format!("{SELECT_REMOVED} WHERE bucket >= ?1 AND bucket < ?2");
        let mut select = self.db.prepare_cached(&sql)?;
        let mut rows = select.query([from_s, to_s])?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let (source, removed) = removed_row(row)?;
            read.add(removed.bucket_s, source, sums::of_removed(&removed));
            all.push(removed);
        }
        Ok(all)
    }

    /// Begins what is done as a whole or not at all, and overwrites what it deletes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin_removal(&mut self) -> Result<(), StoreError> {
        self.db.pragma_update(None, "secure_delete", true)?;
        self.db.pragma_update(None, "synchronous", "FULL")?;
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        match Good::of(&self.db) {
            Ok(good) => self.good = Some(good),
            Err(error) => {
                self.undo_removal();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends it: it is on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is done then.
    pub fn commit_removal(&mut self) -> Result<(), StoreError> {
        let sealed = self.good.take().map_or(Ok(()), |good| good.seal(&self.db));
        let done = sealed.and_then(|()| Ok(self.db.execute_batch("COMMIT")?));
        if done.is_err() {
            self.undo_removal();
        }
        _ = self.db.pragma_update(None, "synchronous", "NORMAL");
        done
    }

    /// Ends it as if it had not begun.
    pub fn undo_removal(&mut self) {
        self.good = None;
        // Where SQLite has taken it back by itself there is nothing to take back.
        _ = self.db.execute_batch("ROLLBACK");
        _ = self.db.pragma_update(None, "synchronous", "NORMAL");
    }

    /// Notes the rules, and removes what clients called themselves.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note_removal(&mut self, gone: &Gone) -> Result<(), StoreError> {
        let wish: i64 = self.db.query_row("SELECT coalesce(max(wish), 0) + 1 FROM removal", [], |row| row.get(0))?;
        let (from_s, to_s) = gone.seconds;
        for Key { family, prefix, digest } in &gone.keys {
            self.db.execute(
                "INSERT OR IGNORE INTO removal (wish, from_s, to_s, family, prefix, key) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![wish, from_s, to_s, family, prefix, digest],
            )?;
        }
        self.db.execute("INSERT OR REPLACE INTO about (key, value) VALUES ('wipe', x'01')", [])?;
        let (from, to) = gone.nanos();
        let ids = self.ids_of(&gone.ends)?;
        const THEIRS: &str = "last_ns >= ?1 AND last_ns < ?2 AND endpoint IN (SELECT value FROM json_each(?3))";
        // Whose names files of months say.
        self.db.execute_batch("CREATE TEMP TABLE IF NOT EXISTS renamed (source INTEGER); DELETE FROM renamed")?;
        self.db.execute(
            &format!("INSERT INTO renamed SELECT DISTINCT source FROM endpoint_name WHERE {THEIRS}"),
            params![from, to, ids],
        )?;
        self.db.execute(&format!("DELETE FROM endpoint_name WHERE {THEIRS}"), params![from, to, ids])?;
        Ok(())
    }

    /// Rows of these clients, as a list in JSON.
    fn ids_of(&self, ends: &[Endpoint]) -> Result<String, StoreError> {
        let mut select = self.db.prepare_cached("SELECT id FROM endpoint WHERE address = ?1 AND mac = ?2")?;
        let mut ids: Vec<i64> = Vec::new();
        for end in ends {
            let key = params![blob::of_address(end.address), blob::of_mac(end.mac)];
            ids.extend(select.query_map(key, |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?);
        }
        Ok(serde_json::json!(ids).to_string())
    }

    /// Moves rows of a month that is open to what was removed, and makes its checksums anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_rows(&mut self, month: Month, gone: &Gone) -> Result<(), StoreError> {
        let (from_s, to_s) = month.seconds();
        let within = (from_s.max(gone.seconds.0), to_s.min(gone.seconds.1));
        let ids = self.ids_of(&gone.ends)?;
        const THESE: &str = "r.bucket >= ?1 AND r.bucket < ?2 AND r.endpoint IN (SELECT value FROM json_each(?3))";
        self.db.execute(
            &format!(
                "INSERT INTO removed SELECT r.bucket, r.source,
                     coalesce(i.name, CASE s.kind WHEN 'capture' THEN '' ELSE s.interface END), coalesce(i.vlan, 0),
                     r.traffic, sum(r.up_bytes), sum(r.down_bytes), sum(r.up_packets), sum(r.down_packets)
                 FROM rollup r JOIN source s ON s.id = r.source LEFT JOIN interface i ON i.id = r.interface
                 WHERE {THESE} GROUP BY 1, 2, 3, 4, 5 {ADD_REMOVED}"
            ),
            params![within.0, within.1, ids],
        )?;
        for table in ["page_rollup", "rollup"] {
            self.db.execute(&format!("DELETE FROM {table} AS r WHERE {THESE}"), params![within.0, within.1, ids])?;
        }
        self.sum_again((from_s, to_s))
    }

    /// Whether a file of a month says what one of these calls itself: what sources of it know.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_named_in(&self, month: Month, ends: &[Endpoint]) -> Result<bool, StoreError> {
        let (from, to) = month.instants();
        let sql = "SELECT 1 FROM closed_endpoint WHERE month = ?1 AND endpoint IN (SELECT value FROM json_each(?2))";
        let ids = self.ids_of(ends)?;
        if self.db.prepare_cached(sql)?.exists(params![month.number(), ids])? {
            return Ok(true);
        }
        let sql = "SELECT 1 FROM renamed n JOIN source s ON s.id = n.source WHERE s.first_ns < ?2 AND s.last_ns >= ?1";
        Ok(self.db.prepare_cached(sql)?.exists(params![from.0, to.0])?)
    }

    /// Puts files in the place of those of a month that is put away; `ends` are those whose sums
    /// they have. What was removed of them is noted already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn replace_closed(&mut self, files: &[ClosedFile], ends: &[Endpoint]) -> Result<(), StoreError> {
        let Some(month) = files.first().map(|file| file.month) else { return Ok(()) };
        for table in ["closed", "closed_endpoint"] {
            self.db.execute(&format!("DELETE FROM {table} WHERE month = ?1"), [month.number()])?;
        }
        files.iter().try_for_each(|file| insert_closed(&self.db, file))?;
        self.db.execute(
            "INSERT OR IGNORE INTO closed_endpoint (month, endpoint) SELECT ?1, value FROM json_each(?2)",
            params![month.number(), self.ids_of(ends)?],
        )?;
        self.sum_again(month.seconds())
    }

    /// Notes what was removed of a source.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn add_removed(&self, identity: &[u8], removed: &Removed) -> Result<(), StoreError> {
        let mut select = self.db.prepare_cached("SELECT id FROM source WHERE identity = ?1")?;
        let ids = select.query_map([identity], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        ids.into_iter().try_for_each(|source| add_removed(&self.db, source, removed))
    }

    /// Makes checksums of a month anew, which was compared with them before it was changed. Sources
    /// that have none get none.
    fn sum_again(&mut self, (from_s, to_s): Seconds) -> Result<(), StoreError> {
        let (_, read) = self.read_month(from_s, to_s)?;
        self.db.execute("DELETE FROM checked WHERE bucket >= ?1 AND bucket < ?2", [from_s, to_s])?;
        let mut insert = self.db.prepare_cached(
            "INSERT INTO checked (bucket, source, sum) SELECT ?1, id, ?3 FROM source WHERE id = ?2 AND summed",
        )?;
        for ((bucket_s, source), sum) in read.into_sums() {
            insert.execute(params![bucket_s, source, sum as i64])?;
        }
        Ok(())
    }

    /// Removes what was learnt of them: answers that they got, flows that they had, hardware
    /// addresses, and names and addresses that nobody else used.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget(&mut self, gone: &Gone, forgotten: &Forgotten) -> Result<(), StoreError> {
        let (from, to) = gone.nanos();
        let db = &self.db;
        let run = |sql: &str, more: &[Value]| -> Result<(), StoreError> {
            let own = [Value::Integer(from), Value::Integer(to)];
            db.prepare_cached(sql)?.execute(params_from_iter(own.iter().chain(more)))?;
            Ok(())
        };
        for asker in gone.askers() {
            let asker = [Value::Blob(asker)];
            run(&format!("DELETE FROM carried WHERE {SOURCES} AND (client = ?3 OR mac = ?3)"), &asker)?;
            run(&format!("DELETE FROM met WHERE {SOURCES} AND mac = ?3"), &asker)?;
        }
        let names = forgotten.hosts.iter().filter_map(|host| match host {
            Host::Name(name) => Some(name.as_str()),
            Host::Address(_) | Host::Service(_) => None,
        });
        let names: HashSet<&str> = names.collect();
        // Who showed a name inside a flow is not kept: those that nobody else used are theirs.
        taught::forget(db, (from, to), &gone.askers(), &names)?;
        let names = [Value::Text(serde_json::json!(names).to_string())];
        let sites = [Value::Text(serde_json::json!(forgotten.sites).to_string())];
        let in_list = "IN (SELECT value FROM json_each(?3))";
        for (table, column, list) in [
            ("carried", "host", &names),
            ("carried", "name", &names),
            ("habit", "name", &names),
            ("habit", "name", &sites),
            ("habit_pull", "page", &names),
            ("habit_pull", "page", &sites),
            ("habit_pull", "site", &sites),
        ] {
            run(&format!("DELETE FROM {table} WHERE {SOURCES} AND {column} {in_list}"), list)?;
        }
        run(&format!("UPDATE habit SET document = '' WHERE {SOURCES} AND document {in_list}"), &names)?;
        db.execute(
            "DELETE FROM reverse_name WHERE name IN (SELECT value FROM json_each(?1))",
            params_from_iter(&names),
        )?;
        for host in &forgotten.hosts {
            if let Host::Address(address) = host {
                db.execute("DELETE FROM reverse_name WHERE address = ?1", [blob::of_address(*address)])?;
            }
        }
        for end in &gone.ends {
            db.execute("DELETE FROM reverse_name WHERE address = ?1", [blob::of_address(end.address)])?;
        }
        Ok(())
    }

    /// Rows of sources of which something was removed between these seconds.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn removed_from(&self, (from_s, to_s): Seconds) -> Result<BTreeSet<i64>, StoreError> {
        let sql = "SELECT DISTINCT source FROM removed WHERE bucket >= ?1 AND bucket < ?2";
        let mut select = self.db.prepare_cached(sql)?;
        Ok(select.query_map([from_s, to_s], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    /// Notes that a segment, by its file and its UUID, is to go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn doom(&self, path: &str, segment: &[u8]) -> Result<(), StoreError> {
        self.db.execute("INSERT OR IGNORE INTO doomed (path, segment) VALUES (?1, ?2)", params![path, segment])?;
        Ok(())
    }

    /// Segments that are to go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn doomed(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut select = self.db.prepare_cached("SELECT path, segment FROM doomed")?;
        Ok(select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
    }

    /// Notes that a segment is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_gone(&self, path: &str) -> Result<(), StoreError> {
        self.db.execute("DELETE FROM doomed WHERE path = ?1", [path])?;
        Ok(())
    }

    /// Overwrites what the file still holds of deleted rows, if that was not done since something
    /// was removed: the database is packed into a new file, and its journal emptied. `false`: a
    /// reader keeps the journal from being emptied, and it is to be done again.
    ///
    /// # Errors
    /// [`StoreError`]; the books are as they were.
    pub fn wipe(&mut self) -> Result<bool, StoreError> {
        let is_due: bool = self.db.query_row("SELECT count(*) FROM about WHERE key = 'wipe'", [], |row| row.get(0))?;
        if !is_due {
            return Ok(true);
        }
        self.db.pragma_update(None, "foreign_keys", false)?;
        let removed = self.remove_unused();
        self.db.pragma_update(None, "foreign_keys", true)?;
        removed?;
        self.db.pragma_update(None, "secure_delete", true)?;
        self.db.execute_batch("VACUUM")?;
        let is_busy: bool = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if is_busy {
            return Ok(false);
        }
        self.db.execute("DELETE FROM about WHERE key = 'wipe'", [])?;
        Ok(true)
    }
}
