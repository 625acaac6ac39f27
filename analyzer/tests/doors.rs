//! The same packets give the same books, whatever way they came: read from the file, ingested,
//! recorded first, in any order, once or twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use std::path::{Path, PathBuf};
use support::{Home, captures, netlab, rows_and_ledger};

/// All of the time that captures here are of.
const ALL: &str = "--from 1970-01-01 --to 2150-01-01 --by host --include-local --limit 0 --format json";

/// The books of a store after `ingest`.
fn of_store(home: &Home, name: &str, ingest: &[&Path]) -> (Vec<serde_json::Value>, serde_json::Value) {
    std::fs::create_dir_all(home.path("empty")).unwrap();
    for path in ingest {
        let run = home.analyze(format!("ingest {} --database {name}/imon.db", path.display()).split(' '));
        assert!(matches!(run.code, Some(0 | 3)), "{}: {}", path.display(), run.err);
    }
    rows_and_ledger(&home.ok(&format!("report --database {name}/imon.db --spool empty {ALL}")))
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == "seg"));
    found.sort();
    found
}

/// Checks every way for one capture; `false` if there is nothing in it.
fn every_way_gives_the_same(capture: &Path) -> bool {
    let (home, name) = (Home::new(), capture.display());
    let direct = home.analyze(format!("report {name} {ALL}").split(' '));
    let Some(0 | 3) = direct.code else {
        assert!(direct.err.starts_with("error: "), "{name}: {}", direct.err);
        return false;
    };
    let direct = rows_and_ledger(&direct.out);
    assert_eq!(direct.1["residual_bytes"], 0, "{name}");
    assert_eq!(of_store(&home, "ingested", &[capture]), direct, "{name} ingested");
    assert_eq!(of_store(&home, "ingested", &[capture, capture]), direct, "{name} ingested twice more");

    let packed = capture.extension().is_some_and(|e| !e.to_string_lossy().starts_with("pcap"));
    if packed {
        return true; // imon-record reads what is unpacked
    }
    let Some(recorded) = home.record(&format!("--read {name} --spool spool")) else { return true };
    assert!(matches!(recorded.code, Some(0 | 1 | 3)), "{name}: {}", recorded.err);
    let spool = home.path("spool");
    if segments(&spool).is_empty() {
        assert_eq!(direct.1["packets"], 0, "{name}: {}", recorded.err);
        return true;
    }
    let stored = home.ok(&format!("report --database recorded/imon.db --spool spool {ALL}"));
    assert_eq!(rows_and_ledger(&stored), direct, "{name} recorded, from the spool");
    let files: Vec<String> = segments(&spool).iter().map(|p| p.display().to_string()).collect();
    let in_memory = home.ok(&format!("report {} {ALL}", files.join(" ")));
    assert_eq!(rows_and_ledger(&in_memory), direct, "{name} recorded, segments read");
    let folder = home.ok(&format!("report spool {ALL}"));
    assert_eq!(rows_and_ledger(&folder), direct, "{name} recorded, folder read");
    true
}

#[test]
fn every_door_gives_the_same_books_of_small_captures() {
    let read = captures().iter().filter(|capture| every_way_gives_the_same(capture)).count();
    assert!(read >= 55, "{read} captures");
}

/// Requests for several hosts in one segment, one that goes over two, a folded Host field, and
/// connections of QUIC and DTLS on ports that were used before.
#[test]
fn every_door_tells_hosts_of_one_connection_apart() {
    let capture = support::testdata("field").join("asked-again.pcap");
    assert!(every_way_gives_the_same(&capture));
    let home = Home::new();
    let (rows, _) = rows_and_ledger(&home.ok(&format!("report {} {ALL}", capture.display())));
    let amounts: Vec<_> =
        rows.iter().map(|row| (row["host"].as_str().unwrap(), &row["up_bytes"], &row["packets"])).collect();
    // A request has its own bytes; the headers of a packet count for the first one in it.
    for (host, up_bytes, packets) in [
        ("http-a.example", 173, 4),
        ("http-b.example", 159, 0),
        ("http-c.example", 1_493, 2),
        ("http-d.example", 162, 5),
        ("quic-a.example", 2_533, 4),
        ("quic-b.example", 2_533, 4),
        ("dtls-a.example", 131, 2),
        ("dtls-b.example", 131, 2),
    ] {
        let expected = (host, &serde_json::json!(up_bytes), &serde_json::json!(packets));
        assert!(amounts.contains(&expected), "{expected:?}: {amounts:?}");
    }
    assert_eq!(amounts.len(), 8);
}

/// Three captures of one connection from one instant on, whose names differ.
#[test]
fn captures_that_begin_at_one_instant_give_the_same_books_in_memory_and_from_the_store() {
    let home = Home::new();
    let captures =
        ["any-bond.pcap.gz", "dup-a.pcap", "sni-port.pcap"].map(|name| support::testdata("field").join(name));
    let direct =
        home.ok(&format!("report {} {ALL}", captures.each_ref().map(|path| path.display().to_string()).join(" ")));
    // How a capture is kept is drawn by chance.
    for nth in 0..8 {
        let mut captures = captures.each_ref().map(PathBuf::as_path);
        captures.rotate_left(nth % 3);
        let line = captures.map(|path| path.display().to_string()).join(" ");
        home.ok(&format!("ingest {line} --database at-once-{nth}/imon.db"));
        std::fs::create_dir_all(home.path("empty")).unwrap();
        let stored = home.ok(&format!("report --database at-once-{nth}/imon.db --spool empty {ALL}"));
        assert_eq!(rows_and_ledger(&stored), rows_and_ledger(&direct), "{nth}");
    }
}

/// Captures of the same packets are among them, also under two numbers of one link type.
#[test]
fn a_folder_of_captures_gives_the_same_books_in_memory_and_from_the_store() {
    let home = Home::new();
    let folder = support::testdata("pcap");
    let run = |line: String| {
        let run = home.analyze(line.split(' '));
        assert!(matches!(run.code, Some(0 | 3)), "{line}: {}", run.err);
        run.out
    };
    std::fs::create_dir_all(home.path("empty")).unwrap();
    run(format!("ingest {} --database one/imon.db", folder.display()));
    for keys in ["source", "host,evidence,interface", "site,device"] {
        for range in ["--to 2100-01-01", "--from 1970-01-01 --to 2100-01-01", "--from 1970-01-01"] {
            let asked = format!("{range} --by {keys} --include-local --limit 0 --json");
            let direct = run(format!("report {} {asked}", folder.display()));
            let stored = run(format!("report --database one/imon.db --spool empty {asked}"));
            let (direct, stored) = (rows_and_ledger(&direct), rows_and_ledger(&stored));
            assert!(direct.0.len() >= 3, "{asked}: {direct:?}");
            assert_eq!(stored, direct, "{asked}");
        }
    }
}

#[test]
fn every_door_gives_the_same_books_of_what_users_met() {
    let found = std::fs::read_dir(support::testdata("field")).unwrap().map(|entry| entry.unwrap().path());
    let captures: Vec<_> = found.filter(|path| path.extension().is_some_and(|e| e == "pcap")).collect();
    assert!(captures.len() >= 9 && captures.iter().all(|capture| every_way_gives_the_same(capture)));
}

#[test]
fn every_door_gives_the_same_books_of_real_browsers() {
    let Some(packed) = netlab("browse-lan-slim.pcap.gz") else { return };
    let home = Home::new();
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap()), &mut plain)
        .unwrap();
    assert!(every_way_gives_the_same(&home.write("browse.pcap", &plain)));
}

#[test]
fn neither_rotation_nor_ingest_piece_by_piece_changes_a_book() {
    let Some(packed) = netlab("browse-lan-slim.pcap.gz") else { return };
    let home = Home::new();
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap()), &mut plain)
        .unwrap();
    home.write("browse.pcap", &plain);
    let direct = rows_and_ledger(&home.ok(&format!("report browse.pcap {ALL}")));
    let Some(recorded) = home.record("--read browse.pcap --spool spool --rotate-every 1s") else { return };
    assert_eq!(recorded.code, Some(0), "{}", recorded.err);
    let files = segments(&home.path("spool"));
    assert!(files.len() >= 15, "{files:?}");
    assert_eq!(rows_and_ledger(&home.ok(&format!("report spool {ALL}"))), direct);
    assert_eq!(rows_and_ledger(&home.ok(&format!("report --database at-once/imon.db --spool spool {ALL}"))), direct);
    // Piece by piece, as while recording, and the other way round: attribution is a pure function
    // of the facts.
    let pieces: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    for (name, order) in [("forward", pieces.clone()), ("backward", pieces.into_iter().rev().collect())] {
        assert_eq!(of_store(&home, name, &order), direct, "{name}");
    }
}

#[test]
fn the_order_of_sources_and_repetition_change_nothing_in_the_store() {
    let home = Home::new();
    let (a, b) = (support::testdata("pcap/us-le.pcap"), support::testdata("pcap/ng-many-link-types.pcapng"));
    for (name, order) in [("ab", vec![&a, &b]), ("ba", vec![&b, &a]), ("aba", vec![&a, &b, &a, &b, &b])] {
        for path in order {
            home.ok(&format!("ingest {} --database {name}/imon.db", path.display()));
        }
    }
    // Which of two sources of the same second taught a habit goes by the order.
    let contents = |name: &str| {
        let mut lines = support::contents::contents(&home.path(&format!("{name}/imon.db")));
        lines.retain(|line| !line.starts_with("habit: "));
        lines
    };
    let first = contents("ab");
    assert!(first.len() >= 8, "{first:#?}");
    assert_eq!(contents("ba"), first);
    assert_eq!(contents("aba"), first);
}

#[test]
fn a_source_ingested_under_another_name_or_compressed_is_known_by_what_it_holds() {
    let home = Home::new();
    let capture = support::testdata("pcap/us-le.pcap");
    let copy = home.write("copy.pcap", &std::fs::read(&capture).unwrap());
    let once = of_store(&home, "one", &[&capture]);
    assert_eq!(of_store(&home, "one", &[&copy]), once);
}

#[test]
fn a_segment_that_grows_is_booked_up_to_where_it_is_and_in_the_end_whole() {
    let home = Home::new();
    let capture = match netlab("offload-on.pcap.gz") {
        Some(path) => path,
        None => support::testdata("pcap/us-le.pcap.gz"),
    };
    home.ok(&format!("ingest {} --database kept/imon.db", capture.display()));
    let whole = std::fs::read(&segments(&home.path("kept/captures"))[0]).unwrap();
    let steps = 12;
    let mut before = 0;
    for step in 1..=steps {
        let part = home.write("spool/x.part", &whole[..whole.len() * step / steps]);
        let run = home.analyze(format!("report --database grown/imon.db --spool spool {ALL}").split(' '));
        if run.code == Some(1) {
            assert!(part.metadata().unwrap().len() < 200, "{}", run.err);
            continue;
        }
        let (_, ledger) = rows_and_ledger(&run.out);
        assert_eq!(ledger["residual_bytes"], 0);
        let bytes = ledger["ip_bytes"].as_u64().unwrap();
        assert!(bytes >= before, "{bytes} after {before}");
        before = bytes;
    }
    std::fs::rename(home.path("spool/x.part"), home.path("spool/x.seg")).unwrap();
    let stored = home.ok(&format!("report --database grown/imon.db --spool spool {ALL}"));
    let direct = home.ok(&format!("report {} {ALL}", capture.display()));
    assert_eq!(rows_and_ledger(&stored), rows_and_ledger(&direct));
    let status = home.ok("status --database grown/imon.db --spool spool --format json");
    assert!(status.contains("\"sealed\"") && !status.contains("\"open\""), "{status}");
}

#[test]
fn a_kept_capture_is_not_booked_again_as_a_segment() {
    let home = Home::new();
    let capture = support::testdata("pcap/us-le.pcap");
    let direct = rows_and_ledger(&home.ok(&format!("report {} {ALL}", capture.display())));
    // Nothing is named: the database and its captures lie in the folder that is also the user's
    // spool.
    home.ok(&format!("ingest {}", capture.display()));
    let kept = home.path(".local/state/imon/captures");
    assert_eq!(segments(&kept).len(), 1);
    assert_eq!(rows_and_ledger(&home.ok(&format!("report {ALL}"))), direct);
    // Named, it is known as the capture that it was.
    home.ok(&format!("ingest {}", kept.display()));
    home.ok(&format!("ingest {}", segments(&kept)[0].display()));
    assert_eq!(rows_and_ledger(&home.ok(&format!("report {ALL}"))), direct);
}

#[test]
fn two_recorders_with_one_identity_are_reported() {
    use imon_common::segment::SegmentWriter;
    let home = Home::new();
    let segment = |name: &str, id: u8, recorder: u8, sequence| {
        let start = UnixNanos(1_793_491_200_000_000_000 + i64::from(id) * 1_000_000_000);
        let header = support::segment_header([id; 16], [recorder; 16], sequence, start);
        let header = SegmentHeader { run: [id; 16], monotonic_start_ns: 5, ..header };
        let bytes = SegmentWriter::create(Vec::new(), &header).unwrap().finish().unwrap().0;
        home.write(&format!("spool/{name}.seg"), &bytes)
    };
    for (name, id, recorder, sequence) in [("a", 1, 7, 0), ("b", 2, 7, 1), ("other", 3, 8, 1)] {
        segment(name, id, recorder, sequence);
    }
    let all = home.path("spool").to_string_lossy().into_owned();
    let said = |args: &[&str]| home.analyze(args).err;
    assert!(!said(&["report", &all]).contains("one place"));
    assert!(!said(&["ingest", &all]).contains("one place"));
    segment("clone", 4, 7, 1);
    for args in [["report", &all], ["ingest", &all]] {
        let said = said(&args);
        assert!(said.contains("b.seg") && said.contains("clone.seg") && said.contains("recorder.id"), "{said}");
    }
}

/// The same packets as pcapng with a name for the interface, and compressed.
fn in_other_files(home: &Home, packets: &[(u64, Vec<u8>)]) -> Vec<String> {
    let pcap = support::pcap(packets);
    let block = |kind: u32, body: &[u8]| {
        let padded = [body, &vec![0; body.len().wrapping_neg() % 4]].concat();
        let len = (12 + padded.len()) as u32;
        [&kind.to_le_bytes()[..], &len.to_le_bytes(), &padded, &len.to_le_bytes()].concat()
    };
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let interface = [&[1, 0, 0, 0][..], &[0; 4], &[2, 0, 4, 0], b"eth0", &[0; 4]].concat();
    let mut ng = [block(0x0a0d_0d0a, &section), block(1, &interface)].concat();
    for (at_us, bytes) in packets {
        let mut body = [0_u32, (at_us >> 32) as u32, *at_us as u32, bytes.len() as u32, bytes.len() as u32]
            .map(u32::to_le_bytes)
            .concat();
        body.extend(bytes);
        ng.extend(block(6, &body));
    }
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gz, &pcap).unwrap();
    let files = [("a.pcap", pcap), ("a.pcapng", ng), ("b.pcap.gz", gz.finish().unwrap())];
    files.iter().map(|(name, bytes)| home.write(name, bytes).to_string_lossy().into_owned()).collect()
}

#[test]
fn the_same_packets_in_several_files_count_once() {
    let home = Home::new();
    let packet =
        |n: u64| (1_000_000 + n, support::udp(([192, 168, 1, 5], 4_000), ([203, 0, 113, 9], 5_000), &[n as u8; 90]));
    let packets: Vec<_> = (0..20).map(packet).collect();
    let files = in_other_files(&home, &packets);
    let reported = home.analyze(["report", "--format", "json"].into_iter().chain(files.iter().map(String::as_str)));
    assert_eq!(reported.code, Some(0));
    assert_eq!(rows_and_ledger(&reported.out).1["ip_bytes"], 20 * 118);
    assert_eq!(reported.err.matches("the same packets").count(), 2, "{}", reported.err);
    // Together, and one by one; what was pruned does not come back in another file.
    let all = files.join(" ");
    let ingest = |what: &str| home.analyze(format!("ingest {what} --database a/imon.db").split_whitespace());
    assert!(ingest(&all).err.contains("ingested 1 source with 20 packets; 2 known already"));
    for file in &files {
        assert!(ingest(file).err.contains("ingested 0 sources with 0 packets; 1 known already"), "{file}");
    }
    let of_store = |options: &str| home.ok(&format!("report --database a/imon.db --spool a {options} --format json"));
    assert_eq!(rows_and_ledger(&of_store("--from 1970-01-01")).1["ip_bytes"], 20 * 118);
    home.ok("prune --database a/imon.db --before 2020-01-01");
    assert!(ingest(&files[1]).err.contains("1 known already"));
    // With one packet more it is the same capture, which has grown.
    let longer = home.write("longer.pcap", &support::pcap(&[packets, vec![packet(20)]].concat()));
    let both = home.analyze(["report", "--format", "json", &files[0], &longer.to_string_lossy()]);
    assert_eq!(rows_and_ledger(&both.out).1["ip_bytes"], 21 * 118);
}

/// Some systems write raw IP under another number: what tells packets apart is the packets.
#[test]
fn the_same_packets_under_two_numbers_of_one_link_type_count_once_and_every_door_says_so() {
    let home = Home::new();
    let pair =
        ["raw.pcap", "raw-as-dlt-12.pcap"].map(|name| support::testdata("pcap").join(name).display().to_string());
    let direct = home.analyze(format!("report {} {ALL}", pair.join(" ")).split(' '));
    assert!(direct.err.contains("raw.pcap holds the same packets as "), "{}", direct.err);
    let direct = rows_and_ledger(&direct.out);
    assert_eq!((&direct.1["packets"], &direct.1["copies_packets"]), (&3.into(), &0.into()));
    let [one, other] = &pair;
    let steps = [vec![pair.join(" ")], vec![one.clone(), other.clone()], vec![other.clone(), one.clone()]];
    for (nth, steps) in steps.iter().enumerate() {
        let ingest = |what: &String| {
            let run = home.analyze(format!("ingest {what} --database {nth}/imon.db").split(' '));
            assert_eq!(run.code, Some(0), "{}", run.err);
            run.err
        };
        let told: String = steps.iter().map(ingest).collect();
        assert_eq!(told.matches(" holds the same packets as ").count(), 1, "{steps:?}: {told}");
        assert!(told.contains("1 known already"), "{told}");
        std::fs::create_dir_all(home.path("empty")).unwrap();
        let stored = home.ok(&format!("report --database {nth}/imon.db --spool empty {ALL}"));
        assert_eq!(rows_and_ledger(&stored), direct, "{steps:?}");
        // What is known already under its own name is no copy.
        let again = ingest(steps.first().unwrap());
        assert_eq!(again.contains(" holds "), steps.len() == 1, "{again}");
    }
}

#[test]
fn the_capture_that_came_twice_counts_once() {
    let home = Home::new();
    let files = ["dup-a.pcap", "dup-a.pcap.gz"].map(|name| support::testdata(&format!("field/{name}")));
    let [plain, packed] = files.map(|path| path.to_string_lossy().into_owned());
    let (_, ledger) = rows_and_ledger(&home.ok(&format!("report {plain} {packed} --format json")));
    assert_eq!(ledger["ip_bytes"], 29_875);
    let (_, ledger) = of_store(&home, "a", &[Path::new(&plain), Path::new(&packed)]);
    assert_eq!(ledger["ip_bytes"], 29_875);
}

#[test]
fn a_loss_beyond_any_bound_is_written_as_it_is_read() {
    let home = Home::new();
    let capture = support::testdata("field/bound-mismatch.pcap");
    let (_, ledger) = rows_and_ledger(&home.ok(&format!("report {} --format json", capture.display())));
    assert_eq!(ledger["residual_bytes"], 0);
    let Some(run) = home.record(&format!("--read {} --spool spool", capture.display())) else { return };
    assert_eq!(run.code, Some(0), "{}", run.err);
    let checked = home.ok("check spool");
    assert!(checked.contains("sealed") && !checked.contains("damage"), "{checked}");
}
