//! One file for each subcommand: from the command line as typed to what it prints. They join the
//! rooms; what a room does is none of their business. Results go to a writer that is handed in;
//! complaints about single inputs go to standard error.

mod alert;
mod check;
mod close;
mod config;
mod explain;
mod export;
mod flows;
mod gauges;
mod ingest;
mod lines;
mod names;
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

pub use source::{Sourced, books};

use crate::archive::{ArchiveError, Hole};
use crate::attribution::Skew;
use crate::books::{Books, Evidence, Host, Interface, Overlap};
use crate::cli::{CaptureArgs, Command, Every, FlowsArgs, LineFormat, NamesArgs, ObservationArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::exported::{ExportOptions, Gatherer, Names, Spotted};
use crate::files;
use crate::ingest::{
    CaptureRun, Copied, Found, IngestError, Inputs, Read, ReadOptions, Taker, Threads, find, in_order, inputs,
    is_segment_name, leave_out_copies, read_all, twins,
};
use crate::input::InputError;
use crate::owners::Owners;
use crate::progress::Progress;
pub(crate) use crate::question::mac_text;
use crate::question::{DeviceName, Filters, HostFilter};
use crate::range::Range;
use crate::recorders::Recorders;
use crate::report::{Masker, overlap_text};
use crate::rollup::{Interner, Seen};
use crate::say::note;
use crate::site::Sites;
use crate::store::{Store, StoreError, Wait, tell_waits};
use crate::table::Field;
use imon_common::capture_file::CaptureFileError;
use imon_common::flow::Flow;
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use lines::Lines;
use parties::Parties;
use serde_json::json;
use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to do where the database names a segment that is there, and not in what a command may read:
/// a database may come from a stranger, and say what it likes.
const OUT_OF_REACH: &str =
    "it is there, but outside of the database's folder and the spools: --spool FOLDER lets it in";

/// Files that are private from now on that are named one by one.
const MOST_TIGHTENED: usize = 5;

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
        Command::Report(args) => report::run(args, around, servers, out),
        Command::Site(args) => site::run(args, around, out),
        Command::Flows(args) => flows(args, around, out),
        Command::Names(args) => names(args, around, out),
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

/// Which flows or names are asked for.
struct Asked<'a> {
    sites: &'a Sites,
    hosts: HostFilter<'a>,
    devices: &'a [DeviceName],
    /// How what is told of both sides is shown.
    parties: Parties<'a>,
    /// Recorders that the user has named.
    recorders: &'a Recorders,
    filters: &'a Filters,
    range: Range,
    min_bytes: u64,
}

impl Asked<'_> {
    /// What makes the lists, and which range and bytes they are of.
    fn made_by(&self) -> Vec<Field> {
        let instant = |at: Option<UnixNanos>| at.map(utc);
        let mut fields = crate::version::fields(self.sites);
        let Range { from, to, .. } = self.range;
        fields.push(("range", json!({"from": instant(from), "to": instant(to), "zone": self.range.zone_name()})));
        let only = self.parties.masker.filters(self.filters);
        let only: serde_json::Map<_, _> =
            only.into_iter().map(|(what, values)| (what.to_owned(), json!(values))).collect();
        fields.extend((!only.is_empty()).then(|| ("only", only.into())));
        fields
    }

    /// Whether what is booked on, or names, `host` by `evidence` is asked for.
    fn takes(&self, host: &Host, evidence: Evidence) -> bool {
        self.filters.takes_evidence(evidence) && self.hosts.takes(host)
    }

    /// Something on our side, as it is shown.
    fn own(&self, what: &'static str, text: &str) -> String {
        self.parties.masker.own(what, text).into_owned()
    }

    /// Whether what is of this client is asked for.
    fn takes_client(&self, client: IpAddr, mac: Option<Mac>) -> bool {
        takes_client(self.devices, client, mac)
    }
}

/// Runs `flows`, or its list by quarters of an hour.
fn flows(args: &FlowsArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let observations = &args.observations;
    match args.every {
        Some(Every::Quarter) if observations.format() == LineFormat::DisplayFilter => {
            Err(Error::usage("a display filter has no quarters of an hour")
                .hint("`imon-analyze flows FILE --format display-filter` without --every"))
        }
        Some(Every::Quarter) => self::observations(observations, around, out, flows::quarters::run),
        None => {
            no_names_of_devices(&observations.filters.filters(&around.config)?)?;
            self::observations(observations, around, out, flows::run)
        }
    }
}

/// Whether what is of this client is asked for, by devices that are no names.
fn takes_client(devices: &[DeviceName], client: IpAddr, mac: Option<Mac>) -> bool {
    devices.is_empty() || devices.iter().any(|device| device.is(client, mac, None))
}

/// Runs `names`, or its summary.
fn names(args: &NamesArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    if args.observations.format() == LineFormat::DisplayFilter {
        return Err(Error::usage("names are no flows that a display filter could find")
            .hint("`imon-analyze flows FILE --site NAME --format display-filter`"));
    }
    if !args.summary {
        no_names_of_devices(&args.observations.filters.filters(&around.config)?)?;
        return observations(&args.observations, around, out, names::run);
    }
    if !args.observations.filters.is_empty() || args.observations.range.is_some() {
        return Err(Error::usage("--summary is of all names of its files")
            .hint("without --summary, names are listed for one site, device or time"));
    }
    observations(&args.observations, around, out, |sources, asked, lines| summary::run(sources, asked.made_by(), lines))
}

/// Runs `work` for the files of `flows` or `names`, and sees to it that its lines arrive.
fn observations(
    args: &ObservationArgs,
    around: &Surroundings,
    out: &mut dyn Write,
    work: impl FnOnce(&Sources, &Asked<'_>, &mut Lines<'_>) -> Result<Outcome, Error>,
) -> Result<Outcome, Error> {
    let options = read_options(&args.capture)?;
    let sources = Sources { paths: args.files.clone(), options };
    let to = args.output.as_deref();
    let (sites, filters) = (args.owners.on(args.sites.sites()?)?, args.filters.filters(&around.config)?);
    let masker = Masker::new(args.mask.mask, &Books::default());
    if masker.what().is_some() && args.format() == LineFormat::DisplayFilter {
        return Err(Error::usage("--mask and --format display-filter do not go together")
            .cause("a display filter is made of the addresses that a mask hides"));
    }
    let asked = Asked {
        hosts: HostFilter::new(&filters, &sites),
        devices: &filters.devices,
        parties: Parties {
            known: &around.config.devices,
            local: &sources.options.local,
            masker: &masker,
            sites: &sites,
        },
        recorders: &around.config.recorders,
        sites: &sites,
        filters: &filters,
        range: args.range.range(around, true)?,
        min_bytes: args.min,
    };
    let mut outcome = None;
    let written = deliver(to, out, |out| {
        let mut lines = Lines::new(out, args.format());
        let done = outcome.insert(work(&sources, &asked, &mut lines));
        if done.is_err() {
            // No result, and the error is told instead of this one.
            return Err(io::ErrorKind::InvalidInput.into());
        }
        lines.finish()
    });
    // A command that could not read its input says so first. Without an outcome the output could
    // not be made.
    let outcome = outcome.transpose()?;
    written.map(|()| owners_told(&sites, outcome.unwrap_or_default()))
}

/// Where what comes is seen: sources and their interfaces, as far as they have been read.
#[derive(Debug, Default)]
struct Where {
    seen: Seen,
    interfaces: Interner<Interface>,
}

impl Where {
    /// The interface that a flow of a source is on.
    fn interface(&mut self, source: usize, flow: &Flow) -> Interface {
        let index = self.seen.index_of(source, flow, &mut self.interfaces);
        self.interfaces.get(index).cloned().unwrap_or_default()
    }

    /// Whether a flow of a source is asked for by where it was seen, and read.
    fn is_taken(&mut self, filters: &Filters, source: usize, flow: &Flow) -> bool {
        filters.takes_interface(&self.interface(source, flow)) && filters.takes_source(&self.seen.source(source))
    }
}

/// That no device is asked for by its name.
///
/// # Errors
/// Usage: one is.
fn no_names_of_devices(filters: &Filters) -> Result<(), Error> {
    let Some(name) = filters.devices.iter().find(|device| matches!(device, DeviceName::Called(_))) else {
        return Ok(());
    };
    Err(Error::usage(format!("--device {} is no address", shown(&name.to_string())))
        .cause("flows and names are looked at as they come, before all names of devices are known")
        .hint("`report FILE --by device` shows the address of each device"))
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
    if !database.try_exists().unwrap_or(true) {
        let path = shown(&database.to_string_lossy());
        return Err(Error::failed(format!("there is no database {path}"))
            .hint("`imon-analyze ingest` makes it; --database FILE names another"));
    }
    open_store(database)
}

/// Opens the store of a command, and makes it if it is not there.
fn open_store(database: &Path) -> Result<Store, Error> {
    let store = Store::open(database).map_err(|e| store_error(database, &e))?;
    let mut tightened = store.tightened().to_vec();
    tightened.extend(tighten_captures(&ingest::captures_folder(database), !tightened.is_empty()));
    note_tightened(&tightened);
    Ok(store)
}

/// Files named on the command line, and how to read them.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Paths as typed; folders stand for the segments in them.
    pub paths: Vec<PathBuf>,
    /// How to read them.
    pub options: ReadOptions,
}

impl Sources {
    /// Whether two of them may hold the same bytes, and these count once: one file cannot hold what
    /// another one does.
    fn may_overlap(&self) -> bool {
        let are_several = self.paths.len() > 1 || self.paths.iter().any(|path| path.is_dir());
        are_several && !self.options.allow_overlap
    }
}

/// The files that a path stands for that the user has named: itself, or the segments and captures
/// in a folder. What was left out is told.
///
/// # Errors
/// It does not exist, or it is a folder without any.
fn named(path: &Path, doing: &str) -> Result<Vec<PathBuf>, Error> {
    let failed = || Error::failed(format!("cannot {doing} {}", shown(&path.to_string_lossy())));
    let Inputs { files, left_out } = inputs(path).map_err(|e| failed().because(&e).hint_for(path, &e))?;
    if files.is_empty() {
        return Err(failed()
            .cause(format!("there is no segment and no capture in this folder ({left_out} other files)"))
            .hint("segments of imon-record, pcap and pcapng files are read, also compressed"));
    }
    if left_out > 0 {
        note_left_out(path, left_out);
    }
    Ok(files)
}

/// The segments that a path stands for.
///
/// # Errors
/// It does not exist, or it is a folder without segments.
fn segments(path: &Path, doing: &str) -> Result<Vec<PathBuf>, Error> {
    let failed = || Error::failed(format!("cannot {doing} {}", shown(&path.to_string_lossy())));
    let found = find(path).map_err(|e| failed().because(&e).hint_for(path, &e))?;
    if found.is_empty() {
        return Err(failed().cause("there is no segment in this folder"));
    }
    Ok(found)
}

/// Tells that files of a folder are not read.
fn note_left_out(path: &Path, left_out: u64) {
    let path = shown(&path.to_string_lossy());
    note!("note: {left_out} files in {path} are neither segments nor captures, and are left out");
}

/// Reads all sources and hands their observations to `taker`. One that cannot be read is told on
/// standard error and counted as skipped.
///
/// # Errors
/// No source at all could be read.
pub fn each_source<T: Taker>(sources: &Sources, taker: &mut T) -> Result<Outcome, Error> {
    let (found, missing) = found(sources)?;
    Ok(each_found(&found, &sources.options, taker)?.and_skipped(missing))
}

/// The files that sources stand for, each once, in the order in which they are read and numbered;
/// and how many paths stand for none, which is told.
///
/// # Errors
/// No path stands for any file.
fn found(sources: &Sources) -> Result<(Vec<Found>, u64), Error> {
    let (all, missing) = all_named(&sources.paths, "read")?;
    let mut all = all;
    // Named twice, or by a link: no byte is counted twice. What has no such path is standard input.
    let mut seen = HashSet::new();
    all.retain(|found| !found.canonicalize().is_ok_and(|path| !seen.insert(path)));
    let (found, copies) = leave_out_copies(in_order(all));
    copies.iter().for_each(note_copy);
    Ok((found, missing))
}

/// The files that several paths stand for, and how many of them stand for none, which is told.
///
/// # Errors
/// None stands for any.
fn all_named(paths: &[PathBuf], doing: &str) -> Result<(Vec<PathBuf>, u64), Error> {
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match named(path, doing) {
            Ok(files) => all.extend(files),
            Err(error) => errors.push(error),
        }
    }
    let last = if all.is_empty() { errors.pop() } else { None };
    errors.iter().for_each(complain);
    match last {
        Some(error) => Err(error),
        None => Ok((all, u64::try_from(errors.len()).unwrap_or(u64::MAX))),
    }
}

fn each_found<T: Taker>(found: &[Found], options: &ReadOptions, taker: &mut T) -> Result<Outcome, Error> {
    if let Some((one, other)) = twins(found) {
        note_twins(&one, &other);
    }
    let (mut skipped, mut done, mut last_error) = (0, 0u64, None);
    for (source, result) in read_all(found, options, taker) {
        let Some(path) = found.get(source).map(|found| &found.path) else { continue };
        match result {
            Ok(read) => {
                done += 1;
                if let Read::Capture(CaptureRun { spotted: Some(spotted), .. }) = &read {
                    note_spotted(path, *spotted);
                }
                if let Some(part) = read.skipped() {
                    skipped += 1;
                    complain(&partly(path, &part));
                }
            }
            Err(error) => {
                skipped += 1;
                let error = ingest_error(path, "read", &error);
                if let Some(earlier) = last_error.replace(error) {
                    complain(&earlier);
                }
            }
        }
    }
    match last_error {
        Some(error) if done == 0 => Err(error),
        Some(error) => {
            complain(&error);
            Ok(Outcome::Skipped(skipped))
        }
        None => Ok(Outcome::Skipped(skipped)),
    }
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

/// Tells something on standard error.
#[allow(clippy::print_stderr)] // the one place for it beside main
pub fn complain(error: &Error) {
    eprintln!("{error}");
}

/// Tells that a capture holds the packets of another one.
fn note_copy(Copied { path, of, is_beginning }: &Copied) {
    let [path, of] = [path, of].map(|path| shown(&path.to_string_lossy()));
    let what = if *is_beginning { "holds the first packets of" } else { "holds the same packets as" };
    note!("note: {path} {what} {of}: they count once");
}

/// Tells what is in two sources and counts in one of them.
fn note_overlap(overlap: &Overlap) {
    note!("note: {}", overlap_text(overlap));
}

/// Tells that the clocks of two recorders are apart, so that what both saw counts twice.
fn note_skew(Skew { ahead, behind, by_ns, flows }: &Skew) {
    let [ahead, behind] = [ahead, behind].map(|name| shown(name));
    let tenths = by_ns / 100_000_000;
    let (seconds, tenth) = (tenths / 10, tenths % 10);
    note!(
        "note: the clock of {ahead} is {seconds}.{tenth} s ahead of that of {behind}, by {flows} connections in both"
    );
    note!(
        "  hint: what both saw counts twice, as their seconds do not fit: report on one of them, or correct its times"
    );
}

/// Tells that two recorders cannot be told apart.
fn note_twins(one: &Path, other: &Path) {
    let [one, other] = [one, other].map(|path| shown(&path.to_string_lossy()));
    note!("note: {one} and {other} have one place among the segments of one recorder");
    note!(
        "  hint: on a machine that is a copy of another, remove recorder.id from the spool and start imon-record anew"
    );
}

/// Makes the folder of kept captures private, and if it or the database was not, the captures in
/// it.
fn tighten_captures(folder: &Path, with_files: bool) -> Vec<(PathBuf, u32)> {
    // What cannot be changed belongs to somebody else, and is his to change.
    let tighten = |path: PathBuf| files::tighten(&path).ok().flatten().map(|was| (path, was));
    let mut tightened: Vec<_> = tighten(folder.to_owned()).into_iter().collect();
    if with_files || !tightened.is_empty() {
        let inside = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        tightened.extend(inside.filter(|path| is_segment_name(path)).filter_map(tighten));
    }
    tightened
}

/// Tells that files of ours are private from now on.
fn note_tightened(tightened: &[(PathBuf, u32)]) {
    for (path, was) in tightened.iter().take(MOST_TIGHTENED) {
        let path = shown(&path.to_string_lossy());
        note!("note: the mode of {path} was {was:o}: what imon keeps is now its user's, or its group's, alone");
    }
    if let more @ 1.. = tightened.len().saturating_sub(MOST_TIGHTENED) {
        note!("note: the same for {more} more files");
    }
}

/// Tells what is waited for.
fn note_wait(wait: &Wait) {
    let at_most = wait.at_most.as_secs();
    match (&wait.lock, wait.holder) {
        (Some(path), Some(holder)) => {
            let path = shown(&path.to_string_lossy());
            note!("note: waiting for {holder}, which books and holds {path}, at most {at_most} s");
        }
        (Some(path), None) => {
            let path = shown(&path.to_string_lossy());
            note!("note: waiting for another program, which books and holds {path}, at most {at_most} s");
        }
        (None, _) => note!("note: waiting for another program that writes into the database, at most {at_most} s"),
    }
}

/// How sources are read, as the command line says it.
///
/// # Errors
/// Usage.
fn read_options(args: &CaptureArgs) -> Result<ReadOptions, Error> {
    let CaptureArgs { allow_overlap, threads, .. } = *args;
    let options = ReadOptions {
        local: args.local_nets()?,
        allow_overlap,
        threads: threads.map_or(Threads::Fitting, Threads::Exactly),
        progress: Progress::on_terminal(),
        ..ReadOptions::default()
    };
    let exports = ExportOptions {
        wanted: args.exported || !args.exported_port.is_empty(),
        ports: args.exported_port.iter().map(|port| port.get()).collect(),
        names: Arc::new(names_from(&args.names_from, &options)?),
    };
    Ok(ReadOptions { exports, ..options })
}

/// The names of sources that are read for nothing else.
///
/// # Errors
/// Nothing could be read of what is named.
fn names_from(paths: &[PathBuf], options: &ReadOptions) -> Result<Names, Error> {
    if paths.is_empty() {
        return Ok(Names::default());
    }
    let mut gatherer = Gatherer::default();
    each_source(&Sources { paths: paths.to_vec(), options: options.clone() }, &mut gatherer)?;
    let names = gatherer.finish();
    if names.left_out > 0 {
        note!("note: --names-from holds {} names more than are kept; a shorter range may have them", names.left_out);
    }
    Ok(names)
}

/// Tells that a capture holds messages of an exporter, and was read for its packets.
fn note_spotted(path: &Path, spotted: Spotted) {
    let (path, to) = (shown(&path.to_string_lossy()), spotted.to);
    note!("note: {path} holds NetFlow or IPFIX datagrams, to {to}: --exported counts the flows that they report");
}

/// A source of which a part could not be read.
pub fn partly(path: &Path, skipped: &str) -> Error {
    Error::failed(format!("part of {} was skipped", shown(&path.to_string_lossy())))
        .cause(skipped)
        .hint("everything else in it is counted")
}

/// An error about a source, with a hint where there is a next step.
pub fn ingest_error(path: &Path, doing: &str, error: &IngestError) -> Error {
    let told = Error::failed(format!("cannot {doing} {}", shown(&path.to_string_lossy()))).because(error);
    match error {
        IngestError::Input(InputError::Open { source, .. }) if is_shut_out(path, source) => {
            told.hint("it is a link that leads out of what this command may read: name the file itself")
        }
        IngestError::Input(InputError::Open { source, .. } | InputError::Read { source, .. }) => {
            told.hint_for(path, source)
        }
        IngestError::Header(_) => told.hint("`imon-analyze check` tells more about a segment"),
        IngestError::Capture(CaptureFileError::Cut { .. }) => {
            told.hint("the capture was cut before its first packet ended; is it still being written?")
        }
        _ => told,
    }
}

/// Whether a link leads to a file that this command may not read.
fn is_shut_out(path: &Path, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && path.is_symlink()
}

/// An error of the store.
pub fn store_error(database: &Path, error: &StoreError) -> Error {
    let told = Error::failed(format!("cannot use the database {}", shown(&database.to_string_lossy()))).because(error);
    match error {
        StoreError::TooNew { .. } => told.hint("use the newer imon-analyze, or another file with --database"),
        StoreError::Damaged { .. } => told.hint(
            "`imon-analyze rebuild` books all again from the segments and kept captures; where that fails, move the \
             database away and ingest these again, or take a backup. A range without that day may still be good",
        ),
        StoreError::Sql(error) if error.sqlite_error_code().is_some_and(is_damage) => told.hint(
            "it is damaged: move it away and ingest the segments, and the segments in `captures` beside it, again, \
             or take a backup",
        ),
        StoreError::Held { .. } => told.hint("what it has booked counts; run this again when it is over"),
        StoreError::Folder { .. }
        | StoreError::File { .. }
        | StoreError::NotOurs { .. }
        | StoreError::Lock { .. }
        | StoreError::Sql(_) => told.hint("--database FILE chooses another file"),
    }
}

/// Whether SQLite says that a file is damaged.
fn is_damage(code: rusqlite::ErrorCode) -> bool {
    matches!(code, rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
}

/// An instant for scripts: RFC 3339 in UTC, always with nine digits behind the second, so that
/// every reader takes a column of them as times.
pub(crate) fn utc(at: UnixNanos) -> String {
    jiff::Timestamp::from_nanosecond(at.0.into()).map(|t| format!("{t:.9}")).unwrap_or_default()
}

/// A month that is missing in a report.
fn hole_error(hole: &Hole) -> Error {
    Error::failed(format!("the month {} is missing in this report", hole.month)).because(&hole.error).hint(
        "everything else is in it. A copy of the file from a backup brings it back; where its segments are still there, \
         `imon-analyze rebuild` does",
    )
}

/// An error of months that are put away.
fn archive_error(database: &Path, error: &ArchiveError) -> Error {
    match error {
        ArchiveError::Store(error) => store_error(database, error),
        error => Error::failed(format!("cannot use the months of {}", shown(&database.to_string_lossy())))
            .because(error)
            .hint("`imon-analyze status` lists them, and `imon-analyze check DATABASE` looks into all of them"),
    }
}
