//! A strict reader of Prometheus' text format 0.0.4, as promtool is where it is not installed.
//! Whatever the format does not have panics.

use std::collections::BTreeSet;

/// A sample: its metric, its labels in their order, its value as it stands there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sample {
    pub metric: String,
    pub labels: Vec<(String, String)>,
    pub value: String,
}

impl Sample {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}

/// All samples of a text.
pub fn samples(text: &str) -> Vec<Sample> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line ends");
    let mut samples: Vec<Sample> = Vec::new();
    let (mut helped, mut typed): (BTreeSet<String>, BTreeSet<String>) = (BTreeSet::new(), BTreeSet::new());
    let (mut series, mut current) = (BTreeSet::new(), String::new());
    // Not `lines`: a carriage return is part of a line here.
    for line in text.split_terminator('\n') {
        if let Some(comment) = line.strip_prefix("# ") {
            let (kind, rest) = comment.split_once(' ').unwrap();
            let (metric, about) = rest.split_once(' ').unwrap();
            assert_name(metric, true);
            match kind {
                "HELP" => assert!(helped.insert(metric.to_owned()) && !about.is_empty(), "{line}"),
                "TYPE" => {
                    assert!(typed.insert(metric.to_owned()) && about == "gauge" && helped.contains(metric), "{line}");
                    current = metric.to_owned();
                }
                other => panic!("{other}: {line}"),
            }
            continue;
        }
        let sample = sample(line);
        // Samples of a metric stand together behind its head.
        assert_eq!(sample.metric, current, "{line}");
        let mut sorted = sample.labels.clone();
        sorted.sort();
        assert!(series.insert((sample.metric.clone(), sorted)), "twice: {line}");
        samples.push(sample);
    }
    samples
}

fn assert_name(name: &str, is_metric: bool) {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || (is_metric && c == ':');
    let mut chars = name.chars();
    assert!(chars.next().is_some_and(is_first) && chars.all(|c| is_first(c) || c.is_ascii_digit()), "{name:?}");
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap();
    let (metric, mut rest) = line.split_at(end);
    assert_name(metric, true);
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (name, after) = rest.split_once("=\"").unwrap();
            assert_name(name, false);
            assert!(labels.iter().all(|(of, _)| of != name), "{line}");
            let (value, after) = quoted(after);
            labels.push((name.to_owned(), value));
            rest = after.strip_prefix(',').unwrap_or(after);
            assert!(after.starts_with([',', '}']), "{line}");
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap();
    assert!(value.parse::<f64>().is_ok() && value.trim() == value, "{line}");
    Sample { metric: metric.to_owned(), labels, value: value.to_owned() }
}

/// A value up to its quote, and what is behind that.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().map(|(_, c)| c) {
                Some('\\') => '\\',
                Some('"') => '"',
                Some('n') => '\n',
                other => panic!("an escape that there is not: {other:?}"),
            }),
            c => value.push(c),
        }
    }
    panic!("a label without an end: {text:?}")
}
