//! `verify --flows`: single flows with what the rules said and what they carry, so that a rule can
//! be mended.

use super::super::lines::{Lines, Value};
use super::super::utc;
use crate::books::Host;
use crate::cli::Judged as Which;
use crate::score::{FlowKey, Judged, Mark};
use crate::site::Sites;
use crate::table::units::{bytes, thousands};
use imon_common::names::Name;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io;

/// Columns of JSON and CSV. `mark`: what our rules did, `right`, `wrong` (another site) or
/// `unnamed`; `baseline` likewise. `inside` is the name that the flow carries; `candidates` are
/// hosts that our rules named beside `host`.
const COLUMNS: [&str; 18] = [
    "file",
    "start",
    "proto",
    "client",
    "client_port",
    "server",
    "server_port",
    "bytes",
    "mark",
    "evidence",
    "rule",
    "host",
    "site",
    "inside",
    "inside_site",
    "baseline",
    "baseline_host",
    "candidates",
];

/// A flow for the list.
pub(super) struct Listed {
    file: String,
    ours: Judged,
    baseline: Option<Judged>,
    /// The site that our rules booked, and the one inside.
    sites: (String, String),
}

impl Listed {
    fn inside(&self) -> &str {
        self.ours.flow.name.as_ref().map_or("", |inside| inside.name.as_str())
    }
}

/// The flows that are asked for, the largest first. `files` are those of the trial, by their place.
pub(super) fn listed(
    files: &[String],
    (ours, baseline): (Vec<Judged>, Vec<Judged>),
    which: Which,
    sites: &Sites,
) -> Vec<Listed> {
    let mut baseline: HashMap<FlowKey, Judged> = baseline.into_iter().map(|judged| (judged.key(), judged)).collect();
    let listed = ours.into_iter().map(|ours| {
        let baseline = baseline.remove(&ours.key());
        let file = files.get(ours.source).cloned().unwrap_or_default();
        let inside = ours.flow.name.as_ref().map_or("", |inside| inside.name.as_str());
        let sites = (sites.of_host(&ours.host).0, sites.of(inside).name.to_owned());
        Listed { file, ours, baseline, sites }
    });
    let is_right = |judged: &Option<Judged>| judged.as_ref().is_some_and(|judged| judged.mark == Mark::Right);
    let mut listed: Vec<Listed> = listed
        .filter(|one| match which {
            Which::Wrong => one.ours.mark == Mark::Wrong,
            Which::Lost => one.ours.mark != Mark::Right && is_right(&one.baseline),
            Which::Missed => one.ours.mark != Mark::Right,
            Which::All => true,
        })
        .collect();
    listed.sort_by_key(|one| (std::cmp::Reverse(one.ours.bytes), one.ours.key()));
    listed
}

/// One line for each flow.
pub(super) fn lines(flows: &[Listed], mut lines: Lines<'_>) -> io::Result<()> {
    lines.header(&COLUMNS);
    let text = |text: &dyn ToString| Value::Text(text.to_string());
    let host = |host: &Host| match host {
        Host::Name(name) => Value::Text(name.to_string()),
        Host::Address(_) | Host::Service(_) => Value::Null,
    };
    for one in flows {
        let Judged { flow, bytes, mark, evidence, rule, candidates, .. } = &one.ours;
        let base = one.baseline.as_ref();
        let values = [
            text(&one.file),
            Value::Text(utc(flow.start)),
            Value::Number(flow.proto.into()),
            text(&flow.client),
            Value::Number(flow.client_port.into()),
            text(&flow.server),
            Value::Number(flow.server_port.into()),
            Value::Number(*bytes),
            text(&mark.word()),
            text(&evidence.word()),
            text(&rule.word()),
            host(&one.ours.host),
            text(&one.sites.0),
            text(&one.inside()),
            text(&one.sites.1),
            base.map_or(Value::Null, |judged| text(&judged.mark.word())),
            base.map_or(Value::Null, |judged| host(&judged.host)),
            Value::List(candidates.iter().map(Name::to_string).collect()),
        ];
        lines.line(&values);
        if lines.has_failed() {
            break;
        }
    }
    lines.finish()
}

/// The same for people: by file, the largest flow first.
pub(super) fn table(flows: &[Listed]) -> String {
    let mut by_file: BTreeMap<&str, Vec<&Listed>> = BTreeMap::new();
    flows.iter().for_each(|one| by_file.entry(&one.file).or_default().push(one));
    let mut text = format!("{} flows\n", thousands(u64::try_from(flows.len()).unwrap_or(u64::MAX)));
    for (file, flows) in by_file {
        _ = writeln!(text, "\n{file}");
        for one in flows {
            let Judged { flow, mark, evidence, rule, host, .. } = &one.ours;
            let (moved, kind, rule) = (bytes(one.ours.bytes), evidence.word(), rule.word());
            let to = format!("{} -> {} port {}", flow.client, flow.server, flow.server_port);
            _ = writeln!(text, "{moved:>10}  {:<7} {kind:<10} {rule:<15} {host}", mark.word());
            let base =
                one.baseline.as_ref().map_or(String::new(), |b| format!("; baseline {}: {}", b.mark.word(), b.host));
            _ = writeln!(text, "{:12}inside {}  {to} at {}{base}", "", one.inside(), utc(flow.start));
        }
    }
    text
}
