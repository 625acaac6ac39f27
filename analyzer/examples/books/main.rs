//! Synthetic books of years, for `make bench-books`.
//!
//! ```text
//! books make FOLDER DAYS ROWS     a database of so many days with so many rows each
//! books fleet FOLDER RECORDERS DAYS ROWS     months of so many recorders, each with so many rows a
//!                                        day, closed one after the other
//! books close FOLDER [time|site] [ROWS OF A GROUP] [bloom]      closes its months
//! ```
//! Ten devices, 3,000 hosts by Zipf's law, 24 segments a day; amounts by a log-normal law. The same
//! numbers in every run.
#![allow(clippy::print_stdout)]

use imon_analyze::archive::{Archive, Layout, Order};
use imon_analyze::books::month::Month;
use imon_analyze::books::{BUCKET_S, Blind, Evidence, Host, Interface, Traffic};
use imon_analyze::rollup::{Endpoint, Rollup, RowKey};
use imon_analyze::store::{NewSource, Place, Store};
use imon_analyze::timeline::{Ended, Recorded};
use imon_common::names::Name;
use imon_common::observe::{Counter, Usage};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::Mac;
use std::error::Error;
use std::path::Path;

/// 2023-11-01T00:00:00Z.
const FIRST_S: i64 = 1_698_796_800;
/// 2026-05-01T00:00:00Z: of a fleet.
const FLEET_FIRST_S: i64 = 1_777_593_600;
/// What a segment is called that a recorder ends every hour.
const SEGMENT_S: i64 = 3_600;
const HOSTS: usize = 3_000;
const DEVICES: u8 = 10;
const SEGMENTS: u64 = 24;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["make", folder, days, rows] => make(Path::new(folder), days.parse()?, rows.parse()?),
        ["fleet", folder, recorders, days, rows] => {
            fleet(Path::new(folder), (recorders.parse()?, days.parse()?, rows.parse()?))
        }
        ["close", folder, rest @ ..] => close(Path::new(folder), rest),
        _ => Err("usage: books make FOLDER DAYS ROWS | books fleet FOLDER RECORDERS DAYS ROWS | books close FOLDER [time|site] [ROWS] [bloom]".into()),
    }
}

/// Numbers that are the same in every run (Knuth's MMIX).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// From 0 to below 1.
    fn share(&mut self) -> f64 {
        self.next() as f64 / (1u64 << 31) as f64
    }

    /// About normal: the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// Hosts of 1,200 sites, the most used first; every twelfth is an address.
fn host(number: usize) -> Option<Host> {
    if number % 12 == 11 {
        let [a, b] = u16::try_from(number).ok()?.to_be_bytes();
        return Some(Host::Address([203, 0, a, b].into()));
    }
    let site = number * 7 % 1_200;
    let parts = ["www", "api", "cdn", "static", "img", "eu-west-1.telemetry"];
    let part = parts.get(number % parts.len())?;
    let end = ["com", "net", "org", "example", "co.uk"].get(site % 5)?;
    Name::from_host(format!("{part}.service-{site:04}.{end}").as_bytes()).map(Host::Name)
}

/// Places of hosts by Zipf's law: the share of the first n.
fn zipf() -> Vec<f64> {
    let weights: Vec<f64> = (1..=HOSTS).map(|n| 1.0 / n as f64).collect();
    let all: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let mut shares = Vec::with_capacity(HOSTS);
    for weight in weights {
        sum += weight / all;
        shares.push(sum);
    }
    shares
}

fn make(folder: &Path, days: i64, rows: u64) -> Result<(), Box<dyn Error>> {
    let mut store = Store::open(&folder.join("imon.db"))?;
    let (mut chance, zipf) = (Chance(1), zipf());
    let hosts: Vec<Host> = (0..HOSTS).filter_map(host).collect();
    for number in 0..u64::try_from(days)? * SEGMENTS {
        let from_s = FIRST_S + i64::try_from(number)? * 86_400 / i64::try_from(SEGMENTS)?;
        let rollup = segment(&mut chance, (&hosts, &zipf), (0, from_s), rows / SEGMENTS);
        let mut identity = vec![7; 8];
        identity.extend(number.to_be_bytes());
        let source = NewSource {
            identity,
            kind: "segment",
            path: format!("/var/lib/imon/{number:08}.seg"),
            kept: None,
            kept_segment: None,
            place: Some(Place { recorder: [1; 16], run: [2; 16], sequence: number }),
            content: None,
            capture: None,
            allow_overlap: false,
            interface: "eth0".into(),
            first: UnixNanos(from_s * NANOS_PER_SECOND),
            last: UnixNanos((from_s + 3_599) * NANOS_PER_SECOND),
            ended: "sealed".into(),
            len_bytes: 1,
            records: rows,
            recorded: None,
            gone: Vec::new(),
        };
        store.replace_source(&source, None, &rollup, |_| &[])?;
    }
    println!("{days} days of {rows} rows");
    Ok(())
}

/// Recorders with an hour's segments each. A month is closed before the next one begins: the
/// database stays small.
fn fleet(folder: &Path, (recorders, days, rows): (u16, i64, u64)) -> Result<(), Box<dyn Error>> {
    let mut store = Store::open(&folder.join("imon.db"))?;
    let (mut chance, zipf) = (Chance(1), zipf());
    let hosts: Vec<Host> = (0..HOSTS).filter_map(host).collect();
    for day in 0..days {
        for number in 0..recorders {
            for hour in 0..SEGMENTS {
                let from_s = FLEET_FIRST_S + day * 86_400 + i64::try_from(hour)? * SEGMENT_S;
                let rollup = segment(&mut chance, (&hosts, &zipf), (number, from_s), rows / SEGMENTS);
                let sequence = u64::try_from(day)? * SEGMENTS + hour;
                store.replace_source(&recorded(number, sequence, from_s), None, &rollup, |_| &[])?;
            }
        }
        let next = Month::of_second(FLEET_FIRST_S + (day + 1) * 86_400);
        if day + 1 == days || next != Month::of_second(FLEET_FIRST_S + day * 86_400) {
            println!("{recorders} recorders, {} days", day + 1);
            drop(store);
            close(folder, &[])?;
            store = Store::open(&folder.join("imon.db"))?;
        }
    }
    Ok(())
}

/// A segment of a recorder.
fn recorded(number: u16, sequence: u64, from_s: i64) -> NewSource {
    let id = |kind: u8, sequence: u64| {
        let mut id = [kind; 16];
        id.iter_mut().zip(number.to_be_bytes()).for_each(|(byte, of)| *byte = of);
        id.iter_mut().skip(8).zip(sequence.to_be_bytes()).for_each(|(byte, of)| *byte = of);
        id
    };
    let recorder = id(1, 0);
    let (first, last) = (from_s * NANOS_PER_SECOND, (from_s + SEGMENT_S) * NANOS_PER_SECOND);
    NewSource {
        identity: id(7, sequence).to_vec(),
        kind: "segment",
        path: format!("/srv/spools/{number:03}/{sequence:08}.seg"),
        kept: None,
        kept_segment: None,
        place: Some(Place { recorder, run: id(2, 0), sequence }),
        content: None,
        capture: None,
        allow_overlap: false,
        interface: "eth0".into(),
        first: UnixNanos(first),
        last: UnixNanos(last - 1),
        ended: "sealed".into(),
        len_bytes: 1_000_000,
        records: 100_000,
        recorded: Some(Recorded {
            recorder,
            run: id(2, 0),
            sequence,
            segment: id(7, sequence),
            before: sequence.checked_sub(1).map_or([0; 16], |before| id(7, before)),
            before_sealed: sequence > 0,
            boot: id(3, 0),
            interface: "eth0".into(),
            start: UnixNanos(first),
            to: UnixNanos(last),
            ended: Ended::Sealed,
            stop_requested: false,
            run_before: None,
            followed_by: 0,
        }),
        gone: Vec::new(),
    }
}

/// The sums of an hour; each recorder has devices of its own.
fn segment(chance: &mut Chance, (hosts, zipf): (&[Host], &[f64]), (recorder, from_s): (u16, i64), rows: u64) -> Rollup {
    let mut rollup = Rollup::default();
    let interface = rollup.interfaces.index_of(&Interface { name: "eth0".into(), vlan: None });
    // Some quarters of an hour may hit the same key: more are drawn.
    while (rollup.rows.len() as u64) < rows {
        let share = chance.share();
        let place = zipf.partition_point(|sum| *sum < share);
        let Some(host) = hosts.get(place.min(hosts.len() - 1)) else { continue };
        let device = u8::try_from(chance.below(DEVICES.into())).unwrap_or_default();
        let [high, low] = recorder.to_be_bytes();
        let endpoint = match recorder {
            0 => Endpoint { address: [192, 168, 1, 10 + device].into(), mac: Some(Mac([2, 0, 0, 0, 0, device])) },
            _ => {
                Endpoint { address: [10, high, low, 10 + device].into(), mac: Some(Mac([2, 0, 0, high, low, device])) }
            }
        };
        let named = matches!(host, Host::Name(_));
        let index = rollup.hosts.index_of(host);
        let evidence = match (named, chance.below(100)) {
            (false, _) => Evidence::None,
            (_, 0..55) => Evidence::Sni,
            (_, 55..80) => Evidence::Dns,
            (_, 80..92) => Evidence::Quic,
            (_, 92..97) => Evidence::DnsShared,
            _ => Evidence::Known,
        };
        let candidates = (evidence == Evidence::DnsShared).then(|| {
            let other = hosts.get((place + 1) % hosts.len()).filter(|other| matches!(other, Host::Name(_)));
            let mut set = vec![index];
            set.extend(other.map(|other| rollup.hosts.index_of(other)));
            set.sort_unstable();
            rollup.candidate_sets.index_of(&set)
        });
        let key = RowKey {
            bucket_s: from_s + BUCKET_S * i64::try_from(chance.below(4)).unwrap_or_default(),
            host: index,
            endpoint: rollup.roster.endpoints.index_of(&endpoint),
            evidence,
            traffic: Traffic::Visited,
            candidates,
            blind: (!named).then_some(Blind::NoName),
            interface,
            source: 0,
        };
        let bytes = |value: f64| value.exp() as u64;
        let down_bytes = bytes(8.5 + 2.2 * chance.normal());
        let up_bytes = bytes(7.0 + 1.2 * chance.normal());
        let usage = Usage {
            down_packets: down_bytes / 900 + 2,
            up_packets: down_bytes / 1_800 + up_bytes / 600 + 2,
            down_bytes,
            up_bytes,
        };
        rollup.rows.entry(key).or_default().add(usage);
    }
    for quarter in 0..4 {
        let bucket = from_s + BUCKET_S * quarter;
        for counter in [Counter::KernelReceived, Counter::InterfaceReceived, Counter::InterfaceSent] {
            rollup.counts.insert((bucket, counter), (chance.below(100_000), chance.below(100_000_000)));
        }
    }
    rollup
}

fn close(folder: &Path, how: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut layout = Layout::default();
    for word in how {
        match *word {
            "time" => layout.order = Order::TimeFirst,
            "site" => layout.order = Order::SiteFirst,
            "bloom" => layout.bloom = true,
            rows => layout.group_rows = rows.parse()?,
        }
    }
    let mut store = Store::open(&folder.join("imon.db"))?;
    let months = store.open_months()?;
    let mut archive = Archive::new(&mut store)?;
    for month in months {
        archive.close_as(month, UnixNanos(i64::MAX), layout)?;
    }
    Ok(())
}
