//! What sources are, and in which order they are read: by time, whatever order they were named in,
//! so that what an earlier one teaches is known when a later one is read.

use super::corridor::Corridor;
use crate::exported;
use crate::files;
use crate::input::{self, Kind, Watch};
use crate::store::Place;
use imon_common::capture_file::CaptureReader;
use imon_common::packet::LinkType;
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use imon_common::work;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What a look at the beginning of a source tells.
#[derive(Debug)]
pub enum Glance {
    /// A segment.
    Segment(Box<SegmentHeader>),
    /// A capture file: time and link type of its first packet.
    Capture(UnixNanos, LinkType),
    /// Nothing: a pipe, which cannot be looked into without taking from it, or a file that reading
    /// will complain about.
    Nothing,
}

/// A source that was looked at.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub glance: Glance,
}

impl Found {
    /// The header, if it is a segment.
    pub fn header(&self) -> Option<&SegmentHeader> {
        match &self.glance {
            Glance::Segment(header) => Some(header),
            _ => None,
        }
    }

    /// When it begins, as far as that is known.
    pub fn start(&self) -> Option<UnixNanos> {
        match &self.glance {
            Glance::Segment(header) => Some(header.start),
            Glance::Capture(start, _) => Some(*start),
            _ => None,
        }
    }
}

/// Captures that wait to be read, by their place among sources in the order of [`in_order`]. Which
/// one goes on with another is found without looking at all: of thousands of captures each may be
/// asked for its follower.
#[derive(Debug, Default)]
pub(super) struct Captures {
    places: BTreeSet<usize>,
    by_start: BTreeSet<(LinkType, UnixNanos, usize)>,
}

impl Captures {
    /// Adds the source at `place`; one that begins at no known time follows none.
    pub(super) fn add(&mut self, place: usize, found: &Found) {
        self.places.insert(place);
        if let Glance::Capture(start, link_type) = found.glance {
            self.by_start.insert((link_type, start, place));
        }
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<usize> {
        self.places.first().copied()
    }

    /// Takes out the source at `place`.
    pub(super) fn take(&mut self, place: usize, found: &Found) {
        self.places.remove(&place);
        if let Glance::Capture(start, link_type) = found.glance {
            self.by_start.remove(&(link_type, start, place));
        }
    }

    /// The first one that goes on with what went through `corridor`.
    pub(super) fn following(&self, corridor: &Corridor) -> Option<usize> {
        work::step();
        let (link_type, times) = corridor.follower()?;
        let range = (link_type, *times.start(), 0)..=(link_type, *times.end(), usize::MAX);
        self.by_start.range(range).next().map(|(_, _, place)| *place)
    }
}

/// The sources by the start of their run, segments of one run together and in their order. A
/// segment that is there twice, as a copy, is kept once: the longer file. What cannot be looked
/// into (pipes, damaged files) comes last.
pub fn in_order(paths: Vec<PathBuf>) -> Vec<Found> {
    sorted(paths.into_iter().map(|path| Found { glance: glance(&path), path }).collect())
}

/// Sources that were looked at, in the order of [`in_order`].
pub(super) fn sorted(mut sources: Vec<Found>) -> Vec<Found> {
    let mut run_starts: HashMap<[u8; 16], UnixNanos> = HashMap::new();
    for header in sources.iter().filter_map(Found::header) {
        let first = run_starts.entry(header.run).or_insert(header.start);
        *first = (*first).min(header.start);
    }
    let len_of = |f: &Path| std::fs::metadata(f).map_or(0, |m| m.len());
    sources.sort_by_cached_key(|found| match found.header() {
        Some(header) => {
            let start = run_starts.get(&header.run).copied().unwrap_or(header.start);
            // Of copies the longest comes first.
            let id = (header.run, header.sequence, header.segment, u64::MAX - len_of(&found.path));
            (false, start, Some(id), PathBuf::new())
        }
        None => match found.start() {
            Some(start) => {
                (false, start, None, std::path::absolute(&found.path).unwrap_or_else(|_| found.path.clone()))
            }
            None => (true, UnixNanos(0), None, PathBuf::new()),
        },
    });
    let mut seen = HashSet::new();
    sources.retain(|found| found.header().is_none_or(|header| seen.insert(header.segment)));
    sources
}

/// Paths of two segments that have the same place among those of their recorder: two recorders call
/// themselves by one identity. `None` if there are no such.
pub fn twins(sources: &[Found]) -> Option<(PathBuf, PathBuf)> {
    let mut places: HashMap<([u8; 16], u64), &Found> = HashMap::new();
    sources.iter().find_map(|found| {
        let Place { recorder, sequence, .. } = found.header().and_then(Place::of)?;
        let other = places.insert((recorder, sequence), found)?;
        Some((other.path.clone(), found.path.clone()))
    })
}

/// Looks at a capture that was read before; nothing if it is none now.
pub(super) fn look_again(path: PathBuf) -> Option<Found> {
    let glance = glance(&path);
    matches!(glance, Glance::Capture(..)).then_some(Found { path, glance })
}

/// Looks at the beginning of a source.
fn glance(path: &Path) -> Glance {
    match input::classify(path) {
        // Looking into a pipe would take from it.
        Ok(Kind::Capture) if !std::fs::metadata(path).is_ok_and(|m| m.is_file()) => Glance::Nothing,
        Ok(Kind::Segment) => match files::open(path).ok().and_then(|mut file| SegmentHeader::read(&mut file).ok()) {
            Some((header, _)) => Glance::Segment(Box::new(header)),
            None => Glance::Nothing,
        },
        Ok(Kind::Capture) => first_packet(path).map_or(Glance::Nothing, |(ts, link)| Glance::Capture(ts, link)),
        Ok(Kind::Folder | Kind::Other(_)) | Err(_) => Glance::Nothing,
    }
}

fn first_packet(path: &Path) -> Option<(UnixNanos, LinkType)> {
    let mut reader = CaptureReader::new(input::open(path, Watch::default()).ok()?).ok()?;
    let (ts, link_type) = reader.next_packet().ok()?.map(|packet| (packet.ts, packet.link_type))?;
    Some((ts, exported::link_type(link_type, reader.interfaces())))
}

#[cfg(test)]
mod tests {
    use super::*;

    use imon_common::segment::SegmentWriter;

    fn segment(folder: &Path, name: &str, run: u8, sequence: u64, start_s: i64) -> PathBuf {
        let header = SegmentHeader {
            segment: [run * 16 + sequence as u8; 16],
            recorder: [run; 16],
            run: [run; 16],
            sequence,
            start: UnixNanos(start_s * 1_000_000_000),
            interface: "eth0".into(),
            ..SegmentHeader::default()
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
            let names: Vec<&str> = order.iter().map(|f| f.path.file_name().unwrap().to_str().unwrap()).collect();
            assert_eq!(names, ["c", "b", "a", "e"], "turn {turn}");
        }
    }
}
