//! The rules of attribution: from a flow and what is remembered of answers to where its bytes are
//! booked.
//!
//! A rule sees values only: no clock, no store, no state of the process. In their order; the first
//! that holds wins:
//! 0. [`Rule::Served`]: somebody outside opened the flow to our side; none of the others is about
//!    such flows.
//! 1. [`Rule::Inside`]: a name inside the flow.
//! 2. [`Rule::Lookup`]: a lookup by DNS itself. Resolvers are reached by their address; what else
//!    is known by a name there (the same machine's encrypted DNS, say) is other traffic.
//! 3. [`Rule::Asked`]: this device's latest answer for the address before the flow began.
//! 4. [`Rule::AskedLate`]: this device's first answer after it.
//! 5. [`Rule::Unasked`]: as the two above, of answers that nobody was seen to ask for; they may be
//!    forged.
//! 6. [`Rule::OuterName`]: the public name of an ECH provider. What others asked for says nothing
//!    about this flow: thousands of sites share such an address.
//! 7. [`Rule::Agreed`]: the site that most of those who were told, or said, a name for the address
//!    at that time agree on.
//! 8. [`Rule::Remembered`]: the same for what is older.
//! 9. [`Rule::AskedMeanwhile`]: what this device asked for at the moment at which the flow began,
//!    unless the reply tells other addresses, or none.
//! 10. [`Rule::AskedAgain`]: what it asked for at the beginnings of other flows to the same
//!     service.
//! 11. [`Rule::Infrastructure`]: an infrastructure name that nothing is known to lead to.
//! 12. [`Rule::OddName`]: a name inside the flow that is no host name on the Internet.
//! 13. [`Rule::Disagreed`], [`Rule::Nothing`]: the address, as those who know it do not agree, or
//!     as nobody does.
//!
//! Where a rule from 3 to 8 finds an infrastructure name (data/infrastructure.txt), the name that
//! leads to it stands for it ([`Rule::Head`]): as the same device was told, else as most of those
//! agree who were told. Without one the next rules come first.
//!
//! An IPv6 address without a name is looked up by the IPv4 address inside it
//! ([`super::translated`]).

mod asked;
mod others;
mod own;

pub(super) use asked::{MEANWHILE_NS, REPLIED_NS, answered_meanwhile, asked_meanwhile};
pub(super) use own::asked_before;

use super::answers::{AnswerBook, Told};
use super::policy::{HORIZON_NS, Policy};
use crate::books::{Evidence, Host, Service, Traffic};
use crate::site::{SiteKind, registrable};
use asked::asked_again;
use imon_common::flow::{Flow, FlowName, Scope};
use imon_common::names::{Name, NameKind};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use others::{agreed_head, doubted, others, preferred};
use own::told_to_device;
use std::collections::BTreeSet;

/// A host whose address a connection was made to may use that connection (RFC 9113 section 9.1.1)
/// if it was asked for at most this long before: browsers ask for the hosts of a page as they meet
/// them.
const COALESCE_BEFORE_NS: i64 = 10 * NANOS_PER_SECOND;

/// A host that gets a connection of its own gets it within this time after its answer, or did so
/// shortly before a further one.
const FOLLOW_NS: i64 = 10 * NANOS_PER_SECOND;

/// DNS (RFC 1035).
const DNS_PORT: u16 = 53;

/// A flow's last interval is known by its start; this is how long recorders make it unless they are
/// told otherwise.
const INTERVAL_NS: i64 = NANOS_PER_SECOND;

/// Most hosts that a connection is shared with, as candidates: what a page asks of one address in
/// its first seconds.
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
    /// Hosts that could explain the bytes as well, the booked one included, sorted; empty where
    /// none could.
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
    candidates: Box<[Name]>,
    /// The answer came so long before the flow that the device had the address in a cache.
    held: bool,
    /// It had it for so long that it may be used for whatever the device was told it for.
    long_held: bool,
}

impl Choice {
    fn new(host: &Name, evidence: Evidence, rule: Rule) -> Self {
        Self { host: host.clone(), evidence, rule, candidates: Box::default(), held: false, long_held: false }
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
        Self { rule, candidates: candidates.into() }
    }
}

/// What the device said about a flow.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// What [`asked_before`] gave when the flow began.
    pub(super) before: Option<Choice>,
    /// What the device asked for while the flow began; mostly nothing.
    pub(super) meanwhile: Option<Box<Meanwhile>>,
}

/// What a device asked for while a flow began.
#[derive(Debug, Clone)]
pub(super) struct Meanwhile {
    /// What [`asked_meanwhile`] gave a little later, until it is known how it was answered.
    pub(super) asked: Vec<(UnixNanos, Name)>,
    /// What [`answered_meanwhile`] left of it, if the device sent something in the flow: what
    /// strangers open is not what it asked for.
    pub(super) answered: Option<Choice>,
}

impl Said {
    /// The one host that was asked for while the flow began, if it was one.
    pub(super) fn guessed(&self) -> Option<&Name> {
        let answered = self.meanwhile.as_ref().and_then(|meanwhile| meanwhile.answered.as_ref());
        answered.filter(|choice| choice.candidates.is_empty()).map(|choice| &choice.host)
    }
}

/// Where the bytes of a flow belong whose last interval began at `last`.
pub(super) fn judge(flow: &Flow, last: UnixNanos, said: &Said, answers: &AnswerBook) -> Verdict {
    if flow.is_inbound() {
        return served(flow, |name| answers.is_own_name(flow, name));
    }
    if let Some(verdict) = judge_inside(flow, answers.policy()) {
        return Verdict { candidates: coalesced(flow, &verdict, last, answers), ..verdict };
    }
    let traffic = traffic(flow);
    match choose(flow, said, answers) {
        Ok(Choice { host, evidence, rule, candidates, .. }) => {
            Verdict { host: Host::Name(host), evidence, rule, candidates: candidates.into(), traffic }
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

/// Where the bytes belong that somebody outside fetched from our side: on the name that the visitor
/// asked for, if `is_own` (our own side's DNS gives our address for it), else on our address and
/// port. Anybody can ask us for any name.
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

/// The rules behind a name inside the flow, in their order. An error is the rule that leaves the
/// flow on its address.
fn choose(flow: &Flow, said: &Said, answers: &AnswerBook) -> Result<Choice, Left> {
    let policy = answers.policy();
    let carried = flow.asked_name().filter(|_| policy.in_flow);
    if flow.server_port == DNS_PORT && carried.is_none() {
        return Err(Rule::Lookup.into());
    }
    let addresses = answers.addresses_of(flow);
    let of_device = told_to_device(flow, said, &addresses, answers);
    let (of_device, mut nobodys) = match of_device {
        Some(choice) if choice.evidence == Evidence::Infra => (None, Some(choice)),
        of_device => (of_device, None),
    };
    if let Some(choice) = of_device {
        if !choice.long_held || policy.baseline {
            return Ok(choice);
        }
        if choice.evidence != Evidence::DnsShared {
            return Ok(doubted(flow, &addresses, choice, answers));
        }
        let preferred = addresses.iter().find_map(|address| preferred(flow, *address, &choice, answers));
        return preferred.ok_or(Left { rule: Rule::Disagreed, ..choice.into() });
    }
    if let Some(FlowName { kind: NameKind::EchOuter, name, .. }) = carried {
        return Ok(Choice::new(name, Evidence::EchOuter, Rule::OuterName));
    }
    // Where the device asked for an infrastructure name itself, names that others were told for the
    // same address are those of other customers, unless they lead to that name.
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
    let answered = || said.meanwhile.as_ref().and_then(|meanwhile| meanwhile.answered.clone());
    let guess = || answered().or_else(|| asked_again(flow, answers)).or(nobodys);
    let odd = || match carried {
        Some(FlowName { kind, name, .. }) if !is_address(name) => {
            Some(Choice::new(name, Evidence::of_name(*kind), Rule::OddName))
        }
        _ => None,
    };
    guess().or_else(odd).ok_or(left.into())
}

/// Other hosts of which this device may have used the flow too (RFC 9113 section 9.1.1): it was
/// told the flow's address for them when the flow began or while it was used, and did not open a
/// connection of their own.
fn coalesced(flow: &Flow, verdict: &Verdict, last: UnixNanos, answers: &AnswerBook) -> Vec<Name> {
    let host = match &verdict.host {
        Host::Name(host) if verdict.evidence != Evidence::Http => host,
        _ => return Vec::new(),
    };
    let from = before(flow.start, COALESCE_BEFORE_NS);
    let to = after(last, INTERVAL_NS).min(after(flow.start, HORIZON_NS));
    let unfollowed = |told: &Told<()>| {
        let mut asked = told.times.iter().filter(|ts| (from..=to).contains(ts));
        asked.any(|ts| !answers.opened(flow, &told.host, before(ts, FOLLOW_NS), after(ts, FOLLOW_NS)))
    };
    let mut hosts: BTreeSet<&Name> = answers
        .own(flow, flow.server)
        .filter(|told| told.host != *host && unfollowed(told))
        .map(|told| &told.host)
        .collect();
    if hosts.is_empty() {
        return Vec::new();
    }
    while hosts.len() > MAX_CANDIDATES {
        hosts.pop_last();
    }
    hosts.insert(host);
    hosts.into_iter().cloned().collect()
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

/// A name inside the flow that says more than its address does: an SNI without a dot or that is an
/// address is used only where nothing else is known.
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
pub(super) fn is_address(name: &Name) -> bool {
    registrable(name.as_str()).kind == SiteKind::Address
}
