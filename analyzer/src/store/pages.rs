//! Pages in the store: parts of the sums, and what was learned.

use super::{Store, StoreError, many};
use crate::attribution::{Habits, HabitsOfSite};
use rusqlite::Transaction;
use std::collections::HashSet;
use std::sync::Arc;

impl Store {
    /// What all sources but `booked` (which are booked again) taught about pages.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn habits(&self, booked: &HashSet<i64>) -> Result<Habits, StoreError> {
        let mut habits = Habits::default();
        // In the order of time: the document is that of the last visit.
        let mut select = self.db.prepare_cached(
            "SELECT h.name, h.bursts, h.context, h.visits, h.document, h.source
             FROM habit h JOIN source s ON s.id = h.source ORDER BY s.first_ns, s.identity",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            if booked.contains(&row.get(5)?) {
                continue;
            }
            let (name, document): (Arc<str>, Arc<str>) = (row.get(0)?, row.get(4)?);
            let document = Some(document).filter(|host| !host.is_empty());
            let site = HabitsOfSite { bursts: row.get(1)?, context: row.get(2)?, visits: row.get(3)?, document };
            habits.restore_site(&name, site);
        }
        let mut select = self.db.prepare_cached(
            "SELECT h.page, h.site, h.weight, h.source
             FROM habit_pull h JOIN source s ON s.id = h.source ORDER BY s.first_ns, s.identity, h.page, h.site",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            if !booked.contains(&row.get(3)?) {
                let (page, site): (Arc<str>, Arc<str>) = (row.get(0)?, row.get(1)?);
                habits.restore_pull(&page, &site, row.get(2)?);
            }
        }
        Ok(habits)
    }
}

/// What a source taught about pages.
pub(super) fn insert_habits(tx: &Transaction<'_>, source: i64, habits: &Habits) -> Result<(), StoreError> {
    let mut sites: Vec<_> = habits.sites().collect();
    sites.sort_unstable_by_key(|(name, _)| *name);
    many::insert(tx, "habit (source, name, bursts, context, visits, document)", &sites, |(name, site)| {
        let HabitsOfSite { bursts, context, visits, document } = site;
        let document = document.as_deref().unwrap_or_default();
        let [bursts, context, visits] = [bursts, context, visits].map(|sum| (*sum).into());
        [source.into(), (&***name).into(), bursts, context, visits, document.into()]
    })?;
    let mut pulls: Vec<_> = habits.pulls().collect();
    pulls.sort_unstable();
    many::insert(tx, "habit_pull (source, page, site, weight)", &pulls, |(page, site, weight)| {
        [source.into(), (&***page).into(), (&***site).into(), (*weight).into()]
    })
}
