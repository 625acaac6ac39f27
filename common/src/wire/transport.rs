//! TCP and UDP headers: ports as soon as four bytes are there, everything else as far as it was
//! captured.

use super::span::Span;
use super::{DecodeError, Fault, Layer, Tcp, Transport, Udp};

/// IANA protocol number of TCP.
pub(super) const TCP: u8 = 6;
/// IANA protocol number of UDP.
pub(super) const UDP: u8 = 17;

/// IANA protocol numbers of those that have their ports where TCP and UDP have them: DCCP (RFC 4340
/// section 5.1), SCTP (RFC 9260 section 3.1) and UDP-Lite (RFC 3828 section 3.1).
pub(super) const DCCP: u8 = 33;
pub(super) const SCTP: u8 = 132;
pub(super) const UDP_LITE: u8 = 136;

/// Length of a TCP header without options (RFC 9293 section 3.1).
const TCP_HEADER: u32 = 20;
/// Length of a UDP header (RFC 768).
const UDP_HEADER: u32 = 8;

/// Reads the TCP header at the start of an IP payload. The note says what of the header could not
/// be read. A first fragment (`fragmented`) may end within the header; the rest of it is no loss.
pub(super) fn tcp(body: Span<'_>, fragmented: bool) -> (Transport<'_>, Option<DecodeError>) {
    let (transport, note) = match whole_tcp(body) {
        Some((tcp, note)) => (Transport::Tcp(tcp), note),
        None => tcp_cut(body),
    };
    match transport {
        Transport::Tcp(tcp) if fragmented && tcp.header_len == 0 => {
            let header_len = body.u8_at(12).map_or(0, |b| (b >> 4) * 4);
            let stated = if header_len == 0 { TCP_HEADER } else { header_len.into() };
            let goes_on = stated >= TCP_HEADER && stated > body.wire;
            (Transport::Tcp(Tcp { header_len: if goes_on { header_len } else { 0 }, ..tcp }), note.filter(|_| !goes_on))
        }
        transport => (transport, note),
    }
}

/// A TCP header of which the 20 bytes that every one has were captured.
#[inline(always)]
pub(super) fn whole_tcp(body: Span<'_>) -> Option<(Tcp<'_>, Option<DecodeError>)> {
    let head = body.bytes.first_chunk::<20>()?;
    let [s0, s1, d0, d1, q0, q1, q2, q3, _, _, _, _, offset, flags, ..] = *head;
    let header_len = u32::from(offset >> 4) * 4;
    let bad = header_len < TCP_HEADER || header_len > body.wire;
    let payload = if bad { &[][..] } else { body.bytes.get(header_len as usize..).unwrap_or(&[]) };
    let tcp = Tcp {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        flags,
        header_len: if bad { 0 } else { header_len as u8 },
        payload,
        payload_len: if bad { 0 } else { body.wire - header_len },
    };
    Some((tcp, bad.then_some(DecodeError { layer: Layer::Tcp, fault: Fault::Malformed })))
}

/// The ports of a protocol that is not followed further, if they were captured.
pub(super) fn ports(body: Span<'_>) -> Option<Transport<'_>> {
    Some(Transport::Ports { src_port: body.be_u16_at(0)?, dst_port: body.be_u16_at(2)? })
}

/// Whether a TCP segment or UDP datagram that fills `room` bytes can start here: the ports are no
/// zeros, and what the header says of its own length fits. For packets whose IP header states no
/// length.
pub(super) fn fills(proto: u8, body: Span<'_>, room: u32) -> bool {
    let has_ports = body.be_u16_at(0).is_some_and(|p| p > 0) && body.be_u16_at(2).is_some_and(|p| p > 0);
    let fits = match proto {
        TCP => {
            let len = body.u8_at(12).map_or(TCP_HEADER, |b| u32::from(b >> 4) * 4);
            (TCP_HEADER..=room).contains(&len)
        }
        // Filled in by the same hand as the IP length: it is 0, or right, or that of one of the
        // parts.
        UDP => room > UDP_HEADER && body.be_u16_at(4).is_none_or(|n| n == 0 || (8..=room).contains(&n.into())),
        _ => false,
    };
    has_ports && fits
}

/// A TCP header of which fewer than 20 bytes are there.
#[cold]
fn tcp_cut(body: Span<'_>) -> (Transport<'_>, Option<DecodeError>) {
    let fault = if body.wire < TCP_HEADER { Fault::Malformed } else { Fault::Truncated };
    let note = Some(DecodeError { layer: Layer::Tcp, fault });
    let (Some(src_port), Some(dst_port)) = (body.be_u16_at(0), body.be_u16_at(2)) else {
        return (Transport::Unreadable, note);
    };
    let seq = body.be_u16_at(4).zip(body.be_u16_at(6)).map_or(0, |(high, low)| u32::from(high) << 16 | u32::from(low));
    let header_len = body.u8_at(12).map_or(TCP_HEADER, |b| (u32::from(b >> 4) * 4).max(TCP_HEADER));
    let tcp = Tcp {
        src_port,
        dst_port,
        seq,
        flags: body.u8_at(13).unwrap_or(0),
        header_len: 0,
        payload: &[],
        payload_len: body.wire.saturating_sub(header_len),
    };
    (Transport::Tcp(tcp), note)
}

/// Reads the UDP header at the start of an IP payload. In a first fragment (`fragmented`) the
/// length field speaks of the whole datagram and may exceed what is here.
///
/// A length of 0 belongs to jumbograms (RFC 2675 section 4) and to segmentation offload: the IP
/// length counts then.
pub(super) fn udp(body: Span<'_>, fragmented: bool) -> (Transport<'_>, Option<DecodeError>) {
    match whole_udp(body, fragmented) {
        Some((udp, note)) => (Transport::Udp(udp), note),
        None => udp_cut(body, fragmented),
    }
}

/// A UDP header that was captured whole.
#[inline(always)]
pub(super) fn whole_udp(body: Span<'_>, fragmented: bool) -> Option<(Udp<'_>, Option<DecodeError>)> {
    let head = body.bytes.first_chunk::<8>()?;
    let [s0, s1, d0, d1, l0, l1, _, _] = *head;
    let stated = u32::from(u16::from_be_bytes([l0, l1]));
    let room = body.wire.saturating_sub(UDP_HEADER);
    let good = stated >= UDP_HEADER && (stated <= body.wire || fragmented);
    let payload_len = if good {
        stated - UDP_HEADER
    } else if stated == 0 || stated > body.wire {
        room
    } else {
        0
    };
    let payload = body.bytes.get(UDP_HEADER as usize..).unwrap_or(&[]);
    let udp = Udp {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        payload: payload.get(..payload_len as usize).unwrap_or(payload),
        payload_len,
    };
    let fine = good || stated == 0;
    Some((udp, (!fine).then_some(DecodeError { layer: Layer::Udp, fault: Fault::Malformed })))
}

/// A UDP header of which fewer than 8 bytes are there.
#[cold]
fn udp_cut(body: Span<'_>, fragmented: bool) -> (Transport<'_>, Option<DecodeError>) {
    let fault = if body.wire < UDP_HEADER { Fault::Malformed } else { Fault::Truncated };
    let note = Some(DecodeError { layer: Layer::Udp, fault });
    let (Some(src_port), Some(dst_port)) = (body.be_u16_at(0), body.be_u16_at(2)) else {
        return (Transport::Unreadable, note);
    };
    let stated = body.be_u16_at(4).map(u32::from).filter(|n| *n > 0 && (*n <= body.wire || fragmented));
    let payload_len = stated.unwrap_or(body.wire).saturating_sub(UDP_HEADER);
    (Transport::Udp(Udp { src_port, dst_port, payload: &[], payload_len }), note)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(bytes: &[u8], wire: u32) -> Span<'_> {
        Span { bytes, wire }
    }

    #[test]
    fn ports_are_known_from_four_bytes_on() {
        let bytes = [0x01, 0xbb, 0xc0, 0x01];
        let (Transport::Tcp(t), Some(note)) = tcp(span(&bytes, 1400), false) else { panic!("no ports") };
        assert_eq!((t.src_port, t.dst_port, t.payload_len), (443, 49153, 1380));
        assert_eq!(note, DecodeError { layer: Layer::Tcp, fault: Fault::Truncated });
        let (Transport::Udp(u), Some(note)) = udp(span(&bytes, 6), false) else { panic!("no ports") };
        assert_eq!((u.src_port, u.dst_port), (443, 49153));
        assert_eq!(note, DecodeError { layer: Layer::Udp, fault: Fault::Malformed });
        assert!(matches!(tcp(span(&bytes[..3], 1400), false).0, Transport::Unreadable));
        assert!(matches!(udp(span(&bytes[..3], 1400), false).0, Transport::Unreadable));
    }

    #[test]
    fn tcp_options_belong_to_the_header() {
        let mut bytes = [0u8; 30];
        bytes[12] = 0x60; // 24 bytes
        bytes[13] = Tcp::SYN | Tcp::ACK;
        let (Transport::Tcp(t), None) = tcp(span(&bytes, 1000), false) else { panic!() };
        assert_eq!((t.flags, t.payload.len(), t.payload_len), (18, 6, 976));
        bytes[12] = 0x40;
        assert!(matches!(tcp(span(&bytes, 1000), false), (Transport::Tcp(t), Some(_)) if t.payload.is_empty()));
    }

    #[test]
    fn a_udp_length_is_believed_unless_the_ip_length_forbids_it() {
        let datagram = |len: u16| {
            let mut bytes = [0u8; 20];
            bytes[4..6].copy_from_slice(&len.to_be_bytes());
            bytes
        };
        let read = |len: u16, fragmented| match udp(span(&datagram(len), 20), fragmented) {
            (Transport::Udp(u), note) => (u.payload.len(), u.payload_len, note.is_some()),
            _ => panic!(),
        };
        assert_eq!(read(18, false), (10, 10, false));
        assert_eq!(read(0, false), (12, 12, false));
        assert_eq!(read(7, false), (0, 0, true));
        assert_eq!(read(4000, false), (12, 12, true));
        assert_eq!(read(4000, true), (12, 3992, false));
        // The same where the capture ends behind the length.
        let cut = |len: u16, fragmented| match udp(span(&datagram(len)[..7], 20), fragmented) {
            (Transport::Udp(u), Some(_)) => u.payload_len,
            _ => panic!(),
        };
        assert_eq!((cut(18, false), cut(0, false), cut(4000, false), cut(4000, true)), (10, 12, 12, 3992));
    }
}
