//! In which order sources are read: by time, whatever order they were named in, so that what an earlier one teaches is
//! known when a later one is read.

use crate::input::{self, Kind, Watch};
use imon_common::capture_file::CaptureReader;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// What a look at a source tells.
#[derive(Debug, Clone, Copy)]
struct Glance {
    start: UnixNanos,
    /// Run of the recorder, number in it, and the segment itself.
    segment: Option<([u8; 16], u64, [u8; 16])>,
}

/// The sources by the start of their run, segments of one run together and in their order. A segment that is there twice,
/// as a copy, is kept once: the longer file. What cannot be looked into (pipes, damaged files) comes last.
pub fn in_order(found: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut sources: Vec<(Option<Glance>, PathBuf)> = found.into_iter().map(|f| (glance(&f), f)).collect();
    let mut run_starts: HashMap<[u8; 16], UnixNanos> = HashMap::new();
    for Glance { start, segment } in sources.iter().filter_map(|(glance, _)| *glance) {
        if let Some((run, ..)) = segment {
            let first = run_starts.entry(run).or_insert(start);
            *first = (*first).min(start);
        }
    }
    let len_of = |f: &PathBuf| std::fs::metadata(f).map_or(0, |m| m.len());
    sources.sort_by_key(|(glance, found)| {
        let Some(Glance { start, segment }) = *glance else { return (true, UnixNanos(0), None, 0) };
        let start = segment.and_then(|(run, ..)| run_starts.get(&run).copied()).unwrap_or(start);
        // Of copies the longest comes first.
        let length = if segment.is_some() { u64::MAX - len_of(found) } else { 0 };
        (false, start, segment, length)
    });
    let mut seen = HashSet::new();
    sources.retain(|(glance, _)| match glance.and_then(|g| g.segment) {
        Some((.., id)) => seen.insert(id),
        None => true,
    });
    sources.into_iter().map(|(_, found)| found).collect()
}

/// Looks at the beginning of a source. Errors are told when it is read.
fn glance(path: &Path) -> Option<Glance> {
    // Looking into a pipe would take from it.
    if !std::fs::metadata(path).is_ok_and(|m| m.is_file()) {
        return None;
    }
    match input::classify(path).ok()? {
        Kind::Segment => {
            let (header, _) = SegmentHeader::read(&mut File::open(path).ok()?).ok()?;
            let segment = Some((header.recorder, header.sequence, header.segment));
            Some(Glance { start: header.start, segment })
        }
        Kind::Capture => {
            let mut reader = CaptureReader::new(input::open(path, Watch::default()).ok()?).ok()?;
            let start = reader.next_packet().ok()??.ts;
            Some(Glance { start, segment: None })
        }
        Kind::Folder | Kind::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use imon_common::local::LocalNets;
    use imon_common::packet::LinkType;
    use imon_common::segment::SegmentWriter;

    fn segment(folder: &Path, name: &str, run: u8, sequence: u64, start_s: i64) -> PathBuf {
        let header = SegmentHeader {
            segment: [run * 16 + sequence as u8; 16],
            recorder: [run; 16],
            sequence,
            start: UnixNanos(start_s * 1_000_000_000),
            monotonic_start_ns: 0,
            interval_ns: 1_000_000_000,
            link_type: LinkType(1),
            interface: "eth0".into(),
            local: LocalNets::default(),
        };
        let bytes = SegmentWriter::create(Vec::new(), &header).unwrap().finish().unwrap().0;
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn sources_come_by_time_with_runs_together_and_copies_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        let (late, early) = (segment(folder, "a", 2, 0, 50), segment(folder, "b", 1, 1, 100));
        let first = segment(folder, "c", 1, 0, 10);
        let cut = folder.join("d");
        let bytes = std::fs::read(&first).unwrap();
        std::fs::write(&cut, &bytes[..bytes.len() - 3]).unwrap();
        let text = folder.join("e");
        std::fs::write(&text, "no source").unwrap();
        let named = [text, cut, late, early, first];
        for turn in 0..named.len() {
            let mut turned = named.to_vec();
            turned.rotate_left(turn);
            let order = in_order(turned);
            let names: Vec<&str> = order.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
            assert_eq!(names, ["c", "b", "a", "e"], "turn {turn}");
        }
    }
}
