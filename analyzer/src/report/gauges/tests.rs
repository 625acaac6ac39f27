//! Gauges over books made by hand: a row an hour, for eleven days.

#[path = "../../../tests/support/exposition.rs"]
mod exposition;

use super::*;
use crate::books::{Evidence, Host, Traffic};
use crate::report::Mask;
use imon_common::names::Name;
use std::collections::BTreeMap;

const T: i64 = 1_793_491_200; // 2026-11-01T00:00:00Z
const NOW: UnixNanos = UnixNanos((T + 10 * 86_400 + 12 * 3_600) * NANOS_PER_SECOND);

const HOSTS: [&str; 5] = ["www.a.example", "b.example", "c.example", "\"}\\ evil\n.example", "d.example"];

fn books() -> Books {
    let mut hosts: Vec<Host> =
        HOSTS.iter().map(|text| Host::Name(Name::from_labels(text.split('.').map(str::as_bytes)))).collect();
    hosts.push(Host::Address("203.0.113.9".parse().unwrap()));
    let row = |(bucket_s, host, bytes): (i64, u32, u64)| Row {
        bucket_s,
        host,
        device: host % 2,
        evidence: if host == 5 { Evidence::None } else { Evidence::Sni },
        traffic: Traffic::Visited,
        candidates: None,
        blind: None,
        interface: 0,
        source: 0,
        up_bytes: 1,
        down_bytes: bytes,
        up_packets: 1,
        down_packets: 1,
    };
    // Every host every hour until now: the first moves most, but d.example only begins today.
    let hours = (0..10 * 24 + 12).flat_map(|hour| (0..6_u32).map(move |host| (T + hour * 3_600, host)));
    let rows = hours.filter(|(at, host)| *host != 4 || *at >= T + 10 * 86_400);
    let rows = rows.map(|(at, host)| row((at, host, if host == 4 { 90_000 } else { 1_000 * u64::from(6 - host) })));
    Books {
        hosts,
        devices: vec!["192.168.1.2".into(), "192.168.1.3".into()],
        device_names: vec![Some(Name::from_labels([b"tv \"x\"".as_slice()])), None],
        rows: rows.collect(),
        ..Books::default()
    }
}

fn text(books: &Books, limit: usize, masker: &Masker, billed: &[Billed]) -> String {
    let (sites, filters) = (Sites::new(), Filters::default());
    let gauges = Gauges { books, sites: &sites, filters: &filters, zone: &TimeZone::UTC, now: NOW, limit, masker };
    gauges.text(billed).unwrap()
}

/// Values by metric and labels.
fn samples(text: &str) -> BTreeMap<&str, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(series, n)| (series, n.parse().unwrap())).collect()
}

#[test]
fn members_others_and_unnamed_are_the_total() {
    let books = books();
    let text = text(&books, 2, &Masker::default(), &[]);
    let samples = samples(&text);
    for direction in ["down", "up"] {
        let end = format!("direction=\"{direction}\"}}");
        let sum = |metric: &str| -> u64 {
            samples.iter().filter(|(s, _)| s.starts_with(metric) && s.ends_with(&end)).map(|(_, n)| *n).sum()
        };
        let today = books.rows.iter().filter(|row| row.bucket_s >= T + 10 * 86_400);
        let expected: u64 = today.map(|row| if direction == "up" { row.up_bytes } else { row.down_bytes }).sum();
        assert_eq!(sum("imon_bytes{"), expected);
        assert_eq!(sum("imon_site_bytes{"), expected);
        assert_eq!(sum("imon_device_bytes{"), expected);
    }
    let of = |site: &str| {
        samples[format!("imon_site_bytes{{period=\"today\",site=\"{site}\",direction=\"down\"}}").as_str()]
    };
    assert_eq!(of("a.example"), 12 * 6_000);
    assert_eq!(of("(unnamed)"), 12 * 1_000);
    assert_eq!(of("(others)"), 12 * (4_000 + 3_000 + 90_000));
}

#[test]
fn who_is_largest_today_is_no_member_until_he_was_before() {
    let text = text(&books(), 2, &Masker::default(), &[]);
    assert!(text.contains("site=\"a.example\"") && text.contains("site=\"b.example\"") && !text.contains("d.example"));
    // Where nothing was before, it is those of today.
    let mut books = books();
    books.rows.retain(|row| row.bucket_s >= T + 10 * 86_400);
    let text = self::text(&books, 2, &Masker::default(), &[]);
    assert!(text.contains("site=\"d.example\"") && text.contains("site=\"a.example\""));
}

#[test]
fn a_member_that_moved_nothing_stays() {
    let mut books = books();
    books.rows.retain(|row| row.host != 0 || row.bucket_s < T + 10 * 86_400);
    let text = text(&books, 2, &Masker::default(), &[]);
    assert!(text.contains("imon_site_bytes{period=\"today\",site=\"a.example\",direction=\"down\"} 0\n"), "{text}");
}

#[test]
fn hostile_names_stay_inside_their_label() {
    let text = text(&books(), 9, &Masker::default(), &[]);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(series.starts_with("imon_") && series.ends_with('}'), "{line}");
        assert!(value.parse::<u64>().is_ok(), "{line}");
        // Quotes inside values are escaped, so that those left are in pairs.
        let bare = series.replace("\\\\", "").replace("\\\"", "");
        assert!(bare.matches('"').count().is_multiple_of(2), "{line}");
    }
    assert!(text.contains("evil"));
}

/// A reader gets back what was meant: each of the three escapes is one, and nothing else is.
#[test]
fn labels_come_back_as_they_were_meant() {
    let hostile = ["a\\b", "a\nb", "\\n", "\"", "\\\"}, x=\"", "line\r\n# TYPE x gauge\nx 1", "ünïcode\u{202e}"];
    let billed = |plan: &str| Billed {
        plan: plan.to_owned(),
        range: Range { from: None, to: None, zone: TimeZone::UTC },
        interfaces: None,
        used: 1,
        allowance: None,
        projection: None,
    };
    let mut books = books();
    for text in hostile {
        books.given = vec![None; 2];
        books.devices[0] = format!("device {text}");
        let found = exposition::samples(&self::text(&books, 9, &Masker::default(), &[billed(text)]));
        let of = |metric: &'static str| found.iter().filter(move |sample| sample.metric == metric);
        assert_eq!(of("imon_plan_used_bytes").next().unwrap().label("plan"), Some(text));
        assert!(of("imon_bytes").any(|sample| sample.label("plan") == Some(text)));
        // Names of devices were made safe to show before.
        let shown = crate::error::shown(&format!("device {text}"));
        assert!(of("imon_device_bytes").any(|sample| sample.label("device") == Some(&shown)), "{shown}");
        assert!(of("imon_site_bytes").any(|sample| sample.label("site") == Some("a.example")));
    }
}

#[test]
fn plans_have_gauges_and_their_period_has_series() {
    let at = |day: i64| Some(UnixNanos((T + day * 86_400) * NANOS_PER_SECOND));
    let billed = Billed {
        plan: "ho\"me".into(),
        range: Range { from: at(4), to: at(34), zone: TimeZone::UTC },
        interfaces: None,
        used: 123,
        allowance: Some(1_000),
        projection: Some((500, 700)),
    };
    let text = text(&books(), 1, &Masker::default(), &[billed]);
    assert!(text.contains("imon_plan_used_bytes{plan=\"ho\\\"me\"} 123\n"));
    assert!(text.contains("imon_plan_projection_high_bytes{plan=\"ho\\\"me\"} 700\n"));
    let hours = 6 * 24 + 12;
    let series = "imon_site_bytes{period=\"billing\",plan=\"ho\\\"me\",site=\"a.example\",direction=\"down\"}";
    assert_eq!(samples(&text)[series], hours * 6_000);
    assert_eq!(text.matches("# TYPE imon_site_bytes gauge").count(), 1, "one head for each metric");
}

#[test]
fn each_gauge_of_a_plan_has_its_value_in_its_unit() {
    let at = |day: i64| UnixNanos((T + day * 86_400) * NANOS_PER_SECOND);
    let billed = Billed {
        plan: "p".into(),
        range: Range { from: Some(at(4)), to: Some(at(34)), zone: TimeZone::UTC },
        interfaces: Some(vec![true, false]),
        used: 123,
        allowance: Some(1_000),
        projection: Some((500, 700)),
    };
    let mut books = books();
    books.observed = Some((at(0), UnixNanos(at(10).0 + 999_999_999)));
    // The largest site is on another interface.
    books.rows.iter_mut().filter(|row| row.host == 0).for_each(|row| row.interface = 1);
    let text = text(&books, 9, &Masker::default(), &[billed]);
    let samples = samples(&text);
    for (name, value) in [("used", 123), ("allowance", 1_000), ("projection_low", 500), ("projection_high", 700)] {
        assert_eq!(samples[format!("imon_plan_{name}_bytes{{plan=\"p\"}}").as_str()], value, "{name}");
    }
    let second = |day: i64| u64::try_from(T + day * 86_400).unwrap();
    assert_eq!(samples["imon_plan_period_end_timestamp_seconds{plan=\"p\"}"], second(34));
    assert_eq!(samples["imon_booked_to_timestamp_seconds"], second(10));
    let of = |period: &str, site: &str| {
        samples[format!("imon_site_bytes{{{period},site=\"{site}\",direction=\"down\"}}").as_str()]
    };
    assert_eq!(of("period=\"billing\",plan=\"p\"", "a.example"), 0);
    assert_eq!(of("period=\"today\"", "a.example"), 12 * 6_000);
    assert_eq!(of("period=\"billing\",plan=\"p\"", "b.example"), (6 * 24 + 12) * 5_000);
}

#[test]
fn numbers_stand_for_names() {
    let books = books();
    let text = text(&books, 3, &Masker::new(Some(Mask::All), &books), &[]);
    assert!(!text.contains("example") && !text.contains("192.168") && !text.contains("tv"), "{text}");
    assert!(text.contains("site=\"site 1\"") && text.contains("device=\"device 1\""));
}

#[test]
fn a_device_has_the_same_series_on_a_day_on_which_it_is_silent() {
    let whole = books();
    let awake = |row: &&Row| row.device != 0 || row.bucket_s < T + 10 * 86_400;
    let silent = Books { rows: whole.rows.iter().filter(awake).copied().collect(), ..books() };
    let devices = |books: &Books, masker: &Masker| -> Vec<String> {
        let text = text(books, 5, masker, &[]);
        let all = samples(&text).into_keys().filter(|series| series.starts_with("imon_device_bytes{"));
        all.map(str::to_owned).collect()
    };
    let named = devices(&whole, &Masker::default());
    assert!(named.iter().any(|series| series.contains("name=\"tv")), "{named:?}");
    assert_eq!(devices(&silent, &Masker::default()), named);
    let masker = Masker::new(Some(Mask::Devices), &whole);
    assert_eq!(devices(&silent, &masker), devices(&whole, &masker));
}
