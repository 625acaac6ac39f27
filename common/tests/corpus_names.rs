//! Names inside the flows of real captures, against what tshark, nDPI and the servers' own logs
//! know.
//!
//! Needs the environment variable IMON_CORPUS: a folder with `captures/NAME`,
//! `truth/NAME.flows.tsv` and `netlab/`. Compressed captures are read through the usual programs
//! (gzip, xz, zstd, lz4); where one is missing, so is the capture.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

use imon_common::capture_file::CaptureReader;
use imon_common::names::finder::{Finder, FromClient, Search};
use imon_common::names::{Name, NameKind};
use imon_common::packet::CapturedPacket;
use imon_common::wire::{Frame, Transport, decode};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Flows whose name in the truth is not found, or another one: capture, name in the truth, reason.
const KNOWN_DIFFERENCES: &[(&str, &str, &str)] =
    &[("offload-on", "longrun.site-k.test", "the flow began before the capture: its hello is not in it")];

/// Share of the truth's names that must be found.
const LEAST_SHARE: f64 = 0.995;

/// Protocol and both ends, the lower first: the same for both directions.
type Tuple = (u8, (IpAddr, u16), (IpAddr, u16));

fn tuple(proto: u8, a: (IpAddr, u16), b: (IpAddr, u16)) -> Tuple {
    (proto, a.min(b), a.max(b))
}

/// A capture's bytes, unpacked.
fn unpacked(file: &Path) -> Option<Vec<u8>> {
    let program = match file.extension()?.to_str()? {
        "gz" => "gzip",
        "xz" => "xz",
        "zst" => "zstd",
        "lz4" => "lz4",
        _ => return std::fs::read(file).ok(),
    };
    let output = Command::new(program).arg("-dc").arg(file).output().ok()?;
    output.status.success().then_some(output.stdout)
}

#[derive(Default)]
struct Seen {
    client: Option<(IpAddr, u16)>,
    search: Search,
    name: Option<(NameKind, Name)>,
    shown: u32,
}

/// The name of each flow of a capture that has one, found packet by packet.
fn names_in(bytes: &[u8]) -> HashMap<Tuple, Seen> {
    let mut flows: HashMap<Tuple, Seen> = HashMap::new();
    let mut finder = Finder::new(1024);
    let mut show = |packet: &CapturedPacket<'_>| {
        let Frame::Ip(ip) = decode(packet) else {
            return;
        };
        let ports = match &ip.transport {
            Transport::Tcp(t) => (t.src_port, t.dst_port),
            Transport::Udp(u) => (u.src_port, u.dst_port),
            _ => return,
        };
        let (src, dst) = ((ip.src, ports.0), (ip.dst, ports.1));
        let flow = flows.entry(tuple(ip.proto, src, dst)).or_default();
        let from_client = *flow.client.get_or_insert(src) == src;
        if flow.search.is_done() {
            return;
        }
        flow.shown += 1;
        let found = match &ip.transport {
            Transport::Tcp(tcp) => finder.tcp(&mut flow.search, FromClient(from_client), tcp),
            Transport::Udp(udp) => finder.udp(&mut flow.search, FromClient(from_client), udp),
            _ => None,
        };
        if found.is_some() {
            flow.name = found;
        }
    };
    if let Ok(mut reader) = CaptureReader::new(bytes) {
        while let Ok(Some(packet)) = reader.next_packet() {
            show(&packet);
        }
    }
    flows
}

/// A named flow of the truth.
#[derive(Debug)]
#[allow(dead_code)] // shown in messages
struct Truth {
    tuple: Tuple,
    name: String,
    kind: String,
    flags: String,
}

fn truth_of(file: &Path) -> Vec<Truth> {
    let text = std::fs::read_to_string(file).unwrap();
    let rows = text.lines().skip(1).map(|l| l.split('\t').collect::<Vec<_>>());
    rows.filter(|f| !f[14].is_empty())
        .map(|f| {
            let end = |a: usize| (f[a].parse::<IpAddr>().unwrap(), f[a + 1].parse::<u16>().unwrap());
            Truth {
                tuple: tuple(if f[0] == "tcp" { 6 } else { 17 }, end(1), end(3)),
                name: without_port(f[14]),
                kind: f[15].to_owned(),
                flags: f.get(16).copied().unwrap_or_default().to_owned(),
            }
        })
        .collect()
}

/// A host as the truth writes it, made comparable.
fn without_port(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.rsplit_once(':') {
        Some((head, port)) if !head.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => head.to_owned(),
        _ => host,
    }
}

/// The flows that netlab's servers saw: from their logs, not from packets. Where no SNI is noted
/// (QUIC, clear-text HTTP) the hosts that were asked for are what a name must be among, unless the
/// client sent none on purpose.
fn netlab_truth(file: &Path) -> Vec<Truth> {
    let text = std::fs::read_to_string(file).unwrap();
    let rows = text.lines().skip(1).map(|l| l.split('\t').collect::<Vec<_>>());
    let nameless = |host: &str| host.contains("nosni") || host.parse::<IpAddr>().is_ok();
    rows.filter(|f| f[8] == "server-log" && !nameless(f[6]))
        .map(|f| {
            let end = |a: usize| (f[a].parse::<IpAddr>().unwrap(), f[a + 1].parse::<u16>().unwrap());
            Truth {
                tuple: tuple(if f[1] == "tcp" { 6 } else { 17 }, end(2), end(4)),
                name: if f[7] == "-" { f[6] } else { f[7] }.to_owned(),
                kind: format!("named by {}", f[8]),
                flags: String::new(),
            }
        })
        .collect()
}

#[derive(Default)]
struct Score {
    same: usize,
    missed: Vec<String>,
    other: Vec<String>,
    /// Names of ours in flows for which the truth has none.
    extra: usize,
}

fn compare(capture: &str, bytes: &[u8], truth: &[Truth], score: &mut Score) {
    let flows = names_in(bytes);
    let verbose = std::env::var_os("IMON_VERBOSE").is_some();
    for t in truth {
        let ours = flows.get(&t.tuple).and_then(|f| f.name.as_ref());
        let known = KNOWN_DIFFERENCES.iter().any(|(c, n, _)| *c == capture && *n == t.name);
        match ours {
            Some((_, name)) if t.name.split(',').any(|n| n == name.as_str()) => score.same += 1,
            _ if known => eprintln!("{capture}: known difference: {}", t.name),
            Some(ours) => score.other.push(format!("{capture}: {ours:?} for {t:?}")),
            None => score.missed.push(format!("{capture}: {t:?}")),
        }
    }
    for (tuple, flow) in &flows {
        if flow.name.is_some() && !truth.iter().any(|t| t.tuple == *tuple) {
            score.extra += 1;
            if verbose {
                eprintln!("{capture}: extra {:?} in {tuple:?}", flow.name);
            }
        }
    }
    if verbose && let Some(most) = flows.values().map(|f| f.shown).max() {
        let total: u32 = flows.values().map(|f| f.shown).sum();
        eprintln!("{capture}: {total} packets shown, at most {most} of one flow");
    }
}

#[test]
fn the_names_of_the_corpus_are_found() {
    let Some(corpus) = std::env::var_os("IMON_CORPUS").map(PathBuf::from) else {
        eprintln!("skipped: IMON_CORPUS is not set");
        return;
    };
    let mut score = Score::default();
    let mut files: Vec<_> = std::fs::read_dir(corpus.join("captures")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for file in files {
        let capture = file.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(bytes) = unpacked(&file) else {
            eprintln!("{capture}: not unpacked");
            continue;
        };
        let truth = truth_of(&corpus.join("truth").join(format!("{capture}.flows.tsv")));
        compare(&capture, &bytes, &truth, &mut score);
    }
    for (capture, truth) in [("browse-lan-slim", "browse-lan"), ("offload-on", "offload-on")] {
        let netlab = corpus.join("netlab");
        let truth = netlab_truth(&netlab.join(format!("{truth}.truth/truth-flows.tsv")));
        match unpacked(&netlab.join(format!("{capture}.pcap.gz"))) {
            Some(bytes) => compare(capture, &bytes, &truth, &mut score),
            None => eprintln!("{capture}: not unpacked"),
        }
    }
    let all = score.same + score.missed.len() + score.other.len();
    eprintln!(
        "{} of {all} names are the truth's; {} missed, {} other; {} where the truth has none",
        score.same,
        score.missed.len(),
        score.other.len(),
        score.extra
    );
    score.missed.iter().for_each(|m| eprintln!("missed: {m}"));
    assert!(score.other.is_empty(), "contradicted: {:#?}", score.other);
    assert!(score.same as f64 >= LEAST_SHARE * all as f64, "too few names");
}
