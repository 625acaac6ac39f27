//! QUIC connections that go on from another address: a NAT forgot them, or the client has moved.
//! What stays is the connection id that the server chose (RFC 9000 section 5.1), with which the
//! client's packets begin from then on: by it the new flow has the name that the first one showed.
//!
//! A client that moves on purpose takes a new id (section 9.5), which only the two ends know. Such
//! a flow stays without a name.

use crate::flow::{Flow, FlowName};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Longest connection id (RFC 9000 section 17.2).
const MAX_ID: usize = 20;

/// Shorter ids are those of other connections too often: of 2^32 servers' choices two agree by
/// chance in no lifetime.
const MIN_ID: usize = 4;

/// Ids kept: of some hours of a home. Beyond it the oldest goes; each takes some 150 bytes.
const LIMIT: usize = 2_048;

/// Ids of one server that a packet is compared with: the latest.
const OF_SERVER: usize = 32;

/// A connection that showed its name.
#[derive(Debug)]
struct Connection {
    id: Box<[u8]>,
    client: SocketAddr,
    name: FlowName,
}

/// The connections whose ids are known.
#[derive(Debug, Default)]
pub(super) struct Moved {
    of_server: HashMap<SocketAddr, VecDeque<Connection>, RandomState>,
    /// The server of each id, oldest first.
    order: VecDeque<SocketAddr>,
}

impl Moved {
    /// Takes the id that a server chose from one of its datagrams in a flow with a name. Tells
    /// whether more may come: the server chooses again after Retry (section 7.3), and has chosen
    /// once it sends short headers.
    #[cold]
    pub(super) fn learn(&mut self, flow: &Flow, datagram: &[u8]) -> bool {
        let Some(name) = &flow.name else { return false };
        let Some(id) = source_id(datagram) else { return false };
        if (MIN_ID..=MAX_ID).contains(&id.len()) {
            self.keep(end(flow.server, flow.server_port), end(flow.client, flow.client_port), id, name);
        }
        true
    }

    /// Whether the server of this flow chose this id for it.
    pub(super) fn is_of_server(&self, flow: &Flow, id: &[u8]) -> bool {
        let client = end(flow.client, flow.client_port);
        let known = self.of_server.get(&end(flow.server, flow.server_port));
        known.is_some_and(|known| known.iter().any(|one| *one.id == *id && one.client == client))
    }

    fn keep(&mut self, server: SocketAddr, client: SocketAddr, id: &[u8], name: &FlowName) {
        if self.of_server.get(&server).is_some_and(|known| known.iter().any(|one| *one.id == *id)) {
            return;
        }
        if self.order.len() >= LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.drop_first(oldest);
        }
        let known = self.of_server.entry(server).or_default();
        known.push_back(Connection { id: id.into(), client, name: name.clone() });
        self.order.push_back(server);
        // What goes here leaves its place in the order, where it takes the next one of the server
        // with it.
        if known.len() > OF_SERVER {
            known.pop_front();
        }
    }

    fn drop_first(&mut self, server: SocketAddr) {
        if let hashbrown::hash_map::Entry::Occupied(mut known) = self.of_server.entry(server) {
            known.get_mut().pop_front();
            if known.get().is_empty() {
                known.remove();
            }
        }
    }

    /// The name of the connection that a client's datagram goes on with, where it began in another
    /// flow.
    #[inline]
    pub(super) fn find(&self, flow: &Flow, datagram: &[u8]) -> Option<FlowName> {
        if self.order.is_empty() {
            return None;
        }
        let behind_first = short_header(datagram)?;
        let client = end(flow.client, flow.client_port);
        let known = self.of_server.get(&end(flow.server, flow.server_port))?;
        let same = |one: &&Connection| behind_first.starts_with(&one.id) && one.client != client;
        known.iter().rev().find(same).map(|one| one.name.clone())
    }
}

fn end(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

/// What stands behind the first byte of a packet with a short header: the destination's connection
/// id, whose length only the two ends know (RFC 9000 section 17.3).
fn short_header(datagram: &[u8]) -> Option<&[u8]> {
    let (first, rest) = datagram.split_first()?;
    (first & 0xc0 == 0x40).then_some(rest)
}

/// The id that the sender of a packet with a long header chose for itself (RFC 8999 section 5.1).
/// `None` for version negotiation, whose ids are the client's, and for what is no such packet.
fn source_id(datagram: &[u8]) -> Option<&[u8]> {
    let first = *datagram.first()?;
    let is_long = first & 0x80 != 0 && datagram.get(1..5)? != [0; 4];
    let destination_len = usize::from(*datagram.get(5)?);
    let at = destination_len.checked_add(6)?;
    let len = usize::from(*datagram.get(at)?);
    let id = datagram.get(at + 1..at.checked_add(1)?.checked_add(len)?)?;
    is_long.then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Name, NameKind, NameSeen, testing};
    use crate::observe::{Count, Meter, MeterConfig, Observer, Usage};
    use crate::packet::{CapturedPacket, LinkType};
    use crate::time::UnixNanos;

    /// The id that the server of RFC 9001 appendix A.3 chose.
    const SERVERS: [u8; 8] = [0xf0, 0x67, 0xa5, 0x50, 0x2a, 0x42, 0x62, 0xb5];
    const SERVER: [u8; 4] = [203, 0, 113, 9];

    #[derive(Default)]
    struct Told(Vec<(u16, NameKind, String)>);

    impl Observer for Told {
        type Error = std::convert::Infallible;
        fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Self::Error> {
            self.0.push((flow.client_port, seen.kind, seen.name.to_string()));
            Ok(())
        }
        fn usage(&mut self, _: &Flow, _: UnixNanos, _: Usage) -> Result<(), Self::Error> {
            Ok(())
        }
        fn counts(&mut self, _: UnixNanos, _: &[Count]) -> Result<(), Self::Error> {
            Ok(())
        }
    }

    /// An IPv4 packet without link header.
    fn datagram(src: ([u8; 4], u16), dst: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
        let udp_len = 8 + payload.len() as u16;
        let mut packet = vec![0x45, 0];
        packet.extend((20 + udp_len).to_be_bytes());
        packet.extend([0, 1, 0, 0, 64, 17, 0, 0]);
        packet.extend(src.0);
        packet.extend(dst.0);
        [src.1, dst.1, udp_len, 0].iter().for_each(|field| packet.extend(field.to_be_bytes()));
        packet.extend(payload);
        packet
    }

    /// A long header of version 1 with these ids, as a server's Handshake packet has it.
    fn handshake(destination: &[u8], source: &[u8]) -> Vec<u8> {
        let ids = [destination, source].map(|id| [&[id.len() as u8][..], id].concat()).concat();
        [&[0xe0, 0, 0, 0, 1][..], &ids, &[0x40, 60], &[7; 60]].concat()
    }

    fn short(id: &[u8]) -> Vec<u8> {
        [&[0x43][..], id, &[9; 40]].concat()
    }

    const NAMED: u16 = 50_001;

    /// The names that are told when a connection shows its name, the server answers, and then a
    /// client sends this.
    fn told(server_says: &[u8], then: (u16, u16, Vec<u8>)) -> Vec<(u16, NameKind, String)> {
        let mut meter = Meter::new(MeterConfig::default());
        let mut told = Told::default();
        let (port, server_port, payload) = then;
        let me = |port| ([192, 168, 1, 5], port);
        for bytes in [
            datagram(me(NAMED), (SERVER, 443), &testing::initial_for_example_com()),
            datagram((SERVER, 443), me(NAMED), server_says),
            datagram(me(port), (SERVER, server_port), &payload),
        ] {
            let packet = CapturedPacket {
                ts: UnixNanos(5_000_000_000),
                orig_len: bytes.len() as u32,
                link_type: LinkType(101),
                interface: 0,
                data: &bytes,
            };
            meter.packet(&packet, &mut told).unwrap();
        }
        told.0
    }

    #[test]
    fn a_connection_that_goes_on_from_another_port_keeps_its_name() {
        let name = |port| (port, NameKind::Quic, "example.com".to_owned());
        let answer = handshake(b"", &SERVERS);
        assert_eq!(told(&answer, (50_002, 443, short(&SERVERS))), [name(NAMED), name(50_002)]);
        for (case, then) in [
            ("another id", (50_002, 443, short(&[1; 8]))),
            ("another port of the server", (50_002, 8_443, short(&SERVERS))),
            ("no QUIC", (50_002, 443, [&[0x03][..], &SERVERS, &[9; 40]].concat())),
            ("the same flow", (NAMED, 443, short(&SERVERS))),
            ("cut", (50_002, 443, short(&SERVERS)[..6].to_vec())),
        ] {
            assert_eq!(told(&answer, then), [name(NAMED)], "{case}");
        }
        let says_nothing = handshake(b"", b"abc");
        assert_eq!(told(&says_nothing, (50_002, 443, short(b"abc"))), [name(NAMED)], "an id of three bytes");
        let negotiation = [&[0xe0, 0, 0, 0, 0][..], &handshake(b"", &SERVERS)[5..]].concat();
        assert_eq!(told(&negotiation, (50_002, 443, short(&SERVERS))), [name(NAMED)], "version negotiation");
    }

    fn connection(port: u16, server: u8) -> Flow {
        let name = Name::from_host(b"www.example.com").unwrap();
        let (client, server) = (([192, 168, 1, 5], port), ([203, 0, 113, server], 443));
        let flow = Flow::outgoing(client.into(), server.into(), 17, UnixNanos(0));
        Flow { name: Some(FlowName::new(NameKind::Quic, name)), ..flow }
    }

    #[test]
    fn an_id_is_of_the_connection_for_which_the_server_chose_it() {
        let mut moved = Moved::default();
        moved.learn(&connection(1, 1), &handshake(b"", &SERVERS));
        for (port, server, id, is_known) in
            [(1, 1, SERVERS, true), (2, 1, SERVERS, false), (1, 2, SERVERS, false), (1, 1, [9; 8], false)]
        {
            assert_eq!(moved.is_of_server(&connection(port, server), &id), is_known, "{port} {server} {id:?}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_over_all_and_for_a_server() {
        let mut moved = Moved::default();
        for n in 0..10_000_u32 {
            moved.learn(&connection(1, n as u8), &handshake(b"", &n.to_be_bytes()));
        }
        let held: usize = moved.of_server.values().map(VecDeque::len).sum();
        assert!(moved.order.len() <= LIMIT && held <= LIMIT, "{held}");
        assert!(moved.find(&connection(2, 15), &short(&9_999_u32.to_be_bytes())).is_some());
        assert!(moved.find(&connection(2, 1), &short(&1_u32.to_be_bytes())).is_none());
        let mut moved = Moved::default();
        (0..10_000_u32).for_each(|n| _ = moved.learn(&connection(1, 1), &handshake(b"", &n.to_be_bytes())));
        assert!(moved.of_server.values().all(|known| known.len() <= OF_SERVER));
        assert!(moved.find(&connection(2, 1), &short(&9_999_u32.to_be_bytes())).is_some());
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let whole = handshake(&SERVERS, &SERVERS);
        for len in 0..whole.len() {
            assert!(source_id(&whole[..len]).is_none_or(|id| id == SERVERS), "{len}");
        }
        assert_eq!(source_id(&[0xff; 30]), None);
    }
}
