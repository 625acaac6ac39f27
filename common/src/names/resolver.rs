//! DNS as it travels: over UDP and TCP, on its own port and on others, queries and responses
//! paired.
//!
//! What a message says is read in [`super::dns`]; here is settled which bytes are a message, what
//! kind of name it gives, and whether its query was seen. DNS quoted inside an ICMP error is no
//! answer and must not be shown here.

pub(super) mod fragments;
mod pairs;
mod streams;

use super::{Name, NameKind, NameSeen, dns};
use crate::time::UnixNanos;
use crate::wire::{Fragment, Tcp, Transport, Udp};
use fragments::Fragments;
use pairs::Pairs;
use std::net::SocketAddr;
use streams::Streams;

/// Multicast DNS (RFC 6762).
pub(crate) const MDNS_PORT: u16 = 5_353;

/// DNS (RFC 1035), LLMNR (RFC 4795). NetBIOS names (RFC 1002) look like DNS and are not.
const DNS_PORT: u16 = 53;
const LLMNR_PORT: u16 = 5_355;
const NBNS_PORT: u16 = 137;

/// Bounds of a [`DnsTracker`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsLimits {
    /// Most queries remembered; each takes 80 bytes, taken at once with the first query.
    pub queries: usize,
    /// Most TCP connections followed at a time.
    pub connections: usize,
    /// Most bytes held for all TCP connections together, not counting about 300 for each
    /// connection.
    pub stream_bytes: usize,
}

impl Default for DnsLimits {
    /// 16,384 queries: at 1,000 a second and answers after 1 s, one in 16 places is in use. 256
    /// connections and 2 MiB: a resolver of a large site has some dozens open, nearly always with
    /// nothing held. Guesses.
    fn default() -> Self {
        Self { queries: 16_384, connections: 256, stream_bytes: 2 << 20 }
    }
}

/// When and between whom a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// When it was captured.
    pub ts: UnixNanos,
    /// Who sent it.
    pub src: SocketAddr,
    /// Who it was for.
    pub dst: SocketAddr,
    /// `src` is the client of the packet's flow.
    pub from_client: bool,
}

/// Finds the DNS answers in the packets that it is shown, and the queries for addresses.
///
/// A response is paired if a query with the same addresses, ports, id, and first question was seen
/// in the last minute; then its names are [`NameKind::Dns`], else [`NameKind::DnsUnpaired`]. One
/// that differs in id, question, server or port alone from a query that was seen is forged: who
/// asked does not take it (RFC 5452 section 9.1). Such names, and those of a response that no
/// question leads to, are marked ([`NameSeen::relayed`]).
/// Multicast DNS and LLMNR are told by their ports and not paired. Queries are
/// [`NameKind::DnsQuery`]; paired responses without an address, failed ones too,
/// [`NameKind::DnsEmpty`]. Memory is
/// bounded by [`DnsLimits`]; nothing is allocated for packets that are no DNS, save what TCP
/// streams hold.
#[derive(Debug)]
pub struct DnsTracker {
    pairs: Pairs,
    streams: Streams,
    fragments: Fragments,
}

impl DnsTracker {
    /// A tracker that has seen nothing.
    pub fn new(limits: DnsLimits) -> Self {
        Self {
            pairs: Pairs::new(limits.queries),
            streams: Streams::new(limits.connections, limits.stream_bytes),
            fragments: Fragments::default(),
        }
    }

    /// Whether TCP segments between these ports are to be shown to [`Self::tcp`].
    #[inline]
    pub fn wants_tcp(src_port: u16, dst_port: u16) -> bool {
        [src_port, dst_port].iter().any(|port| matches!(*port, DNS_PORT | LLMNR_PORT))
    }

    /// Whether [`Self::udp`] may give anything for a datagram.
    #[inline]
    pub(crate) fn may_read(udp: &Udp<'_>) -> bool {
        let is_port = |port| matches!(port, DNS_PORT | MDNS_PORT | LLMNR_PORT);
        is_port(udp.src_port) || is_port(udp.dst_port) || dns::looks_like(udp.payload)
    }

    /// Shows a UDP datagram, on whatever ports: its payload as captured. Gives what it teaches,
    /// mostly nothing.
    #[inline]
    pub fn udp(&mut self, passage: &Passage, payload: &[u8]) -> Vec<NameSeen> {
        let mut seen = Vec::new();
        if let Some(kind) = kind_of_datagram(passage, payload) {
            self.pairs.message(passage, kind, payload, &mut seen);
        }
        seen
    }

    /// Shows a fragment of a UDP datagram. The first one is read as far as it goes, as the others
    /// may never come; when all are there, the whole is read again. `passage` needs right ports for
    /// the first fragment only.
    pub fn udp_fragment(&mut self, passage: &Passage, fragment: Fragment, transport: &Transport<'_>) -> Vec<NameSeen> {
        let mut seen = Vec::new();
        let whole = match transport {
            Transport::Udp(udp) => {
                seen = self.udp(passage, udp.payload);
                let has_dns_port = [DNS_PORT, MDNS_PORT, LLMNR_PORT].iter().any(|port| has_port(passage, *port));
                has_dns_port.then(|| self.fragments.first(passage, fragment.id, udp)).flatten()
            }
            Transport::Other(bytes) => {
                let key = (passage.src.ip(), passage.dst.ip(), fragment.id);
                self.fragments.later(key, passage.ts, fragment, bytes)
            }
            Transport::Tcp(_) | Transport::Ports { .. } | Transport::Unreadable => None,
        };
        if let Some((passage, payload)) = whole {
            seen.extend(self.udp(&passage, &payload));
        }
        seen
    }

    /// Shows a TCP segment of a connection that [`Self::wants_tcp`]: those without payload too, as
    /// they tell where it begins and ends. Gives what the messages teach that it completes.
    pub fn tcp(&mut self, passage: &Passage, tcp: &Tcp<'_>) -> Vec<NameSeen> {
        let mut seen = Vec::new();
        let kind = if has_port(passage, DNS_PORT) { NameKind::Dns } else { NameKind::Llmnr };
        self.streams.segment(passage, tcp, |message| self.pairs.message(passage, kind, message, &mut seen));
        seen
    }

    /// Public names of ECH that answers gave since the last call (RFC 9848): hellos show them in
    /// the place of the host.
    #[inline]
    pub fn take_public_names(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.pairs.public_names)
    }

    /// TCP connections of which bytes were given up because a bound was reached, since the last
    /// call.
    pub fn take_given_up(&mut self) -> u64 {
        self.streams.take_given_up()
    }
}

fn has_port(passage: &Passage, port: u16) -> bool {
    passage.src.port() == port || passage.dst.port() == port
}

/// What kind of DNS a datagram is; `None` if it is none.
///
/// Ports decide where they can. A port of multicast DNS with recursion desired and without a group
/// is a resolver that was put there (OpenDNS answers on 5353, and so do local forwarders).
fn kind_of_datagram(passage: &Passage, payload: &[u8]) -> Option<NameKind> {
    let (src, dst) = (passage.src.port(), passage.dst.port());
    let either = |port| src == port || dst == port;
    if either(DNS_PORT) {
        Some(NameKind::Dns)
    } else if either(MDNS_PORT) {
        let is_resolver = dns::desires_recursion(payload) && !passage.dst.ip().is_multicast();
        Some(if is_resolver { NameKind::Dns } else { NameKind::Mdns })
    } else if either(LLMNR_PORT) {
        Some(NameKind::Llmnr)
    } else if dns::looks_like(payload) && !either(NBNS_PORT) && dns::is_strict(payload) {
        Some(NameKind::Dns)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
