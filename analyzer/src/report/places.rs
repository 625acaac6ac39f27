//! Hosts as keys of a report: which of its places each host, and each set of hosts that could
//! explain bytes, belongs to.

use crate::books::{Books, Evidence, Host, Row};
use crate::error::shown;
use crate::owners::Owner;
use crate::question::{Filters, Key, Matcher, Question};
use crate::site::{OF_NAMES, SiteKind, Sites, infrastructure, registrable};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// What stands behind names by reverse lookup.
pub(in crate::report) const REVERSE: &str = " (ptr)";

/// What stands behind the provider, or in a report by host the name, of infrastructure that nothing
/// is known to lead to.
pub(in crate::report) const INFRASTRUCTURE: &str = " (infrastructure)";

/// The text of a key, safe to show, and whether a reader should be told that it is no site.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// What is shown.
    pub text: String,
    /// It is no site but stands for itself.
    pub marked: bool,
    /// A name stands there; an address, or infrastructure that stands for no site, is none.
    pub named: bool,
    /// What the device calls itself, safe to show.
    pub name: Option<String>,
    /// Whose the address is, where a file tells.
    pub owner: Option<Owner>,
}

/// A label of this text, made safe to show; not marked.
pub fn label(text: &str) -> Label {
    Label { text: shown(text), marked: false, named: true, name: None, owner: None }
}

/// Places of hosts. A place has one label for each key that is of hosts.
#[derive(Debug)]
pub struct Places {
    /// Place of each host, or [`Places::NOWHERE`].
    of: Vec<u32>,
    /// Place of a host where it is infrastructure.
    carried: HashMap<u32, u32, RandomState>,
    /// Places of each set of candidates, sorted, each once.
    sets: Vec<Vec<u32>>,
    labels: Vec<Vec<Label>>,
    /// Addresses have labels of whose they are.
    pub has_owners: bool,
}

impl Places {
    /// Place of what belongs to no row of the report.
    pub const NOWHERE: u32 = u32::MAX;

    /// The places of `keys`, all of which are of hosts; one for all where there are none.
    pub fn new(books: &Books, keys: &[Key], filters: &Filters, sites: &Sites) -> Self {
        let asked = filters.hosts_of(books, sites);
        let is_asked = |host: usize| asked.as_ref().is_none_or(|asked| asked.get(host).copied().unwrap_or_default());
        let mut known = Known::default();
        let has_owners = sites.owners().is_some() && keys.iter().any(|key| shows_addresses(*key));
        // A name by reverse lookup may stand for addresses of several owners.
        let has_label = |i: usize| has_owners && u32::try_from(i).is_ok_and(|i| !books.reverse.contains_key(&i));
        let of = books.hosts.iter().enumerate().map(|(i, host)| match is_asked(i) {
            true => {
                let texts = keys.iter().map(|key| usual(*key, books, (i, host), sites)).collect();
                let owner = if has_label(i) { sites.owner(host) } else { None };
                known.place(texts, (matches!(host, Host::Name(_)), owner))
            }
            false => Self::NOWHERE,
        });
        let of: Vec<u32> = of.collect();
        let mut carried: HashMap<u32, u32, RandomState> = HashMap::default();
        for row in books.rows.iter().filter(|row| row.evidence == Evidence::Infra && !keys.is_empty()) {
            let Some(host) = books.hosts.get(index(row.host)).filter(|_| is_asked(index(row.host))) else { continue };
            if !carried.contains_key(&row.host) {
                carried.insert(
                    row.host,
                    known.place(keys.iter().map(|key| of_infrastructure(*key, host)).collect(), (false, None)),
                );
            }
        }
        let sets = candidate_places(books, &of);
        Self { of, carried, sets, labels: known.labels, has_owners }
    }

    /// One place: that of the hosts which a name on the command line stands for.
    pub fn of_name(books: &Books, question: &Question, sites: &Sites, name: &str) -> Self {
        let matcher = Matcher::new(name, sites);
        let asked = question.filters.hosts_of(books, sites);
        let is_asked = |host: usize| asked.as_ref().is_none_or(|asked| asked.get(host).copied().unwrap_or_default());
        let place = |(i, host): (usize, &Host)| if matcher.host(host) && is_asked(i) { 0 } else { Self::NOWHERE };
        let of: Vec<u32> = books.hosts.iter().enumerate().map(place).collect();
        let sets = candidate_places(books, &of);
        let owner = name.parse().ok().and_then(|address| sites.owner(&Host::Address(address)));
        let labels = vec![vec![Label { owner, ..label(name) }]];
        Self { of, carried: HashMap::default(), sets, labels, has_owners: sites.owners().is_some() }
    }

    /// Whether every host has a place.
    pub fn takes_all(&self) -> bool {
        !self.of.contains(&Self::NOWHERE)
    }

    /// The place of a row, or [`Places::NOWHERE`].
    pub fn place(&self, row: &Row) -> u32 {
        let carried = self.carried.get(&row.host).filter(|_| row.evidence == Evidence::Infra);
        carried.or_else(|| self.of.get(index(row.host))).copied().unwrap_or(Self::NOWHERE)
    }

    /// Places that could explain a row, sorted, each once; none where nothing is shared.
    /// [`Places::NOWHERE`] stands for those that are in no row of the report.
    pub fn candidates(&self, row: &Row) -> &[u32] {
        row.candidates.and_then(|set| self.sets.get(index(set))).map_or(&[], Vec::as_slice)
    }

    /// Label of a place by the `nth` of the keys that are of hosts.
    pub fn label(&self, place: u32, nth: usize) -> Option<&Label> {
        self.labels.get(index(place))?.get(nth)
    }
}

/// Places by their labels.
#[derive(Default)]
struct Known {
    labels: Vec<Vec<Label>>,
    of_texts: HashMap<Vec<String>, u32, RandomState>,
}

impl Known {
    /// The place of these texts. What is marked once stays marked.
    fn place(&mut self, texts: Vec<(String, bool)>, (named, owner): (bool, Option<Owner>)) -> u32 {
        let next = u32::try_from(self.labels.len()).unwrap_or(Places::NOWHERE);
        let key = texts.iter().map(|(text, _)| text.clone()).collect();
        *self.of_texts.entry(key).or_insert_with(|| {
            let made =
                |(text, marked): &(String, bool)| Label { marked: *marked, named, owner: owner.clone(), ..label(text) };
            self.labels.push(texts.iter().map(made).collect());
            next
        })
    }
}

/// Whether an address stands for itself by this key, so that a reader wants to know whose it is.
fn shows_addresses(key: Key) -> bool {
    matches!(key, Key::Site | Key::Page | Key::Family | Key::Host)
}

/// An index of the books as `usize`: 32 bits always fit.
pub fn index(i: u32) -> usize {
    usize::try_from(i).unwrap_or(usize::MAX)
}

/// Text of a host by `key`, and whether it is no site; of one with a name by reverse lookup that of
/// the name, with [`REVERSE`] behind it.
fn usual(key: Key, books: &Books, (host_index, host): (usize, &Host), sites: &Sites) -> (String, bool) {
    // What a page is, and what is served, follows from names that were seen.
    let reverse =
        u32::try_from(host_index).ok().filter(|_| !matches!(key, Key::Page | Key::Served) && !key.is_of_owner());
    match reverse.and_then(|host| books.reverse.get(&host)) {
        // No host name holds a space: such a key is never that of a name that was seen.
        Some(name) => {
            let (text, marked) = text_of(key, &Host::Name(name.clone()), sites);
            (format!("{text}{REVERSE}"), marked)
        }
        None => text_of(key, host, sites),
    }
}

/// What people read for what is booked on a host by this evidence, safe to show: as a report has
/// it.
pub fn host_label(key: Key, host: &Host, evidence: Evidence, sites: &Sites) -> Label {
    let (text, marked) =
        if evidence == Evidence::Infra { of_infrastructure(key, host) } else { text_of(key, host, sites) };
    let named = matches!(host, Host::Name(_)) && evidence != Evidence::Infra;
    let owner = if shows_addresses(key) { sites.owner(host) } else { None };
    Label { marked, named, owner, ..label(&text) }
}

fn text_of(key: Key, host: &Host, sites: &Sites) -> (String, bool) {
    let is_no_site = |kind| !matches!(kind, SiteKind::Site | SiteKind::Address);
    match key {
        Key::Site | Key::Page => {
            let (name, kind) = sites.of_host(host);
            (name, is_no_site(kind))
        }
        Key::Family => {
            let (name, kind) = sites.family_of_host(host);
            (name, is_no_site(kind))
        }
        Key::Network | Key::Country => (sites.owner_key(key, host), false),
        _ => (host.to_string(), false),
    }
}

/// What a row booked on `host` by `evidence` is called by `key`, which is of hosts: without names
/// by reverse lookup.
pub fn called(key: Key, host: &Host, evidence: Evidence, sites: &Sites) -> String {
    let (text, _) = match evidence {
        Evidence::Infra => of_infrastructure(key, host),
        _ => text_of(key, host, sites),
    };
    shown(&text)
}

/// Text of a host that is infrastructure. No host name holds a space.
fn of_infrastructure(key: Key, host: &Host) -> (String, bool) {
    let carrier = match key {
        Key::Network | Key::Country => return (OF_NAMES.to_owned(), false),
        Key::Host | Key::Served => host.to_string(),
        _ => provider(host),
    };
    (format!("{carrier}{INFRASTRUCTURE}"), false)
}

/// Who runs the infrastructure that a host is part of: by the list, else the name's own domain.
fn provider(host: &Host) -> String {
    let name = host.to_string();
    infrastructure(&name).map_or_else(|| registrable(&name).name.to_owned(), str::to_owned)
}

fn candidate_places(books: &Books, of: &[u32]) -> Vec<Vec<u32>> {
    let places = |set: &Vec<u32>| {
        let mut places: Vec<u32> = set.iter().filter_map(|host| of.get(index(*host)).copied()).collect();
        places.sort_unstable();
        places.dedup();
        places
    };
    books.candidate_sets.iter().map(places).collect()
}
