//! A site or a device: its bytes over time, and what they are made of.

use super::super::places::Label;
use crate::books::Evidence;
use crate::idn;
use crate::owners::Owner;
use crate::question::Key;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// Amounts of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// From our side.
    pub up: u64,
    /// To our side.
    pub down: u64,
    /// Booked here, and could be somebody else's.
    pub shared: u64,
    /// Booked elsewhere, and could be of this one.
    pub elsewhere: u64,
}

impl Amounts {
    /// Both directions.
    pub fn total(&self) -> u64 {
        self.up.saturating_add(self.down)
    }

    /// What only this one can explain.
    pub fn low(&self) -> u64 {
        self.total().saturating_sub(self.shared)
    }

    /// What this one could explain.
    pub fn high(&self) -> u64 {
        self.total().saturating_add(self.elsewhere)
    }

    fn add(&mut self, more: &Self) {
        let Self { up, down, shared, elsewhere } = more;
        self.up = self.up.saturating_add(*up);
        self.down = self.down.saturating_add(*down);
        self.shared = self.shared.saturating_add(*shared);
        self.elsewhere = self.elsewhere.saturating_add(*elsewhere);
    }
}

/// Bytes by number of a block, in order; no zeros.
pub type Stream = Vec<(usize, u64)>;

/// What a part of a subject moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Number of the host, of the device, or place of the kind in [`Evidence::ALL`]; `None` for all
    /// others together.
    pub name: Option<usize>,
    /// How many this stands for.
    pub count: usize,
    /// Bytes by block.
    pub stream: Stream,
}

impl Part {
    /// All its bytes.
    pub fn total(&self) -> u64 {
        self.stream.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }
}

/// The first `limit` of parts; all others are one.
pub fn first_of(parts: &[Part], limit: usize) -> Vec<Part> {
    let named = parts.iter().filter(|part| part.name.is_some()).count();
    if named <= limit {
        return parts.to_vec();
    }
    let (kept, others) = parts.split_at_checked(limit).unwrap_or((parts, &[]));
    kept.iter().cloned().chain([together(others)]).collect()
}

/// Parts as one that has no name.
fn together(parts: &[Part]) -> Part {
    let mut stream: BTreeMap<usize, u64> = BTreeMap::new();
    for (block, bytes) in parts.iter().flat_map(|part| &part.stream) {
        let sum = stream.entry(*block).or_default();
        *sum = sum.saturating_add(*bytes);
    }
    Part { name: None, count: parts.iter().map(|part| part.count).sum(), stream: stream.into_iter().collect() }
}

/// A site or a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// As scripts know it.
    pub key: String,
    /// As people read it.
    pub name: String,
    /// What a device calls itself.
    pub called: Option<String>,
    /// Whose the address is, as far as a file tells; safe to show.
    pub owner: Option<Owner>,
    /// It is no site but stands for itself.
    pub marked: bool,
    /// A name stands there, and no address.
    pub named: bool,
    /// All of it.
    pub amounts: Amounts,
    /// Bytes by kind, in the order of [`Evidence::ALL`].
    pub evidence: [u64; Evidence::ALL.len()],
    /// Amounts by number of the time, in order; no zeros.
    pub series: Vec<(usize, Amounts)>,
    /// By kind of evidence.
    pub kinds: Vec<Part>,
    /// By host.
    pub hosts: Vec<Part>,
    /// By device; of a site only.
    pub devices: Vec<Part>,
}

/// Subjects, the largest first, and what was cut off.
#[derive(Debug, Default)]
pub struct Ranked {
    /// The largest.
    pub subjects: Vec<Subject>,
    /// All others as one, which has no parts; its amounts are no range.
    pub rest: Subject,
    /// How many those are.
    pub rest_count: usize,
}

/// Times that are not worth summing up while there are no more.
const FEW_TIMES: usize = 1_024;

/// A subject in the making.
#[derive(Debug)]
pub(super) struct Builder {
    subject: Subject,
    /// By number of the time on the axis that it was made with; some may be there several times.
    series: Vec<(usize, Amounts)>,
    /// How many there may be before they are summed up.
    most: usize,
}

impl Builder {
    pub fn new(key: Key, label: &Label) -> Self {
        let name = match key {
            Key::Device => label.text.clone(),
            _ => idn::display(&label.text).into_owned(),
        };
        let subject = Subject {
            key: label.text.clone(),
            name,
            called: label.name.clone(),
            owner: label.owner.clone(),
            marked: label.marked,
            named: label.named,
            ..Subject::default()
        };
        Self { subject, series: Vec::new(), most: FEW_TIMES }
    }

    /// Adds what was summed up for a time.
    pub fn add(&mut self, time: usize, amounts: &Amounts) {
        self.subject.amounts.add(amounts);
        // Most rows come in the order of time.
        match self.series.last_mut() {
            Some((last, sum)) if *last == time => sum.add(amounts),
            _ => self.series.push((time, *amounts)),
        }
        if self.series.len() > self.most {
            sum_up(&mut self.series);
            self.most = 2 * self.series.len() + FEW_TIMES;
        }
    }

    /// Whether there is anything of a time.
    pub fn has(&self, time: usize) -> bool {
        self.series.iter().any(|(of, _)| *of == time)
    }
}

/// Has each time once, in order.
fn sum_up(series: &mut Vec<(usize, Amounts)>) {
    series.sort_by_key(|(time, _)| *time);
    series.dedup_by(|(time, more), (last, sum)| {
        let is_same = time == last;
        if is_same {
            sum.add(more);
        }
        is_same
    });
}

/// The largest first, equal ones by name; beyond `limit` and below `least` bytes all are one.
/// `places`: of each number of a time its place among all.
pub(super) fn rank(mut found: Vec<Builder>, limit: usize, least: u64, places: &[usize]) -> Ranked {
    found.sort_by(|a, b| {
        let [a, b] = [a, b].map(|one| (std::cmp::Reverse(one.subject.amounts.total()), &one.subject.key));
        a.cmp(&b)
    });
    let kept = found.iter().take(limit).take_while(|one| one.subject.amounts.total() >= least).count();
    let others = found.split_off(kept);
    let place = |nth: usize| places.get(nth).copied().unwrap_or_default();
    let subjects = found.into_iter().map(|Builder { subject, mut series, .. }| {
        series.iter_mut().for_each(|(time, _)| *time = place(*time));
        sum_up(&mut series);
        Subject { series, ..subject }
    });
    let mut rest = Subject::default();
    let mut series: Vec<Option<Amounts>> = vec![None; places.len()];
    for one in &others {
        rest.amounts.add(&one.subject.amounts);
        for (nth, amounts) in &one.series {
            if let Some(sum) = series.get_mut(place(*nth)) {
                sum.get_or_insert_default().add(amounts);
            }
        }
    }
    rest.series = (0..).zip(series).filter_map(|(time, sum)| Some((time, sum?))).collect();
    Ranked { subjects: subjects.collect(), rest, rest_count: others.len() }
}

/// Names by number, each once.
#[derive(Debug, Default)]
pub(super) struct Names {
    list: Vec<String>,
    numbers: HashMap<String, usize, RandomState>,
}

impl Names {
    pub fn number(&mut self, name: &str) -> usize {
        if let Some(nth) = self.numbers.get(name) {
            return *nth;
        }
        self.list.push(name.to_owned());
        let nth = self.list.len().saturating_sub(1);
        self.numbers.insert(name.to_owned(), nth);
        nth
    }

    /// A name by its number.
    pub fn name(&self, nth: usize) -> &str {
        self.list.get(nth).map_or("", String::as_str)
    }

    /// The names that parts of the ranked have; numbers become places in that list.
    pub fn used(self, ranked: &mut [Ranked; 2]) -> Vec<String> {
        let mut used = Self::default();
        let parts = ranked.iter_mut().flat_map(|ranked| &mut ranked.subjects).flat_map(|subject| &mut subject.hosts);
        for name in parts.filter_map(|part| part.name.as_mut()) {
            *name = used.number(self.name(*name));
        }
        used.list
    }
}
