//! The second thread of a recording: it does what is handed to it, one thing after the other. It is
//! started by [`crate::cage`], which confines it as it confines the first.

use crate::error::Error;
use crate::signals;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

/// Its name, as `top -H` shows it.
const NAME: &str = "imon-disk";

/// Its stack. What it does needs some kilobytes; tests of debug builds some more.
const STACK_BYTES: usize = 256 << 10;

type Work = Box<dyn FnOnce() + Send>;

/// A thread. Ends with this value, when it has done what was handed to it.
#[derive(Debug)]
pub struct Thread {
    work: Option<Sender<Work>>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    /// Starts it. It has the rights of who calls this, and gets none of the signals that
    /// [`signals`] hears: these interrupt the first thread.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start() -> Result<Self, Error> {
        let (work, tasks) = channel::<Work>();
        let handle = signals::without(|| Builder::new().name(NAME.into()).stack_size(STACK_BYTES).spawn(|| run(tasks)));
        let failed = |source: io::Error| Error::System { doing: "cannot start a thread", source };
        Ok(Self { work: Some(work), handle: Some(handle.and_then(|spawned| spawned).map_err(failed)?) })
    }

    /// Hands it something to do, and does not wait for it. False: it has ended, by a panic.
    ///
    /// The queue has no bound of its own: who hands over waits for what came of it before more of
    /// the same kind is handed over.
    pub fn give(&self, work: impl FnOnce() + Send + 'static) -> bool {
        self.work.as_ref().is_some_and(|sender| sender.send(Box::new(work)).is_ok())
    }

    /// Whether it has ended, which only a panic can do.
    pub fn has_ended(&self) -> bool {
        self.handle.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Lets it do something and waits for the outcome.
    ///
    /// # Errors
    /// It has ended.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let (sender, outcome) = channel();
        self.give(move || drop(sender.send(work())));
        outcome.recv().map_err(|_| ended())
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.work = None;
        if let Some(handle) = self.handle.take() {
            // It panicked: said already, and who waits for an outcome has got none.
            _ = handle.join();
        }
    }
}

/// The error of whoever waits for a thread that has ended.
pub fn ended() -> Error {
    let source = io::Error::other("it has ended, which it never should");
    Error::System { doing: "cannot reach the thread that waits for the disk", source }
}

fn run(tasks: Receiver<Work>) {
    tasks.into_iter().for_each(|work| work());
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{SigSet, Signal};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn what_is_handed_over_is_done_in_its_order_and_all_of_it_before_the_end() {
        let thread = Thread::start().unwrap();
        let (sender, done) = channel();
        let (open, gate) = channel();
        thread.give(move || gate.recv().unwrap());
        for n in 0..5 {
            let sender = sender.clone();
            assert!(thread.give(move || sender.send(n).unwrap()));
        }
        assert!(done.try_recv().is_err(), "nobody waits");
        open.send(()).unwrap();
        drop((thread, sender));
        assert_eq!(done.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn signals_of_the_recorder_go_to_the_first_thread() {
        let mine = SigSet::thread_get_mask().unwrap();
        let thread = Thread::start().unwrap();
        let its = thread.run(|| SigSet::thread_get_mask().unwrap()).unwrap();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            assert!(its.contains(signal) && !mine.contains(signal), "{signal}");
        }
        assert_eq!(SigSet::thread_get_mask().unwrap(), mine, "given back");
    }

    #[test]
    fn a_panic_is_an_error_for_who_waits_and_not_a_wait_for_ever() {
        let thread = Thread::start().unwrap();
        let count = Arc::new(AtomicU32::new(0));
        assert!(thread.run(|| panic!("as a test wants it")).is_err());
        let counts = count.clone();
        assert!(thread.run(move || counts.fetch_add(1, Ordering::Relaxed)).is_err());
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
