//! How a recorder is, by what it left in its spool: pure but for the looking.

use super::show::{ago, events, time_text};
use super::{FORMAT, MAX_STATUS_BYTES, STATUS_FILE, State};
use crate::clock::Now;
use crate::collect::COLLECTOR;
use crate::error::Error;
use crate::json::Value;
use crate::kernel::Kernel;
use crate::spool::Holder;
use crate::starting::{START_FILE, Start};
use imon_common::shown::shown;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A status older than this many times its period is that of a recorder that hangs or was killed.
const MISSED_PERIODS: f64 = 3.0;

/// What a health check is told, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It records, and lost nothing within the last day.
    Fine,
    /// It records, but something was lost within the last day, or one of several interfaces is
    /// gone.
    Lossy,
    /// It does not record.
    NotRunning,
}

impl Verdict {
    /// 0, 3 or 1.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Lossy => 3,
            Self::NotRunning => 1,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Lossy => "lossy",
            Self::NotRunning => "not running",
        }
    }
}

/// What is in a spool.
#[derive(Debug)]
pub struct Seen {
    /// The status file.
    pub status: Option<Value>,
    /// What is said of a start that has not come to a recording.
    pub start: Option<Value>,
    /// Who holds the lock.
    pub holder: Holder,
    /// There is no process of the number in the status file.
    pub is_gone: bool,
}

/// Where a directory is that may be a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the system's place: an empty one was made for a recorder.
    Systems,
    Elsewhere,
}

impl Seen {
    /// Looks; `None` if there is no sign that this is a spool.
    ///
    /// # Errors
    /// There is a file that may not be read.
    pub fn in_spool(spool: &Path, place: Place) -> Result<Option<Self>, Error> {
        let (status, start) = (read(spool, STATUS_FILE)?, read(spool, START_FILE)?);
        let is_gone = status.as_ref().and_then(|status| status.whole(&["pid"])).is_some_and(is_gone);
        let seen = Self { status, start, holder: Holder::of(spool), is_gone };
        if seen.status.is_none() && seen.start.is_none() && spool.join(COLLECTOR).exists() {
            return Ok(None); // a collector keeps no status: the service manager knows how it is
        }
        let is_spool = seen.status.is_some() || seen.start.is_some() || seen.holder != Holder::Unknown;
        let is_meant = || place == Place::Systems && spool.read_dir().is_ok_and(|mut entries| entries.next().is_none());
        Ok((is_spool || is_meant()).then_some(seen))
    }
}

/// Whether no process has this number. Of one that is somebody else's the system says so, whatever
/// /proc shows.
fn is_gone(number: u64) -> bool {
    i32::try_from(number).is_ok_and(|n| n > 0 && kill(Pid::from_raw(n), None) == Err(Errno::ESRCH))
}

/// A file of the spool; `None` if there is none.
fn read(spool: &Path, name: &str) -> Result<Option<Value>, Error> {
    let path = spool.join(name);
    // Not blocking: it could be a named pipe.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let mut text = Vec::new();
    let read = OpenOptions::new().read(true).custom_flags(flags).open(&path).and_then(|file| {
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a plain file"));
        }
        file.take(MAX_STATUS_BYTES).read_to_end(&mut text)
    });
    match read {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Error::ReadStatus { path, source }),
        // Empty after a power cut, or damaged: `judge` says so.
        Ok(_) => Ok(Some(std::str::from_utf8(&text).ok().and_then(Value::parse).unwrap_or(Value::Null))),
    }
}

/// How a recorder is, and why it is not fine. `here`: this kernel.
///
/// The lock tells at once whether its process is there, if it runs on this kernel. On another one
/// (a container in a machine of its own, a spool that is shared) only a fresh time counts.
pub fn judge(seen: &Seen, now: Now, here: &Kernel) -> (Verdict, Option<String>) {
    let not_running = |why: String| (Verdict::NotRunning, Some(why));
    if let Some(start) = &seen.start {
        let is_here = here.wrote(start, now);
        let since = ago(now, start.number(&["since_unix_s"]));
        let why = shown(start.text(&["why"]).unwrap_or("for an unknown reason"));
        let lives = seen.holder == Holder::Somebody || (!is_here && age_s(start, now, is_here) <= limit_s(start));
        match start.text(&["state"]) {
            Some(state) if state == Start::Waiting.word() && lives => {
                return not_running(format!("it waits, since {since}: {why}"));
            }
            Some(state) if state == Start::Waiting.word() => {
                return not_running(format!("it waited, and was killed: {why}"));
            }
            _ if seen.holder == Holder::Somebody => {} // the next start is on its way
            _ => return not_running(format!("its start failed {since}: {why}")),
        }
    }
    let Some(status) = &seen.status else {
        return not_running(match seen.holder {
            Holder::Somebody => "it is starting".into(),
            _ => "no recorder has come to record here".into(),
        });
    };
    if status.whole(&["format"]) != Some(FORMAT) {
        return not_running("its status file is damaged or of another version".into());
    }
    let is_here = here.wrote(status, now);
    let ago = || ago(now, status.number(&["written_unix_s"]));
    match status.text(&["state"]) {
        Some(state) if state == State::Recording.word() => {}
        _ if seen.holder == Holder::Somebody && is_here => {
            return not_running("it is starting, or about to end".into());
        }
        Some(state) if state == State::Stopped.word() => return not_running(format!("it was stopped {}", ago())),
        _ => return not_running(format!("an error ended it {}", ago())),
    }
    let age_s = age_s(status, now, is_here);
    // Who may not look at the lock (a member of the group) sees by the process.
    let is_gone = is_here && seen.is_gone && here.shares_processes(status);
    if is_gone && seen.holder == Holder::Somebody {
        return not_running("it is starting, after one that was killed".into());
    }
    if is_gone || (is_here && seen.holder == Holder::Nobody) {
        return not_running(format!("its process is gone: it was killed after its last sign of life, {}", ago()));
    }
    if age_s > limit_s(status) && !is_here {
        return not_running("the machine was started anew since".into());
    }
    if age_s > limit_s(status) {
        let why = match seen.holder {
            Holder::Somebody if is_here => "it hangs, or its disk has no room for a sign",
            _ => "it was killed, or it hangs",
        };
        return not_running(format!("no sign of life for {}: {why}", time_text(age_s)));
    }
    let missing: Vec<&str> = status.items(&["missing"]).iter().filter_map(|name| name.text(&[])).collect();
    if !missing.is_empty() {
        let recorded = status.text(&["interface"]).map_or(0, |names| names.split(',').count());
        let verdict = if missing.len() < recorded { Verdict::Lossy } else { Verdict::NotRunning };
        return (verdict, Some(format!("interface {} is gone: it waits for it", shown(&missing.join(", ")))));
    }
    if status.at(&["spool", "only_sums"]) == &Value::Bool(true) {
        return (Verdict::Lossy, Some("today's part of the budget is used up: only sums are kept".into()));
    }
    let events = events(status);
    let mut reasons: Vec<&str> = events.iter().filter(|e| e.is_trouble()).map(|e| &*e.reason).collect();
    if reasons.is_empty() {
        return (Verdict::Fine, None);
    }
    reasons.sort_unstable();
    reasons.dedup();
    (Verdict::Lossy, Some(format!("traffic was missed within the last day: {}", reasons.join(", "))))
}

/// How old what was written is: by the boot clock, which nobody sets, or by the wall clock where
/// the writer had another one.
fn age_s(value: &Value, now: Now, is_here: bool) -> f64 {
    let written = |name| value.number(&[name]).unwrap_or(f64::NEG_INFINITY);
    if is_here {
        return now.boot_ns as f64 / 1e9 - written("written_boot_s");
    }
    let age_s = now.wall.0 as f64 / 1e9 - written("written_unix_s");
    // A second ahead is the difference of two clocks; more is none of now.
    if age_s < -1.0 { f64::INFINITY } else { age_s }
}

fn limit_s(value: &Value) -> f64 {
    MISSED_PERIODS * value.number(&["every_s"]).unwrap_or(0.0)
}
