//! A flow, as observations speak of it.

mod table;

pub(crate) use table::{Asks, Class, Entry, FlowKey, FlowTable, Side};

use crate::names::{Name, NameKind, NameSeen};
use crate::time::UnixNanos;
use crate::wire::Mac;
use std::net::{IpAddr, SocketAddr};

/// IANA protocol number of TCP.
const TCP: u8 = 6;

/// Where the two ends of a flow are. The numbers are part of the segment format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// The client is local, the server is not: the usual case.
    Remote = 0,
    /// Both ends are local.
    Local = 1,
    /// Neither end is local: a capture from elsewhere. The client is the side that opened the flow.
    Transit = 2,
}

impl Scope {
    /// The scope with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Remote, Self::Local, Self::Transit].into_iter().find(|s| *s as u8 == number)
    }
}

/// Who opened a flow. The numbers are part of the segment format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Opener {
    /// Nothing shows it: neither a SYN, nor a hello or request, nor the ports.
    #[default]
    Unknown = 0,
    /// The client: for a flow of scope [`Scope::Remote`] our side.
    Client = 1,
    /// The server: for a flow of scope [`Scope::Remote`] somebody outside. What such a flow moves
    /// is what we serve.
    Server = 2,
}

impl Opener {
    /// The opener with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Unknown, Self::Client, Self::Server].into_iter().find(|o| *o as u8 == number)
    }
}

/// A name inside a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowName {
    /// Where it was seen.
    pub kind: NameKind,
    /// The name, as received.
    pub name: Name,
    /// It stood in a hello or request of the flow's server side: it names what the client's side
    /// offers.
    pub from_server: bool,
    /// It stood behind an opening that asks a relay for another host (CONNECT, SOCKS), or in a
    /// request's absolute target: it names the flow, and not the address that the flow goes to.
    pub relayed: bool,
}

impl FlowName {
    /// A name as most flows have it: in the client's hello, and of the server that the flow goes
    /// to.
    pub fn new(kind: NameKind, name: Name) -> Self {
        Self { kind, name, from_server: false, relayed: false }
    }

    /// The name inside a flow that an observation holds.
    pub fn of(seen: &NameSeen) -> Self {
        let (kind, name) = (seen.kind, seen.name.clone());
        Self { kind, name, from_server: seen.asker_is_server, relayed: seen.relayed }
    }
}

/// Both directions of one 5-tuple within a time-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Counts up from 0 over the life of one meter; with the recorder's UUID it identifies the flow
    /// for ever.
    pub number: u64,
    /// The local end; where both or neither are local, the end that opened the flow.
    pub client: IpAddr,
    /// The other end.
    pub server: IpAddr,
    /// Client's port; 0 where the protocol has none or it is unknown.
    pub client_port: u16,
    /// Server's port; 0 likewise.
    pub server_port: u16,
    /// IANA protocol number.
    pub proto: u8,
    /// Where its ends are.
    pub scope: Scope,
    /// The first packet that was seen opened it (a TCP SYN, or any first packet of another
    /// protocol).
    pub begin_seen: bool,
    /// Who opened it.
    pub opened: Opener,
    /// Number of the interface on which its first packet was seen, as the capture numbers its
    /// interfaces; 0 where there is one.
    pub interface: u32,
    /// VLAN id of the outermost tag of its first packet (IEEE 802.1Q); `None` without one, and
    /// where the tag gives a priority only.
    pub vlan: Option<u16>,
    /// Hardware address of the client's side, where the link shows one.
    pub client_mac: Option<Mac>,
    /// Time of the first packet.
    pub start: UnixNanos,
    /// The name inside the flow, from the moment it was seen.
    pub name: Option<FlowName>,
}

impl Flow {
    /// A flow as most are: our side opened it to somebody outside, with its first packet at
    /// `start`. It has the number 0, the interface 0, no VLAN, no hardware address and no name.
    pub fn outgoing(client: SocketAddr, server: SocketAddr, proto: u8, start: UnixNanos) -> Self {
        Self {
            number: 0,
            client: client.ip(),
            server: server.ip(),
            client_port: client.port(),
            server_port: server.port(),
            proto,
            scope: Scope::Remote,
            begin_seen: true,
            opened: Opener::Client,
            interface: 0,
            vlan: None,
            client_mac: None,
            start,
            name: None,
        }
    }

    /// Somebody outside opened it to our side: its bytes are what we serve, and no visit of ours.
    pub fn is_inbound(&self) -> bool {
        self.scope == Scope::Remote && self.opened == Opener::Server
    }

    /// Gives the flow the name that was seen inside it. Where its opening was not seen, the side of
    /// the hello or request shows who opened it; a SYN is the better witness.
    pub fn set_name(&mut self, name: FlowName) {
        if self.proto != TCP || !self.begin_seen {
            self.opened = if name.from_server { Opener::Server } else { Opener::Client };
        }
        self.name = Some(name);
    }

    /// Whether [`Self::set_name`] with the name that it has would change nothing.
    pub(crate) fn is_as_named(&self) -> bool {
        let shown = |name: &FlowName| if name.from_server { Opener::Server } else { Opener::Client };
        let opening_seen = self.proto == TCP && self.begin_seen;
        self.name.as_ref().is_none_or(|name| opening_seen || self.opened == shown(name))
    }

    /// The name inside the flow that says what was asked for outside. What comes in names what our
    /// side offers; where both ends are on one side, which of them is taken for the client may be a
    /// guess, and the name counts all the same. What no host can be called (older recorders kept
    /// it) asks for nothing.
    pub fn asked_name(&self) -> Option<&FlowName> {
        let asked = |name: &&FlowName| !name.from_server || self.scope != Scope::Remote;
        self.name.as_ref().filter(asked).filter(|name| name.name.is_host())
    }

    /// The address that the name inside the flow is one of: that of the side that got the hello or
    /// request. `None` where it asked a relay for another host.
    pub fn named_address(&self) -> Option<IpAddr> {
        let name = self.name.as_ref().filter(|name| !name.relayed)?;
        Some(if name.from_server { self.client } else { self.server })
    }

    /// Whether its beginning was seen, and it goes to a service that programs look up by name: to a
    /// well-known port (RFC 6335 section 6) that is not DNS itself. Flows to other ports, of
    /// peer-to-peer networks mostly, begin at any moment.
    pub fn is_to_service(&self) -> bool {
        self.begin_seen && matches!(self.server_port, 1..1_024) && !matches!(self.server_port, 53 | 853)
    }
}
