//! Sums by bucket, device, host, evidence, interface and source: what the store keeps and a report
//! is made from.

use crate::attribution::{
    Asker, Called, Carried, Doubled, Habit, Habits, Learned, Led, Ledger, MAX_ADDRESSES_OF_A_DEVICE, Overlaps,
    PagePart, Places, Share, Skew, Verdict, blind, network_of,
};
pub use crate::books::Endpoint;
use crate::books::carriers::{self, Carrier};
use crate::books::{
    Blind, Books, Evidence, Exported, Gap, Host, Interface, Ledger as BooksLedger, PageRow, Row, Sureness, Traffic,
    bucket_of,
};
use crate::device_names::device_names;
use crate::range::Range;
use crate::timeline::Timeline;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::Flow;
use imon_common::names::{Name, NameKind};
use imon_common::observe::{Count, Counter, ExportFault, GapReason, Usage};
use imon_common::segment::{SegmentHeader, SegmentReport};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::{Mac, NotIp};
use imon_common::work;
pub use removed::Taken;
pub use seen::Seen;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};

mod overlap;
mod removed;
mod seen;

/// What a sum is kept for. Indices point into the rollup's own lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// Start of the 15-minute bucket in Unix seconds.
    pub bucket_s: i64,
    /// Index into [`Rollup::hosts`].
    pub host: u32,
    /// Index into [`Rollup::endpoints`].
    pub endpoint: u32,
    /// How the bytes came by their name.
    pub evidence: Evidence,
    /// Which kind of traffic.
    pub traffic: Traffic,
    /// Index into [`Rollup::candidate_sets`].
    pub candidates: Option<u32>,
    /// The blind spot that the bytes are in.
    pub blind: Option<Blind>,
    /// Index into [`Rollup::interfaces`].
    pub interface: u32,
    /// Number of the source.
    pub source: u32,
}

impl RowKey {
    /// The row of it; its device is the endpoint so far.
    pub(crate) fn row(&self, usage: Usage) -> Row {
        let Self { bucket_s, host, endpoint, evidence, traffic, candidates, blind, interface, source } = *self;
        let Usage { up_bytes, down_bytes, up_packets, down_packets } = usage;
        Row {
            bucket_s,
            host,
            device: endpoint,
            evidence,
            traffic,
            candidates,
            blind,
            interface,
            source,
            up_bytes,
            down_bytes,
            up_packets,
            down_packets,
        }
    }

    /// The same in this bucket, source and interface.
    fn at(self, bucket_s: i64, source: usize, interface: u32) -> Self {
        Self { bucket_s, source: u32::try_from(source).unwrap_or(u32::MAX), interface, ..self }
    }
}

/// What a sum of bytes that a page pulled in is kept for: part of a row of [`Rollup::rows`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageKey {
    /// The row that it is part of.
    pub row: RowKey,
    /// Index into [`Rollup::hosts`]: the host of the page's document.
    pub page: u32,
    /// How sure.
    pub sureness: Sureness,
    /// Index likewise: the page that could have been it as well.
    pub rival: Option<u32>,
}

impl PageKey {
    /// The part of it, as [`RowKey::row`].
    pub(crate) fn part(&self, usage: Usage) -> PageRow {
        PageRow { row: self.row.row(usage), page: self.page, sureness: self.sureness, rival: self.rival }
    }
}

/// Values with an index, in order of first use.
#[derive(Debug)]
pub struct Interner<T> {
    values: Vec<T>,
    index: HashMap<T, u32, RandomState>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { values: Vec::new(), index: HashMap::default() }
    }
}

impl<T: Hash + Eq + Clone> Interner<T> {
    /// The index of `value`, given now if it is new.
    pub fn index_of(&mut self, value: &T) -> u32 {
        if let Some(index) = self.index.get(value) {
            return *index;
        }
        let index = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.index.insert(value.clone(), index);
        index
    }

    /// Whether `value` has an index.
    pub fn contains(&self, value: &T) -> bool {
        self.index.contains_key(value)
    }

    /// All values, by index.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The value with an index.
    pub fn get(&self, index: u32) -> Option<&T> {
        self.values.get(index as usize)
    }
}

/// Sums of one or more sources.
#[derive(Debug, Default)]
pub struct Rollup {
    /// Hosts by index.
    pub hosts: Interner<Host>,
    /// Clients by index.
    pub endpoints: Interner<Endpoint>,
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
    /// What clients called themselves, how, and when last.
    pub called: HashMap<(Endpoint, NameKind, Name), UnixNanos, RandomState>,
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

/// Names of clients kept of one source. A network of some hundreds of devices has as many; one that
/// makes names up gets no more memory than this.
const MAX_CALLED: usize = 16_384;

/// Pairs of hardware address and network kept of a source. A home has some dozens; made-up
/// addresses are cut off here.
const MAX_MET: usize = 16_384;

/// Carriers that a ledger names. A machine has one or two.
const MAX_CARRIERS_NAMED: usize = 100;

/// Carriers of tunnels kept of a source. A server of a thousand peers has as many.
const MAX_CARRIERS: usize = 16_384;

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
        self.hosts.contains(&verdict.host) && self.endpoints.contains(&endpoint) && verdict.candidates.is_empty()
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
            self.add(place.at(share.bucket_s, share.source, share.interface), share.usage);
        }
    }

    /// The key of what `flow` moved, but for when and where.
    fn place(&mut self, flow: &Flow, verdict: &Verdict, blind: Option<Blind>) -> RowKey {
        let host = self.hosts.index_of(&verdict.host);
        let endpoint = self.endpoints.index_of(&Endpoint { address: flow.client, mac: flow.client_mac });
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
        let endpoints = self.endpoints.values();
        let (devices, device_of) = devices(endpoints);
        let called = self.called.iter().map(|((endpoint, kind, name), last)| (*endpoint, *kind, name, *last));
        let device_names = device_names(endpoints, &device_of, called);
        work::steps(self.rows.len() + self.pages.len() + self.gaps.len());
        let row = |row: Row| {
            let device = device_of.get(row.device as usize).copied().unwrap_or_default();
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
            devices,
            device_ends: device_ends(endpoints, &device_of),
            device_names,
            given_names: Vec::new(),
            reverse: Default::default(),
            candidate_sets: self.candidate_sets.values().to_vec(),
            interfaces: self.interfaces.values().to_vec(),
            sources: self.seen.sources().cloned().collect(),
            recorders: Default::default(),
            rows,
            imported: Vec::new(),
            pages: pages.collect(),
            ledger: BooksLedger::default(),
            removed: Vec::new(),
            timeline: Timeline::default(),
            observed: self.observed,
        };
        let gaps = self.gaps.iter().filter(|g| range.overlaps(g.from, g.to)).cloned().collect();
        books.ledger = ledger(&books.rows, &books.hosts, counts, gaps);
        books.ledger.leave_out(self.overlaps(in_range));
        books
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
        let blind = self.blind_of(flow, shares.first().map(|share| share.source), verdict);
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
        let blind = self.blind_of(flow, parts.first().map(|part| part.share.source), verdict);
        let place = self.place(flow, verdict, blind);
        for part in parts {
            let mut host_of = |name: &str| Name::from_presentation(name).map(|n| self.hosts.index_of(&Host::Name(n)));
            let page = part.page.as_ref().map_or(Some(place.host), |page| host_of(page));
            let rival = part.rival.as_ref().and_then(|rival| host_of(rival));
            let Some(page) = page else { continue };
            let row = place.at(part.share.bucket_s, part.share.source, part.share.interface);
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
            let (first, last) =
                self.led.entry((led.asker, led.target.clone(), led.head.clone())).or_insert((led.ts, led.ts));
            (*first, *last) = ((*first).min(led.ts), (*last).max(led.ts));
        }
    }

    fn learned(&mut self, _source: usize, learned: &Learned) {
        if self.keep_learned {
            let key = (learned.asker, learned.address, learned.host.clone());
            let (first, last) = self.learned.entry(key).or_insert((learned.ts, learned.ts));
            (*first, *last) = ((*first).min(learned.ts), (*last).max(learned.ts));
        }
    }

    fn called(&mut self, _source: usize, called: &Called) {
        let Called { address, mac, kind, name, ts } = called.clone();
        let key = (Endpoint { address, mac }, kind, name);
        if self.called.len() < MAX_CALLED || self.called.contains_key(&key) {
            let last = self.called.entry(key).or_insert(ts);
            *last = ts.max(*last);
        }
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

/// Adds to a sum of a ledger. Sums that no counter can hold are not traffic but damage: they stay
/// at the highest number.
fn add(sum: &mut u64, n: u64) {
    *sum = sum.saturating_add(n);
}

/// The ledger of some rows and counts.
pub fn ledger(rows: &[Row], hosts: &[Host], counts: impl Iterator<Item = Count>, gaps: Vec<Gap>) -> BooksLedger {
    let mut ledger = BooksLedger { gaps, ..BooksLedger::default() };
    let mut tunnels: BTreeSet<&Host> = BTreeSet::new();
    for row in rows {
        let bytes = row.up_bytes.saturating_add(row.down_bytes);
        add(&mut ledger.ip_packets, row.up_packets.saturating_add(row.down_packets));
        add(&mut ledger.ip_bytes, bytes);
        match row.traffic {
            Traffic::Local => add(&mut ledger.local_bytes, bytes),
            Traffic::Served => add(&mut ledger.served_bytes, bytes),
            _ if row.evidence == Evidence::Infra => add(&mut ledger.infrastructure_bytes, bytes),
            _ if matches!(hosts.get(row.host as usize), Some(Host::Name(_))) => add(&mut ledger.named_bytes, bytes),
            _ => {
                add(&mut ledger.address_only_bytes, bytes);
                // A reason that only a newer version knows is none here: the parts sum up all the
                // same.
                ledger.address_only_by.add(row.blind.unwrap_or(Blind::NoName), bytes);
            }
        }
        if let Some(blind) = row.blind {
            ledger.blind_spots.add(blind, bytes);
        }
        if row.blind == Some(Blind::Tunnel)
            && let Some(host) = hosts.get(row.host as usize)
            && !tunnels.contains(host)
            && tunnels.len() < MAX_CARRIERS_NAMED
        {
            tunnels.insert(host);
        }
    }
    ledger.tunnels = tunnels.into_iter().map(Host::to_string).collect();
    let mut carriers: BTreeMap<NotIp, (u64, u64)> = BTreeMap::new();
    let mut exported: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let mut faults: BTreeMap<ExportFault, (u64, u64)> = BTreeMap::new();
    for Count { counter, packets, bytes } in counts {
        match counter {
            Counter::NotIp(kind) => {
                add(&mut ledger.non_ip_packets, packets);
                let sum = carriers.entry(kind).or_default();
                *sum = (sum.0.saturating_add(packets), sum.1.saturating_add(bytes));
            }
            Counter::LengthFromFrame => {
                add(&mut ledger.length_from_frame_packets, packets);
                add(&mut ledger.length_from_frame_bytes, bytes);
            }
            Counter::NotAHost => add(&mut ledger.not_hosts, packets),
            Counter::Unsaved => {
                ledger.unsaved_packets = ledger.unsaved_packets.saturating_add(packets);
                ledger.unsaved_bytes = ledger.unsaved_bytes.saturating_add(bytes);
            }
            Counter::Undecodable(_) => {
                add(&mut ledger.undecodable_packets, packets);
                add(&mut ledger.undecodable_bytes, bytes);
            }
            Counter::KernelDropped | Counter::InterfaceDropped => {
                add(ledger.capture_dropped_packets.get_or_insert(0), packets);
            }
            Counter::KernelReceived => _ = ledger.capture_dropped_packets.get_or_insert(0),
            Counter::InterfaceReceived | Counter::InterfaceSent => add(ledger.interface_bytes.get_or_insert(0), bytes),
            Counter::Copy => {
                add(&mut ledger.copies_packets, packets);
                add(&mut ledger.copies_bytes, bytes);
            }
            Counter::Carried(_) => {
                add(&mut ledger.copies_bytes, bytes);
                add(&mut ledger.carried_bytes, bytes);
            }
            Counter::Exported(rate) => {
                let sum = exported.entry(rate).or_default();
                *sum = (sum.0.saturating_add(packets), sum.1.saturating_add(bytes));
            }
            Counter::Export(fault) => {
                let sum = faults.entry(fault).or_default();
                *sum = (sum.0.saturating_add(packets), sum.1.saturating_add(bytes));
            }
            _ => {}
        }
    }
    let of_rate = |(rate, (packets, bytes))| Exported { rate, packets, bytes };
    ledger.exported = exported.into_iter().map(of_rate).collect();
    ledger.export_faults = faults.into_iter().map(|(fault, (cases, bytes))| (fault, cases, bytes)).collect();
    let carrier = |(kind, (packets, bytes))| Carrier { kind: Some(kind), packets, bytes };
    ledger.carriers = carriers::listed(carriers.into_iter().map(carrier).collect());
    add(&mut ledger.ip_bytes, ledger.undecodable_bytes);
    for packets in [ledger.ip_packets, ledger.non_ip_packets, ledger.undecodable_packets, ledger.copies_packets] {
        add(&mut ledger.packets, packets);
    }
    ledger
}

/// Which endpoints are one device: those with one hardware address, unless it stands for many
/// addresses. Gives labels, and the index of the label for each endpoint. A device is called by its
/// lowest address, IPv4 first; by one that every device may have (none yet, link-local), or that
/// another hardware address used as well, only if it has no other.
pub fn devices(endpoints: &[Endpoint]) -> (Vec<String>, Vec<u32>) {
    let mut of_mac: BTreeMap<Mac, Vec<IpAddr>> = BTreeMap::new();
    let mut users: BTreeMap<IpAddr, BTreeSet<Mac>> = BTreeMap::new();
    for endpoint in endpoints {
        if let Some(mac) = endpoint.mac {
            of_mac.entry(mac).or_default().push(endpoint.address);
        }
        users.entry(endpoint.address).or_default().extend(endpoint.mac);
    }
    let is_shared = |address: &IpAddr| users.get(address).is_some_and(|macs| macs.len() > 1);
    // Once for each hardware address, not for each endpoint: a router stands for thousands of
    // addresses.
    let label_of = |(mac, addresses): (Mac, Vec<IpAddr>)| {
        work::steps(addresses.len());
        let lowest = addresses.iter().copied().min_by_key(|a| (is_anyones(*a), is_shared(a), *a));
        lowest.filter(|_| is_one_device(&addresses)).map(|label| (mac, label))
    };
    let label_of_mac: BTreeMap<Mac, IpAddr> = of_mac.into_iter().filter_map(label_of).collect();
    let mut labels: Interner<IpAddr> = Interner::default();
    let device_of = endpoints
        .iter()
        .map(|endpoint| {
            work::step();
            let own = endpoint.mac.and_then(|mac| label_of_mac.get(&mac).copied());
            labels.index_of(&own.unwrap_or(endpoint.address))
        })
        .collect();
    (labels.values().iter().map(IpAddr::to_string).collect(), device_of)
}

/// The addresses of each device: see [`Books::device_ends`].
pub fn device_ends(endpoints: &[Endpoint], device_of: &[u32]) -> Vec<(u32, IpAddr, Option<Mac>)> {
    endpoints.iter().zip(device_of).map(|(end, device)| (*device, end.address, end.mac)).collect()
}

/// Whether an address is in use in every network: unspecified or link-local.
fn is_anyones(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_unspecified() || a.is_link_local(),
        IpAddr::V6(a) => a.is_unspecified() || a.is_unicast_link_local(),
    }
}

fn is_one_device(addresses: &[IpAddr]) -> bool {
    // Every interface has a link-local address beside its others, and none at first.
    let networks: BTreeSet<IpAddr> = addresses.iter().filter(|a| !is_anyones(**a)).map(|a| network_of(*a)).collect();
    let v4 = networks.iter().filter(|a| a.is_ipv4()).count();
    v4 <= MAX_ADDRESSES_OF_A_DEVICE && networks.len() - v4 <= MAX_ADDRESSES_OF_A_DEVICE
}

/// Rollups of several sources, by number; those that are written already are gone.
#[derive(Debug, Default)]
pub struct Rollups(pub BTreeMap<usize, Rollup>);

impl Ledger for Rollups {
    fn source(&mut self, source: usize, header: &SegmentHeader) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.source(source, header);
        }
    }

    fn interface(&mut self, source: usize, number: u32, interface: &imon_common::packet::Interface) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.interface(source, number, interface);
        }
    }

    fn interface_of(&mut self, source: usize, flow: &Flow) -> u32 {
        self.0.get_mut(&source).map_or(0, |rollup| rollup.interface_of(source, flow))
    }

    fn book(&mut self, flow: &Flow, shares: &[Share], verdict: &Verdict) {
        // Shares of one source stand together, in order.
        for part in shares.chunk_by(|a, b| a.source == b.source) {
            if let Some(rollup) = part.first().and_then(|share| self.0.get_mut(&share.source)) {
                rollup.book(flow, part, verdict);
            }
        }
    }

    fn doubled(&mut self, flow: &Flow, doubled: &[Doubled], verdict: &Verdict) {
        for doubled in doubled {
            if let Some(rollup) = self.0.get_mut(&doubled.source) {
                rollup.doubled(flow, std::slice::from_ref(doubled), verdict);
            }
        }
    }

    fn pages(&mut self, flow: &Flow, verdict: &Verdict, parts: &[PagePart]) {
        for part in parts {
            if let Some(rollup) = self.0.get_mut(&part.share.source) {
                rollup.pages(flow, verdict, std::slice::from_ref(part));
            }
        }
    }

    fn habit(&mut self, source: usize, habit: &Habit) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.habit(source, habit);
        }
    }

    fn counts(&mut self, source: usize, ts: UnixNanos, counts: &[Count]) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.counts(source, ts, counts);
        }
    }

    fn led(&mut self, source: usize, led: &Led) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.led(source, led);
        }
    }

    fn learned(&mut self, source: usize, learned: &Learned) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.learned(source, learned);
        }
    }

    fn called(&mut self, source: usize, called: &Called) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.called(source, called);
        }
    }

    fn carried(&mut self, source: usize, carried: &Carried) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.carried(source, carried);
        }
    }

    fn met(&mut self, source: usize, flow: &Flow) {
        if let Some(rollup) = self.0.get_mut(&source) {
            rollup.met(source, flow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::flow::Scope;

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
            let share = Share { source: 0, interface: 0, bucket_s: 0, first: at, last: at, usage };
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

    fn endpoint(address: &str, mac: Option<u8>) -> Endpoint {
        Endpoint { address: address.parse().unwrap(), mac: mac.map(|m| Mac([2, 0, 0, 0, 0, m])) }
    }

    #[test]
    fn the_addresses_of_one_card_are_one_device_and_a_router_is_none() {
        let mut ends = vec![
            endpoint("2001:db8::5", Some(1)),
            endpoint("192.0.2.5", Some(1)),
            endpoint("fe80::5", Some(1)),
            endpoint("192.0.2.9", None),
        ];
        ends.extend((10..20).map(|i| endpoint(&format!("198.51.100.{i}"), Some(7))));
        let (labels, device_of) = devices(&ends);
        assert_eq!(labels[device_of[0] as usize], "192.0.2.5");
        assert_eq!(device_of[0], device_of[1]);
        assert_eq!(device_of[0], device_of[2]);
        assert_eq!(labels[device_of[3] as usize], "192.0.2.9");
        assert_eq!(labels.len(), 12);
    }
}
