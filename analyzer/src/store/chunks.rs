//! Rows of a range as they are read: what is done with them needs some at a time, and never all.

use super::months::Devices;
use super::read::Places;
use super::sums::{Hashes, Read, RowIds};
use super::{Store, StoreError};
use crate::books::{Books, PageRow, Row, Sureness};
use imon_common::work;
use std::collections::HashMap;

/// Rows that are read before what they point to is looked up. Some megabytes.
const CHUNK_ROWS: usize = 32_768;

/// Takes rows and parts that were read. The books have what they point to.
pub type Take<'t> = &'t mut dyn FnMut(&Books, &[Row], &[PageRow]);

/// What a database's row says of a row of sums, by its kind: rows, and parts of rows.
pub(super) type Ids = [Vec<RowIds>; 2];

impl Store {
    /// Reads all rows of sums of these seconds, and their parts, into the books. `full` may take
    /// them out whenever there are many.
    pub(super) fn rows(
        &self,
        (from_s, to_s): (i64, i64),
        (books, places): (&mut Books, &mut Places),
        full: &mut dyn FnMut(&mut Books, &mut Places, &mut Ids) -> Result<(), StoreError>,
    ) -> Result<Ids, StoreError> {
        let mut ids = Ids::default();
        let mut select = self.db.prepare_cached(
            "SELECT bucket, host, endpoint, evidence, traffic, candidates, blind,
                    up_bytes, down_bytes, up_packets, down_packets, interface, source
             FROM rollup WHERE bucket >= ?1 AND bucket < ?2",
        )?;
        let mut rows = select.query([from_s, to_s])?;
        while let Some(row) = rows.next()? {
            work::step();
            ids[0].push(RowIds { source: row.get(12)?, has_interface: row.get::<_, i64>(11)? != 0 });
            books.rows.push(places.row(row)?);
            if books.rows.len() >= CHUNK_ROWS {
                full(books, places, &mut ids)?;
            }
        }
        let mut select = self.db.prepare_cached(
            "SELECT bucket, host, endpoint, evidence, traffic, candidates, blind,
                    up_bytes, down_bytes, up_packets, down_packets, interface, source, page, sureness, rival
             FROM page_rollup WHERE bucket >= ?1 AND bucket < ?2",
        )?;
        let mut rows = select.query([from_s, to_s])?;
        while let Some(row) = rows.next()? {
            // A class of a newer version: the bytes stay on their own site.
            let Some(sureness) = Sureness::from_number(row.get(14)?) else { continue };
            let rival: i64 = row.get(15)?;
            ids[1].push(RowIds { source: row.get(12)?, has_interface: row.get::<_, i64>(11)? != 0 });
            books.pages.push(PageRow {
                row: places.row(row)?,
                page: places.hosts.of(row.get(13)?),
                sureness,
                rival: (rival != 0).then(|| places.hosts.of(rival)),
            });
            if books.pages.len() >= CHUNK_ROWS {
                full(books, places, &mut ids)?;
            }
        }
        Ok(ids)
    }

    /// Hands all rows and parts to `take`. Gives the books of what they point to and of when
    /// something was observed, without them, and what checksums should be.
    pub(super) fn taken(
        &self,
        seconds: (i64, i64),
        devices: &Devices,
        take: Take<'_>,
    ) -> Result<(Books, Read), StoreError> {
        let (mut books, mut places) = (Books { observed: self.observed()?, ..Books::default() }, Places::default());
        let (mut hashes, mut read) = (Hashes::default(), Read::default());
        let device_of_id: HashMap<i64, u32> =
            devices.ids.iter().copied().zip(devices.clients.device_of.iter().copied()).collect();
        let mut device_of: Vec<u32> = Vec::new();
        let mut full = |books: &mut Books, places: &mut Places, ids: &mut Ids| {
            self.sources(books, places)?;
            self.sets(books, places)?;
            self.hosts(books, places)?;
            hashes.learn(books, self.endpoint_hashes(places, device_of.len())?);
            hashes.read(books, [&ids[0], &ids[1]], &mut read);
            let new = places.endpoints.ids.iter().skip(device_of.len());
            device_of.extend(new.map(|id| device_of_id.get(id).copied().unwrap_or_default()));
            for row in books.all_rows_mut() {
                row.device = device_of.get(row.device as usize).copied().unwrap_or_default();
            }
            let (rows, parts) = (std::mem::take(&mut books.rows), std::mem::take(&mut books.pages));
            take(books, &rows, &parts);
            (books.rows, books.pages) = (rows, parts);
            books.rows.clear();
            books.pages.clear();
            ids.iter_mut().for_each(Vec::clear);
            Ok(())
        };
        let mut ids = self.rows(seconds, (&mut books, &mut places), &mut full)?;
        full(&mut books, &mut places, &mut ids)?;
        Ok((books, read))
    }
}
