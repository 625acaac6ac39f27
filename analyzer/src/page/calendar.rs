//! The calendar: each local hour (days down, hours across) or each day (weekdays down, weeks
//! across) as a cell of a table, the darker the more bytes. It is a table, so that it reads as one.

use crate::report::overview::{Overview, Stretch, Unit};
use crate::table::units::bytes;
use maud::{Markup, html};
use std::collections::BTreeMap;

/// Shades beside that of nothing.
const SHADES: u64 = 6;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Bytes of every time.
pub(super) fn totals(overview: &Overview) -> Vec<u64> {
    let mut totals = vec![0_u64; overview.span.times.len()];
    for site in overview.sites.subjects.iter().chain([&overview.sites.rest]) {
        for (time, amounts) in &site.series {
            if let Some(sum) = totals.get_mut(*time) {
                *sum = sum.saturating_add(amounts.total());
            }
        }
    }
    totals
}

/// The shade of a cell: by the square root, so that quiet hours are told from none.
fn shade(bytes: u64, most: u64) -> u64 {
    if bytes == 0 || most == 0 {
        return 0;
    }
    let share = (bytes as f64 / most as f64).sqrt();
    ((share * SHADES as f64).ceil() as u64).clamp(1, SHADES)
}

pub(super) fn section(overview: &Overview) -> Markup {
    let totals = totals(overview);
    let (note, table) = match overview.span.unit {
        Unit::Hour => ("Every hour of every day.", hours(&overview.span.times, &totals)),
        Unit::Day => ("Every day, weeks from left to right.", days(&overview.span.times, &totals)),
        // Weeks and months are seen in the chart.
        Unit::Week | Unit::Month => return html! {},
    };
    html! {
        section #calendar.card aria-labelledby="calendar-h" {
            div.head {
                h2 #calendar-h { "Calendar" }
                p.quiet { (note) " The darker, the more." }
            }
            div.scroll tabindex="0" role="region" aria-label="Calendar" { (table) }
            p.scale aria-hidden="true" {
                "less " @for shade in 0..=SHADES { i class={ "h" (shade) } {} } " more"
            }
        }
    }
}

/// Rows of 24 hours; the hour that comes twice when clocks are set back is one cell.
fn hours(times: &[Stretch], totals: &[u64]) -> Markup {
    let mut days: BTreeMap<&str, BTreeMap<usize, u64>> = BTreeMap::new();
    for (time, bytes) in times.iter().zip(totals) {
        let (Some(day), Some(hour)) = (time.text.get(0..10), time.text.get(11..13)) else { continue };
        let sum = days.entry(day).or_default().entry(hour.parse().unwrap_or_default()).or_default();
        *sum = sum.saturating_add(*bytes);
    }
    let most = days.values().flat_map(BTreeMap::values).copied().max().unwrap_or_default();
    html! {
        table.heat #heat {
            thead { tr {
                th scope="col" { "day" }
                @for hour in 0..24 { th scope="col" { (format!("{hour:02}")) } }
            } }
            tbody {
                @for (day, hours) in &days {
                    tr {
                        th scope="row" { (super::words::time(day)) }
                        @for hour in 0..24 { (cell(hours.get(&hour).copied(), most)) }
                    }
                }
            }
        }
    }
}

/// Rows of weekdays; columns of weeks.
fn days(times: &[Stretch], totals: &[u64]) -> Markup {
    let mut weeks: BTreeMap<i64, (String, BTreeMap<usize, u64>)> = BTreeMap::new();
    for (time, bytes) in times.iter().zip(totals) {
        let Ok(day) = time.text.parse::<jiff::civil::Date>() else { continue };
        let weekday = day.weekday().to_monday_zero_offset();
        let number = i64::from(day.duration_since(jiff::civil::date(1970, 1, 5)).as_hours().div_euclid(24) as i32);
        let week = weeks.entry(number.div_euclid(7)).or_insert_with(|| (time.text.clone(), BTreeMap::new()));
        week.1.insert(usize::try_from(weekday).unwrap_or_default(), *bytes);
    }
    let most = totals.iter().copied().max().unwrap_or_default();
    html! {
        table.heat.days #heat {
            thead { tr {
                th scope="col" { "week" }
                @for (text, _) in weeks.values() { th scope="col" { span { (super::words::time(text)) } } }
            } }
            tbody {
                @for (nth, name) in WEEKDAYS.iter().enumerate() {
                    tr {
                        th scope="row" { (name) }
                        @for (_, days) in weeks.values() { (cell(days.get(&nth).copied(), most)) }
                    }
                }
            }
        }
    }
}

fn cell(of: Option<u64>, most: u64) -> Markup {
    html! {
        @match of {
            Some(n) => td class={ "h" (shade(n, most)) } { (bytes(n)) },
            None => td {},
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_told_from_nothing_and_the_most_is_darkest() {
        assert_eq!([0, 1, 250, 1_000].map(|n| shade(n, 1_000)), [0, 1, 3, 6]);
        assert_eq!(shade(0, 0), 0);
    }
}
