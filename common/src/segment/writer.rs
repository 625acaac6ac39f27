//! Writing a segment, append only.

use super::block::{BlockHeader, BlockType, FRESH, GOES_ON, HEADER_LEN};
use super::dictionary::{Dictionary, kind_byte, micros};
use super::varint;
use super::{MAX_AMOUNT, SegmentHeader};
use crate::flow::Flow;
use crate::names::{AnswerAddress, Name, NameSeen};
use crate::observe::{Count, Counter, Observer, Usage};
use crate::packet::Interface;
use crate::time::UnixNanos;
use std::io::{self, Write};

/// A block is closed when it holds this much: its loss is bounded, and a reader takes no more
/// memory than that.
const BLOCK_LEN: usize = 64 * 1024;

/// A group is closed when it holds this much: damage costs at most a group, and what a group
/// defines is not written again in it.
const GROUP_LEN: usize = 1024 * 1024;

/// A group is also closed when its names and their endings take this much memory: an ending that is
/// shared costs a few bytes in the file and up to a thousand here and in the reader. Ten times what
/// ordinary traffic has in a group; names made for the purpose would take 100 MiB.
const GROUP_NAMES_LEN: usize = 4 * 1024 * 1024;

/// Most CNAME targets kept with a name; the longest chains that resolvers follow have 8 to 16.
pub(super) const MAX_CHAIN: usize = 64;

/// Most addresses in one record; further ones go into another record of the same name. With the
/// longest names this keeps a record below 200 KB, so that block and record stay below the reader's
/// 1 MiB.
pub(super) const MAX_ADDRESSES: usize = 4096;

/// Bit 0 of an end block's flags: its recorder was asked to stop.
pub(super) const STOP_REQUESTED: u64 = 1;

/// Most identities in an end block: one for each power of two that a number of packets can have,
/// and the whole.
pub(super) const MAX_IDENTITIES: usize = 80;

/// How a segment came to its end, and what it was made of; kept in its end block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SegmentClose {
    /// The recorder was asked to stop; else it goes on in another segment, or does not know.
    pub stop_requested: bool,
    /// Until when it recorded: what follows is not in the file, and what came before it is.
    pub recorded_to: Option<UnixNanos>,
    /// Of a capture that was turned into the segment: numbers of packets and the identity of the
    /// capture's first so many packets, in rising order. The last one is that of the whole.
    pub identities: Vec<(u64, [u8; 16])>,
}

/// What went into a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentTotals {
    /// Records of all kinds.
    pub records: u64,
    /// Packets of all usage rows.
    pub packets: u64,
    /// IP bytes of all usage rows.
    pub bytes: u64,
}

/// Rows of one kind that wait for the next block.
#[derive(Debug, Default)]
struct Rows {
    bytes: Vec<u8>,
    count: u64,
}

impl Rows {
    fn write(&mut self, out: &mut Vec<u8>) {
        varint::put(out, self.count);
        out.append(&mut self.bytes);
        self.count = 0;
    }
}

/// Appends observations to a segment. A block is written when the interval changes, when it holds
/// 64 KiB, and at [`Self::commit`]; every block holds records of one interval.
#[derive(Debug)]
pub struct SegmentWriter<W> {
    out: W,
    segment: [u8; 16],
    start: UnixNanos,
    interval_ns: i64,
    sequence: u32,
    group: u32,
    group_len: usize,
    dictionary: Dictionary,
    /// Interval of what is pending.
    interval: Option<UnixNanos>,
    names: Rows,
    usage: Rows,
    counts: Rows,
    /// What is pending is written before its interval is over.
    goes_on: bool,
    /// Time of the name before, in microseconds.
    last_name_us: i64,
    last_flow: u32,
    totals: SegmentTotals,
    len_bytes: u64,
    /// The block that is being put together, kept for the next one: its memory would be given back
    /// and asked for again each second.
    block: Vec<u8>,
}

impl<W: Write> SegmentWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn create(mut out: W, header: &SegmentHeader) -> io::Result<Self> {
        let bytes = header.encode();
        out.write_all(&bytes)?;
        Ok(Self {
            out,
            segment: header.segment,
            start: header.start,
            interval_ns: header.interval_ns,
            sequence: 0,
            group: 0,
            group_len: 0,
            dictionary: Dictionary::default(),
            interval: None,
            names: Rows::default(),
            usage: Rows::default(),
            counts: Rows::default(),
            goes_on: false,
            last_name_us: 0,
            last_flow: 0,
            totals: SegmentTotals::default(),
            len_bytes: bytes.len() as u64,
            block: Vec::new(),
        })
    }

    /// Writes what was taken since the last block; nothing if there is nothing.
    ///
    /// # Errors
    /// What `out` gives. After an error the writer must not be used again: part of a block may be
    /// in the file, which readers take for a torn end.
    pub fn commit(&mut self) -> io::Result<()> {
        let records = self.names.count + self.usage.count + self.counts.count;
        let Some(interval) = self.interval.take().filter(|_| records > 0) else {
            return Ok(());
        };
        self.begin_block();
        self.dictionary.write_added(&mut self.block);
        self.names.write(&mut self.block);
        self.usage.write(&mut self.block);
        self.counts.write(&mut self.block);
        self.totals.records += records;
        self.group_len += self.write_block(BlockType::Records, interval, records)?;
        if self.group_len >= GROUP_LEN || self.dictionary.names_len() >= GROUP_NAMES_LEN {
            self.dictionary.clear();
            (self.group, self.group_len) = (self.sequence, 0);
        }
        Ok(())
    }

    /// Says in the block that is put together that all that was seen until `to` is in the file with
    /// it, though its interval may not be over. Nothing where the block has no record.
    pub fn recorded_to(&mut self, to: UnixNanos) {
        if let Some(interval) = self.interval {
            self.goes_on = true;
            let (number, detail) = Counter::RecordedTo.to_numbers();
            self.counts.count += 1;
            varint::put_signed(&mut self.counts.bytes, to.since(interval));
            self.counts.bytes.push(number);
            [u64::from(detail), 0, 0].into_iter().for_each(|value| varint::put(&mut self.counts.bytes, value));
        }
    }

    /// Bytes written so far, header included.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// What was written so far.
    pub fn totals(&self) -> SegmentTotals {
        self.totals
    }

    /// The file behind the writer, for syncing.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// The file behind the writer; what was written to it must not be changed.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Commits, writes the end block with the totals, and gives the file back, unsynced.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn finish(self) -> io::Result<(W, SegmentTotals)> {
        self.close(&SegmentClose::default())
    }

    /// As [`Self::finish`], and tells how it came to its end.
    ///
    /// # Errors
    /// What `out` gives.
    pub fn close(mut self, close: &SegmentClose) -> io::Result<(W, SegmentTotals)> {
        self.commit()?;
        self.begin_block();
        for value in [self.totals.records, self.totals.packets, self.totals.bytes] {
            varint::put(&mut self.block, value);
        }
        varint::put(&mut self.block, if close.stop_requested { STOP_REQUESTED } else { 0 });
        let identities = close.identities.get(..MAX_IDENTITIES).unwrap_or(&close.identities);
        varint::put(&mut self.block, identities.len() as u64);
        for (packets, identity) in identities {
            varint::put(&mut self.block, *packets);
            self.block.extend(identity);
        }
        if let Some(to) = close.recorded_to {
            varint::put_signed(&mut self.block, to.since(self.start));
        }
        self.write_block(BlockType::End, UnixNanos(0), 0)?;
        self.out.flush()?;
        Ok((self.out, self.totals))
    }

    /// Empties the block but for room for its header.
    fn begin_block(&mut self) {
        self.block.clear();
        self.block.resize(HEADER_LEN, 0);
    }

    /// Writes the block, whose payload is there. Gives the payload's length.
    fn write_block(&mut self, kind: BlockType, first_ts: UnixNanos, records: u64) -> io::Result<usize> {
        let fresh = if self.group == self.sequence { FRESH } else { 0 };
        let flags = fresh | if std::mem::take(&mut self.goes_on) { GOES_ON } else { 0 };
        let Some((place, payload)) = self.block.split_first_chunk_mut::<HEADER_LEN>() else { return Ok(0) };
        let header = BlockHeader {
            block_type: kind,
            flags,
            stored_len: payload.len() as u32,
            raw_len: payload.len() as u32,
            records: records as u32,
            first_ts,
            sequence: self.sequence,
            group: self.group,
            crc: 0,
        };
        *place = header.encode(&self.segment, payload);
        let payload_len = payload.len();
        // One write call: a reader that looks at the open file sees whole blocks nearly always.
        self.out.write_all(&self.block)?;
        self.len_bytes += self.block.len() as u64;
        self.sequence = self.sequence.checked_add(1).ok_or_else(|| io::Error::other("segment has too many blocks"))?;
        Ok(payload_len)
    }

    fn pending_len(&self) -> usize {
        self.dictionary.pending_len() + self.names.bytes.len() + self.usage.bytes.len() + self.counts.bytes.len()
    }

    /// Makes room for a record of the interval that holds `ts`; gives the interval's start.
    fn enter(&mut self, ts: UnixNanos) -> io::Result<UnixNanos> {
        let interval = ts.floor_to(self.interval_ns);
        if self.interval.is_some_and(|current| current != interval) || self.pending_len() >= BLOCK_LEN {
            self.commit()?;
        }
        if self.interval.is_none() {
            self.interval = Some(interval);
            self.last_name_us = micros(interval);
            self.last_flow = 0;
        }
        Ok(interval)
    }

    fn put_seen(&mut self, flow: &Flow, seen: &NameSeen, addresses: &[AnswerAddress]) -> io::Result<()> {
        let interval = self.enter(seen.ts)?;
        let flow = self.dictionary.flow(flow, interval);
        self.names.count += 1;
        varint::put(&mut self.names.bytes, flow.into());
        let ts = micros(seen.ts);
        varint::put_signed(&mut self.names.bytes, ts - self.last_name_us);
        self.last_name_us = ts;
        self.names.bytes.push(kind_byte(seen.kind, seen.asker_is_server, seen.relayed));
        self.put_name(&seen.name);
        if seen.kind.is_in_flow() {
            return Ok(());
        }
        let chain = seen.chain.get(..MAX_CHAIN).unwrap_or(&seen.chain);
        varint::put(&mut self.names.bytes, chain.len() as u64);
        for target in chain {
            self.put_name(target);
        }
        varint::put(&mut self.names.bytes, addresses.len() as u64);
        for answer in addresses {
            let address = self.dictionary.address(answer.address);
            varint::put(&mut self.names.bytes, (u64::from(address) << 2) | answer.record as u64);
            varint::put(&mut self.names.bytes, answer.ttl_s.into());
        }
        Ok(())
    }

    fn put_name(&mut self, name: &Name) {
        let index = self.dictionary.name(name);
        varint::put(&mut self.names.bytes, index.into());
    }
}

/// What a reader takes for an amount.
pub(super) fn bounded(usage: Usage) -> Usage {
    Usage {
        up_packets: usage.up_packets.min(MAX_AMOUNT),
        down_packets: usage.down_packets.min(MAX_AMOUNT),
        up_bytes: usage.up_bytes.min(MAX_AMOUNT),
        down_bytes: usage.down_bytes.min(MAX_AMOUNT),
    }
}

/// What a capture file states of its losses can be any number. A gap is a time and may be long.
pub(super) fn bounded_count(count: &Count) -> Count {
    let bytes = if matches!(count.counter, Counter::Gap(_)) { count.bytes } else { count.bytes.min(MAX_AMOUNT) };
    Count { packets: count.packets.min(MAX_AMOUNT), bytes, ..*count }
}

impl<W: Write> Observer for SegmentWriter<W> {
    type Error = io::Error;

    fn interface(&mut self, number: u32, interface: &Interface) -> io::Result<()> {
        self.dictionary.know_interface(number, interface);
        Ok(())
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> io::Result<()> {
        if seen.addresses.is_empty() {
            return self.put_seen(flow, seen, &[]);
        }
        seen.addresses.chunks(MAX_ADDRESSES).try_for_each(|addresses| self.put_seen(flow, seen, addresses))
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> io::Result<()> {
        let interval = self.enter(interval)?;
        let flow = self.dictionary.flow(flow, interval);
        let usage = bounded(usage);
        self.usage.count += 1;
        varint::put_signed(&mut self.usage.bytes, i64::from(flow) - i64::from(self.last_flow));
        self.last_flow = flow;
        for value in [usage.up_packets, usage.down_packets, usage.up_bytes, usage.down_bytes] {
            varint::put(&mut self.usage.bytes, value);
        }
        self.totals.packets += usage.packets();
        self.totals.bytes += usage.bytes();
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> io::Result<()> {
        for count in counts {
            let interval = self.enter(ts)?;
            let (number, detail) = count.counter.to_numbers();
            self.counts.count += 1;
            varint::put_signed(&mut self.counts.bytes, ts.since(interval));
            self.counts.bytes.push(number);
            let Count { packets, bytes, .. } = bounded_count(count);
            for value in [detail.into(), packets, bytes] {
                varint::put(&mut self.counts.bytes, value);
            }
        }
        Ok(())
    }
}
