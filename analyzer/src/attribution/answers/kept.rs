//! Lists that are kept for a key: bounded, and the same in whatever order things are added.

use super::{Asker, push};
use crate::attribution::KNOWN_NS;
use imon_common::names::Name;
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use imon_common::work;

/// Times kept for one name: the first and the latest.
const KEPT_TIMES: usize = 5;

/// Starts of flows kept for one name or address: browsers begin six connections to a host at once.
const KEPT_STARTS: usize = 16;

/// Replies kept for a device and a name, and guesses for a device and a service: the latest.
const KEPT_REPLIES: usize = 16;

/// Cards kept for an address: a lease seldom lasts less than an hour, so these are those of hours.
const KEPT_CARDS: usize = 8;

/// When something happened within [`KNOWN_NS`]: the first time and the latest ones. Which ones are
/// kept does not depend on the order in which they are added. Most things happen once: small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::attribution) struct Times {
    latest: UnixNanos,
    /// Those before it, in order; mostly none.
    earlier: Box<[UnixNanos]>,
}

impl Times {
    fn at(ts: UnixNanos) -> Self {
        Self { latest: ts, earlier: Box::default() }
    }

    fn add(&mut self, ts: UnixNanos) {
        // What is older counts for nothing, and must not take the place of what does: a booking
        // that begins later does not know it.
        if self.latest.since(ts) > KNOWN_NS || self.iter().any(|kept| kept == ts) {
            return;
        }
        let (mut all, mut len) = ([ts; KEPT_TIMES + 1], 1);
        for (place, kept) in all.iter_mut().zip(self.iter().filter(|kept| ts.since(*kept) <= KNOWN_NS)) {
            *place = kept;
            len += 1;
        }
        // The place behind those that stay holds `ts` still.
        let Some(all) = all.get_mut(..len) else { return };
        all.sort_unstable();
        // What goes is the earliest but the first, over which the first is copied.
        let from = usize::from(len > KEPT_TIMES);
        if from == 1 {
            all.copy_within(..1, 1);
        }
        let Some((latest, earlier)) = all.get(from..).and_then(<[_]>::split_last) else { return };
        self.latest = *latest;
        match self.earlier.len() == earlier.len() {
            true => self.earlier.copy_from_slice(earlier),
            false => self.earlier = earlier.into(),
        }
    }

    /// The latest; every list holds one.
    pub(in crate::attribution) fn latest(&self) -> UnixNanos {
        self.latest
    }

    /// The latest in `from..=to`.
    pub(in crate::attribution) fn latest_in(&self, from: UnixNanos, to: UnixNanos) -> Option<UnixNanos> {
        self.iter().rev().find(|ts| *ts <= to).filter(|ts| *ts >= from)
    }

    /// The first in `from..=to`.
    pub(in crate::attribution) fn first_in(&self, from: UnixNanos, to: UnixNanos) -> Option<UnixNanos> {
        self.iter().find(|ts| *ts >= from).filter(|ts| *ts <= to)
    }

    /// All that are kept, in order.
    pub(in crate::attribution) fn iter(&self) -> impl DoubleEndedIterator<Item = UnixNanos> {
        self.earlier.iter().copied().chain([self.latest])
    }
}

/// A name that somebody was told for an address. In lists of one asker it needs not be said who.
#[derive(Debug, Clone)]
pub(in crate::attribution) struct Told<A = Asker> {
    pub(in crate::attribution) asker: A,
    pub(in crate::attribution) host: Name,
    pub(in crate::attribution) times: Times,
}

/// Adds the start of a flow to the latest ones, which are in order. Earlier ones than these leave
/// no trace: a source that is read again must find the same as when all sources before it were
/// read, too.
pub(super) fn note_start(starts: &mut Vec<UnixNanos>, start: UnixNanos) {
    let place = starts.partition_point(|kept| *kept < start);
    if starts.get(place) == Some(&start) {
        return;
    }
    if starts.len() < KEPT_STARTS {
        push(starts, start);
        starts.sort_unstable();
    } else if let Some(room) = place.checked_sub(1) {
        starts.remove(0);
        starts.insert(room, start);
    }
}

/// Adds to the latest values, in the order of `key`, each once. Earlier ones than these leave no
/// trace, as in [`note_start`].
pub(super) fn keep_latest<V, K: Ord>(all: &mut Vec<V>, value: V, key: impl Fn(&V) -> K) {
    let place = all.partition_point(|kept| key(kept) < key(&value));
    if all.get(place).is_some_and(|kept| key(kept) == key(&value)) {
        return;
    }
    if all.len() < KEPT_REPLIES {
        push(all, value);
        all.sort_by_key(key);
    } else if let Some(room) = place.checked_sub(1) {
        all.remove(0);
        all.insert(room, value);
    }
}

/// Notes when a card used an address. Of more than [`KEPT_CARDS`] those that used it last stay.
pub(super) fn note_card(cards: &mut Vec<(Mac, UnixNanos)>, card: Mac, ts: UnixNanos) {
    if let Some((_, last)) = cards.iter_mut().find(|(known, _)| *known == card) {
        *last = ts.max(*last);
        return;
    }
    push(cards, (card, ts));
    if cards.len() > KEPT_CARDS
        && let Some((oldest, _)) = cards.iter().enumerate().min_by_key(|(_, (card, last))| (*last, *card))
    {
        cards.swap_remove(oldest);
    }
}

/// Keeps at most `most` names. A name that is told again and again takes one place and pushes none
/// out.
pub(in crate::attribution) fn keep<A: Copy + Ord>(
    all: &mut Vec<Told<A>>,
    most: usize,
    (asker, host): (A, Name),
    ts: UnixNanos,
) {
    work::steps(all.len());
    if let Some(told) = all.iter_mut().find(|told| told.asker == asker && told.host == host) {
        told.times.add(ts);
        return;
    }
    if all.len() >= most {
        let age = |told: &Told<A>| (told.times.latest(), told.asker);
        let older = |a: &Told<A>, b: &Told<A>| age(a).cmp(&age(b)).then_with(|| a.host.cmp(&b.host));
        if let Some((oldest, _)) = all.iter().enumerate().min_by(|(_, a), (_, b)| older(a, b)) {
            all.swap_remove(oldest);
        }
    }
    // Lists are held without room to spare.
    all.reserve_exact(1);
    all.push(Told { asker, host, times: Times::at(ts) });
}

#[cfg(test)]
mod tests {
    use super::super::ServicePort;
    use super::*;

    /// Every order of these times.
    fn orders(times: &[i64]) -> Vec<Vec<i64>> {
        if times.is_empty() {
            return vec![Vec::new()];
        }
        let with_first = |i: usize| {
            let mut rest = times.to_vec();
            let first = rest.remove(i);
            orders(&rest).into_iter().map(move |order| [vec![first], order].concat())
        };
        (0..times.len()).flat_map(with_first).collect()
    }

    #[test]
    fn the_first_and_the_latest_times_are_kept_in_whatever_order_they_come() {
        for order in orders(&[10, 20, 30, 40, 50, 60, 70]) {
            let mut times = Times::at(UnixNanos(order[0]));
            order[1..].iter().for_each(|ts| times.add(UnixNanos(*ts)));
            assert_eq!(times.iter().map(|ts| ts.0).collect::<Vec<_>>(), [10, 40, 50, 60, 70], "{order:?}");
        }
    }

    #[test]
    fn a_name_told_a_thousand_times_pushes_no_other_out() {
        let name = |text: &str| Name::from_host(text.as_bytes()).unwrap();
        let (mut told, asker) = (Vec::new(), Asker::Flow(ServicePort::WEB));
        keep(&mut told, 2, (asker, name("a.example")), UnixNanos(0));
        (1..1_000).for_each(|ts| keep(&mut told, 2, (asker, name("b.example")), UnixNanos(ts)));
        assert_eq!(told.len(), 2);
        keep(&mut told, 2, (asker, name("c.example")), UnixNanos(5_000));
        let mut hosts: Vec<&str> = told.iter().map(|t| t.host.as_str()).collect();
        hosts.sort_unstable();
        assert_eq!(hosts, ["b.example", "c.example"], "the one told longest ago goes");
    }
}
