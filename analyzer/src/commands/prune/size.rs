//! `[keep] size`: what goes so that database, closed months and kept captures fit.

use crate::books::month::Month;
use crate::commands::store_error;
use crate::error::Error;
use crate::store::{KnownSource, Store, beside};
use imon_common::time::UnixNanos;
use std::collections::BTreeMap;
use std::path::Path;

/// What goes anyway.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Anyway {
    /// Sources that end before.
    pub(super) rows: Option<UnixNanos>,
    /// Kept captures that end before.
    pub(super) captures: Option<UnixNanos>,
}

/// What goes.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// Kept captures, oldest first: what is booked from them stays.
    pub(super) captures: Vec<KnownSource>,
    /// Sources that end before: whole months, oldest first.
    pub(super) before: Option<UnixNanos>,
    /// Bytes that there are now.
    pub(super) all: u64,
    /// Bytes that are too many all the same: this month and what every database has stays.
    pub(super) over: u64,
}

impl Cut {
    /// What has to go so that at most `limit` bytes are left. Months are estimated by their rows,
    /// as far as they are in the database.
    ///
    /// # Errors
    /// The database.
    pub(super) fn of(
        store: &Store,
        (database, limit): (&Path, u64),
        anyway: Anyway,
        now: UnixNanos,
    ) -> Result<Self, Error> {
        let failed = |e| store_error(database, &e);
        let len = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
        let ends_before = |source: &KnownSource, before: Option<UnixNanos>| before.is_some_and(|at| source.last < at);
        let captures = store.known_captures().map_err(failed)?;
        let captures =
            captures.into_iter().filter(|c| !ends_before(c, anyway.rows) && !ends_before(c, anyway.captures));
        let mut captures: Vec<(u64, KnownSource)> = captures.map(|c| (len(Path::new(&c.path)), c)).collect();
        captures.sort_by_key(|(_, capture)| capture.last);
        let database_bytes = len(database).saturating_add(len(&beside(database, "-wal")));
        let months = months(store, database_bytes).map_err(failed)?;
        let is_left = |month: &Month| anyway.rows.is_none_or(|before| month.instants().1 > before);
        let gone: u64 = months.iter().filter(|(month, _)| !is_left(month)).map(|(_, month)| month.open).sum();
        let closed: u64 = months.iter().filter(|(month, _)| is_left(month)).map(|(_, month)| month.closed).sum();
        let kept: u64 = captures.iter().map(|(len, _)| len).sum();
        let all = database_bytes.saturating_sub(gone).saturating_add(closed).saturating_add(kept);
        let mut cut = Self { all, over: all.saturating_sub(limit), ..Self::default() };
        for (len, capture) in captures {
            if cut.over == 0 {
                return Ok(cut);
            }
            cut.over = cut.over.saturating_sub(len);
            cut.captures.extend((len > 0).then_some(capture));
        }
        let is_over = |month: &Month| month.instants().1 <= now;
        for (month, bytes) in months.iter().filter(|(month, _)| is_left(month) && is_over(month)) {
            if cut.over == 0 {
                break;
            }
            cut.over = cut.over.saturating_sub(bytes.open).saturating_sub(bytes.closed);
            cut.before = Some(month.instants().1);
        }
        Ok(cut)
    }
}

/// Bytes of a month.
#[derive(Debug, Clone, Copy, Default)]
struct Bytes {
    /// In the database: its share by rows.
    open: u64,
    /// In files.
    closed: u64,
}

fn months(store: &Store, database_bytes: u64) -> Result<BTreeMap<Month, Bytes>, crate::store::StoreError> {
    let mut months: BTreeMap<Month, Bytes> = BTreeMap::new();
    for file in store.closed()? {
        let bytes = months.entry(file.month).or_default();
        bytes.closed = bytes.closed.saturating_add(file.len_bytes);
    }
    let mut rows: Vec<(Month, u64)> = Vec::new();
    for month in store.open_months()? {
        rows.push((month, store.open_rows(month)?));
    }
    let all: u64 = rows.iter().map(|(_, rows)| rows).sum();
    for (month, rows) in rows {
        let share = u128::from(database_bytes) * u128::from(rows) / u128::from(all.max(1));
        months.entry(month).or_default().open = u64::try_from(share).unwrap_or(u64::MAX);
    }
    Ok(months)
}
