//! Which name a device is shown with.
//!
//! Names attach to endpoints (an address and a hardware address), as devices do: what is sent from
//! another hardware address cannot rename a device, whatever address it borrows.

use crate::books::Endpoint;
use imon_common::names::{Name, NameKind};
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// The best name of each device, by the device's index. `device_of`: the device of each of
/// `endpoints`; `called`: endpoints, how they told their names, and when last.
///
/// A device whose address was used by several hardware addresses has none: it may be several
/// devices, one after the other, or one that plays another. Names by DHCP come before those by
/// multicast DNS, which some systems make up; then the latest counts.
pub(super) fn device_names<'a>(
    endpoints: &[Endpoint],
    device_of: &[u32],
    called: impl Iterator<Item = (Endpoint, NameKind, &'a Name, UnixNanos)>,
) -> Vec<Option<Name>> {
    let devices = device_of.iter().max().map_or(0, |last| *last as usize + 1);
    let mut macs: Vec<BTreeSet<Mac>> = vec![BTreeSet::new(); devices];
    let mut index: HashMap<Endpoint, u32> = HashMap::new();
    for (endpoint, device) in endpoints.iter().zip(device_of) {
        index.insert(*endpoint, *device);
        if let (Some(macs), Some(mac)) = (macs.get_mut(*device as usize), endpoint.mac) {
            macs.insert(mac);
        }
    }
    let mut best: Vec<Option<(bool, UnixNanos, Reverse<&Name>)>> = vec![None; devices];
    for (endpoint, kind, name, ts) in called {
        let device = index.get(&endpoint).map(|device| *device as usize);
        let one = device.is_some_and(|device| macs.get(device).is_some_and(|macs| macs.len() <= 1));
        if let Some(place) = device.filter(|_| one).and_then(|device| best.get_mut(device)) {
            *place = (*place).max(Some((kind == NameKind::Dhcp, ts, Reverse(name))));
        }
    }
    best.into_iter().map(|found| found.map(|(_, _, Reverse(name))| name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::devices::devices;

    const ANN: Option<Mac> = Some(Mac([2, 0, 0, 0, 0, 1]));
    const EVE: Option<Mac> = Some(Mac([2, 0, 0, 0, 0, 9]));

    fn endpoint(address: &str, mac: Option<Mac>) -> Endpoint {
        Endpoint { address: address.parse().unwrap(), mac }
    }

    /// Each device with its name.
    fn labelled(endpoints: &[Endpoint], called: &[(Endpoint, NameKind, &str, i64)]) -> Vec<(String, Option<String>)> {
        let (labels, device_of) = devices(endpoints);
        let names: Vec<Name> = called.iter().map(|(_, _, name, _)| Name::from_host(name.as_bytes()).unwrap()).collect();
        let called = called.iter().zip(&names).map(|((e, kind, _, ts), name)| (*e, *kind, name, UnixNanos(*ts)));
        let names = device_names(endpoints, &device_of, called);
        labels.into_iter().zip(names.into_iter().map(|name| name.map(|name| name.to_string()))).collect()
    }

    #[test]
    fn a_name_given_before_the_address_is_the_devices() {
        let all = [endpoint("0.0.0.0", ANN), endpoint("192.168.0.5", ANN), endpoint("fe80::5", ANN)];
        let called = [(all[0], NameKind::Dhcp, "ann", 1), (all[1], NameKind::Mdns, "android-2f.local", 9)];
        assert_eq!(labelled(&all, &called), [("192.168.0.5".to_owned(), Some("ann".to_owned()))]);
        let later = [(all[0], NameKind::Dhcp, "ann", 1), (all[0], NameKind::Dhcp, "anns-new-name", 2)];
        assert_eq!(labelled(&all, &later)[0].1.as_deref(), Some("anns-new-name"));
    }

    #[test]
    fn another_hardware_address_cannot_rename_a_device() {
        let all = [endpoint("192.168.0.5", ANN), endpoint("192.168.0.9", EVE), endpoint("192.168.0.5", EVE)];
        let called = [(all[0], NameKind::Mdns, "ann.local", 1), (all[2], NameKind::Dhcp, "bank", 2)];
        let two = |ann: Option<&str>| {
            let name = |name: Option<&str>| name.map(str::to_owned);
            [("192.168.0.5".to_owned(), name(ann)), ("192.168.0.9".to_owned(), name(Some("bank")))]
        };
        assert_eq!(labelled(&all, &called), two(Some("ann.local")), "it names itself");
        assert_eq!(labelled(&all, &called[1..]), two(None));
        // One that has no other address cannot be told apart.
        let all = [all[0], all[2]];
        assert_eq!(
            labelled(&all, &[called[0], (all[1], NameKind::Dhcp, "bank", 2)]),
            [("192.168.0.5".to_owned(), None)]
        );
    }

    #[test]
    fn two_devices_of_one_name_stay_two() {
        let all = [endpoint("192.168.0.5", ANN), endpoint("192.168.0.6", EVE), endpoint("192.168.0.7", None)];
        let called = [(all[0], NameKind::Dhcp, "tv", 1), (all[1], NameKind::Dhcp, "tv", 1)];
        let tv = || Some("tv".to_owned());
        let expect = [("192.168.0.5", tv()), ("192.168.0.6", tv()), ("192.168.0.7", None)];
        assert_eq!(labelled(&all, &called), expect.map(|(address, name)| (address.to_owned(), name)));
    }
}
