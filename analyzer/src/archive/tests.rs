//! Books made by chance: the same answers wherever their months are.

use super::*;
use crate::books::month::Month;
use crate::books::{BUCKET_S, Blind, Evidence, Gap, Host, Interface, Service, Sureness, Traffic};
use crate::cli::Surroundings;
use crate::question::{DeviceName, Filters, Key, Question};
use crate::range::{Range, Unsaid};
use crate::report::overview::{self, Naming, Overview};
use crate::report::{Format, Report, stretches};
use crate::rollup::{Endpoint, PageKey, Rollup, RowKey};
use crate::site::Sites;
use crate::store::{NewSource, Place, Store};
use crate::table::TextStyle;
use crate::threads::Threads;
use imon_common::names::{Name, NameKind};
use imon_common::observe::{Counter, Usage};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::{Mac, NotIp};
use std::path::Path;

/// 2026-01-20T00:00:00Z, and a day after the last month.
const FIRST_S: i64 = 1_768_867_200;
const NOW: UnixNanos = UnixNanos(1_790_000_000 * NANOS_PER_SECOND);
const DAYS: i64 = 100;

/// Numbers that are the same in every run (Knuth's MMIX).
struct Chance(u64);

impl Chance {
    /// Other numbers for each `IMON_SEED`.
    fn seeded(usual: u64) -> Self {
        let seed = std::env::var("IMON_SEED").ok().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
        Self(usual ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize].clone()
    }

    fn some<T: Clone>(&mut self, list: &[T]) -> Vec<T> {
        if self.below(3) > 0 { Vec::new() } else { list.iter().filter(|_| self.below(2) == 0).cloned().collect() }
    }
}

fn name(text: &str) -> Name {
    Name::from_host(text.as_bytes()).unwrap()
}

fn hosts() -> Vec<Host> {
    let names = [
        "www.youtube.com",
        "rr1.googlevideo.com",
        "a.example.org",
        "b.example.net",
        "co.uk",
        "d1.cloudfront.net",
        "x.y.github.io",
        "www.bbc.co.uk",
    ];
    let mut hosts: Vec<Host> = names.iter().map(|text| Host::Name(name(text))).collect();
    hosts.push(Host::Name(Name::from_presentation("(other-names)").unwrap()));
    hosts.extend(["203.0.113.9", "2001:db8::7", "192.168.1.5", "0.0.0.0"].map(|a| Host::Address(a.parse().unwrap())));
    hosts.push(Host::Service(Service { address: "192.168.1.5".parse().unwrap(), port: 443, proto: 6 }));
    hosts
}

/// A source of an hour or so, with everything that a source can have.
fn rollup(chance: &mut Chance, from_s: i64) -> Rollup {
    let mut rollup = Rollup::default();
    let hosts = hosts();
    let ends = [
        Endpoint { address: "192.168.1.5".parse().unwrap(), mac: Some(Mac([2, 0, 0, 0, 0, 1])) },
        Endpoint { address: "fe80::5".parse().unwrap(), mac: Some(Mac([2, 0, 0, 0, 0, 1])) },
        Endpoint { address: "192.168.1.7".parse().unwrap(), mac: None },
        Endpoint { address: "2001:db8::9".parse().unwrap(), mac: Some(Mac([2, 0, 0, 0, 0, 9])) },
    ];
    let places =
        [("eth0", None), ("eth0", Some(7)), ("wlan0", None)].map(|(name, vlan)| Interface { name: name.into(), vlan });
    for _ in 0..12 {
        let served = chance.below(8) == 0;
        let host = if served { hosts.last().unwrap().clone() } else { chance.of(&hosts[..hosts.len() - 1]) };
        let named = matches!(host, Host::Name(_));
        let set = (named && chance.below(3) == 0).then(|| {
            let other = chance.of(&hosts[..8]);
            let mut set = vec![rollup.hosts.index_of(&host), rollup.hosts.index_of(&other)];
            set.sort_unstable();
            set.dedup();
            rollup.candidate_sets.index_of(&set)
        });
        let traffic = match (served, chance.below(6)) {
            (true, _) => Traffic::Served,
            (_, 0) => Traffic::Local,
            (_, 1) => Traffic::Transit,
            _ => Traffic::Visited,
        };
        let key = RowKey {
            bucket_s: from_s + BUCKET_S * chance.below(5) as i64,
            host: rollup.hosts.index_of(&host),
            endpoint: rollup.roster.endpoints.index_of(&chance.of(&ends)),
            evidence: if named { chance.of(&Evidence::ALL[..12]) } else { Evidence::None },
            traffic,
            candidates: set,
            blind: [None, Some(Blind::NoName), Some(Blind::EncryptedDns), Some(Blind::Tunnel)]
                [chance.below(4) as usize],
            interface: rollup.interfaces.index_of(&chance.of(&places)),
            source: 0,
        };
        let usage = Usage {
            up_packets: chance.below(50),
            down_packets: chance.below(90),
            up_bytes: chance.below(90_000),
            down_bytes: chance.below(9_000_000),
        };
        rollup.rows.entry(key).or_default().add(usage);
        if named && chance.below(2) == 0 {
            let sureness = chance.of(&Sureness::ALL);
            let page = if sureness == Sureness::Background { host } else { chance.of(&hosts[..8]) };
            let rival = (chance.below(3) == 0).then(|| rollup.hosts.index_of(&chance.of(&hosts[..8])));
            let page = rollup.hosts.index_of(&page);
            let part = Usage { up_bytes: usage.up_bytes / 3, down_bytes: usage.down_bytes / 2, ..Usage::default() };
            rollup.pages.entry(PageKey { row: key, page, sureness, rival }).or_default().add(part);
        }
    }
    for counter in [
        Counter::KernelReceived,
        Counter::KernelDropped,
        Counter::InterfaceReceived,
        Counter::NotIp(NotIp::EtherType(0x0806)),
        Counter::NotIp(NotIp::EtherType(0x88cc)),
        Counter::Copy,
        Counter::NotAHost,
    ] {
        rollup.counts.insert((from_s, counter), (chance.below(1_000), chance.below(100_000)));
    }
    if chance.below(4) == 0 {
        let (name, other) = ("this.seg".to_owned(), "other.seg".to_owned());
        rollup.left_out.insert((from_s, name, other), (chance.below(9), chance.below(999)));
    }
    if chance.below(4) == 0 {
        let from = UnixNanos((from_s + 60) * NANOS_PER_SECOND + 123);
        let to = UnixNanos(from.0 + 7 * NANOS_PER_SECOND);
        rollup.gaps.push(Gap { from, to, reason: "suspended".into(), interface: None });
    }
    let device = (ends[chance.below(4) as usize], NameKind::Dhcp, name(["laptop", "phone"][chance.below(2) as usize]));
    rollup.roster.called.insert(device, UnixNanos((from_s + 5) * NANOS_PER_SECOND));
    rollup
}

/// A store of some months, two recorders and captures.
fn booked(path: &Path) -> Store {
    let mut store = Store::open(path).unwrap();
    let mut chance = Chance::seeded(7);
    for day in 0..DAYS {
        for hour in [3, 23] {
            let from_s = FIRST_S + day * 86_400 + hour * 3_600;
            let rollup = rollup(&mut chance, from_s);
            let number = (day * 24 + hour) as u64;
            let recorder = [[1; 16], [2; 16]][chance.below(2) as usize];
            let is_capture = chance.below(4) == 0;
            let mut identity = vec![9; 8];
            identity.extend(number.to_be_bytes());
            let source = NewSource {
                identity,
                kind: if is_capture { "capture" } else { "segment" },
                path: format!("/spool/{number}.seg"),
                kept: None,
                kept_segment: None,
                place: (!is_capture).then_some(Place { recorder, run: [3; 16], sequence: number }),
                content: None,
                capture: None,
                allow_overlap: false,
                interface: "eth0".into(),
                first: UnixNanos(from_s * NANOS_PER_SECOND),
                last: UnixNanos((from_s + 4_499) * NANOS_PER_SECOND),
                ended: "sealed".into(),
                len_bytes: 1,
                records: 9,
                recorded: None,
                gone: Vec::new(),
            };
            store.replace_source(&source, None, &rollup, |_| &[]).unwrap();
        }
    }
    store
}

fn around() -> Surroundings {
    let now = jiff::Timestamp::from_nanosecond(NOW.0.into()).unwrap();
    Surroundings { now, ..Surroundings::of_process(crate::cli::Color::Never) }
}

/// A question by chance: keys, filters, range and zone.
fn question(chance: &mut Chance) -> Question {
    let keys = [
        Key::Site,
        Key::Family,
        Key::Host,
        Key::Device,
        Key::Evidence,
        Key::Hour,
        Key::Day,
        Key::Week,
        Key::Month,
        Key::HourOfDay,
        Key::Page,
        Key::Served,
        Key::Interface,
        Key::Vlan,
        Key::Source,
    ];
    let mut asked: Vec<Key> = vec![chance.of(&keys)];
    for _ in 0..chance.below(3) {
        let key = chance.of(&keys);
        let clashes = |a: Key, b: Key| a == b || (a.is_of_host() && b.is_of_host());
        if !asked.iter().any(|known| clashes(*known, key)) {
            asked.push(key);
        }
    }
    let zone = chance.of(&["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"]);
    let zone = jiff::tz::TimeZone::get(zone).unwrap();
    let day = |chance: &mut Chance| {
        let second = FIRST_S + chance.below(DAYS as u64 + 4) as i64 * 86_400;
        jiff::Timestamp::from_second(second).unwrap().to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
    };
    let range = match chance.below(3) {
        0 if !asked.contains(&Key::Hour) => Range::everything(zone),
        _ if asked.contains(&Key::Hour) => {
            let from = day(chance);
            let to = from.parse::<jiff::civil::Date>().unwrap().checked_add(jiff::Span::new().days(4)).unwrap();
            Range::of_days((Some(&from), Some(&to.to_string())), Unsaid::Everything, around().now, zone).unwrap()
        }
        _ => {
            let mut days = [day(chance), day(chance)];
            days.sort();
            Range::of_days((Some(&days[0]), Some(&days[1])), Unsaid::Everything, around().now, zone).unwrap()
        }
    };
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let filters = Filters {
        sites: chance.some(&texts(&["youtube.com", "example.org", "203.0.113.9"])),
        hosts: chance.some(&texts(&["www.youtube.com", "b.example.net"])),
        devices: chance.some(&["02:00:00:00:00:01", "192.168.1.0/24", "laptop"].map(DeviceName::parse)),
        evidence: chance.some(&Evidence::ALL),
        ..Filters::default()
    };
    let question = Question::by(Key::Site, range);
    let limit = (chance.below(4) == 0).then(|| chance.below(5) as usize + 1);
    Question { keys: asked, filters, limit, include_local: chance.below(2) == 0, now: Some(NOW), ..question }
}

fn apart(question: &Question) -> Apart<'_> {
    Apart::new(question.wanted(), |_| stretches(question))
}

/// One, and several.
fn threads(count: usize) -> Threads {
    Threads::Exactly(count.try_into().unwrap())
}

/// The page of a question, of sums that are taken while rows are read, by one thread and by three;
/// and of rows as they are.
fn pages(store: &Store, question: &Question) -> [String; 3] {
    let page = |apart: Vec<Apart<'_>>, count| {
        let need = Need { range: &question.range, pages: false, apart, only: None, threads: threads(count) };
        let overview = Overview::new(&books(store, need).unwrap().books, question, &Sites::new()).unwrap();
        let mut out = Vec::new();
        crate::page::write(&overview, &[], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let sites = Sites::new();
    let summed = |count| page(overview::told_apart(question, &sites, Naming::Seen), count);
    [summed(1), summed(3), page(Vec::new(), 1)]
}

fn answer(store: &Store, question: &Question) -> String {
    let found = answer_by(1, store, question);
    same_text(&answer_by(3, store, question), &found, "three threads");
    found
}

fn answer_by(count: usize, store: &Store, question: &Question) -> String {
    let sites = Sites::new();
    let pages = question.keys.contains(&Key::Page);
    let (apart, only) = (vec![apart(question)], question.only(&[], &sites));
    let need = Need { range: &question.range, pages, apart, only, threads: threads(count) };
    let Opened { books, holes, .. } = books(store, need).unwrap();
    assert!(holes.is_empty(), "{holes:?}");
    let mut out = Vec::new();
    Report::new(&books, question, &sites).unwrap().write(Format::Json, TextStyle::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What every question needs, row by row: nothing is summed up.
fn plain_answer(store: &Store, question: &Question) -> String {
    let books = store.books(&question.range).unwrap();
    let mut out = Vec::new();
    let report = Report::new(&books, question, &Sites::new()).unwrap();
    report.write(Format::Json, TextStyle::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Whether two documents are the same; shows the first line that is not.
fn same_text(found: &str, expect: &str, how: &str) {
    for (found, expect) in found.lines().zip(expect.lines()) {
        assert!(found == expect, "{how}\n found {:.900}\nexpect {:.900}", found, expect);
    }
    assert_eq!(found.len(), expect.len(), "{how}");
}

fn months(store: &Store) -> Vec<Month> {
    store.open_months().unwrap().into_iter().collect()
}

fn close(store: &mut Store, month: Month) {
    let closing = Archive::new(store).unwrap().close(month, NOW).unwrap();
    assert!(matches!(closing, Closing::Closed { rows: 1.., .. }), "{month}: {closing:?}");
}

#[test]
fn questions_have_one_answer_wherever_the_months_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imon.db");
    let mut store = booked(&path);
    let mut chance = Chance::seeded(11);
    let count = std::env::var("IMON_QUESTIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(25);
    let questions: Vec<Question> = (0..count).map(|_| question(&mut chance)).collect();
    let expect: Vec<String> = questions.iter().map(|question| plain_answer(&store, question)).collect();
    let same = |store: &Store, how: &str| {
        for (question, expect) in questions.iter().zip(&expect) {
            same_text(&answer(store, question), expect, &format!("{how}: {question:?}"));
        }
    };
    same(&store, "open");
    assert!(expect.iter().filter(|json| json.lines().count() > 8).count() > questions.len() / 3);
    let all = months(&store);
    assert_eq!(all.len(), 4);
    all.iter().step_by(2).for_each(|month| close(&mut store, *month));
    same(&store, "half and half");
    all.iter().skip(1).step_by(2).for_each(|month| close(&mut store, *month));
    assert!(months(&store).is_empty());
    same(&store, "closed");
    // As if the program began anew.
    drop(store);
    let mut store = Store::open(&path).unwrap();
    same(&store, "closed, and opened by another run");
    // The folder alone is enough.
    for suffix in ["", "-wal", "-shm"] {
        _ = std::fs::remove_file(crate::store::beside(&path, suffix));
    }
    let files = store.closed().unwrap();
    drop(store);
    store = Store::open(&path).unwrap();
    let restored = restore(&mut store).unwrap();
    assert_eq!((restored.months.len(), restored.failed.len(), restored.older), (4, 0, 0));
    assert_eq!(store.closed().unwrap(), files);
    same(&store, "from the files alone");
    for month in &all {
        Archive::new(&mut store).unwrap().reopen(*month).unwrap();
    }
    same(&store, "open again");
    assert_eq!(Folder::of(&path).found().unwrap(), []);
    // Checksums came back with the rows: they are looked at here.
    for (question, expect) in questions.iter().zip(&expect) {
        same_text(&plain_answer(&store, question), expect, "open again");
    }
}

/// Ranges of every length that a page has its own stretches of time for, and filters of every kind.
#[test]
fn a_page_is_the_same_from_sums_and_from_rows() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = booked(&dir.path().join("imon.db"));
    let mut chance = Chance::seeded(23);
    let questions: Vec<Question> = (0..16).map(|_| question(&mut chance)).collect();
    let same = |store: &Store, how: &str| {
        for question in &questions {
            let [one, three, rows] = pages(store, question);
            same_text(&one, &rows, &format!("{how}: {question:?}"));
            same_text(&three, &rows, &format!("{how}, three threads: {question:?}"));
        }
    };
    same(&store, "open");
    months(&store).iter().step_by(2).for_each(|month| close(&mut store, *month));
    same(&store, "half and half");
    months(&store).iter().for_each(|month| close(&mut store, *month));
    same(&store, "closed");
}

#[test]
fn a_month_that_is_damaged_or_missing_is_a_hole_and_the_others_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imon.db");
    let mut store = booked(&path);
    let all = months(&store);
    all.iter().for_each(|month| close(&mut store, *month));
    let everything = Range::everything(jiff::tz::TimeZone::UTC);
    let read = |store: &Store| {
        let need = Need { range: &everything, pages: true, apart: Vec::new(), only: None, threads: threads(2) };
        books(store, need).unwrap()
    };
    let whole = read(&store);
    let files = Folder::of(&path).found().unwrap();
    for file in &files {
        let good = std::fs::read(&file.path).unwrap();
        for (fault, reason) in
            [(Fault::Flip, "books-damaged"), (Fault::Cut, "books-damaged"), (Fault::Gone, "books-missing")]
        {
            match fault {
                Fault::Flip => {
                    let mut bytes = good.clone();
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 0x10;
                    std::fs::write(&file.path, bytes).unwrap();
                }
                Fault::Cut => std::fs::write(&file.path, &good[..good.len() - 9]).unwrap(),
                Fault::Gone => std::fs::remove_file(&file.path).unwrap(),
            }
            let found = read(&store);
            assert_eq!(found.holes.iter().map(|hole| hole.month).collect::<Vec<_>>(), [file.month]);
            assert!(found.holes[0].error.to_string().contains(&file.name), "{}", found.holes[0].error);
            assert!(found.books.ledger.gaps.iter().any(|gap| gap.reason == reason));
            let (from_s, to_s) = file.month.seconds();
            let others = |books: &crate::books::Books| {
                books.rows.iter().filter(|row| row.bucket_s < from_s || row.bucket_s >= to_s).count()
            };
            assert_eq!(others(&found.books), others(&whole.books));
            // It is not taken back with less than there was, and not forgotten.
            assert!(Archive::new(&mut store).unwrap().reopen(file.month).unwrap_err().is_of_one_month());
            assert!(store.closed().unwrap().iter().any(|closed| closed.file == file.name));
            std::fs::write(&file.path, &good).unwrap();
        }
    }
    assert_eq!(read(&store).books, whole.books);
    // Where all of a month is booked again it is forgotten, and if that is cut short its sources
    // are known as those that are to be.
    let (month, sources) = store.closed_sources().unwrap().pop_first().unwrap();
    let file = files.iter().find(|file| file.month == month).unwrap();
    std::fs::remove_file(&file.path).unwrap();
    let stale = |store: &Store| store.stale_sources().unwrap().iter().map(|source| source.id).collect::<Vec<_>>();
    assert_eq!(stale(&store), Vec::<i64>::new());
    assert!(Archive::new(&mut store).unwrap().reopen_for(&sources).unwrap().is_empty());
    assert_eq!(stale(&store), sources);
}

enum Fault {
    Flip,
    Cut,
    Gone,
}

#[test]
fn what_a_closing_left_that_was_cut_short_goes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imon.db");
    let mut store = booked(&path);
    let all = months(&store);
    close(&mut store, all[0]);
    let folder = Folder::of(&path);
    let files = folder.found().unwrap();
    let own = files[0].clone();
    // Of this database, and named by nothing.
    let orphan = own.path.with_file_name(own.name.replace("00000001", "00000000"));
    std::fs::copy(&own.path, &orphan).unwrap();
    // Of a later state of it.
    let later = own.path.with_file_name(own.name.replace("00000001", "00000009"));
    std::fs::copy(&own.path, &later).unwrap();
    std::fs::write(folder.path().join("unfinished/2-rows-01010101-0101-0101-0101-010101010101"), "half").unwrap();
    let left = Archive::new(&mut store).unwrap().tidy().unwrap();
    assert_eq!(left, Leftovers { removed: 2, strange: vec![later.clone()] });
    std::fs::remove_file(later).unwrap();
    assert_eq!(folder.found().unwrap(), files);
    // A database that is made anew in its place removes nothing.
    let other = Store::open(&dir.path().join("new.db")).unwrap();
    let left = folder.tidy(&[], 99, other.recorder().unwrap()).unwrap();
    assert_eq!((left.removed, left.strange.len()), (0, files.len()));
}

#[test]
fn a_full_disk_at_any_write_leaves_the_month_open_and_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::of(&dir.path().join("imon.db"));
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    let made = folder.make((Part::Rows, "2026-01".parse().unwrap(), [1; 16]), 1, |mut file| {
        std::io::Write::write_all(&mut file, b"half")?;
        Err::<(), _>(full())
    });
    assert!(matches!(made, Err(ArchiveError::Io { .. })), "{made:?}");
    assert_eq!(folder.found().unwrap(), []);
    assert_eq!(std::fs::read_dir(folder.path().join("unfinished")).unwrap().count(), 0);
}

#[test]
fn a_month_closes_when_it_is_over_for_a_week_and_gives_its_room_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imon.db");
    let mut store = booked(&path);
    let all = months(&store);
    let end_ns = all[0].seconds().1 * NANOS_PER_SECOND;
    let week = 7 * 86_400 * NANOS_PER_SECOND;
    let close_at = |store: &mut Store, at| Archive::new(store).unwrap().close(all[0], UnixNanos(at)).unwrap();
    assert_eq!(close_at(&mut store, end_ns + week - 1), Closing::Open(Why::NotOver));
    let before = std::fs::metadata(&path).unwrap().len();
    let closings = Archive::new(&mut store).unwrap().close_due(NOW).unwrap();
    assert_eq!(closings.len(), 4);
    assert!(std::fs::metadata(&path).unwrap().len() < before);
    assert_eq!(close_at(&mut store, NOW.0), Closing::Open(Why::Nothing));
}
