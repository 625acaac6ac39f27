//! The page with numbers for names, with labels of whose addresses are, and of any number of
//! threads: its amounts are those of JSON, and what strangers wrote into files stays text.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

#[path = "../src/owners/tests/maker.rs"]
mod maker;
mod support;

use maker::{Maker, asn};
use serde_json::Value;
use support::page::{between, data, json, key, sum};
use support::{Home, ending, testdata};

/// A capture whose servers are at 198.19.0.0/16, and whose these addresses are.
fn home(holder: &str) -> Home {
    let home = Home::new();
    home.write("a.pcap.gz", &std::fs::read(testdata("netlab/browse-lan.pcap.gz")).unwrap());
    home.write("asn.mmdb", &Maker::default().with("198.18.0.0/15", asn(64_500, holder)).bytes());
    home
}

/// Name, bytes up, in all, and what it could be at least and at most, in order.
type Amounts = Vec<(String, [u64; 4])>;

fn on_page(page: &str, of: &str) -> Amounts {
    let data = data(page);
    assert!(data[of]["rest"].is_null(), "all are listed");
    let amounts = |one: &Value| {
        let total = sum(&one["t"]);
        (key(one), [sum(&one["u"]), total, total - sum(&one["s"]), total + sum(&one["e"])])
    };
    data[of]["list"].as_array().unwrap().iter().map(amounts).collect()
}

fn in_json(report: &Value, key: &str) -> Amounts {
    let fields = ["up_bytes", "total_bytes", "low_bytes", "high_bytes"];
    let amounts =
        |row: &Value| (row[key].as_str().unwrap().to_owned(), fields.map(|field| row[field].as_u64().unwrap()));
    report["rows"].as_array().unwrap().iter().map(amounts).collect()
}

#[test]
fn a_page_with_numbers_for_names_has_the_amounts_of_json() {
    let home = home("Example Net");
    home.ok("ingest a.pcap.gz");
    let plain = home.ok("report a.pcap.gz --format html");
    for (from, mask, owners) in ["a.pcap.gz", "--in 2026-11-22"].into_iter().flat_map(|from| {
        ["", "--mask devices", "--mask hosts", "--mask all"]
            .into_iter()
            .flat_map(move |mask| ["", "--owners asn.mmdb"].map(|owners| (from, mask, owners)))
    }) {
        let asked = format!("report {from} {mask} {owners} --include-local");
        let page = home.ok(&format!("{asked} --format html"));
        for (of, key) in [("sites", "site"), ("devices", "device")] {
            let report = json(&home, &format!("{asked} --by {key} --limit 0 --json"));
            assert_eq!(on_page(&page, of), in_json(&report, key), "{asked}");
        }
        let report = json(&home, &format!("{asked} --limit 0 --json"));
        let total: u64 = in_json(&report, "site").iter().map(|(_, amounts)| amounts[1]).sum();
        let shown = between(between(&page, "id=\"total\"", "</p>"), "value=\"", "\"");
        assert_eq!(shown.parse(), Ok(total), "{asked}");
        // Nothing is left of what a number stands for, and nothing else is taken away.
        let (hosts, devices) = (mask.ends_with("hosts"), mask.ends_with("devices"));
        let (hosts, devices) = (hosts || mask.ends_with("all"), devices || mask.ends_with("all"));
        for (name, is_hidden) in [("site-f.test", hosts), ("198.18.0.11", devices)] {
            assert!(plain.contains(name));
            assert_eq!(page.contains(name), !is_hidden, "{asked}: {name}");
        }
        assert_eq!(page.contains("AS64500 Example Net"), !owners.is_empty() && !hosts, "{asked}");
        assert_eq!(page.contains("network 1"), !owners.is_empty() && hosts, "{asked}");
    }
}

/// Months that are put away, and one that is open.
#[test]
fn a_page_is_the_same_with_any_number_of_threads() {
    let home = Home::in_memory();
    // The middle of March and of April 2020, and a day of 2038, which is over for nobody.
    for (nth, end_s) in [1_584_230_400, 1_586_908_800, 2_147_000_000].into_iter().enumerate() {
        home.write(&format!("{nth}.pcap"), &ending("netlab/browse-lan.pcap.gz", end_s));
    }
    home.ok("ingest 0.pcap 1.pcap 2.pcap");
    let months = home.ok("status");
    assert_eq!(months.matches(" closed ").count(), 2, "{months}");
    let ranges = ["--from 2020-01-01", "--in 2020-03", "--in 2020-03-01..2020-05-02", "--to 2038-12-31"];
    let hows =
        ["", "--mask all --include-local", "--zone Asia/Kathmandu --site site-f.test", "--evidence dns --limit 3"];
    for asked in ranges.iter().flat_map(|range| hows.map(|how| format!("report {range} {how} --format html"))) {
        let [one, two, eight] = [1, 2, 8].map(|threads| home.ok(&format!("{asked} --threads {threads}")));
        assert!(data(&one)["sites"]["list"].as_array().is_some_and(|list| !list.is_empty()), "{asked}");
        assert!(one == two && one == eight, "{asked}");
    }
    let files = "report 0.pcap 1.pcap 2.pcap --from 2020-01-01 --format html";
    let [one, two, eight] = [1, 2, 8].map(|threads| home.ok(&format!("{files} --threads {threads}")));
    assert!(one == two && one == eight);
}

/// Names that others wrote into files which the user has.
#[test]
fn what_stands_in_files_of_others_stays_text() {
    const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}\u{1b}[2J";
    let home = home(HOSTILE);
    let config = format!("[devices.'{}']\naddress = '198.18.0.11'\n", &HOSTILE[..HOSTILE.find('\u{202e}').unwrap()]);
    home.write("imon.toml", config.as_bytes());
    let page = home.ok("report a.pcap.gz --config imon.toml --owners asn.mmdb --format html");
    for whole in ["<script>alert", "<img", "\u{202e}", "\u{1b}"] {
        assert!(!page.contains(whole), "{whole:?}");
    }
    assert_eq!((page.matches("<script").count(), page.matches("</script").count()), (2, 2));
    let rows = between(&page, "<table class=\"list\" id=\"devices-table\"", "</table>");
    assert!(rows.contains("&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;"), "shown, and harmless: {rows}");
    let sites = between(&page, "<table class=\"list\" id=\"sites-table\"", "</table>");
    assert!(sites.contains("AS64500 &lt;/script&gt;&lt;script&gt;alert(1)"), "shown, and harmless: {sites}");
    let devices: Vec<String> = data(&page)["devices"]["list"].as_array().unwrap().iter().map(key).collect();
    assert!(devices.iter().any(|name| name.starts_with("</script><script>")), "{devices:?}");
}
