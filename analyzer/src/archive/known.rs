//! What is known of a dataset beside its rows: by summaries of months where there are any, else by
//! all ledgers.

use super::dataset::{Dataset, Entry, Manifest, is_in, month_of};
use super::days::DAYS;
use super::door::Need;
use super::facts::{Each, Facts};
use super::read::Spent;
use super::schema::Part;
use super::summary::{self, SUMMARY};
use super::{ArchiveError, Hole};
use crate::books::month::Month;
use crate::books::{Endpoint, Source};
use crate::store::{Snapshot, Store};
use std::collections::BTreeSet;

/// What ledgers know beside rows.
#[derive(Default)]
pub(super) struct Known<'d> {
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
    /// Summaries that stand for ledgers, and the files that they stand for.
    pub(super) summaries: Vec<(Month, &'d Entry)>,
    pub(super) replaced: BTreeSet<String>,
}

/// What is read of ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Summaries where there are some.
    Summaries,
    /// Facts of all sources.
    Facts,
    /// Facts of clients as well, by a database in memory.
    Ends,
}

impl Dataset {
    /// What ledgers know of sources and clients, what all sources are called, and a count of bytes
    /// that are read.
    ///
    /// # Errors
    /// The database in memory that keeps it where devices are asked for. What cannot be read is a
    /// hole.
    pub(super) fn known(&self, need: &Need<'_>) -> Result<Known<'_>, ArchiveError> {
        let wanted = need.wanted();
        let first = match (wanted.endpoints, wanted.sources) {
            (true, _) => From::Ends,
            (false, true) => From::Facts,
            (false, false) => From::Summaries,
        };
        // What was taken out of the books is known in a database only.
        for from in [first, From::Facts, From::Ends] {
            if let Some(known) = self.known_by(need, from)? {
                return Ok(known);
            }
        }
        Ok(Known::default())
    }

    /// The same, by this; `None`: it tells too little.
    fn known_by(&self, need: &Need<'_>, from: From) -> Result<Option<Known<'_>>, ArchiveError> {
        let (mut known, mut is_enough, with_ends) = (Known::default(), true, from == From::Ends);
        let mut facts = Facts::new(if need.wanted().sources { Each::Labels } else { Each::Nothing });
        let mut rest: Vec<(String, Vec<u8>, String)> = Vec::new();
        let mut ends: Vec<Endpoint> = Vec::new();
        if from == From::Summaries {
            self.summaries(&mut known, &mut facts);
        }
        for entry in self.of_part(Part::Ledger).filter(|entry| !known.replaced.contains(&entry.file)) {
            let mut has_sums = false;
            let mut add = |kind: &str, source: &[u8], about: &str| match (kind, with_ends) {
                ("sum", _) => has_sums = true,
                ("end", true) => ends.extend(end(about)),
                (_, true) => rest.push((kind.to_owned(), source.to_vec(), about.to_owned())),
                ("removed", false) => is_enough = false,
                (_, false) => facts.add(kind, source, about),
            };
            if let Err(hole) = self.table(entry, Part::Ledger, &known.spent).and_then(|table| {
                table.facts(&mut add).map_err(|source| ArchiveError::Broken { path: self.path(entry), source })
            }) {
                known.holes.extend(month_of(entry).map(|month| Hole { month, error: hole }));
            }
            if has_sums {
                known.summed.insert(entry.file.clone());
            }
        }
        if !is_enough || (from == From::Summaries && !facts.are_apart()) {
            return Ok(None);
        }
        if !with_ends {
            (known.snapshot, known.labels) = facts.snapshot(need.range);
            return Ok(Some(known));
        }
        let mut store = Store::in_memory()?;
        // Sources come before what is known of them.
        rest.sort_by_key(|(kind, ..)| kind != "source");
        store.adopt_facts(&rest, &ends)?;
        (known.snapshot, known.labels) = (store.snapshot(need.range, &mut |_, _, _| {})?, store.labels()?);
        Ok(Some(known))
    }

    /// Adds what summaries know. One that is not there, or not what its manifest says, stands for
    /// nothing: the files of its month are read. So it is where one of these is gone.
    fn summaries<'d>(&'d self, known: &mut Known<'d>, facts: &mut Facts) {
        for manifest in self.manifests.values() {
            for (month, entry, ledgers) in self.standing(manifest, (SUMMARY, Part::Ledger)) {
                let mut found: Vec<(String, Vec<u8>, String)> = Vec::new();
                let mut add = |kind: &str, source: &[u8], about: &str| {
                    if kind != "sum" {
                        found.push((kind.to_owned(), source.to_vec(), about.to_owned()));
                    }
                };
                let read = self.summary(entry, Part::Ledger, &known.spent);
                if !read.is_ok_and(|table| table.facts(&mut add).is_ok()) {
                    continue;
                }
                found.iter().for_each(|(kind, source, about)| facts.add(kind, source, about));
                known.summaries.push((month, entry));
                for ledger in ledgers {
                    known.replaced.insert(ledger.file.clone());
                    known.summed.insert(ledger.file.clone());
                }
            }
        }
    }

    /// The rows of months by day, for questions that need no more, and the files that they stand
    /// for.
    pub(super) fn days<'d>(
        &'d self,
        seconds: (i64, i64),
        spent: &Spent,
    ) -> (Vec<(Month, &'d Entry)>, BTreeSet<String>) {
        let (mut days, mut replaced) = (Vec::new(), BTreeSet::new());
        for manifest in self.manifests.values() {
            for (month, entry, rows) in self.standing(manifest, (DAYS, Part::Rows)) {
                if is_in(month, seconds) && self.summary(entry, Part::Rows, spent).is_ok() {
                    days.push((month, entry));
                    replaced.extend(rows.into_iter().map(|rows| rows.file.clone()));
                }
            }
        }
        (days, replaced)
    }

    /// Summaries of a manifest that are of the files that it names, and these files, all of which
    /// are there.
    fn standing<'d>(
        &'d self,
        manifest: &'d Manifest,
        (table, part): (&'static str, Part),
    ) -> impl Iterator<Item = (Month, &'d Entry, Vec<&'d Entry>)> {
        manifest.summaries.iter().filter(move |entry| entry.table == table).filter_map(move |entry| {
            let month = month_of(entry)?;
            let of_it = |file: &&Entry| file.table == part.word() && file.month == entry.month;
            let files: Vec<&Entry> = manifest.files.iter().filter(of_it).collect();
            let is_of_them = entry.of == summary::of_month(&manifest.files, &entry.month);
            (is_of_them && files.iter().all(|file| self.has(file))).then_some((month, entry, files))
        })
    }

    /// Whether all rows of these seconds are in the sums of a ledger beside them. Months that were
    /// closed before ledgers had sums are not: there only the rows tell what all bytes are.
    pub(super) fn is_summed(&self, seconds: (i64, i64), summed: &BTreeSet<String>) -> bool {
        let is_in_range = |entry: &Entry| month_of(entry).is_none_or(|month| is_in(month, seconds));
        self.manifests.values().all(|manifest: &Manifest| {
            let of_part = |part: Part| manifest.files.iter().filter(move |entry| entry.table == part.word());
            let ledgers: BTreeSet<(&str, &str)> = of_part(Part::Ledger)
                .filter(|ledger| summed.contains(&ledger.file))
                .map(|ledger| (ledger.month.as_str(), ledger.recorder.as_str()))
                .collect();
            // One without a recorder is of all of the month.
            let has_sums =
                |rows: &Entry| [rows.recorder.as_str(), ""].iter().any(|of| ledgers.contains(&(&rows.month, of)));
            of_part(Part::Rows).filter(|rows| rows.rows > 0 && is_in_range(rows)).all(has_sums)
        })
    }
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
    use std::path::PathBuf;

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
}
