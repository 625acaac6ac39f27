//! Server names in TLS and DTLS hellos.
//!
//! Only the ClientHello is read, and of it only what leads to the name. All functions take the
//! bytes as far as they are known; a hello that was cut gives its name as long as the name lies
//! before the cut.

mod long;

pub(super) use long::LongHello;

use super::host::Host;
use super::look::Look;
use super::{Name, NameKind};
use crate::cursor::Cursor;
use std::borrow::Cow;

/// Handshake message (RFC 8446 section 4).
const CLIENT_HELLO: u8 = 1;
/// Record content type, of TLS and DTLS (RFC 8446 section 5.1, RFC 9147 section 4).
pub(super) const HANDSHAKE: u8 = 22;
/// Record content type: may stand between handshake records (middlebox compatibility, RFC 8446
/// appendix D.4).
const CHANGE_CIPHER_SPEC: u8 = 20;
/// Largest record: 2^14 of text and 2,048 of expansion (RFC 5246 section 6.2.3).
const MAX_RECORD: usize = (1 << 14) + 2048;
/// Largest hello believed. OpenSSL refuses beyond 131,396; what is longer than what we keep cannot
/// be read anyway.
const MAX_HELLO: usize = 2 << 16;
/// Most extensions walked. Browsers send about 20, all that IANA has registered are about 70.
const MAX_EXTENSIONS: usize = 256;

/// Most bytes of a stretch of a hello searched for a name: as long as hellos get, so that hostile
/// ones cost little.
const MAX_STRETCH: usize = 4096;

/// `server_name` (RFC 6066 section 3).
const SERVER_NAME: u16 = 0;

/// Public names under which providers hide the real one. An observer cannot tell a real
/// `encrypted_client_hello` from the GREASE that browsers send beside an ordinary SNI (RFC 9849
/// section 6.2), except by such a name. Only names that serve no site of their own belong here: the
/// name alone then says that the real one is hidden.
const ECH_PUBLIC_NAMES: [&str; 3] = [
    "cloudflare-ech.com", // every site behind Cloudflare
    "cover.defo.ie",      // test sites of the DEfO project
    "public.tls-ech.dev", // test site of Chrome's developers
];

/// Kind of a name found in a hello that would otherwise be `kind`.
fn kind_of(name: &Name, kind: NameKind) -> NameKind {
    if ECH_PUBLIC_NAMES.contains(&name.as_str()) { NameKind::EchOuter } else { kind }
}

/// Looks at a stream from what may be the first byte of a TLS record.
pub(super) fn look(stream: &[u8]) -> Look {
    if is_sslv2_hello(stream) {
        return Look::Nameless;
    }
    match sign(stream) {
        Sign::No => Look::No,
        Sign::TooShort => Look::MORE,
        Sign::Hello => {
            let (message, records_overhead) = handshake_of(stream);
            match client_hello(&message, NameKind::Sni) {
                Look::More { need } => Look::More { need: need.map(|n| n + records_overhead) },
                done => done,
            }
        }
    }
}

/// Whether bytes can be the start of a record with a ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    No,
    TooShort,
    Hello,
}

fn sign(stream: &[u8]) -> Sign {
    // Versions: SSL 3.0 to 1.3 as RFC 8446 section 5.1 has it, and 1.1, which TLCP (GB/T 38636)
    // uses.
    let major = |b| b == 3 || b == 1;
    let minor = |b| b <= 4;
    let fits = |i: usize, test: &dyn Fn(u8) -> bool| stream.get(i).is_none_or(|b| test(*b));
    if !fits(0, &|b| b == HANDSHAKE) || !fits(1, &major) || !fits(2, &minor) || !fits(5, &|b| b == CLIENT_HELLO) {
        return Sign::No;
    }
    let [_, _, _, len_high, len_low, _, message @ ..] = stream else {
        return Sign::TooShort;
    };
    let record_len = usize::from(u16::from_be_bytes([*len_high, *len_low]));
    if !(1..=MAX_RECORD).contains(&record_len) {
        return Sign::No;
    }
    if record_len < 10 {
        return Sign::Hello; // ends within the handshake header: says nothing about what follows
    }
    if !fits(6, &|b| usize::from(b) < MAX_HELLO >> 16) || !fits(9, &major) || !fits(10, &minor) {
        return Sign::No;
    }
    if message.len() < 5 { Sign::TooShort } else { Sign::Hello }
}

/// Whether `bytes` certainly start a ClientHello in a TLS record.
pub(super) fn starts_hello(bytes: &[u8]) -> bool {
    bytes.first() == Some(&HANDSHAKE) && sign(bytes) == Sign::Hello
}

/// Offset of a ClientHello record within the first `within` bytes, behind bytes that mean nothing
/// to us.
pub(super) fn find_hello(bytes: &[u8], within: usize) -> Option<usize> {
    let starts = bytes.get(..within.min(bytes.len()))?.iter().enumerate();
    let mut candidates = starts.filter(|(_, b)| **b == HANDSHAKE).map(|(i, _)| i);
    candidates.find(|i| bytes.get(*i..).is_some_and(|rest| rest.len() > 43 && sign(rest) == Sign::Hello))
}

/// An SSL 2.0 hello that offers SSL 3.0 or later (RFC 5246 appendix E.2): has no extensions, so no
/// name.
fn is_sslv2_hello(stream: &[u8]) -> bool {
    matches!(stream, [len, _, CLIENT_HELLO, 3, 0..=3, 0, ciphers, 0, _, 0, 16..=32, ..]
        if len & 0x80 != 0 && ciphers % 3 == 0 && *ciphers > 0)
}

/// The handshake bytes of the records at the start of `stream`, and how many bytes of record
/// headers were passed.
fn handshake_of(stream: &[u8]) -> (Cow<'_, [u8]>, usize) {
    let mut at = Cursor::new(stream);
    let mut message: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut overhead = 0;
    // Bounded by the stream, of which every turn takes at least five bytes.
    while let (Some(kind), Some(_), Some(len)) = (at.u8(), at.be_u16(), at.be_u16()) {
        overhead += 5;
        let body = at.up_to(len.into());
        match kind {
            HANDSHAKE if message.is_empty() => message = Cow::Borrowed(body),
            HANDSHAKE => message.to_mut().extend_from_slice(body),
            CHANGE_CIPHER_SPEC => overhead += body.len(),
            _ => break,
        }
        if stated_len(&message).is_some_and(|n| message.len() >= n) {
            break;
        }
    }
    (message, overhead)
}

/// Length of the handshake message that starts here, header included.
fn stated_len(message: &[u8]) -> Option<usize> {
    let mut at = Cursor::new(message);
    at.skip(1)?;
    at.be_u24().map(|n| n as usize + 4)
}

/// Reads a ClientHello from its handshake header on (RFC 8446 section 4.1.2; the same bytes in QUIC
/// CRYPTO frames).
///
/// `kind` is what a name found here is, unless it is an ECH provider's public name.
pub(super) fn client_hello(message: &[u8], kind: NameKind) -> Look {
    match message.first() {
        Some(&CLIENT_HELLO) => {}
        Some(_) => return Look::No,
        None => return Look::MORE,
    }
    let Some(need) = stated_len(message) else {
        return Look::MORE;
    };
    if need > MAX_HELLO {
        return Look::No;
    }
    let mut at = Cursor::new(message);
    let mut hello = Cursor::new(at.up_to(need));
    _ = hello.skip(4);
    let found = extensions(&mut hello, false).and_then(|()| walk(&mut hello));
    finish(found, message.len() >= need, Some(need), kind)
}

fn finish(found: Option<Host>, whole: bool, need: Option<usize>, kind: NameKind) -> Look {
    match found {
        Some(Host::Name(name)) => Look::Name(kind_of(&name, kind), name),
        Some(Host::Not) => Look::NotAHost,
        Some(Host::Empty) | None if whole => Look::Nameless,
        Some(Host::Empty) | None => Look::More { need },
    }
}

/// Moves from the hello's version to its first extension. `None` where the bytes end before.
fn extensions(hello: &mut Cursor<'_>, dtls: bool) -> Option<()> {
    hello.skip(2 + 32)?; // version, random
    let session = hello.u8()?;
    hello.skip(session.into())?;
    if dtls {
        let cookie = hello.u8()?; // RFC 6347 section 4.2.1
        hello.skip(cookie.into())?;
    }
    let ciphers = hello.be_u16()?;
    hello.skip(ciphers.into())?;
    let compressions = hello.u8()?;
    hello.skip(compressions.into())?;
    // The stated length of all extensions is not needed: the hello's own ends them.
    hello.skip(2)
}

/// Walks extensions until the name is found.
fn walk(hello: &mut Cursor<'_>) -> Option<Host> {
    for _ in 0..MAX_EXTENSIONS {
        let (kind, len) = (hello.be_u16()?, hello.be_u16()?);
        let body = hello.up_to(len.into());
        if kind == SERVER_NAME
            && let Some(host) = server_name(body)
        {
            return Some(host);
        }
    }
    None
}

/// The first `host_name` of a `server_name` extension (RFC 6066 section 3). A port does not belong
/// there, and comes.
fn server_name(body: &[u8]) -> Option<Host> {
    let mut at = Cursor::new(body);
    at.skip(2)?;
    // The list has one type in use; a few turns pass over any other.
    for _ in 0..4 {
        let (kind, len) = (at.u8()?, at.be_u16()?);
        let name = at.take(len.into())?;
        if kind == 0 {
            return Some(Host::of(name)).filter(|host| *host != Host::Empty);
        }
    }
    None
}

/// Looks for a complete `server_name` extension in a stretch of a hello whose part before is
/// missing, so that the extensions cannot be walked. The extension's, the list's and the name's
/// length must agree and the name must be a host with a dot: other bytes of a hello do not pass
/// that by chance.
pub(super) fn name_in_stretch(bytes: &[u8], kind: NameKind) -> Option<(NameKind, Name)> {
    let bytes = bytes.get(..MAX_STRETCH).unwrap_or(bytes);
    let name = bytes.windows(9).enumerate().find_map(|(i, w)| {
        let [0, 0, e1, e2, l1, l2, 0, n1, n2] = *w else {
            return None;
        };
        let [extension, list, len] = [[e1, e2], [l1, l2], [n1, n2]].map(u16::from_be_bytes);
        if Some(list) != len.checked_add(3) || Some(extension) != list.checked_add(2) {
            return None;
        }
        let host = bytes.get(i + 9..)?.get(..len.into())?;
        if host.contains(&b'.') { Host::of(host).name() } else { None }
    })?;
    Some((kind_of(&name, kind), name))
}

/// One fragment of a DTLS ClientHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DtlsFragment<'a> {
    /// Number of the handshake message: the hello after a HelloVerifyRequest is another one.
    pub(super) message: u16,
    /// Length of the whole message body.
    pub(super) len: usize,
    /// Where in the body this fragment starts.
    pub(super) offset: usize,
    /// Its bytes as captured.
    pub(super) bytes: &'a [u8],
}

/// Most DTLS records looked at in one datagram. A hello in the smallest fragments in use (about 200
/// bytes) and the largest datagram on Ethernet make fewer.
const MAX_DTLS_RECORDS: usize = 16;

/// The ClientHello fragments in the unencrypted records of a datagram (RFC 6347 section 4.2, RFC
/// 9147 section 5).
pub(super) fn dtls_fragments(datagram: &[u8]) -> impl Iterator<Item = DtlsFragment<'_>> {
    let mut at = Cursor::new(datagram);
    std::iter::from_fn(move || dtls_record(&mut at)).take(MAX_DTLS_RECORDS).filter_map(dtls_fragment)
}

/// The body of the next record, if it is one of epoch 0; the body may be cut.
fn dtls_record<'a>(at: &mut Cursor<'a>) -> Option<(u8, &'a [u8])> {
    let kind = at.u8()?;
    // 1.0, 1.2 (and 1.3), and the number that OpenSSL before 0.9.8f used.
    if !(20..=25).contains(&kind) || !matches!(at.be_u16()?, 0xfeff | 0xfefd | 0xfefc | 0x0100) {
        return None;
    }
    if at.be_u16()? != 0 {
        return None;
    }
    at.skip(6)?;
    let len = at.be_u16()?;
    Some((kind, at.up_to(len.into())))
}

fn dtls_fragment((kind, body): (u8, &[u8])) -> Option<DtlsFragment<'_>> {
    let mut at = Cursor::new(body);
    if kind != HANDSHAKE || at.u8()? != CLIENT_HELLO {
        return None;
    }
    let len = at.be_u24()? as usize;
    let message = at.be_u16()?;
    let (offset, fragment_len) = (at.be_u24()? as usize, at.be_u24()? as usize);
    if len > MAX_HELLO || offset.checked_add(fragment_len)? > len {
        return None;
    }
    Some(DtlsFragment { message, len, offset, bytes: at.up_to(fragment_len) })
}

/// Reads the body of a DTLS ClientHello of `len` bytes, of which `body` are the first that are
/// known.
pub(super) fn dtls_client_hello(body: &[u8], len: usize) -> Look {
    let mut hello = Cursor::new(body.get(..len).unwrap_or(body));
    let found = extensions(&mut hello, true).and_then(|()| walk(&mut hello));
    finish(found, body.len() >= len, Some(len), NameKind::Sni)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ClientHello handshake message with these extensions.
    pub(in crate::names) fn hello_with(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.push(0);
        body.extend([0, 2, 0x13, 1, 1, 0]);
        body.extend(extension_block(extensions));
        let mut message = vec![CLIENT_HELLO];
        message.extend(&(body.len() as u32).to_be_bytes()[1..]);
        message.extend(body);
        message
    }

    fn extension_block(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut block = Vec::new();
        for (kind, body) in extensions {
            block.extend(kind.to_be_bytes());
            block.extend((body.len() as u16).to_be_bytes());
            block.extend(body);
        }
        let mut all = (block.len() as u16).to_be_bytes().to_vec();
        all.extend(block);
        all
    }

    /// The `server_name` extension.
    pub(in crate::names) fn sni(host: &str) -> (u16, Vec<u8>) {
        let len = host.len() as u16;
        let mut body = (len + 3).to_be_bytes().to_vec();
        body.push(0);
        body.extend(len.to_be_bytes());
        body.extend(host.as_bytes());
        (SERVER_NAME, body)
    }

    /// A handshake message in records of `size` bytes each.
    pub(in crate::names) fn in_records(message: &[u8], size: usize) -> Vec<u8> {
        let record = |c: &[u8]| [&[22, 3, 1], &(c.len() as u16).to_be_bytes()[..], c].concat();
        message.chunks(size).flat_map(record).collect()
    }

    pub(in crate::names) fn named(host: &str) -> Look {
        Look::Name(NameKind::Sni, Name::from_host(host.as_bytes()).unwrap())
    }

    fn typical(host: &str) -> Vec<u8> {
        hello_with(&[(0x2a2a, vec![]), (43, vec![2, 3, 4]), sni(host), (51, vec![9; 1200]), (0xfe0d, vec![1; 200])])
    }

    #[test]
    fn a_hello_gives_its_name_whatever_the_size_of_its_records() {
        let message = typical("www.Example.org");
        for size in [1, 2, 3, 4, 7, 9, 10, 11, 100, 16_000] {
            assert_eq!(look(&in_records(&message, size)), named("www.example.org"), "records of {size}");
        }
    }

    #[test]
    fn a_hello_cut_anywhere_gives_its_name_or_asks_for_more() {
        let stream = in_records(&typical("www.example.org"), 16_000);
        let name_end = stream.windows(15).position(|w| w == b"www.example.org").unwrap() + 15;
        for cut in 0..stream.len() {
            let got = look(&stream[..cut]);
            if cut < name_end {
                assert!(matches!(got, Look::More { .. }), "cut at {cut}: {got:?}");
            } else {
                assert_eq!(got, named("www.example.org"), "cut at {cut}");
            }
        }
        assert_eq!(look(&stream[..60]), Look::More { need: Some(stream.len()) });
    }

    #[test]
    fn odd_names_are_kept_as_they_are_and_ports_cut_off() {
        for (odd, host) in [
            ("192.0.2.1", "192.0.2.1"),
            ("localhost", "localhost"),
            ("2001:db8::1", "2001:db8::1"),
            ("example.org:443", "example.org"),
            ("[2001:db8::1]:8443", "[2001:db8::1]"),
            ("192.0.2.1:443", "192.0.2.1"),
        ] {
            assert_eq!(look(&in_records(&typical(odd), 16_000)), named(host));
            let quic = client_hello(&typical(odd), NameKind::Quic);
            assert_eq!(quic, Look::Name(NameKind::Quic, Name::from_host(host.as_bytes()).unwrap()));
            let dtls = dtls_hello(odd);
            assert_eq!(dtls_client_hello(&dtls[4..], dtls.len() - 4), named(host));
        }
    }

    #[test]
    fn what_no_host_is_called_is_no_name() {
        for junk in ["{host}", "a b.example", "example.org/", "*.example.org", "https://example.org", "a..b"] {
            assert_eq!(look(&in_records(&typical(junk), 16_000)), Look::NotAHost, "{junk}");
            assert_eq!(client_hello(&typical(junk), NameKind::Quic), Look::NotAHost, "{junk}");
            let dtls = dtls_hello(junk);
            assert_eq!(dtls_client_hello(&dtls[4..], dtls.len() - 4), Look::NotAHost, "{junk}");
            assert_eq!(name_in_stretch(&typical(&format!("{junk}.x"))[40..], NameKind::Sni), None, "{junk}");
        }
        let empty = hello_with(&[sni("")]);
        assert_eq!(client_hello(&empty, NameKind::Sni), Look::Nameless);
    }

    #[test]
    fn a_hello_without_a_name_is_nameless() {
        assert_eq!(client_hello(&hello_with(&[(51, vec![0; 40])]), NameKind::Sni), Look::Nameless);
        // RFC 6066 lets the server's extension be empty; a client that sends it so names nothing.
        assert_eq!(client_hello(&hello_with(&[(SERVER_NAME, vec![])]), NameKind::Sni), Look::Nameless);
        let no_extensions = [&[1, 0, 0, 41, 3, 3], &[7; 32][..], &[0, 0, 2, 0, 5, 1, 0]].concat();
        assert_eq!(client_hello(&no_extensions, NameKind::Sni), Look::Nameless);
        assert_eq!(look(&[0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 16, 0, 0, 4]), Look::Nameless);
    }

    #[test]
    fn ech_is_outer_under_a_known_public_name_and_only_there() {
        let hello = |host: &str, ext: u16| client_hello(&hello_with(&[(ext, vec![1; 9]), sni(host)]), NameKind::Quic);
        let name = |host: &str| Name::from_host(host.as_bytes()).unwrap();
        assert_eq!(hello("cloudflare-ech.com", 0xfe0d), Look::Name(NameKind::EchOuter, name("cloudflare-ech.com")));
        assert_eq!(hello("cloudflare-ech.com", 43), Look::Name(NameKind::EchOuter, name("cloudflare-ech.com")));
        assert_eq!(hello("example.org", 0xfe0d), Look::Name(NameKind::Quic, name("example.org")));
        assert_eq!(hello("example.org", 0xffce), Look::Name(NameKind::Quic, name("example.org")));
    }

    #[test]
    fn other_bytes_are_no_hello() {
        let server = [22, 3, 3, 0, 80, 2, 0, 0, 76, 3, 3];
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[0x17, 3, 3, 1, 0], &[22, 3, 9, 0, 9, 1], &server] {
            assert_eq!(look(bytes), Look::No);
        }
        assert_eq!(client_hello(&[2, 0, 0, 1, 0], NameKind::Sni), Look::No);
    }

    #[test]
    fn a_hello_behind_junk_is_found() {
        let stream = in_records(&typical("a.example"), 16_000);
        let junk = [&[0x16, 1, 2][..], &stream].concat();
        assert_eq!(find_hello(&junk, 64), Some(3));
        assert_eq!(find_hello(&junk, 3), None);
    }

    #[test]
    fn a_stretch_of_a_hello_shows_its_name() {
        let message = typical("a.example");
        let at = message.windows(9).position(|w| w == b"a.example").unwrap();
        let name = Name::from_host(b"a.example").unwrap();
        assert_eq!(name_in_stretch(&message[at - 20..], NameKind::Quic), Some((NameKind::Quic, name)));
        assert_eq!(name_in_stretch(&message[at..], NameKind::Quic), None);
    }

    /// One DTLS record with a fragment of `message` (handshake header as in TLS).
    pub(in crate::names) fn dtls_piece(message: &[u8], number: u16, part: std::ops::Range<usize>) -> Vec<u8> {
        let body = &message[4..];
        let mut fragment = message[..4].to_vec();
        fragment.extend(number.to_be_bytes());
        fragment.extend(&(part.start as u32).to_be_bytes()[1..]);
        fragment.extend(&(part.len() as u32).to_be_bytes()[1..]);
        fragment.extend(&body[part]);
        let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0];
        record.extend((fragment.len() as u16).to_be_bytes());
        record.extend(fragment);
        record
    }

    /// A DTLS ClientHello: as TLS, with a cookie behind the session id.
    pub(in crate::names) fn dtls_hello(host: &str) -> Vec<u8> {
        let mut message = hello_with(&[(43, vec![2, 3, 4]), sni(host)]);
        message.splice(4 + 35..4 + 35, [4, 9, 9, 9, 9]);
        let len = message.len() as u32 - 4;
        message[1..4].copy_from_slice(&len.to_be_bytes()[1..]);
        message
    }

    /// A datagram with a whole DTLS hello.
    pub(crate) fn dtls_datagram(host: &str) -> Vec<u8> {
        let message = dtls_hello(host);
        dtls_piece(&message, 0, 0..message.len() - 4)
    }

    #[test]
    fn a_dtls_hello_gives_its_name() {
        let message = dtls_hello("ws.example");
        let len = message.len() - 4;
        let datagram = [dtls_piece(&message, 1, 0..40), dtls_piece(&message, 1, 40..len)].concat();
        let got: Vec<_> = dtls_fragments(&datagram).collect();
        assert_eq!(got.len(), 2);
        assert_eq!((got[1].message, got[1].len, got[1].offset, got[1].bytes.len()), (1, len, 40, len - 40));
        assert_eq!(dtls_client_hello(&message[4..], len), named("ws.example"));
        assert_eq!(dtls_client_hello(&message[4..50], len), Look::More { need: Some(len) });
    }
}
