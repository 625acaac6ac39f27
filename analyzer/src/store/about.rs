//! What is known of the sources of a month, beside its sums: so that its files alone are enough to
//! report from.

use super::months::check;
use super::read::unsigned;
use super::usage::endpoint_id;
use super::{Store, StoreError, blob, sums};
use crate::books::month::Month;
use crate::books::{Endpoint, Interface, Overlap, Removed, Traffic};
use crate::table::units;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{OptionalExtension as _, Transaction, params};
use std::collections::HashMap;

/// A fact about a source of a month, as JSON: see [`FACTS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFact {
    /// Which table it is of.
    pub kind: &'static str,
    /// Identity of the source.
    pub source: Vec<u8>,
    /// Columns by name; bytes as `{"x": "hexadecimal digits"}`.
    pub about: String,
}

/// Tables whose rows are kept beside the sums of a month; and their columns. The first is that of
/// the sources themselves.
const FACTS: [(&str, &str, &[&str]); 7] = [
    (
        "source",
        "source s",
        &[
            "identity",
            "kind",
            "path",
            "kept",
            "kept_segment",
            "interface",
            "first_ns",
            "last_ns",
            "ended",
            "len_bytes",
            "records",
            "recorder",
            "run",
            "sequence",
            "content",
            "file_len",
            "packets",
            "chain_captures",
            "chain",
            "allow_overlap",
        ],
    ),
    ("gap", "gap t JOIN source s ON s.id = t.source", &["from_ns", "to_ns", "reason"]),
    ("overlap", "overlap t JOIN source s ON s.id = t.source", &["bucket", "name", "other", "packets", "bytes"]),
    (
        "removed",
        "removed t JOIN source s ON s.id = t.source",
        &["bucket", "interface", "vlan", "traffic", "up_bytes", "down_bytes", "up_packets", "down_packets"],
    ),
    (
        "recorded",
        "recorded t JOIN source s ON s.id = t.source",
        &[
            "recorder",
            "run",
            "sequence",
            "segment",
            "before",
            "before_sealed",
            "boot",
            "interface",
            "start_ns",
            "to_ns",
            "ended",
            "stop_requested",
            "run_before_to_ns",
            "run_before_flags",
            "run_before_elapsed_ns",
        ],
    ),
    ("gone", "gone t JOIN source s ON s.id = t.source", &["recorder", "first", "segments", "why"]),
    (
        "name",
        "(SELECT n.source, e.address, e.mac, n.kind, n.name, n.last_ns FROM endpoint_name n
          JOIN endpoint e ON e.id = n.endpoint) t JOIN source s ON s.id = t.source",
        &["address", "mac", "kind", "name", "last_ns"],
    ),
];

impl Store {
    /// What is known of the sources that observed something of a month: kept beside its sums.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn month_facts(&self, month: Month, recorder: [u8; 16]) -> Result<Vec<SourceFact>, StoreError> {
        let (own, (from, to)) = (self.recorder()?, month.instants());
        let mut facts = Vec::new();
        for (kind, table, columns) in FACTS {
            let prefix = if kind == "source" { "s" } else { "t" };
            let pair = |column: &&str| {
                format!(
                    "'{column}', CASE typeof({prefix}.{column}) WHEN 'blob' THEN json_object('x', hex({prefix}.{column}))
                     ELSE {prefix}.{column} END"
                )
            };
            let pairs = columns.iter().map(pair).collect::<Vec<_>>().join(", ");
            let sql = format!(
                "SELECT s.identity, json_object({pairs}) FROM {table}
                 WHERE s.first_ns < ?2 AND s.last_ns >= ?1 AND coalesce(s.recorder, ?3) = ?4 ORDER BY 1, 2"
            );
            let mut select = self.db.prepare_cached(&sql)?;
            let rows = select.query_map(params![from.0, to.0, own, recorder], |row| {
                Ok(SourceFact { kind, source: row.get(0)?, about: row.get(1)? })
            })?;
            facts.extend(rows.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(facts)
    }
}

/// Books a fact of a source that is new here. `new` has the rows of those.
pub(super) fn adopt<'f>(
    tx: &Transaction<'_>,
    kind: &str,
    (identity, about): (&'f [u8], &str),
    new: &mut HashMap<&'f [u8], i64>,
) -> Result<(), StoreError> {
    let Some((kind, _, columns)) = FACTS.iter().find(|(known, ..)| *known == kind) else { return Ok(()) };
    let about: serde_json::Value = serde_json::from_str(about).unwrap_or_default();
    let mut values: Vec<Value> = columns.iter().map(|column| about.get(column).map_or(Value::Null, value)).collect();
    let mut names: Vec<&str> = columns.to_vec();
    let mut id = None;
    if *kind == "source" {
        let known: Option<i64> =
            tx.query_row("SELECT id FROM source WHERE identity = ?1", [identity], |row| row.get(0)).optional()?;
        if known.is_some() {
            return Ok(());
        }
        names.push("summed");
        values.push(Value::Integer(1));
    } else {
        let known = || -> Result<Option<i64>, StoreError> {
            let sql = "SELECT id FROM source WHERE identity = ?1";
            Ok(tx.query_row(sql, [identity], |row| row.get(0)).optional()?)
        };
        let source = match new.get(identity).copied() {
            // Each month knows what was removed when its file was written: all of them know all.
            None if *kind == "removed" => known()?,
            source => source,
        };
        let Some(source) = source else { return Ok(()) };
        id = Some(source);
        names.push("source");
        values.push(Value::Integer(source));
    }
    let mut table = *kind;
    if *kind == "name" {
        let bytes = |i: usize| match values.get(i).map(ValueRef::from) {
            Some(ValueRef::Blob(bytes)) => bytes.to_vec(),
            _ => Vec::new(),
        };
        let Some(address) = blob::to_address(&bytes(0)) else { return Ok(()) };
        let endpoint = endpoint_id(tx, Endpoint { address, mac: blob::to_mac(&bytes(1)) })?;
        names.splice(..2, ["endpoint"]);
        values.splice(..2, [Value::Integer(endpoint)]);
        table = "endpoint_name";
    }
    let marks = vec!["?"; names.len()].join(", ");
    let sql = format!("INSERT OR IGNORE INTO {table} ({}) VALUES ({marks})", names.join(", "));
    if tx.prepare_cached(&sql)?.execute(rusqlite::params_from_iter(&values))? == 0 {
        // A source of two months stands in the files of both.
        return Ok(());
    }
    if let ("overlap", [Value::Integer(bucket), Value::Text(source), Value::Text(of), Value::Integer(packets), ..]) =
        (*kind, values.as_slice())
        && let (Some(Value::Integer(bytes)), Some(Value::Integer(id))) = (values.get(4), values.get(5))
    {
        let (packets, bytes) = (unsigned(*packets), unsigned(*bytes));
        let overlap = Overlap { source: source.clone(), of: of.clone(), packets, bytes };
        check(tx, (*bucket, *id), sums::of_overlap(&overlap))?;
    }
    if *kind == "removed"
        && let (Some(id), Some(removed)) = (id, removed_of(&values))
    {
        check(tx, (removed.bucket_s, id), sums::of_removed(&removed))?;
    }
    if *kind == "source" {
        new.insert(identity, tx.last_insert_rowid());
    }
    Ok(())
}

/// What was removed, by the columns of [`FACTS`].
fn removed_of(values: &[Value]) -> Option<Removed> {
    let number = |i: usize| match values.get(i) {
        Some(Value::Integer(n)) => Some(*n),
        _ => None,
    };
    let Some(Value::Text(name)) = values.get(1) else { return None };
    let vlan = Some(u16::try_from(number(2)?).ok()?).filter(|id| *id != 0);
    let mut amounts = [0; 4];
    for (amount, i) in amounts.iter_mut().zip(4..) {
        *amount = unsigned(number(i)?);
    }
    Some(Removed {
        bucket_s: number(0)?,
        interface: Interface { name: name.clone(), vlan },
        traffic: Traffic::from_number(u8::try_from(number(3)?).ok()?).unwrap_or(Traffic::Visited),
        amounts,
    })
}

/// A value of [`SourceFact::about`].
fn value(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Object(bytes) => {
            let text = bytes.get("x").and_then(Json::as_str).unwrap_or_default();
            units::from_hex(text).map_or(Value::Null, Value::Blob)
        }
        Json::String(text) => Value::Text(text.clone()),
        Json::Number(n) => n.as_i64().map_or(Value::Null, Value::Integer),
        Json::Bool(is) => Value::Integer((*is).into()),
        Json::Null | Json::Array(_) => Value::Null,
    }
}
