//! Columns of usage → rows, with what their texts stand for.

use super::super::text;
use super::columns::{column, dictionary, odd, primitive, unsigned, value, words};
use super::{Broken, Pool, Wanted, stand_in};
use crate::books::{Blind, Endpoint, Evidence, Host, Interface, Row, Traffic};
use crate::question::parse_mac;
use crate::rollup::Interner;
use crate::table::units::from_hex;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch};
use imon_common::wire::Mac;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

/// The columns of usage while they are read.
pub(in crate::archive) struct Columns {
    pub(super) reader: ParquetRecordBatchReader,
    pub(super) seconds: (i64, i64),
    pub(super) wanted: Wanted,
    pub(super) caches: Caches,
}

/// The lists of hosts that could own bytes as well.
struct Lists<'b> {
    offsets: &'b [i32],
    names: &'b DictionaryArray<Int32Type>,
}

impl<'b> Lists<'b> {
    fn new(batch: &'b RecordBatch) -> Result<Self, Broken> {
        let lists = column(batch, "candidates")?.as_list_opt::<i32>().ok_or_else(|| odd("candidates"))?;
        let names = lists.values().as_dictionary_opt::<Int32Type>().ok_or_else(|| odd("candidates"))?;
        Ok(Self { offsets: lists.value_offsets(), names })
    }

    /// Where the names of a row are, if it has some.
    fn of(&self, i: usize) -> Option<Range<i32>> {
        let (from, to) = (*self.offsets.get(i)?, *self.offsets.get(i + 1)?);
        (from < to).then_some(from..to)
    }
}

/// What values of dictionaries stand for, by column.
#[derive(Default)]
pub(super) struct Caches {
    named: Ids,
    addresses: Ids,
    addresses_of: Interner<IpAddr>,
    macs: Ids,
    macs_of: Interner<Option<Mac>>,
    interfaces: Ids,
    interfaces_of: Interner<String>,
    sources: Ids,
    candidates: Ids,
    /// What stands for hosts that are no names, and for names.
    stand_ins: [Option<u32>; 2],
    /// The last endpoint of each address: most have one.
    ends: Vec<Option<(u32, u32)>>,
    /// The last interface, as neighbours are alike.
    last_interface: Option<(u32, i32, u32)>,
}

impl Columns {
    pub(in crate::archive) fn next_batch(&mut self) -> Result<Option<RecordBatch>, Broken> {
        Ok(self.reader.next().transpose()?)
    }

    /// Calls `take` with rows of a batch; `None`: with all.
    pub(in crate::archive) fn usage(
        &mut self,
        batch: &RecordBatch,
        rows: Option<&[Range<usize>]>,
        pool: &mut Pool,
        mut take: impl FnMut(&Pool, usize, Row),
    ) -> Result<(), Broken> {
        let starts = primitive::<TimestampMicrosecondType>(batch, "start")?;
        let hosts = dictionary(batch, "host")?;
        let named = column(batch, "named")?.as_boolean_opt().ok_or_else(|| odd("named"))?;
        let of_evidence = |word: &str| Evidence::ALL.into_iter().find(|kind| kind.word() == word);
        let evidence = words(dictionary(batch, "evidence")?, of_evidence)?;
        let of_blind = |word: &str| Some(Blind::ALL.into_iter().find(|blind| blind.word() == word));
        let blind = words(dictionary(batch, "blind")?, of_blind)?;
        let of_traffic = |word: &str| Traffic::ALL.into_iter().find(|traffic| traffic.word() == word);
        let traffic = words(dictionary(batch, "scope")?, of_traffic)?;
        let amounts = ["up_bytes", "down_bytes", "up_packets", "down_packets"];
        let amounts = amounts.map(|name| primitive::<Int64Type>(batch, name));
        let [up_bytes, down_bytes, up_packets, down_packets] = amounts;
        let (up_bytes, down_bytes, up_packets, down_packets) = (up_bytes?, down_bytes?, up_packets?, down_packets?);
        let candidates = if self.wanted.hosts { Some(Lists::new(batch)?) } else { None };
        let ends = if self.wanted.endpoints {
            let columns = (dictionary(batch, "device_address")?, dictionary(batch, "device_mac")?);
            self.caches.addresses.begin(columns.0);
            self.caches.macs.begin(columns.1);
            Some(columns)
        } else {
            None
        };
        let interfaces = if self.wanted.interfaces {
            let columns = (dictionary(batch, "interface")?, primitive::<Int32Type>(batch, "vlan")?);
            self.caches.interfaces.begin(columns.0);
            Some(columns)
        } else {
            None
        };
        let sources = self.wanted.sources.then(|| dictionary(batch, "source")).transpose()?;
        sources.into_iter().for_each(|column| self.caches.sources.begin(column));
        self.caches.named.begin(hosts);
        candidates.iter().for_each(|lists| self.caches.candidates.begin(lists.names));
        let mut addresses = Ids::default();
        addresses.begin(hosts);
        let all = 0..starts.len();
        for i in rows.unwrap_or(std::slice::from_ref(&all)).iter().cloned().flatten() {
            let micros = starts.get(i).copied().ok_or_else(|| odd("start"))?;
            let bucket_s = micros.div_euclid(1_000_000);
            if bucket_s < self.seconds.0 || bucket_s >= self.seconds.1 {
                continue;
            }
            let (is_name, blind) = (named.value(i), blind.get(i).copied().flatten().flatten());
            let host = if self.wanted.hosts || blind == Some(Blind::Tunnel) {
                let ids = if is_name { &mut self.caches.named } else { &mut addresses };
                ids.of(hosts, i, |text| host(text, is_name).map(|host| pool.hosts.index_of(&host)))?
            } else {
                let [address, name] = &mut self.caches.stand_ins;
                let place = if is_name { name } else { address };
                *place.get_or_insert_with(|| pool.hosts.index_of(&stand_in(is_name)))
            };
            let device = match ends {
                Some((address, mac)) => self.caches.end(address, mac, i, pool)?,
                None => 0,
            };
            let interface = match interfaces {
                Some((name, vlan)) => self.caches.interface(name, vlan.get(i).copied().unwrap_or_default(), i, pool)?,
                None => 0,
            };
            let source = match sources {
                Some(column) => self.caches.sources.of(column, i, |text| source(text, pool))?,
                None => 0,
            };
            let candidates = match candidates.as_ref().and_then(|lists| Some((lists, lists.of(i)?))) {
                Some((lists, list)) => Some(set(&mut self.caches.candidates, lists.names, list, pool)?),
                None => None,
            };
            let at = |column: &[i64]| unsigned(column.get(i).copied().unwrap_or_default());
            let row = Row {
                bucket_s,
                host,
                device,
                evidence: evidence.get(i).copied().flatten().ok_or_else(|| odd("evidence"))?,
                traffic: traffic.get(i).copied().flatten().ok_or_else(|| odd("scope"))?,
                candidates,
                blind,
                interface,
                source,
                up_bytes: at(up_bytes),
                down_bytes: at(down_bytes),
                up_packets: at(up_packets),
                down_packets: at(down_packets),
            };
            take(pool, i, row);
        }
        Ok(())
    }
}

impl Caches {
    fn end(
        &mut self,
        address: &DictionaryArray<Int32Type>,
        mac: &DictionaryArray<Int32Type>,
        i: usize,
        pool: &mut Pool,
    ) -> Result<u32, Broken> {
        let of = &mut self.addresses_of;
        let address = self.addresses.of(address, i, |text| {
            let address: IpAddr = text.parse().map_err(|_| odd("device_address"))?;
            Ok(of.index_of(&address))
        })?;
        let of = &mut self.macs_of;
        let mac = self.macs.of(mac, i, |text| match (text, parse_mac(text)) {
            ("", _) => Ok(of.index_of(&None)),
            (_, Some(mac)) => Ok(of.index_of(&Some(mac))),
            _ => Err(odd("device_mac")),
        })?;
        let place = address as usize;
        if let Some((_, end)) = self.ends.get(place).copied().flatten().filter(|(known, _)| *known == mac) {
            return Ok(end);
        }
        let end = (self.addresses_of.get(address).copied(), self.macs_of.get(mac).copied());
        let (Some(address), Some(of)) = end else { return Err(odd("device_address")) };
        let end = pool.endpoints.index_of(&Endpoint { address, mac: of });
        if self.ends.len() <= place {
            self.ends.resize(place + 1, None);
        }
        if let Some(last) = self.ends.get_mut(place) {
            *last = Some((mac, end));
        }
        Ok(end)
    }

    fn interface(
        &mut self,
        name: &DictionaryArray<Int32Type>,
        vlan: i32,
        i: usize,
        pool: &mut Pool,
    ) -> Result<u32, Broken> {
        let of = &mut self.interfaces_of;
        let name = self.interfaces.of(name, i, |text| Ok(of.index_of(&text.to_owned())))?;
        if let Some((.., found)) = self.last_interface.filter(|(n, v, _)| (*n, *v) == (name, vlan)) {
            return Ok(found);
        }
        let text = self.interfaces_of.get(name).cloned().unwrap_or_default();
        let id = u16::try_from(vlan).map_err(|_| odd("vlan"))?;
        let interface = Interface { name: text, vlan: Some(id).filter(|id| *id != 0) };
        let found = pool.interfaces.index_of(&interface);
        self.last_interface = Some((name, vlan, found));
        Ok(found)
    }
}

/// What the values of a dictionary stand for, as far as rows have asked.
#[derive(Default)]
pub(super) struct Ids {
    values: Option<ArrayRef>,
    ids: Vec<u32>,
}

impl Ids {
    /// The next rows are of this column: most have the dictionary of those before.
    pub(super) fn begin(&mut self, column: &DictionaryArray<Int32Type>) {
        if self.values.as_ref().is_none_or(|values| !Arc::ptr_eq(values, column.values())) {
            self.values = Some(Arc::clone(column.values()));
            self.ids.clear();
            self.ids.resize(column.values().len(), u32::MAX);
        }
    }

    #[inline]
    pub(super) fn of(
        &mut self,
        column: &DictionaryArray<Int32Type>,
        i: usize,
        find: impl FnOnce(&str) -> Result<u32, Broken>,
    ) -> Result<u32, Broken> {
        let key = column.keys().values().get(i).and_then(|key| usize::try_from(*key).ok());
        let known = key.and_then(|key| self.ids.get_mut(key)).ok_or_else(|| odd("dictionary"))?;
        if *known == u32::MAX {
            *known = find(value(column, i)?)?;
        }
        Ok(*known)
    }
}

pub(super) fn host(text: &str, named: bool) -> Result<Host, Broken> {
    text::to_host(text, named).ok_or_else(|| odd("host"))
}

pub(super) fn source(text: &str, pool: &mut Pool) -> Result<u32, Broken> {
    let identity = from_hex(text).ok_or_else(|| odd("source"))?;
    Ok(pool.sources.index_of(&identity))
}

/// A set of candidates, all of which are names.
fn set(ids: &mut Ids, names: &DictionaryArray<Int32Type>, range: Range<i32>, pool: &mut Pool) -> Result<u32, Broken> {
    let mut hosts = Vec::with_capacity(range.len());
    for i in range {
        let i = usize::try_from(i).unwrap_or(usize::MAX);
        hosts.push(ids.of(names, i, |text| host(text, true).map(|host| pool.hosts.index_of(&host)))?);
    }
    hosts.sort_unstable();
    Ok(pool.candidate_sets.index_of(&hosts))
}
