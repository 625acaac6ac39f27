//! Lengths of time on a page: as fine as it has room for.

use crate::books::Observed;
use crate::question::{Key, Question};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use imon_common::time::NANOS_PER_SECOND;

/// Up to so many days a page has hours.
const HOURS_UP_TO_DAYS: i64 = 31;

/// Up to so many it has days; beyond, weeks: two numbers for each of a hundred sites.
const DAYS_UP_TO_DAYS: i64 = 800;

/// Beyond these even weeks are too many.
const WEEKS_UP_TO_DAYS: i64 = 3_660;

/// Up to so many days hosts and devices of a site are known by the hour, by the day, by the week.
const BLOCKS_UP_TO_DAYS: [i64; 3] = [3, 92, 800];

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// A local hour.
    #[default]
    Hour,
    /// A local day.
    Day,
    /// A week of ISO 8601.
    Week,
    /// A local month.
    Month,
}

impl Unit {
    /// The key that has it.
    pub(super) fn key(self) -> Key {
        match self {
            Self::Hour => Key::Hour,
            Self::Day => Key::Day,
            Self::Week => Key::Week,
            Self::Month => Key::Month,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        self.key().word()
    }

    /// That of bytes over time, and that of what they are made of.
    pub(super) fn fitting(observed: Observed, question: &Question) -> (Self, Self) {
        let days = days(observed, question);
        let unit = match days {
            n if n <= HOURS_UP_TO_DAYS => Self::Hour,
            n if n <= DAYS_UP_TO_DAYS => Self::Day,
            n if n <= WEEKS_UP_TO_DAYS => Self::Week,
            _ => Self::Month,
        };
        let [hours, by_day, weeks] = BLOCKS_UP_TO_DAYS;
        let block = match days {
            n if n <= hours => Self::Hour,
            n if n <= by_day => Self::Day,
            n if n <= weeks => Self::Week,
            _ => Self::Month,
        };
        (unit, block)
    }
}

/// Days of the range that have begun; an hour of a clock set back is no day more.
fn days(observed: Observed, question: &Question) -> i64 {
    let (from, to) = question.range.ends(observed);
    let second = |at: jiff::Zoned| at.timestamp().as_second();
    let now = question.now.map(|now| now.0.div_euclid(NANOS_PER_SECOND));
    let to = to.map(second).into_iter().chain(now).min();
    let seconds = from.map(second).zip(to).map_or(0, |(from, to)| to.saturating_sub(from));
    seconds.saturating_sub(3_600).div_euclid(86_400).saturating_add(1)
}

/// A stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Its first second, or that of its first bucket: Unix seconds.
    pub start_s: i64,
    /// What it is called in reports.
    pub text: String,
}

/// The times of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    /// What the times are.
    pub unit: Unit,
    /// Each in order.
    pub times: Vec<Stretch>,
    /// What the blocks are: the times, or several of them.
    pub blocks_unit: Unit,
    /// Each in order.
    pub blocks: Vec<Stretch>,
}

impl Span {
    /// For each block the first of the times that lies in it.
    pub fn block_begins(&self) -> Vec<usize> {
        let first = |block: &Stretch| self.times.partition_point(|time| time.start_s < block.start_s);
        self.blocks.iter().map(first).collect()
    }
}

/// Stretches of time by what they are called, in order of first use.
#[derive(Debug, Default)]
pub(super) struct Axis {
    stretches: Vec<Stretch>,
    by_text: HashMap<String, usize, RandomState>,
}

impl Axis {
    /// The number of a stretch, given now if it is new.
    pub fn add(&mut self, (text, start_s): (String, i64)) -> usize {
        if let Some(nth) = self.number(&text) {
            return nth;
        }
        self.stretches.push(Stretch { start_s, text: text.clone() });
        let nth = self.stretches.len().saturating_sub(1);
        self.by_text.insert(text, nth);
        nth
    }

    /// Its number.
    pub fn number(&self, text: &str) -> Option<usize> {
        self.by_text.get(text).copied()
    }

    fn start_s(&self, nth: usize) -> i64 {
        self.stretches.get(nth).map_or(i64::MAX, |stretch| stretch.start_s)
    }

    /// The number here of each number of another axis; what is new is taken in.
    pub fn learn(&mut self, other: &Self) -> Vec<usize> {
        other.stretches.iter().map(|Stretch { start_s, text }| self.add((text.clone(), *start_s))).collect()
    }

    /// All in the order of time, and the place there of each number.
    pub fn sorted(&self) -> (Vec<Stretch>, Vec<usize>) {
        let mut numbers: Vec<usize> = (0..self.stretches.len()).collect();
        numbers.sort_by_key(|nth| (self.start_s(*nth), *nth));
        let mut order = vec![0; numbers.len()];
        for (place, nth) in numbers.iter().enumerate() {
            if let Some(of) = order.get_mut(*nth) {
                *of = place;
            }
        }
        (numbers.iter().filter_map(|nth| self.stretches.get(*nth).cloned()).collect(), order)
    }
}
