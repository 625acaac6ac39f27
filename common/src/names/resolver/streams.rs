//! DNS over TCP: messages cut out of streams (RFC 1035 section 4.2.2, RFC 7766).

use super::super::dns;
use super::super::stream::{Assembler, GaveUp};
use super::Passage;
use crate::wire::Tcp;
use crate::work;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Bytes of a message's length.
const PREFIX_LEN: usize = 2;

/// Most bytes shown to a stream at a time, so that whole messages are taken out before more comes
/// in: offload hands over segments of 64 KiB, BIG TCP of 512 KiB.
const CHUNK_LEN: usize = 16_384;

/// Most bytes that one direction holds: the longest message, a chunk, and 48 KiB that came out of
/// order.
const DIRECTION_LIMIT: usize = 131_072;

/// One TCP connection: client first.
type Key = (SocketAddr, SocketAddr);

#[derive(Debug)]
struct Connection {
    up: Assembler,
    down: Assembler,
    /// The directions that have ended.
    up_finished: bool,
    down_finished: bool,
    /// Count of segments at its last use.
    last_use: u64,
    held_bytes: usize,
}

/// The streams of all connections. Where a bound is reached, the connection that was idle longest
/// is forgotten.
#[derive(Debug)]
pub(super) struct Streams {
    connection_limit: usize,
    bytes_limit: usize,
    connections: HashMap<Key, Connection, RandomState>,
    /// Connections by their last use: a flood of beginnings asks for the oldest with every packet.
    by_use: BTreeMap<u64, Key>,
    held_bytes: usize,
    segments: u64,
    given_up: u64,
}

impl Streams {
    pub(super) fn new(connection_limit: usize, bytes_limit: usize) -> Self {
        Self {
            connection_limit: connection_limit.max(1),
            bytes_limit,
            connections: HashMap::default(),
            by_use: BTreeMap::new(),
            held_bytes: 0,
            segments: 0,
            given_up: 0,
        }
    }

    pub(super) fn take_given_up(&mut self) -> u64 {
        std::mem::take(&mut self.given_up)
    }

    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Takes a segment, and shows the messages that it completes. The last may be cut where the
    /// capture cut it.
    pub(super) fn segment(&mut self, at: &Passage, tcp: &Tcp<'_>, mut message: impl FnMut(&[u8])) {
        let key = if at.from_client { (at.src, at.dst) } else { (at.dst, at.src) };
        if tcp.flags & Tcp::RST != 0 {
            self.forget(&key);
            return;
        }
        let is_syn = tcp.flags & Tcp::SYN != 0;
        let has_bytes = is_syn || !tcp.payload.is_empty() || tcp.payload_len > 0;
        if !has_bytes && !self.connections.contains_key(&key) {
            return;
        }
        self.segments += 1;
        self.make_room(&key);
        let connection = self.connections.entry(key).or_insert_with(Connection::new);
        self.by_use.remove(&connection.last_use);
        connection.last_use = self.segments;
        self.by_use.insert(self.segments, key);
        if has_bytes {
            let stream = if at.from_client { &mut connection.up } else { &mut connection.down };
            let complete = push_all(stream, tcp, is_syn, &mut message);
            self.given_up += u64::from(!complete);
        }
        if tcp.flags & Tcp::FIN != 0 {
            let finished = if at.from_client { &mut connection.up_finished } else { &mut connection.down_finished };
            *finished = true;
        }
        let held_bytes = connection.up.held_bytes() + connection.down.held_bytes();
        self.held_bytes = self.held_bytes - connection.held_bytes + held_bytes;
        connection.held_bytes = held_bytes;
        // What comes after both ends is repetition; bytes that still wait would be lost, so then it
        // stays.
        if connection.up_finished && connection.down_finished && connection.is_idle() {
            self.forget(&key);
        }
        self.keep_bytes_bound(&key);
    }

    fn make_room(&mut self, key: &Key) {
        if self.connections.len() >= self.connection_limit && !self.connections.contains_key(key) {
            self.give_up_oldest(None);
        }
    }

    fn keep_bytes_bound(&mut self, current: &Key) {
        // Each turn forgets a connection.
        while self.held_bytes > self.bytes_limit && self.give_up_oldest(Some(current)) {}
    }

    /// Forgets the connection, other than `spared`, that was idle longest. Says whether there was
    /// one.
    fn give_up_oldest(&mut self, spared: Option<&Key>) -> bool {
        let mut keys = self.by_use.values().inspect(|_| work::step());
        let Some(key) = keys.find(|key| Some(*key) != spared).copied() else { return false };
        let is_idle = self.connections.get(&key).is_none_or(Connection::is_idle);
        self.given_up += u64::from(!is_idle);
        self.forget(&key);
        true
    }

    fn forget(&mut self, key: &Key) {
        if let Some(connection) = self.connections.remove(key) {
            self.held_bytes -= connection.held_bytes;
            self.by_use.remove(&connection.last_use);
        }
    }
}

impl Connection {
    fn new() -> Self {
        Self {
            up: Assembler::new(DIRECTION_LIMIT),
            down: Assembler::new(DIRECTION_LIMIT),
            up_finished: false,
            down_finished: false,
            last_use: 0,
            held_bytes: 0,
        }
    }

    fn is_idle(&self) -> bool {
        self.up.is_idle() && self.down.is_idle()
    }
}

/// Shows a segment to its stream in chunks. `false` if bytes were given up because too many waited.
fn push_all(stream: &mut Assembler, tcp: &Tcp<'_>, is_syn: bool, message: &mut impl FnMut(&[u8])) -> bool {
    let mut complete = true;
    let (mut seq, mut is_syn, mut rest) = (tcp.seq, is_syn, tcp.payload);
    let mut wire_left = tcp.payload_len.max(u32::try_from(rest.len()).unwrap_or(u32::MAX));
    loop {
        let (chunk, tail) = rest.split_at_checked(CHUNK_LEN).unwrap_or((rest, &[]));
        // A chunk is at most CHUNK_LEN bytes.
        let chunk_len = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        let wire_len = if tail.is_empty() { wire_left } else { chunk_len };
        complete &= push(stream, (seq, is_syn), (chunk, wire_len), message);
        if tail.is_empty() {
            return complete;
        }
        seq = seq.wrapping_add(chunk_len).wrapping_add(is_syn.into());
        wire_left = wire_left.saturating_sub(chunk_len);
        (is_syn, rest) = (false, tail);
    }
}

fn push(
    stream: &mut Assembler,
    (seq, is_syn): (u32, bool),
    (chunk, wire_len): (&[u8], u32),
    message: &mut impl FnMut(&[u8]),
) -> bool {
    let add = |stream: &mut Assembler| {
        let seq = if is_syn { stream.syn(seq) } else { seq };
        stream.push(seq, chunk, wire_len)
    };
    match add(stream) {
        Ok(()) => {
            take_messages(stream, message);
            true
        }
        Err(GaveUp::Hole) => {
            take_messages(stream, message);
            take_cut_message(stream, message);
            *stream = Assembler::new(DIRECTION_LIMIT);
            true
        }
        Err(GaveUp::Full) => {
            // A segment was lost by the capture. Go on with what came after it, and then with this
            // one.
            stream.skip_gap();
            take_messages(stream, message);
            if add(stream).is_err() {
                *stream = Assembler::new(DIRECTION_LIMIT);
            }
            take_messages(stream, message);
            false
        }
    }
}

/// Takes out the whole messages that are ready. What does not begin as a message is dropped with
/// all that is ready; the next segment is then tried, as nearly every segment begins with a
/// message.
fn take_messages(stream: &mut Assembler, message: &mut impl FnMut(&[u8])) {
    // Each turn takes out at least a header's 12 bytes.
    while let Some((len, body)) = split_prefix(stream.ready()) {
        if dns::begins_message(body.get(..len).unwrap_or(body)).map_or(len < dns::HEADER_LEN, |begins| !begins) {
            *stream = Assembler::new(DIRECTION_LIMIT);
            return;
        }
        let Some(whole) = body.get(..len) else { return };
        message(whole);
        stream.consume(PREFIX_LEN + len);
    }
}

/// Shows what there is of a message that the capture cut.
fn take_cut_message(stream: &Assembler, message: &mut impl FnMut(&[u8])) {
    if let Some((_, body)) = split_prefix(stream.ready()).filter(|(_, body)| dns::begins_message(body) == Some(true)) {
        message(body);
    }
}

/// The length that a message states, and the bytes after it.
fn split_prefix(ready: &[u8]) -> Option<(usize, &[u8])> {
    let (prefix, body) = ready.split_first_chunk::<PREFIX_LEN>()?;
    Some((usize::from(u16::from_be_bytes(*prefix)), body))
}
