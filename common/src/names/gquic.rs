//! The server name in the hello of Google's own QUIC (versions Q024 to Q050), whose messages are
//! tag-value maps.
//!
//! Source: the QUIC Crypto document and the wire layout specification of Chromium. Up to Q046 the
//! hello is sent in clear behind a hash; in Q050 it is in protected Initials, which `quic` opens.

use super::NameKind;
use super::host::Host;
use super::look::Look;
use crate::cursor::Cursor;

/// Most tags in a hello; Chrome sends about 25, the protocol allows 128.
const MAX_TAGS: usize = 128;
/// Where the hello starts at the latest: public header, hash, stream frame header and room for an
/// ACK frame.
const MAX_HELLO_AT: usize = 96;

/// Whether a datagram is a client's, of a version in clear.
pub(super) fn is_sign(datagram: &[u8]) -> bool {
    let is_version = |v: Option<&[u8]>| matches!(v, Some([b'Q', b'0', b'2'..=b'4', b'0'..=b'9']));
    match datagram.first() {
        // Q044 to Q046: a long header.
        Some(0x80..) => is_version(datagram.get(1..5)),
        // Before: public flags with the version bit, then the connection id if its bit is set.
        Some(flags) if flags & 0x01 != 0 && flags & 0xc0 == 0 => {
            let at = if flags & 0x08 != 0 { 9 } else { 1 };
            is_version(datagram.get(at..at + 4))
        }
        _ => false,
    }
}

/// Looks for the hello in a datagram for which [`is_sign`] holds.
pub(super) fn look(datagram: &[u8]) -> Look {
    let head = datagram.get(..MAX_HELLO_AT.min(datagram.len())).unwrap_or_default();
    match head.windows(4).position(|w| w == b"CHLO").and_then(|i| datagram.get(i..)) {
        // What is missing of a hello longer than its packet is not waited for: the client sends
        // another one, or the same again, before it has keys.
        Some(message) => match client_hello(message) {
            Look::Nameless | Look::More { .. } => Look::No,
            found => found,
        },
        None => Look::No,
    }
}

/// Reads a hello from its tag `CHLO` on.
pub(super) fn client_hello(message: &[u8]) -> Look {
    match server_name(message) {
        Some(Host::Name(name)) => Look::Name(NameKind::Quic, name),
        Some(Host::Not) => Look::NotAHost,
        Some(Host::Empty) => Look::Nameless,
        None => Look::MORE,
    }
}

/// The value of the tag `SNI`. `None` where the bytes end before it is known.
fn server_name(message: &[u8]) -> Option<Host> {
    let mut at = Cursor::new(message);
    at.skip(4)?;
    let count = usize::from(at.le_u16()?).min(MAX_TAGS);
    at.skip(2)?;
    let mut tags = Cursor::new(at.rest());
    let mut start = 0;
    for _ in 0..count {
        let (tag, end) = (tags.array::<4>()?, tags.le_u32()? as usize);
        if tag == *b"SNI\0" {
            let value = at.rest().get(count * 8..)?.get(start..)?.get(..end.checked_sub(start)?)?;
            return Some(Host::of(value));
        }
        start = end;
    }
    Some(Host::Empty)
}

#[cfg(test)]
mod tests {
    use super::super::Name;
    use super::*;

    /// A hello with padding before the name, as Chrome sends it.
    fn hello(host: &str) -> Vec<u8> {
        let mut message = b"CHLO\x03\0\0\0PAD\0".to_vec();
        message.extend(500_u32.to_le_bytes());
        message.extend(b"SNI\0");
        message.extend((500 + host.len() as u32).to_le_bytes());
        message.extend(b"VER\0");
        message.extend((504 + host.len() as u32).to_le_bytes());
        message.extend([b'-'; 500]);
        message.extend(host.as_bytes());
        message.extend(b"Q043");
        message
    }

    fn named(host: &str) -> Look {
        Look::Name(NameKind::Quic, Name::from_host(host.as_bytes()).unwrap())
    }

    #[test]
    fn hellos_in_clear_yield_their_name() {
        let message = hello("play.google.com");
        let stream = [&[0xa4, 1, 0, 2][..], &message].concat();
        let q043 = [&[0x09][..], &[7; 8], b"Q043", &[1], &[0; 12], &stream].concat();
        let q046 = [&[0xc3][..], b"Q046", &[0x50], &[7; 8], &[0, 0, 0, 1], &[0; 12], &stream].concat();
        for datagram in [q043, q046] {
            assert!(is_sign(&datagram));
            assert_eq!(look(&datagram), named("play.google.com"));
            for cut in 0..datagram.len() - 4 {
                assert!(!matches!(look(&datagram[..cut]), Look::Name(..)));
            }
        }
    }

    #[test]
    fn what_no_host_is_called_is_no_name() {
        assert_eq!(client_hello(&hello("a b/c")), Look::NotAHost);
        assert_eq!(client_hello(&hello("play.google.com:443")), named("play.google.com"));
    }

    #[test]
    fn a_hello_without_the_tag_is_nameless() {
        assert_eq!(client_hello(b"CHLO\x01\0\0\0VER\0\x04\0\0\0Q050"), Look::Nameless);
        assert_eq!(client_hello(b"CHLO\x01\0\0\0SNI\0\xff\xff\xff\xff"), Look::MORE);
    }

    #[test]
    fn other_datagrams_are_no_gquic() {
        for bytes in [&b""[..], b"\x09", b"\xc3Q050", b"\x01\x00\x00\x00\x00\x00", b"\x0dabcdefghT051"] {
            assert!(!is_sign(bytes));
        }
    }
}
