//! Block headers: up to 29 bytes since format 5, 40 bytes before.

use super::SegmentHeader;
use super::varint;
use crate::cursor::Cursor;
use crate::time::UnixNanos;

/// First bytes of a block.
pub(super) const MAGIC: [u8; 4] = *b"IMBK";

/// Length of a block header in bytes before format 5.
const LONG_LEN: usize = 40;

/// Longest block header in bytes: magic, flags, length (5), sequence (5), time (10), checksum.
const SHORT_MAX: usize = MAGIC.len() + 1 + 5 + 5 + 10 + CRC_LEN;

/// Length of the checksum at the end of a header.
const CRC_LEN: usize = 4;

/// Most bytes of a payload. The writer closes a block at 64 KiB; one record more (a DNS answer of
/// 64 KiB gives the longest) and the dictionary entries it needs still fit.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;

/// Flag: the dictionaries start anew with this block.
pub(super) const FRESH: u16 = 1;

/// Flag: the interval of the block is not over; other blocks of it may follow.
pub(super) const GOES_ON: u16 = 2;

/// Since format 5 the type stands in the lowest two bits of a byte, and the flags above it.
const FLAGS_SHIFT: u16 = 2;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum BlockType {
    /// Dictionary additions, names, usage rows, counts.
    Records = 1,
    /// The totals; nothing follows.
    End = 2,
}

/// The header of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockHeader {
    pub(super) block_type: BlockType,
    pub(super) flags: u16,
    /// Bytes of the payload.
    pub(super) stored_len: u32,
    /// Records of the payload; since format 5 only its lists say how many there are.
    pub(super) records: Option<u32>,
    /// Start of the interval that the payload's times count from.
    pub(super) first_ts: UnixNanos,
    /// Place of the block in the segment, from 0.
    pub(super) sequence: u32,
    /// Sequence of the block that began this block's dictionaries; since format 5 the last fresh
    /// one before it.
    pub(super) group: Option<u32>,
    pub(super) crc: u32,
}

/// Why a block was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The four bytes at its start are not those of a block.
    #[error("no block begins here")]
    NoMagic,
    /// A field of its header cannot be.
    #[error("block header out of range: {what}")]
    Header {
        /// The field and its value.
        what: String,
    },
    /// The checksum does not match.
    #[error("block fails its checksum (stored {stored:08x}, computed {computed:08x})")]
    Checksum {
        /// As stored in the block.
        stored: u32,
        /// Of segment UUID, header and payload.
        computed: u32,
    },
    /// A block is missing before it.
    #[error("block {found} where block {expected} was expected")]
    Sequence {
        /// Stored number.
        found: u32,
        /// Number by count.
        expected: u32,
    },
    /// The checksum is right, but the content is not what a recorder writes.
    #[error("block content is malformed: {what}")]
    Content {
        /// What was found.
        what: &'static str,
    },
    /// The end block's totals differ from what was read.
    #[error("end block states {stated} records, {read} were read")]
    Totals {
        /// By the end block.
        stated: u64,
        /// Counted.
        read: u64,
    },
}

/// How the block headers of a segment look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// 40 bytes, little endian: before format 5.
    Long,
    /// Integers of variable length; times are numbers of intervals.
    Short {
        /// Start of the interval in which the segment begins.
        first: UnixNanos,
        interval_ns: i64,
    },
}

/// A block header as bytes.
#[derive(Debug)]
pub(super) struct Head {
    bytes: [u8; SHORT_MAX],
    len: usize,
}

impl Head {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Layout {
    /// The longest header there is: room for one before a payload, and what is read to find one.
    pub(super) const MAX_LEN: usize = if SHORT_MAX > LONG_LEN { SHORT_MAX } else { LONG_LEN };

    /// The layout in the segment that has this header.
    pub(super) fn of(header: &SegmentHeader) -> Self {
        match header.format {
            ..5 => Self::Long,
            _ => Self::short(header.start, header.interval_ns),
        }
    }

    /// The layout that is written.
    pub(super) fn short(start: UnixNanos, interval_ns: i64) -> Self {
        Self::Short { first: start.floor_to(interval_ns), interval_ns }
    }

    /// Reads the header at the start of `bytes`, and gives its length; `None` if they end inside
    /// it. The checksum is not judged here: the payload is not at hand yet.
    ///
    /// # Errors
    /// [`BlockError`]: no block begins here, or a field cannot be.
    pub(super) fn decode(self, bytes: &[u8]) -> Result<Option<(BlockHeader, usize)>, BlockError> {
        if !MAGIC.iter().zip(bytes).all(|(a, b)| a == b) {
            return Err(BlockError::NoMagic);
        }
        let mut at = Cursor::new(bytes);
        let header = match self {
            Self::Long => at.array::<LONG_LEN>().map(|head| long(&head)).transpose()?.flatten(),
            Self::Short { first, interval_ns } => match short(&mut at) {
                Some(fields) => Some(fields.judged(first, interval_ns)?),
                None if bytes.len() >= SHORT_MAX => return Err(field("an integer of too many bits".into())),
                None => None,
            },
        };
        let Some(header) = header else { return Ok(None) };
        if header.stored_len as usize > MAX_PAYLOAD {
            return Err(field(format!("length {}", header.stored_len)));
        }
        Ok(Some((header, bytes.len() - at.remaining())))
    }
}

fn field(what: String) -> BlockError {
    BlockError::Header { what }
}

/// A header of 40 bytes; never `None`.
fn long(bytes: &[u8; LONG_LEN]) -> Result<Option<BlockHeader>, BlockError> {
    let mut at = Cursor::new(bytes);
    let fields = (|| {
        at.skip(MAGIC.len())?;
        let (kind, codec, flags) = (at.u8()?, at.u8()?, at.le_u16()?);
        let (stored_len, raw_len, records) = (at.le_u32()?, at.le_u32()?, at.le_u32()?);
        let first_ts = UnixNanos(at.le_u64()? as i64);
        let (sequence, group, crc) = (at.le_u32()?, at.le_u32()?, at.le_u32()?);
        Some((kind, codec, flags, stored_len, raw_len, records, first_ts, sequence, group, crc))
    })();
    let Some((kind, codec, flags, stored_len, raw_len, records, first_ts, sequence, group, crc)) = fields else {
        return Ok(None);
    };
    let block_type = block_type(kind)?;
    if codec != 0 {
        return Err(field(format!("codec {codec}")));
    }
    if stored_len != raw_len {
        return Err(field(format!("lengths {stored_len} and {raw_len}")));
    }
    let (records, group) = (Some(records), Some(group));
    Ok(Some(BlockHeader { block_type, flags, stored_len, records, first_ts, sequence, group, crc }))
}

fn block_type(number: u8) -> Result<BlockType, BlockError> {
    match number {
        1 => Ok(BlockType::Records),
        2 => Ok(BlockType::End),
        other => Err(field(format!("type {other}"))),
    }
}

/// The fields of a header since format 5, as they stand there.
struct ShortFields {
    flags: u8,
    len: u64,
    sequence: u64,
    intervals: i64,
    crc: u32,
}

/// Reads the fields; `None` where the bytes end, or an integer is too long.
fn short(at: &mut Cursor<'_>) -> Option<ShortFields> {
    at.skip(MAGIC.len())?;
    Some(ShortFields {
        flags: at.u8()?,
        len: varint::get(at)?,
        sequence: varint::get(at)?,
        intervals: varint::get_signed(at)?,
        crc: at.le_u32()?,
    })
}

impl ShortFields {
    fn judged(&self, first: UnixNanos, interval_ns: i64) -> Result<BlockHeader, BlockError> {
        let number = |what: &str, value: u64| u32::try_from(value).map_err(|_| field(format!("{what} {value}")));
        let flags = u16::from(self.flags) >> FLAGS_SHIFT;
        if flags & !(FRESH | GOES_ON) != 0 {
            return Err(field(format!("flags {flags}")));
        }
        // As the start of an interval at either end of what a time can be.
        let time = i128::from(first.0) + i128::from(self.intervals) * i128::from(interval_ns);
        let time = time.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        Ok(BlockHeader {
            block_type: block_type(self.flags & 3)?,
            flags,
            stored_len: number("length", self.len)?,
            records: None,
            first_ts: UnixNanos(time),
            sequence: number("sequence", self.sequence)?,
            group: None,
            crc: self.crc,
        })
    }
}

impl BlockHeader {
    /// The bytes of the header in a segment of this layout, which must be the one that is written,
    /// with the checksum filled in.
    pub(super) fn encode(&self, layout: Layout, segment: &[u8; 16], payload: &[u8]) -> Head {
        let intervals = match layout {
            Layout::Short { first, interval_ns } => {
                let distance = i128::from(self.first_ts.0) - i128::from(first.0);
                distance.div_euclid(interval_ns.max(1).into()) as i64
            }
            Layout::Long => 0,
        };
        let mut out = Vec::with_capacity(SHORT_MAX);
        out.extend(MAGIC);
        out.push(self.block_type as u8 | (self.flags << FLAGS_SHIFT) as u8);
        varint::put(&mut out, self.stored_len.into());
        varint::put(&mut out, self.sequence.into());
        varint::put_signed(&mut out, intervals);
        out.extend([0; CRC_LEN]);
        let crc = checksum(segment, &out, payload);
        let mut head = Head { bytes: [0; SHORT_MAX], len: out.len() };
        head.bytes.iter_mut().zip(&out).for_each(|(place, byte)| *place = *byte);
        if let Some(place) = head.bytes.get_mut(out.len() - CRC_LEN..out.len()) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        head
    }
}

/// CRC-32C over segment UUID, block header without its checksum, and payload. The UUID makes a
/// block that was left over from another file fail.
pub(super) fn checksum(segment: &[u8; 16], header: &[u8], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(segment);
    let crc = crc32c::crc32c_append(crc, header.split_last_chunk::<CRC_LEN>().map_or(&[][..], |(head, _)| head));
    crc32c::crc32c_append(crc, payload)
}
