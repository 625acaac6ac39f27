//! What header blocks of a connection refer to: the dynamic table of HPACK (RFC 7541 section
//! 2.3.2), as far as it tells whom requests ask for. Of other fields only their size is kept, by
//! which entries go.

use super::{Authority, decoded, integer, string, text_len};
use crate::cursor::Cursor;
use std::collections::VecDeque;

/// Largest table followed. Without a word of the server it has 4,096 bytes (RFC 9113 section
/// 6.5.2), and clients take 64 KiB at the most.
const MAX_TABLE: usize = 64 * 1024;
const DEFAULT_TABLE: usize = 4_096;
/// What an entry counts beside its strings (RFC 7541 section 4.1).
const ENTRY: usize = 32;
/// Entries of the static table (RFC 7541 appendix A), by length of their names.
const STATIC_NAMES: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14, 16, 13, 12, 6, 4,
    4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10, 25, 17, 10, 4, 3, 16,
];
/// Entry of the static table.
const STATIC_AUTHORITY: usize = 1;
/// Entries of the static table with the name `:method`.
const STATIC_METHOD: std::ops::RangeInclusive<usize> = 2..=3;
/// Entry of the static table.
const STATIC_HOST: usize = 38;

/// A field that matters here, or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Method,
    Authority,
    Other,
}

/// The name of a field.
#[derive(Debug, Clone, Copy)]
struct FieldName {
    what: What,
    len: usize,
}

#[derive(Debug)]
struct Entry {
    name: FieldName,
    /// Empty where the field does not matter.
    value: Vec<u8>,
    /// What it counts in the table.
    size: usize,
}

/// A block that breaks the rules, or refers to what is not known: what follows cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// The dynamic table of one side of a connection.
#[derive(Debug)]
pub(in crate::names) struct Table {
    /// The latest first.
    entries: VecDeque<Entry>,
    size: usize,
    most: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, most: DEFAULT_TABLE }
    }
}

impl Table {
    /// Reads a whole header block, and keeps what later ones may refer to. Gives whom it asks for,
    /// if it does.
    ///
    /// # Errors
    /// [`Broken`]; the table is of no use then.
    pub(in crate::names) fn read(&mut self, block: &[u8]) -> Result<Option<Authority>, Broken> {
        let (mut at, mut asked) = (Cursor::new(block), Authority::default());
        while !at.is_empty() {
            self.field(&mut at, &mut asked)?;
        }
        Ok(Some(asked).filter(|asked| !asked.value.is_empty()))
    }

    /// Reads one field (RFC 7541 section 6), notes in `asked` what it tells, and keeps what later
    /// ones may refer to.
    ///
    /// # Errors
    /// [`Broken`], and at the end of the block.
    pub(super) fn field(&mut self, at: &mut Cursor<'_>, asked: &mut Authority) -> Result<(), Broken> {
        match at.peek_u8().ok_or(Broken)? {
            0x80.. => {
                let (name, value) = self.entry(integer(at, 7).ok_or(Broken)?)?;
                asked.note(name.what, value);
            }
            0x40.. => {
                let entry = self.literal(at, 6)?;
                asked.note(entry.name.what, &entry.value);
                self.insert(entry);
            }
            0x20.. => {
                self.most = integer(at, 5).filter(|most| *most <= MAX_TABLE).ok_or(Broken)?;
                self.make_room(0);
            }
            _ => {
                let entry = self.literal(at, 4)?;
                asked.note(entry.name.what, &entry.value);
            }
        }
        Ok(())
    }

    /// Name and value of the entry with this index, of the static table or this one (RFC 7541
    /// section 2.3.3).
    fn entry(&self, index: usize) -> Result<(FieldName, &[u8]), Broken> {
        let place = index.checked_sub(1).ok_or(Broken)?;
        let Some(len) = STATIC_NAMES.get(place) else {
            let entry = self.entries.get(place - STATIC_NAMES.len()).ok_or(Broken)?;
            return Ok((entry.name, &entry.value));
        };
        // No value in the static table is a host or CONNECT.
        let what = match index {
            STATIC_AUTHORITY | STATIC_HOST => What::Authority,
            n if STATIC_METHOD.contains(&n) => What::Method,
            _ => What::Other,
        };
        Ok((FieldName { what, len: usize::from(*len) }, &[]))
    }

    /// A field whose value, and perhaps name, stands in the block (RFC 7541 section 6.2).
    fn literal(&self, at: &mut Cursor<'_>, bits: u32) -> Result<Entry, Broken> {
        let name = match integer(at, bits).ok_or(Broken)? {
            0 => {
                let name = string(at).ok_or(Broken)?;
                let what = match decoded(name).as_deref() {
                    Some(b":authority" | b"host") => What::Authority,
                    Some(b":method") => What::Method,
                    _ => What::Other,
                };
                FieldName { what, len: text_len(name).ok_or(Broken)? }
            }
            index => self.entry(index)?.0,
        };
        let value = string(at).ok_or(Broken)?;
        let size = name.len + text_len(value).ok_or(Broken)? + ENTRY;
        let value = if name.what == What::Other { None } else { decoded(value) };
        Ok(Entry { name, value: value.unwrap_or_default(), size })
    }

    fn insert(&mut self, entry: Entry) {
        self.make_room(entry.size);
        if entry.size <= self.most {
            self.size += entry.size;
            self.entries.push_front(entry);
        }
    }

    /// The oldest go until there is room for so much (RFC 7541 section 4.4).
    fn make_room(&mut self, size: usize) {
        while self.size + size > self.most
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size;
        }
    }
}

impl Authority {
    /// The first host counts, and the last method.
    fn note(&mut self, what: What, value: &[u8]) {
        match what {
            What::Authority if self.value.is_empty() => self.value = value.to_vec(),
            What::Method => self.connect = value == b"CONNECT",
            What::Authority | What::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &str) -> Result<Option<Authority>, Broken> {
        Ok(Some(Authority { value: host.into(), connect: false }))
    }

    #[test]
    fn the_requests_of_rfc_7541_appendix_c_are_read() {
        // C.3 and C.4: three requests, with and without Huffman coding; the second and the third
        // refer to the authority of the first.
        let plain: [&[u8]; 3] = [
            b"\x82\x86\x84\x41\x0fwww.example.com",
            b"\x82\x86\x84\xbe\x58\x08no-cache",
            b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value",
        ];
        let coded: [&[u8]; 3] = [
            b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
            b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf",
            b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf",
        ];
        for blocks in [plain, coded] {
            let mut table = Table::default();
            // Sizes as the examples state them.
            for (block, size) in blocks.into_iter().zip([57, 110, 164]) {
                assert_eq!(table.read(block), asked("www.example.com"));
                assert_eq!(table.size, size);
            }
        }
    }

    #[test]
    fn entries_go_by_size_as_the_responses_of_rfc_7541_appendix_c6_show() {
        let mut table = Table { most: 256, ..Table::default() };
        for (block, size, entries) in [
            (
                &b"\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b\x61\x96\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\
                \x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff\x6e\x91\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\
                \xae\x43\xd3"[..],
                222,
                4,
            ),
            (b"\x48\x83\x64\x0e\xff\xc1\xc0\xbf", 222, 4),
            (
                b"\x88\xc1\x61\x96\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x84\xa6\x2d\x1b\xff\
                \xc0\x5a\x83\x9b\xd9\xab\x77\xad\x94\xe7\x82\x1d\xd7\xf2\xe6\xc7\xb3\x35\xdf\xdf\xcd\x5b\x39\x60\xd5\xaf\
                \x27\x08\x7f\x36\x72\xc1\xab\x27\x0f\xb5\x29\x1f\x95\x87\x31\x60\x65\xc0\x03\xed\x4e\xe5\xb1\x06\x3d\x50\x07",
                215,
                3,
            ),
        ] {
            assert_eq!(table.read(block), Ok(None));
            assert_eq!((table.size, table.entries.len()), (size, entries));
        }
    }

    #[test]
    fn what_breaks_the_rules_is_told_and_the_table_is_bounded() {
        for block in [&b"\xbe"[..], b"\x80", b"\x41\x0fwww", b"\x3f\xff\xff\x7f", b"\x41\x84\xff\xff\xff\xff"] {
            assert_eq!(Table::default().read(block), Err(Broken), "{block:?}");
        }
        // The end of a string within one, at any place, and with much behind it.
        for (before, behind) in [(0, 100), (1, 8), (3, 60), (20, 4)] {
            let coded = [vec![0x18; before], vec![0xff; behind]].concat();
            let block = [&[0x41, 0x80 | coded.len() as u8], &coded[..]].concat();
            assert_eq!(Table::default().read(&block), Err(Broken), "{block:?}");
        }
        // A table larger than those that are followed.
        assert_eq!(Table::default().read(b"\x3f\xe1\xff\x03"), Ok(None));
        assert_eq!(Table::default().read(b"\x3f\xe2\xff\x03"), Err(Broken));
        let mut table = Table::default();
        for n in 0..10_000_u32 {
            let block = [&b"\x40\x04"[..], &n.to_be_bytes(), b"\x00"].concat();
            table.read(&block).unwrap();
            assert!(table.size <= DEFAULT_TABLE && table.entries.len() <= DEFAULT_TABLE / ENTRY);
        }
        // A field that is larger than the table empties it.
        let huge = [&b"\x40\x01a\x7f\xa1\x1f"[..], &[b'x'; 4_128]].concat();
        assert_eq!(table.read(&huge), Ok(None));
        assert!(table.entries.is_empty());
    }
}
