//! A capture in pieces, as ring buffers leave it: read in one command the pieces are the whole;
//! ingested one by one they keep every byte, and the names of the connections that go on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use std::path::PathBuf;
use support::{Home, rows_and_ledger, testdata};
use support::{chance::Chance, contents::assert_same};

const ALL: &str = "--from 1970-01-01 --to 2150-01-01 --by host --include-local --limit 0 --format json";

/// The packets of a pcap file cut into `n` files of about as many packets each.
fn split(pcap: &[u8], n: usize) -> Vec<Vec<u8>> {
    let (head, mut rest) = pcap.split_at(24);
    let mut records = Vec::new();
    while rest.len() >= 16 {
        let len = 16 + u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (record, after) = rest.split_at(len);
        records.push(record);
        rest = after;
    }
    records.chunks(records.len().div_ceil(n)).map(|part| [head, &part.concat()].concat()).collect()
}

struct Pieces {
    home: Home,
    whole: (Vec<serde_json::Value>, serde_json::Value),
    files: Vec<String>,
}

fn pieces(n: usize) -> Pieces {
    let home = Home::new();
    let mut plain = Vec::new();
    let packed = std::fs::File::open(testdata("netlab/browse-lan.pcap.gz")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut plain).unwrap();
    home.write("whole.pcap", &plain);
    let whole = rows_and_ledger(&home.ok(&format!("report whole.pcap {ALL}")));
    let name = |i: usize| format!("p{i:02}.pcap");
    for (i, piece) in split(&plain, n).iter().enumerate() {
        home.write(&name(i), piece);
    }
    Pieces { files: (0..n).map(name).collect(), home, whole }
}

fn stored(home: &Home, database: &str) -> (Vec<serde_json::Value>, serde_json::Value) {
    std::fs::create_dir_all(home.path("empty")).unwrap();
    rows_and_ledger(&home.ok(&format!("report --database {database} --spool empty {ALL}")))
}

#[test]
fn pieces_read_in_one_command_are_the_whole_in_any_order() {
    let Pieces { home, whole, files } = pieces(9);
    let turned: Vec<String> = files[4..].iter().rev().chain(&files[..4]).cloned().collect();
    for (name, order) in [("forward", &files), ("turned", &turned)] {
        let list = order.join(" ");
        assert_eq!(rows_and_ledger(&home.ok(&format!("report {list} {ALL}"))), whole, "{name}");
        home.ok(&format!("ingest {list} --database {name}/imon.db"));
        assert_eq!(stored(&home, &format!("{name}/imon.db")), whole, "{name} ingested");
        home.ok(&format!("rebuild --database {name}/imon.db"));
        assert_eq!(stored(&home, &format!("{name}/imon.db")), whole, "{name} rebuilt");
    }
    let flows = |list: &str| {
        // The last field says which file.
        let without_source = |line: &str| line.split(",\"source\":").next().unwrap().to_owned();
        let mut lines: Vec<String> = home.ok(&format!("flows {list}")).lines().map(without_source).collect();
        lines.sort();
        lines
    };
    assert_eq!(flows(&turned.join(" ")), flows("whole.pcap"));
    let names = |list: &str| home.ok(&format!("names {list}"));
    assert_eq!(names(&turned.join(" ")), names("whole.pcap"));
}

#[test]
fn pieces_ingested_one_by_one_are_those_of_one_command() {
    let Pieces { home, whole, files } = pieces(9);
    home.ok(&format!("ingest {} --database all/imon.db", files.join(" ")));
    let backward: Vec<String> = files.iter().rev().cloned().collect();
    for (name, order) in [("forward", &files), ("backward", &backward)] {
        let database = format!("{name}/imon.db");
        order.iter().for_each(|file| _ = home.ok(&format!("ingest {file} --database {database}")));
        assert_eq!(stored(&home, &database), whole, "{name}");
        assert_same(&home.path(&database), &home.path("all/imon.db"), name);
        home.ok(&format!("rebuild --database {database}"));
        assert_same(&home.path(&database), &home.path("all/imon.db"), &format!("{name}, rebuilt"));
    }
}

#[test]
fn pieces_whose_captures_are_gone_keep_every_byte_and_the_names_of_what_goes_on() {
    let Pieces { home, whole, files } = pieces(9);
    for file in &files {
        home.ok(&format!("ingest {file} --database gone/imon.db"));
        std::fs::remove_file(home.path(file)).unwrap();
    }
    let found = stored(&home, "gone/imon.db");
    for key in
        ["packets", "ip_packets", "ip_bytes", "local_bytes", "non_ip_packets", "undecodable_bytes", "residual_bytes"]
    {
        assert_eq!(found.1[key], whole.1[key], "{key}");
    }
    let named = |books: &(Vec<serde_json::Value>, serde_json::Value)| books.1["named_bytes"].as_f64().unwrap();
    let share = named(&found) / named(&whole);
    eprintln!("{:.4} % of the named bytes of the whole", 100.0 * share);
    // A hello or a DNS exchange that a cut goes through is lost to both pieces.
    assert!((0.98..=1.0).contains(&share), "{share}");
}

/// The packets of a pcap file cut into `n` pieces of as much time each: pauses may leave pieces
/// with few packets.
fn split_by_time(pcap: &[u8], n: u64) -> Vec<Vec<u8>> {
    let (head, mut rest) = pcap.split_at(24);
    let mut records: Vec<(u64, &[u8])> = Vec::new();
    while rest.len() >= 16 {
        let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        let at = u64::from(word(0)) * 1_000_000 + u64::from(word(4));
        let (record, after) = rest.split_at(16 + word(8) as usize);
        records.push((at, record));
        rest = after;
    }
    let (first, last) = (records[0].0, records[records.len() - 1].0);
    let piece = |(at, _): &(u64, &[u8])| ((at - first) * n / (last - first + 1)) as usize;
    let mut pieces = vec![head.to_vec(); n as usize];
    records.iter().for_each(|record| pieces[piece(record)].extend(record.1));
    pieces
}

#[test]
fn a_folder_that_is_ingested_again_when_it_has_more_pieces_is_that_of_one_command() {
    let home = Home::new();
    let mut plain = Vec::new();
    let packed = std::fs::File::open(testdata("netlab/browse-lan.pcap.gz")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut plain).unwrap();
    let pieces = split_by_time(&plain, 20);
    let files: Vec<String> = (0..pieces.len()).map(|i| format!("p{i:02}.pcap")).collect();
    files.iter().zip(&pieces).for_each(|(name, piece)| _ = home.write(name, piece));
    home.ok(&format!("ingest {} --database all/imon.db", files.join(" ")));
    for k in [1, 9, 16] {
        let database = format!("{k}/imon.db");
        home.ok(&format!("ingest {} --database {database}", files[..k].join(" ")));
        home.ok(&format!("ingest {} --database {database}", files.join(" ")));
        assert_same(&home.path(&database), &home.path("all/imon.db"), &format!("{k} pieces first"));
        home.ok(&format!("rebuild --database {database}"));
        assert_same(&home.path(&database), &home.path("all/imon.db"), &format!("{k} pieces first, rebuilt"));
    }
}

/// As many random cuts, groups and orders as the environment variable IMON_CUTS says.
#[test]
fn however_a_capture_is_cut_and_in_whatever_groups_it_is_ingested_the_books_are_one() {
    let rounds: u64 = std::env::var("IMON_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let mut plain = Vec::new();
    let packed = std::fs::File::open(testdata("netlab/browse-lan.pcap.gz")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut plain).unwrap();
    let (head, mut rest) = plain.split_at(24);
    let mut records = Vec::new();
    while rest.len() >= 16 {
        let len = 16 + u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (record, after) = rest.split_at(len);
        records.push(record);
        rest = after;
    }
    // A part is enough, and takes a part of the time.
    records.truncate(20_000);
    for round in 0..rounds {
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ (round + 1));
        let home = Home::new();
        let mut cuts: Vec<usize> = (0..1 + chance.index(19)).map(|_| 1 + chance.index(records.len() - 1)).collect();
        cuts.extend([0, records.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut files: Vec<String> = Vec::new();
        for (i, piece) in cuts.windows(2).enumerate() {
            files.push(format!("p{i:02}.pcap"));
            home.write(&files[i], &[head, &records[piece[0]..piece[1]].concat()].concat());
        }
        home.ok(&format!("ingest {} --database all/imon.db", files.join(" ")));
        let mut left = files.clone();
        for i in (1..left.len()).rev() {
            left.swap(i, chance.index(i + 1));
        }
        let mut groups = Vec::new();
        while !left.is_empty() {
            let group = left.split_off(left.len() - 1 - chance.index(left.len()));
            home.ok(&format!("ingest {} --database some/imon.db", group.join(" ")));
            groups.push(group.len());
        }
        let what = format!("round {round}: {} pieces as {groups:?}", files.len());
        assert_same(&home.path("some/imon.db"), &home.path("all/imon.db"), &what);
        home.ok("rebuild --database some/imon.db");
        assert_same(&home.path("some/imon.db"), &home.path("all/imon.db"), &format!("{what}, rebuilt"));
    }
}

#[test]
fn captures_that_overlap_in_time_are_read_side_by_side() {
    let Pieces { home, files, .. } = pieces(3);
    // Two taps on one wire, whose clocks differ by a microsecond: other packets, which moved the
    // same bytes. Who says so has them counted in each.
    let list: Vec<PathBuf> = files.iter().map(|f| home.path(f)).collect();
    for (i, path) in list.iter().enumerate() {
        let mut bytes = std::fs::read(path).unwrap();
        let mut at = 24;
        while at < bytes.len() {
            let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            let (us, len) = (word(at + 4), word(at + 8) as usize);
            bytes[at + 4..at + 8].copy_from_slice(&(us + 1).min(999_999).to_le_bytes());
            at += 16 + len;
        }
        home.write(&format!("q{i}.pcap"), &bytes);
    }
    let one = rows_and_ledger(&home.ok(&format!("report whole.pcap {ALL}"))).1;
    let both =
        rows_and_ledger(&home.ok(&format!("report {} q0.pcap q1.pcap q2.pcap {ALL} --allow-overlap", files.join(" "))))
            .1;
    assert_eq!(both["ip_bytes"].as_u64(), one["ip_bytes"].as_u64().map(|n| 2 * n));
    assert_eq!(both["named_bytes"].as_u64(), one["named_bytes"].as_u64().map(|n| 2 * n));
}

/// A pcap file so many days later, or earlier where that wraps.
fn later(pcap: &[u8], days: u32) -> Vec<u8> {
    let mut bytes = pcap.to_vec();
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut at = 24;
    while at + 16 <= bytes.len() {
        let second = word(&bytes, at).wrapping_add(days.wrapping_mul(86_400));
        bytes[at..at + 4].copy_from_slice(&second.to_le_bytes());
        at += 16 + word(&bytes, at + 8) as usize;
    }
    bytes
}

/// What pages pulled in rests on what was learned in the days before. A source that comes late
/// books the seven days after it again, with what these teach.
#[test]
fn pages_of_a_week_are_the_same_in_whatever_order_its_days_come() {
    let home = Home::in_memory();
    std::fs::create_dir_all(home.path("empty")).unwrap();
    let mut plain = Vec::new();
    let packed = std::fs::File::open(testdata("netlab/browse-lan.pcap.gz")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut plain).unwrap();
    // 2,000 days before: months that are closed.
    let files: Vec<String> = split(&plain, 120)
        .iter()
        .zip([0, 1, 6])
        .map(|(piece, day)| {
            let bytes = later(&later(piece, day), 0_u32.wrapping_sub(2_000));
            home.write(&format!("day{day}.pcap"), &bytes);
            format!("day{day}.pcap")
        })
        .collect();
    let answer = |database: &str| {
        let ask = "--from 1970-01-01 --to 2150-01-01 --by page,site,day --limit 0 --format json";
        rows_and_ledger(&home.ok(&format!("report --database {database} --spool empty {ask}")))
    };
    home.ok(&format!("ingest {} --database whole/imon.db", files.join(" ")));
    let whole = answer("whole/imon.db");
    assert!(whole.0.len() > 4, "{}", whole.0.len());
    let mut chance = Chance(support::seeded(5));
    for round in 0..2 {
        let mut order = files.clone();
        chance.shuffle(&mut order);
        let database = format!("{round}/imon.db");
        for name in &order {
            home.ok(&format!("ingest {name} --database {database}"));
        }
        assert!(answer(&database) == whole, "{order:?}");
    }
}
