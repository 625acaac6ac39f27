//! Connections that our side asks a server to open: the data of active FTP (RFC 959 section 4.1.2,
//! RFC 2428). They come in, and are what we fetch.

use crate::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

/// FTP's port for commands.
const FTP: u16 = 21;

/// Ports asked for that are remembered, and how long. A server connects when the command behind
/// the port comes, at once.
const LIMIT: usize = 64;
const WAIT_NS: i64 = 60 * NANOS_PER_SECOND;

/// Longest command that is read: an IPv6 address in text, a port, and what stands around them.
const MAX_COMMAND: usize = 80;

/// What was asked for, oldest first.
#[derive(Debug, Default)]
pub(super) struct Expected(VecDeque<(UnixNanos, IpAddr, u16)>);

impl Expected {
    /// Whether what is sent to this port may be such a command.
    #[inline]
    pub(super) fn may_note(dst_port: u16) -> bool {
        dst_port == FTP
    }

    /// Takes what a client sends to a server's port.
    #[inline]
    pub(super) fn note(&mut self, ts: UnixNanos, dst_port: u16, (server, payload): (IpAddr, &[u8])) {
        if Self::may_note(dst_port)
            && let Some(port) = asked_port(payload)
        {
            if self.0.len() >= LIMIT {
                self.0.pop_front();
            }
            self.0.push_back((ts, server, port));
        }
    }

    /// Whether `server` was asked to connect to this port.
    pub(super) fn holds(&self, ts: UnixNanos, server: IpAddr, port: u16) -> bool {
        // The address in the command may be one behind a translator.
        let is_it = |(asked, of, at): &(UnixNanos, IpAddr, u16)| {
            (*of, *at) == (server, port) && (0..=WAIT_NS).contains(&ts.since(*asked))
        };
        self.0.iter().any(is_it)
    }
}

/// The port in `PORT h1,h2,h3,h4,p1,p2` or `EPRT |1|192.0.2.1|6446|`.
fn asked_port(payload: &[u8]) -> Option<u16> {
    let line = payload.get(..payload.len().min(MAX_COMMAND))?.split(|b| *b == b'\r' || *b == b'\n').next()?;
    let (command, rest) = str::from_utf8(line).ok()?.split_at_checked(5)?;
    if command.eq_ignore_ascii_case("PORT ") {
        let mut numbers = rest.trim().split(',').map(|number| number.parse::<u8>().ok());
        let [a, b, c, d] = [numbers.next()??, numbers.next()??, numbers.next()??, numbers.next()??];
        let port = u16::from_be_bytes([numbers.next()??, numbers.next()??]);
        return (numbers.next().is_none() && !Ipv4Addr::new(a, b, c, d).is_unspecified()).then_some(port);
    }
    if command.eq_ignore_ascii_case("EPRT ") {
        let mark = rest.chars().next()?;
        let mut fields = rest.split(mark);
        let (family, address) = (fields.nth(1)?, fields.next()?);
        let is_address = matches!(family, "1" | "2") && address.parse::<IpAddr>().is_ok();
        return fields.next()?.parse().ok().filter(|_| is_address);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_read_from_both_commands_and_from_nothing_else() {
        for (line, port) in [
            ("PORT 192,168,1,10,200,10\r\n", 51_210),
            ("port 10,0,0,1,4,1\r\nRETR a\r\n", 1_025),
            ("EPRT |1|192.0.2.1|6446|\r\n", 6_446),
            ("EPRT |2|2001:db8::1|5282|\r\n", 5_282),
        ] {
            assert_eq!(asked_port(line.as_bytes()), Some(port), "{line}");
        }
        for line in
            ["PORT 1,2,3\r\n", "PORT 192,168,1,10,200,999\r\n", "EPRT |1|x|6446|", "PASV\r\n", "PORTS 1,1,1,1,1,1", ""]
        {
            assert_eq!(asked_port(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn what_was_asked_for_holds_for_its_server_and_for_a_minute() {
        let (server, other) = (IpAddr::from([198, 51, 100, 7]), IpAddr::from([198, 51, 100, 8]));
        let mut expected = Expected::default();
        let at = |s: i64| UnixNanos(s * NANOS_PER_SECOND);
        expected.note(at(10), 80, (server, b"PORT 192,168,1,10,200,11\r\n"));
        expected.note(at(10), FTP, (server, b"PORT 192,168,1,10,200,10\r\n"));
        assert!(expected.holds(at(10), server, 51_210) && expected.holds(at(70), server, 51_210));
        assert!(!expected.holds(at(71), server, 51_210) && !expected.holds(at(10), other, 51_210));
        assert!(!expected.holds(at(10), server, 51_211));
        for _ in 0..LIMIT {
            expected.note(at(11), FTP, (other, b"PORT 192,168,1,10,200,10\r\n"));
        }
        assert!(!expected.holds(at(12), server, 51_210), "the oldest goes");
    }
}
