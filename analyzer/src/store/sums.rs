//! Checksums beside the sums: what a report reads is what was written. One for each source and
//! bucket, over the rows and what they point to; it is a sum of hashes, so that rows need no order.
//! It finds accidents, and is no proof against people.

use super::{Store, StoreError, blob};
use crate::books::month::CountRow;
use crate::books::{Books, Endpoint, Host, Interface, Overlap, PageRow, Removed, Row};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
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
fn of_set(hosts: impl Iterator<Item = u64>) -> u64 {
    hosts.fold(6, u64::wrapping_add)
}

/// Where bytes were seen.
fn of_interface(interface: &Interface) -> u64 {
    hash(of_bytes(13, interface.name.as_bytes()), &[interface.vlan.map_or(0, u64::from)])
}

/// A row: the hashes of what it points to (0 for nothing), its other numbers, and its amounts. One
/// that older versions wrote points to no interface.
pub(super) fn of_row(points: [u64; 4], numbers: [u8; 3], amounts: [u64; 4]) -> u64 {
    let [host, endpoint, set, interface] = points;
    let [evidence, traffic, blind] = numbers.map(u64::from);
    // As large as the database holds.
    let [a, b, c, d] = amounts.map(held);
    let row = hash(7, &[host, endpoint, set, evidence | traffic << 8 | blind << 16, a, b, c, d]);
    if interface == 0 { row } else { hash(14, &[row, interface]) }
}

fn held(value: u64) -> u64 {
    value.min(i64::MAX as u64)
}

/// A part of a row: its hash, page and rival, and how sure.
fn of_part(row: u64, page: u64, rival: u64, sureness: u8) -> u64 {
    hash(8, &[row, page, rival, u64::from(sureness)])
}

pub(super) fn of_count(count: &CountRow) -> u64 {
    let CountRow { counter, detail, packets, bytes, .. } = *count;
    hash(9, &[counter.into(), detail.into(), held(packets), held(bytes)])
}

pub(super) fn of_overlap(Overlap { source, of, packets, bytes }: &Overlap) -> u64 {
    let names = [of_bytes(10, source.as_bytes()), of_bytes(11, of.as_bytes())];
    hash(12, &[names[0], names[1], held(*packets), held(*bytes)])
}

pub(super) fn of_removed(Removed { interface, traffic, amounts, .. }: &Removed) -> u64 {
    let [a, b, c, d] = amounts.map(held);
    hash(15, &[of_interface(interface), traffic.number().into(), a, b, c, d])
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

impl Read {
    /// Sums of hashes by bucket and source.
    pub(super) fn into_sums(mut self) -> HashMap<(i64, i64), u64, RandomState> {
        if let Some((key, sum)) = self.last.take() {
            let all = self.sums.entry(key).or_default();
            *all = all.wrapping_add(sum);
        }
        self.sums
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

/// Hashes of what rows point to, by the same indices.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    hosts: Vec<u64>,
    endpoints: Vec<u64>,
    sets: Vec<u64>,
    interfaces: Vec<u64>,
}

impl Hashes {
    /// `endpoints` are the hashes of the endpoints.
    pub(super) fn new(hosts: &[Host], endpoints: Vec<u64>, sets: &[Vec<u32>], interfaces: &[Interface]) -> Self {
        let hosts: Vec<u64> = hosts.iter().map(of_host).collect();
        let set = |set: &Vec<u32>| of_set(set.iter().map(|host| at(&hosts, *host)));
        let sets = sets.iter().map(set).collect();
        Self { endpoints, sets, interfaces: interfaces.iter().map(of_interface).collect(), hosts }
    }

    /// Takes in what the books have more than is known; `endpoints` are the hashes of new
    /// endpoints.
    pub(super) fn learn(&mut self, books: &Books, endpoints: Vec<u64>) {
        self.hosts.extend(books.hosts.iter().skip(self.hosts.len()).map(of_host));
        self.endpoints.extend(endpoints);
        let hosts = &self.hosts;
        let set = |set: &Vec<u32>| of_set(set.iter().map(|host| at(hosts, *host)));
        self.sets.extend(books.candidate_sets.iter().skip(self.sets.len()).map(set));
        self.interfaces.extend(books.interfaces.iter().skip(self.interfaces.len()).map(of_interface));
    }

    /// Adds the hashes of rows that still point to endpoints; `keys` are theirs, of rows and then
    /// of parts.
    pub(super) fn read(&self, books: &Books, keys: [&[RowIds]; 2], read: &mut Read) {
        let of_row = |row: &Row, ids: &RowIds| {
            // One without an interface points to none.
            let interface = if ids.has_interface { row.interface } else { u32::MAX };
            self.row(&Row { interface, ..*row })
        };
        for (row, ids) in books.rows.iter().zip(keys[0]) {
            read.add(row.bucket_s, ids.source, of_row(row, ids));
        }
        for (part, ids) in books.pages.iter().zip(keys[1]) {
            read.add(part.row.bucket_s, ids.source, self.part(part, of_row(&part.row, ids)));
        }
    }

    /// That of a row whose device is an endpoint.
    pub(super) fn row(&self, row: &Row) -> u64 {
        let set = row.candidates.map_or(0, |set| at(&self.sets, set));
        let numbers = [row.evidence.number(), row.traffic.number(), row.blind.map_or(0, |blind| blind.number())];
        let interface = at(&self.interfaces, row.interface);
        of_row([at(&self.hosts, row.host), at(&self.endpoints, row.device), set, interface], numbers, row.amounts())
    }

    /// That of a part, whose row has the hash `row`.
    pub(super) fn part(&self, part: &PageRow, row: u64) -> u64 {
        let rival = part.rival.map_or(0, |rival| at(&self.hosts, rival));
        of_part(row, at(&self.hosts, part.page), rival, part.sureness.number())
    }
}

fn at(hashes: &[u64], index: u32) -> u64 {
    hashes.get(index as usize).copied().unwrap_or_default()
}

impl Store {
    /// Compares what was read of these buckets with what was written.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub(super) fn verify(&self, from_s: i64, to_s: i64, read: Read) -> Result<(), StoreError> {
        let mut sums = read.into_sums();
        let damaged = |bucket_s: i64, source: i64| -> StoreError {
            let path = self.db.query_row("SELECT path FROM source WHERE id = ?1", [source], |row| row.get(0));
            StoreError::Damaged { bucket_s, path: path.unwrap_or_default() }
        };
        let mut select =
            self.db.prepare_cached("SELECT bucket, source, sum FROM checked WHERE bucket >= ?1 AND bucket < ?2")?;
        let mut rows = select.query([from_s, to_s])?;
        while let Some(row) = rows.next()? {
            let (bucket, source, sum): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if sums.remove(&(bucket, source)) != Some(sum as u64) {
                return Err(damaged(bucket, source));
            }
        }
        // What is left has no checksum: written by an older version, or damaged.
        let mut select = self.db.prepare_cached("SELECT 1 FROM source WHERE id = ?1 AND summed = 0")?;
        let mut left: Vec<(i64, i64)> = sums.into_keys().collect();
        left.sort_unstable();
        for (bucket, source) in left {
            if !select.exists([source])? {
                return Err(damaged(bucket, source));
            }
        }
        Ok(())
    }
}
