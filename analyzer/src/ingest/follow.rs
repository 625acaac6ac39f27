//! Flows that go on in sources which are not booked again.
//!
//! A flow is judged once, by what is known around its beginning. Where that changes, its bytes
//! change in every source that it goes on in, however long it lasts: those sources, and no others,
//! are booked again as well.

use super::plan::{Span, locate};
use crate::attribution::{Carried, SILENCE_NS, Settled};
use crate::store::{KnownSource, Store, StoreError};
use imon_common::flow::Flow;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::HashSet;

/// A flow that goes on in a source, as the store has it.
#[derive(Debug)]
struct GoesOn {
    /// The source's row and identity.
    row: i64,
    identity: Vec<u8>,
    carried: Carried,
}

/// Flows that begin in sources which are booked, and go on in others.
#[derive(Debug)]
pub(super) struct Beyond(Vec<GoesOn>);

impl Beyond {
    /// Those that begin in the sources `booked`, of the time `span`. `others` are by their
    /// beginning; they are looked at as long as flows go on in them.
    ///
    /// # Errors
    /// The store.
    pub(super) fn of(
        store: &Store,
        others: &[KnownSource],
        span: Span,
        booked: &HashSet<&[u8]>,
    ) -> Result<Self, StoreError> {
        let mut found = Vec::new();
        let mut alive = span.to;
        for source in others {
            if source.first.since(alive) > SILENCE_NS + 2 * NANOS_PER_SECOND {
                break;
            }
            let mut goes_on = store.carried_into(source.id)?;
            goes_on.retain(|(origin, _)| booked.contains(origin.as_slice()));
            if goes_on.is_empty() || locate(source).is_none() {
                continue;
            }
            alive = alive.max(source.last);
            let (row, identity) = (source.id, &source.identity);
            found.extend(goes_on.into_iter().map(|(_, carried)| GoesOn { row, identity: identity.clone(), carried }));
        }
        Ok(Self(found))
    }

    /// All of them.
    pub(super) fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.0.iter().map(|goes_on| &goes_on.carried.flow)
    }

    /// Notes in the store what has become of them. Gives the identities of the sources in which
    /// that changes something; they are marked as to be booked again.
    ///
    /// # Errors
    /// The store.
    pub(super) fn changed(
        self,
        store: &mut Store,
        settled: Vec<(Vec<u8>, Settled)>,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut changed = Vec::new();
        for GoesOn { row, identity, carried } in self.0 {
            let now = settled.iter().find(|(_, settled)| goes_on_as(&carried, settled));
            if now.is_some_and(|(_, settled)| is_unchanged(&carried, settled)) {
                continue;
            }
            let now = now.map(|(origin, Settled { flow, verdict, .. })| {
                let carried = Carried { flow: flow.clone(), verdict: verdict.clone(), ..carried.clone() };
                (origin.as_slice(), carried)
            });
            store.goes_on_as(row, carried.number, now.as_ref().map(|(origin, carried)| (*origin, carried)))?;
            if !changed.contains(&identity) {
                changed.push(identity);
            }
        }
        Ok(changed)
    }
}

/// Whether this is the flow that was carried on: no two with the same addresses and ports are alive
/// at a time.
fn goes_on_as(carried: &Carried, Settled { flow, last, .. }: &Settled) -> bool {
    let ends = |flow: &Flow| (flow.proto, (flow.client, flow.client_port), (flow.server, flow.server_port));
    let turned = |flow: &Flow| (flow.proto, (flow.server, flow.server_port), (flow.client, flow.client_port));
    let until = UnixNanos(last.0.saturating_add(NANOS_PER_SECOND));
    let was_alive = (flow.start..=until).contains(&carried.flow.start);
    was_alive && [ends(flow), turned(flow)].contains(&ends(&carried.flow))
}

/// Whether it is booked as it was. A name that it got later, where nobody reads now, stays its
/// name.
fn is_unchanged(before: &Carried, Settled { flow, verdict, .. }: &Settled) -> bool {
    let is_same = |a: &Flow, b: &Flow| (a.start, a.client, a.client_port) == (b.start, b.client, b.client_port);
    if !is_same(&before.flow, flow) {
        return false;
    }
    if before.flow.name.is_some() && flow.name.is_none() {
        return true;
    }
    let was = &before.verdict;
    before.flow.name == flow.name
        && (&was.host, was.evidence, was.traffic, &was.candidates)
            == (&verdict.host, verdict.evidence, verdict.traffic, &verdict.candidates)
}
