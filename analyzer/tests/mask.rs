//! `--mask`: no name is left in any format, and no amount changes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use support::{Home, testdata};

const FORMATS: [&str; 5] = ["table", "json", "csv", "html", "parquet"];

/// What names the sites, and what names the devices, of the capture.
const SITES: [&str; 8] = ["site-", "stream-cache", "github", "netlab-", "jslib", "xn--", "198.19.", "co.uk"];
const DEVICES: [&str; 3] = ["198.18.0.", "02:42", "a.pcap"];

fn browsing() -> Home {
    let home = Home::new();
    home.write("a.pcap.gz", &std::fs::read(testdata("netlab/browse-lan.pcap.gz")).unwrap());
    home
}

/// The bytes of a result as text; what is no text shows names all the same where they are not
/// compressed.
fn written(home: &Home, line: &str) -> String {
    home.ok(&format!("{line} -o out"));
    String::from_utf8_lossy(&std::fs::read(home.path("out")).unwrap()).into_owned()
}

#[test]
fn no_name_is_left_in_any_format() {
    let home = browsing();
    for by in
        ["", "--by site", "--by page", "--by family,device", "--by host,day", "--by device,evidence", "--by served"]
    {
        for format in FORMATS {
            let line = format!("report a.pcap.gz {by} --format {format} --limit 0");
            let masked = written(&home, &format!("{line} --mask all"));
            for name in SITES.iter().chain(&DEVICES) {
                // The script's and the style's own words are no names.
                let text = match masked.split_once("<style>") {
                    Some((before, rest)) => {
                        let (_, rest) = rest.split_once("</style>").unwrap();
                        format!("{before}{}", rest.rsplit_once("<script>").unwrap().0)
                    }
                    None => masked.clone(),
                };
                let text = text.replace("id=\"site-count\"", "");
                assert!(!text.contains(name), "{line}: {name}");
            }
        }
    }
}

#[test]
fn each_side_can_be_hidden_alone() {
    let home = browsing();
    let by = "report a.pcap.gz --by site,device --json";
    let devices = home.ok(&format!("{by} --mask devices"));
    assert!(devices.contains("site-f.test") && devices.contains("device 1") && !devices.contains("198.18.0."));
    let hosts = home.ok(&format!("{by} --mask hosts"));
    assert!(!hosts.contains("site-f.test") && hosts.contains("site 1") && hosts.contains("198.18.0."));
}

#[test]
fn amounts_stay_and_numbers_are_by_order() {
    let home = browsing();
    for by in ["site", "page", "device", "site,host"] {
        let rows = |mask: &str| -> Vec<Value> {
            let report: Value =
                serde_json::from_str(&home.ok(&format!("report a.pcap.gz --by {by} --json {mask}"))).unwrap();
            report["rows"].as_array().unwrap().clone()
        };
        let amounts = |rows: &[Value]| -> Vec<Value> { rows.iter().map(|row| row["total_bytes"].clone()).collect() };
        let (plain, masked) = (rows(""), rows("--mask all"));
        assert_eq!(amounts(&plain), amounts(&masked));
        let first = by.split(',').next().unwrap();
        assert_eq!(masked[0][first], if first == "device" { "device 1" } else { "site 1" });
    }
}

#[test]
fn no_name_is_left_in_lists_of_flows_and_names() {
    let home = browsing();
    home.write("imon.toml", b"[devices.\"Ann's phone\"]\naddress = '198.18.0.11'\n");
    let lists = [
        "flows a.pcap.gz",
        "flows a.pcap.gz --every 15m",
        "names a.pcap.gz",
        "explain site-f.test a.pcap.gz",
        "explain 198.18.0.11 a.pcap.gz",
    ];
    for (list, format) in lists.iter().flat_map(|list| ["json", "csv"].map(|format| (list, format))) {
        let line = format!("{list} --config imon.toml --format {format} --site site-f.test");
        let plain = home.ok(&line.replace(" --site site-f.test", ""));
        let masked = home.ok(&format!("{line} --mask all"));
        let all = home.ok(&format!("{} --mask all", line.replace(" --site site-f.test", "")));
        assert_eq!(all.lines().count(), plain.lines().count(), "{line}");
        for name in SITES.iter().chain(&DEVICES).chain(&["Ann", ".test", "192.0.2"]) {
            assert!(!masked.contains(name) && !all.contains(name), "{line}: {name} in\n{all}");
        }
    }
    let text = home.ok("explain site-f.test a.pcap.gz --config imon.toml --mask all");
    assert!(text.starts_with("names seen for site 1\n") && text.contains("device 1"), "{text}");
    assert!(!SITES.iter().chain(&["198.1", "Ann", ".test"]).any(|name| text.contains(name)), "{text}");
    // Each side alone, and what belongs together.
    let devices = home.ok("flows a.pcap.gz --csv --mask devices");
    assert!(devices.contains("site-f.test") && devices.contains("device 1") && !devices.contains("198.18.0."));
    let hosts = home.ok("names a.pcap.gz --csv --mask hosts");
    assert!(!hosts.contains("site-f.test") && hosts.contains("host 1") && hosts.contains("198.18.0."));
    let run = home.analyze("flows a.pcap.gz --mask all --format display-filter".split(' '));
    assert!(run.code == Some(2) && run.err.contains("do not go together"), "{}", run.err);
}

#[test]
fn filters_are_hidden_as_well() {
    let home = browsing();
    let text = home.ok("report a.pcap.gz --site site-f.test --device 198.18.0.11 --mask all");
    assert!(!text.contains("site-f") && !text.contains("198.18") && text.contains("; only site "), "{text}");
    let json = home.ok("site site-f.test --files a.pcap.gz --json --mask hosts");
    assert!(!json.contains("site-f.test") && json.contains("site 1"), "{json}");
    let nothing = home.ok("report a.pcap.gz --site nowhere.example --mask all");
    assert!(!nothing.contains("nowhere") && !nothing.contains("a.pcap"), "{nothing}");
}
