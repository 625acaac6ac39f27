//! `config`: what the configuration says, what is in force, and where each value comes from.

use super::deliver;
use super::lines::{Lines, Value};
use crate::cli::{ConfigArgs, LineFormat, Surroundings};
use crate::config::Setting;
use crate::error::{Error, Outcome, shown};
use crate::range;
use crate::report::Format;
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    CommandLine,
    Line(PathBuf, usize),
    Default(&'static str),
}

/// A value that is in force.
#[derive(Debug)]
struct InForce {
    section: &'static str,
    item: Option<String>,
    key: String,
    value: serde_json::Value,
    from: From,
}

const COLUMNS: [&str; 7] = ["section", "item", "key", "value", "from", "file", "line"];

pub(super) fn run(args: &ConfigArgs, around: &Surroundings, out: &mut dyn Write) -> Result<Outcome, Error> {
    let all = in_force(args, around)?;
    deliver(args.answer.output.output.as_deref(), out, |out| match args.answer.output.format() {
        Format::Table => out.write_all(toml(&all, around).as_bytes()),
        Format::Csv => {
            let mut lines = Lines::new(out, LineFormat::Csv);
            lines.header(&COLUMNS);
            all.iter().for_each(|one| lines.line(&one.csv()));
            lines.finish()
        }
        _ => {
            let files: Vec<_> = around.config.files.iter().map(|path| path.to_string_lossy()).collect();
            let settings: Vec<_> = all.iter().map(InForce::json).collect();
            let document = json!({"files": files, "settings": settings});
            writeln!(out, "{}", crate::table::safe_json(serde_json::to_string_pretty(&document)?))
        }
    })?;
    Ok(Outcome::Complete)
}

/// Everything: `[report]` with its defaults, then what else is said.
fn in_force(args: &ConfigArgs, around: &Surroundings) -> Result<Vec<InForce>, Error> {
    let text = |path: &PathBuf| json!(path.to_string_lossy());
    let local: Vec<String> = args.capture.local.iter().map(ToString::to_string).collect();
    let zone = range::Range::everything(range::zone(args.zone.as_deref())?).zone_name();
    let spools: Vec<_> = args.answer.store.spools(around).iter().map(text).collect();
    let spool = if let [one] = spools.as_slice() { one.clone() } else { json!(spools) };
    let units = around.config.report.units.unwrap_or_default();
    let by_default = [
        ("zone", json!(zone), "the system's, or $TZ"),
        ("units", json!(clap::ValueEnum::to_possible_value(&units).map(|v| v.get_name().to_owned())), "default"),
        ("families", args.answer.sites.families.as_ref().map_or(json!(null), text), "none beside those of imon"),
        ("owners", json!(args.owners.owners.iter().map(text).collect::<Vec<_>>()), "none"),
        ("local", json!(local), "none beside private networks"),
        ("database", args.answer.store.database(around).map_or(json!(null), |path| text(&path)), "default"),
        ("spool", spool, "those that are there"),
    ];
    let report = by_default.into_iter().map(|(key, value, default)| {
        let said = around.config.settings.iter().find(|s| s.section == "report" && s.key == key);
        let from = match said {
            _ if args.typed.contains(&key) => From::CommandLine,
            Some(said) => From::Line(said.file.clone(), said.line),
            None => From::Default(default),
        };
        InForce { section: "report", item: None, key: key.to_owned(), value, from }
    });
    let others = around.config.settings.iter().filter(|said| said.section != "report").map(|said| {
        let Setting { section, item, key, value, file, line } = said.clone();
        InForce { section, item, key, value, from: From::Line(file, line) }
    });
    Ok(report.chain(others).collect())
}

impl From {
    fn word(&self) -> &'static str {
        match self {
            Self::CommandLine => "command-line",
            Self::Line(..) => "file",
            Self::Default(_) => "default",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::CommandLine => "command line".to_owned(),
            Self::Line(file, line) => format!("{}:{line}", file.display()),
            Self::Default(text) => (*text).to_owned(),
        }
    }

    fn place(&self) -> Option<(String, usize)> {
        match self {
            Self::Line(file, line) => Some((file.to_string_lossy().into_owned(), *line)),
            _ => None,
        }
    }
}

impl InForce {
    fn json(&self) -> serde_json::Value {
        let (file, line) = self.from.place().unzip();
        json!({
            "section": self.section, "item": self.item, "key": self.key, "value": self.value,
            "from": self.from.word(), "file": file, "line": line,
        })
    }

    fn csv(&self) -> [Value; 7] {
        let (file, line) = self.from.place().unzip();
        let text = |text: Option<String>| text.map_or(Value::Null, |text| Value::Text(shown(&text)));
        let value = match &self.value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::String(value) => Value::Text(shown(value)),
            other => Value::Text(shown(&other.to_string())),
        };
        [
            Value::Text(self.section.to_owned()),
            text(self.item.clone()),
            Value::Text(self.key.clone()),
            value,
            Value::Text(self.from.word().to_owned()),
            text(file),
            line.map_or(Value::Null, |line| Value::Number(line as u64)),
        ]
    }

    /// The line above its first key.
    fn heading(&self) -> String {
        match (self.section, &self.item) {
            (section, Some(name)) if section == "devices" => format!("[{section}.{}]", quoted(name)),
            (section, Some(_)) => format!("[[{section}]]"),
            (section, None) => format!("[{section}]"),
        }
    }
}

/// A configuration that says the same, with where each value comes from behind it.
fn toml(all: &[InForce], around: &Surroundings) -> String {
    let mut text = String::new();
    // A String takes everything, here and below.
    match around.config.files.as_slice() {
        [] => text.push_str("# no configuration file was read\n"),
        files => {
            for path in files {
                _ = writeln!(text, "# read: {}", shown(&path.to_string_lossy()));
            }
        }
    }
    let mut before: Option<(&str, &Option<String>)> = None;
    for one in all {
        if before != Some((one.section, &one.item)) {
            _ = writeln!(text, "\n{}", one.heading());
        }
        before = Some((one.section, &one.item));
        let from = shown(&one.from.text());
        let is_nothing = one.value.is_null() || one.value.as_array().is_some_and(Vec::is_empty);
        let line = match is_nothing {
            true => format!("# {} is not set", one.key),
            false => format!("{} = {}", key(&one.key), value(&one.value)),
        };
        _ = writeln!(text, "{line:40}  # {from}");
    }
    text
}

/// A key of TOML.
fn key(text: &str) -> String {
    let is_bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_bare { text.to_owned() } else { quoted(text) }
}

/// A text in quotes. What JSON escapes TOML escapes alike; what else moves a cursor is escaped,
/// too.
fn quoted(text: &str) -> String {
    let mut safe = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => safe.extend(['\\', c]),
            ' '..='~' => safe.push(c),
            c if c.is_control() || shown(&c.to_string()).len() > c.len_utf8() => {
                _ = write!(safe, "\\U{:08X}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    safe.push('"');
    safe
}

/// A value of TOML.
fn value(of: &serde_json::Value) -> String {
    match of {
        serde_json::Value::String(text) => quoted(text),
        serde_json::Value::Array(list) => format!("[{}]", list.iter().map(value).collect::<Vec<_>>().join(", ")),
        serde_json::Value::Object(map) => {
            let fields: Vec<String> = map.iter().map(|(name, of)| format!("{} = {}", key(name), value(of))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}
