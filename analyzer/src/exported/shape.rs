//! What the records of a template look like, and reading them (RFC 3954 section 5, RFC 7011
//! section 3.4).

use super::element::Element;
use super::fields::Fields;

/// Fields of a template; the largest that routers send have some 60.
const MAX_FIELDS: u16 = 128;

/// The length in a template that says that each value has its own (RFC 7011 section 7).
const VARIABLE: u16 = u16::MAX;

/// Set in the number of an element that is a vendor's (RFC 7011 section 3.2).
const OF_ENTERPRISE: u16 = 0x8000;

/// First number of a template; lower ones are of sets of templates, or reserved.
pub(super) const FIRST_ID: u16 = 256;

/// The shape of records.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The records tell something of the exporter, and are no flows.
    pub(super) is_options: bool,
    values: Vec<Value>,
    /// Fewest bytes of a record; never 0.
    least: usize,
}

/// A value of a record. Those that nobody looks at are one with their neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Fixed(Element, usize),
    Skipped(usize),
    Variable(Option<Element>),
}

/// What a set of templates says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Records of this number look so from now on.
    Shape(u16, Shape),
    /// Nothing is known of records of this number any more.
    Withdrawn(u16),
    /// What follows is no template, or one that is not taken.
    Refused,
}

/// Reads numbers from the front of bytes.
struct Front<'a>(&'a [u8]);

impl<'a> Front<'a> {
    fn u16(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The length in front of a value that has its own (RFC 7011 section 7).
    fn variable_len(&mut self) -> Option<usize> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        if *first < u8::MAX { Some((*first).into()) } else { self.u16().map(usize::from) }
    }
}

/// Whether a set of this number holds templates, and whether these are of options.
pub(super) fn holds_templates(version: u16, set: u16) -> Option<bool> {
    match (version, set) {
        (9, 0) | (10, 2) => Some(false),
        (9, 1) | (10, 3) => Some(true),
        _ => None,
    }
}

/// What a set of templates says, in its order.
pub(super) fn templates(version: u16, is_options: bool, body: &[u8]) -> Vec<Said> {
    let (mut front, mut said) = (Front(body), Vec::new());
    // What is shorter than the head of a template is padding.
    while front.0.len() >= 4 && front.0.iter().any(|byte| *byte != 0) {
        let one = if version == 9 { v9(&mut front, is_options) } else { ipfix(&mut front, is_options) };
        let is_end = one.is_none();
        said.push(one.unwrap_or(Said::Refused));
        if is_end {
            break;
        }
    }
    said
}

fn v9(front: &mut Front<'_>, is_options: bool) -> Option<Said> {
    let id = front.u16().filter(|id| *id >= FIRST_ID)?;
    let (scopes, count) = match is_options {
        // Lengths in bytes, of four for each field.
        true => (front.u16()? / 4, front.u16()? / 4),
        false => (0, front.u16()?),
    };
    let mut shape = Shaping::new(is_options);
    for nth in 0..scopes.saturating_add(count) {
        let (number, len) = (front.u16()?, front.u16()?);
        // Scopes have numbers of their own. No value has its own length.
        let element = if nth < scopes { None } else { Element::of(number, None) };
        shape.add(element, len, len != VARIABLE);
    }
    Some(shape.done(id))
}

fn ipfix(front: &mut Front<'_>, is_options: bool) -> Option<Said> {
    let id = front.u16()?;
    let count = front.u16()?;
    if count == 0 {
        return Some(Said::Withdrawn(id));
    }
    if id < FIRST_ID {
        return None;
    }
    if is_options {
        // How many of the fields are the scope: they have the same numbers as others.
        front.u16()?;
    }
    let mut shape = Shaping::new(is_options);
    for _ in 0..count {
        let (number, len) = (front.u16()?, front.u16()?);
        let enterprise = if number & OF_ENTERPRISE == 0 { None } else { Some(front.u32()?) };
        shape.add(Element::of(number & !OF_ENTERPRISE, enterprise), len, true);
    }
    Some(shape.done(id))
}

/// A shape while its fields are read.
struct Shaping {
    shape: Shape,
    fields: u16,
    is_good: bool,
}

impl Shaping {
    fn new(is_options: bool) -> Self {
        Self { shape: Shape { is_options, values: Vec::new(), least: 0 }, fields: 0, is_good: true }
    }

    fn add(&mut self, element: Option<Element>, len: u16, is_good: bool) {
        self.fields = self.fields.saturating_add(1);
        self.is_good &= is_good && self.fields <= MAX_FIELDS;
        if !self.is_good {
            return;
        }
        let Shape { values, least, .. } = &mut self.shape;
        let fixed = usize::from(len);
        *least += if len == VARIABLE { 1 } else { fixed };
        match (element, len, values.last_mut()) {
            (_, VARIABLE, _) => values.push(Value::Variable(element)),
            (Some(element), ..) => values.push(Value::Fixed(element, fixed)),
            (None, _, Some(Value::Skipped(before))) => *before += fixed,
            (None, ..) => values.push(Value::Skipped(fixed)),
        }
    }

    fn done(self, id: u16) -> Said {
        if self.is_good && self.shape.least > 0 { Said::Shape(id, self.shape) } else { Said::Refused }
    }
}

impl Shape {
    /// Reads the record at the front of a set into `fields`; gives what follows. `None`: there is
    /// none.
    pub(super) fn read<'a>(&self, body: &'a [u8], fields: &mut Fields) -> Option<&'a [u8]> {
        fields.clear();
        let mut front = Front(body);
        for value in &self.values {
            let (element, len) = match *value {
                Value::Fixed(element, len) => (Some(element), len),
                Value::Skipped(len) => (None, len),
                // An empty one is what an exporter sends for what a flow does not have.
                Value::Variable(element) => (element, front.variable_len()?),
            };
            let bytes = front.bytes(len)?;
            if let Some(element) = element.filter(|_| len > 0) {
                fields.add(element, bytes);
            }
        }
        Some(front.0)
    }

    /// Whether what is left of a set is padding: shorter than any record.
    pub(super) fn is_padding(&self, rest: &[u8]) -> bool {
        rest.len() < self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn shape(said: &[Said]) -> &Shape {
        match said {
            [Said::Shape(_, shape)] => shape,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_vendors_fields_and_empty_values_are_passed_over() {
        // Bytes; field 7 of vendor 9; a text; packets.
        let set = words(&[300, 4, 1, 4, 0x8007, 2, 0, 9, 96, 65_535, 2, 1]);
        let said = templates(10, false, &set);
        let (mut fields, shape) = (Fields::default(), shape(&said));
        let long = [&[0, 0, 0, 6, 9, 9, 255, 1, 44][..], &[b'x'; 300], &[3]].concat();
        let body = [&[0, 0, 0, 5, 9, 9, 0, 7][..], &[0, 0, 0, 4, 9, 9, 1, b'a', 8], &long, &[0, 0]].concat();
        let mut rest = &body[..];
        let mut read = Vec::new();
        while let Some(behind) = shape.read(rest, &mut fields) {
            read.push((fields.number(1), fields.number(2)));
            rest = behind;
        }
        assert_eq!(read, [(Some(5), Some(7)), (Some(4), Some(8)), (Some(6), Some(3))]);
        assert!(shape.is_padding(rest) && !shape.is_padding(&[0; 8]));
    }

    #[test]
    fn templates_are_read_one_behind_the_other_and_padding_is_none() {
        let ids = |said: &[Said]| {
            let id = |said: &Said| match said {
                Said::Shape(id, shape) => (*id, shape.least, shape.is_options),
                Said::Withdrawn(id) => (*id, 0, false),
                Said::Refused => (0, 0, false),
            };
            said.iter().map(id).collect::<Vec<_>>()
        };
        let two = words(&[256, 2, 1, 4, 2, 4, 257, 1, 40_001, 65_535 - 1, 0]);
        assert_eq!(ids(&templates(9, false, &two)), [(256, 8, false), (257, 65_534, false)]);
        // Options of v9 give lengths in bytes; those of IPFIX how many fields, scope included.
        assert_eq!(ids(&templates(9, true, &words(&[258, 4, 8, 1, 4, 34, 4, 35, 1, 0]))), [(258, 9, true)]);
        assert_eq!(ids(&templates(10, true, &words(&[259, 2, 1, 149, 4, 34, 4]))), [(259, 8, true)]);
        assert_eq!(ids(&templates(10, false, &words(&[260, 0, 261, 1, 1, 8]))), [(260, 0, false), (261, 8, false)]);
    }

    #[test]
    fn what_is_no_template_is_refused_and_ends_nothing_but_itself() {
        let many = [&words(&[256, 129])[..], &words(&[1, 4]).repeat(129), &words(&[257, 1, 1, 4])].concat();
        for (version, set, expected) in [
            (10, words(&[256, 2, 1, 4]), 0),         // cut
            (10, words(&[255, 1, 1, 4]), 0),         // a reserved number
            (10, words(&[256, 1, 1, 0]), 0),         // records of no byte
            (9, words(&[256, 1, 1, 65_535]), 0),     // v9 has no variable length
            (10, words(&[256, 1, 0x8001, 4, 0]), 0), // cut within the vendor's number
            (10, many, 1),                           // too many fields, and a good one behind
        ] {
            let said = templates(version, false, &set);
            let good = said.iter().filter(|said| matches!(said, Said::Shape(..))).count();
            assert_eq!((good, said.first()), (expected, Some(&Said::Refused)), "{set:?}");
        }
        assert_eq!(templates(10, false, &[0; 12]), []);
    }
}
