//! The rules of attribution: from a flow and what is remembered of answers to where its bytes are booked.
//!
//! A rule sees values only: no clock, no store, no state of the process. In their order; the first that holds wins:
//! 0. [`Rule::Served`]: somebody outside opened the flow to our side; none of the others is about such flows.
//! 1. [`Rule::Inside`]: a name inside the flow.
//! 2. [`Rule::Lookup`]: a lookup by DNS itself. Resolvers are reached by their address; what else is known by a name there
//!    (the same machine's encrypted DNS, say) is other traffic.
//! 3. [`Rule::Asked`]: this device's latest answer for the address before the flow began.
//! 4. [`Rule::AskedLate`]: this device's first answer after it.
//! 5. [`Rule::Unasked`]: as the two above, of answers that nobody was seen to ask for; they may be forged.
//! 6. [`Rule::OuterName`]: the public name of an ECH provider. What others asked for says nothing about this flow:
//!    thousands of sites share such an address.
//! 7. [`Rule::Agreed`]: the site that most of those who were told, or said, a name for the address at that time agree on.
//! 8. [`Rule::Remembered`]: the same for what is older.
//! 9. [`Rule::AskedMeanwhile`]: what this device asked for at the moment at which the flow began, unless the reply tells
//!    other addresses, or none.
//! 10. [`Rule::AskedAgain`]: what it asked for at the beginnings of other flows to the same service.
//! 11. [`Rule::Infrastructure`]: an infrastructure name that nothing is known to lead to.
//! 12. [`Rule::OddName`]: a name inside the flow that is no host name on the Internet.
//! 13. [`Rule::Disagreed`], [`Rule::Nothing`]: the address, as those who know it do not agree, or as nobody does.
//!
//! Where a rule from 3 to 8 finds an infrastructure name (data/infrastructure.txt), the name that leads to it stands for it
//! ([`Rule::Head`]): as the same device was told, else as most of those agree who were told. Without one the next rules come
//! first.
//!
//! An IPv6 address without a name is looked up by the IPv4 address inside it ([`super::translated`]).

use super::answers::{AnswerBook, Asker, REPLY_NS, ServicePort, Told, USED_NS};
use super::policy::{AGAIN, ANYONES_NS, APART_NS, HORIZON_NS, KNOWN_NS, OUTDATED_NS, PROMPT_NS, Policy};
use crate::books::{Evidence, Host, Service, Traffic};
use crate::site::{SiteKind, registrable};
use imon_common::flow::{Flow, FlowName, Scope};
use imon_common::names::{Name, NameKind};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A host whose address a connection was made to may use that connection (RFC 9113 section 9.1.1) if it was asked for
/// at most this long before: browsers ask for the hosts of a page as they meet them.
const COALESCE_BEFORE_NS: i64 = 10 * NANOS_PER_SECOND;

/// A host that gets a connection of its own gets it within this time after its answer, or did so shortly before a
/// further one.
const FOLLOW_NS: i64 = 10 * NANOS_PER_SECOND;

/// When it is looked up what a device asked for while it began a flow: later than a flow that the answer led to.
pub(super) const MEANWHILE_NS: i64 = USED_NS + NANOS_PER_SECOND;

/// When it is known how queries were answered: a reply may come this long after the flow began.
pub(super) const REPLIED_NS: i64 = REPLY_NS + NANOS_PER_SECOND;

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
    /// What this device asked for at the moments at which other flows to the same service began.
    AskedAgain,
    /// A name that leads to the infrastructure name that was asked for.
    Head,
    /// An infrastructure name; what leads to it is not known.
    Infrastructure,
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
            Evidence::Infra => Self::Infrastructure,
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
            Self::AskedAgain => "asked-again",
            Self::Head => "head",
            Self::Infrastructure => "infrastructure",
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
    /// The answer came so long before the flow that the device had the address in a cache.
    held: bool,
    /// It had it for so long that any of the candidates may be meant.
    is_anyones: bool,
}

impl Choice {
    fn new(host: &Name, evidence: Evidence, rule: Rule) -> Self {
        Self { host: host.clone(), evidence, rule, candidates: Vec::new(), held: false, is_anyones: false }
    }
}

/// Why a flow stays on its address, and the hosts that it may be for.
struct Left {
    rule: Rule,
    candidates: Vec<Name>,
}

impl From<Rule> for Left {
    fn from(rule: Rule) -> Self {
        Self { rule, candidates: Vec::new() }
    }
}

impl From<Choice> for Left {
    fn from(Choice { rule, candidates, .. }: Choice) -> Self {
        Self { rule, candidates }
    }
}

/// What this device was told for the flow's server before the flow began; `None` also where the flow carries its name.
/// Looked up when a flow begins: later answers cannot push it out.
pub(super) fn asked_before(flow: &Flow, answers: &AnswerBook) -> Option<Choice> {
    if answers.policy().in_flow && inside(flow).is_some() {
        return None;
    }
    let own = |address: &IpAddr| latest(flow, answers.own(flow, *address), Rule::Asked, answers);
    let unasked = |address: &IpAddr| latest(flow, answers.unasked(flow, *address).iter(), Rule::Unasked, answers);
    let addresses = answers.addresses_of(flow.server);
    addresses.iter().find_map(own).or_else(|| addresses.iter().find_map(unasked))
}

/// A host that explains a flow, and since when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Explained<'a> {
    /// When an answer held the address.
    ts: UnixNanos,
    /// When an answer led from the host to the name of that answer; the same where it is the name itself.
    led: UnixNanos,
    host: &'a Name,
}

/// The latest of the answers that were fresh when the flow began, with the hosts of other sites among them.
fn latest<'a>(
    flow: &Flow,
    told: impl Iterator<Item = &'a Told>,
    rule: Rule,
    answers: &'a AnswerBook,
) -> Option<Choice> {
    let policy = answers.policy();
    let oldest = if policy.baseline { UnixNanos(i64::MIN) } else { before(flow.start, policy.fresh_ns) };
    let dated = told.filter_map(|told| Some((told.times.latest_in(oldest, flow.start)?, &told.host)));
    let (mut named, mut nobodys) = (Vec::new(), Vec::new());
    for (ts, host) in dated {
        if policy.baseline || !answers.heads.is_infrastructure(host) {
            named.push(Explained { ts, led: ts, host });
            continue;
        }
        let earlier = named.len();
        named.extend(own_heads(flow, host, flow.start, answers).map(|(led, host)| Explained { ts, led, host }));
        if named.len() == earlier {
            nobodys.push((ts, host));
        }
    }
    let Some(best) = named.iter().max() else {
        let (_, host) = nobodys.iter().max()?;
        return Some(Choice::new(host, Evidence::Infra, Rule::Infrastructure));
    };
    let rule = if named.iter().any(|one| one.host == best.host && one.led == one.ts) { rule } else { Rule::Head };
    let evidence = if best.led < oldest { Evidence::Known } else { Evidence::Dns };
    let held = best.ts < before(flow.start, PROMPT_NS);
    if rule == Rule::Unasked {
        return Some(Choice::new(best.host, evidence, rule));
    }
    let mut candidates: BTreeSet<&Name> = named.iter().map(|one| one.host).collect();
    candidates.extend(nobodys.iter().filter(|(ts, _)| *ts > best.ts).map(|(_, host)| *host));
    let site = site_of(best.host);
    if candidates.iter().all(|name| site_of(name) == site) {
        return Some(Choice { held, ..Choice::new(best.host, evidence, rule) });
    }
    let candidates = candidates.into_iter().cloned().collect();
    let is_anyones = best.ts < before(flow.start, ANYONES_NS);
    Some(Choice { candidates, held, is_anyones, ..Choice::new(best.host, Evidence::DnsShared, rule) })
}

/// Names that were told to the flow's device to lead to an infrastructure name, and when last: before `to`, and while what is
/// known of addresses counts.
fn own_heads<'a>(
    flow: &Flow,
    target: &Name,
    to: UnixNanos,
    answers: &'a AnswerBook,
) -> impl Iterator<Item = (UnixNanos, &'a Name)> {
    let from = before(flow.start, KNOWN_NS);
    let told = answers.device(flow).flat_map(|asker| answers.heads.of_device(asker, target));
    told.filter_map(move |told| Some((told.times.latest_in(from, to)?, &told.host)))
}

/// What the device said about a flow.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// What [`asked_before`] gave when the flow began.
    pub(super) before: Option<Choice>,
    /// What [`asked_meanwhile`] gave a little later, until it is known how it was answered.
    pub(super) asked: Vec<(UnixNanos, Name)>,
    /// What [`answered_meanwhile`] left of it, if the device sent something in the flow: what strangers open is not what it
    /// asked for.
    pub(super) meanwhile: Option<Choice>,
}

impl Said {
    /// The one host that was asked for while the flow began, if it was one.
    pub(super) fn guessed(&self) -> Option<&Name> {
        self.meanwhile.as_ref().filter(|choice| choice.candidates.is_empty()).map(|choice| &choice.host)
    }
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
        Ok(Choice { host, evidence, rule, candidates, .. }) => {
            Verdict { host: Host::Name(host), evidence, rule, candidates, traffic }
        }
        Err(Left { rule, candidates }) => {
            let host = Host::Address(flow.server);
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
fn choose(flow: &Flow, said: &Said, answers: &AnswerBook) -> Result<Choice, Left> {
    let policy = answers.policy();
    let carried = flow.asked_name().filter(|_| policy.in_flow);
    if flow.server_port == DNS_PORT && carried.is_none() {
        return Err(Rule::Lookup.into());
    }
    let addresses = answers.addresses_of(flow.server);
    let of_device = told_to_device(flow, said, &addresses, answers);
    let (of_device, mut nobodys) = match of_device {
        Some(choice) if choice.evidence == Evidence::Infra => (None, Some(choice)),
        of_device => (of_device, None),
    };
    if let Some(choice) = of_device {
        if !choice.is_anyones || policy.baseline {
            return Ok(choice);
        }
        let preferred = addresses.iter().find_map(|address| preferred(flow, *address, &choice, answers));
        return preferred.ok_or(Left { rule: Rule::Disagreed, ..choice.into() });
    }
    if let Some(FlowName { kind: NameKind::EchOuter, name, .. }) = carried {
        return Ok(Choice::new(name, Evidence::EchOuter, Rule::OuterName));
    }
    // Where the device asked for an infrastructure name itself, names that others were told for the same address are those of
    // other customers, unless they lead to that name.
    if let Some(choice) = nobodys {
        return Ok(agreed_head(flow, &choice.host, answers).unwrap_or(choice));
    }
    let mut left = Rule::Nothing;
    for address in &addresses {
        match others(flow, *address, answers) {
            Ok(choice) if choice.evidence == Evidence::Infra => nobodys = nobodys.or(Some(choice)),
            Ok(choice) => return Ok(choice),
            Err(Rule::Nothing) => {}
            Err(rule) => left = rule,
        }
    }
    if let Some(choice) = nobodys.as_ref().and_then(|choice| agreed_head(flow, &choice.host, answers)) {
        return Ok(choice);
    }
    let guess = || said.meanwhile.clone().or_else(|| asked_again(flow, answers)).or(nobodys);
    let odd = || match carried {
        Some(FlowName { kind, name, .. }) if !is_address(name) => {
            Some(Choice::new(name, Evidence::of_name(*kind), Rule::OddName))
        }
        _ => None,
    };
    guess().or_else(odd).ok_or(left.into())
}

/// What this device was told, before or late. What it asked for, even late, is better than what it was told unasked.
fn told_to_device(flow: &Flow, said: &Said, addresses: &[IpAddr], answers: &AnswerBook) -> Option<Choice> {
    let asked = said.before.as_ref().filter(|choice| choice.rule != Rule::Unasked).cloned();
    let named = asked.clone().filter(|choice| choice.evidence != Evidence::Infra);
    let late = || addresses.iter().find_map(|a| told_late(answers.own(flow, *a), Rule::AskedLate, flow, answers));
    if let Some(held) = named.as_ref().filter(|choice| choice.held && !answers.policy().baseline)
        && let Some(late) = late().filter(|late| site_of(&late.host) != site_of(&held.host))
    {
        return Some(rather(late, held));
    }
    let unasked = || {
        let mut late =
            addresses.iter().map(|a| told_late(answers.unasked(flow, *a).iter(), Rule::Unasked, flow, answers));
        said.before.clone().or_else(|| late.find_map(|choice| choice))
    };
    named.or_else(late).or(asked).or_else(unasked)
}

/// A late answer beside one of another site that the device may have held: a query at that moment is the better sign of what
/// the flow is for.
fn rather(late: Choice, held: &Choice) -> Choice {
    let mut candidates: BTreeSet<Name> = held.candidates.iter().cloned().collect();
    candidates.extend([late.host.clone(), held.host.clone()]);
    let host = if late.evidence == Evidence::Infra { held.host.clone() } else { late.host };
    Choice { host, evidence: Evidence::DnsShared, candidates: candidates.into_iter().collect(), ..late }
}

/// The first answer after the flow began, if it came soon enough and the beginning was seen: who was connected already had
/// asked before.
fn told_late<'a>(
    told: impl Iterator<Item = &'a Told>,
    rule: Rule,
    flow: &Flow,
    answers: &AnswerBook,
) -> Option<Choice> {
    let (from, to) = (after(flow.start, 1), late_until(flow, answers.policy()));
    let dated = told.filter_map(|told| Some((told.times.first_in(from, to)?, &told.host)));
    let (_, host) = dated.min()?;
    if !answers.heads.is_infrastructure(host) {
        return Some(Choice::new(host, Evidence::DnsLate, rule));
    }
    let head = own_heads(flow, host, to, answers).max();
    Some(match head {
        Some((_, head)) => Choice::new(head, Evidence::DnsLate, Rule::Head),
        None => Choice::new(host, Evidence::Infra, Rule::Infrastructure),
    })
}

/// Until when an answer to the flow's device may come.
fn late_until(flow: &Flow, policy: &Policy) -> UnixNanos {
    if flow.begin_seen { after(flow.start, policy.late_ns.min(HORIZON_NS)) } else { flow.start }
}

/// The name that most of those agree on who were told that it leads to an infrastructure name.
fn agreed_head(flow: &Flow, target: &Name, answers: &AnswerBook) -> Option<Choice> {
    let (from, to) = (before(flow.start, KNOWN_NS), after(flow.start, HORIZON_NS));
    let witnesses = witnesses(answers.heads.of_target(target).iter(), from, to, flow.start);
    let host = agreed(&witnesses, prevails)?;
    let fresh = witnesses.iter().any(|w| w.host == host && w.distance_ns <= answers.policy().others_ns);
    Some(Choice::new(host, if fresh { Evidence::DnsOther } else { Evidence::Known }, Rule::Head))
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
        answers.own(flow, flow.server).filter(|told| told.host != *host && unfollowed(told)).map(|told| &told.host).collect();
    if hosts.is_empty() {
        return Vec::new();
    }
    while hosts.len() > MAX_CANDIDATES {
        hosts.pop_last();
    }
    hosts.insert(host);
    hosts.into_iter().cloned().collect()
}

/// The name that those who know an address of the server agree on; an infrastructure name where nobody knows another one.
fn others(flow: &Flow, address: IpAddr, answers: &AnswerBook) -> Result<Choice, Rule> {
    let policy = answers.policy();
    let known = answers.of_address(address);
    if policy.baseline {
        let any_time = |told: &Told| told.times.latest_in(UnixNanos(i64::MIN), flow.start);
        let latest = known.iter().filter_map(|told| Some((any_time(told)?, &told.host))).max();
        return latest.map(|(_, host)| Choice::new(host, Evidence::DnsOther, Rule::Agreed)).ok_or(Rule::Nothing);
    }
    let service = Asker::Flow(ServicePort::of(flow));
    let speaks = |told: &&Told| !matches!(told.asker, Asker::Flow(_)) || told.asker == service;
    let (from, to) = (before(flow.start, policy.others_ns), after(flow.start, policy.others_ns.min(HORIZON_NS)));
    let known = || known.iter().filter(speaks);
    let mut witnesses = self::witnesses(known(), from, to, flow.start);
    // What the device itself asked for long after it began the flow is not what it began it for.
    let late_until = late_until(flow, policy);
    let is_own = |w: &Witness<'_>| {
        let told_then = |told: &Told| told.host == *w.host && told.times.iter().any(|ts| ts == w.ts);
        w.asker == Asker::Address(flow.client) || answers.own(flow, address).any(told_then)
    };
    witnesses.retain(|w| w.ts <= late_until || matches!(w.asker, Asker::Flow(_)) || !is_own(w));
    if !witnesses.is_empty() {
        return agreed_by(&witnesses, answers, |host, askers| {
            let evidence = if askers.contains(&Asker::Address(flow.client)) {
                Evidence::DnsLate
            } else if askers.iter().any(|asker| !matches!(asker, Asker::Flow(_))) {
                Evidence::DnsOther
            } else {
                Evidence::Known
            };
            Choice::new(host, evidence, Rule::Agreed)
        });
    }
    let old = self::witnesses(known(), before(flow.start, KNOWN_NS), from, flow.start);
    let newest = old.iter().map(|w| w.ts).max().ok_or(Rule::Nothing)?;
    let current: Vec<Witness<'_>> = old.into_iter().filter(|w| newest.since(w.ts) <= OUTDATED_NS).collect();
    agreed_by(&current, answers, |host, _| Choice::new(host, Evidence::Known, Rule::Remembered))
}

/// Of the sites that an address was told to the device for, the one that most of those name who were told it.
fn preferred(flow: &Flow, address: IpAddr, held: &Choice, answers: &AnswerBook) -> Option<Choice> {
    let others_ns = answers.policy().others_ns;
    let (from, to) = (before(flow.start, others_ns), after(flow.start, others_ns.min(HORIZON_NS)));
    let told = answers.of_address(address).iter().filter(|told| matches!(told.asker, Asker::Address(_)));
    let witnesses = witnesses(told, from, to, flow.start);
    let site = site_of(agreed(&witnesses, |votes, all| votes * 2 > all)?);
    let host = held.candidates.iter().find(|host| site_of(host) == site)?.clone();
    Some(Choice { host, is_anyones: false, ..held.clone() })
}

/// What `booked` makes of the host that witnesses agree on and of those who name its site. Infrastructure names count only
/// where there are no others.
fn agreed_by(
    witnesses: &[Witness<'_>],
    answers: &AnswerBook,
    booked: impl Fn(&Name, &BTreeSet<Asker>) -> Choice,
) -> Result<Choice, Rule> {
    let is_site = |w: &Witness<'_>| !answers.heads.is_infrastructure(w.host);
    let of_sites: Vec<Witness<'_>> = witnesses.iter().copied().filter(is_site).collect();
    if of_sites.is_empty() {
        let nearest = witnesses.iter().min_by_key(|w| (w.distance_ns, w.host)).ok_or(Rule::Nothing)?;
        return Ok(Choice::new(nearest.host, Evidence::Infra, Rule::Infrastructure));
    }
    let host = agreed(&of_sites, prevails).ok_or(Rule::Disagreed)?;
    let askers = of_sites.iter().filter(|w| site_of(w.host) == site_of(host)).map(|w| w.asker).collect();
    Ok(booked(host, &askers))
}

/// What the device asked for when the flow began, if it began no other flow for it: it kept the address longer than the
/// answer lives, and asked again meanwhile. To be looked up [`MEANWHILE_NS`] after the flow began: then it is known which
/// queries led to flows of their own. Nearest first.
pub(super) fn asked_meanwhile(flow: &Flow, answers: &AnswerBook) -> Vec<(UnixNanos, Name)> {
    let asked_ns = answers.policy().asked_ns;
    if asked_ns == 0 || !flow.is_to_service() || flow.client_port < FIRST_CLIENT_PORT {
        return Vec::new();
    }
    let asked = answers.asked(flow, before(flow.start, asked_ns), after(flow.start, asked_ns));
    let mut asked: Vec<(UnixNanos, Name)> = asked.map(|(ts, host)| (ts, host.clone())).collect();
    asked.sort_unstable_by(|a, b| {
        let distance_ns = |ts: UnixNanos| flow.start.since(ts).saturating_abs();
        (distance_ns(a.0), &a.1).cmp(&(distance_ns(b.0), &b.1))
    });
    asked
}

/// What is left of `asked` once replies can have come, [`REPLIED_NS`] after the flow began: a reply with other addresses, or with
/// none, says that the flow was begun for something else.
pub(super) fn answered_meanwhile(
    flow: &Flow,
    asked: &[(UnixNanos, Name)],
    answers: &AnswerBook,
) -> Option<Choice> {
    let left: Vec<&Name> =
        asked.iter().filter(|(ts, host)| !answers.denies(flow, host, *ts)).map(|(_, host)| host).collect();
    let host = *left.first()?;
    let mut candidates: BTreeSet<&Name> = left.into_iter().collect();
    if candidates.iter().all(|name| site_of(name) == site_of(host)) {
        candidates.clear();
    }
    let candidates = candidates.into_iter().cloned().collect();
    Some(Choice { candidates, ..Choice::new(host, Evidence::DnsAsked, Rule::AskedMeanwhile) })
}

/// What the device asked for at the beginnings of several other flows to the same service, if all were of one site.
fn asked_again(flow: &Flow, answers: &AnswerBook) -> Option<Choice> {
    let policy = answers.policy();
    if policy.asked_ns == 0 || flow.client_port < FIRST_CLIENT_PORT {
        return None;
    }
    // Guesses are made REPLIED_NS after the flow that they are about began; later ones are not there yet.
    let (from, to) = (before(flow.start, policy.fresh_ns), after(flow.start, HORIZON_NS - 2 * REPLIED_NS));
    let mut guesses: Vec<(UnixNanos, &Name)> = answers
        .guesses(flow)
        .filter(|guess| (from..=to).contains(&guess.start))
        .map(|guess| (guess.start, &guess.host))
        .collect();
    guesses.sort_unstable();
    let (_, host) = *guesses.iter().min_by_key(|(start, host)| (flow.start.since(*start).saturating_abs(), *host))?;
    let mut apart = 0;
    let mut last = None;
    for (start, guess) in &guesses {
        if site_of(guess) != site_of(host) {
            return None;
        }
        if last.is_none_or(|last: UnixNanos| start.since(last) >= APART_NS) {
            (apart, last) = (apart + 1, Some(*start));
        }
    }
    (apart >= AGAIN).then(|| Choice::new(host, Evidence::DnsAsked, Rule::AskedAgain))
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
fn witnesses<'a>(
    known: impl Iterator<Item = &'a Told>,
    from: UnixNanos,
    to: UnixNanos,
    start: UnixNanos,
) -> Vec<Witness<'a>> {
    let distance_ns = |ts: &UnixNanos| start.since(*ts).saturating_abs();
    let witness = |told: &'a Told| {
        let ts = told.times.iter().filter(|ts| (from..=to).contains(ts)).min_by_key(distance_ns)?;
        Some(Witness { asker: told.asker, host: &told.host, ts, distance_ns: distance_ns(&ts) })
    };
    let (unasked, good): (Vec<_>, Vec<_>) =
        known.filter_map(witness).partition(|w| matches!(w.asker, Asker::Unasked(_)));
    if good.is_empty() { unasked } else { good }
}

/// Whether a site that `votes` of `all` witnesses name prevails. In synthetic traffic through content networks, a site that
/// more than two thirds of them named was right in 9 of 10 cases, one that at least three and more than half named in 17 of
/// 20, one that fewer named in 7 of 10.
fn prevails(votes: usize, all: usize) -> bool {
    votes * 3 > all * 2 || votes >= 3 && votes * 2 > all
}

/// The host, of the site that enough of the witnesses name, that was told next to the flow's beginning. A name inside a flow is
/// mostly said by one who was told it, too: it counts where no answer names the site.
fn agreed<'a>(witnesses: &[Witness<'a>], enough: fn(usize, usize) -> bool) -> Option<&'a Name> {
    let mut sites: BTreeMap<&str, BTreeSet<Asker>> = BTreeMap::new();
    for witness in witnesses {
        sites.entry(site_of(witness.host)).or_default().insert(witness.asker);
    }
    let votes = |askers: &BTreeSet<Asker>| {
        let told = askers.iter().filter(|asker| !matches!(asker, Asker::Flow(_))).count();
        told.max(1)
    };
    let all: usize = sites.values().map(votes).sum();
    let (site, askers) = sites.into_iter().max_by_key(|(_, askers)| votes(askers))?;
    if !enough(votes(&askers), all) {
        return None;
    }
    let of_site = witnesses.iter().filter(|w| site_of(w.host) == site);
    of_site.min_by_key(|w| (w.distance_ns, w.host)).map(|w| w.host)
}

/// The registrable domain of a name.
fn site_of(name: &Name) -> &str {
    registrable(name.as_str()).name
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
