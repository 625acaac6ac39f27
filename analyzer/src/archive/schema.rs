//! Schema `imon-books/1`: the columns of closed months. docs/DATASET.md is the contract.

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use std::sync::Arc;

/// Its name in the metadata of each file.
pub const SCHEMA: &str = "imon-books/1";

/// The tables of a month, by the folder that they are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Usage.
    Rows,
    /// Parts of it that pages pulled in.
    Pages,
    /// Everything else that is counted, and what the database knows of the month's sources.
    Ledger,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rows, Self::Pages, Self::Ledger];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Pages => "pages",
            Self::Ledger => "ledger",
        }
    }

    /// The part with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.word() == word)
    }
}

/// A text with few values: as a dictionary in memory and in the file.
fn text(name: &str) -> Field {
    Field::new(name, DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), false)
}

fn number(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}

fn start() -> [Field; 2] {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    [Field::new("start", micros, false), Field::new("seconds", DataType::Int32, false)]
}

/// A list of names.
fn names(name: &str) -> Field {
    Field::new(name, DataType::List(Arc::new(text("element"))), false)
}

/// What rows and parts have in common.
fn usage() -> Vec<Field> {
    let mut fields = start().to_vec();
    fields.extend([text("recorder"), text("interface"), Field::new("vlan", DataType::Int32, false)]);
    fields.extend(["device_address", "device_mac", "device", "device_name", "host"].map(text));
    fields.push(Field::new("named", DataType::Boolean, false));
    fields.extend(["site", "family", "evidence", "blind", "scope"].map(text));
    fields.extend(["up_bytes", "down_bytes", "up_packets", "down_packets"].map(number));
    fields.extend([names("candidates"), text("source")]);
    fields
}

/// The columns of a table, in order.
pub fn schema(part: Part) -> Arc<Schema> {
    Arc::new(Schema::new(match part {
        Part::Rows => usage(),
        Part::Pages => {
            let mut fields = usage();
            fields.extend(["page", "sureness", "rival"].map(text));
            fields
        }
        Part::Ledger => {
            let mut fields = start().to_vec();
            fields.extend(["recorder", "source", "kind"].map(text));
            fields.extend(["counter", "detail", "packets", "bytes"].map(number));
            fields.push(text("about"));
            fields
        }
    }))
}
