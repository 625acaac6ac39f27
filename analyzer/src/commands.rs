//! What the subcommands do, once the command line is read. Results go to a writer that is handed in; complaints about
//! single inputs go to standard error.

pub mod check;
pub mod flows;
pub mod ingest;
pub mod lines;
pub mod names;
pub mod status;

use crate::error::{Error, Outcome, shown};
use crate::ingest::{IngestError, Read, ReadOptions, find};
use crate::store::StoreError;
use imon_common::capture_file::CaptureFileError;
use imon_common::wire::Mac;
use std::path::{Path, PathBuf};

/// Files named on the command line, and how to read them.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Paths as typed; folders stand for the segments in them.
    pub paths: Vec<PathBuf>,
    /// How to read them.
    pub options: ReadOptions,
}

/// What a command did with one source.
#[derive(Debug)]
pub enum SourceError {
    /// It cannot be read: the others still can.
    Ingest(IngestError),
    /// The command cannot go on.
    Fatal(Error),
}

impl From<IngestError> for SourceError {
    fn from(error: IngestError) -> Self {
        Self::Ingest(error)
    }
}

impl From<Error> for SourceError {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

/// Runs `work` for each source. One that cannot be read is told on standard error and counted as skipped.
///
/// # Errors
/// A path that does not exist; no source at all could be read; what `work` calls fatal.
pub fn each_source(
    sources: &Sources,
    mut work: impl FnMut(&Path, &ReadOptions) -> Result<Read, SourceError>,
) -> Result<Outcome, Error> {
    let (mut skipped, mut done, mut last_error) = (0, 0u64, None);
    for path in &sources.paths {
        let found = find(path).map_err(|e| {
            Error::failed(format!("cannot read {}", shown(&path.to_string_lossy()))).because(&e)
        })?;
        for found in found {
            match work(&found.path, &sources.options) {
                Ok(read) => {
                    done += 1;
                    if let Some(part) = read.skipped() {
                        skipped += 1;
                        complain(&partly(&found.path, &part));
                    }
                }
                Err(SourceError::Fatal(error)) => return Err(error),
                Err(SourceError::Ingest(error)) => {
                    skipped += 1;
                    let error = ingest_error(&found.path, "read", &error);
                    if let Some(earlier) = last_error.replace(error) {
                        complain(&earlier);
                    }
                }
            }
        }
    }
    match last_error {
        Some(error) if done == 0 => Err(error),
        Some(error) => {
            complain(&error);
            Ok(Outcome::Skipped(skipped))
        }
        None => Ok(Outcome::Skipped(skipped)),
    }
}

/// Tells something on standard error.
#[allow(clippy::print_stderr)] // the one place for it beside main
pub fn complain(error: &Error) {
    eprintln!("{error}");
}

/// A source of which a part could not be read.
pub fn partly(path: &Path, skipped: &str) -> Error {
    Error::failed(format!("part of {} was skipped", shown(&path.to_string_lossy()))).cause(skipped)
}

/// An error about a source, with a hint where there is a next step.
pub fn ingest_error(path: &Path, doing: &str, error: &IngestError) -> Error {
    let told = Error::failed(format!("cannot {doing} {}", shown(&path.to_string_lossy()))).because(error);
    match error {
        IngestError::Header(_) => told.hint("`imon-analyze check` tells more about a segment"),
        IngestError::Capture(CaptureFileError::Cut { .. }) => {
            told.hint("the capture was cut before its first packet ended; is it still being written?")
        }
        _ => told,
    }
}

/// An error of the store.
pub fn store_error(database: &Path, error: &StoreError) -> Error {
    let told = Error::failed(format!("cannot use the database {}", shown(&database.to_string_lossy()))).because(error);
    match error {
        StoreError::TooNew { .. } => told.hint("use the newer imon-analyze, or another file with --database"),
        StoreError::Folder { .. } | StoreError::Sql(_) => told.hint("--database FILE chooses another file"),
    }
}

/// A hardware address as people write it.
pub(crate) fn mac_text(mac: Mac) -> String {
    let [a, b, c, d, e, f] = mac.0;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}
