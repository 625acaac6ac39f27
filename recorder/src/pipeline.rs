//! Packets in, sealed segments out: the meter, the open segment, and the spool behind it.

use crate::error::Error;
use crate::health::Health;
use crate::log::{Level, log};
use crate::rotate::{Retention, Rotation, surplus};
use crate::spool::{PART, Spool};
use crate::status::{Counted, OpenSegment, SpoolUse};
use crate::units::size_text;
use imon_common::local::LocalNets;
use imon_common::observe::{Count, Meter, MeterConfig, Observer, Totals};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::segment::{SegmentHeader, SegmentWriter};
use imon_common::time::UnixNanos;
use std::fs::File;
use std::io;
use std::time::Duration;

/// A power cut costs what came after the last sync. Short intervals do not make for more syncs than this, which wears
/// flash; a little less than a second, so that intervals of 1 s are synced every time.
const SYNC_EVERY: Duration = Duration::from_millis(900);

/// What all segments of a run have in common.
#[derive(Debug)]
pub struct Plan {
    /// Interface, or name of the capture file.
    pub interface: String,
    /// Link type for the header.
    pub link_type: LinkType,
    /// Which addresses are ours.
    pub local: LocalNets,
    /// Length of an interval in nanoseconds.
    pub interval_ns: i64,
    /// When to seal.
    pub rotation: Rotation,
    /// What to keep; `None` keeps everything.
    pub retention: Option<Retention>,
}

/// An instant on the two clocks that a segment has: UTC for its records, another one for its age.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// UTC.
    pub wall: UnixNanos,
    /// A clock in nanoseconds that is not stepped; of a capture file the packets' own. Goes into the header.
    pub steady_ns: i64,
}

/// From packets to segment files.
#[derive(Debug)]
pub struct Pipeline {
    spool: Spool,
    plan: Plan,
    meter: Meter,
    recorder: [u8; 16],
    sequence: u64,
    sealed: u64,
    open: Option<Open>,
    health: Health,
    removed: u64,
}

/// The segment that is being written.
#[derive(Debug)]
struct Open {
    writer: SegmentWriter<File>,
    stem: String,
    began_ns: i64,
    /// Length and time of the last sync.
    synced_len: u64,
    synced_at_ns: i64,
}

impl Pipeline {
    /// A pipeline without a segment; the first is opened by [`Self::begin`] or by the first packet.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(spool: Spool, plan: Plan) -> Result<Self, Error> {
        let config = MeterConfig { local: plan.local.clone(), interval_ns: plan.interval_ns, ..MeterConfig::default() };
        Ok(Self {
            spool,
            plan,
            meter: Meter::new(config),
            recorder: uuid()?,
            sequence: 0,
            sealed: 0,
            open: None,
            health: Health::default(),
            removed: 0,
        })
    }

    /// Opens the next segment.
    ///
    /// # Errors
    /// The spool cannot take it.
    pub fn begin(&mut self, at: Moment) -> Result<(), Error> {
        let header = SegmentHeader {
            segment: uuid()?,
            recorder: self.recorder,
            sequence: self.sequence,
            start: at.wall,
            monotonic_start_ns: u64::try_from(at.steady_ns).unwrap_or(0),
            interval_ns: self.plan.interval_ns,
            link_type: self.plan.link_type,
            interface: self.plan.interface.clone(),
            local: self.plan.local.clone(),
        };
        let stem = header.file_stem();
        let file = self.spool.create(&stem)?;
        let writer = SegmentWriter::create(file, &header).map_err(|e| cannot_write(&self.spool, &stem, e))?;
        self.sequence += 1;
        self.open = Some(Open { writer, stem, began_ns: at.steady_ns, synced_len: 0, synced_at_ns: i64::MIN });
        Ok(())
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
        self.meter.packet(packet, &mut open.writer).map_err(|e| cannot_write(&self.spool, &open.stem, e))
    }

    /// Says that no packet before `now` will come any more: an interval that is over is handed over.
    ///
    /// # Errors
    /// The segment could not be written.
    pub fn tick(&mut self, now: UnixNanos) -> Result<(), Error> {
        self.with_writer(|meter, writer| meter.tick(now, writer))
    }

    /// Records counts that belong to the interval around `ts`.
    ///
    /// # Errors
    /// The segment could not be written.
    pub fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Error> {
        self.health.note(ts, counts);
        self.with_writer(|_, writer| writer.counts(ts, counts))
    }

    /// Writes what was handed over, and brings it to the disk if the last time was [`SYNC_EVERY`] ago. Does nothing if
    /// there is nothing.
    ///
    /// # Errors
    /// The segment could not be written or synced; then the recording is over.
    pub fn commit(&mut self, steady_ns: i64) -> Result<(), Error> {
        self.with_writer(|_, writer| writer.commit())?;
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let pause = Duration::from_nanos(u64::try_from(steady_ns.saturating_sub(open.synced_at_ns)).unwrap_or(0));
        if open.writer.len_bytes() == open.synced_len || pause < SYNC_EVERY {
            return Ok(());
        }
        (open.synced_len, open.synced_at_ns) = (open.writer.len_bytes(), steady_ns);
        let part = format!("{}{PART}", open.stem);
        open.writer.get_ref().sync_data().map_err(|e| self.spool.failed("cannot sync", &part, e))
    }

    /// Whether the open segment has reached its size or age.
    pub fn rotation_due(&self, steady_ns: i64) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let age_ns = steady_ns.saturating_sub(open.began_ns);
            let age = Duration::from_nanos(u64::try_from(age_ns).unwrap_or(0));
            self.plan.rotation.is_due(open.writer.len_bytes(), age)
        })
    }

    /// Changes the local networks: from the next segment on.
    pub fn set_local(&mut self, local: LocalNets) {
        self.meter.set_local(local.clone());
        self.plan.local = local;
    }

    /// Hands over what is pending, interval over or not: before [`Self::seal`], so that counts can come between.
    ///
    /// # Errors
    /// The segment could not be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.with_writer(|meter, writer| meter.flush(writer))
    }

    /// Seals the open segment, if there is one, and makes room by the rules of retention. `now`: UTC.
    ///
    /// # Errors
    /// The segment could not be written, synced or renamed.
    pub fn seal(&mut self, now: UnixNanos) -> Result<(), Error> {
        self.flush()?;
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let (file, _) = open.writer.finish().map_err(|e| cannot_write(&self.spool, &open.stem, e))?;
        let name = self.spool.seal(&file, &open.stem)?;
        self.sealed += 1;
        log(Level::Debug, format_args!("sealed {name}"));
        self.make_room(now)
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
            log(Level::Info, format_args!("removed {}, {}, to keep to the budget", old.name, size_text(old.len_bytes)));
        }
        Ok(())
    }

    /// What went through.
    pub fn totals(&self) -> Totals {
        self.meter.totals()
    }

    /// What was lost.
    pub fn health(&mut self) -> &mut Health {
        &mut self.health
    }

    /// What the status says of the packets.
    pub fn counted(&self) -> Counted {
        let totals = self.meter.totals();
        Counted {
            packets: totals.packets,
            ip_bytes: totals.ip_bytes + totals.undecodable_bytes,
            flows: self.meter.flows() as u64,
            sealed_segments: self.sealed,
        }
    }

    /// The segment that is being written.
    pub fn open_segment(&self) -> Option<OpenSegment> {
        let open = self.open.as_ref()?;
        Some(OpenSegment { name: format!("{}{PART}", open.stem), len_bytes: open.writer.len_bytes() })
    }

    /// What the segments take; `None` where the spool cannot be listed.
    pub fn spool_use(&self) -> Option<SpoolUse> {
        let sealed = self.spool.sealed().ok()?;
        Some(SpoolUse {
            segments: sealed.len() as u64,
            len_bytes: sealed.iter().map(|s| s.len_bytes).sum::<u64>() + self.open_segment().map_or(0, |s| s.len_bytes),
            budget_bytes: self.plan.retention.map_or(u64::MAX, |keep| keep.size_bytes),
            removed_segments: self.removed,
        })
    }

    /// Writes the status file.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_status(&self, text: &[u8]) -> Result<(), Error> {
        self.spool.write_status(text)
    }

    /// Segments sealed so far.
    pub fn sealed_segments(&self) -> u64 {
        self.sealed
    }

    fn with_writer(
        &mut self,
        work: impl FnOnce(&mut Meter, &mut SegmentWriter<File>) -> io::Result<()>,
    ) -> Result<(), Error> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        work(&mut self.meter, &mut open.writer).map_err(|e| cannot_write(&self.spool, &open.stem, e))
    }
}

#[cold]
fn cannot_write(spool: &Spool, stem: &str, source: io::Error) -> Error {
    spool.failed("cannot write", &format!("{stem}{PART}"), source)
}

/// A random UUID (RFC 9562 section 5.4).
fn uuid() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::System { doing: "cannot get random numbers", source: io::Error::other(e) })?;
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    Ok(bytes)
}
