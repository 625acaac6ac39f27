//! Blocks → observations.

use super::block::{BlockError, BlockHeader, BlockType, FRESH};
use super::dictionary::{
    ASKER_IS_SERVER, BEGIN_SEEN, HAS_INTERFACE, HAS_MAC, HAS_NAME, MAX_INTERFACE_NAME, MAX_VLAN, OPENED_SHIFT, RELAYED,
    micros,
};
use super::varint;
use super::writer::{MAX_IDENTITIES, STOP_REQUESTED, SegmentClose, SegmentTotals};
use super::{MAX_AMOUNT, SegmentHeader};
use crate::cursor::Cursor;
use crate::flow::{Flow, FlowName, Opener, Scope};
use crate::names::{AnswerAddress, Name, NameKind, NameSeen, RecordKind};
use crate::observe::{Count, Counter, Observer, Usage};
use crate::packet::{Interface, LinkType, Spot};
use crate::time::UnixNanos;
use crate::wire::Mac;
use std::net::IpAddr;

/// Most payload bytes of a group's blocks, and so of its dictionaries: a writer ends a group at 1
/// MiB, with the block (at most 1 MiB as well) that reaches it. Without it a file of one group
/// would take many times its length of memory.
const MAX_GROUP_LEN: usize = 2 << 20;

/// Most text of a group's names. Shared endings let a few bytes stand for a thousand, so the length
/// of the payload does not bound it; a writer ends a group at 4 MiB, and one block more adds less
/// than 10 MiB.
const MAX_GROUP_NAMES_LEN: usize = 16 << 20;

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

/// The dictionaries of the group that is being read.
#[derive(Debug, Default)]
struct Tables {
    addresses: Vec<IpAddr>,
    macs: Vec<Mac>,
    names: Vec<Name>,
    interfaces: Vec<(Spot, Interface)>,
    flows: Vec<Flow>,
    last_flow: u64,
    /// Payload bytes of the group's blocks so far.
    payload_len: usize,
    /// Bytes of all names.
    names_len: usize,
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
    start: UnixNanos,
    pub(super) totals: SegmentTotals,
    /// Until when everything is in the blocks so far: the end of the last one's interval, or what
    /// it says itself.
    pub(super) recorded_to: Option<UnixNanos>,
}

fn content(what: &'static str) -> BlockError {
    BlockError::Content { what }
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
        header.flags & FRESH != 0 || self.group == Some(header.group)
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
        let interfaces = self.has_interfaces.then_some(self.has_vlans);
        self.tables.read_additions(&mut at, header.first_ts, interfaces)?;
        for (spot, interface) in self.tables.interfaces.iter().skip(known) {
            observer.interface(spot.interface, interface).map_err(Refused::Observer)?;
        }
        let mut records = self.names(&mut at, header.first_ts, observer)?;
        records += self.usage(&mut at, header.first_ts, observer)?;
        self.recorded_to = Some(UnixNanos(header.first_ts.0.saturating_add(self.interval_ns)));
        records += self.counts(&mut at, header.first_ts, observer)?;
        if !at.is_empty() {
            return Err(content("bytes after the last record").into());
        }
        if records != u64::from(header.records) {
            return Err(content("number of records").into());
        }
        Ok(())
    }

    fn names<O: Observer>(
        &mut self,
        at: &mut Cursor<'_>,
        base: UnixNanos,
        observer: &mut O,
    ) -> Result<u64, Refused<O::Error>> {
        let count = get(at)?;
        let mut ts_us = micros(base);
        for _ in 0..count {
            let flow_index = index(at)?;
            ts_us = ts_us.saturating_add(get_signed(at)?);
            let seen = self.tables.read_name(at, from_micros(ts_us), self.kind_flags)?;
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
            let usage = Usage {
                up_packets: amount(at)?,
                down_packets: amount(at)?,
                up_bytes: amount(at)?,
                down_bytes: amount(at)?,
            };
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

impl Tables {
    /// The dictionary additions at the start of a payload. Each entry takes at least a byte, so
    /// that a count that lies ends with the payload. `interfaces`: whether those have VLANs, in
    /// formats that have interfaces.
    fn read_additions(
        &mut self,
        at: &mut Cursor<'_>,
        base: UnixNanos,
        interfaces: Option<bool>,
    ) -> Result<(), BlockError> {
        for _ in 0..get(at)? {
            self.addresses.push(match at.u8() {
                Some(4) => at.array::<4>().ok_or(content("cut"))?.into(),
                Some(6) => at.array::<16>().ok_or(content("cut"))?.into(),
                _ => return Err(content("address family")),
            });
        }
        for _ in 0..get(at)? {
            self.macs.push(Mac(at.array().ok_or(content("cut"))?));
        }
        for _ in 0..get(at)? {
            let name = self.read_name_entry(at)?;
            self.names_len += name.as_str().len();
            if self.names_len > MAX_GROUP_NAMES_LEN {
                return Err(content("more text of names than any writer's"));
            }
            self.names.push(name);
        }
        if let Some(with_vlan) = interfaces {
            for _ in 0..get(at)? {
                self.interfaces.push(read_interface(at, with_vlan)?);
            }
        }
        for _ in 0..get(at)? {
            let flow = self.read_flow(at, base)?;
            self.last_flow = flow.number;
            self.flows.push(flow);
        }
        Ok(())
    }

    /// A name's own beginning, and an ending that it may share with an earlier name.
    fn read_name_entry(&self, at: &mut Cursor<'_>) -> Result<Name, BlockError> {
        let own_len = index(at)?;
        let own = at.take(own_len).ok_or(content("cut"))?;
        let own = std::str::from_utf8(own).map_err(|_| content("name"))?;
        let ending = match index(at)?.checked_sub(1) {
            None => "",
            Some(owner) => {
                let owner = self.names.get(owner).ok_or(content("name index"))?.as_str();
                let start = owner.len().checked_sub(index(at)?).ok_or(content("name ending"))?;
                owner.get(start..).ok_or(content("name ending"))?
            }
        };
        if own.len() + ending.len() > Name::MAX_LEN {
            return Err(content("name"));
        }
        Name::from_presentation(&[own, ending].concat()).ok_or(content("name"))
    }

    fn read_flow(&self, at: &mut Cursor<'_>, base: UnixNanos) -> Result<Flow, BlockError> {
        let number = self.last_flow.wrapping_add_signed(get_signed(at)?);
        let (client, server) = (self.address(at)?, self.address(at)?);
        let server_port = port(at)?;
        let client_port = at.le_u16().ok_or(content("cut"))?;
        let proto = at.u8().ok_or(content("cut"))?;
        let flags = at.u8().ok_or(content("cut"))?;
        let start = from_micros(micros(base).saturating_sub(get_signed(at)?));
        let client_mac = match flags & HAS_MAC {
            0 => None,
            _ => Some(*self.macs.get(index(at)?).ok_or(content("hardware address index"))?),
        };
        let name = match flags & HAS_NAME {
            0 => None,
            _ => {
                let byte = at.u8().ok_or(content("cut"))?;
                let (from_server, relayed) = (byte & ASKER_IS_SERVER != 0, byte & RELAYED != 0);
                let kind = kind(Some(byte & !(ASKER_IS_SERVER | RELAYED)))?;
                Some(FlowName { kind, name: self.name(at)?, from_server, relayed })
            }
        };
        let Spot { interface, vlan } = match flags & HAS_INTERFACE {
            0 => Spot::default(),
            _ => self.interfaces.get(index(at)?).ok_or(content("interface index"))?.0,
        };
        let opened = Opener::from_number((flags >> OPENED_SHIFT) & 3).ok_or(content("opener"))?;
        let scope = Scope::from_number(flags & 3).ok_or(content("scope"))?;
        let begin_seen = flags & BEGIN_SEEN != 0;
        Ok(Flow {
            number,
            client,
            server,
            client_port,
            server_port,
            proto,
            scope,
            begin_seen,
            opened,
            interface,
            vlan,
            client_mac,
            start,
            name,
        })
    }

    /// A name seen; `None` for one of a kind that only a newer version knows.
    fn read_name(&self, at: &mut Cursor<'_>, ts: UnixNanos, flags: u8) -> Result<Option<NameSeen>, BlockError> {
        let byte = at.u8().ok_or(content("cut"))?;
        let number = byte & !flags;
        let kind = NameKind::from_number(number);
        if number == 0 {
            return Err(content("name kind"));
        }
        let name = self.name(at)?;
        let (asker_is_server, relayed) = (byte & ASKER_IS_SERVER != 0, byte & flags & RELAYED != 0);
        let (mut chain, mut addresses) = (Vec::new(), Vec::new());
        if let Some(kind) = kind.filter(|kind| kind.is_in_flow()) {
            return Ok(Some(NameSeen { ts, kind, name, chain, addresses, asker_is_server, relayed }));
        }
        for _ in 0..get(at)? {
            chain.push(self.name(at)?);
        }
        for _ in 0..get(at)? {
            let packed = get(at)?;
            let record = match packed & 3 {
                0 => RecordKind::A,
                1 => RecordKind::Aaaa,
                2 => RecordKind::Hint,
                _ => return Err(content("record kind")),
            };
            let address = usize::try_from(packed >> 2).ok().and_then(|i| self.addresses.get(i).copied());
            let address = address.ok_or(content("address index"))?;
            let ttl_s = u32::try_from(get(at)?).map_err(|_| content("time to live"))?;
            addresses.push(AnswerAddress { address, ttl_s, record });
        }
        Ok(kind.map(|kind| NameSeen { ts, kind, name, chain, addresses, asker_is_server, relayed }))
    }

    fn address(&self, at: &mut Cursor<'_>) -> Result<IpAddr, BlockError> {
        self.addresses.get(index(at)?).copied().ok_or(content("address index"))
    }

    fn name(&self, at: &mut Cursor<'_>) -> Result<Name, BlockError> {
        self.names.get(index(at)?).cloned().ok_or(content("name index"))
    }
}

/// An entry of the dictionary of interfaces.
fn read_interface(at: &mut Cursor<'_>, with_vlan: bool) -> Result<(Spot, Interface), BlockError> {
    let number = u32::try_from(get(at)?).map_err(|_| content("interface number"))?;
    let link_type = LinkType(u16::try_from(get(at)?).map_err(|_| content("link type"))?);
    let vlan = match if with_vlan { get(at)? } else { 0 }.checked_sub(1) {
        None => None,
        Some(id) => Some(u16::try_from(id).ok().filter(|id| *id <= MAX_VLAN).ok_or(content("VLAN id"))?),
    };
    let len = index(at)?;
    if len > MAX_INTERFACE_NAME {
        return Err(content("interface name"));
    }
    let name = String::from_utf8_lossy(at.take(len).ok_or(content("cut"))?).into_owned();
    Ok((Spot { interface: number, vlan }, Interface { name, link_type }))
}

fn from_micros(us: i64) -> UnixNanos {
    UnixNanos(us.saturating_mul(1_000))
}

fn get(at: &mut Cursor<'_>) -> Result<u64, BlockError> {
    varint::get(at).ok_or(content("cut, or an integer of more than 64 bits"))
}

fn get_signed(at: &mut Cursor<'_>) -> Result<i64, BlockError> {
    varint::get_signed(at).ok_or(content("cut, or an integer of more than 64 bits"))
}

fn index(at: &mut Cursor<'_>) -> Result<usize, BlockError> {
    usize::try_from(get(at)?).map_err(|_| content("index"))
}

fn port(at: &mut Cursor<'_>) -> Result<u16, BlockError> {
    u16::try_from(get(at)?).map_err(|_| content("port"))
}

fn amount(at: &mut Cursor<'_>) -> Result<u64, BlockError> {
    get(at).and_then(|v| if v <= MAX_AMOUNT { Ok(v) } else { Err(content("an amount beyond any link")) })
}

fn kind(byte: Option<u8>) -> Result<NameKind, BlockError> {
    byte.and_then(NameKind::from_number).ok_or(content("name kind"))
}

/// The interval of the first of these whole blocks; `None` if it holds no records.
pub fn time_of_block(bytes: &[u8]) -> Option<UnixNanos> {
    let header = BlockHeader::decode(bytes.first_chunk()?).ok()?;
    (header.block_type == BlockType::Records).then_some(header.first_ts)
}
