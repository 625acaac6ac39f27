//! Days, hours and months of a zone with daylight saving time, through the store: every packet in
//! its day, and the same sum however it is grouped.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use support::{Home, pcap, rows_and_ledger, udp};

const SECOND: u64 = 1_000_000;
const HOUR: u64 = 3_600 * SECOND;

/// A packet to the outside every hour from `start_s` on, the n-th with n bytes of payload: every
/// sum tells which packets are in it.
fn hourly(start_s: u64, hours: u64) -> Vec<(u64, Vec<u8>)> {
    let packet = |n| udp(([192, 168, 1, 2], 5_000), ([203, 0, 113, 9], 4_000), &vec![0; n as usize]);
    (0..hours).map(|n| (start_s * SECOND + n * HOUR, packet(n))).collect()
}

fn bytes(packets: impl IntoIterator<Item = u64>) -> u64 {
    packets.into_iter().map(|n| 28 + n).sum()
}

/// A store with an hourly packet from `start_s` on, over five days.
fn store(start_s: u64) -> Home {
    let home = Home::new();
    home.write("hourly.pcap", &pcap(&hourly(start_s, 120)));
    std::fs::create_dir(home.path("empty")).unwrap();
    home.ok("ingest hourly.pcap --database imon.db");
    home
}

fn report(home: &Home, day: (&str, &str), by: &str) -> (Vec<Value>, Value) {
    let (from, to) = day;
    rows_and_ledger(&home.ok(&format!(
        "report --database imon.db --spool empty --zone Europe/Berlin --from {from} --to {to} --by {by} --format json"
    )))
}

fn total(rows: &[Value]) -> u64 {
    rows.iter().map(|row| row["total_bytes"].as_u64().unwrap()).sum()
}

/// What a day of `hours` hours that begins with packet `first` gives, in every grouping.
fn check_day(home: &Home, day: &str, first: u64, hours: u64) {
    let expected = bytes(first..first + hours);
    for by in ["site", "host", "device", "hour", "day", "month", "evidence"] {
        let (rows, ledger) = report(home, (day, day), by);
        assert_eq!(total(&rows), expected, "{day} by {by}");
        assert_eq!(ledger["ip_bytes"], expected, "{day} by {by}");
        assert_eq!(ledger["packets"], hours, "{day} by {by}");
        assert_eq!(ledger["residual_bytes"], 0);
        if by == "hour" {
            let keys: BTreeSet<_> = rows.iter().map(|row| row["hour"].as_str().unwrap().to_owned()).collect();
            assert_eq!((rows.len() as u64, keys.len() as u64), (hours, hours), "{keys:#?}");
        }
        if by == "day" {
            assert_eq!(rows.iter().map(|row| &row["day"]).collect::<Vec<_>>(), [day]);
        }
    }
}

#[test]
fn a_day_of_23_hours_holds_the_packets_of_23_hours() {
    let home = store(1_774_652_400); // 2026-03-28 00:00 in Berlin (UTC+1)
    check_day(&home, "2026-03-28", 0, 24);
    check_day(&home, "2026-03-29", 24, 23);
    check_day(&home, "2026-03-30", 47, 24);
}

#[test]
fn a_day_of_25_hours_holds_the_packets_of_25_hours() {
    let home = store(1_792_792_800); // 2026-10-24 00:00 in Berlin (UTC+2)
    check_day(&home, "2026-10-24", 0, 24);
    check_day(&home, "2026-10-25", 24, 25);
    check_day(&home, "2026-10-26", 49, 24);
}

#[test]
fn days_add_up_to_the_range_and_months_begin_at_local_midnight() {
    let home = store(1_774_738_800 + 86_400); // 2026-03-30 01:00 in Berlin (UTC+2)
    let (days, ledger) = report(&home, ("2026-03-30", "2026-04-03"), "day");
    let count = |rows: &[Value]| rows.iter().map(|r| r["packets"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(count(&days), [23, 24, 24, 24, 24]);
    assert_eq!(ledger["ip_bytes"], total(&days));
    let (months, _) = report(&home, ("2026-03-01", "2026-04-30"), "month");
    assert_eq!(count(&months), [47, 73]);
    assert_eq!(months[1]["month"], "2026-04");
    let (rows, ledger) = report(&home, ("2026-05-01", "2026-05-31"), "day");
    assert_eq!((total(&rows), &ledger["packets"]), (0, &Value::from(0)));
}

#[test]
fn a_range_of_files_and_of_the_store_are_the_same() {
    let home = store(1_774_652_400);
    let of_file = home.ok("report hourly.pcap --zone Europe/Berlin --from 2026-03-29 --to 2026-03-29 --format json");
    let (rows, ledger) = report(&home, ("2026-03-29", "2026-03-29"), "site");
    assert_eq!(rows_and_ledger(&of_file), (rows, ledger));
    let csv = home.ok("site 203.0.113.9 --database imon.db --spool empty --zone Europe/Berlin --from 2026-03-29 --to 2026-03-30 --format csv");
    let days: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(days.len(), 3, "{csv}");
    let column = days[0].iter().position(|name| *name == "total_bytes").unwrap();
    assert_eq!(days[1][column], bytes(24..47).to_string(), "{csv}");
    assert_eq!(days[2][column], bytes(47..71).to_string(), "{csv}");
}

#[test]
fn days_of_an_offset_are_its_own() {
    // 2026-03-27 00:00 UTC and on.
    let home = store(1_774_569_600);
    // Half an hour and a half: the local day of +05:30 begins at 18:30 UTC of the day before, that
    // of -03:30 at 03:30.
    for (zone, first, from) in [
        ("+05:30", 19, "2026-03-28T00:00:00+05:30"),
        ("-03:30", 28, "2026-03-28T00:00:00-03:30"),
        ("+0000", 24, "2026-03-28T00:00:00+00:00"),
    ] {
        let of_store = "report --database imon.db --spool empty --from 2026-03-28 --to 2026-03-28 --format json";
        let json: Value = serde_json::from_str(&home.ok(&format!("{of_store} --zone {zone}"))).unwrap();
        assert_eq!(json["range"]["from"], from);
        assert_eq!(json["ledger"]["ip_bytes"], bytes(first..first + 24), "{zone}");
        let of_file =
            home.ok(&format!("report hourly.pcap --zone {zone} --from 2026-03-28 --to 2026-03-28 --format json"));
        assert_eq!(rows_and_ledger(&of_file).1["ip_bytes"], bytes(first..first + 24), "{zone}");
    }
}
