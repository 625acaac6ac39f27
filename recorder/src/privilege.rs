//! Giving up rights, for good, and proving it.
//!
//! Order: capture and spool are opened first; then bounding and ambient sets, groups, group id, user id, the other
//! capability sets, no-new-privs and non-dumpable; then everything is read back and regaining root is tried; then files and
//! network are shut (`cage`).

use crate::cage::{self, Cage};
use crate::error::Error;
use crate::log::{Level, log};
use crate::spool::Spool;
use caps::{CapSet, Capability};
use nix::sys::prctl;
use nix::unistd::{self, Gid, Uid, User};
use std::fs::File;

/// The account made for the recorder, where the system has one.
const OWN_USER: &str = "imon";

/// Who is to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Name, or the number where it has none.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
}

/// What the choice of the user depends on.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Started with user id 0.
    pub is_root: bool,
    /// `--user`, as typed.
    pub asked: Option<&'a str>,
    /// `SUDO_UID` of the environment.
    pub sudo_uid: Option<&'a str>,
}

/// Chooses who records: `None` means to stay who we are, because we are not root.
///
/// As root: the user asked for, else `imon` if there is one, else who called sudo, else `nobody`. Never root.
///
/// `by_name`, `by_uid`: the user database.
///
/// # Errors
/// The user asked for does not exist, is root, or cannot be had because we are not root.
pub fn choose(
    from: Circumstances<'_>,
    by_name: impl Fn(&str) -> Option<Account>,
    by_uid: impl Fn(u32) -> Option<Account>,
) -> Result<Option<Account>, Error> {
    let by_number = |text: &str| text.parse().ok().and_then(&by_uid);
    let not_root = |account: &Account| account.uid != 0;
    match (from.asked, from.is_root) {
        (Some(name), true) => match by_name(name).or_else(|| by_number(name)) {
            None => Err(Error::NoSuchUser { name: name.into() }),
            Some(account) if account.uid == 0 => Err(Error::Usage {
                cause: format!("--user {name}: recording as root is not offered"),
                hint: "root opens the capture, somebody without rights records: leave --user out".into(),
            }),
            account => Ok(account),
        },
        (Some(name), false) => Err(Error::Usage {
            cause: format!("--user {name}: only root can become somebody else"),
            hint: "leave --user out, or start with sudo".into(),
        }),
        (None, false) => Ok(None),
        (None, true) => Ok(Some(
            by_name(OWN_USER)
                .filter(not_root)
                .or_else(|| from.sudo_uid.and_then(by_number).filter(not_root))
                .or_else(|| by_name("nobody").filter(not_root))
                .unwrap_or_else(|| Account { name: "nobody".into(), uid: 65_534, gid: 65_534 }),
        )),
    }
}

/// [`choose`] with the facts of this process.
///
/// # Errors
/// As [`choose`].
pub fn choose_here(asked: Option<&str>) -> Result<Option<Account>, Error> {
    let sudo_uid = std::env::var("SUDO_UID").ok();
    let from = Circumstances { is_root: is_root(), asked, sudo_uid: sudo_uid.as_deref() };
    choose(
        from,
        |name| User::from_name(name).ok().flatten().map(account),
        |uid| User::from_uid(Uid::from_raw(uid)).ok().flatten().map(account),
    )
}

fn account(user: User) -> Account {
    Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }
}

/// Whether we run with root's user id.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Name of a user, or its number.
pub fn name_of(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name)
}

/// Whether the system lets us open a capture: root, or the one capability that it takes (promiscuous mode included).
pub fn may_capture() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_RAW).unwrap_or(false)
}

/// Gives up every right that is not needed any more, becomes `account` if there is one, and proves it.
///
/// Afterwards only `spool`, and the directory of the metrics if there are any, can be written to, as far as the kernel enforces it; what it does not enforce is said.
///
/// To be called before any thread is started: capabilities belong to a thread.
///
/// # Errors
/// A step failed or did not hold. Nothing may be recorded then.
pub fn give_up(account: Option<&Account>, spool: &Spool, metrics: Option<&File>) -> Result<(), Error> {
    // Without CAP_SETPCAP (program with CAP_NET_RAW only) the bounding set stays; no-new-privs makes it ineffective.
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
    step("forbid core dumps", prctl::set_dumpable(false))?;
    prove(account)?;
    match cage::close(spool.dir(), metrics)? {
        Cage::Whole => {}
        Cage::Partial => {
            log(Level::Notice, format_args!("note: this kernel enforces only a part of the Landlock restrictions"))
        }
        Cage::Absent => {
            log(Level::Notice, format_args!("note: this kernel has no Landlock; only user rights protect other files"))
        }
    }
    Ok(())
}

/// Reads everything back, and tries to become root again.
fn prove(account: Option<&Account>) -> Result<(), Error> {
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

fn step<T, E: std::fmt::Display>(step: &'static str, result: Result<T, E>) -> Result<T, Error> {
    result.map_err(|e| Error::Privilege { step, cause: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, uid: u32) -> Account {
        Account { name: name.into(), uid, gid: uid }
    }

    fn chosen(from: Circumstances<'_>, users: &[Account]) -> Result<Option<Account>, Error> {
        choose(
            from,
            |name| users.iter().find(|u| u.name == name).cloned(),
            |uid| users.iter().find(|u| u.uid == uid).cloned(),
        )
    }

    const ROOT: Circumstances<'static> = Circumstances { is_root: true, asked: None, sudo_uid: None };

    #[test]
    fn root_becomes_imon_else_the_caller_else_nobody() {
        let all = [person("root", 0), person("imon", 997), person("ann", 1000), person("nobody", 65_534)];
        let sudo = Circumstances { sudo_uid: Some("1000"), ..ROOT };
        assert_eq!(chosen(sudo, &all).unwrap(), Some(person("imon", 997)));
        let [root, _, ann, nobody] = all;
        let without = [root.clone(), ann.clone(), nobody.clone()];
        assert_eq!(chosen(sudo, &without).unwrap(), Some(ann));
        assert_eq!(chosen(ROOT, &without).unwrap(), Some(nobody));
        assert_eq!(chosen(ROOT, &[root]).unwrap(), Some(person("nobody", 65_534)));
    }

    #[test]
    fn root_is_never_the_one_who_records() {
        let users = [person("root", 0), person("toor", 0)];
        for asked in ["root", "toor", "0"] {
            let asked = Circumstances { asked: Some(asked), ..ROOT };
            assert!(matches!(chosen(asked, &users), Err(Error::Usage { .. })));
        }
        let odd = [person("imon", 0)];
        let sudo = Circumstances { sudo_uid: Some("0"), ..ROOT };
        assert_eq!(chosen(sudo, &odd).unwrap().unwrap().uid, 65_534);
    }

    #[test]
    fn the_user_asked_for_is_found_by_name_or_number_or_refused() {
        let users = [person("ann", 1000)];
        for asked in ["ann", "1000"] {
            assert_eq!(
                chosen(Circumstances { asked: Some(asked), ..ROOT }, &users).unwrap(),
                Some(person("ann", 1000))
            );
        }
        let missing = Circumstances { asked: Some("bob"), ..ROOT };
        assert!(matches!(chosen(missing, &users), Err(Error::NoSuchUser { .. })));
    }

    #[test]
    fn who_is_not_root_stays() {
        let plain = Circumstances { is_root: false, asked: None, sudo_uid: Some("1000") };
        assert_eq!(chosen(plain, &[]).unwrap(), None);
        assert!(chosen(Circumstances { asked: Some("ann"), ..plain }, &[person("ann", 1000)]).is_err());
    }
}
