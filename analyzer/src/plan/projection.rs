//! What a period will have come to when it is over.

use super::period::{Period, days_between, start_of};
use super::{Plan, Standing};
use crate::books::BUCKET_S;
use imon_common::time::NANOS_PER_SECOND;
use jiff::ToSpan as _;
use jiff::civil::Date;
use std::collections::BTreeMap;

/// Weeks before today that say what is used on a day of the week: a month's habits.
pub const WEEKS_BEFORE: u32 = 4;

/// This part of the time so far must have been recorded for its pace to stand for the rest: one
/// evening of two weeks does not.
const ENOUGH_PART: u64 = 10;

/// What a period may come to, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projection {
    /// The least of what follows.
    pub low: u64,
    /// The most of it.
    pub high: u64,
    /// At the pace of this period so far.
    pub pace: u64,
    /// At the pace of the times of it that were recorded, as if the others had been alike; `None`
    /// where that were too few to say anything.
    pub recorded_pace: Option<u64>,
    /// What is used, and for each day to come the mean of the same weekday in the weeks before;
    /// `None` where nothing is known of one of them.
    pub weekdays: Option<u64>,
}

/// Bytes that counted on each local day.
#[derive(Debug, Clone, Default)]
pub struct Daily(pub(super) BTreeMap<Date, u64>);

/// `a * b / c`, rounded down.
fn scaled(a: u64, b: u64, c: u64) -> u64 {
    let product = u128::from(a).saturating_mul(b.into());
    product.checked_div(c.into()).map_or(0, |n| u64::try_from(n).unwrap_or(u64::MAX))
}

impl Projection {
    /// Of `standing`, whose period is not over. `daily`: of days before today; of those that imon
    /// did not see nothing. `None` in the first quarter hour.
    pub(super) fn of(plan: &Plan, standing: &Standing, daily: &Daily) -> Option<Self> {
        let period = &standing.period;
        if standing.elapsed_s < BUCKET_S.unsigned_abs() {
            return None;
        }
        let before = standing.already_used;
        let measured = standing.used.saturating_sub(before);
        let length_s = period.length_s();
        let pace = before.saturating_add(scaled(measured, length_s, standing.elapsed_s));
        let is_enough = standing.recorded_s.saturating_mul(ENOUGH_PART) >= standing.elapsed_s;
        let recorded_pace = is_enough.then(|| before.saturating_add(scaled(measured, length_s, standing.recorded_s)));
        let weekdays = to_come(plan, period, standing, daily).map(|more| standing.used.saturating_add(more));
        let all = [Some(pace), recorded_pace, weekdays];
        let (low, high) = (all.iter().flatten().min()?, all.iter().flatten().max()?);
        Some(Self { low: *low, high: *high, pace, recorded_pace, weekdays })
    }
}

/// Bytes of the rest of today and of the days after it, by the same weekdays before today.
fn to_come(plan: &Plan, period: &Period, standing: &Standing, daily: &Daily) -> Option<u64> {
    let today = standing.today;
    let mut sum = 0_u64;
    let mut day = today;
    // A period has at most 31 days.
    for _ in 0..=days_between(today, period.after).min(31) {
        if day >= period.after {
            break;
        }
        let usual = usual(day, today, daily)?;
        sum = sum.saturating_add(match day == today {
            true => {
                let (start, end) = (start_of(today, &plan.zone)?, start_of(today.tomorrow().ok()?, &plan.zone)?);
                let seconds = |ns: i64| u64::try_from(ns / NANOS_PER_SECOND).unwrap_or_default();
                let rest = seconds(end.0.saturating_sub(standing.at.0));
                scaled(usual, rest, seconds(end.0.saturating_sub(start.0)))
            }
            false => usual,
        });
        day = day.tomorrow().ok()?;
    }
    Some(sum)
}

/// The mean of the days with the weekday of `day` in the weeks before today that imon saw.
fn usual(day: Date, today: Date, daily: &Daily) -> Option<u64> {
    let ago = today.weekday().since(day.weekday());
    // The same weekday as today's is a week ago at least.
    let latest = today.checked_sub(i64::from(if ago == 0 { 7 } else { ago }).days()).ok()?;
    let days = (0..WEEKS_BEFORE).filter_map(|week| latest.checked_sub(i64::from(7 * week).days()).ok());
    let seen: Vec<u64> = days.filter_map(|day| daily.0.get(&day).copied()).collect();
    let sum = seen.iter().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
    sum.checked_div(seen.len() as u64)
}
