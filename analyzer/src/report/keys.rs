//! Which key of a report a row belongs to.
//!
//! A key has two parts, both interned: the place (site, host, device, evidence) and the time (local hour, day, month).
//! A report uses one of them; a report on a site uses both.

use super::{By, Query};
use crate::books::{BUCKET_S, Books, Evidence, Host, Row};
use crate::error::shown;
use crate::range::zoned;
use crate::site::{SiteKind, Sites, infrastructure, registrable};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::names::Name;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::tz::TimeZone;

/// Bits of the time part in a packed key. No frame holds 2^28 rows in memory, and there are never more times than rows.
const TIME_BITS: u32 = 28;
const TIME_MASK: u32 = (1 << TIME_BITS) - 1;

/// A stretch of local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Hour; the two hours of a clock set back differ by their offset.
    Hour,
    /// Day of 23 to 25 hours.
    Day,
    /// Calendar month.
    Month,
}

impl Unit {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    fn of(by: By) -> Option<Self> {
        match by {
            By::Hour => Some(Self::Hour),
            By::Day => Some(Self::Day),
            By::Month => Some(Self::Month),
            _ => None,
        }
    }
}

/// What stands behind names by reverse lookup.
pub(super) const REVERSE: &str = " (ptr)";

/// What stands behind the provider, or in a report by host the name, of infrastructure that nothing is known to lead to.
pub(super) const INFRASTRUCTURE: &str = " (infrastructure)";

/// A key: place and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub place: u32,
    pub time: u32,
}

impl Key {
    /// Key and evidence in one number, so that one column groups by all three.
    pub fn pack(self, evidence: Evidence) -> u64 {
        let time = u64::from(self.time & TIME_MASK);
        u64::from(self.place) << 32 | time << (32 - TIME_BITS) | u64::from(evidence.number())
    }

    /// The reverse of [`Key::pack`].
    pub fn unpack(cell: u64) -> Option<(Self, Evidence)> {
        let low = u32::try_from(cell & u64::from(u32::MAX)).ok()?;
        let evidence = Evidence::from_number(u8::try_from(low & 0xf).ok()?)?;
        Some((Self { place: u32::try_from(cell >> 32).ok()?, time: low >> (32 - TIME_BITS) }, evidence))
    }
}

/// The text of a key's place, safe to show, and whether a reader should be told that it is no site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub text: String,
    pub marked: bool,
    /// What the device calls itself, safe to show.
    pub name: Option<String>,
}

/// How rows find their key in one report.
#[derive(Debug)]
pub struct Keys {
    place: Place,
    time: Option<Time>,
    labels: Vec<Label>,
    place_word: Option<&'static str>,
    /// Keys that hold no byte but might get a row too.
    pub possible_too: bool,
}

/// Where a row's place comes from.
#[derive(Debug)]
enum Place {
    /// One place for all.
    One,
    /// By the host: place of each host, or [`Keys::NOWHERE`]; its place where it is infrastructure; places of each candidate
    /// set, sorted, each once.
    Host {
        of: Vec<u32>,
        carried: HashMap<u32, u32, RandomState>,
        sets: Vec<Vec<u32>>,
    },
    Device,
    Evidence,
}

impl Keys {
    /// Place of what belongs to no key of the report.
    pub const NOWHERE: u32 = u32::MAX;

    /// The keys of a report by `query.by`.
    pub fn of_axis(books: &Books, query: &Query, sites: &Sites) -> Self {
        let time = Unit::of(query.by).map(|unit| Time::new(unit, query.range.zone.clone()));
        let reverse = Some(&books.reverse);
        let (place, labels) = match query.by {
            // What a page is follows from names that were seen.
            By::Page => by_host(books, None, |host| site(sites, host), provider),
            By::Site => by_host(books, reverse, |host| site(sites, host), provider),
            By::Family => by_host(
                books,
                reverse,
                |host| {
                    let (name, kind) = sites.family_of_host(host);
                    (name, !matches!(kind, SiteKind::Site | SiteKind::Address))
                },
                provider,
            ),
            By::Host => by_host(books, reverse, |host| (host.to_string(), false), Host::to_string),
            By::Served => by_host(books, None, |host| (host.to_string(), false), Host::to_string),
            By::Device => (Place::Device, devices(books)),
            By::Evidence => (Place::Evidence, evidence_labels()),
            By::Hour | By::Day | By::Month => (Place::One, Vec::new()),
        };
        let place_word = time.is_none().then(|| query.by.word());
        // What a page pulled in is known only where it did.
        let possible_too = matches!(query.by, By::Site | By::Host);
        Self { place, time, labels, place_word, possible_too }
    }

    /// The keys of a report on `name` by `unit`: see [`super::Report::of_names`].
    pub fn of_name(books: &Books, query: &Query, sites: &Sites, name: &str, unit: Unit) -> Self {
        let matches = Matcher::new(name, sites);
        let of: Vec<u32> = books.hosts.iter().map(|host| if matches.host(host) { 0 } else { Keys::NOWHERE }).collect();
        let sets = candidate_places(books, &of);
        Self {
            place: Place::Host { of, carried: HashMap::default(), sets },
            time: Some(Time::new(unit, query.range.zone.clone())),
            labels: vec![label(name, false)],
            place_word: Some(By::Site.word()),
            possible_too: true,
        }
    }

    /// Names of the columns that hold the key's text.
    pub fn columns(&self) -> Vec<&'static str> {
        self.place_word.into_iter().chain(self.time.as_ref().map(|t| t.unit.word())).collect()
    }

    /// The key of `row`, `None` if it belongs to none; learns the row's time.
    pub fn key(&mut self, row: &Row) -> Option<Key> {
        let place = match &self.place {
            Place::One => 0,
            Place::Host { of, carried, .. } => {
                let carried = carried.get(&row.host).filter(|_| row.evidence == Evidence::Infra);
                carried.or_else(|| of.get(index(row.host))).copied().unwrap_or(Keys::NOWHERE)
            }
            Place::Device => row.device,
            Place::Evidence => u32::from(row.evidence.number()),
        };
        (place != Keys::NOWHERE).then(|| Key { place, time: self.time(row) })
    }

    /// Places that could explain `row`, sorted, each once, and its time. No places where nothing is shared, or where the
    /// report is not about hosts. [`Keys::NOWHERE`] stands for those that are no key.
    pub fn candidates(&mut self, row: &Row) -> (&[u32], u32) {
        let Some(set) = row.candidates else {
            return (&[], 0);
        };
        let time = self.time(row);
        match &self.place {
            Place::Host { sets, .. } => (sets.get(index(set)).map_or(&[], Vec::as_slice), time),
            _ => (&[], time),
        }
    }

    fn time(&mut self, row: &Row) -> u32 {
        self.time.as_mut().map_or(0, |time| time.id(row.bucket_s))
    }

    /// Text of the key's place, if the report has one.
    pub fn label(&self, key: Key) -> Option<&Label> {
        self.labels.get(index(key.place))
    }

    /// Text of the key's time and its start in Unix seconds, if the report has one.
    pub fn time_label(&self, key: Key) -> Option<(&str, i64)> {
        self.time.as_ref()?.times.get(index(key.time)).map(|(text, first)| (text.as_str(), *first))
    }
}

/// An index of the books as `usize`: 32 bits always fit.
fn index(i: u32) -> usize {
    usize::try_from(i).unwrap_or(usize::MAX)
}

fn label(text: &str, marked: bool) -> Label {
    Label { text: shown(text), marked, name: None }
}

/// One label for each device: its address, and what it calls itself.
fn devices(books: &Books) -> Vec<Label> {
    let names = books.device_names.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let name = |name: Option<&Name>| name.map(|name| shown(name.as_str()));
    books.devices.iter().zip(names).map(|(text, of)| Label { name: name(of), ..label(text, false) }).collect()
}

/// One label for each evidence number.
fn evidence_labels() -> Vec<Label> {
    (0..=u8::MAX).map_while(Evidence::from_number).map(|e| label(e.word(), false)).collect()
}

/// The site of a host, and whether it is none.
fn site(sites: &Sites, host: &Host) -> (String, bool) {
    let (name, kind) = sites.of_host(host);
    (name, !matches!(kind, SiteKind::Site | SiteKind::Address))
}

/// Interns the text of each host; of those with a name by `reverse` lookup that name, with [`REVERSE`] behind it. A text
/// that is marked once is marked.
fn by_host(
    books: &Books,
    reverse: Option<&std::collections::HashMap<u32, Name>>,
    text_of: impl Fn(&Host) -> (String, bool),
    carrier_of: impl Fn(&Host) -> String,
) -> (Place, Vec<Label>) {
    let mut labels: Vec<Label> = Vec::new();
    let mut ids: HashMap<String, u32, RandomState> = HashMap::default();
    let mut of = Vec::with_capacity(books.hosts.len());
    for (i, host) in (0u32..).zip(&books.hosts) {
        let (text, marked) = match reverse.and_then(|names| names.get(&i)) {
            // No host name holds a space: such a key is never that of a name that was seen.
            Some(name) => {
                let (text, marked) = text_of(&Host::Name(name.clone()));
                (format!("{text}{REVERSE}"), marked)
            }
            None => text_of(host),
        };
        let next = u32::try_from(labels.len()).unwrap_or(Keys::NOWHERE);
        of.push(*ids.entry(text).or_insert_with_key(|text| {
            labels.push(label(text, marked));
            next
        }));
    }
    let mut carried: HashMap<u32, u32, RandomState> = HashMap::default();
    for row in books.rows.iter().filter(|row| row.evidence == Evidence::Infra) {
        let Some(host) = books.hosts.get(index(row.host)).filter(|_| !carried.contains_key(&row.host)) else {
            continue;
        };
        // No host name holds a space.
        let text = format!("{}{INFRASTRUCTURE}", carrier_of(host));
        let next = u32::try_from(labels.len()).unwrap_or(Keys::NOWHERE);
        let place = *ids.entry(text).or_insert_with_key(|text| {
            labels.push(label(text, false));
            next
        });
        carried.insert(row.host, place);
    }
    let sets = candidate_places(books, &of);
    (Place::Host { of, carried, sets }, labels)
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

/// Which hosts a name on the command line stands for.
struct Matcher<'a> {
    name: String,
    sites: &'a Sites,
    rule: Rule,
}

enum Rule {
    Family(String),
    Site,
    Below,
    Host,
}

impl<'a> Matcher<'a> {
    fn new(name: &str, sites: &'a Sites) -> Self {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let rule = if let Some(family) = sites.family_called(&name) {
            Rule::Family(family.to_owned())
        } else if sites.of(&name).kind == SiteKind::Site && sites.of(&name).name == name {
            Rule::Site
        } else if registrable(&name).name == name && registrable(&name).kind == SiteKind::Site {
            Rule::Below
        } else {
            Rule::Host
        };
        Self { name, sites, rule }
    }

    fn host(&self, host: &Host) -> bool {
        match (host, &self.rule) {
            (Host::Name(_), Rule::Family(family)) => self.sites.family_of_host(host).0 == *family,
            (Host::Name(name), Rule::Site) => self.sites.of(name.as_str()).name == self.name,
            (Host::Name(name), Rule::Below) => registrable(name.as_str()).name == self.name,
            (Host::Name(name), Rule::Host) => name.as_str() == self.name,
            (Host::Address(address), _) => self.name.parse() == Ok(*address),
            (Host::Service(service), _) => self.name.parse() == Ok(service.address),
        }
    }
}

/// Local times of buckets. The calendar is asked once for each bucket, not for each row.
#[derive(Debug)]
struct Time {
    unit: Unit,
    zone: TimeZone,
    of_bucket: HashMap<i64, u32, RandomState>,
    of_text: HashMap<String, u32, RandomState>,
    /// Text and first bucket of each time.
    times: Vec<(String, i64)>,
    last: Option<(i64, u32)>,
}

impl Time {
    fn new(unit: Unit, zone: TimeZone) -> Self {
        let (of_bucket, of_text) = (HashMap::default(), HashMap::default());
        Self { unit, zone, of_bucket, of_text, times: Vec::new(), last: None }
    }

    fn id(&mut self, bucket_s: i64) -> u32 {
        if let Some((_, id)) = self.last.filter(|(bucket, _)| *bucket == bucket_s) {
            return id;
        }
        let id = self.of_bucket.get(&bucket_s).copied().unwrap_or_else(|| self.learn(bucket_s));
        self.last = Some((bucket_s, id));
        id
    }

    fn learn(&mut self, bucket_s: i64) -> u32 {
        let text = self.text(bucket_s);
        let next = u32::try_from(self.times.len()).unwrap_or(TIME_MASK);
        let id = *self.of_text.entry(text).or_insert_with_key(|text| {
            self.times.push((text.clone(), bucket_s));
            next
        });
        if let Some((_, first)) = self.times.get_mut(index(id)) {
            *first = bucket_s.min(*first);
        }
        self.of_bucket.insert(bucket_s, id);
        id
    }

    fn text(&self, bucket_s: i64) -> String {
        let start = UnixNanos(bucket_s.div_euclid(BUCKET_S).saturating_mul(BUCKET_S * NANOS_PER_SECOND));
        let Some(local) = zoned(start, &self.zone) else {
            return "outside the calendar".to_owned();
        };
        let format = match self.unit {
            Unit::Hour => "%Y-%m-%dT%H:00%:z",
            Unit::Day => "%Y-%m-%d",
            Unit::Month => "%Y-%m",
        };
        local.strftime(format).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_packing() {
        for key in [Key { place: 0, time: 0 }, Key { place: u32::MAX - 1, time: TIME_MASK }, Key { place: 7, time: 9 }]
        {
            for evidence in Evidence::ALL {
                assert_eq!(Key::unpack(key.pack(evidence)), Some((key, evidence)));
            }
        }
    }

    fn hours(zone: &str, first: &str, buckets: i64) -> Vec<String> {
        let mut time = Time::new(Unit::Hour, TimeZone::get(zone).unwrap());
        let first: jiff::Timestamp = first.parse().unwrap();
        (0..buckets).for_each(|i| _ = time.id(first.as_second() + i * BUCKET_S));
        time.times.into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn the_two_hours_of_a_clock_set_back_are_told_apart() {
        assert_eq!(
            hours("Europe/Berlin", "2026-10-25T00:00:00Z", 8),
            ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]
        );
        assert_eq!(
            hours("Europe/Berlin", "2026-03-29T00:45:00Z", 2),
            ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00"]
        );
    }

    #[test]
    fn hours_of_odd_offsets_begin_at_their_own_full_hour() {
        // 05:45 ahead: the hour turns at a quarter past.
        assert_eq!(
            hours("Asia/Kathmandu", "2026-11-01T00:00:00Z", 2),
            ["2026-11-01T05:00+05:45", "2026-11-01T06:00+05:45"]
        );
        assert_eq!(hours("America/St_Johns", "2026-12-01T12:30:00Z", 4), ["2026-12-01T09:00-03:30"]);
    }

    #[test]
    fn a_name_stands_for_its_family_its_site_its_domain_or_its_host() {
        let sites = Sites::new();
        let hits = |name: &str| {
            let matcher = Matcher::new(name, &sites);
            let hosts = ["www.youtube.com", "i.ytimg.com", "youtube.com", "www.youtube.com.evil.net"];
            let hit = |h: &&str| matcher.host(&Host::Name(Name::from_host(h.as_bytes()).unwrap()));
            hosts.iter().filter(|h| hit(h)).count()
        };
        assert_eq!(hits("YouTube.com."), 3, "the site");
        assert_eq!(hits("ytimg.com"), 1, "a domain of a site");
        assert_eq!(hits("www.youtube.com"), 1, "a host");
        assert_eq!(hits("google"), 3, "the family of its owner");
        assert_eq!(hits("com"), 0);
        let matcher = Matcher::new("2001:DB8::1", &sites);
        assert!(matcher.host(&Host::Address("2001:db8:0::1".parse().unwrap())));
    }
}
