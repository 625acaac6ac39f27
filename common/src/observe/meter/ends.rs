//! The two ends of a packet: which of them is the client, where they are, and who opened the flow.

use super::super::fragment::FiveTuple;
use super::TCP;
use crate::flow::{FlowKey, Opener, Scope, Side};
use crate::local::LocalNets;
use crate::packet::Spot;
use crate::wire::{IpPacket, Mac, Tcp, Transport};
use std::net::IpAddr;

/// IANA protocol number of ICMP.
const ICMP: u8 = 1;

/// IANA protocol number of ICMP for IPv6.
const ICMPV6: u8 = 58;

/// IANA protocol number of UDP.
const UDP: u8 = 17;

/// First ephemeral port of Linux; other systems begin higher (49,152, RFC 6335 section 6).
const FIRST_EPHEMERAL_PORT: u16 = 32_768;

/// What a packet shows of its flow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends<'a> {
    /// The addresses stay where the decoder put them: a copy of what was written a moment before
    /// waits until it is through.
    pub(super) ip: &'a IpPacket<'a>,
    pub(super) ports: (u16, u16),
    /// Flags and sequence number of a TCP header.
    pub(super) tcp: Option<(u8, u32)>,
    /// Of a later fragment: what the first one of its datagram showed.
    pub(super) first: Option<&'a FiveTuple>,
    /// Where it was seen.
    pub(super) spot: Spot,
}

impl<'a> Ends<'a> {
    #[inline]
    pub(super) fn of(ip: &'a IpPacket<'a>, first: Option<&'a FiveTuple>, spot: Spot) -> Self {
        let (ports, tcp) = match &ip.transport {
            Transport::Tcp(t) => ((t.src_port, t.dst_port), Some((t.flags, t.seq))),
            Transport::Udp(u) => ((u.src_port, u.dst_port), None),
            Transport::Ports { src_port, dst_port } => ((*src_port, *dst_port), None),
            Transport::Other(_) | Transport::Unreadable => ((0, 0), None),
        };
        Self { ip, ports, tcp, first, spot }
    }

    #[inline]
    pub(super) fn key(&self) -> (FlowKey, Side) {
        match &self.first {
            None => FlowKey::of((&self.ip.src, self.ports.0), (&self.ip.dst, self.ports.1), self.ip.proto),
            Some(FiveTuple { src, dst, proto }) => FlowKey::of((&src.0, src.1), (&dst.0, dst.1), *proto),
        }
    }

    pub(super) fn flow(&self) -> FiveTuple {
        let own = || {
            let (src, dst) = ((self.ip.src, self.ports.0), (self.ip.dst, self.ports.1));
            FiveTuple { src, dst, proto: self.ip.proto }
        };
        self.first.copied().unwrap_or_else(own)
    }

    /// The packet opens a TCP connection.
    pub(super) fn is_syn(&self) -> bool {
        self.tcp.is_some_and(|(flags, _)| flags & (Tcp::SYN | Tcp::ACK) == Tcp::SYN)
    }

    /// Whether the source is the client, and where the two ends are.
    pub(super) fn orient(&self, local: &LocalNets) -> (bool, Scope) {
        let FiveTuple { src, dst, .. } = self.flow();
        // Whoever sends to a group is the client, and a group is never out in the Internet, whoever
        // sends to it.
        if local.is_group(dst.0) || is_link_broadcast(self.ip) {
            return (true, Scope::Local);
        }
        if local.is_group(src.0) {
            return (false, Scope::Local);
        }
        match (local.contains(src.0), local.contains(dst.0)) {
            (true, false) => (true, Scope::Remote),
            (false, true) if is_private_broadcast(self.ip) => (true, Scope::Local),
            (false, true) => (false, Scope::Remote),
            (true, true) => (opened_by_source(self), Scope::Local),
            (false, false) => (opened_by_source(self), Scope::Transit),
        }
    }
}

/// Who opened a flow with this first packet, as far as it shows. Of TCP without SYN the ports are
/// the only sign; where they show nothing, the connection may be as old as it likes. Of datagrams
/// who was heard first opened it, where that cannot be an answer to something older. What has
/// neither ports nor types may go on from anywhere.
pub(super) fn opener(ends: &Ends<'_>, ip: &IpPacket<'_>, src_is_client: bool, may_be_older: bool) -> Opener {
    let heard_first = || (src_is_client || !may_be_older).then_some(true);
    let by_source = match ends.tcp {
        Some((flags, _)) if flags & Tcp::SYN == 0 => ports_tell(ends),
        Some(_) => Some(opened_by_source(ends)),
        None => match &ip.transport {
            Transport::Udp(udp) if is_check(udp.payload) => ports_tell(ends),
            Transport::Udp(_) => ports_tell(ends).or_else(heard_first),
            // What a later fragment holds is no header.
            Transport::Other(_) if ip.fragment.is_some_and(|part| part.offset_bytes > 0) => None,
            Transport::Other(message) if ends.ports == (0, 0) => echo(ip.proto, message),
            _ if ends.ports != (0, 0) => ports_tell(ends).or_else(heard_first),
            _ => None,
        },
    };
    match by_source {
        None => Opener::Unknown,
        Some(yes) if yes == src_is_client => Opener::Client,
        Some(_) => Opener::Server,
    }
}

/// Whether a datagram is a binding request of STUN (RFC 8489 section 5). Between peers both sides
/// send such checks at once (RFC 8445 section 2.2), in a call that neither of them serves: who was
/// heard first is chance.
fn is_check(payload: &[u8]) -> bool {
    matches!(payload, [0x00, 0x01, _, _, 0x21, 0x12, 0xa4, 0x42, ..])
}

/// Whether an ICMP message asks (`true`) or answers; `None` for errors and what is no ICMP (RFC
/// 792, RFC 4443 section 4).
fn echo(proto: u8, message: &[u8]) -> Option<bool> {
    match (proto, message.first()?) {
        (ICMP, 8 | 13 | 15 | 17) | (ICMPV6, 128) => Some(true),
        (ICMP, 0 | 14 | 16 | 18) | (ICMPV6, 129) => Some(false),
        _ => None,
    }
}

/// Whether the ports of a packet show that its source opened the flow: services listen on
/// well-known ports, and programs that connect get ephemeral ones.
fn ports_tell(ends: &Ends<'_>) -> Option<bool> {
    let FiveTuple { src: (_, src), dst: (_, dst), .. } = ends.flow();
    let well_known = |port: u16| port < 1024;
    match (well_known(src), well_known(dst), src >= FIRST_EPHEMERAL_PORT, dst >= FIRST_EPHEMERAL_PORT) {
        (true, false, ..) => Some(false),
        (false, true, ..) => Some(true),
        (.., false, true) => Some(false),
        (.., true, false) => Some(true),
        _ => None,
    }
}

/// Whether a packet goes to all hosts of its link: to an address that can be the highest of a
/// network (RFC 922 section 7), in a frame to everybody. The frame alone does not say so: programs
/// that make up packets leave its address at that.
fn is_link_broadcast(ip: &IpPacket<'_>) -> bool {
    let IpAddr::V4(dst) = ip.dst else { return false };
    let [.., last] = dst.octets();
    last & 3 == 3 && ip.dst_mac == Some(Mac::BROADCAST) && ip.depth == 1 && ip.proto != TCP
}

/// Whether a datagram from outside goes to what is a broadcast address in most private networks:
/// 192.168.x.255, else x.x.255.255. Who has such an address all the same speaks first, and is found
/// by that.
fn is_private_broadcast(ip: &IpPacket<'_>) -> bool {
    let IpAddr::V4(dst) = ip.dst else { return false };
    let ends_so = matches!(dst.octets(), [192, 168, _, 255] | [10 | 172, _, 255, 255]);
    ends_so && dst.is_private() && ip.proto == UDP
}

/// Hardware address of the client; a group's is nobody's.
#[inline]
pub(super) fn client_mac(ip: &IpPacket<'_>, src_is_client: bool) -> Option<Mac> {
    if src_is_client { ip.src_mac } else { ip.dst_mac.filter(|mac| !mac.is_group()) }
}

/// Whether the source of a flow's first packet opened it: by SYN, else the ephemeral port is the
/// client's, else who was heard first.
fn opened_by_source(ends: &Ends<'_>) -> bool {
    if let Some((flags, _)) = ends.tcp
        && flags & Tcp::SYN != 0
    {
        return flags & Tcp::ACK == 0;
    }
    let FiveTuple { dst: (group, _), .. } = ends.flow();
    let to_all = group.is_multicast() || matches!(group, IpAddr::V4(group) if group.is_broadcast());
    to_all || ports_tell(ends).unwrap_or(true)
}
