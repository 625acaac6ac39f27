//! When was recorded, and when not: for people in lines, for scripts in full.

use super::Report;
use crate::books::Gap;
use crate::error::shown;
use crate::table::units::{thousands, uuid};
use crate::timeline::{Span, Torn};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Most gaps, and most torn segments, that are listed one by one; all are in the JSON.
const MOST_SHOWN: usize = 10;

/// What may be missing at the ends of a range that counts as recorded: an interval that is not
/// over, and the time until it is written.
const WHOLE_NS: i64 = 3 * NANOS_PER_SECOND;

/// For each recorder that did not record the range as a whole: which part it did.
pub(super) fn head(report: &Report) -> Vec<String> {
    let several = interfaces(report).len() > 1;
    let spans = &report.timeline.recorded;
    let is_one = |a: &Span, b: &Span| (a.recorder, &a.interface) == (b.recorder, &b.interface);
    spans.chunk_by(is_one).filter_map(|of_one| part(report, of_one, several)).collect()
}

fn part(report: &Report, of_one: &[Span], several: bool) -> Option<String> {
    let (begin, end) = (of_one.first()?, of_one.last()?);
    let (first, last) = report.observed.unzip();
    let from = report.range.from.or(first);
    let to = report.range.to.or(last);
    let is_whole = of_one.len() == 1
        && from.is_none_or(|from| begin.from.since(from) < WHOLE_NS)
        && to.is_none_or(|to| to.since(end.to) < WHOLE_NS);
    let pauses = match of_one.len().saturating_sub(1) {
        0 => String::new(),
        1 => ", with a pause".to_owned(),
        n => format!(", with {} pauses", thousands(n as u64)),
    };
    let on = if several { format!(" on {}", interface(report, &begin.interface)) } else { String::new() };
    let [from, to] = [begin.from, end.to].map(|at| instant(report, at));
    (!is_whole).then(|| format!("recorded{on}: {from} to {to}{pauses}"))
}

/// Segments that are torn, and gaps.
pub(super) fn below(report: &Report) -> Vec<String> {
    let of_torn = |Torn { segment, interface, to }: &Torn| {
        let segment = uuid(*segment);
        let segment = report.masker.own("segment", &segment);
        let (interface, to) = (self::interface(report, interface), instant(report, *to));
        format!("torn: segment {segment} of {interface} ends inside a block; its records go to {to}")
    };
    let torn = &report.timeline.torn;
    let mut lines: Vec<String> = torn.iter().take(MOST_SHOWN).map(of_torn).collect();
    lines.extend(more(torn.len(), "torn segments"));
    let gaps = &report.ledger.gaps;
    if gaps.is_empty() {
        lines.push("no gaps".to_owned());
    }
    let several = interfaces(report).len() > 1;
    lines.extend(gaps.iter().take(MOST_SHOWN).map(|Gap { from, to, reason, interface }| {
        let of = interface
            .as_deref()
            .filter(|_| several)
            .map(|name| format!(", {}", self::interface(report, name)))
            .unwrap_or_default();
        format!("gap: {} to {} ({}{of})", instant(report, *from), instant(report, *to), shown(reason))
    }));
    lines.extend(more(gaps.len(), "gaps"));
    lines
}

fn more(number: usize, what: &str) -> Option<String> {
    let more = number.checked_sub(MOST_SHOWN).filter(|more| *more > 0)?;
    Some(format!("and {} more {what}", thousands(more as u64)))
}

/// All of it, for scripts.
pub(super) fn parts(report: &Report) -> [(&'static str, Value); 3] {
    let at = |at| report.instant(at);
    let own = |what, text: &str| report.masker.own(what, text).into_owned();
    let on = |name: &str| own("interface", name);
    let gap = |g: &Gap| {
        let interface = g.interface.as_deref().map(on);
        json!({"from": at(g.from), "to": at(g.to), "reason": g.reason, "interface": interface})
    };
    let span = |s: &Span| {
        let recorder = own("recorder", &uuid(s.recorder));
        json!({"from": at(s.from), "to": at(s.to), "interface": on(&s.interface), "recorder": recorder})
    };
    let torn = |t: &Torn| {
        let segment = own("segment", &uuid(t.segment));
        json!({"segment": segment, "interface": on(&t.interface), "to": at(t.to)})
    };
    [
        ("gaps", report.ledger.gaps.iter().map(gap).collect()),
        ("recorded", report.timeline.recorded.iter().map(span).collect()),
        ("torn", report.timeline.torn.iter().map(torn).collect()),
    ]
}

/// An interface's name, safe to show.
fn interface(report: &Report, name: &str) -> String {
    shown(&report.masker.own("interface", name))
}

fn instant(report: &Report, at: UnixNanos) -> String {
    report.instant(at).unwrap_or_else(|| "?".to_owned())
}

/// Interfaces that were recorded in the range, each once.
fn interfaces(report: &Report) -> BTreeSet<&str> {
    report.timeline.recorded.iter().map(|span| span.interface.as_str()).collect()
}
