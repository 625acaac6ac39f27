//! A table: what every answer is before it is text, JSON, CSV or Parquet. Columns are described
//! once; a [`Sink`] is one way to write them. A new window is a new sink, and nothing else.
//!
//! ```text
//! head ─► columns ─► row, row, … ─► footer (totals, notes)
//! ```
//! Nothing in here knows what the rows are about.

mod csv;
mod display_filter;
mod json;
mod parquet;
mod text;
pub mod units;
mod wrap;

pub use self::csv::CsvSink;
pub use self::display_filter::DisplayFilterSink;
pub use self::json::{JsonDocument, JsonLines, safe as safe_json};
pub use self::parquet::ParquetSink;
pub use self::text::{TextSink, TextStyle, TotalsShown};
pub use self::wrap::Wrapped;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;

/// A value of JSON with its name.
pub type Field = (&'static str, serde_json::Value);

/// Whom a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Text for people: rounded, put together, left out where there is no room.
    People,
    /// JSON, CSV and Parquet: exact.
    Scripts,
    /// JSON alone: what no field of CSV holds.
    Json,
    /// Everybody.
    Both,
}

/// What stands in a column, and how people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text, at the left.
    Text,
    /// A name whose end says most: where there is no room it loses its beginning.
    Name,
    /// Text at the right: what is put together of numbers.
    Figures,
    /// A number of bytes; people see three digits and a binary unit.
    Bytes,
    /// A number of packets, flows or the like.
    Count,
    /// Yes or no.
    Flag,
    /// An instant with its offset, as text (RFC 3339).
    Instant,
    /// A date, as text.
    Date,
    /// A list of texts.
    List,
    /// A bar: a number of millionths of the longest one. Drawn on terminals that can.
    Bar,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// What people read above it.
    pub heading: Cow<'static, str>,
    /// Its name in CSV and JSON, with its unit. Stable.
    pub field: Cow<'static, str>,
    /// In JSON the object that it stands in, and its name there, where it is one of several of a
    /// kind.
    pub object: Option<(&'static str, &'static str)>,
    /// Whom it is for.
    pub audience: Audience,
    /// What stands in it.
    pub shape: Shape,
    /// Where a terminal is too narrow: in which step it is left out; 0 for never.
    pub gives_way: u8,
}

impl Column {
    /// A column for everybody.
    pub fn new(field: impl Into<Cow<'static, str>>, shape: Shape) -> Self {
        let field = field.into();
        Self { heading: field.clone(), field, object: None, audience: Audience::Both, shape, gives_way: 0 }
    }

    /// A column for scripts.
    pub fn for_scripts(field: impl Into<Cow<'static, str>>, shape: Shape) -> Self {
        Self { audience: Audience::Scripts, ..Self::new(field, shape) }
    }

    /// A column that only JSON has.
    pub fn for_json(field: impl Into<Cow<'static, str>>) -> Self {
        Self { audience: Audience::Json, ..Self::new(field, Shape::Text) }
    }

    /// A column for people.
    pub fn for_people(heading: impl Into<Cow<'static, str>>, shape: Shape) -> Self {
        Self { audience: Audience::People, ..Self::new(heading, shape) }
    }

    /// The same column, which in JSON stands in an object by `name`.
    #[must_use]
    pub fn in_object(self, object: &'static str, name: &'static str) -> Self {
        Self { object: Some((object, name)), ..self }
    }

    /// The same column, which is left out in that step where there is no room.
    #[must_use]
    pub fn giving_way(self, step: u8) -> Self {
        Self { gives_way: step, ..self }
    }

    /// Whether it is in text for people.
    pub fn is_in_text(&self) -> bool {
        matches!(self.audience, Audience::People | Audience::Both)
    }

    /// Whether it is in CSV.
    pub fn is_in_csv(&self) -> bool {
        matches!(self.audience, Audience::Scripts | Audience::Both)
    }

    /// Whether it is in JSON.
    pub fn is_in_json(&self) -> bool {
        self.audience != Audience::People
    }
}

/// A value in a row. Texts are safe to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing, or not known.
    Null,
    /// Text.
    Text(Cow<'a, str>),
    /// A number.
    Number(u64),
    /// A change in bytes: people see its sign.
    Signed(i64),
    /// Yes or no: `true` and `false`.
    Bool(bool),
    /// A list of texts; in CSV joined by spaces, which no name holds.
    List(Vec<String>),
    /// Amounts by name. In JSON only.
    Amounts(Cow<'a, BTreeMap<String, u64>>),
    /// Text for people in several lengths, longest first: one for each step in which columns give
    /// way.
    Lengths(Vec<String>),
}

impl<'a> Value<'a> {
    /// Text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }
}

/// What a row is among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// A row.
    Usual,
    /// A row for something that could have been, and was not.
    Empty,
    /// A sum of rows, for people: scripts add up for themselves, or find it in the footer.
    Sum,
}

/// How much of a row need not be doubted. Colour never says it alone: a figure stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// Nearly all.
    Most,
    /// Half of it, or more.
    Half,
    /// Less.
    Little,
}

impl Certainty {
    /// Of so many certain bytes of all; `None` of nothing.
    pub fn new(certain: u64, all: u64) -> Option<Self> {
        let percent = u128::from(certain).saturating_mul(100).checked_div(all.into())?;
        Some(match percent {
            95.. => Self::Most,
            50.. => Self::Half,
            _ => Self::Little,
        })
    }
}

/// A row: a value for each column, in their order.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// What it is.
    pub kind: RowKind,
    /// How sure it is, where the last column for people says so.
    pub certainty: Option<Certainty>,
    /// One for each column.
    pub values: Vec<Value<'a>>,
}

impl<'a> Row<'a> {
    /// A usual row.
    pub fn new(values: Vec<Value<'a>>) -> Self {
        Self { kind: RowKind::Usual, certainty: None, values }
    }
}

/// What stands above the rows.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// For people, a line each.
    pub lines: Vec<String>,
    /// For JSON.
    pub fields: Vec<Field>,
}

/// What stands below the rows.
#[derive(Debug, Clone, Default)]
pub struct Footer {
    /// What people read in place of rows where there is none.
    pub nothing: String,
    /// Right below the rows, for people, a line each.
    pub notes: Vec<String>,
    /// What the totals are called.
    pub totals_called: &'static str,
    /// Where everything went.
    pub totals: Vec<Total>,
    /// What shares are of.
    pub whole: u64,
    /// Below the totals, for people, a line each.
    pub lines: Vec<String>,
    /// In place of totals and lines, where little room is given to them; empty where they have to
    /// be seen.
    pub short: Vec<String>,
    /// Nothing in totals and lines asks for somebody's attention.
    pub all_is_well: bool,
    /// For JSON, before the totals.
    pub fields: Vec<Field>,
    /// For JSON, in the object of the totals behind them: what they are made of.
    pub parts: Vec<Field>,
}

/// When people see a line of the totals. Scripts see every line that has a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// Where it is not zero.
    IfAny,
}

/// One line of the totals.
#[derive(Debug, Clone)]
pub struct Total {
    /// What people read.
    pub label: Cow<'static, str>,
    /// Bytes; signed, as a residual may be.
    pub bytes: Amount,
    /// Packets.
    pub packets: Amount,
    /// Names of bytes and packets in JSON, where they have one.
    pub fields: [Option<&'static str>; 2],
    /// When people see it.
    pub when: When,
    /// Whether its share of the whole says something.
    pub share: bool,
}

/// An amount of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// The line has none.
    None,
    /// The source does not say.
    Unknown,
    /// So many.
    Is(i128),
}

impl From<Option<u64>> for Amount {
    fn from(amount: Option<u64>) -> Self {
        amount.map_or(Self::Unknown, |n| Self::Is(n.into()))
    }
}

impl From<u64> for Amount {
    fn from(amount: u64) -> Self {
        Self::Is(amount.into())
    }
}

impl Total {
    /// A line of bytes.
    pub fn bytes(
        label: impl Into<Cow<'static, str>>,
        field: Option<&'static str>,
        bytes: impl Into<Amount>,
        when: When,
    ) -> Self {
        let (label, bytes) = (label.into(), bytes.into());
        Self { label, bytes, packets: Amount::None, fields: [field, None], when, share: true }
    }

    /// The same line with packets as well.
    #[must_use]
    pub fn with_packets(self, field: &'static str, packets: impl Into<Amount>) -> Self {
        let [bytes, _] = self.fields;
        Self { packets: packets.into(), fields: [bytes, Some(field)], ..self }
    }

    /// A line of packets.
    pub fn packets(label: &'static str, field: &'static str, packets: impl Into<Amount>) -> Self {
        Self { share: false, ..Self::bytes(label, None, Amount::None, When::Always) }.with_packets(field, packets)
    }

    /// The same line without a share.
    #[must_use]
    pub fn without_share(self) -> Self {
        Self { share: false, ..self }
    }

    /// Whether people see the line.
    pub fn is_shown(&self) -> bool {
        let is_any = |amount: &Amount| matches!(amount, Amount::Is(n) if *n != 0);
        self.when == When::Always || is_any(&self.bytes) || is_any(&self.packets)
    }
}

/// One way to write a table. Calls come in the order of the methods.
pub trait Sink {
    /// What stands above the rows, and what the rows have.
    ///
    /// # Errors
    /// Those of writing.
    fn begin(&mut self, head: &Head, columns: &[Column]) -> io::Result<()>;

    /// A row.
    ///
    /// # Errors
    /// Those of writing.
    fn row(&mut self, row: &Row<'_>) -> io::Result<()>;

    /// What stands below the rows.
    ///
    /// # Errors
    /// Those of writing.
    fn end(&mut self, footer: &Footer) -> io::Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certainty_has_its_bounds_within_itself() {
        let of = |certain| Certainty::new(certain, 1_000);
        assert_eq!([950, 949, 500, 499].map(of), {
            use Certainty::{Half, Little, Most};
            [Most, Half, Half, Little].map(Some)
        });
        assert_eq!((Certainty::new(0, 0), Certainty::new(u64::MAX, u64::MAX)), (None, Some(Certainty::Most)));
    }
}
