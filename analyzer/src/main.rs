//! imon-analyze: which sites used my bandwidth, when, and how sure are we?

mod stdout;

use clap::CommandFactory as _;
use clap::error::ErrorKind as Spoken;
use imon_analyze::cli::{self, Cli, Surroundings};
use imon_analyze::error::{Error, ErrorKind, Outcome, shown};
use imon_analyze::output::Closed;
use imon_analyze::{say, start};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    // A limit for the length of files (`ulimit -f`) is an error of the write, and not the end.
    _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    say::fit(cli::columns_of(&console::Term::stderr()));
    match run() {
        Ok(code) => code,
        Err(error) => {
            if error.kind() != ErrorKind::ClosedPipe {
                say::tell(&error.to_string());
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    let out: &mut dyn Write = if stdout::was_open() { &mut std::io::stdout().lock() } else { &mut Closed };
    let parsed = cli::parse(std::env::args_os()).and_then(|cli| match cli.command.is_some() || cli.self_test {
        true => Ok(cli),
        false => Err(Cli::command().error(Spoken::MissingSubcommand, "a command is missing; --help lists them")),
    });
    match parsed {
        Ok(mut cli) => {
            if cli.quiet {
                say::be_quiet();
            }
            let mut around = Surroundings::of_process(cli.color);
            start::configure(&mut cli, &mut around)?;
            start::run(&cli, &around, out).map(Outcome::into)
        }
        // Help and version are results.
        Err(said) if !said.use_stderr() => {
            let shown = if stdout::was_open() { said.print() } else { out.flush() };
            shown.map_err(|e| Error::writing("to standard output", &e))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(said) => {
            // Arguments stand in it, and a name that a stranger gave a file may be one (`*`).
            let is_safe = std::env::args_os().all(|argument| argument.to_str().is_some_and(|text| shown(text) == text));
            let text = said.render();
            let text = match is_safe && console::colors_enabled_stderr() {
                true => text.ansi().to_string(),
                false => text.to_string().lines().map(|line| format!("{}\n", shown(line))).collect(),
            };
            say::tell(text.trim_end_matches('\n'));
            Ok(u8::try_from(said.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from))
        }
    }
}
