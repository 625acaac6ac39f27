//! Opening and decompressing, on files of the usual tools (testdata/pcap) and on data made here.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

use super::*;
use imon_common::capture_file::{CaptureFileError, CaptureReader};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/pcap").join(name)
}

fn input_of(bytes: Vec<u8>) -> Input {
    Input::new(Box::new(io::Cursor::new(bytes)), None, Watch::default()).unwrap()
}

fn read_all(bytes: Vec<u8>) -> (Vec<u8>, Option<io::Error>) {
    let mut input = input_of(bytes);
    let mut out = Vec::new();
    let error = input.read_to_end(&mut out).err();
    (out, error)
}

/// Number of packets, and the error that ended them with its causes.
fn count(input: Input) -> (u64, String) {
    let mut reader = match CaptureReader::new(input) {
        Ok(reader) => reader,
        Err(error) => return (0, chain(&error)),
    };
    loop {
        match reader.next_packet() {
            Ok(Some(_)) => {}
            Ok(None) => return (reader.packets(), String::new()),
            Err(error) => return (reader.packets(), chain(&error)),
        }
    }
}

fn chain(error: &CaptureFileError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// A capture of `packets` packets of 100 bytes that do not compress to nothing.
fn long_capture(packets: u32) -> Vec<u8> {
    let mut bytes = std::fs::read(testdata("us-le.pcap")).unwrap()[..24].to_vec();
    let mut noise = 1_u32;
    for number in 0..packets {
        for field in [number, 0, 100, 100] {
            bytes.extend_from_slice(&u32::to_le_bytes(field));
        }
        for _ in 0..100 {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.push((noise >> 28) as u8);
        }
    }
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    // Small blocks: what a cut costs is the block it falls into.
    let blocks = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(blocks, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

#[test]
fn every_compression_gives_the_bytes_that_were_compressed() {
    let plain = std::fs::read(testdata("us-le.pcap")).unwrap();
    for (suffix, compression) in
        [("gz", Compression::Gzip), ("zst", Compression::Zstd), ("xz", Compression::Xz), ("lz4", Compression::Lz4)]
    {
        for name in [format!("us-le.pcap.{suffix}"), format!("two-parts.pcap.{suffix}")] {
            let mut input = open(&testdata(&name), Watch::default()).unwrap();
            assert_eq!(input.compression(), compression, "{name}");
            let mut out = Vec::new();
            input.read_to_end(&mut out).unwrap();
            assert_eq!(out, plain, "{name}");
            assert_eq!(input.read(&mut [0; 8]).unwrap(), 0, "{name} ends for good");
        }
    }
}

#[test]
fn compressed_data_cut_anywhere_give_a_prefix_and_an_error() {
    let plain = std::fs::read(testdata("us-le.pcap")).unwrap();
    for suffix in ["gz", "zst", "xz", "lz4"] {
        let one = std::fs::read(testdata(&format!("us-le.pcap.{suffix}"))).unwrap();
        let two = std::fs::read(testdata(&format!("two-parts.pcap.{suffix}"))).unwrap();
        for whole in [one, two] {
            for cut in MAGIC_BYTES..whole.len() {
                let (out, error) = read_all(whole[..cut].to_vec());
                assert!(plain.starts_with(&out), "{suffix} cut at {cut}");
                // Between two parts, and inside xz's padding, a cut cannot be seen.
                let complete = out.len() == plain.len() || out.len() == 100;
                assert!(error.is_some() || complete, "{suffix} cut at {cut} of {} is silent", whole.len());
            }
        }
    }
}

#[test]
fn changing_any_byte_of_compressed_data_never_panics() {
    for suffix in ["gz", "zst", "xz", "lz4"] {
        let whole = std::fs::read(testdata(&format!("two-parts.pcap.{suffix}"))).unwrap();
        for place in 0..whole.len() {
            for value in [0x00, 0x01, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[place] = value;
                let mut input = input_of(changed);
                let mut out = [0; 4096];
                while input.read(&mut out).is_ok_and(|n| n > 0) {}
                assert_eq!(input.finish().unwrap().raw_bytes, whole.len() as u64);
            }
        }
    }
}

#[test]
fn packets_before_a_cut_are_delivered_and_the_cut_is_named() {
    let plain = long_capture(20_000);
    for (name, whole) in [("gzip", gzip(&plain)), ("zstd", zstd_of(&plain)), ("lz4", lz4(&plain))] {
        assert_eq!(count(input_of(whole.clone())), (20_000, String::new()));
        let cut = whole.len() * 3 / 4;
        let (packets, error) = count(input_of(whole[..cut].to_vec()));
        assert!((10_000..20_000).contains(&packets), "{name}: {packets}");
        let expected = format!("the {name} data end early: the compressed file is cut at byte {cut}");
        assert!(error.ends_with(&expected), "{error}");
    }
}

#[test]
fn an_lz4_frame_without_its_end_mark_is_cut() {
    let whole = lz4(b"some bytes");
    // By default a frame ends in an end mark of four bytes; without it the decoder alone sees no
    // fault.
    let (out, error) = read_all(whole[..whole.len() - 4].to_vec());
    assert_eq!((out.as_slice(), error.unwrap().kind()), (&b"some bytes"[..], ErrorKind::UnexpectedEof));
}

#[test]
fn memory_that_the_data_ask_for_is_refused_beyond_the_bound() {
    let (packets, error) = count(open(&testdata("huge-dictionary.pcap.xz"), Watch::default()).unwrap());
    assert_eq!(packets, 0);
    assert!(error.contains("the xz data cannot be decompressed") && error.contains("memory"), "{error}");
    // A zstd frame whose window is 2^31 bytes: magic, descriptor, window descriptor, an empty last
    // block.
    let (_, error) = read_all(vec![0x28, 0xb5, 0x2f, 0xfd, 0, (31 - 10) << 3, 1, 0, 0]);
    assert!(error.unwrap().to_string().contains("too much memory"));
}

#[test]
fn a_bomb_costs_time_but_no_memory() {
    let bomb = zstd_of(&vec![0; 64 << 20]);
    assert!(bomb.len() < 10_000);
    assert_eq!(io::copy(&mut input_of(bomb), &mut io::sink()).unwrap(), 64 << 20);
}

#[test]
fn compressed_twice_is_named() {
    let (packets, error) = count(open(&testdata("gzip-in-gzip.pcap.gz"), Watch::default()).unwrap());
    assert_eq!(
        (packets, error.as_str()),
        (0, "this is gzip-compressed data, not a capture file; pcap and pcapng are read")
    );
}

#[test]
fn the_identity_is_that_of_the_whole_raw_file_even_if_reading_stopped_early() {
    let path = testdata("two-parts.pcap.gz");
    let raw = std::fs::read(&path).unwrap();
    let expected = Source { raw_bytes: raw.len() as u64, sha256: Some(Sha256::digest(&raw).into()) };
    for take in [0, 10, 1_000_000] {
        let mut input = open(&path, Watch { identity: true, progress: None }).unwrap();
        io::copy(&mut input.by_ref().take(take), &mut io::sink()).unwrap();
        assert_eq!(input.finish().unwrap(), expected);
    }
}

#[test]
fn progress_counts_the_raw_file_up_to_its_length() {
    let path = testdata("us-le.pcap.zst");
    let len = std::fs::metadata(&path).unwrap().len();
    let last = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&last);
    let progress: Progress = Box::new(move |done, total| {
        assert_eq!(total, Some(len));
        assert!(done >= seen.swap(done, Ordering::Relaxed), "never back");
    });
    let mut input = open(&path, Watch { identity: false, progress: Some(progress) }).unwrap();
    io::copy(&mut input, &mut io::sink()).unwrap();
    assert_eq!(last.load(Ordering::Relaxed), len);
}

/// A pipe that gives three bytes at a time and counts how often it was asked.
struct Slow(io::Cursor<Vec<u8>>, Arc<Mutex<u64>>);

impl Read for Slow {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        *self.1.lock().unwrap() += 1;
        let n = into.len().min(3);
        self.0.read(&mut into[..n])
    }
}

#[test]
fn short_reads_of_a_pipe_are_normal() {
    let plain = std::fs::read(testdata("us-le.pcap")).unwrap();
    for name in ["us-le.pcap", "two-parts.pcap.gz", "two-parts.pcap.zst", "two-parts.pcap.xz", "two-parts.pcap.lz4"] {
        let pipe = Slow(io::Cursor::new(std::fs::read(testdata(name)).unwrap()), Arc::default());
        let mut input = Input::new(Box::new(pipe), None, Watch::default()).unwrap();
        let mut out = Vec::new();
        input.read_to_end(&mut out).unwrap();
        assert_eq!(out, plain, "{name}");
    }
}

#[test]
fn what_is_named_is_classified_by_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        classify(&path).unwrap()
    };
    assert_eq!(write("a.txt", &long_capture(1)), Kind::Capture);
    assert_eq!(write("b", &gzip(&long_capture(1))), Kind::Capture);
    assert_eq!(write("c.pcap", b"IMONSEG\0and so on"), Kind::Segment);
    assert_eq!(write("d.pcap", b"<!DOCTYPE html><html>"), Kind::Other("an HTML page".to_owned()));
    assert_eq!(write("e.pcap", b""), Kind::Other("an empty file".to_owned()));
    assert_eq!(write("f.gz", &gzip(b"hello")), Kind::Other("a text file, gzip-compressed".to_owned()));
    assert_eq!(
        write("g.gz", &gzip(b"hello")[..8]),
        Kind::Other("gzip data that are cut or damaged at their start".to_owned())
    );
    assert_eq!(classify(folder.path()).unwrap(), Kind::Folder);
    assert_eq!(classify(Path::new("-")).unwrap(), Kind::Capture);
    assert!(matches!(classify(&folder.path().join("none")), Err(InputError::Open { .. })));
    assert!(matches!(open(folder.path(), Watch::default()), Err(InputError::Folder { .. })));
}

/// Files of the corpus that are damaged or no capture, and what is said of them. Each of them is
/// one whose truth says so, too.
const NOT_WHOLE: &[(&str, u64, &str)] = &[
    // A snaplen of 49, then a packet that claims 6,553,600 bytes in a file of 240.
    (
        "PCAPdroid__crash-593ec6ead7a1bf23faa96d03cbd74c315bcf67fc",
        1,
        "a packet of 6553600 bytes, expected at most 262144",
    ),
    // The second section states version 2.0, which nobody has defined.
    ("gopacket__test901.pcapng", 1, "pcapng version 2.0, expected 1.x"),
    // A format of its own; tshark reads it, we name it.
    ("PcapPlusPlus__solaris.snoop", 0, "a Solaris snoop capture"),
];

#[test]
fn the_corpus_gives_as_many_packets_as_its_truth() {
    let Some(corpus) = std::env::var_os("IMON_CORPUS").map(PathBuf::from) else {
        eprintln!("skipped: IMON_CORPUS is not set");
        return;
    };
    let mut files = 0;
    for entry in std::fs::read_dir(corpus.join("captures")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (packets, error) = count(open(&path, Watch::default()).unwrap());
        let not_whole = NOT_WHOLE.iter().find(|(known, ..)| *known == name);
        match not_whole {
            Some((_, expected, reason)) => {
                assert!(packets == *expected && error.contains(reason), "{name}: {packets} {error}")
            }
            None => assert_eq!((packets, error.as_str()), (packets_in_truth(&corpus, &name), ""), "{name}"),
        }
        files += 1;
    }
    assert!(files >= 60);
}

fn packets_in_truth(corpus: &Path, name: &str) -> u64 {
    let truth = std::fs::read_to_string(corpus.join("truth").join(format!("{name}.meta.tsv"))).unwrap();
    truth.lines().find_map(|line| line.strip_prefix("packets\t")).unwrap().parse().unwrap()
}
