//! `prune`: what is older than a day goes.

use super::{archive_error, open_existing_store, store_error};
use crate::archive::Archive;
use crate::cli::{PruneArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::files;
use crate::range::{self, Range};
use crate::say::note;
use crate::store::KnownSource;
use crate::table::units;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use std::path::Path;

pub(super) fn run(args: &PruneArgs, around: &Surroundings) -> Result<Outcome, Error> {
    let database = args.store.database(around)?;
    let jobs = jobs(args, around)?;
    if jobs.is_empty() {
        note!("nothing to remove: [keep] of the configuration keeps everything");
        return Ok(Outcome::Complete);
    }
    let failed = |e| store_error(&database, &e);
    let mut store = open_existing_store(&database)?;
    let _lock = store.lock().map_err(failed)?;
    let mut removed = Removed::default();
    for Job { before, captures_only } in jobs {
        let old = store.known_sources().map_err(failed)?.into_iter().filter(|source| source.last < before);
        let (mut old, captures): (Vec<KnownSource>, Vec<KnownSource>) = old.partition(|source| !source.is_capture);
        for capture in &captures {
            removed.capture(capture, args.dry_run)?;
        }
        if captures_only {
            continue;
        }
        old.extend(captures);
        removed.sources = old.len();
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
        let was = size(&database);
        if !args.dry_run && !old.is_empty() {
            let ids: Vec<i64> = old.iter().map(|source| source.id).collect();
            let mut archive = Archive::new(&mut store).map_err(|e| archive_error(&database, &e))?;
            archive.release(&ids).map_err(|e| archive_error(&database, &e))?;
            store.prune(&ids).map_err(failed)?;
            removed.database_bytes = Some(was.saturating_sub(size(&database)));
        }
    }
    tell(&removed, args.dry_run);
    Ok(Outcome::Complete)
}

/// Something that goes.
#[derive(Debug, Clone, Copy)]
struct Job {
    /// What ends before.
    before: UnixNanos,
    /// Only the segments that captures are kept as.
    captures_only: bool,
}

/// What is to go: rows first, as their captures go with them.
fn jobs(args: &PruneArgs, around: &Surroundings) -> Result<Vec<Job>, Error> {
    let zone = range::zone(args.zone.as_deref())?;
    let start = |day: &str| Range::start_of("--before", day, around.now, &zone).map(Some);
    if args.age.configured {
        let today = around.now.to_zoned(zone.clone()).date();
        let mut jobs = Vec::new();
        for (kept, captures_only) in [(around.config.keep.rows, false), (around.config.keep.captures, true)] {
            let outside = |e: jiff::Error| Error::usage("[keep] reaches beyond the calendar").because(&e);
            let first = kept.map(|kept| kept.first_day(today)).transpose().map_err(outside)?.flatten();
            let before = first.map(|day| start(&day.to_string())).transpose()?.flatten();
            jobs.extend(before.map(|before| Job { before, captures_only }));
        }
        return Ok(jobs);
    }
    let days_ago = args.age.keep_days.map(|days| format!("{days}d"));
    let before = args.age.before.as_deref().or(days_ago.as_deref()).map(start).transpose()?.flatten();
    let Some(before) = before else {
        return Err(Error::usage("nothing says how old is old").hint("name a day with --before"));
    };
    Ok(vec![Job { before, captures_only: args.captures_only }])
}

/// What went, or would go.
#[derive(Debug, Default)]
struct Removed {
    /// Sources of which nothing is booked any more.
    sources: usize,
    /// Segments of captures.
    captures: u64,
    /// Their bytes.
    capture_bytes: u64,
    /// Bytes by which the database became smaller.
    database_bytes: Option<u64>,
}

impl Removed {
    /// Removes the segment that a capture was kept as: our own file; the spool is the recorder's.
    fn capture(&mut self, source: &KnownSource, dry_run: bool) -> Result<(), Error> {
        let path = Path::new(&source.path);
        let Ok(about) = std::fs::metadata(path) else { return Ok(()) };
        // A database may say what it likes: only the segment that it means is ours to remove.
        let header = files::open(path).ok().and_then(|mut file| SegmentHeader::read(&mut file).ok());
        if header.is_none_or(|(header, _)| header.segment.as_slice() != source.segment) {
            return Err(Error::failed(format!("cannot remove {}", shown(&source.path)))
                .cause("it is not the segment that was kept, or lies outside of what `prune` may touch"));
        }
        if !dry_run {
            std::fs::remove_file(&source.path)
                .map_err(|e| Error::failed(format!("cannot remove {}", shown(&source.path))).because(&e))?;
        }
        (self.captures, self.capture_bytes) = (self.captures + 1, self.capture_bytes + about.len());
        Ok(())
    }
}

fn tell(removed: &Removed, dry_run: bool) {
    let did = if dry_run { "would remove" } else { "removed" };
    let Removed { sources, captures, capture_bytes, database_bytes } = removed;
    let room = database_bytes.map(|n| format!("; the database is {} smaller", units::bytes(n))).unwrap_or_default();
    note!("{did} {sources} sources, and {captures} kept captures of {}{room}", units::bytes(*capture_bytes));
}
