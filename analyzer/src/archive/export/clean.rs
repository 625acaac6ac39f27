//! What counts no more goes.

use super::{DATABASE, Exporter, Extra};
use crate::archive::folder::named;
use crate::archive::schema::Part;
use crate::archive::summary::SUMMARY;
use crate::files;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

impl Exporter<'_> {
    /// Removes files of this database that count no more: those of the manifest before, and those
    /// of exports that came to nothing.
    pub(super) fn remove_others(&mut self, kept: &HashSet<PathBuf>) -> io::Result<()> {
        let before: HashSet<PathBuf> = self.before.all_files().map(|entry| self.root.join(&entry.file)).collect();
        let tables = Part::ALL.map(Part::word).into_iter().chain(Extra::ALL.map(Extra::word));
        for table in tables.chain([SUMMARY]) {
            for (_, month) in named(&self.root.join(table), "month=")? {
                for (_, folder) in named(&month, "recorder=")? {
                    self.remove_in(&folder, (kept, &before))?;
                    // What is not empty stays.
                    _ = std::fs::remove_dir(&folder);
                }
                self.remove_in(&month, (kept, &before))?;
                _ = std::fs::remove_dir(&month);
            }
        }
        Ok(())
    }

    fn remove_in(&mut self, folder: &Path, (kept, before): (&HashSet<PathBuf>, &HashSet<PathBuf>)) -> io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let is_whole = path.extension().is_some_and(|suffix| suffix == "parquet");
            if kept.contains(&path) || !is_whole || !(before.contains(&path) || self.is_own(&path)) {
                continue;
            }
            self.written.removed += u64::from(std::fs::remove_file(&path).is_ok());
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
