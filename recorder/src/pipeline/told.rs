//! What a segment says beside what was seen: how the run before ended, and which segments went to
//! keep to the budget.

use super::Pipeline;
use crate::before::Before;
use crate::error::Error;
use crate::rotate::Sealed;
use imon_common::observe::{Count, Counter, Observer};
use imon_common::time::UnixNanos;

/// Segments that were removed, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone {
    first: u64,
    segments: u64,
    len_bytes: u64,
}

impl Pipeline {
    /// Says in the next segment what is known of the run before.
    pub fn tell_before(&mut self, before: Before) {
        self.before = Some(before);
    }

    /// Notes that a segment of our own was removed.
    pub(super) fn note_gone(&mut self, old: &Sealed) {
        let (Some(first), len_bytes) = (old.sequence(), old.len_bytes) else { return };
        match self.gone.last_mut() {
            Some(last) if last.first.checked_add(last.segments) == Some(first) => {
                last.segments += 1;
                last.len_bytes = last.len_bytes.saturating_add(len_bytes);
            }
            _ => self.gone.push(Gone { first, segments: 1, len_bytes }),
        }
    }

    /// Says in the open segment, if there is one, what is to be said.
    pub(super) fn tell(&mut self, at: UnixNanos) -> Result<(), Error> {
        if self.open.is_none() || (self.before.is_none() && self.gone.is_empty()) {
            return Ok(());
        }
        let mut counts = self.before.take().map(|before| before.counts(at)).unwrap_or_default();
        counts.extend(std::mem::take(&mut self.gone).into_iter().map(|gone| Count {
            counter: Counter::Removed(gone.first as u32), // its low bits
            packets: gone.segments,
            bytes: gone.len_bytes,
        }));
        // At once: who is killed now has said it all the same.
        self.with_segment(|_, segment| segment.counts(at, &counts).and_then(|()| segment.commit()))
    }
}
