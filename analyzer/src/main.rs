//! imon-analyze: which sites used my bandwidth, when, and how sure are we?

use imon_analyze::cli::{self, Surroundings};
use imon_analyze::error::ErrorKind;
use imon_analyze::{commands, say};
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    if cli.quiet {
        say::be_quiet();
    }
    match commands::run(&cli.command, &Surroundings::of_process(cli.color), &mut std::io::stdout().lock()) {
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
