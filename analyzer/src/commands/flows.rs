//! `imon-analyze flows FILE…`: every flow, and where it was booked.

pub(super) mod quarters;

use super::lines::{Lines, Value};
use super::parties::with_owners;
use super::who::{Waiting, Who};
use super::{Asked, Sources, Where, each_source, utc};
use crate::attribution::{AnswerBook, Attributor, Called, Ledger, Over, Places, Share, Verdict};
use crate::books::{Evidence, Host, Traffic, protocol};
use crate::error::{Error, Outcome};
use crate::table::Shape;
use imon_common::flow::Flow;
use imon_common::observe::Usage;
use imon_common::time::UnixNanos;

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
    let begin = |lines: &mut Lines<'_>| lines.typed(&with_owners(&COLUMNS, asked.sites), asked.made_by());
    if asked.who.is_some() {
        begin(lines);
    }
    let printer = Printer { lines, asked, at: Where::default(), waiting: Waiting::new(asked) };
    let mut attributor = Attributor::new(AnswerBook::default(), printer);
    let outcome = each_source(sources, &mut attributor);
    let mut printer = attributor.finish();
    if let Some(waiting) = printer.waiting.take() {
        let (waited, who) = waiting.over(asked)?;
        begin(printer.lines);
        for Held { flow, origin, last, total, verdict } in &waited {
            if who.takes(flow.client, flow.client_mac) {
                printer.line(&who, &Over { flow, origin: *origin, last: *last, total: *total, verdict });
            }
        }
    }
    outcome
}

/// A flow that is over, and waits.
struct Held {
    flow: Flow,
    origin: usize,
    last: UnixNanos,
    total: Usage,
    verdict: Verdict,
}

struct Printer<'a, 'b> {
    lines: &'a mut Lines<'b>,
    asked: &'a Asked<'a>,
    at: Where,
    waiting: Option<Waiting<Held>>,
}

impl Printer<'_, '_> {
    fn line(&mut self, who: &Who, over: &Over<'_>) {
        let Over { flow, origin, last, total: sum, verdict } = *over;
        let (host, evidence) = &as_seen(flow, verdict);
        let asked = self.asked;
        let interface = self.at.interface(origin, flow);
        let parties = &asked.parties;
        let by = |what, text| parties.host(verdict.traffic, host, (what, text));
        let mut values = vec![
            Value::Text(protocol(flow.proto)),
            Value::Text(parties.client(flow.client)),
            Value::Number(flow.client_port.into()),
            Value::Text(parties.server(verdict.traffic, flow.server)),
            Value::Number(flow.server_port.into()),
            Value::Text(parties.device(who, flow.client, flow.client_mac)),
            Value::Text(utc(flow.start)),
            Value::Text(utc(last.max(flow.start))),
            Value::Number(sum.up_bytes),
            Value::Number(sum.down_bytes),
            Value::Number(sum.up_packets),
            Value::Number(sum.down_packets),
            Value::Text(by("host", host.to_string())),
            Value::Text(by("site", asked.sites.of_host(host).0)),
            Value::Text(evidence.word().to_owned()),
            Value::Text(verdict.traffic.word().to_owned()),
            Value::Text(asked.own("interface", interface.label())),
            interface.vlan.map_or(Value::Null, |id| Value::Number(id.into())),
            Value::Text(asked.own("source", &self.at.seen.source(origin).label)),
        ];
        values.extend(parties.owner(Some(flow.server)));
        self.lines.line(&values);
    }
}

impl Ledger for Printer<'_, '_> {
    fn places(&mut self) -> Option<&mut dyn Places> {
        Some(&mut self.at.seen)
    }

    fn book(&mut self, flow: &Flow, _: &[Share], _: &Verdict) {
        self.waiting.iter_mut().for_each(|waiting| waiting.meet(flow));
    }

    fn called(&mut self, _: usize, called: &Called) {
        self.waiting.iter_mut().for_each(|waiting| waiting.call(called));
    }

    fn over(&mut self, over: &Over<'_>) {
        let Over { flow, origin, last, total, verdict } = *over;
        let (host, evidence) = &as_seen(flow, verdict);
        let asked = self.asked;
        if self.lines.has_failed()
            || !asked.range.overlaps(flow.start, UnixNanos(last.max(flow.start).0.saturating_add(1)))
            || !asked.takes(host, *evidence)
            || !self.at.is_taken(asked.filters, origin, flow)
            || total.bytes() < asked.min_bytes
        {
            return;
        }
        let held = || Held { flow: flow.clone(), origin, last, total, verdict: verdict.clone() };
        if let Some(waiting) = &mut self.waiting {
            waiting.hold(1, held);
        } else if let Some(who) = &asked.who {
            self.line(who, over);
        }
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
