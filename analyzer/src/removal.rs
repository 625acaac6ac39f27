//! What the user has removed and does not want to be booked again: rules that `ingest` and
//! `rebuild` apply. A rule holds no address but a salted hash of it, so that the database does not
//! name whom it forgot. Who has the database and tries all addresses can still tell.

use crate::books::{BUCKET_S, Endpoint};
use imon_common::wire::Mac;
use ipnet::IpNet;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

/// Clients whose rules are remembered: far more than a network has. Made-up ones cost no more.
const MAX_REMEMBERED: usize = 65_536;

/// The family of hardware addresses; addresses have 4 and 6.
const OF_MAC: u8 = 0;

/// Whom a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// 0: a hardware address; 4, 6: an address.
    pub family: u8,
    /// Bits of the address that count.
    pub prefix: u8,
    /// SHA-256 of salt, family, prefix and address.
    pub digest: [u8; 32],
}

impl Key {
    fn new(salt: &[u8], (family, prefix): (u8, u8), bytes: &[u8]) -> Self {
        let digest = Sha256::new().chain_update(salt).chain_update([family, prefix]).chain_update(bytes).finalize();
        Self { family, prefix, digest: digest.into() }
    }

    /// That of a hardware address.
    pub fn of_mac(salt: &[u8], mac: Mac) -> Self {
        Self::new(salt, (OF_MAC, 48), &mac.0)
    }

    /// That of an address, or of all addresses of a network.
    pub fn of_net(salt: &[u8], net: IpNet) -> Self {
        match net.network() {
            IpAddr::V4(address) => Self::new(salt, (4, net.prefix_len()), &address.octets()),
            IpAddr::V6(address) => Self::new(salt, (6, net.prefix_len()), &address.octets()),
        }
    }
}

/// A stretch of buckets: the first second, and the first one after it.
pub type Seconds = (i64, i64);

/// All rules of a database.
#[derive(Debug, Clone, Default)]
pub struct Removals {
    salt: Vec<u8>,
    rules: HashMap<Key, Vec<Seconds>>,
    /// Families and prefixes that rules have.
    prefixes: BTreeSet<(u8, u8)>,
    /// When each client is removed, as far as it was asked for.
    known: HashMap<Endpoint, Vec<Seconds>>,
}

impl Removals {
    /// Those with these keys.
    pub fn new(salt: Vec<u8>, rules: impl IntoIterator<Item = (Key, Seconds)>) -> Self {
        let mut all = Self { salt, ..Self::default() };
        for (key, seconds) in rules {
            all.prefixes.insert((key.family, key.prefix));
            all.rules.entry(key).or_default().push(seconds);
        }
        all
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether what this client moved in the bucket of this second is removed.
    pub fn takes(&mut self, end: Endpoint, second: i64) -> bool {
        if self.is_empty() {
            return false;
        }
        if !self.known.contains_key(&end) {
            if self.known.len() >= MAX_REMEMBERED {
                self.known.clear();
            }
            let times = self.times_of(end);
            self.known.insert(end, times);
        }
        let bucket_s = second.div_euclid(BUCKET_S) * BUCKET_S;
        self.known.get(&end).is_some_and(|times| times.iter().any(|(from, to)| *from <= bucket_s && bucket_s < *to))
    }

    fn times_of(&self, end: Endpoint) -> Vec<Seconds> {
        let mut keys: Vec<Key> = end.mac.map(|mac| Key::of_mac(&self.salt, mac)).into_iter().collect();
        let family = if end.address.is_ipv4() { 4 } else { 6 };
        for (_, prefix) in self.prefixes.iter().filter(|(of, _)| *of == family) {
            keys.extend(IpNet::new(end.address, *prefix).ok().map(|net| Key::of_net(&self.salt, net)));
        }
        keys.iter().filter_map(|key| self.rules.get(key)).flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(address: &str, mac: Option<u8>) -> Endpoint {
        Endpoint { address: address.parse().unwrap(), mac: mac.map(|m| Mac([2, 0, 0, 0, 0, m])) }
    }

    #[test]
    fn rules_take_clients_by_either_address_in_whole_buckets() {
        let salt = b"salt".to_vec();
        let rules = [
            (Key::of_mac(&salt, Mac([2, 0, 0, 0, 0, 1])), (900, 1800)),
            (Key::of_net(&salt, "192.0.2.0/28".parse().unwrap()), (0, i64::MAX)),
            (Key::of_net(&salt, "2001:db8::5/128".parse().unwrap()), (i64::MIN, 900)),
        ];
        let mut removals = Removals::new(salt, rules);
        for (end, second, is_taken) in [
            (end("198.51.100.1", Some(1)), 900, true),
            (end("198.51.100.1", Some(1)), 1799, true),
            (end("198.51.100.1", Some(1)), 1800, false),
            (end("198.51.100.1", Some(1)), 899, false),
            (end("198.51.100.1", Some(2)), 900, false),
            (end("192.0.2.15", None), 5_000, true),
            (end("192.0.2.16", None), 5_000, false),
            (end("192.0.2.3", Some(9)), -1, false),
            (end("2001:db8::5", None), 899, true),
            (end("2001:db8::5", None), 900, false),
            (end("2001:db8::6", None), 0, false),
        ] {
            assert_eq!(removals.takes(end, second), is_taken, "{end:?} at {second}");
        }
        assert!(!Removals::default().takes(end("192.0.2.3", None), 0));
    }
}
