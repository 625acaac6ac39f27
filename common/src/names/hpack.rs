//! As much of HPACK (RFC 7541) as the authorities of a connection's requests need.

mod table;

pub(crate) use table::Broken;
pub(super) use table::Table;

use crate::cursor::Cursor;

/// Most fields walked in a block that may be cut; browsers send about 20.
const MAX_FIELDS: usize = 128;
/// Longest string decoded, in bytes as sent: more than a host name can have.
const MAX_STRING: usize = 512;

/// Whom a request asks, and how.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Authority {
    /// The value of `:authority` or `host`, whichever comes first; empty where none does.
    pub(super) value: Vec<u8>,
    /// The method is CONNECT: a relay is asked for another host (RFC 9113 section 8.5).
    pub(super) connect: bool,
}

/// The authority in a connection's first header block, which may be cut. The method comes before it
/// in what clients send.
pub(super) fn authority(block: &[u8]) -> Option<Authority> {
    let (mut table, mut at, mut asked) = (Table::default(), Cursor::new(block), Authority::default());
    for _ in 0..MAX_FIELDS {
        table.field(&mut at, &mut asked).ok()?;
        if !asked.value.is_empty() {
            return Some(asked);
        }
    }
    None
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
/// code and in the order of the codes. The code is canonical, so this gives the codes.
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
/// How many symbols have longer codes, by length of code: they stand for bytes that no host name
/// has. The end of a string has a code of 30 bits as well, but may not stand in one.
const LONG_CODES: [(u32, u64); 11] =
    [(19, 3), (20, 8), (21, 13), (22, 26), (23, 29), (24, 12), (25, 4), (26, 15), (27, 19), (28, 29), (30, 3)];

/// Walks a Huffman-coded string, and hands over each symbol; `None` for one beyond [`SYMBOLS`].
/// Gives `None` where the code is broken.
fn each_symbol(bytes: &[u8], mut each: impl FnMut(Option<u8>)) -> Option<()> {
    let (mut pending, mut pending_bits) = (0_u64, 0_u32);
    for b in bytes {
        pending = pending << 8 | u64::from(*b);
        pending_bits += 8;
        while let Some((len, symbol)) = first_symbol(pending, pending_bits) {
            each(symbol);
            pending_bits -= len;
            pending &= (1 << pending_bits) - 1;
        }
        if pending_bits >= 30 {
            return None;
        }
    }
    // What is left is padding: fewer than eight bits, all set.
    (pending_bits < 8 && pending + 1 == 1 << pending_bits).then_some(())
}

/// Length of the code that the first of `count` bits make, and its symbol.
fn first_symbol(bits: u64, count: u32) -> Option<(u32, Option<u8>)> {
    let short = SYMBOLS.iter().map(|(len, symbols)| (*len, symbols.len() as u64, *symbols));
    let long = LONG_CODES.iter().map(|(len, codes)| (*len, *codes, &[][..]));
    let (mut code, mut code_len) = (0, 0); // the first code of this length
    for (len, codes, symbols) in short.chain(long) {
        code <<= len - code_len;
        code_len = len;
        let place = (bits >> count.checked_sub(len)?).checked_sub(code)?;
        if place < codes {
            return Some((len, symbols.get(place as usize).copied()));
        }
        code += codes;
    }
    None
}

/// Decodes a Huffman-coded string; `None` where it holds a symbol beyond [`SYMBOLS`].
fn decode_huffman(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Some(Vec::with_capacity(bytes.len() * 8 / 5));
    each_symbol(bytes, |symbol| match (symbol, &mut text) {
        (Some(symbol), Some(text)) => text.push(symbol),
        _ => text = None,
    })?;
    text
}

/// Length of a string as it is meant: of a Huffman-coded one the number of its symbols.
fn text_len((huffman, bytes): (bool, &[u8])) -> Option<usize> {
    let mut symbols = 0;
    if huffman {
        each_symbol(bytes, |_| symbols += 1)?;
    } else {
        symbols = bytes.len();
    }
    Some(symbols)
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
