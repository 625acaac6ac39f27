//! Random questions: a report is what a script of its own makes of `flows --every 15m`, to the
//! byte; in memory and from the store. Days of 23 and 25 hours are among them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod support;

use clap::Parser as _;
use imon_analyze::archive::{self, Apart, Need};
use imon_analyze::attribution::{AnswerBook, Attributor};
use imon_analyze::books::Books;
use imon_analyze::cli::{Cli, Command, ReportArgs, Surroundings};
use imon_analyze::commands::{Sources, each_source};
use imon_analyze::ingest::ReadOptions;
use imon_analyze::question::Question;
use imon_analyze::report::{Format, Report, stretches};
use imon_analyze::rollup::Rollup;
use imon_analyze::store::Store;
use imon_analyze::threads::Threads;
use std::collections::BTreeSet;
use std::path::PathBuf;
use support::nights::nights;
use support::{Home, testdata};

/// Questions of each kind of input.
const QUESTIONS: usize = 70;

/// Keys that are asked for together with any others.
const KEYS: [&str; 12] = [
    "site",
    "family",
    "host",
    "device",
    "hour",
    "day",
    "week",
    "month",
    "hour-of-day",
    "evidence",
    "interface",
    "source",
];

const TIMES: [&str; 5] = ["hour", "day", "week", "month", "hour-of-day"];

/// Numbers from a seed: SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Captures, and when something passed in them.
struct Input {
    name: &'static str,
    files: Vec<PathBuf>,
    /// What `--in` may say.
    ranges: Vec<String>,
}

/// Python 3 with time zones; `None` where there is none, which is told.
fn python() -> Option<()> {
    let tried = std::process::Command::new("python3")
        .args(["-c", "import zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin'); zoneinfo.ZoneInfo('Asia/Kathmandu')"])
        .output();
    let works = tried.is_ok_and(|run| run.status.success());
    if !works {
        eprintln!("skipped: there is no python3 with time zones");
    }
    works.then_some(())
}

fn inputs(home: &Home) -> Vec<Input> {
    let netlab = testdata("netlab/browse-lan.pcap.gz");
    let nights = home.write("nights.pcapng", &nights());
    let field: Vec<PathBuf> =
        std::fs::read_dir(testdata("field")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut field: Vec<PathBuf> =
        field.into_iter().filter(|path| path.extension().is_some_and(|e| e != "md")).collect();
    field.sort();
    let world = testdata("worlds/tabs-2.pcap.gz");
    let nights_of =
        ["2024-03-31", "2024-10-27", "2024-03-30..2024-04-01", "2024-10-26..2024-10-28", "2024-03-01..2024-10-31"];
    let text = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let mut inputs = vec![
        Input { name: "nights", files: vec![nights], ranges: text(&nights_of) },
        Input { name: "netlab", files: vec![netlab.clone()], ranges: text(&["2026-11-22", "2026-11-21..2026-11-23"]) },
        Input {
            name: "several",
            files: field.into_iter().chain([netlab, world]).collect(),
            ranges: text(&["2026-11-01..2026-11-30", "2026-11-22"]),
        },
    ];
    // Further captures, and days, that are not in the repository: FILE…@DAY[..DAY].
    if let Ok(more) = std::env::var("IMON_QUESTIONS") {
        for one in more.split(' ').filter(|one| !one.is_empty()) {
            let (file, days) = one.split_once('@').unwrap_or((one, "1990-01-01..2026-12-31"));
            inputs.push(Input { name: "named", files: vec![file.into()], ranges: vec![days.into()] });
        }
    }
    inputs
}

/// A question over what there is.
fn question(chance: &mut Chance, input: &Input, values: &dyn Fn(&str) -> Vec<String>) -> String {
    let mut keys: Vec<&str> = Vec::new();
    for _ in 0..=chance.below(4) {
        let key = *chance.pick(&KEYS);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    if chance.one_in(6) {
        keys.push("vlan");
        keys.truncate(4);
    }
    if chance.one_in(10) {
        keys.retain(|key| !["site", "family", "host"].contains(key));
        keys.insert(0, "served");
        keys.truncate(4);
    }
    let mut line = format!("--by {}", keys.join(","));
    for filter in ["site", "host", "family", "device", "evidence", "interface", "vlan", "source"] {
        if !chance.one_in(6) {
            continue;
        }
        let values = values(filter);
        for _ in 0..=chance.below(2) {
            if let Some(value) = values.get(chance.below(values.len().max(1))) {
                line += &format!(" --{filter} {value}");
            }
        }
    }
    let is_by_time = keys.iter().any(|key| TIMES.contains(key));
    if is_by_time || chance.one_in(2) {
        let long = |range: &str| range.len() > 20 && range[5..7] != range[17..19];
        let fine = keys.contains(&"hour");
        let fit: Vec<&String> = input.ranges.iter().filter(|range| !(fine && long(range))).collect();
        let range = if fit.is_empty() { &input.ranges[0] } else { *chance.pick(&fit) };
        line += &format!(
            " --in {range} --zone {}",
            chance.pick(&["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])
        );
    }
    if chance.one_in(5) {
        line += &format!(" --limit {}", 1 + chance.below(5));
    }
    if chance.one_in(6) {
        line += &format!(" --min {}", 1_000 + chance.below(1_000_000));
    }
    if chance.one_in(3) {
        line += " --include-local";
    }
    line
}

fn report_args(line: &str) -> ReportArgs {
    let words = ["imon-analyze", "report", "--csv", "x"].into_iter().chain(line.split(' '));
    match Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}")).command {
        Some(Command::Report(args)) => args,
        other => panic!("{other:?}"),
    }
}

fn around() -> Surroundings {
    Surroundings {
        now: jiff::Timestamp::now(),
        width: None,
        draws: false,
        color: false,
        state_home: None,
        home: None,
        system_database: None,
        config_home: None,
        config: imon_analyze::config::Config::default(),
    }
}

/// The answer as CSV, of books of the question's range.
fn answer(line: &str, books: impl FnOnce(&Question) -> Books) -> String {
    let args = report_args(line);
    let question = args.question(&around()).unwrap();
    let sites = args.asked.sites.sites().unwrap();
    let report = Report::new(&books(&question), &question, &sites).unwrap();
    let mut out = Vec::new();
    report.write(Format::Csv, around().text_style(None, None), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The books of the question's range: closed months from their files.
fn of_store(store: &Store, question: &Question) -> Books {
    let apart = vec![Apart::new(question.wanted(), |_| stretches(question))];
    let need = Need { range: &question.range, pages: false, apart, only: None, threads: Threads::default() };
    let opened = archive::books(store, need).unwrap();
    assert!(opened.holes.is_empty(), "{:?}", opened.holes);
    opened.books
}

/// What the script says to each question.
fn scripted(home: &Home, rows: &str, questions: &[String]) -> Vec<String> {
    let rows = home.write("rows.jsonl", rows.as_bytes());
    let asked = home.write("questions", (questions.join("\n") + "\n").as_bytes());
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts/answer.py");
    let run = std::process::Command::new("python3").arg(script).args([rows, asked]).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8(run.stdout).unwrap();
    let mut answers: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.starts_with("# ") {
            true => answers.push(String::new()),
            false => *answers.last_mut().unwrap() += line,
        }
    }
    assert_eq!(answers.len(), questions.len());
    answers
}

/// Fails with the first lines that differ.
fn assert_same(answered: &str, scripted: &str, what: &str) {
    if answered != scripted {
        let (mut answered, mut scripted) = (answered.lines(), scripted.lines());
        loop {
            match (answered.next(), scripted.next()) {
                (a, b) if a != b => panic!("{what}\nreport: {a:?}\nscript: {b:?}"),
                (None, None) => panic!("{what}: only the ends of lines differ"),
                _ => {}
            }
        }
    }
}

#[test]
fn a_report_is_what_a_script_makes_of_the_flows_of_each_quarter_of_an_hour() {
    let Some(()) = python() else { return };
    let home = Home::in_memory();
    let mut chance = Chance(support::seeded(2_024));
    let (mut with_rows, mut ranged, mut zeros) = (0, 0, 0);
    for input in inputs(&home) {
        let files: Vec<String> = input.files.iter().map(|path| path.display().to_string()).collect();
        let run = home.analyze(["flows".to_owned()].into_iter().chain(files.clone()).chain(["--every=15m".to_owned()]));
        assert!(matches!(run.code, Some(0 | 3)), "{}", run.err);
        let values_of = |field: &str| -> Vec<String> {
            let values: BTreeSet<String> = run
                .out
                .lines()
                .filter_map(|line| {
                    let row: serde_json::Value = serde_json::from_str(line).unwrap();
                    match &row[match field {
                        "device" => "client",
                        other => other,
                    }] {
                        serde_json::Value::Null if field == "vlan" => Some("none".into()),
                        serde_json::Value::Number(n) => Some(n.to_string()),
                        // What stands for no site is no name to ask for, nor is what is served.
                        other => other.as_str().filter(|text| !text.contains([' ', '/'])).map(str::to_owned),
                    }
                })
                .collect();
            values.into_iter().collect()
        };
        let cache: Vec<(&str, Vec<String>)> =
            ["site", "host", "family", "device", "evidence", "interface", "vlan", "source"]
                .map(|field| (field, values_of(field)))
                .to_vec();
        let values = |field: &str| cache.iter().find(|(of, _)| *of == field).unwrap().1.clone();
        let questions: Vec<String> = (0..QUESTIONS).map(|_| question(&mut chance, &input, &values)).collect();
        let scripted = scripted(&home, &run.out, &questions);

        let mut attributor = Attributor::new(AnswerBook::default(), Rollup::default());
        if files.len() > 1 {
            attributor.look_for_overlaps();
        }
        let sources = Sources { paths: input.files.clone(), options: ReadOptions::default() };
        each_source(&sources, &mut attributor).unwrap();
        let rollup = attributor.finish();
        let database = home.path(&format!("{}.db", input.name));
        let ingest = ["ingest".to_owned(), "--database".to_owned(), database.display().to_string()];
        let ingested = home.analyze(ingest.into_iter().chain(files));
        assert!(matches!(ingested.code, Some(0 | 3)), "{}", ingested.err);
        let store = Store::open(&database).unwrap();
        for (nth, (line, scripted)) in questions.iter().zip(&scripted).enumerate() {
            let in_memory = answer(line, |question| rollup.books(&question.range));
            assert_same(&in_memory, scripted, &format!("{}: {line}", input.name));
            // The store takes its time: every third question is enough.
            if nth % 3 == 0 {
                let stored = answer(line, |question| of_store(&store, question));
                assert_same(&stored, scripted, &format!("{} of the store: {line}", input.name));
            }
            with_rows += usize::from(scripted.lines().count() > 1);
            let bounds = |row: &str| row.rsplitn(3, ',').take(2).map(str::to_owned).collect::<Vec<_>>();
            ranged += usize::from(scripted.lines().skip(1).any(|row| bounds(row)[0] != bounds(row)[1]));
            zeros += usize::from(scripted.lines().any(|row| row.ends_with(",0,0")));
        }
        std::fs::remove_file(&database).unwrap();
    }
    // Questions whose answers say something.
    assert!(with_rows > QUESTIONS && ranged > 10 && zeros > 20, "{with_rows} {ranged} {zeros}");
}

#[test]
fn the_ledger_is_what_the_recorder_counts() {
    let home = Home::in_memory();
    for file in [testdata("netlab/browse-lan.pcap.gz"), home.write("nights.pcapng", &nights())] {
        // The recorder reads what is not compressed.
        let bytes = std::fs::read(&file).unwrap();
        let plain = match file.extension().is_some_and(|suffix| suffix == "gz") {
            true => {
                let mut plain = Vec::new();
                std::io::copy(&mut flate2::read::MultiGzDecoder::new(bytes.as_slice()), &mut plain).unwrap();
                plain
            }
            false => bytes,
        };
        home.write("plain", &plain);
        let Some(recorded) = home.record("--read plain --spool spool") else { return };
        assert_eq!(recorded.code, Some(0), "{}", recorded.err);
        let counted = |word: &str| -> u64 {
            let line =
                recorded.err.lines().chain(recorded.out.lines()).find_map(|line| line.strip_prefix(word)).unwrap();
            line.trim().parse().unwrap()
        };
        let report: serde_json::Value = serde_json::from_str(&home.ok("report plain --json")).unwrap();
        assert_eq!(report["ledger"]["packets"], counted("packets:"));
        assert_eq!(report["ledger"]["ip_bytes"], counted("IP bytes:"));
        assert_eq!(report["ledger"]["residual_bytes"], 0);
        let total = |key: &str| -> u64 {
            let report: serde_json::Value =
                serde_json::from_str(&home.ok(&format!("report plain --json --by {key} --include-local"))).unwrap();
            report["rows"].as_array().unwrap().iter().map(|row| row["total_bytes"].as_u64().unwrap()).sum()
        };
        let served = report["ledger"]["served_bytes"].as_u64().unwrap();
        for key in ["interface", "vlan", "source", "site,interface"] {
            assert_eq!(total(key) + served, counted("IP bytes:"), "{key}");
        }
        std::fs::remove_dir_all(home.path("spool")).unwrap();
    }
}
