//! A map that forgets.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::hash::Hash;

/// Values in one generation; two generations are kept. At about 150 bytes a value this bounds one
/// map near 80 MiB in the worst case; a home needs 2 MiB.
const GENERATION: usize = 262_144;

/// Values in one generation of what is looked up within minutes: at 200 a second, in a network of
/// hundreds of devices, both generations hold five minutes.
pub(super) const SHORT: usize = 32_768;

/// Lists of values by key. What was not written for a whole generation, of `MOST` values, is
/// dropped.
#[derive(Debug)]
pub(super) struct Aging<K, V, const MOST: usize = GENERATION> {
    young: HashMap<K, Vec<V>, RandomState>,
    old: HashMap<K, Vec<V>, RandomState>,
    /// Values that were put into the young generation.
    written: usize,
}

impl<K, V, const MOST: usize> Default for Aging<K, V, MOST> {
    fn default() -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), written: 0 }
    }
}

impl<K: Hash + Eq, V, const MOST: usize> Aging<K, V, MOST> {
    /// The values of a key.
    #[inline]
    pub(super) fn get(&self, key: &K) -> &[V] {
        self.young.get(key).or_else(|| self.old.get(key)).map_or(&[], Vec::as_slice)
    }

    /// Hands the values of a key to `change`, which adds at most one.
    #[inline]
    pub(super) fn change(&mut self, key: K, change: impl FnOnce(&mut Vec<V>)) {
        if self.written >= MOST && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
            self.written = 0;
        }
        let old = &mut self.old;
        let values = match self.young.entry(key) {
            hashbrown::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hashbrown::hash_map::Entry::Vacant(entry) => {
                let values = old.remove(entry.key()).unwrap_or_default();
                self.written = self.written.saturating_add(values.len());
                entry.insert(values)
            }
        };
        let before = values.len();
        change(values);
        self.written = self.written.saturating_add(values.len().saturating_sub(before));
    }
}

/// Adds to a list of which there are very many, most with one value: the usual growth begins with
/// room for four.
pub(super) fn push<V>(all: &mut Vec<V>, value: V) {
    if all.len() == all.capacity() {
        all.reserve_exact(all.len().max(1));
    }
    all.push(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_again_stays_and_the_rest_goes() {
        let mut map: Aging<usize, usize> = Aging::default();
        let add = |map: &mut Aging<usize, usize>, key| map.change(key, |values| values.push(key));
        (0..GENERATION).for_each(|key| add(&mut map, key));
        add(&mut map, GENERATION);
        assert_eq!((map.get(&0), map.get(&1)), (&[0][..], &[1][..]), "two generations are kept");
        add(&mut map, 0);
        (GENERATION + 1..2 * GENERATION).for_each(|key| add(&mut map, key));
        assert_eq!((map.get(&0), map.get(&1)), (&[0, 0][..], &[][..]));
        assert!(map.young.len() + map.old.len() <= 2 * GENERATION);
    }
}
