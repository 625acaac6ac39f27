//! What the ledgers of a month sum up to, over all of its recorders: a small file of a dataset.
//!
//! ```text
//! DIR/summary/month=2026-10/<hash>.parquet
//! ```
//! It has the columns of a ledger. A question that needs neither devices nor single sources reads
//! it instead of the ledgers: of a hundred recorders these hold a hundred thousand sources a month,
//! and what an answer says of them is some lines.

use super::dataset::Entry;
use super::facts::{Each, Facts};
use super::read::{Broken, Pool, Sources, Table};
use super::schema::Part;
use super::write::{self, About, DaySum, Layout, Ledger};
use crate::books::month::{CountRow, Month, MonthRows};
use crate::site::Sites;
use crate::table::units::hex;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;

/// The word for it: its folder, and its table in manifests.
pub(super) const SUMMARY: &str = "summary";

/// Version of what is made of ledgers: another one makes it anew, and reads no other.
const MAKING: &str = "1";

/// What stands for the rows and ledgers of a month that a summary is of.
pub(super) fn of_month(files: &[Entry], month: &str) -> String {
    let of_month = files.iter().filter(|entry| entry.month == month);
    let parts = [Part::Rows.word(), Part::Ledger.word()];
    let hashes: BTreeSet<_> = of_month
        .filter(|entry| parts.contains(&entry.table.as_str()))
        .map(|entry| (&entry.table, &entry.recorder, &entry.sha256))
        .collect();
    let mut of = Sha256::new();
    of.update(MAKING);
    for (table, recorder, sha256) in hashes {
        of.update(format!("\n{table} {recorder} {sha256}"));
    }
    hex(&of.finalize())
}

/// What the ledgers of a month sum up to, while they are read.
pub(super) struct Summary {
    month: Month,
    facts: Facts,
    counts: BTreeMap<(i64, u8, u32), (u64, u64)>,
    sums: BTreeMap<(i64, [u8; 4], String), (u64, u64)>,
    /// Recorders whose ledgers have the sums of their days.
    summed: BTreeSet<String>,
    /// Something was taken out of the books: only a database tells what of it is of a range.
    has_removed: bool,
}

impl Summary {
    /// Of nothing so far.
    pub(super) fn new(month: Month) -> Self {
        let (facts, summed) = (Facts::new(Each::Ends), BTreeSet::new());
        Self { month, facts, counts: BTreeMap::new(), sums: BTreeMap::new(), summed, has_removed: false }
    }

    /// Adds a ledger of a recorder, or of all of them (an empty text).
    ///
    /// # Errors
    /// It is broken.
    pub(super) fn add(&mut self, ledger: &Table, recorder: &str) -> Result<(), Broken> {
        let Self { facts, counts, sums, summed, has_removed, .. } = self;
        let all = (i64::MIN, i64::MAX);
        ledger.facts(&mut |kind, source, about| match kind {
            "sum" => {
                if !summed.contains(recorder) {
                    summed.insert(recorder.to_owned());
                }
            }
            "removed" => *has_removed = true,
            _ => facts.add(kind, source, about),
        })?;
        ledger.counts(all, Sources::LeftOut, &mut Pool::default(), &mut |count: CountRow| {
            let sum = counts.entry((count.bucket_s, count.counter, count.detail)).or_default();
            *sum = (sum.0.saturating_add(count.packets), sum.1.saturating_add(count.bytes));
        })?;
        ledger.day_sums(all, &mut |DaySum { day_s, class, carrier, packets, bytes }| {
            let sum = sums.entry((day_s, class, carrier)).or_default();
            *sum = (sum.0.saturating_add(packets), sum.1.saturating_add(bytes));
        })
    }

    /// Whether it tells all that these files of its month do: not where ledgers are older than the
    /// sums in them.
    pub(super) fn is_whole(&self, files: &[Entry]) -> bool {
        let month = self.month.to_string();
        let rows = files.iter().filter(|entry| entry.table == Part::Rows.word() && entry.month == month);
        let is_summed = |rows: &Entry| self.summed.contains(&rows.recorder) || self.summed.contains("");
        !self.has_removed && rows.filter(|rows| rows.rows > 0).all(is_summed)
    }

    /// Writes it; how many rows.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn write(self, database: [u8; 16], out: &File) -> io::Result<u64> {
        let Self { month, facts, counts, sums, .. } = self;
        let count = |((bucket_s, counter, detail), (packets, bytes))| CountRow {
            bucket_s,
            source: 0,
            counter,
            detail,
            packets,
            bytes,
        };
        let rows = MonthRows { counts: counts.into_iter().map(count).collect(), ..MonthRows::default() };
        let sum = |((day_s, class, carrier), (packets, bytes))| DaySum { day_s, class, carrier, packets, bytes };
        let sums: Vec<DaySum> = sums.into_iter().map(sum).collect();
        let facts = facts.condensed(month);
        let sites = Sites::new();
        let about = About { database, recorder: database, month, generation: 0, sites: &sites };
        let ledger = Ledger { month: &rows, facts: &facts, sums: &sums };
        let which = (0..rows.counts.len()).collect();
        write::ledger(out, &ledger, which, (&about, Layout::default()))?;
        Ok((rows.counts.len() + facts.len() + sums.len()) as u64)
    }
}
