//! The general way through a frame: one header after another, whatever they are, until the
//! innermost IP packet.
//!
//! A header is read by a function of its own that names what comes next; only this walk knows how
//! deep it is, which header was the outermost IP header and what a failure means there. The walk is
//! bounded by [`MAX_HEADERS`] and each step by a bound of its own, so the time for a frame is
//! bounded whatever its bytes.

use super::network::{self, Header, Room};
use super::span::{Span, offset};
use super::transport::{self, DCCP, SCTP, TCP, UDP, UDP_LITE};
use super::{Datagram, DecodeError, Fault, Frame, IpPacket, Layer, Mac, NotIp, Transport, link, meta, tunnel, wifi};
use crate::packet::CapturedPacket;

/// Most headers of one frame that are read, tags and labels included. Twice what the deepest
/// encapsulation in practice needs (a provider's tags, labels and a pseudo wire around an overlay
/// around a mobile tunnel).
const MAX_HEADERS: usize = 48;

/// Longest frame that an `orig_len` is believed for: twice the largest super-packet of segmentation
/// offload (Linux's GSO_MAX_SIZE, 8 × 65,535). Only asked where the IP header states no length.
const MAX_FRAME: u32 = 1 << 20;

/// What a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As this LINKTYPE_ number says.
    Link(u16),
    /// Ethernet: two addresses, then an EtherType or a length.
    Ethernet,
    /// What this EtherType (or length of an LLC frame) announces.
    EtherType(u16),
    /// IEEE 802.2 LLC.
    Llc,
    /// PPP, with or without address and control field.
    Ppp,
    /// Cisco HDLC.
    Chdlc,
    /// Frame relay, from the Q.922 address on.
    FrameRelay,
    /// IEEE 802.11.
    Wifi {
        /// The header is padded to four bytes before the payload (radiotap says so).
        padded: bool,
        /// The two bytes of frame control are exchanged (CAPWAP of some vendors).
        swapped: bool,
    },
    /// MPLS label stack.
    Mpls,
    /// Network service header.
    Nsh,
    /// Generic routing encapsulation.
    Gre,
    /// IPv4 or IPv6, as its first nibble says; the layer that was announced.
    Ip(Layer),
}

/// A header to be read, and from where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Next<'a> {
    pub(super) kind: Kind,
    pub(super) at: Span<'a>,
}

/// Why a walk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The innermost packet is read.
    Done,
    /// What comes next is no IP.
    NotIp(NotIp),
    /// The header could not be read.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What reading one header gives.
pub(super) type Step<'a> = Result<Next<'a>, Stop>;

/// Shorthand for the usual end of a header's function.
pub(super) fn next(kind: Kind, at: Span<'_>) -> Step<'_> {
    Ok(Next { kind, at })
}

/// What link headers tell beside what comes next. Those in front of the outermost IP header count,
/// the last one wins.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LinkFacts {
    /// Hardware source.
    pub(super) src: Option<Mac>,
    /// Hardware destination.
    pub(super) dst: Option<Mac>,
    /// Captured bytes behind the packet that is read, if the frame is an aggregate.
    pub(super) behind: usize,
    /// Whoever made the frame may have cut the packet inside, which the frame's length does not
    /// tell.
    pub(super) may_be_cut: bool,
}

/// Reads a frame of any link type.
#[inline(never)]
pub(super) fn decode<'a>(packet: &CapturedPacket<'a>) -> Frame<'a> {
    let first = Next { kind: Kind::Link(packet.link_type.0), at: Span::unbounded(packet.data) };
    Walk::new(packet).run(first)
}

/// Reads one of the packets that a frame of netlink holds.
#[cold]
pub(super) fn message<'a>(packet: &CapturedPacket<'a>, message: &meta::Message<'a>) -> Frame<'a> {
    let mut walk = Walk::new(packet);
    walk.facts.may_be_cut = true;
    // The bytes behind this message are not of it.
    walk.frame_len = walk.cap_len;
    match message.packet() {
        Ok(next) => walk.run(next),
        Err(stop) => walk.end(Next { kind: Kind::Link(packet.link_type.0), at: message.body }, stop),
    }
}

/// Shortest rest of an aggregate that another packet fits into: addresses and length, LLC with
/// SNAP, an IPv4 header.
const SHORTEST_SUBFRAME: usize = 14 + 8 + 20;

/// Reads the packets of an aggregate of 802.11 behind its first one; `None` where there are none.
#[cold]
pub(super) fn subframes<'a>(packet: &CapturedPacket<'a>) -> Option<impl Iterator<Item = Frame<'a>> + use<'a>> {
    let mut walk = Walk::new(packet);
    let mut header = Next { kind: Kind::Link(packet.link_type.0), at: Span::unbounded(packet.data) };
    for _ in 0..MAX_HEADERS {
        if matches!(header.kind, Kind::Llc | Kind::Ip(_)) {
            break;
        }
        header = walk.step(header).ok()?;
    }
    let from = packet.data.len().checked_sub(walk.facts.behind).filter(|_| walk.facts.behind >= SHORTEST_SUBFRAME)?;
    let subframes = wifi::Subframes { at: Span::unbounded(packet.data.get(from..)?) };
    let packet = *packet;
    let long_enough = |subframe: &wifi::Subframe<'a>| subframe.body.wire as usize >= SHORTEST_SUBFRAME - 14;
    Some(subframes.take_while(long_enough).map(move |subframe| {
        let mut walk = Walk::new(&packet);
        (walk.facts.src, walk.facts.dst) = (Some(subframe.src), Some(subframe.dst));
        // The bytes behind this packet are not of it.
        let missing = subframe.body.wire.saturating_sub(subframe.body.bytes.len() as u32);
        walk.frame_len = walk.cap_len.saturating_add(missing);
        walk.run(Next { kind: Kind::Llc, at: subframe.body })
    }))
}

struct Walk<'a> {
    frame: &'a [u8],
    cap_len: u32,
    frame_len: u32,
    /// The capture holds less of the frame than was sent, or does not say how much that was.
    is_cut: bool,
    facts: LinkFacts,
    ip: Option<IpPacket<'a>>,
    /// Where in the frame the data of a fragment begins, which offsets of fragments count from, and
    /// where it ends on the wire.
    part: Option<(u32, u32)>,
}

impl<'a> Walk<'a> {
    fn new(packet: &CapturedPacket<'a>) -> Self {
        let cap_len = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
        let believable = (cap_len..=MAX_FRAME).contains(&packet.orig_len);
        let frame_len = if believable { packet.orig_len } else { cap_len };
        let (frame, is_cut) = (packet.data, packet.is_cut());
        Self { frame, cap_len, frame_len, is_cut, facts: LinkFacts::default(), ip: None, part: None }
    }

    fn run(mut self, mut header: Next<'a>) -> Frame<'a> {
        for _ in 0..MAX_HEADERS {
            match self.step(header) {
                Ok(next) => header = next,
                Err(stop) => return self.end(header, stop),
            }
        }
        self.end(header, Stop::Fault(Fault::Unsupported))
    }

    fn step(&mut self, Next { kind, at }: Next<'a>) -> Step<'a> {
        match kind {
            Kind::Ip(announced) => self.ip(at, announced),
            Kind::Link(number) => link::of_type(number, at, &mut self.facts),
            Kind::Ethernet => link::ethernet(at, &mut self.facts),
            Kind::EtherType(number) => link::ether_type(number, at),
            Kind::Llc => link::llc(at),
            Kind::Ppp => super::ppp::ppp(at),
            Kind::Chdlc => super::ppp::chdlc(at),
            Kind::FrameRelay => super::ppp::frame_relay(at),
            Kind::Wifi { padded, swapped } => wifi::data_frame(at, padded, swapped, &mut self.facts),
            Kind::Mpls => super::mpls::label(at),
            Kind::Nsh => tunnel::nsh(at),
            Kind::Gre => tunnel::gre(at),
        }
    }

    /// Bytes of the frame on the wire from `at` on.
    fn rest_of_frame(&self, at: Span<'_>) -> u32 {
        let left = u32::try_from(at.bytes.len()).unwrap_or(u32::MAX);
        self.frame_len.saturating_sub(self.cap_len.saturating_sub(left))
    }

    /// Reads an IP header. The first nibble decides, except that an announced IPv6 packet must be
    /// one: an IPv4 header under IPv6's number is read by no receiver (and not by tshark), while
    /// tshark does read the opposite.
    fn ip(&mut self, at: Span<'a>, announced: Layer) -> Step<'a> {
        let room = if self.ip.is_none() {
            Room { bytes: self.rest_of_frame(at), is_cut: self.is_cut || self.facts.may_be_cut }
        } else {
            Room { bytes: at.wire, is_cut: true } // lengths inside a tunnel are not counted
        };
        let mut header = match at.u8_at(0).map(|b| b >> 4) {
            Some(4) if announced != Layer::Ipv6 => network::ipv4(at, room),
            Some(6) => network::ipv6(at, room),
            Some(_) => Err(Fault::Malformed),
            None => at.split::<1>().and(Err(Fault::Truncated)),
        }?;
        let inner_at = offset(self.frame, at.bytes);
        let in_fragment = self.in_fragment(&mut header);
        let frame = self.frame;
        let packet = self.enter(&header);
        packet.inner_at = inner_at;
        if let (Some(part_at), Some(datagram)) = (in_fragment, &mut packet.datagram) {
            datagram.inside_bytes = offset(frame, header.body.bytes).saturating_sub(part_at);
        }
        let fragmented = header.fragment.is_some() || in_fragment.is_some();
        if header.fault.is_some() || header.fragment.is_some_and(|f| f.offset_bytes > 0) {
            return Err(Stop::Done);
        }
        match header.proto {
            TCP => {
                let (transport, note) = transport::tcp(header.body, fragmented);
                (packet.transport, packet.note) = (transport, packet.note.or(note));
            }
            UDP => {
                let (transport, note) = transport::udp(header.body, fragmented);
                (packet.transport, packet.note) = (transport, packet.note.or(note));
                if let Transport::Udp(u) = transport {
                    let payload = Span { bytes: u.payload, wire: u.payload_len };
                    return tunnel::over_udp(u.src_port, u.dst_port, payload).ok_or(Stop::Done);
                }
            }
            DCCP | SCTP | UDP_LITE => packet.transport = transport::ports(header.body).unwrap_or(packet.transport),
            proto => return tunnel::over_ip(proto, header.body),
        }
        Err(Stop::Done)
    }

    /// Of a packet of a tunnel whose own packet was cut into fragments, this one the first: where
    /// in the frame what was cut begins. The packet inside ends with the fragment, here.
    fn in_fragment(&self, header: &mut Header<'a>) -> Option<u32> {
        let (part_at, part_end) = self.part.filter(|_| header.fragment.is_none())?;
        let left = part_end.saturating_sub(offset(self.frame, header.body.bytes));
        header.body = header.body.with_length(header.body.wire.min(left));
        Some(part_at)
    }

    /// Makes `header` the innermost IP packet.
    fn enter(&mut self, header: &Header<'a>) -> &mut IpPacket<'a> {
        let facts = self.facts;
        let packet = self.ip.get_or_insert(IpPacket {
            ip_bytes: header.ip_bytes,
            length_from_frame: header.length_from_frame,
            src_mac: facts.src,
            dst_mac: facts.dst,
            src: header.src,
            dst: header.dst,
            proto: header.proto,
            fragment: None,
            datagram: None,
            transport: Transport::Unreadable,
            depth: 0,
            note: None,
            inner_at: 0,
        });
        (packet.src, packet.dst, packet.proto) = (header.src, header.dst, header.proto);
        packet.depth = packet.depth.saturating_add(1);
        packet.transport = match header.proto {
            TCP | UDP if header.fragment.is_none_or(|f| f.offset_bytes == 0) => Transport::Unreadable,
            _ => Transport::Other(header.body.bytes),
        };
        if header.fragment.is_some() {
            packet.fragment = header.fragment;
            let Header { src, dst, proto, inside_bytes, .. } = *header;
            packet.datagram = Some(Datagram { src, dst, proto, inside_bytes });
            let at = offset(self.frame, header.body.bytes);
            self.part = Some((at.saturating_sub(inside_bytes), at.saturating_add(header.body.wire)));
        }
        let layer = if header.src.is_ipv4() { Layer::Ipv4 } else { Layer::Ipv6 };
        let fault = header.fault.or(header.length_is_contradicted.then_some(Fault::Malformed));
        packet.note = packet.note.or(fault.map(|fault| DecodeError { layer, fault }));
        packet
    }

    /// The frame as far as it was read when `stop` came up at `header`.
    fn end(self, header: Next<'a>, stop: Stop) -> Frame<'a> {
        let layer = match header.kind {
            Kind::Ip(layer) => layer,
            _ if self.ip.is_some() => Layer::Tunnel,
            _ => Layer::Link,
        };
        let bytes = self.rest_of_frame(header.at);
        match (self.ip, stop) {
            (Some(mut packet), Stop::Fault(fault)) => {
                packet.note = packet.note.or(Some(DecodeError { layer, fault }));
                Frame::Ip(packet)
            }
            (Some(packet), _) => Frame::Ip(packet),
            (None, Stop::NotIp(kind)) => Frame::NotIp(kind),
            (None, Stop::Fault(fault)) => Frame::Undecodable { error: DecodeError { layer, fault }, bytes },
            (None, Stop::Done) => Frame::NotIp(NotIp::Link),
        }
    }
}
