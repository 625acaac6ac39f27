//! CSV (RFC 4180 with LF): a header whose names carry the units, then one line for each row. No ledger and no sum: every
//! line is a row, so that scripts can add them up.

use super::Report;
use super::frame::{AMOUNT_COLUMNS, BOUND_COLUMNS, DEVICE_NAME, EVIDENCE_COLUMNS};
use crate::books::Sureness;
use std::borrow::Cow;
use std::io::{self, Write};

/// Columns that a report by page has behind the others: own and third-party bytes, then all by confidence.
const PAGE_COLUMNS: [&str; 7] = [
    "own_bytes",
    "third_party_bytes",
    "own_class_bytes",
    "sure_bytes",
    "likely_bytes",
    "guess_bytes",
    "background_bytes",
];

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let frame = report.frame();
    let lines = frame.lines();
    let kinds: &[&str] = if frame.has_evidence() { &EVIDENCE_COLUMNS } else { &[] };
    let of_pages: &[&str] = if report.pages.is_some() { &PAGE_COLUMNS } else { &[] };
    let names: &[&str] = if frame.has_device_names() { &[DEVICE_NAME] } else { &[] };
    let header: Vec<&str> = frame
        .key_columns()
        .iter()
        .chain(&AMOUNT_COLUMNS)
        .chain(kinds)
        .chain(&BOUND_COLUMNS)
        .chain(names)
        .chain(of_pages)
        .copied()
        .collect();
    writeln!(out, "{}", header.join(","))?;
    for line in &lines {
        for key in &line.key {
            write!(out, "{},", field(key))?;
        }
        write!(out, "{},{},{},{}", line.up_bytes, line.down_bytes, line.total_bytes, line.packets)?;
        for bytes in line.evidence.iter().flatten() {
            write!(out, ",{bytes}")?;
        }
        write!(out, ",{},{}", line.low_bytes, line.high_bytes)?;
        if frame.has_device_names() {
            write!(out, ",{}", field(line.device_name.unwrap_or_default()))?;
        }
        if let Some(page) = report.page(line) {
            write!(out, ",{},{},{}", page.own, page.third_party, page.own_class())?;
            for class in Sureness::ALL {
                write!(out, ",{}", page.of(class))?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// A text as a field. Spreadsheets run what begins with `=`, `+`, `-` or `@`; no host name does, so such a first
/// character is shown as any other odd byte of a name is (`\061`). Quoted where RFC 4180 asks for it.
fn field(text: &str) -> Cow<'_, str> {
    let mut safe = Cow::Borrowed(text);
    if let Some(first @ ('=' | '+' | '-' | '@')) = text.chars().next() {
        safe = format!("\\{:03}{}", u32::from(first), text.get(1..).unwrap_or_default()).into();
    }
    if safe.contains([',', '"', '\n', '\r']) {
        safe = format!("\"{}\"", safe.replace('"', "\"\"")).into();
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn no_field_is_a_formula_or_breaks_its_line() {
        for (text, expect) in [
            ("example.com", "example.com"),
            ("=cmd|'/c calc'!a1", "\\061cmd|'/c calc'!a1"),
            ("@sum(1,2)", "\"\\064sum(1,2)\""),
            ("-1", "\\0451"),
            ("+a\"b", "\"\\043a\"\"b\""),
            ("a,b", "\"a,b\""),
        ] {
            assert_eq!(field(text), expect);
        }
    }
}
