//! Connections of QUIC and DTLS, one after the other on the same ports.

use super::super::{Meter, MeterConfig};
use super::LIMIT;
use crate::names::testing::{dtls_datagram, initials_for};
use crate::observe::testing::Seen;
use crate::packet::{CapturedPacket, LinkType};
use crate::time::UnixNanos;

/// IPv4 and UDP headers.
const HEADERS: usize = 28;

/// A datagram between the client's port and the server, at this millisecond: from the client?
fn datagram(meter: &mut Meter, seen: &mut Seen, (ms, port): (i64, u16), (from_client, payload): (bool, &[u8])) {
    let (client, server) = (([192, 168, 1, 5], port), ([203, 0, 113, 9], 443_u16));
    let (src, dst) = if from_client { (client, server) } else { (server, client) };
    let udp_len = 8 + payload.len() as u16;
    let mut bytes = vec![0x45, 0];
    bytes.extend((20 + udp_len).to_be_bytes());
    bytes.extend([0, 1, 0, 0, 64, 17, 0, 0]);
    bytes.extend([src.0, dst.0].concat());
    [src.1, dst.1, udp_len, 0].iter().for_each(|field| bytes.extend(field.to_be_bytes()));
    bytes.extend(payload);
    let (ts, orig_len) = (UnixNanos(ms * 1_000_000), bytes.len() as u32);
    let packet = CapturedPacket { ts, orig_len, link_type: LinkType(101), interface: 0, data: &bytes };
    meter.packet(&packet, seen).unwrap();
}

/// Names of each flow, and its packets and bytes up, when these datagrams come, 1 ms apart: from
/// the client?, and what is in it.
fn flows(datagrams: &[(bool, Vec<u8>)]) -> Vec<(Vec<String>, u64, u64)> {
    let (mut meter, mut seen) = (Meter::new(MeterConfig::default()), Seen::default());
    for ((from_client, payload), ms) in datagrams.iter().zip(5_000..) {
        datagram(&mut meter, &mut seen, (ms, 50_001), (*from_client, payload));
    }
    meter.flush(&mut seen).unwrap();
    let names = |number| seen.names.get(number).cloned().unwrap_or_default();
    seen.usage.iter().map(|(number, usage)| (names(number), usage.up_packets, usage.up_bytes)).collect()
}

fn up(datagrams: Vec<Vec<u8>>) -> Vec<(bool, Vec<u8>)> {
    datagrams.into_iter().map(|bytes| (true, bytes)).collect()
}

/// A long header of version 1 of this type, with ids for both ends.
fn long(kind: u8, destination: &[u8], source: &[u8]) -> Vec<u8> {
    let ids = [destination, source].map(|id| [&[id.len() as u8][..], id].concat()).concat();
    let token: &[u8] = if kind == 0 { &[0] } else { &[] };
    [&[0xc0 | kind << 4, 0, 0, 0, 1][..], &ids, token, &[0x44, 0x60], &[7; 1_120]].concat()
}

fn short(id: &[u8]) -> (bool, Vec<u8>) {
    (true, [&[0x43][..], id, &[9; 40]].concat())
}

fn sums(datagrams: &[Vec<u8>]) -> (u64, u64) {
    (datagrams.len() as u64, datagrams.iter().map(|bytes| (bytes.len() + HEADERS) as u64).sum())
}

fn named(host: &str, (packets, bytes): (u64, u64)) -> (Vec<String>, u64, u64) {
    (vec![host.to_owned()], packets, bytes)
}

#[test]
fn another_connection_on_the_same_ports_is_another_flow() {
    let server = (false, long(2, b"", b"SERVERID"));
    // Whole, and in parts of which the first has no name.
    for cuts in [&[][..], &[40], &[30, 400]] {
        let (first, second) =
            (initials_for("a.example", b"12345678", cuts), initials_for("b.example", b"87654321", cuts));
        let with_short = |(packets, bytes)| (packets + 1, bytes + HEADERS as u64 + 49);
        let expected = [named("a.example", with_short(sums(&first))), named("b.example", with_short(sums(&second)))];
        let begun = [up(first), vec![server.clone(), short(b"SERVERID")], up(second), vec![short(b"ANOTHER!")]];
        assert_eq!(flows(&begun.concat()), expected, "{cuts:?}");
    }
}

#[test]
fn what_a_connection_sends_again_or_goes_on_with_is_no_other_one() {
    let first = initials_for("a.example", b"12345678", &[40]);
    let server = (false, long(2, b"", b"SERVERID"));
    let same_name = up(initials_for("a.example", b"87654321", &[]));
    let unread = vec![(true, long(0, b"SOMEBODY", b""))];
    let to_server = vec![(true, long(0, b"SERVERID", b""))];
    let part = up(initials_for("b.example", b"87654321", &[40])[..1].to_vec());
    let from_server = vec![(false, initials_for("b.example", b"87654321", &[]).remove(0))];
    for then in [up(first.clone()), up(first[..1].to_vec()), same_name, unread, to_server, part, from_server] {
        let all = [up(first.clone()), vec![server.clone()], then, vec![short(b"SERVERID")]].concat();
        let ours: Vec<_> = all.iter().filter(|(ours, _)| *ours).map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(flows(&all), [named("a.example", sums(&ours))]);
    }
}

#[test]
fn a_connection_after_one_without_a_name_has_its_own() {
    let nameless = initials_for("", b"12345678", &[]);
    let named_one = initials_for("b.example", b"87654321", &[]);
    let (packets, bytes) = sums(&nameless);
    let expected = [(vec![], packets, bytes), named("b.example", sums(&named_one))];
    assert_eq!(flows(&[up(nameless), up(named_one)].concat()), expected);
}

#[test]
fn a_hello_for_what_is_no_host_is_counted_once_for_its_flow() {
    let junk = initials_for("{host}", b"12345678", &[]);
    let again = initials_for("{host}", b"87654321", &[]);
    let dtls = vec![dtls_datagram("{host}")];
    for datagrams in [junk.clone(), [&junk[..], &junk, &again].concat(), [&dtls[..], &dtls].concat()] {
        let (mut meter, mut seen) = (Meter::new(MeterConfig::default()), Seen::default());
        for (payload, ms) in datagrams.iter().zip(5_000..) {
            datagram(&mut meter, &mut seen, (ms, 50_001), (true, payload));
        }
        assert_eq!(meter.finder.take_not_hosts(), 1, "{} datagrams", datagrams.len());
    }
}

#[test]
fn another_hello_of_dtls_is_another_flow_and_the_same_one_is_not() {
    let [first, other] = ["a.example", "b.example"].map(dtls_datagram);
    let twice = [first.clone(), first.clone()];
    let expected = [named("a.example", sums(&twice)), named("b.example", sums(std::slice::from_ref(&other)))];
    assert_eq!(flows(&up([&twice[..], &[other]].concat())), expected);
}

#[test]
fn what_is_followed_is_bounded_and_what_is_given_up_costs_no_byte() {
    let named = initials_for("a.example", b"12345678", &[]);
    let goes_on = initials_for("b.example", b"87654321", &[40]);
    let (mut meter, mut seen) = (Meter::new(MeterConfig::default()), Seen::default());
    let mut bytes = 0;
    for (port, ms) in (20_000_u16..21_000).zip(5_000..) {
        for payload in [&named[0], &goes_on[0]] {
            datagram(&mut meter, &mut seen, (ms, port), (true, payload));
            bytes += (payload.len() + HEADERS) as u64;
        }
        let (asks, order) = (&meter.followed.asks, &meter.followed.order);
        assert!((1..=LIMIT).contains(&asks.len()) && order.len() == asks.len());
    }
    meter.flush(&mut seen).unwrap();
    assert_eq!(seen.usage.values().map(|usage| usage.bytes()).sum::<u64>(), bytes);
}
