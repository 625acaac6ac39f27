//! Segments of which nothing is told but when they recorded, made one: of a fleet there are
//! hundreds of thousands, and a handful of gaps.

use super::{Ended, Recorded, Timeline};
use std::collections::HashMap;

impl Recorded {
    /// The sequence of the last segment that it stands for.
    pub fn last_sequence(&self) -> u64 {
        self.sequence.saturating_add(self.followed_by)
    }
}

/// Makes segments one that follow each other without a gap and that `may_join` takes. The timeline
/// of what comes out is that of `segments`, but for what is before single ones.
pub fn condensed(segments: Vec<Recorded>, may_join: impl Fn(&Recorded) -> bool) -> Vec<Recorded> {
    let sorted = sorted(segments);
    let mut condensed = Vec::new();
    for of_one in sorted.chunk_by(|a, b| a.recorder == b.recorder) {
        let joined = joined(of_one, &may_join);
        // Of clocks that were set back a span of one interface may lie within one of another.
        match told(&joined) == told(of_one) {
            true => condensed.extend(joined),
            false => condensed.extend_from_slice(of_one),
        }
    }
    condensed
}

/// Whether segments that were made one by several calls of [`condensed`] may stand beside each
/// other: no other segment of their recorder lies within them.
pub fn are_apart(segments: &[Recorded]) -> bool {
    let sorted = sorted(segments.to_vec());
    let of_recorders = sorted.chunk_by(|a, b| a.recorder == b.recorder);
    of_recorders.flat_map(|of_one| of_one.windows(2)).all(|pair| {
        let [before, after] = pair else { return true };
        let are_single = before.followed_by == 0 && after.followed_by == 0;
        let is_later = after.start >= before.to || after.interface == before.interface;
        are_single || (after.sequence > before.last_sequence() && is_later)
    })
}

fn sorted(mut segments: Vec<Recorded>) -> Vec<Recorded> {
    segments.sort_by_key(|of| (of.recorder, of.sequence, of.start, of.segment));
    segments
}

/// A timeline without what only single segments have.
fn told(segments: &[Recorded]) -> Timeline {
    Timeline { before: HashMap::new(), ..Timeline::of(segments, &[]) }
}

/// Those of one recorder, sorted.
fn joined(segments: &[Recorded], may_join: &impl Fn(&Recorded) -> bool) -> Vec<Recorded> {
    let (mut named, mut followers): (HashMap<_, u32>, HashMap<_, u32>) = Default::default();
    for of in segments {
        *named.entry(of.segment).or_default() += 1;
        *followers.entry(of.before).or_default() += 1;
    }
    // Of a copied machine two segments have one name, or one before them.
    let is_one = |counts: &HashMap<[u8; 16], u32>, segment: [u8; 16]| counts.get(&segment) == Some(&1);
    let mut joined: Vec<Recorded> = Vec::new();
    for of in segments {
        match joined.last_mut() {
            Some(last)
                if follows(last, of)
                    && is_one(&named, last.segment)
                    && is_one(&followers, last.segment)
                    && may_join(last)
                    && may_join(of) =>
            {
                last.followed_by = last.followed_by.saturating_add(1).saturating_add(of.followed_by);
                (last.segment, last.to, last.ended) = (of.segment, of.to, of.ended);
                last.stop_requested = of.stop_requested;
            }
            _ => joined.push(of.clone()),
        }
    }
    joined
}

/// Whether `after` goes on where `before` ends, and nothing is to be told of either.
fn follows(before: &Recorded, after: &Recorded) -> bool {
    let is_same_run = (before.run, before.boot, &before.interface) == (after.run, after.boot, &after.interface);
    let is_next = before.last_sequence().checked_add(1) == Some(after.sequence) && after.before == before.segment;
    let is_later = before.start <= after.start && before.to <= after.to && after.start <= after.to;
    is_same_run && is_next && is_later && before.ended == Ended::Sealed && after.run_before.is_none()
}
