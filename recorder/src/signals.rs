//! Signals: stop (SIGINT, SIGTERM) and rotate (SIGHUP), and a wake-up for whoever waits in poll.

use crate::cage::{Kept, Use};
use crate::error::Error;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What was asked by signals.
#[derive(Debug)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    rotate: Arc<AtomicBool>,
    wake: PipeReader,
    kept: Vec<Kept>,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// No more file descriptors, or the system refuses.
    pub fn install() -> Result<Self, Error> {
        Self::try_install().map_err(|source| Error::System { doing: "cannot install signal handlers", source })
    }

    fn try_install() -> std::io::Result<Self> {
        let (stop, rotate) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        // Not a socket: a handler would wake us by send(2), and sending is what the recorder cannot
        // do any more.
        let (wake, waker) = std::io::pipe()?;
        fcntl(&wake, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let mut kept = vec![Kept::new(&wake, Use::Read, "woken by signals")];
        for (signal, flag) in [(SIGINT, &stop), (SIGTERM, &stop), (SIGHUP, &rotate)] {
            // Actions run in the order of their registration: who is woken finds the flag set.
            signal_hook::flag::register(signal, Arc::clone(flag))?;
            let waker = waker.try_clone()?;
            kept.push(Kept::new(&waker, Use::Write, "wakes at a signal"));
            signal_hook::low_level::pipe::register(signal, waker)?;
        }
        Ok(Self { stop, rotate, wake, kept })
    }

    /// What of it stays open.
    pub fn kept(&self) -> Vec<Kept> {
        self.kept.clone()
    }

    /// Whether to stop.
    pub fn stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether a rotation was asked for since the last call.
    pub fn take_rotate(&self) -> bool {
        self.rotate.swap(false, Ordering::Relaxed)
    }

    /// Readable after a signal, until [`Self::clear`].
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Takes the wake-ups that came.
    pub fn clear(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.wake).read(&mut bytes), Ok(1..)) {}
    }
}
