//! Byte strings, each with a number: what a dictionary finds again.
//!
//! A map from boxed keys looks at four places of the memory for each (its control bytes, the key's
//! address, the key), which are mostly in no cache: between two looks thousands of packets went by.
//! Here it is two, the memory of all is in two pieces, and to forget all takes no time.

use foldhash::fast::RandomState;
use std::hash::{BuildHasher, Hasher};

/// Places at the beginning. A power of two, as it stays.
const FIRST_PLACES: usize = 64;

/// Byte strings and their numbers.
#[derive(Debug, Default)]
pub(super) struct Interned {
    hasher: RandomState,
    /// Of each string a part of its hash, and one more than where it stands in `entries`; 0 where
    /// there is none. A string is at the place that its hash says, or behind it where that is
    /// taken. Half of the places are free.
    places: Vec<(u32, u32)>,
    /// Number, length and bytes of each, in a row.
    entries: Vec<u8>,
    count: usize,
}

impl Interned {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The number of this one.
    pub(super) fn get(&self, bytes: &[u8]) -> Option<u32> {
        self.find(self.hash(bytes), bytes).ok()
    }

    /// The number of this one, which gets `number` if it is new; and whether it is.
    pub(super) fn number(&mut self, bytes: &[u8], number: u32) -> (u32, bool) {
        if self.count * 2 >= self.places.len() {
            self.grow();
        }
        let hash = self.hash(bytes);
        let place = match self.find(hash, bytes) {
            Ok(known) => return (known, false),
            Err(place) => place,
        };
        // A group has a few MiB.
        let at = self.entries.len() as u32;
        self.entries.extend(number.to_le_bytes());
        self.entries.extend((bytes.len() as u32).to_le_bytes());
        self.entries.extend(bytes);
        if let Some(place) = self.places.get_mut(place) {
            *place = (hash, at + 1);
            self.count += 1;
        }
        (number, true)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.places.fill((0, 0));
        self.entries.clear();
        self.count = 0;
    }

    fn hash(&self, bytes: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(bytes);
        hasher.finish() as u32
    }

    /// The number of this one, or the free place that it would have.
    fn find(&self, hash: u32, bytes: &[u8]) -> Result<u32, usize> {
        let mut place = self.place_of(hash);
        loop {
            match self.places.get(place) {
                Some((_, 0)) | None => return Err(place),
                Some((other, at)) if *other == hash => {
                    if let Some((number, known)) = self.entry(*at as usize - 1)
                        && known == bytes
                    {
                        return Ok(number);
                    }
                }
                Some(_) => {}
            }
            place = self.place_of(place as u32 + 1);
        }
    }

    /// The place for a hash, or the one behind another.
    fn place_of(&self, hash: u32) -> usize {
        hash as usize & self.places.len().wrapping_sub(1)
    }

    /// The number and the bytes that stand here.
    fn entry(&self, at: usize) -> Option<(u32, &[u8])> {
        let (number, rest) = self.entries.get(at..)?.split_first_chunk::<4>()?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        Some((u32::from_le_bytes(*number), rest.get(..u32::from_le_bytes(*len) as usize)?))
    }

    /// Twice as many places.
    #[cold]
    fn grow(&mut self) {
        let len = (self.places.len() * 2).max(FIRST_PLACES);
        let old = std::mem::replace(&mut self.places, vec![(0, 0); len]);
        for (hash, at) in old.into_iter().filter(|(_, at)| *at != 0) {
            let mut place = self.place_of(hash);
            while self.places.get(place).is_some_and(|(_, taken)| *taken != 0) {
                place = self.place_of(place as u32 + 1);
            }
            if let Some(free) = self.places.get_mut(place) {
                *free = (hash, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn each_string_keeps_the_number_that_it_got_first() {
        let mut interned = Interned::default();
        assert_eq!(interned.get(b""), None);
        for round in 0..2 {
            let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
            for n in 0..5_000_u32 {
                // Every third one again; of all lengths, the empty one too.
                let text = format!("{}", n % 1_667 * (round + 1)).repeat(n as usize % 4).into_bytes();
                assert_eq!(interned.get(&text), known.get(&text).copied());
                let first = *known.entry(text.clone()).or_insert(n);
                assert_eq!(interned.number(&text, n), (first, first == n));
            }
            assert_eq!(interned.len(), known.len());
            assert!(known.iter().all(|(text, number)| interned.get(text) == Some(*number)));
            interned.clear();
            assert!(known.keys().all(|text| interned.get(text).is_none()));
        }
    }
}
