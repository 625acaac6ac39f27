//! What was looked up lately: attribution asks for the sites of the same few thousand names again
//! and again, and a look into the Public Suffix List takes ten times as long as one here. What is
//! given is the same with and without.

use super::{Site, SiteKind};
use foldhash::fast::RandomState;
use std::cell::RefCell;
use std::hash::BuildHasher as _;

/// Names kept, each at the place that its hash gives: a household's. Another name takes the place.
const PLACES: usize = 4_096;

/// A name, and what of it is its site.
struct Known {
    host: Box<str>,
    start: usize,
    len: usize,
    kind: SiteKind,
}

#[derive(Default)]
struct Lately {
    hasher: RandomState,
    places: Vec<Option<Known>>,
}

thread_local! {
    static LATELY: RefCell<Lately> = RefCell::default();
}

/// What `cut` gives for `host`: part of it.
pub(super) fn look_up<'a>(host: &'a str, cut: fn(&'a str) -> Site<'a>) -> Site<'a> {
    LATELY.with_borrow_mut(|Lately { hasher, places }| {
        if places.is_empty() {
            places.resize_with(PLACES, || None);
        }
        let hash = usize::try_from(hasher.hash_one(host) % PLACES as u64).unwrap_or_default();
        let Some(place) = places.get_mut(hash) else { return cut(host) };
        if let Some(known) = place
            && *known.host == *host
            && let Some(name) = host.get(known.start..known.start + known.len)
        {
            return Site { name, kind: known.kind };
        }
        let site = cut(host);
        let start = site.name.as_ptr().addr().wrapping_sub(host.as_ptr().addr());
        // Nothing is kept of a site that is no part of its host.
        if host.get(start..).is_some_and(|rest| rest.starts_with(site.name)) {
            *place = Some(Known { host: host.into(), start, len: site.name.len(), kind: site.kind });
        }
        site
    })
}

#[cfg(test)]
mod tests {
    use super::super::{cut, registrable};
    use super::*;

    #[test]
    fn a_second_look_gives_what_the_first_one_gave() {
        let hosts =
            ["www.example.co.uk", "example.co.uk.", "co.uk", "router", "192.0.2.1", "printer.local", "a..b", "."];
        for _ in 0..3 {
            for host in hosts {
                assert_eq!(registrable(host), cut(host), "{host}");
            }
        }
    }

    #[test]
    fn more_names_than_places_are_told_apart() {
        for i in (0..3 * PLACES).chain(0..PLACES) {
            let host = format!("h{i}.s{i}.example");
            assert_eq!(registrable(&host), cut(&host), "{host}");
        }
    }
}
