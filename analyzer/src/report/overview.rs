//! What the page is made of: one question asked in several ways over the same books. Sites and
//! devices with their bytes over time, and what each is made of.
//!
//! Frames are for tables that are sorted and cut; here the sums are taken as they come, so that a
//! row of zeros for each site and hour never exists.

mod parts;
mod series;
mod subject;
mod times;
mod told;

pub use subject::{Amounts, Part, Ranked, Stream, Subject, first_of};
pub use times::{Span, Stretch, Unit};
pub use told::{Naming, told_apart};

use super::axes::{Axes, Cell, Value};
use super::places::{Places, index};
use super::sums::is_asked;
use super::{Mask, Masker, Report, is_only_served};
use crate::books::Books;
use crate::error::Error;
use crate::owners::Owner;
use crate::question::{Key, Question};
use crate::site::Sites;
use parts::{Labels, Piece, Tally};
use series::Series;
use subject::{Builder, Names};
use times::Axis;
use told::View;

/// Sites that are listed one by one. More is nothing that a person reads, and a page of a year has
/// to stay below a megabyte.
pub const MAX_SITES: usize = 100;

/// Devices that are listed one by one.
pub const MAX_DEVICES: usize = 50;

/// Hosts that are listed for a site or a device, and devices for a site.
pub const MAX_PARTS: usize = 12;

/// The numbers of a page.
#[derive(Debug)]
pub struct Overview {
    /// Rows and ledger of the same question by site, for what stands above and below.
    pub report: Report,
    /// What the lengths of time are, and each of them, in order.
    pub span: Span,
    /// Sites, the largest first; of a capture in which nothing was visited, what was served.
    pub sites: Ranked,
    /// Devices, the largest first.
    pub devices: Ranked,
    /// What [`Part::name`] of a host points to.
    pub hosts: Vec<String>,
    /// The rows are what was served.
    pub served: bool,
}

impl Overview {
    /// The page that `question` asks for; its keys do not count.
    ///
    /// # Errors
    /// As [`Report::new`].
    pub fn new(books: &Books, question: &Question, sites: &Sites) -> Result<Self, Error> {
        let question = Question { keys: vec![Key::Site], ..question.clone() };
        let served = is_only_served(books, &question);
        let limits = [MAX_SITES, MAX_DEVICES].map(|most| question.limit.map_or(most, |limit| limit.min(most)));
        let least = question.min_bytes;
        // The rows of this one are not shown: its sums and its ledger are.
        let report = Report::new(books, &Question { limit: Some(1), min_bytes: 0, ..question.clone() }, sites)?;
        let asked = Asked { books, sites, question: &question, place: if served { Key::Served } else { Key::Site } };
        let units = Unit::fitting(books.observed, &question);
        let found = [asked.place, Key::Device].map(|key| asked.over_time(key, units.0));
        let mut axis = Axis::default();
        let numbers = found.each_ref().map(|(_, own)| axis.learn(own));
        let (times, order) = axis.sorted();
        let places = numbers.map(|of_one| of_one.into_iter().filter_map(|nth| order.get(nth).copied()).collect());
        let mut ranked = ranked(found.map(|(builders, _)| builders), limits, least, &places);
        let mut hosts = Names::default();
        let blocks = asked.parts(&mut ranked, units.1, &mut hosts);
        let hosts = hosts.used(&mut ranked);
        let [sites, devices] = ranked;
        let span = Span { unit: units.0, times, blocks_unit: units.1, blocks };
        Ok(Self { report, span, sites, devices, hosts, served })
    }

    /// The same with numbers for names; `books`: those that it is of.
    #[must_use]
    pub fn masked(self, mask: Option<Mask>, books: &Books) -> Self {
        let report = self.report.masked(mask, books);
        if mask.is_none() {
            return Self { report, ..self };
        }
        let masker = &report.masker;
        let place = if self.served { Key::Served } else { Key::Site };
        let renamed = |ranked: Ranked, key: Key| {
            let subjects = ranked.subjects.into_iter().map(|one| match masker.key(key, &one.key).into_owned() {
                same if same == one.key => one,
                masked => Subject {
                    owner: one.owner.as_ref().map(|owner| hidden(masker, &one.key, owner)),
                    name: masked.clone(),
                    key: masked,
                    called: None,
                    ..one
                },
            });
            Ranked { subjects: subjects.collect(), ..ranked }
        };
        let sites = renamed(self.sites, place);
        let devices = renamed(self.devices, Key::Device);
        let hosts = self.hosts.iter().map(|host| masker.key(Key::Host, host).into_owned()).collect();
        Self { sites, devices, hosts, report, ..self }
    }

    /// The same, which says where it was looked if there is nothing.
    #[must_use]
    pub fn looked_in(self, looked: Vec<String>) -> Self {
        Self { report: self.report.looked_in(looked), ..self }
    }
}

/// Whose an address is, where a number stands for it.
fn hidden(masker: &Masker, address: &str, owner: &Owner) -> Owner {
    let of = |key, text: &Option<String>| {
        let owner = [text.as_deref(); 2];
        masker.owner(key, &[address], owner).map(|text| text.into_owned())
    };
    Owner { network: of(Key::Network, &owner.network), country: of(Key::Country, &owner.country) }
}

fn ranked(found: [Vec<Builder>; 2], limits: [usize; 2], least: u64, places: &[Vec<usize>; 2]) -> [Ranked; 2] {
    let ([sites, devices], [most_sites, most_devices], [of_sites, of_devices]) = (found, limits, places);
    [subject::rank(sites, most_sites, least, of_sites), subject::rank(devices, most_devices, least, of_devices)]
}

/// What is asked, and of what.
struct Asked<'a> {
    books: &'a Books,
    sites: &'a Sites,
    question: &'a Question,
    /// The key of sites, or of what is served.
    place: Key,
}

impl Asked<'_> {
    /// The same question by these keys and the place.
    fn by(&self, keys: &[Key]) -> Question {
        let mut of_place = vec![self.place];
        of_place.extend(keys.iter().filter(|key| **key != self.place));
        Question { keys: of_place, limit: None, min_bytes: 0, ..self.question.clone() }
    }

    /// Bytes of each value of `key` by `unit`, the axis of times filled.
    fn over_time(&self, key: Key, unit: Unit) -> (Vec<Builder>, Axis) {
        let view = if key == Key::Device { View::Devices } else { View::Sites };
        let question = Question { keys: vec![key, unit.key()], ..self.by(&[]) };
        let mut axes = Axes::of_question(self.books, &question, self.sites);
        // A device's traffic is that of the same sites.
        let asked = self.by(&question.keys);
        let mut times = Times::new(&mut axes, 1, (&question, self.books));
        let mut series = Series::new(key);
        view.each(self.books, |row| {
            if is_asked(&asked, &axes, row) {
                series.add(row, &mut axes, &mut times);
            }
        });
        (series.finish(&axes), times.axis)
    }

    /// What each of the ranked sites and devices is made of, by stretches of `unit`: hosts,
    /// devices, kinds of evidence. Gives the stretches.
    fn parts(&self, ranked: &mut [Ranked; 2], unit: Unit, hosts: &mut Names) -> Vec<Stretch> {
        let keys = match self.place {
            Key::Served => vec![Key::Served, Key::Device, unit.key()],
            place => vec![place, Key::Host, Key::Device, unit.key()],
        };
        let last = keys.len().saturating_sub(1);
        let question = self.by(&keys);
        let mut axes = Axes::of_question(self.books, &question, self.sites);
        let books = self.books;
        let mut labels = Labels::new(&keys, ranked, hosts);
        // Once for what is large, and once more for the times of it.
        let mut tally = Tally::new(ranked);
        let mut tallied = |view: View, add: fn(&mut Tally, Piece)| {
            each_piece((view, books), &question, &mut axes, |axes, cell, piece| {
                add(&mut tally, labels.of(axes, cell, piece))
            });
        };
        tallied(View::SiteKinds, Tally::add_to_site);
        tallied(View::DeviceKinds, Tally::add_to_device);
        tallied(View::Pairs, Tally::add_parts);
        let mut times = Times::new(&mut axes, last, (&question, self.books));
        tally.times().for_each(|time| _ = times.number(&axes, Cell { time, ..Cell::default() }));
        let mut streams = tally.largest(labels.hosts, MAX_PARTS);
        let pairs = (View::Pairs, books);
        each_piece(pairs, &question, &mut axes, |axes, cell, piece| streams.add(labels.of(axes, cell, piece)));
        let (blocks, order) = times.axis.sorted();
        let block = |time: u32| order.get(times.known(time)?).copied();
        streams.finish(ranked, block);
        blocks
    }
}

/// Calls `take` with each row that has bytes and is asked for.
fn each_piece(
    (view, books): (View, &Books),
    question: &Question,
    axes: &mut Axes,
    mut take: impl FnMut(&Axes, Cell, Piece),
) {
    view.each(books, |row| {
        if !is_asked(question, axes, row) {
            return;
        }
        let (cell, bytes) = (axes.cell(row), row.up_bytes.saturating_add(row.down_bytes));
        if cell.place != Places::NOWHERE && bytes > 0 {
            take(axes, cell, Piece { time: cell.time, kind: row.evidence.index(), bytes, ..Piece::default() });
        }
    });
}

/// Stretches of time by the numbers that cells have.
struct Times {
    axis: Axis,
    /// Which of the keys is the time.
    nth: usize,
    numbers: Vec<Option<usize>>,
}

impl Times {
    /// With those that have to be there.
    fn new(axes: &mut Axes, nth: usize, (question, books): (&Question, &Books)) -> Self {
        let filled = axes.times(question, books);
        let mut times = Self { axis: Axis::default(), nth, numbers: Vec::new() };
        filled.into_iter().for_each(|time| _ = times.number(axes, Cell { time, ..Cell::default() }));
        times
    }

    /// The number of a cell's time on the axis, given now if it is new.
    fn number(&mut self, axes: &Axes, cell: Cell) -> usize {
        if let Some(known) = self.known(cell.time) {
            return known;
        }
        let number = self.axis.add(time_of(axes, cell, self.nth));
        let place = index(cell.time);
        if self.numbers.len() <= place {
            self.numbers.resize(place + 1, None);
        }
        if let Some(known) = self.numbers.get_mut(place) {
            *known = Some(number);
        }
        number
    }

    fn known(&self, time: u32) -> Option<usize> {
        self.numbers.get(index(time)).copied().flatten()
    }
}

/// The `nth` key of a cell, which is a time: what it is called, and its first second.
fn time_of(axes: &Axes, cell: Cell, nth: usize) -> (String, i64) {
    match axes.value(cell, nth) {
        Some(Value::Time(text, start_s)) => (text.to_owned(), start_s),
        _ => (String::new(), i64::MAX),
    }
}

#[cfg(test)]
mod tests;
