//! Errors of the rooms below, told with what to do next.

use super::complain;
use crate::archive::{ArchiveError, Folder, Hole};
use crate::error::{Error, shown};
use crate::files;
use crate::ingest::{IngestError, captures_of, find};
use crate::input::InputError;
use crate::say::note;
use crate::store::{Fault, StoreError, beside};
use crate::table::units::counted;
use imon_common::capture_file::CaptureFileError;
use std::io;
use std::path::Path;

/// Damaged parts that are told one by one.
const NAMED_FAULTS: usize = 3;

/// A source of which a part could not be read.
pub fn partly(path: &Path, skipped: &str) -> Error {
    Error::failed(format!("part of {} was skipped", shown(&path.to_string_lossy())))
        .cause(skipped)
        .hint("everything else in it is counted")
}

/// An error about a source, with a hint where there is a next step.
pub fn ingest_error(path: &Path, doing: &str, error: &IngestError) -> Error {
    let told = Error::failed(format!("cannot {doing} {}", shown(&path.to_string_lossy())));
    // The path stands in the line above.
    let told = match error {
        IngestError::Input(InputError::Open { source, .. } | InputError::Read { source, .. }) => told.because(source),
        _ => told.because(error),
    };
    match error {
        IngestError::Input(InputError::Open { source, .. }) if is_shut_out(path, source) => {
            told.hint("it is a link that leads out of what this command may read: name the file itself")
        }
        IngestError::Input(InputError::Open { source, .. } | InputError::Read { source, .. }) => {
            told.hint_for(path, source)
        }
        IngestError::Header(_) => told.hint("`imon-analyze check` tells more about a segment"),
        IngestError::Capture(CaptureFileError::Cut { .. }) => {
            told.hint("the capture was cut before its first packet ended; is it still being written?")
        }
        _ => for_room(told, path, error),
    }
}

/// Tells where to look when there is no room on the disk, or when SQLite says no more than that a
/// file cannot be opened or written.
pub(super) fn for_room(told: Error, path: &Path, error: &(dyn std::error::Error + 'static)) -> Error {
    use rusqlite::ErrorCode::{CannotOpen, DiskFull, SystemIoFailure};
    use rusqlite::ffi;
    let folder = shown(&files::folder_of(path).to_string_lossy());
    let again = "what is booked is whole, and the same command goes on";
    for error in std::iter::successors(Some(error), |error| error.source()) {
        match (error.downcast_ref::<io::Error>(), error.downcast_ref::<ffi::Error>().map(|error| error.code)) {
            (Some(error), _) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {}
            (_, Some(DiskFull | SystemIoFailure)) => {}
            (_, Some(CannotOpen)) => {
                return told.hint(format!(
                    "`ls -ld {folder}` shows who may write there, and `df {folder}` how much room there is; {again} then"
                ));
            }
            _ => continue,
        }
        return told.hint(format!("`df {folder}` shows how much room there is; {again} when there is some"));
    }
    told
}

/// An error of a booking as a whole: what is wrong is mostly the database.
pub(super) fn booking_error(database: &Path, error: &IngestError) -> Error {
    match error {
        IngestError::Store(error) => store_error(database, error),
        IngestError::Archive(error) => archive_error(database, error),
        error => ingest_error(database, "write", error),
    }
}

/// Whether a link leads to a file that this command may not read.
fn is_shut_out(path: &Path, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && path.is_symlink()
}

/// There is no database where one is looked for.
pub fn no_database(database: &Path) -> Error {
    let failed = Error::failed(format!("there is no database {}", shown(&database.to_string_lossy())));
    let failed = if database.exists() { failed.cause("the file is empty") } else { failed };
    match months_of(database) {
        (0, _) => failed.hint("`imon-analyze ingest` makes it; --database FILE names another"),
        (files, folder) => failed.hint(format!(
            "{folder} has {} of its closed months: `imon-analyze rebuild --from-books` makes it of them",
            counted(files as u64, "file")
        )),
    }
}

/// An error of the store.
pub fn store_error(database: &Path, error: &StoreError) -> Error {
    let told = Error::failed(format!("cannot use the database {}", shown(&database.to_string_lossy()))).because(error);
    match error {
        StoreError::TooNew { .. } => told.hint("use the newer imon-analyze, or another file with --database"),
        StoreError::Damaged { .. } => told.hint(format!(
            "`imon-analyze rebuild` books all again from the segments and kept captures; where that fails, {}. \
             `imon-analyze check {}` says which months are good",
            way_back(database),
            shown(&database.to_string_lossy())
        )),
        StoreError::Journal { .. } => told.hint(format!(
            "nothing was changed. If the journal came here by mistake, move it away; else {}",
            way_back(database)
        )),
        StoreError::Sql(error) if error.sqlite_error_code().is_some_and(is_damage) => {
            told.hint(format!("it is damaged: {}", way_back(database)))
        }
        StoreError::Held { .. } => told.hint("what it has booked counts; run this again when it is over"),
        StoreError::File { path, source } | StoreError::Folder { folder: path, source } => {
            file_hint(told, (database, path), source)
        }
        StoreError::Sql(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly) => {
            let folder = shown(&files::folder_of(database).to_string_lossy());
            told.hint(format!(
                "`ls -ld {folder}` shows who may write there, and every command does; a copy of the folder elsewhere \
                 can be reported on"
            ))
        }
        StoreError::NotOurs { .. } | StoreError::Lock { .. } | StoreError::Sql(_) => {
            for_room(told.hint("--database FILE chooses another file"), database, error)
        }
        StoreError::Changed { .. } => {
            told.hint("nothing was changed: the older imon-analyze reads it; a backup may be good")
        }
    }
}

/// Tells what does not agree with its checksum beside the sums, and how it comes back; how much
/// that is. Everything else is good.
pub(super) fn tell_faults(database: &Path, faults: &[Fault]) -> u64 {
    for fault in faults.iter().take(NAMED_FAULTS) {
        complain(&fault_error(database, fault));
    }
    if let more @ 1.. = faults.len().saturating_sub(NAMED_FAULTS) {
        note!("note: {more} more things are damaged: `imon-analyze check` lists all of them");
    }
    faults.len() as u64
}

/// Refuses to change anything by what is damaged.
///
/// # Errors
/// Something is.
pub(super) fn none_damaged(database: &Path, faults: &[Fault]) -> Result<(), Error> {
    faults.first().map_or(Ok(()), |fault| Err(fault_error(database, fault)))
}

fn fault_error(database: &Path, fault: &Fault) -> Error {
    let told = Error::failed(format!("a part of the database {} is damaged", shown(&database.to_string_lossy())))
        .cause(shown(&fault.to_string()));
    match fault {
        Fault::Table("imported") => told.hint(
            "sums of traffic are good. `imon-analyze import --forget INTERFACE`, and importing again, brings it back",
        ),
        Fault::Table("closed" | "closed_source" | "closing" | "about" | "removal") => {
            told.hint(format!("what is reported may lack a month: {}", way_back(database)))
        }
        Fault::Index => told.hint(
            "sums are good, and so is what it leads to: gaps may be told wrongly until `imon-analyze rebuild` has made \
             it anew",
        ),
        Fault::Source { .. } | Fault::Lost | Fault::Table(_) | Fault::Dangling { .. } => told.hint(
            "sums have checksums of their own, and are good. `imon-analyze rebuild` books all again from the segments \
             and kept captures, and a backup has what it was",
        ),
    }
}

/// What to do where a file of a database cannot be used.
fn file_hint(told: Error, (database, path): (&Path, &Path), source: &io::Error) -> Error {
    let was_ours = || beside(&files::real(database), "-lock").exists() || months_of(database).0 > 0;
    match source.kind() {
        io::ErrorKind::IsADirectory if path.join("imon.db").is_file() => told.hint(format!(
            "it is a folder: --database {} is the database in it",
            shown(&path.join("imon.db").to_string_lossy())
        )),
        io::ErrorKind::IsADirectory => told.hint("it is a folder: --database names the file in it"),
        io::ErrorKind::InvalidData if was_ours() => {
            told.hint(format!("if it was one, it is damaged: {}; --database FILE chooses another", way_back(database)))
        }
        _ => told.hint("--database FILE chooses another file").hint_for(path, source),
    }
}

/// How many files of closed months are beside a database, and the folder that they are in.
fn months_of(database: &Path) -> (usize, String) {
    let folder = Folder::of(database);
    let files = folder.found().map_or(0, |found| found.len());
    (files, shown(&folder.path().to_string_lossy()))
}

/// What is good beside a database that is damaged, and how it comes back.
fn way_back(database: &Path) -> String {
    let folder = captures_of(&files::real(database));
    let captures = find(&folder).map_or(0, |found| found.len());
    let shown_folder = shown(&folder.to_string_lossy());
    match (months_of(database), captures) {
        ((0, _), 0) => "move the database away and ingest its segments and captures again, or take a backup".into(),
        ((0, _), captures) => format!(
            "move the database away and ingest again: {} in {shown_folder} can be had, and the spool; or take a \
             backup",
            counted(captures as u64, "capture")
        ),
        ((months, of), 0) => format!(
            "move the database away: `imon-analyze rebuild --from-books` makes it of {} of closed \
             months in {of}, and `imon-analyze ingest` adds the spool; or take a backup",
            counted(months as u64, "file")
        ),
        ((months, of), captures) => format!(
            "move the database away: `imon-analyze rebuild --from-books` makes it of {} of closed \
             months in {of}, and `imon-analyze ingest` adds {} in {shown_folder} and the spool; or take a backup",
            counted(months as u64, "file"),
            counted(captures as u64, "capture")
        ),
    }
}

/// Whether SQLite says that a file is damaged.
fn is_damage(code: rusqlite::ErrorCode) -> bool {
    matches!(code, rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
}

/// A month that is missing in a report.
pub(super) fn hole_error(hole: &Hole) -> Error {
    Error::failed(format!("the month {} is missing in this report", hole.month)).because(&hole.error).hint(
        "everything else is in it. A copy of the file from a backup brings it back; where its segments are still there, \
         `imon-analyze rebuild` does",
    )
}

/// An error of months that are put away.
pub(super) fn archive_error(database: &Path, error: &ArchiveError) -> Error {
    match error {
        ArchiveError::Store(error) => store_error(database, error),
        error => {
            let told = Error::failed(format!("cannot use the months of {}", shown(&database.to_string_lossy())))
                .because(error)
                .hint("`imon-analyze status` lists them, and `imon-analyze check DATABASE` looks into all of them");
            for_room(told, database, error)
        }
    }
}
