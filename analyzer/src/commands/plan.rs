//! `plan`: what of a billing period is used, and what is left.

mod text;
mod usage;

pub(super) use usage::{Meter, Wanted, is_of, range, standings, wanted};

use super::lines::{Lines, Value};
use super::{books, deliver};
use crate::cli::{LineFormat, PlanArgs, ReportArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::plan::{Plan, Standing};
use crate::range::{Range, rfc3339, zoned};
use crate::report::Format;
use crate::site::Sites;
use imon_common::time::UnixNanos;
use serde_json::{Map, json};
use std::io::Write;

/// A plan, and what of it is used.
#[derive(Debug, Clone)]
pub(super) struct Used<'a> {
    /// The version that is in force.
    pub plan: &'a Plan,
    /// What is used.
    pub standing: Standing,
}

pub(super) fn run(args: &PlanArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let names = names(&args.names, around)?;
    let sites = args.answer.sites.sites()?;
    let now = around.now_nanos().ok_or_else(|| Error::failed("the clock shows no time that can be counted"))?;
    let wanted = wanted(&around.config.plans, &names, args.on.as_deref(), now)?;
    let range = range(&wanted, now);
    let sourced = books(&[], (&args.answer.store, &args.capture), around, &range)?;
    let used = standings(&wanted, &Meter { books: &sourced.books, sites: &sites, now });
    let to = args.answer.output.output.as_deref();
    deliver(to, out, |out| match args.answer.output.format() {
        Format::Table => out.write_all(text::text(&used, &around.text_style(to, None)).as_bytes()),
        Format::Csv => {
            let mut lines = Lines::new(out, LineFormat::Csv);
            lines.header(&COLUMNS);
            used.iter().for_each(|used| lines.line(&csv(used)));
            lines.finish()
        }
        _ => {
            let plans: Vec<_> = used.iter().map(to_json).collect();
            let mut document: Map<String, serde_json::Value> =
                crate::version::fields(&sites).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            document.insert("plans".into(), json!(plans));
            writeln!(out, "{}", crate::table::safe_json(serde_json::to_string_pretty(&document)?))
        }
    })?;
    Ok(sourced.outcome)
}

/// What of every plan that is in force is used now, by the database. Nothing where there is no
/// plan.
///
/// # Errors
/// The database cannot be read.
pub(super) fn of_now<'a>(args: &ReportArgs, around: &'a Surroundings, sites: &Sites) -> Result<Vec<Used<'a>>, Error> {
    let Some((now, wanted)) = in_force(around) else { return Ok(Vec::new()) };
    let sourced = books(&[], (&args.asked.store, &args.asked.capture), around, &usage::range(&wanted, now))?;
    Ok(standings(&wanted, &Meter { books: &sourced.books, sites, now }))
}

/// The plans that are in force now, with their periods; `None` if none is.
pub(super) fn in_force(around: &Surroundings) -> Option<(UnixNanos, Vec<Wanted<'_>>)> {
    let now = around.now_nanos()?;
    // Errors say that there is none, and that none is in force.
    let names = names(&[], around).ok()?;
    let wanted = usage::wanted(&around.config.plans, &names, None, now).ok()?;
    Some((now, wanted))
}

/// The plans that are asked for, each once, in the order of the configuration.
pub(super) fn names(asked: &[String], around: &Surroundings) -> Result<Vec<String>, Error> {
    let mut known: Vec<String> = Vec::new();
    for plan in &around.config.plans {
        if !known.contains(&plan.name) {
            known.push(plan.name.clone());
        }
    }
    if known.is_empty() {
        return Err(Error::usage("there is no plan")
            .cause("the configuration has no section [[plan]]")
            .hint(around.config.hint_to_say("[[plan]]", "billing_day = 15, and cap = \"100 GB\"")));
    }
    if let Some(name) = asked.iter().find(|name| !known.contains(name)) {
        return Err(Error::usage(format!("there is no plan `{}`", shown(name)))
            .hint(format!("there are: {}", shown(&known.join(", ")))));
    }
    Ok(known.into_iter().filter(|name| asked.is_empty() || asked.contains(name)).collect())
}

/// A plan's time as scripts get it, in the zone of the plan.
fn instant(plan: &Plan, at: UnixNanos) -> String {
    zoned(at, &plan.zone).as_ref().map(rfc3339).unwrap_or_default()
}

/// Part of the allowance that is used, in percent.
pub(super) fn percent(standing: &Standing) -> Option<f64> {
    let allowance = standing.allowance.filter(|allowance| *allowance > 0)?;
    Some((standing.used as f64 * 1000.0 / allowance as f64).round() / 10.0)
}

/// One plan for scripts: see docs/OUTPUT.md.
fn to_json(Used { plan, standing }: &Used<'_>) -> serde_json::Value {
    let period = &standing.period;
    let last = period.after.yesterday().map(|day| day.to_string()).unwrap_or_default();
    let projection = standing.projection.map(|p| {
        json!({
            "low_bytes": p.low, "high_bytes": p.high, "pace_bytes": p.pace, "recorded_pace_bytes": p.recorded_pace,
            "weekdays_bytes": p.weekdays,
        })
    });
    let p95 = standing.p95.map(|(up, down)| {
        json!({"interval_seconds": crate::books::BUCKET_S, "up_bits_per_second": up, "down_bits_per_second": down})
    });
    json!({
        "plan": plan.name,
        "interfaces": plan.interfaces,
        "zone": Range::everything(plan.zone.clone()).zone_name(),
        "from": instant(plan, period.from),
        "to": instant(plan, period.to),
        "first_day": period.first.to_string(),
        "last_day": last,
        "days": period.days(),
        "days_left": standing.days_left,
        "at": instant(plan, standing.at),
        "counted": plan.counted.word(),
        "cap_bytes": plan.cap,
        "carried_bytes": standing.carried,
        "allowance_bytes": standing.allowance,
        "used_bytes": standing.used,
        "used_percent": percent(standing),
        "at_least": standing.is_at_least(),
        "already_used_bytes": standing.already_used,
        "up_bytes": standing.up,
        "down_bytes": standing.down,
        "free_bytes": standing.free,
        "left_bytes": standing.left,
        "over_bytes": standing.over,
        "daily_allowance_bytes": standing.daily,
        "elapsed_seconds": standing.elapsed_s,
        "recorded_seconds": standing.recorded_s,
        "projection": projection,
        "percentile_95": p95,
    })
}

const COLUMNS: [&str; 20] = [
    "plan",
    "from",
    "to",
    "counted",
    "cap_bytes",
    "carried_bytes",
    "allowance_bytes",
    "used_bytes",
    "at_least",
    "up_bytes",
    "down_bytes",
    "free_bytes",
    "left_bytes",
    "over_bytes",
    "days_left",
    "daily_allowance_bytes",
    "low_bytes",
    "high_bytes",
    "up_bits_per_second",
    "down_bits_per_second",
];

fn csv(Used { plan, standing }: &Used<'_>) -> [Value; 20] {
    let number = |n: Option<u64>| n.map_or(Value::Null, Value::Number);
    let (up, down) = standing.p95.unzip();
    [
        Value::Text(shown(&plan.name)),
        Value::Text(instant(plan, standing.period.from)),
        Value::Text(instant(plan, standing.period.to)),
        Value::Text(plan.counted.word().into()),
        number(plan.cap),
        Value::Number(standing.carried),
        number(standing.allowance),
        Value::Number(standing.used),
        Value::Text(standing.is_at_least().to_string()),
        Value::Number(standing.up),
        Value::Number(standing.down),
        Value::Number(standing.free),
        number(standing.left),
        Value::Number(standing.over),
        Value::Number(standing.days_left.into()),
        number(standing.daily),
        number(standing.projection.map(|p| p.low)),
        number(standing.projection.map(|p| p.high)),
        number(up),
        number(down),
    ]
}
