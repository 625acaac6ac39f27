//! A flow, as observations speak of it.

mod table;

pub(crate) use table::{Class, FlowKey, FlowTable, Side};

use crate::names::{Name, NameKind};
use crate::time::UnixNanos;
use crate::wire::Mac;
use std::net::IpAddr;

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

/// Both directions of one 5-tuple within a time-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// Counts up from 0 over the life of one meter; with the recorder's UUID it identifies the flow for ever.
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
    /// The first packet that was seen opened it (a TCP SYN, or any first packet of another protocol).
    pub begin_seen: bool,
    /// Hardware address of the client's side, where the link shows one.
    pub client_mac: Option<Mac>,
    /// Time of the first packet.
    pub start: UnixNanos,
    /// The name inside the flow, from the moment it was seen.
    pub name: Option<(NameKind, Name)>,
}

impl Flow {
    /// Whether its beginning was seen, and it goes to a service that programs look up by name: to a well-known port (RFC 6335
    /// section 6) that is not DNS itself. Flows to other ports, of peer-to-peer networks mostly, begin at any moment.
    pub fn is_to_service(&self) -> bool {
        self.begin_seen && matches!(self.server_port, 1..1_024) && !matches!(self.server_port, 53 | 853)
    }
}
