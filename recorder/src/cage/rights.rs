//! Rights of this process: given up for good, then read back and tried.

use crate::error::Error;
use crate::privilege::{Account, is_root};
use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{self, Gid, Uid};

use super::raw;

/// File descriptors that the loop may have open beyond those that it starts with: an old segment, a
/// new one, a listing, and as many again.
const SPARE_FILES: u64 = 16;

/// Gives up every right that is not needed any more, and becomes `account` if there is one.
///
/// # Errors
/// A step failed.
pub fn give_up(account: Option<&Account>) -> Result<(), Error> {
    // Without CAP_SETPCAP (program with CAP_NET_RAW only) the bounding set stays; no-new-privs
    // makes it ineffective.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        step("clear the bounding set", caps::clear(None, CapSet::Bounding))?;
    }
    step("clear the ambient set", caps::clear(None, CapSet::Ambient))?;
    if let Some(account) = account {
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        step("leave all groups", unistd::setgroups(&[]))?;
        step("change the group", unistd::setresgid(gid, gid, gid))?;
        step("change the user", unistd::setresuid(uid, uid, uid))?;
    }
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        step("clear the capabilities", caps::clear(None, set))?;
    }
    step("set no-new-privs", prctl::set_no_new_privs())?;
    // After the change of user, which would set it again. Others of this user can neither trace us
    // nor read our memory.
    step("forbid core dumps", prctl::set_dumpable(false))?;
    limit("forbid core files", Resource::RLIMIT_CORE, 0)?;
    // Where there is no seccomp this still keeps from forking: the user is not root.
    limit("forbid more processes", Resource::RLIMIT_NPROC, 0)?;
    limit("bound the open files", Resource::RLIMIT_NOFILE, files_in_use() + SPARE_FILES)
}

/// One more than the highest number of those that are open.
fn files_in_use() -> u64 {
    let highest = super::descriptors::open_numbers().into_iter().max().unwrap_or(0);
    u64::try_from(highest).unwrap_or(0).saturating_add(1)
}

fn limit(what: &'static str, resource: Resource, most: u64) -> Result<(), Error> {
    let (_, hard) = step(what, getrlimit(resource))?;
    let most = most.min(hard);
    step(what, setrlimit(resource, most, most))
}

/// Reads everything back, and tries to become root again.
///
/// # Errors
/// Something did not hold. Nothing may be recorded then.
pub fn prove(account: Option<&Account>) -> Result<(), Error> {
    let held = |what: &'static str, holds: bool| {
        holds.then_some(()).ok_or(Error::Privilege { step: "check", cause: format!("{what} did not hold") })
    };
    if let Some(account) = account {
        let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        let users = step("read the user back", unistd::getresuid())?;
        held("the change of user", [users.real, users.effective, users.saved] == [uid; 3])?;
        let groups = step("read the group back", unistd::getresgid())?;
        held("the change of group", [groups.real, groups.effective, groups.saved] == [gid; 3])?;
        held("leaving the groups", step("read the groups back", unistd::getgroups())?.is_empty())?;
    }
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient] {
        held("giving up capabilities", step("read the capabilities back", caps::read(None, set))?.is_empty())?;
    }
    held("no-new-privs", step("read no-new-privs back", prctl::get_no_new_privs())?)?;
    held("non-dumpable", !step("read dumpable back", prctl::get_dumpable())?)?;
    held("giving up root", !is_root() && unistd::setuid(Uid::from_raw(0)).is_err())
}

/// Memory that was written can never be executed from now on, whatever is asked (Linux 6.3 and
/// later). False where the kernel does not know it.
///
/// # Errors
/// The kernel knows it and refuses.
pub fn refuse_writable_code() -> Result<bool, Error> {
    match raw::refuse_writable_code() {
        Ok(()) => Ok(true),
        // EPERM: an outer cage has set it already.
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EPERM) => Ok(false),
        Err(e) => step("refuse writable code", Err(e)),
    }
}

/// What is left, for a person.
pub fn summary() -> String {
    let user = crate::privilege::name_of(unistd::getuid().as_raw());
    format!("user {user}, no capabilities, no-new-privs, not dumpable")
}

fn step<T, E: std::fmt::Display>(step: &'static str, result: Result<T, E>) -> Result<T, Error> {
    result.map_err(|e| Error::Privilege { step, cause: e.to_string() })
}
