//! The loop of a live recording, on one thread: drain the ring, look at the clocks, do what is due, wait.

use crate::addresses::AddressWatch;
use crate::capture::{HAND_OVER_MS, Source};
use crate::clock::{Now, gaps_between};
use crate::counters::{self, Deltas, KernelStats, count};
use crate::error::Error;
use crate::log::{Level, log};
use crate::pipeline::{Moment, Pipeline};
use crate::reporter::Reporter;
use crate::signals::Signals;
use crate::summary::Summary;
use imon_common::observe::Counter;
use imon_common::time::UnixNanos;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::time::Duration;

/// Packets handled before the loop looks at clocks and signals again: about 10 ms of a busy link.
const BATCH: usize = 4096;

/// Longest wait for packets. Signals end it at once; this bounds how late a clock step or a due rotation is seen.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// Shortest time from one turn to the next, unless a turn was a full batch. On a busy link the kernel wakes us for every
/// block of the ring, up to 1,000 times a second, which took 14 % of the time; the ring holds 25 ms of 10 Gbit/s.
const PACE: Duration = Duration::from_millis(10);

/// After this time every packet that was captured before has been handed over: the kernel looks every
/// [`HAND_OVER_MS`] and hands over a block that it found open the time before, too. The rest is for a busy machine.
const RING_DELAY_NS: i64 = (2 * HAND_OVER_MS as i64 + 30) * 1_000_000;

/// How long after the stop packets from before it are still worked off; leaves time to seal within a second.
const LONGEST_DRAIN: Duration = Duration::from_millis(600);

/// Stamps of different processors are not strictly in order. A packet this much younger than the stop says that the
/// older ones are through. A guess with a wide margin: what was seen is microseconds.
const STAMP_DISORDER_NS: i64 = 5_000_000;

/// A running recording.
pub struct Recording<S> {
    source: S,
    pipeline: Pipeline,
    counters: counters::Interface,
    deltas: Deltas,
    watch: AddressWatch,
    interval_ns: i64,
    /// Start of the first interval that is not committed yet.
    current: UnixNanos,
    /// Packets that the source handed over.
    delivered: u64,
    began: Now,
    now: Now,
}

impl<S: Source> Recording<S> {
    /// Opens the first segment.
    ///
    /// # Errors
    /// The spool cannot take it.
    pub fn begin(
        source: S,
        mut pipeline: Pipeline,
        mut counters: counters::Interface,
        watch: AddressWatch,
        interval_ns: i64,
    ) -> Result<Self, Error> {
        let now = Now::read()?;
        pipeline.make_room(now.wall)?;
        pipeline.begin(moment(now))?;
        Ok(Self {
            deltas: Deltas::starting_at(counters.read()),
            current: settled(now).floor_to(interval_ns),
            source,
            pipeline,
            counters,
            watch,
            interval_ns,
            delivered: 0,
            began: now,
            now,
        })
    }

    /// What is recorded into, for the first report.
    pub fn pipeline(&mut self) -> &mut Pipeline {
        &mut self.pipeline
    }

    /// The loop and its end: seals, and prints the totals.
    ///
    /// # Errors
    /// What ended it, if that was not a signal.
    pub fn run(mut self, signals: &Signals, mut reporter: Reporter) -> Result<(), Error> {
        reporter.ready();
        let outcome = match self.until_stopped(signals, &mut reporter) {
            Ok(()) => self.stop(),
            Err(error) => self.end(error),
        };
        let now = Now::read()?;
        reporter.end(now, &mut self.pipeline, outcome.as_ref().err());
        let summary = Summary::of(&self.pipeline, self.deltas.sums(), now.since(self.began));
        log(Level::Info, format_args!("{summary}"));
        outcome
    }

    fn until_stopped(&mut self, signals: &Signals, reporter: &mut Reporter) -> Result<(), Error> {
        while !signals.stop() {
            let handled = self.turn()?;
            if signals.take_rotate() || self.pipeline.rotation_due(self.now.boot_ns) {
                self.rotate()?;
            }
            reporter.turn(self.now, &mut self.pipeline);
            if handled < BATCH {
                self.wait(signals)?;
            }
        }
        Ok(())
    }

    /// After an error: seals what can be sealed.
    fn end(&mut self, error: Error) -> Result<(), Error> {
        // What the spool refuses it will refuse again; anything else leaves a segment that can be sealed.
        if !matches!(error, Error::Spool { .. }) {
            self.end_abruptly()?;
        }
        Err(error)
    }

    /// Waits for packets, a signal, or news of the interface.
    fn wait(&self, signals: &Signals) -> Result<(), Error> {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = [readable(self.source.fd()), readable(signals.as_fd()), readable(self.watch.fd())];
        poll_fds(&mut fds, self.wait_time())?;
        let [packets, wake, _] = fds;
        let early = PACE.saturating_sub(Now::read()?.since(self.now));
        if packets.any() == Some(true) && wake.any() == Some(false) && !early.is_zero() {
            poll_fds(&mut [readable(signals.as_fd())], early)?;
        }
        if wake.any() == Some(true) {
            signals.clear();
        }
        Ok(())
    }

    /// One turn of the loop: what is there, and what is due. Gives the number of packets.
    fn turn(&mut self) -> Result<usize, Error> {
        let handled = self.drain(BATCH, |_| true)?;
        let now = Now::read()?;
        for (at, gap) in gaps_between(self.now, now) {
            self.pipeline.flush()?;
            self.pipeline.counts(at, &[gap])?;
        }
        self.now = now;
        let settled = settled(now).floor_to(self.interval_ns);
        // Not `>`: a clock that was stepped back must not hold everything up.
        if settled != self.current {
            if handled < BATCH {
                // The ring is empty: nothing from before will come. Else the packets themselves move the time on.
                self.pipeline.tick(settled)?;
            }
            self.count(self.current, None)?;
            self.pipeline.commit(moment(now))?;
            self.current = settled;
        }
        if let Some(local) = self.watch.changed()? {
            self.pipeline.flush()?;
            self.pipeline.set_local(local);
            self.rotate()?;
        }
        Ok(handled)
    }

    /// Hands packets to the pipeline; those that `counted` refuses are left out. Gives the number of all.
    fn drain(&mut self, limit: usize, mut counted: impl FnMut(UnixNanos) -> bool) -> Result<usize, Error> {
        let (pipeline, delivered) = (&mut self.pipeline, &mut self.delivered);
        let mut outcome = Ok(());
        let handled = self.source.drain(limit, |packet| {
            if outcome.is_ok() && counted(packet.ts) {
                *delivered += 1;
                outcome = pipeline.packet(packet);
            }
        })?;
        outcome.map(|()| handled)
    }

    /// Records what the counters say since the last time. `kernel`: a reading that was taken before.
    fn count(&mut self, ts: UnixNanos, kernel: Option<KernelStats>) -> Result<(), Error> {
        let kernel = kernel.map_or_else(|| self.source.stats(), Ok)?;
        let counts = self.deltas.advance(kernel, self.counters.read());
        self.pipeline.counts(ts, &counts)
    }

    /// Seals the segment and opens the next one; no packet is lost or counted twice.
    fn rotate(&mut self) -> Result<(), Error> {
        self.pipeline.flush()?;
        self.count(self.current, None)?;
        self.pipeline.rotate(moment(self.now))
    }

    fn wait_time(&self) -> Duration {
        let next = self.current.0.saturating_add(self.interval_ns).saturating_add(RING_DELAY_NS + 1_000_000);
        let until = Duration::from_nanos(u64::try_from(next.saturating_sub(self.now.wall.0)).unwrap_or(0));
        until.clamp(Duration::from_millis(1), LONGEST_WAIT)
    }

    /// Stops at this instant: packets from before it are still worked off, later ones are left out, and what cannot
    /// be worked off in time is recorded as lost.
    fn stop(&mut self) -> Result<(), Error> {
        let kernel = self.source.stats()?;
        let stopped = Now::read()?;
        self.count(settled(stopped), Some(kernel))?;
        let left = if self.drain_until(stopped)? { 0 } else { self.left_in_ring(kernel) };
        if left > 0 {
            let lost = count(Counter::KernelDropped, left, 0);
            self.deltas.note(&lost);
            self.pipeline.counts(stopped.wall, &[lost])?;
        }
        self.pipeline.seal(stopped.wall)
    }

    /// Works off packets stamped until `stopped`. False if time ran out before all were through.
    fn drain_until(&mut self, stopped: Now) -> Result<bool, Error> {
        loop {
            let mut beyond = false;
            let handled = self.drain(BATCH, |ts| {
                beyond |= ts.since(stopped.wall) > STAMP_DISORDER_NS;
                ts <= stopped.wall
            })?;
            let since = Now::read()?.since(stopped);
            if beyond || (handled == 0 && since.as_nanos() >= RING_DELAY_NS.unsigned_abs().into()) {
                return Ok(true);
            }
            if since >= LONGEST_DRAIN {
                return Ok(false);
            }
            if handled == 0 {
                poll_fds(&mut [PollFd::new(self.source.fd(), PollFlags::POLLIN)], Duration::from_millis(50))?;
            }
        }
    }

    /// Packets that the kernel had taken by the time of `kernel` and that were not handed over.
    fn left_in_ring(&self, kernel: KernelStats) -> u64 {
        let received = if self.source.counts_twice() { kernel.received / 2 } else { kernel.received };
        // 32-bit counters of a long run have wrapped: so does the difference, which is small.
        let left = received.wrapping_sub(kernel.dropped).wrapping_sub(self.delivered as u32);
        if left > u32::MAX / 2 { 0 } else { left.into() }
    }

    /// The source failed: take what is still in the ring, and seal.
    fn end_abruptly(&mut self) -> Result<(), Error> {
        let now = Now::read()?;
        while Now::read()?.since(now).as_nanos() < RING_DELAY_NS.unsigned_abs().into() {
            match self.drain(BATCH, |_| true) {
                Ok(1..) => {}
                Err(e @ Error::Spool { .. }) => return Err(e),
                // The kernel still hands over the block that was open, though the interface it came from is gone.
                Ok(0) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        self.pipeline.flush()?;
        // The capture may not even be able to count any more; the interface's counters are gone with it.
        if let Ok(kernel) = self.source.stats() {
            self.count(self.current, Some(kernel))?;
        }
        self.pipeline.seal(now.wall)
    }
}

/// The instant up to which nothing more will come from the ring.
fn settled(now: Now) -> UnixNanos {
    UnixNanos(now.wall.0.saturating_sub(RING_DELAY_NS))
}

fn moment(now: Now) -> Moment {
    Moment { wall: now.wall, steady_ns: now.boot_ns }
}

fn poll_fds(fds: &mut [PollFd<'_>], time: Duration) -> Result<(), Error> {
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
    match poll(fds, time) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(e) => Err(Error::System { doing: "cannot wait for packets", source: e.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Plan;
    use crate::rotate::Rotation;
    use crate::spool::Spool;
    use imon_common::local::LocalNets;
    use imon_common::packet::{CapturedPacket, LinkType};
    use imon_common::segment::{SegmentEnd, SegmentReader};
    use std::collections::VecDeque;
    use std::fs::File;
    use std::os::fd::{AsFd, BorrowedFd};

    /// Hands over what it was given; with `endless` old packets keep coming.
    struct Script {
        stamps: VecDeque<UnixNanos>,
        endless: bool,
        stats: KernelStats,
        fd: File,
    }

    impl Source for Script {
        fn drain(&mut self, limit: usize, mut each: impl FnMut(&CapturedPacket<'_>)) -> Result<usize, Error> {
            let mut give = |ts| each(&CapturedPacket { ts, orig_len: 60, link_type: LinkType(1), data: &ARP });
            if self.endless {
                // Slowly, so that the counters below stay small.
                std::thread::sleep(Duration::from_millis(20));
                give(UnixNanos(0));
                return Ok(1);
            }
            let taken = self.stamps.len().min(limit);
            self.stamps.drain(..taken).for_each(give);
            Ok(taken)
        }

        fn stats(&mut self) -> Result<KernelStats, Error> {
            Ok(self.stats)
        }

        fn fd(&self) -> BorrowedFd<'_> {
            self.fd.as_fd()
        }

        fn counts_twice(&self) -> bool {
            false
        }
    }

    /// Start of an ARP frame: not IP, and one packet all the same.
    const ARP: [u8; 14] = [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6];

    /// Takes the counts out of a segment.
    #[derive(Default)]
    struct Counts(Vec<(Counter, u64)>);

    impl imon_common::observe::Observer for Counts {
        type Error = ();
        fn name(&mut self, _: &imon_common::flow::Flow, _: &imon_common::names::NameSeen) -> Result<(), ()> {
            Ok(())
        }
        fn usage(
            &mut self,
            _: &imon_common::flow::Flow,
            _: UnixNanos,
            _: imon_common::observe::Usage,
        ) -> Result<(), ()> {
            Ok(())
        }
        fn counts(&mut self, _: UnixNanos, counts: &[imon_common::observe::Count]) -> Result<(), ()> {
            self.0.extend(counts.iter().map(|c| (c.counter, c.packets)));
            Ok(())
        }
    }

    fn recording(home: &std::path::Path, source: Script) -> Recording<Script> {
        let plan = Plan {
            interface: "test0".into(),
            link_type: LinkType(1),
            local: LocalNets::default(),
            interval_ns: 1_000_000_000,
            rotation: Rotation { size_bytes: 1 << 20, every: Duration::from_secs(3600) },
            retention: None,
            waiting_bytes: 0,
        };
        let pipeline = Pipeline::new(Spool::open(home, None).unwrap(), plan).unwrap();
        let watch = AddressWatch::new(crate::netlink::Netlink::open().unwrap(), "lo", Vec::new());
        Recording::begin(source, pipeline, counters::Interface::open("none/such"), watch, 1_000_000_000).unwrap()
    }

    /// Counts of all sealed segments.
    fn counts_in(home: &std::path::Path) -> Vec<(Counter, u64)> {
        let mut counts = Counts::default();
        for entry in home.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "seg") {
                let report = SegmentReader::open(File::open(path).unwrap()).unwrap().read(&mut counts).unwrap();
                assert!(matches!(report.end, SegmentEnd::Sealed { .. }), "{:?}", report.end);
            }
        }
        counts.0
    }

    fn script(stamps: &[UnixNanos], received: u32, dropped: u32) -> Script {
        Script {
            stamps: stamps.iter().copied().collect(),
            endless: false,
            stats: KernelStats { received, dropped },
            fd: File::open("/dev/null").unwrap(),
        }
    }

    fn sum(counts: &[(Counter, u64)], counter: Counter) -> u64 {
        counts.iter().filter(|(c, _)| *c == counter).map(|(_, n)| n).sum()
    }

    #[test]
    fn the_stop_counts_what_came_before_and_leaves_out_what_came_after() {
        let home = tempfile::tempdir().unwrap();
        let now = Now::read().unwrap().wall;
        let after = UnixNanos(now.0 + 60_000_000_000);
        let mut recording = recording(home.path(), script(&[now, after, now], 3, 0));
        recording.stop().unwrap();
        assert_eq!(recording.pipeline.totals().packets, 2);
        let counts = counts_in(home.path());
        assert_eq!(sum(&counts, Counter::KernelReceived), 3);
        assert_eq!(sum(&counts, Counter::KernelDropped), 0);
    }

    #[test]
    fn what_is_left_in_the_ring_is_recorded_as_lost() {
        let home = tempfile::tempdir().unwrap();
        let mut source = script(&[], 1_000_000, 7);
        source.endless = true;
        let mut recording = recording(home.path(), source);
        let began = Now::read().unwrap();
        recording.stop().unwrap();
        assert!(Now::read().unwrap().since(began) < Duration::from_secs(1));
        let counts = counts_in(home.path());
        let delivered = recording.pipeline.totals().packets;
        assert_eq!(sum(&counts, Counter::KernelDropped), 1_000_000 - delivered);
        assert_eq!(recording.deltas.sums().kernel_dropped, 1_000_000 - delivered);
    }

    #[test]
    fn a_rotation_neither_loses_nor_doubles() {
        let home = tempfile::tempdir().unwrap();
        let now = Now::read().unwrap().wall;
        let mut recording = recording(home.path(), script(&[now; 100], 100, 0));
        for _ in 0..3 {
            recording.turn().unwrap();
            recording.rotate().unwrap();
            recording.source.stamps.extend([now; 10]);
        }
        recording.source.stats.received += 30;
        recording.stop().unwrap();
        let counts = counts_in(home.path());
        assert_eq!(recording.pipeline.sealed_segments(), 4);
        assert_eq!(sum(&counts, Counter::NotIp(imon_common::wire::NotIp::EtherType(0x0806))), 130);
        assert_eq!(sum(&counts, Counter::KernelReceived), 130);
    }

    #[test]
    fn a_wrapped_counter_of_the_kernel_leaves_nothing_in_the_ring() {
        let home = tempfile::tempdir().unwrap();
        let mut recording = recording(home.path(), script(&[], 5, 0));
        recording.delivered = (1 << 32) + 5;
        assert_eq!(recording.left_in_ring(KernelStats { received: 5, dropped: 0 }), 0);
        assert_eq!(recording.left_in_ring(KernelStats { received: 9, dropped: 1 }), 3);
        // More delivered than counted (a packet between the two readings): nothing left, not four thousand million.
        assert_eq!(recording.left_in_ring(KernelStats { received: 4, dropped: 0 }), 0);
    }
}
