//! `top`: figures like those of a report, over segments that grow; and the screen itself, in tmux.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "../src/owners/tests/maker.rs"]
mod maker;
mod support;

use imon_common::observe::{Meter, MeterConfig};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::segment::SegmentWriter;
use imon_common::time::UnixNanos;
use maker::{Maker, asn};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::{Connection, Home, client_hello, dns_answer, segment_header, udp};

const PHONE: [u8; 4] = [192, 168, 1, 7];
const LAPTOP: [u8; 4] = [192, 168, 1, 8];
const RESOLVER: [u8; 4] = [192, 0, 2, 53];

/// Seconds of traffic in a segment.
const SECONDS: u64 = 60;

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A minute of two devices: a site that says its name, one that only DNS names, one address for two
/// sites, and an address without a name.
fn packets(start_s: u64) -> Vec<(u64, Vec<u8>)> {
    let at = |second: u64| (start_s + second) * 1_000_000;
    let mut all: Vec<(u64, Vec<u8>)> = Vec::new();
    let told = |second: u64, name: &str, address| {
        (at(second) + 1_000, udp((RESOLVER, 53), (PHONE, 5_353), &dns_answer(name, address)))
    };
    let shared = [198, 51, 100, 3];
    all.extend([told(1, "files.example.net", [198, 51, 100, 2]), told(2, "one.example.org", shared)]);
    all.push(told(40, "two.example.com", shared));
    let mut open = |second: u64, client, server, hello: &[u8]| {
        let mut connection =
            Connection::open(at(second), (client, 40_000 + second as u16), (server, 443), true).ask(hello);
        for n in 0..20 {
            connection = connection.answer(&vec![7; 900 + n]);
        }
        all.extend(connection.packets);
    };
    for second in (3..SECONDS - 1).step_by(5) {
        open(second, PHONE, [198, 51, 100, 1], &client_hello("www.video.example"));
        open(second + 1, PHONE, [198, 51, 100, 2], b"nothing that names");
        open(second + 1, PHONE, shared, b"nothing that names");
        open(second, LAPTOP, [198, 51, 100, 9], b"nothing that names");
    }
    all.sort_by_key(|(at, _)| *at);
    all
}

/// The segment that a recorder writes of packets, and where its blocks end.
fn segment(id: u8, start_s: u64, packets: &[(u64, Vec<u8>)]) -> (Vec<u8>, Vec<usize>) {
    next_segment(&mut Meter::new(MeterConfig::default()), id, start_s, packets)
}

/// The next segment of a run, whose flows have their numbers from one meter.
fn next_segment(meter: &mut Meter, id: u8, start_s: u64, packets: &[(u64, Vec<u8>)]) -> (Vec<u8>, Vec<usize>) {
    let sequence = id.into();
    let header = segment_header([id; 16], [9; 16], sequence, UnixNanos(start_s as i64 * 1_000_000_000));
    let mut writer = SegmentWriter::create(Vec::new(), &header).unwrap();
    let mut ends = vec![writer.get_ref().len()];
    for (at_us, bytes) in packets {
        let len = u32::try_from(bytes.len()).unwrap();
        let ts = UnixNanos(*at_us as i64 * 1_000);
        let packet = CapturedPacket { ts, orig_len: len, link_type: LinkType(1), interface: 0, data: bytes };
        meter.packet(&packet, &mut writer).unwrap();
        writer.commit().unwrap();
        ends.push(writer.get_ref().len());
    }
    meter.flush(&mut writer).unwrap();
    let (bytes, _) = writer.finish().unwrap();
    ends.dedup();
    (bytes, ends)
}

/// Bytes up and down by name.
type Sums = BTreeMap<String, (u64, u64)>;

fn sums(json: &str, key: &str, [up, down]: [&str; 2]) -> Sums {
    if json.is_empty() {
        return Sums::new();
    }
    let document: serde_json::Value = serde_json::from_str(json).unwrap();
    let rows = document["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| (row[key].as_str().unwrap().into(), (row[up].as_u64().unwrap(), row[down].as_u64().unwrap())))
        .collect()
}

fn of_top(home: &Home, line: &str, key: &str) -> Sums {
    sums(&home.ok(&format!("top {line} --once --json --by {key}")), key, ["today_up_bytes", "today_down_bytes"])
}

fn of_report(home: &Home, line: &str, key: &str) -> Sums {
    sums(&home.ok(&format!("report {line} --json --by {key}")), key, ["up_bytes", "down_bytes"])
}

/// A start in this day, whenever the test runs: `None` in the first minutes of a UTC day.
fn start() -> Option<u64> {
    let start = now_s() - 3 * SECONDS;
    (start / 86_400 == now_s() / 86_400).then_some(start)
}

#[test]
fn figures_are_those_of_a_report_at_every_length_of_a_segment() {
    let Some(start) = start() else { return };
    let home = Home::new();
    let (bytes, ends) = segment(1, start, &packets(start));
    let mut compared = 0;
    for end in ends.iter().step_by(ends.len() / 12).chain([&(bytes.len() - 7), &bytes.len()]) {
        let path = home.write("spool/a.part", &bytes[..*end]);
        for key in ["site", "host", "device", "evidence"] {
            let found = of_top(&home, "spool", key);
            assert_eq!(found, of_report(&home, path.to_str().unwrap(), key), "by {key}, {end} bytes");
            compared += found.len();
        }
    }
    assert!(compared > 100, "{compared}");
}

/// Twenty minutes of a phone that reads three pages again and again, each with what it pulls in,
/// and of an update that no page explains.
fn reading(start_s: u64) -> Vec<(u64, Vec<u8>)> {
    let mut all: Vec<(u64, Vec<u8>)> = Vec::new();
    let pages: [(&str, &[&str]); 3] = [
        ("www.news.example", &["cdn.pictures.example", "fonts.letters.example"]),
        ("www.shop.example", &["cdn.pictures.example", "pay.bank.example"]),
        ("www.weather.example", &["tiles.maps.example"]),
    ];
    let (mut port, mut address) = (20_000_u16, BTreeMap::new());
    let mut open = |at_us: u64, name: &str, pieces: usize| {
        let next = u8::try_from(address.len() + 1).unwrap();
        let server = [198, 51, 100, *address.entry(name.to_owned()).or_insert(next)];
        port += 1;
        let mut connection = Connection::open(at_us, (PHONE, port), (server, 443), true).ask(&client_hello(name));
        for n in 0..pieces {
            connection = connection.answer(&vec![7; 1_200 + n]);
        }
        all.extend(connection.packets);
    };
    for n in 0..36_u64 {
        let (page, third_parties) = pages[usize::try_from(n % 3).unwrap()];
        let at_us = (start_s + n * 33) * 1_000_000;
        open(at_us, page, 20);
        for (third_party, n) in third_parties.iter().zip(1..) {
            open(at_us + n * 150_000, third_party, 25);
        }
        if n % 7 == 3 {
            open(at_us + 17_000_000, "updates.vendor.example", 9);
        }
    }
    all.sort_by_key(|(at, _)| *at);
    all
}

/// A zone in which it is about noon.
fn at_noon() -> String {
    let offset = 12 - i64::try_from(now_s() / 3_600 % 24).unwrap();
    format!("{}{:02}:00", if offset < 0 { '-' } else { '+' }, offset.abs())
}

#[test]
fn pages_are_those_of_a_report_at_every_length_of_a_segment() {
    let start = now_s() - 20 * 60;
    let home = Home::new();
    let (bytes, ends) = segment(1, start, &reading(start));
    let (mut third_parties, mut classes) = (0, BTreeMap::<String, u64>::new());
    let rows = |said: &str, [up, down, total]: [&str; 3]| -> BTreeMap<String, serde_json::Value> {
        if said.is_empty() {
            return BTreeMap::new();
        }
        let document: serde_json::Value = serde_json::from_str(said).unwrap();
        let same = [up, down, total, "own_bytes", "third_party_bytes", "confidence"];
        let row = |row: &serde_json::Value| same.map(|field| row[field].clone()).to_vec().into();
        let rows = document["rows"].as_array().unwrap();
        rows.iter().map(|of| (of["page"].as_str().unwrap().to_owned(), row(of))).collect()
    };
    let of_top = |line: &str| {
        let line = format!("top {line} --once --json --by page --zone {}", at_noon());
        rows(&home.ok(&line), ["today_up_bytes", "today_down_bytes", "today_bytes"])
    };
    let of_report = |line: &str| {
        rows(&home.ok(&format!("report {line} --json --by page")), ["up_bytes", "down_bytes", "total_bytes"])
    };
    for end in ends.iter().step_by(ends.len() / 9).chain([&(bytes.len() - 7), &bytes.len()]) {
        let path = home.write("spool/a.part", &bytes[..*end]);
        let found = of_top("spool");
        assert_eq!(found, of_report(path.to_str().unwrap()), "{end} bytes");
        for row in found.values() {
            third_parties += row[4].as_u64().unwrap();
            let of_row = row[5].as_object().unwrap();
            of_row.iter().for_each(|(class, sum)| *classes.entry(class.clone()).or_default() += sum.as_u64().unwrap());
        }
    }
    // The same out of the database.
    std::fs::rename(home.path("spool/a.part"), home.path("spool/a.seg")).unwrap();
    home.ok("ingest spool --database books/imon.db");
    assert_eq!(of_top("spool --database books/imon.db"), of_report("spool/a.seg"));
    let some = ["own", "likely", "guess"].iter().all(|class| classes[*class] > 0);
    assert!(third_parties > 1_000_000 && some, "{third_parties} {classes:?}");
}

#[test]
fn addresses_without_a_name_have_their_owners() {
    let Some(start) = start() else { return };
    let home = Home::new();
    let (bytes, _) = segment(1, start, &packets(start));
    home.write("spool/a.part", &bytes);
    home.write("owners.mmdb", &Maker::default().with("198.51.100.0/24", asn(64_500, "Example Net")).bytes());
    let line = "top spool --once --json --by host --owners owners.mmdb";
    let owners = |line: &str| -> BTreeMap<String, serde_json::Value> {
        let document: serde_json::Value = serde_json::from_str(&home.ok(line)).unwrap();
        let rows = document["rows"].as_array().unwrap();
        rows.iter().map(|row| (row["host"].as_str().unwrap().into(), row["network"].clone())).collect()
    };
    let found = owners(line);
    assert_eq!(found["198.51.100.9"], "AS64500 Example Net");
    assert_eq!(found["www.video.example"], serde_json::Value::Null);
    let masked = owners(&format!("{line} --mask hosts"));
    assert!(masked.values().any(|network| network == "network 1"), "{masked:?}");
    assert!(!home.ok(&format!("{line} --mask all")).contains("Example Net"));
    // The filter finds them.
    let filtered = owners(&format!("{line} --filter AS64501"));
    assert!(filtered.is_empty(), "{filtered:?}");
    let filtered = owners(&format!("{line} --filter as64500"));
    assert_eq!(filtered.keys().collect::<Vec<_>>(), ["198.51.100.9"]);
    assert_eq!(of_top(&home, "spool --owners owners.mmdb", "site"), of_top(&home, "spool", "site"));
}

#[test]
fn what_the_store_has_and_what_is_read_count_once() {
    let Some(start) = start() else { return };
    let home = Home::new();
    let all = packets(start);
    let (first, second) = all.split_at(all.len() / 2);
    let next_s = second[0].0 / 1_000_000;
    let mut meter = Meter::new(MeterConfig::default());
    let (one, _) = next_segment(&mut meter, 1, start, first);
    let (two, ends) = next_segment(&mut meter, 2, next_s, second);
    home.write("spool/a.seg", &one);
    let half = ends[ends.len() / 2];
    home.write("spool/b.part", &two[..half]);
    home.ok("ingest spool --database books/imon.db");
    let booked = "--spool spool --database books/imon.db";
    for key in ["site", "device"] {
        assert_eq!(of_top(&home, booked, key), of_top(&home, "spool --database none.db", key), "by {key}");
    }
    // It grows, gets its final name, and a third one begins, while the store stays as it is.
    std::fs::remove_file(home.path("spool/b.part")).unwrap();
    home.write("spool/b.seg", &two);
    let late: Vec<_> = packets(start + SECONDS);
    let (three, _) = next_segment(&mut meter, 3, start + SECONDS, &late);
    home.write("spool/c.part", &three);
    for key in ["site", "device"] {
        assert_eq!(of_top(&home, booked, key), of_report(&home, "spool", key), "by {key}");
    }
}

#[test]
fn nothing_is_written() {
    let Some(start) = start() else { return };
    let home = Home::new();
    let (bytes, ends) = segment(1, start, &packets(start));
    home.write("spool/a.part", &bytes[..ends[ends.len() / 2]]);
    home.ok("ingest spool --database books/imon.db");
    let state = || {
        let mut files: Vec<(PathBuf, Vec<u8>, SystemTime)> = Vec::new();
        for folder in ["spool", "books", "."] {
            for entry in std::fs::read_dir(home.path(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let changed = std::fs::metadata(&path).unwrap().modified().unwrap();
                    files.push((path.clone(), std::fs::read(&path).unwrap(), changed));
                }
            }
        }
        files.sort();
        files
    };
    let before = state();
    home.ok("top spool --once --database books/imon.db");
    home.ok("top spool --once");
    assert_eq!(state(), before);
}

#[test]
fn without_a_terminal_or_a_spool_it_says_what_next() {
    let home = Home::new();
    let run = home.analyze(["top", "--spool", "nowhere"]);
    assert_eq!(run.code, Some(2), "{}", run.err);
    assert!(run.err.contains("error: top needs a terminal\n  hint:  `imon-analyze top --once`"), "{}", run.err);
    let run = home.analyze(["top", "--once", "--spool", "nowhere"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    assert!(run.err.starts_with("error: cannot read nowhere\n  cause: ") && run.err.contains("hint"), "{}", run.err);
    std::fs::create_dir(home.path("empty")).unwrap();
    let said = home.ok("top --once --spool empty");
    assert!(said.contains("nothing has passed"), "{said}");
    // What is no segment is passed over, and a damaged one costs no more than its bytes.
    home.write("empty/a.part", b"IMONSEG\0 and then nothing");
    home.write("empty/notes.seg", &[0; 4096]);
    assert!(home.ok("top --once --spool empty").contains("nothing has passed"));
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_is_there() {
    let Some(start) = start() else { return };
    let home = Home::new();
    let (mut bytes, ends) = segment(1, start, &packets(start));
    let mut meter = Meter::new(MeterConfig::default());
    home.write("spool/b.part", &next_segment(&mut meter, 2, start + SECONDS, &packets(start + SECONDS)).0);
    let rows = |line: &str, code| {
        let run = home.analyze(line.split_whitespace());
        assert_eq!(run.code, Some(code), "{line}: {}", run.err);
        (sums(&run.out, "site", ["today_up_bytes", "today_down_bytes"]), run.err)
    };
    let (alone, _) = rows("top spool --once --json", 0);
    assert!(!alone.is_empty());
    bytes[ends[0] + 60] ^= 1;
    home.write("spool/a.seg", &bytes);
    let (found, err) = rows("top spool --once --json", 3);
    assert_eq!(found, alone);
    assert!(err.contains("a.seg is damaged at byte ") && err.contains("`imon-analyze check` lists it"), "{err}");
    let (found, err) = rows("top spool gone --once --json", 1);
    assert!(found.is_empty() && err.starts_with("error: cannot read gone\n"), "{err}");
}

#[test]
fn hostile_and_masked_names_are_no_harm_and_no_names() {
    let Some(start) = start() else { return };
    let home = Home::new();
    let mut all = packets(start);
    let at = (start + 30) * 1_000_000;
    for (n, name) in ["a\u{1b}[2J.example", "=cmd|calc.example", &"x".repeat(60)].iter().enumerate() {
        let opened = Connection::open(at + n as u64, (PHONE, 50_000 + n as u16), ([198, 51, 100, 77], 80), true);
        all.extend(opened.ask(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n").as_bytes()).packets);
    }
    all.sort_by_key(|(at, _)| *at);
    home.write("spool/a.part", &segment(1, start, &all).0);
    for line in ["top spool --once", "top spool --once --csv --by host", "top spool --once --csv --by page"] {
        let said = home.ok(line);
        assert!(!said.contains('\u{1b}') && !said.lines().any(|line| line.starts_with('=')), "{said}");
    }
    for by in ["host", "page"] {
        let said = home.ok(&format!("top spool --once --json --mask all --by {by}"));
        assert!(said.contains(" 1\""), "{said}");
        for secret in ["example", "198.51.100", "192.168"] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    }
}

/// A screen of a terminal in a server of its own.
struct Tmux(String);

impl Tmux {
    /// `None` where there is no tmux.
    fn run(name: &str, size: (u16, u16), command: &str) -> Option<Self> {
        let tmux = Self(format!("imon-test-{name}-{}", std::process::id()));
        let (width, height) = (size.0.to_string(), size.1.to_string());
        let started = tmux.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, command]);
        if started.is_none() {
            eprintln!("skipped: the program tmux is missing");
        }
        started.map(|_| tmux)
    }

    fn tmux(&self, args: &[&str]) -> Option<String> {
        let mut tmux = Command::new("tmux");
        tmux.args(["-u", "-L", &self.0]).args(args).env_remove("TMUX");
        let output = tmux.env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"]).unwrap()
    }

    /// Waits until the screen holds `text`.
    fn await_text(&self, text: &str) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return screen;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "no `{text}` on\n{screen}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"][..], keys].concat()).unwrap();
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn on_a_terminal_rows_come_as_the_segment_grows_and_the_terminal_is_given_back() {
    let Some(start) = start() else { return };
    let home = Home::new();
    let (bytes, ends) = segment(1, start, &packets(start));
    home.write("spool/a.part", &bytes[..ends[0]]);
    let program = assert_cmd::cargo::cargo_bin("imon-analyze");
    let command = format!(
        "cd {}; export HOME=$PWD TZ=UTC; echo before; {} top spool; echo ended with $?; sleep 60",
        home.path(".").display(),
        program.display()
    );
    let Some(tmux) = Tmux::run("grows", (80, 24), &command) else { return };
    tmux.await_text("nothing has passed yet");
    home.write("spool/a.part", &bytes[..ends[ends.len() / 2]]);
    tmux.await_text("video.example");
    std::fs::rename(home.path("spool/a.part"), home.path("spool/a.seg")).unwrap();
    let screen = tmux.await_text("example.net");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    tmux.keys(&["2"]);
    tmux.await_text("192.168.1.8");
    tmux.keys(&["/", "site:video", "Enter"]);
    tmux.await_text("/site:video");
    tmux.keys(&["Enter"]);
    tmux.await_text("what is behind it");
    tmux.keys(&["q", "m"]);
    let screen = tmux.await_text("device 1");
    assert!(!screen.contains("192.168.1"), "{screen}");
    tmux.tmux(&["resize-window", "-x", "60", "-y", "12"]).unwrap();
    tmux.keys(&["?"]);
    tmux.await_text("quit");
    tmux.keys(&["Escape", "q"]);
    let screen = tmux.await_text("ended with 0");
    assert!(screen.contains("before") && !screen.contains("imon top"), "{screen}");
}

#[test]
fn a_signal_gives_the_terminal_back_as_well() {
    let home = Home::new();
    std::fs::create_dir(home.path("spool")).unwrap();
    let program = assert_cmd::cargo::cargo_bin("imon-analyze");
    let command = format!(
        "cd {}; export HOME=$PWD; {} top spool & echo $! >pid; fg; echo ended with $?; stty -a; sleep 60",
        home.path(".").display(),
        program.display()
    );
    let Some(tmux) = Tmux::run("signal", (100, 30), &format!("bash -i -m -c '{command}'")) else { return };
    tmux.await_text("imon top");
    let pid = std::fs::read_to_string(home.path("pid")).unwrap();
    assert!(Command::new("kill").arg(pid.trim()).status().unwrap().success());
    let screen = tmux.await_text("icanon");
    assert!(screen.contains("ended with 0") && !screen.contains("-icanon"), "{screen}");
}
