//! Which addresses are ours: settles uplink, downlink and local traffic.

use crate::work;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most networks that a list may hold beside the built-in ranges; a segment header has room for as
/// many.
pub const MAX_LOCAL_NETS: usize = 256;

/// The local networks: the ranges that are local everywhere, and those handed in (addresses of the
/// interface and its connected networks, what the user adds).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalNets {
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

impl LocalNets {
    /// A list of the built-in ranges plus `nets`; those beyond [`MAX_LOCAL_NETS`] are left out.
    pub fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let mut list = Self::default();
        for net in nets.into_iter().take(MAX_LOCAL_NETS) {
            match net.trunc() {
                IpNet::V4(n) if !list.v4.contains(&n) => list.v4.push(n),
                IpNet::V6(n) if !list.v6.contains(&n) => list.v6.push(n),
                _ => {}
            }
        }
        list
    }

    /// The networks handed in, IPv4 first, host bits cleared, without the built-in ranges.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.v4.iter().copied().map(IpNet::V4).chain(self.v6.iter().copied().map(IpNet::V6))
    }

    /// Whether `address` is one of ours, or belongs to a range that never leaves the local network.
    pub fn contains(&self, address: IpAddr) -> bool {
        work::steps(self.v4.len() + self.v6.len());
        match address {
            IpAddr::V4(a) => is_local_v4(a) || self.v4.iter().any(|n| n.contains(&a)),
            IpAddr::V6(a) => is_local_v6(a) || self.v6.iter().any(|n| n.contains(&a)),
        }
    }

    /// Whether `address` stands for several hosts of the local network: multicast, broadcast, or
    /// the highest address of one of the networks handed in (a directed broadcast, RFC 922 section
    /// 7; networks of fewer than four addresses have none).
    pub fn is_group(&self, address: IpAddr) -> bool {
        work::steps(self.v4.len());
        is_group_anywhere(address)
            || matches!(address, IpAddr::V4(a) if self.v4.iter().any(|n| n.prefix_len() <= 30 && n.broadcast() == a))
    }
}

/// Whether `address` stands for several hosts by itself: multicast (RFC 5771, RFC 4291 section 2.7)
/// and broadcast.
fn is_group_anywhere(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_multicast() || a.is_broadcast(),
        IpAddr::V6(a) => a.is_multicast() || a.to_ipv4_mapped().is_some_and(|a| a.is_multicast() || a.is_broadcast()),
    }
}

/// Unspecified, loopback, RFC 1918, RFC 6598 (100.64/10), link-local (RFC 3927), multicast,
/// broadcast.
fn is_local_v4(a: Ipv4Addr) -> bool {
    let [first, second, ..] = a.octets();
    match first {
        0 | 10 | 127 | 224..=239 => true,
        100 => (64..128).contains(&second),
        169 => second == 254,
        172 => (16..32).contains(&second),
        192 => second == 168,
        255 => a.is_broadcast(),
        _ => false,
    }
}

/// Unspecified, loopback, ULA (RFC 4193), link-local (RFC 4291), multicast; IPv4-mapped by its IPv4
/// address.
fn is_local_v6(a: Ipv6Addr) -> bool {
    match a.octets() {
        [0xfc | 0xfd | 0xff, ..] => true,
        [0xfe, second, ..] => (0x80..=0xbf).contains(&second),
        [0, ..] => a.is_loopback() || a.is_unspecified() || a.to_ipv4_mapped().is_some_and(is_local_v4),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_ranges_end_where_the_standards_end_them() {
        let nets = LocalNets::default();
        for (address, local) in [
            ("10.255.255.255", true),
            ("172.15.0.1", false),
            ("172.31.9.9", true),
            ("172.32.0.1", false),
            ("192.168.0.1", true),
            ("192.169.0.1", false),
            ("100.63.255.255", false),
            ("100.64.0.1", true),
            ("100.128.0.0", false),
            ("169.254.1.1", true),
            ("224.0.0.251", true),
            ("239.255.255.255", true),
            ("255.255.255.255", true),
            ("8.8.8.8", false),
            ("198.18.0.1", false),
            ("::1", true),
            ("fe80::1", true),
            ("febf::1", true),
            ("fec0::1", false),
            ("fd00::1", true),
            ("fe00::1", false),
            ("ff02::fb", true),
            ("2001:db8::1", false),
            ("::ffff:10.0.0.1", true),
            ("::ffff:8.8.8.8", false),
        ] {
            assert_eq!(nets.contains(address.parse().unwrap()), local, "{address}");
        }
    }

    #[test]
    fn groups_are_multicast_broadcast_and_the_highest_addresses_of_networks_handed_in() {
        let nets = ["203.0.113.0/24", "198.51.100.8/30", "192.0.2.1/32", "192.0.2.2/31"].map(|n| n.parse().unwrap());
        let nets = LocalNets::new(nets);
        for (address, group) in [
            ("224.0.0.1", true),
            ("239.255.255.255", true),
            ("240.0.0.1", false),
            ("255.255.255.255", true),
            ("255.255.255.254", false),
            ("ff02::fb", true),
            ("ff0e::1", true),
            ("fe80::1", false),
            ("::ffff:224.0.0.251", true),
            ("203.0.113.255", true),
            ("203.0.113.0", false),
            ("203.0.112.255", false),
            ("198.51.100.11", true),
            ("192.0.2.1", false),
            ("192.0.2.3", false),
        ] {
            assert_eq!(nets.is_group(address.parse().unwrap()), group, "{address}");
        }
    }

    #[test]
    fn networks_handed_in_are_local_too() {
        let nets = LocalNets::new(["198.18.0.11/24".parse().unwrap(), "2001:db8:18::/64".parse().unwrap()]);
        assert!(nets.contains("198.18.0.99".parse().unwrap()));
        assert!(!nets.contains("198.18.1.1".parse().unwrap()));
        assert!(nets.contains("2001:db8:18::5".parse().unwrap()));
        assert_eq!(nets.nets().count(), 2);
    }
}
