//! The pcapng format (draft-ietf-opsawg-pcapng).
//!
//! The library cuts a block out of the bytes and checks its two lengths. Its contents are read
//! here: the library's own reading of them refuses a whole packet for an option it does not like,
//! and time resolutions finer than 10^-9 and 2^-29.

mod fields;
mod interface;

use self::fields::{Fields, Order, padding};
use self::interface::{Interface, Resolution};
use super::window::Window;
use super::{Found, MAX_RECORD_BYTES, Stop};
use crate::cursor::Cursor;
use crate::packet::{self, LinkType};
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use byteorder::{BigEndian, LittleEndian};
use pcap_file::pcapng::blocks::{
    ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, INTERFACE_STATISTIC_BLOCK, PACKET_BLOCK, SECTION_HEADER_BLOCK,
    SIMPLE_PACKET_BLOCK,
};
use pcap_file::pcapng::{PcapNgFormatError, RawBlock, RawBlockParseError};
use std::io::Read;

/// Block type and total length, and the total length again behind the body.
const BLOCK_HEADER_BYTES: usize = 8;
const BLOCK_TRAILER_BYTES: usize = 4;
const BLOCK_FRAME_BYTES: usize = BLOCK_HEADER_BYTES + BLOCK_TRAILER_BYTES;

/// Byte order magic of a section header, as the writer's machine stores it.
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Fields of an enhanced or an old packet block before its packet: both are 20 bytes long.
const PACKET_FIELDS_BYTES: usize = 20;

/// Field of a simple packet block before its packet: the original length.
const SIMPLE_FIELDS_BYTES: usize = 4;

/// Interfaces in one section. The old packet block counts them in 16 bits; a few megabytes of table
/// at most.
const MAX_INTERFACES: usize = 65_536;

/// Interfaces of all sections that are told apart. A file that is put together from others has one
/// or two a section.
const MAX_DESCRIBED: usize = 65_536;

/// Option codes by the draft's sections 4.2 (interface), 4.3 (packet) and 4.6 (statistics).
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;
const EPB_DROPCOUNT: u16 = 4;
const ISB_IFDROP: u16 = 5;
const ISB_OSDROP: u16 = 7;

/// Whether `head` begins with a section header block.
pub(super) fn is_magic(head: &[u8]) -> bool {
    let mut at = Cursor::new(head);
    // Without the byte order magic behind it, 0a0d0d0a is an odd way to end lines.
    at.be_u32() == Some(SECTION_HEADER_BLOCK) && at.skip(4).is_some() && at.be_u32().is_none_or(is_byte_order_magic)
}

fn is_byte_order_magic(magic: u32) -> bool {
    magic == BYTE_ORDER_MAGIC || magic.swap_bytes() == BYTE_ORDER_MAGIC
}

/// Where we are in the file: the current section.
#[derive(Default)]
pub(super) struct PcapNg {
    order: Order,
    interfaces: Vec<Interface>,
    /// All interfaces of the file, for those who count bytes by them.
    described: Vec<packet::Interface>,
    /// Place of this section's first interface among them.
    first: u32,
    /// Losses of the sections before this one.
    dropped_before: Option<u64>,
    /// Time of the last packet, for simple packet blocks.
    last_ts: UnixNanos,
}

/// The head of the block in front, before its body is there.
#[derive(Default)]
struct BlockHead {
    kind: u32,
    total: u32,
    order: Order,
}

impl PcapNg {
    /// Fills `found` with the next packet, whose block stays at the front of `window`; `false` at
    /// the end of the file.
    ///
    /// Results go through references to where they are needed: as return values through three
    /// layers of `Result` and `Option` they cost more than the parsing.
    #[inline]
    pub(super) fn find<R: Read>(&mut self, window: &mut Window<R>, found: &mut Found) -> Result<bool, Stop> {
        let mut head = BlockHead::default();
        loop {
            if !self.head(window, &mut head)? {
                return Ok(false);
            }
            if !is_read(head.kind) {
                pass_over(window, &head)?;
                continue;
            }
            if self.block(window, &head, found)? {
                return Ok(true);
            }
            window.lend(head.total as usize);
        }
    }

    /// Packets lost as far as the file says; `None` where it says nothing.
    pub(super) fn dropped(&self) -> Option<u64> {
        self.interfaces.iter().map(Interface::dropped).fold(self.dropped_before, add_known)
    }

    /// Fills `head` for the block in front; `false` at the end of the file.
    #[inline]
    fn head<R: Read>(&self, window: &mut Window<R>, head: &mut BlockHead) -> Result<bool, Stop> {
        if !window.fill_to(BLOCK_FRAME_BYTES)? {
            let nothing_left = window.unread().is_empty();
            return if nothing_left { Ok(false) } else { Err(cut(BLOCK_FRAME_BYTES)) };
        }
        let order = section_order(window.unread())?.unwrap_or(self.order);
        let mut fields = Fields { at: Cursor::new(window.unread()), order };
        head.order = order;
        head.kind = fields.u32().unwrap_or_default();
        head.total = fields.u32().unwrap_or_default();
        if head.total < BLOCK_FRAME_BYTES as u32 || !head.total.is_multiple_of(4) {
            return Err(bad_length(head.kind, head.total));
        }
        Ok(true)
    }

    /// Takes in the block in front; `true` if it holds a packet, which is then in `found`.
    #[inline]
    fn block<R: Read>(&mut self, window: &mut Window<R>, head: &BlockHead, found: &mut Found) -> Result<bool, Stop> {
        let total = head.total as usize;
        if total > MAX_RECORD_BYTES {
            return Err(too_long(head));
        }
        if !window.fill_to(total)? {
            return Err(cut(total));
        }
        let raw = match head.order {
            Order::Little => RawBlock::from_slice::<LittleEndian>(window.unread()),
            Order::Big => RawBlock::from_slice::<BigEndian>(window.unread()),
        };
        let (_, raw) = raw.map_err(|error| misframed(head, error))?;
        let fields = Fields { at: Cursor::new(&raw.body), order: head.order };
        match head.kind {
            ENHANCED_PACKET_BLOCK => self.enhanced_packet(fields, found).map(|()| true),
            PACKET_BLOCK => self.old_packet(fields, found).map(|()| true),
            SIMPLE_PACKET_BLOCK => self.simple_packet(fields, found).map(|()| true),
            SECTION_HEADER_BLOCK => self.section(fields).map(|()| false),
            INTERFACE_DESCRIPTION_BLOCK => self.interface(fields).map(|()| false),
            _ => {
                self.statistics(fields);
                Ok(false)
            }
        }
    }

    /// Section header (4.1). Its stated length is not used: many writers leave it open.
    fn section(&mut self, mut fields: Fields<'_>) -> Result<(), Stop> {
        let version = fields.at.skip(4).and_then(|()| Some((fields.u16()?, fields.u16()?)));
        let Some((major, minor)) = version else {
            return Err(short("section header"));
        };
        if major != 1 {
            return Err(Stop::Damaged(format!("pcapng version {major}.{minor}, expected 1.x")));
        }
        self.dropped_before = self.dropped();
        self.interfaces.clear();
        self.first = self.described.len() as u32;
        self.order = fields.order;
        Ok(())
    }

    /// Interface description (4.2).
    fn interface(&mut self, mut fields: Fields<'_>) -> Result<(), Stop> {
        let link_type = fields.u16().ok_or_else(|| short("interface description"))?;
        let snaplen = fields.at.skip(2).and_then(|()| fields.u32()).ok_or_else(|| short("interface description"))?;
        if self.interfaces.len() >= MAX_INTERFACES {
            return Err(Stop::Damaged(format!("more than {MAX_INTERFACES} interfaces in a section")));
        }
        let (mut resolution, mut offset_s, mut name) = (Resolution::default(), 0, String::new());
        fields.options(|code, mut value| match code {
            IF_NAME => name = value.text(),
            IF_TSRESOL => resolution = value.at.u8().map_or(resolution, Resolution::from_option),
            IF_TSOFFSET => offset_s = value.only_u64().map_or(offset_s, u64::cast_signed),
            _ => {}
        });
        // Sections are not bounded in number. What lies beyond is counted all the same, on the last
        // one's number.
        if self.described.len() < MAX_DESCRIBED {
            self.described.push(packet::Interface { name, link_type: LinkType(link_type) });
        }
        self.interfaces.push(Interface {
            link_type: LinkType(link_type),
            snaplen,
            resolution,
            offset_ns: i128::from(offset_s) * i128::from(NANOS_PER_SECOND),
            dropped_by_statistics: None,
            dropped_by_packets: None,
        });
        Ok(())
    }

    /// Interface statistics (4.6). Counts from the start of the capture: the last block holds.
    fn statistics(&mut self, mut fields: Fields<'_>) {
        let index = fields.u32().map(|index| index as usize);
        let Some(interface) = index.and_then(|index| self.interfaces.get_mut(index)) else {
            return;
        };
        let mut dropped = None;
        fields.at.up_to(8); // when it was taken
        fields.options(|code, mut value| {
            if matches!(code, ISB_IFDROP | ISB_OSDROP) {
                // All ones is how dumpcap's library says "not known".
                dropped = add_known(dropped, value.only_u64().filter(|&count| count != u64::MAX));
            }
        });
        interface.dropped_by_statistics = dropped.or(interface.dropped_by_statistics);
    }

    /// Enhanced packet (4.3).
    #[inline]
    fn enhanced_packet(&mut self, mut fields: Fields<'_>, found: &mut Found) -> Result<(), Stop> {
        let index = fields.u32().ok_or_else(|| short("enhanced packet"))?;
        self.packet("enhanced packet", index, &mut fields, found)?;
        // Most packets have no options.
        if !fields.at.is_empty() {
            let mut lost = None;
            fields.options(|code, mut value| {
                if code == EPB_DROPCOUNT {
                    lost = add_known(lost, value.only_u64());
                }
            });
            self.lost_before(index, lost);
        }
        Ok(())
    }

    /// Old packet block (obsolete, appendix A): interface and drop count in 16 bits each, the rest
    /// as in the enhanced one.
    fn old_packet(&mut self, mut fields: Fields<'_>, found: &mut Found) -> Result<(), Stop> {
        let numbers = fields.u16().and_then(|index| Some((u32::from(index), fields.u16()?)));
        let (index, lost) = numbers.ok_or_else(|| short("packet"))?;
        self.packet("packet", index, &mut fields, found)?;
        self.lost_before(index, (lost != u16::MAX).then_some(u64::from(lost)));
        Ok(())
    }

    /// What both packet blocks have in common from the time stamp on; `fields` is left behind the
    /// packet's padding.
    #[inline]
    fn packet(&mut self, name: &str, index: u32, fields: &mut Fields<'_>, found: &mut Found) -> Result<(), Stop> {
        let Some(interface) = self.interfaces.get(index as usize) else {
            return Err(unknown_interface(index, self));
        };
        let (ts, cap_len, orig_len) = times_and_lengths(fields).ok_or_else(|| short(name))?;
        let cap_len = cap_len as usize;
        let room = fields.at.remaining();
        if fields.at.skip(cap_len).is_none() {
            return Err(Stop::Damaged(format!("a packet of {cap_len} bytes in a block with room for {room}")));
        }
        let record_len = BLOCK_FRAME_BYTES + PACKET_FIELDS_BYTES + room;
        fields.at.up_to(padding(cap_len));
        found.ts = interface.instant(ts);
        found.orig_len = orig_len;
        found.link_type = interface.link_type;
        found.interface = self.number(index);
        found.skip = BLOCK_HEADER_BYTES + PACKET_FIELDS_BYTES;
        found.cap_len = cap_len;
        found.record_len = record_len;
        self.last_ts = found.ts;
        Ok(())
    }

    /// Simple packet (4.4): the first interface, no time, and a captured length that follows from
    /// the other lengths.
    fn simple_packet(&mut self, mut fields: Fields<'_>, found: &mut Found) -> Result<(), Stop> {
        let orig_len = fields.u32().ok_or_else(|| short("simple packet"))?;
        let Some(interface) = self.interfaces.first() else {
            return Err(unknown_interface(0, self));
        };
        let limit = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let room = fields.at.remaining();
        *found = Found {
            ts: self.last_ts,
            orig_len,
            link_type: interface.link_type,
            interface: self.number(0),
            skip: BLOCK_HEADER_BYTES + SIMPLE_FIELDS_BYTES,
            cap_len: room.min(orig_len.min(limit) as usize),
            record_len: BLOCK_FRAME_BYTES + SIMPLE_FIELDS_BYTES + room,
        };
        Ok(())
    }

    /// The interfaces that were described so far, by their number in the whole file.
    pub(super) fn described(&self) -> &[packet::Interface] {
        &self.described
    }

    /// The number in the whole file of a section's interface.
    #[inline]
    fn number(&self, index: u32) -> u32 {
        self.first.saturating_add(index).min(MAX_DESCRIBED as u32 - 1)
    }

    /// Adds packets that were lost before a packet of interface `index`.
    fn lost_before(&mut self, index: u32, lost: Option<u64>) {
        if let Some(interface) = self.interfaces.get_mut(index as usize) {
            interface.dropped_by_packets = add_known(interface.dropped_by_packets, lost);
        }
    }
}

/// Time stamp, captured and original length, in this order.
#[inline]
fn times_and_lengths(fields: &mut Fields<'_>) -> Option<(u64, u32, u32)> {
    let [high, low, cap_len, orig_len] = fields.four_words()?;
    Some(((u64::from(high) << 32) | u64::from(low), cap_len, orig_len))
}

/// The byte order that the section header at the start of `bytes` announces; `None` if another
/// block stands there.
#[inline]
fn section_order(bytes: &[u8]) -> Result<Option<Order>, Stop> {
    let mut at = Cursor::new(bytes);
    if at.be_u32() != Some(SECTION_HEADER_BLOCK) {
        return Ok(None);
    }
    match at.skip(4).and_then(|()| at.be_u32()) {
        Some(BYTE_ORDER_MAGIC) => Ok(Some(Order::Big)),
        Some(magic) if is_byte_order_magic(magic) => Ok(Some(Order::Little)),
        magic => Err(Stop::Damaged(format!("byte order magic {:08x}, expected 1a2b3c4d", magic.unwrap_or_default()))),
    }
}

/// Whether blocks of this type say anything that we want.
#[inline]
fn is_read(kind: u32) -> bool {
    matches!(
        kind,
        ENHANCED_PACKET_BLOCK
            | PACKET_BLOCK
            | SIMPLE_PACKET_BLOCK
            | SECTION_HEADER_BLOCK
            | INTERFACE_DESCRIPTION_BLOCK
            | INTERFACE_STATISTIC_BLOCK
    )
}

/// Consumes a block of any size without holding it, and checks that it ends as it began.
fn pass_over<R: Read>(window: &mut Window<R>, head: &BlockHead) -> Result<(), Stop> {
    let body_end = u64::from(head.total) - BLOCK_TRAILER_BYTES as u64;
    if !window.skip(body_end)? || !window.fill_to(BLOCK_TRAILER_BYTES)? {
        return Err(cut(head.total as usize));
    }
    let mut fields = Fields { at: Cursor::new(window.unread()), order: head.order };
    let trailer = fields.u32().unwrap_or_default();
    if trailer != head.total {
        return Err(two_lengths(head, trailer));
    }
    window.lend(BLOCK_TRAILER_BYTES);
    window.settle();
    Ok(())
}

/// Adds what is known; nothing known on either side stays unknown.
fn add_known(sum: Option<u64>, more: Option<u64>) -> Option<u64> {
    match (sum, more) {
        (Some(sum), Some(more)) => Some(sum.saturating_add(more)),
        (sum, more) => sum.or(more),
    }
}

fn cut(need: usize) -> Stop {
    Stop::Cut { part: "the block that could hold packet", need: need as u64 }
}

#[cold]
fn bad_length(kind: u32, total: u32) -> Stop {
    if (kind, total) == (0, 0) {
        return Stop::Damaged("zeros where a block was expected".to_owned());
    }
    Stop::Damaged(format!("a block of type {kind:#x} and length {total}, expected a multiple of 4 from 12 on"))
}

#[cold]
fn too_long(head: &BlockHead) -> Stop {
    Stop::Damaged(format!(
        "a block of type {:#x} and length {}, expected at most {MAX_RECORD_BYTES}",
        head.kind, head.total
    ))
}

#[cold]
fn two_lengths(head: &BlockHead, trailer: u32) -> Stop {
    Stop::Damaged(format!(
        "a block of type {:#x} begins with length {} and ends with length {trailer}",
        head.kind, head.total
    ))
}

#[cold]
fn misframed(head: &BlockHead, error: RawBlockParseError) -> Stop {
    if let RawBlockParseError::InvalidFormat(PcapNgFormatError::BlockLengthMismatch(_, trailer)) = error {
        return two_lengths(head, trailer);
    }
    Stop::Damaged(format!("a block of type {:#x} and length {}: {error}", head.kind, head.total))
}

#[cold]
fn short(name: &str) -> Stop {
    Stop::Damaged(format!("the {name} block is too short for its fields"))
}

#[cold]
fn unknown_interface(index: u32, state: &PcapNg) -> Stop {
    Stop::Damaged(format!("a packet of interface {index}, of which the section describes {}", state.interfaces.len()))
}
