//! A host name as received, safe to show.

use std::fmt;
use std::sync::Arc;

/// A host name in presentation form: lower-case ASCII, no trailing dot, labels joined by dots. Bytes that are not
/// printable ASCII, backslashes, and dots inside a label are written as `\DDD` or `\.` (RFC 1035 section 5.1), so
/// nothing is lost and no control character survives. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Longest presentation form: 255 bytes on the wire (RFC 1035 section 2.3.4), each at most four characters.
    pub const MAX_LEN: usize = 1020;

    /// A name from DNS labels, in order. No labels give the root, shown as `.`.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut text = Vec::with_capacity(256);
        for (i, label) in labels.into_iter().enumerate() {
            if i > 0 {
                text.push(b'.');
            }
            // Nearly every label is as it is shown.
            match label.iter().all(|b| matches!(b, b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z')) {
                true => text.extend_from_slice(label),
                false => label.iter().for_each(|b| push_escaped(&mut text, *b, true)),
            }
        }
        if text.is_empty() {
            text.push(b'.');
        }
        Self::from_ascii(&text)
    }

    fn from_ascii(text: &[u8]) -> Self {
        Self(str::from_utf8(text).expect("only ASCII was put there").into())
    }

    /// A name from the bytes of an SNI or Host field, in which dots separate labels; trailing dots are dropped.
    /// `None` if nothing is left or it is longer than 255 bytes.
    pub fn from_host(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().rposition(|b| *b != b'.')?;
        let bytes = bytes.get(..=end)?;
        if bytes.len() > 255 {
            return None;
        }
        let mut text = Vec::with_capacity(bytes.len());
        bytes.iter().for_each(|b| push_escaped(&mut text, *b, false));
        Some(Self::from_ascii(&text))
    }

    /// A name already in presentation form, as a segment stores it. `None` if it is empty, too long, or not what
    /// the other constructors can produce.
    pub fn from_presentation(text: &str) -> Option<Self> {
        let ok = !text.is_empty()
            && text.len() <= Self::MAX_LEN
            && text.bytes().all(|b| (0x21..=0x7e).contains(&b) && !b.is_ascii_uppercase());
        ok.then(|| Self(text.into()))
    }

    /// The presentation form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Adds ASCII only. The digits by hand: formatting costs ten times as much, and names may be made of such bytes.
fn push_escaped(text: &mut Vec<u8>, byte: u8, escape_dot: bool) {
    let digit = |value: u8| b'0' + value % 10;
    match byte {
        b'\\' => text.extend_from_slice(b"\\\\"),
        b'.' if escape_dot => text.extend_from_slice(b"\\."),
        0x21..=0x7e => text.push(byte.to_ascii_lowercase()),
        _ => text.extend_from_slice(&[b'\\', digit(byte / 100), digit(byte / 10), digit(byte)]),
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
    fn presentation_form_goes_through_a_segment_unchanged() {
        let name = Name::from_host(b"\xff a\\b").unwrap();
        assert_eq!(Name::from_presentation(name.as_str()), Some(name));
        assert_eq!(Name::from_presentation("A.b"), None);
        assert_eq!(Name::from_presentation("a b"), None);
    }
}
