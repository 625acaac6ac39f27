//! Who was told which name for which address, and when: the memory of attribution.

use super::rules::is_public;
use crate::books::Evidence;
use crate::site::registrable;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::flow::Flow;
use imon_common::local::LocalNets;
use imon_common::names::{Name, NameKind, NameSeen};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::Mac;
use std::hash::Hash;
use std::net::IpAddr;

/// An answer counts as fresh for this long, whatever its TTL: programs keep addresses longer than the TTL allows
/// (connection pools, resolvers that serve stale data, RFC 8767). A guess; a curve over the captures is to confirm it.
pub const FRESH_NS: i64 = 3_600 * NANOS_PER_SECOND;

/// A late answer counts up to this long after the flow began: the answer to a second resolver, or a recorder that
/// started after the query. A guess like the one above.
const LATE_NS: i64 = 60 * NANOS_PER_SECOND;

/// Two answers of different sites for one address are a tie if both came within this time before the flow.
const SHARED_NS: i64 = 300 * NANOS_PER_SECOND;

/// Answers kept for one asker and address, and names for one address; the oldest goes first.
const KEPT: usize = 16;

/// Keys in one generation of a map; two generations are kept. At about 200 bytes a key this bounds the memory of both
/// maps near 100 MiB in the worst case, and near 2 MiB for a home.
const GENERATION: usize = 131_072;

/// Most IPv4 addresses, or IPv6 networks of 64 bits, that one hardware address may stand for: one that stands for more
/// is a router. Hosts have one or two, with virtual machines a few.
pub const MAX_ADDRESSES_OF_A_DEVICE: usize = 4;

/// Who asked: by hardware address, and by IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Asker {
    /// The IP address that the answer went to.
    Address(IpAddr),
    /// The hardware address, so that a device that asks over IPv6 and connects over IPv4 is one.
    Mac(Mac),
    /// Anyone: names that other flows to the address carried.
    Flow,
}

/// Something that an observation taught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Who asked.
    pub asker: Asker,
    /// The server's address.
    pub address: IpAddr,
    /// Its name.
    pub host: Name,
    /// When.
    pub ts: UnixNanos,
}

#[derive(Debug, Clone)]
struct Answer {
    ts: UnixNanos,
    host: Name,
    asker: Asker,
}

/// The name chosen for a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) host: Name,
    pub(super) evidence: Evidence,
    pub(super) candidates: Vec<Name>,
}

/// A map that forgets: what was not written for a whole generation is dropped.
#[derive(Debug)]
struct Aging<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
}

impl<K, V> Default for Aging<K, V> {
    fn default() -> Self {
        Self { young: HashMap::default(), old: HashMap::default() }
    }
}

impl<K: Hash + Eq, V: Default> Aging<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    fn entry(&mut self, key: K) -> &mut V {
        if !self.young.contains_key(&key) && self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        match self.young.entry(key) {
            hashbrown::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hashbrown::hash_map::Entry::Vacant(entry) => {
                let value = old.remove(entry.key()).unwrap_or_default();
                entry.insert(value)
            }
        }
    }
}

/// Everything attribution remembers between flows.
#[derive(Debug, Default)]
pub struct AnswerBook {
    by_asker: Aging<(Asker, IpAddr), Vec<Answer>>,
    by_address: Aging<IpAddr, Vec<Answer>>,
    macs: Aging<Mac, Vec<IpAddr>>,
}

impl AnswerBook {
    /// Takes what an observation teaches; `note` hears each piece.
    pub fn learn(&mut self, flow: &Flow, seen: &NameSeen, mut note: impl FnMut(&Learned)) {
        self.meet(flow);
        // What a device calls itself says nothing about traffic to its address.
        if seen.kind == NameKind::Dhcp {
            return;
        }
        if seen.kind.is_in_flow() {
            if seen.kind != NameKind::EchOuter && is_public(&seen.name) && is_public_address(flow.server) {
                let learned =
                    Learned { asker: Asker::Flow, address: flow.server, host: seen.name.clone(), ts: seen.ts };
                note(&learned);
                self.insert(learned);
            }
            return;
        }
        let (address, mac) = if seen.asker_is_server { (flow.server, None) } else { (flow.client, flow.client_mac) };
        for answer in seen.addresses.iter().filter(|a| teaches(&seen.name, a.address)) {
            let askers = [Some(Asker::Address(address)), mac.map(Asker::Mac)];
            for asker in askers.into_iter().flatten() {
                let learned = Learned { asker, address: answer.address, host: seen.name.clone(), ts: seen.ts };
                note(&learned);
                self.insert(learned);
            }
        }
    }

    /// Takes back what an earlier source taught.
    pub fn insert(&mut self, learned: Learned) {
        let Learned { asker, address, host, ts } = learned;
        let answer = Answer { ts, host, asker };
        if asker != Asker::Flow {
            keep(self.by_asker.entry((asker, address)), answer.clone());
        }
        // Once per answer, not once per asker of it.
        if !matches!(asker, Asker::Mac(_)) {
            keep(self.by_address.entry(address), answer);
        }
    }

    /// Notes that a hardware address stands for the client's address.
    pub fn meet(&mut self, flow: &Flow) {
        if let Some(mac) = flow.client_mac {
            self.meet_network(mac, network_of(flow.client));
        }
    }

    /// Notes that a hardware address stands for an address of this network.
    pub fn meet_network(&mut self, mac: Mac, network: IpAddr) {
        let met = self.macs.entry(mac);
        if met.len() <= 2 * MAX_ADDRESSES_OF_A_DEVICE && !met.contains(&network) {
            met.push(network);
        }
    }

    /// The device that a flow's client is: by its hardware address, unless that stands for many.
    pub(super) fn device_of(&self, flow: &Flow) -> Asker {
        let mac = flow.client_mac.filter(|mac| self.is_device(*mac));
        mac.map_or(Asker::Address(flow.client), Asker::Mac)
    }

    /// Whether a hardware address stands for one device.
    fn is_device(&self, mac: Mac) -> bool {
        self.macs.get(&mac).is_none_or(|met| {
            let of = |v4: bool| met.iter().filter(|a| a.is_ipv4() == v4).count();
            of(true) <= MAX_ADDRESSES_OF_A_DEVICE && of(false) <= MAX_ADDRESSES_OF_A_DEVICE
        })
    }

    /// What this device was answered for the flow's server before the flow began: the latest fresh answer.
    pub(super) fn asked_before(&self, flow: &Flow) -> Option<Choice> {
        let (own, start) = (self.own_answers(flow), flow.start);
        let latest = own.iter().filter(|a| a.ts <= start && start.since(a.ts) <= FRESH_NS).max_by_key(|a| a.ts)?;
        Some(with_shared(&own, latest, start))
    }

    /// The best name for a flow of which the device was told nothing before it began.
    pub(super) fn otherwise(&self, flow: &Flow) -> Option<Choice> {
        let (own, start) = (self.own_answers(flow), flow.start);
        let choice = |answer: &Answer, evidence| Choice { host: answer.host.clone(), evidence, candidates: Vec::new() };
        let late = own.iter().filter(|a| a.ts > start && a.ts.since(start) <= LATE_NS).min_by_key(|a| a.ts);
        if let Some(late) = late {
            return Some(choice(late, Evidence::DnsLate));
        }
        let others = self.by_address.get(&flow.server).map_or(&[][..], Vec::as_slice);
        let other = others
            .iter()
            .filter(|a| a.asker != Asker::Flow && start.since(a.ts).saturating_abs() <= FRESH_NS)
            .min_by_key(|a| (a.ts > start, start.since(a.ts).saturating_abs()));
        if let Some(other) = other {
            return Some(choice(other, Evidence::DnsOther));
        }
        let known = others.iter().min_by_key(|a| (a.ts > start, start.since(a.ts).saturating_abs()));
        known.map(|known| choice(known, Evidence::Known))
    }

    /// This device's answers for the flow's server.
    fn own_answers(&self, flow: &Flow) -> Vec<&Answer> {
        let mac = flow.client_mac.filter(|mac| self.is_device(*mac)).map(Asker::Mac);
        [Some(Asker::Address(flow.client)), mac]
            .into_iter()
            .flatten()
            .filter_map(|asker| self.by_asker.get(&(asker, flow.server)))
            .flatten()
            .collect()
    }
}

/// The latest answer, and the other sites whose answers were fresh as well.
fn with_shared(own: &[&Answer], latest: &Answer, start: UnixNanos) -> Choice {
    let mut candidates = vec![latest.host.clone()];
    for answer in own.iter().filter(|a| a.ts <= start && start.since(a.ts) <= SHARED_NS) {
        if !candidates.contains(&answer.host) {
            candidates.push(answer.host.clone());
        }
    }
    let booked = registrable(latest.host.as_str()).name;
    let shared = candidates.iter().any(|c| registrable(c.as_str()).name != booked);
    if !shared {
        return Choice { host: latest.host.clone(), evidence: Evidence::Dns, candidates: Vec::new() };
    }
    candidates.sort();
    Choice { host: latest.host.clone(), evidence: Evidence::DnsShared, candidates }
}

fn keep(answers: &mut Vec<Answer>, answer: Answer) {
    if answers.len() >= KEPT {
        let oldest = answers.iter().enumerate().min_by_key(|(_, a)| a.ts).map(|(i, _)| i);
        if let Some(oldest) = oldest {
            answers.swap_remove(oldest);
        }
    }
    answers.push(answer);
}

/// Whether an answer says something about traffic to `address`. Loopback, unspecified and group addresses are what
/// filters answer; a private address for a public name is a rebinding attack or split DNS.
fn teaches(name: &Name, address: IpAddr) -> bool {
    if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
        return false;
    }
    is_public_address(address) || !is_public(name)
}

fn is_public_address(address: IpAddr) -> bool {
    !LocalNets::default().contains(address)
}

/// An IPv4 address itself; of an IPv6 address the network of 64 bits, as hosts change the rest often (RFC 8981).
pub fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(a) => IpAddr::V6((u128::from(a) >> 64 << 64).into()),
    }
}
