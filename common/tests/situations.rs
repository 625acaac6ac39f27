//! Situations that users reported, and others of the same kinds, through the meter: what is booked
//! where, and which name.
//!
//! The files of testdata/field are theirs; the packets beside them are built here.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use imon_common::capture_file::CaptureReader;
use imon_common::flow::{Flow, Scope};
use imon_common::local::LocalNets;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Counter, Meter, MeterConfig, Observer, Usage};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::time::UnixNanos;
use imon_common::wire::{DecodeError, Fault, Layer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;

/// What a capture comes to: bytes by flow (as `proto client>server scope`), names by flow, and what
/// was counted.
#[derive(Debug, Default)]
struct Seen {
    flows: BTreeMap<String, (u64, u64)>,
    names: Vec<(String, String)>,
    counts: BTreeMap<String, (u64, u64)>,
}

fn shown(flow: &Flow) -> String {
    let scope = match flow.scope {
        Scope::Remote => "remote",
        Scope::Local => "local",
        Scope::Transit => "transit",
    };
    let (client, server) = ((flow.client, flow.client_port), (flow.server, flow.server_port));
    format!("{} {}:{}>{}:{} {scope}", flow.proto, client.0, client.1, server.0, server.1)
}

impl Observer for Seen {
    type Error = Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.names.push((shown(flow), seen.name.to_string()));
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, _: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        let sum = self.flows.entry(shown(flow)).or_default();
        *sum = (sum.0 + usage.packets(), sum.1 + usage.bytes());
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        for count in counts {
            let sum = self.counts.entry(format!("{:?}", count.counter)).or_default();
            *sum = (sum.0 + count.packets, sum.1 + count.bytes);
        }
        Ok(())
    }
}

impl Seen {
    fn flow(&self, flow: &str) -> (u64, u64) {
        *self.flows.get(flow).unwrap_or_else(|| panic!("no {flow}: {self:#?}"))
    }

    fn bytes(&self) -> u64 {
        self.flows.values().map(|(_, bytes)| bytes).sum()
    }

    fn the_name(&self) -> &str {
        match self.names.as_slice() {
            [(_, name)] => name,
            other => panic!("{other:?}"),
        }
    }

    fn count(&self, counter: Counter) -> u64 {
        self.counts.get(&format!("{counter:?}")).map_or(0, |(packets, _)| *packets)
    }
}

fn field(name: &str) -> Seen {
    let path = format!("{}/../testdata/field/{name}.pcap", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(path).unwrap();
    let mut reader = CaptureReader::new(&bytes[..]).unwrap();
    let (mut meter, mut seen) = (Meter::new(MeterConfig::default()), Seen::default());
    while let Some(packet) = reader.next_packet().unwrap() {
        meter.packet(&packet, &mut seen).unwrap();
    }
    meter.flush(&mut seen).unwrap();
    seen
}

/// Frames of Ethernet through the meter, 1 ms apart; `cut`: captured bytes of each.
fn through_with(local: &[&str], frames: &[Vec<u8>], cut: usize, step_ms: i64) -> Seen {
    let local = LocalNets::new(local.iter().map(|net| net.parse().unwrap()));
    let mut meter = Meter::new(MeterConfig { local, ..MeterConfig::default() });
    let mut seen = Seen::default();
    for (i, frame) in frames.iter().enumerate() {
        let ts = UnixNanos(1_793_491_200_000_000_000 + i as i64 * step_ms * 1_000_000);
        let data = &frame[..frame.len().min(cut)];
        let (orig_len, link_type) = (frame.len() as u32, LinkType(1));
        meter.packet(&packet_of(ts, orig_len, link_type, data), &mut seen).unwrap();
    }
    meter.flush(&mut seen).unwrap();
    seen
}

fn packet_of(ts: UnixNanos, orig_len: u32, link_type: LinkType, data: &[u8]) -> CapturedPacket<'_> {
    CapturedPacket { ts, orig_len, link_type, interface: 0, data }
}

fn through(frames: &[Vec<u8>]) -> Seen {
    through_with(&[], frames, usize::MAX, 1)
}

// Packets, from the inside out.

const CLIENT: [u8; 4] = [192, 168, 1, 10];
const SERVER: [u8; 4] = [198, 51, 100, 60];
const CLIENT6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const SERVER6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1][..], &ether_type.to_be_bytes(), payload].concat()
}

/// With a destination address of its own, and a VLAN tag.
fn tagged(dst_mac: [u8; 6], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&dst_mac[..], &[2, 0, 0, 0, 0, 1, 0x81, 0, 0, 7], &ether_type.to_be_bytes(), payload].concat()
}

fn ipv4(proto: u8, src: [u8; 4], dst: [u8; 4], id: u16, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let total = (20 + payload.len()) as u16;
    let head = [&[0x45, 0][..], &total.to_be_bytes(), &id.to_be_bytes(), &fragment.to_be_bytes(), &[64, proto, 0, 0]];
    [&head.concat()[..], &src, &dst, payload].concat()
}

fn ipv6(next: u8, src: [u8; 16], dst: [u8; 16], payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    [&[0x60, 0, 0, 0][..], &len, &[next, 64], &src, &dst, payload].concat()
}

fn tcp(ports: (u16, u16), seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    // Two words of options, so that the header has not the usual length.
    let head = [&ports.0.to_be_bytes()[..], &ports.1.to_be_bytes(), &seq.to_be_bytes(), &[0; 4], &[0x70, flags]];
    [&head.concat()[..], &[255, 255, 0, 0, 0, 0], &[1; 8], payload].concat()
}

fn udp(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    [&ports.0.to_be_bytes()[..], &ports.1.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

/// The fragment of an IPv4 datagram that has these bytes of it (the first a multiple of 8).
fn fragment4(proto: u8, id: u16, whole: &[u8], bytes: Range<usize>) -> Vec<u8> {
    let field = (bytes.start / 8) as u16 | if bytes.end == whole.len() { 0 } else { 0x2000 };
    ethernet(0x0800, &ipv4(proto, CLIENT, SERVER, id, field, &whole[bytes]))
}

/// The same of IPv6, in a frame with a VLAN tag.
fn fragment6(proto: u8, id: u32, whole: &[u8], bytes: Range<usize>) -> Vec<u8> {
    let field = bytes.start as u16 | u16::from(bytes.end != whole.len());
    let header = [&[proto, 0][..], &field.to_be_bytes(), &id.to_be_bytes(), &whole[bytes]].concat();
    tagged([2, 0, 0, 0, 0, 2], 0x86dd, &ipv6(44, CLIENT6, SERVER6, &header))
}

/// What lies between these cuts of a datagram.
fn between(len: usize, cuts: &[usize]) -> impl Iterator<Item = Range<usize>> {
    let begins = [0].into_iter().chain(cuts.iter().copied());
    begins.zip(cuts.iter().copied().chain([len])).map(|(from, to)| from..to)
}

/// Cuts after each `size` bytes.
fn every(len: usize, size: usize) -> Vec<usize> {
    (size..len).step_by(size).collect()
}

/// The fragments of an IPv4 datagram, cut at these places (multiples of 8).
fn at_cuts4(proto: u8, whole: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    between(whole.len(), cuts).map(|bytes| fragment4(proto, 7, whole, bytes)).collect()
}

/// The same of IPv6.
fn at_cuts6(proto: u8, whole: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    between(whole.len(), cuts).map(|bytes| fragment6(proto, 7, whole, bytes)).collect()
}

/// The fragments of an IPv4 datagram, `size` bytes (a multiple of 8) of it each.
fn fragments4(proto: u8, id: u16, whole: &[u8], size: usize) -> Vec<Vec<u8>> {
    let cuts = every(whole.len(), size);
    between(whole.len(), &cuts).map(|bytes| fragment4(proto, id, whole, bytes)).collect()
}

/// The same of IPv6, in frames with a VLAN tag.
fn fragments6(proto: u8, id: u32, whole: &[u8], size: usize) -> Vec<Vec<u8>> {
    let cuts = every(whole.len(), size);
    between(whole.len(), &cuts).map(|bytes| fragment6(proto, id, whole, bytes)).collect()
}

/// A ClientHello in a record, its name behind a long extension.
fn hello(host: &str) -> Vec<u8> {
    let n = host.len() as u16;
    let name = [&(n + 3).to_be_bytes()[..], &[0], &n.to_be_bytes(), host.as_bytes()].concat();
    let mut extensions = [&[0, 51][..], &1200u16.to_be_bytes(), &[9; 1200]].concat();
    extensions.extend([&[0, 0][..], &(name.len() as u16).to_be_bytes(), &name].concat());
    let mut body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let len = (body.len() as u32).to_be_bytes();
    let record_len = (body.len() as u16 + 4).to_be_bytes();
    [&[22, 3, 1][..], &record_len, &[1, len[1], len[2], len[3]], &body].concat()
}

fn request(text: &str) -> Vec<u8> {
    ethernet(0x0800, &ipv4(6, CLIENT, SERVER, 1, 0, &tcp((50_000, 80), 1001, 24, text.as_bytes())))
}

// Lengths.

#[test]
fn padding_behind_an_ipv6_header_without_payload_is_no_traffic() {
    let seen = field("ipv6-plen0-padded");
    assert_eq!((seen.bytes(), seen.count(Counter::LengthFromFrame)), (40, 0));
    // Others of the kind, tagged, with other next headers and more behind: in wire's own tests.
    // Here the sum of several.
    let empty = |next, padding: usize| {
        let packet = [&ipv6(next, CLIENT6, SERVER6, &[])[..], &vec![0; padding]].concat();
        [ethernet(0x86dd, &packet), tagged([2, 0, 0, 0, 0, 2], 0x86dd, &packet)]
    };
    let frames: Vec<_> = [(6, 6), (17, 10), (58, 6), (99, 300)].into_iter().flat_map(|(n, p)| empty(n, p)).collect();
    assert_eq!(through(&frames).bytes(), 8 * 40);
}

#[test]
fn a_length_beyond_a_whole_frame_books_what_the_frame_has() {
    let lie = |stated: u16, ether_type: u16| {
        let packet = ipv4(17, CLIENT, SERVER, 1, 0, &udp((50_000, 4000), &[7; 360]));
        let mut packet = if ether_type == 0x0800 { packet } else { ipv6(17, CLIENT6, SERVER6, &packet[20..]) };
        let at = if ether_type == 0x0800 { 2 } else { 4 };
        packet[at..at + 2].copy_from_slice(&stated.to_be_bytes());
        packet
    };
    let [v4, v6] = [lie(53_020, 0x0800), lie(40_000, 0x86dd)];
    let frames =
        [ethernet(0x0800, &v4), tagged([2, 0, 0, 0, 0, 2], 0x0800, &v4), ethernet(0x86dd, &v6), ethernet(0x0800, &v4)];
    let seen = through(&frames);
    assert_eq!((seen.bytes(), seen.count(Counter::LengthFromFrame)), (388 * 3 + 408, 4));
    // A note says so for each.
    assert_eq!(seen.counts.keys().filter(|k| k.contains("Malformed")).count(), 2, "{:?}", seen.counts);
    // Cut, the header is all that is known.
    let seen = through_with(&[], &frames, 60, 1);
    assert_eq!((seen.bytes(), seen.count(Counter::LengthFromFrame)), (53_020 * 3 + 40_040, 0));
}

// Groups.

#[test]
fn who_sends_to_a_group_is_the_client_of_local_traffic() {
    let seen = field("multicast-from-global");
    assert_eq!(seen.flow("17 2001:db8::1:5353>ff02::fb:5353 local"), (1, 88));
    assert_eq!(seen.flow("17 203.0.113.9:5353>224.0.0.251:5353 local"), (1, 68));

    let global6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let to = |dst: [u8; 4], ports| ethernet(0x0800, &ipv4(17, [203, 0, 113, 7], dst, 1, 0, &udp(ports, b"hi")));
    let from = |src: [u8; 4], dst| ethernet(0x0800, &ipv4(17, src, dst, 1, 0, &udp((53, 40_000), b"hi")));
    let everybody = |dst: [u8; 4], proto: u8| {
        let body = if proto == 17 { udp((137, 40_137), b"hi") } else { tcp((50_000, 80), 1, 2, b"") };
        tagged([0xff; 6], 0x0800, &ipv4(proto, [203, 0, 113, 7], dst, 1, 0, &body))
    };
    let mut site = [0; 16];
    (site[0], site[1], site[15]) = (0xff, 0x0e, 1);
    let frames = [
        // Ports that would make the group the client, if it were a host; a group that may be far
        // away.
        to([239, 255, 255, 250], (53, 40_000)),
        to([232, 1, 1, 1], (80, 50_000)),
        to([255, 255, 255, 255], (67, 40_068)),
        ethernet(0x86dd, &ipv6(17, global6, site, &udp((80, 50_000), b"hi"))),
        ethernet(0x86dd, &ipv6(58, global6, site, &[143, 0, 0, 0])),
        // Directed broadcasts: of a network that is known, and in a frame to everybody.
        to([198, 51, 100, 255], (137, 40_137)),
        everybody([203, 0, 113, 127], 17),
        // In most private networks, also where the frame does not say so.
        to([192, 168, 7, 255], (137, 40_137)),
        // Not one: a made-up frame to everybody with a connection inside, and one to a host.
        everybody([203, 0, 113, 127], 6),
        everybody([203, 0, 113, 126], 17),
        // What a group cannot send is no visit of the group.
        from([224, 0, 0, 251], [203, 0, 113, 7]),
    ];
    let seen = through_with(&["198.51.100.0/24"], &frames, usize::MAX, 1);
    for flow in [
        "17 203.0.113.7:53>239.255.255.250:40000 local",
        "17 203.0.113.7:80>232.1.1.1:50000 local",
        "17 203.0.113.7:67>255.255.255.255:40068 local",
        "17 2001:db8::1:80>ff0e::1:50000 local",
        "58 2001:db8::1:0>ff0e::1:0 local",
        "17 203.0.113.7:137>198.51.100.255:40137 local",
        "17 203.0.113.7:137>203.0.113.127:40137 local",
        "17 203.0.113.7:137>192.168.7.255:40137 local",
        "6 203.0.113.7:50000>203.0.113.127:80 transit",
        "17 203.0.113.126:40137>203.0.113.7:137 transit",
        "17 203.0.113.7:40000>224.0.0.251:53 local",
    ] {
        assert_eq!(seen.flow(flow).0, 1, "{flow}");
    }
    assert_eq!(seen.flows.len(), frames.len());

    // A cooked capture leaves the address out, and says that the frame was one to everybody.
    let packet = ipv4(17, [203, 0, 113, 7], [203, 0, 113, 127], 1, 0, &udp((137, 40_137), b"hi"));
    for (kind, flow) in
        [(1, "17 203.0.113.7:137>203.0.113.127:40137 local"), (0, "17 203.0.113.127:40137>203.0.113.7:137 transit")]
    {
        let cooked = [&[0, kind, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0][..], &packet].concat();
        let cooked2 = [&[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, kind, 6, 2, 0, 0, 0, 0, 1, 0, 0][..], &packet].concat();
        for (link, frame) in [(113, &cooked), (276, &cooked2)] {
            let (mut meter, mut seen) = (Meter::new(MeterConfig::default()), Seen::default());
            meter.packet(&packet_of(UnixNanos(0), frame.len() as u32, LinkType(link), frame), &mut seen).unwrap();
            meter.flush(&mut seen).unwrap();
            assert_eq!(seen.flow(flow), (1, 30), "link type {link}");
        }
    }
}

// Old files.

#[test]
fn old_files_give_their_packets() {
    let seen = field("pcap-2.1");
    assert_eq!(seen.flows.values().fold((0, 0), |sum, f| (sum.0 + f.0, sum.1 + f.1)), (3, 4500));
    let seen = field("redhat61");
    assert_eq!(seen.flows.values().map(|f| f.0).sum::<u64>(), 12);
    assert_eq!(seen.the_name(), "rh.example.com");
    // Others of the kind: testdata/pcap and the tests of the reader.
}

// Fragments.

#[test]
fn a_hello_in_fragments_of_ip_gives_its_name() {
    assert_eq!(field("tls-ipfrag").the_name(), "frag.example.com");
    let segment = tcp((50_000, 443), 1001, 24, &hello("www.example.org"));
    let syn = ethernet(0x0800, &ipv4(6, CLIENT, SERVER, 1, 0, &tcp((50_000, 443), 1000, 2, b"")));
    let mut orders: Vec<(&str, Vec<Vec<u8>>)> = Vec::new();
    for size in [1280, 600, 96] {
        let parts = fragments4(6, 7, &segment, size);
        orders.push(("backwards", parts.iter().rev().cloned().collect()));
        orders.push(("the first one last", [&parts[1..], &parts[..1]].concat()));
        orders.push(("twice", [&parts[..], &parts].concat()));
        orders.push(("behind the handshake", [&[syn.clone()][..], &parts].concat()));
        orders.push(("in order", parts));
        orders.push(("of IPv6", fragments6(6, 7, &segment, size)));
        orders.push(("of IPv6, backwards", fragments6(6, 7, &segment, size).into_iter().rev().collect()));
    }
    // Two segments, each in fragments, mixed; the SYN tells where the stream begins.
    let whole = hello("www.example.org");
    let (a, b) = (tcp((50_000, 443), 1001, 16, &whole[..700]), tcp((50_000, 443), 1701, 24, &whole[700..]));
    let (a, b) = (fragments4(6, 8, &a, 400), fragments4(6, 9, &b, 400));
    orders.push(("mixed", [&syn, &b[1], &b[0], &a[1], &a[0]].map(Clone::clone).to_vec()));
    orders.push(("by turns", [&syn, &b[1], &a[1], &a[0], &b[0]].map(Clone::clone).to_vec()));
    for (order, frames) in orders {
        let seen = through(&frames);
        let names: Vec<&str> = seen.names.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["www.example.org"], "{order}: {} fragments", frames.len());
        assert_eq!(seen.flows.len(), 1, "{order}: {:?}", seen.flows);
        assert_eq!(seen.flows.values().next().unwrap().0 as usize, frames.len(), "{order}");
    }
}

/// The hello of DTLS 1.2: that of TLS with a cookie of no bytes, in a record of its own.
fn dtls_hello(host: &str) -> Vec<u8> {
    let mut body = hello(host)[9..].to_vec();
    body.insert(35, 0);
    let len = &(body.len() as u32).to_be_bytes()[1..];
    let message = [&[1][..], len, &[0, 0, 0, 0, 0], len, &body].concat();
    [&[22, 0xfe, 0xfd][..], &[0; 8], &(message.len() as u16).to_be_bytes(), &message].concat()
}

#[test]
fn a_datagram_hello_in_fragments_of_ip_gives_its_name() {
    let datagram = udp((50_000, 4433), &dtls_hello("dtls.example.org"));
    for size in [1280, 600] {
        // The shortest first fragment holds the header alone.
        for parts in [
            fragments4(17, 7, &datagram, size),
            fragments6(17, 7, &datagram, size),
            at_cuts4(17, &datagram, &[8, size]),
            at_cuts6(17, &datagram, &[8, size]),
        ] {
            let backwards: Vec<_> = parts.iter().rev().cloned().collect();
            for frames in [parts, backwards] {
                let seen = through(&frames);
                assert_eq!((seen.the_name(), seen.flows.len()), ("dtls.example.org", 1));
            }
        }
    }
}

#[test]
fn the_shortest_first_fragments_cost_no_name() {
    let segment = tcp((50_000, 443), 1001, 24, &hello("www.example.org"));
    let syn = ethernet(0x0800, &ipv4(6, CLIENT, SERVER, 1, 0, &tcp((50_000, 443), 1000, 2, b"")));
    for cuts in [&[8][..], &[16], &[24], &[8, 16], &[8, 16, 24, 32], &[24, 600]] {
        let parts = at_cuts4(6, &segment, cuts);
        let backwards = parts.iter().rev().cloned().collect();
        let behind_syn = [&[syn.clone()][..], &parts].concat();
        for frames in [parts, backwards, behind_syn, at_cuts6(6, &segment, cuts)] {
            let seen = through(&frames);
            assert_eq!((seen.the_name(), seen.flows.len()), ("www.example.org", 1), "{cuts:?}");
            assert_eq!(seen.flows.values().next().unwrap().0 as usize, frames.len());
            assert_eq!(seen.count(Counter::Note(DecodeError { layer: Layer::Tcp, fault: Fault::Malformed })), 0);
        }
    }
}

#[test]
fn extension_headers_within_the_fragments_of_ipv6_cost_no_name() {
    // Destination options stand in the part that is cut (RFC 8200 section 4.5), and each fragment's
    // header says 60.
    let options = |next| [&[next, 0, 1, 4][..], &[0; 4]].concat();
    let segment = [options(6), tcp((50_000, 443), 1001, 24, &hello("www.example.org"))].concat();
    let dtls = [options(17), udp((50_000, 4433), &dtls_hello("dtls.example.org"))].concat();
    for (whole, cuts, name) in [
        (&segment, &[600][..], "www.example.org"),
        (&segment, &[16], "www.example.org"),
        (&segment, &[32, 64], "www.example.org"),
        (&dtls, &[600], "dtls.example.org"),
        (&dtls, &[16, 600], "dtls.example.org"),
    ] {
        let parts = at_cuts6(60, whole, cuts);
        let backwards = parts.iter().rev().cloned().collect();
        for frames in [parts, backwards] {
            let seen = through(&frames);
            assert_eq!((seen.the_name(), seen.flows.len()), (name, 1), "{cuts:?}");
        }
    }
}

#[test]
fn dns_over_tcp_in_fragments_of_ip_gives_its_answer() {
    let name = b"\x03www\x07example\x03org\0";
    let mut message = [&[0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0][..], name, &[0, 1, 0, 1]].concat();
    message.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 203, 0, 113, 9]);
    let stream = [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    let segment = tcp((53, 40_000), 1, 24, &stream);
    for frames in [fragments4(6, 3, &segment, 48), fragments4(6, 3, &segment, 48).into_iter().rev().collect()] {
        let seen = through(&frames);
        assert_eq!((seen.the_name(), seen.flows.len()), ("www.example.org", 1));
    }
}

#[test]
fn fragments_are_booked_with_the_first_one_whenever_it_comes() {
    let seen = field("frag-210");
    assert_eq!((seen.flows.len(), seen.bytes()), (1, 1060 + 1500 + 1500));

    let parts = |id| fragments4(17, id, &udp((5000, 6000), &[7; 4000]), 1480);
    let one = |seen: &Seen, packets| {
        assert_eq!(seen.flows.len(), 1, "{:?}", seen.flows);
        assert_eq!(seen.flow("17 192.168.1.10:5000>198.51.100.60:6000 remote").0, packets);
    };
    let (a, b) = (parts(1), parts(2));
    let mixed = [&b[2], &a[2], &a[1], &b[1], &b[0], &a[0]].map(Clone::clone);
    one(&through(&mixed), 6);
    one(&through(&fragments6(17, 1, &udp((5000, 6000), &[7; 4000]), 1480)[..]).renamed(), 3);
    // Many fragments, as a jumbogram of 9,000 bytes at the smallest MTU; over the end of an
    // interval.
    let many: Vec<_> = fragments4(17, 3, &udp((5000, 6000), &[7; 9000]), 544).into_iter().rev().collect();
    one(&through_with(&[], &many, usize::MAX, 50), many.len() as u64);
    // SCTP has ports as well.
    let sctp = [&[0x13, 0x88, 0x17, 0x70][..], &[0; 3000]].concat();
    let seen = through(&fragments4(132, 4, &sctp, 1480).into_iter().rev().collect::<Vec<_>>());
    assert_eq!(seen.flow("132 192.168.1.10:5000>198.51.100.60:6000 remote").0, 3);
    // The first one does not come, or comes too late: nothing is lost.
    let seen = through(&a[1..]);
    assert_eq!(seen.flow("17 192.168.1.10:0>198.51.100.60:0 remote"), (2, 1500 + 1068));
    let seen = through_with(&[], &[a[2].clone(), a[1].clone(), a[0].clone()], usize::MAX, 700);
    assert_eq!(seen.bytes(), 1500 + 1500 + 1068);
    // A flood of fragments that belong to nothing.
    let flood: Vec<_> = (0..5000).map(|id| parts(id)[1].clone()).collect();
    assert_eq!(through(&flood).flow("17 192.168.1.10:0>198.51.100.60:0 remote"), (5000, 5000 * 1500));
}

impl Seen {
    /// With the ends that IPv4 packets here have.
    fn renamed(self) -> Self {
        let rename = |flow: String| flow.replace("fd00::1", "192.168.1.10").replace("2001:db8::9", "198.51.100.60");
        Self { flows: self.flows.into_iter().map(|(flow, sums)| (rename(flow), sums)).collect(), ..self }
    }
}

// Hosts.

#[test]
fn a_request_that_the_capture_cut_behind_its_host_is_named() {
    assert_eq!(field("http-cut-cr").the_name(), "ocsp.int-x3.letsencrypt.org");
    let whole = "POST / HTTP/1.1\r\nAccept: */*\r\nHost: www.example.org:8080\r\nContent-Length: 99\r\n\r\n";
    let headers = 14 + 20 + 28;
    let named_from = whole.find(":8080").unwrap() + 1;
    for cut in named_from..whole.len() {
        let seen = through_with(&[], &[request(whole)], headers + cut, 1);
        assert_eq!(seen.the_name(), "www.example.org", "cut behind {:?}", &whole[..cut]);
    }
    let seen = through_with(&[], &[request(whole)], headers + named_from - 1, 1);
    assert!(seen.names.is_empty(), "{:?}", seen.names);
}

#[test]
fn what_no_host_is_called_names_no_flow_and_is_counted() {
    let seen = field("host-junk");
    assert_eq!(seen.the_name(), "mail.example.de");
    assert_eq!(field("sni-port").the_name(), "example.com");

    let hello_of =
        |host: &str| ethernet(0x0800, &ipv4(6, CLIENT, SERVER, 1, 0, &tcp((50_000, 443), 1001, 24, &hello(host)[..])));
    // Clear-text HTTP/2: preface, settings, and HEADERS with `:authority`.
    let http2 = |host: &str| {
        let block = [&[0x82, 0x86, 0x84, 0x41, host.len() as u8][..], host.as_bytes()].concat();
        let mut stream = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
        stream.extend([0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1]);
        stream.extend(block);
        ethernet(0x0800, &ipv4(6, CLIENT, SERVER, 1, 0, &tcp((50_000, 80), 1001, 24, &stream)))
    };
    let get = |host: &str| request(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let connect = |host: &str| request(&format!("CONNECT {host} HTTP/1.1\r\n\r\n"));
    for frame in [
        hello_of("{host}"),
        hello_of("a b.example"),
        hello_of("example.org/"),
        http2("a b/c"),
        http2("${jndi:ldap://x}"),
        get("{{ .Host }}"),
        get("www.example.org/index.html"),
        get("*.example.org"),
        connect("{host}:443"),
        connect("http://www.example.org/"),
    ] {
        let seen = through(&[frame.clone(), frame]);
        assert!(seen.names.is_empty(), "{:?}", seen.names);
        assert_eq!(seen.count(Counter::NotAHost), 1, "once for a flow");
    }
    for (frame, host) in [
        (hello_of("www.example.org:8443"), "www.example.org"),
        (hello_of("[2001:db8::1]:443"), "[2001:db8::1]"),
        (http2("www.example.org:8080"), "www.example.org"),
        (get("www.example.org:8080"), "www.example.org"),
        (connect("www.example.org:443 /"), "www.example.org"),
        (request("GET http://{x}/ HTTP/1.1\r\nHost: www.example.org\r\n\r\n"), "www.example.org"),
        (
            request("GET / HTTP/1.1\r\nHost: {x}\r\n\r\nGET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n"),
            "www.example.org",
        ),
    ] {
        assert_eq!(through(&[frame]).the_name(), host);
    }
}

// Carriers.

#[test]
fn every_packet_of_a_firewall_s_log_is_counted() {
    let message = |packet: &[u8]| {
        let len = 4 + packet.len();
        let body = [&[2, 0, 0, 0][..], &(len as u16).to_le_bytes(), &[9, 0], packet].concat();
        let mut message = [&(16 + body.len() as u32).to_le_bytes()[..], &[0, 4], &[0; 10], &body].concat();
        message.resize(message.len().next_multiple_of(4), 0);
        message
    };
    let packet = |port| ipv4(17, CLIENT, SERVER, 1, 0, &udp((port, 4000), b"x"));
    let monitor = [0, 4, 3, 56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12];
    let frame = [&monitor[..], &message(&packet(1)), &message(&packet(2)), &message(&packet(3))].concat();
    let (mut meter, mut seen) = (Meter::new(MeterConfig::default()), Seen::default());
    meter.packet(&packet_of(UnixNanos(0), frame.len() as u32, LinkType(253), &frame), &mut seen).unwrap();
    meter.flush(&mut seen).unwrap();
    assert_eq!((seen.flows.len(), seen.bytes()), (3, 3 * 29));
    assert_eq!((meter.totals().packets, meter.totals().ip_packets), (3, 3));
}
