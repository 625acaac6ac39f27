//! Command lines that are not understood: what was probably meant.

use super::Cli;
use crate::error::shown;
use crate::question::Key;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser as _, ValueEnum as _};
use std::ffi::OsString;
use std::path::Path;

/// Words of people who look for the recorder here.
const RECORDING: [&str; 7] = ["start", "record", "capture", "live", "monitor", "run", "daemon"];

/// The command line, or clap's error with a tip where there is one.
///
/// # Errors
/// It is not understood, or it asks for help or the version.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments).map_err(|mut error| {
        if let Some(tip) = tip(&error) {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        }
        error
    })
}

/// What rows of a report can stand for, by the word for several of them.
fn key_of(word: &str) -> Option<&'static str> {
    let one = match word {
        "families" => "family",
        "countries" => "country",
        _ => word.strip_suffix('s').unwrap_or(word),
    };
    let known = Key::value_variants().iter().map(|key| key.word()).find(|key| *key == one);
    // `site` is a command.
    known.filter(|key| *key != word || *key != "site")
}

/// What was probably meant.
fn tip(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand)?;
            if Path::new(word).exists() {
                return Some(format!("for a report on a file or folder: imon-analyze report {}", shown(word)));
            }
            if RECORDING.contains(&word) {
                return Some("imon-record records, as in: sudo imon-record -i wlan0".to_owned());
            }
            if let Some(key) = key_of(word) {
                return Some(format!("for a line for each {key}: imon-analyze report --by {key}"));
            }
            match word {
                "list" | "show" | "ls" | "summary" | "stats" | "usage" => {
                    return Some("`imon-analyze report` says what used how much".to_owned());
                }
                "version" => return Some("imon-analyze --version".to_owned()),
                _ => {}
            }
            let has_dot = word.contains('.') && !word.contains('/');
            has_dot.then(|| format!("for a site day by day: imon-analyze site {}", shown(word)))
        }
        ErrorKind::UnknownArgument => {
            let word = text(ContextKind::InvalidArg)?;
            let meant = match word.split('=').next()? {
                "--json" | "--csv" => "it is an option of what reports: imon-analyze report --json",
                "--by" => "`imon-analyze report --by KEY` sums up; here each line stands for itself",
                "--sort" | "--order" | "--sort-by" => "rows with the most bytes come first, times in their order",
                "--last" | "--days" | "--today" | "--week" | "--month" | "--date" | "--day" | "--range" => {
                    "--in TIME is a range: today, 7d, this-week, last-month, 2026-11, 2026-11-01..2026-11-07"
                }
                "--no-color" | "--no-colour" | "--colour" => "--color never goes without colour, and so does NO_COLOR",
                "--file" | "--input" | "--read" | "-r" => "files are named as they are: imon-analyze report cap.pcap",
                "--since" | "--start" | "--begin" | "--after" => "--from TIME is where a range begins",
                "--until" | "--end" | "--before" => {
                    "--to TIME is where a range ends, --in TIME is all of a day, week or month"
                }
                "--group" | "--group-by" | "--key" => "--by KEY says what the rows stand for",
                "--top" | "--max" | "--count" => "-n N shows the largest N",
                "--output-format" | "--fmt" => "--format FORMAT says how it is written",
                "--db" => "--database FILE names the database",
                "--ip" | "--client" | "--mac" => {
                    "--device DEVICE takes an address, a network, a hardware address or a name"
                }
                "--domain" | "--url" => "--site NAME takes a site, a host, an address or a URL",
                "--timezone" | "--tz" => "--zone ZONE is the time zone",
                "--verbose" | "-v" => "`imon-analyze explain` says why bytes are where they are; -q says less",
                _ => return None,
            };
            Some(meant.to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        parse(line.split(' ').map(OsString::from)).unwrap_err().to_string()
    }

    #[test]
    fn what_was_probably_meant_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cap.pcap");
        std::fs::write(&file, b"").unwrap();
        let line = format!("imon-analyze {}", file.display());
        assert!(error(&line).contains(&format!("imon-analyze report {}", file.display())), "{}", error(&line));
        for (line, says) in [
            ("imon-analyze start", "sudo imon-record -i wlan0"),
            ("imon-analyze youtube.com", "imon-analyze site youtube.com"),
            ("imon-analyze devices", "imon-analyze report --by device"),
            ("imon-analyze families cap.pcap", "imon-analyze report --by family"),
            ("imon-analyze list", "imon-analyze report"),
            ("imon-analyze version", "--version"),
            ("imon-analyze --json", "imon-analyze report --json"),
            ("imon-analyze flows a.pcap --by host", "report --by KEY"),
            ("imon-analyze report --sort bytes", "most bytes come first"),
            ("imon-analyze report --last 7d", "--in TIME"),
            ("imon-analyze report --no-color", "--color never"),
            ("imon-analyze report --since 7d", "--from TIME"),
            ("imon-analyze report --group-by site", "--by KEY"),
            ("imon-analyze reprot", "'report'"),
            ("imon-analyze report --by sit", "'site'"),
        ] {
            assert!(error(line).contains(says), "{line}: {}", error(line));
        }
    }
}
