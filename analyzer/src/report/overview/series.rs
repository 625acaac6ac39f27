//! Bytes of sites, or of devices, over time.

use super::subject::{Amounts, Builder};
use super::{Axes, Cell, Key, Places, Times, Value};
use crate::books::Row;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Sites, or devices, while rows are added to them.
pub(super) struct Series {
    key: Key,
    builders: Vec<Builder>,
    numbers: HashMap<(u32, u32), Option<usize>, RandomState>,
    /// Bytes that could be of something else as well, by cell and number of the time: where that
    /// counts only if it has bytes of its own.
    elsewhere: Vec<(Cell, usize, u64)>,
}

impl Series {
    /// Of values of `key`.
    pub(super) fn new(key: Key) -> Self {
        Self { key, builders: Vec::new(), numbers: HashMap::default(), elsewhere: Vec::new() }
    }

    /// Adds a row that is asked for.
    pub(super) fn add(&mut self, row: &Row, axes: &mut Axes, times: &mut Times) {
        let cell = axes.cell(row);
        let bytes = row.up_bytes.saturating_add(row.down_bytes);
        let mut amounts = Amounts { up: row.up_bytes, down: row.down_bytes, ..Amounts::default() };
        for &place in axes.candidates(row).iter().filter(|place| **place != cell.place) {
            amounts.shared = bytes;
            if place == Places::NOWHERE {
                continue;
            }
            let (cell, time) = (Cell { place, ..cell }, times.number(axes, cell));
            match axes.possible_too {
                true => self.book(cell, axes, (time, Amounts { elsewhere: bytes, ..Amounts::default() })),
                false => self.elsewhere.push((cell, time, bytes)),
            }
        }
        if cell.place != Places::NOWHERE {
            let time = times.number(axes, cell);
            self.book(cell, axes, (time, amounts));
        }
    }

    fn book(&mut self, cell: Cell, axes: &Axes, (time, amounts): (usize, Amounts)) {
        let Self { key, builders, numbers, .. } = self;
        let number = *numbers.entry((cell.place, cell.device)).or_insert_with(|| {
            let Some(Value::Label(label)) = axes.value(cell, 0) else { return None };
            builders.push(Builder::new(*key, label));
            Some(builders.len() - 1)
        });
        if let Some(builder) = number.and_then(|nth| builders.get_mut(nth)) {
            builder.add(time, &amounts);
        }
    }

    /// All of them.
    pub(super) fn finish(mut self, axes: &Axes) -> Vec<Builder> {
        for (cell, time, bytes) in std::mem::take(&mut self.elsewhere) {
            let number = self.numbers.get(&(cell.place, cell.device)).copied().flatten();
            if number.and_then(|nth| self.builders.get(nth)).is_some_and(|builder| builder.has(time)) {
                self.book(cell, axes, (time, Amounts { elsewhere: bytes, ..Amounts::default() }));
            }
        }
        self.builders
    }
}
