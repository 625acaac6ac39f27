//! Attribution is a pure function of the facts: however they are split into segments, in whatever
//! order and in however many commands these are ingested, while some of them still grow, the books
//! are those of everything read at once; and a rebuild changes nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use imon_analyze::ingest::{Ingest, IngestOutcome, ReadOptions};
use imon_analyze::range::Range;
use imon_analyze::store::Store;
use imon_common::flow::{Flow, FlowName, Opener};
use imon_common::names::{AnswerAddress, Name, NameKind, NameSeen, RecordKind};
use imon_common::observe::{Count, Counter, GapReason, Observer as _, Usage};
use imon_common::segment::SegmentWriter;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::Mac;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use support::{chance::Chance, flow, segment_header};

/// What a recorder observed in one interval: names, then usage, then counts, as the meter hands
/// them over.
#[derive(Debug, Clone, Default)]
struct Interval {
    at: UnixNanos,
    names: Vec<(Flow, NameSeen)>,
    usage: Vec<(Flow, Usage)>,
    counts: Vec<Count>,
}

/// Everything that one run observed.
type Run = Vec<Interval>;

const START_S: i64 = 1_793_491_200;

/// Seven addresses, now and then translated: by the prefix that everybody knows, or by one that is
/// learnt.
fn server(chance: &mut Chance) -> IpAddr {
    let last = chance.below(7) as u16;
    match chance.below(12) {
        0 => IpAddr::from([0x64, 0xff9b, 0, 0, 0, 0, 0xc633, 0x6400 | last]),
        1 => IpAddr::from([0x2001, 0xdb8, 0x64, 0, 0, 0, 0xc633, 0x6400 | last]),
        _ => IpAddr::from([198, 51, 100, last as u8]),
    }
}

fn answer(address: IpAddr) -> AnswerAddress {
    let record = if address.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa };
    AnswerAddress { address, ttl_s: 60, record }
}

/// What an answer says beside its name: addresses, perhaps behind a chain; that there are none; or
/// the prefix of a translator.
fn said(chance: &mut Chance, seen: NameSeen) -> NameSeen {
    let chain = match chance.below(6) {
        0 => vec![host("e7.a.akamaiedge.net")],
        1 => vec![host("cdn.hoster.example")],
        _ => Vec::new(),
    };
    let empty = [[0, 0, 0, 0].into(), std::net::Ipv6Addr::UNSPECIFIED.into()];
    match chance.below(12) {
        0 | 1 => {
            let addresses = empty.into_iter().filter(|_| !chance.one_in(3)).map(answer).collect();
            NameSeen { kind: NameKind::DnsEmpty, chain, addresses, ..seen }
        }
        2 => {
            let prefix = IpAddr::from([0x2001, 0xdb8, 0x64, 0, 0, 0, 0xc000, 0xaa]);
            NameSeen { name: host("ipv4only.arpa"), addresses: vec![answer(prefix)], ..seen }
        }
        _ => {
            let addresses = (0..1 + chance.below(2)).map(|_| answer(server(chance))).collect();
            NameSeen { chain, addresses, ..seen }
        }
    }
}

fn host(name: &str) -> Name {
    Name::from_host(name.as_bytes()).unwrap()
}

/// Three devices with a card of their own, one of them with two addresses, and five behind a
/// router.
fn client(chance: &mut Chance) -> (IpAddr, Option<Mac>) {
    let n = chance.below(9) as u8;
    let card = match n {
        0..=2 => Some(n),
        3 => Some(0),
        4 => None,
        _ => Some(99),
    };
    ([192, 168, 1, n].into(), card.map(|n| Mac([2, 0, 0, 0, 0, n])))
}

fn name(chance: &mut Chance) -> Name {
    let hosts = [
        "www.one.example",
        "cdn.one.example",
        "two.test",
        "three.org",
        "www.four.net",
        "five.com",
        "e7.a.akamaiedge.net",
        "cdn.hoster.example",
    ];
    host(hosts[chance.below(8) as usize])
}

/// Lookups, flows with and without names, long ones, late answers, over some hours with pauses of
/// minutes.
fn traffic(chance: &mut Chance, hours: i64) -> Run {
    traffic_from(chance, START_S, hours)
}

/// The same, beginning at this second.
fn traffic_from(chance: &mut Chance, start_s: i64, hours: i64) -> Run {
    let mut run = Run::new();
    let mut number = 0;
    // Flows with the second in which they end, and that in which they moved last.
    let mut alive: Vec<(Flow, i64, i64)> = Vec::new();
    let mut second = start_s + chance.below(600) as i64;
    let end = start_s + hours * 3_600;
    while second < end {
        let mut interval = Interval { at: UnixNanos(second * NANOS_PER_SECOND), ..Interval::default() };
        let moment = |chance: &mut Chance| UnixNanos(interval.at.0 + chance.below(1_000_000) as i64 * 1_000);
        for _ in 0..chance.below(4) {
            let (asker, mac) = client(chance);
            let start = moment(chance);
            let flow = Flow { number, client: asker, client_mac: mac, start, ..plain([192, 0, 2, 53].into(), 53, 17) };
            let seen = NameSeen {
                ts: UnixNanos(start.0 + 1_000),
                kind: NameKind::Dns,
                name: name(chance),
                chain: Vec::new(),
                addresses: Vec::new(),
                asker_is_server: false,
                relayed: false,
            };
            let seen = said(chance, seen);
            // Another host of the page, told at once.
            if chance.one_in(3) {
                let other = NameSeen { ts: UnixNanos(seen.ts.0 + 1_000_000), name: name(chance), ..seen.clone() };
                interval.names.push((flow.clone(), other));
            }
            interval.names.push((flow.clone(), seen));
            interval.usage.push((flow, amount(chance)));
            number += 1;
        }
        for _ in 0..chance.below(4) {
            let (from, mac) = client(chance);
            let proto = if chance.one_in(4) { 17 } else { 6 };
            let begin_seen = proto == 17 || !chance.one_in(6);
            let flow = Flow {
                number,
                client: from,
                client_mac: mac,
                start: moment(chance),
                begin_seen,
                opened: if chance.one_in(6) { Opener::Server } else { Opener::Client },
                // No two flows that are alive have one 5-tuple.
                client_port: 32_768 + (number % 30_000) as u16,
                ..plain(server(chance), [443, 443, 80, 22][chance.below(4) as usize], proto)
            };
            // What is asked for meanwhile.
            if chance.one_in(3) {
                let seen = NameSeen {
                    ts: UnixNanos(flow.start.0 + chance.below(40_000) as i64 * 1_000 - 20_000_000),
                    kind: NameKind::DnsQuery,
                    name: name(chance),
                    chain: Vec::new(),
                    addresses: Vec::new(),
                    asker_is_server: false,
                    relayed: false,
                };
                let (client, client_mac) = (flow.client, flow.client_mac);
                let lookup =
                    Flow { number, client, client_mac, start: seen.ts, ..plain([192, 0, 2, 53].into(), 53, 17) };
                if seen.ts >= interval.at {
                    interval.names.push((lookup, seen));
                    number += 1;
                }
            }
            let flow = Flow { number, ..flow };
            let lasts = if chance.one_in(3) { chance.below(3 * 3_600) as i64 } else { 5 };
            alive.push((flow, second + lasts, second));
            number += 1;
        }
        // The flow table's time-outs: what moves again after them is another flow.
        alive
            .retain(|(flow, ends, last)| *ends >= second && second - last <= if flow.proto == 6 { 3_600 } else { 300 });
        for (flow, _, last) in &mut alive {
            let moves = flow.start.0 >= interval.at.0 || !chance.one_in(3);
            if moves && flow.name.is_none() && chance.one_in(5) {
                let kind = if flow.proto == 17 { NameKind::Quic } else { NameKind::Sni };
                let found = name(chance);
                let kind = if chance.one_in(8) { NameKind::EchOuter } else { kind };
                // Some are opened from outside, and some ask a relay.
                let (from_server, relayed) = (flow.opened == Opener::Server, chance.one_in(6));
                flow.name = Some(FlowName { kind, name: found.clone(), from_server, relayed });
                let ts = UnixNanos(flow.start.0.max(interval.at.0) + 2_000);
                let seen = NameSeen {
                    ts,
                    kind,
                    name: found,
                    chain: Vec::new(),
                    addresses: Vec::new(),
                    asker_is_server: from_server,
                    relayed,
                };
                interval.names.push((flow.clone(), seen));
            }
            if moves {
                *last = second;
                interval.usage.push((flow.clone(), amount(chance)));
            }
        }
        if chance.one_in(8) {
            interval.counts.push(Count { counter: Counter::KernelDropped, packets: 1 + chance.below(9), bytes: 0 });
        }
        if chance.one_in(20) {
            let gap = Count { counter: Counter::Gap(GapReason::LinkDown), packets: 1, bytes: 3_000_000_000 };
            interval.counts.push(gap);
        }
        if !interval.usage.is_empty() || !interval.counts.is_empty() {
            run.push(interval);
        }
        // Mostly bursts; pauses of minutes, and now and then one that is longer than any window.
        second += match chance.below(20) {
            0 => 4_000 + chance.below(5_000) as i64,
            1..=6 => 60 + chance.below(900) as i64,
            7..=12 => 1,
            _ => 1 + chance.below(20) as i64,
        };
    }
    run
}

fn plain(server: IpAddr, server_port: u16, proto: u8) -> Flow {
    Flow { client: server, server, server_port, proto, ..flow(0, UnixNanos(0)) }
}

fn amount(chance: &mut Chance) -> Usage {
    Usage {
        up_packets: 1 + chance.below(9),
        down_packets: chance.below(9),
        up_bytes: 40 + chance.below(9_000),
        down_bytes: chance.below(90_000),
    }
}

/// The segment of these intervals.
fn segment(run: u8, sequence: u64, intervals: &[Interval]) -> Vec<u8> {
    let id = [[run; 8], sequence.to_be_bytes()].concat().try_into().unwrap();
    let header = segment_header(id, [run; 16], sequence, intervals[0].at);
    let mut writer = SegmentWriter::create(Vec::new(), &header).unwrap();
    for interval in intervals {
        interval.names.iter().for_each(|(flow, seen)| writer.name(flow, seen).unwrap());
        interval.usage.iter().for_each(|(flow, usage)| writer.usage(flow, interval.at, *usage).unwrap());
        writer.counts(interval.at, &interval.counts).unwrap();
        writer.commit().unwrap();
    }
    writer.finish().unwrap().0
}

/// A run in segments, split at random intervals.
fn split(chance: &mut Chance, run: u8, intervals: &Run) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    let mut rest = intervals.as_slice();
    while !rest.is_empty() {
        let len = 1 + chance.below(rest.len().min(25) as u64) as usize;
        let (part, after) = rest.split_at(len);
        segments.push(segment(run, segments.len() as u64, part));
        rest = after;
    }
    segments
}

/// Everything that is booked, whatever the source.
fn books(store: &Store) -> BTreeMap<String, [u64; 4]> {
    let books = store.books(&Range::everything(jiff::tz::TimeZone::UTC)).unwrap();
    let mut sums: BTreeMap<String, [u64; 4]> = BTreeMap::new();
    for row in &books.rows {
        let host = |index: u32| books.hosts[index as usize].to_string();
        let mut candidates: Vec<String> =
            row.candidates.iter().flat_map(|set| &books.candidate_sets[*set as usize]).map(|h| host(*h)).collect();
        candidates.sort();
        let key = format!(
            "{} {} {} {} {} {:?} {candidates:?}",
            row.bucket_s,
            host(row.host),
            books.devices[row.device as usize],
            row.evidence,
            row.traffic.word(),
            row.blind
        );
        let sum = sums.entry(key).or_default();
        for (sum, value) in sum.iter_mut().zip([row.up_bytes, row.down_bytes, row.up_packets, row.down_packets]) {
            *sum += value;
        }
    }
    let mut ledger = books.ledger;
    ledger.gaps.sort_by_key(|gap| (gap.from, gap.to));
    sums.insert(format!("{ledger:?} {:?}", books.observed), [0; 4]);
    sums
}

fn ingest(store: &mut Store, folder: &Path, paths: Vec<PathBuf>) -> Vec<IngestOutcome> {
    let outcomes = Ingest::new(store, folder.join("captures"), ReadOptions::default()).sources(paths).unwrap();
    outcomes.into_iter().map(|(_, outcome)| outcome.unwrap()).collect()
}

/// The first difference, for people.
fn difference(a: &BTreeMap<String, [u64; 4]>, b: &BTreeMap<String, [u64; 4]>) -> String {
    let only = |a: &BTreeMap<String, [u64; 4]>, b: &BTreeMap<String, [u64; 4]>| {
        let rows: Vec<String> =
            a.iter().filter(|(k, v)| b.get(*k) != Some(v)).take(4).map(|(k, v)| format!("{k} {v:?}")).collect();
        rows.join("\n  ")
    };
    format!("as one:\n  {}\nin pieces:\n  {}", only(a, b), only(b, a))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn order_of_ingest_splitting_and_rebuild_change_nothing(seed in 1u64..) {
        let mut chance = Chance(seed);
        let dir = tempfile::tempdir().unwrap();
        let runs = [traffic(&mut chance, 9), traffic(&mut chance, 6)];
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };

        // Everything at once.
        let whole: Vec<PathBuf> = (1u8..)
            .zip(&runs)
            .filter(|(_, run)| !run.is_empty())
            .map(|(n, run)| write(&format!("whole-{n}.seg"), &segment(n, 0, run)))
            .collect();
        let mut as_one = Store::in_memory().unwrap();
        ingest(&mut as_one, dir.path(), whole);
        let expected = books(&as_one);

        // In pieces, in any order, in some commands; some are ingested while they are still
        // written.
        let mut pieces = Vec::new();
        for (n, run) in (1u8..).zip(&runs) {
            for (i, bytes) in split(&mut chance, n, run).into_iter().enumerate() {
                pieces.push((format!("{n}-{i:03}"), bytes));
            }
        }
        if chance.one_in(2) {
            chance.shuffle(&mut pieces);
        }
        let mut store = Store::in_memory().unwrap();
        let mut rest = pieces.as_slice();
        let mut growing: Vec<&(String, Vec<u8>)> = Vec::new();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + chance.below(rest.len().min(12) as u64) as usize);
            let mut paths = Vec::new();
            for (name, bytes) in growing.drain(..) {
                paths.push(write(&format!("{name}.part"), bytes));
            }
            for piece in now {
                if chance.one_in(4) {
                    let cut = bytes_after_header(&piece.1) + chance.below((piece.1.len() / 2) as u64) as usize;
                    paths.push(write(&format!("{}.part", piece.0), &piece.1[..cut.min(piece.1.len())]));
                    growing.push(piece);
                } else {
                    paths.push(write(&format!("{}.seg", piece.0), &piece.1));
                }
            }
            chance.shuffle(&mut paths);
            ingest(&mut store, dir.path(), paths);
            rest = later;
        }
        let last = growing.drain(..).map(|(name, bytes)| write(&format!("{name}.part"), bytes)).collect();
        ingest(&mut store, dir.path(), last);
        let found = books(&store);
        prop_assert!(found == expected, "seed {seed}\n{}", difference(&expected, &found));

        // From the middle, and all of it.
        for from in [Some(UnixNanos((START_S + chance.below(32_400) as i64) * NANOS_PER_SECOND)), None] {
            let mut ingest = Ingest::new(&mut store, dir.path().join("captures"), ReadOptions::default());
            let rebuilt = ingest.rebuild(from).unwrap();
            prop_assert!(rebuilt.gone.is_empty() && rebuilt.failed.is_empty());
            let found = books(&store);
            prop_assert!(found == expected, "rebuild, seed {seed}\n{}", difference(&expected, &found));
        }
    }
}

/// Length of the file header, which states it at byte 12.
fn bytes_after_header(segment: &[u8]) -> usize {
    u32::from_le_bytes(segment[12..16].try_into().unwrap()) as usize
}

/// Parts of what pages pulled in, as the store has them: by bucket, host, page and sureness.
fn pages(store: &Store) -> BTreeMap<String, u64> {
    let books = store.books(&Range::everything(jiff::tz::TimeZone::UTC)).unwrap();
    let mut sums = BTreeMap::new();
    for part in &books.pages {
        let host = |index: u32| books.hosts[index as usize].to_string();
        let (row, page, rival) = (&part.row, host(part.page), part.rival.map(host));
        let key = format!("{} {} {page} {:?} {rival:?}", row.bucket_s, host(row.host), part.sureness);
        *sums.entry(key).or_default() += row.up_bytes + row.down_bytes;
    }
    sums
}

const DAY_S: i64 = 86_400;

/// Times of which each is settled by itself: years apart; so near that names of one still count in
/// the next, and just too far for that.
fn apart(chance: &mut Chance) -> Vec<i64> {
    let mut at = START_S - 1_200 * DAY_S;
    let mut starts = Vec::new();
    for _ in 0..4 + chance.below(2) {
        starts.push(at);
        at += match chance.below(4) {
            0 => 300 * DAY_S + chance.below(90 * DAY_S as u64) as i64,
            1 => 7 * DAY_S + 7 * 3_600 + chance.below(7_200) as i64,
            2 => 6 * DAY_S + chance.below(2 * DAY_S as u64) as i64,
            _ => 9_000 + chance.below(3 * DAY_S as u64) as i64,
        };
    }
    starts
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn sources_years_apart_are_booked_alike_in_any_order(seed in 1u64..) {
        let mut chance = Chance(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut pieces = Vec::new();
        for (n, start_s) in (1u8..).zip(apart(&mut chance)) {
            let hours = 1 + chance.below(3) as i64;
            let run = traffic_from(&mut chance, start_s, hours);
            for (i, bytes) in split(&mut chance, n, &run).into_iter().enumerate() {
                let path = dir.path().join(format!("{n}-{i:03}.seg"));
                std::fs::write(&path, bytes).unwrap();
                pieces.push(path);
            }
        }
        let mut as_one = Store::in_memory().unwrap();
        ingest(&mut as_one, dir.path(), pieces.clone());
        let expected = books(&as_one);

        // Each in a command of its own, in the order of time, and in any order, some together.
        let mut in_time = Store::in_memory().unwrap();
        pieces.iter().for_each(|piece| _ = ingest(&mut in_time, dir.path(), vec![piece.clone()]));
        let found = books(&in_time);
        prop_assert!(found == expected, "in time, seed {seed}\n{}", difference(&expected, &found));
        let mut store = Store::in_memory().unwrap();
        chance.shuffle(&mut pieces);
        let mut rest = pieces.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(1 + chance.below(rest.len().min(5) as u64) as usize);
            ingest(&mut store, dir.path(), now.to_vec());
            rest = later;
        }
        let found = books(&store);
        prop_assert!(found == expected, "seed {seed}\n{}", difference(&expected, &found));
    }
}

/// What pages pulled in is the same, too, where sources are more than an hour apart.
#[test]
fn habits_count_for_seven_days_in_whatever_order_sources_come() {
    for seed in 1..8 {
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let dir = tempfile::tempdir().unwrap();
        let days = [0, 1, 2, 6, 7, 8, 400, 401, 800, 807, 815];
        let mut files = Vec::new();
        for (n, day) in (1u8..).zip(days) {
            let run = traffic_from(&mut chance, START_S - (1_000 - day) * DAY_S, 1);
            let path = dir.path().join(format!("{n}.seg"));
            std::fs::write(&path, segment(n, 0, &run)).unwrap();
            files.push(path);
        }
        let mut as_one = Store::in_memory().unwrap();
        ingest(&mut as_one, dir.path(), files.clone());
        let expected = pages(&as_one);
        assert!(expected.len() > 20, "{expected:?}");
        let mut in_time = Store::in_memory().unwrap();
        files.iter().for_each(|file| _ = ingest(&mut in_time, dir.path(), vec![file.clone()]));
        assert_eq!(pages(&in_time), expected, "seed {seed}");
        // The latest first: each one books again what it can change.
        for order in [[8, 9, 10, 6, 7, 0, 1, 2, 3, 4, 5], [10, 9, 8, 7, 6, 0, 2, 1, 3, 4, 5]] {
            let mut late = Store::in_memory().unwrap();
            order.iter().for_each(|i: &usize| _ = ingest(&mut late, dir.path(), vec![files[*i].clone()]));
            let near = |pages: &BTreeMap<String, u64>| {
                let before = START_S - 250 * DAY_S;
                pages
                    .iter()
                    .filter(|(key, _)| key.split(' ').next().unwrap().parse::<i64>().unwrap() < before)
                    .map(|(key, bytes)| (key.clone(), *bytes))
                    .collect::<Vec<_>>()
            };
            assert_eq!(near(&pages(&late)), near(&expected), "seed {seed}");
        }
    }
}

/// A source of each day of some years; then one that comes late, of a day of the first year.
#[test]
fn what_a_late_source_costs_does_not_grow_with_what_came_after_it() {
    let mut chance = Chance(0x1234_5678_9abc_def1);
    let dir = tempfile::tempdir().unwrap();
    let write = |name: String, bytes: Vec<u8>| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let begin_s = START_S - 1_500 * DAY_S;
    let source = |chance: &mut Chance, run: u64, start_s: i64| {
        let mut run_of = std::iter::repeat_with(|| traffic_from(chance, start_s, 1)).find(|r| !r.is_empty()).unwrap();
        run_of.truncate(4);
        let id: [u8; 16] = [[9; 8], run.to_be_bytes()].concat().try_into().unwrap();
        let header = segment_header(id, id, 0, run_of[0].at);
        let mut writer = SegmentWriter::create(Vec::new(), &header).unwrap();
        for interval in &run_of {
            interval.names.iter().for_each(|(flow, seen)| writer.name(flow, seen).unwrap());
            interval.usage.iter().for_each(|(flow, usage)| writer.usage(flow, interval.at, *usage).unwrap());
            writer.commit().unwrap();
        }
        write(format!("{run}.seg"), writer.finish().unwrap().0)
    };
    let days: Vec<PathBuf> = (0..730).map(|day| source(&mut chance, day, begin_s + day as i64 * DAY_S)).collect();
    let late = source(&mut chance, 5_000, begin_s + 100 * DAY_S + 40_000);
    let read = |days: &[PathBuf]| {
        let mut store = Store::in_memory().unwrap();
        ingest(&mut store, dir.path(), days.to_vec());
        let mut late_one = Ingest::new(&mut store, dir.path().join("captures"), ReadOptions::default());
        late_one.sources(vec![late.clone()]).unwrap();
        (late_one.read, books(&store))
    };
    let (after_one_year, _) = read(&days[..365]);
    let (after_two, found) = read(&days);
    // The seven days after it, one beside it, and itself.
    assert!((8..=10).contains(&after_one_year), "{after_one_year}");
    assert_eq!(after_two, after_one_year);
    let mut as_one = Store::in_memory().unwrap();
    ingest(&mut as_one, dir.path(), days.iter().chain([&late]).cloned().collect());
    let expected = books(&as_one);
    assert!(found == expected, "{}", difference(&expected, &found));
}

/// A connection of nine days, in segments of six hours; what names it comes late.
#[test]
fn a_flow_that_lasts_longer_than_its_window_is_named_anew_wherever_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = |s: i64| UnixNanos((START_S + s) * NANOS_PER_SECOND);
    let client: IpAddr = [192, 168, 1, 1].into();
    let long = Flow { number: 7, client, start: at(0), ..plain([198, 51, 100, 1].into(), 443, 6) };
    let usage = Usage { up_packets: 1, down_packets: 1, up_bytes: 100, down_bytes: 1_000 };
    let mut files = Vec::new();
    for part in 0..36 {
        let seconds = (0..8).map(|i| part * 6 * 3_600 + i * 2_700);
        // Something else, which nobody names.
        let other = Flow { number: 1_000 + part as u64, client, start: at(part * 6 * 3_600), ..long.clone() };
        let other = Flow { server: [203, 0, 113, 9].into(), client_port: 40_000, ..other };
        let intervals: Run = seconds
            .enumerate()
            .map(|(i, s)| {
                let mut usage = vec![(long.clone(), usage)];
                usage.extend((i == 0).then(|| (other.clone(), usage[0].1)));
                Interval { at: at(s), usage, ..Interval::default() }
            })
            .collect();
        let path = dir.path().join(format!("{part}.seg"));
        std::fs::write(&path, segment(1, part as u64, &intervals)).unwrap();
        files.push(path);
    }
    let asks = Flow { number: 1, client, start: at(-60), ..plain([192, 0, 2, 53].into(), 53, 17) };
    let seen = NameSeen {
        ts: at(-60),
        kind: NameKind::Dns,
        name: host("www.long.example"),
        chain: Vec::new(),
        addresses: vec![answer(long.server)],
        asker_is_server: false,
        relayed: false,
    };
    let late =
        Interval { at: at(-60), names: vec![(asks.clone(), seen)], usage: vec![(asks, usage)], ..Interval::default() };
    let late_path = dir.path().join("late.seg");
    std::fs::write(&late_path, segment(2, 0, &[late])).unwrap();

    let mut as_one = Store::in_memory().unwrap();
    ingest(&mut as_one, dir.path(), files.iter().chain([&late_path]).cloned().collect());
    let expected = books(&as_one);
    let named: u64 = expected.iter().filter(|(key, _)| key.contains("www.long.example")).map(|(_, sum)| sum[1]).sum();
    assert_eq!(named, 36 * 8 * 1_000);
    let mut store = Store::in_memory().unwrap();
    files.iter().for_each(|file| _ = ingest(&mut store, dir.path(), vec![file.clone()]));
    assert!(!books(&store).keys().any(|key| key.contains("www.long.example")));
    ingest(&mut store, dir.path(), vec![late_path]);
    let found = books(&store);
    assert!(found == expected, "{}", difference(&expected, &found));
    assert!(store.stale_sources().unwrap().is_empty());
}
