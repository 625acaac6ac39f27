//! What was learned: how sites begin to be used, and which pages pull which sites in.
//!
//! Weights are whole thousandths, so that sums do not depend on their order and the store can give
//! them back exactly.

use foldhash::fast::{FixedState, RandomState};
use hashbrown::HashMap;
use indexmap::IndexMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

/// One as a weight.
pub const WHOLE: i64 = 1_000;

/// Sites remembered: a home meets some thousands. Beyond it everything fades by half, and what is
/// nothing then is forgotten.
const MAX_SITES: usize = 65_536;

/// Pairs of page and site remembered, at about 100 bytes each.
const MAX_PAIRS: usize = 262_144;

/// Visits that an unknown page counts for: how fast what a page was seen to do outweighs what pages
/// do in general.
const PRIOR_VISITS: f64 = 1.5;

/// Bursts that an unknown host counts for, and pulls and visits that an unknown site does.
const PRIOR_BURSTS: f64 = 1.0;
const PRIOR_USES: f64 = 2.0;

/// Most pulls of a site by one visit that count.
const MOST_PULLS: f64 = 8.0;

/// Share of bursts that are visits where little is known, and the bursts that this counts for.
const PRIOR_SHARE: f64 = 0.125;
const PRIOR_SHARE_BURSTS: f64 = 100.0;

/// Bursts after which three quarters of the newness are gone: a minute's.
const NEW_BURSTS: f64 = 60.0;

/// How often a site of which nothing is known is pulled in by a page.
const PRIOR_PULL: f64 = 0.15;

/// One thing learned, in thousandths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Habit {
    /// A host began to be used, in a context that speaks for a document (above 0) or against it.
    Burst(Arc<str>, i64),
    /// A site was visited by this host (second), as surely as this.
    Visit(Arc<str>, Arc<str>, i64),
    /// A page (first) pulled a site (second) in, as surely as this.
    Pull(Arc<str>, Arc<str>, i64),
}

/// What was learned of one name, in thousandths: bursts and their context of a host, visits and
/// document of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HabitsOfSite {
    /// How often it began to be used.
    pub bursts: i64,
    /// Sum of the contexts.
    pub context: i64,
    /// How often it was visited.
    pub visits: i64,
    /// Host of the latest visit's document.
    pub document: Option<Arc<str>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Site {
    bursts: i64,
    context: i64,
    visits: i64,
    /// How often it was pulled in by any page.
    pulled: i64,
    pulls: HashMap<Arc<str>, i64, RandomState>,
    /// Host of the latest visit's document.
    document: Option<Arc<str>>,
}

/// A name as [`Pairs`] take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key(u64);

impl Key {
    /// That of a name; the same in every run, so that books do not depend on it.
    fn of(name: &str) -> Self {
        Self(FixedState::default().hash_one(name))
    }
}

/// A page's name, with what finds it faster than its letters do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub site: Arc<str>,
    key: Key,
    /// Its number among those that habits know, as long as they know it by this very text.
    number: usize,
}

impl Named {
    /// Whether it is the same name.
    #[inline]
    pub fn is(&self, other: &Self) -> bool {
        self.key == other.key && self.site == other.site
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
struct Pairs(Vec<u64>);

impl Pairs {
    /// Words of 64 bits, 64 KiB in all: a bit in twenty is set by a home's 25,000 pairs.
    const WORDS: usize = 8_192;

    fn place(page: Key, site: Key) -> (usize, u64) {
        let mixed = page.0 ^ site.0.rotate_left(23).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bit = usize::try_from(mixed % (Self::WORDS as u64 * 64)).unwrap_or_default();
        (bit / 64, 1 << (bit % 64))
    }

    fn add(&mut self, page: Key, site: Key) {
        self.0.resize(Self::WORDS, 0);
        let (word, bit) = Self::place(page, site);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn may_have(&self, page: Key, site: Key) -> bool {
        let (word, bit) = Self::place(page, site);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// How often a site is pulled in, by whatever page: see [`Habits::rates`].
#[derive(Debug, Clone, Copy)]
pub struct Rates<'h> {
    habits: &'h Habits,
    /// The site.
    pub site: &'h str,
    key: Key,
    /// Share of all visits that pull it in.
    pub of_all: f64,
}

impl Rates<'_> {
    /// As [`Habits::pull_rate`].
    #[inline]
    pub fn of(&self, page: &Named) -> f64 {
        let Some(known) = self.habits.page(page) else { return self.of_all };
        let pulls = if self.may_be_of(page.key) { known.pulls.get(self.site).copied() } else { None };
        rate(pulls.unwrap_or_default(), known.visits, self.of_all)
    }

    /// As [`Habits::pulled_by`].
    #[inline]
    pub fn pulled_by(&self, page: &Named) -> f64 {
        let known = if self.may_be_of(page.key) { self.habits.page(page) } else { None };
        ones(known.and_then(|known| known.pulls.get(self.site)).copied().unwrap_or_default())
    }

    /// Whether the site is this one.
    #[inline]
    pub fn are_of(&self, page: &Named) -> bool {
        self.key == page.key && *self.site == *page.site
    }

    /// Whether the page may ever have been seen to pull it in.
    fn may_be_of(&self, page: Key) -> bool {
        self.habits.pulled_pairs.may_have(page, self.key)
    }
}

fn rate(pulls: i64, visits: i64, of_all: f64) -> f64 {
    ((ones(pulls) + PRIOR_VISITS * of_all) / (ones(visits) + PRIOR_VISITS)).min(1.0)
}

/// Everything learned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Habits {
    /// Hosts and sites, in the order of their first use.
    sites: IndexMap<Arc<str>, Site, RandomState>,
    pairs: usize,
    /// Pairs that there are, or were before they were forgotten.
    pulled_pairs: Pairs,
    visits: i64,
    bursts: i64,
}

impl Habits {
    /// Takes one thing learned.
    pub fn learn(&mut self, habit: &Habit) {
        match habit {
            Habit::Burst(site, context) => {
                self.bursts = self.bursts.saturating_add(WHOLE);
                let site = self.site(site);
                site.bursts = site.bursts.saturating_add(WHOLE);
                site.context = site.context.saturating_add(*context);
            }
            Habit::Visit(site, host, weight) => {
                self.visits = self.visits.saturating_add(*weight);
                let site = self.site(site);
                site.visits = site.visits.saturating_add(*weight);
                site.document = Some(Arc::clone(host));
            }
            Habit::Pull(page, site, weight) => self.pull(page, site, *weight),
        }
    }

    fn pull(&mut self, page: &Arc<str>, site: &Arc<str>, weight: i64) {
        let pulled = self.site(site);
        pulled.pulled = pulled.pulled.saturating_add(weight);
        if self.pairs >= MAX_PAIRS {
            self.fade();
        }
        self.pulled_pairs.add(Key::of(page), Key::of(site));
        let pulls = &mut self.site(page).pulls;
        let before = pulls.len();
        let sum = pulls.entry(Arc::clone(site)).or_default();
        *sum = sum.saturating_add(weight);
        self.pairs += pulls.len() - before;
    }

    /// The sums of sources before this one.
    pub fn restore_site(&mut self, site: &Arc<str>, sums: HabitsOfSite) {
        let HabitsOfSite { bursts, context, visits, document } = sums;
        self.visits = self.visits.saturating_add(visits);
        self.bursts = self.bursts.saturating_add(bursts);
        let site = self.site(site);
        site.bursts = site.bursts.saturating_add(bursts);
        site.context = site.context.saturating_add(context);
        site.visits = site.visits.saturating_add(visits);
        site.document = document.or(site.document.take());
    }

    /// The sum of sources before this one.
    pub fn restore_pull(&mut self, page: &Arc<str>, site: &Arc<str>, weight: i64) {
        self.pull(page, site, weight);
    }

    /// Hosts and sites, each with its sums, in the order of their first use.
    pub fn sites(&self) -> impl Iterator<Item = (&Arc<str>, HabitsOfSite)> {
        self.sites.iter().map(|(name, site)| {
            let Site { bursts, context, visits, .. } = *site;
            (name, HabitsOfSite { bursts, context, visits, document: site.document.clone() })
        })
    }

    /// Pages and the sites they pulled in, in no order.
    pub fn pulls(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, i64)> {
        self.sites.iter().flat_map(|(page, site)| site.pulls.iter().map(move |(pulled, sum)| (page, pulled, *sum)))
    }

    /// Context in which the host usually begins to be used: above 0 as documents do, below as what
    /// they pull in; near 0 where little is known.
    pub fn context(&self, site: &str) -> f64 {
        self.sites.get(site).map_or(0.0, |site| ones(site.context) / (ones(site.bursts) + PRIOR_BURSTS))
    }

    /// How often the host began to be used.
    pub fn bursts(&self, host: &str) -> f64 {
        ones(self.sites.get(host).map_or(0, |site| site.bursts))
    }

    /// 1 while nothing is known, falling to 0 with every burst.
    pub fn newness(&self) -> f64 {
        (NEW_BURSTS / (NEW_BURSTS + ones(self.bursts))).powi(2)
    }

    /// Share of bursts that are visits.
    pub fn visits_of_bursts(&self) -> f64 {
        (ones(self.visits) + PRIOR_SHARE * PRIOR_SHARE_BURSTS) / (ones(self.bursts) + PRIOR_SHARE_BURSTS)
    }

    /// How often a visit to `page` pulls `site` in, one of each left out: so that what is asked
    /// about does not speak for itself. More than once where it comes again and again, as adverts
    /// do.
    pub fn pull_rate_besides(&self, page: &str, site: &str) -> f64 {
        let less = |weight: i64| ones(weight.saturating_sub(WHOLE).max(0));
        let pulled = less(self.sites.get(site).map_or(0, |site| site.pulled));
        let of_all = (pulled + PRIOR_VISITS * PRIOR_PULL) / (less(self.visits) + PRIOR_VISITS);
        let Some(known) = self.sites.get(page) else { return of_all.min(1.0) };
        let pulls = known.pulls.get(site).copied().unwrap_or_default();
        ((less(pulls) + PRIOR_VISITS * of_all) / (less(known.visits) + PRIOR_VISITS)).min(MOST_PULLS)
    }

    /// Share of the visits to `page` that pull `site` in.
    pub fn pull_rate(&self, page: &str, site: &str) -> f64 {
        let of_all = self.pull_rate_of_all(site);
        let Some(known) = self.sites.get(page) else { return of_all };
        rate(known.pulls.get(site).copied().unwrap_or_default(), known.visits, of_all)
    }

    /// How often `site` is pulled in, to be asked for many pages.
    pub fn rates<'h>(&'h self, site: &'h str) -> Rates<'h> {
        Rates { habits: self, site, key: Key::of(site), of_all: self.pull_rate_of_all(site) }
    }

    /// Share of all visits that pull `site` in.
    pub fn pull_rate_of_all(&self, site: &str) -> f64 {
        let pulled = ones(self.sites.get(site).map_or(0, |site| site.pulled));
        ((pulled + PRIOR_VISITS * PRIOR_PULL) / (ones(self.visits) + PRIOR_VISITS)).min(1.0)
    }

    /// How much more often `site` is pulled in (1) than visited (-1); 0 where nothing is known.
    pub fn pulled_more(&self, site: &str) -> f64 {
        self.sites.get(site).map_or(0.0, |site| {
            (ones(site.pulled) - ones(site.visits)) / (ones(site.pulled) + ones(site.visits) + PRIOR_USES)
        })
    }

    /// How often pages of the site were visited.
    pub fn visits_of(&self, page: &str) -> f64 {
        ones(self.sites.get(page).map_or(0, |site| site.visits))
    }

    /// Share of all pulls of `site` that `page` made.
    pub fn pull_share(&self, page: &str, site: &str) -> f64 {
        let all = ones(self.sites.get(site).map_or(0, |site| site.pulled));
        (self.pulled_by(page, site) / all.max(1.0)).min(1.0)
    }

    /// How often `page` was seen to pull `site` in.
    pub fn pulled_by(&self, page: &str, site: &str) -> f64 {
        ones(self.sites.get(page).and_then(|page| page.pulls.get(site)).copied().unwrap_or_default())
    }

    /// A page, to be asked about often.
    pub fn named(&self, page: &Arc<str>) -> Named {
        let known = self.sites.get_full(page);
        let (number, site) = known.map_or((usize::MAX, page), |(number, name, _)| (number, name));
        Named { site: Arc::clone(site), key: Key::of(page), number }
    }

    #[inline]
    fn page(&self, page: &Named) -> Option<&Site> {
        match self.sites.get_index(page.number) {
            Some((name, site)) if Arc::ptr_eq(name, &page.site) => Some(site),
            // It was not known then, or has another number since something was forgotten.
            _ => self.sites.get(&page.site),
        }
    }

    fn site(&mut self, name: &Arc<str>) -> &mut Site {
        if self.sites.len() >= MAX_SITES && !self.sites.contains_key(name) {
            self.fade();
        }
        self.sites.entry(Arc::clone(name)).or_default()
    }

    /// Everything counts half, and what is nothing then is forgotten.
    fn fade(&mut self) {
        (self.visits, self.bursts) = (self.visits / 2, self.bursts / 2);
        self.sites.retain(|_, site| {
            site.pulls.retain(|_, sum| {
                *sum /= 2;
                // Less than a tenth of one pull says nothing about a page.
                *sum > WHOLE / 10
            });
            (site.bursts, site.context) = (site.bursts / 2, site.context / 2);
            (site.visits, site.pulled) = (site.visits / 2, site.pulled / 2);
            site.bursts > WHOLE / 2 || !site.pulls.is_empty()
        });
        self.pairs = self.sites.values().map(|site| site.pulls.len()).sum();
        // A flood of sites each seen often: nothing but forgetting bounds it.
        if self.sites.len() >= MAX_SITES || self.pairs >= MAX_PAIRS {
            *self = Self::default();
        }
    }
}

fn ones(weight: i64) -> f64 {
    weight as f64 / WHOLE as f64
}
