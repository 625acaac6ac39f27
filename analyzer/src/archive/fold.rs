//! Rows summed up as they are read, as far as a question does not tell them apart: of years of
//! rows only what differs for it is in memory. A page is several questions: each has sums of its
//! own, and a row is looked up once for all of them.

use super::read::Wanted;
use crate::books::Row;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::sync::Arc;

/// Most questions at once: those of a page.
pub const MAX_VIEWS: usize = 3;

/// Entries of a stretch of time that are not worth summing up while there are no more.
const FEW_ENTRIES: usize = 1_024;

/// Rows that are looked up one after the other before any is summed up, and then summed up for one
/// question after the other: loops that are short let the processor wait for several places of
/// memory at once. So many rows stay in its nearest cache.
const AT_A_TIME: usize = 512;

/// Maps the start of a bucket to one that stands for its stretch of time.
pub type Stretch = Box<dyn FnMut(i64) -> i64 + Send>;

/// What a question tells apart.
#[derive(Clone)]
pub struct Apart<'a> {
    /// Beside evidence, kind of traffic and blind spot.
    pub wanted: Wanted,
    /// Makes its stretches of time: every thread has its own.
    stretches: Arc<dyn Fn() -> Stretch + Send + Sync + 'a>,
}

impl<'a> Apart<'a> {
    /// What is `wanted`, by the stretches of time that `stretches` makes.
    pub fn new<S>(wanted: Wanted, stretches: impl Fn() -> S + Send + Sync + 'a) -> Self
    where
        S: FnMut(i64) -> i64 + Send + 'static,
    {
        Self { wanted, stretches: Arc::new(move || Box::new(stretches())) }
    }

    /// Its stretches of time.
    pub(super) fn stretch(&self) -> Stretch {
        (self.stretches)()
    }
}

impl std::fmt::Debug for Apart<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Apart").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// What tells a row from another of its bucket: everything but the amounts. In words that are
/// hashed one by one: each row of years is looked up by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key(u64, u64, u64);

impl Key {
    fn of(row: &Row) -> Self {
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

/// Rows, summed up.
pub(super) struct Fold {
    views: Vec<View>,
    /// Place in each view of what differs in any of them.
    places: HashMap<Key, [u32; MAX_VIEWS], RandomState>,
    /// Rows that are in no sum yet, and room for their places.
    waiting: Vec<Row>,
    found: Vec<[u32; MAX_VIEWS]>,
    /// Every row as it is, where there are no views.
    rows: Vec<Row>,
}

impl Fold {
    /// Without anything to tell apart every row stays as it is.
    pub(super) fn new(apart: &[Apart<'_>]) -> Self {
        let has_hosts = apart.iter().any(|apart| apart.wanted.hosts);
        let views = apart.iter().take(MAX_VIEWS).map(|apart| View::new(apart, has_hosts)).collect();
        let (waiting, found) = (Vec::with_capacity(AT_A_TIME), Vec::with_capacity(AT_A_TIME));
        Self { views, places: HashMap::default(), waiting, found, rows: Vec::new() }
    }

    /// Takes in the sums of another one of the same questions, of rows that come after. `here`: the
    /// row with the places that what it points to has here.
    pub(super) fn absorb(&mut self, mut other: Self, mut here: impl FnMut(Row) -> Row) {
        self.sum_up();
        other.sum_up();
        let Self { views, rows, places, .. } = other;
        // Numbers of rows that are gone.
        drop(places);
        self.rows.extend(rows.into_iter().map(&mut here));
        self.views.iter_mut().zip(views).for_each(|(view, other)| view.absorb(other, &mut here));
    }

    #[inline]
    pub(super) fn add(&mut self, row: Row) {
        if self.views.is_empty() {
            return self.rows.push(row);
        }
        self.waiting.push(row);
        if self.waiting.len() >= AT_A_TIME {
            self.sum_up();
        }
    }

    /// Sums up what waits.
    fn sum_up(&mut self) {
        let Self { views, places, waiting, found, .. } = self;
        found.clear();
        found.extend(waiting.iter().map(|row| {
            *places.entry(Key::of(row)).or_insert_with(|| {
                let mut of = [0; MAX_VIEWS];
                of.iter_mut().zip(views.iter_mut()).for_each(|(of, view)| *of = view.place(row));
                of
            })
        }));
        for (nth, view) in views.iter_mut().enumerate() {
            let places = found.iter().map(|of| of.get(nth).copied().unwrap_or_default());
            view.sum_rows(waiting.iter().zip(places));
        }
        waiting.clear();
    }

    /// How many rows there are so far, or more.
    pub(super) fn len(&self) -> usize {
        let of = |view: &View| view.sums.len() + view.stretches.iter().map(|past| past.entries.len()).sum::<usize>();
        self.rows.len() + self.waiting.len() + self.views.iter().map(of).sum::<usize>()
    }

    /// The rows of each question, in their order; of none the rows as they came.
    pub(super) fn finish(mut self) -> Vec<Vec<Row>> {
        self.sum_up();
        // What rows are looked up by is of no use any more, and takes room.
        let Self { views, places, rows, .. } = self;
        drop(places);
        match views.is_empty() {
            true => vec![rows],
            false => views.into_iter().map(View::finish).collect(),
        }
    }
}

/// Sums of one question.
struct View {
    wanted: Wanted,
    stretch: Stretch,
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
    stretches: Vec<Past>,
    number_of: HashMap<i64, usize, RandomState>,
}

/// Sums of a stretch of time that was left. One that comes again has a number several times.
struct Past {
    start_s: i64,
    entries: Vec<(u32, Amounts)>,
    /// How many there were when each number was there once.
    single: usize,
}

impl View {
    fn new(apart: &Apart<'_>, has_hosts: bool) -> Self {
        Self {
            wanted: apart.wanted,
            stretch: apart.stretch(),
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
    fn place(&mut self, row: &Row) -> u32 {
        let row = self.wanted.told_apart(Row { bucket_s: 0, ..*row });
        let row = if self.drops_hosts { Row { host: 0, ..row } } else { row };
        let next = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(Key::of(&row)).or_insert(next);
        if number == next {
            self.keys.push(Row { up_bytes: 0, down_bytes: 0, up_packets: 0, down_packets: 0, ..row });
            self.slots.push((0, 0));
        }
        number
    }

    /// Adds rows, each with its place.
    fn sum_rows<'r>(&mut self, rows: impl Iterator<Item = (&'r Row, u32)>) {
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

    fn absorb(&mut self, mut other: View, here: &mut impl FnMut(Row) -> Row) {
        self.leave();
        self.bucket_s = None;
        other.settle();
        let numbers: Vec<u32> = other.keys.iter().map(|row| self.place(&here(*row))).collect();
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

    fn finish(mut self) -> Vec<Row> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::{Evidence, Traffic};

    fn row(bucket_s: i64, host: u32, bytes: u64) -> Row {
        Row {
            bucket_s,
            host,
            device: 0,
            evidence: Evidence::Sni,
            traffic: Traffic::Visited,
            candidates: None,
            blind: None,
            interface: 0,
            source: 0,
            up_bytes: bytes,
            down_bytes: 10 * bytes,
            up_packets: 1,
            down_packets: 2,
        }
    }

    fn apart(wanted: Wanted, stretch: fn(i64) -> i64) -> Apart<'static> {
        Apart::new(wanted, move || stretch)
    }

    fn folded(apart: &[Apart<'_>], rows: &[Row]) -> Vec<Vec<Row>> {
        let mut fold = Fold::new(apart);
        rows.iter().for_each(|row| fold.add(*row));
        fold.finish()
    }

    /// As hours of the day come again each day.
    #[test]
    fn rows_of_a_stretch_that_comes_again_are_summed_with_those_before() {
        let rows = [row(0, 1, 1), row(0, 1, 2), row(900, 1, 4), row(1800, 1, 8), row(1800, 2, 16), row(2700, 1, 32)];
        let found = folded(&[apart(Wanted::ALL, |bucket_s| bucket_s % 1800)], &rows);
        let found: Vec<_> = found[0].iter().map(|row| (row.bucket_s, row.host, row.amounts())).collect();
        let expect = [(0, 1, [11, 110, 3, 6]), (0, 2, [16, 160, 1, 2]), (900, 1, [36, 360, 2, 4])];
        assert_eq!(found, expect);
        assert_eq!(folded(&[], &rows), [rows]);
    }

    /// More visits than entries are kept for one by one.
    #[test]
    fn stretches_that_come_again_a_thousand_times_stay_small() {
        let mut fold = Fold::new(&[apart(Wanted::ALL, |bucket_s| bucket_s % 1800)]);
        for bucket in 0..10_000 {
            (0..5).for_each(|host| fold.add(row(bucket * 900, host, 1)));
        }
        let kept: usize = fold.views[0].stretches.iter().map(|past| past.entries.len()).sum();
        assert!(kept < 2 * (2 * 5 + FEW_ENTRIES + 5), "{kept}");
        let found = fold.finish().remove(0);
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|row| row.amounts() == [5_000, 50_000, 5_000, 10_000]));
    }

    #[test]
    fn each_question_has_sums_of_what_it_tells_apart() {
        let rows = [(0, 1, 1), (0, 2, 1), (900, 1, 2), (900, 2, 1), (1800, 1, 1)];
        let rows = rows.map(|(bucket_s, host, device)| Row { device, ..row(bucket_s, host, 1) });
        let hosts = Wanted { endpoints: false, ..Wanted::ALL };
        let devices = Wanted { hosts: false, ..Wanted::ALL };
        let hours = |bucket_s: i64| bucket_s - bucket_s % 1800;
        let found = folded(&[apart(hosts, hours), apart(devices, |_| 0), apart(Wanted::ALL, |_| 0)], &rows);
        let sums = |rows: &[Row]| -> Vec<(i64, u32, u32, u64)> {
            rows.iter().map(|row| (row.bucket_s, row.host, row.device, row.up_bytes)).collect()
        };
        assert_eq!(sums(&found[0]), [(0, 1, 0, 2), (0, 2, 0, 2), (1800, 1, 0, 1)]);
        assert_eq!(sums(&found[1]), [(0, 0, 1, 4), (0, 0, 2, 1)]);
        assert_eq!(sums(&found[2]), [(0, 1, 1, 2), (0, 2, 1, 2), (0, 1, 2, 1)]);
    }

    #[test]
    fn rows_that_differ_in_anything_but_amounts_stay_apart() {
        let base = row(0, 1, 1);
        let differ = [
            base,
            Row { host: 2, ..base },
            Row { device: 1, ..base },
            Row { evidence: Evidence::Dns, ..base },
            Row { traffic: Traffic::Served, ..base },
            Row { candidates: Some(0), ..base },
            Row { blind: Some(crate::books::Blind::Ech), ..base },
            Row { interface: 1, ..base },
            Row { source: 1, ..base },
        ];
        let twice: Vec<Row> = differ.into_iter().chain(differ).collect();
        assert_eq!(folded(&[apart(Wanted::ALL, |_| 0)], &twice)[0].len(), differ.len());
    }
}
