//! What was learned: how sites begin to be used, and which pages pull which sites in.
//!
//! Weights are whole thousandths, so that sums do not depend on their order and the store can give
//! them back exactly.

mod names;
mod sums;

pub use names::{Marks, Named, Rates};

use crate::attribution::policy::{DAY_NS, HABIT_DAYS};
use names::Pairs;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use sums::{MAX_PAIRS, Site, Sums};

/// One as a weight.
pub const WHOLE: i64 = 1_000;

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
        let site = self.named(site);
        if self.counts(day) {
            self.pulled_pairs.add(&self.named(page), &site);
            self.all.add_pull(page, &site, weight);
        }
        self.days.entry(day).or_default().add_pull(page, &site, weight);
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
        let mut pairs = Pairs::default();
        for (page, known) in &self.all.sites {
            let page = self.named(page);
            known.pulls.keys().for_each(|site| pairs.add(&page, site));
        }
        self.pulled_pairs = pairs;
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
        self.days
            .iter()
            .flat_map(|(day, sums)| sums.pulls().map(|(page, site, weight)| (*day, page, &site.site, weight)))
    }

    /// Context in which the host usually begins to be used: above 0 as documents do, below as what
    /// they pull in; near 0 where little is known.
    pub fn context(&self, host: &str) -> f64 {
        self.bursts_and_context(host).1
    }

    /// How often the host began to be used, and [`Self::context`]: of one look-up.
    pub fn bursts_and_context(&self, host: &str) -> (f64, f64) {
        let of = |site: &Site| (ones(site.bursts), ones(site.context) / (ones(site.bursts) + PRIOR_BURSTS));
        self.all.sites.get(host).map_or((0.0, 0.0), of)
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
    pub fn pull_rate_besides(&self, page: &Named, site: &Named) -> f64 {
        let less = |weight: i64| ones(weight.saturating_sub(WHOLE).max(0));
        let pulled = less(self.page(site).map_or(0, |site| site.pulled));
        let of_all = (pulled + PRIOR_VISITS * PRIOR_PULL) / (less(self.all.visits) + PRIOR_VISITS);
        let Some(known) = self.page(page) else { return of_all.min(1.0) };
        let pulls = known.pulls.get(site).copied().unwrap_or_default();
        ((less(pulls) + PRIOR_VISITS * of_all) / (less(known.visits) + PRIOR_VISITS)).min(MOST_PULLS)
    }

    /// How often `site` is pulled in, to be asked for many pages.
    pub fn rates(&self, site: &Named) -> Rates<'_> {
        let site = self.renamed(site);
        let pulled = ones(self.page(&site).map_or(0, |site| site.pulled));
        let of_all = ((pulled + PRIOR_VISITS * PRIOR_PULL) / (ones(self.all.visits) + PRIOR_VISITS)).min(1.0);
        Rates { habits: self, site, of_all }
    }

    /// How much more often `site` is pulled in (1) than visited (-1); 0 where nothing is known.
    pub fn pulled_more(&self, site: &Named) -> f64 {
        self.page(site).map_or(0.0, |site| {
            (ones(site.pulled) - ones(site.visits)) / (ones(site.pulled) + ones(site.visits) + PRIOR_USES)
        })
    }

    /// How often pages of the site were visited.
    pub fn visits_of(&self, page: &Named) -> f64 {
        ones(self.page(page).map_or(0, |site| site.visits))
    }

    /// A site, to be asked about often.
    pub fn named(&self, site: &Arc<str>) -> Named {
        let known = self.all.sites.get_full(site);
        let (number, site) = known.map_or((usize::MAX, site), |(number, name, _)| (number, name));
        Named::new(site, number)
    }

    /// The same name with the number that it has by now, if it is known by now.
    pub fn renamed(&self, name: &Named) -> Named {
        if self.numbered(name).is_some() { name.clone() } else { self.named(&name.site) }
    }

    #[inline]
    fn page(&self, page: &Named) -> Option<&Site> {
        // It was not known then, or has another number since something was forgotten.
        self.numbered(page).or_else(|| self.all.sites.get(&page.site))
    }

    /// What is known of a name, found by its number.
    #[inline]
    fn numbered(&self, name: &Named) -> Option<&Site> {
        let known = self.all.sites.get_index(name.number);
        known.filter(|(site, _)| Arc::ptr_eq(site, &name.site)).map(|(_, known)| known)
    }
}

fn ones(weight: i64) -> f64 {
    weight as f64 / WHOLE as f64
}
