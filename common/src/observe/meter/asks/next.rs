//! Where the next request of a connection begins, behind one that goes over the end of a segment.

use crate::names::finder::{Extent, PREFACE, Requests, extent};
use crate::wire::Tcp;

/// Longest header waited for; RFC 9112 section 3 recommends to support lines of 8,000.
const MAX_HEAD: usize = 16 * 1024;

/// Segments that a header may come in: each is read from its beginning again.
const MAX_SEGMENTS: u8 = 32;

/// How a body in chunks ends, but for fields behind it, which hardly anybody sends (RFC 9112
/// section 7.1).
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Where the next request begins.
#[derive(Debug)]
pub(super) enum Next {
    Unknown,
    /// Behind a header that goes on.
    Head {
        start: u32,
        bytes: Vec<u8>,
        segments: u8,
    },
    At(u32),
    /// Behind a body in chunks that goes on: behind its last chunk, or once it is answered.
    InChunks,
    /// Somewhere among the frames of HTTP/2, which are read up to this number.
    InFrames {
        next: u32,
        requests: Box<Requests>,
    },
}

/// The same, of one segment.
pub(super) enum Place {
    Here(usize),
    /// Frames of HTTP/2, from this number on.
    Frames(u32),
    Later(Next),
    Unknown,
}

impl Next {
    pub(super) fn of(extent: Extent, piece: &Tcp<'_>) -> Self {
        match extent {
            Extent::Whole(len) => u32::try_from(len).map_or(Self::Unknown, |len| Self::At(piece.seq.wrapping_add(len))),
            Extent::Unfinished if is_whole(piece) && piece.payload.len() <= MAX_HEAD => {
                Self::Head { start: piece.seq, bytes: piece.payload.to_vec(), segments: 1 }
            }
            Extent::Chunked if goes_on_in_chunks(piece) => Self::InChunks,
            Extent::Unfinished | Extent::Chunked | Extent::Endless | Extent::No => Self::Unknown,
        }
    }

    pub(super) fn in_segment(self, tcp: &Tcp<'_>) -> Place {
        let ahead = |seq: u32| seq.wrapping_sub(tcp.seq).cast_signed();
        match self {
            Self::Unknown | Self::InFrames { .. } => Place::Unknown,
            // What stands in its last segment is of the body.
            Self::InChunks => Place::Later(if goes_on_in_chunks(tcp) { self } else { Self::Unknown }),
            Self::At(next) => match usize::try_from(ahead(next)) {
                Ok(at) if at < tcp.payload.len() => Place::Here(at),
                // What begins a packet is known by itself.
                Ok(at) if at > tcp.payload_len as usize => Place::Later(self),
                Ok(_) | Err(_) => Place::Unknown,
            },
            Self::Head { start, mut bytes, segments } => {
                // It is as short as `MAX_HEAD`.
                let known = usize::try_from(ahead(start.wrapping_add(bytes.len() as u32)));
                let Some(fresh) = known.ok().and_then(|known| part_of(tcp, known)) else {
                    // A gap, or what was sent before.
                    return if known.is_ok() {
                        Place::Later(Self::Head { start, bytes, segments })
                    } else {
                        Place::Unknown
                    };
                };
                if bytes.len() + fresh.payload.len() > MAX_HEAD || segments >= MAX_SEGMENTS {
                    return Place::Unknown;
                }
                bytes.extend_from_slice(fresh.payload);
                if bytes.starts_with(PREFACE) {
                    return Place::Frames(start.wrapping_add(PREFACE.len() as u32));
                }
                match extent(&bytes) {
                    Extent::Whole(len) => Self::At(start.wrapping_add(len as u32)).in_segment(tcp),
                    Extent::Unfinished if is_whole(tcp) => {
                        Place::Later(Self::Head { start, bytes, segments: segments + 1 })
                    }
                    Extent::Chunked if goes_on_in_chunks(tcp) => Place::Later(Self::InChunks),
                    Extent::Unfinished | Extent::Chunked | Extent::Endless | Extent::No => Place::Unknown,
                }
            }
        }
    }
}

/// Whether a body in chunks goes on behind this segment. Of one that was cut nobody knows.
pub(super) fn goes_on_in_chunks(tcp: &Tcp<'_>) -> bool {
    is_whole(tcp) && !tcp.payload.ends_with(LAST_CHUNK)
}

/// Whether a segment of the side that is asked begins an answer that ends what it was asked: not
/// one that says that it may go on (RFC 9110 section 15.2).
pub(super) fn answers(tcp: &Tcp<'_>) -> bool {
    matches!(tcp.payload, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', _, b' ', b'2'..=b'5', ..])
}

pub(super) fn is_whole(tcp: &Tcp<'_>) -> bool {
    tcp.payload.len() >= tcp.payload_len as usize
}

/// A segment from this offset of its payload on; `None` where nothing of it is left.
pub(super) fn part_of<'a>(tcp: &Tcp<'a>, offset: usize) -> Option<Tcp<'a>> {
    let payload = tcp.payload.get(offset..).filter(|rest| !rest.is_empty())?;
    let passed = u32::try_from(offset).ok()?;
    let (seq, payload_len) = (tcp.seq.wrapping_add(passed), tcp.payload_len.saturating_sub(passed));
    Some(Tcp { seq, payload, payload_len, ..*tcp })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(seq: u32, payload: &[u8]) -> Tcp<'_> {
        let payload_len = payload.len() as u32;
        Tcp { src_port: 50_000, dst_port: 80, seq, flags: Tcp::ACK, header_len: 20, payload, payload_len }
    }

    /// How many segments of this a request is waited for to end.
    fn waited_for(line: &[u8]) -> usize {
        let begin = b"GET / HTTP/1.1\r\n";
        let (mut next, mut seq) = (Next::of(extent(begin), &tcp(7, begin)), 7 + begin.len() as u32);
        for n in 0.. {
            let Place::Later(later) = next.in_segment(&tcp(seq, line)) else { return n };
            (next, seq) = (later, seq + line.len() as u32);
        }
        0
    }

    #[test]
    fn a_header_is_waited_for_within_bounds() {
        assert_eq!(waited_for(b"A: b\r\n"), usize::from(MAX_SEGMENTS) - 1);
        let long = [&b"A: "[..], &[b'x'; 1_400], b"\r\n"].concat();
        assert_eq!(waited_for(&long), MAX_HEAD / long.len());
        let huge = [&b"GET /"[..], &[b'x'; MAX_HEAD]].concat();
        assert!(matches!(Next::of(Extent::Unfinished, &tcp(7, &huge)), Next::Unknown));
    }
}
