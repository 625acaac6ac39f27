//! What attribution says, into sums.

use super::{MAX_ROWS, PageKey, Rollup, overlap};
use crate::attribution::{
    Called, Carried, Doubled, Habit, Learned, Led, Ledger, Overlaps, PagePart, Places, Share, Verdict, network_of,
};
use crate::books::{Gap, Host, bucket_of};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::Flow;
use imon_common::names::Name;
use imon_common::observe::{Count, Counter};
use imon_common::time::UnixNanos;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};

/// Pairs of hardware address and network kept of a source. A home has some dozens; made-up
/// addresses are cut off here.
const MAX_MET: usize = 16_384;

/// Carriers of tunnels kept of a source. A server of a thousand peers has as many.
const MAX_CARRIERS: usize = 16_384;

/// Names of addresses that a source teaches, and as many names that lead to others: what comes
/// later names flows while it is read, and is not kept. More than attribution remembers, and a
/// flood of names ends here.
pub(super) const MAX_LEARNED: usize = 524_288;

/// Notes that something was learned, first and last.
fn note<K: Eq + Hash>(all: &mut HashMap<K, (UnixNanos, UnixNanos), RandomState>, key: K, ts: UnixNanos) {
    if all.len() >= MAX_LEARNED && !all.contains_key(&key) {
        return;
    }
    let (first, last) = all.entry(key).or_insert((ts, ts));
    (*first, *last) = ((*first).min(ts), (*last).max(ts));
}

/// Whether a counter tells of segments and runs.
fn says_of_segments(counter: Counter) -> bool {
    use Counter::{NeverWritten, RecordedTo, Removed, RunBefore};
    matches!(counter, RunBefore(_) | Removed(_) | NeverWritten(_) | RecordedTo)
}

/// What stands for hosts that are not told apart any more: names stay names, addresses stay
/// addresses.
fn others(host: &Host) -> Host {
    let name = Name::from_presentation("(other-names)").map(Host::Name);
    match (host, name) {
        (Host::Name(_), Some(name)) => name,
        _ => Host::Address(Ipv4Addr::UNSPECIFIED.into()),
    }
}

impl Ledger for Rollup {
    fn places(&mut self) -> Option<&mut dyn Places> {
        Some(&mut self.seen)
    }

    #[inline]
    fn interface_of(&mut self, source: usize, flow: &Flow) -> u32 {
        self.seen.index_of(source, flow, &mut self.interfaces)
    }

    fn book(&mut self, flow: &Flow, shares: &[Share], verdict: &Verdict) {
        // Before folding: it may rest on the host or the client.
        let blind = self.blind_of(flow, shares.first().map(Share::source), verdict);
        if self.rows.len() >= self.max_rows.unwrap_or(MAX_ROWS) && !self.knows(flow, verdict) {
            let folded = Verdict { host: others(&verdict.host), candidates: Vec::new(), ..verdict.clone() };
            let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            self.sum(&Flow { client: nobody, client_mac: None, ..flow.clone() }, shares, &folded, blind);
        } else {
            self.sum(flow, shares, verdict, blind);
        }
        shares.iter().for_each(|share| self.see(share.first, share.last));
    }

    fn pages(&mut self, flow: &Flow, verdict: &Verdict, parts: &[PagePart]) {
        // What was folded, or would make too many rows, stays on its own site.
        let folded = !self.hosts.contains(&verdict.host) || self.pages.len() >= self.max_rows.unwrap_or(MAX_ROWS);
        if folded {
            return;
        }
        let blind = self.blind_of(flow, parts.first().map(|part| part.share.source()), verdict);
        let place = self.place(flow, verdict, blind);
        for part in parts {
            let mut host_of = |name: &str| Name::from_presentation(name).map(|n| self.hosts.index_of(&Host::Name(n)));
            let page = part.page.as_ref().map_or(Some(place.host), |page| host_of(page));
            let rival = part.rival.as_ref().and_then(|rival| host_of(rival));
            let Some(page) = page else { continue };
            let row = place.at(part.share.bucket_s(), part.share.source(), part.share.interface);
            let key = PageKey { row, page, sureness: part.sureness, rival };
            self.pages.entry(key).or_default().add(part.share.usage);
        }
    }

    fn doubled(&mut self, flow: &Flow, doubled: &[Doubled], verdict: &Verdict) {
        // What was folded, or would make too many rows, counts as it is.
        if !self.hosts.contains(&verdict.host) || self.doubled.len() >= self.max_rows.unwrap_or(MAX_ROWS) {
            return;
        }
        let blind = self.blind_of(flow, doubled.first().map(|doubled| doubled.source), verdict);
        let place = self.place(flow, verdict, blind);
        for Doubled { source, of, interface, interval, usage } in doubled {
            let key = place.at(bucket_of(*interval), *source, *interface);
            self.doubled.entry((key, *source, *of)).or_default().add(*usage);
        }
    }

    fn leave_out(&mut self, overlaps: &Overlaps) {
        overlap::leave_out(self, overlaps);
        self.skews = overlaps.skews();
    }

    fn habit(&mut self, _source: usize, habit: &Habit) {
        if self.keep_learned {
            self.habits.learn(habit);
        }
    }

    fn counts(&mut self, source: usize, ts: UnixNanos, counts: &[Count]) {
        self.see(ts, ts);
        for count in counts {
            let mut counter = count.counter;
            if let Counter::Carried(flow) = count.counter {
                if self.carriers.len() < MAX_CARRIERS {
                    self.carriers.insert((source, flow));
                }
                counter = Counter::Carried(0); // the rows say whose
            }
            if let Counter::Gap(reason) = count.counter {
                let length = i64::try_from(count.bytes).unwrap_or(i64::MAX);
                let to = UnixNanos(ts.0.saturating_add(length));
                self.gaps.push(Gap { from: ts, to, reason: reason.word().to_owned(), interface: None });
                continue;
            }
            if says_of_segments(count.counter) {
                continue; // no part of what was counted: `timeline` has it
            }
            let sums = self.counts.entry((bucket_of(ts), counter)).or_default();
            sums.0 = sums.0.saturating_add(count.packets);
            sums.1 = sums.1.saturating_add(count.bytes);
        }
    }

    fn led(&mut self, _source: usize, led: &Led) {
        if self.keep_learned {
            note(&mut self.led, (led.asker, led.target.clone(), led.head.clone()), led.ts);
        }
    }

    fn learned(&mut self, _source: usize, learned: &Learned) {
        if self.keep_learned {
            note(&mut self.learned, (learned.asker, learned.address, learned.host.clone()), learned.ts);
        }
    }

    fn called(&mut self, _source: usize, called: &Called) {
        self.roster.call(called);
    }

    fn carried(&mut self, _source: usize, carried: &Carried) {
        if self.keep_learned {
            self.carried.push(carried.clone());
        }
    }

    fn met(&mut self, _source: usize, flow: &Flow) {
        if self.keep_learned
            && let Some(mac) = flow.client_mac
            && self.met.len() < MAX_MET
        {
            let last = self.met.entry((mac, network_of(flow.client))).or_insert(flow.start);
            *last = flow.start.max(*last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::At;
    use crate::books::{Evidence, Traffic};
    use crate::range::Range;
    use imon_common::flow::Scope;
    use imon_common::observe::Usage;

    #[test]
    fn a_flood_of_names_teaches_so_much_and_no_more() {
        let mut all = HashMap::default();
        (0..MAX_LEARNED + 10).for_each(|n| note(&mut all, n, UnixNanos(5)));
        assert_eq!(all.len(), MAX_LEARNED);
        note(&mut all, 7, UnixNanos(9));
        note(&mut all, MAX_LEARNED, UnixNanos(9));
        assert_eq!((all.get(&7), all.get(&MAX_LEARNED)), (Some(&(UnixNanos(5), UnixNanos(9))), None));
    }

    #[test]
    fn a_scan_costs_no_more_rows_than_the_bound_and_its_bytes_still_count() {
        let mut rollup = Rollup { max_rows: Some(100), ..Rollup::default() };
        for i in 0..10_000u32 {
            let server = IpAddr::V4(Ipv4Addr::from(0x0808_0000 + i));
            let flow = Flow {
                number: i.into(),
                client: "192.168.0.2".parse().unwrap(),
                server,
                client_port: 1,
                server_port: 2,
                proto: 6,
                scope: Scope::Remote,
                begin_seen: true,
                opened: imon_common::flow::Opener::Client,
                interface: 0,
                vlan: None,
                client_mac: None,
                start: UnixNanos(0),
                name: None,
            };
            let usage = Usage { up_packets: 1, up_bytes: 40, ..Usage::default() };
            let at = UnixNanos(0);
            let share = Share::new(At { source: 0, interface: 0 }, at, usage);
            let verdict = Verdict {
                host: Host::Address(server),
                evidence: Evidence::None,
                rule: crate::attribution::Rule::Nothing,
                candidates: Vec::new(),
                traffic: Traffic::Visited,
            };
            rollup.book(&flow, &[share], &verdict);
        }
        assert_eq!(rollup.rows.len(), 101);
        let books = rollup.books(&Range::everything(jiff::tz::TimeZone::UTC));
        assert_eq!(books.ledger.address_only_bytes, 400_000);
    }
}
