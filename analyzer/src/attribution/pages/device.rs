//! One device: which sites began to be used when (bursts), and which of these were visits to a page.

use super::habits::{Habit, Habits, WHOLE};
use super::shape::shape;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::time::NANOS_PER_SECOND;
use imon_common::work;
use std::collections::VecDeque;
use std::sync::Arc;

/// A site that was silent for this long begins anew. Browsers keep connections open for minutes, and intervals are of one
/// second: two are the shortest silence that can be told.
const QUIET_NS: i64 = 2 * NANOS_PER_SECOND;

/// What begins within this time after a burst counts as having followed it: a document names nearly all it needs in its
/// first bytes, and scripts the rest.
pub const FOLLOW_NS: i64 = NANOS_PER_SECOND;

/// Gap before a burst that says nothing: what a document pulls in mostly begins sooner, a person's next step mostly later.
const EVEN_GAP_S: f64 = 0.25;

/// A visit is not held for the reason of what is pulled in later than this.
pub const REACH_NS: i64 = 300 * NANOS_PER_SECOND;

/// Visits that are weighed against each other: two handfuls of tabs.
const MAX_VISITS: usize = 12;

/// Bursts of a device that are remembered at a time; the oldest go first.
const MAX_BURSTS: usize = 8_192;

/// Sites of a device whose last use is remembered; the silent ones are dropped beyond it.
const MAX_ACTIVE: usize = 4_096;

/// Least chance that a burst is a visit for it to be weighed, and for its page to be remembered as shown.
const LEAST_VISIT: f64 = 0.1;
const SHOWN: f64 = 0.5;

/// Weight of the one burst's own context, and of the site's usual one.
const OWN_CONTEXT: f64 = 3.0;
const USUAL_CONTEXT: f64 = 5.0;

/// Chance of a pull that came this long after its visit began falls to about a third.
const AGE_S: f64 = 1.0;

/// How fast it falls.
const AGE_POWER: f64 = 1.4;

/// A page is loaded on as long as hosts of its own site begin to be used: pulls count from the last of them, at most this
/// long after the one before, and for so long after the visit in all.
const LOADS_ON_NS: i64 = NANOS_PER_SECOND;
const LONGEST_LOAD_NS: i64 = 10 * NANOS_PER_SECOND;

/// Chance that something is no document falls to this with each further host of its site that follows.
const NO_DOCUMENT: f64 = 0.5;

/// Own bytes after an own visit: people stay for minutes.
const OWN_AGE_S: f64 = 120.0;

/// Chance that what begins has nothing to do with any visit, on the scale of a pull rate.
const BACKGROUND: f64 = 0.004;

/// Each later visit takes so much of an earlier one's chance: mostly it has replaced it.
const REPLACES: f64 = 0.7;

/// A visit replaces one that began this long before it, and not one that began at the same moment: then two programs
/// are at work.
const REPLACES_S: f64 = 0.3;

/// Chance that a page was shown without a byte of its own (from the browser's cache), beside that of a visit that was
/// seen.
const UNSEEN: f64 = 0.03;

/// Pages of a device that are remembered for that.
const MAX_SHOWN: usize = 64;

/// What begins to be used within this time is used together.
const BESIDE_NS: i64 = 3 * NANOS_PER_SECOND / 4;

/// Most other sites that are looked at for it, and most bursts in which they are looked for: each burst asks, and a flood of
/// them (of one site, else there are soon enough others) would be work by the square.
const MAX_BESIDE: usize = 8;
const MAX_BESIDE_BURSTS: usize = 64;

/// From this number of followers on further ones change nothing.
const MANY_FOLLOWERS: u32 = 3;

/// Pulls from which on a page is known to pull a site in.
const KNOWN_PULL: f64 = 0.5;

/// Most that one site which is used beside can say for or against a page, and all of them together.
const FIT: f64 = 3.0;
const MOST_FIT: f64 = 12.0;

/// Weight of a site's being pulled in more often than visited.
const USUALLY_PULLED: f64 = 3.0;

/// A flow that goes on belongs where it belonged, unless something else is this many times as likely; one that goes on
/// after a pause, this many times.
const GOES_ON: f64 = 20.0;
const GOES_ON_AFTER_PAUSE: f64 = 3.0;

/// A site began to be used, or was used on while another one began.
#[derive(Debug)]
pub struct Burst {
    pub at: i64,
    pub site: Arc<str>,
    pub host: Arc<str>,
    /// Number of the source it lies in.
    pub source: usize,
    /// Time since another site began to be used.
    gap_ns: i64,
    /// Flows to other hosts that began soon after.
    followers: u32,
    follower: Option<Arc<str>>,
    /// It had been used just before.
    goes_on: bool,
    closed: bool,
}

impl Burst {
    /// 1 as documents begin, -1 as what they pull in does.
    fn context(&self) -> f64 {
        let gap =
            ((self.gap_ns.max(1) as f64 / NANOS_PER_SECOND as f64 / EVEN_GAP_S).ln() / 8.0_f64.ln()).clamp(-1.0, 1.0);
        let followed = match self.followers {
            0 => -1.0,
            1 => 0.3,
            2 => 0.6,
            // From MANY_FOLLOWERS on.
            _ => 1.0,
        };
        0.65 * gap + 0.35 * followed
    }

    /// Chance that this is a visit to a page of the site.
    fn visit(&self, habits: &Habits) -> f64 {
        if self.goes_on {
            return 0.0;
        }
        let score =
            shape(&self.host, &self.site) + OWN_CONTEXT * self.context() + USUAL_CONTEXT * habits.context(&self.host)
                - USUALLY_PULLED * habits.pulled_more(&self.site);
        1.0 / (1.0 + (-score).exp())
    }
}

#[derive(Debug)]
struct Visit {
    at: i64,
    /// When a host of its site began to be used last, while it was loaded.
    loaded: i64,
    site: Arc<str>,
    host: Arc<str>,
    chance: f64,
}

/// Visits in order of time, as far as they matter now.
#[derive(Debug, Default)]
pub struct Visits(VecDeque<Visit>);

impl Visits {
    fn add(&mut self, burst: &Burst, chance: f64) {
        let goes_on = |v: &&mut Visit| {
            v.site == burst.site && burst.at - v.loaded <= LOADS_ON_NS && burst.at - v.at <= LONGEST_LOAD_NS
        };
        for visit in self.0.iter_mut().filter(goes_on) {
            visit.loaded = burst.at;
            if visit.host != burst.host {
                visit.chance = 1.0 - (1.0 - visit.chance) * NO_DOCUMENT;
            }
        }
        if chance >= LEAST_VISIT {
            // The site's own earlier visit goes on to count by its time, not twice.
            while self.0.len() >= MAX_VISITS {
                self.0.pop_front();
            }
            self.0.push_back(Visit {
                at: burst.at,
                loaded: burst.at,
                site: Arc::clone(&burst.site),
                host: Arc::clone(&burst.host),
                chance,
            });
        }
    }
}

/// A page that could have pulled bytes in.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its site.
    pub site: Arc<str>,
    /// The host of its document.
    pub host: Arc<str>,
    /// Chance that it did.
    pub chance: f64,
    /// Bytes of the page itself were seen.
    pub seen: bool,
}

impl Candidate {
    fn new(site: &Arc<str>, host: &Arc<str>, chance: f64, seen: bool) -> Self {
        Self { site: Arc::clone(site), host: Arc::clone(host), chance, seen }
    }
}

/// Everything that could explain bytes of a site. Chances sum up to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The site itself was visited.
    pub own: f64,
    /// Nothing was.
    pub background: f64,
    /// Pages, likeliest first, each site once.
    pub pages: Vec<Candidate>,
}

/// What is known of the bytes to be explained.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub site: &'a str,
    /// Earliest and latest time of the bytes.
    pub from: i64,
    pub to: i64,
    /// Since when the flow has moved bytes without a pause.
    pub since: i64,
    /// The site that the flow's bytes of just before belong to.
    pub before: Option<&'a str>,
    /// There was a pause since.
    pub paused: bool,
}

impl<'a> Question<'a> {
    fn of_burst(burst: &'a Burst, before: Option<&'a str>) -> Self {
        Self { site: &burst.site, from: burst.at, to: burst.at, since: burst.at, before, paused: false }
    }
}

impl Visits {
    /// Who pulled the bytes in. `shown`: pages that the device has shown before, and can show again without a byte of
    /// their own. `beside`: other sites that began to be used at the same time.
    fn explain(&self, question: &Question<'_>, habits: &Habits, shown: &Shown, beside: &[&str]) -> Explained {
        let Question { site, from, to, since, before, .. } = *question;
        work::steps(self.0.len() + shown.0.len());
        let mut own: f64 = 0.0;
        let mut pages: Vec<Candidate> = Vec::new();
        // Later visits, each with the chance that it takes an earlier one's place.
        let mut later: Vec<(i64, f64)> = Vec::new();
        for visit in self.0.iter().rev().filter(|v| v.at <= to && from - v.at <= REACH_NS) {
            let age_s = seconds(from - visit.at);
            if *visit.site == *site {
                own = own.max(visit.chance / (1.0 + age_s / OWN_AGE_S));
                continue;
            }
            // A visit that began after the bytes' first packet can still have pulled in the rest of the second.
            let order = if visit.at <= from { 1.0 } else { 0.25 };
            let replaced_by =
                |(at, chance): &(i64, f64)| 1.0 - chance * (seconds(at - visit.loaded) / REPLACES_S).min(1.0);
            let open: f64 = later.iter().map(replaced_by).product();
            later.push((visit.at, REPLACES * order * visit.chance));
            // What goes on without a pause is what was asked for when it began.
            let asked = if before == Some(&*visit.site) { since } else { from };
            let loaded_s = seconds(asked - visit.loaded);
            let chance = visit.chance * order * open / (1.0 + loaded_s / AGE_S).powf(AGE_POWER);
            match pages.iter_mut().find(|page| page.site == visit.site) {
                Some(page) if page.chance >= chance => {}
                Some(page) => (page.chance, page.host) = (chance, Arc::clone(&visit.host)),
                None => pages.push(Candidate::new(&visit.site, &visit.host, chance, true)),
            }
        }
        let seen = pages.iter().map(|page| page.chance).fold(0.0, f64::max);
        let unseen = UNSEEN * (1.0 - seen).powi(2);
        for (page, host) in shown.0.iter().filter(|(page, _)| **page != *site) {
            match pages.iter_mut().find(|p| p.site == *page) {
                Some(known) if known.chance >= unseen => {}
                Some(known) => (known.chance, known.seen) = (unseen, false),
                None if habits.pulled_by(page, site) > 0.0 => pages.push(Candidate::new(page, host, unseen, false)),
                None => {}
            }
        }
        for page in &mut pages {
            page.chance *= habits.pull_rate(&page.site, site);
            if !page.seen {
                page.chance *= fit(&page.site, beside, habits);
            }
        }
        if let Some(page) = before.and_then(|before| pages.iter_mut().find(|page| *page.site == *before)) {
            page.chance *= if question.paused { GOES_ON_AFTER_PAUSE } else { GOES_ON };
        }
        let sum = BACKGROUND + pages.iter().map(|page| page.chance).sum::<f64>();
        let third = 1.0 - own;
        pages.iter_mut().for_each(|page| page.chance *= third / sum);
        // A stable sort: of equals the latest visit stands first.
        pages.sort_by(|a, b| b.chance.total_cmp(&a.chance));
        Explained { own, background: third * BACKGROUND / sum, pages }
    }
}

/// How much better the page explains what was used at the same time than pages do in general.
fn fit(page: &str, beside: &[&str], habits: &Habits) -> f64 {
    let one = |site: &&str| {
        if *site == page {
            return 1.0;
        }
        (habits.pull_rate(page, site) / habits.pull_rate_of_all(site)).clamp(1.0 / FIT, FIT)
    };
    beside.iter().map(one).product::<f64>().clamp(1.0 / MOST_FIT, MOST_FIT)
}

/// Pages that a device has shown, the latest first, each once, with the host of the document.
#[derive(Debug, Default)]
struct Shown(VecDeque<(Arc<str>, Arc<str>)>);

impl Shown {
    fn note(&mut self, site: &Arc<str>, host: &Arc<str>) {
        self.0.retain(|(known, _)| known != site);
        self.0.truncate(MAX_SHOWN - 1);
        self.0.push_front((Arc::clone(site), Arc::clone(host)));
    }
}

#[derive(Debug, Clone, Copy)]
struct Active {
    last: i64,
    burst: i64,
}

/// The recent past of a device.
#[derive(Debug, Default)]
pub struct Device {
    bursts: VecDeque<Burst>,
    active: HashMap<Arc<str>, Active, RandomState>,
    /// When and which host began last.
    begun: Option<(i64, Arc<str>)>,
    /// Visits as learning sees them, and as booking does.
    learning: Visits,
    booking: Visits,
    /// Bursts that booking has passed: they are first in `bursts`.
    passed: usize,
    /// Bursts that were there before the first in `bursts`: with its place there, this numbers a burst.
    dropped: usize,
    /// Numbers of bursts that further followers can change, in order.
    unsettled: VecDeque<usize>,
    /// The host of the last flow that began, and the number of the next burst at that time.
    followed: Option<(Arc<str>, usize)>,
    /// Before this time no site falls silent, so that those in use need not be looked through.
    full_until: i64,
    shown: Shown,
    /// The page that learning found to have pulled a host in last.
    pulled_by: HashMap<Arc<str>, Arc<str>, RandomState>,
}

/// What a device did: a flow moved bytes.
#[derive(Debug)]
pub struct Move<'a> {
    pub at: i64,
    pub site: &'a Arc<str>,
    pub host: &'a Arc<str>,
    pub source: usize,
    /// The flow began just now.
    pub begins: bool,
    /// So much that it is more than keeping a connection alive.
    pub counts: bool,
}

impl Device {
    /// Notes that a flow moved bytes. Moves come in order of time.
    pub fn moves(&mut self, it: &Move<'_>) {
        if it.begins {
            self.follow(it);
        }
        let active = self.active.get(it.host).copied();
        let quiet = active.is_none_or(|a| it.at.saturating_sub(a.last) >= QUIET_NS);
        let other = self.begun.as_ref().filter(|(_, host)| host != it.host).map(|(at, _)| *at);
        let between = active.is_some_and(|a| other.is_some_and(|at| at > a.burst));
        let begins = quiet && (it.counts || it.begins);
        let burst = begins || between && it.counts;
        if burst {
            let gap_ns = other.map_or(i64::MAX, |at| it.at.saturating_sub(at));
            if self.bursts.len() >= MAX_BURSTS {
                self.drop_oldest();
            }
            self.bursts.push_back(Burst {
                at: it.at,
                site: Arc::clone(it.site),
                host: Arc::clone(it.host),
                source: it.source,
                gap_ns,
                followers: 0,
                follower: None,
                goes_on: !begins,
                closed: false,
            });
            self.unsettled.push_back(self.next_number() - 1);
        }
        if begins {
            self.begun = Some((it.at, Arc::clone(it.host)));
        }
        if self.active.len() >= MAX_ACTIVE && active.is_none() && it.at >= self.full_until {
            work::steps(self.active.len() + self.pulled_by.len());
            self.active.retain(|_, a| it.at.saturating_sub(a.last) < QUIET_NS);
            let active = &self.active;
            self.pulled_by.retain(|host, _| active.contains_key(host));
            let oldest = self.active.values().map(|a| a.last).min().unwrap_or(it.at);
            self.full_until = oldest.saturating_add(QUIET_NS);
        }
        if self.active.len() < MAX_ACTIVE || active.is_some() {
            let burst = if burst { it.at } else { active.map_or(it.at, |a| a.burst) };
            self.active.insert(Arc::clone(it.host), Active { last: it.at, burst });
        }
    }

    /// The number that the next burst gets.
    fn next_number(&self) -> usize {
        self.dropped + self.bursts.len()
    }

    /// A flow that begins follows the bursts of other hosts just before it. In a burst of beginnings each has thousands of
    /// bursts before it: those that have many followers are passed over, and a flow to the same host as the one before it
    /// follows only what is new.
    fn follow(&mut self, it: &Move<'_>) {
        let is_past = |bursts: &VecDeque<Burst>, place: Option<usize>| {
            place.and_then(|i| bursts.get(i)).is_none_or(|b| it.at.saturating_sub(b.at) > FOLLOW_NS)
        };
        while self.unsettled.pop_front_if(|n| is_past(&self.bursts, n.checked_sub(self.dropped))).is_some() {
            work::step();
        }
        let next = self.next_number();
        let followed = self.followed.replace((Arc::clone(it.host), next));
        let since = followed.filter(|(host, _)| host == it.host).map_or(0, |(_, since)| since);
        let first = self.unsettled.partition_point(|number| *number < since);
        for place in self.unsettled.range(first..).filter_map(|number| number.checked_sub(self.dropped)) {
            work::step();
            let Some(burst) = self.bursts.get_mut(place) else { continue };
            if burst.host != *it.host && burst.follower.as_ref() != Some(it.host) {
                burst.follower = Some(Arc::clone(it.host));
                burst.followers = burst.followers.saturating_add(1);
            }
        }
        let (bursts, dropped) = (&self.bursts, self.dropped);
        let is_open = |n: &usize| {
            let burst = n.checked_sub(dropped).and_then(|i| bursts.get(i));
            burst.is_some_and(|burst| burst.followers < MANY_FOLLOWERS)
        };
        if first == 0 {
            self.unsettled.retain(is_open);
        }
    }

    fn drop_oldest(&mut self) {
        if self.bursts.pop_front().is_some() {
            self.dropped += 1;
        }
        self.passed = self.passed.saturating_sub(1);
    }

    /// Whether there are bursts from which nothing was learned yet: they are last in `bursts`.
    pub fn has_open(&self) -> bool {
        self.bursts.back().is_some_and(|burst| !burst.closed)
    }

    /// Chance that a burst is a visit to a page of its site, and not what a page pulls in that was shown without a byte of
    /// its own.
    fn visit(&self, burst: &Burst, habits: &Habits) -> f64 {
        let question = Question::of_burst(burst, None);
        let beside = beside(&self.bursts, &question);
        let pulls = |page: &str| habits.pull_rate(page, &burst.site) * fit(page, &beside, habits) / FIT;
        let known = self.shown.0.iter().filter(|(page, _)| habits.pulled_by(page, &burst.site) > KNOWN_PULL);
        let pulled = known.map(|(page, _)| pulls(page)).fold(0.0, f64::max).min(1.0);
        burst.visit(habits) * (1.0 - pulled)
    }

    /// Learns from bursts that nothing can follow any more at `now`; `note` hears what, and in which source, and says whether it
    /// is news.
    pub fn learn(&mut self, now: i64, habits: &mut Habits, mut note: impl FnMut(usize, &Habit) -> bool) {
        let first = self.bursts.partition_point(|b| b.closed);
        for i in first..self.bursts.len() {
            let Some(burst) = self.bursts.get(i).filter(|b| now.saturating_sub(b.at) > FOLLOW_NS) else { break };
            let mut learn = |habits: &mut Habits, habit: Habit| {
                if note(burst.source, &habit) {
                    habits.learn(&habit);
                }
            };
            let visit = self.visit(burst, habits);
            // What merely goes on while a page begins belongs where it belonged.
            let before = self.pulled_by.get(&burst.host).filter(|_| burst.goes_on).cloned();
            let question = Question::of_burst(burst, before.as_deref());
            let beside = beside(&self.bursts, &question);
            let explained = self.learning.explain(&question, habits, &self.shown, &beside);
            let third = 1.0 - visit;
            for page in explained.pages.iter().filter(|page| page.seen && Some(&page.site) != before.as_ref()).take(4) {
                let weight = whole(page.chance * third);
                if weight > WHOLE / 50 {
                    learn(habits, Habit::Pull(Arc::clone(&page.site), Arc::clone(&burst.site), weight));
                }
            }
            match explained.pages.first().filter(|page| page.chance > explained.own) {
                Some(page) => _ = self.pulled_by.insert(Arc::clone(&burst.host), Arc::clone(&page.site)),
                None => _ = self.pulled_by.remove(&burst.host),
            }
            if !burst.goes_on {
                learn(habits, Habit::Burst(Arc::clone(&burst.host), whole(burst.context())));
            }
            if visit >= LEAST_VISIT {
                learn(habits, Habit::Visit(Arc::clone(&burst.site), Arc::clone(&burst.host), whole(visit)));
            }
            if visit >= SHOWN {
                self.shown.note(&burst.site, &burst.host);
            }
            self.learning.add(burst, visit);
            if let Some(burst) = self.bursts.get_mut(i) {
                burst.closed = true;
            }
        }
    }

    /// Who pulled bytes in, by everything learned until now. Questions come in order of time.
    pub fn explain(&mut self, question: &Question<'_>, habits: &Habits) -> Explained {
        while let Some(burst) = self.bursts.get(self.passed).filter(|b| b.at <= question.to) {
            self.booking.add(burst, self.visit(burst, habits));
            self.passed += 1;
        }
        // What booking and learning have both passed is not needed any more.
        let past = |b: &Burst| b.closed && question.from.saturating_sub(b.at) > BESIDE_NS;
        while self.passed > 0 && self.bursts.front().is_some_and(past) {
            self.drop_oldest();
        }
        self.booking.explain(question, habits, &self.shown, &beside(&self.bursts, question))
    }
}

/// Other sites that began to be used at the time of the question.
fn beside<'b>(bursts: &'b VecDeque<Burst>, question: &Question<'_>) -> Vec<&'b str> {
    let first = bursts.partition_point(|b| b.at < question.from.saturating_sub(BESIDE_NS));
    let mut sites = Vec::new();
    let near = bursts.range(first..).take_while(|b| b.at.saturating_sub(question.from) <= BESIDE_NS);
    for burst in near.take(MAX_BESIDE_BURSTS) {
        work::step();
        if sites.len() >= MAX_BESIDE {
            break;
        }
        if *burst.site != *question.site && !sites.contains(&&*burst.site) {
            sites.push(&*burst.site);
        }
    }
    sites
}

fn seconds(ns: i64) -> f64 {
    ns.max(0) as f64 / NANOS_PER_SECOND as f64
}

fn whole(chance: f64) -> i64 {
    (chance * WHOLE as f64).round() as i64
}
