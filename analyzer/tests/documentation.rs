//! What the documents say against what the programs do: every command line in them is one, and
//! every field is described.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

mod support;

use clap::{CommandFactory as _, Parser as _};
use std::collections::BTreeSet;
use std::path::Path;
use support::{Home, testdata};

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Lines between ``` that begin with the program, without what stands behind ` #`, and cut at pipes
/// and the like.
fn commands(text: &str, program: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in text.split("```").skip(1).step_by(2) {
        for line in block.lines() {
            let line = line.split(" #").next().unwrap().trim().trim_start_matches("$ ").trim_start_matches("sudo ");
            for part in line.split([';', '|', '&', '>']).map(str::trim) {
                let part = part.trim_start_matches("sudo ");
                if part == program || part.starts_with(&format!("{program} ")) {
                    commands.push(part.replace('"', ""));
                }
            }
        }
    }
    commands
}

fn documents() -> Vec<(String, String)> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let paths = docs.filter(|path| path.extension().is_some_and(|e| e == "md")).chain([root().join("README.md")]);
    paths.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn every_command_line_in_the_documents_is_understood() {
    let (mut analyze, mut record) = (0, 0);
    for (path, text) in documents() {
        for line in commands(&text, "imon-analyze") {
            let parsed = imon_analyze::cli::Cli::try_parse_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{path}: {line}: {}", parsed.unwrap_err());
            analyze += 1;
        }
        for line in commands(&text, "imon-record") {
            let parsed = imon_record::command().try_get_matches_from(line.split_whitespace());
            assert!(parsed.is_ok(), "{path}: {line}: {}", parsed.unwrap_err());
            record += 1;
        }
    }
    assert!(analyze > 20 && record > 3, "{analyze} and {record} command lines");
}

/// Long options of a program and of its commands that its help shows.
fn options(command: &clap::Command, into: &mut BTreeSet<String>) {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    into.extend(shown.filter_map(|arg| arg.get_long()).map(|long| format!("--{long}")));
    command.get_subcommands().for_each(|command| options(command, into));
}

/// Words of a text that are long options.
fn options_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    let is_option = |word: &&str| word.strip_prefix("--").is_some_and(|name| name.starts_with(char::is_alphabetic));
    words.map(|word| word.trim_end_matches(['.', '-'])).filter(is_option).map(str::to_owned).collect()
}

/// What stands in documents for people: outside of blocks of other programs.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// Options of other programs that the documents name.
const OF_OTHERS: [(&str, &str); 10] = [
    ("--failed", "systemctl"),
    ("--ignored", "cargo test"),
    ("--release", "cargo"),
    ("--test", "cargo"),
    ("--tool", "valgrind"),
    ("--write", "make score, make bench-instructions"),
    ("--captures", "make score"),
    ("--wrong", "make score"),
    ("--save", "make score"),
    ("--list", "scripts/dns_worlds.py"),
];

#[test]
fn every_option_is_in_the_documents_and_the_documents_name_no_other() {
    let mut known = BTreeSet::new();
    options(&imon_analyze::cli::Cli::command(), &mut known);
    options(&imon_record::command(), &mut known);
    assert!(known.len() > 80, "{known:?}");
    let documents = documents();
    let named: BTreeSet<String> = documents.iter().flat_map(|(_, text)| options_in(text)).collect();
    let missing: Vec<&String> = known.iter().filter(|option| !named.contains(*option)).collect();
    assert!(missing.is_empty(), "in no document: {missing:?}");
    for (path, text) in &documents {
        let is_known = |option: &String| {
            let other = OF_OTHERS.iter().any(|(of, _)| of == option);
            other || known.contains(option) || ["--help", "--version"].contains(&option.as_str())
        };
        // node_exporter's have dots.
        let unknown: Vec<String> = options_in(&prose(text)).into_iter().filter(|o| !is_known(o)).collect();
        assert!(unknown.iter().all(|option| option.contains('.')), "{path}: no option: {unknown:?}");
    }
}

/// `imon-analyze …` and `imon-record …` within a line, and commands that stand there without the
/// program, as `report --compare`: their options are of that command.
#[test]
fn commands_within_a_line_have_their_options() {
    use clap::error::ErrorKind::{InvalidSubcommand, InvalidValue, UnknownArgument};
    use clap::error::{ContextKind, ContextValue};
    let commands: BTreeSet<String> =
        imon_analyze::cli::Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, text) in documents() {
        for span in prose(&text).split('`').skip(1).step_by(2) {
            let span = span.split_whitespace().collect::<Vec<_>>().join(" ").replace("…", "");
            let span = span.split(['|', '&', ';', '>']).next().unwrap().trim();
            let (first, rest) = span.split_once(' ').unwrap_or((span, ""));
            let line = match first {
                "imon-record" | "imon-analyze" => span.to_owned(),
                command if commands.contains(command) && rest.contains("--") => format!("imon-analyze {span}"),
                _ => continue,
            };
            let words = line.split(' ').filter(|word| !word.is_empty());
            let error = match first {
                "imon-record" => imon_record::command().try_get_matches_from(words).err(),
                _ => imon_analyze::cli::Cli::try_parse_from(words).err(),
            };
            // An option is named without its value, too.
            let is_wrong = |error: &clap::Error| match error.get(ContextKind::InvalidValue) {
                Some(ContextValue::String(value)) if value.is_empty() => false,
                _ => [InvalidSubcommand, InvalidValue, UnknownArgument].contains(&error.kind()),
            };
            if let Some(error) = error.filter(is_wrong) {
                wrong.push(format!("{path}: `{span}`: {error}"));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 40, "{seen}");
}

/// Every name of a field in a value, those of maps by site left out.
fn fields(value: &serde_json::Value, into: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                into.insert(name.clone());
                if name != "third_parties" {
                    fields(value, into);
                }
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| fields(value, into)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_output_is_described() {
    let home = Home::new();
    home.write("small.pcap", &std::fs::read(testdata("pcap/us-le.pcap")).unwrap());
    let text = std::fs::read_to_string(root().join("docs/OUTPUT.md")).unwrap();
    let words: BTreeSet<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
        .filter(|word| !word.is_empty())
        .collect();
    let mut names = BTreeSet::new();
    for line in [
        "report small.pcap --json --limit 1",
        "report small.pcap --json --by page",
        "report small.pcap --json --by device,hour-of-day --site example.org",
        "site example.org --files small.pcap --json",
        "report small.pcap --compare-with small.pcap --json --limit 1",
    ] {
        fields(&serde_json::from_str(&home.ok(line)).unwrap(), &mut names);
    }
    for line in ["flows small.pcap", "names small.pcap"] {
        fields(&serde_json::from_str(home.ok(line).lines().next().unwrap()).unwrap(), &mut names);
    }
    let missing: Vec<&String> = names.iter().filter(|name| !words.contains(name.as_str())).collect();
    assert!(missing.is_empty() && names.len() > 60, "not described: {missing:?}");
    let csv = home.ok("report small.pcap --csv --by page");
    let kinds: BTreeSet<String> =
        imon_analyze::books::Evidence::ALL.iter().map(|e| format!("{}_bytes", e.word())).collect();
    let header = csv.lines().next().unwrap().split(',');
    let missing: Vec<&str> = header.filter(|name| !words.contains(name) && !kinds.contains(*name)).collect();
    assert!(missing.is_empty(), "not described: {missing:?}");
}
