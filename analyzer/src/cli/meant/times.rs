//! Ranges and billing periods as typed.

use super::super::{RangeArgs, Surroundings};
use crate::error::{Error, shown};
use crate::plan::{self, Plan};
use crate::range::{self, Range, Unsaid};
use imon_common::time::UnixNanos;

impl RangeArgs {
    /// Whether there is an end.
    pub fn is_some(&self) -> bool {
        [&self.from, &self.to, &self.within].iter().any(|end| end.is_some())
    }

    /// The range; without an end it is what `unsaid` is.
    ///
    /// # Errors
    /// Usage: see [`Range::of_typed`] and [`range::zone`].
    pub fn range(&self, around: &Surroundings, unsaid: Unsaid) -> Result<Range, Error> {
        let zone = range::zone(self.zone.as_deref())?;
        let ends = [(&self.from, Ends::First), (&self.to, Ends::Last), (&self.within, Ends::Both)];
        let [from, to, within] = ends.map(|(typed, ends)| typed.as_deref().map(|text| self.billed(text, ends, around)));
        let (from, to, within) = (from.transpose()?, to.transpose()?, within.transpose()?);
        let typed = range::Typed {
            within: within.as_deref().map(|text| ("--in", text)),
            from: from.as_deref(),
            to: to.as_deref(),
        };
        Range::of_typed(&typed, unsaid, around.now, zone)
    }

    /// The versions of the plan that is meant.
    ///
    /// # Errors
    /// Usage: there is none, or none of that name.
    pub fn plan(&self, around: &Surroundings) -> Result<Vec<Plan>, Error> {
        let plans = &around.config.plans;
        let name = self.plan.as_deref().or_else(|| plans.first().map(|plan| plan.name.as_str()));
        let versions: Vec<Plan> = plans.iter().filter(|plan| Some(plan.name.as_str()) == name).cloned().collect();
        match (versions.is_empty(), self.plan.as_deref()) {
            (false, _) => Ok(versions),
            (true, Some(name)) => Err(Error::usage(format!("there is no plan `{}`", shown(name)))
                .hint("`imon-analyze plan` lists them; they stand in the configuration as [[plan]]")),
            (true, None) => Err(Error::usage("there is no plan, and so no billing period")
                .hint(around.config.hint_to_say("[[plan]]", "billing_day = 15"))),
        }
    }

    /// `billing` and `last-billing` as the instants that they stand for; anything else as it is.
    pub(super) fn billed(&self, text: &str, ends: Ends, around: &Surroundings) -> Result<String, Error> {
        let Some(which) = billing(text) else { return Ok(text.to_owned()) };
        let versions = self.plan(around)?;
        let outside =
            || Error::usage("the plan is not in force at that time").hint("`from` in [[plan]] says when it begins");
        let now = around.now_nanos().ok_or_else(outside)?;
        let name = versions.first().map(|plan| plan.name.clone()).unwrap_or_default();
        let mut found = plan::in_force(&versions, &name, now).ok_or_else(outside)?;
        if which == Billing::Last {
            let before = UnixNanos(found.1.from.0.saturating_sub(1));
            found = plan::in_force(&versions, &name, before).ok_or_else(outside)?;
        }
        let (plan, period) = found;
        let show = |at: UnixNanos| plan.local(at).as_ref().map(range::rfc3339).ok_or_else(outside);
        let (from, to) = (show(period.from)?, show(period.to)?);
        Ok(match ends {
            Ends::First => from,
            Ends::Last => to,
            Ends::Both => format!("{from}..{to}"),
        })
    }
}

/// A billing period as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Billing {
    /// That of now.
    This,
    /// The one before.
    Last,
}

/// The billing period that a text stands for, if it does.
pub(super) fn billing(text: &str) -> Option<Billing> {
    match text.to_ascii_lowercase().as_str() {
        "billing" => Some(Billing::This),
        "last-billing" => Some(Billing::Last),
        _ => None,
    }
}

/// Which ends of a stretch of time an option means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ends {
    First,
    Last,
    Both,
}
