//! A capture that is metered while it is read: here, or in a thread beside the one that takes what
//! comes out. What comes out is the same, block by block, and in the same order.

use super::corridor::{CaptureRun, Corridor, Passage};
use crate::input::Input;
use crate::threads::Threads;
use imon_common::segment::{Blocks, Direct};
use imon_common::time::UnixNanos;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread;

/// Parcels of blocks that wait between two threads; whoever is ahead by these waits. A parcel has
/// some hundred KiB.
const QUEUED: usize = 4;

/// Captures below this are read before a thread would have begun.
const WORTH_A_THREAD_BYTES: u64 = 1 << 20;

/// A capture on its way through the corridor, to be taken directly.
pub(super) type Way = Passage<Input, Direct>;

/// Hands out threads for metering: one takes what is metered, the others meter.
#[derive(Debug)]
pub(super) struct Crew {
    threads: Threads,
    most: usize,
    /// Held by each thread that meters.
    places: Arc<()>,
}

impl Crew {
    /// A crew of this size.
    pub(super) fn new(threads: Threads) -> Self {
        Self { threads, most: threads.most(), places: Arc::default() }
    }

    /// A place for a thread that meters a capture of so many bytes (0 if nobody knows), if there is
    /// one.
    fn place(&self, len_bytes: u64) -> Option<Arc<()>> {
        let is_small = self.threads == Threads::Fitting && (1..WORTH_A_THREAD_BYTES).contains(&len_bytes);
        // One reference is our own, and one thread takes what the others meter.
        let is_free = Arc::strong_count(&self.places) < self.most;
        (is_free && !is_small).then(|| Arc::clone(&self.places))
    }
}

/// What comes out of a capture, block by block.
pub(super) struct Metered {
    /// What was metered and waits.
    pub(super) blocks: Blocks,
    by: By,
}

/// Who meters.
enum By {
    /// The one who takes.
    Taker(Box<Way>),
    Thread(Beside),
}

/// What a thread that meters hands over.
enum Parcel {
    Blocks(Blocks),
    /// The capture is over.
    Over(Box<Way>),
    Failed(io::Error),
}

/// A thread that meters.
struct Beside {
    parcels: Receiver<Parcel>,
    /// Parcels whose memory can be used again.
    spent: SyncSender<Blocks>,
}

impl Metered {
    /// A capture of so many bytes, of which the first packet was read.
    pub(super) fn new(way: Way, crew: &Crew, len_bytes: u64) -> Self {
        let way = Box::new(way);
        let by = match crew.place(len_bytes) {
            None => By::Taker(way),
            Some(place) => begin_beside(way, place),
        };
        Self { blocks: Blocks::default(), by }
    }

    /// The interval of the next block; `None` when the capture is over.
    pub(super) fn next_time(&mut self) -> io::Result<Option<UnixNanos>> {
        if self.blocks.next_time().is_none() {
            self.next_parcel()?;
        }
        Ok(self.blocks.next_time())
    }

    fn next_parcel(&mut self) -> io::Result<()> {
        let mut spent = std::mem::take(&mut self.blocks);
        spent.clear();
        match &mut self.by {
            By::Taker(way) => {
                if way.fill()? {
                    self.blocks = way.sink().take(spent);
                }
            }
            By::Thread(beside) => {
                // If nobody wants it, it goes.
                _ = beside.spent.try_send(spent);
                match beside.parcels.recv() {
                    Ok(Parcel::Blocks(blocks)) => self.blocks = blocks,
                    Ok(Parcel::Over(way)) => self.by = By::Taker(way),
                    Ok(Parcel::Failed(error)) => return Err(error),
                    Err(_) => return Err(ended()),
                }
            }
        }
        Ok(())
    }

    /// What came of the capture, its input, and the corridor for the next one.
    ///
    /// # Errors
    /// It is not over.
    pub(super) fn finish(self) -> io::Result<(CaptureRun, Input, Corridor)> {
        match self.by {
            By::Taker(way) => Ok(way.finish()),
            By::Thread(_) => Err(ended()),
        }
    }
}

/// A thread that panicked: a fault of the program's own, which was told already.
fn ended() -> io::Error {
    io::Error::other("the thread that reads it ended")
}

/// Meters in a thread, or here if the system gives none.
fn begin_beside(way: Box<Way>, place: Arc<()>) -> By {
    let (to, parcels) = sync_channel(QUEUED);
    let (spent, empty) = sync_channel(QUEUED);
    // Handed over when the thread is there: where there is none it must not be gone.
    let (hand, taken) = sync_channel::<Box<Way>>(1);
    let body = move || {
        if let Ok(way) = taken.recv() {
            work(way, &to, &empty);
        }
        drop(place);
    };
    if thread::Builder::new().name("meter".into()).spawn(body).is_err() {
        return By::Taker(way);
    }
    match hand.send(way) {
        Ok(()) => By::Thread(Beside { parcels, spent }),
        Err(SendError(way)) => By::Taker(way),
    }
}

/// Meters until the capture is over, or nobody takes what comes out.
fn work(mut way: Box<Way>, to: &SyncSender<Parcel>, empty: &Receiver<Blocks>) {
    loop {
        let parcel = match way.fill() {
            Ok(true) => Parcel::Blocks(way.sink().take(empty.try_recv().unwrap_or_default())),
            Ok(false) => {
                _ = to.send(Parcel::Over(way));
                return;
            }
            Err(error) => Parcel::Failed(error),
        };
        if to.send(parcel).is_err() {
            return;
        }
    }
}
