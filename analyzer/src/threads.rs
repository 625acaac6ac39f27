//! How many threads work on what is read. What comes out is the same with any number.

use std::num::NonZeroUsize;
use std::thread;

/// Threads that are used where the user says nothing: beyond this they wait for attribution, or for
/// memory.
const MOST_THREADS: usize = 4;

/// How many threads work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Threads {
    /// As many as there are processors, and none beside for little work.
    #[default]
    Fitting,
    /// So many, whatever is read.
    Exactly(NonZeroUsize),
}

impl Threads {
    /// As many as so much work is worth, of which a thread needs `least`.
    pub fn for_work(self, work: u64, least: u64) -> usize {
        let worth = usize::try_from(work.checked_div(least).unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        match self {
            Self::Exactly(threads) => threads.get(),
            Self::Fitting => self.most().min(worth.max(1)),
        }
    }

    /// Most at a time.
    pub fn most(self) -> usize {
        match self {
            Self::Exactly(threads) => threads.get(),
            Self::Fitting => thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS),
        }
    }
}
