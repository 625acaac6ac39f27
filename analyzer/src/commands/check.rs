//! `imon-analyze check SEGMENT…`: how a segment ended, what is in it, what is damaged.

mod books;
mod chain;

use super::lines::{Lines, Value};
use super::{complain, deliver, utc};
use crate::cli::CheckArgs;
use crate::error::{Error, Outcome, shown};
use crate::files;
use crate::range::{rfc3339, zoned};
use crate::table::units::{hex, uuid};
use chain::{Chains, Link, Ring};
use imon_common::flow::Flow;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Counter, Observer, Usage};
use imon_common::segment::{ReadError, SegmentEnd, SegmentHeader, SegmentReader, SegmentReport};
use imon_common::time::UnixNanos;
use jiff::tz::TimeZone;
use sha2::{Digest as _, Sha256};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const COLUMNS: [&str; 25] = [
    "path",
    "ended",
    "at",
    "cause",
    "segment",
    "sequence",
    "interface",
    "first",
    "last",
    "records",
    "packets",
    "ip_bytes",
    "names",
    "addresses",
    "dropped_packets",
    "damaged_bytes",
    "len_bytes",
    "blocks",
    "format",
    "recorder",
    "run",
    "stop_requested",
    "before",
    "sha256",
    "link",
];

/// Prints what each segment holds. Damaged and torn ones count as skipped input: exit 3.
///
/// # Errors
/// No file could be read; writing.
pub(super) fn run(args: &CheckArgs, out: &mut dyn Write) -> Result<Outcome, Error> {
    let zone = crate::range::zone(None)?;
    let (databases, segments): (Vec<&PathBuf>, Vec<&PathBuf>) =
        args.segments.iter().partition(|path| books::is_database(path));
    if !databases.is_empty() {
        if !segments.is_empty() || !args.anchors.is_empty() {
            return Err(Error::usage("a database is checked by itself")
                .hint("name segments, or the database, with a command of its own"));
        }
        return databases_of(&databases, args, out);
    }
    let mut paths = Vec::new();
    for path in &args.segments {
        paths.extend(super::segments(path, "check")?);
    }
    let (mut checked, mut skipped, mut last_error) = (Vec::new(), 0, None);
    for path in paths {
        match check(&path) {
            Ok(result) => {
                skipped += u64::from(!result.is_whole());
                checked.push(result);
            }
            Err(error) => {
                skipped += 1;
                if let Some(earlier) = last_error.replace(error) {
                    complain(&earlier);
                }
            }
        }
    }
    match last_error {
        Some(error) if checked.is_empty() => return Err(error),
        Some(error) => complain(&error),
        None => {}
    }
    let rings: Vec<Ring<'_>> = checked.iter().map(Checked::ring).collect();
    let chains = Chains::of(&rings, &args.anchors);
    deliver(args.output.output.as_deref(), out, |out| match args.output.format().lines() {
        Some(format) => lines(&checked, &chains.links, Lines::new(out, format)),
        None => {
            checked.iter().try_for_each(|c| out.write_all(text(c, &zone).as_bytes()))?;
            out.write_all(chains.text.as_bytes())
        }
    })?;
    Ok(Outcome::Skipped(skipped + chains.faults))
}

/// Columns of a database. `month` is null for the database itself, of which `rows` are those of
/// open months.
const BOOKS: [&str; 6] = ["path", "month", "state", "rows", "len_bytes", "cause"];

fn databases_of(databases: &[&PathBuf], args: &CheckArgs, out: &mut dyn Write) -> Result<Outcome, Error> {
    let mut looked = Vec::new();
    for database in databases {
        looked.extend(books::look(database)?);
    }
    deliver(args.output.output.as_deref(), out, |out| match args.output.format().lines() {
        Some(format) => {
            let mut lines = Lines::new(out, format);
            lines.header(&BOOKS);
            for books::Looked { path, month, rows, len_bytes, fault } in &looked {
                lines.line(&[
                    Value::Text(path.to_string_lossy().into_owned()),
                    month.map_or(Value::Null, |month| Value::Text(month.to_string())),
                    Value::Text(if fault.is_some() { "damaged" } else { "whole" }.into()),
                    Value::Number(*rows),
                    Value::Number(*len_bytes),
                    fault.clone().map_or(Value::Null, Value::Text),
                ]);
            }
            lines.finish()
        }
        None => out.write_all(books::text(&looked).as_bytes()),
    })?;
    Ok(Outcome::Skipped(looked.iter().filter(|looked| looked.fault.is_some()).count() as u64))
}

/// A segment that was read.
#[derive(Debug)]
struct Checked {
    path: PathBuf,
    header: SegmentHeader,
    report: SegmentReport,
    tally: Tally,
    /// SHA-256 of the file.
    sha256: [u8; 32],
}

impl Checked {
    fn ring(&self) -> Ring<'_> {
        let sealed = matches!(self.report.end, SegmentEnd::Sealed { .. });
        Ring { header: &self.header, sha256: self.sha256, sealed, never_written: &self.tally.never_written }
    }

    fn is_whole(&self) -> bool {
        matches!(self.report.end, SegmentEnd::Sealed { .. } | SegmentEnd::Open { .. })
    }
}

/// What was read, counted by kind.
#[derive(Debug, Default)]
struct Tally {
    names: u64,
    addresses: u64,
    usage_rows: u64,
    dropped: u64,
    not_ip: u64,
    undecodable: u64,
    /// Segments that were begun and never written, by the low 32 bits of their sequence.
    never_written: Vec<u32>,
}

impl Observer for Tally {
    type Error = Infallible;

    fn name(&mut self, _: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.names += 1;
        self.addresses += seen.addresses.len() as u64;
        Ok(())
    }

    fn usage(&mut self, _: &Flow, _: UnixNanos, _: Usage) -> Result<(), Infallible> {
        self.usage_rows += 1;
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        for count in counts {
            match count.counter {
                Counter::KernelDropped | Counter::InterfaceDropped => self.dropped += count.packets,
                Counter::NeverWritten(sequence) => self.never_written.push(sequence),
                Counter::NotIp(_) => self.not_ip += count.packets,
                Counter::Undecodable(_) => self.undecodable += count.packets,
                _ => {}
            }
        }
        Ok(())
    }
}

fn check(path: &Path) -> Result<Checked, Error> {
    let failed = || Error::failed(format!("cannot check {}", shown(&path.to_string_lossy())));
    let file = files::open(path).map_err(|e| failed().because(&e).hint_for(path, &e))?;
    let mut file = Hashed { input: file, hash: Sha256::new() };
    let no_segment = "of a capture, `imon-analyze report` says how far it can be read";
    let reader = SegmentReader::open(&mut file).map_err(|e| failed().because(&e).hint(no_segment))?;
    let header = reader.header().clone();
    let mut tally = Tally::default();
    let report = match reader.read(&mut tally) {
        Ok(report) => report,
        Err(ReadError::Io(error)) => return Err(failed().because(&error)),
    };
    // What stands behind the end is of the file, too.
    io::copy(&mut file, &mut io::sink()).map_err(|e| failed().because(&e))?;
    Ok(Checked { path: path.into(), header, report, tally, sha256: file.hash.finalize().into() })
}

/// An input whose bytes are hashed as they are read.
#[derive(Debug)]
struct Hashed<R> {
    input: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.hash.update(buf.get(..n).unwrap_or_default());
        Ok(n)
    }
}

fn lines(checked: &[Checked], links: &[Option<Link>], mut lines: Lines<'_>) -> io::Result<()> {
    lines.header(&COLUMNS);
    for (Checked { path, header, report, tally, sha256 }, link) in checked.iter().zip(links) {
        let (word, at, cause) = match &report.end {
            SegmentEnd::Sealed { .. } => ("sealed", None, None),
            SegmentEnd::Open { valid_to } => ("open", Some(*valid_to), None),
            SegmentEnd::Torn { valid_to, .. } => ("torn", Some(*valid_to), None),
            SegmentEnd::Damaged { at, cause } => ("damaged", Some(*at), Some(cause.to_string())),
        };
        let time = |at: Option<UnixNanos>| at.map_or(Value::Null, |at| Value::Text(utc(at)));
        let values = [
            Value::Text(path.to_string_lossy().into_owned()),
            Value::Text(word.into()),
            at.map_or(Value::Null, Value::Number),
            cause.map_or(Value::Null, Value::Text),
            Value::Text(uuid(header.segment)),
            Value::Number(header.sequence),
            Value::Text(header.interface.clone()),
            time(report.first),
            time(report.last),
            Value::Number(report.records),
            Value::Number(report.packets),
            Value::Number(report.bytes),
            Value::Number(tally.names),
            Value::Number(tally.addresses),
            Value::Number(tally.dropped),
            Value::Number(report.damaged_bytes),
            Value::Number(report.len_bytes),
            Value::Number(report.blocks),
            Value::Number(header.format.into()),
            Value::Text(uuid(header.recorder)),
            Value::Text(uuid(header.run)),
            Value::Text(if report.close.stop_requested { "yes" } else { "no" }.into()),
            if header.before == [0; 16] { Value::Null } else { Value::Text(uuid(header.before)) },
            Value::Text(hex(sha256)),
            link.map_or(Value::Null, |link| Value::Text(link.word().into())),
        ];
        lines.line(&values);
    }
    lines.finish()
}

fn text(checked: &Checked, zone: &TimeZone) -> String {
    let Checked { path, header, report, tally, sha256 } = checked;
    let time = |at: UnixNanos| zoned(at, zone).map(|z| rfc3339(&z)).unwrap_or_default();
    let span = report.first.zip(report.last).map(|(a, b)| format!("{} .. {}", time(a), time(b)));
    let local: Vec<String> = header.local.nets().map(|n| n.to_string()).collect();
    let mut text = String::new();
    let mut line = |key: &str, value: String| _ = writeln!(text, "  {key:<12} {value}");
    let requested = if report.close.stop_requested { ", as its recorder was asked to stop" } else { "" };
    line("ended", format!("{}{requested}", end_text(&report.end)));
    let of = if header.format >= 3 { "recorder" } else { "run" };
    line(
        "segment",
        format!("{} (number {} of its {of}; format {})", uuid(header.segment), header.sequence, header.format),
    );
    line("recorder", format!("{}, run {}", uuid(header.recorder), uuid(header.run)));
    if header.before != [0; 16] {
        line("before it", uuid(header.before));
    }
    line("interface", shown(&header.interface));
    line("local", if local.is_empty() { "built-in ranges only".into() } else { local.join(", ") });
    line("started", time(header.start));
    line("records", span.map_or("none".into(), |span| format!("{} from {span}", report.records)));
    line("usage", format!("{} rows: {} packets, {} IP bytes", tally.usage_rows, report.packets, report.bytes));
    line("names", format!("{} with {} addresses", tally.names, tally.addresses));
    line("not IP", format!("{} packets; undecodable: {}; dropped: {}", tally.not_ip, tally.undecodable, tally.dropped));
    let per_packet = report.len_bytes as f64 / (report.packets.max(1)) as f64;
    line("size", format!("{} bytes in {} blocks, {per_packet:.2} bytes a packet", report.len_bytes, report.blocks));
    line("SHA-256", hex(sha256));
    for damage in &report.damage {
        line("damage", format!("bytes {} to {}: {}", damage.from, damage.to, damage.cause));
    }
    format!("{}\n{text}", shown(&path.to_string_lossy()))
}

fn end_text(end: &SegmentEnd) -> String {
    match end {
        SegmentEnd::Sealed { .. } => "sealed".into(),
        SegmentEnd::Open { valid_to } => {
            format!("open: still being written, or its recorder was killed (good to byte {valid_to})")
        }
        SegmentEnd::Torn { valid_to, left_over } => {
            format!("torn: the last block is incomplete (good to byte {valid_to}, {left_over} bytes left over)")
        }
        SegmentEnd::Damaged { at, cause } => format!("damaged at byte {at}: {cause}"),
    }
}
