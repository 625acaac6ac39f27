//! What the tests of the program share: a spool of their own, and what its segments hold.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

pub mod net;

use imon_common::flow::Flow;
use imon_common::names::{NameKind, NameSeen};
use imon_common::observe::{Count, Counter, Observer, RunBefore, Usage};
use imon_common::segment::{SegmentEnd, SegmentHeader, SegmentReader};
use imon_common::time::UnixNanos;
use imon_common::wire::Mac;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything that a segment holds, added up.
#[derive(Debug, Default)]
pub struct Books {
    pub usage: Usage,
    pub names: Vec<String>,
    /// Who asked for each name, by address and hardware address.
    pub askers: Vec<(IpAddr, Option<Mac>)>,
    /// Names in queries, and who asked.
    pub queries: Vec<String>,
    pub who_asked: Vec<(IpAddr, Option<Mac>)>,
    /// Clients and servers of the flows that moved something.
    pub ends: HashSet<(IpAddr, IpAddr)>,
    pub counts: HashMap<Counter, (u64, u64)>,
    /// What runs know of those before them.
    pub runs_before: Vec<RunBefore>,
}

impl Books {
    /// Number and bytes of a counter.
    pub fn counter(&self, counter: Counter) -> (u64, u64) {
        self.counts.get(&counter).copied().unwrap_or_default()
    }
}

impl Observer for Books {
    type Error = std::convert::Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Self::Error> {
        let (names, askers) = match seen.kind {
            NameKind::DnsQuery => (&mut self.queries, &mut self.who_asked),
            _ => (&mut self.names, &mut self.askers),
        };
        names.push(seen.name.to_string());
        askers.push((flow.client, flow.client_mac));
        Ok(())
    }

    fn usage(&mut self, flow: &Flow, _: UnixNanos, usage: Usage) -> Result<(), Self::Error> {
        self.ends.insert((flow.client, flow.server));
        self.usage.add(usage);
        Ok(())
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Self::Error> {
        self.runs_before.extend(counts.iter().filter_map(|count| RunBefore::of_count(ts, count)));
        for count in counts {
            let sum = self.counts.entry(count.counter).or_default();
            *sum = (sum.0 + count.packets, sum.1 + count.bytes);
        }
        Ok(())
    }
}

/// Files of a spool with this extension, in order.
pub fn files(spool: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = spool
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

/// Reads one segment into `books`.
pub fn read_into(path: &Path, books: &mut Books) -> (SegmentHeader, SegmentEnd) {
    let reader = SegmentReader::open(File::open(path).unwrap()).unwrap();
    let header = reader.header().clone();
    let report = reader.read(books).unwrap();
    (header, report.end)
}

/// Reads all sealed segments of a spool, which must be whole.
pub fn read_sealed(spool: &Path) -> (Books, Vec<SegmentHeader>) {
    let mut books = Books::default();
    let mut headers = Vec::new();
    for path in files(spool, "seg") {
        let (header, end) = read_into(&path, &mut books);
        assert!(matches!(end, SegmentEnd::Sealed { .. }), "{}: {end:?}", path.display());
        headers.push(header);
    }
    (books, headers)
}

/// The number behind `word: ` in the totals.
pub fn total(stderr: &str, word: &str) -> u64 {
    let line = stderr.lines().find_map(|l| l.strip_prefix(&format!("{word}: ")));
    line.unwrap_or_else(|| panic!("no {word} in {stderr}")).parse().unwrap()
}

/// Whether each sealed segment says that its recorder was asked to stop, in the order of their
/// places.
pub fn spool_ends(spool: &Path) -> Vec<bool> {
    let mut ends: Vec<(u64, bool)> = files(spool, "seg")
        .iter()
        .map(|path| {
            let reader = SegmentReader::open(File::open(path).unwrap()).unwrap();
            let sequence = reader.header().sequence;
            (sequence, reader.read(&mut Books::default()).unwrap().close.stop_requested)
        })
        .collect();
    ends.sort_unstable();
    ends.into_iter().map(|(_, requested)| requested).collect()
}

/// A small file system of its own, writable for the recorder's user; unmounted with this value.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn mount(at: &Path, options: &str) -> Self {
        std::fs::create_dir(at).unwrap();
        let options = format!("uid=65534,gid=65534,mode=750,{options}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(at).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self(at.into())
    }

    /// Where it is.
    pub fn at(&self) -> &Path {
        &self.0
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(&self.0).output();
    }
}
