//! Signals: stop (SIGINT, SIGTERM) and rotate (SIGHUP), and a wake-up for whoever waits in poll.

use crate::cage::{Kept, Use};
use crate::error::Error;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Wakes whoever waits for [`Signals::as_fd`], as a signal does.
#[derive(Debug)]
pub struct Waker(PipeWriter);

impl Waker {
    /// Wakes.
    pub fn wake(&self) {
        // Where nobody reads any more there is nobody to be woken.
        _ = (&self.0).write(&[0]);
    }
}

/// Does something while the signals that [`Signals`] hears are held back from this thread: one that
/// is started in it never gets them.
///
/// # Errors
/// The system refuses.
pub fn without<T>(work: impl FnOnce() -> T) -> std::io::Result<T> {
    let ours: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    let before = ours.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let done = work();
    before.thread_set_mask()?;
    Ok(done)
}

/// Has a limit for the length of files (`ulimit -f`) be an error of the write, and not the end of
/// the process.
pub fn survive_limits() {
    // Who cannot is ended by it, as anybody is.
    _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

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
        Self::try_install().map(|(signals, _)| signals).map_err(failed)
    }

    /// Installs the handlers, and gives what another thread can wake with.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub fn install_with_waker() -> Result<(Self, Waker), Error> {
        let (mut signals, waker) = Self::try_install().map_err(failed)?;
        signals.kept.push(Kept::new(&waker, Use::Write, "wakes when the disk is through"));
        Ok((signals, Waker(waker)))
    }

    fn try_install() -> std::io::Result<(Self, PipeWriter)> {
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
        Ok((Self { stop, rotate, wake, kept }, waker))
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

fn failed(source: std::io::Error) -> Error {
    Error::System { doing: "cannot install signal handlers", source }
}
