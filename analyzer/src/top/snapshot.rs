//! The rows of a view at one moment: plain values, ready to be drawn or written.

use super::cells::{Amount, Bytes, Cell, Cells, Kind, Place, RECENT_S, Shared};
use super::paged::{On, Paged, Part};
use crate::books::{Evidence, Sureness, Traffic};
use crate::idn;
use crate::owners::Owner;
use crate::question::Key;
use crate::report::{BookedOn, host_label};
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
    /// Sites with what their pages pulled in
    Page,
    /// Kinds of evidence
    Evidence,
}

impl View {
    /// All of them, in the order of their keys.
    pub const ALL: [Self; 5] = [Self::Site, Self::Device, Self::Host, Self::Page, Self::Evidence];

    /// The key of a report that it is.
    pub const fn key(self) -> Key {
        match self {
            Self::Site => Key::Site,
            Self::Device => Key::Device,
            Self::Host => Key::Host,
            Self::Page => Key::Page,
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
    /// `evidence:dns`, `site:`, `host:`, `page:`.
    pub filter: String,
}

impl Asked {
    /// Whether it takes pages to answer.
    pub fn wants_pages(&self) -> bool {
        self.cut() == Cut::ByPage
    }

    fn cut(&self) -> Cut {
        let is_of_page = |(of, _): &(Option<View>, String)| *of == Some(View::Page);
        match self.view == View::Page || Filter::new(&self.filter).words.iter().any(is_of_page) {
            true => Cut::ByPage,
            false => Cut::Not,
        }
    }
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
    /// Of pages: bytes of today that are of other sites.
    pub third_party: u64,
    /// Of pages: bytes of today that are not of visits to the site for sure, in the order of
    /// [`Sureness::ALL`].
    pub classes: [u64; Sureness::ALL.len()],
    /// Bytes of each second of the last minute, oldest first.
    pub minute: Vec<u64>,
}

impl Row {
    fn add(&mut self, piece: &Piece) {
        let Piece { kind, moved, open, booked, on, .. } = *piece;
        let today = moved.today.sum();
        self.today.add(moved.today);
        self.period.add(moved.period);
        self.open = self.open.saturating_add(open);
        if kind.evidence.is_certain() && kind.share == Shared::No {
            self.certain = self.certain.saturating_add(today);
        }
        if let Some(bytes) = self.evidence.get_mut(kind.evidence.index()) {
            *bytes = bytes.saturating_add(today);
        }
        if booked == BookedOn::Page {
            self.third_party = self.third_party.saturating_add(today);
        }
        let class = on.filter(|_| booked != BookedOn::Own).and_then(|on| self.classes.get_mut(on.sureness.index()));
        if let Some(bytes) = class {
            *bytes = bytes.saturating_add(today);
        }
    }

    /// Of pages: bytes of today that are of visits to the site.
    pub fn own(&self) -> u64 {
        self.classes.iter().fold(self.today.sum(), |left, bytes| left.saturating_sub(*bytes))
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
        let mut names = Names::new(cells, sites, asked.cut());
        Self::of(&mut names, asked, now, |piece, names| filter.takes(piece, asked.view, names))
    }

    /// What is behind the row `name` of a view: its bytes by `by`.
    pub fn behind(cells: &Cells, (view, name): (View, &str), by: View, sites: &Sites) -> Self {
        let asked = Asked { view: by, sort: Sort::Today, ..Asked::default() };
        let cut = if view == View::Page { Cut::ByPage } else { asked.cut() };
        let mut names = Names::new(cells, sites, cut);
        Self::of(&mut names, &asked, i64::MIN / 2, |piece, names| names.called(piece, view).name == name)
    }

    fn of(names: &mut Names<'_>, asked: &Asked, now: i64, takes: impl Fn(&Piece, &mut Names<'_>) -> bool) -> Self {
        let cells = names.cells;
        let last = now - COMPLETE_S;
        let mut snapshot = Self { at: now, ..Self::default() };
        let mut rows: HashMap<String, Row, RandomState> = HashMap::default();
        let mut row_of: HashMap<(u32, Option<On>), Option<String>, RandomState> = HashMap::default();
        for (number, cell) in (0..).zip(cells.all()) {
            match cell.place.kind.traffic {
                Traffic::Local => snapshot.local = snapshot.local.saturating_add(cell.moved.today.sum()),
                Traffic::Served => snapshot.served = snapshot.served.saturating_add(cell.moved.today.sum()),
                Traffic::Visited | Traffic::Transit => {}
            }
            if !cell.place.kind.traffic.is_of_sites() {
                continue;
            }
            for piece in names.pieces(number, cell) {
                snapshot.all.add(&piece);
                if !takes(&piece, names) {
                    row_of.insert((number, piece.on), None);
                    continue;
                }
                let Called { name, named, owner } = names.called(&piece, asked.view);
                rows.entry(name.clone())
                    .or_insert_with(|| Row { name: name.clone(), named, owner, ..Row::default() })
                    .add(&piece);
                row_of.insert((number, piece.on), Some(name));
            }
        }
        for second in cells.recent().filter(|second| second.at <= last && second.at > last - RECENT_S) {
            for (number, bytes) in &second.cells {
                let place = cells.get(*number).map(|cell| cell.place);
                if place.is_some_and(|place| place.kind.traffic.is_of_sites()) {
                    snapshot.all.passed(second.at, *bytes, last);
                }
                for (on, bytes) in names.in_second(second.at, *number, *bytes) {
                    let name = row_of.get(&(*number, on)).or_else(|| row_of.get(&(*number, None)));
                    if let Some(row) = name.and_then(Option::as_ref).and_then(|name| rows.get_mut(name)) {
                        row.passed(second.at, bytes, last);
                    }
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

/// A cell, or the part of one that a page pulled in.
#[derive(Debug, Clone, Copy)]
struct Piece {
    host: u32,
    endpoint: u32,
    kind: Kind,
    on: Option<On>,
    booked: BookedOn,
    moved: Amount,
    open: u64,
}

/// Names of cells, each made once.
struct Names<'a> {
    sites: &'a Sites,
    cells: &'a Cells,
    devices: Vec<String>,
    cached: HashMap<(View, Subject, bool), Called, RandomState>,
    /// Sites of pages, by page, and parts of cells, where pages are asked for.
    pages: Vec<String>,
    parts: HashMap<u32, Vec<(Option<On>, Part)>, RandomState>,
}

/// Whether cells are taken apart by the pages that pulled them in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// They are.
    ByPage,
    /// They stay whole.
    Not,
}

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Host(u32),
    Page(u32),
    Device(u32),
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
    fn new(cells: &'a Cells, sites: &'a Sites, cut: Cut) -> Self {
        let paged = Some(&cells.paged).filter(|_| cut == Cut::ByPage);
        let hosts = paged.map_or(&[][..], |paged| paged.pages.values());
        let pages = hosts.iter().map(|host| sites.of_host(host).0).collect();
        let parts = paged.map(Paged::by_cell).unwrap_or_default();
        Self { sites, cells, devices: cells.devices(), cached: HashMap::default(), pages, parts }
    }

    /// The parts of a cell, which sum up to it. What it does not have room for stays on its own
    /// site.
    fn pieces(&self, number: u32, cell: &Cell) -> Vec<Piece> {
        let Place { host, endpoint, kind } = cell.place;
        let whole = Piece { host, endpoint, kind, on: None, booked: BookedOn::Own, moved: cell.moved, open: cell.open };
        let Some(parts) = self.parts.get(&number) else { return vec![whole] };
        let own = self.cells.hosts.get(host).map(|host| self.sites.of_host(host).0).unwrap_or_default();
        let (mut left, mut pieces) = (whole, Vec::with_capacity(parts.len() + 1));
        for (on, part) in parts {
            left.open = left.open.saturating_sub(part.unnamed);
            let Some((on, rest)) = on.as_ref().and_then(|on| Some((*on, left.moved.without(part.amount)?))) else {
                left.open = left.open.saturating_add(part.open);
                continue;
            };
            left.moved = rest;
            let page = on.page.and_then(|page| self.pages.get(page as usize));
            let booked = BookedOn::new(on.sureness, &own, page);
            let share = match (booked, on.sureness) {
                (BookedOn::Page, Sureness::Sure) => Shared::No,
                (BookedOn::Page, _) => Shared::Yes,
                (BookedOn::Own | BookedOn::Background, _) => kind.share,
            };
            let kind = Kind { share, ..kind };
            pieces.push(Piece { on: Some(on), booked, moved: part.amount, open: part.open, kind, ..whole });
        }
        left.open = left.open.min(left.moved.today.sum());
        pieces.push(left);
        pieces
    }

    /// The parts of what passed in a second.
    fn in_second(&self, at: i64, cell: u32, bytes: Bytes) -> Vec<(Option<On>, Bytes)> {
        let parts = if self.parts.is_empty() { &[] } else { self.cells.paged.in_second(at, cell) };
        let (mut left, mut all) = (bytes, Vec::with_capacity(parts.len() + 1));
        for (on, bytes) in parts {
            if let Some(rest) = left.without(*bytes) {
                left = rest;
                all.push((Some(*on), *bytes));
            }
        }
        all.push((None, left));
        all
    }

    fn called(&mut self, piece: &Piece, view: View) -> Called {
        let evidence = piece.kind.evidence;
        let page = piece.on.and_then(|on| on.page).filter(|_| view == View::Page && piece.booked == BookedOn::Page);
        let subject = match (view, page) {
            (_, Some(page)) => Subject::Page(page),
            (View::Device, _) => Subject::Device(piece.endpoint),
            (View::Evidence, _) => return Called::named(evidence.word().to_owned()),
            (View::Site | View::Host | View::Page, None) => Subject::Host(piece.host),
        };
        let key = (view, subject, evidence == Evidence::Infra);
        if let Some(known) = self.cached.get(&key) {
            return known.clone();
        }
        let host = match subject {
            Subject::Page(page) => self.cells.paged.pages.get(page),
            Subject::Host(host) => self.cells.hosts.get(host),
            Subject::Device(_) => None,
        };
        let made = match subject {
            Subject::Device(device) => Called::named(self.devices.get(device as usize).cloned().unwrap_or_default()),
            _ => host.map_or_else(Default::default, |host| {
                let label = host_label(view.key(), host, evidence, self.sites);
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

    fn takes(&self, piece: &Piece, view: View, names: &mut Names<'_>) -> bool {
        self.words.iter().all(|(of, word)| {
            let Called { name, owner, .. } = names.called(piece, of.unwrap_or(view));
            // An evidence is meant as a whole: `dns` is not `dns-late`.
            let within = |text: &str| text.to_lowercase().contains(word.as_str());
            // As it is sent, and as people read it.
            let has = |text: &str| within(text) || within(&idn::display(text));
            // Whose an address is may be asked for as well.
            let is_owner = || of.is_none() && owner.and_then(|owner| owner.text()).is_some_and(|text| has(&text));
            if *of == Some(View::Evidence) { name == *word } else { has(&name) || is_owner() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::paged::{FlowParts, SoFar};
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
        let mut cells = cells();
        let umlauts = Host::Name(Name::from_presentation("www.xn--mnchen-3ya.example").unwrap());
        let client = Endpoint { address: "192.0.2.1".parse().unwrap(), mac: None };
        let kind = Kind { evidence: Evidence::Sni, traffic: Traffic::Visited, share: Shared::No };
        let cell = cells.at(&umlauts, client, kind);
        cells.add(cell, Amount { period: Bytes { up: 1, down: 1 }, ..Amount::default() });
        for filter in ["MÜNCHEN", "site:xn--mnchen"] {
            let asked = Asked { filter: filter.into(), ..Asked::default() };
            assert_eq!(Snapshot::new(&cells, &asked, &Sites::new(), 100).rows.len(), 1, "{filter}");
        }
    }

    /// Of the cells above: the videos were pulled in by two pages.
    fn paged() -> Cells {
        let mut cells = cells();
        let [news, shop] = ["www.example.org", "shop.example"].map(|host| cells.paged.page(host));
        let on = |page, sureness| On { page, sureness };
        let amount = |down| {
            let bytes = Bytes { up: 0, down };
            Amount { today: bytes, period: bytes, ..Amount::default() }
        };
        cells.paged.settle(2, on(news, Sureness::Sure), amount(300));
        cells.paged.settle(2, on(shop, Sureness::Guess), amount(200));
        cells.paged.settle(2, on(None, Sureness::Background), amount(100));
        // Its own site after all, and more than there is.
        cells.paged.settle(1, on(news, Sureness::Sure), amount(60));
        cells.paged.settle(3, on(shop, Sureness::Sure), amount(1_000));
        cells.open(0, 4);
        let open = Part { amount: amount(0), open: 7, unnamed: 4 };
        let mut so_far = SoFar::default();
        let id = crate::attribution::FlowId::default();
        so_far.flows.insert(id, FlowParts { cell: 0, parts: vec![(None, open)], latest: None });
        so_far.passed((98, 2), on(shop, Sureness::Guess), Bytes { up: 0, down: 90 });
        // No part of a row has this: it is of the site itself.
        so_far.passed((97, 2), on(news, Sureness::Likely), Bytes { up: 0, down: 40 });
        cells.paged.so_far = Some(so_far);
        cells
    }

    #[test]
    fn pages_hold_what_they_pulled_in_and_the_rest_stays() {
        let of = |view, filter: &str| {
            let asked = Asked { view, filter: filter.into(), ..Asked::default() };
            let snapshot = Snapshot::new(&paged(), &asked, &Sites::new(), 100);
            assert_eq!(snapshot.all.today.sum(), 1_450);
            snapshot.rows
        };
        let rows = of(View::Page, "");
        let found: Vec<_> =
            rows.iter().map(|row| (row.name.as_str(), row.today.sum(), row.third_party, row.classes)).collect();
        let expected = [
            ("example.org", 700, 300, [300, 0, 0, 0]),
            ("example.net", 500, 0, [0, 0, 0, 100]),
            ("shop.example", 200, 200, [0, 0, 200, 0]),
            ("198.51.100.9", 50, 0, [0; 4]),
        ];
        assert_eq!(found.len(), expected.len());
        assert!(expected.iter().all(|row| found.contains(row)), "{found:?}");
        let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
        // What was guessed is not certain, however the site's name is known.
        assert_eq!([row("shop.example").certain, row("example.org").certain, row("example.org").open], [0, 600, 7]);
        assert_eq!((row("example.org").own(), row("example.net").own()), (400, 400));
        assert_eq!(row("shop.example").minute.iter().sum::<u64>(), 90);
        let others = |filter: &str| -> Vec<_> {
            of(View::Site, filter).into_iter().map(|row| (row.name, row.today.sum(), row.minute.iter().sum())).collect()
        };
        assert_eq!(others("page:shop"), [("example.net".to_owned(), 200, 90_u64)]);
        let expected = [("example.net".to_owned(), 500, 4 * 1_000 - 90)];
        assert_eq!(others("page:example.net"), expected, "what a page pulled in is none of its own");
        let behind = Snapshot::behind(&paged(), (View::Page, "shop.example"), View::Site, &Sites::new());
        assert_eq!(behind.rows.iter().map(|row| row.today.sum()).collect::<Vec<_>>(), [200]);
        let behind = Snapshot::behind(&paged(), (View::Site, "example.net"), View::Page, &Sites::new());
        assert_eq!(behind.rows.iter().map(|row| row.today.sum()).collect::<Vec<_>>(), [500, 300, 200]);
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
