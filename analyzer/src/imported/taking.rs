//! Totals beside those that are known already: each day, month and year once.

use super::{Entry, Unit};
use std::collections::BTreeMap;

/// What takes in totals has to do with those that it knows of the interface.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taking {
    /// Totals that go.
    pub gone: Vec<Entry>,
    /// Totals that come.
    pub come: Vec<Entry>,
}

impl Taking {
    /// Takes in `new` totals beside those that are `known`: of the same day, month or year the ones
    /// that were counted last are there, whatever the time zone that dates were read in.
    pub fn new(known: &[Entry], new: &[Entry]) -> Self {
        let lengths =
            |unit| known.iter().filter(move |entry| entry.unit == unit).map(|entry| entry.to_s - entry.from_s);
        let longest = Unit::EACH.map(|unit| lengths(unit).max().unwrap_or_default());
        let by_time: BTreeMap<(Unit, i64), &Entry> =
            known.iter().map(|entry| ((entry.unit, entry.from_s), entry)).collect();
        let same_as = |entry: &Entry| {
            let longest = longest.get(usize::from(entry.unit.number())).copied().unwrap_or_default();
            let (from, to) = ((entry.unit, entry.from_s.saturating_sub(longest)), (entry.unit, entry.to_s));
            let near = if from < to { Some(by_time.range(from..to)) } else { None };
            near.into_iter()
                .flatten()
                .map(|(_, known)| *known)
                .filter(|known| known.is_of_time_of(entry))
                .collect::<Vec<_>>()
        };
        // Counters only rise: a document with less was made before.
        let is_all = |entry: &&Entry| entry.unit == Unit::All;
        let before = new.iter().filter(is_all).flat_map(same_as).find(|known| {
            new.iter().filter(is_all).any(|entry| known.is_of_time_of(entry) && known.bytes() > entry.bytes())
        });
        let mut taking = Self::default();
        for entry in new {
            let same = same_as(entry);
            // What ends behind the last moment that was counted is of another time zone.
            let is_there = |before: &Entry| !same.is_empty() || entry.to_s > before.to_s;
            if before.is_some_and(is_there) {
                continue;
            }
            taking.gone.extend(same.into_iter().copied());
            taking.come.push(*entry);
        }
        if let (None, Some(all)) = (before, new.iter().find(is_all)) {
            let is_ahead = |known: &&Entry| all.from_s <= known.from_s && all.to_s < known.to_s;
            taking.gone.extend(known.iter().filter(is_ahead).copied());
        }
        taking
    }
}
