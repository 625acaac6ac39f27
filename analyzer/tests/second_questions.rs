//! What people ask after their first report: each question has one command, which
//! docs/REPORTS.md shows.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use serde_json::Value;
use std::sync::OnceLock;
use support::nights::nights;
use support::{Home, Run, testdata};

/// A home with a database of two nights, and captures beside it.
fn home() -> &'static Home {
    static HOME: OnceLock<Home> = OnceLock::new();
    HOME.get_or_init(made)
}

fn made() -> Home {
    let home = Home::in_memory();
    std::fs::create_dir(home.path("none")).unwrap();
    home.write("nights.pcapng", &nights());
    let lan = std::fs::read(testdata("netlab/browse-lan.pcap.gz")).unwrap();
    home.write("lan.pcap.gz", &lan);
    home.write("captures/lan.pcap.gz", &lan);
    let other = std::fs::read(testdata("field/proxy-connect.pcap")).unwrap();
    home.write("captures/cut.pcap", &other[..other.len() - 7]);
    home.write("other.pcap", &other);
    home.write("families.txt", b"site-a.test @Acme\nsite-b.test @Acme\n");
    home.ok("ingest nights.pcapng --database imon.db");
    home
}

/// Runs the command that docs/REPORTS.md shows for a question, with these words in place of its
/// own.
fn asked(home: &Home, shown: &str, words: &[(&str, &str)]) -> Run {
    let page = include_str!("../../docs/REPORTS.md");
    let is_shown = |line: &str| line.split("  #").next().unwrap().trim_end() == format!("imon-analyze {shown}");
    assert!(page.lines().any(is_shown), "docs/REPORTS.md does not show `{shown}`");
    let mut line = shown.to_owned();
    for (own, of_the_test) in words {
        assert!(line.contains(own), "{shown}: {own}");
        line = line.replace(own, of_the_test);
    }
    // What was booked here, and nothing of this machine.
    let of_the_store = !line.contains(".pcap") && !line.contains("captures/");
    let store: &[&str] = if of_the_store { &["--database", "imon.db", "--spool", "none"] } else { &[] };
    home.analyze(line.split(' ').chain(store.iter().copied()))
}

fn rows(run: &Run) -> Vec<Vec<String>> {
    assert_eq!(run.code, Some(0), "{}", run.err);
    run.out.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

const DEVICE: (&str, &str) = ("192.168.1.7", "198.18.0.11");

#[test]
fn what_did_this_device_do_in_a_week() {
    let run = asked(home(), "report --device 192.168.1.7 --in 7d", &[DEVICE, ("7d", "2024-03-25..2024-03-31")]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.contains("only device 198.18.0.11") && run.out.contains("site-f.test"), "{}", run.out);
}

#[test]
fn each_site_by_day_of_a_month_as_one_csv() {
    let home = home();
    let run = asked(home, "report --in 2026-11 --by site,day --csv -o month.csv", &[("2026-11", "2024-03")]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{}", run.err);
    let csv = std::fs::read_to_string(home.path("month.csv")).unwrap();
    let of = |site: &str| csv.lines().filter(|line| line.starts_with(&format!("{site},"))).count();
    assert_eq!((of("site-e.test"), of("site-a.test")), (31, 31), "every day of the month is a row");
}

#[test]
fn only_one_interface() {
    let home = home();
    let run = |words: &[(&str, &str)]| {
        let run = asked(home, "report --interface eth0 --by vlan,site --csv", words);
        rows(&run)
    };
    // The store's default is today, which has nothing.
    assert!(run(&[]).is_empty());
    let [eth0, wlan0] = ["eth0", "wlan0"].map(|name| run(&[("eth0 --by", &format!("{name} --in 2024 --by"))]));
    let all = rows(&home.analyze("report --in 2024 --by vlan,site --csv --database imon.db --spool none".split(' ')));
    let total = |rows: &[Vec<String>]| rows.iter().map(|row| row[5].parse::<u64>().unwrap()).sum::<u64>();
    assert!(total(&eth0) > 0 && total(&wlan0) > 0);
    assert_eq!(total(&eth0) + total(&wlan0), total(&all));
    assert!(all.iter().any(|row| row[0] == "101") && all.iter().any(|row| row[0] == "none"));
}

#[test]
fn a_folder_of_captures_one_compressed_and_one_cut() {
    let run = asked(home(), "report captures/", &[]);
    assert_eq!(run.code, Some(3), "some input was skipped: {}", run.err);
    assert!(run.err.contains("part of captures/cut.pcap was skipped"), "{}", run.err);
    assert!(run.out.contains("stream-cache.test"), "{}", run.out);
}

#[test]
fn the_largest_hosts_of_a_family() {
    let home = home();
    let words = [("Google", "acme"), ("-n 5", "-n 5 --in 2024 --families families.txt")];
    let run = asked(home, "report --family Google --by host -n 5", &words);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let hosts: Vec<&str> =
        run.out.lines().filter(|line| line.contains("-a.test") || line.contains("-b.test")).collect();
    assert!(!hosts.is_empty() && hosts.len() <= 5, "{}", run.out);
}

#[test]
fn the_hours_of_a_day_with_zeros() {
    let of = |day: &str| rows(&asked(home(), "report --in 2026-11-05 --by hour --csv", &[("2026-11-05", day)]));
    assert_eq!(of("2024-10-27 --zone Europe/Berlin").len(), 25, "clocks were set back");
    assert_eq!(of("2024-03-31 --zone Europe/Berlin").len(), 23);
    let last = of("2024-10-28");
    let zeros = last.iter().filter(|row| row[3] == "0").count();
    assert!(last.len() == 24 && zeros > 10 && zeros < 24, "{zeros}");
}

#[test]
fn flows_of_one_device_between_two_instants() {
    let home = home();
    let shown = "flows capture.pcap --device 192.168.1.7 --from 2026-11-05T14:07 --to 2026-11-05T14:09";
    let words = [
        ("capture.pcap", "lan.pcap.gz"),
        DEVICE,
        ("2026-11-05T14:07", "2026-11-22T12:35:30Z"),
        ("2026-11-05T14:09", "2026-11-22T12:35:32Z"),
    ];
    let run = asked(home, shown, &words);
    let flows: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let all = home.ok("flows lan.pcap.gz").lines().count();
    assert!(!flows.is_empty() && flows.len() < all, "{} of {all}", flows.len());
    for flow in flows {
        // Both are addresses of its card, as `report` counts them.
        let client = flow["client"].as_str().unwrap();
        assert!(["198.18.0.11", "2001:db8:18::11"].contains(&client), "{client}");
        assert!(
            flow["start"].as_str().unwrap() < "2026-11-22T12:35:32"
                && flow["end"].as_str().unwrap() >= "2026-11-22T12:35:30"
        );
    }
}

#[test]
fn what_has_no_name_of_a_device_by_address() {
    let words = [DEVICE, ("--by", "--in 2024 --by")];
    let rows = rows(&asked(home(), "report --device 192.168.1.7 --evidence none --by host --csv", &words));
    assert!(!rows.is_empty());
    // Hosts that could own such bytes have rows, too, of no byte.
    for row in rows.into_iter().filter(|row| row[4] != "0") {
        assert!(row[0].parse::<std::net::IpAddr>().is_ok() && row[1] == "false", "{row:?}");
    }
}

#[test]
fn two_sources_compared() {
    let home = home();
    let words = [("office.pcap", "lan.pcap.gz"), ("home.pcap", "other.pcap")];
    let rows = rows(&asked(home, "report office.pcap home.pcap --by site,source --csv", &words));
    let of = |source: &str| rows.iter().filter(|row| row[1] == source).count();
    assert!(of("lan.pcap.gz") > 5 && of("other.pcap") > 0);
    assert_eq!(of("lan.pcap.gz") + of("other.pcap"), rows.len());
}

#[test]
fn what_a_name_rests_on() {
    let home = home();
    let shown = "explain youtube.com capture.pcap --device 192.168.1.7";
    let words = [("youtube.com", "site-m.test"), ("capture.pcap", "lan.pcap.gz"), ("192.168.1.7", "198.18.0.0/24")];
    let run = asked(home, shown, &words);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.contains("dns-shared"), "{}", run.out);
    let none = home.ok("explain site-m.test lan.pcap.gz --device 192.0.2.99 --csv");
    assert_eq!(none.lines().count(), 1, "nobody else asked for it: {none}");
    let small = home.ok("explain site-m.test lan.pcap.gz --min 1GB --csv");
    assert!(!small.lines().any(|line| line.starts_with("flow,")), "{small}");
    let elsewhere = home.ok("explain site-m.test lan.pcap.gz --interface eth9 --csv");
    assert_eq!(elsewhere.lines().count(), 1, "{elsewhere}");
}
