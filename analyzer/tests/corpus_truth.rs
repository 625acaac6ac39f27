//! Whole captures through the real program, against what tshark found in them: totals, flows, names
//! in flows, and names of DNS answers.
//!
//! Always over testdata/pcap with testdata/expect/flows.tsv; over real captures where the
//! environment variable IMON_CORPUS names a folder with `captures/NAME` and
//! `truth/NAME.{meta,flows,dns}.tsv`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

mod support;

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::{Home, testdata};

/// Captures whose totals differ from the truth's: capture, reason.
const KNOWN_TOTALS: &[(&str, &str)] = &[
    (
        "tcpdump__mpls-traceroute.pcap",
        "the 9 labelled packets are IPv4 with a right checksum; tshark shows them as data",
    ),
    ("gopacket__test901.pcapng", "damaged: sections of version 2 are not read"),
    ("PcapPlusPlus__solaris.snoop", "not a capture format that is read"),
    ("nDPI__fuzz-2006-06-26-2594.pcap", "27 headers state more than their frames hold; the truth believes them"),
];

/// Captures in which frames are undecodable that the truth calls not IP.
const KNOWN_UNDECODABLE: &[&str] = &[
    // An Ethernet frame that says IPv4 or IPv6 and does not begin with such a header.
    "PcapXray__torExample.pcap",
    "nDPI__fuzz-2006-06-26-2594.pcap",
    // Cut before the IP header.
    "tcpdump__pktap-heap-overflow.pcap",
    "tcpdump__slip-sliplink_print-oobr.pcap",
];

/// Flows that differ from the truth's: capture, start of the flow as messages write it, reason.
const KNOWN_FLOWS: &[(&str, &str, &str)] = &[
    ("tcpdump__mpls-traceroute.pcap", "", "as for its totals"),
    ("gopacket__test901.pcapng", "", "as for its totals"),
    ("wireshark__many_interfaces.pcapng.1", "17 192.168.1.139:17500 ", ON_TWO_INTERFACES),
    ("PcapPlusPlus__solaris.snoop", "", "as for its totals"),
    ("mercury__dns_packet.capture2.pcap", "17 67.252.131.62:55645 ", TEREDO),
    ("mercury__dns_packet.capture2.pcap", "6 2001:0:9d38:6ab8:2428:d67b:3a62:ffee:", TEREDO),
    ("mercury__dns_packet.capture2.pcap", "0 2001:0:9d38:6ab8:2428:d67b:3a62:ffee:0 ", NO_NEXT_HEADER),
    ("mercury__dns_packet.capture2.pcap", "59 2001:0:9d38:6ab8:2428:d67b:3a62:ffee:0 ", NO_NEXT_HEADER),
    ("mercury__emix.pcap", "0 2001:0:5ef5:79fd:1844:218d:9355:5e5f:0 ", NO_NEXT_HEADER),
    ("mercury__emix.pcap", "59 2001:0:5ef5:79fd:1844:218d:9355:5e5f:0 ", NO_NEXT_HEADER),
    ("tcpdump__ipv6-too-long-jumbo.pcap", "", NO_NEXT_HEADER),
    ("tcpdump__ipv6_mobility_1.pcap", "", NO_NEXT_HEADER),
    ("nDPI__fuzz-2006-06-26-2594.pcap", "17 192.168.1.1:", "a later fragment follows the ports of the first one"),
    ("nDPI__fuzz-2006-06-26-2594.pcap", "0 34:4489:e530:100:1:::0 ", BEYOND),
    ("nDPI__fuzz-2006-06-26-2594.pcap", "6 147.234.1.249:2069 ", BEYOND),
    ("nDPI__fuzz-2006-06-26-2594.pcap", "6 147.234.1.253:120 ", BEYOND),
    ("nDPI__fuzz-2006-06-26-2594.pcap", "6 147.234.1.253:58999 ", BEYOND),
    ("nDPI__fuzz-2006-06-26-2594.pcap", "17 115.0.1.2:2798 ", BEYOND),
    ("nDPI__fuzz-2006-06-26-2594.pcap", "17 192.168.1.2:137 ", BEYOND),
    ("nDPI__fuzz-2006-06-26-2594.pcap", "17 192.168.1.2:5060 ", BEYOND),
    ("nDPI__fuzz-2006-06-26-2594.pcap", "17 192.168.1.255:137 ", BEYOND),
    ("nDPI__fuzz-2006-06-26-2594.pcap", "170 170.170.170.170:0 ", BEYOND),
    ("zeek__gtp1_gn_normal_incl_fragmentation.pcap", "17 63.94.149.181:0 ", "39 later fragments follow the inner flow"),
];

/// Why a flow differs.
const BEYOND: &str = "the header states more than the whole frame holds: the frame's length counts";
/// Why a flow differs.
const TEREDO: &str = "Teredo between peers on arbitrary ports: booked on the inner TCP flow";
/// Why a flow differs.
const NO_NEXT_HEADER: &str = "the protocol after the extension headers is the flow's; the truth leaves it open";

/// Why a flow differs.
const ON_TWO_INTERFACES: &str = "a broadcast that the system loops back: seen on lo0 as well, and counted once";

/// Least share of the truth's named flows that have the same name.
const LEAST_NAMES: f64 = 0.995;

/// Least share of the truth's address records that are found.
const LEAST_RECORDS: f64 = 0.999;

/// No capture of the corpus is larger than some MiB: even a debug build on a busy machine is done
/// in this time.
const MOST_TIME: Duration = Duration::from_secs(60);

/// Protocol and both ends, the lower first: the same for both directions.
type Tuple = (u8, (IpAddr, u16), (IpAddr, u16));

fn tuple(proto: u8, a: (IpAddr, u16), b: (IpAddr, u16)) -> Tuple {
    (proto, a.min(b), a.max(b))
}

fn shown(tuple: &Tuple) -> String {
    format!("{} {}:{} {}:{}", tuple.0, tuple.1.0, tuple.1.1, tuple.2.0, tuple.2.1)
}

/// Packets and bytes from the lower end, packets and bytes from the upper end.
type Amounts = [u64; 4];

fn add(sum: &mut Amounts, from_low: bool, out: (u64, u64), back: (u64, u64)) {
    let (low, high) = if from_low { (out, back) } else { (back, out) };
    for (sum, more) in sum.iter_mut().zip([low.0, low.1, high.0, high.1]) {
        *sum += more;
    }
}

/// What our programs make of a capture.
struct Ours {
    /// Frames, IP packets, IP bytes, frames that are not IP or not decodable.
    totals: [u64; 4],
    undecodable: u64,
    flows: BTreeMap<Tuple, Amounts>,
    hosts: BTreeMap<Tuple, BTreeSet<String>>,
}

/// The lines that a command prints of a capture, or `None` if it is none.
fn printed(command: &str, file: &Path, more: &[&str]) -> Option<Vec<Value>> {
    let began = Instant::now();
    let args = [command.as_ref(), file.as_os_str()].into_iter().chain(more.iter().map(OsStr::new));
    let run = Home::new().analyze(args);
    assert!(began.elapsed() < MOST_TIME, "{} takes {:?}", file.display(), began.elapsed());
    let said =
        run.err.starts_with("error: ") && run.err.contains(&*file.to_string_lossy()) && run.err.contains("cause: ");
    match run.code {
        Some(0) => assert_eq!(run.err, "", "{}", file.display()),
        Some(1) => {
            assert!(said && run.out.is_empty(), "{}: {}", file.display(), run.err);
            return None;
        }
        Some(3) => assert!(said, "{}: {}", file.display(), run.err),
        other => panic!("{}: {other:?}: {}", file.display(), run.err),
    }
    Some(serde_json::Deserializer::from_str(&run.out).into_iter().map(Result::unwrap).collect())
}

/// A capture read to its end, or `None` if it is none.
fn books_of(file: &Path) -> Option<Ours> {
    let report = printed("report", file, &["--format", "json"])?;
    let ledger = |key: &str| report[0]["ledger"][key].as_u64().unwrap();
    let undecodable = ledger("undecodable_packets");
    let totals = [
        ledger("packets"),
        ledger("ip_packets"),
        ledger("ip_bytes") - ledger("undecodable_bytes"),
        ledger("non_ip_packets") + undecodable,
    ];
    assert_eq!(report[0]["ledger"]["residual_bytes"], 0, "{}", file.display());
    let mut ours = Ours { totals, undecodable, flows: BTreeMap::new(), hosts: BTreeMap::new() };
    let mut sum = [0; 2];
    for flow in printed("flows", file, &[]).unwrap() {
        let number = |key: &str| flow[key].as_u64().unwrap();
        let end = |address: &str, port: &str| (flow[address].as_str().unwrap().parse().unwrap(), number(port) as u16);
        let (client, server) = (end("client", "client_port"), end("server", "server_port"));
        let key = tuple(proto(flow["proto"].as_str().unwrap()), client, server);
        let up = (number("up_packets"), number("up_bytes"));
        let down = (number("down_packets"), number("down_bytes"));
        add(ours.flows.entry(key).or_default(), client <= server, up, down);
        ours.hosts.entry(key).or_default().insert(flow["host"].as_str().unwrap().to_owned());
        sum = [sum[0] + up.0 + down.0, sum[1] + up.1 + down.1];
    }
    assert_eq!(sum, [totals[1], totals[2]], "{}: the flows are all that the ledger holds", file.display());
    // The truth counts a packet on each interface that it was seen on.
    ours.totals = [totals[0], totals[1] + ledger("copies_packets"), totals[2] + ledger("copies_bytes"), totals[3]];
    Some(ours)
}

/// One row of the truth's flows.
struct TrueFlow {
    key: Tuple,
    amounts: Amounts,
    depth: u32,
    name: Option<(String, String)>,
}

fn proto(text: &str) -> u8 {
    match text {
        "tcp" => 6,
        "udp" => 17,
        "icmp" => 1,
        "icmpv6" => 58,
        other => other.trim_start_matches("ip").parse().unwrap_or_default(),
    }
}

/// `fields`: proto, a, its port, b, its port, packets from a and b, bytes from a and b.
fn true_flow(fields: &[&str]) -> TrueFlow {
    let end = |at: usize| (fields[at].parse::<IpAddr>().unwrap(), fields[at + 1].parse::<u16>().unwrap());
    let number = |at: usize| fields[at].parse::<u64>().unwrap();
    let (a, b) = (end(1), end(3));
    let mut amounts = [0; 4];
    add(&mut amounts, a <= b, (number(5), number(7)), (number(6), number(8)));
    TrueFlow { key: tuple(proto(fields[0]), a, b), amounts, depth: 1, name: None }
}

fn lines(file: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn flows_of_corpus(file: &Path) -> Vec<TrueFlow> {
    let rows = lines(file);
    let rows = rows.iter().skip(1).map(|row| row.iter().map(String::as_str).collect::<Vec<_>>());
    rows.map(|row| {
        let named = !row[14].is_empty();
        let name = named.then(|| (without_port(row[14]), row[15].to_owned()));
        TrueFlow { depth: row[13].parse().unwrap(), name, ..true_flow(&row) }
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

/// What differs between the truth's flows and ours, in words.
fn differences(truth: &[TrueFlow], ours: &Ours) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut outer: BTreeMap<Tuple, Amounts> = BTreeMap::new();
    let inner: BTreeSet<Tuple> = truth.iter().filter(|f| f.depth > 1).map(|f| f.key).collect();
    for flow in truth.iter().filter(|f| f.depth == 1) {
        let sum = outer.entry(flow.key).or_default();
        sum.iter_mut().zip(flow.amounts).for_each(|(sum, more)| *sum += more);
    }
    for (key, amounts) in &outer {
        match ours.flows.get(key) {
            Some(found) if found == amounts || inner.contains(key) => {}
            found => wrong.push(format!("{}: {found:?}, not {amounts:?}", shown(key))),
        }
    }
    for key in &inner {
        if !ours.flows.contains_key(key) {
            wrong.push(format!("{}: inner flow not found", shown(key)));
        }
    }
    for key in ours.flows.keys().filter(|key| !outer.contains_key(*key) && !inner.contains(*key)) {
        wrong.push(format!("{}: not in the truth: {:?}", shown(key), ours.flows[key]));
    }
    wrong
}

#[test]
fn small_captures_give_the_flows_that_tshark_finds() {
    let (mut files, mut captures) = (0, BTreeMap::<String, ([u64; 4], Vec<TrueFlow>)>::new());
    let mut current = String::new();
    for row in lines(&testdata("expect/flows.tsv")) {
        let fields: Vec<&str> = row.iter().map(String::as_str).collect();
        match fields[0] {
            "file" => {
                current = fields[1].to_owned();
                let totals = [2, 3, 4, 5].map(|at: usize| fields[at].parse().unwrap());
                captures.insert(current.clone(), (totals, Vec::new()));
            }
            "flow" => captures.get_mut(&current).unwrap().1.push(true_flow(&fields[1..])),
            _ => {}
        }
    }
    for (name, (totals, flows)) in &captures {
        let ours = books_of(&testdata("pcap").join(name)).unwrap();
        assert_eq!((ours.totals, ours.undecodable), (*totals, 0), "{name}");
        assert_eq!(differences(flows, &ours), Vec::<String>::new(), "{name}");
        files += 1;
    }
    assert!(files >= 45, "{files} captures");
}

fn corpus() -> Option<(PathBuf, Vec<PathBuf>)> {
    let Some(corpus) = std::env::var_os("IMON_CORPUS").map(PathBuf::from) else {
        eprintln!("skipped: IMON_CORPUS is not set");
        return None;
    };
    let mut files: Vec<_> = std::fs::read_dir(corpus.join("captures")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    Some((corpus, files))
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn totals_and_flows_of_the_corpus_are_the_truth() {
    let Some((corpus, files)) = corpus() else { return };
    let (mut wrong, mut equal, mut flows) = (Vec::new(), 0, 0);
    for file in files {
        let capture = name_of(&file);
        let truth = |kind: &str| corpus.join("truth").join(format!("{capture}.{kind}.tsv"));
        let meta: BTreeMap<String, String> =
            lines(&truth("meta")).into_iter().filter(|l| l.len() > 1).map(|l| (l[0].clone(), l[1].clone())).collect();
        let expected = ["packets", "ip_packets", "ip_bytes", "nonip_packets"].map(|k| meta[k].parse::<u64>().unwrap());
        let Some(ours) = books_of(&file) else {
            if !KNOWN_TOTALS.iter().any(|(c, _)| *c == capture) {
                wrong.push(format!("{capture}: not read"));
            }
            continue;
        };
        let decoded = ours.undecodable == 0 || KNOWN_UNDECODABLE.contains(&capture.as_str());
        let same = ours.totals == expected && decoded;
        if !same {
            let line = format!("{capture}: {:?} ({} undecodable), not {expected:?}", ours.totals, ours.undecodable);
            match KNOWN_TOTALS.iter().find(|(c, _)| *c == capture) {
                Some((_, reason)) => eprintln!("known: {line}: {reason}"),
                None => wrong.push(line),
            }
        }
        equal += u32::from(same);
        let truth = flows_of_corpus(&truth("flows"));
        flows += truth.len();
        for line in differences(&truth, &ours) {
            match KNOWN_FLOWS.iter().find(|(c, start, _)| *c == capture && line.starts_with(start)) {
                Some((.., reason)) => eprintln!("known: {capture}: {line}: {reason}"),
                None => wrong.push(format!("{capture}: {line}")),
            }
        }
    }
    eprintln!("{equal} captures with equal totals; {flows} flows compared");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn flows_of_the_corpus_are_booked_on_the_names_inside_them() {
    let Some((corpus, files)) = corpus() else { return };
    let (mut all, mut same, mut missed, mut other) = (0u32, 0u32, Vec::new(), Vec::new());
    for file in files {
        let capture = name_of(&file);
        let Some(ours) = books_of(&file) else { continue };
        for flow in flows_of_corpus(&corpus.join("truth").join(format!("{capture}.flows.tsv"))) {
            let Some((name, kind)) = flow.name else { continue };
            all += 1;
            let line = || format!("{capture}: {name} ({kind}) of {}", shown(&flow.key));
            // A flow of which only the address is known is missed, any other name contradicts.
            let is_name = |host: &String| host.parse::<IpAddr>().is_err();
            match ours.hosts.get(&flow.key) {
                Some(found) if name.split(',').any(|n| found.contains(n)) => same += 1,
                Some(found) if found.iter().any(is_name) => other.push(format!("{}: {found:?}", line())),
                _ => missed.push(line()),
            }
        }
    }
    eprintln!("{same} of {all} flows are booked on the truth's name");
    missed.iter().for_each(|line| eprintln!("missed: {line}"));
    assert!(other.is_empty(), "contradicted:\n{}", other.join("\n"));
    assert!(f64::from(same) >= LEAST_NAMES * f64::from(all), "{same} of {all}");
}

#[test]
fn answers_of_the_corpus_have_the_truths_client_name_and_address() {
    let Some((corpus, files)) = corpus() else { return };
    let (mut all, mut missed) = (0u32, Vec::new());
    for file in files {
        let capture = name_of(&file);
        let Some(names) = printed("names", &file, &[]) else { continue };
        let text = |name: &Value, key: &str| name[key].as_str().unwrap().to_owned();
        let address = |name: &Value, key: &str| text(name, key).parse::<IpAddr>().unwrap();
        let answers = names.iter().filter(|name| name["kind"] == "dns");
        let ours: BTreeSet<_> =
            answers.map(|n| (address(n, "client"), text(n, "name"), address(n, "address"))).collect();
        for row in lines(&corpus.join("truth").join(format!("{capture}.dns.tsv"))).iter().skip(1) {
            if row[2] != "dns" || row[10] != "an" {
                continue;
            }
            all += 1;
            let key = (row[4].parse().unwrap(), row[6].to_ascii_lowercase(), row[8].parse().unwrap());
            if !ours.contains(&key) {
                missed.push(format!("{capture}: {key:?}"));
            }
        }
    }
    eprintln!("{} of {all} address records are found", all as usize - missed.len());
    missed.iter().for_each(|line| eprintln!("missed: {line}"));
    assert!(missed.len() as f64 <= (1.0 - LEAST_RECORDS) * f64::from(all), "{} of {all} missed", missed.len());
}
