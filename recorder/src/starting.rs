//! A start that has not come to a recording: it waits for an interface, or it failed. Said in a
//! file of its own, so that what the status file knows of the run before stays for the next one.

use crate::clock::Now;
use crate::error::Error;
use crate::json::Value;
use crate::kernel::Kernel;
use crate::privilege::{self, Account};
use crate::spool::{Folder, Spool};
use crate::status::{FORMAT, STATUS_EVERY};
use nix::sys::stat::umask;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Its file in the spool; there only as long as nothing is recorded.
pub const START_FILE: &str = "start.json";

/// How far a start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It waits for an interface.
    Waiting,
    /// An error ended it.
    Failed,
}

impl Start {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Failed => "failed",
        }
    }
}

/// The text of the file. `since`: when the waiting began, or the error came.
pub fn text(start: Start, why: &str, since: Now, now: Now) -> String {
    let seconds = |ns: i64| Value::from(ns as f64 / 1e9);
    let [boot_id, processes] = Kernel::here().members();
    let value = Value::object([
        ("format", FORMAT.into()),
        ("state", start.word().into()),
        ("why", why.into()),
        ("since_unix_s", seconds(since.wall.0)),
        ("written_unix_s", seconds(now.wall.0)),
        ("written_boot_s", seconds(now.boot_ns)),
        boot_id,
        processes,
        ("every_s", STATUS_EVERY.as_secs().into()),
        ("pid", u64::from(std::process::id()).into()),
    ]);
    format!("{value}\n")
}

/// Says in the spool at `path` that a start failed, if there is such a place and nobody records
/// into it. What keeps it from being said is no matter: the error itself is said anyway.
pub fn note_failure(path: &Path, owner: Option<&Account>, error: &Error) {
    if !matches!(error, Error::SpoolInUse { .. }) {
        note(path, owner, &error.one_line());
    }
}

fn note(path: &Path, owner: Option<&Account>, why: &str) {
    if path.is_dir()
        && let Ok(spool) = Spool::open(path, owner)
    {
        umask(spool.umask());
        note_in(spool.folder(), owner, why);
    }
}

/// As [`note_failure`], in a spool that is open.
pub fn note_failure_in(spool: &Folder, owner: Option<&Account>, error: &Error) {
    note_in(spool, owner, &error.one_line());
}

fn note_in(spool: &Folder, owner: Option<&Account>, why: &str) {
    if let Ok(now) = Now::read() {
        _ = spool.write_start(text(Start::Failed, why, now, now).as_bytes(), owner);
    }
}

/// What is asked for in place of a recording, or leaves no status.
const NO_RECORDING: [&str; 6] = ["--status", "--list-interfaces", "--read", "--self-test", "--collect", "--help"];

/// As [`note_failure`], for arguments that are not understood: in the spool that they name, where
/// they can only mean a recording. `why`: one line.
pub fn note_usage(arguments: &[OsString], why: &str) {
    let is_asked = |argument: &OsString| NO_RECORDING.iter().any(|other| begins(argument, other));
    if arguments.iter().any(is_asked) {
        return;
    }
    if let Some(path) = spool_in(arguments) {
        // Who would have recorded.
        let user = privilege::choose_here(None);
        note(&path, user.ok().flatten().as_ref(), why);
    }
}

fn begins(argument: &OsString, option: &str) -> bool {
    let bytes = argument.as_bytes();
    bytes.strip_prefix(option.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
}

/// What stands behind `--spool`.
fn spool_in(arguments: &[OsString]) -> Option<PathBuf> {
    let place = arguments.iter().position(|argument| begins(argument, "--spool"))?;
    match arguments.get(place)?.as_bytes().strip_prefix(b"--spool=") {
        Some(path) => Some(OsStr::from_bytes(path).into()),
        None => arguments.get(place.checked_add(1)?).map(PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spool_of_a_line_that_is_not_understood_is_found() {
        let spool = |line: &str| spool_in(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(spool("imon-record -i x --spool /a/b --bogus"), Some("/a/b".into()));
        assert_eq!(spool("imon-record --spool=/a/b --bogus"), Some("/a/b".into()));
        assert_eq!(spool("imon-record --spools /a/b"), None);
        assert_eq!(spool("imon-record --bogus --spool"), None);
        assert_eq!(spool("imon-record"), None);
    }

    #[test]
    fn only_what_would_have_recorded_is_noted() {
        let home = tempfile::tempdir().unwrap();
        let spool = home.path().to_str().unwrap();
        let note = |more: &str| {
            let line = format!("imon-record --spool {spool} {more}");
            note_usage(&line.split(' ').map(OsString::from).collect::<Vec<_>>(), "a word");
            std::fs::read_to_string(home.path().join(START_FILE)).ok()
        };
        let others =
            ["--status", "--list-interfaces", "--read -", "--read=x", "--self-test", "--collect 0.0.0.0:1", "--help"];
        for other in others {
            assert_eq!(note(&format!("{other} --bogus")), None, "{other}");
        }
        assert!(home.path().read_dir().unwrap().next().is_none());
        let text = note("-i wlan0 --bogus").unwrap();
        assert!(text.contains("\"failed\"") && text.contains("a word"), "{text}");
    }
}
