//! All that a database holds, by what does not depend on the order in which it came there.

use imon_analyze::archive::{Archive, Folder};
use imon_analyze::store::{Lesson, Store, Taught};
use rusqlite::{Connection, OpenFlags, types::ValueRef};
use std::path::Path;

/// The tables: a word, and a statement whose rows name sources, hosts and devices by what they are.
/// The identity of a source and the UUID of the segment that it was kept as are none: these are
/// made up.
const TABLES: [(&str, &str); 10] = [
    ("source", "SELECT s.name, kind, first_ns, last_ns, ended, records FROM source JOIN s USING (id)"),
    (
        "rollup",
        "SELECT s.name, bucket, h.name, e.name, evidence, traffic, coalesce(c.name, ''), blind, i.name, up_bytes, down_bytes,
                up_packets, down_packets
         FROM rollup r JOIN i ON i.id = r.interface JOIN s ON s.id = r.source JOIN h ON h.id = r.host JOIN e ON e.id = r.endpoint
              LEFT JOIN c ON c.id = r.candidates",
    ),
    (
        "page",
        "SELECT s.name, bucket, h.name, e.name, evidence, traffic, coalesce(c.name, ''), blind, i.name, p.name, sureness,
                coalesce(v.name, ''), up_bytes, down_bytes, up_packets, down_packets
         FROM page_rollup r JOIN i ON i.id = r.interface JOIN s ON s.id = r.source JOIN h ON h.id = r.host JOIN e ON e.id = r.endpoint
              JOIN h p ON p.id = r.page LEFT JOIN h v ON v.id = r.rival LEFT JOIN c ON c.id = r.candidates",
    ),
    ("count", "SELECT s.name, bucket, counter, detail, packets, bytes FROM bucket_count JOIN s ON s.id = source"),
    ("gap", "SELECT s.name, from_ns, to_ns, reason FROM gap JOIN s ON s.id = source"),
    ("called", "SELECT s.name, e.name, kind, n.name, last_ns FROM endpoint_name n JOIN s ON s.id = source JOIN e ON e.id = endpoint"),
    ("habit", "SELECT s.name, h.name, bursts, context, visits, document FROM habit h JOIN s ON s.id = source"),
    ("pull", "SELECT s.name, page, site, weight FROM habit_pull JOIN s ON s.id = source"),
    ("met", "SELECT s.name, hex(mac), hex(network) FROM met JOIN s ON s.id = source"),
    (
        "carried",
        "SELECT s.name, o.name, number, hex(client), client_port, hex(server), server_port, proto, scope, begin_seen,
                hex(mac), start_ns, name_kind, k.name, host, evidence, traffic, candidates, opened, name_from_server,
                name_relayed, k.interface, k.vlan
         FROM carried k JOIN s ON s.id = k.source LEFT JOIN (SELECT identity, s.name AS name FROM source JOIN s USING (id)) o
              ON o.identity = k.origin",
    ),
];

/// What `TABLES` calls sources, hosts, endpoints and sets of candidates.
const NAMES: &str = "
    CREATE TEMP TABLE s AS SELECT id, interface || ' ' || first_ns AS name FROM source;
    CREATE TEMP TABLE i AS SELECT id, name || ' ' || vlan AS name FROM interface;
    CREATE TEMP TABLE h AS SELECT id, coalesce(name, hex(address), hex(service)) AS name FROM host;
    CREATE TEMP TABLE e AS SELECT id, hex(address) || ' ' || hex(mac) AS name FROM endpoint;
    CREATE TEMP TABLE c AS SELECT id, (
        SELECT group_concat(name, ' ') FROM (
            SELECT h.name FROM json_each('[' || hosts || ']') JOIN temp.h ON h.id = value ORDER BY h.name)) AS name
        FROM candidate_set;";

/// A line for each row of the books of `database`, sorted; those of closed months included.
pub fn contents(database: &Path) -> Vec<String> {
    if let Some(copy) = opened(database) {
        return lines_of(&copy.path().join(database.file_name().unwrap()));
    }
    lines_of(database)
}

/// A copy of a database with closed months, in which they are open; `None` where there are none.
fn opened(database: &Path) -> Option<tempfile::TempDir> {
    let books = Folder::of(database).path().to_owned();
    if !books.is_dir() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(database.file_name().unwrap());
    let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    db.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    copy_folder(&books, Folder::of(&copy).path());
    let mut store = Store::open(&copy).unwrap();
    let mut archive = Archive::new(&mut store).unwrap();
    for month in archive.months().unwrap().into_keys() {
        archive.reopen(month).unwrap();
    }
    Some(folder)
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to),
            false => _ = std::fs::copy(entry.path(), to).unwrap(),
        }
    }
}

fn lines_of(database: &Path) -> Vec<String> {
    let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    db.execute_batch(NAMES).unwrap();
    let mut lines = Vec::new();
    for (table, sql) in TABLES {
        let mut select = db.prepare(sql).unwrap();
        let columns = select.column_count();
        let mut rows = select.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cell = |i| match row.get_ref(i).unwrap() {
                ValueRef::Integer(n) => n.to_string(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).replace('\n', ","),
                other => format!("{other:?}"),
            };
            lines.push(format!("{table}: {}", (0..columns).map(cell).collect::<Vec<_>>().join(" | ")));
        }
    }
    lines.extend(taught(database, &db));
    lines.sort();
    lines
}

/// Names of addresses, and names that lead to others, which are packed.
fn taught(database: &Path, db: &Connection) -> Vec<String> {
    let store = Store::open(database).unwrap();
    let name = |source: i64| db.query_row("SELECT name FROM s WHERE id = ?1", [source], |row| row.get::<_, String>(0));
    let of = |kind: Lesson| store.taught(kind).unwrap().into_iter().map(move |taught| (kind, taught));
    of(Lesson::Answer)
        .chain(of(Lesson::Head))
        .map(|(kind, Taught { source, asker, of, name: host, first, last })| {
            let (source, host) = (name(source).unwrap(), String::from_utf8_lossy(&host).into_owned());
            format!("{kind:?}: {source} | {of:x?} | {asker:x?} | {host} | {} | {}", first.0, last.0)
        })
        .collect()
}

/// Fails with the first rows in which two databases differ.
pub fn assert_same(found: &Path, wanted: &Path, what: &str) {
    let (found, wanted) = (contents(found), contents(wanted));
    let only = |of: &[String], not: &[String]| -> Vec<String> {
        let not: std::collections::HashSet<&String> = not.iter().collect();
        of.iter().filter(|line| !not.contains(line)).take(5).cloned().collect()
    };
    let (more, less) = (only(&found, &wanted), only(&wanted, &found));
    assert!(
        more.is_empty() && less.is_empty(),
        "{what}\ntoo much:\n{}\nmissing:\n{}",
        more.join("\n"),
        less.join("\n")
    );
    assert_eq!(found.len(), wanted.len(), "{what}: rows");
}
