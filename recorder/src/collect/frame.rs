//! A datagram as a packet of a capture: with the headers that it had, as far as a socket tells.

use std::net::{IpAddr, SocketAddr};

const UDP: u8 = 17;
const UDP_HEADER_BYTES: usize = 8;
const HOPS: u8 = 64;

/// IP header (RFC 791, RFC 8200), UDP header (RFC 768) and datagram. Checksums are 0: nobody has
/// said what they were.
pub(super) fn packet(from: SocketAddr, to: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    // A socket for both families calls IPv4 addresses by mapped ones; where it listens on all
    // addresses of the other family, that is what it tells.
    let (source, destination) = match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => (source.octets().to_vec(), destination.octets().to_vec()),
        (IpAddr::V4(source), IpAddr::V6(_)) => (source.octets().to_vec(), vec![0; 4]),
        (IpAddr::V6(source), IpAddr::V6(destination)) => (source.octets().to_vec(), destination.octets().to_vec()),
        (IpAddr::V6(source), IpAddr::V4(_)) => (source.octets().to_vec(), vec![0; 16]),
    };
    let udp_len = u16::try_from(UDP_HEADER_BYTES + datagram.len()).unwrap_or(u16::MAX);
    let mut packet = Vec::with_capacity(48 + datagram.len());
    if source.len() == 4 {
        packet.extend([0x45, 0]);
        packet.extend(udp_len.saturating_add(20).to_be_bytes());
        packet.extend([0, 0, 0, 0, HOPS, UDP, 0, 0]);
    } else {
        packet.extend([0x60, 0, 0, 0]);
        packet.extend(udp_len.to_be_bytes());
        packet.extend([UDP, HOPS]);
    }
    packet.extend(source);
    packet.extend(destination);
    for value in [from.port(), to.port(), udp_len, 0] {
        packet.extend(value.to_be_bytes());
    }
    packet.extend(datagram);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::packet::{CapturedPacket, LinkType};
    use imon_common::time::UnixNanos;
    use imon_common::wire::{Frame, Transport, decode};

    #[test]
    fn a_packet_decodes_to_its_datagram() {
        for (from, to) in [
            ("192.168.1.1:40000", "192.168.1.2:2055"),
            ("[2001:db8::1]:40000", "[2001:db8::2]:2055"),
            ("[::ffff:192.168.1.1]:40000", "[::]:2055"),
        ] {
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            let data = packet(from, to, b"hello");
            let captured = CapturedPacket {
                ts: UnixNanos(0),
                orig_len: data.len() as u32,
                link_type: LinkType(101),
                interface: 0,
                data: &data,
            };
            let Frame::Ip(ip) = decode(&captured) else { panic!("no IP: {from}") };
            let Transport::Udp(udp) = ip.transport else { panic!("no UDP: {from}") };
            assert_eq!((ip.src, udp.src_port, udp.dst_port), (from.ip().to_canonical(), 40_000, 2_055));
            assert_eq!((udp.payload, ip.ip_bytes as usize), (&b"hello"[..], data.len()));
        }
    }
}
