//! Lines of plain values: JSON lines or CSV (RFC 4180).

use crate::cli::LineFormat;
use std::io::{self, Write};

/// A value in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text; names are escaped ASCII already.
    Text(String),
    /// A number.
    Number(u64),
    /// Nothing.
    Null,
    /// A list of texts; in CSV joined by spaces, which no name holds.
    List(Vec<String>),
}

/// Writes lines. The first error ends it: later lines go nowhere, and [`Lines::finish`] tells.
pub struct Lines<'a> {
    out: &'a mut dyn Write,
    format: LineFormat,
    result: io::Result<()>,
}

impl<'a> Lines<'a> {
    /// Lines to `out`.
    pub fn new(out: &'a mut dyn Write, format: LineFormat) -> Self {
        Self { out, format, result: Ok(()) }
    }

    /// The header line of CSV; nothing in JSON.
    pub fn header(&mut self, columns: &[&str]) {
        if self.format == LineFormat::Csv {
            self.put(&columns.join(","));
        }
    }

    /// One line; `values` in the order of `columns`.
    pub fn line(&mut self, columns: &[&str], values: &[Value]) {
        let text = match self.format {
            LineFormat::Json => json(columns, values),
            LineFormat::Csv => values.iter().map(csv_field).collect::<Vec<_>>().join(","),
        };
        self.put(&text);
    }

    /// Whether writing has failed: there is no use in going on.
    pub fn has_failed(&self) -> bool {
        self.result.is_err()
    }

    /// Whether everything was written.
    ///
    /// # Errors
    /// The first error of writing.
    pub fn finish(self) -> io::Result<()> {
        self.result
    }

    fn put(&mut self, text: &str) {
        if self.result.is_ok() {
            self.result = writeln!(self.out, "{text}");
        }
    }
}

fn json(columns: &[&str], values: &[Value]) -> String {
    let mut text = String::with_capacity(256);
    text.push('{');
    for (i, (column, value)) in columns.iter().zip(values).enumerate() {
        if i > 0 {
            text.push(',');
        }
        text.push_str(&quoted(column));
        text.push(':');
        match value {
            Value::Text(t) => text.push_str(&quoted(t)),
            Value::Number(n) => text.push_str(&n.to_string()),
            Value::Null => text.push_str("null"),
            Value::List(list) => {
                let items: Vec<String> = list.iter().map(|t| quoted(t)).collect();
                text.push_str(&format!("[{}]", items.join(",")));
            }
        }
    }
    text.push('}');
    text
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn csv_field(value: &Value) -> String {
    let text = match value {
        Value::Text(t) => t.clone(),
        Value::Number(n) => return n.to_string(),
        Value::Null => return String::new(),
        Value::List(list) => list.join(" "),
    };
    // Spreadsheets take these for formulas; an apostrophe makes them text.
    let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: LineFormat, value: Value) -> String {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, format);
        lines.header(&["a"]);
        lines.line(&["a"], &[value]);
        lines.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_text_stays_one_field() {
        let text = || Value::Text("=cmd,\"x\"".into());
        assert_eq!(written(LineFormat::Json, text()), "{\"a\":\"=cmd,\\\"x\\\"\"}\n");
        assert_eq!(written(LineFormat::Csv, text()), "a\n\"'=cmd,\"\"x\"\"\"\n");
        let list = Value::List(vec!["b.example".into(), "c.example".into()]);
        assert_eq!(written(LineFormat::Csv, list), "a\nb.example c.example\n");
    }
}
