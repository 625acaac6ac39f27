//! Rows of plain values into the sinks for scripts: JSON lines, CSV or Parquet.

use crate::cli::LineFormat;
use crate::table::{Column, CsvSink, DisplayFilterSink, Field, Footer, Head, JsonLines, ParquetSink, Row, Shape, Sink};
use std::io::{self, Write};

/// A value in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text; names are escaped ASCII already.
    Text(String),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// Nothing.
    Null,
    /// A list of texts; in CSV joined by spaces, which no name holds.
    List(Vec<String>),
}

impl Value {
    fn of_table(&self) -> crate::table::Value<'_> {
        match self {
            Self::Text(text) => crate::table::Value::text(text.as_str()),
            Self::Number(n) => crate::table::Value::Number(*n),
            Self::Flag(yes) => crate::table::Value::Bool(*yes),
            Self::Null => crate::table::Value::Null,
            Self::List(list) => crate::table::Value::List(list.clone()),
        }
    }
}

/// Writes lines. The first error ends it: later lines go nowhere, and [`Lines::finish`] tells.
pub struct Lines<'a> {
    sink: Box<dyn Sink + 'a>,
    result: io::Result<()>,
    count: u64,
    /// What else stands in the metadata.
    mark: Option<Field>,
}

impl<'a> Lines<'a> {
    /// Lines to `out`.
    pub fn new(out: &'a mut dyn Write, format: LineFormat) -> Self {
        let sink: Box<dyn Sink + 'a> = match format {
            LineFormat::Json => Box::new(JsonLines::new(out)),
            LineFormat::Csv => Box::new(CsvSink::new(out)),
            LineFormat::Parquet => Box::new(ParquetSink::new(out)),
            LineFormat::DisplayFilter => Box::new(DisplayFilterSink::new(out)),
        };
        Self { sink, result: Ok(()), count: 0, mark: None }
    }

    /// The same, with something more in the metadata.
    pub fn counted(out: &'a mut dyn Write, format: LineFormat, mark: Field) -> Self {
        Self { mark: Some(mark), ..Self::new(out, format) }
    }

    /// How many lines there are so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What the lines have: the header line of CSV, the names of JSON.
    pub fn header(&mut self, columns: &[&'static str]) {
        let columns: Vec<Column> = columns.iter().map(|name| Column::for_scripts(*name, Shape::Text)).collect();
        self.put(|sink| sink.begin(&Head::default(), &columns));
    }

    /// The same with the type of each column, and with what made it all.
    pub fn typed(&mut self, columns: &[(&'static str, Shape)], made_by: Vec<Field>) {
        let made_by = made_by.into_iter().chain(self.mark.take()).collect();
        let columns: Vec<Column> = columns.iter().map(|(name, shape)| Column::for_scripts(*name, *shape)).collect();
        self.put(|sink| sink.begin(&Head { lines: Vec::new(), fields: made_by }, &columns));
    }

    /// One line; a value for each column of the header.
    pub fn line(&mut self, values: &[Value]) {
        let row = Row::new(values.iter().map(Value::of_table).collect());
        self.count += 1;
        self.put(|sink| sink.row(&row));
    }

    /// Whether writing has failed: there is no use in going on.
    pub fn has_failed(&self) -> bool {
        self.result.is_err()
    }

    /// Whether everything was written.
    ///
    /// # Errors
    /// The first error of writing.
    pub fn finish(mut self) -> io::Result<()> {
        self.put(|sink| sink.end(&Footer::default()));
        self.result
    }

    fn put(&mut self, write: impl FnOnce(&mut dyn Sink) -> io::Result<()>) {
        if self.result.is_ok() {
            self.result = write(&mut *self.sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: LineFormat, value: Value) -> String {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, format);
        lines.header(&["a"]);
        lines.line(&[value]);
        lines.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hostile_text_stays_one_field() {
        let text = || Value::Text("=cmd,\"x\"".into());
        assert_eq!(written(LineFormat::Json, text()), "{\"a\":\"=cmd,\\\"x\\\"\"}\n");
        assert_eq!(written(LineFormat::Csv, text()), "a\n\"\\061cmd,\"\"x\"\"\"\n");
        let list = Value::List(vec!["b.example".into(), "c.example".into()]);
        assert_eq!(written(LineFormat::Csv, list), "a\nb.example c.example\n");
    }
}
