//! Packets in, sealed segments out: the meter, the open segment, and the spool behind it.

mod change;
mod outcomes;
mod plan;
mod room;
mod seen;
mod told;

use crate::before::Before;
use crate::disk::Disk;
use crate::error::Error;
use crate::health::Health;
use crate::identity::{Identity, uuid};
use crate::open_segment::OpenSegment;
use crate::signals::Waker;
use crate::spool::{PART, Spool};
use crate::thread::Thread;
use imon_common::local::LocalNets;
use imon_common::observe::{Count, Meter, MeterConfig, Names, Observer, OwnAddress};
use imon_common::packet::{CapturedPacket, Interface};
use imon_common::time::UnixNanos;
pub use plan::{Moment, Plan};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
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
    disk: Disk,
    /// Names in the spool that have our suffixes, as far as is known.
    names: BTreeSet<String>,
    plan: Plan,
    meter: Meter,
    identity: Identity,
    run: [u8; 16],
    sealed: u64,
    open: Option<Open>,
    health: Health,
    keeping: room::Keeping,
    /// How far the next segment is, and that one is wanted though this one is neither long nor old.
    next: change::Next,
    rotation_wanted: bool,
    /// What is under way on the disk, and what came of it.
    under_way: outcomes::UnderWay,
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
        let disk = Disk::here(Arc::clone(spool.folder()));
        let names = spool.folder().names()?.into_iter().collect();
        let config = MeterConfig { local: plan.local.clone(), interval_ns: plan.interval_ns, ..MeterConfig::default() };
        Ok(Self {
            spool,
            disk,
            names,
            plan,
            meter: Meter::new(config),
            identity,
            run: uuid()?,
            sealed: 0,
            open: None,
            health: Health::default(),
            keeping: room::Keeping::default(),
            next: change::Next::default(),
            rotation_wanted: false,
            under_way: outcomes::UnderWay::default(),
            recorded_to: UnixNanos(i64::MIN),
            stop_requested: false,
            before: None,
            gone: Vec::new(),
            interfaces: BTreeMap::new(),
        })
    }

    /// From now on `thread` does what may wait for the disk, and wakes the loop.
    pub fn work_beside(&mut self, thread: Thread, waker: Waker) {
        self.disk.beside(thread, waker);
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
        self.meter.packet(packet, &mut open.segment).map_err(|e| cannot_write(&self.spool, open.segment.part(), e))
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

    /// What becomes of names in the packets to come.
    pub fn set_names(&mut self, names: Names) {
        self.meter.set_names(names);
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

    /// Writes what was handed over, and lets it be brought to the disk if the last time was
    /// [`SYNC_EVERY`] ago. Does nothing if there is nothing. On a full disk what was handed over
    /// waits.
    ///
    /// # Errors
    /// The segment could not be written, or something that was handed to the disk failed; then the
    /// recording is over.
    pub fn commit(&mut self, at: Moment) -> Result<(), Error> {
        self.heed_budget(at)?;
        self.with_segment(|_, segment| segment.commit())?;
        self.note_written();
        self.relieve(at)?;
        self.sync_if_due(at);
        self.settle(at)
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

    fn note_written(&mut self) {
        if let Some(open) = self.open.as_mut().filter(|open| !open.segment.file().is_waiting()) {
            open.written = open.segment.taken();
        }
    }

    fn with_segment(&mut self, work: impl FnOnce(&mut Meter, &mut OpenSegment) -> io::Result<()>) -> Result<(), Error> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        work(&mut self.meter, &mut open.segment).map_err(|e| cannot_write(&self.spool, open.segment.part(), e))
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
