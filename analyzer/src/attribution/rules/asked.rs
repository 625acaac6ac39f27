//! What a device asked for at the moment at which it began a flow, and what became of the question.

use super::{Choice, Rule, after, before, site_of};
use crate::attribution::answers::{AnswerBook, REPLY_NS, USED_NS};
use crate::attribution::policy::{AGAIN, APART_NS, HORIZON_NS};
use crate::books::Evidence;
use imon_common::flow::Flow;
use imon_common::names::Name;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::BTreeSet;

/// When it is looked up what a device asked for while it began a flow: later than a flow that the
/// answer led to.
pub(in crate::attribution) const MEANWHILE_NS: i64 = USED_NS + NANOS_PER_SECOND;

/// When it is known how queries were answered: a reply may come this long after the flow began.
pub(in crate::attribution) const REPLIED_NS: i64 = REPLY_NS + NANOS_PER_SECOND;

/// Clients' ports are above those of services: what comes from a service's port to one was opened
/// by a stranger.
const FIRST_CLIENT_PORT: u16 = 1_024;

/// What the device asked for when the flow began, if it began no other flow for it: it kept the
/// address longer than the answer lives, and asked again meanwhile. To be looked up
/// [`MEANWHILE_NS`] after the flow began: then it is known which queries led to flows of their own.
/// Nearest first.
pub(in crate::attribution) fn asked_meanwhile(flow: &Flow, answers: &AnswerBook) -> Vec<(UnixNanos, Name)> {
    let asked_ns = answers.policy().asked_ns;
    if asked_ns == 0 || !flow.is_to_service() || flow.is_inbound() || flow.client_port < FIRST_CLIENT_PORT {
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

/// What is left of `asked` once replies can have come, [`REPLIED_NS`] after the flow began: a reply
/// with other addresses, or with none, says that the flow was begun for something else.
pub(in crate::attribution) fn answered_meanwhile(
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

/// What the device asked for at the beginnings of several other flows to the same service, if all
/// were of one site.
pub(super) fn asked_again(flow: &Flow, answers: &AnswerBook) -> Option<Choice> {
    let policy = answers.policy();
    if policy.asked_ns == 0 || flow.client_port < FIRST_CLIENT_PORT {
        return None;
    }
    // Guesses are made REPLIED_NS after the flow that they are about began; later ones are not
    // there yet.
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
