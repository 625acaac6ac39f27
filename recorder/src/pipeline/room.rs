//! Room on the disk: what is done when there is none, and which segments go so that there is.

use super::{Moment, Pipeline, RETRY_EVERY, cannot_write, elapsed, part};
use crate::error::Error;
use crate::log::{Level, log};
use crate::rotate::surplus;
use crate::segment_file::is_no_room;
use crate::units::size_text;
use imon_common::time::UnixNanos;
use std::io;

impl Pipeline {
    /// On a full disk: says so, makes room by the rules of retention, and tries again from time to time.
    pub(super) fn relieve(&mut self, at: Moment) -> Result<(), Error> {
        let Some(open) = self.open.as_mut().filter(|open| open.segment.file().is_waiting()) else {
            return Ok(());
        };
        match open.tried_at_ns {
            None => {
                let (name, most) = (part(open.segment.stem()), self.plan.waiting_bytes);
                log(
                    Level::Warning,
                    format_args!("no room for {name}: records wait in memory; above {most} bytes only sums are kept"),
                );
            }
            Some(before) if elapsed(before, at.steady_ns) < RETRY_EVERY => return Ok(()),
            Some(_) => {}
        }
        open.tried_at_ns = Some(at.steady_ns);
        self.make_room(at.wall)?;
        self.retry(at)
    }

    /// Tries to write what waits. When all is written, sums that were taken in place of detail go into a new segment.
    pub(super) fn retry(&mut self, at: Moment) -> Result<(), Error> {
        let spool = &self.spool;
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let stem = open.segment.stem().to_owned();
        let sequence = Some(self.identity.sequence.saturating_sub(1));
        let file = open.segment.file_mut();
        file.retry(|| match spool.create(&stem, sequence) {
            Err(Error::Spool { source, .. }) if is_no_room(&source) => Ok(None),
            Err(Error::Spool { source, .. }) => Err(source),
            Err(e) => Err(io::Error::other(e.to_string())),
            Ok(file) => Ok(Some(file)),
        })
        .map_err(|e| cannot_write(spool, &stem, e))?;
        if file.is_waiting() {
            return Ok(());
        }
        open.tried_at_ns = None;
        log(Level::Notice, format_args!("there is room again: {} goes on", part(&stem)));
        if !open.segment.is_folded() {
            return Ok(());
        }
        self.flush()?;
        let Some(folded) = self.open.as_mut().and_then(|open| open.segment.take_folded()) else {
            return Ok(());
        };
        if let Some((from, gap)) = folded.gap(at.wall) {
            self.health.note(from, &[gap]);
        }
        self.close(at.wall)?;
        self.begin(at)?;
        self.with_segment(|_, segment| folded.replay(at.wall, segment).and_then(|()| segment.commit()))
    }

    /// Bytes of records that wait for room.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.segment.file().waiting_bytes())
    }

    /// Removes the oldest sealed segments beyond what is to be kept.
    ///
    /// # Errors
    /// The spool could not be listed, or a file could not be removed.
    pub fn make_room(&mut self, now: UnixNanos) -> Result<(), Error> {
        let Some(keep) = self.plan.retention else {
            return Ok(());
        };
        let reserve_bytes = self.plan.rotation.size_bytes;
        for old in surplus(self.spool.sealed()?, reserve_bytes, now.0, keep) {
            self.spool.remove(&old.name)?;
            self.removed += 1;
            self.note_gone(&old);
            log(Level::Info, format_args!("removed {}, {}, to keep to the budget", old.name, size_text(old.len_bytes)));
        }
        self.tell(now)
    }
}
