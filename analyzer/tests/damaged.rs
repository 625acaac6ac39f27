//! A damaged database is reported as damaged, and never gives another total.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use support::{Home, chance::Chance, recent, rows_and_ledger};

/// As many bits as the environment variable IMON_FLIPS says.
#[test]
fn a_flipped_bit_changes_no_total_unseen() {
    let flips: usize = std::env::var("IMON_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(40);
    let home = Home::new();
    let capture = home.write("recent.pcap", &recent("netlab/browse-lan.pcap.gz"));
    home.ok(&format!("ingest {} --database good/imon.db", capture.display()));
    let db = rusqlite::Connection::open(home.path("good/imon.db")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);
    let good = std::fs::read(home.path("good/imon.db")).unwrap();
    std::fs::create_dir_all(home.path("empty")).unwrap();
    let report = |name: &str| {
        let line = format!(
            "report --database {name}/imon.db --spool empty --from 2026-01-01 --to 2100-01-01 --by host \
             --include-local --limit 0 --format json"
        );
        home.analyze(line.split_whitespace())
    };
    let wanted = report("good");
    assert_eq!(wanted.code, Some(0), "{}", wanted.err);
    let wanted = rows_and_ledger(&wanted.out);
    let (mut chance, mut told, mut unharmed) = (Chance(0x1234_5678_9abc_def1), 0, 0);
    for n in 0..flips {
        let (at, bit) = (chance.index(good.len()), chance.index(8));
        let mut bytes = good.clone();
        bytes[at] ^= 1 << bit;
        home.write("bad/imon.db", &bytes);
        for suffix in ["-wal", "-shm", "-journal"] {
            _ = std::fs::remove_file(home.path(&format!("bad/imon.db{suffix}")));
        }
        let run = report("bad");
        match run.code {
            Some(0) => {
                let found = rows_and_ledger(&run.out);
                assert_eq!(found, wanted, "flip {n}: bit {bit} of byte {at}");
                unharmed += 1;
            }
            Some(1) => {
                assert!(run.err.contains("error:") && run.err.contains("hint:"), "flip {n}: {}", run.err);
                told += 1;
            }
            other => panic!("flip {n}: exit {other:?}: {}", run.err),
        }
    }
    eprintln!("{flips} flips: {told} told, {unharmed} in what is not read");
    assert!(told > 0);
}

#[test]
fn a_changed_sum_a_lost_row_and_a_renamed_host_are_told() {
    let home = Home::new();
    let capture = home.write("recent.pcap", &recent("field/dup-a.pcap"));
    std::fs::create_dir_all(home.path("empty")).unwrap();
    for (name, change) in [
        ("sum", "UPDATE rollup SET down_bytes = down_bytes + 1"),
        ("row", "DELETE FROM rollup WHERE down_bytes = (SELECT max(down_bytes) FROM rollup)"),
        (
            "host",
            "UPDATE host SET name = 'other.example' WHERE name IS NOT NULL AND id = (SELECT min(id) FROM host WHERE name IS NOT NULL)",
        ),
        ("checksum", "DELETE FROM checked"),
        ("count", "UPDATE bucket_count SET packets = packets + 1"),
    ] {
        home.ok(&format!("ingest {} --database {name}/imon.db", capture.display()));
        let report = format!("report --database {name}/imon.db --spool empty --from 1970-01-01 --to 2100-01-01");
        home.ok(&report);
        let db = rusqlite::Connection::open(home.path(&format!("{name}/imon.db"))).unwrap();
        let changed = db.execute(change, []).unwrap();
        drop(db);
        if changed == 0 {
            assert!(["host", "count"].contains(&name), "{name}");
            continue;
        }
        let run = home.analyze(report.split_whitespace());
        assert_eq!(run.code, Some(1), "{name}: {}", run.out);
        assert!(run.err.contains("checksum") && run.err.contains("rebuild"), "{name}: {}", run.err);
        home.ok(&format!("rebuild --database {name}/imon.db"));
        if name != "host" {
            home.ok(&report);
        }
    }
}

/// Ways to damage a database whose journal is empty.
fn damages(good: &[u8]) -> Vec<(String, Vec<u8>)> {
    let page = usize::from(u16::from_be_bytes([good[16], good[17]]));
    let len = good.len();
    let cuts = [1, 15, 100, 512, page - 1, page, page + page / 2, len / 2, len - page, len - 1];
    let mut all: Vec<_> = cuts.iter().map(|at| (format!("cut at {at} of {len}"), good[..*at].to_vec())).collect();
    // Magic, page size, size in pages, schema cookie, text encoding, and the first page's tree.
    for at in [0, 16, 17, 28, 40, 56, 100, 103, 105] {
        let mut bytes = good.to_vec();
        bytes[at] ^= 0xff;
        all.push((format!("byte {at}"), bytes));
    }
    let mut middle = good.to_vec();
    middle[page..len / 2].fill(0xa5);
    all.push(("half of it overwritten".into(), middle));
    all
}

/// Files by what their names add to that of a database.
type Files = Vec<(&'static str, Vec<u8>)>;

/// A database, its journal and what SQLite keeps beside that, as a killed program left them: its
/// first source and a closed month are in the file, its second source only in the journal.
struct Left {
    home: Home,
    files: Files,
}

const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

fn left(name: &str, captures: [&str; 2]) -> Left {
    let home = Home::in_memory();
    home.write("old.pcap", &std::fs::read(support::testdata("pcap/us-le.pcap")).unwrap());
    home.write("a.pcap", &recent(captures[0]));
    home.write("b.pcap", &recent(captures[1]));
    home.write(
        ".config/imon/imon.toml",
        b"[[plan]]\nname = \"home\"\nbilling_day = 1\ncap = \"1 GB\"\n\n[alert]\npercent = [80]\n",
    );
    std::fs::create_dir_all(home.path("empty")).unwrap();
    home.ok(&format!("ingest old.pcap a.pcap --database {name}/imon.db"));
    // Who has it open keeps the journal from being written into it.
    let db = rusqlite::Connection::open(home.path(&format!("{name}/imon.db"))).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    home.ok(&format!("ingest b.pcap --database {name}/imon.db"));
    let read = |suffix| (suffix, std::fs::read(home.path(&format!("{name}/imon.db{suffix}"))).unwrap());
    let files = SUFFIXES.map(read).to_vec();
    assert!(files[1].1.len() > 10_000);
    Left { home, files }
}

impl Left {
    fn with(&self, suffix: &str, bytes: Option<Vec<u8>>) -> Files {
        let mut files = self.files.clone();
        files.retain(|(of, _)| *of != suffix || bytes.is_some());
        for (of, content) in &mut files {
            if let (true, Some(bytes)) = (*of == suffix, &bytes) {
                content.clone_from(bytes);
            }
        }
        files
    }
}

/// Damages of the journal, of what is beside it, and of the file together with both.
fn journals(left: &Left, other: &Left) -> Vec<(String, Files)> {
    let wal = &left.files[1].1;
    let flipped = |at: usize| {
        let mut bytes = wal.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let mut all = vec![
        ("journal lost".to_owned(), left.with("-wal", None)),
        ("journal empty".into(), left.with("-wal", Some(Vec::new()))),
        ("journal of zeros".into(), left.with("-wal", Some(vec![0; wal.len()]))),
        ("journal of another database".into(), left.with("-wal", Some(other.files[1].1.clone()))),
        ("index lost".into(), left.with("-shm", None)),
        ("index of zeros".into(), left.with("-shm", Some(vec![0; left.files[2].1.len()]))),
        ("index of noise".into(), left.with("-shm", Some(vec![0xa5; 40_000]))),
        ("index of another database".into(), left.with("-shm", Some(other.files[2].1.clone()))),
        ("database empty, journal there".into(), left.with("", Some(Vec::new()))),
        ("database lost, journal there".into(), left.with("", None)),
        ("database of the other one".into(), left.with("", Some(other.files[0].1.clone()))),
    ];
    for at in [0, 8, 16, 24, 32, 40, 56, 60, wal.len() / 3, wal.len() / 2, wal.len() - 1] {
        all.push((format!("byte {at} of the journal"), left.with("-wal", Some(flipped(at)))));
    }
    for len in [1, 31, 32, 33, 4_000, wal.len() / 2, wal.len() - 1] {
        all.push((format!("journal cut at {len}"), left.with("-wal", Some(wal[..len].to_vec()))));
    }
    all
}

/// Commands whose figures are compared, and others. None of them makes anything worse.
const COMPARED: [&str; 4] = [
    "report --spool empty --from 2025-01-01 --to 2100-01-01 --by host --limit 0 --json",
    "site example.org --spool empty --from 2025-01-01 --to 2100-01-01 --json",
    "plan --spool empty --json",
    "export dataset --spool empty",
];
const OTHERS: [&str; 10] = [
    "report --spool empty --from 2025-01-01 --to 2100-01-01 --format html",
    "report --spool empty --format prometheus",
    "explain example.org",
    "alert --spool empty",
    "top --once --spool empty",
    "status",
    "status --months --json",
    "prune --before 2000-01-01 --dry-run",
    "close",
    "rebuild --diff --dry-run",
];

/// The figures of a command that ended with 0.
fn figures(home: &Home, command: &str, run: &support::Run) -> String {
    match command.split(' ').next() {
        Some("export") => {
            let line = "report --dataset dataset --from 2025-01-01 --to 2100-01-01 --by host --limit 0 --json";
            format!("{:?}", rows_and_ledger(&home.analyze(line.split(' ')).out))
        }
        // Beside the figures it says how much of the period is over.
        Some("plan") => {
            let value: serde_json::Value = serde_json::from_str(&run.out).unwrap();
            value["plans"][0]["used_bytes"].to_string()
        }
        _ => format!("{:?}", rows_and_ledger(&run.out)),
    }
}

/// Whatever is damaged beside the database: what is booked is there, or what was before; or an
/// error names the file and what to do. Nothing panics, and nothing is made worse.
#[test]
fn a_journal_that_is_lost_damaged_or_of_another_database_gives_no_wrong_figure() {
    let both = left("bad", ["field/dup-a.pcap", "netlab/browse-lan.pcap.gz"]);
    let other = left("bad", ["netlab/browse-lan.pcap.gz", "field/dup-a.pcap"]);
    let home = &both.home;
    let months = || std::fs::read_dir(home.path("bad/books")).unwrap().count();
    let lay = |files: &Files| {
        for suffix in SUFFIXES.into_iter().chain(["-journal"]) {
            _ = std::fs::remove_file(home.path(&format!("bad/imon.db{suffix}")));
        }
        files.iter().for_each(|(suffix, bytes)| _ = home.write(&format!("bad/imon.db{suffix}"), bytes));
        _ = std::fs::remove_dir_all(home.path("dataset"));
    };
    let run = |command: &str| home.analyze(format!("{command} --database bad/imon.db").split_whitespace());
    // What is right: everything, or what was in the file before the journal.
    let wanted: Vec<Vec<String>> = [both.files.clone(), both.with("-wal", None)]
        .iter()
        .map(|files| {
            let of = |command: &&str| {
                lay(files);
                let run = run(command);
                assert_eq!(run.code, Some(0), "{command}: {}", run.err);
                figures(home, command, &run)
            };
            COMPARED.iter().map(of).collect()
        })
        .collect();
    assert_ne!(wanted[0][0], wanted[1][0]);
    let closed = months();
    let mut wrong = Vec::new();
    for (nth, (how, files)) in journals(&both, &other).into_iter().enumerate() {
        // Of the others some with each damage: all have their turn.
        let others = OTHERS.iter().enumerate().filter(|(n, _)| (n + nth) % 3 == 0).map(|(_, command)| command);
        for (n, command) in COMPARED.iter().chain(others).enumerate() {
            lay(&files);
            let run = run(command);
            let what = format!("{how}: {command}: exit {:?}: {}", run.code, run.err);
            let is_right = match run.code {
                Some(0) if n < COMPARED.len() => {
                    let found = figures(home, command, &run);
                    wanted.iter().any(|wanted| wanted[n] == found)
                }
                Some(0) => true,
                Some(1 | 3) => run.err.contains("imon.db") && run.err.contains("hint:"),
                _ => false,
            };
            wrong.extend((!is_right || run.err.contains("panicked")).then(|| what.clone()));
            if run.code == Some(1) {
                for (suffix, bytes) in files.iter().filter(|(suffix, _)| *suffix != "-shm") {
                    let now = std::fs::read(home.path(&format!("bad/imon.db{suffix}"))).unwrap_or_default();
                    wrong.extend((now != *bytes).then(|| format!("{what}\nchanged: imon.db{suffix}")));
                }
            }
            assert_eq!(months(), closed, "{what}");
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// Whatever is damaged: figures are right, or an error names the file and what to do; and nothing
/// panics.
#[test]
fn every_command_says_what_is_damaged_or_gives_the_right_figures() {
    let home = Home::in_memory();
    home.write("recent.pcap", &recent("field/dup-a.pcap"));
    home.write(".config/imon/imon.toml", b"[[plan]]\nbilling_day = 1\n\n[alert]\nsilent = \"1 hour\"\n");
    home.ok("ingest recent.pcap --database good/imon.db");
    let db = rusqlite::Connection::open(home.path("good/imon.db")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(db);
    let good = std::fs::read(home.path("good/imon.db")).unwrap();
    std::fs::create_dir_all(home.path("empty")).unwrap();
    let report = "report --spool empty --from 2026-01-01 --to 2100-01-01 --by host --limit 0 --json";
    let site = "site example.org --spool empty --from 2026-01-01 --to 2100-01-01 --json";
    let commands = [
        report,
        site,
        "report --spool empty --from 2026-01-01 --to 2100-01-01 --format html",
        "report --spool empty --format prometheus",
        "status",
        "prune --before 2000-01-01 --dry-run",
        "close",
        "rebuild --diff --dry-run",
        "plan --spool empty",
        "alert --spool empty",
        "export dataset --spool empty",
        "top --once --spool empty",
    ];
    let run = |command: &str, name: &str| {
        let line = format!("{command} --database {name}/imon.db");
        home.analyze(line.split_whitespace())
    };
    let wanted = [report, site].map(|command| rows_and_ledger(&run(command, "good").out));
    let mut wrong = Vec::new();
    for (how, bytes) in damages(&good) {
        for (n, command) in commands.iter().enumerate() {
            home.write("bad/imon.db", &bytes);
            for suffix in ["-wal", "-shm", "-journal"] {
                _ = std::fs::remove_file(home.path(&format!("bad/imon.db{suffix}")));
            }
            let run = run(command, "bad");
            let what = format!("{how}: {command}: exit {:?}: {}", run.code, run.err);
            let is_right = match run.code {
                Some(0) if n < 2 => rows_and_ledger(&run.out) == wanted[n],
                Some(0) => true,
                Some(1 | 3) => run.err.contains("imon.db") && run.err.contains("hint:"),
                _ => false,
            };
            wrong.extend((!is_right || run.err.contains("panicked")).then_some(what));
        }
        home.write("bad/imon.db", &bytes);
        let check = home.analyze(["check", "bad/imon.db"]);
        let finds_nothing = check.code == Some(0);
        let is_right = match finds_nothing {
            true => rows_and_ledger(&run(report, "bad").out) == wanted[0],
            false => check.code != Some(101) && !check.err.contains("panicked"),
        };
        wrong.extend((!is_right).then(|| format!("{how}: check: {:?}: {}{}", check.code, check.out, check.err)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// A new database in the place of one that is lost would report without its months.
#[test]
fn where_closed_months_are_no_database_is_made_anew() {
    let home = Home::in_memory();
    home.write("end.pcap", &support::beginning("netlab/browse-lan.pcap.gz", 1_585_699_080, 15));
    home.write("new.pcap", &recent("netlab/browse-lan.pcap.gz"));
    home.write("spool/good.seg", &std::fs::read(support::testdata("segments/good.seg")).unwrap());
    std::fs::copy(support::testdata("vnstat/home.json"), home.path("home.json")).unwrap();
    home.ok("ingest end.pcap --database d/imon.db");
    let of_months = || home.ok("report --database d/imon.db --from 2020-01-01 --to 2020-12-31 --csv");
    let before = of_months();
    for lost in ["emptied", "removed"] {
        for suffix in ["-wal", "-shm", "-journal"] {
            _ = std::fs::remove_file(home.path(&format!("d/imon.db{suffix}")));
        }
        match lost {
            "emptied" => std::fs::write(home.path("d/imon.db"), b"").unwrap(),
            _ => std::fs::remove_file(home.path("d/imon.db")).unwrap(),
        }
        for line in [
            "report --database d/imon.db --spool spool",
            "site a.example --database d/imon.db --spool spool",
            "ingest new.pcap --database d/imon.db",
            "ingest --spool spool --database d/imon.db",
            "import home.json --database d/imon.db",
            "export set --database d/imon.db --spool spool",
        ] {
            let run = home.analyze(line.split(' '));
            assert_eq!(run.code, Some(1), "{lost}: {line}: {}", run.err);
            assert!(run.err.contains("rebuild --from-books"), "{lost}: {line}: {}", run.err);
        }
        home.ok("rebuild --from-books --database d/imon.db");
        assert_eq!(of_months(), before, "{lost}");
        home.ok("ingest new.pcap --database d/imon.db");
    }
}
