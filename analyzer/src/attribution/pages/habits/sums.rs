//! Sums of what was learned over some time, and how they fade when there is too much of it.

use super::names::Named;
use super::{HabitsOfSite, WHOLE};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use indexmap::IndexMap;
use std::sync::Arc;

/// Sites remembered: a home meets some thousands. Beyond it everything fades by half, and what is
/// nothing then is forgotten.
const MAX_SITES: usize = 65_536;

/// Pairs of page and site remembered, at about 100 bytes each.
pub(super) const MAX_PAIRS: usize = 262_144;

/// What was learned of one name, a host or a site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Site {
    pub(super) bursts: i64,
    pub(super) context: i64,
    pub(super) visits: i64,
    /// How often it was pulled in by any page.
    pub(super) pulled: i64,
    pub(super) pulls: HashMap<Named, i64, RandomState>,
    /// Host of the latest visit's document.
    document: Option<Arc<str>>,
}

/// Sums over some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// Hosts and sites, in the order of their first use.
    pub(super) sites: IndexMap<Arc<str>, Site, RandomState>,
    pub(super) pairs: usize,
    pub(super) visits: i64,
    pub(super) bursts: i64,
}

impl Sums {
    fn site(&mut self, name: &Arc<str>) -> &mut Site {
        self.sites.entry(Arc::clone(name)).or_default()
    }

    pub(super) fn add_site(&mut self, name: &Arc<str>, sums: HabitsOfSite) {
        let HabitsOfSite { bursts, context, visits, document } = sums;
        self.visits = self.visits.saturating_add(visits);
        self.bursts = self.bursts.saturating_add(bursts);
        let site = self.site(name);
        site.bursts = site.bursts.saturating_add(bursts);
        site.context = site.context.saturating_add(context);
        site.visits = site.visits.saturating_add(visits);
        site.document = document.or(site.document.take());
    }

    pub(super) fn add_pull(&mut self, page: &Arc<str>, site: &Named, weight: i64) {
        let pulled = self.site(&site.site);
        pulled.pulled = pulled.pulled.saturating_add(weight);
        let pulls = &mut self.site(page).pulls;
        let before = pulls.len();
        let sum = pulls.entry(site.clone()).or_default();
        *sum = sum.saturating_add(weight);
        self.pairs += pulls.len() - before;
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        other.sites().for_each(|(name, sums)| self.add_site(name, sums));
        other.pulls().for_each(|(page, site, weight)| self.add_pull(page, site, weight));
    }

    /// Takes out what was added before. Whatever faded meanwhile is gone already.
    pub(super) fn take_out(&mut self, other: &Self) {
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
    pub(super) fn fade(&mut self) {
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

    pub(super) fn is_full(&self) -> bool {
        self.sites.len() >= MAX_SITES || self.pairs >= MAX_PAIRS
    }

    pub(super) fn sites(&self) -> impl Iterator<Item = (&Arc<str>, HabitsOfSite)> {
        self.sites.iter().map(|(name, site)| {
            let Site { bursts, context, visits, .. } = *site;
            (name, HabitsOfSite { bursts, context, visits, document: site.document.clone() })
        })
    }

    pub(super) fn pulls(&self) -> impl Iterator<Item = (&Arc<str>, &Named, i64)> {
        self.sites.iter().flat_map(|(page, site)| site.pulls.iter().map(move |(pulled, sum)| (page, pulled, *sum)))
    }
}
