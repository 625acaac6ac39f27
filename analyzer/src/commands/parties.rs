//! The two sides of a flow as lists show them: devices by the names that the user gives them, and
//! numbers for names that are hidden from others.

use super::mac_text;
use crate::books::{Host, Traffic};
use crate::config::Devices;
use crate::error::shown;
use crate::question::Key;
use crate::report::{Masker, Side};
use imon_common::local::LocalNets;
use imon_common::wire::Mac;
use std::net::IpAddr;

/// Shows them.
#[derive(Debug)]
pub(super) struct Parties<'a> {
    /// Devices that the user has named.
    pub known: &'a Devices,
    /// Addresses of our side, as far as networks tell.
    pub local: &'a LocalNets,
    /// Gives numbers.
    pub masker: &'a Masker,
}

impl Parties<'_> {
    /// The name that the user gives a client's device.
    pub fn given(&self, client: IpAddr, mac: Option<Mac>) -> Option<String> {
        let device = self.known.of(client, mac)?;
        Some(self.masker.own("device", &shown(&device.name)).into_owned())
    }

    /// The device of a client: by its given name, else by its hardware address, else by its address.
    pub fn device(&self, client: IpAddr, mac: Option<Mac>) -> String {
        let label = || mac.map_or_else(|| client.to_string(), mac_text);
        self.given(client, mac).unwrap_or_else(|| self.masker.own("device", &label()).into_owned())
    }

    /// The address of a client.
    pub fn client(&self, address: IpAddr) -> String {
        self.masker.address(Side::Ours, &address.to_string()).into_owned()
    }

    /// An address that is a client's or a server's.
    pub fn address(&self, address: IpAddr) -> String {
        let side = if self.local.contains(address) { Side::Ours } else { Side::Theirs };
        self.masker.address(side, &address.to_string()).into_owned()
    }

    /// The address of a server.
    pub fn server(&self, traffic: Traffic, address: IpAddr) -> String {
        match traffic {
            Traffic::Local => self.client(address),
            Traffic::Visited | Traffic::Served | Traffic::Transit => self.address(address),
        }
    }

    /// What bytes are booked on: `text` is the host itself, its site or its family, as `what` says.
    pub fn host(&self, traffic: Traffic, host: &Host, (what, text): (&'static str, String)) -> String {
        match (host, traffic) {
            (Host::Address(address), _) => self.server(traffic, *address),
            (Host::Service(_), _) => self.masker.key(Key::Served, &text).into_owned(),
            // It names a service of ours.
            (Host::Name(_), Traffic::Local | Traffic::Served) => self.masker.own(what, &text).into_owned(),
            (Host::Name(_), Traffic::Visited | Traffic::Transit) => self.masker.host(what, &text).into_owned(),
        }
    }

    /// A name of the other side.
    pub fn name(&self, name: impl ToString) -> String {
        self.masker.host("host", &name.to_string()).into_owned()
    }
}
