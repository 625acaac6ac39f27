//! Which clients are one device, and what it is called.

use super::Interner;
use super::device_names::device_names;
use crate::attribution::{MAX_ADDRESSES_OF_A_DEVICE, network_of};
use crate::books::{Books, Endpoint};
use imon_common::names::{Name, NameKind};
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use imon_common::work;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Clients, which of them are one device, and what each device is called. Reports, lists and the
/// live view ask this and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// Every client as it was seen.
    pub endpoints: Vec<Endpoint>,
    /// Index of the device of each.
    pub device_of: Vec<u32>,
    /// What devices are called: an address each.
    pub labels: Vec<String>,
    /// What they call themselves, where one of them can be told.
    pub names: Vec<Option<Name>>,
}

impl Identities {
    /// Those of `endpoints`. `called`: endpoints, how they told their names, and when last.
    pub fn of<'a>(
        endpoints: Vec<Endpoint>,
        called: impl Iterator<Item = (Endpoint, NameKind, &'a Name, UnixNanos)>,
    ) -> Self {
        let (labels, device_of) = devices(&endpoints);
        let names = device_names(&endpoints, &device_of, called);
        Self { endpoints, device_of, labels, names }
    }

    /// Tells books what they say of devices: all but what the user calls them.
    pub fn tell(self, books: &mut Books) {
        let ends = self.endpoints.iter().zip(&self.device_of);
        books.device_ends = ends.map(|(end, device)| (*device, end.address, end.mac)).collect();
        books.devices = self.labels;
        books.device_names = self.names;
    }
}

/// Which endpoints are one device: those with one hardware address, unless it stands for many
/// addresses. Gives labels, and the index of the label for each endpoint. A device is called by its
/// lowest address, IPv4 first; by one that every device may have (none yet, link-local), or that
/// another hardware address used as well, only if it has no other.
pub(super) fn devices(endpoints: &[Endpoint]) -> (Vec<String>, Vec<u32>) {
    let mut of_mac: BTreeMap<Mac, Vec<IpAddr>> = BTreeMap::new();
    let mut users: BTreeMap<IpAddr, BTreeSet<Mac>> = BTreeMap::new();
    for endpoint in endpoints {
        if let Some(mac) = endpoint.mac {
            of_mac.entry(mac).or_default().push(endpoint.address);
        }
        users.entry(endpoint.address).or_default().extend(endpoint.mac);
    }
    let is_shared = |address: &IpAddr| users.get(address).is_some_and(|macs| macs.len() > 1);
    // Once for each hardware address, not for each endpoint: a router stands for thousands of
    // addresses.
    let label_of = |(mac, addresses): (Mac, Vec<IpAddr>)| {
        work::steps(addresses.len());
        let lowest = addresses.iter().copied().min_by_key(|a| (is_anyones(*a), is_shared(a), *a));
        lowest.filter(|_| is_one_device(&addresses)).map(|label| (mac, label))
    };
    let label_of_mac: BTreeMap<Mac, IpAddr> = of_mac.into_iter().filter_map(label_of).collect();
    let mut labels: Interner<IpAddr> = Interner::default();
    let device_of = endpoints
        .iter()
        .map(|endpoint| {
            work::step();
            let own = endpoint.mac.and_then(|mac| label_of_mac.get(&mac).copied());
            labels.index_of(&own.unwrap_or(endpoint.address))
        })
        .collect();
    (labels.values().iter().map(IpAddr::to_string).collect(), device_of)
}

/// Whether an address is in use in every network: unspecified or link-local.
fn is_anyones(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_unspecified() || a.is_link_local(),
        IpAddr::V6(a) => a.is_unspecified() || a.is_unicast_link_local(),
    }
}

fn is_one_device(addresses: &[IpAddr]) -> bool {
    // Every interface has a link-local address beside its others, and none at first.
    let networks: BTreeSet<IpAddr> = addresses.iter().filter(|a| !is_anyones(**a)).map(|a| network_of(*a)).collect();
    let v4 = networks.iter().filter(|a| a.is_ipv4()).count();
    v4 <= MAX_ADDRESSES_OF_A_DEVICE && networks.len() - v4 <= MAX_ADDRESSES_OF_A_DEVICE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(address: &str, mac: Option<u8>) -> Endpoint {
        Endpoint { address: address.parse().unwrap(), mac: mac.map(|m| Mac([2, 0, 0, 0, 0, m])) }
    }

    #[test]
    fn the_addresses_of_one_card_are_one_device_and_a_router_is_none() {
        let mut ends = vec![
            endpoint("2001:db8::5", Some(1)),
            endpoint("192.0.2.5", Some(1)),
            endpoint("fe80::5", Some(1)),
            endpoint("192.0.2.9", None),
        ];
        ends.extend((10..20).map(|i| endpoint(&format!("198.51.100.{i}"), Some(7))));
        let (labels, device_of) = devices(&ends);
        assert_eq!(labels[device_of[0] as usize], "192.0.2.5");
        assert_eq!(device_of[0], device_of[1]);
        assert_eq!(device_of[0], device_of[2]);
        assert_eq!(labels[device_of[3] as usize], "192.0.2.9");
        assert_eq!(labels.len(), 12);
    }
}
