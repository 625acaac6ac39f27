//! Whether a file is a database of imon: found out before SQLite may write anything into it.

use super::{StoreError, sealed};
use crate::files;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// "IMON": what SQLite calls the application id of a file. Databases up to schema 7 were made
/// without it.
pub(super) const APPLICATION_ID: u32 = 0x494d_4f4e;

/// Tables of every schema so far: a database without an application id that has all of them is
/// ours.
const TABLES: [&str; 6] = ["source", "host", "endpoint", "candidate_set", "rollup", "bucket_count"];

/// First bytes of a database, and where in its header (100 bytes, big endian) the application id
/// stands: <https://www.sqlite.org/fileformat2.html>, section 1.3.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const APPLICATION_ID_AT: usize = 68;
const HEAD_BYTES: u64 = 100;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// Not there, empty, or a database without tables.
    New,
    /// A database of imon.
    Ours,
    /// A database of imon that does not say so yet.
    Unmarked,
}

/// Looks at a file; nothing is written.
///
/// # Errors
/// It cannot be read, is no database, or is one of somebody else.
pub(super) fn identify(path: &Path) -> Result<Identity, StoreError> {
    let failed = |source| StoreError::File { path: path.into(), source };
    let mut head = Vec::new();
    match files::open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return new(path),
        file => _ = file.map_err(failed)?.take(HEAD_BYTES).read_to_end(&mut head).map_err(failed)?,
    }
    if head.is_empty() {
        return new(path);
    }
    match id_in(&head) {
        None => Err(failed(io::Error::new(ErrorKind::InvalidData, "it is not a database"))),
        Some(APPLICATION_ID) => Ok(Identity::Ours),
        Some(0) => by_tables(path),
        Some(found) => Err(StoreError::NotOurs { found }),
    }
}

/// Whether a file is a copy of a database of imon, as far as it was written before a power cut: its
/// first bytes are ours, or there are none, or only zeros.
///
/// # Errors
/// It cannot be read.
pub(super) fn is_begun(path: &Path) -> io::Result<bool> {
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut head = Vec::new();
    files::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(id_in(&head) == Some(APPLICATION_ID) || head.iter().all(|byte| *byte == 0))
}

/// The application id in the head of a database; `None` if it is none.
fn id_in(head: &[u8]) -> Option<u32> {
    let id = head.get(APPLICATION_ID_AT..).and_then(|rest| rest.first_chunk()).map(|id| u32::from_be_bytes(*id));
    id.filter(|_| head.starts_with(MAGIC))
}

/// Nothing was booked here yet. SQLite would remove a journal whose database is gone or empty, and
/// it may be all that is left.
fn new(path: &Path) -> Result<Identity, StoreError> {
    match journal(path) {
        None => Ok(Identity::New),
        Some(path) => Err(StoreError::Journal { path, what: "its database is gone or empty, and a journal is left" }),
    }
}

/// The journal (WAL) beside a database, if there is anything in it.
fn journal(path: &Path) -> Option<PathBuf> {
    let wal = super::beside(path, "-wal");
    std::fs::metadata(&wal).is_ok_and(|about| about.len() > 0).then_some(wal)
}

/// Sees to it that a journal was written for this database. SQLite takes any, and would mix the
/// pages of two databases: what each calls itself has to be the same with and without it, and
/// whether that agrees with its checksum.
///
/// # Errors
/// It is that of another database; then neither of the two files is changed.
pub(super) fn check_journal(path: &Path, db: &Connection) -> Result<(), StoreError> {
    let called = |db: &Connection| {
        let sql = "SELECT value FROM about WHERE key = 'recorder'";
        let id = db.query_row(sql, [], |row| row.get::<_, Vec<u8>>(0)).ok()?;
        // An older version has no checksum.
        Some((id, sealed::is_table_good(db, "about").unwrap_or(true)))
    };
    let Some(wal) = journal(path) else { return Ok(()) };
    // What cannot be read without its journal was never written without one.
    let Some(without) = open_without_journal(path).ok().as_ref().and_then(called) else { return Ok(()) };
    db.busy_timeout(super::BUSY)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let what = match called(db) {
        Some(with) if with == without || (with.0 == without.0 && with.1) => {
            db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
            return Ok(());
        }
        Some(_) => "a journal of another database is beside it",
        None => "a journal is beside it that does not fit it",
    };
    Err(StoreError::Journal { path: wal, what })
}

fn by_tables(path: &Path) -> Result<Identity, StoreError> {
    let db = open_to_read(path)?;
    db.busy_timeout(super::BUSY)?;
    let mut select = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names = select.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    match TABLES.iter().all(|table| names.iter().any(|name| name == table)) {
        true => Ok(Identity::Unmarked),
        false if names.is_empty() => Ok(Identity::New),
        false => Err(StoreError::NotOurs { found: 0 }),
    }
}

/// Opens a database without making or changing any file.
///
/// # Errors
/// SQLite's.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let uri = uri(path);
    open_uri(if journal(path).is_some() { uri } else { uri + IMMUTABLE })
}

/// As [`open_to_read`], as if there were no journal.
fn open_without_journal(path: &Path) -> rusqlite::Result<Connection> {
    open_uri(uri(path) + IMMUTABLE)
}

fn open_uri(uri: String) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(uri, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
}

/// Tells SQLite that nobody changes the file: it makes none beside it.
const IMMUTABLE: &str = "?immutable=1";

/// A file as SQLite takes its options. A journal (WAL) that is there has to be read with it.
/// <https://www.sqlite.org/uri.html>
fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in std::path::absolute(path).unwrap_or_else(|_| path.into()).as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => uri.push(char::from(*byte)),
            // A String takes everything.
            byte => _ = write!(uri, "%{byte:02x}"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_ours_by_its_mark_or_by_its_tables() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let make = |name: &str, sql: &str| Connection::open(at(name)).unwrap().execute_batch(sql).unwrap();
        let tables: String = TABLES.iter().map(|table| format!("CREATE TABLE {table} (n);")).collect();
        make("unmarked", &tables);
        // No part of a name is a parameter.
        std::fs::copy(at("unmarked"), at("a name?mode=rw #%20\u{fc}")).unwrap();
        make("marked", &format!("PRAGMA application_id = {APPLICATION_ID}; CREATE TABLE x (n)"));
        make("empty", "PRAGMA user_version = 1; VACUUM");
        std::fs::write(at("nothing"), "").unwrap();
        for (name, identity) in [
            ("none", Identity::New),
            ("nothing", Identity::New),
            ("empty", Identity::New),
            ("unmarked", Identity::Unmarked),
            ("marked", Identity::Ours),
            ("a name?mode=rw #%20\u{fc}", Identity::Unmarked),
        ] {
            assert_eq!(identify(&at(name)).unwrap(), identity, "{name}");
        }
        make("other", "CREATE TABLE source (n); CREATE TABLE moz_places (n); PRAGMA user_version = 77");
        make("package", "PRAGMA application_id = 1196444487; CREATE TABLE x (n)");
        std::fs::write(at("text"), "some text that is longer than a header is long ".repeat(9)).unwrap();
        for name in ["other", "package", "text"] {
            let before = std::fs::read(at(name)).unwrap();
            assert!(identify(&at(name)).is_err(), "{name}");
            assert_eq!(std::fs::read(at(name)).unwrap(), before, "{name}");
        }
    }
}
