//! `rebuild`, `prune`, databases of older versions, and bookings that are cut short.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use imon_analyze::store::{Lesson, Store};
use rusqlite::Connection;
use support::{Home, recent, rows_and_ledger};

const ALL: &str = "--from 1970-01-01 --to 2150-01-01 --by host --include-local --limit 0 --format json";

type Books = (Vec<serde_json::Value>, serde_json::Value);

/// A home with a capture of two browsers, ingested into imon.db.
fn ingested() -> (Home, Books) {
    let home = Home::new();
    home.write("browse.pcap.gz", &recent("netlab/browse-lan.pcap.gz"));
    std::fs::create_dir(home.path("empty")).unwrap();
    home.ok("ingest browse.pcap.gz --database imon.db");
    let books = books(&home);
    (home, books)
}

fn books(home: &Home) -> Books {
    rows_and_ledger(&home.ok(&format!("report --database imon.db --spool empty {ALL}")))
}

fn database(home: &Home) -> Connection {
    let db = Connection::open(home.path("imon.db")).unwrap();
    db.pragma_update(None, "foreign_keys", true).unwrap();
    db
}

/// Books made by other rules: every named row is on one host.
fn book_wrongly(home: &Home) {
    let db = database(home);
    db.execute("INSERT INTO host (name) VALUES ('wrong.example')", []).unwrap();
    // As if other rules had booked so: what is changed behind imon's back is reported as damage.
    // Older schemas have no checksums.
    _ = db.execute_batch("DELETE FROM checked; UPDATE source SET summed = 0");
    db.execute(
        "UPDATE OR IGNORE rollup SET host = (SELECT id FROM host WHERE name = 'wrong.example') WHERE evidence IN (1, 2)",
        [],
    )
    .unwrap();
}

#[test]
fn rebuild_makes_the_books_again_and_shows_what_changed() {
    let (home, right) = ingested();
    book_wrongly(&home);
    let wrong = books(&home);
    assert_ne!(wrong, right);
    let diff = home.ok("rebuild --database imon.db --diff --dry-run --format json");
    assert_eq!(books(&home), wrong, "a dry run changes nothing");
    let left: Vec<_> = std::fs::read_dir(home.path(".")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("dry-run")), "{left:?}");
    // Nor does one that was killed, after the next one.
    for name in ["dry-run-7", "dry-run-7-wal", "dry-run-7-books/ledger/x", "dry-run-notes"] {
        home.write(&format!("imon.db-{name}"), b"left");
    }
    home.ok("rebuild --database imon.db --diff --dry-run");
    let is_left = |name: &str| home.path(&format!("imon.db-dry-run-{name}")).exists();
    assert_eq!(["7", "7-wal", "7-books", "notes"].map(is_left), [false, false, false, true]);
    // Days after the capture: nothing to do.
    home.ok("rebuild --database imon.db --from 2100-01-01");
    assert_eq!(books(&home), wrong);
    assert_eq!(home.ok("rebuild --database imon.db --diff --format json"), diff);
    assert_eq!(books(&home), right);
    assert_eq!(home.ok("rebuild --database imon.db --diff"), "nothing changed\n");

    let rows: Vec<serde_json::Value> = diff.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sum = |key: &str| rows.iter().map(|row| row[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("before_bytes"), sum("after_bytes"), "what one site loses others gain");
    let lost = rows.iter().find(|row| row["site"] == "wrong.example").unwrap();
    assert!(lost["before_bytes"].as_u64() > Some(0) && lost["after_bytes"] == 0, "{diff}");
}

#[test]
fn rebuild_leaves_alone_what_has_no_facts_any_more_and_says_so() {
    let (home, right) = ingested();
    let kept = std::fs::read_dir(home.path("captures")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(kept).unwrap();
    let run = home.analyze(["rebuild", "--database", "imon.db"]);
    assert_eq!(run.code, Some(0));
    assert!(
        run.err.contains("left as booked, as the facts are gone: 1 source") && run.err.contains("browse.pcap.gz"),
        "{}",
        run.err
    );
    assert_eq!(books(&home), right);
}

#[test]
fn prune_removes_what_is_old_and_it_does_not_come_back() {
    let (home, books_before) = ingested();
    let folder = |name: &str| std::fs::read_dir(home.path(name)).unwrap().count();
    home.write(
        "spool/x.seg",
        &std::fs::read(std::fs::read_dir(home.path("captures")).unwrap().next().unwrap().unwrap().path()).unwrap(),
    );
    let size = || std::fs::metadata(home.path("imon.db")).unwrap().len();
    home.ok("prune --database imon.db --before 2001-01-01");
    let run = home.analyze("prune --database imon.db --before 2100-01-01 --dry-run".split(' '));
    assert!(run.err.contains("would remove 1 source, and 1 kept capture"), "{}", run.err);
    assert_eq!((books(&home), folder("captures")), (books_before.clone(), 1));

    home.ok("prune --database imon.db --before 2100-01-01 --captures-only");
    assert_eq!((books(&home), folder("captures")), (books_before, 0));
    let was = size();
    home.ok("prune --database imon.db --before 2100-01-01");
    assert!(size() < was, "{} of {was} bytes are left", size());
    // Neither the capture nor the segment that it was comes back, and the spool is as it was.
    for again in ["ingest browse.pcap.gz --database imon.db", "ingest spool --database imon.db"] {
        let run = home.analyze(again.split(' '));
        assert!(run.err.contains("ingested 0 sources with 0 packets; 1 known already"), "{}", run.err);
    }
    assert_eq!(books(&home).1["packets"], 0);
    assert_eq!((folder("spool"), folder("captures")), (1, 0));
    let db = database(&home);
    for table in ["rollup", "page_rollup", "host", "endpoint", "taught", "bucket_count", "habit"] {
        let rows: i64 = db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0, "{table}");
    }
}

#[test]
fn prune_wants_to_know_how_old_is_old() {
    let home = Home::new();
    for line in ["prune", "prune --before 2026-01-01 --keep-days 3", "prune --before soon"] {
        assert_eq!(home.analyze(line.split(' ')).code, Some(2), "{line}");
    }
}

#[test]
fn a_database_of_schema_1_is_opened_and_booked_again() {
    let (home, right) = ingested();
    // The same database as version 1 had it: its tables, its columns, its books.
    let old = Connection::open(home.path("old.db")).unwrap();
    old.execute_batch(include_str!("../src/store/schema.sql")).unwrap();
    old.execute("ATTACH ?1 AS new", [home.path("imon.db").to_string_lossy()]).unwrap();
    for table in ["source", "host", "endpoint", "candidate_set", "rollup", "bucket_count", "gap"] {
        let mut about = old.prepare(&format!("SELECT name FROM pragma_table_info('{table}', 'main')")).unwrap();
        let columns: Vec<String> = about.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let columns = columns.join(", ");
        // What that version knew of the kind of traffic has another name now.
        let of_new = columns.replace("local", "traffic");
        old.execute(&format!("INSERT INTO main.{table} ({columns}) SELECT {of_new} FROM new.{table}"), []).unwrap();
    }
    old.execute_batch("DETACH new; PRAGMA user_version = 1").unwrap();
    for taught in Store::open(&home.path("imon.db")).unwrap().taught(Lesson::Answer).unwrap() {
        let host = String::from_utf8(taught.name).unwrap();
        old.execute(
            "INSERT INTO answer VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            rusqlite::params![taught.source, taught.of, taught.asker, host, taught.first.0, taught.last.0],
        )
        .unwrap();
    }
    drop(old);
    for suffix in ["", "-wal", "-shm"] {
        _ = std::fs::remove_file(home.path(&format!("imon.db{suffix}")));
    }
    std::fs::rename(home.path("old.db"), home.path("imon.db")).unwrap();
    book_wrongly(&home);
    // Any command that ingests books again what older rules booked.
    assert_eq!(books(&home), right);
    let version: i64 = database(&home).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert!(version >= 2);
    // What it was is kept, from within the sandbox too, until it is dropped.
    let copy = home.path("imon.db-schema-1");
    let old = Connection::open(&copy).unwrap();
    let version: i64 = old.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1);
    drop(old);
    assert!(home.ok("status --database imon.db").contains("imon.db-schema-1, of schema 1"));
    home.ok("prune --drop-old --dry-run --database imon.db");
    assert!(copy.exists());
    home.ok("prune --drop-old --database imon.db");
    assert!(!copy.exists());
}

#[test]
fn a_booking_that_is_cut_short_is_taken_up_by_the_next() {
    let home = Home::new();
    home.write("browse.pcap", &recent("netlab/browse-lan.pcap.gz"));
    let Some(recorded) = home.record("--read browse.pcap --spool spool --rotate-every 3s") else { return };
    assert_eq!(recorded.code, Some(0), "{}", recorded.err);
    let mut files: Vec<_> = std::fs::read_dir(home.path("spool")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "seg"));
    files.sort();
    std::fs::create_dir(home.path("empty")).unwrap();
    let right = rows_and_ledger(&home.ok(&format!("report spool {ALL}")));
    let (late, early) = files.split_at(files.len() / 2);
    let names =
        |files: &[std::path::PathBuf]| files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(" ");
    home.ok(&format!("ingest {} --database imon.db", names(early)));
    // Each time another source is the last that can be written.
    for room in (0..files.len()).step_by(2) {
        database(&home)
            .execute_batch(&format!(
                "CREATE TABLE room (n); CREATE TRIGGER full BEFORE INSERT ON source WHEN (SELECT count(*) FROM room) >= {room}
                 BEGIN SELECT RAISE(FAIL, 'killed'); END;
                 CREATE TRIGGER used AFTER INSERT ON source BEGIN INSERT INTO room VALUES (1); END"
            ))
            .unwrap();
        let run = home.analyze(format!("ingest {} --database imon.db", names(late)).split(' '));
        database(&home).execute_batch("DROP TRIGGER full; DROP TRIGGER used; DROP TABLE room").unwrap();
        assert_eq!(run.code, Some(1), "{room}: {}", run.err);
        assert!(run.err.contains("killed"), "{}", run.err);
    }
    home.ok(&format!("ingest {} --database imon.db", names(&files)));
    assert_eq!(books(&home), right);
    // An ingest of nothing new takes it up, too.
    database(&home).execute("UPDATE source SET stale = 1 WHERE id % 2", []).unwrap();
    book_wrongly(&home);
    assert_eq!(books(&home), right);
}
