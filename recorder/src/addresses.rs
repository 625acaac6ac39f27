//! The addresses and networks of the recorded interfaces, and when they change.

use crate::error::Error;
use crate::interface::{ANY, Interface, connected_nets};
use crate::netlink::{Change, Netlink};
use crate::selection::overlap;
use imon_common::local::LocalNets;
use imon_common::observe::OwnAddress;
use ipnet::IpNet;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

/// Keeps the interfaces' addresses in mind and hears of their changes.
#[derive(Debug)]
pub struct AddressWatch {
    netlink: Netlink,
    /// What the user added: first in the list, so that no bound cuts it off.
    added: Vec<IpNet>,
    /// What is recorded, by name, each with its networks and own addresses as last seen.
    recorded: Vec<Recorded>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Recorded {
    name: String,
    nets: Vec<IpNet>,
    own: Vec<OwnAddress>,
}

impl Recorded {
    fn new(list: &[Interface], name: &str) -> Self {
        let interfaces = list.iter().filter(|i| (name == ANY && !i.loopback) || i.name == name);
        Self { name: name.into(), nets: connected_nets(list, name), own: interfaces.flat_map(own_addresses).collect() }
    }
}

/// Addresses by which programs on this machine reach others beyond the link.
fn own_addresses(interface: &Interface) -> impl Iterator<Item = OwnAddress> {
    let is_link_local = |address: &IpAddr| match address {
        IpAddr::V4(a) => a.is_link_local(),
        IpAddr::V6(a) => a.is_unicast_link_local(),
    };
    let addresses = interface.nets.iter().map(IpNet::addr).filter(move |a| !is_link_local(a));
    addresses.map(|address| OwnAddress { address, mac: interface.mac })
}

impl AddressWatch {
    /// Starts with what `netlink` knows of the interfaces `recorded`. `added`: networks that are local in any case.
    pub fn new(netlink: Netlink, recorded: &[String], added: Vec<IpNet>) -> Self {
        let recorded = recorded.iter().map(|name| Recorded::new(netlink.interfaces(), name)).collect();
        Self { netlink, added, recorded }
    }

    /// The local networks as they stand.
    pub fn local(&self) -> LocalNets {
        LocalNets::new(self.added.iter().chain(self.recorded.iter().flat_map(|r| &r.nets)).copied())
    }

    /// The addresses of this machine on the recorded interfaces.
    pub fn own(&self) -> Vec<OwnAddress> {
        self.recorded.iter().flat_map(|r| r.own.iter().copied()).collect()
    }

    /// What to poll: readable when [`Self::update`] may have news.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }

    /// What happened to interfaces since the last call, in order.
    ///
    /// # Errors
    /// The kernel's news failed.
    pub fn update(&mut self) -> Result<Vec<Change>, Error> {
        self.netlink.update()
    }

    /// Why two of the recorded interfaces show the same packets by now, if they do.
    pub fn overlap(&self) -> Option<String> {
        let names: Vec<String> = self.recorded.iter().map(|r| r.name.clone()).collect();
        overlap(&names, self.netlink.interfaces())
    }

    /// Looks at the addresses again. True if they changed.
    ///
    /// Those of an interface that is down or gone stay in force: they are taken from it and come back with it, and no
    /// packet passes meanwhile.
    pub fn changed(&mut self) -> bool {
        let list = self.netlink.interfaces();
        let mut changed = false;
        for recorded in &mut self.recorded {
            let is_running = list.iter().any(|i| i.name == recorded.name && i.running);
            if is_running || recorded.name == ANY {
                let now = Recorded::new(list, &recorded.name);
                changed |= now != *recorded;
                *recorded = now;
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::wire::Mac;

    #[test]
    fn the_machine_is_known_by_its_addresses_but_not_by_those_of_the_link() {
        let mac = Some(Mac([2, 0, 0, 0, 0, 1]));
        let interface = |name: &str, loopback, nets: &[&str]| Interface {
            name: name.into(),
            loopback,
            mac,
            nets: nets.iter().map(|n| n.parse().unwrap()).collect(),
            ..Interface::default()
        };
        let list = [
            interface("lo", true, &["127.0.0.1/8", "::1/128"]),
            interface("eth0", false, &["192.0.2.9/24", "fe80::9/64", "2001:db8::9/64", "169.254.3.4/16"]),
            interface("tun0", false, &["10.8.0.2/24"]),
        ];
        let own = |name| Recorded::new(&list, name).own.iter().map(|o| o.address.to_string()).collect::<Vec<_>>();
        assert_eq!(own("eth0"), ["192.0.2.9", "2001:db8::9"]);
        assert_eq!(own(ANY), ["192.0.2.9", "2001:db8::9", "10.8.0.2"]);
        assert_eq!(Recorded::new(&list, "eth0").own[0].mac, mac);
    }
}
