use super::*;
use crate::books::Row as BooksRow;
use crate::range::Range;
use jiff::tz::TimeZone;

fn row(host: u32, evidence: Evidence, bytes: u64) -> BooksRow {
    BooksRow {
        bucket_s: 0,
        host,
        device: 0,
        evidence,
        traffic: Traffic::Visited,
        candidates: None,
        blind: None,
        interface: 0,
        source: 0,
        up_bytes: 0,
        down_bytes: bytes,
        up_packets: 0,
        down_packets: 1,
    }
}

fn name(text: &str) -> Name {
    Name::from_host(text.as_bytes()).unwrap()
}

fn books(rows: &[(&str, u64)]) -> Books {
    let mut books = Books { devices: vec!["192.168.1.7".into()], ..Books::default() };
    for (host, bytes) in rows {
        let address = host.parse().ok().map(Host::Address);
        let evidence = if address.is_some() { Evidence::None } else { Evidence::Sni };
        books.rows.push(row(books.hosts.len() as u32, evidence, *bytes));
        books.hosts.push(address.unwrap_or_else(|| Host::Name(name(host))));
    }
    books
}

/// Key, before, now, naming, unknown, state.
type Said = (String, u64, u64, i64, u64, Option<&'static str>);

fn compared(key: Key, before: &[(&str, u64)], now: &[(&str, u64)], names: &[(&str, &str)]) -> Vec<Said> {
    let (before, now) = (books(before), books(now));
    let question = Question::by(key, Range::everything(TimeZone::UTC));
    let names: Vec<(IpAddr, Name)> = names.iter().map(|(at, of)| (at.parse().unwrap(), name(of))).collect();
    let carried = Carried { names: &names, limit: None };
    let both = [(&now, &question), (&before, &question)];
    let comparison = Comparison::new(both, &Sites::new(), carried).unwrap();
    let said = |row: &Changed| (row.key[0].clone(), row.before, row.now, row.naming(), row.unknown, row.state());
    comparison.rows.iter().map(said).collect()
}

fn is(key: &str, before: u64, now: u64, naming: i64, unknown: u64, state: Option<&'static str>) -> Said {
    (key.to_owned(), before, now, naming, unknown, state)
}

#[test]
fn a_change_is_split_into_naming_and_traffic() {
    let said = compared(
        Key::Site,
        &[("203.0.113.1", 500), ("www.example.com", 100), ("203.0.113.2", 70), ("old.example.net", 30)],
        &[("www.example.com", 650), ("203.0.113.2", 90), ("new.example.org", 10)],
        &[("203.0.113.1", "www.example.com"), ("203.0.113.1", "cdn.example.com"), ("203.0.113.2", "www.quiet.example")],
    );
    let expected = [
        is("example.com", 100, 650, 500, 0, None),
        is("203.0.113.1", 500, 0, -500, 0, Some("named")),
        is("example.net", 30, 0, 0, 0, Some("gone")),
        is("203.0.113.2", 70, 90, 0, 0, None),
        is("example.org", 0, 10, 0, 0, Some("new")),
    ];
    assert_eq!(said, expected);
    assert_eq!(said.iter().map(|row| row.3).sum::<i64>(), 0, "naming only moves bytes");
}

#[test]
fn an_address_of_several_sites_leaves_unknown_what_it_was() {
    let names = [("203.0.113.1", "www.example.com"), ("203.0.113.1", "www.example.org")];
    let said =
        compared(Key::Site, &[("203.0.113.1", 500)], &[("www.example.com", 300), ("www.example.org", 200)], &names);
    let of = |site: &str| said.iter().find(|row| row.0 == site).unwrap().clone();
    assert_eq!(of("example.com"), is("example.com", 0, 300, 0, 500, Some("new")));
    assert_eq!(of("203.0.113.1").3, 0);
    // By family, where both have none, and by evidence, where there is no site.
    assert_eq!(compared(Key::Evidence, &[("203.0.113.1", 5)], &[("a.example", 7)], &[]).len(), 2);
}

#[test]
fn the_largest_change_comes_first_and_the_rest_is_summed_up() {
    let (before, now) = (books(&[("a.example.com", 10), ("b.example.org", 500)]), books(&[("a.example.com", 1_000)]));
    let question = Question::by(Key::Site, Range::everything(TimeZone::UTC));
    let both = [(&now, &question), (&before, &question)];
    let comparison = Comparison::new(both, &Sites::new(), Carried { names: &[], limit: Some(1) }).unwrap();
    let written = |format: Format| {
        let mut out = Vec::new();
        comparison.write(format, TextStyle::default(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let document: serde_json::Value = serde_json::from_str(&written(Format::Json)).unwrap();
    assert_eq!(document["rows"][0]["site"], "example.com");
    assert_eq!(document["rows"][0]["change_bytes"], 990);
    assert_eq!(
        document["rest"],
        json!({
            "rows": 1, "before_bytes": 500, "now_bytes": 0, "change_bytes": -500, "naming_bytes": 0, "unknown_bytes": 0,
        })
    );
    let text = written(Format::Table);
    assert!(text.contains("+990 B") && text.contains("(1 more)") && text.contains("-500 B"), "{text}");
    let csv = written(Format::Csv);
    assert!(
        csv.starts_with("site,before_bytes,now_bytes,change_bytes,traffic_bytes,naming_bytes,unknown_bytes,state\n"),
        "{csv}"
    );
    assert!(csv.contains("\nexample.com,10,1000,990,990,0,0,\n"), "{csv}");
}
