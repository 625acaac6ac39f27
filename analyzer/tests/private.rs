//! Who may read the books: their user alone, or the group that shares the folder, whatever the
//! umask was and whoever books.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use rusqlite::Connection;
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{Home, testdata};

fn mode(path: &Path) -> u32 {
    let about = std::fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    about.permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A home with two captures.
fn home() -> Home {
    let home = Home::new();
    for (name, from) in [("one.pcap", "pcap/us-le.pcap"), ("two.pcap", "pcap/ng-many-link-types.pcapng")] {
        home.write(name, &std::fs::read(testdata(from)).unwrap());
    }
    home
}

/// A home that other users may enter, with the program in it; `None`, and said, without root.
fn house() -> Option<Home> {
    if !nix::unistd::geteuid().is_root() || Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("skipped: needs root and setpriv to be several users");
        return None;
    }
    let home = home();
    set_mode(&home.path("."), 0o755);
    // By another process: a test beside this one that forks meanwhile would hold the file open, and
    // what is open for writing cannot be run.
    let mut copy = Command::new("cp");
    copy.arg(assert_cmd::cargo::cargo_bin("imon-analyze")).arg(home.path("imon-analyze"));
    assert!(copy.status().unwrap().success());
    Some(home)
}

const GROUP: u32 = 60_000;

/// imon-analyze as `user`, with this umask; `shell` may do something after it.
fn command(home: &Home, user: u32, umask: &str, line: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={user}"), format!("--groups={GROUP}")]);
    command.args(["sh", "-c", &format!("umask {umask}; exec ./imon-analyze {line}")]);
    command.env_clear().env("TZ", "UTC").env("PATH", "/usr/bin:/bin").env("HOME", home.path("."));
    command.current_dir(home.path("."));
    command
}

fn run(home: &Home, user: u32, umask: &str, line: &str) -> Output {
    command(home, user, umask, line).output().unwrap()
}

fn ok(home: &Home, user: u32, umask: &str, line: &str) {
    let output = run(home, user, umask, line);
    assert_eq!(output.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Everything in a folder, and below it.
fn all_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_in(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn what_a_user_keeps_is_private_whatever_the_umask() {
    for umask in ["0", "022", "0277"] {
        let home = home();
        let program = assert_cmd::cargo::cargo_bin("imon-analyze");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec {} ingest one.pcap", program.display())]);
        shell.env_clear().env("TZ", "UTC").env("HOME", home.path(".")).current_dir(home.path("."));
        let output = shell.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let state = home.path(".local");
        // While it is open there are more files.
        let db = Connection::open(home.path(".local/state/imon/imon.db")).unwrap();
        db.execute_batch("BEGIN IMMEDIATE; UPDATE source SET path = path").unwrap();
        let made = all_in(&state);
        assert!(made.iter().any(|path| path.ends_with("imon.db-wal")) && made.len() >= 8, "{made:?}");
        for path in made {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expected, "{}, umask {umask}", path.display());
        }
    }
}

#[test]
fn what_imon_made_is_tightened_and_said_and_nothing_else() {
    let home = home();
    std::fs::create_dir(home.path("books")).unwrap();
    home.ok("ingest one.pcap two.pcap --database books/imon.db");
    let captures = home.path("books/captures");
    home.write("books/notes.txt", b"mine");
    for path in all_in(&home.path("books")) {
        set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    }
    set_mode(&home.path("books"), 0o755);
    let run = home.analyze("status --database books/imon.db".split(' '));
    assert_eq!(run.code, Some(0), "{}", run.err);
    for name in ["books/imon.db was 644", "books/captures was 755", ".seg was 644"] {
        assert!(run.err.contains(name), "{name}: {}", run.err);
    }
    assert_eq!((mode(&home.path("books")), mode(&home.path("books/notes.txt"))), (0o755, 0o644));
    assert_eq!((mode(&captures), mode(&home.path("books/imon.db"))), (0o700, 0o600));
    assert!(all_in(&captures).iter().all(|path| mode(path) == 0o600));
    assert_eq!(home.analyze("status --database books/imon.db".split(' ')).err, "");
}

#[test]
fn a_folder_of_ones_own_captures_stays_as_it_is() {
    let home = home();
    home.write("captures/mine.pcap", b"mine");
    home.write("captures/film.part", b"mine, too");
    set_mode(&home.path("captures"), 0o755);
    for path in all_in(&home.path("captures")) {
        set_mode(&path, 0o644);
    }
    for _ in 0..2 {
        assert!(!home.analyze("ingest one.pcap --database imon.db".split(' ')).err.contains("captures was"));
    }
    home.ok("status --database imon.db");
    assert_eq!(mode(&home.path("captures")), 0o755);
    let modes: Vec<u32> = all_in(&home.path("captures")).iter().map(|path| mode(path)).collect();
    assert_eq!(modes.iter().filter(|mode| **mode == 0o644).count(), 2, "{modes:?}");
    assert_eq!(modes.iter().filter(|mode| **mode == 0o600).count(), 1, "{modes:?}");
}

#[test]
fn a_copy_that_is_made_for_a_moment_is_private_too() {
    let home = home();
    home.ok("ingest one.pcap --database imon.db");
    // VACUUM INTO takes an empty file and keeps its mode.
    let store = imon_analyze::store::Store::open(&home.path("imon.db")).unwrap();
    store.copy_to(&home.path("copy.db")).unwrap();
    assert_eq!(mode(&home.path("copy.db")), 0o600);
    assert!(store.copy_to(&home.path("copy.db")).is_err());
}

#[test]
fn another_user_cannot_read_what_a_user_keeps() {
    let Some(home) = house() else { return };
    std::fs::create_dir(home.path("ann")).unwrap();
    chown(home.path("ann"), Some(65_001), Some(65_001)).unwrap();
    ok(&home, 65_001, "0", "ingest one.pcap --database ann/imon.db");
    let capture = all_in(&home.path("ann/captures")).remove(0);
    for line in [
        "status --database ann/imon.db".to_owned(),
        "report --database ann/imon.db".into(),
        format!("check {}", capture.display()),
    ] {
        let output = run(&home, 65_002, "0", &line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains("ermission denied"), "{line}: {said}");
    }
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let Some(home) = house() else { return };
    std::fs::create_dir_all(home.path("spool/inner")).unwrap();
    home.write("spool/inner/a.seg", &std::fs::read(testdata("segments/good.seg")).unwrap());
    set_mode(&home.path("spool/inner"), 0o700);
    std::fs::create_dir(home.path("ann")).unwrap();
    chown(home.path("ann"), Some(65_001), Some(65_001)).unwrap();
    for line in ["report spool", "check spool", "ingest --spool spool --database ann/imon.db"] {
        let output = run(&home, 65_001, "0", line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(said.contains("cause: cannot list spool/inner: Permission denied"), "{line}: {said}");
    }
    ok(&home, 65_001, "0", "ingest one.pcap --database ann/imon.db");
    set_mode(&home.path("ann"), 0o500);
    let output = run(&home, 65_001, "0", "status --database ann/imon.db");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("hint:  `ls -ld ann` shows who may write there"), "{said}");
}

#[test]
fn a_shared_store_stays_the_group_s_whoever_books_and_prunes() {
    let Some(home) = house() else { return };
    let books = home.path("books");
    std::fs::create_dir(&books).unwrap();
    chown(&books, Some(65_001), Some(GROUP)).unwrap();
    set_mode(&books, 0o2770);
    let is_shared = |when: &str| {
        for path in all_in(&books) {
            let expected = if path.is_dir() { 0o2770 } else { 0o660 };
            assert_eq!(mode(&path), expected, "{when}: {}", path.display());
            assert_eq!(std::fs::metadata(&path).unwrap().gid(), GROUP, "{when}: {}", path.display());
        }
    };
    let database = "--database books/imon.db";
    ok(&home, 65_001, "077", &format!("ingest one.pcap {database}"));
    is_shared("the first user books");
    ok(&home, 65_002, "022", &format!("ingest two.pcap {database}"));
    is_shared("the second user books");
    // Root, who is not of the group.
    ok(&home, 0, "027", &format!("rebuild {database}"));
    is_shared("root books again");
    ok(&home, 65_002, "0", &format!("rebuild --diff --dry-run {database}"));
    is_shared("the second user tries");
    // Files of SQLite, while somebody is in the middle: made by a program of root.
    let db = Connection::open(books.join("imon.db")).unwrap();
    db.execute_batch("BEGIN IMMEDIATE; UPDATE source SET path = path").unwrap();
    is_shared("root is in the middle");
    ok(&home, 65_001, "077", &format!("status {database}"));
    db.execute_batch("ROLLBACK").unwrap();
    drop(db);
    ok(&home, 65_001, "077", &format!("prune --before 2026-11-27 {database}"));
    is_shared("the first user prunes");
    ok(&home, 65_002, "077", &format!("status {database}"));
}

#[test]
fn who_waits_for_another_says_for_whom() {
    let home = home();
    home.ok("ingest one.pcap --database imon.db");
    let held = std::fs::File::open(home.path("imon.db-lock")).unwrap();
    held.lock().unwrap();
    let mut waiting = Command::new(assert_cmd::cargo::cargo_bin("imon-analyze"))
        .args(["ingest", "two.pcap", "--database", "imon.db"])
        .env_clear()
        .env("HOME", home.path("."))
        .current_dir(home.path("."))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let first = said.next().unwrap().unwrap();
    assert!(first.starts_with("note: waiting for ") && first.ends_with("holds imon.db-lock, at most 120 s"), "{first}");
    if std::fs::read_to_string("/proc/locks").is_ok_and(|locks| !locks.is_empty()) {
        assert!(first.contains(&format!("process {} of user", std::process::id())), "{first}");
    }
    drop(held);
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.starts_with("ingested 1 source")), "{rest:?}");

    let db = Connection::open(home.path("imon.db")).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = std::time::Instant::now();
    let run = home.analyze("prune --before 2026-11-27 --database imon.db".split(' '));
    assert!(began.elapsed().as_secs() < 60);
    assert!(run.err.starts_with("note: waiting for another program that writes into the database"), "{}", run.err);
    assert!(run.err.contains("locked") && run.code == Some(1), "{}", run.err);
}
