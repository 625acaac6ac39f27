//! Which row of a report a row of the books belongs to.
//!
//! Every key of a question is one of five axes: places (what follows from the host), devices,
//! evidence, times, origins (where bytes were seen, and read). A row of the report is a cell: a
//! number on each axis.

use super::calendar::Calendar;
use super::clients::Clients;
use super::origins::Origins;
use super::places::{Label, Places, index, label};
use crate::books::{Books, Evidence, Row};
use crate::question::{Key, Question};
use crate::site::Sites;

/// A row of a report by its numbers; 0 on axes that the question does not ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Cell {
    /// Number of the name asked for, where there are several.
    pub nth: u32,
    /// Place of the host.
    pub place: u32,
    /// Index of the device.
    pub device: u32,
    /// Number of the evidence.
    pub evidence: u32,
    /// Number of the time.
    pub time: u32,
    /// Number of the origin.
    pub origin: u32,
}

/// A key's value in one row.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A label.
    Label(&'a Label),
    /// A time, and where it stands among those of its key.
    Time(&'a str, i64),
}

/// The axes of one question.
#[derive(Debug)]
pub struct Axes {
    /// Number of the name asked for, where there are several.
    nth: u32,
    keys: Vec<Key>,
    places: Places,
    calendar: Option<Calendar>,
    origins: Origins,
    clients: Clients,
    kinds: Vec<Label>,
    devices_asked: Option<Vec<bool>>,
    /// Addresses have labels of whose they are.
    pub has_owners: bool,
    /// Rows that hold no byte but might get a row too.
    pub possible_too: bool,
}

impl Axes {
    /// The axes of `question`.
    pub fn of_question(books: &Books, question: &Question, sites: &Sites) -> Self {
        let of_hosts: Vec<Key> = question.keys.iter().copied().filter(|key| key.is_of_host()).collect();
        let places = Places::new(books, &of_hosts, &question.filters, sites);
        // What a page pulled in is known only where it did.
        let about_hosts = !of_hosts.is_empty() || !places.takes_all();
        let possible_too = about_hosts && of_hosts.iter().all(|key| matches!(key, Key::Site | Key::Host));
        Self::new(books, question, (question.keys.clone(), places), possible_too)
    }

    /// The axes of a question on `name`, the `nth` of several, by time: see
    /// [`super::Report::of_names`].
    pub fn of_name(books: &Books, question: &Question, sites: &Sites, (nth, name): (usize, &str)) -> Self {
        let times = question.keys.iter().copied().filter(|key| !key.is_of_host());
        let keys = std::iter::once(Key::Site).chain(times).collect();
        let axes = Self::new(books, question, (keys, Places::of_name(books, question, sites, name)), true);
        Self { nth: u32::try_from(nth).unwrap_or(u32::MAX), ..axes }
    }

    fn new(books: &Books, question: &Question, (keys, places): (Vec<Key>, Places), possible_too: bool) -> Self {
        let times: Vec<Key> = keys.iter().copied().filter(|key| key.is_time()).collect();
        let calendar = (!times.is_empty()).then(|| Calendar::new(times, question));
        let clients = Clients::new(books, keys.iter().copied().filter(|key| key.is_of_device()).collect());
        let devices_asked = question.filters.devices_of(books);
        let of_origins = keys.iter().copied().filter(|key| key.is_of_origin()).collect();
        let origins = Origins::new(books, of_origins, &question.filters);
        let kinds = (0..=u8::MAX).map_while(Evidence::from_number).map(|kind| label(kind.word())).collect();
        let has_owners = places.has_owners;
        Self { nth: 0, keys, has_owners, places, calendar, origins, clients, kinds, devices_asked, possible_too }
    }

    /// The keys, in the order of the columns.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Whether bytes of the row's device, and of where it was seen and read, are asked for.
    pub fn takes(&self, row: &Row) -> bool {
        let of_device =
            self.devices_asked.as_ref().is_none_or(|asked| asked.get(index(row.device)).copied().unwrap_or_default());
        of_device && self.origins.takes(row)
    }

    /// The cell of `row`; its place is [`Places::NOWHERE`] where its host is not asked for. Learns
    /// the row's time.
    pub fn cell(&mut self, row: &Row) -> Cell {
        let has = |key| self.keys.contains(&key);
        Cell {
            nth: self.nth,
            place: self.places.place(row),
            device: self.clients.id(row.device),
            evidence: if has(Key::Evidence) { row.evidence.number().into() } else { 0 },
            time: self.calendar.as_mut().map_or(0, |calendar| calendar.id(row.bucket_s)),
            origin: self.origins.id(row),
        }
    }

    /// Places that could explain `row`: see [`Places::candidates`].
    pub fn candidates(&self, row: &Row) -> &[u32] {
        self.places.candidates(row)
    }

    /// The numbers of all times of the range: see [`Calendar::fill`].
    pub fn times(&mut self, question: &Question, books: &Books) -> Vec<u32> {
        self.calendar.as_mut().map_or_else(Vec::new, |calendar| calendar.fill(question, books))
    }

    /// The value of the `i`th key in a cell.
    pub fn value(&self, cell: Cell, i: usize) -> Option<Value<'_>> {
        let key = *self.keys.get(i)?;
        // A key that is of hosts, a time, of origins, or of devices is the nth of its kind.
        let kind = |key: &Key| (key.is_of_host(), key.is_time(), key.is_of_origin(), key.is_of_device());
        let nth = self.keys.iter().take(i).filter(|other| kind(other) == kind(&key)).count();
        match key {
            _ if key.is_of_host() => self.places.label(cell.place, nth).map(Value::Label),
            _ if key.is_time() => {
                let calendar = self.calendar.as_ref()?;
                Some(Value::Time(calendar.text(cell.time, nth), calendar.place(cell.time, nth)))
            }
            _ if key.is_of_origin() => self.origins.label(cell.origin, nth).map(Value::Label),
            _ if key.is_of_device() => self.clients.label(cell.device, nth).map(Value::Label),
            _ => self.kinds.get(index(cell.evidence)).map(Value::Label),
        }
    }
}
