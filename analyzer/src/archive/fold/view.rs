//! The sums of one question.

use super::{Alike, Apart, Stretch as ToStretch};
use crate::archive::read::Wanted;
use crate::books::side::{Amounts, Side, Stretch, Sums};
use crate::books::{Host, Observed, Row};
use crate::rollup::Interner;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::hash::{Hash, Hasher};

/// Sums of a stretch of time that are not worth summing up while there are no more.
pub(super) const FEW_SUMS: usize = 1_024;

/// What tells a row from another of its bucket: everything but the amounts. In words that are
/// hashed one by one: each row of years is looked up by it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key(u64, u64, u64);

/// Three words at once: what is derived calls a function of the system for it, each time.
impl PartialEq for Key {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        (self.0 ^ other.0) | (self.1 ^ other.1) | (self.2 ^ other.2) == 0
    }
}

impl Eq for Key {}

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0, self.1, self.2).hash(state);
    }
}

impl Key {
    pub(super) fn of(row: &Row) -> Self {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let blind = row.blind.map_or(0, |blind| blind.number());
        let kinds = u32::from_le_bytes([row.evidence.number(), row.traffic.number(), blind, 0]);
        Self(
            pair(row.host, row.device),
            pair(row.candidates.unwrap_or(u32::MAX), row.interface),
            pair(row.source, kinds),
        )
    }
}

/// Sums of one question.
pub(super) struct View<'a> {
    wanted: Wanted,
    to_stretch: ToStretch,
    alike: Option<Alike<'a>>,
    /// Rows have hosts, and this question does not tell them apart.
    drops_hosts: bool,
    has_packets: bool,
    /// The last bucket: rows come in the order of time.
    bucket_s: Option<i64>,
    /// What stands for the stretch of time that rows are of now.
    now: Option<i64>,
    /// What differs: of no time and without amounts.
    keys: Vec<Row>,
    numbers: HashMap<Key, u32, RandomState>,
    /// Sums of the stretch of now, in the order of their first row: of a day they are few.
    sums: Sums,
    /// Where among these the sum of each number is; one of another visit is nowhere.
    slots: Vec<(u32, u32)>,
    visit: u32,
    /// Stretches that were left, in the order of their first row. One that comes again has a number
    /// several times.
    pub(super) stretches: Vec<Stretch>,
    /// How many sums each had when each number was there once.
    single: Vec<usize>,
    number_of: HashMap<i64, usize, RandomState>,
}

impl<'a> View<'a> {
    pub(super) fn new(apart: &'a Apart<'a>, observed: Observed, has_hosts: bool) -> Self {
        Self {
            wanted: apart.wanted,
            to_stretch: apart.stretch(observed),
            alike: apart.alike.as_ref().map(|alike| alike.begin()),
            drops_hosts: has_hosts && !apart.wanted.hosts,
            has_packets: apart.has_packets,
            bucket_s: None,
            now: None,
            keys: Vec::new(),
            numbers: HashMap::default(),
            sums: Sums::default(),
            slots: Vec::new(),
            visit: 1,
            stretches: Vec::new(),
            single: Vec::new(),
            number_of: HashMap::default(),
        }
    }

    /// The number of what a row is for this question, given now if it is new.
    pub(super) fn place(&mut self, row: &Row, hosts: &Interner<Host>) -> u32 {
        let row = match &mut self.alike {
            Some(alike) => alike(row, hosts),
            None => self.wanted.told_apart(Row { host: if self.drops_hosts { 0 } else { row.host }, ..*row }),
        };
        let row = Row { bucket_s: 0, up_bytes: 0, down_bytes: 0, up_packets: 0, down_packets: 0, ..row };
        let next = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(Key::of(&row)).or_insert(next);
        if number == next {
            self.keys.push(row);
            self.slots.push((0, 0));
        }
        number
    }

    /// Adds rows, each with its place.
    pub(super) fn sum_rows<'r>(&mut self, rows: impl Iterator<Item = (&'r Row, u32)>) {
        for (row, place) in rows {
            if self.bucket_s != Some(row.bucket_s) {
                self.bucket_s = Some(row.bucket_s);
                self.go_to(row.bucket_s);
            }
            self.add(place, row.amounts());
        }
    }

    #[inline]
    fn add(&mut self, place: u32, amounts: Amounts) {
        let Some((visit, slot)) = self.slots.get_mut(place as usize) else { return };
        if *visit == self.visit {
            return self.sums.add(*slot as usize, amounts);
        }
        // There are no more sums than numbers.
        (*visit, *slot) = (self.visit, u32::try_from(self.sums.len()).unwrap_or(u32::MAX));
        self.sums.push(place, amounts, self.has_packets);
    }

    fn go_to(&mut self, bucket_s: i64) {
        let stands = (self.to_stretch)(bucket_s);
        if self.now != Some(stands) {
            self.leave();
            self.now = Some(stands);
        }
    }

    /// Puts the sums of now aside.
    fn leave(&mut self) {
        let Some(start_s) = self.now.take() else { return };
        let number = self.number(start_s);
        if let Some((stretch, single)) = self.stretches.get_mut(number).zip(self.single.get_mut(number)) {
            // Most come once.
            if stretch.sums.is_empty() {
                *single = self.sums.len();
            }
            stretch.sums.take_copy(&self.sums);
        }
        self.next_visit();
        self.sum_up_many(number);
    }

    /// The number of a stretch that is left, given now if it is new.
    fn number(&mut self, start_s: i64) -> usize {
        let next = self.stretches.len();
        let number = *self.number_of.entry(start_s).or_insert(next);
        if number == next {
            self.stretches.push(Stretch { start_s, sums: Sums::default() });
            self.single.push(0);
        }
        number
    }

    /// How many sums of a stretch there are beside one for each number.
    fn again(&self, number: usize) -> usize {
        let of = self.stretches.get(number).zip(self.single.get(number));
        of.map_or(0, |(stretch, single)| stretch.sums.len().saturating_sub(*single))
    }

    fn sum_up_many(&mut self, number: usize) {
        if self.again(number) > self.single.get(number).map_or(0, |single| single + FEW_SUMS) {
            self.sum_up(number);
        }
    }

    /// Sums of now are left, and each stretch has each number once.
    fn settle(&mut self) {
        self.leave();
        for number in 0..self.stretches.len() {
            if self.again(number) > 0 {
                self.sum_up(number);
            }
        }
    }

    pub(super) fn absorb(&mut self, mut other: Self, hosts: &Interner<Host>, here: &mut impl FnMut(Row) -> Row) {
        self.leave();
        self.bucket_s = None;
        other.settle();
        let numbers: Vec<u32> = other.keys.iter().map(|row| self.place(&here(*row), hosts)).collect();
        for Stretch { start_s, sums } in other.stretches {
            let stands = (self.to_stretch)(start_s);
            let number = self.number(stands);
            if let Some((stretch, single)) = self.stretches.get_mut(number).zip(self.single.get_mut(number)) {
                if stretch.sums.is_empty() {
                    *single = sums.len();
                }
                stretch.sums.take(sums, |key| numbers.get(key as usize).copied().unwrap_or_default());
            }
            self.sum_up_many(number);
        }
    }

    fn next_visit(&mut self) {
        self.sums.clear();
        self.visit = self.visit.wrapping_add(1);
        if self.visit == 0 {
            self.slots.iter_mut().for_each(|(visit, _)| *visit = 0);
            self.visit = 1;
        }
    }

    /// Has each number of a stretch once.
    fn sum_up(&mut self, number: usize) {
        let Some(sums) = self.stretches.get_mut(number).map(|stretch| std::mem::take(&mut stretch.sums)) else {
            return;
        };
        sums.iter().for_each(|(place, amounts)| self.add(place, amounts));
        if let Some((stretch, single)) = self.stretches.get_mut(number).zip(self.single.get_mut(number)) {
            *single = self.sums.len();
            stretch.sums.take_copy(&self.sums);
        }
        self.next_visit();
    }

    /// How many rows there are so far, or more.
    pub(super) fn len(&self) -> usize {
        self.sums.len() + self.stretches.iter().map(|stretch| stretch.sums.len()).sum::<usize>()
    }

    pub(super) fn finish(mut self) -> Side {
        self.settle();
        Side { keys: self.keys, stretches: self.stretches }
    }
}
