//! `site`: bytes of sites or hosts, day by day.

use super::{books, deliver};
use crate::cli::{CaptureArgs, SiteArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::idn;
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
        let name = idn::to_sent(text.trim_end_matches('.')).filter(|name| !name.is_empty());
        let is_name = |name: &String| name.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        let Some(name) = name.filter(is_name) else {
            return Err(Error::usage(format!("`{}` is no name of a site, host or family", shown(text)))
                .hint("such as youtube.com, www.youtube.com, 192.0.2.1, or Google for all sites of a family"));
        };
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
        assert_eq!(
            names(&["Bücher.example".into(), "xn--bcher-kva.example".into()]).unwrap(),
            ["xn--bcher-kva.example"]
        );
        assert_eq!(names(&["bü cher.example".into()]).unwrap_err().exit_code(), 2);
        assert_eq!(names(&["a\u{1b}[2J.example".into()]).unwrap_err().exit_code(), 2);
        assert_eq!(names(&["".into()]).unwrap_err().exit_code(), 2);
    }
}
