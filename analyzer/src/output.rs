//! Where a result goes. It is opened before anything is read, and changed when there is a result: a
//! command that fails leaves a file as it was.

use crate::error::Error;
use crate::files::folder_of;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Where a file that has no name can be named by its descriptor.
const OPEN_FILES: &str = "/proc/self/fd";

/// The file of a result.
#[derive(Debug)]
pub struct Output {
    file: File,
    path: PathBuf,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It was there: emptied before the first byte.
    There,
    /// It has no name yet.
    Nameless,
    /// It has a name and is written to.
    Begun,
}

impl Output {
    /// Opens `path`, or makes a file that has no name until it is whole.
    ///
    /// # Errors
    /// It cannot be opened for writing: a folder, a named pipe that nobody reads.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |e: io::Error| Error::writing(&path.to_string_lossy(), &e);
        // A named pipe without a reader would be waited for.
        let there = File::options().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
        match there {
            Ok(file) => {
                let about = file.metadata().map_err(failed)?;
                if !about.is_file() {
                    wait_for_room(&file).map_err(failed)?;
                }
                let state = if about.is_file() { State::There } else { State::Begun };
                Ok(Self { file, path: path.into(), state })
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Self::make(path).map_err(failed),
            Err(e) if e.raw_os_error() == Some(Errno::ENXIO as i32) => {
                Err(failed(io::Error::new(ErrorKind::NotConnected, "it is a named pipe that nobody reads")))
            }
            Err(e) => Err(failed(e)),
        }
    }

    fn make(path: &Path) -> io::Result<Self> {
        let folder = folder_of(path);
        // A name that leads nowhere: what it leads to is made.
        let nameless = match std::fs::symlink_metadata(path) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => nameless_in(folder),
        };
        match nameless {
            Ok(file) => Ok(Self { file, path: path.into(), state: State::Nameless }),
            // This file system has no such files: it stays empty if the command fails.
            Err(_) => {
                let file = File::options().write(true).create(true).truncate(false).open(path)?;
                Ok(Self { file, path: path.into(), state: State::There })
            }
        }
    }

    /// The folder in which it gets its name, if it has none yet.
    pub fn needs_name_in(&self) -> Option<&Path> {
        (self.state == State::Nameless).then(|| folder_of(&self.path))
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.state == State::There {
            self.file.set_len(0)?;
            self.state = State::Begun;
        }
        Ok(())
    }
}

/// A file that has no name until it gets one: of a command that fails nothing stays.
#[cfg(target_os = "linux")]
fn nameless_in(folder: &Path) -> io::Result<File> {
    // Without /proc it could get no name.
    if !Path::new(OPEN_FILES).exists() {
        return Err(ErrorKind::Unsupported.into());
    }
    File::options().write(true).mode(0o666).custom_flags(OFlag::O_TMPFILE.bits()).open(folder)
}

#[cfg(not(target_os = "linux"))]
fn nameless_in(_: &Path) -> io::Result<File> {
    Err(ErrorKind::Unsupported.into())
}

/// What is opened without waiting is written with waiting.
fn wait_for_room(file: &File) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, fcntl};
    let flags = OFlag::from_bits_truncate(fcntl(file, FcntlArg::F_GETFL)?);
    fcntl(file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(())
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begin()?;
        self.file.write(bytes)
    }

    /// The result is whole.
    fn flush(&mut self) -> io::Result<()> {
        self.begin()?;
        if self.state == State::Nameless {
            let here = format!("{OPEN_FILES}/{}", self.file.as_raw_fd());
            nix::unistd::linkat(AT_FDCWD, Path::new(&here), AT_FDCWD, &self.path, AtFlags::AT_SYMLINK_FOLLOW)?;
            self.state = State::Begun;
        }
        Ok(())
    }
}

/// Standard output that was closed when the program was started.
#[derive(Debug, Clone, Copy)]
pub struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(Errno::EBADF.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(Errno::EBADF.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changes_when_there_is_a_result() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        std::fs::write(&old, "what was there").unwrap();
        for path in [&old, &new] {
            drop(Output::open(path).unwrap());
        }
        assert_eq!(std::fs::read(&old).unwrap(), b"what was there");
        assert!(!new.exists());
        for path in [&old, &new] {
            let mut output = Output::open(path).unwrap();
            output.write_all(b"result").unwrap();
            output.flush().unwrap();
            assert_eq!(std::fs::read(path).unwrap(), b"result");
            // A result may be empty.
            Output::open(path).unwrap().flush().unwrap();
            assert_eq!(std::fs::read(path).unwrap(), b"");
        }
    }

    #[test]
    fn a_link_is_followed_and_what_cannot_be_written_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::os::unix::fs::symlink(at("target"), at("link")).unwrap();
        let mut output = Output::open(&at("link")).unwrap();
        output.write_all(b"x").unwrap();
        output.flush().unwrap();
        assert_eq!(std::fs::read(at("target")).unwrap(), b"x");
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["pipe", ".", "none/x"] {
            assert!(Output::open(&at(name)).is_err(), "{name}");
        }
        Output::open(Path::new("/dev/null")).unwrap().write_all(b"x").unwrap();
    }
}
