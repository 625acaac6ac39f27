//! Two reports side by side: what changed, and which part of a change is only that bytes have a
//! name now which they had not before.
//!
//! *Naming*: bytes of before that were address only, on an address that carries one site now. They
//! are booked on that site in a copy of the books of before; what the copy has more than the books
//! is naming, and the rest of a change is traffic. So it holds for every key, and naming adds up to
//! zero.

use super::columns::{name_of, owner_columns};
use super::{Format, Mask, Report, ledger, times};
use crate::books::{Books, Evidence, Host, Traffic};
use crate::error::{Error, shown};
use crate::question::{Key, Question};
use crate::site::Sites;
use crate::table::units::{bytes, percent, thousands};
use crate::table::{Column, Footer, Head, Row, RowKind, Shape, TextStyle, Value};
use imon_common::names::Name;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::net::IpAddr;

/// Two reports of one question.
#[derive(Debug)]
pub struct Comparison {
    now: Report,
    before: Report,
    rows: Vec<Changed>,
    limit: Option<usize>,
    /// Bytes of before on addresses that are gone: whether they have a name now nobody knows.
    gone: u64,
}

/// Where names come from, and how many rows are shown.
#[derive(Debug, Clone, Copy)]
pub struct Carried<'a> {
    /// Names that were given for addresses at the time of now.
    pub names: &'a [(IpAddr, Name)],
    /// Most rows.
    pub limit: Option<usize>,
}

/// One row of both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Changed {
    key: Vec<String>,
    device_name: Option<String>,
    /// Whose the address is: network and country.
    owner: [Option<String>; 2],
    before: u64,
    now: u64,
    /// As `before`, with the names of now.
    renamed: u64,
    /// What could be naming, too: on an address that carries several sites now.
    unknown: u64,
}

/// Bytes as a signed number.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Changed {
    fn change(&self) -> i64 {
        signed(self.now).saturating_sub(signed(self.before))
    }

    fn naming(&self) -> i64 {
        signed(self.renamed).saturating_sub(signed(self.before))
    }

    /// What else is to say of it.
    fn state(&self) -> Option<&'static str> {
        match (self.before, self.renamed, self.now) {
            (0, 0, 1..) => Some("new"),
            (1.., 0, 0) => Some("named"),
            (_, 1.., 0) => Some("gone"),
            _ => None,
        }
    }

    fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.before, other.before),
            (&mut self.now, other.now),
            (&mut self.renamed, other.renamed),
            (&mut self.unknown, other.unknown),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

impl Comparison {
    /// Compares the books of now with those of before, as `question` asks for both; `before` is the
    /// same question with the other range.
    ///
    /// # Errors
    /// As [`Report::new`].
    pub fn new(
        [(now_books, now), (before_books, before)]: [(&Books, &Question); 2],
        sites: &Sites,
        carried: Carried<'_>,
    ) -> Result<Self, Error> {
        let all = |question: &Question| Question { limit: None, min_bytes: 0, ..question.clone() };
        let names = carrying(now_books, now, carried.names);
        let renamed = renamed(before_books, &names, sites);
        let renamed = Report::new(&renamed, &all(before), sites)?;
        let (now_report, before_report) =
            (Report::new(now_books, &all(now), sites)?, Report::new(before_books, &all(before), sites)?);
        let mut rows: BTreeMap<Vec<String>, Changed> = BTreeMap::new();
        let mut take = |report: &Report, of: fn(&mut Changed, u64, u64)| {
            for line in report.frame().lines() {
                let key: Vec<String> = line.key.iter().map(|text| (*text).to_owned()).collect();
                let row = rows.entry(key.clone()).or_insert_with(|| Changed { key, ..Changed::default() });
                row.device_name = row.device_name.take().or_else(|| line.device_name.map(str::to_owned));
                for (owner, found) in row.owner.iter_mut().zip(line.owner) {
                    *owner = owner.take().or_else(|| found.map(str::to_owned));
                }
                of(row, line.total_bytes, line.high_bytes.saturating_sub(line.total_bytes));
            }
        };
        take(&now_report, |row, total, _| row.now = total);
        take(&renamed, |row, total, more| (row.renamed, row.unknown) = (total, more));
        take(&before_report, |row, total, more| (row.before, row.unknown) = (total, row.unknown.saturating_sub(more)));
        let is_row = |row: &Changed| row.before.max(row.now).max(row.renamed) >= now.min_bytes.max(1);
        let mut rows: Vec<Changed> = rows.into_values().filter(is_row).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.change().unsigned_abs()));
        let is_gone = |row: &&crate::books::Row| {
            let host = before_books.hosts.get(row.host as usize);
            row.traffic.is_of_sites() && matches!(host, Some(Host::Address(address)) if address.is_unspecified())
        };
        let gone = before_books.rows.iter().filter(is_gone);
        let gone = gone.fold(0_u64, |sum, row| sum.saturating_add(row.up_bytes).saturating_add(row.down_bytes));
        Ok(Self { now: now_report, before: before_report, rows, limit: carried.limit, gone })
    }

    /// The same comparison with numbers for names.
    #[must_use]
    pub fn masked(self, what: Option<Mask>, books: &Books) -> Self {
        Self { now: self.now.masked(what, books), ..self }
    }

    /// Writes it; text in that style.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, format: Format, style: TextStyle, out: &mut dyn Write) -> io::Result<()> {
        let mut sink = super::sink(format, style, self.now.days(), out);
        let columns: Vec<Column> = self.fields().iter().map(|field| field.column()).collect();
        sink.begin(&self.head(), &columns)?;
        let limit = self.limit.unwrap_or(usize::MAX);
        let (mut total, mut rest) = (Changed::default(), Changed::default());
        for (nth, row) in self.rows.iter().enumerate() {
            total.add(row);
            match nth < limit {
                true => sink.row(&Row::new(self.values(row, None)))?,
                false => rest.add(row),
            }
        }
        let more = self.rows.len().saturating_sub(limit);
        for (is_there, name, sum) in [
            (more > 0, format!("({} more)", thousands(more as u64)), &rest),
            (!self.rows.is_empty(), "total".to_owned(), &total),
        ] {
            if is_there {
                sink.row(&Row { kind: RowKind::Sum, ..Row::new(self.values(sum, Some(&name))) })?;
            }
        }
        sink.end(&self.footer(more, &rest))
    }

    fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        for (nth, key) in self.now.frame().keys().iter().enumerate() {
            fields.extend([Field::Name(nth, *key), Field::Key(nth, *key)]);
            fields.extend((*key == Key::Device).then_some(Field::DeviceName));
        }
        fields.extend(owner_columns(self.now.frame()).map(Field::Owner));
        fields.extend([Field::Before, Field::Now, Field::Change, Field::Part, Field::Traffic, Field::Naming]);
        fields.extend([Field::Unknown, Field::State]);
        fields
    }

    /// The values of a row; of a sum that is called `name`.
    fn values<'a>(&'a self, row: &'a Changed, name: Option<&'a str>) -> Vec<Value<'a>> {
        let masker = &self.now.masker;
        let called = row.device_name.as_deref().filter(|_| !masker.hides_devices());
        let text = |nth: usize| row.key.get(nth).map_or("", String::as_str);
        let (texts, owner): (Vec<&str>, _) =
            (row.key.iter().map(String::as_str).collect(), row.owner.each_ref().map(Option::as_deref));
        let keys = self.now.frame().keys();
        let is_address = |nth: usize| keys.iter().position(|key| key.is_of_host()) == Some(nth);
        let value = |field: Field| match field {
            Field::Name(0, _) if name.is_some() => Value::text(name.unwrap_or_default()),
            Field::Name(nth, key) => {
                let owner = is_address(nth).then(|| masker.owner_text(keys, &texts, owner)).flatten();
                let owner = owner.map(|owner| format!(" ({owner})")).unwrap_or_default();
                Value::text(format!("{}{owner}", name_of(key, &masker.key(key, text(nth)), called)))
            }
            Field::Owner(key) => masker.owner(key, &texts, owner).map_or(Value::Null, Value::text),
            Field::Key(nth, key) => Value::text(masker.key(key, text(nth))),
            Field::DeviceName => called.map_or(Value::Null, Value::text),
            Field::Before => Value::Number(row.before),
            Field::Now => Value::Number(row.now),
            Field::Change => Value::Signed(row.change()),
            Field::Part => match row.before {
                0 => Value::text(""),
                before => {
                    let sign = if row.now < before { "-" } else { "+" };
                    Value::text(format!("{sign}{}", percent(row.change().unsigned_abs(), before)))
                }
            },
            Field::Traffic => Value::Signed(row.change().saturating_sub(row.naming())),
            Field::Naming => Value::Signed(row.naming()),
            Field::Unknown => Value::Number(row.unknown),
            Field::State => row.state().filter(|_| name.is_none()).map_or(Value::Null, Value::text),
        };
        self.fields().into_iter().map(value).collect()
    }

    fn head(&self) -> Head {
        let ends = |report: &Report| {
            let from = report.start().unwrap_or_else(|| "the beginning".to_owned());
            format!("{from} to {}", report.end().unwrap_or_else(|| "the end".to_owned()))
        };
        let filter = self.now.filter_text().map(|text| format!("; only {text}")).unwrap_or_default();
        let mut lines = vec![
            format!("now     {} ({}){filter}", ends(&self.now), shown(&self.now.zone)),
            format!("before  {}", ends(&self.before)),
        ];
        lines.extend(times::head(&self.now).into_iter().map(|line| format!("now: {line}")));
        lines.extend(times::head(&self.before).into_iter().map(|line| format!("before: {line}")));
        let range = |report: &Report| json!({"from": report.start(), "to": report.end(), "zone": report.zone});
        let mut fields = self.now.versions.clone();
        fields.extend([("range", range(&self.now)), ("before", range(&self.before))]);
        fields.extend(self.now.filter_json().map(|filters| ("only", filters)));
        Head { lines, fields }
    }

    fn footer(&self, more: usize, rest: &Changed) -> Footer {
        let mut notes = Vec::new();
        if self.rows.iter().any(|row| row.naming() != 0) {
            notes.push("naming: bytes that had only an address before, which carries this site now".to_owned());
        }
        if self.rows.iter().any(|row| row.unknown > 0) {
            notes.push("unknown: bytes that had only an address before, which carries several sites now".to_owned());
        }
        if self.gone > 0 {
            notes.push(format!(
                "{} of before are on addresses that are gone: they may have names now",
                bytes(self.gone)
            ));
        }
        let of_before = json!({
            "ip_bytes": self.before.ledger.ip_bytes,
            "address_only_bytes": self.before.ledger.address_only_bytes,
            "addresses_gone_bytes": self.gone,
            "gaps": self.before.ledger.gaps.len(),
        });
        let mut fields = vec![("before_ledger", of_before)];
        if more > 0 {
            let Changed { before, now, unknown, .. } = rest;
            let rest = json!({
                "rows": more, "before_bytes": before, "now_bytes": now, "change_bytes": rest.change(),
                "naming_bytes": rest.naming(), "unknown_bytes": unknown,
            });
            fields.push(("rest", rest));
        }
        let mut parts = ledger::parts(&self.now);
        parts.extend(times::parts(&self.now));
        Footer {
            nothing: "nothing in both ranges".to_owned(),
            notes,
            totals_called: "ledger",
            totals: ledger::lines(&self.now),
            whole: self.now.ledger.ip_bytes,
            short: ledger::short(&self.now),
            all_is_well: ledger::is_well(&self.now),
            lines: times::below(&self.now),
            fields,
            parts,
        }
    }
}

/// What stands in a column.
#[derive(Debug, Clone, Copy)]
enum Field {
    Name(usize, Key),
    Key(usize, Key),
    DeviceName,
    /// Whose the address is: network or country.
    Owner(Key),
    Before,
    Now,
    Change,
    Part,
    Traffic,
    Naming,
    Unknown,
    State,
}

impl Field {
    fn column(self) -> Column {
        let named = |heading: &'static str, column: Column| Column { heading: heading.into(), ..column };
        match self {
            Self::Name(_, key) if key.is_long() => Column::for_people(key.word(), Shape::Name),
            Self::Name(_, key) => Column::for_people(key.word(), Shape::Text),
            Self::Key(_, key) => Column::for_scripts(key.word(), Shape::Text),
            Self::DeviceName => Column::for_scripts("device_name", Shape::Text),
            Self::Owner(key) => Column::for_scripts(key.word(), Shape::Text),
            Self::Before => named("before", Column::new("before_bytes", Shape::Bytes)),
            Self::Now => named("now", Column::new("now_bytes", Shape::Bytes)),
            Self::Change => named("change", Column::new("change_bytes", Shape::Bytes)),
            Self::Part => Column::for_people("", Shape::Figures).giving_way(1),
            Self::Traffic => named("traffic", Column::new("traffic_bytes", Shape::Bytes)),
            Self::Naming => named("naming", Column::new("naming_bytes", Shape::Bytes)),
            Self::Unknown => named("unknown", Column::new("unknown_bytes", Shape::Bytes).giving_way(2)),
            Self::State => named("", Column::new("state", Shape::Text)),
        }
    }
}

/// Names of an address, each with the bytes that it moved now.
type Names = HashMap<IpAddr, Vec<(u64, Name)>>;

/// Names of addresses that moved something now.
fn carrying(now: &Books, question: &Question, names: &[(IpAddr, Name)]) -> Names {
    let mut moved: HashMap<&Name, u64> = HashMap::new();
    for row in now.rows.iter().filter(|row| question.takes(row.traffic)) {
        if let Some(Host::Name(name)) = now.hosts.get(row.host as usize) {
            let sum = moved.entry(name).or_default();
            *sum = sum.saturating_add(row.up_bytes).saturating_add(row.down_bytes);
        }
    }
    let mut carrying: Names = HashMap::new();
    for (address, name) in names {
        if let Some(bytes) = moved.get(name).filter(|bytes| **bytes > 0) {
            let of = carrying.entry(*address).or_default();
            if !of.iter().any(|(_, known)| known == name) {
                of.push((*bytes, name.clone()));
            }
        }
    }
    // The one with most bytes first; of equal ones the first by name.
    carrying.values_mut().for_each(|names| names.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1))));
    carrying
}

/// The books of before with the names of now: what is address only goes to the one site that its
/// address carries; where there are several, each could be it.
fn renamed(before: &Books, names: &Names, sites: &Sites) -> Books {
    let mut books = before.clone();
    let mut index: HashMap<Host, u32> = HashMap::new();
    for (host, i) in before.hosts.iter().zip(0_u32..) {
        index.insert(host.clone(), i);
    }
    let mut place = |books: &mut Books, name: &Name| {
        *index.entry(Host::Name(name.clone())).or_insert_with_key(|host| {
            books.hosts.push(host.clone());
            u32::try_from(books.hosts.len().saturating_sub(1)).unwrap_or(u32::MAX)
        })
    };
    // Of each host that is an address: where its bytes go, or which they could be.
    let mut goes: HashMap<u32, u32> = HashMap::new();
    let mut could: HashMap<u32, u32> = HashMap::new();
    for (host, i) in before.hosts.iter().zip(0_u32..) {
        let Host::Address(address) = host else { continue };
        let Some(found) = names.get(address) else { continue };
        let site = |name: &Name| sites.of(name.as_str()).name.to_string();
        let mut of = found.iter().map(|(_, name)| site(name));
        let first = of.next();
        let is_one = of.all(|other| Some(other) == first);
        match (is_one, found.first()) {
            (true, Some((_, name))) => _ = goes.insert(i, place(&mut books, name)),
            _ => {
                let mut set: Vec<u32> = found.iter().map(|(_, name)| place(&mut books, name)).chain([i]).collect();
                set.sort_unstable();
                could.insert(i, u32::try_from(books.candidate_sets.len()).unwrap_or(u32::MAX));
                books.candidate_sets.push(set);
            }
        }
    }
    let is_bare = |row: &&mut crate::books::Row| row.evidence == Evidence::None && row.traffic != Traffic::Served;
    for row in books.rows.iter_mut().filter(is_bare) {
        if let Some(host) = goes.get(&row.host) {
            row.host = *host;
        } else if let Some(set) = could.get(&row.host) {
            row.candidates = Some(*set);
        }
    }
    books
}

#[cfg(test)]
mod tests;
