//! JSON: one document with range, rows and ledger, one row a line. Field names are stable; fields may be added.
//!
//! ```text
//! {"range":{"from","to","zone"},
//!  "rows":[{"<by>":…,"up_bytes","down_bytes","total_bytes","packets","evidence":{…},"low_bytes","high_bytes"}],
//!  "rest":{"rows","up_bytes","down_bytes","total_bytes","packets"},
//!  "ledger":{…}}
//! ```
//! By page a row also has `own_bytes` and `third_party_bytes` (together the total), `confidence` (bytes by class: `own`,
//! `sure`, `likely`, `guess`, `background`) and `third_parties` (bytes of each other site).
//! `from` and `to` are RFC 3339, `to` is the first instant after the range; `null` where the range is open and nothing
//! was observed. By device there is `device_name` behind `device`: what it calls itself, or `null`. `evidence` has every
//! kind; by evidence there is none, the key says it. `rest` is there only if a limit cut rows off: rows and rest add up to
//! the ledger. `ptr_bytes` are of `address_only_bytes`, and not a part beside it. `non_ip` lists what frames without IP hold:
//! `kind` (`ether-type`, `link-type`, `llc`, `link`, `other`), `number`, `name`, `packets`, `bytes`, and a `hint` where IP may be
//! inside.

use super::Report;
use super::frame::{Line, Rest};
use super::ledger::Amount;
use super::pages::PageSums;
use crate::books::carriers::Carrier;
use crate::books::{BlindBytes, Evidence, Ledger, Sureness};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use std::io::{self, Write};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let columns = report.frame().key_columns();
    let has_device_names = report.frame().has_device_names();
    let range = Pairs(&[("from", json!(report.start())), ("to", json!(report.end())), ("zone", json!(report.zone))]);
    write!(out, "{{\"range\":{},\n\"rows\":[", text(&range)?)?;
    for (i, line) in report.frame().lines().iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}\n{}", text(&Row { has_device_names, columns, line, page: report.page(line) })?)?;
    }
    write!(out, "\n],\n")?;
    if let Some(rest) = report.frame().rest() {
        writeln!(out, "\"rest\":{},", text(&Pairs(&rest_pairs(rest)))?)?;
    }
    writeln!(out, "\"ledger\":{}}}", text(&Pairs(&ledger(report)))?)
}

fn text(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(value)?)
}

type Pair = (&'static str, serde_json::Value);

/// An object whose fields keep their order.
struct Pairs<'a>(&'a [Pair]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

struct Row<'a> {
    has_device_names: bool,
    columns: &'a [&'static str],
    line: &'a Line<'a>,
    page: Option<&'a PageSums>,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let line = self.line;
        let mut map = serializer.serialize_map(None)?;
        for (column, key) in self.columns.iter().zip(&line.key) {
            map.serialize_entry(column, key)?;
        }
        if self.has_device_names {
            map.serialize_entry("device_name", &line.device_name)?;
        }
        map.serialize_entry("up_bytes", &line.up_bytes)?;
        map.serialize_entry("down_bytes", &line.down_bytes)?;
        map.serialize_entry("total_bytes", &line.total_bytes)?;
        map.serialize_entry("packets", &line.packets)?;
        if let Some(kinds) = &line.evidence {
            map.serialize_entry("evidence", &Kinds(kinds))?;
        }
        map.serialize_entry("low_bytes", &line.low_bytes)?;
        map.serialize_entry("high_bytes", &line.high_bytes)?;
        if let Some(page) = self.page {
            map.serialize_entry("own_bytes", &page.own)?;
            map.serialize_entry("third_party_bytes", &page.third_party)?;
            map.serialize_entry("confidence", &Confidence(page))?;
            map.serialize_entry("third_parties", &page.third_parties)?;
        }
        map.end()
    }
}

/// Bytes of a page by how sure it is that they are its own.
struct Confidence<'a>(&'a PageSums);

impl Serialize for Confidence<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let classes = Sureness::ALL.into_iter().map(|class| (class.word(), self.0.of(class)));
        serializer.collect_map(std::iter::once(("own", self.0.own_class())).chain(classes))
    }
}

struct Kinds<'a>(&'a [u64]);

impl Serialize for Kinds<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Evidence::ALL.iter().map(|e| e.word()).zip(self.0))
    }
}

/// Every blind spot by its word.
fn words(bytes: &BlindBytes) -> serde_json::Value {
    bytes.iter().map(|(blind, bytes)| (blind.word().to_owned(), json!(bytes))).collect::<serde_json::Map<_, _>>().into()
}

fn rest_pairs(rest: Rest) -> [Pair; 5] {
    [
        ("rows", json!(rest.rows)),
        ("up_bytes", json!(rest.up_bytes)),
        ("down_bytes", json!(rest.down_bytes)),
        ("total_bytes", json!(rest.total_bytes)),
        ("packets", json!(rest.packets)),
    ]
}

/// Every amount of the ledger that has a name, then what its parts are made of, and the gaps.
fn ledger(report: &Report) -> Vec<Pair> {
    let value = |amount: Amount| match amount {
        Amount::Is(n) => i64::try_from(n).map_or_else(|_| json!(u64::try_from(n).unwrap_or(u64::MAX)), |n| json!(n)),
        Amount::None | Amount::Unknown => json!(null),
    };
    let amounts = super::ledger::lines(report).into_iter().flat_map(|line| {
        line.fields.into_iter().zip([line.bytes, line.packets]).filter_map(|(name, amount)| Some((name?, amount)))
    });
    let gap = |gap: &crate::books::Gap| json!({"from": report.instant(gap.from), "to": report.instant(gap.to), "reason": gap.reason});
    let Ledger { address_only_by, blind_spots, carriers, tunnels, gaps, .. } = &report.ledger;
    let carrier = |c: &Carrier| json!({"kind": c.word(), "number": c.number(), "name": c.name(), "packets": c.packets, "bytes": c.bytes, "hint": c.hint()});
    let parts = [
        ("address_only_by", words(address_only_by)),
        ("blind_spots", words(blind_spots)),
        ("non_ip", json!(carriers.iter().map(carrier).collect::<Vec<_>>())),
        ("tunnel_carriers", json!(tunnels)),
        ("gaps", json!(gaps.iter().map(gap).collect::<Vec<_>>())),
    ];
    amounts.map(|(name, amount)| (name, value(amount))).chain(parts).collect()
}
