//! What could explain bytes of a site: pages, and the chance that each did.

use super::habits::{Marks, Named};
use super::owners::{Before, Owner};
use super::runs::Runs;
use std::collections::VecDeque;
use std::sync::Arc;

/// Chance that what begins has nothing to do with any visit, on the scale of a pull rate.
pub(super) const BACKGROUND: f64 = 0.018;

/// Least chance of a candidate: who teaches, owns or rivals is likelier. Where none is, of the
/// likeliest.
const LEAST: f64 = 0.02;

/// Odds of the latest visit below which the device is taken to have several tabs open. Then that a
/// page was opened last says little, and how often it has pulled the site in says more: a player,
/// or adverts that come again, pull in for a whole visit.
const TABS_ODDS: f64 = 15.0;

/// Fewer pulls than these say as much as these: one may be a coincidence of two tabs.
const TABS_PULLS: f64 = 2.0;

/// Pages of a device that are remembered as shown.
const MAX_SHOWN: usize = 64;

/// A page: its name, and the host of its document.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Its name.
    pub name: Named,
    /// The host of its document.
    pub host: Arc<str>,
}

impl Page {
    /// A page, to be pointed to by all who weigh it.
    pub fn new(name: Named, host: &Arc<str>) -> Arc<Self> {
        Arc::new(Self { name, host: Arc::clone(host) })
    }
}

/// A page that could have pulled bytes in.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Which.
    pub page: Arc<Page>,
    /// Chance that it did.
    pub chance: f64,
    /// Bytes of the page itself were seen.
    pub seen: bool,
}

/// A page while it is weighed against others. There are dozens, of which few become candidates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weighed<'a> {
    /// Which.
    pub(super) name: &'a Named,
    pub(super) page: &'a Arc<Page>,
    /// Chance that it pulled the bytes in.
    pub(super) chance: f64,
    /// How often it was seen to pull the site in, and how often it does in a visit.
    pub(super) pulls: f64,
    pub(super) rate: f64,
    /// Chance that bytes just before were of it.
    pub(super) old: f64,
    /// Bytes of the page itself were seen.
    pub(super) seen: bool,
}

impl Weighed<'_> {
    fn candidate(&self) -> Candidate {
        Candidate { page: Arc::clone(self.page), chance: self.chance, seen: self.seen }
    }
}

#[cfg(test)]
impl Explained {
    /// These chances, of bytes of which nothing else is known.
    pub fn of(own: f64, background: f64, pages: Vec<Weighed<'_>>, latest_odds: f64) -> Self {
        let two = first_two(&pages, latest_odds);
        let pages = pages.iter().map(Weighed::candidate).collect();
        Self { own, background, pages, two, lasts: 0.0, pulled: 0.0, runs: Runs::default() }
    }
}

/// Everything that could explain bytes of a site. Chances sum up to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The site itself was visited.
    pub own: f64,
    /// Nothing was.
    pub background: f64,
    /// Pages, each site once, likeliest first, down to a chance of [`LEAST`].
    pub pages: Vec<Candidate>,
    /// The page that is named for the bytes, and its rival. Known where bytes are booked by it.
    pub two: [Option<Candidate>; 2],
    /// Share of the chances that stands for the bytes' going on to belong where they belonged.
    pub(super) lasts: f64,
    /// How well the pages that are open explain them: how often one of them pulls the site in, and
    /// now.
    pub pulled: f64,
    /// How much the host has moved at a time, these bytes with it.
    pub runs: Runs,
}

impl Explained {
    /// The page that is likelier than everything else together, as far as `third` of the bytes is
    /// not an own visit's.
    pub(super) fn clear(&self, third: f64, least: f64) -> Option<&Candidate> {
        self.pages.first().filter(|page| page.chance * third > least)
    }
}

/// Pages that a device has shown, the latest first, each once. Each has its name beside it: all are
/// gone through for whatever begins to be used, and few of them are looked into.
#[derive(Debug, Clone, Default)]
pub struct Shown(VecDeque<(Named, Arc<Page>)>);

impl Shown {
    pub fn note(&mut self, name: Named, host: &Arc<str>) {
        self.0.retain(|(known, _)| !known.is(&name));
        self.0.truncate(MAX_SHOWN - 1);
        self.0.push_front((name.clone(), Page::new(name, host)));
    }

    /// The pages, each with its name.
    pub fn pages(&self) -> impl Iterator<Item = &(Named, Arc<Page>)> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Pages that could have pulled something in, each once.
#[derive(Debug)]
pub(super) struct Candidates<'a> {
    pub(super) list: Vec<Weighed<'a>>,
    pub(super) marks: Marks,
}

impl<'a> Candidates<'a> {
    /// None yet, and room for so many.
    pub(super) fn with_room(count: usize) -> Self {
        Self { list: Vec::with_capacity(count), marks: Marks::default() }
    }

    #[inline]
    pub(super) fn find(&mut self, page: &Named) -> Option<&mut Weighed<'a>> {
        if !self.marks.may_have(page) {
            return None;
        }
        self.list.iter_mut().find(|known| known.name.is(page))
    }

    pub(super) fn push(&mut self, page: Weighed<'a>) {
        self.marks.add(page.name);
        self.list.push(page);
    }
}

/// Chances that sum up to 1, with what lasts: whom the bytes belonged to, and how surely they still
/// do. `odds`: how many times as often what is clear belongs to the device's latest visit as to an
/// earlier one, where bytes are booked by it.
pub(super) fn whole(
    own: f64,
    mut pages: Vec<Weighed<'_>>,
    (before, lasts): (Option<&Before>, f64),
    odds: Option<f64>,
) -> Explained {
    let pulled = BACKGROUND + pages.iter().map(|page| page.chance).sum::<f64>();
    let sum = own + pulled;
    let lasting = |owner: &Owner| before.map_or(0.0, |before| before.of(owner));
    let old_own = if own > 0.0 { lasting(&Owner::Own) } else { 0.0 };
    let mut still = old_own + lasting(&Owner::Background);
    // Where nothing lasts nobody asks whose it was.
    if let Some(before) = before.filter(|_| lasts > 0.0) {
        for page in &mut pages {
            page.old = before.of_page(page.name);
            still += page.old;
        }
    }
    let lasts = if still > 0.0 { lasts } else { 0.0 };
    // What explains the bytes badly takes little from those that they belonged to.
    let anew = (1.0 - lasts) * sum.min(1.0);
    let lasts = if lasts > 0.0 { lasts / (lasts + anew) } else { 0.0 };
    let mix =
        |chance: f64, old: f64| (1.0 - lasts) * chance / sum + if lasts > 0.0 { lasts * old / still } else { 0.0 };
    for page in &mut pages {
        page.chance = mix(page.chance, page.old);
    }
    let likely = sort(&mut pages);
    let two = odds.map_or([None, None], |odds| first_two(&pages, odds));
    let pages = pages.iter().take(likely).map(Weighed::candidate).collect();
    let background = mix(BACKGROUND, lasting(&Owner::Background));
    Explained { own: mix(own, old_own), background, pages, two, lasts, pulled, runs: Runs::default() }
}

/// The two pages that are named for bytes, with these odds of the latest visit: the likeliest, or
/// with several tabs those that also pull the site in again and again. Of equals that which stands
/// first.
fn first_two(pages: &[Weighed<'_>], odds: f64) -> [Option<Candidate>; 2] {
    if odds >= TABS_ODDS {
        return [pages.first().map(Weighed::candidate), pages.get(1).map(Weighed::candidate)];
    }
    let (mut first, mut second) = (None::<(f64, &Weighed<'_>)>, None::<(f64, &Weighed<'_>)>);
    for page in pages {
        let weighed = (page.chance.sqrt() * page.pulls.max(TABS_PULLS), page);
        let heavier = |than: &Option<(f64, _)>| than.is_none_or(|(than, _)| weighed.0.total_cmp(&than).is_gt());
        if heavier(&first) {
            (first, second) = (Some(weighed), first);
        } else if heavier(&second) {
            second = Some(weighed);
        }
    }
    [first, second].map(|page| page.map(|(_, page)| page.candidate()))
}

/// Likeliest first. Of equals the latest visit stands first, and so does it of those whose order
/// nobody asks for, which are most: they stay behind the few others as they were. Gives the number
/// of those others.
fn sort(pages: &mut [Weighed<'_>]) -> usize {
    let least = pages.iter().map(|page| page.chance).fold(0.0, f64::max).min(LEAST);
    let mut likely = 0;
    for place in 0..pages.len() {
        if pages.get(place).is_some_and(|page| page.chance >= least) {
            if let Some(passed) = pages.get_mut(likely..=place) {
                passed.rotate_right(1);
            }
            likely += 1;
        }
    }
    if let Some(likely) = pages.get_mut(..likely) {
        likely.sort_by(|a, b| b.chance.total_cmp(&a.chance));
    }
    likely
}
