//! Errors as people read them: what was being done, what was found, what to try next; and the exit
//! code that fits.
//!
//! Rooms below the command line return error types of their own; this one wraps them at the top.

use crate::files;
pub use imon_common::shown::shown;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// Longest chain of causes that is printed: deeper chains repeat themselves.
const MAX_CAUSES: usize = 8;

/// What an error means for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line asks for something that cannot be meant: exit 2.
    Usage,
    /// It was tried and did not work: exit 1.
    Failed,
    /// Whoever read our output has seen enough: no error, exit 0.
    ClosedPipe,
}

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// Everything was done: exit 0.
    #[default]
    Complete,
    /// Done, and somebody has to know of something: exit 4.
    Alert,
    /// Another process did it, and said all there is to say: its exit code.
    Said(u8),
    /// Done, but this many inputs (or parts of them) were skipped: exit 3.
    Skipped(u64),
}

impl Outcome {
    /// The exit code that stands for it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Complete | Self::Skipped(0) => 0,
            Self::Skipped(_) => 3,
            Self::Alert => 4,
            Self::Said(code) => code,
        }
    }

    /// The same with `more` inputs that were skipped.
    #[must_use]
    pub fn and_skipped(self, more: u64) -> Self {
        match self {
            Self::Complete | Self::Alert | Self::Said(_) => Self::Skipped(more),
            Self::Skipped(count) => Self::Skipped(count.saturating_add(more)),
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.exit_code())
    }
}

/// An error with its causes and a next step. `Display` gives the whole text: `error:`, `  cause:`,
/// `  hint:` lines.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    what: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Error {
    /// Something that was tried and did not work. `what` says what we were doing, and to which
    /// file: lower case, no final period.
    pub fn failed(what: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Failed, what: what.into(), causes: Vec::new(), hint: None }
    }

    /// A command line that cannot be meant.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Usage, ..Self::failed(what) }
    }

    /// A result that could not be written to `target`; a pipe whose reader is gone is no error.
    pub fn writing(target: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { kind: ErrorKind::ClosedPipe, ..Self::failed("") };
        }
        Self::failed(format!("cannot write {}", shown(target))).because(error).hint_for(Path::new(target), error)
    }

    /// Adds `cause` and the causes below it.
    #[must_use]
    pub fn because(mut self, cause: &(dyn StdError + 'static)) -> Self {
        let mut next = Some(cause);
        while let Some(error) = next.filter(|_| self.causes.len() < MAX_CAUSES) {
            // Values that others chose stand in texts of libraries.
            let text = shown(&error.to_string());
            // Some errors repeat their source's text in their own.
            if !self.causes.last().is_some_and(|last| last.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds a cause in words: what was found, with found and expected values.
    #[must_use]
    pub fn cause(mut self, text: impl Into<String>) -> Self {
        self.causes.push(text.into());
        self
    }

    /// Sets the next step: one that exists.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// Sets the next step for a path that could not be opened or made; leaves what is there where
    /// the system's error says none.
    #[must_use]
    pub fn hint_for(self, path: &Path, error: &io::Error) -> Self {
        let text = |path: &Path| shown(&path.to_string_lossy());
        let folder = files::folder_of(path);
        match error.kind() {
            io::ErrorKind::NotFound if !folder.is_dir() => self.hint(format!("there is no folder {}", text(folder))),
            io::ErrorKind::NotFound => self.hint(format!("`ls {}` shows what is there", text(folder))),
            io::ErrorKind::PermissionDenied => self.hint(format!("`ls -ld {}` shows who may", text(path))),
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                let file = path.ancestors().find(|path| path.is_file()).unwrap_or(path);
                self.hint(format!("{} is a file: name another folder", text(file)))
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                self.hint(format!("`df {}` shows how much room there is", text(folder)))
            }
            _ => self,
        }
    }

    /// What it means for the exit code.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The exit code that stands for it.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            ErrorKind::ClosedPipe => 0,
            ErrorKind::Failed => 1,
            ErrorKind::Usage => 2,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        self.causes.iter().try_for_each(|cause| write!(f, "\n  cause: {cause}"))?;
        self.hint.iter().try_for_each(|hint| write!(f, "\n  hint:  {hint}"))
    }
}

impl StdError for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the header is not there")
        }
    }

    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_shows_what_why_and_what_next() {
        let cause = Outer(io::Error::other("unexpected end"));
        let error = Error::failed("cannot read a.pcap").because(&cause).hint("is it a capture?");
        let text = "error: cannot read a.pcap\n  cause: the header is not there\n  cause: unexpected end\n  \
                    hint:  is it a capture?";
        assert_eq!(error.to_string(), text);
        assert_eq!(error.exit_code(), 1);
        assert_eq!(Error::usage("x").exit_code(), 2);
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let error = Error::writing("standard output", &io::ErrorKind::BrokenPipe.into());
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::ClosedPipe, 0));
        assert_eq!(Error::writing("a", &io::ErrorKind::StorageFull.into()).exit_code(), 1);
    }

    #[test]
    fn skipped_input_has_its_own_exit_code() {
        assert_eq!([Outcome::Complete, Outcome::Skipped(0), Outcome::Skipped(2)].map(Outcome::exit_code), [0, 0, 3]);
    }
}
