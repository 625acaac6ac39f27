//! Which files a path stands for.

use crate::error::shown;
use crate::input::{self, Kind};
use imon_common::segment::{PART_SUFFIX, SEALED_SUFFIX, SPOOL_FILES};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Depth of folders that are looked into: a spool, and a folder for each interface in it.
const MAX_DEPTH: usize = 3;

/// Folder beside the database in which captures are kept as segments. Whatever looks for segments
/// passes it over: the database may lie in a spool, and what is kept there is booked already.
pub const CAPTURES_FOLDER: &str = "captures";

/// The database whose folder is called so.
const USUAL: &str = "imon.db";

/// What the name of a database and this make: the folder of one that is not called as usual.
const OF_ANOTHER: &str = "-captures";

/// The folder beside a database in which captures are kept as segments: two databases in one folder
/// have separate ones.
pub fn captures_of(database: &Path) -> PathBuf {
    match database.file_name() {
        Some(name) if name != USUAL => {
            let mut folder = name.to_owned();
            folder.push(OF_ANOTHER);
            database.with_file_name(folder)
        }
        _ => database.parent().unwrap_or(Path::new(".")).join(CAPTURES_FOLDER),
    }
}

/// Whether a folder is one of a database.
fn is_captures(folder: &Path) -> bool {
    let Some(name) = folder.file_name().and_then(|name| name.to_str()) else { return false };
    let is_of = |database: &str| folder.with_file_name(database).is_file();
    name == CAPTURES_FOLDER || name.strip_suffix(OF_ANOTHER).is_some_and(is_of)
}

/// What `imon-record --collect` calls the captures that it has finished.
const COLLECTED_SUFFIX: &str = ".exported.pcapng";

/// The files that `path` stands for: itself, or all segments in a folder and the folders in it, by
/// name, which is by time. `-` is standard input.
///
/// # Errors
/// The path does not exist or a folder cannot be read.
pub fn find(path: &Path) -> io::Result<Vec<PathBuf>> {
    if path.as_os_str() != "-" && std::fs::metadata(path)?.is_dir() {
        let mut found = Vec::new();
        segments_in(path, MAX_DEPTH, &mut found)?;
        found.sort_by(|a, b| (a.file_name(), a).cmp(&(b.file_name(), b)));
        return Ok(found);
    }
    Ok(vec![path.into()])
}

/// As [`find`], with the captures that a collector finished beside segments: what there is to book
/// in a spool.
///
/// # Errors
/// The path does not exist or a folder cannot be read.
pub fn find_to_book(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = find(path)?;
    if path.as_os_str() != "-" && std::fs::metadata(path)?.is_dir() {
        collected_in(path, MAX_DEPTH, &mut found)?;
    }
    Ok(found)
}

fn collected_in(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut here = Vec::new();
    for entry in list(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if depth > 1 && !is_captures(&entry.path()) {
                collected_in(&entry.path(), depth - 1, found)?;
            }
        } else if entry.file_name().to_string_lossy().ends_with(COLLECTED_SUFFIX) {
            here.push(entry.path());
        }
    }
    here.sort();
    found.extend(here);
    Ok(())
}

/// What a folder that the user names holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inputs {
    /// Segments and captures, by name.
    pub files: Vec<PathBuf>,
    /// Files that are neither, and folders that lie too deep.
    pub left_out: u64,
}

/// Depth of a user's folders that are looked into, so that a circle of mounts ends.
const MAX_USER_DEPTH: usize = 16;

/// Names of files that somebody took for captures: if they are none, reading them says what they
/// are.
const CAPTURE_NAMES: [&str; 5] = [".pcap", ".pcapng", ".cap", ".dmp", ".ntar"];

/// What `path`, which the user named, stands for: itself, or all segments and captures in a folder
/// and the folders in it. What captures were kept as beside a database is passed over.
///
/// # Errors
/// The path does not exist or a folder cannot be read.
pub fn inputs(path: &Path) -> io::Result<Inputs> {
    if path.as_os_str() == "-" || !std::fs::metadata(path)?.is_dir() {
        return Ok(Inputs { files: vec![path.into()], left_out: 0 });
    }
    let mut found = Inputs::default();
    inputs_in(path, MAX_USER_DEPTH, &mut found)?;
    found.files.sort_by(|a, b| (a.file_name(), a).cmp(&(b.file_name(), b)));
    Ok(found)
}

fn inputs_in(folder: &Path, depth: usize, found: &mut Inputs) -> io::Result<()> {
    let mut folders = Vec::new();
    let mut has_database = false;
    for entry in list(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            folders.push(path);
        } else if !is_hidden(&path) && is_input(&path) {
            found.files.push(path);
        } else if !is_of_spool(&path) {
            has_database |= is_database(&path);
            found.left_out = found.left_out.saturating_add(1);
        }
    }
    for path in folders {
        let is_kept = has_database && is_captures(&path);
        match depth > 1 && !is_kept {
            true => inputs_in(&path, depth - 1, found)?,
            false => found.left_out = found.left_out.saturating_add(1),
        }
    }
    Ok(())
}

/// Whether a file is read: a segment, a capture, or what is called one. Pipes, sockets and devices
/// in a folder are not: they would have to be opened to tell.
fn is_input(path: &Path) -> bool {
    if !std::fs::metadata(path).is_ok_and(|about| about.is_file()) {
        return false;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let is_called_one = CAPTURE_NAMES.iter().any(|suffix| {
        name.rsplit_once(suffix).is_some_and(|(_, rest)| {
            rest.is_empty() || rest.starts_with('.') || rest.bytes().all(|b| b.is_ascii_digit())
        })
    });
    is_called_one || is_segment_name(path) || matches!(input::classify(path), Ok(Kind::Segment | Kind::Capture))
}

/// Whether its name begins with a dot: so programs that copy files call what is not whole yet.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether it is what a recorder keeps beside its segments: nobody misses that in a report.
fn is_of_spool(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    SPOOL_FILES.contains(&name.strip_suffix(".new").unwrap_or(&name))
}

fn is_database(path: &Path) -> bool {
    let mut head = [0; 16];
    std::fs::metadata(path).is_ok_and(|about| about.is_file())
        && crate::files::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok()
        && head == *b"SQLite format 3\0"
}

fn segments_in(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in list(folder)? {
        let entry = entry?;
        let path = entry.path();
        // A link into another spool would give its segments twice under other names; identities
        // settle that.
        if entry.file_type()?.is_dir() {
            if depth > 1 && !is_captures(&entry.path()) {
                segments_in(&path, depth - 1, found)?;
            }
        } else if !is_hidden(&path) && is_segment_name(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// What is in a folder. Of several in each other an error names the one.
fn list(folder: &Path) -> io::Result<std::fs::ReadDir> {
    let named =
        |e: io::Error| io::Error::new(e.kind(), format!("cannot list {}: {e}", shown(&folder.to_string_lossy())));
    std::fs::read_dir(folder).map_err(named)
}

/// Whether a file is called as segments are.
pub fn is_segment_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [SEALED_SUFFIX, PART_SUFFIX].iter().any(|suffix| name.ends_with(suffix) && name.len() > suffix.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_segments_by_name_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["imon-2.seg", "imon-1.part", "lock", "notes.txt", ".seg", "wlan0/imon-0.seg"] {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let names: Vec<String> =
            find(dir.path()).unwrap().iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["imon-0.seg", "imon-1.part", "imon-2.seg"]);
    }

    #[test]
    fn finished_captures_of_a_collector_are_booked_with_the_segments_of_a_spool() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["imon-1.seg", "exported/imon-2.exported.pcapng", "exported/imon-3.exported.pcapng.open", "x.pcapng"]
        {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, b"").unwrap();
        }
        let found = find_to_book(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["imon-1.seg", "imon-2.exported.pcapng"]);
    }

    #[test]
    fn a_users_folder_gives_captures_whatever_they_are_called_and_passes_over_what_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        let capture = [&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0][..], &[0; 16]].concat();
        let files: [(&str, &[u8]); 11] = [
            ("spool/recorder.id", b"x"),
            ("spool/status.json.new", b"x"),
            ("a.pcap", b""),
            ("b", &capture),
            ("ring_00001_20261101.pcap0", &capture),
            ("notes.txt", b"hello"),
            ("x.capital", b"hello"),
            ("captures/c.pcapng.gz", b"x"),
            ("store/imon.db", b"SQLite format 3\0....."),
            ("store/captures/imon-1.seg", b"x"),
            ("store/captures.pcap", &capture),
        ];
        for (name, bytes) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        std::os::unix::net::UnixListener::bind(dir.path().join("socket.pcap")).unwrap();
        let found = inputs(dir.path()).unwrap();
        let names: Vec<String> =
            found.files.iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["a.pcap", "b", "c.pcapng.gz", "captures.pcap", "ring_00001_20261101.pcap0"]);
        assert_eq!(found.left_out, 5, "two texts, a database, what it keeps, a socket");
    }
}
