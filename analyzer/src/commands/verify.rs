//! `imon-analyze verify FILE…`: names inside flows are hidden, DNS alone names the flows, and what they carry tells
//! whether it was right. Beside our rules stand the simplest ones.

use super::lines::{Lines, Value};
use super::{Sources, deliver, each_found, found, not_an_input};
use crate::attribution::{ASKED_NS, FRESH_NS, HORIZON_NS, LATE_NS, Policy};
use crate::books::Evidence;
use crate::cli::VerifyArgs;
use crate::error::{Error, Outcome, shown};
use crate::ingest::ReadOptions;
use crate::progress::Progress;
use crate::report::units::{bytes, duration, percent, thousands};
use crate::score::{LeftOut, Marks, Score, Tally, Trial};
use imon_common::time::NANOS_PER_SECOND;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Columns of JSON and CSV. `part`: `all` files, those `with-answers` of DNS in them, one `file`, a point of the `curve`, or what was `left-out`. `rules`: those
/// of `imon`, or the `baseline`. `evidence`: the kind, or why flows were left out; null for all. `window_ms`: how far the
/// evidence may be from the flow, on a curve. `wrong` is named, but of another site.
const COLUMNS: [&str; 15] = [
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
];

/// Windows of a curve in milliseconds: ten seconds to a week.
const LONG_MS: [i64; 8] = [10_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000, 604_800_000];

/// Likewise: a moment.
const SHORT_MS: [i64; 8] = [0, 1, 2, 3, 5, 10, 15, 20];

/// Nanoseconds of a millisecond.
const MS: i64 = NANOS_PER_SECOND / 1_000;

/// A curve: one kind of evidence under windows of several lengths.
struct Curve {
    evidence: &'static [Evidence],
    word: &'static str,
    title: &'static str,
    windows_ms: [i64; 8],
    /// The window in force.
    ours_ns: i64,
    /// Nothing longer is looked at, or kept.
    most_ns: i64,
    policy: fn(i64) -> Policy,
}

const CURVES: [Curve; 4] = [
    Curve {
        evidence: &[Evidence::Dns, Evidence::DnsShared],
        word: "dns",
        title: "this device's answer, at most this long before the flow",
        windows_ms: LONG_MS,
        ours_ns: FRESH_NS,
        most_ns: i64::MAX,
        policy: |fresh_ns| Policy { fresh_ns, ..Policy::DNS_ONLY },
    },
    Curve {
        evidence: &[Evidence::DnsLate],
        word: "dns-late",
        title: "its first answer at most this long after the flow began, alone or with others",
        windows_ms: LONG_MS,
        ours_ns: LATE_NS,
        most_ns: HORIZON_NS,
        policy: |late_ns| Policy { late_ns, ..Policy::DNS_ONLY },
    },
    Curve {
        evidence: &[Evidence::DnsOther],
        word: "dns-other",
        title: "other devices' answers, at most this far from the flow",
        windows_ms: LONG_MS,
        ours_ns: FRESH_NS,
        most_ns: i64::MAX,
        policy: |others_ns| Policy { others_ns, ..Policy::DNS_ONLY },
    },
    Curve {
        evidence: &[Evidence::DnsAsked],
        word: "dns-asked",
        title: "what it asked for, at most this far from the flow's beginning",
        windows_ms: SHORT_MS,
        ours_ns: ASKED_NS,
        most_ns: ASKED_NS,
        policy: |asked_ns| Policy { asked_ns, ..Policy::DNS_ONLY },
    },
];

impl Curve {
    fn windows_ns(&self) -> impl Iterator<Item = i64> + '_ {
        self.windows_ms.iter().map(|ms| ms * MS).filter(|ns| *ns <= self.most_ns)
    }
}

/// A point of a curve.
struct Point {
    curve: &'static Curve,
    window_ns: i64,
    marks: Marks,
}

/// What was found.
struct Findings {
    files: Vec<String>,
    ours: Vec<Score>,
    baseline: Vec<Score>,
    points: Vec<Point>,
}

/// Scores files and prints the result.
///
/// # Errors
/// No file could be read; writing.
pub(super) fn run(args: &VerifyArgs, out: &mut dyn Write) -> Result<Outcome, Error> {
    not_an_input(args.output.output.as_deref(), &args.files)?;
    let sites = args.sites.sites()?;
    let options =
        ReadOptions { local: args.capture.local_nets()?, progress: Progress::on_terminal(), ..ReadOptions::default() };
    let windows: Vec<(&'static Curve, i64)> =
        CURVES.iter().filter(|_| args.curve).flat_map(|curve| curve.windows_ns().map(move |ns| (curve, ns))).collect();
    let mut policies = vec![Policy::DNS_ONLY, Policy::BASELINE];
    policies.extend(windows.iter().map(|(curve, ns)| (curve.policy)(*ns)));
    let mut trial = Trial::new(&policies, &sites);
    let found = found(&Sources { paths: args.files.clone(), options: options.clone() })?;
    let outcome = each_found(&found, &options, &mut trial)?;
    let files = found.iter().map(|found| shown(&found.path.to_string_lossy())).collect();
    let mut scores = trial.finish().into_iter();
    let (ours, baseline) = (scores.next().unwrap_or_default(), scores.next().unwrap_or_default());
    let point = |((curve, window_ns), scores): ((&'static Curve, i64), Vec<Score>)| {
        let mut marks = Marks::default();
        let score = sum(&scores);
        curve.evidence.iter().for_each(|evidence| marks.add(&score.of(*evidence)));
        marks.all = score.total().all;
        Point { curve, window_ns, marks }
    };
    let points = windows.into_iter().zip(scores).map(point).collect();
    let findings = Findings { files, ours, baseline, points };
    deliver(args.output.output.as_deref(), out, |out| match args.output.format.lines() {
        None => out.write_all(findings.table().as_bytes()),
        Some(format) => findings.lines(Lines::new(out, format)),
    })?;
    Ok(outcome)
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
    /// Each file with what our rules and the baseline made of it.
    fn by_file(&self) -> impl Iterator<Item = (&str, Marks, Marks)> {
        let of = |scores: &[Score], i| scores.get(i).map(Score::total).unwrap_or_default();
        self.files.iter().enumerate().map(move |(i, file)| (file.as_str(), of(&self.ours, i), of(&self.baseline, i)))
    }

    fn lines(&self, mut lines: Lines<'_>) -> io::Result<()> {
        lines.header(&COLUMNS);
        let (ours, baseline) = (sum(&self.ours), sum(&self.baseline));
        let text = |text: &str| Value::Text(text.to_owned());
        let mut line = |part, file: Option<&str>, rules, evidence: Option<&str>, window: Option<i64>, marks: &Marks| {
            let window = window.and_then(|ns| u64::try_from(ns / MS).ok());
            let mut values = vec![
                text(part),
                file.map_or(Value::Null, text),
                text(rules),
                evidence.map_or(Value::Null, text),
                window.map_or(Value::Null, Value::Number),
            ];
            for tally in [marks.all, marks.named, marks.host, marks.site, marks.wrong()] {
                values.extend([Value::Number(tally.flows), Value::Number(tally.bytes)]);
            }
            lines.line(&COLUMNS, &values);
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
        for (file, ours, baseline) in self.by_file() {
            line("file", Some(file), "imon", None, None, &ours);
            line("file", Some(file), "baseline", None, None, &baseline);
        }
        for Point { curve, window_ns, marks } in &self.points {
            line("curve", None, "imon", Some(curve.word), Some(*window_ns), marks);
        }
        for (reason, all) in ours.left_out() {
            line("left-out", None, "imon", Some(reason.word()), None, &Marks { all, ..Marks::default() });
        }
        lines.finish()
    }

    /// The table for people. Shares are of all flows and bytes that count; `wrong` is of the named ones.
    fn table(&self) -> String {
        let (ours, baseline) = (sum(&self.ours), sum(&self.baseline));
        let all = ours.total().all;
        let mut text = format!(
            "DNS alone, scored against the names inside {} flows ({}) of {} files\n\n",
            thousands(all.flows),
            bytes(all.bytes),
            self.files.len()
        );
        let head = |text: &mut String, title: &str| {
            _ = writeln!(text, "{:<16} {:^31}   {:^31}", "", "share of flows", "share of bytes");
            let columns = format!("{:>7} {:>7} {:>7} {:>7}", "named", "host", "site", "wrong");
            _ = writeln!(text, "{title:<16} {columns}   {columns}");
        };
        head(&mut text, "rules");
        row(&mut text, "imon", &ours.total(), all);
        row(&mut text, "baseline", &baseline.total(), all);
        let judged = with_answers(&self.ours);
        if judged.all.flows < all.flows {
            let left = thousands(all.flows - judged.all.flows);
            _ = writeln!(text, "\nwithout {left} flows of files in which no answer of DNS is");
            head(&mut text, "rules");
            row(&mut text, "imon", &judged, judged.all);
            row(&mut text, "baseline", &with_answers(&self.baseline), judged.all);
        }
        for (rules, score) in [("imon", &ours), ("baseline", &baseline)] {
            text.push('\n');
            head(&mut text, &format!("{rules}, by"));
            used(score).for_each(|evidence| row(&mut text, evidence.word(), &score.of(evidence), all));
        }
        for curve in self.points.chunk_by(|a, b| std::ptr::eq(a.curve, b.curve)) {
            let Some(first) = curve.first() else { continue };
            _ = writeln!(text, "\n{}: {}", first.curve.word, first.curve.title);
            head(&mut text, "");
            for Point { curve, window_ns, marks } in curve {
                let ours = if *window_ns == curve.ours_ns { " *" } else { "" };
                row(&mut text, &format!("{}{ours}", duration(*window_ns)), marks, all);
            }
        }
        if self.files.len() > 1 {
            text.push_str("\nright site by file\n");
            _ = writeln!(text, "{:>9} {:>9} {:>9} {:>9} {:>9}  ", "flows", "imon", "baseline", "imon", "baseline");
            for (file, ours, baseline) in self.by_file().filter(|(_, ours, _)| ours.all.flows > 0) {
                let share = |marks: &Marks, of: fn(&Tally) -> u64| percent(of(&marks.site), of(&marks.all));
                let cells = [&ours, &baseline].map(|m| share(m, |t| t.flows));
                let [flows, base_flows] = cells;
                let [of_bytes, base_bytes] = [&ours, &baseline].map(|m| share(m, |t| t.bytes));
                let count = thousands(ours.all.flows);
                _ = writeln!(text, "{count:>9} {flows:>9} {base_flows:>9} {of_bytes:>9} {base_bytes:>9}  {file}");
            }
        }
        text.push_str("\nleft out, as nothing in them tells right from wrong:\n");
        for (reason, tally) in ours.left_out() {
            _ = writeln!(text, "{:>12} flows {:>10}  {}", thousands(tally.flows), bytes(tally.bytes), why(reason));
        }
        text
    }
}

/// The kinds of evidence that a score has flows of; those without a name are no kind.
fn used(score: &Score) -> impl Iterator<Item = Evidence> {
    Evidence::ALL.into_iter().filter(|evidence| *evidence != Evidence::None && score.of(*evidence).all.flows > 0)
}

fn row(text: &mut String, title: &str, marks: &Marks, all: Tally) {
    let cells = |of: fn(&Tally) -> u64| {
        let share = |tally: &Tally| percent(of(tally), of(&all));
        let wrong = percent(of(&marks.wrong()), of(&marks.named));
        format!("{:>7} {:>7} {:>7} {wrong:>7}", share(&marks.named), share(&marks.host), share(&marks.site))
    };
    _ = writeln!(text, "{title:<16} {}   {}", cells(|t| t.flows), cells(|t| t.bytes));
}

fn why(reason: LeftOut) -> &'static str {
    match reason {
        LeftOut::Local => "both ends local, no public site named",
        LeftOut::NoName => "no name inside",
        LeftOut::OuterName => "only the public name of an ECH provider",
        LeftOut::OddName => "the name inside is an address, or no name of the Internet",
    }
}
