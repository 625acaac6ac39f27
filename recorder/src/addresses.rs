//! The networks of the recorded interface, and when they change.

use crate::error::Error;
use crate::interface::{self, ANY};
use crate::netlink::Netlink;
use imon_common::local::LocalNets;
use ipnet::IpNet;
use std::os::fd::BorrowedFd;

/// Keeps the interface's networks in mind and hears of their changes.
#[derive(Debug)]
pub struct AddressWatch {
    netlink: Netlink,
    interface: String,
    /// What the user added: first in the list, so that no bound cuts it off.
    added: Vec<IpNet>,
    connected: Vec<IpNet>,
}

impl AddressWatch {
    /// Starts with what `netlink` knows of `interface`. `added`: networks that are local in any case.
    pub fn new(netlink: Netlink, interface: &str, added: Vec<IpNet>) -> Self {
        let connected = interface::connected_nets(netlink.interfaces(), interface);
        Self { netlink, interface: interface.into(), added, connected }
    }

    /// The list as it stands.
    pub fn local(&self) -> LocalNets {
        LocalNets::new(self.added.iter().chain(&self.connected).copied())
    }

    /// What to poll: readable when [`Self::changed`] may have news.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.netlink.as_fd()
    }

    /// The new list if it changed since the last look. An address that changes seals the segment.
    ///
    /// # Errors
    /// The interface is gone, or the kernel's news failed.
    pub fn changed(&mut self) -> Result<Option<LocalNets>, Error> {
        if self.netlink.update()?.is_empty() {
            return Ok(None);
        }
        if self.interface != ANY && self.netlink.find(&self.interface).is_none() {
            return Err(Error::InterfaceGone { interface: self.interface.clone() });
        }
        let connected = interface::connected_nets(self.netlink.interfaces(), &self.interface);
        if connected == self.connected {
            return Ok(None);
        }
        self.connected = connected;
        Ok(Some(self.local()))
    }
}
