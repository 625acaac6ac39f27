//! testdata/segments against today's code: the reader gives what is stated, the writer gives the
//! same bytes.
//!
//! `cargo test -p imon-common --test segment_vectors -- --ignored` writes them anew. A file of a
//! format version that was released is never rewritten: a new version adds its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use imon_common::flow::{Flow, FlowName, Opener, Scope};
use imon_common::local::LocalNets;
use imon_common::names::{AnswerAddress, Name, NameKind, NameSeen, RecordKind};
use imon_common::observe::{Count, Counter, GapReason, Observer, Usage};
use imon_common::packet::{Interface, LinkType};
use imon_common::segment::{SegmentClose, SegmentHeader, SegmentReader, SegmentWriter};
use imon_common::time::UnixNanos;
use imon_common::wire::{Mac, NotIp};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::PathBuf;

const SECOND: i64 = 1_000_000_000;
const START: i64 = 1_793_491_200 * SECOND;

/// Where the kind of the first statement stands in `good.seg`.
const KIND_AT: usize = 344;

fn header() -> SegmentHeader {
    SegmentHeader {
        format: SegmentHeader::FORMAT,
        segment: *b"segment-uuid-16b",
        recorder: *b"recorderuuid-16b",
        run: *b"run-uuid-16bytes",
        sequence: 3,
        before: *b"segment-before-3",
        before_hash: [0xab; 32],
        boot: *b"boot-uuid-16byte",
        start: UnixNanos(START + 250_000_000),
        monotonic_start_ns: 5_000_000_000,
        interval_ns: SECOND,
        link_type: LinkType(1),
        interface: "eth0".into(),
        local: LocalNets::new(["192.0.2.0/24".parse().unwrap(), "2001:db8:1::/64".parse().unwrap()]),
    }
}

fn name(text: &str) -> Name {
    Name::from_host(text.as_bytes()).unwrap()
}

/// A DNS exchange with the resolver.
fn dns_flow() -> Flow {
    Flow {
        number: 41,
        client: "192.0.2.7".parse().unwrap(),
        server: "192.0.2.1".parse().unwrap(),
        client_port: 53_001,
        server_port: 53,
        proto: 17,
        scope: Scope::Local,
        begin_seen: true,
        opened: imon_common::flow::Opener::Client,
        interface: 0,
        vlan: None,
        client_mac: Some(Mac([2, 0, 0, 0, 0, 7])),
        start: UnixNanos(START + 300_000_000),
        name: None,
    }
}

/// A TLS connection that began before the segment did, and named itself there.
fn tls_flow() -> Flow {
    Flow {
        number: 40,
        client: "2001:db8:1::7".parse().unwrap(),
        server: "2001:db8:2::80".parse().unwrap(),
        client_port: 40_000,
        server_port: 443,
        proto: 6,
        scope: Scope::Remote,
        begin_seen: false,
        opened: imon_common::flow::Opener::Client,
        interface: 0,
        vlan: None,
        client_mac: None,
        start: UnixNanos(START - 2 * SECOND),
        name: Some(FlowName::new(NameKind::Sni, name("www.example.org"))),
    }
}

fn answer() -> NameSeen {
    let address = |text: &str, ttl_s, record| AnswerAddress { address: text.parse().unwrap(), ttl_s, record };
    NameSeen {
        ts: UnixNanos(START + 310_000_000),
        kind: NameKind::Dns,
        name: name("video.example"),
        chain: vec![name("edge.cdn.example")],
        addresses: vec![address("198.51.100.9", 300, RecordKind::A), address("2001:db8:2::9", 60, RecordKind::Hint)],
        asker_is_server: false,
        relayed: false,
    }
}

/// The observations of two seconds.
fn write_sample<O: Observer<Error: std::fmt::Debug>>(out: &mut O) {
    let usage =
        |up_packets, down_packets, up_bytes, down_bytes| Usage { up_packets, down_packets, up_bytes, down_bytes };
    let (first, second) = (UnixNanos(START), UnixNanos(START + SECOND));
    out.name(&dns_flow(), &answer()).unwrap();
    out.usage(&dns_flow(), first, usage(1, 1, 59, 120)).unwrap();
    out.usage(&tls_flow(), first, usage(2, 3, 160, 4_200)).unwrap();
    let arp = Count { counter: Counter::NotIp(NotIp::EtherType(0x0806)), packets: 2, bytes: 84 };
    out.counts(first, &[arp]).unwrap();
    // Later in the same group the connection goes on, and a plain HTTP request names a flow.
    let http = Flow {
        number: 42,
        client_port: 40_002,
        server_port: 80,
        begin_seen: true,
        start: UnixNanos(START + SECOND + 1_000),
        name: Some(FlowName::new(NameKind::Http, name("www.example.org"))),
        ..tls_flow()
    };
    let seen = NameSeen {
        ts: UnixNanos(START + SECOND + 5_000),
        kind: NameKind::Http,
        name: name("www.example.org"),
        chain: vec![],
        addresses: vec![],
        asker_is_server: false,
        relayed: false,
    };
    out.name(&http, &seen).unwrap();
    out.usage(&tls_flow(), second, usage(0, 1, 0, 1_500)).unwrap();
    out.usage(&http, second, usage(4, 0, 400, 0)).unwrap();
    let gap = Count { counter: Counter::Gap(GapReason::Suspend), packets: 1, bytes: 90 * SECOND as u64 };
    let dropped = Count { counter: Counter::KernelDropped, packets: 7, bytes: 0 };
    out.counts(UnixNanos(START + SECOND + 600_000_000), &[gap, dropped]).unwrap();
}

fn good() -> Vec<u8> {
    let mut writer = SegmentWriter::create(Vec::new(), &header()).unwrap();
    write_sample(&mut writer);
    writer.finish().unwrap().0
}

fn empty() -> Vec<u8> {
    SegmentWriter::create(Vec::new(), &header()).unwrap().finish().unwrap().0
}

/// Length of the file header, as it says itself.
fn header_len(segment: &[u8]) -> usize {
    u32::from_le_bytes(segment[12..16].try_into().unwrap()) as usize
}

/// Reads an integer of variable length.
fn from_leb128(bytes: &mut &[u8]) -> u64 {
    let len = bytes.iter().position(|byte| *byte < 0x80).unwrap() + 1;
    let value = bytes[..len].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    *bytes = &bytes[len..];
    value
}

/// A block, by the words of docs/SEGMENT-FORMAT.md and not by the writer's code.
#[derive(Debug, Clone)]
struct Block {
    flags: u8,
    sequence: u64,
    time: u64,
    payload: Vec<u8>,
}

impl Block {
    fn read(bytes: &mut &[u8]) -> Self {
        assert_eq!(bytes[..4], *b"IMBK");
        let flags = bytes[4];
        *bytes = &bytes[5..];
        let (len, sequence, time) = (from_leb128(bytes), from_leb128(bytes), from_leb128(bytes));
        let (payload, rest) = bytes[4..].split_at(len as usize);
        *bytes = rest;
        Self { flags, sequence, time, payload: payload.to_vec() }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = [&b"IMBK"[..], &[self.flags]].concat();
        for value in [self.payload.len() as u64, self.sequence, self.time] {
            out.extend(leb128(value));
        }
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header().segment), &out);
        out.extend(crc32c::crc32c_append(crc, &self.payload).to_le_bytes());
        out.extend(&self.payload);
        out
    }
}

/// The blocks of a segment.
fn blocks(segment: &[u8]) -> Vec<Block> {
    let mut rest = &segment[header_len(segment)..];
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        blocks.push(Block::read(&mut rest));
    }
    blocks
}

/// Two groups, which the writer makes only at 1 MiB: the blocks of `good` twice, then one end
/// block.
fn two_groups() -> Vec<u8> {
    let good = good();
    let [first, second, end] = blocks(&good).try_into().unwrap();
    let again = [Block { sequence: 2, ..first.clone() }, Block { sequence: 3, ..second.clone() }];
    // Records, packets and bytes of the end block, doubled.
    let totals = [18u64, 24, 12_878, 0, 0].into_iter().flat_map(leb128).collect();
    let end = Block { sequence: 4, payload: totals, ..end };
    let all = [first, second].into_iter().chain(again).chain([end]);
    all.fold(good[..header_len(&good)].to_vec(), |file, block| [file, block.bytes()].concat())
}

fn leb128(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A device that has no address yet, and what it calls itself.
fn dhcp() -> Vec<u8> {
    let flow = Flow {
        number: 7,
        client: "0.0.0.0".parse().unwrap(),
        server: "255.255.255.255".parse().unwrap(),
        client_port: 68,
        server_port: 67,
        start: UnixNanos(START + 400_000_000),
        ..dns_flow()
    };
    let wanted = AnswerAddress { address: "192.0.2.7".parse().unwrap(), ttl_s: 0, record: RecordKind::A };
    let seen =
        NameSeen { kind: NameKind::Dhcp, name: name("laptop"), chain: vec![], addresses: vec![wanted], ..answer() };
    let mut writer = SegmentWriter::create(Vec::new(), &header()).unwrap();
    writer.name(&flow, &seen).unwrap();
    let usage = Usage { up_packets: 1, up_bytes: 328, ..Usage::default() };
    writer.usage(&flow, UnixNanos(START), usage).unwrap();
    writer.finish().unwrap().0
}

/// A query beside which a flow began.
fn query() -> Vec<u8> {
    let seen = NameSeen { kind: NameKind::DnsQuery, chain: vec![], addresses: vec![], ..answer() };
    let mut writer = SegmentWriter::create(Vec::new(), &header()).unwrap();
    writer.name(&dns_flow(), &seen).unwrap();
    writer.finish().unwrap().0
}

/// Two interfaces, a VLAN on one of them, a visitor, and a name behind a relay; the recorder was
/// asked to stop, and knows the capture's identity.
fn interfaces() -> Vec<u8> {
    let mut writer = SegmentWriter::create(Vec::new(), &header()).unwrap();
    for (number, interface) in [(0, "eth0"), (7, "wlan0")] {
        writer.interface(number, &Interface { name: interface.into(), link_type: LinkType(1) }).unwrap();
    }
    let seen = |kind, text, asker_is_server, relayed| NameSeen {
        kind,
        name: name(text),
        chain: vec![],
        addresses: vec![],
        asker_is_server,
        relayed,
        ..answer()
    };
    let visited = seen(NameKind::Http, "service.example", true, false);
    let behind_relay = seen(NameKind::Sni, "behind.example", false, true);
    let visitor = Flow { number: 50, opened: Opener::Server, name: Some(FlowName::of(&visited)), ..tls_flow() };
    let asked = Flow { number: 51, interface: 7, name: Some(FlowName::of(&behind_relay)), ..tls_flow() };
    let tagged = Flow { number: 52, vlan: Some(100), ..asked.clone() };
    for (flow, seen) in [(&visitor, &visited), (&asked, &behind_relay), (&tagged, &behind_relay)] {
        writer.name(flow, seen).unwrap();
        let usage = Usage { up_packets: 1, down_packets: 1, up_bytes: 100, down_bytes: 200 };
        writer.usage(flow, UnixNanos(START), usage).unwrap();
    }
    let identities = vec![(2, [0x11; 16]), (3, [0x22; 16])];
    writer.close(&SegmentClose { stop_requested: true, identities, ..SegmentClose::default() }).unwrap().0
}

/// A name of a kind that no version knows yet, in place of the DNS answer of `good`.
fn newer_kind(good: &[u8]) -> Vec<u8> {
    let mut blocks = blocks(good);
    let start = header_len(good);
    let kind_at = KIND_AT - start - (blocks[0].bytes().len() - blocks[0].payload.len());
    let kind = &mut blocks[0].payload[kind_at];
    assert_eq!(*kind, NameKind::Dns as u8, "where docs/SEGMENT-FORMAT.md shows it");
    *kind = 63;
    blocks.iter().fold(good[..start].to_vec(), |file, block| [file, block.bytes()].concat())
}

/// Every vector: file name and bytes.
fn vectors() -> Vec<(&'static str, Vec<u8>)> {
    let (good, two_groups) = (good(), two_groups());
    let parts = blocks(&good);
    let end_len = parts[2].bytes().len();
    let second_payload_at = good.len() - end_len - parts[1].payload.len();
    let mut damaged = two_groups.clone();
    damaged[second_payload_at + 9] ^= 0x10;
    let mut too_new = good.clone();
    too_new[8..12].copy_from_slice(&[6, 0, 6, 0]);
    vec![
        ("good.seg", good.clone()),
        ("empty.seg", empty()),
        ("dhcp.seg", dhcp()),
        ("query.seg", query()),
        ("interfaces.seg", interfaces()),
        ("newer-kind.seg", newer_kind(&good)),
        ("two-groups.seg", two_groups),
        ("open.seg", good[..good.len() - end_len].to_vec()),
        ("torn.seg", good[..good.len() - end_len - 11].to_vec()),
        ("damaged.seg", damaged),
        ("too-new.seg", too_new),
    ]
}

/// What a reader says, a line for each thing.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").unwrap();
    }
}

fn flow_text(flow: &Flow) -> String {
    let mac = flow.client_mac.map_or("-".into(), |mac| mac.0.map(|byte| format!("{byte:02x}")).join(":"));
    let name = flow.name.as_ref().map_or("-".into(), |name| {
        let (server, relay) = (name.from_server as u8, name.relayed as u8);
        format!("{}={} from_server {server} relayed {relay}", name.kind.word(), name.name)
    });
    let vlan = flow.vlan.map_or("-".into(), |vlan| vlan.to_string());
    format!(
        "flow {} proto {} [{}]:{} > [{}]:{} scope {} begin_seen {} opened {} interface {} vlan {vlan} mac {mac} start {} name {name}",
        flow.number,
        flow.proto,
        flow.client,
        flow.client_port,
        flow.server,
        flow.server_port,
        flow.scope as u8,
        flow.begin_seen,
        flow.opened as u8,
        flow.interface,
        flow.start.0
    )
}

impl Observer for Lines {
    type Error = Infallible;

    fn interface(&mut self, number: u32, interface: &Interface) -> Result<(), Infallible> {
        self.line(format_args!("interface {number} link type {} {:?}", interface.link_type.0, interface.name));
        Ok(())
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        let chain: Vec<&str> = seen.chain.iter().map(Name::as_str).collect();
        let addresses: Vec<String> =
            seen.addresses.iter().map(|a| format!("{} ttl {} record {}", a.address, a.ttl_s, a.record as u8)).collect();
        let (kind, ts, name) = (seen.kind as u8, seen.ts.0, &seen.name);
        self.line(format_args!("name at {ts} kind {kind} {name} chain {chain:?} addresses {addresses:?}"));
        self.line(format_args!("  in {}", flow_text(flow)));
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, u: Usage) -> Result<(), Infallible> {
        let (packets, bytes) = ((u.up_packets, u.down_packets), (u.up_bytes, u.down_bytes));
        self.line(format_args!("usage at {} packets {packets:?} bytes {bytes:?}", interval.0));
        self.line(format_args!("  of {}", flow_text(flow)));
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        for count in counts {
            let (number, detail) = count.counter.to_numbers();
            let (packets, bytes) = (count.packets, count.bytes);
            self.line(format_args!(
                "count at {} number {number} detail {detail} packets {packets} bytes {bytes}",
                ts.0
            ));
        }
        Ok(())
    }
}

fn reading(bytes: &[u8]) -> String {
    let reader = match SegmentReader::open(bytes) {
        Ok(reader) => reader,
        Err(error) => return format!("refused: {error}\n"),
    };
    let mut lines = Lines::default();
    let h = reader.header();
    let nets: Vec<String> = h.local.nets().map(|net| net.to_string()).collect();
    lines.line(format_args!("header sequence {} start {} monotonic {}", h.sequence, h.start.0, h.monotonic_start_ns));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    lines.line(format_args!("  recorder {} run {} boot {}", hex(&h.recorder), hex(&h.run), hex(&h.boot)));
    lines.line(format_args!("  before {} {}", hex(&h.before), hex(&h.before_hash)));
    lines.line(format_args!("  interval {} link type {} {} {nets:?}", h.interval_ns, h.link_type.0, h.interface));
    let report = reader.read(&mut lines).unwrap();
    let (blocks, records, packets, bytes) = (report.blocks, report.records, report.packets, report.bytes);
    lines.line(format_args!("read: {blocks} blocks, {records} records, {packets} packets, {bytes} bytes"));
    for damage in report.damage {
        lines.line(format_args!("damage: bytes {} to {}: {}", damage.from, damage.to, damage.cause));
    }
    for (packets, identity) in &report.close.identities {
        lines.line(format_args!("identity of {packets} packets: {}", hex(identity)));
    }
    lines.line(format_args!("end: {:?} stop requested: {}", report.end, report.close.stop_requested));
    lines.0
}

/// Files of versions before this one.
const OLDER: [(&str, u8); 8] = [
    ("format-1.seg", 1),
    ("format-2.seg", 2),
    ("format-3.seg", 3),
    ("format-3-interfaces.seg", 3),
    ("format-4.seg", 4),
    ("format-4-interfaces.seg", 4),
    ("format-4-two-groups.seg", 4),
    ("format-4-damaged.seg", 4),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/segments")
}

#[test]
fn every_vector_is_read_as_stated() {
    for (file, _) in vectors() {
        let bytes = std::fs::read(folder().join(file)).unwrap();
        let stated = std::fs::read_to_string(folder().join(format!("{file}.txt"))).unwrap();
        assert_eq!(reading(&bytes), stated, "{file}");
    }
}

#[test]
fn files_of_earlier_versions_are_read() {
    let read = |file: &str| std::fs::read(folder().join(file)).unwrap();
    for (file, version) in OLDER {
        let stated = std::fs::read_to_string(folder().join(format!("{file}.txt"))).unwrap();
        assert_eq!(reading(&read(file)), stated, "{file}");
        assert_eq!(read(file)[8..12], [version, 0, version, 0]);
    }
}

/// What was recorded, without what is said of the file.
fn records_of(reading: &str) -> Vec<&str> {
    let kinds = ["interface", "name", "usage", "count", "  in ", "  of "];
    reading.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind))).collect()
}

#[test]
fn files_of_every_version_that_are_cut_or_changed_give_a_prefix_and_no_seal() {
    let older = OLDER.iter().map(|(file, _)| *file).filter(|file| *file != "format-4-damaged.seg");
    for file in older.chain(["good.seg", "interfaces.seg"]) {
        let whole = std::fs::read(folder().join(file)).unwrap();
        let stated = reading(&whole);
        let records = records_of(&stated);
        for cut in header_len(&whole)..whole.len() {
            let read = reading(&whole[..cut]);
            assert!(records.starts_with(&records_of(&read)), "{file} cut at {cut}");
            assert!(!read.contains("end: Sealed") && !read.contains("end: Damaged"), "{file} cut at {cut}: {read}");
        }
        for place in header_len(&whole)..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 0x41;
            let read = reading(&changed);
            assert!(!read.contains("end: Sealed"), "{file}, byte {place}: {read}");
            // What follows damage is of a later group.
            let mut rest = records.iter();
            assert!(records_of(&read).iter().all(|line| rest.any(|of| of == line)), "{file}, byte {place}: {read}");
        }
    }
}

#[test]
fn the_same_observations_read_alike_from_a_file_of_each_version() {
    let read = |file: &str| reading(&std::fs::read(folder().join(file)).unwrap());
    for [old, new] in [["format-4.seg", "good.seg"], ["format-4-interfaces.seg", "interfaces.seg"]] {
        let (old, new) = (read(old), read(new));
        assert_eq!(records_of(&old), records_of(&new));
        assert!(!records_of(&old).is_empty());
    }
}

#[test]
fn the_writer_still_gives_the_bytes_of_the_vectors() {
    for (file, bytes) in vectors() {
        assert!(bytes == std::fs::read(folder().join(file)).unwrap(), "{file} would be written differently today");
    }
}

#[test]
fn a_sealed_vector_gives_back_what_was_put_in() {
    let mut put = Lines::default();
    write_sample(&mut put);
    let read = reading(&good());
    let records: Vec<&str> = read
        .lines()
        .filter(|l| ["name", "usage", "count", "  in ", "  of "].iter().any(|s| l.starts_with(s)))
        .collect();
    assert_eq!(records.join("\n") + "\n", put.0);
}

#[test]
#[ignore = "writes testdata/segments anew"]
fn write_the_vectors() {
    for (file, _) in OLDER {
        let bytes = std::fs::read(folder().join(file)).unwrap();
        std::fs::write(folder().join(format!("{file}.txt")), reading(&bytes)).unwrap();
    }
    for (file, bytes) in vectors() {
        std::fs::write(folder().join(file), &bytes).unwrap();
        std::fs::write(folder().join(format!("{file}.txt")), reading(&bytes)).unwrap();
    }
}
