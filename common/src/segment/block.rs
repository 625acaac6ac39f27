//! Block headers: 40 bytes, little endian.

use crate::cursor::Cursor;
use crate::time::UnixNanos;

/// First bytes of a block.
pub(super) const MAGIC: [u8; 4] = *b"IMBK";

/// Length of a block header in bytes.
pub(super) const HEADER_LEN: usize = 40;

/// Most bytes of a payload. The writer closes a block at 64 KiB; one record more (a DNS answer of
/// 64 KiB gives the longest) and the dictionary entries it needs still fit.
pub(super) const MAX_PAYLOAD: usize = 1 << 20;

/// Flag: the dictionaries start anew with this block.
pub(super) const FRESH: u16 = 1;

/// Flag: the interval of the block is not over; other blocks of it may follow.
pub(super) const GOES_ON: u16 = 2;

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
    /// Bytes of the payload as stored.
    pub(super) stored_len: u32,
    /// Bytes of the payload after decoding; equal to `stored_len`, as the only codec so far is 0
    /// (none).
    pub(super) raw_len: u32,
    pub(super) records: u32,
    /// Start of the interval that the payload's times count from.
    pub(super) first_ts: UnixNanos,
    /// Place of the block in the segment, from 0.
    pub(super) sequence: u32,
    /// Sequence of the block that began this block's dictionaries.
    pub(super) group: u32,
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

impl BlockHeader {
    /// Header and payload as bytes, with the checksum filled in.
    pub(super) fn encode(&self, segment: &[u8; 16], payload: &[u8]) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let fields = MAGIC
            .into_iter()
            .chain([self.block_type as u8, 0])
            .chain(self.flags.to_le_bytes())
            .chain(self.stored_len.to_le_bytes())
            .chain(self.raw_len.to_le_bytes())
            .chain(self.records.to_le_bytes())
            .chain(self.first_ts.0.to_le_bytes())
            .chain(self.sequence.to_le_bytes())
            .chain(self.group.to_le_bytes());
        out.iter_mut().zip(fields).for_each(|(place, byte)| *place = byte);
        let crc = checksum(segment, &out, payload);
        if let Some(place) = out.last_chunk_mut::<4>() {
            *place = crc.to_le_bytes();
        }
        out
    }

    /// Reads a header. The checksum is not judged here: the payload is not at hand yet.
    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, BlockError> {
        let mut at = Cursor::new(bytes);
        let short = || BlockError::Header { what: "too short".into() };
        if at.array::<4>() != Some(MAGIC) {
            return Err(BlockError::NoMagic);
        }
        let (kind, codec) = (at.u8().ok_or_else(short)?, at.u8().ok_or_else(short)?);
        let flags = at.le_u16().ok_or_else(short)?;
        let (stored_len, raw_len) = (at.le_u32().ok_or_else(short)?, at.le_u32().ok_or_else(short)?);
        let records = at.le_u32().ok_or_else(short)?;
        let first_ts = UnixNanos(at.le_u64().ok_or_else(short)? as i64);
        let (sequence, group) = (at.le_u32().ok_or_else(short)?, at.le_u32().ok_or_else(short)?);
        let crc = at.le_u32().ok_or_else(short)?;
        let block_type = match kind {
            1 => BlockType::Records,
            2 => BlockType::End,
            other => {
                return Err(BlockError::Header { what: format!("type {other}") });
            }
        };
        if codec != 0 {
            return Err(BlockError::Header { what: format!("codec {codec}") });
        }
        if stored_len as usize > MAX_PAYLOAD || stored_len != raw_len {
            return Err(BlockError::Header { what: format!("lengths {stored_len} and {raw_len}") });
        }
        Ok(Self { block_type, flags, stored_len, raw_len, records, first_ts, sequence, group, crc })
    }
}

/// CRC-32C over segment UUID, block header without its checksum, and payload. The UUID makes a
/// block that was left over from another file fail.
pub(super) fn checksum(segment: &[u8; 16], header: &[u8; HEADER_LEN], payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c(segment);
    let crc = crc32c::crc32c_append(crc, header.split_last_chunk::<4>().map_or(&[][..], |(head, _)| head));
    crc32c::crc32c_append(crc, payload)
}
