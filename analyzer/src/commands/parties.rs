//! The two sides of a flow as lists show them: devices by the names that the user gives them, and
//! numbers for names that are hidden from others.

use super::lines::Value;
use super::mac_text;
use super::who::Who;
use crate::books::{Host, Traffic};
use crate::config::Devices;
use crate::error::shown;
use crate::question::Key;
use crate::report::{Masker, Side};
use crate::site::Sites;
use crate::table::Shape;
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
    /// Whose addresses are.
    pub sites: &'a Sites,
}

/// The columns for whose an address is, where a file tells.
const OWNER: [(&str, Shape); 2] = [("network", Shape::Text), ("country", Shape::Text)];

/// `columns`, and those for whose an address is where a file tells.
pub(super) fn with_owners<'a>(columns: &[(&'a str, Shape)], sites: &Sites) -> Vec<(&'a str, Shape)> {
    columns.iter().copied().chain(OWNER.into_iter().filter(|_| sites.owners().is_some())).collect()
}

impl Parties<'_> {
    /// The name that the user gives a client's device.
    pub fn given(&self, who: &Who, client: IpAddr, mac: Option<Mac>) -> Option<String> {
        let name = who.given(client, mac)?;
        Some(self.masker.own("device", &shown(name)).into_owned())
    }

    /// The device of a client: by its given name, else by its hardware address, else by its
    /// address.
    pub fn device(&self, who: &Who, client: IpAddr, mac: Option<Mac>) -> String {
        let label = || mac.map_or_else(|| client.to_string(), mac_text);
        self.given(who, client, mac).unwrap_or_else(|| self.masker.own("device", &label()).into_owned())
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

    /// The values for whose an address is, if there are such columns; nothing is said of addresses
    /// of ours that are hidden.
    pub fn owner(&self, address: Option<IpAddr>) -> Vec<Value> {
        if self.sites.owners().is_none() {
            return Vec::new();
        }
        let is_hidden = |address: &IpAddr| self.masker.what().is_some() && self.local.contains(*address);
        let address = address.filter(|address| !is_hidden(address));
        let owner = address.and_then(|address| self.sites.owner(&Host::Address(address))).unwrap_or_default();
        let text = |key, text: Option<String>| {
            text.map_or(Value::Null, |text| Value::Text(self.masker.key(key, &text).into_owned()))
        };
        vec![text(Key::Network, owner.network), text(Key::Country, owner.country)]
    }

    /// A name of the other side.
    pub fn name(&self, name: impl ToString) -> String {
        self.masker.host("host", &name.to_string()).into_owned()
    }
}
