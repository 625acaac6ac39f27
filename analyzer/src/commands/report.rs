//! `report`: bytes by one or several keys.

use super::{books, deliver};
use crate::cli::{ReportArgs, Surroundings};
use crate::error::{Error, Outcome};
use crate::question::Key;
use crate::report::Report;
use std::io::Write;

pub(super) fn run(args: &ReportArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let question = args.question(around)?;
    super::not_an_input(args.output.output.as_deref(), &args.files)?;
    let sites = args.sites.sites()?;
    let pages = question.keys.contains(&Key::Page);
    let mut sourced = books(&args.files, &args.store, &args.capture, around, &question.range, pages)?;
    if args.resolve.resolve {
        let database = args.files.is_empty().then(|| args.store.database(around)).transpose()?;
        super::resolve::run(&args.resolve, database.as_deref(), around, &mut sourced.books)?;
    }
    let report = Report::new(&sourced.books, &question, &sites)?;
    let report = report.looked_in(sourced.looked);
    let to = args.output.output.as_deref();
    deliver(to, out, |out| report.write(args.output.format(), around.text_style(to, args.ledger), out))?;
    Ok(sourced.outcome)
}
