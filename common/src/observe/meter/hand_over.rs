//! What a meter hands over: usage by flow and counts, at the end of an interval or before.

use super::super::{Count, Counter, Observer};
use super::Meter;
use crate::time::UnixNanos;
use crate::work;

/// Different counters gathered before they are handed over early, so that frames of 65,536
/// EtherTypes cost no memory.
const COUNTS_LIMIT: usize = 64;

impl Meter {
    /// Counts a frame that is in no flow, or something about one.
    pub(super) fn count<O: Observer>(
        &mut self,
        counter: Counter,
        bytes: u64,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        work::steps(self.counts.len());
        if let Some(count) = self.counts.iter_mut().find(|c| c.counter == counter) {
            count.packets += 1;
            count.bytes += bytes;
            return Ok(());
        }
        if self.counts.len() >= COUNTS_LIMIT
            && let Some(interval) = self.interval
        {
            self.hand_over_counts(interval, observer)?;
        }
        self.counts.push(Count { counter, packets: 1, bytes });
        Ok(())
    }

    /// Hands over everything pending, whatever the time: before a rotation, and at the end.
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn flush<O: Observer>(&mut self, observer: &mut O) -> Result<(), O::Error> {
        let waiting = self.fragments.take_waiting();
        self.without_first(&waiting, observer)?;
        self.hand_over(observer)
    }

    /// Hands over what is booked in the current interval.
    pub(super) fn hand_over<O: Observer>(&mut self, observer: &mut O) -> Result<(), O::Error> {
        let Some(interval) = self.interval else {
            return Ok(());
        };
        self.settle_asks();
        let passed_over = std::mem::take(&mut self.passed_over);
        let names = self.finder.take_given_up() + self.dns.take_given_up() + self.stub.take_given_up();
        let given_up = names + passed_over;
        if given_up > 0 {
            self.counts.push(Count { counter: Counter::NamesGivenUp, packets: given_up, bytes: 0 });
        }
        let not_hosts = self.finder.take_not_hosts();
        if not_hosts > 0 {
            self.counts.push(Count { counter: Counter::NotAHost, packets: not_hosts, bytes: 0 });
        }
        for count in self.carriers.settle(&mut self.table) {
            self.totals.carried_bytes += count.bytes;
            self.counts.push(count);
        }
        self.hand_over_booked(interval, observer)
    }

    /// Hands over what is booked so far in the current interval, which goes on: what is booked from
    /// here on comes as further rows of it, which add up. Tells whether it did; where a tunnel is
    /// followed it does nothing, as how much of its carrier's bytes are counted inside is settled
    /// when the interval is over.
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn save<O: Observer>(&mut self, observer: &mut O) -> Result<bool, O::Error> {
        match self.interval {
            Some(interval) if self.carriers.is_idle() => self.hand_over_booked(interval, observer).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Whether anything is booked that [`Self::save`] would hand over.
    pub fn has_booked(&self) -> bool {
        !self.touched.is_empty() || !self.counts.is_empty()
    }

    /// Flows that have moved something which [`Self::flush`] would hand over: at most so many rows.
    pub fn booked_flows(&self) -> usize {
        self.touched.len()
    }

    fn hand_over_booked<O: Observer>(&mut self, interval: UnixNanos, observer: &mut O) -> Result<(), O::Error> {
        self.hand_over_counts(interval, observer)?;
        for slot in self.touched.drain(..) {
            let Some(entry) = self.table.get_mut(slot) else {
                continue;
            };
            // A slot may have been freed and taken again within the interval: then it stands here
            // twice.
            if std::mem::take(&mut entry.touched) {
                let usage = std::mem::take(&mut entry.pending);
                entry.mac_is_settled = true; // or never: see `Entry`
                observer.usage(&entry.flow, interval, usage)?;
            }
        }
        Ok(())
    }

    fn hand_over_counts<O: Observer>(&mut self, interval: UnixNanos, observer: &mut O) -> Result<(), O::Error> {
        if self.counts.is_empty() {
            return Ok(());
        }
        observer.counts(interval, &self.counts)?;
        self.counts.clear();
        Ok(())
    }
}
