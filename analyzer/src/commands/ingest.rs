//! `ingest [PATH…]`: sources into the store.

use super::{complain, open_store};
use crate::cli::{IngestArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::ingest::{Ingest, IngestError, IngestOutcome, ReadOptions, captures_of, find_to_book};
use crate::input::{InputError, Kind, classify};
use crate::say::note;
use crate::store::Store;
use crate::table::units::counted;
use std::io;
use std::path::{Path, PathBuf};

/// What an ingest did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Summary {
    /// Sources booked now.
    booked: u64,
    /// Their packets.
    packets: u64,
    /// Sources that were in the store already.
    already: u64,
    /// Sources, or parts of them, that were skipped.
    skipped: u64,
    /// Captures of which a segment is kept.
    kept: u64,
}

impl Summary {
    /// How the command ended.
    pub(super) fn outcome(self) -> Outcome {
        Outcome::Skipped(self.skipped)
    }
}

pub(super) fn run(args: &IngestArgs, around: &Surroundings) -> Result<Outcome, Error> {
    let database = args.store.database(around)?;
    let options = super::read_options(&args.capture)?;
    let mut paths = args.paths.clone();
    if paths.is_empty() {
        paths = args.store.spools(around);
        if paths.is_empty() {
            return Err(Error::failed("there is nothing to ingest")
                .cause("no path was given, and there is no spool of imon-record")
                .hint("name a capture, a segment or a folder, or run imon-record first"));
        }
    }
    let mut missing = 0;
    if !args.paths.is_empty() {
        (paths, missing) = super::all_named(&args.paths, "ingest")?;
    }
    if super::is_to_be_made(&database)? {
        any_known(&paths)?;
    }
    let mut store = open_store(&database)?;
    let mut summary = new_sources(&mut store, &database, &paths, options)?;
    summary.skipped += missing;
    tell(summary, &captures_folder(&database));
    let _lock = store.lock().map_err(|e| super::store_error(&database, &e))?;
    super::prune::device::finish(&mut store, &database)?;
    super::close::due(&mut store, &database, around)?;
    Ok(summary.outcome())
}

/// Sees to it that no database is made for what cannot be booked.
///
/// # Errors
/// None of the paths is a folder, a segment or a capture.
pub(super) fn any_known(paths: &[PathBuf]) -> Result<(), Error> {
    let mut last = None;
    for path in paths {
        let error = match classify(path) {
            Ok(Kind::Folder | Kind::Segment | Kind::Capture) => return Ok(()),
            Ok(Kind::Other(found)) => super::ingest_error(path, "ingest", &IngestError::Neither { found }),
            Err(InputError::Open { source, .. }) => cannot_ingest(path, &source),
            Err(error) => super::ingest_error(path, "ingest", &IngestError::Input(error)),
        };
        if let Some(earlier) = last.replace(error) {
            complain(&earlier);
        }
    }
    last.map_or(Ok(()), Err)
}

fn tell(summary: Summary, captures: &Path) {
    let Summary { booked, packets, already, skipped, kept } = summary;
    let (sources, packets) = (counted(booked, "source"), counted(packets, "packet"));
    if kept > 0 {
        let (what, folder) = (counted(kept, "capture"), shown(&captures.to_string_lossy()));
        note!("kept segments of {what} in {folder}: `rebuild` reads them");
        note!("captures = \"never\" below [keep] of the configuration: `imon-analyze prune --configured` removes them");
    }
    // Last: scripts look there.
    note!("ingested {sources} with {packets}; {already} known already, {skipped} skipped");
}

/// The folder beside a database in which captures are kept as segments.
pub(super) fn captures_folder(database: &Path) -> PathBuf {
    captures_of(database)
}

/// Ingests what is new of every path. A source that cannot be read is told on standard error and
/// counted as skipped; if it is the only one, it is an error; a folder that may not be read
/// likewise.
///
/// # Errors
/// A path that does not exist, or the only source cannot be read.
pub(super) fn new_sources(
    store: &mut Store,
    database: &Path,
    paths: &[PathBuf],
    options: ReadOptions,
) -> Result<Summary, Error> {
    let mut summary = Summary::default();
    let mut sources: Vec<PathBuf> = Vec::new();
    for path in paths {
        match find_to_book(path) {
            Ok(found) => sources.extend(found),
            // Somebody who records for himself need not be let in to what the service records; but
            // is told.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && paths.len() > 1 => {
                complain(&cannot_ingest(path, &e));
                summary.skipped += 1;
            }
            Err(e) => return Err(cannot_ingest(path, &e)),
        }
    }
    let before = store.all_overlaps().map_err(|e| super::store_error(database, &e))?;
    let mut ingest = Ingest::new(store, captures_folder(database), options);
    let outcomes = ingest.sources(sources).map_err(|e| super::booking_error(database, &e))?;
    super::note_gone(&ingest.gone);
    ingest.skews.iter().take(super::source::NOTED_OVERLAPS).for_each(super::note_skew);
    ingest.server.iter().for_each(super::note_public_server);
    let overlaps = store.all_overlaps().map_err(|e| super::store_error(database, &e))?;
    let news = overlaps.iter().filter(|overlap| !before.contains(overlap));
    news.take(super::source::NOTED_OVERLAPS).for_each(super::note_overlap);
    // Who books nothing does not look through all sources.
    if outcomes.iter().any(|(_, outcome)| matches!(outcome, Ok(IngestOutcome::Booked { .. }))) {
        for (one, other) in store.twins(1).map_err(|e| super::store_error(database, &e))? {
            super::note_twins(Path::new(&one), Path::new(&other));
        }
    }
    let only_one = outcomes.len() == 1;
    for (path, outcome) in outcomes {
        match outcome {
            Ok(IngestOutcome::Already) => summary.already += 1,
            Ok(IngestOutcome::Copy(copied)) => {
                summary.already += 1;
                super::note_copy(&copied);
            }
            Ok(IngestOutcome::Booked { packets, skipped, spotted, is_kept }) => {
                if let Some(spotted) = spotted {
                    super::note_spotted(&path, spotted);
                }
                summary.booked += 1;
                summary.packets += packets;
                summary.kept += u64::from(is_kept);
                if let Some(skipped) = skipped {
                    summary.skipped += 1;
                    complain(&super::partly(&path, &skipped));
                }
            }
            Err(error) => {
                let error = super::ingest_error(&path, "ingest", &error);
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

fn cannot_ingest(path: &Path, error: &io::Error) -> Error {
    let failed = Error::failed(format!("cannot ingest {}", shown(&path.to_string_lossy()))).because(error);
    match error.kind() {
        io::ErrorKind::PermissionDenied => failed.hint(
            "what the service records is for members of the group imon: sudo usermod -aG imon NAME, then log in again",
        ),
        _ => failed.hint_for(path, error),
    }
}
