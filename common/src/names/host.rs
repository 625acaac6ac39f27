//! Whether a field that should hold a host does: Host, CONNECT, `:authority`, SNI.
//!
//! Such fields come from whoever writes to a socket. What no host can be called books nothing, and
//! is counted.

use super::Name;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest host name in presentation form (RFC 1035 section 2.3.4: 255 bytes on the wire, its
/// lengths and the root's zero included).
const MAX_HOST: usize = 253;

/// Longest label (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// What a field turns out to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// Nothing.
    Empty,
    /// What can be no host.
    Not,
    /// A host, its port cut off.
    Name(Name),
}

impl Host {
    /// The host of `host:port`, as an SNI of careless clients holds it.
    pub(super) fn of(field: &[u8]) -> Self {
        let host = without_port(field);
        match Name::from_host(host) {
            Some(name) if is_host(host) => Self::Name(name),
            None if host.iter().all(|b| *b == b'.') => Self::Empty,
            _ => Self::Not,
        }
    }

    /// The host of `user@host:port` (RFC 3986 section 3.2). An IPv6 address keeps its brackets, as
    /// received.
    pub(super) fn of_authority(authority: &[u8]) -> Self {
        let authority = authority.trim_ascii();
        let start = authority.iter().rposition(|b| *b == b'@').map_or(0, |i| i + 1);
        Self::of(authority.get(start..).unwrap_or_default())
    }

    /// The name, if there is one.
    pub(super) fn name(self) -> Option<Name> {
        match self {
            Self::Name(name) => Some(name),
            Self::Empty | Self::Not => None,
        }
    }
}

/// Cuts a port off. `2001:db8::1` without brackets is no port, although RFC 3986 does not allow it.
fn without_port(host_port: &[u8]) -> &[u8] {
    let Some(colon) = host_port.iter().rposition(|b| *b == b':') else { return host_port };
    let (head, port) = (host_port.get(..colon).unwrap_or_default(), host_port.get(colon + 1..).unwrap_or_default());
    let bare_v6 = head.contains(&b':') && !head.ends_with(b"]");
    if bare_v6 || !port.iter().all(u8::is_ascii_digit) { host_port } else { head }
}

/// Whether a host can be called so: labels of letters, digits, hyphens and underscores (RFC 1123
/// section 2.1, and the underscore that is in use all the same), of which the last one is no number
/// (RFC 1123: an address is told by it); or an address. A dot at the end is allowed.
pub(super) fn is_host(host: &[u8]) -> bool {
    let host = host.strip_suffix(b".").unwrap_or(host);
    if is_named(host) {
        return true;
    }
    // Only now: nearly every field holds a name.
    let Ok(text) = str::from_utf8(host) else { return false };
    text.parse::<Ipv4Addr>().is_ok() || is_ipv6(text)
}

/// Whether it is labels, of which the last one is no number. Asked of each flow, for each second:
/// one pass over its bytes.
fn is_named(host: &[u8]) -> bool {
    let (mut start, mut good) = (0, host.len() <= MAX_HOST);
    for (place, byte) in host.iter().enumerate() {
        if *byte == b'.' {
            good &= (1..=MAX_LABEL).contains(&(place - start));
            start = place + 1;
        } else {
            good &= byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        }
        if !good {
            return false;
        }
    }
    let last = host.get(start..).unwrap_or_default();
    (1..=MAX_LABEL).contains(&last.len()) && !is_number(last)
}

/// Digits, or digits of 16 as in `0x7f000001`, which programs take for an address as well (URL
/// Standard, "ends in a number").
fn is_number(label: &[u8]) -> bool {
    match label {
        [b'0', b'x' | b'X', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}

/// An IPv6 address, with brackets or without, perhaps with a zone (RFC 6874).
fn is_ipv6(text: &str) -> bool {
    let inside = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let (address, zone) = inside.split_once('%').unwrap_or((inside, "1"));
    let good_zone = !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b));
    good_zone && address.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address() {
        let longest = format!("{}.{}", ["a".repeat(63), "b".repeat(63), "c".repeat(63)].join("."), "d".repeat(61));
        for (field, host) in [
            ("www.Example.org", "www.example.org"),
            ("example.org.", "example.org"),
            ("example.org:443", "example.org"),
            ("example.org:", "example.org"),
            ("localhost", "localhost"),
            ("_dmarc.a-b.example", "_dmarc.a-b.example"),
            ("-odd-.tumblr.example", "-odd-.tumblr.example"),
            ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
            ("3com.com", "3com.com"),
            ("0x0.st", "0x0.st"),
            ("a.0xg", "a.0xg"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:8080", "192.0.2.1"),
            ("[2001:db8::1]:443", "[2001:db8::1]"),
            ("[fe80::1%25eth0]", "[fe80::1%25eth0]"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            (longest.as_str(), longest.as_str()),
        ] {
            assert_eq!(Host::of(field.as_bytes()), Host::Name(Name::from_host(host.as_bytes()).unwrap()), "{field}");
        }
        assert_eq!(Host::of_authority(b" user:pw@a.example:81\t"), Host::of(b"a.example"));
    }

    #[test]
    fn what_no_host_is_called_is_none() {
        let (long_label, long) = (format!("{}.de", "a".repeat(64)), format!("{}.de", ["a"; 126].join(".")));
        for field in [
            "example.de:25 /",
            "a b.example",
            "{host}",
            "${jndi:ldap://x}",
            "example.org/index.html",
            "http://example.org",
            "*.example.org",
            "a..example",
            ".example.org",
            "münchen.de",
            "a\0.example",
            "<script>",
            "example.org:http",
            "example.org:443:443",
            "a,b",
            "192.0.2",
            "192.0.2.256",
            "12345",
            "0x7f000001",
            "127.0X",
            "[2001:db8::1",
            "[example.org]",
            "2001:db8:::1",
            "user@example.org",
            long_label.as_str(),
            long.as_str(),
        ] {
            assert_eq!(Host::of(field.as_bytes()), Host::Not, "{field}");
        }
        for nothing in ["", ".", "...", ":80"] {
            assert_eq!(Host::of(nothing.as_bytes()), Host::Empty, "{nothing}");
        }
    }
}
