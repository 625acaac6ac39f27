//! The rows of a month as tables of recorders: what `close` writes beside the database, and
//! `export` into a dataset.

use super::ArchiveError;
use super::schema::Part;
use super::text;
use super::write::{self, About, DaySum, Fact, Labels, Layout, Ledger};
use crate::books::month::{Month, MonthRows, RowSums};
use crate::books::{Blind, Host, Row};
use crate::site::Sites;
use crate::store::Store;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io;

/// Seconds of a day of UTC.
pub(super) const DAY_S: i64 = 86_400;

/// A month, ready to be written.
pub(super) struct Sheets<'a> {
    month: Month,
    rows: &'a MonthRows,
    labels: Labels,
    /// Stands for the database.
    database: [u8; 16],
    recorder_of: Vec<[u8; 16]>,
    sites: Sites,
}

impl<'a> Sheets<'a> {
    /// The sheets of `rows`.
    ///
    /// # Errors
    /// The database.
    pub(super) fn new(store: &Store, month: Month, rows: &'a MonthRows) -> Result<Self, ArchiveError> {
        let (database, recorders, devices) = (store.recorder()?, store.recorders()?, store.devices()?.clients);
        let ends = devices.endpoints.iter().zip(&devices.device_of);
        let of_end: HashMap<_, usize> = ends.map(|(end, device)| (*end, *device as usize)).collect();
        let device = |end: &_| of_end.get(end).copied().unwrap_or(usize::MAX);
        let label = |end: &_| devices.labels.get(device(end)).cloned().unwrap_or_default();
        let name = |end: &_| {
            let name = devices.names.get(device(end)).and_then(Option::as_ref);
            name.map(|name| name.as_str().to_owned()).unwrap_or_default()
        };
        let labels = Labels {
            device: rows.endpoints.iter().map(label).collect(),
            name: rows.endpoints.iter().map(name).collect(),
        };
        let recorder = |source| recorders.get(source).copied().unwrap_or(database);
        let recorder_of = rows.sources.iter().map(recorder).collect();
        Ok(Self { month, rows, labels, database, recorder_of, sites: Sites::new() })
    }

    /// Whose rows there are.
    pub(super) fn recorders(&self) -> BTreeSet<[u8; 16]> {
        self.recorder_of.iter().copied().collect()
    }

    fn is_of(&self, recorder: [u8; 16], source: u32) -> bool {
        self.recorder_of.get(source as usize) == Some(&recorder)
    }

    /// What is known beside the sums of a recorder: its sources, and its clients.
    ///
    /// # Errors
    /// The database.
    pub(super) fn facts(&self, store: &Store, recorder: [u8; 16]) -> Result<Vec<Fact>, ArchiveError> {
        let at_s = self.month.seconds().0;
        let facts = store.month_facts(self.month, recorder)?.into_iter();
        let mut facts: Vec<Fact> =
            facts.map(|fact| Fact { kind: fact.kind, at_s, source: fact.source, about: fact.about }).collect();
        let rows = self.rows.rows.iter().chain(self.rows.parts.iter().map(|part| &part.row));
        let ends: BTreeSet<u32> = rows.filter(|row| self.is_of(recorder, row.source)).map(|row| row.device).collect();
        let mut ends: Vec<_> = ends.iter().filter_map(|end| self.rows.endpoints.get(*end as usize)).collect();
        ends.sort_unstable_by_key(|end| (end.address, end.mac));
        facts.extend(ends.into_iter().map(|end| {
            let about = json!({"address": end.address.to_string(), "mac": end.mac.map(crate::question::mac_text)});
            Fact { kind: "end", at_s, source: Vec::new(), about: about.to_string() }
        }));
        Ok(facts)
    }

    /// What the rows of a recorder sum up to, by days: enough for the ledger of a range of whole
    /// days.
    fn day_sums(&self, recorder: [u8; 16]) -> Vec<DaySum> {
        let mut sums: BTreeMap<(i64, [u8; 4], String), (u64, u64)> = BTreeMap::new();
        for row in self.rows.rows.iter().filter(|row| self.is_of(recorder, row.source)) {
            let host = self.rows.hosts.get(row.host as usize);
            // The ledger names what carries tunnels.
            let carrier = host.filter(|_| row.blind == Some(Blind::Tunnel)).map(text::of_host).unwrap_or_default();
            let sum = sums.entry((row.bucket_s.div_euclid(DAY_S) * DAY_S, class(row, host), carrier)).or_default();
            let [up_bytes, down_bytes, up_packets, down_packets] = row.amounts();
            sum.0 = sum.0.saturating_add(up_packets).saturating_add(down_packets);
            sum.1 = sum.1.saturating_add(up_bytes).saturating_add(down_bytes);
        }
        let sum = |((day_s, class, carrier), (packets, bytes))| DaySum { day_s, class, carrier, packets, bytes };
        sums.into_iter().map(sum).collect()
    }

    /// Writes a table of a recorder.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn write(
        &self,
        (part, recorder): (Part, [u8; 16]),
        facts: &[Fact],
        (generation, layout): (u64, Layout),
        out: &File,
    ) -> io::Result<RowSums> {
        let rows = self.rows;
        let about = About { database: self.database, recorder, month: self.month, generation, sites: &self.sites };
        let which = |is: &dyn Fn(usize) -> bool, len: usize| (0..len).filter(|i| is(*i)).collect::<Vec<_>>();
        let of_row = |row: Option<&Row>| row.is_some_and(|row| self.is_of(recorder, row.source));
        let of_count = |i: usize| rows.counts.get(i).is_some_and(|count| self.is_of(recorder, count.source));
        let how = (&about, layout);
        match part {
            Part::Rows => {
                write::rows(out, (rows, &self.labels), which(&|i| of_row(rows.rows.get(i)), rows.rows.len()), how)
            }
            Part::Pages => {
                let of_part = |i: usize| of_row(rows.parts.get(i).map(|part| &part.row));
                write::parts(out, (rows, &self.labels), which(&of_part, rows.parts.len()), how)
            }
            Part::Ledger => {
                let ledger = Ledger { month: rows, facts, sums: &self.day_sums(recorder) };
                write::ledger(out, &ledger, which(&of_count, rows.counts.len()), how)
            }
        }
    }
}

/// What the ledger tells rows apart by: numbers of evidence, kind of traffic and blind spot, and
/// whether a name stands there.
pub(super) fn class(row: &Row, host: Option<&Host>) -> [u8; 4] {
    let blind = row.blind.map_or(0, |blind| blind.number());
    [row.evidence.number(), row.traffic.number(), blind, matches!(host, Some(Host::Name(_))).into()]
}
