//! What each stage costs by itself, from the bytes of a capture to the bytes of a report: `make
//! bench-stages`. The input is the capture of the demo, held in memory; rates are of its packets,
//! its names or its rows. Whole programs beside their peers: `make bench`.
#![allow(clippy::unwrap_used, missing_docs)]

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use imon_analyze::attribution::{AnswerBook, Attributor, Role};
use imon_analyze::books::Books;
use imon_analyze::page;
use imon_analyze::question::{Key, Question};
use imon_analyze::range::Range;
use imon_analyze::report::overview::Overview;
use imon_analyze::report::{Format, Report};
use imon_analyze::rollup::Rollup;
use imon_analyze::site::Sites;
use imon_analyze::table::TextStyle;
use imon_common::capture_file::CaptureReader;
use imon_common::names::finder::{Finder, FromClient, Search};
use imon_common::names::{NameKind, dns};
use imon_common::observe::{Meter, MeterConfig, Names, Nothing};
use imon_common::packet::CapturedPacket;
use imon_common::segment::{SegmentHeader, SegmentReader, SegmentWriter};
use imon_common::time::UnixNanos;
use imon_common::wire::{self, Frame, Transport};
use jiff::tz::TimeZone;
use std::io::Read as _;
use std::sync::LazyLock;

fn main() {
    divan::main();
}

/// The capture of the demo, unpacked.
static CAPTURE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let packed = std::fs::File::open("../testdata/netlab/browse-lan.pcap.gz").unwrap();
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
});

/// Its packets.
static PACKETS: LazyLock<Vec<CapturedPacket<'static>>> = LazyLock::new(|| {
    let mut reader = CaptureReader::new(CAPTURE.as_slice()).unwrap();
    let mut packets = Vec::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        packets.push(CapturedPacket { data: packet.data.to_vec().leak(), ..packet });
    }
    packets
});

/// The segment that it becomes.
static SEGMENT: LazyLock<Vec<u8>> = LazyLock::new(encoded);

/// Its books.
static BOOKS: LazyLock<Books> = LazyLock::new(|| attributed().books(&everything()));

static SITES: LazyLock<Sites> = LazyLock::new(Sites::new);

fn everything() -> Range {
    Range::everything(TimeZone::UTC)
}

/// What its packets carry, decoded.
fn transports() -> impl Iterator<Item = Transport<'static>> {
    PACKETS.iter().filter_map(|packet| match wire::decode(packet) {
        Frame::Ip(ip) => Some(ip.transport),
        _ => None,
    })
}

/// A name in one packet, as the finder sees it.
fn find(finder: &mut Finder, transport: &Transport<'_>) -> Option<NameKind> {
    let mut search = Search::default();
    let found = match transport {
        Transport::Tcp(tcp) => finder.tcp(&mut search, FromClient(true), tcp),
        Transport::Udp(udp) => finder.udp(&mut search, FromClient(true), udp),
        _ => None,
    };
    finder.release(&mut search);
    found.map(|(kind, _)| kind)
}

fn header() -> SegmentHeader {
    SegmentHeader {
        segment: [1; 16],
        recorder: [2; 16],
        run: [3; 16],
        start: PACKETS.first().map_or(UnixNanos(0), |packet| packet.ts),
        interface: "bench".into(),
        ..SegmentHeader::default()
    }
}

fn encoded() -> Vec<u8> {
    let mut writer = SegmentWriter::create(Vec::new(), &header()).unwrap();
    let mut meter = Meter::new(MeterConfig::default());
    for packet in PACKETS.iter() {
        meter.packet(packet, &mut writer).unwrap();
    }
    meter.tick(UnixNanos(i64::MAX), &mut writer).unwrap();
    writer.finish().unwrap().0
}

fn attributed() -> Rollup {
    let mut attributor = Attributor::new(AnswerBook::default(), Rollup::default());
    let reader = SegmentReader::open(SEGMENT.as_slice()).unwrap();
    attributor.add_source(0, reader.header(), Role::Book, Vec::new());
    reader.read(&mut attributor).unwrap();
    attributor.finish()
}

fn packets() -> ItemsCount {
    ItemsCount::new(PACKETS.len())
}

/// A capture's bytes become packets.
#[divan::bench]
fn read_capture(bencher: Bencher) {
    bencher.counter(packets()).counter(BytesCount::new(CAPTURE.len())).bench(|| {
        let mut reader = CaptureReader::new(CAPTURE.as_slice()).unwrap();
        while let Some(packet) = reader.next_packet().unwrap() {
            black_box(packet);
        }
    });
}

/// Headers of frames become plain values.
#[divan::bench]
fn decode(bencher: Bencher) {
    bencher.counter(packets()).bench(|| PACKETS.iter().for_each(|packet| _ = black_box(wire::decode(packet))));
}

/// Packets become flows and their usage; without and with looking for names.
#[divan::bench(args = [Names::PassedOver, Names::LookedFor])]
fn meter(bencher: Bencher, names: Names) {
    bencher.counter(packets()).bench(|| {
        let mut meter = Meter::new(MeterConfig::default());
        meter.set_names(names);
        for packet in PACKETS.iter() {
            meter.packet(packet, &mut Nothing).unwrap();
        }
        meter.totals()
    });
}

/// A hello or request becomes a name.
#[divan::bench(args = [NameKind::Sni, NameKind::Quic, NameKind::Http])]
fn find_name(bencher: Bencher, kind: NameKind) {
    let mut finder = Finder::default();
    let hellos: Vec<_> = transports().filter(|transport| find(&mut finder, transport) == Some(kind)).collect();
    assert!(!hellos.is_empty(), "the capture has no {}", kind.word());
    bencher.counter(ItemsCount::new(hellos.len())).bench_local(|| {
        hellos.iter().for_each(|hello| _ = black_box(find(&mut finder, hello)));
    });
}

/// A DNS message becomes its answers.
#[divan::bench]
fn parse_dns(bencher: Bencher) {
    let messages: Vec<_> = transports()
        .filter_map(|transport| match transport {
            Transport::Udp(udp) if udp.src_port == 53 => Some(udp.payload),
            _ => None,
        })
        .collect();
    bencher.counter(ItemsCount::new(messages.len())).bench(|| {
        messages.iter().for_each(|message| _ = black_box(dns::parse(message)));
    });
}

/// Packets become the bytes of a segment: what is above what `meter` takes is the encoder.
#[divan::bench]
fn encode_segment(bencher: Bencher) {
    bencher.counter(packets()).bench(encoded);
}

/// The bytes of a segment become observations.
#[divan::bench]
fn decode_segment(bencher: Bencher) {
    bencher
        .counter(packets())
        .counter(BytesCount::new(SEGMENT.len()))
        .bench(|| SegmentReader::open(SEGMENT.as_slice()).unwrap().read(&mut Nothing).unwrap());
}

/// Observations become sums by address, name and evidence: what is above what `decode_segment`
/// takes is attribution.
#[divan::bench]
fn attribute(bencher: Bencher) {
    bencher.counter(packets()).bench(attributed);
}

/// Sums become books.
#[divan::bench]
fn make_books(bencher: Bencher) {
    let (rollup, range) = (attributed(), everything());
    bencher.counter(ItemsCount::new(BOOKS.rows.len())).bench(|| rollup.books(&range));
}

/// Books become the rows of a report.
#[divan::bench(args = [Key::Site, Key::Host, Key::Device, Key::Hour])]
fn make_report(bencher: Bencher, key: Key) {
    let question = Question::by(key, everything());
    bencher.counter(ItemsCount::new(BOOKS.rows.len())).bench(|| Report::new(&BOOKS, &question, &SITES).unwrap());
}

/// Rows become text, JSON, CSV, Parquet.
#[divan::bench(args = [Format::Table, Format::Json, Format::Csv, Format::Parquet])]
fn write(bencher: Bencher, format: Format) {
    let report = Report::new(&BOOKS, &Question::by(Key::Host, everything()), &SITES).unwrap();
    bencher.counter(ItemsCount::new(report.frame().lines().len())).bench_local(|| {
        let mut out = Vec::new();
        report.write(format, TextStyle::default(), &mut out).unwrap();
        out
    });
}

/// Books become a page.
#[divan::bench]
fn write_page(bencher: Bencher) {
    let question = Question::by(Key::Site, everything());
    bencher.counter(ItemsCount::new(BOOKS.rows.len())).bench(|| {
        let mut out = Vec::new();
        page::write(&Overview::new(&BOOKS, &question, &SITES).unwrap(), &[], &mut out).unwrap();
        out
    });
}
