//! What is open when the cage is shut: a list in which each descriptor has its purpose, and nothing
//! besides.
//!
//! Who starts the recorder may have left something open for it (a shell, a service manager, a
//! program that forgot to close): a terminal, a socket, a file that this user could not open by
//! itself. It is closed before the first packet. What is left is listed, and one that is not in the
//! list is a hole.

use super::raw;
use crate::error::Error;
use nix::unistd::{dup2_stdin, dup2_stdout};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Where descriptors cannot be listed (no /proc) these numbers are tried, far beyond what anybody
/// leaves open by mistake.
const PROBED: i32 = 4096;

/// What the loop does with a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Neither read nor written to: a place, a lock, a capture, whose packets come through memory.
    Held,
    /// Read.
    Read,
    /// Written to.
    Write,
    /// Both: a question to the kernel and its answer.
    Both,
    /// Read, and then closed: another file may get its number.
    ReadOnce,
}

/// A descriptor that stays open, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its number.
    pub number: i32,
    /// What it is.
    pub what: String,
    /// What is done with it.
    pub usage: Use,
}

impl Kept {
    /// One of ours.
    pub fn new(fd: impl AsFd, usage: Use, what: impl Into<String>) -> Self {
        Self { number: fd.as_fd().as_raw_fd(), what: what.into(), usage }
    }
}

/// What was open before this program opened anything, standard input, output and error apart.
#[derive(Debug)]
pub struct Inherited(Vec<i32>);

impl Inherited {
    /// To be called first of all.
    pub fn note() -> Self {
        Self(open_numbers().into_iter().filter(|number| *number > 2).collect())
    }

    /// Closes all of them. A file that was named by one (`/dev/fd/63`) was opened anew.
    pub fn close(self) {
        self.0.into_iter().for_each(raw::close);
    }
}

/// Which of standard input and output is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    Neither,
    Input,
    Output,
}

/// Standard input and output, replaced by nothing where they are not needed; gives the list to
/// begin with.
///
/// # Errors
/// The system refuses.
pub fn standard(needed: Needed) -> Result<Vec<Kept>, Error> {
    let failed = |source: io::Error| Error::System { doing: "cannot replace standard input and output", source };
    let nothing = |writes: bool| -> io::Result<OwnedFd> {
        match OpenOptions::new().read(!writes).write(writes).open("/dev/null") {
            Ok(null) => Ok(null.into()),
            // A root directory without devices. An end of a pipe whose other end is closed is as
            // good.
            Err(_) => io::pipe().map(|(reader, writer)| if writes { writer.into() } else { reader.into() }),
        }
    };
    let kept = |number, usage, what: &str| Kept { number, what: what.into(), usage };
    let mut list = Vec::new();
    if needed == Needed::Input {
        list.push(kept(0, Use::Read, "standard input, the capture"));
    } else {
        dup2_stdin(nothing(false).map_err(failed)?).map_err(|e| failed(e.into()))?;
        list.push(kept(0, Use::Held, "nothing, for standard input"));
    }
    if needed == Needed::Output {
        list.push(kept(1, Use::Write, "standard output"));
    } else {
        dup2_stdout(nothing(true).map_err(failed)?).map_err(|e| failed(e.into()))?;
        list.push(kept(1, Use::Write, "nothing, for standard output"));
    }
    list.push(kept(2, Use::Write, "standard error"));
    Ok(list)
}

/// What is open and not in the list: libpcap's own, which wakes it and is of no use to anybody
/// else, is added to the list; all other numbers are given.
pub fn unknown(kept: &mut Vec<Kept>) -> Vec<i32> {
    let is_kept = |kept: &[Kept], number: i32| kept.iter().any(|k| k.number == number);
    let (mut unknown, others) = (Vec::new(), open_numbers());
    for number in others.into_iter().filter(|number| *number >= 0) {
        if is_kept(kept, number) {
            continue;
        }
        if raw::is_anonymous(number) {
            kept.push(Kept { number, what: "libpcap's own, to be woken by".into(), usage: Use::Held });
        } else {
            unknown.push(number);
        }
    }
    kept.sort_by_key(|k| k.number);
    unknown
}

/// The numbers that are open.
pub fn open_numbers() -> Vec<i32> {
    listed().unwrap_or_else(|| (0..PROBED).filter(|number| raw::is_open(*number)).collect())
}

/// As /proc lists them, without the one that it is listed by.
fn listed() -> Option<Vec<i32>> {
    let numbers: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .ok()?
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect();
    // The listing is closed by now.
    Some(numbers.into_iter().filter(|number| raw::is_open(*number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn a_descriptor_without_a_purpose_is_found_with_and_without_proc() {
        let file = File::open("/dev/null").unwrap();
        let number = file.as_raw_fd();
        assert!(listed().is_none_or(|all| all.contains(&number)));
        assert!((0..PROBED).filter(|n| raw::is_open(*n)).any(|n| n == number));
        // Tests beside this one open and close, so that only this one is looked for.
        let mut kept = vec![Kept::new(&file, Use::Held, "known")];
        assert!(!unknown(&mut kept).contains(&number));
        assert!(unknown(&mut Vec::new()).contains(&number));
        assert!(!raw::is_open(1_000_000) && !raw::is_open(-1));
    }

    #[test]
    fn what_only_wakes_is_libpcap_s_and_nothing_else_is() {
        let event = nix::sys::eventfd::EventFd::new().unwrap();
        let (reader, _writer) = io::pipe().unwrap();
        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        let numbers = [event.as_fd().as_raw_fd(), reader.as_raw_fd(), socket.as_raw_fd()];
        assert_eq!(numbers.map(raw::is_anonymous), [true, false, false]);
        let mut kept = Vec::new();
        unknown(&mut kept);
        assert!(kept.iter().any(|k| k.number == numbers[0] && k.usage == Use::Held));
    }
}
