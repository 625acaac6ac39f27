//! What of a plan is used, and what is left.

use super::period::{Period, days_between, start_of};
use super::projection::{Daily, Projection, WEEKS_BEFORE};
use super::{Counted, Plan};
use crate::books::BUCKET_S;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::ToSpan as _;
use jiff::civil::Date;
use std::collections::{BTreeMap, HashMap};

/// Most periods that rollover is followed back: two years. What was unused before is long gone.
const MAX_PERIODS_BACK: usize = 24;

/// Bytes of a quarter hour. Up is from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metered {
    /// Its beginning: Unix seconds, a multiple of [`BUCKET_S`].
    pub bucket_s: i64,
    /// Of a site that does not count.
    pub is_free: bool,
    /// Bytes from our side.
    pub up: u64,
    /// Bytes to our side.
    pub down: u64,
}

/// What was observed at all: for saying what gaps make of it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// First instant of which anything is known.
    pub first: Option<UnixNanos>,
    /// Stretches without records after it, in order; they do not overlap.
    pub missing: Vec<(UnixNanos, UnixNanos)>,
}

/// What of a plan is used at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The instant.
    pub at: UnixNanos,
    /// Its local day; of a period that is over the last one.
    pub today: Date,
    /// The period.
    pub period: Period,
    /// Bytes that count, those before imon included.
    pub used: u64,
    /// Of these, bytes before imon.
    pub already_used: u64,
    /// Bytes from our side that count.
    pub up: u64,
    /// Bytes to our side that count.
    pub down: u64,
    /// Bytes of both directions that do not count, by their hour or their site.
    pub free: u64,
    /// Bytes that were unused in the period before, and are there in this one.
    pub carried: u64,
    /// Cap and carried bytes together.
    pub allowance: Option<u64>,
    /// What is left of it.
    pub left: Option<u64>,
    /// What is used beyond it.
    pub over: u64,
    /// Days that the period has still, today included; 0 when it is over.
    pub days_left: u32,
    /// What is left for each of them.
    pub daily: Option<u64>,
    /// Seconds of the period that are over.
    pub elapsed_s: u64,
    /// Of these, seconds that were recorded.
    pub recorded_s: u64,
    /// What the period may come to; `None` when it is over, or has just begun.
    pub projection: Option<Projection>,
    /// 95th percentile of the quarter hours, in bit/s, from our side and to it: a twentieth of them
    /// were faster. `None` before the first one is over.
    pub p95: Option<(u64, u64)>,
}

impl Standing {
    /// Whether some of the period was not recorded: then more was used.
    pub fn is_at_least(&self) -> bool {
        self.recorded_s < self.elapsed_s
    }
}

/// Counted bytes, direction by direction.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    up: u64,
    down: u64,
    free: u64,
}

impl Sum {
    fn add(&mut self, row: &Metered, is_free: bool) {
        match is_free {
            true => self.free = self.free.saturating_add(row.up).saturating_add(row.down),
            false => {
                self.up = self.up.saturating_add(row.up);
                self.down = self.down.saturating_add(row.down);
            }
        }
    }
}

impl Plan {
    /// From when on rows are needed to say what is used in `period`: for the days before that a
    /// projection is made of, and for what is carried over.
    pub fn needs_from(&self, period: &Period, today: Date) -> UnixNanos {
        let weeks = i64::from(7 * WEEKS_BEFORE).days();
        let weeks = today.checked_sub(weeks).ok().and_then(|day| start_of(day, &self.zone));
        let mut from = weeks.map_or(period.from, |weeks| weeks.min(period.from));
        if self.rollover > 0 {
            let first = self.periods_back(period).last().map(|first| first.from);
            from = first.map_or(from, |first| first.min(from));
        }
        from
    }

    /// Periods before `period`, latest first.
    fn periods_back(&self, period: &Period) -> Vec<Period> {
        std::iter::successors(self.before(period), |period| self.before(period)).take(MAX_PERIODS_BACK).collect()
    }

    /// What of `period` is used at `now`. `rows`: those from [`Plan::needs_from`] on, of the plan's
    /// interfaces, in any order; later ones than `now` do not count.
    pub fn standing(&self, period: Period, now: UnixNanos, rows: &[Metered], seen: &Seen) -> Option<Standing> {
        let at = now.min(period.to);
        let today = if now < period.to { self.day_of(now)? } else { period.after.yesterday().ok()? };
        let counted = Tally::new(self, &period, now, rows);
        let already_used = self.already(&period);
        let Sum { up, down, free } = counted.sum;
        let used = self.counted.of(up, down).saturating_add(already_used);
        let carried = self.carried(&period, &counted, seen);
        let allowance = self.cap.map(|cap| cap.saturating_add(carried));
        let left = allowance.map(|allowance| allowance.saturating_sub(used));
        let days_left = if now < period.to { days_between(today, period.after) } else { 0 };
        let mut standing = Standing {
            at,
            today,
            used,
            already_used,
            up,
            down,
            free,
            carried,
            allowance,
            left,
            over: allowance.map_or(0, |allowance| used.saturating_sub(allowance)),
            days_left,
            daily: left.and_then(|left| left.checked_div(days_left.into())),
            elapsed_s: seconds(period.from, at),
            recorded_s: seen.recorded_s(period.from, at),
            projection: None,
            p95: counted.p95(&period, at, seen),
            period,
        };
        if now < standing.period.to {
            standing.projection = Projection::of(self, &standing, &counted.daily(self, today, seen));
        }
        Some(standing)
    }

    /// Bytes of the period that were used before imon was there.
    fn already(&self, period: &Period) -> u64 {
        let of_it = self.already_used.filter(|(day, _)| (period.first..period.after).contains(day));
        of_it.map_or(0, |(_, bytes)| bytes)
    }

    /// What was unused in the periods before, and is there in `period`. What was carried is used
    /// first. A period that imon did not see from its beginning gives nothing: how much of it was
    /// unused nobody knows.
    fn carried(&self, period: &Period, tally: &Tally, seen: &Seen) -> u64 {
        let Some(cap) = self.cap.filter(|_| self.rollover > 0) else { return 0 };
        let mut carried = 0_u64;
        for before in self.periods_back(period).iter().rev() {
            let is_whole = seen.first.is_some_and(|first| first <= before.from);
            let has_said = self.already_used.is_some_and(|(day, _)| (before.first..before.after).contains(&day));
            let used = tally.used_in(before, self.counted).saturating_add(self.already(before));
            carried = match is_whole || has_said {
                true => cap.saturating_add(carried).saturating_sub(used).min(cap).min(self.rollover),
                false => 0,
            };
        }
        carried
    }

    /// Whether nothing counts in a quarter hour, by its local time.
    fn is_free_at(&self, bucket_s: i64) -> bool {
        let at = UnixNanos(bucket_s.saturating_mul(NANOS_PER_SECOND));
        !self.free_hours.is_empty()
            && self.local(at).is_some_and(|local| self.free_hours.iter().any(|hours| hours.holds(local.datetime())))
    }
}

/// Rows by time.
struct Tally {
    /// Of the period.
    sum: Sum,
    /// Of each quarter hour of all rows: those that count.
    buckets: BTreeMap<i64, (u64, u64)>,
}

impl Tally {
    fn new(plan: &Plan, period: &Period, now: UnixNanos, rows: &[Metered]) -> Self {
        let mut tally = Self { sum: Sum::default(), buckets: BTreeMap::new() };
        let mut free: HashMap<i64, bool> = HashMap::new();
        for row in rows {
            let at = UnixNanos(row.bucket_s.saturating_mul(NANOS_PER_SECOND));
            if now <= at {
                continue;
            }
            let is_free = row.is_free || *free.entry(row.bucket_s).or_insert_with(|| plan.is_free_at(row.bucket_s));
            if period.contains(at) {
                tally.sum.add(row, is_free);
            }
            if !is_free {
                let (up, down) = tally.buckets.entry(row.bucket_s).or_default();
                (*up, *down) = (up.saturating_add(row.up), down.saturating_add(row.down));
            }
        }
        tally
    }

    /// Bytes up and down that counted from one instant to another.
    fn between(&self, from: UnixNanos, to: UnixNanos) -> (u64, u64) {
        let bucket = |at: UnixNanos| at.0.div_euclid(NANOS_PER_SECOND);
        if to <= from {
            return (0, 0);
        }
        let add = |sum: (u64, u64), (_, bytes): (&i64, &(u64, u64))| {
            (sum.0.saturating_add(bytes.0), sum.1.saturating_add(bytes.1))
        };
        self.buckets.range(bucket(from)..bucket(to)).fold((0, 0), add)
    }

    fn used_in(&self, period: &Period, counted: Counted) -> u64 {
        let (up, down) = self.between(period.from, period.to);
        counted.of(up, down)
    }

    /// Days of the weeks before `today` that imon saw from their beginning.
    fn daily(&self, plan: &Plan, today: Date, seen: &Seen) -> Daily {
        let mut daily = Daily::default();
        for ago in 1..=i64::from(7 * WEEKS_BEFORE) {
            let day = today.checked_sub(ago.days()).ok();
            let ends = day
                .and_then(|day| Some((day, start_of(day, &plan.zone)?, start_of(day.tomorrow().ok()?, &plan.zone)?)));
            let Some((day, start, end)) = ends else { continue };
            if seen.first.is_none_or(|first| start < first) || seen.recorded_s(start, end) == 0 {
                continue;
            }
            let (up, down) = self.between(start, end);
            daily.0.insert(day, plan.counted.of(up, down));
        }
        daily
    }

    /// 95th percentile of the quarter hours of the period that are over, those without a byte
    /// included, from the first that imon saw: up and down in bit/s.
    fn p95(&self, period: &Period, at: UnixNanos, seen: &Seen) -> Option<(u64, u64)> {
        let first = seen.first.map_or(period.from, |first| period.from.max(first));
        let first_s = first.0.div_euclid(NANOS_PER_SECOND).div_euclid(BUCKET_S) * BUCKET_S;
        let end_s = at.0.div_euclid(NANOS_PER_SECOND).div_euclid(BUCKET_S) * BUCKET_S;
        let number = usize::try_from(end_s.saturating_sub(first_s) / BUCKET_S).ok().filter(|n| *n > 0)?;
        let inside = || self.buckets.range(first_s..end_s).map(|(_, bytes)| *bytes);
        let rank = |mut bytes: Vec<u64>| {
            bytes.sort_unstable_by(|a, b| b.cmp(a));
            // So many may be faster; those that are not there are quarter hours without a byte.
            let faster = number / 20;
            let bytes = bytes.get(faster).copied().unwrap_or_default();
            bytes.saturating_mul(8) / BUCKET_S.unsigned_abs()
        };
        Some((rank(inside().map(|(up, _)| up).collect()), rank(inside().map(|(_, down)| down).collect())))
    }
}

fn seconds(from: UnixNanos, to: UnixNanos) -> u64 {
    u64::try_from(to.0.saturating_sub(from.0) / NANOS_PER_SECOND).unwrap_or_default()
}

impl Seen {
    /// Seconds of `from..to` that were recorded.
    pub fn recorded_s(&self, from: UnixNanos, to: UnixNanos) -> u64 {
        let Some(first) = self.first.map(|first| first.max(from)).filter(|first| *first < to) else { return 0 };
        let missing = self.missing.iter().map(|(a, b)| seconds((*a).max(first), (*b).min(to)));
        seconds(first, to).saturating_sub(missing.fold(0, u64::saturating_add))
    }
}
