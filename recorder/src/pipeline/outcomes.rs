//! What the disk has come to, as far as it is known here: outcomes are taken between two turns, and
//! nothing is waited for but at the end.

use super::{Moment, Pipeline, SYNC_EVERY, elapsed};
use crate::disk::Done;
use crate::error::Error;
use crate::identity::to_hex;
use crate::log::{Level, log};
use crate::metrics::MetricsFile;
use std::sync::Arc;

/// What is under way on the disk. Of each kind there is one at the most: when a disk hangs nothing
/// grows.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// The open segment is being synced.
    syncing: bool,
    /// Bytes of a segment that is being sealed, and not among the sealed ones yet.
    pub(super) sealing_bytes: u64,
    /// Room is to be made when the spool has been listed.
    room_wanted: bool,
    /// The status is being written.
    telling: bool,
    /// What came of that.
    told: Option<Result<(), Error>>,
}

impl Pipeline {
    /// Takes in what came of everything that was handed to the disk.
    ///
    /// # Errors
    /// Something failed; then the recording is over.
    pub fn settle(&mut self, at: Moment) -> Result<(), Error> {
        while let Some(outcome) = self.disk.take() {
            self.heed(outcome?, at)?;
        }
        if let Some(time) = self.disk.is_newly_slow() {
            let seconds = time.as_secs();
            log(
                Level::Warning,
                format_args!(
                    "the disk has not answered for {seconds} s: what is recorded would not survive a power cut"
                ),
            );
        }
        Ok(())
    }

    /// Waits until all that was handed to the disk is through.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub(super) fn drain(&mut self, at: Moment) -> Result<(), Error> {
        while let Some(outcome) = self.disk.wait() {
            self.heed(outcome?, at)?;
        }
        Ok(())
    }

    /// Lets the open segment be brought to the disk, if the last time was [`SYNC_EVERY`] ago and
    /// something was written since.
    pub(super) fn sync_if_due(&mut self, at: Moment) {
        let Some(open) = self.open.as_mut().filter(|_| !self.under_way.syncing) else {
            return;
        };
        let len = open.segment.file().len_bytes();
        if len == open.synced_len || elapsed(open.synced_at_ns, at.steady_ns) < SYNC_EVERY {
            return;
        }
        (open.synced_len, open.synced_at_ns) = (len, at.steady_ns);
        if let Some(file) = open.segment.file().file() {
            self.under_way.syncing = true;
            self.disk.sync(Arc::clone(file), open.segment.part().to_owned());
        }
    }

    /// Lets room be made, by what is in the spool then.
    pub(super) fn want_room(&mut self) {
        if !self.under_way.room_wanted {
            self.under_way.room_wanted = true;
            self.disk.list();
        }
    }

    /// Lets the status be written, and metrics where they are wanted; not if the last one is not
    /// through yet.
    pub fn tell_others(&mut self, status: String, metrics: Option<(Arc<MetricsFile>, String)>) {
        if self.under_way.telling {
            return;
        }
        self.under_way.telling = true;
        self.disk.tell(status, metrics);
        // For the next one.
        self.disk.list();
    }

    /// Whether the last status is through, so that another one would be written.
    pub fn can_tell(&self) -> bool {
        !self.under_way.telling
    }

    /// What came of writing the status, if it is through.
    pub fn take_told(&mut self) -> Option<Result<(), Error>> {
        self.under_way.told.take()
    }

    /// Waits for what comes of writing the status.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub fn wait_until_told(&mut self, at: Moment) -> Result<Result<(), Error>, Error> {
        self.drain(at)?;
        Ok(self.take_told().unwrap_or(Ok(())))
    }

    /// Waits for the disk, whatever comes of it: what ended the recording is known already.
    pub fn wait_for_told(&mut self) -> Result<(), Error> {
        while let Some(outcome) = self.disk.wait() {
            if let Ok(Done::Told(told)) = outcome {
                self.told(told);
            }
        }
        self.take_told().unwrap_or(Ok(()))
    }

    pub(super) fn heed(&mut self, done: Done, at: Moment) -> Result<(), Error> {
        match done {
            Done::Synced => {
                self.under_way.syncing = false;
                // A slow one: what came meanwhile follows at once.
                self.sync_if_due(at);
            }
            Done::Made(file) => self.made(file, at),
            Done::Sealed(sealed) => {
                self.names.remove(&super::part(&sealed.part));
                self.names.insert(sealed.name.clone());
                self.spool.sealed_as(&sealed.part, sealed.name.clone(), &sealed.stat);
                self.sealed += 1;
                self.under_way.sealing_bytes = 0;
                let len_bytes = u64::try_from(sealed.stat.st_size).unwrap_or(0);
                self.keeping.add_today(len_bytes);
                // The anchor: who can change what is in the spool cannot change what was said
                // elsewhere. A capture file is its own.
                let level = if self.plan.retention.is_some() { Level::Info } else { Level::Debug };
                log(level, format_args!("sealed {}, SHA-256 {}", sealed.name, to_hex(&sealed.sha256)));
                self.want_room();
            }
            Done::NotSealed(error) => {
                log(Level::Warning, format_args!("{error}"));
                self.sealed += 1;
                self.want_room();
            }
            Done::Listed(names) => {
                self.names = names;
                // Without an open segment nobody could say what went.
                if std::mem::take(&mut self.under_way.room_wanted) && self.open.is_some() {
                    self.make_room(at);
                }
            }
            Done::Removed(old) => {
                old.into_iter().for_each(|(segment, why)| self.removed(segment, &why));
                self.tell(at.wall)?;
                self.retry_if_waiting(at)?;
            }
            Done::Told(told) => self.told(told),
            Done::Through => {}
        }
        Ok(())
    }

    fn told(&mut self, told: Result<(), Error>) {
        self.under_way.telling = false;
        self.under_way.told = Some(told);
    }
}
