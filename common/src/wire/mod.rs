//! Frame → IP packet → transport, for one frame at a time. Pure: same bytes in, same value out.
//!
//! Nothing here keeps state between packets and nothing asks which addresses are ours; both belong
//! to `observe`.
//!
//! Two ways lead through: `fast` for the shape that nearly all packets have (Ethernet, at most one
//! tag, plain IP, TCP or UDP), and `walk`, header by header, for everything else and everything
//! odd. Both give the same value for the same bytes; a test holds them to it.
//!
//! etherparse is the oracle of the tests, not part of the decoder. It stops at the first IP header
//! and has no cooked captures of version 2, NULL, PPP, MPLS or tunnels, so most of what is rare
//! would be ours anyway; and it gives ports only where the whole transport header was captured and
//! none for first fragments, where four bytes are enough for us.

mod fast;
mod link;
mod meta;
mod mpls;
mod network;
mod ppp;
mod span;
mod transport;
mod tunnel;
mod vlan;
mod walk;
mod wifi;

#[cfg(test)]
mod tests;

pub(crate) use fast::{Common, Ends, common};
pub use vlan::vlan;

use crate::packet::CapturedPacket;
use std::net::IpAddr;

/// The layer at which something was found wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// Link header, VLAN tags, PPPoE, MPLS.
    Link,
    /// IPv4 header.
    Ipv4,
    /// IPv6 header or one of its extension headers.
    Ipv6,
    /// A header between two IP headers (GRE, VXLAN, …).
    Tunnel,
    /// TCP header.
    Tcp,
    /// UDP header.
    Udp,
}

/// The three ways in which decoding can end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The capture was short.
    Truncated,
    /// The sender broke the rule.
    Malformed,
    /// We do not decode it.
    Unsupported,
}

/// What went wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecodeError {
    /// The layer.
    pub layer: Layer,
    /// The way.
    pub fault: Fault,
}

/// A hardware address (EUI-48).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All hosts of a link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it stands for several hosts (IEEE 802 section 8.2.2: the first bit sent).
    pub fn is_group(self) -> bool {
        let [first, ..] = self.0;
        first & 1 != 0
    }
}

/// What one frame holds.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // lives on the stack for one packet; boxing would cost an allocation each
pub enum Frame<'a> {
    /// An IP packet, at least its outermost IP header readable.
    Ip(IpPacket<'a>),
    /// Readable, but no IP: ARP, LLC, 802.11 management, a link type of no IP.
    NotIp(NotIp),
    /// Should hold IP, but the header could not be read; or the link header itself could not.
    Undecodable {
        /// Why.
        error: DecodeError,
        /// The frame's bytes after the link header as far as they are known: what is booked as
        /// undecodable.
        bytes: u32,
    },
}

/// What a frame without IP holds, for counting by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NotIp {
    /// An EtherType other than IP (RFC 9542), after VLAN tags.
    EtherType(u16),
    /// IEEE 802.2 LLC without a SNAP header that leads to IP.
    Llc,
    /// A frame of the link itself (management, control, encrypted).
    Link,
    /// A link type that imon does not decode, by its LINKTYPE_ number.
    LinkType(u16),
}

/// An IP packet: volume from the outermost header, flow from the innermost that could be read.
#[derive(Debug, Clone, Copy)]
pub struct IpPacket<'a> {
    /// Length of the outermost IP packet on the wire, header included, in bytes (design: what is
    /// counted).
    pub ip_bytes: u32,
    /// The outermost header stated no length (offload, BIG TCP), or one for which a frame that was
    /// captured whole has no room; `ip_bytes` came from the frame's.
    pub length_from_frame: bool,
    /// Hardware source of the frame, where the link shows one.
    pub src_mac: Option<Mac>,
    /// Hardware destination of the frame, where the link shows one.
    pub dst_mac: Option<Mac>,
    /// Source of the innermost IP packet.
    pub src: IpAddr,
    /// Destination of the innermost IP packet.
    pub dst: IpAddr,
    /// Protocol of the innermost IP packet: IPv4 protocol, or the last next-header of IPv6 (IANA
    /// protocol numbers).
    pub proto: u8,
    /// Set for every fragment of a datagram, the first included. Of the innermost IP header that is
    /// of a fragment.
    pub fragment: Option<Fragment>,
    /// The datagram that `fragment` is a part of; set together with it. Its ends differ from `src`,
    /// `dst` and `proto` where the datagram is a tunnel's and this is its first part, in which the
    /// packet inside could be read.
    pub datagram: Option<Datagram>,
    /// Ports and payload, as far as they could be read.
    pub transport: Transport<'a>,
    /// Number of IP headers passed: 1 without a tunnel.
    pub depth: u8,
    /// The first thing above the outermost IP header that could not be read.
    pub note: Option<DecodeError>,
    /// Where in the captured bytes the innermost IP header begins.
    pub inner_at: u32,
}

/// Where a fragment belongs (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
    /// Offset of this fragment's payload in the datagram, in bytes.
    pub offset_bytes: u32,
    /// More fragments follow.
    pub more: bool,
}

/// What the fragments of one datagram have in common, beside [`Fragment::id`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Datagram {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// Protocol of what was cut into fragments.
    pub proto: u8,
    /// Of a first fragment: bytes that are part of the datagram and stand before the transport: of
    /// IPv6 extension headers, and of a tunnel up to the packet inside.
    pub inside_bytes: u32,
}

/// The transport layer of a packet.
#[derive(Debug, Clone, Copy)]
pub enum Transport<'a> {
    /// TCP (RFC 9293).
    Tcp(Tcp<'a>),
    /// UDP (RFC 768).
    Udp(Udp<'a>),
    /// Ports of a protocol in which no name is looked for: SCTP, DCCP, UDP-Lite.
    Ports {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
    },
    /// Any other protocol, without ports: the captured IP payload. Also the payload of a fragment
    /// that is not the first.
    Other(&'a [u8]),
    /// TCP or UDP whose ports could not be read; the reason is the packet's note.
    Unreadable,
}

/// A TCP header and what was captured of its payload. Ports are known as soon as 4 bytes were
/// captured.
#[derive(Debug, Clone, Copy)]
pub struct Tcp<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Sequence number; 0 where it was not captured.
    pub seq: u32,
    /// Flags, as in the header's 14th byte (FIN 1, SYN 2, RST 4, PSH 8, ACK 16); 0 where not
    /// captured.
    pub flags: u8,
    /// Length of this header in bytes; 0 where it was not captured or cannot be true. In a first
    /// fragment it may reach beyond what is here.
    pub header_len: u8,
    /// Captured part of the payload. Empty where the header was cut.
    pub payload: &'a [u8],
    /// Length of the payload on the wire, in bytes, by the IP length; may exceed `payload.len()`.
    pub payload_len: u32,
}

impl Tcp<'_> {
    /// FIN flag.
    pub const FIN: u8 = 1;
    /// SYN flag.
    pub const SYN: u8 = 2;
    /// RST flag.
    pub const RST: u8 = 4;
    /// ACK flag.
    pub const ACK: u8 = 16;
}

/// A UDP header and what was captured of its payload.
#[derive(Debug, Clone, Copy)]
pub struct Udp<'a> {
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// Captured part of the payload. In a first fragment, of that fragment.
    pub payload: &'a [u8],
    /// Length of the payload on the wire, in bytes, by the UDP length field.
    pub payload_len: u32,
}

/// Decodes one frame.
///
/// Volume follows the outermost IP header: IPv4 total length, IPv6 40 + payload length. Where that
/// is 0 (offload, BIG TCP) it is `orig_len` minus the link header. A stated length beyond the frame
/// is believed where the capture cut the frame (then it is `orig_len` that is not believed); where
/// the frame was captured whole, the frame's length counts, and a note says so.
///
/// A frame may hold more packets than this one: see [`further`].
#[inline]
pub fn decode<'a>(packet: &CapturedPacket<'a>) -> Frame<'a> {
    match common(packet) {
        Some(common) => Frame::Ip(common.packet()),
        None => uncommon(packet),
    }
}

/// Decodes a frame that [`common`] does not take.
#[inline]
pub(crate) fn uncommon<'a>(packet: &CapturedPacket<'a>) -> Frame<'a> {
    walk::decode(packet)
}

/// The packets that a frame holds behind the one that [`decode`] gives: mostly none. The kernel
/// hands over the packets that a firewall logs in batches, several messages in one frame of a
/// netlink monitor; 802.11 sends several packets in one frame.
#[inline]
pub fn further<'a>(packet: &CapturedPacket<'a>) -> Option<Box<dyn Iterator<Item = Frame<'a>> + 'a>> {
    match packet.link_type.0 {
        105 | 119 | 127 | 163 | 192 => Some(Box::new(walk::subframes(packet)?)),
        113 | 253 | 276 => {
            let messages = meta::messages_of(packet)?;
            let packet = *packet;
            Some(Box::new(messages.skip(1).map(move |message| walk::message(&packet, &message))))
        }
        _ => None,
    }
}
