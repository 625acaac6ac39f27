//! Which sources a booking has to read.
//!
//! New facts can change what was booked up to [`HORIZON_NS`] before them, and everything after:
//! those sources are booked again. Sources that overlap with these, or lie shortly before, are read
//! for what they teach. Of older ones the store knows enough.

use super::order::{Found, Glance};
use crate::attribution::{HORIZON_NS, PAST_NS, Role, SILENCE_NS};
use crate::files;
use crate::store::{CaptureFacts, KnownSource, Store, StoreError};
use imon_common::segment::{PART_SUFFIX, SEALED_SUFFIX, SegmentHeader};
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

/// What is to be read.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Sources that are read.
    pub(super) entries: Vec<Entry>,
    /// Sources that should be booked again and whose facts are gone: they stay as they are.
    pub(super) gone: Vec<KnownSource>,
}

/// What is to be read if facts from `from` on are new: those of `new` sources, or those that
/// changed in the store.
///
/// # Errors
/// The store cannot be read.
pub(super) fn plan(store: &Store, new: Vec<Entry>, from: UnixNanos) -> Result<Plan, StoreError> {
    let mut plan = Plan { entries: new, gone: Vec::new() };
    let is_new: HashSet<Vec<u8>> = plan.entries.iter().map(|entry| entry.identity.clone()).collect();
    let replaced: HashSet<i64> = plan.entries.iter().filter_map(|entry| entry.row).collect();
    let mut known = store.known_sources()?;
    known.retain(|source| !is_new.contains(&source.identity) && !replaced.contains(&source.id));
    let again = UnixNanos(from.0.saturating_sub(REACH_NS));
    let mut first = plan.entries.iter().filter_map(|entry| entry.found.start()).fold(from, UnixNanos::min);
    let (again, before): (Vec<_>, Vec<_>) = known.into_iter().partition(|source| source.last >= again);
    let times = again.iter().map(|source| (source.id, (source.first, source.last))).collect();
    for source in again {
        match locate(&source) {
            Some(found) => {
                first = first.min(source.first);
                plan.entries.push(entry(source, found, Role::Book));
            }
            None => plan.gone.push(source),
        }
    }
    keep_partners(&mut plan, &store.sources_with_overlaps()?, &times);
    let past = UnixNanos(first.0.saturating_sub(PAST_NS));
    for source in before.into_iter().filter(|source| source.last >= past) {
        if let Some(found) = locate(&source) {
            plan.entries.push(entry(source, found, Role::Learn));
        }
    }
    Ok(plan)
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
