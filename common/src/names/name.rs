//! A host name as received, safe to show.

use super::host::is_host;
use std::fmt;
use std::sync::Arc;

/// A host name in presentation form: lower-case ASCII, no trailing dot, labels joined by dots.
/// Bytes that are not printable ASCII, backslashes, and dots inside a label are written as `\DDD`
/// or `\.` (RFC 1035 section 5.1), so nothing is lost and no control character survives. Cheap to
/// clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Longest presentation form: 255 bytes on the wire (RFC 1035 section 2.3.4), each at most four
    /// characters.
    pub const MAX_LEN: usize = 1020;

    /// A name from DNS labels, in order. No labels give the root, shown as `.`.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut text = Text::new();
        for (i, label) in labels.into_iter().enumerate() {
            if i > 0 {
                text.push(b".");
            }
            // Nearly every label is as it is shown.
            match label.iter().all(|b| is_plain(*b)) {
                true => text.push(label),
                false => label.iter().for_each(|b| push_escaped(&mut text, *b, true)),
            }
        }
        if text.len == 0 {
            text.push(b".");
        }
        from_ascii(text.as_bytes())
    }

    /// A name from labels, each after its length byte and lower-case, as nearly every name is:
    /// `None` where one holds a byte that needs an escape. What [`Self::from_labels`] would give,
    /// in less time.
    pub(super) fn from_wire(labels: &[u8]) -> Option<Self> {
        let (first, rest) = labels.split_first()?;
        let mut text = [b'a'; ROOM];
        let shown = text.get_mut(..rest.len())?;
        shown.copy_from_slice(rest);
        let (mut dot, mut dots) = (usize::from(*first), 0u8);
        while let Some(place) = shown.get_mut(dot) {
            dot += usize::from(std::mem::replace(place, b'.')) + 1;
            dots = dots.wrapping_add(1);
        }
        // In whole chunks and without an early end, so that the compiler compares many at a time.
        let (mut plain, mut found) = (true, 0u8);
        for chunk in text.as_chunks::<CHUNK>().0.iter().take(rest.len().div_ceil(CHUNK)) {
            for byte in chunk {
                let is_dot = *byte == b'.';
                plain &= is_plain(*byte) | is_dot;
                found = found.wrapping_add(u8::from(is_dot));
            }
        }
        (plain && found == dots).then(|| from_ascii(text.get(..rest.len()).unwrap_or_default()))
    }

    /// A name from the bytes of an SNI or Host field, in which dots separate labels; trailing dots
    /// are dropped. `None` if nothing is left or it is longer than 255 bytes.
    pub fn from_host(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().rposition(|b| *b != b'.')?;
        let bytes = bytes.get(..=end)?;
        if bytes.len() > 255 {
            return None;
        }
        let mut text = Text::new();
        bytes.iter().for_each(|b| push_escaped(&mut text, *b, false));
        Some(from_ascii(text.as_bytes()))
    }

    /// A name already in presentation form, as a segment stores it. `None` if it is empty, too
    /// long, or not what the other constructors can produce.
    pub fn from_presentation(text: &str) -> Option<Self> {
        let ok = !text.is_empty()
            && text.len() <= Self::MAX_LEN
            && text.bytes().all(|b| (0x21..=0x7e).contains(&b) && !b.is_ascii_uppercase());
        ok.then(|| Self(text.into()))
    }

    /// Whether a host can be called so: see `names/host.rs`. What recorders before that check wrote
    /// down may not be.
    pub fn is_host(&self) -> bool {
        is_host(self.0.as_bytes())
    }

    /// The presentation form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Longest name of labels in bytes, each after its length byte, without the root's zero (RFC 1035
/// section 2.3.4: 255 with it).
pub(super) const MAX_WIRE: usize = 254;

/// Bytes of a name that are looked at together: as many as the registers of any processor hold.
pub(super) const CHUNK: usize = 16;

/// Room for the longest name in whole chunks.
pub(super) const ROOM: usize = MAX_WIRE.next_multiple_of(CHUNK);

/// A name on its way, on the stack: only what it needs in the end is allocated.
struct Text {
    len: usize,
    bytes: [u8; Name::MAX_LEN],
}

impl Text {
    fn new() -> Self {
        Self { len: 0, bytes: [0; Name::MAX_LEN] }
    }

    /// Adds ASCII. What is too long for any name is cut.
    fn push(&mut self, ascii: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        room.iter_mut().zip(ascii).for_each(|(place, byte)| *place = *byte);
        self.len += ascii.len().min(room.len());
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

fn from_ascii(text: &[u8]) -> Name {
    Name(str::from_utf8(text).expect("only ASCII was put there").into())
}

/// Shown as it is. Without branches, so that many can be compared at a time.
fn is_plain(byte: u8) -> bool {
    (byte.wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'0') < 10) | (byte == b'-') | (byte == b'_')
}

/// Adds ASCII only. The digits by hand: formatting costs ten times as much, and names may be made
/// of such bytes.
fn push_escaped(text: &mut Text, byte: u8, escape_dot: bool) {
    let digit = |value: u8| b'0' + value % 10;
    match byte {
        b'\\' => text.push(b"\\\\"),
        b'.' if escape_dot => text.push(b"\\."),
        0x21..=0x7e => text.push(&[byte.to_ascii_lowercase()]),
        _ => text.push(&[b'\\', digit(byte / 100), digit(byte / 10), digit(byte)]),
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_are_escaped_and_case_is_folded() {
        let labels: [&[u8]; 2] = [b"A\x1b[0m.x", b"CoM"];
        assert_eq!(Name::from_labels(labels).as_str(), "a\\027[0m\\.x.com");
        assert_eq!(Name::from_host(b"WWW.Example.ORG.").unwrap().as_str(), "www.example.org");
        assert_eq!(Name::from_host(b"..."), None);
        assert_eq!(Name::from_labels([]).as_str(), ".");
    }

    #[test]
    fn the_short_way_gives_the_same_name_or_none() {
        let wire = |labels: &[&[u8]]| -> Vec<u8> {
            labels.iter().flat_map(|label| std::iter::once(label.len() as u8).chain(label.iter().copied())).collect()
        };
        // Labels of 45 to 57 bytes: their lengths look like characters.
        let long = [b'a'; 46];
        let plain: [&[&[u8]]; 4] = [&[b"www", b"example", b"com"], &[b"x"], &[&long, &long, b"a-b_c"], &[&[b'1'; 63]]];
        for labels in plain {
            assert_eq!(Name::from_wire(&wire(labels)), Some(Name::from_labels(labels.iter().copied())));
        }
        for labels in [&[b"a.b".as_slice(), b"com"], &[b"a b", b"com"], &[b"A", b"com"], &[b"a\\", b"com"]] {
            assert_eq!(Name::from_wire(&wire(labels)), None);
        }
        assert_eq!(Name::from_wire(&[]), None);
    }

    #[test]
    fn presentation_form_goes_through_a_segment_unchanged() {
        let name = Name::from_host(b"\xff a\\b").unwrap();
        assert_eq!(Name::from_presentation(name.as_str()), Some(name));
        assert_eq!(Name::from_presentation("A.b"), None);
        assert_eq!(Name::from_presentation("a b"), None);
    }
}
