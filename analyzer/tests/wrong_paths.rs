//! Every command with an option that names a file or folder, and every kind of wrong one: a clear
//! error with its exit code, and nothing is made.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use support::{Home, testdata};

/// What there is of paths that are no database, dataset, spool or list.
const WRONG: [&str; 8] =
    ["gone", "nowhere/gone", "folder", "text.txt", "empty", "other.db", "small.pcap", "small.pcap/below"];

/// A home with a database and all kinds of wrong paths; and with a spool of this user's, in which a
/// mistyped database would be made.
fn home() -> Home {
    let home = Home::in_memory();
    home.write("small.pcap", &std::fs::read(testdata("pcap/us-le.pcap")).unwrap());
    home.write("text.txt", b"hello\n");
    home.write("empty", b"");
    std::fs::create_dir_all(home.path("folder")).unwrap();
    rusqlite::Connection::open(home.path("other.db")).unwrap().execute_batch("CREATE TABLE x (n)").unwrap();
    home.ok("ingest small.pcap --database good/imon.db");
    std::fs::create_dir_all(home.path(".local/state/imon")).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(home.path(".local/state/imon"), private).unwrap();
    home.write(
        ".config/imon/imon.toml",
        b"[[plan]]\nname = \"home\"\nbilling_day = 1\ncap = \"1 GB\"\n\n[alert]\npercent = [80]\n",
    );
    home
}

/// Every file and folder with its length.
fn everything(folder: &Path) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let about = path.symlink_metadata().unwrap();
            if about.is_dir() {
                left.push(path.clone());
            }
            all.insert(path.display().to_string(), if about.is_dir() { 0 } else { about.len() });
        }
    }
    all
}

/// Runs `command` with each wrong path; `fits` are those that are meant so. Gives what is wrong
/// with the answers.
fn wrong(home: &Home, command: &str, option: &str, (code, fits): (i32, &[&str])) -> Vec<String> {
    let mut wrong = Vec::new();
    for path in WRONG.iter().filter(|path| !fits.contains(path)) {
        let before = everything(&home.path(""));
        let line = format!("{command} {option} {path}");
        let run = home.analyze(line.split_whitespace());
        let what = format!("{line}: exit {:?}: {}{}", run.code, run.out, run.err);
        // What is wrong, with which path, and what to do.
        let is_clear = run.code == Some(code)
            && run.out.is_empty()
            && run.err.starts_with("error: ")
            && run.err.contains(path)
            && (run.err.contains("  hint:  ") || run.err.contains("files are read"))
            && !run.err.contains("panicked");
        wrong.extend((!is_clear).then(|| what.clone()));
        let after = everything(&home.path(""));
        let made: Vec<&String> = after.keys().filter(|path| before.get(*path) != after.get(*path)).collect();
        wrong.extend((!made.is_empty() || before.len() != after.len()).then(|| format!("{what}\nmade: {made:?}")));
    }
    wrong
}

/// Commands that read a database, none of which makes one under a name that was typed.
const OF_DATABASES: [&str; 16] = [
    "report",
    "report --json",
    "report --format html",
    "report --format prometheus",
    "site example.org",
    "plan",
    "alert",
    "explain example.org",
    "close",
    "close --month 2025-10",
    "prune --before 2000-01-01",
    "prune --device 192.168.1.2",
    "prune --drop-old",
    "rebuild",
    "status --months",
    "top --once",
];

#[test]
fn a_database_that_is_none_is_told_and_never_made() {
    let home = home();
    let mut found = Vec::new();
    for command in OF_DATABASES {
        found.extend(wrong(&home, command, "--database", (1, &[])));
    }
    for (command, made) in [("export dataset", "dataset"), ("status --backup copy", "copy")] {
        for path in ["gone", "nowhere/gone", "empty"] {
            let run = home.analyze(format!("{command} --database {path}").split_whitespace());
            assert_eq!(run.code, Some(1), "{command} {path}: {}", run.err);
            assert!(run.err.contains(&format!("there is no database {path}")), "{command}: {}", run.err);
            assert!(!home.path(made).exists(), "{command} {path}");
        }
        for path in ["folder", "text.txt", "other.db", "small.pcap"] {
            let run = home.analyze(format!("{command} --database {path}").split_whitespace());
            assert_eq!(run.code, Some(1), "{command} {path}: {}", run.err);
            assert!(run.err.contains(path) && run.err.contains("hint:"), "{command}: {}", run.err);
            assert!(!home.path(made).exists(), "{command} {path} leaves a folder");
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

#[test]
fn what_cannot_be_booked_makes_no_database() {
    let home = home();
    let mut found = Vec::new();
    for command in ["ingest text.txt", "ingest gone", "ingest empty folder", "ingest other.db text.txt"] {
        let run = home.analyze(format!("{command} --database new.db").split_whitespace());
        assert_eq!(run.code, Some(1), "{command}: {}", run.err);
        assert!(!home.path("new.db").exists() && !home.path("new.db-lock").exists(), "{command}: {}", run.err);
        // Nor a folder for one; without a name it would be where databases are.
        for (database, made) in [(" --database made/for/new.db", "made"), ("", ".local/state/imon/imon.db")] {
            home.analyze(format!("{command}{database}").split_whitespace());
            assert!(!home.path(made).exists(), "{command}{database}");
        }
    }
    found.extend(wrong(&home, "ingest small.pcap", "--database", (1, &["gone", "nowhere/gone", "empty"])));
    found.extend(wrong(&home, "ingest --database good/imon.db", "", (1, &["small.pcap"])));
    found.extend(wrong(&home, "import --database good/imon.db", "", (1, &[])));
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

/// Folders that were made for nothing go, and those that were there stay.
#[test]
fn a_command_that_fails_leaves_no_folder() {
    let home = home();
    std::fs::create_dir_all(home.path("months/books")).unwrap();
    let lines = [
        "import text.txt --database new/imon.db",
        "plan --plan work --database new/imon.db --spool folder",
        "rebuild --from-books --database new/imon.db",
        "rebuild --from-books --database months/imon.db",
        "report --database new/imon.db --spool folder -o nowhere/out.txt",
        "export new/deep/set --database other.db --spool folder",
        "export folder --database other.db --spool folder",
        "status --backup new/deep/copy --database text.txt",
    ];
    for line in lines {
        let before = everything(&home.path(""));
        let run = home.analyze(line.split(' '));
        assert!(matches!(run.code, Some(1 | 2)), "{line}: {}", run.err);
        assert_eq!(everything(&home.path("")), before, "{line}: {}", run.err);
    }
}

/// `ingest` makes a database; so does a report where nobody named one, or where the spool to book
/// is named as well. Then it says so.
#[test]
fn a_database_is_made_where_somebody_means_it() {
    let home = home();
    home.ok("ingest small.pcap --database a/imon.db");
    assert!(home.path("a/imon.db").exists());
    let run = home.analyze("report --database b/imon.db --spool small.pcap --in 2025-10-09".split(' '));
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("made the database b/imon.db") && run.out.contains("example.org"), "{run:?}");
    home.ok("report");
    assert!(home.path(".local/state/imon/imon.db").exists());
    // One that the configuration names is no mistyped one.
    home.write("other.toml", format!("[report]\ndatabase = \"{}\"\n", home.path("c/imon.db").display()).as_bytes());
    home.ok("report --config other.toml");
    assert!(home.path("c/imon.db").exists());
    let run = home.analyze("report --config other.toml --database d/imon.db".split(' '));
    assert_eq!((run.code, home.path("d").exists()), (Some(1), false), "{}", run.err);
}

#[test]
fn spools_datasets_lists_and_configurations_that_are_none_are_told() {
    let home = home();
    let mut found = Vec::new();
    let good = "--database good/imon.db";
    for command in ["report", "site example.org", "plan", "alert", "export dataset", "ingest"] {
        // A folder without segments is a spool of which nothing was recorded yet.
        let line = format!("{command} {good}");
        std::fs::create_dir_all(home.path("dataset")).unwrap();
        found.extend(wrong(&home, &line, "--spool", (1, &["folder", "small.pcap"])));
        let line = format!("{command} --database new.db");
        found.extend(wrong(&home, &line, "--spool", (1, &["folder", "small.pcap"])));
    }
    found.extend(wrong(&home, "top --once", "--spool", (1, &["folder"])));
    for command in ["report", "site example.org"] {
        found.extend(wrong(&home, command, "--dataset", (1, &[])));
    }
    for command in ["report small.pcap", "flows small.pcap", "names small.pcap", "explain example.org small.pcap"] {
        found.extend(wrong(&home, command, "--families", (2, &["empty"])));
        found.extend(wrong(&home, command, "--owners", (2, &[])));
    }
    found.extend(wrong(&home, "verify small.pcap", "--families", (2, &["empty"])));
    for command in ["report", "flows small.pcap", "status", "check small.pcap", "config"] {
        found.extend(wrong(&home, command, "--config", (2, &["empty"])));
    }
    for command in ["report", "flows", "names", "verify", "check", "explain example.org"] {
        found.extend(wrong(&home, command, "", (1, &["small.pcap"])));
    }
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}
