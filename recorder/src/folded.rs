//! What is kept when there is no room for detail any more: sums for each interval. Totals outlive
//! names and flows.

use imon_common::flow::{Flow, Scope};
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Counter, GapReason, Observer, Usage};
use imon_common::time::UnixNanos;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// Spans kept; when there are more, each two neighbours become one. An hour of seconds: some 600
/// KiB with the usual counters. A day is then in spans of 32 s.
const MOST_SPANS: usize = 3600;

/// Different counters kept in a span. More need frames of many EtherTypes: further ones are added
/// to the first of them.
const MOST_COUNTERS: usize = 64;

/// Numbers of the flows that stand for all others, one for each scope: from the far end of the
/// range, which flows that are counted from 0 never reach.
const FIRST_NUMBER: u64 = u64::MAX - 2;

/// One or more intervals.
#[derive(Debug)]
struct Span {
    from: UnixNanos,
    /// By scope.
    usage: [Usage; 3],
    counts: Vec<Count>,
}

/// Sums of everything that was handed over since the room ran out.
#[derive(Debug)]
pub struct Folded {
    interval_ns: i64,
    spans: Vec<Span>,
}

impl Folded {
    /// Nothing yet. Sums are by intervals of this length.
    pub fn new(interval_ns: i64) -> Self {
        Self { interval_ns, spans: Vec::new() }
    }

    /// All that is in the sums.
    pub fn sum(&self) -> Usage {
        let mut all = Usage::default();
        self.spans.iter().flat_map(|span| span.usage).for_each(|usage| all.add(usage));
        all
    }

    /// How long there was no detail, up to `until`, and from when on; `None` if nothing was handed
    /// over.
    pub fn gap(&self, until: UnixNanos) -> Option<(UnixNanos, Count)> {
        let first = self.from()?;
        let length_ns = u64::try_from(until.since(first)).unwrap_or(0);
        Some((first, Count { counter: Counter::Gap(GapReason::NoSpace), packets: 1, bytes: length_ns }))
    }

    /// When the first interval that was handed over begins.
    pub fn from(&self) -> Option<UnixNanos> {
        self.spans.iter().map(|s| s.from).min()
    }

    /// When the last interval that was handed over ends.
    pub fn until(&self) -> Option<UnixNanos> {
        self.spans.iter().map(|s| s.from).max().map(|from| UnixNanos(from.0.saturating_add(self.interval_ns)))
    }

    /// Hands the sums over: usage to flows without addresses, and how long there was no detail, up
    /// to `until`.
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn replay<O: Observer>(&self, until: UnixNanos, observer: &mut O) -> Result<(), O::Error> {
        let Some((first, gap)) = self.gap(until) else {
            return Ok(());
        };
        observer.counts(first, &[gap])?;
        self.replay_sums(observer)
    }

    /// Hands the sums over, and does not say that there was no detail.
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn replay_sums<O: Observer>(&self, observer: &mut O) -> Result<(), O::Error> {
        let Some(first) = self.from() else {
            return Ok(());
        };
        for span in &self.spans {
            for (scope, usage) in [Scope::Remote, Scope::Local, Scope::Transit].into_iter().zip(span.usage) {
                if usage.packets() > 0 {
                    observer.usage(&everyone(scope, first), span.from, usage)?;
                }
            }
            observer.counts(span.from, &span.counts)?;
        }
        Ok(())
    }

    /// The span that `ts` goes into.
    fn at(&mut self, ts: UnixNanos) -> Option<&mut Span> {
        let ts = ts.floor_to(self.interval_ns);
        // What is older, after the clock was stepped back, goes into the last one.
        if self.spans.last().is_none_or(|last| ts > last.from) {
            if self.spans.len() >= MOST_SPANS {
                self.halve();
            }
            self.spans.push(Span { from: ts, usage: Default::default(), counts: Vec::new() });
        }
        self.spans.last_mut()
    }

    /// Makes one of each two neighbours.
    fn halve(&mut self) {
        let mut whole = Vec::with_capacity(self.spans.len().div_ceil(2));
        let mut spans = std::mem::take(&mut self.spans).into_iter();
        while let Some(mut span) = spans.next() {
            if let Some(next) = spans.next() {
                span.usage.iter_mut().zip(next.usage).for_each(|(sum, more)| sum.add(more));
                next.counts.iter().for_each(|c| span.count(c));
            }
            whole.push(span);
        }
        self.spans = whole;
    }
}

impl Span {
    fn count(&mut self, count: &Count) {
        let is_it = |c: &Count| c.counter == count.counter;
        // Only EtherTypes are so many, and then one of them is there.
        let is_kind = |c: &Count| std::mem::discriminant(&c.counter) == std::mem::discriminant(&count.counter);
        let full = self.counts.len() >= MOST_COUNTERS;
        let place = self.counts.iter().position(is_it).or_else(|| self.counts.iter().position(|c| full && is_kind(c)));
        match place.and_then(|at| self.counts.get_mut(at)) {
            Some(sum) => {
                sum.packets += count.packets;
                sum.bytes += count.bytes;
            }
            None => self.counts.push(*count),
        }
    }
}

/// The flow that stands for all of a scope: no address, no protocol.
fn everyone(scope: Scope, start: UnixNanos) -> Flow {
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    Flow {
        number: FIRST_NUMBER + scope as u64,
        client: nobody,
        server: nobody,
        client_port: 0,
        server_port: 0,
        proto: 255, // reserved by IANA: stands for none
        scope,
        begin_seen: false,
        opened: imon_common::flow::Opener::Unknown,
        interface: 0,
        vlan: None,
        client_mac: None,
        start,
        name: None,
    }
}

impl Observer for Folded {
    type Error = io::Error;

    /// Names go first.
    fn name(&mut self, _: &Flow, _: &NameSeen) -> io::Result<()> {
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> io::Result<()> {
        if let Some(sum) = self.at(interval).and_then(|span| span.usage.get_mut(flow.scope as usize)) {
            sum.add(usage);
        }
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> io::Result<()> {
        if let Some(span) = self.at(ts) {
            counts.iter().for_each(|c| span.count(c));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::wire::NotIp;

    const SECOND: i64 = 1_000_000_000;

    /// Adds up what it is handed, and keeps the times.
    #[derive(Default)]
    struct Books {
        usage: Vec<(Scope, i64, u64)>,
        counts: Vec<(i64, Count)>,
    }

    impl Observer for Books {
        type Error = std::convert::Infallible;
        fn name(&mut self, _: &Flow, _: &NameSeen) -> Result<(), Self::Error> {
            Ok(())
        }
        fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Self::Error> {
            self.usage.push((flow.scope, interval.0 / SECOND, usage.bytes()));
            Ok(())
        }
        fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Self::Error> {
            self.counts.extend(counts.iter().map(|c| (ts.0 / SECOND, *c)));
            Ok(())
        }
    }

    fn at(second: i64) -> UnixNanos {
        UnixNanos(second * SECOND)
    }

    fn bytes(n: u64) -> Usage {
        Usage { down_packets: 1, down_bytes: n, ..Usage::default() }
    }

    fn replayed(folded: &Folded, until: i64) -> Books {
        let mut books = Books::default();
        let Ok(()) = folded.replay(at(until), &mut books);
        books
    }

    #[test]
    fn flows_become_one_for_each_scope_and_interval_and_the_gap_is_stated() {
        let mut folded = Folded::new(SECOND);
        let flow = |scope| Flow { server_port: 443, ..everyone(scope, at(0)) };
        for (scope, second, n) in
            [(Scope::Remote, 7, 100), (Scope::Remote, 7, 20), (Scope::Local, 7, 3), (Scope::Remote, 9, 1)]
        {
            folded.usage(&flow(scope), at(second), bytes(n)).unwrap();
        }
        let count = Count { counter: Counter::KernelDropped, packets: 4, bytes: 0 };
        folded.counts(UnixNanos(9 * SECOND + 5), &[count, count]).unwrap();
        let books = replayed(&folded, 12);
        assert_eq!(books.usage, [(Scope::Remote, 7, 120), (Scope::Local, 7, 3), (Scope::Remote, 9, 1)]);
        let gap = Count { counter: Counter::Gap(GapReason::NoSpace), packets: 1, bytes: 5 * SECOND as u64 };
        assert_eq!(books.counts, [(7, gap), (9, Count { packets: 8, ..count })]);
    }

    #[test]
    fn a_long_time_costs_resolution_and_no_memory_and_no_byte() {
        let mut folded = Folded::new(SECOND);
        let total = 5 * MOST_SPANS as i64;
        for second in 0..total {
            folded.usage(&everyone(Scope::Remote, at(0)), at(second), bytes(10)).unwrap();
            let ether_type = u16::try_from(second % 60_000).unwrap();
            let count = Count { counter: Counter::NotIp(NotIp::EtherType(ether_type)), packets: 1, bytes: 2 };
            folded.counts(at(second), &[count]).unwrap();
        }
        assert!(folded.spans.len() <= MOST_SPANS);
        assert!(folded.spans.iter().all(|s| s.counts.len() <= MOST_COUNTERS));
        let books = replayed(&folded, total);
        assert_eq!(books.usage.iter().map(|u| u.2).sum::<u64>(), 10 * total as u64);
        let packets = books.counts.iter().filter(|(_, c)| matches!(c.counter, Counter::NotIp(_)));
        assert_eq!(packets.map(|(_, c)| c.packets).sum::<u64>(), total as u64);
    }

    #[test]
    fn without_anything_nothing_is_stated() {
        assert!(replayed(&Folded::new(SECOND), 9).counts.is_empty());
    }
}
