//! The directory of the segments: one recorder per directory, files that are `.part` while open and
//! `.seg` when sealed.
//!
//! Everything here goes through a handle of the directory that was opened before the rights were
//! given up, so that neither a renamed parent nor a planted link can lead outside. Which segments
//! are ours is settled before, too: in the cage no file can be read.

mod folder;
mod last;
mod ours;
mod place;

pub use folder::Folder;
pub use last::Last;
pub use ours::{PART, SEALED, has_suffix};
pub use place::{Holder, foreign, is_reserved};

use crate::cage::{Kept, Use};
use crate::error::Error;
use crate::identity::{IDENTITY_FILE, Identity, MAX_IDENTITY_BYTES};
use crate::log::{Level, log};
use crate::privilege::Account;
use crate::rotate::Sealed;
use crate::starting::START_FILE;
use crate::status::{MAX_STATUS_BYTES, STATUS_FILE};
use imon_common::segment::SegmentMark;
use imon_common::shown::shown;
use nix::sys::stat::{FileStat, Mode, fstat};
use ours::Ours;
use place::{check_replaced, lock, look, open_directory, read_small};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// Names tried for a segment of a dead recorder before giving up; one is the rule.
const MAX_NAME_TRIES: u32 = 1000;

/// A spool that is ours alone as long as this lives.
#[derive(Debug)]
pub struct Spool {
    folder: Arc<Folder>,
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
        let folder = Arc::new(Folder::new(path, dir, listing));
        let spool = Self { folder, ours: RefCell::default(), identity, lock };
        if let Some(identity) = identity {
            spool.recognize(&identity.recorder)?;
        }
        Ok(spool)
    }

    /// The directory itself, to be the one place that stays writable.
    pub fn dir(&self) -> &File {
        self.folder.dir()
    }

    /// What is done in it by whoever may wait for the disk. What comes of that is to be noted here
    /// ([`Self::made`], [`Self::sealed_as`], [`Self::forget`]).
    pub fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// What of it stays open.
    pub fn kept(&self) -> [Kept; 3] {
        [
            Kept::new(self.dir(), Use::Held, "the spool"),
            Kept { number: self.folder.listing(), what: "the spool's listing".into(), usage: Use::Held },
            Kept::new(&self.lock, Use::Held, "the spool's lock"),
        ]
    }

    /// What the permissions of new files must be without: who may list the directory may read what
    /// is in it, and nobody else. So a group that is let in reads the segments, and in a directory
    /// of one person they are that person's.
    pub fn umask(&self) -> Mode {
        const GROUP_LISTS: u32 = 0o050;
        let mode = self.dir().metadata().map_or(0, |m| m.mode());
        let group_reads = mode & GROUP_LISTS == GROUP_LISTS;
        Mode::from_bits_truncate(if group_reads { 0o027 } else { 0o077 })
    }

    /// Looks at the first bytes of what has our suffixes.
    fn recognize(&self, recorder: &[u8; 16]) -> Result<(), Error> {
        for name in self.folder.names()? {
            let mut begin = Vec::new();
            // What is no plain file, or cannot be read, is not ours.
            let stat = look(self.dir(), &name).and_then(|file| {
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
            let name = self.folder.rename_to_final(&part.name, stem)?;
            self.forget(&part.name);
            self.ours.borrow_mut().add(Sealed { name: name.clone(), ..part.clone() });
            adopted.push(name);
        }
        if !adopted.is_empty() {
            self.folder.sync_dir()?;
        }
        Ok(adopted)
    }

    /// Makes a new, empty file `stem` + `.part`, whose name survives a power cut. `mark`: what the
    /// header will say, if it is a segment.
    ///
    /// # Errors
    /// What the system says; also if the file exists.
    pub fn create(&self, stem: &str, mark: Option<SegmentMark>) -> Result<File, Error> {
        let file = self.folder.create(stem)?;
        self.made(stem, mark);
        Ok(file)
    }

    /// Notes that the file `stem` + `.part` is ours.
    pub fn made(&self, stem: &str, mark: Option<SegmentMark>) {
        self.ours.borrow_mut().add(Sealed { name: format!("{stem}{PART}"), mark, len_bytes: 0, changed_ns: 0 });
    }

    /// Brings a finished segment to the disk and gives it its final name, which is returned.
    ///
    /// # Errors
    /// As [`Folder::seal`].
    #[cfg(test)]
    pub fn seal(&self, file: &File, stem: &str) -> Result<String, Error> {
        let (name, stat) = self.folder.seal(file, stem, stem)?;
        self.sealed_as(stem, name.clone(), &stat);
        Ok(name)
    }

    /// Notes that the segment `part` + `.part` was sealed as `name`.
    pub fn sealed_as(&self, part: &str, name: String, stat: &FileStat) {
        let mark = self.forget(&format!("{part}{PART}")).and_then(|part| part.mark);
        self.ours.borrow_mut().add(sealed(name, mark, stat));
    }

    /// Notes that a file is none of ours any more; gives what was known of it.
    pub fn forget(&self, name: &str) -> Option<Sealed> {
        self.ours.borrow_mut().forget(name)
    }

    /// The sealed segments that are ours, in no order.
    ///
    /// # Errors
    /// The directory could not be read.
    #[cfg(test)]
    pub fn sealed(&self) -> Result<Vec<Sealed>, Error> {
        Ok(self.sealed_of(&self.folder.names()?.into_iter().collect()))
    }

    /// Those of our sealed segments that are among these names, in no order.
    pub fn sealed_of(&self, names: &BTreeSet<String>) -> Vec<Sealed> {
        self.ours.borrow().with_suffix(SEALED).filter(|s| names.contains(&s.name)).cloned().collect()
    }

    /// What has our suffixes and is not ours.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn foreign(&self) -> Result<Foreign, Error> {
        Ok(self.foreign_of(&self.folder.names()?.into_iter().collect()))
    }

    /// Those of these names, which have our suffixes, that are not ours.
    pub fn foreign_of(&self, names: &BTreeSet<String>) -> Foreign {
        let ours = self.ours.borrow();
        Foreign::of(names.iter().filter(|name| ours.get(name).is_none()).cloned().collect())
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
            let files = if number == 1 { "file" } else { "files" };
            log(
                Level::Notice,
                format_args!("note: left in the spool, as not this recorder's: {number} {files}: {names}{more}"),
            );
        }
        Ok(())
    }

    /// Moves the stamps of sealed segments of this `boot` by `by_ns`, as the wall clock was set: a
    /// stamp that an unset clock made would be of another day, or another year. Gives the new ones,
    /// which are to be set on the disk, too ([`Folder::stamp`]).
    pub fn restamp(&self, boot: [u8; 16], by_ns: i64) -> Vec<(String, i64)> {
        let mut ours = self.ours.borrow_mut();
        let of_boot = |s: &&mut Sealed| boot != [0; 16] && s.mark.is_some_and(|mark| mark.boot == boot);
        let moved = ours.with_suffix_mut(SEALED).filter(of_boot).map(|segment| {
            segment.changed_ns = segment.changed_ns.saturating_add(by_ns);
            (segment.name.clone(), segment.changed_ns)
        });
        moved.collect()
    }

    /// Removes a file; one that is gone already is as good as removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        self.folder.remove(name)?;
        self.forget(name);
        Ok(())
    }

    /// The status file as the recorder before left it; `None` if there is none that could be read.
    pub fn read_status(&self) -> Option<String> {
        read_small(self.dir(), STATUS_FILE, MAX_STATUS_BYTES)
    }

    /// The recorder whose spool this is, as it was when the spool was opened; `None` for a new one.
    pub fn identity(&self) -> Option<Identity> {
        self.identity
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
        self.folder.failed(doing, name, source)
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
