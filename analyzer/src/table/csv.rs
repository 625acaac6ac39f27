//! CSV (RFC 4180 with LF): a header whose names carry the units, then one line for each row. No
//! totals and no sum: every line is a row, so that scripts can add them up.

use super::{Column, Footer, Head, Row, RowKind, Sink, Value};
use std::borrow::Cow;
use std::io::{self, Write};

/// Writes CSV.
pub struct CsvSink<'a> {
    out: csv::Writer<&'a mut dyn Write>,
    /// Of each column whether it is written.
    written: Vec<bool>,
}

impl<'a> CsvSink<'a> {
    /// CSV to `out`.
    pub fn new(out: &'a mut dyn Write) -> Self {
        let out = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).flexible(true).from_writer(out);
        Self { out, written: Vec::new() }
    }
}

impl Sink for CsvSink<'_> {
    fn begin(&mut self, _: &Head, columns: &[Column]) -> io::Result<()> {
        self.written = columns.iter().map(Column::is_in_csv).collect();
        let header = columns.iter().zip(&self.written).filter(|(_, written)| **written);
        Ok(self.out.write_record(header.map(|(column, _)| column.field.as_bytes()))?)
    }

    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        if row.kind == RowKind::Sum {
            return Ok(());
        }
        for (value, _) in row.values.iter().zip(&self.written).filter(|(_, written)| **written) {
            match value {
                Value::Text(text) => self.out.write_field(&*field(text))?,
                Value::Signed(n) => self.out.write_field(n.to_string())?,
                Value::Number(n) => self.out.write_field(n.to_string())?,
                Value::Bool(is) => self.out.write_field(is.to_string())?,
                Value::List(list) => self.out.write_field(&*field(&list.join(" ")))?,
                Value::Null | Value::Amounts(_) | Value::Lengths(_) => self.out.write_field("")?,
            }
        }
        Ok(self.out.write_record(None::<&[u8]>)?)
    }

    fn end(&mut self, _: &Footer) -> io::Result<()> {
        self.out.flush()
    }
}

/// A text as a field. Spreadsheets run what begins with `=`, `+`, `-`, `@`, a tab or a return; no
/// host name does, so such a first character is shown as any other odd byte of a name is (`\061`).
fn field(text: &str) -> Cow<'_, str> {
    match text.chars().next() {
        Some(first @ ('=' | '+' | '-' | '@' | '\t' | '\r')) => {
            format!("\\{:03}{}", u32::from(first), text.get(1..).unwrap_or_default()).into()
        }
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Shape;

    fn written(values: Vec<Value<'_>>) -> String {
        let mut out = Vec::new();
        let mut sink = CsvSink::new(&mut out);
        let columns: Vec<Column> = values.iter().map(|_| Column::new("a", Shape::Text)).collect();
        sink.begin(&Head::default(), &columns).unwrap();
        sink.row(&Row::new(values)).unwrap();
        sink.end(&Footer::default()).unwrap();
        drop(sink);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_field_is_a_formula_or_breaks_its_line() {
        for (text, expect) in [
            ("example.com", "example.com"),
            ("=cmd|'/c calc'!a1", "\\061cmd|'/c calc'!a1"),
            ("@sum(1,2)", "\"\\064sum(1,2)\""),
            ("-1", "\\0451"),
            ("+a\"b", "\"\\043a\"\"b\""),
            ("a,b", "\"a,b\""),
            ("\tx", "\\009x"),
            ("a\nb", "\"a\nb\""),
        ] {
            assert_eq!(written(vec![Value::text(text)]), format!("a\n{expect}\n"));
        }
    }

    #[test]
    fn every_value_has_its_field() {
        let list = Value::List(vec!["b.example".into(), "c.example".into()]);
        assert_eq!(written(vec![list, Value::Null, Value::Number(7)]), "a,a,a\nb.example c.example,,7\n");
        assert_eq!(written(vec![Value::Null]), "a\n\"\"\n", "a line of one empty field is no empty line");
    }
}
