//! Pages in the store: parts of the sums, and what was learned.

use super::{Store, StoreError, many};
use crate::attribution::{Habits, HabitsOfSite};
use imon_common::time::UnixNanos;
use rusqlite::Transaction;
use std::collections::HashSet;
use std::sync::Arc;

impl Store {
    /// What sources that reach to `since` and begin before `until` taught about pages, but for
    /// `booked` (which are booked again): by the day on which they did.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn habits(&self, booked: &HashSet<i64>, since: UnixNanos, until: UnixNanos) -> Result<Habits, StoreError> {
        let mut habits = Habits::default();
        // In the order of time: the document is that of the last visit.
        let mut select = self.db.prepare_cached(
            "SELECT h.name, h.bursts, h.context, h.visits, h.document, h.source, h.day
             FROM source s JOIN habit h ON h.source = s.id WHERE s.last_ns >= ?1 AND s.first_ns < ?2
             ORDER BY s.first_ns, s.identity",
        )?;
        let mut rows = select.query([since.0, until.0])?;
        while let Some(row) = rows.next()? {
            if booked.contains(&row.get(5)?) {
                continue;
            }
            let (name, document): (Arc<str>, Arc<str>) = (row.get(0)?, row.get(4)?);
            let document = Some(document).filter(|host| !host.is_empty());
            let site = HabitsOfSite { bursts: row.get(1)?, context: row.get(2)?, visits: row.get(3)?, document };
            habits.restore_site(row.get(6)?, &name, site);
        }
        let mut select = self.db.prepare_cached(
            "SELECT h.page, h.site, h.weight, h.source, h.day
             FROM source s JOIN habit_pull h ON h.source = s.id WHERE s.last_ns >= ?1 AND s.first_ns < ?2
             ORDER BY s.first_ns, s.identity, h.page, h.site",
        )?;
        let mut rows = select.query([since.0, until.0])?;
        while let Some(row) = rows.next()? {
            if !booked.contains(&row.get(3)?) {
                let (page, site): (Arc<str>, Arc<str>) = (row.get(0)?, row.get(1)?);
                habits.restore_pull(row.get(4)?, &page, &site, row.get(2)?);
            }
        }
        Ok(habits)
    }
}

/// What a source taught about pages.
pub(super) fn insert_habits(tx: &Transaction<'_>, source: i64, habits: &Habits) -> Result<(), StoreError> {
    let mut sites: Vec<_> = habits.sites().collect();
    sites.sort_unstable_by_key(|(day, name, _)| (*day, *name));
    many::insert(tx, "habit (source, day, name, bursts, context, visits, document)", &sites, |(day, name, site)| {
        let HabitsOfSite { bursts, context, visits, document } = site;
        let document = document.as_deref().unwrap_or_default();
        let [bursts, context, visits] = [bursts, context, visits].map(|sum| (*sum).into());
        [source.into(), (*day).into(), (&***name).into(), bursts, context, visits, document.into()]
    })?;
    let mut pulls: Vec<_> = habits.pulls().collect();
    pulls.sort_unstable();
    many::insert(tx, "habit_pull (source, day, page, site, weight)", &pulls, |(day, page, site, weight)| {
        [source.into(), (*day).into(), (&***page).into(), (&***site).into(), (*weight).into()]
    })
}
