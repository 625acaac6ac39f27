//! The sums of one question.

use super::{Alike, Apart, Stretch};
use crate::archive::read::Wanted;
use crate::books::{Host, Observed, Row};
use crate::rollup::Interner;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Entries of a stretch of time that are not worth summing up while there are no more.
pub(super) const FEW_ENTRIES: usize = 1_024;

/// What tells a row from another of its bucket: everything but the amounts. In words that are
/// hashed one by one: each row of years is looked up by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(u64, u64, u64);

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

/// Bytes up, bytes down, packets up, packets down.
type Amounts = [u64; 4];

fn add(sum: &mut Amounts, more: Amounts) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(more));
}

/// Sums of one question.
pub(super) struct View<'a> {
    wanted: Wanted,
    stretch: Stretch,
    alike: Option<Alike<'a>>,
    /// Rows have hosts, and this question does not tell them apart.
    drops_hosts: bool,
    /// The last bucket: rows come in the order of time.
    bucket_s: Option<i64>,
    /// What stands for the stretch of time that rows are of now.
    now: Option<i64>,
    /// What differs: of no time and without amounts.
    keys: Vec<Row>,
    numbers: HashMap<Key, u32, RandomState>,
    /// Sums of the stretch of now, in the order of their first row: of a day they are few.
    sums: Vec<(u32, Amounts)>,
    /// Where among these the sum of each number is; one of another visit is nowhere.
    slots: Vec<(u32, u32)>,
    visit: u32,
    /// Of stretches that were left, in the order of their first row.
    pub(super) stretches: Vec<Past>,
    number_of: HashMap<i64, usize, RandomState>,
}

/// Sums of a stretch of time that was left. One that comes again has a number several times.
pub(super) struct Past {
    start_s: i64,
    pub(super) entries: Vec<(u32, Amounts)>,
    /// How many there were when each number was there once.
    single: usize,
}

impl<'a> View<'a> {
    pub(super) fn new(apart: &'a Apart<'a>, observed: Observed, has_hosts: bool) -> Self {
        Self {
            wanted: apart.wanted,
            stretch: apart.stretch(observed),
            alike: apart.alike.as_ref().map(|alike| alike.begin()),
            drops_hosts: has_hosts && !apart.wanted.hosts,
            bucket_s: None,
            now: None,
            keys: Vec::new(),
            numbers: HashMap::default(),
            sums: Vec::new(),
            slots: Vec::new(),
            visit: 1,
            stretches: Vec::new(),
            number_of: HashMap::default(),
        }
    }

    /// The number of what a row is for this question, given now if it is new.
    pub(super) fn place(&mut self, row: &Row, hosts: &Interner<Host>) -> u32 {
        let row = match &mut self.alike {
            Some(alike) => alike(row, hosts),
            None => self.wanted.told_apart(Row { host: if self.drops_hosts { 0 } else { row.host }, ..*row }),
        };
        let row = Row { bucket_s: 0, ..row };
        let next = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(Key::of(&row)).or_insert(next);
        if number == next {
            self.keys.push(Row { up_bytes: 0, down_bytes: 0, up_packets: 0, down_packets: 0, ..row });
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
            if let Some((_, sum)) = self.sums.get_mut(*slot as usize) {
                add(sum, amounts);
            }
            return;
        }
        // There are no more sums than numbers.
        (*visit, *slot) = (self.visit, u32::try_from(self.sums.len()).unwrap_or(u32::MAX));
        self.sums.push((place, amounts));
    }

    fn go_to(&mut self, bucket_s: i64) {
        let stands = (self.stretch)(bucket_s);
        if self.now != Some(stands) {
            self.leave();
            self.now = Some(stands);
        }
    }

    /// Puts the sums of now aside.
    fn leave(&mut self) {
        let Some(start_s) = self.now.take() else { return };
        let number = self.past(start_s);
        let Some(past) = self.stretches.get_mut(number) else { return };
        if past.single == 0 {
            // Most come once: they take no more room than they need.
            past.entries.reserve_exact(self.sums.len());
            past.single = self.sums.len();
        }
        past.entries.extend_from_slice(&self.sums);
        self.next_visit();
        self.sum_up_many(number);
    }

    /// The number of a stretch that is left, given now if it is new.
    fn past(&mut self, start_s: i64) -> usize {
        let next = self.stretches.len();
        let number = *self.number_of.entry(start_s).or_insert(next);
        if number == next {
            self.stretches.push(Past { start_s, entries: Vec::new(), single: 0 });
        }
        number
    }

    fn sum_up_many(&mut self, number: usize) {
        if self.stretches.get(number).is_some_and(|past| past.entries.len() > 2 * past.single + FEW_ENTRIES) {
            self.sum_up(number);
        }
    }

    /// Sums of now are left, and each stretch has each number once.
    fn settle(&mut self) {
        self.leave();
        let again: Vec<usize> = self.stretches.iter().map(|past| past.entries.len() - past.single).collect();
        for (number, _) in again.into_iter().enumerate().filter(|(_, more)| *more > 0) {
            self.sum_up(number);
        }
    }

    pub(super) fn absorb(&mut self, mut other: Self, hosts: &Interner<Host>, here: &mut impl FnMut(Row) -> Row) {
        self.leave();
        self.bucket_s = None;
        other.settle();
        let numbers: Vec<u32> = other.keys.iter().map(|row| self.place(&here(*row), hosts)).collect();
        for Past { start_s, mut entries, single } in other.stretches {
            entries.iter_mut().for_each(|(of, _)| *of = numbers.get(*of as usize).copied().unwrap_or_default());
            let stands = (self.stretch)(start_s);
            let number = self.past(stands);
            match self.stretches.get_mut(number) {
                Some(past) if past.single == 0 => (past.entries, past.single) = (entries, single),
                Some(past) => past.entries.append(&mut entries),
                None => {}
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
        let Some(entries) = self.stretches.get_mut(number).map(|past| std::mem::take(&mut past.entries)) else {
            return;
        };
        entries.into_iter().for_each(|(place, amounts)| self.add(place, amounts));
        if let Some(past) = self.stretches.get_mut(number) {
            (past.single, past.entries) = (self.sums.len(), self.sums.clone());
        }
        self.next_visit();
    }

    /// How many rows there are so far, or more.
    pub(super) fn len(&self) -> usize {
        self.sums.len() + self.stretches.iter().map(|past| past.entries.len()).sum::<usize>()
    }

    pub(super) fn finish(mut self) -> Vec<Row> {
        self.settle();
        let Self { keys, stretches, .. } = self;
        let mut rows = Vec::with_capacity(stretches.iter().map(|past| past.entries.len()).sum());
        for Past { start_s, entries, .. } in stretches {
            let row = |(of, amounts): (u32, Amounts)| {
                let [up_bytes, down_bytes, up_packets, down_packets] = amounts;
                let key = *keys.get(of as usize)?;
                Some(Row { bucket_s: start_s, up_bytes, down_bytes, up_packets, down_packets, ..key })
            };
            rows.extend(entries.into_iter().filter_map(row));
        }
        rows
    }
}
