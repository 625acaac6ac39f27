//! Where every packet and byte of a range went.

use super::carriers::Carrier;
use super::{BlindBytes, Gap, Interface, Traffic};
use imon_common::observe::ExportFault;

/// Where every packet and byte of the range went. Amounts are of the same range as the rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Frames that were read, of every kind.
    pub packets: u64,
    /// Of these, IP packets that were counted in flows.
    pub ip_packets: u64,
    /// Bytes of IP by the outermost header, undecodable ones included: the sum of the parts below.
    pub ip_bytes: u64,
    /// IP bytes booked on a name, local ones left out.
    pub named_bytes: u64,
    /// IP bytes of which only the name of a content network's infrastructure is known
    /// ([`Evidence::Infra`]).
    pub infrastructure_bytes: u64,
    /// IP bytes booked on an address, local ones left out.
    pub address_only_bytes: u64,
    /// Why: the parts of `address_only_bytes`, which they sum up to.
    pub address_only_by: BlindBytes,
    /// Bytes of each blind spot, named ones included. `encrypted-dns` and `ech` are mostly of the
    /// named bytes.
    pub blind_spots: BlindBytes,
    /// IP bytes of flows that others opened to our side ([`Traffic::Served`]), named or not.
    pub served_bytes: u64,
    /// IP bytes of local traffic ([`Traffic::Local`]), named or not.
    pub local_bytes: u64,
    /// Bytes of packets whose outermost IP header could not be read.
    pub undecodable_bytes: u64,
    /// Frames without IP (ARP and the like).
    pub non_ip_packets: u64,
    /// What they held, most frames first: the parts of `non_ip_packets`.
    pub carriers: Vec<Carrier>,
    /// IP packets whose header states no length, or one for which their frame has no room: counted
    /// by the frame's.
    pub length_from_frame_packets: u64,
    /// Their bytes, which are part of `ip_bytes`.
    pub length_from_frame_bytes: u64,
    /// Flows in which a field that should hold a host (Host, CONNECT, SNI) held what no host is
    /// called.
    pub not_hosts: u64,
    /// Frames whose outermost IP header could not be read.
    pub undecodable_packets: u64,
    /// IP packets that were seen on another interface before, which is where they count.
    pub copies_packets: u64,
    /// Bytes that were seen more than once and count elsewhere: of those packets, and of the
    /// carriers of tunnels. In no sum above.
    pub copies_bytes: u64,
    /// Of these, what carriers of tunnels moved and what is counted inside.
    pub carried_bytes: u64,
    /// IP packets of sources that other sources hold as well, which is where they count.
    pub suspected_double_packets: u64,
    /// Their bytes. In no sum above.
    pub suspected_double_bytes: u64,
    /// Which sources they are of.
    pub overlaps: Vec<Overlap>,
    /// Packets that the user has removed from the books (`prune --device`).
    pub removed_packets: u64,
    /// Their bytes. In no sum above.
    pub removed_bytes: u64,
    /// Hosts that carry tunnels whose inside was recorded, in order.
    pub tunnels: Vec<String>,
    /// Packets that the kernel dropped; `None` where the source does not say.
    pub capture_dropped_packets: Option<u64>,
    /// Bytes by the interface's own counters, link headers included; `None` where the source does
    /// not say.
    pub interface_bytes: Option<u64>,
    /// Packets that waited in a recorder's memory for room on the disk and were lost with it.
    pub unsaved_packets: u64,
    /// Their IP bytes.
    pub unsaved_bytes: u64,
    /// Of `ip_bytes`, what exporters (NetFlow, IPFIX) reported, by how many packets each that they
    /// looked at stands for: 1 where they looked at all.
    pub exported: Vec<Exported>,
    /// What was wrong with messages of exporters, and what of them did not count.
    pub export_faults: Vec<(ExportFault, u64, u64)>,
    /// Times in which nothing was recorded, in order.
    pub gaps: Vec<Gap>,
}

/// What exporters reported at one rate of sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// One of so many packets was looked at; amounts are multiplied by it.
    pub rate: u32,
    /// Packets.
    pub packets: u64,
    /// IP bytes.
    pub bytes: u64,
}

/// What the user has removed (`prune --device`): how much, and neither whose nor where it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Start of the bucket in Unix seconds.
    pub bucket_s: i64,
    /// Where it was seen.
    pub interface: Interface,
    /// Which kind of traffic it was.
    pub traffic: Traffic,
    /// IP bytes up, IP bytes down, packets up, packets down.
    pub amounts: [u64; 4],
}

/// Two sources that hold the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The source of which that is left out.
    pub source: String,
    /// The one in which it counts.
    pub of: String,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Ledger {
    /// Notes what is in no row because another source holds it as well. Its frames were read.
    pub fn leave_out(&mut self, overlaps: Vec<Overlap>) {
        for Overlap { packets, bytes, .. } in &overlaps {
            self.suspected_double_packets = self.suspected_double_packets.saturating_add(*packets);
            self.suspected_double_bytes = self.suspected_double_bytes.saturating_add(*bytes);
        }
        self.packets = self.packets.saturating_add(self.suspected_double_packets);
        self.overlaps = overlaps;
    }

    /// Notes what the user has removed.
    pub fn note_removed(&mut self, removed: &[Removed]) {
        for Removed { amounts: [up_bytes, down_bytes, up_packets, down_packets], .. } in removed {
            for (sum, amounts) in [
                (&mut self.removed_bytes, [up_bytes, down_bytes]),
                (&mut self.removed_packets, [up_packets, down_packets]),
            ] {
                amounts.into_iter().for_each(|amount| *sum = sum.saturating_add(*amount));
            }
        }
    }

    /// IP bytes that the parts do not account for: 0 when the books balance. Clamped to what the
    /// type can hold.
    pub fn residual(&self) -> i64 {
        let booked = [
            self.named_bytes,
            self.infrastructure_bytes,
            self.address_only_bytes,
            self.served_bytes,
            self.local_bytes,
            self.undecodable_bytes,
        ];
        let residual = i128::from(self.ip_bytes) - booked.into_iter().map(i128::from).sum::<i128>();
        i64::try_from(residual).unwrap_or(if residual < 0 { i64::MIN } else { i64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residual_is_what_the_lines_do_not_account_for() {
        let mut ledger = Ledger {
            ip_bytes: 100,
            named_bytes: 50,
            address_only_bytes: 30,
            local_bytes: 15,
            undecodable_bytes: 5,
            ..Ledger::default()
        };
        assert_eq!(ledger.residual(), 0);
        ledger.local_bytes = 20;
        assert_eq!(ledger.residual(), -5);
        ledger.named_bytes = u64::MAX;
        assert_eq!(ledger.residual(), i64::MIN);
    }
}
