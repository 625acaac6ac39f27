//! A dataset: months of one or many databases as files in a folder, for other machines and engines.
//!
//! ```text
//! DIR/rows/month=2026-10/recorder=<id>/<hash>.parquet      pages/, ledger/, flows/, names/ likewise
//! DIR/_imon/<database>.json                                what counts: its manifest
//! ```
//! A file that no manifest names does not count. Nothing in a manifest leads out of the folder.

use super::mask::MaskOf;
use super::read::{Spent, Table, hash_of};
use super::schema::{Part, SCHEMA};
use super::{ArchiveError, Broken};
use crate::books::month::Month;
use crate::files;
use crate::table::units::hex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The folder of manifests in a dataset. Engines leave out what begins with a line.
pub const MANIFESTS: &str = "_imon";

/// Longest manifest that is read: a million files.
const MAX_MANIFEST_BYTES: u64 = 512 << 20;

/// Version of manifests.
const FORMAT: u32 = 1;

/// What a database has exported into a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of manifests.
    pub format: u32,
    /// Schema of rows, pages and ledger.
    pub schema: String,
    /// Version of imon that wrote it.
    pub imon: String,
    /// UUID of the database.
    pub database: String,
    /// Which names are pseudonyms, and by which key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskOf>,
    /// Its files, by name.
    pub files: Vec<Entry>,
    /// What the ledgers of months sum up to, and rows by day: of each month at most one file each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summaries: Vec<Entry>,
    /// Which months have none, as their files tell too little or too much, and what stands for
    /// these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub without_summary: BTreeMap<String, String>,
}

/// A file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `rows`, `pages`, `ledger`, `flows`, `names`, `summary` or `days`.
    pub table: String,
    /// The month.
    pub month: String,
    /// UUID of who recorded it; empty where several did.
    pub recorder: String,
    /// Where it is, from the dataset's folder on.
    pub file: String,
    /// Rows in it.
    pub rows: u64,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it, as hexadecimal digits.
    pub sha256: String,
    /// Whether its month was closed: then it stays as it is until it is booked again.
    pub closed: bool,
    /// What it was made of, where that is not the file itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub of: String,
}

/// A folder with manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    pub(super) root: PathBuf,
    /// Manifests by the names of their files.
    pub manifests: BTreeMap<PathBuf, Manifest>,
}

impl Manifest {
    /// One of no file.
    pub fn new(database: String) -> Self {
        let imon = env!("CARGO_PKG_VERSION").to_owned();
        Self {
            format: FORMAT,
            schema: SCHEMA.to_owned(),
            imon,
            database,
            mask: None,
            files: Vec::new(),
            summaries: Vec::new(),
            without_summary: BTreeMap::new(),
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// It cannot be read or understood, or is of a newer version.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = files::read_list(path, MAX_MANIFEST_BYTES)?;
        let manifest: Self = serde_json::from_str(&text)?;
        if manifest.format != FORMAT || manifest.schema != SCHEMA {
            let Self { format, schema, .. } = manifest;
            return Err(io::Error::other(format!("manifest {format} of {schema:?}; {FORMAT} of {SCHEMA} is known")));
        }
        if let Some(entry) = manifest.all_files().find(|entry| !is_inside(Path::new(&entry.file))) {
            return Err(io::Error::other(format!("{:?} is no file of a dataset", entry.file)));
        }
        Ok(manifest)
    }

    /// Its files, and those that sum up others.
    pub fn all_files(&self) -> impl Iterator<Item = &Entry> {
        self.files.iter().chain(&self.summaries)
    }
}

/// Whether a path stays in the folder that it begins in.
fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_))) && path.components().next().is_some()
}

impl Dataset {
    /// The dataset in a folder.
    ///
    /// # Errors
    /// There is none, or a manifest cannot be read.
    pub fn open(root: &Path) -> Result<Self, ArchiveError> {
        let folder = root.join(MANIFESTS);
        let none = || ArchiveError::NoDataset { path: root.to_owned() };
        let entries = match std::fs::read_dir(&folder) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Err(none()),
            entries => entries.map_err(|source| ArchiveError::Io { path: folder.clone(), source })?,
        };
        let mut manifests = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(|source| ArchiveError::Io { path: folder.clone(), source })?.path();
            if path.extension().is_some_and(|suffix| suffix == "json") {
                let manifest =
                    Manifest::read(&path).map_err(|source| ArchiveError::Io { path: path.clone(), source })?;
                manifests.insert(path, manifest);
            }
        }
        if manifests.is_empty() { Err(none()) } else { Ok(Self { root: root.to_owned(), manifests }) }
    }

    /// Every file that counts.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.manifests.values().flat_map(Manifest::all_files).map(|entry| self.root.join(&entry.file))
    }

    pub(super) fn of_part(&self, part: Part) -> impl Iterator<Item = &Entry> {
        let files = self.manifests.values().flat_map(|manifest| &manifest.files);
        files.filter(move |entry| entry.table == part.word())
    }

    /// The files of months that lie in these seconds: rows, then ledgers, then pages.
    pub(super) fn in_range(
        &self,
        (from_s, to_s): (i64, i64),
        pages: bool,
    ) -> impl Iterator<Item = (Part, Month, &Entry)> {
        let parts = [Part::Rows, Part::Ledger].into_iter().chain(pages.then_some(Part::Pages));
        parts.flat_map(|part| self.of_part(part).map(move |entry| (part, entry))).filter_map(move |(part, entry)| {
            let month = month_of(entry)?;
            is_in(month, (from_s, to_s)).then_some((part, month, entry))
        })
    }

    /// Who recorded what a file has: `Some(None)` captures, `None` several.
    pub(super) fn recorder_of(&self, entry: &Entry) -> Option<Option<[u8; 16]>> {
        self.recorder_called(&entry.recorder)
    }

    /// Who recorded what this text stands at: `Some(None)` captures, `None` nobody knows.
    pub(super) fn recorder_called(&self, text: &str) -> Option<Option<[u8; 16]>> {
        let id = super::text::to_uuid(text)?;
        let is_database = self.manifests.values().any(|manifest| manifest.database == text);
        Some((!is_database).then_some(id))
    }

    /// Opens a summary, whose SHA-256 is compared: it is small, and stands for many files.
    pub(super) fn summary(&self, entry: &Entry, part: Part, spent: &Spent) -> Result<Table, ArchiveError> {
        let path = self.path(entry);
        let (found, _) = files::open(&path)
            .and_then(|mut opened| hash_of(&mut opened))
            .map_err(|source| ArchiveError::Io { path: path.clone(), source })?;
        spent.fetch_add(entry.bytes, Ordering::Relaxed);
        if hex(&found) != entry.sha256 {
            return Err(ArchiveError::Changed { path, found: hex(&found), wanted: entry.sha256.clone() });
        }
        self.table(entry, part, spent)
    }

    /// Whether a file is there and as long as its manifest says.
    pub(super) fn has(&self, entry: &Entry) -> bool {
        std::fs::metadata(self.path(entry)).is_ok_and(|about| about.len() == entry.bytes)
    }

    /// Where a file is.
    pub(super) fn path(&self, entry: &Entry) -> PathBuf {
        self.root.join(&entry.file)
    }

    /// Opens a file. Nothing but its length is compared: to hash all would be to read all.
    pub(super) fn table(&self, entry: &Entry, part: Part, spent: &Spent) -> Result<Table, ArchiveError> {
        let path = self.path(entry);
        let failed = |source| ArchiveError::of_file(path.clone(), source);
        let opened = files::open(&path).map_err(failed)?;
        let len = opened.metadata().map_err(failed)?.len();
        if len != entry.bytes {
            let form = format!("it has {len} bytes, and its manifest says {}", entry.bytes);
            return Err(ArchiveError::Broken { path, source: Broken::Form(form) });
        }
        Table::counting(opened, part, Arc::clone(spent)).map_err(|source| ArchiveError::Broken { path, source })
    }
}

/// Whether some of these seconds are of a month.
pub(super) fn is_in(month: Month, (from_s, to_s): (i64, i64)) -> bool {
    month.seconds().0 < to_s && month.seconds().1 > from_s
}

pub(super) fn month_of(entry: &Entry) -> Option<Month> {
    entry.month.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_manifest_leads_out_of_its_folder() {
        for path in ["rows/month=2026-10/recorder=x/a.parquet", "a"] {
            assert!(is_inside(Path::new(path)), "{path}");
        }
        for path in ["", "/etc/passwd", "../a", "rows/../../a"] {
            assert!(!is_inside(Path::new(path)), "{path}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        let entry = |file: &str| {
            format!(
                "{{\"table\":\"rows\",\"month\":\"2026-10\",\"recorder\":\"\",\"file\":\"{file}\",\"rows\":1,\"bytes\":1,\
             \"sha256\":\"\",\"closed\":true}}"
            )
        };
        let manifest = |format: u32, file: &str| {
            format!(
                "{{\"format\":{format},\"schema\":\"{SCHEMA}\",\"imon\":\"0\",\"database\":\"\",\"files\":[{}]}}",
                entry(file)
            )
        };
        for (text, is_good) in [
            (manifest(1, "rows/a.parquet"), true),
            (manifest(1, "../a.parquet"), false),
            (manifest(2, "rows/a.parquet"), false),
            ("{}".to_owned(), false),
            ("no json".to_owned(), false),
        ] {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(Manifest::read(&path).is_ok(), is_good, "{text}");
        }
    }
}
