//! As much of HPACK (RFC 7541) as the authority of a connection's first request needs.
//!
//! The dynamic table is empty then, and what a client adds to it within one request is not its
//! authority, so it is left out: fields that refer to it are passed over.

mod table;

pub(crate) use table::Broken;
pub(super) use table::Table;

use crate::cursor::Cursor;

/// Most fields walked; browsers send about 20.
const MAX_FIELDS: usize = 128;
/// Longest string decoded, in bytes as sent: more than a host name can have.
const MAX_STRING: usize = 512;
/// Entry of the static table (RFC 7541 appendix A).
const STATIC_AUTHORITY: usize = 1;
/// Entry of the static table.
const STATIC_HOST: usize = 38;
/// Entries of the static table with the name `:method`.
const STATIC_METHOD: std::ops::RangeInclusive<usize> = 2..=3;

/// Whom a request asks, and how.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authority {
    /// The value of `:authority`, else of `host`.
    pub(super) value: Vec<u8>,
    /// The method is CONNECT: a relay is asked for another host (RFC 9113 section 8.5).
    pub(super) connect: bool,
}

/// A field that matters here.
enum Field {
    Method(Vec<u8>),
    Authority(Vec<u8>),
    Other,
}

/// The authority in a header block that may be cut. The method comes before it in what clients
/// send.
pub(super) fn authority(block: &[u8]) -> Option<Authority> {
    let mut at = Cursor::new(block);
    let mut connect = false;
    for _ in 0..MAX_FIELDS {
        match field(&mut at)? {
            Field::Authority(value) => return Some(Authority { value, connect }),
            Field::Method(method) => connect = method == b"CONNECT",
            Field::Other => {}
        }
    }
    None
}

/// Reads one field (RFC 7541 section 6). `None` at the end.
fn field(at: &mut Cursor<'_>) -> Option<Field> {
    let index = match at.peek_u8()? {
        0x80.. => {
            integer(at, 7)?; // indexed, name and value: no entry of the static table has a host or is CONNECT
            return Some(Field::Other);
        }
        0x40.. => integer(at, 6)?,
        0x20.. => {
            integer(at, 5)?; // size of the dynamic table
            return Some(Field::Other);
        }
        _ => integer(at, 4)?,
    };
    let name = match index {
        0 => decoded(string(at)?),
        STATIC_AUTHORITY | STATIC_HOST => Some(b":authority".to_vec()),
        n => STATIC_METHOD.contains(&n).then(|| b":method".to_vec()),
    };
    let value = string(at)?;
    let kind = match name.as_deref() {
        Some(b":authority" | b"host") => Field::Authority,
        Some(b":method") => Field::Method,
        _ => return Some(Field::Other),
    };
    Some(decoded(value).map_or(Field::Other, kind))
}

/// Reads an integer with a prefix of `bits` (RFC 7541 section 5.1).
fn integer(at: &mut Cursor<'_>, bits: u32) -> Option<usize> {
    let mask = (1_usize << bits) - 1;
    let first = usize::from(at.u8()?) & mask;
    if first < mask {
        return Some(first);
    }
    let mut value = first;
    // Three further bytes reach two million, more than any length here.
    for shift in [0, 7, 14] {
        let b = usize::from(at.u8()?);
        value += (b & 0x7f) << shift;
        if b & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Reads a string literal (RFC 7541 section 5.2): whether it is Huffman coded, and its bytes.
fn string<'a>(at: &mut Cursor<'a>) -> Option<(bool, &'a [u8])> {
    let huffman = at.peek_u8()? & 0x80 != 0;
    let len = integer(at, 7)?;
    Some((huffman, at.take(len)?))
}

fn decoded((huffman, bytes): (bool, &[u8])) -> Option<Vec<u8>> {
    if bytes.len() > MAX_STRING {
        return None;
    }
    if huffman { decode_huffman(bytes) } else { Some(bytes.to_vec()) }
}

/// The symbols of the Huffman code (RFC 7541 appendix B) with codes of up to 15 bits, by length of
/// code and in the order of the codes. The code is canonical, so this gives the codes. Longer ones
/// stand for bytes that no host name has.
const SYMBOLS: [(u32, &[u8]); 10] = [
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b"!\"()?"),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\0$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
];

/// Decodes a Huffman-coded string; `None` where it holds a symbol beyond [`SYMBOLS`].
fn decode_huffman(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(bytes.len() * 8 / 5);
    let (mut pending, mut pending_bits) = (0_u32, 0_u32);
    for b in bytes {
        pending = pending << 8 | u32::from(*b);
        pending_bits += 8;
        while let Some((symbol, len)) = first_symbol(pending, pending_bits) {
            text.push(symbol);
            pending_bits -= len;
            pending &= (1 << pending_bits) - 1;
        }
        if pending_bits >= 15 {
            return None;
        }
    }
    // What is left is padding: fewer than eight bits, all set.
    (pending_bits < 8 && pending + 1 == 1 << pending_bits).then_some(text)
}

/// The symbol that the first of `count` bits make, and the length of its code.
fn first_symbol(bits: u32, count: u32) -> Option<(u8, u32)> {
    let mut code = 0; // the first code of this length
    let mut code_len = 5;
    for (len, symbols) in SYMBOLS {
        code <<= len - code_len;
        code_len = len;
        let head = bits >> count.checked_sub(len)?;
        let symbol = head.checked_sub(code).and_then(|i| symbols.get(i as usize));
        if let Some(symbol) = symbol {
            return Some((*symbol, len));
        }
        code += symbols.len() as u32;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &[u8], connect: bool) -> Authority {
        Authority { value: value.to_vec(), connect }
    }

    #[test]
    fn connect_is_told_by_its_method() {
        // The method by name of the static table, with and without an index, and by its own name.
        for block in [
            &b"\x42\x07CONNECT\x01\x09a.example"[..],
            b"\x03\x07CONNECT\x41\x09a.example",
            b"\x00\x07:method\x07CONNECT\x01\x09a.example",
        ] {
            assert_eq!(authority(block).unwrap(), asked(b"a.example", true));
        }
        assert_eq!(authority(b"\x42\x07OPTIONS\x01\x09a.example").unwrap(), asked(b"a.example", false));
    }

    #[test]
    fn the_examples_of_rfc_7541_appendix_c_give_their_authority() {
        // C.3.1, C.4.1
        assert_eq!(authority(b"\x82\x86\x84\x41\x0fwww.example.com").unwrap(), asked(b"www.example.com", false));
        let coded = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        assert_eq!(authority(coded).unwrap(), asked(b"www.example.com", false));
    }

    #[test]
    fn strings_of_rfc_7541_decode() {
        for (coded, text) in [
            (&b"\xa8\xeb\x10\x64\x9c\xbf"[..], "no-cache"),
            (b"\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f", "custom-key"),
            (b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf", "custom-value"),
            (
                b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff",
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
            (b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3", "https://www.example.com"),
        ] {
            assert_eq!(decode_huffman(coded).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn a_literal_name_is_read_too() {
        assert_eq!(authority(b"\x3f\xe1\x1f\x82\x00\x04host\x09a.example").unwrap(), asked(b"a.example", false));
    }

    #[test]
    fn a_cut_or_lying_block_gives_nothing() {
        assert_eq!(authority(b"\x82\x41\x0fwww.exam"), None);
        assert_eq!(authority(b"\x41\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(decode_huffman(b"\xff\xff\xff\xff"), None);
        assert_eq!(authority(b""), None);
    }
}
