//! The directory of the segments: one recorder per directory, files that are `.part` while open and
//! `.seg` when sealed.
//!
//! Everything here goes through a handle of the directory that was opened before the rights were
//! given up, so that neither a renamed parent nor a planted link can lead outside. Which segments
//! are ours is settled before, too: in the cage no file can be read.

mod last;
mod ours;
mod place;

pub use last::Last;
pub use ours::{PART, SEALED, has_suffix};
pub use place::{Holder, foreign, is_reserved};

use crate::atomic::{Durability, Readers, replace};
use crate::cage::{self, Kept, Use};
use crate::error::Error;
use crate::identity::{IDENTITY_FILE, Identity, MAX_IDENTITY_BYTES};
use crate::log::{Level, log};
use crate::privilege::Account;
use crate::rotate::Sealed;
use crate::starting::START_FILE;
use crate::status::{MAX_STATUS_BYTES, STATUS_FILE};
use imon_common::segment::SegmentMark;
use imon_common::shown::shown;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{FileStat, Mode, UtimensatFlags, fstat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};
use ours::Ours;
use place::{check_replaced, give_to, lock, look, open_directory, read_small};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Names tried for a segment of a dead recorder before giving up; one is the rule.
const MAX_NAME_TRIES: u32 = 1000;

/// A spool that is ours alone as long as this lives.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    dir: File,
    /// Opened once, as in the cage nothing can be opened to be read.
    listing: RefCell<Dir>,
    ours: RefCell<Ours>,
    identity: Option<Identity>,
    lock: File,
}

/// Files with our suffixes that are not ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Foreign {
    /// How many.
    pub number: u64,
    /// The first of them by name, [`Self::MOST_NAMES`] at the most.
    pub names: Vec<String>,
}

impl Foreign {
    /// Names that are kept.
    pub const MOST_NAMES: usize = 16;

    fn of(mut names: Vec<String>) -> Self {
        names.sort();
        let number = names.len() as u64;
        names.truncate(Self::MOST_NAMES);
        Self { number, names }
    }
}

impl Spool {
    /// Opens `path`, makes it (mode 0700) where it is missing, locks it, and looks whose segments
    /// are in it. `owner`: who will write, where that is not the present user; what is made here is
    /// handed over, and so is an empty directory of root's.
    ///
    /// # Errors
    /// Not writable, somebody else's, or in use; a file that is not ours has a name that we write.
    pub fn open(path: &Path, owner: Option<&Account>) -> Result<Self, Error> {
        let (dir, listing) = open_directory(path, owner)?;
        let lock = lock(path, &dir, owner)?;
        check_replaced(path, &dir)?;
        let text = read_small(&dir, IDENTITY_FILE, MAX_IDENTITY_BYTES);
        let identity = text.and_then(|text| Identity::from_text(&text));
        let (listing, ours) = (RefCell::new(listing), RefCell::default());
        let spool = Self { path: path.to_owned(), dir, listing, ours, identity, lock };
        if let Some(identity) = identity {
            spool.recognize(&identity.recorder)?;
        }
        Ok(spool)
    }

    /// The directory itself, to be the one place that stays writable.
    pub fn dir(&self) -> &File {
        &self.dir
    }

    /// The number of the listing.
    pub fn listing(&self) -> i32 {
        self.listing.borrow().as_raw_fd()
    }

    /// What of it stays open.
    pub fn kept(&self) -> [Kept; 3] {
        [
            Kept::new(&self.dir, Use::Held, "the spool"),
            Kept::new(&*self.listing.borrow(), Use::Held, "the spool's listing"),
            Kept::new(&self.lock, Use::Held, "the spool's lock"),
        ]
    }

    /// What the permissions of new files must be without: who may list the directory may read what
    /// is in it, and nobody else. So a group that is let in reads the segments, and in a directory
    /// of one person they are that person's.
    pub fn umask(&self) -> Mode {
        const GROUP_LISTS: u32 = 0o050;
        let mode = self.dir.metadata().map_or(0, |m| m.mode());
        let group_reads = mode & GROUP_LISTS == GROUP_LISTS;
        Mode::from_bits_truncate(if group_reads { 0o027 } else { 0o077 })
    }

    /// Looks at the first bytes of what has our suffixes.
    fn recognize(&self, recorder: &[u8; 16]) -> Result<(), Error> {
        for name in self.names()? {
            let mut begin = Vec::new();
            // What is no plain file, or cannot be read, is not ours.
            let stat = look(&self.dir, &name).and_then(|file| {
                (&file).take(SegmentMark::LEN_BYTES as u64).read_to_end(&mut begin)?;
                Ok(fstat(&file)?)
            });
            if let (Ok(stat), Some(mark)) = (stat, ours::recognize(&name, &begin, recorder)) {
                self.ours.borrow_mut().add(sealed(name, Some(mark), &stat));
            }
        }
        Ok(())
    }

    /// Gives segments of recorders that died their final names, unopened. Returns the new names.
    ///
    /// # Errors
    /// A rename failed.
    pub fn adopt_leftovers(&self) -> Result<Vec<String>, Error> {
        let mut adopted = Vec::new();
        let parts: Vec<Sealed> = self.ours.borrow().with_suffix(PART).cloned().collect();
        for part in parts {
            let Some(stem) = part.name.strip_suffix(PART) else {
                continue;
            };
            if part.len_bytes == 0 {
                // Died before the header was written: nothing in it, and nothing could be made of
                // it.
                self.remove(&part.name)?;
                continue;
            }
            let name = self.rename_to_final(&part.name, stem)?;
            self.ours.borrow_mut().add(Sealed { name: name.clone(), ..part.clone() });
            adopted.push(name);
        }
        if !adopted.is_empty() {
            self.sync_dir()?;
        }
        Ok(adopted)
    }

    /// Makes a new, empty file `stem` + `.part`, whose name survives a power cut. `mark`: what the
    /// header will say, if it is a segment.
    ///
    /// # Errors
    /// What the system says; also if the file exists.
    pub fn create(&self, stem: &str, mark: Option<SegmentMark>) -> Result<File, Error> {
        let name = format!("{stem}{PART}");
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file: File = openat(&self.dir, name.as_str(), flags, Mode::from_bits_truncate(0o640))
            .map_err(|e| self.failed("cannot create", &name, e.into()))?
            .into();
        self.sync_dir()?;
        self.ours.borrow_mut().add(Sealed { name, mark, len_bytes: 0, changed_ns: 0 });
        Ok(file)
    }

    /// Brings a finished segment to the disk and gives it its final name, which is returned.
    ///
    /// # Errors
    /// What the system says. A failed sync is not tried again: the kernel may have let go of the
    /// data.
    pub fn seal(&self, file: &File, stem: &str) -> Result<String, Error> {
        let part = format!("{stem}{PART}");
        file.sync_all().map_err(|e| self.failed("cannot sync", &part, e))?;
        let stat = cage::stat(file.as_fd()).map_err(|e| self.failed("cannot inspect", &part, e.into()))?;
        let mark = self.ours.borrow().get(&part).and_then(|part| part.mark);
        let name = self.rename_to_final(&part, stem)?;
        self.sync_dir()?;
        self.ours.borrow_mut().add(sealed(name.clone(), mark, &stat));
        Ok(name)
    }

    /// The sealed segments that are ours, in no order.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn sealed(&self) -> Result<Vec<Sealed>, Error> {
        let ours = self.ours.borrow();
        Ok(self.names()?.iter().filter(|n| n.ends_with(SEALED)).filter_map(|n| ours.get(n)).cloned().collect())
    }

    /// What has our suffixes and is not ours.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn foreign(&self) -> Result<Foreign, Error> {
        let ours = self.ours.borrow();
        Ok(Foreign::of(self.names()?.into_iter().filter(|name| ours.get(name).is_none()).collect()))
    }

    /// Says which files have our suffixes and are not ours, if there are any.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn note_foreign(&self) -> Result<(), Error> {
        let Foreign { number, names } = self.foreign()?;
        if number > 0 {
            let more = if (names.len() as u64) < number { " …" } else { "" };
            let names = shown(&names.join(" "));
            log(
                Level::Notice,
                format_args!("note: {number} files in the spool are not this recorder's, and stay: {names}{more}"),
            );
        }
        Ok(())
    }

    /// Sets the stamps of sealed segments of this `boot` by `by_ns`, as the wall clock was set: a
    /// stamp that an unset clock made would be of another day, or another year. Gives how many were
    /// set.
    pub fn restamp(&self, boot: [u8; 16], by_ns: i64) -> usize {
        let mut ours = self.ours.borrow_mut();
        let of_boot = |s: &&mut Sealed| boot != [0; 16] && s.mark.is_some_and(|mark| mark.boot == boot);
        let mut set = 0;
        for segment in ours.with_suffix_mut(SEALED).filter(of_boot) {
            segment.changed_ns = segment.changed_ns.saturating_add(by_ns);
            let stamp = TimeSpec::from_duration(Duration::from_nanos(segment.changed_ns.max(0).unsigned_abs()));
            let how = UtimensatFlags::NoFollowSymlink;
            // In memory it is right in any case. On the disk it may not be ours to set.
            set += usize::from(utimensat(&self.dir, segment.name.as_str(), &TimeSpec::UTIME_OMIT, &stamp, how).is_ok());
        }
        set
    }

    /// Removes a file; one that is gone already is as good as removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        match unlinkat(&self.dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {
                self.ours.borrow_mut().forget(name);
                Ok(())
            }
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

    /// Keeps which recorder's spool this is, and which segment comes next. Synced: with the
    /// identity a recorder loses its segments, which it would not know again.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_identity(&self, identity: Identity) -> Result<(), Error> {
        replace(&self.dir, IDENTITY_FILE, Readers::Group, Durability::Synced, identity.to_text().as_bytes())
            .map_err(|e| self.failed("cannot write", IDENTITY_FILE, e))
    }

    /// Writes the status file anew.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_status(&self, text: &[u8]) -> Result<(), Error> {
        replace(&self.dir, STATUS_FILE, Readers::Group, Durability::Passing, text)
            .map_err(|e| self.failed("cannot write", STATUS_FILE, e))
    }

    /// Writes how far a start has come, for those who may read the status.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_start(&self, text: &[u8], owner: Option<&Account>) -> Result<(), Error> {
        let failed = |e: io::Error| self.failed("cannot write", START_FILE, e);
        replace(&self.dir, START_FILE, Readers::Group, Durability::Passing, text).map_err(failed)?;
        // Made just now by us, and replaced by nobody else under the lock: so far as one may know,
        // looked at once more.
        if let Some(owner) = owner.filter(|_| crate::privilege::is_root()) {
            look(&self.dir, START_FILE).and_then(|file| give_to(&file, owner)).map_err(failed)?;
        }
        Ok(())
    }

    /// A recording has begun: what was said of its start goes.
    ///
    /// # Errors
    /// What the system says.
    pub fn clear_start(&self) -> Result<(), Error> {
        self.remove(START_FILE)
    }

    /// An error about a file in here.
    pub fn failed(&self, doing: &str, name: &str, source: io::Error) -> Error {
        Error::Spool { doing: format!("{doing} {}", self.path.join(name).display()), source }
    }

    fn sync_dir(&self) -> Result<(), Error> {
        self.dir.sync_all().map_err(|e| self.failed("cannot sync directory", "", e))
    }

    /// Names with our suffixes.
    fn names(&self) -> Result<Vec<String>, Error> {
        let mut listing = self.listing.borrow_mut();
        let mut names = Vec::new();
        for entry in listing.iter() {
            let entry = entry.map_err(|e| self.failed("cannot list", "", e.into()))?;
            names.extend(entry.file_name().to_str().ok().filter(|name| has_suffix(name)).map(str::to_owned));
        }
        Ok(names)
    }

    /// Renames without ever replacing a file.
    fn rename_to_final(&self, part: &str, stem: &str) -> Result<String, Error> {
        for attempt in 0..MAX_NAME_TRIES {
            let name = if attempt == 0 { format!("{stem}{SEALED}") } else { format!("{stem}-{attempt}{SEALED}") };
            match self.rename_new(part, &name) {
                Ok(()) => {
                    self.ours.borrow_mut().forget(part);
                    return Ok(name);
                }
                Err(Errno::EEXIST) => {}
                Err(e) => return Err(self.failed("cannot rename", part, e.into())),
            }
        }
        Err(self.failed("cannot rename", part, io::ErrorKind::AlreadyExists.into()))
    }

    fn rename_new(&self, from: &str, to: &str) -> nix::Result<()> {
        match renameat2(&self.dir, from, &self.dir, to, RenameFlags::RENAME_NOREPLACE) {
            // Some file systems do not know the flag. Under the lock nobody else makes names here.
            Err(Errno::EINVAL | Errno::ENOSYS) => match self.names() {
                Ok(names) if names.iter().any(|name| name == to) => Err(Errno::EEXIST),
                _ => renameat(&self.dir, from, &self.dir, to),
            },
            other => other,
        }
    }
}

fn sealed(name: String, mark: Option<SegmentMark>, stat: &FileStat) -> Sealed {
    Sealed {
        name,
        mark,
        len_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        changed_ns: stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec),
    }
}

#[cfg(test)]
mod tests;
