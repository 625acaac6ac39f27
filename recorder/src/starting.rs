//! A start that has not come to a recording: it waits for an interface, or it failed. Said in a
//! file of its own, so that what the status file knows of the run before stays for the next one.

use crate::clock::Now;
use crate::error::Error;
use crate::json::Value;
use crate::privilege::Account;
use crate::reporter::boot_id;
use crate::spool::Spool;
use crate::status::{FORMAT, STATUS_EVERY};
use nix::sys::stat::umask;
use std::path::Path;

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
    let value = Value::object([
        ("format", FORMAT.into()),
        ("state", start.word().into()),
        ("why", why.into()),
        ("since_unix_s", seconds(since.wall.0)),
        ("written_unix_s", seconds(now.wall.0)),
        ("written_boot_s", seconds(now.boot_ns)),
        ("boot_id", boot_id().as_deref().map_or(Value::Null, Value::from)),
        ("every_s", STATUS_EVERY.as_secs().into()),
        ("pid", u64::from(std::process::id()).into()),
    ]);
    format!("{value}\n")
}

/// Says in the spool at `path` that a start failed, if there is such a place and nobody records
/// into it. What keeps it from being said is no matter: the error itself is said anyway.
pub fn note_failure(path: &Path, owner: Option<&Account>, error: &Error) {
    if !path.is_dir() || matches!(error, Error::SpoolInUse { .. }) {
        return;
    }
    if let Ok(spool) = Spool::open(path, owner) {
        umask(spool.umask());
        note_failure_in(&spool, owner, error);
    }
}

/// As [`note_failure`], in a spool that is open.
pub fn note_failure_in(spool: &Spool, owner: Option<&Account>, error: &Error) {
    if let Ok(now) = Now::read() {
        _ = spool.write_start(text(Start::Failed, &error.one_line(), now, now).as_bytes(), owner);
    }
}
