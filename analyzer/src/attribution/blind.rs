//! Why a flow has no name, and where names of other flows may be hidden.
//!
//! The rule, in its order; the first that holds wins:
//! 1. Local traffic is no blind spot.
//! 2. A flow to an encrypted resolver is `encrypted-dns`, named or not: the answers that would name
//!    the client's other flows went through it.
//! 3. A flow named from inside itself or by DNS has a name.
//! 4. A flow that shows only the public name of an ECH provider is `ech`, even where an older name
//!    is booked (`known`): the real one is hidden.
//! 5. Any other flow that has some name, a weak one included, is no blind spot: its evidence says
//!    how weak.
//! 6. What is left is booked on its address. It named an address only (`no-name`), or is QUIC
//!    without a hello that could be read (`quic-unreadable`), or TCP that was alive before the
//!    first packet seen (`begin-not-seen`), or said nothing (`no-name`).
//!
//! Before all that, whoever books knows of flows that carry a tunnel whose inside was recorded,
//! too: `tunnel`.

use super::Verdict;
use crate::books::{Blind, Evidence, Host};
use imon_common::flow::{Flow, FlowName, Scope};
use imon_common::names::{Name, NameKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// HTTPS, over TCP or QUIC (RFC 9110 section 4.2.2, RFC 9114 section 3.1).
const HTTPS: u16 = 443;

/// DNS over TLS (RFC 7858 section 3.1), over DTLS (RFC 8094) and over QUIC (RFC 9250 section
/// 4.1.1).
const DNS_ENCRYPTED: u16 = 853;

/// Hosts that serve DNS over HTTPS (RFC 8484), with all names below them, as their owners publish
/// them. Each serves nothing else, so that a flow to port 443 is DNS. A name that merely begins
/// with `doh.` is no sign: sites have such names too.
const RESOLVER_NAMES: [&str; 30] = [
    "dns.google",
    "dns.google.com",
    "cloudflare-dns.com", // below it those of browsers: mozilla., chrome., and the filtering ones
    "cloudflare-gateway.com",
    "one.one.one.one",
    "dns.quad9.net",
    "dns9.quad9.net",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "dns.adguard.com",
    "dns.adguard-dns.com",
    "family.adguard-dns.com",
    "unfiltered.adguard-dns.com",
    "d.adguard-dns.com",
    "dns.opendns.com",
    "dns.umbrella.com",
    "dns.nextdns.io",
    "dns.mullvad.net",
    "doh.dns.apple.com",
    "dns.alidns.com",
    "dns.controld.com",
    "freedns.controld.com",
    "dns.sb",
    "doh.pub",
    "doh.opendns.com",
    "doh.familyshield.opendns.com",
    "doh.umbrella.com",
    "doh.cleanbrowsing.org",
    "doh.xfinity.com",
    "doh.mullvad.net",
];

/// The shortest of them in bytes.
const MIN_RESOLVER_NAME: usize = 6;

/// Addresses of public resolvers, as their owners publish them: found where a client asks for no
/// name first.
const RESOLVERS_V4: [Ipv4Addr; 34] = [
    // Google
    Ipv4Addr::new(8, 8, 8, 8),
    Ipv4Addr::new(8, 8, 4, 4),
    // Cloudflare: plain, without malware, for families
    Ipv4Addr::new(1, 1, 1, 1),
    Ipv4Addr::new(1, 0, 0, 1),
    Ipv4Addr::new(1, 1, 1, 2),
    Ipv4Addr::new(1, 0, 0, 2),
    Ipv4Addr::new(1, 1, 1, 3),
    Ipv4Addr::new(1, 0, 0, 3),
    // Quad9: filtering, plain, filtering with client subnet
    Ipv4Addr::new(9, 9, 9, 9),
    Ipv4Addr::new(149, 112, 112, 112),
    Ipv4Addr::new(9, 9, 9, 10),
    Ipv4Addr::new(149, 112, 112, 10),
    Ipv4Addr::new(9, 9, 9, 11),
    Ipv4Addr::new(149, 112, 112, 11),
    // AdGuard: default, for families, plain
    Ipv4Addr::new(94, 140, 14, 14),
    Ipv4Addr::new(94, 140, 15, 15),
    Ipv4Addr::new(94, 140, 14, 15),
    Ipv4Addr::new(94, 140, 15, 16),
    Ipv4Addr::new(94, 140, 14, 140),
    Ipv4Addr::new(94, 140, 14, 141),
    // OpenDNS (Cisco): plain, for families, and both over HTTPS
    Ipv4Addr::new(208, 67, 222, 222),
    Ipv4Addr::new(208, 67, 220, 220),
    Ipv4Addr::new(208, 67, 222, 123),
    Ipv4Addr::new(208, 67, 220, 123),
    Ipv4Addr::new(146, 112, 41, 2),
    Ipv4Addr::new(146, 112, 41, 3),
    // Mullvad: plain, then with more and more filters
    Ipv4Addr::new(194, 242, 2, 2),
    Ipv4Addr::new(194, 242, 2, 3),
    Ipv4Addr::new(194, 242, 2, 4),
    Ipv4Addr::new(194, 242, 2, 5),
    Ipv4Addr::new(194, 242, 2, 6),
    Ipv4Addr::new(194, 242, 2, 9),
    // AliDNS
    Ipv4Addr::new(223, 5, 5, 5),
    Ipv4Addr::new(223, 6, 6, 6),
];

/// As [`RESOLVERS_V4`], in the same order of owners.
const RESOLVERS_V6: [Ipv6Addr; 36] = [
    Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888),
    Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8844),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1001),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1112),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1002),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1113),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1003),
    Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe),
    Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0x9),
    Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0x10),
    Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0xfe, 0x10),
    Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0x11),
    Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0xfe, 0x11),
    Ipv6Addr::new(0x2a10, 0x50c0, 0, 0, 0, 0, 0xad1, 0xff),
    Ipv6Addr::new(0x2a10, 0x50c0, 0, 0, 0, 0, 0xad2, 0xff),
    Ipv6Addr::new(0x2a10, 0x50c0, 0, 0, 0, 0, 0xbad1, 0xff),
    Ipv6Addr::new(0x2a10, 0x50c0, 0, 0, 0, 0, 0xbad2, 0xff),
    Ipv6Addr::new(0x2a10, 0x50c0, 0, 0, 0, 0, 0x1, 0xff),
    Ipv6Addr::new(0x2a10, 0x50c0, 0, 0, 0, 0, 0x2, 0xff),
    Ipv6Addr::new(0x2620, 0x119, 0x35, 0, 0, 0, 0, 0x35),
    Ipv6Addr::new(0x2620, 0x119, 0x53, 0, 0, 0, 0, 0x53),
    Ipv6Addr::new(0x2620, 0x119, 0x35, 0, 0, 0, 0, 0x123),
    Ipv6Addr::new(0x2620, 0x119, 0x53, 0, 0, 0, 0, 0x123),
    Ipv6Addr::new(0x2620, 0x119, 0xfc, 0, 0, 0, 0, 0x2),
    Ipv6Addr::new(0x2620, 0x119, 0xfc, 0, 0, 0, 0, 0x3),
    Ipv6Addr::new(0x2a07, 0xe340, 0, 0, 0, 0, 0, 0x2),
    Ipv6Addr::new(0x2a07, 0xe340, 0, 0, 0, 0, 0, 0x3),
    Ipv6Addr::new(0x2a07, 0xe340, 0, 0, 0, 0, 0, 0x4),
    Ipv6Addr::new(0x2a07, 0xe340, 0, 0, 0, 0, 0, 0x5),
    Ipv6Addr::new(0x2a07, 0xe340, 0, 0, 0, 0, 0, 0x6),
    Ipv6Addr::new(0x2a07, 0xe340, 0, 0, 0, 0, 0, 0x9),
    Ipv6Addr::new(0x2400, 0x3200, 0, 0, 0, 0, 0, 0x1),
    Ipv6Addr::new(0x2400, 0x3200, 0xbaba, 0, 0, 0, 0, 0x1),
    // Google and Cloudflare for networks without IPv4 (DNS64, RFC 6147)
    Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x6464),
    Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x64),
];

/// The blind spot that a flow with this verdict is.
pub fn blind(flow: &Flow, verdict: &Verdict) -> Option<Blind> {
    if !verdict.traffic.is_of_sites() {
        return None;
    }
    if is_encrypted_dns(flow, &verdict.host) {
        return Some(Blind::EncryptedDns);
    }
    let outer_only = matches!(flow.name, Some(FlowName { kind: NameKind::EchOuter, .. }));
    match verdict.evidence {
        Evidence::EchOuter => Some(Blind::Ech),
        Evidence::Known | Evidence::Ptr if outer_only => Some(Blind::Ech),
        Evidence::None => Some(why_nameless(flow)),
        _ => None,
    }
}

fn why_nameless(flow: &Flow) -> Blind {
    match flow.proto {
        // The name inside was an address in text: it was read, and says no more.
        _ if flow.name.is_some() => Blind::NoName,
        UDP if goes_to(flow, HTTPS) => Blind::QuicUnreadable,
        TCP if !flow.begin_seen => Blind::BeginNotSeen,
        _ => Blind::NoName,
    }
}

fn is_encrypted_dns(flow: &Flow, host: &Host) -> bool {
    if flow.proto != TCP && flow.proto != UDP {
        return false;
    }
    let named = matches!(host, Host::Name(name) if is_resolver_name(name));
    goes_to(flow, DNS_ENCRYPTED) || goes_to(flow, HTTPS) && (named || has_resolver(flow))
}

/// Whether the server's port is `port`. Where neither end is ours and the beginning was not seen,
/// which end is the server is a guess: then either port counts.
fn goes_to(flow: &Flow, port: u16) -> bool {
    flow.server_port == port || flow.scope == Scope::Transit && flow.client_port == port
}

/// Whether the server, or in transit either end, is a public resolver.
fn has_resolver(flow: &Flow) -> bool {
    is_resolver(flow.server) || flow.scope == Scope::Transit && is_resolver(flow.client)
}

fn is_resolver(address: IpAddr) -> bool {
    match address {
        // NextDNS gives each of its users addresses of their own in these networks.
        IpAddr::V4(a) => RESOLVERS_V4.contains(&a) || matches!(a.octets(), [45, 90, 28 | 30, _]),
        IpAddr::V6(a) => RESOLVERS_V6.contains(&a) || matches!(a.segments(), [0x2a07, 0xa8c0 | 0xa8c1, 0, 0, ..]),
    }
}

fn is_resolver_name(name: &Name) -> bool {
    let name = name.as_str();
    // Asked of every flow: nearly every name ends in another way, and one comparison says so.
    let tail = |name: &str| name.as_bytes().last_chunk::<MIN_RESOLVER_NAME>().copied();
    let end = tail(name);
    let is_or_below =
        |host: &&str| name.strip_suffix(*host).is_some_and(|before| before.is_empty() || before.ends_with('.'));
    RESOLVER_NAMES.iter().filter(|host| tail(host) == end).any(is_or_below)
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::*;
    use crate::books::Traffic;
    use imon_common::time::UnixNanos;

    fn name(text: &str) -> Name {
        Name::from_host(text.as_bytes()).unwrap()
    }

    fn flow(proto: u8, server: &str, server_port: u16) -> Flow {
        Flow {
            number: 1,
            client: "192.168.1.5".parse().unwrap(),
            server: server.parse().unwrap(),
            client_port: 50_000,
            server_port,
            proto,
            scope: Scope::Remote,
            begin_seen: true,
            opened: imon_common::flow::Opener::Client,
            interface: 0,
            vlan: None,
            client_mac: None,
            start: UnixNanos(0),
            name: None,
        }
    }

    fn nameless(flow: &Flow) -> Verdict {
        let (host, evidence) = (Host::Address(flow.server), Evidence::None);
        Verdict { host, evidence, rule: Rule::Nothing, candidates: Vec::new(), traffic: Traffic::Visited }
    }

    fn named(host: &str, evidence: Evidence) -> Verdict {
        Verdict {
            host: Host::Name(name(host)),
            evidence,
            rule: Rule::Asked,
            candidates: Vec::new(),
            traffic: Traffic::Visited,
        }
    }

    fn of_nameless(flow: &Flow) -> Option<Blind> {
        blind(flow, &nameless(flow))
    }

    #[test]
    fn a_flow_named_by_itself_or_by_dns_is_no_blind_spot() {
        let web = Flow { begin_seen: false, ..flow(TCP, "203.0.113.9", 443) };
        for evidence in Evidence::ALL.into_iter().filter(|e| !matches!(e, Evidence::None | Evidence::EchOuter)) {
            assert_eq!(blind(&web, &named("www.example.com", evidence)), None, "{evidence}");
        }
    }

    #[test]
    fn a_flow_on_its_address_has_a_reason() {
        assert_eq!(of_nameless(&flow(UDP, "203.0.113.9", 443)), Some(Blind::QuicUnreadable));
        assert_eq!(of_nameless(&flow(TCP, "203.0.113.9", 443)), Some(Blind::NoName));
        let alive = Flow { begin_seen: false, ..flow(TCP, "203.0.113.9", 443) };
        assert_eq!(of_nameless(&alive), Some(Blind::BeginNotSeen));
        assert_eq!(of_nameless(&flow(UDP, "203.0.113.9", 123)), Some(Blind::NoName));
        assert_eq!(of_nameless(&flow(1, "203.0.113.9", 0)), Some(Blind::NoName));
        let address =
            Flow { name: Some(FlowName::new(NameKind::Quic, name("203.0.113.9"))), ..flow(UDP, "203.0.113.9", 443) };
        assert_eq!(of_nameless(&address), Some(Blind::NoName));
    }

    #[test]
    fn local_traffic_is_no_blind_spot() {
        for port in [443, 853, 5000] {
            let inside = Flow { scope: Scope::Local, begin_seen: false, ..flow(TCP, "192.168.1.1", port) };
            assert_eq!(blind(&inside, &Verdict { traffic: Traffic::Local, ..nameless(&inside) }), None);
        }
    }

    #[test]
    fn port_853_is_encrypted_dns_named_or_not() {
        for proto in [TCP, UDP] {
            let dns = flow(proto, "203.0.113.9", 853);
            assert_eq!(of_nameless(&dns), Some(Blind::EncryptedDns));
            assert_eq!(blind(&dns, &named("dns.example.com", Evidence::Sni)), Some(Blind::EncryptedDns));
        }
        assert_eq!(of_nameless(&flow(132, "203.0.113.9", 853)), Some(Blind::NoName));
    }

    #[test]
    fn public_resolvers_are_known_by_address_on_the_port_of_https_only() {
        for resolver in ["8.8.8.8", "45.90.28.77", "2606:4700:4700::1111", "2a07:a8c1::12:3456", "2620:fe::fe"] {
            for proto in [TCP, UDP] {
                assert_eq!(of_nameless(&flow(proto, resolver, 443)), Some(Blind::EncryptedDns), "{resolver}");
            }
            assert_eq!(of_nameless(&flow(UDP, resolver, 53)), Some(Blind::NoName), "{resolver}");
        }
        assert_eq!(of_nameless(&flow(TCP, "45.90.29.77", 443)), Some(Blind::NoName));
    }

    #[test]
    fn resolvers_are_known_by_name_on_the_port_of_https_only() {
        let https = flow(TCP, "203.0.113.9", 443);
        let is_dns = |host| blind(&https, &named(host, Evidence::Sni)) == Some(Blind::EncryptedDns);
        for host in ["dns.google", "mozilla.cloudflare-dns.com", "abc123.dns.nextdns.io", "doh.opendns.com", "doh.pub"]
        {
            assert!(is_dns(host), "{host}");
        }
        for host in ["www.google", "notcloudflare-dns.com", "nextdns.io", "doh.com", "doh.example.com"] {
            assert!(!is_dns(host), "{host}");
        }
        assert_eq!(blind(&flow(TCP, "203.0.113.9", 80), &named("dns.google", Evidence::Http)), None);
    }

    #[test]
    fn an_outer_name_is_a_blind_spot_until_dns_names_the_flow() {
        let outer = name("cloudflare-ech.com");
        let hidden = Flow { name: Some(FlowName::new(NameKind::EchOuter, outer)), ..flow(TCP, "203.0.113.9", 443) };
        assert_eq!(blind(&hidden, &named("cloudflare-ech.com", Evidence::EchOuter)), Some(Blind::Ech));
        assert_eq!(blind(&hidden, &named("www.example.com", Evidence::Known)), Some(Blind::Ech));
        assert_eq!(blind(&hidden, &named("www.example.com", Evidence::Dns)), None);
    }

    #[test]
    fn in_transit_either_end_may_be_the_server() {
        let server = "203.0.113.9".parse().unwrap();
        let turned = |client_port| Flow { client: server, client_port, ..flow(UDP, "198.51.100.7", 50_000) };
        let transit = |client_port| Flow { scope: Scope::Transit, ..turned(client_port) };
        assert_eq!(of_nameless(&transit(443)), Some(Blind::QuicUnreadable));
        assert_eq!(of_nameless(&transit(853)), Some(Blind::EncryptedDns));
        assert_eq!(of_nameless(&turned(443)), Some(Blind::NoName));
        let resolver = Flow { client: "9.9.9.9".parse().unwrap(), ..transit(443) };
        assert_eq!(of_nameless(&resolver), Some(Blind::EncryptedDns));
    }
}
