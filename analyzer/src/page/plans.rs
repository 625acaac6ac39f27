//! What of plans is used, at the top of the page: a gauge each, in the units of the plan.

use crate::error::shown;
use crate::plan::{Plan, Standing};
use crate::table::units::bytes_in;
use maud::{Markup, html};

/// `hides`: plans go by their number.
pub(super) fn section(plans: &[(&Plan, &Standing)], hides: bool) -> Markup {
    html! {
        @if !plans.is_empty() {
            section #plans.card aria-label="Billing period" {
                @for (nth, (plan, standing)) in plans.iter().enumerate() {
                    (one(plan, standing, &if hides { format!("plan {}", nth + 1) } else { shown(&plan.name) }))
                }
            }
        }
    }
}

fn one(plan: &Plan, standing: &Standing, name: &str) -> Markup {
    let bytes = |n: u64| bytes_in(n, plan.units);
    let period = &standing.period;
    // Not all was recorded.
    let (least, most) = if standing.is_at_least() { ("at least ", "at most ") } else { ("", "") };
    let last = period.after.yesterday().map(|day| day.to_string()).unwrap_or_default();
    html! {
        div.plan {
            h2 { (name) }
            p.quiet { (period.first) " to " (last) ", billing period; as of " (standing.today) }
            p.big { @if !least.is_empty() { span.of { (least) } } (bytes(standing.used))
                @if let Some(allowance) = standing.allowance { span.of { " of " (bytes(allowance)) } } }
            @if let Some(allowance) = standing.allowance { (gauge(standing, allowance)) }
            p {
                @if standing.over > 0 {
                    strong { (least) (bytes(standing.over)) " more than the plan has." } " "
                } @else if let Some(left) = standing.left {
                    (most) (bytes(left)) " left"
                    @if let Some(daily) = standing.daily { ", " (bytes(daily)) " a day for " (standing.days_left) " days" }
                    ". "
                }
                @if let Some(projection) = standing.projection {
                    "At this pace " (bytes(projection.low)) " to " (bytes(projection.high)) " on " (last) ". "
                }
                @if standing.is_at_least() { "Not all of the period was recorded." }
            }
        }
    }
}

/// Solid: used. Hatched: what the period may come to. A line where the plan ends.
fn gauge(standing: &Standing, allowance: u64) -> Markup {
    let high = standing.projection.map_or(0, |projection| projection.high).max(standing.used);
    let low = standing.projection.map_or(standing.used, |projection| projection.low).max(standing.used);
    // Far more than the plan has would leave the plan itself no room.
    let whole = high.clamp(allowance, allowance.saturating_mul(2)).max(1);
    let percent = |n: u64| (n as f64 * 100.0 / whole as f64).min(100.0);
    let of = |n: u64| format!("{:.2}%", percent(n));
    html! {
        svg.bar.gauge role="img" aria-label=(format!("{:.0} % of the plan is used", standing.used as f64 * 100.0 / allowance.max(1) as f64)) {
            rect.rest width="100%" height="100%" {}
            @if high > standing.used {
                rect.doubt x=(of(standing.used)) width=(format!("{:.2}%", percent(high) - percent(standing.used))) height="100%" {}
                rect.line x=(of(low)) width="1" height="100%" {}
            }
            rect width=(of(standing.used)) height="100%" {}
            @if high > allowance { rect.line x=(of(allowance)) width="3" height="100%" {} }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_plan_there_is_nothing() {
        assert_eq!(section(&[], false).into_string(), "");
    }
}
