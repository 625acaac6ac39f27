//! What is recorded now, attributed as it comes.
//!
//! The bytes of a flow stand where its verdict so far says. A verdict that changes takes all that
//! its flow moved along. Young flows are looked at every second, as most that can change a verdict
//! comes in the first seconds; the others in turn.

use super::cells::{Amount, Bytes, Cells, Kind, Shared};
use crate::attribution::{AnswerBook, Attributor, Called, FlowId, Ledger, Role, SoFar, Standing};
use crate::books::{Books, Evidence};
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

/// Other flows that are looked at in one second.
const LOOKS: usize = 1_000;

/// Nothing is booked here; what clients call themselves is heard.
#[derive(Debug, Default)]
struct Heard(Vec<(Endpoint, Called)>);

impl Ledger for Heard {
    fn called(&mut self, _: usize, called: &Called) {
        self.0.push((Endpoint { address: called.address, mac: called.mac }, called.clone()));
    }
}
/// From when on bytes are of today, and of the period. Instants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// The last local midnight.
    pub today: UnixNanos,
    /// The beginning of the period.
    pub period: UnixNanos,
}

/// A flow whose verdict can change.
#[derive(Debug, Clone, Copy)]
struct Moving {
    cell: u32,
    amount: Amount,
    /// Its bytes of today are among those that can change.
    open: bool,
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
    /// Latest interval seen.
    pub clock: Option<UnixNanos>,
    /// What is beside.
    pub beside: Beside,
}

impl Live {
    /// Begins with what is known of addresses.
    pub fn new(answers: AnswerBook, since: Since) -> Self {
        Self {
            attributor: Attributor::new(answers, Heard::default()),
            cells: Cells::default(),
            flows: HashMap::default(),
            young: VecDeque::new(),
            turn: VecDeque::new(),
            since,
            interfaces: BTreeMap::new(),
            clock: None,
            beside: Beside::default(),
        }
    }

    /// Adds what the store holds: its sums of the period, but for those of `followed` sources.
    pub fn add_books(&mut self, books: &Books, followed: &HashSet<Vec<u8>>) {
        for (_, address, mac) in &books.device_ends {
            self.cells.endpoints.index_of(&Endpoint { address: *address, mac: *mac });
        }
        // Rows know their devices; any address of one stands for it.
        let mut end_of: HashMap<u32, Endpoint, RandomState> = HashMap::default();
        for (device, address, mac) in &books.device_ends {
            let end = *end_of.entry(*device).or_insert(Endpoint { address: *address, mac: *mac });
            if let Some(name) = books.device_names.get(*device as usize).cloned().flatten() {
                self.cells.call(end, NameKind::Dhcp, name, UnixNanos(0));
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
    }

    /// Which part of `bytes` at that time is of today, and of the period.
    fn part(&self, at: UnixNanos, bytes: Bytes) -> Amount {
        let since = |since: UnixNanos| if at >= since { bytes } else { Bytes::default() };
        Amount { today: since(self.since.today), period: since(self.since.period) }
    }

    /// A source begins.
    pub fn begin(&mut self, source: usize, header: &SegmentHeader) {
        self.interfaces.insert(source, header.interface.clone());
        self.attributor.add_source(source, header, Role::Book, Vec::new());
    }

    /// What follows is of `source`, in the interval that starts at `ts`.
    pub fn turn_to(&mut self, source: usize, ts: UnixNanos) {
        self.clock = self.clock.max(Some(ts));
        self.attributor.turn_to(source, ts);
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
        self.look_in_turn(LOOKS);
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
            // It is over.
            self.cells.close(moving.cell, if moving.open { moving.amount.today.sum() } else { 0 });
            self.flows.remove(&id);
            return Standing::Fixed;
        };
        self.put(&mut moving, cell, open);
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
        let client = Endpoint { address: flow.client, mac: flow.client_mac };
        let share = if verdict.candidates.is_empty() { Shared::No } else { Shared::Yes };
        let kind = Kind { evidence: verdict.evidence, traffic: verdict.traffic, share };
        let cell = self.cells.at(&verdict.host, client, kind);
        let inside = matches!(verdict.evidence, Evidence::Sni | Evidence::Quic | Evidence::Http);
        Some((cell, standing, standing == Standing::Open && !inside))
    }

    /// Days and periods go on.
    pub fn set_since(&mut self, since: Since) {
        if since.today != self.since.today {
            self.cells.begin_day();
            self.beside = Beside::default();
            self.flows.values_mut().for_each(|moving| moving.amount.today = Bytes::default());
        }
        if since.period != self.since.period {
            self.cells.begin_period();
            self.flows.values_mut().for_each(|moving| moving.amount.period = Bytes::default());
        }
        self.since = since;
    }

    fn moved(&mut self, id: FlowId, interval: UnixNanos, bytes: Bytes) {
        let Some((cell, standing, open)) = self.cell_of(id) else { return };
        let amount = self.part(interval, bytes);
        self.cells.passed(interval.0.div_euclid(NANOS_PER_SECOND), cell, bytes);
        self.cells.add(cell, amount);
        if open {
            self.cells.open(cell, amount.today.sum());
        }
        if standing == Standing::Fixed && !self.flows.contains_key(&id) {
            return;
        }
        match self.flows.get(&id).copied() {
            Some(mut moving) => {
                // What moved before goes along with a verdict that has changed.
                self.put(&mut moving, cell, open);
                moving.amount.today.add(amount.today);
                moving.amount.period.add(amount.period);
                self.flows.insert(id, moving);
            }
            None => {
                self.flows.insert(id, Moving { cell, amount, open });
                self.young.push_back((interval, id));
            }
        }
    }
}

impl Observer for Live {
    type Error = Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.attributor.name(flow, seen)?;
        for (endpoint, Called { kind, name, ts, .. }) in self.attributor.ledger.0.drain(..) {
            self.cells.call(endpoint, kind, name, ts);
        }
        Ok(())
    }

    fn interface(&mut self, number: u32, interface: &Interface) -> Result<(), Infallible> {
        self.attributor.interface(number, interface)
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.attributor.usage(flow, interval, usage)?;
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
