//! The dictionaries of a group, as the writer builds them: each thing is written once and then
//! called by its index.

use super::interned::Interned;
use super::writer::MAX_CHAIN;
use super::{lists, varint};
use crate::flow::{Flow, FlowName};
use crate::names::{AnswerAddress, Name, NameKind, NameSeen};
use crate::packet::{Interface, LinkType, Spot};
use crate::time::UnixNanos;
use crate::wire::Mac;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

/// Endings remembered of one name: host names have two to five labels; hostile ones would have 127.
const MAX_ENDINGS: usize = 6;

/// Shortest ending that is shared: calling another name takes two to four bytes.
const MIN_ENDING: usize = 4;

/// Most flows in a row; a group defines less: a flow and its usage take ten bytes or more.
const ROW_LIMIT: usize = 131_072;

/// Interfaces that are known by name. Machines with containers have hundreds.
pub(super) const MAX_INTERFACES: usize = 65_536;

/// Bit 7 of a name's kind: the asking side is the flow's server.
pub(super) const ASKER_IS_SERVER: u8 = 0x80;

/// Bit 6 of a name's kind: it names the flow, and not the address that the flow goes to.
pub(super) const RELAYED: u8 = 0x40;

/// No index.
const UNKNOWN: u32 = u32::MAX;

/// Flags of flows, and since format 5 of their shapes: scope in bits 0 and 1.
pub(super) const BEGIN_SEEN: u8 = 4;
/// Before format 5: a hardware address index follows.
pub(super) const HAS_MAC: u8 = 8;
/// Since format 5: the flow's number follows; else it is one more than that of the flow before.
pub(super) const HAS_NUMBER: u8 = 8;
/// Kind and index of an in-flow name follow.
pub(super) const HAS_NAME: u8 = 16;
/// Who opened the flow, in bits 5 and 6.
pub(super) const OPENED_SHIFT: u8 = 5;
/// An interface index follows.
pub(super) const HAS_INTERFACE: u8 = 128;
/// Highest VLAN id: it has twelve bits.
pub(super) const MAX_VLAN: u16 = 4095;
/// Longest name of an interface, in bytes.
pub(super) const MAX_INTERFACE_NAME: usize = 255;

/// Things with an index; those added since the last block wait in `added`, encoded.
#[derive(Debug, Default)]
struct Section<I> {
    index: I,
    added: Vec<u8>,
    added_count: u64,
}

/// Indexes by key.
type Map<K> = HashMap<K, u32, RandomState>;

/// What gives things their indexes, and can forget them all.
trait Index {
    fn forget(&mut self);
}

impl Index for Interned {
    fn forget(&mut self) {
        self.clear();
    }
}

impl<K> Index for Map<K> {
    fn forget(&mut self) {
        self.clear();
    }
}

impl<I: Index> Section<I> {
    /// Begins anew, with the memory that it has.
    fn clear(&mut self) {
        self.index.forget();
        self.added.clear();
        self.added_count = 0;
    }
}

impl Section<Interned> {
    /// The index of an entry that is its own key.
    fn index_of_bytes(&mut self, entry: &[u8]) -> u32 {
        let (index, is_new) = self.index.number(entry, self.index.len() as u32);
        if is_new {
            self.added.extend(entry);
            self.added_count += 1;
        }
        index
    }
}

impl<I> Section<I> {
    /// Writes the additions since the last block; nothing where there are none. Gives whether there
    /// were any.
    fn write_added(&mut self, out: &mut Vec<u8>) -> bool {
        let any = self.added_count > 0;
        if any {
            varint::put(out, self.added_count);
            out.append(&mut self.added);
            self.added_count = 0;
        }
        any
    }
}

impl<K: Hash + Eq + Clone> Section<Map<K>> {
    fn index_of(&mut self, key: &K, encode: impl FnOnce(&mut Vec<u8>)) -> u32 {
        if let Some(index) = self.index.get(key) {
            return *index;
        }
        let index = self.index.len() as u32;
        self.index.insert(key.clone(), index);
        encode(&mut self.added);
        self.added_count += 1;
        index
    }
}

/// An address as a key. IPv4 and IPv6 are told apart by comparing them; what is derived hashes a
/// slice of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AddressKey(IpAddr);

impl Hash for AddressKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            IpAddr::V4(a) => state.write_u64(u32::from(a).into()),
            IpAddr::V6(a) => {
                let bits = u128::from(a);
                state.write_u64((bits >> 64) as u64);
                state.write_u64(bits as u64);
            }
        }
    }
}

/// Indexes of flows by their numbers, which count up: those of flows that began since the group did
/// stand in a row.
#[derive(Debug, Default)]
struct FlowIndexes {
    /// Number of the first in the row.
    first: u64,
    /// [`UNKNOWN`] for those that have none.
    row: Vec<u32>,
    /// Of flows that are older, or too far on.
    others: HashMap<u64, u32, RandomState>,
    count: u32,
    /// One more than the highest number so far.
    next: u64,
}

impl FlowIndexes {
    fn place(&self, number: u64) -> Option<usize> {
        number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok()).filter(|place| *place < ROW_LIMIT)
    }

    #[inline]
    fn get(&self, number: u64) -> Option<u32> {
        match self.place(number) {
            Some(place) => self.row.get(place).copied().filter(|index| *index != UNKNOWN),
            None => self.others.get(&number).copied(),
        }
    }

    /// The index of a flow that has none yet.
    fn add(&mut self, number: u64) -> u32 {
        let index = self.count;
        self.count += 1;
        self.next = self.next.max(number.saturating_add(1));
        match self.place(number) {
            Some(place) => {
                if place >= self.row.len() {
                    self.row.resize(place + 1, UNKNOWN);
                }
                if let Some(known) = self.row.get_mut(place) {
                    *known = index;
                }
            }
            None => _ = self.others.insert(number, index),
        }
        index
    }

    fn clear(&mut self) {
        self.row.clear();
        self.others.clear();
        (self.first, self.count) = (self.next, 0);
    }
}

/// All dictionaries of the current group.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    addresses: Section<Map<AddressKey>>,
    macs: Section<Map<Mac>>,
    names: Section<Interned>,
    /// Endings of the names, by the first name that has each.
    endings: Interned,
    flows: FlowIndexes,
    interfaces: Section<Map<Spot>>,
    /// Clients with their hardware addresses: by index of the address.
    clients: Section<Map<(u32, Option<Mac>)>>,
    /// What flows have in common, encoded.
    shapes: Section<Interned>,
    /// What names that were seen say, encoded.
    statements: Section<Interned>,
    /// Where an entry is put together.
    entry: Vec<u8>,
    /// What the interfaces are, by number; kept over the groups.
    known_interfaces: BTreeMap<u32, Interface>,
    /// Flows since the last block, encoded.
    added_flows: Vec<u8>,
    added_flow_count: u64,
    /// Number of the flow defined last: numbers are written as distances.
    last_flow: u64,
    /// Bytes of all names and endings that are held.
    names_len: usize,
}

impl Dictionary {
    pub(super) fn address(&mut self, address: IpAddr) -> u32 {
        self.addresses.index_of(&AddressKey(address), |out| match address {
            IpAddr::V4(a) => {
                out.push(4);
                out.extend(a.octets());
            }
            IpAddr::V6(a) => {
                out.push(6);
                out.extend(a.octets());
            }
        })
    }

    /// The index of a name. Its end may be that of an earlier name: hosts of one site mostly share
    /// theirs.
    pub(super) fn name(&mut self, name: &Name) -> u32 {
        let text = name.as_str();
        let (index, is_new) = self.names.index.number(text.as_bytes(), self.names.index.len() as u32);
        if !is_new {
            return index;
        }
        let endings = &mut self.endings;
        let shared = endings_of(text).find_map(|end| endings.get(end.as_bytes()).map(|owner| (end.len(), owner)));
        let (end_len, owner) = shared.map_or((0, 0), |(len, owner)| (len, u64::from(owner) + 1));
        let (out, own) = (&mut self.names.added, text.len() - end_len);
        varint::put(out, own as u64);
        out.extend(text.bytes().take(own));
        varint::put(out, owner);
        if owner > 0 {
            varint::put(out, end_len as u64);
        }
        self.names.added_count += 1;
        self.names_len += text.len();
        for end in endings_of(text) {
            let (_, is_new) = endings.number(end.as_bytes(), index);
            self.names_len += if is_new { end.len() } else { 0 };
        }
        index
    }

    /// Notes what an interface is, for the flows that are seen on it from now on. Those beyond a
    /// bound stay numbers.
    pub(super) fn know_interface(&mut self, number: u32, interface: &Interface) {
        if self.known_interfaces.len() < MAX_INTERFACES {
            self.known_interfaces.insert(number, interface.clone());
        }
    }

    /// Whether flows of an interface say so: not those of a capture with one interface that has no
    /// name of its own, outside of VLANs.
    fn names_interface(&self, spot: Spot) -> bool {
        spot != Spot::default() || !self.known_interfaces.is_empty()
    }

    fn interface(&mut self, spot: Spot) -> u32 {
        let known = self.known_interfaces.get(&spot.interface);
        self.interfaces.index_of(&spot, |out| {
            varint::put(out, spot.interface.into());
            varint::put(out, known.map_or(0, |i| i.link_type.0).into());
            varint::put(out, spot.vlan.map_or(0, |id| u64::from(id.min(MAX_VLAN)) + 1));
            let name = known.map_or(&[][..], |i| i.name.as_bytes());
            let name = name.get(..MAX_INTERFACE_NAME).unwrap_or(name);
            varint::put(out, name.len() as u64);
            out.extend(name);
        })
    }

    fn client(&mut self, flow: &Flow) -> u32 {
        let address = self.address(flow.client);
        let mac = flow.client_mac.map(|mac| self.macs.index_of(&mac, |out| out.extend(mac.0)));
        self.clients.index_of(&(address, flow.client_mac), |out| {
            varint::put(out, address.into());
            varint::put(out, mac.map_or(0, |mac| u64::from(mac) + 1));
        })
    }

    /// The index of what a flow has in common with others. `flags`: what its definition has beside.
    fn shape(&mut self, flow: &Flow, flags: u8) -> u32 {
        let spot = Spot { interface: flow.interface, vlan: flow.vlan };
        let interface = self.names_interface(spot).then(|| self.interface(spot));
        self.entry.clear();
        self.entry.extend([flow.proto, flags_of(flow) | flags | interface.map_or(0, |_| HAS_INTERFACE)]);
        varint::put(&mut self.entry, flow.server_port.into());
        if let Some(interface) = interface {
            varint::put(&mut self.entry, interface.into());
        }
        self.shapes.index_of_bytes(&self.entry)
    }

    /// The index of what a name that was seen says: all but when, in which flow, and how long it is
    /// true. `addresses`: those of its own that the record has.
    pub(super) fn statement(&mut self, seen: &NameSeen, addresses: &[AnswerAddress]) -> u32 {
        let mut entry = std::mem::take(&mut self.entry);
        entry.clear();
        entry.push(kind_byte(seen.kind, seen.asker_is_server, seen.relayed));
        varint::put(&mut entry, self.name(&seen.name).into());
        if !seen.kind.is_in_flow() {
            let chain = seen.chain.get(..MAX_CHAIN).unwrap_or(&seen.chain);
            varint::put(&mut entry, chain.len() as u64);
            for target in chain {
                varint::put(&mut entry, self.name(target).into());
            }
            varint::put(&mut entry, addresses.len() as u64);
            for answer in addresses {
                let address = self.address(answer.address);
                varint::put(&mut entry, (u64::from(address) << 2) | answer.record as u64);
            }
        }
        let index = self.statements.index_of_bytes(&entry);
        self.entry = entry;
        index
    }

    /// The index of a flow; times in its definition count from `first_ts`. `seen`: the name of it
    /// that is recorded next, which need not be told twice.
    pub(super) fn flow(&mut self, flow: &Flow, first_ts: UnixNanos, seen: Option<&NameSeen>) -> u32 {
        if let Some(index) = self.flows.get(flow.number) {
            return index;
        }
        let told = seen.is_some_and(|seen| is_told_by(flow, seen));
        let name = flow.name.as_ref().filter(|_| !told).map(|name| (name_byte(name), self.name(&name.name)));
        let distance = flow.number.wrapping_sub(self.last_flow) as i64;
        let has_name = name.map_or(0, |_| HAS_NAME);
        let shape = self.shape(flow, has_name | if distance == 1 { 0 } else { HAS_NUMBER });
        let (client, server) = (self.client(flow), self.address(flow.server));
        self.last_flow = flow.number;
        self.added_flow_count += 1;
        let out = &mut self.added_flows;
        varint::put(out, shape.into());
        if distance != 1 {
            varint::put_signed(out, distance);
        }
        varint::put(out, client.into());
        varint::put(out, server.into());
        // Client ports are mostly above 16,383, where a varint takes three bytes.
        out.extend(flow.client_port.to_le_bytes());
        varint::put_signed(out, micros(first_ts) - micros(flow.start));
        if let Some((byte, name)) = name {
            out.push(byte);
            varint::put(out, name.into());
        }
        self.flows.add(flow.number)
    }

    /// Bytes of the group's names and endings. May exceed what is written for them by far.
    pub(super) fn names_len(&self) -> usize {
        self.names_len
    }

    /// Bytes that wait for the next block.
    pub(super) fn pending_len(&self) -> usize {
        self.addresses.added.len()
            + self.macs.added.len()
            + self.names.added.len()
            + self.interfaces.added.len()
            + self.clients.added.len()
            + self.shapes.added.len()
            + self.statements.added.len()
            + self.added_flows.len()
    }

    /// Writes the additions since the last block. Gives the bits of the lists that there are.
    pub(super) fn write_added(&mut self, out: &mut Vec<u8>) -> u16 {
        let mut lists = 0;
        let mut note = |any: bool, list: u16| lists |= if any { list } else { 0 };
        note(self.addresses.write_added(out), lists::ADDRESSES);
        note(self.macs.write_added(out), lists::MACS);
        note(self.names.write_added(out), lists::NAMES);
        note(self.interfaces.write_added(out), lists::INTERFACES);
        note(self.clients.write_added(out), lists::CLIENTS);
        note(self.shapes.write_added(out), lists::SHAPES);
        note(self.statements.write_added(out), lists::STATEMENTS);
        if self.added_flow_count > 0 {
            varint::put(out, self.added_flow_count);
            out.append(&mut self.added_flows);
            lists |= lists::FLOWS;
        }
        self.added_flow_count = 0;
        lists
    }

    /// Forgets everything: a new group begins.
    pub(super) fn clear(&mut self) {
        self.addresses.clear();
        self.macs.clear();
        self.names.clear();
        self.interfaces.clear();
        self.clients.clear();
        self.shapes.clear();
        self.statements.clear();
        self.endings.clear();
        self.flows.clear();
        self.added_flows.clear();
        self.added_flow_count = 0;
        (self.last_flow, self.names_len) = (0, 0);
    }
}

/// What stands for an interface of which only the number is known.
pub(super) fn interface_of_nothing() -> Interface {
    Interface { name: String::new(), link_type: LinkType(0) }
}

/// Whether reading this name of a flow, which is defined just before it, gives the flow the name
/// that it has, and changes nothing else.
fn is_told_by(flow: &Flow, seen: &NameSeen) -> bool {
    let same = |name: &FlowName| {
        name.kind == seen.kind
            && name.name == seen.name
            && name.from_server == seen.asker_is_server
            && name.relayed == seen.relayed
    };
    seen.kind.is_in_flow() && flow.name.as_ref().is_some_and(same) && flow.is_as_named()
}

/// The endings of a name that are worth sharing, longest first: from each of its first dots on.
fn endings_of(text: &str) -> impl Iterator<Item = &str> {
    let at_dots = text.match_indices('.').filter_map(|(at, _)| text.get(at..));
    at_dots.take(MAX_ENDINGS).filter(|end| end.len() >= MIN_ENDING)
}

/// Kind and flags of a name inside a flow.
fn name_byte(name: &FlowName) -> u8 {
    kind_byte(name.kind, name.from_server, name.relayed)
}

/// Kind of a name, whether the flow's server asked, and whether it speaks of another host than the
/// flow's server.
pub(super) fn kind_byte(kind: NameKind, from_server: bool, relayed: bool) -> u8 {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    kind as u8 | flag(from_server, ASKER_IS_SERVER) | flag(relayed, RELAYED)
}

/// Times inside an interval are kept in whole microseconds.
pub(super) fn micros(ts: UnixNanos) -> i64 {
    ts.0.div_euclid(1_000)
}

fn flags_of(flow: &Flow) -> u8 {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    flow.scope as u8 | ((flow.opened as u8) << OPENED_SHIFT) | flag(flow.begin_seen, BEGIN_SEEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_keep_their_index_wherever_their_number_lies() {
        let mut flows = FlowIndexes::default();
        let far = ROW_LIMIT as u64;
        for (index, number) in (0..).zip([5, 0, far - 1, far, u64::MAX, 7]) {
            assert_eq!(flows.get(number), None);
            assert_eq!(flows.add(number), index);
            assert_eq!(flows.get(number), Some(index));
        }
        assert_eq!(
            [5, 0, far - 1, far, u64::MAX, 7, 6, far + 1].map(|number| flows.get(number)),
            [Some(0), Some(1), Some(2), Some(3), Some(4), Some(5), None, None]
        );
    }

    #[test]
    fn a_new_group_knows_no_flow_and_begins_its_row_with_the_next_one() {
        let mut flows = FlowIndexes::default();
        (100..200).for_each(|number| _ = flows.add(number));
        flows.clear();
        assert_eq!((flows.first, flows.get(150), flows.get(250)), (200, None, None));
        assert_eq!([150, 250, 200].map(|number| flows.add(number)), [0, 1, 2]);
        assert_eq!([150, 250, 200, 151].map(|number| flows.get(number)), [Some(0), Some(1), Some(2), None]);
        assert_eq!((flows.row.len(), flows.others.len()), (51, 1));
    }
}
