//! `prune --device`: a device is taken out of the books and stays out, and nothing of it is left.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::{Home, beginning, recent, rows_and_ledger};

/// The device that goes, and the one that stays.
const GOES: &str = "198.18.0.11";
const STAYS: &str = "198.18.0.12";

/// Hosts that only the first one used, and one that both did.
const ITS_OWN: [&str; 4] = ["upload.site-h", "www.site-e", "cached-sni", "nosni-c"];
const OF_BOTH: &str = "www.site-b";

/// A capture of two browsers, as if it had begun at this second, its packets `stretch` times as far
/// apart.
fn capture(begins_s: u32, stretch: u32) -> Vec<u8> {
    beginning("netlab/browse-lan.pcap.gz", begins_s, stretch)
}

/// Two months that are closed (2020-03 and 2020-04), and one that is open.
fn home() -> Home {
    let home = Home::in_memory();
    home.write("end.pcap", &capture(1_585_699_080, 15));
    home.write("new.pcap", &recent("netlab/browse-lan.pcap.gz"));
    std::fs::create_dir(home.path("none")).unwrap();
    home.ok("ingest end.pcap new.pcap --database imon.db");
    home
}

fn ask(home: &Home, question: &str) -> (Vec<serde_json::Value>, serde_json::Value) {
    rows_and_ledger(&home.ok(&format!(
        "report --database imon.db --spool none --from 2020-01-01 --to 2150-01-01 --include-local --json {question}"
    )))
}

fn number(value: &serde_json::Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key}: {value}"))
}

fn bytes_of(home: &Home, device: &str) -> u64 {
    let (rows, _) = ask(home, "--by device");
    rows.iter().filter(|row| row["device"] == device).map(|row| number(row, "total_bytes")).sum()
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => all.extend(files(&entry.path())),
            false => all.push(entry.path()),
        }
    }
    all.sort();
    all
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// What the database's files say of the device: nothing.
fn is_clean(home: &Home) {
    for suffix in ["", "-wal", "-alerts"] {
        let Ok(file) = std::fs::read(home.path(&format!("imon.db{suffix}"))) else { continue };
        for name in ITS_OWN {
            assert!(!holds(&file, name.as_bytes()), "{name} is in imon.db{suffix}");
        }
        assert!(!holds(&file, &[2, 0, 0, 0, 0, 0x11]), "its hardware address is in imon.db{suffix}");
        assert!(!holds(&file, &[198, 18, 0, 11]), "its address is in imon.db{suffix}");
        assert!(!holds(&file, b"02:00:00:00:00:11") && !holds(&file, GOES.as_bytes()), "imon.db{suffix}");
    }
}

#[test]
fn a_device_goes_and_nothing_of_it_is_left_or_comes_back() {
    let home = home();
    let (before, of_it) = (ask(&home, "--by device").1, bytes_of(&home, GOES));
    let of_other = ask(&home, &format!("--by host,day --device {STAYS}")).0;
    let database = std::fs::read(home.path("imon.db")).unwrap();
    for name in ITS_OWN.into_iter().chain([OF_BOTH]) {
        assert!(holds(&database, name.as_bytes()), "{name}: else this test shows nothing");
    }
    assert!(of_it > 100_000_000 && holds(&database, &[2, 0, 0, 0, 0, 0x11]));

    let alerts = "{\"told\":{\"new-device 2020  198.18.0.11\":{\"done\":true,\"tries\":1,\"at_s\":4000000000},\
                  \"new-site 2020  other.test\":{\"done\":true,\"tries\":1,\"at_s\":4000000000}}}";
    home.write("imon.db-alerts", alerts.as_bytes());
    // A dry run says what would go, and changes nothing.
    let months = files(&home.path("books"));
    let run = home.analyze(["prune", "--database", "imon.db", "--device", GOES, "--dry-run"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    for line in
        ["would remove", "198.18.0.11 (02:00:00:00:00:11)", "2 closed months anew", "2 kept captures", "backups"]
    {
        assert!(run.err.contains(line), "{line}: {}", run.err);
    }
    assert_eq!((ask(&home, "--by device").1, files(&home.path("books"))), (before.clone(), months));
    assert_eq!(files(&home.path("captures")).len(), 2);

    home.ok(&format!("prune --database imon.db --device {GOES}"));
    is_clean(&home);
    assert!(home.ok("status --database imon.db").contains("\nrules     1 of `prune --device`"));
    assert!(std::fs::read_to_string(home.path("imon.db-alerts")).unwrap().contains("other.test"));
    assert!(holds(&std::fs::read(home.path("imon.db")).unwrap(), OF_BOTH.as_bytes()));
    assert!(files(&home.path("captures")).is_empty());
    let (rows, ledger) = ask(&home, "--by device");
    assert_eq!(rows.len(), 1, "{rows:?}");
    // Every byte is somewhere still.
    assert_eq!(number(&ledger, "removed_bytes"), of_it);
    assert_eq!(number(&ledger, "ip_bytes") + of_it, number(&before, "ip_bytes"));
    assert_eq!(number(&ledger, "packets") + number(&ledger, "removed_packets"), number(&before, "packets"));
    assert_eq!(ledger["residual_bytes"], 0);
    assert_eq!(ask(&home, &format!("--by host,day --device {STAYS}")).0, of_other, "others keep what they had");
    assert_eq!(home.ok("check imon.db").matches("whole").count(), 7);

    // Nor do the captures bring it back, or what is booked again.
    for line in ["ingest end.pcap new.pcap", "rebuild", "close --month 2020-03"] {
        home.ok(&format!("{line} --database imon.db"));
        is_clean(&home);
        let (rows, ledger) = ask(&home, "--by device");
        assert_eq!((rows.len(), number(&ledger, "removed_bytes")), (1, of_it), "{line}");
        assert!(files(&home.path("captures")).is_empty(), "{line}");
    }
    // A copy of the capture that was never seen, of a day before the rule ends.
    home.write("other.pcap", &capture(1_583_841_600, 1));
    home.ok("ingest other.pcap --database imon.db");
    is_clean(&home);
    assert_eq!(ask(&home, "--by device").0.len(), 1);
    assert!(files(&home.path("captures")).is_empty());
    // It is gone: there is nothing to remove.
    let run = home.analyze(["prune", "--database", "imon.db", "--device", GOES]);
    assert!(run.code == Some(1) && run.err.contains("nothing is booked of 198.18.0.11"), "{}", run.err);
}

#[test]
fn a_range_takes_its_own_part_and_a_name_means_every_address() {
    let home = home();
    home.write(
        ".config/imon/imon.toml",
        b"[devices.\"Ann's phone\"]\nmac = [\"02:00:00:00:00:11\", \"02:00:00:00:00:99\"]\nowner = \"Ann\"\n",
    );
    let of_day = |day: &str| {
        let (rows, ledger) =
            rows_and_ledger(&home.ok(&format!("report --database imon.db --spool none --in {day} --by device --json")));
        let of = |row: &&serde_json::Value| row["device_name"] == "Ann's phone" || row["device"] == "Ann's phone";
        (rows.iter().filter(of).map(|row| number(row, "total_bytes")).sum::<u64>(), number(&ledger, "removed_bytes"))
    };
    let (march, april) = (of_day("2020-03-31").0, of_day("2020-04-01").0);
    assert!(march > 0 && april > 0);
    let run = home.analyze([
        "prune",
        "--database",
        "imon.db",
        "--device",
        "ann's PHONE",
        "--from",
        "2020-04",
        "--to",
        "2020-04",
    ]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("1 closed month anew"), "{}", run.err);
    assert_eq!(of_day("2020-03-31"), (march, 0));
    assert_eq!(of_day("2020-04-01"), (0, april));
    assert!(bytes_of(&home, "Ann's phone") > 0 || ask(&home, "--by device").0.len() == 2);
    // Its owner's name does as well; a second wish adds to the first.
    let owner = home.analyze(["prune", "--database", "imon.db", "--device", "ANN", "--to", "2020-04-01"]);
    assert_eq!(owner.code, Some(0), "{}", owner.err);
    assert_eq!((of_day("2020-03-31"), of_day("2020-04-01")), ((0, march), (0, april)));
    // Quarter hours are what the books are kept in.
    let cut = home.analyze(["prune", "--database", "imon.db", "--device", GOES, "--from", "2020-04-01T00:07"]);
    assert!(cut.code == Some(2) && cut.err.contains("quarter hour"), "{}", cut.err);
    for wrong in
        [&["--from", "2020-01-01"][..], &["--device", GOES, "--captures-only"], &["--device", GOES, "--configured"]]
    {
        let run = home.analyze(["prune", "--database", "imon.db"].iter().chain(wrong));
        assert_eq!(run.code, Some(2), "{wrong:?}: {}", run.err);
    }
}

#[test]
fn plans_count_what_was_removed_and_so_do_the_folder_alone_and_a_dataset() {
    let home = home();
    home.write("imon.toml", b"[[plan]]\nname = \"home\"\ncap = \"1 TB\"\n");
    let used = |day: &str| {
        let line = format!("plan --config imon.toml --database imon.db --spool none --on {day} --json");
        let value: serde_json::Value = serde_json::from_str(&home.ok(&line)).unwrap();
        number(&value["plans"][0], "used_bytes")
    };
    let before = [used("2020-03-31"), used("2020-04-01")];
    assert!(before[0] > 10_000_000);
    home.ok(&format!("prune --database imon.db --device {GOES}"));
    assert_eq!([used("2020-03-31"), used("2020-04-01")], before);
    let ask_march = "--in 2020-03 --by host --json";
    let expect = rows_and_ledger(&home.ok(&format!("report --database imon.db --spool none {ask_march}")));
    assert!(number(&expect.1, "removed_bytes") > 0);
    home.ok("export out --database imon.db --spool none");
    let found = rows_and_ledger(&home.ok(&format!("report --dataset out {ask_march}")));
    assert_eq!((&found.0, &found.1["removed_bytes"]), (&expect.0, &expect.1["removed_bytes"]));
    for name in ["imon.db", "imon.db-wal", "imon.db-shm"] {
        _ = std::fs::remove_file(home.path(name));
    }
    home.ok("rebuild --from-books --database imon.db");
    assert_eq!(rows_and_ledger(&home.ok(&format!("report --database imon.db --spool none {ask_march}"))), expect);
    assert_eq!([used("2020-03-31"), used("2020-04-01")], before);
}

#[test]
fn segments_of_a_recorder_are_named_as_holding_it_and_a_router_is_no_device() {
    let home = home();
    let Some(_) = home.record("--read end.pcap --spool spool") else { return };
    home.ok("ingest spool --database own.db");
    let run = home.analyze(["prune", "--database", "own.db", "--device", "198.18.0.11/32"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    if run.err.contains("until the recorder removes it") {
        assert!(run.err.contains("spool/"), "{}", run.err);
    }
    let again =
        || rows_and_ledger(&home.ok("report --database own.db --spool none --from 2020-01-01 --json --by device")).0;
    assert_eq!(again().len(), 1);
    // Booked again from segments that hold it.
    home.ok("rebuild --database own.db");
    assert_eq!(again().len(), 1);
}

/// Killed at any moment: the books are those of before or those of after, and what is left over
/// goes with the next ingest.
#[test]
fn a_prune_that_is_killed_did_nothing_or_all() {
    let original = home();
    let states: Vec<(u64, u64)> = {
        let ledger = ask(&original, "--by device").1;
        let all = number(&ledger, "ip_bytes");
        let its = bytes_of(&original, GOES);
        vec![(all, 0), (all - its, its)]
    };
    let mut seen = [0; 2];
    // How long it takes here and now says when to cut it short; the last one is not.
    let mut whole = Duration::ZERO;
    for round in (0..24).rev() {
        let home = Home::in_memory();
        copy(&original.path("."), &home.path("."));
        let began = Instant::now();
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("imon-analyze"))
            .args(["prune", "--database", "imon.db", "--device", GOES])
            .current_dir(home.path("."))
            .env_clear()
            .env("HOME", home.path("."))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if round == 23 {
            child.wait().unwrap();
            whole = began.elapsed();
        } else {
            std::thread::sleep(whole * round / 20);
            _ = child.kill();
            child.wait().unwrap();
        }
        let state = |home: &Home| {
            let ledger = ask(home, "--by device").1;
            (number(&ledger, "ip_bytes"), ledger["removed_bytes"].as_u64().unwrap_or_default())
        };
        let found = state(&home);
        let which = states.iter().position(|state| *state == found).unwrap_or_else(|| panic!("{found:?}: {states:?}"));
        seen[which] += 1;
        home.ok("ingest new.pcap --database imon.db");
        assert_eq!(state(&home), found, "round {round}");
        assert_eq!(home.analyze(["check", "imon.db"]).code, Some(0), "round {round}");
        if which == 1 {
            is_clean(&home);
            assert!(files(&home.path("captures")).is_empty());
        }
        home.ok("close --database imon.db");
        assert_eq!(files(&home.path("books")).len(), 6, "nothing is left over");
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What a closing left that was cut short may hold the device.
#[test]
fn what_no_month_became_goes_with_the_device() {
    let home = home();
    let books = home.path("books");
    let closed = files(&books).into_iter().find(|path| path.to_string_lossy().contains("books/month=")).unwrap();
    let recorder = closed.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let id = recorder.strip_prefix("recorder=").unwrap();
    std::fs::create_dir_all(books.join("unfinished")).unwrap();
    let left = books.join("unfinished").join(format!("1-rows-{id}"));
    let earlier = closed.with_file_name("00000000-0123456789abcdef.parquet");
    for path in [&left, &earlier] {
        std::fs::copy(&closed, path).unwrap();
    }
    home.ok(&format!("prune --device {GOES} --database imon.db --dry-run"));
    assert!(left.exists() && earlier.exists(), "a dry run changes nothing");
    home.ok(&format!("prune --device {GOES} --database imon.db"));
    assert!(!left.exists() && !earlier.exists(), "{:?}", files(&books));
}
