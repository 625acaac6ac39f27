//! A database of an older schema is brought up to date: a copy of what it was stays beside it, and
//! what it holds is the same before and after.
//!
//! It is changed where it is, in one transaction. A new file that took its place would leave a
//! reader of the old one with the journal of the new one.

use super::read::unsigned;
use super::write::vacuum_into;
use super::{MIGRATIONS, StoreError, beside};
use crate::files;
use rusqlite::Connection;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// What stands between the name of a database and the version of a copy of it.
const OLD: &str = "-schema-";

/// That a database was brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// Version that its schema had.
    pub from: i64,
    /// The copy of what it was; `None` where there was no room for one.
    pub kept: Option<PathBuf>,
    /// Bytes that the copy and the change need.
    pub needed: u64,
}

/// Copies of a database from before its schema was changed, with their versions.
pub fn old_copies(database: &Path) -> Vec<(i64, PathBuf)> {
    let real = files::real(database);
    let copy = |version: i64| (version, beside(&real, &format!("{OLD}{version}")));
    (1..MIGRATIONS.len() as i64).map(copy).filter(|(_, path)| path.symlink_metadata().is_ok()).collect()
}

/// Keeps a copy of a database whose schema is about to be changed, where there is room for both.
pub(super) fn keep(db: &Connection, database: &Path, from: i64) -> Result<Upgrade, StoreError> {
    let number = |name| db.pragma_query_value(None, name, |row| row.get(0).map(unsigned));
    let len = number("page_count")?.saturating_mul(number("page_size")?);
    // The copy, and the journal of a change of all pages.
    let needed = len.saturating_mul(2);
    let room = database.parent().map(room_in).unwrap_or(Ok(0)).unwrap_or(0);
    if room < needed {
        return Ok(Upgrade { from, kept: None, needed });
    }
    let kept = beside(database, &format!("{OLD}{from}"));
    let part = beside(database, &format!("{OLD}{from}.part"));
    let copied = copy(db, &part, &kept).map_err(|(path, source)| StoreError::File { path, source });
    if copied.is_err() {
        _ = std::fs::remove_file(&part);
    }
    copied?;
    Ok(Upgrade { from, kept: Some(kept), needed })
}

fn copy(db: &Connection, part: &Path, kept: &Path) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |e: io::Error| (path, e)
    };
    // One that was cut short.
    match std::fs::remove_file(part) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at(part)(e)),
        _ => {}
    }
    files::create_new(part).map_err(at(part))?;
    vacuum_into(db, part).map_err(io::Error::other).map_err(at(part))?;
    // It is on the disk before the database changes.
    File::open(part).and_then(|file| file.sync_all()).map_err(at(part))?;
    std::fs::rename(part, kept).map_err(at(kept))?;
    let folder = files::folder_of(kept);
    files::sync_folder(folder).map_err(at(folder))
}

/// Bytes that are free for who asks.
#[allow(clippy::useless_conversion)] // 32 bits elsewhere
fn room_in(folder: &Path) -> io::Result<u64> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let about = nix::sys::statvfs::statvfs(folder)?;
    Ok(u64::from(about.blocks_available()).saturating_mul(u64::from(about.fragment_size())))
}

/// What a database holds, in numbers that no change of its schema changes: rows, and amounts by
/// their lower and upper halves, as no sum of halves is too large.
pub(super) fn held(db: &Connection) -> Result<Vec<Option<i64>>, StoreError> {
    const HALVES: [(&str, &[&str]); 2] = [
        ("rollup", &["up_bytes", "down_bytes", "up_packets", "down_packets"]),
        ("bucket_count", &["packets", "bytes"]),
    ];
    let mut held = vec![Some(db.query_row("SELECT count(*) FROM source", [], |row| row.get(0))?)];
    for (table, columns) in HALVES {
        let halves = |column: &&str| format!("sum({column} & 0xffffffff), sum({column} >> 32)");
        let sums = columns.iter().map(halves).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT count(*), {sums} FROM {table}");
        let numbers = 0..=columns.len() * 2;
        let row = |row: &rusqlite::Row<'_>| numbers.map(|i| row.get(i)).collect::<Result<Vec<Option<i64>>, _>>();
        held.extend(db.query_row(&sql, [], row)?);
    }
    Ok(held)
}
