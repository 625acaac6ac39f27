//! `imon-analyze status`: what the store holds.

use crate::error::{Error, shown};
use crate::range::{rfc3339, zoned};
use crate::store::{Status, Store};
use imon_common::time::UnixNanos;
use jiff::tz::TimeZone;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// Sources listed one by one: the newest.
const LISTED: usize = 10;

/// Prints it.
///
/// # Errors
/// The store; writing.
pub fn run(store: &Store, database: &Path, zone: &TimeZone, out: &mut dyn Write) -> Result<(), Error> {
    let status = store.status().map_err(|e| super::store_error(database, &e))?;
    out.write_all(text(&status, database, zone).as_bytes()).map_err(|e| Error::writing("standard output", &e))
}

fn text(status: &Status, database: &Path, zone: &TimeZone) -> String {
    let time = |at: UnixNanos| zoned(at, zone).map(|z| rfc3339(&z)).unwrap_or_default();
    let mut text = String::new();
    // Writing to a String cannot fail.
    _ = writeln!(text, "database  {} ({} bytes)", shown(&database.to_string_lossy()), status.len_bytes);
    _ = writeln!(text, "sums      {} rows, {} hosts", status.rollup_rows, status.hosts);
    let (first, last) = (status.sources.iter().map(|s| s.first).min(), status.sources.iter().map(|s| s.last).max());
    let span = first.zip(last).map(|(a, b)| format!(", {} .. {}", time(a), time(b))).unwrap_or_default();
    _ = writeln!(text, "sources   {}{span}", status.sources.len());
    let skip = status.sources.len().saturating_sub(LISTED);
    if skip > 0 {
        _ = writeln!(text, "  ({skip} older ones)");
    }
    for source in status.sources.iter().skip(skip) {
        let path = shown(&source.path);
        _ = writeln!(
            text,
            "  {}  {} {}, {} records  {path}",
            time(source.first),
            source.ended,
            source.kind,
            source.records
        );
    }
    text
}
