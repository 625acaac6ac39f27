//! What a capture's meter hands over directly is what a segment of the same packets gives back: the
//! same calls in the same order, and not only equal books.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use imon_analyze::input::{self, Watch};
use imon_common::capture_file::CaptureReader;
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Meter, MeterConfig, Observer, Usage};
use imon_common::packet::{CapturedPacket, Interface};
use imon_common::segment::{Blocks, Direct, SegmentHeader, SegmentReader, SegmentWriter};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use support::{Home, captures};

#[derive(Debug, Clone, PartialEq)]
enum Call {
    Interface(u32, Interface),
    Name(Flow, NameSeen),
    Usage(Flow, UnixNanos, Usage),
    Count(UnixNanos, Count),
}

impl Call {
    fn interval(&self) -> Option<UnixNanos> {
        match self {
            Self::Interface(..) => None,
            Self::Name(_, seen) => Some(seen.ts.floor_to(NANOS_PER_SECOND)),
            Self::Usage(_, ts, _) | Self::Count(ts, _) => Some(ts.floor_to(NANOS_PER_SECOND)),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Interface(..) => 0,
            Self::Name(..) => 1,
            Self::Usage(..) => 2,
            Self::Count(..) => 3,
        }
    }
}

/// Calls in their order. A group of a segment tells interfaces again.
#[derive(Default)]
struct Calls(Vec<Call>);

impl Observer for Calls {
    type Error = Infallible;

    fn interface(&mut self, number: u32, interface: &Interface) -> Result<(), Infallible> {
        let call = Call::Interface(number, interface.clone());
        if !self.0.contains(&call) {
            self.0.push(call);
        }
        Ok(())
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.0.push(Call::Name(flow.clone(), seen.clone()));
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.0.push(Call::Usage(flow.clone(), interval, usage));
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        self.0.extend(counts.iter().map(|count| Call::Count(ts, *count)));
        Ok(())
    }
}

impl Calls {
    /// A long interval is cut into blocks by the length of their bytes in one way, and by the
    /// number of records in the other: within it, names, usage and counts come in that order.
    fn uncut(mut self) -> Vec<Call> {
        let calls: &mut [Call] = &mut self.0;
        let same =
            |a: &Call, b: &Call| a.interval().is_none() || b.interval().is_none() || a.interval() == b.interval();
        for run in calls.chunk_by_mut(same) {
            run.sort_by_key(Call::kind);
        }
        self.0
    }
}

fn header() -> SegmentHeader {
    SegmentHeader {
        segment: [1; 16],
        recorder: [2; 16],
        run: [3; 16],
        interface: "capture".into(),
        ..SegmentHeader::default()
    }
}

/// Hands all of a capture to `observer`; how many packets it has, and whether it has any.
fn meter<O: Observer<Error = std::io::Error>>(
    capture: &Path,
    observer: &mut O,
    mut after_each: impl FnMut(&mut O),
) -> Option<u64> {
    let mut reader = CaptureReader::new(input::open(capture, Watch::default()).ok()?).ok()?;
    let mut meter = Meter::new(MeterConfig::default());
    let mut told = 0;
    loop {
        while let Some(interface) = reader.interfaces().get(told) {
            observer.interface(told as u32, interface).unwrap();
            told += 1;
            if told > 1 {
                meter.expect_copies();
            }
        }
        let Ok(Some(packet)) = reader.next_packet() else { break };
        // Copied, so that the interfaces that stand before the first packet are told before it.
        let (packet, data) = (CapturedPacket { data: &[], ..packet }, packet.data.to_vec());
        if told == 0 && !reader.interfaces().is_empty() {
            observer.interface(0, &reader.interfaces()[0]).unwrap();
            told = 1;
        }
        meter.packet(&CapturedPacket { data: &data, ..packet }, observer).unwrap();
        after_each(observer);
    }
    meter.flush(observer).unwrap();
    Some(reader.packets())
}

fn directly(capture: &Path) -> Option<Vec<Call>> {
    let (mut direct, mut calls) = (Direct::new(&header()), Calls::default());
    let mut give = |mut blocks: Blocks| {
        while blocks.next_time().is_some() {
            let Ok(()) = blocks.give(&mut calls);
        }
    };
    meter(capture, &mut direct, |direct| {
        if direct.whole() > 100 {
            give(direct.take(Blocks::default()));
        }
    })?;
    direct.commit();
    give(direct.take(Blocks::default()));
    Some(calls.uncut())
}

fn through_a_segment(capture: &Path) -> Option<Vec<Call>> {
    let mut writer = SegmentWriter::create(Vec::new(), &header()).unwrap();
    meter(capture, &mut writer, |_| {})?;
    let (bytes, _) = writer.finish().unwrap();
    let mut calls = Calls::default();
    SegmentReader::open(&bytes[..]).unwrap().read(&mut calls).unwrap();
    Some(calls.uncut())
}

/// Every capture below a folder.
fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { below(&path, found) } else { found.push(path) }
    }
}

fn all_agree(folder: &Path) -> (usize, usize) {
    let mut paths = Vec::new();
    below(folder, &mut paths);
    let (mut captures, mut all) = (0, 0);
    for path in paths {
        let Some(direct) = directly(&path) else { continue };
        let kept = through_a_segment(&path).unwrap();
        for (i, (direct, kept)) in direct.iter().zip(&kept).enumerate() {
            assert_eq!(direct, kept, "{}: call {i}", path.display());
        }
        assert_eq!(direct.len(), kept.len(), "{}", path.display());
        (captures, all) = (captures + 1, all + direct.len());
    }
    (captures, all)
}

#[test]
fn the_direct_way_gives_what_a_segment_would() {
    let (captures, calls) = all_agree(&support::testdata(""));
    assert!(captures >= 100 && calls >= 10_000, "{captures} captures, {calls} calls");
}

#[test]
fn so_it_does_for_the_corpus() {
    let Some(corpus) = std::env::var_os("IMON_CORPUS") else {
        eprintln!("skipped: IMON_CORPUS is not set");
        return;
    };
    let (captures, calls) = all_agree(Path::new(&corpus));
    assert!(captures >= 10 && calls >= 10_000, "{captures} captures, {calls} calls");
}

#[test]
fn any_number_of_threads_gives_the_same_books() {
    let home = Home::new();
    // Side by side, one after the other, and many at once: more than there are threads.
    let captures: Vec<String> = captures().iter().map(|path| path.display().to_string()).collect();
    for files in [&captures[..1], &captures[..5], &captures[..]] {
        let files = files.join(" ");
        let report = |threads: usize| {
            let all = "--from 1970-01-01 --to 2150-01-01 --by host,device,evidence --limit 0 --include-local";
            let run = home.analyze(format!("report {files} {all} --format json --threads {threads}").split(' '));
            (run.code, run.out)
        };
        let alone = report(1);
        assert!(matches!(alone.0, Some(0 | 3)), "{}", alone.1);
        for threads in 2..=8 {
            assert_eq!(report(threads), alone, "{threads} threads");
        }
    }
}
