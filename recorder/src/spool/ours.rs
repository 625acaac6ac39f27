//! Which files of a spool are this recorder's. Decisions only; nothing is opened here.
//!
//! Ours is a segment whose header has our identity, whoever called it what. A file with our suffix
//! and without that is somebody else's (a film that is still being loaded, a segment of another
//! recorder): it is never renamed, removed or counted. All other names are nothing to us.

use crate::rotate::Sealed;
use imon_common::segment::SegmentMark;
use std::collections::BTreeMap;

/// Suffix of an open segment.
pub const PART: &str = ".part";
/// Suffix of a segment that nobody writes any more.
pub const SEALED: &str = ".seg";

/// Our segments by file name. Kept in memory, because in the cage no file can be looked at any
/// more.
#[derive(Debug, Default)]
pub struct Ours(BTreeMap<String, Sealed>);

impl Ours {
    /// Adds one, or says anew what it is.
    pub fn add(&mut self, segment: Sealed) {
        self.0.insert(segment.name.clone(), segment);
    }

    /// Forgets one.
    pub fn forget(&mut self, name: &str) -> Option<Sealed> {
        self.0.remove(name)
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&Sealed> {
        self.0.get(name)
    }

    /// All with this suffix, to be changed.
    pub fn with_suffix_mut(&mut self, suffix: &str) -> impl Iterator<Item = &mut Sealed> {
        self.0.values_mut().filter(move |segment| segment.name.ends_with(suffix))
    }

    /// All with this suffix, by name.
    pub fn with_suffix(&self, suffix: &str) -> impl Iterator<Item = &Sealed> {
        self.0.values().filter(move |segment| segment.name.ends_with(suffix))
    }
}

/// Whether a name has one of our suffixes.
pub fn has_suffix(name: &str) -> bool {
    name.ends_with(PART) || name.ends_with(SEALED)
}

/// What a file with one of our suffixes is, if it is of `recorder`. `begin`: its first
/// [`SegmentMark::LEN_BYTES`] bytes, fewer where it has no more.
///
/// A file that a power cut left empty, full of zeros or with half a header is known by its name
/// alone, which has a part of the identity in it.
pub fn recognize(name: &str, begin: &[u8], recorder: &[u8; 16]) -> Option<SegmentMark> {
    let torn = |name| {
        let is_zero = begin.iter().all(|byte| *byte == 0);
        let is_begun = begin.len() < SegmentMark::LEN_BYTES && begin.starts_with(b"IMONSEG\0");
        let sequence = sequence_in(name, recorder).filter(|_| is_zero || is_begun)?;
        Some(SegmentMark { recorder: *recorder, sequence, boot: [0; 16], monotonic_start_ns: 0 })
    };
    match SegmentMark::of(begin) {
        Some(mark) => (mark.recorder == *recorder).then_some(mark),
        None => torn(name),
    }
}

/// The sequence in a name that this recorder gave: `imon-20261101T093000Z-0a1b2c3d-000012`, with a
/// number behind it where two had the same.
fn sequence_in(name: &str, recorder: &[u8; 16]) -> Option<u64> {
    let stem = name.strip_suffix(PART).or_else(|| name.strip_suffix(SEALED))?;
    let mut fields = stem.split('-');
    let (program, start, id, sequence) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let [a, b, c, d, ..] = recorder;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_ours = program == "imon"
        && start.len() == 16
        && id == format!("{a:02x}{b:02x}{c:02x}{d:02x}")
        && is_number(sequence)
        && fields.next().is_none_or(is_number)
        && fields.next().is_none();
    sequence.parse().ok().filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::segment::{SegmentHeader, SegmentWriter};
    use imon_common::time::UnixNanos;

    const ME: [u8; 16] = [0xa1; 16];

    fn header(recorder: [u8; 16]) -> (String, Vec<u8>) {
        let header = SegmentHeader {
            segment: [1; 16],
            recorder,
            run: [3; 16],
            sequence: 42,
            boot: [7; 16],
            start: UnixNanos(1_790_000_000_000_000_000),
            monotonic_start_ns: 9,
            interface: "eth0".into(),
            ..SegmentHeader::default()
        };
        let mut bytes = SegmentWriter::create(Vec::new(), &header).unwrap().get_ref().clone();
        bytes.truncate(SegmentMark::LEN_BYTES);
        (format!("{}.seg", header.file_stem()), bytes)
    }

    #[test]
    fn ours_is_what_has_our_header_and_our_identity_under_any_name() {
        let (name, mine) = header(ME);
        let (_, others) = header([0xa1, 0xa1, 0xa1, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for name in [name.as_str(), "renamed.seg"] {
            assert_eq!(recognize(name, &mine, &ME).unwrap().sequence, 42);
            // Of another recorder, though the name says otherwise: names have four bytes of the
            // identity.
            assert_eq!(recognize(name, &others, &ME), None);
        }
    }

    #[test]
    fn what_has_no_header_is_ours_only_if_it_has_nothing_and_our_name() {
        let (name, mine) = header(ME);
        let part = name.replace(".seg", ".part");
        for begin in [&[][..], &[0; 152], &[0; 3], &mine[..8], &mine[..151]] {
            assert_eq!(recognize(&part, begin, &ME).unwrap().sequence, 42);
            for name in ["film.part", "empty.part", "notes.seg", "imon-x.part"] {
                assert_eq!(recognize(name, begin, &ME), None, "{name}");
            }
            assert_eq!(recognize(&part, begin, &[0xa2; 16]), None, "another's name");
        }
        for begin in [&b"ftypisom"[..], b"IMON", &[0, 0, 1], &[1; 152]] {
            assert_eq!(recognize(&part, begin, &ME), None, "{begin:?}");
        }
    }

    #[test]
    fn a_name_is_ours_in_our_form_only() {
        let sequence = |stem: &str| sequence_in(&format!("{stem}.seg"), &ME);
        assert_eq!(sequence("imon-20261101T093000Z-a1a1a1a1-000012"), Some(12));
        assert_eq!(sequence("imon-20261101T093000Z-a1a1a1a1-1234567-3"), Some(1_234_567));
        for other in [
            "imon-20261101T093000Z-a1a1a1a2-000012",
            "imon-20261101T093000Z-a1a1a1a1-",
            "imon-20261101T093000Z-a1a1a1a1",
            "imon-20261101T093000Z-a1a1a1a1-00x",
            "imon-20261101T093000Z-a1a1a1a1-12-x",
            "imon-20261101T093000Z-a1a1a1a1-12-1-1",
            "imon--a1a1a1a1-12",
            "",
        ] {
            assert_eq!(sequence(other), None, "{other}");
        }
    }
}
