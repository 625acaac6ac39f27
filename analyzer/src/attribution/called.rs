//! What devices call themselves.

use imon_common::flow::Flow;
use imon_common::names::{Name, NameKind, NameSeen};
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use std::net::IpAddr;

/// A device told its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The address that it sent from; unspecified while it had none.
    pub address: IpAddr,
    /// Its hardware address, where the link shows one.
    pub mac: Option<Mac>,
    /// How it told.
    pub kind: NameKind,
    /// The name, as received.
    pub name: Name,
    /// When.
    pub ts: UnixNanos,
}

/// The name that an observation gives to the client of its flow.
///
/// By DHCP a device names itself. A multicast DNS answer counts only if the device itself sent it
/// and gives its own address for a host of the link (`phone.local`): what a device says about
/// others does not name them. LLMNR answers come from a flow's server, whose hardware address is
/// not recorded, and do not count.
pub fn called(flow: &Flow, seen: &NameSeen) -> Option<Called> {
    let is_own = match seen.kind {
        NameKind::Dhcp => !seen.asker_is_server,
        NameKind::Mdns => seen.asker_is_server && is_link_host(&seen.name) && is_about(seen, flow.client),
        _ => false,
    };
    let (address, mac, kind) = (flow.client, flow.client_mac, seen.kind);
    let is_someone = mac.is_some() || !address.is_unspecified();
    (is_own && is_someone).then(|| Called { address, mac, kind, name: seen.name.clone(), ts: seen.ts })
}

fn is_about(seen: &NameSeen, address: IpAddr) -> bool {
    seen.addresses.iter().any(|answer| answer.address == address)
}

/// One label below `local` (RFC 6762 section 3); services have more.
fn is_link_host(name: &Name) -> bool {
    name.as_str().strip_suffix(".local").is_some_and(|host| !host.is_empty() && !host.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::flow::Scope;
    use imon_common::names::{AnswerAddress, RecordKind};

    fn flow(client: &str) -> Flow {
        Flow {
            number: 1,
            client: client.parse().unwrap(),
            server: "224.0.0.251".parse().unwrap(),
            client_port: 5_353,
            server_port: 5_353,
            proto: 17,
            scope: Scope::Local,
            begin_seen: true,
            opened: imon_common::flow::Opener::Client,
            interface: 0,
            vlan: None,
            client_mac: Some(Mac([2, 0, 0, 0, 0, 1])),
            start: UnixNanos(0),
            name: None,
        }
    }

    fn seen(kind: NameKind, name: &str, address: &str) -> NameSeen {
        let addresses = vec![AnswerAddress { address: address.parse().unwrap(), ttl_s: 120, record: RecordKind::A }];
        let (name, asker_is_server) = (Name::from_host(name.as_bytes()).unwrap(), kind == NameKind::Mdns);
        NameSeen { ts: UnixNanos(5), kind, name, chain: Vec::new(), addresses, asker_is_server, relayed: false }
    }

    #[test]
    fn a_device_names_itself_and_nobody_else() {
        let own = called(&flow("192.168.0.5"), &seen(NameKind::Mdns, "phone.local", "192.168.0.5")).unwrap();
        assert_eq!((own.name.as_str(), own.address.to_string()), ("phone.local", "192.168.0.5".to_owned()));
        assert_eq!(called(&flow("192.168.0.5"), &seen(NameKind::Mdns, "phone.local", "192.168.0.6")), None);
        let heard = NameSeen { asker_is_server: false, ..seen(NameKind::Mdns, "phone.local", "192.168.0.5") };
        assert_eq!(called(&flow("192.168.0.5"), &heard), None, "an answer that it got");
    }

    #[test]
    fn services_and_names_beyond_the_link_are_no_device_names() {
        for name in ["_ipp._tcp.local", "phone.example.org", "local", "a.phone.local"] {
            assert_eq!(called(&flow("192.168.0.5"), &seen(NameKind::Mdns, name, "192.168.0.5")), None, "{name}");
        }
        for kind in [NameKind::Dns, NameKind::Llmnr, NameKind::Sni] {
            assert_eq!(called(&flow("192.168.0.5"), &seen(kind, "phone.local", "192.168.0.5")), None, "{kind:?}");
        }
    }

    #[test]
    fn who_has_no_address_yet_is_known_by_hardware() {
        let claim = seen(NameKind::Dhcp, "phone", "192.168.0.5");
        assert!(called(&flow("0.0.0.0"), &claim).is_some());
        assert_eq!(called(&Flow { client_mac: None, ..flow("0.0.0.0") }, &claim), None);
    }
}
