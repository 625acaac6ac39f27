//! Reports over books made by hand; sums worked out by hand.

mod naive;

use super::*;
use crate::books::carriers::Carrier;
use crate::books::{Blind, BlindBytes, Exported, Gap, Host, Interface, PageRow, Row, Source, Sureness, Traffic};
use crate::range::{Range, Unsaid};
use crate::rollup;
use imon_common::names::Name;
use imon_common::observe::ExportFault;
use imon_common::time::UnixNanos;
use imon_common::wire::NotIp;
use jiff::tz::TimeZone;
use proptest::prelude::*;

/// 2026-10-25T00:00:00Z: in Berlin 02:00, an hour before the clock is set back.
const T: i64 = 1_792_886_400;

fn name(text: &str) -> Host {
    Host::Name(Name::from_host(text.as_bytes()).unwrap())
}

fn row(bucket: i64, host: u32, evidence: Evidence, up_bytes: u64, down_bytes: u64) -> Row {
    Row {
        bucket_s: T + bucket * 900,
        host,
        device: 0,
        evidence,
        traffic: Traffic::Visited,
        candidates: None,
        blind: None,
        interface: 0,
        source: 0,
        up_bytes,
        down_bytes,
        up_packets: 1,
        down_packets: 2,
    }
}

fn source(name: &str) -> Source {
    let recorder = (name == "b.pcap").then_some([0xab; 16]);
    Source { identity: name.into(), label: name.into(), path: format!("/tmp/{name}"), recorder }
}

fn blind_bytes(amounts: &[(Blind, u64)]) -> BlindBytes {
    let mut bytes = BlindBytes::default();
    amounts.iter().for_each(|(blind, amount)| bytes.add(*blind, *amount));
    bytes
}

/// Two hosts of youtube.com, two sites that share an address, an address, a suffix, a NAS.
pub(super) fn books() -> Books {
    let hosts = vec![
        name("www.youtube.com"),
        name("rr1.googlevideo.com"),
        name("a.example.org"),
        name("b.example.net"),
        Host::Address("203.0.113.9".parse().unwrap()),
        name("co.uk"),
        Host::Address("192.168.1.5".parse().unwrap()),
    ];
    let rows = vec![
        row(0, 0, Evidence::Sni, 100, 1_000),
        row(1, 1, Evidence::Quic, 2_000, 3_000_000),
        row(4, 1, Evidence::Dns, 50, 50),
        row(4, 2, Evidence::Sni, 10, 20),
        Row { candidates: Some(0), ..row(5, 2, Evidence::DnsShared, 300, 700) },
        Row { device: 1, ..row(8, 3, Evidence::Http, 5, 5) },
        row(96, 4, Evidence::None, 40, 60),
        row(96, 5, Evidence::DnsLate, 1, 1),
        Row { traffic: Traffic::Local, ..row(96, 6, Evidence::None, 9_000, 1_000) },
    ];
    let ledger = Ledger {
        packets: 40,
        ip_packets: 27,
        ip_bytes: 3_014_392,
        named_bytes: 3_004_242,
        infrastructure_bytes: 0,
        address_only_bytes: 100,
        address_only_by: blind_bytes(&[(Blind::BeginNotSeen, 100)]),
        blind_spots: blind_bytes(&[(Blind::EncryptedDns, 1_130), (Blind::BeginNotSeen, 100)]),
        served_bytes: 0,
        local_bytes: 10_000,
        undecodable_bytes: 50,
        non_ip_packets: 12,
        carriers: vec![
            Carrier { kind: Some(NotIp::EtherType(0x0806)), packets: 7, bytes: 420 },
            Carrier { kind: Some(NotIp::LinkType(147)), packets: 5, bytes: 500 },
        ],
        length_from_frame_packets: 2,
        length_from_frame_bytes: 2_900,
        not_hosts: 3,
        undecodable_packets: 1,
        copies_packets: 0,
        copies_bytes: 0,
        carried_bytes: 0,
        unsaved_packets: 0,
        unsaved_bytes: 0,
        suspected_double_packets: 0,
        suspected_double_bytes: 0,
        overlaps: Vec::new(),
        removed_packets: 0,
        removed_bytes: 0,
        exported: vec![
            Exported { rate: 1, packets: 3, bytes: 4_000 },
            Exported { rate: 100, packets: 200, bytes: 90_000 },
        ],
        export_faults: vec![(ExportFault::Corrected, 1, 77), (ExportFault::NoFlow, 30, 0)],
        tunnels: Vec::new(),
        capture_dropped_packets: Some(0),
        interface_bytes: None,
        gaps: vec![Gap {
            from: UnixNanos((T + 60) * 1_000_000_000),
            to: UnixNanos((T + 90) * 1_000_000_000),
            reason: "suspend".into(),
            interface: None,
        }],
    };
    let devices = vec!["02:00:00:00:00:01".into(), "192.168.1.7".into()];
    Books {
        removed: Vec::new(),
        imported: Vec::new(),
        sides: Vec::new(),
        unread: Vec::new(),
        timeline: crate::timeline::Timeline::default(),
        hosts,
        devices,
        device_ends: Vec::new(),
        device_names: Vec::new(),
        given: Vec::new(),
        reverse: Default::default(),
        recorders: Default::default(),
        candidate_sets: vec![vec![2, 3]],
        interfaces: vec![
            Interface { name: "eth0".into(), vlan: None },
            Interface { name: "eth0".into(), vlan: Some(7) },
            Interface { name: String::new(), vlan: Some(7) },
        ],
        sources: ["a.pcap", "b.pcap"].map(source).to_vec(),
        rows,
        pages: Vec::new(),
        ledger,
        observed: None,
    }
}

fn query(by: Key) -> Question {
    let range = Range::of_days(
        (Some("2026-10-25"), Some("2026-10-26")),
        Unsaid::Everything,
        "2026-11-05T12:00:00Z".parse().unwrap(),
        TimeZone::get("Europe/Berlin").unwrap(),
    );
    Question::by(by, range.unwrap())
}

fn report(by: Key) -> Report {
    Report::new(&books(), &query(by), &Sites::new()).unwrap()
}

fn text(report: &Report, format: Format, width: Option<usize>) -> String {
    let mut out = Vec::new();
    report.write(format, TextStyle { width, ..TextStyle::default() }, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Key, total, low and high of each row.
fn totals(report: &Report) -> Vec<(String, u64, u64, u64)> {
    let line = |l: Line<'_>| (l.key.join(" "), l.total_bytes, l.low_bytes, l.high_bytes);
    report.frame().lines().into_iter().map(line).collect()
}

fn expect(rows: &[(&str, u64, u64, u64)]) -> Vec<(String, u64, u64, u64)> {
    rows.iter().map(|(key, total, low, high)| ((*key).to_owned(), *total, *low, *high)).collect()
}

/// The books with a flow to a name of a content network that nothing is known to lead to, and one
/// that shows that name.
fn with_infrastructure() -> Books {
    let mut books = books();
    books.hosts.extend([name("e7.a.akamaiedge.net"), name("pages.hoster.example")]);
    books.rows.extend([
        row(0, 7, Evidence::Infra, 400, 600),
        row(1, 7, Evidence::Sni, 1, 2),
        row(2, 8, Evidence::Infra, 10, 20),
    ]);
    books.ledger = rollup::ledger(&books.rows, &books.hosts, std::iter::empty(), Vec::new());
    books
}

#[test]
fn infrastructure_has_a_group_and_a_line_of_its_own_and_the_books_balance() {
    let books = with_infrastructure();
    assert_eq!((books.ledger.infrastructure_bytes, books.ledger.residual()), (1_030, 0));
    let of = |by| {
        let report = Report::new(&books, &query(by), &Sites::new()).unwrap();
        assert_eq!(report.not_in_rows(), 0);
        let lines = report.frame().lines();
        lines
            .iter()
            .map(|line| (line.key[0].to_owned(), line.total_bytes))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    for by in [Key::Site, Key::Family] {
        let lines = of(by);
        assert_eq!(lines.get("Akamai (infrastructure)"), Some(&1_000));
        assert_eq!(
            lines.get("hoster.example (infrastructure)"),
            Some(&30),
            "what no list names goes by its own domain"
        );
        assert!(lines.values().any(|bytes| *bytes == 3), "what shows the name is no guess: {lines:?}");
    }
    let hosts = of(Key::Host);
    let of_host = |host: &str| hosts.get(host).copied();
    assert_eq!(of_host("e7.a.akamaiedge.net (infrastructure)"), Some(1_000));
    assert_eq!(of_host("e7.a.akamaiedge.net"), Some(3));
    let mut out = Vec::new();
    let report = Report::new(&books, &query(Key::Site), &Sites::new()).unwrap();
    report.write(Format::Table, TextStyle::default(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("(infrastructure): only a name of its network was asked for"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("infrastructure ") && line.contains("1,030")), "{text}");
    assert!(!text.contains("- by infra"), "{text}");
}

#[test]
fn sites_hold_their_hosts_and_know_their_bounds() {
    assert_eq!(
        totals(&report(Key::Site)),
        expect(&[
            ("youtube.com", 3_003_200, 3_003_200, 3_003_200),
            ("example.org", 1_030, 30, 1_030),
            ("203.0.113.9", 100, 100, 100),
            ("example.net", 10, 10, 1_010),
            ("co.uk", 2, 2, 2),
        ])
    );
}

#[test]
fn every_axis_has_its_own_keys() {
    let keys = |by| totals(&report(by)).into_iter().map(|(key, total, ..)| (key, total)).collect::<Vec<_>>();
    let pairs = |rows: &[(&str, u64)]| rows.iter().map(|(k, t)| ((*k).to_owned(), *t)).collect::<Vec<_>>();
    assert_eq!(keys(Key::Device), pairs(&[("02:00:00:00:00:01", 3_004_332), ("192.168.1.7", 10)]));
    let hours: Vec<_> = keys(Key::Hour).into_iter().filter(|(_, total)| *total > 0).collect();
    assert_eq!(keys(Key::Hour).len(), 49, "a day of 25 hours and one of 24");
    assert_eq!(
        hours,
        pairs(&[
            ("2026-10-25T02:00+02:00", 3_003_100),
            ("2026-10-25T02:00+01:00", 1_130),
            ("2026-10-25T03:00+01:00", 10),
            ("2026-10-26T01:00+01:00", 102),
        ])
    );
    assert_eq!(keys(Key::Day), pairs(&[("2026-10-25", 3_004_240), ("2026-10-26", 102)]));
    assert_eq!(keys(Key::Month), pairs(&[("2026-10", 3_004_342)]));
    assert_eq!(
        keys(Key::Evidence),
        pairs(&[
            ("quic", 3_002_000),
            ("sni", 1_130),
            ("dns-shared", 1_000),
            ("dns", 100),
            ("none", 100),
            ("http", 10),
            ("dns-late", 2),
        ])
    );
    assert_eq!(keys(Key::Host).first().unwrap(), &("rr1.googlevideo.com".to_owned(), 3_002_100));
}

#[test]
fn a_family_holds_the_sites_of_its_owner() {
    let mut books = books();
    books.hosts[2] = name("www.google.com");
    let by = |by| totals(&Report::new(&books, &query(by), &Sites::new()).unwrap());
    assert_eq!(by(Key::Family).first().unwrap(), &("Google".to_owned(), 3_004_230, 3_003_230, 3_004_230));
    assert_eq!(by(Key::Site).iter().filter(|(site, ..)| site == "youtube.com" || site == "google.com").count(), 2);
    assert_eq!(by(Key::Family).len() + 1, by(Key::Site).len(), "what has no family stands for itself");
}

#[test]
fn only_the_table_shows_names_decoded_and_no_look_alikes() {
    let mut books = books();
    books.hosts[0] = name("www.xn--mnchen-3ya.de");
    books.hosts[2] = name("xn--80ak6aa92e.com");
    for by in [Key::Site, Key::Family, Key::Host] {
        let report = Report::new(&books, &query(by), &Sites::new()).unwrap();
        let table = text(&report, Format::Table, None);
        assert!(table.contains("münchen.de ") && table.contains("xn--80ak6aa92e.com "), "{table}");
        for format in [Format::Json, Format::Csv] {
            let out = text(&report, format, None);
            assert!(out.contains("xn--mnchen-3ya.de") && out.is_ascii(), "{out}");
        }
    }
}

#[test]
fn a_device_is_shown_by_name_and_keyed_by_address() {
    let mut books = books();
    books.device_names = vec![None, Name::from_host(b"anns phone\x1b[2J.local")];
    let report = Report::new(&books, &query(Key::Device), &Sites::new()).unwrap();
    let table = text(&report, Format::Table, None);
    assert!(table.contains("\nanns\\032phone\\027[2j.local (192.168.1.7) "), "{table}");
    let json: serde_json::Value = serde_json::from_str(&text(&report, Format::Json, None)).unwrap();
    let row = |i: usize| (json["rows"][i]["device"].clone(), json["rows"][i]["device_name"].clone());
    assert_eq!(row(0), ("02:00:00:00:00:01".into(), serde_json::Value::Null));
    assert_eq!(row(1), ("192.168.1.7".into(), "anns\\032phone\\027[2j.local".into()));
    let csv = text(&report, Format::Csv, None);
    let names: Vec<&str> = csv.lines().map(|line| line.split(',').nth(1).unwrap()).collect();
    assert_eq!(names, ["device_name", "", "anns\\032phone\\027[2j.local"]);
}

#[test]
fn devices_of_one_name_stay_two_rows() {
    let mut books = books();
    books.device_names = vec![Name::from_host(b"tv"), Name::from_host(b"tv")];
    let report = Report::new(&books, &query(Key::Device), &Sites::new()).unwrap();
    assert_eq!(report.frame().lines().len(), 2);
}

#[test]
fn local_traffic_gets_rows_only_when_asked_for() {
    let mut query = query(Key::Site);
    query.include_local = true;
    let all = Report::new(&books(), &query, &Sites::new()).unwrap();
    assert!(totals(&all).contains(&("192.168.1.5".to_owned(), 10_000, 10_000, 10_000)));
    assert!(!totals(&report(Key::Site)).iter().any(|(key, ..)| key == "192.168.1.5"));
}

#[test]
fn the_limit_sums_up_what_it_cuts_off() {
    let mut query = query(Key::Site);
    query.limit = Some(2);
    let cut = Report::new(&books(), &query, &Sites::new()).unwrap();
    let rest = Rest { rows: 3, up_bytes: 46, down_bytes: 66, total_bytes: 112, packets: 9 };
    assert_eq!((cut.frame().lines().len(), cut.frame().rest()), (2, Some(rest)));
    let json: serde_json::Value = serde_json::from_str(&text(&cut, Format::Json, None)).unwrap();
    assert_eq!(json["rest"]["total_bytes"], 112);
    assert_eq!(text(&cut, Format::Csv, None).lines().count(), 3, "CSV has rows only");
}

#[test]
fn a_site_is_shown_day_by_day_with_what_it_could_have_been() {
    let names = ["example.net", "youtube.com", "a.example.org", "203.0.113.9"].map(String::from);
    let report = Report::of_names(&books(), &query(Key::Day), &Sites::new(), &names).unwrap();
    assert_eq!(
        totals(&report),
        expect(&[
            ("example.net 2026-10-25", 10, 10, 1_010),
            ("example.net 2026-10-26", 0, 0, 0),
            ("youtube.com 2026-10-25", 3_003_200, 3_003_200, 3_003_200),
            ("youtube.com 2026-10-26", 0, 0, 0),
            ("a.example.org 2026-10-25", 1_030, 30, 1_030),
            ("a.example.org 2026-10-26", 0, 0, 0),
            ("203.0.113.9 2026-10-25", 0, 0, 0),
            ("203.0.113.9 2026-10-26", 100, 100, 100),
        ])
    );
    // Nothing booked, but possible.
    let mut books = books();
    books.rows.retain(|row| row.host != 3);
    let report = Report::of_names(&books, &query(Key::Hour), &Sites::new(), &names[..1]).unwrap();
    let possible: Vec<_> = totals(&report).into_iter().filter(|(.., high)| *high > 0).collect();
    assert_eq!(possible, expect(&[("example.net 2026-10-25T02:00+01:00", 0, 0, 1_000)]));
}

/// Rows of several keys, in short: keys and total.
fn rows_of(question: &Question) -> Vec<(String, u64)> {
    let report = Report::new(&books(), question, &Sites::new()).unwrap();
    totals(&report).into_iter().map(|(key, total, ..)| (key, total)).collect()
}

#[test]
fn several_keys_nest_the_largest_first_and_times_in_order() {
    let question = Question { keys: vec![Key::Site, Key::Day], ..query(Key::Site) };
    let rows = rows_of(&question);
    assert_eq!(rows[0], ("youtube.com 2026-10-25".to_owned(), 3_003_200));
    assert_eq!(rows[1], ("youtube.com 2026-10-26".to_owned(), 0));
    assert_eq!(rows.len(), 10, "five sites, two days: {rows:?}");
    let days = rows_of(&Question { keys: vec![Key::Day, Key::Device], ..query(Key::Day) });
    let expect = [("2026-10-25 02:00:00:00:00:01", 3_004_230), ("2026-10-25 192.168.1.7", 10)];
    assert_eq!(days[..2], expect.map(|(key, total)| (key.to_owned(), total)));
    let four =
        rows_of(&Question { keys: vec![Key::Family, Key::Device, Key::Evidence, Key::Month], ..query(Key::Site) });
    assert_eq!(four.iter().map(|(_, total)| total).sum::<u64>(), 3_004_342);
    assert_eq!(four[0].0, "Google 02:00:00:00:00:01 quic 2026-10");
}

#[test]
fn a_limit_holds_for_each_key_that_is_no_time() {
    let question = Question { keys: vec![Key::Site, Key::Day], limit: Some(1), ..query(Key::Site) };
    let report = Report::new(&books(), &question, &Sites::new()).unwrap();
    assert_eq!(totals(&report).len(), 2, "one site, both days");
    assert_eq!(report.frame().rest().unwrap().total_bytes, 1_142);
    let of_days = rows_of(&Question { keys: vec![Key::Day, Key::Site], limit: Some(1), ..query(Key::Site) });
    assert_eq!(
        of_days,
        [("2026-10-25 youtube.com", 3_003_200), ("2026-10-26 203.0.113.9", 100)].map(|(k, t)| (k.to_owned(), t))
    );
    let of_hours = Question { limit: Some(3), ..query(Key::Hour) };
    assert_eq!(rows_of(&of_hours).len(), 3, "where all keys are times it counts rows");
    let small = Question { min_bytes: 1_000, ..query(Key::Site) };
    assert_eq!(rows_of(&small).iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["youtube.com", "example.org"]);
}

#[test]
fn filters_of_one_kind_are_alternatives_and_of_several_each_holds() {
    let with = |filters: Filters| rows_of(&Question { filters, ..query(Key::Host) });
    let keys = |rows: Vec<(String, u64)>| rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let sites = list(&["youtube.com", "203.0.113.9"]);
    assert_eq!(
        keys(with(Filters { sites: sites.clone(), ..Filters::default() })),
        ["rr1.googlevideo.com", "www.youtube.com", "203.0.113.9"]
    );
    let both = Filters { sites, hosts: list(&["www.youtube.com", "a.example.org"]), ..Filters::default() };
    assert_eq!(keys(with(both)), ["www.youtube.com"]);
    let kinds = Filters { evidence: vec![Evidence::Http, Evidence::None], ..Filters::default() };
    assert_eq!(keys(with(kinds)), ["203.0.113.9", "b.example.net"]);
    let family = Filters { families: list(&["google"]), ..Filters::default() };
    assert_eq!(keys(with(family)), ["rr1.googlevideo.com", "www.youtube.com"]);
    let no_family = Filters { families: list(&["www.youtube.com"]), ..Filters::default() };
    assert_eq!(keys(with(no_family)), Vec::<String>::new(), "a host is no family");
}

#[test]
fn bytes_that_a_filtered_site_could_own_stay_possible() {
    let filters = Filters { sites: vec!["example.net".into()], ..Filters::default() };
    let by = |key| {
        let question = Question { filters: filters.clone(), ..query(key) };
        let report = Report::new(&books(), &question, &Sites::new()).unwrap();
        totals(&report).into_iter().filter(|(.., high)| *high > 0).collect::<Vec<_>>()
    };
    assert_eq!(by(Key::Site), expect(&[("example.net", 10, 10, 1_010)]));
    assert_eq!(by(Key::Day), expect(&[("2026-10-25", 10, 10, 1_010)]));
    let report = Report::new(&books(), &Question { filters, ..query(Key::Site) }, &Sites::new()).unwrap();
    let table = text(&report, Format::Table, None);
    assert!(
        table.starts_with(
            "2026-10-25T00:00:00+02:00 to 2026-10-27T00:00:00+01:00 (Europe/Berlin); only site example.net\n"
        ),
        "{table}"
    );
    assert!(!table.contains("not in the rows"), "{table}");
    let json: serde_json::Value = serde_json::from_str(&text(&report, Format::Json, None)).unwrap();
    assert_eq!(json["only"], serde_json::json!({"site": ["example.net"]}));
}

#[test]
fn a_device_is_filtered_by_any_of_its_addresses() {
    let mut books = books();
    let mac = imon_common::wire::Mac([2, 0, 0, 0, 0, 1]);
    books.device_ends = vec![
        (0, "192.168.1.5".parse().unwrap(), Some(mac)),
        (0, "2001:db8::5".parse().unwrap(), Some(mac)),
        (1, "192.168.1.7".parse().unwrap(), None),
    ];
    let rows = |device: &str| {
        let filters = Filters { devices: vec![crate::question::DeviceName::parse(device)], ..Filters::default() };
        let question = Question { filters, ..query(Key::Device) };
        totals(&Report::new(&books, &question, &Sites::new()).unwrap())
            .into_iter()
            .map(|(key, ..)| key)
            .collect::<Vec<_>>()
    };
    for device in ["192.168.1.5", "2001:db8::/64", "02:00:00:00:00:01"] {
        assert_eq!(rows(device), ["02:00:00:00:00:01"], "{device}");
    }
    assert_eq!(rows("192.168.1.0/24").len(), 2);
    assert_eq!(rows("192.168.1.6").len(), 0);
}

#[test]
fn a_terminal_gets_bars_a_short_ledger_and_colour_and_a_pipe_none_of_it() {
    let mut books = books();
    let report = |books: &Books| Report::new(books, &query(Key::Site), &Sites::new()).unwrap();
    let style = TextStyle { width: Some(130), bars: true, color: false, totals: None };
    let text = |books: &Books, style: TextStyle| {
        let mut out = Vec::new();
        report(books).write(Format::Table, style, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let with_gap = text(&books, style);
    assert!(with_gap.contains("\nledger ") && with_gap.contains("\ngap: "), "a gap has to be seen: {with_gap}");
    books.ledger.gaps.clear();
    books.ledger.undecodable_packets = 0;
    books.ledger.length_from_frame_packets = 0;
    books.ledger.carriers.clear();
    let well = text(&books, style);
    assert!(well.contains("██████████ ") && well.contains("▏"), "{well}");
    assert!(!well.contains("\nledger ") && well.contains("the books balance, nothing lost, no gaps"), "{well}");
    assert!(well.lines().all(|line| line.chars().count() <= 130), "{well}");
    let full = text(&books, TextStyle { totals: Some(LedgerShown::Full), ..style });
    assert!(full.contains("\nledger "));
    let none = text(&books, TextStyle { totals: Some(LedgerShown::None), ..style });
    assert!(none.trim_end().ends_with("local network, or no host name"), "{none}");
    books.ledger.ip_bytes += 1;
    let wrong = text(&books, TextStyle { totals: Some(LedgerShown::None), ..style });
    assert!(wrong.contains("\nresidual "), "books that do not balance are never hidden: {wrong}");
    let colored = text(&books, TextStyle { color: true, ..style });
    assert!(colored.contains("\u{1b}[1msite ") && console::strip_ansi_codes(&colored) == text(&books, style));
    // What rows are named by is green where that is certain, and red where it is not; only that.
    let (green, red) = ("\u{1b}[32m", "\u{1b}[31m");
    let of = |name: &str| colored.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(of("youtube.com").contains(&format!("  {green}quic >99%")), "{colored:?}");
    assert!(of("203.0.113.9").contains(&format!("  {red}address only")), "{colored:?}");
    assert!(colored.matches(green).count() + colored.matches(red).count() < colored.lines().count());
    // A name inside the flow is certain; what another site could own all the same is not.
    let mut shared = books.clone();
    let quic = shared.rows.iter_mut().filter(|row| row.evidence == Evidence::Quic);
    quic.for_each(|row| row.candidates = Some(0));
    let colored = text(&shared, TextStyle { color: true, ..style });
    assert!(colored.contains(&format!("  {red}quic >99%")), "{colored:?}");
    let pipe = text(&books, TextStyle::default());
    assert!(pipe.is_ascii() && pipe.contains("\nledger "), "{pipe}");
}

/// The width of most terminals.
#[test]
fn days_are_a_chart_on_a_terminal_of_80_columns() {
    let style = TextStyle { width: Some(80), bars: true, color: false, totals: None };
    let text = |key: Key| {
        let mut out = Vec::new();
        report(key).write(Format::Table, style, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    for key in [Key::Day, Key::Hour, Key::Month] {
        let text = text(key);
        assert!(text.contains("██████████ "), "{text}");
        let mut rows = text.lines().take_while(|line| !line.starts_with("ledger"));
        assert!(rows.all(|line| line.chars().count() <= 80), "{text}");
    }
    assert!(!text(Key::Site).contains('█'), "names need the room: {}", text(Key::Site));
}

#[test]
fn table_by_site() {
    insta::assert_snapshot!(text(&report(Key::Site), Format::Table, None));
}

#[test]
fn table_by_hour_on_a_narrow_terminal() {
    insta::assert_snapshot!(text(&report(Key::Hour), Format::Table, Some(60)));
}

#[test]
fn table_of_two_names_by_day() {
    let names = ["youtube.com", "example.net"].map(String::from);
    let report = Report::of_names(&books(), &query(Key::Day), &Sites::new(), &names).unwrap();
    insta::assert_snapshot!(text(&report, Format::Table, None));
}

#[test]
fn table_of_nothing() {
    let mut query = query(Key::Site);
    query.range = Range::everything(TimeZone::UTC);
    let report = Report::new(&Books::default(), &query, &Sites::new()).unwrap();
    insta::assert_snapshot!(text(&report, Format::Table, None));
    let json: serde_json::Value = serde_json::from_str(&text(&report, Format::Json, None)).unwrap();
    assert_eq!(json["rows"], serde_json::json!([]));
    assert_eq!(json["range"]["from"], serde_json::Value::Null);
}

#[test]
fn json_by_site() {
    insta::assert_snapshot!(text(&report(Key::Site), Format::Json, None));
}

#[test]
fn what_has_no_name_is_told_apart() {
    let books = with_infrastructure();
    let report = Report::new(&books, &query(Key::Host), &Sites::new()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text(&report, Format::Json, None)).unwrap();
    let named = |host: &str| {
        let rows = json["rows"].as_array().unwrap();
        rows.iter().find(|row| row["host"] == host).unwrap()["named"].as_bool().unwrap()
    };
    assert!(named("www.youtube.com") && named("e7.a.akamaiedge.net"));
    assert!(!named("203.0.113.9") && !named("e7.a.akamaiedge.net (infrastructure)"));
    let csv = text(&report, Format::Csv, None);
    assert!(csv.starts_with("host,named,up_bytes,") && csv.contains("\n203.0.113.9,false,40,60,"), "{csv}");
    let by_day = Report::new(&books, &query(Key::Day), &Sites::new()).unwrap();
    assert!(!text(&by_day, Format::Json, None).contains("\"named\""));
}

#[test]
fn json_by_evidence_has_the_kind_as_its_key() {
    let json: serde_json::Value = serde_json::from_str(&text(&report(Key::Evidence), Format::Json, None)).unwrap();
    assert_eq!(json["rows"][0]["evidence"], "quic");
    assert_eq!(json["rows"][0]["low_bytes"], 3_002_000);
}

#[test]
fn csv_by_site_and_by_evidence() {
    insta::assert_snapshot!(text(&report(Key::Site), Format::Csv, None));
    insta::assert_snapshot!(text(&report(Key::Evidence), Format::Csv, None));
}

#[test]
fn hostile_names_are_harmless_in_every_format() {
    let hostile: [&[u8]; 5] =
        [b"\x1b[2J\x07.example.com", b"=1+1,\"x.com", b"<script>alert(1)</script>", b"a\r\nb.com", &[b'a'; 255]];
    let mut books = books();
    let first = u32::try_from(books.hosts.len()).unwrap();
    for (i, bytes) in (first..).zip(hostile) {
        books.hosts.push(Host::Name(Name::from_host(bytes).unwrap()));
        books.rows.push(row(0, i, Evidence::Sni, 5_000_000, 7));
    }
    books.devices[0] = "\x1b]0;title\x07\u{202e}gnp.exe\nforged,1,2,3".into();
    for (by, format) in [
        (Key::Host, Format::Table),
        (Key::Host, Format::Json),
        (Key::Host, Format::Csv),
        (Key::Device, Format::Table),
        (Key::Device, Format::Json),
        (Key::Device, Format::Csv),
    ] {
        let report = Report::new(&books, &query(by), &Sites::new()).unwrap();
        let out = text(&report, format, Some(80));
        let harmless = |c: char| c == '\n' || c == '…' || (' '..='~').contains(&c);
        assert!(out.chars().all(harmless), "{format:?}: {out:?}");
        let forged = |line: &str| line.starts_with("forged") || line.starts_with(['=', '@', '+', '-']);
        assert!(format == Format::Table || !out.lines().any(forged), "{out}");
        let rows = report.frame().lines().len();
        match format {
            Format::Json => {
                let json: serde_json::Value = serde_json::from_str(&out).unwrap();
                assert_eq!(json["rows"].as_array().unwrap().len(), rows);
            }
            Format::Csv => assert_eq!(out.lines().count(), rows + 1),
            Format::Table | Format::Parquet | Format::Html | Format::Prometheus => {}
        }
    }
}

#[test]
fn a_long_name_loses_its_beginning_on_a_terminal_and_nothing_in_a_pipe() {
    let mut books = books();
    let long = format!("{}.example.com", "x".repeat(60));
    books.hosts[0] = name(&long);
    let report = Report::new(&books, &query(Key::Host), &Sites::new()).unwrap();
    let narrow = text(&report, Format::Table, Some(100));
    assert!(narrow.contains("…") && narrow.contains("x.example.com") && !narrow.contains(&long), "{narrow}");
    assert!(narrow.lines().take_while(|l| !l.contains("ledger")).all(|l| l.chars().count() <= 100), "{narrow}");
    assert!(text(&report, Format::Table, None).contains(&long));
}

#[test]
fn a_ledger_that_does_not_balance_says_so() {
    let mut books = books();
    books.ledger.ip_bytes += 7;
    books.ledger.named_bytes -= 3;
    let report = Report::new(&books, &query(Key::Site), &Sites::new()).unwrap();
    let table = text(&report, Format::Table, None);
    let amount = |line: &str| table.lines().find(|l| l.contains(line)).unwrap().split_whitespace().last().unwrap();
    assert_eq!((amount("residual"), amount("not in the rows")), ("10", "-3"));
    let json: serde_json::Value = serde_json::from_str(&text(&report, Format::Json, None)).unwrap();
    assert_eq!(json["ledger"]["residual_bytes"], 10);
}

/// The books with pages: half of googlevideo.com's first row was pulled in by a.example.org for
/// sure, 300 bytes of the shared row of a.example.org perhaps by youtube.com, and the address is
/// background.
fn books_with_pages() -> Books {
    let mut books = books();
    let part = |row: Row, page, sureness, rival| PageRow { row, page, sureness, rival };
    books.pages = vec![
        part(row(1, 1, Evidence::Quic, 1_000, 1_500_000), 2, Sureness::Sure, None),
        part(Row { up_packets: 0, down_packets: 0, ..row(4, 2, Evidence::Sni, 10, 10) }, 0, Sureness::Guess, Some(3)),
        part(Row { up_packets: 0, ..row(96, 4, Evidence::None, 0, 60) }, 4, Sureness::Background, None),
        // No such row, and more than there is: a fold, which stays where it is.
        part(row(7, 1, Evidence::Quic, 1, 1), 2, Sureness::Sure, None),
        part(row(0, 0, Evidence::Sni, 100, 1_001), 2, Sureness::Sure, None),
    ];
    books
}

#[test]
fn pages_get_what_they_pulled_in_and_low_and_high_say_how_sure_that_is() {
    let report = Report::new(&books_with_pages(), &query(Key::Page), &Sites::new()).unwrap();
    assert_eq!(
        totals(&report),
        expect(&[
            ("youtube.com", 1_502_220, 1_502_200, 1_502_220),
            ("example.org", 1_502_010, 1_501_010, 1_502_010),
            ("203.0.113.9", 100, 100, 100),
            ("example.net", 10, 10, 1_030),
            ("co.uk", 2, 2, 2),
        ])
    );
    insta::assert_snapshot!(text(&report, Format::Table, None));
    insta::assert_snapshot!(text(&report, Format::Json, None));
    insta::assert_snapshot!(text(&report, Format::Csv, None));
}

fn any_row() -> impl Strategy<Value = Row> {
    let amounts = (0_u64..1 << 40, 0_u64..1 << 40, 0_u64..1000, 0_u64..1000);
    let keys = (-10_i64..400, 0_u32..7, 0_u32..2, 0_usize..11, 0_u8..4, prop::option::of(0_u32..4));
    let blind = (0_u8..8).prop_map(Blind::from_number);
    let origin = (0_u32..3, 0_u32..2);
    (keys, amounts, blind, origin).prop_map(|(keys, amounts, blind, (interface, source))| {
        let (up_bytes, down_bytes, up_packets, down_packets) = amounts;
        let (bucket, host, device, evidence, traffic, candidates) = keys;
        let traffic = Traffic::from_number(traffic).unwrap();
        let row = row(bucket, host, Evidence::ALL[evidence], up_bytes, down_bytes);
        Row { device, traffic, candidates, blind, interface, source, up_packets, down_packets, ..row }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_reasons_under_address_only_sum_up_to_it(rows in prop::collection::vec(any_row(), 0..60)) {
        let mut books = books();
        books.ledger = rollup::ledger(&rows, &books.hosts, std::iter::empty(), Vec::new());
        books.rows = rows;
        let ledger = &books.ledger;
        let reasons: u64 = ledger.address_only_by.iter().map(|(_, bytes)| bytes).sum();
        prop_assert_eq!(reasons, ledger.address_only_bytes);
        prop_assert_eq!(ledger.residual(), 0);
        let report = Report::new(&books, &query(Key::Site), &Sites::new()).unwrap();
        let table = text(&report, Format::Table, None);
        let amount = |line: &str| line.split("  ").map(str::trim).filter(|t| !t.is_empty()).nth(1).unwrap().replace(',', "");
        let below = table.lines().skip_while(|l| !l.starts_with("ledger")).skip_while(|l| !l.starts_with("address only"));
        let shown: u64 = below.skip(1).take_while(|l| l.starts_with("- ")).map(|l| amount(l).parse::<u64>().unwrap()).sum();
        prop_assert_eq!(shown, ledger.address_only_bytes);
    }

    #[test]
    fn rows_of_every_axis_add_up_to_the_books(rows in prop::collection::vec(any_row(), 0..60), local: bool, limit in prop::option::of(0_usize..9)) {
        let sum = |keep: &dyn Fn(&Row) -> bool| rows.iter().filter(|r| keep(r)).map(|r| r.up_bytes + r.down_bytes).sum::<u64>();
        let mut books = books();
        books.candidate_sets = vec![vec![2, 3], vec![0, 1], vec![4, 0, 5], vec![99]];
        books.ledger.named_bytes = sum(&|r| r.traffic.is_of_sites() && r.evidence != Evidence::None);
        books.ledger.address_only_bytes = sum(&|r| r.traffic.is_of_sites() && r.evidence == Evidence::None);
        books.ledger.local_bytes = sum(&|r| r.traffic == Traffic::Local);
        books.ledger.served_bytes = sum(&|r| r.traffic == Traffic::Served);
        let has_other = rows.iter().any(|r| r.traffic.is_of_sites() || (local && r.traffic == Traffic::Local));
        books.rows = rows;
        let ledger = &books.ledger;
        let whole = ledger.named_bytes + ledger.address_only_bytes + if local { ledger.local_bytes } else { 0 };
        for by in [Key::Site, Key::Page, Key::Family, Key::Host, Key::Device, Key::Served, Key::Hour, Key::Day, Key::Month, Key::Evidence] {
            let query = Question { limit, include_local: local, ..query(by) };
            let report = Report::new(&books, &query, &Sites::new()).unwrap();
            let lines = report.frame().lines();
            // Where nothing was visited, reports on sites show what was served.
            let about_sites = matches!(by, Key::Site | Key::Page | Key::Family | Key::Host);
            let of_served = by == Key::Served || (about_sites && !has_other);
            let whole = if of_served { ledger.served_bytes } else { whole };
            let shown: u64 = lines.iter().map(|l| l.total_bytes).sum();
            prop_assert_eq!(shown + report.frame().rest().map_or(0, |r| r.total_bytes), whole);
            prop_assert_eq!(report.not_in_rows(), 0);
            for line in lines {
                prop_assert!(line.low_bytes <= line.total_bytes && line.total_bytes <= line.high_bytes);
                prop_assert_eq!(line.up_bytes + line.down_bytes, line.total_bytes);
                if let Some(kinds) = line.evidence {
                    prop_assert_eq!(kinds.iter().sum::<u64>(), line.total_bytes);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn by_page_every_byte_of_the_strict_view_stands_in_one_row(
        rows in prop::collection::vec(any_row(), 0..40),
        parts in prop::collection::vec((0_usize..40, 0_u32..7, 1_u8..5, prop::option::of(0_u32..7), 1_u64..4), 0..40),
    ) {
        let mut books = books();
        books.rows = rows;
        for (of, page, sureness, rival, share) in parts {
            let Some(row) = books.rows.get(of).copied() else { continue };
            let part = |amount: u64| amount * share / 3;
            let row = Row {
                up_bytes: part(row.up_bytes),
                down_bytes: part(row.down_bytes),
                up_packets: part(row.up_packets),
                down_packets: part(row.down_packets),
                ..row
            };
            books.pages.push(PageRow { row, page, sureness: Sureness::from_number(sureness).unwrap(), rival });
        }
        let [strict, paged] = [Key::Site, Key::Page].map(|by| {
            Report::new(&books, &query(by), &Sites::new()).unwrap()
        });
        let (of_strict, of_pages) = (strict.frame().total(), paged.frame().total());
        prop_assert_eq!((of_strict.up_bytes, of_strict.down_bytes, of_strict.packets), (of_pages.up_bytes, of_pages.down_bytes, of_pages.packets));
        // Where nothing was visited, both show what was served, which no page pulled in.
        for line in paged.frame().lines().into_iter().filter(|_| !paged.only_served) {
            let page = line.page.unwrap();
            prop_assert_eq!(page.own + page.third_party, line.total_bytes);
            prop_assert_eq!(page.own_class() + page.classes.iter().sum::<u64>(), line.total_bytes);
            prop_assert_eq!(page.third_parties.values().sum::<u64>(), page.third_party);
            prop_assert!(line.low_bytes <= line.total_bytes && line.total_bytes <= line.high_bytes);
        }
    }
}
