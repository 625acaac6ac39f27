//! Which elements of a record count, whatever protocol brings it.

/// An information element by its number in the registry of IANA
/// (<https://www.iana.org/assignments/ipfix/ipfix.xhtml>), whose first 127 are those of NetFlow v9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// Of the flow, or of its forward direction.
    Forward(u16),
    /// Of the reverse direction (RFC 5103 section 6.1).
    Reverse(u16),
}

/// Elements that are looked at, by number.
const FORWARD: &[u16] = &[
    1, 2, 4, 6, 7, 8, 10, 11, 12, 21, 22, 23, 24, 27, 28, 34, 48, 50, 56, 57, 58, 60, 61, 85, 86, 150, 151, 152, 153,
    154, 155, 156, 157, 158, 159, 160, 161, 162, 225, 226, 227, 228, 231, 232, 239, 258, 281, 282, 298, 299, 302, 305,
    306, 323, 324, 325,
];

/// Those of the reverse direction.
const REVERSE: &[u16] = &[1, 2, 85, 86];

/// The number under which elements of IANA stand for the reverse direction (RFC 5103 section 6.1).
const REVERSE_ENTERPRISE: u32 = 29_305;

impl Element {
    /// The element that a template names; `enterprise`: whose number it is, where it is not IANA's.
    /// `None`: nobody looks at it.
    pub(super) fn of(number: u16, enterprise: Option<u32>) -> Option<Self> {
        match enterprise {
            None => FORWARD.binary_search(&number).is_ok().then_some(Self::Forward(number)),
            Some(REVERSE_ENTERPRISE) => REVERSE.binary_search(&number).is_ok().then_some(Self::Reverse(number)),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_those_of_iana_and_directions_stay_apart() {
        assert!(FORWARD.is_sorted() && REVERSE.is_sorted());
        assert_eq!(Element::of(225, None), Some(Element::Forward(225)));
        assert_eq!(Element::of(89, None), None);
        assert_eq!(Element::of(1, Some(29_305)), Some(Element::Reverse(1)));
        assert_eq!(Element::of(8, Some(29_305)), None);
        assert_eq!(Element::of(1, Some(4_242)), None, "a vendor's own");
    }
}
