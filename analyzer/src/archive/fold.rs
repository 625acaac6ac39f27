//! Rows summed up as they are read, as far as a question does not tell them apart: of years of
//! rows only what differs for it is in memory.

use crate::books::Row;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// What a question tells apart within a stretch of time: everything but the amounts, with 0 for what
/// it does not. In words that are hashed one by one: each row of years is looked up by it.
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

/// Where the sums of a stretch of time are.
type Index = HashMap<Key, u32, RandomState>;

/// Maps the start of a bucket to one that stands for its stretch of time.
pub(super) type Stretch<'a> = &'a mut dyn FnMut(i64) -> i64;

/// Rows, summed up.
pub(super) struct Fold<'a> {
    stretch: Option<Stretch<'a>>,
    /// The last bucket, and what stands for it: rows come in the order of time.
    last: Option<(i64, i64)>,
    /// Of the stretch of the last bucket: small enough to stay in the processor's cache.
    index: Index,
    /// Of the others.
    parked: HashMap<i64, Index, RandomState>,
    /// What differs; its amounts are in `sums`.
    rows: Vec<Row>,
    sums: Vec<[u64; 4]>,
}

impl<'a> Fold<'a> {
    /// Without `stretch` every row stays as it is.
    pub(super) fn new(stretch: Option<Stretch<'a>>) -> Self {
        let (index, parked) = (Index::default(), HashMap::default());
        Self { stretch, last: None, index, parked, rows: Vec::new(), sums: Vec::new() }
    }

    #[inline]
    pub(super) fn add(&mut self, mut row: Row) {
        let Some(stretch) = &mut self.stretch else { return self.rows.push(row) };
        row.bucket_s = match self.last {
            Some((bucket, stands)) if bucket == row.bucket_s => stands,
            before => {
                let stands = stretch(row.bucket_s);
                self.last = Some((row.bucket_s, stands));
                self.go_to(before.map(|(_, stood)| stood), stands);
                stands
            }
        };
        let next = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let place = *self.index.entry(Key::of(&row)).or_insert(next);
        match self.sums.get_mut(place as usize) {
            None => {
                self.sums.push(row.amounts());
                self.rows.push(row);
            }
            Some(sums) => {
                sums.iter_mut().zip(row.amounts()).for_each(|(sum, amount)| *sum = sum.saturating_add(amount));
            }
        }
    }

    /// Takes the index of the stretch of `stands`, and puts that of `stood` aside.
    fn go_to(&mut self, stood: Option<i64>, stands: i64) {
        if let Some(stood) = stood.filter(|stood| *stood != stands) {
            let next = self.parked.remove(&stands).unwrap_or_default();
            self.parked.insert(stood, std::mem::replace(&mut self.index, next));
        }
    }

    pub(super) fn finish(mut self) -> Vec<Row> {
        for (row, [up_bytes, down_bytes, up_packets, down_packets]) in self.rows.iter_mut().zip(self.sums) {
            *row = Row { up_bytes, down_bytes, up_packets, down_packets, ..*row };
        }
        self.rows
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

    /// As hours of the day come again each day.
    #[test]
    fn rows_of_a_stretch_that_comes_again_are_summed_with_those_before() {
        let rows = [row(0, 1, 1), row(0, 1, 2), row(900, 1, 4), row(1800, 1, 8), row(1800, 2, 16), row(2700, 1, 32)];
        let mut even = |bucket_s: i64| bucket_s % 1800;
        let mut fold = Fold::new(Some(&mut even));
        rows.into_iter().for_each(|row| fold.add(row));
        let found: Vec<_> = fold.finish().iter().map(|row| (row.bucket_s, row.host, row.amounts())).collect();
        let expect = [(0, 1, [11, 110, 3, 6]), (900, 1, [36, 360, 2, 4]), (0, 2, [16, 160, 1, 2])];
        assert_eq!(found, expect);
        let mut fold = Fold::new(None);
        rows.into_iter().for_each(|row| fold.add(row));
        assert_eq!(fold.finish(), rows);
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
        let mut once = |_| 0;
        let mut fold = Fold::new(Some(&mut once));
        differ.into_iter().chain(differ).for_each(|row| fold.add(row));
        assert_eq!(fold.finish().len(), differ.len());
    }
}
