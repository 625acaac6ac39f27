//! What `flows` and `names` share: what is asked for, and where what comes is seen.

use super::inputs::{Sources, read_options};
use super::lines::Lines;
use super::owners_told;
use super::parties::Parties;
use super::who::Who;
use super::{deliver, flows, names, summary, utc};
use crate::books::{Books, Evidence, Host, Interface};
use crate::cli::{Every, FlowsArgs, LineFormat, NamesArgs, ObservationArgs, Surroundings};
use crate::error::{Error, Outcome};
use crate::question::{Filters, HostFilter};
use crate::range::{Range, Unsaid};
use crate::recorders::Recorders;
use crate::report::Masker;
use crate::rollup::{Interner, Seen};
use crate::site::Sites;
use crate::table::Field;
use imon_common::flow::Flow;
use imon_common::time::UnixNanos;
use serde_json::json;
use std::io::{self, Write};

/// Which flows or names are asked for.
pub(super) struct Asked<'a> {
    pub(super) sites: &'a Sites,
    pub(super) hosts: HostFilter<'a>,
    /// How what is told of both sides is shown.
    pub(super) parties: Parties<'a>,
    /// Recorders that the user has named.
    pub(super) recorders: &'a Recorders,
    pub(super) filters: &'a Filters,
    pub(super) range: Range,
    pub(super) min_bytes: u64,
    /// Which device each client is. `None` where that matters and follows from what is read: the
    /// user asks for devices, or names them.
    pub(super) who: Option<Who>,
}

impl Asked<'_> {
    /// What makes the lists, and which range and bytes they are of.
    pub(super) fn made_by(&self) -> Vec<Field> {
        let instant = |at: Option<UnixNanos>| at.map(utc);
        let mut fields = crate::version::fields(self.sites);
        let Range { from, to, .. } = self.range;
        fields.push(("range", json!({"from": instant(from), "to": instant(to), "zone": self.range.zone_name()})));
        let only = self.parties.masker.filters(self.filters);
        let only: serde_json::Map<_, _> =
            only.into_iter().map(|(what, values)| (what.to_owned(), json!(values))).collect();
        fields.extend((!only.is_empty()).then(|| ("only", only.into())));
        fields
    }

    /// Whether what is booked on, or names, `host` by `evidence` is asked for.
    pub(super) fn takes(&self, host: &Host, evidence: Evidence) -> bool {
        self.filters.takes_evidence(evidence) && self.hosts.takes(host)
    }

    /// Something on our side, as it is shown.
    pub(super) fn own(&self, what: &'static str, text: &str) -> String {
        self.parties.masker.own(what, text).into_owned()
    }
}

/// Where what comes is seen: sources and their interfaces, as far as they have been read.
#[derive(Debug, Default)]
pub(super) struct Where {
    pub(super) seen: Seen,
    pub(super) interfaces: Interner<Interface>,
}

impl Where {
    /// The interface that a flow of a source is on.
    pub(super) fn interface(&mut self, source: usize, flow: &Flow) -> Interface {
        let index = self.seen.index_of(source, flow, &mut self.interfaces);
        self.interfaces.get(index).cloned().unwrap_or_default()
    }

    /// Whether a flow of a source is asked for by where it was seen, and read.
    pub(super) fn is_taken(&mut self, filters: &Filters, source: usize, flow: &Flow) -> bool {
        filters.takes_interface(&self.interface(source, flow)) && filters.takes_source(&self.seen.source(source))
    }
}

/// Runs `work` for the files of `flows` or `names`, and sees to it that its lines arrive.
pub(super) fn observations(
    args: &ObservationArgs,
    around: &Surroundings,
    out: &mut dyn Write,
    work: impl FnOnce(&Sources, &Asked<'_>, &mut Lines<'_>) -> Result<Outcome, Error>,
) -> Result<Outcome, Error> {
    let options = read_options(&args.capture)?;
    let sources = Sources { paths: args.files.clone(), options };
    let to = args.output.as_deref();
    let (sites, filters) = (args.owners.on(args.sites.sites()?)?, args.filters.filters(&around.config)?);
    let masker = Masker::new(args.mask.mask, &Books::default());
    if masker.what().is_some() && args.format() == LineFormat::DisplayFilter {
        return Err(Error::usage("--mask and --format display-filter do not go together")
            .cause("a display filter is made of the addresses that a mask hides"));
    }
    let is_told = filters.device_lists().next().is_none() && around.config.devices.is_empty();
    let asked = Asked {
        hosts: HostFilter::new(&filters, &sites),
        parties: Parties {
            known: &around.config.devices,
            local: &sources.options.local,
            masker: &masker,
            sites: &sites,
        },
        recorders: &around.config.recorders,
        sites: &sites,
        filters: &filters,
        range: args.range.range(around, Unsaid::Everything)?,
        min_bytes: args.min,
        who: is_told.then(Who::default),
    };
    let mut outcome = None;
    let written = deliver(to, out, |out| {
        let mut lines = Lines::new(out, args.format());
        let done = outcome.insert(work(&sources, &asked, &mut lines));
        if done.is_err() {
            // No result, and the error is told instead of this one.
            return Err(io::ErrorKind::InvalidInput.into());
        }
        lines.finish()
    });
    // A command that could not read its input says so first. Without an outcome the output could
    // not be made.
    let outcome = outcome.transpose()?;
    written.map(|()| owners_told(&sites, outcome.unwrap_or_default()))
}

/// Runs `flows`, or its list by quarters of an hour.
pub(super) fn flows(args: &FlowsArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let observations = &args.observations;
    match args.every {
        Some(Every::Quarter) if observations.format() == LineFormat::DisplayFilter => {
            Err(Error::usage("a display filter has no quarters of an hour")
                .hint("`imon-analyze flows FILE --format display-filter` without --every"))
        }
        Some(Every::Quarter) => self::observations(observations, around, out, flows::quarters::run),
        None => self::observations(observations, around, out, flows::run),
    }
}

/// Runs `names`, or its summary.
pub(super) fn names(args: &NamesArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    if args.observations.format() == LineFormat::DisplayFilter {
        return Err(Error::usage("names are no flows that a display filter could find")
            .hint("`imon-analyze flows FILE --site NAME --format display-filter`"));
    }
    if !args.summary {
        return observations(&args.observations, around, out, names::run);
    }
    if !args.observations.filters.is_empty() || args.observations.range.is_some() {
        return Err(Error::usage("--summary is of all names of its files")
            .hint("without --summary, names are listed for one site, device or time"));
    }
    observations(&args.observations, around, out, |sources, asked, lines| summary::run(sources, asked.made_by(), lines))
}
