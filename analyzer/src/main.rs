//! imon-analyze: which sites used my bandwidth, when, and how sure are we?

use clap::Parser as _;
use imon_analyze::cli::{Cli, Surroundings};
use imon_analyze::commands;
use imon_analyze::error::ErrorKind;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match commands::run(&cli.command, &Surroundings::of_process(), &mut std::io::stdout().lock()) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            if error.kind() != ErrorKind::ClosedPipe {
                // There is nobody left to tell if standard error is gone.
                _ = writeln!(std::io::stderr(), "{error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}
