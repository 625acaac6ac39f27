//! The meter: packets in, observations out.

mod asks;
mod ends;
mod flows;
mod hand_over;
mod known;
mod named;
mod pieces;

pub(super) use named::dns_names;

use self::asks::Followed;
use self::ends::{Ends, client_mac};
use self::named::tell;
use super::asked::Asked;
use super::carriers::Carriers;
use super::copies::{Copies, cooked_index};
use super::expected::Expected;
use super::fragment::{First, Fragments};
use super::moved::Moved;
use super::stub::{OwnAddress, StubNames};
use super::{Count, Counter, Observer};
use crate::flow::{Class, Flow, FlowTable, Side};
use crate::local::LocalNets;
use crate::names::finder::Finder;
use crate::names::resolver::{DnsLimits, DnsTracker};
use crate::packet::{CapturedPacket, Spot};
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use crate::wire::{self, Frame, IpPacket, Tcp};
use crate::work;

/// Flows held at a time: with about 250 bytes each, the table stays near 16 MiB when it is full,
/// within the 32 MiB that the recorder may take.
const FLOW_LIMIT: usize = 65_536;

/// Flows in name search at a time; each may hold some KiB until its hello is complete, which takes
/// one round trip.
const SEARCH_LIMIT: usize = 1_024;

/// IANA protocol number of TCP.
const TCP: u8 = 6;

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

/// What becomes of names in packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As ever.
    LookedFor,
    /// Counted as not looked for.
    PassedOver,
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
    expected: Expected,
    followed: Followed,
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
            expected: Expected::default(),
            followed: Followed::default(),
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

    /// What becomes of names in the packets to come; bytes are counted all the same. For a recorder
    /// that cannot keep up. Flows whose name is not found by then stay without; they and
    /// DNS messages are counted as [`Counter::NamesGivenUp`].
    pub fn set_names(&mut self, names: Names) {
        self.no_names = names == Names::PassedOver;
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
        match wire::common(packet) {
            Some(common) if self.book_known(packet, &common) => return Ok(()),
            Some(common) => self.frame(packet, &Frame::Ip(common.packet()), observer)?,
            None => self.frame(packet, &wire::uncommon(packet), observer)?,
        }
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
                if self.copies.is_alone(packet) {
                    return self.ip((packet.ts, spot_of(packet, true)), ip, observer);
                }
                self.ip_of_several(packet, ip, observer)
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

    /// Counts a packet that may have been seen on another interface before.
    #[inline(never)]
    fn ip_of_several<O: Observer>(
        &mut self,
        packet: &CapturedPacket<'_>,
        ip: &IpPacket<'_>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let first = self.copies.as_first(ip);
        let copy = self.copies.look(packet, ip, first.as_ref());
        // What is longer here goes into the flow that stands for this one, perhaps known only now.
        let first = match copy {
            Some(copy) if copy.more_bytes > 0 => first.or_else(|| self.copies.as_first(ip)),
            _ => first,
        };
        let ip = first.as_ref().unwrap_or(ip);
        match copy {
            None => self.ip((packet.ts, spot_of(packet, false)), ip, observer)?,
            Some(copy) => self.copy(copy, packet.ts, ip, observer)?,
        }
        if self.copies.has_several() {
            self.follow_carriers(packet, ip, copy.is_some());
        }
        Ok(())
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
        let (slot, side) = self.flow_of(ts, ip, &ends, observer)?;
        self.book(slot, ts, ip, side);
        if let Some((flags, _)) = ends.tcp {
            self.follow_tcp(slot, flags, side);
        }
        self.names((slot, side), (ts, first), ip, observer)?;
        if self.may_ask((slot, side), ip) {
            return self.ask((slot, side), ts, ip, observer);
        }
        Ok(())
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
        entry.pending.add_packet(up, bytes);
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
