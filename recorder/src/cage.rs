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
//!    open files; umask;
//! 5. memory that was written can never be executed (`PR_SET_MDWE`);
//! 6. the thread of the disk is started, which has no right that this one has not, and then no
//!    further thread or process may be;
//! 7. all of that is read back by each thread and from `/proc/self/task`, and becoming root is
//!    tried: what fails here ends the program, whatever was asked;
//! 8. each thread shuts files and network by Landlock ([`files`]): new files in the spool, nothing
//!    else;
//! 9. each thread shuts system calls by seccomp ([`calls`]): those of the loop, with the arguments
//!    that it uses. Last, because the steps before need others;
//! 10. the proof ([`raw::Attempt`]): what must be refused is tried in each thread, with arguments
//!     that harm nobody;
//! 11. [`Cage::accept`]: a recording does not begin if 1, 8, 9 or 10 leave something open, unless
//!     that was asked for (`--allow-uncaged`); then the calls of a burglar end the process
//!     ([`calls::tighten`]).
//!
//! A capture file is hostile, too: `--read` does the same without 3, without the second thread and
//! without the last step.

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

pub use descriptors::{Inherited, Kept, Needed, Use, standard};
pub use raw::stat;

use crate::error::Error;
use crate::log::{Level, log};
use crate::privilege::Account;
use crate::spool::Spool;
use crate::thread::Thread;
use files::Landlock;
use nix::errno::Errno;
use nix::sys::stat::umask;
use raw::{Attempt, Writable};
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

/// Which threads are shut in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// This one, and no other.
    One,
    /// This one and the one of the disk, which is started in the cage.
    Two,
}

/// An attempt and the kernel's answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// What was tried.
    pub what: &'static str,
    /// The answer to each thread, the first one first. `None`: it worked.
    pub answers: Vec<Option<Errno>>,
}

impl Tried {
    /// Not refused by the cage: it worked, or failed in a way that shows that the kernel looked at
    /// what was asked. A file that is not there, or that is there already where one was to be made,
    /// or a file system that cannot have it, was nothing to be had.
    pub fn is_hole(&self) -> bool {
        self.answers.iter().any(|answer| is_hole(*answer))
    }
}

/// Whether an answer shows that the kernel looked at what was asked.
pub fn is_hole(answer: Option<Errno>) -> bool {
    use Errno::{EACCES, EEXIST, ENOENT, ENOTDIR, EOPNOTSUPP, EPERM, EROFS};
    !matches!(answer, Some(EPERM | EACCES | EROFS | ENOENT | ENOTDIR | EOPNOTSUPP | EEXIST))
}

/// The cage, when all are in it.
#[derive(Debug)]
pub struct Cage {
    /// What became of it.
    pub report: Report,
    /// The thread of the disk, if it was wanted.
    pub disk: Option<Thread>,
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
pub fn enter(account: Option<&Account>, inside: &Inside<'_>, threads: Threads) -> Result<Cage, Error> {
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
    let disk = match threads {
        Threads::One => None,
        Threads::Two => Some(Thread::start()?),
    };
    rights::refuse_processes()?;
    let both = Both { disk: disk.as_ref() };
    let whose = account.cloned();
    both.each(|| {
        let whose = whose.clone();
        move || rights::prove(whose.as_ref())
    })?
    .into_iter()
    .collect::<Result<Vec<()>, Error>>()?;
    walls.extend([
        Wall { what: "rights", state: State::Up(rights::summary()) },
        Wall { what: "threads", state: rights::prove_threads(both.number())? },
        Wall { what: "writable or executable", state: code },
        Wall { what: "files (Landlock)", state: shut_files(inside, both)? },
        Wall { what: CALLS, state: shut_calls(inside, &kept, both)? },
    ]);
    let writable = if inside.beside.is_some() { Writable::More } else { Writable::Spool };
    let attempts = Attempt::all(inside.spool.dir().as_fd(), writable, inside.captures);
    let answers = both.each(|| {
        let attempts = attempts.clone();
        move || attempts.iter().map(|attempt| attempt.make().err()).collect::<Vec<_>>()
    })?;
    let tried = attempts.iter().enumerate().map(|(n, attempt)| {
        let answers = answers.iter().map(|all| all.get(n).copied().flatten()).collect();
        Tried { what: attempt.what, answers }
    });
    let report = Report { walls, tried: tried.collect(), kept };
    Ok(Cage { report, disk })
}

/// The threads that there are.
#[derive(Clone, Copy)]
struct Both<'a> {
    disk: Option<&'a Thread>,
}

impl Both<'_> {
    fn number(self) -> usize {
        1 + usize::from(self.disk.is_some())
    }

    /// Does a thing in each, one after the other, this one last; gives what came of it, this one's
    /// first. `make` makes it anew for each.
    fn each<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
        self,
        mut make: impl FnMut() -> W,
    ) -> Result<Vec<T>, Error> {
        let beside = self.disk.map(|disk| disk.run(make())).transpose()?;
        Ok([make()()].into_iter().chain(beside).collect())
    }
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

fn shut_files(inside: &Inside<'_>, both: Both<'_>) -> Result<State, Error> {
    let missing = |why: &dyn std::fmt::Display| Ok(State::Missing(why.to_string()));
    let mut rulesets = Vec::new();
    for _ in 0..both.number() {
        match files::ruleset(inside.spool.dir().as_fd(), inside.beside) {
            Ok(ruleset) => rulesets.push(ruleset),
            Err(e) => return missing(&e),
        }
    }
    let outcomes = both.each(|| {
        let ruleset = rulesets.pop();
        move || ruleset.map(files::restrict)
    })?;
    let mut least = Landlock::Whole;
    for outcome in outcomes.into_iter().flatten() {
        match outcome {
            Ok(landlock) => least = least.min(landlock),
            Err(e) => return missing(&e),
        }
    }
    Ok(match least {
        Landlock::Whole => State::Up("new files in the spool, nothing else".into()),
        Landlock::Partial => State::Lower("an old Landlock, which knows files only; seccomp does the rest".into()),
        Landlock::Absent => State::Missing("this kernel has no Landlock, or it is switched off".into()),
    })
}

fn shut_calls(inside: &Inside<'_>, kept: &[Kept], both: Both<'_>) -> Result<State, Error> {
    let none = |why: String| State::Missing(format!("none are refused: {why}"));
    let listing = inside.spool.folder().listing();
    let program = match calls::program(&inside.directories(), inside.captures, kept, listing) {
        Ok(program) => program,
        Err(why) => return Ok(none(why)),
    };
    let outcomes = both.each(|| {
        let program = program.clone();
        move || calls::restrict(&program)
    })?;
    Ok(match outcomes.into_iter().find_map(Result::err) {
        None => State::Up(format!("{} permitted, others refused", calls::permitted().len())),
        Some(why) => none(why),
    })
}

/// Whether it may be recorded where the cage has holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holes {
    Refused,
    Allowed,
}

impl From<bool> for Holes {
    /// What `--allow-uncaged` says.
    fn from(allow_uncaged: bool) -> Self {
        if allow_uncaged { Self::Allowed } else { Self::Refused }
    }
}

impl Cage {
    /// Makes sure that a recording may begin, and shuts the last door.
    ///
    /// # Errors
    /// There are holes, and they are not allowed.
    pub fn accept(&self, allowed: Holes) -> Result<(), Error> {
        let holes = self.report.holes();
        if !holes.is_empty() && allowed == Holes::Refused {
            return Err(Error::Uncaged { holes });
        }
        self.report.note();
        if self.report.calls_are_shut() {
            let shut = Both { disk: self.disk.as_ref() }.each(|| calls::tighten)?;
            let failed = |cause| Error::Privilege { step: "restrict system calls further", cause };
            shut.into_iter().find_map(Result::err).map_or(Ok(()), |cause| Err(failed(cause)))?;
        }
        Ok(())
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
}
