//! `site`: bytes of sites or hosts, day by day.

use super::source::{Told, books_for, of_dataset};
use super::{deliver, owners_told};
use crate::cli::{SiteArgs, Surroundings, names, no_file};
use crate::error::{Error, Outcome};
use crate::question::{Key, Question};
use crate::range::Unsaid;
use crate::report::Report;
use std::io::Write;

pub(super) fn run(args: &SiteArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    for word in &args.names {
        no_file(word, "--files names what to look into: imon-analyze site NAME --files FILE")?;
    }
    let (names, filters) = (names(&args.names)?, args.asked.filters.filters(&around.config)?);
    let range = args.asked.range.range(around, Unsaid::of(&args.files))?.in_quarters()?;
    let sites = args.asked.sites()?;
    let question = Question::by(Key::Day, range);
    let question = Question {
        filters,
        min_bytes: args.min,
        include_local: args.include_local,
        now: around.now_nanos(),
        ..question
    };
    // Names stand for hosts.
    let hosts = Question { keys: vec![Key::Host, Key::Day], ..question.clone() };
    let told = Told::by(&hosts).only(question.only(&names, &sites));
    let sourced = match &args.dataset {
        Some(root) => of_dataset(root, told, around)?,
        None => books_for(told, &args.files, (&args.asked.store, &args.asked.capture), around)?,
    };
    let report = Report::of_names(&sourced.books, &question, &sites, &names)?;
    let report = report.looked_in(sourced.looked).masked(args.asked.mask.mask, &sourced.books);
    let to = args.asked.output.output.as_deref();
    deliver(to, out, |out| report.write(args.asked.output.format(), around.text_style(to, args.ledger), out))?;
    Ok(owners_told(&sites, sourced.outcome))
}

#[cfg(test)]
mod tests {
    use crate::cli::names;

    #[test]
    fn names_are_taken_in_any_case_and_once() {
        let typed = ["YouTube.com.", "youtube.com", "a.b"].map(String::from);
        assert_eq!(names(&typed).unwrap(), ["youtube.com", "a.b"]);
        assert_eq!(
            names(&["Bücher.example".into(), "xn--bcher-kva.example".into()]).unwrap(),
            ["xn--bcher-kva.example"]
        );
        assert_eq!(names(&["bü cher.example".into()]).unwrap_err().exit_code(), 2);
        assert_eq!(names(&["a\u{1b}[2J.example".into()]).unwrap_err().exit_code(), 2);
        assert_eq!(names(&["".into()]).unwrap_err().exit_code(), 2);
    }
}
