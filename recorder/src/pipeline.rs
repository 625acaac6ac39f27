//! Packets in, sealed segments out: the meter, the open segment, and the spool behind it.

mod plan;
mod room;
mod seen;
mod told;

use crate::before::Before;
use crate::cage;
use crate::error::Error;
use crate::health::Health;
use crate::identity::{Identity, to_hex, uuid};
use crate::log::{Level, log};
use crate::open_segment::OpenSegment;
use crate::segment_file::SegmentFile;
use crate::spool::{PART, Spool};
use imon_common::local::LocalNets;
use imon_common::observe::{Count, Meter, MeterConfig, Observer, OwnAddress};
use imon_common::packet::{CapturedPacket, Interface};
use imon_common::segment::SegmentHeader;
use imon_common::time::UnixNanos;
use nix::errno::Errno;
pub use plan::{Moment, Plan};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;
use told::Gone;

/// A power cut costs what came after the last sync. Short intervals do not make for more syncs than
/// this, which wears flash; a little less than a second, so that intervals of 1 s are synced every
/// time.
const SYNC_EVERY: Duration = Duration::from_millis(900);

/// How often a full disk is tried again. Who frees room waits no longer, and a try costs next to
/// nothing.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// From packets to segment files.
#[derive(Debug)]
pub struct Pipeline {
    spool: Spool,
    plan: Plan,
    meter: Meter,
    identity: Identity,
    run: [u8; 16],
    sealed: u64,
    open: Option<Open>,
    health: Health,
    keeping: room::Keeping,
    /// A rotation was put off until there is room.
    rotation_put_off: bool,
    /// Until when all that was seen is in the segment's file.
    recorded_to: UnixNanos,
    /// The next segment to be sealed is the last one, because somebody asked for it.
    stop_requested: bool,
    /// What the next segment says of the run before, and of segments that are gone.
    before: Option<Before>,
    gone: Vec<Gone>,
    /// What the interfaces are, by number: each segment is told.
    interfaces: BTreeMap<u32, Interface>,
}

/// The segment that is being written.
#[derive(Debug)]
struct Open {
    segment: OpenSegment,
    began_ns: i64,
    /// Length and time of the last sync.
    synced_len: u64,
    synced_at_ns: i64,
    /// Packets and bytes that are in the file.
    written: (u64, u64),
    /// When a full disk was last tried; `None` while there is room.
    tried_at_ns: Option<i64>,
}

impl Pipeline {
    /// A pipeline without a segment; the first is opened by [`Self::begin`] or by the first packet.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(spool: Spool, plan: Plan) -> Result<Self, Error> {
        let identity = match spool.identity() {
            Some(identity) => identity,
            None => Identity::new()?,
        };
        let config = MeterConfig { local: plan.local.clone(), interval_ns: plan.interval_ns, ..MeterConfig::default() };
        Ok(Self {
            spool,
            plan,
            meter: Meter::new(config),
            identity,
            run: uuid()?,
            sealed: 0,
            open: None,
            health: Health::default(),
            keeping: room::Keeping::default(),
            rotation_put_off: false,
            recorded_to: UnixNanos(i64::MIN),
            stop_requested: false,
            before: None,
            gone: Vec::new(),
            interfaces: BTreeMap::new(),
        })
    }

    /// Opens the next segment.
    ///
    /// # Errors
    /// The spool cannot take it.
    pub fn begin(&mut self, at: Moment) -> Result<(), Error> {
        let header = SegmentHeader {
            format: SegmentHeader::FORMAT,
            segment: uuid()?,
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
        };
        // Before the segment: a sequence that was given is never given again, and one that is
        // missing is no harm.
        self.identity = self.identity.after(header.segment);
        match self.spool.keep_identity(self.identity) {
            // There will be room again, and then a later sequence is kept.
            Err(e) if e.is_no_room() => {}
            other => other?,
        }
        let stem = header.file_stem();
        let file = match self.spool.create(&stem, Some(header.mark())) {
            Err(e) if e.is_no_room() && self.plan.waiting_bytes > 0 => None,
            other => Some(other?),
        };
        let mut segment = OpenSegment::create(SegmentFile::new(file, self.plan.waiting_bytes), &header)
            .map_err(|e| cannot_write(&self.spool, &stem, e))?;
        for (number, interface) in &self.interfaces {
            segment.interface(*number, interface).map_err(|e| cannot_write(&self.spool, &stem, e))?;
        }
        if self.keeping.is_shedding() {
            segment.shed_detail();
        }
        self.rotation_put_off = false;
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

    /// Counts one frame.
    ///
    /// # Errors
    /// The segment could not be written.
    #[inline]
    pub fn packet(&mut self, packet: &CapturedPacket<'_>) -> Result<(), Error> {
        if self.open.is_none() {
            self.plan.link_type = packet.link_type;
            self.begin(Moment { wall: packet.ts, steady_ns: packet.ts.0 })?;
        }
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        self.meter.packet(packet, &mut open.segment).map_err(|e| cannot_write(&self.spool, open.segment.stem(), e))
    }

    /// Says what the interface with this number is. Of the second one on the same packet may come
    /// more than once.
    ///
    /// # Errors
    /// The segment could not be written.
    pub fn know_interface(&mut self, number: u32, interface: &Interface) -> Result<(), Error> {
        if self.interfaces.insert(number, interface.clone()).as_ref() == Some(interface) {
            return Ok(());
        }
        if self.interfaces.len() > 1 {
            self.meter.expect_copies();
        }
        self.with_segment(|_, segment| segment.interface(number, interface))
    }

    /// Whether names are looked for in the packets to come.
    pub fn look_for_names(&mut self, yes: bool) {
        self.meter.look_for_names(yes);
    }

    #[cfg(test)]
    pub(crate) fn looks_for_names(&self) -> bool {
        self.meter.looks_for_names()
    }

    /// Takes the names out of one frame of DNS between this machine and itself, and counts nothing.
    ///
    /// # Errors
    /// The segment could not be written.
    pub fn names_only(&mut self, packet: &CapturedPacket<'_>) -> Result<(), Error> {
        self.with_segment(|meter, segment| meter.names_only(packet, segment))
    }

    /// Says that no packet before `now` will come any more: an interval that is over is handed
    /// over.
    ///
    /// # Errors
    /// The segment could not be written.
    pub fn tick(&mut self, now: UnixNanos) -> Result<(), Error> {
        self.with_segment(|meter, segment| meter.tick(now, segment))
    }

    /// Records counts that belong to the interval around `ts`.
    ///
    /// # Errors
    /// The segment could not be written.
    pub fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Error> {
        self.health.note(ts, counts);
        self.with_segment(|_, segment| segment.counts(ts, counts))
    }

    /// Writes what was handed over, and brings it to the disk if the last time was [`SYNC_EVERY`]
    /// ago. Does nothing if there is nothing. On a full disk what was handed over waits.
    ///
    /// # Errors
    /// The segment could not be written or synced; then the recording is over.
    pub fn commit(&mut self, at: Moment) -> Result<(), Error> {
        self.heed_budget(at)?;
        self.with_segment(|_, segment| segment.commit())?;
        self.note_written();
        self.relieve(at)?;
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let (len, pause) = (open.segment.file().len_bytes(), elapsed(open.synced_at_ns, at.steady_ns));
        if len == open.synced_len || pause < SYNC_EVERY {
            return Ok(());
        }
        (open.synced_len, open.synced_at_ns) = (len, at.steady_ns);
        let Some(file) = open.segment.file().file() else {
            return Ok(());
        };
        let name = part(open.segment.stem());
        file.sync_data().map_err(|e| self.spool.failed("cannot sync", &name, e))?;
        // Without a name nobody will ever find it: better the end now than hours for nothing.
        match cage::stat(file.as_fd()) {
            Ok(stat) if stat.st_nlink == 0 => {
                let removed = io::Error::new(io::ErrorKind::NotFound, "it was removed while it was written");
                Err(self.spool.failed("cannot go on with", &name, removed))
            }
            _ => Ok(()),
        }
    }

    /// Writes what was seen so far, though its interval is not over: who ends this process by force
    /// costs what came after. Not brought to the disk, as that is for power cuts, and not where a
    /// tunnel is followed ([`Meter::save`]). `to`: until when everything has come.
    ///
    /// # Errors
    /// The segment could not be written.
    pub fn save(&mut self, to: UnixNanos) -> Result<(), Error> {
        if self.waiting_bytes() > 0 {
            return Ok(()); // it would only take more of the memory
        }
        let mut is_saved = false;
        self.with_segment(|meter, segment| {
            is_saved = meter.save(segment)?;
            if is_saved {
                segment.recorded_to(to);
            }
            segment.commit()
        })?;
        if is_saved {
            self.note_recorded(to);
        }
        Ok(())
    }

    /// Whether something was seen that [`Self::save`] would write.
    pub fn has_unsaved(&self) -> bool {
        self.meter.has_booked()
    }

    /// Takes note that all that was seen until `to` was handed over and written.
    pub fn note_recorded(&mut self, to: UnixNanos) {
        if self.waiting_bytes() == 0 {
            self.recorded_to = to;
        }
    }

    /// Whether the open segment has reached its size or age. Not while the disk is full.
    pub fn rotation_due(&self, steady_ns: i64) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let due = self.plan.rotation.is_due(open.segment.len_bytes(), elapsed(open.began_ns, steady_ns));
            (due || self.rotation_put_off) && !open.segment.file().is_waiting()
        })
    }

    /// Changes the local networks: from the next segment on.
    pub fn set_local(&mut self, local: LocalNets) {
        self.meter.set_local(local.clone());
        self.plan.local = local;
    }

    /// Changes the addresses that stand for this machine in [`Self::names_only`].
    pub fn set_own(&mut self, own: &[OwnAddress]) {
        self.meter.set_own(own);
    }

    /// Hands over what is pending, interval over or not: before [`Self::rotate`] and
    /// [`Self::seal`], so that counts can come between.
    ///
    /// # Errors
    /// The segment could not be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.with_segment(|meter, segment| meter.flush(segment))
    }

    /// Seals the open segment and opens the next one; while the disk is full, as soon as there is
    /// room.
    ///
    /// # Errors
    /// The segment could not be written, synced or renamed, or the next one not be made.
    pub fn rotate(&mut self, at: Moment) -> Result<(), Error> {
        self.flush()?;
        self.with_segment(|_, segment| segment.commit())?;
        if self.waiting_bytes() > 0 {
            self.rotation_put_off = true;
            return Ok(());
        }
        self.close(at.wall)?;
        self.make_room(at)?;
        self.begin(at)
    }

    /// Seals the open segment, if there is one, for good, and makes room by the rules of retention.
    /// `now`: UTC.
    ///
    /// # Errors
    /// The segment could not be written, synced or renamed. The disk is full, and records are lost.
    pub fn seal(&mut self, now: UnixNanos) -> Result<(), Error> {
        self.flush()?;
        let Some(open) = &self.open else {
            return Ok(());
        };
        let at = Moment { wall: now, steady_ns: open.began_ns };
        self.with_segment(|_, segment| segment.commit())?;
        if self.waiting_bytes() > 0 {
            self.keep_to_budget(now)?;
            self.retry(at)?;
        }
        match (self.waiting_bytes(), &self.open) {
            (1.., Some(open)) => {
                let (name, lost) = (part(open.segment.stem()), self.waiting_bytes());
                let doing = format!("cannot write the last {lost} bytes of records to");
                Err(self.spool.failed(&doing, &name, Errno::ENOSPC.into()))
            }
            _ => {
                // Before: what goes is said in this one.
                self.keep_to_budget(now)?;
                self.close(now)?;
                // The next run's first segment names its hash; the next one of this run has it from
                // here.
                match self.spool.keep_identity(self.identity) {
                    Err(e) if e.is_no_room() => Ok(()),
                    kept => kept,
                }
            }
        }
    }

    /// Seals the last segment, as somebody asked for the end: a pause behind it is no loss.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_last(&mut self, now: UnixNanos) -> Result<(), Error> {
        self.stop_requested = true;
        self.seal(now)
    }

    /// Writes the end of the open segment, which has all until `to`, and gives it its final name.
    fn close(&mut self, to: UnixNanos) -> Result<(), Error> {
        self.state_shed_detail()?;
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let name = part(open.segment.stem());
        let (file, stem) =
            open.segment.finish(self.stop_requested, to).map_err(|e| self.spool.failed("cannot write", &name, e))?;
        // What waits here is the end block: all records are in the file, and readers take it for
        // one of a recorder that was killed.
        let (Some(hash), Some(file)) = (file.sha256(), file.file()) else {
            return Ok(());
        };
        match self.spool.seal(file, &stem) {
            // The next start gives it its name.
            Err(e) if e.is_no_room() && self.plan.waiting_bytes > 0 => log(Level::Warning, format_args!("{e}")),
            // The anchor: who can change what is in the spool cannot change what was said
            // elsewhere. A capture file is its own.
            sealed => {
                let level = if self.plan.retention.is_some() { Level::Info } else { Level::Debug };
                log(level, format_args!("sealed {}, SHA-256 {}", sealed?, to_hex(&hash)));
            }
        }
        self.sealed += 1;
        self.identity = self.identity.sealed(hash);
        Ok(())
    }

    fn note_written(&mut self) {
        if let Some(open) = self.open.as_mut().filter(|open| !open.segment.file().is_waiting()) {
            open.written = open.segment.taken();
        }
    }

    fn with_segment(&mut self, work: impl FnOnce(&mut Meter, &mut OpenSegment) -> io::Result<()>) -> Result<(), Error> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        work(&mut self.meter, &mut open.segment).map_err(|e| cannot_write(&self.spool, open.segment.stem(), e))
    }
}

#[cold]
fn cannot_write(spool: &Spool, stem: &str, source: io::Error) -> Error {
    spool.failed("cannot write", &part(stem), source)
}

fn part(stem: &str) -> String {
    format!("{stem}{PART}")
}

fn elapsed(from_ns: i64, to_ns: i64) -> Duration {
    Duration::from_nanos(u64::try_from(to_ns.saturating_sub(from_ns)).unwrap_or(0))
}

#[cfg(test)]
mod tests;
