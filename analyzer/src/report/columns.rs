//! The report as a table: which columns it has, and what stands in them.

use super::frame::{Line, evidence_column};
use super::pages::PageSums;
use super::places::{INFRASTRUCTURE, REVERSE};
use super::{Frame, Report, Rest, times};
use crate::books::{Evidence, Sureness};
use crate::error::shown;
use crate::idn;
use crate::question::Key;
use crate::table::units::{bytes, percent, thousands, whole_percent};
use crate::table::{Certainty, Column, Footer, Head, Row, RowKind, Shape, Sink, Value};
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
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
        sink.row(&Row { kind, certainty: certainty(line), values: table.values(line) })?;
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

/// What stands in a column. The list of fields is the order of the columns; each row gives its
/// values in that order.
#[derive(Debug, Clone, Copy)]
enum Field {
    /// The nth key as people read it.
    Name(usize, Key),
    /// The nth key as scripts do.
    Key(usize, Key),
    DeviceName,
    /// Whose the address is: network or country.
    Owner(Key),
    Named,
    Total(For),
    Share,
    Bar,
    Down(For),
    Up(For),
    Packets(For),
    CouldBe,
    NamedBy,
    Kind(Evidence),
    Low,
    High,
    Own(For),
    ThirdParty(For),
    OwnClass,
    Class(For, Sureness),
    ThirdParties,
}

/// Whom a column that both have, in other places, is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    People,
    Scripts,
}

/// What the columns depend on.
struct Layout<'a> {
    report: &'a Report,
    /// Some row could be more or less than what is booked.
    ranged: bool,
    /// Bytes of the largest row.
    most: u64,
}

/// The columns of whose addresses are that a table has beside its keys.
pub(super) fn owner_columns(frame: &Frame) -> impl Iterator<Item = Key> {
    [Key::Network, Key::Country].into_iter().filter(|key| frame.has_owners() && !frame.keys().contains(key))
}

impl Layout<'_> {
    /// Keys, then what people see of the amounts, then what scripts do.
    fn fields(&self) -> Vec<Field> {
        use Field::{
            Bar, Class, CouldBe, DeviceName, Down, High, Key as OfKey, Kind, Low, Name, Named, NamedBy, Own, OwnClass,
            Owner, Packets, Share, ThirdParties, ThirdParty, Total, Up,
        };
        use For::{People, Scripts};
        let frame = self.report.frame();
        let mut fields = Vec::new();
        for (i, key) in frame.keys().iter().enumerate() {
            fields.extend([Name(i, *key), OfKey(i, *key)]);
            fields.extend((*key == Key::Device).then_some(DeviceName));
        }
        fields.extend(owner_columns(frame).map(Owner));
        // Whether a row of hosts has a name at all: of names that were asked for it is known.
        let has_hosts = self.report.names.is_empty() && frame.keys().iter().any(|key| key.is_of_host());
        fields.extend(has_hosts.then_some(Named));
        fields.extend([Total(People), Share, Bar, Down(People), Up(People), Packets(People)]);
        fields.extend([Up(Scripts), Down(Scripts), Total(Scripts), Packets(Scripts)]);
        fields.extend(self.ranged.then_some(CouldBe));
        if !frame.keys().contains(&Key::Evidence) {
            fields.extend((!frame.has_pages()).then_some(NamedBy));
            fields.extend(Evidence::ALL.map(Kind));
        }
        fields.extend([Low, High]);
        if frame.has_pages() {
            fields.extend([Own(People), ThirdParty(People)]);
            fields.extend([Sureness::Sure, Sureness::Likely].map(|class| Class(People, class)));
            fields.extend([Own(Scripts), ThirdParty(Scripts), OwnClass]);
            fields.extend(Sureness::ALL.map(|class| Class(Scripts, class)));
            fields.push(ThirdParties);
        }
        fields
    }

    fn columns(&self) -> Vec<Column> {
        // By time the bars are a chart: there they are the last to go.
        let is_chart = self.report.frame().keys().iter().all(|key| key.is_time());
        let column = |field: Field| match field {
            Field::Bar if is_chart => field.column().giving_way(3),
            field => field.column(),
        };
        self.fields().into_iter().map(column).collect()
    }

    fn values<'l>(&self, line: &'l Line<'_>) -> Vec<Value<'l>> {
        self.fields().into_iter().map(|field| self.value(field, line)).collect()
    }

    fn value<'l>(&self, field: Field, line: &'l Line<'_>) -> Value<'l> {
        let masker = &self.report.masker;
        let called = line.device_name.filter(|_| !masker.hides_devices());
        let class = |class| Value::Number(line.page.map_or(0, |page| page.of(class)));
        match field {
            Field::Name(i, key) => {
                let mark = if line.marked && i == 0 { MARK } else { "" };
                let text = masker.key(key, line.key.get(i).copied().unwrap_or_default());
                let is_address = self.report.frame().keys().iter().position(|key| key.is_of_host()) == Some(i);
                let owner = || masker.owner_text(self.report.frame().keys(), &line.key, line.owner);
                let owner = is_address.then(owner).flatten().map(|owner| format!(" ({owner})")).unwrap_or_default();
                Value::text(format!("{}{owner}{mark}", name_of(key, &text, called)))
            }
            Field::Key(i, key) => Value::text(masker.key(key, line.key.get(i).copied().unwrap_or_default())),
            Field::DeviceName => called.map_or(Value::Null, Value::text),
            Field::Owner(key) => masker.owner(key, &line.key, line.owner).map_or(Value::Null, Value::text),
            Field::Named => Value::Bool(line.named),
            Field::Bar => Value::Number(millionths(line.total_bytes, self.most)),
            Field::CouldBe => {
                let bounds = || format!("{} .. {}", bytes(line.low_bytes), bytes(line.high_bytes));
                Value::text(is_shared(line).then(bounds).unwrap_or_default())
            }
            Field::NamedBy => {
                let kinds = line.evidence.as_ref().map_or(&[][..], |kinds| kinds.as_slice());
                Value::Lengths((1..=MAX_KINDS_SHOWN).rev().map(|most| named_by(kinds, most)).collect())
            }
            Field::Kind(kind) => {
                let bytes = line.evidence.as_ref().and_then(|kinds| kinds.get(kind.index()).copied());
                Value::Number(bytes.unwrap_or_default())
            }
            Field::Low => Value::Number(line.low_bytes),
            Field::High => Value::Number(line.high_bytes),
            Field::Own(_) => Value::Number(line.page.map_or(0, |page| page.own)),
            Field::ThirdParty(_) => Value::Number(line.page.map_or(0, |page| page.third_party)),
            Field::OwnClass => Value::Number(line.page.map_or(0, PageSums::own_class)),
            Field::Class(_, of) => class(of),
            Field::ThirdParties => line.page.map_or(Value::Null, |page| Value::Amounts(self.third_parties(page))),
            amount => self.amount(amount, &line.sums()),
        }
    }

    fn third_parties<'l>(&self, page: &'l PageSums) -> Cow<'l, BTreeMap<String, u64>> {
        let masker = &self.report.masker;
        if !masker.hides_hosts() {
            return Cow::Borrowed(&page.third_parties);
        }
        let masked = page.third_parties.iter().map(|(site, n)| (masker.key(Key::Site, site).into_owned(), *n));
        Cow::Owned(masked.collect())
    }

    /// What rows and sums of rows have.
    fn amount(&self, field: Field, sums: &Rest) -> Value<'static> {
        match field {
            Field::Total(_) => Value::Number(sums.total_bytes),
            Field::Share => Value::text(percent(sums.total_bytes, self.report.frame().total().total_bytes)),
            Field::Down(_) => Value::Number(sums.down_bytes),
            Field::Up(_) => Value::Number(sums.up_bytes),
            Field::Packets(_) => Value::Number(sums.packets),
            _ => Value::Null,
        }
    }

    /// A row for people with sums of others.
    fn sum(&self, name: String, sums: Rest, page: Option<&PageSums>) -> Row<'static> {
        let of_page = |of: fn(&PageSums) -> u64| page.map_or(Value::Null, |page| Value::Number(of(page)));
        let value = |field| match field {
            Field::Name(0, _) => Value::text(name.clone()),
            Field::Own(_) => of_page(|page| page.own),
            Field::ThirdParty(_) => of_page(|page| page.third_party),
            Field::Class(_, class) => page.map_or(Value::Null, |page| Value::Number(page.of(class))),
            amount => self.amount(amount, &sums),
        };
        Row { kind: RowKind::Sum, ..Row::new(self.fields().into_iter().map(value).collect()) }
    }
}

impl Field {
    /// Its column.
    fn column(self) -> Column {
        let amount = |whom, heading: &'static str, field: &'static str, shape| match whom {
            For::People => Column::for_people(heading, shape),
            For::Scripts => Column::for_scripts(field, shape),
        };
        match self {
            Self::Name(_, key) if key.is_long() => Column::for_people(key.word(), Shape::Name),
            Self::Name(_, key) => Column::for_people(key.word(), Shape::Text),
            Self::Key(_, Key::Hour) => Column::for_scripts(Key::Hour.word(), Shape::Instant),
            Self::Key(_, Key::Day) => Column::for_scripts(Key::Day.word(), Shape::Date),
            Self::Key(_, key) => Column::for_scripts(key.word(), Shape::Text),
            Self::DeviceName => Column::for_scripts("device_name", Shape::Text),
            Self::Owner(key) => Column::for_scripts(key.word(), Shape::Text),
            Self::Named => Column::for_scripts("named", Shape::Flag),
            Self::Total(whom) => amount(whom, "total", "total_bytes", Shape::Bytes),
            Self::Share => Column::for_people("share", Shape::Figures),
            Self::Bar => Column::for_people("", Shape::Bar).giving_way(1),
            Self::Down(whom) => amount(whom, "down", "down_bytes", Shape::Bytes).giving_way(2),
            Self::Up(whom) => amount(whom, "up", "up_bytes", Shape::Bytes).giving_way(2),
            Self::Packets(whom) => amount(whom, "packets", "packets", Shape::Count).giving_way(1),
            Self::CouldBe => Column::for_people("could be", Shape::Figures),
            Self::NamedBy => Column::for_people("named by", Shape::Text),
            Self::Kind(kind) => {
                Column::for_scripts(evidence_column(kind), Shape::Bytes).in_object("evidence", kind.word())
            }
            Self::Low => Column::for_scripts("low_bytes", Shape::Bytes),
            Self::High => Column::for_scripts("high_bytes", Shape::Bytes),
            Self::Own(whom) => amount(whom, "own", "own_bytes", Shape::Bytes),
            Self::ThirdParty(whom) => amount(whom, "third party", "third_party_bytes", Shape::Bytes),
            Self::OwnClass => Column::for_scripts("own_class_bytes", Shape::Bytes).in_object("confidence", "own"),
            Self::Class(For::People, class) => Column::for_people(class.word(), Shape::Bytes),
            Self::Class(For::Scripts, class) => {
                let field = format!("{}_bytes", class.word());
                Column::for_scripts(field, Shape::Bytes).in_object("confidence", class.word())
            }
            Self::ThirdParties => Column::for_json("third_parties"),
        }
    }
}

/// `part` in millionths of `whole`.
fn millionths(part: u64, whole: u64) -> u64 {
    let parts = u128::from(part).saturating_mul(1_000_000).checked_div(whole.into()).unwrap_or_default();
    u64::try_from(parts).unwrap_or(u64::MAX)
}

/// A key's value as people read it: names of hosts decoded where that deceives nobody, devices with
/// what they call themselves.
pub fn name_of(key: Key, text: &str, device_name: Option<&str>) -> String {
    match (key, device_name) {
        (Key::Device, Some(name)) if name != text => format!("{name} ({text})"),
        (Key::Site | Key::Page | Key::Family | Key::Host, _) => idn::display(text).into_owned(),
        _ => text.to_owned(),
    }
}

/// How much of a row is named by what need not be doubted, and can be nobody else's.
fn certainty(line: &Line<'_>) -> Option<Certainty> {
    let kinds = Evidence::ALL.into_iter().zip(line.evidence?);
    let certain = kinds.filter(|(kind, _)| kind.is_certain()).fold(0_u64, |sum, (_, n)| sum.saturating_add(n));
    Certainty::new(certain.min(line.low_bytes), line.total_bytes)
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

pub(super) fn head(report: &Report) -> Head {
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

pub(super) fn footer(report: &Report, lines: &[Line<'_>]) -> Footer {
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
        (..) if report.min_bytes > 0 && report.ledger.ip_bytes > 0 => {
            format!("nothing in this range has {} or more (--min)", bytes(report.min_bytes))
        }
        ([], Some(filter)) => format!("nothing in this range for {filter}"),
        ([], None) if report.ledger.local_bytes > 0 => {
            "nothing but local traffic in this range: --include-local shows it".to_owned()
        }
        ([], None) if report.ledger.packets > 0 => "nothing in this range that could be booked on a site".to_owned(),
        ([], None) => "nothing was recorded in this range".to_owned(),
        (names, _) => {
            let names: Vec<_> = names.iter().map(|name| report.masker.key(Key::Site, name)).collect();
            format!("nothing in this range for {}", shown(&names.join(", ")))
        }
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
        let carriers: Vec<_> = report.ledger.tunnels.iter().map(|host| report.masker.key(Key::Host, host)).collect();
        let carriers = shown(&carriers.join(", "));
        notes.push(format!(
            "{carriers}: carries a tunnel that was recorded, too; what is inside counts there, what the tunnel adds here"
        ));
    }
    notes
}
