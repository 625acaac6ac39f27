//! Names in packets: inside their flows, by DNS, by DHCP.

use super::super::Observer;
use super::super::asked::Asked;
use super::super::fragment::{First, FiveTuple};
use super::Meter;
use super::asks::note_connection;
use crate::flow::{Asks, Flow, Side};
use crate::names::finder::{Finder, FromClient, Search};
use crate::names::resolver::{DnsTracker, Passage};
use crate::names::{AnswerAddress, Name, NameKind, NameSeen, RecordKind, dhcp};
use crate::time::UnixNanos;
use crate::wire::{Fragment, IpPacket, Transport};

/// IANA protocol number of UDP.
pub(super) const UDP: u8 = 17;

/// UDP port of name servers.
const DNS_PORT: u16 = 53;

impl Meter {
    /// Hands over the names that a packet completes: inside its flow, and by DNS.
    #[inline(always)]
    pub(super) fn names<O: Observer>(
        &mut self,
        (slot, side): (u32, Side),
        (ts, first): (UnixNanos, Option<&First>),
        ip: &IpPacket<'_>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let Some(entry) = self.table.get_mut(slot) else { return Ok(()) };
        let from_client = entry.client_is_low == (side == Side::Low);
        if let Transport::Tcp(tcp) = &ip.transport {
            self.expected.note(ts, tcp.dst_port, (ip.dst, tcp.payload));
        }
        if self.no_names {
            self.pass_over(slot, ip);
            return Ok(());
        }
        if !entry.search.is_done() {
            let found = match (&ip.transport, ip.fragment) {
                (Transport::Tcp(tcp), _) => self.finder.tcp(&mut entry.search, FromClient(from_client), tcp),
                (Transport::Udp(udp), None) => {
                    let found = self.finder.udp(&mut entry.search, FromClient(from_client), udp);
                    if found.is_none()
                        && from_client
                        && let Some(name) = self.moved.find(&entry.flow, udp.payload)
                    {
                        self.finder.release(&mut entry.search);
                        Some((name.kind, name.name))
                    } else {
                        found
                    }
                }
                (_, None) => None,
                (_, Some(part)) => {
                    let search = &mut entry.search;
                    name_in_fragment((&mut self.finder, search), (ts, from_client), ip, (part, first))
                }
            };
            if let Some((kind, name)) = found {
                note_connection(entry, &ip.transport);
                return self.name_flow((slot, from_client), ts, (kind, name), observer);
            }
            if entry.search.is_done() && entry.asks == Asks::No && matches!(ip.transport, Transport::Udp(_)) {
                // One without a name may be followed by one with a name.
                entry.asks = Asks::MayAsk;
                note_connection(entry, &ip.transport);
            }
        }
        if entry.has_name {
            if entry.wants_id
                && !from_client
                && let Transport::Udp(udp) = &ip.transport
            {
                entry.wants_id = self.moved.learn(&entry.flow, udp.payload);
            }
            return Ok(());
        }
        // Most packets of flows without a name.
        if let (Transport::Tcp(tcp), None) = (&ip.transport, first)
            && !DnsTracker::wants_tcp(tcp.src_port, tcp.dst_port)
        {
            return Ok(());
        }
        if let Some(seen) = dhcp_name(ts, ip, from_client) {
            entry.mac_is_settled = true;
            return observer.name(&entry.flow, &seen);
        }
        let seen = match first {
            None => dns_names(&mut self.dns, ts, ip, from_client),
            Some(first) => dns_in_fragment(&mut self.dns, (ts, from_client), ip, first),
        };
        for name in self.dns.take_public_names() {
            self.finder.know_public_name(name);
        }
        entry.mac_is_settled |= !seen.is_empty();
        seen.iter().try_for_each(|seen| tell(&mut self.asked, std::slice::from_ref(&entry.flow), seen, observer))
    }

    /// Ends the search of a flow, and counts what a packet might have told.
    #[cold]
    fn pass_over(&mut self, slot: u32, ip: &IpPacket<'_>) {
        if let Some(entry) = self.table.get_mut(slot).filter(|entry| !entry.search.is_done()) {
            self.finder.release(&mut entry.search);
            self.passed_over += 1;
        } else if let Transport::Udp(udp) = &ip.transport
            && udp.src_port == DNS_PORT
        {
            self.passed_over += 1;
        }
    }
}

/// Hands over a name of DNS in each of these flows; a query only in the one whose device began a
/// flow at that moment, or once it does.
pub(super) fn tell<O: Observer>(
    asked: &mut Asked,
    flows: &[Flow],
    seen: &NameSeen,
    observer: &mut O,
) -> Result<(), O::Error> {
    if seen.kind == NameKind::DnsQuery {
        return asked.query(flows, seen).map_or(Ok(()), |flow| observer.name(&flow, seen));
    }
    flows.iter().try_for_each(|flow| observer.name(flow, seen))
}

/// The name that a fragment completes. Of a TCP segment each fragment is a segment of its own.
#[cold]
fn name_in_fragment(
    (finder, search): (&mut Finder, &mut Search),
    (ts, from_client): (UnixNanos, bool),
    ip: &IpPacket<'_>,
    (part, first): (Fragment, Option<&First>),
) -> Option<(NameKind, Name)> {
    if let (Transport::Other(bytes), Some(first)) = (&ip.transport, first)
        && let Some(tcp) = first.segment(part, bytes)
    {
        return finder.tcp(search, FromClient(from_client), &tcp);
    }
    let ports = match (&ip.transport, ip.proto) {
        (Transport::Udp(udp), UDP) => (udp.src_port, udp.dst_port),
        (_, UDP) => (0, 0),
        _ => return None,
    };
    let passage = Passage { ts, src: (ip.src, ports.0).into(), dst: (ip.dst, ports.1).into(), from_client };
    finder.udp_fragment(search, &passage, part, &ip.transport)
}

/// What a packet says by DNS; mostly nothing, and then nothing is allocated.
#[inline]
pub(in crate::observe) fn dns_names(
    dns: &mut DnsTracker,
    ts: UnixNanos,
    ip: &IpPacket<'_>,
    from_client: bool,
) -> Vec<NameSeen> {
    let passage =
        |ports: (u16, u16)| Passage { ts, src: (ip.src, ports.0).into(), dst: (ip.dst, ports.1).into(), from_client };
    match (&ip.transport, ip.fragment) {
        (Transport::Udp(udp), None) => dns.udp(&passage((udp.src_port, udp.dst_port)), udp.payload),
        (Transport::Udp(udp), Some(part)) => {
            dns.udp_fragment(&passage((udp.src_port, udp.dst_port)), part, &ip.transport)
        }
        (Transport::Other(_), Some(part)) if ip.proto == UDP => dns.udp_fragment(&passage((0, 0)), part, &ip.transport),
        (Transport::Tcp(tcp), _) if DnsTracker::wants_tcp(tcp.src_port, tcp.dst_port) => {
            dns.tcp(&passage((tcp.src_port, tcp.dst_port)), tcp)
        }
        _ => Vec::new(),
    }
}

/// The same of a later fragment.
#[cold]
fn dns_in_fragment(
    dns: &mut DnsTracker,
    (ts, from_client): (UnixNanos, bool),
    ip: &IpPacket<'_>,
    first: &First,
) -> Vec<NameSeen> {
    let FiveTuple { src, dst, .. } = first.flow;
    match (&ip.transport, ip.fragment) {
        (Transport::Other(bytes), Some(part)) if DnsTracker::wants_tcp(src.1, dst.1) => {
            let passage = Passage { ts, src: src.into(), dst: dst.into(), from_client };
            match first.segment(part, bytes) {
                Some(tcp) => dns.tcp(&passage, &tcp),
                None => dns_names(dns, ts, ip, from_client),
            }
        }
        _ => dns_names(dns, ts, ip, from_client),
    }
}

/// What the flow's client calls itself by DHCP. One that speaks for another hardware address than
/// it sends from is not believed; where the link shows none, it must have the address already.
#[inline]
fn dhcp_name(ts: UnixNanos, ip: &IpPacket<'_>, from_client: bool) -> Option<NameSeen> {
    let Transport::Udp(udp) = &ip.transport else { return None };
    let claim = dhcp::claim(udp.src_port, udp.dst_port, udp.payload).filter(|_| from_client)?;
    let is_its_own = match (ip.src_mac, claim.hardware) {
        (Some(sender), Some(claimed)) => sender == claimed,
        (None, Some(_)) => claim.address == Some(ip.src),
        (_, None) => true,
    };
    let address = claim.address.unwrap_or(ip.src);
    let record = if address.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa };
    let addresses = vec![AnswerAddress { address, ttl_s: 0, record }];
    let (kind, chain) = (NameKind::Dhcp, Vec::new());
    is_its_own.then_some(NameSeen {
        ts,
        kind,
        name: claim.name,
        chain,
        addresses,
        asker_is_server: false,
        relayed: false,
    })
}
