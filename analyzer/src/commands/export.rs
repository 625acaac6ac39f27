//! `export`: months, closed and open, into a dataset.

use super::errors::for_room;
use super::lines::Lines;
use super::parties::Parties;
use super::who::Who;
use super::{Asked, Sources, archive_error, complain, flows, ingest, names, open_store_to_report};
use crate::archive::{ArchiveError, Exporter, Extra, Files, Form, Key, Pseudonyms, Written};
use crate::books::month::Month;
use crate::cli::{ExportArgs, LineFormat, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::files;
use crate::ingest::ReadOptions;
use crate::question::{Filters, HostFilter};
use crate::range::Range;
use crate::report::Masker;
use crate::say::note;
use crate::site::Sites;
use crate::store::{KnownSource, Store};
use crate::table::units::{bytes, hex};
use imon_common::time::NANOS_PER_SECOND;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub(super) fn run(args: &ExportArgs, around: &Surroundings) -> Result<Outcome, Error> {
    let database = args.store.database(around)?;
    let spools = args.store.spools(around);
    let options = super::read_options(&args.capture)?;
    let mut store = open_store_to_report(&args.store, around, &database, &spools)?;
    let mut skipped = ingest::new_sources(&mut store, &database, &spools, options.clone())?.outcome();
    // What is exported is of one moment.
    let _lock = store.lock().map_err(|e| super::store_error(&database, &e))?;
    let faults = store.faults_of_report(&Range::everything(jiff::tz::TimeZone::UTC));
    let damaged = super::tell_faults(&database, &faults.map_err(|e| super::store_error(&database, &e))?);
    if damaged > 0 {
        skipped = skipped.and_skipped(damaged);
    }
    let failed = |error: ArchiveError| export_error(&args.folder, &database, &error);
    let files = if args.compact { Files::Merged } else { Files::AsTheyAre };
    let form = Form { files, mask: pseudonyms(args, &store, &database)? };
    let mut exporter = Exporter::new(&args.folder, &store, form).map_err(failed)?;
    exporter.months().map_err(failed)?;
    for extra in &args.with {
        for (key, sources) in kept(&store, &database)? {
            let lost =
                extra_table(&mut exporter, (*extra, key), sources, (&options, around, &store)).map_err(failed)?;
            skipped = skipped.and_skipped(lost);
        }
    }
    let Written { new, new_bytes, kept, removed } = exporter.finish().map_err(failed)?;
    let to = shown(&args.folder.to_string_lossy());
    note!("exported to {to}: {new} new files of {}, {kept} as they were, {removed} removed", bytes(new_bytes));
    Ok(skipped)
}

/// Pseudonyms, where they are asked for.
fn pseudonyms(args: &ExportArgs, store: &Store, database: &Path) -> Result<Option<Pseudonyms>, Error> {
    let Some(what) = args.mask else { return Ok(None) };
    let path = args.key_file(database);
    let told = || shown(&path.to_string_lossy());
    let real = |path: &Path| path.canonicalize().ok();
    let folder = files::folder_of(&path);
    if real(folder).zip(real(&args.folder)).is_some_and(|(folder, dataset)| folder.starts_with(dataset)) {
        return Err(Error::usage(format!("the key {} would be part of the dataset", told()))
            .hint("--mask-key FILE names a place outside it"));
    }
    let failed = |error: &std::io::Error| Error::failed(format!("cannot use the key {}", told())).because(error);
    let key = Key::of_file(&path).map_err(|e| {
        failed(&e).hint("whoever has the key can try names out: keep it for yourself, and a copy of it elsewhere")
    })?;
    let devices = store.devices().map_err(|e| super::store_error(database, &e))?;
    let own = devices.clients.endpoints.iter().map(|end| end.address);
    Pseudonyms::new(&key, what, own).map(Some).map_err(|e| failed(&e))
}

/// Sources that can still be read, by month and recorder.
type Kept = BTreeMap<(Month, [u8; 16]), Vec<KnownSource>>;

fn kept(store: &Store, database: &Path) -> Result<Kept, Error> {
    let failed = |e| super::store_error(database, &e);
    let (own, recorders) = (store.recorder().map_err(failed)?, store.recorders().map_err(failed)?);
    let mut kept = Kept::new();
    for source in store.known_sources().map_err(failed)? {
        let month = Month::of_second(source.first.0.div_euclid(NANOS_PER_SECOND));
        if let Some(month) = month.filter(|_| File::open(&source.path).is_ok()) {
            let recorder = recorders.get(&source.identity).copied().unwrap_or(own);
            kept.entry((month, recorder)).or_default().push(source);
        }
    }
    Ok(kept)
}

/// Flows or names of a month and recorder; gives how many sources could not be read.
fn extra_table(
    exporter: &mut Exporter<'_>,
    (extra, (month, recorder)): (Extra, (Month, [u8; 16])),
    sources: Vec<KnownSource>,
    (options, around, store): (&ReadOptions, &Surroundings, &Store),
) -> Result<u64, ArchiveError> {
    let sites = Sites::new();
    let filters = Filters::default();
    let who = Who::of(store.devices()?.clients, &around.config.devices, &filters);
    let masker = Masker::default();
    let asked = Asked {
        hosts: HostFilter::new(&filters, &sites),
        parties: Parties { known: &around.config.devices, local: &options.local, masker: &masker, sites: &sites },
        recorders: &around.config.recorders,
        sites: &sites,
        filters: &filters,
        range: Range::everything(jiff::tz::TimeZone::UTC),
        min_bytes: 0,
        who: Some(who),
    };
    let mut made_of = Sha256::new();
    made_of.update(format!("{:?}", crate::version::fields(&sites)));
    for source in &sources {
        made_of.update(&source.identity);
        made_of.update(source.len_bytes.to_le_bytes());
    }
    let paths: Vec<PathBuf> = sources.into_iter().map(|source| source.path.into()).collect();
    let sources = Sources { paths, options: options.clone() };
    let mark = exporter.mark();
    let mark = (mark.0, serde_json::Value::from(mark.1));
    let mut skipped = 0;
    exporter.extra((extra, month, recorder), hex(&made_of.finalize()), |out| {
        let mut out = io::BufWriter::new(out);
        let mut lines = Lines::counted(&mut out, LineFormat::Parquet, mark);
        let done = match extra {
            Extra::Flows => flows::run(&sources, &asked, &mut lines),
            Extra::Names => names::run(&sources, &asked, &mut lines),
        };
        match done {
            Ok(Outcome::Skipped(count)) => skipped = count,
            Ok(_) => {}
            Err(error) => {
                complain(&error);
                skipped = 1;
            }
        }
        let rows = lines.count();
        lines.finish()?;
        io::Write::flush(&mut out)?;
        Ok(rows)
    })?;
    Ok(skipped)
}

fn export_error(folder: &Path, database: &Path, error: &ArchiveError) -> Error {
    let to = shown(&folder.to_string_lossy());
    match error {
        ArchiveError::Store(_) => archive_error(database, error),
        ArchiveError::Busy { .. } => Error::failed(format!("cannot export to {to}"))
            .because(error)
            .hint("when it is over, this one adds what is new"),
        ArchiveError::OtherMask { .. } => Error::failed(format!("cannot export to {to}"))
            .because(error)
            .hint("a dataset has one mask and one key: use those, or another folder"),
        error if error.is_of_one_month() => archive_error(database, error),
        error => {
            let told = Error::failed(format!("cannot export to {to}"))
                .because(error)
                .hint("what was exported before counts as it did; the next export goes on");
            for_room(told, folder, error)
        }
    }
}
