//! `report --format prometheus`: gauges of today out of the database, and by promtool where it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};
use support::{Home, exposition, testdata};

/// A home that has booked a capture whose packets are of the last minute.
fn just_now() -> Home {
    let mut bytes = std::fs::read(testdata("pcap/us-le.pcap")).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // A capture of before midnight is not of today.
    let second = u32::try_from(now.saturating_sub(60).max(now - now % 86_400)).unwrap();
    let mut at = 24;
    while at < bytes.len() {
        bytes[at..at + 4].copy_from_slice(&second.to_le_bytes());
        let len = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        at += 16 + usize::try_from(len).unwrap();
    }
    let home = Home::new();
    home.write("now.pcap", &bytes);
    home.ok("ingest now.pcap");
    home
}

#[test]
fn gauges_of_today_come_from_the_database() {
    let home = just_now();
    let text = home.ok("report --format prometheus");
    let value = |start: &str| -> u64 {
        let of = |line: &&str| line.starts_with(start);
        text.lines().filter(of).map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    };
    let json: serde_json::Value = serde_json::from_str(&home.ok("report --json")).unwrap();
    let total: u64 = json["rows"].as_array().unwrap().iter().map(|row| row["total_bytes"].as_u64().unwrap()).sum();
    assert!(total > 0);
    for metric in ["imon_bytes{", "imon_site_bytes{", "imon_device_bytes{"] {
        assert_eq!(value(metric), total, "{metric}\n{text}");
    }
    let samples = exposition::samples(&text);
    assert!(samples.iter().any(|sample| sample.metric == "imon_site_bytes" && sample.label("site").is_some()));
    let Ok(mut promtool) =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    else {
        eprintln!("skipped: promtool is not installed");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

#[test]
fn what_gauges_do_not_have_is_refused() {
    let home = just_now();
    for line in [
        "report --format prometheus --by host",
        "report --format prometheus --in 7d",
        "report now.pcap --format prometheus",
        "site example.org --format prometheus",
        "status --format prometheus",
    ] {
        let run = home.analyze(line.split(' '));
        assert_eq!(run.code, Some(2), "{line}: {}", run.err);
    }
    home.write(".config/imon/imon.toml", b"[[plan]]\nname = 'secret'\ncap = '1 GB'\n");
    assert!(home.ok("report --format prometheus").contains("plan=\"secret\""));
    let masked = home.ok("report --format prometheus --mask all --limit 3");
    assert!(exposition::samples(&masked).len() > 10, "{masked}");
    assert!(!masked.contains("secret") && masked.contains("plan=\"plan 1\""), "{masked}");
    assert!(masked.contains("device=\"device 1\"") && masked.contains("(others)"), "{masked}");
}
