use super::super::snapshot::{Asked, Snapshot, View};
use super::*;
use crate::site::Sites;
use imon_common::names::{AnswerAddress, Name, RecordKind};
use std::net::IpAddr;

/// A midnight.
pub const DAY: i64 = 1_790_000_000 / 86_400 * 86_400;

pub fn at(second: i64) -> UnixNanos {
    UnixNanos(second * NANOS_PER_SECOND)
}

pub fn since(today: i64, period: i64) -> Since {
    let month = 30 * 86_400;
    Since { today: at(today), tomorrow: at(today + 86_400), period: at(period), next_period: at(period + month) }
}

pub fn header(segment: u8, recorder: u8, start: i64) -> SegmentHeader {
    SegmentHeader {
        segment: [segment; 16],
        recorder: [recorder; 16],
        run: [recorder; 16],
        sequence: segment.into(),
        start: at(start),
        interface: "eth0".into(),
        ..SegmentHeader::default()
    }
}

pub fn flow(number: u64, server: u8, start: UnixNanos) -> Flow {
    let port = 40_000 + u16::try_from(number % 20_000).unwrap();
    let (client, server) = (([192, 168, 1, 7], port).into(), ([198, 51, 100, server], 443).into());
    Flow { number, ..Flow::outgoing(client, server, 6, start) }
}

/// So many bytes in each direction.
pub fn usage(bytes: u64) -> Usage {
    Usage { up_packets: 1, up_bytes: bytes, down_packets: 1, down_bytes: bytes }
}

fn live(today: i64, period: i64) -> Live {
    let mut live = Live::new(AnswerBook::default(), Habits::default(), since(today, period));
    live.begin(0, &header(1, 1, today));
    live
}

fn moves(live: &mut Live, flow: &Flow, second: i64, bytes: u64) {
    live.turn_to(0, at(second));
    let Ok(()) = live.usage(flow, at(second), usage(bytes));
}

/// The client was told that the server has this name.
fn told(live: &mut Live, ts: UnixNanos, name: &str, server: u8) {
    let lookup = Flow { server_port: 53, proto: 17, ..flow(99, 53, ts) };
    let address = AnswerAddress { address: IpAddr::from([198, 51, 100, server]), ttl_s: 60, record: RecordKind::A };
    let seen = NameSeen {
        ts,
        kind: NameKind::Dns,
        name: Name::from_host(name.as_bytes()).unwrap(),
        chain: Vec::new(),
        addresses: vec![address],
        asker_is_server: false,
        relayed: false,
    };
    let Ok(()) = live.name(&lookup, &seen);
}

/// By host: bytes of today, of the period, those that can change, and those of the last minute.
pub fn sums(live: &Live) -> BTreeMap<String, [u64; 4]> {
    let cells = &live.cells;
    let mut all: BTreeMap<String, [u64; 4]> = BTreeMap::new();
    for (number, cell) in (0_u32..).zip(cells.all()) {
        let last = cells.recent().filter_map(|second| second.cells.get(&number)).map(|bytes| bytes.sum()).sum();
        let found = [cell.moved.today.sum(), cell.moved.period.sum(), cell.open, last];
        let host = cells.hosts.get(cell.place.host).unwrap().to_string();
        all.entry(host).or_default().iter_mut().zip(found).for_each(|(sum, more)| *sum += more);
    }
    all.retain(|_, sums| *sums != [0; 4]);
    all
}

fn expect(live: &Live, expected: &[(&str, [u64; 4])]) {
    let expected = expected.iter().map(|(host, sums)| ((*host).to_owned(), *sums));
    assert_eq!(sums(live), expected.collect());
}

#[test]
fn a_day_that_begins_while_it_runs_has_what_was_recorded_of_it_already() {
    let mut live = live(DAY, DAY - 86_400);
    let before = DAY + 86_400 - 2;
    live.tick(before, since(DAY, DAY - 86_400));
    let connection = flow(1, 1, at(before));
    moves(&mut live, &connection, before, 10);
    // The recorder's clock is ahead by two seconds: its day has begun.
    moves(&mut live, &connection, before + 2, 3);
    expect(&live, &[("198.51.100.1", [20, 26, 20, 26])]);
    live.tick(before + 2, since(DAY + 86_400, DAY - 86_400));
    expect(&live, &[("198.51.100.1", [6, 26, 6, 26])]);
    moves(&mut live, &connection, before + 3, 1);
    expect(&live, &[("198.51.100.1", [8, 28, 8, 28])]);
    // The name comes late, and takes along what is of the new day; nothing of it is lost.
    told(&mut live, UnixNanos(at(before).0 + 100_000_000), "late.example", 1);
    live.look_again();
    expect(&live, &[("late.example", [8, 28, 8, 28])]);
}

#[test]
fn a_period_that_begins_while_it_runs_begins_with_nothing() {
    let mut live = live(DAY, DAY - 30 * 86_400 + 86_400);
    let period = DAY - 30 * 86_400 + 86_400;
    live.tick(DAY + 86_399, since(DAY, period));
    let [old, young] = [flow(1, 1, at(DAY + 86_300)), flow(2, 2, at(DAY + 86_399))];
    moves(&mut live, &old, DAY + 86_300, 10);
    moves(&mut live, &young, DAY + 86_399, 5);
    live.tick(DAY + 86_400, since(DAY + 86_400, DAY + 86_400));
    moves(&mut live, &young, DAY + 86_400, 1);
    // What passed in the last minute passed, whatever the day is.
    expect(&live, &[("198.51.100.2", [2, 2, 2, 12])]);
    told(&mut live, UnixNanos(at(DAY + 86_399).0 + 100_000_000), "late.example", 2);
    live.look_again();
    expect(&live, &[("late.example", [2, 2, 2, 12])]);
    // A machine that slept for days does not take a day for the next one.
    moves(&mut live, &young, DAY + 2 * 86_400 + 1, 7);
    live.tick(DAY + 4 * 86_400, since(DAY + 4 * 86_400, DAY + 86_400));
    let of_today = sums(&live).values().map(|sums| sums[0]).sum::<u64>();
    assert_eq!(of_today, 0);
}

#[test]
fn a_recorder_whose_clock_is_ahead_is_told_and_moves_no_clock_of_ours() {
    let mut live = live(DAY, DAY);
    live.tick(DAY + 100, since(DAY, DAY));
    moves(&mut live, &flow(1, 1, at(DAY + 99)), DAY + 99, 1);
    moves(&mut live, &flow(2, 2, at(DAY + 99 + 3_600)), DAY + 100 + 3_600, 5);
    assert_eq!((live.clock, live.ahead), (Some(at(DAY + 99)), Some(Ahead { at: DAY + 100, by_s: 3_600 })));
    // Its bytes are of today; they did not pass in the last minute.
    let sums = sums(&live);
    assert_eq!((sums["198.51.100.1"][3], sums["198.51.100.2"]), (2, [10, 10, 10, 0]));
}

#[test]
fn the_latest_seconds_of_a_flow_go_along_with_its_verdict() {
    let mut live = live(DAY, DAY);
    live.tick(DAY + 100, since(DAY, DAY));
    let connection = flow(1, 1, at(DAY + 80));
    for second in 80..100 {
        moves(&mut live, &connection, DAY + second, 1);
    }
    expect(&live, &[("198.51.100.1", [40, 40, 40, 40])]);
    told(&mut live, UnixNanos(at(DAY + 80).0 + 100_000_000), "late.example", 1);
    live.look_at_all();
    let latest = 2 * KEPT_S as u64;
    expect(&live, &[("198.51.100.1", [0, 0, 0, 40 - latest]), ("late.example", [40, 40, 40, latest])]);
}

#[test]
fn a_flow_that_is_over_stands_where_the_books_have_it() {
    let mut live = live(DAY, DAY);
    live.tick(DAY + 100, since(DAY, DAY));
    moves(&mut live, &flow(1, 1, at(DAY + 99)), DAY + 99, 10);
    // Nobody looks between the answer and the end of the flow.
    told(&mut live, UnixNanos(at(DAY + 99).0 + 100_000_000), "late.example", 1);
    expect(&live, &[("198.51.100.1", [20, 20, 20, 20])]);
    for second in (200..8_000).step_by(100) {
        live.tick(DAY + second, since(DAY, DAY));
        moves(&mut live, &flow(2, 2, at(DAY + 150)), DAY + second, 0);
    }
    let sums = sums(&live);
    assert_eq!(sums.get("198.51.100.1"), None, "{sums:?}");
    assert_eq!(sums["late.example"], [20, 20, 0, 0]);
    assert!(!live.flows.keys().any(|id| *id == live.attributor.id_in(0, 1)), "it is forgotten");
}

/// A flow whose hello says its name.
fn named(number: u64, server: u8, name: &str, start: UnixNanos) -> Flow {
    let name = Name::from_host(name.as_bytes()).unwrap();
    Flow { name: Some(imon_common::flow::FlowName::new(NameKind::Sni, name)), ..flow(number, server, start) }
}

/// By page: bytes of today, and of these the ones that can change.
fn pages(live: &Live) -> BTreeMap<String, (u64, u64)> {
    let asked = Asked { view: View::Page, ..Asked::default() };
    let snapshot = Snapshot::new(&live.cells, &asked, &Sites::new(), live.now + 2);
    let rows = snapshot.rows.iter().map(|row| (row.name.clone(), (row.today.sum(), row.open)));
    rows.filter(|(_, (today, _))| *today > 0).collect()
}

/// A page is visited twelve times, two minutes apart, and pulls in pictures each time; something
/// else moves `beside` it. Gives the number of the flow that moved last, and its second.
fn visits(live: &mut Live, from: i64, beside: Option<&str>) -> (u64, i64) {
    let mut last = (0, 0);
    for n in 0..12_u8 {
        let (second, number) = (from + i64::from(n) * 120, 10 * u64::from(n) + 1);
        live.tick(second, since(DAY, DAY));
        let begins = |ms: i64| UnixNanos(at(second).0 + ms * 1_000_000);
        let page = named(number, 1, "www.news.example", begins(0));
        let pictures = named(number + 1, 2, "cdn.pictures.example", begins(200));
        let letters = named(number + 2, 3, "fonts.letters.example", begins(250));
        for (flow, bytes) in [(page, 20_000), (pictures, 30_000), (letters, 5_000)] {
            moves(live, &flow, second, bytes);
        }
        if let Some(name) = beside {
            moves(live, &named(number + 3, 4, name, begins(300)), second, 4_000);
        }
        last = (number + 1, second);
    }
    last
}

#[test]
fn what_a_page_pulled_in_can_change_for_ten_minutes() {
    let mut live = live(DAY, DAY);
    let (number, second) = visits(&mut live, DAY + 1_000, None);
    assert!(!live.knows_pages());
    let before: Vec<u64> = pages(&live).values().map(|(today, _)| *today).collect();
    assert_eq!(before, [12 * 10_000, 12 * 40_000, 12 * 60_000], "nobody has looked yet");
    live.look_at_pages();
    let all = pages(&live);
    let (news, open) = all["news.example"];
    assert!(news > 12 * 80_000, "{all:?}");
    assert_eq!(all.values().map(|(today, _)| today).sum::<u64>(), 12 * 110_000);
    // Bytes of the last ten minutes: five visits and the one of just then.
    assert!(open > 0 && open <= 6 * 110_000, "{all:?}");
    // What moves on goes where it went, before somebody looks again.
    let pictures = named(number, 2, "cdn.pictures.example", at(second));
    moves(&mut live, &pictures, second + 1, 7_000);
    assert_eq!(pages(&live)["news.example"], (news + 14_000, open + 14_000));
    // What is new is where its name says, and can go elsewhere.
    moves(&mut live, &named(5_000, 5, "new.example", at(second + 1)), second + 1, 8_000);
    assert_eq!(pages(&live)["new.example"], (16_000, 16_000));
    live.look_at_pages();
    assert_eq!(pages(&live)["news.example"].0, news + 14_000);
    let all = pages(&live);
    // Nothing can change once it is settled, and flows that are over stay where they are.
    for later in (700..9_000).step_by(100) {
        live.tick(second + later, since(DAY, DAY));
        moves(&mut live, &flow(9_000, 9, at(second + 700)), second + later, 0);
    }
    live.look_at_pages();
    assert!(live.flows.is_empty() || live.flows.len() == 1, "they are over");
    let settled = pages(&live);
    assert_eq!((settled["news.example"], settled.len()), ((news + 14_000, 0), all.len()));
    // A new day begins with nothing, and the period keeps what it had.
    live.tick(DAY + 86_400, since(DAY + 86_400, DAY));
    assert!(!live.knows_pages() && pages(&live).is_empty());
    let asked = Asked { view: View::Page, ..Asked::default() };
    let rows = Snapshot::new(&live.cells, &asked, &Sites::new(), 0).rows;
    let of_news = rows.iter().find(|row| row.name == "news.example").unwrap();
    assert_eq!(of_news.period.sum(), news + 14_000);
    live.tick(DAY + 40 * 86_400, since(DAY + 40 * 86_400, DAY + 40 * 86_400));
    assert!(Snapshot::new(&live.cells, &asked, &Sites::new(), 0).rows.is_empty());
}

#[test]
fn while_nobody_looks_again_only_seconds_of_the_last_minute_are_kept() {
    let mut live = live(DAY, DAY);
    let (number, second) = visits(&mut live, DAY + 1_000, None);
    live.look_at_pages();
    let pictures = named(number, 2, "cdn.pictures.example", at(second));
    for later in 1..300 {
        live.tick(second + later, since(DAY, DAY));
        moves(&mut live, &pictures, second + later, 10);
    }
    let kept = live.cells.paged.so_far.as_ref().unwrap().seconds.len();
    assert!((50..=70).contains(&kept), "{kept}");
}

#[test]
fn a_resolver_serves_every_page_and_is_pulled_in_by_none() {
    for (beside, is_pulled) in [("pay.bank.example", true), ("dns.google", false)] {
        let mut live = live(DAY, DAY);
        visits(&mut live, DAY + 1_000, Some(beside));
        live.look_at_pages();
        let all = pages(&live);
        let left = all.get(beside.trim_start_matches("pay.")).map_or(0, |(today, _)| *today);
        assert_eq!(left < 12 * 8_000, is_pulled, "{beside}: {all:?}");
    }
}

#[test]
fn the_store_tells_pages_of_sources_that_are_not_followed() {
    let name = |text: &str| Host::Name(Name::from_presentation(text).unwrap());
    let row = crate::books::Row { host: 1, bucket_s: DAY, down_bytes: 500, ..crate::books::Row::NOTHING };
    let source = crate::books::Source { identity: vec![7], ..crate::books::Source::default() };
    let part = crate::books::PageRow { row, page: 0, sureness: crate::books::Sureness::Sure, rival: None };
    let books = Books {
        hosts: vec![name("www.news.example"), name("cdn.pictures.example")],
        devices: vec!["192.168.1.7".into()],
        device_ends: vec![(0, [192, 168, 1, 7].into(), None)],
        sources: vec![source],
        rows: vec![row],
        pages: vec![part],
        ..Books::default()
    };
    for (followed, told) in [(vec![], 1), (vec![vec![7]], 0)] {
        let mut live = live(DAY, DAY);
        live.add_books(&books, &followed.into_iter().collect());
        assert_eq!(live.cells.paged.by_cell().len(), told);
    }
}
