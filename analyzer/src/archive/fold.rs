//! Rows summed up as they are read, as far as a question does not tell them apart: of years of
//! rows only what differs for it is in memory. A page is several questions: each has sums of its
//! own, and a row is looked up once for all of them.

use super::read::Wanted;
use crate::books::Row;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Most questions at once: those of a page.
pub const MAX_VIEWS: usize = 3;

/// Entries of a stretch of time that are not worth summing up while there are no more.
const FEW_ENTRIES: usize = 1_024;

/// Maps the start of a bucket to one that stands for its stretch of time.
pub type Stretch<'a> = Box<dyn FnMut(i64) -> i64 + 'a>;

/// What a question tells apart.
pub struct Apart<'a> {
    /// Beside evidence, kind of traffic and blind spot.
    pub wanted: Wanted,
    /// Stretches of time.
    pub stretch: Stretch<'a>,
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
pub(super) struct Fold<'a> {
    views: Vec<View<'a>>,
    /// Place in each view of what differs in any of them.
    places: HashMap<Key, [u32; MAX_VIEWS], RandomState>,
    /// The last bucket: rows come in the order of time.
    last: Option<i64>,
    /// Every row as it is, where there are no views.
    rows: Vec<Row>,
}

impl<'a> Fold<'a> {
    /// Without anything to tell apart every row stays as it is.
    pub(super) fn new(apart: Vec<Apart<'a>>) -> Self {
        let has_hosts = apart.iter().any(|apart| apart.wanted.hosts);
        let views = apart.into_iter().take(MAX_VIEWS).map(|apart| View::new(apart, has_hosts)).collect();
        Self { views, places: HashMap::default(), last: None, rows: Vec::new() }
    }

    #[inline]
    pub(super) fn add(&mut self, row: Row) {
        let Self { views, places, last, rows } = self;
        if views.is_empty() {
            return rows.push(row);
        }
        if *last != Some(row.bucket_s) {
            *last = Some(row.bucket_s);
            views.iter_mut().for_each(|view| view.go_to(row.bucket_s));
        }
        let of = *places.entry(Key::of(&row)).or_insert_with(|| {
            let mut of = [0; MAX_VIEWS];
            of.iter_mut().zip(views.iter_mut()).for_each(|(of, view)| *of = view.place(&row));
            of
        });
        let amounts = row.amounts();
        views.iter_mut().zip(of).for_each(|(view, place)| view.add(place, amounts));
    }

    /// How many rows there are so far, or more.
    pub(super) fn len(&self) -> usize {
        let of =
            |view: &View<'_>| view.touched.len() + view.stretches.iter().map(|past| past.entries.len()).sum::<usize>();
        self.rows.len() + self.views.iter().map(of).sum::<usize>()
    }

    /// The rows of each question, in their order; of none the rows as they came.
    pub(super) fn finish(self) -> Vec<Vec<Row>> {
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
struct View<'a> {
    apart: Apart<'a>,
    /// Rows have hosts, and this question does not tell them apart.
    drops_hosts: bool,
    /// What stands for the stretch of time that rows are of now.
    now: Option<i64>,
    /// What differs: of no time and without amounts.
    keys: Vec<Row>,
    numbers: HashMap<Key, u32, RandomState>,
    /// Sums of the stretch of now, by number; those of another visit are none.
    sums: Vec<(Amounts, u32)>,
    visit: u32,
    /// The numbers that have one.
    touched: Vec<u32>,
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

impl<'a> View<'a> {
    fn new(apart: Apart<'a>, has_hosts: bool) -> Self {
        let drops_hosts = has_hosts && !apart.wanted.hosts;
        let (keys, numbers, sums) = (Vec::new(), HashMap::default(), Vec::new());
        let (touched, stretches, number_of) = (Vec::new(), Vec::new(), HashMap::default());
        Self { apart, drops_hosts, now: None, keys, numbers, sums, visit: 1, touched, stretches, number_of }
    }

    /// The number of what a row is for this question, given now if it is new.
    fn place(&mut self, row: &Row) -> u32 {
        let row = self.apart.wanted.told_apart(Row { bucket_s: 0, ..*row });
        let row = if self.drops_hosts { Row { host: 0, ..row } } else { row };
        let next = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(Key::of(&row)).or_insert(next);
        if number == next {
            self.keys.push(Row { up_bytes: 0, down_bytes: 0, up_packets: 0, down_packets: 0, ..row });
            self.sums.push(([0; 4], 0));
        }
        number
    }

    #[inline]
    fn add(&mut self, place: u32, amounts: Amounts) {
        let Some((sum, visit)) = self.sums.get_mut(place as usize) else { return };
        if *visit == self.visit {
            return add(sum, amounts);
        }
        (*sum, *visit) = (amounts, self.visit);
        self.touched.push(place);
    }

    fn go_to(&mut self, bucket_s: i64) {
        let stands = (self.apart.stretch)(bucket_s);
        if self.now != Some(stands) {
            self.leave();
            self.now = Some(stands);
        }
    }

    /// Puts the sums of now aside.
    fn leave(&mut self) {
        let Some(start_s) = self.now.take() else { return };
        let next = self.stretches.len();
        let number = *self.number_of.entry(start_s).or_insert(next);
        if number == next {
            self.stretches.push(Past { start_s, entries: Vec::new(), single: 0 });
        }
        let Some(past) = self.stretches.get_mut(number) else { return };
        let sums = self.touched.iter().filter_map(|of| Some((*of, self.sums.get(*of as usize)?.0)));
        past.entries.extend(sums);
        if past.single == 0 {
            past.entries.shrink_to_fit();
            past.single = past.entries.len();
        }
        self.next_visit();
        if self.stretches.get(number).is_some_and(|past| past.entries.len() > 2 * past.single + FEW_ENTRIES) {
            self.sum_up(number);
        }
    }

    fn next_visit(&mut self) {
        self.touched.clear();
        self.visit = self.visit.wrapping_add(1);
        if self.visit == 0 {
            self.sums.iter_mut().for_each(|(_, visit)| *visit = 0);
            self.visit = 1;
        }
    }

    /// Has each number of a stretch once.
    fn sum_up(&mut self, number: usize) {
        let Some(entries) = self.stretches.get_mut(number).map(|past| std::mem::take(&mut past.entries)) else {
            return;
        };
        entries.into_iter().for_each(|(place, amounts)| self.add(place, amounts));
        let sums = self.touched.iter().filter_map(|of| Some((*of, self.sums.get(*of as usize)?.0)));
        let entries: Vec<(u32, Amounts)> = sums.collect();
        if let Some(past) = self.stretches.get_mut(number) {
            (past.single, past.entries) = (entries.len(), entries);
        }
        self.next_visit();
    }

    fn finish(mut self) -> Vec<Row> {
        self.leave();
        let again: Vec<usize> = self.stretches.iter().map(|past| past.entries.len() - past.single).collect();
        for (number, _) in again.into_iter().enumerate().filter(|(_, more)| *more > 0) {
            self.sum_up(number);
        }
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

    fn apart<'a>(wanted: Wanted, stretch: impl FnMut(i64) -> i64 + 'a) -> Apart<'a> {
        Apart { wanted, stretch: Box::new(stretch) }
    }

    fn folded(apart: Vec<Apart<'_>>, rows: &[Row]) -> Vec<Vec<Row>> {
        let mut fold = Fold::new(apart);
        rows.iter().for_each(|row| fold.add(*row));
        fold.finish()
    }

    /// As hours of the day come again each day.
    #[test]
    fn rows_of_a_stretch_that_comes_again_are_summed_with_those_before() {
        let rows = [row(0, 1, 1), row(0, 1, 2), row(900, 1, 4), row(1800, 1, 8), row(1800, 2, 16), row(2700, 1, 32)];
        let found = folded(vec![apart(Wanted::ALL, |bucket_s| bucket_s % 1800)], &rows);
        let found: Vec<_> = found[0].iter().map(|row| (row.bucket_s, row.host, row.amounts())).collect();
        let expect = [(0, 1, [11, 110, 3, 6]), (0, 2, [16, 160, 1, 2]), (900, 1, [36, 360, 2, 4])];
        assert_eq!(found, expect);
        assert_eq!(folded(Vec::new(), &rows), [rows]);
    }

    /// More visits than entries are kept for one by one.
    #[test]
    fn stretches_that_come_again_a_thousand_times_stay_small() {
        let mut fold = Fold::new(vec![apart(Wanted::ALL, |bucket_s| bucket_s % 1800)]);
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
        let found = folded(vec![apart(hosts, hours), apart(devices, |_| 0), apart(Wanted::ALL, |_| 0)], &rows);
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
        assert_eq!(folded(vec![apart(Wanted::ALL, |_| 0)], &twice)[0].len(), differ.len());
    }
}
