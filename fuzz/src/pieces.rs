//! TCP segments from an input, in order or not, lost, cut, repeated, from both sides.

use crate::Feed;
use imon_common::wire::Tcp;

/// Most segments taken from one input.
const MAX_PIECES: usize = 400;

/// Bits of a record's first byte.
pub const SERVER: u8 = 1;
pub const SYN: u8 = 2;
pub const FIN: u8 = 4;
/// The capture cut the segment: a byte follows, sixteen times which is missing.
pub const CUT: u8 = 8;
/// Placed freely: two bytes follow, the distance from where the stream stands.
pub const PLACED: u8 = 16;
pub const RST: u8 = 32;

/// One segment.
pub struct Piece<'a> {
    pub from_client: bool,
    pub tcp: Tcp<'a>,
}

/// The segments of an input: control byte, [distance], [missing], length, payload.
pub fn pieces(input: &[u8], ports: (u16, u16)) -> impl Iterator<Item = Piece<'_>> {
    let mut feed = Feed(input);
    // One side's numbers wrap at once.
    let mut next = [0xffff_fff0_u32, 500];
    std::iter::from_fn(move || {
        let control = feed.u8()?;
        let side = usize::from(control & SERVER != 0);
        let distance = if control & PLACED != 0 { feed.u16()?.cast_signed() } else { 0 };
        let missing = if control & CUT != 0 { u32::from(feed.u8()?) * 16 } else { 0 };
        let len = feed.u16()?;
        let payload = feed.bytes(len.into());
        let seq = next[side].wrapping_add_signed(distance.into());
        let payload_len = payload.len() as u32 + missing;
        let syn = u32::from(control & SYN != 0);
        if control & PLACED == 0 {
            next[side] = next[side].wrapping_add(payload_len + syn);
        }
        let flag = |bit: u8, flag: u8| if control & bit != 0 { flag } else { 0 };
        let flags = (Tcp::ACK * u8::from(syn == 0 || side == 1))
            | flag(SYN, Tcp::SYN)
            | flag(FIN, Tcp::FIN)
            | flag(RST, Tcp::RST);
        let (src_port, dst_port) = if side == 0 { ports } else { (ports.1, ports.0) };
        Some(Piece {
            from_client: side == 0,
            tcp: Tcp { src_port, dst_port, seq, flags, header_len: 20, payload, payload_len },
        })
    })
    .take(MAX_PIECES)
}

/// Adds a record of a segment in order.
pub fn put(input: &mut Vec<u8>, control: u8, payload: &[u8]) {
    let payload = &payload[..payload.len().min(65_535)];
    input.push(control & !(CUT | PLACED));
    input.extend((payload.len() as u16).to_le_bytes());
    input.extend(payload);
}
