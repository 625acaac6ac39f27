//! JSON (RFC 8259), as much as the status file needs: a value, its text, and back. serde_json would
//! be five crates more in a program that is started with rights; the tests use it as the judge.

use std::fmt;

/// Deepest nesting that is read. The status file has four levels.
const MAX_DEPTH: u32 = 16;

/// A JSON value. Numbers are doubles: exact for integers up to 2^53, which as bytes are 9 PB.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number; one that JSON cannot write (not finite) is written as `null`.
    Number(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object, in the order in which it was written; of equal names the first is found.
    Object(Vec<(String, Value)>),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number as f64)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl Value {
    /// An object with these members.
    pub fn object<const N: usize>(members: [(&str, Value); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The value behind a path of names; [`Value::Null`] where there is none.
    pub fn at(&self, path: &[&str]) -> &Value {
        path.iter().fold(self, |value, name| match value {
            Self::Object(members) => members.iter().find(|(n, _)| n == name).map_or(&Self::Null, |(_, v)| v),
            _ => &Self::Null,
        })
    }

    /// The number behind a path.
    pub fn number(&self, path: &[&str]) -> Option<f64> {
        match self.at(path) {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The number behind a path, if it is a whole one that is not negative.
    pub fn whole(&self, path: &[&str]) -> Option<u64> {
        let number = self.number(path)?;
        (number >= 0.0 && number <= u64::MAX as f64 && number.fract() == 0.0).then_some(number as u64)
    }

    /// The text behind a path.
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        match self.at(path) {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of the array behind a path; none if it is no array.
    pub fn items(&self, path: &[&str]) -> &[Value] {
        match self.at(path) {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// Reads one value with nothing but white space around it. `None`: not JSON, or nested too
    /// deeply.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let value = value(&mut rest, MAX_DEPTH)?;
        space(&mut rest);
        rest.is_empty().then_some(value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Number(n) if !n.is_finite() => f.write_str("null"),
            Self::Number(n) if n.fract() == 0.0 => write!(f, "{n:.0}"),
            Self::Number(n) => write!(f, "{n:.3}"),
            Self::Text(text) => quoted(f, text),
            Self::List(items) => {
                f.write_str("[")?;
                for (n, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if n > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (n, (name, value)) in members.iter().enumerate() {
                    f.write_str(if n > 0 { "," } else { "" })?;
                    quoted(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A string with everything escaped that a terminal could act on, beside what JSON demands.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            ' '..='~' => write!(f, "{c}")?,
            c => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(f, "\\u{unit:04x}"))?,
        }
    }
    f.write_str("\"")
}

fn space(rest: &mut &str) {
    *rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
}

/// Takes `token` if it comes next.
fn take(rest: &mut &str, token: &str) -> Option<()> {
    *rest = rest.strip_prefix(token)?;
    Some(())
}

fn value(rest: &mut &str, depth: u32) -> Option<Value> {
    space(rest);
    let depth = depth.checked_sub(1)?;
    match rest.chars().next()? {
        '{' => members(rest, depth).map(Value::Object),
        '[' => items(rest, depth).map(Value::List),
        '"' => string(rest).map(Value::Text),
        'n' => take(rest, "null").map(|()| Value::Null),
        't' => take(rest, "true").map(|()| Value::Bool(true)),
        'f' => take(rest, "false").map(|()| Value::Bool(false)),
        _ => number(rest).map(Value::Number),
    }
}

fn items(rest: &mut &str, depth: u32) -> Option<Vec<Value>> {
    take(rest, "[")?;
    list(rest, "]", |rest| value(rest, depth))
}

fn members(rest: &mut &str, depth: u32) -> Option<Vec<(String, Value)>> {
    take(rest, "{")?;
    list(rest, "}", |rest| {
        space(rest);
        let name = string(rest)?;
        space(rest);
        take(rest, ":")?;
        Some((name, value(rest, depth)?))
    })
}

/// Elements between commas, up to `end`.
fn list<T>(rest: &mut &str, end: &str, mut element: impl FnMut(&mut &str) -> Option<T>) -> Option<Vec<T>> {
    let mut list = Vec::new();
    space(rest);
    if take(rest, end).is_some() {
        return Some(list);
    }
    loop {
        list.push(element(rest)?);
        space(rest);
        if take(rest, end).is_some() {
            return Some(list);
        }
        take(rest, ",")?;
    }
}

fn number(rest: &mut &str) -> Option<f64> {
    let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(rest.len());
    let (text, after) = rest.split_at_checked(end)?;
    *rest = after;
    is_number(text).then(|| text.parse().ok())?
}

/// The grammar of RFC 8259 section 6, which is stricter than Rust's.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && digits(fraction)
        && digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
}

fn string(rest: &mut &str) -> Option<String> {
    take(rest, "\"")?;
    let mut text = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => break,
            '\\' => text.push(escape(&mut chars)?),
            c if c < ' ' => return None,
            c => text.push(c),
        }
    }
    *rest = chars.as_str();
    Some(text)
}

fn escape(chars: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        c @ ('"' | '\\' | '/') => c,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let first = unit(chars)?;
            let mut units = vec![first];
            if (0xd800..0xdc00).contains(&first) {
                (chars.next()? == '\\' && chars.next()? == 'u').then_some(())?;
                units.push(unit(chars)?);
            }
            char::decode_utf16(units).next()?.ok()?
        }
        _ => return None,
    })
}

/// Four hexadecimal digits.
fn unit(chars: &mut std::str::Chars<'_>) -> Option<u16> {
    (0..4).try_fold(0, |unit, _| Some(unit * 16 + u16::try_from(chars.next()?.to_digit(16)?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 9] = [
        r#"{"a":[1,-2.5,1e3,0,1E-2],"b":{"c":null,"d":[true,false]},"e":"x"}"#,
        " [ ] ",
        "{ }",
        r#""\u0041\n\t\"\\\/\ud83d\ude00 é""#,
        "0.1",
        "-0",
        r#"{"a" : {"b" : [ {} , [] ] } }"#,
        r#"[[[[[[[[[[[[[[1]]]]]]]]]]]]]]"#,
        "\"\u{7f}\"",
    ];

    const BAD: [&str; 22] = [
        "",
        "{",
        "[1,]",
        "{\"a\":}",
        "{\"a\"}",
        "{,}",
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "1e",
        "nul",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\n\"",
        "1 2",
        "[1 2]",
        "1e5.5",
    ];

    fn by_judge(value: &serde_json::Value) -> Value {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(b) => Value::Bool(*b),
            serde_json::Value::Number(n) => Value::Number(n.as_f64().unwrap()),
            serde_json::Value::String(s) => Value::Text(s.clone()),
            serde_json::Value::Array(a) => Value::List(a.iter().map(by_judge).collect()),
            // Its order is its own.
            serde_json::Value::Object(o) => Value::Object(o.iter().map(|(k, v)| (k.clone(), by_judge(v))).collect()),
        }
    }

    #[test]
    fn reads_what_serde_json_reads_and_refuses_what_it_refuses() {
        for text in GOOD {
            assert_eq!(Value::parse(text), Some(by_judge(&serde_json::from_str(text).unwrap())), "{text}");
        }
        for text in BAD {
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
            assert_eq!(Value::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again_by_both() {
        let value = Value::object([
            ("text", "a\u{1b}[2J\"\\\n\u{202e}é😀".into()),
            ("whole", 9_007_199_254_740_991u64.into()),
            ("part", 0.125.into()),
            ("not a number", f64::NAN.into()),
            ("list", Value::List(vec![Value::Null, Value::Bool(true), Value::object([])])),
        ]);
        let text = value.to_string();
        assert!(text.is_ascii() && !text.contains(char::is_control), "{text}");
        let again = Value::parse(&text).unwrap();
        assert_eq!(again.text(&["text"]), value.text(&["text"]));
        assert_eq!(again.whole(&["whole"]), Some(9_007_199_254_740_991));
        assert_eq!(again.number(&["part"]), Some(0.125));
        assert_eq!(again.at(&["not a number"]), &Value::Null);
        let judged: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(judged["text"].as_str(), value.text(&["text"]));
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        assert_eq!(Value::parse(&"[".repeat(1_000_000)), None);
    }

    #[test]
    fn any_cut_and_any_changed_byte_is_read_as_the_judge_reads_it() {
        for text in GOOD {
            for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
                let cut = &text[..at];
                assert_eq!(
                    Value::parse(cut).is_some(),
                    serde_json::from_str::<serde_json::Value>(cut).is_ok(),
                    "{cut}"
                );
            }
            for (at, byte) in (0..text.len()).flat_map(|at| b"\"\\[]{},:0-e. ".map(move |b| (at, b))) {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = byte;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let judged = serde_json::from_str::<serde_json::Value>(&changed).is_ok();
                assert_eq!(Value::parse(&changed).is_some(), judged, "{changed}");
            }
        }
    }
}
