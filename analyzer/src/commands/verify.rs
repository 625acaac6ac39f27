//! `imon-analyze verify FILE…`: names inside flows are hidden, DNS alone names the flows, and what
//! they carry tells whether it was right. Beside our rules stand the simplest ones.
//!
//! Each capture is judged by itself, and the segments of one recorder together: what one file
//! teaches names no flow of another, as a user who reports on one does not have the other.
//! `--together` is for the pieces of a ring buffer.

mod curve;
mod list;
mod text;

use super::lines::{Lines, Value};
use super::{Sources, complain, deliver, each_found, found};
use crate::attribution::Policy;
use crate::books::Evidence;
use crate::cli::VerifyArgs;
use crate::error::{Error, Outcome, shown};
use crate::ingest::{Found, ReadOptions};
use crate::score::{Judgement, Kept, Marks, Score, Trial};
use crate::site::Sites;
use curve::{CURVES, Curve, MS};
use list::Listed;
use std::collections::HashMap;
use std::io::{self, Write};

/// Columns of JSON and CSV. `part`: `all` files, those `with-answers` of DNS in them, one `file`, a
/// point of the `curve`, or what was `left-out`. `rules`: those of `imon`, or the `baseline`.
/// `evidence`: the kind, or why flows were left out; null for all. `window_ms`: how far the
/// evidence may be from the flow, on a curve. `wrong` is named, but of another site. `answers`:
/// addresses in answers of DNS, of a file.
const COLUMNS: [&str; 16] = [
    "part",
    "file",
    "rules",
    "evidence",
    "window_ms",
    "flows",
    "bytes",
    "named_flows",
    "named_bytes",
    "host_flows",
    "host_bytes",
    "site_flows",
    "site_bytes",
    "wrong_flows",
    "wrong_bytes",
    "answers",
];

/// A point of a curve.
struct Point {
    curve: &'static Curve,
    window_ns: i64,
    marks: Marks,
}

/// What was found.
#[derive(Default)]
struct Findings {
    /// In the order in which they were read.
    files: Vec<String>,
    /// Of each file.
    ours: Vec<Score>,
    /// Of each file.
    baseline: Vec<Score>,
    points: Vec<Point>,
    /// With `--flows`.
    flows: Vec<Listed>,
}

/// Scores files and prints the result.
///
/// # Errors
/// No file could be read; writing.
pub(super) fn run(args: &VerifyArgs, out: &mut dyn Write) -> Result<Outcome, Error> {
    let sites = args.sites.sites()?;
    let options = super::read_options(&args.capture)?;
    let (found, missing) = found(&Sources { paths: args.files.clone(), options: options.clone() })?;
    let groups = if args.together { vec![found] } else { groups(found) };
    let (findings, outcome) = findings(groups, args, &options, &sites)?;
    deliver(args.output.output.as_deref(), out, |out| match (args.flows, args.output.format().lines()) {
        (None, None) => out.write_all(findings.table().as_bytes()),
        (None, Some(format)) => findings.lines(Lines::new(out, format)),
        (Some(_), None) => out.write_all(list::table(&findings.flows).as_bytes()),
        (Some(_), Some(format)) => list::lines(&findings.flows, Lines::new(out, format)),
    })?;
    Ok(outcome.and_skipped(missing))
}

/// What is judged together: a capture by itself, the segments of one recorder, in the order of
/// their first ones.
fn groups(found: Vec<Found>) -> Vec<Vec<Found>> {
    let mut groups: Vec<Vec<Found>> = Vec::new();
    let mut of_recorder: HashMap<[u8; 16], usize> = HashMap::new();
    for found in found {
        let next = groups.len();
        let place = found.header().map_or(next, |header| *of_recorder.entry(header.recorder).or_insert(next));
        match groups.get_mut(place) {
            Some(group) => group.push(found),
            None => groups.push(vec![found]),
        }
    }
    groups
}

/// Judges each group by itself. One of which nothing can be read is told on standard error and
/// counted as skipped.
///
/// # Errors
/// Nothing of any group could be read.
fn findings(
    groups: Vec<Vec<Found>>,
    args: &VerifyArgs,
    options: &ReadOptions,
    sites: &Sites,
) -> Result<(Findings, Outcome), Error> {
    let windows: Vec<(&'static Curve, i64)> =
        CURVES.iter().filter(|_| args.curve).flat_map(|curve| curve.windows_ns().map(move |ns| (curve, ns))).collect();
    let mut policies = vec![Policy::DNS_ONLY, Policy::BASELINE];
    policies.extend(windows.iter().map(|(curve, ns)| (curve.policy)(*ns)));
    let points =
        windows.iter().map(|(curve, window_ns)| Point { curve, window_ns: *window_ns, marks: Marks::default() });
    let mut findings = Findings { points: points.collect(), ..Findings::default() };
    let (mut skipped, mut done, mut last_error) = (0, false, None);
    for group in groups {
        let mut trial = Trial::new(&policies, sites, if args.flows.is_some() { Kept::Flows } else { Kept::Nothing });
        match each_found(&group, options, &mut trial) {
            Ok(outcome) => {
                done = true;
                skipped += if let Outcome::Skipped(count) = outcome { count } else { 0 };
            }
            Err(error) => {
                skipped += 1;
                if let Some(earlier) = last_error.replace(error) {
                    complain(&earlier);
                }
                continue;
            }
        }
        let files: Vec<String> = group.iter().map(|found| shown(&found.path.to_string_lossy())).collect();
        findings.add(files, trial.finish(), args, sites);
    }
    match last_error {
        Some(error) if !done => return Err(error),
        Some(error) => complain(&error),
        None => {}
    }
    Ok((findings, Outcome::Skipped(skipped)))
}

fn sum(scores: &[Score]) -> Score {
    let mut sum = Score::default();
    scores.iter().for_each(|score| sum.add(score));
    sum
}

/// The flows of files that have answers of DNS.
fn with_answers(scores: &[Score]) -> Marks {
    let mut sum = Score::default();
    scores.iter().filter(|score| score.answers > 0).for_each(|score| sum.add(score));
    sum.total()
}

impl Findings {
    /// Adds a group's files, and what the policies made of them: ours, the baseline, then one for
    /// each point.
    fn add(&mut self, files: Vec<String>, judgements: Vec<Judgement>, args: &VerifyArgs, sites: &Sites) {
        let mut judgements = judgements.into_iter();
        let (ours, baseline) = (judgements.next().unwrap_or_default(), judgements.next().unwrap_or_default());
        for (point, judgement) in self.points.iter_mut().zip(judgements) {
            let score = sum(&judgement.scores);
            point.curve.evidence.iter().for_each(|evidence| point.marks.add(&score.of(*evidence)));
            point.marks.all.add(score.total().all);
        }
        if let Some(which) = args.flows {
            self.flows.extend(list::listed(&files, (ours.flows, baseline.flows), which, sites));
        }
        let mut scores = [(&mut self.ours, ours.scores), (&mut self.baseline, baseline.scores)];
        for (all, scores) in &mut scores {
            scores.resize(files.len(), Score::default());
            all.append(scores);
        }
        self.files.extend(files);
    }

    /// Each file with what our rules and the baseline made of it.
    fn by_file(&self) -> impl Iterator<Item = (&str, Marks, Marks)> {
        let of = |scores: &[Score], i| scores.get(i).map(Score::total).unwrap_or_default();
        self.files.iter().enumerate().map(move |(i, file)| (file.as_str(), of(&self.ours, i), of(&self.baseline, i)))
    }

    fn lines(&self, mut lines: Lines<'_>) -> io::Result<()> {
        lines.header(&COLUMNS);
        let (ours, baseline) = (sum(&self.ours), sum(&self.baseline));
        let text = |text: &str| Value::Text(text.to_owned());
        let mut line =
            |part, file: Option<(&str, u64)>, rules, evidence: Option<&str>, window: Option<i64>, marks: &Marks| {
                let window = window.and_then(|ns| u64::try_from(ns / MS).ok());
                let mut values = vec![
                    text(part),
                    file.map_or(Value::Null, |(file, _)| text(file)),
                    text(rules),
                    evidence.map_or(Value::Null, text),
                    window.map_or(Value::Null, Value::Number),
                ];
                for tally in [marks.all, marks.named, marks.host, marks.site, marks.wrong()] {
                    values.extend([Value::Number(tally.flows), Value::Number(tally.bytes)]);
                }
                values.push(file.map_or(Value::Null, |(_, answers)| Value::Number(answers)));
                lines.line(&values);
            };
        line("all", None, "imon", None, None, &ours.total());
        line("all", None, "baseline", None, None, &baseline.total());
        line("with-answers", None, "imon", None, None, &with_answers(&self.ours));
        line("with-answers", None, "baseline", None, None, &with_answers(&self.baseline));
        for (rules, score) in [("imon", &ours), ("baseline", &baseline)] {
            for evidence in used(score) {
                line("all", None, rules, Some(evidence.word()), None, &score.of(evidence));
            }
        }
        let of_files = self.files.iter().zip(&self.ours).zip(&self.baseline);
        for ((file, ours), baseline) in of_files {
            for (rules, score) in [("imon", ours), ("baseline", baseline)] {
                let file = Some((file.as_str(), score.answers));
                line("file", file, rules, None, None, &score.total());
                used(score).for_each(|kind| line("file", file, rules, Some(kind.word()), None, &score.of(kind)));
            }
        }
        for Point { curve, window_ns, marks } in &self.points {
            line("curve", None, "imon", Some(curve.word), Some(*window_ns), marks);
        }
        for (reason, all) in ours.left_out() {
            line("left-out", None, "imon", Some(reason.word()), None, &Marks { all, ..Marks::default() });
        }
        lines.finish()
    }
}

/// The kinds of evidence that a score has flows of; those without a name are no kind.
fn used(score: &Score) -> impl Iterator<Item = Evidence> {
    Evidence::ALL.into_iter().filter(|evidence| *evidence != Evidence::None && score.of(*evidence).all.flows > 0)
}
