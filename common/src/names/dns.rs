//! DNS messages: the answers that connect names with addresses.
//!
//! The walker is our own. What naming needs is a small part of DNS (questions, CNAME, A, AAAA,
//! HTTPS and SVCB), but it is needed from messages that are cut by the capture, truncated by the
//! sender or damaged in one record, and in bounded time. simple-dns 0.13 is the oracle in the
//! tests: wherever it accepts a message, this walker finds the same addresses. `cargo test
//! --release -p imon-common --test corpus_dns -- --ignored --nocapture` times both on the messages
//! of the public captures that the tests use (1,149 queries and 819 responses): the walker reads 6
//! and 3 % more of them, because it takes what is there of a message that is cut, and takes less
//! time although it also follows the names and shows them. Bounds for hostile messages are in the
//! test `dns_bounds`.
//!
//! What is booked:
//! - Answers are those of responses (QR) to standard queries without an error; a failed response
//!   teaches nothing.
//! - Addresses go to the name that was *asked*, through CNAMEs and SVCB targets in whatever order
//!   the records stand. Several questions: each asked name gets the addresses that it leads to.
//! - Addresses in the answer section that no question leads to go to their own owner name, marked
//!   as not asked for: who asked takes none of them (RFC 2181 section 5.4.1).
//! - Where there is no question (multicast DNS, later messages of a zone transfer) each name that
//!   nothing leads to stands for one.
//! - The additional section counts only where a question leads there, or where there is none:
//!   elsewhere it is glue that nobody asked for.
//! - A DNAME leads from each name below it to the name below its target (RFC 6672 section 2.2),
//!   also where the CNAME that follows from it is missing.
//! - Names compare without case (RFC 4343), TTLs are kept as received, the class must be IN (the
//!   top bit is the cache-flush bit of RFC 6762 section 10.2).
//! - A record that is wrong costs that record. Records end where RDLENGTH says, whatever is in
//!   them.
//!
//! Bounds (each a constant, with its reason): any message up to 64 KiB takes less than 1 ms and
//! less than 1 MiB.

mod graph;
mod shown;
mod strict;
mod wire_name;

pub(super) use strict::is_strict;
pub use strict::{looks_like, parse_strict};

use super::{AnswerAddress, Name, RecordKind};
use crate::cursor::Cursor;
pub(super) use graph::Graph;
use graph::Origin;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wire_name::{Budget, WireName};

/// Most questions of one message that are followed. Servers answer only messages with one;
/// multicast DNS asks several.
const MAX_QUESTIONS: usize = 8;

/// Most configurations of ECH that are looked at for one that can be read. Servers give one or two.
const MAX_ECH_CONFIGS: usize = 8;

/// Record types that are read (IANA DNS parameters).
mod kind {
    pub(super) const A: u16 = 1;
    pub(super) const CNAME: u16 = 5;
    pub(super) const SOA: u16 = 6;
    pub(super) const MX: u16 = 15;
    pub(super) const AAAA: u16 = 28;
    pub(super) const SRV: u16 = 33;
    pub(super) const DNAME: u16 = 39;
    pub(super) const OPT: u16 = 41;
    pub(super) const SVCB: u16 = 64;
    pub(super) const HTTPS: u16 = 65;
}

const CLASS_IN: u16 = 1;

/// Bytes of a message's header (RFC 1035 section 4.1.1).
pub(super) const HEADER_LEN: usize = 12;

/// What a DNS message says that naming can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Transaction id.
    pub id: u16,
    /// QR bit: a response.
    pub is_response: bool,
    /// Operation code; 0 is a standard query.
    pub opcode: u8,
    /// Response code; 0 is no error.
    pub rcode: u8,
    /// TC bit, or the records could not be followed to the end: the bytes ended before the counts
    /// did.
    pub truncated: bool,
    /// The first question's name and type.
    pub question: Option<(Name, u16)>,
    /// One entry for each asked name that got addresses, in order.
    pub answers: Vec<Answer>,
}

/// Addresses that a response gives for one asked name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The name that was asked.
    pub name: Name,
    /// CNAME and alias targets passed on the way, in order, without the asked name.
    pub chain: Vec<Name>,
    /// The addresses, in the order of the message.
    pub addresses: Vec<AnswerAddress>,
    /// A question leads to them, or there is none.
    pub is_asked: bool,
}

/// Reads one DNS message (without the length prefix of TCP). `None` where it is no DNS message:
/// shorter than its header, or its first question cannot be read.
///
/// Takes what is there of a message that is truncated, cut, or damaged. For bytes that are not
/// known to be DNS there is [`parse_strict`]. Source: RFC 1035 section 4, RFC 9460 section 2.2.
pub fn parse(bytes: &[u8]) -> Option<Message> {
    let header = Header::read(bytes)?;
    let question = match header.questions {
        0 => None,
        _ => {
            let mut name = WireName::default();
            let end = name.read(bytes, Header::LEN, &mut Budget::small())?;
            let mut fields = Cursor::new(bytes.get(end..)?);
            Some((name.to_name(), fields.be_u16()?))
        }
    };
    let (mut graph, mut answers) = (Graph::default(), Vec::new());
    graph.begin(header.may_teach());
    let complete = walk(bytes, &header, &mut graph);
    graph.answers(&mut answers);
    Some(Message {
        id: header.id,
        is_response: header.is_response(),
        opcode: header.opcode(),
        rcode: header.rcode(),
        truncated: header.truncated() || !complete,
        question,
        answers,
    })
}

/// A message that is being read, with the working space of the one before.
pub(super) struct Reading<'a> {
    bytes: &'a [u8],
    header: Header,
    graph: &'a mut Graph,
}

/// The first question of a message, and what pairs a query with its response.
pub(super) struct Subject {
    /// It is a response.
    pub(super) is_response: bool,
    /// The transaction id, and a hash of the question: equal for a query and its response.
    pub(super) id: u16,
    pub(super) question: u64,
    /// What a standard query for A, AAAA or HTTPS records of the Internet asks for.
    pub(super) asked: Option<Name>,
}

/// What a reply says that holds no address: who asked for the name got none of these families.
pub(super) struct Nothing {
    /// The name.
    pub(super) name: Name,
    /// Names passed on the way, as in [`Answer::chain`].
    pub(super) chain: Vec<Name>,
    /// Unspecified addresses of the families. Their TTL is 0 where the chain is a step: its end is
    /// to be asked for elsewhere.
    pub(super) families: Vec<AnswerAddress>,
}

impl<'a> Reading<'a> {
    /// `None` for what is shorter than a header.
    pub(super) fn begin(bytes: &'a [u8], graph: &'a mut Graph) -> Option<Self> {
        let header = Header::read(bytes)?;
        graph.begin(true);
        Some(Self { bytes, header, graph })
    }

    /// What the message is about. `None` without a question.
    pub(super) fn subject<S: std::hash::BuildHasher>(&mut self, hasher: &S) -> Option<Subject> {
        let (bytes, header) = (self.bytes, &self.header);
        if header.questions == 0 {
            return None;
        }
        let name = self.graph.name(bytes, Header::LEN)?;
        let mut fields = Cursor::new(bytes.get(wire_name::skip(bytes, Header::LEN)?..)?);
        let (kind, class) = (fields.be_u16()?, fields.be_u16()?);
        let leads_to_address = matches!(kind, kind::A | kind::AAAA | kind::HTTPS) && class == CLASS_IN;
        let asks_for_address = leads_to_address && !header.is_response() && header.opcode() == 0;
        Some(Subject {
            is_response: header.is_response(),
            id: header.id,
            question: hasher.hash_one((self.graph.bytes(name), kind, class)),
            asked: asks_for_address.then(|| self.graph.show(name)),
        })
    }

    /// Adds what [`Message::answers`] would hold. Tells whether the message was read to its end.
    pub(super) fn answers(&mut self, answers: &mut Vec<Answer>) -> bool {
        if !self.header.may_teach() {
            return false;
        }
        let complete = walk(self.bytes, &self.header, self.graph);
        self.graph.answers(answers);
        complete && !self.header.truncated()
    }

    /// The public names under which hellos for the asked name, and those that it leads to, may hide
    /// it. Names that are above what was asked for hide little.
    pub(super) fn public_names(&mut self) -> Vec<Name> {
        self.graph.public_names()
    }

    /// That who asked got no address, of a response without one: no record of the type that was
    /// asked for (RFC 2308 section 2.2), no such name (section 2.1), or a failure. A failure says
    /// nothing about the name (section 7), but it leaves who asked without an address. A referral
    /// of a server that neither knows nor asks on is no answer.
    pub(super) fn nothing(self, complete: bool) -> Option<Nothing> {
        const NO_SUCH_NAME: u8 = 3;
        let header = self.header;
        let failed = header.is_response() && header.opcode() == 0 && header.rcode() != 0;
        let no_such_name = failed && header.rcode() == NO_SUCH_NAME;
        if failed {
            walk(self.bytes, &header, self.graph);
        }
        let is_told = if failed { !header.truncated() } else { complete && header.is_response() && header.is_final() };
        if !is_told || header.questions != 1 {
            return None;
        }
        let mut fields = Cursor::new(self.bytes.get(wire_name::skip(self.bytes, Header::LEN)?..)?);
        let (kind, class) = (fields.be_u16()?, fields.be_u16()?);
        // A resolver follows a chain to its end, and who knows that the end has no address says so
        // by an SOA record (RFC 2308 section 2.2).
        let is_end = failed || header.recursion_available() || self.graph.has_authority();
        let of = |address: IpAddr, record| AnswerAddress { address, ttl_s: u32::from(is_end), record };
        let v4 = of(Ipv4Addr::UNSPECIFIED.into(), RecordKind::A);
        let v6 = of(Ipv6Addr::UNSPECIFIED.into(), RecordKind::Aaaa);
        let families = match kind {
            _ if class != CLASS_IN => return None,
            kind::A | kind::AAAA | kind::HTTPS if no_such_name => vec![v4, v6],
            // What failed for HTTPS records says nothing about addresses.
            kind::A => vec![v4],
            kind::AAAA => vec![v6],
            // Where an alias leads (RFC 9460 section 2.4.2) is all that it says.
            kind::HTTPS if !failed => Vec::new(),
            _ => return None,
        };
        let (name, chain) = self.graph.way()?;
        if families.is_empty() && chain.is_empty() {
            return None;
        }
        Some(Nothing { name, chain, families })
    }
}

/// Goes through questions and records. Tells whether all of them were there.
fn walk(bytes: &[u8], header: &Header, graph: &mut Graph) -> bool {
    let mut at = Header::LEN;
    walk_questions(bytes, header, &mut at, graph).is_some() && walk_records(bytes, header, &mut at, graph).is_some()
}

/// Recursion was desired, which multicast DNS never does (RFC 6762 section 18.6).
pub(super) fn desires_recursion(bytes: &[u8]) -> bool {
    bytes.get(2).is_some_and(|flags| flags & 1 != 0)
}

/// Whether the bytes begin as a message of a TCP stream does: a known operation, the reserved bit
/// clear, and a question or, in the later messages of a zone transfer, answers (RFC 5936 section
/// 2.2.1). `None` while fewer than 12 are there.
pub(super) fn begins_message(bytes: &[u8]) -> Option<bool> {
    let header = Header::read(bytes)?;
    let fits = matches!(header.opcode(), 0 | 4 | 5) && header.flags & 0x0040 == 0;
    let has_subject = header.questions == 1 || (header.questions == 0 && header.is_response());
    Some(fits && has_subject)
}

/// The first twelve bytes (RFC 1035 section 4.1.1).
#[derive(Debug, Clone, Copy)]
struct Header {
    id: u16,
    flags: u16,
    questions: u16,
    answers: u16,
    authorities: u16,
    additionals: u16,
}

impl Header {
    const LEN: usize = HEADER_LEN;

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut at = Cursor::new(bytes);
        Some(Self {
            id: at.be_u16()?,
            flags: at.be_u16()?,
            questions: at.be_u16()?,
            answers: at.be_u16()?,
            authorities: at.be_u16()?,
            additionals: at.be_u16()?,
        })
    }

    fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    fn opcode(&self) -> u8 {
        (self.flags >> 11) as u8 & 15
    }

    fn truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }

    fn rcode(&self) -> u8 {
        self.flags as u8 & 15
    }

    /// Of a server that knows, or that asks on for its clients (bits AA and RA).
    fn is_final(&self) -> bool {
        self.flags & 0x0480 != 0
    }

    /// The server asks on for its clients (bit RA).
    fn recursion_available(&self) -> bool {
        self.flags & 0x0080 != 0
    }

    /// A response to a standard query, without an error.
    fn may_teach(&self) -> bool {
        self.is_response() && self.opcode() == 0 && self.rcode() == 0
    }
}

/// Notes the asked names and moves `at` to the first record. `None` where the bytes end before.
fn walk_questions(bytes: &[u8], header: &Header, at: &mut usize, graph: &mut Graph) -> Option<()> {
    // Each question takes at least 5 bytes, so the bytes end this long before 65,535 are counted.
    for index in 0..usize::from(header.questions) {
        if index < MAX_QUESTIONS && graph.ask(bytes, *at).is_none() && index == 0 {
            return None; // what the rest answers is not known
        }
        let end = wire_name::skip(bytes, *at)?;
        bytes.get(end..)?.get(..4)?; // type and class
        *at = end + 4;
    }
    Some(())
}

/// Shows the records to `graph`. `None` where the bytes end before, or a name's end cannot be
/// found.
fn walk_records(bytes: &[u8], header: &Header, at: &mut usize, graph: &mut Graph) -> Option<()> {
    for (count, origin) in [
        (header.answers, Some(Origin::Answer)),
        (header.authorities, None),
        (header.additionals, Some(Origin::Additional)),
    ] {
        // Each record takes at least 11 bytes, so the bytes end this long before 65,535 are
        // counted.
        for _ in 0..count {
            let record = Record::read(bytes, at)?;
            if origin.is_none() && record.kind == kind::SOA {
                graph.note_authority();
            }
            if let Some(origin) = origin.filter(|_| record.class & 0x7fff == CLASS_IN) {
                take_record(bytes, &record, origin, graph);
            }
            if record.rdata.len() < record.rdata_len {
                return None;
            }
        }
    }
    Some(())
}

/// A resource record (RFC 1035 section 4.1.3), its names not yet read.
struct Record<'a> {
    owner_at: usize,
    kind: u16,
    class: u16,
    ttl_s: u32,
    rdata_at: usize,
    rdata_len: usize,
    /// As far as it is there.
    rdata: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(bytes: &'a [u8], at: &mut usize) -> Option<Self> {
        let owner_at = *at;
        let fields_at = wire_name::skip(bytes, owner_at)?;
        let mut fields = Cursor::new(bytes.get(fields_at..)?);
        let (kind, class) = (fields.be_u16()?, fields.be_u16()?);
        let ttl_s = fields.be_u32()?;
        let rdata_len = usize::from(fields.be_u16()?);
        let rdata_at = bytes.len() - fields.remaining();
        let rdata = fields.up_to(rdata_len);
        *at = rdata_at + rdata.len();
        Some(Self { owner_at, kind, class, ttl_s, rdata_at, rdata_len, rdata })
    }

    /// The whole of the RDATA as an array; `None` where it has another length.
    fn rdata_array<const N: usize>(&self) -> Option<[u8; N]> {
        <[u8; N]>::try_from(self.rdata).ok().filter(|_| self.rdata_len == N)
    }
}

/// Adds what one record says. A record that cannot be read adds nothing.
fn take_record(bytes: &[u8], record: &Record<'_>, origin: Origin, graph: &mut Graph) {
    let address = match record.kind {
        kind::A => record.rdata_array::<4>().map(|a| (IpAddr::from(a), RecordKind::A)),
        kind::AAAA => record.rdata_array::<16>().map(|a| (IpAddr::from(a), RecordKind::Aaaa)),
        kind::CNAME => {
            // The name must fill the RDATA; a pointer may lead out of it.
            let fits = wire_name::skip(bytes, record.rdata_at) == Some(record.rdata_at + record.rdata_len);
            if fits {
                graph.link(bytes, record.owner_at, record.rdata_at, origin);
            }
            None
        }
        kind::DNAME => {
            graph.branch(bytes, record.owner_at, record.rdata_at, origin);
            None
        }
        // Behind a preference; behind priority, weight and port.
        kind::MX => {
            graph.serve(bytes, record.owner_at, record.rdata_at + 2, origin);
            None
        }
        kind::SRV => {
            graph.serve(bytes, record.owner_at, record.rdata_at + 6, origin);
            None
        }
        kind::SVCB | kind::HTTPS => {
            take_service(bytes, record, origin, graph);
            None
        }
        _ => None,
    };
    if let Some((address, kind)) = address {
        let address = AnswerAddress { address, ttl_s: record.ttl_s, record: kind };
        graph.address(bytes, record.owner_at, address, origin);
    }
}

/// Reads an SVCB or HTTPS record (RFC 9460 section 2.2). The target is one more name on the way
/// (alias mode, and service mode with another target); `.` stands for the owner itself. Hints
/// belong to the owner's answer.
fn take_service(bytes: &[u8], record: &Record<'_>, origin: Origin, graph: &mut Graph) -> Option<()> {
    const IPV4HINT: u16 = 4;
    const ECH: u16 = 5;
    const IPV6HINT: u16 = 6;
    let target_at = record.rdata_at + 2; // after the priority
    let params_at = wire_name::skip(bytes, target_at)?;
    let params_offset = params_at.checked_sub(record.rdata_at)?;
    let mut params = Cursor::new(record.rdata.get(params_offset..)?);
    if bytes.get(target_at) != Some(&0) {
        graph.link(bytes, record.owner_at, target_at, origin);
    }
    if record.rdata.starts_with(&[0, 0]) {
        return None; // alias mode: parameters are to be ignored (section 2.4.2)
    }
    let hint = |address: IpAddr, graph: &mut Graph| {
        let address = AnswerAddress { address, ttl_s: record.ttl_s, record: RecordKind::Hint };
        graph.address(bytes, record.owner_at, address, origin);
    };
    loop {
        let key = params.be_u16()?;
        let len = usize::from(params.be_u16()?);
        let value = params.up_to(len);
        match key {
            IPV4HINT if len % 4 == 0 => {
                value.as_chunks::<4>().0.iter().for_each(|a| hint(IpAddr::from(*a), graph));
            }
            IPV6HINT if len % 16 == 0 => {
                value.as_chunks::<16>().0.iter().for_each(|a| hint(IpAddr::from(*a), graph));
            }
            ECH if value.len() == len && origin == Origin::Answer => {
                if let Some(name) = public_name(value) {
                    graph.note_public_name(name);
                }
            }
            _ => {}
        }
    }
}

/// The public name of the first configuration of ECH in a list that can be read (RFC 9849 section
/// 4): what a hello shows in the place of the host.
fn public_name(list: &[u8]) -> Option<Name> {
    const VERSION: u16 = 0xfe0d;
    let mut at = Cursor::new(list);
    at.skip(2)?; // length of the list
    for _ in 0..MAX_ECH_CONFIGS {
        let (version, len) = (at.be_u16()?, at.be_u16()?);
        let mut config = Cursor::new(at.take(len.into())?);
        if version != VERSION {
            continue;
        }
        config.skip(3)?; // id and kind of the key
        for _ in ["key", "cipher suites"] {
            let len = config.be_u16()?;
            config.skip(len.into())?;
        }
        config.skip(1)?; // longest name
        let len = config.u8()?;
        return Name::from_host(config.take(len.into())?).filter(Name::is_host);
    }
    None
}

#[cfg(test)]
mod tests;
