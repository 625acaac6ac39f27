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
use imon_common::names::NameSeen;
use imon_common::wire::Mac;
use std::net::IpAddr;

/// Most lines that wait: flows with some 300 bytes each, near 1.2 GB. A home has some ten thousand
/// flows a day.
const MAX_WAITING: usize = 4_194_304;

/// Who asked for a name. The hardware address is that of the flow's client.
pub(super) fn asker(flow: &Flow, seen: &NameSeen) -> (IpAddr, Option<Mac>) {
    if seen.asker_is_server { (flow.server, None) } else { (flow.client, flow.client_mac) }
}

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
    held: Vec<T>,
    /// How many lines they are.
    lines: usize,
    /// What there was no room for.
    too_many: Option<&'static str>,
}

impl<T> Waiting<T> {
    /// `None` where it is known before which device each client is.
    pub(super) fn new(asked: &Asked<'_>) -> Option<Self> {
        asked.who.is_none().then(|| Self { roster: Roster::default(), held: Vec::new(), lines: 0, too_many: None })
    }

    /// A flow was met.
    pub(super) fn meet(&mut self, flow: &Flow) {
        if !self.roster.meet(flow) {
            self.too_many = Some("clients");
        }
    }

    /// A client called itself by a name.
    pub(super) fn call(&mut self, called: &Called) {
        self.roster.call(called);
    }

    /// Lets what becomes so many lines wait.
    pub(super) fn hold(&mut self, lines: usize, held: impl FnOnce() -> T) {
        self.lines = self.lines.saturating_add(lines);
        match self.lines <= MAX_WAITING {
            true => self.held.push(held()),
            false => self.too_many = Some("lines"),
        }
    }

    /// Everything was read: what waited, and who is who.
    ///
    /// # Errors
    /// There were more lines than wait, or more clients than are told apart.
    pub(super) fn over(self, asked: &Asked<'_>) -> Result<(Vec<T>, Who), Error> {
        if let Some(of) = self.too_many {
            let way_out = match asked.filters.device_lists().next() {
                Some(_) => "--from and --to, --site, --source and the like ask for fewer",
                None => "--no-config lists them as they come, with hardware addresses",
            };
            return Err(Error::failed("cannot tell which device each line is of")
                .cause(format!("there are too many {of}"))
                .hint(way_out));
        }
        let who = Who::of(self.roster.identities(), asked.parties.known, asked.filters);
        Ok((self.held, who))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_wait_have_a_bound() {
        let mut waiting = Waiting { roster: Roster::default(), held: vec![1], lines: MAX_WAITING - 3, too_many: None };
        waiting.hold(3, || 2);
        assert_eq!((waiting.held.as_slice(), waiting.too_many), (&[1, 2][..], None));
        waiting.hold(1, || 3);
        assert_eq!((waiting.held.as_slice(), waiting.too_many), (&[1, 2][..], Some("lines")));
    }
}
