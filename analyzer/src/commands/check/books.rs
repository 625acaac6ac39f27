//! `check DATABASE`: the database itself, and the files of months that are closed.

use super::super::{archive_error, open_existing_store, store_error};
use crate::archive::Archive;
use crate::books::month::Month;
use crate::error::{Error, shown};
use crate::store::StoreError;
use crate::table::units::{bytes, thousands};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Faults beside the sums that are told one by one.
const FAULTS: usize = 100;

/// What was looked at: a month, or the database.
#[derive(Debug)]
pub(super) struct Looked {
    /// The file, or the database.
    pub(super) path: PathBuf,
    /// The month; `None`: the database.
    pub(super) month: Option<Month>,
    /// Rows of sums.
    pub(super) rows: u64,
    /// Bytes.
    pub(super) len_bytes: u64,
    /// What is wrong with it.
    pub(super) fault: Option<String>,
}

/// Whether a file is a database, by its first bytes.
pub(super) fn is_database(path: &Path) -> bool {
    let mut head = [0; 16];
    let read = crate::files::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && &head == b"SQLite format 3\0"
}

/// Looks into a database and into all of its months.
///
/// # Errors
/// The database cannot be opened.
pub(super) fn look(database: &Path) -> Result<Vec<Looked>, Error> {
    let mut store = open_existing_store(database)?;
    let failed = |e: StoreError| store_error(database, &e);
    let mut fault = store.faults().map_err(failed)?;
    let mut rows = 0;
    for month in store.open_months().map_err(failed)? {
        match store.month_rows(month) {
            Ok(of_month) => rows += of_month.rows.len() as u64,
            Err(error) => fault = fault.or(Some(format!("{month}: {error}"))),
        }
    }
    let beside = store.faults_beside().map_err(failed)?;
    let fault = fault.or_else(|| {
        let told: Vec<String> = beside.iter().take(FAULTS).map(ToString::to_string).collect();
        let more = beside.len().saturating_sub(told.len());
        let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
        (!told.is_empty()).then(|| told.join("; ") + &more)
    });
    let len_bytes = std::fs::metadata(database).map_or(0, |about| about.len());
    let mut looked = vec![Looked { path: database.to_owned(), month: None, rows, len_bytes, fault }];
    let archive = Archive::new(&mut store).map_err(|e| archive_error(database, &e))?;
    for (month, files) in archive.months().map_err(|e| archive_error(database, &e))? {
        for file in &files {
            let fault = archive.check(std::slice::from_ref(file)).err().map(|error| {
                std::error::Error::source(&error).map_or_else(|| error.to_string(), |why| format!("{error}: {why}"))
            });
            let (rows, len_bytes) = (file.sums.rows, file.len_bytes);
            looked.push(Looked { path: archive.path_of(file), month: Some(month), rows, len_bytes, fault });
        }
    }
    Ok(looked)
}

/// For people.
pub(super) fn text(looked: &[Looked]) -> String {
    let mut text = String::new();
    for Looked { path, month, rows, len_bytes, fault } in looked {
        let what = month.map_or_else(|| "open months".to_owned(), |month| format!("month {month}"));
        let path = shown(&path.to_string_lossy());
        // Writing to a String cannot fail.
        _ = writeln!(text, "{path}\n  {what}: {} rows, {}", thousands(*rows), bytes(*len_bytes));
        _ = match fault {
            None => writeln!(text, "  whole: every row agrees with its checksum"),
            Some(fault) => writeln!(
                text,
                "  DAMAGED: {}\n  all other months are good; a backup of this file, or `imon-analyze rebuild` where \
                 its segments are there, brings it back",
                shown(fault)
            ),
        };
    }
    text
}
