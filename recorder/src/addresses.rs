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
    /// What is recorded, in the order of the ports, each with its networks and own addresses as
    /// last seen.
    recorded: Vec<Recorded>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Recorded {
    /// The interface, by number: a name may come to belong to another. `None` for all of them.
    index: Option<u32>,
    nets: Vec<IpNet>,
    own: Vec<OwnAddress>,
}

impl Recorded {
    fn new(list: &[Interface], index: Option<u32>) -> Self {
        let is_meant = |i: &&Interface| index.is_none_or(|index| i.index == index);
        // Names that this machine asks itself for are not asked for by its loopback addresses,
        // unless only these are recorded.
        let own = list.iter().filter(is_meant).filter(|i| index.is_some() || !i.loopback).flat_map(own_addresses);
        Self { index, nets: connected_nets(list.iter().filter(is_meant)), own: own.collect() }
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
    /// Starts with what `netlink` knows of the interfaces `recorded`. `added`: networks that are
    /// local in any case.
    pub fn new(netlink: Netlink, recorded: &[String], added: Vec<IpNet>) -> Self {
        let list = netlink.interfaces();
        // One that is not there has number 0, which no interface has.
        let number = |name: &String| list.iter().find(|i| i.name == *name).map_or(0, |i| i.index);
        let index = |name: &String| (name != ANY).then(|| number(name));
        let recorded = recorded.iter().map(|name| Recorded::new(list, index(name))).collect();
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

    /// All interfaces as of the last update.
    pub fn interfaces(&self) -> &[Interface] {
        self.netlink.interfaces()
    }

    /// Why two of the recorded interfaces show the same packets by now, if they do.
    pub fn overlap(&self) -> Option<String> {
        let indices: Vec<u32> = self.recorded.iter().filter_map(|r| r.index).collect();
        overlap(&indices, self.netlink.interfaces())
    }

    /// Looks at the addresses again, `captured` being the numbers of the interfaces in the order of
    /// the ports. True if they changed.
    ///
    /// Those of an interface that is down or gone stay in force: they are taken from it and come
    /// back with it, and no packet passes meanwhile.
    pub fn changed(&mut self, captured: &[Option<u32>]) -> bool {
        let list = self.netlink.interfaces();
        let mut changed = false;
        for (recorded, captured) in self.recorded.iter_mut().zip(captured) {
            let index = recorded.index.map(|before| captured.unwrap_or(before));
            let is_running = index.is_none_or(|index| list.iter().any(|i| i.index == index && i.running));
            let now = if is_running { Recorded::new(list, index) } else { Recorded { index, ..recorded.clone() } };
            changed |= (&now.nets, &now.own) != (&recorded.nets, &recorded.own);
            *recorded = now;
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
        let interface = |index, name: &str, loopback, nets: &[&str]| Interface {
            index,
            name: name.into(),
            loopback,
            mac,
            nets: nets.iter().map(|n| n.parse().unwrap()).collect(),
            ..Interface::default()
        };
        let list = [
            interface(1, "lo", true, &["127.0.0.1/8", "::1/128"]),
            interface(2, "eth0", false, &["192.0.2.9/24", "fe80::9/64", "2001:db8::9/64", "169.254.3.4/16"]),
            interface(3, "tun0", false, &["10.8.0.2/24"]),
        ];
        let own = |index| Recorded::new(&list, index).own.iter().map(|o| o.address.to_string()).collect::<Vec<_>>();
        assert_eq!(own(Some(2)), ["192.0.2.9", "2001:db8::9"]);
        assert_eq!(own(None), ["192.0.2.9", "2001:db8::9", "10.8.0.2"]);
        assert_eq!(Recorded::new(&list, Some(2)).own[0].mac, mac);
    }
}
