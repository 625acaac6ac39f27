//! `rebuild`: everything again from the facts.

use super::ingest::captures_folder;
use super::lines::{Lines, Value};
use super::{archive_error, complain, deliver, open_existing_store, open_store, store_error};
use crate::archive::{self, Folder};
use crate::books::{Evidence, Traffic};
use crate::cli::{RebuildArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::files;
use crate::ingest::{Ingest, ReadOptions, Rebuilt};
use crate::range::{self, Range, Unsaid};
use crate::say::note;
use crate::site::Sites;
use crate::store::{BESIDE, Store, beside};
use crate::table::units::{self, counted};
use imon_common::time::UnixNanos;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const COLUMNS: [&str; 4] = ["site", "evidence", "before_bytes", "after_bytes"];

/// Sources whose facts are gone that are named one by one.
const NAMED: usize = 5;

/// Site (or the local network) and evidence.
type Key = (String, &'static str);

pub(super) fn run(args: &RebuildArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let database = args.answer.store.database(around)?;
    let zone = range::zone(args.zone.as_deref())?;
    let from = Range::of_days((args.from.as_deref(), None), Unsaid::Everything, around.now, zone)?.from;
    let sites = args.answer.sites.sites()?;
    if args.from_books {
        return from_books(&database);
    }
    let mut store = open_existing_store(&database)?;
    let before = if args.diff { sums(&store, &database, &sites)? } else { BTreeMap::new() };
    let (rebuilt, after) = if args.dry_run {
        // The copy reads the same captures, and nobody books meanwhile.
        let _lock = store.lock().map_err(|e| store_error(&database, &e))?;
        let copy = Copy::of(&store, &database)?;
        let mut store = open_store(&copy.0)?;
        (rebuild(&mut store, &database, from)?, sums(&store, &copy.0, &sites)?)
    } else {
        let rebuilt = rebuild(&mut store, &database, from)?;
        (rebuilt, if args.diff { sums(&store, &database, &sites)? } else { BTreeMap::new() })
    };
    tell(&rebuilt);
    if args.diff {
        let rows = changes(&before, &after);
        deliver(args.answer.output.output.as_deref(), out, |out| match args.answer.output.format().lines() {
            Some(format) => lines(&rows, Lines::new(out, format)),
            None => out.write_all(text(&rows).as_bytes()),
        })?;
    }
    Ok(Outcome::Skipped(rebuilt.failed.len() as u64))
}

/// Makes a database of the months beside the place where it was.
fn from_books(database: &Path) -> Result<Outcome, Error> {
    let failed = |e| archive_error(database, &e);
    let folder = Folder::of(database);
    // A folder that cannot be read is told below.
    if folder.found().is_ok_and(|found| found.is_empty()) {
        let path = shown(&folder.path().to_string_lossy());
        let what = if folder.path().exists() { "holds none" } else { "is not there" };
        return Err(Error::failed(format!("there are no closed months: {path} {what}"))
            .hint("--database FILE names the database that they were beside"));
    }
    let mut store = open_store(database)?;
    let _lock = store.lock().map_err(|e| store_error(database, &e))?;
    let restored = archive::restore(&mut store).map_err(failed)?;
    for (path, error) in &restored.failed {
        complain(&Error::failed(format!("{} was not taken in", shown(&path.to_string_lossy()))).because(error));
    }
    note!("took in {} with {}", counted(restored.months.len() as u64, "month"), counted(restored.rows, "row"));
    if restored.older > 0 {
        note!("left in place, and counted no more: {} of earlier closings", counted(restored.older, "file"));
    }
    Ok(Outcome::Skipped(restored.failed.len() as u64))
}

fn rebuild(store: &mut Store, database: &Path, from: Option<UnixNanos>) -> Result<Rebuilt, Error> {
    let mut ingest = Ingest::new(store, captures_folder(database), ReadOptions::default());
    let rebuilt = ingest.rebuild(from).map_err(|e| super::booking_error(database, &e))?;
    let faults = store.seal_as_it_is().map_err(|e| store_error(database, &e))?;
    for fault in faults.iter().take(NAMED) {
        note!("note: {}, and could not be booked again: it is taken as it is", shown(&fault.to_string()));
    }
    if faults.len() > NAMED {
        note!("  ({} more)", faults.len() - NAMED);
    }
    Ok(rebuilt)
}

fn tell(rebuilt: &Rebuilt) {
    for (path, error) in &rebuilt.failed {
        complain(&super::ingest_error(path, "book again", error));
    }
    note!("booked {} again", counted(rebuilt.booked, "source"));
    let gone = &rebuilt.gone;
    if !gone.is_empty() {
        note!("left as booked, as the facts are gone: {}", counted(gone.len() as u64, "source"));
        gone.iter().take(NAMED).for_each(|path| note!("  {}", shown(path)));
        if gone.len() > NAMED {
            note!("  ({} more)", gone.len() - NAMED);
        }
        if rebuilt.out_of_reach > 0 {
            note!(
                "  hint: of {} the segment is there, but outside of the database's folder and the spools:",
                rebuilt.out_of_reach
            );
            note!("  --spool FOLDER lets them in");
        }
    }
}

/// What a copy's name adds to that of the database, before the number of the process.
const DRY_RUN: &str = "-dry-run-";

/// A copy of the database that is removed in the end.
struct Copy(PathBuf);

impl Copy {
    /// Who calls this holds the lock of the database: other copies are of dry runs that were
    /// killed.
    fn of(store: &Store, database: &Path) -> Result<Self, Error> {
        let database = &*files::real(database);
        let name = database.file_name().unwrap_or_default().to_string_lossy();
        for entry in std::fs::read_dir(files::folder_of(database)).into_iter().flatten().flatten() {
            let number =
                entry.file_name().to_string_lossy().strip_prefix(&format!("{name}{DRY_RUN}")).map(str::to_owned);
            if number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit())) {
                drop(Self(entry.path()));
            }
        }
        let copy = Self(beside(database, &format!("{DRY_RUN}{}", std::process::id())));
        store.copy_to(&copy.0).map_err(|e| store_error(&copy.0, &e))?;
        let (from, to) = (Folder::of(database), Folder::of(&copy.0));
        for file in store.closed().map_err(|e| store_error(database, &e))? {
            // A month that is missing or damaged is told when it is read.
            let path = to.file(&file);
            let made = files::make_folder(path.parent().unwrap_or(Path::new(".")));
            _ = made.and_then(|()| files::copy(&from.file(&file), &path));
        }
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        for suffix in [""].into_iter().chain(BESIDE) {
            // What is not there need not go.
            _ = std::fs::remove_file(beside(&self.0, suffix));
        }
        _ = std::fs::remove_dir_all(Folder::of(&self.0).path());
    }
}

fn sums(store: &Store, database: &Path, sites: &Sites) -> Result<BTreeMap<Key, u64>, Error> {
    let mut sums: BTreeMap<Key, u64> = BTreeMap::new();
    let mut add = |host: &crate::books::Host, evidence: Evidence, traffic: Traffic, bytes: u64| {
        let site = match traffic {
            Traffic::Local => "(local network)".to_owned(),
            Traffic::Served => "(served to others)".to_owned(),
            Traffic::Visited | Traffic::Transit => sites.of_host(host).0,
        };
        let sum = sums.entry((site, evidence.word())).or_default();
        *sum = sum.saturating_add(bytes);
    };
    crate::archive::sums(store, &mut add).map_err(|e| super::archive_error(database, &e))?;
    Ok(sums)
}

/// What differs, the largest difference first.
fn changes(before: &BTreeMap<Key, u64>, after: &BTreeMap<Key, u64>) -> Vec<(Key, u64, u64)> {
    let of = |map: &BTreeMap<Key, u64>, key: &Key| map.get(key).copied().unwrap_or_default();
    let keys: std::collections::BTreeSet<&Key> = before.keys().chain(after.keys()).collect();
    let rows = keys.into_iter().map(|key| (key.clone(), of(before, key), of(after, key)));
    let mut rows: Vec<_> = rows.filter(|(_, before, after)| before != after).collect();
    rows.sort_by_key(|(_, before, after)| std::cmp::Reverse(before.abs_diff(*after)));
    rows
}

fn lines(rows: &[(Key, u64, u64)], mut lines: Lines<'_>) -> io::Result<()> {
    lines.header(&COLUMNS);
    for ((site, evidence), before, after) in rows {
        let site = Value::Text(site.clone());
        let values = [site, Value::Text((*evidence).into()), Value::Number(*before), Value::Number(*after)];
        lines.line(&values);
    }
    lines.finish()
}

fn text(rows: &[(Key, u64, u64)]) -> String {
    if rows.is_empty() {
        return "nothing changed\n".into();
    }
    let width = rows.iter().map(|((site, _), ..)| site.len()).max().unwrap_or_default().max(4);
    let mut text = format!("{:width$}  {:10}  {:>12}     {:>12}\n", "site", "evidence", "before", "after");
    for ((site, evidence), before, after) in rows {
        let (before, after) = (units::bytes(*before), units::bytes(*after));
        // Writing to a String cannot fail.
        _ = writeln!(text, "{site:width$}  {evidence:10}  {before:>12}  →  {after:>12}");
    }
    text
}
