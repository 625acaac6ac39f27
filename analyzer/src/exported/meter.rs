//! The meter of exports: datagrams in, observations out.
//!
//! Records come when a flow is over, or a piece of it, and what they need may come later still:
//! templates and rates of sampling every 10 to 15 minutes. So nothing is written before the capture
//! ends, or more waits than memory is given.

use super::EXPORTED;
use super::ExportOptions;
use super::datagram::{Held, Spotted, held};
use super::decode::{Decoder, Exporter, Message};
use super::flows::{Flows, MAX_FLOWS, Move, Way};
use super::names::Names;
use super::record::Record;
use super::spread::spread;
use imon_common::flow::Flow;
use imon_common::local::LocalNets;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Counter, ExportFault, Observer, Usage};
use imon_common::packet::{CapturedPacket, Interface};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// Sums of a flow in a second that wait to be written: some 60 MiB. A home's router reports 100,000
/// a day.
const MAX_CELLS: usize = 1 << 19;

/// Exporters, and pairs of one and its rate, that are told apart.
const MAX_TOLD_APART: usize = 4_000;

/// How long before the first flow answers count: caches of devices keep them as long.
const ANSWERS_BEFORE_NS: i64 = 24 * 3_600 * NANOS_PER_SECOND;

/// How long after the last: an answer may come late, or by another clock.
const ANSWERS_BEHIND_NS: i64 = 60 * NANOS_PER_SECOND;

/// Faults are counted by the minute.
const FAULTS_NS: i64 = 60 * NANOS_PER_SECOND;

/// A sum: second, number of the flow, place among the samplers.
type CellKey = (UnixNanos, u64, u32);

/// One who samples, at one rate.
#[derive(Debug, Clone, Copy)]
struct Sampler {
    exporter: u32,
    id: Option<u64>,
    /// `None` as long as nobody has told it.
    rate: Option<u64>,
}

/// Turns messages of exporters into observations.
#[derive(Debug)]
pub struct ExportMeter {
    ports: Vec<u16>,
    local: LocalNets,
    names: Arc<Names>,
    decoder: Decoder,
    flows: Flows,
    cells: BTreeMap<CellKey, Usage>,
    /// What is not usage, by the minute.
    counts: BTreeMap<(UnixNanos, Counter), (u64, u64)>,
    samplers: Vec<Sampler>,
    /// The sampler that records of an exporter have now; by rate where records state it.
    current: HashMap<(u32, Option<u64>), u32>,
    by_rate: HashMap<(u32, u64), u32>,
    exporters: HashMap<(IpAddr, u32), u32>,
    exporter_names: Vec<String>,
    /// Numbers of interfaces, by exporter and rate; what they are called; and those that were told.
    interfaces: HashMap<(u32, u64), u32>,
    interface_names: Vec<String>,
    told: HashSet<u32>,
    /// Until where was written: what comes later for a time before goes there.
    written_to: Option<UnixNanos>,
    /// The next answer to write; `None` before the first flow.
    next_answer: Option<usize>,
    /// Until when answers are of use.
    answers_to: UnixNanos,
    last: Option<UnixNanos>,
    /// Messages that were read.
    messages: u64,
}

impl ExportMeter {
    /// A meter that has seen nothing.
    pub fn new(options: &ExportOptions, local: &LocalNets) -> Self {
        Self {
            ports: options.ports.clone(),
            local: local.clone(),
            names: Arc::clone(&options.names),
            decoder: Decoder::default(),
            flows: Flows::default(),
            cells: BTreeMap::new(),
            counts: BTreeMap::new(),
            samplers: Vec::new(),
            current: HashMap::new(),
            by_rate: HashMap::new(),
            exporters: HashMap::new(),
            exporter_names: Vec::new(),
            interfaces: HashMap::new(),
            interface_names: Vec::new(),
            told: HashSet::new(),
            written_to: None,
            next_answer: None,
            answers_to: UnixNanos(i64::MIN),
            last: None,
            messages: 0,
        }
    }

    /// What its user should hear of what was read so far.
    pub fn spotted(&self) -> Option<Spotted> {
        (self.messages == 0).then_some(Spotted::Nothing)
    }

    /// Takes a packet of the capture. Observations go to `to` only where too much waits.
    ///
    /// # Errors
    /// What `to` gives.
    pub fn packet<O: Observer>(&mut self, packet: &CapturedPacket<'_>, to: &mut O) -> Result<(), O::Error> {
        let len = packet.orig_len.into();
        match held(packet, &self.ports) {
            Held::Other => self.fault(packet.ts, (ExportFault::NoExport, 1, len)),
            Held::Bad => self.fault(packet.ts, (ExportFault::Malformed, 1, len)),
            Held::Export(datagram) if !datagram.is_whole => self.fault(packet.ts, (ExportFault::Malformed, 1, len)),
            Held::Export(datagram) => match self.decoder.read(&datagram, packet.ts) {
                Some((exporter, message)) => {
                    self.messages += 1;
                    self.message(exporter, &message, packet.ts);
                }
                None => self.fault(packet.ts, (ExportFault::Copied, 1, len)),
            },
        }
        self.last = self.last.max(Some(packet.ts));
        if self.cells.len() > MAX_CELLS || self.flows.len() > MAX_FLOWS {
            let keep = if self.flows.len() > MAX_FLOWS { 0 } else { MAX_CELLS / 4 * 3 };
            while self.cells.len() > keep && self.write_next(to)? {}
            if keep == 0 {
                self.flows.forget_before(packet.ts);
            }
        }
        Ok(())
    }

    /// Writes what comes next in the order of time; `false` if nothing is left.
    ///
    /// # Errors
    /// What `to` gives.
    pub fn write_next<O: Observer>(&mut self, to: &mut O) -> Result<bool, O::Error> {
        let cell = self.cells.first_key_value().map(|((at, ..), _)| *at);
        let count = self.counts.first_key_value().map(|((at, _), _)| *at);
        if let Some(first) = cell
            && self.next_answer.is_none()
        {
            let from = UnixNanos(first.0.saturating_sub(ANSWERS_BEFORE_NS));
            self.next_answer = Some(self.names.answers_from(from));
        }
        let next = [cell, count].into_iter().flatten().min();
        let answer = self.next_answer.and_then(|place| self.names.answer(place)).cloned();
        if let Some((flow, seen)) = answer
            && seen.ts <= self.answers_to
            && next.is_none_or(|next| seen.ts.floor_to(NANOS_PER_SECOND) <= next)
        {
            self.next_answer = self.next_answer.map(|place| place + 1);
            // Of a flow of its own, without bytes.
            let flow = Flow { number: self.flows.number(), interface: 0, vlan: None, ..flow };
            to.name(&flow, &seen)?;
            return Ok(true);
        }
        let Some(at) = next else { return Ok(false) };
        if cell == Some(at) {
            self.write_usage(at, to)?;
        }
        while let Some(((_, counter), (packets, bytes))) =
            self.counts.first_entry().filter(|entry| entry.key().0 <= at).map(|entry| entry.remove_entry())
        {
            to.counts(at, &[Count { counter, packets, bytes }])?;
        }
        self.written_to = self.written_to.max(Some(at));
        Ok(true)
    }

    /// The capture is over: says what never got a template. To be called before the last
    /// [`Self::write_next`].
    pub fn end(&mut self) {
        let missing = self.decoder.without_template();
        if let Some(last) = self.last
            && missing > 0
        {
            self.fault(last, (ExportFault::NoTemplate, missing, 0));
        }
    }

    /// Everything was written: another capture may go on.
    pub fn written(&mut self) {
        self.written_to = None;
        self.told.clear();
        if let Some(last) = self.last {
            self.flows.forget_before(last);
        }
    }

    /// Time of the latest packet.
    pub fn now(&self) -> Option<UnixNanos> {
        self.last
    }

    fn fault(&mut self, ts: UnixNanos, (fault, cases, bytes): (ExportFault, u64, u64)) {
        self.count(ts.floor_to(FAULTS_NS), Counter::Export(fault), (cases, bytes));
    }

    fn count(&mut self, at: UnixNanos, counter: Counter, (packets, bytes): (u64, u64)) {
        let at = self.written_to.map_or(at, |to| at.max(to));
        let sums = self.counts.entry((at, counter)).or_default();
        *sums = (sums.0.saturating_add(packets), sums.1.saturating_add(bytes));
    }

    fn message(&mut self, from: Exporter, message: &Message, ts: UnixNanos) {
        let exporter = self.exporter(&from);
        for fault in &message.faults {
            self.fault(ts, *fault);
        }
        for (id, rate) in &message.rates {
            self.learn_rate(exporter, *id, *rate);
        }
        for record in &message.records {
            self.record(exporter, record);
        }
    }

    /// The number of an exporter: by address and domain, as its port may change with a restart.
    fn exporter(&mut self, from: &Exporter) -> u32 {
        let key = (from.from.ip(), from.domain);
        if let Some(number) = self.exporters.get(&key) {
            return *number;
        }
        let number = u32::try_from(self.exporter_names.len()).unwrap_or(u32::MAX);
        if self.exporter_names.len() >= MAX_TOLD_APART {
            return 0;
        }
        let name = match (from.from.ip(), from.domain) {
            (address, 0) if address.is_unspecified() => "file".to_owned(),
            (address, domain) if address.is_unspecified() => format!("domain {domain}"),
            (address, 0) => address.to_string(),
            (address, domain) => format!("{address} domain {domain}"),
        };
        self.exporter_names.push(name);
        self.exporters.insert(key, number);
        number
    }

    fn learn_rate(&mut self, exporter: u32, id: Option<u64>, rate: u64) {
        let known = self.current.get(&(exporter, id)).copied();
        match known.and_then(|place| self.samplers.get_mut(place as usize)) {
            Some(sampler) if sampler.rate.is_none() => sampler.rate = Some(rate),
            Some(sampler) if sampler.rate == Some(rate) => {}
            // What was sampled before it changed keeps its rate.
            _ => {
                if let Some(place) = self.add_sampler(Sampler { exporter, id, rate: Some(rate) }) {
                    self.current.insert((exporter, id), place);
                }
            }
        }
    }

    fn add_sampler(&mut self, sampler: Sampler) -> Option<u32> {
        let place = u32::try_from(self.samplers.len()).ok().filter(|_| self.samplers.len() < MAX_TOLD_APART)?;
        self.samplers.push(sampler);
        Some(place)
    }

    /// The place of the sampler of a record; `u32::MAX` where too many are told apart.
    fn sampler(&mut self, exporter: u32, record: &Record) -> u32 {
        if let Some(rate) = record.rate {
            if let Some(place) = self.by_rate.get(&(exporter, rate)) {
                return *place;
            }
            let place = self.add_sampler(Sampler { exporter, id: None, rate: Some(rate) });
            place.map(|place| self.by_rate.insert((exporter, rate), place));
            return place.unwrap_or(u32::MAX);
        }
        let key = (exporter, record.sampler);
        if let Some(place) = self.current.get(&key) {
            return *place;
        }
        let place = self.add_sampler(Sampler { exporter, id: record.sampler, rate: None });
        place.map(|place| self.current.insert(key, place));
        place.unwrap_or(u32::MAX)
    }

    /// The rate of a sampler as far as it is known now: its own, else that which the exporter tells
    /// for all, else the only one that it tells. 1 where it tells none.
    fn rate(&self, place: u32) -> u64 {
        let Some(sampler) = self.samplers.get(place as usize) else { return 1 };
        let known = |id| {
            let place = self.current.get(&(sampler.exporter, id))?;
            self.samplers.get(*place as usize)?.rate
        };
        let only = || {
            // Number 0 is of packets that no sampler chose.
            let of_exporter = |other: &&Sampler| other.exporter == sampler.exporter && sampler.id != Some(0);
            let mut rates = self.samplers.iter().filter(of_exporter).filter_map(|other| other.rate);
            let first = rates.next()?;
            rates.all(|rate| rate == first).then_some(first)
        };
        sampler.rate.or_else(|| known(None)).or_else(only).unwrap_or(1)
    }

    fn record(&mut self, exporter: u32, record: &Record) {
        let sampler = self.sampler(exporter, record);
        let claim = (exporter, record.egress);
        let names = Arc::clone(&self.names);
        for Move { flow, way, amount, is_copy } in self.flows.take(record, claim, &self.local, &names) {
            if is_copy {
                self.count(record.end.floor_to(FAULTS_NS), Counter::Copy, (amount.packets, amount.bytes));
                continue;
            }
            if amount.bytes == 0 && amount.packets == 0 {
                continue;
            }
            let mut is_late = false;
            for (at, [bytes, packets]) in spread([amount.bytes, amount.packets], (record.start, record.end)) {
                let mut at = at.floor_to(NANOS_PER_SECOND);
                if let Some(written) = self.written_to.filter(|written| at < *written) {
                    (at, is_late) = (written, true);
                }
                let usage = match way {
                    Way::Up => Usage { up_packets: packets, up_bytes: bytes, ..Usage::default() },
                    Way::Down => Usage { down_packets: packets, down_bytes: bytes, ..Usage::default() },
                };
                self.cells.entry((at, flow, sampler)).or_default().add(usage);
                let answers_to = UnixNanos(at.0.saturating_add(ANSWERS_BEHIND_NS));
                self.answers_to = self.answers_to.max(answers_to);
            }
            if is_late {
                self.fault(record.end, (ExportFault::Late, 1, amount.bytes));
            }
        }
    }

    fn write_usage<O: Observer>(&mut self, at: UnixNanos, to: &mut O) -> Result<(), O::Error> {
        while let Some(((_, number, place), usage)) =
            self.cells.first_entry().filter(|entry| entry.key().0 == at).map(|entry| entry.remove_entry())
        {
            let rate = self.rate(place);
            let exporter = self.samplers.get(place as usize).map_or(0, |sampler| sampler.exporter);
            let interface = self.interface(exporter, rate);
            let Some(flowing) = self.flows.get_mut(number) else { continue };
            if !flowing.is_written {
                (flowing.is_written, flowing.flow.interface) = (true, interface);
            }
            let interface = flowing.flow.interface;
            if self.told.insert(interface) {
                let name = self.interface_names.get(interface as usize).cloned().unwrap_or_default();
                to.interface(interface, &Interface { name, link_type: EXPORTED })?;
            }
            if let Some(seen) = flowing.name.take() {
                to.name(&flowing.flow, &NameSeen { ts: flowing.flow.start.max(at), ..seen })?;
            }
            let usage = Usage {
                up_packets: usage.up_packets.saturating_mul(rate),
                down_packets: usage.down_packets.saturating_mul(rate),
                up_bytes: usage.up_bytes.saturating_mul(rate),
                down_bytes: usage.down_bytes.saturating_mul(rate),
            };
            to.usage(&flowing.flow, at, usage)?;
            let counter = Counter::Exported(u32::try_from(rate).unwrap_or(u32::MAX));
            let sums = self.counts.entry((at, counter)).or_default();
            *sums = (sums.0.saturating_add(usage.packets()), sums.1.saturating_add(usage.bytes()));
        }
        Ok(())
    }

    /// The number of the interface that flows of an exporter at a rate are said to be on.
    fn interface(&mut self, exporter: u32, rate: u64) -> u32 {
        if let Some(number) = self.interfaces.get(&(exporter, rate)) {
            return *number;
        }
        let number = u32::try_from(self.interfaces.len()).unwrap_or(u32::MAX);
        if self.interfaces.len() >= MAX_TOLD_APART {
            return 0;
        }
        let exporter_name = self.exporter_names.get(exporter as usize).map_or("", String::as_str);
        self.interface_names.push(match rate {
            1 => format!("{exporter_name} exported"),
            rate => format!("{exporter_name} exported, sampled 1:{rate}"),
        });
        self.interfaces.insert((exporter, rate), number);
        number
    }
}
