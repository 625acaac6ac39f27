//! What was learned: how sites begin to be used, and which pages pull which sites in.
//!
//! Weights are whole thousandths, so that sums do not depend on their order and the store can give
//! them back exactly.

use crate::attribution::policy::{DAY_NS, HABIT_DAYS};
use foldhash::fast::{FixedState, RandomState};
use hashbrown::HashMap;
use indexmap::IndexMap;
use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::ops::Bound;
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

/// One thing learned, on a UTC day since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Habit {
    /// The day.
    pub day: i64,
    /// What.
    pub what: What,
}

/// What was learned, in thousandths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
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

/// Sums over some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Sums {
    /// Hosts and sites, in the order of their first use.
    sites: IndexMap<Arc<str>, Site, RandomState>,
    pairs: usize,
    visits: i64,
    bursts: i64,
}

impl Sums {
    fn site(&mut self, name: &Arc<str>) -> &mut Site {
        self.sites.entry(Arc::clone(name)).or_default()
    }

    fn add_site(&mut self, name: &Arc<str>, sums: HabitsOfSite) {
        let HabitsOfSite { bursts, context, visits, document } = sums;
        self.visits = self.visits.saturating_add(visits);
        self.bursts = self.bursts.saturating_add(bursts);
        let site = self.site(name);
        site.bursts = site.bursts.saturating_add(bursts);
        site.context = site.context.saturating_add(context);
        site.visits = site.visits.saturating_add(visits);
        site.document = document.or(site.document.take());
    }

    fn add_pull(&mut self, page: &Arc<str>, site: &Arc<str>, weight: i64) {
        let pulled = self.site(site);
        pulled.pulled = pulled.pulled.saturating_add(weight);
        let pulls = &mut self.site(page).pulls;
        let before = pulls.len();
        let sum = pulls.entry(Arc::clone(site)).or_default();
        *sum = sum.saturating_add(weight);
        self.pairs += pulls.len() - before;
    }

    fn add_all(&mut self, other: &Self) {
        other.sites().for_each(|(name, sums)| self.add_site(name, sums));
        other.pulls().for_each(|(page, site, weight)| self.add_pull(page, site, weight));
    }

    /// Takes out what was added before. Whatever faded meanwhile is gone already.
    fn take_out(&mut self, other: &Self) {
        let less = |sum: i64, out: i64| sum.saturating_sub(out).max(0);
        (self.visits, self.bursts) = (less(self.visits, other.visits), less(self.bursts, other.bursts));
        for (name, out) in &other.sites {
            let Some(site) = self.sites.get_mut(name) else { continue };
            (site.bursts, site.visits) = (less(site.bursts, out.bursts), less(site.visits, out.visits));
            site.pulled = less(site.pulled, out.pulled);
            site.context = if site.bursts == 0 { 0 } else { site.context.saturating_sub(out.context) };
            for (pulled, weight) in &out.pulls {
                if let Some(sum) = site.pulls.get_mut(pulled) {
                    *sum = less(*sum, *weight);
                    if *sum == 0 {
                        site.pulls.remove(pulled);
                        self.pairs = self.pairs.saturating_sub(1);
                    }
                }
            }
            if site.bursts == 0 && site.visits == 0 && site.pulled == 0 && site.pulls.is_empty() {
                self.sites.swap_remove(name);
            }
        }
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
    }

    fn is_full(&self) -> bool {
        self.sites.len() >= MAX_SITES || self.pairs >= MAX_PAIRS
    }

    fn sites(&self) -> impl Iterator<Item = (&Arc<str>, HabitsOfSite)> {
        self.sites.iter().map(|(name, site)| {
            let Site { bursts, context, visits, .. } = *site;
            (name, HabitsOfSite { bursts, context, visits, document: site.document.clone() })
        })
    }

    fn pulls(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, i64)> {
        self.sites.iter().flat_map(|(page, site)| site.pulls.iter().map(move |(pulled, sum)| (page, pulled, *sum)))
    }
}

/// What was learned, by UTC day. On a day counts what was learned on it so far, and on the days
/// before it that make [`HABIT_DAYS`] with it: [`Self::turn_to`]. Where no day was said all days
/// count.
#[derive(Debug, Clone, Default)]
pub struct Habits {
    days: BTreeMap<i64, Sums>,
    /// Sums of the days that count.
    all: Sums,
    /// Pairs that there are in these, or were before they were forgotten.
    pulled_pairs: Pairs,
    today: Option<i64>,
}

/// The UTC day of this time, in nanoseconds.
pub fn day_of(at_ns: i64) -> i64 {
    at_ns.div_euclid(DAY_NS)
}

impl Habits {
    /// Takes one thing learned.
    pub fn learn(&mut self, habit: &Habit) {
        let day = habit.day;
        match &habit.what {
            What::Burst(host, context) => {
                let sums = HabitsOfSite { bursts: WHOLE, context: *context, ..HabitsOfSite::default() };
                self.restore_site(day, host, sums);
            }
            What::Visit(site, host, weight) => {
                let document = Some(Arc::clone(host));
                self.restore_site(day, site, HabitsOfSite { visits: *weight, document, ..HabitsOfSite::default() });
            }
            What::Pull(page, site, weight) => self.restore_pull(day, page, site, *weight),
        }
    }

    /// Takes what a source taught about a host or site on a day.
    pub fn restore_site(&mut self, day: i64, name: &Arc<str>, sums: HabitsOfSite) {
        self.make_room(day, name);
        if self.counts(day) {
            self.all.add_site(name, sums.clone());
        }
        self.days.entry(day).or_default().add_site(name, sums);
    }

    /// Takes how often a page pulled a site in on a day, as a source taught it.
    pub fn restore_pull(&mut self, day: i64, page: &Arc<str>, site: &Arc<str>, weight: i64) {
        self.make_room(day, page);
        self.make_room(day, site);
        if self.counts(day) {
            self.pulled_pairs.add(Key::of(page), Key::of(site));
            self.all.add_pull(page, site, weight);
        }
        self.days.entry(day).or_default().add_pull(page, site, weight);
    }

    /// Whether what was learned on `day` counts now.
    fn counts(&self, day: i64) -> bool {
        self.today.is_none_or(|today| day <= today && today.saturating_sub(day) < HABIT_DAYS)
    }

    /// It is `day`: what is too old is forgotten. Days go forward only.
    pub fn turn_to(&mut self, day: i64) {
        let Some(before) = self.today else {
            self.today = Some(day);
            self.days = self.days.split_off(&day.saturating_sub(HABIT_DAYS - 1));
            self.all = Sums::default();
            self.days.range(..=day).for_each(|(_, sums)| self.all.add_all(sums));
            self.note_pairs();
            return;
        };
        if day <= before {
            return;
        }
        self.today = Some(day);
        let young = self.days.split_off(&day.saturating_sub(HABIT_DAYS - 1));
        let old = std::mem::replace(&mut self.days, young);
        old.range(..=before).for_each(|(_, sums)| self.all.take_out(sums));
        let new = (Bound::Excluded(before), Bound::Included(day));
        self.days.range(new).for_each(|(_, sums)| self.all.add_all(sums));
        self.note_pairs();
    }

    fn note_pairs(&mut self) {
        self.pulled_pairs = Pairs::default();
        for (page, site, _) in self.all.pulls() {
            self.pulled_pairs.add(Key::of(page), Key::of(site));
        }
    }

    /// Before something of this name is added to sums that are full everything fades. A flood of
    /// sites each seen often: nothing but forgetting bounds it.
    fn make_room(&mut self, day: i64, name: &str) {
        let has_no_room = |sums: &Sums| sums.is_full() && (sums.pairs >= MAX_PAIRS || !sums.sites.contains_key(name));
        if !has_no_room(&self.all) && !self.days.get(&day).is_some_and(has_no_room) {
            return;
        }
        self.all.fade();
        self.days.values_mut().for_each(Sums::fade);
        if self.all.is_full() || self.days.values().any(Sums::is_full) {
            *self = Self { today: self.today, ..Self::default() };
        }
    }

    /// Hosts and sites by day, each with its sums, in no order within a day.
    pub fn sites(&self) -> impl Iterator<Item = (i64, &Arc<str>, HabitsOfSite)> {
        self.days.iter().flat_map(|(day, sums)| sums.sites().map(|(name, sums)| (*day, name, sums)))
    }

    /// Pages and the sites they pulled in by day, in no order within a day.
    pub fn pulls(&self) -> impl Iterator<Item = (i64, &Arc<str>, &Arc<str>, i64)> {
        self.days.iter().flat_map(|(day, sums)| sums.pulls().map(|(page, site, weight)| (*day, page, site, weight)))
    }

    /// Context in which the host usually begins to be used: above 0 as documents do, below as what
    /// they pull in; near 0 where little is known.
    pub fn context(&self, site: &str) -> f64 {
        self.all.sites.get(site).map_or(0.0, |site| ones(site.context) / (ones(site.bursts) + PRIOR_BURSTS))
    }

    /// How often the host began to be used.
    pub fn bursts(&self, host: &str) -> f64 {
        ones(self.all.sites.get(host).map_or(0, |site| site.bursts))
    }

    /// 1 while nothing is known, falling to 0 with every burst.
    pub fn newness(&self) -> f64 {
        (NEW_BURSTS / (NEW_BURSTS + ones(self.all.bursts))).powi(2)
    }

    /// Share of bursts that are visits.
    pub fn visits_of_bursts(&self) -> f64 {
        (ones(self.all.visits) + PRIOR_SHARE * PRIOR_SHARE_BURSTS) / (ones(self.all.bursts) + PRIOR_SHARE_BURSTS)
    }

    /// How often a visit to `page` pulls `site` in, one of each left out: so that what is asked
    /// about does not speak for itself. More than once where it comes again and again, as adverts
    /// do.
    pub fn pull_rate_besides(&self, page: &str, site: &str) -> f64 {
        let less = |weight: i64| ones(weight.saturating_sub(WHOLE).max(0));
        let pulled = less(self.all.sites.get(site).map_or(0, |site| site.pulled));
        let of_all = (pulled + PRIOR_VISITS * PRIOR_PULL) / (less(self.all.visits) + PRIOR_VISITS);
        let Some(known) = self.all.sites.get(page) else { return of_all.min(1.0) };
        let pulls = known.pulls.get(site).copied().unwrap_or_default();
        ((less(pulls) + PRIOR_VISITS * of_all) / (less(known.visits) + PRIOR_VISITS)).min(MOST_PULLS)
    }

    /// Share of the visits to `page` that pull `site` in.
    pub fn pull_rate(&self, page: &str, site: &str) -> f64 {
        let of_all = self.pull_rate_of_all(site);
        let Some(known) = self.all.sites.get(page) else { return of_all };
        rate(known.pulls.get(site).copied().unwrap_or_default(), known.visits, of_all)
    }

    /// How often `site` is pulled in, to be asked for many pages.
    pub fn rates<'h>(&'h self, site: &'h str) -> Rates<'h> {
        Rates { habits: self, site, key: Key::of(site), of_all: self.pull_rate_of_all(site) }
    }

    /// Share of all visits that pull `site` in.
    pub fn pull_rate_of_all(&self, site: &str) -> f64 {
        let pulled = ones(self.all.sites.get(site).map_or(0, |site| site.pulled));
        ((pulled + PRIOR_VISITS * PRIOR_PULL) / (ones(self.all.visits) + PRIOR_VISITS)).min(1.0)
    }

    /// How much more often `site` is pulled in (1) than visited (-1); 0 where nothing is known.
    pub fn pulled_more(&self, site: &str) -> f64 {
        self.all.sites.get(site).map_or(0.0, |site| {
            (ones(site.pulled) - ones(site.visits)) / (ones(site.pulled) + ones(site.visits) + PRIOR_USES)
        })
    }

    /// How often pages of the site were visited.
    pub fn visits_of(&self, page: &str) -> f64 {
        ones(self.all.sites.get(page).map_or(0, |site| site.visits))
    }

    /// Share of all pulls of `site` that `page` made.
    pub fn pull_share(&self, page: &str, site: &str) -> f64 {
        let all = ones(self.all.sites.get(site).map_or(0, |site| site.pulled));
        (self.pulled_by(page, site) / all.max(1.0)).min(1.0)
    }

    /// How often `page` was seen to pull `site` in.
    pub fn pulled_by(&self, page: &str, site: &str) -> f64 {
        ones(self.all.sites.get(page).and_then(|page| page.pulls.get(site)).copied().unwrap_or_default())
    }

    /// A page, to be asked about often.
    pub fn named(&self, page: &Arc<str>) -> Named {
        let known = self.all.sites.get_full(page);
        let (number, site) = known.map_or((usize::MAX, page), |(number, name, _)| (number, name));
        Named { site: Arc::clone(site), key: Key::of(page), number }
    }

    #[inline]
    fn page(&self, page: &Named) -> Option<&Site> {
        match self.all.sites.get_index(page.number) {
            Some((name, site)) if Arc::ptr_eq(name, &page.site) => Some(site),
            // It was not known then, or has another number since something was forgotten.
            _ => self.all.sites.get(&page.site),
        }
    }
}

fn ones(weight: i64) -> f64 {
    weight as f64 / WHOLE as f64
}
