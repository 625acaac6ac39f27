//! Checksums of what stands beside the sums: sources and when they recorded, names of devices, what
//! was learnt, months that are put away, what was imported. A report compares what it says with
//! them; `check` compares everything.
//!
//! As those of sums ([`super::sums`]) they are sums of hashes of rows, and find accidents. Who
//! changes rows keeps their checksum only if it held before: damage is never sealed over, but by
//! `rebuild`, which says so.

use super::read::seconds_of;
use super::recorded::ends;
use super::sums::hash;
use super::{Store, StoreError, taught};
use crate::range::Range;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Params, params};
use std::collections::{BTreeMap, BTreeSet};

/// Columns of `sealed_source`, and what each is over: rows as they are selected, the source first.
/// What changes while a source stays as it is booked (`stale`) is not in them. `{of}` stands for
/// which sources.
const PARTS: [(&str, &[&str]); 3] = [
    (
        "about",
        &[
            "SELECT id, identity, kind, path, kept, kept_segment, interface, first_ns, last_ns, ended, len_bytes, records,
                    recorder, run, sequence, content, file_len, packets, chain_captures, chain, allow_overlap
             FROM source NOT INDEXED WHERE id {of}",
            "SELECT source, from_ns, to_ns, reason FROM gap WHERE source {of}",
            "SELECT * FROM recorded WHERE source {of}",
            "SELECT source, recorder, first, segments, why FROM gone WHERE source {of}",
        ],
    ),
    ("names", &["SELECT * FROM endpoint_name WHERE source {of}"]),
    (
        "learnt",
        &[
            "SELECT source, id, kind, first_ns, last_ns, rows FROM taught WHERE kind = 0 AND source {of}",
            "SELECT source, id, kind, first_ns, last_ns, rows FROM taught WHERE kind = 1 AND source {of}",
            "SELECT * FROM met WHERE source {of}",
            "SELECT * FROM habit WHERE source {of}",
            "SELECT * FROM habit_pull WHERE source {of}",
            "SELECT * FROM carried WHERE source {of}",
        ],
    ),
];

/// Tables that are sealed as wholes, and their rows. The last of `about` is set while something is
/// removed.
const TABLES: [(&str, &str); 11] = [
    ("closed", "SELECT * FROM closed"),
    ("imported", "SELECT * FROM imported"),
    ("about", "SELECT * FROM about WHERE key <> 'wipe'"),
    ("gone", "SELECT recorder, first, segments, why FROM gone NOT INDEXED WHERE source IS NULL"),
    ("endpoint", "SELECT * FROM endpoint NOT INDEXED"),
    ("closed_source", "SELECT * FROM closed_source"),
    ("closed_endpoint", "SELECT * FROM closed_endpoint"),
    ("closing", "SELECT * FROM closing"),
    ("pruned", "SELECT * FROM pruned"),
    ("removal", "SELECT * FROM removal"),
    ("reverse_name", "SELECT * FROM reverse_name"),
];

/// Those of them that a report rests on.
const OF_REPORTS: [&str; 5] = ["closed", "imported", "about", "gone", "endpoint"];

/// Those that say which months are put away.
pub(super) const CLOSED: [&str; 3] = ["closed", "closed_source", "closed_endpoint"];

/// Something that does not agree with its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// What is known of a source.
    Source {
        /// Where it was read from.
        path: String,
        /// Which part, in words.
        part: &'static str,
    },
    /// There is a checksum of a source, and no source.
    Lost,
    /// A table.
    Table(&'static str),
    /// What leads to the rows of when was recorded does not lead to all of them.
    Index,
    /// Rows point to what is not there.
    Dangling {
        /// The table that they are in.
        table: String,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NOT: &str = "not agree with its checksum";
        match self {
            Self::Source { path, part } => write!(f, "{part} of {path} does {NOT}"),
            Self::Lost => write!(f, "a source is lost: only its checksum is there"),
            Self::Table(name) => write!(f, "{} does {NOT}", words(name)),
            Self::Index => write!(f, "the index of when was recorded does not lead to all of it"),
            Self::Dangling { table } => write!(f, "rows of the table `{table}` point to what is not there"),
        }
    }
}

/// What a table or a part holds.
fn words(name: &str) -> &str {
    match name {
        "about" => "what this database calls itself",
        "closed" => "the list of files of closed months",
        "closed_source" | "closed_endpoint" | "closing" => "what is known of closed months",
        "imported" => "what was imported from another program",
        "gone" => "the list of segments that are gone",
        "endpoint" => "the list of devices' addresses",
        "pruned" => "the list of what was pruned",
        "removal" => "the list of rules of `prune --device`",
        "reverse_name" => "the list of reverse lookups",
        name => name,
    }
}

/// Those that observed something from the one instant on and before the other. By the list itself:
/// an index may be what is damaged.
const BETWEEN: &str = "SELECT id FROM source NOT INDEXED WHERE last_ns >= ?1 AND first_ns < ?2";

/// Sources that are looked up one by one.
const FEW: usize = 512;

/// Which sources.
#[derive(Debug, Clone, Copy)]
enum Of {
    One(i64),
    /// That observed something from the one instant on and before the other.
    Between(i64, i64),
    All,
}

impl Of {
    fn sql(self, sql: &str) -> String {
        let of = match self {
            Self::One(_) => "= ?1",
            Self::Between(..) => &format!("IN ({BETWEEN})"),
            Self::All => "IS NOT NULL",
        };
        sql.replace("{of}", of)
    }

    /// The same sources one by one where they are few: each statement about a time looks through
    /// all sources for them.
    fn one_by_one(self, db: &Connection) -> Result<Vec<Self>, StoreError> {
        let Self::Between(from, to) = self else { return Ok(vec![self]) };
        let mut select = db.prepare_cached(&format!("{BETWEEN} LIMIT ?3"))?;
        let few = i64::try_from(FEW).unwrap_or(i64::MAX);
        let ids = select.query_map([from, to, few + 1], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        Ok(if ids.len() > FEW { vec![self] } else { ids.into_iter().map(Self::One).collect() })
    }

    fn params(self) -> Vec<i64> {
        match self {
            Self::One(id) => vec![id],
            Self::Between(from, to) => vec![from, to],
            Self::All => Vec::new(),
        }
    }
}

/// Calls `take` with the first value of each row, if it is a number, and the hash of the row.
fn each_row(
    db: &Connection,
    (kind, sql): (u64, &str),
    params: impl Params,
    mut take: impl FnMut(i64, u64),
) -> Result<(), StoreError> {
    let mut select = db.prepare_cached(sql)?;
    let columns = select.column_count();
    let mut rows = select.query(params)?;
    while let Some(row) = rows.next()? {
        let mut sum = kind;
        for column in 0..columns {
            sum = of_value(sum, row.get_ref(column)?);
        }
        let first = row.get_ref(0)?.as_i64().unwrap_or_default();
        take(first, sum);
    }
    Ok(())
}

fn of_value(sum: u64, value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Null => hash(sum, &[0]),
        ValueRef::Integer(number) => hash(sum, &[1, number as u64]),
        ValueRef::Real(number) => hash(sum, &[2, number.to_bits()]),
        ValueRef::Text(bytes) => of_bytes(hash(sum, &[3, bytes.len() as u64]), bytes),
        ValueRef::Blob(bytes) => of_bytes(hash(sum, &[4, bytes.len() as u64]), bytes),
    }
}

fn of_bytes(sum: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(sum, |sum, word| hash(sum, &[u64::from_le_bytes(*word)]));
    let rest = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    hash(sum, &[rest])
}

/// The checksum of a part, of each of these sources that has anything of it.
fn sums(db: &Connection, part: &[&str], of: Of) -> Result<BTreeMap<i64, u64>, StoreError> {
    let mut sums = BTreeMap::new();
    for (kind, sql) in (20..).zip(part) {
        each_row(db, (kind, &of.sql(sql)), rusqlite::params_from_iter(of.params()), |source, hash| {
            let sum: &mut u64 = sums.entry(source).or_default();
            *sum = sum.wrapping_add(hash);
        })?;
    }
    Ok(sums)
}

/// The checksum of rows of one source.
#[cfg(test)]
pub(super) fn sums_of(db: &Connection, part: &[&str], source: i64) -> Result<u64, StoreError> {
    Ok(sums(db, part, Of::One(source))?.get(&source).copied().unwrap_or_default())
}

/// The checksums of a source.
fn of_source(db: &Connection, source: i64) -> Result<[u64; 3], StoreError> {
    let mut all = [0; 3];
    for (sum, (_, part)) in all.iter_mut().zip(PARTS) {
        *sum = sums(db, part, Of::One(source))?.get(&source).copied().unwrap_or_default();
    }
    Ok(all)
}

fn of_table(db: &Connection, name: &str) -> Result<u64, StoreError> {
    let Some((_, sql)) = TABLES.iter().find(|(table, _)| *table == name) else { return Ok(0) };
    let mut sum = 0_u64;
    each_row(db, (19, sql), [], |_, hash| sum = sum.wrapping_add(hash))?;
    Ok(sum)
}

/// Writes the checksums of a source.
pub(super) fn source(db: &Connection, source: i64) -> Result<(), StoreError> {
    let [about, names, learnt] = of_source(db, source)?.map(|sum| sum as i64);
    db.prepare_cached("INSERT OR REPLACE INTO sealed_source (source, about, names, learnt) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![source, about, names, learnt])?;
    Ok(())
}

fn table(db: &Connection, name: &str) -> Result<(), StoreError> {
    write_table(db, name, of_table(db, name)?)
}

fn write_table(db: &Connection, name: &str, sum: u64) -> Result<(), StoreError> {
    db.prepare_cached("INSERT OR REPLACE INTO sealed_table (name, sum) VALUES (?1, ?2)")?
        .execute(params![name, sum as i64])?;
    Ok(())
}

fn sealed_table(db: &Connection, name: &str) -> Result<Option<u64>, StoreError> {
    let mut select = db.prepare_cached("SELECT sum FROM sealed_table WHERE name = ?1")?;
    Ok(select.query_row([name], |row| row.get::<_, i64>(0)).optional()?.map(|sum| sum as u64))
}

pub(super) fn is_table_good(db: &Connection, name: &str) -> Result<bool, StoreError> {
    Ok(sealed_table(db, name)? == Some(of_table(db, name)?))
}

/// Seals everything: what an older version left, or nothing yet.
pub(super) fn everything(db: &Connection) -> Result<(), StoreError> {
    let ids: Vec<i64> = {
        let mut select = db.prepare("SELECT id FROM source WHERE summed")?;
        select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
    };
    ids.into_iter().try_for_each(|id| source(db, id))?;
    TABLES.iter().try_for_each(|(name, _)| table(db, name))
}

/// Changes tables. Those that agreed with their checksums do so after it, and so does one that is
/// empty then.
pub(super) fn amend<T>(
    db: &Connection,
    tables: &[&str],
    change: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let good = tables.iter().map(|name| is_table_good(db, name)).collect::<Result<Vec<_>, _>>()?;
    let done = change()?;
    for (name, was_good) in tables.iter().zip(good) {
        let sum = of_table(db, name)?;
        if was_good || sum == 0 {
            write_table(db, name, sum)?;
        }
    }
    Ok(done)
}

/// Changes what is known of a source, likewise.
pub(super) fn amend_source<T>(
    db: &Connection,
    id: i64,
    change: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let was_good = stored(db, Of::One(id))?.get(&id) == Some(&of_source(db, id)?);
    let done = change()?;
    if was_good {
        source(db, id)?;
    }
    Ok(done)
}

/// Takes answers and heads of an older schema in as values that say the same, and takes their
/// tables away. The checksum of a source changes by what went and what came: one that did not hold
/// does not hold after it.
pub(super) fn pack_taught(db: &Connection) -> Result<(), StoreError> {
    let old = ["SELECT * FROM answer WHERE source {of}", "SELECT * FROM head WHERE source {of}"];
    let went = sums(db, &old, Of::All)?;
    taught::pack_all(db)?;
    db.execute_batch("DROP TABLE answer; DROP TABLE head")?;
    let [.., (_, [answers, heads, ..])] = PARTS else { return Ok(()) };
    let came = sums(db, &[*answers, *heads], Of::All)?;
    for (source, sealed) in stored(db, Of::All)? {
        let of = |sums: &BTreeMap<i64, u64>| sums.get(&source).copied().unwrap_or_default();
        let learnt = sealed.last().map(|learnt| learnt.wrapping_sub(of(&went)).wrapping_add(of(&came)));
        db.prepare_cached("UPDATE sealed_source SET learnt = ?2 WHERE source = ?1")?
            .execute(params![source, learnt.map(|sum| sum as i64)])?;
    }
    Ok(())
}

/// Clients that are known before something is booked: new ones are added to their checksum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Endpoints {
    last: i64,
}

impl Endpoints {
    pub(super) fn before(db: &Connection) -> Result<Self, StoreError> {
        let mut select = db.prepare_cached("SELECT coalesce(max(id), 0) FROM endpoint")?;
        Ok(Self { last: select.query_row([], |row| row.get(0))? })
    }

    pub(super) fn seal_new(self, db: &Connection) -> Result<(), StoreError> {
        let mut new = 0_u64;
        each_row(db, (19, "SELECT * FROM endpoint WHERE id > ?1"), [self.last], |_, hash| {
            new = new.wrapping_add(hash)
        })?;
        match sealed_table(db, "endpoint")? {
            Some(sum) if new != 0 => write_table(db, "endpoint", sum.wrapping_add(new)),
            _ => Ok(()),
        }
    }
}

/// What is sealed, by source.
fn stored(db: &Connection, of: Of) -> Result<BTreeMap<i64, [u64; 3]>, StoreError> {
    let sql = of.sql("SELECT source, about, names, learnt FROM sealed_source WHERE source {of}");
    let mut select = db.prepare_cached(&sql)?;
    let mut rows = select.query(rusqlite::params_from_iter(of.params()))?;
    let mut stored = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let sums: [i64; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
        stored.insert(row.get(0)?, sums.map(|sum| sum as u64));
    }
    Ok(stored)
}

/// What is sealed of a part, of each of these sources that has anything of it: few have names.
fn stored_of_part(db: &Connection, column: &str, of: Of) -> Result<Vec<(i64, u64)>, StoreError> {
    let sql = format!("SELECT source, {column} FROM sealed_source WHERE source {{of}} AND {column} <> 0");
    let mut select = db.prepare_cached(&of.sql(&sql))?;
    let rows =
        select.query_map(rusqlite::params_from_iter(of.params()), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    rows.map(|row| row.map(|(source, sum)| (source, sum as u64)).map_err(StoreError::from)).collect()
}

/// What agrees with its checksums before much is changed at once.
#[derive(Debug, Default)]
pub(super) struct Good {
    sources: BTreeSet<i64>,
    tables: Vec<&'static str>,
}

impl Good {
    pub(super) fn of(db: &Connection) -> Result<Self, StoreError> {
        let mut sources = stored(db, Of::All)?;
        for (n, (_, part)) in PARTS.iter().enumerate() {
            let found = sums(db, part, Of::All)?;
            sources.retain(|id, sealed| sealed.get(n) == Some(&found.get(id).copied().unwrap_or_default()));
        }
        let mut tables = Vec::new();
        for (name, _) in TABLES {
            if is_table_good(db, name)? {
                tables.push(name);
            }
        }
        Ok(Self { sources: sources.into_keys().collect(), tables })
    }

    pub(super) fn seal(&self, db: &Connection) -> Result<(), StoreError> {
        let mut is_there = db.prepare_cached("SELECT 1 FROM source WHERE id = ?1")?;
        for id in &self.sources {
            if is_there.exists([id])? {
                source(db, *id)?;
            }
        }
        self.tables.iter().try_for_each(|name| table(db, name))
    }
}

impl Store {
    /// What a report of a range says and does not agree with its checksum; sums themselves have
    /// checksums of their own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn faults_of_report(&self, range: &Range) -> Result<Vec<Fault>, StoreError> {
        let tx = self.db.is_autocommit().then(|| self.db.unchecked_transaction()).transpose()?;
        let (from, to) = ends(range);
        let mut within = Of::Between(from, to).one_by_one(&self.db)?;
        within.extend(self.others_of_sums(range)?);
        let mut faults = self.faults_of_sources(&[(0, &within), (1, &[Of::All])])?;
        for of in within {
            if !self.is_recorded_found(&of.sql("{of}"), &of.params())? {
                faults.push(Fault::Index);
                break;
            }
        }
        for name in OF_REPORTS {
            faults.extend(self.fault_of_table(name)?);
        }
        tx.map(|tx| tx.commit()).transpose()?;
        Ok(faults)
    }

    /// Sources that have sums in a range and say of themselves that they observed nothing in it:
    /// what they say may be what is damaged.
    fn others_of_sums(&self, range: &Range) -> Result<Vec<Of>, StoreError> {
        let ((from, to), (from_s, to_s)) = (ends(range), seconds_of(range));
        let sql = format!(
            "SELECT DISTINCT source FROM checked WHERE bucket >= ?3 AND bucket < ?4 AND source NOT IN ({BETWEEN})"
        );
        let mut select = self.db.prepare_cached(&sql)?;
        let rows = select.query_map([from, to, from_s, to_s], |row| row.get(0).map(Of::One))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Everything beside the sums that does not agree with its checksum, or points to nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn faults_beside(&self) -> Result<Vec<Fault>, StoreError> {
        let tx = self.db.is_autocommit().then(|| self.db.unchecked_transaction()).transpose()?;
        let mut faults = self.faults_of_sources(&[0, 1, 2].map(|part| (part, &[Of::All][..])))?;
        for (name, _) in TABLES {
            faults.extend(self.fault_of_table(name)?);
        }
        let mut select = self.db.prepare("SELECT DISTINCT \"table\" FROM pragma_foreign_key_check")?;
        let tables = select.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        faults.extend(tables.into_iter().map(|table| Fault::Dangling { table }));
        tx.map(|tx| tx.commit()).transpose()?;
        Ok(faults)
    }

    /// Whether the lists that say which months are put away agree with their checksums: what they
    /// do not name may be removed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn faults_of_months(&self) -> Result<Vec<Fault>, StoreError> {
        let mut faults = Vec::new();
        for name in CLOSED.into_iter().chain(["about", "closing"]) {
            faults.extend(self.fault_of_table(name)?);
        }
        Ok(faults)
    }

    /// A list that is empty is as it should be where nothing is booked: somebody removed
    /// everything.
    fn fault_of_table(&self, name: &'static str) -> Result<Option<Fault>, StoreError> {
        if is_table_good(&self.db, name)? {
            return Ok(None);
        }
        let is_empty = of_table(&self.db, name)? == 0 && !self.db.prepare_cached("SELECT 1 FROM source")?.exists([])?;
        Ok((!is_empty).then_some(Fault::Table(name)))
    }

    fn faults_of_sources(&self, parts: &[(usize, &[Of])]) -> Result<Vec<Fault>, StoreError> {
        let mut faults = Vec::new();
        let lost = "SELECT 1 FROM sealed_source WHERE source NOT IN (SELECT id FROM source NOT INDEXED) LIMIT 1";
        if self.db.prepare_cached(lost)?.exists([])? {
            faults.push(Fault::Lost);
        }
        let mut about = self.db.prepare_cached("SELECT path, summed FROM source WHERE id = ?1")?;
        let each = parts.iter().flat_map(|(n, all)| all.iter().map(|of| (*n, *of)));
        for (n, of) in each {
            let Some((column, part)) = PARTS.get(n) else { continue };
            let mut found = sums(&self.db, part, of)?;
            let mut wrong = stored_of_part(&self.db, column, of)?;
            wrong.retain(|(id, sealed)| found.remove(id).unwrap_or_default() != *sealed);
            // Without a checksum: written by an older version, or damaged.
            for id in wrong.into_iter().map(|(id, _)| Ok(id)).chain(found.into_keys().map(Err)) {
                let (has_sum, id) = (id.is_ok(), id.unwrap_or_else(|id| id));
                let known: Option<(String, bool)> =
                    about.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                let (path, summed) = known.unwrap_or_else(|| (format!("source {id}"), true));
                let part = ["what is known", "what devices call themselves, as heard", "what was learnt"];
                let part = part.get(n).copied().unwrap_or_default();
                faults.extend((summed || has_sum).then_some(Fault::Source { path, part }));
            }
        }
        Ok(faults)
    }

    /// Takes sources as they are, and lists that can be had in no other way: the end of a booking
    /// of everything. Gives what did not agree.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is sealed then.
    pub fn seal_as_it_is(&mut self) -> Result<Vec<Fault>, StoreError> {
        let faults = self.faults_beside()?;
        if faults.is_empty() {
            return Ok(faults);
        }
        let tx = self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let ids: Vec<i64> = {
            let mut select = tx.prepare("SELECT id FROM source WHERE summed")?;
            select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        tx.execute("DELETE FROM sealed_source WHERE source NOT IN (SELECT id FROM source)", [])?;
        ids.into_iter().try_for_each(|id| source(&tx, id))?;
        for name in ["gone", "endpoint", "closed_endpoint", "pruned", "reverse_name"] {
            table(&tx, name)?;
        }
        tx.commit()?;
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_sources_are_looked_up_one_by_one_and_many_at_once() {
        let store = Store::in_memory().unwrap();
        let add = |id: i64| {
            let sql = "INSERT INTO source (id, identity, kind, path, interface, first_ns, last_ns, ended, len_bytes, \
                       records) VALUES (?1, CAST(?1 AS BLOB), 'segment', '', '', ?1, ?1, 'sealed', 0, 0)";
            store.db.execute(sql, [id]).unwrap();
        };
        (1..=FEW as i64 + 1).for_each(add);
        let of = |from, to| Of::Between(from, to).one_by_one(&store.db).unwrap();
        assert!(of(0, 1).is_empty());
        assert!(matches!(of(1, 4)[..], [Of::One(1), Of::One(2), Of::One(3)]));
        assert_eq!(of(1, FEW as i64 + 1).len(), FEW);
        assert!(matches!(of(1, FEW as i64 + 2)[..], [Of::Between(1, _)]));
    }
}
