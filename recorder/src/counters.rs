//! Counters that are not packets: what the kernel gave and dropped, what the interface itself
//! counted. As deltas.

use crate::netlink::{StatsSocket, Which};
use imon_common::observe::{Count, Counter};
use std::os::fd::BorrowedFd;

/// What libpcap says of the capture since it was opened.
///
/// libpcap 1.10 on Linux (pcap-linux.c, `pcap_stats_linux`; checked with 1.10.3): `received` counts
/// the packets that passed the kernel's filter, *those dropped for lack of room included*; on
/// loopback both copies of each packet, of which libpcap hands over one. `if_dropped` is filled in
/// promiscuous mode only, so it is not used: see [`Interface`]. Both are 32 bits wide and wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelStats {
    /// `ps_recv`.
    pub received: u32,
    /// `ps_drop`.
    pub dropped: u32,
}

/// An interface's own counters. Bytes include link headers. A loopback interface receives what it
/// sends: it has sent nothing.
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
    /// Packets that the card or its driver had no room for: they reached neither the system nor the
    /// capture.
    pub missed_packets: u64,
}

impl InterfaceStats {
    fn plus(self, more: Self) -> Self {
        Self {
            received_packets: self.received_packets.saturating_add(more.received_packets),
            received_bytes: self.received_bytes.saturating_add(more.received_bytes),
            sent_packets: self.sent_packets.saturating_add(more.sent_packets),
            sent_bytes: self.sent_bytes.saturating_add(more.sent_bytes),
            missed_packets: self.missed_packets.saturating_add(more.missed_packets),
        }
    }
}

/// What of that which an interface counts is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Captured {
    Whole,
    /// A filter leaves packets out.
    Filtered,
}

/// The counters of one interface (of all, for `any`), by number: names change hands. The socket is
/// opened once: after the rights are given up it could not be opened any more.
#[derive(Debug)]
pub struct Interface {
    which: Which,
    socket: Option<StatsSocket>,
    captured: Captured,
}

impl Interface {
    /// Opens what there is. A system that does not tell gives no interface counters; that is no
    /// error.
    pub fn open(which: Which, captured: Captured) -> Self {
        Self { which, socket: StatsSocket::open().ok(), captured }
    }

    /// Counters of nothing, for tests.
    #[cfg(test)]
    pub fn none() -> Self {
        Self { which: Which::All, socket: None, captured: Captured::Whole }
    }

    /// What it asks through.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(StatsSocket::as_fd)
    }

    /// Whether what it counts is captured.
    pub fn captured(&self) -> Captured {
        self.captured
    }

    /// From now on the interface with this number is meant.
    pub fn follow(&mut self, index: u32) {
        self.which = Which::Index(index);
    }

    /// The counters now, by number. `None` where the system has none, or the interface is gone.
    pub fn read(&mut self) -> Option<Vec<(u32, InterfaceStats)>> {
        self.socket.as_mut()?.read(self.which).ok().filter(|stats| !stats.is_empty())
    }
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
    /// The reading before, by number of the interface; `None` if there was none.
    interfaces: Option<Vec<(u32, InterfaceStats)>>,
    /// What moved on an interface that is gone, since the last reading of it.
    gone: InterfaceStats,
    filtered: bool,
    twice: Option<Halves>,
    sums: Sums,
}

/// What is left over of numbers that count everything twice: halves are counted with the next
/// whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Halves {
    received: u32,
    dropped: u32,
}

impl Deltas {
    /// Starts at these readings of the interfaces; the kernel's own counters start at zero with the
    /// capture. Where less is captured than the interface counts, that does not tell how long a
    /// dropped packet was.
    pub fn starting_at(interfaces: Option<Vec<(u32, InterfaceStats)>>, captured: Captured) -> Self {
        Self { interfaces, filtered: captured == Captured::Filtered, ..Self::default() }
    }

    /// The kernel counts each packet twice (loopback).
    pub fn counting_twice(self) -> Self {
        Self { twice: Some(Halves::default()), ..self }
    }

    /// A captured interface is gone, and this is what it had counted in the end.
    pub fn end(&mut self, index: u32, last: InterfaceStats) {
        // Where nothing could be read nobody knows where it began.
        let Some(interfaces) = &mut self.interfaces else { return };
        let place = interfaces.partition_point(|(other, _)| *other < index);
        // It may come back as it was, from another network namespace.
        match interfaces.get_mut(place).filter(|(other, _)| *other == index) {
            Some(before) => {
                self.gone = self.gone.plus(moved(&[*before], &[(index, last)]));
                before.1 = last;
            }
            // It came and went between two readings: it began at zero.
            None => {
                self.gone = self.gone.plus(last);
                interfaces.insert(place, (index, last));
            }
        }
    }

    /// What happened since the last call; counters that did not move are left out. `interfaces` is
    /// `None` where nothing could be read. An interface that was not there before began at zero; of
    /// one that is gone [`Self::end`] tells.
    pub fn advance(&mut self, kernel: KernelStats, interfaces: Option<Vec<(u32, InterfaceStats)>>) -> Vec<Count> {
        let mut received = kernel.received.wrapping_sub(self.kernel.received);
        let mut dropped = kernel.dropped.wrapping_sub(self.kernel.dropped);
        self.kernel = kernel;
        if let Some(halves) = &mut self.twice {
            (received, halves.received) = halve(received, halves.received);
            (dropped, halves.dropped) = halve(dropped, halves.dropped);
        }
        let mut counts =
            vec![count(Counter::KernelReceived, received.into(), 0), count(Counter::KernelDropped, dropped.into(), 0)];
        let gone = std::mem::take(&mut self.gone);
        let moved = match (&interfaces, &self.interfaces) {
            (Some(now), Some(before)) => Some(moved(before, now).plus(gone)),
            _ => (gone != InterfaceStats::default()).then_some(gone),
        };
        if let Some(moved) = moved {
            let packets = moved.received_packets.saturating_add(moved.sent_packets);
            let bytes = moved.received_bytes.saturating_add(moved.sent_bytes);
            if let Some(drop) = counts.last_mut().filter(|_| !self.filtered) {
                drop.bytes = share(bytes, dropped, packets);
            }
            counts.extend([
                count(Counter::InterfaceDropped, moved.missed_packets, 0),
                count(Counter::InterfaceReceived, moved.received_packets, moved.received_bytes),
                count(Counter::InterfaceSent, moved.sent_packets, moved.sent_bytes),
            ]);
        }
        self.interfaces = interfaces.or(self.interfaces.take());
        counts.retain(|c| c.packets != 0 || c.bytes != 0);
        counts.iter().for_each(|c| self.note(c));
        counts
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

/// Half of `number` and of what was left over before; what is left over now.
fn halve(number: u32, left_over: u32) -> (u32, u32) {
    let whole = u64::from(number) + u64::from(left_over);
    ((whole / 2) as u32, (whole % 2) as u32) // at most 2^31
}

/// What moved from one reading to the next, on all interfaces together. Both are in the order of
/// numbers, as the kernel lists them, or hold one; where they are not, some interfaces are taken
/// for new ones.
fn moved(before: &[(u32, InterfaceStats)], now: &[(u32, InterfaceStats)]) -> InterfaceStats {
    let mut old = before.iter().peekable();
    let mut sum = InterfaceStats::default();
    for (index, stats) in now {
        while old.next_if(|(other, _)| other < index).is_some() {}
        let base = old.next_if(|(other, _)| other == index).map(|(_, stats)| *stats).unwrap_or_default();
        let since = |new: u64, old: u64| new.checked_sub(old).unwrap_or(new); // smaller: the driver began anew
        let add = |sum: u64, f: fn(&InterfaceStats) -> u64| sum.saturating_add(since(f(stats), f(&base)));
        sum = InterfaceStats {
            received_packets: add(sum.received_packets, |s| s.received_packets),
            received_bytes: add(sum.received_bytes, |s| s.received_bytes),
            sent_packets: add(sum.sent_packets, |s| s.sent_packets),
            sent_bytes: add(sum.sent_bytes, |s| s.sent_bytes),
            missed_packets: add(sum.missed_packets, |s| s.missed_packets),
        };
    }
    sum
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

    fn eth0() -> InterfaceStats {
        InterfaceStats {
            received_packets: 4_000,
            received_bytes: 5_000_000,
            sent_packets: 3_000,
            sent_bytes: 700_000,
            missed_packets: 4,
        }
    }

    #[test]
    fn what_came_and_went_between_two_readings_is_counted() {
        let mut deltas = Deltas::starting_at(Some(vec![(7, eth0())]), Captured::Whole);
        deltas.end(7, eth0());
        // Made again, used, and gone again before anybody looks.
        deltas.end(8, eth0());
        let sent = |counts: Vec<Count>| counts.iter().find(|c| c.counter == Counter::InterfaceSent).map(|c| c.packets);
        assert_eq!(sent(deltas.advance(KernelStats::default(), None)), Some(3_000));
        // As it was, from another network namespace; then a new one.
        assert_eq!(sent(deltas.advance(KernelStats::default(), Some(vec![(8, eth0())]))), None);
        deltas.end(8, eth0());
        deltas.end(9, eth0());
        let next = Some(vec![(10, eth0())]);
        assert_eq!(sent(deltas.advance(KernelStats::default(), next)), Some(6_000));
        // Of one whose beginning nobody saw nothing is known.
        let mut blind = Deltas::starting_at(None, Captured::Whole);
        blind.end(8, eth0());
        assert_eq!(blind.advance(KernelStats::default(), None), []);
    }

    #[test]
    fn only_what_moved_is_recorded() {
        let base = Some(vec![(2, eth0())]);
        let mut deltas = Deltas::starting_at(base.clone(), Captured::Whole);
        assert_eq!(deltas.advance(KernelStats::default(), base), []);
        let mut now = eth0();
        now.sent_packets += 2;
        now.sent_bytes += 99;
        now.missed_packets += 1;
        let counts = deltas.advance(KernelStats { received: 7, dropped: 3 }, Some(vec![(2, now)]));
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
    fn an_interface_that_comes_or_goes_moves_no_other() {
        let eth1 = InterfaceStats { received_packets: 5, received_bytes: 500, ..InterfaceStats::default() };
        let mut deltas = Deltas::starting_at(Some(vec![(2, eth0()), (7, eth0())]), Captured::Whole);
        let quiet = KernelStats::default();
        assert_eq!(deltas.advance(quiet, Some(vec![(7, eth0())])), [], "gone");
        assert_eq!(
            deltas.advance(quiet, Some(vec![(5, eth1), (7, eth0())])),
            [count(Counter::InterfaceReceived, 5, 500)],
            "new"
        );
        // The one that is recorded was made again: another number, counters from zero.
        assert_eq!(deltas.advance(quiet, Some(vec![(9, eth1)])), [count(Counter::InterfaceReceived, 5, 500)]);
    }

    #[test]
    fn what_an_interface_counted_before_it_went_is_counted() {
        let mut last = eth0();
        last.received_packets += 7;
        last.received_bytes += 700;
        let mut deltas = Deltas::starting_at(Some(vec![(2, eth0())]), Captured::Whole);
        let quiet = KernelStats::default();
        deltas.end(2, last);
        deltas.end(2, last); // said again
        let moved = [count(Counter::InterfaceReceived, 7, 700)];
        assert_eq!(deltas.advance(quiet, None), moved, "there is none to read from");
        assert_eq!(deltas.advance(quiet, None), []);
        // Made again in between.
        let again = InterfaceStats { received_packets: 1, received_bytes: 50, ..InterfaceStats::default() };
        let mut deltas = Deltas::starting_at(Some(vec![(2, eth0())]), Captured::Whole);
        deltas.end(2, last);
        assert_eq!(deltas.advance(quiet, Some(vec![(9, again)])), [count(Counter::InterfaceReceived, 8, 750)]);
        assert_eq!(deltas.advance(quiet, Some(vec![(9, again)])), []);
    }

    #[test]
    fn what_the_kernel_counts_twice_is_recorded_once() {
        let mut deltas = Deltas::starting_at(None, Captured::Whole).counting_twice();
        let mut received = |received, dropped| {
            let counts = deltas.advance(KernelStats { received, dropped }, None);
            let of = |counter| counts.iter().find(|c| c.counter == counter).map_or(0, |c| c.packets);
            (of(Counter::KernelReceived), of(Counter::KernelDropped))
        };
        assert_eq!([received(5, 1), received(6, 2), received(6, 2), received(16, 8)], [(2, 0), (1, 1), (0, 0), (5, 3)]);
    }

    #[test]
    fn with_a_filter_the_interface_does_not_say_how_long_a_dropped_packet_was() {
        let mut deltas = Deltas::starting_at(Some(vec![(2, InterfaceStats::default())]), Captured::Filtered);
        let now = InterfaceStats { received_packets: 10, received_bytes: 10_000, ..Default::default() };
        let counts = deltas.advance(KernelStats { received: 4, dropped: 2 }, Some(vec![(2, now)]));
        assert!(counts.contains(&count(Counter::KernelDropped, 2, 0)), "{counts:?}");
    }

    #[test]
    fn counters_wrap_and_begin_anew_without_a_jump() {
        let before = InterfaceStats { received_packets: 50, ..Default::default() };
        let mut deltas = Deltas::starting_at(Some(vec![(2, before)]), Captured::Whole);
        deltas.advance(KernelStats { received: u32::MAX, dropped: 0 }, None);
        let anew = InterfaceStats { received_packets: 4, ..Default::default() };
        let counts = deltas.advance(KernelStats { received: 1, dropped: 0 }, Some(vec![(2, anew)]));
        assert_eq!(counts, [count(Counter::KernelReceived, 2, 0), count(Counter::InterfaceReceived, 4, 0)]);
    }
}
