use super::*;
use crate::attribution::{At, Ledger as _, Share, Verdict};
use crate::books::{Blind, Evidence, Host};
use crate::range::Range;
use crate::rollup::{Endpoint, Rollup};
use imon_common::flow::{Flow, Scope};
use imon_common::observe::Usage;
use imon_common::packet::LinkType;
use imon_common::time::UnixNanos;

#[test]
fn a_new_store_is_empty_and_up_to_date() {
    let store = Store::in_memory().unwrap();
    assert!(store.status().unwrap().sources.is_empty());
}

/// A TCP flow to `port` without a name.
fn flow(port: u16, begin_seen: bool) -> Flow {
    Flow {
        number: port.into(),
        client: [192, 168, 1, 5].into(),
        server: [203, 0, 113, 9].into(),
        client_port: 50_000,
        server_port: port,
        proto: 6,
        scope: Scope::Remote,
        begin_seen,
        opened: imon_common::flow::Opener::Client,
        interface: 0,
        vlan: None,
        client_mac: None,
        start: UnixNanos(0),
        name: None,
    }
}

/// Nothing names it.
fn verdict(flow: &Flow) -> Verdict {
    Verdict {
        host: Host::Address(flow.server),
        evidence: Evidence::None,
        rule: crate::attribution::Rule::Nothing,
        candidates: Vec::new(),
        traffic: crate::books::Traffic::Visited,
    }
}

/// A segment.
fn source() -> NewSource {
    NewSource {
        identity: vec![1; 16],
        kind: "segment",
        path: "a.seg".into(),
        kept: None,
        kept_segment: None,
        place: None,
        content: None,
        capture: None,
        allow_overlap: false,
        interface: "eth0".into(),
        first: UnixNanos(0),
        last: UnixNanos(0),
        ended: "sealed".into(),
        len_bytes: 1,
        records: 4,
        recorded: None,
        gone: Vec::new(),
    }
}

#[test]
fn blind_spots_of_one_host_stay_apart_in_the_store() {
    let mut rollup = Rollup::default();
    for (port, begin_seen, down_bytes) in [(443, true, 1), (443, false, 20), (853, true, 300), (80, false, 4_000)] {
        let flow = flow(port, begin_seen);
        let usage = Usage { down_bytes, down_packets: 1, ..Usage::default() };
        let at = UnixNanos(0);
        rollup.book(&flow, &[Share::new(At { source: 0, interface: 0 }, at, usage)], &verdict(&flow));
    }
    let mut store = Store::in_memory().unwrap();
    store.replace_source(&source(), None, &rollup, |_| &[]).unwrap();
    let everything = Range::everything(jiff::tz::TimeZone::UTC);
    let stored = store.books(&everything).unwrap().ledger;
    assert_eq!(stored, rollup.books(&everything).ledger);
    let of = |blind| stored.address_only_by.of(blind);
    assert_eq!([Blind::NoName, Blind::BeginNotSeen, Blind::EncryptedDns].map(of), [1, 4_020, 300]);
    assert_eq!((stored.address_only_bytes, stored.blind_spots), (4_321, stored.address_only_by));
}

/// A database as schema 8 left it, with one row and its checksum.
fn of_schema_8() -> Connection {
    let db = Connection::open_in_memory().unwrap();
    for step in &MIGRATIONS[..8] {
        db.execute_batch(step).unwrap();
    }
    // The sum that version gave: of a row that points to no interface.
    let host = sums::of_host(&Host::Address([203, 0, 113, 9].into()));
    let endpoint = sums::of_endpoint(Endpoint { address: [192, 168, 1, 5].into(), mac: None });
    let numbers = [Evidence::None.number(), 0, Blind::NoName.number()];
    let sum = sums::of_row([host, endpoint, 0, 0], numbers, [30, 400, 1, 2]);
    assert_eq!(sum, 0xe95b_c5c1_eb75_8518, "what schema 8 wrote must stay readable");
    db.execute_batch(&format!(
        "INSERT INTO source (id, identity, kind, path, interface, first_ns, last_ns, ended, len_bytes, records, summed)
         VALUES (1, x'01', 'segment', '/spool/a.seg', 'eth0', 0, 0, 'sealed', 1, 1, 1),
                (2, x'02', 'capture', '/tmp/b.pcap', 'b.pcap', 0, 0, 'complete', 1, 1, 1);
         INSERT INTO host (id, address) VALUES (5, x'cb007109');
         INSERT INTO endpoint (id, address, mac) VALUES (6, x'c0a80105', x'');
         INSERT INTO rollup VALUES (0, 1, 5, 6, 0, 0, 0, 5, 30, 400, 1, 2), (0, 2, 5, 6, 0, 0, 0, 5, 30, 400, 1, 2);
         INSERT INTO checked VALUES (0, 1, {sum}), (0, 2, {sum});
         PRAGMA user_version = 8;",
        sum = sum as i64
    ))
    .unwrap();
    db
}

#[test]
fn rows_of_an_older_version_are_on_the_interface_of_their_source_and_are_booked_again() {
    let store = Store::prepare(of_schema_8(), None).unwrap();
    let books = store.books(&Range::everything(jiff::tz::TimeZone::UTC)).unwrap();
    let seen: Vec<(&str, &str, u64)> = books
        .rows
        .iter()
        .map(|row| {
            let (interface, source) = (&books.interfaces[row.interface as usize], &books.sources[row.source as usize]);
            (interface.name.as_str(), source.label.as_str(), row.down_bytes)
        })
        .collect();
    assert_eq!(seen, [("eth0", "a", 400), ("", "b.pcap", 400)]);
    assert!(store.known_sources().unwrap().iter().all(|source| source.stale));
}

#[test]
fn a_damaged_row_of_an_older_version_is_found_all_the_same() {
    let db = of_schema_8();
    db.execute("UPDATE rollup SET down_bytes = 401 WHERE source = 1", []).unwrap();
    let store = Store::prepare(db, None).unwrap();
    let read = store.books(&Range::everything(jiff::tz::TimeZone::UTC));
    assert!(matches!(read, Err(StoreError::Damaged { bucket_s: 0, .. })), "{read:?}");
}

#[test]
fn rows_of_two_interfaces_and_vlans_stay_apart_in_the_store() {
    let mut rollup = Rollup::default();
    for (number, name) in [(0, "eth0"), (3, "wlan0")] {
        let interface = imon_common::packet::Interface { name: name.into(), link_type: LinkType(1) };
        rollup.interface(0, number, &interface);
    }
    for (interface, vlan, down_bytes) in [(0, None, 1), (0, Some(7), 20), (3, Some(7), 300), (3, Some(8), 4_000)] {
        let flow = Flow { interface, vlan, ..flow(443, true) };
        let usage = Usage { down_bytes, down_packets: 1, ..Usage::default() };
        let (at, interface) = (UnixNanos(0), rollup.interface_of(0, &flow));
        rollup.book(&flow, &[Share::new(At { source: 0, interface }, at, usage)], &verdict(&flow));
    }
    let mut store = Store::in_memory().unwrap();
    store.replace_source(&source(), None, &rollup, |_| &[]).unwrap();
    let everything = Range::everything(jiff::tz::TimeZone::UTC);
    for books in [store.books(&everything).unwrap(), rollup.books(&everything)] {
        let of = |row: &crate::books::Row| (books.interfaces[row.interface as usize].clone(), row.down_bytes);
        let mut seen: Vec<_> = books.rows.iter().map(of).collect();
        seen.sort();
        let interface = |name: &str, vlan| crate::books::Interface { name: name.into(), vlan };
        let wanted = [
            (interface("eth0", None), 1),
            (interface("eth0", Some(7)), 20),
            (interface("wlan0", Some(7)), 300),
            (interface("wlan0", Some(8)), 4_000),
        ];
        assert_eq!(seen, wanted);
    }
    let sources = store.known_sources().unwrap();
    store.prune(&sources, &[]).unwrap();
    let left: i64 = store.db.query_row("SELECT count(*) FROM interface", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "nothing points to them any more");
}

/// A file as an older version left it, with a row of 430 bytes.
fn of_version(path: &std::path::Path, version: usize) {
    let db = Connection::open(path).unwrap();
    MIGRATIONS[..version].iter().for_each(|step| db.execute_batch(step).unwrap());
    let interface = if version > 8 { "0, " } else { "" };
    db.execute_batch(&format!(
        "INSERT INTO source (id, identity, kind, path, interface, first_ns, last_ns, ended, len_bytes, records)
         VALUES (1, x'01', 'segment', '/spool/a.seg', 'eth0', 0, 899000000000, 'sealed', 1, 1);
         INSERT INTO host (id, name) VALUES (5, 'www.example.org');
         INSERT INTO endpoint (id, address, mac) VALUES (6, x'c0a80105', x'');
         INSERT INTO rollup VALUES (0, 1, 5, 6, 1, 0, 0, 0, {interface}30, 400, 1, 2);
         INSERT INTO bucket_count VALUES (0, 1, 1, 0, 7, 70);
         CREATE TABLE room (b); INSERT INTO room VALUES (zeroblob(2000000)); DROP TABLE room;
         PRAGMA user_version = {version};"
    ))
    .unwrap();
}

#[test]
fn what_sources_taught_is_packed_and_damage_is_not_sealed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imon.db");
    of_version(&path, 14);
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "INSERT INTO source (id, identity, kind, path, interface, first_ns, last_ns, ended, len_bytes, records, summed)
         VALUES (2, x'02', 'segment', '/spool/b.seg', 'eth0', 0, 899000000000, 'sealed', 1, 1, 1);
         UPDATE source SET summed = 1;
         WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
         INSERT INTO answer SELECT 1 + n % 2, x'c0000201', CAST('4567' AS BLOB), 'host' || n || '.example', 7 * n, 9 * n FROM n;
         INSERT INTO head VALUES (1, 'edge.example', x'', 'www.example', 5, 6);",
    )
    .unwrap();
    // As version 14 sealed it.
    let old = ["SELECT * FROM answer WHERE source = ?1", "SELECT * FROM head WHERE source = ?1"];
    for source in 1..=2 {
        let learnt = sealed::sums_of(&db, &old, source).unwrap() as i64;
        db.execute("INSERT INTO sealed_source VALUES (?1, 0, 0, ?2)", [source, learnt]).unwrap();
    }
    db.execute("UPDATE answer SET host = 'another.example' WHERE source = 2 AND first_ns = 7", []).unwrap();
    drop(db);

    let store = Store::open(&path).unwrap();
    let (answers, heads) = (store.taught(Lesson::Answer).unwrap(), store.taught(Lesson::Head).unwrap());
    assert_eq!((answers.len(), heads.len()), (20_000, 1));
    for n in [2, 9_999, 20_000] {
        let taught = Taught {
            source: 1 + n % 2,
            asker: b"4567".to_vec(),
            of: vec![192, 0, 2, 1],
            name: format!("host{n}.example").into_bytes(),
            first: UnixNanos(7 * n),
            last: UnixNanos(9 * n),
        };
        assert!(answers.contains(&taught), "{n}");
    }
    assert_eq!(
        (&heads[0].of[..], &heads[0].name[..], &heads[0].asker[..]),
        (&b"edge.example"[..], &b"www.example"[..], &[][..])
    );
    let faults = store.faults_beside().unwrap();
    let learnt = |path: &str| Fault::Source { path: path.into(), part: "what was learnt" };
    assert!(faults.contains(&learnt("/spool/b.seg")) && !faults.contains(&learnt("/spool/a.seg")), "{faults:?}");
}

#[test]
fn a_schema_is_not_changed_where_the_copy_fails_or_the_sums_would() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imon.db");
    of_version(&path, 10);
    // A folder of that name: the copy cannot take its place.
    let copy = beside(&path, "-schema-10");
    std::fs::create_dir_all(copy.join("full")).unwrap();
    let error = Store::open(&path).unwrap_err().to_string();
    assert!(error.contains("imon.db-schema-10"), "{error}");
    let version = || {
        let db = Connection::open(&path).unwrap();
        db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(version(), 10);
    assert!(!beside(&path, "-schema-10.part").exists());
    std::fs::remove_dir_all(&copy).unwrap();
    // Of an attempt that was cut short.
    std::fs::write(beside(&path, "-schema-10.part"), b"half").unwrap();
    // Something takes bytes away while the schema changes.
    let db = Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TRIGGER thief AFTER INSERT ON about BEGIN UPDATE rollup SET down_bytes = down_bytes - 1; END;",
    )
    .unwrap();
    drop(db);
    assert!(matches!(Store::open(&path), Err(StoreError::Changed { from: 10 })));
    assert_eq!(version(), 10);
    Connection::open(&path).unwrap().execute_batch("DROP TRIGGER thief").unwrap();
    Store::open(&path).unwrap();
    assert_eq!(version(), MIGRATIONS.len() as i64);
    assert!(copy.is_file() && !beside(&path, "-schema-10.part").exists());
}

#[test]
fn a_database_of_every_version_is_read_closed_and_opened_again() {
    let everything = Range::everything(jiff::tz::TimeZone::UTC);
    for version in 1..=MIGRATIONS.len() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("imon.db");
        of_version(&path, version);
        let mut store = Store::open(&path).unwrap();
        assert_eq!(store.version().unwrap(), MIGRATIONS.len() as i64);
        // What it was stays beside it, private, and an older program reads it.
        let old: Vec<_> = if version < MIGRATIONS.len() { vec![version as i64] } else { Vec::new() };
        let copies = old_copies(&path);
        assert_eq!(copies.iter().map(|(version, _)| *version).collect::<Vec<_>>(), old);
        assert_eq!(
            store.upgraded().and_then(|upgrade| upgrade.kept.clone()),
            copies.first().map(|(_, path)| path.clone())
        );
        for (version, path) in copies {
            let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap()) & 0o777;
            let db = Connection::open(path).unwrap();
            let of = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(
                (mode, of("PRAGMA user_version"), of("SELECT sum(down_bytes) FROM rollup")),
                (0o600, version, 400)
            );
        }
        let read = |store: &Store| {
            let (apart, threads) = (Vec::new(), crate::threads::Threads::default());
            let need = crate::archive::Need { range: &everything, pages: true, apart, only: None, threads };
            crate::archive::books(store, need).unwrap().books
        };
        let before = read(&store);
        assert_eq!((before.rows.len(), before.ledger.named_bytes), (1, 430), "version {version}");
        let month = crate::books::month::Month::of_second(0).unwrap();
        let mut archive = crate::archive::Archive::new(&mut store).unwrap();
        let closings = archive.close_due(UnixNanos(i64::MAX)).unwrap();
        assert!(matches!(closings[..], [(_, crate::archive::Closing::Closed { rows: 1, .. })]), "{closings:?}");
        assert_eq!(read(&store), before, "version {version}");
        let auto_vacuum: i64 = store.db.pragma_query_value(None, "auto_vacuum", |row| row.get(0)).unwrap();
        assert_eq!(auto_vacuum, 2, "packed on the way");
        crate::archive::Archive::new(&mut store).unwrap().reopen(month).unwrap();
        assert_eq!(read(&store), before, "version {version}");
        // An older program does not touch what it does not know.
        store.db.pragma_update(None, "user_version", MIGRATIONS.len() as i64 + 1).unwrap();
        drop(store);
        assert!(matches!(Store::open(&path), Err(StoreError::TooNew { .. })));
    }
}
