//! Clients as they were met, and what they call themselves: which of them are one device follows
//! from all of them.

use super::{Identities, Interner};
use crate::attribution::Called;
use crate::books::Endpoint;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::Flow;
use imon_common::names::{Name, NameKind};
use imon_common::time::UnixNanos;

/// Names of clients kept. A network of some hundreds of devices has as many; one that makes names
/// up gets no more memory than this.
const MAX_CALLED: usize = 16_384;

/// Clients that are told apart of what is read as it comes: addresses are made up by the million
/// where somebody wants to, and a network of some hundreds of devices has some thousands.
const MAX_MET: usize = 1_048_576;

/// Clients, and what they call themselves.
#[derive(Debug, Default)]
pub struct Roster {
    /// Clients by index.
    pub endpoints: Interner<Endpoint>,
    /// What they called themselves, how, and when last.
    pub called: HashMap<(Endpoint, NameKind, Name), UnixNanos, RandomState>,
}

impl Roster {
    /// The client of a flow was met. `false`: there is no room for one more.
    pub fn meet(&mut self, flow: &Flow) -> bool {
        self.meet_of(MAX_MET, flow)
    }

    fn meet_of(&mut self, most: usize, flow: &Flow) -> bool {
        let end = Endpoint { address: flow.client, mac: flow.client_mac };
        let has_room = self.endpoints.values().len() < most || self.endpoints.contains(&end);
        if has_room {
            self.endpoints.index_of(&end);
        }
        has_room
    }

    /// A client called itself by a name.
    pub fn call(&mut self, called: &Called) {
        let Called { address, mac, kind, name, ts } = called.clone();
        let key = (Endpoint { address, mac }, kind, name);
        if self.called.len() < MAX_CALLED || self.called.contains_key(&key) {
            let last = self.called.entry(key).or_insert(ts);
            *last = ts.max(*last);
        }
    }

    /// Which of them are one device.
    pub fn identities(&self) -> Identities {
        let called = self.called.iter().map(|((endpoint, kind, name), last)| (*endpoint, *kind, name, *last));
        Identities::of(self.endpoints.values().to_vec(), called)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_name_counts_in_whatever_order_names_come() {
        let mut roster = Roster::default();
        let name = |text: &str| Name::from_presentation(text).unwrap();
        let address = [192, 0, 2, 1].into();
        roster.endpoints.index_of(&Endpoint { address, mac: None });
        for (text, ts) in [("laptop", 9), ("phone", 7), ("laptop", 5)] {
            let (kind, ts) = (NameKind::Dhcp, UnixNanos(ts));
            roster.call(&Called { address, mac: None, kind, name: name(text), ts });
        }
        assert_eq!(roster.identities().names, [Some(name("laptop"))]);
    }

    #[test]
    fn clients_that_are_made_up_cost_no_more_than_there_is_room_for() {
        let mut roster = Roster::default();
        let mut meet = |n: u8| {
            let (client, server) = (([192, 0, 2, n], 50_000).into(), ([203, 0, 113, 9], 443).into());
            let has_room = roster.meet_of(3, &Flow::outgoing(client, server, 6, UnixNanos(0)));
            (has_room, roster.endpoints.values().len())
        };
        assert_eq!(
            [1, 2, 2, 3, 4, 1].map(&mut meet),
            [(true, 1), (true, 2), (true, 2), (true, 3), (false, 3), (true, 3)]
        );
    }
}
