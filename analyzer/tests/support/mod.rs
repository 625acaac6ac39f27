//! Running the real programs: in an environment of their own, in UTC, with a home that is a
//! temporary folder.
#![allow(dead_code, clippy::print_stderr)] // each test file uses a part of it

pub mod chance;
pub mod contents;
pub mod exports;
pub mod exposition;
pub mod fleet;
pub mod nights;
pub mod page;

use assert_cmd::Command;
use imon_common::flow::Flow;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What numbers of chance begin with: others for each `IMON_SEED`.
pub fn seeded(usual: u64) -> u64 {
    let seed = std::env::var("IMON_SEED").ok().and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
    usual ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Header of a segment of a recording of eth0 at intervals of 1 s.
pub fn segment_header(segment: [u8; 16], recorder: [u8; 16], sequence: u64, start: UnixNanos) -> SegmentHeader {
    SegmentHeader {
        segment,
        recorder,
        run: recorder,
        sequence,
        start,
        interface: "eth0".into(),
        ..SegmentHeader::default()
    }
}

/// A TCP flow of 192.168.1.2 to port 443 of 203.0.113.9 that begins at `start`; without a name.
pub fn flow(number: u64, start: UnixNanos) -> Flow {
    let (client, server) = (([192, 168, 1, 2], 50_000).into(), ([203, 0, 113, 9], 443).into());
    Flow { number, ..Flow::outgoing(client, server, 6, start) }
}

/// A home for the programs, removed at the end.
pub struct Home(tempfile::TempDir);

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// In memory where there is a file system for that: syncing costs nothing there.
    pub fn in_memory() -> Self {
        let shm = Path::new("/dev/shm");
        Self(if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("TZ", "UTC").env("HOME", self.0.path()).current_dir(self.0.path());
        command
    }

    /// imon-analyze with these arguments.
    pub fn analyze<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        let mut command = self.command(assert_cmd::cargo::cargo_bin("imon-analyze"));
        let output = command.args(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// imon-analyze with arguments that hold no space, which must end with exit code 0.
    pub fn ok(&self, line: &str) -> String {
        let run = self.analyze(line.split_whitespace());
        assert_eq!(run.code, Some(0), "{line}: {}", run.err);
        run.out
    }

    /// imon-record with these arguments; `None` if it cannot be built here (it needs libpcap).
    pub fn record(&self, line: &str) -> Option<Run> {
        let program = recorder()?;
        let output = self.command(program).args(line.split_whitespace()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Some(Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) })
    }
}

/// imon-record as it is now: cargo builds only the programs of the package that is tested.
fn recorder() -> Option<PathBuf> {
    static BUILT: OnceLock<bool> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(["build", "-q", "--offline", "-p", "imon-record"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built = cargo.status().is_ok_and(|status| status.success());
        if !built {
            eprintln!("skipped: imon-record cannot be built");
        }
        built
    });
    built.then(|| assert_cmd::cargo::cargo_bin("imon-record"))
}

/// A file of testdata.
pub fn testdata(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata")).canonicalize().unwrap().join(path)
}

/// The captures of testdata/pcap, by name.
pub fn captures() -> Vec<PathBuf> {
    let found = std::fs::read_dir(testdata("pcap")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = found.filter(|p| p.file_name().unwrap().to_string_lossy().contains(".pcap")).collect();
    found.sort();
    found
}

/// A file of the real-browser captures, where the environment variable IMON_CORPUS names their
/// folder.
pub fn netlab(path: &str) -> Option<PathBuf> {
    let Some(corpus) = std::env::var_os("IMON_CORPUS") else {
        eprintln!("skipped: IMON_CORPUS is not set");
        return None;
    };
    Some(PathBuf::from(corpus).join("netlab").join(path))
}

/// Rows and ledger of a report in JSON: without the range, which names the instants that were
/// observed.
pub fn rows_and_ledger(json: &str) -> (Vec<serde_json::Value>, serde_json::Value) {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"));
    let rows = value["rows"].as_array().unwrap().clone();
    (rows, value["ledger"].clone())
}

/// A capture of testdata (pcap in microseconds, little endian, maybe gzip), moved so that it ended
/// a minute ago: its month is open, whenever the test runs.
pub fn recent(path: &str) -> Vec<u8> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    ending(path, u32::try_from(now).unwrap() - 60)
}

/// Such a capture, moved so that it ended at this second.
pub fn ending(path: &str, end_s: u32) -> Vec<u8> {
    at_other_times(path, |second, (_, last)| end_s.wrapping_sub(last).wrapping_add(second))
}

/// Such a capture, as if it had begun at this second, its packets `stretch` times as far apart.
pub fn beginning(path: &str, begins_s: u32, stretch: u32) -> Vec<u8> {
    at_other_times(path, |second, (first, _)| begins_s + (second - first) * stretch)
}

/// A capture whose seconds are other ones: `other` gets each, with the first and the last of all.
fn at_other_times(path: &str, other: impl Fn(u32, (u32, u32)) -> u32) -> Vec<u8> {
    let mut bytes = std::fs::read(testdata(path)).unwrap();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut plain).unwrap();
        bytes = plain;
    }
    assert_eq!(bytes[..4], 0xa1b2_c3d4_u32.to_le_bytes(), "{path}");
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut records = Vec::new();
    let mut at = 24;
    while at + 16 <= bytes.len() {
        records.push(at);
        at += 16 + word(&bytes, at + 8) as usize;
    }
    let seconds: Vec<u32> = records.iter().map(|at| word(&bytes, *at)).collect();
    let ends = (*seconds.iter().min().unwrap(), *seconds.iter().max().unwrap());
    for (at, second) in records.into_iter().zip(seconds) {
        bytes[at..at + 4].copy_from_slice(&other(second, ends).to_le_bytes());
    }
    bytes
}

/// A pcap file (microseconds, Ethernet) of these packets: time in µs, bytes.
pub fn pcap(packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for (at_us, bytes) in packets {
        let len = u32::try_from(bytes.len()).unwrap();
        for word in [(at_us / 1_000_000) as u32, (at_us % 1_000_000) as u32, len, len] {
            file.extend(word.to_le_bytes());
        }
        file.extend(bytes);
    }
    file
}

/// What a device with hardware address 02:00:00:00:00:`last` sends to port 67 before it has an
/// address: a DHCP request that tells its name.
pub fn dhcp_request(last: u8, host: &str) -> Vec<u8> {
    let mut bootp = vec![1, 1, 6, 0, 0, 0, 0, last];
    bootp.resize(28, 0);
    bootp.extend([2, 0, 0, 0, 0, last]);
    bootp.resize(236, 0);
    bootp.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 3, 12, host.len() as u8]);
    bootp.extend(host.bytes());
    bootp.push(255);
    bootp
}

/// An Ethernet frame with IPv4 and UDP.
pub fn udp(src: ([u8; 4], u16), dst: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, src.0[3], 8, 0];
    let len = u16::try_from(28 + payload.len()).unwrap();
    frame.extend([0x45, 0]);
    frame.extend(len.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend(src.0);
    frame.extend(dst.0);
    for word in [src.1, dst.1, len - 20, 0] {
        frame.extend(word.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

/// A TCP connection as a capture shows it: who opened it, and what has been sent so far.
pub struct Connection {
    client: ([u8; 4], u16),
    server: ([u8; 4], u16),
    /// Sequence numbers of the next byte of client and server.
    next: [u32; 2],
    pub packets: Vec<(u64, Vec<u8>)>,
    at_us: u64,
}

impl Connection {
    /// Begins at this time with the handshake, or without one that was seen.
    pub fn open(at_us: u64, client: ([u8; 4], u16), server: ([u8; 4], u16), handshake: bool) -> Self {
        let mut connection = Self { client, server, next: [1_000, 9_000], packets: Vec::new(), at_us };
        if handshake {
            connection.segment(true, 2, b"");
            connection.segment(false, 0x12, b"");
            connection.segment(true, 0x10, b"");
        }
        connection
    }

    fn segment(&mut self, from_client: bool, flags: u8, payload: &[u8]) {
        let (src, dst) = if from_client { (self.client, self.server) } else { (self.server, self.client) };
        let (own, other) = if from_client { (0, 1) } else { (1, 0) };
        // Hardware addresses follow from the last byte of the addresses.
        let mut frame = vec![2, 0, 0, 0, 0, dst.0[3], 2, 0, 0, 0, 0, src.0[3], 8, 0, 0x45, 0];
        frame.extend(u16::try_from(40 + payload.len()).unwrap().to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 6, 0, 0]);
        frame.extend(src.0);
        frame.extend(dst.0);
        frame.extend(src.1.to_be_bytes());
        frame.extend(dst.1.to_be_bytes());
        frame.extend(self.next[own].to_be_bytes());
        frame.extend(self.next[other].to_be_bytes());
        frame.extend([5 << 4, flags, 255, 255, 0, 0, 0, 0]);
        frame.extend(payload);
        self.next[own] += payload.len() as u32 + u32::from(flags & 3 != 0);
        self.packets.push((self.at_us, frame));
        self.at_us += 1_000;
    }

    /// The client sends this.
    pub fn ask(mut self, payload: &[u8]) -> Self {
        self.segment(true, 0x18, payload);
        self
    }

    /// The server sends this.
    pub fn answer(mut self, payload: &[u8]) -> Self {
        self.segment(false, 0x18, payload);
        self
    }
}

/// A TLS ClientHello with this server name (RFC 8446 section 4.1.2, RFC 6066 section 3), in its
/// record.
pub fn client_hello(name: &str) -> Vec<u8> {
    let with_len = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let entry = [&[0][..], &with_len(name.as_bytes())].concat();
    let extension = [&[0, 0][..], &with_len(&with_len(&entry))].concat();
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 1, 1, 0]);
    hello.extend(with_len(&extension));
    let message = [&[1, 0][..], &with_len(&hello)].concat();
    [&[22, 3, 1][..], &with_len(&message)].concat()
}

/// A DNS answer (RFC 1035) with one address for a name.
pub fn dns_answer(name: &str, address: [u8; 4]) -> Vec<u8> {
    let mut message = dns_query(name);
    (message[2], message[3], message[7]) = (0x81, 0x80, 1);
    message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    message.extend(address);
    message
}

/// A DNS query for the address of a name.
pub fn dns_query(name: &str) -> Vec<u8> {
    let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}
