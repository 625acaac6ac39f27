//! Which names addresses had at a time.

use super::{Store, StoreError, blob};
use crate::range::Range;
use imon_common::names::Name;
use std::net::IpAddr;

/// Most names that are looked through: those of months.
const MAX_NAMES: i64 = 2_000_000;

impl Store {
    /// Names that were given for addresses in a range, by answers or inside flows, each at least
    /// once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn names_of_addresses(&self, range: &Range) -> Result<Vec<(IpAddr, Name)>, StoreError> {
        let (from, to) = (range.from.map_or(i64::MIN, |at| at.0), range.to.map_or(i64::MAX, |at| at.0));
        let mut select = self.db.prepare_cached(
            "SELECT DISTINCT address, host FROM answer WHERE last_ns >= ?1 AND first_ns < ?2
             ORDER BY address, host LIMIT ?3",
        )?;
        let mut rows = select.query([from, to, MAX_NAMES])?;
        let mut names = Vec::new();
        while let Some(row) = rows.next()? {
            let (address, host): (Vec<u8>, String) = (row.get(0)?, row.get(1)?);
            names.extend(blob::to_address(&address).zip(Name::from_presentation(&host)));
        }
        Ok(names)
    }
}
