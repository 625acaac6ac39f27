//! The report as a table: which columns it has, and what stands in them.

use super::frame::{Line, evidence_column};
use super::pages::PageSums;
use super::places::{INFRASTRUCTURE, REVERSE};
use super::{Report, Rest, times};
use crate::books::{Evidence, Sureness};
use crate::error::shown;
use crate::idn;
use crate::question::Key;
use crate::table::units::{bytes, percent, thousands, whole_percent};
use crate::table::{Column, Footer, Head, Row, RowKind, Shape, Sink, Value};
use serde_json::json;
use std::io;

/// Most kinds of evidence shown in one row; all are in the ledger.
const MAX_KINDS_SHOWN: usize = 3;

/// What stands behind a name that is no site.
const MARK: &str = " *";

/// Writes the report into `sink`.
pub(super) fn write(report: &Report, sink: &mut dyn Sink) -> io::Result<()> {
    let lines = report.frame().lines();
    let most = lines.iter().map(|line| line.total_bytes).max().unwrap_or_default();
    let table = Layout { report, ranged: lines.iter().any(is_shared), most };
    sink.begin(&head(report), &table.columns())?;
    for line in &lines {
        let kind = if line.high_bytes == 0 { RowKind::Empty } else { RowKind::Usual };
        sink.row(&Row { kind, values: table.values(line) })?;
    }
    if !lines.is_empty() {
        if let Some(rest) = report.frame().rest() {
            sink.row(&table.sum(format!("({} more)", thousands(rest.rows)), rest, None))?;
        }
        let page = report.frame().page_total();
        sink.row(&table.sum("total".to_owned(), report.frame().total(), page.as_ref()))?;
    }
    sink.end(&footer(report, &lines))
}

/// What the columns depend on.
struct Layout<'a> {
    report: &'a Report,
    /// Some row could be more or less than what is booked.
    ranged: bool,
    /// Bytes of the largest row.
    most: u64,
}

impl Layout<'_> {
    /// The columns: keys, then what people see of the amounts, then what scripts do.
    fn columns(&self) -> Vec<Column> {
        let frame = self.report.frame();
        let keys = frame.keys();
        let mut columns = Vec::new();
        for key in keys {
            let shape = if key.is_long() { Shape::Name } else { Shape::Text };
            columns.push(Column::for_people(key.word(), shape));
            columns.push(Column::for_scripts(key.word(), Shape::Text));
            if *key == Key::Device {
                columns.push(Column::for_scripts("device_name", Shape::Text));
            }
        }
        if self.has_hosts() {
            columns.push(Column::for_scripts("named", Shape::Text));
        }
        columns.extend([
            Column::for_people("total", Shape::Bytes),
            Column::for_people("share", Shape::Figures),
            Column::for_people("", Shape::Bar).giving_way(1),
            Column::for_people("down", Shape::Bytes).giving_way(2),
            Column::for_people("up", Shape::Bytes).giving_way(2),
            Column::for_people("packets", Shape::Count).giving_way(1),
            Column::for_scripts("up_bytes", Shape::Bytes),
            Column::for_scripts("down_bytes", Shape::Bytes),
            Column::for_scripts("total_bytes", Shape::Bytes),
            Column::for_scripts("packets", Shape::Count),
        ]);
        if self.ranged {
            columns.push(Column::for_people("could be", Shape::Figures));
        }
        if self.has_evidence() {
            if !frame.has_pages() {
                columns.push(Column::for_people("named by", Shape::Text));
            }
            let kind =
                |kind| Column::for_scripts(evidence_column(kind), Shape::Bytes).in_object("evidence", kind.word());
            columns.extend(Evidence::ALL.map(kind));
        }
        columns.push(Column::for_scripts("low_bytes", Shape::Bytes));
        columns.push(Column::for_scripts("high_bytes", Shape::Bytes));
        if frame.has_pages() {
            columns.extend(["own", "third party", "sure", "likely"].map(|word| Column::for_people(word, Shape::Bytes)));
            columns.extend(["own_bytes", "third_party_bytes"].map(|field| Column::for_scripts(field, Shape::Bytes)));
            columns.push(Column::for_scripts("own_class_bytes", Shape::Bytes).in_object("confidence", "own"));
            columns.extend(Sureness::ALL.map(|class| {
                let field = format!("{}_bytes", class.word());
                Column::for_scripts(field, Shape::Bytes).in_object("confidence", class.word())
            }));
            columns.push(Column::for_json("third_parties"));
        }
        columns
    }

    /// Whether rows stand for hosts, which may have no name.
    fn has_hosts(&self) -> bool {
        self.report.names.is_empty() && self.report.frame().keys().iter().any(|key| key.is_of_host())
    }

    fn has_evidence(&self) -> bool {
        !self.report.frame().keys().contains(&Key::Evidence)
    }

    fn values<'l>(&self, line: &'l Line<'_>) -> Vec<Value<'l>> {
        let frame = self.report.frame();
        let mut values = Vec::new();
        for (i, (key, text)) in frame.keys().iter().zip(&line.key).enumerate() {
            let mark = if line.marked && i == 0 { MARK } else { "" };
            values.push(Value::text(format!("{}{mark}", name(*key, text, line.device_name))));
            values.push(Value::text(*text));
            if *key == Key::Device {
                values.push(line.device_name.map_or(Value::Null, Value::text));
            }
        }
        if self.has_hosts() {
            values.push(Value::Bool(line.named));
        }
        let total = frame.total().total_bytes;
        values.extend([
            Value::Number(line.total_bytes),
            Value::text(percent(line.total_bytes, total)),
            Value::Number(millionths(line.total_bytes, self.most)),
            Value::Number(line.down_bytes),
            Value::Number(line.up_bytes),
            Value::Number(line.packets),
            Value::Number(line.up_bytes),
            Value::Number(line.down_bytes),
            Value::Number(line.total_bytes),
            Value::Number(line.packets),
        ]);
        if self.ranged {
            let bounds = || format!("{} .. {}", bytes(line.low_bytes), bytes(line.high_bytes));
            values.push(Value::text(is_shared(line).then(bounds).unwrap_or_default()));
        }
        if let Some(kinds) = &line.evidence {
            if !frame.has_pages() {
                values.push(Value::Lengths((1..=MAX_KINDS_SHOWN).rev().map(|most| named_by(kinds, most)).collect()));
            }
            values.extend(kinds.iter().map(|bytes| Value::Number(*bytes)));
        }
        values.extend([Value::Number(line.low_bytes), Value::Number(line.high_bytes)]);
        if frame.has_pages() {
            values.extend(page_values(line.page));
        }
        values
    }

    /// A row for people with sums of others.
    fn sum(&self, name: String, sums: Rest, page: Option<&PageSums>) -> Row<'static> {
        let total = self.report.frame().total().total_bytes;
        let mut name = Some(name);
        let values = self.columns().into_iter().map(|column| match &*column.heading {
            _ if !column.is_in_text() => Value::Null,
            "" => Value::Null,
            "total" => Value::Number(sums.total_bytes),
            "share" => Value::text(percent(sums.total_bytes, total)),
            "down" => Value::Number(sums.down_bytes),
            "up" => Value::Number(sums.up_bytes),
            "packets" => Value::Number(sums.packets),
            "own" => page.map_or(Value::Null, |page| Value::Number(page.own)),
            "third party" => page.map_or(Value::Null, |page| Value::Number(page.third_party)),
            "sure" => page.map_or(Value::Null, |page| Value::Number(page.of(Sureness::Sure))),
            "likely" => page.map_or(Value::Null, |page| Value::Number(page.of(Sureness::Likely))),
            _ => name.take().map_or(Value::Null, Value::text),
        });
        Row { kind: RowKind::Sum, values: values.collect() }
    }
}

/// `part` in millionths of `whole`.
fn millionths(part: u64, whole: u64) -> u64 {
    let parts = u128::from(part).saturating_mul(1_000_000).checked_div(whole.into()).unwrap_or_default();
    u64::try_from(parts).unwrap_or(u64::MAX)
}

/// A key's value as people read it: names of hosts decoded where that deceives nobody, devices with
/// what they call themselves.
fn name(key: Key, text: &str, device_name: Option<&str>) -> String {
    match (key, device_name) {
        (Key::Device, Some(name)) => format!("{name} ({text})"),
        (Key::Site | Key::Page | Key::Family | Key::Host, _) => idn::display(text).into_owned(),
        _ => text.to_owned(),
    }
}

fn page_values(page: Option<&PageSums>) -> Vec<Value<'_>> {
    let none = PageSums::default();
    let sums = page.unwrap_or(&none);
    let class = |class: Sureness| Value::Number(sums.of(class));
    let mut values = vec![Value::Number(sums.own), Value::Number(sums.third_party)];
    values.extend([class(Sureness::Sure), class(Sureness::Likely)]);
    values.extend([Value::Number(sums.own), Value::Number(sums.third_party), Value::Number(sums.own_class())]);
    values.extend(Sureness::ALL.map(class));
    values.push(page.map_or(Value::Null, |page| Value::Amounts(&page.third_parties)));
    values
}

/// Whether the range of what it could be says more than the total: a range of less than 1 % of it
/// does not.
fn is_shared(line: &Line<'_>) -> bool {
    line.high_bytes.saturating_sub(line.low_bytes) > line.high_bytes / 100
}

/// The kinds of evidence behind a row, largest first, at most `most` of them.
fn named_by(kinds: &[u64], most: usize) -> String {
    let total: u64 = kinds.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes));
    let mut kinds: Vec<(u64, &str)> =
        kinds.iter().copied().zip(Evidence::ALL.map(word)).filter(|(bytes, _)| *bytes > 0).collect();
    kinds.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    if let [(_, only)] = kinds.as_slice() {
        return (*only).to_owned();
    }
    let more = kinds.len().saturating_sub(most);
    let text = |(bytes, word): &(u64, &str)| format!("{word} {}", whole_percent(*bytes, total));
    let mut texts: Vec<String> = kinds.iter().take(most).map(text).collect();
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    texts.join(", ")
}

/// The word for a kind in a table.
fn word(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::None => "address only",
        named => named.word(),
    }
}

fn head(report: &Report) -> Head {
    let from = report.start().unwrap_or_else(|| "the beginning".to_owned());
    let to = report.end().unwrap_or_else(|| "the end".to_owned());
    let filter = report.filter_text().map(|text| format!("; only {text}")).unwrap_or_default();
    let mut lines = vec![format!("{from} to {to} ({}){filter}", shown(&report.zone))];
    lines.extend(times::head(report));
    if report.only_served {
        lines.push("nothing was visited; others fetched this from our side:".to_owned());
    }
    let range = json!({"from": report.start(), "to": report.end(), "zone": report.zone});
    let mut fields = report.versions.clone();
    fields.push(("range", range));
    if let Some(filters) = report.filter_json() {
        fields.push(("only", filters));
    }
    Head { lines, fields }
}

fn footer(report: &Report, lines: &[Line<'_>]) -> Footer {
    let ledger = &report.ledger;
    let rest = report.frame().rest().map(|rest| {
        let Rest { rows, up_bytes, down_bytes, total_bytes, packets } = rest;
        json!({"rows": rows, "up_bytes": up_bytes, "down_bytes": down_bytes, "total_bytes": total_bytes, "packets": packets})
    });
    let mut parts = super::ledger::parts(report);
    parts.extend(times::parts(report));
    let mut below = times::below(report);
    below.extend(super::ledger::hints(report).into_iter().map(|hint| format!("hint: {hint}")));
    Footer {
        nothing: std::iter::once(nothing(report)).chain(report.looked.iter().cloned()).collect::<Vec<_>>().join("\n"),
        notes: notes(report, lines),
        totals_called: "ledger",
        totals: super::ledger::lines(report),
        whole: ledger.ip_bytes,
        short: super::ledger::short(report),
        all_is_well: super::ledger::is_well(report),
        lines: below,
        fields: rest.into_iter().map(|rest| ("rest", rest)).collect(),
        parts,
    }
}

fn nothing(report: &Report) -> String {
    match (report.names.as_slice(), report.filter_text()) {
        ([], Some(filter)) => format!("nothing in this range for {filter}"),
        ([], None) if report.ledger.local_bytes > 0 => {
            "nothing but local traffic in this range: --include-local shows it".to_owned()
        }
        ([], None) if report.ledger.packets > 0 => "nothing in this range that could be booked on a site".to_owned(),
        ([], None) => "nothing was recorded in this range".to_owned(),
        (names, _) => format!("nothing in this range for {}", shown(&names.join(", "))),
    }
}

/// What signs in the rows mean.
fn notes(report: &Report, lines: &[Line<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let ends_with = |sign: &str| lines.iter().any(|line| line.key.iter().any(|key| key.ends_with(sign)));
    if lines.iter().any(|line| line.marked) {
        notes.push("* no site: a public suffix, a name of the local network, or no host name".to_owned());
    }
    if !report.filters.is_empty() && !lines.is_empty() {
        notes.push("shares are of these rows; the ledger is of everything in the range".to_owned());
    }
    if ends_with(REVERSE) {
        notes
            .push("(ptr): what the holder of an address calls it, by reverse lookup; nothing that was seen".to_owned());
    }
    if ends_with(INFRASTRUCTURE) {
        notes.push(
            "(infrastructure): only a name of its network was asked for; which site it carried is not known".to_owned(),
        );
    }
    if !report.ledger.tunnels.is_empty() {
        let carriers = shown(&report.ledger.tunnels.join(", "));
        notes.push(format!(
            "{carriers}: carries a tunnel that was recorded, too; what is inside counts there, what the tunnel adds here"
        ));
    }
    notes
}
