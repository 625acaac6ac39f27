//! What may stand in a stream before the message that names: openings of proxies and databases.
//!
//! Where the sender waits for an answer before the hello, the hello starts a TCP segment and
//! nothing here is needed; these are the openings after which it may follow at once, or that name a
//! host themselves.

use super::host::Host;
use super::look::Look;
use super::tls;
use crate::cursor::Cursor;

/// Longest SOCKS4 user id believed. Nothing bounds it in the protocol; identifiers of users are
/// short.
const MAX_USER_ID: usize = 255;
/// Longest PROXY line, its end included (PROXY protocol, section 2.1).
const MAX_PROXY_LINE: usize = 107;
/// PROXY protocol, section 2.2.
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Looks at a stream from what may be the first byte of an opening.
pub(super) fn look(stream: &[u8]) -> Look {
    if let Some(len) = socks_reply(stream) {
        return Look::Wrapper { len, host: Host::Empty, relay: true };
    }
    let known = match stream.first() {
        Some(0) => postgres(stream),
        Some(1) => socks5_login(stream),
        Some(4) => socks4(stream),
        Some(5) => socks5(stream),
        Some(0x0d) => proxy_v2(stream),
        Some(0x12) => tds(stream),
        Some(0x20) => mysql(stream),
        Some(b'P') => proxy_v1(stream),
        _ => None,
    };
    // A PROXY header is put before a stream by the server's own side, and the openings of databases
    // ask for no host.
    let relay = matches!(stream.first(), Some(1 | 4 | 5));
    match known {
        Some((len, host)) => Look::Wrapper { len, host, relay },
        None if begins_request(stream) => Look::MORE,
        None => Look::No,
    }
}

/// Whether a request of SOCKS that names a host goes on behind these bytes. It is waited for: the
/// name may stand in the next TCP segment.
fn begins_request(stream: &[u8]) -> bool {
    let mut at = Cursor::new(stream);
    match stream {
        [5, ..] => {
            let greeting = socks5_greeting(&mut at).map(|()| at.rest());
            let cut = |request: &[u8]| match request {
                [5, 1..=3, 0, 3] => true,
                [5, 1..=3, 0, 3, len, host @ ..] => {
                    host.len() < usize::from(*len) + 2 && host.iter().take((*len).into()).all(u8::is_ascii_graphic)
                }
                _ => false,
            };
            cut(stream) || greeting.is_some_and(cut)
        }
        // The port; an address that says that a name follows; user and name.
        [4, 1 | 2, _, _, 0, 0, 0, 1..=255, rest @ ..] => {
            let ends = rest.iter().filter(|b| **b == 0).count();
            ends < 2 && rest.len() <= 2 * MAX_USER_ID && rest.iter().all(|b| *b == 0 || b.is_ascii_graphic())
        }
        _ => false,
    }
}

type Opening = Option<(usize, Host)>;

/// SSLRequest or GSSENCRequest of PostgreSQL (protocol 3, message formats).
fn postgres(stream: &[u8]) -> Opening {
    matches!(stream, [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f | 0x30, ..]).then_some((8, Host::Empty))
}

/// SSLRequest of MySQL: 32 bytes of payload, packet number 1, capability `CLIENT_SSL`; the hello
/// follows unasked.
fn mysql(stream: &[u8]) -> Opening {
    let [0x20, 0, 0, 1, _, flags, ..] = stream else {
        return None;
    };
    let hello_behind = stream.get(36..).is_some_and(|rest| rest.is_empty() || tls::starts_hello(rest));
    (flags & 8 != 0 && hello_behind).then_some((36, Host::Empty))
}

/// A prelogin packet of MS-TDS that carries TLS.
fn tds(stream: &[u8]) -> Opening {
    stream.get(8..).is_some_and(tls::starts_hello).then_some((8, Host::Empty))
}

/// PROXY protocol, version 1.
fn proxy_v1(stream: &[u8]) -> Opening {
    let line = stream.strip_prefix(b"PROXY ")?;
    let end = line.iter().take(MAX_PROXY_LINE).position(|b| *b == b'\n')?;
    Some((6 + end + 1, Host::Empty))
}

/// PROXY protocol, version 2.
fn proxy_v2(stream: &[u8]) -> Opening {
    let mut at = Cursor::new(stream.strip_prefix(PROXY_V2)?);
    at.skip(2)?;
    let len = at.be_u16()?;
    Some((PROXY_V2.len() + 4 + usize::from(len), Host::Empty))
}

/// SOCKS4 and 4a: command, port, address, user id, and in 4a the host.
fn socks4(stream: &[u8]) -> Opening {
    let mut at = Cursor::new(stream);
    at.skip(1)?;
    if !matches!(at.u8()?, 1 | 2) {
        return None;
    }
    at.skip(2)?;
    let address = at.array::<4>()?;
    let user = until_nul(&mut at, MAX_USER_ID)?;
    if !user.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let host = match address {
        [0, 0, 0, 1..=255] => host_name(until_nul(&mut at, 255)?)?,
        _ => Host::Empty,
    };
    Some((stream.len() - at.remaining(), host))
}

/// SOCKS5 (RFC 1928): the greeting, the request, or one behind the other. Each ends the bytes at
/// hand, or a hello or request follows: both are too short to be known by their bytes alone.
fn socks5(stream: &[u8]) -> Opening {
    let mut at = Cursor::new(stream);
    let greeting_len = socks5_greeting(&mut at).map(|()| stream.len() - at.remaining());
    if let Some(len) = greeting_len {
        let request = stream.get(len..).unwrap_or_default();
        if request.is_empty() {
            return Some((len, Host::Empty));
        }
        if let Some((n, host)) = socks5_request(request) {
            return Some((len + n, host));
        }
    }
    socks5_request(stream)
}

fn socks5_greeting(at: &mut Cursor<'_>) -> Option<()> {
    at.skip(1)?;
    let count = at.u8()?;
    let methods = at.take(count.into())?;
    let known = |m: &u8| *m <= 9 || *m >= 0x80;
    (!methods.is_empty() && methods.iter().all(known)).then_some(())
}

/// User and password (RFC 1929), with the request behind it at once: by itself it is too short to
/// be known.
fn socks5_login(stream: &[u8]) -> Opening {
    let mut at = Cursor::new(stream);
    at.skip(1)?;
    for _ in 0..2 {
        let len = at.u8().filter(|len| *len > 0)?;
        at.skip(len.into())?;
    }
    let (len, host) = socks5_request(at.rest())?;
    Some((stream.len() - at.remaining() + len, host))
}

fn socks5_request(stream: &[u8]) -> Opening {
    let mut at = Cursor::new(stream);
    let [5, 1..=3, 0, kind] = at.array()? else {
        return None;
    };
    let host = match kind {
        1 => at.skip(4).map(|()| Host::Empty),
        3 => {
            let len = at.u8()?;
            at.take(len.into()).and_then(host_name)
        }
        4 => at.skip(16).map(|()| Host::Empty),
        _ => None,
    }?;
    at.skip(2)?;
    let ends = at.is_empty() || tls::starts_hello(at.rest()) || at.peek_u8().is_some_and(|b| b.is_ascii_uppercase());
    ends.then_some((stream.len() - at.remaining(), host))
}

/// What a server of SOCKS says when it has connected: whatever pieces the request came in, the flow
/// goes through a relay. Others begin with these bytes as well, so it has to end here.
fn socks_reply(stream: &[u8]) -> Option<usize> {
    let len = match stream {
        [0, 0x5a, ..] => 8, // of SOCKS4: port and address, which say nothing
        [5, 0, 0, 1, ..] => 10,
        [5, 0, 0, 3, len, ..] => 7 + usize::from(*len),
        [5, 0, 0, 4, ..] => 22,
        _ => return None,
    };
    (stream.len() == len).then_some(len)
}

/// The host that a request of SOCKS asks for. Such requests have few signs of their own: what holds
/// no host is none.
fn host_name(bytes: &[u8]) -> Option<Host> {
    Some(Host::of(bytes)).filter(|host| matches!(host, Host::Name(_)))
}

/// The bytes up to a NUL, which is passed over.
fn until_nul<'a>(at: &mut Cursor<'a>, most: usize) -> Option<&'a [u8]> {
    let len = at.rest().iter().take(most + 1).position(|b| *b == 0)?;
    let bytes = at.take(len)?;
    at.skip(1)?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tls::tests::{hello_with, in_records, sni};
    use super::*;

    #[track_caller]
    fn check(opening: &[u8], len: usize, host: Option<&str>) {
        let host = host.map_or(Host::Empty, |h| Host::of(h.as_bytes()));
        let relay = matches!(opening[0], 1 | 4 | 5);
        assert_eq!(look(opening), Look::Wrapper { len, host, relay });
        let hello = in_records(&hello_with(&[sni("a.example")]), 999);
        let together = [opening, &hello].concat();
        assert!(matches!(look(&together), Look::Wrapper { len: n, .. } if n == len), "hello behind it");
    }

    #[test]
    fn openings_are_passed_over_and_tell_their_host() {
        check(&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f], 8, None);
        check(&[&[0x20, 0, 0, 1, 5, 0xae, 0xff, 1][..], &[0; 28]].concat(), 36, None);
        check(b"PROXY TCP4 192.0.2.1 192.0.2.2 5 443\r\n", 38, None);
        check(&[PROXY_V2, &[0x21, 0x11, 0, 12][..], &[0; 12]].concat(), 28, None);
        check(b"\x04\x01\x01\xbb\xc0\x00\x02\x01me\0", 11, None);
        check(b"\x04\x01\x01\xbb\0\0\0\x01\0a.example\0", 19, Some("a.example"));
        check(b"\x05\x01\x00\x03\x09a.example\x01\xbb", 16, Some("a.example"));
        check(b"\x05\x01\x00\x01\xc0\0\x02\x01\x01\xbb", 10, None);
        check(b"\x05\x02\x00\x02\x05\x01\x00\x03\x09a.example\x01\xbb", 20, Some("a.example"));
        assert_eq!(look(b"\x05\x01\x00"), Look::Wrapper { len: 3, host: Host::Empty, relay: true });
    }

    #[test]
    fn a_request_that_names_a_host_is_waited_for() {
        let login = &b"\x01\x04user\x04pass\x05\x01\x00\x03\x09a.example\x01\xbb"[..];
        check(login, 27, Some("a.example"));
        let socks4 = &b"\x04\x01\x01\xbb\0\0\0\x01me\0a.example\0"[..];
        for (opening, from) in
            [(&login[11..], 4), (&b"\x05\x01\x00\x05\x01\x00\x03\x09a.example\x01\xbb"[..], 7), (socks4, 8)]
        {
            for cut in from..opening.len() {
                assert_eq!(look(&opening[..cut]), Look::MORE, "{cut} of {opening:?}");
            }
            assert!(matches!(look(opening), Look::Wrapper { host: Host::Name(_), relay: true, .. }));
        }
        for other in [&b"\x05\x01\x00\x03\x09a b"[..], b"\x04\x01\x01\xbb\0\0\0\x01\xff", b"\x01\x04user\x04pass"] {
            assert_eq!(look(other), Look::No, "{other:?}");
        }
    }

    #[test]
    fn the_reply_of_a_relay_is_known_by_itself() {
        let replies: [&[u8]; 4] = [
            b"\x00\x5a\x01\xbb\xc0\x00\x02\x01",
            b"\x05\x00\x00\x01\xc0\x00\x02\x01\x01\xbb",
            b"\x05\x00\x00\x03\x01a\x01\xbb",
            b"\x05\x00\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xbb",
        ];
        for reply in replies {
            assert_eq!(look(reply), Look::Wrapper { len: reply.len(), host: Host::Empty, relay: true });
            for other in [&reply[..reply.len() - 1], &[reply, &[0]].concat()] {
                assert_eq!(look(other), Look::No, "{other:?}");
            }
        }
    }

    #[test]
    fn tls_inside_tds_is_reached() {
        let hello = in_records(&hello_with(&[sni("sql.example")]), 999);
        let packet = [&[0x12, 1, 0, 0, 0, 0, 0, 0][..], &hello].concat();
        assert_eq!(look(&packet), Look::Wrapper { len: 8, host: Host::Empty, relay: false });
    }

    #[test]
    fn other_bytes_are_no_opening() {
        for bytes in [&b"\x05\x00\x0b\x03"[..], b"\x04\x01", b"PROXY", b"POST / HTTP/1.1", b"\0\0\0\x08abcd", b""] {
            assert_eq!(look(bytes), Look::No);
        }
    }
}
