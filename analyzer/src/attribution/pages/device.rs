//! One device: which hosts began to be used when (bursts), and which of these were visits to a
//! page.

use super::explained::{Explained, Shown};
use super::habits::{Habit, Habits, Named, WHOLE, What, day_of};
use super::owners::Before;
use super::shape::shape;
use super::visits::{Begun, Beside, FIT, LEAST_VISIT, Use, Visits};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::time::NANOS_PER_SECOND;
use imon_common::work;
use std::collections::VecDeque;
use std::sync::Arc;

/// A site that was silent for this long begins anew. Browsers keep connections open for minutes,
/// and intervals are of one second: two are the shortest silence that can be told.
const QUIET_NS: i64 = 2 * NANOS_PER_SECOND;

/// What begins within this time after a burst counts as having followed it: a document names nearly
/// all it needs in its first bytes, and scripts the rest.
pub const FOLLOW_NS: i64 = 3 * NANOS_PER_SECOND / 2;

/// What began within this time before a burst counts as going before it.
const PRECEDE_NS: i64 = NANOS_PER_SECOND / 2;

/// It counts a third of this long before, because what a document names comes in waves of some
/// milliseconds.
const PRECEDE_DECAY_NS: f64 = 150e6;

/// What was pulled in is learned this long after it was: by then it is known how the hosts of it
/// begin elsewhere, so that the first pages of a recording do not teach nonsense.
const LEARN_NS: i64 = 120 * NANOS_PER_SECOND;

/// Bursts on each side of a burst that are looked at: a page pulls in some tens of hosts at most.
const MAX_NEIGHBOURS: usize = 64;

/// Bursts of a device that are remembered at a time; the oldest go first.
const MAX_BURSTS: usize = 8_192;

/// Sites of a device whose last use is remembered; the silent ones are dropped beyond it.
const MAX_ACTIVE: usize = 4_096;

/// Least chance of a visit for its page to be remembered as shown.
const SHOWN: f64 = 0.5;

/// What speaks for a visit, in logits (fitted, see [`super::visits`]): nothing; the name, see
/// [`shape`], the more so while nothing is known, of the host and at all; the logarithm of the gap
/// before it, the more so the fewer tabs are open; logarithms of how many hosts of other sites
/// follow it and go before it, and of how many of its own site follow; and that it is large enough
/// for a document.
const NO_VISIT: f64 = -1.1;
const NAME: f64 = 1.1;
const NAME_ALONE: f64 = 6.0;
const GAP: f64 = 0.05;
const FOLLOWED: f64 = -0.4;
const PRECEDED: f64 = -0.6;
const FOLLOWED_BY_OWN: f64 = 2.7;
const LARGE: f64 = 0.65;

/// How its host usually begins, logarithm of how often it did, of the share of bursts that are
/// visits, and of how well pages that are open explain it: half of what the odds would be, because
/// a page that was missed teaches its own explanation.
const USUALLY: f64 = 2.4;
const OFTEN: f64 = -0.4;
const SHARE: f64 = 0.9;
const EXPLAINED: f64 = -0.5;

/// Bytes in its first second from which on something is large enough for a document, handshake
/// included; a ping has a thousand or two.
const DOCUMENT_BYTES: f64 = 8_000.0;

/// Bounds of the gap's logarithm: from 50 milliseconds to a minute.
const GAPS: [f64; 2] = [-3.0, 4.0];

/// Bound of what one burst's context says.
const MOST_CONTEXT: f64 = 2.5;

/// What begins to be used within this time is used together.
const BESIDE_NS: i64 = 3 * NANOS_PER_SECOND / 4;

/// Most other sites that are looked at for it.
const MAX_BESIDE: usize = 8;

/// Pulls from which on a page is known to pull a site in.
const KNOWN_PULL: f64 = 0.5;

/// Chance of a page from which on what goes on there teaches nothing about it.
const WENT_ON: f64 = 0.5;

/// Least weight of a pull that is learned, and most pages that one burst teaches about.
const LEAST_PULL: i64 = WHOLE / 50;
const MOST_PULLERS: usize = 4;

/// A site began to be used, or was used on while another one began.
#[derive(Debug, Clone)]
struct Burst {
    at: i64,
    site: Named,
    host: Arc<str>,
    /// Number of the source it lies in.
    source: usize,
    /// Time since another site began to be used.
    gap_ns: i64,
    /// Bytes that its host moved in its first second, by the flow that began it.
    bytes: u64,
    /// It had been used just before.
    goes_on: bool,
    /// Among what it began; known when nothing can follow it any more.
    among: Among,
}

/// Logarithms of how many hosts began to be used around a burst.
#[derive(Debug, Clone, Copy, Default)]
struct Among {
    followed: f64,
    preceded: f64,
    long_preceded: f64,
    followed_by_own: f64,
    /// 0 where it is large enough for a document, down to -1.
    large: f64,
}

impl Among {
    /// Above 0 as documents begin, below as what they pull in does.
    fn context(&self) -> f64 {
        (self.followed + self.followed_by_own - self.long_preceded + 0.5 * self.large)
            .clamp(-MOST_CONTEXT, MOST_CONTEXT)
    }
}

impl Burst {
    fn large(&self) -> f64 {
        ((self.bytes.max(1) as f64 / DOCUMENT_BYTES).ln() / 2.0).clamp(-1.0, 0.0)
    }

    fn as_use<'a>(&'a self, beside: &'a [&'a Named]) -> Use<'a> {
        Use { site: &self.site, host: &self.host, from: self.at, to: self.at, beside, books: false }
    }

    /// Chance that this is a visit to a page of the site, by how it began.
    fn visit(&self, open: OpenPages, habits: &Habits) -> f64 {
        let gap_s = self.gap_ns.max(1) as f64 / NANOS_PER_SECOND as f64;
        let ([least, most], (bursts, context)) = (GAPS, habits.bursts_and_context(&self.host));
        let name = shape(&self.host, &self.site.site);
        // A label that says nothing says no more where nothing else is known.
        let alone = if name.abs() < 1.0 { 0.0 } else { NAME_ALONE * habits.newness() / (1.0 + bursts) };
        let name = (NAME + alone) * name;
        let score = NO_VISIT
            + name
            + GAP * (1.0 + open.latest_odds.ln().max(0.0)) * gap_s.ln().clamp(least, most)
            + FOLLOWED * self.among.followed
            + PRECEDED * self.among.preceded
            + FOLLOWED_BY_OWN * self.among.followed_by_own
            + LARGE * self.among.large
            + USUALLY * context
            + OFTEN * bursts.ln_1p()
            + SHARE * habits.visits_of_bursts().ln()
            + EXPLAINED * open.pulled.ln();
        1.0 / (1.0 + (-score).exp())
    }
}

/// What pages that are open say of a burst.
#[derive(Debug, Clone, Copy)]
struct OpenPages {
    /// How well they explain it.
    pulled: f64,
    /// Odds of the latest visit against earlier ones.
    latest_odds: f64,
}

/// What is known of the bytes to be explained.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub site: &'a Named,
    pub host: &'a Arc<str>,
    /// Earliest and latest time of the bytes.
    pub from: i64,
    pub to: i64,
    pub bytes: u64,
    /// Whom the flow's bytes of just before belong to.
    pub before: Option<&'a Before>,
}

#[derive(Debug, Clone, Copy)]
struct Active {
    last: i64,
    burst: i64,
}

/// The recent past of a device.
#[derive(Debug, Clone, Default)]
pub struct Device {
    bursts: VecDeque<Burst>,
    active: HashMap<Arc<str>, Active, RandomState>,
    /// When and which host began last.
    begun: Option<(i64, Arc<str>)>,
    /// Visits as learning sees them, and as booking does.
    learning: Visits,
    booking: Visits,
    /// How many of the bursts have been placed among others, learned from, and passed by booking:
    /// the first ones.
    placed: usize,
    learned: usize,
    passed: usize,
    shown: Shown,
}

/// What a device did: a flow moved bytes.
#[derive(Debug)]
pub struct Move<'a> {
    pub at: i64,
    pub site: &'a Named,
    pub host: &'a Arc<str>,
    pub source: usize,
    /// The flow began just now.
    pub begins: bool,
    /// How much.
    pub bytes: u64,
    /// So much that it is more than keeping a connection alive.
    pub counts: bool,
}

impl Device {
    /// Notes that a flow moved bytes. Moves come in order of time.
    pub fn moves(&mut self, it: &Move<'_>) {
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
                site: it.site.clone(),
                host: Arc::clone(it.host),
                source: it.source,
                gap_ns,
                bytes: it.bytes,
                goes_on: !begins,
                among: Among::default(),
            });
        }
        if begins {
            self.begun = Some((it.at, Arc::clone(it.host)));
        }
        if self.active.len() >= MAX_ACTIVE && active.is_none() {
            work::steps(self.active.len());
            self.active.retain(|_, a| it.at.saturating_sub(a.last) < QUIET_NS);
            // A flood of names: nothing but forgetting bounds the work.
            if self.active.len() >= MAX_ACTIVE / 2 {
                self.active.clear();
            }
        }
        let burst = if burst { it.at } else { active.map_or(it.at, |a| a.burst) };
        self.active.insert(Arc::clone(it.host), Active { last: it.at, burst });
    }

    fn drop_oldest(&mut self) {
        self.bursts.pop_front();
        for count in [&mut self.placed, &mut self.learned, &mut self.passed] {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether there are bursts from which nothing was learned yet: they are last in `bursts`.
    pub fn has_open(&self) -> bool {
        self.learned < self.bursts.len()
    }

    /// What began around a burst: other hosts, each once.
    fn among(&self, i: usize, burst: &Burst) -> Among {
        let begins = |b: &&Burst| !b.goes_on && b.host != burst.host;
        let (mut before, mut after, mut own) = (Vec::new(), Vec::new(), Vec::new());
        let mut preceded = 0.0_f64;
        let note = |list: &mut Vec<Arc<str>>, host: &Arc<str>| {
            if !list.contains(host) {
                list.push(Arc::clone(host));
            }
        };
        let near = |b: &&Burst| burst.at.saturating_sub(b.at) <= PRECEDE_NS;
        for other in self.bursts.range(..i).rev().take(MAX_NEIGHBOURS).take_while(near).filter(begins) {
            work::step();
            if !before.contains(&other.host) {
                before.push(Arc::clone(&other.host));
                preceded += (-(burst.at.saturating_sub(other.at).max(0) as f64 / PRECEDE_DECAY_NS)).exp();
            }
        }
        let near = |b: &&Burst| b.at.saturating_sub(burst.at) <= FOLLOW_NS;
        for other in self.bursts.range(i + 1..).take(MAX_NEIGHBOURS).take_while(near).filter(begins) {
            work::step();
            if other.site == burst.site {
                note(&mut own, &other.host);
            } else if !before.contains(&other.host) {
                note(&mut after, &other.host);
            }
        }
        let log = |list: &[Arc<str>]| (list.len() as f64).ln_1p();
        Among {
            followed: log(&after),
            preceded: preceded.ln_1p(),
            long_preceded: log(&before),
            followed_by_own: log(&own),
            large: burst.large(),
        }
    }

    /// Chance that a burst is a visit to a page of its site, and not what a page pulls in that was
    /// shown without a byte of its own.
    fn visit(&self, burst: &Burst, beside: &[&Named], open: OpenPages, habits: &Habits) -> f64 {
        if burst.goes_on {
            return 0.0;
        }
        let (rates, beside) = (habits.rates(&burst.site), Beside::new(beside, habits));
        let known = self.shown.pages().map(|(name, _)| name).filter(|page| rates.may_be_of(page));
        let known = known.map(|page| (page, rates.pulls_and_share(page))).filter(|(_, (pulls, _))| *pulls > KNOWN_PULL);
        let pulls = known.map(|(page, (_, share))| share * beside.fit(page) / FIT);
        let pulled = pulls.fold(0.0, f64::max).min(1.0);
        burst.visit(open, habits) * (1.0 - pulled)
    }

    /// Learns from bursts of long enough before `now`; `note` hears what, and in which source, and
    /// says whether it is news.
    pub fn learn(&mut self, now: i64, habits: &mut Habits, mut note: impl FnMut(usize, &Habit) -> bool) {
        let mut learn = |habits: &mut Habits, burst: &Burst, what: What| {
            let habit = Habit { day: day_of(burst.at), what };
            if note(burst.source, &habit) {
                habits.learn(&habit);
            }
        };
        while let Some(burst) = self.bursts.get(self.placed).filter(|b| now.saturating_sub(b.at) > FOLLOW_NS) {
            let among = self.among(self.placed, burst);
            if !burst.goes_on {
                learn(habits, burst, What::Burst(Arc::clone(&burst.host), thousandths(among.context())));
            }
            if let Some(burst) = self.bursts.get_mut(self.placed) {
                burst.among = among;
            }
            self.placed += 1;
        }
        while let Some(burst) = self.bursts.get(self.learned).filter(|b| now.saturating_sub(b.at) > LEARN_NS) {
            let beside = beside(&self.bursts, &burst.site, burst.at);
            let before = self.learning.before(&burst.host);
            let it = burst.as_use(&beside);
            let explained = self.learning.explain(&it, habits, &self.shown, before);
            let open = OpenPages { pulled: explained.pulled, latest_odds: self.learning.latest_odds() };
            let visit = self.visit(burst, &beside, open, habits);
            let third = 1.0 - visit;
            // What merely goes on while a page begins belongs where it belonged.
            let went_on = |page| burst.goes_on && before.is_some_and(|b| b.of_page(page) > WENT_ON);
            let pulled =
                explained.pages.iter().filter(|page| page.seen && !went_on(&page.page.name)).take(MOST_PULLERS);
            for page in pulled {
                let weight = thousandths(page.chance * third);
                if weight > LEAST_PULL {
                    let pull = What::Pull(Arc::clone(&page.page.name.site), Arc::clone(&burst.site.site), weight);
                    learn(habits, burst, pull);
                }
            }
            if visit >= LEAST_VISIT {
                let visit = What::Visit(Arc::clone(&burst.site.site), Arc::clone(&burst.host), thousandths(visit));
                learn(habits, burst, visit);
            }
            if visit >= SHOWN {
                self.shown.note(habits.renamed(&burst.site), &burst.host);
            }
            self.learning.add(&Begun { it, goes_on: burst.goes_on, visit }, &explained, habits);
            self.learned += 1;
        }
    }

    /// Who pulled bytes in, by everything learned until now. Questions come in order of time.
    pub fn explain(&mut self, question: &Question<'_>, habits: &Habits) -> Explained {
        while let Some(burst) = self.bursts.get(self.passed).filter(|b| b.at <= question.to) {
            let beside = beside(&self.bursts, &burst.site, burst.at);
            let it = burst.as_use(&beside);
            let explained = self.booking.explain(&it, habits, &self.shown, self.booking.before(&burst.host));
            let open = OpenPages { pulled: self.booking.pulled(&it, habits), latest_odds: self.booking.latest_odds() };
            let visit = self.visit(burst, &beside, open, habits);
            self.booking.add(&Begun { it, goes_on: burst.goes_on, visit }, &explained, habits);
            self.passed += 1;
        }
        // What booking and learning have both passed is not needed any more.
        let past = |b: &Burst| question.from.saturating_sub(b.at) > FOLLOW_NS;
        while self.passed.min(self.learned) > 0 && self.bursts.front().is_some_and(past) {
            self.drop_oldest();
        }
        let Question { site, host, from, to, bytes, before } = *question;
        let beside = beside(&self.bursts, site, from);
        let before = before.or_else(|| self.booking.before(host));
        let mut explained = self.booking.explain(
            &Use { site, host, from, to, beside: &beside, books: true },
            habits,
            &self.shown,
            before,
        );
        let mut noted = Before::new(from, 0.0, &explained, self.booking.before(host));
        explained.runs = noted.moved(to, bytes);
        self.booking.note(host, noted);
        explained
    }
}

/// Other sites that began to be used at the time.
fn beside<'b>(bursts: &'b VecDeque<Burst>, site: &Named, at: i64) -> Vec<&'b Named> {
    let first = bursts.partition_point(|b| b.at < at.saturating_sub(BESIDE_NS));
    let mut sites = Vec::new();
    let near = |b: &&Burst| b.at.saturating_sub(at) <= BESIDE_NS;
    for burst in bursts.range(first..).take(MAX_NEIGHBOURS).take_while(near) {
        work::step();
        if burst.site != *site && !sites.contains(&&burst.site) && sites.len() < MAX_BESIDE {
            sites.push(&burst.site);
        }
    }
    sites
}

fn thousandths(value: f64) -> i64 {
    (value * WHOLE as f64).round() as i64
}
