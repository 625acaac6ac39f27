//! What ledgers know of sources, as far as questions without devices need it: of a fleet there are
//! hundreds of thousands of sources, and a database in memory of them would take longer than the
//! answer.

use crate::books::{Gap, Overlap, Source};
use crate::range::Range;
use crate::store::{Snapshot, label_of, recorded_flags, seconds_of};
use crate::table::units::from_hex;
use crate::timeline::{Ended, Gone, Recorded, Timeline, Why};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use serde::Deserialize;
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
}

/// The ends of what a source observed.
#[derive(Debug, Deserialize)]
struct Ends {
    first_ns: i64,
    last_ns: i64,
}

/// Facts, each once: a source of two months has them in both.
#[derive(Debug, Default)]
pub(super) struct Facts {
    with_labels: bool,
    observed: Option<(i64, i64)>,
    sources: BTreeMap<Vec<u8>, Source>,
    /// Of sources that have a recorder, whether or not they say when they recorded.
    has_recorder: BTreeSet<Vec<u8>>,
    captures: BTreeSet<Vec<u8>>,
    interfaces: HashMap<Vec<u8>, String>,
    recorders: HashMap<Vec<u8>, [u8; 16]>,
    recorded: BTreeMap<([u8; 16], u64, [u8; 16]), Recorded>,
    gone: BTreeSet<([u8; 16], i64, i64, i64)>,
    gaps: BTreeSet<(i64, i64, String, Vec<u8>)>,
    overlaps: BTreeSet<(String, String, i64, Vec<u8>, i64, i64)>,
}

impl Facts {
    /// None so far.
    pub(super) fn new(with_labels: bool) -> Self {
        Self { with_labels, ..Self::default() }
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
        if !self.with_labels || self.sources.contains_key(source) {
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
                if self.with_labels {
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
                };
                self.recorded.insert((recorder, recorded.sequence, recorded.segment), recorded);
            }
        }
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
            source.label = label_of(&source.path, interface, is_capture);
        }
        (snapshot, self.sources.into_values().collect())
    }
}
