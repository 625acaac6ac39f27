//! Reading a segment file: every good block, and how it ended. Readers never write.

mod report;

use super::block::{BlockError, BlockHeader, BlockType, GOES_ON, Layout, MAGIC, MAX_PAYLOAD, checksum};
use super::decoder::{Decoder, Refused};
use super::header::{HeaderError, SegmentHeader};
use super::writer::SegmentClose;
use crate::observe::Observer;
use crate::time::UnixNanos;
pub use report::{Damage, SegmentEnd, SegmentReport};
use std::io::{self, Read};

/// Damaged places that are listed one by one; further ones are only counted. A file with more is
/// not worth a longer list.
const MAX_LISTED: usize = 100;

/// Bytes that may be checksummed while looking for the next good block. Honest damage needs a few
/// blocks; a file made of false block starts would otherwise cost the square of its length.
const RESUME_BUDGET: u64 = 256 << 20;

/// Why reading stopped before the file did.
#[derive(Debug)]
pub enum ReadError<E> {
    /// The input failed.
    Io(io::Error),
    /// The observer failed.
    Observer(E),
}

/// Reads a segment.
#[derive(Debug)]
pub struct SegmentReader<R> {
    input: R,
    header: SegmentHeader,
    layout: Layout,
    decoder: Decoder,
    /// Bytes read and not yet judged.
    window: Vec<u8>,
    /// Bytes at the start of `window` that are done with.
    done: usize,
    /// Offset in the file of the first byte that is not done with.
    offset: u64,
    at_end: bool,
    next_sequence: u32,
    /// Looking for the next good block after damage.
    resuming: bool,
    /// The end of the input is taken for what is not written yet.
    follows: bool,
    resume_budget: u64,
    /// A good block that was not delivered yet.
    next: Option<Block>,
    /// How the file ended, once that is known.
    end: Option<SegmentEnd>,
    report: SegmentReport,
}

/// A complete block that passed its checks.
#[derive(Debug)]
struct Block {
    header: BlockHeader,
    /// Length of its header.
    head_len: usize,
    /// Length of header and payload.
    len: usize,
}

/// What stands at the current offset.
enum Look {
    Block(Block),
    /// The file ends here.
    End,
    /// The file ends before the block does.
    Incomplete,
    Bad(BlockError),
}

impl<R: Read> SegmentReader<R> {
    /// Reads the file header.
    ///
    /// # Errors
    /// [`HeaderError`]: the file is no segment that can be read.
    pub fn open(mut input: R) -> Result<Self, HeaderError> {
        let (header, len) = SegmentHeader::read(&mut input)?;
        Ok(Self {
            decoder: Decoder::new(&header),
            layout: Layout::of(&header),
            input,
            header,
            window: Vec::new(),
            done: 0,
            offset: len,
            at_end: false,
            next_sequence: 0,
            resuming: false,
            follows: false,
            resume_budget: RESUME_BUDGET,
            next: None,
            end: None,
            report: SegmentReport {
                end: SegmentEnd::Open { valid_to: len },
                close: SegmentClose::default(),
                records: 0,
                packets: 0,
                bytes: 0,
                blocks: 0,
                len_bytes: 0,
                damage: Vec::new(),
                damaged_bytes: 0,
                first: None,
                last: None,
                recorded_to: None,
            },
        })
    }

    /// The file header.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Hands every good record to `observer`, in order, and tells how the file ended.
    ///
    /// # Errors
    /// [`ReadError`]: the input or the observer failed. Damage is no error: it is in the report.
    pub fn read<O: Observer>(mut self, observer: &mut O) -> Result<SegmentReport, ReadError<O::Error>> {
        while self.next_time().map_err(ReadError::Io)?.is_some() {
            self.deliver_next(observer)?;
        }
        Ok(self.into_report())
    }

    /// Takes the end of the input for what is not written yet, from now on: [`Self::next_time`]
    /// then gives `None`, and looks again when it is called again. For a segment whose recorder
    /// runs.
    pub fn follow(&mut self) {
        self.follows = true;
    }

    /// Takes the end of the input for the end of the segment again: its recorder runs no more.
    pub fn stop_following(&mut self) {
        self.follows = false;
        self.at_end = false;
    }

    /// Whether everything was read. Not before [`Self::next_time`] has found the end.
    pub fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// The interval of the next good block; `None` when there is none left. For reading several
    /// segments side by side.
    ///
    /// # Errors
    /// The input failed.
    pub fn next_time(&mut self) -> io::Result<Option<UnixNanos>> {
        while self.next.is_none() && self.end.is_none() {
            if self.follows {
                self.at_end = false;
            }
            match self.look()? {
                // A block is written at once, but it may be seen in parts.
                Look::End | Look::Incomplete if self.follows => return Ok(None),
                Look::End => self.end = Some(SegmentEnd::Open { valid_to: self.offset }),
                Look::Incomplete => {
                    // What looks like a cut block may be a damaged length: good blocks may follow.
                    let (at, cause) =
                        (self.offset, BlockError::Header { what: "length beyond the end of the file".into() });
                    // A torn end is no damage: it is how a killed recorder leaves its file.
                    match self.pass_over(cause)? {
                        (Some(_), damage) => self.note_damage(damage),
                        (None, _) => self.end = Some(SegmentEnd::Torn { valid_to: at, left_over: self.offset - at }),
                    }
                }
                Look::Bad(cause) => self.resume(cause)?,
                Look::Block(block) if block.header.block_type == BlockType::End => self.end = Some(self.end(&block)),
                Look::Block(block) => self.next = Some(block),
            }
        }
        Ok(self.next.as_ref().map(|block| block.header.first_ts))
    }

    /// The damaged places that were found so far, in order, at most 100.
    pub fn damage(&self) -> &[Damage] {
        &self.report.damage
    }

    /// Whether the next good block, which [`Self::next_time`] found, was written before its
    /// interval was over: other blocks of it may follow.
    pub fn next_goes_on(&self) -> bool {
        self.next.as_ref().is_some_and(|block| block.header.flags & GOES_ON != 0)
    }

    /// Hands the records of the next good block to `observer`; nothing when there is none left.
    ///
    /// # Errors
    /// [`ReadError`]: the input or the observer failed. A block that turns out to be damaged is no
    /// error.
    pub fn deliver_next<O: Observer>(&mut self, observer: &mut O) -> Result<(), ReadError<O::Error>> {
        self.next_time().map_err(ReadError::Io)?;
        self.next.take().map_or(Ok(()), |block| self.deliver(&block, observer))
    }

    /// What was read so far, and how the file ended; `Open` where it was not read to its end.
    pub fn into_report(mut self) -> SegmentReport {
        self.report.len_bytes = self.offset + (self.window.len() - self.done) as u64;
        let end = self.end.take().unwrap_or(SegmentEnd::Open { valid_to: self.offset });
        self.report.end = match self.report.damage.first() {
            Some(first) => SegmentEnd::Damaged { at: first.from, cause: first.cause.clone() },
            None => end,
        };
        self.report.recorded_to = self.report.close.recorded_to.or(self.decoder.recorded_to);
        (self.report.records, self.report.packets, self.report.bytes) =
            (self.decoder.totals.records, self.decoder.totals.packets, self.decoder.totals.bytes);
        self.report
    }

    fn deliver<O: Observer>(&mut self, block: &Block, observer: &mut O) -> Result<(), ReadError<O::Error>> {
        let payload = self.window.get(self.done + block.head_len..self.done + block.len).unwrap_or_default();
        match self.decoder.records(&block.header, payload, observer) {
            Ok(()) => {
                self.report.blocks += 1;
                self.report.first.get_or_insert(block.header.first_ts);
                self.report.last = Some(block.header.first_ts);
                self.next_sequence = block.header.sequence.wrapping_add(1);
                self.advance(block.len);
                Ok(())
            }
            Err(Refused::Observer(error)) => Err(ReadError::Observer(error)),
            Err(Refused::Block(cause)) => self.resume(cause).map_err(ReadError::Io),
        }
    }

    fn end(&mut self, block: &Block) -> SegmentEnd {
        let payload = self.window.get(self.done + block.head_len..self.done + block.len).unwrap_or_default();
        let judged = self.decoder.end(payload).and_then(|stated| Ok((stated, self.decoder.close(payload)?)));
        self.report.blocks += 1;
        self.advance(block.len);
        let read = self.decoder.totals;
        let cause = match judged {
            Ok((stated, close)) if stated == read => {
                self.report.close = close;
                return SegmentEnd::Sealed { records: read.records };
            }
            Ok((stated, _)) => BlockError::Totals { stated: stated.records, read: read.records },
            Err(cause) => cause,
        };
        SegmentEnd::Damaged { at: self.offset - block.len as u64, cause }
    }

    /// Reads on until `n` bytes wait, or the input ends.
    fn fill(&mut self, n: usize) -> io::Result<usize> {
        if self.window.len() - self.done < n && !self.at_end {
            self.window.drain(..self.done);
            self.done = 0;
            // At least 256 KiB at a time: fewer calls.
            let want = n.max(256 * 1024) - self.window.len();
            let got = self.input.by_ref().take(want as u64).read_to_end(&mut self.window)?;
            self.at_end = got < want;
        }
        Ok(self.window.len() - self.done)
    }

    fn advance(&mut self, n: usize) {
        self.done += n;
        self.offset += n as u64;
    }

    /// Judges what stands at the current offset, in the expected order.
    fn look(&mut self) -> io::Result<Look> {
        let waiting = self.fill(Layout::MAX_LEN)?;
        if waiting == 0 {
            return Ok(Look::End);
        }
        Ok(match self.look_anywhere()? {
            Look::Block(block) if block.header.sequence != self.next_sequence => {
                let (found, expected) = (block.header.sequence, self.next_sequence);
                Look::Bad(BlockError::Sequence { found, expected })
            }
            look => look,
        })
    }

    /// Judges what stands at the current offset, without regard to the order of blocks.
    fn look_anywhere(&mut self) -> io::Result<Look> {
        self.fill(Layout::MAX_LEN)?;
        let (header, head_len) = match self.layout.decode(self.window.get(self.done..).unwrap_or_default()) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Look::Incomplete),
            Err(cause) => return Ok(Look::Bad(cause)),
        };
        let len = head_len + header.stored_len as usize;
        debug_assert!(len <= Layout::MAX_LEN + MAX_PAYLOAD);
        if self.fill(len)? < len {
            return Ok(Look::Incomplete);
        }
        let whole = self.window.get(self.done..self.done + len).unwrap_or_default();
        let (head, payload) = whole.split_at_checked(head_len).unwrap_or_default();
        if self.resuming {
            self.resume_budget = self.resume_budget.saturating_sub(len as u64);
        }
        let computed = checksum(&self.header.segment, head, payload);
        if computed != header.crc {
            return Ok(Look::Bad(BlockError::Checksum { stored: header.crc, computed }));
        }
        Ok(Look::Block(Block { header, head_len, len }))
    }

    /// Passes over damage to the next block that can be read, or to the end of the file.
    fn resume(&mut self, cause: BlockError) -> io::Result<()> {
        let (_, damage) = self.pass_over(cause)?;
        self.note_damage(damage);
        Ok(())
    }

    /// Passes over damage; gives the block to go on with, and the damage, which is not noted yet.
    fn pass_over(&mut self, cause: BlockError) -> io::Result<(Option<BlockHeader>, Damage)> {
        let (from, before) = (self.offset, self.report.last);
        self.decoder.lose_group();
        // A block that is good but out of order may be the one to go on with.
        if !matches!(cause, BlockError::Sequence { .. }) {
            self.advance(1);
        }
        self.resuming = true;
        let found = self.find_next()?;
        self.resuming = false;
        if let Some(header) = found {
            self.next_sequence = header.sequence;
        }
        let after = found.filter(|h| h.block_type == BlockType::Records).map(|h| h.first_ts);
        Ok((found, Damage { from, to: self.offset, cause, before, after }))
    }

    /// Looks for the next block to go on with. Where there is none, everything is done with; who
    /// follows keeps what may be the beginning of a block.
    fn find_next(&mut self) -> io::Result<Option<BlockHeader>> {
        loop {
            self.skip_to_magic()?;
            let waiting = self.fill(MAGIC.len())?;
            if self.resume_budget == 0 {
                break;
            }
            if waiting < MAGIC.len() {
                return Ok(None);
            }
            match self.look_anywhere()? {
                Look::Block(block) if self.continues_at(&block.header) => return Ok(Some(block.header)),
                Look::Block(block) => self.advance(block.len),
                Look::Incomplete if self.follows => return Ok(None),
                _ => self.advance(1),
            }
        }
        self.skip_to_end()?;
        Ok(None)
    }

    /// Damage that goes on where the last one ended is the same: who follows finds it in pieces.
    fn note_damage(&mut self, damage: Damage) {
        self.report.damaged_bytes += damage.to - damage.from;
        let last = self.report.damage.last_mut();
        if let Some(last) = last.filter(|last| last.to == damage.from && last.after.is_none()) {
            (last.to, last.after) = (damage.to, damage.after);
        } else if self.report.damage.len() < MAX_LISTED {
            self.report.damage.push(damage);
        }
    }

    /// A block after damage counts if it comes later in the file's own order and can be read alone.
    fn continues_at(&self, header: &BlockHeader) -> bool {
        header.sequence >= self.next_sequence && (header.block_type == BlockType::End || self.decoder.can_read(header))
    }

    fn skip_to_magic(&mut self) -> io::Result<()> {
        while self.fill(MAGIC.len())? >= MAGIC.len() {
            let waiting = self.window.get(self.done..).unwrap_or_default();
            match waiting.windows(MAGIC.len()).position(|w| w == MAGIC) {
                Some(distance) => {
                    self.advance(distance);
                    return Ok(());
                }
                None => self.advance(waiting.len() - (MAGIC.len() - 1)),
            }
        }
        if !self.follows {
            let rest = self.fill(1)?;
            self.advance(rest);
        }
        Ok(())
    }

    fn skip_to_end(&mut self) -> io::Result<()> {
        while let n @ 1.. = self.fill(1)? {
            self.advance(n);
        }
        Ok(())
    }
}
