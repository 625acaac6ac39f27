//! The spool's directory, its lock and its small files, before anything in it is trusted.
//!
//! As root this runs in a directory that the recorder's user can write in, and that user may have
//! been taken over: nothing that was found here is given away, cut or replaced before its type, its
//! owner and its names were looked at through the open descriptor. Nothing is followed, and nothing
//! that blocks is waited for.

use crate::error::Error;
use crate::identity::IDENTITY_FILE;
use crate::privilege::Account;
use crate::starting::START_FILE;
use crate::status::STATUS_FILE;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, fchown};
use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

/// Holds the lock and the holder's process number.
pub const LOCK: &str = "recorder.lock";

/// The lock is tried for half a second.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Longest content of a lock: a process number, and room.
const MAX_LOCK_BYTES: u64 = 32;

/// Opened for a look, whatever it is: no link is followed, no pipe is waited for.
const LOOK: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK).union(OFlag::O_CLOEXEC).union(OFlag::O_NOCTTY);

/// Files that are written anew again and again, and how each of ours begins.
const REPLACED: [(&str, &[u8]); 3] =
    [(STATUS_FILE, b"{\"format\":"), (START_FILE, b"{\"format\":"), (IDENTITY_FILE, b"imon-recorder ")];

/// Whether a name in the spool is one that the recorder writes, or may come to write.
pub fn is_reserved(name: &str) -> bool {
    let stem = name.strip_suffix(".new").unwrap_or(name);
    super::has_suffix(stem) || stem == LOCK || REPLACED.iter().any(|(reserved, _)| stem == *reserved)
}

/// A small text file of the spool; `None` where it is missing or nothing that could be read.
pub fn read_small(dir: &File, name: &str, most_bytes: u64) -> Option<String> {
    let file = look(dir, name).ok()?;
    let mut text = String::new();
    file.take(most_bytes).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Opens a plain file for reading.
///
/// # Errors
/// What the system says; `InvalidInput` for what is no plain file.
pub fn look(dir: &File, name: &str) -> io::Result<File> {
    // First by name: opening a device may already do something.
    plain(&fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?)?;
    let file: File = openat(dir, name, LOOK, Mode::empty())?.into();
    plain(&fstat(&file)?)?;
    Ok(file)
}

fn plain(stat: &FileStat) -> io::Result<()> {
    match kind(stat) {
        None => Ok(()),
        Some(kind) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is a {kind}"))),
    }
}

/// What a file is if it is no plain one.
fn kind(stat: &FileStat) -> Option<&'static str> {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => None,
        SFlag::S_IFDIR => Some("directory"),
        SFlag::S_IFLNK => Some("link"),
        SFlag::S_IFIFO => Some("named pipe"),
        SFlag::S_IFSOCK => Some("socket"),
        _ => Some("device"),
    }
}

/// Opens the directory, made (mode 0700) where it is missing. `owner`: who will write, where that
/// is not the present user; a directory that was made just now is handed over, and so is an empty
/// one of root's to which nobody else could have led us.
///
/// # Errors
/// Not there and not to be made, or somebody else's.
pub fn open_directory(path: &Path, owner: Option<&Account>) -> Result<(File, Dir), Error> {
    let failed = |doing: &str, source| Error::Spool { doing: format!("{doing} {}", path.display()), source };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let (mut made, mut by_link) = (false, true);
    let dir: File = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .map_err(|e| failed("cannot create spool", e))?;
            // One handle for both steps: nobody can exchange the way in between.
            let parent = open(parent, OFlag::O_PATH | flags, Mode::empty())
                .map_err(|e| failed("cannot open spool", e.into()))?;
            match mkdirat(&parent, name, Mode::S_IRWXU) {
                Ok(()) => made = true,
                Err(Errno::EEXIST) => {}
                Err(e) => return Err(failed("cannot create spool", e.into())),
            }
            match openat(&parent, name, flags | OFlag::O_NOFOLLOW, Mode::empty()) {
                Err(Errno::ELOOP | Errno::ENOTDIR) if !made => openat(&parent, name, flags, Mode::empty()),
                other => {
                    by_link = false;
                    other
                }
            }
        }
        _ => open(path, flags, Mode::empty()),
    }
    .map_err(|e| failed("cannot open spool", e.into()))?
    .into();
    let mut listing =
        Dir::openat(&dir, ".", flags, Mode::empty()).map_err(|e| failed("cannot list spool", e.into()))?;
    if let Some(owner) = owner {
        let found = dir.metadata().map_err(|e| failed("cannot inspect spool", e))?;
        if found.uid() != owner.uid {
            let mut is_empty = || listing.iter().flatten().all(|e| [c".", c".."].contains(&e.file_name()));
            let ours_to_give = made || (found.uid() == 0 && !by_link && is_empty() && is_safe_way(path, &dir));
            if !ours_to_give {
                let name = crate::privilege::name_of;
                let (owner, user) = (name(found.uid()), owner.name.clone());
                return Err(Error::SpoolOwner { path: path.to_owned(), owner, user, by_link });
            }
            give_to(&dir, owner).map_err(|e| failed("cannot hand over spool", e))?;
        }
    }
    Ok((dir, listing))
}

/// Whether nobody but root decides what this path leads to.
fn is_safe_way(path: &Path, dir: &File) -> bool {
    let Ok(real) = path.canonicalize() else {
        return false;
    };
    let only_root_changes = |way: &Path| {
        way.symlink_metadata().is_ok_and(|m| m.uid() == 0 && (m.mode() & 0o022 == 0 || m.mode() & 0o1000 != 0))
    };
    let is_it = match (real.symlink_metadata(), dir.metadata()) {
        (Ok(there), Ok(here)) => (there.dev(), there.ino()) == (here.dev(), here.ino()),
        _ => false,
    };
    is_it && real.ancestors().skip(1).all(only_root_changes)
}

/// Gives an open file to `owner`.
///
/// # Errors
/// What the system says.
pub fn give_to(file: &File, owner: &Account) -> io::Result<()> {
    Ok(fchown(file, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?)
}

/// Locks the directory for this process and notes its number.
///
/// # Errors
/// Another recorder holds it; what has the lock's name is none.
pub fn lock(path: &Path, dir: &File, owner: Option<&Account>) -> Result<File, Error> {
    let failed =
        |source: io::Error| Error::Spool { doing: format!("cannot write in spool {}", path.display()), source };
    let foreign = |found: String| Error::Foreign { path: path.join(LOCK), found };
    let mut file = loop {
        let file = open_lock(dir, owner).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidInput => foreign(e.to_string()),
            _ => failed(e),
        })?;
        match try_for_a_moment(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                _ = (&file).take(MAX_LOCK_BYTES).read_to_string(&mut text); // the number is a courtesy
                return Err(Error::SpoolInUse { path: path.to_owned(), holder: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        // Who removed or replaced it while we waited has made another lock, which a third one may
        // hold.
        let is_same = |there: FileStat, here: FileStat| (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino);
        match (fstatat(dir, LOCK, AtFlags::AT_SYMLINK_NOFOLLOW), fstat(&file)) {
            (Ok(there), Ok(here)) if !is_same(there, here) => {}
            (Err(Errno::ENOENT), _) => {}
            _ => break file,
        }
    };
    if let Some(owner) = owner
        && file.metadata().map_err(failed)?.uid() != owner.uid
    {
        give_to(&file, owner).map_err(failed)?;
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

/// Whether somebody holds a spool's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody, as far as this kernel knows.
    Nobody,
    /// A recorder.
    Somebody,
    /// It may not be looked at, or is not there.
    Unknown,
}

impl Holder {
    /// Tries the lock in the directory `spool`, for the shortest time and beside others who try: a
    /// recorder that begins in that moment tries for longer.
    pub fn of(spool: &Path) -> Self {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = open(spool, flags, Mode::empty()).map(File::from);
        let Ok(lock) = dir.map_err(io::Error::from).and_then(|dir| look(&dir, LOCK)) else {
            return Self::Unknown;
        };
        match lock.try_lock_shared() {
            Ok(()) => Self::Nobody,
            Err(TryLockError::WouldBlock) => Self::Somebody,
            Err(TryLockError::Error(_)) => Self::Unknown,
        }
    }
}

/// The lock's file: a new one, or one that can only be a recorder's.
fn open_lock(dir: &File, owner: Option<&Account>) -> io::Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    let found = match fstatat(dir, LOCK, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::ENOENT) => {
            let mode = Mode::from_bits_truncate(0o640);
            match openat(dir, LOCK, flags | OFlag::O_CREAT | OFlag::O_EXCL, mode) {
                // Another one was faster.
                Err(Errno::EEXIST) => fstatat(dir, LOCK, AtFlags::AT_SYMLINK_NOFOLLOW)?,
                new => return Ok(new?.into()),
            }
        }
        Err(e) => return Err(e.into()),
    };
    let other = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
    plain(&found)?;
    let file: File = openat(dir, LOCK, flags, Mode::empty())?.into();
    let stat = fstat(&file)?;
    plain(&stat)?;
    if stat.st_nlink > 1 {
        return Err(other(format!("it is one file with {} names (hard links)", stat.st_nlink)));
    }
    let user = owner.map_or_else(|| Uid::effective().as_raw(), |owner| owner.uid);
    // Root's and empty: a recorder was ended between making it and giving it away.
    if stat.st_uid != user && !(stat.st_uid == 0 && stat.st_size == 0) {
        let name = crate::privilege::name_of;
        return Err(other(format!("it belongs to {}, and not to {}, who is to record", name(stat.st_uid), name(user))));
    }
    let mut text = Vec::new();
    (&file).take(MAX_LOCK_BYTES + 1).read_to_end(&mut text)?;
    // After a power cut there may be zeros.
    let is_number = text.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace() || *byte == 0);
    if !is_number || text.len() as u64 > MAX_LOCK_BYTES {
        return Err(other("it holds more than the number of a process".into()));
    }
    (&file).rewind()?;
    Ok(file)
}

/// A recorder that has just ended may hold the lock a moment longer: so does a child between fork
/// and exec.
fn try_for_a_moment(lock: &File) -> Result<(), TryLockError> {
    for _ in 1..LOCK_TRIES {
        if !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    lock.try_lock()
}

/// Makes sure that what will be replaced in the spool is a recorder's.
///
/// # Errors
/// A file of another kind, or one that begins otherwise, has one of the names.
pub fn check_replaced(path: &Path, dir: &File) -> Result<(), Error> {
    let names =
        REPLACED.into_iter().flat_map(|(name, begin)| [(name.to_owned(), begin), (format!("{name}.new"), begin)]);
    for (name, begin) in names {
        if let Some(found) = foreign(dir, &name, begin) {
            return Err(Error::Foreign { path: path.join(name), found });
        }
    }
    Ok(())
}

/// What is wrong with a file that is to be replaced; `None` if it is not there, begins with
/// `begin`, or has nothing in it.
pub fn foreign(dir: &File, name: &str, begin: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    match look(dir, name).and_then(|file| file.take(64).read_to_end(&mut bytes)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Some(e.to_string()),
        Err(e) => Some(format!("it cannot be read ({e})")),
        // After a power cut it may be empty, or hold zeros.
        Ok(_) if bytes.starts_with(begin) || bytes.iter().all(|byte| *byte == 0) => None,
        Ok(_) => Some(format!("it does not begin with '{}'", String::from_utf8_lossy(begin))),
    }
}
