//! The captured interfaces as one source: their packets in the order of time, their counters added
//! up.

use crate::cage::{Kept, Use};
use crate::capture::{RING_DELAY_NS, Source};
use crate::clock::{GapAt, Now};
use crate::counters::{self, Deltas, KernelStats, Sums, count};
use crate::error::Error;
use crate::interface::Interface;
use crate::links::Link;
use crate::log::{Level, log};
use crate::netlink::Change;
use imon_common::observe::{Count, Counter, GapReason};
use imon_common::packet::{self, CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// A packet from further in the future than this was stamped before the wall clock was stepped
/// back: it does not wait.
const AHEAD_NS: i64 = 1_000_000_000;

/// Shortest wait for packets that are held back: what comes in this time is worked off together.
const SHORTEST_HOLD: Duration = Duration::from_millis(20);

/// What an interface is captured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Its packets are counted.
    Traffic,
    /// Only the names in its DNS messages are taken.
    NamesOnly,
}

/// Whether a packet waits for older ones of other interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// As long as older ones may come, at this time of the wall clock.
    Until(UnixNanos),
    /// Not: what is there is all.
    No,
}

impl Hold {
    /// Whether a packet with this stamp must wait while another interface is silent.
    fn keeps(self, ts: UnixNanos) -> bool {
        match self {
            Self::Until(now) => (-AHEAD_NS..RING_DELAY_NS).contains(&now.since(ts)),
            Self::No => false,
        }
    }
}

/// One captured interface.
pub struct Port<S> {
    task: Task,
    source: S,
    counters: counters::Interface,
    deltas: Deltas,
    /// `None` for all interfaces at once, which are never gone.
    link: Option<Link>,
    hardware: u16,
    name: String,
    /// Packets that were counted.
    delivered: u64,
    /// The oldest packet that was taken from the ring, where there are several ports.
    head: Option<Held>,
    /// Memory for the next one.
    spare: Vec<u8>,
}

/// A packet out of the ring.
struct Held {
    ts: UnixNanos,
    orig_len: u32,
    link_type: LinkType,
    data: Vec<u8>,
}

impl<S: Source> Port<S> {
    /// A port that is captured from now on. `interface` is `None` for all at once.
    pub fn new(
        (task, name): (Task, &str),
        (source, mut counters): (S, counters::Interface),
        interface: Option<&Interface>,
        now: Now,
    ) -> Self {
        let link = interface.map(|i| Link::new(i, now));
        let deltas = Deltas::starting_at(counters.read(), counters.captured());
        if let Some(reason) = link.as_ref().and_then(Link::reason) {
            say_lost(name, reason);
        }
        Self {
            task,
            deltas: if source.counts_twice() { deltas.counting_twice() } else { deltas },
            source,
            counters,
            link,
            hardware: interface.map_or(0, |i| i.hardware),
            name: name.into(),
            delivered: 0,
            head: None,
            spare: Vec::new(),
        }
    }

    /// Takes the next packet from the ring, if none is held. False if there is none.
    fn fetch(&mut self) -> Result<bool, Error> {
        if self.head.is_none() {
            let (head, spare) = (&mut self.head, &mut self.spare);
            self.source.drain(1, |packet| {
                let CapturedPacket { ts, orig_len, link_type, data: bytes, .. } = *packet;
                let mut data = std::mem::take(spare);
                data.clear();
                data.extend_from_slice(bytes);
                *head = Some(Held { ts, orig_len, link_type, data });
            })?;
        }
        Ok(self.head.is_some())
    }

    /// Packets that the kernel had taken by the time of `kernel` and that were not handed over.
    fn left_in_ring(&self, kernel: KernelStats) -> u64 {
        // 32-bit counters of a long run have wrapped: so does the difference, which is small.
        let kept = kernel.received.wrapping_sub(kernel.dropped);
        let kept = if self.source.counts_twice() { kept / 2 } else { kept };
        let left = kept.wrapping_sub(self.delivered as u32);
        if left > u32::MAX / 2 { 0 } else { left.into() }
    }

    /// What the counters say since the last time.
    fn counts(&mut self, kernel: KernelStats) -> Vec<Count> {
        match self.task {
            Task::Traffic => self.deltas.advance(kernel, self.counters.read()),
            // Its packets are in no sum; those that were lost may have held names.
            Task::NamesOnly => {
                let lost =
                    self.deltas.advance(kernel, None).into_iter().filter(|c| c.counter == Counter::KernelDropped);
                lost.map(|c| count(Counter::NamesGivenUp, c.packets, 0)).collect()
            }
        }
    }

    /// Takes in what happened to a link. Gives a gap that is over.
    fn see(&mut self, change: &Change, now: Now) -> Result<Option<GapAt>, Error> {
        // Of the captured one, or, where all are, of any.
        let is_read = |index: u32| self.link.as_ref().is_none_or(|link| link.index() == Some(index));
        if let (Some(before), None, Some(last)) = (&change.before, &change.after, change.last)
            && is_read(before.index)
        {
            self.deltas.end(before.index, last);
        }
        let Some(news) = self.link.as_mut().and_then(|link| link.see(change, now)) else {
            return Ok(None);
        };
        if let Some((index, hardware)) = news.back {
            if hardware != self.hardware {
                return Err(Error::OtherLink { interface: self.name.clone() });
            }
            if !self.source.rebind(index)? {
                if let Some(link) = &mut self.link {
                    link.missed(now);
                }
                return Ok(None);
            }
            self.counters.follow(index);
        }
        if let (Some(before), Some(after)) = (&change.before, &change.after)
            && before.name != after.name
        {
            log(Level::Notice, format_args!("{}: called {} from now on", self.name, after.name));
        }
        if let Some(reason) = news.lost {
            say_lost(&self.name, reason);
        } else if news.over.is_some() {
            log(Level::Notice, format_args!("{}: back", self.name));
        }
        Ok(self.booked(news.over))
    }

    /// A gap in names is none in the books.
    fn booked(&self, gap: Option<GapAt>) -> Option<GapAt> {
        gap.filter(|_| self.task == Task::Traffic)
    }
}

fn say_lost(name: &str, reason: GapReason) {
    log(Level::Notice, format_args!("{name}: {}; waits until it is back", reason.word()));
}

/// All captured interfaces; at least one.
pub struct Ports<S>(Vec<Port<S>>);

impl<S: Source> Ports<S> {
    /// These interfaces together.
    pub fn new(ports: Vec<Port<S>>) -> Self {
        Self(ports)
    }

    /// Hands at most `limit` packets to `each` and gives their number; `each` says whether it
    /// counted them.
    ///
    /// With several interfaces packets come in the order of time: one is held back until nothing
    /// older can come from the others. An answer that names a flow then comes before it, whatever
    /// interface it came by.
    ///
    /// # Errors
    /// A capture failed.
    pub fn drain(
        &mut self,
        limit: usize,
        hold: Hold,
        mut each: impl FnMut(Task, &CapturedPacket<'_>) -> bool,
    ) -> Result<usize, Error> {
        if let [port] = self.0.as_mut_slice() {
            let (task, delivered) = (port.task, &mut port.delivered);
            return port.source.drain(limit, |packet| *delivered += u64::from(each(task, packet)));
        }
        // A ring that was found empty is not asked again in this turn.
        let mut dry = vec![false; self.0.len()];
        for handled in 0..limit {
            for (port, dry) in self.0.iter_mut().zip(&mut dry) {
                *dry = *dry || !port.fetch()?;
            }
            let waits = dry.contains(&true);
            let held = self.0.iter_mut().enumerate().filter(|(_, p)| p.head.is_some());
            let Some((place, port)) = held.min_by_key(|(_, p)| p.head.as_ref().map(|h| h.ts)) else {
                return Ok(handled);
            };
            let Some(held) = port.head.take_if(|held| !(waits && hold.keeps(held.ts))) else {
                return Ok(handled);
            };
            let Held { ts, orig_len, link_type, data } = held;
            let interface = u32::try_from(place).unwrap_or(u32::MAX); // at most 16
            let packet = CapturedPacket { ts, orig_len, link_type, interface, data: &data };
            port.delivered += u64::from(each(port.task, &packet));
            port.spare = data;
        }
        Ok(limit)
    }

    /// How long to wait for packets that are held back; `None` if there are none.
    pub fn held_for(&self, now: UnixNanos) -> Option<Duration> {
        let oldest = self.0.iter().filter_map(|p| p.head.as_ref().map(|h| h.ts)).min()?;
        let left_ns = RING_DELAY_NS.saturating_sub(now.since(oldest)).clamp(0, RING_DELAY_NS);
        Some(Duration::from_nanos(left_ns.unsigned_abs()).max(SHORTEST_HOLD))
    }

    /// What to poll. A port whose packet is held back has more to read, but not now.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().filter(|p| p.head.is_none()).map(|p| p.source.fd())
    }

    /// What of them stays open.
    pub fn kept(&self) -> Vec<Kept> {
        let of_port = |p: &Port<S>| {
            let capture = Kept::new(p.source.fd(), Use::Held, format!("the capture of {}", p.name));
            let counters = p.counters.fd().map(|fd| Kept::new(fd, Use::Both, format!("the counters of {}", p.name)));
            [capture].into_iter().chain(counters)
        };
        self.0.iter().flat_map(of_port).collect()
    }

    /// Whether the counters of all interfaces can be read.
    pub fn have_counters(&mut self) -> bool {
        self.0.iter_mut().all(|p| p.counters.read().is_some())
    }

    /// The kernel's counters, by port.
    ///
    /// # Errors
    /// A capture failed.
    pub fn stats(&mut self) -> Result<Vec<KernelStats>, Error> {
        self.0.iter_mut().map(|p| p.source.stats()).collect()
    }

    /// What the counters say since the last time; `kernel` is a reading of [`Self::stats`].
    pub fn counts(&mut self, kernel: &[KernelStats]) -> Vec<Count> {
        let mut sums: Vec<Count> = Vec::new();
        for count in self.0.iter_mut().zip(kernel).flat_map(|(port, kernel)| port.counts(*kernel)) {
            match sums.iter_mut().find(|sum| sum.counter == count.counter) {
                Some(sum) => (sum.packets, sum.bytes) = (sum.packets + count.packets, sum.bytes + count.bytes),
                None => sums.push(count),
            }
        }
        sums
    }

    /// Records as lost what the kernel had taken by the time of `kernel` and what was not handed
    /// over.
    pub fn give_up_rings(&mut self, kernel: &[KernelStats]) -> Option<Count> {
        let ports = self.0.iter_mut().zip(kernel).filter(|(port, _)| port.task == Task::Traffic);
        let lost = ports.map(|(port, kernel)| {
            let lost = count(Counter::KernelDropped, port.left_in_ring(*kernel), 0);
            port.deltas.note(&lost);
            lost.packets
        });
        Some(lost.sum()).filter(|lost| *lost > 0).map(|lost| count(Counter::KernelDropped, lost, 0))
    }

    /// What was lost on all of them.
    pub fn lost(&self) -> Sums {
        let traffic = self.0.iter().filter(|p| p.task == Task::Traffic);
        traffic.fold(Sums::default(), |sum, port| {
            let more = port.deltas.sums();
            Sums {
                kernel_dropped: sum.kernel_dropped + more.kernel_dropped,
                interface_dropped: sum.interface_dropped + more.interface_dropped,
            }
        })
    }

    /// The recording begins: gaps are counted from now on.
    pub fn begin(&mut self, now: Now) {
        self.0.iter_mut().filter_map(|port| port.link.as_mut()).for_each(|link| link.begin(now));
    }

    /// Interfaces that are captured for their traffic and are not there.
    pub fn missing(&self) -> Vec<&str> {
        let is_gone = |p: &&Port<S>| p.link.as_ref().is_some_and(|link| link.index().is_none());
        self.0.iter().filter(|p| p.task == Task::Traffic).filter(is_gone).map(|p| p.name.as_str()).collect()
    }

    /// Takes in what happened to links, after which there is `list`: binds captures to interfaces
    /// that are back. Gives the gaps that are over.
    ///
    /// # Errors
    /// An interface came back as another kind of link, or could not be bound.
    pub fn see(&mut self, changes: &[Change], list: &[Interface], now: Now) -> Result<Vec<GapAt>, Error> {
        let mut over = Vec::new();
        for change in changes {
            for port in &mut self.0 {
                over.extend(port.see(change, now)?);
            }
        }
        // One that is gone after it was renamed may have left its name to another before.
        for port in &mut self.0 {
            let heir = port.link.as_ref().and_then(|link| link.heir(list));
            if let Some(heir) = heir {
                over.extend(port.see(&Change { before: None, after: Some(heir.clone()), last: None }, now)?);
            }
        }
        Ok(over)
    }

    /// What is recorded, by the number that its packets have: the place of the port, or, of all
    /// interfaces at once, each one of `list` by the kernel's number.
    pub fn interfaces(&self, list: &[Interface]) -> Vec<(u32, packet::Interface)> {
        let traffic = self.0.iter().enumerate().filter(|(_, p)| p.task == Task::Traffic);
        let mut known = Vec::new();
        for (place, port) in traffic {
            let link_type = port.source.link_type();
            match &port.link {
                None => {
                    known.extend(list.iter().map(|i| (i.index, packet::Interface { name: i.name.clone(), link_type })))
                }
                Some(_) => {
                    let place = u32::try_from(place).unwrap_or(u32::MAX); // at most 16
                    known.push((place, packet::Interface { name: port.name.clone(), link_type }));
                }
            }
        }
        known
    }

    /// The numbers of the interfaces whose traffic is recorded, in the order of the ports; `None`
    /// for all at once, and for one that is gone.
    pub fn indices(&self) -> Vec<Option<u32>> {
        let traffic = self.0.iter().filter(|p| p.task == Task::Traffic);
        traffic.map(|p| p.link.as_ref().and_then(Link::index)).collect()
    }

    /// The gaps that last at present, as far as they have come; what follows is another one.
    pub fn take_gaps(&mut self, now: Now) -> Vec<GapAt> {
        let traffic = self.0.iter_mut().filter(|p| p.task == Task::Traffic);
        traffic.filter_map(|p| p.link.as_mut()?.take_gap(now)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Script;

    const MS: i64 = 1_000_000;
    const NOW: i64 = 100_000 * MS;

    fn now() -> Now {
        Now { wall: UnixNanos(NOW), awake_ns: 0, boot_ns: 0 }
    }

    fn port(task: Task, source: &Script, interface: Option<&Interface>) -> Port<Script> {
        Port::new((task, "test0"), (source.clone(), counters::Interface::none()), interface, now())
    }

    fn script(stamps_ms: &[i64]) -> Script {
        let stamps: Vec<_> = stamps_ms.iter().map(|ms| UnixNanos(NOW + ms * MS)).collect();
        Script::new(&stamps, 0, 0)
    }

    /// Stamps in the order in which they are handed over, in ms.
    fn drained(ports: &mut Ports<Script>, limit: usize, hold: Hold) -> Vec<i64> {
        let mut order = Vec::new();
        let handled = ports.drain(limit, hold, |_, packet| {
            order.push((packet.ts.0 - NOW) / MS);
            true
        });
        assert_eq!(handled.unwrap(), order.len());
        order
    }

    #[test]
    fn packets_of_several_interfaces_come_in_the_order_of_time() {
        let (one, two) = (script(&[-900, -700, -500]), script(&[-800, -700, -300]));
        let mut ports = Ports::new(vec![port(Task::Traffic, &one, None), port(Task::NamesOnly, &two, None)]);
        let hold = Hold::Until(UnixNanos(NOW));
        assert_eq!(drained(&mut ports, 2, hold), [-900, -800]);
        assert_eq!(drained(&mut ports, 100, hold), [-700, -700, -500, -300]);
    }

    #[test]
    fn a_packet_waits_until_nothing_older_can_come_and_no_longer() {
        let (one, two) = (script(&[-10]), script(&[]));
        let mut ports = Ports::new(vec![port(Task::Traffic, &one, None), port(Task::Traffic, &two, None)]);
        assert!(drained(&mut ports, 9, Hold::Until(UnixNanos(NOW))).is_empty());
        assert_eq!(ports.fds().count(), 1);
        let wait = ports.held_for(UnixNanos(NOW)).unwrap();
        assert_eq!(wait, Duration::from_nanos((RING_DELAY_NS - 10 * MS) as u64));
        // It comes from the other one: older, and handed over later.
        two.state.borrow_mut().stamps.push_back(UnixNanos(NOW - 20 * MS));
        assert_eq!(drained(&mut ports, 9, Hold::Until(UnixNanos(NOW + RING_DELAY_NS - 10 * MS))), [-20, -10]);
        assert_eq!(ports.held_for(UnixNanos(NOW)), None);
        one.state.borrow_mut().stamps.push_back(UnixNanos(NOW));
        assert_eq!(drained(&mut ports, 9, Hold::No), [0]);
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nothing_up() {
        let (one, two) = (script(&[7_200_000]), script(&[]));
        let mut ports = Ports::new(vec![port(Task::Traffic, &one, None), port(Task::Traffic, &two, None)]);
        assert_eq!(drained(&mut ports, 9, Hold::Until(UnixNanos(NOW))), [7_200_000]);
    }

    #[test]
    fn counters_of_several_interfaces_add_up_and_those_of_names_do_not_count() {
        let source = |received, dropped| Script::new(&[], received, dropped);
        let (one, two, names) = (source(10, 1), source(20, 2), source(30, 3));
        let mut ports = Ports::new(vec![
            port(Task::Traffic, &one, None),
            port(Task::Traffic, &two, None),
            port(Task::NamesOnly, &names, None),
        ]);
        let kernel = ports.stats().unwrap();
        let counts = ports.counts(&kernel);
        assert_eq!(
            counts,
            [
                count(Counter::KernelReceived, 30, 0),
                count(Counter::KernelDropped, 3, 0),
                count(Counter::NamesGivenUp, 3, 0)
            ]
        );
        assert_eq!(ports.give_up_rings(&kernel), Some(count(Counter::KernelDropped, 9 + 18, 0)));
        assert_eq!(ports.lost().kernel_dropped, 30);
    }

    #[test]
    fn a_wrapped_counter_of_the_kernel_leaves_nothing_in_the_ring() {
        let mut port = port(Task::Traffic, &script(&[]), None);
        port.delivered = (1 << 32) + 5;
        assert_eq!(port.left_in_ring(KernelStats { received: 5, dropped: 0 }), 0);
        assert_eq!(port.left_in_ring(KernelStats { received: 9, dropped: 1 }), 3);
        // More delivered than counted (a packet between the two readings): nothing left, not four
        // thousand million.
        assert_eq!(port.left_in_ring(KernelStats { received: 4, dropped: 0 }), 0);
    }

    #[test]
    fn an_interface_that_is_back_is_bound_again_unless_it_is_another_kind_of_link() {
        let interface = |index, hardware| Interface {
            index,
            hardware,
            name: "test0".into(),
            up: true,
            running: true,
            ..Interface::default()
        };
        let source = script(&[]);
        let mut ports = Ports::new(vec![port(Task::Traffic, &source, Some(&interface(3, 1)))]);
        let gone = |index| Change { before: Some(interface(index, 1)), after: None, last: None };
        let back = |index, hardware| Change { before: None, after: Some(interface(index, hardware)), last: None };
        let later = Now { boot_ns: 5_000 * MS, ..now() };
        assert_eq!(ports.see(&[gone(3)], &[], now()).unwrap(), []);
        assert_eq!(ports.missing(), ["test0"]);
        let over = ports.see(&[back(4, 1)], &[], later).unwrap();
        assert_eq!(over, [(UnixNanos(NOW), crate::clock::gap(GapReason::InterfaceGone, 5_000 * MS))]);
        assert_eq!((&source.state.borrow().bound[..], ports.missing()), (&[4][..], vec![]));

        // Gone again before it could be bound: the gap goes on.
        source.state.borrow_mut().unbindable = true;
        assert_eq!(ports.see(&[gone(4), back(5, 1)], &[], later).unwrap().len(), 0);
        let much_later = Now { boot_ns: later.boot_ns + MS, ..later };
        assert_eq!(ports.see(&[back(6, 1)], &[], much_later).unwrap().len(), 0);
        let lasting = [(UnixNanos(NOW), crate::clock::gap(GapReason::InterfaceGone, MS))];
        assert_eq!(ports.take_gaps(much_later), lasting, "one gap, however often it was tried");
        assert!(matches!(ports.see(&[back(6, 65_534)], &[], later), Err(Error::OtherLink { .. })));
        // One that only names are taken from is not recorded.
        let mut names = Ports::new(vec![port(Task::NamesOnly, &source, Some(&interface(3, 1)))]);
        names.see(&[gone(3)], &[], now()).unwrap();
        assert!(names.missing().is_empty());
    }

    #[test]
    fn a_renamed_interface_is_recorded_on_and_its_heir_takes_its_place_when_it_is_gone() {
        let interface = |index, name: &str| Interface {
            index,
            hardware: 1,
            name: name.into(),
            up: true,
            running: true,
            ..Interface::default()
        };
        let source = script(&[]);
        let mut ports = Ports::new(vec![port(Task::Traffic, &source, Some(&interface(3, "test0")))]);
        let (old, renamed, heir) = (interface(3, "test0"), interface(3, "lan0"), interface(8, "test0"));
        let changes = [
            Change { before: Some(old), after: Some(renamed.clone()), last: None },
            Change { before: None, after: Some(heir.clone()), last: None },
        ];
        assert_eq!(ports.see(&changes, &[renamed.clone(), heir.clone()], now()).unwrap(), []);
        assert_eq!((ports.indices(), source.state.borrow().bound.len()), (vec![Some(3)], 0));
        let gone = Change { before: Some(renamed), after: None, last: None };
        assert_eq!(ports.see(&[gone], &[heir], now()).unwrap().len(), 1);
        assert_eq!(ports.indices(), [Some(8)]);
        assert_eq!(source.state.borrow().bound, [8]);
    }
}
