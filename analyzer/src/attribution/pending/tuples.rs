//! The latest flow of each 5-tuple. The flow itself knows its addresses and ports: here stands only
//! which one it is.

use super::{FlowId, Flows, tuple};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use imon_common::flow::Flow;
use std::hash::BuildHasher;

/// Flows by 5-tuple. All that are in it wait.
#[derive(Debug, Default)]
pub(super) struct Tuples {
    latest: HashTable<Latest>,
    hasher: RandomState,
}

/// A flow, and as much of its 5-tuple's hash as there is room for beside it.
#[derive(Debug, Clone, Copy)]
struct Latest {
    run: u32,
    hash: u32,
    number: u64,
}

impl Latest {
    fn id(&self) -> FlowId {
        FlowId { run: self.run, number: self.number }
    }
}

impl Tuples {
    fn hash_of(&self, flow: &Flow) -> u32 {
        (self.hasher.hash_one(tuple(flow)) >> 32) as u32
    }

    /// The latest flow with the addresses and ports of this one.
    pub(super) fn get(&self, flows: &Flows, flow: &Flow) -> Option<FlowId> {
        let hash = self.hash_of(flow);
        self.latest.find(spread(hash), is_of(flows, flow, hash)).map(Latest::id)
    }

    /// Makes a flow the latest one of its addresses and ports.
    pub(super) fn insert(&mut self, flows: &Flows, id: FlowId, flow: &Flow) {
        let hash = self.hash_of(flow);
        let latest = Latest { run: id.run, hash, number: id.number };
        match self.latest.find_mut(spread(hash), is_of(flows, flow, hash)) {
            Some(known) => *known = latest,
            None => _ = self.latest.insert_unique(spread(hash), latest, |latest| spread(latest.hash)),
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.latest.len()
    }

    /// Takes out a flow, if it is the latest one of its addresses and ports.
    pub(super) fn remove(&mut self, id: FlowId, flow: &Flow) {
        let hash = self.hash_of(flow);
        if let Ok(latest) = self.latest.find_entry(spread(hash), |latest| latest.id() == id) {
            latest.remove();
        }
    }
}

/// Whether an entry is that of the addresses and ports of `flow`.
fn is_of(flows: &Flows, flow: &Flow, hash: u32) -> impl Fn(&Latest) -> bool {
    move |latest| latest.hash == hash && flows.get(&latest.id()).is_some_and(|known| tuple(&known.flow) == tuple(flow))
}

/// The map takes the place of an entry from the low bits and a sign of it from the high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
