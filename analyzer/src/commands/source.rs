//! Where the books of a report come from: files in memory, or the store after ingesting what is new.

use super::{Sources, each_source, ingest, open_existing_store, open_store, store_error};
use crate::attribution::{AnswerBook, Attributor, Habits};
use crate::books::Books;
use crate::cli::{CaptureArgs, StoreArgs, Surroundings};
use crate::error::{Error, Outcome};
use crate::ingest::{ReadOptions, Timed};
use crate::progress::Progress;
use crate::range::Range;
use crate::rollup::Rollup;
use std::path::PathBuf;

/// Books, and whether all of the input is in them.
#[derive(Debug)]
pub struct Sourced {
    /// The books of the range.
    pub books: Books,
    /// `Skipped` if some of the input is not in them.
    pub outcome: Outcome,
}

/// The books of `files`, kept in memory only, and with `pages` those of pages too (the store has them always); without
/// files those of the store, after ingesting what is new in the spools.
///
/// # Errors
/// Nothing could be read.
pub fn books(
    files: &[PathBuf],
    store: &StoreArgs,
    capture: &CaptureArgs,
    around: &Surroundings,
    range: &Range,
    pages: bool,
) -> Result<Sourced, Error> {
    let options =
        ReadOptions { local: capture.local_nets()?, progress: Progress::on_terminal(), ..ReadOptions::default() };
    if files.is_empty() { of_store(store, options, around, range) } else { of_files(files, options, range, pages) }
}

fn of_files(files: &[PathBuf], options: ReadOptions, range: &Range, pages: bool) -> Result<Sourced, Error> {
    let mut attributor = Attributor::new(AnswerBook::default(), Rollup::default());
    if pages {
        attributor.follow_pages(Habits::default());
    }
    let sources = Sources { paths: files.to_vec(), options };
    let mut timed = Timed::new(attributor);
    let outcome = each_source(&sources, &mut timed)?;
    let (rollup, timeline) = timed.finish();
    let mut books = rollup.books(range);
    books.add_timeline(timeline, range);
    Ok(Sourced { books, outcome })
}

fn of_store(args: &StoreArgs, options: ReadOptions, around: &Surroundings, range: &Range) -> Result<Sourced, Error> {
    let database = args.database(around)?;
    let spools = args.spools(around);
    // Where nothing was recorded there is nothing to book: a database made then would hide a mistyped name.
    let mut store = if spools.is_empty() { open_existing_store(&database) } else { open_store(&database) }?;
    let outcome = ingest::new_sources(&mut store, &database, &spools, options)?.outcome();
    let books = store.books(range).map_err(|e| store_error(&database, &e))?;
    Ok(Sourced { books, outcome })
}
