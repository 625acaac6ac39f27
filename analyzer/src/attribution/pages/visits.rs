//! Pages that are open on a device, and which of them pulled bytes in.
//!
//! The weights were fitted to worlds that scripts/page_worlds.py makes from seeds, rounded, and
//! judged on other seeds (docs/SCORE.md): none rests on a name or on one world.

use super::explained::{BACKGROUND, Candidates, Explained, Page, Shown, Weighed, whole};
use super::habits::{Habits, Named, Rates};
use super::owners::{Before, Owner, WITHOUT_PAUSE_NS};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::time::NANOS_PER_SECOND;
use imon_common::work;
use std::cell::{Cell, OnceCell};
use std::sync::Arc;

/// A page that has pulled nothing in for this long is over. Players and adverts come again within a
/// minute or two, people read for some minutes.
pub const REACH_NS: i64 = 400 * NANOS_PER_SECOND;

/// From here on what begins beside tells whether it is this page that pulls in again.
const RESTS_NS: i64 = 60 * NANOS_PER_SECOND;

/// Visits that are weighed against each other: two handfuls of tabs, and as many pages that were
/// left.
const MAX_VISITS: usize = 16;

/// Least chance that a burst is a visit for it to be weighed.
pub const LEAST_VISIT: f64 = 0.1;

/// A page pulls in most while it is loaded, and ever less after it. Powers of the seconds since its
/// visit began (the fourth root), and since it was loaded last. Slow, because images that come on
/// scrolling and players pull in for minutes.
const LOADED_POWER: f64 = 0.2;

/// What a second's bytes can owe to a visit that began after the first of them.
const LATER_VISIT: f64 = 0.1;

/// Each later visit may have taken an earlier one's place. Little, because people keep tabs open.
const REPLACED: f64 = 0.7;

/// The latest visit counts so much, by the share of what clearly belongs to it on this device: with
/// one tab nearly all.
const LATEST: f64 = 0.9;
const LATEST_POWER: f64 = 0.2;

/// An own visit against a page that always pulls the site in, how fast that falls with the seconds
/// since, and how much more a site counts that is mostly pulled in: it is one that was visited all
/// the same.
const OWN: f64 = 0.85;
const OWN_AGE_POWER: f64 = 0.55;
const PULLED_MORE: f64 = 1.5;

/// With odds of the latest visit above this the device shows one page at a time: a new visit ends
/// what the last one pulled.
const ONE_AT_A_TIME: f64 = 2.0;

/// A stream (a host that moved bytes for the same page so many times in a row, as surely as this,
/// until shortly before a visit) that still runs so long after the visit shows a second tab:
/// leaving a page ends what it pulls in. After a second and a half it was found in 19 of 28 clients
/// with several tabs and in 2 of 14 with one; five keep hurried visits out of it.
const STREAM_RUN: u32 = 2;
const STREAM_OWNER: f64 = 0.6;
const STREAM_BEFORE_NS: i64 = 6 * NANOS_PER_SECOND;
const SURVIVES_NS: i64 = 5 * NANOS_PER_SECOND;
const SURVIVES_WITHIN_NS: i64 = 30 * NANOS_PER_SECOND;

/// How certain that visit must be, from which chance on a later visit takes its place in this, and
/// how rarely its pages may pull in what streams.
const SURVIVED_VISIT: f64 = 0.7;
const NEXT_VISIT: f64 = 0.3;
const SURVIVED_RATE: f64 = 0.25;

/// A visit that a stream survived speaks against the latest page as often as this many pulls that
/// clearly belong to an earlier one.
const SURVIVED: f64 = 30.0;

/// Hosts of a device whose owners are remembered.
const MAX_HOSTS: usize = 4_096;

/// A page is loaded on as long as hosts of its own site begin to be used, or others that it clearly
/// pulls in: at most this long after the one before, and for so long after the visit in all.
const LOADS_ON_NS: i64 = NANOS_PER_SECOND;
const LONGEST_LOAD_NS: i64 = 10 * NANOS_PER_SECOND;

/// Chance that something is no document falls to this with each further host of its site that
/// follows.
const NO_DOCUMENT: f64 = 0.5;

/// Pages out of the browser's cache that most bytes could be of, beside those that are open.
const FURTHER_PAGES: usize = 8;

/// Chance that a page was shown without a byte of its own (from the browser's cache), beside that
/// of a visit that was seen.
const UNSEEN: f64 = 0.06;

/// Most that one site which is used beside can say for or against a page, and all of them together.
pub const FIT: f64 = 3.0;
const MOST_FIT: f64 = 12.0;

/// Chance from which on an owner is clear.
const CLEAR: f64 = 0.7;

/// A visit to a page.
#[derive(Debug, Clone)]
struct Visit {
    at: i64,
    /// When something was pulled in last while it was loaded, and when at all.
    loaded: i64,
    used: i64,
    /// Its name, beside the page: nearly always nothing else is asked.
    name: Named,
    page: Arc<Page>,
    chance: f64,
    /// How much it takes an earlier one's place.
    replaces: f64,
    /// A stream of an earlier page ran on after it.
    survived: bool,
    /// How much less it pulls in than at first: for what begins when, and when it was loaded last.
    /// A burst is asked about three times in a row, and powers are dear.
    decayed: Cell<(i64, i64, f64)>,
}

impl Visit {
    fn new(it: &Use<'_>, name: Named, chance: f64) -> Self {
        let (at, page) = (it.from, Page::new(name.clone(), it.host));
        let replaces = REPLACED.powf(chance);
        // At its very beginning nothing has decayed.
        let decayed = Cell::new((at, at, 1.0));
        Self { at, loaded: at, used: at, name, page, chance, replaces, survived: false, decayed }
    }

    fn doubt(&mut self, chance: f64) {
        (self.chance, self.replaces) = (chance, REPLACED.powf(chance));
    }

    /// How much of what it pulls in at first it pulls in at `from`.
    fn decay(&self, from: i64) -> f64 {
        let (at, loaded, decay) = self.decayed.get();
        if (at, loaded) == (from, self.loaded) {
            return decay;
        }
        let decay = (1.0 + seconds(from.saturating_sub(self.loaded))).powf(-LOADED_POWER)
            / (1.0 + seconds(from.saturating_sub(self.at))).sqrt().sqrt();
        self.decayed.set((from, self.loaded, decay));
        decay
    }
}

/// Something that began to be used.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    pub site: &'a Named,
    pub host: &'a Arc<str>,
    /// Earliest and latest time of the bytes.
    pub from: i64,
    pub to: i64,
    /// Other sites that began to be used at the same time.
    pub beside: &'a [&'a Named],
    /// Bytes are booked by what explains it.
    pub books: bool,
}

/// A burst, and what it is taken for.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    pub it: Use<'a>,
    /// It had been used just before.
    pub goes_on: bool,
    /// Chance that it is a visit.
    pub visit: f64,
}

/// Visits of a device, as far as they matter now, and whom its hosts' bytes belonged to.
#[derive(Debug, Clone, Default)]
pub struct Visits {
    /// In order of time.
    visits: Vec<Visit>,
    hosts: HashMap<Arc<str>, Before, RandomState>,
    /// Bursts that clearly belong to a page, and how many of them not to the latest.
    clear: u32,
    earlier: u32,
    /// Visits that a stream of an earlier page survived.
    survived: u32,
    /// A power of the odds that follow from these: which odds, and what it is.
    latest: Cell<Option<(f64, f64)>>,
}

impl Visits {
    /// Whom the host's bytes belonged to.
    pub fn before(&self, host: &str) -> Option<&Before> {
        self.hosts.get(host)
    }

    /// Notes whom a host's bytes belong to.
    pub fn note(&mut self, host: &Arc<str>, before: Before) {
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(host) {
            work::steps(self.hosts.len());
            self.hosts.retain(|_, known| before.at.saturating_sub(known.at) < NANOS_PER_SECOND * 60);
            // A flood of names: nothing but forgetting bounds the work.
            if self.hosts.len() >= MAX_HOSTS / 2 {
                self.hosts.clear();
            }
        }
        self.hosts.insert(Arc::clone(host), before);
    }

    /// Takes in a burst, which is explained thus where it is no visit.
    pub fn add(&mut self, begun: &Begun<'_>, explained: &Explained, habits: &Habits) {
        let Begun { it, goes_on, visit: chance } = begun;
        let (goes_on, chance) = (*goes_on, *chance);
        self.note_survivor(it, habits);
        let third = 1.0 - chance;
        self.count(it, third, explained);
        let before = Before::new(it.from, chance.sqrt(), explained, self.hosts.get(it.host));
        self.note(it.host, before);
        let (page, site) = (explained.clear(third, 0.5).map(|page| &page.page.name), habits.renamed(it.site));
        for visit in &mut self.visits {
            let loads = it.from.saturating_sub(visit.loaded) <= LOADS_ON_NS
                && it.from.saturating_sub(visit.at) <= LONGEST_LOAD_NS;
            let own = visit.name.is(&site);
            let pulls = page.is_some_and(|page| visit.name.is(page));
            if own || pulls {
                visit.used = it.from;
            }
            if loads && (own || pulls) {
                visit.loaded = it.from;
            }
            if loads && own && visit.page.host != *it.host && !goes_on {
                visit.doubt(1.0 - (1.0 - visit.chance) * NO_DOCUMENT);
            }
        }
        if chance >= LEAST_VISIT {
            if self.visits.len() >= MAX_VISITS {
                let unused = (0..self.visits.len()).min_by_key(|i| self.visits.get(*i).map(|visit| visit.used));
                unused.map(|i| self.visits.remove(i));
            }
            self.visits.push(Visit::new(it, site, chance));
        }
    }

    /// Notes where what a page streams has survived the latest visit.
    fn note_survivor(&mut self, it: &Use<'_>, habits: &Habits) {
        let Some(visit) = self.visits.iter_mut().rev().find(|visit| visit.chance > NEXT_VISIT) else { return };
        if visit.survived || visit.chance <= SURVIVED_VISIT || it.from.saturating_sub(visit.at) < SURVIVES_NS {
            return;
        }
        let Some(before) = self.hosts.get(it.host).filter(|before| before.run >= STREAM_RUN) else { return };
        let Some((Owner::Page(page), owns)) = before.owners.first() else { return };
        let ran = (0..=STREAM_BEFORE_NS).contains(&(visit.at.saturating_sub(before.at)))
            && it.from.saturating_sub(before.at) <= SURVIVES_WITHIN_NS
            && *owns >= STREAM_OWNER;
        let others = !visit.name.is(page) && !visit.name.is(it.site);
        if ran && others && habits.rates(it.site).of(&visit.name) < SURVIVED_RATE {
            visit.survived = true;
            self.survived = self.survived.saturating_add(1);
        }
    }

    /// Counts how often what is clear belongs to the latest visit.
    fn count(&mut self, it: &Use<'_>, third: f64, explained: &Explained) {
        let Some(page) = explained.clear(third, CLEAR).filter(|_| explained.lasts <= 0.3) else { return };
        let latest = self.visits.iter().rev().find(|v| v.at <= it.from && v.chance > 0.5 && !v.name.is(it.site));
        if let Some(latest) = latest {
            self.clear = self.clear.saturating_add(1);
            self.earlier = self.earlier.saturating_add(u32::from(!latest.name.is(&page.page.name)));
        }
    }

    /// How many times as often what is clear belongs to the latest visit as to an earlier one.
    pub fn latest_odds(&self) -> f64 {
        f64::from(self.clear - self.earlier + 1) / (f64::from(self.earlier + 1) + SURVIVED * f64::from(self.survived))
    }

    /// A power of these odds.
    fn latest_power(&self, odds: f64) -> f64 {
        match self.latest.get() {
            Some((of, power)) if of == odds => power,
            _ => {
                let power = odds.powf(LATEST_POWER);
                self.latest.set(Some((odds, power)));
                power
            }
        }
    }

    /// How well pages that are open explain that something begins to be used, itself left out.
    pub fn pulled(&self, it: &Use<'_>, habits: &Habits) -> f64 {
        let mut most: Vec<(&Named, f64)> = Vec::with_capacity(self.visits.len());
        let asked = habits.renamed(it.site);
        for visit in self.visits.iter().rev().filter(|v| v.at <= it.to && !v.name.is(&asked)) {
            if it.from.saturating_sub(visit.used) > REACH_NS {
                continue;
            }
            let rate = habits.pull_rate_besides(&visit.name, &asked);
            let chance = visit.chance.sqrt() * rate * visit.decay(it.from);
            match most.iter_mut().find(|(page, _)| page.is(&visit.name)) {
                Some((_, most)) => *most = most.max(chance),
                None => most.push((&visit.name, chance)),
            }
        }
        BACKGROUND + most.iter().map(|(_, chance)| chance).sum::<f64>()
    }

    /// Who pulled bytes in. `shown`: pages that the device has shown before, and can show again
    /// without a byte of their own. `before`: whom the bytes just before belonged to.
    pub fn explain(&self, it: &Use<'_>, habits: &Habits, shown: &Shown, before: Option<&Before>) -> Explained {
        work::steps(self.visits.len() + shown.len());
        let odds = self.latest_odds();
        let (mut own, mut replaced, mut latest) = (None, 1.0, LATEST * self.latest_power(odds));
        let mut pages = Candidates::with_room(self.visits.len() + FURTHER_PAGES);
        let mut lasts = before.map_or(0.0, |before| before.lasts(it.from));
        let rates = habits.rates(it.site);
        let beside = Beside::new(it.beside, habits);
        let ends = ((odds - ONE_AT_A_TIME) / (odds + ONE_AT_A_TIME)).max(0.0);
        for visit in self.visits.iter().rev().filter(|v| v.at <= it.to) {
            let name = &visit.name;
            let is_own = rates.site.is(name);
            let is_over = it.from.saturating_sub(visit.used) > REACH_NS;
            let ended = before.filter(|before| visit.at > before.at);
            if is_over && ended.is_none() && !is_own {
                continue;
            }
            let (pulls, rate) = if is_own { (0.0, 1.0) } else { rates.pulls_and_share(name) };
            if let Some(before) = ended {
                let again = if it.from.saturating_sub(before.at) <= WITHOUT_PAUSE_NS { before.again() } else { 1.0 };
                lasts *= (1.0 - visit.chance * rate.max(ends)) * (1.0 - visit.chance * (1.0 - again));
            }
            if is_own {
                own.get_or_insert_with(|| {
                    let age_s = seconds(it.from.saturating_sub(visit.at));
                    let more = (PULLED_MORE * habits.pulled_more(it.site)).exp();
                    OWN * visit.chance.sqrt() * more * (1.0 + age_s).powf(-OWN_AGE_POWER)
                });
                continue;
            }
            if is_over {
                continue;
            }
            let order = if visit.at <= it.from { 1.0 } else { LATER_VISIT };
            let decay = visit.decay(it.from);
            // A page that has rested for long competes with pages out of the browser's cache, and
            // on the same terms.
            let rests = it.from.saturating_sub(visit.used) > RESTS_NS;
            let fits = if rests { beside.fit(name) } else { 1.0 };
            let chance = fits * visit.chance.sqrt() * rate * order * decay * replaced * latest;
            replaced *= visit.replaces;
            if visit.chance > 0.5 {
                latest = 1.0;
            }
            match pages.find(name) {
                Some(page) if page.chance >= chance => {}
                Some(known) => (known.chance, known.page) = (chance, &visit.page),
                None => {
                    pages.push(Weighed { name, page: &visit.page, chance, pulls, rate, old: 0.0, seen: true });
                }
            }
        }
        unseen(&rates, &beside, shown, &mut pages);
        whole(own.unwrap_or(0.0), pages.list, (before, lasts), it.books.then_some(odds))
    }
}

/// What else began to be used at the time. How well a page explains that is asked for few pages,
/// and for most bytes for none.
#[derive(Debug)]
pub struct Beside<'a> {
    sites: &'a [&'a Named],
    habits: &'a Habits,
    rates: OnceCell<Vec<Rates<'a>>>,
}

impl<'a> Beside<'a> {
    pub fn new(sites: &'a [&'a Named], habits: &'a Habits) -> Self {
        Self { sites, habits, rates: OnceCell::new() }
    }

    /// How much better the page explains it than pages do in general: at most [`MOST_FIT`].
    pub fn fit(&self, page: &Named) -> f64 {
        if self.sites.is_empty() {
            return 1.0;
        }
        fit(page, self.rates.get_or_init(|| self.sites.iter().map(|site| self.habits.rates(site)).collect()))
    }
}

/// Adds pages that could have been shown without a byte of their own.
fn unseen<'a>(rates: &Rates<'_>, beside: &Beside<'_>, shown: &'a Shown, pages: &mut Candidates<'a>) {
    let seen = pages.list.iter().map(|page| page.chance / page.rate).fold(0.0, f64::max);
    let unseen = UNSEEN * (1.0 - seen.min(1.0)).powi(2);
    let marks = pages.marks;
    // Most pages neither are open nor ever pulled the site in: two bits say so.
    let matters = |page: &Named| (marks.may_have(page) || rates.may_be_of(page)) && !rates.site.is(page);
    for (name, page) in shown.pages().filter(|(name, _)| matters(name)) {
        match pages.find(name) {
            // Most are likelier by the visit that was seen, however well they fit.
            Some(known) if known.chance >= unseen * known.rate * MOST_FIT => {}
            Some(known) => {
                let chance = unseen * known.rate * beside.fit(name);
                if known.chance < chance {
                    (known.chance, known.seen) = (chance, false);
                }
            }
            None if rates.may_be_of(name) => {
                let (pulls, rate) = rates.pulls_and_share(name);
                if pulls > 0.0 {
                    let chance = unseen * rate * beside.fit(name);
                    pages.push(Weighed { name, page, chance, pulls, rate, old: 0.0, seen: false });
                }
            }
            None => {}
        }
    }
}

/// How much better the page explains what was used at the same time than pages do in general.
fn fit(page: &Named, beside: &[Rates<'_>]) -> f64 {
    let one = |rates: &Rates<'_>| {
        if rates.site.is(page) {
            return 1.0;
        }
        (rates.of(page) / rates.of_all).clamp(1.0 / FIT, FIT)
    };
    beside.iter().map(one).product::<f64>().clamp(1.0 / MOST_FIT, MOST_FIT)
}

pub(super) fn nanos(ns: i64) -> f64 {
    ns.max(0) as f64
}

fn seconds(ns: i64) -> f64 {
    nanos(ns) / NANOS_PER_SECOND as f64
}
