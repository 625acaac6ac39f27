//! A recorder writes what it has of an interval before that is over. The books are those of whole
//! intervals.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use imon_common::capture_file::CaptureReader;
use imon_common::observe::{Meter, MeterConfig, Observer as _};
use imon_common::segment::SegmentWriter;
use imon_common::time::UnixNanos;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use support::{Home, captures, rows_and_ledger, segment_header, testdata};

/// The segment that a recorder would write of a capture; saved whenever the oldest that is in no
/// file is so old.
fn segment(capture: &Path, save_after_ns: Option<i64>) -> (Vec<u8>, u32) {
    let file = File::open(capture).unwrap();
    let plain: Box<dyn Read> = match capture.extension().is_some_and(|e| e == "gz") {
        true => Box::new(flate2::read::MultiGzDecoder::new(file)),
        false => Box::new(file),
    };
    let Ok(mut reader) = CaptureReader::new(plain) else { return (Vec::new(), 0) };
    let mut meter = Meter::new(MeterConfig::default());
    let mut writer = None;
    let (mut unsaved, mut saves, mut told) = (None::<UnixNanos>, 0, 0);
    while let Ok(Some(packet)) = reader.next_packet() {
        let writer = writer.get_or_insert_with(|| {
            let header = segment_header([1; 16], [2; 16], 0, packet.ts);
            SegmentWriter::create(Vec::new(), &header).unwrap()
        });
        meter.packet(&packet, writer).unwrap();
        let since = *unsaved.get_or_insert(packet.ts);
        if save_after_ns.is_some_and(|after| packet.ts.since(since) >= after) {
            if meter.save(writer).unwrap() {
                writer.recorded_to(packet.ts);
                writer.commit().unwrap();
                saves += 1;
            }
            unsaved = None;
        }
        while let Some(interface) = reader.interfaces().get(told as usize) {
            writer.interface(told, interface).unwrap();
            told += 1;
            if told > 1 {
                meter.expect_copies();
            }
        }
    }
    let Some(mut writer) = writer else { return (Vec::new(), 0) };
    meter.flush(&mut writer).unwrap();
    (writer.finish().unwrap().0, saves)
}

#[test]
fn what_is_saved_in_the_middle_of_an_interval_changes_no_figure() {
    let (mut saved, mut lengths) = (0, (0, 0));
    // A few with much in them; the rest is seconds long.
    let captures = captures().into_iter().filter(|path| path.metadata().is_ok_and(|about| about.len() > 8_000)).take(6);
    for capture in captures.chain([testdata("netlab/browse-lan.pcap.gz")]) {
        let (whole, _) = segment(&capture, None);
        let (parts, saves) = segment(&capture, Some(300_000_000));
        if saves == 0 {
            continue;
        }
        saved += saves;
        lengths = (lengths.0 + whole.len(), lengths.1 + parts.len());
        let home = Home::in_memory();
        home.write("whole.seg", &whole);
        home.write("parts.seg", &parts);
        for by in ["host", "page"] {
            let all = format!("--from 1970-01-01 --to 2150-01-01 --by {by} --include-local --limit 0 --format json");
            let books = |name: &str| rows_and_ledger(&home.ok(&format!("report {name}.seg {all}")));
            assert_eq!(books("parts"), books("whole"), "{} by {by}", capture.display());
        }
    }
    eprintln!("{saved} saves; {} bytes as a whole, {} in parts", lengths.0, lengths.1);
    assert!(saved > 20, "{saved}");
}
