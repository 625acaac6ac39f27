//! Recognising DNS where the port does not say so: nothing may be left to doubt.

use super::wire_name::{Budget, WireName, labels};
use super::{CLASS_IN, Header, Message, Record, kind, parse};
use crate::cursor::Cursor;

/// Most records of a message that is judged; a UDP answer on an odd port has some dozens.
const MAX_RECORDS: u32 = 512;

/// Chaos class: `version.bind` and the like (RFC 1035 section 3.2.4).
const CLASS_CH: u16 = 3;
const CLASS_ANY: u16 = 255;

/// Transaction signature (RFC 8945), the one record that follows OPT in a query.
const TSIG: u16 = 250;

/// Whether the first 12 bytes can be a standard query or its response with one question. Cheap: to
/// be asked about every datagram on an unknown port.
#[inline]
pub fn looks_like(bytes: &[u8]) -> bool {
    // Two bytes of id, then: opcode 0; the reserved bit clear; exactly one question.
    matches!(bytes, [_, _, high, low, 0, 1, _, _, _, _, _, _, ..] if high & 0x78 == 0 && low & 0x40 == 0)
}

/// As [`parse`], for bytes that may be anything: `None` unless every field up to exactly the last
/// byte makes sense.
///
/// One question, written out, of printable characters, with a type and class in use; the records
/// have known types and classes, names that can be read, and lengths that fit; a query carries
/// nothing but EDNS and a signature; a response repeats a question that is not the root. A message
/// that the capture cut is never recognised.
pub fn parse_strict(bytes: &[u8]) -> Option<Message> {
    is_strict(bytes).then(|| parse(bytes)).flatten()
}

/// Whether [`parse_strict`] gives a message; allocates nothing.
pub(in super::super) fn is_strict(bytes: &[u8]) -> bool {
    looks_like(bytes) && validates(bytes).is_some()
}

fn validates(bytes: &[u8]) -> Option<()> {
    let header = Header::read(bytes)?;
    let records = u32::from(header.answers) + u32::from(header.authorities) + u32::from(header.additionals);
    if records > MAX_RECORDS || (!header.is_response() && !is_plain_query(&header)) {
        return None;
    }
    let (mut budget, mut name) = (Budget::small(), WireName::default());
    let mut at = question_end(bytes, header.is_response(), &mut name, &mut budget)?;
    for _ in 0..records {
        let record = Record::read(bytes, &mut at)?;
        if !is_sound(bytes, &record, &mut name, &mut budget) {
            return None;
        }
    }
    (at == bytes.len()).then_some(())
}

/// A query has no answers, at most two additional records, and no flags but RD, AD and CD.
fn is_plain_query(header: &Header) -> bool {
    header.answers == 0 && header.authorities == 0 && header.additionals <= 2 && header.flags & !0x0130 == 0
}

fn question_end(bytes: &[u8], is_response: bool, name: &mut WireName, budget: &mut Budget) -> Option<usize> {
    let end = name.read(bytes, Header::LEN, budget)?;
    let name = name.as_bytes();
    let written_out = end == Header::LEN + name.len() + 1;
    let printable = labels(name).flatten().all(|b| (0x21..=0x7e).contains(b));
    let mut fields = Cursor::new(bytes.get(end..)?);
    let (kind, class) = (fields.be_u16()?, fields.be_u16()?);
    let in_use = is_type(kind) && kind != kind::OPT && matches!(class, CLASS_IN | CLASS_CH | CLASS_ANY);
    let good = written_out && printable && in_use && !(is_response && name.is_empty());
    good.then_some(end + 4)
}

/// Types in use (IANA DNS parameters): up to 109, the question types and others from 249 to 261
/// (RESINFO), the two trust anchors. NetBIOS names (32) have their own protocol.
fn is_type(kind: u16) -> bool {
    matches!(kind, 1..=31 | 33..=109 | 249..=261 | 32_768 | 32_769)
}

fn is_sound(bytes: &[u8], record: &Record<'_>, name: &mut WireName, budget: &mut Budget) -> bool {
    let class_fits = match record.kind {
        kind::OPT => bytes.get(record.owner_at) == Some(&0), // root; the class is a size
        TSIG => record.class == CLASS_ANY,
        _ => matches!(record.class, CLASS_IN | CLASS_CH),
    };
    let data_fits = match record.kind {
        kind::A => record.class != CLASS_IN || record.rdata_len == 4,
        kind::AAAA => record.rdata_len == 16,
        kind::CNAME => name.read(bytes, record.rdata_at, budget) == Some(record.rdata_at + record.rdata_len),
        _ => true,
    };
    class_fits
        && data_fits
        && is_type(record.kind)
        && record.rdata.len() == record.rdata_len
        && name.read(bytes, record.owner_at, budget).is_some()
}
