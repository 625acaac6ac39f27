//! A map that forgets.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::hash::Hash;

/// Values in one generation; two generations are kept. As many as fit into 2^18 places of a map,
/// which is never fuller than seven eighths: one more, and it would take twice the room. At about
/// 130 bytes a value this bounds one map near 60 MiB in the worst case; a home needs 2 MiB.
const GENERATION: usize = 229_376;

/// Values in one generation of what is looked up within a minute: at 200 a second, in a network of
/// hundreds of devices, one generation holds it. As many as fit into 2^14 places.
pub(super) const SHORT: usize = 14_336;

/// Likewise of what is looked up within seconds. As many as fit into 2^13 places.
pub(super) const BRIEF: usize = 7_168;

/// Lists of values by key. What was not written for a whole generation, of `MOST` values, is
/// dropped.
#[derive(Debug)]
pub(super) struct Aging<K, L: Held, const MOST: usize = GENERATION> {
    young: HashMap<K, L, RandomState>,
    old: HashMap<K, L, RandomState>,
    /// Values that were put into the young generation.
    written: usize,
    /// Room for a list while it is changed.
    room: Vec<L::Value>,
}

impl<K, L: Held, const MOST: usize> Default for Aging<K, L, MOST> {
    fn default() -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), written: 0, room: Vec::new() }
    }
}

impl<K: Hash + Eq, L: Held, const MOST: usize> Aging<K, L, MOST> {
    /// The values of a key.
    #[inline]
    pub(super) fn get(&self, key: &K) -> &[L::Value] {
        self.young.get(key).or_else(|| self.old.get(key)).map_or(&[], L::values)
    }

    /// Hands the values of a key to `change`, which adds at most one.
    #[inline]
    pub(super) fn change(&mut self, key: K, change: impl FnOnce(&mut Vec<L::Value>)) {
        if self.written >= MOST && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
            self.written = 0;
        }
        let old = &mut self.old;
        let held = match self.young.entry(key) {
            hashbrown::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hashbrown::hash_map::Entry::Vacant(entry) => {
                let held = old.remove(entry.key()).unwrap_or_default();
                self.written = self.written.saturating_add(held.values().len());
                entry.insert(held)
            }
        };
        let mut values = std::mem::take(held).open(std::mem::take(&mut self.room));
        let before = values.len();
        change(&mut values);
        self.written = self.written.saturating_add(values.len().saturating_sub(before));
        (*held, self.room) = L::close(values);
    }
}

/// How the values of one key are held. There are very many, most of one value.
pub(super) trait Held: Default {
    /// What is held.
    type Value;

    /// The values.
    fn values(&self) -> &[Self::Value];

    /// The values, to be changed. `room` is an empty list that may be used for them.
    fn open(self, room: Vec<Self::Value>) -> Vec<Self::Value>;

    /// Holds the values; what is left of the list can be used again.
    fn close(values: Vec<Self::Value>) -> (Self, Vec<Self::Value>);
}

/// Large values: apart from the map, whose places are empty up to half.
impl<V> Held for Box<[V]> {
    type Value = V;

    fn values(&self) -> &[V] {
        self
    }

    fn open(self, _room: Vec<V>) -> Vec<V> {
        self.into_vec()
    }

    fn close(values: Vec<V>) -> (Self, Vec<V>) {
        (values.into_boxed_slice(), Vec::new())
    }
}

/// Small values: one alone is in the map itself.
#[derive(Debug, Default)]
pub(super) enum Few<V> {
    #[default]
    None,
    One(V),
    More(Vec<V>),
}

impl<V> Few<V> {
    /// The value that was added last.
    pub(super) fn last_mut(&mut self) -> Option<&mut V> {
        match self {
            Self::None => None,
            Self::One(value) => Some(value),
            Self::More(values) => values.last_mut(),
        }
    }

    /// Adds a value.
    pub(super) fn add(&mut self, value: V) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(value),
            Self::One(first) => Self::More(vec![first, value]),
            Self::More(mut values) => {
                push(&mut values, value);
                Self::More(values)
            }
        };
    }
}

impl<V> Held for Few<V> {
    type Value = V;

    #[inline]
    fn values(&self) -> &[V] {
        match self {
            Self::None => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::More(values) => values,
        }
    }

    fn open(self, mut room: Vec<V>) -> Vec<V> {
        match self {
            Self::None => room,
            Self::One(value) => {
                room.push(value);
                room
            }
            Self::More(values) => values,
        }
    }

    fn close(mut values: Vec<V>) -> (Self, Vec<V>) {
        if values.len() > 1 {
            return (Self::More(values), Vec::new());
        }
        (values.pop().map_or(Self::None, Self::One), values)
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
        let mut map: Aging<usize, Few<usize>> = Aging::default();
        let add = |map: &mut Aging<usize, Few<usize>>, key| map.change(key, |values| values.push(key));
        (0..GENERATION).for_each(|key| add(&mut map, key));
        add(&mut map, GENERATION);
        assert_eq!((map.get(&0), map.get(&1)), (&[0][..], &[1][..]), "two generations are kept");
        add(&mut map, 0);
        (GENERATION + 1..2 * GENERATION).for_each(|key| add(&mut map, key));
        assert_eq!((map.get(&0), map.get(&1)), (&[0, 0][..], &[][..]));
        assert!(map.young.len() + map.old.len() <= 2 * GENERATION);
    }

    #[test]
    fn lists_of_any_length_come_back_as_they_went() {
        fn all_come_back<L: Held<Value = usize>>() {
            let mut map: Aging<usize, L> = Aging::default();
            for value in 0..5 {
                for key in 0..=value {
                    map.change(key, |values| values.push(value));
                }
            }
            map.change(3, Vec::clear);
            let list = |key| map.get(&key).to_vec();
            assert_eq!(
                [list(0), list(2), list(3), list(4), list(5)],
                [vec![0, 1, 2, 3, 4], vec![2, 3, 4], vec![], vec![4], vec![]]
            );
        }
        all_come_back::<Few<usize>>();
        all_come_back::<Box<[usize]>>();
        assert_eq!(size_of::<Few<u64>>(), size_of::<Vec<u64>>(), "one value alone takes no room of its own");
    }
}
