//! What may wait for the disk, done beside the loop: by the thread of the disk in a live recording,
//! at once where a file is read. Either way in the order in which it was handed over, and its
//! outcome is taken when there is one.
//!
//! The loop itself writes to the open segment, which ends in the kernel's memory and waits for no
//! disk; it opens, renames, removes and syncs nothing.

use crate::error::Error;
use crate::identity::Identity;
use crate::metrics::MetricsFile;
use crate::rotate::Sealed;
use crate::signals::Waker;
use crate::spool::Folder;
use crate::thread::{Thread, ended};
use nix::sys::stat::FileStat;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How long nothing may come from the disk before that is said: longer than any sync of a disk that
/// works, shorter than a person's patience. A guess.
const SLOW_AFTER: Duration = Duration::from_secs(10);

/// What came of something. Anything that ends a recording is an error instead.
#[derive(Debug)]
pub enum Done {
    /// What was written to the open segment is on the disk.
    Synced,
    /// The next segment has a file; `None`: there is no room for one.
    Made(Option<Arc<File>>),
    /// A segment has its final name, and is on the disk.
    Sealed(Finished),
    /// There was no room to seal a segment: the next start gives it its name.
    NotSealed(Error),
    /// These were removed, each for its reason.
    Removed(Vec<(Sealed, String)>),
    /// What others read was written, or not.
    Told(Result<(), Error>),
    /// The names in the spool that have our suffixes.
    Listed(BTreeSet<String>),
    /// What need not be known further.
    Through,
}

/// A segment that was sealed.
#[derive(Debug)]
pub struct Finished {
    /// Its name before, without the suffix.
    pub part: String,
    /// Its name now.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// What its file has become.
    pub stat: FileStat,
}

/// A segment to be sealed.
#[derive(Debug)]
pub struct Finish {
    /// Its file, with its end block.
    pub file: Arc<File>,
    /// Its name without the suffix, and the one that it is to have.
    pub part: String,
    /// See above.
    pub stem: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Without room it stays as it is; else that is an error.
    pub may_stay: bool,
}

type Outcome = Result<Done, Error>;

/// Does what may wait.
#[derive(Debug)]
pub struct Disk {
    folder: Arc<Folder>,
    beside: Option<Beside>,
    /// Something failed: what comes after it is left undone.
    failed: Arc<AtomicBool>,
    /// Outcomes where there is no thread.
    outcomes: VecDeque<Outcome>,
    /// When what is not through was handed over; the oldest first.
    under_way: VecDeque<Instant>,
    slow_since: Option<Instant>,
}

#[derive(Debug)]
struct Beside {
    thread: Thread,
    waker: Arc<Waker>,
    sender: Sender<Outcome>,
    outcomes: Receiver<Outcome>,
}

/// What it is if there is no room for a new segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    IsAnError,
    /// What comes waits in memory.
    Waits,
}

impl Disk {
    /// Does everything at once, in the thread that asks.
    pub fn here(folder: Arc<Folder>) -> Self {
        Self {
            folder,
            beside: None,
            failed: Arc::default(),
            outcomes: VecDeque::new(),
            under_way: VecDeque::new(),
            slow_since: None,
        }
    }

    /// From now on `thread` does it, and wakes who waits for an outcome other than a sync.
    pub fn beside(&mut self, thread: Thread, waker: Waker) {
        let (sender, outcomes) = channel();
        self.beside = Some(Beside { thread, waker: Arc::new(waker), sender, outcomes });
    }

    /// Hands over something to do, which is left undone if something failed before: the kernel
    /// tells once that a sync failed, and a second one would seal what is not on the disk.
    fn give(&mut self, work: impl FnOnce(&Folder) -> Outcome + Send + 'static) {
        let failed = Arc::clone(&self.failed);
        self.give_always(move |folder| {
            if failed.load(Ordering::Relaxed) {
                return Ok(Done::Through);
            }
            work(folder).inspect_err(|_| failed.store(true, Ordering::Relaxed))
        });
    }

    fn give_always(&mut self, work: impl FnOnce(&Folder) -> Outcome + Send + 'static) {
        self.under_way.push_back(Instant::now());
        let Some(Beside { thread, waker, sender, .. }) = &self.beside else {
            self.outcomes.push_back(work(&self.folder));
            return;
        };
        let (folder, waker, sender) = (Arc::clone(&self.folder), Arc::clone(waker), sender.clone());
        // If it has ended, the outcomes end with it, and `take` says so.
        thread.give(move || {
            let outcome = work(&folder);
            let is_news = !matches!(outcome, Ok(Done::Synced | Done::Told(Ok(())) | Done::Listed(_)));
            if sender.send(outcome).is_ok() && is_news {
                waker.wake();
            }
        });
    }

    /// Brings what was written to an open segment, named `part`, to the disk.
    pub fn sync(&mut self, file: Arc<File>, part: String) {
        self.give(move |folder| folder.sync(&file, &part).map(|()| Done::Synced));
    }

    /// Keeps that a segment comes next, and makes its file. Before the file: a sequence that was
    /// given is never given again, and one that is missing is no harm.
    pub fn make(&mut self, after: Identity, part: String, no_room: NoRoom) {
        self.give(move |folder| {
            match folder.keep_identity(after) {
                // There will be room again, and then a later sequence is kept.
                Err(e) if e.is_no_room() => {}
                kept => kept?,
            }
            match folder.create(&part) {
                Err(e) if e.is_no_room() && no_room == NoRoom::Waits => Ok(Done::Made(None)),
                made => made.map(|file| Done::Made(Some(Arc::new(file)))),
            }
        });
    }

    /// Brings a finished segment to the disk and gives it its final name.
    pub fn seal(&mut self, finish: Finish) {
        self.give(move |folder| match folder.seal(&finish.file, &finish.part, &finish.stem) {
            Err(e) if e.is_no_room() && finish.may_stay => Ok(Done::NotSealed(e)),
            sealed => sealed.map(|(name, stat)| {
                let Finish { part, sha256, .. } = finish;
                Done::Sealed(Finished { part, name, sha256, stat })
            }),
        });
    }

    /// Removes segments, each for its reason.
    pub fn remove(&mut self, old: Vec<(Sealed, String)>) {
        self.give(move |folder| {
            old.iter().try_for_each(|(segment, _)| folder.remove(&segment.name))?;
            Ok(Done::Removed(old))
        });
    }

    /// Removes a file that was made and never written to.
    pub fn discard(&mut self, part: String) {
        self.give(move |folder| folder.remove(&part).map(|()| Done::Through));
    }

    /// Sets stamps of segments. One that cannot be set may not be ours.
    pub fn stamp(&mut self, stamps: Vec<(String, i64)>) {
        self.give(move |folder| {
            for (name, changed_ns) in stamps {
                _ = folder.stamp(&name, changed_ns);
            }
            Ok(Done::Through)
        });
    }

    /// Writes what others read: the status, and metrics where they are wanted. Also that something
    /// failed.
    pub fn tell(&mut self, status: String, metrics: Option<(Arc<MetricsFile>, String)>) {
        self.give_always(move |folder| {
            let told = metrics.map_or(Ok(()), |(file, text)| file.write(&text));
            let status = folder.write_status(status.as_bytes());
            Ok(Done::Told(told.and(status)))
        });
    }

    /// Lists the spool.
    pub fn list(&mut self) {
        self.give(|folder| folder.names().map(|names| Done::Listed(names.into_iter().collect())));
    }

    /// Keeps who we are, and after which segment the next one comes.
    pub fn keep(&mut self, identity: Identity) {
        self.give(move |folder| match folder.keep_identity(identity) {
            Err(e) if e.is_no_room() => Ok(Done::Through),
            kept => kept.map(|()| Done::Through),
        });
    }

    /// What came of the oldest of what was handed over, if it is through.
    pub fn take(&mut self) -> Option<Outcome> {
        self.next(Duration::ZERO)
    }

    /// Waits for what comes of the oldest; `None` if nothing is under way.
    pub fn wait(&mut self) -> Option<Outcome> {
        loop {
            if self.under_way.is_empty() {
                return None;
            }
            if let Some(outcome) = self.next(Duration::from_millis(250)) {
                return Some(outcome);
            }
        }
    }

    fn next(&mut self, patience: Duration) -> Option<Outcome> {
        let outcome = match &self.beside {
            None => self.outcomes.pop_front()?,
            Some(_) if self.under_way.is_empty() => return None,
            Some(Beside { thread, outcomes, .. }) => match outcomes.recv_timeout(patience) {
                Ok(outcome) => outcome,
                // An end of the channel is here, so that it does not tell.
                Err(_) if !thread.has_ended() => return None,
                Err(_) => outcomes.try_recv().unwrap_or_else(|_| Err(ended())),
            },
        };
        self.under_way.pop_front();
        Some(outcome)
    }

    /// How many things are not through.
    #[cfg(test)]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// For how long the disk has given no answer, said once for each such time.
    pub fn is_newly_slow(&mut self) -> Option<Duration> {
        let oldest = *self.under_way.front()?;
        let since = oldest.elapsed();
        if since < SLOW_AFTER || self.slow_since == Some(oldest) {
            return None;
        }
        self.slow_since = Some(oldest);
        Some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signals::Signals;
    use crate::spool::Spool;
    use nix::errno::Errno;

    /// As the loop takes them, with the error that ends it.
    fn outcomes(disk: &mut Disk) -> Vec<String> {
        let word = |outcome: Outcome| match outcome {
            Ok(done) => format!("{done:?}").split(['(', ' ']).next().unwrap_or_default().to_owned(),
            Err(e) => format!("error: {}", e.doing_and_cause().split(' ').nth(1).unwrap_or_default()),
        };
        std::iter::from_fn(|| disk.wait()).map(word).collect()
    }

    fn each_way(test: impl Fn(&mut Disk, &std::path::Path)) {
        for beside in [false, true] {
            let home = tempfile::tempdir().unwrap();
            let spool = Spool::open(home.path(), None).unwrap();
            let mut disk = Disk::here(Arc::clone(spool.folder()));
            let (_signals, waker) = Signals::install_with_waker().unwrap();
            if beside {
                disk.beside(Thread::start().unwrap(), waker);
            }
            test(&mut disk, home.path());
        }
    }

    fn finish(file: &Arc<File>) -> Finish {
        Finish { file: Arc::clone(file), part: "a".into(), stem: "b".into(), sha256: [0; 32], may_stay: false }
    }

    #[test]
    fn outcomes_come_in_the_order_in_which_things_were_handed_over() {
        each_way(|disk, home| {
            disk.make(Identity::new().unwrap(), "a".into(), NoRoom::IsAnError);
            let Some(Ok(Done::Made(Some(file)))) = disk.wait() else { panic!("no file") };
            disk.folder.hindrance.lock().unwrap().wait = Duration::from_millis(50);
            disk.sync(Arc::clone(&file), "a".into());
            disk.tell("{\"format\":1}".into(), None);
            disk.seal(finish(&file));
            disk.list();
            assert_eq!((disk.under_way(), disk.is_newly_slow()), (4, None));
            assert_eq!(outcomes(disk), ["Synced", "Told", "Sealed", "Listed"]);
            assert!(home.join("b.seg").exists() && !home.join("a.part").exists());
            assert!(disk.take().is_none() && disk.wait().is_none());
        });
    }

    #[test]
    fn after_a_sync_that_failed_nothing_is_sealed_and_the_status_is_written() {
        each_way(|disk, home| {
            disk.make(Identity::new().unwrap(), "a".into(), NoRoom::IsAnError);
            let Some(Ok(Done::Made(Some(file)))) = disk.wait() else { panic!("no file") };
            disk.folder.hindrance.lock().unwrap().error = Some(Errno::EIO);
            disk.sync(Arc::clone(&file), "a".into());
            // Before anybody knows. The kernel would let the second sync succeed.
            let folder = Arc::clone(&disk.folder);
            disk.give_always(move |_| {
                folder.hindrance.lock().unwrap().error = None;
                Ok(Done::Through)
            });
            disk.seal(finish(&file));
            disk.tell("{\"format\":1}".into(), None);
            assert_eq!(outcomes(disk), ["error: sync", "Through", "Through", "Told"]);
            assert!(home.join("a.part").exists() && !home.join("b.seg").exists());
            assert!(home.join("status.json").exists());
        });
    }

    #[test]
    fn who_waits_is_woken_by_news_and_not_by_each_sync() {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::open(home.path(), None).unwrap();
        let mut disk = Disk::here(Arc::clone(spool.folder()));
        let (signals, waker) = Signals::install_with_waker().unwrap();
        disk.beside(Thread::start().unwrap(), waker);
        let woken = |patience: u16| {
            let mut fds = [nix::poll::PollFd::new(signals.as_fd(), nix::poll::PollFlags::POLLIN)];
            nix::poll::poll(&mut fds, patience).unwrap() == 1
        };
        let file = Arc::new(spool.create("a", None).unwrap());
        disk.sync(Arc::clone(&file), "a".into());
        assert!(matches!(disk.wait(), Some(Ok(Done::Synced))) && !woken(0));
        disk.seal(finish(&file));
        assert!(woken(5_000) && matches!(disk.wait(), Some(Ok(Done::Sealed(_)))));
    }
}
