//! SQLite: what was booked, by source. The only room that knows SQL.
//!
//! Each source is one transaction and replaces what it gave before, so that ingesting twice is
//! ingesting once and a crash leaves either all of a source or nothing. Sources that are to be
//! booked again are marked first: after a crash the next ingest goes on with them.

mod about;
mod blob;
mod capture;
mod chunks;
mod facts;
mod identity;
mod imported;
mod many;
mod months;
mod pages;
mod read;
mod recorded;
mod removed;
mod reverse;
mod sealed;
mod sums;
mod taught;
mod upgrade;
mod usage;
mod wait;
mod write;

pub use about::SourceFact;
pub use capture::{CaptureFacts, Chain};
pub use chunks::Take;
pub use facts::KnownSource;
pub use months::{ClosedFile, Devices};
pub(crate) use read::listed;
pub use read::{Snapshot, SourceRow, Status, label_of, seconds_of};
pub use recorded::{flags_of, recorded_flags};
pub use removed::{Forgotten, Gone};
pub use sealed::Fault;
pub use taught::{Lesson, Taught};
pub use upgrade::{Upgrade, old_copies};
pub use wait::{Holder, Wait, lock as lock_file, tell_waits};
pub use write::{NewSource, Place};

use crate::files;
use identity::{APPLICATION_ID, Identity, identify};
use rusqlite::Connection;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wait::BUSY;

/// Migrations in order; `user_version` counts those that were run.
const MIGRATIONS: [&str; 15] = [
    include_str!("store/schema.sql"),
    include_str!("store/rebooking.sql"),
    include_str!("store/pages.sql"),
    include_str!("store/names.sql"),
    include_str!("store/reverse.sql"),
    include_str!("store/served.sql"),
    include_str!("store/heads.sql"),
    // One version, a file for each topic.
    concat!(include_str!("store/captures.sql"), include_str!("store/recorded.sql")),
    include_str!("store/interfaces.sql"),
    include_str!("store/months.sql"),
    include_str!("store/removed.sql"),
    include_str!("store/imported.sql"),
    include_str!("store/windows.sql"),
    include_str!("store/sealed.sql"),
    include_str!("store/taught.sql"),
];

/// The version from which on what stands beside the sums has checksums.
const SEALED: i64 = 14;

/// The version from which on what sources taught is packed.
const PACKED: i64 = 15;

/// Statements that are kept ready: a source takes some thirty, again and again.
const STATEMENTS: usize = 64;

/// What the names of the files beside a database add to its own: SQLite's, our lock, and what
/// `alert` has told.
pub const BESIDE: [&str; 5] = ["-wal", "-shm", "-journal", "-lock", "-alerts"];

/// The name of a file beside a database.
pub fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}

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
    /// The file, or one beside it, cannot be used.
    #[error("cannot use {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another program books, and does not come to an end.
    #[error("{} is held by {}, for {} s so far", .path.display(),
        .holder.map_or_else(|| "another program".to_owned(), |holder| holder.to_string()), .waited.as_secs())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, where that is known.
        holder: Option<Holder>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A journal that belongs to another database, or whose database is gone.
    #[error("{what}: {}", .path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A database of another program.
    #[error("it is a database of another program: its application id is {found:#x}, and it has not the tables of imon")]
    NotOurs {
        /// Its application id.
        found: u32,
    },
    /// Written by a newer imon.
    #[error("its schema has version {found}, this imon-analyze knows {known}")]
    TooNew {
        /// Version in the file.
        found: i64,
        /// Newest version known here.
        known: i64,
    },
    /// A change of the schema changed what it holds: nothing was changed then.
    #[error("its schema of version {from} cannot be brought up to date: the sums would not be the same")]
    Changed {
        /// Version in the file.
        from: i64,
    },
    /// What was read is not what was written.
    #[error("what {path} gave for {} does not agree with its checksum: the file is damaged", crate::range::utc_bucket(*.bucket_s))]
    Damaged {
        /// Start of the bucket in Unix seconds.
        bucket_s: i64,
        /// Where the source was read from; empty if nobody knows.
        path: String,
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
    /// Files of ours that others could read, and the mode that each had.
    tightened: Vec<(PathBuf, u32)>,
    /// Its schema was changed when it was opened.
    upgraded: Option<Upgrade>,
    /// While something is removed: what agreed with its checksum before.
    good: Option<sealed::Good>,
}

impl Store {
    /// Opens the database, makes it where it does not exist, and brings its schema up to date. What
    /// is made is private, or its group's ([`files`]); what imon made with another mode gets that
    /// one.
    ///
    /// # Errors
    /// [`StoreError`]; a file that is no database of ours is not touched.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // It says where things are that it keeps, and says it in text.
        if std::path::absolute(path).is_ok_and(|path| path.to_str().is_none()) {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidFilename, "its name is no text in UTF-8");
            return Err(StoreError::File { path: path.into(), source });
        }
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            files::make_folder(folder).map_err(|source| StoreError::Folder { folder: folder.into(), source })?;
        }
        // SQLite opens these by name, and writes into them: beside that to which a link leads.
        let check = |path: PathBuf| files::check_own(&path).map_err(|source| StoreError::File { path, source });
        check(path.into())?;
        let path = &*files::real(path);
        for suffix in [""].into_iter().chain(BESIDE) {
            check(beside(path, suffix))?;
        }
        let identity = identify(path)?;
        if identity == Identity::New && !path.exists() {
            match files::create_new(path) {
                Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(StoreError::File { path: path.into(), source });
                }
                _ => {}
            }
        }
        let mut tightened = Vec::new();
        for suffix in [""].into_iter().chain(BESIDE) {
            let path = beside(path, suffix);
            // What belongs to somebody else is his to change; a file system without modes has none.
            if let Ok(Some(was)) = files::tighten(&path) {
                tightened.push((path, was));
            }
        }
        // From the root on: a name that begins with `file:` would be taken for a URI.
        let db = Connection::open(std::path::absolute(path).unwrap_or_else(|_| path.into()))?;
        // What SQLite sorts or packs lies beside the database, in files without a name: in the
        // folder for temporary files of everybody it would be others' to fill, and the sandbox has
        // only this one.
        let folder = path.canonicalize().ok().and_then(|path| Some(path.parent()?.to_str()?.to_owned()));
        if let Some(folder) = folder {
            // Who may only read the folder sorts elsewhere.
            _ = db.pragma_update(None, "temp_store_directory", folder);
        }
        if identity == Identity::Ours {
            identity::check_journal(path, &db)?;
        }
        let store = Self::prepare(db, Some(path.into()))?;
        if identity == Identity::Unmarked {
            // Who may only read goes on without.
            _ = store.db.pragma_update(None, "application_id", APPLICATION_ID);
        }
        Ok(Self { tightened, ..store })
    }

    /// Whether nothing was ever booked under this name: there is no file, or one without anything
    /// in it.
    ///
    /// # Errors
    /// [`StoreError`]; it cannot be read, or is of somebody else.
    pub fn is_absent(path: &Path) -> Result<bool, StoreError> {
        files::check_own(path).map_err(|source| StoreError::File { path: path.into(), source })?;
        Ok(identify(&files::real(path))? == Identity::New)
    }

    /// Brings what was booked to the disk: a power cut takes nothing of it back.
    ///
    /// # Errors
    /// The journal cannot be synced.
    pub fn sync(&self) -> std::io::Result<()> {
        // SQLite has no lock on its journal that closing it here could release.
        match self.path.as_ref().map(|path| files::open(&beside(path, "-wal"))) {
            Some(Ok(journal)) => journal.sync_all(),
            Some(Err(e)) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Whether a file is a copy of a database of ours that was begun, however much of it is there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_begun(path: &Path) -> std::io::Result<bool> {
        identity::is_begun(path)
    }

    /// The file, unless it is in memory.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Opens a database for reading only: nothing is made, changed or brought up to date. `None`
    /// where there is none, or one of an older version, which a command that may write brings up to
    /// date.
    ///
    /// # Errors
    /// [`StoreError`]; it is of a newer version, or of somebody else.
    pub fn read_only(path: &Path) -> Result<Option<Self>, StoreError> {
        if identify(path)? != Identity::Ours {
            return Ok(None);
        }
        let db = identity::open_to_read(path)?;
        db.busy_timeout(BUSY)?;
        let store = Self { db, path: Some(path.into()), tightened: Vec::new(), upgraded: None, good: None };
        identity::check_journal(path, &store.db)?;
        match store.version()? {
            known if known == MIGRATIONS.len() as i64 => Ok(Some(store)),
            older if older < MIGRATIONS.len() as i64 => Ok(None),
            found => Err(StoreError::TooNew { found, known: MIGRATIONS.len() as i64 }),
        }
    }

    /// Files of ours that others could read until now, and the mode that each had.
    pub fn tightened(&self) -> &[(PathBuf, u32)] {
        &self.tightened
    }

    /// That its schema was changed when it was opened.
    pub fn upgraded(&self) -> Option<&Upgrade> {
        self.upgraded.as_ref()
    }

    /// A store in memory, for tests.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?, None)
    }

    /// Waits until no other program books, and keeps others from it until the file is dropped. What
    /// is booked rests on what is booked already: two at a time would not see each other's sources.
    ///
    /// # Errors
    /// The lock file beside the database cannot be made, or another program holds it and does not
    /// come to an end.
    pub fn lock(&self) -> Result<Option<File>, StoreError> {
        self.path.as_ref().map(|path| wait::lock(&beside(path, "-lock"))).transpose()
    }

    fn prepare(mut db: Connection, path: Option<PathBuf>) -> Result<Self, StoreError> {
        db.busy_handler(Some(wait::busy))?;
        // With WAL, NORMAL cannot corrupt; a power cut may take back the last sources, which are
        // then read again.
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        let mut store = Self { db, path, tightened: Vec::new(), upgraded: None, good: None };
        if store.version()? != MIGRATIONS.len() as i64 {
            // Of two programs that make a database at once, the one that changes the journal mode
            // second would fail without waiting.
            let _lock = store.lock()?;
            store.upgraded = store.migrate()?;
        }
        Ok(store)
    }

    fn version(&self) -> Result<i64, StoreError> {
        Ok(self.db.pragma_query_value(None, "user_version", |row| row.get(0))?)
    }

    fn migrate(&mut self) -> Result<Option<Upgrade>, StoreError> {
        let (found, known) = (self.version()?, MIGRATIONS.len() as i64);
        if found > known {
            return Err(StoreError::TooNew { found, known });
        }
        if found == 0 {
            // Before the first page, or it has no effect: rows that leave give their room back.
            self.db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        }
        let path = self.path.as_deref().filter(|_| found > 0 && found < known);
        let upgrade = path.map(|path| upgrade::keep(&self.db, path, found)).transpose()?;
        // Before there is a WAL: whose file it is stands in the file itself.
        self.db.pragma_update(None, "application_id", APPLICATION_ID)?;
        self.db.pragma_update(None, "journal_mode", "WAL")?;
        let tx = self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Another process may have migrated while this one waited.
        let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let before = if version > 0 { upgrade::held(&tx)? } else { Vec::new() };
        for (done, step) in (0i64..).zip(MIGRATIONS).skip_while(|(done, _)| *done < version) {
            tx.execute_batch(step)?;
            if done + 1 == PACKED {
                sealed::pack_taught(&tx)?;
            }
            tx.pragma_update(None, "user_version", done + 1)?;
        }
        if version > 0 && upgrade::held(&tx)? != before {
            return Err(StoreError::Changed { from: version });
        }
        if version < SEALED {
            sealed::everything(&tx)?;
        }
        tx.commit()?;
        Ok(upgrade)
    }
}

#[cfg(test)]
mod tests;
