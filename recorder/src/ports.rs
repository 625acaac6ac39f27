//! The captured interfaces as one source: their packets in the order of time, their counters added up.

use crate::capture::{RING_DELAY_NS, Source};
use crate::clock::{GapAt, Now};
use crate::counters::{self, Deltas, KernelStats, Sums, count};
use crate::error::Error;
use crate::interface::Interface;
use crate::links::Link;
use crate::netlink::Change;
use crate::summary::say;
use imon_common::observe::{Count, Counter};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// A packet from further in the future than this was stamped before the wall clock was stepped back: it does not wait.
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
        task: Task,
        name: &str,
        source: S,
        mut counters: counters::Interface,
        interface: Option<&Interface>,
        now: Now,
    ) -> Self {
        Self {
            task,
            deltas: Deltas::starting_at(counters.read()),
            source,
            counters,
            link: interface.map(|i| Link::new(i, now)),
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
                let CapturedPacket { ts, orig_len, link_type, data: bytes } = *packet;
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
        let received = if self.source.counts_twice() { kernel.received / 2 } else { kernel.received };
        // 32-bit counters of a long run have wrapped: so does the difference, which is small.
        let left = received.wrapping_sub(kernel.dropped).wrapping_sub(self.delivered as u32);
        if left > u32::MAX / 2 { 0 } else { left.into() }
    }

    /// What the counters say since the last time.
    fn counts(&mut self, kernel: KernelStats) -> Vec<Count> {
        match self.task {
            Task::Traffic => self.deltas.advance(kernel, self.counters.read()),
            // Its packets are in no sum; those that were lost may have held names.
            Task::NamesOnly => {
                let lost = self.deltas.advance(kernel, None).into_iter().filter(|c| c.counter == Counter::KernelDropped);
                lost.map(|c| count(Counter::NamesGivenUp, c.packets, 0)).collect()
            }
        }
    }

    /// Takes in what happened to a link. Gives a gap that is over.
    fn see(&mut self, change: &Change, now: Now) -> Result<Option<GapAt>, Error> {
        let Some(news) = self.link.as_mut().and_then(|link| link.see(change, now)) else {
            return Ok(None);
        };
        if let Some((index, hardware)) = news.back {
            if hardware != self.hardware {
                return Err(Error::OtherLink { interface: self.name.clone() });
            }
            if self.source.rebind(index)? {
                self.deltas.interface_began_anew();
            } else if let Some(link) = &mut self.link {
                link.missed(now);
            }
        }
        if let Some(reason) = news.lost {
            say(format_args!("{}: {}; recording goes on when it is back", self.name, reason.word()));
        } else if news.over.is_some() {
            say(format_args!("{}: back", self.name));
        }
        Ok(news.over.filter(|_| self.task == Task::Traffic))
    }
}

/// All captured interfaces; at least one.
pub struct Ports<S>(Vec<Port<S>>);

impl<S: Source> Ports<S> {
    /// These interfaces together.
    pub fn new(ports: Vec<Port<S>>) -> Self {
        Self(ports)
    }

    /// Hands at most `limit` packets to `each` and gives their number; `each` says whether it counted them.
    ///
    /// With several interfaces packets come in the order of time: one is held back until nothing older can come from
    /// the others. An answer that names a flow then comes before it, whatever interface it came by.
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
            let oldest = self.0.iter_mut().filter(|p| p.head.is_some()).min_by_key(|p| p.head.as_ref().map(|h| h.ts));
            let Some(port) = oldest else {
                return Ok(handled);
            };
            let Some(held) = port.head.take_if(|held| !(waits && hold.keeps(held.ts))) else {
                return Ok(handled);
            };
            let Held { ts, orig_len, link_type, data } = held;
            let packet = CapturedPacket { ts, orig_len, link_type, data: &data };
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

    /// Records as lost what the kernel had taken by the time of `kernel` and what was not handed over.
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

    /// Takes in what happened to links: binds captures to interfaces that are back. Gives the gaps that are over.
    ///
    /// # Errors
    /// An interface came back as another kind of link, or could not be bound.
    pub fn see(&mut self, changes: &[Change], now: Now) -> Result<Vec<GapAt>, Error> {
        let mut over = Vec::new();
        for change in changes {
            for port in &mut self.0 {
                over.extend(port.see(change, now)?);
            }
        }
        Ok(over)
    }

    /// The gaps that last at present, as far as they have come; what follows is another one.
    pub fn take_gaps(&mut self, now: Now) -> Vec<GapAt> {
        let traffic = self.0.iter_mut().filter(|p| p.task == Task::Traffic);
        traffic.filter_map(|p| p.link.as_mut()?.take_gap(now)).collect()
    }
}
