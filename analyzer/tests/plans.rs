//! Plans: billing periods and what of them is used, against a second computation in Python.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use clap::Parser as _;
use imon_analyze::cli::{Cli, Color, Surroundings};
use imon_analyze::commands;
use imon_analyze::config::Config;
use imon_analyze::plan::{self, Counted, FreeHours, Metered, Plan, Seen};
use imon_analyze::range;
use imon_analyze::table::units::Units;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use support::{Home, pcap, udp};

const CASES: usize = 1_000;

/// Whole hours, quarters of hours, clocks that jump by half an hour, and at midnight.
const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/Santiago",
    "Pacific/Chatham",
];

/// Numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 16) % most
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

struct Case {
    plans: Vec<Plan>,
    now: UnixNanos,
    seen: Seen,
    rows: Vec<Metered>,
    /// For the second computation.
    said: Value,
}

fn instant(seconds: i64) -> UnixNanos {
    UnixNanos(seconds * NANOS_PER_SECOND)
}

fn version(chance: &mut Chance, zone: &str, from: Option<Date>, today: Date) -> (Plan, Value) {
    let billing_day = [1, 15, 28, 29, 30, 31, 31, 31][chance.below(8) as usize];
    let cap = (!chance.one_in(5)).then(|| {
        let bits = 38 + chance.below(6);
        chance.below(1 << bits)
    });
    let (word, counted) = Counted::WORDS[chance.below(4) as usize];
    let rollover = match chance.below(3) {
        _ if cap.is_none() => 0,
        0 => 0,
        1 => u64::MAX >> 1,
        _ => chance.below(1 << 38),
    };
    let already = chance.one_in(4).then(|| {
        let day = today.checked_sub((chance.below(40) as i64).days()).unwrap();
        (day, chance.below(1 << 36))
    });
    let mut hours = Vec::new();
    let mut said_hours = Vec::new();
    for _ in 0..chance.below(3) {
        let (a, b) = (chance.below(96) * 15, (1 + chance.below(96)) * 15);
        if a == b {
            continue;
        }
        let (days, numbers) =
            [("mon-sun", vec![0, 1, 2, 3, 4, 5, 6]), ("sat,sun", vec![5, 6]), ("fri-mon", vec![4, 5, 6, 0])]
                [chance.below(3) as usize]
                .clone();
        let text = format!("{days} {:02}:{:02}-{:02}:{:02}", a / 60, a % 60, b / 60, b % 60);
        hours.push(FreeHours::parse(&text).unwrap());
        said_hours.push(json!([numbers, a, b]));
    }
    let said = json!({
        "zone": zone, "billing_day": billing_day, "cap": cap, "counted": word, "free_hours": said_hours,
        "rollover": rollover, "already_used": already.map(|(day, bytes)| json!([day.to_string(), bytes])),
        "from": from.map(|day| day.to_string()),
    });
    let plan = Plan {
        name: "home".into(),
        interfaces: Vec::new(),
        billing_day,
        zone: range::zone(Some(zone)).unwrap(),
        cap,
        units: Units::Decimal,
        counted,
        free_hours: hours,
        free_sites: Vec::new(),
        rollover,
        already_used: already,
        from,
        until: None,
    };
    (plan, said)
}

fn case(chance: &mut Chance) -> Case {
    let zone = ZONES[chance.below(10) as usize];
    // Leap years, and days at the ends of months more often than others.
    let month = date(2023, 1, 1).checked_add((chance.below(72) as i64).months()).unwrap();
    let day = if chance.one_in(3) {
        month.last_of_month()
    } else {
        month.checked_add((chance.below(28) as i64).days()).unwrap()
    };
    let at = day.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
    let now = at + chance.below(86_400) as i64;
    let first_version = version(chance, zone, None, day);
    let mut versions = vec![first_version];
    if chance.one_in(2) {
        // A plan that was changed, or will be.
        let from = day.checked_sub((chance.below(45) as i64 - 5).days()).unwrap();
        // Sometimes with those who moved.
        let zone = if chance.one_in(4) { ZONES[chance.below(10) as usize] } else { zone };
        versions.push(version(chance, zone, Some(from), day));
    }
    let back = if versions.iter().any(|(plan, _)| plan.rollover > 0) { 800 } else { 70 };
    let mut rows = Vec::new();
    for _ in 0..chance.below(1_500) {
        // Most of them are of late.
        let days = if chance.one_in(3) { back } else { 40 };
        let bucket_s = (now - chance.below(days * 86_400) as i64 + 7_200).div_euclid(900) * 900;
        let (up, down) = (chance.below(1 << 28), chance.below(1 << 30));
        rows.push(Metered { bucket_s, is_free: chance.one_in(8), up, down });
    }
    let first = match chance.below(4) {
        0 => Some(now - chance.below(30 * 86_400) as i64),
        1 if rows.is_empty() => None,
        _ => Some(now - (back as i64 + 60) * 86_400),
    };
    let mut missing: Vec<(i64, i64)> = Vec::new();
    let mut end = now - 40 * 86_400;
    for _ in 0..chance.below(6) {
        let begin = end + chance.below(8 * 86_400) as i64;
        end = begin + chance.below(3 * 86_400) as i64;
        missing.push((begin, end));
    }
    let (plans, said): (Vec<Plan>, Vec<Value>) = versions.into_iter().unzip();
    let said = json!({
        "versions": said, "now": now, "first": first, "missing": missing,
        "rows": rows.iter().map(|r| json!([r.bucket_s, r.is_free, r.up, r.down])).collect::<Vec<_>>(),
    });
    let seen = Seen {
        first: first.map(instant),
        missing: missing.into_iter().map(|(a, b)| (instant(a), instant(b))).collect(),
    };
    Case { plans: plan::in_versions(plans), now: instant(now), seen, rows, said }
}

/// What the program says, in the form of the second computation.
fn ours(case: &Case) -> Value {
    let Some((plan, period)) = plan::in_force(&case.plans, "home", case.now) else { return Value::Null };
    let needs_from = plan.needs_from(&period, plan.local(case.now).unwrap().date());
    // Only what the plan asks for.
    let is_asked = |row: &&Metered| instant(row.bucket_s) >= needs_from;
    let rows: Vec<Metered> = case.rows.iter().filter(is_asked).copied().collect();
    let s = plan.standing(period, case.now, &rows, &case.seen).unwrap();
    let projection = s.projection.map(|p| {
        json!({"low": p.low, "high": p.high, "pace": p.pace, "recorded_pace": p.recorded_pace, "weekdays": p.weekdays})
    });
    let seconds = |at: UnixNanos| at.0 / NANOS_PER_SECOND;
    json!({
        "first": s.period.first.to_string(), "after": s.period.after.to_string(),
        "begin": seconds(s.period.from), "end": seconds(s.period.to), "up": s.up, "down": s.down, "used": s.used,
        "already_used": s.already_used, "free": s.free, "carried": s.carried, "days_left": s.days_left,
        "allowance": s.allowance, "left": s.left, "over": s.over, "daily": s.daily, "elapsed": s.elapsed_s,
        "recorded": s.recorded_s, "projection": projection, "p95": s.p95.map(|(up, down)| json!([up, down])),
    })
}

#[test]
fn a_second_computation_in_python_agrees_on_a_thousand_random_plans() {
    let mut chance = Chance(support::seeded(20_261_127));
    let cases: Vec<Case> = (0..CASES).map(|_| case(&mut chance)).collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/plans.py");
    let mut python = Command::new("python3");
    python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = python.spawn() else {
        eprintln!("skipped: the program python3 is missing");
        return;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input: String = cases.iter().map(|case| format!("{}\n", case.said)).collect();
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.status.success());
    let theirs = String::from_utf8(output.stdout).unwrap();
    let (mut compared, mut carried, mut free, mut projected) = (0, 0, 0, 0);
    for (case, line) in cases.iter().zip(theirs.lines()) {
        let (ours, theirs) = (ours(case), serde_json::from_str::<Value>(line).unwrap());
        let mut said = case.said.clone();
        said["rows"] = Value::Null;
        assert_eq!(ours, theirs, "case {compared}: {said}");
        compared += 1;
        carried += usize::from(ours["carried"].as_u64() > Some(0));
        free += usize::from(ours["free"].as_u64() > Some(0));
        projected += usize::from(!ours["projection"]["weekdays"].is_null());
    }
    assert_eq!(compared, CASES);
    // The cases are worth something.
    assert!(carried > 100 && free > 300 && projected > 300, "{carried} {free} {projected}");
}

const PHONE: End = ([192, 168, 1, 7], 40_000);
const SERVER: End = ([203, 0, 113, 9], 4_000);
const FREE: End = ([203, 0, 113, 10], 4_000);

fn micros(at: &str) -> u64 {
    u64::try_from(at.parse::<jiff::Timestamp>().unwrap().as_microsecond()).unwrap()
}

/// An end of a flow.
type End = ([u8; 4], u16);

/// Packets of 1,000 bytes of IP: when, from whom, to whom.
fn capture(packets: &[(&str, End, End)]) -> Vec<u8> {
    let packets: Vec<(u64, Vec<u8>)> =
        packets.iter().map(|(at, src, dst)| (micros(at), udp(*src, *dst, &[7; 972]))).collect();
    pcap(&packets)
}

/// A home with traffic around the 15th of November in a zone an hour ahead of UTC.
fn home() -> Home {
    let home = Home::new();
    let packets = [
        ("2026-10-20T12:00:00Z", PHONE, SERVER),
        ("2026-11-14T22:50:00Z", PHONE, SERVER),
        ("2026-11-14T23:10:00Z", PHONE, SERVER),
        ("2026-11-15T12:00:00Z", SERVER, PHONE),
        ("2026-11-15T12:00:01Z", SERVER, PHONE),
        ("2026-11-16T01:30:00Z", SERVER, PHONE),
        ("2026-11-17T12:00:00Z", FREE, PHONE),
        ("2026-11-18T12:00:00Z", SERVER, PHONE),
    ];
    home.write("a.pcap", &capture(&packets));
    std::fs::create_dir(home.path("spool")).unwrap();
    home.ok("ingest a.pcap --database d/imon.db");
    home
}

const PLAN: &str = "[[plan]]
name = 'home'
billing_day = 15
zone = 'Europe/Berlin'
cap = '10 kB'
free_hours = '02:00-06:00'
free_sites = '203.0.113.10'
";

/// What a command prints at a moment.
fn at(home: &Home, config: &str, now: &str, line: &str) -> String {
    let words = format!("imon-analyze {line}").replace("DB", &home.path("d/imon.db").to_string_lossy());
    let spool = home.path("spool");
    let words = words.replace("SPOOL", &spool.to_string_lossy());
    let mut cli = Cli::try_parse_from(words.split(' ')).unwrap();
    let mut around = Surroundings {
        now: now.parse().unwrap(),
        width: None,
        draws: false,
        color: false,
        home: Some(home.path(".").into()),
        ..Surroundings::of_process(Color::Never)
    };
    around.config = Config::default();
    around.config.add(Path::new("imon.toml"), config, None).unwrap();
    around.config.fill(&mut cli);
    let mut out = Vec::new();
    commands::run(cli.command.as_ref().unwrap(), &around, None, &mut out).unwrap_or_else(|e| panic!("{line}: {e}"));
    String::from_utf8(out).unwrap()
}

fn one(text: &str) -> Value {
    let document: Value = serde_json::from_str(text).unwrap();
    assert!(
        document["imon"].is_string() || document["versions"].is_object() || document.as_object().unwrap().len() > 1
    );
    let plans = document["plans"].as_array().unwrap();
    assert_eq!(plans.len(), 1);
    plans[0].clone()
}

#[test]
fn what_is_used_begins_at_the_plans_own_midnight_and_leaves_out_what_is_free() {
    let home = home();
    let now = "2026-11-20T11:00:00Z";
    let plan = one(&at(&home, PLAN, now, "plan --json --database DB --spool SPOOL"));
    assert_eq!(
        (&plan["from"], &plan["to"]),
        (&json!("2026-11-15T00:00:00+01:00"), &json!("2026-12-15T00:00:00+01:00"))
    );
    // One up at ten past midnight, three down; at night and from the free site one each.
    assert_eq!(
        (&plan["up_bytes"], &plan["down_bytes"], &plan["free_bytes"]),
        (&json!(1_000), &json!(3_000), &json!(2_000))
    );
    assert_eq!(
        (&plan["used_bytes"], &plan["left_bytes"], &plan["used_percent"]),
        (&json!(4_000), &json!(6_000), &json!(40.0))
    );
    assert_eq!(
        (&plan["days"], &plan["days_left"], &plan["daily_allowance_bytes"]),
        (&json!(30), &json!(25), &json!(240))
    );
    assert_eq!(plan["at_least"], true, "the capture ends two days before");
    let (low, high) = (&plan["projection"]["low_bytes"], &plan["projection"]["high_bytes"]);
    assert!(low.as_u64() >= Some(4_000) && high.as_u64() > low.as_u64(), "{plan}");
    for (counted, used) in [("down", 3_000), ("up", 1_000), ("max", 3_000)] {
        let config = format!("{PLAN}counted = '{counted}'\n");
        assert_eq!(one(&at(&home, &config, now, "plan --json --database DB --spool SPOOL"))["used_bytes"], used);
    }
    // The period before, and what was used before imon was there.
    let before = one(&at(&home, PLAN, now, "plan --json --on 2026-10-20 --database DB --spool SPOOL"));
    assert_eq!(
        (&before["used_bytes"], &before["days_left"], &before["projection"]),
        (&json!(2_000), &json!(0), &Value::Null)
    );
    let config = format!("{PLAN}already_used = '5 kB'\nalready_used_on = 2026-11-20\n");
    assert_eq!(one(&at(&home, &config, now, "plan --json --database DB --spool SPOOL"))["used_bytes"], 9_000);
    // No such interface, and the one that there is.
    let config = format!("{PLAN}interfaces = 'wwan9'\n");
    assert_eq!(one(&at(&home, &config, now, "plan --json --database DB --spool SPOOL"))["used_bytes"], 0);
}

#[test]
fn a_plan_is_shown_with_a_gauge_and_as_csv() {
    let home = home();
    let now = "2026-11-20T11:00:00Z";
    let text = at(&home, PLAN, now, "plan --database DB --spool SPOOL");
    assert!(
        text.starts_with("home: 2026-11-15 to 2026-12-14 (Europe/Berlin), day 6 of 30\n  [#######|########......"),
        "{text}"
    );
    for says in [
        "] 40 %",
        "used        at least 4.00 kB of 10.0 kB",
        "left        at most 6.00 kB: 240 B a day for 25 days",
        "were not recorded",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let csv = at(&home, PLAN, now, "plan --csv --database DB --spool SPOOL");
    assert!(
        csv.lines()
            .nth(1)
            .unwrap()
            .starts_with("home,2026-11-15T00:00:00+01:00,2026-12-15T00:00:00+01:00,both,10000,0,10000,4000,true,"),
        "{csv}"
    );
    let over = at(&home, &PLAN.replace("10 kB", "3 kB"), now, "plan --database DB --spool SPOOL");
    assert!(over.contains("over        at least 1.00 kB more than the plan has"), "{over}");
}

#[test]
fn billing_periods_are_ranges_and_keys_of_reports() {
    let home = home();
    let now = "2026-11-20T11:00:00Z";
    let report = |line: &str| -> Value {
        serde_json::from_str(&at(&home, PLAN, now, &format!("report --json --database DB --spool SPOOL {line}")))
            .unwrap()
    };
    let range = |line: &str| {
        let range = &report(line)["range"];
        format!("{}..{}", range["from"].as_str().unwrap(), range["to"].as_str().unwrap())
    };
    assert_eq!(range("--in billing --zone UTC"), "2026-11-14T23:00:00+00:00..2026-12-14T23:00:00+00:00");
    assert_eq!(range("--in last-billing --zone Europe/Berlin"), "2026-10-15T00:00:00+02:00..2026-11-15T00:00:00+01:00");
    assert_eq!(
        range("--from last-billing --to billing --zone UTC"),
        "2026-10-14T22:00:00+00:00..2026-12-14T23:00:00+00:00"
    );
    let rows = report("--from 2026-10 --to 2026-11 --by billing-month --zone UTC")["rows"].clone();
    let rows: Vec<(String, u64)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["billing-month"].as_str().unwrap().to_owned(), row["total_bytes"].as_u64().unwrap()))
        .collect();
    let row = |day: &str, bytes| (day.to_owned(), bytes);
    assert_eq!(rows, [row("2026-09-15", 0), row("2026-10-15", 2_000), row("2026-11-15", 6_000)]);
    let run = home.analyze("report --in billing --no-config --database d/imon.db --spool spool".split(' '));
    assert!(run.code == Some(2) && run.err.contains("there is no plan, and so no billing period"), "{}", run.err);
    let run = home.analyze("plan --no-config".split(' '));
    assert!(run.code == Some(2) && run.err.contains("no section [[plan]]"), "{}", run.err);
}
