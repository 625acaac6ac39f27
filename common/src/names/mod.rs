//! Names that are visible on the wire, and the bounded reassembly that finding them needs.
//!
//! A name is an observation with a kind; what it means for a flow is decided in the analyzer.

pub mod dhcp;
pub mod dns;
pub mod finder;
mod gather;
mod gquic;
mod h2;
mod host;
mod hpack;
mod http;
mod look;
mod name;
mod proxy;
mod quic;
pub mod resolver;
pub mod stream;
mod tls;

pub use name::Name;

/// What tests of other rooms need.
#[cfg(test)]
pub(crate) mod testing {
    pub(crate) use super::quic::tests::{initial_for_example_com, initials_for};
    pub(crate) use super::tls::tests::dtls_datagram;
}

use crate::time::UnixNanos;
use std::net::IpAddr;

/// Where a name was seen. The numbers are part of the segment format (docs/SEGMENT-FORMAT.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NameKind {
    /// A DNS answer (RFC 1035; HTTPS and SVCB address hints: RFC 9460).
    Dns = 1,
    /// A multicast DNS answer (RFC 6762): names of the local link only.
    Mdns = 2,
    /// A link-local multicast name resolution answer (RFC 4795): names of the local link only.
    Llmnr = 3,
    /// TLS server name indication (RFC 6066 section 3), DTLS included.
    Sni = 4,
    /// Server name in the TLS ClientHello of a QUIC Initial packet (RFC 9001), or in the hello of
    /// gQUIC.
    Quic = 5,
    /// Host of an HTTP/1 request (RFC 9112 section 3.2) or `:authority` of clear-text HTTP/2.
    Http = 6,
    /// The public name of an ECH provider (RFC 9849): the real name is encrypted.
    EchOuter = 7,
    /// A multi-answer response that no query was seen for: weaker than [`NameKind::Dns`].
    DnsUnpaired = 8,
    /// What a device calls itself when it asks for an address by DHCP: the name of the flow's
    /// client, and of no server.
    Dhcp = 9,
    /// A DNS query of a device that began a flow at the same moment: the name that it asked for.
    DnsQuery = 10,
    /// A DNS answer to a query for addresses that holds none, or that the name does not exist. Its
    /// `addresses` hold the unspecified address of each family that there is none of.
    DnsEmpty = 11,
}

impl NameKind {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 11] = [
        Self::Dns,
        Self::Mdns,
        Self::Llmnr,
        Self::Sni,
        Self::Quic,
        Self::Http,
        Self::EchOuter,
        Self::DnsUnpaired,
        Self::Dhcp,
        Self::DnsQuery,
        Self::DnsEmpty,
    ];

    /// The kind with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|k| *k as u8 == number)
    }

    /// The word for it in reports and JSON. An unpaired DNS answer is `dns` too; its weakness is a
    /// field of its own.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dns | Self::DnsUnpaired => "dns",
            Self::Mdns => "mdns",
            Self::Llmnr => "llmnr",
            Self::Sni => "sni",
            Self::Quic => "quic",
            Self::Http => "http",
            Self::EchOuter => "ech-outer",
            Self::Dhcp => "dhcp",
            Self::DnsQuery => "dns-query",
            Self::DnsEmpty => "dns-empty",
        }
    }

    /// Whether the name was inside the flow that it names.
    pub fn is_in_flow(self) -> bool {
        matches!(self, Self::Sni | Self::Quic | Self::Http | Self::EchOuter)
    }
}

/// Which DNS record gave an address. The numbers are part of the segment format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A (RFC 1035).
    A = 0,
    /// AAAA (RFC 3596).
    Aaaa = 1,
    /// `ipv4hint` or `ipv6hint` of an HTTPS or SVCB record (RFC 9460 section 7.3).
    Hint = 2,
}

/// One address that an answer gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerAddress {
    /// The address.
    pub address: IpAddr,
    /// Time to live in seconds, as received.
    pub ttl_s: u32,
    /// The record it was in.
    pub record: RecordKind,
}

/// A name that was seen, as an observation. The flow it was seen in is handed beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameSeen {
    /// When: the packet that completed it.
    pub ts: UnixNanos,
    /// Where it was seen.
    pub kind: NameKind,
    /// The name: for DNS the name that was *asked*, never the CNAME target.
    pub name: Name,
    /// CNAME and alias targets from the asked name on, in order, without the asked name; empty for
    /// in-flow names.
    pub chain: Vec<Name>,
    /// Addresses that the answer gave; empty for in-flow names and queries, unspecified ones for
    /// [`NameKind::DnsEmpty`]. For DHCP what the device has or asks for, with no TTL.
    pub addresses: Vec<AnswerAddress>,
    /// The asking side is the flow's server: our own side is a DNS server, say. Of a name inside a
    /// flow: the hello or request came from the flow's server, so that it names what the client's
    /// side offers.
    pub asker_is_server: bool,
    /// A name inside a flow that stood behind CONNECT or SOCKS, or in a request's absolute target:
    /// it names the flow, and not the address that the flow goes to. Of an answer: it does not fit
    /// the query that was seen, so that it says nothing of its addresses (forged, or of something
    /// that was not asked for).
    pub relayed: bool,
}
