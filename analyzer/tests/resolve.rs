//! `--resolve` with the real program and a server of our own on the loopback.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod support;

use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{Home, pcap, rows_and_ledger, udp};

const START_US: u64 = 1_793_491_200_000_000;

/// A DNS server that knows `host.example.org` for one address and denies the others; keeps the
/// names it was asked for.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                let question = &buffer[..len];
                let name = labels(&question[12..]);
                let mut reply = question.to_vec();
                (reply[2], reply[3]) = (0x81, 0x80);
                if name == "5.6.7.8.in-addr.arpa" {
                    reply[7] = 1;
                    reply.extend(b"\xc0\x0c\0\x0c\0\x01\0\0\x0e\x10\0\x12\x04host\x07example\x03org\0");
                } else {
                    reply[3] = 0x83;
                }
                log.lock().unwrap().push(name);
                socket.send_to(&reply, from).unwrap();
            }
        });
        Self { address, asked }
    }

    /// What was asked since the last call, in order of the alphabet.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }
}

fn labels(mut bytes: &[u8]) -> String {
    let mut labels = Vec::new();
    while let [len @ 1..=63, rest @ ..] = bytes {
        let (label, rest) = rest.split_at((*len).into());
        labels.push(String::from_utf8(label.to_vec()).unwrap());
        bytes = rest;
    }
    labels.join(".")
}

/// Bytes to two public addresses, to a documentation address and to one of the local network.
fn capture(home: &Home) -> PathBuf {
    let servers: [[u8; 4]; 4] = [[8, 7, 6, 5], [8, 7, 6, 6], [203, 0, 113, 9], [192, 168, 0, 9]];
    let frame = |server, len| udp(([192, 168, 0, 2], 40_000), (server, 9_999), &vec![0; len]);
    let frames =
        servers.iter().enumerate().map(|(i, server)| (START_US + i as u64 * 1_000, frame(*server, 900 - i * 100)));
    home.write("unnamed.pcap", &pcap(&frames.collect::<Vec<_>>()))
}

const DAY: &str = "--from 2026-11-01 --to 2026-11-01";

#[test]
fn addresses_get_names_that_are_marked_and_the_books_stay_as_they_are() {
    let (home, server) = (Home::new(), Server::start());
    let file = capture(&home);
    let report = |options: &str| home.ok(&format!("report --format json {options} {}", file.display()));
    let (strict, strict_ledger) = rows_and_ledger(&report(""));
    let (rows, ledger) = rows_and_ledger(&report(&format!("--resolve --resolver {}", server.address)));
    assert_eq!(server.asked(), ["5.6.7.8.in-addr.arpa", "6.6.7.8.in-addr.arpa"], "nothing private or reserved");
    let row = |rows: &[serde_json::Value], site: &str| rows.iter().find(|row| row["site"] == site).cloned();
    let labelled = row(&rows, "example.org (ptr)").unwrap();
    assert_eq!(labelled["evidence"]["ptr"], 928);
    assert_eq!(labelled["total_bytes"], row(&strict, "8.7.6.5").unwrap()["total_bytes"]);
    assert!(row(&rows, "8.7.6.5").is_none() && row(&rows, "8.7.6.6").is_some());
    for part in ["ip_bytes", "named_bytes", "address_only_bytes", "local_bytes", "residual_bytes"] {
        assert_eq!(ledger[part], strict_ledger[part], "{part}");
    }
    assert_eq!((&ledger["ptr_bytes"], &strict_ledger["ptr_bytes"]), (&928.into(), &0.into()));
    let by_host = report(&format!("--by host --resolve --resolver {}", server.address));
    assert!(row_named(&by_host, "host", "host.example.org (ptr)"), "{by_host}");
    let by_page = report(&format!("--by page --resolve --resolver {}", server.address));
    assert!(row_named(&by_page, "page", "8.7.6.5"), "pages follow from names that were seen: {by_page}");
    let table = home.ok(&format!("report --resolve --resolver {} {}", server.address, file.display()));
    assert!(table.contains("example.org (ptr)") && table.contains("of which by ptr"), "{table}");
    assert!(table.contains("(ptr): "), "{table}");
}

fn row_named(json: &str, key: &str, text: &str) -> bool {
    rows_and_ledger(json).0.iter().any(|row| row[key] == text)
}

#[test]
fn the_database_remembers_answers_and_files_leave_nothing() {
    let (home, server) = (Home::new(), Server::start());
    let file = capture(&home);
    let resolve = format!("--resolve --resolver {}", server.address);
    home.ok(&format!("report {resolve} {}", file.display()));
    assert_eq!(server.asked().len(), 2);
    assert!(!home.path(".local").exists(), "a report on files leaves nothing behind");
    home.ok(&format!("ingest {}", file.display()));
    let first = home.ok(&format!("report {DAY} --format json {resolve}"));
    assert_eq!(server.asked().len(), 2);
    assert_eq!(home.ok(&format!("report {DAY} --format json {resolve}")), first);
    assert_eq!(server.asked(), [] as [&str; 0], "names and their absence are remembered");
    let strict = home.ok(&format!("report {DAY} --format json"));
    assert!(!strict.contains("(ptr)"), "what is remembered is shown only when it is asked for");
}

#[test]
fn at_most_so_many_addresses_are_asked_about() {
    let (home, server) = (Home::new(), Server::start());
    let file = capture(&home);
    home.ok(&format!("report --resolve --resolve-limit 1 --resolver {} {}", server.address, file.display()));
    assert_eq!(server.asked(), ["5.6.7.8.in-addr.arpa"], "the largest");
}

#[test]
fn a_server_that_is_silent_is_told_and_costs_seconds() {
    let home = Home::new();
    let file = capture(&home);
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let line = format!("report --resolve --resolver {} {}", silent.local_addr().unwrap(), file.display());
    let started = std::time::Instant::now();
    let run = home.analyze(line.split_whitespace());
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("2 of 2 addresses could not be looked up"), "{}", run.err);
    assert!(run.out.contains("8.7.6.5"), "{}", run.out);
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn without_the_option_nothing_is_sent() {
    let (home, server) = (Home::new(), Server::start());
    let file = capture(&home);
    let refused = home.analyze(["report", "--resolver", &server.address, file.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2), "--resolver alone does nothing, so it is refused");
    home.ok(&format!("report {}", file.display()));
    assert_eq!(server.asked(), [] as [&str; 0]);
    // Not one socket, where the kernel can be watched.
    let program = assert_cmd::cargo::cargo_bin("imon-analyze");
    let trace = home.path("trace");
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=socket,connect,sendto,sendmsg,sendmmsg", "-o"]).arg(&trace);
    strace.arg(program).arg("report").arg(&file).env("HOME", home.path("")).env("TZ", "UTC");
    match strace.output() {
        Ok(output) if output.status.success() => {
            // Also lines about the threads that end with the process, which strace cannot name any
            // more: `???( <detached ...>`.
            let trace = std::fs::read_to_string(&trace).unwrap();
            let calls: Vec<&str> = trace.lines().filter(|line| !line.contains("???(")).collect();
            assert_eq!(calls, [] as [&str; 0], "no socket is made");
        }
        _ => eprintln!("skipped: strace cannot be used here"),
    }
}
