//! Which device a client is, for lists: what a report of the same sources says. That follows from
//! all clients, so lines wait until all was read where it matters.

use super::Asked;
use crate::attribution::Called;
use crate::books::{Books, Endpoint};
use crate::config::Devices;
use crate::error::Error;
use crate::question::Filters;
use crate::rollup::{Identities, Roster};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::Flow;
use imon_common::wire::Mac;
use std::net::IpAddr;

/// Most lines that wait: with some 300 bytes each, near 1.2 GB. A home has some ten thousand flows
/// a day.
const MAX_WAITING: usize = 4_194_304;

/// Devices by their clients.
#[derive(Debug, Default)]
pub(super) struct Who {
    /// What a report says of devices: no rows.
    pub(super) books: Books,
    of: HashMap<Endpoint, u32, RandomState>,
    /// Of addresses that one hardware address used.
    of_address: HashMap<IpAddr, Option<u32>, RandomState>,
    /// For each device whether it is asked for; `None` if all are.
    asked: Option<Vec<bool>>,
}

impl Who {
    /// What is known of these clients, with the names that the user gives their devices.
    pub(super) fn of(identities: Identities, known: &Devices, filters: &Filters) -> Self {
        let mut books = Books::default();
        identities.tell(&mut books);
        known.name(&mut books);
        let (mut of, mut of_address) = (HashMap::default(), HashMap::default());
        for (device, address, mac) in &books.device_ends {
            of.insert(Endpoint { address: *address, mac: *mac }, *device);
            if mac.is_some() {
                let one = of_address.entry(*address).or_insert(Some(*device));
                *one = one.filter(|one| one == device);
            }
        }
        Self { asked: filters.devices_of(&books), books, of, of_address }
    }

    /// The device of a client. A client without a hardware address that was met nowhere is the
    /// device that had its address, if there is one.
    pub(super) fn device(&self, address: IpAddr, mac: Option<Mac>) -> Option<usize> {
        let met = self.of.get(&Endpoint { address, mac }).copied();
        let had_it = || self.of_address.get(&address).copied().flatten().filter(|_| mac.is_none());
        met.or_else(had_it).map(|device| device as usize)
    }

    /// Whether what is of this client is asked for.
    pub(super) fn takes(&self, address: IpAddr, mac: Option<Mac>) -> bool {
        let Some(asked) = &self.asked else { return true };
        self.device(address, mac).and_then(|device| asked.get(device)).copied().unwrap_or_default()
    }

    /// The name that the user gives a client's device.
    pub(super) fn given(&self, address: IpAddr, mac: Option<Mac>) -> Option<&str> {
        let given = self.books.given.get(self.device(address, mac)?)?.as_ref()?;
        Some(&given.name)
    }
}

/// Lines on their way to where it is known which devices they are of.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    roster: Roster,
    lines: Vec<T>,
    waits: bool,
    is_full: bool,
}

impl<T> Waiting<T> {
    /// Lines wait where devices are asked for, or have names that the user gives them.
    pub(super) fn new(asked: &Asked<'_>) -> Self {
        Self { roster: Roster::default(), lines: Vec::new(), waits: asked.waits, is_full: false }
    }

    /// A flow was met.
    pub(super) fn meet(&mut self, flow: &Flow) {
        if self.waits {
            self.roster.endpoints.index_of(&Endpoint { address: flow.client, mac: flow.client_mac });
        }
    }

    /// A client called itself by a name.
    pub(super) fn call(&mut self, called: &Called) {
        if self.waits {
            self.roster.call(called);
        }
    }

    /// Lets a line wait; gives it back where none has to.
    pub(super) fn hold(&mut self, line: impl FnOnce() -> T) -> bool {
        let has_room = self.lines.len() < MAX_WAITING;
        self.is_full |= self.waits && !has_room;
        if self.waits && has_room {
            self.lines.push(line());
        }
        self.waits
    }

    /// Everything was read: the lines that waited, and who is who.
    ///
    /// # Errors
    /// There were more lines than wait.
    pub(super) fn over(self, asked: &Asked<'_>) -> Result<(Vec<T>, Who), Error> {
        if self.is_full {
            let way_out = match asked.filters.device_lists().next() {
                Some(_) => "--from and --to, --site, --source and the like ask for fewer",
                None => "--no-config lists them as they come, with hardware addresses",
            };
            return Err(Error::failed("cannot tell which device each line is of")
                .cause(format!("there are more than {MAX_WAITING} lines"))
                .hint(way_out));
        }
        let who = Who::of(self.roster.identities(), asked.parties.known, asked.filters);
        Ok((self.lines, who))
    }
}
