//! Finds the name inside a flow: TLS, QUIC, HTTP.
//!
//! A search begins with a flow's first packet and ends with its name, or as soon as it is plain
//! that none will come. Protocols are known by their bytes, never by ports, and in both directions,
//! for the side taken for the client may be the server. Most names are read from the packet that
//! holds them; only what goes over several packets is kept, for a bounded number of flows.
//!
//! # Which name counts
//! A flow through a proxy can show two names: the host that the proxy is asked for (CONNECT,
//! SOCKS), then the one inside (SNI, Host). Both are handed out when they are seen, the asked host
//! as [`NameKind::Http`]; the later one holds.

use super::gather::{Full, Gather};
use super::host::Host;
use super::look::Look;
use super::quic::Session;
use super::resolver::Passage;
use super::resolver::fragments::Fragments;
use super::tls::{DtlsFragment, HANDSHAKE};
use super::{Name, NameKind, gquic, http, proxy, quic, tls};
use crate::wire::{Fragment, Tcp, Transport, Udp};
use std::collections::BTreeMap;

/// TCP segments with payload of one side that are looked at without any sign of a name. The longest
/// way to a hello, a mail server's greeting, capabilities and STARTTLS, takes about ten on each
/// side.
const MAX_QUIET_TCP: u8 = 24;
/// TCP segments with payload of one side after which the flow is given up: without a sign, although
/// the other side said little (a download that began before the capture; the next request may name
/// it), or with one that leads to nothing. A hello in single bytes is not read; one in pieces of 16
/// bytes is.
const MAX_TCP: u8 = 250;
/// Segments of a side looked at behind a proxy's opening: its answers, then the hello.
const MAX_BEHIND_PROXY: u8 = 8;
/// UDP datagrams of one side looked at without any sign of a name: some STUN checks before a DTLS
/// hello, some 0-RTT packets before an Initial that came late.
const MAX_QUIET_UDP: u8 = 12;
/// UDP datagrams of one side after which the flow is given up.
const MAX_UDP: u8 = 64;
/// Most bytes kept of one direction of a TCP flow: a hello with many tickets and key shares, a
/// request with cookies.
const MAX_STREAM: usize = 32 * 1024;
/// Segments out of order kept while nothing shows that they lead to a name.
const MAX_WAITING: u8 = 8;
/// Openings passed over in one go: PROXY line, SOCKS greeting, SOCKS request, and one to spare.
const MAX_OPENINGS: usize = 4;
/// How far behind the start of a segment a hello is looked for: junk, or a header that nobody
/// knows.
const MAX_JUNK: usize = 64;
/// Where a DTLS record starts at the latest in a datagram: behind the headers of CAPWAP, TURN or
/// UDT.
const MAX_DTLS_AT: usize = 64;
/// Memory in all, per flow allowed: most hold a hello of 2 KiB. The total is what counts, not the
/// share of each.
const BYTES_PER_FLOW: usize = 4 * 1024;
/// Flows in reassembly if nobody says how many. At 1,000 new flows per second it covers four
/// seconds, in which a lost segment is sent again.
const DEFAULT_FLOWS: usize = 4096;

/// Per-flow state of the search; small, lives in the flow table's entry.
#[derive(Debug, Default)]
pub struct Search {
    /// Names what the [`Finder`] keeps for this flow; 0 is nothing.
    serial: u32,
    /// The sequence number that each side is expected to go on with: client, server.
    next: [u32; 2],
    /// Packets with payload seen: of the client, of the server.
    packets: [u8; 2],
    flags: u8,
}

const DONE: u8 = 1;
/// `next` of the client is known; shifted by one, of the server.
const NEXT_KNOWN: u8 = 2;
/// A relay was asked for another host.
const RELAYED: u8 = 8;
/// A field that should hold a host held something else, and that was counted.
const NOT_A_HOST: u8 = 16;
const COUNTED: u8 = 32;

impl Search {
    /// Nothing more will be found in this flow: packets need not be shown.
    pub fn is_done(&self) -> bool {
        self.flags & DONE != 0
    }

    /// A relay was asked for another host: the name that was found says nothing about the address
    /// that the flow goes to.
    pub fn is_relayed(&self) -> bool {
        self.flags & RELAYED != 0
    }

    fn finish(&mut self) {
        self.flags |= DONE;
    }

    fn note_no_host(&mut self, no_host: bool) {
        self.flags |= if no_host { NOT_A_HOST } else { 0 };
    }

    fn note_relay(&mut self, relay: bool) {
        self.flags |= if relay { RELAYED } else { 0 };
    }

    fn next(&self, side: Side) -> Option<u32> {
        let known = self.flags & side.flag() != 0;
        let [client, server] = self.next;
        known.then_some(if side.0 { client } else { server })
    }

    fn expect(&mut self, side: Side, seq: u32) {
        self.flags |= side.flag();
        let [client, server] = &mut self.next;
        *(if side.0 { client } else { server }) = seq;
    }
}

/// A side of a flow: `true` is the one taken for the client.
#[derive(Debug, Clone, Copy)]
struct Side(bool);

impl Side {
    fn flag(self) -> u8 {
        if self.0 { NEXT_KNOWN } else { NEXT_KNOWN << 1 }
    }
}

/// What is kept of one direction of a TCP flow.
#[derive(Debug, Default)]
struct Lane {
    /// Sequence number of the stream's offset 0.
    base: u32,
    stream: Gather,
    /// The stream starts like a message with a name.
    signed: bool,
    /// The first place where the capture cut a segment short: bytes from there on are missing for
    /// good.
    cut_at: Option<usize>,
    /// Segments put in while not signed.
    waiting: u8,
}

impl Lane {
    fn at(base: u32) -> Self {
        Self { base, ..Self::default() }
    }

    /// Adds a segment. `false` if it does not fit.
    fn add(&mut self, segment: &Segment<'_>) -> bool {
        let offset = segment.seq.wrapping_sub(self.base).cast_signed();
        let before = usize::try_from(offset.saturating_neg()).unwrap_or(0);
        let (Some(at), Some(bytes)) = (usize::try_from(offset.max(0)).ok(), segment.payload.get(before..)) else {
            return true; // all of it lies before what is of interest
        };
        if segment.is_cut() {
            let end = at + bytes.len();
            self.cut_at = Some(self.cut_at.map_or(end, |c| c.min(end)));
        }
        // With offload a segment may be longer than all that is kept.
        let bytes = bytes.get(..MAX_STREAM.saturating_sub(at)).unwrap_or(bytes);
        self.stream.insert(at, bytes, MAX_STREAM).is_ok()
    }

    /// Makes `seq` the start of the stream. `false` if that is too far away.
    fn restart(&mut self, seq: u32) -> bool {
        let by = seq.wrapping_sub(self.base).cast_signed();
        self.base = seq;
        self.cut_at = None;
        self.stream.rebase(by.into(), MAX_STREAM).is_ok()
    }

    /// The stream cannot grow at its first hole, because the capture does not have the bytes.
    fn is_stuck(&self) -> bool {
        self.cut_at == Some(self.stream.prefix().len())
    }
}

/// Longest run of zeros that is taken for padding: what fills a frame of 60 bytes behind 40 bytes
/// of headers.
const MAX_PADDING: usize = 6;

/// A TCP segment with payload.
#[derive(Debug, Clone, Copy)]
struct Segment<'a> {
    seq: u32,
    payload: &'a [u8],
    wire_len: u32,
}

impl Segment<'_> {
    fn is_cut(&self) -> bool {
        self.wire_len as usize > self.payload.len()
    }

    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.wire_len)
    }

    fn from(&self, passed: usize) -> Option<Self> {
        let n = u32::try_from(passed).ok()?;
        Some(Self {
            seq: self.seq.wrapping_add(n),
            payload: self.payload.get(passed..)?,
            wire_len: self.wire_len.saturating_sub(n),
        })
    }
}

/// What is kept of a flow in reassembly.
#[derive(Debug)]
enum Held {
    Tcp {
        client: Option<Lane>,
        server: Option<Lane>,
    },
    Quic(Session),
    Dtls {
        message: u16,
        len: usize,
        hello: Gather,
    },
    /// In work: its place is kept for when it comes back.
    Out,
}

impl Held {
    fn memory(&self) -> usize {
        let lanes = |l: &Option<Lane>| l.as_ref().map_or(0, |l| l.stream.memory());
        size_of::<Self>()
            + match self {
                Self::Tcp { client, server } => lanes(client) + lanes(server),
                Self::Quic(session) => session.memory(),
                Self::Dtls { hello, .. } => hello.memory(),
                Self::Out => 0,
            }
    }
}

/// What a packet led to.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The search goes on.
    Go,
    /// It ends without a name.
    End,
    /// It ends with a name that no host can have.
    NotAHost,
    /// It ends because a bound was reached.
    GiveUp,
    /// It ends with this name.
    Found(NameKind, Name),
    /// A proxy was asked for this host; the search goes on behind it.
    Asked(Name),
}

/// What stands at the start of some bytes, behind openings.
struct Through {
    /// Bytes that the openings take.
    passed: usize,
    /// The host that one of them asked for.
    asked: Option<Name>,
    /// One of them, or what follows, asks a relay for another host.
    relay: bool,
    /// A field of one of them should hold a host and does not.
    no_host: bool,
    look: Look,
}

impl Through {
    /// Notes for the search what was passed.
    fn note(&self, search: &mut Search) {
        search.note_relay(self.relay);
        search.note_no_host(self.no_host);
    }
}

/// The searches of all flows, within a bound of memory.
#[derive(Debug)]
pub struct Finder {
    limit_flows: usize,
    limit_bytes: usize,
    /// By serial number, so the oldest comes first.
    held: BTreeMap<u32, Box<Held>>,
    held_bytes: usize,
    last_serial: u32,
    given_up: u64,
    not_hosts: u64,
    /// UDP datagrams with hellos that IP carried in fragments.
    fragments: Fragments,
    /// Working space for decrypted packets.
    plain: Vec<u8>,
}

impl Default for Finder {
    fn default() -> Self {
        Self::new(DEFAULT_FLOWS)
    }
}

impl Finder {
    /// A finder that holds reassembly state for at most `limit_flows` flows at a time, and 4 KiB
    /// for each on average.
    pub fn new(limit_flows: usize) -> Self {
        let limit_flows = limit_flows.max(1);
        Self {
            limit_flows,
            // One flow alone may fill both its directions.
            limit_bytes: limit_flows.saturating_mul(BYTES_PER_FLOW).max(4 * MAX_STREAM),
            held: BTreeMap::new(),
            held_bytes: 0,
            last_serial: 0,
            given_up: 0,
            not_hosts: 0,
            fragments: Fragments::default(),
            plain: Vec::new(),
        }
    }

    /// Shows the search a TCP segment. `from_client`: it came from the side taken for the client.
    ///
    /// A flow can give two names, a proxy's target first and then the name inside; the later one
    /// holds.
    pub fn tcp(&mut self, search: &mut Search, from_client: bool, tcp: &Tcp<'_>) -> Option<(NameKind, Name)> {
        if search.is_done() {
            return None;
        }
        let side = Side(from_client);
        let syn = tcp.flags & Tcp::SYN != 0;
        let seq = tcp.seq.wrapping_add(u32::from(syn)); // SYN takes one number (RFC 9293 section 3.4)
        if syn {
            self.opened(search, side, seq);
        }
        if tcp.payload_len == 0 || is_padding(tcp) {
            return None;
        }
        if !self.spend(search, side, MAX_QUIET_TCP, MAX_TCP) || tcp.payload.is_empty() {
            return None;
        }
        let segment = Segment { seq, payload: tcp.payload, wire_len: tcp.payload_len.max(tcp.payload.len() as u32) };
        let (mut client, mut server) = match self.take(search) {
            Ok(None) => (None, None),
            Ok(Some(Held::Tcp { client, server })) => (client, server),
            Ok(Some(_)) | Err(Evicted) => {
                self.release(search);
                return None;
            }
        };
        let lane = if from_client { &mut client } else { &mut server };
        let step = tcp_step(search, side, lane, segment);
        let keep = (client.is_some() || server.is_some()).then_some(Held::Tcp { client, server });
        self.conclude(search, step, keep)
    }

    /// Shows the search a UDP datagram.
    pub fn udp(&mut self, search: &mut Search, from_client: bool, udp: &Udp<'_>) -> Option<(NameKind, Name)> {
        if search.is_done() || udp.payload_len == 0 || !self.spend(search, Side(from_client), MAX_QUIET_UDP, MAX_UDP) {
            return None;
        }
        let Ok(mut held) = self.take(search) else {
            search.finish();
            return None;
        };
        let wire_len = udp.payload_len.max(udp.payload.len() as u32);
        let step = udp_step(&mut held, from_client, udp.payload, wire_len, &mut self.plain);
        self.conclude(search, step, held)
    }

    /// Shows the search a fragment of a UDP datagram, the first one before the others. A first one
    /// that begins like a hello is kept until the others are there; `passage` needs right ports for
    /// it only.
    #[cold]
    pub fn udp_fragment(
        &mut self,
        search: &mut Search,
        passage: &Passage,
        part: Fragment,
        transport: &Transport<'_>,
    ) -> Option<(NameKind, Name)> {
        let whole = match transport {
            Transport::Udp(udp) => {
                let found = self.udp(search, passage.from_client, udp);
                if found.is_some() || search.is_done() || !is_hello_sign(udp) {
                    return found;
                }
                self.fragments.first(passage, part.id, udp)
            }
            Transport::Other(bytes) => {
                self.fragments.later((passage.src.ip(), passage.dst.ip(), part.id), passage.ts, part, bytes)
            }
            _ => None,
        };
        let (passage, payload) = whole?;
        let payload_len = u32::try_from(payload.len()).ok()?;
        let (src_port, dst_port) = (passage.src.port(), passage.dst.port());
        self.udp(search, passage.from_client, &Udp { src_port, dst_port, payload: &payload, payload_len })
    }

    /// Frees what `search` holds; to be called when its flow ends.
    pub fn release(&mut self, search: &mut Search) {
        self.forget(search);
        search.finish();
    }

    /// Searches given up because a bound was reached, since the last call.
    pub fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    /// Flows since the last call in which a field that should hold a host (Host, CONNECT, SNI) held
    /// what no host is called.
    pub fn take_not_hosts(&mut self) -> u64 {
        std::mem::take(&mut self.not_hosts)
    }

    /// A side opens its stream: `next` is the number of its first byte.
    fn opened(&mut self, search: &mut Search, side: Side, next: u32) {
        if search.next(side).is_some_and(|known| known != next) {
            // Another connection with the same ports.
            self.forget(search);
            search.packets = [0; 2];
            search.flags &= !(RELAYED | NOT_A_HOST | COUNTED);
        }
        search.expect(side, next);
    }

    /// Counts a packet with payload against its side's bounds. `false`: it need not be looked at.
    fn spend(&mut self, search: &mut Search, side: Side, quiet: u8, all: u8) -> bool {
        let [client, server] = &mut search.packets;
        let (own, other) = if side.0 { (client, server) } else { (server, client) };
        *own = own.saturating_add(1);
        let (own, other) = (*own, *other);
        if own <= quiet || (search.serial != 0 && own <= all) {
            return true;
        }
        if own > all || other > quiet {
            if self.forget(search) {
                self.given_up += 1;
            }
            search.finish();
        }
        false
    }

    /// Takes out what is held for a search, and leaves its place; [`Evicted`] if something was and
    /// had to make room.
    fn take(&mut self, search: &mut Search) -> Result<Option<Held>, Evicted> {
        if search.serial == 0 {
            return Ok(None);
        }
        let Some(place) = self.held.get_mut(&search.serial) else {
            search.serial = 0;
            return Err(Evicted);
        };
        let held = std::mem::replace(&mut **place, Held::Out);
        self.held_bytes = self.held_bytes.saturating_sub(held.memory());
        Ok(Some(held))
    }

    /// Drops what is held for a search, if something is.
    fn forget(&mut self, search: &mut Search) -> bool {
        let held = self.take(search);
        self.give_back(search);
        matches!(held, Ok(Some(_)))
    }

    /// Gives up the place of what was taken out.
    fn give_back(&mut self, search: &mut Search) {
        if search.serial != 0 {
            self.held.remove(&search.serial);
            search.serial = 0;
        }
    }

    /// Keeps or drops what is held, and ends the search where the step says so.
    fn conclude(&mut self, search: &mut Search, step: Step, keep: Option<Held>) -> Option<(NameKind, Name)> {
        let result = match step {
            Step::Go => None,
            Step::Asked(name) => {
                search.packets = search.packets.map(|n| n.min(MAX_QUIET_TCP - MAX_BEHIND_PROXY));
                Some((NameKind::Http, name))
            }
            Step::Found(kind, name) => {
                search.finish();
                Some((kind, name))
            }
            Step::End => {
                search.finish();
                None
            }
            Step::NotAHost => {
                search.note_no_host(true);
                search.finish();
                None
            }
            Step::GiveUp => {
                search.finish();
                self.given_up += 1;
                None
            }
        };
        // Once for a flow: what waits for its end is looked at again and again.
        if search.flags & (NOT_A_HOST | COUNTED) == NOT_A_HOST {
            search.flags |= COUNTED;
            self.not_hosts += 1;
        }
        match keep {
            Some(held) if !search.is_done() => self.hold(search, held),
            _ => self.give_back(search),
        }
        result
    }

    /// Keeps `held` for the search. The oldest make room.
    fn hold(&mut self, search: &mut Search, held: Held) {
        let memory = held.memory();
        // The search's own place, if it has one, counts as the one that it takes now.
        let most = self.limit_flows - usize::from(search.serial == 0);
        while self.held.len() > most || self.held_bytes + memory > self.limit_bytes {
            let Some(oldest) = self.held.keys().find(|serial| **serial != search.serial).copied() else {
                break;
            };
            let given_up = self.held.remove(&oldest);
            self.held_bytes = self.held_bytes.saturating_sub(given_up.map_or(0, |held| held.memory()));
            self.given_up += 1;
        }
        self.held_bytes += memory;
        match self.held.get_mut(&search.serial) {
            Some(place) => **place = held,
            None => {
                self.last_serial = self.last_serial.checked_add(1).unwrap_or(1);
                search.serial = self.last_serial;
                self.held.insert(search.serial, Box::new(held));
            }
        }
    }
}

/// Some middleboxes let the IP length of a bare acknowledgement cover the frame's padding. Such
/// zeros stand where the message goes on, and would be taken for its bytes.
fn is_padding(tcp: &Tcp<'_>) -> bool {
    const PUSH: u8 = 8;
    (1..=MAX_PADDING).contains(&tcp.payload.len()) && tcp.flags & PUSH == 0 && tcp.payload.iter().all(|b| *b == 0)
}

/// What was held for a flow is gone: it made room for another.
struct Evicted;

/// Looks at bytes where a message may start, passing over openings.
fn look_through(bytes: &[u8]) -> Through {
    let mut through = Through { passed: 0, asked: None, relay: false, no_host: false, look: Look::No };
    for _ in 0..MAX_OPENINGS {
        let rest = bytes.get(through.passed..).unwrap_or_default();
        match look_once(rest) {
            Look::Wrapper { len, host, relay } if len > 0 => {
                through.passed += len;
                through.no_host |= host == Host::Not;
                // Only what asks a relay names the flow.
                through.asked = host.name().or(through.asked);
                through.relay |= relay;
            }
            Look::Absolute(name) => {
                return Through { relay: true, look: Look::Name(NameKind::Http, name), ..through };
            }
            Look::NotAHost => return Through { no_host: true, look: Look::Nameless, ..through },
            look => return Through { look, ..through },
        }
    }
    through
}

fn look_once(bytes: &[u8]) -> Look {
    match bytes.first() {
        None => Look::No,
        Some(&(HANDSHAKE | 0x80..)) => tls::look(bytes),
        Some(0x0d | b'A'..=b'Z') => match http::look(bytes) {
            Look::No => proxy::look(bytes),
            // `P` begins a method as well as the PROXY line, which has the shape of a request line
            // that goes on.
            Look::More { .. } if bytes.starts_with(b"PROXY ") => proxy::look(bytes),
            look => look,
        },
        Some(b'\n') => http::look(bytes),
        Some(_) => proxy::look(bytes),
    }
}

/// What one segment leads to. `lane` is what is held of its direction.
fn tcp_step(search: &mut Search, side: Side, lane: &mut Option<Lane>, segment: Segment<'_>) -> Step {
    if lane.as_ref().is_none_or(|l| !l.signed) || tls::starts_hello(segment.payload) {
        match fresh(search, side, lane, segment) {
            Step::Go => {}
            step => return step,
        }
    } else if let Some(l) = lane
        && !l.add(&segment)
    {
        return Step::GiveUp;
    }
    lane.take().map_or(Step::Go, |l| reassembled(search, side, lane, l, &segment))
}

/// A segment that may start a message: all of them, until a direction has shown a sign.
fn fresh(search: &mut Search, side: Side, lane: &mut Option<Lane>, segment: Segment<'_>) -> Step {
    let ahead = search.next(side).map_or(0, |next| segment.seq.wrapping_sub(next).cast_signed());
    // Bytes sent again have been looked at, unless what came first in their place was junk.
    let nothing_new =
        lane.is_none() && search.next(side).is_some_and(|next| segment.end().wrapping_sub(next).cast_signed() <= 0);
    let through = look_through(segment.payload);
    through.note(search);
    let Through { mut passed, mut asked, mut look, .. } = through;
    if look == Look::No
        && let Some(at) = tls::find_hello(segment.payload.get(passed..).unwrap_or_default(), MAX_JUNK)
    {
        passed += at;
        let through = look_through(segment.payload.get(passed..).unwrap_or_default());
        search.note_no_host(through.no_host);
        look = through.look;
    }
    let step = match look {
        Look::Name(kind, name) => return Step::Found(kind, name),
        Look::Nameless => {
            return asked.take().map_or(Step::End, |name| Step::Found(NameKind::Http, name));
        }
        _ => asked.map_or(Step::Go, Step::Asked),
    };
    let rest = segment.from(passed).unwrap_or(segment);
    match (look, lane.as_mut()) {
        // Only a hello is enough of a sign to drop what a lane waits for.
        (Look::More { .. }, Some(l)) if tls::starts_hello(rest.payload) => {
            if !l.restart(rest.seq) {
                *l = Lane::at(rest.seq);
            }
            l.signed = true;
            l.add(&rest);
        }
        (_, None) if nothing_new => {}
        (Look::More { .. }, None) => {
            let base = if ahead > 0 && !tls::starts_hello(rest.payload) { search.next(side) } else { None };
            let mut l = Lane::at(base.unwrap_or(rest.seq));
            l.signed = base.is_none();
            if l.add(&rest) {
                *lane = Some(l);
            }
        }
        (_, Some(l)) => {
            l.waiting += 1;
            if !l.add(&segment) || l.waiting > MAX_WAITING {
                *lane = None;
                search.expect(side, segment.end());
            }
        }
        (_, None) => wait_or_pass(search, side, lane, segment, ahead),
    }
    step
}

/// A segment without a sign: kept if bytes before it are missing, else passed over.
fn wait_or_pass(search: &mut Search, side: Side, lane: &mut Option<Lane>, segment: Segment<'_>, ahead: i32) {
    if ahead > 0
        && let Some(next) = search.next(side)
    {
        let mut l = Lane { waiting: 1, ..Lane::at(next) };
        if l.add(&segment) {
            *lane = Some(l);
            return;
        }
    }
    search.expect(side, segment.end());
}

/// Looks at what is in order in a lane, and puts the lane back if more is to come.
fn reassembled(search: &mut Search, side: Side, slot: &mut Option<Lane>, mut l: Lane, last: &Segment<'_>) -> Step {
    let prefix = l.stream.prefix();
    if prefix.is_empty() {
        *slot = Some(l);
        return Step::Go;
    }
    let through = look_through(prefix);
    through.note(search);
    let Through { passed, asked, look, .. } = through;
    let need = match look {
        Look::Name(kind, name) => return Step::Found(kind, name),
        Look::Nameless => return asked.map_or(Step::End, |name| Step::Found(NameKind::Http, name)),
        Look::More { need } => need,
        _ => {
            search.expect(side, last.end());
            return asked.map_or(Step::Go, Step::Asked);
        }
    };
    let step = asked.map_or(Step::Go, Step::Asked);
    l.signed = true;
    if passed > 0 && !l.restart(l.base.wrapping_add(u32::try_from(passed).unwrap_or(0))) {
        return Step::GiveUp;
    }
    if let Some((kind, name)) = behind_hole(&l.stream) {
        return Step::Found(kind, name);
    }
    if l.is_stuck() {
        match http::cut(l.stream.prefix()) {
            Look::Name(kind, name) => return Step::Found(kind, name),
            Look::Absolute(name) => {
                search.note_relay(true);
                return Step::Found(NameKind::Http, name);
            }
            Look::NotAHost => return Step::NotAHost,
            Look::Wrapper { host: Host::Name(name), .. } => {
                search.note_relay(true);
                search.expect(side, last.end());
                return Step::Asked(name);
            }
            _ => {}
        }
        let behind = last.end().wrapping_sub(l.base) as usize;
        l.waiting += 1;
        match need {
            Some(need) if behind >= need => return Step::End,
            None if l.waiting > MAX_WAITING => {
                search.expect(side, last.end());
                return step;
            }
            _ => {}
        }
    }
    *slot = Some(l);
    step
}

/// A name in what is known behind the first hole of a message: its walk cannot go on there, but it
/// has a shape of its own.
fn behind_hole(stream: &Gather) -> Option<(NameKind, Name)> {
    let in_stretch = match stream.prefix().first()? {
        22 => |bytes: &[u8]| tls::name_in_stretch(bytes, NameKind::Sni),
        b'A'..=b'Z' => |bytes: &[u8]| http::host_in_stretch(bytes).map(|name| (NameKind::Http, name)),
        _ => return None,
    };
    stream.islands().find_map(in_stretch)
}

/// What one datagram leads to.
fn udp_step(held: &mut Option<Held>, from_client: bool, bytes: &[u8], wire_len: u32, plain: &mut Vec<u8>) -> Step {
    if gquic::is_sign(bytes) {
        return match gquic::look(bytes) {
            Look::Name(kind, name) => Step::Found(kind, name),
            Look::NotAHost => Step::NotAHost,
            _ => Step::Go,
        };
    }
    if quic::is_sign(bytes, wire_len) {
        return quic_step(held, from_client, bytes, wire_len, plain);
    }
    let Some(records) = dtls_records(bytes) else {
        return Step::Go;
    };
    for fragment in tls::dtls_fragments(records) {
        match dtls_step(held, &fragment) {
            Step::Go => {}
            step => return step,
        }
    }
    Step::Go
}

/// Whether a datagram of which only the beginning is here may hold a hello.
fn is_hello_sign(udp: &Udp<'_>) -> bool {
    gquic::is_sign(udp.payload) || quic::is_sign(udp.payload, udp.payload_len) || dtls_records(udp.payload).is_some()
}

/// From the first place on where a DTLS handshake record may begin.
fn dtls_records(bytes: &[u8]) -> Option<&[u8]> {
    // Most datagrams have no such byte there. Without an early end, so that the compiler compares
    // many at a time.
    let head = bytes.get(..MAX_DTLS_AT).unwrap_or(bytes);
    if !head.iter().fold(false, |found, byte| found | (*byte == HANDSHAKE)) {
        return None;
    }
    let at = bytes.windows(2).take(MAX_DTLS_AT).position(|w| matches!(w, [HANDSHAKE, 0xfe | 0x01]))?;
    bytes.get(at..)
}

fn quic_step(held: &mut Option<Held>, from_client: bool, bytes: &[u8], wire_len: u32, plain: &mut Vec<u8>) -> Step {
    let mut session = match held.take() {
        Some(Held::Quic(session)) => session,
        _ => Session::default(),
    };
    match session.datagram(from_client, bytes, wire_len, plain) {
        Err(Full) => Step::GiveUp,
        Ok(Look::Name(kind, name)) => Step::Found(kind, name),
        Ok(Look::More { .. }) => {
            *held = Some(Held::Quic(session));
            Step::Go
        }
        Ok(Look::Nameless) => Step::End,
        Ok(Look::NotAHost) => Step::NotAHost,
        // Not the client's: nothing to keep, and what was tried is bounded by the datagrams that
        // are looked at.
        Ok(Look::No | Look::Wrapper { .. } | Look::Absolute(_)) => Step::Go,
    }
}

fn dtls_step(held: &mut Option<Held>, fragment: &DtlsFragment<'_>) -> Step {
    if fragment.offset == 0 {
        match tls::dtls_client_hello(fragment.bytes, fragment.len) {
            Look::Name(kind, name) => return Step::Found(kind, name),
            Look::NotAHost => return Step::NotAHost,
            _ => {}
        }
    }
    let mut hello = match held.take() {
        Some(Held::Dtls { message, len, hello }) if (message, len) == (fragment.message, fragment.len) => hello,
        _ => Gather::default(),
    };
    if hello.insert(fragment.offset, fragment.bytes, MAX_STREAM).is_err() {
        return Step::GiveUp;
    }
    let look = match tls::dtls_client_hello(hello.prefix(), fragment.len) {
        Look::Name(kind, name) => return Step::Found(kind, name),
        Look::Nameless => return Step::End,
        Look::NotAHost => return Step::NotAHost,
        look => look,
    };
    let found = hello.islands().find_map(|bytes| tls::name_in_stretch(bytes, NameKind::Sni));
    if let (Look::More { .. }, Some((kind, name))) = (look, found) {
        return Step::Found(kind, name);
    }
    *held = Some(Held::Dtls { message: fragment.message, len: fragment.len, hello });
    Step::Go
}

#[cfg(test)]
mod tests;
