//! A capture is what its packets are: whatever file they are in, whatever else was read before,
//! they are in the books once.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use support::contents::assert_same;
use support::{Home, rows_and_ledger, testdata};

const ALL: &str = "--from 1970-01-01 --to 2150-01-01 --by host --include-local --limit 0 --format json";

/// The file header and the packets of the capture of the netlab, of which a part is enough.
fn packets() -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut plain = Vec::new();
    let packed = std::fs::File::open(testdata("netlab/browse-lan.pcap.gz")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut plain).unwrap();
    let (head, mut rest) = plain.split_at(24);
    let mut records = Vec::new();
    while records.len() < 12_000 {
        let len = 16 + u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (record, after) = rest.split_at(len);
        records.push(record.to_vec());
        rest = after;
    }
    (head.to_vec(), records)
}

fn write(home: &Home, name: &str, head: &[u8], packets: &[Vec<u8>]) {
    home.write(name, &[head, &packets.concat()].concat());
}

/// What `report FILES` says.
fn reported(home: &Home, files: &str) -> (Vec<serde_json::Value>, serde_json::Value) {
    rows_and_ledger(&home.ok(&format!("report {files} {ALL}")))
}

/// What the store says.
fn stored(home: &Home, database: &str) -> (Vec<serde_json::Value>, serde_json::Value) {
    std::fs::create_dir_all(home.path("empty")).unwrap();
    rows_and_ledger(&home.ok(&format!("report --database {database} --spool empty {ALL}")))
}

fn kept(home: &Home, folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(home.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_capture_that_has_grown_goes_on_and_its_beginning_is_known() {
    let (head, packets) = packets();
    let home = Home::new();
    // Neither is a power of two.
    let lengths = [700, 4_096, 5_001, packets.len()];
    write(&home, "all.pcap", &head, &packets);
    home.ok("ingest all.pcap --database all/imon.db");
    for n in lengths {
        write(&home, &format!("{n}.pcap"), &head, &packets[..n]);
        write(&home, "growing.pcap", &head, &packets[..n]);
        home.ok("ingest growing.pcap --database growing/imon.db");
        home.ok(&format!("ingest {n}.pcap --database named/imon.db"));
    }
    for n in lengths.iter().rev() {
        home.ok(&format!("ingest {n}.pcap --database shrinking/imon.db"));
    }
    let list: Vec<String> = lengths.iter().rev().map(|n| format!("{n}.pcap")).collect();
    home.ok(&format!("ingest {} --database together/imon.db", list.join(" ")));
    let whole = reported(&home, "all.pcap");
    assert_eq!(reported(&home, &list.join(" ")), whole);
    for database in ["growing", "named", "shrinking", "together"] {
        let path = format!("{database}/imon.db");
        assert_eq!(stored(&home, &path), whole, "{database}");
        assert_eq!(kept(&home, &format!("{database}/captures")).len(), 1, "{database}: one segment is kept");
        home.ok(&format!("rebuild --database {path}"));
        assert_eq!(stored(&home, &path), whole, "{database} rebuilt");
    }
}

#[test]
fn a_capture_that_has_grown_moves_those_that_follow_it() {
    let (head, packets) = packets();
    let home = Home::new();
    let later = &packets[6_000..];
    write(&home, "a.pcap", &head, &packets[..6_000]);
    write(&home, "b.pcap", &head, later);
    home.ok("ingest a.pcap b.pcap --database all/imon.db");
    write(&home, "a.pcap", &head, &packets[..5_001]);
    home.ok("ingest a.pcap b.pcap --database grown/imon.db");
    write(&home, "a.pcap", &head, &packets[..6_000]);
    home.ok("ingest a.pcap --database grown/imon.db");
    assert_same(&home.path("grown/imon.db"), &home.path("all/imon.db"), "grown");
}

#[test]
fn what_is_kept_is_the_capture_that_it_was() {
    let (head, packets) = packets();
    let home = Home::new();
    write(&home, "all.pcap", &head, &packets);
    let whole = reported(&home, "all.pcap");
    home.ok("ingest all.pcap --database one/imon.db");
    let segment = kept(&home, "one/captures").remove(0);
    let segment = segment.display();
    assert_eq!(reported(&home, &format!("all.pcap {segment}")), whole, "in memory");
    assert_eq!(reported(&home, &format!("{segment}")), whole, "alone");
    home.ok(&format!("ingest {segment} --database one/imon.db"));
    assert_eq!(stored(&home, "one/imon.db"), whole, "where it is kept");
    for (name, order) in
        [("two", [format!("{segment}"), "all.pcap".into()]), ("three", ["all.pcap".into(), format!("{segment}")])]
    {
        order.iter().for_each(|source| _ = home.ok(&format!("ingest {source} --database {name}/imon.db")));
        assert_eq!(stored(&home, &format!("{name}/imon.db")), whole, "{order:?}");
        home.ok(&format!("ingest {} --database {name}-at-once/imon.db", order.join(" ")));
        assert_eq!(stored(&home, &format!("{name}-at-once/imon.db")), whole, "{order:?} at once");
    }
}

#[test]
fn captures_that_begin_in_one_second_keep_their_facts() {
    let (head, packets) = packets();
    let home = Home::new();
    // Two of one link, by turns: no packet is in both.
    let turn = |n: usize| -> Vec<Vec<u8>> { packets.iter().skip(n).step_by(2).cloned().collect() };
    write(&home, "a.pcap", &head, &turn(0));
    write(&home, "b.pcap", &head, &turn(1));
    home.ok("ingest a.pcap --database one/imon.db");
    home.ok("ingest b.pcap --database one/imon.db");
    assert_eq!(kept(&home, "one/captures").len(), 2);
    let before = stored(&home, "one/imon.db");
    let run = home.analyze("rebuild --database one/imon.db".split(' '));
    assert!(run.err.contains("booked 2 sources again") && !run.err.contains("gone"), "{}", run.err);
    assert_eq!(stored(&home, "one/imon.db"), before);
}

#[test]
fn facts_that_are_gone_come_back_with_the_capture() {
    let (head, packets) = packets();
    let home = Home::new();
    write(&home, "all.pcap", &head, &packets);
    home.ok("ingest all.pcap --database one/imon.db");
    let lost = kept(&home, "one/captures").remove(0);
    std::fs::remove_file(&lost).unwrap();
    assert!(home.analyze("rebuild --database one/imon.db".split(' ')).err.contains("gone"));
    home.ok("ingest all.pcap --database one/imon.db");
    assert!(Path::new(&lost).exists());
    assert!(!home.analyze("rebuild --database one/imon.db".split(' ')).err.contains("gone"));
    assert_eq!(stored(&home, "one/imon.db"), reported(&home, "all.pcap"));
}

#[test]
fn a_store_that_was_moved_finds_what_it_keeps() {
    let (head, packets) = packets();
    let home = Home::new();
    write(&home, "all.pcap", &head, &packets);
    home.ok("ingest all.pcap --database one/imon.db");
    std::fs::rename(home.path("one"), home.path("two")).unwrap();
    let run = home.analyze("rebuild --database two/imon.db".split(' '));
    assert!(run.err.contains("booked 1 source again") && !run.err.contains("gone"), "{}", run.err);
    home.ok("ingest all.pcap --database two/imon.db");
    assert_eq!(stored(&home, "two/imon.db"), reported(&home, "all.pcap"));
}
