//! Answers of reverse lookups, kept until they expire.

use super::{Store, StoreError, blob, sealed};
use crate::resolve::Answer;
use imon_common::names::Name;
use rusqlite::{TransactionBehavior, params};
use std::collections::HashMap;
use std::net::IpAddr;

impl Store {
    /// Answers that have not expired at `now_s` (Unix seconds); `None`: the address has no name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reverse_names(&self, now_s: i64) -> Result<HashMap<IpAddr, Option<Name>>, StoreError> {
        // What is damaged is asked for again.
        if !sealed::is_table_good(&self.db, "reverse_name")? {
            return Ok(HashMap::new());
        }
        let mut select = self.db.prepare_cached("SELECT address, name FROM reverse_name WHERE expires_s > ?1")?;
        let mut rows = select.query([now_s])?;
        let mut names = HashMap::new();
        while let Some(row) = rows.next()? {
            let (address, name): (Vec<u8>, String) = (row.get(0)?, row.get(1)?);
            if let Some(address) = blob::to_address(&address) {
                names.insert(address, Name::from_presentation(&name));
            }
        }
        Ok(names)
    }

    /// Keeps answers of `now_s`, and drops those that have expired.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is kept then.
    pub fn keep_reverse_names(&mut self, answers: &HashMap<IpAddr, Answer>, now_s: i64) -> Result<(), StoreError> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !sealed::is_table_good(&tx, "reverse_name")? {
            sealed::amend(&tx, &["reverse_name"], || Ok(tx.execute("DELETE FROM reverse_name", []).map(drop)?))?;
        }
        sealed::amend(&tx, &["reverse_name"], || {
            tx.execute("DELETE FROM reverse_name WHERE expires_s <= ?1", [now_s])?;
            for (address, Answer { name, ttl_s }) in answers {
                let name = name.as_ref().map_or("", Name::as_str);
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO reverse_name (address, name, expires_s) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![
                    blob::of_address(*address),
                    name,
                    now_s.saturating_add((*ttl_s).into())
                ])?;
            }
            Ok(())
        })?;
        tx.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_until_they_expire() {
        let mut store = Store::in_memory().unwrap();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let name = Name::from_host(b"host.example.org");
        let answers = HashMap::from([
            (address("8.7.6.5"), Answer { name: name.clone(), ttl_s: 900 }),
            (address("2600::1"), Answer { name: None, ttl_s: 300 }),
        ]);
        store.keep_reverse_names(&answers, 1_000).unwrap();
        let all = HashMap::from([(address("8.7.6.5"), name.clone()), (address("2600::1"), None)]);
        assert_eq!(store.reverse_names(1_299).unwrap(), all);
        assert_eq!(store.reverse_names(1_300).unwrap(), HashMap::from([(address("8.7.6.5"), name)]));
        store.keep_reverse_names(&HashMap::new(), 1_900).unwrap();
        assert_eq!(store.reverse_names(0).unwrap(), HashMap::new(), "gone, not hidden");
    }
}
