//! The result of `verify` for people.

use super::{Findings, Point, sum, used, with_answers};
use crate::score::{LeftOut, Marks, Tally};
use crate::table::units::{bytes, duration, percent, thousands};
use std::fmt::Write as _;

impl Findings {
    /// The table for people. Shares are of all flows and bytes that count; `wrong` is of the named
    /// ones.
    pub(super) fn table(&self) -> String {
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
        LeftOut::Inbound => "opened from outside",
        LeftOut::Relayed => "through a relay, whose name DNS tells and not the one inside",
        LeftOut::OuterName => "only the public name of an ECH provider",
        LeftOut::OddName => "the name inside is an address, or no name of the Internet",
    }
}
