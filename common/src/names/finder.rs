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

mod lane;
mod search;
mod tcp;
mod through;
mod udp;

pub(crate) use super::h2::Requests;
pub(crate) use super::http::{Extent, PREFACE, extent};
pub(crate) use super::quic::connection_of;
pub use search::{FromClient, Search};

use self::lane::{Lane, MAX_STREAM, Segment};
use self::search::{COUNTED, NOT_A_HOST, RELAYED};
use self::tcp::{is_padding, tcp_step};
use self::udp::{is_hello_sign, udp_step};
use super::gather::Gather;
use super::host::Host;
use super::look::Look;
use super::quic::Session;
use super::resolver::Passage;
use super::resolver::fragments::Fragments;
use super::{Name, NameKind, http, tls};
use crate::wire::{Fragment, Tcp, Transport, Udp};
use std::collections::{BTreeMap, VecDeque};

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
/// Memory in all, per flow allowed: most hold a hello of 2 KiB. The total is what counts, not the
/// share of each.
const BYTES_PER_FLOW: usize = 4 * 1024;
/// Public names of ECH that are known; the oldest is forgotten. Providers have one each.
const PUBLIC_NAMES: usize = 64;
/// Flows in reassembly if nobody says how many. At 1,000 new flows per second it covers four
/// seconds, in which a lost segment is sent again.
const DEFAULT_FLOWS: usize = 4096;

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
        let lanes = |l: &Option<Lane>| l.as_ref().map_or(0, Lane::memory);
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

/// Whether these bytes begin a TLS record with a client's hello.
pub(crate) fn says_hello(bytes: &[u8]) -> bool {
    tls::starts_hello(bytes)
}

/// The host that an HTTP request at the start of these bytes asks for, as far as they go.
pub(crate) fn asked_host(bytes: &[u8]) -> Option<Name> {
    let look = match http::look(bytes) {
        Look::More { .. } => http::cut(bytes),
        look => look,
    };
    match look {
        Look::Name(_, name) | Look::Absolute(name) | Look::Wrapper { host: Host::Name(name), .. } => Some(name),
        _ => None,
    }
}

/// What was held for a flow is gone: it made room for another.
struct Evicted;

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
    /// Public names of ECH, as answers of DNS told them.
    public_names: VecDeque<Name>,
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
            public_names: VecDeque::new(),
            fragments: Fragments::default(),
            plain: Vec::new(),
        }
    }

    /// Shows the search a TCP segment, which came from this side.
    ///
    /// A flow can give two names, a proxy's target first and then the name inside; the later one
    /// holds.
    pub fn tcp(&mut self, search: &mut Search, side: FromClient, tcp: &Tcp<'_>) -> Option<(NameKind, Name)> {
        if search.is_done() {
            return None;
        }
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
        let lane = if side.0 { &mut client } else { &mut server };
        let step = tcp_step(search, side, lane, segment);
        let keep = (client.is_some() || server.is_some()).then_some(Held::Tcp { client, server });
        self.conclude(search, step, keep)
    }

    /// Shows the search a UDP datagram.
    pub fn udp(&mut self, search: &mut Search, side: FromClient, udp: &Udp<'_>) -> Option<(NameKind, Name)> {
        if search.is_done() || udp.payload_len == 0 || !self.spend(search, side, MAX_QUIET_UDP, MAX_UDP) {
            return None;
        }
        let Ok(mut held) = self.take(search) else {
            search.finish();
            return None;
        };
        let wire_len = udp.payload_len.max(udp.payload.len() as u32);
        let step = udp_step(&mut held, side, (udp.payload, wire_len), &mut self.plain);
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
                let found = self.udp(search, FromClient(passage.from_client), udp);
                // The shortest first fragment holds the header alone.
                let may_be_hello = udp.payload.is_empty() || is_hello_sign(udp);
                if found.is_some() || search.is_done() || !may_be_hello {
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
        self.udp(search, FromClient(passage.from_client), &Udp { src_port, dst_port, payload: &payload, payload_len })
    }

    /// From here on a hello that shows this name is taken for one that hides another.
    pub fn know_public_name(&mut self, name: Name) {
        if !self.public_names.contains(&name) {
            if self.public_names.len() >= PUBLIC_NAMES {
                self.public_names.pop_front();
            }
            self.public_names.push_back(name);
        }
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
    fn opened(&mut self, search: &mut Search, side: FromClient, next: u32) {
        if search.next(side).is_some_and(|known| known != next) {
            // Another connection with the same ports.
            self.forget(search);
            search.packets = [0; 2];
            search.flags &= !(RELAYED | NOT_A_HOST | COUNTED);
        }
        search.expect(side, next);
    }

    /// Counts a packet with payload against its side's bounds. `false`: it need not be looked at.
    fn spend(&mut self, search: &mut Search, side: FromClient, quiet: u8, all: u8) -> bool {
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
                let is_public = matches!(kind, NameKind::Sni | NameKind::Quic) && self.public_names.contains(&name);
                Some((if is_public { NameKind::EchOuter } else { kind }, name))
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

#[cfg(test)]
mod tests;
