//! What a flow asks for once it has a name: requests of HTTP for other hosts over one connection,
//! and connections of QUIC or DTLS on ports that are used again. Each begins a flow of its own.
//!
//! A request that begins a packet and names its host in it begins its flow before the packet is
//! booked (`flows.rs`). Here are the others: behind another request in one packet, and those that
//! do not say in one packet whom they ask for. Of a packet with several requests each has its own
//! bytes; headers of the packet, and the packet itself, count for the first. What a request moves
//! whose host is not known yet is booked nowhere until it is; at the end of the interval at the
//! latest it stays with the host before, and the request's flow begins with what comes then.

mod next;

use self::next::{Next, Place, answers, goes_on_in_chunks, is_whole, part_of};
use super::super::{Observer, Usage};
use super::Meter;
use crate::flow::{Asks, Entry, FlowName, Side};
use crate::names::finder::{Extent, FromClient, PREFACE, Requests, Search, asked_host, connection_of, extent};
use crate::names::{Name, NameKind, NameSeen};
use crate::time::UnixNanos;
use crate::wire::{IpPacket, Tcp, Transport, Udp};
use std::collections::{BTreeMap, VecDeque};

/// Flows followed at a time; beyond it the one that was silent longest is given up, and keeps its
/// name. Only those with a request that goes over the end of a packet are followed. Each holds a
/// header (16 KiB), or a header block and a table of HTTP/2 (32 and 96 KiB): 32 MiB at worst.
const LIMIT: usize = 256;

/// Most requests looked at in one packet, which offload may make 64 KiB long.
const MAX_REQUESTS: usize = 64;

/// What a flow that is followed is about.
#[derive(Debug)]
struct Ask {
    from_client: bool,
    /// A request, or a hello, of which it is not known whom it asks for.
    open: Option<Open>,
    next: Next,
}

impl Ask {
    /// Nothing but a body that goes on behind this segment.
    fn goes_on(&self, ip: &IpPacket<'_>) -> bool {
        match (&self.open, &self.next, &ip.transport) {
            (None, Next::InChunks, Transport::Tcp(tcp)) => goes_on_in_chunks(tcp),
            (None, Next::At(next), Transport::Tcp(tcp)) => {
                next.wrapping_sub(tcp.seq.wrapping_add(tcp.payload_len)).cast_signed() > 0
            }
            _ => false,
        }
    }
}

/// A search for the host of a request, beside the one that named the flow.
#[derive(Debug)]
struct Open {
    search: Search,
    /// What it moved in this interval; of no flow as yet.
    usage: Usage,
    ts: UnixNanos,
    seq: u32,
}

/// The flows that are followed, by their slots.
#[derive(Debug, Default)]
pub(super) struct Followed {
    asks: BTreeMap<u32, Ask>,
    /// The same slots, the one that was silent longest first.
    order: VecDeque<u32>,
}

/// A packet of the side that asks.
#[derive(Clone, Copy)]
struct At<'a> {
    slot: u32,
    ts: UnixNanos,
    from_client: bool,
    ip: &'a IpPacket<'a>,
}

impl At<'_> {
    /// So much of this packet.
    fn usage(&self, packets: u64, bytes: u32) -> Usage {
        let bytes = u64::from(bytes);
        match self.from_client {
            true => Usage { up_packets: packets, up_bytes: bytes, ..Usage::default() },
            false => Usage { down_packets: packets, down_bytes: bytes, ..Usage::default() },
        }
    }

    /// All of it.
    fn whole(&self) -> Usage {
        self.usage(1, self.ip.ip_bytes)
    }
}

impl Meter {
    /// Whether a packet may ask for another host than the one that names its flow.
    #[inline(always)]
    pub(super) fn may_ask(&self, (slot, side): (u32, Side), ip: &IpPacket<'_>) -> bool {
        let Some(entry) = self.table.get(slot) else { return false };
        if entry.asks == Asks::No {
            return false;
        }
        let from_client = entry.client_is_low == (side == Side::Low);
        let is_followed = entry.asks == if from_client { Asks::ClientFollowed } else { Asks::ServerFollowed };
        match &ip.transport {
            Transport::Tcp(tcp) => match tcp.payload.first() {
                Some(b'A'..=b'Z') => true,
                first => is_followed && first.is_some(),
            },
            Transport::Udp(udp) => matches!(udp.payload.first(), Some(&(0xc0.. | super::flows::HANDSHAKE))),
            _ => false,
        }
    }

    /// Looks for what a packet asks for, behind the name of its flow. Of a flow with a name only
    /// the side that was named asks.
    #[inline(never)]
    pub(super) fn ask<O: Observer>(
        &mut self,
        (slot, side): (u32, Side),
        ts: UnixNanos,
        ip: &IpPacket<'_>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let Some(entry) = self.table.get(slot).filter(|_| ip.fragment.is_none() && !self.no_names) else {
            return Ok(());
        };
        let from_client = entry.client_is_low == (side == Side::Low);
        if entry.flow.name.as_ref().is_some_and(|name| name.from_server == from_client) {
            self.answered_in_chunks(slot, &ip.transport);
            return Ok(());
        }
        let at = At { slot, ts, from_client, ip };
        let ask = match self.followed.asks.get(&slot) {
            Some(ask) if ask.from_client != from_client || ask.goes_on(ip) => return Ok(()),
            Some(_) => self.unfollow(slot),
            None => None,
        };
        match &ip.transport {
            Transport::Tcp(tcp) => self.requests(at, tcp, ask, observer),
            Transport::Udp(udp) => self.hello(at, udp, ask, observer),
            _ => Ok(()),
        }
    }

    fn requests<O: Observer>(
        &mut self,
        mut at: At<'_>,
        tcp: &Tcp<'_>,
        ask: Option<Ask>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let (mut open, mut offset) = (None, 0);
        if let Some(Ask { next: Next::InFrames { next, requests }, .. }) = ask {
            return self.frames(at, tcp, (next, requests), observer);
        }
        if tcp.payload.starts_with(PREFACE) {
            let next = tcp.seq.wrapping_add(PREFACE.len() as u32);
            return self.frames(at, tcp, (next, Box::default()), observer);
        }
        if let Some(ask) = ask {
            if let Some(mut asked) = ask.open {
                asked.usage.add(self.take_booked(at.slot, at.whole()));
                (at.slot, open) = self.decide(at, asked, &at.ip.transport, observer)?;
            }
            match ask.next.in_segment(tcp) {
                Place::Here(place) => offset = place,
                Place::Frames(next) => return self.frames(at, tcp, (next, Box::default()), observer),
                Place::Later(next) => {
                    self.follow(at, open, next);
                    return Ok(());
                }
                Place::Unknown => {}
            }
        }
        let mut next = Next::Unknown;
        for _ in 0..MAX_REQUESTS {
            let Some(piece) = part_of(tcp, offset) else { break };
            let extent = extent(piece.payload);
            if extent == Extent::No {
                break;
            }
            let is_told = || extent != Extent::Unfinished || asked_host(piece.payload).is_some();
            if open.is_none() && (offset > 0 || !is_told()) && self.may_be_another(at, &piece) {
                let usage = if offset == 0 { at.whole() } else { at.usage(0, piece.payload_len) };
                let usage = self.take_booked(at.slot, usage);
                let asked = Open { search: Search::default(), usage, ts: at.ts, seq: piece.seq };
                (at.slot, open) = self.decide(at, asked, &Transport::Tcp(piece), observer)?;
            }
            next = Next::of(extent, &piece);
            match extent {
                Extent::Whole(len) => offset = offset.saturating_add(len),
                _ => break,
            }
        }
        // Where it begins the next packet, that shows by itself.
        let next = match next {
            Next::At(seq) if seq == tcp.seq.wrapping_add(tcp.payload_len) => Next::Unknown,
            next => next,
        };
        self.follow(at, open, next);
        Ok(())
    }

    /// Reads what a segment has of a connection of HTTP/2. A request for another host begins a
    /// flow, at its first frame; with this segment, if that began in an earlier one.
    fn frames<O: Observer>(
        &mut self,
        mut at: At<'_>,
        tcp: &Tcp<'_>,
        (next, mut requests): (u32, Box<Requests>),
        observer: &mut O,
    ) -> Result<(), O::Error> {
        // Behind a gap the rest cannot be read.
        let Ok(old) = usize::try_from(next.wrapping_sub(tcp.seq).cast_signed()) else { return Ok(()) };
        let Some(fresh) = part_of(tcp, old) else {
            self.follow(at, None, Next::InFrames { next, requests });
            return Ok(());
        };
        let Ok(found) = requests.read(fresh.payload) else { return Ok(()) };
        for request in found.into_iter().take(MAX_REQUESTS) {
            let name = self.table.get(at.slot).and_then(|entry| entry.flow.name.as_ref());
            if name.is_none_or(|name| name.name == request.host) {
                continue;
            }
            let Some(piece) = part_of(&fresh, request.at) else { continue };
            let usage = if request.at == 0 { at.whole() } else { at.usage(0, piece.payload_len) };
            let usage = self.take_booked(at.slot, usage);
            let search = Search::of_asked(request.relayed);
            let asked = Open { search, usage, ts: at.ts, seq: piece.seq };
            at.slot = self.begin_asked(at.slot, asked, at.from_client, observer)?;
            self.name_flow((at.slot, at.from_client), at.ts, (NameKind::Http, request.host), observer)?;
        }
        if is_whole(&fresh) {
            let next = fresh.seq.wrapping_add(fresh.payload_len);
            self.follow(at, None, Next::InFrames { next, requests });
        }
        Ok(())
    }

    /// Whether a request may be for another host than the flow's: one that is not sent again, and
    /// stands in no tunnel.
    fn may_be_another(&self, at: At<'_>, piece: &Tcp<'_>) -> bool {
        let Some(entry) = self.table.get(at.slot).filter(|entry| entry.search.is_done()) else { return false };
        let Some(name) = &entry.flow.name else { return false };
        let is_old = entry.asked_at != 0 && piece.seq.wrapping_sub(entry.asked_at).cast_signed() <= 0;
        // Of a header that was cut the host may be missing for good.
        name.kind == NameKind::Http && !is_old && is_whole(piece)
    }

    /// A datagram that may begin another connection: QUIC under an id that neither end of this one
    /// chose, or a hello of DTLS.
    fn hello<O: Observer>(
        &mut self,
        at: At<'_>,
        udp: &Udp<'_>,
        ask: Option<Ask>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let mut asked = match ask.and_then(|ask| ask.open) {
            Some(open) => open,
            None if self.may_be_new(at, udp) => {
                let search = self.table.get(at.slot).map(|entry| entry.search.behind()).unwrap_or_default();
                Open { search, usage: Usage::default(), ts: at.ts, seq: 0 }
            }
            None => return Ok(()),
        };
        asked.usage.add(self.take_booked(at.slot, at.whole()));
        let (slot, open) = self.decide(at, asked, &at.ip.transport, observer)?;
        self.follow(At { slot, ..at }, open, Next::Unknown);
        Ok(())
    }

    fn may_be_new(&self, at: At<'_>, udp: &Udp<'_>) -> bool {
        let Some(entry) = self.table.get(at.slot).filter(|entry| entry.search.is_done()) else { return false };
        match connection_of(udp) {
            Some((id, number)) => number != entry.asked_at && !self.moved.is_of_server(&entry.flow, id),
            None => udp.payload.first() == Some(&super::flows::HANDSHAKE),
        }
    }

    /// Shows a packet to the search for a request's host. The request begins a flow if that is
    /// another than before; else what it moved goes back. Gives the flow that goes on.
    fn decide<O: Observer>(
        &mut self,
        at: At<'_>,
        mut open: Open,
        shown: &Transport<'_>,
        observer: &mut O,
    ) -> Result<(u32, Option<Open>), O::Error> {
        let side = FromClient(at.from_client);
        let found = match shown {
            Transport::Tcp(tcp) => self.finder.tcp(&mut open.search, side, tcp),
            Transport::Udp(udp) => self.finder.udp(&mut open.search, side, udp),
            _ => None,
        };
        let is_same = |(_, name): &(NameKind, Name)| {
            let known = self.table.get(at.slot).and_then(|entry| entry.flow.name.as_ref());
            known.is_some_and(|known| known.name == *name)
        };
        match found {
            Some(found) if !is_same(&found) => {
                let slot = self.begin_asked(at.slot, open, at.from_client, observer)?;
                self.name_flow((slot, at.from_client), at.ts, found, observer)?;
                if let Some(entry) = self.table.get_mut(slot) {
                    note_connection(entry, shown);
                }
                Ok((slot, None))
            }
            None if open.search.holds() => Ok((at.slot, Some(open))),
            _ => {
                self.finder.release(&mut open.search);
                self.give_back(at.slot, open.usage);
                Ok((at.slot, None))
            }
        }
    }

    /// The flow of a request begins, in the place of the one before.
    fn begin_asked<O: Observer>(
        &mut self,
        slot: u32,
        open: Open,
        from_client: bool,
        observer: &mut O,
    ) -> Result<u32, O::Error> {
        let Some(key) = self.table.get(slot).map(|entry| entry.key()) else { return Ok(slot) };
        let slot = self.part_flow((slot, key), (open.ts, open.seq), observer)?;
        if let Some(entry) = self.table.get_mut(slot) {
            entry.search = open.search;
            entry.sides |= if from_client { 1 } else { 2 };
        }
        self.give_back(slot, open.usage);
        Ok(slot)
    }

    /// A flow has this name from now on.
    #[inline(never)]
    pub(super) fn name_flow<O: Observer>(
        &mut self,
        (slot, from_client): (u32, bool),
        ts: UnixNanos,
        (kind, name): (NameKind, Name),
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let Some(entry) = self.table.get_mut(slot) else { return Ok(()) };
        let (asker_is_server, relayed) = (!from_client, entry.search.is_relayed());
        let (chain, addresses) = (Vec::new(), Vec::new());
        let seen = NameSeen { ts, kind, name, chain, addresses, asker_is_server, relayed };
        entry.flow.set_name(FlowName::of(&seen));
        (entry.has_name, entry.mac_is_settled) = (true, true);
        let is_udp = entry.flow.proto == super::named::UDP;
        entry.wants_id = from_client && is_udp;
        if !is_udp && kind != NameKind::Http {
            entry.asks = Asks::No;
        } else if entry.asks == Asks::No {
            entry.asks = Asks::MayAsk;
        }
        observer.name(&entry.flow, &seen)
    }

    /// Takes out of a flow what was booked in it for a packet, as far as it is there.
    fn take_booked(&mut self, slot: u32, usage: Usage) -> Usage {
        let Some(entry) = self.table.get_mut(slot) else { return Usage::default() };
        let booked = &mut entry.pending;
        let take = |from: &mut u64, amount: u64| {
            let taken = amount.min(*from);
            *from -= taken;
            taken
        };
        Usage {
            up_packets: take(&mut booked.up_packets, usage.up_packets),
            down_packets: take(&mut booked.down_packets, usage.down_packets),
            up_bytes: take(&mut booked.up_bytes, usage.up_bytes),
            down_bytes: take(&mut booked.down_bytes, usage.down_bytes),
        }
    }

    fn give_back(&mut self, slot: u32, usage: Usage) {
        let Some(entry) = self.table.get_mut(slot) else { return };
        entry.pending.add(usage);
        if !std::mem::replace(&mut entry.touched, true) {
            self.touched.push(slot);
        }
    }

    /// Follows a flow from here on, if there is something to follow.
    fn follow(&mut self, at: At<'_>, open: Option<Open>, next: Next) {
        if open.is_none() && matches!(next, Next::Unknown) {
            return;
        }
        if self.followed.order.len() >= LIMIT
            && let Some(oldest) = self.followed.order.front().copied()
        {
            self.forget_asks(oldest);
        }
        let Some(entry) = self.table.get_mut(at.slot) else { return };
        entry.asks = if at.from_client { Asks::ClientFollowed } else { Asks::ServerFollowed };
        self.followed.order.push_back(at.slot);
        self.followed.asks.insert(at.slot, Ask { from_client: at.from_client, open, next });
    }

    fn unfollow(&mut self, slot: u32) -> Option<Ask> {
        let ask = self.followed.asks.remove(&slot)?;
        if let Some(place) = self.followed.order.iter().rposition(|known| *known == slot) {
            self.followed.order.remove(place);
        }
        if let Some(entry) = self.table.get_mut(slot) {
            entry.asks = Asks::MayAsk;
        }
        Some(ask)
    }

    /// What was sent in chunks is over where it is answered, whether or not its end was seen.
    fn answered_in_chunks(&mut self, slot: u32, answer: &Transport<'_>) {
        let is_in_chunks = self.followed.asks.get(&slot).is_some_and(|ask| matches!(ask.next, Next::InChunks));
        if is_in_chunks && matches!(answer, Transport::Tcp(tcp) if answers(tcp)) {
            self.forget_asks(slot);
        }
    }

    /// A flow is followed no more; what was undecided of it is its own.
    pub(super) fn forget_asks(&mut self, slot: u32) {
        if let Some(mut open) = self.unfollow(slot).and_then(|ask| ask.open) {
            self.finder.release(&mut open.search);
            self.give_back(slot, open.usage);
        }
    }

    /// Whether a segment stands within a request that is known to go on.
    pub(super) fn is_within_request(&self, slot: u32, tcp: &Tcp<'_>) -> bool {
        let ahead = |seq: u32| seq.wrapping_sub(tcp.seq).cast_signed();
        match self.followed.asks.get(&slot).map(|ask| &ask.next) {
            Some(Next::At(next)) => ahead(*next) > 0,
            Some(Next::Head { start, bytes, .. }) => ahead(start.wrapping_add(bytes.len() as u32)) >= 0,
            Some(Next::InFrames { .. } | Next::InChunks) => true,
            Some(Next::Unknown) | None => false,
        }
    }

    /// The interval is over: what is undecided stays where it was, and the search goes on for what
    /// comes. So a request whose rest does not come leaves no flow without a name behind.
    pub(super) fn settle_asks(&mut self) {
        let mut asks = std::mem::take(&mut self.followed.asks);
        for (slot, ask) in &mut asks {
            if let Some(open) = &mut ask.open {
                self.give_back(*slot, std::mem::take(&mut open.usage));
            }
        }
        self.followed.asks = asks;
    }
}

/// Notes which connection of QUIC ended the search of a flow, with a name or without, so that its
/// packets are not taken for those of another one.
pub(super) fn note_connection(entry: &mut Entry, shown: &Transport<'_>) {
    if let Transport::Udp(udp) = shown
        && let Some((_, number)) = connection_of(udp)
    {
        entry.asked_at = number;
    }
}

#[cfg(test)]
mod tests;
