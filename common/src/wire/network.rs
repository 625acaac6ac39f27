//! IPv4 and IPv6 headers, IPv6 extension headers, and the length that is counted.

use super::span::Span;
use super::{Fault, Fragment};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most extension headers that are followed in one packet. RFC 8504 section 5.3 lets hosts refuse
/// more than 8; no stack sends more, and a chain of empty ones would otherwise cost time by the
/// packet's length.
const MAX_EXTENSIONS: usize = 16;

/// Most options of a hop-by-hop header that are looked at for a jumbo length. It is the first
/// option in practice.
const MAX_OPTIONS: usize = 16;

/// Authentication header (RFC 4302).
const AH: u8 = 51;
/// No next header (RFC 8200 section 4.7).
const NO_NEXT: u8 = 59;
/// Hop-by-hop options (RFC 8200 section 4.3).
const HOP_BY_HOP: u8 = 0;
/// Length of the fixed IPv6 header.
const IPV6_HEADER: u32 = 40;

/// What a short frame is padded to (IEEE 802.3 section 3.2.7: 46 bytes of data), and the check
/// sequence that some captures keep behind it. A packet that fills no more than that says nothing
/// about its own length.
const MAX_PADDED: u32 = 46 + 4;

/// What the layer below has for an IP packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes on the wire from the packet's first byte on, padding included.
    pub(super) bytes: u32,
    /// More may have been sent than the frame tells of: a header that states more is believed.
    pub(super) is_cut: bool,
}

/// The length that counts, by the one that the header states.
#[derive(Debug, Clone, Copy)]
struct Length {
    ip_bytes: u32,
    from_frame: bool,
    is_contradicted: bool,
}

impl Room {
    /// `stated` is believed up to the end of the frame, and beyond it only where the frame may have
    /// been cut.
    fn length(self, stated: u32, header_len: u32) -> Length {
        if stated <= self.bytes || self.is_cut {
            return Length { ip_bytes: stated, from_frame: false, is_contradicted: false };
        }
        Length { ip_bytes: self.bytes.max(header_len), from_frame: true, is_contradicted: true }
    }

    /// The header states no length: the frame's counts.
    fn all(self, header_len: u32) -> Length {
        Length { ip_bytes: self.bytes.max(header_len), from_frame: true, is_contradicted: false }
    }
}

/// An IP header and its extension headers.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    /// Protocol of `body`.
    pub(super) proto: u8,
    pub(super) fragment: Option<Fragment>,
    /// Bytes of extension headers between the header of a first fragment and `body`: offsets of
    /// fragments count them.
    pub(super) inside_bytes: u32,
    /// Length of the packet on the wire.
    pub(super) ip_bytes: u32,
    /// The header stated no usable length.
    pub(super) length_from_frame: bool,
    /// It stated one for which the frame has no room.
    pub(super) length_is_contradicted: bool,
    /// What follows the last header that was read.
    pub(super) body: Span<'a>,
    /// Why the extension headers could not be followed to their end.
    pub(super) fault: Option<Fault>,
}

/// Reads an IPv4 header (RFC 791 section 3.1). `room`: what is there for it, used where the total
/// length is 0 (segmentation offload fills it in after the capture saw the packet) or cannot be
/// true.
///
/// # Errors
/// `Truncated` or `Malformed` (header length below 20, total length below the header length).
pub(super) fn ipv4<'a>(at: Span<'a>, room: Room) -> Result<Header<'a>, Fault> {
    let (head, _) = at.split::<20>()?;
    let [first, _, l0, l1, i0, i1, f0, f1, _, proto, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *head;
    let header_len = u32::from(first & 0x0f) * 4;
    let stated = u32::from(u16::from_be_bytes([l0, l1]));
    if first >> 4 != 4 || header_len < 20 || (stated != 0 && stated < header_len) {
        return Err(Fault::Malformed);
    }
    let length = if stated == 0 { room.all(header_len) } else { room.length(stated, header_len) };
    let ip_bytes = length.ip_bytes;
    let packet = at.with_length(ip_bytes);
    // Options that were cut off take the transport with them, but not the packet.
    let options = packet.skip(header_len as usize);
    let body = options.unwrap_or(Span { bytes: &[], wire: ip_bytes - header_len });
    let flags = u16::from_be_bytes([f0, f1]);
    let (offset, more) = (u32::from(flags & 0x1fff) * 8, flags & 0x2000 != 0);
    let fragment =
        (offset > 0 || more).then(|| Fragment { id: u16::from_be_bytes([i0, i1]).into(), offset_bytes: offset, more });
    let mut header = Header {
        src: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        dst: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        proto,
        fragment,
        inside_bytes: 0,
        ip_bytes,
        length_from_frame: length.from_frame,
        length_is_contradicted: length.is_contradicted,
        body,
        fault: options.err(),
    };
    if proto == AH && offset == 0 {
        header.follow(|proto| proto == AH);
    }
    Ok(header)
}

/// Reads an IPv6 header and its extension headers (RFC 8200 sections 3 and 4). `room` as for
/// [`ipv4`].
///
/// # Errors
/// `Truncated` or `Malformed`.
pub(super) fn ipv6<'a>(at: Span<'a>, room: Room) -> Result<Header<'a>, Fault> {
    let (head, after) = at.split::<8>()?;
    let (src, after) = after.split::<16>()?;
    let (dst, after) = after.split::<16>()?;
    let [first, _, _, _, l0, l1, proto, _] = *head;
    if first >> 4 != 6 {
        return Err(Fault::Malformed);
    }
    let stated = u32::from(u16::from_be_bytes([l0, l1]));
    let length = match stated {
        0 => unstated_length(proto, after, room),
        n => room.length(IPV6_HEADER + n, IPV6_HEADER),
    };
    let ip_bytes = length.ip_bytes;
    let mut header = Header {
        src: IpAddr::V6(Ipv6Addr::from(*src)),
        dst: IpAddr::V6(Ipv6Addr::from(*dst)),
        proto,
        fragment: None,
        inside_bytes: 0,
        ip_bytes,
        length_from_frame: length.from_frame,
        length_is_contradicted: length.is_contradicted,
        body: after.with_length(ip_bytes - IPV6_HEADER),
        fault: None,
    };
    header.follow(|proto| matches!(proto, HOP_BY_HOP | 43 | 44 | AH | 60 | 135 | 139 | 140));
    Ok(header)
}

/// Length of an IPv6 packet whose payload length is 0 (RFC 8200 section 3): nothing follows the
/// header. Two exceptions: a jumbo payload (RFC 2675), and a large TCP or UDP packet before
/// segmentation offload, whose length nobody filled in. In a frame that may be padded what follows
/// is padding, whatever it looks like.
fn unstated_length(proto: u8, at: Span<'_>, room: Room) -> Length {
    let nothing = Length { ip_bytes: IPV6_HEADER, from_frame: false, is_contradicted: false };
    if proto == HOP_BY_HOP {
        return match jumbo_length(proto, at) {
            // Four bytes in a small frame could otherwise put gigabytes into the books.
            Some(n) if n <= room.bytes => Length { ip_bytes: n, ..nothing },
            Some(_) => room.all(IPV6_HEADER),
            None => nothing,
        };
    }
    let is_offload = room.bytes > MAX_PADDED && super::transport::fills(proto, at, room.bytes - IPV6_HEADER);
    if is_offload { room.all(IPV6_HEADER) } else { nothing }
}

/// Packet length by the jumbo payload option (RFC 2675 section 2) of a hop-by-hop header, or
/// `None`.
fn jumbo_length(proto: u8, at: Span<'_>) -> Option<u32> {
    if proto != HOP_BY_HOP {
        return None;
    }
    let (head, _) = at.split::<2>().ok()?;
    let end = (usize::from(head[1]) + 1) * 8;
    let mut options = at.bytes.get(2..end).or(at.bytes.get(2..))?;
    for _ in 0..MAX_OPTIONS {
        match options {
            [0, rest @ ..] => options = rest,
            [0xc2, 4, a, b, c, d, ..] => {
                let payload = u32::from_be_bytes([*a, *b, *c, *d]);
                return (payload > 0xffff).then(|| payload.saturating_add(IPV6_HEADER));
            }
            [_, len, rest @ ..] => options = rest.get(usize::from(*len)..)?,
            _ => return None,
        }
    }
    None
}

impl Header<'_> {
    /// Follows extension headers for as long as `known` has their number, to the transport or a
    /// later fragment's data.
    ///
    /// Mobility (RFC 6275), HIP (RFC 7401) and Shim6 (RFC 5533) headers are what the packet is for
    /// when nothing follows them; `proto` is theirs then.
    fn follow(&mut self, known: impl Fn(u8) -> bool) {
        for _ in 0..MAX_EXTENSIONS {
            if !known(self.proto) {
                return;
            }
            let (head, after) = match self.body.split::<8>() {
                Ok(parts) => parts,
                Err(fault) => return self.fault = Some(fault),
            };
            let [next, len, o0, o1, i0, i1, i2, i3] = *head;
            if matches!(self.proto, 135 | 139 | 140) && next == NO_NEXT {
                return;
            }
            if self.proto == 44 {
                let field = u16::from_be_bytes([o0, o1]);
                let (offset_bytes, more) = (u32::from(field & 0xfff8), field & 1 != 0);
                (self.proto, self.body) = (next, after);
                // An atomic fragment (RFC 6946) is a whole datagram.
                if offset_bytes > 0 || more {
                    self.fragment = Some(Fragment { id: u32::from_be_bytes([i0, i1, i2, i3]), offset_bytes, more });
                }
                if offset_bytes > 0 {
                    return;
                }
                continue;
            }
            let len = if self.proto == AH { (usize::from(len) + 2) * 4 } else { (usize::from(len) + 1) * 8 };
            match self.body.skip(len) {
                Ok(after) => {
                    if self.fragment.is_some() {
                        self.inside_bytes += self.body.wire - after.wire;
                    }
                    (self.proto, self.body) = (next, after);
                }
                Err(fault) => return self.fault = Some(fault),
            }
        }
        if known(self.proto) {
            self.fault = Some(Fault::Unsupported);
        }
    }
}

/// Whether an IP header that fits into `at` seems to start here. For places where nothing else says
/// so: a tunnel known by its port only, a label stack, a link header of unknown family.
pub(super) fn looks_like_ip(at: Span<'_>) -> bool {
    match at.bytes {
        [first @ 0x45..=0x4f, _, l0, l1, ..] => {
            let total = u32::from(u16::from_be_bytes([*l0, *l1]));
            total >= u32::from(first & 0x0f) * 4 && total <= at.wire
        }
        [0x60..=0x6f, _, _, _, l0, l1, ..] => IPV6_HEADER + u32::from(u16::from_be_bytes([*l0, *l1])) <= at.wire,
        _ => false,
    }
}

/// Whether the IP packet that seems to start here ends where the captured bytes do.
pub(super) fn ends_here(at: Span<'_>) -> bool {
    let stated = match at.bytes {
        [0x40..=0x4f, _, l0, l1, ..] => u32::from(u16::from_be_bytes([*l0, *l1])),
        [_, _, _, _, l0, l1, ..] => IPV6_HEADER + u32::from(u16::from_be_bytes([*l0, *l1])),
        _ => return false,
    };
    u32::try_from(at.bytes.len()) == Ok(stated)
}
