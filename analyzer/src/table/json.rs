//! JSON (RFC 8259): one document with everything, one row a line; or JSON lines, rows only. Field
//! names are stable; fields may be added.

use super::{Amount, Column, Field, Footer, Head, Row, RowKind, Sink, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Version of the documents: raised where a field changes its meaning or goes.
const FORMAT: u32 = 1;

/// Writes one document: the head's fields, `rows`, the footer's fields, the totals.
pub struct JsonDocument<'a> {
    out: &'a mut dyn Write,
    columns: Vec<Column>,
    rows: u64,
}

impl<'a> JsonDocument<'a> {
    /// A document to `out`.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, columns: Vec::new(), rows: 0 }
    }
}

impl Sink for JsonDocument<'_> {
    fn begin(&mut self, head: &Head, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.to_vec();
        write!(self.out, "{{\"format\":{FORMAT}")?;
        for (name, value) in &head.fields {
            write!(self.out, ",{}:{}", text(name)?, text(value)?)?;
        }
        write!(self.out, ",\n\"rows\":[")
    }

    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        if row.kind == RowKind::Sum {
            return Ok(());
        }
        let comma = if self.rows == 0 { "" } else { "," };
        self.rows = self.rows.saturating_add(1);
        write!(self.out, "{comma}\n{}", text(&Object { columns: &self.columns, values: &row.values })?)
    }

    fn end(&mut self, footer: &Footer) -> io::Result<()> {
        write!(self.out, "\n]")?;
        for (name, value) in &footer.fields {
            write!(self.out, ",\n{}:{}", text(name)?, text(value)?)?;
        }
        if !footer.totals.is_empty() {
            write!(self.out, ",\n{}:{}", text(&footer.totals_called)?, text(&Pairs(&totals(footer)))?)?;
        }
        writeln!(self.out, "}}")
    }
}

/// Writes one object a line, and nothing around them.
pub struct JsonLines<'a> {
    out: &'a mut dyn Write,
    columns: Vec<Column>,
}

impl<'a> JsonLines<'a> {
    /// Lines to `out`.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, columns: Vec::new() }
    }
}

impl Sink for JsonLines<'_> {
    fn begin(&mut self, _: &Head, columns: &[Column]) -> io::Result<()> {
        self.columns = columns.to_vec();
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        match row.kind {
            RowKind::Usual | RowKind::Empty => {
                writeln!(self.out, "{}", text(&Object { columns: &self.columns, values: &row.values })?)
            }
            RowKind::Sum => Ok(()),
        }
    }

    fn end(&mut self, _: &Footer) -> io::Result<()> {
        Ok(())
    }
}

fn text(value: &impl Serialize) -> io::Result<String> {
    Ok(safe(serde_json::to_string(value)?))
}

/// JSON in which nothing acts on a terminal, or passes for something else, that shows it as it is:
/// what [`shown`](imon_common::shown::shown) escapes is escaped as JSON does.
pub fn safe(json: String) -> String {
    // What is not ASCII stands in strings only.
    let is_safe = |c: char| matches!(c, ' '..='~' | '\n') || (!c.is_ascii() && c.escape_debug().len() == 1);
    if json.chars().all(is_safe) {
        return json;
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match is_safe(c) {
            true => text.push(c),
            // Writing to a String cannot fail.
            false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(text, "\\u{unit:04x}")),
        }
    }
    text
}

/// An object whose fields keep their order.
pub struct Pairs<'a>(pub &'a [Field]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Every amount of the totals that has a name, then what they are made of.
pub(super) fn totals(footer: &Footer) -> Vec<Field> {
    let value = |amount: Amount| match amount {
        Amount::Is(n) => i64::try_from(n).map_or_else(|_| json!(u64::try_from(n).unwrap_or(u64::MAX)), |n| json!(n)),
        Amount::None | Amount::Unknown => json!(null),
    };
    let amounts = footer.totals.iter().flat_map(|total| {
        let amounts = [total.bytes, total.packets];
        total.fields.into_iter().zip(amounts).filter_map(|(name, amount)| Some((name?, amount)))
    });
    amounts.map(|(name, amount)| (name, value(amount))).chain(footer.parts.iter().cloned()).collect()
}

/// A row as an object; columns that stand in an object of their own follow each other.
struct Object<'a> {
    columns: &'a [Column],
    values: &'a [Value<'a>],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let fields: Vec<(&Column, &Value<'_>)> =
            self.columns.iter().zip(self.values).filter(|(column, _)| column.is_in_json()).collect();
        for of_one in fields.chunk_by(|(a, _), (b, _)| a.object.is_some() && object(a) == object(b)) {
            match of_one {
                [(column, value), ..] if column.object.is_none() => map.serialize_entry(&column.field, value)?,
                [(column, _), ..] => map.serialize_entry(object(column).unwrap_or_default(), &Inner(of_one))?,
                [] => {}
            }
        }
        map.end()
    }
}

fn object(column: &Column) -> Option<&'static str> {
    column.object.map(|(object, _)| object)
}

struct Inner<'a>(&'a [(&'a Column, &'a Value<'a>)]);

impl Serialize for Inner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(column, value)| (column.object.map(|(_, name)| name), value)))
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null | Self::Lengths(_) => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Signed(n) => serializer.serialize_i64(*n),
            Self::Number(n) => serializer.serialize_u64(*n),
            Self::Bool(is) => serializer.serialize_bool(*is),
            Self::List(list) => serializer.collect_seq(list),
            Self::Amounts(amounts) => serializer.collect_map(amounts.iter()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Shape;

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        let hostile = "a\u{9b}31m\u{202e}\u{7f}\u{e0001}\n\u{1b} Zoë's 電話";
        let json = text(&hostile).unwrap();
        assert_eq!(json, "\"a\\u009b31m\\u202e\\u007f\\udb40\\udc01\\n\\u001b Zoë's 電話\"");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }

    #[test]
    fn columns_of_a_kind_stand_in_one_object_and_hostile_text_in_its_string() {
        let columns = [
            Column::new("a", Shape::Text),
            Column::for_people("b", Shape::Text),
            Column::for_scripts("x_bytes", Shape::Bytes).in_object("kinds", "x"),
            Column::for_scripts("y_bytes", Shape::Bytes).in_object("kinds", "y"),
            Column::for_scripts("l", Shape::Text),
        ];
        let mut out = Vec::new();
        let mut sink = JsonLines::new(&mut out);
        sink.begin(&Head::default(), &columns).unwrap();
        let list = Value::List(vec!["c".into()]);
        sink.row(&Row::new(vec![Value::text("=\"\n"), Value::text("no"), Value::Number(1), Value::Null, list]))
            .unwrap();
        sink.end(&Footer::default()).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"a\":\"=\\\"\\n\",\"kinds\":{\"x\":1,\"y\":null},\"l\":[\"c\"]}\n"
        );
    }
}
