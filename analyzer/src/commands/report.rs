//! `report`: bytes by one or several keys.

use super::source::{self, Told, Wish, books_for};
use super::{deliver, gauges, owners_told, plan};
use crate::cli::{ReportArgs, Surroundings};
use crate::error::{Error, Outcome};
use crate::page;
use crate::question::{Key, Question};
use crate::range::Range;
use crate::report::overview::{Naming, Overview};
use crate::report::{Carried, Comparison, Format, Report};
use std::io::Write;
use std::net::UdpSocket;
use std::path::PathBuf;

pub(super) fn run(
    args: &ReportArgs,
    around: &Surroundings,
    servers: Option<Result<Vec<UdpSocket>, Error>>,
    out: &mut dyn Write,
) -> Result<Outcome, Error> {
    if args.asked.output.format() == Format::Prometheus {
        return gauges::run(args, around, out);
    }
    let question = args.question(around)?;
    let sites = args.asked.sites()?;
    if let Some(ranges) = args.compared(around, &question.range)? {
        return compare(args, around, (&question, ranges), out);
    }
    let masked = args.asked.mask.mask.is_some();
    let naming = if servers.is_some() { Naming::Resolved } else { Naming::Seen };
    let hosts = Question { keys: question.keys.iter().copied().chain([Key::Host]).collect(), ..question.clone() };
    let told = match (args.is_overview(), naming) {
        (true, _) => Told::of_page(&question, &sites, naming),
        (false, Naming::Resolved) => Told::by(&hosts),
        (false, Naming::Seen) => Told::by(&question),
    };
    // A name by reverse lookup may be one that is asked for.
    let is_all = masked || args.is_overview() || naming == Naming::Resolved;
    let told = if is_all { told } else { told.only(question.only(&[], &sites)) };
    let mut sourced = match &args.dataset {
        // What a mask hides is told by all addresses of devices: a database knows them anyway.
        Some(root) => source::of_dataset(root, if masked { told.everything() } else { told }, around)?,
        None => books_for(told, &args.files, (&args.asked.store, &args.asked.capture), around)?,
    };
    if let Some(servers) = servers {
        let database = args.files.is_empty().then(|| args.asked.store.database(around)).transpose()?;
        super::resolve::run((&args.resolve, servers), database.as_deref(), around, &mut sourced.books)?;
    }
    let to = args.asked.output.output.as_deref();
    if args.is_overview() {
        let overview = Overview::new(&sourced.books, &question, &sites)?.looked_in(sourced.looked);
        let overview = overview.masked(args.asked.mask.mask, &sourced.books);
        // What files hold says nothing of a plan.
        let plans = if args.files.is_empty() && args.dataset.is_none() {
            plan::of_now(args, around, &sites)?
        } else {
            Vec::new()
        };
        let plans: Vec<_> = plans.iter().map(|used| (used.plan, &used.standing)).collect();
        deliver(to, out, |out| page::write(&overview, &plans, out))?;
        return Ok(owners_told(&sites, sourced.outcome));
    }
    let report = Report::new(&sourced.books, &question, &sites)?;
    let report = report.looked_in(sourced.looked).masked(args.asked.mask.mask, &sourced.books);
    deliver(to, out, |out| report.write(args.asked.output.format(), around.text_style(to, args.ledger), out))?;
    Ok(owners_told(&sites, sourced.outcome))
}

/// The report beside that of another range, or of other files.
fn compare(
    args: &ReportArgs,
    around: &Surroundings,
    (question, [now, before]): (&Question, [Range; 2]),
    out: &mut dyn Write,
) -> Result<Outcome, Error> {
    let sites = args.asked.sites()?;
    let of = |files: &[PathBuf], range: &Range, wish| {
        source::wished(files, (&args.asked.store, &args.asked.capture), around, (range, wish))
    };
    let sourced = of(&args.files, &now, Wish::Names)?;
    let others = if args.compare_with.is_empty() { &args.files } else { &args.compare_with };
    let before_sourced = of(others, &before, Wish::Sums)?;
    let question_of = |range| Question { range, ..question.clone() };
    let (question, question_before) = (question_of(now), question_of(before));
    let carried = Carried { names: &sourced.names, limit: args.limit_of_comparison() };
    let both = [(&sourced.books, &question), (&before_sourced.books, &question_before)];
    let comparison = Comparison::new(both, &sites, carried)?.masked(args.asked.mask.mask, &sourced.books);
    let to = args.asked.output.output.as_deref();
    deliver(to, out, |out| comparison.write(args.asked.output.format(), around.text_style(to, args.ledger), out))?;
    let skipped = |outcome| if let Outcome::Skipped(count) = outcome { count } else { 0 };
    Ok(owners_told(&sites, sourced.outcome.and_skipped(skipped(before_sourced.outcome))))
}
