//! Databases that were changed: as files, and value by value by somebody who knows SQL.

use super::chance::Chance;
use super::{ALL, Case};
use crate::support::{self, Home};
use rusqlite::Connection;
use rusqlite::types::Value;

/// A database as ingest makes it, and its tables.
pub struct Seed {
    bytes: Vec<u8>,
    /// Names of tables with those of their columns.
    tables: Vec<(String, Vec<String>)>,
}

impl Seed {
    /// Of some captures of testdata.
    pub fn new() -> Self {
        let case = Case { chance: Chance::of(0, "", 0), home: Home::in_memory() };
        for file in ["pcap/us-le.pcap", "field/proxy-connect.pcap", "field/inbound-known-same-dev.pcap"] {
            let path = support::testdata(file);
            assert_eq!(case.run(&format!("ingest {} --database @/imon.db", path.display())).unwrap().code, 0);
        }
        let path = case.home.path("imon.db");
        let db = Connection::open(&path).unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        let mut select = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
        let names: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let columns = |name: &String| {
            let select = db.prepare(&format!("SELECT * FROM \"{name}\"")).unwrap();
            select.column_names().map(str::to_owned).collect::<Vec<_>>()
        };
        let tables = names.iter().map(|name| (name.clone(), columns(name))).collect();
        Self { bytes: std::fs::read(path).unwrap(), tables }
    }
}

/// One value of one column changed in some rows, or rows removed or doubled.
fn by_sql(case: &mut Case, seed: &Seed) {
    let db = Connection::open(case.home.path("imon.db")).unwrap();
    let chance = &mut case.chance;
    for _ in 0..=chance.below(3) {
        let (table, columns) = chance.pick(&seed.tables);
        let column = chance.pick(columns);
        let value = match chance.below(6) {
            0 => Value::Null,
            1 => Value::Text("\u{1b}[31m\u{0}\u{202e}x".into()),
            2 => Value::Blob((0..chance.below(40)).map(|_| chance.next() as u8).collect()),
            3 => Value::Real(f64::NAN),
            _ => Value::Integer(chance.odd_number() as i64),
        };
        let sql = match chance.below(6) {
            0 => format!("DELETE FROM \"{table}\" WHERE abs(random()) % 3 = 0 AND ?1 IS ?1"),
            1 => format!("UPDATE OR IGNORE \"{table}\" SET \"{column}\" = ?1"),
            _ => format!("UPDATE OR IGNORE \"{table}\" SET \"{column}\" = ?1 WHERE abs(random()) % 4 = 0"),
        };
        // What a constraint forbids did not happen.
        _ = db.execute(&sql, [value]);
    }
    _ = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
}

/// A changed database through the commands that read and change it.
pub fn case(case: &mut Case, seed: &Seed) -> Result<(), String> {
    let mut bytes = seed.bytes.clone();
    let as_file = case.chance.one_in(2);
    if as_file {
        let chance = &mut case.chance;
        if chance.one_in(3) {
            let (page, other) = (chance.below(bytes.len() / 4096), chance.below(bytes.len() / 4096));
            bytes.copy_within(page * 4096..(page + 1) * 4096, other * 4096);
        } else {
            chance.spoil(&mut bytes, &seed.bytes);
        }
    }
    case.home.write("imon.db", &bytes);
    if !as_file {
        by_sql(case, seed);
    }
    std::fs::create_dir_all(case.home.path("empty")).unwrap();
    let by = *case.chance.pick(&["host", "site", "device", "day", "evidence", "page", "family"]);
    // Figures may be wrong where somebody changed them; what is shown must be a sum that says so.
    let report = case.run(&format!("report --database @/imon.db --spool @/empty {ALL} --by {by}"))?;
    if matches!(report.code, 0 | 3) {
        _ = support::rows_and_ledger(&report.out);
    }
    let lines = [
        "status --database @/imon.db",
        "report --database @/imon.db --spool @/empty --by hour",
        "report --database @/imon.db --spool @/empty --by page --format csv",
        "explain 192.0.2.1 --database @/imon.db",
        "rebuild --database @/imon.db",
        "rebuild --diff --database @/imon.db",
        "prune --keep-days 1 --database @/imon.db",
        "site example.org --database @/imon.db --spool @/empty",
    ];
    for _ in 0..2 {
        let line = *case.chance.pick(&lines);
        case.run(line)?;
    }
    let file = support::testdata("field/sni-port.pcap");
    case.run(&format!("ingest {} --database @/imon.db", file.display()))?;
    Ok(())
}
