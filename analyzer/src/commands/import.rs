//! `import`: totals that another program counted before imon did.

use super::{complain, open_existing_store, open_store, store_error};
use crate::cli::{ImportArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::files;
use crate::imported::{Counted, MAX_BYTES, Unit, read};
use crate::range;
use crate::say::note;
use crate::table::units::bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::path::Path;

pub(super) fn run(args: &ImportArgs, around: &Surroundings) -> Result<Outcome, Error> {
    let database = args.store.database(around)?;
    let zone = range::zone(args.zone.as_deref())?;
    if !args.forget.is_empty() {
        return forget(&args.forget, &database);
    }
    let mut taken = Vec::new();
    let mut failed = None;
    for path in &args.files {
        match of_file(path, args, &zone) {
            Ok(counted) => taken.push(counted),
            Err(error) => {
                if let Some(before) = failed.replace(error) {
                    complain(&before);
                }
            }
        }
    }
    match (failed, taken.is_empty()) {
        (Some(error), true) => return Err(error),
        (Some(error), false) => complain(&error),
        (None, _) => {}
    }
    super::is_to_be_made(&database)?;
    let mut store = open_store(&database)?;
    let _lock = store.lock().map_err(|e| store_error(&database, &e))?;
    let left = args.files.len() - taken.len();
    for counted in taken {
        store.import(&counted).map_err(|e| store_error(&database, &e))?;
        counted.iter().for_each(|counted| tell(counted, &zone));
    }
    Ok(Outcome::Skipped(left as u64))
}

/// What a file has of the interfaces that are wished for.
fn of_file(path: &Path, args: &ImportArgs, zone: &TimeZone) -> Result<Vec<Counted>, Error> {
    let shown_path = shown(&path.to_string_lossy());
    let failed = || Error::failed(format!("cannot import {shown_path}"));
    let opened = if path == "-" { Path::new("/dev/stdin") } else { path };
    let hint = "make it with: vnstat --json > vnstat.json";
    let text = files::read_list(opened, MAX_BYTES).map_err(|e| failed().because(&e).hint(hint).hint_for(path, &e))?;
    let mut counted = read(text.as_bytes(), zone).map_err(|e| failed().because(&e).hint(hint))?;
    let all: Vec<String> = counted.iter().map(|counted| counted.interface.clone()).collect();
    let has = || format!("it has: {}", shown(&all.join(", ")));
    if let Some(missing) = args.interface.iter().find(|name| !all.contains(name)) {
        return Err(failed().cause(format!("it has no interface `{}`", shown(missing))).hint(has()));
    }
    counted.retain(|counted| args.interface.is_empty() || args.interface.contains(&counted.interface));
    if let Some(called) = &args.called {
        let [one] = &mut counted[..] else {
            return Err(failed()
                .cause("--as names one interface")
                .hint(format!("--interface takes one of them: {}", has())));
        };
        one.interface.clone_from(called);
    }
    Ok(counted)
}

fn tell(counted: &Counted, zone: &TimeZone) {
    let Counted { interface, entries } = counted;
    let interface = shown(interface);
    let Some(all) = entries.iter().find(|entry| entry.unit == Unit::All) else { return };
    let count = |unit| entries.iter().filter(|entry| entry.unit == unit).count();
    let day = |second| Timestamp::from_second(second).map(|at| at.to_zoned(zone.clone()).date().to_string());
    let (from, to) = (day(all.from_s).unwrap_or_default(), day(all.to_s).unwrap_or_default());
    note!(
        "{interface}: {} from {from} to {to}: {} days, {} months, {} years",
        bytes(all.down_bytes.saturating_add(all.up_bytes)),
        count(Unit::Day),
        count(Unit::Month),
        count(Unit::Year)
    );
}

fn forget(names: &[String], database: &Path) -> Result<Outcome, Error> {
    let mut store = open_existing_store(database)?;
    let _lock = store.lock().map_err(|e| store_error(database, &e))?;
    let mut unknown = 0;
    for name in names {
        if store.forget_imported(name).map_err(|e| store_error(database, &e))? {
            note!("forgot what was imported of {}", shown(name));
        } else {
            unknown += 1;
            complain(
                &Error::failed(format!("nothing was imported of `{}`", shown(name)))
                    .hint("`imon-analyze status` lists what was imported"),
            );
        }
    }
    Ok(Outcome::Skipped(unknown))
}
