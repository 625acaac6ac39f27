//! `flows --every 15m`: what each flow moved in each quarter of an hour, with all that a report
//! tells rows apart by: whoever sums these lines up gets the report.
//!
//! Which addresses are one device, and what two sources hold both, is known when all was read: so
//! the rows wait in memory, up to [`MAX_ROWS`].

use crate::attribution::{AnswerBook, Attributor, Called, Doubled, Ledger, Overlaps, Places, Share, Verdict, blind};
use crate::books::{Blind, Evidence, Host, Traffic, bucket_of, protocol};
use crate::commands::lines::{Lines, Value};
use crate::commands::parties::with_owners;
use crate::commands::who::Who;
use crate::commands::{Asked, Sources, Where, each_source, utc};
use crate::error::{Error, Outcome};
use crate::question::Key;
use crate::report::{self, Label};
use crate::rollup::{Endpoint, Interner, Roster};
use crate::table::Shape;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use imon_common::flow::Flow;
use imon_common::names::Name;
use imon_common::observe::{Count, Counter, Usage};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::net::IpAddr;

/// Most rows that wait: with about 150 bytes each, some 600 MB. A home has some ten thousand flows
/// a day.
const MAX_ROWS: usize = 4_194_304;

/// Carriers of tunnels kept.
const MAX_CARRIERS: usize = 16_384;

/// Columns, in order. `quarter` is the start of the quarter of an hour, `device`, `device_name`,
/// `site` and `family` are as `report` has them, `named` as its field of that name; `candidates`
/// are hosts that could own the bytes as well, with their sites and families beside them.
const COLUMNS: [(&str, Shape); 27] = [
    ("quarter", Shape::Instant),
    ("proto", Shape::Text),
    ("client", Shape::Text),
    ("client_port", Shape::Count),
    ("server", Shape::Text),
    ("server_port", Shape::Count),
    ("start", Shape::Instant),
    ("device", Shape::Text),
    ("device_name", Shape::Text),
    ("up_bytes", Shape::Bytes),
    ("down_bytes", Shape::Bytes),
    ("up_packets", Shape::Count),
    ("down_packets", Shape::Count),
    ("host", Shape::Text),
    ("site", Shape::Text),
    ("family", Shape::Text),
    ("named", Shape::Flag),
    ("evidence", Shape::Text),
    ("scope", Shape::Text),
    ("blind", Shape::Text),
    ("candidates", Shape::List),
    ("candidate_sites", Shape::List),
    ("candidate_families", Shape::List),
    ("interface", Shape::Text),
    ("vlan", Shape::Count),
    ("source", Shape::Text),
    ("recorder", Shape::Text),
];

/// Prints a line for each flow and quarter of an hour that `asked` takes, by time. Of a flow that
/// gets its name late there are lines of both.
///
/// # Errors
/// The range has ends within quarters of an hour; no source could be read; there are more rows than
/// wait in memory.
pub(in crate::commands) fn run(sources: &Sources, asked: &Asked<'_>, lines: &mut Lines<'_>) -> Result<Outcome, Error> {
    asked.range.clone().in_quarters()?;
    let mut attributor = Attributor::new(AnswerBook::default(), Quarters::new(asked));
    if sources.may_overlap() {
        attributor.look_for_overlaps();
    }
    let outcome = each_source(sources, &mut attributor)?;
    let quarters = attributor.finish();
    if quarters.is_full {
        return Err(Error::failed("cannot list the flows by quarters of an hour")
            .cause(format!("there are more than {MAX_ROWS} rows"))
            .hint("--from and --to, --site, --source and the like ask for fewer"));
    }
    lines.typed(&with_owners(&COLUMNS, asked.sites), asked.made_by());
    quarters.print(lines);
    Ok(outcome)
}

/// What tells flows apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct FlowKey {
    start: UnixNanos,
    proto: u8,
    client: (IpAddr, u16),
    server: (IpAddr, u16),
}

/// What tells rows apart, in the order in which they are printed. Indices are those of
/// [`Quarters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct RowKey {
    bucket_s: i64,
    flow: FlowKey,
    endpoint: u32,
    host: u32,
    evidence: Evidence,
    traffic: Traffic,
    candidates: Option<u32>,
    blind: Option<Blind>,
    source: usize,
    interface: u32,
}

struct Quarters<'a> {
    asked: &'a Asked<'a>,
    at: Where,
    roster: Roster,
    hosts: Interner<Host>,
    candidates: Interner<Vec<Name>>,
    rows: HashMap<RowKey, Usage, RandomState>,
    doubled: HashMap<(RowKey, usize), Usage, RandomState>,
    /// Flows that carry a tunnel, by source and number as far as a counter has it.
    carriers: HashSet<(usize, u32), RandomState>,
    is_full: bool,
}

impl<'a> Quarters<'a> {
    fn new(asked: &'a Asked<'a>) -> Self {
        Self {
            asked,
            at: Where::default(),
            roster: Roster::default(),
            hosts: Interner::default(),
            candidates: Interner::default(),
            rows: HashMap::default(),
            doubled: HashMap::default(),
            carriers: HashSet::default(),
            is_full: false,
        }
    }

    /// The key of what `flow` moved, but for when and where.
    fn key(&mut self, flow: &Flow, source: usize, verdict: &Verdict) -> RowKey {
        let is_carrier = self.carriers.contains(&(source, flow.number as u32));
        let endpoint = Endpoint { address: flow.client, mac: flow.client_mac };
        let set = &verdict.candidates;
        RowKey {
            bucket_s: 0,
            flow: FlowKey {
                start: flow.start,
                proto: flow.proto,
                client: (flow.client, flow.client_port),
                server: (flow.server, flow.server_port),
            },
            endpoint: self.roster.endpoints.index_of(&endpoint),
            host: self.hosts.index_of(&verdict.host),
            evidence: verdict.evidence,
            traffic: verdict.traffic,
            candidates: (!set.is_empty()).then(|| self.candidates.index_of(set)),
            blind: if is_carrier { Some(Blind::Tunnel) } else { blind(flow, verdict) },
            source,
            interface: 0,
        }
    }

    /// Prints all rows that are asked for.
    fn print(self, lines: &mut Lines<'_>) {
        let who = Who::of(self.roster.identities(), self.asked.parties.known, self.asked.filters);
        let recorders = self.asked.recorders;
        let sources: Vec<_> = self.at.seen.sources().cloned().collect();
        let called = report::sources_called(&sources);
        let labels = report::devices_called(&who.books);
        let mut rows: Vec<(&RowKey, &Usage)> = self.rows.iter().collect();
        rows.sort_unstable_by_key(|(key, _)| **key);
        for (key, usage) in rows {
            let Some(Endpoint { address, mac }) = self.roster.endpoints.get(key.endpoint).copied() else { continue };
            let is_asked = who.takes(address, mac);
            if lines.has_failed() || !is_asked || usage.bytes() < self.asked.min_bytes {
                continue;
            }
            let recorder = recorders.called(sources.get(key.source).and_then(|source| source.recorder));
            let origin = [called.get(key.source).cloned().unwrap_or_default(), recorder];
            lines.line(&self.line(
                key,
                *usage,
                (who.device(address, mac).and_then(|device| labels.get(device)), origin),
            ));
        }
    }

    fn line(
        &self,
        key: &RowKey,
        usage: Usage,
        (device, [source, recorder]): (Option<&Label>, [String; 2]),
    ) -> Vec<Value> {
        let sites = self.asked.sites;
        let nobody = || Host::Address(IpAddr::from([0, 0, 0, 0]));
        let host = self.hosts.get(key.host).cloned().unwrap_or_else(nobody);
        let parties = &self.asked.parties;
        let masker = parties.masker;
        let by =
            |of: Key| parties.host(key.traffic, &host, (of.word(), report::called(of, &host, key.evidence, sites)));
        let candidates = key.candidates.and_then(|set| self.candidates.get(set)).map_or(&[][..], Vec::as_slice);
        let of_candidates = |of: Key| {
            let text = |name: &Name| {
                let text = report::called(of, &Host::Name(name.clone()), Evidence::Dns, sites);
                masker.key(of, &text).into_owned()
            };
            Value::List(candidates.iter().map(text).collect())
        };
        let interface = self.at.interfaces.get(key.interface).cloned().unwrap_or_default();
        let is_named = matches!(host, Host::Name(_)) && key.evidence != Evidence::Infra;
        let device_name = device.and_then(|device| device.name.as_ref()).filter(|_| !masker.hides_devices());
        let FlowKey { start, proto, client, server } = key.flow;
        let mut values = vec![
            Value::Text(utc(UnixNanos(key.bucket_s.saturating_mul(NANOS_PER_SECOND)))),
            Value::Text(protocol(proto)),
            Value::Text(parties.client(client.0)),
            Value::Number(client.1.into()),
            Value::Text(parties.server(key.traffic, server.0)),
            Value::Number(server.1.into()),
            Value::Text(utc(start)),
            device.map_or(Value::Null, |device| Value::Text(self.asked.own("device", &device.text))),
            device_name.map_or(Value::Null, |name| Value::Text(name.clone())),
            Value::Number(usage.up_bytes),
            Value::Number(usage.down_bytes),
            Value::Number(usage.up_packets),
            Value::Number(usage.down_packets),
            Value::Text(parties.host(key.traffic, &host, ("host", host.to_string()))),
            Value::Text(by(Key::Site)),
            Value::Text(by(Key::Family)),
            Value::Flag(is_named),
            Value::Text(key.evidence.word().to_owned()),
            Value::Text(key.traffic.word().to_owned()),
            key.blind.map_or(Value::Null, |blind| Value::Text(blind.word().to_owned())),
            Value::List(candidates.iter().map(|name| parties.name(name)).collect()),
            of_candidates(Key::Site),
            of_candidates(Key::Family),
            Value::Text(self.asked.own("interface", interface.label())),
            interface.vlan.map_or(Value::Null, |id| Value::Number(id.into())),
            Value::Text(self.asked.own("source", &source)),
            Value::Text(self.asked.own("recorder", &recorder)),
        ];
        values.extend(parties.owner(Some(server.0)));
        values
    }

    /// Whether a row of this key is asked for, as far as that is known by now.
    fn takes(&mut self, flow: &Flow, source: usize, verdict: &Verdict) -> bool {
        self.asked.takes(&verdict.host, verdict.evidence) && self.at.is_taken(self.asked.filters, source, flow)
    }
}

impl Ledger for Quarters<'_> {
    fn places(&mut self) -> Option<&mut dyn Places> {
        Some(&mut self.at.seen)
    }

    fn interface_of(&mut self, source: usize, flow: &Flow) -> u32 {
        self.at.seen.index_of(source, flow, &mut self.at.interfaces)
    }

    fn book(&mut self, flow: &Flow, shares: &[Share], verdict: &Verdict) {
        for share in shares {
            // Every client takes part in what is one device.
            let key = self.key(flow, share.source(), verdict);
            let at = UnixNanos(share.bucket_s().saturating_mul(NANOS_PER_SECOND));
            if !self.asked.range.contains(at) || !self.takes(flow, share.source(), verdict) {
                continue;
            }
            let key = RowKey { bucket_s: share.bucket_s(), interface: share.interface, ..key };
            if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&key) {
                self.is_full = true;
                continue;
            }
            self.rows.entry(key).or_default().add(share.usage);
        }
    }

    fn doubled(&mut self, flow: &Flow, doubled: &[Doubled], verdict: &Verdict) {
        for Doubled { source, of, interface, interval, usage } in doubled {
            let key = self.key(flow, *source, verdict);
            let key = RowKey { bucket_s: bucket_of(*interval), interface: *interface, ..key };
            if self.doubled.len() < MAX_ROWS && self.rows.contains_key(&key) {
                self.doubled.entry((key, *of)).or_default().add(*usage);
            }
        }
    }

    fn leave_out(&mut self, overlaps: &Overlaps) {
        for ((key, of), doubled) in std::mem::take(&mut self.doubled) {
            let Some(row) = self.rows.get_mut(&key).filter(|_| overlaps.is_overlap(of, key.source)) else { continue };
            row.up_packets = row.up_packets.saturating_sub(doubled.up_packets);
            row.down_packets = row.down_packets.saturating_sub(doubled.down_packets);
            row.up_bytes = row.up_bytes.saturating_sub(doubled.up_bytes);
            row.down_bytes = row.down_bytes.saturating_sub(doubled.down_bytes);
            if *row == Usage::default() {
                self.rows.remove(&key);
            }
        }
    }

    fn counts(&mut self, source: usize, _: UnixNanos, counts: &[Count]) {
        for count in counts {
            if let Counter::Carried(flow) = count.counter
                && self.carriers.len() < MAX_CARRIERS
            {
                self.carriers.insert((source, flow));
            }
        }
    }

    fn called(&mut self, _: usize, called: &Called) {
        self.roster.call(called);
    }
}
