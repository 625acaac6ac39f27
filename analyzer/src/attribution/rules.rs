//! The rules of attribution: from a flow and what is remembered of answers to where its bytes are booked.
//!
//! A rule sees values only: no clock, no store, no state of the process. In their order; the first that holds wins:
//! 0. [`Rule::Served`]: somebody outside opened the flow to our side; none of the others is about such flows.
//! 1. [`Rule::Inside`]: a name inside the flow.
//! 2. [`Rule::Asked`]: this device's latest answer for the address before the flow began.
//! 3. [`Rule::AskedLate`]: this device's first answer after it.
//! 4. [`Rule::Unasked`]: as the two above, of answers that nobody was seen to ask for; they may be forged.
//! 5. [`Rule::OuterName`]: the public name of an ECH provider. What others asked for says nothing about this flow:
//!    thousands of sites share such an address.
//! 6. [`Rule::Lookup`]: a lookup by DNS itself. Resolvers are reached by their address; what else is known by a name there
//!    (the same machine's encrypted DNS, say) is other traffic.
//! 7. [`Rule::Agreed`]: the site that most of those who were told, or said, a name for the address at that time agree on.
//! 8. [`Rule::Remembered`]: the same for what is older.
//! 9. [`Rule::AskedMeanwhile`]: what this device asked for at the moment at which the flow began, where the answer, if one
//!    was seen, held other addresses.
//! 10. [`Rule::OddName`]: a name inside the flow that is no host name on the Internet.
//! 11. [`Rule::Disagreed`], [`Rule::Nothing`]: the address, as those who know it do not agree, or as nobody does.

use super::answers::{AnswerBook, Asker, Told, USED_NS};
use super::policy::{HORIZON_NS, KNOWN_NS, OUTDATED_NS, Policy, SHARED_NS};
use crate::books::{Evidence, Host, Service, Traffic};
use crate::site::{SiteKind, registrable};
use imon_common::flow::{Flow, FlowName, Scope};
use imon_common::names::{Name, NameKind};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::work;
use std::collections::{BTreeMap, BTreeSet};

/// A host whose address a connection was made to may use that connection (RFC 9113 section 9.1.1) if it was asked for
/// at most this long before: browsers ask for the hosts of a page as they meet them.
const COALESCE_BEFORE_NS: i64 = 10 * NANOS_PER_SECOND;

/// A host that gets a connection of its own gets it within this time after its answer, or did so shortly before a
/// further one.
const FOLLOW_NS: i64 = 10 * NANOS_PER_SECOND;

/// When it is looked up what a device asked for while it began a flow: later than a flow that the answer led to.
pub(super) const MEANWHILE_NS: i64 = USED_NS + NANOS_PER_SECOND;

/// Clients' ports are above those of services: what comes from a service's port to one was opened by a stranger.
const FIRST_CLIENT_PORT: u16 = 1_024;

/// DNS (RFC 1035).
const DNS_PORT: u16 = 53;

/// A flow's last interval is known by its start; this is how long recorders make it unless they are told otherwise.
const INTERVAL_NS: i64 = NANOS_PER_SECOND;

/// Most hosts that a connection is shared with, as candidates: what a page asks of one address in its first seconds.
const MAX_CANDIDATES: usize = 16;

/// The rule that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Somebody outside opened the flow to our side.
    Served,
    /// A name inside the flow.
    Inside,
    /// This device's latest answer before the flow.
    Asked,
    /// This device's first answer after the flow began.
    AskedLate,
    /// An answer to this device that it was not seen to ask for.
    Unasked,
    /// Only the public name of an ECH provider is visible.
    OuterName,
    /// A lookup by DNS: it is nobody's but the resolver's, which is reached by its address.
    Lookup,
    /// Most of those who know the address at that time agree on the site.
    Agreed,
    /// They did earlier.
    Remembered,
    /// What this device asked for at the moment at which the flow began.
    AskedMeanwhile,
    /// A name inside the flow that says less than its address would with a name.
    OddName,
    /// There are names for the address, of several sites, and none of them prevails.
    Disagreed,
    /// Nothing is known of the address.
    Nothing,
}

impl Rule {
    /// The rule that usually gives this evidence, for a verdict of which only that is known.
    pub const fn behind(evidence: Evidence) -> Self {
        match evidence {
            Evidence::Sni | Evidence::Quic | Evidence::Http => Self::Inside,
            Evidence::Dns | Evidence::DnsShared => Self::Asked,
            Evidence::DnsLate => Self::AskedLate,
            Evidence::DnsOther => Self::Agreed,
            Evidence::Known | Evidence::Ptr => Self::Remembered,
            Evidence::EchOuter => Self::OuterName,
            Evidence::DnsAsked => Self::AskedMeanwhile,
            Evidence::None => Self::Nothing,
        }
    }

    /// The word for it in JSON and CSV.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Inside => "inside",
            Self::Asked => "asked",
            Self::AskedLate => "asked-late",
            Self::Unasked => "unasked",
            Self::OuterName => "outer-name",
            Self::Lookup => "lookup",
            Self::Agreed => "agreed",
            Self::Remembered => "remembered",
            Self::AskedMeanwhile => "asked-meanwhile",
            Self::OddName => "odd-name",
            Self::Disagreed => "disagreed",
            Self::Nothing => "nothing",
        }
    }
}

/// Where a flow's bytes were booked, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The host, or the address itself.
    pub host: Host,
    /// The reason.
    pub evidence: Evidence,
    /// The rule that gave it.
    pub rule: Rule,
    /// Hosts that could explain the bytes as well, the booked one included, sorted; empty where none could.
    pub candidates: Vec<Name>,
    /// Which kind of traffic: local if both ends are and the flow names no public site.
    pub traffic: Traffic,
}

/// The name chosen for a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) host: Name,
    evidence: Evidence,
    rule: Rule,
    candidates: Vec<Name>,
}

impl Choice {
    fn new(host: &Name, evidence: Evidence, rule: Rule) -> Self {
        Self { host: host.clone(), evidence, rule, candidates: Vec::new() }
    }
}

/// What this device was told for the flow's server before the flow began; `None` also where the flow carries its name.
/// Looked up when a flow begins: later answers cannot push it out.
pub(super) fn asked_before(flow: &Flow, answers: &AnswerBook) -> Option<Choice> {
    let policy = answers.policy();
    if policy.in_flow && inside(flow).is_some() {
        return None;
    }
    let oldest = if policy.baseline { UnixNanos(i64::MIN) } else { before(flow.start, policy.fresh_ns) };
    let dated = |told: &'_ Told| Some((told.times.latest_in(oldest, flow.start)?, told.host.clone()));
    if let Some((_, host)) = answers.own(flow).filter_map(dated).max() {
        return Some(with_shared(flow, host, answers));
    }
    let (_, host) = answers.unasked(flow).iter().filter_map(dated).max()?;
    Some(Choice::new(&host, Evidence::Dns, Rule::Unasked))
}

/// The latest answer, and the hosts of other sites whose answers were fresh as well.
fn with_shared(flow: &Flow, host: Name, answers: &AnswerBook) -> Choice {
    let fresh = |told: &&Told| told.times.latest_in(before(flow.start, SHARED_NS), flow.start).is_some();
    let mut candidates: BTreeSet<&Name> = answers.own(flow).filter(fresh).map(|told| &told.host).collect();
    candidates.insert(&host);
    let site = registrable(host.as_str()).name;
    if candidates.iter().all(|name| registrable(name.as_str()).name == site) {
        return Choice::new(&host, Evidence::Dns, Rule::Asked);
    }
    let candidates = candidates.into_iter().cloned().collect();
    Choice { evidence: Evidence::DnsShared, candidates, ..Choice::new(&host, Evidence::Dns, Rule::Asked) }
}

/// What the device said about a flow.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// What [`asked_before`] gave when the flow began.
    pub(super) before: Option<Choice>,
    /// What [`asked_meanwhile`] gave a little later, if the device sent something in the flow: what strangers open is not
    /// what it asked for.
    pub(super) meanwhile: Option<Choice>,
}

/// Where the bytes of a flow belong whose last interval began at `last`.
pub(super) fn judge(flow: &Flow, last: UnixNanos, said: &Said, answers: &AnswerBook) -> Verdict {
    if flow.is_inbound() {
        return served(flow, |name| answers.is_own_name(flow.client, name));
    }
    if let Some(verdict) = judge_inside(flow, answers.policy()) {
        return Verdict { candidates: coalesced(flow, &verdict, last, answers), ..verdict };
    }
    let traffic = traffic(flow);
    match choose(flow, said, answers) {
        Ok(Choice { host, evidence, rule, candidates }) => {
            Verdict { host: Host::Name(host), evidence, rule, candidates, traffic }
        }
        Err(rule) => {
            let (host, candidates) = (Host::Address(flow.server), Vec::new());
            Verdict { host, evidence: Evidence::None, rule, candidates, traffic }
        }
    }
}

/// The verdict that a name inside the flow gives by itself.
pub(super) fn judge_inside(flow: &Flow, policy: &Policy) -> Option<Verdict> {
    if flow.is_inbound() {
        return Some(served(flow, |_| false));
    }
    let (name, evidence) = inside(flow).filter(|_| policy.in_flow)?;
    let traffic = if is_public(name) && flow.scope == Scope::Local { Traffic::Visited } else { traffic(flow) };
    Some(Verdict { host: Host::Name(name.clone()), evidence, rule: Rule::Inside, candidates: Vec::new(), traffic })
}

/// Where the bytes belong that somebody outside fetched from our side: on the name that the visitor asked for, if `is_own`
/// (our own side's DNS gives our address for it), else on our address and port. Anybody can ask us for any name.
fn served(flow: &Flow, is_own: impl FnOnce(&Name) -> bool) -> Verdict {
    let Flow { client: address, client_port: port, proto, .. } = *flow;
    let name = flow.name.as_ref().filter(|name| name.from_server && is_own(&name.name));
    let (host, evidence) = match name {
        Some(name) => (Host::Name(name.name.clone()), Evidence::of_name(name.kind)),
        None => (Host::Service(Service { address, port, proto }), Evidence::None),
    };
    Verdict { host, evidence, rule: Rule::Served, candidates: Vec::new(), traffic: Traffic::Served }
}

/// The kind of traffic of a flow that names no site.
fn traffic(flow: &Flow) -> Traffic {
    match flow.scope {
        _ if flow.is_inbound() => Traffic::Served,
        Scope::Remote => Traffic::Visited,
        Scope::Local => Traffic::Local,
        Scope::Transit => Traffic::Transit,
    }
}

/// A name for a flow that carries none and was told none before it began.
pub(super) fn told_later(flow: &Flow, answers: &AnswerBook) -> Option<Name> {
    choose(flow, &Said::default(), answers).ok().map(|choice| choice.host)
}

/// The rules behind a name inside the flow, in their order. An error is the rule that leaves the flow on its address.
fn choose(flow: &Flow, said: &Said, answers: &AnswerBook) -> Result<Choice, Rule> {
    let (policy, asked) = (answers.policy(), said.before.as_ref());
    let carried = flow.asked_name().filter(|_| policy.in_flow);
    // What a device asked for, even late, is better than what it was told unasked.
    let of_device = asked.filter(|choice| choice.rule == Rule::Asked).cloned();
    let of_device = of_device.or_else(|| told_late(answers.own(flow), Rule::AskedLate, flow, policy.late_ns));
    let of_device = of_device.or_else(|| asked.cloned());
    let of_device = of_device.or_else(|| told_late(answers.unasked(flow).iter(), Rule::Unasked, flow, policy.late_ns));
    if let Some(choice) = of_device {
        return Ok(choice);
    }
    if flow.server_port == DNS_PORT && carried.is_none() {
        return Err(Rule::Lookup);
    }
    let others = |flow, answers| others(flow, answers).or_else(|rule| said.meanwhile.clone().ok_or(rule));
    match carried {
        Some(FlowName { kind: NameKind::EchOuter, name, .. }) => {
            Ok(Choice::new(name, Evidence::EchOuter, Rule::OuterName))
        }
        Some(FlowName { kind, name, .. }) if !is_address(name) => {
            others(flow, answers).or_else(|_| Ok(Choice::new(name, Evidence::of_name(*kind), Rule::OddName)))
        }
        _ => others(flow, answers),
    }
}

/// The first answer after the flow began, within `late_ns`.
fn told_late<'a>(told: impl Iterator<Item = &'a Told>, rule: Rule, flow: &Flow, late_ns: i64) -> Option<Choice> {
    let (from, to) = (after(flow.start, 1), after(flow.start, late_ns.min(HORIZON_NS)));
    let dated = told.filter_map(|told| Some((told.times.first_in(from, to)?, &told.host)));
    dated.min().map(|(_, host)| Choice::new(host, Evidence::DnsLate, rule))
}

/// Other hosts of which this device may have used the flow too (RFC 9113 section 9.1.1): it was told the flow's address
/// for them when the flow began or while it was used, and did not open a connection of their own.
fn coalesced(flow: &Flow, verdict: &Verdict, last: UnixNanos, answers: &AnswerBook) -> Vec<Name> {
    let host = match &verdict.host {
        Host::Name(host) if verdict.evidence != Evidence::Http => host,
        _ => return Vec::new(),
    };
    let from = before(flow.start, COALESCE_BEFORE_NS);
    let to = after(last, INTERVAL_NS).min(after(flow.start, HORIZON_NS));
    let unfollowed = |told: &Told| {
        let mut asked = told.times.iter().filter(|ts| (from..=to).contains(ts));
        asked.any(|ts| !answers.opened(flow, &told.host, before(ts, FOLLOW_NS), after(ts, FOLLOW_NS)))
    };
    let mut hosts: BTreeSet<&Name> =
        answers.own(flow).filter(|told| told.host != *host && unfollowed(told)).map(|told| &told.host).collect();
    if hosts.is_empty() {
        return Vec::new();
    }
    while hosts.len() > MAX_CANDIDATES {
        hosts.pop_last();
    }
    hosts.insert(host);
    hosts.into_iter().cloned().collect()
}

/// The name that those who know the server's address agree on.
fn others(flow: &Flow, answers: &AnswerBook) -> Result<Choice, Rule> {
    let policy = answers.policy();
    let known = answers.of_address(flow.server);
    work::steps(known.len());
    if policy.baseline {
        let any_time = |told: &Told| told.times.latest_in(UnixNanos(i64::MIN), flow.start);
        let latest = known.iter().filter_map(|told| Some((any_time(told)?, &told.host))).max();
        return latest.map(|(_, host)| Choice::new(host, Evidence::DnsOther, Rule::Agreed)).ok_or(Rule::Nothing);
    }
    let (from, to) = (before(flow.start, policy.others_ns), after(flow.start, policy.others_ns.min(HORIZON_NS)));
    let witnesses = witnesses(known, from, to, flow.start);
    if !witnesses.is_empty() {
        let host = agreed(&witnesses).ok_or(Rule::Disagreed)?;
        let of_site = |w: &&Witness<'_>| registrable(w.host.as_str()).name == registrable(host.as_str()).name;
        let mut askers = witnesses.iter().filter(of_site).map(|w| w.asker);
        let evidence = if askers.clone().any(|asker| asker == Asker::Address(flow.client)) {
            Evidence::DnsLate
        } else if askers.any(|asker| asker != Asker::Flow) {
            Evidence::DnsOther
        } else {
            Evidence::Known
        };
        return Ok(Choice::new(host, evidence, Rule::Agreed));
    }
    let old = self::witnesses(known, before(flow.start, KNOWN_NS), from, flow.start);
    let newest = old.iter().map(|w| w.ts).max().ok_or(Rule::Nothing)?;
    let current: Vec<Witness<'_>> = old.into_iter().filter(|w| newest.since(w.ts) <= OUTDATED_NS).collect();
    let host = agreed(&current).ok_or(Rule::Disagreed)?;
    Ok(Choice::new(host, Evidence::Known, Rule::Remembered))
}

/// What the device asked for when the flow began, if it began no other flow for it: it kept the address longer than the
/// answer lives, and asked again meanwhile. To be looked up [`MEANWHILE_NS`] after the flow began: then it is known which
/// queries led to flows of their own.
pub(super) fn asked_meanwhile(flow: &Flow, answers: &AnswerBook) -> Option<Choice> {
    let asked_ns = answers.policy().asked_ns;
    if asked_ns == 0 || !flow.is_to_service() || flow.client_port < FIRST_CLIENT_PORT {
        return None;
    }
    let asked = answers.asked(flow, before(flow.start, asked_ns), after(flow.start, asked_ns));
    let mut asked: Vec<(i64, &Name)> = asked.map(|(ts, host)| (flow.start.since(ts).saturating_abs(), host)).collect();
    asked.sort_unstable();
    let (_, host) = asked.first()?;
    let site = registrable(host.as_str()).name;
    let mut candidates: BTreeSet<&Name> = asked.iter().map(|(_, host)| *host).collect();
    if candidates.iter().all(|name| registrable(name.as_str()).name == site) {
        candidates.clear();
    }
    let candidates = candidates.into_iter().cloned().collect();
    Some(Choice { candidates, ..Choice::new(host, Evidence::DnsAsked, Rule::AskedMeanwhile) })
}

/// Somebody who knows a name for an address, and the time next to the flow's beginning at which it was told or said.
#[derive(Debug, Clone, Copy)]
struct Witness<'a> {
    asker: Asker,
    host: &'a Name,
    ts: UnixNanos,
    /// How far that is from the flow's beginning.
    distance_ns: i64,
}

/// The witnesses of `from..=to`. Answers that nobody was seen to ask for count only where there are no others.
fn witnesses(known: &[Told], from: UnixNanos, to: UnixNanos, start: UnixNanos) -> Vec<Witness<'_>> {
    let distance_ns = |ts: &UnixNanos| start.since(*ts).saturating_abs();
    let all = || {
        known.iter().filter_map(|told| {
            let ts = told.times.iter().filter(|ts| (from..=to).contains(ts)).min_by_key(distance_ns)?;
            Some(Witness { asker: told.asker, host: &told.host, ts, distance_ns: distance_ns(&ts) })
        })
    };
    let good: Vec<Witness<'_>> = all().filter(|w| !matches!(w.asker, Asker::Unasked(_))).collect();
    if good.is_empty() { all().collect() } else { good }
}

/// The host, of the site that more than half of the witnesses name, that was told next to the flow's beginning.
fn agreed<'a>(witnesses: &[Witness<'a>]) -> Option<&'a Name> {
    let mut sites: BTreeMap<&str, BTreeSet<Asker>> = BTreeMap::new();
    for witness in witnesses {
        sites.entry(registrable(witness.host.as_str()).name).or_default().insert(witness.asker);
    }
    let all: usize = sites.values().map(BTreeSet::len).sum();
    let (site, askers) = sites.into_iter().max_by_key(|(_, askers)| askers.len())?;
    // In synthetic traffic through content networks, a site that two thirds of them named was right in 9 of 10 cases, one
    // that half to two thirds named in 7, and one that fewer named in 3.
    if askers.len() * 2 <= all {
        return None;
    }
    let of_site = witnesses.iter().filter(|w| registrable(w.host.as_str()).name == site);
    of_site.min_by_key(|w| (w.distance_ns, w.host)).map(|w| w.host)
}

fn before(ts: UnixNanos, ns: i64) -> UnixNanos {
    UnixNanos(ts.0.saturating_sub(ns))
}

fn after(ts: UnixNanos, ns: i64) -> UnixNanos {
    UnixNanos(ts.0.saturating_add(ns))
}

/// A name inside the flow that says more than its address does: an SNI without a dot or that is an address is used only
/// where nothing else is known.
pub(super) fn inside(flow: &Flow) -> Option<(&Name, Evidence)> {
    let FlowName { kind, name, .. } = flow.asked_name()?;
    let usable = *kind != NameKind::EchOuter && name.as_str().contains('.') && !is_address(name);
    usable.then(|| (name, Evidence::of_name(*kind)))
}

/// Whether the flow carries a host name that it is booked on.
pub fn names_itself(flow: &Flow) -> bool {
    inside(flow).is_some()
}

/// Whether a name belongs to a registrable domain.
pub(super) fn is_public(name: &Name) -> bool {
    registrable(name.as_str()).kind == SiteKind::Site
}

/// Whether a name is an address in text.
fn is_address(name: &Name) -> bool {
    registrable(name.as_str()).kind == SiteKind::Address
}
