//! Whole flows through a [`Finder`], and hostile ones.

use super::super::quic::tests::{crypto, initial};
use super::super::tls::tests::{dtls_hello, dtls_piece, hello_with, in_records, sni};
use super::*;
use proptest::prelude::*;

const C: bool = true;
const S: bool = false;
const ISN: [u32; 2] = [0xffff_fff0, 500];

/// One TCP flow; sequence numbers count from each side's SYN and wrap early.
struct Flow {
    finder: Finder,
    search: Search,
    seq: [u32; 2],
    names: Vec<(NameKind, String)>,
}

impl Flow {
    /// A flow whose beginning was not seen.
    fn new() -> Self {
        let seq = ISN.map(|n| n.wrapping_add(1));
        Self { finder: Finder::new(4), search: Search::default(), seq, names: Vec::new() }
    }

    fn with_handshake() -> Self {
        let mut flow = Self::new();
        flow.segment(C, ISN[0], Tcp::SYN, &[], 0);
        flow.segment(S, ISN[1], Tcp::SYN | Tcp::ACK, &[], 0);
        flow
    }

    fn segment(&mut self, from_client: bool, seq: u32, flags: u8, payload: &[u8], wire_len: usize) {
        let payload_len = wire_len as u32;
        let tcp = Tcp { src_port: 1, dst_port: 2, seq, flags, header_len: 20, payload, payload_len };
        let found = self.finder.tcp(&mut self.search, FromClient(from_client), &tcp);
        self.names.extend(found.map(|(kind, name)| (kind, name.to_string())));
    }

    /// The next bytes of a side, in order.
    fn send(&mut self, from_client: bool, payload: &[u8]) {
        self.send_cut(from_client, payload, payload.len());
    }

    /// As [`Self::send`], of which only the first `captured` bytes are there.
    fn send_cut(&mut self, from_client: bool, payload: &[u8], captured: usize) {
        let side = usize::from(!from_client);
        let captured = captured.min(payload.len());
        self.segment(from_client, self.seq[side], 24, &payload[..captured], payload.len());
        self.seq[side] = self.seq[side].wrapping_add(payload.len() as u32);
    }

    /// Bytes at an offset of the client's stream.
    fn at(&mut self, offset: usize, payload: &[u8]) {
        let seq = ISN[0].wrapping_add(1).wrapping_add(offset as u32);
        self.segment(C, seq, 24, payload, payload.len());
    }

    #[track_caller]
    fn gives(&self, names: &[(NameKind, &str)]) {
        let ours: Vec<_> = self.names.iter().map(|(k, n)| (*k, n.as_str())).collect();
        assert_eq!(ours, names);
        assert_eq!(self.finder.held.len(), usize::from(self.search.serial != 0));
    }

    #[track_caller]
    fn gives_sni(&self, host: &str) {
        self.gives(&[(NameKind::Sni, host)]);
        assert!(self.search.is_done());
    }
}

/// A hello of about 1,800 bytes with its name near the end, in one record.
fn big_hello(host: &str) -> Vec<u8> {
    in_records(&hello_with(&[(51, vec![7; 1700]), sni(host), (43, vec![2, 3, 4])]), 16_000)
}

fn small_hello(host: &str) -> Vec<u8> {
    in_records(&hello_with(&[sni(host), (43, vec![2, 3, 4])]), 16_000)
}

#[test]
fn a_search_fits_in_16_bytes() {
    assert!(size_of::<Search>() <= 16);
}

#[test]
fn a_hello_in_one_segment_needs_no_state() {
    let mut flow = Flow::with_handshake();
    flow.send(C, &small_hello("a.example"));
    flow.gives_sni("a.example");
    assert_eq!(flow.finder.last_serial, 0);
}

#[test]
fn a_hello_in_pieces_in_any_order_is_put_together() {
    let hello = big_hello("a.example");
    let cut = [0, 600, 1200, hello.len()];
    let pieces: Vec<_> = cut.windows(2).map(|w| (w[0], &hello[w[0]..w[1]])).collect();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut flow = Flow::with_handshake();
        for i in order {
            // The first piece is resent with another end before the last one comes.
            flow.at(pieces[i].0, pieces[i].1);
            if i == 0 {
                flow.at(0, &hello[..700]);
            }
        }
        flow.gives_sni("a.example");
    }
}

#[test]
fn a_hello_in_pieces_of_16_bytes_is_put_together_without_a_handshake_too() {
    for mut flow in [Flow::new(), Flow::with_handshake()] {
        big_hello("a.example").chunks(16).for_each(|piece| flow.send(C, piece));
        flow.gives_sni("a.example");
    }
}

#[test]
fn the_hello_may_come_from_the_side_taken_for_the_server() {
    let mut flow = Flow::with_handshake();
    flow.send(C, b"220 ready\r\n");
    let hello = big_hello("a.example");
    flow.send(S, &hello[..900]);
    flow.send(S, &hello[900..]);
    flow.gives_sni("a.example");
}

#[test]
fn a_hello_after_starttls_is_found() {
    let dialogues: &[&[(bool, &[u8])]] = &[
        // SMTP (RFC 3207)
        &[
            (S, b"220 mx.example ESMTP\r\n"),
            (C, b"EHLO me\r\n"),
            (S, b"250-mx.example\r\n250 STARTTLS\r\n"),
            (C, b"STARTTLS\r\n"),
            (S, b"220 go ahead\r\n"),
        ],
        // IMAP, POP3 (RFC 2595), FTP (RFC 4217), NNTP (RFC 4642), ManageSieve (RFC 5804)
        &[(S, b"* OK IMAP4\r\n"), (C, b"a1 STARTTLS\r\n"), (S, b"a1 OK\r\n")],
        &[(S, b"+OK POP3\r\n"), (C, b"STLS\r\n"), (S, b"+OK\r\n")],
        &[(S, b"220 FTP\r\n"), (C, b"AUTH TLS\r\n"), (S, b"234 ok\r\n")],
        &[(S, b"200 news\r\n"), (C, b"STARTTLS\r\n"), (S, b"382 go\r\n")],
        &[(S, b"\"STARTTLS\"\r\nOK\r\n"), (C, b"STARTTLS\r\n"), (S, b"OK\r\n")],
        // XMPP (RFC 6120), IRC
        &[
            (C, b"<?xml version='1.0'?><stream:stream to='x.example'>"),
            (S, b"<stream:features><starttls/></stream:features>"),
            (C, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
            (S, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        ],
        &[(C, b"CAP LS 302\r\nSTARTTLS\r\n"), (S, b":irc.example 670 me :STARTTLS successful\r\n")],
        // PostgreSQL, MySQL, LDAP (RFC 4511 section 4.14), RDP
        &[(C, b"\0\0\0\x08\x04\xd2\x16\x2f"), (S, b"S")],
        &[(C, b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"), (S, b"\x30\x0c\x02\x01\x01")],
        &[(C, b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0"), (S, b"\x03\0\0\x13\x0e\xd0")],
    ];
    for dialogue in dialogues {
        let mut flow = Flow::with_handshake();
        dialogue.iter().for_each(|(side, text)| flow.send(*side, text));
        let hello = big_hello("inside.example");
        flow.send(C, &hello[..1400]);
        flow.send(C, &hello[1400..]);
        flow.gives_sni("inside.example");
    }
}

#[test]
fn the_name_inside_a_proxied_connection_comes_after_the_host_asked_for() {
    let connect = &b"CONNECT asked.example:443 HTTP/1.1\r\nHost: asked.example:443\r\n\r\n"[..];
    let socks4a = &b"\x04\x01\x01\xbb\0\0\0\x01\0asked.example\0"[..];
    let socks5 = &b"\x05\x01\x00\x03\x0dasked.example\x01\xbb"[..];
    for opening in [connect, socks4a, socks5] {
        let mut flow = Flow::with_handshake();
        flow.send(C, opening);
        flow.gives(&[(NameKind::Http, "asked.example")]);
        flow.send(S, b"\x05\x00\x00\x01\0\0\0\0\0\0");
        let hello = big_hello("inside.example");
        flow.send(C, &hello[..1000]);
        flow.send(C, &hello[1000..]);
        flow.gives(&[(NameKind::Http, "asked.example"), (NameKind::Sni, "inside.example")]);
        // Optimistic clients send both at once.
        let mut flow = Flow::with_handshake();
        flow.send(C, &[opening, &small_hello("inside.example")].concat());
        flow.gives_sni("inside.example");
        let mut flow = Flow::with_handshake();
        flow.send(C, &[opening, &hello[..1000]].concat());
        flow.send(C, &hello[1000..]);
        flow.gives(&[(NameKind::Http, "asked.example"), (NameKind::Sni, "inside.example")]);
    }
}

#[test]
fn a_proxied_request_names_itself() {
    let mut flow = Flow::with_handshake();
    flow.send(C, b"\x05\x01\x00");
    flow.send(S, b"\x05\x00");
    flow.send(C, b"\x05\x01\x00\x01\xc0\0\x02\x01\0\x50");
    flow.send(S, b"\x05\x00\x00\x01\0\0\0\0\0\0");
    flow.send(C, b"GET / HTTP/1.1\r\nHost: inside.example\r\n\r\n");
    flow.gives(&[(NameKind::Http, "inside.example")]);
}

#[test]
fn a_request_over_several_segments_gives_its_host() {
    let request = format!("GET / HTTP/1.1\r\nCookie: {}\r\nHost: a.example:8080\r\n\r\n", "x".repeat(5000));
    for size in [40, 1000, 1460] {
        let mut flow = Flow::with_handshake();
        request.as_bytes().chunks(size).for_each(|piece| flow.send(C, piece));
        flow.gives(&[(NameKind::Http, "a.example")]);
    }
    let mut flow = Flow::with_handshake();
    request.as_bytes()[..40].chunks(1).for_each(|byte| flow.send(C, byte));
    flow.send(C, &request.as_bytes()[40..]);
    flow.gives(&[(NameKind::Http, "a.example")]);
}

#[test]
fn a_name_in_a_hello_that_is_longer_than_what_is_kept_is_found() {
    let long = |kind| (kind, vec![7; 50_000]);
    for extensions in [
        [long(51), sni("a.example"), long(21)],
        [sni("a.example"), long(51), long(21)],
        [long(51), long(21), sni("a.example")],
    ] {
        let hello = in_records(&hello_with(&extensions), 16_384);
        // Segments of a path, of a path with jumbo frames, and of offload; in order, and every two
        // exchanged.
        for size in [1_460, 8_960, 40_000, 65_000] {
            for together in [1, 2] {
                let mut flow = Flow::with_handshake();
                let mut starts: Vec<_> = (0..hello.len()).step_by(size).collect();
                starts.chunks_mut(together).for_each(<[usize]>::reverse);
                for at in starts {
                    flow.at(at, &hello[at..(at + size).min(hello.len())]);
                    let held: usize = flow.finder.held.values().map(|held| held.memory()).sum();
                    assert!(held <= 4 * MAX_STREAM, "{held}");
                }
                // Out of order by more than is kept: only what stands before is read.
                if together == 1 || size < MAX_STREAM / 2 || extensions[0] == sni("a.example") {
                    flow.gives_sni("a.example");
                }
            }
        }
    }
}

#[test]
fn only_the_first_of_pipelined_requests_ends_a_search() {
    let mut flow = Flow::with_handshake();
    flow.send(C, b"GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: b.example\r\n\r\n");
    flow.send(C, b"GET /3 HTTP/1.1\r\nHost: c.example\r\n\r\n");
    flow.gives(&[(NameKind::Http, "a.example")]);
}

#[test]
fn a_later_request_names_a_flow_whose_beginning_is_missing() {
    let mut flow = Flow::new();
    flow.send(S, b"the end of an answer");
    flow.send(C, b"GET /2 HTTP/1.1\r\nHost: b.example\r\n\r\n");
    flow.gives(&[(NameKind::Http, "b.example")]);
    // Also behind much of an answer.
    let mut flow = Flow::new();
    (0..100).for_each(|_| flow.send(S, &[0x5a; 1400]));
    flow.send(C, b"GET /2 HTTP/1.1\r\nHost: b.example\r\n\r\n");
    flow.gives(&[(NameKind::Http, "b.example")]);
    let mut flow = Flow::new();
    (0..=MAX_TCP).for_each(|_| flow.send(S, &[0x5a; 1400]));
    assert!(flow.search.is_done());
}

#[test]
fn junk_before_and_over_a_hello_does_not_hide_it() {
    // Behind an unknown header in the same segment.
    let mut flow = Flow::with_handshake();
    flow.send(C, &[&b"\x01\x02\x16junk"[..], &small_hello("a.example")].concat());
    flow.gives_sni("a.example");
    // At the same place as the hello: a keep-alive with a byte, an acknowledgement with padding.
    let hello = big_hello("a.example");
    let mut flow = Flow::with_handshake();
    flow.segment(C, ISN[0], 16, &[0], 1);
    flow.at(0, b"zz");
    flow.at(0, &hello[..1000]);
    flow.segment(C, ISN[0].wrapping_add(1001), 16, &[0; 6], 6);
    flow.at(1000, &hello[1000..]);
    flow.gives_sni("a.example");
    // As much as a request.
    let mut flow = Flow::with_handshake();
    flow.at(0, b"GE");
    flow.at(0, b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
    flow.gives(&[(NameKind::Http, "b.example")]);
    let mut flow = Flow::with_handshake();
    flow.at(0, &[1, 2]);
    flow.at(0, b"GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
    flow.gives(&[(NameKind::Http, "b.example")]);
}

#[test]
fn a_hello_cut_by_the_capture_gives_its_name_or_ends_the_search() {
    let early = in_records(&hello_with(&[sni("a.example"), (51, vec![7; 1200])]), 16_000);
    let mut flow = Flow::with_handshake();
    flow.send_cut(C, &early, 120);
    flow.gives_sni("a.example");
    let mut flow = Flow::with_handshake();
    flow.send_cut(C, &in_records(&hello_with(&[(51, vec![7; 1200]), sni("a.example")]), 16_000), 120);
    flow.gives(&[]);
    assert!(flow.search.is_done());
    assert_eq!(flow.finder.take_given_up(), 0);
}

#[test]
fn a_name_behind_a_cut_is_found_when_it_is_whole() {
    let hello = big_hello("a.example");
    let mut flow = Flow::with_handshake();
    flow.send_cut(C, &hello[..1400], 1000);
    assert!(!flow.search.is_done());
    flow.send_cut(C, &hello[1400..], 2000);
    flow.gives_sni("a.example");
    for (request, host) in
        [("CONNECT a.example:1 HTTP/1.1\r\n", "a.example"), ("GET http://b.example/xyz", "b.example")]
    {
        let mut flow = Flow::with_handshake();
        flow.send_cut(C, &[request.as_bytes(), b"..........."].concat(), request.len());
        flow.gives(&[(NameKind::Http, host)]);
    }
    let mut flow = Flow::with_handshake();
    flow.send_cut(C, b"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 30);
    flow.send(C, b"bbb HTTP/1.1\r\nHost: a.example\r\n\r\n");
    flow.gives(&[(NameKind::Http, "a.example")]);
}

#[test]
fn a_hello_without_a_name_ends_the_search() {
    let mut flow = Flow::with_handshake();
    flow.send(C, &in_records(&hello_with(&[(43, vec![2, 3, 4])]), 16_000));
    flow.gives(&[]);
    assert!(flow.search.is_done());
}

#[test]
fn a_flow_without_a_sign_is_given_up_early_and_costs_no_memory() {
    let mut flow = Flow::with_handshake();
    for i in 0..2 * MAX_QUIET_TCP + 2 {
        assert!(!flow.search.is_done());
        flow.send(i % 2 == 0, &[0x5a; 1400]);
        assert_eq!(flow.finder.last_serial, 0);
    }
    assert!(flow.search.is_done());
    assert_eq!(flow.finder.take_given_up(), 0);
}

#[test]
fn a_hello_that_never_ends_is_given_up_and_counted() {
    let mut flow = Flow::with_handshake();
    let mut endless = vec![22, 3, 1, 0x40, 0, 1, 1, 0x80, 0, 3, 3];
    endless.resize(1400, 7);
    while !flow.search.is_done() {
        flow.send(C, &endless);
        assert!(flow.finder.held_bytes <= flow.finder.limit_bytes);
    }
    assert_eq!((flow.finder.take_given_up(), flow.finder.take_given_up()), (1, 0));
    flow.gives(&[]);
    assert_eq!(flow.finder.held_bytes, 0);
}

#[test]
fn another_connection_on_the_same_ports_starts_afresh() {
    let hello = big_hello("b.example");
    let mut flow = Flow::with_handshake();
    flow.send(C, &big_hello("a.example")[..1000]);
    flow.segment(C, 7_000, Tcp::SYN, &[], 0);
    flow.segment(C, 7_001, 24, &hello[..1000], 1000);
    flow.segment(C, 8_001, 24, &hello[1000..], hello.len() - 1000);
    flow.gives_sni("b.example");
}

#[test]
fn the_oldest_flow_makes_room_and_ends() {
    let mut finder = Finder::new(2);
    let hello = big_hello("a.example");
    let mut searches: Vec<_> = (0..3).map(|_| Search::default()).collect();
    let mut show = |search: &mut Search, seq: u32, payload: &[u8]| {
        let payload_len = payload.len() as u32;
        finder.tcp(
            search,
            FromClient(true),
            &Tcp { src_port: 1, dst_port: 2, seq, flags: 24, header_len: 20, payload, payload_len },
        )
    };
    for search in &mut searches {
        assert_eq!(show(search, 0, &hello[..900]), None);
    }
    let found: Vec<_> = searches.iter_mut().map(|s| show(s, 900, &hello[900..]).is_some()).collect();
    assert_eq!(found, [false, true, true]);
    assert!(searches.iter().all(Search::is_done));
    assert_eq!((finder.take_given_up(), finder.held.len(), finder.held_bytes), (1, 0, 0));
}

#[test]
fn releasing_a_search_frees_what_it_holds() {
    let mut flow = Flow::with_handshake();
    flow.send(C, &big_hello("a.example")[..900]);
    assert_eq!(flow.finder.held.len(), 1);
    flow.finder.release(&mut flow.search);
    assert_eq!((flow.finder.held.len(), flow.finder.held_bytes), (0, 0));
    assert!(flow.search.is_done());
}

fn datagrams(shown: &[(bool, Vec<u8>)]) -> (Vec<(NameKind, String)>, Search, Finder) {
    let (mut finder, mut search, mut names) = (Finder::new(4), Search::default(), Vec::new());
    for (from_client, payload) in shown {
        let udp = Udp { src_port: 1, dst_port: 2, payload, payload_len: payload.len() as u32 };
        let found = finder.udp(&mut search, FromClient(*from_client), &udp);
        names.extend(found.map(|(kind, name)| (kind, name.to_string())));
    }
    (names, search, finder)
}

#[test]
fn a_quic_hello_over_two_datagrams_is_put_together() {
    let hello = hello_with(&[(51, vec![7; 1700]), sni("a.example")]);
    let first = initial(1, b"12345678", b"", 0, &crypto(0, &hello[..900]));
    let second = initial(1, b"12345678", b"", 1, &crypto(900, &hello[900..]));
    let named = vec![(NameKind::Quic, "a.example".to_owned())];
    for order in [[&first, &second], [&second, &first]] {
        for side in [C, S] {
            let (names, search, finder) = datagrams(&order.map(|d| (side, d.clone())));
            assert_eq!(names, named);
            assert!(search.is_done() && finder.held.is_empty());
        }
    }
    // Both in one: segmentation offload shows them so.
    assert_eq!(datagrams(&[(C, [first, second].concat())]).0, named);
}

#[test]
fn a_quic_hello_in_fragments_of_ip_is_put_together() {
    let hello = hello_with(&[(51, vec![7; 1400]), sni("frag.example")]);
    let datagram = initial(1, b"12345678", b"", 0, &crypto(0, &hello));
    for size in [1280, 648, 200] {
        for hole in [false, true] {
            let mut finder = Finder::new(4);
            let mut search = Search::default();
            let ends: [std::net::SocketAddr; 2] =
                ["192.168.1.10:50000", "198.51.100.60:443"].map(|a| a.parse().unwrap());
            let passage = Passage { ts: crate::time::UnixNanos(0), src: ends[0], dst: ends[1], from_client: true };
            let mut found = Vec::new();
            // Offsets count from the UDP header on.
            let mut offset = 0;
            for (i, part) in datagram.chunks(size).enumerate() {
                let fragment = Fragment { id: 7, offset_bytes: offset, more: true };
                let transport = if i == 0 {
                    let payload_len = datagram.len() as u32;
                    Transport::Udp(Udp { src_port: 50_000, dst_port: 443, payload: part, payload_len })
                } else {
                    Transport::Other(part)
                };
                offset += part.len() as u32 + if i == 0 { 8 } else { 0 };
                if !(hole && i == 1) {
                    found.extend(finder.udp_fragment(&mut search, &passage, fragment, &transport));
                }
            }
            let named = [(NameKind::Quic, Name::from_host(b"frag.example").unwrap())];
            assert_eq!(found, if hole { &[][..] } else { &named }, "fragments of {size}");
        }
    }
}

#[test]
fn a_name_that_no_host_has_is_counted_once_for_a_flow() {
    let mut flow = Flow::with_handshake();
    let junk = in_records(&hello_with(&[(51, vec![7; 1400]), sni("{host}")]), 16_000);
    flow.send(C, &junk[..600]);
    flow.send(C, &junk[600..]);
    assert!(flow.names.is_empty() && flow.search.is_done());
    assert_eq!((flow.finder.take_not_hosts(), flow.finder.take_not_hosts()), (1, 0));
    // Requests go on: the next one may name the flow.
    let mut flow = Flow::with_handshake();
    for host in ["{{ .Host }}", "a b", "www.example.org"] {
        flow.send(C, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    }
    assert_eq!(flow.names, [(NameKind::Http, "www.example.org".to_owned())]);
    assert_eq!(flow.finder.take_not_hosts(), 1);
}

#[test]
fn a_quic_client_that_is_told_another_version_starts_over() {
    let hello = hello_with(&[(51, vec![7; 1700]), sni("a.example")]);
    let negotiation = [&[0xca, 0, 0, 0, 0, 0, 8][..], b"12345678", &[0, 0, 0, 1]].concat();
    let (names, ..) = datagrams(&[
        (C, initial(0x1a2a_3a4a, b"12345678", b"", 0, &crypto(0, &hello[..900]))),
        (S, negotiation),
        (C, initial(1, b"abcdefgh", b"", 0, &crypto(900, &hello[900..]))),
        (C, initial(1, b"abcdefgh", b"", 1, &crypto(0, &hello[..900]))),
    ]);
    assert_eq!(names, [(NameKind::Quic, "a.example".to_owned())]);
}

#[test]
fn a_dtls_hello_is_found_in_fragments_after_a_cookie_and_behind_other_headers() {
    let hello = dtls_hello("ws.example");
    let len = hello.len() - 4;
    let named = vec![(NameKind::Sni, "ws.example".to_owned())];
    let piece = |message, part| dtls_piece(&hello, message, part);
    assert_eq!(datagrams(&[(C, piece(0, 0..len))]).0, named);
    assert_eq!(datagrams(&[(S, [&[1, 0, 0, 0][..], &piece(0, 0..len)].concat())]).0, named);
    let stun = [&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42][..], &[5; 20]].concat();
    let late = [(C, stun), (C, piece(1, 50..len)), (C, piece(1, 0..40)), (C, piece(1, 30..60))];
    assert_eq!(datagrams(&late).0, named);
    // The first hello was lost in part; the one after HelloVerifyRequest has its own number.
    assert_eq!(datagrams(&[(C, piece(0, 0..45)), (C, piece(1, 0..50)), (C, piece(1, 50..len))]).0, named);
}

#[test]
fn a_udp_flow_without_a_sign_is_given_up_early() {
    let (names, search, finder) = datagrams(&vec![(C, vec![0x80; 1300]); usize::from(MAX_UDP) + 1]);
    assert!(names.is_empty() && search.is_done() && finder.last_serial == 0);
}

/// A piece of a flow for the property tests: which flow, whose side, where, what, and how much of
/// it on the wire.
type Piece = (usize, bool, u32, Vec<u8>, u32);

fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    let hello = big_hello("a.example");
    let request = b"CONNECT a.example:1 HTTP/1.1\r\nHost: b\r\n\r\nGET / HTTP/1.1\r\nHost: c\r\n\r\n".to_vec();
    let quic = initial(1, b"12345678", b"", 0, &crypto(3, &hello[8..500]));
    let dtls = dtls_piece(&dtls_hello("ws.example"), 0, 3..50);
    let h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x05\x01\x04\0\0\0\x01\x41\x8c\xf1\xe3\xc2".to_vec();
    let q043 =
        b"\x09abcdefghQ043\x01aaaaaaaaaaaa\xa0\x01\x01\x01CHLO\x02\0\0\0SNI\0\x04\0\0\0PAD\0\x09\0\0\0a.bb".to_vec();
    let known = vec![hello, request, quic, dtls, h2, q043, b"\x05\x01\x00\x05\x01\x00\x03\x01a\0\0".to_vec()];
    let mutated =
        (prop::sample::select(known), any::<(prop::sample::Index, u8)>(), 0..4_usize, any::<prop::sample::Index>())
            .prop_map(|(mut bytes, (i, b), times, cut)| {
                let n = bytes.len();
                (0..times).for_each(|t| bytes[(i.index(n) + t * 7) % n] = b.wrapping_add(t as u8));
                bytes.truncate(cut.index(n) + 1);
                bytes
            });
    prop_oneof![3 => mutated, 1 => prop::collection::vec(any::<u8>(), 0..600)]
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = (0..6_usize, any::<bool>(), prop_oneof![0..3000_u32, any::<u32>()], some_bytes(), 0..50_u32);
    prop::collection::vec(piece, 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_stay_within_the_bounds(pieces in pieces(), tcp in any::<bool>()) {
        let mut finder = Finder::new(3);
        let mut searches: Vec<_> = (0..6).map(|_| Search::default()).collect();
        for (flow, side, seq, payload, more) in &pieces {
            let payload_len = payload.len() as u32 + more.saturating_sub(25);
            let search = &mut searches[*flow];
            if tcp {
                let flags = if seq % 31 == 0 { Tcp::SYN } else { 24 };
                let tcp = Tcp { src_port: 1, dst_port: 2, seq: *seq, flags, header_len: 20, payload, payload_len };
                finder.tcp(search, FromClient(*side), &tcp);
            } else {
                finder.udp(search, FromClient(*side), &Udp { src_port: 1, dst_port: 2, payload, payload_len });
            }
            let held: usize = finder.held.values().map(|h| h.memory()).sum();
            prop_assert_eq!(held, finder.held_bytes);
            prop_assert!(finder.held.len() <= 3);
            prop_assert!(finder.held_bytes <= finder.limit_bytes + 4 * MAX_STREAM);
        }
        searches.iter_mut().for_each(|s| finder.release(s));
        prop_assert_eq!((finder.held.len(), finder.held_bytes), (0, 0));
    }

    #[test]
    fn a_hello_cut_into_any_segments_in_any_order_gives_its_name(
        cuts in prop::collection::vec(1..1800_usize, 0..12),
        order in any::<prop::sample::Index>(),
        record in 1..3000_usize,
    ) {
        let hello = in_records(&hello_with(&[(51, vec![7; 1700]), sni("a.example")]), record);
        let mut at: Vec<_> = cuts.into_iter().map(|c| c * hello.len() / 1800).chain([0, hello.len()]).collect();
        at.sort_unstable();
        let mut parts: Vec<_> = at.windows(2).map(|w| w[0]..w[1]).collect();
        // Reordering by up to three places, as networks do.
        parts.chunks_mut(4).for_each(|c| { let n = order.index(c.len()); c.rotate_left(n); });
        let mut flow = Flow::with_handshake();
        parts.into_iter().for_each(|part| flow.at(part.start, &hello[part]));
        flow.gives_sni("a.example");
    }
}

/// The costliest packets that are known, each shown to a state that others have filled. Times are
/// only printed: `cargo test --release -p imon-common --lib -- --ignored --nocapture worst`.
#[test]
#[ignore = "measures; the machine decides"]
#[allow(clippy::print_stderr)]
fn worst_packets_are_measured() {
    let measure = |what: &str, shown: &[(bool, Vec<u8>)], last: &dyn Fn(&mut Finder, &mut Search)| {
        let mut least = u128::MAX;
        for _ in 0..50 {
            let (_, mut search, mut finder) = datagrams(shown);
            let start = std::time::Instant::now();
            last(&mut finder, &mut search);
            least = least.min(start.elapsed().as_nanos());
        }
        eprintln!("{what}: {} µs", least / 1000);
    };
    let udp = |payload: Vec<u8>| {
        move |finder: &mut Finder, search: &mut Search| {
            let udp = Udp { src_port: 1, dst_port: 2, payload: &payload, payload_len: payload.len() as u32 };
            finder.udp(search, FromClient(true), &udp);
        }
    };
    let noise = |version: [u8; 4], len: u16| {
        let rest = [7_u8; 4000];
        let length = (0x4000 | len).to_be_bytes();
        [&[0xc3][..], &version, &[8], b"12345678", &[0, 0], &length, &rest[..len.into()]].concat()
    };
    measure("8 Initials of an unknown version that do not open", &[], &udp(noise([9, 9, 9, 9], 4000).repeat(8)));
    let frames: Vec<u8> = (0..120).flat_map(|i| crypto(8000 - i * 32, &[0x5a; 8])).collect();
    let many = (0..8).flat_map(|n| initial(1, b"12345678", b"", n, &frames)).collect();
    measure("8 Initials with 120 scattered frames each", &[], &udp(many));
    let hello = crypto(0, &hello_with(&[(51, vec![7; 1700]), sni("a.example")]));
    measure("one Initial with a hello", &[], &udp(initial(1, b"12345678", b"", 0, &hello)));
    let tcp = |payload: Vec<u8>, pieces: Vec<(u32, Vec<u8>)>| {
        move |finder: &mut Finder, search: &mut Search| {
            let show = |finder: &mut Finder, search: &mut Search, seq: u32, payload: &[u8]| {
                let payload_len = payload.len() as u32;
                finder.tcp(
                    search,
                    FromClient(true),
                    &Tcp { src_port: 1, dst_port: 2, seq, flags: 24, header_len: 20, payload, payload_len },
                );
            };
            pieces.iter().for_each(|(seq, piece)| show(finder, search, *seq, piece));
            show(finder, search, 32_000, &payload);
        }
    };
    let tiny = in_records(&hello_with(&[(51, vec![7; 60_000])]), 1);
    measure("32 KiB of one-byte records", &[], &tcp(vec![1; 100], vec![(0, tiny[..32_000].to_vec())]));
    let big = in_records(&hello_with(&[(51, vec![0; 60_000])]), 16_000);
    let holes = vec![(0, big[..1000].to_vec()), (1010, big[1010..32_000].to_vec())];
    measure("a hello with a hole and 31 KiB of zeros behind it", &[], &tcp(vec![0; 100], holes));
    let request = [b"GET / HTTP/1.1\r\n".to_vec(), b"a: b\r\n".repeat(5000)].concat();
    measure("32 KiB of short header lines", &[], &tcp(vec![1; 100], vec![(0, request)]));
    let target = [b"GET /".to_vec(), vec![b'x'; 31_000]].concat();
    measure("a target of 31 KiB", &[], &tcp(vec![b'x'; 100], vec![(0, target)]));
}
