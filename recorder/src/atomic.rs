//! A small file that others read while it is written again and again: they find the old one or the
//! new one, whole.

use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::fs::File;
use std::io::{self, Write};

/// Who may read such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner, and the group where the umask lets it.
    Group,
    /// Everybody, whatever the umask says.
    Everybody,
}

/// What a power cut may do to such a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It is on the disk when it is in place.
    Synced,
    /// It may be empty afterwards: its next version comes within seconds.
    Passing,
}

/// What the file of [`Readers::Everybody`] has. The only mode that the confinement lets a file be
/// given.
pub const PUBLIC_MODE: u32 = 0o644;

/// Puts `bytes` in place of the file `name` in `dir`, which may not exist.
///
/// # Errors
/// What the system says; then the old file is as it was.
pub fn replace(dir: &File, name: &str, (readers, durability): (Readers, Durability), bytes: &[u8]) -> io::Result<()> {
    let new = format!("{name}.new");
    // Removed and made anew, not truncated: the confinement does not let files be truncated.
    _ = unlinkat(dir, new.as_str(), UnlinkatFlags::NoRemoveDir);
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file: File = openat(dir, new.as_str(), flags, Mode::from_bits_truncate(0o640))?.into();
    let opened = match readers {
        Readers::Group => Ok(()),
        Readers::Everybody => fchmod(&file, Mode::from_bits_truncate(PUBLIC_MODE)).map_err(io::Error::from),
    };
    let synced = durability == Durability::Synced;
    let sync = |file: &File| if synced { file.sync_all() } else { Ok(()) };
    let written = opened.and_then(|()| file.write_all(bytes)).and_then(|()| sync(&file));
    if let Err(e) = written {
        _ = unlinkat(dir, new.as_str(), UnlinkatFlags::NoRemoveDir);
        return Err(e);
    }
    renameat(dir, new.as_str(), dir, name)?;
    sync(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_new_file_is_whole_and_has_its_readers() {
        let home = tempfile::tempdir().unwrap();
        let dir = File::open(home.path()).unwrap();
        let path = home.path().join("a");
        std::fs::write(home.path().join("a.new"), "left over").unwrap();
        for (bytes, readers, others_read) in [("one", Readers::Everybody, true), ("two", Readers::Group, false)] {
            replace(&dir, "a", (readers, Durability::Synced), bytes.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bytes);
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o004 != 0, others_read);
        }
        assert_eq!(home.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let home = tempfile::tempdir().unwrap();
        let dir = File::open(home.path()).unwrap();
        let other = home.path().join("other");
        std::fs::write(&other, "other").unwrap();
        for name in ["a", "a.new"] {
            std::os::unix::fs::symlink(&other, home.path().join(name)).unwrap();
        }
        replace(&dir, "a", (Readers::Group, Durability::Passing), b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "other");
        assert_eq!(std::fs::read_to_string(home.path().join("a")).unwrap(), "new");
    }
}
