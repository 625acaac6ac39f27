//! Hellos that are longer than what is kept of a stream: read byte by byte as they come, so that
//! only the field at hand is kept. Key shares of post-quantum groups, ECH and padding before the
//! name make them so.

use super::{CHANGE_CIPHER_SPEC, CLIENT_HELLO, HANDSHAKE, MAX_EXTENSIONS, SERVER_NAME, finish, server_name};
use crate::cursor::Cursor;
use crate::names::NameKind;
use crate::names::host::Host;
use crate::names::look::Look;

/// Longest `server_name` extension read: a name of 253 bytes, and another type or two beside it.
const MAX_NAME: usize = 1024;

/// What comes next in the message (RFC 8446 section 4.1.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Field {
    #[default]
    MessageHead,
    /// Version and random are passed over, then the length of what is passed over next.
    SessionLen,
    CiphersLen,
    CompressionsLen,
    ExtensionsLen,
    ExtensionHead,
    ServerName(usize),
}

impl Field {
    fn len(self) -> usize {
        match self {
            Self::SessionLen | Self::CompressionsLen => 1,
            Self::CiphersLen | Self::ExtensionsLen => 2,
            Self::MessageHead | Self::ExtensionHead => 4,
            Self::ServerName(len) => len,
        }
    }
}

/// A ClientHello as far as it has come, in records.
#[derive(Debug, Default)]
pub(in crate::names) struct LongHello {
    /// The header of a record, while it is not complete.
    record: Vec<u8>,
    /// Bytes of the record that are to come, and whether they are of the message.
    record_left: usize,
    is_message: bool,
    /// Bytes of the message that are to come, once its header was read.
    left: Option<usize>,
    /// Bytes to pass over before the field.
    skip: usize,
    field: Field,
    /// What is there of the field.
    bytes: Vec<u8>,
    extensions: usize,
}

impl LongHello {
    /// Reads the next bytes of the stream, the first ones first. [`Look::More`] while the name has
    /// not come; [`Look::No`] where it breaks off.
    pub(in crate::names) fn read(&mut self, mut stream: &[u8]) -> Look {
        while !stream.is_empty() {
            if self.record_left == 0 {
                let (head, rest) = stream.split_at(stream.len().min(5_usize.saturating_sub(self.record.len())));
                self.record.extend_from_slice(head);
                stream = rest;
                let Some([kind, _, _, high, low]) = self.record.first_chunk().copied() else { break };
                self.record.clear();
                self.record_left = u16::from_be_bytes([high, low]).into();
                self.is_message = kind == HANDSHAKE;
                if !self.is_message && kind != CHANGE_CIPHER_SPEC {
                    return Look::No;
                }
                continue;
            }
            let (body, rest) = stream.split_at(stream.len().min(self.record_left));
            self.record_left -= body.len();
            stream = rest;
            if self.is_message
                && let Some(look) = self.message(body)
            {
                return look;
            }
        }
        Look::MORE
    }

    fn message(&mut self, mut body: &[u8]) -> Option<Look> {
        while !body.is_empty() {
            let most = body.len().min(self.left.unwrap_or(usize::MAX));
            let (passed, is_whole) = if self.skip > 0 {
                let passed = most.min(self.skip);
                self.skip -= passed;
                (passed, false)
            } else {
                let passed = most.min(self.field.len().saturating_sub(self.bytes.len()));
                self.bytes.extend_from_slice(body.get(..passed).unwrap_or_default());
                (passed, self.bytes.len() >= self.field.len())
            };
            body = body.get(passed..).unwrap_or_default();
            self.left = self.left.map(|left| left - passed);
            if is_whole && let Some(look) = self.next_field() {
                return Some(look);
            }
            if self.left == Some(0) {
                return Some(Look::Nameless);
            }
        }
        None
    }

    /// The field is complete: what comes behind it.
    fn next_field(&mut self) -> Option<Look> {
        let bytes = std::mem::take(&mut self.bytes);
        let mut at = Cursor::new(&bytes);
        (self.field, self.skip) = match self.field {
            Field::MessageHead if at.u8()? != CLIENT_HELLO => return Some(Look::No),
            Field::MessageHead => {
                self.left = Some(at.be_u24()? as usize);
                (Field::SessionLen, 2 + 32)
            }
            Field::SessionLen => (Field::CiphersLen, at.u8()?.into()),
            Field::CiphersLen => (Field::CompressionsLen, at.be_u16()?.into()),
            Field::CompressionsLen => (Field::ExtensionsLen, at.u8()?.into()),
            // The hello's own length ends them.
            Field::ExtensionsLen => (Field::ExtensionHead, 0),
            Field::ExtensionHead => {
                let (kind, len) = (at.be_u16()?, at.be_u16()?.into());
                self.extensions += 1;
                match kind {
                    _ if self.extensions > MAX_EXTENSIONS => return Some(Look::No),
                    SERVER_NAME if (1..=MAX_NAME).contains(&len) => (Field::ServerName(len), 0),
                    _ => (Field::ExtensionHead, len),
                }
            }
            Field::ServerName(_) => {
                if let Some(host @ (Host::Name(_) | Host::Not)) = server_name(&bytes) {
                    return Some(finish(Some(host), false, None, NameKind::Sni));
                }
                (Field::ExtensionHead, 0)
            }
        };
        None
    }

    /// Bytes of memory held.
    pub(in crate::names) fn memory(&self) -> usize {
        size_of::<Self>() + self.record.capacity() + self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hello_with, in_records, named, sni};
    use super::*;
    use proptest::prelude::*;

    fn in_pieces(stream: &[u8], size: usize) -> Look {
        let mut hello = LongHello::default();
        let looks = stream.chunks(size).map(|piece| {
            let look = hello.read(piece);
            assert!(hello.bytes.len() <= MAX_NAME);
            look
        });
        looks.into_iter().find(|look| *look != Look::MORE).unwrap_or(Look::MORE)
    }

    /// An extension that is as long as one can be.
    fn long(kind: u16) -> (u16, Vec<u8>) {
        (kind, vec![0; 60_000])
    }

    #[test]
    fn a_name_behind_much_else_is_found_whatever_the_pieces() {
        for (message, found) in [
            (hello_with(&[long(51), sni("a.example"), long(21)]), named("a.example")),
            (hello_with(&[sni("a.example"), long(51)]), named("a.example")),
            (hello_with(&[long(51), sni(""), (10, vec![]), sni("b.example:443")]), named("b.example")),
            (hello_with(&[long(51), sni("{x}")]), Look::NotAHost),
            (hello_with(&[long(51), long(21)]), Look::Nameless),
            (hello_with(&[long(51), (0, vec![7; 60_000]), sni("a.example")]), named("a.example")),
        ] {
            for (records, pieces) in [(16_384, 1_460), (16_384, 65_535), (1, 7), (3_000, 1), (9, 4_096)] {
                let stream = in_records(&message, records);
                assert_eq!(in_pieces(&stream, pieces), found, "records of {records} in pieces of {pieces}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_stay_within_the_bounds(pieces in prop::collection::vec(
            prop::collection::vec(prop_oneof![Just(0_u8), Just(22), Just(1), any::<u8>()], 0..200), 0..40)) {
            let mut hello = LongHello::default();
            for piece in &pieces {
                hello.read(piece);
                prop_assert!(hello.bytes.len() <= MAX_NAME && hello.record.len() <= 5);
            }
        }
    }
}
