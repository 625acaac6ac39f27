//! What a page says, read back from its bytes.

use super::Home;
use serde_json::Value;
use std::collections::BTreeMap;

/// What stands between two texts, the first time.
pub fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = &text[text.find(from).unwrap_or_else(|| panic!("no {from}")) + from.len()..];
    &rest[..rest.find(to).unwrap()]
}

pub fn data(page: &str) -> Value {
    serde_json::from_str(between(page, "<script type=\"application/json\" id=\"data\">", "</script>")).unwrap()
}

/// Numbers as the page packs them.
pub fn numbers(text: &Value) -> Vec<u64> {
    let mut list = Vec::new();
    for part in text.as_str().unwrap_or_default().split(' ').filter(|part| !part.is_empty()) {
        match part.strip_prefix('.') {
            Some(zeros) => list.resize(list.len() + usize::from_str_radix(zeros, 36).unwrap(), 0),
            None => list.push(u64::from_str_radix(part, 36).unwrap()),
        }
    }
    list
}

pub fn sum(text: &Value) -> u64 {
    numbers(text).iter().sum()
}

pub fn json(home: &Home, line: &str) -> Value {
    serde_json::from_str(&home.ok(line)).unwrap()
}

/// Amounts by the text of a key.
pub fn by(report: &Value, key: &str, field: &str) -> BTreeMap<String, u64> {
    let rows = report["rows"].as_array().unwrap().iter();
    rows.map(|row| (row[key].as_str().unwrap().to_owned(), row[field].as_u64().unwrap())).collect()
}

pub fn key(subject: &Value) -> String {
    subject.get("key").unwrap_or(&subject["n"]).as_str().unwrap().to_owned()
}
