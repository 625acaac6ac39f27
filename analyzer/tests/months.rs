//! Closed months with the real binary: what comes late, what is booked again, what is lost.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use support::{Home, beginning, rows_and_ledger};

/// A capture of real pages, as if it had begun at this second, its packets `stretch` times as far
/// apart.
fn capture(begins_s: u32, stretch: u32) -> Vec<u8> {
    beginning("netlab/browse-lan.pcap.gz", begins_s, stretch)
}

/// 2020-03-31T23:58:00Z, 2020-03-10T12:00:00Z and 2020-05-02T12:00:00Z.
const CAPTURES: [(&str, u32); 3] =
    [("end.pcap", 1_585_699_080), ("early.pcap", 1_583_841_600), ("may.pcap", 1_588_420_800)];

fn home() -> Home {
    let home = Home::in_memory();
    for (name, begins_s) in CAPTURES {
        // The first one goes on into the next month.
        home.write(name, &capture(begins_s, if name == "end.pcap" { 15 } else { 1 }));
    }
    std::fs::create_dir(home.path("none")).unwrap();
    home
}

/// The last one rests on habits, which depend on what was booked when.
const QUESTIONS: [&str; 5] = [
    "--by site,day",
    "--by device,evidence,month",
    "--by host,hour --site site-a.test",
    "--by family",
    "--by page,day",
];

/// All answers of a database.
fn answers(home: &Home, database: &str) -> Vec<String> {
    let ask = |question: &&str| {
        home.ok(&format!(
            "report --database {database} --spool none --from 2020-01-01 --to 2020-12-31 --json {question}"
        ))
    };
    QUESTIONS.iter().map(ask).collect()
}

/// The first line that differs is shown, and no other one.
fn same(found: &[String], expect: &[String]) {
    for (found, expect) in found.iter().zip(expect) {
        let differs = found.lines().zip(expect.lines()).find(|(found, expect)| found != expect);
        assert!(differs.is_none() && found.len() == expect.len(), "{differs:?}");
    }
}

fn states(home: &Home, database: &str) -> Vec<String> {
    let text = home.ok(&format!("status --months --csv --database {database}"));
    text.lines().skip(1).map(|line| line.split(',').take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn what_comes_late_and_what_is_booked_again_is_as_if_all_had_come_at_once() {
    let home = home();
    home.ok("ingest end.pcap early.pcap may.pcap --database at-once/imon.db");
    let expect = answers(&home, "at-once/imon.db");
    assert!(rows_and_ledger(&expect[0]).0.iter().any(|row| row["total_bytes"].as_u64() > Some(100_000)));
    let closed = ["2020-03 closed", "2020-04 closed", "2020-05 closed"];
    assert_eq!(states(&home, "at-once/imon.db"), closed);
    // The latest first: every one after it changes months that are closed.
    for (name, _) in CAPTURES.iter().rev() {
        home.ok(&format!("ingest {name} --database late/imon.db"));
    }
    assert_eq!(states(&home, "late/imon.db"), closed);
    same(&answers(&home, "late/imon.db")[..4], &expect[..4]);
    home.ok("rebuild --database late/imon.db");
    assert_eq!(states(&home, "late/imon.db"), ["2020-03 open", "2020-04 open", "2020-05 open"]);
    assert!(answers(&home, "late/imon.db") == expect);
    home.ok("close --database late/imon.db");
    assert!(answers(&home, "late/imon.db") == expect);
    // What a dry run takes back it takes back in its copy.
    let files = tree(&home.path("late/books"));
    assert_eq!(home.ok("rebuild --diff --dry-run --database late/imon.db"), "nothing changed\n");
    assert_eq!(tree(&home.path("late/books")), files);
    // A source that goes takes its part of a month with it.
    home.ok("prune --before 2020-03-20 --database late/imon.db");
    home.ok("ingest end.pcap may.pcap --database without/imon.db");
    let ledger = |json: &str| rows_and_ledger(json).1["ip_bytes"].clone();
    let sums = |database: &str| answers(&home, database).iter().map(|json| ledger(json)).collect::<Vec<_>>();
    assert_eq!(sums("late/imon.db"), sums("without/imon.db"));
    home.ok("prune --before 2021-01-01 --database late/imon.db");
    assert!(!home.path("late/books").exists(), "a month of nobody is no file");
}

#[test]
fn a_copy_and_the_folder_alone_give_the_same_answers() {
    let home = home();
    home.ok("ingest end.pcap early.pcap may.pcap --database imon.db");
    let expect = answers(&home, "imon.db");
    home.ok("status --backup copy --database imon.db");
    assert!(answers(&home, "copy/imon.db") == expect);
    let run = home.analyze("status --backup copy --database imon.db".split(' '));
    assert!(run.code == Some(1) && run.err.contains("the folder is not empty"), "{}", run.err);
    assert!(home.ok("check copy/imon.db").matches("whole").count() >= 10);
    std::fs::remove_file(home.path("copy/imon.db")).unwrap();
    home.ok("rebuild --from-books --database copy/imon.db");
    assert!(answers(&home, "copy/imon.db") == expect);
    // Two databases in one folder.
    home.ok("ingest may.pcap --database other.db");
    assert!(home.path("other.db-books").is_dir());
    let kept = |folder: &str| std::fs::read_dir(home.path(folder)).unwrap().count();
    assert_eq!((kept("captures"), kept("other.db-captures")), (3, 1));
    // One that is pruned leaves the other's alone; and neither folder is read as captures of a
    // user.
    home.ok("prune --before 2021-01-01 --database other.db");
    assert_eq!((kept("captures"), kept("other.db-captures")), (3, 0));
    assert!(answers(&home, "imon.db") == expect);
}

#[test]
fn a_damaged_month_is_told_and_everything_else_is_reported() {
    let home = home();
    home.ok("ingest end.pcap early.pcap may.pcap --database imon.db");
    let expect = answers(&home, "imon.db");
    let file = tree(&home.path("books/month=2020-03")).remove(0).0;
    let good = std::fs::read(&file).unwrap();
    let mut bad = good.clone();
    bad[40] ^= 1;
    let ask = "report --database imon.db --spool none --from 2020-01-01 --to 2020-12-31 --json --by month";
    for (what, cause, reason) in [
        ("bad", "is damaged", "books-damaged"),
        ("folder", "Is a directory", "books-damaged"),
        ("missing", "is not there", "books-missing"),
        ("device", "it is a device", "books-damaged"),
    ] {
        _ = std::fs::remove_file(&file).or_else(|_| std::fs::remove_dir(&file));
        match what {
            "bad" => std::fs::write(&file, &bad).unwrap(),
            "device" => std::os::unix::fs::symlink("/dev/zero", &file).unwrap(),
            "folder" => std::fs::create_dir(&file).unwrap(),
            _ => {}
        }
        let run = home.analyze(ask.split(' '));
        assert_eq!(run.code, Some(3), "{}", run.err);
        assert!(run.err.contains("error: the month 2020-03 is missing in this report\n  cause: "), "{}", run.err);
        assert!(
            run.err.contains(cause) && run.err.contains(file.file_name().unwrap().to_str().unwrap()),
            "{}",
            run.err
        );
        let (rows, ledger) = rows_and_ledger(&run.out);
        let bytes = |month: &str| {
            rows.iter().filter(|row| row["month"] == month).map(|row| row["total_bytes"].as_u64().unwrap()).sum::<u64>()
        };
        assert!(bytes("2020-03") == 0 && bytes("2020-04") > 0 && bytes("2020-05") > 0, "{}", run.out);
        assert!(ledger["gaps"].as_array().unwrap().iter().any(|gap| gap["reason"] == reason), "{ledger}");
        let check = home.analyze("check imon.db".split(' '));
        assert!(check.code == Some(3) && check.out.contains("DAMAGED"), "{}", check.out);
        let name = file.file_name().unwrap().to_str().unwrap();
        let export = home.analyze("export out --database imon.db --spool none".split(' '));
        assert!(export.code == Some(1) && export.err.contains(name), "{}", export.err);
        // A copy has everything else, and says what it has not.
        let copy = format!("copy-{what}");
        let backup = home.analyze(format!("status --backup {copy} --database imon.db").split(' '));
        assert!(backup.code == Some(3) && backup.err.contains(name) && backup.err.contains(cause), "{}", backup.err);
        let of_copy = home.analyze(ask.replace("imon.db", &format!("{copy}/imon.db")).split(' '));
        assert_eq!((of_copy.code, rows_and_ledger(&of_copy.out).0), (Some(3), rows), "{}", of_copy.err);
    }
    // Its captures are kept: it can be booked again.
    home.ok("rebuild --database imon.db");
    assert!(answers(&home, "imon.db") == expect);
    // A copy of the old file that comes back later counts for nothing.
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, good).unwrap();
    home.ok("close --database imon.db");
    assert!(!file.exists());
    assert!(answers(&home, "imon.db") == expect);
}

/// A tree of files with their contents.
fn tree(folder: &std::path::Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(tree(&path)),
            false => found.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

const SEED: u64 = 88_172_645_463_325_252;

/// Numbers that are the same in every run (xorshift).
fn next(chance: &mut u64) -> u64 {
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    *chance
}

/// Runs a command and kills it after this time, if it is not over.
fn killed(home: &Home, line: &str, after: Duration) {
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("imon-analyze"));
    command.args(line.split(' ')).env_clear().env("TZ", "UTC").env("HOME", home.path("")).current_dir(home.path(""));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    _ = child.kill();
    _ = child.wait();
}

/// A capture of `packets` packets of 128 bytes each, a second apart, from the day of this month of
/// 2020 on.
fn small_capture(month: u64, day: u64, packets: u64) -> Vec<u8> {
    let first = jiff::civil::date(2020, i8::try_from(month).unwrap(), i8::try_from(day).unwrap());
    let first_s = u64::try_from(first.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second()).unwrap();
    let udp = || support::udp(([192, 168, 1, 5], 4_000), ([203, 0, 113, 9], 5_000), &[0; 100]);
    let packet = |nth: u64| ((first_s + nth) * 1_000_000, udp());
    support::pcap(&(0..packets).map(packet).collect::<Vec<_>>())
}

/// After each kill, and not only at the end: the next command might mend what one has lost.
#[test]
fn fifty_kills_of_close_reopen_and_prune_leave_each_month_as_before_or_after() {
    const MONTHS: u64 = 8;
    let home = Home::in_memory();
    std::fs::create_dir(home.path("none")).unwrap();
    let mut all = String::from("ingest");
    for month in 1..=MONTHS {
        home.write(&format!("{month}.pcap"), &small_capture(month, 10, 10 * month));
        all.push_str(&format!(" {month}.pcap"));
    }
    home.ok(&format!("{all} --database imon.db"));
    let packets_of = || -> Vec<u64> {
        let ask = "report --database imon.db --spool none --from 2020-01-01 --to 2020-08-31 --by month --json";
        let (rows, ledger) = rows_and_ledger(&home.ok(ask));
        assert_eq!(ledger["residual_bytes"], 0);
        let of = |month: u64| {
            let row = rows.iter().find(|row| row["month"] == format!("2020-0{month}"));
            let row = row.map(|row| (row["packets"].as_u64().unwrap(), row["total_bytes"].as_u64().unwrap()));
            let (packets, bytes) = row.unwrap_or_default();
            assert_eq!(bytes, 128 * packets, "2020-0{month}");
            packets
        };
        (1..=MONTHS).map(of).collect()
    };
    let mut may: Vec<Vec<u64>> = (1..=MONTHS).map(|month| vec![10 * month]).collect();
    assert_eq!(packets_of(), may.concat());
    let began = std::time::Instant::now();
    home.ok("rebuild --database imon.db");
    home.ok("close --database imon.db");
    let longest_us = u64::try_from(began.elapsed().as_micros() / 2).unwrap();
    let mut chance = SEED;
    let (mut settle, mut pruned) = (Vec::new(), 0u64);
    for kill in 0..50 {
        let round = kill / 5;
        let line = match kill % 5 {
            0 => {
                pruned = round / 2;
                if let Some(gone) = pruned.checked_sub(1) {
                    let gone = &mut may[usize::try_from(gone).unwrap()];
                    gone.push(0);
                }
                format!("prune --before 2020-0{}-01 --database imon.db", pruned + 1)
            }
            1 | 3 => "close --database imon.db".to_owned(),
            2 => "rebuild --database imon.db".to_owned(),
            _ => {
                let month = 5 + round % 4;
                home.write(&format!("late-{round}.pcap"), &small_capture(month, 11 + round, 1));
                let of = &mut may[usize::try_from(month - 1).unwrap()];
                of.push(of.last().unwrap() + 1);
                let line = format!("ingest late-{round}.pcap --database imon.db");
                settle.push(line.clone());
                line
            }
        };
        killed(&home, &line, Duration::from_micros(next(&mut chance) % longest_us));
        let found = packets_of();
        for (month, (found, may)) in found.iter().zip(&mut may).enumerate() {
            let state = may.iter().position(|packets| packets == found);
            assert!(state.is_some(), "after kill {kill} ({line}) the month {} has {found}: {may:?}", month + 1);
            // What it was before it never is again.
            may.drain(..state.unwrap());
        }
    }
    settle.push(format!("prune --before 2020-0{}-01 --database imon.db", pruned + 1));
    settle.push("close --database imon.db".to_owned());
    settle.iter().for_each(|line| _ = home.ok(line));
    assert_eq!(packets_of(), may.iter().map(|may| *may.last().unwrap()).collect::<Vec<_>>());
    assert_eq!(tree(&home.path("books")).len() as u64, 3 * (MONTHS - pruned));
    assert_eq!(home.analyze("check imon.db".split(' ')).code, Some(0));
}

/// Kills at chance; `IMON_KILLS` says how many (200 for a release).
#[test]
fn a_kill_at_any_moment_loses_nothing_and_counts_nothing_twice() {
    let kills = std::env::var("IMON_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(8u64);
    let home = home();
    home.ok("ingest end.pcap early.pcap may.pcap --database at-once/imon.db");
    let expect = answers(&home, "at-once/imon.db");
    let commands = [
        "ingest may.pcap --database imon.db",
        "ingest end.pcap --database imon.db",
        "close --database imon.db",
        "ingest early.pcap --database imon.db",
        "rebuild --database imon.db",
        "close --database imon.db",
        "rebuild --from 2020-04-01 --database imon.db",
    ];
    let mut chance = SEED;
    for kill in 0..kills {
        let line = commands[usize::try_from(kill).unwrap() % commands.len()];
        killed(&home, line, Duration::from_millis(20 + next(&mut chance) % 700));
    }
    home.ok("ingest end.pcap early.pcap may.pcap --database imon.db");
    home.ok("close --database imon.db");
    assert_eq!(states(&home, "imon.db"), ["2020-03 closed", "2020-04 closed", "2020-05 closed"]);
    assert!(answers(&home, "imon.db")[..4] == expect[..4]);
    assert_eq!(home.analyze("check imon.db".split(' ')).code, Some(0));
    // Nothing is left of what was cut short.
    let files = tree(&home.path("books"));
    assert_eq!(files.len(), 9, "{:?}", files.iter().map(|(path, _)| path).collect::<Vec<_>>());
}

/// Names of files with what they hold, without those of these months.
fn but(tree: &[(PathBuf, Vec<u8>)], months: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    let is_of = |path: &PathBuf| months.iter().any(|month| path.to_string_lossy().contains(&format!("month={month}")));
    tree.iter().filter(|(path, _)| !is_of(path)).cloned().collect()
}

/// Three years of months that are closed, and then captures of the first of them.
#[test]
fn a_capture_three_years_old_opens_two_months_at_most() {
    let home = Home::in_memory();
    std::fs::create_dir(home.path("none")).unwrap();
    let second = |year: i16, month: i8, day: i8| {
        let date = jiff::civil::date(year, month, day).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
        u32::try_from(date.timestamp().as_second()).unwrap()
    };
    let mut all = String::from("ingest");
    for year in 2018..2021 {
        for month in 1..=12 {
            for day in [3, 17, 27] {
                let name = format!("{year}-{month}-{day}.pcap");
                let begins_s = second(year, month, day) + 3_600 * u32::try_from(month).unwrap();
                home.write(&name, &beginning("field/dup-a.pcap", begins_s, 1));
                all.push_str(&format!(" {name}"));
            }
        }
    }
    home.ok(&format!("{all} --database imon.db"));
    let months = states(&home, "imon.db");
    assert!(months.len() == 36 && months.iter().all(|month| month.ends_with("closed")), "{months:?}");
    let late = [
        ("middle", second(2018, 6, 10), vec!["2018-06"]),
        ("end", second(2018, 8, 30), vec!["2018-08", "2018-09"]),
        ("begin", second(2018, 11, 1) + 600, vec!["2018-10", "2018-11"]),
    ];
    for (name, begins_s, opened) in &late {
        home.write(&format!("{name}.pcap"), &beginning("field/dup-a.pcap", *begins_s, 2));
        let before = tree(&home.path("books"));
        home.ok(&format!("ingest {name}.pcap --database imon.db"));
        let after = tree(&home.path("books"));
        assert_eq!(but(&before, opened).len(), before.len() - 3 * opened.len());
        assert!(but(&before, opened) == but(&after, opened), "{name}: another month has changed");
        assert!(after != before && after.len() == before.len(), "{name}");
        assert_eq!(states(&home, "imon.db"), months, "{name}");
        all.push_str(&format!(" {name}.pcap"));
    }
    // As if they had come with the others.
    home.ok(&format!("{all} --database at-once.db"));
    let ask = |database: &str, question: &str| {
        home.ok(&format!(
            "report --database {database} --spool none --from 2018-01-01 --to 2020-12-31 --json {question}"
        ))
    };
    for question in ["--by site,day", "--by device,evidence,month", "--by host,month"] {
        same(&[ask("imon.db", question)], &[ask("at-once.db", question)]);
    }
}

/// Where the segments are gone, what is booked of them moves into the new file of the month as it
/// is, and that is said.
#[test]
fn what_cannot_be_booked_again_stays_beside_a_late_capture() {
    let home = home();
    home.ok("ingest end.pcap early.pcap may.pcap --database imon.db");
    let ask = |question: &str| {
        let from_to = "--from 2020-01-01 --to 2020-12-31";
        home.ok(&format!("report --database imon.db --spool none {from_to} --json {question}"))
    };
    let by_source = || {
        let (mut rows, _) = rows_and_ledger(&ask("--by source,host,evidence"));
        rows.retain(|row| !row["source"].as_str().unwrap().contains("late"));
        rows.iter_mut().for_each(|row| _ = row.as_object_mut().unwrap().remove("share"));
        rows.sort_by_key(|row| row.to_string());
        rows
    };
    let before = by_source();
    assert!(before.len() > 10);
    for entry in std::fs::read_dir(home.path("captures")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    // Half an hour before the one at the end of March.
    home.write("late.pcap", &capture(1_585_697_280, 1));
    let run = home.analyze("ingest late.pcap --database imon.db".split(' '));
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("end.pcap stays as it is booked: its segment is gone"), "{}", run.err);
    assert_eq!(states(&home, "imon.db"), ["2020-03 closed", "2020-04 closed", "2020-05 closed"]);
    assert_eq!(by_source(), before);
    assert!(ask("--by source").contains("late"));
}
