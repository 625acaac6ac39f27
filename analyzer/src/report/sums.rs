//! What is summed up for each row of a report, before the frame is made.
//!
//! Sums are kept in a dense list by the number of their cell: a row of the books costs one look-up,
//! and candidates are booked in the same pass.

use super::axes::{Axes, Cell};
use super::pages::{PageNote, PageSums};
use super::places::Places;
use crate::books::{Evidence, Row};
use crate::question::Question;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::work;

/// Number of kinds of evidence.
pub const KINDS: usize = Evidence::ALL.len();

/// Sums of one row of a report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    /// IP bytes from our side.
    pub up: u64,
    /// IP bytes to our side.
    pub down: u64,
    /// Packets of both directions.
    pub packets: u64,
    /// Bytes by kind in the order of [`Evidence::ALL`].
    pub kinds: [u64; KINDS],
    /// Bytes booked here that others could explain.
    pub shared: u64,
    /// Bytes booked elsewhere that this row could explain.
    pub elsewhere: u64,
}

impl Sums {
    /// Bytes of both directions.
    pub fn total(&self) -> u64 {
        self.up.saturating_add(self.down)
    }

    /// Adds the amounts of a row of the books.
    fn add(&mut self, row: &Row) {
        self.up = self.up.saturating_add(row.up_bytes);
        self.down = self.down.saturating_add(row.down_bytes);
        self.packets = self.packets.saturating_add(row.up_packets).saturating_add(row.down_packets);
        if let Some(kind) = self.kinds.get_mut(row.evidence.index()) {
            *kind = kind.saturating_add(row.up_bytes).saturating_add(row.down_bytes);
        }
    }
}

/// Whether a row is asked for, as far as its host does not decide.
pub fn is_asked(question: &Question, axes: &Axes, row: &Row) -> bool {
    question.takes(row.traffic) && question.filters.takes_evidence(row.evidence) && axes.takes(row)
}

/// Sums by cell.
#[derive(Debug, Default)]
pub struct Cells {
    number: HashMap<Cell, u32, RandomState>,
    /// Each cell once, with its sums, in order of first use.
    pub cells: Vec<(Cell, Sums)>,
    /// What the bytes of a cell are made of, in a report with pages, by the cell's place in the
    /// list.
    pub pages: HashMap<u32, PageSums, RandomState>,
    last: Option<(Cell, u32)>,
}

impl Cells {
    /// The sums of the rows that `question` asks for. `notes`: of each row, how it came to its
    /// page.
    pub fn new(rows: &[Row], question: &Question, axes: &mut Axes, notes: &[PageNote]) -> Self {
        let mut sums = Self::default();
        let mut elsewhere: HashMap<Cell, u64, RandomState> = HashMap::default();
        work::steps(rows.len());
        for (i, row) in rows.iter().enumerate() {
            if !is_asked(question, axes, row) {
                continue;
            }
            let cell = axes.cell(row);
            let bytes = row.up_bytes.saturating_add(row.down_bytes);
            let mut shared = false;
            for &place in axes.candidates(row).iter().filter(|place| **place != cell.place) {
                shared = true;
                if place != Places::NOWHERE {
                    let sum = elsewhere.entry(Cell { place, ..cell }).or_default();
                    *sum = sum.saturating_add(bytes);
                }
            }
            if cell.place == Places::NOWHERE {
                continue;
            }
            let number = sums.number(cell);
            if let Some((_, sum)) = sums.cells.get_mut(super::places::index(number)) {
                sum.add(row);
                if shared {
                    sum.shared = sum.shared.saturating_add(bytes);
                }
            }
            if let Some(note) = notes.get(i) {
                sums.pages.entry(number).or_default().book(note, bytes);
            }
        }
        for (cell, bytes) in elsewhere {
            if axes.possible_too || sums.number.contains_key(&cell) {
                let number = sums.number(cell);
                if let Some((_, sum)) = sums.cells.get_mut(super::places::index(number)) {
                    sum.elsewhere = bytes;
                }
            }
        }
        sums
    }

    /// Gives every combination of the other keys a cell for each of `times`, whether there is
    /// anything or not. Nothing where that would be more than `most` cells.
    pub fn fill(&mut self, times: &[u32], cells_without_time: &[Cell], most: usize) {
        if times.len().saturating_mul(cells_without_time.len()) > most {
            return;
        }
        for cell in cells_without_time {
            for time in times {
                self.number(Cell { time: *time, ..*cell });
            }
        }
    }

    /// Number of a cell, given now if it is new.
    fn number(&mut self, cell: Cell) -> u32 {
        if let Some((_, number)) = self.last.filter(|(last, _)| *last == cell) {
            return number;
        }
        let next = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        let number = *self.number.entry(cell).or_insert_with(|| {
            self.cells.push((cell, Sums::default()));
            next
        });
        self.last = Some((cell, number));
        number
    }
}
