//! The chain of a recorder's segments: what `check` finds, and what only a hash that was said
//! elsewhere can show.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use imon_common::observe::{Count, Counter, Observer as _};
use imon_common::segment::{SegmentHeader, SegmentWriter};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use sha2::{Digest as _, Sha256};
use support::{Home, Run, segment_header, testdata};

const START: i64 = 1_790_000_100;

/// Five segments of one recorder, of which the third was not sealed.
fn segments(packets: u64) -> Vec<Vec<u8>> {
    let (mut all, mut before, mut before_hash) = (Vec::new(), [0; 16], [0; 32]);
    for sequence in 0..5_u64 {
        let start = UnixNanos((START + sequence as i64 * 10) * NANOS_PER_SECOND);
        let header = SegmentHeader {
            before,
            before_hash,
            boot: [9; 16],
            monotonic_start_ns: 7,
            ..segment_header([sequence as u8 + 1; 16], [0xaa; 16], sequence, start)
        };
        let mut writer = SegmentWriter::create(Vec::new(), &header).unwrap();
        writer.counts(start, &[Count { counter: Counter::KernelReceived, packets, bytes: 0 }]).unwrap();
        writer.commit().unwrap();
        let is_sealed = sequence != 2;
        let bytes = if is_sealed { writer.finish().unwrap().0 } else { writer.get_ref().clone() };
        before = header.segment;
        before_hash = if is_sealed { Sha256::digest(&bytes).into() } else { [0; 32] };
        all.push(bytes);
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// `check` of these segments, by their place, with more arguments.
fn check(files: &[(usize, Vec<u8>)], more: &str) -> (Run, Vec<String>) {
    let home = Home::new();
    for (place, bytes) in files {
        home.write(&format!("spool/{place}.seg"), bytes);
    }
    let run = home.analyze(format!("check spool {more}").split_whitespace());
    let json = home.analyze(format!("check spool --format json {more}").split_whitespace());
    assert_eq!(json.code, run.code);
    let link =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["link"].as_str().unwrap().to_owned();
    let links = json.out.lines().map(link).collect();
    (run, links)
}

fn without(places: &[usize]) -> Vec<(usize, Vec<u8>)> {
    segments(1).into_iter().enumerate().filter(|(place, _)| !places.contains(place)).collect()
}

#[test]
fn a_whole_chain_hangs_by_hashes_and_by_name_where_a_segment_was_not_sealed() {
    let (run, links) = check(&without(&[]), "");
    assert_eq!((run.code, links.join(" ").as_str()), (Some(0), "first hash hash name hash"), "{}", run.out);
    let head = hex(&Sha256::digest(&segments(1)[4]));
    for line in [
        "chain of recorder aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa: 5 segments, numbers 0 to 4",
        "  links        3 by hash, 1 by name only",
        "  by name      number 3 has no hash of number 2, which was not sealed",
        &format!("  head         number 4, SHA-256 {head}"),
        "  proves       that these files fit together, and no more:",
    ] {
        assert!(run.out.contains(line), "{line}\n{}", run.out);
    }
}

#[test]
fn an_edited_segment_breaks_the_link_also_where_its_own_checksums_were_put_right() {
    // The same segment with another count in it, well made.
    let mut files = without(&[]);
    files[1].1 = segments(2)[1].clone();
    let (run, links) = check(&files, "");
    assert_eq!((run.code, links.join(" ").as_str()), (Some(3), "first changed changed name hash"), "{}", run.out);
    assert!(
        run.out.contains("broken       number 1 is not what number 2 names: one of the two was changed"),
        "{}",
        run.out
    );
    // A byte behind the end of a sealed segment, which no reader of records minds.
    let mut files = without(&[]);
    files[3].1.push(0);
    let (run, links) = check(&files, "");
    assert_eq!((run.code, links[4].as_str()), (Some(3), "changed"), "{}", run.out);
}

#[test]
fn another_segment_in_the_place_of_one_is_no_link() {
    let other = SegmentHeader {
        before: [1; 16],
        boot: [9; 16],
        monotonic_start_ns: 7,
        ..segment_header([77; 16], [0xaa; 16], 1, UnixNanos((START + 10) * NANOS_PER_SECOND))
    };
    let mut files = without(&[]);
    files[1].1 = SegmentWriter::create(Vec::new(), &other).unwrap().finish().unwrap().0;
    let (run, links) = check(&files, "");
    assert_eq!((run.code, links.join(" ").as_str()), (Some(3), "first name exchanged name hash"), "{}", run.out);
    // Two files with their names exchanged are as they were: names are nothing.
    let mut files = without(&[]);
    let (one, two) = (files[0].1.clone(), files[1].1.clone());
    (files[0].1, files[1].1) = (two, one);
    let (run, links) = check(&files, "");
    assert_eq!((run.code, links.join(" ").as_str()), (Some(0), "hash first hash name hash"), "{}", run.out);
}

#[test]
fn a_removed_middle_is_seen_and_a_removed_tail_only_by_a_hash_that_was_said() {
    let (run, links) = check(&without(&[1]), "");
    assert_eq!((run.code, links.join(" ").as_str()), (Some(3), "first not-given name hash"), "{}", run.out);
    assert!(run.out.contains("missing      number 1 is not among these files"), "{}", run.out);
    // The first ones go by the budget: no fault, and the hash of the last of them is known.
    let (run, _) = check(&without(&[0, 1, 2, 3]), "");
    let before = hex(&Sha256::digest(&segments(1)[3]));
    assert_eq!(run.code, Some(0), "{}", run.out);
    assert!(
        run.out.contains(&format!("begins       with number 4; the one before it had the SHA-256 {before}")),
        "{}",
        run.out
    );
    let said = |place: usize| hex(&Sha256::digest(&segments(1)[place]));
    let (run, _) = check(&without(&[4]), "");
    assert_eq!(run.code, Some(0), "the files fit together: {}", run.out);
    let (run, _) = check(&without(&[4]), &format!("--anchor {}", said(4)));
    assert_eq!(run.code, Some(3));
    assert!(run.out.contains("of none of these files: the segment that had it is gone, or was changed"), "{}", run.out);
    let (run, _) = check(&without(&[]), &format!("--anchor {} --anchor {}", said(4), said(1)));
    assert_eq!(run.code, Some(0), "{}", run.out);
    // Who writes all of it anew makes a chain as good as any; only what was said before knows.
    let forged: Vec<_> = segments(2).into_iter().enumerate().collect();
    assert_eq!(check(&forged, "").0.code, Some(0));
    assert_eq!(check(&forged, &format!("--anchor {}", said(4))).0.code, Some(3));
    for wrong in ["12", "x", &"g".repeat(64)] {
        assert_eq!(check(&without(&[]), &format!("--anchor {wrong}")).0.code, Some(2), "{wrong}");
    }
}

#[test]
fn a_number_that_was_never_written_is_no_hole() {
    let mut files = without(&[1]);
    let says = |sequence: u64, counter: Counter| {
        let start = UnixNanos((START + sequence as i64 * 10) * NANOS_PER_SECOND);
        let header = SegmentHeader {
            before: [2; 16],
            boot: [9; 16],
            monotonic_start_ns: 7,
            ..segment_header([3; 16], [0xaa; 16], sequence, start)
        };
        let mut writer = SegmentWriter::create(Vec::new(), &header).unwrap();
        writer.counts(start, &[Count { counter, packets: 1, bytes: 0 }]).unwrap();
        writer.commit().unwrap();
        writer.get_ref().clone()
    };
    files[1].1 = says(2, Counter::NeverWritten(1));
    assert_eq!(check(&files, "").0.code, Some(0));
    files[1].1 = says(2, Counter::NeverWritten(7));
    assert_eq!(check(&files, "").0.code, Some(3));
}

#[test]
fn what_imon_record_writes_is_a_chain_and_kept_captures_are_none() {
    let home = Home::new();
    let capture = home.write("browse.pcap.gz", &std::fs::read(testdata("netlab/browse-lan.pcap.gz")).unwrap());
    let plain = home.path("browse.pcap");
    let packed = std::fs::File::open(&capture).unwrap();
    std::io::copy(&mut flate2::read::GzDecoder::new(packed), &mut std::fs::File::create(&plain).unwrap()).unwrap();
    let Some(recorded) = home.record("--read browse.pcap --spool spool --rotate-every 1s") else { return };
    assert_eq!(recorded.code, Some(0), "{}", recorded.err);
    home.record("--read browse.pcap --spool spool --rotate-every 2s").unwrap();
    let lines = home.ok("check spool --format json");
    let links: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["link"].as_str().unwrap().to_owned())
        .collect();
    assert!(links.len() > 3, "{lines}");
    assert_eq!(links.iter().filter(|link| *link == "first").count(), 1, "{links:?}");
    assert_eq!(links.iter().filter(|link| *link == "hash").count(), links.len() - 1, "over two runs: {links:?}");
    home.ok("ingest browse.pcap --database imon.db");
    let kept = home.ok("check captures");
    assert!(kept.contains("SHA-256") && !kept.contains("chain of recorder"), "{kept}");
}
