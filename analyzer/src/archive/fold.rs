//! Rows summed up as they are read, as far as a question does not tell them apart: of years of
//! rows only what differs for it is in memory.

use crate::books::Row;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// What a question tells apart: everything but the amounts, with 0 for what it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    bucket_s: i64,
    points: [u32; 5],
    kinds: [u8; 3],
}

impl Key {
    fn of(row: &Row) -> Self {
        let blind = row.blind.map_or(0, |blind| blind.number());
        Self {
            bucket_s: row.bucket_s,
            points: [row.host, row.device, row.candidates.map_or(u32::MAX, |set| set), row.interface, row.source],
            kinds: [row.evidence.number(), row.traffic.number(), blind],
        }
    }
}

/// Maps the start of a bucket to one that stands for its stretch of time.
pub(super) type Stretch<'a> = &'a mut dyn FnMut(i64) -> i64;

/// Rows, summed up.
pub(super) struct Fold<'a> {
    stretch: Option<Stretch<'a>>,
    /// The last bucket, and what stands for it: rows come in the order of time.
    last: Option<(i64, i64)>,
    index: HashMap<Key, u32, RandomState>,
    rows: Vec<Row>,
}

impl<'a> Fold<'a> {
    /// Without `stretch` every row stays as it is.
    pub(super) fn new(stretch: Option<Stretch<'a>>) -> Self {
        Self { stretch, last: None, index: HashMap::default(), rows: Vec::new() }
    }

    #[inline]
    pub(super) fn add(&mut self, mut row: Row) {
        let Some(stretch) = &mut self.stretch else { return self.rows.push(row) };
        row.bucket_s = match self.last {
            Some((bucket, stands)) if bucket == row.bucket_s => stands,
            _ => {
                let stands = stretch(row.bucket_s);
                self.last = Some((row.bucket_s, stands));
                stands
            }
        };
        let next = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let place = *self.index.entry(Key::of(&row)).or_insert(next);
        match self.rows.get_mut(place as usize) {
            None => self.rows.push(row),
            Some(sum) => {
                sum.up_bytes = sum.up_bytes.saturating_add(row.up_bytes);
                sum.down_bytes = sum.down_bytes.saturating_add(row.down_bytes);
                sum.up_packets = sum.up_packets.saturating_add(row.up_packets);
                sum.down_packets = sum.down_packets.saturating_add(row.down_packets);
            }
        }
    }

    pub(super) fn finish(self) -> Vec<Row> {
        self.rows
    }
}
