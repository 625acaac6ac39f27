//! What others were told, or showed inside flows, about a server: it counts where enough of them
//! agree on the site.

use super::own::late_until;
use super::{Choice, MAX_CANDIDATES, Rule, after, before, site_of};
use crate::attribution::answers::{AnswerBook, Asker, ServicePort, Told};
use crate::attribution::policy::{HORIZON_NS, KNOWN_NS, OUTDATED_NS};
use crate::books::Evidence;
use imon_common::flow::Flow;
use imon_common::names::Name;
use imon_common::time::UnixNanos;
use imon_common::work;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The name that most of those agree on who were told that it leads to an infrastructure name.
pub(super) fn agreed_head(flow: &Flow, target: &Name, answers: &AnswerBook) -> Option<Choice> {
    let (from, to) = (before(flow.start, KNOWN_NS), after(flow.start, HORIZON_NS));
    let witnesses = witnesses(answers.heads.of_target(target).iter(), from, to, flow.start);
    let host = agreed(&witnesses, prevails)?;
    let fresh = witnesses.iter().any(|w| w.host == host && w.distance_ns <= answers.policy().others_ns);
    Some(Choice::new(host, if fresh { Evidence::DnsOther } else { Evidence::Known }, Rule::Head))
}

/// The name that those who know an address of the server agree on; an infrastructure name where
/// nobody knows another one.
pub(super) fn others(flow: &Flow, address: IpAddr, answers: &AnswerBook) -> Result<Choice, Rule> {
    let policy = answers.policy();
    let known = answers.of_address(address);
    work::steps(known.len());
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
    // What its address was told while it was another device's it was not told.
    let given_on = answers.given_on(flow);
    let is_of_client = |w: &Witness<'_>| w.asker == Asker::Address(flow.client) && given_on.is_none_or(|at| w.ts > at);
    let is_own = |w: &Witness<'_>| {
        let told_then = |told: &Told<()>| told.host == *w.host && told.times.iter().any(|ts| ts == w.ts);
        is_of_client(w) || answers.own(flow, address).any(told_then)
    };
    witnesses.retain(|w| w.ts <= late_until || matches!(w.asker, Asker::Flow(_)) || !is_own(w));
    if !witnesses.is_empty() {
        return agreed_by((flow, &witnesses), answers, |host, askers| {
            let is_late = askers.contains(&Asker::Address(flow.client)) && witnesses.iter().any(is_of_client);
            let evidence = if is_late {
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
    agreed_by((flow, &current), answers, |host, _| Choice::new(host, Evidence::Known, Rule::Remembered))
}

/// Of the sites that an address was told to the device for, the one that most of those name who
/// were told it.
pub(super) fn preferred(flow: &Flow, address: IpAddr, held: &Choice, answers: &AnswerBook) -> Option<Choice> {
    let others_ns = answers.policy().others_ns;
    let (from, to) = (before(flow.start, others_ns), after(flow.start, others_ns.min(HORIZON_NS)));
    let told = answers.of_address(address).iter().filter(|told| matches!(told.asker, Asker::Address(_)));
    let witnesses = witnesses(told, from, to, flow.start);
    let site = site_of(agreed(&witnesses, |votes, all| votes * 2 > all)?);
    let host = held.candidates.iter().find(|host| site_of(host) == site)?.clone();
    Some(Choice { host, ..held.clone() })
}

/// The same choice, as one of several where others were told names of other sites for an address
/// that the device held for long: then it may have been told them, too, before anybody listened or
/// by a way that is not seen. In synthetic traffic such a choice is right in 9 of 10 cases, and one
/// that nobody contradicts in 99 of 100.
pub(super) fn doubted(flow: &Flow, addresses: &[IpAddr], held: Choice, answers: &AnswerBook) -> Choice {
    let others_ns = answers.policy().others_ns;
    let (from, to) = (before(flow.start, others_ns), after(flow.start, others_ns.min(HORIZON_NS)));
    let site = site_of(&held.host);
    let contradicts = |told: &&Told| {
        matches!(told.asker, Asker::Address(_))
            && site_of(&told.host) != site
            && told.times.iter().any(|ts| (from..=to).contains(&ts))
            && !answers.heads.is_infrastructure(&told.host, before(flow.start, KNOWN_NS))
    };
    let told = addresses.iter().flat_map(|address| answers.of_address(*address));
    let mut candidates: BTreeSet<&Name> = told.filter(contradicts).map(|told| &told.host).collect();
    if candidates.is_empty() {
        return held;
    }
    while candidates.len() >= MAX_CANDIDATES {
        candidates.pop_last();
    }
    candidates.insert(&held.host);
    let candidates = candidates.into_iter().cloned().collect();
    Choice { evidence: Evidence::DnsShared, candidates, ..held }
}

/// What `booked` makes of the host that witnesses agree on and of those who name its site.
/// Infrastructure names count only where there are no others; where nothing says that the site
/// leads to one, it takes two to name it.
fn agreed_by(
    (flow, witnesses): (&Flow, &[Witness<'_>]),
    answers: &AnswerBook,
    booked: impl Fn(&Name, &BTreeSet<Asker>) -> Choice,
) -> Result<Choice, Rule> {
    let is_site = |w: &Witness<'_>| !answers.heads.is_infrastructure(w.host, before(flow.start, KNOWN_NS));
    let of_sites: Vec<Witness<'_>> = witnesses.iter().copied().filter(is_site).collect();
    if of_sites.is_empty() {
        let nearest = witnesses.iter().min_by_key(|w| (w.distance_ns, w.host)).ok_or(Rule::Nothing)?;
        return Ok(Choice::new(nearest.host, Evidence::Infra, Rule::Infrastructure));
    }
    let host = agreed(&of_sites, prevails).ok_or(Rule::Disagreed)?;
    let since = before(flow.start, KNOWN_NS);
    let leads = |target: &Name| {
        let mut told = answers.heads.of_target(target).iter().filter(|told| told.times.latest() >= since);
        told.any(|told| site_of(&told.host) == site_of(host))
    };
    let is_contested = witnesses.iter().any(|w| !is_site(w) && !leads(w.host));
    let askers: BTreeSet<Asker> =
        of_sites.iter().filter(|w| site_of(w.host) == site_of(host)).map(|w| w.asker).collect();
    if is_contested && askers.len() < 2 {
        return Err(Rule::Disagreed);
    }
    Ok(booked(host, &askers))
}

/// Somebody who knows a name for an address, and the time next to the flow's beginning at which it
/// was told or said.
#[derive(Debug, Clone, Copy)]
struct Witness<'a> {
    asker: Asker,
    host: &'a Name,
    ts: UnixNanos,
    /// How far that is from the flow's beginning.
    distance_ns: i64,
}

/// The witnesses of `from..=to`. Answers that nobody was seen to ask for count only where there are
/// no others.
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

/// Whether a site that `votes` of `all` witnesses name prevails. In synthetic traffic through
/// content networks, a site that more than two thirds of them named was right in 9 of 10 cases, one
/// that at least three and more than half named in 17 of 20, one that fewer named in 7 of 10.
fn prevails(votes: usize, all: usize) -> bool {
    votes * 3 > all * 2 || votes >= 3 && votes * 2 > all
}

/// The host, of the site that enough of the witnesses name, that was told next to the flow's
/// beginning. A name inside a flow is mostly said by one who was told it, too: it counts where no
/// answer names the site.
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
