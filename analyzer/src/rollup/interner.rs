//! Values with an index.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::hash::Hash;

/// Values with an index, in order of first use.
#[derive(Debug)]
pub struct Interner<T> {
    values: Vec<T>,
    index: HashMap<T, u32, RandomState>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: Vec::new(), index: HashMap::default() }
    }
}

impl<T: Hash + Eq + Clone> Interner<T> {
    /// The index of `value`, given now if it is new.
    pub fn index_of(&mut self, value: &T) -> u32 {
        if let Some(index) = self.index.get(value) {
            return *index;
        }
        let index = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.index.insert(value.clone(), index);
        index
    }

    /// Whether `value` has an index.
    pub fn contains(&self, value: &T) -> bool {
        self.index.contains_key(value)
    }

    /// All values, by index.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The value with an index.
    pub fn get(&self, index: u32) -> Option<&T> {
        self.values.get(index as usize)
    }
}
