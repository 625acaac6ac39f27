//! Files of others: what is read or kept is never written over, what is no file is never waited
//! for, and a database of another program stays as it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rusqlite::Connection;
use std::os::unix::fs::{lchown, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{Home, testdata};

fn home() -> Home {
    let home = Home::new();
    home.write("one.pcap", &std::fs::read(testdata("pcap/us-le.pcap")).unwrap());
    home.write("spool/good.seg", &std::fs::read(testdata("segments/good.seg")).unwrap());
    home.write("spool/recorder.lock", b"1234");
    home.write("families.txt", b"example.org example.com\n");
    home.ok("ingest one.pcap --database books/imon.db");
    home
}

/// A line of a shell, in which `imon` stands for the program.
fn shell(home: &Home, line: &str) -> Output {
    let program = assert_cmd::cargo::cargo_bin("imon-analyze");
    let mut command = Command::new("bash");
    command.args(["-c", &format!("imon() {{ '{}' \"$@\"; }}; {line}", program.display())]);
    command.env_clear().env("TZ", "UTC").env("PATH", "/usr/bin:/bin").env("HOME", home.path("."));
    command.current_dir(home.path(".")).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the program, which must end by itself before long.
fn in_time(home: &Home, line: &str) -> (Option<i32>, String) {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("imon-analyze"))
        .args(line.split_whitespace())
        .env_clear()
        .env("TZ", "UTC")
        .env("HOME", home.path("."))
        .current_dir(home.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("{line}: hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), said(&output))
}

#[test]
fn a_result_does_not_go_over_what_is_read_or_kept() {
    let home = home();
    std::fs::hard_link(home.path("one.pcap"), home.path("hard")).unwrap();
    symlink("spool/good.seg", home.path("soft")).unwrap();
    let kept = std::fs::read_dir(home.path("books/captures")).unwrap().next().unwrap().unwrap().file_name();
    let kept = format!("books/captures/{}", kept.to_str().unwrap());
    // While it is open, SQLite's files are there.
    let db = Connection::open(home.path("books/imon.db")).unwrap();
    db.execute_batch("BEGIN IMMEDIATE; UPDATE source SET path = path; COMMIT").unwrap();
    let database = "--database books/imon.db --spool spool";
    let lines = [
        "report one.pcap -o one.pcap".to_owned(),
        "report one.pcap -o hard".into(),
        "flows one.pcap spool -o soft".into(),
        "names spool -o spool/good.seg".into(),
        "names --summary spool --output soft".into(),
        "verify one.pcap --families families.txt -o families.txt".into(),
        "check spool -o soft".into(),
        "explain 192.0.2.1 one.pcap -o hard".into(),
        "report one.pcap --config imon.toml -o imon.toml".into(),
        "config --config imon.toml -o ./imon.toml".into(),
        format!("report {database} -o books/imon.db"),
        format!("site example.com {database} -o books/imon.db-wal"),
        format!("report {database} -o books/imon.db-shm"),
        format!("report {database} -o books/imon.db-journal"),
        format!("report {database} -o spool/recorder.lock"),
        format!("report {database} -o soft"),
        format!("explain 192.0.2.1 {database} -o spool/good.seg"),
        format!("rebuild {database} --diff -o {kept}"),
        format!("rebuild {database} --diff -o {}/spool/recorder.lock", home.path(".").display()),
        "status --database books/imon.db -o books/imon.db-lock".into(),
        "status --database books/imon.db -o books/../books/imon.db".into(),
        format!("status --database books/imon.db -o {kept}"),
    ];
    home.write("imon.toml", b"[keep]\nsize = '1 GB'\n");
    let precious =
        ["one.pcap", "imon.toml", "spool/good.seg", "spool/recorder.lock", "families.txt", &kept, "books/imon.db"];
    let before = precious.map(|name| std::fs::read(home.path(name)).unwrap());
    for line in &lines {
        let run = home.analyze(line.split_whitespace());
        assert_eq!(run.code, Some(2), "{line}: {}", run.err);
        assert!(run.err.ends_with("  hint:  -o names another file\n"), "{line}: {}", run.err);
        assert_eq!(precious.map(|name| std::fs::read(home.path(name)).unwrap()), before, "{line}");
    }
    assert!(!home.path("books/imon.db-journal").exists());
    // Through the shell it is the same file, too.
    for line in ["imon flows one.pcap >> one.pcap", "imon flows - < one.pcap >> one.pcap", "imon check spool >> soft"] {
        let output = shell(&home, line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", said(&output));
        assert_eq!(precious.map(|name| std::fs::read(home.path(name)).unwrap()), before, "{line}");
    }
    home.ok("report one.pcap -o result.txt");
    home.ok("report one.pcap -o result.txt --format json");
    assert!(std::fs::read(home.path("result.txt")).unwrap().starts_with(b"{"));
}

#[test]
fn a_command_that_fails_leaves_its_output_as_it_was() {
    let home = home();
    home.write("old.txt", b"what was there");
    home.write("text", b"no capture");
    for line in ["report text", "report none.pcap", "flows text", "status --database none.db", "verify text"] {
        for to in ["old.txt", "new.txt"] {
            let run = home.analyze(format!("{line} -o {to}").split(' '));
            assert_eq!(run.code, Some(1), "{line}: {}", run.err);
            assert_eq!(std::fs::read(home.path("old.txt")).unwrap(), b"what was there", "{line}");
            assert!(!home.path("new.txt").exists(), "{line}");
        }
    }
}

#[test]
fn pipes_and_devices_are_never_waited_for() {
    let home = home();
    for name in ["pipe", "spool/pipe.seg", "spool/pipe.part", "books/captures/ingest-1-1.part"] {
        mkfifo(&home.path(name), Mode::S_IRWXU).unwrap();
    }
    symlink("pipe", home.path("link")).unwrap();
    for (line, code) in [
        ("report pipe", 1),
        ("report link", 1),
        ("ingest pipe --database books/imon.db", 1),
        ("check pipe", 1),
        ("flows pipe", 1),
        ("names --summary pipe", 1),
        ("verify pipe", 1),
        ("explain 192.0.2.1 pipe", 1),
        ("report /dev/zero", 1),
        ("report one.pcap --families pipe", 2),
        ("report one.pcap --families /dev/zero", 2),
        ("report one.pcap -o pipe", 1),
        ("status --database pipe", 1),
        ("ingest one.pcap --database pipe", 1),
        ("report --spool pipe --database books/imon.db", 1),
        // In a folder there are others, which are read; that they are left out is said.
        ("report spool", 0),
        ("check spool", 3),
        ("ingest spool --database books/imon.db", 0),
        ("report --spool spool --database books/imon.db --from 2020-01-01", 3),
        ("rebuild --database books/imon.db", 0),
    ] {
        let (found, said) = in_time(&home, line);
        assert_eq!(found, Some(code), "{line}: {said}");
        assert!(code == 0 || said.contains("error: "), "{line}: {said}");
    }
    // The store names it, as somebody put it in the place of a segment.
    let db = Connection::open(home.path("books/imon.db")).unwrap();
    db.execute("UPDATE source SET path = ?1, stale = 1", [home.path("pipe").to_str()]).unwrap();
    for line in ["rebuild --database books/imon.db", "explain 192.0.2.1 --at 2026-11-22T14:30 --database books/imon.db"]
    {
        in_time(&home, line);
    }
}

#[test]
fn what_the_shell_hands_over_is_read() {
    let home = home();
    let right = shell(&home, "imon report one.pcap --format csv");
    assert_eq!(right.status.code(), Some(0), "{}", said(&right));
    for line in [
        "imon report <(cat one.pcap) --format csv",
        "(sleep 0.2; cat one.pcap) | imon report - --format csv",
        "imon report /dev/stdin --format csv < one.pcap",
        "imon report one.pcap --format csv --families <(echo a.example b.example)",
        "imon report one.pcap --format csv -o >(cat)",
        "imon report one.pcap --format csv -o /dev/stdout",
    ] {
        let output = shell(&home, line);
        assert_eq!(output.status.code(), Some(0), "{line}: {}", said(&output));
        if !line.contains(">(") {
            assert_eq!(output.stdout, right.stdout, "{line}");
        }
    }
}

#[test]
fn lists_have_a_longest_length() {
    let home = home();
    home.write("long.txt", &b"# nothing\n".repeat(1 << 20));
    let run = home.analyze("report one.pcap --families long.txt".split(' '));
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("cause: it has more than 8388608 bytes\n"), "{}", run.err);
}

#[test]
fn a_closed_standard_output_is_an_error_and_a_closed_pipe_is_none() {
    let home = home();
    let database = "--database books/imon.db";
    for (line, code) in [
        ("imon report one.pcap >&-".to_owned(), 1),
        ("imon flows one.pcap >&-".into(), 1),
        ("imon check spool --format csv >&-".into(), 1),
        (format!("imon status {database} >&-"), 1),
        ("imon --version >&-".into(), 1),
        ("imon report --help >&-".into(), 1),
        ("imon --self-test >&-".into(), 1),
        ("imon report one.pcap > /dev/full".into(), 1),
        ("imon --version > /dev/full".into(), 1),
        // Where it is not used it need not be there.
        ("imon report one.pcap -o x.txt >&-".into(), 0),
        (format!("imon ingest one.pcap {database} >&-"), 0),
        ("imon report one.pcap > /dev/null".into(), 0),
        // As Python's DEVNULL is opened.
        ("imon report one.pcap 1<> /dev/null".into(), 0),
        ("imon report one.pcap <&- 2>&- > /dev/null".into(), 0),
        ("imon flows one.pcap | head -c 1 > /dev/null; exit ${PIPESTATUS[0]}".into(), 0),
        ("imon --help | head -c 1 > /dev/null; exit ${PIPESTATUS[0]}".into(), 0),
    ] {
        let output = shell(&home, &line);
        assert_eq!(output.status.code(), Some(code), "{line}: {}", said(&output));
        if code == 1 {
            assert!(said(&output).starts_with("error: cannot write to standard output\n"), "{line}: {}", said(&output));
        }
    }
}

#[test]
fn a_database_of_another_program_stays_as_it_is() {
    let home = home();
    let make = |name: &str, sql: &str| Connection::open(home.path(name)).unwrap().execute_batch(sql).unwrap();
    make("places.sqlite", "CREATE TABLE moz_places (n); PRAGMA user_version = 3");
    make("wal.sqlite", "PRAGMA journal_mode = WAL; CREATE TABLE source (n); CREATE TABLE other (n)");
    make("package.gpkg", "PRAGMA application_id = 1196444487; CREATE TABLE x (n)");
    for name in ["places.sqlite", "wal.sqlite", "package.gpkg", "one.pcap", "families.txt"] {
        let before = std::fs::read(home.path(name)).unwrap();
        for line in ["ingest spool", "report", "status", "rebuild", "prune --keep-days 1", "explain a.example"] {
            let run = home.analyze(format!("{line} --database {name}").split_whitespace());
            assert_eq!(run.code, Some(1), "{line} {name}: {}", run.err);
            assert!(run.err.contains(&format!("error: cannot use the database {name}\n")), "{line}: {}", run.err);
            assert_eq!(std::fs::read(home.path(name)).unwrap(), before, "{line} {name}");
        }
        for suffix in ["-wal", "-shm", "-journal", "-lock"] {
            assert!(!home.path(&format!("{name}{suffix}")).exists(), "{name}{suffix}");
        }
    }
    let run = home.analyze("status --database package.gpkg".split(' '));
    assert!(run.err.contains("application id is 0x47504b47"), "{}", run.err);
}

#[test]
fn a_database_of_ours_without_a_mark_gets_it() {
    let home = home();
    let id = || -> i64 {
        let db = Connection::open(home.path("books/imon.db")).unwrap();
        db.pragma_query_value(None, "application_id", |row| row.get(0)).unwrap()
    };
    assert_eq!(id(), 0x494d_4f4e);
    Connection::open(home.path("books/imon.db")).unwrap().pragma_update(None, "application_id", 0).unwrap();
    home.ok("status --database books/imon.db");
    assert_eq!(id(), 0x494d_4f4e);
}

#[test]
fn second_names_and_links_of_others_are_not_written_through() {
    let home = home();
    let victim = home.write("victim", b"precious");
    let unharmed = |what: &str, ingested: &support::Run| {
        assert_eq!(ingested.code, Some(1), "{what}: {}", ingested.err);
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious", "{what}");
    };
    let ingest = || home.analyze("ingest spool --database books/imon.db".split(' '));
    for suffix in ["-lock", "-wal", "-shm", "-journal"] {
        let planted = home.path(&format!("books/imon.db{suffix}"));
        _ = std::fs::remove_file(&planted);
        std::fs::hard_link(&victim, &planted).unwrap();
        let run = ingest();
        unharmed(suffix, &run);
        assert!(run.err.contains("2 names (hard links)"), "{suffix}: {}", run.err);
        std::fs::remove_file(&planted).unwrap();
    }
    std::fs::hard_link(home.path("books/imon.db"), home.path("second")).unwrap();
    unharmed("the database", &ingest());
    std::fs::remove_file(home.path("second")).unwrap();
    assert_eq!(ingest().code, Some(0));

    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped in part: needs root to plant links of another user");
        return;
    }
    let plant = |target: &Path, name: &str| {
        let link = home.path(name);
        _ = std::fs::remove_file(&link);
        _ = std::fs::remove_dir_all(&link);
        symlink(target, &link).unwrap();
        lchown(&link, Some(65_001), None).unwrap();
    };
    std::fs::create_dir(home.path("target")).unwrap();
    for (target, name) in [
        (victim.as_path(), "books/imon.db-lock"),
        (&victim, "books/imon.db-wal"),
        (&home.path("target"), "books/captures"),
        (&victim, "books/imon.db"),
    ] {
        plant(target, name);
        let run = home.analyze("ingest one.pcap --database books/imon.db".split(' '));
        unharmed(name, &run);
        assert!(run.err.contains("a link that user 65001 made"), "{name}: {}", run.err);
        assert_eq!(std::fs::read_dir(home.path("target")).unwrap().count(), 0, "{name}");
        _ = std::fs::remove_file(home.path(name));
    }
    // What is cleared up behind it is nobody's.
    let part = home.write("target/ingest-1-1.part", b"of another store");
    home.ok("ingest spool --database fresh/imon.db");
    plant(&home.path("target"), "fresh/captures");
    home.ok("ingest spool --database fresh/imon.db");
    home.ok("rebuild --database fresh/imon.db");
    assert!(part.exists());
    // A link of one's own is a way to say where it lies.
    std::fs::create_dir(home.path("disk")).unwrap();
    symlink(home.path("disk/imon.db"), home.path("mine.db")).unwrap();
    home.ok("ingest one.pcap --database mine.db");
    home.ok("status --database mine.db");
    assert!(home.path("disk/imon.db").exists());
}

#[test]
fn books_and_drafts_of_others_stay_where_imon_keeps_its_own() {
    let home = home();
    let theirs = ["books/novel.epub", "books/unfinished/chapter-1.txt", "books/ledger/2026.ods"];
    for name in theirs {
        home.write(name, b"mine");
    }
    home.ok("ingest one.pcap --database imon.db");
    home.ok("close --database imon.db");
    home.ok("rebuild --database imon.db");
    home.ok("prune --before 2100-01-01 --database imon.db");
    for name in theirs {
        assert!(home.path(name).exists(), "{name}");
    }
    // A copy goes into a folder in which there is nothing, or what a copy left.
    for (name, text) in [("unfinished", "drafts"), ("unfinished/1.txt", "a draft")] {
        let folder = home.path("mine");
        _ = std::fs::remove_dir_all(&folder);
        home.write("mine/books/novel.epub", b"mine");
        home.write(&format!("mine/{name}"), text.as_bytes());
        let run = home.analyze("status --database imon.db --backup mine".split(' '));
        assert_eq!(run.code, Some(1), "{}", run.err);
        assert!(run.err.contains("the folder is not empty"), "{}", run.err);
        assert!(folder.join("books/novel.epub").exists() && folder.join(name).exists(), "{name}");
    }
    // Nor does a key that is made take another file's place, or that of a key which is elsewhere.
    symlink("/mnt/none/key", home.path("link")).unwrap();
    let run = home.analyze("export set --mask all --mask-key link --database imon.db".split(' '));
    assert!(run.code == Some(1) && run.err.contains("leads to nothing"), "{}", run.err);
    assert!(home.path("link").is_symlink());
    home.write("key.new", b"notes on keys");
    let run = home.analyze("export set --mask all --mask-key key --database imon.db".split(' '));
    assert!(run.code == Some(1) && run.err.contains("is not ours"), "{}", run.err);
    assert_eq!(std::fs::read(home.path("key.new")).unwrap(), b"notes on keys");
    home.write("key.new", b"0123456789abcdef");
    home.ok("export set --mask all --mask-key key --database imon.db");
}

#[test]
fn a_database_may_be_called_as_a_uri_begins_and_must_be_called_in_text() {
    use std::os::unix::ffi::OsStrExt as _;
    let home = home();
    let text = |bytes: &[u8]| std::ffi::OsString::from(std::ffi::OsStr::from_bytes(bytes));
    let run = home.analyze([&b"ingest"[..], b"one.pcap", b"--database", b"d/\xff.db"].map(text));
    assert!(run.code == Some(1) && run.err.contains("no text in UTF-8"), "{}", run.err);
    assert!(!home.path("d").exists());
    let run = |words: &[&[u8]]| {
        let run = home.analyze(words.iter().map(|word| text(word)));
        assert_eq!(run.code, Some(0), "{words:?}: {}", run.err);
    };
    run(&[b"ingest", b"one.pcap", b"--database", b"file:d"]);
    run(&[b"rebuild", b"--dry-run", b"--diff", b"--database", b"file:d"]);
    run(&[b"status", b"--backup", b"file:copy", b"--database", b"file:d"]);
    run(&[b"status", b"--database", b"file:copy/file:d"]);
}

#[test]
fn a_limit_for_the_length_of_files_is_an_error_and_not_the_end() {
    let home = home();
    for line in
        ["ingest one.pcap --database new/imon.db", "status --database books/imon.db", "report one.pcap -o x.txt"]
    {
        let output = shell(&home, &format!("ulimit -f 0; imon {line}"));
        let said = said(&output);
        assert!(output.status.code() == Some(1) && said.starts_with("error: "), "{line}: {output:?}");
    }
    home.ok("ingest one.pcap --database new/imon.db");
}
