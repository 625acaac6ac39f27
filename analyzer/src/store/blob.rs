//! Addresses as bytes.

use crate::attribution::{Asker, ServicePort};
use crate::books::Service;
use imon_common::wire::Mac;
use std::net::IpAddr;

pub(super) fn of_address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

pub(super) fn to_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// Protocol, port (two bytes, big endian), address.
pub(super) fn of_service(service: Service) -> Vec<u8> {
    let Service { address, port, proto } = service;
    [vec![proto], port.to_be_bytes().to_vec(), of_address(address)].concat()
}

pub(super) fn to_service(bytes: &[u8]) -> Option<Service> {
    let ([proto, high, low], address) = bytes.split_first_chunk::<3>()?;
    Some(Service { address: to_address(address)?, port: u16::from_be_bytes([*high, *low]), proto: *proto })
}

pub(super) fn of_mac(mac: Option<Mac>) -> Vec<u8> {
    mac.map(|m| m.0.to_vec()).unwrap_or_default()
}

pub(super) fn to_mac(bytes: &[u8]) -> Option<Mac> {
    <[u8; 6]>::try_from(bytes).map(Mac).ok()
}

pub(super) fn of_asker(asker: Asker) -> Vec<u8> {
    match asker {
        Asker::Address(address) => of_address(address),
        Asker::Mac(mac) => mac.0.to_vec(),
        // One byte more than an address tells the two apart.
        Asker::Unasked(address) => [vec![0], of_address(address)].concat(),
        // Three bytes: no address has as many.
        Asker::Flow(ServicePort { proto, port }) => [vec![proto], port.to_be_bytes().to_vec()].concat(),
        Asker::Split => vec![1],
    }
}

pub(super) fn to_asker(bytes: &[u8]) -> Option<Asker> {
    match *bytes {
        // Written by a version that did not keep the service: nearly all names inside flows are of
        // the web.
        [] => return Some(Asker::Flow(ServicePort::WEB)),
        [proto, high, low] => return Some(Asker::Flow(ServicePort { proto, port: u16::from_be_bytes([high, low]) })),
        _ => {}
    }
    match bytes.len() {
        1 => Some(Asker::Split),
        6 => to_mac(bytes).map(Asker::Mac),
        5 | 17 => bytes.get(1..).and_then(to_address).map(Asker::Unasked),
        _ => to_address(bytes).map(Asker::Address),
    }
}
