//! Several recorders in one tree of spools: a recorder is a key and a filter, by its name or its
//! id, the same through every door.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use support::{Home, fleet, testdata};

/// 2026-08-31T22:00:00Z: the month ends two hours later, and is closed long since.
const START_S: i64 = 1_788_213_600;
const RANGE: &str = "--in 2026-08-31..2026-09-01 --json";

/// Two recorders with a spool each below `tree`, and a capture.
fn home() -> Home {
    let home = Home::in_memory();
    for recorder in [0xa1, 0xa2] {
        for sequence in 0..2 {
            let (name, bytes) = fleet::segment(recorder, sequence, START_S + i64::from(sequence) * 7_200, 2);
            home.write(&format!("tree/{recorder:x}/{name}"), &bytes);
        }
    }
    home.write(".config/imon/imon.toml", format!("[recorders]\n\"{}\" = \"attic\"\n", fleet::id(0xa1)).as_bytes());
    home.write("none/empty", b"");
    home
}

fn rows(text: &str) -> Vec<Value> {
    let value: Value = serde_json::from_str(text).unwrap();
    value["rows"].as_array().unwrap().clone()
}

#[test]
fn a_recorder_is_key_and_filter_the_same_in_files_in_the_store_and_in_closed_months() {
    let home = home();
    home.ok("ingest tree --database imon.db");
    assert!(home.ok("status --months --database imon.db").contains("closed"), "both months are old");
    let questions = [
        "report FILES --by recorder",
        "report FILES --by recorder,site,day",
        "report FILES --by site --recorder attic",
        "report FILES --by device --recorder a2a2a2a2",
        "report FILES --by page,recorder",
        "report FILES --by recorder,source,interface",
    ];
    for question in questions {
        let files = home.ok(&format!("{} {RANGE}", question.replace("FILES", "tree")));
        let stored = home.ok(&format!(
            "{} {RANGE} --database imon.db --spool none",
            question.replace("FILES", "").replace("  ", " ")
        ));
        assert_eq!(rows(&files), rows(&stored), "{question}");
        assert!(!rows(&files).is_empty(), "{question}");
    }
    let site = |files: &str| home.ok(&format!("site youtube.com {files} --recorder ATTIC {RANGE}"));
    assert_eq!(rows(&site("--database imon.db --spool none")), rows(&site("--files tree")));
}

#[test]
fn recorders_add_up_to_all_and_captures_are_theirs_that_no_recorder_recorded() {
    let home = home();
    home.write("browse.pcap.gz", &std::fs::read(testdata("netlab/browse-lan.pcap.gz")).unwrap());
    home.ok("ingest tree browse.pcap.gz --database imon.db");
    let ask = |question: &str| {
        rows(&home.ok(&format!("report --database imon.db --spool none {question} --in 2020..2030 --json")))
    };
    let total = |rows: &[Value]| rows.iter().map(|row| row["total_bytes"].as_u64().unwrap()).sum::<u64>();
    let all = ask("--by recorder");
    let names: Vec<&str> = all.iter().map(|row| row["recorder"].as_str().unwrap()).collect();
    let second = fleet::id(0xa2);
    for name in ["attic", "(captures)", &second] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert_eq!((all.len(), total(&all)), (3, total(&ask("--by site"))));
    for (typed, called) in [("attic", "attic"), ("captures", "(captures)"), (&*second, &*second)] {
        let of_one = all.iter().find(|row| row["recorder"] == called).unwrap();
        assert_eq!(total(&ask(&format!("--recorder {typed} --by site"))), of_one["total_bytes"], "{typed}");
    }
    assert_eq!(total(&ask("--recorder attic --recorder captures --recorder a2a2a2a2 --by site")), total(&all));
}

#[test]
fn flows_and_names_take_the_filter_and_flows_of_a_quarter_say_their_recorder() {
    let home = home();
    let lines = |line: &str| home.ok(line).lines().count();
    let all = lines("flows tree");
    assert_eq!(lines("flows tree --recorder attic") * 2, all);
    assert_eq!(lines("names tree --recorder a2a2a2a2") * 2, lines("names tree"));
    let quarters = home.ok("flows tree --every 15m --recorder attic");
    assert!(!quarters.is_empty() && quarters.lines().all(|line| line.contains("\"recorder\":\"attic\"")));
}

#[test]
fn a_recorder_that_nobody_knows_is_a_usage_error_and_so_is_a_name_twice() {
    let home = home();
    let run = home.analyze(["report", "tree", "--recorder", "cellar"]);
    assert_eq!(run.code, Some(2), "{}", run.err);
    assert!(run.err.contains("no recorder `cellar`") && run.err.contains("[recorders]"), "{}", run.err);
    for (text, what) in [
        (format!("[recorders]\n\"{}\" = \"x\"\n\"{}\" = \"x\"\n", fleet::id(1), fleet::id(2)), "two recorders"),
        (format!("[recorders]\n\"{}\" = \"x\"\n\"{}\" = \"X\"\n", fleet::id(1), fleet::id(2)), "two recorders"),
        ("[recorders]\nattic = \"x\"\n".to_owned(), "no id of a recorder"),
        (format!("[recorders]\n\"{}\" = 7\n", fleet::id(1)), "a name is a text"),
    ] {
        home.write("bad.toml", text.as_bytes());
        let run = home.analyze(["--config", "bad.toml", "report", "tree"]);
        assert_eq!(run.code, Some(2), "{}", run.err);
        assert!(run.err.contains(what) && run.err.contains("bad.toml"), "{}", run.err);
    }
    let masked = home.ok(&format!("report tree --by recorder --recorder attic --mask devices {RANGE}"));
    assert!(!masked.contains("attic") && masked.contains("recorder 1"), "{masked}");
}

#[test]
fn a_segment_that_is_on_its_way_is_not_read_and_one_that_came_in_part_counts_once_when_it_is_whole() {
    let home = home();
    home.ok("ingest tree --database whole.db");
    let ask = |database: &str| {
        rows(&home.ok(&format!("report --database {database} --spool none --by recorder,site,day {RANGE}")))
    };
    let whole = ask("whole.db");
    let (name, bytes) = fleet::segment(0xa1, 1, START_S + 7_200, 2);
    let path = home.path(&format!("tree/a1/{name}"));
    std::fs::remove_file(&path).unwrap();
    // As rsync calls what it is still writing.
    let beside = home.write(&format!("tree/a1/.{name}.Xa71bc"), &bytes[..bytes.len() / 2]);
    home.ok("ingest tree --database cut.db");
    let before = ask("cut.db");
    assert_ne!(before, whole);
    for cut in [0, 10, 200, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&beside, &bytes[..cut]).unwrap();
        home.ok("ingest tree --database cut.db");
        assert_eq!(ask("cut.db"), before, "{cut} bytes of it are there");
    }
    std::fs::rename(&beside, &path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    home.ok("ingest tree --database cut.db");
    assert_eq!(ask("cut.db"), whole);
    // A copy without a rename that was cut in the middle.
    for cut in [200, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let database = format!("cut-{cut}.db");
        home.analyze(["ingest", "tree", "--database", &database]);
        std::fs::write(&path, &bytes).unwrap();
        home.ok(&format!("ingest tree --database {database}"));
        assert_eq!(ask(&database), whole, "{cut} bytes came first");
    }
}
