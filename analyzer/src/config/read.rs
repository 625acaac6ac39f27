//! Sections of a configuration file: each key is asked for once, and what nobody asked for is an
//! error that says what was probably meant, and where.

use super::place::IS_TOML;
use crate::error::{Error, shown};
use imon_common::wire::Mac;
use ipnet::IpNet;
use jiff::civil::Date;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longest name of a plan or device: what a line on a screen has room for.
const MAX_NAME_CHARS: usize = 100;

/// How alike an unknown key must be to one that is known to be taken for it (Jaro-Winkler): as
/// clap does for options.
const ALIKE: f64 = 0.7;

/// The text of a file, for saying where in it something stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    /// The file.
    pub path: &'a Path,
    /// What is in it.
    pub text: &'a str,
    /// Where its lines end: see [`line_ends`].
    pub ends: &'a [usize],
}

/// Where the lines of a text end.
pub(super) fn line_ends(text: &str) -> Vec<usize> {
    text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect()
}

impl<'a> Text<'a> {
    /// Number of the line that byte `at` is in, from 1.
    pub fn line(self, at: usize) -> usize {
        self.ends.partition_point(|end| *end < at).saturating_add(1)
    }

    /// An error about what stands at `span`.
    pub fn error(self, span: &Range<usize>, cause: impl std::fmt::Display) -> Error {
        let path = shown(&self.path.to_string_lossy());
        Error::usage(format!("cannot use the configuration {path}"))
            .cause(shown(&format!("line {}: {cause}", self.line(span.start))))
    }

    /// The whole file as a table.
    ///
    /// # Errors
    /// Usage: it is no TOML.
    pub fn table(self) -> Result<Spanned<DeTable<'a>>, Error> {
        DeTable::parse(self.text).map_err(|e| {
            let span = e.span().unwrap_or(0..0);
            self.error(&span, e.message().replace('\n', "; ")).hint(IS_TOML)
        })
    }
}

/// A path: from the root, or from the home that `~/` stands for.
pub(super) fn path(text: &str, home: Option<&Path>) -> Result<PathBuf, &'static str> {
    match (text.strip_prefix("~/"), home) {
        _ if text.contains('\0') => Err("no path has a NUL in it"),
        (Some(rest), Some(home)) => Ok(home.join(rest)),
        (None, _) if text.starts_with('/') => Ok(PathBuf::from(text)),
        _ => Err("expected a path that begins with / or ~/"),
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Said<T> {
    /// The value.
    pub value: T,
    /// Bytes of the file that it stands in.
    pub span: Range<usize>,
}

/// A table of a file, and which of its keys were asked for.
pub(super) struct Section<'a> {
    /// The file.
    pub text: Text<'a>,
    /// What it is called in errors: `report`, `plan`.
    pub name: &'a str,
    /// Where it stands.
    pub span: Range<usize>,
    table: &'a DeTable<'a>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The section `name`.
    pub fn new(text: Text<'a>, name: &'a str, table: &'a DeTable<'a>) -> Self {
        Self { text, name, span: 0..0, table, asked: Vec::new() }
    }

    /// The same, which stands there.
    #[must_use]
    pub fn at(self, span: Range<usize>) -> Self {
        Self { span, ..self }
    }

    /// The value of `key`, if there is one.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// All keys and values: of a section whose keys are names.
    pub fn all(&self) -> impl Iterator<Item = (Said<&'a str>, &'a Spanned<DeValue<'a>>)> {
        self.table.iter().map(|(name, value)| (Said { value: name.get_ref().as_ref(), span: name.span() }, value))
    }

    /// Refuses keys that nobody asked for.
    ///
    /// # Errors
    /// Usage: there is one.
    pub fn finish(self) -> Result<(), Error> {
        let Some((name, _)) = self.table.iter().find(|(name, _)| !self.asked.contains(&name.get_ref().as_ref())) else {
            return Ok(());
        };
        let known = name.get_ref();
        let in_section = if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) };
        let error = self.text.error(&name.span(), format!("unknown key `{known}`{in_section}"));
        Err(error.hint(match meant(known, &self.asked) {
            Some(meant) => format!("`{meant}` is one"),
            None => format!("there are: {}", self.asked.join(", ")),
        }))
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Error {
        let found = value.get_ref().type_str();
        self.text.error(&value.span(), format!("`{key}` is {}: expected {expected}", with_article(found)))
    }

    /// A text, handed through `parse`.
    ///
    /// # Errors
    /// Usage: it is no text, or `parse` refuses it.
    pub fn parsed<T, E: std::fmt::Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<Said<T>>, Error> {
        let Some(found) = self.take(key) else { return Ok(None) };
        let text = found.get_ref().as_str().ok_or_else(|| self.wrong(key, found, "a text in quotes"))?;
        let value = parse(text).map_err(|e| self.text.error(&found.span(), format!("`{key}` = \"{text}\": {e}")))?;
        Ok(Some(Said { value, span: found.span() }))
    }

    /// A text that is a name: some characters, none of which moves a cursor.
    ///
    /// # Errors
    /// Usage: it is none.
    pub fn name(&mut self, key: &'static str) -> Result<Option<Said<String>>, Error> {
        self.parsed(key, name)
    }

    /// A path: from the root, or from the home that `~/` stands for.
    ///
    /// # Errors
    /// Usage: it is none.
    pub fn path(&mut self, key: &'static str, home: Option<&Path>) -> Result<Option<Said<PathBuf>>, Error> {
        self.parsed(key, |text| path(text, home))
    }

    /// Yes or no.
    ///
    /// # Errors
    /// Usage: it is neither.
    pub fn flag(&mut self, key: &'static str) -> Result<Option<Said<bool>>, Error> {
        let Some(found) = self.take(key) else { return Ok(None) };
        let value = found.get_ref().as_bool().ok_or_else(|| self.wrong(key, found, "true or false"))?;
        Ok(Some(Said { value, span: found.span() }))
    }

    /// A whole number from `least` to `most`.
    ///
    /// # Errors
    /// Usage: it is none.
    pub fn number(&mut self, key: &'static str, least: u32, most: u32) -> Result<Option<Said<u32>>, Error> {
        let Some(found) = self.take(key) else { return Ok(None) };
        let value = self.whole(key, found, (least, most))?;
        Ok(Some(Said { value, span: found.span() }))
    }

    /// Whole numbers from `least` to `most`: one, or a list.
    ///
    /// # Errors
    /// Usage: they are none.
    pub fn numbers(&mut self, key: &'static str, least: u32, most: u32) -> Result<Option<Vec<u32>>, Error> {
        let Some(found) = self.take(key) else { return Ok(None) };
        each(found).map(|value| self.whole(key, value, (least, most))).collect::<Result<_, _>>().map(Some)
    }

    fn whole(&self, key: &str, value: &Spanned<DeValue<'_>>, (least, most): (u32, u32)) -> Result<u32, Error> {
        let expected = format!("a whole number from {least} to {most}");
        let number = value.get_ref().as_integer().ok_or_else(|| self.wrong(key, value, &expected))?;
        let fits = u32::from_str_radix(number.as_str(), number.radix()).ok().filter(|n| (least..=most).contains(n));
        fits.ok_or_else(|| {
            self.text.error(&value.span(), format!("`{key}` = {}: expected {expected}", number.as_str()))
        })
    }

    /// Texts, each handed through `parse`: one, or a list.
    ///
    /// # Errors
    /// Usage: they are none, or `parse` refuses one.
    pub fn list<T, E: std::fmt::Display>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<Said<Vec<T>>>, Error> {
        let Some(found) = self.take(key) else { return Ok(None) };
        let one = |value: &Spanned<DeValue<'_>>| {
            let text = value.get_ref().as_str();
            let text = text.ok_or_else(|| self.wrong(key, value, "a text in quotes, or a list of such"))?;
            parse(text).map_err(|e| self.text.error(&value.span(), format!("`{key}`, \"{text}\": {e}")))
        };
        let value = each(found).map(one).collect::<Result<_, _>>()?;
        Ok(Some(Said { value, span: found.span() }))
    }

    /// A day, with quotes or without.
    ///
    /// # Errors
    /// Usage: it is none.
    pub fn day(&mut self, key: &'static str) -> Result<Option<Said<Date>>, Error> {
        let Some(found) = self.take(key) else { return Ok(None) };
        let text = match found.get_ref() {
            DeValue::Datetime(day) if day.time.is_none() && day.offset.is_none() => Some(day.to_string()),
            DeValue::String(text) => Some(text.to_string()),
            _ => None,
        };
        let is_day = |text: &String| text.len() == "2026-11-01".len();
        let day = text.filter(is_day).and_then(|text| text.parse().ok());
        let value = day.ok_or_else(|| self.wrong(key, found, "a day such as 2026-11-01"))?;
        Ok(Some(Said { value, span: found.span() }))
    }

    /// A table inside this one.
    ///
    /// # Errors
    /// Usage: it is something else.
    pub fn table(&mut self, key: &'static str) -> Result<Option<&'a DeTable<'a>>, Error> {
        let Some(found) = self.take(key) else { return Ok(None) };
        let table = found.get_ref().as_table();
        table.map(Some).ok_or_else(|| self.wrong(key, found, &format!("a section [{key}]")))
    }

    /// The tables of a list of tables inside this one, at most `most`.
    ///
    /// # Errors
    /// Usage: it is something else, or there are more.
    pub fn tables(&mut self, key: &'static str, most: usize) -> Result<Option<Vec<Said<&'a DeTable<'a>>>>, Error> {
        let Some(found) = self.take(key) else { return Ok(None) };
        let of_list = format!("sections [[{key}]] with two brackets");
        let list = found.get_ref().as_array().ok_or_else(|| self.wrong(key, found, &of_list))?;
        let table = |value: &'a Spanned<DeValue<'a>>| {
            let table = value.get_ref().as_table().ok_or_else(|| self.wrong(key, value, &of_list))?;
            Ok(Said { value: table, span: value.span() })
        };
        let tables: Vec<_> = list.iter().map(table).collect::<Result<_, Error>>()?;
        match tables.get(most) {
            Some(first) => Err(self.text.error(&first.span, format!("more than {most} sections [[{key}]]"))),
            None => Ok(Some(tables)),
        }
    }
}

/// A value, or those of a list.
fn each<'a>(value: &'a Spanned<DeValue<'a>>) -> impl Iterator<Item = &'a Spanned<DeValue<'a>>> {
    let list = value.get_ref().as_array();
    let single = list.is_none().then_some(value);
    list.into_iter().flat_map(|list| list.iter()).chain(single)
}

/// What was probably meant by a word.
pub(super) fn meant<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let alike = |name: &&'a str| (strsim::jaro_winkler(word, name), *name);
    let (likeness, name) = known.iter().map(alike).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (likeness > ALIKE).then_some(name)
}

fn with_article(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {word}")
}

/// One of `words`, by its value.
///
/// # Errors
/// It is none; in words.
pub(super) fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let tip = meant(text, &known).map(|word| format!(" (`{word}`?)")).unwrap_or_default();
        format!("expected one of {}{tip}", known.join(", "))
    })
}

/// A name as people give it.
///
/// # Errors
/// It is none; in words.
pub(super) fn name(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0 => Err("a name has at least one character".to_owned()),
        n if n > MAX_NAME_CHARS => Err(format!("a name has at most {MAX_NAME_CHARS} characters")),
        _ if shown(text) != text => Err("a name has only characters that can be shown".to_owned()),
        _ if text.trim() != text => Err("a name neither begins nor ends with a space".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// A hardware address.
///
/// # Errors
/// It is none; in words.
pub(super) fn mac(text: &str) -> Result<Mac, &'static str> {
    crate::question::parse_mac(&text.to_ascii_lowercase())
        .ok_or("expected a hardware address such as 02:00:00:00:00:01")
}

/// A network or an address.
///
/// # Errors
/// It is none; in words.
pub(super) fn net(text: &str) -> Result<IpNet, String> {
    crate::cli::parse_net(text)
}
