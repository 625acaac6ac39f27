//! `[[plan]]`: what a person pays for.

use super::read::{Section, one_of};
use super::{UNITS, zone_name};
use crate::error::Error;
use crate::plan::{Counted, FreeHours, Plan};
use crate::range;
use crate::table::units::Units;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Most plans, versions included.
pub(super) const MAX_PLANS: usize = 100;

/// Most hours and sites of one plan: each row of the books is held against them.
const MAX_FREE: usize = 1_000;

/// The plan that a section describes. `zone`: where it names none.
///
/// # Errors
/// Usage: it is not understood.
pub(super) fn plan(mut section: Section<'_>, nth: usize, zone: Option<&str>) -> Result<Plan, Error> {
    let name = section.name("name")?.map_or_else(|| format!("plan {nth}"), |said| said.value);
    let own_zone = section.parsed("zone", zone_name)?.map(|said| said.value);
    let zone = range::zone(own_zone.as_deref().or(zone)).unwrap_or(TimeZone::UTC);
    let units = section.parsed("units", |text| one_of(text, &UNITS))?.map_or(Units::Decimal, |said| said.value);
    let cap = section.parsed("cap", |text| amount(text, units))?.map(|said| said.value);
    let counted = section.parsed("counted", |text| one_of(text, &Counted::WORDS))?;
    let free_hours = section.list("free_hours", FreeHours::parse)?;
    let free_sites = section.list("free_sites", site)?;
    let rollover = section.parsed("rollover", |text| rollover(text, units))?;
    let used = section.parsed("already_used", |text| amount(text, units))?;
    let used_on = section.day("already_used_on")?;
    let already_used = match (used, used_on) {
        (Some(used), Some(on)) => Some((on.value, used.value)),
        (None, None) => None,
        (Some(used), None) => return Err(section.text.error(&used.span, "`already_used_on` says on which day")),
        (None, Some(on)) => return Err(section.text.error(&on.span, "`already_used` says how much")),
    };
    let plan = Plan {
        name,
        interfaces: section.list("interfaces", super::read::name)?.map(|said| said.value).unwrap_or_default(),
        billing_day: section.number("billing_day", 1, 31)?.map_or(1, |said| i8::try_from(said.value).unwrap_or(1)),
        zone,
        cap,
        units,
        counted: counted.map(|said| said.value).unwrap_or_default(),
        free_hours: free_hours.map(|said| said.value).unwrap_or_default(),
        free_sites: free_sites.map(|said| said.value).unwrap_or_default(),
        rollover: rollover.map_or(0, |said| said.value),
        already_used,
        from: section.day("from")?.map(|said| said.value),
        until: None,
    };
    let span = section.span.clone();
    let text = section.text;
    section.finish()?;
    if plan.rollover > 0 && plan.cap.is_none() {
        return Err(text.error(&span, "`rollover` needs a `cap`"));
    }
    if plan.free_hours.len() + plan.free_sites.len() > MAX_FREE {
        return Err(text.error(&span, format!("more than {MAX_FREE} free hours and sites")));
    }
    Ok(plan)
}

/// Refuses two versions of a plan that begin on one day.
///
/// # Errors
/// The day and the plan of two.
pub(super) fn twins(plans: &[Plan]) -> Option<(&str, Option<Date>)> {
    let is_twin = |(i, plan): &(usize, &Plan)| {
        plans.iter().take(*i).any(|other| other.name == plan.name && other.from == plan.from)
    };
    plans.iter().enumerate().find(is_twin).map(|(_, plan)| (plan.name.as_str(), plan.from))
}

/// A site, family or host, in the form in which hosts are kept.
///
/// # Errors
/// Nothing is called so; in words.
pub(super) fn site(text: &str) -> Result<String, String> {
    let names = crate::cli::names(&[text.to_owned()]);
    names.ok().and_then(|mut names| names.pop()).ok_or_else(|| "no site, family or host is called so".to_owned())
}

/// `true` in words: all that is unused, or at most so much.
fn rollover(text: &str, units: Units) -> Result<u64, String> {
    match text {
        "all" => Ok(u64::MAX),
        "none" => Ok(0),
        text => amount(text, units).map_err(|e| format!("{e}, or all, or none")),
    }
}

/// A number of bytes as providers write it: what a GB is `units` says, a GiB is always binary.
///
/// # Errors
/// It is none; in words.
pub(super) fn amount(text: &str, units: Units) -> Result<u64, &'static str> {
    const EXPECTED: &str = "expected an amount such as \"100 GB\", \"1.5 TB\" or \"500 MiB\"";
    // Beyond it no sum of bytes is.
    const MOST: u128 = 1 << 62;
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(EXPECTED)?;
    let (number, unit) = text.split_at(at);
    let (letter, is_binary) = match unit.trim_start().as_bytes() {
        [b'B'] => (b'B', false),
        [letter, b'B'] => (letter.to_ascii_uppercase(), units == Units::Binary),
        [letter, b'i', b'B'] => (letter.to_ascii_uppercase(), true),
        _ => return Err(EXPECTED),
    };
    let power = b"BKMGTP".iter().position(|known| *known == letter).ok_or(EXPECTED)?;
    let base: u128 = if is_binary { 1024 } else { 1000 };
    let factor = base.pow(u32::try_from(power).map_err(|_| EXPECTED)?);
    // In whole numbers: 0.1 is no binary fraction.
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits =
        |text: &str| (!text.is_empty() && text.len() <= 12).then(|| text.parse::<u128>().ok())?.ok_or(EXPECTED).ok();
    let (whole, tenths) = (digits(whole).ok_or(EXPECTED)?, digits(part).ok_or(EXPECTED)?);
    let below = tenths * factor / 10_u128.pow(u32::try_from(part.len()).map_err(|_| EXPECTED)?);
    let bytes = whole.checked_mul(factor).and_then(|bytes| bytes.checked_add(below)).filter(|bytes| *bytes <= MOST);
    u64::try_from(bytes.ok_or(EXPECTED)?).map_err(|_| EXPECTED)
}
