//! Captures in which one thing is there `n` times: what is to be worked off in time that grows with
//! `n`, and not with its square.

use super::support::pcap;

/// A packet: time in µs, frame.
type Packet = (u64, Vec<u8>);

/// Makes the captures of a shape, each the bytes of a file.
pub type Captures = fn(usize) -> Vec<Vec<u8>>;

/// 2026-11-01T00:00:00Z in µs.
const START_US: u64 = 1_793_491_200_000_000;
const SECOND_US: u64 = 1_000_000;

const ME: [u8; 4] = [192, 168, 1, 5];
const RESOLVER: [u8; 4] = [192, 168, 1, 1];

/// The shapes that are captures: name, and the captures in which something is there `n` times.
pub const SHAPES: [(&str, Captures); 14] = [
    ("addresses-of-a-card", |n| vec![addresses_of_a_card(n)]),
    ("cards-of-an-address", |n| vec![cards_of_an_address(n)]),
    ("names-of-an-address", |n| vec![names_of_an_address(n)]),
    ("addresses-of-a-name", |n| vec![addresses_of_a_name(n)]),
    ("ports-of-a-host", |n| vec![ports_of_a_host(n)]),
    ("devices-of-a-name", |n| vec![devices_of_a_name(n)]),
    ("interfaces", |n| vec![interfaces(n)]),
    ("sources", sources),
    ("sources-at-once", sources_at_once),
    ("pages", |n| vec![pages(n)]),
    ("hosts-of-a-site", |n| vec![hosts_of_a_site(n)]),
    ("fragments", |n| vec![fragments(n)]),
    ("lookups-by-tcp", |n| vec![lookups_by_tcp(n)]),
    ("clock-to-and-fro", |n| vec![clock_to_and_fro(n)]),
];

fn address(net: u8, i: usize) -> [u8; 4] {
    let [_, a, b, c] = u32::try_from(i).unwrap().to_be_bytes();
    [net, a, b, c]
}

fn card(i: usize) -> [u8; 6] {
    let [a, b, c, d] = u32::try_from(i).unwrap().to_be_bytes();
    [2, 0, a, b, c, d]
}

/// An Ethernet frame with IPv4. `part`: identification, flags and offset.
fn ip(card: [u8; 6], proto: u8, ends: ([u8; 4], [u8; 4]), part: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0xff, 0, 0, 0, 1];
    frame.extend(card);
    frame.extend([8, 0, 0x45, 0]);
    frame.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    frame.extend(part.0.to_be_bytes());
    frame.extend(part.1.to_be_bytes());
    frame.extend([64, proto, 0, 0]);
    frame.extend(ends.0);
    frame.extend(ends.1);
    frame.extend(payload);
    frame
}

fn udp_bytes(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    let mut bytes: Vec<u8> = [ports.0, ports.1, len, 0].into_iter().flat_map(u16::to_be_bytes).collect();
    bytes.extend(payload);
    bytes
}

/// A TCP segment: SYN where it has no payload.
fn tcp(card: [u8; 6], src: ([u8; 4], u16), dst: ([u8; 4], u16), payload: &[u8]) -> Vec<u8> {
    let flags = if payload.is_empty() { 2 } else { 0x18 };
    let mut bytes: Vec<u8> = [src.1, dst.1].into_iter().flat_map(u16::to_be_bytes).collect();
    let seq: u32 = if payload.is_empty() { 1_000 } else { 1_001 };
    bytes.extend(seq.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend(payload);
    ip(card, 6, (src.0, dst.0), (0, 0), &bytes)
}

/// A DNS answer: one name, its addresses.
fn dns(name: &str, addresses: &[[u8; 4]]) -> Vec<u8> {
    let count = u16::try_from(addresses.len()).unwrap();
    let mut bytes: Vec<u8> = [1, 0x8180, 1, count, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    for address in addresses {
        bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4]);
        bytes.extend(address);
    }
    bytes
}

fn answer(to: ([u8; 6], [u8; 4]), name: &str, addresses: &[[u8; 4]]) -> Vec<u8> {
    let bytes = udp_bytes((53, 40_000), &dns(name, addresses));
    let mut frame = ip([2, 0xff, 0, 0, 0, 1], 17, (RESOLVER, to.1), (0, 0), &bytes);
    frame[..6].copy_from_slice(&to.0);
    frame
}

fn port(i: usize) -> u16 {
    u16::try_from(1_024 + i % 60_000).unwrap()
}

/// Each thing `apart_us` after the one before.
fn spread(apart_us: u64, frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<Packet> {
    (START_US..).step_by(usize::try_from(apart_us).unwrap()).zip(frames).collect()
}

/// `n` clients behind one hardware address.
fn addresses_of_a_card(n: usize) -> Vec<u8> {
    pcap(&spread(50, (0..n).map(|i| tcp(card(1), (address(10, i), 50_000), ([198, 51, 100, 7], 443), &[]))))
}

/// `n` hardware addresses that use one address, each beside one of its own.
fn cards_of_an_address(n: usize) -> Vec<u8> {
    let frames = (0..n).flat_map(|i| {
        let from = |ip, port| tcp(card(i), (ip, port), ([198, 51, 100, 7], 443), &[]);
        [from([10, 0, 0, 1], port(i)), from(address(11, i), 50_000)]
    });
    pcap(&spread(50, frames))
}

/// One address that is told for `n` names, and a flow to it after each.
fn names_of_an_address(n: usize) -> Vec<u8> {
    let server = [198, 51, 100, 7];
    let frames = (0..n).flat_map(|i| {
        let told = answer((card(1), ME), &format!("www.site{i}.com"), &[server]);
        [told, tcp(card(1), (ME, port(i)), (server, 443), &[])]
    });
    pcap(&spread(5_000, frames))
}

/// One name that is told with `n` addresses, some in each answer, and a flow to each.
fn addresses_of_a_name(n: usize) -> Vec<u8> {
    let servers: Vec<[u8; 4]> = (0..n).map(|i| address(100, (64 << 16) + (1 << 22) + i)).collect();
    let told = servers.chunks(32).map(|some| answer((card(1), ME), "www.example.com", some));
    let flows = servers.iter().enumerate().map(|(i, server)| tcp(card(1), (ME, port(i)), (*server, 443), &[]));
    pcap(&spread(500, told.chain(flows)))
}

/// One client that knocks at `n` ports of a host.
fn ports_of_a_host(n: usize) -> Vec<u8> {
    pcap(&spread(50, (0..n).map(|i| tcp(card(1), (ME, 50_000), ([198, 51, 100, 7], port(i)), &[]))))
}

/// `n` devices that ask for one name and use it.
fn devices_of_a_name(n: usize) -> Vec<u8> {
    let server = [198, 51, 100, 7];
    let frames = (0..n).flat_map(|i| {
        let own = (card(i), address(10, i));
        [answer(own, "www.example.com", &[server]), tcp(own.0, (own.1, 50_000), (server, 443), &[])]
    });
    pcap(&spread(500, frames))
}

/// A pcapng file with `n` interfaces and a packet on each.
fn interfaces(n: usize) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let len = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
        [&kind.to_le_bytes()[..], &len, body, &len].concat()
    };
    let mut file = block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    (0..n).for_each(|_| file.extend(block(1, &[1, 0, 0, 0, 0, 0, 0, 0])));
    for (i, (at_us, mut frame)) in
        (0_u32..).zip(spread(50, (0..n).map(|i| tcp(card(i), (address(10, i), 50_000), ([198, 51, 100, 7], 443), &[]))))
    {
        let len = u32::try_from(frame.len()).unwrap();
        let mut body: Vec<u8> =
            [i, (at_us >> 32) as u32, at_us as u32, len, len].into_iter().flat_map(u32::to_le_bytes).collect();
        frame.resize(frame.len().next_multiple_of(4), 0);
        body.extend(frame);
        file.extend(block(6, &body));
    }
    file
}

/// `n` captures of some flows, ten minutes apart: none goes on with another.
fn sources(n: usize) -> Vec<Vec<u8>> {
    let capture = |i: usize| {
        let flow = |nth: usize| {
            let at_us = START_US + i as u64 * 600 * SECOND_US + nth as u64;
            (at_us, tcp(card(1), (ME, port(i * 8 + nth)), (address(100, (1 << 22) + i * 8 + nth), 443), &[]))
        };
        pcap(&(0..8).map(flow).collect::<Vec<_>>())
    };
    (0..n).map(capture).collect()
}

/// `n` captures that follow each other within an hour, with flows that all of them may go on with.
fn sources_at_once(n: usize) -> Vec<Vec<u8>> {
    let capture = |i: usize| {
        let flow = |nth: usize| {
            let at_us = START_US + i as u64 * 3_000 * SECOND_US / n as u64 + nth as u64;
            (at_us, tcp(card(1), (ME, port(i * 8 + nth)), (address(100, (1 << 22) + i * 8 + nth), 443), &[]))
        };
        // An hour later nothing more can change what was booked.
        let late = (START_US + 8_000 * SECOND_US + i as u64, tcp(card(1), (ME, 999), ([198, 51, 100, 9], 443), &[]));
        pcap(&(0..8).map(flow).chain((i + 1 == n).then_some(late)).collect::<Vec<_>>())
    };
    (0..n).map(capture).collect()
}

fn request(host: &str) -> Vec<u8> {
    // More than keeping a connection alive.
    format!("GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {}\r\n\r\n", "x".repeat(400)).into_bytes()
}

/// `n` devices that show a page and what it pulls in, again and again.
fn pages(n: usize) -> Vec<u8> {
    let frames = (0..n).flat_map(|i| {
        let own = (card(i), address(10, i));
        ["www.page.com", "cdn.third.net", "px.track.org"].into_iter().zip(1..).flat_map(move |(host, nth)| {
            let from = |payload: &[u8]| tcp(own.0, (own.1, 50_000 + nth), ([198, 51, 100, nth as u8], 80), payload);
            [from(&[]), from(&request(host))]
        })
    });
    pcap(&spread(2_000, frames))
}

/// One device that begins to use `n` hosts of a few sites within a second or two.
fn hosts_of_a_site(n: usize) -> Vec<u8> {
    let frames = (0..n).flat_map(|i| {
        let from = |payload: &[u8]| tcp(card(1), (ME, port(i)), (address(100, (1 << 22) + i), 80), payload);
        [from(&[]), from(&request(&format!("h{i}.site{}.com", i % 3)))]
    });
    pcap(&spread(500_000 / n as u64, frames))
}

/// `n` datagrams in two pieces, the first pieces before the second ones; half of them answers of
/// DNS.
fn fragments(n: usize) -> Vec<u8> {
    let name = |i: usize| format!("www.site{i}.com");
    let whole = |i: usize| {
        let servers: Vec<_> = (0..8).map(|nth| address(100, (1 << 22) + i * 8 + nth)).collect();
        udp_bytes((if i.is_multiple_of(2) { 53 } else { 6_000 }, 40_000), &dns(&name(i), &servers))
    };
    let piece = |i: usize, first: bool| {
        let bytes = whole(i);
        let (head, tail) = bytes.split_at(64);
        let part = (u16::try_from(i % 65_536).unwrap(), if first { 0x2000 } else { 8 });
        ip(card(1), 17, (address(100, i), ME), part, if first { head } else { tail })
    };
    pcap(&spread(50, (0..n).map(|i| piece(i, true)).chain((0..n).map(|i| piece(i, false)))))
}

/// `n` connections to a resolver, each with an answer.
fn lookups_by_tcp(n: usize) -> Vec<u8> {
    let frames = (0..n).flat_map(|i| {
        let message = dns(&format!("www.site{i}.com"), &[address(100, (1 << 22) + i)]);
        let framed = [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat();
        let client = (ME, port(i));
        [tcp(card(1), client, (RESOLVER, 53), &[]), tcp(card(2), (RESOLVER, 53), client, &framed)]
    });
    pcap(&spread(500, frames))
}

/// `n` flows of two clocks that are a quarter of an hour apart, packet by packet.
fn clock_to_and_fro(n: usize) -> Vec<u8> {
    let flows = spread(1_000, (0..n).map(|i| tcp(card(1), (address(10, i), 50_000), ([198, 51, 100, 7], 443), &[])));
    let turned =
        flows.into_iter().enumerate().map(|(i, (at_us, frame))| (at_us + (i as u64 % 2) * 900 * SECOND_US, frame));
    pcap(&turned.collect::<Vec<_>>())
}
