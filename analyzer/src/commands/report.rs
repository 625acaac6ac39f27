//! `report`: bytes by one or several keys.

use super::source::books_for;
use super::{books, deliver};
use crate::cli::{ReportArgs, Surroundings};
use crate::error::{Error, Outcome};
use crate::page;
use crate::question::Key;
use crate::report::Report;
use crate::report::overview::Overview;
use std::io::Write;
use std::net::UdpSocket;

pub(super) fn run(
    args: &ReportArgs,
    around: &Surroundings,
    servers: Option<Result<Vec<UdpSocket>, Error>>,
    out: &mut dyn Write,
) -> Result<Outcome, Error> {
    let question = args.question(around)?;
    let sites = args.sites.sites()?;
    let mut sourced = match args.is_overview() {
        // Asked in several ways over the same books.
        true => {
            let pages = question.keys.contains(&Key::Page);
            books(&args.files, &args.store, &args.capture, around, &question.range, pages)?
        }
        false => books_for(&question, &args.files, (&args.store, &args.capture), around)?,
    };
    if let Some(servers) = servers {
        let database = args.files.is_empty().then(|| args.store.database(around)).transpose()?;
        super::resolve::run(&args.resolve, servers, database.as_deref(), around, &mut sourced.books)?;
    }
    let to = args.output.output.as_deref();
    if args.is_overview() {
        let overview = Overview::new(&sourced.books, &question, &sites)?.looked_in(sourced.looked);
        let overview = overview.masked(args.mask.mask, &sourced.books);
        deliver(to, out, |out| page::write(&overview, out))?;
        return Ok(sourced.outcome);
    }
    let report = Report::new(&sourced.books, &question, &sites)?;
    let report = report.looked_in(sourced.looked).masked(args.mask.mask, &sourced.books);
    deliver(to, out, |out| report.write(args.output.format(), around.text_style(to, args.ledger), out))?;
    Ok(sourced.outcome)
}
