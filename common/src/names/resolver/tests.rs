use super::*;
use crate::names::Name;
use proptest::prelude::*;

const CLIENT: &str = "10.0.0.2:40000";
const SERVER: &str = "9.9.9.9:53";

fn query(id: u8, name: &str) -> Vec<u8> {
    let mut bytes = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, name.len() as u8];
    bytes.extend(name.as_bytes());
    bytes.extend([4, b't', b'e', b's', b't', 0, 0, 1, 0, 1]);
    bytes
}

fn response(id: u8, name: &str, last: u8) -> Vec<u8> {
    let mut bytes = query(id, name);
    bytes[2..4].copy_from_slice(&[0x81, 0x80]);
    bytes[7] = 1;
    bytes.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, last]);
    bytes
}

fn up(src: &str, dst: &str) -> Passage {
    Passage { ts: UnixNanos(0), src: src.parse().unwrap(), dst: dst.parse().unwrap(), from_client: true }
}

fn down(src: &str, dst: &str) -> Passage {
    Passage { from_client: false, ..up(src, dst) }
}

fn later(passage: Passage, seconds: i64) -> Passage {
    Passage { ts: UnixNanos(seconds * 1_000_000_000), ..passage }
}

fn tracker() -> DnsTracker {
    DnsTracker::new(DnsLimits::default())
}

fn names(seen: &[NameSeen]) -> Vec<&str> {
    seen.iter().map(|s| s.name.as_str()).collect()
}

#[test]
fn an_answer_is_paired_only_with_its_own_query() {
    let mut t = tracker();
    let asked = t.udp(&up(CLIENT, SERVER), &query(1, "A"));
    assert_eq!((asked[0].kind, names(&asked)), (NameKind::DnsQuery, vec!["a.test"]));
    let good = t.udp(&down(SERVER, CLIENT), &response(1, "A", 9));
    assert_eq!(good[0].kind, NameKind::Dns);
    assert_eq!(good[0].name, Name::from_host(b"a.test").unwrap());
    assert!(!good[0].asker_is_server);
    for (passage, bytes) in [
        (down(SERVER, "10.0.0.3:40000"), response(1, "a", 9)),
        (down("8.8.8.8:53", "10.0.0.2:40001"), response(1, "a", 9)),
        (down(SERVER, CLIENT), response(2, "b", 9)),
        (later(down(SERVER, CLIENT), 61), response(1, "a", 9)),
    ] {
        assert_eq!(t.udp(&passage, &bytes)[0].kind, NameKind::DnsUnpaired);
    }
}

#[test]
fn what_differs_in_one_thing_alone_from_the_response_to_a_query_is_marked() {
    for (passage, bytes) in [
        (down(SERVER, CLIENT), response(2, "a", 9)),
        (down(SERVER, CLIENT), response(1, "b", 9)),
        (down(SERVER, "10.0.0.2:40001"), response(1, "a", 9)),
        (down("8.8.8.8:53", CLIENT), response(1, "a", 9)),
    ] {
        let mut t = tracker();
        _ = t.udp(&up(CLIENT, SERVER), &query(1, "a"));
        let forged = |seen: &[NameSeen]| (seen[0].kind, seen[0].relayed);
        assert_eq!(forged(&t.udp(&passage, &bytes)), (NameKind::DnsUnpaired, true));
        let right = t.udp(&down(SERVER, CLIENT), &response(1, "a", 9));
        assert_eq!((right[0].kind, right[0].relayed), (NameKind::Dns, false));
        assert_eq!(forged(&t.udp(&passage, &bytes)), (NameKind::DnsUnpaired, true), "and behind it");
    }
}

#[test]
fn a_forged_response_is_known_however_many_queries_came_since() {
    let mut t = tracker();
    _ = t.udp(&up(CLIENT, SERVER), &query(1, "a"));
    for port in 1_000..1_600 {
        _ = t.udp(&up(&format!("10.0.0.3:{port}"), SERVER), &query(7, "c"));
    }
    let seen = t.udp(&down("8.8.8.8:53", CLIENT), &response(1, "a", 9));
    assert_eq!((seen[0].kind, seen[0].relayed), (NameKind::DnsUnpaired, true));
}

#[test]
fn what_nobody_asked_for_is_marked_in_an_answer() {
    let mut t = tracker();
    _ = t.udp(&up(CLIENT, SERVER), &query(1, "a"));
    let mut bytes = response(1, "a", 9);
    bytes[7] = 2;
    bytes.extend([1, b'b', 0xc0, 14, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    let seen = t.udp(&down(SERVER, CLIENT), &bytes);
    let shown = |seen: &[NameSeen]| seen.iter().map(|s| (s.name.to_string(), s.kind, s.relayed)).collect::<Vec<_>>();
    let b = || ("b.test".to_owned(), NameKind::DnsUnpaired, true);
    assert_eq!(shown(&seen), [("a.test".to_owned(), NameKind::Dns, false), b()]);
    // With nothing else in it, it holds nothing for who asked.
    bytes[7] = 1;
    let at = bytes.len() - 18;
    bytes.drain(at - 16..at);
    let seen = t.udp(&down(SERVER, CLIENT), &bytes);
    assert_eq!(shown(&seen), [("a.test".to_owned(), NameKind::DnsEmpty, false), b()]);
}

/// A response to [`query`] for this type, with this code and flags, and no address.
fn empty(id: u8, name: &str, kind: u8, flags: [u8; 2]) -> Vec<u8> {
    let mut bytes = query(id, name);
    let len = bytes.len();
    bytes[2..4].copy_from_slice(&flags);
    bytes[len - 3] = kind;
    bytes
}

#[test]
fn a_response_without_an_address_is_told_if_it_was_asked_for() {
    const A: u8 = 1;
    const AAAA: u8 = 28;
    const TXT: u8 = 16;
    const HTTPS: u8 = 65;
    let families = |kind: u8, flags: [u8; 2]| {
        let mut t = tracker();
        _ = t.udp(&up(CLIENT, SERVER), &empty(1, "a", kind, [1, 0]));
        let seen = t.udp(&down(SERVER, CLIENT), &empty(1, "a", kind, flags));
        assert!(seen.iter().all(|seen| seen.kind == NameKind::DnsEmpty && seen.name.as_str() == "a.test"));
        let families = seen.iter().flat_map(|seen| &seen.addresses).map(|answer| answer.address.to_string());
        families.collect::<Vec<_>>()
    };
    let (none, no_such_name, by_its_own_server) = ([0x81, 0x80], [0x81, 0x83], [0x85, 0x00]);
    assert_eq!(families(A, none), ["0.0.0.0"]);
    assert_eq!(families(A, by_its_own_server), ["0.0.0.0"]);
    assert_eq!(families(AAAA, none), ["::"]);
    for kind in [A, AAAA, HTTPS] {
        assert_eq!(families(kind, no_such_name), ["0.0.0.0", "::"]);
    }
    // What has no HTTPS record has addresses all the same; of others' types nobody asks for
    // addresses.
    assert_eq!(families(HTTPS, none), [""; 0]);
    assert_eq!(families(TXT, no_such_name), [""; 0]);
    // Failed, refused, not implemented: who asked got no address of the kind.
    for flags in [[0x81, 0x82], [0x81, 0x05], [0x81, 0x84], [0x81, 0x81]] {
        assert_eq!(families(A, flags), ["0.0.0.0"], "{flags:x?}");
        assert_eq!(families(HTTPS, flags), [""; 0], "{flags:x?}");
    }
    // Cut, or a referral to somebody else.
    for flags in [[0x83, 0x80], [0x83, 0x82], [0x80, 0x00]] {
        assert_eq!(families(A, flags), [""; 0], "{flags:x?}");
    }
    let unasked = tracker().udp(&down(SERVER, CLIENT), &empty(1, "a", A, none));
    assert_eq!(unasked, [], "whoever makes it up takes a name away");
}

#[test]
fn a_chain_without_an_address_is_told_with_its_names() {
    let mut t = tracker();
    _ = t.udp(&up(CLIENT, SERVER), &query(1, "a"));
    let mut bytes = empty(1, "a", 1, [0x81, 0x80]);
    bytes[7] = 1;
    bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'b', 0xc0, 14]);
    let seen = t.udp(&down(SERVER, CLIENT), &bytes);
    assert_eq!((seen[0].kind, names(&seen)), (NameKind::DnsEmpty, vec!["a.test"]));
    assert_eq!(seen[0].chain, [Name::from_host(b"b.test").unwrap()]);
    assert_eq!(seen[0].addresses[0].ttl_s, 1, "a resolver went to the end of the chain");
    let mut t = tracker();
    _ = t.udp(&up(CLIENT, SERVER), &query(1, "a"));
    bytes[2..4].copy_from_slice(&[0x84, 0x00]);
    let seen = t.udp(&down(SERVER, CLIENT), &bytes);
    assert_eq!(seen[0].addresses[0].ttl_s, 0, "whoever follows the chain asks on");
    // A record that is missing may have held the address.
    let mut t = tracker();
    _ = t.udp(&up(CLIENT, SERVER), &query(1, "a"));
    bytes[7] = 2;
    assert_eq!(t.udp(&down(SERVER, CLIENT), &bytes), []);
}

#[test]
fn the_asker_is_whom_the_response_is_for() {
    // We are the server: the flow's client is the outside resolver's peer, and the response leaves
    // towards it.
    let seen = tracker().udp(&up(SERVER, CLIENT), &response(1, "a", 9));
    assert!(seen[0].asker_is_server);
}

#[test]
fn ports_settle_the_kind() {
    let mut t = tracker();
    let answer = response(1, "a", 9);
    let not_recursive = [&[0, 0, 0x84, 0][..], &answer[4..]].concat();
    let kind =
        |t: &mut DnsTracker, src: &str, dst: &str, bytes: &[u8]| t.udp(&down(src, dst), bytes).first().map(|s| s.kind);
    assert_eq!(kind(&mut t, "10.0.0.9:5353", "224.0.0.251:5353", &answer), Some(NameKind::Mdns));
    assert_eq!(kind(&mut t, "10.0.0.9:5353", "10.0.0.2:40000", &not_recursive), Some(NameKind::Mdns));
    assert_eq!(kind(&mut t, "208.67.222.222:5353", CLIENT, &answer), Some(NameKind::DnsUnpaired));
    assert_eq!(kind(&mut t, "10.0.0.9:5355", CLIENT, &not_recursive), Some(NameKind::Llmnr));
    assert_eq!(kind(&mut t, "10.0.0.9:137", CLIENT, &answer), None);
    assert_eq!(kind(&mut t, "10.0.0.9:5300", CLIENT, &answer), Some(NameKind::DnsUnpaired));
    assert_eq!(kind(&mut t, "10.0.0.9:5300", CLIENT, &[&answer[..], b"x"].concat()), None);
    assert_eq!(kind(&mut t, SERVER, CLIENT, &[&answer[..], b"x"].concat()), Some(NameKind::DnsUnpaired));
    t.udp(&up(CLIENT, "10.0.0.9:5300"), &query(1, "a"));
    assert_eq!(kind(&mut t, "10.0.0.9:5300", CLIENT, &answer), Some(NameKind::Dns));
}

#[test]
fn more_queries_than_places_forget_the_oldest() {
    let mut t = DnsTracker::new(DnsLimits { queries: 4, ..DnsLimits::default() });
    for id in 0..5 {
        t.udp(&later(up(CLIENT, SERVER), id.into()), &query(id, "a"));
    }
    let kinds: Vec<_> =
        (0..5).map(|id| t.udp(&later(down(SERVER, CLIENT), 5), &response(id, "a", 1))[0].kind).collect();
    assert_eq!(kinds[0], NameKind::DnsUnpaired);
    assert!(kinds[1..].iter().all(|kind| *kind == NameKind::Dns));
}

fn prefixed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn segment(seq: u32, flags: u8, payload: &[u8]) -> Tcp<'_> {
    Tcp { src_port: 0, dst_port: 0, seq, flags, header_len: 20, payload, payload_len: payload.len() as u32 }
}

#[test]
fn messages_are_found_wherever_segments_cut_the_stream() {
    let stream: Vec<u8> = (0..4).flat_map(|id| prefixed(&response(id, "tcp", id))).collect();
    for size in 1..stream.len() {
        let mut t = tracker();
        t.tcp(&up(CLIENT, SERVER), &segment(7, Tcp::SYN, b""));
        t.tcp(&down(SERVER, CLIENT), &segment(u32::MAX - 20, Tcp::SYN, b""));
        for id in 0..4 {
            t.tcp(&up(CLIENT, SERVER), &segment(8 + u32::from(id) * 28, 0, &prefixed(&query(id, "tcp"))));
        }
        let mut seen = Vec::new();
        let mut seq = u32::MAX - 19;
        for part in stream.chunks(size) {
            seen.extend(t.tcp(&down(SERVER, CLIENT), &segment(seq, 0, part)));
            seq = seq.wrapping_add(part.len() as u32);
        }
        assert_eq!(seen.len(), 4, "segments of {size}");
        assert!(seen.iter().all(|s| s.kind == NameKind::Dns));
        assert_eq!(t.take_given_up(), 0);
    }
}

#[test]
fn a_stream_that_began_before_the_capture_is_joined_at_the_next_message() {
    let mut t = tracker();
    let passage = down(SERVER, CLIENT);
    assert_eq!(t.tcp(&passage, &segment(100, 0, &response(1, "a", 1)[8..])), []);
    let whole = prefixed(&response(2, "b", 2));
    assert_eq!(names(&t.tcp(&passage, &segment(500, 0, &whole))), ["b.test"]);
}

#[test]
fn a_message_cut_by_the_capture_gives_what_is_there() {
    let mut t = tracker();
    let passage = down(SERVER, CLIENT);
    let whole = prefixed(&response(1, "a", 1));
    let cut = Tcp { payload_len: whole.len() as u32 + 200, ..segment(1, 0, &whole) };
    assert_eq!(names(&t.tcp(&passage, &Tcp { payload: &[&[1, 0][..], &whole[2..]].concat(), ..cut })), ["a.test"]);
    let next = whole.len() as u32 + 201;
    assert_eq!(names(&t.tcp(&passage, &segment(next, 0, &prefixed(&response(2, "b", 2))))), ["b.test"]);
}

#[test]
fn a_lost_segment_costs_its_own_messages_only() {
    let mut t = tracker();
    let passage = down(SERVER, CLIENT);
    let mut seq = 1;
    let mut found = 0;
    for round in 0..20_000_u32 {
        let whole = prefixed(&response(1, "long", 1));
        if round != 100 {
            found += t.tcp(&passage, &segment(seq, 0, &whole)).len();
        }
        seq += whole.len() as u32;
    }
    // Those that still waited at the end are not counted as lost.
    assert_eq!(t.take_given_up(), 1);
    assert_eq!(found, 19_999);
}

#[test]
fn connections_beyond_the_bound_push_out_the_idlest() {
    let mut t = DnsTracker::new(DnsLimits { connections: 2, stream_bytes: 1_000, ..DnsLimits::default() });
    let whole = prefixed(&response(1, "a", 1));
    let (head, tail) = whole.split_at(10);
    let clients = ["10.0.0.2:1", "10.0.0.2:2", "10.0.0.2:3"];
    for client in clients {
        t.tcp(&down(SERVER, client), &segment(1, 0, head));
    }
    assert_eq!(t.take_given_up(), 1);
    for client in &clients[1..] {
        assert_eq!(t.tcp(&down(SERVER, client), &segment(11, 0, tail)).len(), 1);
    }
    // 900 bytes that wait, twice: the older ones go.
    for client in &clients[..2] {
        t.tcp(
            &down(SERVER, client),
            &segment(100_000, Tcp::SYN, &[&[3, 0xff][..], &query(1, "a")[..14], &[0; 900]].concat()),
        );
    }
    assert!(t.take_given_up() > 0);
}

#[test]
fn the_end_of_a_connection_frees_it() {
    let mut t = tracker();
    for (passage, flags) in [(up(CLIENT, SERVER), Tcp::FIN), (down(SERVER, CLIENT), Tcp::FIN)] {
        t.tcp(&passage, &segment(1, Tcp::SYN, b""));
        t.tcp(&passage, &segment(2, flags, b""));
    }
    assert_eq!(t.streams.connections(), 0);
    t.tcp(&up(CLIENT, SERVER), &segment(1, Tcp::SYN, b""));
    t.tcp(&up(CLIENT, SERVER), &segment(1, Tcp::RST, b""));
    assert_eq!(t.streams.connections(), 0);
}

#[test]
fn an_answer_in_fragments_is_read_from_the_first_and_again_when_whole() {
    use crate::wire::{Fragment, Transport, Udp};
    let mut t = tracker();
    t.udp(&up(CLIENT, SERVER), &query(1, "a"));
    let mut whole = response(1, "a", 1);
    whole[7] = 2;
    whole.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 2]);
    let (head, tail) = whole.split_at(40);
    let first = Udp { src_port: 53, dst_port: 40_000, payload: head, payload_len: whole.len() as u32 };
    let fragment = |offset_bytes| Fragment { id: 7, offset_bytes, more: offset_bytes == 0 };
    let early = t.udp_fragment(&down(SERVER, CLIENT), fragment(0), &Transport::Udp(first));
    assert_eq!((early[0].addresses.len(), early[0].kind), (1, NameKind::Dns));
    let portless = down("9.9.9.9:0", "10.0.0.2:0");
    let late = t.udp_fragment(&portless, fragment(48), &Transport::Other(tail));
    assert_eq!((late[0].addresses.len(), late[0].kind), (2, NameKind::Dns));
}

proptest! {
    /// Any bytes in any order: no panic, and no name that was never sent.
    #[test]
    fn hostile_streams_stay_within_their_bounds(
        parts in prop::collection::vec((0u32..2_000, any::<u8>(), prop::collection::vec(any::<u8>(), 0..200), 0u16..4), 0..80),
    ) {
        let mut t = DnsTracker::new(DnsLimits { queries: 16, connections: 3, stream_bytes: 2_000 });
        for (seq, flags, payload, port) in parts {
            let client = format!("10.0.0.2:{}", 1_000 + port);
            t.tcp(&down(SERVER, &client), &segment(seq, flags, &payload));
            t.udp(&down(SERVER, &client), &payload);
            prop_assert!(t.streams.connections() <= 3);
        }
    }

    #[test]
    fn random_datagrams_on_any_port_give_no_names(payload in prop::collection::vec(any::<u8>(), 0..300), port: u16) {
        let mut t = tracker();
        let server = format!("9.9.9.9:{port}");
        prop_assert_eq!(t.udp(&down(&server, CLIENT), &payload), []);
    }
}
