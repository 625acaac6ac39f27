//! What a capture holds, whatever file it is in: the same packets have the same identity,
//! compressed or not, as pcap or pcapng.

use crate::packet::CapturedPacket;
use sha2::{Digest as _, Sha256};

/// Captured bytes of each packet that count: the headers, and enough of what follows to tell
/// packets apart.
const HEAD_BYTES: usize = 96;

/// The identity of a number of packets: the first 16 bytes of a SHA-256. Nobody can make two
/// captures with one identity.
pub type ContentId = [u8; 16];

/// Takes packets and gives their identity: of time in µs, both lengths, and the first 96 captured
/// bytes of each.
#[derive(Debug, Clone, Default)]
pub struct Content {
    hash: Sha256,
    packets: u64,
    /// The identity of the first 1, 2, 4, … packets, and of as many as other captures have.
    steps: Vec<(u64, ContentId)>,
    /// How many packets other captures have that begin like this one, in falling order.
    ends: Vec<u64>,
}

/// Most ends of other captures that are noted: further ones are as many captures that begin in one
/// second.
const MAX_ENDS: usize = 14;

impl Content {
    /// One that also notes the identity of its first so many packets, for each of `ends`: whether
    /// it goes on from a capture that has as many.
    pub fn with_ends(ends: impl IntoIterator<Item = u64>) -> Self {
        let mut ends: Vec<u64> = ends.into_iter().filter(|n| !n.is_power_of_two()).collect();
        ends.sort_unstable_by_key(|n| std::cmp::Reverse(*n));
        ends.dedup();
        ends.truncate(MAX_ENDS);
        Self { ends, ..Self::default() }
    }

    /// Takes the next packet.
    pub fn add(&mut self, packet: &CapturedPacket<'_>) {
        // In one call: a packet with its head takes two blocks of the hash.
        let mut head = [0; 16 + HEAD_BYTES];
        let captured = packet.data.len() as u64;
        let fields = packet.ts.0.div_euclid(1_000).to_le_bytes().into_iter();
        let fields = fields.chain(packet.orig_len.to_le_bytes()).chain((captured as u32).to_le_bytes());
        let bytes = fields.chain(packet.data.iter().take(HEAD_BYTES).copied());
        let mut len = 0;
        for (place, byte) in head.iter_mut().zip(bytes) {
            *place = byte;
            len += 1;
        }
        self.hash.update(head.get(..len).unwrap_or_default());
        self.packets += 1;
        if self.packets.is_power_of_two() || self.ends.last() == Some(&self.packets) {
            self.ends.pop_if(|end| *end == self.packets);
            let step = (self.packets, self.now());
            self.steps.push(step);
        }
    }

    /// The identity of all packets so far.
    fn now(&self) -> ContentId {
        self.hash.clone().finalize().first_chunk::<16>().copied().unwrap_or_default()
    }

    /// Numbers of packets and the identity of the first so many, in rising order: each power of
    /// two, the ends that were asked for, then all. Empty where there was no packet.
    pub fn finish(mut self) -> Vec<(u64, ContentId)> {
        if self.packets > 0 && self.steps.last().is_none_or(|(packets, _)| *packets != self.packets) {
            let all = (self.packets, self.now());
            self.steps.push(all);
        }
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::LinkType;
    use crate::time::UnixNanos;

    fn identities(packets: &[(i64, u32, &[u8])]) -> Vec<(u64, ContentId)> {
        let mut content = Content::default();
        for (ns, orig_len, data) in packets {
            let (ts, link_type) = (UnixNanos(*ns), LinkType(1));
            content.add(&CapturedPacket { ts, orig_len: *orig_len, link_type, interface: 0, data });
        }
        content.finish()
    }

    #[test]
    fn powers_of_two_and_the_whole_have_an_identity() {
        let packets: Vec<(i64, u32, &[u8])> = (0..5).map(|n| (n, 60, &b"abc"[..])).collect();
        let all = identities(&packets);
        assert_eq!(all.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2, 4, 5]);
        assert_eq!(identities(&packets[..4]), all[..3], "a longer capture goes on from a shorter one");
        assert_eq!(identities(&[]), []);
    }

    #[test]
    fn ends_of_other_captures_are_noted_and_change_nothing_else() {
        let mut content = Content::with_ends([9, 3, 3, 4, 5]);
        let ts = UnixNanos(0);
        for _ in 0..5 {
            content.add(&CapturedPacket { ts, orig_len: 60, link_type: LinkType(1), interface: 0, data: b"abc" });
        }
        let found = content.finish();
        assert_eq!(found.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let three: Vec<(i64, u32, &[u8])> = vec![(0, 60, &b"abc"[..]); 3];
        assert_eq!(found[2], *identities(&three).last().unwrap(), "a capture of three goes on in one of five");
    }

    #[test]
    fn each_thing_that_tells_packets_apart_counts_and_nothing_else() {
        let long = [7; 200];
        let base = identities(&[(5_000, 200, &long)]);
        let mut behind = long;
        behind[HEAD_BYTES] = 8;
        assert_eq!(identities(&[(5_999, 200, &behind)]), base, "nanoseconds, and what lies behind the head");
        let mut inside = long;
        inside[HEAD_BYTES - 1] = 8;
        for other in
            [(6_000, 200, &long[..]), (5_000, 201, &long[..]), (5_000, 200, &long[..199]), (5_000, 200, &inside[..])]
        {
            assert_ne!(identities(&[other]), base);
        }
    }
}
