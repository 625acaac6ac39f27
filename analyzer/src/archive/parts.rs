//! Files of a table written anew: those of several recorders as one or a few large ones, and names
//! as pseudonyms.

use super::export::Place;
use super::mask::Pseudonyms;
use super::merge::merge;
use super::read::{Table, hash_of};
use super::schema::Part;
use super::write::{File, Layout};
use super::{ArchiveError, Broken};
use crate::files;
use crate::table::units::{hex, uuid};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Fewest bytes of a merged file, unless all of the month has fewer: large enough that opening it
/// costs nothing beside reading it.
const PART_BYTES: u64 = 128 << 20;

/// Files that are read at a time: each has a descriptor, and batches of rows in memory. Of more the
/// first ones are merged into one before.
const MAX_MERGED: usize = 128;

/// Version of what is made of files: another one makes them anew.
const MAKING: &str = "1";

/// A file that was written, and has no name yet.
pub(super) struct Made {
    pub(super) path: PathBuf,
    pub(super) number: Option<usize>,
    pub(super) sha256: [u8; 32],
    pub(super) bytes: u64,
    pub(super) rows: u64,
}

/// What stands for a file that is made of these, in this form.
pub(super) fn made_of(mask: Option<&Pseudonyms>, hashes: impl Iterator<Item = [u8; 32]>) -> String {
    let mut of = Sha256::new();
    of.update(MAKING);
    of.update(format!("{:?}", mask.map(Pseudonyms::of)));
    hashes.for_each(|hash| of.update(hash));
    hex(&of.finalize())
}

/// Writes all rows of `members` into files in `folder`. They are large where `place` has a number,
/// which they count up from, else one.
///
/// # Errors
/// A member is broken, or a file cannot be written.
pub(super) fn rewrite(
    (folder, part): (&Path, Part),
    members: &[Table],
    (database, mask): (&str, Option<&Pseudonyms>),
    place: Place<'_>,
) -> Result<Vec<Made>, ArchiveError> {
    let metadata = metadata(members, (database, mask), place);
    // Intermediate ones are masked already.
    let (mut merged, mut rest) = (Vec::new(), members);
    while rest.len() > MAX_MERGED || (!merged.is_empty() && !rest.is_empty()) {
        let (first, others) = rest.split_at(rest.len().min(MAX_MERGED));
        let mut parts = Parts::new(folder, part, (metadata.clone(), None));
        parts.merge(first, mask)?;
        for made in parts.finish()? {
            let opened = files::open(&made.path).map_err(at(&made.path))?;
            // It is there as long as it is open.
            std::fs::remove_file(&made.path).map_err(at(&made.path))?;
            let broken = |source| ArchiveError::Broken { path: made.path.clone(), source };
            merged.push(Table::new(opened, part).map_err(broken)?);
        }
        rest = others;
    }
    let mut parts = Parts::new(folder, part, (metadata, place.number));
    match merged.is_empty() {
        true => parts.merge(rest, mask)?,
        false => parts.merge(&merged, None)?,
    }
    parts.finish()
}

/// What the files say of themselves: as the first member, but for what is said of all.
fn metadata(
    tables: &[Table],
    (database, mask): (&str, Option<&Pseudonyms>),
    place: Place<'_>,
) -> BTreeMap<String, String> {
    let mut abouts = tables.iter().map(Table::about);
    let mut about = abouts.next().unwrap_or_default();
    for other in abouts {
        // Lists of sites of different times: nobody may rely on either.
        about.retain(|key, value| key.starts_with("imon.") && other.get(key) == Some(value) || is_own(key));
    }
    for (key, value) in [
        ("imon.database", database.to_owned()),
        ("imon.recorder", place.recorder.map(uuid).unwrap_or_default()),
        ("imon.generation", "0".to_owned()),
    ] {
        about.insert(key.to_owned(), value);
    }
    if let Some(mask) = mask {
        about.insert("imon.mask".to_owned(), mask.of().what);
        // Sites are pseudonyms: no list made them.
        about.remove("imon.families");
    }
    about
}

/// Whether a key is of the file itself, whatever made it.
fn is_own(key: &str) -> bool {
    ["imon.schema", "imon.table", "imon.month"].contains(&key)
}

/// Files that are being written.
struct Parts<'a> {
    folder: &'a Path,
    part: Part,
    metadata: BTreeMap<String, String>,
    /// The number of the first, where there may be several.
    first: Option<usize>,
    /// Fewest bytes of one.
    part_bytes: u64,
    /// Rows that are still to come.
    left: u64,
    open: Option<(PathBuf, std::fs::File, File<std::fs::File>, u64)>,
    made: Vec<Made>,
}

impl<'a> Parts<'a> {
    fn new(folder: &'a Path, part: Part, (metadata, first): (BTreeMap<String, String>, Option<usize>)) -> Self {
        Self { folder, part, metadata, first, part_bytes: PART_BYTES, left: 0, open: None, made: Vec::new() }
    }

    fn merge(&mut self, tables: &[Table], mask: Option<&Pseudonyms>) -> Result<(), ArchiveError> {
        self.left = tables.iter().map(Table::row_count).sum();
        let part = self.part;
        let change = |batch: RecordBatch| -> Result<RecordBatch, Broken> {
            mask.map_or(Ok(batch.clone()), |mask| mask.batch(part, &batch))
        };
        merge((tables, part), &change, &mut |columns| self.group(columns))
    }

    fn begin(&mut self) -> Result<(), ArchiveError> {
        let path = self.folder.join(format!("{}-made-{}", self.part.word(), self.made.len()));
        _ = std::fs::remove_file(&path);
        let file = files::create_new(&path).map_err(at(&path))?;
        let again = file.try_clone().map_err(at(&path))?;
        // Bloom filters: a site is looked for in files of many recorders.
        let layout = Layout { bloom: true, ..Layout::default() };
        let writer = File::saying(again, self.part, self.metadata.clone().into_iter(), (layout, layout.group_rows))
            .map_err(at(&path))?;
        self.open = Some((path, file, writer, 0));
        Ok(())
    }

    fn group(&mut self, columns: Vec<ArrayRef>) -> Result<(), ArchiveError> {
        if self.open.is_none() {
            self.begin()?;
        }
        let Some((path, _, writer, rows)) = &mut self.open else { return Ok(()) };
        let count = columns.first().map_or(0, |column| column.len()) as u64;
        writer.group(columns).map_err(at(path))?;
        *rows += count;
        self.left = self.left.saturating_sub(count);
        // The last one is large as well: what is left makes one, or stays in this.
        let bytes = writer.len_bytes();
        let left_bytes = u128::from(bytes) * u128::from(self.left) / u128::from((*rows).max(1));
        if self.first.is_some() && bytes >= self.part_bytes && left_bytes > u128::from(self.part_bytes) * 11 / 10 {
            self.end()?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), ArchiveError> {
        let Some((path, mut file, writer, rows)) = self.open.take() else { return Ok(()) };
        let ended = writer.end().and_then(|()| file.sync_all()).and_then(|()| hash_of(&mut file));
        let (sha256, bytes) = ended.map_err(at(&path))?;
        let number = self.first.map(|first| first + self.made.len());
        self.made.push(Made { path, number, sha256, bytes, rows });
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Made>, ArchiveError> {
        // A table without rows is a file as well.
        if self.open.is_none() && self.made.is_empty() {
            self.begin()?;
        }
        self.end()?;
        Ok(self.made)
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> ArchiveError + use<> {
    let path = path.to_owned();
    move |source| ArchiveError::Io { path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::write::{self, About, Fact, Ledger};
    use crate::books::month::{Month, MonthRows};
    use crate::site::Sites;

    #[test]
    fn parts_are_large_and_the_last_one_is_no_smaller() {
        let dir = tempfile::tempdir().unwrap();
        let fact = |i: u8| Fact { kind: "source", at_s: 0, source: vec![i; 16], about: format!("{{\"x\":{i}}}") };
        let facts = [fact(1), fact(2), fact(3)];
        let (month, sites) = (MonthRows::default(), Sites::new());
        let ledger = Ledger { month: &month, facts: &facts, sums: &[] };
        let month = Month::of_second(0).unwrap();
        let about = About { database: [1; 16], recorder: [2; 16], month, generation: 0, sites: &sites };
        let file = tempfile::tempfile().unwrap();
        write::ledger(file.try_clone().unwrap(), &ledger, Vec::new(), (&about, Layout::default())).unwrap();
        let table = Table::new(file, Part::Ledger).unwrap();
        let columns = table.batches(10).unwrap().next().unwrap().unwrap().columns().to_vec();
        let parts = |first: Option<usize>, part_bytes: u64| {
            let mut parts = Parts::new(dir.path(), Part::Ledger, (table.about(), first));
            (parts.part_bytes, parts.left) = (part_bytes, 15);
            (0..5).for_each(|_| parts.group(columns.clone()).unwrap());
            parts.finish().unwrap().iter().map(|made| (made.number, made.rows)).collect::<Vec<_>>()
        };
        assert_eq!(parts(Some(0), 1), (0..5).map(|number| (Some(number), 3)).collect::<Vec<_>>());
        assert_eq!(parts(Some(0), u64::MAX), [(Some(0), 15)]);
        assert_eq!(parts(None, 1), [(None, 15)]);
    }
}
