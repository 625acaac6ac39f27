//! Who this recorder is, over all its runs: kept in the spool, so that a reader can tell its
//! segments from those of others, and see whether one is missing.

use crate::error::Error;
use std::fmt::Write as _;
use std::io;

/// Its file in the spool.
pub const IDENTITY_FILE: &str = "recorder.id";

/// Most bytes that are read of it; it has about 100.
pub const MAX_IDENTITY_BYTES: u64 = 4096;

/// First line of the file: what it is, and the version of its form.
const FIRST_LINE: &str = "imon-recorder 1";

/// A recorder, and where it is in the row of its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Identifies the recorder.
    pub recorder: [u8; 16],
    /// Sequence of its next segment.
    pub sequence: u64,
    /// Its latest segment; zeros if there is none.
    pub before: [u8; 16],
    /// SHA-256 of that segment's bytes; zeros until it is sealed.
    pub before_hash: [u8; 32],
}

impl Identity {
    /// A recorder that has no segment yet.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { recorder: uuid()?, sequence: 0, before: [0; 16], before_hash: [0; 32] })
    }

    /// What [`Self::to_text`] gave. `None` for anything else: the file may have been changed by
    /// anybody who may write there, and after a power cut it may be empty.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != FIRST_LINE {
            return None;
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let recorder = from_hex(field("recorder")?)?;
        let sequence = field("sequence")?.parse().ok()?;
        let before = from_hex(field("before")?)?;
        // Added later, and not there while the segment is open.
        let before_hash = field("sha256").and_then(from_hex).unwrap_or([0; 32]);
        (recorder != [0; 16]).then_some(Self { recorder, sequence, before, before_hash })
    }

    /// The text of the file.
    pub fn to_text(self) -> String {
        let (recorder, before) = (to_hex(&self.recorder), to_hex(&self.before));
        let hash = match self.before_hash {
            [0, ..] if self.before_hash == [0; 32] => String::new(),
            hash => format!("sha256 {}\n", to_hex(&hash)),
        };
        format!("{FIRST_LINE}\nrecorder {recorder}\nsequence {}\nbefore {before}\n{hash}", self.sequence)
    }

    /// The identity when the next segment, which is this one, has been begun.
    pub fn after(self, segment: [u8; 16]) -> Self {
        Self { sequence: self.sequence.saturating_add(1), before: segment, before_hash: [0; 32], ..self }
    }

    /// The identity when its latest segment has been sealed.
    pub fn sealed(self, hash: [u8; 32]) -> Self {
        Self { before_hash: hash, ..self }
    }
}

/// 128 random bits in the form of a UUID of version 4 (RFC 9562 section 5.4).
///
/// # Errors
/// The system has no random numbers.
pub fn uuid() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::System { doing: "cannot get random numbers", source: io::Error::other(e) })?;
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    Ok(bytes)
}

/// Hexadecimal digits, two a byte.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes from two hexadecimal digits each; dashes between them, as a UUID is mostly written, are
/// passed over.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|b| *b != b'-')
        .map(|b| char::from(b).to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()?;
    let pairs: Vec<u8> = digits.chunks_exact(2).filter_map(|pair| Some(pair.first()? << 4 | pair.get(1)?)).collect();
    (digits.len() == 2 * N).then(|| pairs.try_into().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_its_text() {
        let identity = Identity::new().unwrap().after([7; 16]);
        let sealed = identity.sealed([3; 32]);
        for identity in [identity, sealed] {
            assert_eq!(Identity::from_text(&identity.to_text()), Some(identity));
        }
        assert_eq!(sealed.after([8; 16]).before_hash, [0; 32]);
        assert_eq!((identity.sequence, identity.before), (1, [7; 16]));
    }

    #[test]
    fn what_is_no_identity_is_none() {
        let good = Identity::new().unwrap().to_text();
        let zeros = "0".repeat(32);
        for bad in [
            String::new(),
            good.replace("imon-recorder 1", "imon-recorder 2"),
            good.replace("sequence 0", "sequence -1"),
            good.replace("before 0", "before g"),
            good.lines().take(3).collect::<Vec<_>>().join("\n"),
            format!("{FIRST_LINE}\nrecorder {zeros}\nsequence 0\nbefore {zeros}\n"),
        ] {
            assert_eq!(Identity::from_text(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_boot_id_is_read_with_its_dashes() {
        assert_eq!(from_hex::<16>("0b1c2d3e-4f50-6172-8394-a5b6c7d8e9fa").unwrap()[..2], [0x0b, 0x1c]);
        assert_eq!(from_hex::<16>("0b1c"), None);
    }
}
