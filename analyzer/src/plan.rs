//! What a person pays for: plans with their billing periods, and what of them is used.
//!
//! Nothing in here is stored: periods and amounts follow from the rows of 15 minutes and from the
//! plan as it is written now, so that a changed plan changes the past. Pure: no clock, no file, no
//! SQL, no frame; zones only to know when a local day begins.

mod hours;
mod period;
mod projection;
mod standing;

pub use hours::FreeHours;
pub use period::Period;
pub use projection::Projection;
pub use standing::{Metered, Seen, Standing};

use crate::table::units::Units;
use imon_common::time::UnixNanos;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Which bytes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Counted {
    /// Both directions together.
    #[default]
    Both,
    /// Only to our side.
    Down,
    /// Only from our side.
    Up,
    /// Whichever direction of a period is larger.
    Max,
}

impl Counted {
    /// Words for it, as in the configuration and in JSON.
    pub const WORDS: [(&str, Self); 4] =
        [("both", Self::Both), ("down", Self::Down), ("up", Self::Up), ("max", Self::Max)];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, counted)| *counted == self).map_or("both", |(word, _)| word)
    }

    /// What counts of so many bytes in each direction.
    pub fn of(self, up: u64, down: u64) -> u64 {
        match self {
            Self::Both => up.saturating_add(down),
            Self::Down => down,
            Self::Up => up,
            Self::Max => up.max(down),
        }
    }
}

/// A plan, or one version of it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What it is called. Versions of one plan have one name, and begin one after the other.
    pub name: String,
    /// Interfaces whose bytes count; empty: all.
    pub interfaces: Vec<String>,
    /// The day of the month on which a period begins, 1 to 31; the last day of a shorter month.
    pub billing_day: i8,
    /// The zone in which days begin.
    pub zone: TimeZone,
    /// Bytes of a period that are paid for; `None`: the plan has no cap.
    pub cap: Option<u64>,
    /// Units that its amounts are shown in.
    pub units: Units,
    /// Which bytes count.
    pub counted: Counted,
    /// Hours in which no byte counts.
    pub free_hours: Vec<FreeHours>,
    /// Sites, families or hosts whose bytes do not count.
    pub free_sites: Vec<String>,
    /// Most unused bytes of a period that are there in the next one, and in no later one.
    pub rollover: u64,
    /// Bytes that were used before imon was there, and a day of the period in which they were.
    pub already_used: Option<(Date, u64)>,
    /// Its first day; `None`: it was always there.
    pub from: Option<Date>,
    /// The first day of the version that comes after it, and when that day begins: by the zone of
    /// that version.
    pub until: Option<(Date, UnixNanos)>,
}

/// Plans as they are written: versions of one name are ordered, and each ends where the next
/// begins.
pub fn in_versions(mut plans: Vec<Plan>) -> Vec<Plan> {
    for i in 0..plans.len() {
        let Some((name, from)) = plans.get(i).map(|plan| (plan.name.clone(), plan.from)) else { continue };
        let later = plans.iter().filter(|other| other.name == name && other.from > from);
        let until = later.filter_map(|other| Some((other.from?, other.begins()?))).min();
        if let Some(plan) = plans.get_mut(i) {
            plan.until = until;
        }
    }
    plans
}

/// The version of a plan that is in force at an instant, and its period then.
pub fn in_force<'a>(plans: &'a [Plan], name: &str, at: UnixNanos) -> Option<(&'a Plan, Period)> {
    let is_it = |plan: &&Plan| plan.name == name && plan.is_in_force(at);
    plans.iter().filter(is_it).find_map(|plan| Some((plan, plan.period_of(plan.day_of(at)?)?)))
}

#[cfg(test)]
pub(crate) mod tests;
