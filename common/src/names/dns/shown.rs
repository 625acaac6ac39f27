//! Names that messages held lately, as they are shown: who asks for a name mostly asks again, and
//! others do. What is told again and again is kept once, however many remember it.

use super::super::Name;
use super::wire_name;

/// Names kept: each has one place, and the latest has it. A network of some dozens of devices asks
/// for some thousands.
const PLACES: usize = 4_096;

/// The latest names, by the hash of their bytes.
#[derive(Debug, Default)]
pub(super) struct Shown {
    names: Vec<Option<Name>>,
}

impl Shown {
    /// The presentation form of what [`wire_name::WireName::as_bytes`] gave, and whose hash this
    /// is.
    pub(super) fn name(&mut self, hash: u64, wire: &[u8]) -> Name {
        if self.names.is_empty() {
            self.names = vec![None; PLACES];
        }
        let Some(place) = self.names.get_mut(hash as usize % PLACES) else { return wire_name::name_from(wire) };
        if let Some(name) = place.as_ref().filter(|name| is_shown_as(wire, name.as_str())) {
            return name.clone();
        }
        let name = wire_name::name_from(wire);
        *place = Some(name.clone());
        name
    }
}

/// Whether a name of these labels is shown so. Not told of names that need an escape.
fn is_shown_as(wire: &[u8], shown: &str) -> bool {
    if wire.len() != shown.len().wrapping_add(1) {
        return false;
    }
    let mut rest = shown.as_bytes();
    for label in wire_name::labels(wire) {
        let Some((text, behind)) = rest.split_at_checked(label.len()) else { return false };
        // A dot inside a label is escaped, as a backslash is.
        if text != label || label.iter().any(|byte| matches!(byte, b'.' | b'\\')) {
            return false;
        }
        rest = match behind.split_first() {
            Some((b'.', rest)) => rest,
            Some(_) => return false,
            None => behind,
        };
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(labels: &[&[u8]]) -> Vec<u8> {
        labels.iter().flat_map(|label| std::iter::once(label.len() as u8).chain(label.iter().copied())).collect()
    }

    #[test]
    fn names_that_share_a_place_are_told_apart() {
        let names: [&[&[u8]]; 11] = [
            &[b"a", b"b"],
            &[b"a.b"],
            &[b"ab"],
            &[b"a", b"b", b"c"],
            &[b"a.b", b"c"],
            &[b"a", b"b.c"],
            &[b"a\\", b"b"],
            &[b"a\\.b"],
            &[b"a b"],
            &[b"A"],
            &[],
        ];
        let mut shown = Shown::default();
        for first in names {
            for second in names {
                for labels in [first, second, first] {
                    assert_eq!(shown.name(7, &wire(labels)), Name::from_labels(labels.iter().copied()));
                }
            }
        }
    }

    #[test]
    fn a_name_that_comes_again_is_the_same() {
        let mut shown = Shown::default();
        let bytes = wire(&[b"www", b"example"]);
        let [first, again] = [(); 2].map(|()| shown.name(PLACES as u64 + 3, &bytes));
        assert_eq!(first.as_str(), "www.example");
        assert!(std::ptr::eq(first.as_str(), again.as_str()), "it is kept once");
    }
}
