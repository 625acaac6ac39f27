//! Clients as they were met, and what they call themselves: which of them are one device follows
//! from all of them.

use super::{Identities, Interner};
use crate::attribution::Called;
use crate::books::Endpoint;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::names::{Name, NameKind};
use imon_common::time::UnixNanos;

/// Names of clients kept. A network of some hundreds of devices has as many; one that makes names
/// up gets no more memory than this.
const MAX_CALLED: usize = 16_384;

/// Clients, and what they call themselves.
#[derive(Debug, Default)]
pub struct Roster {
    /// Clients by index.
    pub endpoints: Interner<Endpoint>,
    /// What they called themselves, how, and when last.
    pub called: HashMap<(Endpoint, NameKind, Name), UnixNanos, RandomState>,
}

impl Roster {
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
