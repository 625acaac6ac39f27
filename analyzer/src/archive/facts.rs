//! What ledgers know of sources, as far as questions without devices need it: of a fleet there are
//! hundreds of thousands of sources, and a database in memory of them would take longer than the
//! answer.

use super::write::Fact;
use crate::books::month::Month;
use crate::books::{Gap, Overlap, Source};
use crate::range::Range;
use crate::store::{Snapshot, flags_of, label_of, recorded_flags, seconds_of};
use crate::table::units::{from_hex, hex};
use crate::timeline::{self, Ended, Gone, Recorded, Timeline, Why};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Bytes as facts have them.
#[derive(Debug, Deserialize)]
struct Bytes {
    x: String,
}

impl Bytes {
    fn id(of: Option<&Self>) -> Option<[u8; 16]> {
        from_hex(&of?.x)?.try_into().ok()
    }
}

/// Columns of facts, by name; those of other kinds are not there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Columns {
    kind: String,
    path: String,
    interface: Option<String>,
    recorder: Option<Bytes>,
    run: Option<Bytes>,
    segment: Option<Bytes>,
    before: Option<Bytes>,
    boot: Option<Bytes>,
    sequence: Option<i64>,
    before_sealed: i64,
    stop_requested: i64,
    start_ns: i64,
    to_ns: i64,
    ended: String,
    run_before_to_ns: Option<i64>,
    run_before_flags: Option<i64>,
    run_before_elapsed_ns: Option<i64>,
    from_ns: i64,
    reason: String,
    name: String,
    other: String,
    bucket: i64,
    packets: Option<i64>,
    bytes: i64,
    first: i64,
    segments: i64,
    why: i64,
    followed_by: u64,
}

/// The ends of what a source observed.
#[derive(Debug, Deserialize)]
struct Ends {
    first_ns: i64,
    last_ns: i64,
}

/// What is kept of sources one by one, beside when was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Each {
    /// Nothing.
    #[default]
    Nothing,
    /// What they are called.
    Labels,
    /// When they observed something, for [`Facts::condensed`].
    Ends,
}

/// A segment among all: its recorder, its place there, its name.
type SegmentKey = ([u8; 16], u64, [u8; 16]);

/// Facts, each once: a source of two months has them in both.
#[derive(Debug, Default)]
pub(super) struct Facts {
    each: Each,
    observed: Option<(i64, i64)>,
    /// First and last instant of each source.
    ends: HashMap<Vec<u8>, (i64, i64)>,
    /// Which source a segment is.
    source_of: HashMap<SegmentKey, Vec<u8>>,
    sources: BTreeMap<Vec<u8>, Source>,
    /// Of sources that have a recorder, whether or not they say when they recorded.
    has_recorder: BTreeSet<Vec<u8>>,
    captures: BTreeSet<Vec<u8>>,
    interfaces: HashMap<Vec<u8>, String>,
    recorders: HashMap<Vec<u8>, [u8; 16]>,
    recorded: BTreeMap<SegmentKey, Recorded>,
    gone: BTreeSet<([u8; 16], i64, i64, i64)>,
    gaps: BTreeSet<(i64, i64, String, Vec<u8>)>,
    overlaps: BTreeSet<(String, String, i64, Vec<u8>, i64, i64)>,
}

impl Facts {
    /// None so far.
    pub(super) fn new(each: Each) -> Self {
        Self { each, ..Self::default() }
    }

    /// Takes in a fact. What cannot be understood is of a newer version, and none here.
    pub(super) fn add(&mut self, kind: &str, source: &[u8], about: &str) {
        match kind {
            "source" => self.source(source, about),
            "recorded" | "gone" | "gap" | "overlap" => {
                if let Ok(columns) = serde_json::from_str::<Columns>(about) {
                    self.columns(kind, source, columns);
                }
            }
            _ => {}
        }
    }

    fn source(&mut self, source: &[u8], about: &str) {
        let Ok(Ends { first_ns, last_ns }) = serde_json::from_str(about) else { return };
        let (first, last) = self.observed.unwrap_or((first_ns, last_ns));
        self.observed = Some((first.min(first_ns), last.max(last_ns)));
        if self.each == Each::Ends {
            self.ends.insert(source.to_vec(), (first_ns, last_ns));
        }
        if self.each != Each::Labels || self.sources.contains_key(source) {
            return;
        }
        let Ok(columns) = serde_json::from_str::<Columns>(about) else { return };
        if columns.kind == "capture" {
            self.captures.insert(source.to_vec());
        }
        if columns.recorder.is_some() {
            self.has_recorder.insert(source.to_vec());
        }
        self.interfaces.insert(source.to_vec(), columns.interface.unwrap_or_default());
        let known = Source { identity: source.to_vec(), path: columns.path, ..Source::default() };
        self.sources.insert(source.to_vec(), known);
    }

    fn columns(&mut self, kind: &str, source: &[u8], of: Columns) {
        let number = |value: i64| u64::try_from(value).unwrap_or_default();
        match kind {
            "gap" => _ = self.gaps.insert((of.from_ns, of.to_ns, of.reason, source.to_vec())),
            "overlap" => {
                self.overlaps.insert((
                    of.name,
                    of.other,
                    of.bucket,
                    source.to_vec(),
                    of.packets.unwrap_or_default(),
                    of.bytes,
                ));
            }
            "gone" => self.gone.extend(Bytes::id(of.recorder.as_ref()).map(|id| (id, of.first, of.segments, of.why))),
            _ => {
                let id = |bytes: Option<&Bytes>| Bytes::id(bytes).unwrap_or_default();
                let Some(recorder) = Bytes::id(of.recorder.as_ref()) else { return };
                if self.each == Each::Labels {
                    self.recorders.insert(source.to_vec(), recorder);
                }
                let recorded = Recorded {
                    recorder,
                    run: id(of.run.as_ref()),
                    sequence: number(of.sequence.unwrap_or_default()),
                    segment: id(of.segment.as_ref()),
                    before: id(of.before.as_ref()),
                    before_sealed: of.before_sealed != 0,
                    boot: id(of.boot.as_ref()),
                    interface: of.interface.unwrap_or_default(),
                    start: UnixNanos(of.start_ns),
                    to: UnixNanos(of.to_ns),
                    ended: Ended::of_word(&of.ended),
                    stop_requested: of.stop_requested != 0,
                    run_before: recorded_flags(of.run_before_to_ns, of.run_before_flags, of.run_before_elapsed_ns),
                    followed_by: of.followed_by,
                };
                let key = (recorder, recorded.sequence, recorded.segment);
                if self.each == Each::Ends {
                    self.source_of.insert(key, source.to_vec());
                }
                self.recorded.insert(key, recorded);
            }
        }
    }

    /// Whether no segment lies within others that were made one.
    pub(super) fn are_apart(&self) -> bool {
        let segments: Vec<Recorded> = self.recorded.values().cloned().collect();
        timeline::are_apart(&segments)
    }

    /// The same in fewer facts, for [`Facts::add`]: all that [`Facts::snapshot`] gives, but for
    /// what sources are called. Segments that reach beyond the month stay what they are: they are
    /// known in another one as well.
    pub(super) fn condensed(self, month: Month) -> Vec<Fact> {
        let at_s = month.seconds().0;
        let fact = |kind, source, about: Value| Fact { kind, at_s, source, about: about.to_string() };
        let (from, to) = month.instants();
        let is_inside = |of: &Recorded| {
            let ends = self.source_of.get(&(of.recorder, of.sequence, of.segment)).and_then(|id| self.ends.get(id));
            ends.is_some_and(|(first, last)| *first >= from.0 && *last < to.0) && of.start >= from && of.to < to
        };
        let observed = self.observed.map(|(first, last)| json!({ "first_ns": first, "last_ns": last }));
        let mut facts: Vec<Fact> = observed.map(|about| fact("source", Vec::new(), about)).into_iter().collect();
        for (from, to, reason, source) in &self.gaps {
            facts.push(fact("gap", source.clone(), json!({ "from_ns": from, "to_ns": to, "reason": reason })));
        }
        for (name, other, bucket, source, packets, bytes) in &self.overlaps {
            let about = json!({ "bucket": bucket, "name": name, "other": other, "packets": packets, "bytes": bytes });
            facts.push(fact("overlap", source.clone(), about));
        }
        for (recorder, first, segments, why) in &self.gone {
            let about = json!({ "recorder": digits(*recorder), "first": first, "segments": segments, "why": why });
            facts.push(fact("gone", Vec::new(), about));
        }
        let segments: Vec<Recorded> = self.recorded.values().cloned().collect();
        // Whether one is inside is known of segments one by one: those that were made one are.
        let may_join = |of: &Recorded| of.followed_by > 0 || is_inside(of);
        let recorded = timeline::condensed(segments, may_join).into_iter();
        facts.extend(recorded.map(|of| fact("recorded", Vec::new(), about(&of))));
        facts
    }

    /// What a database that holds these facts, and no rows, knows of a range; and what sources are
    /// called.
    pub(super) fn snapshot(mut self, range: &Range) -> (Snapshot, Vec<Source>) {
        let seconds = seconds_of(range);
        let ns = |s: i64| s.saturating_mul(NANOS_PER_SECOND);
        let mut snapshot = Snapshot { seconds, ..Snapshot::default() };
        let gaps = self.gaps.into_iter().filter(|(from, to, ..)| *to > ns(seconds.0) && *from < ns(seconds.1));
        snapshot.gaps = gaps
            .map(|(from, to, reason, _)| Gap { from: UnixNanos(from), to: UnixNanos(to), reason, interface: None })
            .collect();
        for (source, of, bucket, _, packets, bytes) in self.overlaps {
            if bucket < seconds.0 || bucket >= seconds.1 {
                continue;
            }
            let number = |value: i64| u64::try_from(value).unwrap_or_default();
            let overlap = Overlap { source, of, packets: number(packets), bytes: number(bytes) };
            match snapshot.overlaps.last_mut().filter(|last| last.source == overlap.source && last.of == overlap.of) {
                Some(last) => {
                    last.packets = last.packets.saturating_add(overlap.packets);
                    last.bytes = last.bytes.saturating_add(overlap.bytes);
                }
                None => snapshot.overlaps.push(overlap),
            }
        }
        let recorders: BTreeSet<[u8; 16]> = self.recorded.keys().map(|(recorder, ..)| *recorder).collect();
        let gone = self.gone.into_iter().filter(|(recorder, ..)| recorders.contains(recorder));
        let gone: Vec<Gone> = gone
            .filter_map(|(recorder, first, segments, why)| {
                let number = |value: i64| u64::try_from(value).unwrap_or_default();
                let why = Why::from_number(u8::try_from(why).ok()?)?;
                Some(Gone { recorder, first: number(first), segments: number(segments), why })
            })
            .collect();
        let recorded: Vec<Recorded> = self.recorded.into_values().collect();
        snapshot.timeline = Timeline::of(&recorded, &gone);
        snapshot.books.observed = self.observed.map(|(first, last)| (UnixNanos(first), UnixNanos(last)));
        for (identity, source) in &mut self.sources {
            source.recorder = self.recorders.get(identity).copied();
            let is_capture =
                self.captures.contains(identity) || (self.has_recorder.contains(identity) && source.recorder.is_none());
            let interface = self.interfaces.get(identity).map(String::as_str).unwrap_or_default();
            source.label = label_of(&source.path, is_capture.then_some(interface));
        }
        (snapshot, self.sources.into_values().collect())
    }
}

/// Bytes as facts have them.
fn digits(id: [u8; 16]) -> Value {
    json!({ "x": hex(&id) })
}

/// A segment, or several that were made one, as facts have it.
fn about(of: &Recorded) -> Value {
    json!({
        "recorder": digits(of.recorder),
        "run": digits(of.run),
        "sequence": of.sequence,
        "segment": digits(of.segment),
        "before": digits(of.before),
        "before_sealed": i64::from(of.before_sealed),
        "boot": digits(of.boot),
        "interface": of.interface,
        "start_ns": of.start.0,
        "to_ns": of.to.0,
        "ended": of.ended.word(),
        "stop_requested": i64::from(of.stop_requested),
        "run_before_to_ns": of.run_before.map(|before| before.to.0),
        "run_before_flags": of.run_before.map(flags_of),
        "run_before_elapsed_ns": of.run_before.and_then(|before| before.elapsed_ns),
        "followed_by": of.followed_by,
    })
}
