//! The store from outside: one transaction per source, versions, readers beside a writer, places
//! that cannot be written.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use rusqlite::Connection;
use support::{Home, rows_and_ledger, testdata};

fn home() -> Home {
    let home = Home::new();
    home.write("small.pcap", &std::fs::read(testdata("pcap/us-le.pcap")).unwrap());
    home.write("other.pcap", &std::fs::read(testdata("pcap/ng-many-link-types.pcapng")).unwrap());
    std::fs::create_dir(home.path("empty")).unwrap();
    home
}

const REPORT: &str =
    "report --database imon.db --spool empty --from 2020-01-01 --by host --include-local --format json";

#[test]
fn a_source_that_fails_half_way_leaves_nothing() {
    let home = home();
    home.ok("ingest other.pcap --database imon.db");
    let before = home.ok(REPORT);
    let db = Connection::open(home.path("imon.db")).unwrap();
    for table in ["rollup", "taught", "source", "host"] {
        db.execute_batch(&format!(
            "CREATE TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE(FAIL, 'disk is full'); END"
        ))
        .unwrap();
        home.write("again.pcap", &std::fs::read(testdata("pcap/ns-be.pcap")).unwrap());
        let run = home.analyze(["ingest", "again.pcap", "--database", "imon.db"]);
        db.execute_batch("DROP TRIGGER full").unwrap();
        if table == "host" && run.code == Some(0) {
            continue; // every host was known
        }
        assert_eq!(run.code, Some(1), "{table}: {}", run.err);
        assert!(run.err.starts_with("error: ") && run.err.contains("disk is full"), "{table}: {}", run.err);
        assert_eq!(home.ok(REPORT), before, "{table}");
        let kept = std::fs::read_dir(home.path("captures")).unwrap().count();
        assert_eq!(kept, 1, "{table}: the segment of a capture that was not booked is not kept");
    }
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let home = home();
    home.ok("ingest small.pcap --database imon.db");
    let db = Connection::open(home.path("imon.db")).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    for line in ["ingest small.pcap --database imon.db", "status --database imon.db", REPORT] {
        let run = home.analyze(line.split(' '));
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{line}");
        assert!(run.err.starts_with("error: cannot use the database imon.db\n  cause: its schema has version 99, "));
        assert!(run.err.ends_with("  hint:  use the newer imon-analyze, or another file with --database\n"));
    }
}

#[test]
fn what_is_no_database_is_told() {
    let home = home();
    home.write("notes.db", &[b'x'; 5_000]);
    let run = home.analyze(["ingest", "small.pcap", "--database", "notes.db"]);
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("error: cannot use the database notes.db\n  cause: "), "{}", run.err);
    assert!(run.err.contains("not a database"), "{}", run.err);
    let run = home.analyze(["status", "--database", "empty"]);
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("error: cannot use the database empty\n  cause: "), "{}", run.err);
    // A file cannot hold a database: nobody can write below it, not even root.
    let run = home.analyze(["ingest", "small.pcap", "--database", "small.pcap/imon.db"]);
    assert_eq!(run.code, Some(1));
    assert!(run.err.starts_with("error: cannot use the database small.pcap/imon.db\n  cause: "), "{}", run.err);
}

#[test]
fn what_reads_or_changes_a_database_makes_none() {
    let home = home();
    // On a machine that records, a report has something to book, and makes the database.
    let recorded = std::path::Path::new("/var/lib/imon").is_dir();
    let reports = ["report", "site example.com"].into_iter().filter(|_| !recorded);
    for line in
        ["status", "rebuild --diff", "prune --keep-days 9", "explain www.example.com"].into_iter().chain(reports)
    {
        let run = home.analyze(format!("{line} --database new/imon.db").split_whitespace());
        let expected = "error: there is no database new/imon.db\n  hint:  `imon-analyze ingest` makes it; --database FILE names another\n";
        assert_eq!((run.code, run.err.as_str()), (Some(1), expected), "{line}");
    }
    assert!(!home.path("new").exists());
}

#[test]
fn readers_go_on_while_a_writer_is_in_the_middle() {
    let home = home();
    home.ok("ingest small.pcap --database imon.db");
    let before = rows_and_ledger(&home.ok(REPORT));
    let mut writer = Connection::open(home.path("imon.db")).unwrap();
    let transaction = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let months = "DELETE FROM closed; DELETE FROM closed_source; DELETE FROM closed_endpoint;";
    transaction.execute_batch(&format!("{months} DELETE FROM source")).unwrap();
    let began = std::time::Instant::now();
    assert_eq!(rows_and_ledger(&home.ok(REPORT)), before);
    assert!(began.elapsed().as_secs() < 10, "a report waits for a writer");
    transaction.commit().unwrap();
    assert_eq!(rows_and_ledger(&home.ok(REPORT)).1["packets"], 0);
}

#[test]
fn eight_programs_that_ingest_the_same_at_once_book_it_once() {
    let home = home();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| home.ok("ingest small.pcap other.pcap --database imon.db"));
        }
    });
    let at_once = home.ok(REPORT);
    home.ok("ingest small.pcap other.pcap --database one.db");
    let one = home.ok(&REPORT.replace("imon.db", "one.db"));
    assert_eq!(rows_and_ledger(&at_once), rows_and_ledger(&one));
}
