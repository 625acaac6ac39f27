//! Waiting for another program that books: not silently, and not for ever.

use super::StoreError;
use crate::files;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long another imon-analyze that books is waited for. Segments since the last run take
/// seconds; who books years of captures at once keeps others waiting longer, and they come again.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long to wait for a transaction of another program.
pub(super) const BUSY: Duration = Duration::from_secs(20);

/// Waits that are shorter are not worth a word.
const UNSAID: Duration = Duration::from_secs(1);

/// How often to look whether it is over.
const STEP: Duration = Duration::from_millis(50);

/// Who holds a lock, as the kernel says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// Its process.
    pub process: u32,
    /// Its user.
    pub user: u32,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} of user {}", self.process, self.user)
    }
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The lock file; `None`: a transaction in the database.
    pub lock: Option<PathBuf>,
    /// Who holds it, where that is known.
    pub holder: Option<Holder>,
    /// How long it is waited for at most.
    pub at_most: Duration,
}

static TELL: OnceLock<fn(&Wait)> = OnceLock::new();

/// Has waits that take more than a second told with `tell`. The first one counts.
pub fn tell_waits(tell: fn(&Wait)) {
    _ = TELL.set(tell);
}

fn told(wait: &Wait) {
    if let Some(tell) = TELL.get() {
        tell(wait);
    }
}

/// Locks the file at `path`, which is made if it is not there.
///
/// # Errors
/// It cannot be made or locked, or another program held it for too long.
pub fn lock(path: &Path) -> Result<File, StoreError> {
    lock_within(path, PATIENCE)
}

pub(super) fn lock_within(path: &Path, patience: Duration) -> Result<File, StoreError> {
    let failed = |source| StoreError::Lock { path: path.into(), source };
    let file = files::open_own(path).map_err(failed)?;
    let (began, mut is_told) = (Instant::now(), false);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) => {}
        }
        let waited = began.elapsed();
        if waited >= patience {
            return Err(StoreError::Held { path: path.into(), holder: holder(&file), waited });
        }
        if waited >= UNSAID && !is_told {
            is_told = true;
            told(&Wait { lock: Some(path.into()), holder: holder(&file), at_most: patience });
        }
        std::thread::sleep(STEP);
    }
}

/// What SQLite asks when another program is in the middle of a transaction: whether to try again.
pub(super) fn busy(tries: i32) -> bool {
    let waited = STEP * tries.unsigned_abs();
    if waited == UNSAID {
        told(&Wait { lock: None, holder: None, at_most: BUSY });
    }
    let goes_on = waited < BUSY;
    if goes_on {
        std::thread::sleep(STEP);
    }
    goes_on
}

/// Who holds a lock on this file, by `/proc/locks` of Linux. A program in another namespace is not
/// seen.
#[cfg(not(target_os = "linux"))]
fn holder(_: &File) -> Option<Holder> {
    None
}

#[cfg(target_os = "linux")]
fn holder(file: &File) -> Option<Holder> {
    use nix::sys::stat::{major, minor};
    use std::os::unix::fs::MetadataExt as _;
    let about = file.metadata().ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let of_file = format!("{:02x}:{:02x}:{}", major(about.dev()), minor(about.dev()), about.ino());
    let process = holder_in(&locks, &of_file)?;
    let user = std::fs::metadata(format!("/proc/{process}")).ok()?.uid();
    Some(Holder { process, user })
}

/// `1: FLOCK  ADVISORY  WRITE 1234 fd:01:131 0 EOF`; a second word `->` is one who waits (proc(5)).
#[cfg(target_os = "linux")]
fn holder_in(locks: &str, of_file: &str) -> Option<u32> {
    locks.lines().find_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, "FLOCK", _, "WRITE", process, file, ..] if file == of_file => process.parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_for_long_is_an_error_that_says_by_whom() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = lock(&path).unwrap();
        let began = Instant::now();
        let error = lock_within(&path, Duration::from_millis(200)).unwrap_err();
        assert!((Duration::from_millis(200)..Duration::from_secs(5)).contains(&began.elapsed()));
        let StoreError::Held { holder, .. } = error else { panic!("{error}") };
        if std::fs::read_to_string("/proc/locks").is_ok_and(|locks| !locks.is_empty()) {
            assert_eq!(holder.unwrap().process, std::process::id());
        }
        drop(held);
        lock_within(&path, Duration::ZERO).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_waits_is_not_who_holds() {
        let locks = "1: -> FLOCK  ADVISORY  WRITE 7 fd:01:131 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 8 fd:01:131 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 9 fd:01:131 0 EOF\n";
        assert_eq!(holder_in(locks, "fd:01:131"), Some(9));
        assert_eq!(holder_in(locks, "fd:01:13"), None);
    }

    #[test]
    fn a_transaction_of_others_is_waited_for_as_long_as_was_said() {
        assert!(busy(0));
        let last = i32::try_from(BUSY.as_millis() / STEP.as_millis()).unwrap();
        assert!(busy(last - 1));
        assert!(!busy(last));
    }
}
