//! The recorder: packets of an interface, or of a capture file, become segment files. Stores no
//! payload, sends nothing.
//!
//! A library only so that the manual and the completions can be made from the command line
//! (`analyzer/examples/manual`) without a crate for that in the program.
// Allowed in three places: `cage/raw.rs`, `packet_socket.rs`, and for one attribute `stdout.rs`.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr))]

mod addresses;
mod atomic;
mod before;
mod cage;
mod capture;
mod cautions;
mod cli;
mod clock;
mod collect;
mod counters;
mod disk;
mod error;
mod folded;
mod health;
mod identity;
mod interface;
mod json;
mod kernel;
mod links;
mod live;
mod log;
mod metrics;
mod netlink;
mod notify;
mod offline;
mod open_segment;
mod packet_socket;
mod pipeline;
mod ports;
mod privilege;
mod recording;
mod reporter;
mod retention;
mod rotate;
#[cfg(test)]
mod script;
mod segment_file;
mod selection;
mod self_test;
mod signals;
mod snap;
mod spool;
mod starting;
mod status;
mod stdout;
mod summary;
mod thread;
mod units;

use clap::{CommandFactory, Parser};
use imon_common::shown::shown;
use std::process::ExitCode;

/// The command line, as the manual describes it.
pub fn command() -> clap::Command {
    cli::Args::command()
}

/// The program: the process's arguments in, the exit code out.
pub fn main() -> ExitCode {
    signals::survive_limits();
    let arguments: Vec<_> = std::env::args_os().collect();
    let ran = match cli::Args::try_parse_from(&arguments) {
        Ok(args) => run(args),
        // Help and version are results.
        Err(said) if !said.use_stderr() => stdout::written(said.print()).map(|()| ExitCode::SUCCESS),
        Err(error) => {
            let text = error.to_string();
            starting::note_usage(&arguments, text.lines().next().unwrap_or_default());
            // Arguments stand in it.
            if arguments.iter().all(|argument| argument.to_str().is_some_and(|text| shown(text) == text)) {
                error.exit();
            }
            let lines: Vec<String> = text.trim_end().lines().map(shown).collect();
            log::log(log::Level::Error, format_args!("{}", lines.join("\n")));
            return ExitCode::from(2);
        }
    };
    match ran {
        Ok(code) => code,
        Err(error) => {
            if let error::Error::Usage { .. } = error {
                starting::note_usage(&arguments, &error.one_line());
            }
            log::log(log::Level::Error, format_args!("{error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: cli::Args) -> Result<ExitCode, error::Error> {
    match args.settle(&cli::Surroundings::here())? {
        cli::Command::List => {
            let list = interface::list()?;
            stdout::show(&interface::table(&list, interface::default_route().as_deref()))?;
        }
        cli::Command::Status(spools, format) => {
            let (text, verdict) = status::show::show(&spools, format, kernel::Kernel::here())?;
            stdout::show(&text)?;
            return Ok(ExitCode::from(verdict.exit_code()));
        }
        cli::Command::Live(settings, live) => live::record(settings, live)?,
        cli::Command::Read(settings, file) => offline::record(settings, &file)?,
        cli::Command::Collect(settings, collect) => collect::collect(&settings, &collect)?,
    }
    Ok(ExitCode::SUCCESS)
}
