//! What two sources hold is in the books once, shown with both names, and only where it is the
//! same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use std::path::PathBuf;
use support::{Home, rows_and_ledger, testdata};

const ALL: &str = "--from 1970-01-01 --to 2150-01-01 --by host --include-local --limit 0 --format json";

type Records = Vec<(u64, Vec<u8>)>;

/// File header and packets of the capture of the netlab: time in µs, and the record.
fn packets() -> (Vec<u8>, Records) {
    let mut plain = Vec::new();
    let packed = std::fs::File::open(testdata("netlab/browse-lan.pcap.gz")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut plain).unwrap();
    let (head, mut rest) = plain.split_at(24);
    let mut records = Vec::new();
    while records.len() < 30_000 {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let at = u64::from(word(0)) * 1_000_000 + u64::from(word(4));
        let (record, after) = rest.split_at(16 + word(8) as usize);
        records.push((at, record.to_vec()));
        rest = after;
    }
    (head.to_vec(), records)
}

fn write(home: &Home, name: &str, head: &[u8], records: &[(u64, Vec<u8>)]) -> String {
    let bytes: Vec<u8> = records.iter().flat_map(|(_, record)| record.iter().copied()).collect();
    home.write(name, &[head, &bytes].concat());
    name.to_owned()
}

/// A record of which only the first bytes were captured.
fn cut(record: &[u8], snaplen: usize) -> Vec<u8> {
    let captured = (record.len() - 16).min(snaplen);
    let mut short = record[..16 + captured].to_vec();
    short[8..12].copy_from_slice(&(captured as u32).to_le_bytes());
    short
}

fn reported(home: &Home, files: &[String], more: &str) -> (Vec<Value>, Value) {
    rows_and_ledger(&home.ok(&format!("report {} {ALL} {more}", files.join(" "))))
}

fn stored(home: &Home, database: &str) -> (Vec<Value>, Value) {
    std::fs::create_dir_all(home.path("empty")).unwrap();
    rows_and_ledger(&home.ok(&format!("report --database {database} --spool empty {ALL}")))
}

/// The ledger of these sources, which is one however they come: in memory, ingested at once, one by
/// one, backward, and rebuilt.
fn books(home: &Home, name: &str, files: &[String]) -> Value {
    let backward: Vec<String> = files.iter().rev().cloned().collect();
    let (rows, ledger) = reported(home, files, "");
    assert_eq!(ledger["residual_bytes"], 0, "{name}");
    assert_eq!(reported(home, &backward, ""), (rows.clone(), ledger.clone()), "{name} backward in memory");
    home.ok(&format!("ingest {} --database {name}-all/imon.db", files.join(" ")));
    for (way, order) in [("one", files), ("back", &backward)] {
        for file in order {
            home.ok(&format!("ingest {file} --database {name}-{way}/imon.db"));
        }
    }
    for way in ["all", "one", "back"] {
        let database = format!("{name}-{way}/imon.db");
        assert_eq!(stored(home, &database), (rows.clone(), ledger.clone()), "{name}: {way}");
        home.ok(&format!("rebuild --database {database}"));
        assert_eq!(stored(home, &database), (rows.clone(), ledger.clone()), "{name}: {way} rebuilt");
    }
    ledger
}

fn sum(ledger: &Value, key: &str) -> u64 {
    ledger[key].as_u64().unwrap_or_else(|| panic!("{key}: {ledger}"))
}

/// Some connections of two devices, over two minutes.
fn link() -> Records {
    let packet = |n: u64| {
        let flow = n * 7 % 11;
        let (client, server) = ([192, 168, 1, 2 + (flow % 2) as u8], [203, 0, 113, flow as u8]);
        let len = (n * 37 % 1_300) as usize;
        (START_US + n * 33_000, tcp(client, server, [40_000 + flow as u16, 443], n.is_multiple_of(3), n as u32, len))
    };
    let packets: Vec<(u64, Vec<u8>)> = (0..3_600).map(packet).collect();
    let file = support::pcap(&packets);
    let mut at = 24;
    let mut records = Records::new();
    for (time, bytes) in packets {
        records.push((time, file[at..at + 16 + bytes.len()].to_vec()));
        at += 16 + bytes.len();
    }
    records
}

#[test]
fn pieces_of_a_ring_that_overlap_count_once() {
    let head = support::pcap(&[]);
    let records = link();
    let home = Home::new();
    let whole = vec![write(&home, "whole.pcap", &head, &records)];
    let (_, alone) = reported(&home, &whole, "");
    let (third, two_thirds) = (records.len() / 3, records.len() * 2 / 3);
    let pieces =
        vec![write(&home, "a.pcap", &head, &records[..two_thirds]), write(&home, "b.pcap", &head, &records[third..])];
    let ledger = books(&home, "ring", &pieces);
    assert_eq!(sum(&ledger, "ip_bytes"), sum(&alone, "ip_bytes"), "{ledger}");
    assert!(sum(&ledger, "suspected_double_bytes") > 0);
    let of = &ledger["suspected_doubles"][0];
    assert_eq!((&of["source"], &of["counted_in"]), (&"b.pcap".into(), &"a.pcap".into()));
    let both = reported(&home, &pieces, "--allow-overlap").1;
    assert_eq!(
        sum(&both, "ip_bytes"),
        sum(&ledger, "ip_bytes") + sum(&ledger, "suspected_double_bytes"),
        "who knows better counts both"
    );
    assert_eq!(sum(&both, "suspected_double_bytes"), 0);
    home.ok(&format!("ingest {} --allow-overlap --database allowed/imon.db", pieces.join(" ")));
    assert_eq!(stored(&home, "allowed/imon.db").1["ip_bytes"], both["ip_bytes"]);
    home.ok("rebuild --database allowed/imon.db");
    assert_eq!(stored(&home, "allowed/imon.db").1["ip_bytes"], both["ip_bytes"], "rebuilt");
    let table = home.ok(&format!("report {} --from 1970-01-01 --to 2150-01-01", pieces.join(" ")));
    assert!(table.contains("suspected double") && table.contains("b.pcap are in a.pcap, too"), "{table}");
}

#[test]
fn a_capture_and_its_cut_twin_count_once_with_the_names_of_the_longer() {
    let (head, records) = packets();
    let home = Home::new();
    let full = write(&home, "z-full.pcap", &head, &records);
    let short: Records = records.iter().map(|(at, record)| (*at, cut(record, 80))).collect();
    let twin = write(&home, "a-cut.pcap", &head, &short);
    let (_, alone) = reported(&home, std::slice::from_ref(&full), "");
    let ledger = books(&home, "twin", &[full, twin]);
    assert_eq!(sum(&ledger, "ip_bytes"), sum(&alone, "ip_bytes"));
    assert_eq!(sum(&ledger, "suspected_double_bytes"), sum(&alone, "ip_bytes") - sum(&alone, "undecodable_bytes"));
    assert_eq!(ledger["named_bytes"], alone["named_bytes"]);
}

#[test]
fn a_recording_and_a_capture_of_one_link_count_once() {
    let (head, records) = (support::pcap(&[]), link());
    let home = Home::new();
    let part = write(&home, "part.pcap", &head, &records[1_000..]);
    write(&home, "whole.pcap", &head, &records);
    let Some(run) = home.record("--read whole.pcap --spool spool --rotate-every 30s") else { return };
    assert_eq!(run.code, Some(0), "{}", run.err);
    let run = home.record("--read whole.pcap --spool twice --rotate-every 30s").unwrap();
    assert_eq!(run.code, Some(0), "{}", run.err);
    home.record("--read part.pcap --spool twice").unwrap();
    let segments = |folder: &str| -> Vec<String> {
        let names = std::fs::read_dir(home.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<PathBuf> = names.filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
        names.sort();
        names.iter().map(|path| path.to_string_lossy().into_owned()).collect()
    };
    let alone = reported(&home, &["whole.pcap".to_owned()], "").1;
    let (once, twice) = (segments("spool"), segments("twice"));
    assert!(once.len() > 2);
    let ledger = books(&home, "both", &[once, vec![part]].concat());
    assert_eq!(ledger["ip_bytes"], alone["ip_bytes"]);
    let ledger = books(&home, "twice", &twice);
    assert_eq!(ledger["ip_bytes"], alone["ip_bytes"], "--read twice into one spool");
}

/// TCP packets of one flow: time, ends, payload length.
fn tcp(client: [u8; 4], server: [u8; 4], ports: [u16; 2], up: bool, n: u32, len: usize) -> Vec<u8> {
    let ((from, to), (a, b)) =
        if up { ((client, server), (ports[0], ports[1])) } else { ((server, client), (ports[1], ports[0])) };
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    bytes.extend((40 + len as u16).to_be_bytes());
    bytes.extend([0, n as u8, 0, 0, 64, 6, 0, 0]);
    bytes.extend(from.into_iter().chain(to));
    bytes.extend(a.to_be_bytes().into_iter().chain(b.to_be_bytes()));
    bytes.extend(n.to_be_bytes().into_iter().chain([0, 0, 0, 1, 0x50, 0x10, 2, 0, 0, 0, 0, 0]));
    bytes.extend(vec![n as u8; len]);
    bytes
}

const START_US: u64 = 1_790_000_000_000_000;

#[test]
fn two_machines_that_share_a_long_flow_are_two() {
    let home = Home::new();
    let shared = |n: u64| {
        tcp(
            [192, 168, 1, 2],
            [192, 168, 1, 3],
            [40_000, 445],
            n.is_multiple_of(2),
            n as u32,
            100 + (n * 37 % 900) as usize,
        )
    };
    let own = |host: u8, n: u64| {
        tcp(
            [192, 168, 1, host],
            [203, 0, 113, host],
            [50_000 + (n / 10) as u16, 443],
            n.is_multiple_of(3),
            n as u32,
            (n * 13 % 700) as usize,
        )
    };
    let capture = |host: u8, few: u64| {
        let mut all: Vec<(u64, Vec<u8>)> = (0..600).map(|n| (START_US + n * 100_000, shared(n))).collect();
        all.extend((0..600 / few).map(|n| (START_US + n * 100_000 * few + 7, own(host, n))));
        all.sort_by_key(|(at, _)| *at);
        support::pcap(&all)
    };
    // Both busy, and one that does next to nothing but that.
    for (name, few) in [("busy", 1), ("idle", 60)] {
        let files = [("a", 2, 1), ("b", 3, few)].map(|(file, host, few)| {
            let file = format!("{name}-{file}.pcap");
            home.write(&file, &capture(host, few));
            file
        });
        let alone: u64 =
            files.iter().map(|file| sum(&reported(&home, std::slice::from_ref(file), "").1, "ip_bytes")).sum();
        let ledger = books(&home, name, &files);
        assert_eq!((sum(&ledger, "ip_bytes"), sum(&ledger, "suspected_double_bytes")), (alone, 0), "{name}");
    }
}

#[test]
fn both_sides_of_a_translator_and_keepalives_are_no_overlap() {
    let home = Home::new();
    // The same packets with other addresses: nothing in them says so.
    let side = |client: [u8; 4]| {
        let packet = |n: u64| {
            (
                START_US + n * 50_000,
                tcp(
                    client,
                    [203, 0, 113, (n % 9) as u8],
                    [40_000 + (n % 9) as u16, 443],
                    true,
                    n as u32,
                    (n * 31 % 800) as usize,
                ),
            )
        };
        support::pcap(&(0..900).map(packet).collect::<Vec<_>>())
    };
    // Of one size, in all networks alike, of many flows.
    let idle = |_: u8| {
        let packet = |n: u64| {
            (
                START_US + n * 1_000_000,
                tcp([192, 168, 0, 2], [203, 0, 113, (n % 9) as u8], [40_000 + (n % 9) as u16, 443], true, 1, 0),
            )
        };
        support::pcap(&(0..300).map(packet).collect::<Vec<_>>())
    };
    let mut other = idle(1);
    other.extend(&idle(2)[24..24 + 70]); // one packet more, so that it is another capture
    for (name, files) in [("nat", [side([192, 168, 1, 2]), side([198, 51, 100, 7])]), ("idle", [idle(0), other])] {
        let names = ["a", "b"].map(|file| format!("{name}-{file}.pcap"));
        names.iter().zip(&files).for_each(|(name, bytes)| _ = home.write(name, bytes));
        let ledger = reported(&home, &names, "").1;
        assert_eq!(sum(&ledger, "suspected_double_bytes"), 0, "{name}");
    }
}

/// The capture with each packet `by_us` later.
fn later(capture: &[u8], by_us: u32) -> Vec<u8> {
    let mut bytes = capture.to_vec();
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut at = 24;
    while at + 16 <= bytes.len() {
        let us = u64::from(word(&bytes, at)) * 1_000_000 + u64::from(word(&bytes, at + 4) + by_us);
        let [s, us] = [us / 1_000_000, us % 1_000_000].map(|n| u32::try_from(n).unwrap().to_le_bytes());
        bytes[at..at + 4].copy_from_slice(&s);
        bytes[at + 4..at + 8].copy_from_slice(&us);
        at += 16 + word(&bytes, at + 8) as usize;
    }
    bytes
}

#[test]
fn clocks_that_are_apart_are_told_on_both_doors() {
    let home = Home::new();
    let capture = support::recent("netlab/browse-lan.pcap.gz");
    let first = home.write("here.pcap", &capture);
    let second = home.write("there.pcap", &later(&capture, 3_040_000));
    let (first, second) = (first.display(), second.display());
    let told = "note: the clock of there.pcap is 3.0 s ahead of that of here.pcap, by ";
    for files in [format!("{first} {second}"), format!("{second} {first}")] {
        let run = home.analyze(format!("report {files} --json").split(' '));
        assert!(run.err.contains(told) && run.err.contains("counts twice"), "{}", run.err);
    }
    let run = home.analyze(format!("ingest {first} {second} --database at-once.db").split(' '));
    assert!(run.err.contains(told), "{}", run.err);
    // One by one, the first is read again beside the second.
    home.ok(&format!("ingest {first} --database later.db"));
    let run = home.analyze(format!("ingest {second} --database later.db").split(' '));
    assert!(run.err.contains(told), "{}", run.err);
    // Who knows better is not told, and clocks that agree are an overlap.
    let run = home.analyze(format!("report {first} {second} --allow-overlap").split(' '));
    assert!(!run.err.contains("ahead"), "{}", run.err);
    let cut = home.write("cut.pcap", &capture[..capture.len() / 2 + 7]);
    let run = home.analyze(format!("report {} {first}", cut.display()).split(' '));
    assert!(!run.err.contains("ahead"), "{}", run.err);
}
