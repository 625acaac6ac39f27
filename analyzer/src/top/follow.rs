//! The segments of spools, as they are written: the open one as it grows, and the next when it
//! begins. Files are only read.

use super::live::Live;
use crate::files;
use crate::ingest::{find, is_segment_name};
use imon_common::segment::{SegmentHeader, SegmentReader};
use imon_common::time::UnixNanos;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// For how long one step reads before keys are looked at again.
const STEP: Duration = Duration::from_millis(200);

/// How often folders are looked through.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Segments that wait to be read. A spool of three months has some thousands, of which those of
/// today wait.
const MAX_WAITING: usize = 65_536;

/// A segment's UUID.
pub type SegmentId = [u8; 16];

/// A segment that waits.
#[derive(Debug)]
struct Waiting {
    header: SegmentHeader,
    path: PathBuf,
}

/// The segment of a recorder that is being read.
#[derive(Debug)]
struct Lane {
    source: usize,
    run: [u8; 16],
    reader: SegmentReader<File>,
    /// The next good block begins at this time.
    next: Option<UnixNanos>,
}

/// What a recorder has written.
#[derive(Debug, Default)]
struct Recorder {
    lane: Option<Lane>,
    /// In order.
    waiting: BTreeMap<(UnixNanos, u64, SegmentId), Waiting>,
}

/// Whether there is more to read right away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is.
    More,
    /// Everything that is there was read.
    UpToDate,
}

/// Reads what recorders write.
#[derive(Debug)]
pub struct Follower {
    spools: Vec<PathBuf>,
    /// Not read: segments that are booked, or end before anything of interest.
    booked: HashSet<SegmentId>,
    since: SystemTime,
    /// Paths that were looked at, and the segment that was there.
    paths: HashMap<PathBuf, Option<SegmentId>>,
    seen: HashSet<SegmentId>,
    recorders: BTreeMap<[u8; 16], Recorder>,
    looked: Option<Instant>,
    next_source: usize,
    /// Files that could not be read, with the reason: the latest.
    pub unreadable: Option<String>,
}

impl Follower {
    /// Follows what is written into `spools`. Files that were not written to since `since` are left
    /// out.
    pub fn new(spools: Vec<PathBuf>, since: SystemTime) -> Self {
        Self {
            spools,
            booked: HashSet::new(),
            since,
            paths: HashMap::new(),
            seen: HashSet::new(),
            recorders: BTreeMap::new(),
            looked: None,
            next_source: 0,
            unreadable: None,
        }
    }

    /// Leaves segments out that are booked. Gives those that are there and will be read.
    pub fn leave_out(&mut self, booked: HashSet<SegmentId>) -> Vec<SegmentId> {
        self.booked = booked;
        self.look()
    }

    /// Looks for segments now. Gives those that will be read and were not known.
    fn look(&mut self) -> Vec<SegmentId> {
        self.looked = Some(Instant::now());
        let mut found = Vec::new();
        let mut there = HashSet::new();
        for spool in self.spools.clone() {
            match find(&spool) {
                Ok(paths) => {
                    for path in paths.into_iter().filter(|path| is_segment_name(path)) {
                        if !self.paths.contains_key(&path) {
                            found.extend(self.meet(&path));
                        }
                        there.insert(path);
                    }
                }
                Err(error) => self.complain(&spool, &error),
            }
        }
        self.paths.retain(|path, _| there.contains(path));
        found
    }

    fn complain(&mut self, path: &Path, error: &dyn std::fmt::Display) {
        self.unreadable = Some(format!("cannot read {}: {error}", path.display()));
    }

    /// Looks at a file with a new name. One that is just being made is looked at again.
    fn meet(&mut self, path: &Path) -> Option<SegmentId> {
        let opened = files::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (about, mut file) = match opened {
            Ok((about, file)) if about.is_file() => (about, file),
            Ok(_) => return None,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.complain(path, &error);
                }
                return None;
            }
        };
        let header = SegmentHeader::read(&mut file).ok().map(|(header, _)| header)?;
        let id = header.segment;
        self.paths.insert(path.to_owned(), Some(id));
        let is_old = about.modified().is_ok_and(|modified| modified < self.since);
        if is_old || self.booked.contains(&id) || self.seen.len() >= MAX_WAITING || !self.seen.insert(id) {
            return None;
        }
        let waiting = &mut self.recorders.entry(header.recorder).or_default().waiting;
        waiting.insert((header.start, header.sequence, id), Waiting { header, path: path.to_owned() });
        Some(id)
    }

    /// Hands what is new to `live`, in the order of time over all recorders.
    ///
    /// # Errors
    /// None that a file can cause.
    pub fn step(&mut self, live: &mut Live) -> Step {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.look();
        }
        let began = Instant::now();
        loop {
            for recorder in self.recorders.values_mut() {
                if let Err(error) = recorder.ready(live, &mut self.next_source) {
                    self.unreadable = Some(error);
                }
            }
            let lanes = self.recorders.values_mut().filter_map(|recorder| recorder.lane.as_mut());
            let Some(lane) = lanes.filter(|lane| lane.next.is_some()).min_by_key(|lane| lane.next) else {
                return Step::UpToDate;
            };
            lane.deliver(live);
            if began.elapsed() >= STEP {
                return Step::More;
            }
        }
    }
}

impl Recorder {
    /// Finds the next block, in the segment that is read or in the one after it.
    fn ready(&mut self, live: &mut Live, next_source: &mut usize) -> Result<(), String> {
        loop {
            if let Some(lane) = &mut self.lane {
                if lane.next.is_none() {
                    lane.next = lane.reader.next_time().map_err(|e| e.to_string())?;
                }
                if lane.next.is_none() && !self.waiting.is_empty() {
                    // Nobody writes on where a later segment was begun.
                    lane.reader.stop_following();
                    lane.next = lane.reader.next_time().map_err(|e| e.to_string())?;
                }
                if lane.next.is_some() || !(lane.reader.is_over()) {
                    return Ok(());
                }
            }
            let Some((_, Waiting { header, path })) = self.waiting.pop_first() else {
                // It is sealed, and the next one is not there yet.
                return Ok(());
            };
            if let Some(lane) = self.lane.take() {
                live.end(lane.source);
                if lane.run != header.run {
                    live.end_run(&lane.run);
                }
            }
            self.lane = Some(Lane::open(&header, &path, *next_source, live)?);
            *next_source = next_source.saturating_add(1);
        }
    }
}

impl Lane {
    fn open(header: &SegmentHeader, path: &Path, source: usize, live: &mut Live) -> Result<Self, String> {
        let said = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
        // It may have got its final name since.
        let sealed = path.with_extension("seg");
        let file = files::open(path).or_else(|_| files::open(&sealed)).map_err(|e| said(&e))?;
        let mut reader = SegmentReader::open(file).map_err(|e| said(&e))?;
        if reader.header().segment != header.segment {
            return Err(said(&"another segment has its name"));
        }
        reader.follow();
        live.begin(source, header);
        Ok(Self { source, run: header.run, reader, next: None })
    }

    fn deliver(&mut self, live: &mut Live) {
        if let Some(ts) = self.next.take() {
            live.turn_to(self.source, ts);
            // The observer never fails; what the file does is found by the next look.
            _ = self.reader.deliver_next(live);
        }
    }
}
