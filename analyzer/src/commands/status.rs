//! `status`: what the store holds.

use super::lines::{Lines, Value};
use super::{deliver, open_existing_store, store_error, utc};
use crate::books::Gap;
use crate::cli::{StatusArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::site::suffix_list;
use crate::store::{SourceRow, Status};
use crate::table::units::uuid;
use crate::timeline::{Timeline, Torn};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

/// Sources that a table lists one by one: the newest. JSON and CSV list all.
const LISTED: usize = 10;

/// Times without records that a table lists: the latest. JSON and CSV have each at the source that
/// it comes before.
const GAPS_LISTED: usize = 10;

const COLUMNS: [&str; 10] = [
    "path",
    "kind",
    "ended",
    "interface",
    "first",
    "last",
    "len_bytes",
    "records",
    "gap_before_from",
    "gap_before_reason",
];

pub(super) fn run(args: &StatusArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let database = args.store.database(around)?;
    let status = open_existing_store(&database)?.status().map_err(|e| store_error(&database, &e))?;
    deliver(args.output.output.as_deref(), out, |out| match args.output.format().lines() {
        Some(format) => lines(&status, Lines::new(out, format)),
        None => out.write_all(text(&status, &database, around).as_bytes()),
    })?;
    Ok(Outcome::Complete)
}

fn lines(status: &Status, mut lines: Lines<'_>) -> io::Result<()> {
    lines.header(&COLUMNS);
    for source in &status.sources {
        let SourceRow { path, kind, ended, interface, first, last, len_bytes, records, .. } = source.clone();
        let gap = source.segment.and_then(|segment| status.timeline.before.get(&segment));
        let values = [
            Value::Text(path),
            Value::Text(kind),
            Value::Text(ended),
            Value::Text(interface),
            Value::Text(utc(first)),
            Value::Text(utc(last)),
            Value::Number(len_bytes),
            Value::Number(records),
            gap.map_or(Value::Null, |gap| Value::Text(utc(gap.from))),
            gap.map_or(Value::Null, |gap| Value::Text(gap.reason.clone())),
        ];
        lines.line(&values);
    }
    lines.finish()
}

fn text(status: &Status, database: &Path, around: &Surroundings) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    _ = writeln!(text, "database  {} ({} bytes)", shown(&database.to_string_lossy()), status.len_bytes);
    _ = writeln!(text, "sums      {} rows, {} hosts", status.rollup_rows, status.hosts);
    let today = around.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    _ = writeln!(text, "sites     by the public suffix list {}", suffix_list(today));
    let (first, last) = (status.sources.iter().map(|s| s.first).min(), status.sources.iter().map(|s| s.last).max());
    let span = first.zip(last).map(|(a, b)| format!(", {} .. {}", utc(a), utc(b))).unwrap_or_default();
    _ = writeln!(text, "sources   {}{span}", status.sources.len());
    let skip = status.sources.len().saturating_sub(LISTED);
    if skip > 0 {
        _ = writeln!(text, "  ({skip} older ones)");
    }
    for source in status.sources.iter().skip(skip) {
        let SourceRow { ended, kind, records, .. } = source;
        _ = writeln!(text, "  {}  {ended} {kind}, {records} records  {}", utc(source.first), shown(&source.path));
    }
    let Timeline { gaps, torn, .. } = &status.timeline;
    let skip = gaps.len().saturating_sub(GAPS_LISTED);
    _ = writeln!(text, "gaps      {} between segments", gaps.len());
    if skip > 0 {
        _ = writeln!(text, "  ({skip} older ones)");
    }
    for Gap { from, to, reason, interface } in gaps.iter().skip(skip) {
        let of = interface.as_deref().map(|name| format!(", {}", shown(name))).unwrap_or_default();
        _ = writeln!(text, "  {} .. {}  {}{of}", utc(*from), utc(*to), shown(reason));
    }
    for Torn { segment, interface, to } in torn.iter().rev().take(GAPS_LISTED) {
        _ = writeln!(text, "torn      {} of {}, records to {}", uuid(*segment), shown(interface), utc(*to));
    }
    text
}
