//! Captures, segments and databases that were changed at random: whatever they became, no command
//! panics or hangs, the books balance, and both doors (a capture reported, its segment ingested)
//! give the same figures.
//!
//! `make mutate` runs many; MUTATIONS says how many, SEED which, ONLY=KIND:NUMBER one of them
//! again. What fails is kept in the folder that the failure names.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod chance;
mod databases;
mod frames;
#[path = "../../../fuzz/src/segment.rs"]
mod put_right;
#[path = "../support/mod.rs"]
mod support;

use chance::Chance;
use clap::Parser as _;
use frames::Frame;
use imon_analyze::cli::{Cli, Surroundings};
use imon_analyze::commands;
use imon_analyze::error::Outcome;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Cases of `make test`: some seconds.
const FEW: u64 = 300;
/// Longest time of a case, in a build without optimisation on a busy machine. Cases take some 50
/// ms.
const LONGEST: Duration = Duration::from_secs(30);
/// All of the time that there is in captures.
const ALL: &str = "--from 1700-01-01 --to 2250-01-01 --include-local --limit 0 --format json";

/// What came of a command: its exit code, and its output.
struct Done {
    code: u8,
    out: String,
}

/// One case: its number, its chance, and a folder of its own.
pub struct Case {
    chance: Chance,
    home: support::Home,
}

impl Case {
    /// Runs a command of imon-analyze in this process. `@` in the line stands for the case's
    /// folder.
    fn run(&self, line: &str) -> Result<Done, String> {
        let folder = self.home.path("");
        let words = line.split_whitespace().map(|word| word.replace('@', &folder.to_string_lossy()));
        let cli = Cli::try_parse_from(std::iter::once("imon-analyze".to_owned()).chain(words))
            .map_err(|e| format!("{line}: {e}"))?;
        let around = Surroundings {
            now: jiff::Timestamp::from_second(1_790_000_000).unwrap(),
            width: None,
            draws: false,
            color: false,
            state_home: None,
            home: Some(folder.into()),
            ..Surroundings::of_process(imon_analyze::cli::Color::Never)
        };
        let mut out = Vec::new();
        let code = match commands::run(cli.command.as_ref().unwrap(), &around, None, &mut out) {
            Ok(outcome) => Outcome::exit_code(outcome),
            Err(error) => error.exit_code(),
        };
        Ok(Done { code, out: String::from_utf8(out).map_err(|e| format!("{line}: {e}"))? })
    }

    /// Rows and ledger of a report that must balance; `None` where there is none, which the exit
    /// code says.
    fn books(&self, line: &str) -> Result<Option<(Vec<Value>, Value)>, String> {
        let done = self.run(line)?;
        if !matches!(done.code, 0 | 3) {
            return Ok(None);
        }
        let books = support::rows_and_ledger(&done.out);
        balances(&books).map_err(|e| format!("{line}: {e}"))?;
        Ok(Some(books))
    }
}

/// Whether the parts of a ledger add up to its sums, and the rows to the parts that are shown in
/// rows.
fn balances((rows, ledger): &(Vec<Value>, Value)) -> Result<(), String> {
    let of = |name: &str| ledger[name].as_i64().map(i128::from).ok_or(format!("{name} is {}", ledger[name]));
    let parts = ["named_bytes", "infrastructure_bytes", "address_only_bytes", "served_bytes", "local_bytes"];
    let shown = parts.iter().map(|name| of(name)).sum::<Result<i128, _>>()?;
    let (sum, all) = (shown + of("undecodable_bytes")?, of("ip_bytes")?);
    if sum != all || of("residual_bytes")? != 0 {
        return Err(format!("parts {sum}, all IP {all}, residual {}", ledger["residual_bytes"]));
    }
    let total = |row: &Value| row["total_bytes"].as_u64().map(i128::from).unwrap_or(-1);
    let in_rows: i128 = rows.iter().map(total).sum();
    // Served bytes have a key of their own, and stand in rows where nothing else does; local ones
    // are asked for.
    let (expected, served) = (shown - of("served_bytes")?, of("served_bytes")?);
    if in_rows != expected && (expected != 0 || in_rows != served) {
        return Err(format!("rows {in_rows}, ledger {expected}"));
    }
    let packets = of("ip_packets")? + of("non_ip_packets")? + of("undecodable_packets")? + of("copies_packets")?;
    if packets != of("packets")? {
        return Err(format!("{packets} packets of all kinds, {} read", ledger["packets"]));
    }
    Ok(())
}

/// Both must be there and the same, or neither.
fn same(one: (&str, Option<(Vec<Value>, Value)>), other: (&str, Option<(Vec<Value>, Value)>)) -> Result<(), String> {
    match (&one.1, &other.1) {
        (Some(a), Some(b)) if a == b => Ok(()),
        (None, None) => Ok(()),
        // A store can be empty where a file alone is an error.
        (None, Some((rows, ledger))) if rows.is_empty() && ledger["packets"] == 0 => Ok(()),
        _ => Err(format!("{} and {} differ:\n{:?}\n{:?}", one.0, other.0, one.1, other.1)),
    }
}

/// Files of testdata that end in one of these.
fn seeds(folders: &[&str], ends: &[&str]) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(support::testdata(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| ends.iter().any(|end| path.to_string_lossy().ends_with(end)))
        .collect();
    all.sort();
    all
}

/// Runs the share of `kind`, in twentieths, of all cases. A case that panics, takes too long or
/// fails is told with what runs it again.
fn run_cases(kind: &'static str, share: u64, case: impl Fn(&mut Case) -> Result<(), String>) {
    let number = |name: &str, default| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    };
    let (seed, count) = (number("SEED", 20_261_122), number("MUTATIONS", FEW) * share / 20);
    let only = std::env::var("ONLY").ok();
    let numbers: Vec<u64> = match only.as_deref().map(|only| only.split_once(':').expect("ONLY=KIND:NUMBER")) {
        Some((k, n)) => {
            if k == kind {
                vec![n.parse().expect("ONLY=KIND:NUMBER")]
            } else {
                Vec::new()
            }
        }
        None => (0..count).collect(),
    };
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations");
    let watched = Arc::new((AtomicU64::new(0), Mutex::new(Instant::now())));
    let watch = Arc::clone(&watched);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let (number, began) = (watch.0.load(Ordering::Relaxed), *watch.1.lock().unwrap());
            if began.elapsed() > LONGEST && number != u64::MAX {
                // A thread that hangs cannot be ended.
                // Not by a macro, whose text the test runner keeps to itself until the end.
                let text = format!("SEED={seed} ONLY={kind}:{number} takes more than {LONGEST:?}\n");
                _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
                std::process::abort();
            }
        }
    });
    let mut failures = Vec::new();
    for n in &numbers {
        *watched.1.lock().unwrap() = Instant::now();
        watched.0.store(*n, Ordering::Relaxed);
        let mut it = Case { chance: Chance::of(seed, kind, *n), home: support::Home::in_memory() };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&mut it)));
        let failed = match result {
            Ok(Ok(())) => continue,
            Ok(Err(failed)) => failed,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                format!("panic: {}", text.or(panic.downcast_ref::<&str>().map(|t| (*t).to_owned())).unwrap_or_default())
            }
        };
        let folder = kept.join(format!("{kind}-{n}"));
        _ = std::fs::create_dir_all(&folder);
        for entry in std::fs::read_dir(it.home.path("")).into_iter().flatten().flatten() {
            _ = std::fs::copy(entry.path(), folder.join(entry.file_name()));
        }
        failures.push(format!("SEED={seed} ONLY={kind}:{n} ({}): {:.3000}", folder.display(), failed));
    }
    watched.0.store(u64::MAX, Ordering::Relaxed);
    println!("{kind}: {} cases, {} failures", numbers.len(), failures.len());
    assert!(failures.is_empty(), "{} of {} {kind}:\n{}", failures.len(), numbers.len(), failures.join("\n"));
}

#[test]
fn changed_captures_have_books_that_balance_through_every_door() {
    let files = seeds(&["pcap", "field"], &[".pcap", ".pcapng", ".gz", ".zst", ".xz", ".lz4"]);
    let mut files: Vec<(Vec<u8>, Vec<Frame>)> =
        files.iter().map(|path| (std::fs::read(path).unwrap(), frames::read(path))).collect();
    // Hundreds of frames each, and slow for that: their frames only.
    files.iter_mut().filter(|(bytes, _)| bytes.len() > 60_000).for_each(|(bytes, _)| bytes.truncate(5_000));
    let browser = frames::read(&support::testdata("netlab/browse-lan.pcap.gz"));
    files.extend(browser.chunks(100).map(|part| (Vec::new(), part.to_vec())));
    let with_frames: Vec<&Vec<Frame>> = files.iter().map(|(_, frames)| frames).filter(|f| !f.is_empty()).collect();
    let as_bytes: Vec<&Vec<u8>> = files.iter().map(|(bytes, _)| bytes).filter(|b| !b.is_empty()).collect();
    // Builds it, which takes longer than a case may.
    _ = support::Home::in_memory().record("--version");
    run_cases("capture", 9, |case| {
        let chance = &mut case.chance;
        let bytes = if chance.one_in(2) {
            let mut frames = (*chance.pick(&with_frames)).clone();
            frames::spoil(&mut frames, chance);
            if frames.is_empty() {
                return Ok(());
            }
            let mut bytes = frames::write(&frames, chance);
            if chance.one_in(4) {
                chance.flip(&mut bytes);
            }
            bytes
        } else {
            let mut bytes = (*chance.pick(&as_bytes)).clone();
            let other = *chance.pick(&as_bytes);
            chance.spoil(&mut bytes, other);
            bytes
        };
        capture(case, &bytes)
    });
}

/// A capture through every door.
fn capture(case: &mut Case, bytes: &[u8]) -> Result<(), String> {
    case.home.write("c.pcap", bytes);
    let by = *case.chance.pick(&["host", "site", "device", "day", "evidence", "page", "family"]);
    let direct = case.books(&format!("report @/c.pcap {ALL} --by {by}"))?;
    other_windows(case, "@/c.pcap")?;
    case.run("ingest @/c.pcap --database @/db/imon.db")?;
    std::fs::create_dir_all(case.home.path("empty")).unwrap();
    let stored = case.books(&format!("report --database @/db/imon.db --spool @/empty {ALL} --by {by}"))?;
    same(("report of the capture", direct.clone()), ("of the store", stored))?;
    let segments = sealed(&case.home.path("db/captures"));
    if let [segment] = &segments[..] {
        let segment = case.books(&format!("report {} {ALL} --by {by}", segment.display()))?;
        same(("report of the capture", direct.clone()), ("of its kept segment", segment))?;
    }
    if case.chance.one_in(40) {
        let recorded = case.home.record("--read c.pcap --spool spool");
        if recorded.is_some_and(|run| matches!(run.code, Some(0 | 1 | 3)))
            && !sealed(&case.home.path("spool")).is_empty()
        {
            let recorded = case.books(&format!("report @/spool {ALL} --by {by}"))?;
            same(("report of the capture", direct), ("of what imon-record --read made", recorded))?;
        }
    }
    Ok(())
}

fn sealed(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "seg")).collect()
}

/// Now and then what else can be asked of a file: nothing is judged but that it ends.
fn other_windows(case: &mut Case, file: &str) -> Result<(), String> {
    let lines = [
        "report FILE",
        "report FILE --by day --format csv",
        "report FILE --by hour --limit 5",
        "flows FILE",
        "names FILE",
        "names FILE --summary",
        "verify FILE",
        "explain 192.0.2.1 FILE",
        "report FILE --by month --format csv",
    ];
    if case.chance.one_in(3) {
        let line = case.chance.pick(&lines).replace("FILE", file);
        case.run(&line)?;
    }
    Ok(())
}

#[test]
fn changed_segments_have_books_that_balance() {
    let mut all: Vec<Vec<u8>> =
        seeds(&["segments"], &[".seg"]).iter().map(|path| std::fs::read(path).unwrap()).collect();
    all.extend(of_captures());
    run_cases("segment", 8, |case| {
        let chance = &mut case.chance;
        let mut bytes = chance.pick(&all).clone();
        let other = chance.pick(&all);
        match chance.below(4) {
            0 => chance.spoil(&mut bytes, other),
            _ => {
                // Behind the header, where the lengths of blocks are, less often: they are put
                // right in any case.
                chance.spoil(&mut bytes, other);
                let order = chance.one_in(2);
                bytes = put_right::put_right(&bytes, order);
            }
        }
        segment(case, &bytes)
    });
}

/// A segment through every door.
fn segment(case: &mut Case, bytes: &[u8]) -> Result<(), String> {
    case.home.write("s.seg", bytes);
    let by = *case.chance.pick(&["host", "site", "device", "day", "evidence", "page", "family"]);
    case.run("check @/s.seg")?;
    let direct = case.books(&format!("report @/s.seg {ALL} --by {by}"))?;
    other_windows(case, "@/s.seg")?;
    case.run("ingest @/s.seg --database @/db/imon.db")?;
    std::fs::create_dir_all(case.home.path("empty")).unwrap();
    let stored = case.books(&format!("report --database @/db/imon.db --spool @/empty {ALL} --by {by}"))?;
    // Damage is a gap in the store only.
    let without_gaps = |books: Option<(Vec<Value>, Value)>| {
        books.map(|(rows, mut ledger)| {
            ledger["gaps"] = Value::Null;
            (rows, ledger)
        })
    };
    same(("report of the segment", without_gaps(direct)), ("of the store", without_gaps(stored)))
}

/// Segments that a command once could not take.
#[test]
fn former_findings_pass_every_door() {
    let all = seeds(&["mutations"], &[".seg"]);
    assert!(!all.is_empty());
    for path in all {
        let mut case = Case { chance: Chance::of(0, "", 0), home: support::Home::in_memory() };
        for _ in 0..7 {
            let result = segment(&mut case, &std::fs::read(&path).unwrap());
            assert_eq!(result, Ok(()), "{}", path.display());
        }
    }
}

/// Segments as a recording writes them, of small captures.
fn of_captures() -> Vec<Vec<u8>> {
    let case = Case { chance: Chance::of(0, "", 0), home: support::Home::in_memory() };
    let files = ["pcap/us-le.pcap", "field/proxy-connect.pcap", "field/inbound-known-same-dev.pcap"];
    for file in files {
        let path = support::testdata(file);
        assert_eq!(case.run(&format!("ingest {} --database @/imon.db", path.display())).unwrap().code, 0);
    }
    let browser = frames::read(&support::testdata("netlab/browse-lan.pcap.gz"));
    for (i, part) in browser.chunks(80).enumerate() {
        case.home.write(&format!("{i}.pcap"), &frames::write(part, &mut Chance::of(0, "browser", i as u64)));
        assert_eq!(case.run(&format!("ingest @/{i}.pcap --database @/imon.db")).unwrap().code, 0);
    }
    let segments = sealed(&case.home.path("captures"));
    assert!(segments.len() >= files.len(), "{segments:?}");
    segments.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn changed_databases_are_refused_or_have_books_that_balance() {
    let store = databases::Seed::new();
    run_cases("database", 3, |case| databases::case(case, &store));
}
