//! The end of a recording: what came before it is still worked off, and all is sealed.

use super::{BATCH, Recording, poll_fds, settled};
use crate::capture::{RING_DELAY_NS, Source};
use crate::clock::Now;
use crate::error::Error;
use crate::ports::Hold;
use nix::poll::{PollFd, PollFlags};
use std::time::Duration;

/// How long after the stop packets from before it are still worked off; leaves time to seal within
/// a second.
const LONGEST_DRAIN: Duration = Duration::from_millis(600);

/// Stamps of different processors are not strictly in order. A packet this much younger than the
/// stop says that the older ones are through. A guess with a wide margin: what was seen is
/// microseconds.
const STAMP_DISORDER_NS: i64 = 5_000_000;

impl<S: Source> Recording<S> {
    /// After an error: seals what can be sealed.
    pub(super) fn end(&mut self, error: Error) -> Result<(), Error> {
        // What the spool refuses it will refuse again; anything else leaves a segment that can be
        // sealed.
        if !matches!(error, Error::Spool { .. }) {
            self.end_abruptly()?;
        }
        Err(error)
    }

    /// Stops at this instant: packets from before it are still worked off, later ones are left out,
    /// and what cannot be worked off in time is recorded as lost.
    pub(super) fn stop(&mut self) -> Result<(), Error> {
        let kernel = self.ports.stats()?;
        let stopped = (self.clock)()?;
        self.count(settled(stopped), Some(&kernel))?;
        if !self.drain_until(stopped)?
            && let Some(lost) = self.ports.give_up_rings(&kernel)
        {
            self.pipeline.counts(stopped.wall, &[lost])?;
        }
        let gaps = self.ports.take_gaps(stopped);
        self.note(gaps)?;
        self.pipeline.seal_last(stopped.wall)
    }

    /// Works off packets stamped until `stopped`. False if time ran out before all were through.
    fn drain_until(&mut self, stopped: Now) -> Result<bool, Error> {
        loop {
            let now = (self.clock)()?;
            let all_came = now.since(stopped).as_nanos() >= RING_DELAY_NS.unsigned_abs().into();
            let hold = if all_came { Hold::No } else { Hold::Until(now.wall) };
            let mut beyond = false;
            let handled = self.drain(BATCH, hold, |ts| {
                beyond |= ts.since(stopped.wall) > STAMP_DISORDER_NS;
                ts <= stopped.wall
            })?;
            if beyond || (handled == 0 && all_came) {
                return Ok(true);
            }
            if now.since(stopped) >= LONGEST_DRAIN {
                return Ok(false);
            }
            if handled == 0 {
                let mut fds: Vec<_> = self.ports.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
                poll_fds(&mut fds, Duration::from_millis(50))?;
            }
        }
    }

    /// The source failed: take what is still in the ring, and seal.
    fn end_abruptly(&mut self) -> Result<(), Error> {
        let now = (self.clock)()?;
        while (self.clock)()?.since(now).as_nanos() < RING_DELAY_NS.unsigned_abs().into() {
            match self.drain(BATCH, Hold::No, |_| true) {
                Ok(1..) => {}
                Err(e @ Error::Spool { .. }) => return Err(e),
                // The kernel still hands over the block that was open, though the interface it came
                // from is gone.
                Ok(0) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        self.pipeline.flush()?;
        // The capture may not even be able to count any more.
        if let Ok(kernel) = self.ports.stats() {
            self.count(self.current, Some(&kernel))?;
        }
        let gaps = self.ports.take_gaps(now);
        self.note(gaps)?;
        self.pipeline.seal(now.wall)
    }
}
