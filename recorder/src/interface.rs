//! Which interfaces there are, which one has the default route, and which networks hang on it.

use crate::error::Error;
use crate::netlink::Netlink;
use imon_common::wire::Mac;
use ipnet::IpNet;
use std::fmt::Write as _;
use std::net::IpAddr;

/// libpcap's pseudo-interface that captures on all of them.
pub const ANY: &str = "any";

/// Route flag of <linux/route.h>: usable.
const RTF_UP: u32 = 0x1;
/// Route flag of <linux/route.h>: packets are refused, not forwarded.
const RTF_REJECT: u32 = 0x200;

/// One interface of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    /// The kernel's number for it. An interface that is made again gets another one.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Administratively up.
    pub up: bool,
    /// Up, and with a carrier: a cable, an association.
    pub running: bool,
    /// The loopback interface, which shows every packet twice.
    pub loopback: bool,
    /// Kind of a virtual link as its driver calls itself (`bridge`, `tun`, `wireguard`); empty for
    /// a card.
    pub kind: String,
    /// Kind of link: ARPHRD_ number of <linux/if_arp.h>.
    pub hardware: u16,
    /// Its hardware address, if it has one of 48 bits.
    pub mac: Option<Mac>,
    /// The interface that this one is a port of (a bridge, a bond).
    pub master: Option<u32>,
    /// The interface that this one sends through (of a VLAN), or its other end (of a veth pair), if
    /// that is in the same network namespace.
    pub lower: Option<u32>,
    /// Its addresses, with the length of the network's prefix.
    pub nets: Vec<IpNet>,
}

/// All interfaces of this machine, in the order of their numbers.
///
/// # Errors
/// The system did not tell.
pub fn list() -> Result<Vec<Interface>, Error> {
    Ok(Netlink::open()?.interfaces().to_vec())
}

/// Names only, `any` included.
pub fn names(list: &[Interface]) -> Vec<String> {
    list.iter().map(|i| i.name.clone()).chain([ANY.to_owned()]).collect()
}

/// The networks that are connected to these interfaces, sorted.
pub fn connected_nets<'a>(interfaces: impl Iterator<Item = &'a Interface>) -> Vec<IpNet> {
    let mut nets: Vec<IpNet> = interfaces.flat_map(|i| i.nets.iter().map(IpNet::trunc)).collect();
    nets.sort();
    nets.dedup();
    nets
}

/// The interface that has the default route: of IPv4, else of IPv6; the lowest metric wins. `None`
/// where there is none.
pub fn default_route() -> Option<String> {
    // A kernel without IPv6 has no such file, a kernel without IPv4 routes has an empty one: both
    // mean "none".
    let v4 = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let v6 = std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    default_of_v4(&v4).or_else(|| default_of_v6(&v6))
}

/// Default route in the text of /proc/net/route (proc(5); addresses in the byte order of the
/// machine, in hex).
fn default_of_v4(text: &str) -> Option<String> {
    lowest_metric(text.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, destination, _gateway, flags, _refs, _use, metric, mask, ..] = fields.as_slice() else {
            return None;
        };
        let is_default = hex(destination)? == 0 && hex(mask)? == 0;
        (is_default && is_usable(hex(flags)?)).then(|| (metric.parse().unwrap_or(u32::MAX), *name))
    }))
}

/// Default route in the text of /proc/net/ipv6_route (net/ipv6/route.c: destination, prefix length,
/// source, prefix length, next hop, metric, references, use, flags, interface; all hex).
fn default_of_v6(text: &str) -> Option<String> {
    lowest_metric(text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, prefix, _source, _source_prefix, _next, metric, _refs, _use, flags, name] = fields.as_slice()
        else {
            return None;
        };
        let is_default = hex(prefix)? == 0 && destination.bytes().all(|b| b == b'0');
        (is_default && is_usable(hex(flags)?) && *name != "lo").then(|| (hex(metric).unwrap_or(u32::MAX), *name))
    }))
}

fn lowest_metric<'a>(routes: impl Iterator<Item = (u32, &'a str)>) -> Option<String> {
    routes.min_by_key(|(metric, _)| *metric).map(|(_, name)| name.to_owned())
}

fn is_usable(flags: u32) -> bool {
    flags & RTF_UP != 0 && flags & RTF_REJECT == 0
}

fn hex(field: &str) -> Option<u32> {
    u32::from_str_radix(field, 16).ok()
}

/// The text of `--list-interfaces`: one line each with name, state, addresses; `*` marks the
/// default route.
pub fn table(list: &[Interface], default: Option<&str>) -> String {
    let width = list.iter().map(|i| i.name.len()).max().unwrap_or(0).max(ANY.len());
    let mut text = String::new();
    for interface in list {
        let mark = if default == Some(interface.name.as_str()) { '*' } else { ' ' };
        let state = if interface.up { "up  " } else { "down" };
        let nets: Vec<String> = interface.nets.iter().map(ToString::to_string).collect();
        let line = format!("{mark} {:width$}  {state}  {}", interface.name, nets.join(" "));
        _ = writeln!(text, "{}", line.trim_end()); // writing to a String cannot fail
    }
    _ = writeln!(text, "  {ANY:width$}  all interfaces at once");
    text
}

/// A network as typed: an address alone stands for itself.
///
/// # Errors
/// Says what is wrong with the text.
pub fn parse_net(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "expected an address or a network such as 203.0.113.0/24 or 2001:db8::/32".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
        eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
        tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000080\t0\t0\t0\n\
        bad0\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n\
        eth0\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";

    const ROUTE6: &str = "\
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000258 00000001 00000000 00000003    wlan0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000064 00000001 00000000 00000003     eth0
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000001 00000001 00000000 00000001     eth1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

    #[test]
    fn the_default_route_of_lowest_metric_wins() {
        assert_eq!(default_of_v4(ROUTE).as_deref(), Some("eth0"));
        assert_eq!(default_of_v6(ROUTE6).as_deref(), Some("eth0"));
    }

    #[test]
    fn half_a_default_route_and_refusing_routes_are_none() {
        let without: String =
            ROUTE.lines().filter(|l| !l.contains("0100A8C0") && !l.contains("0101A8C0")).collect::<Vec<_>>().join("\n");
        assert_eq!(default_of_v4(&without), None);
        assert_eq!(default_of_v6(ROUTE6.lines().last().unwrap()), None);
        for text in ["", "Iface\n", "x y z\n", "\u{0}\n\n"] {
            assert_eq!(default_of_v4(text), None);
            assert_eq!(default_of_v6(text), None);
        }
    }

    #[test]
    fn a_net_may_be_an_address_alone() {
        assert_eq!(parse_net("192.0.2.1").unwrap().to_string(), "192.0.2.1/32");
        assert_eq!(parse_net("2001:db8::/32").unwrap().to_string(), "2001:db8::/32");
        for text in ["", "192.0.2.1/33", "example.org", "192.0.2"] {
            assert!(parse_net(text).is_err(), "{text}");
        }
    }

    #[test]
    fn connected_networks_are_those_of_the_interfaces() {
        let interface = |name: &str, nets: &[&str]| Interface {
            index: 1,
            name: name.into(),
            up: true,
            running: true,
            loopback: name == "lo",
            nets: nets.iter().map(|n| n.parse().unwrap()).collect(),
            ..Interface::default()
        };
        let list = [interface("lo", &["127.0.0.1/8"]), interface("eth0", &["192.0.2.9/24", "2001:db8::9/64"])];
        let nets = connected_nets(list.iter().skip(1));
        assert_eq!(nets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.0/24", "2001:db8::/64"]);
        assert_eq!(connected_nets(list.iter()).len(), 3);
        assert!(connected_nets(list.iter().take(0)).is_empty());
        assert!(table(&list, Some("eth0")).contains("* eth0  up    192.0.2.9/24 2001:db8::9/64\n"));
    }
}
