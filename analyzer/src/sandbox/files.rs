//! The file system and the network as a command may use them: what its row of the table says, by
//! Landlock (Linux 5.13 and later).
//!
//! Rules are about what is at a path now, with everything below a folder. The folder of a database
//! is one: SQLite makes and removes files beside it. Descriptors that were opened before are not
//! touched. To look at a file (`stat`) is not refused.

use super::{Opened, Wall};
use crate::files::{self, here};
use crate::ingest::{CAPTURES_FOLDER, captures_of};
use crate::reach::{Reach, Thing};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use std::path::PathBuf;

/// The newest version whose rights are asked for; an older kernel enforces those that it knows.
const NEWEST: ABI = ABI::V6;

/// What of the system is read, by the libraries: time zones; processors and what a control group
/// leaves of them, for the number of threads; how memory is given out; who holds a lock; chance.
const SYSTEM: [&str; 13] = [
    "/usr/share/zoneinfo",
    "/usr/lib/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/etc/zoneinfo",
    "/etc/localtime",
    "/etc/timezone",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/proc/sys/vm/overcommit_memory",
    "/proc/locks",
    "/dev/urandom",
];

type Rule = (PathBuf, BitFlags<AccessFs>);

/// What of the table stands behind paths, with rights. What is not there has no rule.
pub(super) fn rules(reach: &Reach, opened: Opened<'_>) -> Vec<Rule> {
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let write =
        read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::MakeDir | AccessFs::RemoveFile;
    let mut rules: Vec<Rule> = SYSTEM.iter().map(|path| (path.into(), read)).collect();
    // $TZ may name a file.
    let zone = std::env::var("TZ").unwrap_or_default();
    rules.push((PathBuf::from(zone.trim_start_matches(':')), read));
    for path in reach.inputs.iter().chain(&reach.spools).chain(&reach.families).chain(&reach.owners) {
        rules.push((path.clone(), read));
    }
    if let Some(database) = &reach.database {
        // What was booked before from segments beside the ones that are named is booked again.
        let beside = reach.inputs.iter().filter(|path| path.is_file()).filter_map(|path| path.parent());
        rules.extend(beside.map(|folder| (here(folder).to_owned(), read)));
        // SQLite follows a link, and works where it leads.
        let target = files::real(database);
        let folders = [database.parent(), target.parent()].into_iter().flatten();
        // Files of closed months are written beside the folder in which they get their name.
        let moves = write | AccessFs::Refer | AccessFs::RemoveDir;
        let (moves, write) = if reach.row.writes.contains(&Thing::Database) { (moves, write) } else { (read, read) };
        rules.extend(folders.map(|folder| (here(folder).to_owned(), moves)));
        rules.push((captures_of(database), write));
        // Where every database's were once.
        rules.push((database.with_file_name(CAPTURES_FOLDER), write));
    }
    if let Some(folder) = &reach.dataset {
        let writes = reach.row.writes.contains(&Thing::Dataset);
        let moves = write | AccessFs::Refer | AccessFs::RemoveDir;
        rules.push((folder.clone(), if writes { moves } else { read }));
    }
    if let Some(key) = &reach.key {
        // Its name is synced by the folder.
        let makes = AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::ReadDir;
        match (key.exists(), key.parent()) {
            (false, Some(folder)) => rules.push((here(folder).to_owned(), makes | AccessFs::ReadFile)),
            _ => rules.push((key.clone(), AccessFs::ReadFile.into())),
        }
    }
    rules.extend(reach.backup.iter().map(|folder| (folder.clone(), write | AccessFs::RemoveDir)));
    // A file that has no name yet gets one: that makes an empty file's name, and is no right to
    // write into any other.
    rules.extend(opened.name_in.map(|folder| (folder.to_owned(), AccessFs::MakeReg.into())));
    // A folder that was made for nothing goes again: of others only empty ones could.
    let made_in = opened.made.into_iter().flat_map(files::Made::places);
    rules.extend(made_in.map(|folder| (folder.to_owned(), AccessFs::RemoveDir.into())));
    rules
}

/// Shuts this thread, and those that it starts, in. Cannot be undone.
///
/// # Errors
/// The kernel has Landlock, but refused; in words.
pub(super) fn restrict(reach: &Reach, opened: Opened<'_>) -> Result<Wall, String> {
    let rules = rules(reach, opened).into_iter().filter_map(|(path, access)| {
        let about = std::fs::metadata(&path).ok()?;
        // Of a file that is no folder only some rights can be had.
        let access = if about.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
        let fd = PathFd::new(&path).ok()?;
        Some(Ok::<_, RulesetError>(PathBeneath::new(fd, access)))
    });
    let shut = || {
        Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .add_rules(rules)?
            .restrict_self()
    };
    Ok(match shut().map_err(|e| e.to_string())?.ruleset {
        RulesetStatus::FullyEnforced => Wall::Up("the paths of the table, and nothing else".into()),
        RulesetStatus::PartiallyEnforced => {
            Wall::Lower("an old Landlock, which knows less; seccomp does the rest".into())
        }
        RulesetStatus::NotEnforced => Wall::Missing("this kernel has no Landlock, or it is switched off".into()),
    })
}
