//! Whom the bytes of a host belong to, and for how long they go on to belong there.

use super::explained::Explained;
use super::habits::Named;
use super::runs::Runs;
use super::visits::nanos;
use imon_common::time::NANOS_PER_SECOND;

/// What a host moved goes on to belong where it belonged: players fetch piece after piece. It falls
/// to a third in a minute.
const LASTS: f64 = 0.97;
const LASTS_NS: f64 = 60e9;

/// What goes on without a pause is one answer. After a pause it is the likelier still the same
/// page's the more often it was: a player has shown that it is one.
pub(super) const WITHOUT_PAUSE_NS: i64 = 3 * NANOS_PER_SECOND / 2;
const RUN: f64 = 3.0;

/// Owners of a host's bytes that are remembered, and their least chance.
const MAX_OWNERS: usize = 4;
const LEAST_OWNER: f64 = 0.02;

/// Whom bytes belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// No visit.
    Background,
    /// A visit of their own site.
    Own,
    /// A page of this site.
    Page(Named),
}

/// Owners of what a host moved last, with their chances, and when that was.
#[derive(Debug, Clone)]
pub struct Before {
    pub at: i64,
    pub(super) owners: Vec<(Owner, f64)>,
    /// How many times in a row they have belonged to the same one.
    pub(super) run: u32,
    /// How much the host moves at a time.
    runs: Runs,
}

impl Before {
    /// `visit`: chance that it is a visit itself; `before`: those of the time before.
    pub fn new(at: i64, visit: f64, explained: &Explained, before: Option<&Self>) -> Self {
        let Explained { own, background, pages, .. } = explained;
        let third = 1.0 - visit;
        // Likeliest first, as they stand: no others are among the first of all.
        let pages = pages.iter().map(|page| (page, third * page.chance)).take(MAX_OWNERS);
        let pages = pages.take_while(|(_, chance)| *chance > LEAST_OWNER);
        let own = [(Owner::Own, visit + third * own), (Owner::Background, third * background)];
        let own = own.into_iter().filter(|(_, chance)| *chance > LEAST_OWNER);
        let mut owners = Vec::with_capacity(MAX_OWNERS + 2);
        owners.extend(own.chain(pages.map(|(page, chance)| (Owner::Page(page.page.name.clone()), chance))));
        owners.sort_by(|a, b| b.1.total_cmp(&a.1));
        owners.truncate(MAX_OWNERS);
        let first = owners.first().map(|(owner, _)| owner);
        let same = before.filter(|before| before.owners.first().map(|(owner, _)| owner) == first);
        let run = same.map_or(0, |before| before.run.saturating_add(1));
        let runs = before.map(|before| before.runs).unwrap_or_default();
        Self { at, owners, run, runs }
    }

    /// Bytes moved until `to`. Gives what the host has moved at a time by then.
    pub fn moved(&mut self, to: i64, bytes: u64) -> Runs {
        self.runs.moved(to, bytes);
        self.runs
    }

    /// Chance that what comes at `at` still belongs to the same ones.
    pub(super) fn lasts(&self, at: i64) -> f64 {
        let ns = at.saturating_sub(self.at);
        let again = if ns <= WITHOUT_PAUSE_NS { 1.0 } else { self.again() };
        LASTS * (-nanos(ns) / LASTS_NS).exp() * again
    }

    /// The same after something that may have ended it.
    pub(super) fn again(&self) -> f64 {
        let run = f64::from(self.run);
        (run + 1.0) / (run + RUN)
    }

    pub(super) fn of(&self, owner: &Owner) -> f64 {
        self.owners.iter().find(|(o, _)| o == owner).map_or(0.0, |(_, chance)| *chance)
    }

    /// Chance of this page.
    pub fn of_page(&self, page: &Named) -> f64 {
        let is_it = |owner: &Owner| matches!(owner, Owner::Page(of) if of.is(page));
        self.owners.iter().find(|(owner, _)| is_it(owner)).map_or(0.0, |(_, chance)| *chance)
    }
}
