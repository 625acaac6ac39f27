//! Rows summed up as they are read, as far as a question does not tell them apart: of years of
//! rows only what differs for it is in memory. A page is several questions: each has sums of its
//! own, and a row is looked up once for all of them.

mod view;

use super::read::Wanted;
use crate::books::{Host, Observed, Row, Side};
use crate::rollup::Interner;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::sync::Arc;
use view::{Key, View};

/// Most questions at once: those of a page.
pub const MAX_VIEWS: usize = 6;

/// Rows that are looked up one after the other before any is summed up, and then summed up for one
/// question after the other: loops that are short let the processor wait for several places of
/// memory at once. So many rows stay in its nearest cache.
const AT_A_TIME: usize = 512;

/// Maps the start of a bucket to one that stands for its stretch of time.
pub type Stretch = Box<dyn FnMut(i64) -> i64 + Send>;

/// Maps a row, of which time and amounts do not count, to one that stands for all that are alike.
/// Its host is one of these, which are always the same.
pub type Alike<'a> = Box<dyn FnMut(&Row, &Interner<Host>) -> Row + Send + 'a>;

/// Knows which rows are alike.
pub trait Likeness: Send + Sync {
    /// For the rows of a thread.
    fn begin(&self) -> Alike<'_>;
}

/// What a question tells apart.
#[derive(Clone)]
pub struct Apart<'a> {
    /// Beside evidence, kind of traffic and blind spot.
    pub wanted: Wanted,
    /// Makes its stretches of time: every thread has its own.
    stretches: Arc<dyn Fn(Observed) -> Stretch + Send + Sync + 'a>,
    /// Packets are summed up, too.
    has_packets: bool,
    /// What is alike; `None`: what differs in anything that is wanted is told apart.
    alike: Option<Arc<dyn Likeness + 'a>>,
}

impl<'a> Apart<'a> {
    /// What is `wanted`, by the stretches of time that `stretches` makes, which knows the first and
    /// the last instant that was observed.
    pub fn new<S>(wanted: Wanted, stretches: impl Fn(Observed) -> S + Send + Sync + 'a) -> Self
    where
        S: FnMut(i64) -> i64 + Send + 'static,
    {
        Self {
            wanted,
            stretches: Arc::new(move |observed| Box::new(stretches(observed))),
            has_packets: true,
            alike: None,
        }
    }

    /// The same, where only rows are told apart that are not alike. What any question at the same
    /// time wants of rows is in them.
    #[must_use]
    pub fn by(self, alike: impl Likeness + 'a) -> Self {
        Self { alike: Some(Arc::new(alike)), ..self }
    }

    /// The same without packets, which take as much room as bytes.
    #[must_use]
    pub fn without_packets(self) -> Self {
        Self { has_packets: false, ..self }
    }

    /// Its stretches of time.
    pub(super) fn stretch(&self, observed: Observed) -> Stretch {
        (self.stretches)(observed)
    }
}

impl std::fmt::Debug for Apart<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Apart").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

/// Rows, summed up.
pub(super) struct Fold<'a> {
    views: Vec<View<'a>>,
    /// Place in each view of what differs in any of them.
    places: HashMap<Key, [u32; MAX_VIEWS], RandomState>,
    /// Rows that are in no sum yet, and room for their places.
    waiting: Vec<Row>,
    found: Vec<[u32; MAX_VIEWS]>,
    /// Every row as it is, where there are no views.
    rows: Vec<Row>,
}

impl<'a> Fold<'a> {
    /// Without anything to tell apart every row stays as it is.
    pub(super) fn new(apart: &'a [Apart<'a>], observed: Observed) -> Self {
        let has_hosts = apart.iter().any(|apart| apart.wanted.hosts);
        let view = |apart| View::new(apart, observed, has_hosts);
        let views = apart.iter().take(MAX_VIEWS).map(view).collect();
        let (waiting, found) = (Vec::with_capacity(AT_A_TIME), Vec::with_capacity(AT_A_TIME));
        Self { views, places: HashMap::default(), waiting, found, rows: Vec::new() }
    }

    /// Takes in the sums of another one of the same questions, of rows that come after. `here`: the
    /// row with the places that what it points to has here, among them those of `hosts`.
    pub(super) fn absorb(
        &mut self,
        mut other: Self,
        [hosts, others]: [&Interner<Host>; 2],
        mut here: impl FnMut(Row) -> Row,
    ) {
        self.sum_up(hosts);
        other.sum_up(others);
        let Self { views, rows, places, .. } = other;
        // Numbers of rows that are gone.
        drop(places);
        self.rows.extend(rows.into_iter().map(&mut here));
        self.views.iter_mut().zip(views).for_each(|(view, other)| view.absorb(other, hosts, &mut here));
    }

    /// Adds a row, whose host is one of `hosts`.
    #[inline]
    pub(super) fn add(&mut self, row: Row, hosts: &Interner<Host>) {
        if self.views.is_empty() {
            return self.rows.push(row);
        }
        self.waiting.push(row);
        if self.waiting.len() >= AT_A_TIME {
            self.sum_up(hosts);
        }
    }

    /// Sums up what waits.
    fn sum_up(&mut self, hosts: &Interner<Host>) {
        let Self { views, places, waiting, found, .. } = self;
        found.clear();
        found.extend(waiting.iter().map(|row| {
            *places.entry(Key::of(row)).or_insert_with(|| {
                let mut of = [0; MAX_VIEWS];
                of.iter_mut().zip(views.iter_mut()).for_each(|(of, view)| *of = view.place(row, hosts));
                of
            })
        }));
        for (nth, view) in views.iter_mut().enumerate() {
            let places = found.iter().map(|of| of.get(nth).copied().unwrap_or_default());
            view.sum_rows(waiting.iter().zip(places));
        }
        waiting.clear();
    }

    /// How many rows there are so far, or more.
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.waiting.len() + self.views.iter().map(View::len).sum::<usize>()
    }

    /// The rows of the first question, and the sums of the others in their order; of none the rows
    /// as they came.
    pub(super) fn finish(mut self, hosts: &Interner<Host>) -> (Vec<Row>, Vec<Side>) {
        self.sum_up(hosts);
        // What rows are looked up by is of no use any more, and takes room.
        let Self { views, places, rows, .. } = self;
        drop(places);
        let mut sides = views.into_iter().map(View::finish);
        let rows = sides.next().map_or(rows, Side::into_rows);
        (rows, sides.collect())
    }
}

#[cfg(test)]
mod tests;
