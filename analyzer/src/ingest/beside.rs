//! Which captures have to be read beside new ones. Captures that follow each other are one run:
//! what is kept of one rests on those before it, whether they were named in the same command or
//! ingested before.

use super::corridor::PIECE_GAP_NS;
use super::order::{Found, Glance, sorted};
use super::plan::locate;
use crate::exported::{EXPORTED, ExportOptions};
use crate::store::{KnownSource, Store, StoreError};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// The first and last interval of a capture lie at most this far from its packets.
const INTERVAL_NS: i64 = 2 * NANOS_PER_SECOND;

/// Bytes of captures that nobody named and that are read again, beside as many as are new: whoever
/// ingests the pieces of a ring one by one must not read all of them each time.
const FREE_BYTES: u64 = 16 << 20;

/// What is read, and what not.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// Sources that are read, in order.
    pub(super) read: Vec<Found>,
    /// Captures that were named, are known, and have nothing to do with new ones.
    pub(super) unchanged: Vec<PathBuf>,
    /// Captures among those that are read that nobody named.
    pub(super) again: HashSet<PathBuf>,
}

/// A capture that is known.
struct Known {
    first: UnixNanos,
    last: UnixNanos,
    source: KnownSource,
}

impl Beside {
    /// What is read of `found`, and what beside it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn of(store: &Store, found: Vec<Found>, exports: &ExportOptions) -> Result<Self, StoreError> {
        if !found.iter().any(|found| matches!(found.glance, Glance::Capture(..))) {
            return Ok(Self { read: sorted(found), ..Self::default() });
        }
        let captures = store.known_captures()?.into_iter().filter(|source| source.capture.is_some());
        let mut known: Vec<Known> =
            captures.map(|source| Known { first: source.first, last: source.last, source }).collect();
        known.sort_by_key(|known| (known.first, known.last));
        let by_path: HashMap<&str, usize> =
            known.iter().enumerate().map(|(place, known)| (known.source.read_from.as_str(), place)).collect();
        let path_of = |found: &Found| super::book::absolute(&found.path);
        let known_of = |found: &Found| {
            by_path.get(path_of(found).as_str()).filter(|place| {
                known
                    .get(**place)
                    .is_some_and(|known| known.is_unchanged(found) && (!exports.wanted || known.is_of_exports()))
            })
        };
        let mut named = HashSet::new();
        // What is known of a capture that was named and is read anew is no other capture.
        let read_anew: HashSet<String> = found.iter().filter(|found| known_of(found).is_none()).map(path_of).collect();
        let (mut new, mut new_bytes) = (Vec::new(), 0u64);
        for found in &found {
            let Glance::Capture(start, _) = found.glance else { continue };
            match known_of(found) {
                Some(place) => _ = named.insert(*place),
                None => {
                    new.push(start);
                    new_bytes = new_bytes.saturating_add(std::fs::metadata(&found.path).map_or(0, |about| about.len()));
                }
            }
        }
        let near = near(&known, &mut new);
        let mut beside = Self::default();
        for found in found {
            match known_of(&found).filter(|place| !near.contains(place)) {
                Some(_) => beside.unchanged.push(found.path),
                None => beside.read.push(found),
            }
        }
        let mut others: Vec<&Known> =
            near.iter().filter(|place| !named.contains(place)).filter_map(|place| known.get(*place)).collect();
        others.retain(|known| !read_anew.contains(&known.source.read_from));
        others.sort_by_key(|known| known.distance(&new));
        let mut room = new_bytes.saturating_add(FREE_BYTES);
        for known in others {
            let len = known.source.capture.map_or(0, |capture| capture.file_len);
            let Some(left) = room.checked_sub(len) else { break };
            let path = PathBuf::from(&known.source.read_from);
            // One that is gone, or is another one now, ends the row of captures.
            let Some(found) = super::order::look_again(path).filter(|found| known.is_unchanged(found)) else {
                continue;
            };
            room = left;
            beside.again.insert(found.path.clone());
            beside.read.push(found);
        }
        beside.read = sorted(beside.read);
        Ok(beside)
    }
}

impl Known {
    /// Whether this is the file that was read, as far as its length and its first packet tell, and
    /// is kept.
    fn is_unchanged(&self, found: &Found) -> bool {
        let len = std::fs::metadata(&found.path).ok().filter(std::fs::Metadata::is_file).map(|about| about.len());
        let kept = || locate(&self.source).and_then(|kept| kept.start());
        len.is_some() && len == self.source.capture.map(|capture| capture.file_len) && kept() == found.start()
    }

    /// Whether it was read for what exporters report.
    fn is_of_exports(&self) -> bool {
        locate(&self.source).is_some_and(|kept| kept.header().is_some_and(|header| header.link_type == EXPORTED))
    }

    /// How far it is from the nearest of `new`, which are in order.
    fn distance(&self, new: &[UnixNanos]) -> i64 {
        let place = new.partition_point(|start| *start < self.first);
        let around = [place.checked_sub(1), Some(place)].into_iter().flatten().filter_map(|place| new.get(place));
        around.map(|start| start.since(self.first).saturating_abs()).min().unwrap_or(i64::MAX)
    }
}

/// Places of known captures that may stand in one row with new ones, which begin at `new` and end
/// at no known time: what follows them may be the next capture, and what follows that.
fn near(known: &[Known], new: &mut [UnixNanos]) -> HashSet<usize> {
    new.sort_unstable();
    let mut near = HashSet::new();
    let mut row: Vec<usize> = Vec::new();
    let (mut reaches, mut is_near) = (UnixNanos(i64::MIN), false);
    let mut starts = new.iter().copied().peekable();
    for (place, capture) in known.iter().enumerate() {
        // New captures between those before and this one: one that a row reaches is near to it.
        let mut follows_new = false;
        while let Some(start) = starts.next_if(|start| *start < capture.first) {
            is_near |= start <= reaches;
            follows_new = true;
        }
        if capture.first > reaches {
            near.extend(row.drain(..).filter(|_| is_near));
            is_near = follows_new;
        }
        is_near |= follows_new;
        row.push(place);
        reaches = reaches.max(UnixNanos(capture.last.0.saturating_add(PIECE_GAP_NS + INTERVAL_NS)));
    }
    is_near |= starts.peek().is_some_and(|start| *start <= reaches);
    near.extend(row.drain(..).filter(|_| is_near));
    near
}
