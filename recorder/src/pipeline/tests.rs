//! A disk that is full, and has room again. Root only, for a small file system of the test's own;
//! else each says that it was skipped.

mod keeping;
mod slow;

use super::*;
use crate::rotate::{Retention, Rotation};
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Counter, GapReason, Usage};
use imon_common::packet::LinkType;
use imon_common::segment::{SegmentEnd, SegmentHeader, SegmentReader};
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const SECOND: i64 = 1_000_000_000;

/// A tmpfs of 256 KiB and 12 files, and a file in it that takes all the room that was left.
struct SmallDisk {
    home: TempDir,
}

impl SmallDisk {
    fn new() -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k,nr_inodes=12", "none"]).arg(home.path());
        if !mount.output().is_ok_and(|o| o.status.success()) {
            eprintln!("skipped: cannot mount a tmpfs (needs root)");
            return None;
        }
        Some(Self { home })
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        while io::Write::write(&mut filler, &[0; 1024]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(self.path()).output();
    }
}

/// What all segments hold together.
#[derive(Default)]
struct Books {
    usage: Usage,
    flows: HashSet<u64>,
    gaps: Vec<(i64, u64)>,
}

impl Observer for Books {
    type Error = std::convert::Infallible;
    fn name(&mut self, _: &Flow, _: &NameSeen) -> Result<(), Self::Error> {
        Ok(())
    }
    fn usage(&mut self, flow: &Flow, _: UnixNanos, usage: Usage) -> Result<(), Self::Error> {
        self.usage.add(usage);
        self.flows.insert(flow.number);
        Ok(())
    }
    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Self::Error> {
        let gaps = counts.iter().filter(|c| c.counter == Counter::Gap(GapReason::NoSpace));
        self.gaps.extend(gaps.map(|c| (ts.0 / SECOND, c.bytes / SECOND as u64)));
        Ok(())
    }
}

fn books(spool: &Path) -> Books {
    let mut books = Books::default();
    for entry in spool.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "seg") {
            let report = SegmentReader::open(File::open(&path).unwrap()).unwrap().read(&mut books).unwrap();
            assert!(matches!(report.end, SegmentEnd::Sealed { .. }), "{}: {:?}", path.display(), report.end);
        }
    }
    books
}

fn pipeline(spool: &Path, waiting_bytes: usize) -> Pipeline {
    let plan = Plan {
        interface: "test0".into(),
        link_type: LinkType(101),
        local: LocalNets::default(),
        interval_ns: SECOND,
        boot: [0; 16],
        rotation: Rotation { size_bytes: 1 << 20, every: Duration::from_secs(3600) },
        retention: Some(Retention { size_bytes: 1 << 30, age: Duration::from_secs(1 << 30) }),
        waiting_bytes,
    };
    let mut pipeline = Pipeline::new(Spool::open(spool, None).unwrap(), plan).unwrap();
    pipeline.begin(moment(0)).unwrap();
    pipeline
}

fn moment(second: i64) -> Moment {
    Moment { wall: UnixNanos(second * SECOND), steady_ns: second * SECOND }
}

/// A second in which 100 flows send a datagram each, and its end.
fn second(pipeline: &mut Pipeline, second: i64) {
    try_second(pipeline, second).unwrap();
}

/// The same, where the disk may fail: how quick it is decides which call says so.
fn try_second(pipeline: &mut Pipeline, second: i64) -> Result<(), Error> {
    for n in 0..100_u8 {
        let [hi, lo] = u16::try_from(second).unwrap().to_be_bytes();
        let data =
            [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 168, hi, lo, 198, 51, 100, n, 99, n, 0, 9, 0, 8, 0, 0];
        let packet = CapturedPacket {
            ts: moment(second).wall,
            orig_len: 28,
            link_type: LinkType(101),
            interface: 0,
            data: &data,
        };
        pipeline.packet(&packet)?;
    }
    pipeline.tick(moment(second + 1).wall)?;
    pipeline.commit(moment(second + 1))
}

/// Headers and counts of the segments in a spool, by their sequence, with the SHA-256 of their
/// bytes.
fn chain(spool: &Path) -> Vec<(SegmentHeader, Vec<Count>, [u8; 32])> {
    struct Counts(Vec<Count>);
    impl Observer for Counts {
        type Error = std::convert::Infallible;
        fn name(&mut self, _: &Flow, _: &NameSeen) -> Result<(), Self::Error> {
            Ok(())
        }
        fn usage(&mut self, _: &Flow, _: UnixNanos, _: Usage) -> Result<(), Self::Error> {
            Ok(())
        }
        fn counts(&mut self, _: UnixNanos, counts: &[Count]) -> Result<(), Self::Error> {
            self.0.extend(counts);
            Ok(())
        }
    }
    let mut chain = Vec::new();
    for path in spool.read_dir().unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|e| e == "seg" || e == "part") {
            let bytes = fs::read(&path).unwrap();
            let Ok(reader) = SegmentReader::open(bytes.as_slice()) else { continue };
            let (header, mut counts) = (reader.header().clone(), Counts(Vec::new()));
            reader.read(&mut counts).unwrap();
            chain.push((header, counts.0, Sha256::digest(&bytes).into()));
        }
    }
    chain.sort_by_key(|(header, ..)| header.sequence);
    chain
}

#[test]
fn each_segment_names_the_one_before_with_its_hash_over_runs_and_only_by_name_if_it_was_not_sealed() {
    let home = tempfile::tempdir().unwrap();
    let mut first = pipeline(home.path(), 0);
    second(&mut first, 0);
    first.rotate(moment(1)).unwrap();
    first.seal_last(moment(2).wall).unwrap();
    drop(first);
    let mut killed = pipeline(home.path(), 0);
    second(&mut killed, 3);
    drop(killed);
    let mut last = pipeline(home.path(), 0);
    last.seal_last(moment(9).wall).unwrap();
    let chain = chain(home.path());
    let links: Vec<_> = chain.iter().map(|(header, ..)| (header.before, header.before_hash)).collect();
    let of = |n: usize| (chain[n].0.segment, chain[n].2);
    assert_eq!(links, [([0; 16], [0; 32]), of(0), of(1), (chain[2].0.segment, [0; 32])]);
}

#[test]
fn what_is_removed_to_keep_to_the_budget_is_said_in_the_segment_that_is_open_then() {
    let home = tempfile::tempdir().unwrap();
    let mut pipeline = pipeline(home.path(), 0);
    for n in 0..5 {
        second(&mut pipeline, n);
        pipeline.rotate(moment(n + 1)).unwrap();
    }
    fs::write(home.path().join("notes.seg"), "not ours").unwrap();
    pipeline.plan.retention = Some(Retention { size_bytes: 0, age: Duration::from_secs(1 << 30) });
    pipeline.make_room(moment(6));
    pipeline.settle(moment(6)).unwrap();
    pipeline.seal(moment(6).wall).unwrap();
    let chain = chain(home.path());
    let [(header, counts, _)] = chain.as_slice() else { panic!("{chain:?}") };
    let said: Vec<_> =
        counts.iter().filter(|c| matches!(c.counter, Counter::Removed(_))).map(|c| (c.counter, c.packets)).collect();
    assert_eq!((header.sequence, said), (5, vec![(Counter::Removed(0), 5)]));
}

#[test]
fn what_waits_for_room_is_written_as_if_nothing_had_happened() {
    let Some(disk) = SmallDisk::new() else { return };
    let mut pipeline = pipeline(disk.path(), 1 << 20);
    (0..3).for_each(|s| second(&mut pipeline, s));
    disk.fill();
    (3..20).for_each(|s| second(&mut pipeline, s));
    assert!(pipeline.waiting_bytes() > 10_000);
    pipeline.rotate(moment(20)).unwrap(); // put off
    disk.free();
    (20..23).for_each(|s| second(&mut pipeline, s));
    assert_eq!(pipeline.waiting_bytes(), 0);
    assert!(pipeline.rotation_due(23 * SECOND));
    pipeline.rotate(moment(23)).unwrap();
    assert!(!pipeline.rotation_due(23 * SECOND));
    second(&mut pipeline, 23);
    pipeline.seal(moment(24).wall).unwrap();
    let books = books(disk.path());
    assert_eq!((books.usage.packets(), books.flows.len(), pipeline.sealed_segments()), (2_400, 2_400, 2));
    assert_eq!(books.gaps, []);
}

#[test]
fn beyond_the_bound_totals_are_kept_and_the_loss_of_detail_is_stated() {
    let Some(disk) = SmallDisk::new() else { return };
    const LIMIT: usize = 20_000;
    let mut pipeline = pipeline(disk.path(), LIMIT);
    second(&mut pipeline, 0);
    disk.fill();
    for s in 1..200 {
        second(&mut pipeline, s);
        assert!(pipeline.waiting_bytes() < LIMIT + 64 * 1024);
    }
    disk.free();
    (200..210).for_each(|s| second(&mut pipeline, s));
    pipeline.seal(moment(210).wall).unwrap();
    let books = books(disk.path());
    // No packet is missing; most flows are one.
    assert_eq!((books.usage.packets(), books.usage.bytes()), (21_000, 21_000 * 28));
    assert!((1_000..10_000).contains(&books.flows.len()), "{}", books.flows.len());
    let [(from, length)] = books.gaps.as_slice() else { panic!("{:?}", books.gaps) };
    assert!((2..30).contains(from) && (200..=202).contains(&(*from as u64 + length)), "{:?}", books.gaps);
}

#[test]
fn what_never_finds_room_is_an_error_and_the_rest_is_readable() {
    let Some(disk) = SmallDisk::new() else { return };
    let mut pipeline = pipeline(disk.path(), 1 << 20);
    (0..3).for_each(|s| second(&mut pipeline, s));
    disk.fill();
    (3..20).for_each(|s| second(&mut pipeline, s));
    let error = pipeline.seal(moment(20).wall).unwrap_err().to_string();
    assert!(error.contains("bytes of records") && error.contains("--keep-size"), "{error}");
    drop(pipeline);
    let adopted = Spool::open(disk.path(), None).unwrap().adopt_leftovers().unwrap();
    let mut books = Books::default();
    let file = File::open(disk.path().join(adopted.first().unwrap())).unwrap();
    let report = SegmentReader::open(file).unwrap().read(&mut books).unwrap();
    assert!(matches!(report.end, SegmentEnd::Open { .. } | SegmentEnd::Torn { .. }), "{:?}", report.end);
    assert!(books.usage.packets() >= 300);
}

#[test]
fn the_oldest_segments_go_first_when_the_budget_is_exceeded() {
    let Some(disk) = SmallDisk::new() else { return };
    let mut before = pipeline(disk.path(), 1 << 20);
    (0..40).for_each(|s| second(&mut before, s));
    before.seal(moment(40).wall).unwrap();
    drop(before);
    // As large, and not ours: it stays.
    fs::write(disk.path().join("foreign.seg"), vec![0; 50_000]).unwrap();
    let mut pipeline = pipeline(disk.path(), 1 << 20);
    // All sealed segments are beyond the budget, whose least is one open segment.
    pipeline.plan.retention = Some(Retention { size_bytes: 0, age: Duration::from_secs(1 << 30) });
    disk.fill();
    (40..45).for_each(|s| second(&mut pipeline, s));
    assert_eq!(pipeline.waiting_bytes(), 0);
    assert_eq!((pipeline.keeping.summary().removed_for_room, disk.path().join("foreign.seg").exists()), (1, true));
}

/// Files until there is no room for another.
fn use_up_files(disk: &SmallDisk) -> Vec<PathBuf> {
    (0..).map(|n| disk.path().join(format!("x{n}"))).take_while(|p| File::create(p).is_ok()).collect()
}

#[test]
fn a_first_segment_that_cannot_even_be_made_is_made_later() {
    let Some(disk) = SmallDisk::new() else { return };
    drop(pipeline(disk.path(), 1 << 20)); // its identity is kept
    let more = use_up_files(&disk);
    let mut pipeline = pipeline(disk.path(), 1 << 20);
    (1..5).for_each(|s| second(&mut pipeline, s));
    assert!(pipeline.waiting_bytes() > 0);
    more.iter().for_each(|path| fs::remove_file(path).unwrap());
    (5..9).for_each(|s| second(&mut pipeline, s));
    assert_eq!(pipeline.waiting_bytes(), 0);
    pipeline.seal(moment(9).wall).unwrap();
    assert_eq!(books(disk.path()).usage.packets(), 800);
}

#[test]
fn a_segment_goes_on_as_long_as_the_next_one_cannot_be_made() {
    let Some(disk) = SmallDisk::new() else { return };
    let mut pipeline = pipeline(disk.path(), 1 << 20);
    second(&mut pipeline, 0);
    let more = use_up_files(&disk);
    pipeline.rotate(moment(1)).unwrap();
    (1..5).for_each(|s| second(&mut pipeline, s));
    assert_eq!((pipeline.waiting_bytes(), pipeline.sealed_segments()), (0, 0));
    more.iter().for_each(|path| fs::remove_file(path).unwrap());
    assert!(pipeline.rotation_due(5 * SECOND));
    pipeline.rotate(moment(5)).unwrap();
    assert_eq!(pipeline.sealed_segments(), 1);
    (5..9).for_each(|s| second(&mut pipeline, s));
    pipeline.seal(moment(9).wall).unwrap();
    assert_eq!(books(disk.path()).usage.packets(), 900);
}

#[test]
fn a_file_that_is_read_does_not_wait_for_room() {
    let Some(disk) = SmallDisk::new() else { return };
    let mut pipeline = pipeline(disk.path(), 0);
    disk.fill();
    let error = (0..300).try_for_each(|s| {
        let data = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1, 0, 0, 192, 168, 0, 1, 198, 51, 100, 1];
        let packet =
            CapturedPacket { ts: moment(s).wall, orig_len: 20, link_type: LinkType(101), interface: 0, data: &data };
        pipeline.packet(&packet)?;
        pipeline.commit(moment(s))
    });
    assert!(error.unwrap_err().is_no_room());
}
