//! Which elements of a record count, whatever protocol brings it.

use netflow_parser::V9Field;
use netflow_parser::variable_versions::ipfix::lookup::{IPFixField, ReverseInformationElement};
use std::collections::HashMap;

/// An information element by its number in the registry of IANA
/// (<https://www.iana.org/assignments/ipfix/ipfix.xhtml>), whose first 127 are those of NetFlow v9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// Of the flow, or of its forward direction.
    Forward(u16),
    /// Of the reverse direction (RFC 5103 section 6.1).
    Reverse(u16),
}

/// Elements that are looked at.
const FORWARD: &[u16] = &[
    1, 2, 4, 6, 7, 8, 10, 11, 12, 21, 22, 23, 24, 27, 28, 34, 48, 50, 56, 57, 58, 60, 61, 85, 86, 150, 151, 152, 153,
    154, 155, 156, 157, 158, 159, 160, 161, 162, 225, 226, 227, 228, 231, 232, 239, 258, 281, 282, 298, 299, 302, 305,
    306, 323, 324, 325,
];

/// Those of the reverse direction.
const REVERSE: &[u16] = &[1, 2, 85, 86];

/// Elements by what the decoder calls them.
#[derive(Debug)]
pub(super) struct Elements {
    v9: HashMap<V9Field, Element>,
    ipfix: HashMap<IPFixField, Element>,
}

impl Elements {
    pub(super) fn new() -> Self {
        let reverse = |n| IPFixField::ReverseInformationElement(ReverseInformationElement::from(n));
        let forward = FORWARD.iter().map(|n| (IPFixField::new(*n, None), Element::Forward(*n)));
        Self {
            v9: FORWARD.iter().map(|n| (V9Field::from(*n), Element::Forward(*n))).collect(),
            ipfix: forward.chain(REVERSE.iter().map(|n| (reverse(*n), Element::Reverse(*n)))).collect(),
        }
    }

    pub(super) fn v9(&self, field: &V9Field) -> Option<Element> {
        self.v9.get(field).copied()
    }

    pub(super) fn ipfix(&self, field: &IPFixField) -> Option<Element> {
        self.ipfix.get(field).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_their_numbers_in_both_protocols_and_directions_stay_apart() {
        let elements = Elements::new();
        assert_eq!(elements.v9(&V9Field::from(225)), Some(Element::Forward(225)));
        assert_eq!(elements.v9(&V9Field::from(89)), None);
        assert_eq!(elements.ipfix(&IPFixField::new(1, None)), Some(Element::Forward(1)));
        assert_eq!(elements.ipfix(&IPFixField::new(1, Some(29_305))), Some(Element::Reverse(1)));
        assert_eq!(elements.ipfix(&IPFixField::new(1, Some(4_242))), None);
        // No two wanted numbers are one field of the decoder.
        assert_eq!(elements.v9.len(), FORWARD.len());
        assert_eq!(elements.ipfix.len(), FORWARD.len() + REVERSE.len());
    }
}
