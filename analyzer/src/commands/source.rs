//! Where the books of a report come from: files in memory, or the store after ingesting what is
//! new.

use super::{
    Sources, archive_error, complain, each_source, hole_error, ingest, open_store_to_report, store_error, tell_faults,
};
use crate::archive::{self, Apart, Need, Only, Opened};
use crate::attribution::{AnswerBook, Attributor, Habits};
use crate::books::Books;
use crate::cli::{CaptureArgs, StoreArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::ingest::{Overheard, PublicServers, ReadOptions, TimeKeeper};
use crate::question::{Key, Question};
use crate::range::{Range, zoned};
use crate::report::overview::{self, Naming};
use crate::report::stretches;
use crate::rollup::Rollup;
use crate::say::note;
use crate::site::Sites;
use crate::store::seconds_of;
use crate::threads::Threads;
use imon_common::names::Name;
use imon_common::time::UnixNanos;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Environment variable with which a report on a dataset says how many bytes it read.
const SHOW_READ: &str = "IMON_SHOW_READ";

/// Pairs of sources that hold the same and are named on standard error; the document lists all.
pub(super) const NOTED_OVERLAPS: usize = 5;

/// Books, and whether all of the input is in them.
#[derive(Debug)]
pub struct Sourced {
    /// The books of the range.
    pub books: Books,
    /// `Skipped` if some of the input is not in them.
    pub outcome: Outcome,
    /// Where it was looked, for a report that finds nothing: a line each.
    pub looked: Vec<String>,
    /// Names that addresses had in the range, where they were wished for.
    pub names: Vec<(IpAddr, Name)>,
}

/// The books of `files`, kept in memory only; without files those of the store, after ingesting
/// what is new in the spools.
///
/// # Errors
/// Nothing could be read.
pub fn books(
    files: &[PathBuf],
    from: (&StoreArgs, &CaptureArgs),
    around: &Surroundings,
    range: &Range,
) -> Result<Sourced, Error> {
    wished(files, from, around, (range, Wish::Sums))
}

/// What is wished for beside the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    Sums,
    /// What pages pulled in, of files (the store has it always).
    Pages,
    /// Which names addresses had.
    Names,
}

/// As [`books`], with what is wished for.
///
/// # Errors
/// Nothing could be read.
pub(super) fn wished(
    files: &[PathBuf],
    (store, capture): (&StoreArgs, &CaptureArgs),
    around: &Surroundings,
    (range, wish): (&Range, Wish),
) -> Result<Sourced, Error> {
    let options = super::read_options(capture)?;
    let (pages, threads) = (wish == Wish::Pages, options.threads);
    let need = Need { range, pages, apart: Vec::new(), only: None, threads };
    let mut sourced = match files.is_empty() {
        true => of_store(store, options, around, (need, wish))?,
        false => of_files(files, options, range, wish)?,
    };
    around.config.name(&mut sourced.books);
    Ok(sourced)
}

/// How much of the books of a range a question needs.
#[derive(Debug)]
pub(super) struct Told<'a> {
    range: &'a Range,
    /// What pages pulled in.
    pages: bool,
    /// What it tells apart; nothing: every row is needed as it is.
    apart: Vec<Apart<'a>>,
    only: Option<Only<'a>>,
}

impl<'a> Told<'a> {
    /// What `question` tells apart, and no more.
    pub(super) fn by(question: &'a Question) -> Self {
        let apart = Apart::new(question.wanted(), |_| stretches(question));
        let pages = question.keys.contains(&Key::Page);
        Self { range: &question.range, pages, apart: vec![apart], only: None }
    }

    /// What a page on `question` tells apart.
    pub(super) fn of_page(question: &'a Question, sites: &'a Sites, naming: Naming) -> Self {
        let apart = overview::told_apart(question, sites, naming);
        Self { range: &question.range, pages: false, apart, only: None }
    }

    /// Of the rows these only, if there are any that are not asked for, where the store can tell.
    pub(super) fn only(self, only: Option<Only<'a>>) -> Self {
        Self { only, ..self }
    }

    /// Every row as it is.
    pub(super) fn everything(self) -> Self {
        Self { apart: Vec::new(), only: None, ..self }
    }

    fn need(self, threads: Threads) -> Need<'a> {
        let Self { range, pages, apart, only } = self;
        Need { range, pages, apart, only, threads }
    }
}

/// As [`books`], of what a question needs and no more.
///
/// # Errors
/// Nothing could be read.
pub(super) fn books_for(
    told: Told<'_>,
    files: &[PathBuf],
    (store, capture): (&StoreArgs, &CaptureArgs),
    around: &Surroundings,
) -> Result<Sourced, Error> {
    if !files.is_empty() {
        let wish = if told.pages { Wish::Pages } else { Wish::Sums };
        return wished(files, (store, capture), around, (told.range, wish));
    }
    let options = super::read_options(capture)?;
    let need = told.need(options.threads);
    let mut sourced = of_store(store, options, around, (need, Wish::Sums))?;
    around.config.name(&mut sourced.books);
    Ok(sourced)
}

/// The books of a dataset, of what a question needs.
///
/// # Errors
/// There is none, or a manifest of it cannot be read.
pub(super) fn of_dataset(root: &Path, told: Told<'_>, around: &Surroundings) -> Result<Sourced, Error> {
    let range = told.range;
    // Its files are read one after the other.
    let need = told.need(Threads::default());
    let path = shown(&root.to_string_lossy());
    if let Err(e) = std::fs::read_dir(root) {
        let failed = Error::failed(format!("cannot report on {path}")).because(&e);
        return Err(failed.hint("--dataset names the folder of an `imon-analyze export DIR`").hint_for(root, &e));
    }
    let Opened { mut books, holes, read_bytes } = archive::dataset_books(root, need).map_err(|error| {
        let told = Error::failed(format!("cannot report on {path}")).because(&error);
        told.hint("`imon-analyze export DIR` makes a dataset")
    })?;
    holes.iter().for_each(|hole| {
        let told = Error::failed(format!("a file of {} is missing in this report", hole.month)).because(&hole.error);
        complain(&told.hint("`imon-analyze export` with its database brings it back"));
    });
    if std::env::var_os(SHOW_READ).is_some() {
        note!("note: {read_bytes} bytes were read of the files of {path}");
    }
    around.config.name(&mut books);
    let looked = vec![format!("looked in: {path}"), held(&books, range, "it holds")];
    let outcome = Outcome::Skipped(u64::try_from(holes.len()).unwrap_or(u64::MAX));
    Ok(Sourced { books, outcome, looked, names: Vec::new() })
}

fn of_files(files: &[PathBuf], options: ReadOptions, range: &Range, wish: Wish) -> Result<Sourced, Error> {
    let rollup = Rollup { keep_learned: wish == Wish::Names, ..Rollup::default() };
    let mut attributor = Attributor::new(AnswerBook::default(), rollup);
    if wish == Wish::Pages {
        attributor.follow_pages(Habits::default());
    }
    let sources = Sources { paths: files.to_vec(), options };
    if sources.may_overlap() {
        attributor.look_for_overlaps();
    }
    let mut timed = Overheard { attributor, ear: (TimeKeeper::default(), PublicServers::default()) };
    let outcome = each_source(&sources, &mut timed)?;
    let (times, servers) = timed.ear;
    let (rollup, timeline) = (timed.attributor.finish(), times.finish());
    let mut books = rollup.books(range);
    let learned =
        rollup.learned.iter().filter(|(_, (first, last))| range.overlaps(*first, UnixNanos(last.0.saturating_add(1))));
    let names = learned.map(|((_, address, name), _)| (*address, name.clone())).collect();
    books.add_timeline(timeline, range);
    books.ledger.overlaps.iter().take(NOTED_OVERLAPS).for_each(super::note_overlap);
    rollup.skews.iter().take(NOTED_OVERLAPS).for_each(super::note_skew);
    servers.server().iter().for_each(super::note_public_server);
    let count =
        if files.len() == 1 { "1 file or folder".to_owned() } else { format!("{} files and folders", files.len()) };
    let looked = vec![format!("looked in: {count}"), held(&books, range, "they hold")];
    Ok(Sourced { books, outcome, looked, names })
}

fn of_store(
    args: &StoreArgs,
    options: ReadOptions,
    around: &Surroundings,
    (need, wish): (Need<'_>, Wish),
) -> Result<Sourced, Error> {
    let range = need.range;
    let database = args.database(around)?;
    let spools = args.spools(around);
    let mut store = open_store_to_report(args, around, &database, &spools)?;
    let outcome = ingest::new_sources(&mut store, &database, &spools, options)?.outcome();
    let Opened { mut books, holes, .. } = archive::books(&store, need).map_err(|e| archive_error(&database, &e))?;
    holes.iter().for_each(|hole| complain(&hole_error(hole)));
    let faults = store.faults_of_report(range).map_err(|e| store_error(&database, &e))?;
    let missing = tell_faults(&database, &faults).saturating_add(holes.len() as u64);
    let outcome = if missing > 0 { outcome.and_skipped(missing) } else { outcome };
    let (from_s, to_s) = seconds_of(range);
    books.imported = store.imported().map_err(|e| store_error(&database, &e))?;
    books.imported.retain(|piece| piece.from_s < to_s && piece.to_s > from_s);
    let names = match wish {
        Wish::Names => store.names_of_addresses(range).map_err(|e| store_error(&database, &e))?,
        _ => Vec::new(),
    };
    let places = std::iter::once(database.as_path()).chain(spools.iter().map(PathBuf::as_path));
    let places: Vec<String> = places.map(|place| shown(&place.to_string_lossy())).collect();
    let mut looked = vec![format!("looked in: {}", places.join(", ")), held(&books, range, "it holds")];
    if books.observed.is_none() {
        looked.push(
            "next: `imon-record --status` says whether a recorder runs; `imon-analyze ingest FILE` books a capture"
                .into(),
        );
    }
    Ok(Sourced { books, outcome, looked, names })
}

/// Which days there are at all.
fn held(books: &Books, range: &Range, they_hold: &str) -> String {
    let Some((first, last)) = books.observed else { return format!("{they_hold}: nothing") };
    let day = |at| zoned(at, &range.zone).map(|at| at.date().to_string()).unwrap_or_default();
    match (day(first), day(last)) {
        (first, last) if first == last => format!("{they_hold}: {first} (--in {first})"),
        (first, last) => format!("{they_hold}: {first} to {last} (--in {first}..{last})"),
    }
}
