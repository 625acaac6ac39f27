//! `imon-analyze names FILE…`: every name that was seen, one line for each address it stands for.

use super::lines::{Lines, Value};
use super::parties::with_owners;
use super::who::{Waiting, Who, asker};
use super::{Asked, Sources, Where, each_source, utc};
use crate::attribution::called;
use crate::books::{Evidence, Host, Traffic};
use crate::error::{Error, Outcome};
use crate::ingest::Taker;
use crate::table::Shape;
use imon_common::flow::{Flow, Scope};
use imon_common::names::{Name, NameKind, NameSeen, RecordKind};
use imon_common::observe::{Count, Observer, Usage};
use imon_common::packet::Interface;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use std::convert::Infallible;
use std::net::IpAddr;
use std::path::Path;

/// Columns, in order. `client` is who asked (for a name inside a flow, the flow's client); `record`
/// tells how an answer gave the address (`a`, `aaaa`, `hint`), `paired` whether its query was seen;
/// `device` is the client's, as `flows` has it. Both `record` and `paired`
/// are null for names inside flows, and of a query `address` is, too. An answer without an
/// address has a line for each family that there is none of: only `record` says which.
const COLUMNS: [(&str, Shape); 11] = [
    ("ts", Shape::Instant),
    ("kind", Shape::Text),
    ("client", Shape::Text),
    ("server", Shape::Text),
    ("name", Shape::Text),
    ("chain", Shape::List),
    ("address", Shape::Text),
    ("ttl", Shape::Count),
    ("record", Shape::Text),
    ("paired", Shape::Text),
    ("device", Shape::Text),
];

/// Prints the names of all sources that `asked` takes, in the order in which they were seen.
///
/// # Errors
/// No source could be read.
pub(super) fn run(sources: &Sources, asked: &Asked<'_>, lines: &mut Lines<'_>) -> Result<Outcome, Error> {
    let begin = |lines: &mut Lines<'_>| lines.typed(&with_owners(&COLUMNS, asked.sites), asked.made_by());
    if asked.who.is_some() {
        begin(lines);
    }
    let mut printer = Printer { lines, asked, at: Where::default(), source: 0, waiting: Waiting::new(asked) };
    let outcome = each_source(sources, &mut printer);
    if let Some(waiting) = printer.waiting.take() {
        let (waited, who) = waiting.over(asked)?;
        begin(printer.lines);
        waited.iter().for_each(|(flow, seen)| printer.print(&who, (flow, seen)));
    }
    outcome
}

/// Address, time to live and record of an answer.
type Answer = (IpAddr, u32, RecordKind);

struct Printer<'a, 'b> {
    lines: &'a mut Lines<'b>,
    asked: &'a Asked<'a>,
    at: Where,
    /// The source that is read.
    source: usize,
    /// Names that wait.
    waiting: Option<Waiting<(Flow, NameSeen)>>,
}

impl Printer<'_, '_> {
    /// Whether a name is asked for, as far as that does not depend on its device.
    fn is_asked(&mut self, flow: &Flow, seen: &NameSeen) -> bool {
        let asked = self.asked;
        !self.lines.has_failed()
            && asked.range.contains(seen.ts)
            && asked.takes(&Host::Name(seen.name.clone()), Evidence::of_name(seen.kind))
            && self.at.is_taken(asked.filters, self.source, flow)
    }

    /// Prints a name, if its device is asked for: a line for each answer.
    fn print(&mut self, who: &Who, (flow, seen): (&Flow, &NameSeen)) {
        let (client, mac) = asker(flow, seen);
        if !who.takes(client, mac) {
            return;
        }
        if seen.kind.is_in_flow() || seen.kind == NameKind::DnsQuery {
            self.line(who, (flow, seen), None);
        }
        for answer in &seen.addresses {
            self.line(who, (flow, seen), Some((answer.address, answer.ttl_s, answer.record)));
        }
    }

    fn line(&mut self, who: &Who, (flow, seen): (&Flow, &NameSeen), answer: Option<Answer>) {
        if self.lines.has_failed() {
            return;
        }
        let (client, mac) = asker(flow, seen);
        let asked = self.asked;
        let server = if seen.asker_is_server { flow.client } else { flow.server };
        let is_dns = matches!(seen.kind, NameKind::Dns | NameKind::DnsUnpaired);
        let is_empty = seen.kind == NameKind::DnsEmpty;
        let parties = &asked.parties;
        let traffic = if flow.scope == Scope::Local { Traffic::Local } else { Traffic::Visited };
        let at_server = || parties.server(traffic, server);
        // Names of the local link, and of what has an address of ours, are of our side.
        let is_own = matches!(seen.kind, NameKind::Dhcp | NameKind::Mdns | NameKind::Llmnr)
            || answer.is_some_and(|(address, ..)| !is_empty && parties.local.contains(address));
        let name = |name: &Name| match is_own {
            true => parties.masker.own("host", name.as_str()).into_owned(),
            false => parties.name(name),
        };
        let address = match (seen.kind, answer) {
            (NameKind::DnsQuery | NameKind::DnsEmpty, _) => None,
            (_, answer) => Some(answer.map_or(server, |(address, ..)| address)),
        };
        let mut values = vec![
            Value::Text(utc(seen.ts)),
            Value::Text(seen.kind.word().to_owned()),
            Value::Text(parties.client(client)),
            Value::Text(at_server()),
            Value::Text(name(&seen.name)),
            Value::List(seen.chain.iter().map(name).collect()),
            match (address, answer) {
                (None, _) => Value::Null,
                (_, None) => Value::Text(at_server()),
                (Some(address), _) => Value::Text(parties.address(address)),
            },
            answer.filter(|_| !is_empty).map_or(Value::Null, |(_, ttl, _)| Value::Number(ttl.into())),
            answer.map_or(Value::Null, |(.., record)| Value::Text(record_word(record).into())),
            if is_dns { Value::Text(paired_word(seen.kind).into()) } else { Value::Null },
            Value::Text(parties.device(who, client, mac)),
        ];
        values.extend(parties.owner(address));
        self.lines.line(&values);
    }
}

impl Observer for Printer<'_, '_> {
    type Error = Infallible;

    fn interface(&mut self, number: u32, interface: &Interface) -> Result<(), Infallible> {
        self.at.seen.interface(self.source, number, &interface.name);
        Ok(())
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        if let (Some(waiting), Some(called)) = (&mut self.waiting, called(flow, seen)) {
            waiting.call(&called);
        }
        if !self.is_asked(flow, seen) {
            return Ok(());
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.hold(seen.addresses.len().max(1), || (flow.clone(), seen.clone()));
        } else if let Some(who) = &self.asked.who {
            self.print(who, (flow, seen));
        }
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, _: UnixNanos, _: Usage) -> Result<(), Infallible> {
        self.waiting.iter_mut().for_each(|waiting| waiting.meet(flow));
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, _: &[Count]) -> Result<(), Infallible> {
        Ok(())
    }
}

impl Taker for Printer<'_, '_> {
    fn file(&mut self, source: usize, path: &Path, _: u64) {
        self.at.seen.file(source, path);
    }

    fn begin(&mut self, source: usize, header: &SegmentHeader) {
        self.at.seen.begin(source, header);
    }

    fn turn(&mut self, source: usize, _: UnixNanos) {
        self.source = source;
    }
}

fn record_word(record: RecordKind) -> &'static str {
    match record {
        RecordKind::A => "a",
        RecordKind::Aaaa => "aaaa",
        RecordKind::Hint => "hint",
    }
}

fn paired_word(kind: NameKind) -> &'static str {
    if kind == NameKind::Dns { "yes" } else { "no" }
}
