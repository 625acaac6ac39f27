//! What is said before a recording that sees packets more than once, or no names: nobody would
//! notice by itself.

use crate::interface::{ANY, Interface};
use crate::selection::{Selection, Stack, overlap};
use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;

/// How this machine is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// It passes packets on from one interface to another.
    pub forwards: bool,
    /// Programs ask a resolver on the machine itself.
    pub asks_itself: bool,
}

impl Surroundings {
    /// Those of this machine, where it tells.
    pub fn here() -> Self {
        let is_on = |path: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == "1");
        let resolvers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Self {
            forwards: is_on("/proc/sys/net/ipv4/ip_forward") || is_on("/proc/sys/net/ipv6/conf/all/forwarding"),
            asks_itself: asks_itself(&resolvers),
        }
    }
}

/// Whether a text of resolv.conf(5) names a loopback address.
fn asks_itself(text: &str) -> bool {
    let mut servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.any(|address| address.trim().parse().is_ok_and(|a: IpAddr| a.is_loopback()))
}

/// What to say of `selection`, one line each; mostly nothing.
pub fn cautions(selection: &Selection, list: &[Interface], around: &Surroundings) -> Vec<String> {
    let traffic = &selection.traffic;
    let is_any = traffic.iter().any(|name| name == ANY);
    let mut said = Vec::new();
    let stacked = if is_any { stacked(list) } else { overlap(&indices(traffic, list), list) };
    if let Some(stacked) = stacked {
        said.push(format!(
            "{stacked}: a packet counts once, where it was seen first; one that is merged or cut in between counts on both"
        ));
    }
    if around.forwards && (is_any || traffic.len() > 1) {
        said.push(
            "this machine forwards packets, each of which counts once, also where its addresses are translated in \
             between; one that is merged or cut in between counts on both sides"
                .into(),
        );
    }
    let is_recorded = |i: &Interface| is_any || traffic.contains(&i.name);
    if traffic.len() > 1 || is_any {
        for tunnel in list.iter().filter(|i| i.running && is_tunnel(i) && is_recorded(i)) {
            said.push(format!(
                "{} is a tunnel ({}): what passes it counts under its names, and the flow that carries it only with what it adds",
                tunnel.name, tunnel.kind
            ));
        }
    }
    let hears_lo =
        list.iter().any(|i| i.loopback && (traffic.contains(&i.name) || selection.names_only.contains(&i.name)));
    if around.asks_itself && !hears_lo && !is_any {
        said.push(
            "programs here ask a resolver on this machine: --names-from lo takes the names, should it ask on encrypted"
                .into(),
        );
    }
    said
}

/// Why two running interfaces show the same packets, if they do: the first pair in the order of the
/// list.
fn stacked(list: &[Interface]) -> Option<String> {
    let stack = Stack::of(list);
    let running = || list.iter().filter(|i| i.running);
    let places: HashMap<u32, (usize, &str)> =
        running().enumerate().map(|(n, i)| (i.index, (n, i.name.as_str()))).collect();
    running().find_map(|above| {
        let passed = stack.passed_by(above.index);
        let below = passed.iter().filter(|below| **below != above.index).filter_map(|below| places.get(below)).min();
        below.map(|(_, below)| format!("what passes {} passes {below}, too", above.name))
    })
}

fn indices(names: &[String], list: &[Interface]) -> Vec<u32> {
    names.iter().filter_map(|name| list.iter().find(|i| i.name == *name)).map(|i| i.index).collect()
}

/// Whether the packets of an interface leave the machine inside packets of another one: by the kind
/// of its driver, and for PPP, which has none before Linux 4.6, by its hardware type (ARPHRD_PPP).
fn is_tunnel(interface: &Interface) -> bool {
    const KINDS: [&str; 23] = [
        "amt",
        "bareudp",
        "erspan",
        "geneve",
        "gre",
        "gretap",
        "gtp",
        "ip6erspan",
        "ip6gre",
        "ip6gretap",
        "ip6tnl",
        "ipip",
        "l2tpeth",
        "ovpn",
        "ovpn-dco",
        "ppp",
        "sit",
        "tun",
        "vti",
        "vti6",
        "vxlan",
        "wireguard",
        "xfrm",
    ];
    const PPP: u16 = 512;
    KINDS.contains(&interface.kind.as_str()) || interface.hardware == PPP
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::work;

    fn list() -> Vec<Interface> {
        let link = |index, name: &str, master| Interface {
            index,
            name: name.into(),
            master,
            up: true,
            running: true,
            loopback: name == "lo",
            ..Interface::default()
        };
        let wg0 = Interface { kind: "wireguard".into(), ..link(5, "wg0", None) };
        vec![link(1, "lo", None), link(2, "eth0", None), link(3, "br0", None), link(4, "eth1", Some(3)), wg0]
    }

    fn said(traffic: &[&str], names_only: &[&str], around: &Surroundings) -> Vec<String> {
        let owned = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        cautions(&Selection { traffic: owned(traffic), names_only: owned(names_only) }, &list(), around)
    }

    #[test]
    fn nothing_is_said_of_an_ordinary_recording() {
        let router = Surroundings { forwards: true, asks_itself: false };
        let desk = Surroundings { forwards: false, asks_itself: true };
        assert!(said(&["eth0", "br0"], &[], &Surroundings::default()).is_empty());
        assert!(said(&["wg0"], &[], &Surroundings::default()).is_empty());
        assert!(said(&["br0"], &[], &router).is_empty());
        assert!(said(&["eth0"], &["lo"], &desk).is_empty());
        assert!(said(&["lo"], &[], &desk).is_empty());
    }

    #[test]
    fn what_is_seen_twice_or_hides_names_is_said() {
        let both = Surroundings { forwards: true, asks_itself: true };
        let any = said(&["any"], &[], &both);
        assert!(any[0].contains("what passes br0 passes eth1, too"), "{any:?}");
        assert!(any[1].contains("forwards packets"), "{any:?}");
        assert!(any[2].contains("wg0 is a tunnel (wireguard)"), "{any:?}");
        assert_eq!(any.len(), 3);
        let two = said(&["eth0", "br0"], &[], &both);
        assert!(
            two[0].contains("also where its addresses are translated") && two[1].contains("--names-from lo"),
            "{two:?}"
        );
        let port = said(&["br0", "eth1"], &[], &Surroundings::default());
        assert!(port[0].contains("what passes br0 passes eth1, too: a packet counts once"), "{port:?}");
        let tunnel = said(&["eth0", "wg0"], &[], &Surroundings::default());
        assert!(tunnel[0].contains("wg0 is a tunnel (wireguard): what passes it counts"), "{tunnel:?}");
    }

    #[test]
    fn a_resolver_of_its_own_stands_in_resolv_conf() {
        assert!(asks_itself("# by hand\nsearch lan\nnameserver 127.0.0.53\noptions edns0\n"));
        assert!(asks_itself("nameserver 192.0.2.1\n nameserver\t::1 \n"));
        for text in ["", "nameserver 192.0.2.1", "#nameserver 127.0.0.1", "nameserver", "nameserver 127.0.0.53x"] {
            assert!(!asks_itself(text), "{text}");
        }
    }

    #[test]
    fn thousands_of_interfaces_are_looked_at_once_each() {
        // Each lies on one that is down, so that nothing is found until all were looked at.
        let looks = [500, 1_000, 2_000].map(|n| {
            let link = |index, lower, running| Interface {
                index,
                name: format!("link{index}"),
                lower,
                running,
                ..Interface::default()
            };
            let list: Vec<Interface> =
                (1..=n).flat_map(|i| [link(2 * i, Some(2 * i + 1), true), link(2 * i + 1, None, false)]).collect();
            work::take();
            assert_eq!(stacked(&list), None);
            work::take()
        });
        assert!(looks[0] >= 500 || !cfg!(debug_assertions), "{looks:?}");
        assert!(looks.windows(2).all(|pair| pair[1] <= pair[0] * 22 / 10), "{looks:?}");
    }
}
