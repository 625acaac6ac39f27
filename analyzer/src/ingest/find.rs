//! Which files a path stands for.

use imon_common::segment::{PART_SUFFIX, SEALED_SUFFIX};
use std::io;
use std::path::{Path, PathBuf};

/// Depth of folders that are looked into: a spool, and a folder for each interface in it.
const MAX_DEPTH: usize = 3;

/// Folder beside the database in which captures are kept as segments. Whatever looks for segments passes it over: the
/// database may lie in a spool, and what is kept there is booked already.
pub const CAPTURES_FOLDER: &str = "captures";

/// The files that `path` stands for: itself, or all segments in a folder and the folders in it, by name, which is by
/// time. `-` is standard input.
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

fn segments_in(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // A link into another spool would give its segments twice under other names; identities settle that.
        if entry.file_type()?.is_dir() {
            if depth > 1 && entry.file_name() != CAPTURES_FOLDER {
                segments_in(&path, depth - 1, found)?;
            }
        } else if is_segment_name(&path) {
            found.push(path);
        }
    }
    Ok(())
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
}
