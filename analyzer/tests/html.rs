//! The page: what it says is what JSON says, it asks for nothing, and what strangers called
//! themselves stays text.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use imon_analyze::books::{Books, Evidence, Host, Row, Traffic};
use imon_analyze::page;
use imon_analyze::question::{Key, Question};
use imon_analyze::range::Range;
use imon_analyze::report::overview::Overview;
use imon_analyze::site::Sites;
use imon_common::names::Name;
use imon_common::time::UnixNanos;
use jiff::tz::TimeZone;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use support::page::{between, by, data, json, key, sum};
use support::{Home, recent, testdata};

fn browsing() -> Home {
    let home = Home::new();
    home.write("a.pcap.gz", &std::fs::read(testdata("netlab/browse-lan.pcap.gz")).unwrap());
    home
}

/// No row of zeros: those of times in which nothing passed are none here.
fn without_zeros(amounts: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    amounts.into_iter().filter(|(_, n)| *n > 0).collect()
}

#[test]
fn the_page_says_what_json_says() {
    let home = browsing();
    let page = home.ok("report a.pcap.gz --format html");
    let data = data(&page);
    let sites = json(&home, "report a.pcap.gz --json");
    let list = data["sites"]["list"].as_array().unwrap();
    for (field, of) in [
        ("total_bytes", (|one: &Value| sum(&one["t"])) as fn(&Value) -> u64),
        ("up_bytes", |one| sum(&one["u"])),
        ("low_bytes", |one| sum(&one["t"]) - sum(&one["s"])),
        ("high_bytes", |one| sum(&one["t"]) + sum(&one["e"])),
    ] {
        let shown: BTreeMap<String, u64> = list.iter().map(|one| (key(one), of(one))).collect();
        assert_eq!(shown, by(&sites, "site", field), "{field}");
    }
    let total: u64 = by(&sites, "site", "total_bytes").values().sum();
    let shown = between(between(&page, "id=\"total\"", "</p>"), "value=\"", "\"");
    assert_eq!(shown.parse::<u64>().unwrap(), total);
    let devices = by(&json(&home, "report a.pcap.gz --json --by device"), "device", "total_bytes");
    let shown = data["devices"]["list"].as_array().unwrap().iter().map(|one| (key(one), sum(&one["t"]))).collect();
    assert_eq!(devices, shown);
    // What each site is made of.
    let of_hosts = json(&home, "report a.pcap.gz --json --by site,host");
    let of_devices = json(&home, "report a.pcap.gz --json --by site,device");
    for one in list {
        let only = |report: &Value| -> Value {
            let rows = report["rows"].as_array().unwrap().iter();
            serde_json::json!({"rows": rows.filter(|row| row["site"] == key(one)).collect::<Vec<_>>()})
        };
        let parts = |field: &str, name: &dyn Fn(usize) -> String| -> BTreeMap<String, u64> {
            let parts = one.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
            parts.iter().map(|part| (name(part[0].as_u64().unwrap() as usize), sum(&part[1]))).collect()
        };
        let host = |nth: usize| data["hosts"][nth].as_str().unwrap().to_owned();
        let hosts = by(&only(&of_hosts), "host", "total_bytes").into_iter();
        let hosts = hosts.map(|(name, n)| (imon_analyze::idn::display(&name).into_owned(), n)).collect();
        assert_eq!(parts("h", &host), without_zeros(hosts));
        let device = |nth: usize| key(&data["devices"]["list"][nth]);
        assert_eq!(parts("d", &device), without_zeros(by(&only(&of_devices), "device", "total_bytes")));
        let kind = |nth: usize| Evidence::ALL[nth].word().to_owned();
        let row = sites["rows"].as_array().unwrap().iter().find(|row| row["site"] == key(one)).unwrap();
        let evidence = row["evidence"].as_object().unwrap().iter();
        let evidence = evidence.map(|(kind, n)| (kind.clone(), n.as_u64().unwrap())).collect();
        assert_eq!(parts("k", &kind), without_zeros(evidence));
    }
}

/// What is read where no script runs.
#[test]
fn the_tables_of_the_page_say_what_json_says() {
    let home = browsing();
    let page = home.ok("report a.pcap.gz --format html --limit 5");
    let values = |text: &str| -> Vec<u64> {
        text.split("class=\"b\" value=\"")
            .skip(1)
            .map(|rest| rest.split_once('"').unwrap().0.parse().unwrap())
            .collect()
    };
    for by in ["site", "device"] {
        let report = json(&home, &format!("report a.pcap.gz --json --limit 5 --by {by}"));
        let table = between(&page, &format!("<table class=\"list\" id=\"{by}s-table\""), "</table>");
        let rows: Vec<Vec<u64>> = table.split("<tr").map(values).filter(|row| !row.is_empty()).collect();
        let amounts = |row: &Value| ["total_bytes", "down_bytes", "up_bytes"].map(|field| row[field].as_u64().unwrap());
        let mut expect: Vec<Vec<u64>> =
            report["rows"].as_array().unwrap().iter().map(|row| amounts(row).to_vec()).collect();
        expect.extend(report.get("rest").filter(|rest| !rest.is_null()).map(|rest| amounts(rest).to_vec()));
        assert_eq!(rows, expect, "{by}");
    }
    let all = json(&home, "report a.pcap.gz --json --limit 0");
    for (id, field) in [("down", "down_bytes"), ("up", "up_bytes")] {
        let shown = values(between(&page, &format!("id=\"{id}\""), "</dd>"));
        assert_eq!(shown, [by(&all, "site", field).values().sum::<u64>()], "{field}");
    }
}

#[test]
fn filters_and_limits_narrow_the_page_as_they_narrow_json() {
    let home = browsing();
    for filter in ["--site site-f.test", "--evidence sni", "--evidence none --limit 3", "--min 1MiB", "--include-local"]
    {
        let page = home.ok(&format!("report a.pcap.gz --format html {filter}"));
        let data = data(&page);
        let report = json(&home, &format!("report a.pcap.gz --json {filter}"));
        let shown: BTreeMap<String, u64> =
            data["sites"]["list"].as_array().unwrap().iter().map(|one| (key(one), sum(&one["t"]))).collect();
        assert_eq!(shown, by(&report, "site", "total_bytes"), "{filter}");
        assert_eq!(sum(&data["sites"]["rest"]["t"]), report["rest"]["total_bytes"].as_u64().unwrap_or_default());
    }
}

#[test]
fn a_page_of_the_database_says_what_json_says() {
    let home = browsing();
    home.ok("ingest a.pcap.gz");
    for (range, unit) in [("2026-11-22", "hour"), ("2026-10-01..2026-12-31", "day")] {
        let data = data(&home.ok(&format!("report --in {range} --format html")));
        assert_eq!(data["unit"], unit);
        for (of, key_of) in [("sites", "site"), ("devices", "device")] {
            let list = data[of]["list"].as_array().unwrap();
            let shown = list.iter().map(|one| (key(one), sum(&one["t"]))).collect();
            let report = json(&home, &format!("report --in {range} --json --by {key_of}"));
            assert_eq!(by(&report, key_of, "total_bytes"), shown, "{range}");
        }
    }
    let masked = home.ok("report --in 2026-11-22 --by host --include-local --mask all");
    assert!(!masked.contains("198.18.") && !masked.contains(".test"), "{masked}");
}

#[test]
fn a_page_of_keys_has_their_rows() {
    let home = browsing();
    let page = home.ok("report a.pcap.gz --by device,evidence --format html");
    let rows = json(&home, "report a.pcap.gz --by device,evidence --json")["rows"].as_array().unwrap().len();
    let body = between(&page, "<tbody>", "</tbody>");
    assert_eq!(body.matches("<tr>").count(), rows);
    assert_eq!(body.matches("<tr class=\"rest\">").count(), 1, "the sum");
    let site = home.ok("site site-f.test --files a.pcap.gz --format html");
    assert!(between(&site, "<tbody>", "</tbody>").contains("2026-11-22"));
}

/// Everything that a page may ask for is what its policy lets it, and that is nothing.
fn asks_for_nothing(page: &str) {
    let policy = between(page, "Content-Security-Policy\" content=\"", "\"");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains('*'));
    let hash = |text: &str| {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let bytes = Sha256::digest(text);
        let bits: Vec<bool> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
        let digit = |six: &[bool]| {
            let value =
                (0..6).fold(0, |value, bit| value << 1 | usize::from(six.get(bit).copied().unwrap_or_default()));
            char::from(digits[value])
        };
        bits.chunks(6).map(digit).collect::<String>() + "="
    };
    let style = between(page, "<style>", "</style>");
    assert!(policy.contains(&format!("style-src 'sha256-{}'", hash(style))), "{policy}");
    assert!(policy.contains(&format!("script-src 'sha256-{}'", hash(between(page, "<script>", "</script>")))));
    // Attributes of style or script would be refused, links and pictures would be requests.
    let markup = page.replace(style, "").replace(between(page, "<script>", "</script>"), "");
    let markup = match markup.split_once("<script type=\"application/json\" id=\"data\">") {
        Some((before, data)) => {
            assert!(!data.split("</script>").next().unwrap().contains(['<', '>', '&']));
            before.to_owned()
        }
        None => markup,
    };
    for (tag, attributes) in tags(&markup) {
        assert!(!["img", "link", "iframe", "object", "embed", "form", "base"].contains(&tag.as_str()), "{tag}");
        for (name, value) in attributes {
            assert!(name != "style" && name != "src" && !name.starts_with("on"), "{tag} {name}");
            assert!(name != "href" || value.starts_with('#'), "{tag} leads to {value}");
        }
    }
}

/// Elements that begin, with names and values of their attributes.
fn tags(markup: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    let mut rest = markup;
    while let Some(begin) = rest.find('<') {
        rest = &rest[begin + 1..];
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        rest = &rest[name.len()..];
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '/', '!', '-']);
            let attribute: String = rest.chars().take_while(|c| !"=> /".contains(*c)).collect();
            if attribute.is_empty() {
                break;
            }
            rest = &rest[attribute.len()..];
            let mut value = String::new();
            if let Some(quoted) = rest.strip_prefix("=\"") {
                let end = quoted.find('"').unwrap();
                value = quoted[..end].to_owned();
                rest = &quoted[end + 1..];
            }
            attributes.push((attribute, value));
        }
        if !name.is_empty() {
            found.push((name, attributes));
        }
    }
    found
}

#[test]
fn pages_ask_for_nothing_and_a_page_of_nothing_is_small() {
    let home = browsing();
    home.write("none.pcap", &std::fs::read(testdata("pcap/no-packets.pcap")).unwrap());
    for line in ["report a.pcap.gz", "report a.pcap.gz --by site,hour", "site site-f.test --files a.pcap.gz"] {
        asks_for_nothing(&home.ok(&format!("{line} --format html")));
    }
    let empty = home.ok("report none.pcap --format html");
    asks_for_nothing(&empty);
    assert!(empty.len() <= 80_000, "{}", empty.len());
    assert!(empty.contains("nothing was recorded in this range") && empty.contains("looked in: 1 file"));
}

/// Most of the billing period was not recorded.
#[test]
fn a_page_says_of_a_plan_no_more_than_is_known() {
    let home = Home::new();
    home.write("a.pcap", &recent("netlab/browse-lan.pcap.gz"));
    home.write(".config/imon/imon.toml", b"[[plan]]\nname = 'Mobile'\nbilling_day = 1\ncap = '100 GB'\n");
    home.ok("ingest a.pcap");
    let page = home.ok("report --format html");
    let shown = between(&page, "id=\"plans\"", "</section>");
    let (above, below) = shown.split_once("</svg>").unwrap();
    assert!(above.contains("at least ") && below.contains("at most "), "{shown}");
}

#[test]
fn lists_are_no_pages() {
    let home = browsing();
    for line in ["verify a.pcap.gz --format html", "check a.pcap.gz --format html", "status --format html"] {
        let run = home.analyze(line.split(' '));
        assert_eq!(run.code, Some(2), "{line}: {}", run.err);
        assert!(run.err.contains("does not write a page"), "{}", run.err);
    }
}

// ---- Books made by hand

const START: i64 = 1_793_491_200; // 2026-11-01T00:00:00Z

fn question(days: i64) -> Question {
    let at = |s: i64| Some(UnixNanos(s * 1_000_000_000));
    Question::by(Key::Site, Range { from: at(START), to: at(START + days * 86_400), zone: TimeZone::UTC })
}

fn host(text: &str) -> Host {
    Host::Name(Name::from_labels(text.split('.').map(str::as_bytes)))
}

fn made(books: &Books, question: &Question) -> String {
    let mut out = Vec::new();
    page::write(&Overview::new(books, question, &Sites::new()).unwrap(), &[], &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A home: twenty hours of a day ten devices use some of 3,000 hosts.
fn home_of(days: i64) -> Books {
    let mut random: u64 = 7;
    let mut next = |most: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % most
    };
    let mut books = Books {
        hosts: (0..3_000).map(|n| host(&format!("host{}.site{}.example", n % 3, n / 3))).collect(),
        devices: (0..10).map(|n| format!("192.168.1.{n}")).collect(),
        candidate_sets: vec![vec![0, 300]],
        observed: Some((UnixNanos(START * 1_000_000_000), UnixNanos((START + days * 86_400) * 1_000_000_000 - 1))),
        ..Books::default()
    };
    for hour in (0..days * 24).filter(|hour| hour % 24 >= 4) {
        for _ in 0..60 {
            let host = next(3_000).min(next(3_000)).min(next(3_000));
            let kind =
                [Evidence::Sni, Evidence::Sni, Evidence::Dns, Evidence::Known, Evidence::DnsShared][next(5) as usize];
            books.rows.push(Row {
                bucket_s: START + hour * 3_600 + 900 * next(4) as i64,
                host: host as u32,
                device: next(10) as u32,
                evidence: kind,
                traffic: Traffic::Visited,
                interface: 0,
                source: 0,
                candidates: (kind == Evidence::DnsShared).then_some(0),
                blind: None,
                up_bytes: next(300_000),
                down_bytes: next(9_000_000),
                up_packets: 1,
                down_packets: 1,
            });
        }
    }
    books
}

#[test]
fn a_month_and_a_year_of_a_home_stay_small_and_lose_no_byte() {
    for (days, most, unit, block) in [(31, 500_000, "hour", "day"), (365, 1_000_000, "day", "week")] {
        let books = home_of(days);
        let page = made(&books, &question(days));
        asks_for_nothing(&page);
        if let Some(folder) = std::env::var_os("IMON_KEEP_PAGES") {
            std::fs::write(std::path::Path::new(&folder).join(format!("{days}.html")), &page).unwrap();
        }
        assert!(page.len() <= most, "{days} days: {}", page.len());
        let data = data(&page);
        assert_eq!((data["unit"].as_str(), data["block_unit"].as_str()), (Some(unit), Some(block)));
        let times = data["times"].as_array().unwrap().len();
        assert_eq!(times as i64, if unit == "hour" { days * 24 } else { days });
        let total: u64 = books.rows.iter().map(|row| row.up_bytes + row.down_bytes).sum();
        for of in ["sites", "devices"] {
            let list = data[of]["list"].as_array().unwrap();
            let shown: u64 = list.iter().chain([&data[of]["rest"]]).map(|one| sum(&one["t"])).sum();
            assert_eq!(shown, total, "{of} of {days} days");
        }
        let sites = data["sites"]["list"].as_array().unwrap();
        assert_eq!(sites.len(), 100);
        let used: std::collections::BTreeSet<u32> = books.rows.iter().map(|row| row.host / 3).collect();
        assert_eq!(data["sites"]["rest_count"], used.len() - 100);
        // Parts add up to their whole.
        for site in sites {
            for field in ["k", "h", "d"] {
                let parts: u64 = site[field].as_array().unwrap().iter().map(|part| sum(&part[1])).sum();
                assert_eq!(parts, sum(&site["t"]), "{field} of {site}");
            }
        }
    }
}

#[test]
fn ranges_of_any_length_have_times_that_fit() {
    for (days, unit, block) in [
        (1, "hour", "hour"),
        (3, "hour", "hour"),
        (4, "hour", "day"),
        (32, "day", "day"),
        (93, "day", "week"),
        (900, "week", "month"),
    ] {
        let data = data(&made(&home_of(2), &question(days)));
        assert_eq!((data["unit"].as_str(), data["block_unit"].as_str()), (Some(unit), Some(block)), "{days}");
        let begins: Vec<u64> = data["begins"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        assert!(begins.is_sorted() && begins[0] == 0 && begins.len() == data["blocks"].as_array().unwrap().len());
    }
}

/// What somebody could call himself to break a page.
const HOSTILE: [&str; 12] = [
    "<script>alert(1)</script>.example",
    "</script><script>alert(1)</script>.example",
    "<img src=x onerror=alert(1)>.example",
    "\"><svg onload=alert(1)>.example",
    "' onclick='alert(1).example",
    "&lt;b&gt;&amp;.example",
    "=cmd|'/c calc'!a1.example",
    "\u{1b}[2j\u{7}.example",
    "\u{202e}gnp.exe.example",
    "__proto__.example",
    "<!--.example",
    "]]>.example",
];

#[test]
fn what_strangers_call_themselves_stays_text() {
    let long = format!("{}.example", ["l".repeat(60), "m".repeat(60), "n".repeat(60), "o".repeat(60)].join("."));
    let names: Vec<&str> = HOSTILE.into_iter().chain([long.as_str()]).collect();
    let mut books = home_of(1);
    for (nth, name) in names.iter().enumerate() {
        books.hosts[nth] = host(name);
        books.devices[nth % 10] = (*name).to_owned();
        books.rows[nth].host = nth as u32;
        books.rows[nth].down_bytes = 1_000_000_000;
    }
    books.device_names =
        names.iter().take(10).map(|name| Some(Name::from_labels(name.split('.').map(str::as_bytes)))).collect();
    let page = made(&books, &question(1));
    asks_for_nothing(&page);
    let opened = page.matches("<script").count();
    assert_eq!((opened, page.matches("</script").count()), (2, 2), "the data, and the page's own");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "shown, and harmless");
    let data = data(&page);
    let shown: Vec<String> = data["sites"]["list"].as_array().unwrap().iter().map(key).collect();
    assert!(shown.iter().any(|name| name.contains("<script>")));
}
