use super::rules::{Said, asked_before};
use super::*;
use crate::books::Evidence;
use imon_common::flow::Scope;
use imon_common::names::{AnswerAddress, Name, NameKind, RecordKind};
use imon_common::wire::Mac;
use std::net::IpAddr;

mod doubt;
mod steps;

const SECOND: i64 = NANOS_PER_SECOND;

/// Keeps verdicts in the order in which flows are settled.
#[derive(Debug, Default)]
struct Verdicts(Vec<Verdict>);

impl Ledger for Verdicts {
    fn over(&mut self, Over { verdict, .. }: &Over<'_>) {
        self.0.push((*verdict).clone());
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    Name::from_host(text.as_bytes()).unwrap()
}

fn flow(client: &str, mac: Option<u8>, server: &str, start_s: i64) -> Flow {
    Flow {
        number: 1_000,
        client: address(client),
        server: address(server),
        client_port: 50_000,
        server_port: 443,
        proto: 6,
        scope: Scope::Remote,
        begin_seen: true,
        opened: imon_common::flow::Opener::Client,
        interface: 0,
        vlan: None,
        client_mac: mac.map(|m| Mac([2, 0, 0, 0, 0, m])),
        start: UnixNanos(start_s * SECOND),
        name: None,
    }
}

/// An answer to `client`: at this second, this name has this address.
type Told<'a> = (&'a str, Option<u8>, i64, &'a str, &'a str);

fn verdict(told: &[Told<'_>], flow: &Flow) -> Verdict {
    verdict_of(NameKind::Dns, told, flow)
}

/// The verdict on a flow when answers of this kind were seen, those after its beginning after it.
fn verdict_of(kind: NameKind, told: &[Told<'_>], flow: &Flow) -> Verdict {
    let mut attributor = Attributor::new(AnswerBook::default(), Verdicts::default());
    let usage = Usage { up_packets: 1, up_bytes: 100, ..Usage::default() };
    let (before, after): (Vec<_>, Vec<_>) = told.iter().partition(|(_, _, ts_s, ..)| *ts_s * SECOND <= flow.start.0);
    let tell = |attributor: &mut Attributor<Verdicts>, told: &Told<'_>| {
        let (client, mac, ts_s, host, server) = *told;
        let lookup = Flow { number: 1, ..self::flow(client, mac, "192.0.2.53", ts_s) };
        let seen = NameSeen {
            ts: UnixNanos(ts_s * SECOND),
            kind,
            name: name(host),
            chain: Vec::new(),
            addresses: vec![AnswerAddress { address: address(server), ttl_s: 60, record: RecordKind::A }],
            asker_is_server: false,
            relayed: false,
        };
        let Ok(()) = attributor.name(&lookup, &seen);
    };
    before.iter().for_each(|told| tell(&mut attributor, told));
    let Ok(()) = attributor.usage(flow, flow.start, usage);
    after.iter().for_each(|told| tell(&mut attributor, told));
    attributor.finish().0.pop().unwrap()
}

const ME: &str = "192.168.1.5";
const SERVER: &str = "198.51.100.9";

fn check(told: &[Told<'_>], flow: &Flow, host: &str, evidence: Evidence) {
    let verdict = verdict(told, flow);
    assert_eq!((verdict.host.to_string().as_str(), verdict.evidence), (host, evidence));
}

#[test]
fn the_latest_own_answer_before_the_flow_wins() {
    let told = |new_s| {
        [
            (ME, None, 10, "old.example", SERVER),
            (ME, None, new_s, "new.example", SERVER),
            (ME, None, 4_100, "later.example", SERVER),
            ("192.168.1.6", None, 4_040, "other.example", SERVER),
        ]
    };
    check(&told(4_048), &flow(ME, None, SERVER, 4_050), "new.example", Evidence::Dns);
    // Held for long, it is doubted where others were told another site.
    check(&told(4_000), &flow(ME, None, SERVER, 4_050), "new.example", Evidence::DnsShared);
}

#[test]
fn a_name_inside_the_flow_wins_over_answers_unless_it_says_nothing() {
    let told = [(ME, None, 10, "asked.example", SERVER)];
    let named = |inside: &str| Flow {
        name: Some(imon_common::flow::FlowName::new(NameKind::Sni, name(inside))),
        ..flow(ME, None, SERVER, 20)
    };
    check(&told, &named("inside.example"), "inside.example", Evidence::Sni);
    check(&told, &named("localhost"), "asked.example", Evidence::Dns);
    check(&told, &named(SERVER), "asked.example", Evidence::Dns);
    check(&[], &named(SERVER), SERVER, Evidence::None);
}

/// Everything that happens to `ME`, in this order: what it was told (milliseconds, name), what it
/// asked for, and flows to `SERVER`; gives where each flow was booked.
enum Event<'a> {
    Told(i64, &'a str, &'a str),
    Asked(i64, &'a str),
    Flow(i64, u16),
}

fn booked(events: &[Event<'_>]) -> Vec<(String, Evidence)> {
    let mut attributor = Attributor::new(AnswerBook::default(), Verdicts::default());
    let at = |ms: i64| UnixNanos(ms * 1_000_000);
    let lookup = Flow { number: 1, server_port: 53, ..flow(ME, None, "192.0.2.53", 0) };
    let seen = |ms, kind, host: &str, addresses| NameSeen {
        ts: at(ms),
        kind,
        name: name(host),
        chain: Vec::new(),
        addresses,
        asker_is_server: false,
        relayed: false,
    };
    for event in events {
        let seen = match event {
            Event::Told(ms, host, server) => {
                let answer = AnswerAddress { address: address(server), ttl_s: 60, record: RecordKind::A };
                seen(*ms, NameKind::Dns, host, vec![answer])
            }
            Event::Asked(ms, host) => seen(*ms, NameKind::DnsQuery, host, Vec::new()),
            Event::Flow(..) => continue,
        };
        let Ok(()) = attributor.name(&lookup, &seen);
    }
    for (number, event) in (10..).zip(events) {
        if let Event::Flow(ms, server_port) = event {
            let flow = Flow { number, server_port: *server_port, start: at(*ms), ..flow(ME, None, SERVER, 0) };
            let usage = Usage { up_packets: 1, up_bytes: 100, ..Usage::default() };
            let Ok(()) = attributor.usage(&flow, at(*ms).floor_to(SECOND), usage);
        }
    }
    let Verdicts(mut verdicts) = attributor.finish();
    verdicts.drain(..).map(|verdict| (verdict.host.to_string(), verdict.evidence)).collect()
}

#[test]
fn a_query_at_the_moment_of_a_flow_names_it_where_nobody_knows_its_address() {
    let other = "198.51.100.10";
    let asked = |events: &[Event<'_>]| booked(events).remove(0);
    let named = |host: &str| (host.to_owned(), Evidence::DnsAsked);
    let nothing = (SERVER.to_owned(), Evidence::None);
    // The answer holds another address: it was not what the flow began for.
    let meanwhile = [Event::Asked(1_001, "a.example"), Event::Told(1_020, "a.example", other), Event::Flow(1_000, 443)];
    assert_eq!(asked(&meanwhile), nothing);
    assert_eq!(asked(&[Event::Asked(980, "a.example"), Event::Flow(1_000, 443)]), named("a.example"));
    assert_eq!(asked(&[Event::Asked(979, "a.example"), Event::Flow(1_000, 443)]), nothing);
    assert_eq!(asked(&[Event::Asked(1_000, "a.example"), Event::Flow(1_000, 6_881)]), nothing);
    assert_eq!(asked(&[Event::Asked(1_000, "printer"), Event::Flow(1_000, 443)]), nothing);
    // Who knows the address is heard first.
    let known = [Event::Told(900, "b.test", SERVER), Event::Asked(1_000, "a.example"), Event::Flow(1_000, 443)];
    assert_eq!(asked(&known), ("b.test".to_owned(), Evidence::Dns));
    // The nearest one; the others could have been meant.
    let two = [Event::Asked(995, "a.example"), Event::Asked(1_001, "b.test"), Event::Flow(1_000, 443)];
    assert_eq!(asked(&two), named("b.test"));
}

#[test]
fn what_strangers_open_is_not_what_the_device_asked_for() {
    let lookup = Flow { number: 1, server_port: 53, ..flow(ME, None, "192.0.2.53", 0) };
    let host_of = |client_port: u16, usage: Usage| {
        let mut attributor = Attributor::new(AnswerBook::default(), Verdicts::default());
        let (ts, chain, addresses) = (UnixNanos(SECOND), Vec::new(), Vec::new());
        let (kind, name) = (NameKind::DnsQuery, name("bank.example"));
        let Ok(()) = attributor
            .name(&lookup, &NameSeen { ts, kind, name, chain, addresses, asker_is_server: false, relayed: false });
        let Ok(()) = attributor.usage(&Flow { client_port, ..flow(ME, None, SERVER, 1) }, UnixNanos(SECOND), usage);
        attributor.finish().0.pop().unwrap().host.to_string()
    };
    let both = Usage { up_packets: 1, up_bytes: 40, down_packets: 1, down_bytes: 40 };
    assert_eq!(host_of(50_000, both), "bank.example");
    assert_eq!(host_of(50_000, Usage { up_packets: 0, up_bytes: 0, ..both }), SERVER, "nothing was sent in it");
    assert_eq!(host_of(22, both), SERVER, "a probe of a service");
}

#[test]
fn a_query_after_the_hello_of_its_own_flow_names_no_other_flow() {
    let lookup = Flow { number: 1, server_port: 53, ..flow(ME, None, "192.0.2.53", 0) };
    let usage = Usage { up_packets: 1, up_bytes: 100, ..Usage::default() };
    for query_ms in [999, 1_001] {
        let mut attributor = Attributor::new(AnswerBook::default(), Verdicts::default());
        let at = |ms: i64| UnixNanos(ms * 1_000_000);
        let said = |ms, kind| {
            let (chain, addresses) = (Vec::new(), Vec::new());
            NameSeen {
                ts: at(ms),
                kind,
                name: name("a.example"),
                chain,
                addresses,
                asker_is_server: false,
                relayed: false,
            }
        };
        let own = Flow {
            number: 10,
            start: at(1_000),
            name: Some(imon_common::flow::FlowName::new(NameKind::Quic, name("a.example"))),
            ..flow(ME, None, "198.51.100.10", 0)
        };
        let mut names = [(&lookup, said(query_ms, NameKind::DnsQuery)), (&own, said(1_000, NameKind::Quic))];
        names.sort_by_key(|(_, seen)| seen.ts);
        for (flow, seen) in &names {
            let Ok(()) = attributor.name(flow, seen);
        }
        let other = Flow { number: 11, start: at(1_005), ..flow(ME, None, SERVER, 0) };
        for flow in [&own, &other] {
            let Ok(()) = attributor.usage(flow, at(1_000), usage);
        }
        let hosts: Vec<_> = attributor.finish().0.iter().map(|verdict| verdict.host.to_string()).collect();
        assert_eq!(hosts, ["a.example", SERVER], "query at {query_ms} ms");
    }
}

#[test]
fn a_query_whose_answer_was_connected_to_names_no_other_flow() {
    let lookup = Flow { number: 1, server_port: 53, ..flow(ME, None, "192.0.2.53", 0) };
    let other = "198.51.100.10";
    let mut attributor = Attributor::new(AnswerBook::default(), Verdicts::default());
    let mut tell = |ms: i64, kind, addresses| {
        let ts = UnixNanos(ms * 1_000_000);
        let (name, chain) = (name("a.example"), Vec::new());
        let Ok(()) = attributor
            .name(&lookup, &NameSeen { ts, kind, name, chain, addresses, asker_is_server: false, relayed: false });
    };
    tell(1_000, NameKind::DnsQuery, Vec::new());
    tell(1_002, NameKind::Dns, vec![AnswerAddress { address: address(other), ttl_s: 60, record: RecordKind::A }]);
    for (number, server, ms) in [(10, SERVER, 1_001), (11, other, 1_003)] {
        let flow = Flow { number, start: UnixNanos(ms * 1_000_000), ..flow(ME, None, server, 0) };
        let usage = Usage { up_packets: 1, up_bytes: 100, ..Usage::default() };
        let Ok(()) = attributor.usage(&flow, UnixNanos(SECOND), usage);
    }
    let Verdicts(verdicts) = attributor.finish();
    let hosts: std::collections::BTreeSet<_> = verdicts.iter().map(|verdict| verdict.host.to_string()).collect();
    assert_eq!(hosts, ["198.51.100.9".to_owned(), "a.example".to_owned()].into());
}

#[test]
fn fresh_answers_of_two_sites_are_a_tie_and_those_of_one_site_are_none() {
    let tie = [(ME, None, 10, "a.example", SERVER), (ME, None, 26, "b.test", SERVER)];
    let verdict = verdict(&tie, &flow(ME, None, SERVER, 30));
    assert_eq!((verdict.host.to_string().as_str(), verdict.evidence), ("b.test", Evidence::DnsShared));
    assert_eq!(verdict.candidates, [name("a.example"), name("b.test")]);
    let one = [(ME, None, 10, "www.b.test", SERVER), (ME, None, 20, "b.test", SERVER)];
    check(&one, &flow(ME, None, SERVER, 30), "b.test", Evidence::Dns);
}

#[test]
fn other_devices_answers_then_old_ones_follow() {
    let flow = flow(ME, None, SERVER, 10_000);
    let other = ("192.168.1.6", None, 9_000, "other.example", SERVER);
    check(&[other], &flow, "other.example", Evidence::DnsOther);
    check(&[(ME, None, 10, "stale.example", SERVER)], &flow, "stale.example", Evidence::Known);
    check(&[], &flow, SERVER, Evidence::None);
}

#[test]
fn nothing_later_than_the_horizon_counts() {
    let flow = flow(ME, None, SERVER, 10_000);
    let horizon_s = HORIZON_NS / SECOND;
    let other = |ts_s| ("192.168.1.6", None, ts_s, "other.example", SERVER);
    check(&[other(10_000 + horizon_s)], &flow, "other.example", Evidence::DnsOther);
    check(&[("192.168.1.6", None, 10_001 + horizon_s, "other.example", SERVER)], &flow, SERVER, Evidence::None);
}

#[test]
fn a_lookup_has_no_name_even_if_its_device_asked_for_the_resolvers() {
    let lookup = Flow { server_port: 53, proto: 17, ..flow(ME, None, SERVER, 1_000) };
    check(&[("192.168.1.6", None, 900, "dns.example", SERVER)], &lookup, SERVER, Evidence::None);
    check(&[(ME, None, 900, "dns.example", SERVER)], &lookup, SERVER, Evidence::None);
}

#[test]
fn others_name_a_flow_only_if_most_of_them_agree_on_the_site() {
    let flow = flow(ME, None, SERVER, 10_000);
    let (a, b, c, d) = ("192.168.1.6", "192.168.1.7", "192.168.1.8", "192.168.1.9");
    let of = |client, host| (client, None, 9_000, host, SERVER);
    let two = [of(a, "www.one.example"), of(b, "two.example")];
    assert_eq!(verdict(&two, &flow).rule, Rule::Disagreed);
    let three = [of(a, "www.one.example"), of(b, "one.example"), of(c, "two.test")];
    assert_eq!(verdict(&three, &flow).rule, Rule::Disagreed, "two thirds are not enough");
    let three = [&three[..], &[of(d, "one.example")]].concat();
    let agreed = verdict(&three, &flow);
    assert_eq!((agreed.host.to_string().as_str(), agreed.rule), ("one.example", Rule::Agreed));
    let four = [of(a, "one.example"), of(b, "one.example"), of(c, "two.test"), of(d, "two.test")];
    check(&four, &flow, SERVER, Evidence::None);
    // A device that asks for everything has one vote for each site, whatever it repeats.
    let repeated: Vec<Told<'_>> = (0..40).map(|i| ("192.168.1.10", None, 9_000 + i, "two.test", SERVER)).collect();
    check(&[&three[..], &repeated].concat(), &flow, "one.example", Evidence::DnsOther);
}

#[test]
fn older_names_are_worthless_once_a_newer_one_contradicts_them() {
    let day_s = 86_400;
    let flow = flow(ME, None, SERVER, 10 * day_s);
    let at = |days: i64, host| ("192.168.1.6", None, days * day_s, host, SERVER);
    check(&[at(5, "old.example")], &flow, "old.example", Evidence::Known);
    check(&[at(5, "old.example"), at(8, "new.test")], &flow, "new.test", Evidence::Known);
    let contested = [at(8, "old.example"), ("192.168.1.7", None, 8 * day_s + 100, "new.test", SERVER)];
    assert_eq!(verdict(&contested, &flow).rule, Rule::Disagreed);
    check(&[at(2, "forgotten.example")], &flow, SERVER, Evidence::None);
}

#[test]
fn an_answer_that_nobody_asked_for_renames_nothing_that_has_better_evidence() {
    let flow = flow(ME, None, SERVER, 1_000);
    let forged = [(ME, None, 999, "evil.example", SERVER)];
    // Alone it is all there is.
    assert_eq!(verdict_of(NameKind::DnsUnpaired, &forged, &flow).rule, Rule::Unasked);
    let mut answers = AnswerBook::default();
    let lookup = |client: &str| Flow { number: 1, ..self::flow(client, None, "192.0.2.53", 0) };
    let tell = |answers: &mut AnswerBook, client: &str, kind, ts_s: i64, host: &str| {
        let (ts, addresses) = (
            UnixNanos(ts_s * SECOND),
            vec![AnswerAddress { address: address(SERVER), ttl_s: 60, record: RecordKind::A }],
        );
        let seen = NameSeen {
            ts,
            kind,
            name: name(host),
            chain: Vec::new(),
            addresses,
            asker_is_server: false,
            relayed: false,
        };
        answers.learn(&lookup(client), &seen, |_| {});
    };
    let host_of = |answers: &AnswerBook| {
        let asked = asked_before(&flow, answers);
        judge(&flow, flow.start, &Said { before: asked, ..Said::default() }, answers).host.to_string()
    };
    tell(&mut answers, ME, NameKind::DnsUnpaired, 999, "evil.example");
    assert_eq!(host_of(&answers), "evil.example");
    tell(&mut answers, ME, NameKind::Dns, 500, "asked.example");
    assert_eq!(host_of(&answers), "asked.example");
    // To another device it is no witness either, as soon as there is one that asked.
    let mut answers = AnswerBook::default();
    (0..20).for_each(|i| {
        tell(&mut answers, &format!("192.168.1.{}", 10 + i), NameKind::DnsUnpaired, 999, "evil.example");
    });
    tell(&mut answers, "192.168.1.6", NameKind::Dns, 500, "honest.test");
    assert_eq!(host_of(&answers), "honest.test");
}

#[test]
fn a_host_without_a_connection_of_its_own_may_share_that_of_another() {
    let tell = |attributor: &mut Attributor<Verdicts>, host: &str, ts_s: i64| {
        let (lookup, ts) = (Flow { number: 1, ..flow(ME, None, "192.0.2.53", ts_s) }, UnixNanos(ts_s * SECOND));
        let addresses = vec![AnswerAddress { address: address(SERVER), ttl_s: 60, record: RecordKind::A }];
        let (kind, chain) = (NameKind::Dns, Vec::new());
        let seen = NameSeen { ts, kind, name: name(host), chain, addresses, asker_is_server: false, relayed: false };
        let Ok(()) = attributor.name(&lookup, &seen);
    };
    let open = |attributor: &mut Attributor<Verdicts>, number: u64, host: &str, kind, start_s: i64| {
        let flow = Flow {
            number,
            name: Some(imon_common::flow::FlowName::new(kind, name(host))),
            ..flow(ME, None, SERVER, start_s)
        };
        let (ts, addresses, chain) = (UnixNanos(start_s * SECOND), Vec::new(), Vec::new());
        let seen = NameSeen { ts, kind, name: name(host), chain, addresses, asker_is_server: false, relayed: false };
        let Ok(()) = attributor.name(&flow, &seen);
        let usage = Usage { up_packets: 1, up_bytes: 100, ..Usage::default() };
        for second in 0..30 {
            let Ok(()) = attributor.usage(&flow, UnixNanos((start_s + second) * SECOND), usage);
        }
    };
    let candidates = |kind, own: bool| {
        let mut attributor = Attributor::new(AnswerBook::default(), Verdicts::default());
        tell(&mut attributor, "before.example", 1);
        tell(&mut attributor, "www.example", 99);
        open(&mut attributor, 5, "www.example", kind, 100);
        tell(&mut attributor, "cdn.test", 110);
        tell(&mut attributor, "after.test", 200);
        if own {
            open(&mut attributor, 6, "cdn.test", kind, 111);
        }
        let mut candidates = attributor.finish().0.remove(0).candidates;
        candidates.drain(..).map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(candidates(NameKind::Sni, false), ["cdn.test", "www.example"]);
    assert_eq!(candidates(NameKind::Quic, false), ["cdn.test", "www.example"]);
    assert!(candidates(NameKind::Sni, true).is_empty(), "it has a connection of its own");
    assert!(candidates(NameKind::Http, false).is_empty(), "HTTP in the clear says the host of each request");
}

#[test]
fn a_device_that_asks_over_ipv6_and_connects_over_ipv4_is_one_unless_its_card_is_a_routers() {
    let mine = [("2001:db8::5", Some(7), 10, "asked.example", SERVER)];
    check(&mine, &flow(ME, Some(7), SERVER, 20), "asked.example", Evidence::Dns);
    let many = ["192.168.1.10", "192.168.1.11", "192.168.1.12", "192.168.1.13", "192.168.1.14"];
    let routed: Vec<Told<'_>> = many.iter().map(|client| (*client, Some(7), 10, "asked.example", SERVER)).collect();
    check(&routed, &flow(ME, Some(7), SERVER, 20), "asked.example", Evidence::DnsOther);
}

#[test]
fn under_an_ech_public_name_only_own_answers_count() {
    let outer = Some((NameKind::EchOuter, name("cloudflare-ech.com")));
    let flow = Flow {
        name: outer.map(|(kind, name)| imon_common::flow::FlowName::new(kind, name)),
        ..flow(ME, None, SERVER, 100)
    };
    check(&[(ME, None, 90, "real.example", SERVER)], &flow, "real.example", Evidence::Dns);
    let other = [("192.168.1.6", None, 90, "other.example", SERVER)];
    check(&other, &flow, "cloudflare-ech.com", Evidence::EchOuter);
}

#[test]
fn answers_of_filters_and_rebinding_teach_nothing() {
    for target in ["0.0.0.0", "127.0.0.1", "10.0.0.1", "224.0.0.1"] {
        let told = [(ME, None, 10, "blocked.example.org", target)];
        assert_eq!(verdict(&told, &flow(ME, None, target, 20)).evidence, Evidence::None, "{target}");
    }
}

#[test]
fn local_traffic_is_local_unless_it_names_a_public_site() {
    let local = |inside: Option<&str>| Flow {
        scope: Scope::Local,
        name: inside.map(|n| imon_common::flow::FlowName::new(NameKind::Http, name(n))),
        ..flow(ME, None, "192.168.1.1", 20)
    };
    assert!(verdict(&[], &local(None)).traffic == crate::books::Traffic::Local);
    assert!(verdict(&[], &local(Some("printer.local"))).traffic == crate::books::Traffic::Local);
    assert!(verdict(&[], &local(Some("www.example.org"))).traffic == crate::books::Traffic::Visited);
}

/// Keeps what pages pulled in.
#[derive(Debug, Default)]
struct Pulled(Vec<(String, Option<String>, UnixNanos)>);

impl Ledger for Pulled {
    fn pages(&mut self, _: &Flow, verdict: &Verdict, parts: &[PagePart]) {
        let page = |part: &PagePart| part.page.as_deref().map(str::to_owned);
        self.0.extend(parts.iter().map(|part| (verdict.host.to_string(), page(part), part.share.first)));
    }
}

#[test]
fn pages_are_followed_in_the_interval_in_which_flows_moved_bytes() {
    let mut attributor = Attributor::new(AnswerBook::default(), Pulled::default());
    attributor.follow_pages(Habits::default());
    let begin = |number: u64, host: &str, ms: i64| Flow {
        number,
        client_port: 50_000 + u16::try_from(number).unwrap(),
        start: UnixNanos(ms * 1_000_000),
        name: Some(imon_common::flow::FlowName::new(NameKind::Sni, name(host))),
        ..flow(ME, None, SERVER, 0)
    };
    let usage = Usage { up_packets: 9, up_bytes: 900, down_packets: 9, down_bytes: 9_000 };
    // The first page's third party is asked for in the second before the second page is visited.
    let hosts =
        [("www.paper.test", 5_100), ("cdn.third.test", 5_200), ("www.shop.test", 6_300), ("t.other.test", 6_400)];
    for ((host, ms), number) in hosts.into_iter().zip(0..) {
        let Ok(()) = attributor.usage(&begin(number, host, ms), UnixNanos(ms / 1_000 * SECOND), usage);
    }
    let page = |page: &str| Some(page.to_owned());
    let expected = [
        ("cdn.third.test".to_owned(), page("www.paper.test"), UnixNanos(5 * SECOND)),
        ("t.other.test".to_owned(), page("www.shop.test"), UnixNanos(6 * SECOND)),
    ];
    assert_eq!(attributor.finish().0, expected);
}
