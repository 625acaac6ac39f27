//! A plan as people read it: a gauge, and a line for each thing to know.

use super::{Used, percent};
use crate::error::shown;
use crate::plan::{Counted, Plan, Standing};
use crate::range::Range;
use crate::table::TextStyle;
use crate::table::units::bytes_in;
use std::fmt::Write as _;

/// Cells of the gauge.
const GAUGE: usize = 40;

pub(super) fn text(used: &[Used<'_>], style: &TextStyle) -> String {
    let plans: Vec<String> = used.iter().map(|used| plan(used, style)).collect();
    plans.join("\n")
}

fn plan(Used { plan, standing }: &Used<'_>, style: &TextStyle) -> String {
    let bytes = |n: u64| bytes_in(n, plan.units);
    let mut text = String::new();
    let period = &standing.period;
    let last = period.after.yesterday().map(|day| day.to_string()).unwrap_or_default();
    let day = period.days().saturating_sub(standing.days_left).saturating_add(1);
    let zone = shown(&Range::everything(plan.zone.clone()).zone_name());
    let when = match standing.days_left {
        0 => "over".to_owned(),
        _ => format!("day {day} of {}", period.days()),
    };
    // A String takes everything, here and below.
    _ = writeln!(text, "{}: {} to {last} ({zone}), {when}{}", shown(&plan.name), period.first, on(plan));
    if let Some(percent) = percent(standing) {
        _ = writeln!(text, "  {} {percent:.0} %", gauge(standing, style));
    }
    let (least, most) = if standing.is_at_least() { ("at least ", "at most ") } else { ("", "") };
    let of = standing.allowance.map(|allowance| format!(" of {}", bytes(allowance))).unwrap_or_default();
    _ = writeln!(text, "  used        {least}{}{of}{}", bytes(standing.used), parts(plan, standing));
    match (standing.left, standing.over) {
        (Some(_), over @ 1..) => _ = writeln!(text, "  over        {least}{} more than the plan has", bytes(over)),
        (Some(left), _) => {
            let daily = standing.daily.map(|daily| match standing.days_left {
                1 => format!(": {} today", bytes(daily)),
                days => format!(": {} a day for {days} days", bytes(daily)),
            });
            _ = writeln!(text, "  left        {most}{}{}", bytes(left), daily.unwrap_or_default());
        }
        (None, _) => {}
    }
    if let Some(projection) = standing.projection {
        let range = match bytes(projection.low) == bytes(projection.high) {
            true => bytes(projection.low),
            false => format!("{} to {}", bytes(projection.low), bytes(projection.high)),
        };
        let verdict = standing.allowance.map(|allowance| match (projection.low, projection.high) {
            (low, _) if low > allowance => ": more than the plan has",
            (_, high) if high > allowance => ": perhaps more than the plan has",
            _ => "",
        });
        _ = writeln!(text, "  projection  {range} on {last}{}", verdict.unwrap_or_default());
    }
    if standing.free > 0 {
        _ = writeln!(text, "  free        {} do not count", bytes(standing.free));
    }
    if let Some((up, down)) = standing.p95 {
        let (up, down) = (rate(up), rate(down));
        _ = writeln!(text, "  95 % of the quarter hours are below {down} down, {up} up (providers take 5 minutes)");
    }
    if standing.is_at_least() {
        let missing = standing.elapsed_s.saturating_sub(standing.recorded_s);
        _ = writeln!(text, "  {} of {} were not recorded", length(missing), length(standing.elapsed_s));
    }
    text
}

fn on(plan: &Plan) -> String {
    match plan.interfaces.as_slice() {
        [] => String::new(),
        interfaces => format!(", on {}", shown(&interfaces.join(", "))),
    }
}

/// What the used bytes are made of.
fn parts(plan: &Plan, standing: &Standing) -> String {
    let bytes = |n: u64| bytes_in(n, plan.units);
    let counted = match plan.counted {
        Counted::Both => format!("{} down, {} up", bytes(standing.down), bytes(standing.up)),
        Counted::Down => format!("down only; {} up", bytes(standing.up)),
        Counted::Up => format!("up only; {} down", bytes(standing.down)),
        Counted::Max => format!("the larger of {} down, {} up", bytes(standing.down), bytes(standing.up)),
    };
    let mut parts = vec![counted];
    if standing.already_used > 0 {
        parts.push(format!("{} before imon", bytes(standing.already_used)));
    }
    if standing.carried > 0 {
        parts.push(format!("{} of the plan carried over", bytes(standing.carried)));
    }
    format!(" ({})", parts.join(", "))
}

/// How full it is, and with `|` where an even use would be.
fn gauge(standing: &Standing, style: &TextStyle) -> String {
    let cells = |part: u64, whole: u64| {
        let cells = u128::from(part).saturating_mul(GAUGE as u128).checked_div(whole.into()).unwrap_or_default();
        usize::try_from(cells).unwrap_or(GAUGE).min(GAUGE)
    };
    let full = cells(standing.used, standing.allowance.unwrap_or_default());
    let even = cells(standing.elapsed_s, standing.period.length_s());
    let (filled, empty) = if style.bars { ('█', '░') } else { ('#', '.') };
    let cell = |at: usize| match at {
        at if at == even && standing.days_left > 0 => '|',
        at if at < full => filled,
        _ => empty,
    };
    format!("[{}]", (0..GAUGE).map(cell).collect::<String>())
}

/// Bits a second.
fn rate(bits: u64) -> String {
    match bits {
        n if n >= 1_000_000_000 => format!("{:.1} Gbit/s", n as f64 / 1e9),
        n if n >= 1_000_000 => format!("{:.1} Mbit/s", n as f64 / 1e6),
        n if n >= 1_000 => format!("{:.0} kbit/s", n as f64 / 1e3),
        n => format!("{n} bit/s"),
    }
}

/// A length of time as people say it.
fn length(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
