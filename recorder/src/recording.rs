//! The loop of a live recording: drain the ring, look at the clocks, do what is due, wait. It waits
//! for packets, and for no disk.

mod end;

use crate::addresses::AddressWatch;
use crate::capture::{RING_BYTES, RING_DELAY_NS, Source};
use crate::clock::{GapAt, Now, gaps_between};
use crate::counters::KernelStats;
use crate::error::Error;
use crate::log::{Level, log};
use crate::pipeline::{Moment, Pipeline};
use crate::ports::{Hold, Ports, Task};
use crate::reporter::Reporter;
use crate::signals::Signals;
use crate::summary::Summary;
use imon_common::local::LocalNets;
use imon_common::observe::Names;
use imon_common::time::UnixNanos;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::time::Duration;

/// Packets handled before the loop looks at clocks and signals again: about 10 ms of a busy link.
const BATCH: usize = 4096;

/// Full batches one after the other from which on we are behind: 98,304 packets, two thirds of what
/// the ring holds when it is of headers mostly. What comes together by itself (a quarter of it) and
/// what a stall of the disk leaves (0.4 s at the most of those measured, 42,000 packets at 100,000
/// a second) is worked off with names.
const BEHIND: u32 = 24;

/// Longest wait for packets. Signals end it at once; this and [`LONGEST_PACE`] bound how late a
/// clock step or a due rotation is seen.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// Part of the ring that is let fill before its packets are worked off, if they come at the pace of
/// those before. Each waking finds the caches cold: at 100,000 packets a second one every 160 ms
/// takes a third less time than one every 10 ms, and the kernel would wake us up to 1,000 times a
/// second.
const TOGETHER_BYTES: f64 = RING_BYTES as f64 / 4.0;

/// What a packet takes in the ring beside the bytes that are copied: the kernel's header, an
/// address, room to align.
const SLOT_BYTES: usize = 96;

/// Most time for that: at a million packets a second, bulk data mostly, the ring is full after 130
/// ms, and nobody says before that so many are coming.
const LONGEST_PACE: Duration = Duration::from_millis(100);

/// Where fewer came since the last time nothing is gained, and it is not known what will come: only
/// so long.
const FEW: usize = 256;
const SHORT_PACE: Duration = Duration::from_millis(10);

/// How many times longer than the time before packets may come together. The time that the first
/// ones of a flood are measured by began in the quiet before it.
const PACE_GROWTH: u32 = 2;

/// How long something that was seen may be in no file, before what there is of its interval is
/// written without its end. With the longest pace and the turn that comes then it stays below a
/// second, which is what a kill may cost. In the ordinary course an interval of a second that is
/// written after its end ([`RING_DELAY_NS`]) is written once before: at three quarters of it. Of
/// longer intervals the part is the same: who asks for them wants few rows.
const SAVE_AFTER_NS: i64 = 750_000_000;

/// A running recording.
pub struct Recording<S> {
    ports: Ports<S>,
    pipeline: Pipeline,
    watch: AddressWatch,
    local: LocalNets,
    /// The local networks from the next segment on, if they have changed.
    next_local: Option<LocalNets>,
    /// Why recorded interfaces show the same packets since they were rebuilt, if they do.
    overlap: Option<String>,
    interval_ns: i64,
    /// Start of the first interval that is not committed yet.
    current: UnixNanos,
    /// Since when something may have been seen that is in no file, by the boot clock.
    unsaved_since_ns: Option<i64>,
    /// Full batches since the rings were last empty.
    full_batches: u32,
    /// When the last waiting began, and the packets handled since, with their bytes in the ring.
    waited: Now,
    handled: usize,
    handled_bytes: usize,
    /// How long packets came together last.
    paced: Duration,
    clock: Clock,
    began: Now,
    now: Now,
}

/// Tells the time.
type Clock = Box<dyn Fn() -> Result<Now, Error>>;

impl<S: Source> Recording<S> {
    /// Opens the first segment.
    ///
    /// # Errors
    /// The spool cannot take it.
    pub fn begin(ports: Ports<S>, pipeline: Pipeline, watch: AddressWatch, interval_ns: i64) -> Result<Self, Error> {
        Self::begin_at(Box::new(Now::read), ports, (pipeline, watch), interval_ns)
    }

    fn begin_at(
        clock: Clock,
        mut ports: Ports<S>,
        (mut pipeline, watch): (Pipeline, AddressWatch),
        interval_ns: i64,
    ) -> Result<Self, Error> {
        let now = clock()?;
        ports.begin(now);
        pipeline.set_own(&watch.own());
        for (number, interface) in ports.interfaces(watch.interfaces()) {
            pipeline.know_interface(number, &interface)?;
        }
        pipeline.make_room(moment(now));
        pipeline.begin(moment(now))?;
        let (local, current) = (watch.local(), settled(now).floor_to(interval_ns));
        Ok(Self {
            ports,
            pipeline,
            watch,
            local,
            next_local: None,
            overlap: None,
            interval_ns,
            current,
            unsaved_since_ns: None,
            full_batches: 0,
            waited: now,
            handled: 0,
            handled_bytes: 0,
            paced: SHORT_PACE,
            clock,
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
        let now = (self.clock)()?;
        reporter.end(now, &mut self.pipeline, outcome.as_ref().err());
        let summary = Summary::of(&self.pipeline, self.ports.lost(), now.since(self.began));
        log(Level::Info, format_args!("{summary}"));
        outcome
    }

    fn until_stopped(&mut self, signals: &Signals, reporter: &mut Reporter) -> Result<(), Error> {
        while !signals.stop() {
            let handled = self.turn()?;
            if self.has_time(handled) {
                self.change_if_due(signals.take_rotate())?;
            }
            reporter.turn(self.now, &self.ports.missing(), &mut self.pipeline);
            self.handled = self.handled.saturating_add(handled);
            if handled < BATCH {
                self.wait(signals)?;
            }
        }
        Ok(())
    }

    /// Lets the next segment be prepared where that is due, and goes on in it when it is there.
    fn change_if_due(&mut self, asked: bool) -> Result<(), Error> {
        if asked || self.pipeline.rotation_due(self.now.boot_ns) {
            self.pipeline.prepare(moment(self.now))?;
        }
        if self.pipeline.is_prepared() { self.rotate() } else { Ok(()) }
    }

    /// Lets packets come together, then waits for one, a signal, or news of the interfaces.
    fn wait(&mut self, signals: &Signals) -> Result<(), Error> {
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let is_ready = |fd: &PollFd<'_>| fd.any() == Some(true);
        let pace = self.pace((self.clock)()?);
        let mut first = [readable(signals.as_fd()), readable(self.watch.fd())];
        poll_fds(&mut first, pace)?;
        let mut wake = first.first().is_some_and(is_ready);
        if !first.iter().any(is_ready) {
            let mut fds = vec![readable(signals.as_fd()), readable(self.watch.fd())];
            fds.extend(self.ports.fds().map(readable));
            let now = (self.clock)()?;
            let held = self.ports.held_for(now.wall).unwrap_or(LONGEST_WAIT);
            poll_fds(&mut fds, self.wait_time(now).min(held))?;
            wake = fds.first().is_some_and(is_ready);
        }
        if wake {
            signals.clear();
        }
        Ok(())
    }

    /// How long packets may come together before they are looked for, at the pace of those since
    /// the last waiting began.
    fn pace(&mut self, now: Now) -> Duration {
        let (handled, bytes) = (std::mem::take(&mut self.handled), std::mem::take(&mut self.handled_bytes));
        let came_in = now.since(self.waited);
        self.waited = now;
        self.paced = match handled {
            0..FEW => SHORT_PACE,
            _ => {
                let quarter = came_in.mul_f64(TOGETHER_BYTES / bytes.max(1) as f64);
                quarter.min(LONGEST_PACE).min(self.paced * PACE_GROWTH)
            }
        };
        // None: not at all, but for what a descriptor might do that says again and again that there
        // is something.
        if handled == 0 { Duration::from_millis(1) } else { self.paced }
    }

    /// One turn of the loop: what is there, and what is due. Gives the number of packets.
    fn turn(&mut self) -> Result<usize, Error> {
        let handled = self.drain(BATCH, Hold::Until(self.now.wall), |_| true)?;
        if handled > 0 {
            // The first of them may have waited in the ring.
            self.unsaved_since_ns.get_or_insert(self.now.boot_ns.saturating_sub(RING_DELAY_NS));
        }
        self.full_batches = if handled < BATCH { 0 } else { self.full_batches.saturating_add(1) };
        // What cannot be had all: bytes before names.
        let names = if self.full_batches < BEHIND { Names::LookedFor } else { Names::PassedOver };
        self.pipeline.set_names(names);
        let now = (self.clock)()?;
        self.note(gaps_between(self.now, now))?;
        self.now = now;
        self.pipeline.settle(moment(now))?;
        self.heed_links()?;
        let settled = settled(now).floor_to(self.interval_ns);
        // Not `>`: a clock that was stepped back must not hold everything up.
        if settled != self.current && self.has_time(handled) {
            if handled < BATCH {
                // The ring is empty: nothing from before will come. Else the packets themselves
                // move the time on.
                self.pipeline.tick(settled)?;
            }
            self.count(self.current, None)?;
            self.pipeline.commit(moment(now))?;
            self.current = settled;
            self.pipeline.note_recorded(settled);
            let begun_ns = now.boot_ns.saturating_sub(now.wall.since(settled).max(0));
            self.unsaved_since_ns = self.pipeline.has_unsaved().then_some(begun_ns);
        } else {
            self.save_if_due(handled)?;
        }
        Ok(handled)
    }

    /// Writes what there is of an interval that is not over, if some of it has been in no file for
    /// long.
    fn save_if_due(&mut self, handled: usize) -> Result<(), Error> {
        // With an empty ring nothing from before will come; else it is not known what there is in
        // it.
        let to = if handled < BATCH { settled(self.now) } else { self.current };
        match self.unsaved_since_ns {
            None => self.pipeline.note_recorded(to),
            Some(since) if self.now.boot_ns.saturating_sub(since) >= self.save_after_ns() => {
                self.pipeline.save(to)?;
                self.unsaved_since_ns = None;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Whether it is the moment to write, after a turn that handled so many packets: when the ring
    /// is empty and thus has room for the time that it takes; and when we are behind, as then it
    /// will not be empty soon.
    fn has_time(&self, handled: usize) -> bool {
        handled < BATCH || self.full_batches >= BEHIND
    }

    /// Takes in what happened to the interfaces and their addresses.
    fn heed_links(&mut self) -> Result<(), Error> {
        let changes = self.watch.update()?;
        if changes.is_empty() {
            return Ok(());
        }
        let gaps = self.ports.see(&changes, self.watch.interfaces(), self.now)?;
        self.note(gaps)?;
        for (number, interface) in self.ports.interfaces(self.watch.interfaces()) {
            self.pipeline.know_interface(number, &interface)?;
        }
        let overlap = self.watch.overlap();
        if let Some(cause) = overlap.as_ref().filter(|_| overlap != self.overlap) {
            log(Level::Notice, format_args!("{cause} from now on: a packet counts once, where it was seen first"));
        }
        self.overlap = overlap;
        if !self.watch.changed(&self.ports.indices()) {
            return Ok(());
        }
        self.pipeline.set_own(&self.watch.own());
        let local = self.watch.local();
        self.next_local = (local != self.local).then_some(local);
        if self.next_local.is_some() {
            self.change_if_due(true)?;
        }
        Ok(())
    }

    /// Records gaps where they began.
    fn note(&mut self, gaps: Vec<GapAt>) -> Result<(), Error> {
        if !gaps.is_empty() {
            self.pipeline.flush()?;
        }
        gaps.iter().try_for_each(|(at, gap)| self.pipeline.counts(*at, &[*gap]))
    }

    /// Hands packets to the pipeline; those that `counted` refuses are left out. Gives the number
    /// of all.
    fn drain(&mut self, limit: usize, hold: Hold, mut counted: impl FnMut(UnixNanos) -> bool) -> Result<usize, Error> {
        let (pipeline, bytes) = (&mut self.pipeline, &mut self.handled_bytes);
        let mut outcome = Ok(());
        let handled = self.ports.drain(limit, hold, |task, packet| {
            let counts = outcome.is_ok() && counted(packet.ts);
            *bytes = bytes.saturating_add(packet.data.len() + SLOT_BYTES);
            if counts {
                let done = match task {
                    Task::Traffic => pipeline.packet(packet),
                    Task::NamesOnly => pipeline.names_only(packet),
                };
                if done.is_err() {
                    outcome = done;
                }
            }
            counts
        })?;
        outcome.map(|()| handled)
    }

    /// Records what the counters say since the last time. `kernel`: a reading that was taken
    /// before.
    fn count(&mut self, ts: UnixNanos, kernel: Option<&[KernelStats]>) -> Result<(), Error> {
        let counts = match kernel {
            Some(kernel) => self.ports.counts(kernel),
            None => {
                let kernel = self.ports.stats()?;
                self.ports.counts(&kernel)
            }
        };
        self.pipeline.counts(ts, &counts)
    }

    /// Seals the segment and opens the next one; no packet is lost or counted twice.
    fn rotate(&mut self) -> Result<(), Error> {
        self.pipeline.flush()?;
        if let Some(local) = self.next_local.take() {
            // Flows until here have the directions of the old list, and stand in the segment that
            // has it.
            self.pipeline.set_local(local.clone());
            self.local = local;
        }
        self.count(self.current, None)?;
        let gaps = self.ports.take_gaps(self.now);
        self.note(gaps)?;
        self.pipeline.rotate(moment(self.now))
    }

    fn save_after_ns(&self) -> i64 {
        SAVE_AFTER_NS.max(self.interval_ns / 4 * 3)
    }

    fn wait_time(&self, now: Now) -> Duration {
        let next = self.current.0.saturating_add(self.interval_ns).saturating_add(RING_DELAY_NS + 1_000_000);
        let until_next_ns = next.saturating_sub(now.wall.0);
        let save =
            self.unsaved_since_ns.map(|since| since.saturating_add(self.save_after_ns()).saturating_sub(now.boot_ns));
        let until_ns = save.map_or(until_next_ns, |save| save.min(until_next_ns));
        let until = Duration::from_nanos(u64::try_from(until_ns).unwrap_or(0));
        until.clamp(Duration::from_millis(1), LONGEST_WAIT)
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
mod tests;
