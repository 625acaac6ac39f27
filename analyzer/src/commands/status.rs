//! `status`: what the store holds.

mod months;

use super::lines::{Lines, Value};
use super::{archive_error, complain, deliver, open_existing_store, store_error, tell_faults, utc};
use crate::archive::{ArchiveError, Folder};
use crate::books::Gap;
use crate::cli::{StatusArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::files;
use crate::imported::Piece;
use crate::range::Range;
use crate::say::note;
use crate::site::suffix_list;
use crate::store::{BESIDE, ClosedFile, SourceRow, Status, Store, beside, old_copies};
use crate::table::units::{bytes, counted, uuid};
use crate::timeline::{Timeline, Torn};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::tz::TimeZone;
use months::MonthLine;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

/// Sources that a table lists one by one: the newest. JSON and CSV list all.
const LISTED: usize = 10;

/// Times without records that a table lists: the latest. JSON and CSV have each at the source that
/// it comes before.
const GAPS_LISTED: usize = 10;

/// What the copy of a database is called until it is whole.
const UNFINISHED: &str = "unfinished";

/// How often a copy is begun again because a month was opened meanwhile.
const COPIES: u32 = 5;

const COLUMNS: [&str; 10] = [
    "path",
    "kind",
    "ended",
    "interface",
    "first",
    "last",
    "len_bytes",
    "records",
    "gap_before_from",
    "gap_before_reason",
];

pub(super) fn run(args: &StatusArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let database = args.store.database(around)?;
    let store = open_existing_store(&database)?;
    let missing = args.backup.as_ref().map_or(Ok(0), |folder| backup(&store, &database, folder))?;
    let faults = store.faults_of_report(&Range::everything(TimeZone::UTC)).map_err(|e| store_error(&database, &e))?;
    let outcome = Outcome::Skipped(tell_faults(&database, &faults)).and_skipped(missing);
    let status = store.status().map_err(|e| store_error(&database, &e))?;
    let wishes = store.wishes().map_err(|e| store_error(&database, &e))?;
    let imported = store.imported().map_err(|e| store_error(&database, &e))?;
    let months = MonthLine::all(&store).map_err(|e| archive_error(&database, &e))?;
    if args.months {
        deliver(args.output.output.as_deref(), out, |out| match args.output.format().lines() {
            Some(format) => {
                let mut lines = Lines::new(out, format);
                lines.typed(&months::COLUMNS, Vec::new());
                months.iter().for_each(|month| lines.line(&month.values()));
                lines.finish()
            }
            None => out.write_all(months::text(&months, true).as_bytes()),
        })?;
        return Ok(outcome);
    }
    deliver(args.output.output.as_deref(), out, |out| match args.output.format().lines() {
        Some(format) => lines(&status, Lines::new(out, format)),
        None => {
            out.write_all(text(&status, &database, around).as_bytes())?;
            if wishes > 0 {
                writeln!(out, "rules     {wishes} of `prune --device`, which ingest and rebuild apply")?;
            }
            for (version, path) in old_copies(&database) {
                let path = shown(&path.to_string_lossy());
                writeln!(out, "old copy  {path}, of schema {version} (`prune --drop-old` removes it)")?;
            }
            out.write_all(imported_text(&imported).as_bytes())?;
            out.write_all(months::text(&months, false).as_bytes())
        }
    })?;
    Ok(outcome)
}

/// What another program counted before: a line for each interface.
fn imported_text(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for of_one in pieces.chunk_by(|a, b| a.interface == b.interface) {
        let [first, ..] = of_one else { continue };
        let sum = of_one.iter().fold(0_u64, |sum, piece| sum.saturating_add(piece.bytes()));
        let instant = |second: Option<i64>| utc(UnixNanos(second.unwrap_or_default().saturating_mul(NANOS_PER_SECOND)));
        let [from, to] = [of_one.iter().map(|p| p.from_s).min(), of_one.iter().map(|p| p.to_s).max()].map(instant);
        let interface = shown(&first.interface);
        // Writing to a String cannot fail.
        _ = writeln!(text, "imported  vnStat {interface}, {from} .. {to}: {}", bytes(sum));
    }
    text
}

/// Copies the database and its months into `to`; gives how many files are missing in the copy, as
/// they are missing here or damaged. Another program may book meanwhile: what the copy of the
/// database names is copied, and if a month was opened since, all is begun again. The copy of the
/// database gets its name when everything is on the disk.
fn backup(store: &Store, database: &Path, to: &Path) -> Result<u64, Error> {
    let failed = || Error::failed(format!("cannot copy the database to {}", shown(&to.to_string_lossy())));
    let io = |e: io::Error| failed().because(&e).hint_for(to, &e);
    files::make_folder(to).map_err(io)?;
    let copy = to.join(files::real(database).file_name().unwrap_or_default());
    let (unfinished, books) = (to.join(UNFINISHED), Folder::of(&copy));
    remove_unfinished(to, &books).map_err(io)?;
    if std::fs::read_dir(to).map_err(io)?.next().is_some() {
        return Err(failed().cause("the folder is not empty").hint("name one that is not there yet"));
    }
    let mut tries = 1;
    loop {
        store.copy_to(&unfinished).map_err(|e| store_error(&unfinished, &e))?;
        let copied = Store::open(&unfinished).map_err(|e| store_error(&unfinished, &e))?;
        let months = copied.closed().map_err(|e| store_error(&unfinished, &e))?;
        drop(copied);
        let faults = copy_months(&months, &Folder::of(database), &books).map_err(io)?;
        let is_gone = |fault: &ArchiveError| matches!(fault, ArchiveError::Missing { .. });
        let is_opened = || store.closed().map_or(true, |closed| closed != months);
        if tries < COPIES && faults.iter().any(is_gone) && is_opened() {
            tries += 1;
            remove_unfinished(to, &books).map_err(io)?;
            continue;
        }
        let named = || {
            files::open(&unfinished)?.sync_all()?;
            std::fs::rename(&unfinished, &copy)?;
            files::sync_folder(to)
        };
        named().map_err(io)?;
        note!("copied the database and {} of closed months", counted((months.len() - faults.len()) as u64, "file"));
        for fault in &faults {
            complain(&Error::failed("a file of a closed month is not in the copy").because(fault).hint(
                "everything else is in it. Where its segments are still there, `imon-analyze rebuild` brings it back",
            ));
        }
        return Ok(faults.len() as u64);
    }
}

/// Removes what a copy left that was cut short, if nothing else is in the folder.
fn remove_unfinished(to: &Path, books: &Folder) -> io::Result<()> {
    let own: Vec<_> = [""].into_iter().chain(BESIDE).map(|suffix| beside(&to.join(UNFINISHED), suffix)).collect();
    let inside = std::fs::read_dir(to)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let is_only_ours = inside.iter().all(|path| own.contains(path) || path == books.path());
    if !is_only_ours || !inside.contains(&to.join(UNFINISHED)) || !Store::is_begun(&to.join(UNFINISHED))? {
        return Ok(());
    }
    books.clear()?;
    // The database last: what is left is known by it.
    own.iter().rev().filter(|path| inside.contains(path)).try_for_each(std::fs::remove_file)
}

/// Copies files that are as they were written; gives what is wrong with the others.
fn copy_months(months: &[ClosedFile], from: &Folder, to: &Folder) -> io::Result<Vec<ArchiveError>> {
    let mut faults = Vec::new();
    for file in months {
        if let Err(fault) = from.checked(file) {
            faults.push(fault);
            continue;
        }
        let path = to.file(file);
        let folder = files::folder_of(&path);
        files::make_folder(folder)?;
        match files::copy(&from.file(file), &path) {
            // A month was opened since.
            Err(e) if e.kind() == io::ErrorKind::NotFound => faults.push(ArchiveError::of_file(from.file(file), e)),
            copied => {
                copied?;
                files::sync_up(folder, to.path()).map_err(|(_, error)| error)?;
            }
        }
    }
    Ok(faults)
}

fn lines(status: &Status, mut lines: Lines<'_>) -> io::Result<()> {
    lines.header(&COLUMNS);
    for source in &status.sources {
        let SourceRow { path, kind, ended, interface, first, last, len_bytes, records, .. } = source.clone();
        let gap = source.segment.and_then(|segment| status.timeline.before.get(&segment));
        let values = [
            Value::Text(path),
            Value::Text(kind),
            Value::Text(ended),
            Value::Text(interface),
            Value::Text(utc(first)),
            Value::Text(utc(last)),
            Value::Number(len_bytes),
            Value::Number(records),
            gap.map_or(Value::Null, |gap| Value::Text(utc(gap.from))),
            gap.map_or(Value::Null, |gap| Value::Text(gap.reason.clone())),
        ];
        lines.line(&values);
    }
    lines.finish()
}

fn text(status: &Status, database: &Path, around: &Surroundings) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    _ = writeln!(text, "database  {} ({} bytes)", shown(&database.to_string_lossy()), status.len_bytes);
    _ = writeln!(text, "sums      {} rows, {} hosts", status.rollup_rows, status.hosts);
    let today = around.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    _ = writeln!(text, "sites     by the public suffix list {}", suffix_list(today));
    let (first, last) = (status.sources.iter().map(|s| s.first).min(), status.sources.iter().map(|s| s.last).max());
    let span = first.zip(last).map(|(a, b)| format!(", {} .. {}", utc(a), utc(b))).unwrap_or_default();
    _ = writeln!(text, "sources   {}{span}", status.sources.len());
    let skip = status.sources.len().saturating_sub(LISTED);
    if skip > 0 {
        _ = writeln!(text, "  ({skip} older ones)");
    }
    for source in status.sources.iter().skip(skip) {
        let SourceRow { ended, kind, records, .. } = source;
        _ = writeln!(text, "  {}  {ended} {kind}, {records} records  {}", utc(source.first), shown(&source.path));
    }
    let Timeline { gaps, torn, .. } = &status.timeline;
    let skip = gaps.len().saturating_sub(GAPS_LISTED);
    _ = writeln!(text, "gaps      {} between segments", gaps.len());
    if skip > 0 {
        _ = writeln!(text, "  ({skip} older ones)");
    }
    for Gap { from, to, reason, interface } in gaps.iter().skip(skip) {
        let of = interface.as_deref().map(|name| format!(", {}", shown(name))).unwrap_or_default();
        _ = writeln!(text, "  {} .. {}  {}{of}", utc(*from), utc(*to), shown(reason));
    }
    for Torn { segment, interface, to } in torn.iter().rev().take(GAPS_LISTED) {
        _ = writeln!(text, "torn      {} of {}, records to {}", uuid(*segment), shown(interface), utc(*to));
    }
    text
}
