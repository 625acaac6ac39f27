//! A dataset answers as the database that it was exported from; an export may be repeated, killed
//! and run beside another one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::{Home, fleet, recent, testdata};

/// 2026-08-31T22:00:00Z: two months, closed long since.
const START_S: i64 = 1_788_213_600;

/// A database of two recorders, a capture, and one whose month is open.
fn home() -> Home {
    let home = Home::in_memory();
    for recorder in [0xa1, 0xa2] {
        for sequence in 0..2 {
            let (name, bytes) = fleet::segment(recorder, sequence, START_S + i64::from(sequence) * 7_200, 2);
            home.write(&format!("tree/{recorder:x}/{name}"), &bytes);
        }
    }
    home.write("old.pcap.gz", &std::fs::read(testdata("netlab/browse-lan.pcap.gz")).unwrap());
    home.write("new.pcap", &recent("netlab/browse-lan.pcap.gz"));
    home.write("none/empty", b"");
    home.ok("ingest tree old.pcap.gz new.pcap --database imon.db --allow-overlap");
    home
}

const QUESTIONS: [&str; 19] = [
    "report --by site,day",
    "report --by recorder,site",
    "report --by device --mask all",
    "report --by device,hour --recorder a1a1a1a1 --in 2026-08-31..2026-09-01",
    "report --by host,evidence --site youtube.com",
    "report --by host --site example.com --in 2026-08-31",
    "report --by site --recorder a2a2a2a2 --in 2026-09",
    "report --by page,day",
    "report --by source,interface",
    "site youtube.com example.net site-a.test",
    "site 203.0.113.99 --recorder captures --recorder a1a1a1a1",
    // Days that are not whole in UTC, what is rare, and what is nowhere.
    "report --by site,hour --site youtube.com --zone Asia/Kathmandu --in 2026-09-01",
    "report --by day --recorder a1a1a1a1 --site example.com --zone America/St_Johns",
    "report --by host,device --host 203.0.113.99 --zone Asia/Kathmandu",
    "report --by site --site no-such.example",
    "report --by evidence --family Google --in 2026-09-01T00:30..2026-09-01T01:15",
    "site youtube.com --recorder a2a2a2a2 --in 2026-09",
    // A recorder of merged files, where what the others did counts for the ledger.
    "report --by evidence --recorder a1a1a1a1 --in 2026-09-01T00:30..2026-09-01T01:15",
    "report --by site,hour --recorder a1a1a1a1 --zone Asia/Kathmandu --in 2026-09-01",
];

/// The dataset's answers are the database's, to the byte.
fn assert_same(home: &Home, database: &str, dataset: &str) {
    same_answers(home, (database, dataset), &QUESTIONS);
}

fn assert_same_questions(home: &Home, questions: &[&str]) {
    same_answers(home, ("imon.db", "dataset"), questions);
}

fn same_answers(home: &Home, (database, dataset): (&str, &str), questions: &[&str]) {
    for question in questions {
        let question =
            if question.contains(" --in ") { (*question).to_owned() } else { format!("{question} --from 2026-08-01") };
        for format in if question.contains("site,day") { &["json", "table --ledger full"][..] } else { &["json"] } {
            let ask = |of: &str| home.ok(&format!("{question} --format {format} {of}"));
            let (found, wanted) =
                (ask(&format!("--dataset {dataset}")), ask(&format!("--database {database} --spool none")));
            let differs = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
            assert!(found == wanted, "{question}: {differs:?}");
            assert!(wanted.lines().count() > 2 || question.contains("no-such"), "{question}: {wanted}");
        }
    }
}

/// Every file below a folder, with its length and the time of its last change.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (u64, std::time::SystemTime)> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let about = std::fs::metadata(&path).unwrap();
            match about.is_dir() {
                true => folders.push(path),
                false => _ = files.insert(path, (about.len(), about.modified().unwrap())),
            }
        }
    }
    files
}

const EXPORT: &str = "export dataset --database imon.db --spool none";

#[test]
fn a_dataset_answers_as_its_database_to_the_byte() {
    let home = home();
    home.ok(EXPORT);
    assert_same(&home, "imon.db", "dataset");
    let files = tree(&home.path("dataset"));
    for (table, at_least) in [("rows", 5), ("pages", 5), ("ledger", 5)] {
        let is_of = |path: &&PathBuf| {
            let path = path.to_string_lossy();
            path.contains(&format!("/dataset/{table}/month=20")) && path.contains("/recorder=")
        };
        assert!(files.keys().filter(is_of).count() >= at_least, "{table}: {files:?}");
    }
    // Where there is none, and where a file is gone.
    let run = home.analyze(["report", "--dataset", "none"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains("no dataset"), "{}", run.err);
    let lost = files.keys().find(|path| path.to_string_lossy().contains("/rows/month=2026-09")).unwrap();
    std::fs::remove_file(lost).unwrap();
    let run = home.analyze("report --dataset dataset --in 2026-09 --json".split(' '));
    assert!(run.code == Some(3) && run.err.contains("2026-09") && run.out.contains("books-missing"), "{run:?}");
    home.ok(EXPORT);
    assert_same(&home, "imon.db", "dataset");
}

#[test]
fn a_repeated_export_changes_nothing_and_one_after_a_change_replaces_what_changed() {
    let home = home();
    home.ok(EXPORT);
    let before = tree(&home.path("dataset"));
    let run = home.analyze(EXPORT.split(' '));
    assert!(run.err.contains("0 new files") && run.err.contains("0 removed"), "{}", run.err);
    assert_eq!(tree(&home.path("dataset")), before);
    // A late source opens a month that was closed, and it is closed again as another file.
    let (name, bytes) = fleet::segment(0xa1, 2, START_S + 50_000, 1);
    home.write(&format!("tree/a1/{name}"), &bytes);
    home.ok("ingest tree --database imon.db");
    home.ok(EXPORT);
    assert_same(&home, "imon.db", "dataset");
    let after = tree(&home.path("dataset"));
    let rows = |files: &BTreeMap<PathBuf, _>, month: &str| {
        let of = format!("/rows/month={month}/");
        files.keys().filter(|path| path.to_string_lossy().contains(&of)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(rows(&before, "2026-08"), rows(&after, "2026-08"));
    assert_ne!(rows(&before, "2026-09"), rows(&after, "2026-09"));
    assert_eq!(rows(&before, "2026-09").len(), rows(&after, "2026-09").len(), "the old file is gone");
    // A month that nobody has any more goes with its files.
    home.ok("prune --before 2026-12-01 --database imon.db --zone UTC");
    home.ok(EXPORT);
    assert!(rows(&tree(&home.path("dataset")), "2026-09").is_empty());
}

#[test]
fn files_that_an_export_left_behind_go_and_those_of_others_stay() {
    let home = home();
    home.ok(EXPORT);
    let files = tree(&home.path("dataset"));
    let rows = files.keys().find(|path| path.to_string_lossy().contains("/rows/month=2026-09")).unwrap();
    // Written by this database, and named by no manifest: as if killed before the manifest.
    let orphan = rows.with_file_name("0123456789abcdef.parquet");
    std::fs::copy(rows, &orphan).unwrap();
    home.write("dataset/_imon/unfinished/x", b"cut short");
    // Somebody else's.
    let strange = home.write("dataset/rows/month=2026-09/recorder=x/notes.parquet", b"no parquet");
    home.ok(EXPORT);
    assert!(!orphan.exists() && strange.exists() && !home.path("dataset/_imon/unfinished/x").exists());
    // Another database beside it.
    home.ok("ingest tree/a1 --database other.db");
    home.ok("export dataset --database other.db --spool none");
    assert!(files.keys().all(|path| path.exists()));
    assert_eq!(
        std::fs::read_dir(home.path("dataset/_imon"))
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().path().extension().is_some_and(|suffix| suffix == "json") })
            .count(),
        2
    );
}

#[test]
fn an_export_beside_another_one_says_so_and_changes_nothing() {
    let home = home();
    home.ok(EXPORT);
    let before = tree(&home.path("dataset"));
    let lock = std::fs::File::open(home.path("dataset/_imon/lock")).unwrap();
    lock.lock().unwrap();
    let run = home.analyze(EXPORT.split(' '));
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains("another export writes into dataset"), "{}", run.err);
    assert_eq!(tree(&home.path("dataset")), before);
    lock.unlock().unwrap();
    home.ok(EXPORT);
}

#[test]
fn flows_and_names_of_kept_sources_come_on_request_and_once() {
    let home = home();
    let line = format!("{EXPORT} --with flows,names");
    home.ok(&line);
    let before = tree(&home.path("dataset"));
    for table in ["flows", "names"] {
        let of =
            |path: &&PathBuf| path.to_string_lossy().contains(&format!("/dataset/{table}/month=2026-08/recorder="));
        assert_eq!(before.keys().filter(of).count(), 2, "{table}: {before:?}");
    }
    home.ok(&line);
    assert_eq!(tree(&home.path("dataset")), before);
    // Not asked for: they go.
    home.ok(EXPORT);
    assert!(!home.path("dataset/flows").join("month=2026-08").exists());
}

/// Half as often as `IMON_KILLS` says (100 for a release).
#[test]
fn an_export_that_is_killed_leaves_a_dataset_that_is_whole() {
    let kills = std::env::var("IMON_KILLS").ok().and_then(|n| n.parse().ok()).map_or(12_u64, |n: u64| n / 2);
    let home = home();
    home.ok("export first --database imon.db --spool none");
    let manifest = |folder: &str| {
        let files = std::fs::read_dir(home.path(folder).join("_imon")).ok()?;
        let path = files.flatten().map(|e| e.path()).find(|path| path.extension().is_some_and(|s| s == "json"))?;
        Some(std::fs::read_to_string(path).unwrap())
    };
    let wanted = manifest("first");
    for nth in 0..kills {
        let program = assert_cmd::cargo::cargo_bin("imon-analyze");
        let mut child = std::process::Command::new(program)
            .args(EXPORT.split(' '))
            .current_dir(home.path(""))
            .env("HOME", home.path(""))
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(nth * 37 % 450));
        _ = child.kill();
        child.wait().unwrap();
        // What a manifest names is there, whole.
        if let Some(text) = manifest("dataset") {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            for entry in value["files"].as_array().unwrap() {
                let path = home.path("dataset").join(entry["file"].as_str().unwrap());
                assert_eq!(std::fs::metadata(path).unwrap().len(), entry["bytes"].as_u64().unwrap());
            }
        }
        if nth % 4 == 3 {
            std::fs::remove_dir_all(home.path("dataset")).unwrap();
        }
    }
    home.ok(EXPORT);
    assert_eq!(manifest("dataset"), wanted);
    assert_eq!(tree(&home.path("dataset")).len(), tree(&home.path("first")).len(), "nothing is left over");
    assert_same(&home, "imon.db", "dataset");
}

/// Files of a table of a month, by their names.
fn files_of(home: &Home, of: &str) -> Vec<String> {
    let files = tree(&home.path("dataset")).into_keys().map(|path| path.to_string_lossy().into_owned());
    files.filter(|path| path.contains(of)).collect()
}

/// Start and site of each row of a file.
fn places(path: &Path) -> Vec<(i64, String)> {
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::{Int32Type, TimestampMicrosecondType};
    let file = std::fs::File::open(path).unwrap();
    let reader = imon_analyze::archive::Table::new(file, imon_analyze::archive::Part::Rows).unwrap();
    let mut places = Vec::new();
    for batch in reader.batches(1_000).unwrap() {
        let batch = batch.unwrap();
        let starts = batch.column_by_name("start").unwrap().as_primitive::<TimestampMicrosecondType>();
        let sites = batch.column_by_name("site").unwrap().as_dictionary::<Int32Type>();
        let names = sites.values().as_string::<i32>();
        for i in 0..batch.num_rows() {
            places.push((starts.value(i), names.value(sites.keys().value(i) as usize).to_owned()));
        }
    }
    places
}

#[test]
fn a_compacted_dataset_is_one_sorted_file_a_month_and_answers_as_its_database() {
    let home = home();
    home.ok(EXPORT);
    let rows: usize = files_of(&home, "/rows/month=2026-09/").iter().map(|path| places(Path::new(path)).len()).sum();
    assert_eq!(files_of(&home, "/rows/month=2026-09/recorder=").len(), 2);
    home.ok(&format!("{EXPORT} --compact"));
    for table in ["rows", "pages", "ledger"] {
        let files = files_of(&home, &format!("/{table}/month=2026-09/"));
        assert!(files.len() == 1 && files[0].contains("/month=2026-09/part-00000-"), "{files:?}");
    }
    assert!(files_of(&home, "recorder=").is_empty(), "engines want one depth of folders");
    let found = places(Path::new(&files_of(&home, "/rows/month=2026-09/")[0]));
    assert!(found.is_sorted() && found.len() == rows && rows > 10, "{rows} {found:?}");
    assert_same(&home, "imon.db", "dataset");
    // Repeated, and by an export that does not ask for it.
    let before = tree(&home.path("dataset"));
    home.ok(&format!("{EXPORT} --compact"));
    home.ok(EXPORT);
    assert_eq!(tree(&home.path("dataset")), before);
    // A month that is booked again replaces its file, and no other one.
    let (name, bytes) = fleet::segment(0xa1, 2, START_S + 50_000, 1);
    home.write(&format!("tree/a1/{name}"), &bytes);
    home.ok("ingest tree --database imon.db");
    home.ok(&format!("{EXPORT} --compact"));
    assert_same(&home, "imon.db", "dataset");
    let after = tree(&home.path("dataset"));
    let of = |files: &BTreeMap<PathBuf, _>, month: &str| {
        files.keys().filter(|path| path.to_string_lossy().contains(month)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of(&before, "month=2026-08"), of(&after, "month=2026-08"));
    let of = |files: &BTreeMap<PathBuf, _>| of(files, "/rows/month=2026-09");
    assert!(of(&before) != of(&after) && of(&after).len() == 1, "{:?}", of(&after));
    // Another database beside it writes in the same depth.
    home.ok("ingest tree/a1 --database other.db");
    home.ok("export dataset --database other.db --spool none");
    assert!(files_of(&home, "recorder=").is_empty());
    home.ok(&format!("{EXPORT} --compact"));
    assert!(of(&tree(&home.path("dataset"))).len() > 1, "what is another database's stays");
}

#[test]
fn a_masked_dataset_has_the_amounts_and_no_name_and_the_same_pseudonyms_each_time() {
    let home = home();
    let masked = |to: &str, more: &str| format!("export {to} --database imon.db --spool none --mask all {more}");
    home.ok(&masked("dataset", ""));
    let of_dataset = |to: &str, question: &str| {
        let text = home.ok(&format!("{question} --from 2026-08-01 --json --dataset {to}"));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    // Nothing of it says who, where or what.
    let secrets =
        ["youtube", "example", "site-a.test", "192.168.", "203.0.113.", "a1a1a1a1", "browse-lan", "eth0", "/tree/"];
    for path in tree(&home.path("dataset")).keys() {
        let name = path.to_string_lossy();
        assert!(!name.contains("a1a1a1a1"), "{name}");
        if name.contains("/rows/") || name.contains("/pages/") || name.contains("/ledger/") {
            let text = texts(path);
            assert!(secrets.iter().all(|secret| !text.iter().any(|of| of.contains(secret))), "{name}: {text:?}");
        }
    }
    // The amounts are those of the database, by site, device and recorder.
    for by in ["site", "host", "device", "recorder", "day", "evidence,interface"] {
        let amounts = |value: &serde_json::Value| {
            let rows = value["rows"].as_array().unwrap().iter();
            let mut rows: Vec<_> =
                rows.map(|row| ["total_bytes", "low_bytes", "high_bytes"].map(|of| row[of].as_u64())).collect();
            rows.sort_unstable();
            rows
        };
        let question = format!("report --by {by} --limit 0");
        let plain = home.ok(&format!("{question} --from 2026-08-01 --json --database imon.db --spool none"));
        let (plain, found) = (serde_json::from_str(&plain).unwrap(), of_dataset("dataset", &question));
        assert_eq!(amounts(&found), amounts(&plain), "{by}");
        assert_eq!(found["ledger"]["named_bytes"], plain["ledger"]["named_bytes"]);
    }
    // Another day's export, and one that is compact, have the same pseudonyms.
    let before = tree(&home.path("dataset"));
    home.ok(&masked("dataset", ""));
    assert_eq!(tree(&home.path("dataset")), before);
    home.ok(&masked("compact", "--compact"));
    assert_eq!(
        of_dataset("compact", "report --by recorder,site,day"),
        of_dataset("dataset", "report --by recorder,site,day")
    );
    // The key is its user's alone, and outside.
    let key = home.path("mask.key");
    let mode = |path: &Path| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap()) & 0o777;
    assert_eq!(mode(&key), 0o600);
    for (line, why) in [
        (EXPORT.to_owned(), "no mask"),
        (masked("dataset", "--mask-key other.key"), "with the key"),
        (EXPORT.to_owned() + " --mask hosts", "--mask hosts"),
        (masked("dataset", "--mask-key dataset/own.key"), "part of the dataset"),
        (masked("dataset", "--with flows"), "--with"),
    ] {
        let run = home.analyze(line.split(' ').filter(|word| !word.is_empty()));
        assert!(run.code != Some(0) && run.err.contains(why), "{line}: {run:?}");
        assert_eq!(tree(&home.path("dataset")), before, "{line}");
    }
    assert_eq!(mode(&home.path("other.key")), 0o600);
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let line = masked("dataset", "");
    let run = home.analyze(line.split(' ').filter(|word| !word.is_empty()));
    assert!(run.code == Some(1) && run.err.contains("chmod 600"), "{run:?}");
}

/// Every text in a file.
fn texts(path: &Path) -> std::collections::BTreeSet<String> {
    use arrow_array::cast::AsArray as _;
    let name = path.to_string_lossy();
    let part = imon_analyze::archive::Part::ALL.into_iter().find(|part| name.contains(&format!("/{}/", part.word())));
    let table = imon_analyze::archive::Table::new(std::fs::File::open(path).unwrap(), part.unwrap()).unwrap();
    let mut texts: std::collections::BTreeSet<String> = table.about().into_values().collect();
    for batch in table.batches(1_000).unwrap() {
        for column in batch.unwrap().columns() {
            let values = match column.as_list_opt::<i32>() {
                Some(lists) => lists.values().clone(),
                None => column.clone(),
            };
            if let Some(values) = values.as_any_dictionary_opt() {
                texts.extend(values.values().as_string::<i32>().iter().flatten().map(str::to_owned));
            }
        }
    }
    texts
}

/// Bytes that a report on the dataset read.
fn read_bytes(home: &Home, question: &str) -> u64 {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("imon-analyze"));
    command.env_clear().env("HOME", home.path("")).env("IMON_SHOW_READ", "1").current_dir(home.path(""));
    let run = command.args(question.split_whitespace()).output().unwrap();
    let err = String::from_utf8(run.stderr).unwrap();
    let line = err.lines().find(|line| line.contains("bytes were read")).unwrap_or_default();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_question_on_a_month_or_a_recorder_reads_no_rows_of_others() {
    let home = home();
    home.ok(EXPORT);
    let read = |more: &str| read_bytes(&home, &format!("report --dataset dataset --zone UTC --json {more}"));
    let (all, month) = (read("--from 2026-08-01"), read("--in 2026-08"));
    assert!(month < all, "{all} {month}");
    let (all, one) =
        (read("--from 2026-08-01 --by recorder"), read("--from 2026-08-01 --by recorder --recorder a2a2a2a2"));
    assert!(one < all, "{all} {one}");
    // What is nowhere is looked for where it could be found, and not in the rows.
    let site = |name: &str| read(&format!("--from 2026-08-01 --site {name}"));
    let (found, nowhere) = (site("example.org"), site("nowhere.test"));
    assert!(nowhere < found, "{found} {nowhere}");
}

/// Manifests of the dataset, read and written.
fn with_manifest(home: &Home, change: impl Fn(&mut serde_json::Value)) {
    for entry in std::fs::read_dir(home.path("dataset/_imon")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "json") {
            let mut value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            change(&mut value);
            std::fs::write(&path, serde_json::to_string(&value).unwrap()).unwrap();
        }
    }
}

#[test]
fn summaries_stand_for_ledgers_and_where_there_are_none_ledgers_are_read() {
    let home = home();
    let asked = "report --dataset dataset --zone UTC --json --from 2026-08-01 --site example.org";
    for how in ["", " --compact"] {
        home.ok(&format!("{EXPORT}{how}"));
        let summaries = files_of(&home, "/summary/month=");
        let of = |table: &str| summaries.iter().filter(|path| path.contains(&format!("/{table}-"))).count();
        // The rows of the capture are hardly fewer by day.
        assert_eq!((of("summary"), of("days")), (3, 2), "of three months: {summaries:?}");
        let text = home.ok(asked);
        // Nothing of the ledgers is read.
        let ledgers = spoilt(&home, "/ledger/month=");
        assert_eq!(home.ok(asked), text);
        ledgers.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        // Without them the ledgers are read, and say the same.
        let before: Vec<_> = summaries.iter().map(|path| std::fs::read(path).unwrap()).collect();
        summaries.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        assert_eq!(home.ok(asked), text);
        assert_same(&home, "imon.db", "dataset");
        // One that is not what the manifest says stands for nothing.
        for (path, bytes) in summaries.iter().zip(&before) {
            let mut bytes = bytes.clone();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
        assert_eq!(home.ok(asked), text);
        // Nor one of other ledgers, nor those of manifests that know of none.
        summaries.iter().zip(&before).for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
        with_manifest(&home, |manifest| {
            manifest["summaries"].as_array_mut().unwrap().iter_mut().for_each(|entry| entry["of"] = "0".into());
        });
        assert_eq!(home.ok(asked), text);
        with_manifest(&home, |manifest| _ = manifest.as_object_mut().unwrap().remove("summaries"));
        assert_eq!(home.ok(asked), text);
        // The next export has them again.
        home.ok(&format!("{EXPORT}{how}"));
        assert_eq!(home.ok(asked), text);
        assert_eq!(files_of(&home, "/summary/month="), summaries);
    }
    // What somebody took out of the books is told by a database alone.
    home.ok("prune --device 192.168.161.2 --from 2026-08-31 --to 2026-09-02 --database imon.db --zone UTC");
    home.ok(&format!("{EXPORT} --compact"));
    assert_same(&home, "imon.db", "dataset");
}

#[test]
fn what_a_summary_says_of_many_segments_is_a_line_or_two() {
    let home = Home::in_memory();
    for sequence in 0..60 {
        // An hour each, without a pause but one.
        let start_s = START_S + i64::from(sequence) * 3_600 + if sequence > 40 { 7_200 } else { 0 };
        let (name, bytes) = fleet::segment(0xa1, sequence, start_s, 1);
        home.write(&format!("tree/{name}"), &bytes);
    }
    home.write("none/empty", b"");
    home.ok("ingest tree --database imon.db");
    home.ok(EXPORT);
    let count = |of: &str| {
        let paths = files_of(&home, of);
        paths.iter().map(|path| rows_of_kind(Path::new(path), "recorded")).sum::<usize>()
    };
    let (all, condensed) = (count("/ledger/month="), count("/summary-"));
    assert!(all >= 60 && (1..12).contains(&condensed), "{all} {condensed}");
    assert_same_questions(
        &home,
        &["report --by site,day", "report --by day --in 2026-09-01..2026-09-02 --site youtube.com"],
    );
}

/// Overwrites files without a change of their length; gives what was in them.
fn spoilt(home: &Home, of: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = files_of(home, of).into_iter().map(PathBuf::from);
    let files: Vec<_> = files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    assert!(!files.is_empty());
    files.iter().for_each(|(path, bytes)| std::fs::write(path, vec![0; bytes.len()]).unwrap());
    files
}

/// Rows of a ledger that are of this kind.
fn rows_of_kind(path: &Path, wanted: &str) -> usize {
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Int32Type;
    let part = imon_analyze::archive::Part::Ledger;
    let table = imon_analyze::archive::Table::new(std::fs::File::open(path).unwrap(), part).unwrap();
    let mut count = 0;
    for batch in table.batches(1_000).unwrap() {
        let batch = batch.unwrap();
        let kinds = batch.column_by_name("kind").unwrap().as_dictionary::<Int32Type>();
        let words = kinds.values().as_string::<i32>();
        count += kinds.keys().values().iter().filter(|key| words.value(**key as usize) == wanted).count();
    }
    count
}

#[test]
fn rows_by_day_answer_what_needs_no_more_and_days_that_are_cut_come_from_rows() {
    let home = home();
    home.ok(EXPORT);
    let days: Vec<String> =
        files_of(&home, "/summary/month=").into_iter().filter(|path| path.contains("/days-")).collect();
    let questions = [
        "report --by site,day --zone UTC",
        "report --by host,evidence,month --zone UTC",
        "report --by family,week --zone UTC --in 2026-08-20..2026-09-10",
        "report --by site --site example.org --site youtube.com --zone Asia/Kathmandu --in 2026-08-31..2026-09-03",
        "report --by site,day --zone America/New_York",
        "report --by site,hour --zone UTC --in 2026-09-01",
        "report --by hour-of-day --zone UTC",
        "report --by site,device --zone UTC",
        "report --by served --zone UTC",
        "report --by site --include-local --min 1k --zone UTC",
        "site youtube.com 203.0.113.99 --zone UTC",
        "report --by evidence --in 2026-08-31T22:15..2026-09-01T01:00",
    ];
    assert_same_questions(&home, &questions);
    // No row of a recorder is read where no key divides a day. November has rows alone.
    let by = |keys: &str| {
        format!("report --dataset dataset --json --from 2026-08-01 --to 2026-09-30 --zone UTC --by {keys}")
    };
    let text = home.ok(&by("site,day"));
    let rows = spoilt(&home, "/rows/month=");
    assert_eq!(home.ok(&by("site,day")), text);
    for keys in ["site,hour-of-day", "site,device"] {
        let run = home.analyze(by(keys).split(' '));
        assert!(run.code == Some(3) && run.out.contains("books-damaged"), "{run:?}");
    }
    // One that is gone is missed all the same.
    std::fs::remove_file(&rows[0].0).unwrap();
    assert_eq!(home.analyze(by("site,day").split(' ')).code, Some(3));
    rows.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    days.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    assert_eq!(home.ok(&by("site,day")), text);
    assert_same_questions(&home, &questions);
}
