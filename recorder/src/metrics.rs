//! Metrics for Prometheus, as a file for node_exporter's textfile collector (the text format,
//! version 0.0.4).
//!
//! Labels name the interface and, for losses, the reason. No site, no device, no address: whoever
//! may see the metrics learns how much, not who or where.

use crate::atomic::{Durability, Readers, replace};
use crate::error::Error;
use crate::health::Health;
use crate::spool;
use crate::status::{Snapshot, State};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::fmt::{Display, Write as _};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How a file of ours begins: the description of the first metric.
const BEGIN: &str = "# HELP imon_record_";

/// Where the metrics go. The directory is opened before the rights are given up, and stays writable
/// afterwards.
#[derive(Debug)]
pub struct MetricsFile {
    dir: File,
    name: String,
    path: PathBuf,
}

impl MetricsFile {
    /// Opens the directory of `path`. `spool`: another directory that is written to.
    ///
    /// # Errors
    /// There is no such directory, or `path` names no file, one that the recorder writes otherwise,
    /// or one of somebody else.
    pub fn open(path: &Path, spool: &File) -> Result<Self, Error> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| Error::Usage {
            cause: format!("--metrics {} names no file", path.display()),
            hint: "name one that ends in .prom".into(),
        })?;
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Not blocking on a named pipe in the place of the directory.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir: File = open(parent, flags, Mode::empty()).map_err(|e| failed(path, e.into()))?.into();
        let is_at = |dir: &File| dir.metadata().map(|m| (m.dev(), m.ino())).map_err(|source| failed(path, source));
        if is_at(&dir)? == is_at(spool)? && spool::is_reserved(name) {
            return Err(Error::Usage {
                cause: format!("--metrics {} is a name that the recorder uses in its spool", path.display()),
                hint: "name another file, one that ends in .prom".into(),
            });
        }
        for name in [name.to_owned(), format!("{name}.new")] {
            if let Some(found) = spool::foreign(&dir, &name, BEGIN.as_bytes()) {
                return Err(Error::Foreign { path: path.with_file_name(name), found });
            }
        }
        Ok(Self { dir, name: name.to_owned(), path: path.to_owned() })
    }

    /// The directory, to be among those that stay writable.
    pub fn dir(&self) -> &File {
        &self.dir
    }

    /// Writes them.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, text: &str) -> Result<(), Error> {
        // The collector runs as a user of its own.
        replace(&self.dir, &self.name, (Readers::Everybody, Durability::Passing), text.as_bytes())
            .map_err(|source| failed(&self.path, source))
    }
}

fn failed(path: &Path, source: std::io::Error) -> Error {
    Error::Metrics { path: path.to_owned(), source }
}

/// The text of the file.
pub fn text(snapshot: &Snapshot<'_>, health: &Health) -> String {
    let mut page = Page { text: String::new(), interface: escaped(&snapshot.identity.interface) };
    let counted = snapshot.counted;
    page.one("info", ("gauge", "Version of imon-record."), concat!(",version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
    let recording = u8::from(snapshot.state == State::Recording);
    page.one("recording", ("gauge", "1 while it records, 0 after it ended; see also the file's time."), "", recording);
    let began = seconds(snapshot.identity.began.wall.0);
    page.one("start_time_seconds", ("gauge", "When it began, in seconds since 1970."), "", began);
    let now = seconds(snapshot.now.wall.0);
    page.one("last_update_time_seconds", ("gauge", "When this was written, in seconds since 1970."), "", now);
    page.one("packets_total", ("counter", "Frames counted."), "", counted.packets);
    page.one("ip_bytes_total", ("counter", "IP bytes counted."), "", counted.ip_bytes);
    page.one("flows", ("gauge", "Flows in the table."), "", counted.flows);
    page.one("segments_sealed_total", ("counter", "Segments sealed."), "", counted.sealed_segments);
    if let Some(spool) = &snapshot.spool {
        page.head("segments_removed_total", "counter", "Segments removed to keep to the budget, by reason.");
        page.sample("segments_removed_total", ",reason=\"age\"", spool.kept.removed_for_age);
        page.sample("segments_removed_total", ",reason=\"room\"", spool.kept.removed_for_room);
        page.one("segments_overdue", ("gauge", "Segments that are too old and still there."), "", spool.kept.overdue);
        let only_sums = u8::from(spool.kept.only_sums);
        page.one("only_sums", ("gauge", "1 while the present day has no more room for detail."), "", only_sums);
        page.one("spool_segments", ("gauge", "Sealed segments in the spool."), "", spool.segments);
        page.one("spool_bytes", ("gauge", "Bytes of the segments in the spool."), "", spool.len_bytes);
        page.one("spool_budget_bytes", ("gauge", "Most bytes that are kept."), "", spool.budget_bytes);
    }
    // Also those that did not happen: of a series that begins with 9 packets Prometheus sees no
    // increase.
    let losses: Vec<(String, crate::health::Loss)> = health
        .all_losses()
        .into_iter()
        .map(|(reason, loss)| (format!(",reason=\"{}\"", escaped(reason)), loss))
        .collect();
    page.head("losses_total", "counter", "Gaps, and times that packets were found lost, by reason.");
    losses.iter().for_each(|(reason, loss)| page.sample("losses_total", reason, loss.count));
    page.head("lost_packets_total", "counter", "Packets known to be lost, by reason.");
    losses.iter().for_each(|(reason, loss)| page.sample("lost_packets_total", reason, loss.packets));
    page.head("gap_seconds_total", "counter", "Length of gaps, by reason.");
    losses.iter().for_each(|(reason, loss)| page.sample("gap_seconds_total", reason, loss.gap_ns as f64 / 1e9));
    page.text
}

/// The text while it grows.
struct Page {
    text: String,
    interface: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        _ = writeln!(self.text, "# HELP imon_record_{name} {help}\n# TYPE imon_record_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        _ = writeln!(self.text, "imon_record_{name}{{interface=\"{}\"{labels}}} {value}", self.interface);
    }

    fn one(&mut self, name: &str, (kind, help): (&str, &str), labels: &str, value: impl Display) {
        self.head(name, kind, help);
        self.sample(name, labels, value);
    }
}

fn seconds(ns: i64) -> String {
    format!("{:.3}", ns as f64 / 1e9)
}

/// A label's value: backslash, quote and line feed are escaped.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Now, gap};
    use crate::counters::count;
    use crate::status::{Counted, Identity, KeptSummary, SpoolUse};
    use imon_common::observe::{Counter, GapReason};
    use imon_common::time::UnixNanos;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn page() -> String {
        let now = Now { wall: UnixNanos(1_800_000_000_500_000_000), awake_ns: 0, boot_ns: 0 };
        let identity = Identity {
            interface: "a\"\\\nb".into(),
            pid: 1,
            kernel: crate::kernel::Kernel::default(),
            run: String::new(),
            began: now,
        };
        let counted = Counted { packets: u64::MAX, ip_bytes: 2, flows: 3, sealed_segments: 4 };
        let spool = SpoolUse { segments: 5, len_bytes: 6, budget_bytes: 7, kept: KeptSummary::default() };
        let snapshot = Snapshot {
            identity: &identity,
            state: State::Recording,
            now,
            counted,
            before: None,
            segment: None,
            spool: Some(spool),
            foreign: spool::Foreign::default(),
            missing: &[],
            last_error: None,
        };
        let mut health = Health::default();
        health.note(now.wall, &[count(Counter::KernelDropped, 9, 0), gap(GapReason::Suspend, 1_500_000_000)]);
        text(&snapshot, &health)
    }

    /// What `promtool check metrics` demands, as far as it can be said without it: every sample has
    /// a metric name of its family, labels in quotes and a number; every family is described once,
    /// before its samples.
    #[test]
    fn every_line_is_a_description_or_a_sample_of_what_was_described_before() {
        let (mut described, mut samples) = (Vec::new(), 0);
        for line in page().lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let name = help.split(' ').next().unwrap().to_owned();
                assert!(!described.contains(&name), "twice: {name}");
                described.push(name);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(described.last().unwrap(), name);
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            } else {
                let (name, rest) = line.split_once('{').unwrap();
                assert_eq!(described.last().unwrap(), name);
                let (labels, value) = rest.rsplit_once("} ").unwrap();
                assert!(labels.starts_with(r#"interface="a\"\\\nb""#), "{labels}");
                value.parse::<f64>().unwrap();
                samples += 1;
            }
        }
        assert_eq!((described.len(), samples), (17, 39));
    }

    #[test]
    fn promtool_takes_it() {
        let tools = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().join("tools/promtool");
        let by = |program: &Path| {
            let mut command = Command::new(program);
            command
                .args(["check", "metrics"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        };
        let Ok(mut promtool) = by("promtool".as_ref()).or_else(|_| by(&tools)) else {
            eprintln!("skipped: promtool is missing");
            return;
        };
        promtool.stdin.take().unwrap().write_all(page().as_bytes()).unwrap();
        let said = promtool.wait_with_output().unwrap();
        let all = [said.stdout, said.stderr].concat();
        assert!(said.status.success() && all.is_empty(), "{}\n{}", String::from_utf8_lossy(&all), page());
    }

    #[test]
    fn what_was_never_lost_is_a_series_that_can_rise() {
        let page = page();
        for (metric, reason) in [("lost_packets_total", "interface-dropped"), ("gap_seconds_total", "no-space")] {
            let line = format!(r#"imon_record_{metric}{{interface="a\"\\\nb",reason="{reason}"}} 0"#);
            assert!(page.lines().any(|known| known == line), "no {line} in\n{page}");
        }
    }

    #[test]
    fn losses_have_their_reason_and_nothing_else_is_told() {
        let page = page();
        for line in [
            r#"reason="kernel-dropped"} 9"#,
            r#"reason="suspend"} 1.5"#,
            r#"_packets_total{interface="a\"\\\nb"} 18446744073709551615"#,
        ] {
            assert!(page.contains(line), "no {line} in\n{page}");
        }
    }

    #[test]
    fn a_missing_directory_and_a_missing_name_are_clear_errors() {
        let spool = File::open("/").unwrap();
        assert!(MetricsFile::open(Path::new("/"), &spool).unwrap_err().to_string().contains("names no file"));
        let home = tempfile::tempdir().unwrap();
        let missing = MetricsFile::open(&home.path().join("missing/a.prom"), &spool).unwrap_err().to_string();
        assert!(missing.starts_with("error: cannot write the metrics to /"), "{missing}");
    }

    #[test]
    fn what_the_recorder_writes_otherwise_or_somebody_else_wrote_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let spool = File::open(home.path()).unwrap();
        let open = |name: &str| MetricsFile::open(&at(name), &spool);
        for name in ["recorder.lock", "recorder.id", "status.json", "status.json.new", "x.seg", "x.part", "x.part.new"]
        {
            let error = open(name).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{name}");
            // By whatever way: the directories are compared, not the texts.
            let around = home.path().join("..").join(home.path().file_name().unwrap()).join(name);
            assert_eq!(MetricsFile::open(&around, &spool).unwrap_err().exit_code(), 2, "{name}");
        }
        std::fs::write(at("thesis.txt"), "once upon a time").unwrap();
        std::fs::create_dir(at("dir.prom")).unwrap();
        std::os::unix::fs::symlink(at("thesis.txt"), at("link.prom")).unwrap();
        nix::unistd::mkfifo(&at("pipe.prom"), Mode::S_IRWXU).unwrap();
        nix::unistd::mkfifo(&at("a.prom.new"), Mode::S_IRWXU).unwrap();
        for (name, found) in [
            ("thesis.txt", "does not begin"),
            ("dir.prom", "directory"),
            ("link.prom", "link"),
            ("pipe.prom", "named pipe"),
            ("a.prom", "named pipe"),
        ] {
            let error = open(name).unwrap_err();
            assert!(matches!(&error, Error::Foreign { found: text, .. } if text.contains(found)), "{error}");
        }
        // A pipe in the place of the directory is not waited for.
        assert!(MetricsFile::open(&at("pipe.prom").join("a.prom"), &spool).is_err());
        std::fs::write(at("old.prom"), page()).unwrap();
        std::fs::write(at("empty.prom"), "").unwrap();
        for name in ["new.prom", "old.prom", "empty.prom"] {
            open(name).unwrap();
        }
    }
}
