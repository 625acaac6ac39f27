//! The folder of months that are put away, beside their database.

use super::ArchiveError;
use super::read::{Table, hash_of};
use super::schema::Part;
use super::text;
use crate::books::month::Month;
use crate::files;
use crate::store::ClosedFile;
use crate::table::units::{hex, uuid};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The database whose folder is called `books`; that of any other begins with its name.
const USUAL: &str = "imon.db";

/// Where files are until they are whole.
const UNFINISHED: &str = "unfinished";

/// Digits of the hash in a name.
const HASH_DIGITS: usize = 16;

/// The folder of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// A file in the folder that is called as months are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called in its folder.
    pub name: String,
    /// The month.
    pub month: Month,
    /// Who recorded it.
    pub recorder: [u8; 16],
    /// Which table.
    pub part: Part,
    /// Which closing wrote it.
    pub generation: u64,
    /// First digits of its SHA-256.
    pub hash: String,
}

/// What the folder holds that the database does not name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Files of this database whose closing came to nothing, or whose month is open again: removed.
    pub removed: u64,
    /// Files that this database does not know: of another one, or of a later state of it.
    pub strange: Vec<PathBuf>,
}

impl Folder {
    /// That of a database: two databases in one folder have separate ones.
    pub fn of(database: &Path) -> Self {
        let database = files::real(database);
        let name = database.file_name().unwrap_or_default();
        match name == USUAL {
            true => Self(database.with_file_name("books")),
            false => {
                let mut books = name.to_owned();
                books.push("-books");
                Self(database.with_file_name(books))
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn root(&self, part: Part) -> PathBuf {
        match part {
            // Where engines look first.
            Part::Rows => self.0.clone(),
            other => self.0.join(other.word()),
        }
    }

    /// Where a file of a month is. A name that months do not have leads nowhere.
    pub fn file(&self, file: &ClosedFile) -> PathBuf {
        let folder = self.folder_of(file.part, file.month, file.recorder);
        folder.join(if parsed(&file.file).is_some() { &file.file } else { "no-such-file" })
    }

    fn folder_of(&self, part: Part, month: Month, recorder: [u8; 16]) -> PathBuf {
        self.root(part).join(format!("month={month}")).join(format!("recorder={}", uuid(recorder)))
    }

    /// Opens a file of a month whose SHA-256 is as it was written: before that nothing decodes it.
    ///
    /// # Errors
    /// It is missing, damaged, or cannot be read.
    pub fn open(&self, file: &ClosedFile) -> Result<Table, ArchiveError> {
        let opened = self.checked(file)?;
        Table::new(opened, file.part).map_err(|source| ArchiveError::Broken { path: self.file(file), source })
    }

    /// Opens a file of a month as it was written.
    ///
    /// # Errors
    /// It is missing, cannot be read, or has changed.
    pub fn checked(&self, file: &ClosedFile) -> Result<File, ArchiveError> {
        let path = self.file(file);
        let failed = |source| ArchiveError::of_file(path.clone(), source);
        let mut opened = files::open(&path).map_err(failed)?;
        let (found, len) = hash_of(&mut opened).map_err(failed)?;
        if found != file.sha256 || len != file.len_bytes {
            let digits = |hash: [u8; 32]| hex(&hash).chars().take(HASH_DIGITS).collect();
            return Err(ArchiveError::Changed { path, found: digits(found), wanted: digits(file.sha256) });
        }
        Ok(opened)
    }

    /// Writes a file of a month by `write`, syncs it, gives it its name and syncs its folder.
    ///
    /// # Errors
    /// It cannot be written; nothing has a name then.
    pub fn make<T>(
        &self,
        (part, month, recorder): (Part, Month, [u8; 16]),
        generation: u64,
        write: impl FnOnce(&File) -> io::Result<T>,
    ) -> Result<(String, [u8; 32], u64, T), ArchiveError> {
        let unfinished = self.0.join(UNFINISHED);
        let beside = unfinished.join(format!("{generation}-{}-{}", part.word(), uuid(recorder)));
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| ArchiveError::Io { path, source }
        };
        files::make_folder(&unfinished).map_err(at(&unfinished))?;
        // What a closing left that was cut short.
        _ = std::fs::remove_file(&beside);
        let made = files::create_new(&beside).and_then(|mut file| {
            let written = write(&file)?;
            file.sync_all()?;
            let (hash, len) = hash_of(&mut file)?;
            Ok((hash, len, written))
        });
        let (hash, len, written) = made.map_err(|error| {
            _ = std::fs::remove_file(&beside);
            at(&beside)(error)
        })?;
        let digits: String = hex(&hash).chars().take(HASH_DIGITS).collect();
        let name = format!("{generation:08}-{digits}.parquet");
        let folder = self.folder_of(part, month, recorder);
        files::make_folder(&folder).map_err(at(&folder))?;
        named_as(&beside, &folder, &name).map_err(at(&folder))?;
        // The name, and the folders on the way to it.
        files::sync_up(&folder, files::folder_of(&self.0)).map_err(|(path, error)| at(path)(error))?;
        Ok((name, hash, len, written))
    }

    /// Removes files that nothing names any more, and the folders that are empty then. What cannot
    /// be removed is a leftover, and goes another time.
    pub fn remove(&self, files: &[ClosedFile]) {
        for file in files {
            let path = self.file(file);
            _ = std::fs::remove_file(&path);
            self.remove_empty(&path);
        }
        let all = [self.0.join(UNFINISHED), self.root(Part::Pages), self.root(Part::Ledger), self.0.clone()];
        for folder in all {
            _ = std::fs::remove_dir(folder);
        }
    }

    /// Removes everything that is called as files of months are, and the folders that are empty
    /// then: what a copy left that was cut short.
    ///
    /// # Errors
    /// The folder cannot be read, or a file not be removed.
    pub fn clear(&self) -> io::Result<()> {
        for file in self.found()? {
            std::fs::remove_file(&file.path)?;
        }
        // Of some there may be no more than the folders. What is not empty stays.
        for part in Part::ALL {
            for (_, month) in named(&self.root(part), "month=")? {
                for (_, folder) in named(&month, "recorder=")? {
                    _ = std::fs::remove_dir(folder);
                }
                _ = std::fs::remove_dir(month);
            }
        }
        self.remove(&[]);
        Ok(())
    }

    fn remove_empty(&self, path: &Path) {
        let folders = path.ancestors().skip(1).take_while(|folder| *folder != self.0);
        for folder in folders.take(2) {
            _ = std::fs::remove_dir(folder);
        }
    }

    /// Everything that is called as files of months are.
    ///
    /// # Errors
    /// The folder cannot be read. That it is not there is none.
    pub fn found(&self) -> io::Result<Vec<FoundFile>> {
        let mut found = Vec::new();
        for part in Part::ALL {
            for (month, path) in named(&self.root(part), "month=")? {
                let Ok(month) = month.parse::<Month>() else { continue };
                for (recorder, path) in named(&path, "recorder=")? {
                    let Some(recorder) = text::to_uuid(&recorder) else { continue };
                    for entry in std::fs::read_dir(&path)? {
                        let path = entry?.path();
                        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                        if let Some((generation, hash)) = parsed(&name) {
                            found.push(FoundFile { path, name, month, recorder, part, generation, hash });
                        }
                    }
                }
            }
        }
        found.sort_by(|a, b| {
            (a.month, a.recorder, a.part, a.generation).cmp(&(b.month, b.recorder, b.part, b.generation))
        });
        Ok(found)
    }

    /// Removes what closings left that were cut short. `known` are the files that the database
    /// names; `generation` is the latest closing that it knows of, `own` what stands for it.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn tidy(&self, known: &[ClosedFile], generation: u64, own: [u8; 16]) -> Result<Leftovers, ArchiveError> {
        let at = |source| ArchiveError::Io { path: self.0.clone(), source };
        let mut left = Leftovers::default();
        let unfinished = self.0.join(UNFINISHED);
        if files::is_anothers_link(&self.0) || files::is_anothers_link(&unfinished) {
            return Ok(left);
        }
        for entry in std::fs::read_dir(unfinished).into_iter().flatten().flatten() {
            // Somebody may have books of another kind, some of them unfinished.
            if is_unfinished(&entry.file_name().to_string_lossy()) {
                left.removed += u64::from(std::fs::remove_file(entry.path()).is_ok());
            }
        }
        let known: std::collections::HashSet<PathBuf> = known.iter().map(|file| self.file(file)).collect();
        for file in self.found().map_err(at)? {
            if known.contains(&file.path) {
                continue;
            }
            // A file that this database has written and does not name is one that it has taken
            // back.
            let is_own = || {
                let table = files::open(&file.path).ok().and_then(|opened| Table::new(opened, file.part).ok());
                table.is_some_and(|table| table.about().get("imon.database") == Some(&uuid(own)))
            };
            if file.generation <= generation && is_own() {
                left.removed += u64::from(std::fs::remove_file(&file.path).is_ok());
                self.remove_empty(&file.path);
            } else {
                left.strange.push(file.path);
            }
        }
        Ok(left)
    }
}

/// Whether a file is called as those that [`Folder::make`] has not finished.
fn is_unfinished(name: &str) -> bool {
    let is_ours = |name: &str| {
        let (generation, rest) = name.split_once('-')?;
        let (part, recorder) = rest.split_once('-')?;
        let is_number = !generation.is_empty() && generation.bytes().all(|b| b.is_ascii_digit());
        let is_part = Part::ALL.iter().any(|known| known.word() == part);
        text::to_uuid(recorder).filter(|_| is_number && is_part)
    };
    is_ours(name).is_some()
}

/// Gives a whole file its name in another folder. Where the kernel's sandbox refuses to move files
/// between folders (Linux 5.13 to 5.18), a copy gets it, whole as well.
pub(super) fn named_as(file: &Path, folder: &Path, name: &str) -> io::Result<()> {
    match std::fs::rename(file, folder.join(name)) {
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {}
        renamed => return renamed,
    }
    let beside = folder.join(format!(".{UNFINISHED}"));
    _ = std::fs::remove_file(&beside);
    files::copy(file, &beside)?;
    std::fs::rename(&beside, folder.join(name))?;
    std::fs::remove_file(file)
}

/// Folders in `folder` whose name begins with `prefix`, and the rest of it.
pub(super) fn named(folder: &Path, prefix: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(rest) = name.strip_prefix(prefix).filter(|_| path.is_dir()) {
            found.push((rest.to_owned(), path));
        }
    }
    Ok(found)
}

/// Generation and hash of a file by its name.
fn parsed(name: &str) -> Option<(u64, String)> {
    let (generation, hash) = name.strip_suffix(".parquet")?.split_once('-')?;
    let is_hash = hash.len() == HASH_DIGITS && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_number = (8..=20).contains(&generation.len()) && generation.bytes().all(|b| b.is_ascii_digit());
    (is_hash && is_number).then_some((generation.parse().ok()?, hash.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_of_one_folder_have_folders_of_their_own() {
        let of = |database: &str| Folder::of(Path::new(database)).path().to_owned();
        assert_eq!(of("/a/imon.db"), Path::new("/a/books"));
        assert_eq!(of("/a/other.db"), Path::new("/a/other.db-books"));
        assert_eq!(of("other.db"), Path::new("other.db-books"));
    }

    #[test]
    fn what_others_have_not_finished_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(&dir.path().join("imon.db"));
        let id = uuid([7; 16]);
        let ours = [format!("12-rows-{id}"), format!("0-ledger-{id}")];
        let others =
            ["chapter-1.txt".to_owned(), format!("12-chapters-{id}"), "12-rows-x".into(), format!("-rows-{id}")];
        std::fs::create_dir_all(folder.path().join(UNFINISHED)).unwrap();
        ours.iter().chain(&others).for_each(|name| {
            std::fs::write(folder.path().join(UNFINISHED).join(name), "x").unwrap();
        });
        assert_eq!(folder.tidy(&[], 99, [7; 16]).unwrap().removed, 2);
        folder.clear().unwrap();
        for name in &others {
            assert!(folder.path().join(UNFINISHED).join(name).exists(), "{name}");
        }
    }

    #[test]
    fn only_names_of_months_are_names_of_months() {
        assert_eq!(parsed("00000007-0123456789abcdef.parquet"), Some((7, "0123456789abcdef".into())));
        for name in ["7-0123456789abcdef.parquet", "00000007-0123.parquet", "../00000007-0123456789abcdef.parquet", ""]
        {
            assert_eq!(parsed(name), None, "{name}");
        }
    }
}
