//! From the books to what plans are made of: which bytes count, and what was seen.

use super::Used;
use crate::books::{Books, Interface, Traffic};
use crate::error::Error;
use crate::plan::{self, Metered, Period, Plan, Seen};
use crate::question::{Filters, HostFilter};
use crate::range::{Range, Typed, Unsaid};
use crate::site::Sites;
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use jiff::tz::TimeZone;

/// What may be missing before now without anything being wrong: what a recorder has not written
/// yet, and what a timer has not booked yet.
const LATE_NS: i64 = 15 * 60 * NANOS_PER_SECOND;

/// What plans are measured with.
#[derive(Clone, Copy)]
pub(in crate::commands) struct Meter<'a> {
    /// The books.
    pub books: &'a Books,
    /// How hosts become sites.
    pub sites: &'a Sites,
    /// The time.
    pub now: UnixNanos,
}

/// A plan and the period that is asked for.
pub(in crate::commands) type Wanted<'a> = (&'a Plan, Period);

/// The periods of plans that a day lies in, or this moment.
///
/// # Errors
/// Usage: it is no day, or a plan is not in force on it.
pub(in crate::commands) fn wanted<'a>(
    plans: &'a [Plan],
    names: &[String],
    on: Option<&str>,
    now: UnixNanos,
) -> Result<Vec<Wanted<'a>>, Error> {
    let mut wanted = Vec::new();
    for name in names {
        let Some(day) = on else {
            wanted.extend(plan::in_force(plans, name, now));
            continue;
        };
        // A day begins in the zone of the version that is in force on it.
        let mut versions: Vec<&Plan> = plans.iter().filter(|plan| plan.name == *name).collect();
        versions.sort_by_key(|plan| std::cmp::Reverse(plan.from));
        for version in versions {
            let typed = Typed { within: Some(("--on", day)), from: None, to: None };
            let clock = jiff::Timestamp::from_nanosecond(now.0.into()).unwrap_or_default();
            let at = Range::of_typed(&typed, Unsaid::Everything, clock, version.zone.clone())?.from.unwrap_or(now);
            let found = plan::in_force(plans, name, at).filter(|(plan, _)| plan.from == version.from);
            if found.is_some() {
                wanted.extend(found);
                break;
            }
        }
    }
    match wanted.is_empty() {
        true => Err(Error::usage("no plan is in force at that time").hint("`from` in [[plan]] says when one begins")),
        false => Ok(wanted),
    }
}

/// From where on rows are needed, to the last end of a period.
pub(in crate::commands) fn range(wanted: &[Wanted<'_>], now: UnixNanos) -> Range {
    let needs = |(plan, period): &Wanted<'_>| {
        let at = if now < period.to { now } else { UnixNanos(period.to.0.saturating_sub(1)) };
        plan.local(at).map_or(period.from, |local| plan.needs_from(period, local.date()))
    };
    let to = wanted.iter().map(|(_, period)| period.to).max();
    Range { from: wanted.iter().map(needs).min(), to, zone: TimeZone::UTC }
}

/// What of each is used.
pub(in crate::commands) fn standings<'a>(wanted: &[Wanted<'a>], meter: &Meter<'_>) -> Vec<Used<'a>> {
    let used = |(plan, period): &Wanted<'a>| {
        let (rows, seen) = (meter.rows(plan), meter.seen(plan));
        plan.standing(period.clone(), meter.now, &rows, &seen).map(|standing| Used { plan, standing })
    };
    wanted.iter().filter_map(used).collect()
}

impl Meter<'_> {
    /// What counts of the books, or is free by its site: everything that is not local, what the
    /// user has removed included.
    fn rows(&self, plan: &Plan) -> Vec<Metered> {
        let filters = Filters { sites: plan.free_sites.clone(), ..Filters::default() };
        let filter = HostFilter::new(&filters, self.sites);
        let free: Vec<bool> = match plan.free_sites.is_empty() {
            true => Vec::new(),
            false => self.books.hosts.iter().map(|host| filter.takes(host)).collect(),
        };
        let asked: Vec<bool> = self.books.interfaces.iter().map(|interface| is_of(plan, interface)).collect();
        let is_asked =
            |index: u32| plan.interfaces.is_empty() || asked.get(index as usize).copied().unwrap_or_default();
        let rows = self.books.rows.iter().filter(|row| row.traffic != Traffic::Local && is_asked(row.interface));
        let metered = |row: &crate::books::Row| Metered {
            bucket_s: row.bucket_s,
            is_free: free.get(row.host as usize).copied().unwrap_or_default(),
            up: row.up_bytes,
            down: row.down_bytes,
        };
        let removed = self.books.removed.iter().filter(|removed| removed.traffic != Traffic::Local);
        let removed = removed.filter(|removed| plan.interfaces.is_empty() || is_of(plan, &removed.interface));
        // Where it went is not known any more: none of it was free.
        let of_removed = |removed: &crate::books::Removed| {
            let [up, down, ..] = removed.amounts;
            Metered { bucket_s: removed.bucket_s, is_free: false, up, down }
        };
        rows.map(metered).chain(removed.map(of_removed)).collect()
    }

    /// What was seen of the plan's interfaces. Captures say of no time that all of it was seen, and
    /// count from the first to the last packet of all.
    fn seen(&self, plan: &Plan) -> Seen {
        let of = |name: &String| plan.interfaces.is_empty() || plan.interfaces.iter().any(|own| is_on(own, name));
        let spans = self.books.timeline.recorded.iter().filter(|span| of(&span.interface));
        let mut spans: Vec<(UnixNanos, UnixNanos)> = spans.map(|span| (span.from, span.to)).collect();
        if spans.is_empty() {
            spans.extend(self.books.observed);
        }
        spans.sort_unstable();
        let Some((first, mut until)) = spans.first().copied() else { return Seen::default() };
        let mut missing = Vec::new();
        for (from, to) in spans {
            if until < from {
                missing.push((until, from));
            }
            until = until.max(to);
        }
        if until.0.saturating_add(LATE_NS) < self.now.0 {
            missing.push((until, self.now));
        }
        Seen { first: Some(first), missing }
    }
}

/// Whether an interface is one of the plan's: by its name, or with its VLAN as in `eth0.7`.
pub(in crate::commands) fn is_of(plan: &Plan, interface: &Interface) -> bool {
    plan.interfaces.iter().any(|own| match interface.vlan {
        Some(vlan) => *own == interface.name || *own == format!("{}.{vlan}", interface.name),
        None => *own == interface.name,
    })
}

/// Whether a plan's interface is a recorded one, or a VLAN on it.
fn is_on(own: &str, recorded: &str) -> bool {
    own == recorded || own.rsplit_once('.').is_some_and(|(name, _)| name == recorded)
}
