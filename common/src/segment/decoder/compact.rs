//! Dictionaries and names as they are written since format 5.

use super::fields::{content, from_micros, get, get_signed, index, port};
use super::tables::Tables;
use crate::cursor::Cursor;
use crate::flow::{Flow, Opener, Scope};
use crate::names::{AnswerAddress, Name, NameKind, NameSeen, RecordKind};
use crate::packet::Spot;
use crate::segment::block::BlockError;
use crate::segment::dictionary::{
    ASKER_IS_SERVER, BEGIN_SEEN, HAS_INTERFACE, HAS_NAME, HAS_NUMBER, OPENED_SHIFT, RELAYED, micros,
};
use crate::segment::lists;
use crate::segment::writer::MAX_CHAIN;
use crate::time::UnixNanos;
use std::net::IpAddr;

/// What many flows have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    proto: u8,
    flags: u8,
    server_port: u16,
    spot: Spot,
    opened: Opener,
    scope: Scope,
}

/// What a name that was seen says.
#[derive(Debug)]
pub(super) struct Statement {
    /// Kind and flags.
    kind: u8,
    name: Name,
    /// Chain and addresses, where there are any: most statements of a hostile file have none.
    lists: Option<Box<AnswerLists>>,
}

/// Chain and addresses of an answer.
type AnswerLists = (Vec<Name>, Vec<(IpAddr, RecordKind)>);

impl Tables {
    /// The dictionary additions at the start of a payload that has these lists. Each entry takes at
    /// least a byte, so that a count that lies ends with the payload.
    pub(super) fn read_compact(&mut self, at: &mut Cursor<'_>, base: UnixNanos, lists: u64) -> Result<(), BlockError> {
        let has = |list: u16| lists & u64::from(list) != 0;
        if has(lists::ADDRESSES) {
            self.read_addresses(at)?;
        }
        if has(lists::MACS) {
            self.read_macs(at)?;
        }
        if has(lists::NAMES) {
            self.read_names(at)?;
        }
        if has(lists::INTERFACES) {
            self.read_interfaces(at, true)?;
        }
        let count = |at: &mut Cursor<'_>, list| if has(list) { get(at) } else { Ok(0) };
        for _ in 0..count(at, lists::CLIENTS)? {
            let address = self.address(at)?;
            let mac = index(at)?.checked_sub(1).map(|index| self.macs.get(index).copied());
            self.clients.push((address, mac.map(|mac| mac.ok_or(content("hardware address index"))).transpose()?));
        }
        for _ in 0..count(at, lists::SHAPES)? {
            let shape = self.read_shape(at)?;
            self.shapes.push(shape);
        }
        for _ in 0..count(at, lists::STATEMENTS)? {
            let statement = self.read_statement(at)?;
            self.statements.push(statement);
        }
        for _ in 0..count(at, lists::FLOWS)? {
            let flow = self.read_compact_flow(at, base)?;
            self.last_flow = flow.number;
            self.flows.push(flow);
        }
        Ok(())
    }

    fn read_shape(&self, at: &mut Cursor<'_>) -> Result<Shape, BlockError> {
        let [proto, flags] = at.array().ok_or(content("cut"))?;
        let server_port = port(at)?;
        let spot = match flags & HAS_INTERFACE {
            0 => Spot::default(),
            _ => self.interfaces.get(index(at)?).ok_or(content("interface index"))?.0,
        };
        let opened = Opener::from_number((flags >> OPENED_SHIFT) & 3).ok_or(content("opener"))?;
        let scope = Scope::from_number(flags & 3).ok_or(content("scope"))?;
        Ok(Shape { proto, flags, server_port, spot, opened, scope })
    }

    fn read_compact_flow(&self, at: &mut Cursor<'_>, base: UnixNanos) -> Result<Flow, BlockError> {
        let shape = *self.shapes.get(index(at)?).ok_or(content("shape index"))?;
        let distance = if shape.flags & HAS_NUMBER != 0 { get_signed(at)? } else { 1 };
        let (client, client_mac) = *self.clients.get(index(at)?).ok_or(content("client index"))?;
        let server = self.address(at)?;
        let client_port = at.le_u16().ok_or(content("cut"))?;
        let start = from_micros(micros(base).saturating_sub(get_signed(at)?));
        let name = if shape.flags & HAS_NAME != 0 { Some(self.read_flow_name(at)?) } else { None };
        Ok(Flow {
            number: self.last_flow.wrapping_add_signed(distance),
            client,
            server,
            client_port,
            server_port: shape.server_port,
            proto: shape.proto,
            scope: shape.scope,
            begin_seen: shape.flags & BEGIN_SEEN != 0,
            opened: shape.opened,
            interface: shape.spot.interface,
            vlan: shape.spot.vlan,
            client_mac,
            start,
            name,
        })
    }

    fn read_statement(&self, at: &mut Cursor<'_>) -> Result<Statement, BlockError> {
        let kind = at.u8().ok_or(content("cut"))?;
        if kind_number(kind) == 0 {
            return Err(content("name kind"));
        }
        let name = self.name(at)?;
        if NameKind::from_number(kind_number(kind)).is_some_and(NameKind::is_in_flow) {
            return Ok(Statement { kind, name, lists: None });
        }
        let chain_len = index(at)?;
        // Each record that calls the statement has the chain again, for a few bytes.
        if chain_len > MAX_CHAIN {
            return Err(content("a chain longer than any writer's"));
        }
        let chain = (0..chain_len).map(|_| self.name(at)).collect::<Result<Vec<_>, _>>()?;
        let mut addresses = Vec::new();
        for _ in 0..get(at)? {
            addresses.push(self.read_answer(at)?);
        }
        let any = !chain.is_empty() || !addresses.is_empty();
        Ok(Statement { kind, name, lists: any.then(|| Box::new((chain, addresses))) })
    }

    /// A name seen; `None` for one of a kind that only a newer version knows.
    pub(super) fn read_seen(&self, at: &mut Cursor<'_>, ts: UnixNanos) -> Result<Option<NameSeen>, BlockError> {
        let statement = self.statements.get(index(at)?).ok_or(content("statement index"))?;
        let (chain, answers) = statement.lists.as_deref().map_or((&[][..], &[][..]), |(c, a)| (c, a));
        let mut addresses = Vec::with_capacity(answers.len().min(at.remaining()));
        for (address, record) in answers.iter().copied() {
            let ttl_s = u32::try_from(get(at)?).map_err(|_| content("time to live"))?;
            addresses.push(AnswerAddress { address, ttl_s, record });
        }
        let Some(kind) = NameKind::from_number(kind_number(statement.kind)) else { return Ok(None) };
        let (asker_is_server, relayed) = (statement.kind & ASKER_IS_SERVER != 0, statement.kind & RELAYED != 0);
        let (name, chain) = (statement.name.clone(), chain.to_vec());
        Ok(Some(NameSeen { ts, kind, name, chain, addresses, asker_is_server, relayed }))
    }
}

/// The kind without its flags.
fn kind_number(kind: u8) -> u8 {
    kind & !(ASKER_IS_SERVER | RELAYED)
}
