//! The host of an HTTP request: HTTP/1 (RFC 9112) and clear-text HTTP/2 with prior knowledge (RFC
//! 9113 section 3.3).

use super::host::Host;
use super::look::Look;
use super::{Name, NameKind, hpack};
use crate::cursor::Cursor;
use std::borrow::Cow;

/// Longest method. The longest registered are `UPDATEREDIRECTREF` and `BASELINE-CONTROL`, private
/// ones are longer.
const MAX_METHOD: usize = 24;
/// Longest request target waited for; RFC 9112 section 3 recommends to support 8,000.
const MAX_LINE: usize = 16 * 1024;
/// Most header lines walked; servers allow about 100.
const MAX_HEADERS: usize = 256;
/// Most lines that a folded Host field is put together from; who folds one does so once.
const MAX_FOLDS: usize = 8;
/// Most HTTP/2 frames walked before the first HEADERS: settings, window updates, priorities.
const MAX_FRAMES: usize = 64;
/// RFC 9113 section 3.4.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Looks at a stream from what may be the first byte of a request.
pub(super) fn look(stream: &[u8]) -> Look {
    // RFC 9112 section 2.2: empty lines before the request line are passed over.
    let blank = stream.iter().take(4).take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let request = stream.get(blank..).unwrap_or_default();
    if request.is_empty() {
        return if blank > 0 { Look::No } else { Look::MORE };
    }
    if let Some(frames) = request.strip_prefix(PREFACE) {
        return http2(frames);
    }
    if PREFACE.starts_with(request) {
        return Look::MORE;
    }
    match request_line(request) {
        Line::No => Look::No,
        Line::Other => Look::Nameless,
        Line::Unfinished => unfinished(request),
        Line::Whole { method, target, header_start } => headers((method, target), request, header_start, blank),
    }
}

/// How far the request at the start of a stretch of bytes goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// No request of HTTP/1 begins here.
    No,
    /// One whose header goes on behind the bytes at hand.
    Unfinished,
    /// One of so many bytes with its body, which may go on behind the bytes at hand.
    Whole(usize),
    /// One with a body in chunks, of which the last one tells that it ends.
    Chunked,
    /// One whose end its header does not tell: CONNECT, and lengths that are none.
    Endless,
}

/// Where the next request may begin behind the one at the start of these bytes (RFC 9112 sections
/// 6.2 and 9.3.2).
pub(crate) fn extent(bytes: &[u8]) -> Extent {
    let blank = bytes.iter().take(4).take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let request = bytes.get(blank..).unwrap_or_default();
    if PREFACE.starts_with(request) && request.len() < PREFACE.len() {
        return Extent::Unfinished;
    }
    let (method, header_start) = match request_line(request) {
        Line::Whole { method, header_start, .. } => (method, header_start),
        Line::Unfinished if unfinished(request) == Look::MORE => return Extent::Unfinished,
        Line::No | Line::Other | Line::Unfinished => return Extent::No,
    };
    let mut at = Cursor::new(request.get(header_start..).unwrap_or_default());
    let mut body_len = 0;
    let (mut is_endless, mut is_chunked) = (method == b"CONNECT", false);
    for _ in 0..MAX_HEADERS {
        let Some(line) = next_line(&mut at) else { return Extent::Unfinished };
        if line.is_empty() {
            let header_len = blank + request.len() - at.remaining();
            return match (is_endless, is_chunked) {
                (true, _) => Extent::Endless,
                (false, true) => Extent::Chunked,
                (false, false) => Extent::Whole(header_len.saturating_add(body_len)),
            };
        }
        if let Some(value) = field(line, b"content-length:") {
            // Digits alone: `parse` takes a sign as well.
            let digits = str::from_utf8(value.trim_ascii()).ok().filter(|digits| !digits.starts_with('+'));
            match digits.and_then(|digits| digits.parse().ok()) {
                Some(stated) => body_len = stated,
                None => is_endless = true,
            }
        }
        is_chunked |= field(line, b"transfer-encoding:").is_some();
    }
    Extent::Endless
}

enum Line<'a> {
    No,
    /// A request of RTSP, SIP or ICAP. Its host is that of a session, a user or another server's
    /// request.
    Other,
    Unfinished,
    Whole {
        method: &'a [u8],
        target: &'a [u8],
        header_start: usize,
    },
}

/// Splits `METHOD SP target SP HTTP/1.x CRLF`. Any method is taken, the version tells HTTP from
/// RTSP, SIP and ICAP.
fn request_line(request: &[u8]) -> Line<'_> {
    let method_len = request.iter().take(MAX_METHOD + 1).take_while(|b| is_method_byte(**b)).count();
    match request.get(method_len) {
        Some(b' ') if method_len >= 3 => {}
        None if method_len <= MAX_METHOD => return Line::Unfinished,
        _ => return Line::No,
    }
    let line_bytes = request.get(..MAX_LINE.min(request.len())).unwrap_or_default();
    let Some(end) = line_bytes.iter().position(|b| *b == b'\n') else {
        let printable = line_bytes.iter().all(|b| *b == b'\r' || *b >= 0x20);
        return if request.len() < MAX_LINE && printable { Line::Unfinished } else { Line::No };
    };
    let line = line_bytes.get(..end).unwrap_or_default().trim_ascii_end();
    let parts = line.get(method_len + 1..).unwrap_or_default();
    let Some(space) = parts.iter().rposition(|b| *b == b' ') else {
        return Line::No;
    };
    let (target, version) = (parts.get(..space).unwrap_or_default(), parts.get(space + 1..).unwrap_or_default());
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => Line::Whole {
            method: request.get(..method_len).unwrap_or_default(),
            target: target.trim_ascii(),
            header_start: end + 1,
        },
        _ if [&b"RTSP/1."[..], b"RTSP/2.", b"SIP/2.", b"ICAP/1."].iter().any(|v| version.starts_with(v)) => Line::Other,
        _ => Line::No,
    }
}

fn is_method_byte(b: u8) -> bool {
    b.is_ascii_uppercase() || matches!(b, b'-' | b'_')
}

/// A request whose line goes on: worth waiting for, unless these bytes cannot become a request
/// line.
fn unfinished(request: &[u8]) -> Look {
    let second_space = request.iter().enumerate().filter(|(_, b)| **b == b' ').map(|(i, _)| i).nth(1);
    let version = second_space.and_then(|i| request.get(i + 1..));
    let fits = version.is_none_or(|v| v.iter().zip(b"HTTP/1.").all(|(a, b)| a == b) || v.contains(&b' '));
    if fits { Look::MORE } else { Look::No }
}

/// What a request tells that is cut: the host in its target, or in a Host field, if the cut is
/// behind it.
pub(super) fn cut(request: &[u8]) -> Look {
    let method_len = request.iter().take_while(|b| is_method_byte(**b)).count();
    let (method, rest) = request.split_at(method_len);
    let Some(rest) = rest.strip_prefix(b" ") else {
        return Look::No;
    };
    let target_len = rest.iter().take(MAX_LINE).position(|b| *b == b' ');
    let target = rest.get(..target_len.unwrap_or(rest.len())).unwrap_or_default();
    let authority = target.windows(3).position(|w| w == b"://").and_then(|colon| target.get(colon + 3..));
    let authority_ends = authority.is_some_and(|rest| rest.iter().any(|b| matches!(b, b'/' | b'?' | b'#')));
    match (method, target_len) {
        (b"CONNECT", _) => {
            let host = if target_len.is_some() { Some(connect_host(target)) } else { whole_host(target) };
            return host.map_or(Look::No, |host| Look::Wrapper { len: request.len(), host, relay: true });
        }
        _ if target_len.is_some() || authority_ends => {
            if let Host::Name(name) = absolute_host(target) {
                return Look::Absolute(name);
            }
        }
        _ => {}
    }
    let last_line = request.iter().rposition(|b| *b == b'\n').and_then(|end| request.get(end + 1..));
    match last_line.and_then(host_field).and_then(whole_host) {
        Some(Host::Name(name)) => Look::Name(NameKind::Http, name),
        Some(Host::Not) => Look::NotAHost,
        Some(Host::Empty) | None => Look::No,
    }
}

/// The host of a Host field whose end was not captured, if the host itself was: a colon, a space or
/// the line's end follows.
fn whole_host(value: &[u8]) -> Option<Host> {
    let value = value.trim_ascii_start();
    if value.starts_with(b"[") {
        let end = value.iter().position(|b| *b == b']')?;
        return Some(Host::of_authority(value.get(..=end)?));
    }
    if value.ends_with(b"\r") {
        return Some(Host::of_authority(value));
    }
    let end = value.iter().position(|b| matches!(b, b':' | b' ' | b'\t'))?;
    // Behind a colon a password or an address without brackets may go on.
    let rest = value.get(end + 1..).unwrap_or_default();
    rest.iter().all(u8::is_ascii_digit).then(|| Host::of_authority(value.get(..end).unwrap_or_default()))
}

/// Finds the host: an absolute target wins over the Host field (RFC 9112 section 3.2.2).
fn headers((method, target): (&[u8], &[u8]), request: &[u8], header_start: usize, blank: usize) -> Look {
    let connect = method == b"CONNECT";
    let mut host = if connect { connect_host(target) } else { absolute_host(target) };
    if let (Host::Name(name), false) = (&host, connect) {
        return Look::Absolute(name.clone());
    }
    let mut at = Cursor::new(request.get(header_start..).unwrap_or_default());
    for _ in 0..MAX_HEADERS {
        let Some(line) = next_line(&mut at) else {
            return Look::MORE;
        };
        if line.is_empty() {
            let len = blank + request.len() - at.remaining();
            return Look::Wrapper { len, host, relay: connect };
        }
        let field = match host_field(line).map(|value| unfolded(value, &mut at)) {
            Some(None) => return Look::MORE,
            field => field.flatten(),
        };
        match (field.map(|value| Host::of_authority(&value)), &host) {
            (Some(Host::Name(name)), _) if !connect => return Look::Name(NameKind::Http, name),
            (None | Some(Host::Empty), _) | (_, Host::Name(_)) => {}
            (Some(other), _) => host = other,
        }
    }
    Look::No
}

/// The host that CONNECT asks for: `host:port` (RFC 9110 section 9.3.6). What follows a space
/// behind a port does not belong to it; a space before one is in the middle of what is no host.
fn connect_host(target: &[u8]) -> Host {
    match target.iter().position(|b| *b == b' ').and_then(|space| target.get(..space)) {
        Some(first) if first.contains(&b':') => Host::of_authority(first),
        _ => Host::of_authority(target),
    }
}

/// Looks for a whole Host field in a stretch of a request's header whose part before is missing.
pub(super) fn host_in_stretch(bytes: &[u8]) -> Option<Name> {
    let mut at = Cursor::new(bytes);
    next_line(&mut at)?; // the rest of a line
    for _ in 0..MAX_HEADERS {
        let line = next_line(&mut at)?;
        if line.is_empty() {
            return None;
        }
        if let Some(value) = host_field(line) {
            return Host::of_authority(&unfolded(value, &mut at)?).name();
        }
    }
    None
}

/// The next line without its end, if it is whole.
fn next_line<'a>(at: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let end = at.rest().iter().position(|b| *b == b'\n')?;
    let line = at.take(end)?;
    at.skip(1)?;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// The value, if this line is a Host field.
fn host_field(line: &[u8]) -> Option<&[u8]> {
    field(line, b"host:")
}

/// The value, if this line is a field of that name, which is handed in with its colon.
#[inline]
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, value) = line.split_at_checked(name.len())?;
    found.eq_ignore_ascii_case(name).then_some(value)
}

/// The value of a field that goes on in the next lines: each line break with the spaces behind it
/// stands for a space (RFC 9112 section 5.2, obsolete line folding: who does not reject it reads it
/// so). `None` while more may come. A break at the very end of what is there is taken for the
/// field's end: hardly anybody folds, and a segment often ends so.
fn unfolded<'a>(value: &'a [u8], at: &mut Cursor<'a>) -> Option<Cow<'a, [u8]>> {
    let mut value = Cow::Borrowed(value);
    for _ in 0..MAX_FOLDS {
        let Some(b' ' | b'\t') = at.peek_u8() else { break };
        let line = next_line(at)?.trim_ascii();
        let before = value.trim_ascii_end();
        value = Cow::Owned([before, b" ", line].concat());
    }
    Some(value)
}

/// The host of an absolute-form target (`http://user@host:port/path`); nothing where it has another
/// form.
fn absolute_host(target: &[u8]) -> Host {
    let scheme = target.windows(3).take(12).position(|w| w == b"://").and_then(|end| target.split_at_checked(end));
    match scheme {
        Some((scheme, rest)) if !scheme.is_empty() && scheme.iter().all(u8::is_ascii_alphanumeric) => {
            let authority = rest.get(3..).unwrap_or_default();
            let end = authority.iter().position(|b| matches!(b, b'/' | b'?' | b'#'));
            Host::of_authority(authority.get(..end.unwrap_or(authority.len())).unwrap_or_default())
        }
        _ => Host::Empty,
    }
}

/// Frames behind the preface, up to and including the first header block (RFC 9113 sections 4.1,
/// 6.2, 6.10).
fn http2(frames: &[u8]) -> Look {
    let mut at = Cursor::new(frames);
    let mut block = Vec::new();
    for _ in 0..MAX_FRAMES {
        let (Some(len), Some(kind), Some(flags), Some(_)) = (at.be_u24(), at.u8(), at.u8(), at.be_u32()) else {
            return Look::MORE;
        };
        let body = at.up_to(len as usize);
        let whole = body.len() == len as usize;
        match kind {
            1 => block.extend_from_slice(header_fragment(body, flags).unwrap_or_default()),
            9 => block.extend_from_slice(body),
            _ if whole => continue,
            _ => return Look::MORE,
        }
        let asked = hpack::authority(&block).map(|asked| (Host::of_authority(&asked.value), asked.connect));
        match asked {
            Some((Host::Name(name), true)) => return Look::Absolute(name),
            Some((Host::Name(name), false)) => return Look::Name(NameKind::Http, name),
            Some((Host::Not, _)) => return Look::NotAHost,
            Some((Host::Empty, _)) | None => {}
        }
        if !whole {
            return Look::MORE;
        }
        if flags & END_HEADERS != 0 {
            return Look::Nameless;
        }
    }
    Look::Nameless
}

const END_HEADERS: u8 = 4;

/// The header block fragment in a HEADERS frame, which may be cut.
pub(super) fn header_fragment(body: &[u8], flags: u8) -> Option<&[u8]> {
    let mut at = Cursor::new(body);
    let padding = if flags & 8 != 0 { at.u8()? } else { 0 };
    if flags & 0x20 != 0 {
        at.skip(5)?; // stream dependency and weight
    }
    let rest = at.rest();
    Some(rest.get(..rest.len().saturating_sub(padding.into())).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(host: &str) -> Look {
        Look::Name(NameKind::Http, Name::from_host(host.as_bytes()).unwrap())
    }

    #[test]
    fn the_host_field_names_the_request() {
        for (request, host) in [
            ("GET / HTTP/1.1\r\nHost: www.wireshark.org:8080\r\n\r\n", "www.wireshark.org"),
            ("POST /a b HTTP/1.0\nhOsT:\tExample.org \n\n", "example.org"),
            ("\r\nPROPFIND /dav HTTP/1.1\r\nA: b\r\nHost: [2001:db8::1]:8080\r\n\r\n", "[2001:db8::1]"),
            ("VERSION-CONTROL / HTTP/1.1\r\nHost: 192.0.2.1\r\n", "192.0.2.1"),
            ("RPC_IN_DATA /rpc HTTP/1.1\r\nHost: a.example:\r\n", "a.example"),
        ] {
            assert_eq!(look(request.as_bytes()), named(host), "{request}");
        }
    }

    #[test]
    fn a_folded_host_is_read_as_if_in_one_line() {
        for (field, host) in [
            ("Host:\r\n a.example\r\n\r\n", "a.example"),
            ("Host: \r\n\t \r\n  a.example:80 \r\nA: b\r\n\r\n", "a.example"),
            ("Host: a.example\r\n \r\n\r\n", "a.example"),
            ("A: b\r\n Host: b.example\r\nHost: a.example\n\n", "a.example"),
        ] {
            let request = format!("GET / HTTP/1.1\r\n{field}");
            assert_eq!(look(request.as_bytes()), named(host), "{request}");
            let stretch = format!("g HTTP/1.1\r\n{field}");
            assert_eq!(host_in_stretch(stretch.as_bytes()), Name::from_host(host.as_bytes()), "{stretch}");
            let fold = request.find("\r\n ").unwrap_or(request.len()) + 3;
            assert_eq!(look(&request.as_bytes()[..fold.min(request.len())]) == Look::MORE, fold < request.len());
        }
        // What is no host when it is unfolded names nothing, whatever it begins with.
        let request = b"GET / HTTP/1.1\r\nHost: a.example\r\n .b.example\r\n\r\n";
        assert_eq!(look(request), Look::Wrapper { len: request.len(), host: Host::Not, relay: false });
        let endless = [b"GET / HTTP/1.1\r\nHost:".to_vec(), b"\r\n a".repeat(100)].concat();
        assert_eq!(
            look(&[&endless[..], b"\r\n\r\n"].concat()),
            Look::Wrapper { len: endless.len() + 4, host: Host::Not, relay: false }
        );
        let far = [&b"GET / HTTP/1.1\r\nHost:"[..], &b"\r\n ".repeat(MAX_FOLDS), b"\r\n a.example\r\n\r\n"].concat();
        assert_eq!(look(&far), Look::Wrapper { len: far.len(), host: Host::Empty, relay: false });
    }

    #[test]
    fn a_request_ends_where_its_body_does() {
        let header = "GET / HTTP/1.1\r\nHost: a.example\r\n";
        for (rest, extent_is) in [
            ("\r\nGET", Extent::Whole(2)),
            ("\n", Extent::Whole(1)),
            ("content-length: 7\r\n\r\nabc", Extent::Whole(28)),
            ("Content-Length: -1\r\n\r\n", Extent::Endless),
            ("Content-Length: +1\r\n\r\n", Extent::Endless),
            ("Content-Length: 99999999999999999999\r\n\r\n", Extent::Endless),
            ("Transfer-Encoding: gzip, chunked\r\n\r\n", Extent::Chunked),
            ("Accept: */*\r", Extent::Unfinished),
        ] {
            let expected = match extent_is {
                Extent::Whole(len) => Extent::Whole(header.len() + len),
                other => other,
            };
            assert_eq!(extent(format!("{header}{rest}").as_bytes()), expected, "{rest}");
        }
        assert_eq!(extent(b"CONNECT a.example:443 HTTP/1.1\r\n\r\n"), Extent::Endless);
        assert_eq!(extent(b"GET /x"), Extent::Unfinished);
        for text in ["HTTP/1.1 200 OK\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01", "SIP it\r\n"] {
            assert_eq!(extent(text.as_bytes()), Extent::No, "{text}");
        }
        for text in ["", "\r\n", "PRI * HTTP/2.0\r\n\r\n", "GET", "GET / HTTP/1.1\r\nHost:"] {
            assert_eq!(extent(text.as_bytes()), Extent::Unfinished, "{text}");
        }
        let huge = format!("{header}Content-Length: {}\r\n\r\n", usize::MAX);
        assert_eq!(extent(huge.as_bytes()), Extent::Whole(usize::MAX));
    }

    #[test]
    fn an_absolute_target_names_the_request_and_not_its_server() {
        for (request, host) in [
            ("GET http://user:pw@a.example:81/x?y=http://z HTTP/1.1\r\nHost: other\r\n\r\n", "a.example"),
            ("OPTIONS HTTP://A.example HTTP/1.0\r\n\r\n", "a.example"),
            ("GET ftp://files.example/a HTTP/1.1\r\nHost: files.example\r\n\r\n", "files.example"),
        ] {
            assert_eq!(
                look(request.as_bytes()),
                Look::Absolute(Name::from_host(host.as_bytes()).unwrap()),
                "{request}"
            );
        }
    }

    #[test]
    fn a_request_cut_before_its_host_asks_for_more() {
        let request = b"GET /index.html HTTP/1.1\r\nAccept: */*\r\nHost: a.example\r\n";
        for cut in 0..request.len() {
            assert_eq!(look(&request[..cut]), Look::MORE, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_http_request_is_none() {
        for text in [
            "HTTP/1.1 200 OK\r\n",
            "EHLO mail.example\r\n",
            "A1 LOGIN x y\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n",
            "USER anonymous\r\n",
            "\x16\x03\x01",
        ] {
            assert_eq!(look(text.as_bytes()), Look::No, "{text}");
        }
        for text in [
            "DESCRIBE rtsp://a.example/x RTSP/1.0\r\n",
            "INVITE sip:bob@a.example SIP/2.0\r\nHost: x\r\n",
            "REQMOD icap://a.example/ ICAP/1.0\r\nHost: a.example\r\n",
        ] {
            assert_eq!(look(text.as_bytes()), Look::Nameless, "{text}");
        }
    }

    #[test]
    fn a_host_field_shows_although_the_part_before_it_is_missing() {
        let stretch = b"g&key=1 HTTP/1.1\r\nAccept: */*\r\nHost: a.example:80\r\n\r\nHost: b.example\r\n";
        assert_eq!(host_in_stretch(stretch), Name::from_host(b"a.example"));
        assert_eq!(host_in_stretch(b"x\r\n\r\nHost: b.example\r\n"), None);
        assert_eq!(host_in_stretch(b"x\r\nHost: b.exam"), None);
    }

    #[test]
    fn the_target_of_a_cut_request_may_tell_its_host() {
        assert_eq!(cut(b"GET http://a.example/xyz"), Look::Absolute(Name::from_host(b"a.example").unwrap()));
        for end in ["/", "?x=1", "#top"] {
            let request = format!("GET http://a.example{end}");
            assert_eq!(cut(request.as_bytes()), Look::Absolute(Name::from_host(b"a.example").unwrap()), "{end}");
        }
        assert_eq!(cut(b"GET http://a.exam"), Look::No);
        assert_eq!(cut(b"GET /a/b/c/d"), Look::No);
        let host = Host::of(b"a.example");
        assert_eq!(cut(b"CONNECT a.example:443 HT"), Look::Wrapper { len: 24, host, relay: true });
        for port in [":", ":4", ":443"] {
            let request = format!("CONNECT a.example{port}");
            let host = Host::of(b"a.example");
            assert_eq!(cut(request.as_bytes()), Look::Wrapper { len: request.len(), host, relay: true }, "{port}");
        }
        assert_eq!(cut(b"CONNECT a.exam"), Look::No);
        assert_eq!(cut(b"CONNECT [2001:db8:"), Look::No);
        assert_eq!(cut(b"\x16\x03\x01"), Look::No);
    }

    #[test]
    fn connect_is_a_wrapper_with_a_weaker_name() {
        let request = b"CONNECT a.example:443 HTTP/1.1\r\nHost: b.example\r\n\r\n";
        let host = Host::of(b"a.example");
        assert_eq!(look(request), Look::Wrapper { len: request.len(), host, relay: true });
        // A target that is none leaves the field; spaces end a target.
        let request = b"CONNECT {x}:443 HTTP/1.1\r\nHost: b.example\r\n\r\n";
        assert_eq!(look(request), Look::Wrapper { len: request.len(), host: Host::of(b"b.example"), relay: true });
        let request = b"CONNECT mail.example.de:25 / HTTP/1.0\r\n\r\n";
        assert_eq!(
            look(request),
            Look::Wrapper { len: request.len(), host: Host::of(b"mail.example.de"), relay: true }
        );
        for junk in ["/", "{x}:443", "http://a.example/", "a..b:1", "www a.example:443", "www a.example"] {
            let request = format!("CONNECT {junk} HTTP/1.1\r\n\r\n");
            assert_eq!(look(request.as_bytes()), Look::Wrapper { len: request.len(), host: Host::Not, relay: true });
        }
    }

    #[test]
    fn a_field_that_holds_no_host_names_nothing_and_is_passed_over() {
        for junk in ["{host}", "a b", "a.example/x", "${jndi:ldap://x}", "a.example:port", "*", "<x>"] {
            let request = format!("GET / HTTP/1.1\r\nHost: {junk}\r\nAccept: */*\r\n\r\n");
            let passed = Look::Wrapper { len: request.len(), host: Host::Not, relay: false };
            assert_eq!(look(request.as_bytes()), passed, "{junk}");
            assert_eq!(host_in_stretch(request.as_bytes()), None);
            // An absolute target that is none leaves the field.
            let request = format!("GET http://{junk}/ HTTP/1.1\r\nHost: b.example\r\n\r\n");
            let got = look(request.as_bytes());
            assert!(
                got == named("b.example") || got == Look::Absolute(Name::from_host(b"a.example").unwrap()),
                "{junk}"
            );
        }
        let empty = b"GET / HTTP/1.1\r\nHost:\r\n\r\n";
        assert_eq!(look(empty), Look::Wrapper { len: empty.len(), host: Host::Empty, relay: false });
    }

    #[test]
    fn a_host_field_that_the_capture_cut_behind_the_host_tells_it() {
        let line = |end: &str| format!("POST / HTTP/1.0\r\nAccept: */*\r\nHost: {end}");
        for end in ["a.example\r", "a.example:80\r", "a.example:8", "a.example:", "a.example ", "user@a.example\r"] {
            assert_eq!(cut(line(end).as_bytes()), named("a.example"), "{end:?}");
        }
        assert_eq!(cut(line("[2001:db8::1]").as_bytes()), named("[2001:db8::1]"));
        assert_eq!(cut(line("2001:db8::1\r").as_bytes()), named("2001:db8::1"));
        for open in ["", "a", "a.exampl", "a.example", "[2001:db8:", "2001:db8::", "user:pw@a.exa"] {
            assert_eq!(cut(line(open).as_bytes()), Look::No, "{open:?}");
        }
        assert_eq!(cut(line("{x}\r").as_bytes()), Look::NotAHost);
    }

    #[test]
    fn a_request_without_a_host_is_passed_over() {
        let request = b"GET / HTTP/1.0\r\nAccept: */*\r\n\r\n";
        assert_eq!(look(request), Look::Wrapper { len: request.len(), host: Host::Empty, relay: false });
    }

    #[test]
    fn http2_with_prior_knowledge_gives_its_authority() {
        // The header block of RFC 7541 appendix C.4.1.
        let block = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        let mut stream = PREFACE.to_vec();
        stream.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        stream.extend([0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1]);
        stream.extend(block);
        assert_eq!(look(&stream), named("www.example.com"));
        for cut in 0..stream.len() {
            assert_eq!(look(&stream[..cut]), Look::MORE, "cut at {cut}");
        }
        // The same block in a padded HEADERS frame with priority, and a CONTINUATION.
        let mut split = PREFACE.to_vec();
        split.extend([0, 0, 6 + 3 + 2, 1, 0x28, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9]);
        split.extend(&block[..3]);
        split.extend([0, 0, 0, 0, block.len() as u8 - 3, 9, 4, 0, 0, 0, 1]);
        split.extend(&block[3..]);
        assert_eq!(look(&split), named("www.example.com"));
    }
}
