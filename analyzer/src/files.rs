//! Files as strangers may have left them, and files that are nobody else's business.
//!
//! What is read is opened so that it cannot hang, and only if it is a file, or a descriptor that
//! was handed over (`-`, `/dev/fd/63`). What imon makes for itself is 0600 in folders of 0700.
//! Where the folder is shared by a group (set-group-id and writable by the group, as the
//! service's), it is 0660 in folders of 2770. Nothing is written through a link that another user
//! planted. Paths of results (`-o`) are the user's own and none of this room's business.

use crate::config::Trust;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::SFlag;
use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Where the system shows descriptors of this process as files.
const HANDED: [&str; 3] = ["/dev/fd/", "/dev/stdin", "/proc/self/fd/"];

/// Opens a file for reading. A named pipe or a device is refused: nobody says that anything will
/// ever come from it. A descriptor that the shell handed over (`<(zcat a.pcap.gz)` is `/dev/fd/63`)
/// is read, whatever it is.
///
/// # Errors
/// It cannot be opened, or it is something else than a file or a folder.
pub fn open(path: &Path) -> io::Result<File> {
    let handed = HANDED.iter().any(|place| path.as_os_str().to_string_lossy().starts_with(place));
    // To open a device can do something already: a tape is rewound.
    readable(&std::fs::metadata(path)?, handed)?;
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    // By now it may be another one.
    let about = file.metadata()?;
    readable(&about, handed)?;
    if !about.is_file() {
        let flags = OFlag::from_bits_truncate(fcntl(&file, FcntlArg::F_GETFL)?);
        fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    }
    Ok(file)
}

fn readable(about: &Metadata, handed: bool) -> io::Result<()> {
    if about.is_file() || about.is_dir() || handed {
        return Ok(());
    }
    let pipe = "it is a named pipe, and nobody may ever write into it; `-` reads standard input: - < PIPE";
    let what = match SFlag::from_bits_truncate(about.mode()) & SFlag::S_IFMT {
        SFlag::S_IFIFO => pipe,
        SFlag::S_IFSOCK => "it is a socket",
        _ => "it is a device",
    };
    Err(io::Error::new(ErrorKind::InvalidInput, what))
}

/// The text of a list that the user or the system keeps, of at most `most` bytes.
///
/// # Errors
/// It cannot be opened or read, is longer, or is not UTF-8.
pub fn read_list(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.take(most.saturating_add(1)).read_to_string(&mut text)?;
    match u64::try_from(text.len()).is_ok_and(|len| len <= most) {
        true => Ok(text),
        false => Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {most} bytes"))),
    }
}

/// The bytes of a file that is read whole, of at most `most` bytes.
///
/// # Errors
/// It cannot be opened or read, or is longer.
pub fn read_whole(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {most} bytes"));
    let file = open(path)?;
    // Nothing is read of what says that it is longer.
    let length = file.metadata()?.len();
    if length > most {
        return Err(too_long());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len <= most) { Ok(bytes) } else { Err(too_long()) }
}

/// Modes of what is made in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Modes {
    file: u32,
    folder: u32,
}

/// Nobody else.
const OWN: Modes = Modes { file: 0o600, folder: 0o700 };

/// The group of the folder, which new files have as well.
const SHARED: Modes = Modes { file: 0o660, folder: 0o2770 };

/// The bits of a mode that say who may do what, with the set-group-id of folders.
const MODE_BITS: u32 = 0o7777;

impl Modes {
    fn within(folder: &Path) -> io::Result<Self> {
        // Set-group-id, writable by the group.
        const WANTED: u32 = 0o2020;
        Ok(if std::fs::metadata(folder)?.mode() & WANTED == WANTED { SHARED } else { OWN })
    }
}

/// The folder that a path is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().map_or(Path::new("."), here)
}

/// A folder by a name that can be opened.
pub fn here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Sees to it that the names in a folder are on the disk. A file that was synced is lost in a power
/// cut as long as its name is not.
///
/// # Errors
/// It cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(here(folder))?.sync_all()
}

/// As [`sync_folder`], for the folders on the way up from `folder` to `top` as well.
///
/// # Errors
/// The folder that cannot be opened or synced, and why.
pub fn sync_up<'f>(mut folder: &'f Path, top: &Path) -> Result<(), (&'f Path, io::Error)> {
    loop {
        sync_folder(folder).map_err(|error| (folder, error))?;
        if folder == top || !folder.starts_with(top) && top != Path::new(".") {
            return Ok(());
        }
        folder = folder_of(folder);
    }
}

/// Makes a folder for files of ours, and those above it, where they do not exist, and syncs their
/// names. Others stay as they are.
///
/// # Errors
/// It cannot be made, or is a link that another user made.
pub fn make_folder(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    match std::fs::symlink_metadata(path) {
        Ok(about) => {
            trusted(&about)?;
            return match std::fs::metadata(path)?.is_dir() {
                true => Ok(()),
                false => Err(ErrorKind::NotADirectory.into()),
            };
        }
        Err(e) if e.kind() == ErrorKind::NotFound => make_folder(folder_of(path))?,
        Err(e) => return Err(e),
    }
    let mode = Modes::within(folder_of(path))?.folder;
    match DirBuilder::new().mode(mode & 0o777).create(path) {
        Ok(()) => {
            set_mode(path, mode)?;
            // Who may not list the folder above has to do without.
            _ = sync_folder(folder_of(path));
            Ok(())
        }
        // Another program was faster.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}

/// Folders that were made before it is known whether they are needed: those that hold nothing in
/// the end go again.
#[derive(Debug, Default)]
pub struct Made(Vec<PathBuf>);

impl Made {
    /// Makes a folder as [`make_folder`] does.
    ///
    /// # Errors
    /// See [`make_folder`].
    pub fn folder(&mut self, path: &Path) -> io::Result<()> {
        let missing = path.ancestors().take_while(|folder| std::fs::symlink_metadata(here(folder)).is_err());
        // The innermost goes first.
        self.0.splice(..0, missing.map(Path::to_owned));
        make_folder(path)
    }

    /// The folders in which they were made.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|folder| folder_of(folder)).filter(|folder| !self.0.iter().any(|made| made == folder))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // What holds something stays.
        self.0.iter().for_each(|folder| _ = std::fs::remove_dir(folder));
    }
}

/// Makes a new file that is read and written by its owner only, or by the group of a shared folder
/// as well.
///
/// # Errors
/// There is one already, or it cannot be made.
pub fn create_new(path: &Path) -> io::Result<File> {
    let mode = Modes::within(folder_of(path))?.file;
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)?;
    // The umask took something away: the owner may.
    if file.metadata()?.mode() & MODE_BITS != mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(file)
}

/// Copies a file to a new one of ours, as [`create_new`] makes it, and syncs it.
///
/// # Errors
/// The one cannot be read, or the other one not be made or written.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    // Not by the kernel (`copy_file_range`): the sandbox knows no such call.
    let from: &mut dyn io::Read = &mut open(from)?;
    let mut copy = create_new(to)?;
    io::copy(from, &mut copy)?;
    copy.sync_all()
}

/// Opens a file of ours for writing, or makes it as [`create_new`] does. It is neither emptied nor
/// followed to another place.
///
/// # Errors
/// See [`create_new`] and [`check_own`].
pub fn open_own(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    // Twice, as another program may make or remove it meanwhile.
    for _ in 0..2 {
        match File::options().read(true).write(true).custom_flags(flags).open(path) {
            Ok(file) => return check_own_file(&file.metadata()?).map(|()| file),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(check_own(path).err().unwrap_or(e)),
        }
        match create_new(path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            made => return made,
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// The path that a link leads to, also if nothing is there yet; of what is no link the path itself.
pub fn real(path: &Path) -> PathBuf {
    match std::fs::read_link(path) {
        Err(_) => path.to_owned(),
        Ok(target) => path.canonicalize().unwrap_or_else(|_| folder_of(path).join(target)),
    }
}

/// Makes sure that a file that is to be written under this name, if it is there, is a file of no
/// other name. A link to one will do if this user or root made it.
///
/// # Errors
/// It is something else, or has another name as well: what is written here would be written there.
pub fn check_own(path: &Path) -> io::Result<()> {
    let about = match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        about => about?,
    };
    trusted(&about)?;
    match std::fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        about => check_own_file(&about?),
    }
}

fn check_own_file(about: &Metadata) -> io::Result<()> {
    let refused = |what: String| Err(io::Error::new(ErrorKind::PermissionDenied, what));
    if about.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !about.is_file() {
        return refused("it is no file".into());
    }
    match about.nlink() {
        0 | 1 => Ok(()),
        links => refused(format!("it is one file under {links} names (hard links)")),
    }
}

/// A link that somebody else planted leads where he wants it.
fn trusted(about: &Metadata) -> io::Result<()> {
    let owner = about.uid();
    if about.is_symlink() && owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        let what = format!("it is a link that user {owner} made");
        return Err(io::Error::new(ErrorKind::PermissionDenied, what));
    }
    Ok(())
}

/// Whether a name is a link that another user made: what it leads to is nobody's to clear up.
pub fn is_anothers_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|about| trusted(&about).is_err())
}

/// Makes sure that what a file says is what this user or root wrote: by its owner and its mode, and
/// for [`Trust::Alone`] by those of every folder on the way to it, links included.
///
/// # Errors
/// It cannot be looked at, or somebody else can write there; who, in words.
pub fn check_trust(path: &Path, trust: Trust) -> io::Result<()> {
    let me = nix::unistd::geteuid().as_raw();
    let refused = |path: &Path, what: String| {
        let text = format!("{} {what}", path.display());
        Err(io::Error::new(ErrorKind::PermissionDenied, text))
    };
    let judge = |path: &Path, about: &Metadata, others: u32| match (about.uid(), about.mode()) {
        (owner, _) if owner != 0 && owner != me => refused(path, format!("belongs to user {owner}")),
        // In a sticky folder nobody can replace what is another's.
        (_, mode) if about.is_dir() && mode & 0o1000 != 0 => Ok(()),
        (_, mode) if mode & others & 0o002 != 0 => refused(path, "can be written by everybody".into()),
        (_, mode) if mode & others & 0o020 != 0 => refused(path, "can be written by its group".into()),
        _ => Ok(()),
    };
    let real = path.canonicalize()?;
    if trust == Trust::Own {
        return judge(&real, &std::fs::metadata(&real)?, 0o002);
    }
    let named = std::path::absolute(path)?;
    for place in real.ancestors().chain(named.ancestors().skip(1)) {
        judge(place, &std::fs::metadata(place)?, 0o022)?;
    }
    Ok(())
}

/// Gives a file or folder that imon made the mode that it would have if it were made now, if it
/// belongs to this user. Gives the mode that it had, if it was another one.
///
/// # Errors
/// It cannot be looked at or changed.
pub fn tighten(path: &Path) -> io::Result<Option<u32>> {
    let about = match std::fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        about => about?,
    };
    let is_ours = about.uid() == nix::unistd::geteuid().as_raw() && (about.is_file() || about.is_dir());
    if !is_ours {
        return Ok(None);
    }
    let modes = Modes::within(folder_of(path))?;
    set_mode(path, if about.is_dir() { modes.folder } else { modes.file })
}

/// Whether a folder lets in others than it would if imon made it now.
pub fn is_open(folder: &Path) -> bool {
    let wanted = Modes::within(folder_of(folder)).map_or(OWN.folder, |modes| modes.folder);
    std::fs::symlink_metadata(folder).is_ok_and(|about| about.mode() & MODE_BITS != wanted)
}

/// As [`tighten`], for a folder that everybody may enter. One that lets in its group was meant so.
///
/// # Errors
/// It cannot be looked at or changed.
pub fn tighten_open(folder: &Path) -> io::Result<Option<u32>> {
    match std::fs::symlink_metadata(folder) {
        Ok(about) if about.mode() & 0o007 != 0 => tighten(folder),
        _ => Ok(None),
    }
}

/// Sets the mode of what is at `path`, unless it has it; gives what it was.
fn set_mode(path: &Path, mode: u32) -> io::Result<Option<u32>> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let was = std::fs::symlink_metadata(path)?.mode() & MODE_BITS;
    if was == mode {
        return Ok(None);
    }
    // By descriptor: a link may have come in its place.
    File::options().read(true).custom_flags(flags).open(path)?.set_permissions(Permissions::from_mode(mode))?;
    Ok(Some(was))
}

#[cfg(test)]
mod tests;
