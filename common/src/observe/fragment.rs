//! Ports for the fragments that do not carry them (RFC 791 section 3.2, RFC 8200 section 4.5).

use crate::time::{NANOS_PER_SECOND, UnixNanos};
use crate::wire::Fragment;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Datagrams in pieces remembered at a time. Fragments of one datagram come back to back; a few hundred cover even a
/// busy link that carries nothing else, and a flood of fragments costs no more.
const LIMIT: usize = 256;

/// A datagram is forgotten after this time: reassembly time-outs are 30 to 60 s (RFC 1122 section 3.3.2, RFC 8200).
const TIMEOUT_NS: i64 = 30 * NANOS_PER_SECOND;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Datagram {
    src: IpAddr,
    dst: IpAddr,
    proto: u8,
    id: u32,
}

/// Ports of recent first fragments.
#[derive(Debug, Default)]
pub(crate) struct FragmentPorts {
    recent: VecDeque<(Datagram, UnixNanos, (u16, u16))>,
}

impl FragmentPorts {
    /// Remembers the ports of a first fragment.
    pub(crate) fn learn(
        &mut self,
        ends: (IpAddr, IpAddr),
        proto: u8,
        part: Fragment,
        ts: UnixNanos,
        ports: (u16, u16),
    ) {
        if self.recent.len() >= LIMIT {
            self.recent.pop_front();
        }
        self.recent.push_back((Datagram { src: ends.0, dst: ends.1, proto, id: part.id }, ts, ports));
    }

    /// The ports of the datagram that a later fragment belongs to, if its first fragment was seen.
    pub(crate) fn ports(&self, ends: (IpAddr, IpAddr), proto: u8, part: Fragment, ts: UnixNanos) -> Option<(u16, u16)> {
        let wanted = Datagram { src: ends.0, dst: ends.1, proto, id: part.id };
        let found = self.recent.iter().rev().find(|(datagram, ..)| *datagram == wanted)?;
        (ts.since(found.1).abs() <= TIMEOUT_NS).then_some(found.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_fragment_gets_the_ports_of_the_first_one_of_its_datagram_only() {
        let ends: (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let part = |id| Fragment { id, offset_bytes: 1480, more: false };
        let mut table = FragmentPorts::default();
        table.learn(ends, 17, part(7), UnixNanos(0), (53, 4000));
        assert_eq!(table.ports(ends, 17, part(7), UnixNanos(5)), Some((53, 4000)));
        assert_eq!(table.ports(ends, 17, part(8), UnixNanos(5)), None);
        assert_eq!(table.ports((ends.1, ends.0), 17, part(7), UnixNanos(5)), None);
        assert_eq!(table.ports(ends, 17, part(7), UnixNanos(31 * NANOS_PER_SECOND)), None);
        for id in 0..1000 {
            table.learn(ends, 17, part(id), UnixNanos(0), (1, 2));
        }
        assert_eq!(table.recent.len(), LIMIT);
    }
}
