//! `import`: what vnStat counted before stands in the ledger, and nowhere else.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use support::{Home, rows_and_ledger, testdata};

/// Of testdata/vnstat/home.json: all of both interfaces, both directions.
const ETH0: u64 = 5_763_003_459_032 + 577_795_149_069;
const WLAN0: u64 = 17_322_924_437 + 1_744_858_283;

const ALL: &str = "--from 2000-01-01 --to 2030-01-01";

fn vnstat() -> String {
    testdata("vnstat/home.json").display().to_string()
}

fn ledger(home: &Home, question: &str) -> serde_json::Value {
    rows_and_ledger(&home.ok(&format!("report --database imon.db --spool none --json {question}"))).1
}

/// Whole in the range, and in part.
fn imported(home: &Home, question: &str) -> (u64, u64) {
    let ledger = ledger(home, question);
    (ledger["imported_bytes"].as_u64().unwrap(), ledger["imported_partly_bytes"].as_u64().unwrap())
}

/// A day of the document as vnStat has it: eth0, 2026-11-05.
fn day(document: &serde_json::Value) -> u64 {
    let days = document["interfaces"][0]["traffic"]["day"].as_array().unwrap();
    let is_it = |day: &&serde_json::Value| day["date"]["month"] == 11 && day["date"]["day"] == 5;
    let day = days.iter().find(is_it).unwrap();
    day["rx"].as_u64().unwrap() + day["tx"].as_u64().unwrap()
}

#[test]
fn history_counts_once_however_often_it_is_imported() {
    let home = Home::in_memory();
    std::fs::create_dir(home.path("none")).unwrap();
    let document: serde_json::Value = serde_json::from_slice(&std::fs::read(vnstat()).unwrap()).unwrap();
    for _ in 0..2 {
        home.ok(&format!("import {} --database imon.db", vnstat()));
        assert_eq!(imported(&home, ALL), (ETH0 + WLAN0, 0));
    }
    assert_eq!(imported(&home, &format!("{ALL} --interface eth0")), (ETH0, 0));
    assert_eq!(imported(&home, &format!("{ALL} --interface wlan0")), (WLAN0, 0));
    // vnStat knows of no device and no site.
    assert_eq!(imported(&home, &format!("{ALL} --site example.com")), (0, 0));
    assert_eq!(imported(&home, &format!("{ALL} --device 192.168.1.7")), (0, 0));
    // A day of the machine that counted, and the same one elsewhere: two days, both in part.
    let of_day = "--interface eth0 --in 2026-11-05 --zone";
    assert_eq!(imported(&home, &format!("{of_day} Europe/Berlin")), (day(&document), 0));
    let (whole, partly) = imported(&home, &format!("{of_day} Asia/Tokyo"));
    assert!(whole == 0 && partly > day(&document), "{whole} {partly}");
    // Books of what was recorded are as without.
    let ledger = ledger(&home, ALL);
    assert_eq!((&ledger["ip_bytes"], &ledger["residual_bytes"]), (&0.into(), &0.into()));
    let pieces = ledger["imported"].as_array().unwrap();
    assert_eq!(pieces[0]["from"], "2023-05-02T16:20:05+00:00", "{:?}", pieces[0]);
    assert!(home.ok("status --database imon.db --spool none").contains("imported  vnStat eth0, 2023-05-02T16:20:05"));

    home.ok("import --forget eth0 --database imon.db");
    assert_eq!(imported(&home, ALL), (WLAN0, 0));
    let run = home.analyze("import --forget eth0 --database imon.db".split(' '));
    assert_eq!(run.code, Some(3), "{}", run.err);
    assert!(run.err.contains("nothing was imported of `eth0`"), "{}", run.err);
}

#[test]
fn what_vnstat_counted_on_replaces_what_it_had_and_old_days_stay() {
    let home = Home::in_memory();
    std::fs::create_dir(home.path("none")).unwrap();
    let later = |days: &str, month: u64, year: u64, updated: u64| {
        format!(
            r#"{{"vnstatversion":"2.10","jsonversion":"2","interfaces":[{{"name":"eth0","alias":"",
            "created":{{"date":{{"year":2026,"month":1,"day":10}},"timestamp":1768003200}},
            "updated":{{"date":{{"year":2026,"month":2,"day":3}},"time":{{"hour":0,"minute":0}},"timestamp":{updated}}},
            "traffic":{{"total":{{"rx":{year},"tx":0}},"fiveminute":[],"hour":[],"day":[{days}],
            "month":[{{"id":1,"date":{{"year":2026,"month":1}},"timestamp":1767225600,"rx":{month},"tx":0}}],
            "year":[{{"id":1,"date":{{"year":2026}},"timestamp":1767225600,"rx":{year},"tx":0}}],"top":[]}}}}]}}"#
        )
    };
    let day = |nth: u64, rx: u64| {
        let timestamp = 1_767_225_600 + (nth - 1) * 86_400;
        format!(
            r#"{{"id":{nth},"date":{{"year":2026,"month":1,"day":{nth}}},"timestamp":{timestamp},"rx":{rx},"tx":0}}"#
        )
    };
    // On the 12th at noon, with two days and a half; then on 3 February, when two days are left.
    home.write(
        "a.json",
        later(&[day(10, 100), day(11, 200), day(12, 50)].join(","), 350, 350, 1_768_219_200).as_bytes(),
    );
    home.write("b.json", later(&[day(30, 1000), day(31, 2000)].join(","), 9000, 9400, 1_770_076_800).as_bytes());
    home.ok("import a.json --database imon.db");
    assert_eq!(imported(&home, "--from 2026-01-01 --to 2026-02-28"), (350, 0));
    for order in ["b.json", "a.json b.json", "b.json a.json"] {
        home.ok(&format!("import {order} --database imon.db"));
        assert_eq!(imported(&home, "--from 2026-01-01 --to 2026-02-28"), (9400, 0), "{order}");
        assert_eq!(imported(&home, "--in 2026-01"), (9000, 0), "{order}");
        assert_eq!(imported(&home, "--in 2026-01-11"), (200, 0), "{order}");
        assert_eq!(imported(&home, "--in 2026-01-31"), (2000, 0), "{order}");
        // From the 12th at noon to the 29th: what the month has and no day.
        let rest = 9000 - 100 - 200 - 50 - 3000;
        assert_eq!(imported(&home, "--from 2026-01-12T12:00 --to 2026-01-30T00:00"), (rest, 0), "{order}");
        assert_eq!(imported(&home, "--in 2026-01-20"), (0, rest), "{order}");
    }
}

/// A document of days and a month in March 2025, with a total; `second`: when a day begins, where
/// that is said.
fn march(days: std::ops::RangeInclusive<u64>, second: Option<fn(u64) -> i64>, created_hour: u64) -> String {
    let last = *days.end();
    let stamp = |day: u64| second.map(|of| format!(r#","timestamp":{}"#, of(day))).unwrap_or_default();
    let day = |nth: u64| {
        let stamp = stamp(nth);
        format!(r#"{{"id":{nth},"date":{{"year":2025,"month":3,"day":{nth}}},"rx":100,"tx":0{stamp}}}"#)
    };
    let days: Vec<String> = days.map(day).collect();
    let (total, first) = (5_000 + last * 100, stamp(1));
    format!(
        r#"{{"vnstatversion":"2.6","jsonversion":"2","interfaces":[{{"name":"eth0",
        "created":{{"date":{{"year":2025,"month":2,"day":3}},"time":{{"hour":{created_hour},"minute":0}}}},
        "updated":{{"date":{{"year":2025,"month":3,"day":{last}}},"time":{{"hour":12,"minute":0}}}},
        "traffic":{{"total":{{"rx":{total},"tx":0}},"day":[{}],
        "month":[{{"id":1,"date":{{"year":2025,"month":3}},"rx":{},"tx":0{first}}}],"year":[]}}}}]}}"#,
        days.join(","),
        last * 100
    )
}

#[test]
fn dates_that_were_read_in_another_time_zone_count_once() {
    let home = Home::in_memory();
    std::fs::create_dir(home.path("none")).unwrap();
    let berlin = |day: u64| 1_740_783_600 + (day as i64 - 1) * 86_400;
    home.write("a.json", march(1..=10, None, 0).as_bytes());
    // vnStat 2.7 says when days begin, and has forgotten some.
    home.write("b.json", march(4..=11, Some(berlin), 7).as_bytes());
    for zone in ["UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "UTC"] {
        home.ok(&format!("import a.json --zone {zone} --database imon.db"));
        assert_eq!(imported(&home, ALL), (6_000, 0), "{zone}");
        let day = imported(&home, &format!("--zone {zone} --in 2025-03-05"));
        assert_eq!(day.0, 100, "the last one counts: {zone}");
    }
    home.ok("import b.json --zone UTC --database imon.db");
    assert_eq!(imported(&home, ALL), (6_100, 0));
    assert_eq!(imported(&home, "--zone Europe/Berlin --in 2025-03-05").0, 100);
    assert_eq!(imported(&home, "--zone UTC --in 2025-03-02").0, 100, "a day that is forgotten since");
    // What was made before changes nothing, in whatever zone.
    for zone in ["UTC", "America/Los_Angeles"] {
        home.ok(&format!("import a.json --zone {zone} --database imon.db"));
        assert_eq!(imported(&home, ALL), (6_100, 0), "{zone}");
    }
}

#[test]
fn people_see_it_and_are_told_what_is_wrong() {
    let home = Home::in_memory();
    home.write("no.json", b"{\"jsonversion\":\"2\"}");
    let run = home.analyze("import no.json --database imon.db".split(' '));
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.contains("cannot import no.json") && run.err.contains("vnstat --json >"), "{}", run.err);
    for (interfaces, says) in [("", "it has no interface"), (r#"{"name":"a"}"#, "missing field `created`")] {
        home.write("odd.json", format!(r#"{{"jsonversion":"2","interfaces":[{interfaces}]}}"#).as_bytes());
        let run = home.analyze("import odd.json --database imon.db".split(' '));
        assert!(run.code == Some(1) && run.err.contains(says), "{}", run.err);
    }
    let one = march(1..=2, None, 0);
    let interface = one.split_once(r#""interfaces":["#).unwrap().1.strip_suffix("]}").unwrap();
    home.write("odd.json", one.replace(interface, &format!("{interface},{interface}")).as_bytes());
    let run = home.analyze("import odd.json --database imon.db".split(' '));
    assert!(run.code == Some(1) && run.err.contains("it has an interface twice"), "{}", run.err);
    let missing = home.analyze("import gone.json --database imon.db".split(' '));
    assert!(missing.code == Some(1) && missing.err.contains("gone.json"), "{}", missing.err);
    assert!(!home.path("imon.db").exists(), "nothing was imported, and nothing made");
    let line = format!("import {} --database imon.db", vnstat());
    let unknown = home.analyze(format!("{line} --interface wan").split(' '));
    assert!(unknown.code == Some(1) && unknown.err.contains("it has: eth0, wlan0"), "{}", unknown.err);
    let two = home.analyze(format!("{line} --as router").split(' '));
    assert!(two.code == Some(1) && two.err.contains("--as names one interface"), "{}", two.err);
    // One of two files is good.
    let run =
        home.analyze(format!("import no.json {} --as router --interface eth0 --database imon.db", vnstat()).split(' '));
    assert_eq!(run.code, Some(3), "{}", run.err);
    assert!(run.err.contains("router: ") && run.err.contains("62 days, 25 months, 4 years"), "{}", run.err);
    std::fs::create_dir(home.path("none")).unwrap();
    let asked = "report --database imon.db --spool none --in 2025";
    assert!(home.ok(&format!("{asked} --ledger full")).contains("counted by vnStat"));
    assert!(home.ok(asked).contains("counted by vnStat") || home.ok(asked).contains("vnStat counted"));
    let masked = home.ok(&format!("{asked} --json --mask all"));
    assert!(!masked.contains("router"), "{masked}");
}
