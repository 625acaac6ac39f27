//! Usage that was summed up while it was read: what differs once, and of each stretch of time only
//! amounts. So years of it stay small.

use super::Row;

/// Sums by stretch of time, and by whatever else they tell apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Side {
    /// What differs: rows of no time and without amounts.
    pub keys: Vec<Row>,
    /// Each stretch once, in the order of its first row.
    pub stretches: Vec<Stretch>,
}

/// The sums of a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stretch {
    /// The start of a bucket that stands for it.
    pub start_s: i64,
    /// Amounts by index of a key.
    pub sums: Sums,
}

/// Amounts of keys; a key may be there several times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sums {
    /// The key's index, with bytes up and bytes down.
    bytes: Vec<(u32, [u64; 2])>,
    /// Packets up and down, in the same order; nothing where nobody asks for them.
    packets: Vec<[u64; 2]>,
}

/// Bytes up, bytes down, packets up, packets down.
pub type Amounts = [u64; 4];

fn add(sum: &mut [u64; 2], more: [u64; 2]) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(more));
}

impl Sums {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// One more, the last; `has_packets`: as all others.
    #[inline]
    pub(crate) fn push(&mut self, key: u32, [up, down, packets @ ..]: Amounts, has_packets: bool) {
        self.bytes.push((key, [up, down]));
        if has_packets {
            self.packets.push(packets);
        }
    }

    /// Adds to the one in this place.
    #[inline]
    pub(crate) fn add(&mut self, place: usize, [up, down, packets @ ..]: Amounts) {
        if let Some((_, sum)) = self.bytes.get_mut(place) {
            add(sum, [up, down]);
        }
        if let Some(sum) = self.packets.get_mut(place) {
            add(sum, packets);
        }
    }

    /// Each with its key.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Amounts)> {
        let packets = self.packets.iter().copied().chain(std::iter::repeat([0; 2]));
        self.bytes.iter().zip(packets).map(|((key, [up, down]), [sent, got])| (*key, [*up, *down, sent, got]))
    }

    /// Takes in others, which come after; their keys become those of `here`.
    pub(crate) fn take(&mut self, mut others: Self, here: impl Fn(u32) -> u32) {
        others.bytes.iter_mut().for_each(|(key, _)| *key = here(*key));
        match self.is_empty() {
            true => *self = others,
            false => {
                self.bytes.append(&mut others.bytes);
                self.packets.append(&mut others.packets);
            }
        }
    }

    /// A copy that takes no more room than it needs, added at the end.
    pub(crate) fn take_copy(&mut self, others: &Self) {
        if self.is_empty() {
            self.bytes.reserve_exact(others.bytes.len());
            self.packets.reserve_exact(others.packets.len());
        }
        self.bytes.extend_from_slice(&others.bytes);
        self.packets.extend_from_slice(&others.packets);
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }
}

impl Side {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.stretches.iter().map(|stretch| stretch.sums.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its rows, each made as it is asked for.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.stretches.iter().flat_map(|stretch| rows_of(&self.keys, stretch))
    }

    /// All its rows at once.
    pub fn into_rows(self) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.len());
        let Self { keys, stretches } = self;
        stretches.into_iter().for_each(|stretch| rows.extend(rows_of(&keys, &stretch)));
        rows
    }
}

fn rows_of<'s>(keys: &'s [Row], Stretch { start_s, sums }: &'s Stretch) -> impl Iterator<Item = Row> + 's {
    sums.iter().filter_map(|(key, [up_bytes, down_bytes, up_packets, down_packets])| {
        let key = *keys.get(key as usize)?;
        Some(Row { bucket_s: *start_s, up_bytes, down_bytes, up_packets, down_packets, ..key })
    })
}
