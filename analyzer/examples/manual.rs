//! Writes the manual pages and the completions of bash, fish and zsh, of both programs: `manual DIR`, which must exist. `make man`
//! runs it.
#![allow(clippy::print_stderr)]

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: manual DIR");
        return ExitCode::from(2);
    };
    let programs = [imon_record::command(), imon_analyze::cli::Cli::command()];
    match programs.into_iter().try_for_each(|command| write(command, &dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: cannot write the manual: {e}");
            ExitCode::FAILURE
        }
    }
}

fn write(mut command: Command, dir: &Path) -> std::io::Result<()> {
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command, &name, dir)?;
    }
    clap_mangen::generate_to(command, dir)
}
