//! Flow records that routers export (NetFlow v5 and v9, IPFIX): datagrams → observations.
//!
//! What comes out goes the way of every capture: into a segment's bytes or what it would give
//! back, and from there into attribution. Nobody has authenticated a datagram: every amount in one
//! is a claim, and is bounded before it is believed.
//!
//! ```text
//!  frame ─► datagram ─► records ─► cells (flow × second) ─► usage in the order of time
//! ```

mod clock;
mod datagram;
mod decode;
mod element;
mod fields;
mod flows;
mod messages;
mod meter;
mod names;
mod record;
mod sequence;
mod shape;
mod spread;
mod templates;

pub use datagram::{Spotted, Spotter};
pub use messages::{HEAD_BYTES as MESSAGE_HEAD_BYTES, Messages, is_message};
pub use meter::ExportMeter;
pub use names::{Gatherer, Names};

use imon_common::packet::{Interface, LinkType};
use std::sync::Arc;

/// The link type of segments and captures that hold flow records of exporters, and no packets. No
/// link has this number (<https://www.tcpdump.org/linktypes.html>); a packet of a capture that has
/// it is one message, without any header before it.
pub const EXPORTED: LinkType = LinkType(u16::MAX);

/// What `imon-record --collect` calls the interface of its captures: all that is in one is
/// datagrams of exporters.
pub const COLLECTED: &str = "imon-record --collect";

/// How captures of export datagrams are read.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// Captures are read for the flows that datagrams in them report, not for their packets.
    pub wanted: bool,
    /// Only datagrams to these ports count as exports; any port where it is empty.
    pub ports: Vec<u16>,
    /// Names of the same network, from other sources.
    pub names: Arc<Names>,
}

/// The link type of a capture's first packet, or [`EXPORTED`] where the capture says that a
/// collector wrote it.
pub fn link_type(first: LinkType, interfaces: &[Interface]) -> LinkType {
    if interfaces.first().is_some_and(|interface| interface.name == COLLECTED) { EXPORTED } else { first }
}
