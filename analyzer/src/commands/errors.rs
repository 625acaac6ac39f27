//! Errors of the rooms below, told with what to do next.

use crate::archive::{ArchiveError, Hole};
use crate::error::{Error, shown};
use crate::ingest::IngestError;
use crate::input::InputError;
use crate::store::StoreError;
use imon_common::capture_file::CaptureFileError;
use std::io;
use std::path::Path;

/// A source of which a part could not be read.
pub fn partly(path: &Path, skipped: &str) -> Error {
    Error::failed(format!("part of {} was skipped", shown(&path.to_string_lossy())))
        .cause(skipped)
        .hint("everything else in it is counted")
}

/// An error about a source, with a hint where there is a next step.
pub fn ingest_error(path: &Path, doing: &str, error: &IngestError) -> Error {
    let told = Error::failed(format!("cannot {doing} {}", shown(&path.to_string_lossy()))).because(error);
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
        _ => told,
    }
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

/// An error of the store.
pub fn store_error(database: &Path, error: &StoreError) -> Error {
    let told = Error::failed(format!("cannot use the database {}", shown(&database.to_string_lossy()))).because(error);
    match error {
        StoreError::TooNew { .. } => told.hint("use the newer imon-analyze, or another file with --database"),
        StoreError::Damaged { .. } => told.hint(
            "`imon-analyze rebuild` books all again from the segments and kept captures; where that fails, move the \
             database away and ingest these again, or take a backup. A range without that day may still be good",
        ),
        StoreError::Sql(error) if error.sqlite_error_code().is_some_and(is_damage) => told.hint(
            "it is damaged: move it away and ingest the segments, and the segments in `captures` beside it, again, \
             or take a backup",
        ),
        StoreError::Held { .. } => told.hint("what it has booked counts; run this again when it is over"),
        StoreError::Folder { .. }
        | StoreError::File { .. }
        | StoreError::NotOurs { .. }
        | StoreError::Lock { .. }
        | StoreError::Sql(_) => told.hint("--database FILE chooses another file"),
        StoreError::Changed { .. } => {
            told.hint("nothing was changed: the older imon-analyze reads it; a backup may be good")
        }
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
        error => Error::failed(format!("cannot use the months of {}", shown(&database.to_string_lossy())))
            .because(error)
            .hint("`imon-analyze status` lists them, and `imon-analyze check DATABASE` looks into all of them"),
    }
}
