//! Alerts: once for each threshold, by a program that nobody else could have written, and with
//! names that do nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use clap::Parser as _;
use imon_analyze::cli::{Cli, Color, Surroundings};
use imon_analyze::commands;
use imon_analyze::config::Config;
use jiff::ToSpan as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use support::{Connection, Home, client_hello, dns_answer, pcap, udp};

const OWN: &str = ".config/imon/imon.toml";
const PHONE: ([u8; 4], u16) = ([192, 168, 1, 7], 40_000);
const TABLET: ([u8; 4], u16) = ([192, 168, 1, 8], 40_001);
const SERVER: ([u8; 4], u16) = ([203, 0, 113, 9], 4_000);

fn micros(at: jiff::Timestamp) -> u64 {
    u64::try_from(at.as_microsecond()).unwrap()
}

/// A home with a database of these packets, and an empty spool.
fn booked(packets: &[(u64, Vec<u8>)]) -> Home {
    let home = Home::in_memory();
    home.write("a.pcap", &pcap(packets));
    std::fs::create_dir(home.path("spool")).unwrap();
    home.ok("ingest a.pcap --database d/imon.db");
    home
}

/// What `alert` says at a moment, and how it ends.
fn at(home: &Home, config: &str, now: jiff::Timestamp) -> (u8, Vec<String>) {
    let line = format!("imon-analyze alert --database {0}/d/imon.db --spool {0}/spool", home.path("").display());
    let mut cli = Cli::try_parse_from(line.split(' ')).unwrap();
    let mut around = Surroundings { now, width: None, home: None, ..Surroundings::of_process(Color::Never) };
    around.config = Config::default();
    around.config.add(Path::new("imon.toml"), config, None).unwrap();
    around.config.fill(&mut cli);
    let mut out = Vec::new();
    let outcome = commands::run(cli.command.as_ref().unwrap(), &around, None, &mut out).unwrap();
    (outcome.exit_code(), String::from_utf8(out).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn each_threshold_is_told_once_a_period_over_a_year() {
    // 1,000 bytes at noon of each day.
    let first: jiff::Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let day = |n: i64| first.checked_add((24 * n).hours()).unwrap();
    let packets: Vec<_> = (0..365).map(|n| (micros(day(n)), udp(PHONE, SERVER, &[7; 972]))).collect();
    let home = booked(&packets);
    let config = "[report]\nzone = 'UTC'\n[[plan]]\nname = 'home'\ncap = '20 kB'\nbilling_day = 31\n[alert]\npercent = [50, 100]\n";
    let mut told: Vec<(String, u32)> = Vec::new();
    for half in 0..2 * 365 {
        let now = first.checked_add((12 * half).hours()).unwrap().checked_add(1.hour()).unwrap();
        let (code, lines) = at(&home, config, now);
        assert_eq!(code, if lines.is_empty() { 0 } else { 4 });
        for line in lines {
            let percent = line.split(' ').nth(1).unwrap().parse().unwrap();
            told.push((now.to_string(), percent));
        }
    }
    // Ten days and twenty days into each period: eleven that begin in 2026, and the one before.
    let times =
        |percent| told.iter().filter(|(_, of)| *of == percent).map(|(at, _)| at[..10].to_owned()).collect::<Vec<_>>();
    let expected: Vec<String> =
        "2026-01-10 2026-02-09 2026-03-09 2026-04-09 2026-05-09 2026-06-09 2026-07-09 2026-08-09 \
                                 2026-09-09 2026-10-09 2026-11-09 2026-12-09"
            .split_whitespace()
            .map(str::to_owned)
            .collect();
    assert_eq!(times(50), expected);
    assert_eq!(times(100).len(), 12, "{told:?}");
}

#[test]
fn rates_new_sites_and_new_devices_are_said() {
    let now: jiff::Timestamp = "2026-11-20T12:30:00Z".parse().unwrap();
    let before = |hours: i64| now.checked_sub(hours.hours()).unwrap();
    let mut packets: Vec<(u64, Vec<u8>)> = Vec::new();
    let hello = |at: jiff::Timestamp, name: &str, client: ([u8; 4], u16)| {
        Connection::open(micros(at), client, ([203, 0, 113, 77], 443), true).ask(&client_hello(name)).packets
    };
    packets.extend(hello(before(24 * 20), "www.example.org", PHONE));
    packets.extend(hello(before(3), "www.example.com", ([192, 168, 1, 7], 40_100)));
    packets.extend(hello(before(2), "www.example.org", ([192, 168, 1, 7], 40_101)));
    packets.extend((0..5).map(|n| (micros(before(1)) + n, udp(PHONE, SERVER, &[7; 972]))));
    packets.push((micros(before(0)) - 1_000_000, udp(TABLET, SERVER, &[7; 100])));
    packets.sort();
    let home = booked(&packets);
    let config = "[report]\nzone = 'UTC'\n[alert]\nnew_site = '100 B'\nnew_device = true\n\
                  [[alert.rate]]\nname = 'backup'\nsite = '203.0.113.9'\ndevice = '192.168.1.7'\nabove = '4 kB'\nper = 'hour'\n\
                  [[alert.rate]]\nsite = '203.0.113.9'\nabove = '9 kB'\n";
    let (code, lines) = at(&home, config, now);
    assert_eq!(code, 4);
    assert_eq!(
        lines.iter().map(|line| line.split(':').next().unwrap()).collect::<Vec<_>>(),
        ["backup", "new site example.com", "new device 192.168.1.8"],
        "{lines:?}"
    );
    assert!(lines[0].contains("4.88 KiB the hour from 2026-11-20T11:00:00+00:00"), "{lines:?}");
    assert_eq!(at(&home, config, now), (0, Vec::new()), "told already");
    // A week of the books is young: everything would be new.
    let young = booked(&packets[5..]);
    assert!(at(&young, config, now).1.iter().all(|line| !line.starts_with("new")));
}

#[test]
fn lines_say_what_is_used_what_there_is_and_what_it_comes_to() {
    let first: jiff::Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let day = |n: i64| first.checked_add((24 * n).hours()).unwrap();
    // Twice as much on the first three days: what follows is a range.
    let packets = (0..31).flat_map(|n| {
        let many = if n < 3 { 2 } else { 1 };
        (0..many).map(move |i| (n, i))
    });
    let packets: Vec<_> = packets.map(|(n, i)| (micros(day(n)) + i, udp(PHONE, SERVER, &[7; 972]))).collect();
    let home = booked(&packets);
    let plan = "[report]\nzone = 'UTC'\n[[plan]]\nname = 'home'\ncap = '20 kB'\n[alert]\n";
    let (_, lines) = at(&home, &format!("{plan}percent = [50]\n"), day(7));
    assert_eq!(lines, ["home: 50 % are used, 10.0 kB of 20.0 kB until 2026-01-31"]);
    let projection = format!("{plan}projection = true\n");
    assert_eq!(at(&home, &projection, day(2)).1, Vec::<String>::new(), "the period has just begun");
    let (_, lines) = at(&home, &projection, day(8));
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let (range, plan) = line.strip_prefix("home: ").unwrap().split_once(" on 2026-01-31, if it goes on so; ").unwrap();
    assert_eq!(plan, "the plan has 20.0 kB", "{line}");
    let (low, high) = range.split_once(" to ").unwrap();
    let kilo = |text: &str| text.strip_suffix(" kB").unwrap().parse::<f64>().unwrap();
    assert!(20.0 < kilo(low) && kilo(low) <= kilo(high) && kilo(high) < 60.0, "{line}");
    // It says so only where even the least is too much.
    let wide = projection.replace("20 kB", &format!("{} B", (kilo(high) * 1_000.0) as u64 + 100));
    assert_eq!(at(&booked(&packets), &wide, day(8)).1, Vec::<String>::new());
}

/// The ends of a projection stand in their order, and the lower one is what a program is told.
#[test]
fn a_projection_is_from_its_least_to_its_most() {
    let first: jiff::Timestamp = "2025-12-01T12:00:00Z".parse().unwrap();
    // 1,000 bytes a day, and 3,000 from the first of January on.
    let packets = (0..39).flat_map(|n| (0..if n < 31 { 1 } else { 3 }).map(move |i| (n, i)));
    let at_noon = |n: i64| micros(first.checked_add((24 * n).hours()).unwrap());
    let packets: Vec<_> = packets.map(|(n, i)| (at_noon(n) + i, udp(PHONE, SERVER, &[7; 972]))).collect();
    let home = booked(&packets);
    let plan = "[report]\nzone = 'UTC'\n[[plan]]\nname = 'home'\ncap = '50 kB'\n[alert]\nprojection = true\n";
    let (_, lines) = at(&home, plan, "2026-01-09T00:00:00Z".parse().unwrap());
    // 24 kB in the seven days and a half that were recorded. 23 days are to come: a Thursday was 3,
    // 3, 1 and 1 kB, any other weekday 3, 1, 1 and 1 kB.
    assert_eq!(lines, ["home: 60.0 kB to 99.2 kB on 2026-01-31, if it goes on so; the plan has 50.0 kB"]);
}

/// More than a rate; at least so much of a new site; nothing of a time to come.
#[test]
fn what_is_just_at_its_bound_is_told_as_the_words_say() {
    let now: jiff::Timestamp = "2026-11-20T12:30:00Z".parse().unwrap();
    let before = |minutes: i64| micros(now.checked_sub(minutes.minutes()).unwrap());
    let old = Connection::open(before(60 * 24 * 20), PHONE, ([203, 0, 113, 77], 443), true);
    let new = Connection::open(before(20), ([192, 168, 1, 7], 40_100), ([203, 0, 113, 78], 443), true);
    let mut packets = old.ask(&client_hello("www.example.org")).packets;
    packets.extend(new.ask(&client_hello("www.example.com")).packets);
    packets.extend((0..5).map(|n| (before(10) + n, udp(PHONE, SERVER, &[7; 972]))));
    packets.extend((0..5).map(|n| (before(70) + n, udp(PHONE, SERVER, &[7; 972]))));
    // A clock that is set back: this has not been yet.
    packets.extend((0..9).map(|n| (before(-30) + n, udp(PHONE, SERVER, &[7; 972]))));
    packets.sort();
    let home = booked(&packets);
    let rate = |above: u64| {
        let text = "[report]\nzone = 'UTC'\n[alert]\n[[alert.rate]]\nname = 'r'\nsite = '203.0.113.9'\nper = 'hour'\n";
        at(&home, &format!("{text}above = '{above} B'\n"), now).1
    };
    assert_eq!(rate(5_000), Vec::<String>::new());
    assert_eq!(
        rate(4_999),
        [
            "r: 4.88 KiB the hour from 2026-11-20T12:00:00+00:00, more than 4.88 KiB",
            "r: 4.88 KiB the hour from 2026-11-20T11:00:00+00:00, more than 4.88 KiB"
        ]
    );
    let site =
        home.ok("report --database d/imon.db --spool spool --in 2026-11-20 --zone UTC --site example.com --json");
    let (rows, _) = support::rows_and_ledger(&site);
    let bytes = rows[0]["total_bytes"].as_u64().unwrap();
    let new_site = |least: u64| at(&home, &format!("[report]\nzone = 'UTC'\n[alert]\nnew_site = '{least} B'\n"), now).1;
    assert_eq!(new_site(bytes + 1), Vec::<String>::new());
    assert_eq!(new_site(bytes), [format!("new site example.com: {bytes} B")]);
}

#[test]
fn a_flood_of_alerts_is_told_twenty_at_a_time() {
    let now: jiff::Timestamp = "2026-11-20T12:30:00Z".parse().unwrap();
    let before = |minutes: i64| micros(now.checked_sub(minutes.minutes()).unwrap());
    let hello = |at: u64, name: &str, port: u16| {
        Connection::open(at, ([192, 168, 1, 7], port), ([203, 0, 113, 77], 443), true).ask(&client_hello(name)).packets
    };
    let mut packets = hello(before(60 * 24 * 20), "www.example.org", 40_000);
    packets
        .extend((0..23_u16).flat_map(|n| hello(before(30) + u64::from(n), &format!("www.site-{n}.com"), 41_000 + n)));
    packets.sort();
    let home = booked(&packets);
    let config = "[report]\nzone = 'UTC'\n[alert]\nnew_site = '1 B'\n";
    let counts: Vec<usize> = (0..3).map(|_| at(&home, config, now).1.len()).collect();
    assert_eq!(counts, [20, 3, 0]);
}

/// A home in which a plan is over, whose alert goes to `script`.
fn over(script: &str, plan: &str) -> Home {
    let now = jiff::Timestamp::now();
    let home = booked(&[(micros(now), udp(PHONE, SERVER, &[7; 972]))]);
    let program = home.write("bin/tell", format!("#!/bin/sh\n{script}\n").as_bytes());
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let config = format!(
        "[report]\ndatabase = '{}'\nspool = '{}'\n[[plan]]\nname = {}\ncap = '1 GB'\nalready_used = '2 GB'\n\
         already_used_on = {today}\n[alert]\npercent = 100\nexec = '{}'\n",
        home.path("d/imon.db").display(),
        home.path("spool").display(),
        serde_json::to_string(plan).unwrap(),
        program.display()
    );
    home.write(OWN, config.as_bytes());
    home
}

#[test]
fn a_program_is_run_once_with_the_values_and_nothing_else() {
    let hostile = "$(touch pwned); `touch pwned` \" && touch pwned #";
    let home = over("env > \"$(dirname \"$0\")/said\"; pwd >> \"$(dirname \"$0\")/said\"; echo printed", hostile);
    let run = home.analyze(["alert"]);
    assert_eq!(run.code, Some(4), "{}", run.err);
    assert!(run.out.contains(": 100 % are used, 2.00 GB of 1.00 GB") && !run.out.contains("printed"), "{}", run.out);
    let said = std::fs::read_to_string(home.path("bin/said")).unwrap();
    assert!(said.contains(&format!("\nIMON_ALERT_SUBJECT={hostile}\n")), "{said}");
    for line in
        ["IMON_ALERT_KIND=percent", "IMON_ALERT_THRESHOLD=100", "IMON_ALERT_LIMIT=1000000000", "LC_ALL=C.UTF-8", "/"]
    {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert!(!said.contains("HOME=") && !said.contains("TZ="), "{said}");
    let everywhere = [home.path("pwned"), home.path("bin/pwned"), "/pwned".into()];
    assert!(everywhere.iter().all(|path: &std::path::PathBuf| !path.exists()));
    std::fs::remove_file(home.path("bin/said")).unwrap();
    let run = home.analyze(["alert"]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{}", run.err);
    assert!(!home.path("bin/said").exists());
    // What holds can be asked for at any time.
    let run = home.analyze(["alert", "--all"]);
    assert!(run.code == Some(4) && run.out.lines().count() == 1, "{}", run.err);
}

#[test]
fn a_hostile_site_reaches_the_program_as_data_only() {
    let now = jiff::Timestamp::now();
    let before = |hours: i64| now.checked_sub(hours.hours()).unwrap();
    let names = ["$(touch pwned).example", "-rf.example", "a'b\"c`touch pwned`.example", "x;touch pwned\ny.example"];
    let asks = |at: jiff::Timestamp, port: u16, name: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
        let client = ([192, 168, 1, 7], port);
        Connection::open(micros(at), client, ([203, 0, 113, 77], 80), true).ask(request.as_bytes()).packets
    };
    let mut packets = asks(before(24 * 20), 40_000, "www.example.org");
    packets.extend((40_001..).zip(names).flat_map(|(port, name)| asks(before(3), port, name)));
    // The same by DNS, whose labels hold any byte.
    for (n, name) in
        (0_u16..).zip(["$(touch pwned)", "\"; touch pwned; \"", "-n\u{1b}[2J", "two\nlines=IMON_ALERT_KIND"])
    {
        let (at, server) = (micros(before(2)) + u64::from(n) * 1_000_000, [203, 0, 113, 100 + n as u8]);
        let answer = dns_answer(&format!("{name}.example"), server);
        packets.push((at, udp(([192, 0, 2, 53], 53), ([192, 168, 1, 7], 5_353), &answer)));
        packets.extend(
            Connection::open(at + 1_000, ([192, 168, 1, 7], 41_000 + n), (server, 443), true).ask(&[7; 300]).packets,
        );
    }
    packets.sort();
    let home = booked(&packets);
    let program = home.write(
        "bin/tell",
        b"#!/bin/sh\ncd \"$(dirname \"$0\")\"\nprintf '%s\\0' \"$IMON_ALERT_SUBJECT\" \"$#\" >>said\n",
    );
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let line = format!(
        "[report]\ndatabase = '{}'\nspool = '{}'\n[alert]\nnew_site = '1 B'\nexec = '{}'\n",
        home.path("d/imon.db").display(),
        home.path("spool").display(),
        program.display()
    );
    home.write(OWN, line.as_bytes());
    let run = home.analyze(["alert"]);
    assert_eq!(run.code, Some(4), "{}", run.err);
    let said = std::fs::read_to_string(home.path("bin/said")).unwrap();
    let values: Vec<&str> = said.split_terminator('\0').collect();
    let subjects: Vec<&str> = values.iter().step_by(2).copied().collect();
    assert!(subjects.len() >= 3 && values.iter().skip(1).step_by(2).all(|count| *count == "0"), "{said}");
    assert!(subjects.iter().any(|subject| subject.contains("$(touch")), "{subjects:?}");
    assert!(!said.contains(['\n', '\u{1b}']) && !run.out.contains('\u{1b}'), "{said:?}");
    assert_eq!(run.out.lines().count(), subjects.len(), "a line for each: {}", run.out);
    for folder in ["", "bin", "d", "spool"] {
        assert!(!home.path(folder).join("pwned").exists(), "{folder}");
    }
    assert!(!Path::new("/pwned").exists());
}

#[test]
fn a_program_that_fails_is_tried_three_times() {
    let home = over("echo x >> \"$(dirname \"$0\")/tries\"; exit 1", "home");
    for n in 1..=3 {
        let run = home.analyze(["alert"]);
        assert!(run.code == Some(4) && run.err.contains(&format!("try {n} of 3")), "{n}: {}", run.err);
    }
    assert_eq!(home.analyze(["alert"]).code, Some(0));
    assert_eq!(std::fs::read_to_string(home.path("bin/tries")).unwrap().lines().count(), 3);
}

#[test]
fn what_others_could_have_written_is_not_run() {
    let home = over("exit 0", "home");
    let refused = |says: &str| {
        let run = home.analyze(["alert"]);
        assert!(run.code == Some(2) && run.err.contains(says), "{says}: {:?} {}", run.code, run.err);
    };
    let mode =
        |path: &str, mode| std::fs::set_permissions(home.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    mode("bin/tell", 0o775);
    refused("tell can be written by its group");
    mode("bin/tell", 0o755);
    mode("bin", 0o777);
    refused("can be written by everybody");
    mode("bin", 0o755);
    if !nix::unistd::geteuid().is_root() {
        mode(OWN, 0o664);
        refused("imon.toml can be written by its group");
        mode(OWN, 0o644);
    }
    let run = home.analyze(["alert", "--exec", "tell"]);
    assert!(run.code == Some(2) && run.err.contains("is no path from the root"), "{}", run.err);
    let run = home.analyze(["alert", "--exec", "/nonexistent/program"]);
    assert!(
        run.code == Some(2) && run.err.contains("cannot run /nonexistent/program\n  cause: No such"),
        "{}",
        run.err
    );
    mode("bin/tell", 0o644);
    refused("tell` makes it a program");
    assert!(!home.path("d/imon.db-alerts").exists(), "no try was counted");
    mode("bin/tell", 0o755);
    assert_eq!(home.analyze(["alert"]).code, Some(4));
    let run = home.analyze(["alert", "--no-config"]);
    assert!(run.code == Some(2) && run.err.contains("there is nothing to alert about"), "{}", run.err);
}

/// The file of what was told is there as it was until the new one is whole: what stands in the way
/// of that leaves it.
#[test]
fn what_was_told_is_never_half_a_file() {
    let seen: jiff::Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let now = seen.checked_add(1.hour()).unwrap();
    let home = booked(&[(micros(seen), udp(PHONE, SERVER, &[7; 572]))]);
    let config =
        "[report]\nzone = 'UTC'\n[[plan]]\nname = 'home'\ncap = '1 kB'\nbilling_day = 31\n[alert]\npercent = [50]\n";
    let memory = home.path("d/imon.db-alerts");
    home.write("d/imon.db-alerts.new", b"of a run that was cut short");
    assert_eq!(at(&home, config, now).1.len(), 1);
    let told = std::fs::read(&memory).unwrap();
    assert!(!told.is_empty() && !home.path("d/imon.db-alerts.new").exists());
    assert_eq!(at(&home, config, now).1.len(), 0);
    // In its place there is something that cannot be removed.
    home.write("d/imon.db-alerts.new/x", b"");
    let line = format!("imon-analyze alert --database {0}/d/imon.db --spool {0}/spool", home.path("").display());
    let mut cli = Cli::try_parse_from(line.split(' ')).unwrap();
    let mut around = Surroundings { now, width: None, home: None, ..Surroundings::of_process(Color::Never) };
    around.config.add(Path::new("imon.toml"), &config.replace("50", "10, 50"), None).unwrap();
    around.config.fill(&mut cli);
    let failed = commands::run(cli.command.as_ref().unwrap(), &around, None, &mut Vec::new()).unwrap_err();
    assert!(failed.to_string().contains("imon.db-alerts"), "{failed}");
    assert_eq!(std::fs::read(&memory).unwrap(), told);
}

/// In a store that a group shares, anybody of it may lock what was told.
#[test]
fn who_holds_what_was_told_is_waited_for_with_a_word() {
    let home = booked(&[(micros(jiff::Timestamp::now()) - 60_000_000, udp(PHONE, SERVER, &[7; 572]))]);
    home.write(OWN, b"[[plan]]\nname = 'home'\ncap = '1 kB'\n[alert]\npercent = [50]\n");
    let held = std::fs::File::create(home.path("d/imon.db-alerts")).unwrap();
    held.lock().unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        drop(held);
    });
    let run = home.analyze("alert --database d/imon.db --spool spool".split(' '));
    holder.join().unwrap();
    assert_eq!(run.code, Some(4), "{}", run.err);
    assert!(run.err.contains("note: waiting for ") && run.err.contains("imon.db-alerts, at most"), "{}", run.err);
}
