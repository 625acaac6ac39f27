//! Which names lead to which by CNAME records, where that changes the site. Where only the end of a
//! chain is asked for, because a cache still knew its beginning, this tells whose bytes they are.
//!
//! Infrastructure is what data/infrastructure.txt names, and what the answers themselves show to
//! be: a name that names of several sites lead to is nobody's site, nor is one that a name of
//! another site leads to where its own domain has such names for several sites. Names of that
//! domain to which nothing leads may be visited.

use super::aging::Aging;
use super::answers::{Asker, Led, Told, keep};
use super::policy::KNOWN_NS;
use crate::site::{infrastructure, registrable};
use imon_common::names::{Name, NameSeen};
use imon_common::time::UnixNanos;

/// Names kept that lead to one name, for a device and for all of them: some serve thousands of
/// sites, and then nobody can tell which one is meant.
const KEPT: usize = 16;

/// Sites kept that lead to names of one domain: two are enough.
const KEPT_SITES: usize = 4;

/// The memory of chains.
#[derive(Debug, Default)]
pub(super) struct Heads {
    by_device: Aging<(Asker, Name), Box<[Told<()>]>>,
    by_target: Aging<Name, Box<[Told]>>,
    /// By the domain of the target, the sites of what leads there.
    by_domain: Aging<Name, Box<[Told<()>]>>,
}

impl Heads {
    /// What an answer to `asker` teaches: the name that was asked for leads to names of other
    /// sites. One that is infrastructure itself is no head. Who follows a chain step by step (a
    /// resolver on this side, whose questions go to the authorities) asks for each name of it:
    /// then what leads to that name leads to its targets.
    pub(super) fn taught(&self, asker: Asker, seen: &NameSeen) -> Vec<Led> {
        // Most answers have no chain.
        if seen.chain.is_empty() {
            return Vec::new();
        }
        let since = UnixNanos(seen.ts.0.saturating_sub(KNOWN_NS));
        let heads: Vec<(UnixNanos, &Name)> = if infrastructure(seen.name.as_str()).is_none() {
            vec![(seen.ts, &seen.name)]
        } else {
            let told = self.of_device(asker, &seen.name).iter();
            told.filter_map(|told| Some((told.times.latest_in(since, seen.ts)?, &told.host))).collect()
        };
        let led = |target: &Name, (ts, head): (UnixNanos, &Name)| {
            let is_of_other_site = registrable(target.as_str()).name != registrable(head.as_str()).name;
            is_of_other_site.then(|| Led { asker, target: target.clone(), head: head.clone(), ts })
        };
        seen.chain.iter().flat_map(|target| heads.iter().filter_map(move |head| led(target, *head))).collect()
    }

    pub(super) fn insert(&mut self, led: Led) {
        let Led { asker, target, head, ts } = led;
        // Once per answer, not once per asker of it.
        if !matches!(asker, Asker::Mac(_)) {
            let [domain, site] = [&target, &head].map(|name| registrable(name.as_str()).name);
            if label_of(domain) != label_of(site)
                && let (Some(domain), Some(site)) = (name_of(domain), name_of(site))
            {
                self.by_domain.change(domain, |told| keep(told, KEPT_SITES, ((), site), ts));
            }
            let head = head.clone();
            self.by_target.change(target.clone(), |told| keep(told, KEPT, (asker, head), ts));
        }
        self.by_device.change((asker, target), |told| keep(told, KEPT, ((), head), ts));
    }

    /// Names that were told to this device to lead to `target`.
    pub(super) fn of_device(&self, asker: Asker, target: &Name) -> &[Told<()>] {
        self.by_device.get(&(asker, target.clone()))
    }

    /// Names that were told to anyone to lead to `target`.
    pub(super) fn of_target(&self, target: &Name) -> &[Told] {
        self.by_target.get(target)
    }

    /// Whether a name says who carries bytes, and not whose they are, by what was told since
    /// `since`.
    pub(super) fn is_infrastructure(&self, name: &Name, since: UnixNanos) -> bool {
        if infrastructure(name.as_str()).is_some() {
            return true;
        }
        let told = self.of_target(name).iter().filter(|told| told.times.latest() >= since);
        let own = label_of(registrable(name.as_str()).name);
        let sites = told.map(|told| registrable(told.host.as_str()).name);
        let mut sites = sites.filter(|site| label_of(site) != own);
        sites.next().is_some_and(|first| sites.any(|site| site != first) || self.serves_several(name, since))
    }

    /// Whether names of several sites were told to lead below the domain of `name`.
    fn serves_several(&self, name: &Name, since: UnixNanos) -> bool {
        let domain = name_of(registrable(name.as_str()).name);
        let sites = domain.map_or(&[][..], |domain| self.by_domain.get(&domain));
        sites.iter().filter(|told| told.times.latest() >= since).count() > 1
    }
}

/// What a site is called below its suffix: `google` of google.com and google.fr. What one of them
/// leads to under another suffix is its own.
fn label_of(site: &str) -> &str {
    site.split('.').next().unwrap_or_default()
}

fn name_of(domain: &str) -> Option<Name> {
    Name::from_host(domain.as_bytes())
}
