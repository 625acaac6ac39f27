//! The months of a database: open or closed, and what could be booked again.

use super::super::lines::Value;
use crate::archive::{ArchiveError, Folder, Part};
use crate::books::month::Month;
use crate::store::{ClosedFile, Store};
use crate::table::Shape;
use crate::table::units::{bytes, hex, thousands};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Columns of `--months`. `state` is `open`, `closed`, `both` (closed, and something came since),
/// `missing` or `damaged`; `segments` is how many of its sources have their facts, of `sources`.
pub(super) const COLUMNS: [(&str, Shape); 7] = [
    ("month", Shape::Text),
    ("state", Shape::Text),
    ("rows", Shape::Count),
    ("len_bytes", Shape::Bytes),
    ("sources", Shape::Count),
    ("segments", Shape::Count),
    ("sha256", Shape::Text),
];

/// Months that text lists one by one: the latest.
const LISTED: usize = 12;

/// A month.
#[derive(Debug, Clone)]
pub(super) struct MonthLine {
    month: Month,
    state: &'static str,
    rows: u64,
    len_bytes: Option<u64>,
    sources: u64,
    segments: u64,
    /// Of its tables of rows, one for each recorder.
    sha256: Vec<String>,
}

impl MonthLine {
    /// All months, in order. Files are only looked at from outside.
    pub(super) fn all(store: &Store) -> Result<Vec<Self>, ArchiveError> {
        let folder = store.path().map(Folder::of).ok_or(ArchiveError::InMemory)?;
        let open = store.open_months()?;
        let mut closed: BTreeMap<Month, Vec<ClosedFile>> = BTreeMap::new();
        for file in store.closed()? {
            closed.entry(file.month).or_default().push(file);
        }
        let sources = store.known_sources()?;
        let months: BTreeSet<Month> = open.iter().chain(closed.keys()).copied().collect();
        let line = |month: Month| {
            let files = closed.get(&month).map_or(&[][..], Vec::as_slice);
            let of_month = sources.iter().filter(|source| month.is_touched(source.first, source.last));
            let (mut count, mut segments) = (0, 0);
            for source in of_month {
                count += 1;
                segments += u64::from(Path::new(&source.path).exists());
            }
            let about = |file: &ClosedFile| std::fs::metadata(folder.file(file)).map(|about| about.len()).ok();
            let rows = files.iter().filter(|file| file.part == Part::Rows);
            let state = match (files.is_empty(), open.contains(&month)) {
                (true, _) => "open",
                _ if files.iter().any(|file| about(file).is_none()) => "missing",
                _ if files.iter().any(|file| about(file) != Some(file.len_bytes)) => "damaged",
                (_, true) => "both",
                (_, false) => "closed",
            };
            let in_files: u64 = rows.clone().map(|file| file.sums.rows).sum();
            Ok(Self {
                month,
                state,
                rows: in_files + if open.contains(&month) { store.open_rows(month)? } else { 0 },
                len_bytes: (!files.is_empty()).then(|| files.iter().map(|file| file.len_bytes).sum()),
                sources: count,
                segments,
                sha256: rows.map(|file| hex(&file.sha256)).collect(),
            })
        };
        months.into_iter().map(line).collect()
    }

    /// Its values in the order of [`COLUMNS`].
    pub(super) fn values(&self) -> [Value; 7] {
        [
            Value::Text(self.month.to_string()),
            Value::Text(self.state.to_owned()),
            Value::Number(self.rows),
            self.len_bytes.map_or(Value::Null, Value::Number),
            Value::Number(self.sources),
            Value::Number(self.segments),
            if self.sha256.is_empty() { Value::Null } else { Value::Text(self.sha256.join(" ")) },
        ]
    }
}

/// Months for people: the latest, or all.
pub(super) fn text(lines: &[MonthLine], all: bool) -> String {
    let mut text = String::new();
    let closed = lines.iter().filter(|line| line.len_bytes.is_some()).count();
    // Writing to a String cannot fail.
    _ = writeln!(text, "months    {} (UTC), {closed} of them closed", lines.len());
    let skip = if all { 0 } else { lines.len().saturating_sub(LISTED) };
    if skip > 0 {
        _ = writeln!(text, "  ({skip} older ones: --months lists all)");
    }
    for line in lines.iter().skip(skip) {
        let MonthLine { month, state, rows, len_bytes, sources, segments, .. } = line;
        let len = len_bytes.map(|len| format!(", {}", bytes(len))).unwrap_or_default();
        let facts = match (*sources, *segments) {
            (_, 0) => "no segments to book it again".to_owned(),
            (sources, segments) if sources == segments => "can be booked again".to_owned(),
            (sources, segments) => format!("segments of {segments} of {sources} sources"),
        };
        _ = writeln!(text, "  {month}  {state:7} {:>10} rows{len}; {facts}", thousands(*rows));
    }
    text
}
