//! Sends Ethernet frames out of an interface at a fixed rate: the traffic of `make bench-live` and
//! `make soak`.
//!
//! ```text
//! send INTERFACE PACKETS_PER_SECOND SECONDS [CAPTURE]
//! ```
//!
//! Rate 0 is the top rate. Without a capture file the frames are made here: TCP connections of 50
//! packets, half of them of 1,514 bytes, each with a DNS answer and a TLS hello before it, 800
//! bytes in the mean, and always with new ports. With one its first frames are sent over and over.
//! Prints `sent PACKETS packets, BYTES IP bytes in SECONDS s`.
//!
//! Only for network namespaces of your own: it fills whatever it is pointed at.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic)]

use imon_common::capture_file::CaptureReader;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg, socket};
use std::fs::File;
use std::io::{BufReader, IoSlice};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Frames given to the kernel in one call.
const BATCH: usize = 32;

/// Frames held; with 800 bytes each some 80 MB.
const MOST_FRAMES: usize = 100_000;

/// Connections that are made up, and packets in each.
const CONNECTIONS: u32 = 2_000;
const PACKETS_EACH: u32 = 50;

/// Shorter sleeps than this take longer than they say.
const SHORTEST_SLEEP: Duration = Duration::from_micros(200);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (interface, rate, seconds, capture) = match args.as_slice() {
        [i, rate, seconds] => (i, rate, seconds, None),
        [i, rate, seconds, capture] => (i, rate, seconds, Some(capture)),
        _ => panic!("usage: send INTERFACE PACKETS_PER_SECOND SECONDS [CAPTURE]"),
    };
    let (rate, seconds): (f64, f64) = (rate.parse().unwrap(), seconds.parse().unwrap());
    let mut frames = capture.map_or_else(made_up, |path| from_capture(path));
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(socket.as_raw_fd(), &address_of(interface)).unwrap();

    let (mut packets, mut bytes) = (0_u64, 0_u64);
    let began = Instant::now();
    'sending: for round in 0.. {
        for batch in frames.chunks_mut(BATCH) {
            for frame in batch.iter_mut() {
                frame.renew(round);
                bytes += frame.ip_bytes;
            }
            send(socket.as_raw_fd(), batch);
            packets += batch.len() as u64;
            if began.elapsed().as_secs_f64() >= seconds {
                break 'sending;
            }
            while rate > 0.0 && began.elapsed().as_secs_f64() < packets as f64 / rate {
                let early = packets as f64 / rate - began.elapsed().as_secs_f64();
                if early > SHORTEST_SLEEP.as_secs_f64() {
                    std::thread::sleep(SHORTEST_SLEEP / 2);
                }
            }
        }
    }
    println!("sent {packets} packets, {bytes} IP bytes in {:.3} s", began.elapsed().as_secs_f64());
}

/// The link-layer address of an interface, to bind to.
fn address_of(interface: &str) -> LinkAddr {
    let mut all = getifaddrs().unwrap().filter(|a| a.interface_name == interface);
    all.find_map(|a| a.address?.as_link_addr().copied()).unwrap_or_else(|| panic!("no interface {interface}"))
}

/// Sends all frames of a batch; waits where the kernel has no room.
fn send(socket: i32, batch: &[Sent]) {
    let mut from = 0;
    while let Some(rest) = batch.get(from..).filter(|rest| !rest.is_empty()) {
        let slices: Vec<[IoSlice<'_>; 1]> = rest.iter().map(|f| [IoSlice::new(&f.bytes)]).collect();
        let mut headers = MultiHeaders::<LinkAddr>::preallocate(rest.len(), None);
        match sendmmsg(socket, &mut headers, &slices, vec![None; rest.len()], [], MsgFlags::empty()) {
            Ok(results) => from += results.count(),
            Err(Errno::ENOBUFS | Errno::EAGAIN | Errno::EINTR) => std::thread::yield_now(),
            Err(e) => panic!("cannot send: {e}"),
        }
    }
}

/// A frame to send.
struct Sent {
    bytes: Vec<u8>,
    ip_bytes: u64,
    /// Where the client's port stands, and which it is in round 0.
    port: Option<(usize, u16)>,
}

impl Sent {
    /// Takes another client port in each round, so that connections never repeat.
    fn renew(&mut self, round: u16) {
        if let Some((at, first)) = self.port
            && let Some(place) = self.bytes.get_mut(at..at + 2)
        {
            place.copy_from_slice(&first.wrapping_add(round).to_be_bytes());
        }
    }
}

/// The first frames of a capture file that an Ethernet takes.
fn from_capture(path: &str) -> Vec<Sent> {
    let mut reader = CaptureReader::new(BufReader::new(File::open(path).unwrap())).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        let stated = match packet.data {
            [_, _, _, _, _, _, _, _, _, _, _, _, 8, 0, _, _, a, b, ..] => u64::from(u16::from_be_bytes([*a, *b])),
            [_, _, _, _, _, _, _, _, _, _, _, _, 0x86, 0xdd, _, _, _, _, a, b, ..] => {
                40 + u64::from(u16::from_be_bytes([*a, *b]))
            }
            _ => 0,
        };
        if packet.data.len() as u32 == packet.orig_len && (14..=1514).contains(&packet.data.len()) {
            frames.push(Sent { bytes: packet.data.to_vec(), ip_bytes: stated, port: None });
        }
        if frames.len() == MOST_FRAMES {
            break;
        }
    }
    assert!(!frames.is_empty(), "{path} has no whole Ethernet frame of at most 1,514 bytes");
    frames
}

/// Connections one beside the other, 16 at a time, so that packets of a flow come in short trains.
fn made_up() -> Vec<Sent> {
    let mut frames = Vec::with_capacity(MOST_FRAMES);
    for group in 0..CONNECTIONS / 16 {
        for n in 0..PACKETS_EACH {
            frames.extend((0..16).map(|c| frame(group * 16 + c, n)));
        }
    }
    frames
}

/// Packet `n` of connection `c`.
fn frame(c: u32, n: u32) -> Sent {
    let name = format!("host{c}.example{}.org", c % 400);
    let client = [203, 0, 113, 1 + (c % 200) as u8];
    let server = [198, 51, 100, 1 + (c % 250) as u8];
    let port = 20_000 + c as u16;
    match n {
        0 => udp(client, server, port, &dns(&name, None)),
        1 => udp(server, client, port, &dns(&name, Some(server))),
        2 => tcp((client, server), port, 2, 0, &[]),
        3 => tcp((server, client), port, 0x12, 0, &[]),
        4 => tcp((client, server), port, 0x18, 1, &hello(&name)),
        _ if n % 2 == 1 => tcp((server, client), port, 0x10, 1 + n * 1448, &[0x5a; 1448]),
        _ if n.is_multiple_of(6) => tcp((client, server), port, 0x18, 518 + n * 400, &[0x17; 400]),
        _ => tcp((client, server), port, 0x10, 518, &[]),
    }
}

/// A DNS message (RFC 1035 section 4): the question, or with `answer` its A record.
fn dns(name: &str, answer: Option<[u8; 4]>) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, if answer.is_some() { 0x81 } else { 1 }, 0x80, 0, 1, 0, 0, 0, 0, 0, 0];
    message.extend(name.split('.').flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat()));
    message.extend([0, 0, 1, 0, 1]);
    if let Some(address) = answer {
        message.splice(6..8, [0, 1]);
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        message.extend(address);
    }
    message
}

/// A TLS record with a ClientHello (RFC 8446 section 4.1.2) of 517 bytes that names `name`, padded
/// (RFC 7685).
fn hello(name: &str) -> Vec<u8> {
    let block = |head: &[u8], body: &[u8]| [head, &(body.len() as u16).to_be_bytes(), body].concat();
    let server_name = block(&[0, 0], &block(&[], &block(&[0], name.as_bytes())));
    let start = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    let padding = block(&[0, 21], &vec![0; 512 - 4 - start.len() - 2 - server_name.len() - 4]);
    let body = [start, block(&[], &[server_name, padding].concat())].concat();
    block(&[22, 3, 1], &block(&[1, 0], &body))
}

fn udp(src: [u8; 4], dst: [u8; 4], client_port: u16, payload: &[u8]) -> Sent {
    let from_client = src[0] == 203;
    let (from, to) = if from_client { (client_port, 53) } else { (53, client_port) };
    let mut body = [from.to_be_bytes(), to.to_be_bytes(), (8 + payload.len() as u16).to_be_bytes(), [0; 2]].concat();
    body.extend(payload);
    ip((src, dst), 17, &body, (client_port, from_client))
}

fn tcp((src, dst): ([u8; 4], [u8; 4]), client_port: u16, flags: u8, seq: u32, payload: &[u8]) -> Sent {
    let from_client = src[0] == 203;
    let (from, to) = if from_client { (client_port, 443) } else { (443, client_port) };
    let mut body = [from.to_be_bytes(), to.to_be_bytes()].concat();
    body.extend(seq.to_be_bytes());
    body.extend([0, 0, 0, 1, 0x80, flags, 0xff, 0xff, 0, 0, 0, 0, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1]);
    body.extend(payload);
    ip((src, dst), 6, &body, (client_port, from_client))
}

fn ip((src, dst): ([u8; 4], [u8; 4]), proto: u8, body: &[u8], (port, from_client): (u16, bool)) -> Sent {
    let total = 20 + body.len() as u16;
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    bytes.extend(total.to_be_bytes());
    bytes.extend([0, 1, 0x40, 0, 64, proto, 0, 0]);
    bytes.extend([src, dst].concat());
    bytes.extend(body);
    Sent { bytes, ip_bytes: total.into(), port: Some((if from_client { 34 } else { 36 }, port)) }
}
