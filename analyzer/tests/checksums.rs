//! Whatever changes in a database behind imon's back: a report is as before, or says what is
//! damaged; and `check` finds everything.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use imon_common::observe::{Observer as _, Usage};
use imon_common::segment::{SegmentClose, SegmentHeader, SegmentWriter};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use rusqlite::Connection;
use rusqlite::types::Value;
use support::{Home, Run, chance::Chance, flow, pcap, recent, segment_header, testdata, udp};

fn now_s() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap()
}

/// A segment of a recorder from one second to another; one that was killed has no end.
fn segment(sequence: u64, (from, to): (i64, i64), is_killed: bool) -> Vec<u8> {
    let at = |second: i64| UnixNanos(second * NANOS_PER_SECOND);
    let header = SegmentHeader {
        boot: [0xb0; 16],
        monotonic_start_ns: from as u64 * 1_000_000_000,
        before: if sequence == 0 { [0; 16] } else { [0x20 + sequence as u8 - 1; 16] },
        ..segment_header([0x20 + sequence as u8; 16], [7; 16], sequence, at(from))
    };
    let flow = flow(1, at(from));
    let mut writer = SegmentWriter::create(Vec::new(), &header).unwrap();
    for second in from..to {
        writer.usage(&flow, at(second), Usage { up_packets: 1, up_bytes: 100, ..Usage::default() }).unwrap();
    }
    match is_killed {
        true => {
            writer.commit().unwrap();
            writer.get_ref().clone()
        }
        false => writer.close(&SegmentClose { recorded_to: Some(at(to)), ..SegmentClose::default() }).unwrap().0,
    }
}

/// A DHCP request of a device that says what it is called, and what it sends then.
fn named_device(at_us: u64) -> Vec<u8> {
    let mut bootp = vec![1, 1, 6, 0, 0, 0, 0, 9];
    bootp.resize(28, 0);
    bootp.extend([2, 0, 0, 0, 0, 9]);
    bootp.resize(236, 0);
    bootp.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 3, 12, 10]);
    bootp.extend(b"Ann-Laptop\xff");
    let mut asked = udp(([0; 4], 68), ([255; 4], 67), &bootp);
    asked[11] = 9;
    let sent = udp(([192, 168, 1, 9], 40_000), ([203, 0, 113, 9], 9_999), &[0; 500]);
    pcap(&[(at_us, asked), (at_us + 10_000, sent)])
}

/// A home with a database that has something in every table that a report rests on: open and closed
/// months, a recorder whose run was cut short, names of devices, what was imported.
fn home() -> Home {
    let home = Home::in_memory();
    let now = now_s();
    home.write("browse.pcap", &recent("netlab/browse-lan.pcap.gz"));
    home.write("old.pcap", &std::fs::read(testdata("pcap/us-le.pcap")).unwrap());
    home.write("named.pcap", &named_device((now - 3_000) as u64 * 1_000_000));
    home.write("vnstat.json", &std::fs::read(testdata("vnstat/home.json")).unwrap());
    home.write("spool/a.seg", &segment(0, (now - 2_000, now - 1_900), false));
    home.write("spool/b.seg", &segment(1, (now - 1_800, now - 1_750), true));
    home.write("spool/c.seg", &segment(4, (now - 1_000, now - 900), false));
    std::fs::create_dir_all(home.path("empty")).unwrap();
    home.ok("ingest old.pcap browse.pcap named.pcap spool --database good/imon.db");
    home.ok("import vnstat.json --database good/imon.db");
    let db = Connection::open(home.path("good/imon.db")).unwrap();
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    home
}

/// Takes the good database to where it is damaged.
fn lay(home: &Home, bytes: &[u8]) {
    home.write("bad/imon.db", bytes);
    for suffix in ["-wal", "-shm", "-journal"] {
        _ = std::fs::remove_file(home.path(&format!("bad/imon.db{suffix}")));
    }
    if !home.path("bad/books").exists() {
        copy_all(&home.path("good/books"), &home.path("bad/books"));
    }
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &to.join(entry.file_name())),
            false => _ = std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap(),
        }
    }
}

/// Everything that a report says of all times.
fn report(home: &Home) -> Run {
    let line = "report --database bad/imon.db --spool empty --from 2020-01-01 --to 2100-01-01 --by device,host,source \
                --include-local --limit 0 --json";
    home.analyze(line.split_whitespace())
}

/// Whether a run gave what is right, or said what is damaged; whether it said so.
fn judged(run: &Run, wanted: &str) -> Result<bool, String> {
    let is_told = run.err.contains("error:") && run.err.contains("hint:") && !run.err.contains("panicked");
    match run.code {
        Some(0) if run.out == wanted => Ok(false),
        Some(1 | 3) if is_told => Ok(true),
        code => Err(format!("exit {code:?}: {}{}", run.err, first_difference(&run.out, wanted))),
    }
}

fn first_difference(found: &str, wanted: &str) -> String {
    let lines = found.lines().zip(wanted.lines());
    lines.filter(|(found, wanted)| found != wanted).take(3).map(|(f, w)| format!("\n{f}\n{w}")).collect()
}

/// Tables and columns that no report rests on: `stale` only makes a source be booked again,
/// `summed` is of older versions. A reason for no name that no version knows is none.
fn rests_on_it(table: &str, column: &str) -> bool {
    !matches!(
        (table, column),
        ("source", "stale" | "summed") | ("doomed", _) | (_, "blind") | ("host" | "candidate_set", "id")
    )
}

/// Another value of the same kind.
fn changed(value: &Value, chance: &mut Chance) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Integer(number) => Value::Integer(number ^ 1 << chance.index(62)),
        Value::Real(number) => Value::Real(number + 1.0),
        Value::Text(text) if text.is_empty() => Value::Text("x".into()),
        Value::Text(text) => {
            let mut bytes = text.clone().into_bytes();
            let at = chance.index(bytes.len());
            bytes[at] = if bytes[at] == b'q' { b'z' } else { b'q' };
            Value::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
        Value::Blob(bytes) => {
            let mut bytes = if bytes.is_empty() { vec![0] } else { bytes.clone() };
            let at = chance.index(bytes.len());
            bytes[at] ^= 1 << chance.index(8);
            Value::Blob(bytes)
        }
    }
}

/// A table with the names of its columns and all of its rows.
type Table = (String, Vec<String>, Vec<Vec<Value>>);

fn tables(db: &Connection) -> Vec<Table> {
    let mut select =
        db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").unwrap();
    let names = select.query_map([], |row| row.get(0)).unwrap().collect::<Result<Vec<String>, _>>().unwrap();
    let table = |name: String| {
        let mut select = db.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns: Vec<String> = select.column_names().map(str::to_owned).collect();
        let row = |row: &rusqlite::Row<'_>| (0..columns.len()).map(|i| row.get(i)).collect::<Result<Vec<Value>, _>>();
        let rows = select.query_map([], row).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        (name, columns, rows)
    };
    names.into_iter().map(table).filter(|(_, _, rows)| !rows.is_empty()).collect()
}

/// Changes a value, or removes its row; whether SQLite took it.
fn tamper(db: &Connection, (table, columns, row): (&str, &[String], &[Value]), change: Option<(usize, Value)>) -> bool {
    let key = columns.iter().enumerate().map(|(i, name)| format!("\"{name}\" IS ?{}", i + 1));
    let key = key.collect::<Vec<_>>().join(" AND ");
    let mut values = row.to_vec();
    let sql = match change {
        Some((column, value)) => {
            values.push(value);
            format!("UPDATE {table} SET \"{}\" = ?{} WHERE {key}", columns[column], values.len())
        }
        None => format!("DELETE FROM {table} WHERE {key}"),
    };
    db.execute(&sql, rusqlite::params_from_iter(values)).is_ok_and(|rows| rows == 1)
}

/// As many cells of each table as the environment variable IMON_FLIPS says.
#[test]
fn a_cell_that_changes_or_a_row_that_goes_is_told_or_changes_nothing() {
    let each: usize = std::env::var("IMON_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    let home = home();
    let good = std::fs::read(home.path("good/imon.db")).unwrap();
    lay(&home, &good);
    let wanted = report(&home);
    assert_eq!(wanted.code, Some(0), "{}", wanted.err);
    for has in ["ann-laptop", "\"gaps\"", "imported", "eth0"] {
        assert!(wanted.out.contains(has), "{has}");
    }
    assert_eq!(home.analyze(["check", "bad/imon.db"]).code, Some(0));
    let all = tables(&Connection::open(home.path("good/imon.db")).unwrap());
    for table in ["closed", "imported", "recorded", "gap", "endpoint_name", "taught", "habit", "sealed_source"] {
        assert!(all.iter().any(|(name, ..)| name == table) || table == "gap", "{table}");
    }
    let (mut chance, mut wrong, mut told, mut same) = (Chance(0x9e37_79b9_7f4a_7c15), Vec::new(), 0, 0);
    for (table, columns, rows) in &all {
        for n in 0..each {
            let row = &rows[chance.index(rows.len())];
            let column = chance.index(columns.len());
            let change = (n > 0).then(|| (column, changed(&row[column], &mut chance)));
            if change.as_ref().is_some_and(|(column, value)| *value == row[*column]) {
                continue;
            }
            lay(&home, &good);
            let db = Connection::open(home.path("bad/imon.db")).unwrap();
            db.pragma_update(None, "foreign_keys", false).unwrap();
            let taken = tamper(&db, (table, columns, row), change.clone());
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
            drop(db);
            if !taken {
                continue;
            }
            let what = match &change {
                Some((column, value)) => format!("{table}.{}: {:?} for {:?}", columns[*column], value, row[*column]),
                None => format!("a row of {table} less"),
            };
            match judged(&report(&home), &wanted.out) {
                Ok(true) => told += 1,
                Ok(false) => same += 1,
                Err(error) => wrong.push(format!("{what}: {error}")),
            }
            // Whatever a later report or booking rests on as well.
            if rests_on_it(table, &columns[column]) || change.is_none() {
                lay(&home, &std::fs::read(home.path("bad/imon.db")).unwrap());
                let check = home.analyze(["check", "bad/imon.db"]);
                let is_found = check.code == Some(3) || check.code == Some(1);
                wrong.extend((!is_found).then(|| format!("{what}: check: {:?} {}", check.code, check.out)));
            }
        }
    }
    eprintln!("{told} told, {same} in what this report does not say");
    assert!(told > 0 && same > 0);
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// Flips these bits of the good file, each by itself: of no report it may be untold that it says
/// something else.
fn flip(home: &Home, bits: impl Iterator<Item = (usize, usize)>) {
    let good = std::fs::read(home.path("good/imon.db")).unwrap();
    lay(home, &good);
    let wanted = report(home);
    assert_eq!(wanted.code, Some(0), "{}", wanted.err);
    let (mut wrong, mut told, mut flips) = (Vec::new(), 0, 0);
    for (at, bit) in bits {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << bit;
        lay(home, &bytes);
        flips += 1;
        match judged(&report(home), &wanted.out) {
            Ok(is_told) => told += usize::from(is_told),
            Err(error) => wrong.push(format!("bit {bit} of byte {at} (page {}): {error}", at / 4_096 + 1)),
        }
    }
    eprintln!("{told} of {flips} told");
    assert!(told > 0);
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// As many bits as the environment variable IMON_FLIPS says, in the file as it is.
#[test]
fn a_flipped_bit_of_the_file_is_told_or_changes_nothing_that_a_report_says() {
    let flips: usize = std::env::var("IMON_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(80);
    let home = home();
    let good = std::fs::read(home.path("good/imon.db")).unwrap();
    // Most of a file is room that is not used: where something stands.
    let used: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    let mut chance = Chance(0x1357_9bdf_0246_8ace);
    flip(&home, (0..flips).map(|_| (used[chance.index(used.len())], chance.index(8))));
}

/// Rows and indexes hold the recorder's identity: each byte around it, in either.
#[test]
fn a_flipped_bit_of_what_leads_to_when_was_recorded_is_told() {
    let home = home();
    let good = std::fs::read(home.path("good/imon.db")).unwrap();
    let places = (0..good.len() - 64).filter(|at| good[*at..].starts_with(&[7; 16]) && good[at - 1] != 7);
    let places: Vec<usize> = places.collect();
    assert!(places.len() > 8, "{} places", places.len());
    flip(&home, places.into_iter().flat_map(|place| place - 6..place + 40).map(|at| (at, at % 8)));
}
