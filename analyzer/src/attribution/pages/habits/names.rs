//! Names of sites with what finds them faster than their letters do: they are looked up for each
//! page that was shown, many times a second.

use super::{Habits, PRIOR_VISITS, ones};
use foldhash::fast::RandomState;
use std::hash::{BuildHasher as _, Hash, Hasher};
use std::sync::{Arc, LazyLock};

/// A hash of a name. Books do not depend on it: where two names have one, their letters decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key(u64);

impl Key {
    /// That of a name, the same for all habits. Nobody outside can know it, and choose names with
    /// one key.
    fn of(name: &str) -> Self {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::default);
        Self(KEYS.hash_one(name))
    }
}

/// The name of a site, with what finds it faster than its letters do.
#[derive(Debug, Clone)]
pub struct Named {
    /// The name.
    pub site: Arc<str>,
    key: Key,
    /// Its number among those that habits know, as long as they know it by this very text.
    pub(super) number: usize,
}

impl Named {
    /// `number`: where habits have it, if they do.
    pub(super) fn new(site: &Arc<str>, number: usize) -> Self {
        Self { site: Arc::clone(site), key: Key::of(site), number }
    }

    /// Whether it is the same name.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        // Of equal keys the texts are nearly always the same one in memory: no letter is read then
        // (for texts `Arc` compares letters whatever they are).
        self.key == other.key && (Arc::ptr_eq(&self.site, &other.site) || self.site == other.site)
    }
}

impl PartialEq for Named {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.key.0);
    }
}

/// Names, each as one of 64 bits: most that are looked for are none of these, and this says so. Two
/// may have the same bit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Marks(u64);

impl Marks {
    /// Marks a name.
    #[inline]
    pub fn add(&mut self, name: &Named) {
        self.0 |= Self::bit(name);
    }

    /// Whether it may have been marked.
    #[inline]
    pub fn may_have(self, name: &Named) -> bool {
        self.0 & Self::bit(name) != 0
    }

    fn bit(name: &Named) -> u64 {
        1 << (name.key.0 % 64)
    }
}

/// Pairs of page and site, each as one bit: most pages never pulled most sites in, and this says so
/// in a fifth of the time. A pair may have the bit of another one: then the maps are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pairs(Vec<u64>);

impl Pairs {
    /// Words of 64 bits, 64 KiB in all: a bit in twenty is set by a home's 25,000 pairs.
    const WORDS: usize = 8_192;

    #[inline]
    fn place(page: Key, site: Key) -> (usize, u64) {
        let mixed = page.0 ^ site.0.rotate_left(23).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bit = usize::try_from(mixed % (Self::WORDS as u64 * 64)).unwrap_or_default();
        (bit / 64, 1 << (bit % 64))
    }

    pub(super) fn add(&mut self, page: &Named, site: &Named) {
        self.0.resize(Self::WORDS, 0);
        let (word, bit) = Self::place(page.key, site.key);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    #[inline]
    fn may_have(&self, page: &Named, site: &Named) -> bool {
        let (word, bit) = Self::place(page.key, site.key);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// How often a site is pulled in, by whatever page: see [`Habits::rates`].
#[derive(Debug, Clone)]
pub struct Rates<'h> {
    pub(super) habits: &'h Habits,
    /// The site.
    pub site: Named,
    /// Share of all visits that pull it in.
    pub of_all: f64,
}

impl Rates<'_> {
    /// Share of the visits to `page` that pull the site in.
    #[inline]
    pub fn of(&self, page: &Named) -> f64 {
        self.pulls_and_share(page).1
    }

    /// How often `page` was seen to pull the site in, and [`Self::of`]: of one look-up.
    #[inline]
    pub fn pulls_and_share(&self, page: &Named) -> (f64, f64) {
        let Some(known) = self.habits.page(page) else { return (0.0, self.of_all) };
        let pulls = if self.may_be_of(page) { known.pulls.get(&self.site).copied() } else { None };
        let pulls = pulls.unwrap_or_default();
        (ones(pulls), rate(pulls, known.visits, self.of_all))
    }

    /// How often `page` was seen to pull the site in.
    #[inline]
    pub fn pulled_by(&self, page: &Named) -> f64 {
        if self.may_be_of(page) { self.counted(page) } else { 0.0 }
    }

    /// The same, from the maps. Not inlined: nearly always the bit has answered, and the loops over
    /// pages stay small.
    #[inline(never)]
    fn counted(&self, page: &Named) -> f64 {
        ones(self.habits.page(page).and_then(|known| known.pulls.get(&self.site)).copied().unwrap_or_default())
    }

    /// Share of all pulls of the site that `page` made.
    pub fn share_of(&self, page: &Named) -> f64 {
        let all = ones(self.habits.page(&self.site).map_or(0, |site| site.pulled));
        (self.pulled_by(page) / all.max(1.0)).min(1.0)
    }

    /// Whether the page may ever have been seen to pull it in: a bit, and no map.
    #[inline]
    pub fn may_be_of(&self, page: &Named) -> bool {
        self.habits.pulled_pairs.may_have(page, &self.site)
    }
}

fn rate(pulls: i64, visits: i64, of_all: f64) -> f64 {
    ((ones(pulls) + PRIOR_VISITS * of_all) / (ones(visits) + PRIOR_VISITS)).min(1.0)
}
