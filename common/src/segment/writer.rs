//! Writing a segment, append only.

use super::block::{BlockHeader, BlockType, FRESH, GOES_ON, Layout};
use super::dictionary::{Dictionary, micros};
use super::{MAX_AMOUNT, SegmentHeader};
use super::{lists, varint};
use crate::flow::Flow;
use crate::names::{AnswerAddress, NameSeen};
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

/// So many packets of one direction, or more, have their number behind the byte that holds both
/// directions' numbers.
pub(super) const MANY: u8 = 15;

/// Bytes of the longest integer that says which lists there are.
const MAX_LISTS_LEN: usize = 2;

/// Room before the lists of a block: for its header, and for which lists there are.
const ROOM: usize = Layout::MAX_LEN + MAX_LISTS_LEN;

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
    /// Writes them, if there are any; gives `list` then, and 0 else.
    fn write(&mut self, out: &mut Vec<u8>, list: u16) -> u16 {
        if self.count == 0 {
            return 0;
        }
        varint::put(out, self.count);
        out.append(&mut self.bytes);
        self.count = 0;
        list
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
    layout: Layout,
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
    /// Flow of the name before.
    last_named: u32,
    /// Flow of the usage row before.
    last_flow: u32,
    totals: SegmentTotals,
    len_bytes: u64,
    /// The block that is being put together, kept for the next one: its memory would be given back
    /// and asked for again each second.
    block: Vec<u8>,
    /// Where the payload begins in it, or its header once that is there.
    payload_at: usize,
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
            layout: Layout::short(header.start, header.interval_ns),
            sequence: 0,
            group: 0,
            group_len: 0,
            dictionary: Dictionary::default(),
            interval: None,
            names: Rows::default(),
            usage: Rows::default(),
            counts: Rows::default(),
            goes_on: false,
            last_named: 0,
            last_flow: 0,
            totals: SegmentTotals::default(),
            len_bytes: bytes.len() as u64,
            block: Vec::new(),
            payload_at: 0,
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
        let mut lists = self.dictionary.write_added(&mut self.block);
        lists |= self.names.write(&mut self.block, lists::SEEN);
        lists |= self.usage.write(&mut self.block, lists::USAGE);
        lists |= self.counts.write(&mut self.block, lists::COUNTS);
        self.put_lists(lists);
        self.totals.records += records;
        self.group_len += self.write_block(BlockType::Records, interval)?;
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
        self.write_block(BlockType::End, self.start.floor_to(self.interval_ns))?;
        self.out.flush()?;
        Ok((self.out, self.totals))
    }

    /// Empties the block but for room before its payload.
    fn begin_block(&mut self) {
        self.block.clear();
        self.block.resize(ROOM, 0);
        self.payload_at = ROOM;
    }

    /// Writes which lists there are in front of them.
    fn put_lists(&mut self, lists: u16) {
        let mut bits = Vec::with_capacity(MAX_LISTS_LEN);
        varint::put(&mut bits, lists.into());
        self.put_before(&bits);
    }

    /// Writes into the room before what the block has.
    fn put_before(&mut self, bytes: &[u8]) {
        let at = self.payload_at.saturating_sub(bytes.len());
        if let Some(place) = self.block.get_mut(at..self.payload_at) {
            place.copy_from_slice(bytes);
            self.payload_at = at;
        }
    }

    /// Writes the block, whose payload is there. Gives the payload's length.
    fn write_block(&mut self, kind: BlockType, first_ts: UnixNanos) -> io::Result<usize> {
        let fresh = if self.group == self.sequence { FRESH } else { 0 };
        let flags = fresh | if std::mem::take(&mut self.goes_on) { GOES_ON } else { 0 };
        let payload = self.block.get(self.payload_at..).unwrap_or_default();
        let payload_len = payload.len();
        let header = BlockHeader {
            block_type: kind,
            flags,
            stored_len: payload_len as u32,
            records: None,
            first_ts,
            sequence: self.sequence,
            group: None,
            crc: 0,
        };
        let head = header.encode(self.layout, &self.segment, payload);
        self.put_before(head.bytes());
        let whole = self.block.get(self.payload_at..).unwrap_or_default();
        // One write call: a reader that looks at the open file sees whole blocks nearly always.
        self.out.write_all(whole)?;
        self.len_bytes += whole.len() as u64;
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
            (self.last_named, self.last_flow) = (0, 0);
        }
        Ok(interval)
    }

    fn put_seen(&mut self, flow: &Flow, seen: &NameSeen, addresses: &[AnswerAddress]) -> io::Result<()> {
        let interval = self.enter(seen.ts)?;
        let index = self.dictionary.flow(flow, interval, Some(seen));
        let statement = self.dictionary.statement(seen, addresses);
        self.names.count += 1;
        let out = &mut self.names.bytes;
        varint::put_signed(out, i64::from(index) - i64::from(self.last_named));
        self.last_named = index;
        varint::put_signed(out, micros(seen.ts) - name_base(flow.start, interval));
        varint::put(out, statement.into());
        if !seen.kind.is_in_flow() {
            addresses.iter().for_each(|answer| varint::put(out, answer.ttl_s.into()));
        }
        Ok(())
    }
}

/// From what the time of a name counts, in microseconds: the begin of its flow, if that lies in the
/// block's interval or after it; most names come a moment after it.
pub(super) fn name_base(flow_start: UnixNanos, interval: UnixNanos) -> i64 {
    micros(flow_start).max(micros(interval))
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
        let flow = self.dictionary.flow(flow, interval, None);
        let usage = bounded(usage);
        self.usage.count += 1;
        let out = &mut self.usage.bytes;
        varint::put_signed(out, i64::from(flow) - i64::from(self.last_flow));
        self.last_flow = flow;
        let packets = [usage.up_packets, usage.down_packets];
        let [up, down] = packets.map(|packets| packets.min(MANY.into()) as u8);
        out.push(up | down << 4);
        packets.iter().filter_map(|packets| packets.checked_sub(MANY.into())).for_each(|more| varint::put(out, more));
        varint::put(out, usage.up_bytes);
        varint::put(out, usage.down_bytes);
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
