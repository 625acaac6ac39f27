//! Writes the seeds of all targets: `seeds OUT_DIR CAPTURE…`. Captures that cannot be read are
//! passed over.

#[path = "../../analyzer/src/owners/tests/maker.rs"]
mod maker;

use imon_common::capture_file::CaptureReader;
use imon_common::packet::CapturedPacket;
use imon_common::wire::{Frame, Tcp, Transport, decode};
use imon_fuzz::books::Books;
use imon_fuzz::{frames, initial, pieces};
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Seeds from one capture, for one target; more teach the fuzzer little and slow its start.
const PER_CAPTURE: usize = 60;
/// Longest seed.
const LONGEST: usize = 64 * 1024;
/// Packets of a flow that are kept: the name is among the first.
const PER_FLOW: usize = 12;

/// A flow's packets as the records of a target's input.
#[derive(Default)]
struct Conversation {
    client: Option<SocketAddr>,
    packets: usize,
    target: &'static str,
    input: Vec<u8>,
}

struct Seeds {
    out: PathBuf,
    written: HashSet<Vec<u8>>,
    of_capture: BTreeMap<&'static str, usize>,
}

impl Seeds {
    fn put(&mut self, target: &'static str, seed: &[u8]) {
        let seed = &seed[..seed.len().min(LONGEST)];
        let count = self.of_capture.entry(target).or_default();
        if *count >= PER_CAPTURE || !self.written.insert([target.as_bytes(), seed].concat()) {
            return;
        }
        *count += 1;
        let folder = self.out.join(target);
        std::fs::create_dir_all(&folder).expect("the folder of seeds");
        let name = format!("seed-{:08x}-{}", crc32c::crc32c(seed), seed.len());
        std::fs::write(folder.join(name), seed).expect("a seed");
    }

    /// Files of `--owners`: every layout of the tree, every layout of a record, and circles.
    fn owners(&mut self) {
        use maker::{Maker, Value, asn, map, text};
        let iso = |code| map([("iso_code", text(code)), ("names", map([("en", text("Nowhere"))]))]);
        let records = [
            asn(64_500, "Example Net"),
            map([("country", iso("DE")), ("registered_country", iso("FR"))]),
            map([("asn", text("AS64500")), ("as_name", text("Net")), ("country_code", text("DE"))]),
            map([("traits", Value::Pointer(0))]),
            map([("country", map([("iso_code", Value::Pointer(9))]))]),
            Value::List(vec![Value::Long(1), Value::Huge(1), Value::Double(0.5), Value::Flag(true)]),
        ];
        for (record_size, ip_version) in [(24, 4), (24, 6), (28, 6), (32, 6)] {
            for record in &records {
                let maker = Maker { record_size, ip_version, ..Maker::default() };
                let maker = maker.with("198.51.100.0/24", record.clone());
                let six = maker.clone().with("2001:db8::/32", asn(64_501, "Six"));
                self.put("owners", &if ip_version == 4 { maker } else { six }.bytes());
            }
        }
    }

    fn capture(&mut self, path: &Path) {
        self.of_capture.clear();
        let Ok(bytes) = std::fs::read(path) else { return };
        let Ok(mut reader) = CaptureReader::new(bytes.as_slice()) else { return };
        self.put("capture_file", &bytes);
        let mut books = Books::default();
        let mut conversations = BTreeMap::new();
        let mut all: Vec<u8> = Vec::new();
        let mut shapes = HashSet::new();
        while let Ok(Some(packet)) = reader.next_packet() {
            books.packet(&packet);
            if all.is_empty() {
                all.extend(packet.link_type.0.to_le_bytes());
            }
            let missing = packet.orig_len.saturating_sub(packet.data.len() as u32).min(65_534) as u16;
            if all.len() < LONGEST / 2 {
                frames::put(&mut all, missing, packet.data);
            }
            if shapes
                .insert((packet.data.len() / 64, packet.data.get(..40).map(|d| [d[12], d[13], d[23], d[36], d[37]])))
            {
                self.frame(&packet, missing);
            }
            self.conversation(&packet, &mut conversations);
        }
        self.put("packets", &all);
        self.segment(books);
        for conversation in conversations.into_values().filter(|c: &Conversation| !c.input.is_empty()) {
            self.put(conversation.target, &conversation.input);
        }
    }

    fn frame(&mut self, packet: &CapturedPacket<'_>, missing: u16) {
        let head = [packet.link_type.0.to_le_bytes(), missing.to_le_bytes()].concat();
        self.put("frame", &[&head, packet.data].concat());
        match packet.link_type.0 {
            1 => self.put("differential", &[&[0], packet.data].concat()),
            12 | 101 => self.put("differential", &[&[1], packet.data].concat()),
            _ => {}
        }
    }

    fn segment(&mut self, books: Books) {
        let bytes = books.close();
        self.put("segment", &[&[0], &bytes[..]].concat());
        self.put("segment", &[&[3], &bytes[..bytes.len().min(8_192)]].concat());
        self.put("segment_round_trip", &bytes[..bytes.len().min(4_096)]);
    }

    fn conversation(&mut self, packet: &CapturedPacket<'_>, all: &mut BTreeMap<[SocketAddr; 2], Conversation>) {
        let Frame::Ip(ip) = decode(packet) else { return };
        let (ports, payload) = match &ip.transport {
            Transport::Tcp(t) => ((t.src_port, t.dst_port), t.payload),
            Transport::Udp(u) => ((u.src_port, u.dst_port), u.payload),
            _ => return,
        };
        let (src, dst) = (SocketAddr::new(ip.src, ports.0), SocketAddr::new(ip.dst, ports.1));
        if let (Transport::Udp(_), (68, 67) | (546, 547)) = (&ip.transport, ports) {
            self.put("dhcp", payload);
            return;
        }
        let is_dns = [53, 5353, 5355].iter().any(|p| ports.0 == *p || ports.1 == *p);
        if let (Transport::Udp(_), true) = (&ip.transport, is_dns) {
            self.put("dns_message", payload);
            self.put("differential", &[&[3], payload].concat());
            self.put("dns_stream", &[&[1, 2, 1, 40][..], &(payload.len() as u16).to_be_bytes(), payload].concat());
            return;
        }
        let mut key = [src, dst];
        key.sort();
        let known = all.entry(key).or_default();
        let client = *known.client.get_or_insert(src);
        if known.packets >= PER_FLOW || payload.is_empty() && !is_syn(&ip.transport) {
            return;
        }
        known.packets += 1;
        let server = if client == src { 0 } else { 1 };
        match &ip.transport {
            Transport::Tcp(tcp) => {
                let syn = if tcp.flags & Tcp::SYN != 0 { pieces::SYN } else { 0 };
                pieces::put(&mut known.input, server | syn, payload);
                let http = [&b"GET "[..], b"POST ", b"HEAD ", b"PRI * ", b"CONNECT ", b"OPTIONS "];
                if is_dns {
                    known.target = "dns_stream";
                } else if http.iter().any(|m| payload.starts_with(m)) {
                    known.target = "http";
                } else if known.target.is_empty() {
                    known.target = "hello_stream";
                }
            }
            _ => {
                known.target = "quic_datagrams";
                initial::put(&mut known.input, server, payload);
            }
        }
    }

    /// Seeds that no capture is needed for.
    fn made(&mut self) {
        self.of_capture.clear();
        let hello = client_hello("www.example.org");
        let mut record = vec![22, 3, 1];
        record.extend((hello.len() as u16).to_be_bytes());
        record.extend(&hello);
        let stream = |parts: &[(u8, &[u8])]| {
            let mut input = Vec::new();
            pieces::put(&mut input, pieces::SYN, &[]);
            parts.iter().for_each(|(side, bytes)| pieces::put(&mut input, *side, bytes));
            input
        };
        let (head, tail) = record.split_at(60);
        self.put("hello_stream", &stream(&[(0, &record)]));
        self.put("hello_stream", &stream(&[(0, head), (0, tail)]));
        self.put(
            "hello_stream",
            &stream(&[
                (1, b"220 mail ESMTP\r\n"),
                (0, b"EHLO a\r\n"),
                (1, b"250 STARTTLS\r\n"),
                (0, b"STARTTLS\r\n"),
                (1, b"220 go\r\n"),
                (0, &record),
            ]),
        );
        self.put("hello_stream", &stream(&[(0, &[0, 0, 0, 8, 4, 210, 22, 47]), (1, b"S"), (0, &record)]));
        let socks = [&[5, 1, 0, 3, 11][..], b"example.org", &[1, 187]].concat();
        self.put(
            "hello_stream",
            &stream(&[(0, &[5, 1, 0]), (1, &[5, 0]), (0, &socks), (1, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]), (0, &record)]),
        );
        self.put(
            "hello_stream",
            &stream(&[
                (0, b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00example.org\x00"),
                (1, &[0, 90, 0, 0, 0, 0, 0, 0]),
                (0, &record),
            ]),
        );
        self.put("http", &stream(&[(0, b"GET /a HTTP/1.1\r\nUser-Agent: x\r\nHost: www.example.org:8080\r\n\r\n")]));
        self.put("http", b"GET /a HTTP/1.1\r\nUser-Agent: x\r\nHost: www.example.org\r\n\r\n");
        self.put("http", &stream(&[(0, b"GET http://user@www.example.org:80/a HTTP/1.1\r\n\r\n")]));
        self.put(
            "http",
            &stream(&[
                (0, b"CONNECT www.example.org:443 HTTP/1.1\r\n\r\n"),
                (1, b"HTTP/1.1 200 OK\r\n\r\n"),
                (0, &record),
            ]),
        );
        self.put(
            "http",
            &stream(&[(0, b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.0\r\nHost: a.test\r\n\r\n")]),
        );
        // RFC 7541 appendix C.3.1 and C.4.1: `:authority` literal and Huffman-coded.
        let literal = b"\x82\x86\x84\x41\x0fwww.example.com";
        let huffman = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
        for block in [&literal[..], huffman] {
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
            let frame = [&[0, 0, block.len() as u8, 1, 4, 0, 0, 0, 1][..], block].concat();
            self.put("http", &stream(&[(0, &[preface, frame].concat())]));
        }
        for (control, kind) in [(0, 6_u8), (0x10, 6), (0x20, 6), (0x30, 8)] {
            let crypto = |at: usize, bytes: &[u8]| {
                let (at, len) = (0x4000 | at as u16, 0x4000 | bytes.len() as u16);
                [&[kind][..], &at.to_be_bytes(), &len.to_be_bytes(), bytes].concat()
            };
            let (head, tail) = hello.split_at(70);
            let mut input = Vec::new();
            initial::put(
                &mut input,
                initial::PROTECT | control,
                &[crypto(70, tail), vec![1, 0, 0], crypto(0, head)].concat(),
            );
            self.put("quic_datagrams", &input);
            let mut input = Vec::new();
            initial::put(&mut input, initial::PROTECT | control, &crypto(70, tail));
            initial::put(&mut input, initial::PROTECT | initial::JOIN | control, &crypto(0, head));
            self.put("quic_datagrams", &input);
        }
        let mut dtls = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0];
        dtls.extend((hello.len() as u16 + 9).to_be_bytes());
        dtls.extend(&hello[..4]);
        dtls.extend([0, 0, 0, 0, 0]);
        dtls.extend(&hello[1..4]);
        // The hello of DTLS has a cookie behind the session id.
        dtls.extend([&hello[4..39], &[0], &hello[39..]].concat());
        let mut input = Vec::new();
        initial::put(&mut input, 0, &dtls);
        self.put("quic_datagrams", &input);
        self.put("segment_round_trip", &[0x5a; 400]);
        self.put(
            "segment_round_trip",
            &(0..2000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect::<Vec<_>>(),
        );
    }
}

fn is_syn(transport: &Transport<'_>) -> bool {
    matches!(transport, Transport::Tcp(tcp) if tcp.flags & Tcp::SYN != 0)
}

/// A small ClientHello (RFC 8446 section 4.1.2) with a server name, as a handshake message.
fn client_hello(host: &str) -> Vec<u8> {
    let n = host.len() as u16;
    let mut extension = vec![0, 0];
    extension.extend((n + 5).to_be_bytes());
    extension.extend((n + 3).to_be_bytes());
    extension.push(0);
    extension.extend(n.to_be_bytes());
    extension.extend(host.as_bytes());
    extension.extend([0, 43, 0, 3, 2, 3, 4]);
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend((extension.len() as u16).to_be_bytes());
    body.extend(extension);
    let mut hello = vec![1, 0];
    hello.extend((body.len() as u16).to_be_bytes());
    hello.extend(body);
    hello
}

fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let out = arguments.next().expect("usage: seeds OUT_DIR CAPTURE…");
    let mut seeds = Seeds { out, written: HashSet::new(), of_capture: BTreeMap::new() };
    seeds.made();
    seeds.owners();
    arguments.for_each(|path| seeds.capture(&path));
    println!("{} seeds", seeds.written.len());
}
