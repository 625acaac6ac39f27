//! Who is asked about, and what a label changes.

use super::*;
use crate::books::{Ledger, Row};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

fn row(host: u32, bytes: u64) -> Row {
    Row {
        bucket_s: 0,
        host,
        device: 0,
        evidence: Evidence::None,
        traffic: crate::books::Traffic::Visited,
        candidates: None,
        blind: None,
        interface: 0,
        source: 0,
        up_bytes: bytes,
        down_bytes: 0,
        up_packets: 1,
        down_packets: 0,
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn books() -> Books {
    let hosts = ["8.7.6.5", "8.7.6.6", "192.168.0.1", "203.0.113.9"].map(|text| Host::Address(address(text)));
    let named = Host::Name(Name::from_host(b"www.example.org").unwrap());
    let rows = vec![
        row(0, 10),
        row(1, 500),
        row(0, 1_000),
        row(2, 9_000),
        row(3, 9_000),
        Row { evidence: Evidence::Sni, ..row(4, 70) },
        Row { traffic: crate::books::Traffic::Local, ..row(1, 90_000) },
    ];
    Books { hosts: hosts.into_iter().chain([named]).collect(), rows, ledger: Ledger::default(), ..Books::default() }
}

#[test]
fn the_largest_unnamed_public_addresses_are_asked_about() {
    assert_eq!(unnamed(&books(), 9), [address("8.7.6.5"), address("8.7.6.6")]);
    assert_eq!(unnamed(&books(), 1), [address("8.7.6.5")]);
}

#[test]
fn nobody_is_asked_about_what_is_private_or_reserved() {
    for text in [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "192.88.99.1",
        "::",
        "::1",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
        "2002:a00:1::1",
        "3fff::1",
        "64:ff9b::1",
        "::ffff:8.8.8.8",
    ] {
        assert!(!is_public(address(text)), "{text}");
    }
    for text in ["8.8.8.8", "192.0.1.1", "198.20.0.1", "2600::1", "2a00:1450:4001::1", "2001:4860:4860::8888"] {
        assert!(is_public(address(text)), "{text}");
    }
}

#[test]
fn a_label_changes_the_evidence_and_not_the_books() {
    let mut labelled = books();
    let name = Name::from_host(b"host.example.org").unwrap();
    label(&mut labelled, &HashMap::from([(address("8.7.6.5"), name.clone()), (address("9.9.9.9"), name.clone())]));
    let kinds: Vec<Evidence> = labelled.rows.iter().map(|row| row.evidence).collect();
    let (none, ptr) = (Evidence::None, Evidence::Ptr);
    assert_eq!(kinds, [ptr, none, ptr, none, none, Evidence::Sni, none]);
    assert_eq!((labelled.hosts, labelled.ledger), (books().hosts, books().ledger));
    assert_eq!(labelled.reverse, HashMap::from([(0, name)]));
}

#[test]
fn the_system_configuration_is_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "# mine\nnameserver 192.168.0.1\nnameserver 2001:db8::53\nsearch lan\n").unwrap();
    let servers = servers_in(file.path()).unwrap();
    assert_eq!(servers, ["192.168.0.1:53".parse().unwrap(), "[2001:db8::53]:53".parse().unwrap()] as [SocketAddr; 2]);
    std::fs::write(file.path(), "search lan\n").unwrap();
    let error = servers_in(file.path()).unwrap_err().to_string();
    assert!(error.contains("names no server") && error.contains("--resolver"), "{error}");
}

#[test]
fn questions_keep_the_rate_and_a_second_server_is_asked() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let servers = [silent.local_addr().unwrap(), server.local_addr().unwrap()];
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let answering = std::thread::spawn(move || {
        let mut buffer = [0; 512];
        for _ in 0..4 {
            let (len, from) = server.recv_from(&mut buffer).unwrap();
            let mut reply = buffer[..len].to_vec();
            (reply[2], reply[3]) = (0x81, 0x83);
            // Neither a wrong id nor another question is an answer.
            let mut wrong = reply.clone();
            wrong[1] ^= 1;
            server.send_to(&wrong, from).unwrap();
            server.send_to(&reply, from).unwrap();
        }
    });
    let asked = ["8.7.6.1", "8.7.6.2", "8.7.6.3", "8.7.6.4"].map(address);
    let started = Instant::now();
    let answers = lookup(exchange::connected(&servers).unwrap(), &asked, Limits { per_second: 10 });
    assert_eq!((answers.of.len(), answers.silent), (4, 0));
    assert!(started.elapsed() >= Duration::from_millis(300), "four questions at ten a second");
    answering.join().unwrap();
    silent.set_nonblocking(true).unwrap();
    let mut buffer = [0; 512];
    let first = std::iter::from_fn(|| silent.recv(&mut buffer).ok()).count();
    assert_eq!(first, 4, "each address once");
}
