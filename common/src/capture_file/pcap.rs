//! The classic pcap format (draft-ietf-opsawg-pcap), and its variant with 24-byte packet headers.

use super::window::Window;
use super::{Found, MAX_RECORD_BYTES, Stop};
use crate::cursor::Cursor;
use crate::packet::LinkType;
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use pcap_file::Endianness;
use pcap_file::pcap::{PcapParser, PcapTsResolution};
use std::io::Read;

/// Bytes of the file header.
const FILE_HEADER_BYTES: usize = 24;

/// Bytes of a packet's header.
const PACKET_HEADER_BYTES: usize = 16;

/// What the "modified" format puts behind a packet's header: interface index, protocol, packet type, padding.
const MODIFIED_EXTRA_BYTES: usize = 8;

/// Magic of the modified format (Alexey Kuznetzov's patch to libpcap); microseconds. The library does not know it.
const MODIFIED_MAGIC: u32 = 0xa1b2_cd34;

/// Magic of the plain format with microseconds.
const MICROSECONDS_MAGIC: u32 = 0xa1b2_c3d4;

/// Magic of the plain format with nanoseconds.
const NANOSECONDS_MAGIC: u32 = 0xa1b2_3c4d;

/// Largest packet that is plausible whatever the file header states: libpcap's own maximum snapshot length.
const PLAUSIBLE_PACKET_BYTES: usize = 262_144;

/// Whether `head` begins with one of the magics, in either byte order.
pub(super) fn is_magic(head: &[u8]) -> bool {
    let known = |magic| matches!(magic, MICROSECONDS_MAGIC | NANOSECONDS_MAGIC | MODIFIED_MAGIC);
    Cursor::new(head).be_u32().is_some_and(|magic| known(magic) || known(magic.swap_bytes()))
}

/// What the file header says.
pub(super) struct Pcap {
    parser: PcapParser,
    link_type: LinkType,
    nanos_per_unit: i64,
    /// Bytes between a packet's header and the packet.
    extra: usize,
    /// A packet longer than this is damage.
    max_packet: usize,
    /// The magic as a packet's seconds would show it: another file's header, joined on.
    magic: u32,
}

impl Pcap {
    /// Reads the file header at the front of `window`.
    ///
    /// The snapshot length (0 in some files, too small in others) only ever raises the limit for a packet. Of the link type
    /// field the low 16 bits count; the upper ones say whether frames end in a check sequence, which no IP length covers.
    pub(super) fn open<R: Read>(window: &mut Window<R>) -> Result<Self, Stop> {
        if !window.fill_to(FILE_HEADER_BYTES)? {
            return Err(Stop::Cut { part: "the header before packet", need: FILE_HEADER_BYTES as u64 });
        }
        let (header, modified) = plain_header(window.unread());
        let (_, parser) = PcapParser::new(&header).map_err(|error| Stop::Damaged(error.to_string()))?;
        let fields = parser.header();
        if fields.version_major != 2 || fields.version_minor < 3 {
            // Before 2.3 the two lengths of a packet stood in the other order.
            let (major, minor) = (fields.version_major, fields.version_minor);
            return Err(Stop::Damaged(format!("pcap version {major}.{minor}, expected 2.3 or 2.4")));
        }
        window.lend(FILE_HEADER_BYTES);
        let extra = if modified { MODIFIED_EXTRA_BYTES } else { 0 };
        let ceiling = MAX_RECORD_BYTES - PACKET_HEADER_BYTES - extra;
        Ok(Self {
            link_type: link_type(u32::from(fields.datalink)),
            nanos_per_unit: match fields.ts_resolution {
                PcapTsResolution::MicroSecond => 1_000,
                PcapTsResolution::NanoSecond => 1,
            },
            extra,
            max_packet: (fields.snaplen as usize).clamp(PLAUSIBLE_PACKET_BYTES, ceiling),
            magic: match (modified, fields.ts_resolution) {
                (true, _) => MODIFIED_MAGIC,
                (false, PcapTsResolution::MicroSecond) => MICROSECONDS_MAGIC,
                (false, PcapTsResolution::NanoSecond) => NANOSECONDS_MAGIC,
            },
            parser,
        })
    }

    /// Fills `found` with the packet at the front of `window`, which stays there; `false` at the end of the file.
    #[inline]
    pub(super) fn find<R: Read>(&mut self, window: &mut Window<R>, found: &mut Found) -> Result<bool, Stop> {
        loop {
            if self.parse(window.unread(), found)? {
                return Ok(true);
            }
            if !self.fill(window)? {
                return Ok(false);
            }
        }
    }

    /// Fills `found` with the packet at the start of `bytes`; `false` if more bytes are needed.
    #[inline]
    fn parse(&self, bytes: &[u8], found: &mut Found) -> Result<bool, Stop> {
        // The library's raw packet judges nothing. Its only error is that bytes are missing.
        let Ok((behind, raw)) = self.parser.next_raw_packet(bytes) else {
            return Ok(false);
        };
        let cap_len = raw.data.len();
        if cap_len > self.max_packet {
            return Err(too_long(cap_len, self.max_packet));
        }
        if behind.len() < self.extra {
            return Ok(false);
        }
        if cap_len == 0 && raw.orig_len == 0 {
            self.refuse_non_packet(raw.ts_sec, raw.ts_frac)?;
        }
        let skip = PACKET_HEADER_BYTES + self.extra;
        // At most 2^32 s + 2^32 µs, which fits. A fraction of a second or more is carried into the seconds.
        let ts = i64::from(raw.ts_sec) * NANOS_PER_SECOND + i64::from(raw.ts_frac) * self.nanos_per_unit;
        *found = Found {
            ts: UnixNanos(ts),
            orig_len: raw.orig_len,
            link_type: self.link_type,
            interface: 0,
            skip,
            cap_len,
            record_len: skip + cap_len,
        };
        Ok(true)
    }

    /// Refuses what reads as an empty packet but is none: the zeros that a power cut leaves at the end of a file, and the
    /// file header of a second capture joined to the first.
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

    /// Reads more of the packet that `window` begins with; `false` if the file ends cleanly before it.
    fn fill<R: Read>(&self, window: &mut Window<R>) -> Result<bool, Stop> {
        let header_bytes = PACKET_HEADER_BYTES + self.extra;
        if !window.fill_to(header_bytes)? {
            let nothing_left = window.unread().is_empty();
            return if nothing_left { Ok(false) } else { Err(cut(header_bytes)) };
        }
        let cap_len = self.stated_cap_len(window.unread());
        if cap_len > self.max_packet {
            return Err(too_long(cap_len, self.max_packet));
        }
        match window.fill_to(header_bytes + cap_len)? {
            true => Ok(true),
            false => Err(cut(header_bytes + cap_len)),
        }
    }

    /// The captured length in the packet header at the start of `bytes`, before the packet itself is there.
    fn stated_cap_len(&self, bytes: &[u8]) -> usize {
        let mut at = Cursor::new(bytes);
        let field = at.skip(8).and_then(|()| match self.parser.header().endianness {
            Endianness::Big => at.be_u32(),
            Endianness::Little => at.le_u32(),
        });
        field.unwrap_or_default() as usize
    }
}

/// The first 24 bytes of `bytes` with the magic that the library knows, and whether the file is of the modified format.
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
