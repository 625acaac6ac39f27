//! `imon-analyze flows FILE…`: every flow, and where it was booked.

pub(super) mod quarters;

use super::lines::{Lines, Value};
use super::{Asked, Sources, Where, each_source, mac_text, utc};
use crate::attribution::{AnswerBook, Attributor, Ledger, Over, Verdict};
use crate::books::{Evidence, Host, Traffic, protocol};
use crate::error::{Error, Outcome};
use crate::table::Shape;
use imon_common::flow::Flow;
use imon_common::packet::Interface;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use std::path::Path;

/// Columns, in order. `start` is the time of the first packet, `end` the start of the last interval
/// with a packet. `scope` is `visited`, `served` (somebody outside opened it), `local` or `transit`
/// (neither end is ours). `interface`, `vlan` and `source` are those of the beginning.
const COLUMNS: [(&str, Shape); 19] = [
    ("proto", Shape::Text),
    ("client", Shape::Text),
    ("client_port", Shape::Count),
    ("server", Shape::Text),
    ("server_port", Shape::Count),
    ("device", Shape::Text),
    ("start", Shape::Instant),
    ("end", Shape::Instant),
    ("up_bytes", Shape::Bytes),
    ("down_bytes", Shape::Bytes),
    ("up_packets", Shape::Count),
    ("down_packets", Shape::Count),
    ("host", Shape::Text),
    ("site", Shape::Text),
    ("evidence", Shape::Text),
    ("scope", Shape::Text),
    ("interface", Shape::Text),
    ("vlan", Shape::Count),
    ("source", Shape::Text),
];

/// Prints the flows of all sources that `asked` takes, each when it is over. Flows of one source do
/// not come in the order of their starts.
///
/// # Errors
/// No source could be read.
pub(super) fn run(sources: &Sources, asked: &Asked<'_>, lines: &mut Lines<'_>) -> Result<Outcome, Error> {
    lines.typed(&COLUMNS, asked.made_by());
    let mut attributor = Attributor::new(AnswerBook::default(), Printer { lines, asked, at: Where::default() });
    let outcome = each_source(sources, &mut attributor);
    attributor.finish();
    outcome
}

struct Printer<'a, 'b> {
    lines: &'a mut Lines<'b>,
    asked: &'a Asked<'a>,
    at: Where,
}

impl Ledger for Printer<'_, '_> {
    fn source(&mut self, source: usize, header: &SegmentHeader) {
        self.at.seen.begin(source, header);
    }

    fn file(&mut self, source: usize, path: &Path) {
        self.at.seen.file(source, path);
    }

    fn interface(&mut self, source: usize, number: u32, interface: &Interface) {
        self.at.seen.interface(source, number, &interface.name);
    }

    fn over(&mut self, over: &Over<'_>) {
        let Over { flow, origin, last, total: sum, verdict } = *over;
        let (host, evidence) = &as_seen(flow, verdict);
        let asked = self.asked;
        if self.lines.has_failed()
            || !asked.range.overlaps(flow.start, UnixNanos(last.max(flow.start).0.saturating_add(1)))
            || !asked.takes(host, *evidence)
            || !asked.takes_client(flow.client, flow.client_mac)
            || !self.at.is_taken(asked.filters, origin, flow)
            || sum.bytes() < asked.min_bytes
        {
            return;
        }
        let mac = flow.client_mac.map(mac_text);
        let interface = self.at.interface(origin, flow);
        let values = [
            Value::Text(protocol(flow.proto)),
            Value::Text(flow.client.to_string()),
            Value::Number(flow.client_port.into()),
            Value::Text(flow.server.to_string()),
            Value::Number(flow.server_port.into()),
            Value::Text(mac.unwrap_or_else(|| flow.client.to_string())),
            Value::Text(utc(flow.start)),
            Value::Text(utc(last.max(flow.start))),
            Value::Number(sum.up_bytes),
            Value::Number(sum.down_bytes),
            Value::Number(sum.up_packets),
            Value::Number(sum.down_packets),
            Value::Text(host.to_string()),
            Value::Text(asked.sites.of_host(host).0),
            Value::Text(evidence.word().to_owned()),
            Value::Text(verdict.traffic.word().to_owned()),
            Value::Text(interface.label().to_owned()),
            interface.vlan.map_or(Value::Null, |id| Value::Number(id.into())),
            Value::Text(self.at.seen.source(origin).label),
        ];
        self.lines.line(&values);
    }
}

/// Where a flow was booked; of one that was served what the visitor asked for, if it said so: who
/// lists flows wants to see it.
fn as_seen(flow: &Flow, verdict: &Verdict) -> (Host, Evidence) {
    match &flow.name {
        Some(name) if verdict.traffic == Traffic::Served => {
            (Host::Name(name.name.clone()), Evidence::of_name(name.kind))
        }
        _ => (verdict.host.clone(), verdict.evidence),
    }
}
