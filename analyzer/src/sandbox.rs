//! What `imon-analyze` can still do once it reads what strangers wrote, and the proof of it.
//!
//! It parses captures, segments, compressed data and databases, some of it in C (zstd, SQLite).
//! Before the first byte of any of them, and before there is a second thread, it shuts itself in to
//! the row of its command ([`crate::reach`]):
//!
//! 1. what it will need is opened or made: the file of the result, the folder of the database,
//!    sockets to DNS servers;
//! 2. files and network are shut by Landlock ([`files`]);
//! 3. system calls are shut by seccomp ([`calls`]): no program, no further process, no socket, no
//!    executable memory.
//!
//! A kernel without one of them is no error, as this program has no rights that its user has not;
//! it is said. System calls and numbers of the system stay in this folder: elsewhere than on Linux
//! nothing is shut, and that is said.

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod calls;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[path = "sandbox/calls_unknown.rs"]
mod calls;
#[cfg(target_os = "linux")]
mod files;
#[cfg(not(target_os = "linux"))]
#[path = "sandbox/files_unknown.rs"]
mod files;
mod tries;

pub use tries::{Tried, tries};

use crate::files::Made;
use crate::reach::Reach;
use std::net::UdpSocket;
use std::path::Path;

/// How a wall stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wall {
    /// As it should, with what there is to say.
    Up(String),
    /// The kernel enforces less than it could.
    Lower(String),
    /// Not there.
    Missing(String),
}

/// What became of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walls {
    /// Files and network, by Landlock.
    pub files: Wall,
    /// System calls, by seccomp.
    pub calls: Wall,
}

/// What was opened before, and stays usable.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opened<'a> {
    /// The folder in which the file of the result gets its name.
    pub name_in: Option<&'a Path>,
    /// Folders that were made and may have to go again.
    pub made: Option<&'a Made>,
    /// Sockets that are connected to DNS servers.
    pub sockets: &'a [UdpSocket],
}

/// What a call that nobody could mean well gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Burglar {
    /// The end of the process.
    Ends,
    /// An error, so that it can be tried.
    IsRefused,
}

/// Shuts this thread, and all that it starts, in. Cannot be undone.
pub fn enter(reach: &Reach, opened: Opened<'_>, burglar: Burglar) -> Walls {
    let files = match files::restrict(reach, opened) {
        Ok(wall) => wall,
        Err(e) => Wall::Missing(e),
    };
    let calls = match calls::restrict(reach, opened.sockets, burglar) {
        Ok(()) => Wall::Up(format!("{} permitted, others refused", calls::permitted().len())),
        Err(e) => Wall::Missing(e),
    };
    Walls { files, calls }
}

/// A call that stays permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permitted {
    /// Its name.
    pub name: &'static str,
    /// Its number on this processor.
    pub number: std::ffi::c_long,
    /// What for.
    pub why: &'static str,
}

/// The calls that stay permitted, by name.
pub fn permitted_calls() -> Vec<Permitted> {
    calls::permitted()
}

/// Names of the calls that end the process.
pub fn fatal_calls() -> Vec<&'static str> {
    calls::fatal()
}

impl Walls {
    /// What is not shut, in words.
    pub fn notes(&self) -> Vec<String> {
        let note = |what: &str, wall: &Wall| match wall {
            Wall::Up(_) => None,
            Wall::Lower(why) | Wall::Missing(why) => Some(format!("{what}: {why}")),
        };
        [note("files", &self.files), note("system calls", &self.calls)].into_iter().flatten().collect()
    }
}
