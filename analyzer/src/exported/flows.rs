//! Records → flows: pieces of one flow join, both directions are one, and what two exporters (or
//! one at two places) report counts once.

use super::names::Names;
use super::record::{Amount, End, Record};
use imon_common::flow::{Flow, FlowName, Opener, Scope};
use imon_common::local::LocalNets;
use imon_common::names::NameSeen;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Flows that are remembered so that pieces join. Beyond it, all are written and forgotten.
pub(super) const MAX_FLOWS: usize = 1 << 18;

/// Records of the same ends are one flow up to this pause. Exporters end a flow after 15 s to some
/// minutes of silence, and hand long ones on every 1 to 30 minutes, without a pause.
const JOIN_GAP_NS: i64 = 600 * NANOS_PER_SECOND;

/// First ephemeral port of Linux; other systems begin higher (49,152, RFC 6335 section 6).
const EPHEMERAL: u16 = 32_768;

/// Ports below are services (RFC 6335 section 6).
const SYSTEM_PORTS: u16 = 1_024;

/// Which way something moved, seen from the flow's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// Who reports a direction of a flow: the exporter, and whether where packets leave it.
pub(super) type Claim = (u32, bool);

/// What is known of one direction.
#[derive(Debug, Clone, Copy, Default)]
struct Direction {
    /// The first that reported it. What others report of it are copies.
    claim: Option<Claim>,
    /// For exporters that report totals: what they reported last.
    total: Amount,
}

/// A flow.
#[derive(Debug)]
pub(super) struct Flowing {
    pub(super) flow: Flow,
    /// The name inside it, to be told before its first usage.
    pub(super) name: Option<NameSeen>,
    /// It was written: what it is does not change any more.
    pub(super) is_written: bool,
    ends: (End, End),
    last: UnixNanos,
    up: Direction,
    down: Direction,
}

/// A share of a record: what moved which way in which flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    /// The flow's number.
    pub(super) flow: u64,
    pub(super) way: Way,
    pub(super) amount: Amount,
    /// It was reported by another one already.
    pub(super) is_copy: bool,
}

/// The flows by number, and the latest one between two ends.
#[derive(Debug, Default)]
pub(super) struct Flows {
    by_number: HashMap<u64, Flowing>,
    latest: HashMap<(End, End, u8), u64>,
    next: u64,
}

impl Flows {
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Flowing> {
        self.by_number.get_mut(&number)
    }

    /// A number that no flow has.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Forgets flows that no record after `now` can go on.
    pub(super) fn forget_before(&mut self, now: UnixNanos) {
        self.by_number.retain(|_, flowing| now.since(flowing.last) <= JOIN_GAP_NS);
        if self.by_number.len() > MAX_FLOWS / 2 {
            self.by_number.clear();
        }
        let by_number = &self.by_number;
        self.latest.retain(|_, number| by_number.contains_key(number));
    }

    /// Finds the flow of a record, and says what of it moved which way.
    pub(super) fn take(&mut self, record: &Record, claim: Claim, local: &LocalNets, names: &Names) -> [Move; 2] {
        let (from, to) = inside(record, local);
        let key = (from.min(to), from.max(to), record.proto);
        let joined = self.latest.get(&key).copied().filter(|number| {
            self.by_number.get(number).is_some_and(|flowing| {
                record.start.since(flowing.last) <= JOIN_GAP_NS && flowing.flow.start.since(record.end) <= JOIN_GAP_NS
            })
        });
        let number = joined.unwrap_or_else(|| self.number());
        let flowing = match self.by_number.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                self.latest.insert(key, number);
                place.insert(Flowing::of(number, record, (from, to), (local, names)))
            }
        };
        flowing.join(record, from);
        let forward = if flowing.ends.0 == from { Way::Up } else { Way::Down };
        let back = if forward == Way::Up { Way::Down } else { Way::Up };
        let mut moved = |way, amount| {
            let (amount, is_copy) = flowing.reported(way, amount, record.is_total, claim);
            Move { flow: number, way, amount, is_copy }
        };
        [moved(forward, record.forward), moved(back, record.reverse)]
    }
}

/// The ends of a record as our side knows them: of the addresses that translation gives one end,
/// the one that is local.
fn inside(record: &Record, local: &LocalNets) -> (End, End) {
    let ((from, to), (from_behind, to_behind)) = (record.ends, record.translated);
    // Source addresses are changed on the way out: before it they are ours. Destination addresses
    // are changed on the way in: behind it they are.
    let is_ours = |end: End| local.contains(end.address);
    let from = if is_ours(from) || !is_ours(from_behind) { from } else { from_behind };
    let to = if is_ours(to_behind) { to_behind } else { to };
    (from, to)
}

/// Whether the ports say that `to` is the one who serves.
fn serves(from: End, to: End) -> Option<bool> {
    let is_service = |end: End| (1..SYSTEM_PORTS).contains(&end.port);
    match (is_service(from), is_service(to)) {
        (false, true) => Some(true),
        (true, false) => Some(false),
        _ => match (from.port >= EPHEMERAL, to.port >= EPHEMERAL) {
            (true, false) if to.port != 0 => Some(true),
            (false, true) if from.port != 0 => Some(false),
            _ => None,
        },
    }
}

impl Flowing {
    fn of(number: u64, record: &Record, (from, to): (End, End), (local, names): (&LocalNets, &Names)) -> Self {
        // Who reports both ways at once puts the one who opened the flow first (RFC 5103 section
        // 2), unless it sorts ends by address, as softflowd does: ports are the better witness.
        let is_both_ways = || (record.reverse != Amount::default()).then_some(true);
        let source_opened = record.source_opened.or_else(|| serves(from, to)).or_else(is_both_ways);
        let (from_local, to_local) = (local.contains(from.address), local.contains(to.address));
        let (scope, source_is_client) = match (from_local, to_local) {
            (true, false) => (Scope::Remote, true),
            (false, true) => (Scope::Remote, false),
            (true, true) => (Scope::Local, source_opened.unwrap_or(true)),
            (false, false) => (Scope::Transit, source_opened.unwrap_or(true)),
        };
        let (client, server) = if source_is_client { (from, to) } else { (to, from) };
        let opened = match source_opened {
            None => Opener::Unknown,
            Some(source_opened) if source_opened == source_is_client => Opener::Client,
            Some(_) => Opener::Server,
        };
        let mac = if source_is_client { record.macs.0 } else { record.macs.1 };
        let mut flow = Flow {
            number,
            client: client.address,
            server: server.address,
            client_port: client.port,
            server_port: server.port,
            proto: record.proto,
            scope,
            begin_seen: record.begins,
            opened,
            interface: 0,
            vlan: record.vlan,
            client_mac: mac.or_else(|| names.mac(client.address)),
            start: record.start,
            name: None,
        };
        let name = names.inside((client, server), record.proto, record.start).cloned();
        if let Some(seen) = &name {
            flow.set_name(FlowName::of(seen));
        }
        Self {
            flow,
            name,
            is_written: false,
            ends: (client, server),
            last: record.end,
            up: Direction::default(),
            down: Direction::default(),
        }
    }

    /// Takes what a further record tells of the flow itself.
    fn join(&mut self, record: &Record, from: End) {
        self.last = self.last.max(record.end);
        if self.is_written {
            return;
        }
        self.flow.start = self.flow.start.min(record.start);
        self.flow.begin_seen |= record.begins;
        let mac = if self.ends.0 == from { record.macs.0 } else { record.macs.1 };
        self.flow.client_mac = self.flow.client_mac.or(mac);
    }

    /// What of an amount is new, and whether somebody else reports this direction.
    fn reported(&mut self, way: Way, amount: Amount, is_total: bool, claim: Claim) -> (Amount, bool) {
        let direction = if way == Way::Up { &mut self.up } else { &mut self.down };
        if amount == Amount::default() {
            return (amount, false);
        }
        if *direction.claim.get_or_insert(claim) != claim {
            return (amount, true);
        }
        if !is_total {
            return (amount, false);
        }
        let before = std::mem::replace(&mut direction.total, amount);
        // A total that went down began anew.
        let went_on = amount.bytes >= before.bytes && amount.packets >= before.packets;
        let before = if went_on { before } else { Amount::default() };
        let new = Amount { bytes: amount.bytes - before.bytes, packets: amount.packets - before.packets };
        (new, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn end(address: &str, port: u16) -> End {
        End { address: address.parse().unwrap(), port }
    }

    fn at(s: i64) -> UnixNanos {
        UnixNanos(s * NANOS_PER_SECOND)
    }

    fn record(from: End, to: End, bytes: u64, (start, end): (i64, i64)) -> Record {
        Record {
            ends: (from, to),
            translated: (from, to),
            proto: 6,
            forward: Amount { bytes, packets: 1 },
            reverse: Amount::default(),
            is_total: false,
            start: at(start),
            end: at(end),
            macs: (None, None),
            begins: true,
            source_opened: None,
            egress: false,
            vlan: None,
            rate: None,
            sampler: None,
        }
    }

    const HOST: &str = "192.168.1.9";
    const SITE: &str = "203.0.113.5";

    fn take(flows: &mut Flows, record: &Record, claim: Claim) -> Move {
        flows.take(record, claim, &LocalNets::default(), &Names::default())[0]
    }

    #[test]
    fn both_directions_and_pieces_are_one_flow_until_a_long_pause() {
        let mut flows = Flows::default();
        let (host, site) = (end(HOST, 50_000), end(SITE, 443));
        let up = take(&mut flows, &record(host, site, 100, (0, 60)), (1, false));
        let down = take(&mut flows, &record(site, host, 900, (1, 61)), (1, false));
        let piece = take(&mut flows, &record(host, site, 50, (61, 120)), (1, false));
        assert_eq!((up.flow, down.flow, piece.flow), (0, 0, 0));
        assert_eq!((up.way, down.way), (Way::Up, Way::Down));
        let flow = &flows.get_mut(0).unwrap().flow;
        assert_eq!((flow.client, flow.server_port, flow.scope), (host.address, 443, Scope::Remote));
        assert_eq!((flow.start, flow.opened), (at(0), Opener::Client));
        assert_eq!(take(&mut flows, &record(host, site, 1, (2_000, 2_001)), (1, false)).flow, 1);
    }

    #[test]
    fn the_device_is_found_behind_translation_both_ways() {
        let wan = end("198.51.100.1", 61_000);
        let (host, site) = (end(HOST, 50_000), end(SITE, 443));
        for local in [LocalNets::default(), LocalNets::new(["198.51.100.1/32".parse().unwrap()])] {
            let mut out = record(host, site, 100, (0, 1));
            out.translated.0 = wan;
            let mut back = record(site, wan, 900, (0, 1));
            back.translated.1 = host;
            assert_eq!(inside(&out, &local), (host, site));
            assert_eq!(inside(&back, &local), (site, host));
            // What the router sees behind the translation only.
            let mut behind = record(wan, site, 100, (0, 1));
            behind.translated.0 = wan;
            assert_eq!(inside(&behind, &local), (wan, site));
        }
    }

    #[test]
    fn what_a_second_place_reports_of_a_direction_is_a_copy() {
        let mut flows = Flows::default();
        let (host, site) = (end(HOST, 50_000), end(SITE, 443));
        let mut of = |from, to, claim| take(&mut flows, &record(from, to, 100, (0, 1)), claim).is_copy;
        assert!(!of(host, site, (1, false)), "comes in from the inside");
        assert!(of(host, site, (1, true)), "and goes out to the outside");
        assert!(!of(site, host, (1, true)), "an exporter that sees this way only where it goes out");
        assert!(of(site, host, (2, true)), "a second router");
        assert!(!of(host, site, (1, false)));
    }

    #[test]
    fn totals_count_what_is_new() {
        let mut flows = Flows::default();
        let mut of = |bytes| {
            let record = Record { is_total: true, ..record(end(HOST, 50_000), end(SITE, 443), bytes, (0, 1)) };
            take(&mut flows, &record, (1, false)).amount.bytes
        };
        assert_eq!([of(100), of(250), of(250), of(30)], [100, 150, 0, 30]);
    }

    #[test]
    fn who_serves_is_told_by_ports_and_by_the_exporter() {
        let mut flows = Flows::default();
        let local = LocalNets::default();
        let mut opened = |record: &Record| {
            let [first, _] = flows.take(record, (0, false), &local, &Names::default());
            flows.get_mut(first.flow).unwrap().flow.opened
        };
        assert_eq!(opened(&record(end(SITE, 40_000), end(HOST, 22), 1, (0, 1))), Opener::Server);
        assert_eq!(opened(&record(end(HOST, 5_000), end(SITE, 6_000), 1, (0, 1))), Opener::Unknown);
        let told = Record { source_opened: Some(true), ..record(end(SITE, 6_000), end(HOST, 6_001), 1, (0, 1)) };
        assert_eq!(opened(&told), Opener::Server);
        assert!(IpAddr::from([0, 0, 0, 0]).is_unspecified());
    }
}
