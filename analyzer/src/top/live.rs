//! What is recorded now, attributed as it comes.
//!
//! The bytes of a flow stand where its verdict so far says. A verdict that changes takes all that
//! its flow moved along. Young flows are looked at every second, as most that can change a verdict
//! comes in the first seconds; the others in turn. The verdict of a flow that is over comes from
//! the attribution itself.

use super::cells::{AHEAD_S, Amount, Begins, Bytes, Cells, Kind, Shared};
use super::paged::Part;
use crate::attribution::{
    AnswerBook, Attributor, Called, FlowId, Habits, Ledger, Over, PagePart, Role, SoFar, Standing, Verdict,
};
use crate::books::{Books, Evidence, Host};
use crate::rollup::Endpoint;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::Flow;
use imon_common::names::{NameKind, NameSeen};
use imon_common::observe::{Count, Counter, Observer, Usage};
use imon_common::packet::Interface;
use imon_common::segment::SegmentHeader;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::convert::Infallible;

/// For so long a flow is looked at every second: answers and queries that speak for it come within
/// three seconds of its beginning.
const YOUNG_NS: i64 = 4 * NANOS_PER_SECOND;

/// Other flows that are looked at in one second, at least.
const LOOKS: usize = 1_000;

/// Within so many seconds each of them had its turn, however many there are: who is over is
/// forgotten by then.
const TURN_S: usize = 300;

/// The latest seconds of a flow that go along with its verdict: those that "now" is made of. Older
/// ones of the last minute stay where they were shown.
const KEPT_S: usize = 6;

/// Nothing is booked here; what clients call themselves is heard, and where flows that are over
/// belong.
#[derive(Debug, Default)]
struct Heard {
    called: Vec<Called>,
    /// Source and number of a flow, with its place.
    over: Vec<(usize, u64, (Host, Endpoint, Kind))>,
    /// What pages pulled in of flows that are over, by their places.
    pulled: Vec<((Host, Endpoint, Kind), Vec<PagePart>)>,
}

impl Ledger for Heard {
    fn called(&mut self, _: usize, called: &Called) {
        self.called.push(called.clone());
    }

    fn over(&mut self, over: &Over<'_>) {
        self.over.push((over.origin, over.flow.number, place_of(over.flow, over.verdict)));
    }

    fn pages(&mut self, flow: &Flow, verdict: &Verdict, parts: &[PagePart]) {
        self.pulled.push((place_of(flow, verdict), parts.to_vec()));
    }
}

/// Where the bytes of a flow belong.
fn place_of(flow: &Flow, verdict: &Verdict) -> (Host, Endpoint, Kind) {
    let client = Endpoint { address: flow.client, mac: flow.client_mac };
    let share = if verdict.candidates.is_empty() { Shared::No } else { Shared::Yes };
    (verdict.host.clone(), client, Kind { evidence: verdict.evidence, traffic: verdict.traffic, share })
}

/// From when on bytes are of today, and of the period, and until when. Instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// The last local midnight.
    pub today: UnixNanos,
    /// The next one.
    pub tomorrow: UnixNanos,
    /// The beginning of the period.
    pub period: UnixNanos,
    /// That of the next one.
    pub next_period: UnixNanos,
}

/// What a flow moved in its latest seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Latest([(i64, Bytes); KEPT_S]);

impl Latest {
    fn add(&mut self, at: i64, bytes: Bytes) {
        let same = self.0.iter_mut().find(|(second, known)| *second == at && known.sum() > 0);
        // The oldest one makes room; one that is older than all has no place.
        let place = match same {
            Some(known) => return known.1.add(bytes),
            None => self.0.iter_mut().min_by_key(|(second, _)| *second),
        };
        if let Some(oldest) = place.filter(|(second, _)| *second < at) {
            *oldest = (at, bytes);
        }
    }
}

/// A flow whose verdict can change.
#[derive(Debug, Clone, Copy)]
struct Moving {
    cell: u32,
    amount: Amount,
    latest: Latest,
    /// Its bytes of today are among those that can change.
    open: bool,
}

/// The clock of a recorder is ahead of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// When that was seen: a second by our own clock.
    pub at: i64,
    /// By so many seconds.
    pub by_s: i64,
}

/// What was lost, and what is no traffic of sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beside {
    /// Packets that the kernel or the interface dropped, today.
    pub dropped_packets: u64,
}

/// Attributes what comes, and keeps sums of it.
#[derive(Debug)]
pub struct Live {
    attributor: Attributor<Heard>,
    /// The sums.
    pub cells: Cells,
    flows: HashMap<FlowId, Moving, RandomState>,
    young: VecDeque<(UnixNanos, FlowId)>,
    turn: VecDeque<FlowId>,
    since: Since,
    /// Interfaces that are recorded, by source.
    interfaces: BTreeMap<usize, String>,
    /// The present second by our own clock.
    now: i64,
    /// Latest interval seen that is not ahead of our own clock.
    pub clock: Option<UnixNanos>,
    /// What was seen last of a time that is ahead.
    pub ahead: Option<Ahead>,
    /// What is beside.
    pub beside: Beside,
}

impl Live {
    /// Begins with what is known of addresses and pages.
    pub fn new(answers: AnswerBook, habits: Habits, since: Since) -> Self {
        let mut attributor = Attributor::new(answers, Heard::default());
        attributor.follow_pages(habits);
        Self {
            attributor,
            cells: Cells::default(),
            flows: HashMap::default(),
            young: VecDeque::new(),
            turn: VecDeque::new(),
            since,
            interfaces: BTreeMap::new(),
            now: 0,
            clock: None,
            ahead: None,
            beside: Beside::default(),
        }
    }

    /// Adds what the store holds: its sums of the period, but for those of `followed` sources.
    pub fn add_books(&mut self, books: &Books, followed: &HashSet<Vec<u8>>) {
        for (_, address, mac) in &books.device_ends {
            self.cells.roster.endpoints.index_of(&Endpoint { address: *address, mac: *mac });
        }
        // Rows know their devices; any address of one stands for it.
        let mut end_of: HashMap<u32, Endpoint, RandomState> = HashMap::default();
        for (device, address, mac) in &books.device_ends {
            let end = *end_of.entry(*device).or_insert(Endpoint { address: *address, mac: *mac });
            if let Some(name) = books.device_names.get(*device as usize).cloned().flatten() {
                let Endpoint { address, mac } = end;
                self.cells.roster.call(&Called { address, mac, kind: NameKind::Dhcp, name, ts: UnixNanos(0) });
            }
        }
        let is_followed =
            |source: u32| books.sources.get(source as usize).is_some_and(|s| followed.contains(&s.identity));
        for row in books.rows.iter().filter(|row| !is_followed(row.source)) {
            let (Some(host), Some(end)) = (books.hosts.get(row.host as usize), end_of.get(&row.device)) else {
                continue;
            };
            let bytes = Bytes { up: row.up_bytes, down: row.down_bytes };
            let at = UnixNanos(row.bucket_s.saturating_mul(NANOS_PER_SECOND));
            let share = if row.candidates.is_some() { Shared::Yes } else { Shared::No };
            let kind = Kind { evidence: row.evidence, traffic: row.traffic, share };
            let cell = self.cells.at(host, *end, kind);
            self.cells.add(cell, self.part(at, bytes));
        }
        self.add_pages(books, followed, &end_of);
    }

    /// Which part of `bytes` at that time is of today, and of the period.
    fn part(&self, at: UnixNanos, bytes: Bytes) -> Amount {
        let Since { today, tomorrow, period, next_period } = self.since;
        let if_in = |from: UnixNanos, to: UnixNanos| if (from..to).contains(&at) { bytes } else { Bytes::default() };
        let end = UnixNanos(i64::MAX);
        Amount {
            today: if_in(today, tomorrow),
            period: if_in(period, next_period),
            tomorrow: if_in(tomorrow, end),
            next_period: if_in(next_period, end),
        }
    }

    /// A source begins.
    pub fn begin(&mut self, source: usize, header: &SegmentHeader) {
        self.interfaces.insert(source, header.interface.clone());
        self.attributor.add_source(source, header, Role::Book, Vec::new());
    }

    /// What follows is of `source`, in the interval that starts at `ts`.
    pub fn turn_to(&mut self, source: usize, ts: UnixNanos) {
        self.tell_time(ts);
        self.attributor.turn_to(source, ts);
        self.hear();
    }

    /// A source was read.
    pub fn end(&mut self, source: usize) {
        self.interfaces.remove(&source);
        self.attributor.end_source(source);
    }

    /// The last source of a run was read.
    pub fn end_run(&mut self, run: &[u8; 16]) {
        self.attributor.end_run(run);
    }

    /// Names of the interfaces that are recorded now, each once.
    pub fn interfaces(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.interfaces.values().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Looks at verdicts that may have changed; to be called about once a second.
    pub fn look_again(&mut self) {
        let now = self.clock.unwrap_or(UnixNanos(0));
        for _ in 0..self.young.len() {
            let Some((began, id)) = self.young.pop_front() else { break };
            self.look_at(id);
            match now.since(began) < YOUNG_NS {
                true => self.young.push_back((began, id)),
                false => self.turn.push_back(id),
            }
        }
        self.look_in_turn(LOOKS.max(self.turn.len() / TURN_S));
    }

    /// Looks at the verdicts of all flows: nothing more comes.
    pub fn look_at_all(&mut self) {
        self.turn.extend(self.young.drain(..).map(|(_, id)| id));
        self.look_in_turn(self.turn.len());
    }

    fn look_in_turn(&mut self, most: usize) {
        for _ in 0..most.min(self.turn.len()) {
            let Some(id) = self.turn.pop_front() else { break };
            if self.look_at(id) == Standing::Open {
                self.turn.push_back(id);
            }
        }
    }

    /// Puts a flow where its verdict says by now. Fixed ones are forgotten.
    fn look_at(&mut self, id: FlowId) -> Standing {
        let Some(mut moving) = self.flows.get(&id).copied() else { return Standing::Fixed };
        let Some((cell, standing, open)) = self.cell_of(id) else {
            let cell = moving.cell;
            self.put(&mut moving, cell, false);
            self.flows.remove(&id);
            return Standing::Fixed;
        };
        self.put(&mut moving, cell, open);
        self.cells.paged.is_of(id, cell);
        match standing {
            Standing::Open => _ = self.flows.insert(id, moving),
            Standing::Fixed => _ = self.flows.remove(&id),
        }
        standing
    }

    fn put(&mut self, moving: &mut Moving, cell: u32, open: bool) {
        let bytes = moving.amount.today.sum();
        if moving.cell != cell {
            self.cells.take(moving.cell, moving.amount);
            self.cells.add(cell, moving.amount);
            for (at, bytes) in moving.latest.0.iter().filter(|(_, bytes)| bytes.sum() > 0) {
                self.cells.passed_elsewhere(*at, (moving.cell, cell), *bytes);
            }
        }
        if moving.open {
            self.cells.close(moving.cell, bytes);
        }
        if open {
            self.cells.open(cell, bytes);
        }
        (moving.cell, moving.open) = (cell, open);
    }

    /// Where a flow belongs by now, and whether people are told that it can change: what a name
    /// inside the flow says hardly does.
    fn cell_of(&mut self, id: FlowId) -> Option<(u32, Standing, bool)> {
        let (flow, SoFar { verdict, standing }) = self.attributor.so_far(id)?;
        let (host, client, kind) = place_of(flow, &verdict);
        let cell = self.cells.at(&host, client, kind);
        let inside = matches!(verdict.evidence, Evidence::Sni | Evidence::Quic | Evidence::Http);
        Some((cell, standing, standing == Standing::Open && !inside))
    }

    /// Takes flows that are over to where they belong.
    fn hear(&mut self) {
        for called in self.attributor.ledger.called.drain(..) {
            self.cells.roster.call(&called);
        }
        if self.attributor.ledger.over.is_empty() {
            return;
        }
        self.hear_of_pages();
        for (source, number, (host, client, kind)) in std::mem::take(&mut self.attributor.ledger.over) {
            let id = self.attributor.id_in(source, number);
            self.cells.paged.is_over(id);
            if let Some(mut moving) = self.flows.remove(&id) {
                let cell = self.cells.at(&host, client, kind);
                self.put(&mut moving, cell, false);
            }
        }
    }

    /// The present second by our own clock (Unix seconds), and the day and the period that it is
    /// in: to be told before anything is read.
    pub fn tick(&mut self, now: i64, since: Since) {
        self.now = now;
        self.cells.tick(now);
        let begins = |next: UnixNanos, from: UnixNanos| if next == from { Begins::Next } else { Begins::Another };
        if since.today != self.since.today {
            let begins = begins(self.since.tomorrow, since.today);
            self.cells.begin_day(begins);
            self.beside = Beside::default();
            self.flows.values_mut().for_each(|moving| moving.amount.begin_day(begins));
            // What is of the new day already can change as the rest.
            for moving in self.flows.values().filter(|moving| moving.open) {
                self.cells.open(moving.cell, moving.amount.today.sum());
            }
        }
        if since.period != self.since.period {
            let begins = begins(self.since.next_period, since.period);
            let held = self.flows.values().map(|moving| moving.cell).collect();
            let stay = self.cells.begin_period(begins, &held);
            for moving in self.flows.values_mut() {
                moving.amount.begin_period(begins);
                moving.cell = stay.get(&moving.cell).copied().unwrap_or(moving.cell);
            }
        }
        self.since = since;
    }

    /// Whether a recorder wrote of a time that is not there yet, by our own clock.
    fn tell_time(&mut self, ts: UnixNanos) {
        let ahead_s = ts.0.div_euclid(NANOS_PER_SECOND).saturating_sub(self.now);
        match ahead_s > AHEAD_S {
            true => self.ahead = Some(Ahead { at: self.now, by_s: ahead_s }),
            false => self.clock = self.clock.max(Some(ts)),
        }
    }

    /// The day and the period that sums are of.
    pub fn since(&self) -> Since {
        self.since
    }

    fn moved(&mut self, id: FlowId, interval: UnixNanos, bytes: Bytes) {
        let Some((cell, standing, open)) = self.cell_of(id) else { return };
        let (amount, second) = (self.part(interval, bytes), interval.0.div_euclid(NANOS_PER_SECOND));
        self.cells.passed(second, cell, bytes);
        self.cells.add(cell, amount);
        if open {
            self.cells.open(cell, amount.today.sum());
        }
        let of_today = amount.today.sum();
        let part = Part { amount, open: of_today, unnamed: if open { of_today } else { 0 } };
        self.cells.paged.is_of(id, cell);
        self.cells.paged.moved(id, second, bytes, part);
        let known = self.flows.get(&id).copied();
        if standing == Standing::Fixed && known.is_none() {
            return;
        }
        let mut moving = known.unwrap_or_else(|| {
            self.young.push_back((interval, id));
            if self.cells.is_named(cell) {
                self.cells.paged.began(id, cell, part);
            }
            Moving { cell, amount: Amount::default(), latest: Latest::default(), open }
        });
        // What moved before goes along with a verdict that has changed.
        self.put(&mut moving, cell, open);
        moving.amount.add(amount);
        moving.latest.add(second, bytes);
        self.flows.insert(id, moving);
    }
}

impl Observer for Live {
    type Error = Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.attributor.name(flow, seen)?;
        self.hear();
        Ok(())
    }

    fn interface(&mut self, number: u32, interface: &Interface) -> Result<(), Infallible> {
        self.attributor.interface(number, interface)
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.attributor.usage(flow, interval, usage)?;
        self.hear();
        let id = self.attributor.id_of(flow.number);
        let Bytes { up, down } = usage.into();
        let is_turned = self.attributor.is_turned(id, flow);
        self.moved(id, interval, if is_turned { Bytes { up: down, down: up } } else { Bytes { up, down } });
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        for count in counts.iter().filter(|_| ts >= self.since.today) {
            if matches!(count.counter, Counter::KernelDropped | Counter::InterfaceDropped) {
                self.beside.dropped_packets = self.beside.dropped_packets.saturating_add(count.packets);
            }
        }
        self.attributor.counts(ts, counts)
    }
}

mod pages;
#[cfg(test)]
pub(super) mod tests;
