//! Observations from an input, for the round trip through a segment.

use arbitrary::{Result, Unstructured};
use imon_common::flow::{Flow, FlowName, Opener, Scope};
use imon_common::names::{AnswerAddress, Name, NameKind, NameSeen, RecordKind};
use imon_common::observe::{Count, Counter, Observer, Usage};
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use std::convert::Infallible;
use std::net::IpAddr;

/// Largest amount that a reader takes for possible.
const MAX_AMOUNT: u64 = 1 << 48;
/// Times from here to there: their differences fit 64 bits.
const TIMES: std::ops::RangeInclusive<i64> = -(1 << 61)..=1 << 61;
/// Most observations of one input.
const MAX_RECORDS: usize = 2_000;

/// An observation.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Name(Flow, NameSeen),
    Usage(Flow, UnixNanos, Usage),
    Count(UnixNanos, Count),
    /// The writer is asked to commit.
    Commit,
}

/// Keeps what it is given.
#[derive(Debug, Default)]
pub struct Keep(pub Vec<Record>);

impl Observer for Keep {
    type Error = Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> std::result::Result<(), Infallible> {
        self.0.push(Record::Name(flow.clone(), seen.clone()));
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> std::result::Result<(), Infallible> {
        self.0.push(Record::Usage(flow.clone(), interval, usage));
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> std::result::Result<(), Infallible> {
        self.0.extend(counts.iter().map(|c| Record::Count(ts, *c)));
        Ok(())
    }
}

fn address(u: &mut Unstructured<'_>) -> Result<IpAddr> {
    Ok(match u.int_in_range(0..=3)? {
        0 => IpAddr::from(u.arbitrary::<[u8; 4]>()?),
        1 => IpAddr::from(u.arbitrary::<[u8; 16]>()?),
        // Few, so that the dictionary is used.
        2 => IpAddr::from([10, 0, 0, u.int_in_range(0..=3)?]),
        _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u.int_in_range(0..=3)?]),
    })
}

fn name(u: &mut Unstructured<'_>) -> Result<Name> {
    let few = ["a.test", "www.example.org", "x"];
    if u.ratio(1, 2)? {
        let text = few[u.choose_index(few.len())?];
        return Ok(Name::from_host(text.as_bytes()).expect("a name"));
    }
    let len = u.int_in_range(0..=255)?;
    let bytes = u.bytes(len.min(u.len()))?;
    Ok(Name::from_host(bytes).unwrap_or_else(|| Name::from_labels(bytes.chunks(63))))
}

/// A segment keeps microseconds.
fn time(u: &mut Unstructured<'_>, now: UnixNanos) -> Result<UnixNanos> {
    let time = match u.int_in_range(0..=3)? {
        0 => u.int_in_range(TIMES)?,
        1 => now.0.saturating_add(1_000_000_000),
        _ => now.0.saturating_add(u.int_in_range(0..=1_000_000)?),
    };
    Ok(UnixNanos(time.clamp(*TIMES.start(), *TIMES.end()).div_euclid(1_000) * 1_000))
}

fn flow(u: &mut Unstructured<'_>, now: UnixNanos) -> Result<Flow> {
    let in_flow = [NameKind::Sni, NameKind::Quic, NameKind::Http, NameKind::EchOuter];
    Ok(Flow {
        number: u.arbitrary()?,
        client: address(u)?,
        server: address(u)?,
        client_port: u.arbitrary()?,
        server_port: u.arbitrary()?,
        proto: u.arbitrary()?,
        scope: Scope::from_number(u.int_in_range(0..=2)?).expect("three scopes"),
        begin_seen: u.arbitrary()?,
        client_mac: u.arbitrary::<Option<[u8; 6]>>()?.map(Mac),
        start: time(u, now)?,
        opened: *u.choose(&[Opener::Unknown, Opener::Client, Opener::Server])?,
        interface: if u.arbitrary()? { u.arbitrary()? } else { 0 },
        name: if u.arbitrary()? {
            let (kind, from_server, relayed) = (*u.choose(&in_flow)?, u.arbitrary()?, u.arbitrary()?);
            Some(FlowName { kind, name: name(u)?, from_server, relayed })
        } else {
            None
        },
        vlan: if u.arbitrary()? { Some(u.int_in_range(1..=4_095)?) } else { None },
    })
}

fn seen(u: &mut Unstructured<'_>, ts: UnixNanos) -> Result<NameSeen> {
    let kind = *u.choose(&NameKind::ALL)?;
    let mut seen = NameSeen {
        ts,
        kind,
        name: name(u)?,
        chain: Vec::new(),
        addresses: Vec::new(),
        asker_is_server: u.arbitrary()?,
        relayed: u.arbitrary()?,
    };
    if !kind.is_in_flow() {
        for _ in 0..u.int_in_range(0..=4)? {
            seen.chain.push(name(u)?);
        }
        for _ in 0..u.int_in_range(0..=20)? {
            let record = *u.choose(&[RecordKind::A, RecordKind::Aaaa, RecordKind::Hint])?;
            seen.addresses.push(AnswerAddress { address: address(u)?, ttl_s: u.arbitrary()?, record });
        }
    }
    Ok(seen)
}

/// A list of observations as a recorder could make them: a flow keeps its facts, and its name once
/// it has one.
pub fn records(u: &mut Unstructured<'_>) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut flows: Vec<Flow> = Vec::new();
    let mut now = time(u, UnixNanos(0))?;
    while records.len() < MAX_RECORDS && !u.is_empty() {
        now = time(u, now)?;
        if flows.is_empty() || u.ratio(1, 4)? {
            let new = flow(u, now)?;
            if flows.iter().all(|f| f.number != new.number) {
                flows.push(new);
            }
        }
        let index = u.choose_index(flows.len())?;
        let flow = &mut flows[index];
        let amount = |u: &mut Unstructured<'_>| u.int_in_range(0..=MAX_AMOUNT);
        records.push(match u.int_in_range(0..=7)? {
            0..=2 => {
                let seen = seen(u, now)?;
                if seen.kind.is_in_flow() {
                    flow.set_name(FlowName::of(&seen));
                }
                Record::Name(flow.clone(), seen)
            }
            3..=5 => {
                let usage = Usage {
                    up_packets: amount(u)?,
                    down_packets: amount(u)?,
                    up_bytes: amount(u)?,
                    down_bytes: amount(u)?,
                };
                Record::Usage(flow.clone(), now.floor_to(crate::books::header().interval_ns), usage)
            }
            6 => {
                let counter = Counter::from_numbers(u.arbitrary()?, u.arbitrary()?);
                Record::Count(now, Count { counter, packets: amount(u)?, bytes: amount(u)? })
            }
            _ => Record::Commit,
        });
    }
    Ok(records)
}
