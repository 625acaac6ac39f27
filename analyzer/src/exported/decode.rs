//! Messages of exporters → records.

use super::clock::Clock;
use super::datagram::{Datagram, version};
use super::element::Element;
use super::fields::Fields;
use super::record::{Record, Refused, rate};
use super::sequence::{Sequence, Told};
use super::shape::{Said, holds_templates, templates};
use super::templates::{Set, Templates};
use imon_common::observe::ExportFault;
use imon_common::time::UnixNanos;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;

/// Exporters that are followed at a time; of more the one that was silent longest is forgotten.
/// Addresses and domains can be made up: each costs at most what may wait and its templates.
const MAX_EXPORTERS: usize = 128;

/// Bytes of the header of v9 (RFC 3954 section 5.1).
const V9_HEADER_BYTES: usize = 20;

/// Bytes of the header of IPFIX (RFC 7011 section 3.1).
const IPFIX_HEADER_BYTES: usize = 16;

/// Bytes of the header of v5, and of each of its records.
const V5_BYTES: (usize, usize) = (24, 48);

/// The elements that fields of a record of v5 are, by their places.
const V5_FIELDS: [(u16, Range<usize>); 10] = [
    (8, 0..4),
    (12, 4..8),
    (2, 16..20),
    (1, 20..24),
    (22, 24..28),
    (21, 28..32),
    (7, 32..34),
    (11, 34..36),
    (6, 37..38),
    (4, 38..39),
];

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

impl Message {
    /// Counts a fault.
    fn fault(&mut self, (fault, cases, bytes): (ExportFault, u64, u64)) {
        match self.faults.iter_mut().find(|(known, ..)| *known == fault) {
            Some((_, all, sum)) => (*all, *sum) = (all.saturating_add(cases), sum.saturating_add(bytes)),
            None => self.faults.push((fault, cases, bytes)),
        }
    }
}

/// What is known of an exporter.
#[derive(Debug, Default)]
struct State {
    templates: Templates,
    /// When it sent its last message, by how many there were of all.
    turn: u64,
    sequence: Sequence,
    started_ms: Option<u64>,
    /// Records in the message before.
    records: u32,
    /// Numbers of its messages of v9 count records, as some exporters do, and not messages.
    counts_records: bool,
}

/// Reads messages of all exporters.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    states: HashMap<Exporter, State>,
    fields: Fields,
    /// Messages that were read.
    turn: u64,
    /// Sets without a template of exporters that are forgotten.
    missing: u64,
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
    /// Reads a datagram that was captured at `seen`; `None` if it is a copy of one that was read.
    pub(super) fn read(&mut self, datagram: &Datagram<'_>, seen: UnixNanos) -> Option<(Exporter, Message)> {
        let Header { exporter, sequence, mut clock } = Header::of(datagram, seen)?;
        let mut message = Message::default();
        if !self.states.contains_key(&exporter) && self.states.len() >= MAX_EXPORTERS {
            self.forget_one();
            message.fault((ExportFault::Forgotten, 1, 0));
        }
        let state = self.states.entry(exporter).or_default();
        self.turn += 1;
        state.turn = self.turn;
        if state.sequence.is_copy(datagram.message) {
            return None;
        }
        let told = state.sequence.told(sequence, clock.uptime_ms);
        let since = state.sequence.since(sequence);
        match told {
            Told::Restarted => {
                message.fault((ExportFault::Restarted, 1, 0));
                state.started_ms = None;
                state.templates.restart();
            }
            Told::Follows | Told::Late => {}
        }
        clock.started_ms = state.started_ms;
        let mut pass =
            Pass { fields: &mut self.fields, clock, message: &mut message, counted: Some(0), unread_bytes: 0 };
        match exporter.version {
            5 => pass.v5(datagram.message),
            version => pass.sets(version, datagram.message, &mut state.templates),
        }
        let Pass { clock, counted, unread_bytes, .. } = pass;
        state.started_ms = clock.started_ms;
        if unread_bytes > 0 {
            message.fault((ExportFault::Malformed, 1, unread_bytes));
        }
        let before = std::mem::replace(&mut state.records, counted.unwrap_or(0));
        if exporter.version == 9 && !state.counts_records && before > 1 && since == Some(before) {
            // What was taken for the number of a message is one of records.
            state.counts_records = true;
            state.sequence.recount(before);
        }
        let by_message = exporter.version == 9 && !state.counts_records;
        let passed = if by_message { Some(1) } else { counted.filter(|_| unread_bytes == 0) };
        let lost = state.sequence.passed(sequence, passed, told);
        if lost > 0 {
            message.fault((ExportFault::Lost, lost.into(), 0));
        }
        Some((exporter, message))
    }

    /// Forgets the exporter that was silent longest.
    fn forget_one(&mut self) {
        let oldest = self.states.iter().min_by_key(|(_, state)| state.turn).map(|(exporter, _)| *exporter);
        if let Some(mut state) = oldest.and_then(|exporter| self.states.remove(&exporter)) {
            self.missing += state.templates.newly_missing();
        }
    }

    /// Data sets whose template has not come, since the last time this was asked.
    pub(super) fn without_template(&mut self) -> u64 {
        let of_others = std::mem::take(&mut self.missing);
        self.states.values_mut().fold(of_others, |sum, state| sum + state.templates.newly_missing())
    }
}

/// The way through one message.
struct Pass<'a> {
    fields: &'a mut Fields,
    clock: Clock,
    message: &'a mut Message,
    /// How many records it counts for its sequence, if that can be told: not where sets wait for a
    /// template.
    counted: Option<u32>,
    /// Bytes of it that could not be read.
    unread_bytes: u64,
}

impl Pass<'_> {
    fn v5(&mut self, message: &[u8]) {
        // The upper two bits are the mode, which exporters that sample leave at 0 as well.
        let sampling = message.get(22..24).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_be_bytes(*bytes));
        let rate = u64::from(sampling & 0x3fff);
        let (header, len) = V5_BYTES;
        let count = message.get(3).copied().unwrap_or(0);
        for record in message.get(header..).unwrap_or_default().chunks_exact(len).take(count.into()) {
            self.fields.clear();
            for (number, place) in V5_FIELDS {
                self.fields.add(Element::Forward(number), record.get(place).unwrap_or_default());
            }
            self.fields.add_number(34, rate.max(1));
            self.record();
        }
        self.counted = Some(count.into());
    }

    /// Reads the sets of a message of v9 or IPFIX: each by itself, so that what cannot be read is
    /// all that is lost.
    fn sets(&mut self, version: u16, message: &[u8], templates_of: &mut Templates) {
        let Parts { sets, behind } = parts(version, message);
        // Some exporters pad messages.
        behind.iter().filter(|bytes| bytes.iter().any(|byte| *byte != 0)).for_each(|bytes| self.unread(bytes));
        let mut data: Vec<Set<'_>> = Vec::new();
        for (id, body) in sets {
            if let Some(is_options) = holds_templates(version, id) {
                for said in templates(version, is_options, body) {
                    if said == Said::Refused {
                        self.unread(body);
                    }
                    data.extend(templates_of.take(said));
                }
                continue;
            }
            let before = data.len();
            data.extend(templates_of.data((id, body), self.clock));
            self.counted = self.counted.filter(|_| data.len() > before);
        }
        // What options say counts for all of the message, wherever they stand in it.
        for is_options in [true, false] {
            data.iter().filter(|set| set.shape.is_options == is_options).for_each(|set| self.set(set));
        }
    }

    fn set(&mut self, set: &Set<'_>) {
        let own = self.clock;
        let started_ms = set.clock.started_ms.or(own.started_ms);
        self.clock = Clock { started_ms, ..set.clock };
        let (mut rest, mut records) = (&*set.body, 0u32);
        while let Some(behind) = set.shape.read(rest, self.fields) {
            (rest, records) = (behind, records + 1);
            if set.shape.is_options {
                self.options();
            } else {
                self.record();
            }
        }
        if records == 0 || !set.shape.is_padding(rest) {
            self.unread(rest);
        }
        if !set.has_waited {
            self.counted = self.counted.map(|sum| sum.saturating_add(records));
        }
        self.clock = Clock { started_ms: self.clock.started_ms, ..own };
    }

    fn unread(&mut self, bytes: &[u8]) {
        self.unread_bytes = self.unread_bytes.saturating_add(bytes.len() as u64);
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
                    self.message.fault((ExportFault::Corrected, 1, bytes));
                }
                self.message.records.push(record);
            }
            Err(Refused::NoFlow) => self.message.fault((ExportFault::NoFlow, 1, 0)),
            Err(Refused::Impossible(bytes)) => self.message.fault((ExportFault::Impossible, 1, bytes)),
        }
    }
}

/// A message of v9 or IPFIX, taken apart.
struct Parts<'m> {
    /// Its sets, each with its number.
    sets: Vec<(u16, &'m [u8])>,
    /// What is left behind the last whose length can be, and behind the message: one of IPFIX says
    /// where it ends.
    behind: [&'m [u8]; 2],
}

fn parts(version: u16, message: &[u8]) -> Parts<'_> {
    let said = message.get(2..4).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_be_bytes(*bytes));
    let (header, end) = match version {
        9 => (V9_HEADER_BYTES, message.len()),
        _ => (IPFIX_HEADER_BYTES, message.len().min(said.into())),
    };
    let (message, behind_it) = message.split_at(end);
    let mut rest = message.get(header..).unwrap_or_default();
    let mut sets = Vec::new();
    while let Some(([id_high, id_low, high, low], behind)) = rest.split_first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).checked_sub(4);
        let Some((body, next)) = len.and_then(|len| behind.split_at_checked(len)) else { break };
        sets.push((u16::from_be_bytes([*id_high, *id_low]), body));
        rest = next;
    }
    Parts { sets, behind: [rest, behind_it] }
}
