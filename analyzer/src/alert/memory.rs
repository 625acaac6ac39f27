//! What was told already: a small file of JSON beside the database.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How often a program may fail to take an alert: then it is given up.
pub const MAX_TRIES: u8 = 3;

/// For how long something is remembered that holds no more: longer than any billing period, and
/// than the time for which a site counts as new.
const KEPT_S: i64 = 400 * 86_400;

/// Most alerts that are remembered: years of them. The oldest go first.
const MAX_REMEMBERED: usize = 10_000;

/// What was told, by [`super::Event::key`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    told: BTreeMap<String, Told>,
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// Somebody took it.
    done: bool,
    /// How often it was tried.
    tries: u8,
    /// When last, in Unix seconds.
    at_s: i64,
}

/// What became of an alert that was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// Somebody was told.
    Taken,
    /// It may be tried again.
    Refused,
}

impl Memory {
    /// What a file holds; an empty one holds nothing.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn of_json(text: &str) -> Result<Self, serde_json::Error> {
        if text.trim().is_empty() { Ok(Self::default()) } else { serde_json::from_str(text) }
    }

    /// The text for the file, without what is too old.
    ///
    /// # Errors
    /// Never seen.
    pub fn to_json(&mut self, now_s: i64) -> Result<String, serde_json::Error> {
        self.told.retain(|_, told| told.at_s > now_s.saturating_sub(KEPT_S));
        let mut ages: Vec<i64> = self.told.values().map(|told| told.at_s).collect();
        ages.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(last) = ages.get(MAX_REMEMBERED.saturating_sub(1)) {
            self.told.retain(|_, told| told.at_s >= *last);
        }
        serde_json::to_string(self)
    }

    /// Whether nobody has to be told: somebody was, or it was tried often enough.
    pub fn is_settled(&self, key: &str) -> bool {
        self.told.get(key).is_some_and(|told| told.done || told.tries >= MAX_TRIES)
    }

    /// Notes that it was tried to tell somebody, and what became of it.
    pub fn note(&mut self, key: &str, tried: Tried, now_s: i64) {
        let told = self.told.entry(key.to_owned()).or_insert(Told { done: false, tries: 0, at_s: now_s });
        *told = Told { done: told.done || tried == Tried::Taken, tries: told.tries.saturating_add(1), at_s: now_s };
    }

    /// Forgets what was told of these: devices, sites.
    pub fn forget(&mut self, subjects: &BTreeSet<String>) {
        let is_of =
            |key: &str| subjects.iter().any(|subject| key.strip_suffix(subject).is_some_and(|k| k.ends_with(' ')));
        self.told.retain(|key, _| !is_of(key));
    }

    /// How often it was tried.
    pub fn tries(&self, key: &str) -> u8 {
        self.told.get(key).map_or(0, |told| told.tries)
    }
}
