//! The manual and the completions, as `make man` writes them: every page has its sections, every
//! example is understood by the program, and shells complete what is behind a subcommand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, missing_docs)]

#[path = "../examples/manual/sections.rs"]
#[allow(dead_code)] // the pages are written by the example
mod sections;

use clap::CommandFactory as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn manual() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "-q", "--offline", "-p", "imon-analyze", "--example", "manual"]).arg(dir.path());
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dir
}

/// What a program prints; `None`, and a word about it, if there is no such program.
fn said_by(program: &str, args: &[&str]) -> Option<String> {
    match Command::new(program).args(args).env("HOME", "/nonexistent").output() {
        Ok(output) => {
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
        Err(e) => {
            eprintln!("skipped: no completions tried in {program}: {e}");
            None
        }
    }
}

/// Lines as typed, and something that is offered behind each.
const LINES: [(&str, &[&str]); 5] = [
    ("imon-analyze re", &["report", "rebuild"]),
    ("imon-analyze report --by ", &["site", "family", "device", "hour"]),
    ("imon-analyze report --form", &["--format"]),
    ("imon-analyze flows --format ", &["json"]),
    ("imon-record --stat", &["--status"]),
];

fn offers(shell: &str, offered: &str, expected: &[&str], line: &str) {
    let words: Vec<&str> = offered.lines().filter_map(|l| l.split_whitespace().next()).collect();
    for word in expected {
        assert!(words.contains(word), "{shell} offers {words:?} for '{line}', and not {word}");
    }
}

#[test]
fn shells_complete_what_stands_behind_a_subcommand() {
    let manual = manual();
    let dir = manual.path().to_str().unwrap();
    let zsh = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/complete.zsh");
    for (line, expected) in LINES {
        let program = line.split(' ').next().unwrap();
        // As bash calls it: the command, the word before the cursor, the word before that.
        let bash = format!(
            r#"source {dir}/{program}.bash; read -ra COMP_WORDS <<<"$1"; [[ $1 != *" " ]] || COMP_WORDS+=("")
            COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            function=$(complete -p {program} | sed 's/.*-F \([^ ]*\).*/\1/')
            "$function" {program} "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
            printf '%s\n' "${{COMPREPLY[@]}}""#
        );
        if let Some(offered) = said_by("bash", &["--norc", "-c", &bash, "bash", line]) {
            offers("bash", &offered, expected, line);
        }
        let fish = format!("source {dir}/{program}.fish; complete -C '{line}'");
        if let Some(offered) = said_by("fish", &["--no-config", "-c", &fish]) {
            offers("fish", &offered, expected, line);
        }
        if let Some(offered) = said_by("zsh", &["-f", zsh, dir, line]) {
            offers("zsh", &offered, expected, line);
        }
    }
}

#[test]
fn every_page_has_its_sections_and_a_synopsis_with_values() {
    let manual = manual();
    let mut pages = 0;
    for entry in std::fs::read_dir(manual.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "1") {
            continue;
        }
        pages += 1;
        let (text, name) = (std::fs::read_to_string(&path).unwrap(), path.display());
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"] {
            let title = [format!(".SH {section}\n"), format!(".SH \"{section}\"\n")];
            assert!(title.iter().any(|title| text.contains(title)), "{name} has no {section}");
        }
        well_formed(&path);
    }
    assert!(pages >= 13, "{pages} pages");
    let read = |page: &str| std::fs::read_to_string(manual.path().join(page)).unwrap();
    for (page, section) in
        [("imon-record.1", "SIGNALS"), ("imon-record.1", "ENVIRONMENT"), ("imon-analyze-report.1", "FILES")]
    {
        assert!(read(page).contains(&format!(".SH {section}\n")), "{page} has no {section}");
    }
    let report = read("imon-analyze-report.1");
    assert!(report.contains("[\\fB\\-\\-by\\fR \\fIKEY") && report.contains("[\\fIFILE\\fR]..."), "{report}");
}

/// No complaint by groff, where there is one.
fn well_formed(path: &Path) {
    let groff = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(path).output();
    if let Ok(output) = groff {
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(complaints.is_empty(), "{}: {complaints}", path.display());
    }
}

#[test]
fn every_example_of_the_manual_is_understood() {
    let commands = [imon_record::command(), imon_analyze::cli::Cli::command()];
    let mut examples = 0;
    for command in commands {
        let name = command.get_name().to_owned();
        let subs = command.get_subcommands().map(|sub| format!("{name}-{}", sub.get_name()));
        for page in std::iter::once(name.clone()).chain(subs) {
            let page = sections::of(&page).unwrap_or_else(|| panic!("{page} has no sections"));
            for (line, _) in page.examples {
                let words = line.split(" | ").next().unwrap().split_whitespace();
                let result = command.clone().try_get_matches_from(words);
                assert!(result.is_ok(), "{line}: {}", result.unwrap_err());
                examples += 1;
            }
        }
    }
    assert!(examples >= 20, "{examples}");
}
