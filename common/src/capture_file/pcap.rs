//! The classic pcap format (draft-ietf-opsawg-pcap), its older versions, and its variants with
//! longer packet headers.
//!
//! Three things that no field states are settled here: which of a packet's two lengths stands first
//! (versions before 2.4), how long packet headers are (patched libraries of 1999 kept magic and
//! version), and what AIX means by a link type.

use super::window::Window;
use super::{Found, MAX_RECORD_BYTES, Stop};
use crate::cursor::Cursor;
use crate::packet::LinkType;
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use pcap_file::Endianness;
use pcap_file::pcap::{PcapHeader, PcapParser, PcapTsResolution};
use std::io::Read;

/// Bytes of the file header.
const FILE_HEADER_BYTES: usize = 24;

/// Bytes of a packet's header.
const PACKET_HEADER_BYTES: usize = 16;

/// What stands behind a packet's header, in bytes, in files with the plain magic: nothing;
/// interface index, protocol, packet type and padding (Alexey Kuznetzov's patch of April 1999, in
/// Red Hat 6.1); something of Nokia's. The likeliest first.
const PLAIN_EXTRAS: [usize; 3] = [0, 8, 4];

/// The same for the magic of the "modified" format: as above (October 1999), with processor numbers
/// (September, SuSE 6.3).
const MODIFIED_EXTRAS: [usize; 2] = [8, 12];

/// Two packets that follow each other in a file are not further apart. A guess; a capture of a
/// year's silence has one packet.
const PLAUSIBLE_STEP_S: u32 = 365 * 86_400;

/// Magic of the modified format (Alexey Kuznetzov's patch to libpcap); microseconds. The library
/// does not know it.
const MODIFIED_MAGIC: u32 = 0xa1b2_cd34;

/// Magic of the plain format with microseconds.
const MICROSECONDS_MAGIC: u32 = 0xa1b2_c3d4;

/// Magic of the plain format with nanoseconds.
const NANOSECONDS_MAGIC: u32 = 0xa1b2_3c4d;

/// Largest packet that is plausible whatever the file header states: libpcap's own maximum snapshot
/// length.
const PLAUSIBLE_PACKET_BYTES: usize = 262_144;

/// Whether `head` begins with one of the magics, in either byte order.
pub(super) fn is_magic(head: &[u8]) -> bool {
    let known = |magic| matches!(magic, MICROSECONDS_MAGIC | NANOSECONDS_MAGIC | MODIFIED_MAGIC);
    Cursor::new(head).be_u32().is_some_and(|magic| known(magic) || known(magic.swap_bytes()))
}

/// The order of a packet's two lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lengths {
    /// Captured, then original.
    CapturedFirst,
    /// The other way round: before version 2.3, and in DG/UX's version 543.0.
    OriginalFirst,
    /// Version 2.3 was written both ways: the captured length is the smaller one.
    Either,
}

impl Lengths {
    fn of_version(major: u16, minor: u16) -> Option<Self> {
        match (major, minor) {
            (2, 0..=2) | (543, 0) => Some(Self::OriginalFirst),
            (2, 3) => Some(Self::Either),
            (2, 4) => Some(Self::CapturedFirst),
            _ => None,
        }
    }

    /// Captured and original length.
    #[inline]
    fn sorted(self, first: u32, second: u32) -> (u32, u32) {
        match self {
            Self::CapturedFirst => (first, second),
            Self::OriginalFirst => (second, first),
            Self::Either => (first.min(second), first.max(second)),
        }
    }
}

/// A packet's header.
#[derive(Debug, Clone, Copy)]
struct PacketHeader {
    seconds: u32,
    fraction: u32,
    cap_len: usize,
    orig_len: u32,
}

/// What stands behind the first packet, if its header has a certain length; the better the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// Nothing that makes sense.
    No,
    /// The end of the file, or bytes too few to tell.
    End,
    /// The beginning of a packet's header, and the end of the file.
    CutPacket,
    /// A packet's header.
    Packet,
}

/// What the file header says.
pub(super) struct Pcap {
    order: Endianness,
    link_type: LinkType,
    nanos_per_unit: i64,
    lengths: Lengths,
    /// Bytes between a packet's header and the packet.
    extra: usize,
    /// What `extra` may be; empty once it is settled.
    extras: &'static [usize],
    /// A packet longer than this is damage.
    max_packet: usize,
    /// The magic as a packet's seconds would show it: another file's header, joined on.
    magic: u32,
}

impl Pcap {
    /// Reads the file header at the front of `window`.
    ///
    /// The snapshot length (0 in some files, too small in others) only ever raises the limit for a
    /// packet. Of the link type field the low 16 bits count; the upper ones say whether frames end
    /// in a check sequence, which no IP length covers.
    pub(super) fn open<R: Read>(window: &mut Window<R>) -> Result<Self, Stop> {
        if !window.fill_to(FILE_HEADER_BYTES)? {
            return Err(Stop::Cut { part: "the header before packet", need: FILE_HEADER_BYTES as u64 });
        }
        let (header, modified) = plain_header(window.unread());
        let (_, parser) = PcapParser::new(&header).map_err(|error| Stop::Damaged(error.to_string()))?;
        let fields = parser.header();
        let (major, minor) = (fields.version_major, fields.version_minor);
        let Some(lengths) = Lengths::of_version(major, minor) else {
            return Err(Stop::Damaged(format!("pcap version {major}.{minor}, expected 2.0 to 2.4")));
        };
        window.lend(FILE_HEADER_BYTES);
        let extras: &[usize] = match (modified, lengths, fields.ts_resolution) {
            (true, ..) => &MODIFIED_EXTRAS,
            (false, Lengths::CapturedFirst, PcapTsResolution::MicroSecond) => &PLAIN_EXTRAS,
            (false, ..) => &[], // older than the patches, or younger
        };
        let extra = extras.first().copied().unwrap_or_default();
        let ceiling = MAX_RECORD_BYTES - PACKET_HEADER_BYTES - extra;
        let aix = aix_link_type(&fields);
        Ok(Self {
            order: fields.endianness,
            link_type: aix.unwrap_or(link_type(u32::from(fields.datalink))),
            nanos_per_unit: match fields.ts_resolution {
                PcapTsResolution::MicroSecond if aix.is_none() => 1_000,
                PcapTsResolution::MicroSecond | PcapTsResolution::NanoSecond => 1,
            },
            lengths,
            extra,
            extras,
            max_packet: (fields.snaplen as usize).clamp(PLAUSIBLE_PACKET_BYTES, ceiling),
            magic: match (modified, fields.ts_resolution) {
                (true, _) => MODIFIED_MAGIC,
                (false, PcapTsResolution::MicroSecond) => MICROSECONDS_MAGIC,
                (false, PcapTsResolution::NanoSecond) => NANOSECONDS_MAGIC,
            },
        })
    }

    /// Fills `found` with the packet at the front of `window`, which stays there; `false` at the
    /// end of the file.
    #[inline]
    pub(super) fn find<R: Read>(&mut self, window: &mut Window<R>, found: &mut Found) -> Result<bool, Stop> {
        if !self.extras.is_empty() {
            self.settle(window);
        }
        loop {
            if self.parse(window.unread(), found)? {
                return Ok(true);
            }
            if !self.fill(window)? {
                return Ok(false);
            }
        }
    }

    /// The packet header at the start of `bytes`.
    #[inline]
    fn header(&self, bytes: &[u8]) -> Option<PacketHeader> {
        let words: [u8; PACKET_HEADER_BYTES] = *bytes.first_chunk()?;
        let mut fields = [0; 4];
        for (field, word) in fields.iter_mut().zip(words.as_chunks().0) {
            *field = match self.order {
                Endianness::Big => u32::from_be_bytes(*word),
                Endianness::Little => u32::from_le_bytes(*word),
            };
        }
        let [seconds, fraction, first, second] = fields;
        let (cap_len, orig_len) = self.lengths.sorted(first, second);
        Some(PacketHeader { seconds, fraction, cap_len: cap_len as usize, orig_len })
    }

    /// Fills `found` with the packet at the start of `bytes`; `false` if more bytes are needed.
    #[inline]
    fn parse(&self, bytes: &[u8], found: &mut Found) -> Result<bool, Stop> {
        let Some(header) = self.header(bytes) else { return Ok(false) };
        let skip = PACKET_HEADER_BYTES + self.extra;
        let cap_len = header.cap_len;
        if cap_len > self.max_packet {
            return Err(too_long(cap_len, self.max_packet));
        }
        if bytes.len() < skip + cap_len {
            return Ok(false);
        }
        if cap_len == 0 && header.orig_len == 0 {
            self.refuse_non_packet(header.seconds, header.fraction)?;
        }
        // At most 2^32 s + 2^32 µs, which fits. A fraction of a second or more is carried into the
        // seconds.
        let ts = i64::from(header.seconds) * NANOS_PER_SECOND + i64::from(header.fraction) * self.nanos_per_unit;
        *found = Found {
            ts: UnixNanos(ts),
            orig_len: header.orig_len,
            link_type: self.link_type,
            interface: 0,
            skip,
            cap_len,
            record_len: skip + cap_len,
        };
        Ok(true)
    }

    /// Settles how long packet headers are, by where the second packet begins: the likeliest length
    /// holds unless only another one makes sense. Waits for the second packet's header, and for
    /// nothing behind it.
    #[cold]
    fn settle<R: Read>(&mut self, window: &mut Window<R>) {
        let extras = std::mem::take(&mut self.extras);
        let Some(longest) = extras.iter().max() else { return };
        // An input that fails here fails again when the packet is read, and then it is said.
        _ = window.fill_to(PACKET_HEADER_BYTES);
        let Some(first) = self.header(window.unread()).filter(|first| first.cap_len <= self.max_packet) else { return };
        let end = PACKET_HEADER_BYTES + first.cap_len;
        let is_all = matches!(window.fill_to(end + longest + PACKET_HEADER_BYTES), Ok(false));
        let fit = |extra: &usize| window.unread().get(end + extra..).map_or(Fit::No, |b| self.fit(&first, b, is_all));
        // Of those that fit alike the first.
        if let Some(best) = extras.iter().rev().max_by_key(|extra| fit(extra)) {
            self.extra = *best;
            self.max_packet = self.max_packet.min(MAX_RECORD_BYTES - PACKET_HEADER_BYTES - best);
        }
    }

    /// How well `bytes` go on behind the packet of `first`; `is_all`: the file ends with them, or
    /// before a header is whole.
    fn fit(&self, first: &PacketHeader, bytes: &[u8], is_all: bool) -> Fit {
        match (self.header(bytes), self.seconds(bytes)) {
            (Some(second), _) if self.is_plausible_after(first, &second) => Fit::Packet,
            (Some(_), _) => Fit::No,
            (None, Some(seconds)) if is_near(first.seconds, seconds) => Fit::CutPacket,
            (None, Some(_)) => Fit::No,
            (None, None) => {
                if is_all {
                    Fit::End
                } else {
                    Fit::No
                }
            }
        }
    }

    /// The first field of a packet header of which not all may be there.
    fn seconds(&self, bytes: &[u8]) -> Option<u32> {
        let mut at = Cursor::new(bytes);
        match self.order {
            Endianness::Big => at.be_u32(),
            Endianness::Little => at.le_u32(),
        }
    }

    /// Whether `second` reads like the header of a packet behind `first`.
    fn is_plausible_after(&self, first: &PacketHeader, second: &PacketHeader) -> bool {
        let units = NANOS_PER_SECOND / self.nanos_per_unit;
        is_near(first.seconds, second.seconds)
            && i64::from(second.fraction) < units
            && (1..=self.max_packet).contains(&second.cap_len)
            && second.cap_len <= second.orig_len as usize
    }

    /// Refuses what reads as an empty packet but is none: the zeros that a power cut leaves at the
    /// end of a file, and the file header of a second capture joined to the first.
    #[cold]
    fn refuse_non_packet(&self, ts_sec: u32, ts_frac: u32) -> Result<(), Stop> {
        if ts_sec == 0 && ts_frac == 0 {
            return Err(Stop::Damaged("zeros where a packet's header was expected".to_owned()));
        }
        if ts_sec == self.magic {
            let what = "the header of another pcap file where a packet's header was expected (two files joined?)";
            return Err(Stop::Damaged(what.to_owned()));
        }
        Ok(())
    }

    /// Reads more of the packet that `window` begins with; `false` if the file ends cleanly before
    /// it.
    fn fill<R: Read>(&self, window: &mut Window<R>) -> Result<bool, Stop> {
        let header_bytes = PACKET_HEADER_BYTES + self.extra;
        if !window.fill_to(header_bytes)? {
            let nothing_left = window.unread().is_empty();
            return if nothing_left { Ok(false) } else { Err(cut(header_bytes)) };
        }
        let cap_len = self.header(window.unread()).map_or(0, |header| header.cap_len);
        if cap_len > self.max_packet {
            return Err(too_long(cap_len, self.max_packet));
        }
        match window.fill_to(header_bytes + cap_len)? {
            true => Ok(true),
            false => Err(cut(header_bytes + cap_len)),
        }
    }
}

/// Whether two packets that follow each other may have these times.
fn is_near(first: u32, second: u32) -> bool {
    first.abs_diff(second) <= PLAUSIBLE_STEP_S
}

/// What AIX's tcpdump means by the link type: it writes version 2.2, interface types (RFC 1573) and
/// nanoseconds under the magic of microseconds. `None` where the file is not from there.
fn aix_link_type(fields: &PcapHeader) -> Option<LinkType> {
    let is_version = (fields.version_major, fields.version_minor) == (2, 2);
    let number = match u32::from(fields.datalink) {
        6 => 1,   // Ethernet
        9 => 6,   // token ring
        15 => 10, // FDDI
        24 => 0,  // loopback
        _ => return None,
    };
    (is_version && fields.ts_resolution == PcapTsResolution::MicroSecond).then_some(LinkType(number))
}

/// The first 24 bytes of `bytes` with the magic that the library knows, and whether the file is of
/// the modified format.
fn plain_header(bytes: &[u8]) -> ([u8; FILE_HEADER_BYTES], bool) {
    let mut header = bytes.first_chunk().copied().unwrap_or([0; FILE_HEADER_BYTES]);
    let magic = Cursor::new(&header).be_u32().unwrap_or_default();
    let plain = match magic {
        MODIFIED_MAGIC => MICROSECONDS_MAGIC,
        swapped if swapped.swap_bytes() == MODIFIED_MAGIC => MICROSECONDS_MAGIC.swap_bytes(),
        other => other,
    };
    if let Some(field) = header.first_chunk_mut() {
        *field = plain.to_be_bytes();
    }
    (header, plain != magic)
}

/// The link type in the low 16 bits of the file header's last field.
fn link_type(field: u32) -> LinkType {
    let [.., high, low] = field.to_be_bytes();
    LinkType(u16::from_be_bytes([high, low]))
}

fn cut(need: usize) -> Stop {
    Stop::Cut { part: "packet", need: need as u64 }
}

#[cold]
fn too_long(found: usize, limit: usize) -> Stop {
    Stop::Damaged(format!("a packet of {found} bytes, expected at most {limit}"))
}
