//! When segments recorded: rows of `recorded` and `gone`, and the timeline that follows from them.

use super::usage::signed;
use super::{Store, StoreError};
use crate::range::Range;
use crate::timeline::{Ended, Gone, Recorded, Timeline, Why};
use imon_common::observe::RunBefore;
use imon_common::time::UnixNanos;
use rusqlite::{Row, Transaction, params};

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

/// Of a recorder the segments of a window, with the one before it by its place.
const SEGMENTS: &str =
    "SELECT recorder, run, sequence, segment, before, before_sealed, boot, interface, start_ns, to_ns, ended,
        stop_requested, run_before_to_ns, run_before_flags, run_before_elapsed_ns
     FROM recorded WHERE recorder = ?1 AND sequence <= ?3
       AND sequence >= coalesce((SELECT max(sequence) FROM recorded WHERE recorder = ?1 AND sequence < ?2), ?2)
     ORDER BY sequence, segment";

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
        let ends = (range.from.map_or(i64::MIN, |at| at.0), range.to.map_or(i64::MAX, |at| at.0));
        let mut windows = self.db.prepare_cached(WINDOWS)?;
        let windows = windows.query_map(ends, |row| {
            let places: [Option<i64>; 4] = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
            Ok((row.get(0)?, places))
        })?;
        let (mut segments, mut gone) = (Vec::new(), Vec::new());
        for window in windows {
            let (recorder, places): ([u8; 16], _) = window?;
            let places = || places.into_iter().flatten();
            let (Some(first), Some(last)) = (places().min(), places().max()) else { continue };
            let mut select = self.db.prepare_cached(SEGMENTS)?;
            let rows = select.query_map(params![recorder, first, last], recorded)?;
            segments.extend(rows.collect::<Result<Vec<_>, _>>()?);
            let mut select = self.db.prepare_cached("SELECT first, segments, why FROM gone WHERE recorder = ?1")?;
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
