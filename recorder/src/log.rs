//! What is said while the program runs: one event, one line on standard error. Under systemd each
//! line begins with its priority (sd-daemon(3)), so that `journalctl -p warning` finds what
//! matters; on a terminal it is plain text.

use nix::sys::stat::fstat;
use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::sync::OnceLock;

/// How much an event matters: the priorities of syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The recording ends, or cannot begin.
    Error = 3,
    /// Something was lost, or is about to be.
    Warning = 4,
    /// Worth knowing: a gap, a note on the confinement.
    Notice = 5,
    /// Start, stop, a sealed segment with its hash.
    Info = 6,
    /// The ordinary course: a sealed segment of a capture file. Not shown on a terminal.
    Debug = 7,
}

/// Whether standard error is the journal.
static JOURNAL: OnceLock<bool> = OnceLock::new();

/// Finds out whether standard error is the journal, while the system may still be asked.
pub fn know_journal() -> bool {
    *JOURNAL.get_or_init(|| is_journal(std::env::var_os("JOURNAL_STREAM").as_deref()))
}

/// Says `text`; where standard error is closed, nothing.
pub fn log(level: Level, text: fmt::Arguments<'_>) {
    if let Some(line) = line(level, &text.to_string(), know_journal()) {
        _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// What is written; `None`: nothing.
fn line(level: Level, text: &str, journal: bool) -> Option<String> {
    if journal {
        // The journal makes an entry of every line.
        let text: Vec<&str> = text.lines().map(str::trim).collect();
        return Some(format!("<{}>{}\n", level as u8, text.join("; ")));
    }
    (level < Level::Debug).then(|| format!("{text}\n"))
}

/// systemd.exec(5): the variable holds device and inode of the journal's stream; it stays set where
/// somebody sent standard error elsewhere, so they are compared.
fn is_journal(variable: Option<&OsStr>) -> bool {
    let named = |variable| fstat(std::io::stderr()).is_ok_and(|s| variable == format!("{}:{}", s.st_dev, s.st_ino));
    variable.and_then(OsStr::to_str).is_some_and(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_a_priority_and_one_line() {
        let text = "error: no\n  cause: because\n  hint:  do";
        assert_eq!(line(Level::Error, text, true).unwrap(), "<3>error: no; cause: because; hint:  do\n");
        assert_eq!(line(Level::Error, text, false).unwrap(), format!("{text}\n"));
        assert_eq!(line(Level::Debug, "sealed", true).unwrap(), "<7>sealed\n");
        assert_eq!(line(Level::Debug, "sealed", false), None);
    }

    #[test]
    fn only_the_stream_that_is_named_is_the_journal() {
        let stat = fstat(std::io::stderr()).unwrap();
        let here = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(is_journal(Some(OsStr::new(&here))));
        for other in [format!("{}:{}", stat.st_dev, stat.st_ino + 1), "1".into(), "a:b".into(), String::new()] {
            assert!(!is_journal(Some(OsStr::new(&other))), "{other}");
        }
        assert!(!is_journal(None));
    }
}
