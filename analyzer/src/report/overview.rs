//! What the page is made of: one question asked in several ways over the same books. Sites and
//! devices with their bytes over time, and what each is made of.
//!
//! Frames are for tables that are sorted and cut; here the sums are taken as they come, so that a
//! row of zeros for each site and hour never exists.

mod subject;
mod times;

pub use subject::{Amounts, Part, Ranked, Stream, Subject, first_of};
pub use times::{Span, Stretch, Unit};

use super::axes::{Axes, Cell, Value};
use super::sums::{Cells, Sums};
use super::{Mask, Report, is_only_served};
use crate::books::{Books, Evidence};
use crate::error::Error;
use crate::question::{Key, Question};
use crate::site::Sites;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use subject::{Builder, Names};
use times::Axis;

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
        let units = Unit::fitting(books, &question);
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
                masked => Subject { name: masked.clone(), key: masked, called: None, owner: None, ..one },
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

fn ranked(found: [Vec<Builder>; 2], limits: [usize; 2], least: u64, places: &[Vec<usize>; 2]) -> [Ranked; 2] {
    let ([sites, devices], [most_sites, most_devices], [of_sites, of_devices]) = (found, limits, places);
    [subject::rank(sites, most_sites, least, of_sites), subject::rank(devices, most_devices, least, of_devices)]
}

/// What the page tells apart, as one question: rows of the books that are equal in it may be one.
pub fn told_apart(question: &Question) -> Question {
    let keys = vec![Key::Host, Key::Device, Key::Evidence, times::finest(question).key()];
    Question { keys, ..question.clone() }
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
    fn cells(&self, keys: Vec<Key>) -> (Cells, Axes, Vec<u32>) {
        let question = Question { keys, limit: None, min_bytes: 0, ..self.question.clone() };
        // A device's traffic is that of the same sites.
        let mut axes = Axes::of_question(self.books, &question, self.sites);
        let of_place = Question { keys: [vec![self.place], question.keys.clone()].concat(), ..question.clone() };
        let cells = Cells::new(self.books, &of_place, &mut axes, &[]);
        let filled = axes.times(&question, self.books);
        (cells, axes, filled)
    }

    /// Bytes of each value of `key` by `unit`, the axis of times filled.
    fn over_time(&self, key: Key, unit: Unit) -> (Vec<Builder>, Axis) {
        let (cells, axes, filled) = self.cells(vec![key, unit.key()]);
        let mut axis = filled_axis(&axes, 1, filled);
        let mut builders: Vec<Builder> = Vec::new();
        let mut number: HashMap<(u32, u32), usize, RandomState> = HashMap::default();
        for (cell, sums) in &cells.cells {
            let Some(Value::Label(label)) = axes.value(*cell, 0) else { continue };
            let nth = *number.entry((cell.place, cell.device)).or_insert_with(|| {
                builders.push(Builder::new(key, label));
                builders.len() - 1
            });
            let time = axis.add(time_of(&axes, *cell, 1));
            if let Some(builder) = builders.get_mut(nth) {
                builder.add(time, sums);
            }
        }
        (builders, axis)
    }

    /// What each of the ranked sites and devices is made of, by stretches of `unit`: hosts, devices,
    /// kinds of evidence. Gives the stretches.
    fn parts(&self, ranked: &mut [Ranked; 2], unit: Unit, hosts: &mut Names) -> Vec<Stretch> {
        let keys = match self.place {
            Key::Served => vec![Key::Served, Key::Device, unit.key()],
            place => vec![place, Key::Host, Key::Device, unit.key()],
        };
        let has_hosts = keys.contains(&Key::Host);
        let (cells, axes, filled) = self.cells(keys.clone());
        let last = keys.len().saturating_sub(1);
        let mut axis = filled_axis(&axes, last, filled);
        for (cell, _) in cells.cells.iter().filter(|(_, sums)| sums.total() > 0) {
            axis.add(time_of(&axes, *cell, last));
        }
        let (blocks, order) = axis.sorted();
        let text = |cell: &Cell, nth: usize| match axes.value(*cell, nth) {
            Some(Value::Label(label)) => label.text.clone(),
            _ => String::new(),
        };
        let mut makers = ranked.each_ref().map(subject::Makers::new);
        for (cell, sums) in cells.cells.iter().filter(|(_, sums)| sums.total() > 0) {
            let block =
                axis.number(&time_of(&axes, *cell, last).0).and_then(|nth| order.get(nth)).copied().unwrap_or_default();
            let (site, device) = (text(cell, 0), text(cell, if has_hosts { 2 } else { 1 }));
            let host = has_hosts.then(|| hosts.number(&crate::idn::display(&text(cell, 1))));
            let [of_sites, of_devices] = &mut makers;
            let device_nth = of_devices.nth(&device);
            of_sites.add(&site, subject::Piece { block, host, device: Some(device_nth), sums });
            of_devices.add(&device, subject::Piece { block, host, device: None, sums });
        }
        for (ranked, makers) in ranked.iter_mut().zip(makers) {
            makers.finish(ranked, MAX_PARTS);
        }
        blocks
    }
}

/// The `nth` key of a cell, which is a time: what it is called, and its first second.
fn time_of(axes: &Axes, cell: Cell, nth: usize) -> (String, i64) {
    match axes.value(cell, nth) {
        Some(Value::Time(text, start_s)) => (text.to_owned(), start_s),
        _ => (String::new(), i64::MAX),
    }
}

fn filled_axis(axes: &Axes, nth: usize, times: Vec<u32>) -> Axis {
    let mut axis = Axis::default();
    for time in times {
        axis.add(time_of(axes, Cell { time, ..Cell::default() }, nth));
    }
    axis
}

/// Bytes of a row by kind of evidence.
fn kinds(sums: &Sums) -> impl Iterator<Item = (usize, u64)> + '_ {
    sums.kinds.iter().copied().enumerate().take(Evidence::ALL.len()).filter(|(_, bytes)| *bytes > 0)
}

#[cfg(test)]
mod tests;
