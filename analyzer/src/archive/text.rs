//! Hosts as texts, and back; identities from their texts.

use crate::books::{Host, Service, protocol};
use crate::table::units::from_hex;
use imon_common::names::Name;
use std::net::{IpAddr, SocketAddr};

/// A host: its name, its address, or `address:port/protocol` of a service of our own.
pub(super) fn of_host(host: &Host) -> String {
    match host {
        Host::Name(name) => name.as_str().to_owned(),
        Host::Address(address) => address.to_string(),
        Host::Service(Service { address, port, proto }) => {
            format!("{}/{}", SocketAddr::new(*address, *port), protocol(*proto))
        }
    }
}

/// See [`of_host`]; `named`: it is a name.
pub(super) fn to_host(text: &str, named: bool) -> Option<Host> {
    if named {
        return Name::from_presentation(text).map(Host::Name);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Host::Address(address));
    }
    let (end, proto) = text.rsplit_once('/')?;
    let end: SocketAddr = end.parse().ok()?;
    Some(Host::Service(Service { address: end.ip(), port: end.port(), proto: to_protocol(proto)? }))
}

/// The number of a protocol by its name, as [`protocol`] gives it.
fn to_protocol(text: &str) -> Option<u8> {
    match text {
        "icmp" => Some(1),
        "tcp" => Some(6),
        "udp" => Some(17),
        "icmpv6" => Some(58),
        other => other.strip_prefix("ip")?.parse().ok(),
    }
}

/// Bytes of an identity as a UUID is written.
pub(super) fn to_uuid(text: &str) -> Option<[u8; 16]> {
    from_hex(&text.replace('-', ""))?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_comes_back() {
        let name = |text: &[u8]| Host::Name(Name::from_host(text).unwrap());
        let service =
            |address: &str, port, proto| Host::Service(Service { address: address.parse().unwrap(), port, proto });
        for host in [
            name(b"www.example.org"),
            Host::Name(Name::from_presentation("(other-names)").unwrap()),
            Host::Name(Name::from_presentation("1.2.3.4").unwrap()),
            Host::Address("203.0.113.9".parse().unwrap()),
            Host::Address("2001:db8::1".parse().unwrap()),
            Host::Address("0.0.0.0".parse().unwrap()),
            service("192.0.2.1", 443, 6),
            service("2001:db8::1", 0, 58),
            service("192.0.2.1", 0, 47),
            service("192.0.2.1", 53, 17),
        ] {
            let named = matches!(host, Host::Name(_));
            assert_eq!(to_host(&of_host(&host), named), Some(host));
        }
        assert_eq!((to_host("no address", false), to_host("1.2.3.4/tcp", false)), (None, None));
    }

    #[test]
    fn identities_come_back() {
        let id = [7; 16];
        assert_eq!(to_uuid(&crate::table::units::uuid(id)), Some(id));
        assert_eq!((to_uuid("07"), to_uuid("")), (None, None));
    }
}
