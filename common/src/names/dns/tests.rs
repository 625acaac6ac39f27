//! Messages by hand, and the comparison with simple-dns.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A message under construction. Names are given with dots; `@12` stands for a pointer to offset
/// 12.
#[derive(Clone)]
struct Build {
    bytes: Vec<u8>,
}

const RESPONSE: u16 = 0x8180;
const QUESTION_AT: &str = "@12";

fn wire(name: &str) -> Vec<u8> {
    if let Some(offset) = name.strip_prefix('@') {
        return (0xc000 | offset.parse::<u16>().unwrap()).to_be_bytes().to_vec();
    }
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> = labels.flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

impl Build {
    fn new(flags: u16) -> Self {
        let mut bytes = vec![0x12, 0x34];
        bytes.extend(flags.to_be_bytes());
        bytes.extend([0; 8]);
        Self { bytes }
    }

    fn count(&mut self, section: usize) {
        self.bytes[5 + 2 * section] += 1;
    }

    fn ask(mut self, name: &str, kind: u16) -> Self {
        self.count(0);
        self.bytes.extend(wire(name));
        self.bytes.extend([kind.to_be_bytes(), [0, 1]].concat());
        self
    }

    fn record(mut self, section: usize, owner: &str, kind: u16, rdata: &[u8]) -> Self {
        self.count(section);
        self.bytes.extend(wire(owner));
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend([0, 1, 0, 0, 1, 0]);
        self.bytes.extend((rdata.len() as u16).to_be_bytes());
        self.bytes.extend(rdata);
        self
    }

    fn a(self, owner: &str, last: u8) -> Self {
        self.record(1, owner, kind::A, &[192, 0, 2, last])
    }

    fn cname(self, owner: &str, target: &str) -> Self {
        self.record(1, owner, kind::CNAME, &wire(target))
    }

    fn service(self, owner: &str, priority: u8, target: &str, params: &[u8]) -> Self {
        self.record(1, owner, kind::HTTPS, &[&[0, priority], &wire(target)[..], params].concat())
    }

    /// Answers as text: `asked>target: addresses by their last byte`.
    fn answers(&self) -> Vec<String> {
        show(&parse(&self.bytes).unwrap())
    }
}

fn show(message: &Message) -> Vec<String> {
    let last = |a: &AnswerAddress| match a.address {
        IpAddr::V4(v4) => v4.octets()[3].to_string(),
        IpAddr::V6(v6) => format!("v6-{}", v6.octets()[15]),
    };
    let line = |answer: &Answer| {
        let names: Vec<_> = std::iter::once(&answer.name).chain(&answer.chain).map(Name::as_str).collect();
        let addresses: Vec<_> = answer.addresses.iter().map(last).collect();
        format!("{}: {}", names.join(">"), addresses.join(" "))
    };
    message.answers.iter().map(line).collect()
}

#[test]
fn a_chain_is_followed_in_any_order_to_the_name_that_was_asked() {
    let expected = ["www.x.org>a.cdn.net>b.cdn.net: 1 2"];
    let ask = Build::new(RESPONSE).ask("wWw.X.oRg", kind::A);
    let forward = ask.clone().cname(QUESTION_AT, "a.cdn.net").cname("A.cdn.NET", "b.cdn.net").a("b.cdn.net", 1);
    assert_eq!(forward.a("b.cdn.net", 2).answers(), expected);
    let backward = ask.a("b.cdn.net", 1).a("b.CDN.net", 2).cname("a.cdn.net", "B.cdn.net");
    assert_eq!(backward.cname("www.x.org", "a.cdn.net").answers(), expected);
}

#[test]
fn a_dname_leads_on_whether_or_not_its_cname_is_there() {
    let build = || Build::new(RESPONSE).ask("www.old.example", kind::A);
    let dname = |build: Build| build.record(1, "old.example", kind::DNAME, &wire("new.test"));
    let whole = dname(build()).cname("www.old.example", "www.new.test").a("www.new.test", 1);
    let without_cname = dname(build()).a("www.new.test", 1);
    for message in [whole, without_cname] {
        assert_eq!(message.answers(), ["www.old.example>www.new.test: 1"]);
    }
    // Not from the name itself, from one that only ends alike, or to another name.
    for (owner, address) in
        [("www.old.example", "www.new.test"), ("ld.example", "www.new.test"), ("old.example", "new.test")]
    {
        let message = build().record(1, owner, kind::DNAME, &wire("new.test")).a(address, 1);
        assert!(message.answers().iter().all(|answer| !answer.starts_with("www.old")), "{owner}");
    }
}

#[test]
fn a_chain_without_a_question_is_that_of_its_first_name() {
    let message = Build::new(RESPONSE).cname("www.a.example", "b.example").a("b.example", 1).a("c.example", 2);
    assert_eq!(message.answers(), ["www.a.example>b.example: 1", "c.example: 2"]);
}

#[test]
fn a_loop_of_cnames_ends() {
    let message = Build::new(RESPONSE).ask("a.test", kind::A).cname("a.test", "b.test").cname("b.test", "a.test");
    assert_eq!(message.clone().answers(), [""; 0]);
    assert_eq!(message.a("b.test", 7).answers(), ["a.test>b.test: 7"]);
}

#[test]
fn every_hint_of_a_record_with_a_long_owner_is_found() {
    let owner = vec!["oooooooo"; 25].join(".");
    let hints: Vec<u8> = (0..3_000u32).flat_map(|i| i.to_be_bytes()).collect();
    let params = [&[0, 4][..], &(hints.len() as u16).to_be_bytes(), &hints].concat();
    let message = Build::new(RESPONSE).ask(&owner, kind::HTTPS).service(&owner, 1, "", &params);
    assert_eq!(parse(&message.bytes).unwrap().answers[0].addresses.len(), 3_000);
}

#[test]
fn https_records_give_hints_and_lead_on() {
    let hints = [&[0, 1, 0, 3, 2, b'h', b'3'][..], &[0, 4, 0, 8, 192, 0, 2, 1, 192, 0, 2, 2], &[0, 6, 0, 16], &[9; 16]];
    let hints = hints.concat();
    let ask = Build::new(RESPONSE).ask("x.org", kind::HTTPS);
    assert_eq!(ask.clone().service("@12", 1, "", &hints).answers(), ["x.org: 1 2 v6-9"]);
    let alias = ask.clone().service("@12", 0, "svc.net", &[]).service("svc.net", 1, "", &hints);
    assert_eq!(alias.answers(), ["x.org>svc.net: 1 2 v6-9"]);
    let address = [192, 0, 2, 77];
    let service = ask.clone().service("@12", 1, "pool.net", &[]).record(3, "pool.net", kind::A, &address);
    assert_eq!(service.answers(), ["x.org>pool.net: 77"]);
    let parsed = parse(&ask.clone().service("@12", 1, "", &hints).bytes).unwrap();
    assert_eq!(parsed.answers[0].addresses[0].record, RecordKind::Hint);
    assert_eq!(parsed.answers[0].addresses[0].ttl_s, 256);
    // A hint of a wrong length costs itself; what was before stays.
    assert_eq!(ask.service("@12", 1, "", &[&hints[..19], &[0, 6, 0, 3, 1, 2, 3]].concat()).answers(), ["x.org: 1 2"]);
}

#[test]
fn hosts_of_srv_and_mx_records_are_asked_for_as_well() {
    let server = |before: &[u8], target: &str| [before, &wire(target)].concat();
    let address = [192, 0, 2, 5];
    let srv = Build::new(RESPONSE)
        .ask("_sip._tcp.a.example", kind::SRV)
        .cname("_sip._tcp.a.example", "_sip._tcp.b.example")
        .record(1, "_sip._tcp.b.example", kind::SRV, &server(&[0, 1, 0, 2, 0x13, 0xc4], "sip.b.example"))
        .record(3, "sip.b.example", kind::A, &address)
        .record(3, "other.example", kind::A, &[192, 0, 2, 9]);
    assert_eq!(srv.answers(), ["sip.b.example: 5"]);
    let mx = Build::new(RESPONSE)
        .ask("a.example", kind::MX)
        .record(1, "a.example", kind::MX, &server(&[0, 10], "mx1.example"))
        .record(1, "a.example", kind::MX, &server(&[0, 20], "mx2.example"))
        .record(3, "mx2.example", kind::A, &address)
        .record(3, "mx1.example", kind::A, &[192, 0, 2, 6]);
    assert_eq!(mx.answers(), ["mx1.example: 6", "mx2.example: 5"]);
    // Of another name, or in another section, they are of no use to who asked.
    let loose = Build::new(RESPONSE)
        .ask("a.example", kind::MX)
        .record(1, "c.example", kind::MX, &server(&[0, 10], "mx1.example"))
        .record(3, "a.example", kind::MX, &server(&[0, 10], "mx1.example"))
        .record(3, "mx1.example", kind::A, &address);
    assert_eq!(loose.answers(), [""; 0]);
}

#[test]
fn each_question_gets_its_own_addresses() {
    let message = Build::new(RESPONSE).ask("a.test", kind::A).ask("b.test", kind::A).ask("a.test", kind::AAAA);
    assert_eq!(message.a("a.test", 1).a("b.test", 2).answers(), ["a.test: 1", "b.test: 2"]);
}

#[test]
fn addresses_without_a_question_go_to_their_owner() {
    let address = [192, 0, 2, 9];
    let asked = Build::new(RESPONSE).ask("a.test", kind::A).a("other.test", 1).a("a.test", 2);
    assert_eq!(asked.record(3, "ns.test", kind::A, &address).answers(), ["a.test: 2", "other.test: 1"]);
    let multicast = Build::new(0x8400).a("tv.local", 1).record(3, "tv.local", kind::A, &address);
    assert_eq!(multicast.answers(), ["tv.local: 1 9"]);
}

#[test]
fn failed_responses_queries_and_updates_teach_nothing() {
    for flags in [0x8183, 0x8182, 0x0100, 0xa800] {
        let message = Build::new(flags).ask("a.test", kind::A).a("a.test", 1);
        assert_eq!(message.answers(), [""; 0], "{flags:04x}");
        assert!(parse(&message.bytes).unwrap().question.is_some());
    }
}

#[test]
fn a_bad_record_costs_itself_alone() {
    let message = Build::new(RESPONSE)
        .ask("a.test", kind::A)
        .a("@12", 1)
        .record(1, "@12", kind::A, &[1, 2, 3])
        .record(1, "@4000", kind::A, &[1, 2, 3, 4])
        .record(1, "@12", kind::CNAME, &[0xc0])
        .record(1, "@12", kind::CNAME, &[0xff, 0xff])
        .record(1, "@12", kind::HTTPS, &[0])
        .record(1, "@12", 0xfff0, &[0; 300])
        .record(3, "", kind::OPT, &[0, 8, 0, 1, 9])
        .a("@12", 2);
    assert_eq!(message.answers(), ["a.test: 1 2"]);
}

#[test]
fn every_prefix_gives_a_prefix_of_the_addresses() {
    let whole = Build::new(RESPONSE)
        .ask("www.test", kind::A)
        .cname("@12", "cdn.test")
        .a("cdn.test", 1)
        .a("cdn.test", 2)
        .service("cdn.test", 1, "", &[0, 4, 0, 8, 1, 1, 1, 3, 1, 1, 1, 4]);
    let all = parse(&whole.bytes).unwrap().answers[0].addresses.clone();
    assert_eq!(all.len(), 4);
    let mut longest = 0;
    for cut in 0..whole.bytes.len() {
        let Some(message) = parse(&whole.bytes[..cut]) else {
            assert!(cut < 26, "cut at {cut}");
            continue;
        };
        assert!(message.truncated);
        let found = message.answers.first().map_or(&[][..], |a| &a.addresses);
        assert!(all.starts_with(found) && found.len() >= longest, "cut at {cut}");
        longest = found.len();
        assert_eq!(parse_strict(&whole.bytes[..cut]), None);
    }
    assert_eq!(longest, 3); // the last byte belongs to the fourth
}

#[test]
fn strict_takes_whole_messages_and_nothing_more() {
    let query = Build::new(0x0120).ask("a.test", kind::A).record(3, "", kind::OPT, &[]);
    let response = Build::new(RESPONSE).ask("a.test", kind::A).cname("@12", "b.test").a("b.test", 1);
    for good in [&query, &response] {
        assert!(parse_strict(&good.bytes).is_some());
        assert_eq!(parse_strict(&[&good.bytes[..], &[0]].concat()), None);
    }
    for bad in [
        Build::new(0x0100).ask("a.test", 32),             // NetBIOS
        Build::new(0x0140).ask("a.test", kind::A),        // reserved bit
        Build::new(0x2900).ask("a.test", kind::A),        // opcode 5
        Build::new(RESPONSE).ask("", kind::A),            // a response about the root
        Build::new(RESPONSE).ask("a\x07b.test", kind::A), // control character
        Build::new(RESPONSE).ask("a.test", 0x2222),
        Build::new(RESPONSE).ask("a.test", kind::A).record(1, "@12", kind::A, &[1, 2, 3]),
        Build::new(0x0100).ask("a.test", kind::A).a("@12", 1),
        Build::new(RESPONSE).a("a.test", 1),
    ] {
        assert_eq!(parse_strict(&bad.bytes), None, "{:02x?}", bad.bytes);
    }
}

#[test]
fn query_and_response_have_the_same_pairing() {
    let hasher = foldhash::fast::FixedState::default();
    let paired = |bytes: &[u8]| {
        let mut graph = Graph::default();
        let subject = Reading::begin(bytes, &mut graph).and_then(|mut reading| reading.subject(&hasher));
        subject.map(|s| (s.is_response, (s.id, s.question), s.asked)).unwrap()
    };
    let query = paired(&Build::new(0x0100).ask("a.TEST", kind::A).bytes);
    let response = paired(&Build::new(RESPONSE).ask("A.test", kind::A).a("@12", 1).bytes);
    assert_eq!((query.0, response.0), (false, true));
    assert_eq!((query.2, response.2), (Some(Name::from_host(b"a.test").unwrap()), None));
    let asked = |kind| paired(&Build::new(0x0100).ask("a.test", kind).bytes).2.is_some();
    assert_eq!(
        [kind::AAAA, kind::HTTPS, 15, 12].map(asked),
        [true, true, false, false],
        "MX and PTR lead to no address"
    );
    assert_eq!(query.1, response.1);
    let other = paired(&Build::new(RESPONSE).ask("a.test", kind::AAAA).bytes);
    assert_ne!(query.1, other.1);
}

/// (owner of the record; address) of the answer section, as simple-dns reads it; `None` where it
/// refuses the message.
fn oracle(bytes: &[u8]) -> Option<BTreeSet<(Name, IpAddr)>> {
    use simple_dns::rdata::{RData, SVCB, SVCParam};
    let packet = simple_dns::Packet::parse(bytes).ok()?;
    let mut found = BTreeSet::new();
    let hints = |service: &SVCB<'_>| -> Vec<IpAddr> {
        let of = |param: &SVCParam<'_>| match param {
            SVCParam::Ipv4Hint(all) => all.iter().map(|a| std::net::Ipv4Addr::from(*a).into()).collect(),
            SVCParam::Ipv6Hint(all) => all.iter().map(|a| std::net::Ipv6Addr::from(*a).into()).collect(),
            _ => Vec::new(),
        };
        service.iter_params().filter(|_| service.priority > 0).flat_map(of).collect()
    };
    for record in packet.answers.iter().filter(|r| r.class == simple_dns::CLASS::IN) {
        let addresses = match &record.rdata {
            RData::A(a) => vec![std::net::Ipv4Addr::from(a.address).into()],
            RData::AAAA(a) => vec![std::net::Ipv6Addr::from(a.address).into()],
            RData::SVCB(service) => hints(service),
            RData::HTTPS(service) => hints(&service.0),
            _ => Vec::new(),
        };
        let owner = Name::from_labels(record.name.as_bytes());
        found.extend(addresses.into_iter().map(|address| (owner.clone(), address)));
    }
    Some(found)
}

/// Both read the same addresses, and ours are booked to an answer that passes the owner of their
/// record. In a `damaged` message ours may lack some: simple-dns reads an A record from the first
/// four bytes whatever length it states.
fn compare_with_oracle(bytes: &[u8], damaged: bool) -> Result<bool, TestCaseError> {
    let Some(theirs) = oracle(bytes) else { return Ok(false) };
    let Some(ours) = parse(bytes) else {
        // simple-dns lets a name pass that is longer than 255 bytes only by its last label.
        return Err(TestCaseError::fail("simple-dns reads what parse does not"));
    };
    if !ours.is_response || ours.opcode != 0 || ours.rcode != 0 {
        prop_assert!(ours.answers.is_empty());
        return Ok(false);
    }
    for (owner, address) in &theirs {
        let is_there = ours.answers.iter().any(|answer| {
            (answer.name == *owner || answer.chain.contains(owner))
                && answer.addresses.iter().any(|a| a.address == *address)
        });
        prop_assert!(is_there || damaged, "{owner} {address} is missing in {ours:?}");
    }
    for answer in &ours.answers {
        for a in &answer.addresses {
            let is_theirs = theirs.iter().any(|(owner, address)| {
                *address == a.address && (answer.name == *owner || answer.chain.contains(owner))
            });
            prop_assert!(is_theirs, "{} {} is not simple-dns's", answer.name, a.address);
        }
    }
    Ok(!theirs.is_empty())
}

/// A name of a small world, so that chains and loops come about.
fn any_name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a.test", "B.test", "c.TEST", "d.e.test", "test", "", "@12", "@14"])
        .prop_map(str::to_owned)
}

fn any_record() -> impl Strategy<Value = (String, u16, Vec<u8>)> {
    let hints = [0, 1, 0, 3, 2, b'h', b'3', 0, 4, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    let service = (any_name(), 0u8..2).prop_filter("names in SVCB are not compressed", |(n, _)| !n.starts_with('@'));
    prop_oneof![
        (any_name(), any::<[u8; 4]>()).prop_map(|(n, a)| (n, kind::A, a.to_vec())),
        (any_name(), any::<[u8; 16]>()).prop_map(|(n, a)| (n, kind::AAAA, a.to_vec())),
        (any_name(), any_name()).prop_map(|(n, t)| (n, kind::CNAME, wire(&t))),
        (any_name(), service)
            .prop_map(move |(n, (t, p))| { (n, kind::HTTPS, [&[0, p], &wire(&t)[..], &hints[..]].concat()) }),
    ]
}

prop_compose! {
    fn any_response()(
        asked in prop::collection::vec(any_name().prop_filter("written out", |n| !n.starts_with('@')), 1..3),
        records in prop::collection::vec(any_record(), 0..12),
    ) -> Vec<u8> {
        let mut message = Build::new(RESPONSE);
        for name in asked {
            message = message.ask(&name, kind::A);
        }
        for (owner, kind, rdata) in records {
            message = message.record(1, &owner, kind, &rdata);
        }
        message.bytes
    }
}

proptest! {
    #[test]
    fn whatever_simple_dns_accepts_gives_the_same_addresses(bytes in any_response()) {
        compare_with_oracle(&bytes, false)?;
    }

    #[test]
    fn damaged_messages_agree_with_simple_dns_too(
        mut bytes in any_response(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        compare_with_oracle(&bytes, true)?;
        _ = parse_strict(&bytes);
    }

    #[test]
    fn random_bytes_are_no_dns(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        _ = parse(&bytes);
        prop_assert_eq!(parse_strict(&bytes), None);
    }

    /// Small numbers, as in the headers of binary protocols.
    #[test]
    fn protocols_of_small_numbers_teach_nothing(bytes in prop::collection::vec(prop_oneof![0u8..4, any::<u8>()], 0..200)) {
        if let Some(message) = parse_strict(&bytes) {
            prop_assert!(!message.is_response);
        }
    }
}
