//! `report --format prometheus`: gauges of today and of billing periods.

use super::{books, deliver, plan};
use crate::cli::{ReportArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::plan::{Plan, Standing};
use crate::range::{self, Range};
use crate::report::Masker;
use crate::report::gauges::{Billed, Gauges};
use jiff::tz::TimeZone;
use std::io::Write;

pub(super) fn run(args: &ReportArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let limit = args.gauges()?;
    let now = around.now_nanos().ok_or_else(|| Error::failed("the clock shows no time that can be counted"))?;
    let zone = range::zone(args.asked.range.zone.as_deref())?;
    let (sites, filters) = (args.asked.sites()?, args.asked.filters.filters(&around.config)?);
    let wanted = plan::in_force(around).map(|(_, wanted)| wanted).unwrap_or_default();
    let from = [plan::range(&wanted, now).from, Gauges::needs_from(now, &zone)].into_iter().flatten().min();
    let range = Range { from, to: None, zone: TimeZone::UTC };
    let sourced = books(&[], (&args.asked.store, &args.asked.capture), around, &range)?;
    let books = &sourced.books;
    let used = plan::standings(&wanted, &plan::Meter { books, sites: &sites, now });
    let masker = Masker::new(args.asked.mask.mask, books);
    let billed: Vec<Billed> = used
        .iter()
        .map(|used| {
            let is_of = |interface| plan::is_of(used.plan, interface);
            let interfaces = (!used.plan.interfaces.is_empty()).then(|| books.interfaces.iter().map(is_of).collect());
            Billed { interfaces, ..billed(used.plan, &used.standing, &masker) }
        })
        .collect();
    let gauges = Gauges { books, sites: &sites, filters: &filters, zone: &zone, now, limit, masker: &masker };
    let text = gauges.text(&billed)?;
    deliver(args.asked.output.output.as_deref(), out, |out| out.write_all(text.as_bytes()))?;
    Ok(sourced.outcome)
}

fn billed(plan: &Plan, standing: &Standing, masker: &Masker) -> Billed {
    let period = &standing.period;
    Billed {
        plan: shown(&masker.own("plan", &plan.name)),
        range: Range { from: Some(period.from), to: Some(period.to), zone: plan.zone.clone() },
        interfaces: None,
        used: standing.used,
        allowance: standing.allowance,
        projection: standing.projection.map(|projection| (projection.low, projection.high)),
    }
}
