//! How many threads work on what is read. What comes out is the same with any number.

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::thread::{self, Builder};

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

/// What `make` makes of each of these, in their order. The first is made here, each other by a
/// thread of its own; here as well where the system gives none.
pub(crate) fn each<T: Sync, R: Send>(of: &[T], make: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let Some((first, others)) = of.split_first() else { return Vec::new() };
    let make = &make;
    thread::scope(|scope| {
        let begin = |one| Builder::new().name("part".into()).spawn_scoped(scope, move || make(one));
        let begun: Vec<_> = others.iter().map(begin).collect();
        let mut all = vec![make(first)];
        all.extend(others.iter().zip(begun).map(|(one, thread)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => make(one),
        }));
        all
    })
}
