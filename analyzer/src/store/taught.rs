//! What sources taught: names of addresses, and names that lead to others, each with who asked, and
//! when first and last. It is what attribution knows when the next source is booked.

mod pack;

use super::{Store, StoreError, blob};
use crate::attribution::{AnswerBook, Asker, Learned, Led};
use crate::range::Range;
use crate::rollup::Rollup;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::names::Name;
use imon_common::time::UnixNanos;
use pack::{Listed, Packed, Times, pack};
use rusqlite::{Connection, params};
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

/// Most rows of a value: what one takes in memory while it is read stays below two megabytes.
const ROWS: usize = 8_192;

/// Most rows that are loaded for a booking: the newest. Far more than a network asks in a month.
const MAX_ROWS: usize = 1_000_000;

/// Most names that are looked through for a report: those of months.
const MAX_NAMES: usize = 2_000_000;

/// What is taught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// A name of an address.
    Answer = 0,
    /// A name that leads to a name.
    Head = 1,
}

/// One row of what was taught: who asked, for what (an address or a name), and which name, all as
/// they are kept; when first and last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taught {
    /// Row of the source.
    pub source: i64,
    /// Who asked.
    pub asker: Vec<u8>,
    /// What for.
    pub of: Vec<u8>,
    /// The name.
    pub name: Vec<u8>,
    /// When first.
    pub first: UnixNanos,
    /// When last.
    pub last: UnixNanos,
}

/// Writes what a source taught.
pub(super) fn insert(db: &Connection, source: i64, rollup: &Rollup) -> Result<(), StoreError> {
    insert_kind(db, (source, Lesson::Answer), &rollup.learned, |(asker, address, name)| (*asker, *address, name))?;
    insert_kind(db, (source, Lesson::Head), &rollup.led, |(asker, target, head)| (*asker, target, head))
}

/// Writes a kind of it: `parts` gives who asked, what for, and which name.
fn insert_kind<'r, K: Ord, A: Listed, F: Listed, N: Listed>(
    db: &Connection,
    of: (i64, Lesson),
    taught: &'r HashMap<K, (UnixNanos, UnixNanos), RandomState>,
    parts: fn(&'r K) -> (A, F, N),
) -> Result<(), StoreError> {
    let mut rows: Vec<(Times, &K)> = taught.iter().map(|(row, (first, last))| ((first.0, last.0), row)).collect();
    // By their times, which seldom are equal: the same books have the same bytes.
    rows.sort_unstable();
    rows.chunks(ROWS).try_for_each(|rows| insert_rows(db, of, rows.iter().map(|(times, row)| (parts(row), *times))))
}

fn insert_rows<A: Listed, F: Listed, N: Listed>(
    db: &Connection,
    (source, kind): (i64, Lesson),
    rows: impl Iterator<Item = ((A, F, N), Times)> + Clone,
) -> Result<(), StoreError> {
    let Some((first, last)) = span(rows.clone().map(|(_, times)| times)) else { return Ok(()) };
    let sql = "INSERT INTO taught (source, kind, first_ns, last_ns, rows) VALUES (?1, ?2, ?3, ?4, ?5)";
    db.prepare_cached(sql)?.execute(params![source, kind as i64, first, last, pack(rows)])?;
    Ok(())
}

/// The earliest first and the latest last of times.
fn span(times: impl Iterator<Item = Times>) -> Option<Times> {
    times.reduce(|(first, last), (one, other)| (first.min(one), last.max(other)))
}

/// A row of an older schema.
type RowOfOld = ((Vec<u8>, Vec<u8>, Vec<u8>), Times);

/// Takes in what a database of an older schema has of this as rows, and takes its tables away. A
/// source that agreed with its checksum does so after it, and no other: a checksum is a sum.
pub(super) fn pack_all(db: &Connection) -> Result<(), StoreError> {
    for (kind, table, columns) in
        [(Lesson::Answer, "answer", "asker, address, host"), (Lesson::Head, "head", "asker, target, head")]
    {
        // Blobs and text alike, by their bytes.
        let of = columns.split(", ").map(|column| format!("CAST({column} AS BLOB)")).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT source, {of}, first_ns, last_ns FROM {table} ORDER BY source, first_ns, {columns}");
        let mut select = db.prepare(&sql)?;
        let mut rows = select.query([])?;
        let mut part: Vec<RowOfOld> = Vec::new();
        let mut of_part = 0;
        loop {
            let row = rows.next()?;
            let source = row.map(|row| row.get::<_, i64>(0)).transpose()?;
            if !part.is_empty() && (source != Some(of_part) || part.len() == ROWS) {
                let borrowed = part.iter().map(|((asker, of, name), times)| ((&asker[..], &of[..], &name[..]), *times));
                insert_rows(db, (of_part, kind), borrowed)?;
                part.clear();
            }
            let (Some(row), Some(source)) = (row, source) else { break };
            of_part = source;
            part.push(((row.get(1)?, row.get(2)?, row.get(3)?), (row.get(4)?, row.get(5)?)));
        }
    }
    Ok(())
}

/// Which values are looked at, all between two instants.
#[derive(Debug, Clone, Copy)]
enum Between {
    /// Those of sources that reach to the one and begin before the other.
    Sources(i64, i64),
    /// Those that do so themselves.
    Values(i64, i64),
}

/// A value.
struct Part<'a> {
    id: i64,
    source: i64,
    packed: Packed<'a>,
}

/// Calls `take` with each value of a kind, the latest first, until it says `false`.
fn each_part(
    db: &Connection,
    kind: Lesson,
    between: Between,
    mut take: impl FnMut(&Part<'_>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let (condition, from, to) = match between {
        Between::Sources(from, to) => {
            ("source IN (SELECT id FROM source WHERE last_ns >= ?2 AND first_ns < ?3)", from, to)
        }
        Between::Values(from, to) => ("last_ns >= ?2 AND first_ns < ?3", from, to),
    };
    // Sorted are numbers, and not what they stand for.
    let sql = format!("SELECT id, source FROM taught WHERE kind = ?1 AND {condition} ORDER BY last_ns DESC, id");
    let parts: Vec<(i64, i64)> = {
        let mut select = db.prepare_cached(&sql)?;
        let rows = select.query_map(params![kind as i64, from, to], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let mut select = db.prepare_cached("SELECT rows FROM taught WHERE id = ?1")?;
    for (id, source) in parts {
        let mut rows = select.query([id])?;
        let Some(row) = rows.next()? else { continue };
        let packed = Packed::of(row.get_ref(0)?.as_bytes().unwrap_or_default());
        if !take(&Part { id, source, packed })? {
            break;
        }
    }
    Ok(())
}

/// What bytes stand for, and what is made of a row.
type Make<F, T> = (fn(&[u8]) -> Option<F>, fn(Asker, F, Name, UnixNanos) -> T);

/// What sources taught, each when first and when last: of those that reach to `since` and begin
/// before `until`, but for `read`, and from `since` on. What does not parse was not written by us;
/// it teaches nothing.
fn newest<F: Clone, T>(
    db: &Connection,
    (kind, read): (Lesson, &HashSet<i64>),
    (since, until): (UnixNanos, UnixNanos),
    (of, make): Make<F, T>,
) -> Result<Vec<T>, StoreError> {
    let (mut taught, mut looked_at) = (Vec::new(), 0);
    each_part(db, kind, Between::Sources(since.0, until.0), |part| {
        let askers: Vec<_> = part.packed.askers.iter().map(|bytes| blob::to_asker(bytes)).collect();
        let asked: Vec<_> = part.packed.asked.iter().map(|bytes| of(bytes)).collect();
        let names: Vec<_> = part.packed.names.iter().map(|bytes| to_name(bytes)).collect();
        for ([asker, of, name], (first, last)) in part.packed.rows() {
            looked_at += 1;
            let (Some(Some(asker)), Some(Some(of)), Some(Some(name))) =
                (askers.get(asker), asked.get(of), names.get(name))
            else {
                continue;
            };
            if !read.contains(&part.source) {
                let times = [first, last].into_iter().filter(|ts| *ts >= since.0);
                taught.extend(times.map(|ts| make(*asker, of.clone(), name.clone(), UnixNanos(ts))));
            }
        }
        Ok(looked_at < MAX_ROWS)
    })?;
    Ok(taught)
}

fn to_name(bytes: &[u8]) -> Option<Name> {
    std::str::from_utf8(bytes).ok().and_then(Name::from_presentation)
}

/// Tells a book what sources taught, but for `read`, which are read again: see
/// [`Store::knowledge`].
pub(super) fn tell(
    db: &Connection,
    book: &mut AnswerBook,
    read: &HashSet<i64>,
    within: (UnixNanos, UnixNanos),
) -> Result<(), StoreError> {
    let learned = |asker, address, host, ts| Learned { asker, address, host, ts };
    let mut answers = newest(db, (Lesson::Answer, read), within, (blob::to_address, learned))?;
    answers.sort_by(|a, b| (a.ts, a.address, a.asker, &a.host).cmp(&(b.ts, b.address, b.asker, &b.host)));
    answers.dedup();
    answers.into_iter().for_each(|learned| book.insert(learned));
    let led = |asker, target, head, ts| Led { asker, target, head, ts };
    let mut heads = newest(db, (Lesson::Head, read), within, (to_name, led))?;
    heads.sort_by(|a, b| (a.ts, &a.target, a.asker, &a.head).cmp(&(b.ts, &b.target, b.asker, &b.head)));
    heads.dedup();
    heads.into_iter().for_each(|led| book.insert_head(led));
    Ok(())
}

/// Removes between two instants what these asked for and were told, and these names whoever was
/// told them.
pub(super) fn forget(
    db: &Connection,
    (from, to): (i64, i64),
    askers: &BTreeSet<Vec<u8>>,
    names: &HashSet<&str>,
) -> Result<(), StoreError> {
    let is_named = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|name| names.contains(name));
    for kind in [Lesson::Answer, Lesson::Head] {
        let mut changed = Vec::new();
        each_part(db, kind, Between::Sources(from, to), |part| {
            let mut is_changed = false;
            let mut left = Vec::new();
            for ((asker, of, name), (first, last)) in part.packed.each() {
                let mut times =
                    Some((first, last)).filter(|_| !(is_named(name) || kind == Lesson::Head && is_named(of)));
                if askers.contains(asker) {
                    let within = |at: i64| (from..to).contains(&at);
                    times = times.filter(|_| !(within(first) && within(last)));
                    // Heard before, or after: of the time between nothing is left.
                    times = times.map(|times| match (within(first), within(last)) {
                        (false, true) => (first, first),
                        (true, false) => (last, last),
                        _ => times,
                    });
                }
                is_changed |= times != Some((first, last));
                left.extend(times.map(|times| ((asker, of, name), times)));
            }
            if is_changed {
                let span = span(left.iter().map(|(_, times)| *times));
                changed.push((part.id, span, pack(left.into_iter())));
            }
            Ok(true)
        })?;
        for (id, span, rows) in changed {
            match span {
                Some((first, last)) => db
                    .prepare_cached("UPDATE taught SET first_ns = ?2, last_ns = ?3, rows = ?4 WHERE id = ?1")?
                    .execute(params![id, first, last, rows])?,
                None => db.execute("DELETE FROM taught WHERE id = ?1", [id])?,
            };
        }
    }
    Ok(())
}

impl Store {
    /// Everything of a kind that sources taught, in no order, for who compares two databases.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn taught(&self, kind: Lesson) -> Result<Vec<Taught>, StoreError> {
        let mut all = Vec::new();
        each_part(&self.db, kind, Between::Values(i64::MIN, i64::MAX), |part| {
            all.extend(part.packed.each().map(|((asker, of, name), (first, last))| Taught {
                source: part.source,
                asker: asker.into(),
                of: of.into(),
                name: name.into(),
                first: UnixNanos(first),
                last: UnixNanos(last),
            }));
            Ok(true)
        })?;
        Ok(all)
    }

    /// Names that were given for addresses in a range, by answers or inside flows, each once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn names_of_addresses(&self, range: &Range) -> Result<Vec<(IpAddr, Name)>, StoreError> {
        let (from, to) = (range.from.map_or(i64::MIN, |at| at.0), range.to.map_or(i64::MAX, |at| at.0));
        let mut all = HashSet::new();
        each_part(&self.db, Lesson::Answer, Between::Values(from, to), |part| {
            let asked: Vec<_> = part.packed.asked.iter().map(|bytes| blob::to_address(bytes)).collect();
            let names: Vec<_> = part.packed.names.iter().map(|bytes| to_name(bytes)).collect();
            for ([_, of, name], (first, last)) in part.packed.rows() {
                if let (Some(Some(address)), Some(Some(name)), true) =
                    (asked.get(of), names.get(name), last >= from && first < to)
                {
                    all.insert((*address, name.clone()));
                }
            }
            Ok(all.len() < MAX_NAMES)
        })?;
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_unstable();
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row as its bytes.
    type Row<'a> = ((&'a [u8], &'a [u8], &'a [u8]), Times);

    /// A store with one source from 0 to 1,000 ns, and these lessons of it: who asked, what for,
    /// which name, and when.
    fn store(kind: Lesson, rows: &[Row<'_>]) -> Store {
        let store = Store::in_memory().unwrap();
        store
            .db
            .execute_batch(
                "INSERT INTO source (id, identity, kind, path, interface, first_ns, last_ns, ended, len_bytes, records)
                 VALUES (1, x'01', 'segment', '', '', 0, 1000, 'sealed', 0, 0)",
            )
            .unwrap();
        insert_rows(&store.db, (1, kind), rows.iter().copied()).unwrap();
        store
    }

    fn times(store: &Store, kind: Lesson) -> Vec<(String, Times)> {
        let of = |taught: Taught| (String::from_utf8(taught.name).unwrap(), (taught.first.0, taught.last.0));
        let mut all: Vec<_> = store.taught(kind).unwrap().into_iter().map(of).collect();
        all.sort();
        all
    }

    #[test]
    fn of_the_time_that_is_removed_nothing_is_left() {
        let (ann, bob): (&[u8], &[u8]) = (b"ann!", b"bob!");
        let rows = [
            ((ann, &b"1"[..], &b"within.test"[..]), (100, 199)),
            ((ann, b"1", b"before.test"), (50, 150)),
            ((ann, b"1", b"after.test"), (150, 200)),
            ((ann, b"1", b"around.test"), (99, 200)),
            ((ann, b"1", b"earlier.test"), (1, 99)),
            ((bob, b"1", b"of-bob.test"), (100, 150)),
            ((bob, b"1", b"forgotten.test"), (300, 400)),
        ];
        let store = store(Lesson::Answer, &rows);
        let forget = |askers: &[&[u8]], names: &[&str]| {
            let askers = askers.iter().map(|asker| asker.to_vec()).collect();
            forget(&store.db, (100, 200), &askers, &names.iter().copied().collect()).unwrap();
            times(&store, Lesson::Answer)
        };
        let wanted = |rows: &[(&str, Times)]| rows.iter().map(|(name, t)| (name.to_string(), *t)).collect::<Vec<_>>();
        let left = [
            ("after.test", (200, 200)),
            ("around.test", (99, 200)),
            ("before.test", (50, 50)),
            ("earlier.test", (1, 99)),
            ("of-bob.test", (100, 150)),
        ];
        assert_eq!(forget(&[ann], &["forgotten.test"]), wanted(&left));
        assert_eq!(forget(&[ann], &["forgotten.test"]), wanted(&left), "again");
        let names = left.map(|(name, _)| name);
        assert_eq!(forget(&[], &names), []);
        let values: i64 = store.db.query_row("SELECT count(*) FROM taught", [], |row| row.get(0)).unwrap();
        assert_eq!(values, 0, "a value without rows goes");
    }

    #[test]
    fn a_name_that_leads_to_another_goes_by_either() {
        let rows = [
            ((&b"ann!"[..], &b"edge.test"[..], &b"www.test"[..]), (100, 150)),
            ((b"ann!", b"other.test", b"other-head.test"), (100, 150)),
        ];
        for name in ["edge.test", "www.test"] {
            let store = store(Lesson::Head, &rows);
            forget(&store.db, (0, 1_000), &BTreeSet::new(), &HashSet::from([name])).unwrap();
            assert_eq!(times(&store, Lesson::Head), [("other-head.test".to_owned(), (100, 150))], "{name}");
        }
    }

    #[test]
    fn a_report_asks_for_the_names_of_its_range() {
        let rows = [
            ((&b"ann!"[..], &[192, 0, 2, 1][..], &b"early.test"[..]), (0, 99)),
            ((b"ann!", &[192, 0, 2, 1], b"late.test"), (200, 300)),
            ((b"bob!", &[192, 0, 2, 2], b"both.test"), (50, 250)),
            ((b"ann!", &[192, 0, 2, 2], b"both.test"), (120, 130)),
            ((b"ann!", b"no address", b"odd.test"), (120, 130)),
        ];
        let store = store(Lesson::Answer, &rows);
        let mut range = Range::everything(jiff::tz::TimeZone::UTC);
        (range.from, range.to) = (Some(UnixNanos(100)), Some(UnixNanos(200)));
        let found = store.names_of_addresses(&range).unwrap();
        let found: Vec<_> = found.iter().map(|(address, name)| format!("{address} {}", name.as_str())).collect();
        assert_eq!(found, ["192.0.2.2 both.test"]);
    }
}
