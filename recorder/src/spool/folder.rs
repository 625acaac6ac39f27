//! What is done in the spool's directory, by its handle. It may wait for the disk; so a recording
//! leaves it to the thread of the disk, and nothing here knows which files are ours.

use super::place::{give_to, look};
use super::{MAX_NAME_TRIES, PART, SEALED, has_suffix};
use crate::atomic::{Durability, Readers, replace};
use crate::cage;
use crate::error::Error;
use crate::identity::{IDENTITY_FILE, Identity};
use crate::privilege::Account;
use crate::starting::START_FILE;
use crate::status::STATUS_FILE;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{FileStat, Mode, UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// The directory of a spool.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    dir: File,
    /// Opened once, as in the cage nothing can be opened to be read.
    listing: Mutex<Dir>,
    /// What the disk does to a sync in a test.
    #[cfg(test)]
    pub hindrance: Mutex<Hindrance>,
}

/// A disk that takes its time, or fails.
#[cfg(test)]
#[derive(Debug, Default)]
pub struct Hindrance {
    /// How long a sync takes.
    pub wait: Duration,
    /// What it then says.
    pub error: Option<Errno>,
}

impl Folder {
    /// `path` is for messages only.
    pub fn new(path: &Path, dir: File, listing: Dir) -> Self {
        Self {
            path: path.to_owned(),
            dir,
            listing: Mutex::new(listing),
            #[cfg(test)]
            hindrance: Mutex::default(),
        }
    }

    /// The directory itself, to be the one place that stays writable.
    pub fn dir(&self) -> &File {
        &self.dir
    }

    #[cfg(test)]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of the listing.
    pub fn listing(&self) -> i32 {
        self.listing.lock().map_or(-1, |listing| listing.as_raw_fd())
    }

    /// An error about a file in here.
    pub fn failed(&self, doing: &str, name: &str, source: io::Error) -> Error {
        Error::Spool { doing: format!("{doing} {}", self.path.join(name).display()), source }
    }

    /// Makes a new, empty file `stem` + `.part`, whose name survives a power cut.
    ///
    /// # Errors
    /// What the system says; also if the file exists.
    pub fn create(&self, stem: &str) -> Result<File, Error> {
        let name = format!("{stem}{PART}");
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file: File = openat(&self.dir, name.as_str(), flags, Mode::from_bits_truncate(0o640))
            .map_err(|e| self.failed("cannot create", &name, e.into()))?
            .into();
        self.sync_dir()?;
        Ok(file)
    }

    /// Brings the data of the open segment `stem` to the disk.
    ///
    /// # Errors
    /// What the system says: a failed sync is not tried again. The file was removed: without a name
    /// nobody will ever find it, and better the end now than hours for nothing.
    pub fn sync(&self, file: &File, stem: &str) -> Result<(), Error> {
        let part = format!("{stem}{PART}");
        self.hindered().and_then(|()| file.sync_data()).map_err(|e| self.failed("cannot sync", &part, e))?;
        match cage::stat(file.as_fd()) {
            Ok(stat) if stat.st_nlink == 0 => {
                let removed = io::Error::new(io::ErrorKind::NotFound, "it was removed while it was written");
                Err(self.failed("cannot go on with", &part, removed))
            }
            _ => Ok(()),
        }
    }

    /// Brings the finished segment `part` + `.part` to the disk and gives it its final name: `stem`
    /// + `.seg`, or the next one that is free. Gives that name, and what the file has become.
    ///
    /// # Errors
    /// What the system says. A failed sync is not tried again: the kernel may have let go of the
    /// data.
    pub fn seal(&self, file: &File, part: &str, stem: &str) -> Result<(String, FileStat), Error> {
        let part = format!("{part}{PART}");
        self.hindered().and_then(|()| file.sync_all()).map_err(|e| self.failed("cannot sync", &part, e))?;
        let stat = cage::stat(file.as_fd()).map_err(|e| self.failed("cannot inspect", &part, e.into()))?;
        let name = self.rename_to_final(&part, stem)?;
        self.sync_dir()?;
        Ok((name, stat))
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

    /// Keeps which recorder's spool this is, and which segment comes next. Synced: with the
    /// identity a recorder loses its segments, which it would not know again.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep_identity(&self, identity: Identity) -> Result<(), Error> {
        replace(&self.dir, IDENTITY_FILE, (Readers::Group, Durability::Synced), identity.to_text().as_bytes())
            .map_err(|e| self.failed("cannot write", IDENTITY_FILE, e))
    }

    /// Writes how far a start has come, for those who may read the status.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_start(&self, text: &[u8], owner: Option<&Account>) -> Result<(), Error> {
        let failed = |e: io::Error| self.failed("cannot write", START_FILE, e);
        replace(&self.dir, START_FILE, (Readers::Group, Durability::Passing), text).map_err(failed)?;
        // Made just now by us, and replaced by nobody else under the lock: so far as one may know,
        // looked at once more.
        if let Some(owner) = owner.filter(|_| crate::privilege::is_root()) {
            look(&self.dir, START_FILE).and_then(|file| give_to(&file, owner)).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes the status file anew.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_status(&self, text: &[u8]) -> Result<(), Error> {
        replace(&self.dir, STATUS_FILE, (Readers::Group, Durability::Passing), text)
            .map_err(|e| self.failed("cannot write", STATUS_FILE, e))
    }

    /// Sets the time of a segment's last change. Whether it could be set: the file may not be ours.
    pub fn stamp(&self, name: &str, changed_ns: i64) -> bool {
        let stamp = TimeSpec::from_duration(Duration::from_nanos(changed_ns.max(0).unsigned_abs()));
        utimensat(&self.dir, name, &TimeSpec::UTIME_OMIT, &stamp, UtimensatFlags::NoFollowSymlink).is_ok()
    }

    /// Brings the names to the disk.
    ///
    /// # Errors
    /// What the system says.
    pub fn sync_dir(&self) -> Result<(), Error> {
        self.dir.sync_all().map_err(|e| self.failed("cannot sync directory", "", e))
    }

    /// Names with our suffixes.
    ///
    /// # Errors
    /// The directory could not be read.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        // Who panicked while it listed left nothing half done.
        let mut listing = self.listing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut names = Vec::new();
        for entry in listing.iter() {
            let entry = entry.map_err(|e| self.failed("cannot list", "", e.into()))?;
            names.extend(entry.file_name().to_str().ok().filter(|name| has_suffix(name)).map(str::to_owned));
        }
        Ok(names)
    }

    /// Renames without ever replacing a file.
    ///
    /// # Errors
    /// What the system says; all names are taken.
    pub fn rename_to_final(&self, part: &str, stem: &str) -> Result<String, Error> {
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
            Err(Errno::EINVAL | Errno::ENOSYS) => match self.names() {
                Ok(names) if names.iter().any(|name| name == to) => Err(Errno::EEXIST),
                _ => renameat(&self.dir, from, &self.dir, to),
            },
            other => other,
        }
    }

    #[cfg(not(test))]
    fn hindered(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn hindered(&self) -> io::Result<()> {
        let Hindrance { wait, error } = *self.hindrance.lock().unwrap();
        std::thread::sleep(wait);
        error.map_or(Ok(()), |errno| Err(errno.into()))
    }
}
