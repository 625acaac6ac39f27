//! A dataset: months of one or many databases as files in a folder, for other machines and engines.
//!
//! ```text
//! DIR/rows/month=2026-10/recorder=<id>/<hash>.parquet      pages/, ledger/, flows/, names/ likewise
//! DIR/_imon/<database>.json                                what counts: its manifest
//! ```
//! A file that no manifest names does not count. Nothing in a manifest leads out of the folder.

use super::door::Need;
use super::facts::Facts;
use super::mask::MaskOf;
use super::read::{Spent, Table};
use super::schema::{Part, SCHEMA};
use super::{ArchiveError, Broken, Hole};
use crate::books::Endpoint;
use crate::books::Source;
use crate::books::month::Month;
use crate::files;
use crate::store::{Snapshot, Store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// What ledgers know beside rows.
#[derive(Default)]
pub(super) struct Known {
    /// Sources, clients, gaps.
    pub(super) snapshot: Snapshot,
    /// What sources are called.
    pub(super) labels: Vec<Source>,
    /// What could not be read.
    pub(super) holes: Vec<Hole>,
    /// Bytes read, counted further while others read.
    pub(super) spent: Spent,
    /// Files of ledgers that have the sums of their days.
    pub(super) summed: BTreeSet<String>,
}

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
}

/// A file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `rows`, `pages`, `ledger`, `flows` or `names`.
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
    root: PathBuf,
    /// Manifests by the names of their files.
    pub manifests: BTreeMap<PathBuf, Manifest>,
}

impl Manifest {
    /// One of no file.
    pub fn new(database: String) -> Self {
        let imon = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, schema: SCHEMA.to_owned(), imon, database, mask: None, files: Vec::new() }
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
        match manifest.files.iter().find(|entry| !is_inside(Path::new(&entry.file))) {
            Some(entry) => Err(io::Error::other(format!("{:?} is no file of a dataset", entry.file))),
            None => Ok(manifest),
        }
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
        self.manifests.values().flat_map(|manifest| &manifest.files).map(|entry| self.root.join(&entry.file))
    }

    fn of_part(&self, part: Part) -> impl Iterator<Item = &Entry> {
        let files = self.manifests.values().flat_map(|manifest| &manifest.files);
        files.filter(move |entry| entry.table == part.word())
    }

    /// What ledgers know of sources and clients, what all sources are called, and a count of bytes
    /// that are read.
    ///
    /// # Errors
    /// The database in memory that keeps it where devices are asked for. What cannot be read is a
    /// hole.
    pub(super) fn known(&self, need: &Need<'_>) -> Result<Known, ArchiveError> {
        // What was taken out of the books is known in a database only.
        match self.known_by(need, need.wanted().endpoints)? {
            Some(known) => Ok(known),
            None => Ok(self.known_by(need, true)?.unwrap_or_default()),
        }
    }

    /// The same, by a database in memory or without; `None`: it cannot be without.
    fn known_by(&self, need: &Need<'_>, with_ends: bool) -> Result<Option<Known>, ArchiveError> {
        let (spent, mut summed, mut is_enough) = (Spent::default(), BTreeSet::new(), true);
        let (mut known, mut holes) = (Facts::new(need.wanted().sources), Vec::new());
        let mut rest: Vec<(String, Vec<u8>, String)> = Vec::new();
        let mut ends: Vec<Endpoint> = Vec::new();
        for entry in self.of_part(Part::Ledger) {
            let mut has_sums = false;
            let mut add = |kind: &str, source: &[u8], about: &str| match (kind, with_ends) {
                ("sum", _) => has_sums = true,
                ("end", true) => ends.extend(end(about)),
                (_, true) => rest.push((kind.to_owned(), source.to_vec(), about.to_owned())),
                ("removed", false) => is_enough = false,
                (_, false) => known.add(kind, source, about),
            };
            if let Err(hole) = self.table(entry, Part::Ledger, &spent).and_then(|table| {
                table.facts(&mut add).map_err(|source| ArchiveError::Broken { path: self.path(entry), source })
            }) {
                holes.extend(month_of(entry).map(|month| Hole { month, error: hole }));
            }
            if has_sums {
                summed.insert(entry.file.clone());
            }
        }
        if !is_enough {
            return Ok(None);
        }
        if !with_ends {
            let (snapshot, labels) = known.snapshot(need.range);
            return Ok(Some(Known { snapshot, labels, holes, spent, summed }));
        }
        let mut store = Store::in_memory()?;
        // Sources come before what is known of them.
        rest.sort_by_key(|(kind, ..)| kind != "source");
        store.adopt_facts(&rest, &ends)?;
        let (snapshot, labels) = (store.snapshot(need.range, &mut |_, _, _| {})?, store.labels()?);
        Ok(Some(Known { snapshot, labels, holes, spent, summed }))
    }

    /// Whether all rows of these seconds are in the sums of a ledger beside them. Months that were
    /// closed before ledgers had sums are not: there only the rows tell what all bytes are.
    pub(super) fn is_summed(&self, (from_s, to_s): (i64, i64), summed: &BTreeSet<String>) -> bool {
        let is_in_range =
            |entry: &Entry| month_of(entry).is_none_or(|month| month.seconds().0 < to_s && month.seconds().1 > from_s);
        self.manifests.values().all(|manifest| {
            let of_part = |part: Part| manifest.files.iter().filter(move |entry| entry.table == part.word());
            of_part(Part::Rows).filter(|rows| rows.rows > 0 && is_in_range(rows)).all(|rows| {
                of_part(Part::Ledger).any(|ledger| {
                    // One without a recorder is of all of the month.
                    let is_of_them = ledger.recorder == rows.recorder || ledger.recorder.is_empty();
                    ledger.month == rows.month && is_of_them && summed.contains(&ledger.file)
                })
            })
        })
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
            (month.seconds().0 < to_s && month.seconds().1 > from_s).then_some((part, month, entry))
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

    /// Where a file is.
    pub(super) fn path(&self, entry: &Entry) -> PathBuf {
        self.root.join(&entry.file)
    }

    /// Opens a file. Nothing but its length is compared: to hash all would be to read all.
    pub(super) fn table(&self, entry: &Entry, part: Part, spent: &Spent) -> Result<Table, ArchiveError> {
        let path = self.path(entry);
        let opened = match files::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(ArchiveError::Missing { path }),
            opened => opened.map_err(|source| ArchiveError::Io { path: path.clone(), source })?,
        };
        let len = opened.metadata().map_err(|source| ArchiveError::Io { path: path.clone(), source })?.len();
        if len != entry.bytes {
            let form = format!("it has {len} bytes, and its manifest says {}", entry.bytes);
            return Err(ArchiveError::Broken { path, source: Broken::Form(form) });
        }
        Table::counting(opened, part, Arc::clone(spent)).map_err(|source| ArchiveError::Broken { path, source })
    }
}

fn month_of(entry: &Entry) -> Option<Month> {
    entry.month.parse().ok()
}

/// A client, as a ledger has it.
fn end(about: &str) -> Option<Endpoint> {
    let about: serde_json::Value = serde_json::from_str(about).ok()?;
    let mac = about.get("mac").and_then(serde_json::Value::as_str).and_then(crate::question::parse_mac);
    Some(Endpoint { address: about.get("address")?.as_str()?.parse().ok()?, mac })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_ledger_that_sums_them_up_are_no_reason_to_leave_rows_out() {
        let entry = |table: &str, month: &str, recorder: &str, rows: u64| Entry {
            table: table.to_owned(),
            month: month.to_owned(),
            recorder: recorder.to_owned(),
            file: format!("{table}/{month}/{recorder}"),
            rows,
            bytes: 1,
            sha256: String::new(),
            closed: true,
            of: String::new(),
        };
        let files = vec![
            entry("rows", "2026-09", "a", 3),
            entry("ledger", "2026-09", "a", 9),
            entry("rows", "2026-10", "a", 3),
            entry("ledger", "2026-10", "a", 9),
            entry("rows", "2026-10", "b", 3),
            entry("ledger", "2026-10", "b", 9),
            entry("rows", "2026-10", "c", 0),
        ];
        let manifest = Manifest { files, ..Manifest::new(String::new()) };
        let dataset = Dataset { root: PathBuf::new(), manifests: [(PathBuf::new(), manifest)].into() };
        let month = |text: &str| text.parse::<Month>().unwrap().seconds();
        let (september, october) = (month("2026-09"), month("2026-10"));
        let both: BTreeSet<_> = ["ledger/2026-10/a", "ledger/2026-10/b"].map(str::to_owned).into();
        assert!(dataset.is_summed(october, &both));
        assert!(!dataset.is_summed(september, &both));
        assert!(!dataset.is_summed((september.0, october.1), &both));
        let one: BTreeSet<_> = ["ledger/2026-09/a", "ledger/2026-10/a"].map(str::to_owned).into();
        assert!(dataset.is_summed(september, &one));
        assert!(!dataset.is_summed(october, &one));
    }

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
