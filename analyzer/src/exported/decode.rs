//! Messages of exporters → records. `netflow_parser` reads the bytes; bounds are ours.

use super::clock::Clock;
use super::datagram::{Datagram, version};
use super::element::Elements;
use super::fields::Fields;
use super::record::{Record, Refused, rate};
use super::sequence::{Sequence, Told};
use imon_common::observe::ExportFault;
use imon_common::time::UnixNanos;
use netflow_parser::static_versions::v5;
use netflow_parser::variable_versions::ipfix::{self, IPFix};
use netflow_parser::variable_versions::v9::{self, V9};
use netflow_parser::{NetflowPacket, NetflowParser, PendingFlowsConfig, RouterScopedParser};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Exporters that are followed at a time; of more the one that was silent longest is forgotten.
/// Addresses and domains can be made up: each costs at most [`PENDING_BYTES`] and its templates.
const MAX_EXPORTERS: usize = 128;

/// Templates of an exporter. Routers have a dozen.
const MAX_TEMPLATES: usize = 128;

/// Fields of a template; the largest that routers send have some 60.
const MAX_FIELDS: usize = 128;

/// Data of an exporter that waits for its template: 15 minutes of a datagram a second, or an hour
/// of a home's router.
const PENDING_BYTES: usize = 2 << 20;

/// Data sets that wait for one template; [`PENDING_BYTES`] is the bound that matters.
const PENDING_SETS: usize = 8_192;

/// Values in one message: a message of 65,535 bytes may hold fields of one byte, and a template may
/// be given for data of many messages that waited for it.
const MAX_VALUES: usize = 1 << 20;

/// Bytes of error messages that are kept: none is shown.
const ERROR_SAMPLE_BYTES: usize = 16;

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Exporter {
    /// The sender: address and port.
    pub(super) from: SocketAddr,
    /// Observation domain of IPFIX, source id of v9, engine of v5.
    pub(super) domain: u32,
    version: u16,
}

/// What a message held.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) records: Vec<Record>,
    /// Rates that options tell, by sampler where they name one.
    pub(super) rates: Vec<(Option<u64>, u64)>,
    /// What was wrong: number of cases, and bytes as the fault defines them.
    pub(super) faults: Vec<(ExportFault, u64, u64)>,
}

/// What is known of an exporter beside its templates.
#[derive(Debug, Default)]
struct State {
    sequence: Sequence,
    started_ms: Option<u64>,
    /// Records in the message before.
    records: u32,
    /// Numbers of its messages of v9 count records, as some exporters do, and not messages.
    counts_records: bool,
    /// Data sets without a template that were told.
    told_missing: u64,
}

/// Reads messages of all exporters.
#[derive(Debug)]
pub(super) struct Decoder {
    parsers: RouterScopedParser<Exporter>,
    states: HashMap<Exporter, State>,
    elements: Elements,
    fields: Fields,
}

/// The fixed part of a message.
struct Header {
    exporter: Exporter,
    sequence: u32,
    clock: Clock,
}

impl Header {
    fn of(datagram: &Datagram<'_>, seen: UnixNanos) -> Option<Self> {
        let message = datagram.message;
        let word = |at: usize| {
            let bytes = message.get(at..)?.first_chunk::<4>()?;
            Some(u32::from_be_bytes(*bytes))
        };
        let version = version(message)?;
        let (domain, sequence, uptime_ms, sent) = match version {
            5 => (u32::from(*message.get(21)?), word(16)?, Some(word(4)?), (word(8)?, word(12)?)),
            9 => (word(16)?, word(12)?, Some(word(4)?), (word(8)?, 0)),
            _ => (word(12)?, word(8)?, None, (word(4)?, 0)),
        };
        let clock =
            Clock { seen, sent: UnixNanos::from_parts(sent.0.into(), sent.1.into()), uptime_ms, started_ms: None };
        Some(Self { exporter: Exporter { from: datagram.from, domain, version }, sequence, clock })
    }
}

impl Decoder {
    pub(super) fn new() -> Self {
        let mut pending = PendingFlowsConfig::new(MAX_TEMPLATES);
        pending.max_entries_per_template = PENDING_SETS;
        pending.max_total_bytes = PENDING_BYTES;
        let builder = NetflowParser::builder()
            .with_allowed_versions(&[5, 9, 10])
            .with_cache_size(MAX_TEMPLATES)
            .with_max_field_count(MAX_FIELDS)
            .with_max_error_sample_size(ERROR_SAMPLE_BYTES)
            .with_max_decoded_field_values_per_message(MAX_VALUES)
            .with_pending_flows(pending);
        let parsers = RouterScopedParser::try_with_builder(builder).and_then(|p| p.with_max_sources(MAX_EXPORTERS));
        Self {
            // The bounds are constants that the decoder takes: a test reads a message with them.
            parsers: parsers.unwrap_or_default(),
            states: HashMap::new(),
            elements: Elements::new(),
            fields: Fields::default(),
        }
    }

    /// Reads a datagram that was captured at `seen`; `None` if it is a copy of one that was read.
    pub(super) fn read(&mut self, datagram: &Datagram<'_>, seen: UnixNanos) -> Option<(Exporter, Message)> {
        let mut message = Message::default();
        let Header { exporter, sequence, mut clock } = Header::of(datagram, seen)?;
        let state = self.states.entry(exporter).or_default();
        if state.sequence.is_copy(datagram.message) {
            return None;
        }
        let told = state.sequence.told(sequence, clock.uptime_ms);
        let since = state.sequence.since(sequence);
        match told {
            Told::Restarted => {
                // Templates of the time before may have other fields (RFC 3954 section 9).
                message.faults.push((ExportFault::Restarted, 1, 0));
                state.started_ms = None;
                self.parsers.clear_source_templates(&exporter);
            }
            Told::Follows | Told::Late => {}
        }
        clock.started_ms = state.started_ms;
        let mut forgotten = Vec::new();
        let read = self.parsers.parse_from_source_with_reporter(exporter, datagram.message, &mut |removal| {
            forgotten.push(removal.source);
            Ok(())
        });
        for source in forgotten {
            self.states.remove(&source);
            message.faults.push((ExportFault::Forgotten, 1, 0));
        }
        let mut pass = Pass { elements: &self.elements, fields: &mut self.fields, clock, message: &mut message };
        let mut counted = Some(0u32);
        for packet in &read.packets {
            let of_packet = pass.packet(packet);
            counted = counted.zip(of_packet).map(|(sum, records)| sum.saturating_add(records));
        }
        // Sets that wait for a template are missing among those that were read, and ones that have
        // waited are too many.
        let sets: usize = read.packets.iter().map(sets_read).sum();
        counted = counted.filter(|_| sets == sets_in(datagram.message));
        let started_ms = pass.clock.started_ms;
        if read.error.is_some() {
            message.faults.push((ExportFault::Malformed, 1, datagram.message.len() as u64));
        }
        if let Some(state) = self.states.get_mut(&exporter) {
            state.started_ms = started_ms;
            let before = std::mem::replace(&mut state.records, counted.unwrap_or(0));
            if exporter.version == 9 && !state.counts_records && before > 1 && since == Some(before) {
                // What was taken for the number of a message is one of records.
                state.counts_records = true;
                state.sequence.recount(before);
            }
            let by_message = exporter.version == 9 && !state.counts_records;
            let passed = if by_message { Some(1) } else { counted.filter(|_| read.error.is_none()) };
            let lost = state.sequence.passed(sequence, passed, told);
            if lost > 0 {
                message.faults.push((ExportFault::Lost, lost.into(), 0));
            }
        }
        Some((exporter, message))
    }

    /// Data sets whose template has not come, since the last time this was asked.
    pub(super) fn without_template(&mut self) -> u64 {
        let mut new = 0;
        for (exporter, state) in &mut self.states {
            let Some(info) = self.parsers.get_source_info(exporter) else { continue };
            let of = |info: &netflow_parser::CacheInfo| {
                info.pending_flow_count as u64 + info.metrics.pending_dropped + info.metrics.pending_replay_failed
            };
            let missing = of(&info.v9) + of(&info.ipfix);
            new += missing.saturating_sub(state.told_missing);
            state.told_missing = missing;
        }
        new
    }
}

/// The way through one message.
struct Pass<'a> {
    elements: &'a Elements,
    fields: &'a mut Fields,
    clock: Clock,
    message: &'a mut Message,
}

impl Pass<'_> {
    /// Takes what a message holds; gives how many records it counts for its sequence, if that can
    /// be told: not where sets wait for a template, or come out of the wait.
    fn packet(&mut self, packet: &NetflowPacket) -> Option<u32> {
        match packet {
            NetflowPacket::V5(message) => {
                self.v5(message);
                Some(message.flowsets.len() as u32)
            }
            NetflowPacket::V9(message) => self.v9(message),
            NetflowPacket::IPFix(message) => self.ipfix(message),
            _ => None, // v7 is not asked for
        }
    }

    fn v5(&mut self, message: &v5::V5) {
        // The upper two bits are the mode, which exporters that sample leave at 0 as well.
        let rate = u64::from(message.header.sampling_interval & 0x3fff);
        for flow in &message.flowsets {
            self.fields.clear();
            self.fields.add_address(8, flow.src_addr.into());
            self.fields.add_address(12, flow.dst_addr.into());
            for (number, value) in [
                (1, flow.d_octets),
                (2, flow.d_pkts),
                (4, flow.protocol_number.into()),
                (6, flow.tcp_flags.into()),
                (7, flow.src_port.into()),
                (11, flow.dst_port.into()),
                (21, flow.last),
                (22, flow.first),
            ] {
                self.fields.add_number(number, value.into());
            }
            self.fields.add_number(34, rate.max(1));
            self.record();
        }
    }

    fn v9(&mut self, message: &V9) -> Option<u32> {
        let mut counted = Some(0u32);
        // What options say counts for all of the message, wherever they stand in it.
        for set in &message.flowsets {
            match &set.body {
                v9::FlowSetBody::OptionsData(data) => {
                    for options in &data.fields {
                        self.fields.clear();
                        for (field, value) in &options.options_fields {
                            if let Some(element) = self.elements.v9(field) {
                                self.fields.add(element, value);
                            }
                        }
                        self.options();
                    }
                    add(&mut counted, data.fields.len());
                }
                v9::FlowSetBody::Data(data) => add(&mut counted, data.fields.len()),
                v9::FlowSetBody::Empty => {}
                v9::FlowSetBody::NoTemplate(_) => counted = None,
                _ => {}
            }
        }
        for set in &message.flowsets {
            let v9::FlowSetBody::Data(data) = &set.body else { continue };
            for record in &data.fields {
                self.fields.clear();
                for (field, value) in record {
                    if let Some(element) = self.elements.v9(field) {
                        self.fields.add(element, value);
                    }
                }
                self.record();
            }
        }
        counted
    }

    fn ipfix(&mut self, message: &IPFix) -> Option<u32> {
        let mut counted = Some(0u32);
        for set in &message.flowsets {
            match &set.body {
                ipfix::FlowSetBody::OptionsData(data) => {
                    for options in &data.fields {
                        self.fill(options);
                        self.options();
                    }
                    add(&mut counted, data.fields.len());
                }
                ipfix::FlowSetBody::Data(data) => add(&mut counted, data.fields.len()),
                ipfix::FlowSetBody::Empty => {}
                ipfix::FlowSetBody::NoTemplate(_) => counted = None,
                _ => {}
            }
        }
        for set in &message.flowsets {
            let ipfix::FlowSetBody::Data(data) = &set.body else { continue };
            for record in &data.fields {
                self.fill(record);
                self.record();
            }
        }
        counted
    }

    fn fill(&mut self, record: &ipfix::IPFixFlowRecord) {
        self.fields.clear();
        for (field, value) in record {
            if let Some(element) = self.elements.ipfix(field) {
                self.fields.add(element, value);
            }
        }
    }

    /// Options: the rate of sampling, and when the exporter was started.
    fn options(&mut self) {
        if let Some(rate) = rate(self.fields) {
            self.message.rates.push((self.fields.number(302).or(self.fields.number(48)), rate));
        }
        if let Some(started) = self.fields.number(160) {
            self.clock.started_ms = Some(started);
        }
    }

    fn record(&mut self) {
        match Record::of(self.fields, &self.clock) {
            Ok((record, is_corrected)) => {
                if is_corrected {
                    let bytes = record.forward.bytes.saturating_add(record.reverse.bytes);
                    self.message.faults.push((ExportFault::Corrected, 1, bytes));
                }
                self.message.records.push(record);
            }
            Err(Refused::NoFlow) => self.message.faults.push((ExportFault::NoFlow, 1, 0)),
            Err(Refused::Impossible(bytes)) => self.message.faults.push((ExportFault::Impossible, 1, bytes)),
        }
    }
}

/// Sets that were read of a message.
fn sets_read(packet: &NetflowPacket) -> usize {
    match packet {
        NetflowPacket::V9(message) => message.flowsets.len(),
        NetflowPacket::IPFix(message) => message.flowsets.len(),
        _ => 0,
    }
}

/// Sets that a message of v9 or IPFIX has; none for v5.
fn sets_in(message: &[u8]) -> usize {
    let mut at = match version(message) {
        Some(9) => 20,
        Some(10) => 16,
        _ => return 0,
    };
    let mut sets = 0;
    while let Some([_, _, high, low]) = message.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        if len < 4 {
            break;
        }
        (at, sets) = (at + len, sets + 1);
    }
    sets
}

fn add(counted: &mut Option<u32>, records: usize) {
    *counted = counted.map(|sum| sum.saturating_add(u32::try_from(records).unwrap_or(u32::MAX)));
}
