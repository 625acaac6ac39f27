//! The reader against testdata/pcap/, whose expected values were written by the script that made
//! it, and against what a cut, a changed byte or a slow pipe makes of those files.

use super::*;
use std::io;
use std::path::PathBuf;

/// One packet as expected.tsv tells it: time, link type, captured and original length.
type Row = (i64, u16, usize, u32);

/// One file of expected.tsv.
#[derive(Debug, Default)]
struct Expected {
    name: String,
    end: String,
    dropped: Option<u64>,
    rows: Vec<Row>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/pcap")
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn expected() -> Vec<Expected> {
    let text = String::from_utf8(bytes_of("expected.tsv")).unwrap();
    let mut files: Vec<Expected> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields[0] == "file" {
            let (name, end) = (fields[1].to_owned(), fields[2].to_owned());
            files.push(Expected { name, end, dropped: fields[3].parse().ok(), rows: Vec::new() });
        } else {
            let row = (
                fields[0].parse().unwrap(),
                fields[1].parse().unwrap(),
                fields[2].parse().unwrap(),
                fields[3].parse().unwrap(),
            );
            files.last_mut().unwrap().rows.push(row);
        }
    }
    assert!(files.len() > 50);
    files
}

/// What a reader says: its packets, how it ended (in the words of expected.tsv), and what was
/// dropped.
#[derive(Debug, PartialEq)]
struct Outcome {
    rows: Vec<Row>,
    end: String,
    dropped: Option<u64>,
}

fn read(input: impl Read) -> Outcome {
    let mut rows = Vec::new();
    let mut reader = match CaptureReader::new(input) {
        Ok(reader) => reader,
        Err(error) => {
            return Outcome { rows, end: end_of(&error), dropped: None };
        }
    };
    let end = loop {
        match reader.next_packet() {
            Ok(Some(packet)) => rows.push((packet.ts.0, packet.link_type.0, packet.data.len(), packet.orig_len)),
            Ok(None) => break "ok".to_owned(),
            Err(error) => {
                assert_eq!(error.packets(), rows.len() as u64);
                assert!(reader.next_packet().unwrap().is_none(), "an error is the end");
                break end_of(&error);
            }
        }
    };
    assert_eq!(reader.packets(), rows.len() as u64);
    Outcome { rows, end, dropped: reader.dropped() }
}

fn end_of(error: &CaptureFileError) -> String {
    match error {
        CaptureFileError::NotACapture { found } => format!("not a capture: {found}"),
        CaptureFileError::Cut { offset, need, .. } => format!("cut {offset} {need}"),
        CaptureFileError::Damaged { offset, .. } => format!("damaged {offset}"),
        CaptureFileError::Io { source, .. } => format!("io {source}"),
    }
}

fn error_of(bytes: &[u8]) -> String {
    match CaptureReader::new(bytes) {
        Err(error) => error.to_string(),
        Ok(mut reader) => loop {
            match reader.next_packet() {
                Ok(Some(_)) => {}
                Ok(None) => return String::new(),
                Err(error) => return error.to_string(),
            }
        },
    }
}

/// A pipe that gives one byte at a time and is interrupted in between.
struct Trickle<'a> {
    bytes: &'a [u8],
    interrupted: bool,
}

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let n = into.len().min(1);
        self.bytes.read(&mut into[..n])
    }
}

/// A file whose disk fails at its end.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::Error::other("disk on fire")),
            n => Ok(n),
        }
    }
}

#[test]
fn every_file_gives_the_packets_that_were_written_into_it() {
    for file in expected() {
        let want = Outcome { rows: file.rows, end: file.end, dropped: file.dropped };
        let mut got = read(&bytes_of(&file.name)[..]);
        if want.dropped.is_none() && want.end != "ok" {
            got.dropped = None;
        }
        assert_eq!(got, want, "{}", file.name);
    }
}

#[test]
fn a_slow_interrupted_pipe_gives_the_same() {
    for file in expected() {
        let bytes = bytes_of(&file.name);
        assert_eq!(read(Trickle { bytes: &bytes, interrupted: false }), read(&bytes[..]), "{}", file.name);
    }
}

#[test]
fn the_packet_bytes_are_those_of_the_file() {
    // The question in each file ends in QTYPE A, QCLASS IN.
    let names = ["us-be.pcap", "modified-le.pcap", "ng-us-default-be.pcapng", "ng-old-packet-block-be.pcapng"];
    let longer = ["headers-24-le.pcap", "headers-24-be.pcap", "headers-20-be.pcap", "headers-28-modified.pcap"];
    for name in names.into_iter().chain(longer) {
        let bytes = bytes_of(name);
        let mut reader = CaptureReader::new(&bytes[..]).unwrap();
        let packet = reader.next_packet().unwrap().unwrap();
        assert_eq!(packet.data[12..14], [8, 0], "{name}");
        assert!(packet.data.ends_with(b"\x03www\x07example\x03org\0\0\x01\0\x01"), "{name}");
    }
}

#[test]
fn cutting_a_file_anywhere_keeps_a_prefix_and_says_so() {
    for file in expected().into_iter().filter(|file| file.end == "ok") {
        let whole = bytes_of(&file.name);
        for cut in 1..whole.len() {
            let got = read(&whole[..cut]);
            assert!(file.rows.starts_with(&got.rows), "{} cut at {cut}", file.name);
            let at_a_boundary = got.end == "ok";
            let inside = got.end.starts_with("cut ") || got.end.starts_with("not a capture");
            assert!(at_a_boundary || inside, "{} cut at {cut}: {}", file.name, got.end);
        }
    }
}

#[test]
fn changing_any_byte_never_panics_and_always_ends() {
    for file in expected() {
        let whole = bytes_of(&file.name);
        for place in 0..whole.len() {
            for value in [0x00, 0x01, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[place] = value;
                assert!(read(&changed[..]).rows.len() <= whole.len() / 12);
            }
        }
    }
}

#[test]
fn a_failing_disk_costs_no_packet_before_it() {
    let bytes = bytes_of("us-le.pcap");
    let got = read(Failing(&bytes));
    assert_eq!((got.rows.len(), got.end.as_str()), (3, "io disk on fire"));
}

#[test]
fn errors_say_where_and_what() {
    let cut = error_of(&bytes_of("cut-in-packet.pcap"));
    assert_eq!(cut, "the file ends inside packet 3 at byte 287: it begins at byte 222 and has 65 of 70 bytes");
    let huge = error_of(&bytes_of("huge-length.pcap"));
    assert_eq!(huge, "damaged at byte 222, after 2 packets: a packet of 2147483647 bytes, expected at most 262144");
    let interface = error_of(&bytes_of("ng-unknown-interface.pcapng"));
    assert!(
        interface.ends_with("after 2 packets: a packet of interface 1, of which the section describes 1"),
        "{interface}"
    );
    let trailer = error_of(&bytes_of("ng-bad-trailer.pcapng"));
    assert!(trailer.ends_with("a block of type 0x6 begins with length 88 and ends with length 1"), "{trailer}");
    let joined = error_of(&bytes_of("two-files-joined.pcap"));
    assert!(joined.contains("two files joined"), "{joined}");
    assert_eq!(error_of(b""), "this is an empty file, not a capture file; pcap and pcapng are read");
    assert_eq!(
        error_of(b"\x1f\x8b\x08\0"),
        "this is gzip-compressed data, not a capture file; pcap and pcapng are read"
    );
}

#[test]
fn the_offset_is_the_end_of_the_last_packet() {
    let bytes = bytes_of("ng-other-blocks.pcapng");
    let mut reader = CaptureReader::new(&bytes[..]).unwrap();
    while reader.next_packet().unwrap().is_some() {}
    assert_eq!(reader.offset(), bytes.len() as u64);
}

/// A pcap file whose one packet is `len` bytes long, with `snaplen` in its header.
fn one_packet(len: usize, snaplen: u32) -> Vec<u8> {
    let mut bytes = bytes_of("us-le.pcap")[..24].to_vec();
    bytes[16..20].copy_from_slice(&snaplen.to_le_bytes());
    for field in [1, 0, len as u32, len as u32] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.resize(bytes.len() + len, 0xab);
    bytes
}

#[test]
fn a_packet_larger_than_the_window_is_read_if_the_header_announces_such() {
    assert_eq!(read(&one_packet(262_144, 65_535)[..]).rows, [(1_000_000_000, 1, 262_144, 262_144)]);
    assert_eq!(read(&one_packet(524_288, 524_288)[..]).rows.len(), 1);
    assert_eq!(read(&one_packet(524_288, 65_535)[..]).end, "damaged 24");
    assert_eq!(read(&one_packet(MAX_RECORD_BYTES, u32::MAX)[..]).end, "damaged 24");
    assert_eq!(read(&one_packet(MAX_RECORD_BYTES - 16, u32::MAX)[..]).rows.len(), 1);
}

#[test]
fn a_passed_over_block_may_be_of_any_size() {
    let whole = bytes_of("ng-us-default-le.pcapng");
    let mut bytes = whole[..28].to_vec();
    let total = 12 + 2 * MAX_RECORD_BYTES as u32;
    bytes.extend_from_slice(&0x0a_u32.to_le_bytes());
    bytes.extend_from_slice(&total.to_le_bytes());
    bytes.resize(bytes.len() + 2 * MAX_RECORD_BYTES, 0);
    bytes.extend_from_slice(&total.to_le_bytes());
    bytes.extend_from_slice(&whole[28..]);
    assert_eq!(read(&bytes[..]), read(&whole[..]));
}
