//! `imon-analyze names --summary FILE…`: how many names of each kind, what they name, and why the
//! rest has no name.

use super::lines::{Lines, Value};
use super::{Sources, each_source};
use crate::attribution::{AnswerBook, Attributor, Ledger, Over, blind};
use crate::books::{Blind, Evidence, Traffic};
use crate::error::{Error, Outcome};
use crate::ingest::{Ear, Overheard};
use crate::table::{Field, Shape};
use foldhash::fast::RandomState;
use hashbrown::HashSet;
use imon_common::flow::Flow;
use imon_common::names::{NameKind, NameSeen};
use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

/// Columns, in order. `part` is `evidence` (what flows are named by; with `local` and `served`,
/// each flow in one row), `seen` (names of the local link, which name no flow) or `blind` (why
/// there is no name; `encrypted-dns` and `ech` are in rows of evidence as well). `names` are
/// sightings, `distinct_names` different names; null where the kind is no sighting.
const COLUMNS: [(&str, Shape); 6] = [
    ("part", Shape::Text),
    ("kind", Shape::Text),
    ("names", Shape::Count),
    ("distinct_names", Shape::Count),
    ("flows", Shape::Count),
    ("bytes", Shape::Bytes),
];

/// Different names that are told apart, over all kinds: 16 MiB. Beyond it their number is unknown.
const MAX_DISTINCT: usize = 1_000_000;

/// Prints the summary of all sources together.
///
/// # Errors
/// No source could be read.
pub(super) fn run(sources: &Sources, made_by: Vec<Field>, lines: &mut Lines<'_>) -> Result<Outcome, Error> {
    let attributor = Attributor::new(AnswerBook::default(), Flows::default());
    let mut summary = Overheard { attributor, ear: Names::default() };
    let outcome = each_source(sources, &mut summary)?;
    let (names, flows) = (summary.ear, summary.attributor.finish());
    lines.typed(&COLUMNS, made_by);
    rows(&names, &flows).iter().for_each(|row| lines.line(row));
    Ok(outcome)
}

/// Flows and their bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Amount {
    flows: u64,
    bytes: u64,
}

/// What flows were booked on.
#[derive(Debug, Default)]
struct Flows {
    by_evidence: BTreeMap<Evidence, Amount>,
    by_blind: BTreeMap<Blind, Amount>,
    local: Amount,
    served: Amount,
}

impl Ledger for Flows {
    fn over(&mut self, over: &Over<'_>) {
        let Over { flow, total, verdict, .. } = *over;
        let bytes = total.bytes();
        let booked = match verdict.traffic {
            Traffic::Local => &mut self.local,
            Traffic::Served => &mut self.served,
            Traffic::Visited | Traffic::Transit => self.by_evidence.entry(verdict.evidence).or_default(),
        };
        let blind = blind(flow, verdict).map(|blind| self.by_blind.entry(blind).or_default());
        for amount in std::iter::once(booked).chain(blind) {
            amount.flows += 1;
            amount.bytes = amount.bytes.saturating_add(bytes);
        }
    }
}

/// Names that were seen, by the word for their kind.
#[derive(Debug, Default)]
struct Names {
    seen: BTreeMap<&'static str, u64>,
    distinct: BTreeMap<&'static str, u64>,
    /// Hashes of kind and name; that two of them agree by chance does not happen.
    known: HashSet<u64, RandomState>,
}

impl Ear<Flows> for Names {
    fn name(&mut self, _: &mut Flows, _: &Flow, seen: &NameSeen) {
        let kind = seen.kind.word();
        *self.seen.entry(kind).or_default() += 1;
        let hash = self.known.hasher().hash_one((kind, seen.name.as_str()));
        if self.known.len() < MAX_DISTINCT && self.known.insert(hash) {
            *self.distinct.entry(kind).or_default() += 1;
        }
    }
}

impl Names {
    /// Sightings and different names of a kind.
    fn of(&self, kind: &str) -> [Value; 2] {
        let number = |map: &BTreeMap<&str, u64>| Value::Number(map.get(kind).copied().unwrap_or_default());
        let is_full = self.known.len() >= MAX_DISTINCT;
        [number(&self.seen), if is_full { Value::Null } else { number(&self.distinct) }]
    }
}

fn rows(names: &Names, flows: &Flows) -> Vec<[Value; 6]> {
    let row = |part: &str, kind: &str, [seen, distinct]: [Value; 2], amount: Option<&Amount>| {
        let amount = amount.copied().unwrap_or_default();
        let (flows, bytes) = (Value::Number(amount.flows), Value::Number(amount.bytes));
        [Value::Text(part.to_owned()), Value::Text(kind.to_owned()), seen, distinct, flows, bytes]
    };
    let no_names = || [Value::Null, Value::Null];
    let is_sighting = |kind: &str| NameKind::ALL.iter().any(|k| k.word() == kind);
    let mut rows: Vec<_> = Evidence::ALL
        .into_iter()
        .map(|evidence| {
            let names = if is_sighting(evidence.word()) { names.of(evidence.word()) } else { no_names() };
            row("evidence", evidence.word(), names, flows.by_evidence.get(&evidence))
        })
        .collect();
    rows.push(row("evidence", "local", no_names(), Some(&flows.local)));
    rows.push(row("evidence", "served", no_names(), Some(&flows.served)));
    rows.extend(
        [NameKind::Mdns, NameKind::Llmnr, NameKind::Dhcp, NameKind::DnsQuery, NameKind::DnsEmpty]
            .map(|kind| row("seen", kind.word(), names.of(kind.word()), None)),
    );
    rows.extend(Blind::ALL.map(|blind| row("blind", blind.word(), no_names(), flows.by_blind.get(&blind))));
    rows
}
