//! Months → a dataset. What is there under its hash is not written again; the new manifest counts
//! from the moment in which it gets its name, and only then what it no longer names goes. So a
//! dataset is complete for what its manifest names, whenever an export ends.

use super::ArchiveError;
use super::dataset::{Entry, MANIFESTS, Manifest};
use super::folder::{Folder, named, named_as};
use super::read::hash_of;
use super::schema::Part;
use super::sheets::Sheets;
use super::write::Layout;
use crate::books::month::Month;
use crate::files;
use crate::store::{ClosedFile, Store};
use crate::table::units::{hex, uuid};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Digits of the hash in a name.
const HASH_DIGITS: usize = 16;

/// Where files are until they are whole.
const UNFINISHED: &str = "unfinished";

/// Key in the metadata of a file: the database that wrote it.
const DATABASE: &str = "imon.database";

/// Tables beside rows, pages and ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, clap::ValueEnum)]
pub enum Extra {
    /// Flows of segments that are kept, one a row
    Flows,
    /// Names seen in them, one a row
    Names,
}

impl Extra {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Flows, Self::Names];

    /// Its folder in the dataset.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Flows => "flows",
            Self::Names => "names",
        }
    }
}

/// What an export did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Files that are new.
    pub new: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// Files that were there.
    pub kept: u64,
    /// Files that went.
    pub removed: u64,
}

/// An export that goes on. Nobody else exports into the folder as long as it lives.
#[derive(Debug)]
pub struct Exporter<'a> {
    root: PathBuf,
    store: &'a Store,
    database: String,
    before: Manifest,
    now: Vec<Entry>,
    written: Written,
    _lock: File,
}

/// Where a file belongs.
struct Place<'a> {
    table: &'a str,
    month: Month,
    recorder: [u8; 16],
}

impl<'a> Exporter<'a> {
    /// Begins an export of a database into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// The folder cannot be used, another program exports into it, or the database.
    pub fn new(root: &Path, store: &'a Store) -> Result<Self, ArchiveError> {
        let database = uuid(store.recorder()?);
        let folder = root.join(MANIFESTS);
        files::make_folder(&folder.join(UNFINISHED)).map_err(at(&folder))?;
        let path = folder.join("lock");
        let lock = files::open_own(&path).map_err(at(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArchiveError::Busy { path: root.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(ArchiveError::Io { path, source }),
        }
        // What an export left that was cut short.
        for entry in std::fs::read_dir(folder.join(UNFINISHED)).into_iter().flatten().flatten() {
            _ = std::fs::remove_file(entry.path());
        }
        let path = folder.join(format!("{database}.json"));
        let before = match Manifest::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Manifest::new(database.clone()),
            before => before.map_err(at(&path))?,
        };
        let (now, written) = (Vec::new(), Written::default());
        Ok(Self { root: root.to_owned(), store, database, before, now, written, _lock: lock })
    }

    /// Puts closed months and open ones into the dataset.
    ///
    /// # Errors
    /// The database, a file of a month, or the folder.
    pub fn months(&mut self) -> Result<(), ArchiveError> {
        let books = self.store.path().map(Folder::of).ok_or(ArchiveError::InMemory)?;
        for file in self.store.closed()? {
            self.closed(&books, &file)?;
        }
        for month in self.store.open_months()? {
            let rows = self.store.month_rows(month)?;
            let sheets = Sheets::new(self.store, month, &rows)?;
            for recorder in sheets.recorders() {
                let facts = sheets.facts(self.store, recorder)?;
                for part in Part::ALL {
                    let place = Place { table: part.word(), month, recorder };
                    // Of no closing.
                    let how = (0, Layout::default());
                    let write = |out: &File| sheets.write((part, recorder), &facts, how, out).map(|sums| sums.rows);
                    self.make(&place, String::new(), false, write)?;
                }
            }
        }
        Ok(())
    }

    /// A file of a closed month stays as it is, under its hash.
    fn closed(&mut self, books: &Folder, file: &ClosedFile) -> Result<(), ArchiveError> {
        let ClosedFile { month, recorder, part, sha256, len_bytes, sums, .. } = file;
        let place = Place { table: part.word(), month: *month, recorder: *recorder };
        let entry = place.entry(hex(sha256), *len_bytes, sums.rows, true);
        if self.is_there(&entry) {
            return Ok(());
        }
        let from = books.file(file);
        let beside = self.unfinished();
        files::copy(&from, &beside).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ArchiveError::Missing { path: from.clone() },
            _ => ArchiveError::Io { path: from.clone(), source },
        })?;
        let (found, _) = files::open(&beside).and_then(|mut copy| hash_of(&mut copy)).map_err(at(&beside))?;
        if found != *sha256 {
            let digits = |hash: &[u8; 32]| hex(hash).chars().take(HASH_DIGITS).collect();
            return Err(ArchiveError::Changed { path: from, found: digits(&found), wanted: digits(sha256) });
        }
        self.name(&beside, entry)
    }

    /// Writes another table of a month and recorder, unless it is there and was made of the same.
    /// `write` gives the number of rows.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn extra(
        &mut self,
        (extra, month, recorder): (Extra, Month, [u8; 16]),
        of: String,
        write: impl FnOnce(&File) -> io::Result<u64>,
    ) -> Result<(), ArchiveError> {
        let place = Place { table: extra.word(), month, recorder };
        let folder = place.folder();
        let known = self.before.files.iter().find(|entry| entry.of == of && entry.file.starts_with(&folder));
        if let Some(entry) = known.cloned()
            && self.is_there(&entry)
        {
            return Ok(());
        }
        self.make(&place, of, false, write)
    }

    /// What stands for the database in the metadata of a file.
    pub fn mark(&self) -> (&'static str, &str) {
        ("database", &self.database)
    }

    /// Whether a file is there as it should be; then it stays.
    fn is_there(&mut self, entry: &Entry) -> bool {
        let there = std::fs::metadata(self.root.join(&entry.file)).is_ok_and(|about| about.len() == entry.bytes);
        if there {
            self.written.kept += 1;
            self.now.push(entry.clone());
        }
        there
    }

    fn unfinished(&self) -> PathBuf {
        self.root.join(MANIFESTS).join(UNFINISHED).join(format!("{}-{}", self.database, self.now.len()))
    }

    fn make(
        &mut self,
        place: &Place<'_>,
        of: String,
        closed: bool,
        write: impl FnOnce(&File) -> io::Result<u64>,
    ) -> Result<(), ArchiveError> {
        let beside = self.unfinished();
        let made = files::create_new(&beside).and_then(|mut file| {
            let rows = write(&file)?;
            file.sync_all()?;
            let (hash, len) = hash_of(&mut file)?;
            Ok(Entry { of, ..place.entry(hex(&hash), len, rows, closed) })
        });
        let entry = made.map_err(|error| {
            _ = std::fs::remove_file(&beside);
            at(&beside)(error)
        })?;
        if self.is_there(&entry) {
            return std::fs::remove_file(&beside).map_err(at(&beside));
        }
        self.name(&beside, entry)
    }

    /// Gives a whole file its name, and syncs the folders on the way to it.
    fn name(&mut self, beside: &Path, entry: Entry) -> Result<(), ArchiveError> {
        let path = self.root.join(&entry.file);
        let (folder, name) = (path.parent().unwrap_or(&self.root), path.file_name().unwrap_or_default());
        files::make_folder(folder).map_err(at(folder))?;
        named_as(beside, folder, &name.to_string_lossy()).map_err(at(&path))?;
        for folder in folder.ancestors().take_while(|folder| folder.starts_with(&self.root)) {
            sync(folder)?;
        }
        self.written.new += 1;
        self.written.new_bytes = self.written.new_bytes.saturating_add(entry.bytes);
        self.now.push(entry);
        Ok(())
    }

    /// The new manifest takes the place of the old one; then what it does not name goes.
    ///
    /// # Errors
    /// The manifest cannot be written: the old one counts then.
    pub fn finish(mut self) -> Result<Written, ArchiveError> {
        self.now.sort_by(|a, b| a.file.cmp(&b.file));
        let mut manifest = Manifest::new(self.database.clone());
        manifest.files = std::mem::take(&mut self.now);
        let folder = self.root.join(MANIFESTS);
        let path = folder.join(format!("{}.json", self.database));
        if manifest != self.before || !path.exists() {
            let beside = folder.join(UNFINISHED).join("manifest");
            let text = serde_json::to_string_pretty(&manifest).map_err(|e| at(&beside)(e.into()))?;
            let written = files::create_new(&beside).and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.write_all(b"\n")?;
                file.sync_all()
            });
            written.map_err(at(&beside))?;
            named_as(&beside, &folder, &format!("{}.json", self.database)).map_err(at(&path))?;
            sync(&folder)?;
        }
        let kept: HashSet<PathBuf> = manifest.files.iter().map(|entry| self.root.join(&entry.file)).collect();
        self.remove_others(&kept).map_err(at(&self.root))?;
        Ok(self.written)
    }

    /// Removes files of this database that count no more: those of the manifest before, and those
    /// of exports that came to nothing.
    fn remove_others(&mut self, kept: &HashSet<PathBuf>) -> io::Result<()> {
        let before: HashSet<PathBuf> = self.before.files.iter().map(|entry| self.root.join(&entry.file)).collect();
        let tables = Part::ALL.map(Part::word).into_iter().chain(Extra::ALL.map(Extra::word));
        for table in tables {
            for (_, month) in named(&self.root.join(table), "month=")? {
                for (_, folder) in named(&month, "recorder=")? {
                    for entry in std::fs::read_dir(&folder)? {
                        let path = entry?.path();
                        let is_whole = path.extension().is_some_and(|suffix| suffix == "parquet");
                        if kept.contains(&path) || !is_whole || !(before.contains(&path) || self.is_own(&path)) {
                            continue;
                        }
                        self.written.removed += u64::from(std::fs::remove_file(&path).is_ok());
                    }
                    // What is not empty stays.
                    _ = std::fs::remove_dir(&folder);
                }
                _ = std::fs::remove_dir(&month);
            }
        }
        Ok(())
    }

    /// Whether this database wrote a file that no manifest of it names.
    fn is_own(&self, path: &Path) -> bool {
        let opened = files::open(path).ok().and_then(|file| SerializedFileReader::new(file).ok());
        opened.is_some_and(|file| {
            let pairs = file.metadata().file_metadata().key_value_metadata();
            let is_mark = |pair: &parquet::file::metadata::KeyValue| {
                pair.key == DATABASE && pair.value.as_deref() == Some(&self.database)
            };
            pairs.into_iter().flatten().any(is_mark)
        })
    }
}

impl Place<'_> {
    fn folder(&self) -> String {
        format!("{}/month={}/recorder={}/", self.table, self.month, uuid(self.recorder))
    }

    fn entry(&self, sha256: String, bytes: u64, rows: u64, closed: bool) -> Entry {
        let name: String = sha256.chars().take(HASH_DIGITS).collect();
        let file = format!("{}{name}.parquet", self.folder());
        let (table, month, recorder) = (self.table.to_owned(), self.month.to_string(), uuid(self.recorder));
        Entry { table, month, recorder, file, rows, bytes, sha256, closed, of: String::new() }
    }
}

fn sync(folder: &Path) -> Result<(), ArchiveError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at(folder))
}

fn at(path: &Path) -> impl Fn(io::Error) -> ArchiveError + use<> {
    let path = path.to_owned();
    move |source| ArchiveError::Io { path: path.clone(), source }
}
