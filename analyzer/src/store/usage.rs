//! Rows of sums into their tables: of a source that is booked, and of a month that is taken back.

use super::sums::{self, Hashes};
use super::{StoreError, blob, many};
use crate::books::month::CountRow;
use crate::books::{Endpoint, Host, Interface, PageRow, Row};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

/// What rows point to, by index: their device to an endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Points<'a> {
    pub(super) hosts: &'a [Host],
    pub(super) endpoints: &'a [Endpoint],
    pub(super) candidate_sets: &'a [Vec<u32>],
    pub(super) interfaces: &'a [Interface],
}

impl Points<'_> {
    pub(super) fn hashes(&self) -> Hashes {
        let endpoints = self.endpoints.iter().map(|end| sums::of_endpoint(*end)).collect();
        Hashes::new(self.hosts, endpoints, self.candidate_sets, self.interfaces)
    }
}

/// Writes rows and parts. `source_of` gives the database's row of their source; where there is none
/// they are left out.
pub(super) fn insert(
    tx: &Transaction<'_>,
    points: &Points<'_>,
    (rows, parts): (impl Iterator<Item = Row>, impl Iterator<Item = PageRow>),
    source_of: impl Fn(u32) -> Option<i64>,
) -> Result<(), StoreError> {
    let (rows, parts): (Vec<Row>, Vec<PageRow>) = (rows.collect(), parts.collect());
    let used = Used::of(points, &rows, &parts);
    let hosts = ids(points.hosts, &used.hosts, |host| host_id(tx, host))?;
    let ends = ids(points.endpoints, &used.endpoints, |end| endpoint_id(tx, *end))?;
    let sets = ids(points.candidate_sets, &used.sets, |set| set_id(tx, set, &hosts))?;
    let interfaces = ids(points.interfaces, &used.interfaces, |interface| interface_id(tx, interface))?;
    let at = |ids: &[i64], index: u32| ids.get(index as usize).copied().unwrap_or_default();
    let key = |row: &Row| -> Option<[i64; 9]> {
        Some([
            row.bucket_s,
            source_of(row.source)?,
            at(&hosts, row.host),
            at(&ends, row.device),
            row.evidence.number().into(),
            row.traffic.number().into(),
            row.candidates.map_or(0, |set| at(&sets, set)),
            row.blind.map_or(0, |blind| blind.number().into()),
            at(&interfaces, row.interface),
        ])
    };
    let row = |row: Row| Some(joined([&key(&row)?, &row.amounts().map(signed)]));
    let mut rows: Vec<[i64; 13]> = rows.into_iter().filter_map(row).collect();
    // In the order of the primary key: the tree grows at its end.
    rows.sort_unstable();
    let into = "rollup (bucket, source, host, endpoint, evidence, traffic, candidates, blind, interface,
                        up_bytes, down_bytes, up_packets, down_packets)";
    many::insert(tx, into, &rows, |row| row.map(ToSqlOutput::from))?;
    let part = |part: PageRow| {
        let page = [at(&hosts, part.page), part.sureness.number().into(), part.rival.map_or(0, |r| at(&hosts, r))];
        Some(joined([&key(&part.row)?, &page, &part.row.amounts().map(signed)]))
    };
    let mut parts: Vec<[i64; 16]> = parts.into_iter().filter_map(part).collect();
    parts.sort_unstable();
    let into = "page_rollup (bucket, source, host, endpoint, evidence, traffic, candidates, blind, interface,
                             page, sureness, rival, up_bytes, down_bytes, up_packets, down_packets)";
    many::insert(tx, into, &parts, |part| part.map(ToSqlOutput::from))
}

/// Numbers one after the other.
fn joined<const P: usize, const N: usize>(parts: [&[i64]; P]) -> [i64; N] {
    let mut all = [0; N];
    all.iter_mut().zip(parts.into_iter().flatten()).for_each(|(place, number)| *place = *number);
    all
}

/// What rows and parts point to: the rest is not written, as it may be what the user has removed.
struct Used {
    hosts: Vec<bool>,
    endpoints: Vec<bool>,
    sets: Vec<bool>,
    interfaces: Vec<bool>,
}

impl Used {
    fn of(points: &Points<'_>, rows: &[Row], parts: &[PageRow]) -> Self {
        let Points { hosts, endpoints, candidate_sets, interfaces } = *points;
        let mut used = Self {
            hosts: vec![false; hosts.len()],
            endpoints: vec![false; endpoints.len()],
            sets: vec![false; candidate_sets.len()],
            interfaces: vec![false; interfaces.len()],
        };
        for row in rows.iter().chain(parts.iter().map(|part| &part.row)) {
            note(&mut used.hosts, row.host);
            note(&mut used.endpoints, row.device);
            note(&mut used.interfaces, row.interface);
            if let Some(set) = row.candidates {
                note(&mut used.sets, set);
            }
        }
        for part in parts {
            note(&mut used.hosts, part.page);
            if let Some(rival) = part.rival {
                note(&mut used.hosts, rival);
            }
        }
        let sets = candidate_sets.iter().zip(&used.sets).filter(|(_, is_used)| **is_used);
        sets.flat_map(|(set, _)| set).for_each(|host| note(&mut used.hosts, *host));
        used
    }
}

fn note(used: &mut [bool], index: u32) {
    if let Some(used) = used.get_mut(index as usize) {
        *used = true;
    }
}

/// The row of each value that is used, and 0 for the others.
fn ids<T>(
    values: &[T],
    used: &[bool],
    mut id: impl FnMut(&T) -> Result<i64, StoreError>,
) -> Result<Vec<i64>, StoreError> {
    values.iter().zip(used).map(|(value, is_used)| if *is_used { id(value) } else { Ok(0) }).collect()
}

/// Writes a count of the source in this row of the database.
pub(super) fn insert_count(tx: &Transaction<'_>, source: i64, count: &CountRow) -> Result<(), StoreError> {
    let CountRow { bucket_s, counter, detail, packets, bytes, .. } = *count;
    tx.prepare_cached(
        "INSERT INTO bucket_count (bucket, source, counter, detail, packets, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![bucket_s, source, counter, detail, signed(packets), signed(bytes)])?;
    Ok(())
}

/// SQLite has signed integers; no sum here comes near its bound.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn host_id(tx: &Transaction<'_>, host: &Host) -> Result<i64, StoreError> {
    match host {
        Host::Name(name) => id_of(tx, &NAMES, &name.as_str()),
        Host::Address(address) => id_of(tx, &ADDRESSES, &blob::of_address(*address)),
        Host::Service(service) => id_of(tx, &SERVICES, &blob::of_service(*service)),
    }
}

pub(super) fn endpoint_id(tx: &Connection, endpoint: Endpoint) -> Result<i64, StoreError> {
    let key = params![blob::of_address(endpoint.address), blob::of_mac(endpoint.mac)];
    let found = tx
        .prepare_cached("SELECT id FROM endpoint WHERE address = ?1 AND mac = ?2")?
        .query_row(key, |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    tx.prepare_cached("INSERT INTO endpoint (address, mac) VALUES (?1, ?2)")?.execute(key)?;
    Ok(tx.last_insert_rowid())
}

fn interface_id(tx: &Transaction<'_>, interface: &Interface) -> Result<i64, StoreError> {
    let key = params![interface.name, interface.vlan.unwrap_or_default()];
    let found = tx
        .prepare_cached("SELECT id FROM interface WHERE name = ?1 AND vlan = ?2")?
        .query_row(key, |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    tx.prepare_cached("INSERT INTO interface (name, vlan) VALUES (?1, ?2)")?.execute(key)?;
    Ok(tx.last_insert_rowid())
}

fn set_id(tx: &Transaction<'_>, set: &[u32], hosts: &[i64]) -> Result<i64, StoreError> {
    let mut ids: Vec<i64> = set.iter().filter_map(|index| hosts.get(*index as usize).copied()).collect();
    ids.sort_unstable();
    let text = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    id_of(tx, &SETS, &text)
}

/// How a row is found by what it holds, and made.
type FindAndMake = [&'static str; 2];

const NAMES: FindAndMake = ["SELECT id FROM host WHERE name = ?1", "INSERT INTO host (name) VALUES (?1)"];
const ADDRESSES: FindAndMake = ["SELECT id FROM host WHERE address = ?1", "INSERT INTO host (address) VALUES (?1)"];
const SERVICES: FindAndMake = ["SELECT id FROM host WHERE service = ?1", "INSERT INTO host (service) VALUES (?1)"];
const SETS: FindAndMake =
    ["SELECT id FROM candidate_set WHERE hosts = ?1", "INSERT INTO candidate_set (hosts) VALUES (?1)"];

/// The id of the row that holds `value`, made where it does not exist.
fn id_of(tx: &Transaction<'_>, sql: &FindAndMake, value: &dyn rusqlite::ToSql) -> Result<i64, StoreError> {
    let [find, make] = *sql;
    if let Some(id) = tx.prepare_cached(find)?.query_row([value], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    tx.prepare_cached(make)?.execute([value])?;
    Ok(tx.last_insert_rowid())
}
