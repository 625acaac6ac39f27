//! Rows of closed months, shared out among threads. Each sums up groups of rows that follow each
//! other, with a pool and sums of its own. Put together in their order these are what one thread
//! makes of all rows.

use super::Broken;
use super::fold::{Apart, Fold};
use super::gathering::{DeviceOf, Gathering};
use super::read::{Pool, Table, Wanted};
use super::schema::Part;
use crate::books::Observed;
use crate::books::month::Month;
use crate::threads;
use parquet::arrow::arrow_reader::RowSelection;

/// Below so many rows one thread reads all: each has to learn the texts of what it reads.
const WORTH_A_THREAD_ROWS: u64 = 131_072;

/// Some rows of a month.
struct Piece<'t> {
    month: Month,
    table: &'t Table,
    /// Which group, and which of its rows; `None`: all of them.
    group: (usize, Option<RowSelection>),
    /// Rows of those before it.
    before: usize,
}

/// Which month cannot be read, and why.
pub(super) type Failed = (Month, Broken);

/// What each thread needs to know.
pub(super) struct Wish<'n> {
    /// What is told apart.
    pub(super) apart: &'n [Apart<'n>],
    pub(super) observed: Observed,
    /// Whatever of a row any of it needs.
    pub(super) wanted: Wanted,
    pub(super) seconds: (i64, i64),
    /// Of no pool.
    pub(super) devices: DeviceOf,
}

/// Sums of some pieces, and what they point to.
pub(super) struct Share<'n> {
    pub(super) pool: Pool,
    pub(super) fold: Fold<'n>,
}

impl<'n> Wish<'n> {
    fn sum(&self, pieces: &[Piece<'_>]) -> Result<Share<'n>, Failed> {
        let Self { apart, observed, wanted, seconds, devices } = self;
        let fold = Fold::new(apart, *observed);
        let (mut share, mut devices) = (Share { pool: Pool::default(), fold }, devices.anew());
        for Piece { month, table, group, .. } in pieces {
            let Share { pool, fold } = &mut share;
            let mut sum = || {
                let mut columns = table.columns(group.clone(), (*seconds, *wanted))?;
                while let Some(batch) = columns.next_batch()? {
                    columns.usage(&batch, None, pool, |pool, _, mut row| {
                        row.device = if wanted.endpoints { devices.of(row.device, pool) } else { 0 };
                        fold.add(row, &pool.hosts);
                    })?;
                }
                Ok(())
            };
            sum().map_err(|broken| (*month, broken))?;
        }
        Ok(share)
    }
}

/// Takes in the rows of these months.
pub(super) fn rows(gathering: &mut Gathering<'_>, tables: &[(Month, &Table)]) -> Result<(), Failed> {
    let count = tables.iter().fold(0, |sum: u64, (_, table)| sum.saturating_add(table.row_count()));
    let threads = gathering.threads.for_work(count, WORTH_A_THREAD_ROWS);
    if threads < 2 || gathering.apart.is_empty() {
        let mut each = tables.iter();
        return each
            .try_for_each(|(month, table)| gathering.table(Part::Rows, table).map_err(|broken| (*month, broken)));
    }
    let (pieces, total) = pieces(tables, gathering.seconds)?;
    let nth = |piece: &Piece<'_>| piece.before.saturating_mul(threads).checked_div(total).unwrap_or_default();
    let shares: Vec<&[Piece<'_>]> = pieces.chunk_by(|a, b| nth(a) == nth(b)).collect();
    let wish = gathering.wish();
    for share in threads::each(&shares, |share| wish.sum(share)) {
        gathering.absorb(share?);
    }
    Ok(())
}

/// The groups of these months that have rows of these seconds, and how many those are.
fn pieces<'t>(tables: &[(Month, &'t Table)], seconds: (i64, i64)) -> Result<(Vec<Piece<'t>>, usize), Failed> {
    let (mut pieces, mut before) = (Vec::new(), 0usize);
    for (month, table) in tables {
        for group in table.groups_of(seconds).map_err(|broken| (*month, broken))? {
            let all = || table.groups().get(group.0).and_then(|of| usize::try_from(of.num_rows()).ok());
            let count = group.1.as_ref().map_or_else(|| all().unwrap_or_default(), RowSelection::row_count);
            pieces.push(Piece { month: *month, table, group, before });
            before = before.saturating_add(count);
        }
    }
    Ok((pieces, before))
}
