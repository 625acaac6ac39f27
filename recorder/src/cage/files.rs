//! The file system and the network as this program may use them once it records: new files in the
//! spool, nothing else.
//!
//! Landlock (Linux 5.13 and later) enforces it even for the directories that everybody may read.
//! The capture, the counters, the lock and the spool's listing were opened before and are not
//! touched. Reading is not among what is permitted: segments are written and never looked at again.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use std::os::fd::BorrowedFd;

/// The newest version whose rights are asked for; an older kernel enforces those that it knows.
const NEWEST: ABI = ABI::V6;

/// How much of it the kernel enforces, the less the smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Landlock {
    /// Nothing: no Landlock.
    Absent,
    /// Some: the kernel is older than [`NEWEST`].
    Partial,
    /// All.
    Whole,
}

/// What is permitted: in `spool` and `beside` files can be made, renamed and removed.
///
/// # Errors
/// The kernel has Landlock, but refused.
pub fn ruleset(spool: BorrowedFd<'_>, beside: Option<BorrowedFd<'_>>) -> Result<RulesetCreated, RulesetError> {
    let change: BitFlags<AccessFs> = AccessFs::MakeReg | AccessFs::WriteFile | AccessFs::RemoveFile;
    let directories = [spool].into_iter().chain(beside);
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?
        .add_rules(directories.map(|dir| Ok::<_, RulesetError>(PathBeneath::new(dir, change))))
}

/// Shuts this thread in, and those that it starts. Cannot be undone.
///
/// # Errors
/// The kernel has Landlock, but refused.
pub fn restrict(ruleset: RulesetCreated) -> Result<Landlock, RulesetError> {
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Landlock::Whole,
        RulesetStatus::PartiallyEnforced => Landlock::Partial,
        RulesetStatus::NotEnforced => Landlock::Absent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Spool;
    use std::fs::File;
    use std::io::{ErrorKind, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn in_the_cage_segments_can_be_made_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::open(home.path(), None).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        // A thread of its own: the tests beside this one stay free.
        let outcome = std::thread::spawn(move || {
            nix::sys::prctl::set_no_new_privs().unwrap();
            if restrict(ruleset(spool.dir().as_fd(), None).unwrap()).unwrap() != Landlock::Whole {
                return false;
            }
            let mut file = spool.create("one", None).unwrap();
            file.write_all(b"x").unwrap();
            spool.seal(&file, "one").unwrap();
            let sealed = spool.sealed().unwrap();
            assert_eq!(sealed.len(), 1);
            let denied =
                |outcome: std::io::Result<()>| assert_eq!(outcome.unwrap_err().kind(), ErrorKind::PermissionDenied);
            denied(File::open("/etc/hostname").map(drop));
            denied(File::open(home.path().join("one.seg")).map(drop));
            denied(File::create(home.path().join("../imon-outside")).map(drop));
            denied(std::fs::read_dir("/").map(drop));
            denied(std::process::Command::new("/bin/true").status().map(drop));
            denied(TcpStream::connect(address).map(drop));
            spool.remove("one.seg").unwrap();
            true
        })
        .join()
        .unwrap();
        if !outcome {
            eprintln!("skipped: this kernel does not enforce all of Landlock");
        }
    }
}
