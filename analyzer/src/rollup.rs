//! Sums by bucket, device, host, evidence, interface and source: what the store keeps and a report
//! is made from.

mod booking;
mod device_names;
mod devices;
mod interner;
mod key;
mod ledger;
mod overlap;
mod removed;
mod roster;
mod seen;
mod several;

pub use crate::books::Endpoint;
pub use devices::Identities;
pub use interner::Interner;
pub use key::{PageKey, RowKey};
pub use ledger::ledger;
pub use removed::Taken;
pub use roster::Roster;
pub use seen::Seen;
pub use several::Rollups;

use crate::attribution::{Asker, Carried, Habits, Share, Skew, Verdict, blind};
use crate::books::{Blind, Books, Gap, Host, Interface, Ledger, PageRow, Row};
use crate::range::Range;
use crate::timeline::Timeline;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::Flow;
use imon_common::names::Name;
use imon_common::observe::{Count, Counter, GapReason, Usage};
use imon_common::segment::SegmentReport;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::Mac;
use imon_common::work;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Sums of one or more sources.
#[derive(Debug, Default)]
pub struct Rollup {
    /// Hosts by index.
    pub hosts: Interner<Host>,
    /// Clients by index, and what they call themselves.
    pub roster: Roster,
    /// Sets of host indices, each sorted.
    pub candidate_sets: Interner<Vec<u32>>,
    /// Where bytes were seen, by index.
    pub interfaces: Interner<Interface>,
    /// The sources, and what they call their interfaces.
    pub seen: Seen,
    /// The sums.
    pub rows: HashMap<RowKey, Usage, RandomState>,
    /// Parts of the sums that pages pulled in; empty where pages are not followed.
    pub pages: HashMap<PageKey, Usage, RandomState>,
    /// What following pages learned, for the store.
    pub habits: Habits,
    /// Counts by bucket start and counter: packets and bytes.
    pub counts: BTreeMap<(i64, Counter), (u64, u64)>,
    /// Times without records: from, length in nanoseconds, reason.
    pub gaps: Vec<Gap>,
    /// What other sources hold as well, of rows: the row, the source, and the one that counts if
    /// they overlap.
    pub doubled: HashMap<(RowKey, usize, usize), Usage, RandomState>,
    /// What is in no row because another source holds it: by bucket, name of the source, and name
    /// of the one that counts.
    pub left_out: BTreeMap<(i64, String, String), (u64, u64)>,
    /// What the user has removed, and is in no row.
    pub removed: Taken,
    /// Sources whose clocks are apart.
    pub skews: Vec<Skew>,
    /// First and last interval observed.
    pub observed: Option<(UnixNanos, UnixNanos)>,
    /// What was learned, for the store, and when first and last; empty unless
    /// [`Rollup::keep_learned`] is set.
    pub learned: HashMap<(Asker, IpAddr, Name), (UnixNanos, UnixNanos), RandomState>,
    /// Likewise: who was told for which name that the last one leads to it.
    pub led: HashMap<(Asker, Name, Name), (UnixNanos, UnixNanos), RandomState>,
    /// Flows that began in an earlier source, for the store.
    pub carried: Vec<Carried>,
    /// Hardware addresses and the networks of the addresses that they stood for, and when last, for
    /// the store.
    pub met: BTreeMap<(Mac, IpAddr), UnixNanos>,
    /// Keep what the store needs for booking the next source: what was learned, carried and met.
    pub keep_learned: bool,
    /// Rows kept before new hosts and clients are folded; [`MAX_ROWS`] if not set.
    pub max_rows: Option<usize>,
    /// Flows that carry a tunnel's packets, which are counted inside: source, and number as far as
    /// a counter has it.
    pub carriers: BTreeSet<(usize, u32)>,
}

/// Sums of one source before new hosts and clients are folded into one of each: a scan of millions
/// of addresses costs memory up to here and no further, and its bytes still count. A home has some
/// thousands a day.
pub const MAX_ROWS: usize = 262_144;

impl Rollup {
    /// Adds `usage` to a sum.
    pub fn add(&mut self, key: RowKey, usage: Usage) {
        work::step();
        self.rows.entry(key).or_default().add(usage);
    }

    /// Damage of a segment is a gap: what stood there is missing.
    pub fn note_damage(&mut self, report: &SegmentReport) {
        for damage in &report.damage {
            let ends = (damage.before.or(report.first), damage.after.or(report.last));
            if let (Some(from), Some(to)) = ends {
                let reason = GapReason::Damaged.word().to_owned();
                self.gaps.push(Gap { from, to, reason, interface: None });
            }
        }
    }

    /// Whether flow and verdict have been met before, so that booking them makes few new rows.
    fn knows(&self, flow: &Flow, verdict: &Verdict) -> bool {
        let endpoint = Endpoint { address: flow.client, mac: flow.client_mac };
        self.hosts.contains(&verdict.host) && self.roster.endpoints.contains(&endpoint) && verdict.candidates.is_empty()
    }

    /// The blind spot that a flow of this source is in.
    fn blind_of(&self, flow: &Flow, source: Option<usize>, verdict: &Verdict) -> Option<Blind> {
        // Facts have counts before the usage of the same interval: whoever is a carrier is known as
        // one by now.
        let key = source.map(|source| (source, flow.number as u32));
        match key.is_some_and(|key| !self.carriers.is_empty() && self.carriers.contains(&key)) {
            true => Some(Blind::Tunnel),
            false => blind(flow, verdict),
        }
    }

    fn sum(&mut self, flow: &Flow, shares: &[Share], verdict: &Verdict, blind: Option<Blind>) {
        let place = self.place(flow, verdict, blind);
        for share in shares {
            self.add(place.at(share.bucket_s(), share.source(), share.interface), share.usage);
        }
    }

    /// The key of what `flow` moved, but for when and where.
    fn place(&mut self, flow: &Flow, verdict: &Verdict, blind: Option<Blind>) -> RowKey {
        let host = self.hosts.index_of(&verdict.host);
        let endpoint = self.roster.endpoints.index_of(&Endpoint { address: flow.client, mac: flow.client_mac });
        let candidates = (!verdict.candidates.is_empty()).then(|| {
            let mut set: Vec<u32> =
                verdict.candidates.iter().map(|name| self.hosts.index_of(&Host::Name(name.clone()))).collect();
            set.sort_unstable();
            self.candidate_sets.index_of(&set)
        });
        let Verdict { evidence, traffic, .. } = *verdict;
        RowKey { bucket_s: 0, host, endpoint, evidence, traffic, candidates, blind, interface: 0, source: 0 }
    }

    fn see(&mut self, from: UnixNanos, to: UnixNanos) {
        let (first, last) = self.observed.get_or_insert((from, to));
        (*first, *last) = ((*first).min(from), (*last).max(to));
    }

    /// The books of a range. Rows, counts and gaps outside it are left out.
    pub fn books(&self, range: &Range) -> Books {
        let in_range = |bucket_s: i64| range.contains(UnixNanos(bucket_s.saturating_mul(NANOS_PER_SECOND)));
        let identities = self.roster.identities();
        work::steps(self.rows.len() + self.pages.len() + self.gaps.len());
        let row = |row: Row| {
            let device = identities.device_of.get(row.device as usize).copied().unwrap_or_default();
            Row { device, ..row }
        };
        let rows = self.rows.iter().filter(|(key, _)| in_range(key.bucket_s));
        let rows = rows.map(|(key, usage)| row(key.row(*usage))).collect();
        let pages = self.pages.iter().filter(|(key, _)| in_range(key.row.bucket_s));
        let pages = pages.map(|(key, usage)| key.part(*usage)).map(|part| PageRow { row: row(part.row), ..part });
        let counts = self.counts.iter().filter(|((bucket_s, _), _)| in_range(*bucket_s));
        let counts = counts.map(|((_, counter), (packets, bytes))| Count {
            counter: *counter,
            packets: *packets,
            bytes: *bytes,
        });
        let mut books = Books {
            unread: Vec::new(),
            hosts: self.hosts.values().to_vec(),
            reverse: Default::default(),
            candidate_sets: self.candidate_sets.values().to_vec(),
            interfaces: self.interfaces.values().to_vec(),
            sources: self.seen.sources().cloned().collect(),
            recorders: Default::default(),
            rows,
            imported: Vec::new(),
            pages: pages.collect(),
            sides: Vec::new(),
            ledger: Ledger::default(),
            removed: Vec::new(),
            timeline: Timeline::default(),
            observed: self.observed,
            ..Books::default()
        };
        identities.tell(&mut books);
        let gaps = self.gaps.iter().filter(|g| range.overlaps(g.from, g.to)).cloned().collect();
        books.ledger = ledger(&books.rows, &books.hosts, counts, gaps);
        books.ledger.leave_out(self.overlaps(in_range));
        books
    }
}
