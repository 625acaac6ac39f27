//! The dictionaries of a group as the reader builds them, and how they are written before format 5.

use super::compact::{Shape, Statement};
use super::fields::{content, from_micros, get, get_signed, index, port};
use crate::cursor::Cursor;
use crate::flow::{Flow, FlowName, Opener, Scope};
use crate::names::{AnswerAddress, Name, NameKind, NameSeen, RecordKind};
use crate::packet::{Interface, LinkType, Spot};
use crate::segment::block::BlockError;
use crate::segment::dictionary::{
    ASKER_IS_SERVER, BEGIN_SEEN, HAS_INTERFACE, HAS_MAC, HAS_NAME, MAX_INTERFACE_NAME, MAX_VLAN, OPENED_SHIFT, RELAYED,
    micros,
};
use crate::time::UnixNanos;
use crate::wire::Mac;
use std::net::IpAddr;

/// Most text of a group's names. Shared endings let a few bytes stand for a thousand, so the length
/// of the payload does not bound it; a writer ends a group at 4 MiB, and one block more adds less
/// than 10 MiB.
const MAX_GROUP_NAMES_LEN: usize = 16 << 20;

/// The dictionaries of the group that is being read.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) macs: Vec<Mac>,
    names: Vec<Name>,
    pub(super) interfaces: Vec<(Spot, Interface)>,
    /// Since format 5.
    pub(super) clients: Vec<(IpAddr, Option<Mac>)>,
    /// Since format 5.
    pub(super) shapes: Vec<Shape>,
    /// Since format 5.
    pub(super) statements: Vec<Statement>,
    pub(super) flows: Vec<Flow>,
    pub(super) last_flow: u64,
    /// Payload bytes of the group's blocks so far.
    pub(super) payload_len: usize,
    /// Bytes of all names.
    names_len: usize,
}

impl Tables {
    /// The dictionary additions at the start of a payload. Each entry takes at least a byte, so
    /// that a count that lies ends with the payload. `interfaces`: whether those have VLANs, in
    /// formats that have interfaces.
    pub(super) fn read_additions(
        &mut self,
        at: &mut Cursor<'_>,
        base: UnixNanos,
        interfaces: Option<bool>,
    ) -> Result<(), BlockError> {
        self.read_addresses(at)?;
        self.read_macs(at)?;
        self.read_names(at)?;
        if let Some(with_vlan) = interfaces {
            self.read_interfaces(at, with_vlan)?;
        }
        for _ in 0..get(at)? {
            let flow = self.read_flow(at, base)?;
            self.last_flow = flow.number;
            self.flows.push(flow);
        }
        Ok(())
    }

    pub(super) fn read_addresses(&mut self, at: &mut Cursor<'_>) -> Result<(), BlockError> {
        for _ in 0..get(at)? {
            self.addresses.push(match at.u8() {
                Some(4) => at.array::<4>().ok_or(content("cut"))?.into(),
                Some(6) => at.array::<16>().ok_or(content("cut"))?.into(),
                _ => return Err(content("address family")),
            });
        }
        Ok(())
    }

    pub(super) fn read_macs(&mut self, at: &mut Cursor<'_>) -> Result<(), BlockError> {
        for _ in 0..get(at)? {
            self.macs.push(Mac(at.array().ok_or(content("cut"))?));
        }
        Ok(())
    }

    pub(super) fn read_names(&mut self, at: &mut Cursor<'_>) -> Result<(), BlockError> {
        for _ in 0..get(at)? {
            let name = self.read_name_entry(at)?;
            self.names_len += name.as_str().len();
            if self.names_len > MAX_GROUP_NAMES_LEN {
                return Err(content("more text of names than any writer's"));
            }
            self.names.push(name);
        }
        Ok(())
    }

    pub(super) fn read_interfaces(&mut self, at: &mut Cursor<'_>, with_vlan: bool) -> Result<(), BlockError> {
        for _ in 0..get(at)? {
            self.interfaces.push(read_interface(at, with_vlan)?);
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
            _ => Some(self.read_flow_name(at)?),
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
    pub(super) fn read_name(
        &self,
        at: &mut Cursor<'_>,
        ts: UnixNanos,
        flags: u8,
    ) -> Result<Option<NameSeen>, BlockError> {
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
            let (address, record) = self.read_answer(at)?;
            let ttl_s = u32::try_from(get(at)?).map_err(|_| content("time to live"))?;
            addresses.push(AnswerAddress { address, ttl_s, record });
        }
        Ok(kind.map(|kind| NameSeen { ts, kind, name, chain, addresses, asker_is_server, relayed }))
    }

    /// The name of a flow.
    pub(super) fn read_flow_name(&self, at: &mut Cursor<'_>) -> Result<FlowName, BlockError> {
        let byte = at.u8().ok_or(content("cut"))?;
        let (from_server, relayed) = (byte & ASKER_IS_SERVER != 0, byte & RELAYED != 0);
        let kind = NameKind::from_number(byte & !(ASKER_IS_SERVER | RELAYED)).ok_or(content("name kind"))?;
        Ok(FlowName { kind, name: self.name(at)?, from_server, relayed })
    }

    /// An address of an answer, and the record that gave it.
    pub(super) fn read_answer(&self, at: &mut Cursor<'_>) -> Result<(IpAddr, RecordKind), BlockError> {
        let packed = get(at)?;
        let record = match packed & 3 {
            0 => RecordKind::A,
            1 => RecordKind::Aaaa,
            2 => RecordKind::Hint,
            _ => return Err(content("record kind")),
        };
        let address = usize::try_from(packed >> 2).ok().and_then(|i| self.addresses.get(i).copied());
        Ok((address.ok_or(content("address index"))?, record))
    }

    pub(super) fn address(&self, at: &mut Cursor<'_>) -> Result<IpAddr, BlockError> {
        self.addresses.get(index(at)?).copied().ok_or(content("address index"))
    }

    pub(super) fn name(&self, at: &mut Cursor<'_>) -> Result<Name, BlockError> {
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
