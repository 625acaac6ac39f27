//! Who may record, and as whom.

use crate::error::Error;
use caps::{CapSet, Capability};
use nix::unistd::{Uid, User};

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
/// As root: the user asked for, else `imon` if there is one, else who called sudo, else `nobody`.
/// Never root.
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

/// Whether the system lets us open a capture: root, or the one capability that it takes
/// (promiscuous mode included).
pub fn may_capture() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_RAW).unwrap_or(false)
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
