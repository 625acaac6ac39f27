//! `[alert]`: what asks for somebody's attention.

use super::plans::amount;
use super::read::{Section, name, one_of};
use crate::alert::{Per, Rate, Rules};
use crate::error::Error;
use crate::table::units::Units;
use std::path::Path;

/// Most rates: each is summed up in each run.
const MAX_RATES: usize = 100;

/// Highest part of a plan.
pub(crate) const MAX_PERCENT: u32 = 1_000;

const PER: [(&str, Per); 2] = [("hour", Per::Hour), ("day", Per::Day)];

/// Takes in `[alert]`; what it does not say stays as it was.
///
/// # Errors
/// Usage: it is not understood.
pub(super) fn take(rules: &mut Rules, mut section: Section<'_>, home: Option<&Path>) -> Result<(), Error> {
    let bytes = |text: &str| amount(text, Units::Decimal);
    if let Some(exec) = section.path("exec", home)? {
        rules.exec = Some(exec.value);
    }
    if let Some(percent) = section.numbers("percent", 1, MAX_PERCENT)? {
        rules.percent = percent;
    }
    if let Some(projection) = section.flag("projection")? {
        rules.projection = projection.value;
    }
    if let Some(silent) = section.parsed("silent", seconds)? {
        rules.silent_s = Some(silent.value);
    }
    if let Some(new_site) = section.parsed("new_site", bytes)? {
        rules.new_site = Some(new_site.value);
    }
    if let Some(new_device) = section.flag("new_device")? {
        rules.new_device = new_device.value;
    }
    let text = section.text;
    if let Some(tables) = section.tables("rate", MAX_RATES)? {
        rules.rates = Vec::new();
        for table in tables {
            let mut rate = Section::new(text, "alert.rate", table.value).at(table.span.clone());
            let missing = |key| text.error(&table.span, format!("[[alert.rate]] says no `{key}`"));
            let site = rate.parsed("site", super::plans::site)?.map(|said| said.value);
            let device = rate.parsed("device", name)?.map(|said| said.value);
            let own = rate.name("name")?.map(|said| said.value);
            let called = own.or_else(|| match (&site, &device) {
                (Some(site), Some(device)) => Some(format!("{site} of {device}")),
                (site, device) => site.clone().or_else(|| device.clone()),
            });
            rules.rates.push(Rate {
                name: called.unwrap_or_else(|| "everything".to_owned()),
                site,
                device,
                above: rate.parsed("above", bytes)?.ok_or_else(|| missing("above"))?.value,
                per: rate.parsed("per", |text| one_of(text, &PER))?.map_or(Per::Day, |said| said.value),
            });
            rate.finish()?;
        }
    }
    section.finish()
}

/// `30 minutes`, `2 hours`, `1 day`.
fn seconds(text: &str) -> Result<u32, &'static str> {
    const EXPECTED: &str = "expected a time such as \"30 minutes\", \"2 hours\" or \"1 day\"";
    let (number, unit) = text.split_once(' ').ok_or(EXPECTED)?;
    let factor = match unit.trim_end_matches('s') {
        "minute" => 60,
        "hour" => 3_600,
        "day" => 86_400,
        _ => return Err(EXPECTED),
    };
    let number: u32 = number.parse().ok().filter(|n| *n > 0).ok_or(EXPECTED)?;
    // A year: who wants to hear of it later wants to hear nothing.
    number.checked_mul(factor).filter(|s| *s <= 366 * 86_400).ok_or(EXPECTED)
}
