//! The rows of one moment as a table: for scripts, and where there is no terminal.

use super::snapshot::{Row, Snapshot, View};
use crate::books::{Evidence, Sureness};
use crate::question::Key;
use crate::report::{Masker, name_of};
use crate::table::units::whole_percent;
use crate::table::{Column, Footer, Head, Row as Written, Shape, Sink, Total, Value, When};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;

/// What the head of the table says.
#[derive(Debug, Clone)]
pub struct About {
    /// The moment, for people, and as RFC 3339.
    pub at: String,
    /// The first instant of today and of the period, likewise.
    pub since: [String; 2],
    /// What the period is called.
    pub period: String,
    /// Names of the recorded interfaces.
    pub interfaces: Vec<String>,
    /// Packets of today that were lost.
    pub dropped_packets: u64,
}

/// Writes `most` rows, or all.
///
/// # Errors
/// Those of the sink.
pub fn write(
    (snapshot, most): (&Snapshot, Option<usize>),
    (view, masker, has_owners): (View, &Masker, bool),
    about: &About,
    sink: &mut dyn Sink,
) -> io::Result<()> {
    let [today, period] = &about.since;
    let names = about.interfaces.iter().map(|name| masker.own("interface", name).into_owned());
    let interfaces: Vec<String> = names.collect();
    let head = Head {
        lines: vec![format!("{}, recorded on: {}", about.at, interfaces.join(", "))],
        fields: vec![
            ("at", json!(about.at)),
            ("today_from", json!(today)),
            ("period", json!(about.period)),
            ("period_from", json!(period)),
            ("interfaces", json!(interfaces)),
        ],
    };
    let has_owners = has_owners && matches!(view, View::Site | View::Host | View::Page);
    let mut columns = columns(view, &about.period);
    let owners = [Key::Network, Key::Country].map(|key| Column::new(key.word(), Shape::Text));
    if view == View::Page {
        columns.extend(columns_of_page());
    }
    columns.extend(owners.into_iter().filter(|_| has_owners));
    sink.begin(&head, &columns)?;
    let shown = most.unwrap_or(usize::MAX);
    for row in snapshot.rows.iter().take(shown) {
        let name = masker.key(view.key(), &row.name).into_owned();
        let evidence = evidence(row);
        let mut values = values(row, (view, name), &evidence);
        if view == View::Page {
            values.extend(of_page(row));
        }
        if has_owners {
            let owner = row.owner.clone().filter(|_| !masker.is_own(&row.name)).unwrap_or_default();
            let text = |key, text: Option<String>| {
                text.map_or(Value::Null, |text| Value::text(masker.key(key, &text).into_owned()))
            };
            values.extend([text(Key::Network, owner.network), text(Key::Country, owner.country)]);
        }
        sink.row(&Written::new(values))?;
    }
    let all = &snapshot.all;
    let left = snapshot.rows.len().saturating_sub(shown);
    let footer = Footer {
        nothing: "nothing has passed; `imon-record --status` says whether a recorder runs".into(),
        notes: if left > 0 { vec![format!("({left} more rows)")] } else { Vec::new() },
        totals_called: "totals",
        totals: vec![
            Total::bytes("today", Some("today_bytes"), all.today.sum(), When::Always).without_share(),
            Total::bytes(about.period.clone(), Some("period_bytes"), all.period.sum(), When::Always).without_share(),
            Total::bytes("that may still change", Some("open_bytes"), all.open, When::IfAny).without_share(),
            Total::bytes("local network, today", Some("local_bytes"), snapshot.local, When::IfAny).without_share(),
            Total::bytes("served, today", Some("served_bytes"), snapshot.served, When::IfAny).without_share(),
            Total::packets("lost by the capture, today", "capture_dropped_packets", about.dropped_packets),
        ],
        whole: all.today.sum(),
        ..Footer::default()
    };
    sink.end(&footer)
}

fn columns(view: View, period: &str) -> Vec<Column> {
    vec![
        Column::for_people(view.word(), Shape::Name),
        Column::for_scripts(view.word(), Shape::Text),
        Column::for_scripts("named", Shape::Text),
        Column { heading: "▼ a second".into(), ..Column::new("down_bytes_per_second", Shape::Bytes) },
        Column { heading: "▲ a second".into(), ..Column::new("up_bytes_per_second", Shape::Bytes) },
        Column::for_scripts("today_up_bytes", Shape::Bytes),
        Column::for_scripts("today_down_bytes", Shape::Bytes),
        Column { heading: "today".into(), ..Column::new("today_bytes", Shape::Bytes) },
        Column { heading: period.to_owned().into(), ..Column::new("period_bytes", Shape::Bytes) },
        Column::for_scripts("certain_bytes", Shape::Bytes),
        Column::for_people("sure", Shape::Figures),
        Column::for_scripts("open_bytes", Shape::Bytes),
        Column::for_json("evidence_bytes"),
    ]
}

/// What a report by page has as well.
fn columns_of_page() -> Vec<Column> {
    let class = |of: Sureness| {
        let field = format!("{}_bytes", of.word());
        Column::for_scripts(field, Shape::Bytes).in_object("confidence", of.word())
    };
    let mut columns = vec![
        Column::for_people("third parties", Shape::Bytes),
        Column::for_scripts("own_bytes", Shape::Bytes),
        Column::for_scripts("third_party_bytes", Shape::Bytes),
        Column::for_scripts("own_class_bytes", Shape::Bytes).in_object("confidence", "own"),
    ];
    columns.extend(Sureness::ALL.map(class));
    columns
}

fn of_page<'a>(row: &Row) -> Vec<Value<'a>> {
    let own = row.today.sum().saturating_sub(row.third_party);
    let mut values = [row.third_party, own, row.third_party, row.own()].map(Value::Number).to_vec();
    values.extend(row.classes.map(Value::Number));
    values
}

fn evidence(row: &Row) -> BTreeMap<String, u64> {
    let of = |evidence: Evidence| row.evidence.get(evidence.index()).copied().unwrap_or_default();
    Evidence::ALL.into_iter().map(|kind| (kind.word().to_owned(), of(kind))).filter(|(_, bytes)| *bytes > 0).collect()
}

fn values<'a>(row: &Row, (view, name): (View, String), evidence: &'a BTreeMap<String, u64>) -> Vec<Value<'a>> {
    vec![
        Value::text(name_of(view.key(), &name, None)),
        Value::text(name),
        Value::Bool(row.named),
        Value::Number(row.rate.down),
        Value::Number(row.rate.up),
        Value::Number(row.today.up),
        Value::Number(row.today.down),
        Value::Number(row.today.sum()),
        Value::Number(row.period.sum()),
        Value::Number(row.certain),
        Value::text(whole_percent(row.certain, row.today.sum())),
        Value::Number(row.open),
        Value::Amounts(std::borrow::Cow::Borrowed(evidence)),
    ]
}
