//! What stands in configuration files (`imon.toml`): defaults of options, names of devices, how
//! long what was booked is kept, plans and alerts.
//!
//! Files are read before the sandbox stands, because they say which paths it lets in. So they are
//! judged first by whom they belong to, are bounded, and are read by code without `unsafe`. Nothing
//! in here does anything: it gives plain values, and says where each comes from.

mod alerts;
mod devices;
mod fill;
mod place;
mod plans;
mod read;
mod recorders;

pub(crate) use alerts::MAX_PERCENT;
pub use devices::{Device, Devices};
pub use place::{Places, SYSTEM_CONFIG, Trust};

use crate::alert::Rules;
use crate::books::Books;
use crate::error::{Error, shown};
use crate::plan::{self, Plan};
use crate::range;
use crate::recorders::Recorders;
use crate::table::units::Units;
use ipnet::IpNet;
use jiff::Span;
use jiff::ToSpan as _;
use jiff::civil::Date;
use read::{Section, Text, line_ends, net, one_of};
use serde_json::json;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// All that the files say, the later ones over the earlier.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Defaults of options.
    pub report: Defaults,
    /// What `prune --configured` lets go.
    pub keep: Keep,
    /// Names of devices.
    pub devices: Devices,
    /// Names of recorders.
    pub recorders: Recorders,
    /// Plans, in the order in which they stand; versions of one have one name.
    pub plans: Vec<Plan>,
    /// What asks for somebody's attention.
    pub alerts: Rules,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
    /// Each value as it was said.
    pub settings: Vec<Setting>,
    /// Where more can be said: the file that was read last, else the one that this user could have.
    /// `None` where none is read.
    pub place: Option<PathBuf>,
}

/// `[report]`: what the command line may say as well, and says last.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// `--zone`.
    pub zone: Option<String>,
    /// `--units`.
    pub units: Option<Units>,
    /// `--families`.
    pub families: Option<PathBuf>,
    /// `--owners`.
    pub owners: Option<Vec<PathBuf>>,
    /// `--local`.
    pub local: Option<Vec<IpNet>>,
    /// `--database`.
    pub database: Option<PathBuf>,
    /// `--spool`.
    pub spool: Option<PathBuf>,
}

/// `[keep]`: for how long, and how much.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// What was booked.
    pub rows: Option<Kept>,
    /// The segments that captures are kept as.
    pub captures: Option<Kept>,
    /// Bytes of database, closed months and kept captures; `None` for any number.
    pub size: Option<u64>,
}

/// For how long something is kept.
#[derive(Debug, Clone, Copy)]
pub enum Kept {
    /// It goes at the next occasion.
    Never,
    /// Today, and this long before it.
    For(Span),
    /// It stays.
    Forever,
}

/// A value as a file says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its section, such as `report`.
    pub section: &'static str,
    /// Of a section that is there several times: whose it is.
    pub item: Option<String>,
    /// The key.
    pub key: String,
    /// The value.
    pub value: serde_json::Value,
    /// The file.
    pub file: PathBuf,
    /// The line in it.
    pub line: usize,
}

impl Config {
    /// Gives devices and recorders of the books their names.
    pub fn name(&self, books: &mut Books) {
        self.devices.name(books);
        books.recorders.clone_from(&self.recorders);
    }

    /// What these files say; `None` for those that are not there. Later ones come first where two
    /// say something of one key.
    ///
    /// # Errors
    /// Usage: a file that cannot be read, understood or trusted.
    pub fn of_places(places: &Places) -> Result<Self, Error> {
        let mut config = Self::default();
        for (path, text) in places.texts()? {
            config.add(&path, &text, places.home.as_deref())?;
        }
        let own = || places.own.clone().or_else(|| places.system.clone());
        config.place = config.files.last().cloned().or_else(own);
        Ok(config)
    }

    /// What to do where a section is missing: `section` in its brackets, and `lines` of it.
    pub fn hint_to_say(&self, section: &str, lines: &str) -> String {
        match &self.place {
            Some(file) => format!("in {}: {section}, and below it: {lines}", shown(&file.to_string_lossy())),
            None => "--no-config reads none; without it the configuration counts".to_owned(),
        }
    }

    /// Takes in the file `path`, whose text is `text`. `home`: what `~/` stands for.
    ///
    /// # Errors
    /// Usage: it is not understood.
    pub fn add(&mut self, path: &Path, text: &str, home: Option<&Path>) -> Result<(), Error> {
        let ends = line_ends(text);
        let text = Text { path, text, ends: &ends };
        let whole = text.table()?;
        let mut sections = Section::new(text, "", whole.get_ref());
        if let Some(table) = sections.table("report")? {
            self.report.take(Section::new(text, "report", table), home)?;
            self.note(text, ("report", None), table);
        }
        if let Some(table) = sections.table("keep")? {
            self.keep.take(Section::new(text, "keep", table))?;
            self.note(text, ("keep", None), table);
        }
        if let Some(table) = sections.table("devices")? {
            for (name, table) in self.devices.take(Section::new(text, "devices", table))? {
                self.note(text, ("devices", Some(name)), table);
            }
        }
        if let Some(table) = sections.table("recorders")? {
            recorders::take(&mut self.recorders, Section::new(text, "recorders", table))?;
            self.note(text, ("recorders", None), table);
        }
        self.plans(text, &mut sections)?;
        if let Some(table) = sections.table("alert")? {
            alerts::take(&mut self.alerts, Section::new(text, "alert", table), home)?;
            self.note(text, ("alert", None), table);
        }
        sections.finish()?;
        self.files.push(path.into());
        Ok(())
    }

    /// Plans of a file that has some take the place of those before.
    fn plans(&mut self, text: Text<'_>, sections: &mut Section<'_>) -> Result<(), Error> {
        let Some(tables) = sections.tables("plan", plans::MAX_PLANS)? else { return Ok(()) };
        self.settings.retain(|setting| setting.section != "plan");
        let mut all = Vec::new();
        for (nth, table) in (1..).zip(&tables) {
            let section = Section::new(text, "plan", table.value).at(table.span.clone());
            let plan = plans::plan(section, nth, self.report.zone.as_deref())?;
            // Versions of one plan are told apart by their number.
            self.note(text, ("plan", Some(nth.to_string())), table.value);
            all.push(plan);
            if let Some((name, _)) = plans::twins(&all) {
                return Err(text
                    .error(&table.span, format!("two plans are called `{name}` and begin on one day"))
                    .hint("`name` tells plans apart, `from` the versions of one"));
            }
        }
        self.plans = plan::in_versions(all);
        Ok(())
    }

    /// Notes what a section says. What was said of the same keys before is gone; of something with
    /// a name all of it.
    fn note(&mut self, text: Text<'_>, of: (&'static str, Option<String>), table: &DeTable<'_>) {
        let (section, item) = of;
        let is_new = |key: &str| !table.iter().any(|(name, _)| name.get_ref() == key);
        let stays = |s: &Setting| s.section != section || s.item != item || (item.is_none() && is_new(&s.key));
        self.settings.retain(stays);
        for (key, value) in table.iter() {
            self.settings.push(Setting {
                section,
                item: item.clone(),
                key: key.get_ref().to_string(),
                value: to_json(value.get_ref()),
                file: text.path.into(),
                line: text.line(key.span().start),
            });
        }
    }
}

/// A value in the form of JSON; a time as its text.
fn to_json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => json!(number),
            Err(_) => json!(number.as_str()),
        },
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or_else(|_| json!(number.as_str()), |n| json!(n)),
        DeValue::Boolean(flag) => json!(flag),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Array(list) => list.iter().map(|value| to_json(value.get_ref())).collect(),
        DeValue::Table(table) => {
            let fields = table.iter().map(|(key, value)| (key.get_ref().to_string(), to_json(value.get_ref())));
            serde_json::Value::Object(fields.collect())
        }
    }
}

/// `value` in the place of `old`, if something was said.
fn set<T>(old: &mut Option<T>, said: Option<read::Said<T>>) {
    if let Some(said) = said {
        *old = Some(said.value);
    }
}

impl Defaults {
    fn take(&mut self, mut section: Section<'_>, home: Option<&Path>) -> Result<(), Error> {
        set(&mut self.zone, section.parsed("zone", zone_name)?);
        set(&mut self.units, section.parsed("units", |text| one_of(text, &UNITS))?);
        set(&mut self.families, section.path("families", home)?);
        set(&mut self.owners, section.list("owners", |text| read::path(text, home))?);
        set(&mut self.local, section.list("local", net)?);
        set(&mut self.database, section.path("database", home)?);
        set(&mut self.spool, section.path("spool", home)?);
        section.finish()
    }
}

/// Words for the two ways in which amounts are shown.
const UNITS: [(&str, Units); 2] = [("binary", Units::Binary), ("decimal", Units::Decimal)];

/// The name of a zone that there is.
fn zone_name(text: &str) -> Result<String, &'static str> {
    match range::zone(Some(text)) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("there is no such time zone; Europe/Berlin, UTC and +05:30 are some"),
    }
}

impl Keep {
    fn take(&mut self, mut section: Section<'_>) -> Result<(), Error> {
        set(
            &mut self.rows,
            section.parsed("rows", |text| match Kept::parse(text)? {
                Kept::Never => Err("there would be nothing to report on"),
                kept => Ok(kept),
            })?,
        );
        set(&mut self.captures, section.parsed("captures", Kept::parse)?);
        let size = section.parsed("size", |text| match text {
            "any" => Ok(None),
            text => {
                plans::amount(text, crate::table::units::Units::Decimal).map(Some).map_err(|e| format!("{e}, or any"))
            }
        })?;
        if let Some(said) = size {
            self.size = said.value;
        }
        section.finish()
    }
}

impl Kept {
    /// The first day of what is kept; `None` where everything is.
    ///
    /// # Errors
    /// It is outside the calendar.
    pub fn first_day(self, today: Date) -> Result<Option<Date>, jiff::Error> {
        match self {
            Self::Forever => Ok(None),
            Self::Never => today.tomorrow().map(Some),
            Self::For(span) => today.checked_sub(span).map(Some),
        }
    }

    /// `60 months`, `never` or `forever`.
    fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "expected a number of days, weeks, months or years such as \"60 months\", or never, or forever";
        match text {
            "never" => return Ok(Self::Never),
            "forever" => return Ok(Self::Forever),
            _ => {}
        }
        let (number, unit) = text.split_once(' ').ok_or(EXPECTED)?;
        // A century of days: more is a slip of the finger.
        let number: i32 = number.parse().ok().filter(|n| (1..=36_525).contains(n)).ok_or(EXPECTED)?;
        let span = match unit.trim_end_matches('s') {
            "day" => number.days(),
            "week" => number.weeks(),
            "month" => number.months(),
            "year" if number <= 1_000 => number.years(),
            _ => return Err(EXPECTED),
        };
        Ok(Self::For(span))
    }
}

#[cfg(test)]
mod tests;
