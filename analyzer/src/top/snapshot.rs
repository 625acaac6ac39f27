//! The rows of a view at one moment: plain values, ready to be drawn or written.

use super::cells::{Bytes, Cell, Cells, RECENT_S, Shared};
use crate::books::{Evidence, Traffic};
use crate::owners::Owner;
use crate::question::Key;
use crate::report::host_label;
use crate::site::Sites;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Seconds that a rate is the mean of.
pub const RATE_S: i64 = 3;

/// A second is complete this long after it was over: the recorder writes at most 0.75 s later, and
/// then a disk takes its time.
pub const COMPLETE_S: i64 = 2;

/// What the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, clap::ValueEnum)]
pub enum View {
    /// Sites
    #[default]
    Site,
    /// Devices
    Device,
    /// Hosts
    Host,
    /// Kinds of evidence
    Evidence,
}

impl View {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 4] = [Self::Site, Self::Device, Self::Host, Self::Evidence];

    /// The key of a report that it is.
    pub const fn key(self) -> Key {
        match self {
            Self::Site => Key::Site,
            Self::Device => Key::Device,
            Self::Host => Key::Host,
            Self::Evidence => Key::Evidence,
        }
    }

    /// The word for it, as in a report.
    pub const fn word(self) -> &'static str {
        self.key().word()
    }
}

/// What decides the order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Sort {
    /// Bytes a second, now
    #[default]
    Rate,
    /// Bytes of today
    Today,
    /// Bytes of the period
    Period,
    /// Name
    Name,
}

impl Sort {
    /// The next one.
    pub const fn next(self) -> Self {
        match self {
            Self::Rate => Self::Today,
            Self::Today => Self::Period,
            Self::Period => Self::Name,
            Self::Name => Self::Rate,
        }
    }
}

/// Which rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// What the rows are.
    pub view: View,
    /// Their order.
    pub sort: Sort,
    /// Words that a row or its bytes must have, as typed: `google`, `device:192.0.2.7`,
    /// `evidence:dns`, `site:`, `host:`.
    pub filter: String,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// Its name, safe to show.
    pub name: String,
    /// A name stands there, and no address.
    pub named: bool,
    /// Whose the address is, where a file tells.
    pub owner: Option<Owner>,
    /// Bytes a second, now.
    pub rate: Bytes,
    /// Bytes of today.
    pub today: Bytes,
    /// Bytes of the period.
    pub period: Bytes,
    /// Bytes of today by evidence, in the order of [`Evidence::ALL`].
    pub evidence: [u64; Evidence::ALL.len()],
    /// Bytes of today that need not be doubted: certain evidence, and nobody else could explain
    /// them.
    pub certain: u64,
    /// Bytes of today whose verdict can still change.
    pub open: u64,
    /// Bytes of each second of the last minute, oldest first.
    pub minute: Vec<u64>,
}

/// Evidence that a person need not doubt: the flow says its name, or its own device was told it.
pub const CERTAIN: [Evidence; 4] = [Evidence::Sni, Evidence::Quic, Evidence::Http, Evidence::Dns];

impl Row {
    fn add(&mut self, cell: &Cell) {
        self.today.add(cell.moved.today);
        self.period.add(cell.moved.period);
        self.open = self.open.saturating_add(cell.open);
        if CERTAIN.contains(&cell.place.kind.evidence) && cell.place.kind.share == Shared::No {
            self.certain = self.certain.saturating_add(cell.moved.today.sum());
        }
        if let Some(bytes) = self.evidence.get_mut(cell.place.kind.evidence.index()) {
            *bytes = bytes.saturating_add(cell.moved.today.sum());
        }
    }

    fn passed(&mut self, second: i64, bytes: Bytes, last: i64) {
        if second > last - RATE_S {
            self.rate.add(bytes);
        }
        if self.minute.is_empty() {
            self.minute = vec![0; usize::try_from(RECENT_S).unwrap_or_default()];
        }
        let place = usize::try_from(second - (last - RECENT_S + 1)).ok();
        if let Some(sum) = place.and_then(|place| self.minute.get_mut(place)) {
            *sum = sum.saturating_add(bytes.sum());
        }
    }

    fn finish(&mut self) {
        let mean = |bytes: u64| bytes / u64::try_from(RATE_S).unwrap_or(1);
        self.rate = Bytes { up: mean(self.rate.up), down: mean(self.rate.down) };
    }
}

/// What a view shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// Unix seconds: the moment.
    pub at: i64,
    /// In order.
    pub rows: Vec<Row>,
    /// Sum of all rows, whatever the filter.
    pub all: Row,
    /// Bytes of today inside the local network, and to services of our own.
    pub local: u64,
    /// Likewise: what others fetched from us.
    pub served: u64,
}

impl Snapshot {
    /// The rows that are asked for, at `now` (Unix seconds).
    pub fn new(cells: &Cells, asked: &Asked, sites: &Sites, now: i64) -> Self {
        let filter = Filter::new(&asked.filter);
        let mut names = Names::new(cells, sites);
        Self::of(&mut names, asked, now, |cell, names| filter.takes(cell, asked.view, names))
    }

    /// What is behind the row `name` of a view: its bytes by `by`.
    pub fn behind(cells: &Cells, (view, name): (View, &str), by: View, sites: &Sites) -> Self {
        let mut names = Names::new(cells, sites);
        let asked = Asked { view: by, sort: Sort::Today, ..Asked::default() };
        Self::of(&mut names, &asked, i64::MIN / 2, |cell, names| names.called(cell, view).name == name)
    }

    fn of(names: &mut Names<'_>, asked: &Asked, now: i64, takes: impl Fn(&Cell, &mut Names<'_>) -> bool) -> Self {
        let cells = names.cells;
        let last = now - COMPLETE_S;
        let mut snapshot = Self { at: now, ..Self::default() };
        let mut rows: HashMap<String, Row, RandomState> = HashMap::default();
        let mut row_of: Vec<Option<String>> = Vec::with_capacity(cells.all().len());
        for cell in cells.all() {
            match cell.place.kind.traffic {
                Traffic::Local => snapshot.local = snapshot.local.saturating_add(cell.moved.today.sum()),
                Traffic::Served => snapshot.served = snapshot.served.saturating_add(cell.moved.today.sum()),
                Traffic::Visited | Traffic::Transit => snapshot.all.add(cell),
            }
            let is_asked = cell.place.kind.traffic.is_of_sites() && takes(cell, names);
            row_of.push(is_asked.then(|| {
                let Called { name, named, owner } = names.called(cell, asked.view);
                rows.entry(name.clone())
                    .or_insert_with(|| Row { name: name.clone(), named, owner, ..Row::default() })
                    .add(cell);
                name
            }));
        }
        for second in cells.recent().filter(|second| second.at <= last && second.at > last - RECENT_S) {
            for (cell, bytes) in &second.cells {
                let place = cells.get(*cell).map(|cell| cell.place);
                if place.is_some_and(|place| place.kind.traffic.is_of_sites()) {
                    snapshot.all.passed(second.at, *bytes, last);
                }
                let name = row_of.get(*cell as usize).and_then(Option::as_ref);
                if let Some(row) = name.and_then(|name| rows.get_mut(name)) {
                    row.passed(second.at, *bytes, last);
                }
            }
        }
        snapshot.all.finish();
        snapshot.rows = rows.into_values().filter(|row| row.period.sum() > 0 || row.rate.sum() > 0).collect();
        snapshot.rows.iter_mut().for_each(Row::finish);
        snapshot.sort(asked.sort);
        snapshot
    }

    fn sort(&mut self, sort: Sort) {
        // Rows that stand still must not dance: the sums break ties, then the name.
        let sums = |row: &Row| (row.today.sum(), row.period.sum());
        self.rows.sort_by(|a, b| {
            let order = match sort {
                Sort::Rate => (b.rate.sum(), sums(b)).cmp(&(a.rate.sum(), sums(a))),
                Sort::Today => (b.today.sum(), b.period.sum()).cmp(&(a.today.sum(), a.period.sum())),
                Sort::Period => b.period.sum().cmp(&a.period.sum()),
                Sort::Name => std::cmp::Ordering::Equal,
            };
            order.then_with(|| a.name.cmp(&b.name))
        });
    }
}

/// Names of cells, each made once.
struct Names<'a> {
    sites: &'a Sites,
    cells: &'a Cells,
    devices: Vec<String>,
    cached: HashMap<(View, u32, bool), Called, RandomState>,
}

/// What a cell is called in a view.
#[derive(Debug, Clone, Default)]
struct Called {
    name: String,
    named: bool,
    owner: Option<Owner>,
}

impl Called {
    fn named(name: String) -> Self {
        Self { name, named: true, owner: None }
    }
}

impl<'a> Names<'a> {
    fn new(cells: &'a Cells, sites: &'a Sites) -> Self {
        Self { sites, cells, devices: cells.devices(), cached: HashMap::default() }
    }

    fn called(&mut self, cell: &Cell, view: View) -> Called {
        let place = cell.place;
        let index = match view {
            View::Site | View::Host => place.host,
            View::Device => place.endpoint,
            View::Evidence => return Called::named(place.kind.evidence.word().to_owned()),
        };
        let key = (view, index, place.kind.evidence == Evidence::Infra);
        if let Some(known) = self.cached.get(&key) {
            return known.clone();
        }
        let made = match view {
            View::Device => Called::named(self.devices.get(index as usize).cloned().unwrap_or_default()),
            _ => self.cells.hosts.get(index).map_or_else(Default::default, |host| {
                let label = host_label(view.key(), host, place.kind.evidence, self.sites);
                Called { name: label.text, named: label.named, owner: label.owner }
            }),
        };
        self.cached.insert(key, made.clone());
        made
    }
}

/// Words of a filter: all of them must hold.
struct Filter {
    words: Vec<(Option<View>, String)>,
}

impl Filter {
    fn new(text: &str) -> Self {
        let word = |word: &str| {
            let word = word.to_lowercase();
            let of = View::ALL.into_iter().find_map(|view| {
                let rest = word.strip_prefix(view.word())?.strip_prefix(':')?;
                Some((Some(view), rest.to_owned()))
            });
            of.unwrap_or((None, word))
        };
        Self { words: text.split_whitespace().map(word).collect() }
    }

    fn takes(&self, cell: &Cell, view: View, names: &mut Names<'_>) -> bool {
        self.words.iter().all(|(of, word)| {
            let Called { name, owner, .. } = names.called(cell, of.unwrap_or(view));
            // An evidence is meant as a whole: `dns` is not `dns-late`.
            let has = |text: &str| text.to_lowercase().contains(word.as_str());
            // Whose an address is may be asked for as well.
            let is_owner = || of.is_none() && owner.and_then(|owner| owner.text()).is_some_and(|text| has(&text));
            if *of == Some(View::Evidence) { name == *word } else { has(&name) || is_owner() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::cells::{Amount, Kind};
    use super::*;
    use crate::books::Host;
    use crate::rollup::Endpoint;
    use imon_common::names::Name;

    fn cells() -> Cells {
        let mut cells = Cells::default();
        let mut add = |host: Host, device: &str, evidence, bytes: u64| {
            let client = Endpoint { address: device.parse().unwrap(), mac: None };
            let cell = cells.at(&host, client, Kind { evidence, traffic: Traffic::Visited, share: Shared::No });
            let bytes = Bytes { up: bytes / 10, down: bytes - bytes / 10 };
            cells.add(cell, Amount { today: bytes, period: bytes, ..Amount::default() });
            cells.tick(100);
            for second in [1, 95, 96, 97, 98, 99] {
                cells.passed(second, cell, bytes);
            }
        };
        let name = |name: &str| Host::Name(Name::from_presentation(name).unwrap());
        add(name("www.example.org"), "192.0.2.1", Evidence::Sni, 300);
        add(name("cdn.example.org"), "192.0.2.2", Evidence::DnsLate, 100);
        add(name("video.example.net"), "192.0.2.2", Evidence::Dns, 1_000);
        add(Host::Address("198.51.100.9".parse().unwrap()), "192.0.2.1", Evidence::None, 50);
        cells
    }

    fn names(view: View, filter: &str) -> Vec<(String, u64)> {
        let asked = Asked { view, filter: filter.into(), ..Asked::default() };
        let snapshot = Snapshot::new(&cells(), &asked, &Sites::new(), 100);
        assert_eq!(snapshot.all.today.sum(), 1_450);
        snapshot.rows.into_iter().map(|row| (row.name, row.today.sum())).collect()
    }

    #[test]
    fn rows_are_of_what_is_asked_for() {
        let expected = [("example.net", 1_000), ("example.org", 400), ("198.51.100.9", 50)];
        assert_eq!(names(View::Site, ""), expected.map(|(name, bytes)| (name.to_owned(), bytes)));
        let of_devices = [("192.0.2.2".to_owned(), 1_100), ("192.0.2.1".to_owned(), 350)];
        assert_eq!(names(View::Device, ""), of_devices);
        assert_eq!(names(View::Device, "site:EXAMPLE.org evidence:sni"), [("192.0.2.1".to_owned(), 300)]);
        assert_eq!(names(View::Host, "example.org device:192.0.2.2"), [("cdn.example.org".to_owned(), 100)]);
        assert_eq!(names(View::Host, "evidence:dns"), [("video.example.net".to_owned(), 1_000)]);
        assert_eq!(names(View::Host, "nothing"), []);
    }

    #[test]
    fn a_rate_is_the_mean_of_complete_seconds() {
        let snapshot = Snapshot::new(&cells(), &Asked::default(), &Sites::new(), 100);
        let row = &snapshot.rows[1];
        assert_eq!((row.name.as_str(), row.rate.sum(), row.certain), ("example.org", 400, 300));
        assert_eq!(row.minute.len(), 60);
        // Second 98 is the last complete one; 1 is too old.
        assert_eq!(row.minute[55..], [0, 400, 400, 400, 400]);
        assert_eq!(row.minute.iter().sum::<u64>(), 1_600);
        let later = Snapshot::new(&cells(), &Asked::default(), &Sites::new(), 105);
        assert_eq!(later.all.rate.sum(), 0);
    }
}
