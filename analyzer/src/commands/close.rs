//! `close`: months that are over are put away; `ingest` does it by itself.

use super::{archive_error, complain, none_damaged, open_existing_store, store_error};
use crate::archive::{Archive, Closing, Leftovers, Why};
use crate::books::month::Month;
use crate::cli::{CloseArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::say::note;
use crate::store::Store;
use crate::table::units::{bytes, counted};
use std::path::Path;

/// Files of another database that are named one by one.
const STRANGE: usize = 3;

pub(super) fn run(args: &CloseArgs, around: &Surroundings) -> Result<Outcome, Error> {
    let database = args.store.database(around)?;
    let mut store = open_existing_store(&database)?;
    let _lock = store.lock().map_err(|e| store_error(&database, &e))?;
    if args.month.is_empty() {
        return due(&mut store, &database, around).map(|()| Outcome::Complete);
    }
    let failed = |e| archive_error(&database, &e);
    let now = around.now_nanos().unwrap_or_default();
    let faults = store.faults_of_months().map_err(|e| store_error(&database, &e))?;
    none_damaged(&database, &faults)?;
    tidy(&mut store, &database)?;
    let mut archive = Archive::new(&mut store).map_err(failed)?;
    let mut left = 0;
    for month in &args.month {
        let closing = archive.close(*month, now).map_err(failed)?;
        tell(*month, &closing);
        if let Closing::Open(why) = closing
            && !is_closed(&archive, *month, &why).map_err(failed)?
        {
            left += 1;
            complain(&stays_open(*month, &why));
        }
    }
    Ok(Outcome::Skipped(left))
}

/// Whether a month of which nothing is open is put away already.
fn is_closed(archive: &Archive<'_>, month: Month, why: &Why) -> Result<bool, crate::archive::ArchiveError> {
    Ok(*why == Why::Nothing && archive.months()?.contains_key(&month))
}

/// Puts away what is due, after an ingest.
///
/// # Errors
/// The database, or the folder of its months.
pub(super) fn due(store: &mut Store, database: &Path, around: &Surroundings) -> Result<(), Error> {
    let failed = |e| archive_error(database, &e);
    let Some(now) = around.now_nanos() else { return Ok(()) };
    // What a damaged list does not name would be removed.
    let faults = store.faults_of_months().map_err(|e| store_error(database, &e))?;
    none_damaged(database, &faults)?;
    tidy(store, database)?;
    let mut archive = Archive::new(store).map_err(failed)?;
    for (month, closing) in archive.close_due(now).map_err(failed)? {
        tell(month, &closing);
    }
    Ok(())
}

/// Removes what closings left that were cut short.
///
/// # Errors
/// The database, or the folder of its months.
pub(super) fn tidy(store: &mut Store, database: &Path) -> Result<(), Error> {
    let left = Archive::new(store).and_then(|mut archive| archive.tidy());
    tell_leftovers(&left.map_err(|e| archive_error(database, &e))?);
    Ok(())
}

fn tell(month: Month, closing: &Closing) {
    if let Closing::Closed { rows, len_bytes } = closing {
        note!("closed {month}: {} in {}", counted(*rows, "row"), bytes(*len_bytes));
    }
}

fn tell_leftovers(left: &Leftovers) {
    if left.strange.is_empty() {
        return;
    }
    let files = counted(left.strange.len() as u64, "file");
    note!("note: not of this database, and left in place: {files} of months");
    left.strange.iter().take(STRANGE).for_each(|path| note!("  {}", shown(&path.to_string_lossy())));
    note!("  hint: if the database was lost or is an old copy, `imon-analyze rebuild --from-books` takes them in");
}

fn stays_open(month: Month, why: &Why) -> Error {
    let error = Error::failed(format!("{month} stays open"));
    match why {
        Why::Nothing => error.cause("the database holds nothing of it"),
        Why::NotOver => error.cause("a month is closed seven days after its end (UTC)"),
        Why::OpenSource(path) => error.cause(format!("{} may still grow", shown(path))),
        Why::Stale(path) => error
            .cause(format!("{} is to be booked again", shown(path)))
            .hint("`imon-analyze ingest` does that, and closes the month"),
    }
}
