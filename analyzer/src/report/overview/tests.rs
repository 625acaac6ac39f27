//! What a page is made of, over books made by hand.

use super::super::tests::books;
use super::*;
use crate::range::Range;
use jiff::tz::TimeZone;

fn overview(question: &Question) -> Overview {
    Overview::new(&books(), question, &Sites::new()).unwrap()
}

fn everything() -> Question {
    Question::by(Key::Site, Range::everything(TimeZone::get("Europe/Berlin").unwrap()))
}

#[test]
fn sites_have_their_bytes_over_time_and_what_they_are_made_of() {
    let overview = overview(&everything());
    let youtube = &overview.sites.subjects[0];
    assert_eq!((youtube.key.as_str(), youtube.amounts.total()), ("youtube.com", 3_003_200));
    let by_hour: Vec<u64> = youtube.series.iter().map(|(_, amounts)| amounts.total()).collect();
    assert_eq!(by_hour, [1_100 + 3_002_000, 100], "the two hours of a clock set back are two");
    let hosts: Vec<(&str, u64)> =
        youtube.hosts.iter().map(|part| (overview.hosts[part.name.unwrap()].as_str(), part.total())).collect();
    assert_eq!(hosts, [("rr1.googlevideo.com", 3_002_100), ("www.youtube.com", 1_100)]);
    let parts = |parts: &[Part]| parts.iter().map(Part::total).sum::<u64>();
    assert_eq!((parts(&youtube.kinds), parts(&youtube.devices)), (3_003_200, 3_003_200));
    assert_eq!(overview.span.times[0].text, "2026-10-25T02:00+02:00");
    assert_eq!(overview.span.times[1].text, "2026-10-25T02:00+01:00");
}

#[test]
fn shared_bytes_are_a_range_on_both_sides() {
    let overview = overview(&everything());
    let of = |key: &str| overview.sites.subjects.iter().find(|site| site.key == key).unwrap().amounts;
    let (booked, rival) = (of("example.org"), of("example.net"));
    assert_eq!((booked.low(), booked.total(), booked.high()), (30, 1_030, 1_030));
    assert_eq!((rival.low(), rival.total(), rival.high()), (10, 10, 1_010));
}

#[test]
fn what_is_cut_off_is_summed_up() {
    let whole = overview(&everything());
    let cut = overview(&Question { limit: Some(1), ..everything() });
    assert_eq!((cut.sites.subjects.len(), cut.sites.rest_count), (1, whole.sites.subjects.len() - 1));
    let sum =
        |ranked: &Ranked| ranked.subjects.iter().chain([&ranked.rest]).map(|one| one.amounts.total()).sum::<u64>();
    assert_eq!(sum(&cut.sites), sum(&whole.sites));
    assert_eq!(sum(&cut.devices), sum(&whole.devices));
    let kinds: u64 = cut.sites.rest.kinds.iter().map(Part::total).sum();
    assert_eq!(kinds, cut.sites.rest.amounts.total());
}

#[test]
fn numbers_stand_for_names_and_amounts_stay() {
    let mut books = books();
    books.device_names = vec![None, imon_common::names::Name::from_host(b"anns-phone")];
    let plain = Overview::new(&books, &everything(), &Sites::new()).unwrap();
    let masked = Overview::new(&books, &everything(), &Sites::new()).unwrap().masked(Some(Mask::All), &books);
    let text = format!("{:?}{:?}{:?}", masked.sites, masked.devices, masked.hosts);
    for name in ["youtube", "example", "co.uk", "203.0.113", "192.168", "02:00", "anns"] {
        assert!(!text.contains(name), "{name}");
    }
    assert_eq!(masked.sites.subjects[0].name, "site 1");
    let amounts = |ranked: &Ranked| ranked.subjects.iter().map(|one| one.amounts).collect::<Vec<_>>();
    assert_eq!(amounts(&plain.sites), amounts(&masked.sites));
}

/// Of equal parts the first by name are listed, and all others are one.
#[test]
fn twelve_parts_are_listed_and_the_rest_is_one() {
    let names: Vec<String> = (0..20).map(|n| format!("h{:02}.example.com", n * 7 % 20)).collect();
    let host = |name: &String| crate::books::Host::Name(imon_common::names::Name::from_host(name.as_bytes()).unwrap());
    let row = |host: u32| crate::books::Row { host, device: host % 2, up_bytes: 5, ..crate::books::Row::NOTHING };
    let books = Books {
        hosts: names.iter().map(host).collect(),
        devices: vec!["192.168.1.7".into(), "192.168.1.8".into()],
        rows: (0..20).map(row).collect(),
        observed: Some((imon_common::time::UnixNanos(0), imon_common::time::UnixNanos(1))),
        ..Books::default()
    };
    let overview = Overview::new(&books, &everything(), &Sites::new()).unwrap();
    let site = &overview.sites.subjects[0];
    let listed: Vec<&str> = site.hosts.iter().filter_map(|part| Some(overview.hosts[part.name?].as_str())).collect();
    let expect: Vec<String> = (0..MAX_PARTS).map(|n| format!("h{n:02}.example.com")).collect();
    assert_eq!(listed, expect);
    let rest = site.hosts.last().unwrap();
    assert_eq!((rest.name, rest.count, rest.total()), (None, 8, 40));
    let devices: Vec<u64> = site.devices.iter().map(Part::total).collect();
    assert_eq!(devices, [50, 50]);
    // Of a device all hosts fit but none too many.
    assert_eq!(overview.devices.subjects[0].hosts.len(), 10);
}
