//! Twice the input is about twice the work. What is counted are looks at the things of a list, not
//! the time that they take on this machine: `imon_common::work` counts them in debug builds.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "support/shapes.rs"]
mod shapes;
mod support;

use imon_analyze::attribution::{AnswerBook, Attributor, Habits};
use imon_analyze::books::Books;
use imon_analyze::ingest::{Ingest, ReadOptions, in_order, read_all};
use imon_analyze::question::{Key, Question};
use imon_analyze::range::Range;
use imon_analyze::report::{Format, Report};
use imon_analyze::rollup::Rollup;
use imon_analyze::site::Sites;
use imon_analyze::store::Store;
use imon_common::observe::{Count, Counter, GapReason, Observer};
use imon_common::segment::SegmentWriter;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::work;
use jiff::tz::TimeZone;
use shapes::SHAPES;
use std::path::PathBuf;
use support::{Home, segment_header};

/// Most that twice the input may cost: twice, and a little for what grows by the logarithm.
const MOST: f64 = 2.2;

/// The work of `run` for `n` things, for twice as many and for four times as many; each must be at
/// most [`MOST`] times the one before.
fn is_linear(what: &str, n: usize, run: impl Fn(usize)) {
    if !cfg!(debug_assertions) {
        eprintln!("skipped: a release build counts no work");
        return;
    }
    let steps = [n, 2 * n, 4 * n].map(|n| {
        work::take();
        run(n);
        work::take()
    });
    eprintln!("{what}: {n} .. {} things: {steps:?} steps", 4 * n);
    assert!(steps[0] >= n as u64, "{what}: {steps:?} steps for {n}: work that is not counted");
    for pair in steps.windows(2) {
        assert!(pair[1] as f64 <= pair[0] as f64 * MOST, "{what}: {steps:?} steps, at {n} things and each time twice");
    }
}

/// All reports of books, written.
fn report(books: &Books) {
    let sites = Sites::new();
    for by in Key::ALL {
        let range = Range::everything(TimeZone::UTC);
        let query = Question { include_local: true, ..Question::by(by, range) };
        let report = Report::new(books, &query, &sites).unwrap();
        for format in [Format::Table, Format::Json, Format::Csv] {
            report.write(format, Default::default(), &mut std::io::sink()).unwrap();
        }
    }
}

/// The books of files in memory, as `report FILE…` makes them.
fn of_files(files: &[PathBuf]) -> Books {
    let mut attributor = Attributor::new(AnswerBook::default(), Rollup::default());
    attributor.follow_pages(Habits::default());
    let results = read_all(&in_order(files.to_vec()), &ReadOptions::default(), &mut attributor);
    results.into_iter().for_each(|(_, result)| _ = result.unwrap());
    attributor.finish().books(&Range::everything(TimeZone::UTC))
}

/// The books of a store after ingesting files, and after pruning every second source.
fn of_store(home: &Home, files: &[PathBuf]) -> Books {
    let mut store = Store::in_memory().unwrap();
    let mut ingest = Ingest::new(&mut store, home.path("captures"), ReadOptions::default());
    ingest.sources(files.to_vec()).unwrap().into_iter().for_each(|(_, outcome)| _ = outcome.unwrap());
    let books = store.books(&Range::everything(TimeZone::UTC)).unwrap();
    let sources: Vec<_> = store.known_sources().unwrap().into_iter().step_by(2).collect();
    store.prune(&sources, &[]).unwrap();
    books
}

fn write(home: &Home, captures: Vec<Vec<u8>>) -> Vec<PathBuf> {
    captures.into_iter().enumerate().map(|(i, bytes)| home.write(&format!("{i:06}.pcap"), &bytes)).collect()
}

/// Sources are files, which cost more than flows: fewer of them show the same.
fn things(shape: &str) -> usize {
    if shape.starts_with("sources") { 70 } else { 490 }
}

#[test]
fn a_report_of_many_of_anything_is_linear() {
    for (shape, captures) in SHAPES {
        is_linear(shape, things(shape), |n| {
            let home = Home::new();
            let books = of_files(&write(&home, captures(n)));
            assert_eq!(books.ledger.residual(), 0, "{shape}");
            report(&books);
        });
    }
}

#[test]
fn an_ingest_of_many_of_anything_is_linear() {
    for (shape, captures) in SHAPES {
        is_linear(shape, things(shape), |n| {
            let home = Home::new();
            report(&of_store(&home, &write(&home, captures(n))));
        });
    }
}

#[test]
fn a_report_of_many_gaps_is_linear() {
    is_linear("gaps", 1_000, |n| {
        let start = UnixNanos(1_793_491_200 * NANOS_PER_SECOND);
        let mut writer = SegmentWriter::create(Vec::new(), &segment_header([1; 16], [2; 16], 0, start)).unwrap();
        for i in 0..n as i64 {
            let gap = Count { counter: Counter::Gap(GapReason::Suspend), packets: 0, bytes: 5_000_000_000 };
            let kind =
                Count { counter: Counter::NotIp(imon_common::wire::NotIp::EtherType(i as u16)), packets: 1, bytes: 60 };
            writer.counts(UnixNanos(start.0 + 10 * i * NANOS_PER_SECOND), &[gap, kind]).unwrap();
        }
        let home = Home::new();
        let file = home.write("gaps.seg", &writer.finish().unwrap().0);
        let books = of_files(std::slice::from_ref(&file));
        assert_eq!(books.ledger.gaps.len(), n);
        report(&books);
        report(&of_store(&home, &[file]));
    });
}

#[test]
#[ignore = "writes the captures, for measuring the program itself: IMON_SHAPES names a folder, IMON_THINGS their number"]
fn write_shapes() {
    let folder = PathBuf::from(std::env::var_os("IMON_SHAPES").unwrap());
    let n: usize = std::env::var("IMON_THINGS").unwrap().parse().unwrap();
    for (shape, captures) in SHAPES {
        let n = n * things(shape) / things("");
        for (i, bytes) in captures(n).into_iter().enumerate() {
            let folder = folder.join(shape);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{i:06}.pcap")), bytes).unwrap();
        }
    }
}

/// Eight thousand clients behind one hardware address, as a user met them, and the first part of
/// them.
#[test]
fn the_capture_of_many_clients_behind_one_card_is_linear() {
    use std::io::Read as _;
    let file = std::fs::File::open(support::testdata("field/quadratic-8000-syn.pcap.gz")).unwrap();
    let mut whole = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut whole).unwrap();
    let first = |n: usize| {
        let mut end = 24;
        for _ in 0..n {
            end += 16 + u32::from_le_bytes(whole[end + 8..end + 12].try_into().unwrap()) as usize;
        }
        whole[..end].to_vec()
    };
    let home = Home::new();
    is_linear("clients behind a card, report", 2_000, |n| report(&of_files(&write(&home, vec![first(n)]))));
}
