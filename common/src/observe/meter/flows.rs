//! How flows begin and end.

use super::super::Observer;
use super::super::fragment::FiveTuple;
use super::Meter;
use super::ends::{Ends, client_mac, opener};
use crate::flow::{Class, Flow, FlowKey, Opener, Side};
use crate::names::NameKind;
use crate::names::finder::{asked_host, says_hello};
use crate::names::resolver::MDNS_PORT;
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use crate::wire::{IpPacket, Tcp, Transport};

/// Datagrams that come in within this time after the first packet may belong to an exchange that
/// our side began before it: a VPN, a call. It is the flow table's time-out for them; what was
/// silent for longer begins anew.
const EARLIER_NS: i64 = 300 * NANOS_PER_SECOND;

/// The first byte of a record of TLS or DTLS with a hello.
pub(super) const HANDSHAKE: u8 = 22;

impl Meter {
    /// The flow of a packet: that of its 5-tuple, unless the packet begins another one.
    #[inline(always)]
    pub(super) fn flow_of<O: Observer>(
        &mut self,
        ts: UnixNanos,
        ip: &IpPacket<'_>,
        ends: &Ends<'_>,
        observer: &mut O,
    ) -> Result<(u32, Side), O::Error> {
        let (key, side) = ends.key();
        let slot = match self.table.find(&key) {
            Some(slot) if !self.begins_anew(slot, ends, side) && !self.is_another_device(slot, ip) => {
                match self.asks_another(slot, ip, side) {
                    false => slot,
                    true => self.part_flow((slot, key), (ts, ends.tcp.map_or(0, |(_, seq)| seq)), observer)?,
                }
            }
            found => {
                if let Some(slot) = found {
                    self.end_flow(slot, observer)?;
                }
                self.begin_flow(ts, ends, (key, side), observer)?
            }
        };
        Ok((slot, side))
    }

    /// A SYN with another sequence number than the one that began the flow: the ports are used
    /// again. The first one of the other end, while nothing else came from there, crosses that of
    /// the flow: both open one connection (RFC 9293 section 3.5).
    fn begins_anew(&self, slot: u32, ends: &Ends<'_>, side: Side) -> bool {
        ends.is_syn()
            && self.table.get(slot).is_some_and(|entry| {
                let same = entry.isn().is_some() && entry.isn() == ends.tcp.map(|(_, seq)| seq);
                // The SYN may also come after its SYN+ACK (reordering): that flow has begun, but
                // knows no number yet.
                let unknown = entry.isn().is_none() && entry.flow.begin_seen;
                let crosses = entry.isn().is_some() && !entry.has_sent(side);
                !same && !unknown && !crosses
            })
    }

    /// Devices that have no address yet all have the same one, and in multicast DNS one can take
    /// another's: what tells them apart is their hardware address.
    #[inline]
    fn is_another_device(&self, slot: u32, ip: &IpPacket<'_>) -> bool {
        let names_itself = || match &ip.transport {
            Transport::Udp(udp) => ip.src.is_unspecified() || (udp.dst_port == MDNS_PORT && ip.dst.is_multicast()),
            _ => false,
        };
        ip.src_mac.is_some()
            && names_itself()
            && self.table.get(slot).is_some_and(|entry| entry.flow.client_mac != ip.src_mac)
    }

    /// A connection with a name asks for another host: HTTP sends requests for several hosts over
    /// one connection, to a proxy or from one. Or it is over, and says hello as another one does:
    /// the SYN of that was not seen. Only what begins a packet is looked at.
    #[inline(always)]
    fn asks_another(&self, slot: u32, ip: &IpPacket<'_>, side: Side) -> bool {
        let Transport::Tcp(tcp) = &ip.transport else { return false };
        matches!(tcp.payload.first(), Some(&(b'A'..=b'Z' | HANDSHAKE))) && self.names_another(slot, tcp, side)
    }

    #[inline(never)]
    fn names_another(&self, slot: u32, tcp: &Tcp<'_>, side: Side) -> bool {
        let payload = tcp.payload;
        let Some(entry) = self.table.get(slot).filter(|entry| entry.search.is_done()) else { return false };
        let Some(name) = &entry.flow.name else { return false };
        let from_client = entry.client_is_low == (side == Side::Low);
        // What is sent again was asked before.
        let is_old = entry.asked_at != 0 && tcp.seq.wrapping_sub(entry.asked_at).cast_signed() <= 0;
        if from_client == name.from_server || is_old || self.is_within_request(slot, tcp) {
            return false;
        }
        match payload.first() {
            Some(&HANDSHAKE) => self.table.class(slot) == Some(Class::Closed) && says_hello(payload),
            _ => name.kind == NameKind::Http && asked_host(payload).is_some_and(|host| host != name.name),
        }
    }

    /// Begins another flow in the place of one, between the same ends, for what it carries from
    /// here on: from sequence number `asked_at`, in TCP.
    #[cold]
    pub(super) fn part_flow<O: Observer>(
        &mut self,
        (slot, key): (u32, FlowKey),
        (ts, asked_at): (UnixNanos, u32),
        observer: &mut O,
    ) -> Result<u32, O::Error> {
        let Some(entry) = self.table.get(slot) else { return Ok(slot) };
        // Its beginning is the request, which was seen.
        let flow = Flow { start: ts, begin_seen: true, name: None, ..entry.flow.clone() };
        // A connection that goes on may be half closed; one that was over leaves nothing.
        let is_over = self.table.class(slot) == Some(Class::Closed);
        let (isn, fins) = if is_over { (None, 0) } else { (entry.isn(), entry.fins) };
        let client_is_low = entry.client_is_low;
        self.end_flow(slot, observer)?;
        let slot = self.table.insert(key, client_is_low, flow, ts.0);
        if let Some(entry) = self.table.get_mut(slot) {
            entry.set_isn(isn);
            (entry.fins, entry.asked_at) = (fins, asked_at);
        }
        Ok(slot)
    }

    fn begin_flow<O: Observer>(
        &mut self,
        ts: UnixNanos,
        ends: &Ends<'_>,
        (key, side): (FlowKey, Side),
        observer: &mut O,
    ) -> Result<u32, O::Error> {
        if self.table.is_full()
            && let Some(oldest) = self.table.oldest()
        {
            self.end_flow(oldest, observer)?;
        }
        let ip = ends.ip;
        let FiveTuple { src, dst, proto } = ends.flow();
        let (src_is_client, scope) = ends.orient(&self.config.local);
        let (client, server) = if src_is_client { (src, dst) } else { (dst, src) };
        let flow = Flow {
            number: 0,
            client: client.0,
            server: server.0,
            client_port: client.1,
            server_port: server.1,
            proto,
            scope,
            begin_seen: ends.tcp.is_none_or(|(flags, _)| flags & Tcp::SYN != 0),
            opened: match ends.is_syn() && self.expected.holds(ts, src.0, dst.1) {
                true => Opener::Client,
                false => opener(ends, ip, src_is_client, self.may_be_older(ts)),
            },
            interface: ends.spot.interface,
            vlan: ends.spot.vlan,
            client_mac: client_mac(ip, src_is_client),
            start: ts,
            name: None,
        };
        let slot = self.table.insert(key, src_is_client == (side == Side::Low), flow, ts.0);
        if ends.is_syn()
            && let Some(entry) = self.table.get_mut(slot)
        {
            entry.set_isn(ends.tcp.map(|(_, seq)| seq));
        }
        if let Some(entry) = self.table.get(slot).filter(|_| !self.no_names) {
            // Those of the interval before are in a block that is written: names stand before the
            // usage of their interval.
            let from = self.interval.unwrap_or_default();
            self.asked.begin(&entry.flow, from).iter().try_for_each(|(flow, seen)| observer.name(flow, seen))?;
        }
        Ok(slot)
    }

    /// Whether an exchange that is seen for the first time now may have begun before the first
    /// packet of all.
    fn may_be_older(&self, ts: UnixNanos) -> bool {
        self.began.is_none_or(|began| ts.since(began) < EARLIER_NS)
    }

    /// Takes a flow out of the table and hands over what was pending.
    pub(super) fn end_flow<O: Observer>(&mut self, slot: u32, observer: &mut O) -> Result<(), O::Error> {
        self.forget_asks(slot);
        let Some(mut entry) = self.table.remove(slot) else {
            return Ok(());
        };
        self.finder.release(&mut entry.search);
        self.carriers.forget(slot);
        match self.interval {
            Some(interval) if entry.touched => observer.usage(&entry.flow, interval, entry.pending),
            _ => Ok(()),
        }
    }
}
