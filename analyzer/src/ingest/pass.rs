//! One booking: the sources of a plan are read side by side, attributed, and written one by one as
//! soon as nothing that is still to come can change them.

use super::merge::read_all;
use super::order::Found;
use super::plan::{Entry, REACH_NS, Span};
use super::run::{IngestError, Read, ReadOptions, Taker};
use super::servers::{PublicServer, PublicServers};
use super::times::Times;
use crate::attribution::{AnswerBook, Attributor, Habits, Ledger as _, Overlaps, Role, Settled, Skew};
use crate::books::Endpoint;
use crate::removal::Removals;
use crate::rollup::{Interner, Rollup, Rollups};
use crate::store::{NewSource, Place, Store};
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Observer, Usage};
use imon_common::packet::Interface;
use imon_common::segment::{SegmentEnd, SegmentHeader};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};

/// What became of a source that was to be booked.
#[derive(Debug)]
pub(super) enum Passed {
    /// It is in the store.
    Booked {
        /// First and last interval in it.
        span: Span,
        /// Packets of its usage rows.
        packets: u64,
        /// What was skipped, in words.
        skipped: Option<String>,
    },
    /// It could not be read.
    Failed(IngestError),
}

/// A source that was read and is not written yet.
#[derive(Debug)]
struct Done {
    source: NewSource,
    packets: u64,
    skipped: Option<String>,
}

/// A booking under way.
pub(super) struct Pass<'a> {
    store: &'a mut Store,
    entries: Vec<Entry>,
    attributor: Attributor<Rollups>,
    /// Identities of sources that are booked here.
    booked: HashSet<Vec<u8>>,
    /// Identities of sources in which carried flows began and that are not read here, numbered
    /// after the entries.
    origins: Interner<Vec<u8>>,
    /// First and last interval of each source that was read so far.
    seen: HashMap<usize, (UnixNanos, UnixNanos)>,
    done: HashMap<usize, Done>,
    /// Sources that were read and wait for the clock to pass [`REACH_NS`] after their last
    /// interval.
    ended: BinaryHeap<Reverse<(UnixNanos, usize)>>,
    passed: Vec<(Vec<u8>, Passed)>,
    failed: Option<IngestError>,
    times: Times,
    servers: PublicServers,
    /// What is not to be booked.
    removals: Removals,
}

/// What a pass gives: see [`Pass::run`].
#[derive(Debug)]
pub(super) struct Ran {
    /// What became of the sources that were to be booked, by identity.
    pub(super) passed: Vec<(Vec<u8>, Passed)>,
    /// Those whose clocks are apart.
    pub(super) skews: Vec<Skew>,
    /// A server whose bytes stand as visits of others.
    pub(super) server: Option<PublicServer>,
    /// Where flows are booked that were to be watched, with the identity of the source in which
    /// each began.
    pub(super) settled: Vec<(Vec<u8>, Settled)>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        store: &'a mut Store,
        (answers, habits, removals): (AnswerBook, Habits, Removals),
        entries: Vec<Entry>,
    ) -> Self {
        let mut attributor = Attributor::new(answers, Rollups::default());
        attributor.follow_sources();
        attributor.follow_pages(habits);
        attributor.look_for_overlaps();
        let books = entries.iter().filter(|e| e.role == Role::Book);
        let identities = books.flat_map(|e| [Some(&e.identity), e.instead_of.as_ref().map(|of| &of.identity)]);
        let booked = identities.flatten().cloned().collect();
        Self {
            store,
            entries,
            attributor,
            booked,
            origins: Interner::default(),
            seen: HashMap::new(),
            done: HashMap::new(),
            ended: BinaryHeap::new(),
            passed: Vec::new(),
            failed: None,
            times: Times::default(),
            servers: PublicServers::default(),
            removals,
        }
    }

    /// Also tells where flows like these are booked.
    pub(super) fn watch<'f>(mut self, flows: impl Iterator<Item = &'f Flow>) -> Self {
        self.attributor.watch(flows);
        self
    }

    /// Reads and books everything.
    ///
    /// # Errors
    /// The store refused.
    pub(super) fn run(mut self, options: &ReadOptions) -> Result<Ran, IngestError> {
        let found = self.in_order();
        let results = read_all(&found, options, &mut self);
        self.attributor.settle_all();
        while let Some(Reverse((_, source))) = self.ended.pop() {
            self.write(source);
        }
        for (source, result) in results {
            if let (Some(entry), Err(error)) = (self.entries.get(source).filter(|e| e.role == Role::Book), result) {
                self.passed.push((entry.identity.clone(), Passed::Failed(error)));
            }
        }
        let skews = self.attributor.overlaps().map(Overlaps::skews).unwrap_or_default();
        let settled = self.attributor.watched();
        let settled = settled.into_iter().map(|settled| (self.identity_of(settled.origin).to_vec(), settled)).collect();
        self.failed.map_or(Ok(Ran { passed: self.passed, skews, server: self.servers.server(), settled }), Err)
    }

    /// The identity of a source by its number.
    fn identity_of(&self, number: usize) -> &[u8] {
        match self.entries.get(number) {
            Some(entry) => &entry.identity,
            None => self.origins.values().get(number - self.entries.len()).map_or(&[][..], Vec::as_slice),
        }
    }

    /// Sorts the entries by the run and gives the list to read; places are those of the entries.
    fn in_order(&mut self) -> Vec<Found> {
        // Runs of captures are numbers drawn by chance. Where several start at one instant their
        // paths decide, as where the captures themselves are read.
        let first = |entry: &Entry, header: &SegmentHeader| {
            let path = if entry.capture.is_some() { entry.path.as_str() } else { "" };
            (header.start, header.sequence, PathBuf::from(path))
        };
        let mut firsts: HashMap<[u8; 16], (UnixNanos, u64, PathBuf)> = HashMap::new();
        for (entry, header) in self.entries.iter().filter_map(|entry| Some((entry, entry.found.header()?))) {
            let of_run = firsts.entry(header.run).or_insert_with(|| first(entry, header));
            *of_run = first(entry, header).min(of_run.clone());
        }
        self.entries.sort_by_cached_key(|entry| {
            let header = entry.found.header()?;
            let (start, _, path) = firsts.get(&header.run)?.clone();
            Some((start, entry.capture.is_none(), path, header.run, header.sequence, header.segment))
        });
        let list = |entry: &mut Entry| {
            let empty = Found { path: entry.found.path.clone(), glance: super::order::Glance::Nothing };
            std::mem::replace(&mut entry.found, empty)
        };
        self.entries.iter_mut().map(list).collect()
    }

    /// Writes sources that nothing can change any more.
    fn write_settled(&mut self, now: UnixNanos) {
        while let Some(Reverse((last, source))) = self.ended.peek().copied()
            && now.since(last) > REACH_NS
        {
            self.ended.pop();
            self.write(source);
        }
    }

    fn write(&mut self, source: usize) {
        self.attributor.book_source(source);
        let mut rollup = self.attributor.ledger.0.remove(&source).unwrap_or_default();
        if let Some(overlaps) = self.attributor.overlaps() {
            rollup.leave_out(overlaps);
        }
        rollup.take_out(&mut self.removals);
        let (None, Some(done)) = (&self.failed, self.done.remove(&source)) else { return };
        let (entries, origins) = (&self.entries, &self.origins);
        let origin_of = |number: usize| match entries.get(number) {
            Some(entry) => entry.identity.as_slice(),
            None => origins.values().get(number - entries.len()).map_or(&[][..], Vec::as_slice),
        };
        let identity = done.source.identity.clone();
        let instead_of = entries.get(source).and_then(|entry| entry.row.filter(|_| entry.instead_of.is_some()));
        match self.store.replace_source(&done.source, instead_of, &rollup, origin_of) {
            Ok(()) => {
                let Done { source, packets, skipped } = done;
                self.passed.push((
                    identity,
                    Passed::Booked { span: Span { from: source.first, to: source.last }, packets, skipped },
                ));
            }
            Err(error) => self.failed = Some(error.into()),
        }
    }

    /// Flows that go on in a source of the store and began in one that is not booked here.
    fn carried_into(&mut self, row: i64) -> Vec<crate::attribution::Carried> {
        let found = match self.store.carried_into(row) {
            Ok(found) => found,
            Err(error) => {
                self.failed = Some(error.into());
                return Vec::new();
            }
        };
        let mut carried = Vec::new();
        for (origin, mut flow) in found {
            if self.booked.contains(&origin) {
                continue;
            }
            flow.origin = self.entries.len() + self.origins.index_of(&origin) as usize;
            carried.push(flow);
        }
        carried
    }
}

impl Taker for Pass<'_> {
    fn begin(&mut self, source: usize, header: &SegmentHeader) {
        let Some(entry) = self.entries.get(source) else { return };
        let (role, row) = (entry.role, entry.row);
        let run_before = entry.instead_of.as_ref().map(|of| of.run);
        let mut carried = Vec::new();
        if role == Role::Book {
            self.attributor.ledger.0.insert(source, Rollup { keep_learned: true, ..Rollup::default() });
            carried = row.map(|row| self.carried_into(row)).unwrap_or_default();
        }
        if let Some(run) = run_before {
            // Numbers of a run that is not read any more: these flows are found by their addresses.
            self.attributor.add_carried(run.unwrap_or_default(), header.start, std::mem::take(&mut carried));
        }
        let allows = entry_allows(&self.entries, source);
        self.attributor.add_source(source, header, role, carried);
        if allows {
            self.attributor.allow_overlap(source);
        }
    }

    fn file(&mut self, source: usize, _: &Path, len_bytes: u64) {
        self.attributor.size_source(source, len_bytes);
    }

    fn turn(&mut self, source: usize, ts: UnixNanos) {
        self.times.turn(source);
        let (first, last) = self.seen.entry(source).or_insert((ts, ts));
        (*first, *last) = ((*first).min(ts), (*last).max(ts));
        self.attributor.turn_to(source, ts);
        self.write_settled(ts);
    }

    fn end(&mut self, source: usize, read: &Read) {
        self.attributor.end_source(source);
        let Read::Segment(header, report) = read else { return };
        let (recorded, gone) = self.times.end(source, header, report);
        let Some(entry) = self.entries.get(source).filter(|entry| entry.role == Role::Book) else { return };
        if let Some(rollup) = self.attributor.ledger.0.get_mut(&source) {
            rollup.note_damage(report);
        }
        let (first, last) = self.seen.get(&source).copied().unwrap_or((header.start, header.start));
        let (kept, ended) = match &entry.capture {
            Some(capture) => (Some(capture.kept.clone()), capture.ended.clone()),
            None => (None, ended(&report.end).to_owned()),
        };
        let written = NewSource {
            identity: entry.identity.clone(),
            kind: if kept.is_some() { "capture" } else { "segment" },
            path: entry.path.clone(),
            kept_segment: kept.is_some().then_some(header.segment),
            place: Place::of(header),
            content: report.close.identities.last().map(|(_, content)| *content),
            allow_overlap: entry.allow_overlap,
            capture: entry.capture.as_ref().and_then(|capture| capture.facts),
            kept,
            interface: header.interface.clone(),
            first,
            last,
            ended,
            len_bytes: report.len_bytes,
            records: report.records,
            recorded,
            gone,
        };
        self.done.insert(source, Done { source: written, packets: report.packets, skipped: read.skipped() });
        self.ended.push(Reverse((last, source)));
    }

    fn end_run(&mut self, run: &[u8; 16]) {
        self.attributor.end_run(run);
    }

    fn is_done(&self) -> bool {
        self.failed.is_some()
    }
}

impl Pass<'_> {
    /// Whether the user has removed what this flow's client moved at that time.
    fn is_removed(&mut self, flow: &Flow, at: UnixNanos) -> bool {
        let end = Endpoint { address: flow.client, mac: flow.client_mac };
        self.removals.takes(end, at.0.div_euclid(NANOS_PER_SECOND))
    }
}

impl Observer for Pass<'_> {
    type Error = Infallible;

    fn interface(&mut self, number: u32, interface: &Interface) -> Result<(), Infallible> {
        self.attributor.interface(number, interface)
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        // What is removed teaches nothing. Its usage is booked all the same, and taken out in the
        // end: what two sources hold counts once there as well.
        if self.is_removed(flow, seen.ts) {
            return Ok(());
        }
        self.attributor.name(flow, seen)
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.servers.usage(flow, usage);
        if !self.removals.is_empty() && self.is_removed(flow, interval) && flow.name.is_some() {
            return self.attributor.usage(&Flow { name: None, ..flow.clone() }, interval, usage);
        }
        self.attributor.usage(flow, interval, usage)
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        self.times.counts(ts, counts);
        self.attributor.counts(ts, counts)
    }
}

fn entry_allows(entries: &[Entry], source: usize) -> bool {
    entries.get(source).is_some_and(|entry| entry.allow_overlap)
}

fn ended(end: &SegmentEnd) -> &'static str {
    match end {
        SegmentEnd::Sealed { .. } => "sealed",
        SegmentEnd::Open { .. } => "open",
        SegmentEnd::Torn { .. } => "torn",
        SegmentEnd::Damaged { .. } => "damaged",
    }
}
