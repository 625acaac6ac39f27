//! What is made of the chances: which page it was, and how sure that is.

use super::explained::{Candidate, Explained};
use super::habits::{Habits, Rates};
use super::runs::Runs;
use crate::books::Sureness;

/// Chance from which on a page is sure, and from which on it is likely, if it also makes this share
/// of all pulls of the site. Chances alone are too bold with many tabs, where what was learned is
/// spread over pages that had no part in it. Measured on worlds made from seeds (docs/SCORE.md): of
/// `sure` 98 %, of `likely` 80 % ought to be right.
const SURE: f64 = 0.97;
const SURE_SHARE: f64 = 0.85;
const LIKELY: f64 = 0.8;
const LIKELY_SHARE: f64 = 0.6;

/// Share of its visits that pull the site in from which on a page can be sure: where some do not,
/// it may be a tab beside it.
const SURE_RATE: f64 = 0.8;

/// Pulls of the site, and visits of the page, before a page can be sure: many pulls of one visit
/// teach once.
const SURE_PULLS: f64 = 6.0;
const SURE_VISITS: f64 = 3.0;

/// How the page's document must usually begin before a page can be sure ([`Habits::context`]): a
/// frame brings few hosts along, and others begin before it. On the worlds every wrong page with
/// one tab was one below 1.3.
const SURE_CONTEXT: f64 = 1.5;

/// Pulls of the site before a page can be likely: one may be a coincidence of two tabs.
const LIKELY_PULLS: f64 = 2.0;

/// Least chance of another page for it to be named as a rival.
const RIVAL: f64 = 0.1;

/// What is made of the chances.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    /// The page that pulled the bytes in; `None` where it was none.
    pub(super) page: Option<Candidate>,
    /// The page that could have been it as well.
    pub(super) rival: Option<Candidate>,
    /// How sure; `None` where the bytes belong to a visit of their own site.
    pub(super) sureness: Option<Sureness>,
}

pub(super) fn judge(explained: Explained, rates: &Rates<'_>, habits: &Habits) -> Judged {
    let Explained { own, background, pages, two: [best, rival], runs, .. } = explained;
    let chance = pages.first().map_or(0.0, |best| best.chance);
    if own >= chance && own >= background {
        return Judged { page: None, rival: None, sureness: None };
    }
    let rival = rival.filter(|rival| rival.chance >= RIVAL);
    let Some(best) = best.filter(|_| chance >= background) else {
        return Judged { page: None, rival: None, sureness: Some(Sureness::Background) };
    };
    let sureness = sureness(&best, rates, runs, habits);
    Judged { page: Some(best), rival, sureness: Some(sureness) }
}

/// How sure it is that `page` pulled in bytes of a site, whose host moves so much at a time.
pub(super) fn sureness(page: &Candidate, rates: &Rates<'_>, runs: Runs, habits: &Habits) -> Sureness {
    // What a host never moved for a page may be another program's: a download looks like a page's
    // file otherwise.
    if page.chance < LIKELY || !runs.as_usual() {
        return Sureness::Guess;
    }
    let name = &page.page.name;
    let (pulls, share) = (rates.pulled_by(name), rates.share_of(name));
    // A frame or an advert that looked like a page now and then.
    let visited = habits.pulled_more(name) <= 0.0;
    if !visited || share < LIKELY_SHARE || pulls < LIKELY_PULLS {
        return Sureness::Guess;
    }
    let known = pulls >= SURE_PULLS && habits.visits_of(name) >= SURE_VISITS;
    let always = share >= SURE_SHARE && rates.of(&page.page.name) >= SURE_RATE;
    let sure = page.chance >= SURE && always && known && runs.as_often();
    if sure && habits.context(&page.page.host) >= SURE_CONTEXT { Sureness::Sure } else { Sureness::Likely }
}
