//! The networks of the recorded interface, and when they change.

use crate::clock::Now;
use crate::error::Error;
use crate::interface::{self, ANY};
use imon_common::local::LocalNets;
use ipnet::IpNet;
use std::time::Duration;

/// How often the interface's addresses are looked at. An address that changes seals the segment.
const ADDRESS_CHECK: Duration = Duration::from_secs(3);

/// Looks at the interface's networks from time to time.
pub struct AddressWatch {
    interface: String,
    /// What the user added: first in the list, so that no bound cuts it off.
    added: Vec<IpNet>,
    connected: Vec<IpNet>,
    checked: Option<Now>,
}

impl AddressWatch {
    /// Starts with what `interfaces` says of `name`. `added`: networks that are local in any case.
    pub fn new(interfaces: &[interface::Interface], name: &str, added: Vec<IpNet>) -> Self {
        let connected = interface::connected_nets(interfaces, name);
        Self { interface: name.into(), added, connected, checked: None }
    }

    /// The list as it stands.
    pub fn local(&self) -> LocalNets {
        LocalNets::new(self.added.iter().chain(&self.connected).copied())
    }

    /// The new list if it changed since the last look.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn changed(&mut self, now: Now) -> Result<Option<LocalNets>, Error> {
        let due = self.checked.is_none_or(|last| now.since(last) >= ADDRESS_CHECK);
        if !due {
            return Ok(None);
        }
        self.checked = Some(now);
        // A list that cannot be had just now leaves the old one in force.
        let Ok(interfaces) = interface::list() else {
            return Ok(None);
        };
        if self.interface != ANY && !interfaces.iter().any(|i| i.name == self.interface) {
            return Err(Error::InterfaceGone { interface: self.interface.clone() });
        }
        let connected = interface::connected_nets(&interfaces, &self.interface);
        if connected == self.connected {
            return Ok(None);
        }
        self.connected = connected;
        Ok(Some(self.local()))
    }
}
