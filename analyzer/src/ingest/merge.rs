//! Reading sources side by side: the block with the earliest interval comes next, whichever source
//! it is in. So an answer that one source saw counts for the flows of another, and the order in
//! which sources were named does not matter.
//!
//! Segments of one run stand in one lane, one after the other, and so do captures that follow each
//! other: one meter goes on from one to the next.

use super::corridor::{Corridor, Passage};
use super::interval::{Held, Holding};
use super::metered::{Crew, Metered};
use super::order::{Captures, Found, Glance};
use super::run::{IngestError, Read, ReadOptions, Taker, name_of, open_capture};
use crate::files;
use imon_common::segment::{Direct, ReadError, SegmentHeader, SegmentReader};
use imon_common::time::UnixNanos;
use imon_common::work;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fs::File;
use std::io;

/// Sources that are open at a time: more than interfaces that anyone records. Further ones wait
/// until one is over, so that files that all overlap in time cost no more memory and descriptors
/// than this.
const MAX_LANES: usize = 64;

/// Place of a lane among those with a block of the same interval: runs by their identity, which
/// does not depend on what else is read; then captures, in the order of their beginnings.
type Rank = (bool, [u8; 16], usize);

/// Reads all of `found`, which stand in the order that [`super::in_order`] gives. Tells what became
/// of each source by its place, in the order in which they ended.
pub fn read_all<T: Taker>(
    found: &[Found],
    options: &ReadOptions,
    taker: &mut T,
) -> Vec<(usize, Result<Read, IngestError>)> {
    let crew = Crew::new(options.threads);
    let mut reading = Reading { found, options, crew, captures: Captures::default(), results: Vec::new() };
    let mut waiting = reading.lanes();
    let mut lanes: Vec<Option<Lane>> = Vec::new();
    let mut next: BinaryHeap<Reverse<(UnixNanos, Rank, usize)>> = BinaryHeap::new();
    while !taker.is_done() {
        // What begins before the next block is opened first. Captures that a lane goes on with are
        // gone by then.
        let head = next.peek().map(|Reverse((ts, ..))| *ts);
        let first = reading.next_to_open(&waiting);
        if let Some((start, is_run)) = first
            && head.is_none_or(|head| start.is_some_and(|start| start < head) && next.len() < MAX_LANES)
        {
            let lane = if is_run { waiting.pop_front() } else { reading.take_first().map(Lane::of_capture) };
            if let Some(mut lane) = lane
                && let Some(ts) = lane.next_time(&mut reading, taker)
            {
                next.push(Reverse((ts, lane.rank, lanes.len())));
                lanes.push(Some(lane));
            }
            continue;
        }
        let Some(Reverse((ts, rank, number))) = next.pop() else { break };
        work::step();
        let Some(place) = lanes.get_mut(number) else { break };
        let Some(lane) = place else { continue };
        lane.deliver(ts, &mut reading, taker);
        match lane.next_time(&mut reading, taker) {
            Some(ts) => next.push(Reverse((ts, rank, number))),
            None => *place = None,
        }
    }
    reading.results
}

/// What the lanes share.
struct Reading<'a> {
    found: &'a [Found],
    options: &'a ReadOptions,
    crew: Crew,
    /// Captures that no lane has taken, by their beginning; those whose beginning is unknown stand
    /// last.
    captures: Captures,
    results: Vec<(usize, Result<Read, IngestError>)>,
}

impl Reading<'_> {
    /// A lane for each run, by its beginning; captures are noted.
    fn lanes(&mut self) -> VecDeque<Lane> {
        let mut lanes: VecDeque<Lane> = VecDeque::new();
        let mut of_run: HashMap<[u8; 16], usize> = HashMap::new();
        for (source, found) in self.found.iter().enumerate() {
            match &found.glance {
                Glance::Segment(header) => {
                    let lane = *of_run.entry(header.run).or_insert(lanes.len());
                    if lane == lanes.len() {
                        lanes.push_back(Lane::new((false, header.run, 0)));
                    }
                    if let Some(lane) = lanes.get_mut(lane) {
                        lane.queue.push_back(source);
                    }
                }
                Glance::Capture(..) | Glance::Nothing => self.captures.add(source, found),
            }
        }
        lanes
    }

    /// When the next lane that is not open begins, and whether it is one of segments; nothing if
    /// all are open.
    fn next_to_open(&self, waiting: &VecDeque<Lane>) -> Option<(Option<UnixNanos>, bool)> {
        let start = |source: Option<&usize>| source.map(|source| self.found.get(*source).and_then(Found::start));
        let run = start(waiting.front().and_then(|lane| lane.queue.front()));
        let capture = start(self.captures.first().as_ref());
        match (run, capture) {
            (Some(run), Some(capture)) => {
                let run_first = capture.is_none_or(|capture| run.is_some_and(|run| run <= capture));
                Some(if run_first { (run, true) } else { (capture, false) })
            }
            (Some(run), None) => Some((run, true)),
            (None, Some(capture)) => Some((capture, false)),
            (None, None) => None,
        }
    }

    /// Takes the first capture that no lane has taken.
    fn take_first(&mut self) -> Option<usize> {
        let place = self.captures.first()?;
        self.take(place)
    }

    /// Takes the capture that goes on with what went through `corridor`, if there is one.
    fn take_following(&mut self, corridor: &Corridor) -> Option<usize> {
        let place = self.captures.following(corridor)?;
        self.take(place)
    }

    fn take(&mut self, place: usize) -> Option<usize> {
        self.captures.take(place, self.found.get(place)?);
        Some(place)
    }
}

/// Sources that are read one after the other.
struct Lane {
    rank: Rank,
    queue: VecDeque<usize>,
    /// What goes on from one capture to the next.
    corridor: Option<Corridor>,
    open: Option<(usize, Open)>,
    run: Option<[u8; 16]>,
}

/// The source of a lane that is open.
enum Open {
    /// With what is held back of an interval that was written in parts.
    Segment(Box<SegmentReader<File>>, Held),
    Capture(Box<Metered>),
}

impl Lane {
    fn new(rank: Rank) -> Self {
        Self { rank, queue: VecDeque::new(), corridor: None, open: None, run: None }
    }

    fn of_capture(source: usize) -> Self {
        Self { queue: VecDeque::from([source]), ..Self::new((true, [0; 16], source)) }
    }

    /// The interval of the lane's next block; `None` when all of its sources are read.
    fn next_time<T: Taker>(&mut self, reading: &mut Reading<'_>, taker: &mut T) -> Option<UnixNanos> {
        loop {
            if let Some((source, mut open)) = self.open.take() {
                match open.next_time() {
                    Ok(Some(ts)) => {
                        self.open = Some((source, open));
                        return Some(ts);
                    }
                    Ok(None) => self.close(source, open, reading, taker),
                    Err(error) => reading.results.push((source, Err(IngestError::Read(error)))),
                }
                continue;
            }
            if self.queue.is_empty()
                && let Some(corridor) = &self.corridor
            {
                self.queue.extend(reading.take_following(corridor));
            }
            let Some(source) = self.queue.pop_front() else {
                if let Some(run) = self.run.take() {
                    taker.end_run(&run);
                }
                return None;
            };
            match self.open(source, reading, taker) {
                Ok(open) => self.open = Some((source, open)),
                Err(error) => reading.results.push((source, Err(error))),
            }
        }
    }

    fn open<T: Taker>(&mut self, source: usize, reading: &Reading<'_>, taker: &mut T) -> Result<Open, IngestError> {
        let Some(found) = reading.found.get(source) else {
            return Err(IngestError::Read(io::ErrorKind::NotFound.into()));
        };
        let len_bytes = std::fs::metadata(&found.path).map_or(0, |about| about.len());
        taker.file(source, &found.path, len_bytes);
        if found.is_segment()? {
            let reader = SegmentReader::open(files::open(&found.path).map_err(IngestError::Read)?)?;
            self.begin(source, reader.header(), taker);
            return Ok(Open::Segment(Box::new(reader), Held::default()));
        }
        let reader = open_capture(&found.path, reading.options, false)?;
        let corridor = self.corridor.take().unwrap_or_else(|| Corridor::new(reading.options));
        let direct = |header: &SegmentHeader| Ok(Direct::new(header));
        let passage = Passage::begin(corridor, reader, (&name_of(&found.path), None), direct);
        let passage = passage.map_err(IngestError::Read)?;
        self.begin(source, passage.header(), taker);
        Ok(Open::Capture(Box::new(Metered::new(passage, &reading.crew, len_bytes))))
    }

    fn begin<T: Taker>(&mut self, source: usize, header: &SegmentHeader, taker: &mut T) {
        self.run = Some(header.run);
        taker.begin(source, header);
    }

    fn deliver<T: Taker>(&mut self, ts: UnixNanos, reading: &mut Reading<'_>, taker: &mut T) {
        let Some((source, open)) = &mut self.open else { return };
        taker.turn(*source, ts);
        if let Err(error) = open.deliver(taker) {
            reading.results.push((*source, Err(IngestError::Read(error))));
            self.open = None;
        }
    }

    fn close<T: Taker>(&mut self, source: usize, open: Open, reading: &mut Reading<'_>, taker: &mut T) {
        let result = match open {
            Open::Segment(reader, _) => {
                let header = reader.header().clone();
                Ok(Read::Segment(header, reader.into_report()))
            }
            Open::Capture(metered) => match metered.finish() {
                Ok((run, _, corridor)) => {
                    self.corridor = Some(corridor);
                    match run.stopped {
                        Some(error) if run.packets == 0 => Err(error.into()),
                        _ => Ok(Read::Capture(run)),
                    }
                }
                Err(error) => Err(IngestError::Read(error)),
            },
        };
        if let Ok(read) = &result {
            taker.end(source, read);
        }
        reading.results.push((source, result));
    }
}

impl Open {
    fn next_time(&mut self) -> io::Result<Option<UnixNanos>> {
        match self {
            Self::Segment(reader, _) => reader.next_time(),
            Self::Capture(metered) => metered.next_time(),
        }
    }

    fn deliver<T: Taker>(&mut self, taker: &mut T) -> io::Result<()> {
        match self {
            Self::Segment(reader, held) => {
                let ts = reader.next_time()?;
                let read = |read| match read {
                    Ok(()) => Ok(()),
                    Err(ReadError::Io(error)) => Err(error),
                    Err(ReadError::Observer(never)) => match never {},
                };
                if !reader.next_goes_on() {
                    return read(reader.deliver_next(taker));
                }
                // Up to the next interval: its other parts are handed on with this one.
                let mut outcome = Ok(());
                while outcome.is_ok() && reader.next_time()? == ts && ts.is_some() {
                    outcome = read(reader.deliver_next(&mut Holding { to: taker, held }));
                }
                held.give(taker);
                outcome
            }
            Self::Capture(metered) => {
                let Ok(()) = metered.blocks.give(taker);
                Ok(())
            }
        }
    }
}
