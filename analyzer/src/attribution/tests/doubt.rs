//! What names a flow only in doubt, or not at all: queries and their replies, late answers, names
//! of content networks, services of an address, addresses inside addresses.

use super::*;
use imon_common::flow::FlowName;

/// Facts of a small network, by time in milliseconds.
#[derive(Default)]
struct World {
    names: Vec<(Flow, NameSeen)>,
    flows: Vec<Flow>,
}

const SEEN_BY: &str = "192.168.1.6";
const OTHER: &str = "198.51.100.10";

fn at(ms: i64) -> UnixNanos {
    UnixNanos(ms * 1_000_000)
}

impl World {
    fn say(mut self, client: &str, ms: i64, kind: NameKind, host: &str, chain: &[&str], told: &[&str]) -> Self {
        let lookup = Flow { number: 1, server_port: 53, proto: 17, ..flow(client, None, "192.0.2.53", 0) };
        let record = |a: &IpAddr| if a.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa };
        let ttl_s = if kind == NameKind::DnsEmpty { 0 } else { 60 };
        let answer = |a: IpAddr| AnswerAddress { address: a, ttl_s, record: record(&a) };
        let seen = NameSeen {
            ts: at(ms),
            kind,
            name: name(host),
            chain: chain.iter().map(|host| name(host)).collect(),
            addresses: told.iter().map(|a| answer(address(a))).collect(),
            asker_is_server: false,
            relayed: false,
        };
        self.names.push((lookup, seen));
        self
    }

    fn asked(self, client: &str, ms: i64, host: &str) -> Self {
        self.say(client, ms, NameKind::DnsQuery, host, &[], &[])
    }

    fn told(self, client: &str, ms: i64, host: &str, chain: &[&str], told: &[&str]) -> Self {
        self.say(client, ms, NameKind::Dns, host, chain, told)
    }

    fn empty(self, client: &str, ms: i64, host: &str, families: &[&str]) -> Self {
        self.say(client, ms, NameKind::DnsEmpty, host, &[], families)
    }

    fn flow_of(mut self, flow: Flow) -> Self {
        if let Some(inside) = flow.name.clone() {
            let seen = NameSeen {
                ts: flow.start,
                kind: inside.kind,
                name: inside.name,
                chain: Vec::new(),
                addresses: Vec::new(),
                asker_is_server: inside.from_server,
                relayed: inside.relayed,
            };
            self.names.push((flow.clone(), seen));
        }
        self.flows.push(flow);
        self
    }

    fn flow(self, client: &str, ms: i64, server: &str, server_port: u16) -> Self {
        let number = 10 + self.flows.len() as u64;
        self.flow_of(Flow { number, start: at(ms), server_port, ..super::flow(client, None, server, 0) })
    }

    /// Where each flow was booked, in the order in which they began.
    fn verdicts(mut self) -> Vec<Verdict> {
        let mut attributor = Attributor::new(AnswerBook::default(), Verdicts::default());
        self.names.sort_by_key(|(_, seen)| seen.ts);
        self.flows.sort_by_key(|flow| flow.start);
        // As from a meter: in each second names first, then usage.
        let second = |ts: UnixNanos| ts.floor_to(SECOND);
        let (mut names, mut flows) = (self.names.iter().peekable(), self.flows.iter().peekable());
        loop {
            let next_name = names.peek().map(|(_, seen)| second(seen.ts));
            let next_flow = flows.peek().map(|flow| second(flow.start));
            let now = match (next_name, next_flow) {
                (None, None) => break,
                (name, flow) => name.into_iter().chain(flow).min().unwrap(),
            };
            while let Some((flow, seen)) = names.next_if(|(_, seen)| second(seen.ts) == now) {
                let Ok(()) = attributor.name(flow, seen);
            }
            while let Some(flow) = flows.next_if(|flow| second(flow.start) == now) {
                let usage = Usage { up_packets: 1, up_bytes: 100, ..Usage::default() };
                let Ok(()) = attributor.usage(flow, now, usage);
            }
        }
        let Verdicts(verdicts) = attributor.finish();
        verdicts
    }

    /// Host and evidence of the last flow that began.
    fn last(self) -> (String, Evidence) {
        let verdict = self.verdicts().pop().unwrap();
        (verdict.host.to_string(), verdict.evidence)
    }
}

fn world() -> World {
    World::default()
}

fn named(host: &str, evidence: Evidence) -> (String, Evidence) {
    (host.to_owned(), evidence)
}

fn unnamed(server: &str) -> (String, Evidence) {
    named(server, Evidence::None)
}

#[test]
fn a_reply_with_other_addresses_denies_what_was_asked_at_the_moment_of_a_flow() {
    let asked = || world().asked(ME, 1_001, "a.example");
    assert_eq!(asked().flow(ME, 1_000, SERVER, 443).last(), named("a.example", Evidence::DnsAsked));
    for ms in [1_003, 5_000, 60_000] {
        let denied = asked().told(ME, ms, "a.example", &[], &[OTHER]).flow(ME, 1_000, SERVER, 443);
        assert_eq!(denied.last(), unnamed(SERVER), "after {ms} ms");
    }
    // Before the flow began, too.
    let before = world().asked(ME, 990, "a.example").told(ME, 995, "a.example", &[], &[OTHER]);
    assert_eq!(before.flow(ME, 1_000, SERVER, 443).last(), unnamed(SERVER));
    // What others were answered, what was answered to other questions, and addresses of the other
    // family deny nothing.
    let others = asked().told(SEEN_BY, 1_003, "a.example", &[], &[OTHER]).told(ME, 1_004, "b.example", &[], &[OTHER]);
    let others = others.told(ME, 1_005, "a.example", &[], &["2001:db8::9"]);
    assert_eq!(others.flow(ME, 1_000, SERVER, 443).last(), named("a.example", Evidence::DnsAsked));
    // A slow reply that holds the address says that it was meant.
    let slow = asked().told(ME, 4_000, "a.example", &[], &[OTHER, SERVER]).flow(ME, 1_000, SERVER, 443);
    assert_eq!(slow.last(), named("a.example", Evidence::DnsAsked));
}

#[test]
fn a_reply_without_an_address_of_the_flows_family_denies_it_likewise() {
    let asked = || world().asked(ME, 1_001, "a.example").flow(ME, 1_000, SERVER, 443);
    assert_eq!(asked().empty(ME, 1_010, "a.example", &["0.0.0.0"]).last(), unnamed(SERVER));
    assert_eq!(asked().empty(ME, 1_010, "a.example", &["0.0.0.0", "::"]).last(), unnamed(SERVER), "no such name");
    assert_eq!(asked().empty(ME, 1_010, "a.example", &["::"]).last(), named("a.example", Evidence::DnsAsked));
    let v6 = "2001:db8:9::9";
    let over_v6 = world().asked(ME, 1_001, "a.example").flow(ME, 1_000, v6, 443);
    assert_eq!(over_v6.empty(ME, 1_010, "a.example", &["::"]).last(), unnamed(v6));
    // Somebody who follows chains himself is given one step at a time.
    let step = asked().say(ME, 1_010, NameKind::DnsEmpty, "a.example", &["b.example"], &["0.0.0.0"]);
    assert_eq!(step.last(), named("a.example", Evidence::DnsAsked));
    // Unless the reply says that the chain ends there.
    let mut end = asked().say(ME, 1_010, NameKind::DnsEmpty, "a.example", &["b.example"], &["0.0.0.0"]);
    end.names.last_mut().unwrap().1.addresses[0].ttl_s = 1;
    assert_eq!(end.last(), unnamed(SERVER));
    let no_such_name = asked().say(ME, 1_010, NameKind::DnsEmpty, "a.example", &["b.example"], &["0.0.0.0", "::"]);
    assert_eq!(no_such_name.last(), unnamed(SERVER));
}

#[test]
fn of_several_queries_the_nearest_that_no_reply_denies_is_meant() {
    let two = world().asked(ME, 999, "a.example").asked(ME, 1_003, "b.test").flow(ME, 1_000, SERVER, 443);
    assert_eq!(two.told(ME, 1_020, "a.example", &[], &[OTHER]).last(), named("b.test", Evidence::DnsAsked));
}

#[test]
fn what_was_asked_at_several_flows_to_a_service_names_the_others_to_it() {
    let asked = |ms: i64| {
        let asked = world().flow(ME, 500, SERVER, 443);
        let first = asked.asked(ME, 10_000, "a.example").flow(ME, 10_001, SERVER, 443);
        first.asked(ME, ms, "a.example").flow(ME, ms + 1, SERVER, 443)
    };
    let first = |world: World| {
        let verdict = world.verdicts().remove(0);
        (verdict.host.to_string(), verdict.evidence, verdict.rule)
    };
    let yes = ("a.example".to_owned(), Evidence::DnsAsked, Rule::AskedAgain);
    let no = (SERVER.to_owned(), Evidence::None, Rule::Nothing);
    assert_eq!(first(asked(20_000)), yes);
    assert_eq!(first(asked(10_300)), no, "six connections at one query are one witness");
    let other = asked(20_000).asked(ME, 30_000, "b.test").flow(ME, 30_001, SERVER, 443);
    assert_eq!(first(other), no, "they do not agree");
    let inside = Some(FlowName::new(NameKind::Sni, name("b.test")));
    let named = |number, ms| Flow { number, name: inside.clone(), start: at(ms), ..super::flow(ME, None, SERVER, 0) };
    let beside = world().flow(ME, 500, SERVER, 443).asked(ME, 10_000, "a.example").flow_of(named(20, 10_001));
    let beside = beside.asked(ME, 20_000, "a.example").flow_of(named(21, 20_001));
    assert_ne!(first(beside), yes, "flows that name themselves were begun for that name");
    let elsewhere = asked(20_000).flow(ME, 40_000, SERVER, 22);
    assert_eq!(elsewhere.last(), unnamed(SERVER), "another service");
    assert_eq!(asked(20_000).flow(SEEN_BY, 40_000, SERVER, 443).last(), unnamed(SERVER), "another device");
}

#[test]
fn an_answer_that_comes_seconds_after_the_flow_began_does_not_name_it() {
    let late = |ms: i64| world().flow(ME, 1_000, SERVER, 443).told(ME, 1_000 + ms, "late.example", &[], &[SERVER]);
    assert_eq!(late(120).last(), named("late.example", Evidence::DnsLate));
    for ms in [130, 400, 7_900, 30_000, 120_000] {
        assert_eq!(late(ms).last(), unnamed(SERVER), "{ms} ms");
    }
    // The same device by its card, over the other protocol.
    let mac = Some(Mac([2, 0, 0, 0, 0, 7]));
    let mut by_card = world().told("2001:db8::5", 8_900, "late.example", &[], &[SERVER]);
    by_card.names[0].0.client_mac = mac;
    let flow = Flow { number: 10, start: at(1_000), client_mac: mac, ..super::flow(ME, None, SERVER, 0) };
    assert_eq!(by_card.flow_of(flow).last(), unnamed(SERVER));
    // Others may ask when they like.
    let other = world().flow(ME, 1_000, SERVER, 443).told(SEEN_BY, 8_900, "other.example", &[], &[SERVER]);
    assert_eq!(other.last(), named("other.example", Evidence::DnsOther));
    // Who was connected before the capture began had asked before.
    let alive = Flow { begin_seen: false, number: 10, start: at(1_000), ..super::flow(ME, None, SERVER, 0) };
    let alive = world().told(ME, 1_100, "late.example", &[], &[SERVER]).flow_of(alive);
    assert_eq!(alive.last(), unnamed(SERVER));
}

#[test]
fn an_answer_at_the_moment_of_the_flow_is_preferred_to_a_held_address_and_both_are_told() {
    let held = |ms| world().told(ME, 1_000, "held.example", &[], &[SERVER]).flow(ME, ms, SERVER, 443);
    let late = held(60_000).told(ME, 60_010, "late.test", &[], &[SERVER]).verdicts().remove(0);
    assert_eq!((late.host.to_string().as_str(), late.evidence), ("late.test", Evidence::DnsShared));
    assert_eq!(late.candidates, [name("held.example"), name("late.test")]);
    let prompt = held(1_020).told(ME, 1_030, "late.test", &[], &[SERVER]);
    assert_eq!(prompt.last(), named("held.example", Evidence::Dns));
    // Held for long, and others were told another site for it: it may have been told them, too.
    let contradicted = |ms| held(ms).told(SEEN_BY, 2_000_000, "other.test", &[], &[SERVER]).verdicts().remove(0);
    let doubted = contradicted(60_000);
    assert_eq!((doubted.host.to_string().as_str(), doubted.evidence), ("held.example", Evidence::DnsShared));
    assert_eq!(doubted.candidates, [name("held.example"), name("other.test")]);
    assert_eq!(contradicted(1_020).evidence, Evidence::Dns, "at once, it was asked for this flow");
    let same_site = held(60_000).told(SEEN_BY, 2_000, "www.held.example", &[], &[SERVER]);
    assert_eq!(same_site.last(), named("held.example", Evidence::Dns));
    let long_ago = held(9_000_000).told(ME, 8_990_000, "held.example", &[], &[SERVER]);
    let long_ago = long_ago.told(SEEN_BY, 2_000, "other.test", &[], &[SERVER]);
    assert_eq!(long_ago.last(), named("held.example", Evidence::Dns));
    // Held for long among several sites: nobody can tell, and the candidates are kept.
    let two = || world().told(ME, 1_000, "a.example", &[], &[SERVER]).told(ME, 2_000, "b.test", &[], &[SERVER]);
    assert_eq!(two().flow(ME, 6_000, SERVER, 443).last(), named("b.test", Evidence::DnsShared));
    let anyones = two().flow(ME, 3_000_000, SERVER, 443).verdicts().remove(0);
    assert_eq!((anyones.host.to_string().as_str(), anyones.rule), (SERVER, Rule::Disagreed));
    assert_eq!(anyones.candidates, [name("a.example"), name("b.test")]);
    // Unless others prefer one of them.
    let preferred = two().told(SEEN_BY, 2_000_000, "a.example", &[], &[SERVER]).flow(ME, 3_000_000, SERVER, 443);
    assert_eq!(preferred.last(), named("a.example", Evidence::DnsShared));
}

#[test]
fn plain_dns_stays_on_the_resolvers_address() {
    let resolver = "203.0.113.53";
    for proto in [6, 17] {
        let lookup =
            Flow { proto, server_port: 53, number: 10, start: at(2_000), ..super::flow(ME, None, resolver, 0) };
        let told = world().told(ME, 1_000, "dns.example", &[], &[resolver]);
        assert_eq!(told.flow_of(lookup).last(), unnamed(resolver));
    }
    let https = world().told(ME, 1_000, "dns.example", &[], &[resolver]).flow(ME, 2_000, resolver, 443);
    assert_eq!(https.last(), named("dns.example", Evidence::Dns));
}

#[test]
fn the_head_of_a_chain_stands_for_the_infrastructure_that_it_led_to() {
    let (head, target) = ("shop.example", "e7.a.akamaiedge.net");
    let question = |world: World, ms: i64| world.told(ME, ms, target, &[], &[SERVER]).flow(ME, ms + 20, SERVER, 443);
    let chain: [&str; 2] = ["shop.example.edgekey.net", target];
    let of_me = world().told(ME, 1_000, head, &chain, &[OTHER]);
    assert_eq!(question(of_me, 60_000).last(), named(head, Evidence::Dns), "as this device was told");
    let of_me = world().told(ME, 1_000, head, &chain, &[OTHER]);
    assert_eq!(question(of_me, 7_200_000).last(), named(head, Evidence::Known), "hours ago");
    let other = world().told(SEEN_BY, 1_000, head, &chain, &[OTHER]);
    assert_eq!(question(other, 60_000).last(), named(head, Evidence::DnsOther), "as another was told");
    // A chain that ends without an address leads there as well.
    let step = world().say(ME, 59_990, NameKind::DnsEmpty, head, &chain, &["0.0.0.0"]);
    assert_eq!(question(step, 60_000).last(), named(head, Evidence::Dns));
    // Two heads of two sites: the one that was told last, and both are candidates.
    let two = world().told(ME, 1_000, "other.test", &chain, &[OTHER]).told(ME, 2_000, head, &chain, &[OTHER]);
    let verdict = question(two, 60_000).verdicts().remove(0);
    assert_eq!((verdict.host.to_string().as_str(), verdict.evidence), (head, Evidence::DnsShared));
    assert_eq!(verdict.candidates, [name("other.test"), name(head)]);
    // Others who do not agree are no help.
    let two = world().told(SEEN_BY, 1_000, "other.test", &chain, &[OTHER]);
    let two = two.told("192.168.1.7", 2_000, head, &chain, &[OTHER]);
    assert_eq!(question(two, 60_000).last(), named(target, Evidence::Infra));
}

#[test]
fn infrastructure_that_nothing_leads_to_is_a_kind_of_its_own() {
    for target in ["e7.a.akamaiedge.net", "d111.cloudfront.net", "shop.trafficmanager.net", "vm7.cloudapp.net"] {
        let asked = || world().told(ME, 1_000, target, &[], &[SERVER]).flow(ME, 1_020, SERVER, 443);
        assert_eq!(asked().last(), named(target, Evidence::Infra));
        // Whoever was told a site for the address was told another customer's, unless it leads to
        // the same name.
        let customer = asked().told(SEEN_BY, 900, "shop.example", &["e8.a.akamaiedge.net"], &[SERVER]);
        assert_eq!(customer.last(), named(target, Evidence::Infra));
        let head = asked().told(SEEN_BY, 900, "shop.example", &[target], &[SERVER]);
        assert_eq!(head.last(), named("shop.example", Evidence::DnsOther));
        let late = world().flow(ME, 1_000, SERVER, 443).told(ME, 1_100, target, &[], &[SERVER]);
        assert_eq!(late.last(), named(target, Evidence::Infra));
        let others = || world().told(SEEN_BY, 900, target, &[], &[SERVER]);
        assert_eq!(others().flow(ME, 1_000, SERVER, 443).last(), named(target, Evidence::Infra));
        // One who was told a site there is no match for it, two are.
        let one = others().told("192.168.1.7", 900, "shop.example", &[], &[SERVER]);
        assert_eq!(one.flow(ME, 1_000, SERVER, 443).last(), unnamed(SERVER));
        let two = others().told("192.168.1.7", 900, "shop.example", &[], &[SERVER]);
        let two = two.told("192.168.1.8", 900, "shop.example", &[], &[SERVER]);
        assert_eq!(two.flow(ME, 1_000, SERVER, 443).last(), named("shop.example", Evidence::DnsOther));
        let leads = others().told("192.168.1.7", 900, "shop.example", &[target], &[SERVER]);
        assert_eq!(leads.flow(ME, 1_000, SERVER, 443).last(), named("shop.example", Evidence::DnsOther));
    }
    // A name inside the flow is what the flow is for, whatever it is.
    let inside = Some(FlowName::new(NameKind::Sni, name("d111.cloudfront.net")));
    let flow = Flow { name: inside, number: 10, start: at(1_000), ..super::flow(ME, None, SERVER, 0) };
    assert_eq!(world().flow_of(flow).last(), named("d111.cloudfront.net", Evidence::Sni));
}

#[test]
fn a_name_that_names_of_several_sites_lead_to_is_infrastructure_without_any_list() {
    let host = "pages.hoster.example";
    let asked = |world: World| world.told(ME, 60_000, host, &[], &[SERVER]).flow(ME, 60_020, SERVER, 443);
    let one = world().told(SEEN_BY, 1_000, "a.test", &[host], &[OTHER]);
    assert_eq!(asked(one).last(), named(host, Evidence::Dns), "it may well be asked for itself");
    let two = world().told(SEEN_BY, 1_000, "a.test", &[host], &[OTHER]);
    let two = two.told("192.168.1.7", 2_000, "b.example", &[host], &[OTHER]);
    assert_eq!(asked(two).last(), named(host, Evidence::Infra));
    let mine =
        world().told(SEEN_BY, 1_000, "a.test", &[host], &[OTHER]).told(ME, 2_000, "b.example", &[host], &[OTHER]);
    assert_eq!(asked(mine).last(), named("b.example", Evidence::Dns));
}

fn carrying(client: &str, ms: i64, server_port: u16, host: &str) -> Flow {
    let inside = Some(FlowName::new(NameKind::Http, name(host)));
    Flow { number: 5, name: inside, start: at(ms), server_port, ..super::flow(client, None, SERVER, 0) }
}

#[test]
fn a_name_inside_a_flow_stands_for_its_service_and_for_no_other_one() {
    let seen = |port| world().flow_of(carrying(SEEN_BY, 1_000, port, "www.example.com"));
    assert_eq!(seen(80).flow(ME, 5_000, SERVER, 443).last(), named("www.example.com", Evidence::Known));
    assert_eq!(seen(443).flow(ME, 5_000, SERVER, 80).last(), named("www.example.com", Evidence::Known));
    let quic = Flow { proto: 17, number: 11, start: at(5_000), ..super::flow(ME, None, SERVER, 0) };
    assert_eq!(seen(80).flow_of(quic).last(), named("www.example.com", Evidence::Known));
    for port in [22, 25, 8_443] {
        assert_eq!(seen(80).flow(ME, 5_000, SERVER, port).last(), unnamed(SERVER), "{port}");
        assert_eq!(seen(port).flow(ME, 5_000, SERVER, 443).last(), unnamed(SERVER), "{port}");
        assert_eq!(
            seen(port).flow(ME, 5_000, SERVER, port).last(),
            named("www.example.com", Evidence::Known),
            "{port}"
        );
    }
}

#[test]
fn strangers_name_no_server() {
    // A capture from elsewhere: neither end is ours.
    let strange = Flow { scope: Scope::Transit, ..carrying("198.18.0.77", 1_000, 80, "www.example.com") };
    let other = |ms, port| Flow {
        scope: Scope::Transit,
        number: 11,
        start: at(ms),
        server_port: port,
        ..super::flow("198.51.100.33", None, SERVER, 0)
    };
    for (ms, port) in [(5_000, 80), (5_000, 8_443), (90_000_000, 25)] {
        assert_eq!(world().flow_of(strange.clone()).flow_of(other(ms, port)).last(), unnamed(SERVER));
    }
    // What comes in names nothing outside, and what stands behind a relay is none of the relay's.
    let relayed = Some(FlowName { relayed: true, ..FlowName::new(NameKind::Http, name("www.example.com")) });
    let relayed = Flow { name: relayed, ..carrying(SEEN_BY, 1_000, 80, "www.example.com") };
    assert_eq!(world().flow_of(relayed).flow(ME, 5_000, SERVER, 80).last(), unnamed(SERVER));
}

#[test]
fn a_name_that_another_contradicts_is_not_known_any_more() {
    let first = || world().flow_of(carrying(SEEN_BY, 1_000, 80, "old.example"));
    assert_eq!(first().flow(ME, 60_000, SERVER, 443).last(), named("old.example", Evidence::Known));
    let second = Flow { number: 6, ..carrying(SEEN_BY, 30_000, 80, "new.test") };
    assert_eq!(first().flow_of(second).flow(ME, 60_000, SERVER, 443).last(), unnamed(SERVER));
    let told = first().told(SEEN_BY, 30_000, "new.test", &[], &[SERVER]).flow(ME, 60_000, SERVER, 443);
    assert_eq!(told.last(), unnamed(SERVER), "by an answer");
    // Who was told a name and then shows it is one witness, not two.
    let same = first().told(SEEN_BY, 900, "old.example", &[], &[SERVER]);
    let same = same.told("192.168.1.7", 30_000, "new.test", &[], &[SERVER]).flow(ME, 60_000, SERVER, 443);
    assert_eq!(same.last(), unnamed(SERVER));
}

#[test]
fn a_translated_address_is_looked_up_by_the_ipv4_address_inside_it() {
    let (v4, asker) = ("198.51.100.28", "2001:db8:1::10");
    let told = |client: &str| world().told(client, 1_000, "v4only.example", &[], &[v4]);
    for server in ["64:ff9b::198.51.100.28", "64:ff9b:1::198.51.100.28", "64:ff9b:1:c633:64:1c00::"] {
        let own = told(asker).flow(asker, 2_000, server, 8_883);
        assert_eq!(own.last(), named("v4only.example", Evidence::Dns), "{server}");
        let v4_side = told("192.0.2.77").flow(asker, 2_000, server, 8_883);
        assert_eq!(v4_side.last(), named("v4only.example", Evidence::DnsOther), "{server}");
    }
    let own = "2001:db8:64::c633:641c";
    assert_eq!(told(asker).flow(asker, 2_000, own, 443).last(), unnamed(own), "a prefix that nobody knows");
    let learnt = told(asker).told(SEEN_BY, 500, "ipv4only.arpa", &[], &["2001:db8:64::192.0.0.170"]);
    assert_eq!(learnt.flow(asker, 2_000, own, 443).last(), named("v4only.example", Evidence::Dns));
    // A name of the IPv6 address itself comes first.
    let both = told(asker).told(asker, 1_500, "v6.test", &[], &["64:ff9b::198.51.100.28"]);
    assert_eq!(both.flow(asker, 2_000, "64:ff9b::198.51.100.28", 443).last(), named("v6.test", Evidence::Dns));
    // Names inside flows to the IPv4 address count for the same service.
    let inside = Flow { server: address(v4), ..carrying(SEEN_BY, 1_000, 443, "inside.example") };
    let known = world().flow_of(inside).flow(asker, 2_000, "64:ff9b::198.51.100.28", 443);
    assert_eq!(known.last(), named("inside.example", Evidence::Known));
}
