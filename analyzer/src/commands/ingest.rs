//! `imon-analyze ingest [PATH…]`: sources into the store.

use super::complain;
use crate::error::{Error, Outcome, shown};
use crate::ingest::{Found, Ingest, IngestOutcome, ReadOptions, find};
use crate::store::Store;
use std::path::{Path, PathBuf};

/// What an ingest did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Sources booked now.
    pub booked: u64,
    /// Their packets.
    pub packets: u64,
    /// Sources that were in the store already.
    pub already: u64,
    /// Sources, or parts of them, that were skipped.
    pub skipped: u64,
}

impl Summary {
    /// How the command ended.
    pub fn outcome(self) -> Outcome {
        Outcome::Skipped(self.skipped)
    }
}

/// Ingests every path. One that cannot be read is told on standard error and counted as skipped; if it is the only
/// source, it is an error.
///
/// # Errors
/// A path that does not exist or the only source cannot be read.
pub fn run(store: &mut Store, database: &Path, paths: &[PathBuf], options: ReadOptions) -> Result<Summary, Error> {
    let mut sources: Vec<Found> = Vec::new();
    for path in paths {
        let found = find(path)
            .map_err(|e| Error::failed(format!("cannot ingest {}", shown(&path.to_string_lossy()))).because(&e))?;
        sources.extend(found);
    }
    let only_one = sources.len() == 1;
    let captures = database.parent().unwrap_or(Path::new(".")).join("captures");
    let mut ingest = Ingest::new(store, captures, options);
    let mut summary = Summary::default();
    for found in &sources {
        match ingest.source(found) {
            Ok(IngestOutcome::Already) => summary.already += 1,
            Ok(IngestOutcome::Booked { packets, skipped }) => {
                summary.booked += 1;
                summary.packets += packets;
                if let Some(skipped) = skipped {
                    summary.skipped += 1;
                    complain(&super::partly(&found.path, &skipped));
                }
            }
            Err(error) => {
                let error = super::ingest_error(&found.path, "ingest", &error);
                if only_one {
                    return Err(error);
                }
                summary.skipped += 1;
                complain(&error);
            }
        }
    }
    Ok(summary)
}
