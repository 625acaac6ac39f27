//! The rows of a month summed up by UTC day, over all devices and recorders: a file of a dataset.
//!
//! ```text
//! DIR/summary/month=2026-10/<hash>.parquet
//! ```
//! It has the columns of rows, and `seconds` is a day. A question that tells neither devices,
//! sources nor interfaces apart reads it instead of the rows of each recorder, for days that lie in
//! its range as a whole and that none of its keys divides.

use super::fold::{Apart, Fold, MAX_VIEWS};
use super::read::{Broken, Pool, Table, Wanted};
use super::sheets::DAY_S;
use super::write::{self, About, Labels, Layout};
use crate::books::month::{Month, MonthRows};
use crate::books::{BUCKET_S, Endpoint, Interface, Observed};
use crate::site::Sites;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::sync::LazyLock;

/// The word for it: its table in manifests.
pub(super) const DAYS: &str = "days";

/// Most rows of it: some hundred MiB while it is made. A month with more has none.
const MAX_ROWS: usize = 2_000_000;

/// It is made where it has so many times fewer rows than those that it sums up.
const WORTH: u64 = 2;

/// What of rows it has.
const HOSTS: Wanted = Wanted { hosts: true, endpoints: false, interfaces: false, sources: false };

/// What it tells apart.
static BY_DAY: LazyLock<[Apart<'static>; 1]> = LazyLock::new(|| [Apart::new(HOSTS, |_| day)]);

/// Rows of a month while they are summed up.
pub(super) struct Days {
    month: Month,
    pool: Pool,
    fold: Fold<'static>,
    rows: u64,
}

fn day(second: i64) -> i64 {
    second.div_euclid(DAY_S) * DAY_S
}

impl Days {
    /// Of nothing so far.
    pub(super) fn new(month: Month) -> Self {
        let fold = Fold::new(&*BY_DAY, None);
        Self { month, pool: Pool::default(), fold, rows: 0 }
    }

    /// Adds the rows of a file; `false`: there are too many.
    ///
    /// # Errors
    /// It is broken.
    pub(super) fn add(&mut self, table: &Table) -> Result<bool, Broken> {
        let Self { pool, fold, rows, .. } = self;
        table.rows((i64::MIN, i64::MAX), HOSTS, pool, |pool, row| {
            *rows += 1;
            fold.add(row, &pool.hosts);
        })?;
        Ok(fold.len() <= MAX_ROWS)
    }

    /// Writes it; how many rows. `None`: it is hardly smaller than what it sums up.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn write(self, database: [u8; 16], out: &File) -> io::Result<Option<u64>> {
        let Self { month, pool, fold, rows: all } = self;
        let rows = fold.finish(&pool.hosts).0;
        let count = rows.len() as u64;
        if count.saturating_mul(WORTH) > all {
            return Ok(None);
        }
        let nobody = Endpoint { address: IpAddr::from([0, 0, 0, 0]), mac: None };
        let nowhere = Interface { name: String::new(), vlan: None };
        let month_rows = MonthRows {
            hosts: pool.hosts.values().to_vec(),
            candidate_sets: pool.candidate_sets.values().to_vec(),
            endpoints: vec![nobody],
            interfaces: vec![nowhere],
            sources: vec![Vec::new()],
            rows,
            ..MonthRows::default()
        };
        drop(pool);
        let labels = Labels { device: vec![String::new()], name: vec![String::new()] };
        let sites = Sites::new();
        let about = About { database, recorder: database, month, generation: 0, sites: &sites };
        // A site is looked for in all of it.
        let layout = Layout { bloom: true, seconds: DAY_S as i32, ..Layout::default() };
        write::rows(out, (&month_rows, &labels), (0..month_rows.rows.len()).collect(), (&about, layout))?;
        Ok(Some(count))
    }
}

/// Of the days from `days.0` to before `days.1` whether none is divided by what is told apart.
pub(super) fn are_whole(apart: &[Apart<'_>], observed: Observed, days: (i64, i64)) -> bool {
    apart.iter().take(MAX_VIEWS).all(|of| {
        let (mut stretch, mut at) = (of.stretch(observed), day(days.0));
        while at < days.1 {
            let stands = stretch(at);
            let mut others = (at..at.saturating_add(DAY_S)).step_by(BUCKET_S as usize);
            if !others.all(|bucket_s| stretch(bucket_s) == stands) {
                return false;
            }
            at = at.saturating_add(DAY_S);
        }
        true
    })
}
