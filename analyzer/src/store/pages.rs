//! Pages in the store: parts of the sums, and what was learned.

use super::{Store, StoreError};
use crate::attribution::{Habits, HabitsOfSite};
use imon_common::time::UnixNanos;
use rusqlite::{Transaction, params};
use std::sync::Arc;

/// Most pairs of page and site loaded before a source: those with the greatest weight.
const MAX_PULLS: i64 = 250_000;

/// Most hosts and sites loaded likewise.
const MAX_NAMES: i64 = 60_000;

impl Store {
    /// What sources that began before `start` taught about pages; the source with `identity` itself left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn habits_before(&self, start: UnixNanos, identity: &[u8]) -> Result<Habits, StoreError> {
        let mut habits = Habits::default();
        // Of equal weights always the same ones are kept. The document is that of the source that began last.
        let mut select = self.db.prepare_cached(
            "SELECT h.name, sum(h.bursts), sum(h.context), sum(h.visits),
                    (SELECT d.document FROM habit d JOIN source t ON t.id = d.source
                     WHERE d.name = h.name AND d.document <> '' AND t.first_ns < ?1 AND t.identity <> ?2
                     ORDER BY t.first_ns DESC, t.identity DESC LIMIT 1)
             FROM habit h JOIN source s ON s.id = h.source
             WHERE s.first_ns < ?1 AND s.identity <> ?2
             GROUP BY h.name ORDER BY sum(h.bursts) + sum(h.visits) DESC, h.name LIMIT ?3",
        )?;
        let mut rows = select.query(params![start.0, identity, MAX_NAMES])?;
        while let Some(row) = rows.next()? {
            let (name, document): (Arc<str>, Option<Arc<str>>) = (row.get(0)?, row.get(4)?);
            let site = HabitsOfSite { bursts: row.get(1)?, context: row.get(2)?, visits: row.get(3)?, document };
            habits.restore_site(&name, site);
        }
        let mut select = self.db.prepare_cached(
            "SELECT h.page, h.site, sum(h.weight) AS weight
             FROM habit_pull h JOIN source s ON s.id = h.source
             WHERE s.first_ns < ?1 AND s.identity <> ?2
             GROUP BY h.page, h.site ORDER BY weight DESC, h.page, h.site LIMIT ?3",
        )?;
        let mut rows = select.query(params![start.0, identity, MAX_PULLS])?;
        while let Some(row) = rows.next()? {
            let (page, site): (Arc<str>, Arc<str>) = (row.get(0)?, row.get(1)?);
            habits.restore_pull(&page, &site, row.get(2)?);
        }
        Ok(habits)
    }
}

/// What a source taught about pages.
pub(super) fn insert_habits(tx: &Transaction<'_>, source: i64, habits: &Habits) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO habit (source, name, bursts, context, visits, document) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (name, site) in habits.sites() {
        let HabitsOfSite { bursts, context, visits, document } = site;
        insert.execute(params![source, name, bursts, context, visits, document.as_deref().unwrap_or_default()])?;
    }
    let mut insert =
        tx.prepare_cached("INSERT INTO habit_pull (source, page, site, weight) VALUES (?1, ?2, ?3, ?4)")?;
    for (page, site, weight) in habits.pulls() {
        insert.execute(params![source, page, site, weight])?;
    }
    Ok(())
}
