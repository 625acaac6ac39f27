//! What other programs counted before.

use super::read::unsigned;
use super::usage::signed;
use super::{Store, StoreError, sealed};
use crate::imported::{Counted, Entry, Piece, Taking, Unit, pieces};
use rusqlite::{Connection, params};
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
        self.durably(|tx| {
            sealed::amend(tx, &["imported"], || {
                let mut known = entries(tx)?;
                for Counted { interface, entries } in counted {
                    let Taking { gone, come } = Taking::new(&known.remove(interface).unwrap_or_default(), entries);
                    take(tx, interface, (&gone, &come))?;
                }
                Ok(())
            })
        })
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
        let entries = entries(&self.db)?;
        Ok(entries.iter().flat_map(|(interface, entries)| pieces(interface, entries)).collect())
    }
}

/// Totals that are known, by interface.
fn entries(db: &Connection) -> Result<BTreeMap<String, Vec<Entry>>, StoreError> {
    let mut select = db.prepare_cached("SELECT interface, unit, from_s, to_s, down_bytes, up_bytes FROM imported")?;
    let mut rows = select.query([])?;
    let mut entries: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        // A unit of a newer version is none here.
        let Some(unit) = Unit::from_number(row.get(1)?) else { continue };
        let (down_bytes, up_bytes) = (unsigned(row.get(4)?), unsigned(row.get(5)?));
        let entry = Entry { unit, from_s: row.get(2)?, to_s: row.get(3)?, down_bytes, up_bytes };
        entries.entry(row.get(0)?).or_default().push(entry);
    }
    Ok(entries)
}

/// Removes totals, and puts others in.
fn take(tx: &Connection, interface: &str, (gone, come): (&[Entry], &[Entry])) -> Result<(), StoreError> {
    let mut delete =
        tx.prepare("DELETE FROM imported WHERE program = ?1 AND interface = ?2 AND unit = ?3 AND from_s = ?4")?;
    for Entry { unit, from_s, .. } in gone {
        delete.execute(params![VNSTAT, interface, unit.number(), from_s])?;
    }
    let mut insert = tx.prepare(
        "INSERT OR REPLACE INTO imported (program, interface, unit, from_s, to_s, down_bytes, up_bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for Entry { unit, from_s, to_s, down_bytes, up_bytes } in come {
        let amounts = [signed(*down_bytes), signed(*up_bytes)];
        insert.execute(params![VNSTAT, interface, unit.number(), from_s, to_s, amounts[0], amounts[1]])?;
    }
    Ok(())
}
