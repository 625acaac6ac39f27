//! `site`: bytes of sites or hosts, day by day.

use super::{books, deliver};
use crate::cli::{CaptureArgs, SiteArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::report::{By, Query, Report, Unit};
use std::io::Write;

pub(super) fn run(args: &SiteArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let names = names(&args.names)?;
    let range = args.range.range(around, false)?;
    let sites = args.sites.sites()?;
    let sourced = books(&[], &args.store, &CaptureArgs::default(), around, &range, false)?;
    let query = Query { by: By::Site, limit: None, include_local: args.include_local, range };
    let report = Report::of_names(&sourced.books, &query, &sites, &names, Unit::Day)?;
    let width = around.width.filter(|_| args.output.output.is_none());
    let to = args.output.output.as_deref();
    deliver(to, out, |out| report.write(args.output.format, width, out))?;
    Ok(sourced.outcome)
}

/// The names in the form in which hosts are kept, each once.
fn names(typed: &[String]) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for text in typed {
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        if !name.bytes().all(|b| b.is_ascii_graphic()) || name.is_empty() {
            return Err(Error::usage(format!("`{}` is not a name as it is sent", shown(text)))
                .hint("names with other letters than ASCII are written in punycode, such as xn--mnchen-3ya.de"));
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_in_any_case_and_once() {
        let typed = ["YouTube.com.", "youtube.com", "a.b"].map(String::from);
        assert_eq!(names(&typed).unwrap(), ["youtube.com", "a.b"]);
        assert_eq!(names(&["münchen.de".into()]).unwrap_err().exit_code(), 2);
        assert_eq!(names(&["".into()]).unwrap_err().exit_code(), 2);
    }
}
