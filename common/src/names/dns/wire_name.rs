//! Names inside a message: labels and compression pointers (RFC 1035 sections 3.1 and 4.1.4).

use super::super::Name;
use super::super::name::{CHUNK, MAX_WIRE, ROOM};
use std::fmt;

/// Most compression pointers in one name. A name has at most 127 labels, and no compressor needs
/// more than one pointer for each; without the bound a chain of pointers to pointers costs
/// thousands of steps for each record.
const MAX_POINTERS: usize = 127;

/// What reading a name costs beside its labels and pointers.
const NAME_COST: usize = 32;

/// What following one label or pointer costs beside its bytes.
const STEP_COST: usize = 8;

/// Work that may still be spent on the names of a message, in units of about a nanosecond: one for
/// each byte, 8 for each label and pointer, 32 for each name. Compression lets two bytes stand for
/// 127 labels, so the length of the message bounds nothing.
#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// 65,536 units: some 650 ordinary names. For what is read once.
    pub(super) fn small() -> Self {
        Self(65_536)
    }

    /// 262,144 units: 2,700 ordinary names. As many fit into 64 KiB, if records that share an owner
    /// count once.
    pub(super) fn large() -> Self {
        Self(262_144)
    }

    fn spend(&mut self, cost: usize) -> Option<()> {
        self.0 = self.0.saturating_sub(cost);
        (self.0 > 0).then_some(())
    }
}

/// A name without compression: each label after its length, lower-case, without the root's zero.
/// Its place is used again for the next name: to hand 256 bytes from one function to the next costs
/// as much as reading them.
pub(super) struct WireName {
    len: usize,
    /// Whole chunks; what lies behind `len` is of no meaning.
    bytes: [u8; ROOM],
}

impl Default for WireName {
    fn default() -> Self {
        Self { len: 0, bytes: [0; ROOM] }
    }
}

impl WireName {
    /// Reads the name at `at` in place of the one before. Gives where the bytes after it begin.
    ///
    /// `None` if it is cut, longer than 255 bytes, has a label type other than 00 and 11, or a
    /// pointer that does not lead to before the part of the name that holds it; or if `budget` was
    /// spent before.
    pub(super) fn read(&mut self, message: &[u8], at: usize, budget: &mut Budget) -> Option<usize> {
        let mut cost = NAME_COST;
        let end = self.follow(message, at, &mut cost);
        // One name costs little, however it is made: it is paid for in one go.
        budget.spend(cost)?;
        end
    }

    fn follow(&mut self, message: &[u8], at: usize, cost: &mut usize) -> Option<usize> {
        self.len = 0;
        let (mut part, mut at, mut end) = (at, at, None);
        let mut pointers = 0;
        loop {
            let first = *message.get(at)?;
            *cost += STEP_COST + usize::from(first & 0x3f);
            match first {
                0 => break,
                1..=63 if at - part <= MAX_WIRE => at += usize::from(first) + 1,
                0xc0.. => {
                    let second = *message.get(at + 1)?;
                    self.push(message.get(part..at)?)?;
                    end = end.or(Some(at + 2));
                    at = pointer(first, second);
                    pointers += 1;
                    if at >= part || pointers > MAX_POINTERS {
                        return None;
                    }
                    part = at;
                }
                _ => return None,
            }
        }
        self.push(message.get(part..at)?)?;
        // Length bytes are at most 63 and thus no letters.
        for chunk in self.bytes.as_chunks_mut::<CHUNK>().0.iter_mut().take(self.len.div_ceil(CHUNK)) {
            chunk.make_ascii_lowercase();
        }
        Some(end.unwrap_or(at + 1))
    }

    /// Adds labels, each after its length byte.
    fn push(&mut self, labels: &[u8]) -> Option<()> {
        let end = self.len + labels.len();
        if end > MAX_WIRE {
            return None;
        }
        self.bytes.get_mut(self.len..end)?.copy_from_slice(labels);
        self.len = end;
        Some(())
    }

    /// The bytes that tell names apart.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// The presentation form.
    pub(super) fn to_name(&self) -> Name {
        name_from(self.as_bytes())
    }
}

impl fmt::Debug for WireName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_name().fmt(f)
    }
}

/// The presentation form of what [`WireName::as_bytes`] gave.
pub(super) fn name_from(bytes: &[u8]) -> Name {
    Name::from_wire(bytes).unwrap_or_else(|| Name::from_labels(labels(bytes)))
}

/// The labels of what [`WireName::as_bytes`] gave.
pub(super) fn labels(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (len, tail) = rest.split_first()?;
        let (label, tail) = tail.split_at_checked(usize::from(*len))?;
        rest = tail;
        Some(label)
    })
}

/// Where the bytes after the name at `at` begin; pointers are not followed. `None` where the name
/// does not end within 255 bytes, or has a label type that says nothing about its length.
pub(super) fn skip(message: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    while end - at <= MAX_WIRE {
        match *message.get(end)? {
            0 => return Some(end + 1),
            len @ 1..=63 => end += usize::from(len) + 1,
            0xc0.. => return message.get(end + 1).map(|_| end + 2),
            _ => return None,
        }
    }
    None
}

/// Where a bare pointer at `at` leads; `None` if something else is there.
pub(super) fn pointer_at(message: &[u8], at: usize) -> Option<usize> {
    let first = *message.get(at).filter(|b| **b >= 0xc0)?;
    Some(pointer(first, *message.get(at + 1)?))
}

fn pointer(first: u8, second: u8) -> usize {
    usize::from(u16::from_be_bytes([first & 0x3f, second]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &[u8], at: usize) -> Option<(String, usize)> {
        let mut name = WireName::default();
        name.read(message, at, &mut Budget::small()).map(|end| (name.to_name().as_str().to_owned(), end))
    }

    /// The example of RFC 1035 section 4.1.4: F.ISI.ARPA at 20, FOO.F.ISI.ARPA at 40, ARPA at 64,
    /// the root at 92.
    fn rfc_1035_example() -> Vec<u8> {
        let mut message = vec![0; 93];
        message[20..32].copy_from_slice(b"\x01F\x03ISI\x04ARPA\x00");
        message[40..46].copy_from_slice(b"\x03FOO\xc0\x14");
        message[64..66].copy_from_slice(b"\xc0\x1a");
        message
    }

    #[test]
    fn the_names_of_the_standards_example_are_read() {
        let message = rfc_1035_example();
        assert_eq!(read(&message, 20), Some(("f.isi.arpa".into(), 32)));
        assert_eq!(read(&message, 40), Some(("foo.f.isi.arpa".into(), 46)));
        assert_eq!(read(&message, 64), Some(("arpa".into(), 66)));
        assert_eq!(read(&message, 92), Some((".".into(), 93)));
        assert_eq!(skip(&message, 40), Some(46));
        assert_eq!(pointer_at(&message, 64), Some(26));
        assert_eq!(pointer_at(&message, 40), None);
    }

    #[test]
    fn pointers_lead_backwards_or_nowhere() {
        assert_eq!(read(&[0xc0, 0], 0), None); // to itself
        assert_eq!(read(&[0xc0, 2, 0xc0, 0], 0), None); // to one another
        assert_eq!(read(b"\x01a\xc0\x00", 0), None); // to its own beginning
        assert_eq!(read(b"\xc0\x02\x00", 0), None); // forwards
        assert_eq!(read(b"\x40a\x00", 0), None); // label type 01 (RFC 6891 section 5)
        assert_eq!(read(b"\x03ab", 0), None); // cut
        assert_eq!(skip(b"\x03ab", 0), None);
    }

    #[test]
    fn a_name_of_255_bytes_is_read_and_a_longer_one_is_not() {
        let label = [&[63][..], &[b'a'; 63]].concat();
        let last = |n: usize| [&[n as u8][..], &vec![b'b'; n], &[0]].concat();
        let longest = [label.repeat(3), last(61)].concat();
        assert_eq!(longest.len(), 255);
        assert!(read(&longest, 0).is_some());
        assert_eq!(skip(&longest, 0), Some(255));
        let too_long = [label.repeat(3), last(62)].concat();
        assert_eq!(read(&too_long, 0), None);
    }

    #[test]
    fn a_chain_of_pointers_ends_at_the_bound() {
        let mut message = b"\x01a\x00".to_vec();
        message.extend(b"\xc0\x00");
        for at in (3..600_u16).step_by(2) {
            message.extend((0xc000 | at).to_be_bytes());
        }
        assert!(read(&message, 3 + 2 * (MAX_POINTERS - 1)).is_some());
        assert_eq!(read(&message, 3 + 2 * MAX_POINTERS), None);
    }
}
