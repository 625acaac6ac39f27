//! DNS answers of real captures against what tshark found in them.
//!
//! Needs the environment variable IMON_CORPUS: a folder with `captures/NAME` and
//! `truth/NAME.dns.tsv`. Captures that are compressed or damaged are passed over here;
//! whole-program tests read them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    missing_docs
)]

use imon_common::names::dns::parse;
use imon_common::names::resolver::{DnsLimits, DnsTracker, Passage};
use imon_common::names::{NameKind, NameSeen};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use imon_common::wire::{Frame, Transport, decode};
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Address records of the truth that are not found, each with its reason: (capture, asked name,
/// reason).
const KNOWN_MISSES: [(&str, &str, &str); 0] = [];

/// One address of an answer: asker, asked name, address.
type Row = (IpAddr, String, IpAddr);

/// The truth's times are decimal fractions of a second, to the µs.
const TOLERANCE_NS: i64 = 1_000;

/// Calls `each` with every packet; `false` if the file is no capture or damaged.
fn packets(file: &Path, mut each: impl FnMut(&CapturedPacket<'_>)) -> bool {
    let bytes = std::fs::read(file).unwrap();
    let ts = |t: Duration| UnixNanos(i64::try_from(t.as_nanos()).unwrap());
    if bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
        let Ok(mut reader) = PcapNgReader::new(&bytes[..]) else { return false };
        while let Some(block) = reader.next_block() {
            let Ok((Block::EnhancedPacket(packet), state)) = block else {
                if block.is_err() {
                    return false;
                }
                continue;
            };
            let link = state.interfaces()[packet.interface_id as usize].linktype;
            let link_type = LinkType(u32::from(link) as u16);
            let (ts, orig_len) = (ts(packet.timestamp), packet.original_len);
            each(&CapturedPacket { ts, orig_len, link_type, interface: 0, data: &packet.data });
        }
        true
    } else {
        let Ok(mut reader) = PcapReader::new(&bytes[..]) else { return false };
        let link_type = LinkType(u32::from(reader.header().datalink) as u16);
        while let Some(packet) = reader.next_packet() {
            let Ok(packet) = packet else { return false };
            let (ts, orig_len) = (ts(packet.timestamp()), packet.orig_len());
            each(&CapturedPacket { ts, orig_len, link_type, interface: 0, data: packet.data() });
        }
        true
    }
}

/// Everything that the tracker finds in a capture of which `snaplen` bytes of each packet are kept,
/// with the asker and the ports of the packet.
fn names_in(file: &Path, snaplen: usize) -> Option<Vec<(IpAddr, [u16; 2], NameSeen)>> {
    let mut tracker = DnsTracker::new(DnsLimits::default());
    let mut found = Vec::new();
    let whole = packets(file, |packet| {
        let data = packet.data.get(..snaplen).unwrap_or(packet.data);
        let Frame::Ip(ip) = decode(&CapturedPacket { data, ..*packet }) else { return };
        let ports = match ip.transport {
            Transport::Udp(u) => [u.src_port, u.dst_port],
            Transport::Tcp(t) => [t.src_port, t.dst_port],
            _ => [0, 0],
        };
        let [src, dst] = [SocketAddr::new(ip.src, ports[0]), SocketAddr::new(ip.dst, ports[1])];
        let from_client = if ports == [53, 53] { src < dst } else { ports[1] == 53 };
        let passage = Passage { ts: packet.ts, src, dst, from_client };
        let seen = match (&ip.transport, ip.fragment) {
            (transport, Some(fragment)) if ip.proto == 17 => tracker.udp_fragment(&passage, fragment, transport),
            (Transport::Udp(udp), _) => tracker.udp(&passage, udp.payload),
            (Transport::Tcp(tcp), _) if DnsTracker::wants_tcp(ports[0], ports[1]) => tracker.tcp(&passage, tcp),
            _ => Vec::new(),
        };
        found.extend(seen.into_iter().map(|seen| {
            let asker_is_src = seen.asker_is_server != from_client;
            (if asker_is_src { ip.src } else { ip.dst }, ports, seen)
        }));
    });
    whole.then_some(found)
}

/// Rows of kind dns in section an, with their times.
fn truth_of(file: &Path) -> Vec<(UnixNanos, Row)> {
    let mut rows = Vec::new();
    for line in std::fs::read_to_string(file).unwrap().lines().skip(1) {
        let f: Vec<&str> = line.split('\t').collect();
        if f[2] == "dns" && f[10] == "an" {
            let ts = UnixNanos((f[0].parse::<f64>().unwrap() * 1e6).round() as i64 * 1_000);
            rows.push((ts, (f[4].parse().unwrap(), f[6].to_ascii_lowercase(), f[8].parse().unwrap())));
        }
    }
    rows
}

fn captures_in(corpus: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(corpus.join("captures")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn the_answers_of_the_corpus_are_found() {
    let Some(corpus) = std::env::var_os("IMON_CORPUS") else {
        eprintln!("skipped: IMON_CORPUS is not set");
        return;
    };
    let corpus = Path::new(&corpus);
    let (mut rows, mut missed, mut unpaired, mut paired) = (0, Vec::new(), 0, 0);
    for file in captures_in(corpus) {
        let capture = file.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(found) = names_in(&file, usize::MAX) else {
            eprintln!("{capture}: passed over");
            continue;
        };
        let mut ours: BTreeMap<Row, Vec<UnixNanos>> = BTreeMap::new();
        for (asker, ports, seen) in &found {
            for address in &seen.addresses {
                let row = (*asker, seen.name.as_str().to_owned(), address.address);
                ours.entry(row).or_default().push(seen.ts);
            }
            match seen.kind {
                NameKind::Dns => paired += seen.addresses.len(),
                NameKind::DnsUnpaired => unpaired += seen.addresses.len(),
                _ => {}
            }
            if !ports.iter().any(|port| [53, 5353, 5355].contains(port)) {
                eprintln!("{capture}: ports {ports:?}: {seen:?}");
            }
        }
        for (ts, row) in truth_of(&corpus.join("truth").join(format!("{capture}.dns.tsv"))) {
            rows += 1;
            let is_near = |ours: &UnixNanos| ours.since(ts).abs() <= TOLERANCE_NS;
            if !ours.get(&row).is_some_and(|times| times.iter().any(is_near)) {
                missed.push((capture.clone(), row));
            }
        }
    }
    let unexplained: Vec<_> = missed
        .iter()
        .filter(|(capture, row)| !KNOWN_MISSES.iter().any(|(c, name, _)| c == capture && *name == row.1))
        .collect();
    eprintln!("{rows} address records in the truth, {} missed; ours: {paired} paired, {unpaired} not", missed.len());
    for miss in &missed {
        eprintln!("missed: {miss:?}");
    }
    assert!(unexplained.len() * 1_000 <= rows, "more than 0.1 % of {rows}: {unexplained:#?}");
}

#[test]
fn cut_captures_give_fewer_names_and_no_others() {
    let Some(corpus) = std::env::var_os("IMON_CORPUS") else {
        eprintln!("skipped: IMON_CORPUS is not set");
        return;
    };
    for file in captures_in(Path::new(&corpus)) {
        let rows = |snaplen: usize| -> Option<BTreeSet<Row>> {
            let rows = names_in(&file, snaplen)?.into_iter().flat_map(|(asker, _, seen)| {
                let name = seen.name.as_str().to_owned();
                seen.addresses.into_iter().map(move |a| (asker, name.clone(), a.address))
            });
            Some(rows.collect())
        };
        let Some(whole) = rows(usize::MAX) else { continue };
        for snaplen in [60, 96, 128, 192, 256, 400] {
            let others: Vec<_> = rows(snaplen).unwrap().difference(&whole).cloned().collect();
            assert!(others.is_empty(), "{} at {snaplen}: {others:?}", file.display());
        }
    }
}

/// Nanoseconds that `read` takes for one of `messages` in the mean, the best of nine rounds, and
/// how many it reads.
fn cost(messages: &[Vec<u8>], read: impl Fn(&[u8]) -> bool) -> (f64, usize) {
    let rounds = (0..9).map(|_| {
        let began = Instant::now();
        let known = messages.iter().filter(|message| read(black_box(message))).count();
        (began.elapsed().as_nanos() as f64 / messages.len() as f64, known)
    });
    rounds.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

/// Prints the table of `names::dns`: the walker beside simple-dns, on all messages of UDP port 53.
#[test]
#[ignore = "a measurement: cargo test --release -p imon-common --test corpus_dns -- --ignored --nocapture"]
fn what_a_message_costs() {
    let corpus = std::env::var_os("IMON_CORPUS").expect("IMON_CORPUS is not set");
    let (mut queries, mut responses, mut captures) = (Vec::new(), Vec::new(), 0);
    for file in captures_in(Path::new(&corpus)) {
        let before = queries.len() + responses.len();
        packets(&file, |packet| {
            let Frame::Ip(ip) = decode(packet) else { return };
            let Transport::Udp(udp) = ip.transport else { return };
            if ip.fragment.is_none() && (udp.src_port == 53 || udp.dst_port == 53) {
                let is_response = udp.payload.get(2).is_some_and(|flags| flags & 0x80 != 0);
                let kind = if is_response { &mut responses } else { &mut queries };
                kind.push(udp.payload.to_vec());
            }
        });
        captures += usize::from(queries.len() + responses.len() > before);
    }
    println!("{captures} captures; mean of a message, and how many of all are read");
    for (what, messages) in [("queries", &queries), ("responses", &responses)] {
        let (oracle_ns, oracle_read) = cost(messages, |message| simple_dns::Packet::parse(message).is_ok());
        let (own_ns, own_read) = cost(messages, |message| parse(message).is_some());
        println!("{what}: {}", messages.len());
        println!("  simple-dns, records only:             {oracle_ns:.0} ns, {oracle_read} read");
        println!("  the walker, names followed and shown: {own_ns:.0} ns, {own_read} read");
    }
}
