//! What sites and devices are made of. Rows are gone through twice: for the sums of all parts, and
//! then for the times of those that are listed. So what has a time is as large as what is shown.

use super::subject::{Names, Part, Ranked};
use super::{Axes, Cell, Key, Value, index};
use crate::books::Evidence;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::cmp::Reverse;

/// Number of what is not listed, or not known.
const NONE: u32 = u32::MAX;

/// Bytes of a row, with numbers for what they are of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Number of the stretch of time.
    pub time: u32,
    /// Place in [`Evidence::ALL`].
    pub kind: usize,
    /// Bytes.
    pub bytes: u64,
    /// Numbers of the subjects, and of the host.
    pub site: u32,
    pub device: u32,
    pub host: u32,
}

impl Default for Piece {
    fn default() -> Self {
        Self { time: 0, kind: 0, bytes: 0, site: NONE, device: NONE, host: NONE }
    }
}

/// Numbers of the labels of cells: each label is looked at once.
pub(super) struct Labels<'a> {
    /// Names of hosts by number.
    pub hosts: &'a mut Names,
    /// Where among the keys the device is; and the host, if it is one of them.
    device_key: usize,
    host_key: Option<usize>,
    sites: HashMap<String, u32, RandomState>,
    devices: HashMap<String, u32, RandomState>,
    /// Site and host of each place.
    of_places: Vec<Option<(u32, u32)>>,
    of_devices: Vec<Option<u32>>,
}

impl<'a> Labels<'a> {
    pub fn new(keys: &[Key], ranked: &[Ranked; 2], hosts: &'a mut Names) -> Self {
        let place_of = |key: Key| keys.iter().position(|other| *other == key);
        let [sites, devices] = ranked.each_ref().map(|ranked| {
            let subjects = ranked.subjects.iter().zip(0..);
            subjects.map(|(subject, nth)| (subject.key.clone(), nth)).collect()
        });
        let (of_places, of_devices) = (Vec::new(), Vec::new());
        let (device_key, host_key) = (place_of(Key::Device).unwrap_or(keys.len()), place_of(Key::Host));
        Self { hosts, device_key, host_key, sites, devices, of_places, of_devices }
    }

    /// The piece with the numbers of its cell.
    #[inline]
    pub fn of(&mut self, axes: &Axes, cell: Cell, piece: Piece) -> Piece {
        let (site, host) = match self.of_places.get(index(cell.place)) {
            Some(Some(known)) => *known,
            _ => self.learn_place(axes, cell),
        };
        let device = match self.of_devices.get(index(cell.device)) {
            Some(Some(known)) => *known,
            _ => self.learn_device(axes, cell),
        };
        Piece { site, host, device, ..piece }
    }

    fn learn_place(&mut self, axes: &Axes, cell: Cell) -> (u32, u32) {
        let text = |nth: usize| text_of(axes, cell, nth);
        let site = self.sites.get(text(0)).copied().unwrap_or(NONE);
        let number = |hosts: &mut Names, nth| hosts.number(&crate::idn::display(text(nth)));
        let host = self.host_key.map(|nth| number(self.hosts, nth));
        let host = host.and_then(|host| u32::try_from(host).ok()).unwrap_or(NONE);
        keep(&mut self.of_places, cell.place, (site, host))
    }

    fn learn_device(&mut self, axes: &Axes, cell: Cell) -> u32 {
        let device = self.devices.get(text_of(axes, cell, self.device_key)).copied().unwrap_or(NONE);
        keep(&mut self.of_devices, cell.device, device)
    }
}

fn text_of(axes: &Axes, cell: Cell, nth: usize) -> &str {
    match axes.value(cell, nth) {
        Some(Value::Label(label)) => &label.text,
        _ => "",
    }
}

fn keep<T: Copy>(known: &mut Vec<Option<T>>, of: u32, value: T) -> T {
    let place = index(of);
    if known.len() <= place {
        known.resize(place + 1, None);
    }
    if let Some(known) = known.get_mut(place) {
        *known = Some(value);
    }
    value
}

/// Bytes by number of the stretch of time.
type Stream = Vec<u64>;

fn book(stream: &mut Stream, time: u32, bytes: u64) {
    let place = index(time);
    if stream.len() <= place {
        stream.resize(place + 1, 0);
    }
    if let Some(sum) = stream.get_mut(place) {
        *sum = sum.saturating_add(bytes);
    }
}

/// By kind of evidence.
type Kinds = [Stream; Evidence::ALL.len()];

/// Sums by number of the subject and of its part.
type Totals = HashMap<u64, u64, RandomState>;

fn pair(subject: u32, part: u32) -> u64 {
    u64::from(subject) << 32 | u64::from(part)
}

/// Sums of all parts.
pub(super) struct Tally {
    /// Of each site and device; the last is all that are not listed.
    kinds: [Vec<Kinds>; 2],
    /// Hosts of sites, devices of sites, hosts of devices.
    totals: [Totals; 3],
}

fn add_kind(kinds: &mut [Kinds], subject: u32, piece: &Piece) {
    let rest = kinds.len().saturating_sub(1);
    let of = kinds.get_mut(index(subject).min(rest)).and_then(|kinds| kinds.get_mut(piece.kind));
    if let Some(stream) = of {
        book(stream, piece.time, piece.bytes);
    }
}

/// The subjects and parts that a piece is booked on, in the order of [`Tally::totals`].
fn booked(piece: &Piece) -> [(u32, u32, bool); 3] {
    let Piece { site, device, host, .. } = *piece;
    let has = |subject: u32| subject != NONE;
    [
        (site, host, has(site) && has(host)),
        // Devices that are not listed are one part.
        (site, device, has(site)),
        (device, host, has(device) && has(host)),
    ]
}

impl Tally {
    pub fn new(ranked: &[Ranked; 2]) -> Self {
        let kinds = |ranked: &Ranked| (0..=ranked.subjects.len()).map(|_| Kinds::default()).collect();
        Self { kinds: ranked.each_ref().map(kinds), totals: Default::default() }
    }

    /// Adds to the evidence of the site, or of all sites that are not listed.
    #[inline]
    pub fn add_to_site(&mut self, piece: Piece) {
        let [kinds, _] = &mut self.kinds;
        add_kind(kinds, piece.site, &piece);
    }

    /// The same of the device.
    #[inline]
    pub fn add_to_device(&mut self, piece: Piece) {
        let [_, kinds] = &mut self.kinds;
        add_kind(kinds, piece.device, &piece);
    }

    /// Adds to the parts of both.
    #[inline]
    pub fn add_parts(&mut self, piece: Piece) {
        for (totals, (subject, part, is_listed)) in self.totals.iter_mut().zip(booked(&piece)) {
            if is_listed {
                let sum = totals.entry(pair(subject, part)).or_default();
                *sum = sum.saturating_add(piece.bytes);
            }
        }
    }

    /// The numbers of all stretches of time with bytes.
    pub fn times(&self) -> impl Iterator<Item = u32> {
        let streams = self.kinds.iter().flatten().flatten();
        let mut times: Vec<u64> = Vec::new();
        streams.for_each(|stream| (0..).zip(stream).for_each(|(time, bytes)| book(&mut times, time, *bytes)));
        (0..).zip(times).filter(|(_, bytes)| *bytes > 0).map(|(time, _)| time)
    }

    /// Chooses the largest parts of each subject: of equal ones the first by name.
    pub fn largest(self, hosts: &Names, most: usize) -> Streams {
        let Self { kinds, totals: [of_hosts, of_devices, hosts_of_devices] } = self;
        let [sites, devices] = kinds.each_ref().map(|kinds| kinds.len().saturating_sub(1));
        let by_name = |host: u32| hosts.name(index(host));
        let chosen = [
            Chosen::new(of_hosts, (sites, most), by_name),
            Chosen::new(of_devices, (sites, most), |_| ""),
            Chosen::new(hosts_of_devices, (devices, most), by_name),
        ];
        Streams { kinds, chosen }
    }
}

/// A part that is listed: its number (`None`: all others together), how many it stands for, and
/// where its stream is.
type Listed = (Option<usize>, usize, usize);

/// The parts of subjects that are listed, and their bytes over time.
struct Chosen {
    /// The stream of a part that is listed by itself.
    of_part: HashMap<u64, usize, RandomState>,
    /// The stream of all others of a subject.
    of_others: Vec<Option<usize>>,
    streams: Vec<Stream>,
    /// By subject, the largest first.
    listed: Vec<Vec<Listed>>,
}

impl Chosen {
    fn new<'n>(totals: Totals, (subjects, most): (usize, usize), name: impl Fn(u32) -> &'n str) -> Self {
        let part = |(key, bytes): (u64, u64)| ((key >> 32) as u32, key as u32, bytes);
        let mut all: Vec<(u32, u32, u64)> = totals.into_iter().map(part).collect();
        // What has no number is never listed by itself.
        let order = |&(subject, part, bytes): &(u32, u32, u64)| (subject, part == NONE, Reverse(bytes));
        all.sort_unstable_by(|a, b| order(a).cmp(&order(b)).then_with(|| (name(a.1), a.1).cmp(&(name(b.1), b.1))));
        let of_others = vec![None; subjects];
        let listed = vec![Vec::new(); subjects];
        let mut chosen = Self { of_part: HashMap::default(), of_others, streams: Vec::new(), listed };
        for of_one in all.chunk_by(|a, b| a.0 == b.0) {
            let itself = of_one.iter().take(most).take_while(|(_, part, _)| *part != NONE).count();
            let (largest, others) = of_one.split_at_checked(itself).unwrap_or((of_one, &[]));
            for (subject, part, _) in largest {
                chosen.of_part.insert(pair(*subject, *part), chosen.streams.len());
                chosen.list(*subject, (Some(index(*part)), 1));
            }
            if let Some((subject, ..)) = others.first() {
                if let Some(of) = chosen.of_others.get_mut(index(*subject)) {
                    *of = Some(chosen.streams.len());
                }
                chosen.list(*subject, (None, others.len()));
            }
        }
        chosen
    }

    fn list(&mut self, subject: u32, (name, count): (Option<usize>, usize)) {
        if let Some(of) = self.listed.get_mut(index(subject)) {
            of.push((name, count, self.streams.len()));
            self.streams.push(Stream::new());
        }
    }

    #[inline]
    fn add(&mut self, (subject, part): (u32, u32), piece: &Piece) {
        let of = self.of_part.get(&pair(subject, part)).copied();
        let of = of.or_else(|| self.of_others.get(index(subject)).copied().flatten());
        if let Some(stream) = of.and_then(|of| self.streams.get_mut(of)) {
            book(stream, piece.time, piece.bytes);
        }
    }

    /// The parts of a subject.
    fn parts(&self, subject: usize, block: &impl Fn(u32) -> Option<usize>) -> Vec<Part> {
        let part = |(name, count, stream): &Listed| {
            let stream = self.streams.get(*stream).map(|of| in_order(of, block)).unwrap_or_default();
            Part { name: *name, count: *count, stream }
        };
        self.listed.get(subject).into_iter().flatten().map(part).collect()
    }
}

fn in_order(stream: &Stream, block: &impl Fn(u32) -> Option<usize>) -> Vec<(usize, u64)> {
    let some = (0..).zip(stream).filter(|(_, bytes)| **bytes > 0);
    let mut found: Vec<(usize, u64)> = some.filter_map(|(time, bytes)| Some((block(time)?, *bytes))).collect();
    found.sort_unstable();
    found
}

/// Parts that are listed, while their bytes over time are booked.
pub(super) struct Streams {
    kinds: [Vec<Kinds>; 2],
    /// In the order of [`Tally::totals`].
    chosen: [Chosen; 3],
}

impl Streams {
    #[inline]
    pub fn add(&mut self, piece: Piece) {
        for (chosen, (subject, part, is_listed)) in self.chosen.iter_mut().zip(booked(&piece)) {
            if is_listed {
                chosen.add((subject, part), &piece);
            }
        }
    }

    /// Gives the ranked their parts; `block`: the place in time of a number.
    pub fn finish(self, ranked: &mut [Ranked; 2], block: impl Fn(u32) -> Option<usize>) {
        let [hosts, devices, hosts_of_devices] = &self.chosen;
        let [sites, clients] = ranked;
        for (nth, site) in sites.subjects.iter_mut().enumerate() {
            (site.hosts, site.devices) = (hosts.parts(nth, &block), devices.parts(nth, &block));
        }
        for (nth, device) in clients.subjects.iter_mut().enumerate() {
            device.hosts = hosts_of_devices.parts(nth, &block);
        }
        for (ranked, kinds) in [sites, clients].into_iter().zip(self.kinds) {
            let subjects = ranked.subjects.iter_mut().chain([&mut ranked.rest]);
            for (subject, kinds) in subjects.zip(kinds) {
                let total = |stream: &Stream| stream.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
                (subject.evidence, subject.kinds) = (kinds.each_ref().map(total), of_kinds(&kinds, &block));
            }
        }
    }
}

/// Bytes by kind of evidence, the largest first.
fn of_kinds(kinds: &Kinds, block: &impl Fn(u32) -> Option<usize>) -> Vec<Part> {
    let part = |(name, stream): (usize, &Stream)| Part { name: Some(name), count: 1, stream: in_order(stream, block) };
    let mut parts: Vec<Part> = kinds.iter().enumerate().map(part).filter(|part| !part.stream.is_empty()).collect();
    parts.sort_by_key(|part| (Reverse(part.total()), part.name));
    parts
}
