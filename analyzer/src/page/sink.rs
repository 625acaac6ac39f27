//! Any table as a page: the rows as they come, with bars, sorted and searched by the same script.

use super::frame;
use super::parts;
use super::tables::bar;
use crate::table::units::{bytes, change, thousands};
use crate::table::{Column, Footer, Head, Row, RowKind, Shape, Sink, Value};
use maud::html;
use std::io::{self, Write};

/// Texts of so many bytes stay on one line.
const SHORT: usize = 28;

/// Writes a page with one table.
pub struct HtmlSink<'a> {
    out: &'a mut dyn Write,
    title: String,
    head: Head,
    columns: Vec<Column>,
    rows: u64,
}

impl<'a> HtmlSink<'a> {
    /// A page that is called `title`, to `out`.
    pub fn new(out: &'a mut dyn Write, title: String) -> Self {
        Self { out, title, head: Head::default(), columns: Vec::new(), rows: 0 }
    }
}

impl Sink for HtmlSink<'_> {
    fn begin(&mut self, head: &Head, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.to_vec();
        self.head = head.clone();
        frame::begin(&self.title, self.out)?;
        let is_number = |column: &Column| matches!(column.shape, Shape::Bytes | Shape::Count | Shape::Figures);
        let header = html! {
            (parts::header(&self.title, head))
        };
        let columns = html! {
            @for column in self.columns.iter().filter(|column| column.is_in_text()) {
                @if column.shape == Shape::Bar {
                    th.bar scope="col" { span.hidden { "bar" } }
                } @else {
                    th class=[is_number(column).then_some("n")] scope="col" { (column.heading) }
                }
            }
        };
        write!(
            self.out,
            "{}<main><section class=\"card\" id=\"sites\" aria-label=\"Rows\"><div class=\"scroll\" tabindex=\"0\" \
             role=\"region\" aria-label=\"Rows\"><table class=\"list\" id=\"rows-table\"><thead><tr>{}</tr></thead>\
             <tbody>",
            header.0, columns.0
        )
    }

    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.rows = self.rows.saturating_add(1);
        let mut first = true;
        let cells = self.columns.iter().zip(&row.values).filter(|(column, _)| column.is_in_text());
        let markup = html! {
            tr class=[(row.kind == RowKind::Sum).then_some("rest")] {
                @for (column, value) in cells {
                    @match (column.shape, value) {
                        (Shape::Bar, Value::Number(n)) => td.bar { (bar([*n, *n, *n], 1_000_000)) },
                        (Shape::Bar, _) => td.bar {},
                        (Shape::Bytes, Value::Number(n)) => td.n { data.b value=(n) { (bytes(*n)) } },
                        (Shape::Count, Value::Number(n)) => td.n { data.i value=(n) { (thousands(*n)) } },
                        (Shape::Figures, value) => td.n { (text(value)) },
                        (_, value) => @if std::mem::take(&mut first) {
                            th scope="row" { bdi { (text(value)) } }
                        } @else {
                            @let text = text(value);
                            td class=[(text.len() <= SHORT).then_some("s")] { bdi { (text) } }
                        },
                    }
                }
            }
        };
        self.out.write_all(markup.0.as_bytes())
    }

    fn end(&mut self, footer: &Footer) -> io::Result<()> {
        let below = html! {
            @if self.rows == 0 { @for line in footer.nothing.lines() { p { (line) } } }
        };
        let after = html! {
            @if !footer.totals.is_empty() { (parts::ledger(footer)) }
        };
        write!(
            self.out,
            "</tbody></table></div>{}</section>{}</main>{}",
            below.0,
            after.0,
            parts::made_by(&self.head).0
        )?;
        frame::end(None, self.out)
    }
}

/// A value as text for people.
fn text(value: &Value<'_>) -> String {
    match value {
        Value::Null | Value::Amounts(_) => String::new(),
        Value::Text(text) => text.to_string(),
        Value::Number(n) => thousands(*n),
        Value::Signed(n) => change(*n),
        Value::Bool(is) => is.to_string(),
        Value::List(list) => list.join(" "),
        Value::Lengths(texts) => texts.first().cloned().unwrap_or_default(),
    }
}
