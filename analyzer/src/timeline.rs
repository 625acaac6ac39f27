//! When was recorded, and when not: what follows from segments of one recorder that stand in a row.
//! Facts come from the segments (docs/SEGMENT-FORMAT.md, "From one segment to the next"); what is
//! made of them here is an opinion, the same whatever order they were read in. No clock, no file,
//! no SQL.

mod condensed;

pub use condensed::{are_apart, condensed};

use crate::books::Gap;
use crate::range::Range;
use imon_common::observe::{Count, Counter, GapReason, RunBefore};
use imon_common::segment::{SegmentEnd, SegmentHeader, SegmentReport};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::{BTreeMap, HashMap};

/// A difference of two clocks over a pause that is a step: half a second, as in the recorder (RFC
/// 5905 steps from 128 ms on), and what a clock that nobody corrects may drift (500 ppm).
const STEP_NS: i64 = NANOS_PER_SECOND / 2;
const DRIFT_PARTS: i64 = 2_000;

/// Why nothing was recorded between two segments, beside the reasons that segments state themselves
/// ([`GapReason`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pause {
    /// The recorder was asked to stop.
    NotRecording,
    /// It ended without being asked: killed, or crashed.
    Interrupted,
    /// An error ended it, which it said.
    Failed,
    /// It ended without being asked, and the machine was started since.
    Reboot,
    /// Segments are gone that the recorder removed to keep to its budget.
    Removed,
    /// Segments are gone that `imon-analyze prune` took out of the books.
    Pruned,
    /// Segments are gone, and nobody said why.
    Missing,
}

impl Pause {
    /// The word for it in reports and JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotRecording => "not-recording",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Reboot => "reboot",
            Self::Removed => "removed",
            Self::Pruned => "pruned",
            Self::Missing => "missing",
        }
    }
}

/// How a segment ended, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With its end block.
    Sealed,
    /// Without one.
    Open,
    /// Inside a block.
    Torn,
    /// Something in it is damaged.
    Damaged,
}

impl Ended {
    /// The word that the store has for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sealed => "sealed",
            Self::Open => "open",
            Self::Torn => "torn",
            Self::Damaged => "damaged",
        }
    }

    /// What a word stands for; anything else is open.
    pub fn of_word(word: &str) -> Self {
        [Self::Sealed, Self::Torn, Self::Damaged].into_iter().find(|e| e.word() == word).unwrap_or(Self::Open)
    }
}

impl From<&SegmentEnd> for Ended {
    fn from(end: &SegmentEnd) -> Self {
        match end {
            SegmentEnd::Sealed { .. } => Self::Sealed,
            SegmentEnd::Open { .. } => Self::Open,
            SegmentEnd::Torn { .. } => Self::Torn,
            SegmentEnd::Damaged { .. } => Self::Damaged,
        }
    }
}

/// What a segment that was recorded live says of the time it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its recorder, over all its runs.
    pub recorder: [u8; 16],
    /// Its run.
    pub run: [u8; 16],
    /// Its place among all segments of the recorder.
    pub sequence: u64,
    /// Itself.
    pub segment: [u8; 16],
    /// The segment before it.
    pub before: [u8; 16],
    /// Its recorder had sealed that.
    pub before_sealed: bool,
    /// The time for which the machine had been running.
    pub boot: [u8; 16],
    /// What was recorded.
    pub interface: String,
    /// When it begins.
    pub start: UnixNanos,
    /// Until when everything was recorded that was seen.
    pub to: UnixNanos,
    /// How it ended.
    pub ended: Ended,
    /// Its recorder was asked to stop.
    pub stop_requested: bool,
    /// What it says of the run before.
    pub run_before: Option<RunBefore>,
    /// How many more it stands for, without a gap between them: name and end are those of the last.
    pub followed_by: u64,
}

impl Recorded {
    /// What a segment says; `None` where it was not recorded live, or is of a format that does not
    /// tell.
    pub fn of(header: &SegmentHeader, report: &SegmentReport, run_before: Option<RunBefore>) -> Option<Self> {
        header.is_live().then(|| Self {
            recorder: header.recorder,
            run: header.run,
            sequence: header.sequence,
            segment: header.segment,
            before: header.before,
            before_sealed: header.before_hash != [0; 32],
            boot: header.boot,
            interface: header.interface.clone(),
            start: header.start,
            to: report.recorded_to.unwrap_or(header.start),
            ended: Ended::from(&report.end),
            stop_requested: report.close.stop_requested,
            run_before,
            followed_by: 0,
        })
    }
}

/// Segments that are gone, as far as somebody said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gone {
    /// Their recorder.
    pub recorder: [u8; 16],
    /// Sequence of the first; of those that a recorder says its low 32 bits only.
    pub first: u64,
    /// How many, in a row.
    pub segments: u64,
    /// Why.
    pub why: Why,
}

/// Why segments are gone. The numbers are stored in SQLite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Why {
    /// The recorder removed them to keep to its budget.
    Removed = 1,
    /// They were begun and never got a byte.
    NeverWritten = 2,
    /// `imon-analyze prune` took them out of the books.
    Pruned = 3,
}

impl Why {
    /// The reason with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Removed, Self::NeverWritten, Self::Pruned].into_iter().find(|why| *why as u8 == number)
    }
}

/// What segments say in their counts of their recorder's past, gathered while they are read.
#[derive(Debug, Default)]
pub struct Said {
    /// Of the run before.
    pub run_before: Option<RunBefore>,
    gone: Vec<(u32, u64, Why)>,
}

impl Said {
    /// Whether a count says anything of that.
    pub fn is_of(count: &Count) -> bool {
        matches!(count.counter, Counter::RunBefore(_) | Counter::Removed(_) | Counter::NeverWritten(_))
    }

    /// Takes in counts.
    pub fn counts(&mut self, ts: UnixNanos, counts: &[Count]) {
        for count in counts {
            match count.counter {
                Counter::RunBefore(_) => self.run_before = RunBefore::of_count(ts, count),
                Counter::Removed(first) => self.gone.push((first, count.packets, Why::Removed)),
                Counter::NeverWritten(first) => self.gone.push((first, 1, Why::NeverWritten)),
                _ => {}
            }
        }
    }

    /// The segments that are gone, of this recorder.
    pub fn gone(&self, recorder: [u8; 16]) -> Vec<Gone> {
        let of = |(first, segments, why): &(u32, u64, Why)| Gone {
            recorder,
            first: u64::from(*first),
            segments: *segments,
            why: *why,
        };
        self.gone.iter().map(of).collect()
    }
}

/// A time in which a recorder recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it recorded.
    pub interface: String,
    /// The recorder.
    pub recorder: [u8; 16],
    /// First instant.
    pub from: UnixNanos,
    /// First instant after it.
    pub to: UnixNanos,
}

/// A segment that ends inside a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub segment: [u8; 16],
    /// What it recorded.
    pub interface: String,
    /// Until when its records go.
    pub to: UnixNanos,
}

/// When was recorded, and when not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timeline {
    /// Times between segments in which nothing was recorded, by their beginning.
    pub gaps: Vec<Gap>,
    /// Times in which something was recorded, by recorder and beginning.
    pub recorded: Vec<Span>,
    /// Segments that are torn, by their end.
    pub torn: Vec<Torn>,
    /// The gap right before a segment, by the segment.
    pub before: HashMap<[u8; 16], Gap>,
}

impl Timeline {
    /// What follows from these segments and from what is said of others that are gone.
    pub fn of(segments: &[Recorded], gone: &[Gone]) -> Self {
        let mut recorders: BTreeMap<[u8; 16], Vec<&Recorded>> = BTreeMap::new();
        for segment in segments {
            recorders.entry(segment.recorder).or_default().push(segment);
        }
        let mut timeline = Self::default();
        for (recorder, mut row) in recorders {
            row.sort_by_key(|s| (s.sequence, s.start, s.segment));
            let of_it = gone.iter().filter(|gone| gone.recorder == recorder).copied().collect();
            timeline.add(&row, &Absent::new(of_it));
        }
        timeline.gaps.sort_by(|a, b| (a.from, a.to, &a.reason).cmp(&(b.from, b.to, &b.reason)));
        timeline.torn.sort_by_key(|torn| (torn.to, torn.segment));
        timeline
    }

    /// What of it lies in a range; of what reaches beyond the part inside.
    pub fn within(mut self, range: &Range) -> Self {
        let inside = |from: UnixNanos, to: UnixNanos| range.overlaps(from, to).then(|| range.clip(from, to));
        self.gaps
            .retain_mut(|gap| inside(gap.from, gap.to).map(|(from, to)| (gap.from, gap.to) = (from, to)).is_some());
        self.recorded.retain_mut(|s| inside(s.from, s.to).map(|(from, to)| (s.from, s.to) = (from, to)).is_some());
        self.torn.retain(|torn| range.contains(torn.to));
        self
    }

    /// Adds a recorder's segments, by their sequence.
    fn add(&mut self, row: &[&Recorded], absent: &Absent) {
        let places: HashMap<[u8; 16], usize> = row.iter().enumerate().map(|(at, s)| (s.segment, at)).collect();
        let mut spans: Vec<Span> = Vec::new();
        for (at, segment) in row.iter().enumerate() {
            if segment.ended == Ended::Torn {
                let Recorded { segment, interface, to, .. } = *segment;
                self.torn.push(Torn { segment: *segment, interface: interface.clone(), to: *to });
            }
            // By name where that is known: of a copied machine two have one place.
            let named = places.get(&segment.before).filter(|place| **place != at).and_then(|place| row.get(*place));
            let behind = at.checked_sub(1).and_then(|before| row.get(before));
            let pauses = match (named, behind) {
                (Some(before), _) => between(Some(before), None, segment),
                (None, Some(before)) => between(Some(before), absent.between(before, segment), segment),
                (None, None) => between(None, None, segment),
            };
            // From one segment of a run to the next it goes on, though nothing may have come in the
            // end.
            let mut from = segment.start;
            if let Some(before) = named.or(behind)
                && pauses.is_empty()
                && before.run == segment.run
            {
                from = from.min(before.to);
            }
            let gaps = pauses.into_iter().map(|(from, to, reason)| Gap {
                from,
                to,
                reason: reason.to_owned(),
                interface: Some(segment.interface.clone()),
            });
            let gaps: Vec<Gap> = gaps.collect();
            if let Some(last) = gaps.last() {
                self.before.insert(segment.segment, last.clone());
            }
            self.gaps.extend(gaps);
            let (interface, recorder) = (segment.interface.clone(), segment.recorder);
            spans.push(Span { interface, recorder, from, to: segment.to.max(segment.start) });
        }
        self.recorded.extend(joined(spans));
    }
}

/// Spans of one recorder, those that touch made one.
fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.from, span.to));
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.from <= last.to && span.interface == last.interface => last.to = last.to.max(span.to),
            _ => joined.push(span),
        }
    }
    joined
}

/// What is said of a recorder's segments that are gone.
struct Absent(Vec<Gone>);

impl Absent {
    fn new(mut gone: Vec<Gone>) -> Self {
        gone.sort_unstable();
        Self(gone)
    }

    /// Why the segments between two are not there; `None` if none is missing, or all that are were
    /// never written.
    fn between(&self, before: &Recorded, after: &Recorded) -> Option<Pause> {
        let first = before.last_sequence().checked_add(1)?;
        let missing = after.sequence.checked_sub(first).filter(|missing| *missing > 0)?;
        let explained = |why: Why| -> u64 {
            let of_it = self.0.iter().filter(|gone| gone.why == why);
            let overlap = |gone: &Gone| {
                // A recorder says the low 32 bits: of two numbers so far apart one is not in this
                // row any more.
                let begin = if why == Why::Pruned { gone.first } else { (first & !0xffff_ffff) | gone.first };
                let end = begin.saturating_add(gone.segments).min(after.sequence);
                end.saturating_sub(begin.max(first))
            };
            of_it.map(overlap).fold(0, u64::saturating_add)
        };
        let (removed, empty, pruned) = (explained(Why::Removed), explained(Why::NeverWritten), explained(Why::Pruned));
        match missing.saturating_sub(empty) {
            0 => None,
            rest if pruned >= rest => Some(Pause::Pruned),
            rest if pruned.saturating_add(removed) >= rest => Some(Pause::Removed),
            _ => Some(Pause::Missing),
        }
    }
}

/// Times between `before` and `after` in which nothing was recorded. `missing`: segments between
/// them are gone.
fn between(
    before: Option<&&Recorded>,
    missing: Option<Pause>,
    after: &Recorded,
) -> Vec<(UnixNanos, UnixNanos, &'static str)> {
    if let Some(before) = before.filter(|before| before.run == after.run) {
        let reason = match missing {
            Some(missing) => missing.word(),
            // It was whole when the next one was begun.
            None if before.ended != Ended::Sealed && after.before_sealed => GapReason::Damaged.word(),
            None => return Vec::new(),
        };
        return hole(before.to, after.start, reason).into_iter().collect();
    }
    let Some(run_before) = after.run_before.or(before.map(|before| seen(before, after))) else { return Vec::new() };
    let mut holes = Vec::new();
    let mut end = run_before.to;
    match (before, missing) {
        (Some(before), Some(missing)) if after.run_before.is_some() => {
            holes.extend(hole(before.to, end, missing.word()));
        }
        (Some(before), Some(missing)) => return hole(before.to, after.start, missing.word()).into_iter().collect(),
        (Some(before), None) => end = end.max(before.to),
        (None, _) => {}
    }
    let requested = run_before.requested || before.is_some_and(|b| missing.is_none() && b.stop_requested);
    let rebooted = run_before.rebooted || before.is_some_and(|b| is_other_boot(b, after));
    let reason = match (requested, run_before.failed, rebooted) {
        (true, ..) => Pause::NotRecording,
        (_, true, _) => Pause::Failed,
        (.., true) => Pause::Reboot,
        _ => Pause::Interrupted,
    };
    let by_wall = after.start.since(end);
    match run_before.elapsed_ns.filter(|elapsed| end == run_before.to && is_step(by_wall, *elapsed)) {
        Some(elapsed) => {
            // The clock was stepped in between: forward that is a hole of its own, backward only an
            // event.
            let from = UnixNanos(after.start.0.saturating_sub(elapsed));
            holes.push((end, from.max(end), GapReason::ClockStep.word()));
            holes.push((from, after.start, reason.word()));
        }
        None if end == after.start => {}
        // Of unknown length, if the clock was set back and nothing else tells.
        None => holes.push((end.min(after.start), after.start, reason.word())),
    }
    holes
}

/// What two segments show of the run that the first one was the last of.
fn seen(before: &Recorded, after: &Recorded) -> RunBefore {
    RunBefore {
        to: before.to,
        requested: before.stop_requested,
        sealed: before.ended == Ended::Sealed,
        rebooted: is_other_boot(before, after),
        failed: false,
        elapsed_ns: None,
    }
}

fn is_other_boot(before: &Recorded, after: &Recorded) -> bool {
    before.boot != after.boot && before.boot != [0; 16] && after.boot != [0; 16]
}

fn is_step(by_wall_ns: i64, elapsed_ns: i64) -> bool {
    by_wall_ns.saturating_sub(elapsed_ns).saturating_abs() > STEP_NS.max(elapsed_ns / DRIFT_PARTS)
}

fn hole(from: UnixNanos, to: UnixNanos, reason: &'static str) -> Option<(UnixNanos, UnixNanos, &'static str)> {
    (from < to).then_some((from, to, reason))
}

#[cfg(test)]
mod tests;
