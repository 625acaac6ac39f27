//! `prune`: what is older than a day goes, or what a device moved.

pub(super) mod device;
mod size;

use super::{archive_error, none_damaged, open_existing_store, store_error};
use crate::archive::{Archive, Trial};
use crate::cli::{PruneArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::files;
use crate::range::{self, Range};
use crate::say::note;
use crate::store::{KnownSource, Store, old_copies};
use crate::table::units;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use jiff::tz::TimeZone;
use size::{Anyway, Cut};
use std::collections::HashSet;
use std::path::Path;

pub(super) fn run(args: &PruneArgs, around: &Surroundings) -> Result<Outcome, Error> {
    if !args.age.device.is_empty() {
        return device::run(args, around);
    }
    let database = args.store.database(around)?;
    if args.age.drop_old {
        return drop_old(&database, args.dry_run);
    }
    let jobs = jobs(args, around)?;
    let limit = around.config.keep.size.filter(|_| args.age.configured);
    if jobs.is_empty() && limit.is_none() {
        note!("nothing to remove: [keep] of the configuration keeps everything");
        return Ok(Outcome::Complete);
    }
    let mut store = open_existing_store(&database)?;
    let _lock = store.lock().map_err(|e| store_error(&database, &e))?;
    undamaged(&store, &database)?;
    if !args.dry_run {
        super::close::tidy(&mut store, &database)?;
    }
    let mut removed = Removed::default();
    for job in &jobs {
        removed.run(&mut store, &database, (job, args.dry_run))?;
    }
    let outcome = match limit {
        Some(limit) => removed.fit((&mut store, &database), limit, (&jobs, args.dry_run), around)?,
        None => Outcome::Complete,
    };
    tell(&removed, args.dry_run);
    Ok(outcome)
}

/// Sees to it that nothing is removed by what is damaged.
///
/// # Errors
/// Something is.
fn undamaged(store: &Store, database: &Path) -> Result<(), Error> {
    let faults = store.faults_of_report(&Range::everything(TimeZone::UTC)).map_err(|e| store_error(database, &e))?;
    none_damaged(database, &faults)?;
    none_damaged(database, &store.faults_of_months().map_err(|e| store_error(database, &e))?)
}

/// Removes copies of the database from before its schema was changed.
fn drop_old(database: &Path, dry_run: bool) -> Result<Outcome, Error> {
    let store = open_existing_store(database)?;
    let _lock = store.lock().map_err(|e| store_error(database, &e))?;
    let copies = old_copies(database);
    if copies.is_empty() {
        note!("there are no copies of older schemas");
    }
    for (_, path) in copies {
        let name = shown(&path.to_string_lossy());
        let failed = |e: &std::io::Error| Error::failed(format!("cannot remove {name}")).because(e);
        let about = path.symlink_metadata().map_err(|e| failed(&e))?;
        if !about.is_file() {
            return Err(Error::failed(format!("cannot remove {name}")).cause("it is no file, and so no copy of ours"));
        }
        if !dry_run {
            std::fs::remove_file(&path).map_err(|e| failed(&e))?;
        }
        note!("{} {name}, {}", if dry_run { "would remove" } else { "removed" }, units::bytes(about.len()));
    }
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
    /// Sources whose capture is among them.
    told: HashSet<i64>,
    /// Bytes by which the database became smaller.
    database_bytes: Option<u64>,
}

impl Removed {
    /// What ends before a time goes.
    fn run(&mut self, store: &mut Store, database: &Path, (job, dry_run): (&Job, bool)) -> Result<(), Error> {
        let failed = |e| store_error(database, &e);
        let Job { before, captures_only } = *job;
        let old = store.known_sources().map_err(failed)?.into_iter().filter(|source| source.last < before);
        let (mut old, captures): (Vec<KnownSource>, Vec<KnownSource>) = old.partition(|source| !source.is_capture);
        for capture in &captures {
            // Those whose rows go as well go with them.
            self.capture(capture, if captures_only && !dry_run { Trial::Real } else { Trial::Dry })?;
        }
        if captures_only {
            return Ok(());
        }
        old.extend(captures);
        self.sources += old.len();
        if !dry_run && !old.is_empty() {
            let size = || std::fs::metadata(database).map_or(0, |about| about.len());
            let was = size();
            let mut archive = Archive::new(store).map_err(|e| archive_error(database, &e))?;
            archive.prune(&old).map_err(|e| archive_error(database, &e))?;
            device::remove_captures(store, database)?;
            let smaller = self.database_bytes.unwrap_or_default().saturating_add(was.saturating_sub(size()));
            self.database_bytes = Some(smaller);
        }
        Ok(())
    }

    /// What is too much for `[keep] size` goes: kept captures, then months, oldest first.
    fn fit(
        &mut self,
        (store, database): (&mut Store, &Path),
        limit: u64,
        (jobs, dry_run): (&[Job], bool),
        around: &Surroundings,
    ) -> Result<Outcome, Error> {
        let now = around.now_nanos().unwrap_or_default();
        let before = |captures_only: bool| {
            let before = jobs.iter().filter(|job| job.captures_only == captures_only).map(|job| job.before);
            before.max()
        };
        // What went already is not there to be counted.
        let anyway = Anyway { rows: before(false), captures: before(true) };
        let anyway = if dry_run { anyway } else { Anyway::default() };
        let mut all = u64::MAX;
        loop {
            let cut = Cut::of(store, (database, limit), anyway, now)?;
            // Months are estimated: what is left is measured. It ends when nothing goes any more.
            if !dry_run && (cut.all <= limit || cut.all >= all) {
                return Ok(told_over(cut.all.saturating_sub(limit), limit));
            }
            all = cut.all;
            for capture in &cut.captures {
                self.capture(capture, if dry_run { Trial::Dry } else { Trial::Real })?;
            }
            if let Some(before) = cut.before {
                self.run(store, database, (&Job { before, captures_only: false }, dry_run))?;
            }
            if dry_run {
                return Ok(told_over(cut.over, limit));
            }
        }
    }

    /// Removes the segment that a capture was kept as: our own file; the spool is the recorder's.
    fn capture(&mut self, source: &KnownSource, trial: Trial) -> Result<(), Error> {
        if !self.told.insert(source.id) {
            return Ok(());
        }
        let path = Path::new(&source.path);
        let Ok(about) = std::fs::metadata(path) else { return Ok(()) };
        // A database may say what it likes: only the segment that it means is ours to remove.
        let header = files::open(path).ok().and_then(|mut file| SegmentHeader::read(&mut file).ok());
        if header.is_none_or(|(header, _)| header.segment.as_slice() != source.segment) {
            return Err(Error::failed(format!("cannot remove {}", shown(&source.path)))
                .cause("it is not the segment that was kept, or lies outside of what `prune` may touch"));
        }
        if trial == Trial::Real {
            std::fs::remove_file(&source.path)
                .map_err(|e| Error::failed(format!("cannot remove {}", shown(&source.path))).because(&e))?;
        }
        (self.captures, self.capture_bytes) = (self.captures + 1, self.capture_bytes + about.len());
        Ok(())
    }
}

fn told_over(over: u64, limit: u64) -> Outcome {
    if over > 0 {
        note!(
            "note: {} are more than [keep] size = {}: this month, and what every database has, stays",
            units::bytes(limit.saturating_add(over)),
            units::bytes(limit)
        );
    }
    Outcome::Complete
}

fn tell(removed: &Removed, dry_run: bool) {
    let did = if dry_run { "would remove" } else { "removed" };
    let Removed { sources, captures, capture_bytes, database_bytes, .. } = removed;
    let room = database_bytes.map(|n| format!("; the database is {} smaller", units::bytes(n))).unwrap_or_default();
    let sources = units::counted(*sources as u64, "source");
    let captures = units::counted(*captures, "kept capture");
    note!("{did} {sources}, and {captures} of {}{room}", units::bytes(*capture_bytes));
}
