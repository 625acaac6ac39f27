//! Confinement: what this program can still do once packets come, and the proof of it. This page is
//! the contract.
//!
//! Everything that the loop will use is opened before: captures, spool, lock, counters, rtnetlink,
//! the signals' pipe. Then, in this order, each step resting on those before it:
//!
//! 1. what others left open is closed, standard input and output are replaced where they are not
//!    needed, and what is open is compared with the list of what is needed ([`descriptors`]);
//! 2. one thread: capabilities, Landlock and seccomp belong to a thread, and there is no other that
//!    could keep its rights;
//! 3. the captures' filters are locked (`SO_LOCK_FILTER`);
//! 4. rights go ([`rights`]): bounding and ambient set, groups, group, user, capabilities;
//!    no-new-privs, so that no program started could bring any back; not dumpable, no core; few
//!    open files, no further process; umask;
//! 5. memory that was written can never be executed (`PR_SET_MDWE`);
//! 6. all of that is read back, and becoming root is tried: what fails here ends the program,
//!    whatever was asked;
//! 7. files and network are shut by Landlock ([`files`]): new files in the spool, nothing else;
//! 8. system calls are shut by seccomp ([`calls`]): those of the loop, with the arguments that it
//!    uses. Last, because the steps before need others;
//! 9. the proof ([`raw::Attempt`]): what must be refused is tried, with arguments that harm nobody;
//! 10. [`Report::accept`]: a recording does not begin if 1, 7, 8 or 9 leave something open, unless
//!     that was asked for (`--allow-uncaged`); then the calls of a burglar end the process
//!     ([`calls::tighten`]).
//!
//! A capture file is hostile, too: `--read` does the same without 3 and without the last step.

// The calls were looked at on these two only.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod calls;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[path = "cage/calls_unknown.rs"]
mod calls;
mod descriptors;
mod files;
mod raw;
mod rights;

pub use descriptors::{Inherited, Kept, Use, standard};
pub use raw::stat;

use crate::error::Error;
use crate::log::{Level, log};
use crate::privilege::Account;
use crate::spool::Spool;
use files::Landlock;
use nix::errno::Errno;
use nix::sys::stat::umask;
use raw::Attempt;
use std::os::fd::{AsFd, BorrowedFd};

/// The wall of [`calls`].
const CALLS: &str = "system calls (seccomp)";

/// What stays usable.
#[derive(Clone, Copy)]
pub struct Inside<'a> {
    /// Where segments are made.
    pub spool: &'a Spool,
    /// Another directory in which files are made and replaced, if there is one.
    pub beside: Option<BorrowedFd<'a>>,
    /// Where packets come from. None for a file.
    pub captures: &'a [BorrowedFd<'a>],
    /// All that is to stay open, captures and directories included.
    pub kept: &'a [Kept],
}

impl<'a> Inside<'a> {
    /// The directories that can be written to, the spool first.
    fn directories(&self) -> Vec<BorrowedFd<'a>> {
        [self.spool.dir().as_fd()].into_iter().chain(self.beside).collect()
    }
}

/// One wall of the cage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wall {
    /// What it is.
    pub what: &'static str,
    /// How it stands.
    pub state: State,
}

/// How a wall stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// As it should, with what there is to say.
    Up(String),
    /// The kernel enforces less than it could, and another wall covers that.
    Lower(String),
    /// Not there, and needed.
    Missing(String),
}

/// An attempt and the kernel's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tried {
    /// What was tried.
    pub what: &'static str,
    /// `None`: it worked.
    pub answer: Option<Errno>,
}

impl Tried {
    /// Not refused by the cage: it worked, or failed in a way that shows that the kernel looked at
    /// what was asked. A file that is not there, or that is there already where one was to be made,
    /// or a file system that cannot have it, was nothing to be had.
    pub fn is_hole(self) -> bool {
        use Errno::{EACCES, EEXIST, ENOENT, ENOTDIR, EOPNOTSUPP, EPERM, EROFS};
        !matches!(self.answer, Some(EPERM | EACCES | EROFS | ENOENT | ENOTDIR | EOPNOTSUPP | EEXIST))
    }
}

/// What became of the confinement.
#[derive(Debug, Clone)]
pub struct Report {
    /// The walls, in the order in which they were put up.
    pub walls: Vec<Wall>,
    /// What was tried afterwards.
    pub tried: Vec<Tried>,
    /// What is open.
    pub kept: Vec<Kept>,
}

/// Shuts this process in, for good, and tries the walls. See the contract above.
///
/// # Errors
/// A right could not be given up or came back. Nothing may be recorded then.
pub fn enter(account: Option<&Account>, inside: &Inside<'_>) -> Result<Report, Error> {
    alone()?;
    let mut kept = inside.kept.to_vec();
    let mut walls = vec![no_others(&mut kept), lock_filters(inside.captures)?];
    // Who may enter the spool may read its segments, and nobody else.
    umask(inside.spool.umask());
    rights::give_up(account)?;
    let code = match rights::refuse_writable_code()? {
        true => State::Up("PR_SET_MDWE".into()),
        false => State::Lower("this kernel has no PR_SET_MDWE; seccomp refuses executable memory".into()),
    };
    rights::prove(account)?;
    walls.extend([
        Wall { what: "rights", state: State::Up(rights::summary()) },
        Wall { what: "writable or executable", state: code },
    ]);
    walls.push(Wall { what: "files (Landlock)", state: shut_files(inside) });
    walls.push(Wall { what: CALLS, state: shut_calls(inside, &kept) });
    let tried = Attempt::all(inside.spool.dir().as_fd(), inside.beside.is_some(), inside.captures);
    let tried = tried.iter().map(|attempt| Tried { what: attempt.what, answer: attempt.make().err() }).collect();
    Ok(Report { walls, tried, kept })
}

/// Names of the calls that stay permitted.
pub fn permitted_calls() -> Vec<&'static str> {
    calls::permitted()
}

/// Makes sure that this is the only thread, where the system tells.
fn alone() -> Result<(), Error> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        let cause = format!("there are {threads} threads, and the others would keep their rights");
        return Err(Error::Privilege { step: "be the only thread", cause });
    }
    Ok(())
}

/// Compares what is open with what is to be.
fn no_others(kept: &mut Vec<Kept>) -> Wall {
    let unknown = descriptors::unknown(kept);
    let state = match unknown.as_slice() {
        [] => State::Up(format!("{} open, each with a purpose", kept.len())),
        some => State::Missing(format!("open without a purpose: {some:?}")),
    };
    Wall { what: "descriptors", state }
}

fn lock_filters(captures: &[BorrowedFd<'_>]) -> Result<Wall, Error> {
    let failed = |e: Errno| Error::Privilege { step: "lock the filter of the capture", cause: e.to_string() };
    for socket in captures {
        if !raw::lock_filter(*socket).map_err(failed)? {
            return Err(failed(Errno::UnknownErrno));
        }
    }
    Ok(Wall { what: "capture filter", state: State::Up(format!("locked ({} of {0})", captures.len())) })
}

fn shut_files(inside: &Inside<'_>) -> State {
    match files::restrict(inside.spool.dir().as_fd(), inside.beside) {
        Ok(Landlock::Whole) => State::Up("new files in the spool, nothing else".into()),
        Ok(Landlock::Partial) => State::Lower("an old Landlock, which knows files only; seccomp does the rest".into()),
        Ok(Landlock::Absent) => State::Missing("this kernel has no Landlock, or it is switched off".into()),
        Err(e) => State::Missing(e.to_string()),
    }
}

fn shut_calls(inside: &Inside<'_>, kept: &[Kept]) -> State {
    match calls::restrict(&inside.directories(), inside.captures, kept, inside.spool.listing()) {
        Ok(()) => State::Up(format!("{} permitted, others refused", calls::permitted().len())),
        Err(e) => State::Missing(format!("none are refused: {e}")),
    }
}

impl Report {
    /// What is open that should be shut, in words. Empty: nothing.
    pub fn holes(&self) -> Vec<String> {
        let missing = self.walls.iter().filter_map(|wall| match &wall.state {
            State::Missing(why) => Some(format!("{}: {why}", wall.what)),
            State::Up(_) | State::Lower(_) => None,
        });
        let mut holes: Vec<String> = missing.collect();
        let open: Vec<&str> = self.tried.iter().filter(|t| t.is_hole()).map(|t| t.what).collect();
        if !open.is_empty() && holes.is_empty() {
            holes.push(format!("not refused: {}", open.join(", ")));
        } else if !open.is_empty() {
            // What follows from a missing wall.
            holes.push(format!("{} of {} things that must be refused are not", open.len(), self.tried.len()));
        }
        holes
    }

    /// Says what the kernel does not enforce.
    pub fn note(&self) {
        for wall in &self.walls {
            if let State::Lower(why) | State::Missing(why) = &wall.state {
                log(Level::Notice, format_args!("note: {}: {why}", wall.what));
            }
        }
    }

    /// System calls are restricted.
    pub fn calls_are_shut(&self) -> bool {
        self.walls.iter().any(|wall| wall.what == CALLS && matches!(wall.state, State::Up(_)))
    }

    /// Makes sure that a recording may begin, and shuts the last door.
    ///
    /// # Errors
    /// There are holes, and `allow_uncaged` does not permit them.
    pub fn accept(&self, allow_uncaged: bool) -> Result<(), Error> {
        let holes = self.holes();
        if !holes.is_empty() && !allow_uncaged {
            return Err(Error::Uncaged { holes });
        }
        self.note();
        if self.calls_are_shut() {
            calls::tighten().map_err(|cause| Error::Privilege { step: "restrict system calls further", cause })?;
        }
        Ok(())
    }
}
