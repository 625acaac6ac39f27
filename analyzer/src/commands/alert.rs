//! `alert`: what asks for somebody's attention, told once.
//!
//! This is the part that reads the books, in the sandbox. With a program to run it is a process of
//! its own, which hands each alert to its parent (`start/program.rs`) and hears whether it was
//! taken.

mod events;

use super::plan::{names, wanted};
use super::{books, open_existing_store, store_error};
use crate::alert::{Event, Memory, Message, Tried};
use crate::cli::{AlertArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::files;
use crate::range::Range;
use crate::say::note;
use crate::store::{beside, lock_file};
use crate::table::units::counted;
use events::Judge;
use imon_common::time::NANOS_PER_SECOND;
use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Most bytes that are read of what was told: what ten thousand alerts need, and more.
const MAX_MEMORY_BYTES: u64 = 16 << 20;

/// Most alerts of one run: who gets more looks at a report.
const MAX_TOLD: usize = 20;

pub(super) fn run(args: &AlertArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let rules = &around.config.alerts;
    if rules.is_empty() {
        return Err(Error::usage("there is nothing to alert about")
            .cause("the configuration has no section [alert], or it says nothing")
            .hint(around.config.hint_to_say("[alert]", "percent = [80, 100]")));
    }
    let sites = args.sites.sites()?;
    let now = around.now_nanos().ok_or_else(|| Error::failed("the clock shows no time that can be counted"))?;
    let plans = match rules.percent.is_empty() && !rules.projection {
        true => Vec::new(),
        // A plan that is not in force says nothing.
        false => wanted(&around.config.plans, &names(&[], around)?, None, now).unwrap_or_default(),
    };
    let zone = crate::range::zone(args.zone.as_deref())?;
    let judge = Judge { rules, plans: &plans, sites: &sites, now, zone };
    let range: Range = judge.range();
    let sourced = books(&[], (&args.store, &args.capture), around, &range)?;
    let events = judge.events(&sourced.books, &around.config.devices);
    let told = match args.all {
        true => {
            let lines: String = events.iter().map(|event| format!("{}\n", event.line)).collect();
            out.write_all(lines.as_bytes()).map_err(|e| Error::writing("to standard output", &e))?;
            events.len()
        }
        false => {
            let database = args.store.database(around)?;
            tell(&events, &database, now.0.div_euclid(NANOS_PER_SECOND), Way { exec: args.judge, out })?
        }
    };
    out.flush().map_err(|e| Error::writing("to standard output", &e))?;
    Ok(if told > 0 { Outcome::Alert } else { sourced.outcome })
}

/// How somebody is told.
struct Way<'a> {
    /// By a program, which the parent runs.
    exec: bool,
    out: &'a mut dyn Write,
}

/// Tells what was not told yet; gives how many that were.
fn tell(events: &[Event], database: &Path, now_s: i64, mut way: Way<'_>) -> Result<usize, Error> {
    // The folder is there by now.
    drop(open_existing_store(database).map_err(|e| e.hint("`imon-analyze ingest` makes the database"))?);
    let mut kept = Kept::open(database)?;
    let mut told = 0;
    let new: Vec<&Event> = events.iter().filter(|event| !kept.memory.is_settled(&event.key())).collect();
    for event in new.iter().take(MAX_TOLD) {
        let key = event.key();
        let done = way.tell(event)?;
        kept.memory.note(&key, if done { Tried::Taken } else { Tried::Refused }, now_s);
        kept.save(now_s)?;
        if !done {
            let tries = kept.memory.tries(&key);
            note!("note: the program did not take the alert (try {tries} of {})", crate::alert::MAX_TRIES);
        }
        told += 1;
    }
    if let more @ 1.. = new.len().saturating_sub(MAX_TOLD) {
        note!("note: left for the next run: {}", counted(more as u64, "alert"));
    }
    Ok(told)
}

/// Forgets what was told of these: devices, sites.
///
/// # Errors
/// The file of what was told cannot be used.
pub(super) fn forget(database: &Path, subjects: &BTreeSet<String>, now_s: i64) -> Result<(), Error> {
    if memory_of(database).symlink_metadata().is_err() {
        return Ok(());
    }
    let mut kept = Kept::open(database)?;
    kept.memory.forget(subjects);
    kept.save(now_s)
}

impl Way<'_> {
    /// Tells one; whether it was taken.
    fn tell(&mut self, event: &Event) -> Result<bool, Error> {
        let failed = |e: io::Error| Error::writing("to standard output", &e);
        if !self.exec {
            writeln!(self.out, "{}", event.line).and_then(|()| self.out.flush()).map_err(failed)?;
            return Ok(true);
        }
        Message::of(event).write(self.out).map_err(failed)?;
        let mut answer = [0];
        io::stdin().lock().read_exact(&mut answer).map_err(|e| Error::failed("nobody runs the program").because(&e))?;
        Ok(answer == *b"0")
    }
}

/// What was told, in its file, which nobody else changes meanwhile.
struct Kept {
    /// Locked as long as it lives.
    file: File,
    path: PathBuf,
    memory: Memory,
}

/// Where it is kept what was told.
fn memory_of(database: &Path) -> PathBuf {
    beside(&files::real(database), "-alerts")
}

impl Kept {
    /// Waits for another program that tells, as for one that books.
    fn open(database: &Path) -> Result<Self, Error> {
        let path = &memory_of(database);
        let failed = |e: &io::Error| {
            Error::failed(format!("cannot use {}", shown(&path.to_string_lossy()))).because(e).hint_for(path, e)
        };
        let id = |about: Metadata| (about.dev(), about.ino());
        let mut file = loop {
            let file = lock_file(path).map_err(|e| store_error(database, &e))?;
            // Who had the lock may have put a newer file in its place.
            if file.metadata().map(id).map_err(|e| failed(&e))? == std::fs::metadata(path).map_or((0, 0), id) {
                break file;
            }
        };
        let mut text = String::new();
        (&mut file).take(MAX_MEMORY_BYTES).read_to_string(&mut text).map_err(|e| failed(&e))?;
        let memory = Memory::of_json(&text).unwrap_or_else(|_| {
            note!(
                "note: {} cannot be understood: what was told before may be told again",
                shown(&path.to_string_lossy())
            );
            Memory::default()
        });
        Ok(Self { file, path: path.into(), memory })
    }

    /// After each alert: a run that is cut short tells none twice that was taken. The old file
    /// stays until the new one is whole.
    fn save(&mut self, now_s: i64) -> Result<(), Error> {
        let text = self.memory.to_json(now_s).map_err(|e| Error::failed("cannot keep what was told").because(&e))?;
        let new = beside(&self.path, ".new");
        let write = || {
            // Of a run that was cut short.
            _ = std::fs::remove_file(&new);
            let mut file = files::create_new(&new)?;
            // Nobody waits for it under this name.
            file.try_lock()?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&new, &self.path)?;
            files::sync_folder(files::folder_of(&self.path))?;
            Ok(file)
        };
        self.file = write().map_err(|e| Error::writing(&self.path.to_string_lossy(), &e))?;
        Ok(())
    }
}
