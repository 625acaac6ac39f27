//! When segments recorded: rows of `recorded` and `gone`, and the timeline that follows from them.

use super::usage::signed;
use super::{Store, StoreError};
use crate::range::Range;
use crate::timeline::{Ended, Gone, Recorded, Timeline, Why};
use imon_common::observe::RunBefore;
use imon_common::time::UnixNanos;
use rusqlite::{Row, Transaction, params, params_from_iter};

/// Flags of the run before, as the segment format has them.
const FLAGS: [i64; 4] = [1, 2, 4, 8];

/// Places of the segments of each recorder that a range needs: the last one that begins before it,
/// those that begin in it, the first one after it. By the index alone: of years of segments a
/// report of a day looks at a few.
const WINDOWS: &str = "WITH RECURSIVE one (recorder) AS (
        SELECT min(recorder) FROM recorded
        UNION ALL SELECT (SELECT min(recorder) FROM recorded r WHERE r.recorder > one.recorder) FROM one
        WHERE one.recorder IS NOT NULL)
     SELECT recorder,
        (SELECT sequence FROM recorded r WHERE r.recorder = one.recorder AND start_ns < ?1 ORDER BY start_ns DESC LIMIT 1),
        (SELECT min(+sequence) FROM recorded r WHERE r.recorder = one.recorder AND start_ns >= ?1 AND start_ns < ?2),
        (SELECT max(+sequence) FROM recorded r WHERE r.recorder = one.recorder AND start_ns >= ?1 AND start_ns < ?2),
        (SELECT sequence FROM recorded r WHERE r.recorder = one.recorder AND start_ns >= ?2 ORDER BY start_ns LIMIT 1)
     FROM one WHERE recorder IS NOT NULL";

/// Of a recorder the segments of a window, with the one before it by its place. The index leads to
/// them, and what they are stands in the rows, which have checksums: an index has none.
const SEGMENTS: &str =
    "SELECT r.recorder, r.run, r.sequence, r.segment, r.before, r.before_sealed, r.boot, r.interface, r.start_ns, r.to_ns,
        r.ended, r.stop_requested, r.run_before_to_ns, r.run_before_flags, r.run_before_elapsed_ns
     FROM recorded AS i INDEXED BY recorded_sequence JOIN recorded AS r NOT INDEXED ON r.source = i.source
     WHERE i.recorder = ?1 AND i.sequence <= ?3
       AND i.sequence >= coalesce((SELECT max(sequence) FROM recorded WHERE recorder = ?1 AND sequence < ?2), ?2)
       AND r.recorder = i.recorder AND r.sequence = i.sequence
     ORDER BY r.sequence, r.segment";

/// Whether both indexes lead to a row. Which row an entry leads to is asked of the entry: one with
/// another number behind it would be found by that of the row all the same.
const IS_FOUND: &str = "SELECT
    coalesce((SELECT max(source = ?1) FROM recorded INDEXED BY recorded_sequence WHERE recorder = ?2 AND sequence = ?3), 0)
    AND coalesce((SELECT max(source = ?1) FROM recorded INDEXED BY recorded_time
                  WHERE recorder = ?2 AND start_ns = ?4 AND to_ns = ?5 AND sequence = ?3), 0)";

/// Segments of a recorder that are gone. By the rows, likewise.
const GONE: &str = "SELECT first, segments, why FROM gone NOT INDEXED WHERE recorder = ?1";

pub(super) fn insert(
    tx: &Transaction<'_>,
    source: i64,
    recorded: Option<&Recorded>,
    gone: &[Gone],
) -> Result<(), StoreError> {
    if let Some(r) = recorded {
        let flags = r.run_before.map(flags_of);
        tx.prepare_cached(
            "INSERT INTO recorded (source, recorder, run, sequence, segment, before, before_sealed, boot, interface, start_ns,
                                   to_ns, ended, stop_requested, run_before_to_ns, run_before_flags, run_before_elapsed_ns)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            source,
            r.recorder,
            r.run,
            signed(r.sequence),
            r.segment,
            r.before,
            r.before_sealed,
            r.boot,
            r.interface,
            r.start.0,
            r.to.0,
            r.ended.word(),
            r.stop_requested,
            r.run_before.map(|b| b.to.0),
            flags,
            r.run_before.and_then(|b| b.elapsed_ns),
        ])?;
    }
    for gone in gone {
        let Gone { recorder, first, segments, why } = *gone;
        tx.prepare_cached("INSERT INTO gone (source, recorder, first, segments, why) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![source, recorder, signed(first), signed(segments), why as u8])?;
    }
    Ok(())
}

/// Before a source is pruned: that it was, and what it says of others, stays known.
pub(super) fn prune(tx: &Transaction<'_>, source: i64) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE gone SET source = NULL WHERE source = ?1")?.execute([source])?;
    tx.prepare_cached(
        "INSERT INTO gone (recorder, first, segments, why) SELECT recorder, sequence, 1, ?2 FROM recorded WHERE source = ?1",
    )?
    .execute(params![source, Why::Pruned as u8])?;
    Ok(())
}

impl Store {
    /// When was recorded in a range, and when not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn timeline(&self, range: &Range) -> Result<Timeline, StoreError> {
        let (mut segments, mut gone) = (Vec::new(), Vec::new());
        for (recorder, first, last) in self.windows(range)? {
            let mut select = self.db.prepare_cached(SEGMENTS)?;
            let rows = select.query_map(params![recorder, first, last], recorded)?;
            segments.extend(rows.collect::<Result<Vec<_>, _>>()?);
            let mut select = self.db.prepare_cached(GONE)?;
            let mut rows = select.query([recorder])?;
            while let Some(row) = rows.next()? {
                // A reason of a newer version is none here.
                let Some(why) = Why::from_number(row.get(2)?) else { continue };
                let number = |value: i64| u64::try_from(value).unwrap_or_default();
                gone.push(Gone { recorder, first: number(row.get(0)?), segments: number(row.get(1)?), why });
            }
        }
        Ok(Timeline::of(&segments, &gone))
    }

    /// Each recorder, with the first and last place that a range needs.
    fn windows(&self, range: &Range) -> Result<Vec<([u8; 16], i64, i64)>, StoreError> {
        let mut select = self.db.prepare_cached(WINDOWS)?;
        let rows = select.query_map(ends(range), |row| {
            let places: [Option<i64>; 4] = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
            Ok((row.get(0)?, places))
        })?;
        let mut windows = Vec::new();
        for row in rows {
            let (recorder, places): ([u8; 16], _) = row?;
            let places = || places.into_iter().flatten();
            windows.extend(places().min().zip(places().max()).map(|(first, last)| (recorder, first, last)));
        }
        Ok(windows)
    }

    /// Whether the indexes lead [`Self::timeline`] to when these sources recorded: one by one, or
    /// those that a statement gives. `which`: a condition on `source`, and what stands in it.
    pub(super) fn is_recorded_found(&self, which: &str, params: &[i64]) -> Result<bool, StoreError> {
        let sql = format!(
            "SELECT source, recorder, sequence, start_ns, to_ns FROM recorded NOT INDEXED WHERE source {which}"
        );
        let mut select = self.db.prepare_cached(&sql)?;
        let mut is_found = self.db.prepare_cached(IS_FOUND)?;
        let mut rows = select.query(params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            let recorder: Vec<u8> = row.get(1)?;
            let numbers: [i64; 4] = [row.get(0)?, row.get(2)?, row.get(3)?, row.get(4)?];
            let [source, sequence, start, to] = numbers;
            if !is_found.query_row(params![source, recorder, sequence, start, to], |row| row.get::<_, bool>(0))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the indexes of it anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn index_recorded(&self) -> Result<(), StoreError> {
        Ok(self.db.execute_batch("REINDEX recorded; REINDEX gone")?)
    }
}

/// Where a range begins and ends, in nanoseconds.
pub(super) fn ends(range: &Range) -> (i64, i64) {
    (range.from.map_or(i64::MIN, |at| at.0), range.to.map_or(i64::MAX, |at| at.0))
}

/// Flags of the run before, as their column has them.
pub fn flags_of(b: RunBefore) -> i64 {
    let set = [b.requested, b.sealed, b.rebooted, b.failed];
    set.into_iter().zip(FLAGS).filter(|(set, _)| *set).map(|(_, flag)| flag).sum()
}

/// What a segment says of the run before, as its columns have it.
pub fn recorded_flags(to: Option<i64>, flags: Option<i64>, elapsed_ns: Option<i64>) -> Option<RunBefore> {
    to.zip(flags).map(|(to, flags)| {
        let [requested, sealed, rebooted, failed] = FLAGS.map(|flag| flags & flag != 0);
        RunBefore { to: UnixNanos(to), requested, sealed, rebooted, failed, elapsed_ns }
    })
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let (to, flags): (Option<i64>, Option<i64>) = (row.get(12)?, row.get(13)?);
    let elapsed_ns = row.get(14)?;
    let run_before = recorded_flags(to, flags, elapsed_ns);
    let sequence: i64 = row.get(2)?;
    let ended: String = row.get(10)?;
    Ok(Recorded {
        recorder: row.get(0)?,
        run: row.get(1)?,
        sequence: u64::try_from(sequence).unwrap_or_default(),
        segment: row.get(3)?,
        before: row.get(4)?,
        before_sealed: row.get(5)?,
        boot: row.get(6)?,
        interface: row.get(7)?,
        start: UnixNanos(row.get(8)?),
        to: UnixNanos(row.get(9)?),
        ended: Ended::of_word(&ended),
        stop_requested: row.get(11)?,
        run_before,
        followed_by: 0,
    })
}
