//! `report --format prometheus`: gauges of today out of the database, and by promtool where it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "../src/owners/tests/maker.rs"]
mod maker;
mod support;

use maker::{Maker, asn};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};
use support::{Connection, Home, client_hello, exposition, pcap, testdata};

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
    promtool(&text);
}

/// Has promtool look at metrics, where it is: installed, or where `make setup` puts it.
fn promtool(text: &str) {
    let tools = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("tools/promtool");
    let by = |program: &std::path::Path| {
        let mut command = Command::new(program);
        command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    };
    let Ok(mut promtool) = by("promtool".as_ref()).or_else(|_| by(&tools)) else {
        eprintln!("skipped: promtool is missing");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let all = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && all.is_empty(), "{}\n{text}", String::from_utf8_lossy(&all));
}

#[test]
fn promtool_takes_what_strangers_and_users_call_things() {
    let now_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    let names = [
        r#"a"b.example"#,
        r"back\slash.example",
        "<script>alert(1)</script>.example",
        "{x=1}.example",
        "# HELP.example",
    ];
    let mut packets = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let at_us = now_us - 60_000_000 + n as u64;
        let client = ([192, 168, 1, 7 + n as u8], 50_000);
        let opened = Connection::open(at_us, client, ([198, 51, 100, 1 + n as u8], 443), true);
        packets.extend(opened.ask(&client_hello(name)).answer(&[7; 900]).packets);
    }
    packets.sort_by_key(|(at, _)| *at);
    let home = Home::new();
    home.write("now.pcap", &pcap(&packets));
    home.write("owners.mmdb", &Maker::default().with("198.51.100.0/24", asn(64_500, "Quo\"te \\ Net\n")).bytes());
    let config = "[devices.\"tv \\\"x\\\" \\\\ é\"]\naddress = '192.168.1.7'\n\
        [[plan]]\nname = 'a \"b\" \\ c {x=1}'\ncap = '1 GB'\n";
    home.write(".config/imon/imon.toml", config.as_bytes());
    home.ok("ingest now.pcap --local 192.168.0.0/16");
    for line in ["", "--mask devices", "--mask hosts", "--mask all", "--limit 2", "--owners owners.mmdb"] {
        let text = home.ok(format!("report --format prometheus {line}").trim());
        assert!(exposition::samples(&text).len() > 10, "{line}: {text}");
        promtool(&text);
        assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text}");
    }
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
