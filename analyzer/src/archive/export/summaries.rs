//! Summaries of each month, of the rows and ledgers that the manifest names: so they are masked
//! where these are.

use super::{Exporter, HASH_DIGITS, at};
use crate::archive::days::{DAYS, Days};
use crate::archive::read::{Broken, Table, hash_of};
use crate::archive::schema::Part;
use crate::archive::summary::{SUMMARY, Summary, of_month};
use crate::archive::{ArchiveError, Entry, Manifest, text};
use crate::books::month::Month;
use crate::files;
use crate::table::units::hex;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;

impl Exporter<'_> {
    /// Adds the summaries of a manifest's months. One that is there and of the same files stays.
    ///
    /// # Errors
    /// It cannot be written. Files that cannot be read have none.
    pub(super) fn sum_up(&mut self, manifest: &mut Manifest) -> Result<(), ArchiveError> {
        let months: BTreeSet<String> = manifest.files.iter().map(|entry| entry.month.clone()).collect();
        for month in months {
            let of = of_month(&manifest.files, &month);
            for table in [SUMMARY, DAYS] {
                let name = format!("{table} {month}");
                if self.before.without_summary.get(&name) == Some(&of) {
                    manifest.without_summary.insert(name, of.clone());
                    continue;
                }
                let is_it = |entry: &&Entry| entry.table == table && entry.month == month && entry.of == of;
                let known = self.before.summaries.iter().find(is_it).cloned();
                let there = known.filter(|entry| self.has(entry));
                let entry = match there {
                    Some(entry) => Some(entry),
                    None => self.summary((table, &month, &of), &manifest.files)?,
                };
                match entry {
                    Some(entry) => manifest.summaries.push(entry),
                    None => _ = manifest.without_summary.insert(name, of.clone()),
                }
            }
        }
        Ok(())
    }

    /// Writes a summary of a month; `None`: there is none.
    fn summary(
        &mut self,
        (table, month, of): (&str, &str, &str),
        files: &[Entry],
    ) -> Result<Option<Entry>, ArchiveError> {
        let (Ok(number), Some(database)) = (month.parse::<Month>(), text::to_uuid(&self.database)) else {
            return Ok(None);
        };
        let beside = self.unfinished();
        let made = files::create_new(&beside).and_then(|mut file| {
            let rows = match table {
                SUMMARY => self.ledgers(number, files).map(|of| of.write(database, &file).map(Some)),
                _ => self.days(number, files).map(|of| of.write(database, &file)),
            };
            let Some(rows) = rows.transpose()?.flatten() else { return Ok(None) };
            file.sync_all()?;
            hash_of(&mut file).map(|(hash, len)| Some((rows, hex(&hash), len)))
        });
        let made = made.and_then(|made| match made {
            Some(_) => Ok(made),
            None => std::fs::remove_file(&beside).map(|()| None),
        });
        let Some((rows, sha256, bytes)) = made.map_err(|error| {
            _ = std::fs::remove_file(&beside);
            at(&beside)(error)
        })?
        else {
            return Ok(None);
        };
        let name: String = sha256.chars().take(HASH_DIGITS).collect();
        let entry = Entry {
            table: table.to_owned(),
            month: month.to_owned(),
            recorder: String::new(),
            file: format!("{SUMMARY}/month={month}/{table}-{name}.parquet"),
            rows,
            bytes,
            sha256,
            closed: false,
            of: of.to_owned(),
        };
        match self.has(&entry) {
            true => std::fs::remove_file(&beside).map_err(at(&beside))?,
            false => self.name(&beside, &entry)?,
        }
        Ok(Some(entry))
    }

    /// The ledgers of a month; `None`: they tell too little, or cannot be read.
    fn ledgers(&self, month: Month, files: &[Entry]) -> Option<Summary> {
        let mut summary = Summary::new(month);
        self.each((Part::Ledger, month), files, |table, entry| summary.add(&table, &entry.recorder).map(|()| true))?;
        summary.is_whole(files).then_some(summary)
    }

    /// The rows of a month by day; `None`: there are too many, or they cannot be read.
    fn days(&self, month: Month, files: &[Entry]) -> Option<Days> {
        let mut days = Days::new(month);
        self.each((Part::Rows, month), files, |table, _| days.add(&table))?;
        Some(days)
    }

    /// Reads the files of a table and month one after the other; `None`: not to the end.
    fn each(
        &self,
        (part, month): (Part, Month),
        files: &[Entry],
        mut read: impl FnMut(Table, &Entry) -> Result<bool, Broken>,
    ) -> Option<()> {
        let month = month.to_string();
        for entry in files.iter().filter(|entry| entry.table == part.word() && entry.month == month) {
            let opened: io::Result<File> = files::open(&self.root.join(&entry.file));
            let table = Table::new(opened.ok()?, part).ok()?;
            if !read(table, entry).ok()? {
                return None;
            }
        }
        Some(())
    }
}
