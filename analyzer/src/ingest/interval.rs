//! An interval that its recorder wrote in parts is handed on as a whole: names first, then what
//! each flow moved, in one row. So it makes no difference to what rests on order when a recorder
//! saved what it had.

use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Observer, Usage};
use imon_common::packet::Interface;
use imon_common::time::UnixNanos;
use std::collections::HashMap;
use std::convert::Infallible;

/// Flows of an interval that are held back: as many as the meter follows at a time. Beyond that
/// rows are handed on as they are.
const MOST: usize = 65_536;

/// What flows moved in the interval so far, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Held {
    rows: Vec<(Flow, UnixNanos, Usage)>,
    places: HashMap<u64, usize>,
}

impl Held {
    /// Hands on what was held back.
    pub(super) fn give<O: Observer<Error = Infallible>>(&mut self, to: &mut O) {
        self.places.clear();
        for (flow, interval, usage) in self.rows.drain(..) {
            let Ok(()) = to.usage(&flow, interval, usage);
        }
    }
}

/// Hands on everything but usage, which it holds back.
pub(super) struct Holding<'a, O> {
    pub(super) to: &'a mut O,
    pub(super) held: &'a mut Held,
}

impl<O: Observer<Error = Infallible>> Observer for Holding<'_, O> {
    type Error = Infallible;

    fn interface(&mut self, number: u32, interface: &Interface) -> Result<(), Infallible> {
        self.to.interface(number, interface)
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.to.name(flow, seen)
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        let Held { rows, places } = &mut *self.held;
        if let Some((known, _, sum)) = places.get(&flow.number).and_then(|place| rows.get_mut(*place)) {
            sum.add(usage);
            // It got its name since.
            if known.name != flow.name {
                known.name.clone_from(&flow.name);
            }
            return Ok(());
        }
        if rows.len() >= MOST {
            self.held.give(self.to);
        }
        self.held.places.insert(flow.number, self.held.rows.len());
        self.held.rows.push((flow.clone(), interval, usage));
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        self.to.counts(ts, counts)
    }
}
