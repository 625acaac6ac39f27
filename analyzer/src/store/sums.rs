//! Checksums beside the sums: what a report reads is what was written. One for each source and
//! bucket, over the rows and what they point to; it is a sum of hashes, so that rows need no order.
//! It finds accidents, and is no proof against people.

use super::{Store, StoreError, blob};
use crate::books::{Books, Host, Interface, Overlap, Row};
use crate::rollup::Endpoint;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::observe::Usage;
use rusqlite::{Transaction, params};
use std::collections::BTreeMap;

/// Sums of hashes by bucket.
pub(super) type Sums = BTreeMap<i64, u64>;

/// Numbers into one: the finalizer of SplitMix64 after each.
pub(super) fn hash(kind: u64, values: &[u64]) -> u64 {
    values.iter().fold(kind, |hash, value| {
        let mut x = hash.rotate_left(23) ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    })
}

fn of_bytes(kind: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash(kind, &[bytes.len() as u64]), |sum, byte| hash(sum, &[u64::from(*byte)]))
}

pub(super) fn of_host(host: &Host) -> u64 {
    match host {
        Host::Name(name) => of_bytes(1, name.as_str().as_bytes()),
        Host::Address(address) => of_bytes(2, &blob::of_address(*address)),
        Host::Service(service) => of_bytes(3, &blob::of_service(*service)),
    }
}

pub(super) fn of_endpoint(endpoint: Endpoint) -> u64 {
    hash(of_bytes(4, &blob::of_address(endpoint.address)), &[of_bytes(5, &blob::of_mac(endpoint.mac))])
}

/// The hosts of a set, in any order.
pub(super) fn of_set(hosts: impl Iterator<Item = u64>) -> u64 {
    hosts.fold(6, u64::wrapping_add)
}

/// Where bytes were seen.
pub(super) fn of_interface(interface: &Interface) -> u64 {
    hash(of_bytes(13, interface.name.as_bytes()), &[interface.vlan.map_or(0, u64::from)])
}

/// A row: the hashes of what it points to (0 for nothing), its other numbers, and what was moved.
/// One that older versions wrote points to no interface.
pub(super) fn of_row(points: [u64; 4], numbers: [u8; 3], usage: Usage) -> u64 {
    let [host, endpoint, set, interface] = points;
    let [evidence, traffic, blind] = numbers.map(u64::from);
    // As large as the database holds.
    let [a, b, c, d] = [usage.up_bytes, usage.down_bytes, usage.up_packets, usage.down_packets].map(held);
    let row = hash(7, &[host, endpoint, set, evidence | traffic << 8 | blind << 16, a, b, c, d]);
    if interface == 0 { row } else { hash(14, &[row, interface]) }
}

fn held(value: u64) -> u64 {
    value.min(i64::MAX as u64)
}

/// A part of a row: its hash, page and rival, and how sure.
pub(super) fn of_part(row: u64, page: u64, rival: u64, sureness: u8) -> u64 {
    hash(8, &[row, page, rival, u64::from(sureness)])
}

pub(super) fn of_count(counter: i64, detail: i64, packets: u64, bytes: u64) -> u64 {
    hash(9, &[counter as u64, detail as u64, held(packets), held(bytes)])
}

pub(super) fn of_overlap(Overlap { source, of, packets, bytes }: &Overlap) -> u64 {
    let names = [of_bytes(10, source.as_bytes()), of_bytes(11, of.as_bytes())];
    hash(12, &[names[0], names[1], held(*packets), held(*bytes)])
}

pub(super) fn add(sums: &mut Sums, bucket_s: i64, hash: u64) {
    let sum = sums.entry(bucket_s).or_default();
    *sum = sum.wrapping_add(hash);
}

pub(super) fn insert(tx: &Transaction<'_>, source: i64, sums: &Sums) -> Result<(), StoreError> {
    let mut insert = tx.prepare_cached("INSERT INTO checked (bucket, source, sum) VALUES (?1, ?2, ?3)")?;
    for (bucket, sum) in sums {
        insert.execute(params![bucket, source, *sum as i64])?;
    }
    Ok(())
}

/// What a report read, by bucket and source.
#[derive(Debug, Default)]
pub(super) struct Read {
    sums: HashMap<(i64, i64), u64, RandomState>,
    /// The last one: rows come in their order.
    last: Option<((i64, i64), u64)>,
}

impl Read {
    #[inline]
    pub(super) fn add(&mut self, bucket_s: i64, source: i64, hash: u64) {
        match &mut self.last {
            Some((key, sum)) if *key == (bucket_s, source) => *sum = sum.wrapping_add(hash),
            last => {
                if let Some((key, sum)) = last.replace(((bucket_s, source), hash)) {
                    let all = self.sums.entry(key).or_default();
                    *all = all.wrapping_add(sum);
                }
            }
        }
    }
}

/// What the store has of a row and its books have not.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowIds {
    /// Row of its source.
    pub(super) source: i64,
    /// It says where it was seen: rows of an older version do not.
    pub(super) has_interface: bool,
}

/// Hashes of a report's rows, while they still point to endpoints; `keys` are theirs, of rows and
/// then of parts.
pub(super) fn of_books(books: &Books, endpoints: &[u64], keys: [&[RowIds]; 2], read: &mut Read) {
    let hosts: Vec<u64> = books.hosts.iter().map(of_host).collect();
    let at = |list: &[u64], index: u32| list.get(index as usize).copied().unwrap_or_default();
    let set = |hosts_of: &Vec<u32>| of_set(hosts_of.iter().map(|host| at(&hosts, *host)));
    let sets: Vec<u64> = books.candidate_sets.iter().map(set).collect();
    let interfaces: Vec<u64> = books.interfaces.iter().map(of_interface).collect();
    let hash_of = |row: &Row, ids: &RowIds| {
        let set = row.candidates.map_or(0, |set| at(&sets, set));
        let numbers = [row.evidence.number(), row.traffic.number(), row.blind.map_or(0, |blind| blind.number())];
        let usage = Usage {
            up_packets: row.up_packets,
            down_packets: row.down_packets,
            up_bytes: row.up_bytes,
            down_bytes: row.down_bytes,
        };
        let interface = if ids.has_interface { at(&interfaces, row.interface) } else { 0 };
        of_row([at(&hosts, row.host), at(endpoints, row.device), set, interface], numbers, usage)
    };
    for (row, ids) in books.rows.iter().zip(keys[0]) {
        read.add(row.bucket_s, ids.source, hash_of(row, ids));
    }
    for (part, ids) in books.pages.iter().zip(keys[1]) {
        let rival = part.rival.map_or(0, |rival| at(&hosts, rival));
        let hash = of_part(hash_of(&part.row, ids), at(&hosts, part.page), rival, part.sureness.number());
        read.add(part.row.bucket_s, ids.source, hash);
    }
}

impl Store {
    /// Compares what was read of these buckets with what was written.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub(super) fn verify(&self, from_s: i64, to_s: i64, mut read: Read) -> Result<(), StoreError> {
        if let Some((key, sum)) = read.last.take() {
            let all = read.sums.entry(key).or_default();
            *all = all.wrapping_add(sum);
        }
        let damaged = |bucket_s: i64, source: i64| -> StoreError {
            let path = self.db.query_row("SELECT path FROM source WHERE id = ?1", [source], |row| row.get(0));
            StoreError::Damaged { bucket_s, path: path.unwrap_or_default() }
        };
        let mut select =
            self.db.prepare_cached("SELECT bucket, source, sum FROM checked WHERE bucket >= ?1 AND bucket < ?2")?;
        let mut rows = select.query([from_s, to_s])?;
        while let Some(row) = rows.next()? {
            let (bucket, source, sum): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if read.sums.remove(&(bucket, source)) != Some(sum as u64) {
                return Err(damaged(bucket, source));
            }
        }
        // What is left has no checksum: written by an older version, or damaged.
        let mut select = self.db.prepare_cached("SELECT 1 FROM source WHERE id = ?1 AND summed = 0")?;
        let mut left: Vec<(i64, i64)> = read.sums.into_keys().collect();
        left.sort_unstable();
        for (bucket, source) in left {
            if !select.exists([source])? {
                return Err(damaged(bucket, source));
            }
        }
        Ok(())
    }
}
