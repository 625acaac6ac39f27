//! `imon-analyze explain ADDRESS|NAME [FILE…]`: who was told what, which flows there were, which
//! rule decided where they are booked, and what lost.

mod text;
mod told;

use told::{Flows, Told, Wanted};

use super::lines::{Lines, Value};
use super::parties::Parties;
use super::who::Who;
use super::{
    OUT_OF_REACH, Sources, Where, complain, deliver, each_found, found, open_existing_store, owners_told, store_error,
    utc,
};
use crate::attribution::{ASKED_NS, AnswerBook, Attributor, FRESH_NS, HORIZON_NS, KNOWN_NS, Rule, Verdict};
use crate::books::{Books, Host};
use crate::calibration::{Measured, Set, measured};
use crate::cli::{ExplainArgs, Surroundings, names, no_file};
use crate::error::{Error, Outcome, shown};
use crate::files;
use crate::ingest::Overheard;
use crate::question::HostFilter;
use crate::range::{self, Range, Unsaid};
use crate::report::Masker;
use crate::rollup::Roster;
use crate::site::Sites;
use imon_common::flow::Flow;
use imon_common::names::{Name, NameKind};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::Mac;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::HashSet;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;

/// Names that are told, at most: the latest. Flows, at most: those that moved most.
const MOST: usize = 1_000;

/// Around `--at` this much is told.
const AROUND_NS: i64 = 3_600 * NANOS_PER_SECOND;

/// Columns of JSON and CSV. `record`: a `name` that was seen, or a `flow`. Of a name `client` is
/// who was told, `kind` where it was seen; a query has no `address`. `why` is the time between what
/// decided and the flow's beginning in seconds, where one answer did; `instead` are other hosts
/// that the address was known for at that time. `measured_flows` is how many flows of public
/// captures this kind of evidence was measured on, and `measured_right_flows` how many of them were
/// booked on the right site. `device` is the client's, as `flows` has it.
const COLUMNS: [&str; 20] = [
    "record",
    "ts",
    "client",
    "address",
    "name",
    "kind",
    "ttl",
    "chain",
    "paired",
    "bytes",
    "host",
    "site",
    "evidence",
    "rule",
    "asked_before_s",
    "candidates",
    "instead",
    "measured_flows",
    "measured_right_flows",
    "device",
];

/// What is to be explained.
enum Target {
    Address(IpAddr),
    /// A host or a site.
    Name(String),
}

impl Target {
    fn is(&self, host: &Name, sites: &Sites) -> bool {
        match self {
            Self::Address(_) => false,
            Self::Name(name) => host.as_str() == name || sites.of(host.as_str()).name == name,
        }
    }
}

/// A name that was seen for an address, or asked for.
#[derive(Clone)]
struct Seen {
    ts: UnixNanos,
    client: IpAddr,
    mac: Option<Mac>,
    /// None for a query.
    address: Option<IpAddr>,
    name: Name,
    kind: NameKind,
    ttl_s: Option<u32>,
    chain: Vec<Name>,
}

/// A flow, and why it was booked where it was.
struct Booked {
    flow: Flow,
    bytes: u64,
    verdict: Verdict,
}

impl Booked {
    /// Whether the flow was named by this query, as far as addresses tell: a device may ask over
    /// the other protocol.
    fn is_named_by(&self, query: &Seen) -> bool {
        let may_be_its = query.client == self.flow.client || query.client.is_ipv4() != self.flow.client.is_ipv4();
        let is_near = self.flow.start.since(query.ts).saturating_abs() <= ASKED_NS;
        let is_meant = matches!(&self.verdict.host, Host::Name(host) if *host == query.name);
        query.kind == NameKind::DnsQuery
            && self.verdict.rule == Rule::AskedMeanwhile
            && may_be_its
            && is_near
            && is_meant
    }
}

/// Why a flow was booked where it was.
struct Why<'a> {
    /// Seconds from the answer or query that decided to the flow's beginning; negative if it came
    /// later.
    asked_before_s: Option<f64>,
    /// Other hosts that the address was known for around that time, in order.
    instead: Vec<&'a str>,
}

/// Explains.
///
/// # Errors
/// Usage; nothing could be read; writing.
pub(super) fn run(args: &ExplainArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    no_file(&args.target, "what is explained comes first: imon-analyze explain ADDRESS|NAME FILE")?;
    let sites = args.asked.sites()?;
    let filters = args.asked.filters.filters(&around.config)?;
    let zone = range::zone(args.asked.range.zone.as_deref())?;
    let at = args.at.as_deref().map(|text| instant(text, around.now, &zone)).transpose()?;
    let window = match at {
        Some(at) => Some((before(at, AROUND_NS), after(at, AROUND_NS))),
        None => args
            .asked
            .range
            .is_some()
            .then(|| args.asked.range.range(around, Unsaid::Everything))
            .transpose()?
            .map(|range| window_of(&range)),
    };
    let name = names(std::slice::from_ref(&args.target))?.pop().unwrap_or_default();
    let target = name.parse().map_or(Target::Name(name), Target::Address);
    let options = super::read_options(&args.asked.capture)?;
    let (paths, answers, missing) = if args.files.is_empty() {
        stored(args, around, window, &zone)?
    } else {
        (args.files.clone(), AnswerBook::default(), 0)
    };
    let (found, unnamed) = found(&Sources { paths, options: options.clone() })?;
    let asked = Wanted { hosts: HostFilter::new(&filters, &sites), filters: &filters, min_bytes: args.min };
    let at = Where::default();
    let ledger = Flows {
        target: &target,
        sites: &sites,
        window,
        asked,
        at,
        flows: Vec::new(),
        more: 0,
        roster: Roster::default(),
    };
    let addresses = match target {
        Target::Address(address) => HashSet::from([address]),
        Target::Name(_) => HashSet::new(),
    };
    let attributor = Attributor::new(answers, ledger);
    let mut explainer = Overheard { attributor, ear: Told { addresses, ..Told::default() } };
    let outcome = each_found(&found, &options, &mut explainer)?.and_skipped(unnamed);
    let masker = Masker::new(args.asked.mask.mask, &Books::default());
    let parties = Parties { known: &around.config.devices, local: &options.local, masker: &masker, sites: &sites };
    let explanation = Explanation::new((&args.target, &sites), zone, parties, explainer);
    deliver(args.asked.output.output.as_deref(), out, |out| match args.asked.output.format().lines() {
        None => out.write_all(explanation.table().as_bytes()),
        Some(format) => explanation.lines(Lines::new(out, format)),
    })?;
    Ok(owners_told(&sites, outcome.and_skipped(missing)))
}

/// The facts that the store knows around the window, or today, and what is known from before.
fn stored(
    args: &ExplainArgs,
    around: &Surroundings,
    window: Option<(UnixNanos, UnixNanos)>,
    zone: &TimeZone,
) -> Result<(Vec<PathBuf>, AnswerBook, u64), Error> {
    let database = args.asked.store.database(around)?;
    let store = open_existing_store(&database)?;
    let failed = |e| store_error(&database, &e);
    let midnight = || {
        let today = around.now.to_zoned(zone.clone()).start_of_day().map_or(around.now, |day| day.timestamp());
        (nanos(today), nanos(around.now))
    };
    let (from, to) = window.unwrap_or_else(midnight);
    let (from, to) = (before(from, FRESH_NS), after(to, HORIZON_NS));
    let known = store.known_sources().map_err(failed)?;
    let mut missing = 0;
    let (mut paths, mut read) = (Vec::new(), HashSet::new());
    for source in known.iter().filter(|s| s.last >= from && s.first <= to) {
        let path = PathBuf::from(&source.path);
        if files::open(&path).is_ok() {
            paths.push(path);
            read.insert(source.id);
        } else {
            missing += 1;
            let gone = Error::failed(format!("cannot read {}", shown(&source.path)))
                .cause("the facts of this source are gone");
            complain(&if path.exists() { gone.hint(OUT_OF_REACH) } else { gone });
        }
    }
    if paths.is_empty() {
        let nothing = Error::failed("cannot explain anything").cause("the database knows no facts of that time");
        return Err(nothing.hint("--at names another time; FILE arguments explain captures and segments directly"));
    }
    let answers = store.knowledge(&read, before(from, KNOWN_NS), to).map_err(failed)?;
    Ok((paths, answers, missing))
}

/// The first and the last instant of a range.
fn window_of(range: &Range) -> (UnixNanos, UnixNanos) {
    let last = |to: UnixNanos| UnixNanos(to.0.saturating_sub(1));
    (range.from.unwrap_or(UnixNanos(i64::MIN)), range.to.map_or(UnixNanos(i64::MAX), last))
}

/// An instant as people type it: RFC 3339, or a local date and time, or a local time of today.
fn instant(text: &str, now: Timestamp, zone: &TimeZone) -> Result<UnixNanos, Error> {
    let local = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|t| t.timestamp());
    let today = || {
        let time: jiff::civil::Time = text.parse().ok()?;
        let day = now.to_zoned(zone.clone()).date();
        day.to_datetime(time).to_zoned(zone.clone()).ok().map(|t| t.timestamp())
    };
    let found = text.parse::<Timestamp>().ok().or_else(local).or_else(today);
    found.map(nanos).ok_or_else(|| {
        Error::usage(format!("cannot understand the time `{}`", shown(text)))
            .hint("such as 2026-11-22T14:30:00Z, 2026-11-22T14:30 or 14:30")
    })
}

fn nanos(at: Timestamp) -> UnixNanos {
    UnixNanos(i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX))
}

fn before(at: UnixNanos, ns: i64) -> UnixNanos {
    UnixNanos(at.0.saturating_sub(ns))
}

fn after(at: UnixNanos, ns: i64) -> UnixNanos {
    UnixNanos(at.0.saturating_add(ns))
}

/// What is told.
struct Explanation<'a> {
    target: &'a str,
    sites: &'a Sites,
    zone: TimeZone,
    parties: Parties<'a>,
    /// Which device each client is.
    who: Who,
    /// In order of time.
    names: Vec<Seen>,
    more_names: u64,
    /// In order of time.
    flows: Vec<Booked>,
    more_flows: u64,
}

impl<'a> Explanation<'a> {
    fn new(
        (target, sites): (&'a str, &'a Sites),
        zone: TimeZone,
        parties: Parties<'a>,
        explainer: Overheard<Flows<'_>, Told>,
    ) -> Self {
        let Overheard { attributor, mut ear } = explainer;
        let mut ledger = attributor.finish();
        let who = ledger.settle(parties.known);
        ear.settle(&ledger, &who);
        let Told { names, queries, more: more_names, .. } = ear;
        let Flows { mut flows, more: more_flows, .. } = ledger;
        flows.sort_by_key(|booked| (booked.flow.start, booked.flow.number));
        let mut names = Vec::from(names);
        names.extend(queries.into_iter().filter(|query| flows.iter().any(|booked| booked.is_named_by(query))));
        names.sort_by_key(|seen| seen.ts);
        Self { target, sites, zone, parties, who, names, more_names, flows, more_flows }
    }

    /// Why a flow was booked where it was, as far as the names that were heard tell.
    fn why(&self, booked: &Booked) -> Why<'_> {
        let start = booked.flow.start;
        let (from, to) = (before(start, FRESH_NS), after(start, HORIZON_NS));
        let known = || self.names.iter().filter(|seen| seen.address == Some(booked.flow.server));
        let host = booked.verdict.host.to_string();
        let decided = match booked.verdict.rule {
            Rule::Asked => known().rfind(|s| s.name.as_str() == host && s.ts <= start && !s.kind.is_in_flow()),
            Rule::AskedLate => known().find(|s| s.name.as_str() == host && s.ts > start && !s.kind.is_in_flow()),
            Rule::AskedMeanwhile => {
                let queries = self.names.iter().filter(|seen| booked.is_named_by(seen));
                queries.min_by_key(|seen| start.since(seen.ts).saturating_abs())
            }
            _ => None,
        };
        let near = known().filter(|seen| (from..=to).contains(&seen.ts) && seen.name.as_str() != host);
        let mut instead: Vec<&str> = near.map(|seen| seen.name.as_str()).collect();
        instead.sort_unstable();
        instead.dedup();
        let asked_before_s = decided.map(|seen| start.since(seen.ts) as f64 / NANOS_PER_SECOND as f64);
        Why { asked_before_s, instead }
    }

    /// What was asked for, as it is shown.
    fn target(&self) -> String {
        match self.target.parse() {
            Ok(address) => self.parties.address(address),
            Err(_) => {
                let name = self.target.to_ascii_lowercase();
                let what = if self.sites.of(&name).name == name { "site" } else { "host" };
                self.parties.masker.host(what, self.target).into_owned()
            }
        }
    }

    /// Whose an address that is asked about is, for people.
    fn owner(&self) -> Option<String> {
        let address: IpAddr = self.target.parse().ok()?;
        let values = self.parties.owner(Some(address));
        let texts =
            values.into_iter().filter_map(|value| if let Value::Text(text) = value { Some(text) } else { None });
        Some(texts.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    }

    /// The host that a flow is booked on, as it is shown.
    fn booked_on(&self, verdict: &Verdict) -> String {
        self.of(verdict, ("host", verdict.host.to_string()))
    }

    fn of(&self, verdict: &Verdict, text: (&'static str, String)) -> String {
        self.parties.host(verdict.traffic, &verdict.host, text)
    }

    fn lines(&self, mut lines: Lines<'_>) -> std::io::Result<()> {
        let owners = ["network", "country"].into_iter().filter(|_| self.sites.owners().is_some());
        lines.header(&COLUMNS.into_iter().chain(owners).collect::<Vec<_>>());
        let text = |text: &dyn ToString| Value::Text(text.to_string());
        let parties = &self.parties;
        let list = |names: &[Name]| Value::List(names.iter().map(|name| parties.name(name)).collect());
        for seen in &self.names {
            let is_dns = matches!(seen.kind, NameKind::Dns | NameKind::DnsUnpaired);
            let paired = if seen.kind == NameKind::Dns { "yes" } else { "no" };
            let mut values = vec![
                text(&"name"),
                Value::Text(utc(seen.ts)),
                text(&parties.client(seen.client)),
                seen.address.map_or(Value::Null, |address| text(&parties.address(address))),
                text(&parties.name(&seen.name)),
                text(&seen.kind.word()),
                seen.ttl_s.map_or(Value::Null, |ttl| Value::Number(ttl.into())),
                list(&seen.chain),
                if is_dns { text(&paired) } else { Value::Null },
            ];
            values.resize(COLUMNS.len().saturating_sub(1), Value::Null);
            values.push(text(&parties.device(&self.who, seen.client, seen.mac)));
            values.extend(parties.owner(seen.address));
            lines.line(&values);
        }
        for booked in &self.flows {
            let Booked { flow, bytes, verdict } = booked;
            let Why { asked_before_s, instead } = self.why(booked);
            let measured = measured(Set::Public, verdict.evidence);
            let number = |of: fn(Measured) -> u64| measured.map_or(Value::Null, |m| Value::Number(of(m)));
            let mut values = vec![
                text(&"flow"),
                Value::Text(utc(flow.start)),
                text(&parties.client(flow.client)),
                text(&parties.server(verdict.traffic, flow.server)),
                flow.name.as_ref().map_or(Value::Null, |name| text(&parties.name(&name.name))),
                flow.name.as_ref().map_or(Value::Null, |name| text(&name.kind.word())),
                Value::Null,
                Value::Null,
                Value::Null,
                Value::Number(*bytes),
                text(&self.booked_on(verdict)),
                Value::Text(self.of(verdict, ("site", self.sites.of_host(&verdict.host).0))),
                text(&verdict.evidence.word()),
                text(&verdict.rule.word()),
                asked_before_s.map_or(Value::Null, |s| Value::Text(format!("{s:.6}"))),
                list(&verdict.candidates),
                Value::List(instead.iter().map(|name| parties.name(name)).collect()),
                number(|m| m.flows),
                number(|m| m.right_flows),
                text(&parties.device(&self.who, flow.client, flow.client_mac)),
            ];
            values.extend(parties.owner(Some(flow.server)));
            lines.line(&values);
        }
        lines.finish()
    }
}
