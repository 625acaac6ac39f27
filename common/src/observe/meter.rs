//! The meter: packets in, observations out.

use super::asked::Asked;
use super::carriers::Carriers;
use super::copies::{Copies, Copy, cooked_index};
use super::fragment::{Early, First, FiveTuple, Fragments, Seen};
use super::moved::Moved;
use super::stub::{OwnAddress, StubNames};
use super::{Count, Counter, Observer};
use crate::flow::{Class, Flow, FlowKey, FlowName, FlowTable, Opener, Scope, Side};
use crate::local::LocalNets;
use crate::names::finder::{Finder, Search};
use crate::names::resolver::{DnsLimits, DnsTracker, MDNS_PORT, Passage};
use crate::names::{AnswerAddress, Name, NameKind, NameSeen, RecordKind, dhcp};
use crate::packet::{CapturedPacket, Spot};
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use crate::wire::{self, Fragment, Frame, IpPacket, Mac, Tcp, Transport};
use crate::work;
use std::net::IpAddr;

/// Flows held at a time: with about 250 bytes each, the table stays near 16 MiB when it is full,
/// within the 32 MiB that the recorder may take.
const FLOW_LIMIT: usize = 65_536;

/// Flows in name search at a time; each may hold some KiB until its hello is complete, which takes
/// one round trip.
const SEARCH_LIMIT: usize = 1_024;

/// Different counters gathered before they are handed over early, so that frames of 65,536
/// EtherTypes cost no memory.
const COUNTS_LIMIT: usize = 64;

/// IANA protocol number of TCP.
const TCP: u8 = 6;

/// IANA protocol number of ICMP.
const ICMP: u8 = 1;

/// IANA protocol number of ICMP for IPv6.
const ICMPV6: u8 = 58;

/// IANA protocol number of UDP.
const UDP: u8 = 17;

/// UDP port of name servers.
const DNS_PORT: u16 = 53;

/// First ephemeral port of Linux; other systems begin higher (49,152, RFC 6335 section 6).
const FIRST_EPHEMERAL_PORT: u16 = 32_768;

/// Datagrams that come in within this time after the first packet may belong to an exchange that
/// our side began before it: a VPN, a call. It is the flow table's time-out for them; what was
/// silent for longer begins anew.
const EARLIER_NS: i64 = 300 * NANOS_PER_SECOND;

/// How a [`Meter`] works.
#[derive(Debug, Clone)]
pub struct MeterConfig {
    /// Which addresses are ours.
    pub local: LocalNets,
    /// Length of an interval in nanoseconds.
    pub interval_ns: i64,
    /// Most flows held at a time.
    pub flow_limit: usize,
}

impl Default for MeterConfig {
    fn default() -> Self {
        Self { local: LocalNets::default(), interval_ns: NANOS_PER_SECOND, flow_limit: FLOW_LIMIT }
    }
}

/// What went through a [`Meter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// All frames.
    pub packets: u64,
    /// Frames that held an IP packet.
    pub ip_packets: u64,
    /// Outermost IP lengths, undecodable ones not included.
    pub ip_bytes: u64,
    /// Frames without IP.
    pub not_ip_packets: u64,
    /// Frames whose IP header could not be read.
    pub undecodable_packets: u64,
    /// What is booked for those.
    pub undecodable_bytes: u64,
    /// IP packets that were counted on another interface before.
    pub copies: u64,
    /// Outermost IP lengths of those, in no other sum.
    pub copies_bytes: u64,
    /// Of `ip_bytes` what was moved by carriers of tunnels and counted inside: in no flow.
    pub carried_bytes: u64,
}

/// Decodes packets, keeps the flow table, and hands observations to an [`Observer`] at the end of
/// each interval.
#[derive(Debug)]
pub struct Meter {
    config: MeterConfig,
    table: FlowTable,
    finder: Finder,
    dns: DnsTracker,
    stub: StubNames,
    asked: Asked,
    moved: Moved,
    fragments: Fragments,
    copies: Copies,
    carriers: Carriers,
    /// Start of the current interval; `None` before the first packet.
    interval: Option<UnixNanos>,
    /// Start of the first interval.
    began: Option<UnixNanos>,
    /// Flows with something pending, in order of their first packet in the interval.
    touched: Vec<u32>,
    counts: Vec<Count>,
    totals: Totals,
    /// Names are not looked for at present.
    no_names: bool,
    /// Flows and DNS messages in which no name was looked for.
    passed_over: u64,
}

/// What a packet shows of its flow.
#[derive(Debug, Clone, Copy)]
struct Ends<'a> {
    /// The addresses stay where the decoder put them: a copy of what was written a moment before
    /// waits until it is through.
    ip: &'a IpPacket<'a>,
    ports: (u16, u16),
    /// Flags and sequence number of a TCP header.
    tcp: Option<(u8, u32)>,
    /// Of a later fragment: what the first one of its datagram showed.
    first: Option<&'a FiveTuple>,
    /// Where it was seen.
    spot: Spot,
}

impl<'a> Ends<'a> {
    #[inline]
    fn of(ip: &'a IpPacket<'a>, first: Option<&'a FiveTuple>, spot: Spot) -> Self {
        let (ports, tcp) = match &ip.transport {
            Transport::Tcp(t) => ((t.src_port, t.dst_port), Some((t.flags, t.seq))),
            Transport::Udp(u) => ((u.src_port, u.dst_port), None),
            Transport::Ports { src_port, dst_port } => ((*src_port, *dst_port), None),
            Transport::Other(_) | Transport::Unreadable => ((0, 0), None),
        };
        Self { ip, ports, tcp, first, spot }
    }

    #[inline]
    fn key(&self) -> (FlowKey, Side) {
        match &self.first {
            None => FlowKey::of(&self.ip.src, self.ports.0, &self.ip.dst, self.ports.1, self.ip.proto),
            Some(FiveTuple { src, dst, proto }) => FlowKey::of(&src.0, src.1, &dst.0, dst.1, *proto),
        }
    }

    fn flow(&self) -> FiveTuple {
        let own = || {
            let (src, dst) = ((self.ip.src, self.ports.0), (self.ip.dst, self.ports.1));
            FiveTuple { src, dst, proto: self.ip.proto }
        };
        self.first.copied().unwrap_or_else(own)
    }

    /// The packet opens a TCP connection.
    fn is_syn(&self) -> bool {
        self.tcp.is_some_and(|(flags, _)| flags & (Tcp::SYN | Tcp::ACK) == Tcp::SYN)
    }
}

impl Meter {
    /// An empty meter.
    pub fn new(config: MeterConfig) -> Self {
        Self {
            table: FlowTable::new(config.flow_limit),
            config,
            finder: Finder::new(SEARCH_LIMIT),
            dns: DnsTracker::new(DnsLimits::default()),
            stub: StubNames::default(),
            asked: Asked::default(),
            moved: Moved::default(),
            fragments: Fragments::default(),
            copies: Copies::default(),
            carriers: Carriers::default(),
            interval: None,
            began: None,
            touched: Vec::new(),
            counts: Vec::new(),
            totals: Totals::default(),
            no_names: false,
            passed_over: 0,
        }
    }

    /// Whether names are looked for in the packets to come; bytes are counted all the same. For a
    /// recorder that cannot keep up. Flows whose name is not found by then stay without; they and
    /// DNS messages are counted as [`Counter::NamesGivenUp`].
    pub fn look_for_names(&mut self, yes: bool) {
        self.no_names = !yes;
    }

    /// Whether names are looked for.
    pub fn looks_for_names(&self) -> bool {
        !self.no_names
    }

    /// Says that the capture has several interfaces, on which the same packet may be seen more than
    /// once. Without it this shows with the first packet of a second one.
    pub fn expect_copies(&mut self) {
        self.copies.expect();
    }

    /// Changes the list of local networks. Flows that are open keep their direction.
    pub fn set_local(&mut self, local: LocalNets) {
        self.config.local = local;
    }

    /// Changes the addresses by which this machine appears in flows: names that it asks itself for
    /// are told for each of them ([`Self::names_only`]).
    pub fn set_own(&mut self, own: &[OwnAddress]) {
        self.stub.set_own(own);
    }

    /// Counts one frame. When its time lies in another interval than the frame before, that
    /// interval is handed over first; time may go backwards (merged captures).
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn packet<O: Observer>(&mut self, packet: &CapturedPacket<'_>, observer: &mut O) -> Result<(), O::Error> {
        self.enter(packet.ts, observer)?;
        // By reference: taking the packet out would copy it, at 4 % of the time of a packet.
        self.frame(packet, &wire::decode(packet), observer)?;
        match wire::further(packet) {
            None => Ok(()),
            Some(frames) => self.further(packet, frames, observer),
        }
    }

    /// Counts what a frame holds behind its first packet.
    #[cold]
    #[inline(never)]
    fn further<O: Observer>(
        &mut self,
        packet: &CapturedPacket<'_>,
        mut frames: Box<dyn Iterator<Item = Frame<'_>> + '_>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        frames.try_for_each(|frame| self.frame(packet, &frame, observer))
    }

    // Inlined, as all of a packet's way is: as calls, its parts took a tenth more instructions.
    #[inline(always)]
    fn frame<O: Observer>(
        &mut self,
        packet: &CapturedPacket<'_>,
        frame: &Frame<'_>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        self.totals.packets += 1;
        work::step();
        match frame {
            Frame::Ip(ip) => {
                let is_alone = self.copies.is_alone(packet);
                let copy = if is_alone { None } else { self.copies.look(packet, ip) };
                match copy {
                    None => self.ip((packet.ts, spot_of(packet, is_alone)), ip, observer)?,
                    Some(copy) => self.copy(copy, packet.ts, ip, observer)?,
                }
                if !is_alone && self.copies.has_several() {
                    self.follow_carriers(packet, ip, copy.is_some());
                }
                Ok(())
            }
            Frame::NotIp(kind) => {
                self.totals.not_ip_packets += 1;
                self.count(Counter::NotIp(*kind), packet.orig_len.into(), observer)
            }
            &Frame::Undecodable { error, bytes } => {
                self.totals.undecodable_packets += 1;
                self.totals.undecodable_bytes += u64::from(bytes);
                self.count(Counter::Undecodable(error), bytes.into(), observer)
            }
        }
    }

    /// Takes the DNS names out of one frame and counts nothing of it. Of an answer to a loopback
    /// address, or to one of the machine's own, the asker is each address of [`Self::set_own`].
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn names_only<O: Observer>(&mut self, packet: &CapturedPacket<'_>, observer: &mut O) -> Result<(), O::Error> {
        let Frame::Ip(ip) = wire::decode(packet) else {
            return Ok(());
        };
        let Some((names, flows)) = self.stub.packet(packet.ts, &ip) else {
            return Ok(());
        };
        self.enter(packet.ts, observer)?;
        let numbered: Vec<Flow> =
            flows.into_iter().map(|flow| Flow { number: self.table.take_number(), ..flow }).collect();
        names.iter().try_for_each(|seen| tell(&mut self.asked, &numbered, seen, observer))
    }

    /// Hands over what is pending if `now` lies after the current interval. For links on which
    /// nothing arrives.
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn tick<O: Observer>(&mut self, now: UnixNanos, observer: &mut O) -> Result<(), O::Error> {
        match self.interval {
            Some(interval) if now.since(interval) >= self.config.interval_ns => self.enter(now, observer),
            _ => Ok(()),
        }
    }

    /// Hands over everything pending, whatever the time: before a rotation, and at the end.
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn flush<O: Observer>(&mut self, observer: &mut O) -> Result<(), O::Error> {
        let waiting = self.fragments.take_waiting();
        self.without_first(&waiting, observer)?;
        self.hand_over(observer)
    }

    /// Hands over what is booked in the current interval.
    fn hand_over<O: Observer>(&mut self, observer: &mut O) -> Result<(), O::Error> {
        let Some(interval) = self.interval else {
            return Ok(());
        };
        let passed_over = std::mem::take(&mut self.passed_over);
        let names = self.finder.take_given_up() + self.dns.take_given_up() + self.stub.take_given_up();
        let given_up = names + passed_over;
        if given_up > 0 {
            self.counts.push(Count { counter: Counter::NamesGivenUp, packets: given_up, bytes: 0 });
        }
        let not_hosts = self.finder.take_not_hosts();
        if not_hosts > 0 {
            self.counts.push(Count { counter: Counter::NotAHost, packets: not_hosts, bytes: 0 });
        }
        for count in self.carriers.settle(&mut self.table) {
            self.totals.carried_bytes += count.bytes;
            self.counts.push(count);
        }
        self.hand_over_booked(interval, observer)
    }

    /// Hands over what is booked so far in the current interval, which goes on: what is booked from
    /// here on comes as further rows of it, which add up. Tells whether it did; where a tunnel is
    /// followed it does nothing, as how much of its carrier's bytes are counted inside is settled
    /// when the interval is over.
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn save<O: Observer>(&mut self, observer: &mut O) -> Result<bool, O::Error> {
        match self.interval {
            Some(interval) if self.carriers.is_idle() => self.hand_over_booked(interval, observer).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Whether anything is booked that [`Self::save`] would hand over.
    pub fn has_booked(&self) -> bool {
        !self.touched.is_empty() || !self.counts.is_empty()
    }

    fn hand_over_booked<O: Observer>(&mut self, interval: UnixNanos, observer: &mut O) -> Result<(), O::Error> {
        self.hand_over_counts(interval, observer)?;
        for slot in self.touched.drain(..) {
            let Some(entry) = self.table.get_mut(slot) else {
                continue;
            };
            // A slot may have been freed and taken again within the interval: then it stands here
            // twice.
            if std::mem::take(&mut entry.touched) {
                let usage = std::mem::take(&mut entry.pending);
                entry.mac_is_settled = true; // or never: see `Entry`
                observer.usage(&entry.flow, interval, usage)?;
            }
        }
        Ok(())
    }

    /// Start of the current interval; `None` before the first packet.
    pub fn now(&self) -> Option<UnixNanos> {
        self.interval
    }

    /// Flows that are known at this moment.
    pub fn flows(&self) -> usize {
        self.table.len()
    }

    /// Totals since the meter was made.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Makes the interval of `ts` the current one.
    #[inline]
    fn enter<O: Observer>(&mut self, ts: UnixNanos, observer: &mut O) -> Result<(), O::Error> {
        if let Some(interval) = self.interval
            && (0..self.config.interval_ns).contains(&ts.since(interval))
        {
            return Ok(());
        }
        self.change_interval(ts, observer)
    }

    #[cold]
    fn change_interval<O: Observer>(&mut self, ts: UnixNanos, observer: &mut O) -> Result<(), O::Error> {
        let alone = self.fragments.expired(ts);
        self.without_first(&alone, observer)?;
        self.hand_over(observer)?;
        self.interval = Some(ts.floor_to(self.config.interval_ns));
        self.began = self.began.or(self.interval);
        while let Some(slot) = self.table.expired(ts.0) {
            self.end_flow(slot, observer)?;
        }
        Ok(())
    }

    fn count<O: Observer>(&mut self, counter: Counter, bytes: u64, observer: &mut O) -> Result<(), O::Error> {
        work::steps(self.counts.len());
        if let Some(count) = self.counts.iter_mut().find(|c| c.counter == counter) {
            count.packets += 1;
            count.bytes += bytes;
            return Ok(());
        }
        if self.counts.len() >= COUNTS_LIMIT
            && let Some(interval) = self.interval
        {
            self.hand_over_counts(interval, observer)?;
        }
        self.counts.push(Count { counter, packets: 1, bytes });
        Ok(())
    }

    fn hand_over_counts<O: Observer>(&mut self, interval: UnixNanos, observer: &mut O) -> Result<(), O::Error> {
        if self.counts.is_empty() {
            return Ok(());
        }
        observer.counts(interval, &self.counts)?;
        self.counts.clear();
        Ok(())
    }

    #[inline(always)]
    fn ip<O: Observer>(
        &mut self,
        (ts, spot): (UnixNanos, Spot),
        ip: &IpPacket<'_>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        self.totals.ip_packets += 1;
        self.totals.ip_bytes += u64::from(ip.ip_bytes);
        if let Some(error) = ip.note {
            self.count(Counter::Note(error), ip.ip_bytes.into(), observer)?;
        }
        if ip.length_from_frame {
            self.count(Counter::LengthFromFrame, ip.ip_bytes.into(), observer)?;
        }
        match ip.fragment {
            None => self.in_flow((ts, spot), ip, None, observer),
            Some(part) => self.fragment((ts, spot), ip, part, observer),
        }
    }

    /// As [`Self::in_flow`], for fragments.
    #[inline(never)]
    fn fragment_in_flow<O: Observer>(
        &mut self,
        at: (UnixNanos, Spot),
        ip: &IpPacket<'_>,
        first: Option<&First>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        self.in_flow(at, ip, first, observer)
    }

    /// Books a packet in its flow, and looks for names. `first`: of a later fragment, what the
    /// first one showed.
    #[inline(always)]
    fn in_flow<O: Observer>(
        &mut self,
        (ts, spot): (UnixNanos, Spot),
        ip: &IpPacket<'_>,
        first: Option<&First>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let ends = Ends::of(ip, first.map(|first| &first.flow), spot);
        let (key, side) = ends.key();
        let slot = match self.table.find(&key) {
            Some(slot) if !self.begins_anew(slot, &ends) && !self.is_another_device(slot, ip) => slot,
            found => {
                if let Some(slot) = found {
                    self.end_flow(slot, observer)?;
                }
                self.begin_flow(ts, ip, &ends, (key, side), observer)?
            }
        };
        self.book(slot, ts, ip, side);
        if let Some((flags, _)) = ends.tcp {
            self.follow_tcp(slot, flags, side);
        }
        self.names(slot, ts, ip, (side, first), observer)
    }

    /// Counts a packet that was counted where it was seen first. Where there is more of it here, a
    /// tunnel around it, its flow gets that: so the longest of all copies counts, and the names
    /// inside.
    #[inline(never)]
    fn copy<O: Observer>(
        &mut self,
        copy: Copy,
        ts: UnixNanos,
        ip: &IpPacket<'_>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let (key, side) = Ends::of(ip, None, Spot::default()).key();
        let slot = self.table.find(&key).filter(|_| copy.more_bytes > 0);
        let more_bytes = slot.map_or(0, |_| copy.more_bytes);
        if let Some(slot) = slot {
            self.book_more(slot, ts, side, more_bytes.into());
        }
        let bytes = u64::from(ip.ip_bytes.saturating_sub(more_bytes));
        self.totals.ip_bytes += u64::from(more_bytes);
        self.totals.copies += 1;
        self.totals.copies_bytes += bytes;
        self.count(Counter::Copy, bytes, observer)
    }

    #[inline(never)]
    fn follow_carriers(&mut self, packet: &CapturedPacket<'_>, ip: &IpPacket<'_>, is_copy: bool) {
        let (key, side) = Ends::of(ip, None, Spot::default()).key();
        if let Some(slot) = self.table.find(&key)
            && let Some(entry) = self.table.get(slot)
        {
            let up = entry.client_is_low == (side == Side::Low);
            self.carriers.packet(packet, ip, slot, up, is_copy);
        }
    }

    /// Books a fragment where the first one of its datagram is, as soon as that is known.
    #[cold]
    fn fragment<O: Observer>(
        &mut self,
        at: (UnixNanos, Spot),
        ip: &IpPacket<'_>,
        part: Fragment,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        match self.fragments.see(at, ip, part, Ends::of(ip, None, Spot::default()).flow()) {
            Seen::First(first, waited) => {
                self.fragment_in_flow(at, ip, None, observer)?;
                waited
                    .iter()
                    .try_for_each(|early| self.fragment_in_flow(early.at, &early.packet(), Some(&first), observer))
            }
            Seen::Later(first) => self.fragment_in_flow(at, ip, Some(&first), observer),
            Seen::Alone => self.fragment_in_flow(at, ip, None, observer),
            Seen::Waits(done) => self.without_first(&done, observer),
        }
    }

    /// Books fragments whose first one did not come, without ports.
    fn without_first<O: Observer>(&mut self, fragments: &[Early], observer: &mut O) -> Result<(), O::Error> {
        fragments.iter().try_for_each(|early| self.fragment_in_flow(early.at, &early.packet(), None, observer))
    }

    /// A SYN with another sequence number than the one that began the flow: the ports are used
    /// again.
    fn begins_anew(&self, slot: u32, ends: &Ends<'_>) -> bool {
        ends.is_syn()
            && self.table.get(slot).is_some_and(|entry| {
                let same = entry.isn().is_some() && entry.isn() == ends.tcp.map(|(_, seq)| seq);
                // The SYN may also come after its SYN+ACK (reordering): that flow has begun, but
                // knows no number yet.
                let unknown = entry.isn().is_none() && entry.flow.begin_seen;
                !same && !unknown
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

    fn begin_flow<O: Observer>(
        &mut self,
        ts: UnixNanos,
        ip: &IpPacket<'_>,
        ends: &Ends<'_>,
        (key, side): (FlowKey, Side),
        observer: &mut O,
    ) -> Result<u32, O::Error> {
        if self.table.is_full()
            && let Some(oldest) = self.table.oldest()
        {
            self.end_flow(oldest, observer)?;
        }
        let FiveTuple { src, dst, proto } = ends.flow();
        let (src_is_client, scope) = self.orient(ends);
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
            opened: opener(ends, ip, src_is_client, self.may_be_older(ts)),
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

    /// Whether the source is the client, and where the two ends are.
    fn orient(&self, ends: &Ends<'_>) -> (bool, Scope) {
        let FiveTuple { src, dst, .. } = ends.flow();
        // Whoever sends to a group is the client, and a group is never out in the Internet, whoever
        // sends to it.
        if self.config.local.is_group(dst.0) || is_link_broadcast(ends.ip) {
            return (true, Scope::Local);
        }
        if self.config.local.is_group(src.0) {
            return (false, Scope::Local);
        }
        match (self.config.local.contains(src.0), self.config.local.contains(dst.0)) {
            (true, false) => (true, Scope::Remote),
            (false, true) if is_private_broadcast(ends.ip) => (true, Scope::Local),
            (false, true) => (false, Scope::Remote),
            (true, true) => (opened_by_source(ends), Scope::Local),
            (false, false) => (opened_by_source(ends), Scope::Transit),
        }
    }

    /// Adds bytes of a packet that was booked before.
    fn book_more(&mut self, slot: u32, ts: UnixNanos, side: Side, bytes: u64) {
        let Some(entry) = self.table.get_mut(slot) else {
            return;
        };
        match entry.client_is_low == (side == Side::Low) {
            true => entry.pending.up_bytes += bytes,
            false => entry.pending.down_bytes += bytes,
        }
        if !std::mem::replace(&mut entry.touched, true) {
            self.touched.push(slot);
            self.table.refresh(slot, ts.0);
        }
    }

    #[inline(always)]
    fn book(&mut self, slot: u32, ts: UnixNanos, ip: &IpPacket<'_>, side: Side) {
        let Some(entry) = self.table.get_mut(slot) else {
            return;
        };
        let bytes = u64::from(ip.ip_bytes);
        let up = entry.client_is_low == (side == Side::Low);
        if up {
            entry.pending.up_packets += 1;
            entry.pending.up_bytes += bytes;
        } else {
            entry.pending.down_packets += 1;
            entry.pending.down_bytes += bytes;
        }
        let sides = entry.sides | if up { 1 } else { 2 };
        let newly_answered = sides == 3 && entry.sides != 3;
        entry.sides = sides;
        // SLL shows the sender's hardware address only: the client's comes with its first packet.
        if !entry.mac_is_settled {
            entry.flow.client_mac = client_mac(ip, up);
            entry.mac_is_settled = entry.flow.client_mac.is_some();
        }
        if !std::mem::replace(&mut entry.touched, true) {
            self.touched.push(slot);
            self.table.refresh(slot, ts.0);
        }
        if newly_answered {
            self.answered(slot);
        }
    }

    /// A flow is answered once both sides have sent something.
    #[cold]
    fn answered(&mut self, slot: u32) {
        let Some(entry) = self.table.get(slot) else {
            return;
        };
        let class = if entry.flow.proto == TCP { Class::Stream } else { Class::Datagram };
        if self.table.class(slot) == Some(Class::Unanswered) {
            self.table.reclass(slot, class);
        }
    }

    fn follow_tcp(&mut self, slot: u32, flags: u8, side: Side) {
        if flags & (Tcp::FIN | Tcp::RST) == 0 {
            return;
        }
        let Some(entry) = self.table.get_mut(slot) else {
            return;
        };
        if flags & Tcp::FIN != 0 {
            entry.fins |= if side == Side::Low { 1 } else { 2 };
        }
        if flags & Tcp::RST != 0 || entry.fins == 3 {
            self.table.reclass(slot, Class::Closed);
        }
    }

    /// Hands over the names that a packet completes: inside its flow, and by DNS.
    #[inline(always)]
    fn names<O: Observer>(
        &mut self,
        slot: u32,
        ts: UnixNanos,
        ip: &IpPacket<'_>,
        (side, first): (Side, Option<&First>),
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let Some(entry) = self.table.get_mut(slot) else { return Ok(()) };
        let from_client = entry.client_is_low == (side == Side::Low);
        if self.no_names {
            self.pass_over(slot, ip);
            return Ok(());
        }
        if !entry.search.is_done() {
            let found = match (&ip.transport, ip.fragment) {
                (Transport::Tcp(tcp), _) => self.finder.tcp(&mut entry.search, from_client, tcp),
                (Transport::Udp(udp), None) => {
                    let found = self.finder.udp(&mut entry.search, from_client, udp);
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
                    name_in_fragment(&mut self.finder, search, (ts, from_client), ip, (part, first))
                }
            };
            if let Some((kind, name)) = found {
                let (asker_is_server, relayed) = (!from_client, entry.search.is_relayed());
                let (chain, addresses) = (Vec::new(), Vec::new());
                let seen = NameSeen { ts, kind, name, chain, addresses, asker_is_server, relayed };
                entry.flow.set_name(FlowName::of(&seen));
                (entry.has_name, entry.mac_is_settled) = (true, true);
                entry.wants_id = from_client && matches!(ip.transport, Transport::Udp(_));
                return observer.name(&entry.flow, &seen);
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
        if let Some(seen) = dhcp_name(ts, ip, from_client) {
            entry.mac_is_settled = true;
            return observer.name(&entry.flow, &seen);
        }
        let seen = match first {
            None => dns_names(&mut self.dns, ts, ip, from_client),
            Some(first) => dns_in_fragment(&mut self.dns, (ts, from_client), ip, first),
        };
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

    /// Takes a flow out of the table and hands over what was pending.
    fn end_flow<O: Observer>(&mut self, slot: u32, observer: &mut O) -> Result<(), O::Error> {
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

/// Where a packet was seen. The number of its interface is what a cooked header says, else the
/// capture's own; packets of captures with one interface (`is_alone`) have no such header.
#[inline]
fn spot_of(packet: &CapturedPacket<'_>, is_alone: bool) -> Spot {
    let interface = match if is_alone { 0 } else { cooked_index(packet) } {
        0 => packet.interface,
        index => index,
    };
    Spot { interface, vlan: wire::vlan(packet) }
}

/// Hands over a name of DNS in each of these flows; a query only in the one whose device began a
/// flow at that moment, or once it does.
fn tell<O: Observer>(asked: &mut Asked, flows: &[Flow], seen: &NameSeen, observer: &mut O) -> Result<(), O::Error> {
    if seen.kind == NameKind::DnsQuery {
        return asked.query(flows, seen).map_or(Ok(()), |flow| observer.name(&flow, seen));
    }
    flows.iter().try_for_each(|flow| observer.name(flow, seen))
}

/// The name that a fragment completes. Of a TCP segment each fragment is a segment of its own.
#[cold]
fn name_in_fragment(
    finder: &mut Finder,
    search: &mut Search,
    (ts, from_client): (UnixNanos, bool),
    ip: &IpPacket<'_>,
    (part, first): (Fragment, Option<&First>),
) -> Option<(NameKind, Name)> {
    if let (Transport::Other(bytes), Some(first)) = (&ip.transport, first)
        && let Some(tcp) = first.segment(part, bytes)
    {
        return finder.tcp(search, from_client, &tcp);
    }
    let ports = match (&ip.transport, ip.datagram?.proto) {
        (Transport::Udp(udp), UDP) => (udp.src_port, udp.dst_port),
        (_, UDP) => (0, 0),
        _ => return None,
    };
    let passage = Passage { ts, src: (ip.src, ports.0).into(), dst: (ip.dst, ports.1).into(), from_client };
    finder.udp_fragment(search, &passage, part, &ip.transport)
}

/// What a packet says by DNS; mostly nothing, and then nothing is allocated.
#[inline]
pub(super) fn dns_names(dns: &mut DnsTracker, ts: UnixNanos, ip: &IpPacket<'_>, from_client: bool) -> Vec<NameSeen> {
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

/// Who opened a flow with this first packet, as far as it shows. Of TCP without SYN the ports are
/// the only sign; where they show nothing, the connection may be as old as it likes. Of datagrams
/// who was heard first opened it, where that cannot be an answer to something older. What has
/// neither ports nor types may go on from anywhere.
fn opener(ends: &Ends<'_>, ip: &IpPacket<'_>, src_is_client: bool, may_be_older: bool) -> Opener {
    let heard_first = || (src_is_client || !may_be_older).then_some(true);
    let by_source = match ends.tcp {
        Some((flags, _)) if flags & Tcp::SYN == 0 => ports_tell(ends),
        Some(_) => Some(opened_by_source(ends)),
        None => match &ip.transport {
            Transport::Udp(_) => ports_tell(ends).or_else(heard_first),
            // What a later fragment holds is no header.
            Transport::Other(_) if ip.fragment.is_some_and(|part| part.offset_bytes > 0) => None,
            Transport::Other(message) if ends.ports == (0, 0) => echo(ip.proto, message),
            _ if ends.ports != (0, 0) => ports_tell(ends).or_else(heard_first),
            _ => None,
        },
    };
    match by_source {
        None => Opener::Unknown,
        Some(yes) if yes == src_is_client => Opener::Client,
        Some(_) => Opener::Server,
    }
}

/// Whether an ICMP message asks (`true`) or answers; `None` for errors and what is no ICMP (RFC
/// 792, RFC 4443 section 4).
fn echo(proto: u8, message: &[u8]) -> Option<bool> {
    match (proto, message.first()?) {
        (ICMP, 8 | 13 | 15 | 17) | (ICMPV6, 128) => Some(true),
        (ICMP, 0 | 14 | 16 | 18) | (ICMPV6, 129) => Some(false),
        _ => None,
    }
}

/// Whether the ports of a packet show that its source opened the flow: services listen on
/// well-known ports, and programs that connect get ephemeral ones.
fn ports_tell(ends: &Ends<'_>) -> Option<bool> {
    let FiveTuple { src: (_, src), dst: (_, dst), .. } = ends.flow();
    let well_known = |port: u16| port < 1024;
    match (well_known(src), well_known(dst), src >= FIRST_EPHEMERAL_PORT, dst >= FIRST_EPHEMERAL_PORT) {
        (true, false, ..) => Some(false),
        (false, true, ..) => Some(true),
        (.., false, true) => Some(false),
        (.., true, false) => Some(true),
        _ => None,
    }
}

/// Whether a packet goes to all hosts of its link: to an address that can be the highest of a
/// network (RFC 922 section 7), in a frame to everybody. The frame alone does not say so: programs
/// that make up packets leave its address at that.
fn is_link_broadcast(ip: &IpPacket<'_>) -> bool {
    let IpAddr::V4(dst) = ip.dst else { return false };
    let [.., last] = dst.octets();
    last & 3 == 3 && ip.dst_mac == Some(Mac::BROADCAST) && ip.depth == 1 && ip.proto != TCP
}

/// Whether a datagram from outside goes to what is a broadcast address in most private networks:
/// 192.168.x.255, else x.x.255.255. Who has such an address all the same speaks first, and is found
/// by that.
fn is_private_broadcast(ip: &IpPacket<'_>) -> bool {
    let IpAddr::V4(dst) = ip.dst else { return false };
    let ends_so = matches!(dst.octets(), [192, 168, _, 255] | [10 | 172, _, 255, 255]);
    ends_so && dst.is_private() && ip.proto == UDP
}

/// Hardware address of the client; a group's is nobody's.
#[inline]
fn client_mac(ip: &IpPacket<'_>, src_is_client: bool) -> Option<Mac> {
    if src_is_client { ip.src_mac } else { ip.dst_mac.filter(|mac| !mac.is_group()) }
}

/// Whether the source of a flow's first packet opened it: by SYN, else the ephemeral port is the
/// client's, else who was heard first.
fn opened_by_source(ends: &Ends<'_>) -> bool {
    if let Some((flags, _)) = ends.tcp
        && flags & Tcp::SYN != 0
    {
        return flags & Tcp::ACK == 0;
    }
    let FiveTuple { dst: (group, _), .. } = ends.flow();
    let to_all = group.is_multicast() || matches!(group, IpAddr::V4(group) if group.is_broadcast());
    to_all || ports_tell(ends).unwrap_or(true)
}
