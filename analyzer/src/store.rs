//! SQLite: what was booked, by source. The only room that knows SQL.
//!
//! Each source is one transaction and replaces what it gave before, so that ingesting twice is ingesting once and a
//! crash leaves either all of a source or nothing. Sources that are to be booked again are marked first: after a crash the
//! next ingest goes on with them.

mod blob;
mod facts;
mod pages;
mod read;
mod reverse;
mod write;

pub use facts::KnownSource;
pub use read::{SourceRow, Status};
pub use write::{NewSource, Place};

use rusqlite::Connection;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Migrations in order; `user_version` counts those that were run.
const MIGRATIONS: [&str; 7] = [
    include_str!("store/schema.sql"),
    include_str!("store/rebooking.sql"),
    include_str!("store/pages.sql"),
    include_str!("store/names.sql"),
    include_str!("store/reverse.sql"),
    include_str!("store/served.sql"),
    include_str!("store/heads.sql"),
];

/// How long to wait for another imon-analyze that writes.
const BUSY: Duration = Duration::from_secs(20);

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder of the database cannot be made.
    #[error("cannot create the folder {}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The lock file cannot be made or locked.
    #[error("cannot lock {}", .path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Written by a newer imon.
    #[error("its schema has version {found}, this imon-analyze knows {known}")]
    TooNew {
        /// Version in the file.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
    /// SQLite's own error.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    /// The file, unless it is in memory.
    path: Option<PathBuf>,
}

impl Store {
    /// Opens the database, makes it where it does not exist, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|source| StoreError::Folder { folder: folder.into(), source })?;
        }
        Self::prepare(Connection::open(path)?, Some(path.into()))
    }

    /// A store in memory, for tests.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?, None)
    }

    /// Waits until no other program books, and keeps others from it until the file is dropped. What is booked rests on what
    /// is booked already: two at a time would not see each other's sources.
    ///
    /// # Errors
    /// The lock file beside the database cannot be made.
    pub fn lock(&self) -> Result<Option<File>, StoreError> {
        let Some(path) = &self.path else { return Ok(None) };
        let mut name = path.clone().into_os_string();
        name.push("-lock");
        let lock = |path: &Path| {
            let file = File::options().create(true).append(true).open(path)?;
            file.lock()?;
            Ok(file)
        };
        let path = PathBuf::from(name);
        lock(&path).map(Some).map_err(|source| StoreError::Lock { path, source })
    }

    fn prepare(db: Connection, path: Option<PathBuf>) -> Result<Self, StoreError> {
        db.busy_timeout(BUSY)?;
        // With WAL, NORMAL cannot corrupt; a power cut may take back the last sources, which are then read again.
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        let mut store = Self { db, path };
        if store.version()? != MIGRATIONS.len() as i64 {
            // Of two programs that make a database at once, the one that changes the journal mode second would fail
            // without waiting.
            let _lock = store.lock()?;
            store.migrate()?;
        }
        Ok(store)
    }

    fn version(&self) -> Result<i64, StoreError> {
        Ok(self.db.pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    fn migrate(&mut self) -> Result<(), StoreError> {
        let (found, known) = (self.version()?, MIGRATIONS.len() as i64);
        if found > known {
            return Err(StoreError::TooNew { found, known });
        }
        self.db.pragma_update(None, "journal_mode", "WAL")?;
        let tx = self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Another process may have migrated while this one waited.
        let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        for (done, step) in (0i64..).zip(MIGRATIONS).skip_while(|(done, _)| *done < version) {
            tx.execute_batch(step)?;
            tx.pragma_update(None, "user_version", done + 1)?;
        }
        tx.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
