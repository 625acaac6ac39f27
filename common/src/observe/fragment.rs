//! The flow of fragments that do not show it (RFC 791 section 3.2, RFC 8200 section 4.5).

use crate::time::{NANOS_PER_SECOND, UnixNanos};
use crate::wire::Datagram;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Datagrams in pieces remembered at a time. Fragments of one datagram come back to back; a few hundred cover even a
/// busy link that carries nothing else, and a flood of fragments costs no more.
const LIMIT: usize = 256;

/// A datagram is forgotten after this time: reassembly time-outs are 30 to 60 s (RFC 1122 section 3.3.2, RFC 8200).
const TIMEOUT_NS: i64 = 30 * NANOS_PER_SECOND;

/// A 5-tuple as a packet shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FiveTuple {
    pub(crate) src: (IpAddr, u16),
    pub(crate) dst: (IpAddr, u16),
    pub(crate) proto: u8,
}

/// The 5-tuples that recent first fragments showed. In a tunnel that is the 5-tuple of the packet inside.
#[derive(Debug, Default)]
pub(crate) struct FragmentFlows {
    recent: VecDeque<((Datagram, u32), UnixNanos, FiveTuple)>,
}

impl FragmentFlows {
    /// Remembers what the first fragment of a datagram shows; `id` is the datagram's identification.
    pub(crate) fn learn(&mut self, datagram: Datagram, id: u32, ts: UnixNanos, flow: FiveTuple) {
        if self.recent.len() >= LIMIT {
            self.recent.pop_front();
        }
        self.recent.push_back(((datagram, id), ts, flow));
    }

    /// The 5-tuple of the datagram that a later fragment belongs to, if its first fragment was seen.
    pub(crate) fn find(&self, datagram: Datagram, id: u32, ts: UnixNanos) -> Option<FiveTuple> {
        let (_, seen, flow) = self.recent.iter().rev().find(|(key, ..)| *key == (datagram, id))?;
        (ts.since(*seen).saturating_abs() <= TIMEOUT_NS).then_some(*flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_fragment_gets_the_flow_of_the_first_one_of_its_datagram_only() {
        let (src, dst): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let datagram = Datagram { src, dst, proto: 17 };
        let flow = FiveTuple { src: (src, 53), dst: (dst, 4000), proto: 17 };
        let mut table = FragmentFlows::default();
        table.learn(datagram, 7, UnixNanos(0), flow);
        assert_eq!(table.find(datagram, 7, UnixNanos(5)), Some(flow));
        assert_eq!(table.find(datagram, 8, UnixNanos(5)), None);
        assert_eq!(table.find(Datagram { src: dst, dst: src, proto: 17 }, 7, UnixNanos(5)), None);
        assert_eq!(table.find(datagram, 7, UnixNanos(31 * NANOS_PER_SECOND)), None);
        for id in 0..1000 {
            table.learn(datagram, id, UnixNanos(0), flow);
        }
        assert_eq!(table.recent.len(), LIMIT);
    }
}
