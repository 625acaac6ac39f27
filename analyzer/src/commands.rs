//! One file for each subcommand: from the command line as typed to what it prints. They join the
//! rooms; what a room does is none of their business. Results go to a writer that is handed in;
//! complaints about single inputs go to standard error.

mod alert;
mod check;
mod close;
mod config;
mod errors;
mod explain;
mod export;
mod flows;
mod gauges;
mod import;
mod ingest;
mod inputs;
mod lines;
mod lists;
mod names;
mod notes;
mod parties;
mod plan;
mod prune;
mod rebuild;
mod report;
mod resolve;
mod site;
mod source;
mod status;
mod summary;
mod top;
mod verify;
mod who;

use crate::archive::Folder;
use crate::cli::{Command, StoreArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::files;
use crate::ingest::is_kept;
use crate::owners::Owners;
pub(crate) use crate::question::mac_text;
use crate::say::note;
use crate::site::Sites;
use crate::store::{Store, tell_waits};
use errors::{archive_error, booking_error, hole_error, none_damaged, tell_faults};
pub use errors::{ingest_error, no_database, partly, store_error};
use imon_common::time::UnixNanos;
pub use inputs::{Sources, each_source};
use inputs::{all_named, each_found, found, read_options, segments};
use lists::{Asked, Where};
pub use notes::complain;
use notes::{
    note_copy, note_gone, note_overlap, note_public_server, note_skew, note_spotted, note_tightened, note_twins,
    note_upgraded, note_wait,
};
pub use source::{Sourced, books};
use std::io::{self, BufWriter, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};

/// What to do where the database names a segment that is there, and not in what a command may read:
/// a database may come from a stranger, and say what it likes.
const OUT_OF_REACH: &str =
    "it is there, but outside of the database's folder and the spools: --spool FOLDER lets it in";

/// Runs a command; results go to `out` (standard output, or the file that is named), everything
/// else to standard error. `servers`: with `--resolve` the sockets that are connected to DNS
/// servers, or why there are none.
///
/// # Errors
/// What kept it from being done.
pub fn run(
    command: &Command,
    around: &Surroundings,
    servers: Option<Result<Vec<UdpSocket>, Error>>,
    out: &mut dyn Write,
) -> Result<Outcome, Error> {
    tell_waits(note_wait);
    match command {
        Command::Ingest(args) => ingest::run(args, around),
        Command::Close(args) => close::run(args, around),
        Command::Import(args) => import::run(args, around),
        Command::Report(args) => report::run(args, around, servers, out),
        Command::Site(args) => site::run(args, around, out),
        Command::Flows(args) => lists::flows(args, around, out),
        Command::Names(args) => lists::names(args, around, out),
        Command::Verify(args) => verify::run(args, out),
        Command::Explain(args) => explain::run(args, around, out),
        Command::Export(args) => export::run(args, around),
        Command::Check(args) => check::run(args, out),
        Command::Status(args) => status::run(args, around, out),
        Command::Rebuild(args) => rebuild::run(args, around, out),
        Command::Prune(args) => prune::run(args, around),
        Command::Plan(args) => plan::run(args, around, out),
        Command::Alert(args) => alert::run(args, around, out),
        Command::Config(args) => config::run(args, around, out),
        Command::Top(args) => top::run(args, around, out),
    }
}

/// Hands `write` the writer `out`, which is the file `to` where one is named, and sees to it that
/// everything arrives.
///
/// # Errors
/// Writing fails; a closed pipe is an error that counts as none.
pub fn deliver(
    to: Option<&Path>,
    out: &mut dyn Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    let mut buffered = BufWriter::with_capacity(64 * 1024, out);
    let written = write(&mut buffered).and_then(|()| buffered.flush());
    if written.is_err() {
        // What is still in the buffer is no result: a file stays as it was.
        _ = buffered.into_parts();
    }
    let target = to.filter(|path| path.as_os_str() != "-").map(Path::to_string_lossy);
    written.map_err(|e| Error::writing(target.as_deref().unwrap_or("to standard output"), &e))
}

/// Opens the store of a command that reads or changes what is booked: it makes none.
fn open_existing_store(database: &Path) -> Result<Store, Error> {
    if Store::is_absent(database).map_err(|e| store_error(database, &e))? {
        return Err(no_database(database));
    }
    open_store(database)
}

/// Opens the store of a command that reports, after which what is new in `spools` is booked. It is
/// made only where its name cannot be a mistyped one.
fn open_store_to_report(
    args: &StoreArgs,
    around: &Surroundings,
    database: &Path,
    spools: &[PathBuf],
) -> Result<Store, Error> {
    if spools.is_empty() || !args.may_make(around) {
        return open_existing_store(database);
    }
    if is_to_be_made(database)? {
        // Of a spool that is mistyped nothing is booked, and nothing made.
        ingest::any_known(spools)?;
        if args.typed_database(around).is_some() {
            note!("note: made the database {}", shown(&database.to_string_lossy()));
        }
    }
    open_store(database)
}

/// Whether there is no database yet. Where closed months lie beside it there was one: a new one
/// would report without them, and say nothing.
///
/// # Errors
/// There was one, or what is there cannot be used.
fn is_to_be_made(database: &Path) -> Result<bool, Error> {
    let is_absent = Store::is_absent(database).map_err(|e| store_error(database, &e))?;
    match is_absent && Folder::of(database).found().is_ok_and(|found| !found.is_empty()) {
        true => Err(no_database(database)),
        false => Ok(is_absent),
    }
}

/// Opens the store of a command, and makes it if it is not there.
fn open_store(database: &Path) -> Result<Store, Error> {
    let store = Store::open(database).map_err(|e| store_error(database, &e))?;
    let mut tightened = store.tightened().to_vec();
    tightened.extend(tighten_captures(&ingest::captures_folder(database), !tightened.is_empty()));
    note_tightened(&tightened);
    store.upgraded().into_iter().for_each(note_upgraded);
    Ok(store)
}

/// Tells that labels are missing because a record of `--owners` is damaged.
fn owners_told(sites: &Sites, outcome: Outcome) -> Outcome {
    let Some(damage) = sites.owners().and_then(Owners::damage) else { return outcome };
    complain(
        &Error::failed("some addresses have no label")
            .cause(damage)
            .hint("the file of --owners is damaged: get it again"),
    );
    outcome.and_skipped(1)
}

/// Makes the folder of kept captures private, if nothing else is in it, and if it or the database
/// was not, the captures in it. A folder of that name may have been there, with other captures.
fn tighten_captures(folder: &Path, with_files: bool) -> Vec<(PathBuf, u32)> {
    if files::is_anothers_link(folder) || (!with_files && !files::is_open(folder)) {
        return Vec::new();
    }
    let inside = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let (kept, others): (Vec<PathBuf>, Vec<PathBuf>) = inside.partition(|path| is_kept(path));
    let folder = Some(folder.to_owned()).filter(|_| others.is_empty() && !kept.is_empty());
    // What cannot be changed belongs to somebody else, and is his to change.
    let tighten = |path: PathBuf| files::tighten(&path).ok().flatten().map(|was| (path, was));
    folder.into_iter().chain(kept).filter_map(tighten).collect()
}

/// An instant for scripts: RFC 3339 in UTC, always with nine digits behind the second, so that
/// every reader takes a column of them as times.
pub(crate) fn utc(at: UnixNanos) -> String {
    jiff::Timestamp::from_nanosecond(at.0.into()).map(|t| format!("{t:.9}")).unwrap_or_default()
}
