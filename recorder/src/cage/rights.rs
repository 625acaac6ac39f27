//! Rights of this process: given up for good, then read back and tried.

use crate::error::Error;
use crate::privilege::{Account, is_root};
use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{self, Gid, Uid};

use super::{State, raw};

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
    limit("bound the open files", Resource::RLIMIT_NOFILE, files_in_use() + SPARE_FILES)
}

/// From now on there is no further process and no further thread. Where there is no seccomp this
/// still keeps from forking: the user is not root.
///
/// # Errors
/// The limit could not be set.
pub fn refuse_processes() -> Result<(), Error> {
    limit("forbid more processes", Resource::RLIMIT_NPROC, 0)
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

/// Reads everything back, as far as it belongs to this thread, and tries to become root again.
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

/// What each thread of this process may not have any more, as the kernel's list of threads says it
/// (proc(5)).
const OF_EACH: [(&str, &str); 5] = [
    ("CapInh", "0000000000000000"),
    ("CapPrm", "0000000000000000"),
    ("CapEff", "0000000000000000"),
    ("CapAmb", "0000000000000000"),
    ("NoNewPrivs", "1"),
];

/// Makes sure that there are so many threads, that none has a right, and that all are the same
/// user's.
///
/// # Errors
/// There is another one, or one has kept something. Nothing may be recorded then.
pub fn prove_threads(number: usize) -> Result<State, Error> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Ok(State::Lower("there is no /proc to look at them; each has read its rights back itself".into()));
    };
    let mut texts = Vec::new();
    for task in tasks {
        texts.push(step("look at the threads", task.and_then(|t| std::fs::read_to_string(t.path().join("status"))))?);
    }
    judge_threads(&texts, number).map_err(|cause| Error::Privilege { step: "look at the threads", cause })?;
    Ok(State::Up(format!("{number}, none with a right ({})", names(&texts))))
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

fn names(statuses: &[String]) -> String {
    statuses.iter().filter_map(|status| field(status, "Name")).collect::<Vec<_>>().join(", ")
}

fn judge_threads(statuses: &[String], number: usize) -> Result<(), String> {
    if statuses.len() != number {
        return Err(format!("there are {} threads in place of {number}: {}", statuses.len(), names(statuses)));
    }
    for status in statuses {
        let name = field(status, "Name").unwrap_or_default();
        if let Some((what, _)) = OF_EACH.into_iter().find(|(what, value)| field(status, what) != Some(*value)) {
            let has = field(status, what).unwrap_or("nothing");
            return Err(format!("the thread {name} has {what} {has}"));
        }
        let others = ["Uid", "Gid", "Groups", "CapBnd"].into_iter();
        let first = statuses.first().map_or("", String::as_str);
        if let Some(what) = others.into_iter().find(|what| field(status, what) != field(first, what)) {
            return Err(format!("the thread {name} has another {what} than the first"));
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn status(name: &str, changed: (&str, &str)) -> String {
        let fields = [("Name", name), ("Uid", "1 1 1 1"), ("Gid", "2 2 2 2"), ("Groups", ""), ("CapBnd", "0")];
        let lines = fields.into_iter().chain(OF_EACH).map(|(what, value)| {
            let value = if what == changed.0 { changed.1 } else { value };
            format!("{what}:\t{value}\n")
        });
        lines.collect()
    }

    #[test]
    fn a_thread_that_kept_a_right_is_found_and_so_is_one_too_many() {
        let good = status("imon-record", ("", ""));
        let judge = |other: &str| judge_threads(&[good.clone(), other.to_owned()], 2);
        assert_eq!(judge(&good), Ok(()));
        for (what, value) in [
            ("CapInh", "0000000000002000"),
            ("CapPrm", "0000000000002000"),
            ("CapEff", "0000000000002000"),
            ("CapAmb", "0000000000002000"),
            ("CapBnd", "0000000000002000"),
            ("NoNewPrivs", "0"),
            ("Uid", "1 0 1 1"),
            ("Gid", "2 2 0 2"),
            ("Groups", "27"),
        ] {
            let error = judge(&status("other", (what, value))).unwrap_err();
            assert!(error.contains(what) && error.contains("other"), "{error}");
        }
        assert!(judge_threads(&[good.clone(), good.clone(), good.clone()], 2).is_err());
        assert!(judge_threads(&[good], 2).is_err());
    }
}
