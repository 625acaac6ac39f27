//! What was moved, by host, device, evidence and kind of traffic: today, in the period, and in the
//! last minute.

use super::paged::Paged;
use crate::books::{Books, Evidence, Host, Traffic};
use crate::config::Devices;
use crate::report::{Label, devices_called};
use crate::rollup::{Endpoint, Interner, Roster};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::observe::Usage;
use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

/// Cells kept. A home has some thousands a day. What a scan makes beyond goes into one cell for
/// each kind of traffic: its bytes still count.
pub const MAX_CELLS: usize = 32_768;

/// Of these the ones of hosts without a name: a scan leaves room for names.
const MAX_CELLS_OF_ADDRESSES: usize = MAX_CELLS / 2;

/// Seconds whose bytes are told apart: what a line of blocks shows.
pub const RECENT_S: i64 = 60;

/// Seconds kept beyond these: a second is shown when it is complete.
const SLACK_S: i64 = 5;

/// A recorder whose clock is further ahead than this has no part in the last minute.
pub const AHEAD_S: i64 = 2;

/// Cells of one second that are told apart. What moves beyond goes where a scan's cells go.
const MAX_RECENT: usize = 8_192;

/// Bytes of both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes {
    /// Bytes that our side sent.
    pub up: u64,
    /// Bytes that it got.
    pub down: u64,
}

impl Bytes {
    /// Both.
    pub fn sum(self) -> u64 {
        self.up.saturating_add(self.down)
    }

    /// Adds.
    pub fn add(&mut self, other: Self) {
        self.up = self.up.saturating_add(other.up);
        self.down = self.down.saturating_add(other.down);
    }

    /// What is left without a part; `None` where that is more than there is.
    pub fn without(self, part: Self) -> Option<Self> {
        Some(Self { up: self.up.checked_sub(part.up)?, down: self.down.checked_sub(part.down)? })
    }

    /// Takes away what was added before.
    pub fn take(&mut self, other: Self) {
        self.up = self.up.saturating_sub(other.up);
        self.down = self.down.saturating_sub(other.down);
    }
}

impl From<Usage> for Bytes {
    fn from(usage: Usage) -> Self {
        Self { up: usage.up_bytes, down: usage.down_bytes }
    }
}

/// What bytes are, beside whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    /// How they came by their name.
    pub evidence: Evidence,
    /// Which kind of traffic.
    pub traffic: Traffic,
    /// Whether others could explain them as well.
    pub share: Shared,
}

/// Whether others could explain bytes as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shared {
    /// Nobody else.
    No,
    /// Other hosts, which the same device was told for the address.
    Yes,
}

/// What a cell is for; indices point into [`Cells::hosts`] and [`Cells::roster`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The host.
    pub host: u32,
    /// The client as it was seen.
    pub endpoint: u32,
    /// What the bytes are.
    pub kind: Kind,
}

/// Sums of one place.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// What it is for.
    pub place: Place,
    /// What was moved.
    pub moved: Amount,
    /// Bytes of today whose verdict can still change.
    pub open: u64,
}

/// An amount by the days and periods that it is of. A recorder's clock may be ahead of ours, and a
/// day of ours may be over a little later: what is of the next ones already is kept for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Its part of today: since the last local midnight.
    pub today: Bytes,
    /// Its part of the period.
    pub period: Bytes,
    /// What is later than today.
    pub tomorrow: Bytes,
    /// What is later than the period.
    pub next_period: Bytes,
}

impl Amount {
    /// Adds.
    pub fn add(&mut self, other: Self) {
        self.today.add(other.today);
        self.period.add(other.period);
        self.tomorrow.add(other.tomorrow);
        self.next_period.add(other.next_period);
    }

    /// What is left without a part; `None` where that is more than there is.
    pub fn without(self, part: Self) -> Option<Self> {
        Some(Self {
            today: self.today.without(part.today)?,
            period: self.period.without(part.period)?,
            tomorrow: self.tomorrow.without(part.tomorrow)?,
            next_period: self.next_period.without(part.next_period)?,
        })
    }

    /// Takes away what was added before.
    pub fn take(&mut self, other: Self) {
        self.today.take(other.today);
        self.period.take(other.period);
        self.tomorrow.take(other.tomorrow);
        self.next_period.take(other.next_period);
    }

    /// A new day begins.
    pub fn begin_day(&mut self, begins: Begins) {
        let ahead = std::mem::take(&mut self.tomorrow);
        self.today = if begins == Begins::Next { ahead } else { Bytes::default() };
    }

    /// A new period begins.
    pub fn begin_period(&mut self, begins: Begins) {
        let ahead = std::mem::take(&mut self.next_period);
        self.period = if begins == Begins::Next { ahead } else { Bytes::default() };
    }
}

/// Which day, or period, begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// The one after that of before: what was kept for it counts.
    Next,
    /// Another one: the machine slept for days, or its clock was set.
    Another,
}

/// One second: bytes by cell.
#[derive(Debug, Default)]
pub struct Second {
    /// Unix seconds.
    pub at: i64,
    /// By cell.
    pub cells: HashMap<u32, Bytes, RandomState>,
}

/// All cells.
#[derive(Debug, Default)]
pub struct Cells {
    /// Hosts by index.
    pub hosts: Interner<Host>,
    /// Clients as they were seen, by index, and what they call themselves: which of them are one
    /// device is decided when that is asked for.
    pub roster: Roster,
    /// What the user calls devices.
    pub given: Devices,
    /// Which pages pulled in parts of cells.
    pub paged: Paged,
    index: HashMap<Place, u32, RandomState>,
    cells: Vec<Cell>,
    /// How many are of hosts without a name.
    of_addresses: usize,
    /// The last minute, in order.
    recent: VecDeque<Second>,
    /// The present second by our own clock.
    now: i64,
}

impl Cells {
    /// The cell of a place, made now if it is new and there is room; else that of what is not told
    /// apart.
    pub fn at(&mut self, host: &Host, endpoint: Endpoint, kind: Kind) -> u32 {
        let is_full = self.cells.len() >= MAX_CELLS
            || (!matches!(host, Host::Name(_)) && self.of_addresses >= MAX_CELLS_OF_ADDRESSES);
        if is_full && !(self.hosts.contains(host) && self.roster.endpoints.contains(&endpoint)) {
            return self.other(kind.traffic);
        }
        let (host, endpoint) = (self.hosts.index_of(host), self.roster.endpoints.index_of(&endpoint));
        let place = Place { host, endpoint, kind };
        if is_full && !self.index.contains_key(&place) { self.other(kind.traffic) } else { self.of(place) }
    }

    /// The cell of what is not told apart.
    fn other(&mut self, traffic: Traffic) -> u32 {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let host = self.hosts.index_of(&Host::Address(nobody));
        let endpoint = self.roster.endpoints.index_of(&Endpoint { address: nobody, mac: None });
        self.of(Place { host, endpoint, kind: Kind { evidence: Evidence::None, traffic, share: Shared::No } })
    }

    /// What the device of each endpoint is called, by the endpoint's index: as the user calls it,
    /// else its label as in a report, behind what it calls itself.
    pub fn devices(&self) -> Vec<String> {
        let mut books = Books::default();
        self.roster.identities().tell(&mut books);
        self.given.name(&mut books);
        let given = |device: usize| books.given.get(device).is_some_and(Option::is_some);
        let called = |(device, label): (usize, &Label)| match label.name.as_ref().filter(|_| !given(device)) {
            Some(own) => format!("{own} {}", label.text),
            None => label.text.clone(),
        };
        let all: Vec<String> = devices_called(&books).iter().enumerate().map(called).collect();
        let ends = books.device_ends.iter();
        ends.map(|(device, ..)| all.get(*device as usize).cloned().unwrap_or_default()).collect()
    }

    fn of(&mut self, place: Place) -> u32 {
        let next = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        let cell = *self.index.entry(place).or_insert(next);
        if cell == next {
            let is_named = matches!(self.hosts.get(place.host), Some(Host::Name(_)));
            self.of_addresses += usize::from(!is_named);
            self.cells.push(Cell { place, moved: Amount::default(), open: 0 });
        }
        cell
    }

    /// Whether a cell is of a host with a name.
    pub fn is_named(&self, cell: u32) -> bool {
        let host = self.get(cell).and_then(|cell| self.hosts.get(cell.place.host));
        matches!(host, Some(Host::Name(_)))
    }

    /// All cells, by number.
    pub fn all(&self) -> &[Cell] {
        &self.cells
    }

    /// The cell with a number.
    pub fn get(&self, cell: u32) -> Option<&Cell> {
        self.cells.get(cell as usize)
    }

    /// Adds to the sums of a cell.
    pub fn add(&mut self, cell: u32, amount: Amount) {
        if let Some(cell) = self.cells.get_mut(cell as usize) {
            cell.moved.add(amount);
        }
    }

    /// Takes away what was added to a cell.
    pub fn take(&mut self, cell: u32, amount: Amount) {
        if let Some(cell) = self.cells.get_mut(cell as usize) {
            cell.moved.take(amount);
        }
    }

    /// So many bytes of a cell can change from now on.
    pub fn open(&mut self, cell: u32, bytes: u64) {
        if let Some(cell) = self.cells.get_mut(cell as usize) {
            cell.open = cell.open.saturating_add(bytes);
        }
    }

    /// So many bytes of a cell cannot change any more.
    pub fn close(&mut self, cell: u32, bytes: u64) {
        if let Some(cell) = self.cells.get_mut(cell as usize) {
            cell.open = cell.open.saturating_sub(bytes);
        }
    }

    /// The present second is this one, by our own clock: what a recorder says of its time cannot
    /// push the last minute out.
    pub fn tick(&mut self, now: i64) {
        self.now = now;
        let (from, to) = self.kept();
        self.recent.retain(|second| from < second.at && second.at <= to);
        self.paged.keep((from, to));
    }

    /// Seconds that are kept: after the first, up to the second.
    fn kept(&self) -> (i64, i64) {
        (self.now.saturating_sub(RECENT_S + SLACK_S), self.now.saturating_add(AHEAD_S))
    }

    /// Bytes of a cell passed in the second `at`. What is older than a minute is none of the last
    /// one.
    pub fn passed(&mut self, at: i64, cell: u32, bytes: Bytes) {
        let (from, to) = self.kept();
        if at <= from || at > to {
            return;
        }
        // Two recorders are seldom in step: a second may come after a later one.
        let place = self.recent.binary_search_by_key(&at, |second| second.at).unwrap_or_else(|place| {
            self.recent.insert(place, Second { at, ..Second::default() });
            place
        });
        let is_full =
            self.recent.get(place).is_some_and(|s| s.cells.len() >= MAX_RECENT && !s.cells.contains_key(&cell));
        let cell = match self.get(cell).filter(|_| is_full) {
            Some(known) => self.other(known.place.kind.traffic),
            None => cell,
        };
        if let Some(second) = self.recent.get_mut(place) {
            second.cells.entry(cell).or_default().add(bytes);
        }
    }

    /// Bytes that passed in the second `at` are of another cell than was thought.
    pub fn passed_elsewhere(&mut self, at: i64, (before, after): (u32, u32), bytes: Bytes) {
        let second = self.recent.binary_search_by_key(&at, |second| second.at).ok();
        let Some(known) = second.and_then(|place| self.recent.get_mut(place)?.cells.get_mut(&before)) else { return };
        known.take(bytes);
        self.passed(at, after, bytes);
    }

    /// The seconds of the last minute that are known, oldest first.
    pub fn recent(&self) -> impl DoubleEndedIterator<Item = &Second> {
        self.recent.iter()
    }

    /// A new day begins: what was of today is not any more.
    pub fn begin_day(&mut self, begins: Begins) {
        for cell in &mut self.cells {
            cell.moved.begin_day(begins);
            cell.open = 0;
        }
        self.paged.begin_day(begins);
    }

    /// A new period begins. Cells in which nothing is left are given up, so that their number does
    /// not grow for ever; those of `held` stay. Gives the new number of each cell that stays, by
    /// its old one.
    pub fn begin_period(&mut self, begins: Begins, held: &HashSet<u32>) -> HashMap<u32, u32, RandomState> {
        let before = std::mem::take(self);
        (self.given, self.roster.called, self.now) = (before.given, before.roster.called, before.now);
        self.paged = before.paged;
        let recent: HashSet<u32> = before.recent.iter().flat_map(|second| second.cells.keys().copied()).collect();
        let mut stay = HashMap::default();
        for (number, Cell { place, mut moved, open }) in (0_u32..).zip(before.cells) {
            moved.begin_period(begins);
            let is_held = moved != Amount::default() || recent.contains(&number) || held.contains(&number);
            let (Some(host), Some(end), true) =
                (before.hosts.get(place.host), before.roster.endpoints.get(place.endpoint), is_held)
            else {
                continue;
            };
            let (host, endpoint) = (self.hosts.index_of(host), self.roster.endpoints.index_of(end));
            let cell = self.of(Place { host, endpoint, kind: place.kind });
            self.add(cell, moved);
            self.open(cell, open);
            stay.insert(number, cell);
        }
        self.paged.begin_period(begins, &stay);
        let moved = |(cell, bytes)| stay.get(&cell).map(|cell| (*cell, bytes));
        let seconds = before.recent.into_iter();
        self.recent = seconds
            .map(|Second { at, cells }| Second { at, cells: cells.into_iter().filter_map(moved).collect() })
            .collect();
        stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::names::Name;

    fn bytes(n: u64) -> Bytes {
        Bytes { up: n, down: 2 * n }
    }

    fn cell(cells: &mut Cells, n: u32) -> u32 {
        let client = Endpoint { address: "192.0.2.1".parse().unwrap(), mac: None };
        let kind = Kind { evidence: Evidence::None, traffic: Traffic::Visited, share: Shared::No };
        cells.at(&Host::Address(IpAddr::V4(n.into())), client, kind)
    }

    #[test]
    fn what_a_scan_makes_beyond_the_bound_still_counts() {
        let mut cells = Cells::default();
        for n in 0..MAX_CELLS as u32 * 2 {
            let cell = cell(&mut cells, n);
            cells.add(cell, Amount { today: bytes(1), period: bytes(1), ..Amount::default() });
        }
        assert_eq!(cells.all().len(), MAX_CELLS_OF_ADDRESSES + 1);
        assert_eq!(cells.all().iter().map(|cell| cell.moved.today.sum()).sum::<u64>(), 3 * 2 * MAX_CELLS as u64);
        let known = cell(&mut cells, 7);
        assert_eq!(known, 7);
        // Names have room still.
        let client = Endpoint { address: "192.0.2.1".parse().unwrap(), mac: None };
        let kind = Kind { evidence: Evidence::Sni, traffic: Traffic::Visited, share: Shared::No };
        for n in 0..MAX_CELLS {
            let name = Name::from_presentation(&format!("host{n}.example")).unwrap();
            let cell = cells.at(&Host::Name(name), client, kind);
            cells.add(cell, Amount { today: bytes(1), ..Amount::default() });
        }
        // One for the scan, one for what is not told apart and has a name.
        assert_eq!(cells.all().len(), MAX_CELLS);
        assert_eq!(cells.all().iter().map(|cell| cell.moved.today.sum()).sum::<u64>(), 3 * 3 * MAX_CELLS as u64);
    }

    /// Of a cell in each second, where something passed.
    fn seconds(cells: &Cells, cell: u32) -> Vec<(i64, Bytes)> {
        let of = |second: &Second| second.cells.get(&cell).map(|bytes| (second.at, *bytes));
        cells.recent().filter_map(of).filter(|(_, bytes)| bytes.sum() > 0).collect()
    }

    #[test]
    fn a_second_older_than_a_minute_is_forgotten() {
        let mut cells = Cells::default();
        let cell = cell(&mut cells, 1);
        for at in 0..200 {
            cells.tick(at);
            cells.passed(at, cell, bytes(1));
        }
        cells.passed(3, cell, bytes(1));
        let kept = seconds(&cells, cell);
        assert_eq!(kept.len() as i64, RECENT_S + SLACK_S);
        assert!(kept.iter().all(|second| second.1 == bytes(1)));
        cells.tick(1_000);
        assert_eq!(cells.recent().count(), 0);
    }

    #[test]
    fn a_clock_that_is_wrong_takes_no_second_from_others() {
        let mut cells = Cells::default();
        let (mine, theirs) = (cell(&mut cells, 1), cell(&mut cells, 2));
        cells.tick(100);
        cells.passed(98, mine, bytes(1));
        // An hour ahead, and behind.
        for at in [100 + 3_600, 100 - 3_600, i64::MAX, i64::MIN] {
            cells.passed(at, theirs, bytes(9));
        }
        cells.passed(100, mine, bytes(2));
        // The seconds of another recorder come between.
        cells.passed(99, theirs, bytes(3));
        assert_eq!(seconds(&cells, mine), [(98, bytes(1)), (100, bytes(2))]);
        assert_eq!(seconds(&cells, theirs), [(99, bytes(3))]);
        // Ours is set back: what is in the future now is forgotten.
        cells.tick(97);
        assert_eq!(seconds(&cells, mine), [(98, bytes(1))]);
    }

    #[test]
    fn what_passed_goes_along_with_a_verdict() {
        let mut cells = Cells::default();
        let (before, after) = (cell(&mut cells, 1), cell(&mut cells, 2));
        cells.tick(100);
        cells.passed(99, before, bytes(5));
        cells.passed_elsewhere(99, (before, after), bytes(3));
        cells.passed_elsewhere(40, (before, after), bytes(3));
        cells.passed_elsewhere(99, (after + 1, after), bytes(3));
        assert_eq!(seconds(&cells, before), [(99, bytes(2))]);
        assert_eq!(seconds(&cells, after), [(99, bytes(3))]);
    }

    #[test]
    fn a_second_with_more_cells_than_are_told_apart_is_whole() {
        let mut cells = Cells::default();
        cells.tick(100);
        let all: Vec<u32> = (0..MAX_RECENT as u32 + 500).map(|n| cell(&mut cells, n)).collect();
        all.iter().for_each(|cell| cells.passed(100, *cell, bytes(1)));
        let second = cells.recent().next().unwrap();
        assert_eq!(second.cells.len(), MAX_RECENT + 1);
        assert_eq!(second.cells.values().map(|bytes| bytes.sum()).sum::<u64>(), 3 * all.len() as u64);
    }

    #[test]
    fn a_new_day_leaves_the_period() {
        let mut cells = Cells::default();
        let cell = cell(&mut cells, 1);
        let ahead = Amount { tomorrow: bytes(2), next_period: bytes(1), ..Amount::default() };
        cells.add(cell, Amount { today: bytes(5), period: bytes(9), ..ahead });
        cells.open(cell, 3);
        cells.begin_day(Begins::Next);
        let of = |cells: &Cells| cells.get(cell).map(|cell| (cell.moved, cell.open)).unwrap();
        let day = Amount { today: bytes(2), period: bytes(9), next_period: bytes(1), ..Amount::default() };
        assert_eq!(of(&cells), (day, 0));
        cells.begin_period(Begins::Next, &HashSet::new());
        assert_eq!(of(&cells).0, Amount { today: bytes(2), period: bytes(1), ..Amount::default() });
        cells.add(cell, ahead);
        cells.begin_day(Begins::Another);
        cells.begin_period(Begins::Another, &HashSet::from([cell]));
        assert_eq!(of(&cells).0, Amount::default());
    }

    #[test]
    fn a_new_period_gives_up_cells_in_which_nothing_is_left() {
        let mut cells = Cells::default();
        let of_hosts = |cells: &mut Cells| [1, 2, 3, 4].map(|n| cell(cells, n));
        let [gone, ahead, held, passed] = of_hosts(&mut cells);
        [gone, ahead, held, passed].iter().for_each(|cell| {
            cells.add(*cell, Amount { period: bytes(7), ..Amount::default() });
        });
        cells.add(ahead, Amount { next_period: bytes(1), ..Amount::default() });
        cells.open(held, 3);
        cells.tick(100);
        cells.passed(99, passed, bytes(5));
        let stay = cells.begin_period(Begins::Next, &HashSet::from([held]));
        assert_eq!((stay.get(&gone), cells.all().len(), cells.hosts.values().len()), (None, 3, 3));
        let [ahead, held, passed] = [ahead, held, passed].map(|cell| stay[&cell]);
        assert_eq!(of_hosts(&mut cells)[1..], [ahead, held, passed], "a place has one cell");
        let moved = |cell| cells.get(cell).map(|cell| (cell.moved.period, cell.open)).unwrap();
        assert_eq!([moved(ahead), moved(held)], [(bytes(1), 0), (Bytes::default(), 3)]);
        assert_eq!(seconds(&cells, passed), [(99, bytes(5))]);
    }
}
