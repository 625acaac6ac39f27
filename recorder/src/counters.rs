//! Counters that are not packets: what the kernel gave and dropped, what the interface itself counted. As deltas.

use crate::interface::ANY;
use imon_common::observe::{Count, Counter};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Longest /proc/net/dev that is read: a line has about 130 bytes, so this is room for 8,000 interfaces.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// What libpcap says of the capture since it was opened.
///
/// libpcap 1.10 on Linux (pcap-linux.c, `pcap_stats_linux`; checked with 1.10.3): `received` counts the packets that
/// passed the kernel's filter, *those dropped for lack of room included*; on loopback both copies of each packet, of
/// which libpcap hands over one. `if_dropped` is filled in promiscuous mode only, so it is not used: see [`Interface`].
/// Both are 32 bits wide and wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelStats {
    /// `ps_recv`.
    pub received: u32,
    /// `ps_drop`.
    pub dropped: u32,
}

/// The interface's own counters. Bytes include link headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InterfaceStats {
    /// Packets received.
    pub received_packets: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets that the card or its driver had no room for: they reached neither the system nor the capture.
    pub missed_packets: u64,
}

/// The counters of one interface (of all, for `any`). The files are opened once and read again and again: after the
/// rights are given up they could not be opened any more.
#[derive(Debug)]
pub struct Interface {
    name: String,
    dev: Option<File>,
    missed: Vec<File>,
    text: String,
    filtered: bool,
}

impl Interface {
    /// Opens what there is. A system without these files gives no interface counters; that is no error. `filtered`: the
    /// capture leaves packets out that the interface counts.
    pub fn open(name: &str, filtered: bool) -> Self {
        // rx_dropped is left out on purpose: it counts packets that nobody in the system wanted, too, and the capture
        // has seen those.
        let missed = ["rx_missed_errors", "rx_fifo_errors"]
            .iter()
            .filter(|_| is_plain_name(name) && name != ANY)
            .filter_map(|file| File::open(format!("/sys/class/net/{name}/statistics/{file}")).ok())
            .collect();
        Self { name: name.to_owned(), dev: File::open("/proc/net/dev").ok(), missed, text: String::new(), filtered }
    }

    /// The capture leaves packets out that the interface counts.
    pub fn is_filtered(&self) -> bool {
        self.filtered
    }

    /// The counters now. `None` where the system has none, or the interface is gone.
    pub fn read(&mut self) -> Option<InterfaceStats> {
        read_again(self.dev.as_mut()?, &mut self.text)?;
        let mut stats = parse_dev(&self.text, &self.name)?;
        for file in &mut self.missed {
            // Gone with the interface: the last line of the ledger then simply has no further misses.
            let missed = read_again(file, &mut self.text).and_then(|()| self.text.trim().parse::<u64>().ok());
            stats.missed_packets = stats.missed_packets.saturating_add(missed.unwrap_or(0));
        }
        Some(stats)
    }
}

/// Names come from the kernel or were checked against it; this only keeps a path from growing a step.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !name.starts_with('.')
}

fn read_again(file: &mut File, text: &mut String) -> Option<()> {
    text.clear();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(MAX_TEXT_BYTES).read_to_string(text).ok().map(|_| ())
}

/// Counters of `name` (sum of all lines for `any`) in the text of /proc/net/dev (proc(5)): after the name and a colon
/// 8 columns of reception (bytes, packets, …) and 8 of transmission.
fn parse_dev(text: &str, name: &str) -> Option<InterfaceStats> {
    let mut sum: Option<InterfaceStats> = None;
    for (interface, columns) in text.lines().filter_map(|line| line.split_once(':')) {
        if name != ANY && interface.trim() != name {
            continue;
        }
        let numbers: Vec<u64> = columns.split_whitespace().map_while(|c| c.parse().ok()).collect();
        let [received_bytes, received_packets, _, _, _, _, _, _, sent_bytes, sent_packets, ..] = *numbers.as_slice()
        else {
            continue;
        };
        let sum = sum.get_or_insert_default();
        sum.received_bytes = sum.received_bytes.saturating_add(received_bytes);
        sum.received_packets = sum.received_packets.saturating_add(received_packets);
        sum.sent_bytes = sum.sent_bytes.saturating_add(sent_bytes);
        sum.sent_packets = sum.sent_packets.saturating_add(sent_packets);
    }
    sum
}

/// Sums of what was recorded, for the totals at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Packets that the kernel dropped, those left in the ring at the end included.
    pub kernel_dropped: u64,
    /// Packets that the interface missed.
    pub interface_dropped: u64,
}

/// Turns readings into what happened since the reading before.
#[derive(Debug, Default)]
pub struct Deltas {
    kernel: KernelStats,
    interface: Option<InterfaceStats>,
    filtered: bool,
    sums: Sums,
}

impl Deltas {
    /// Starts at these readings of the interface; the kernel's own counters start at zero with the capture.
    /// `filtered`: what the interface counts is not what is captured, so it does not tell how long a dropped packet was.
    pub fn starting_at(interface: Option<InterfaceStats>, filtered: bool) -> Self {
        Self { interface, filtered, ..Self::default() }
    }

    /// What happened since the last call; counters that did not move are left out. `interface` is `None` where
    /// nothing could be read.
    pub fn advance(&mut self, kernel: KernelStats, interface: Option<InterfaceStats>) -> Vec<Count> {
        let received = kernel.received.wrapping_sub(self.kernel.received);
        let dropped = kernel.dropped.wrapping_sub(self.kernel.dropped);
        self.kernel = kernel;
        let mut counts =
            vec![count(Counter::KernelReceived, received.into(), 0), count(Counter::KernelDropped, dropped.into(), 0)];
        if let (Some(now), Some(before)) = (interface, self.interface) {
            let since = |new: u64, old: u64| new.checked_sub(old).unwrap_or(new); // smaller: the driver began anew
            let d = |f: fn(&InterfaceStats) -> u64| since(f(&now), f(&before));
            let packets = d(|s| s.received_packets).saturating_add(d(|s| s.sent_packets));
            let bytes = d(|s| s.received_bytes).saturating_add(d(|s| s.sent_bytes));
            if let Some(drop) = counts.last_mut().filter(|_| !self.filtered) {
                drop.bytes = share(bytes, dropped, packets);
            }
            counts.extend([
                count(Counter::InterfaceDropped, d(|s| s.missed_packets), 0),
                count(Counter::InterfaceReceived, d(|s| s.received_packets), d(|s| s.received_bytes)),
                count(Counter::InterfaceSent, d(|s| s.sent_packets), d(|s| s.sent_bytes)),
            ]);
        }
        self.interface = interface.or(self.interface);
        counts.retain(|c| c.packets != 0 || c.bytes != 0);
        counts.iter().for_each(|c| self.note(c));
        counts
    }

    /// The interface was made again: its counters started at zero.
    pub fn interface_began_anew(&mut self) {
        self.interface = self.interface.map(|_| InterfaceStats::default());
    }

    /// Adds a count that did not come from a reading to the sums.
    pub fn note(&mut self, c: &Count) {
        match c.counter {
            Counter::KernelDropped => self.sums.kernel_dropped += c.packets,
            Counter::InterfaceDropped => self.sums.interface_dropped += c.packets,
            _ => {}
        }
    }

    /// Sums since the start.
    pub fn sums(&self) -> Sums {
        self.sums
    }
}

/// Bytes of `dropped` packets, if they are as long as those of the interface are in the mean.
fn share(bytes: u64, dropped: u32, packets: u64) -> u64 {
    let mean = u128::from(bytes).saturating_mul(dropped.into()).checked_div(packets.into());
    mean.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

/// One count.
pub fn count(counter: Counter, packets: u64, bytes: u64) -> Count {
    Count { counter, packets, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0     0       0          0
  eth0:5000000    4000    1    2    3     4          5         6  700000    3000    0    0    0     0       0          0
 short: 1 2 3
";

    #[test]
    fn the_line_of_the_interface_is_found_and_any_is_the_sum() {
        let eth0 = parse_dev(DEV, "eth0").unwrap();
        assert_eq!((eth0.received_bytes, eth0.received_packets), (5_000_000, 4000));
        assert_eq!((eth0.sent_bytes, eth0.sent_packets), (700_000, 3000));
        assert_eq!(parse_dev(DEV, ANY).unwrap().received_packets, 4010);
        assert_eq!(parse_dev(DEV, "eth1"), None);
        assert_eq!(parse_dev(DEV, "short"), None);
    }

    #[test]
    fn only_what_moved_is_recorded() {
        let base = parse_dev(DEV, "eth0");
        let mut deltas = Deltas::starting_at(base, false);
        assert_eq!(deltas.advance(KernelStats::default(), base), []);
        let mut now = base.unwrap();
        now.sent_packets += 2;
        now.sent_bytes += 99;
        now.missed_packets += 1;
        let counts = deltas.advance(KernelStats { received: 7, dropped: 3 }, Some(now));
        assert_eq!(
            counts,
            [
                count(Counter::KernelReceived, 7, 0),
                count(Counter::KernelDropped, 3, 148), // 99 bytes in 2 packets
                count(Counter::InterfaceDropped, 1, 0),
                count(Counter::InterfaceSent, 2, 99),
            ]
        );
        assert_eq!(deltas.sums(), Sums { kernel_dropped: 3, interface_dropped: 1 });
    }

    #[test]
    fn with_a_filter_the_interface_does_not_say_how_long_a_dropped_packet_was() {
        let mut deltas = Deltas::starting_at(Some(InterfaceStats::default()), true);
        let now = InterfaceStats { received_packets: 10, received_bytes: 10_000, ..Default::default() };
        let counts = deltas.advance(KernelStats { received: 4, dropped: 2 }, Some(now));
        assert!(counts.contains(&count(Counter::KernelDropped, 2, 0)), "{counts:?}");
    }

    #[test]
    fn counters_wrap_and_begin_anew_without_a_jump() {
        let mut deltas =
            Deltas::starting_at(Some(InterfaceStats { received_packets: 50, ..Default::default() }), false);
        deltas.advance(KernelStats { received: u32::MAX, dropped: 0 }, None);
        let anew = InterfaceStats { received_packets: 4, ..Default::default() };
        let counts = deltas.advance(KernelStats { received: 1, dropped: 0 }, Some(anew));
        assert_eq!(counts, [count(Counter::KernelReceived, 2, 0), count(Counter::InterfaceReceived, 4, 0)]);
    }
}
