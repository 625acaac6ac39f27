//! The segments of spools, as they are written: the open one as it grows, and the next when it
//! begins. Files are only read.

use super::live::Live;
use crate::files;
use crate::ingest::{find, is_segment_name};
use imon_common::segment::{SegmentHeader, SegmentReader};
use imon_common::time::UnixNanos;
use std::collections::{BTreeMap, HashSet};
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

/// What the segments of a recorder are ordered by: start, sequence and UUID.
type Order = (UnixNanos, u64, SegmentId);

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
    /// Its place among those that wait.
    order: Order,
    path: PathBuf,
    reader: SegmentReader<File>,
    /// How much damage was told: places, and where the last one ends.
    damaged: (usize, u64),
    /// The next good block begins at this time.
    next: Option<UnixNanos>,
}

/// What a recorder has written.
#[derive(Debug, Default)]
struct Recorder {
    lane: Option<Lane>,
    waiting: BTreeMap<Order, Waiting>,
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
    /// Paths whose segment is known.
    paths: HashSet<PathBuf>,
    seen: HashSet<SegmentId>,
    recorders: BTreeMap<RecorderId, Recorder>,
    looked: Option<Instant>,
    next_source: usize,
    /// A folder that cannot be read at present.
    away: Option<String>,
    /// A file, or a part of one, that could not be read, with the reason: the latest.
    lost: Option<String>,
}

/// A recorder in its folder: a copy of a machine has the same recorder in another one.
type RecorderId = (PathBuf, [u8; 16]);

impl Follower {
    /// Follows what is written into `spools`. Files that were not written to since `since` are left
    /// out.
    pub fn new(spools: Vec<PathBuf>, since: SystemTime) -> Self {
        Self {
            spools,
            booked: HashSet::new(),
            since,
            paths: HashSet::new(),
            seen: HashSet::new(),
            recorders: BTreeMap::new(),
            looked: None,
            next_source: 0,
            away: None,
            lost: None,
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
        self.away = None;
        for spool in self.spools.clone() {
            match find(&spool) {
                Ok(paths) => {
                    for path in paths.into_iter().filter(|path| is_segment_name(path)) {
                        if !self.paths.contains(&path) {
                            found.extend(self.meet(&path));
                        }
                        there.insert(path);
                    }
                }
                Err(error) => self.away = Some(cannot_read(&spool, &error)),
            }
        }
        self.paths.retain(|path| there.contains(path));
        found
    }

    /// A folder that cannot be read at present, with the reason.
    pub fn away(&self) -> Option<&str> {
        self.away.as_deref()
    }

    /// A file, or a part of one, whose bytes are missing in the sums, with the reason: the latest.
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// Looks at a file with a new name. One that is just being made is looked at again.
    fn meet(&mut self, path: &Path) -> Option<SegmentId> {
        let opened = files::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (about, mut file) = match opened {
            Ok((about, file)) if about.is_file() => (about, file),
            Ok(_) => return None,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.lost = Some(cannot_read(path, &error));
                }
                return None;
            }
        };
        let header = SegmentHeader::read(&mut file).ok().map(|(header, _)| header)?;
        let id = header.segment;
        self.paths.insert(path.to_owned());
        let is_old = about.modified().is_ok_and(|modified| modified < self.since);
        if is_old || self.booked.contains(&id) {
            return None;
        }
        let recorder = (path.parent().map(Path::to_owned).unwrap_or_default(), header.recorder);
        let waiting = &mut self.recorders.entry(recorder).or_default().waiting;
        if waiting.len() >= MAX_WAITING || !self.seen.insert(id) {
            return None;
        }
        waiting.insert(order(&header), Waiting { header, path: path.to_owned() });
        Some(id)
    }

    /// Hands what is new to `live`, in the order of time over all recorders. What cannot be read is
    /// [`Self::away`] and [`Self::lost`].
    pub fn step(&mut self, live: &mut Live) -> Step {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.look();
        }
        let began = Instant::now();
        loop {
            for recorder in self.recorders.values_mut() {
                match recorder.ready(live, &mut self.next_source) {
                    Ok(None) => {}
                    Ok(Some(lost)) | Err(lost) => self.lost = Some(lost),
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

fn order(header: &SegmentHeader) -> Order {
    (header.start, header.sequence, header.segment)
}

fn cannot_read(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("cannot read {}: {error}", path.display())
}

impl Recorder {
    /// Finds the next block, in the segment that is read or in the one after it. Tells of damage
    /// that was found.
    ///
    /// # Errors
    /// A segment that cannot be read: what comes of it is missing, and the next one is tried next.
    fn ready(&mut self, live: &mut Live, next_source: &mut usize) -> Result<Option<String>, String> {
        let mut damage = None;
        loop {
            if let Some(lane) = &mut self.lane {
                // Nobody writes on where a later segment was begun. An earlier one that somebody
                // puts into the folder now waits until this one is over.
                let is_last = self.waiting.last_key_value().is_none_or(|(order, _)| *order < lane.order);
                if let Err(error) = lane.find_next(if is_last { Goes::On } else { Goes::NoFurther }) {
                    let error = cannot_read(&lane.path, &error);
                    self.leave(live);
                    return Err(error);
                }
                damage = lane.new_damage().or(damage);
                if lane.next.is_some() || !lane.reader.is_over() {
                    return Ok(damage);
                }
            }
            let Some((_, Waiting { header, path })) = self.waiting.pop_first() else {
                // It is sealed, and the next one is not there yet.
                return Ok(damage);
            };
            let run = self.leave(live);
            if let Some(run) = run.filter(|run| *run != header.run) {
                live.end_run(&run);
            }
            self.lane = Some(Lane::open(&header, path, *next_source, live)?);
            *next_source = next_source.saturating_add(1);
        }
    }

    /// Leaves the segment that is read. Gives its run.
    fn leave(&mut self, live: &mut Live) -> Option<[u8; 16]> {
        let lane = self.lane.take()?;
        live.end(lane.source);
        Some(lane.run)
    }
}

/// Whether a segment may still grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// It may.
    On,
    /// It does not.
    NoFurther,
}

impl Lane {
    fn open(header: &SegmentHeader, path: PathBuf, source: usize, live: &mut Live) -> Result<Self, String> {
        let said = |error: &dyn std::fmt::Display| cannot_read(&path, error);
        // It may have got its final name since.
        let sealed = path.with_extension("seg");
        let file = files::open(&path).or_else(|_| files::open(&sealed)).map_err(|e| said(&e))?;
        let mut reader = SegmentReader::open(file).map_err(|e| said(&e))?;
        if reader.header().segment != header.segment {
            return Err(said(&"another segment has its name"));
        }
        reader.follow();
        live.begin(source, header);
        let order = order(header);
        Ok(Self { source, run: header.run, order, path, reader, damaged: (0, 0), next: None })
    }

    /// Looks for the next block, if none was found yet.
    fn find_next(&mut self, goes: Goes) -> io::Result<()> {
        if self.next.is_none() {
            self.next = self.reader.next_time()?;
        }
        if self.next.is_none() && goes == Goes::NoFurther {
            self.reader.stop_following();
            self.next = self.reader.next_time()?;
        }
        Ok(())
    }

    /// Says what is missing, where more is damaged than was said before.
    fn new_damage(&mut self) -> Option<String> {
        let damage = self.reader.damage();
        let last = damage.last()?;
        let found = (damage.len(), last.to);
        if std::mem::replace(&mut self.damaged, found) == found {
            return None;
        }
        let path = self.path.display();
        Some(format!(
            "{path} is damaged at byte {}: what was there is missing; `imon-analyze check` lists it",
            last.from
        ))
    }

    fn deliver(&mut self, live: &mut Live) {
        if let Some(ts) = self.next.take() {
            live.turn_to(self.source, ts);
            // The observer never fails; what the file does is found by the next look.
            _ = self.reader.deliver_next(live);
        }
    }
}

#[cfg(test)]
mod tests;
