//! From one segment to the next. What waits for the disk is done before and after: the file of the
//! next segment is made while the last one is still written, and that one is sealed while the next
//! one is. Between the two there are only writes.

use super::{Moment, Open, Pipeline, RETRY_EVERY, cannot_write, elapsed, part};
use crate::disk::{Finish, NoRoom};
use crate::error::Error;
use crate::identity::uuid;
use crate::open_segment::OpenSegment;
use crate::segment_file::SegmentFile;
use imon_common::observe::Observer as _;
use imon_common::segment::{SegmentClose, SegmentHeader};
use imon_common::time::UnixNanos;
use nix::errno::Errno;
use std::fs::File;
use std::sync::Arc;

/// How far the next segment is.
#[derive(Debug, Default)]
pub(super) enum Next {
    /// Nobody has asked for one.
    #[default]
    NotAsked,
    /// Its file is being made.
    Asked(Named),
    /// Its file is there, with nothing in it.
    Ready(Named, Arc<File>),
    /// There was no room for its file at this time.
    NoRoom(Named, i64),
}

/// A segment that has a name and no byte.
#[derive(Debug)]
pub(super) struct Named {
    segment: [u8; 16],
    /// Its name until it is sealed, without the suffix: of the time when it was asked for.
    part: String,
}

impl Pipeline {
    /// Opens the next segment, and waits for its file.
    ///
    /// # Errors
    /// The spool cannot take it.
    pub fn begin(&mut self, at: Moment) -> Result<(), Error> {
        self.wait_for_next(at)?;
        match std::mem::take(&mut self.next) {
            Next::Ready(named, file) => self.open(named, Some(file), at),
            Next::NoRoom(named, _) => self.open(named, None, at),
            Next::NotAsked | Next::Asked(_) => Ok(()), // was waited for
        }
    }

    /// Whether a next segment is to be prepared: the open one has reached its size or age. Not
    /// while the disk is full.
    pub fn rotation_due(&self, steady_ns: i64) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let due = self.plan.rotation.is_due(open.segment.len_bytes(), elapsed(open.began_ns, steady_ns));
            let asked = matches!(self.next, Next::Asked(_) | Next::Ready(..));
            (due || self.rotation_wanted) && !asked && !open.segment.file().is_waiting()
        })
    }

    /// Lets the file of the next segment be made, while this one goes on. On a full disk as soon as
    /// there is room.
    ///
    /// # Errors
    /// Something that was handed to the disk failed.
    pub fn prepare(&mut self, at: Moment) -> Result<(), Error> {
        self.rotation_wanted = true;
        let may_ask = match &self.next {
            Next::NotAsked => true,
            Next::NoRoom(_, since) => elapsed(*since, at.steady_ns) >= RETRY_EVERY,
            Next::Asked(_) | Next::Ready(..) => false,
        };
        if may_ask && self.waiting_bytes() == 0 {
            self.ask(at)?;
        }
        self.settle(at)
    }

    /// The file of the next segment is there: [`Self::rotate`] waits for nothing.
    pub fn is_prepared(&self) -> bool {
        matches!(self.next, Next::Ready(..)) && self.waiting_bytes() == 0
    }

    /// Ends the open segment and goes on in the next one; while the disk is full, as soon as there
    /// is room. What was not prepared is waited for.
    ///
    /// # Errors
    /// The segment could not be written, or the next one not be made.
    pub fn rotate(&mut self, at: Moment) -> Result<(), Error> {
        self.flush()?;
        self.with_segment(|_, segment| segment.commit())?;
        self.rotation_wanted = true;
        if self.waiting_bytes() > 0 {
            return Ok(());
        }
        self.wait_for_next(at)?;
        match std::mem::take(&mut self.next) {
            Next::Ready(named, file) => {
                self.close(at.wall)?;
                self.open(named, Some(file), at)?;
            }
            other => self.next = other,
        }
        self.settle(at)
    }

    /// Seals the open segment, if there is one, for good, and makes room by the rules of retention.
    /// Waits until all of it is on the disk. `now`: UTC.
    ///
    /// # Errors
    /// The segment could not be written, synced or renamed. The disk is full, and records are lost.
    pub fn seal(&mut self, now: UnixNanos) -> Result<(), Error> {
        self.flush()?;
        let Some(open) = &self.open else {
            return self.drain(Moment { wall: now, steady_ns: 0 });
        };
        let at = Moment { wall: now, steady_ns: open.began_ns };
        self.with_segment(|_, segment| segment.commit())?;
        self.give_up_next(at)?;
        self.disk.list();
        self.drain(at)?;
        // Before the end: what goes is said in this one.
        self.keep_to_budget(now);
        self.drain(at)?;
        if self.waiting_bytes() > 0 {
            self.retry(at)?;
        }
        if let (1.., Some(open)) = (self.waiting_bytes(), &self.open) {
            let (name, lost) = (part(open.segment.part()), self.waiting_bytes());
            let doing = format!("cannot write the last {lost} bytes of records to");
            return Err(self.spool.failed(&doing, &name, Errno::ENOSPC.into()));
        }
        self.close(now)?;
        self.drain(at)?;
        // The next run's first segment names its hash; the next one of this run has it from here.
        self.disk.keep(self.identity);
        self.drain(at)
    }

    /// Seals the last segment, as somebody asked for the end: a pause behind it is no loss.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_last(&mut self, now: UnixNanos) -> Result<(), Error> {
        self.stop_requested = true;
        self.seal(now)
    }

    /// Writes the end of the open segment, which has all until `to`, and lets it be sealed.
    pub(super) fn close(&mut self, to: UnixNanos) -> Result<(), Error> {
        self.state_shed_detail()?;
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let (name, len_bytes) = (open.segment.part().to_owned(), open.segment.len_bytes());
        let stop_requested = self.stop_requested;
        let close = SegmentClose { stop_requested, recorded_to: Some(to), ..SegmentClose::default() };
        let (file, stem) =
            open.segment.finish(&close).map_err(|e| self.spool.failed("cannot write", &part(&name), e))?;
        // What waits here is the end block: all records are in the file, and readers take it for
        // one of a recorder that was killed.
        let (Some(sha256), Some(file)) = (file.sha256(), file.file()) else {
            return Ok(());
        };
        self.identity = self.identity.sealed(sha256);
        self.under_way.sealing_bytes = len_bytes;
        let may_stay = self.plan.waiting_bytes > 0;
        self.disk.seal(Finish { file: Arc::clone(file), part: name, stem, sha256, may_stay });
        Ok(())
    }

    /// Takes note of the file of the next segment.
    pub(super) fn made(&mut self, file: Option<Arc<File>>, at: Moment) {
        self.next = match (std::mem::take(&mut self.next), file) {
            (Next::Asked(named), Some(file)) => {
                self.spool.made(&named.part, None);
                self.names.insert(part(&named.part));
                Next::Ready(named, file)
            }
            (Next::Asked(named), None) => Next::NoRoom(named, at.steady_ns),
            (other, _) => other,
        };
    }

    fn ask(&mut self, at: Moment) -> Result<(), Error> {
        let segment = uuid()?;
        let part = self.header(segment, at).file_stem();
        let no_room = if self.plan.waiting_bytes > 0 { NoRoom::Waits } else { NoRoom::IsAnError };
        self.disk.make(self.identity.after(segment), part.clone(), no_room);
        self.next = Next::Asked(Named { segment, part });
        Ok(())
    }

    fn wait_for_next(&mut self, at: Moment) -> Result<(), Error> {
        if matches!(self.next, Next::NotAsked | Next::NoRoom(..)) {
            self.ask(at)?;
        }
        while matches!(self.next, Next::Asked(_))
            && let Some(outcome) = self.disk.wait()
        {
            self.heed(outcome?, at)?;
        }
        Ok(())
    }

    /// A file that was made for a segment which will not come.
    fn give_up_next(&mut self, at: Moment) -> Result<(), Error> {
        if matches!(self.next, Next::Asked(_)) {
            self.wait_for_next(at)?;
        }
        if let Next::Ready(named, _) = std::mem::take(&mut self.next) {
            let name = part(&named.part);
            self.spool.forget(&name);
            self.names.remove(&name);
            self.disk.discard(name);
        }
        Ok(())
    }

    /// Writes the header of the next segment, and goes on in it.
    fn open(&mut self, Named { segment, part }: Named, file: Option<Arc<File>>, at: Moment) -> Result<(), Error> {
        let header = self.header(segment, at);
        self.identity = self.identity.after(segment);
        if file.is_some() {
            self.spool.made(&part, Some(header.mark()));
        }
        let file = SegmentFile::new(file, self.plan.waiting_bytes);
        let mut segment =
            OpenSegment::create(file, &header, part.clone()).map_err(|e| cannot_write(&self.spool, &part, e))?;
        for (number, interface) in &self.interfaces {
            segment.interface(*number, interface).map_err(|e| cannot_write(&self.spool, &part, e))?;
        }
        if self.keeping.is_shedding() {
            segment.shed_detail();
        }
        self.rotation_wanted = false;
        self.open = Some(Open {
            segment,
            began_ns: at.steady_ns,
            synced_len: 0,
            synced_at_ns: i64::MIN,
            written: (0, 0),
            tried_at_ns: None,
        });
        self.recorded_to = at.wall;
        self.tell(at.wall)
    }

    fn header(&self, segment: [u8; 16], at: Moment) -> SegmentHeader {
        SegmentHeader {
            format: SegmentHeader::FORMAT,
            segment,
            recorder: self.identity.recorder,
            run: self.run,
            sequence: self.identity.sequence,
            before: self.identity.before,
            before_hash: self.identity.before_hash,
            boot: self.plan.boot,
            start: at.wall,
            monotonic_start_ns: u64::try_from(at.steady_ns).unwrap_or(0),
            interval_ns: self.plan.interval_ns,
            link_type: self.plan.link_type,
            interface: self.plan.interface.clone(),
            local: self.plan.local.clone(),
        }
    }
}
