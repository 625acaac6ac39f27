//! Names that programs of this machine ask a resolver on the machine itself for.
//!
//! Such a resolver (systemd-resolved, unbound, dnscrypt-proxy) asks on by encrypted DNS: on the
//! wire no name is seen, on the loopback interface all are. The bytes between program and resolver
//! never leave the machine and are not counted.

use super::meter::dns_names;
use crate::flow::{Flow, Scope};
use crate::names::resolver::{DnsLimits, DnsTracker};
use crate::names::{NameKind, NameSeen};
use crate::time::UnixNanos;
use crate::wire::{IpPacket, Mac, Transport};
use std::net::{IpAddr, SocketAddr};

/// Most addresses that an answer is handed over for; further ones are left out. A machine has a
/// handful.
const MAX_OWN_ADDRESSES: usize = 16;

/// DNS (RFC 1035).
const DNS_PORT: u16 = 53;

/// An address by which this machine appears in the flows that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnAddress {
    /// The address.
    pub address: IpAddr,
    /// Hardware address of its interface, where the link has one.
    pub mac: Option<Mac>,
}

/// Reads DNS between programs and a resolver of the same machine.
#[derive(Debug)]
pub(super) struct StubNames {
    dns: DnsTracker,
    own: Vec<OwnAddress>,
}

impl Default for StubNames {
    fn default() -> Self {
        Self { dns: DnsTracker::new(DnsLimits::default()), own: Vec::new() }
    }
}

impl StubNames {
    /// Changes the addresses that stand for a program of this machine.
    pub(super) fn set_own(&mut self, own: &[OwnAddress]) {
        self.own = own.iter().copied().take(MAX_OWN_ADDRESSES).collect();
    }

    /// What a packet teaches: names, and for each of them the flows in which they are to be told,
    /// without numbers.
    pub(super) fn packet(&mut self, ts: UnixNanos, ip: &IpPacket<'_>) -> Option<(Vec<NameSeen>, Vec<Flow>)> {
        // Whoever sends to the port of DNS asks.
        let from_client = !matches!(ports(ip), Some((DNS_PORT, _)));
        let seen = dns_names(&mut self.dns, ts, ip, from_client);
        let is_query = seen.first()?.kind == NameKind::DnsQuery;
        Some((seen, self.flows(ts, ip, is_query)))
    }

    /// DNS streams given up for want of room, since the last call.
    pub(super) fn take_given_up(&mut self) -> u64 {
        self.dns.take_given_up()
    }

    /// The flows of a query or an answer, from whoever asked to the resolver. A program that asked
    /// by a loopback address, or by one of the machine's own, will connect by any of the machine's
    /// own. Somebody else (a container) stays what it is.
    fn flows(&self, ts: UnixNanos, ip: &IpPacket<'_>, is_query: bool) -> Vec<Flow> {
        let (src_port, dst_port) = ports(ip).unwrap_or((0, 0));
        let (asker, asker_mac, server) =
            if is_query { (ip.src, ip.src_mac, ip.dst) } else { (ip.dst, ip.dst_mac, ip.src) };
        let (client_port, server_port) = if is_query { (src_port, dst_port) } else { (dst_port, src_port) };
        let is_this_machine = asker.is_loopback() || self.own.iter().any(|own| own.address == asker);
        let itself = [OwnAddress { address: asker, mac: asker_mac.filter(|_| !asker.is_loopback()) }];
        let clients = if is_this_machine && !self.own.is_empty() { self.own.as_slice() } else { &itself };
        clients
            .iter()
            .map(|client| {
                let ends = [(client.address, client_port), (server, server_port)].map(SocketAddr::from);
                let [client_end, server_end] = ends;
                let flow = Flow::outgoing(client_end, server_end, ip.proto, ts);
                Flow { scope: Scope::Local, client_mac: client.mac, ..flow }
            })
            .collect()
    }
}

fn ports(ip: &IpPacket<'_>) -> Option<(u16, u16)> {
    match &ip.transport {
        Transport::Tcp(t) => Some((t.src_port, t.dst_port)),
        Transport::Udp(u) => Some((u.src_port, u.dst_port)),
        Transport::Ports { .. } | Transport::Other(_) | Transport::Unreadable => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NameKind;
    use crate::observe::{Count, Meter, MeterConfig, Observer, Usage};
    use crate::packet::{CapturedPacket, LinkType};

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    /// Everything that is handed over: names with their flows, and whether anything was counted.
    #[derive(Default)]
    struct Told {
        names: Vec<(Flow, NameSeen)>,
        counted: bool,
    }

    impl Observer for Told {
        type Error = std::convert::Infallible;
        fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Self::Error> {
            self.names.push((flow.clone(), seen.clone()));
            Ok(())
        }
        fn usage(&mut self, _: &Flow, _: UnixNanos, _: Usage) -> Result<(), Self::Error> {
            self.counted = true;
            Ok(())
        }
        fn counts(&mut self, _: UnixNanos, _: &[Count]) -> Result<(), Self::Error> {
            self.counted = true;
            Ok(())
        }
    }

    /// An IPv4 packet without link header: query (from port 40000) or answer for a.test, A
    /// 192.0.2.7.
    fn dns(src: [u8; 4], dst: [u8; 4], is_answer: bool) -> Vec<u8> {
        let mut message = vec![0, 1, if is_answer { 0x81 } else { 1 }, 0, 0, 1, 0, u8::from(is_answer), 0, 0, 0, 0];
        message.extend(b"\x01a\x04test\0\0\x01\0\x01");
        if is_answer {
            message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
        }
        let (src_port, dst_port) = if is_answer { (53u16, 40_000u16) } else { (40_000, 53) };
        let udp_len = 8 + message.len() as u16;
        let mut packet = vec![0x45, 0];
        packet.extend((20 + udp_len).to_be_bytes());
        packet.extend([0, 1, 0, 0, 64, 17, 0, 0]);
        packet.extend(src);
        packet.extend(dst);
        for field in [src_port, dst_port, udp_len, 0] {
            packet.extend(field.to_be_bytes());
        }
        packet.extend(message);
        packet
    }

    fn told(own: &[OwnAddress], asker: [u8; 4]) -> (Told, Meter) {
        let mut meter = Meter::new(MeterConfig::default());
        meter.set_own(own);
        let mut told = Told::default();
        let resolver = [127, 0, 0, 53];
        for packet in [dns(asker, resolver, false), dns(resolver, asker, true)] {
            let packet = CapturedPacket {
                ts: UnixNanos(5_000_000_000),
                orig_len: packet.len() as u32,
                link_type: LinkType(101),
                interface: 0,
                data: &packet,
            };
            meter.names_only(&packet, &mut told).unwrap();
        }
        meter.flush(&mut told).unwrap();
        (told, meter)
    }

    fn own() -> Vec<OwnAddress> {
        let address = |text: &str, mac| OwnAddress { address: text.parse().unwrap(), mac };
        vec![address("203.0.113.1", Some(MAC)), address("2001:db8::1", Some(MAC)), address("10.8.0.2", None)]
    }

    #[test]
    fn an_answer_on_loopback_is_told_to_every_address_of_the_machine_and_nothing_is_counted() {
        let (told, meter) = told(&own(), [127, 0, 0, 1]);
        assert!(!told.counted);
        assert_eq!(meter.totals().packets, 0);
        let clients: Vec<_> = told.names.iter().map(|(flow, _)| (flow.client, flow.client_mac)).collect();
        assert_eq!(clients, own().iter().map(|own| (own.address, own.mac)).collect::<Vec<_>>());
        for (n, (flow, seen)) in told.names.iter().enumerate() {
            // The query took the first three numbers; beside it no flow began, so that it is not
            // told.
            assert_eq!((flow.number, flow.server_port), (3 + n as u64, 53));
            assert_eq!((seen.kind, seen.name.as_str(), seen.asker_is_server), (NameKind::Dns, "a.test", false));
            assert_eq!(seen.addresses[0].address, "192.0.2.7".parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn an_own_address_stands_for_the_machine_and_a_foreign_one_for_itself() {
        assert_eq!(told(&own(), [203, 0, 113, 1]).0.names.len(), 3);
        let (told, _) = told(&own(), [172, 17, 0, 2]);
        assert_eq!(told.names.len(), 1);
        assert_eq!(told.names[0].0.client, "172.17.0.2".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn without_an_address_the_asker_is_kept_as_seen() {
        let (told, _) = told(&[], [127, 0, 0, 1]);
        assert_eq!(told.names[0].0.client, "127.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(told.names[0].0.client_mac, None);
    }
}
