//! Which sources a booking has to read.
//!
//! New facts can change what was booked up to [`REACH_NS`] before them, and up to [`KNOWN_NS`]
//! after them: no name, and nothing else that is learnt, counts for longer. Sources with something
//! of that time are booked again. Sources beside these, up to [`PAST_NS`] before and [`REACH_NS`]
//! after, are read for what they teach. Of older ones the store knows enough, and later ones do not
//! matter: a source that comes late costs the same however much came after it.

use super::order::{Found, Glance};
use crate::attribution::{HORIZON_NS, KNOWN_NS, PAST_NS, Role, SILENCE_NS};
use crate::files;
use crate::store::{CaptureFacts, KnownSource, Store, StoreError};
use imon_common::segment::{PART_SUFFIX, SEALED_SUFFIX, SegmentHeader, SegmentTail};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// How far before new facts bookings may change; two seconds stand for intervals that are not over.
pub(super) const REACH_NS: i64 = (if HORIZON_NS > SILENCE_NS { HORIZON_NS } else { SILENCE_NS }) + 2 * NANOS_PER_SECOND;

/// A source that is read for a booking.
#[derive(Debug)]
pub(super) struct Entry {
    /// The segment.
    pub(super) found: Found,
    /// What for.
    pub(super) role: Role,
    /// Segment UUID, or SHA-256 of the capture file.
    pub(super) identity: Vec<u8>,
    /// Where it was read from, for people.
    pub(super) path: String,
    /// For a capture file.
    pub(super) capture: Option<OfCapture>,
    /// Its row in the store, if it is there, or that of the source that it takes the place of.
    pub(super) row: Option<i64>,
    /// Its bytes count whatever other sources hold.
    pub(super) allow_overlap: bool,
    /// What is to be known of the source in that row, if it is not what is read here.
    pub(super) instead_of: Option<InsteadOf>,
}

/// What is known of a capture file.
#[derive(Debug, Clone)]
pub(super) struct OfCapture {
    /// Where its segment is kept.
    pub(super) kept: String,
    /// How the capture ended.
    pub(super) ended: String,
    /// What the file was.
    pub(super) facts: Option<CaptureFacts>,
}

/// A source whose place another one takes: the same capture, kept anew, or one that has grown.
#[derive(Debug, Clone)]
pub(super) struct InsteadOf {
    /// Its identity.
    pub(super) identity: Vec<u8>,
    /// The run of its segment: its flows are known by their numbers in it.
    pub(super) run: Option<[u8; 16]>,
}

/// When facts are new, or changed: from the first to the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: UnixNanos,
    pub(super) to: UnixNanos,
}

impl Span {
    /// Between two instants, whichever comes first: a clock that was set back ends before it began.
    pub(super) fn between(one: UnixNanos, other: UnixNanos) -> Self {
        Self { from: one.min(other), to: one.max(other) }
    }

    /// Everything from `from` on.
    pub(super) fn since(from: UnixNanos) -> Self {
        Self { from, to: UnixNanos(i64::MAX) }
    }

    /// Whether it holds all of the other one.
    pub(super) fn holds(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    fn of_source(source: &KnownSource) -> Self {
        Self::between(source.first, source.last)
    }

    fn meets(self, source: &KnownSource) -> bool {
        let Self { from, to } = Self::of_source(source);
        to >= self.from && from <= self.to
    }

    /// The time of which bookings may change if facts of this one do.
    fn window(self) -> Self {
        let (from, to) = (self.from.0.saturating_sub(REACH_NS), self.to.0.saturating_add(KNOWN_NS));
        Self { from: UnixNanos(from), to: UnixNanos(to) }
    }
}

/// The time of which there may be facts in a segment with this end that are later than `from`.
pub(super) fn span_of(tail: Option<&SegmentTail>, from: UnixNanos) -> Span {
    let to = tail.and_then(|tail| Some(tail.recorded_to?.0.saturating_add(tail.header.interval_ns)));
    // Where a clock was set, what was booked says when the facts are.
    Span { from, to: UnixNanos(to.unwrap_or(i64::MAX)).max(from) }
}

/// What is to be booked.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// New sources, and when they have new facts.
    pub(super) new: Vec<(Entry, Span)>,
    /// Other times of which facts are new.
    pub(super) spans: Vec<Span>,
    /// Identities of sources that are booked again whatever changed, with what lies up to an hour
    /// before them.
    pub(super) again: HashSet<Vec<u8>>,
}

/// What is to be read.
#[derive(Debug)]
pub(super) struct Plan {
    /// Sources that are read.
    pub(super) entries: Vec<Entry>,
    /// Sources that should be booked again and whose facts are gone: they stay as they are.
    pub(super) gone: Vec<KnownSource>,
    /// When the sources that are booked begin and end.
    pub(super) span: Span,
    /// Other sources that reach beyond the first of these, by their beginning.
    pub(super) others: Vec<KnownSource>,
}

/// Takes the earliest part of what changed that no other part rests on, and says what is to be read
/// for it. Parts that are years apart are booked one after the other; `None` when all are.
///
/// # Errors
/// The store cannot be read.
pub(super) fn next_plan(store: &Store, changed: &mut Changed) -> Result<Option<Plan>, StoreError> {
    // Most reports find nothing new: of years there are tens of thousands of sources.
    if changed.new.is_empty() && changed.spans.is_empty() && changed.again.is_empty() {
        return Ok(None);
    }
    let is_new: HashSet<&[u8]> = changed.new.iter().map(|(entry, _)| entry.identity.as_slice()).collect();
    let replaced: HashSet<i64> = changed.new.iter().filter_map(|(entry, _)| entry.row).collect();
    let mut known = store.known_sources()?;
    known.retain(|source| !is_new.contains(source.identity.as_slice()) && !replaced.contains(&source.id));
    // Flows may come into these from up to an hour before, as something else than they are known
    // as.
    let named = known.iter().filter(|source| changed.again.contains(&source.identity));
    let named =
        named.map(Span::of_source).map(|span| Span { from: UnixNanos(span.from.0.saturating_sub(REACH_NS)), ..span });
    let facts = changed.new.iter().map(|(_, span)| span).chain(&changed.spans);
    let mut windows: Vec<Span> = facts.map(|span| span.window()).chain(named).collect();
    windows.sort_by_key(|window| window.from);
    windows.truncate(together(&windows, &known));
    let Some(end) = windows.iter().map(|window| window.to).max() else { return Ok(None) };

    let in_part = |span: &Span| span.from <= end;
    let new: Vec<(Entry, Span)> = changed.new.extract_if(.., |(_, span)| in_part(&span.window())).collect();
    changed.spans.retain(|span| !in_part(&span.window()));
    let books = |source: &KnownSource| windows.iter().any(|window| window.meets(source));
    let (again, others): (Vec<_>, Vec<_>) = known.into_iter().partition(books);
    let identities = again.iter().map(|source| &source.identity).chain(new.iter().map(|(entry, _)| &entry.identity));
    identities.for_each(|identity| _ = changed.again.remove(identity));
    let starts = new.iter().map(|(entry, span)| entry.found.start().map_or(span.from, |start| start.min(span.from)));
    let first = starts.chain(again.iter().map(|source| source.first)).min().unwrap_or_default();
    let ends = new.iter().map(|(_, span)| span.to).chain(again.iter().map(|source| source.last));
    let span = Span { from: first, to: ends.max().unwrap_or(first) };
    let entries = new.into_iter().map(|(entry, _)| entry).collect();
    let mut plan = Plan { entries, gone: Vec::new(), span, others: Vec::new() };
    let times = again.iter().map(|source| (source.id, (source.first, source.last))).collect();
    for source in again {
        match locate(&source) {
            Some(found) => plan.entries.push(entry(source, found, Role::Book)),
            None => plan.gone.push(source),
        }
    }
    keep_partners(&mut plan, &store.sources_with_overlaps()?, &times);
    let past = UnixNanos(first.0.saturating_sub(PAST_NS));
    let beside = Span { from: past, to: UnixNanos(span.to.0.saturating_add(REACH_NS)) };
    for source in others.iter().filter(|source| beside.meets(source)) {
        if let Some(found) = locate(source) {
            plan.entries.push(entry(source.clone(), found, Role::Learn));
        }
    }
    plan.others = others.into_iter().filter(|source| source.last >= first).collect();
    Ok(Some(plan))
}

/// How many of these windows, which are in order, are booked in one: those that overlap, and those
/// that share a source.
fn together(windows: &[Span], known: &[KnownSource]) -> usize {
    let mut count = 0;
    let mut end = UnixNanos(i64::MIN);
    while let Some(next) = windows.get(count) {
        let so_far = windows.get(..count).unwrap_or_default();
        let shares = |source: &KnownSource| {
            source.first <= end && next.meets(source) && so_far.iter().any(|window| window.meets(source))
        };
        if count > 0 && next.from > end && !known.iter().any(shares) {
            break;
        }
        end = end.max(next.to);
        count += 1;
    }
    count
}

/// A source of which something is left out, because one holds it that is not booked again, stays as
/// it is booked: alone it would get those bytes back, and they would count twice. `times`: first
/// and last interval of sources by their row.
fn keep_partners(plan: &mut Plan, with_overlaps: &HashSet<i64>, times: &HashMap<i64, (UnixNanos, UnixNanos)>) {
    let mut kept: Vec<(UnixNanos, UnixNanos)> = plan.gone.iter().map(|source| (source.first, source.last)).collect();
    let has_overlaps = |entry: &&mut Entry| entry.row.is_some_and(|row| with_overlaps.contains(&row));
    let mut lacking: Vec<&mut Entry> = plan.entries.iter_mut().filter(has_overlaps).collect();
    let mut next = 0;
    // Who is kept may be the reason for others.
    while let Some((first, last)) = kept.get(next).copied().filter(|_| !lacking.is_empty()) {
        next += 1;
        lacking.retain_mut(|entry| {
            let own = entry.row.and_then(|row| times.get(&row)).filter(|own| own.0 <= last && first <= own.1);
            let Some(own) = own else { return true };
            entry.role = Role::Learn;
            kept.push(*own);
            false
        });
    }
}

fn entry(source: KnownSource, found: Found, role: Role) -> Entry {
    let capture =
        source.is_capture.then(|| OfCapture { kept: source.path.clone(), ended: source.ended, facts: source.capture });
    let path = if source.is_capture { source.read_from } else { found.path.to_string_lossy().into_owned() };
    Entry {
        found,
        role,
        identity: source.identity,
        path,
        capture,
        row: Some(source.id),
        allow_overlap: source.allow_overlap,
        instead_of: None,
    }
}

/// The segment with the facts of a source, if it is there: under its name, or under that which it
/// got since.
pub(super) fn locate(source: &KnownSource) -> Option<Found> {
    let path = PathBuf::from(&source.path);
    let renamed =
        |from: &str, to: &str| source.path.strip_suffix(from).map(|stem| PathBuf::from(format!("{stem}{to}")));
    let names = [Some(path), renamed(PART_SUFFIX, SEALED_SUFFIX), renamed(SEALED_SUFFIX, PART_SUFFIX)];
    names.into_iter().flatten().find_map(|path| {
        let header = header_of(&path).filter(|header| header.segment.as_slice() == source.segment)?;
        Some(Found { path, glance: Glance::Segment(Box::new(header)) })
    })
}

/// The header of the segment at `path`, if there is one.
pub(super) fn header_of(path: &Path) -> Option<SegmentHeader> {
    let mut file = files::open(path).ok()?;
    file.metadata().ok().filter(|about| about.is_file())?;
    SegmentHeader::read(&mut file).ok().map(|(header, _)| header)
}
