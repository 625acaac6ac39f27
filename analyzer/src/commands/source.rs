//! Where the books of a report come from: files in memory, or the store after ingesting what is new.

use crate::books::Books;
use crate::cli::{CaptureArgs, StoreArgs, Surroundings};
use crate::error::{Error, Outcome};
use crate::range::Range;
use std::path::PathBuf;

/// Books, and whether all of the input is in them.
#[derive(Debug)]
pub struct Sourced {
    /// The books of the range.
    pub books: Books,
    /// `Skipped` if some of the input is not in them.
    pub outcome: Outcome,
}

/// The books of `files`, kept in memory only; without files those of the store, after ingesting what is new in the
/// spools.
///
/// # Errors
/// Nothing could be read.
pub fn books(
    _files: &[PathBuf],
    _store: &StoreArgs,
    _capture: &CaptureArgs,
    _around: &Surroundings,
    _range: &Range,
) -> Result<Sourced, Error> {
    Err(Error::failed("there are no sources yet"))
}
