//! The end of a segment without its middle: how it ended, and until when it recorded. For a
//! recorder that begins while the packets wait, and that trusts no file.

use super::block::{BlockHeader, BlockType, FRESH, Layout, checksum};
use super::decoder::Decoder;
use super::header::{HeaderError, SegmentHeader};
use super::writer::SegmentClose;
use crate::observe::Nothing;
use crate::time::UnixNanos;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Block headers that are looked at: three days of two blocks a second. A file with more, or one
/// made of empty blocks, costs no more time than this, and its end stays unknown.
const MAX_BLOCKS: u32 = 1 << 19;

/// What the end of a segment tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentTail {
    /// Its header.
    pub header: SegmentHeader,
    /// What its end block says; `None` where there is none: it was not sealed.
    pub close: Option<SegmentClose>,
    /// Until when everything was recorded that was seen; `None` where no good block was found.
    pub recorded_to: Option<UnixNanos>,
}

impl SegmentTail {
    /// Reads a segment's header and its end block; where that is missing, or does not say until
    /// when it recorded, its last group of blocks. In between only block headers are looked at, so
    /// that damage there ends it: what is told is then of the blocks before.
    ///
    /// # Errors
    /// [`HeaderError`]: the file is no segment that can be read, or reading failed.
    pub fn read(input: &mut (impl Read + Seek)) -> Result<Self, HeaderError> {
        let (header, len) = SegmentHeader::read(input)?;
        let file_len = input.seek(SeekFrom::End(0))?;
        let mut tail = Self { close: None, recorded_to: None, header };
        let layout = Layout::of(&tail.header);
        let Some(groups) = last_groups(input, layout, len..file_len)? else { return Ok(tail) };
        if let Some((from, sequence)) = groups.end {
            tail.read_group(input, from, sequence)?;
        }
        if tail.recorded_to.is_some() {
            return Ok(tail);
        }
        // The latest one may be torn in its first block.
        for (from, sequence) in groups.last.into_iter().flatten() {
            tail.read_group(input, from, sequence)?;
            if tail.recorded_to.is_some() {
                break;
            }
        }
        Ok(tail)
    }

    fn read_group(&mut self, input: &mut (impl Read + Seek), from: u64, mut sequence: u32) -> io::Result<()> {
        input.seek(SeekFrom::Start(from))?;
        let (mut decoder, layout) = (Decoder::new(&self.header), Layout::of(&self.header));
        while let Some((head, block)) = next_block(input, layout)? {
            let mut payload = vec![0; block.stored_len as usize];
            if !fill(input, &mut payload)?
                || checksum(&self.header.segment, &head, &payload) != block.crc
                || block.sequence != sequence
            {
                break;
            }
            if block.block_type == BlockType::End {
                self.close = decoder.close(&payload).ok();
                break;
            }
            if !decoder.can_read(&block) || decoder.records(&block, &payload, &mut Nothing).is_err() {
                break;
            }
            self.recorded_to = decoder.recorded_to;
            sequence = sequence.wrapping_add(1);
        }
        self.recorded_to = self.close.as_ref().and_then(|close| close.recorded_to).or(self.recorded_to);
        Ok(())
    }
}

/// Offset and sequence of the first block of a group.
type Group = (u64, u32);

/// Where the end of a segment stands.
#[derive(Debug, Default)]
struct Groups {
    /// The end block, where there is one.
    end: Option<Group>,
    /// The last group of blocks, and the one before it.
    last: [Option<Group>; 2],
}

/// The last blocks in this part of a file; `None` if there are too many blocks.
fn last_groups(input: &mut (impl Read + Seek), layout: Layout, part: Range<u64>) -> io::Result<Option<Groups>> {
    let mut groups = Groups::default();
    let mut at = part.start;
    for sequence in 0..MAX_BLOCKS {
        input.seek(SeekFrom::Start(at))?;
        let Some((head, block)) = next_block(input, layout)? else { return Ok(Some(groups)) };
        if block.sequence != sequence {
            return Ok(Some(groups));
        }
        let [last, _] = groups.last;
        // The fresh flag of an end block means nothing, and the first block has nothing before it.
        if last.is_none() || (block.flags & FRESH != 0 && block.block_type == BlockType::Records) {
            groups.last = [Some((at, sequence)), last];
        }
        if block.block_type == BlockType::End {
            groups.end = Some((at, sequence));
            return Ok(Some(groups));
        }
        at = at.saturating_add(head.len() as u64 + u64::from(block.stored_len));
        if at >= part.end {
            return Ok(Some(groups));
        }
    }
    Ok(None)
}

/// The block header that stands here, as bytes and as what it says; `None` if there is none. Its
/// payload is read next.
fn next_block(input: &mut (impl Read + Seek), layout: Layout) -> io::Result<Option<(Vec<u8>, BlockHeader)>> {
    let mut head = Vec::with_capacity(Layout::MAX_LEN);
    input.by_ref().take(Layout::MAX_LEN as u64).read_to_end(&mut head)?;
    let Ok(Some((block, len))) = layout.decode(&head) else { return Ok(None) };
    let beyond = head.len().saturating_sub(len);
    input.seek_relative(-(beyond as i64))?;
    head.truncate(len);
    Ok(Some((head, block)))
}

/// Fills `bytes`; false if the file ends before.
fn fill(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
