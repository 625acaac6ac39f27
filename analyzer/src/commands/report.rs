//! `report`: bytes by site, host, device, time or evidence.

use super::{books, deliver};
use crate::cli::{ReportArgs, Surroundings};
use crate::error::{Error, Outcome};
use crate::report::{By, Query, Report};
use std::io::Write;

pub(super) fn run(args: &ReportArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let range = args.range.range(around, !args.files.is_empty())?;
    super::not_an_input(args.output.output.as_deref(), &args.files)?;
    let sites = args.sites.sites()?;
    let mut sourced = books(&args.files, &args.store, &args.capture, around, &range, args.by == By::Page)?;
    if args.resolve.resolve {
        let database = args.files.is_empty().then(|| args.store.database(around)).transpose()?;
        super::resolve::run(&args.resolve, database.as_deref(), around, &mut sourced.books)?;
    }
    let query = Query { by: args.by, limit: args.limit(), include_local: args.include_local, range };
    let report = Report::new(&sourced.books, &query, &sites)?;
    let width = around.width.filter(|_| args.output.output.is_none());
    let to = args.output.output.as_deref();
    deliver(to, out, |out| report.write(args.output.format, width, out))?;
    Ok(sourced.outcome)
}
