//! Names that are less sure than they look, through the whole program: services of an address,
//! queries without a matching reply, late answers, infrastructure of content networks, translated
//! addresses.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use serde_json::Value;
use support::{Connection, Home, client_hello, pcap, testdata, udp};

const ME: [u8; 4] = [192, 168, 1, 10];
const OTHER: [u8; 4] = [192, 168, 1, 11];
const RESOLVER: [u8; 4] = [192, 168, 1, 1];
const SERVER: [u8; 4] = [203, 0, 113, 5];
const ELSEWHERE: [u8; 4] = [203, 0, 113, 77];
const WEB: [u8; 4] = [203, 0, 113, 99];

type Packets = Vec<(u64, Vec<u8>)>;

fn wire_name(name: &str) -> Vec<u8> {
    let labels = name
        .split('.')
        .filter(|label| !label.is_empty())
        .flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

/// A record of an answer: its owner, and an address or the name that it leads to.
enum Record<'a> {
    A(&'a str, [u8; 4]),
    Cname(&'a str, &'a str),
    /// HTTPS in service mode, with a hint.
    Https(&'a str, &'a str, [u8; 4]),
    /// HTTPS with ECH under this public name.
    Ech(&'a str, &'a str),
}

/// A DNS message (RFC 1035 section 4) with a question of this type; a response has a code and
/// records.
fn dns(name: &str, kind: u16, response: Option<(u8, &[Record<'_>])>) -> Vec<u8> {
    let (code, records) = response.unwrap_or_default();
    let flags = if response.is_some() { 0x8180 | u16::from(code) } else { 0x0100 };
    let mut message: Vec<u8> =
        [7, flags, 1, records.len() as u16, 0, 0].iter().flat_map(|word| word.to_be_bytes()).collect();
    message.extend(wire_name(name));
    message.extend([kind.to_be_bytes(), [0, 1]].concat());
    for record in records {
        let (owner, kind, data) = match record {
            Record::A(owner, address) => (owner, 1_u8, address.to_vec()),
            Record::Cname(owner, target) => (owner, 5, wire_name(target)),
            Record::Ech(owner, public) => {
                // A configuration of a newer version stands before.
                let name = [&[0, public.len() as u8][..], public.as_bytes(), &[0, 0]].concat();
                let key = [&[1, 0, 0x20, 0, 32][..], &[7; 32], &[0, 4, 0, 1, 0, 1], &name].concat();
                let config = [&[0xfe, 0x0e, 0, 2, 9, 9, 0xfe, 0x0d, 0, key.len() as u8][..], &key].concat();
                let list = [&[0, config.len() as u8][..], &config].concat();
                (owner, 65, [&[0, 1, 0, 0, 5, 0, list.len() as u8][..], &list].concat())
            }
            Record::Https(owner, target, hint) => {
                (owner, 65, [&[0, 1][..], &wire_name(target), &[0, 4, 0, 4], hint].concat())
            }
        };
        message.extend(wire_name(owner));
        message.extend([0, kind, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        message.extend(data);
    }
    message
}

const A: u16 = 1;
const HTTPS: u16 = 65;
const AAAA: u16 = 28;

/// A question and, some time later, its response.
fn lookup(client: [u8; 4], at_us: u64, after_us: u64, name: &str, response: (u8, &[Record<'_>])) -> Packets {
    let (client, server) = ((client, 40_000), (RESOLVER, 53));
    vec![
        (at_us, udp(client, server, &dns(name, A, None))),
        (at_us + after_us, udp(server, client, &dns(name, A, Some(response)))),
    ]
}

fn told(client: [u8; 4], at_us: u64, name: &str, records: &[Record<'_>]) -> Packets {
    lookup(client, at_us, 5_000, name, (0, records))
}

/// A connection that names itself nowhere.
fn connect(client: [u8; 4], at_us: u64, server: [u8; 4], port: u16) -> Packets {
    let client = (client, 50_000 + (at_us / 1_000 % 10_000) as u16);
    Connection::open(at_us, client, (server, port), true).ask(&[1; 40]).answer(&[2; 900]).packets
}

fn write(home: &Home, name: &str, packets: Vec<Packets>) -> String {
    let mut packets = packets.concat();
    packets.sort_by_key(|(at, _)| *at);
    home.write(name, &pcap(&packets)).to_string_lossy().into_owned()
}

fn flows(home: &Home, capture: &str) -> Vec<Value> {
    let text = home.ok(&format!("flows {capture} --format json"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Host and evidence of the TCP flow to this address and port that began last.
fn booked(packets: Vec<Packets>, server: [u8; 4], port: u16) -> (String, String) {
    let home = Home::new();
    let capture = write(&home, "a.pcap", packets);
    let server = std::net::Ipv4Addr::from(server).to_string();
    let flows = flows(&home, &capture);
    let is_it = |flow: &&Value| flow["proto"] == "tcp" && flow["server"] == *server && flow["server_port"] == port;
    let flow = flows.iter().filter(is_it).max_by_key(|flow| flow["start"].as_str().unwrap()).unwrap();
    (flow["host"].as_str().unwrap().to_owned(), flow["evidence"].as_str().unwrap().to_owned())
}

fn is(host: &str, evidence: &str) -> (String, String) {
    (host.to_owned(), evidence.to_owned())
}

fn unnamed(server: [u8; 4]) -> (String, String) {
    is(&std::net::Ipv4Addr::from(server).to_string(), "none")
}

#[test]
fn the_host_that_a_stranger_asked_a_server_for_is_nobody_elses() {
    let capture = testdata("field/probe-host3.pcap").to_string_lossy().into_owned();
    let flows = flows(&Home::new(), &capture);
    let hosts: Vec<(i64, &str)> =
        flows.iter().map(|flow| (flow["server_port"].as_i64().unwrap(), flow["host"].as_str().unwrap())).collect();
    assert_eq!(hosts, [(80, "www.example.com"), (8_443, "203.0.113.7"), (25, "203.0.113.7")]);
}

#[test]
fn a_name_that_our_side_showed_stands_for_the_web_or_for_its_port() {
    let shown = |port| {
        let client = (OTHER, 50_001);
        Connection::open(1_000_000, client, (SERVER, port), true).ask(&client_hello("www.example.com")).packets
    };
    for (seen, later, same) in
        [(443, 80, true), (443, 443, true), (443, 22, false), (8_443, 8_443, true), (8_443, 443, false)]
    {
        let expected = if same { is("www.example.com", "known") } else { unnamed(SERVER) };
        assert_eq!(booked(vec![shown(seen), connect(ME, 9_000_000, SERVER, later)], SERVER, later), expected);
    }
}

#[test]
fn replies_deny_what_was_asked_at_the_moment_of_a_flow() {
    let flow = || connect(ME, 1_000_000, SERVER, 443);
    let after = |response| lookup(ME, 1_001_000, 20_000, "a.example.org", response);
    let before = |response| lookup(ME, 990_000, 5_000, "a.example.org", response);
    let other = [Record::A("a.example.org", ELSEWHERE)];
    let asked_only = vec![(1_001_000, udp((ME, 40_000), (RESOLVER, 53), &dns("a.example.org", A, None)))];
    assert_eq!(booked(vec![flow(), asked_only], SERVER, 443), is("a.example.org", "dns-asked"));
    for (case, lookup) in [
        ("other addresses", after((0, &other))),
        ("no address", after((0, &[]))),
        ("no such name", after((3, &[]))),
        ("before: other addresses", before((0, &other))),
        ("before: no address", before((0, &[]))),
        ("a chain without an address", after((0, &[Record::Cname("a.example.org", "b.example.net")]))),
        ("a chain to no such name", after((3, &[Record::Cname("a.example.org", "b.example.net")]))),
        ("records of something else", after((0, &[Record::A("b.example.net", SERVER)]))),
        // A server that fails says nothing about the name, but who asked got no address by it.
        ("failed", after((2, &[]))),
        ("before: failed", before((2, &[]))),
        ("refused", after((5, &[]))),
    ] {
        assert_eq!(booked(vec![flow(), lookup], SERVER, 443), unnamed(SERVER), "{case}");
    }
    // Another resolver may have been asked.
    let second = told(ME, 1_040_000, "a.example.org", &[Record::A("a.example.org", SERVER)]);
    assert_eq!(booked(vec![flow(), after((2, &[])), second], SERVER, 443), is("a.example.org", "dns-late"));
    // That there is no IPv6 address says nothing about IPv4.
    let (client, server) = ((ME, 40_000), (RESOLVER, 53));
    let no_v6 = vec![
        (1_001_000, udp(client, server, &dns("a.example.org", AAAA, None))),
        (1_002_000, udp(server, client, &dns("a.example.org", AAAA, Some((0, &[]))))),
    ];
    assert_eq!(booked(vec![flow(), no_v6], SERVER, 443), is("a.example.org", "dns-asked"));
}

/// A lookup whose response comes in this packet instead.
fn forged(at_us: u64, from: ([u8; 4], u16), to: ([u8; 4], u16), message: Vec<u8>) -> Packets {
    vec![
        (at_us, udp((ME, 40_000), (RESOLVER, 53), &dns("a.example.org", A, None))),
        (at_us + 5_000, udp(from, to, &message)),
    ]
}

#[test]
fn a_response_that_does_not_fit_its_query_names_nothing_and_denies_nothing() {
    let answer = |address| dns("a.example.org", A, Some((0, &[Record::A("a.example.org", address)])));
    let other_id = |mut message: Vec<u8>| {
        message[1] = 8;
        message
    };
    let other_question = dns("b.example.org", A, Some((0, &[Record::A("b.example.org", SERVER)])));
    let (resolver, me) = ((RESOLVER, 53), (ME, 40_000));
    let elsewhere = (ELSEWHERE, 53);
    type Lookup<'a> = &'a dyn Fn([u8; 4]) -> Packets;
    let wrong: [(&str, Lookup<'_>); 3] = [
        ("id", &|address| forged(900_000, resolver, me, other_id(answer(address)))),
        ("server", &|address| forged(900_000, elsewhere, me, answer(address))),
        ("port", &|address| forged(900_000, resolver, (ME, 40_001), answer(address))),
    ];
    for (case, lookup) in wrong {
        let flow = connect(ME, 1_000_000, SERVER, 443);
        assert_eq!(booked(vec![lookup(SERVER), flow], SERVER, 443), unnamed(SERVER), "{case}");
        // What was asked at the moment of the flow stays the best guess.
        let flow = connect(ME, 901_000, SERVER, 443);
        assert_eq!(booked(vec![lookup(WEB), flow], SERVER, 443), is("a.example.org", "dns-asked"), "{case}");
    }
    let flow = connect(ME, 1_000_000, SERVER, 443);
    assert_eq!(booked(vec![forged(900_000, resolver, me, other_question), flow], SERVER, 443), unnamed(SERVER));
    // Beside the address that was asked for others are nobody's.
    let records = [Record::A("a.example.org", ELSEWHERE), Record::A("b.example.org", SERVER)];
    let flow = connect(ME, 1_000_000, SERVER, 443);
    assert_eq!(booked(vec![told(ME, 900_000, "a.example.org", &records), flow], SERVER, 443), unnamed(SERVER));
}

#[test]
fn a_service_is_named_after_its_host() {
    for (asked, target, port, host) in [
        ("www.example.org", "", 443, "www.example.org"),
        ("www.example.org", "svc.example.net", 443, "www.example.org"),
        ("_8443._https.www.example.org", "", 8443, "www.example.org"),
        ("_dns.resolver.example.org", "", 853, "resolver.example.org"),
        ("_853._dns.resolver.example.org", "", 853, "resolver.example.org"),
        ("_dns.resolver.arpa", "dns.example.net", 853, "dns.example.net"),
        ("_x.example.org", "", 443, "_x.example.org"),
    ] {
        let (client, server) = ((ME, 40_000), (RESOLVER, 53));
        let answer = dns(asked, HTTPS, Some((0, &[Record::Https(asked, target, SERVER)])));
        let lookup =
            vec![(900_000, udp(client, server, &dns(asked, HTTPS, None))), (905_000, udp(server, client, &answer))];
        assert_eq!(
            booked(vec![lookup, connect(ME, 1_000_000, SERVER, port)], SERVER, port),
            is(host, "dns"),
            "{asked}"
        );
    }
}

#[test]
fn the_public_name_of_ech_that_dns_told_hides_a_host() {
    let (client, server) = ((ME, 40_000), (RESOLVER, 53));
    let https = |host: &str, public: &str| {
        let answer = dns(host, HTTPS, Some((0, &[Record::Ech(host, public)])));
        vec![(800_000, udp(client, server, &dns(host, HTTPS, None))), (805_000, udp(server, client, &answer))]
    };
    let hello = |name: &str| {
        let client = (ME, 50_001);
        vec![
            Connection::open(1_000_000, client, (SERVER, 443), true).ask(&client_hello(name)).answer(&[2; 900]).packets,
        ]
    };
    let of = |before: Vec<Packets>, name: &str| booked([before, hello(name)].concat(), SERVER, 443);
    let front = "front.example.net";
    assert_eq!(of(vec![], front), is(front, "sni"));
    assert_eq!(of(vec![https("www.example.org", front)], front), is(front, "ech-outer"));
    let answer = told(ME, 900_000, "www.example.org", &[Record::A("www.example.org", SERVER)]);
    assert_eq!(of(vec![https("www.example.org", front), answer], front), is("www.example.org", "dns"));
    // Others keep their names, and what is above the host hides nothing of its site.
    assert_eq!(of(vec![https("www.example.org", front)], "other.example.net"), is("other.example.net", "sni"));
    assert_eq!(of(vec![https("www.example.org", "example.org")], "example.org"), is("example.org", "sni"));
}

#[test]
fn an_answer_long_after_the_beginning_names_nothing_and_port_53_is_the_resolvers() {
    let answer = |at_us| told(ME, at_us, "late.example.org", &[Record::A("late.example.org", SERVER)]);
    let flow = |port| connect(ME, 1_000_000, SERVER, port);
    assert_eq!(booked(vec![flow(443), answer(1_050_000)], SERVER, 443), is("late.example.org", "dns-late"));
    assert_eq!(booked(vec![flow(443), answer(8_900_000)], SERVER, 443), unnamed(SERVER));
    assert_eq!(booked(vec![answer(900_000), flow(53)], SERVER, 53), unnamed(SERVER));
    assert_eq!(booked(vec![answer(900_000), flow(443)], SERVER, 443), is("late.example.org", "dns"));
}

const TARGET: &str = "e7.a.akamaiedge.net";

/// `head` is told to lead to [`TARGET`], at another address.
fn chain(client: [u8; 4], at_us: u64, head: &str) -> Packets {
    let middle = format!("{head}.edgekey.net");
    let records = [Record::Cname(head, &middle), Record::Cname(&middle, TARGET), Record::A(TARGET, ELSEWHERE)];
    told(client, at_us, head, &records)
}

/// Only the end of the chain is asked for, and connected to.
fn target_alone(at_us: u64) -> Vec<Packets> {
    vec![told(ME, at_us, TARGET, &[Record::A(TARGET, SERVER)]), connect(ME, at_us + 20_000, SERVER, 443)]
}

#[test]
fn a_question_for_infrastructure_is_booked_on_the_head_of_its_chain_or_on_a_group_of_its_own() {
    let of = |before: Vec<Packets>| booked([before, target_alone(60_000_000)].concat(), SERVER, 443);
    assert_eq!(of(vec![chain(ME, 1_000_000, "shop.example.org")]), is("shop.example.org", "dns"));
    assert_eq!(of(vec![chain(OTHER, 1_000_000, "shop.example.org")]), is("shop.example.org", "dns-other"));
    let two =
        vec![chain(OTHER, 1_000_000, "shop.example.org"), chain([192, 168, 1, 12], 2_000_000, "other.example.net")];
    assert_eq!(of(two), is(TARGET, "infra"));
    let home = Home::new();
    let capture = write(&home, "a.pcap", target_alone(1_000_000));
    let (rows, ledger) = support::rows_and_ledger(&home.ok(&format!("report {capture} --format json")));
    let infrastructure = rows.iter().find(|row| row["site"] == "Akamai (infrastructure)").unwrap();
    assert_eq!(infrastructure["total_bytes"], ledger["infrastructure_bytes"]);
    assert_eq!((&ledger["named_bytes"], &ledger["residual_bytes"]), (&0.into(), &0.into()));
    assert!(home.ok(&format!("explain {TARGET} {capture}")).contains("a name of Akamai"));
}

/// A provider whose customers each have a name of their own below its domain, and which no list
/// knows.
#[test]
fn a_domain_that_serves_several_sites_is_infrastructure_where_something_leads_to_its_names() {
    let served = |client, at_us, head: &str, target: &str| {
        told(client, at_us, head, &[Record::Cname(head, target), Record::A(target, ELSEWHERE)])
    };
    let alone =
        |name: &str| vec![told(ME, 60_000_000, name, &[Record::A(name, SERVER)]), connect(ME, 60_020_000, SERVER, 443)];
    let of = |before: &[Packets], name: &str| booked([before, &alone(name)].concat(), SERVER, 443);
    let first = served(ME, 1_000_000, "www.example.org", "a1.tenants.example");
    let second = served(OTHER, 2_000_000, "www.example.net", "b2.tenants.example");
    let both = [first.clone(), second];
    assert_eq!(of(&both, "a1.tenants.example"), is("www.example.org", "dns"));
    assert_eq!(of(&both, "b2.tenants.example"), is("www.example.net", "dns-other"));
    // Nothing leads to it: somebody may visit it.
    assert_eq!(of(&both, "c3.tenants.example"), is("c3.tenants.example", "dns"));
    // Names of one site lead there: it may be the site's own.
    let same = served(OTHER, 2_000_000, "img.example.org", "b2.tenants.example");
    assert_eq!(of(&[first, same], "a1.tenants.example"), is("a1.tenants.example", "dns"));
    // What a site leads to under another suffix is its own.
    let suffixes = ["www.shop.fr", "www.shop.de"].map(|head| served(OTHER, 2_000_000, head, "www.shop.com"));
    assert_eq!(of(&suffixes, "www.shop.com"), is("www.shop.com", "dns"));
}

#[test]
fn who_follows_a_chain_step_by_step_shows_its_head() {
    let steps = |head_us| {
        vec![
            told(ME, head_us, "www.example.org", &[Record::Cname("www.example.org", "shop.azurefd.net")]),
            told(ME, 2_000_000, "shop.azurefd.net", &[Record::Cname("shop.azurefd.net", "p17.t-msedge.net")]),
            told(ME, 2_100_000, "p17.t-msedge.net", &[Record::A("p17.t-msedge.net", SERVER)]),
            connect(ME, 2_200_000, SERVER, 443),
        ]
    };
    assert_eq!(booked(steps(1_000_000), SERVER, 443), is("www.example.org", "dns"));
    // A beginning that came after the rest leads nowhere.
    assert_eq!(booked(steps(8_000_000), SERVER, 443), is("p17.t-msedge.net", "infra"));
}

#[test]
fn names_of_servers_that_nobody_visits_are_infrastructure() {
    for name in [
        "lhr25s10-in-f14.1e100.net",
        "ec2-203-0-113-5.compute-1.amazonaws.com",
        "ec2-203-0-113-5.eu-west-1.compute.amazonaws.com",
        "s3-1-w.amazonaws.com",
        "nonssl.global.fastly.net",
        "b.ssl.fastly.net",
        "part-0012.ln-msedge.net",
    ] {
        let packets = vec![told(ME, 1_000_000, name, &[Record::A(name, SERVER)]), connect(ME, 1_100_000, SERVER, 443)];
        assert_eq!(booked(packets, SERVER, 443), is(name, "infra"));
    }
}

#[test]
fn what_is_said_by_multicast_of_names_on_the_internet_teaches_nothing() {
    let said = |name: &str| {
        let answer = dns(name, A, Some((0, &[Record::A(name, SERVER)])));
        vec![(1_000_000, udp((OTHER, 5_353), ([224, 0, 0, 251], 5_353), &answer))]
    };
    assert_eq!(
        booked(vec![said("bank.example.org"), connect(ME, 2_000_000, SERVER, 443)], SERVER, 443),
        unnamed(SERVER)
    );
    let local = booked(vec![said("printer.local"), connect(ME, 2_000_000, SERVER, 443)], SERVER, 443);
    assert_eq!(local.0, "printer.local");
    let (client, responder) = ((ME, 50_123), (OTHER, 5_355));
    let asked = vec![
        (1_000_000, udp(client, ([224, 0, 0, 252], 5_355), &dns("bank.example.org", A, None))),
        (
            1_001_000,
            udp(responder, client, &dns("bank.example.org", A, Some((0, &[Record::A("bank.example.org", SERVER)])))),
        ),
    ];
    assert_eq!(booked(vec![asked, connect(ME, 2_000_000, SERVER, 443)], SERVER, 443), unnamed(SERVER));
}

#[test]
fn an_answer_for_an_address_names_nothing_and_one_for_odd_labels_does() {
    let name = "192.0.2.7";
    let packets = vec![told(ME, 1_000_000, name, &[Record::A(name, SERVER)]), connect(ME, 1_100_000, SERVER, 443)];
    assert_eq!(booked(packets, SERVER, 443), unnamed(SERVER), "{name}");
    for odd in ["_sip.a-.example", "a/b.example", "{x}.example"] {
        let packets = vec![told(ME, 1_000_000, odd, &[Record::A(odd, SERVER)]), connect(ME, 1_100_000, SERVER, 443)];
        assert_eq!(booked(packets, SERVER, 443), is(odd, "dns"));
    }
}

#[test]
fn the_database_remembers_chains_and_services() {
    let home = Home::new();
    let shown = Connection::open(5_000_000, (OTHER, 50_001), (WEB, 443), true);
    let shown = shown.ask(&client_hello("www.example.com")).packets;
    let first = write(&home, "first.pcap", vec![chain(ME, 1_000_000, "shop.example.org"), shown]);
    let day = 86_400_000_000;
    let later = [
        target_alone(day + 1_000_000),
        vec![connect(ME, day + 9_000_000, WEB, 80), connect(ME, day + 10_000_000, WEB, 22)],
    ];
    let second = write(&home, "second.pcap", later.concat());
    home.ok(&format!("ingest {first}"));
    home.ok(&format!("ingest {second}"));
    let report = |what: &str| home.ok(&format!("report --from 1970-01-02 --to 1970-01-02 --format json {what}"));
    let apart = report("--by host");
    let (rows, _) = support::rows_and_ledger(&apart);
    let kinds = |host: &str, kind: &str| {
        let row = rows.iter().find(|row| row["host"] == host).unwrap_or_else(|| panic!("{host}: {apart}"));
        (row["evidence"][kind] == row["total_bytes"], row["total_bytes"].as_u64().unwrap() > 0)
    };
    assert_eq!(kinds("shop.example.org", "known"), (true, true));
    assert_eq!(kinds("www.example.com", "known"), (true, true));
    assert_eq!(kinds("203.0.113.99", "none"), (true, true), "ssh to that address");
    home.ok("rebuild");
    assert_eq!(report("--by host"), apart);
    let together = Home::new();
    let (a, b) = (std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap());
    let paths = [together.write("second.pcap", &b), together.write("first.pcap", &a)].map(|p| p.display().to_string());
    together.ok(&format!("ingest {} {}", paths[0], paths[1]));
    assert_eq!(together.ok("report --from 1970-01-02 --to 1970-01-02 --format json --by host"), apart);
}

#[test]
fn a_flow_to_a_translated_address_has_the_name_of_the_address_inside_it() {
    let capture = testdata("field/clat-a.pcap").to_string_lossy().into_owned();
    let flows = flows(&Home::new(), &capture);
    let flow = flows.iter().find(|flow| flow["server_port"] == 8_883).unwrap();
    assert_eq!((&flow["host"], &flow["evidence"]), (&"v4only.example.com".into(), &"dns".into()));
}

/// Packets of a client as those of this card; the router's stays.
fn by_card(card: u8, packets: Packets) -> Packets {
    let with_card = |mut frame: Vec<u8>| {
        let from_client = frame[26..30] == ME || frame[26..30] == OTHER;
        let at = if from_client { 6 } else { 0 };
        frame[at..at + 6].copy_from_slice(&[2, 0, 0, 0, 0, card]);
        frame
    };
    packets.into_iter().map(|(at_us, frame)| (at_us, with_card(frame))).collect()
}

#[test]
fn what_an_address_was_told_stays_with_the_device_that_had_it() {
    let asks = |card, client, at_us, name| by_card(card, told(client, at_us, name, &[Record::A(name, SERVER)]));
    let connects = |card, client, at_us| by_card(card, connect(client, at_us, SERVER, 8_443));
    // Two devices swap their addresses; each keeps what it was told.
    let before = || vec![asks(10, ME, 1_000_000, "www.one.example"), asks(11, OTHER, 2_000_000, "www.two.test")];
    for (card, client, host) in [(11, ME, "www.two.test"), (10, OTHER, "www.one.example")] {
        let (found, _) = booked([before(), vec![connects(card, client, 1_800_000_000)]].concat(), SERVER, 8_443);
        assert_eq!(found, host, "card {card}");
    }
    // Whoever gets an address that was given on was told nothing: what another one was told counts
    // as that.
    let (one, later) = (|| vec![asks(10, ME, 1_000_000, "www.one.example")], 600_000_000);
    assert_eq!(
        booked([one(), vec![connects(12, ME, later)]].concat(), SERVER, 8_443),
        is("www.one.example", "dns-other")
    );
    assert_eq!(booked([one(), vec![connects(10, ME, later)]].concat(), SERVER, 8_443), is("www.one.example", "dns"));
    // It comes back.
    let meanwhile = asks(12, ME, 400_000_000, "www.two.test");
    let (found, _) = booked([one(), vec![meanwhile, connects(10, ME, later)]].concat(), SERVER, 8_443);
    assert_eq!(found, "www.one.example");
}

#[test]
fn what_visitors_are_told_by_a_name_server_of_ours_names_no_flow_of_our_side() {
    let visitor = ([203, 0, 113, 99], 40_000);
    let asked = |at_us, name: &str, address: [u8; 4]| {
        let records = [Record::A(name, address)];
        let ours = (ME, 53);
        vec![
            (at_us, udp(visitor, ours, &dns(name, A, None))),
            (at_us + 500, udp(ours, visitor, &dns(name, A, Some((0, &records))))),
        ]
    };
    for (client, at_us) in [(ME, 1_100_000), (OTHER, 1_100_000), (OTHER, 1_001_000)] {
        let packets = vec![asked(1_000_000, "www.leak.example", SERVER), connect(client, at_us, SERVER, 8_443)];
        assert_eq!(booked(packets, SERVER, 8_443), unnamed(SERVER), "{client:?}");
    }
}
