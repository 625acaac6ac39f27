//! `status`: what the store holds.

use super::lines::{Lines, Value};
use super::{deliver, open_existing_store, store_error, utc};
use crate::cli::{StatusArgs, Surroundings};
use crate::error::{Error, Outcome, shown};
use crate::site::suffix_list;
use crate::store::{SourceRow, Status};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

/// Sources that a table lists one by one: the newest. JSON and CSV list all.
const LISTED: usize = 10;

const COLUMNS: [&str; 8] = ["path", "kind", "ended", "interface", "first", "last", "len_bytes", "records"];

pub(super) fn run(args: &StatusArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let database = args.store.database(around)?;
    let status = open_existing_store(&database)?.status().map_err(|e| store_error(&database, &e))?;
    deliver(args.output.output.as_deref(), out, |out| match args.output.format.lines() {
        Some(format) => lines(&status, Lines::new(out, format)),
        None => out.write_all(text(&status, &database, around).as_bytes()),
    })?;
    Ok(Outcome::Complete)
}

fn lines(status: &Status, mut lines: Lines<'_>) -> io::Result<()> {
    lines.header(&COLUMNS);
    for source in &status.sources {
        let SourceRow { path, kind, ended, interface, first, last, len_bytes, records, .. } = source.clone();
        let values = [
            Value::Text(path),
            Value::Text(kind),
            Value::Text(ended),
            Value::Text(interface),
            Value::Text(utc(first)),
            Value::Text(utc(last)),
            Value::Number(len_bytes),
            Value::Number(records),
        ];
        lines.line(&COLUMNS, &values);
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
    text
}
