//! What a flow's own device was told about its server, before the flow began or at that moment.

use super::{Choice, Rule, Said, after, before, inside, site_of};
use crate::attribution::answers::{AnswerBook, Told};
use crate::attribution::policy::{ANYONES_NS, HORIZON_NS, KNOWN_NS, PROMPT_NS, Policy};
use crate::books::Evidence;
use imon_common::flow::Flow;
use imon_common::names::Name;
use imon_common::time::UnixNanos;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What this device was told for the flow's server before the flow began; `None` also where the
/// flow carries its name. Looked up when a flow begins: later answers cannot push it out.
pub(in crate::attribution) fn asked_before(flow: &Flow, answers: &AnswerBook) -> Option<Choice> {
    if answers.policy().in_flow && inside(flow).is_some() {
        return None;
    }
    let own = |address: &IpAddr| latest(flow, answers.own(flow, *address), Rule::Asked, answers);
    let unasked = |address: &IpAddr| latest(flow, answers.unasked(flow, *address).iter(), Rule::Unasked, answers);
    let addresses = answers.addresses_of(flow);
    addresses.iter().find_map(own).or_else(|| addresses.iter().find_map(unasked))
}

/// A host that explains a flow, and since when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Explained<'a> {
    /// When an answer held the address.
    ts: UnixNanos,
    /// When an answer led from the host to the name of that answer; the same where it is the name
    /// itself.
    led: UnixNanos,
    host: &'a Name,
}

/// The latest of the answers that were fresh when the flow began, with the hosts of other sites
/// among them.
fn latest<'a>(
    flow: &Flow,
    told: impl Iterator<Item = &'a Told<()>>,
    rule: Rule,
    answers: &'a AnswerBook,
) -> Option<Choice> {
    let policy = answers.policy();
    let oldest = if policy.baseline { UnixNanos(i64::MIN) } else { before(flow.start, policy.fresh_ns) };
    let dated = told.filter_map(|told| Some((told.times.latest_in(oldest, flow.start)?, &told.host)));
    let (mut named, mut nobodys) = (Vec::new(), Vec::new());
    for (ts, host) in dated {
        if policy.baseline || !answers.heads.is_infrastructure(host, before(flow.start, KNOWN_NS)) {
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
    let long_held = best.ts < before(flow.start, ANYONES_NS);
    if rule == Rule::Unasked {
        return Some(Choice::new(best.host, evidence, rule));
    }
    let mut candidates: BTreeSet<&Name> = named.iter().map(|one| one.host).collect();
    candidates.extend(nobodys.iter().filter(|(ts, _)| *ts > best.ts).map(|(_, host)| *host));
    // Mostly there is but one.
    if candidates.len() <= 1 || candidates.iter().all(|name| site_of(name) == site_of(best.host)) {
        return Some(Choice { held, long_held, ..Choice::new(best.host, evidence, rule) });
    }
    let candidates = candidates.into_iter().cloned().collect();
    Some(Choice { candidates, held, long_held, ..Choice::new(best.host, Evidence::DnsShared, rule) })
}

/// Names that were told to the flow's device to lead to an infrastructure name, and when last:
/// before `to`, and while what is known of addresses counts.
pub(super) fn own_heads<'a>(
    flow: &Flow,
    target: &Name,
    to: UnixNanos,
    answers: &'a AnswerBook,
) -> impl Iterator<Item = (UnixNanos, &'a Name)> {
    let from = before(flow.start, KNOWN_NS);
    let told = answers.device(flow).flat_map(|asker| answers.heads.of_device(asker, target));
    told.filter_map(move |told| Some((told.times.latest_in(from, to)?, &told.host)))
}

/// What this device was told, before or late. What it asked for, even late, is better than what it
/// was told unasked.
pub(super) fn told_to_device(flow: &Flow, said: &Said, addresses: &[IpAddr], answers: &AnswerBook) -> Option<Choice> {
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

/// A late answer beside one of another site that the device may have held: a query at that moment
/// is the better sign of what the flow is for.
fn rather(late: Choice, held: &Choice) -> Choice {
    let mut candidates: BTreeSet<Name> = held.candidates.iter().cloned().collect();
    candidates.extend([late.host.clone(), held.host.clone()]);
    let host = if late.evidence == Evidence::Infra { held.host.clone() } else { late.host };
    Choice { host, evidence: Evidence::DnsShared, candidates: candidates.into_iter().collect(), ..late }
}

/// The first answer after the flow began, if it came soon enough and the beginning was seen: who
/// was connected already had asked before.
fn told_late<'a>(
    told: impl Iterator<Item = &'a Told<()>>,
    rule: Rule,
    flow: &Flow,
    answers: &AnswerBook,
) -> Option<Choice> {
    let (from, to) = (after(flow.start, 1), late_until(flow, answers.policy()));
    let dated = told.filter_map(|told| Some((told.times.first_in(from, to)?, &told.host)));
    let (_, host) = dated.min()?;
    if !answers.heads.is_infrastructure(host, before(flow.start, KNOWN_NS)) {
        return Some(Choice::new(host, Evidence::DnsLate, rule));
    }
    let head = own_heads(flow, host, to, answers).max();
    Some(match head {
        Some((_, head)) => Choice::new(head, Evidence::DnsLate, Rule::Head),
        None => Choice::new(host, Evidence::Infra, Rule::Infrastructure),
    })
}

/// Until when an answer to the flow's device may come.
pub(super) fn late_until(flow: &Flow, policy: &Policy) -> UnixNanos {
    if flow.begin_seen { after(flow.start, policy.late_ns.min(HORIZON_NS)) } else { flow.start }
}
