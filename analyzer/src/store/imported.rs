//! What other programs counted before.

use super::read::unsigned;
use super::usage::signed;
use super::{Store, StoreError, sealed};
use crate::imported::{Counted, Entry, Piece, Unit, pieces};
use rusqlite::params;
use std::collections::BTreeMap;

/// The only program so far.
const VNSTAT: &str = "vnstat";

impl Store {
    /// Takes in what vnStat counted, all or nothing. What is known of an interface and time already
    /// is replaced where the program has counted on since.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is taken in then.
    pub fn import(&mut self, counted: &[Counted]) -> Result<(), StoreError> {
        // Nobody says that it can be read again.
        self.durably(|tx| sealed::amend(tx, &["imported"], || {
            let mut insert = tx.prepare(
                "INSERT INTO imported (program, interface, unit, from_s, to_s, down_bytes, up_bytes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET to_s = excluded.to_s, down_bytes = excluded.down_bytes, up_bytes = excluded.up_bytes
                 WHERE excluded.to_s >= to_s",
            )?;
            for Counted { interface, entries } in counted {
                for Entry { unit, from_s, to_s, down_bytes, up_bytes } in entries {
                    let amounts = [signed(*down_bytes), signed(*up_bytes)];
                    insert.execute(params![VNSTAT, interface, unit.number(), from_s, to_s, amounts[0], amounts[1]])?;
                }
            }
            Ok(())
        }))
    }

    /// Forgets what was taken in of an interface; whether there was anything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_imported(&mut self, interface: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM imported WHERE interface = ?1";
        self.durably(|tx| sealed::amend(tx, &["imported"], || Ok(tx.execute(sql, [interface])? > 0)))
    }

    /// What was taken in, every byte once, by interface and time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn imported(&self) -> Result<Vec<Piece>, StoreError> {
        let mut select =
            self.db.prepare_cached("SELECT interface, unit, from_s, to_s, down_bytes, up_bytes FROM imported")?;
        let mut rows = select.query([])?;
        let mut entries: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            // A unit of a newer version is none here.
            let Some(unit) = Unit::from_number(row.get(1)?) else { continue };
            let (down_bytes, up_bytes) = (unsigned(row.get(4)?), unsigned(row.get(5)?));
            let entry = Entry { unit, from_s: row.get(2)?, to_s: row.get(3)?, down_bytes, up_bytes };
            entries.entry(row.get(0)?).or_default().push(entry);
        }
        Ok(entries.iter().flat_map(|(interface, entries)| pieces(interface, entries)).collect())
    }
}
