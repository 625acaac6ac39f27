//! The interfaces and their addresses, and every change of them, through one rtnetlink socket.
//!
//! The socket is opened before the rights are given up. Afterwards it takes `read` and `write` on
//! it and nothing else: the kernel tells of changes by itself, and a list is asked for again only
//! where it says that some were lost.

mod message;
mod stats;

pub use stats::{StatsSocket, Which};

use crate::counters::InterfaceStats;
use crate::error::Error;
use crate::interface::Interface;
use ipnet::IpNet;
use message::{Answer, Request, Said};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect, socket};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Multicast groups: links, IPv4 addresses, IPv6 addresses (<linux/rtnetlink.h>).
const GROUPS: u32 = (libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR) as u32;

/// Room for one read. The kernel gives at most 32 KiB of a list at a time; a longer message would
/// be cut.
const BUFFER_BYTES: usize = 64 << 10;

/// Reads before the caller has its turn again: a storm of changes must not keep it from its
/// packets.
const MAX_READS: usize = 32;

/// Longest wait for the first list, which the kernel has at hand.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shortest time between two lists, where the table changes faster than it can be listed.
const PAUSE: Duration = Duration::from_secs(1);

/// Most interfaces that are kept in mind, and most addresses of each: far beyond any machine, and a
/// bound. A list with the names that there are is read by people; the local networks of a segment
/// have room for 256.
const MAX_INTERFACES: usize = 16_384;
const MAX_ADDRESSES: usize = 1_024;

/// What became of one interface. One of the two is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// As it was; `None` if it is new.
    pub before: Option<Interface>,
    /// As it is; `None` if it is gone.
    pub after: Option<Interface>,
    /// What one that is gone had counted in the end, where the kernel said so.
    pub last: Option<InterfaceStats>,
}

/// The interfaces as the kernel tells of them. Looks at nothing until [`Self::update`] is called.
#[derive(Debug)]
pub struct Netlink {
    socket: File,
    buffer: Vec<u8>,
    table: Table,
    /// The list that is being received, if any.
    listing: Option<Listing>,
    /// Something was lost: the table is to be listed again.
    stale: bool,
    /// Why the last list was not given, as the kernel's error number. The table before stays in
    /// force.
    refused: Option<i32>,
    sequence: u32,
    asked: Instant,
}

/// A list on its way: all links first, then all addresses. What happens meanwhile is noted in it,
/// too.
#[derive(Debug)]
struct Listing {
    request: Request,
    table: Table,
}

/// Interfaces by their number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Table(Vec<Interface>);

impl Netlink {
    /// Opens the socket and learns what there is.
    ///
    /// # Errors
    /// The system has no rtnetlink, or does not answer.
    pub fn open() -> Result<Self, Error> {
        Self::try_open().map_err(Error::Interfaces)
    }

    fn try_open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        // To the kernel, which is 0: nobody else is heard, and `write` needs no address.
        connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        let mut this = Self {
            socket: socket.into(),
            buffer: vec![0; BUFFER_BYTES],
            table: Table::default(),
            listing: None,
            stale: false,
            refused: None,
            sequence: 0,
            asked: Instant::now(),
        };
        this.list()?;
        Ok(this)
    }

    fn list(&mut self) -> io::Result<()> {
        self.ask(Listing { request: Request::Links, table: Table::default() })?;
        let began = Instant::now();
        while self.listing.is_some() {
            let left = PollTimeout::try_from(PATIENCE.saturating_sub(began.elapsed())).unwrap_or(PollTimeout::ZERO);
            match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], left) {
                Ok(0) => return Err(ErrorKind::TimedOut.into()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
            self.try_update()?;
        }
        self.refused.map_or(Ok(()), |error| Err(io::Error::from_raw_os_error(error)))
    }

    /// What to poll: readable when [`Self::update`] has something to do.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// All interfaces as of the last update, in the order of their numbers.
    pub fn interfaces(&self) -> &[Interface] {
        &self.table.0
    }

    /// Takes in what the kernel told since the last call; never waits. Gives every change in the
    /// order in which it happened, so that a link that went down and came up again meanwhile shows
    /// as two.
    ///
    /// # Errors
    /// The socket failed.
    pub fn update(&mut self) -> Result<Vec<Change>, Error> {
        self.try_update().map_err(Error::Interfaces)
    }

    /// Has everything listed once more, and waits for it.
    ///
    /// # Errors
    /// The system does not answer.
    pub fn ask_again(&mut self) -> Result<(), Error> {
        self.list().map_err(Error::Interfaces)
    }

    fn try_update(&mut self) -> io::Result<Vec<Change>> {
        let mut changes = Vec::new();
        for _ in 0..MAX_READS {
            match (&self.socket).read(&mut self.buffer) {
                Ok(0) => break,
                Ok(length) => self.take_in(length, &mut changes)?,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // More was to be told than the socket has room for.
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => self.stale = true,
                Err(e) => return Err(e),
            }
        }
        if self.stale && self.listing.is_none() && self.asked.elapsed() >= PAUSE {
            self.stale = false;
            self.ask(Listing { request: Request::Links, table: Table::default() })?;
        }
        Ok(changes)
    }

    fn take_in(&mut self, length: usize, changes: &mut Vec<Change>) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut answers = Vec::new();
        message::parse(buffer.get(..length).unwrap_or(&buffer), |answer| answers.push(answer));
        self.buffer = buffer;
        answers.into_iter().try_for_each(|answer| self.note(answer, changes))
    }

    fn note(&mut self, (sequence, said): Answer, changes: &mut Vec<Change>) -> io::Result<()> {
        let answers_us = sequence == self.sequence;
        match said {
            Said::Done if answers_us => self.go_on(changes)?,
            Said::Refused(error) if answers_us => {
                (self.listing, self.stale, self.refused) = (None, true, Some(error));
            }
            Said::Unreliable => self.stale = true,
            said => {
                if let Some(listing) = &mut self.listing {
                    listing.table.apply(&said);
                }
                // Of a list only the whole counts: what it shows need not be what happened last.
                if !answers_us {
                    changes.extend(self.table.apply(&said));
                }
            }
        }
        Ok(())
    }

    /// A list is complete: asks for the next one, or puts the new table in the place of the old.
    fn go_on(&mut self, changes: &mut Vec<Change>) -> io::Result<()> {
        match self.listing.take() {
            Some(Listing { request: Request::Links, table }) => {
                self.ask(Listing { request: Request::Addresses, table })
            }
            Some(Listing { request: Request::Addresses | Request::Link(_), table }) => {
                changes.extend(self.table.differences(&table));
                self.table = table;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn ask(&mut self, listing: Listing) -> io::Result<()> {
        // Never 0, which is what the kernel tells by itself.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        (self.asked, self.refused) = (Instant::now(), None);
        self.socket.write_all(&listing.request.message(self.sequence))?;
        self.listing = Some(listing);
        Ok(())
    }
}

impl Table {
    fn place(&self, index: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&index, |i| i.index)
    }

    fn get(&self, index: u32) -> Option<&Interface> {
        self.place(index).ok().and_then(|at| self.0.get(at))
    }

    /// Notes what was said. Gives the change, if it is one.
    fn apply(&mut self, said: &Said) -> Option<Change> {
        match said {
            Said::Link(info) => self.link(info),
            Said::LinkGone(index, last) => {
                let at = self.place(*index).ok()?;
                Some(Change { before: Some(self.0.remove(at)), after: None, last: *last })
            }
            Said::Address(index, net) => self.edit(*index, |interface| {
                let room = interface.nets.len() < MAX_ADDRESSES;
                if room && !interface.nets.contains(net) {
                    interface.nets.push(*net);
                }
            }),
            Said::AddressGone(index, net) => self.edit(*index, |interface| interface.nets.retain(|n| n != net)),
            Said::Done | Said::Unreliable | Said::Refused(_) => None,
        }
    }

    fn link(&mut self, info: &Interface) -> Option<Change> {
        match self.place(info.index) {
            Ok(_) => self.edit(info.index, |i| {
                let nets = std::mem::take(&mut i.nets);
                *i = Interface { nets, ..info.clone() };
            }),
            Err(at) if self.0.len() < MAX_INTERFACES => {
                self.0.insert(at, info.clone());
                Some(Change { before: None, after: Some(info.clone()), last: None })
            }
            Err(_) => None,
        }
    }

    fn edit(&mut self, index: u32, work: impl FnOnce(&mut Interface)) -> Option<Change> {
        let at = self.place(index).ok()?;
        let interface = self.0.get_mut(at)?;
        let before = interface.clone();
        work(interface);
        (before != *interface).then(|| Change { before: Some(before), after: Some(interface.clone()), last: None })
    }

    /// What must have happened for this to become `new`.
    fn differences(&self, new: &Self) -> Vec<Change> {
        let gone = self.0.iter().filter(|i| new.get(i.index).is_none());
        let gone = gone.map(|i| Change { before: Some(i.clone()), after: None, last: None });
        let here = new.0.iter().filter(|i| self.get(i.index).is_none_or(|before| !before.same_as(i)));
        let here = here.map(|i| Change { before: self.get(i.index).cloned(), after: Some(i.clone()), last: None });
        gone.chain(here).collect()
    }
}

impl Interface {
    /// Equal but for the order of the addresses, in which lists and changes need not agree.
    fn same_as(&self, other: &Self) -> bool {
        let sorted = |nets: &[IpNet]| {
            let mut nets = nets.to_vec();
            nets.sort();
            nets
        };
        let bare = |i: &Self| Self { nets: sorted(&i.nets), ..i.clone() };
        bare(self) == bare(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(index: u32, name: &str, up: bool) -> Said {
        Said::Link(Interface { index, name: name.into(), up, running: up, ..Interface::default() })
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn this_machine_has_a_loopback_interface_and_nothing_happens() {
        let mut netlink = Netlink::open().unwrap();
        assert_eq!(netlink.interfaces().iter().filter(|i| i.loopback).count(), 1);
        assert!(netlink.interfaces().is_sorted_by_key(|i| i.index));
        // Other tests make interfaces in namespaces of their own, not in this one.
        netlink.update().unwrap();
        let before = netlink.interfaces().to_vec();
        (netlink.stale, netlink.asked) = (true, Instant::now() - 2 * PAUSE);
        while netlink.stale || netlink.listing.is_some() {
            netlink.update().unwrap();
        }
        assert_eq!(netlink.interfaces(), before);
    }

    #[test]
    fn only_what_changed_is_a_change_and_a_blip_is_two() {
        let mut table = Table::default();
        assert!(table.apply(&info(2, "eth0", true)).unwrap().before.is_none());
        assert_eq!(table.apply(&info(2, "eth0", true)), None);
        assert!(!table.apply(&info(2, "eth0", false)).unwrap().after.unwrap().up);
        assert!(table.apply(&info(2, "eth0", true)).unwrap().after.unwrap().up);
        let address = Said::Address(2, net("192.0.2.1/24"));
        assert_eq!(table.apply(&address).unwrap().after.unwrap().nets, [net("192.0.2.1/24")]);
        assert_eq!(table.apply(&address), None);
        assert_eq!(table.apply(&Said::Address(9, net("192.0.2.1/24"))), None); // nobody's
        assert_eq!(table.apply(&Said::AddressGone(2, net("192.0.2.1/24"))).unwrap().after.unwrap().nets, []);
        assert!(table.apply(&Said::LinkGone(2, None)).unwrap().after.is_none());
        assert_eq!(table.apply(&Said::LinkGone(2, None)), None);
        assert_eq!(table, Table::default());
    }

    #[test]
    fn a_new_list_says_what_was_missed() {
        let (mut old, mut new) = (Table::default(), Table::default());
        for (table, usb_index) in [(&mut old, 2), (&mut new, 3)] {
            table.apply(&info(1, "lo", true));
            table.apply(&info(usb_index, "usb0", true));
        }
        for (first, second) in [("192.0.2.1/24", "2001:db8::1/64"), ("2001:db8::1/64", "192.0.2.1/24")] {
            old.apply(&Said::Address(1, net(first)));
            new.apply(&Said::Address(1, net(second)));
        }
        let changes = old.differences(&new);
        assert_eq!(changes.len(), 2, "{changes:?}");
        assert_eq!(changes[0].before.as_ref().unwrap().index, 2);
        assert_eq!(changes[1].after.as_ref().unwrap().index, 3);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = Table::default();
        for n in 0..20_000 {
            table.apply(&info(n, "x", true));
            table.apply(&Said::Address(0, IpNet::from(std::net::IpAddr::from(n.to_be_bytes()))));
        }
        assert_eq!(table.0.len(), MAX_INTERFACES);
        assert_eq!(table.0[0].nets.len(), MAX_ADDRESSES);
    }
}
