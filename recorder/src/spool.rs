//! The directory of the segments: one recorder per directory, files that are `.part` while open and `.seg` when sealed.
//!
//! Everything here goes through a handle of the directory that was opened before the rights were given up, so that
//! neither a renamed parent nor a planted link can lead outside.

use crate::atomic::{Readers, replace};
use crate::error::Error;
use crate::identity::{IDENTITY_FILE, Identity, MAX_IDENTITY_BYTES};
use crate::privilege::Account;
use crate::rotate::Sealed;
use crate::status::{MAX_STATUS_BYTES, STATUS_FILE};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};
use std::ffi::CStr;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Suffix of an open segment.
pub const PART: &str = ".part";
/// Suffix of a segment that nobody writes any more.
pub const SEALED: &str = ".seg";
/// Holds the lock and the holder's process number.
pub const LOCK: &CStr = c"recorder.lock";
/// The lock is tried for half a second.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// Names tried for a segment of a dead recorder before giving up; one is the rule.
const MAX_NAME_TRIES: u32 = 1000;

/// A small text file of the spool; `None` where it is missing or nothing that could be read.
fn read_small(dir: &File, name: &str, most_bytes: u64) -> Option<String> {
    // Not blocking: it could be a named pipe.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file: File = openat(dir, name, flags, Mode::empty()).ok()?.into();
    let mut text = String::new();
    file.metadata().ok()?.is_file().then_some(())?;
    file.take(most_bytes).read_to_string(&mut text).ok()?;
    Some(text)
}

/// A spool that is ours alone as long as this lives.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    dir: File,
    identity: Option<Identity>,
    _lock: File,
}

impl Spool {
    /// Opens `path`, makes it (mode 0700) where it is missing, and locks it. `owner`: who will write, where that is
    /// not the present user; what is made here is handed over, and so is an empty directory of root's.
    ///
    /// # Errors
    /// Not writable, somebody else's, or in use.
    pub fn open(path: &Path, owner: Option<&Account>) -> Result<Self, Error> {
        let failed = |doing: &str, source| Error::Spool { doing: format!("{doing} {}", path.display()), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| failed("cannot create spool", e))?;
        let dir = File::open(path).map_err(|e| failed("cannot open spool", e))?;
        if let Some(owner) = owner {
            hand_over(path, &dir, owner)?;
        }
        let lock = lock(path, &dir, owner)?;
        let text = read_small(&dir, IDENTITY_FILE, MAX_IDENTITY_BYTES);
        let identity = text.and_then(|text| Identity::from_text(&text));
        Ok(Self { path: path.to_owned(), dir, identity, _lock: lock })
    }

    /// The directory itself, to be the one place that stays writable.
    pub fn dir(&self) -> &File {
        &self.dir
    }

    /// What the permissions of new files must be without: who may list the directory may read what is in it, and nobody
    /// else. So a group that is let in reads the segments, and in a directory of one person they are that person's.
    pub fn umask(&self) -> Mode {
        const GROUP_LISTS: u32 = 0o050;
        let mode = self.dir.metadata().map_or(0, |m| m.mode());
        let group_reads = mode & GROUP_LISTS == GROUP_LISTS;
        Mode::from_bits_truncate(if group_reads { 0o027 } else { 0o077 })
    }

    /// Gives segments of recorders that died their final names, unopened. Returns the new names.
    ///
    /// # Errors
    /// A rename failed.
    pub fn adopt_leftovers(&self) -> Result<Vec<String>, Error> {
        let mut adopted = Vec::new();
        for (name, stat) in self.files()? {
            let Some(stem) = name.strip_suffix(PART) else {
                continue;
            };
            if stat.st_size == 0 {
                // Died before the header was written: nothing in it, and nothing could be made of it.
                self.remove(&name)?;
                continue;
            }
            adopted.push(self.rename_to_final(&name, stem)?);
        }
        if !adopted.is_empty() {
            self.sync_dir()?;
        }
        Ok(adopted)
    }

    /// Makes a new, empty file `stem` + `.part`, whose name survives a power cut.
    ///
    /// # Errors
    /// What the system says; also if the file exists.
    pub fn create(&self, stem: &str) -> Result<File, Error> {
        let name = format!("{stem}{PART}");
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(&self.dir, name.as_str(), flags, Mode::from_bits_truncate(0o640))
            .map_err(|e| self.failed("cannot create", &name, e.into()))?;
        self.sync_dir()?;
        Ok(file.into())
    }

    /// Brings a finished segment to the disk and gives it its final name, which is returned.
    ///
    /// # Errors
    /// What the system says. A failed sync is not tried again: the kernel may have let go of the data.
    pub fn seal(&self, file: &File, stem: &str) -> Result<String, Error> {
        let part = format!("{stem}{PART}");
        file.sync_all().map_err(|e| self.failed("cannot sync", &part, e))?;
        let name = self.rename_to_final(&part, stem)?;
        self.sync_dir()?;
        Ok(name)
    }

    /// The sealed segments, in no order.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn sealed(&self) -> Result<Vec<Sealed>, Error> {
        let files = self.files()?.into_iter().filter(|(name, _)| name.ends_with(SEALED));
        Ok(files
            .map(|(name, stat)| Sealed {
                name,
                len_bytes: u64::try_from(stat.st_size).unwrap_or(0),
                changed_ns: stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec),
            })
            .collect())
    }

    /// Removes a file; one that is gone already is as good as removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        match unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(self.failed("cannot remove", name, e.into())),
        }
    }

    /// The status file as the recorder before left it; `None` if there is none that could be read.
    pub fn read_status(&self) -> Option<String> {
        read_small(&self.dir, STATUS_FILE, MAX_STATUS_BYTES)
    }

    /// The recorder whose spool this is, as it was when the spool was opened; `None` for a new one.
    pub fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Keeps which recorder's spool this is, and which segment comes next.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_identity(&self, identity: Identity) -> Result<(), Error> {
        replace(&self.dir, IDENTITY_FILE, Readers::Group, identity.to_text().as_bytes())
            .map_err(|e| self.failed("cannot write", IDENTITY_FILE, e))
    }

    /// Writes the status file anew.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_status(&self, text: &[u8]) -> Result<(), Error> {
        replace(&self.dir, STATUS_FILE, Readers::Group, text).map_err(|e| self.failed("cannot write", STATUS_FILE, e))
    }

    /// An error about a file in here.
    pub fn failed(&self, doing: &str, name: &str, source: io::Error) -> Error {
        Error::Spool { doing: format!("{doing} {}", self.path.join(name).display()), source }
    }

    fn sync_dir(&self) -> Result<(), Error> {
        self.dir.sync_all().map_err(|e| self.failed("cannot sync directory", "", e))
    }

    /// Plain files with our suffixes.
    fn files(&self) -> Result<Vec<(String, FileStat)>, Error> {
        let failed = |e: Errno| self.failed("cannot list", "", e.into());
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut listing = Dir::openat(&self.dir, ".", flags, Mode::empty()).map_err(failed)?;
        let mut files = Vec::new();
        for entry in listing.iter() {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            if !name.ends_with(PART) && !name.ends_with(SEALED) {
                continue;
            }
            match fstatat(&self.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG => {
                    files.push((name.to_owned(), stat));
                }
                Ok(_) | Err(Errno::ENOENT) => {} // not ours, or removed by the user in this moment
                Err(e) => return Err(failed(e)),
            }
        }
        Ok(files)
    }

    /// Renames without ever replacing a file.
    fn rename_to_final(&self, part: &str, stem: &str) -> Result<String, Error> {
        for attempt in 0..MAX_NAME_TRIES {
            let name = if attempt == 0 { format!("{stem}{SEALED}") } else { format!("{stem}-{attempt}{SEALED}") };
            match self.rename_new(part, &name) {
                Ok(()) => return Ok(name),
                Err(Errno::EEXIST) => {}
                Err(e) => return Err(self.failed("cannot rename", part, e.into())),
            }
        }
        Err(self.failed("cannot rename", part, io::ErrorKind::AlreadyExists.into()))
    }

    fn rename_new(&self, from: &str, to: &str) -> nix::Result<()> {
        match renameat2(&self.dir, from, &self.dir, to, RenameFlags::RENAME_NOREPLACE) {
            // Some file systems do not know the flag. Under the lock nobody else makes names here.
            Err(Errno::EINVAL | Errno::ENOSYS) => match fstatat(&self.dir, to, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Err(Errno::ENOENT) => renameat(&self.dir, from, &self.dir, to),
                Ok(_) => Err(Errno::EEXIST),
                Err(e) => Err(e),
            },
            other => other,
        }
    }
}

/// Makes sure that `dir` belongs to `owner`.
fn hand_over(path: &Path, dir: &File, owner: &Account) -> Result<(), Error> {
    let failed = |doing: &str, source| Error::Spool { doing: format!("{doing} {}", path.display()), source };
    let now = dir.metadata().map_err(|e| failed("cannot inspect spool", e))?.uid();
    if now == owner.uid {
        return Ok(());
    }
    let empty = path.read_dir().map_err(|e| failed("cannot list spool", e))?.next().is_none();
    // Empty and root's: as good as the one that we would have made.
    if now != 0 || !empty {
        let user = |uid| crate::privilege::name_of(uid);
        return Err(Error::SpoolOwner { path: path.to_owned(), owner: user(now), user: owner.name.clone() });
    }
    give_to(dir, owner).map_err(|e| failed("cannot hand over spool", e))
}

fn give_to(file: &File, owner: &Account) -> io::Result<()> {
    Ok(fchown(file, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?)
}

/// A recorder that has just ended may hold the lock a moment longer: so does a child between fork and exec.
fn try_for_a_moment(lock: &File) -> Result<(), TryLockError> {
    for _ in 1..LOCK_TRIES {
        if !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    lock.try_lock()
}

/// Locks the directory for this process and notes its number.
fn lock(path: &Path, dir: &File, owner: Option<&Account>) -> Result<File, Error> {
    let failed =
        |source: io::Error| Error::Spool { doing: format!("cannot write in spool {}", path.display()), source };
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file: File =
        openat(dir, LOCK, flags, Mode::from_bits_truncate(0o640)).map_err(|e| failed(e.into()))?.into();
    match try_for_a_moment(&file) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            _ = (&file).take(32).read_to_string(&mut text); // the number is a courtesy
            return Err(Error::SpoolInUse { path: path.to_owned(), holder: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(e)) => return Err(failed(e)),
    }
    if let Some(owner) = owner {
        give_to(&file, owner).map_err(failed)?;
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(spool: &Spool) -> Vec<String> {
        let mut names: Vec<String> =
            spool.path.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_segment_is_part_until_it_is_sealed() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::open(&home.path().join("a/b"), None).unwrap();
        let file = spool.create("one").unwrap();
        assert_eq!(names(&spool), ["one.part", LOCK.to_str().unwrap()]);
        assert!(spool.create("one").is_err());
        assert_eq!(spool.seal(&file, "one").unwrap(), "one.seg");
        assert_eq!(names(&spool), ["one.seg", LOCK.to_str().unwrap()]);
        assert_eq!(spool.sealed().unwrap().len(), 1);
    }

    #[test]
    fn a_second_recorder_is_refused_and_told_who_holds_the_spool() {
        let home = tempfile::tempdir().unwrap();
        let first = Spool::open(home.path(), None).unwrap();
        match Spool::open(home.path(), None) {
            Err(Error::SpoolInUse { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(first);
        Spool::open(home.path(), None).unwrap();
    }

    #[test]
    fn leftovers_get_a_free_name_and_keep_their_bytes() {
        let home = tempfile::tempdir().unwrap();
        for (name, bytes) in [("x.part", "new"), ("x.seg", "old"), ("x-1.seg", "older"), ("empty.part", "")] {
            std::fs::write(home.path().join(name), bytes).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", home.path().join("link.part")).unwrap();
        let spool = Spool::open(home.path(), None).unwrap();
        assert_eq!(spool.adopt_leftovers().unwrap(), ["x-2.seg"]);
        assert_eq!(names(&spool), ["link.part", LOCK.to_str().unwrap(), "x-1.seg", "x-2.seg", "x.seg"]);
        assert_eq!(std::fs::read_to_string(home.path().join("x-2.seg")).unwrap(), "new");
        assert_eq!(std::fs::read_to_string(home.path().join("x.seg")).unwrap(), "old");
    }

    #[test]
    fn a_file_in_place_of_the_spool_is_a_clear_error() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let text = Spool::open(&file, None).unwrap_err().to_string();
        assert!(text.starts_with("error: cannot create spool"), "{text}");
    }
}
