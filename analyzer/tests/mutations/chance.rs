//! Numbers that look random and are the same for the same seed, and what bytes can suffer.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose places and bytes.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The numbers of one case of a run.
    pub fn of(seed: u64, kind: &str, case: u64) -> Self {
        let kind = kind.bytes().fold(0, |sum: u64, b| sum.wrapping_mul(257).wrapping_add(b.into()));
        let mut chance = Self(seed ^ kind.rotate_left(32) ^ case.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        chance.next();
        chance
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`; 0 where there is none.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }

    /// True once in so many times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// An integer at which programs break.
    pub fn odd_number(&mut self) -> u64 {
        let edges = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 1 << 31, u64::from(u32::MAX), 1 << 48, 1 << 62];
        match self.below(4) {
            0 => self.next(),
            1 => u64::MAX - self.next() % 4,
            _ => self.pick(&edges).wrapping_add(self.next() % 3).wrapping_sub(1),
        }
    }

    /// Changes a few bytes; those at the front, where headers are, more often.
    pub fn flip(&mut self, bytes: &mut [u8]) {
        for _ in 0..=self.below(6) {
            let len = if self.one_in(2) { bytes.len().min(100) } else { bytes.len() };
            let at = self.below(len);
            let Some(place) = bytes.get_mut(at) else { return };
            match self.below(3) {
                0 => *place ^= 1 << self.below(8),
                1 => *place = self.next() as u8,
                _ => *place = *self.pick(&[0, 1, 0x7f, 0x80, 0xfe, 0xff]),
            }
        }
    }

    /// What happens to a file as bytes: changed, cut, parts missing, doubled, moved, foreign,
    /// numbers replaced.
    pub fn spoil(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(2) {
            let from = self.below(bytes.len() + 1);
            let to = (from + 1 + self.below(64)).min(bytes.len());
            match self.below(9) {
                0 => bytes.truncate(from),
                1 => drop(bytes.drain(from.min(to)..to)),
                2 => {
                    let part = bytes[from.min(to)..to].to_vec();
                    let at = self.below(bytes.len() + 1);
                    bytes.splice(at..at, part);
                }
                3 => {
                    let start = self.below(other.len());
                    let part = other[start..].iter().copied().take(1 + self.below(200)).collect::<Vec<_>>();
                    bytes.splice(from..from, part);
                }
                4 => {
                    let width = *self.pick(&[1, 2, 4, 8]);
                    let number = self.odd_number();
                    let number = if self.one_in(2) { number.to_le_bytes() } else { number.swap_bytes().to_le_bytes() };
                    for (place, byte) in bytes.iter_mut().skip(from).take(width).zip(number) {
                        *place = byte;
                    }
                }
                5 => bytes[from.min(to)..to].fill(0),
                _ => self.flip(bytes),
            }
        }
    }
}
