//! Blocks → observations.

mod compact;
mod fields;
mod tables;

use super::block::{BlockError, BlockHeader, BlockType, FRESH, Layout};
use super::dictionary::{ASKER_IS_SERVER, RELAYED, micros};
use super::writer::{MANY, MAX_IDENTITIES, STOP_REQUESTED, SegmentClose, SegmentTotals, name_base};
use super::{SegmentHeader, lists};
use crate::cursor::Cursor;
use crate::flow::FlowName;
use crate::observe::{Count, Counter, Observer, Usage};
use crate::time::UnixNanos;
use fields::{amount, content, from_micros, get, get_signed, index};
use tables::Tables;

/// Most payload bytes of a group's blocks, and so of its dictionaries: a writer ends a group at 1
/// MiB, with the block (at most 1 MiB as well) that reaches it. Without it a file of one group
/// would take many times its length of memory.
const MAX_GROUP_LEN: usize = 2 << 20;

/// Why a block could not be delivered.
#[derive(Debug)]
pub(super) enum Refused<E> {
    /// The block.
    Block(BlockError),
    /// The observer.
    Observer(E),
}

impl<E> From<BlockError> for Refused<E> {
    fn from(error: BlockError) -> Self {
        Self::Block(error)
    }
}

/// Reads the payloads of one segment's blocks in order.
#[derive(Debug)]
pub(super) struct Decoder {
    tables: Tables,
    /// Group whose dictionaries are loaded.
    group: Option<u32>,
    interval_ns: i64,
    /// Bits of a name's kind that are flags; what older formats had there was part of the number.
    kind_flags: u8,
    /// Blocks have interfaces, and their flows who opened them.
    has_interfaces: bool,
    /// Interfaces say which VLAN of them is meant.
    has_vlans: bool,
    /// Payloads say which lists they have; flows have shapes, and names statements.
    is_compact: bool,
    start: UnixNanos,
    pub(super) totals: SegmentTotals,
    /// Until when everything is in the blocks so far: the end of the last one's interval, or what
    /// it says itself.
    pub(super) recorded_to: Option<UnixNanos>,
}

impl Decoder {
    pub(super) fn new(header: &SegmentHeader) -> Self {
        Self {
            tables: Tables::default(),
            group: None,
            interval_ns: header.interval_ns,
            kind_flags: if header.format >= 3 { ASKER_IS_SERVER | RELAYED } else { ASKER_IS_SERVER },
            has_interfaces: header.format >= 3,
            has_vlans: header.format >= 4,
            is_compact: header.format >= 5,
            start: header.start,
            totals: SegmentTotals::default(),
            recorded_to: None,
        }
    }

    /// Forgets the dictionaries: blocks were lost.
    pub(super) fn lose_group(&mut self) {
        self.group = None;
    }

    /// Whether a block of records can be read with what is loaded.
    pub(super) fn can_read(&self, header: &BlockHeader) -> bool {
        let same = header.group.map_or(self.group.is_some(), |group| self.group == Some(group));
        header.flags & FRESH != 0 || same
    }

    /// Hands the records of a block to `observer`. The checksum has been judged already.
    pub(super) fn records<O: Observer>(
        &mut self,
        header: &BlockHeader,
        payload: &[u8],
        observer: &mut O,
    ) -> Result<(), Refused<O::Error>> {
        if header.flags & FRESH != 0 {
            self.tables = Tables::default();
            self.group = Some(header.sequence);
        }
        self.tables.payload_len += payload.len();
        if self.tables.payload_len > MAX_GROUP_LEN {
            return Err(content("a group longer than any writer's").into());
        }
        let mut at = Cursor::new(payload);
        let known = self.tables.interfaces.len();
        let lists = self.additions(&mut at, header.first_ts)?;
        for (spot, interface) in self.tables.interfaces.iter().skip(known) {
            observer.interface(spot.interface, interface).map_err(Refused::Observer)?;
        }
        let has = |list: u16| lists & u64::from(list) != 0;
        let mut records = 0;
        if has(lists::SEEN) {
            records += self.names(&mut at, header.first_ts, observer)?;
        }
        if has(lists::USAGE) {
            records += self.usage(&mut at, header.first_ts, observer)?;
        }
        self.recorded_to = Some(UnixNanos(header.first_ts.0.saturating_add(self.interval_ns)));
        if has(lists::COUNTS) {
            records += self.counts(&mut at, header.first_ts, observer)?;
        }
        if !at.is_empty() {
            return Err(content("bytes after the last record").into());
        }
        if header.records.is_some_and(|stated| u64::from(stated) != records) {
            return Err(content("number of records").into());
        }
        Ok(())
    }

    /// Reads what the dictionaries gain; gives the bits of the lists that the payload has.
    fn additions(&mut self, at: &mut Cursor<'_>, base: UnixNanos) -> Result<u64, BlockError> {
        if self.is_compact {
            let lists = get(at)?;
            if lists & !lists::ALL != 0 {
                return Err(content("a list that is not known"));
            }
            self.tables.read_compact(at, base, lists)?;
            return Ok(lists);
        }
        self.tables.read_additions(at, base, self.has_interfaces.then_some(self.has_vlans))?;
        Ok(lists::ALL)
    }

    fn names<O: Observer>(
        &mut self,
        at: &mut Cursor<'_>,
        base: UnixNanos,
        observer: &mut O,
    ) -> Result<u64, Refused<O::Error>> {
        let count = get(at)?;
        let mut ts_us = micros(base);
        let mut flow_index = 0i64;
        for _ in 0..count {
            let (flow_index, seen) = if self.is_compact {
                flow_index = flow_index.checked_add(get_signed(at)?).ok_or(content("flow index"))?;
                let flow = usize::try_from(flow_index).map_err(|_| content("flow index"))?;
                let start = self.tables.flows.get(flow).ok_or(content("flow index"))?.start;
                let ts = from_micros(name_base(start, base).saturating_add(get_signed(at)?));
                (flow, self.tables.read_seen(at, ts)?)
            } else {
                let flow = index(at)?;
                ts_us = ts_us.saturating_add(get_signed(at)?);
                (flow, self.tables.read_name(at, from_micros(ts_us), self.kind_flags)?)
            };
            let flow = self.tables.flows.get_mut(flow_index).ok_or(content("flow index"))?;
            self.totals.records += 1;
            let Some(seen) = seen else { continue };
            if seen.kind.is_in_flow() {
                flow.set_name(FlowName::of(&seen));
            }
            observer.name(flow, &seen).map_err(Refused::Observer)?;
        }
        Ok(count)
    }

    fn usage<O: Observer>(
        &mut self,
        at: &mut Cursor<'_>,
        base: UnixNanos,
        observer: &mut O,
    ) -> Result<u64, Refused<O::Error>> {
        let count = get(at)?;
        let interval = base.floor_to(self.interval_ns);
        let mut flow_index = 0i64;
        for _ in 0..count {
            flow_index = flow_index.checked_add(get_signed(at)?).ok_or(content("flow index"))?;
            let flow = usize::try_from(flow_index).ok().and_then(|i| self.tables.flows.get(i));
            let (up_packets, down_packets) = if self.is_compact {
                let both = at.u8().ok_or(content("cut"))?;
                (packets(at, both & 0xf)?, packets(at, both >> 4)?)
            } else {
                (amount(at)?, amount(at)?)
            };
            let usage = Usage { up_packets, down_packets, up_bytes: amount(at)?, down_bytes: amount(at)? };
            let flow = flow.ok_or(content("flow index"))?;
            self.totals.records += 1;
            self.totals.packets = self.totals.packets.saturating_add(usage.packets());
            self.totals.bytes = self.totals.bytes.saturating_add(usage.bytes());
            observer.usage(flow, interval, usage).map_err(Refused::Observer)?;
        }
        Ok(count)
    }

    fn counts<O: Observer>(
        &mut self,
        at: &mut Cursor<'_>,
        base: UnixNanos,
        observer: &mut O,
    ) -> Result<u64, Refused<O::Error>> {
        let count = get(at)?;
        for _ in 0..count {
            let ts = UnixNanos(base.0.saturating_add(get_signed(at)?));
            let number = at.u8().ok_or(content("cut"))?;
            let detail = u32::try_from(get(at)?).map_err(|_| content("counter detail"))?;
            let counter = Counter::from_numbers(number, detail);
            // A gap is a time and may be long; everything else is an amount.
            let packets = amount(at)?;
            let bytes = if matches!(counter, Counter::Gap(_)) { get(at)? } else { amount(at)? };
            self.totals.records += 1;
            if counter == Counter::RecordedTo {
                self.recorded_to = Some(ts);
            }
            observer.counts(ts, &[Count { counter, packets, bytes }]).map_err(Refused::Observer)?;
        }
        Ok(count)
    }

    /// Judges the end block.
    pub(super) fn end(&self, payload: &[u8]) -> Result<SegmentTotals, BlockError> {
        let mut at = Cursor::new(payload);
        Ok(SegmentTotals { records: get(&mut at)?, packets: get(&mut at)?, bytes: get(&mut at)? })
    }

    /// What an end block tells beside the totals; formats before 3 tell nothing.
    pub(super) fn close(&self, payload: &[u8]) -> Result<SegmentClose, BlockError> {
        let mut close = SegmentClose::default();
        if !self.has_interfaces {
            return Ok(close);
        }
        let mut at = Cursor::new(payload);
        for _totals in 0..3 {
            get(&mut at)?;
        }
        close.stop_requested = get(&mut at)? & STOP_REQUESTED != 0;
        let count = index(&mut at)?;
        if count > MAX_IDENTITIES {
            return Err(content("more identities than any writer's"));
        }
        for _ in 0..count {
            close.identities.push((get(&mut at)?, at.array().ok_or(content("cut"))?));
        }
        // What was written before this was added ends here.
        if !at.is_empty() {
            close.recorded_to = Some(UnixNanos(self.start.0.saturating_add(get_signed(&mut at)?)));
        }
        Ok(close)
    }
}

/// Packets of one direction: what four bits say, and what follows where they say that it does.
fn packets(at: &mut Cursor<'_>, few: u8) -> Result<u64, BlockError> {
    if few < MANY {
        return Ok(few.into());
    }
    let more = get(at)?;
    let all = more.checked_add(MANY.into()).filter(|all| *all <= super::MAX_AMOUNT);
    all.ok_or(content("an amount beyond any link"))
}

/// The interval of the first of these whole blocks of the segment with this header; `None` if it
/// holds no records.
pub fn time_of_block(header: &SegmentHeader, bytes: &[u8]) -> Option<UnixNanos> {
    let (header, _) = Layout::of(header).decode(bytes).ok()??;
    (header.block_type == BlockType::Records).then_some(header.first_ts)
}
