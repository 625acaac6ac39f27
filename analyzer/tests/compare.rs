//! `report --compare`: two ranges of one database, and two files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::{Value, json};
use support::{Connection, Home, client_hello, dns_answer, pcap, udp};

const PHONE: ([u8; 4], u16) = ([192, 168, 1, 7], 40_000);
const TUNNEL: ([u8; 4], u16) = ([203, 0, 113, 5], 4_500);
const RESOLVER: ([u8; 4], u16) = ([192, 168, 1, 1], 53);

fn micros(at: &str) -> u64 {
    u64::try_from(at.parse::<jiff::Timestamp>().unwrap().as_microsecond()).unwrap()
}

/// So many datagrams of 1,000 bytes from an address without a name.
fn datagrams(at: &str, number: u64) -> Vec<(u64, Vec<u8>)> {
    (0..number).map(|n| (micros(at) + n * 1_000, udp(TUNNEL, PHONE, &[7; 972]))).collect()
}

fn hello(at: &str, name: &str, server: [u8; 4]) -> Vec<(u64, Vec<u8>)> {
    Connection::open(micros(at), ([192, 168, 1, 7], 41_000), (server, 443), true).ask(&client_hello(name)).packets
}

/// October: an address without a name, and a site. November: the address has a name, the site is
/// gone, another one is new.
fn months() -> [Vec<(u64, Vec<u8>)>; 2] {
    let october =
        [datagrams("2026-10-10T12:00:00Z", 20), hello("2026-10-11T12:00:00Z", "www.example.net", [203, 0, 113, 9])];
    let answer = udp(RESOLVER, ([192, 168, 1, 7], 5_000), &dns_answer("vpn.example.com", TUNNEL.0));
    let november = [
        vec![(micros("2026-11-10T11:59:59Z"), answer)],
        datagrams("2026-11-10T12:00:00Z", 30),
        hello("2026-11-11T12:00:00Z", "www.example.org", [203, 0, 113, 10]),
    ];
    [october.concat(), november.concat()]
}

fn row<'a>(document: &'a Value, site: &str) -> &'a Value {
    let rows = document["rows"].as_array().unwrap();
    rows.iter().find(|row| row["site"] == site).unwrap_or_else(|| panic!("{site}: {document}"))
}

#[test]
fn two_months_are_compared_with_what_only_got_a_name() {
    let home = Home::new();
    let [october, november] = months();
    home.write("october.pcap", &pcap(&october));
    home.write("november.pcap", &pcap(&november));
    std::fs::create_dir(home.path("spool")).unwrap();
    home.ok("ingest october.pcap --database d/imon.db");
    home.ok("ingest november.pcap --database d/imon.db");
    let store = "--database d/imon.db --spool spool --zone UTC";
    let document: Value =
        serde_json::from_str(&home.ok(&format!("report --in 2026-11 --compare 2026-10 --json {store}"))).unwrap();
    assert_eq!(
        document["before"],
        json!({
            "from": "2026-10-01T00:00:00+00:00", "to": "2026-11-01T00:00:00+00:00", "zone": "UTC",
        })
    );
    let vpn = row(&document, "example.com");
    assert_eq!(
        (&vpn["before_bytes"], &vpn["now_bytes"], &vpn["change_bytes"]),
        (&json!(0), &json!(30_000), &json!(30_000))
    );
    assert_eq!(
        (&vpn["naming_bytes"], &vpn["traffic_bytes"], &vpn["state"]),
        (&json!(20_000), &json!(10_000), &Value::Null)
    );
    assert_eq!(row(&document, "203.0.113.5")["state"], "named");
    assert_eq!(row(&document, "example.net")["state"], "gone");
    assert_eq!(row(&document, "example.org")["state"], "new");
    assert_eq!(document["rows"][0]["site"], "example.com", "the largest change comes first");
    let naming: i64 =
        document["rows"].as_array().unwrap().iter().map(|row| row["naming_bytes"].as_i64().unwrap()).sum();
    assert_eq!(naming, 0);
    assert_eq!(document["before_ledger"]["ip_bytes"].as_u64().map(|n| n > 20_000), Some(true));
    let text = home.ok(&format!("report --in 2026-11 --compare 2026-10 {store}"));
    for says in [
        "now     2026-11-01",
        "before  2026-10-01",
        "+29.3 KiB",
        "naming: bytes that had only an address before",
        "gone",
        "new",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    // The month before is the same; a filter holds for both.
    let previous = home.ok(&format!("report --in 2026-10 --compare previous --csv --site example.net {store}"));
    assert!(previous.contains("\nexample.net,0,"), "{previous}");
    for refused in ["--by day", "--by page", "--compare yesteryear", "--from 2026-10 --compare previous"] {
        let run = home.analyze(format!("report --in 2026-11 --compare 2026-10 {store} {refused}").split(' '));
        assert_eq!(run.code, Some(2), "{refused}: {}", run.err);
    }
}

#[test]
fn two_files_are_compared() {
    let home = Home::new();
    let [october, november] = months();
    home.write("october.pcap", &pcap(&october));
    home.write("november.pcap", &pcap(&november));
    let document: Value =
        serde_json::from_str(&home.ok("report november.pcap --compare-with october.pcap --json")).unwrap();
    let vpn = row(&document, "example.com");
    assert_eq!(
        (&vpn["before_bytes"], &vpn["now_bytes"], &vpn["naming_bytes"]),
        (&json!(0), &json!(30_000), &json!(20_000))
    );
    assert!(document["before"]["from"].as_str().unwrap().starts_with("2026-10-10"));
    let by_device = home.ok("report november.pcap --compare-with october.pcap --by device,evidence --csv");
    assert!(by_device.starts_with("device,device_name,evidence,before_bytes,"), "{by_device}");
    let run = home.analyze("report november.pcap --compare-with none.pcap".split(' '));
    assert_eq!(run.code, Some(1), "{}", run.err);
}
