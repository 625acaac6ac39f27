//! Months → a dataset. What is there under its hash is not written again; the new manifest counts
//! from the moment in which it gets its name, and only then what it no longer names goes. So a
//! dataset is complete for what its manifest names, whenever an export ends.

mod clean;
mod place;
mod summaries;

pub(super) use place::Place;

use super::ArchiveError;
use super::dataset::{Dataset, Entry, MANIFESTS, Manifest};
use super::folder::{Folder, named_as};
use super::mask::{self, Pseudonyms};
use super::parts;
use super::read::{Table, hash_of};
use super::schema::Part;
use super::sheets::Sheets;
use super::write::Layout;
use crate::books::month::Month;
use crate::files;
use crate::store::{ClosedFile, Store};
use crate::table::units::{hex, uuid};
use std::collections::{BTreeMap, HashSet};
use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Digits of the hash in a name.
const HASH_DIGITS: usize = 16;

/// What begins the name of a file that several were merged into.
const MERGED: &str = "part-";

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

/// What an export makes of months.
#[derive(Debug, Default)]
pub struct Form {
    /// How closed months are laid out.
    pub files: Files,
    /// Pseudonyms for names.
    pub mask: Option<Pseudonyms>,
}

/// How closed months are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Files {
    /// As they are, and as they were merged before.
    #[default]
    AsTheyAre,
    /// Those of all recorders of a month are one, or a few large ones.
    Merged,
}

/// An export that goes on. Nobody else exports into the folder as long as it lives.
#[derive(Debug)]
pub struct Exporter<'a> {
    root: PathBuf,
    store: &'a Store,
    /// What stands for the database: a pseudonym where names are masked.
    pub(super) database: String,
    pub(super) form: Form,
    /// Whether months have no folders of recorders: then none has, as engines want one depth.
    flat: bool,
    before: Manifest,
    now: Vec<Entry>,
    written: Written,
    _lock: File,
}

impl<'a> Exporter<'a> {
    /// Begins an export of a database into a folder, which is made if it is not there.
    ///
    /// # Errors
    /// The folder cannot be used, another program exports into it, or the database.
    pub fn new(root: &Path, store: &'a Store, form: Form) -> Result<Self, ArchiveError> {
        let own = store.recorder()?;
        let database = uuid(form.mask.as_ref().map_or(own, |mask| mask.recorder(own)));
        let folder = root.join(MANIFESTS);
        files::make_folder(&folder.join(UNFINISHED)).map_err(at(&folder))?;
        let path = folder.join("lock");
        let lock = files::open_own(&path).map_err(at(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArchiveError::Busy { path: root.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(ArchiveError::Io { path, source }),
        }
        let others = match Dataset::open(root) {
            Err(ArchiveError::NoDataset { .. }) => None,
            others => Some(others?),
        };
        let wanted = form.mask.as_ref().map(Pseudonyms::of);
        let mut flat = form.files == Files::Merged;
        for (path, manifest) in others.iter().flat_map(|others| &others.manifests) {
            if !manifest.files.is_empty() {
                mask::check(path, manifest.mask.as_ref(), wanted.as_ref())?;
            }
            flat |= manifest.files.iter().any(|entry| !entry.file.contains("/recorder="));
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
        Ok(Self { root: root.to_owned(), store, database, form, flat, before, now, written, _lock: lock })
    }

    /// Puts closed months and open ones into the dataset.
    ///
    /// # Errors
    /// The database, a file of a month, or the folder.
    pub fn months(&mut self) -> Result<(), ArchiveError> {
        let books = self.store.path().map(Folder::of).ok_or(ArchiveError::InMemory)?;
        let mut tables: BTreeMap<(Month, Part), Vec<ClosedFile>> = BTreeMap::new();
        for file in self.store.closed()? {
            tables.entry((file.month, file.part)).or_default().push(file);
        }
        for ((month, part), files) in tables {
            self.closed(&books, (month, part), &files)?;
        }
        for month in self.store.open_months()? {
            let rows = self.store.month_rows(month)?;
            let sheets = Sheets::new(self.store, month, &rows)?;
            for recorder in sheets.recorders() {
                let facts = sheets.facts(self.store, recorder)?;
                for part in Part::ALL {
                    let place = self.place(part.word(), month, Some(recorder));
                    // Of no closing.
                    let how = (0, Layout::default());
                    let write = |out: &File| sheets.write((part, recorder), &facts, how, out).map(|sums| sums.rows);
                    match self.form.mask {
                        None => self.make(&place, String::new(), false, write)?,
                        Some(_) => self.make_masked((place, part), write)?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Where a table of a recorder belongs.
    fn place<'p>(&self, table: &'p str, month: Month, recorder: Option<[u8; 16]>) -> Place<'p> {
        let masked = |recorder| self.form.mask.as_ref().map_or(recorder, |mask| mask.recorder(recorder));
        Place { table, month, recorder: recorder.map(masked), number: None, flat: self.flat }
    }

    /// The files of a table of a closed month.
    fn closed(
        &mut self,
        books: &Folder,
        (month, part): (Month, Part),
        files: &[ClosedFile],
    ) -> Result<(), ArchiveError> {
        let all = self.of(files);
        let merged: Vec<Entry> = self.before_of(&all, |entry| entry.file.contains(&format!("/{MERGED}"))).collect();
        // Merged once, they stay so as long as they are the same.
        if self.form.files == Files::Merged || !merged.is_empty() {
            if !merged.is_empty() && merged.iter().all(|entry| self.has(entry)) {
                merged.iter().for_each(|entry| _ = self.is_there(entry));
                return Ok(());
            }
            let recorder = files.first().map(|file| file.recorder).filter(|_| files.len() == 1);
            let place = Place { number: Some(0), ..self.place(part.word(), month, recorder) };
            return self.rewrite((place, part), Self::members(books, files)?, (all, true));
        }
        for file in files {
            let place = self.place(part.word(), month, Some(file.recorder));
            if self.form.mask.is_none() {
                self.copy(books, (file, &place))?;
                continue;
            }
            let one = std::slice::from_ref(file);
            let of = self.of(one);
            let known = self.before_of(&of, |_| true).next();
            if known.is_some_and(|entry| self.is_there(&entry)) {
                continue;
            }
            self.rewrite((place, part), Self::members(books, one)?, (of, true))?;
        }
        Ok(())
    }

    fn members(books: &Folder, files: &[ClosedFile]) -> Result<Vec<Table>, ArchiveError> {
        files.iter().map(|file| books.open(file)).collect()
    }

    /// What stands for these files, and for what is made of them.
    fn of(&self, files: &[ClosedFile]) -> String {
        parts::made_of(self.form.mask.as_ref(), files.iter().map(|file| file.sha256))
    }

    fn before_of(&self, of: &str, which: impl Fn(&Entry) -> bool) -> impl Iterator<Item = Entry> {
        let known = self.before.files.iter().filter(|entry| !of.is_empty() && entry.of == of && which(entry));
        known.cloned().collect::<Vec<_>>().into_iter()
    }

    /// Writes the rows of members anew, into one file or several.
    fn rewrite(
        &mut self,
        (place, part): (Place<'_>, Part),
        members: Vec<Table>,
        (of, closed): (String, bool),
    ) -> Result<(), ArchiveError> {
        let folder = self.root.join(MANIFESTS).join(UNFINISHED);
        for made in parts::rewrite((&folder, part), &members, (&self.database, self.form.mask.as_ref()), place)? {
            let place = Place { number: made.number, ..place };
            let entry = Entry { of: of.clone(), ..place.entry(hex(&made.sha256), made.bytes, made.rows, closed) };
            if self.is_there(&entry) {
                std::fs::remove_file(&made.path).map_err(at(&made.path))?;
            } else {
                self.add(&made.path, entry)?;
            }
        }
        Ok(())
    }

    /// Writes a table, and then with pseudonyms.
    fn make_masked(
        &mut self,
        (place, part): (Place<'_>, Part),
        write: impl FnOnce(&File) -> io::Result<u64>,
    ) -> Result<(), ArchiveError> {
        let beside = self.unfinished();
        let made = files::create_new(&beside).and_then(|mut file| {
            write(&file)?;
            let (hash, _) = hash_of(&mut file)?;
            Ok((file, hash))
        });
        // Nobody sees it without pseudonyms: as long as it is open it is there.
        _ = std::fs::remove_file(&beside);
        let (file, hash) = made.map_err(at(&beside))?;
        let of = parts::made_of(self.form.mask.as_ref(), std::iter::once(hash));
        let known = self.before_of(&of, |_| true).next();
        if known.is_some_and(|entry| self.is_there(&entry)) {
            return Ok(());
        }
        let table = Table::new(file, part).map_err(|source| ArchiveError::Broken { path: beside, source })?;
        self.rewrite((place, part), vec![table], (of, false))
    }

    /// A file of a closed month stays as it is, under its hash.
    fn copy(&mut self, books: &Folder, (file, place): (&ClosedFile, &Place<'_>)) -> Result<(), ArchiveError> {
        let ClosedFile { sha256, len_bytes, sums, .. } = file;
        let entry = place.entry(hex(sha256), *len_bytes, sums.rows, true);
        if self.is_there(&entry) {
            return Ok(());
        }
        let from = books.file(file);
        let beside = self.unfinished();
        files::copy(&from, &beside)
            .map_err(|source| books.checked(file).err().unwrap_or_else(|| at(&beside)(source)))?;
        let (found, _) = files::open(&beside).and_then(|mut copy| hash_of(&mut copy)).map_err(at(&beside))?;
        if found != *sha256 {
            let digits = |hash: &[u8; 32]| hex(hash).chars().take(HASH_DIGITS).collect();
            return Err(ArchiveError::Changed { path: from, found: digits(&found), wanted: digits(sha256) });
        }
        self.add(&beside, entry)
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
        let place = self.place(extra.word(), month, Some(recorder));
        let folder = place.folder();
        let is_it = |entry: &Entry| entry.table == extra.word() && entry.file.starts_with(&folder);
        let known = self.before_of(&of, is_it).next();
        if known.is_some_and(|entry| self.is_there(&entry)) {
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
        let there = self.has(entry);
        if there {
            self.written.kept += 1;
            self.now.push(entry.clone());
        }
        there
    }

    fn has(&self, entry: &Entry) -> bool {
        std::fs::metadata(self.root.join(&entry.file)).is_ok_and(|about| about.len() == entry.bytes)
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
        self.add(&beside, entry)
    }

    /// Gives a whole file its name; the manifest has it then.
    fn add(&mut self, beside: &Path, entry: Entry) -> Result<(), ArchiveError> {
        self.name(beside, &entry)?;
        self.now.push(entry);
        Ok(())
    }

    /// Gives a whole file its name, and syncs the folders on the way to it.
    fn name(&mut self, beside: &Path, entry: &Entry) -> Result<(), ArchiveError> {
        let path = self.root.join(&entry.file);
        let (folder, name) = (path.parent().unwrap_or(&self.root), path.file_name().unwrap_or_default());
        files::make_folder(folder).map_err(at(folder))?;
        named_as(beside, folder, &name.to_string_lossy()).map_err(at(&path))?;
        files::sync_up(folder, &self.root).map_err(|(folder, error)| at(folder)(error))?;
        self.written.new += 1;
        self.written.new_bytes = self.written.new_bytes.saturating_add(entry.bytes);
        Ok(())
    }

    /// The new manifest takes the place of the old one; then what it does not name goes.
    ///
    /// # Errors
    /// The manifest cannot be written: the old one counts then.
    pub fn finish(mut self) -> Result<Written, ArchiveError> {
        self.now.sort_by(|a, b| a.file.cmp(&b.file));
        let mut manifest = Manifest::new(self.database.clone());
        manifest.mask = self.form.mask.as_ref().map(Pseudonyms::of);
        manifest.files = std::mem::take(&mut self.now);
        self.sum_up(&mut manifest)?;
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
            files::sync_folder(&folder).map_err(at(&folder))?;
        }
        let kept: HashSet<PathBuf> = manifest.all_files().map(|entry| self.root.join(&entry.file)).collect();
        self.remove_others(&kept).map_err(at(&self.root))?;
        Ok(self.written)
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> ArchiveError + use<> {
    let path = path.to_owned();
    move |source| ArchiveError::Io { path: path.clone(), source }
}
