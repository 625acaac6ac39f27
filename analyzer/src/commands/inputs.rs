//! The files that a command names, and how it reads them.

use super::errors::{ingest_error, partly};
use super::notes::{complain, note_copy, note_left_out, note_spotted, note_twins};
use crate::cli::CaptureArgs;
use crate::error::{Error, Outcome, shown};
use crate::exported::{ExportOptions, Gatherer, Names};
use crate::ingest::{
    CaptureRun, Found, Inputs, Read, ReadOptions, Taker, find, in_order, inputs, leave_out_copies, read_all, twins,
};
use crate::progress::Progress;
use crate::say::note;
use crate::table::units::counted;
use crate::threads::Threads;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files named on the command line, and how to read them.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Paths as typed; folders stand for the segments in them.
    pub paths: Vec<PathBuf>,
    /// How to read them.
    pub options: ReadOptions,
}

impl Sources {
    /// Whether two of them may hold the same bytes, and these count once: one file cannot hold what
    /// another one does.
    pub(super) fn may_overlap(&self) -> bool {
        let are_several = self.paths.len() > 1 || self.paths.iter().any(|path| path.is_dir());
        are_several && !self.options.allow_overlap
    }
}

/// The files that a path stands for that the user has named: itself, or the segments and captures
/// in a folder. What was left out is told.
///
/// # Errors
/// It does not exist, or it is a folder without any.
fn named(path: &Path, doing: &str) -> Result<Vec<PathBuf>, Error> {
    let failed = || Error::failed(format!("cannot {doing} {}", shown(&path.to_string_lossy())));
    let Inputs { files, left_out } = inputs(path).map_err(|e| failed().because(&e).hint_for(path, &e))?;
    if files.is_empty() {
        return Err(failed()
            .cause(format!("there is no segment and no capture in this folder ({})", counted(left_out, "other file")))
            .hint("segments of imon-record, pcap and pcapng files are read, also compressed"));
    }
    if left_out > 0 {
        note_left_out(path, left_out);
    }
    Ok(files)
}

/// The segments that a path stands for.
///
/// # Errors
/// It does not exist, or it is a folder without segments.
pub(super) fn segments(path: &Path, doing: &str) -> Result<Vec<PathBuf>, Error> {
    let failed = || Error::failed(format!("cannot {doing} {}", shown(&path.to_string_lossy())));
    let found = find(path).map_err(|e| failed().because(&e).hint_for(path, &e))?;
    if found.is_empty() {
        return Err(failed()
            .cause("there is no segment in this folder")
            .hint("segments of imon-record end in .seg, or in .part while they grow"));
    }
    Ok(found)
}

/// Reads all sources and hands their observations to `taker`. One that cannot be read is told on
/// standard error and counted as skipped.
///
/// # Errors
/// No source at all could be read.
pub fn each_source<T: Taker>(sources: &Sources, taker: &mut T) -> Result<Outcome, Error> {
    let (found, missing) = found(sources)?;
    Ok(each_found(&found, &sources.options, taker)?.and_skipped(missing))
}

/// The files that sources stand for, each once, in the order in which they are read and numbered;
/// and how many paths stand for none, which is told.
///
/// # Errors
/// No path stands for any file.
pub(super) fn found(sources: &Sources) -> Result<(Vec<Found>, u64), Error> {
    let (all, missing) = all_named(&sources.paths, "read")?;
    let mut all = all;
    // Named twice, or by a link: no byte is counted twice. What has no such path is standard input.
    let mut seen = HashSet::new();
    all.retain(|found| !found.canonicalize().is_ok_and(|path| !seen.insert(path)));
    let (found, copies) = leave_out_copies(in_order(all));
    copies.iter().for_each(note_copy);
    Ok((found, missing))
}

/// The files that several paths stand for, and how many of them stand for none, which is told.
///
/// # Errors
/// None stands for any.
pub(super) fn all_named(paths: &[PathBuf], doing: &str) -> Result<(Vec<PathBuf>, u64), Error> {
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match named(path, doing) {
            Ok(files) => all.extend(files),
            Err(error) => errors.push(error),
        }
    }
    let last = if all.is_empty() { errors.pop() } else { None };
    errors.iter().for_each(complain);
    match last {
        Some(error) => Err(error),
        None => Ok((all, u64::try_from(errors.len()).unwrap_or(u64::MAX))),
    }
}

pub(super) fn each_found<T: Taker>(found: &[Found], options: &ReadOptions, taker: &mut T) -> Result<Outcome, Error> {
    if let Some((one, other)) = twins(found) {
        note_twins(&one, &other);
    }
    let (mut skipped, mut done, mut last_error) = (0, 0u64, None);
    for (source, result) in read_all(found, options, taker) {
        let Some(path) = found.get(source).map(|found| &found.path) else { continue };
        match result {
            Ok(read) => {
                done += 1;
                if let Read::Capture(CaptureRun { spotted: Some(spotted), .. }) = &read {
                    note_spotted(path, *spotted);
                }
                if let Some(part) = read.skipped() {
                    skipped += 1;
                    complain(&partly(path, &part));
                }
            }
            Err(error) => {
                skipped += 1;
                let error = ingest_error(path, "read", &error);
                if let Some(earlier) = last_error.replace(error) {
                    complain(&earlier);
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

/// How sources are read, as the command line says it.
///
/// # Errors
/// Usage.
pub(super) fn read_options(args: &CaptureArgs) -> Result<ReadOptions, Error> {
    let CaptureArgs { allow_overlap, threads, .. } = *args;
    let options = ReadOptions {
        local: args.local_nets()?,
        allow_overlap,
        threads: threads.map_or(Threads::Fitting, Threads::Exactly),
        progress: Progress::on_terminal(),
        ..ReadOptions::default()
    };
    let exports = ExportOptions {
        wanted: args.exported || !args.exported_port.is_empty(),
        ports: args.exported_port.iter().map(|port| port.get()).collect(),
        names: Arc::new(names_from(&args.names_from, &options)?),
    };
    Ok(ReadOptions { exports, ..options })
}

/// The names of sources that are read for nothing else.
///
/// # Errors
/// Nothing could be read of what is named.
fn names_from(paths: &[PathBuf], options: &ReadOptions) -> Result<Names, Error> {
    if paths.is_empty() {
        return Ok(Names::default());
    }
    let mut gatherer = Gatherer::default();
    each_source(&Sources { paths: paths.to_vec(), options: options.clone() }, &mut gatherer)?;
    let names = gatherer.finish();
    if names.left_out > 0 {
        note!("note: --names-from holds {} names more than are kept; a shorter range may have them", names.left_out);
    }
    Ok(names)
}
