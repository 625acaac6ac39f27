//! What was moved, by host, device, evidence and kind of traffic: today, in the period, and in the
//! last minute.

use crate::books::{Evidence, Host, Traffic};
use crate::config::Devices;
use crate::device_names::device_names;
use crate::error::shown;
use crate::rollup::{Endpoint, Interner, devices};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::names::{Name, NameKind};
use imon_common::observe::Usage;
use imon_common::time::UnixNanos;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

/// Cells kept. A home has some thousands a day. What a scan makes beyond goes into one cell for
/// each kind of traffic: its bytes still count.
pub const MAX_CELLS: usize = 32_768;

/// Seconds whose bytes are told apart: what a line of blocks shows.
pub const RECENT_S: i64 = 60;

/// Cells of one second that are told apart. A second in which more moved something counts in sums
/// of today, and in the total.
const MAX_RECENT: usize = 8_192;

/// Names of clients kept.
const MAX_CALLED: usize = 4_096;

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

/// What a cell is for; indices point into [`Cells::hosts`] and [`Cells::endpoints`].
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
    /// Since the last local midnight.
    pub today: Bytes,
    /// Since the period began.
    pub period: Bytes,
    /// Bytes of today whose verdict can still change.
    pub open: u64,
}

/// An amount for [`Cells::add`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Its part of today.
    pub today: Bytes,
    /// Its part of the period.
    pub period: Bytes,
}

/// One second: bytes by cell, and of all.
#[derive(Debug, Default)]
pub struct Second {
    /// Unix seconds.
    pub at: i64,
    /// By cell.
    pub cells: HashMap<u32, Bytes, RandomState>,
    /// Of all.
    pub all: Bytes,
}

/// All cells.
#[derive(Debug, Default)]
pub struct Cells {
    /// Hosts by index.
    pub hosts: Interner<Host>,
    /// Clients as they were seen, by index: which of them are one device is decided when that is
    /// asked for.
    pub endpoints: Interner<Endpoint>,
    /// What the user calls devices.
    pub given: Devices,
    /// What clients call themselves, how, and when last.
    called: HashMap<(Endpoint, NameKind, Name), UnixNanos, RandomState>,
    index: HashMap<Place, u32, RandomState>,
    cells: Vec<Cell>,
    recent: VecDeque<Second>,
}

impl Cells {
    /// The cell of a place, made now if it is new and there is room; else that of what is not told
    /// apart.
    pub fn at(&mut self, host: &Host, endpoint: Endpoint, kind: Kind) -> u32 {
        let is_full = self.cells.len() >= MAX_CELLS;
        if is_full && !(self.hosts.contains(host) && self.endpoints.contains(&endpoint)) {
            return self.other(kind.traffic);
        }
        let (host, endpoint) = (self.hosts.index_of(host), self.endpoints.index_of(&endpoint));
        let place = Place { host, endpoint, kind };
        if is_full && !self.index.contains_key(&place) { self.other(kind.traffic) } else { self.of(place) }
    }

    /// The cell of what is not told apart.
    fn other(&mut self, traffic: Traffic) -> u32 {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let host = self.hosts.index_of(&Host::Address(nobody));
        let endpoint = self.endpoints.index_of(&Endpoint { address: nobody, mac: None });
        self.of(Place { host, endpoint, kind: Kind { evidence: Evidence::None, traffic, share: Shared::No } })
    }

    /// A client calls itself by this name.
    pub fn call(&mut self, endpoint: Endpoint, kind: NameKind, name: Name, last: UnixNanos) {
        let key = (endpoint, kind, name);
        if self.called.len() < MAX_CALLED || self.called.contains_key(&key) {
            let known = self.called.entry(key).or_insert(last);
            *known = last.max(*known);
        }
    }

    /// What the device of each endpoint is called, by the endpoint's index: as the user calls it,
    /// else its label as in a report, behind what it calls itself.
    pub fn devices(&self) -> Vec<String> {
        let endpoints = self.endpoints.values();
        let (labels, device_of) = devices(endpoints);
        let called = self.called.iter().map(|((endpoint, kind, name), last)| (*endpoint, *kind, name, *last));
        let names = device_names(endpoints, &device_of, called);
        let mut given: HashMap<u32, &str, RandomState> = HashMap::default();
        for (endpoint, device) in endpoints.iter().zip(&device_of) {
            if let Some(known) = self.given.of(endpoint.address, endpoint.mac) {
                given.insert(*device, &known.name);
            }
        }
        let called = |device: usize| {
            if let Some(name) = u32::try_from(device).ok().and_then(|device| given.get(&device)) {
                return shown(name);
            }
            let label = labels.get(device).map(String::as_str).unwrap_or_default();
            match names.get(device).and_then(Option::as_ref) {
                Some(name) => format!("{} {label}", shown(name.as_str())),
                None => label.to_owned(),
            }
        };
        let all: Vec<String> = (0..labels.len()).map(called).collect();
        device_of.iter().map(|device| all.get(*device as usize).cloned().unwrap_or_default()).collect()
    }

    fn of(&mut self, place: Place) -> u32 {
        let next = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        let cell = *self.index.entry(place).or_insert(next);
        if cell == next {
            self.cells.push(Cell { place, today: Bytes::default(), period: Bytes::default(), open: 0 });
        }
        cell
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
            cell.today.add(amount.today);
            cell.period.add(amount.period);
        }
    }

    /// Takes away what was added to a cell.
    pub fn take(&mut self, cell: u32, amount: Amount) {
        if let Some(cell) = self.cells.get_mut(cell as usize) {
            cell.today.take(amount.today);
            cell.period.take(amount.period);
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

    /// Bytes of a cell passed in the second `at`. What is older than a minute is none of the last
    /// one.
    pub fn passed(&mut self, at: i64, cell: u32, bytes: Bytes) {
        let newest = self.recent.back().map_or(i64::MIN, |second| second.at);
        if at > newest {
            self.recent.push_back(Second { at, ..Second::default() });
            self.forget_before(at.saturating_sub(RECENT_S + 5));
        }
        // Two recorders are seldom in step; a second that is gone stays gone.
        let Some(second) = self.recent.iter_mut().rev().find(|second| second.at <= at).filter(|s| s.at == at) else {
            return;
        };
        second.all.add(bytes);
        if second.cells.len() < MAX_RECENT || second.cells.contains_key(&cell) {
            second.cells.entry(cell).or_default().add(bytes);
        }
    }

    fn forget_before(&mut self, at: i64) {
        while self.recent.front().is_some_and(|second| second.at < at) {
            self.recent.pop_front();
        }
    }

    /// The seconds of the last minute that are known, oldest first.
    pub fn recent(&self) -> impl DoubleEndedIterator<Item = &Second> {
        self.recent.iter()
    }

    /// A new day begins: nothing is of today.
    pub fn begin_day(&mut self) {
        for cell in &mut self.cells {
            (cell.today, cell.open) = (Bytes::default(), 0);
        }
    }

    /// A new period begins.
    pub fn begin_period(&mut self) {
        for cell in &mut self.cells {
            cell.period = Bytes::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            cells.add(cell, Amount { today: bytes(1), period: bytes(1) });
        }
        assert_eq!(cells.all().len(), MAX_CELLS + 1);
        assert_eq!(cells.all().iter().map(|cell| cell.today.sum()).sum::<u64>(), 3 * 2 * MAX_CELLS as u64);
        let known = cell(&mut cells, 7);
        assert_eq!(known, 7);
    }

    #[test]
    fn a_second_older_than_a_minute_is_forgotten() {
        let mut cells = Cells::default();
        let cell = cell(&mut cells, 1);
        for at in 0..200 {
            cells.passed(at, cell, bytes(1));
        }
        cells.passed(3, cell, bytes(1));
        assert!(cells.recent().count() as i64 <= RECENT_S + 6);
        assert!(cells.recent().all(|second| second.all == bytes(1)));
        cells.passed(198, cell, bytes(1));
        assert_eq!(cells.recent().find(|s| s.at == 198).unwrap().cells.get(&cell), Some(&bytes(2)));
    }

    #[test]
    fn a_new_day_leaves_the_period() {
        let mut cells = Cells::default();
        let cell = cell(&mut cells, 1);
        cells.add(cell, Amount { today: bytes(5), period: bytes(9) });
        cells.open(cell, 3);
        cells.begin_day();
        let cell = cells.get(cell).unwrap();
        assert_eq!((cell.today.sum(), cell.open, cell.period), (0, 0, bytes(9)));
    }
}
