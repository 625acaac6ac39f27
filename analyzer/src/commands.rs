//! One file for each subcommand: from the command line as typed to what it prints. They join the rooms; what a room
//! does is none of their business.

mod report;
mod site;
mod source;

pub use source::{Sourced, books};

use crate::cli::{Command, Surroundings};
use crate::error::{Error, Outcome, shown};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Runs a command; results go to `out` (standard output), everything else to standard error.
///
/// # Errors
/// What kept it from being done.
pub fn run(
    command: &Command,
    around: &Surroundings,
    out: &mut dyn Write,
) -> Result<Outcome, Error> {
    match command {
        Command::Report(args) => report::run(args, around, out),
        Command::Site(args) => site::run(args, around, out),
        // Their rooms are being furnished.
        Command::Ingest(_)
        | Command::Flows(_)
        | Command::Names(_)
        | Command::Check(_)
        | Command::Status(_) => Err(Error::failed("this subcommand is not there yet")),
    }
}

/// Hands `write` the file `to`, or `out` where none is named or it is `-`, and sees to it that everything arrives.
///
/// # Errors
/// The file cannot be made, or writing fails; a closed pipe is an error that counts as none.
pub fn deliver(
    to: Option<&Path>,
    out: &mut dyn Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    let finish = |target: &mut dyn Write| {
        let mut buffered = BufWriter::new(target);
        write(&mut buffered).and_then(|()| buffered.flush())
    };
    match to.filter(|path| path.as_os_str() != "-") {
        None => finish(out).map_err(|e| Error::writing("to standard output", &e)),
        Some(path) => {
            let written = File::create(path).and_then(|mut file| finish(&mut file));
            written.map_err(|e| Error::writing(&shown(&path.to_string_lossy()), &e))
        }
    }
}
