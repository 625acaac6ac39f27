//! What others ask of a pipeline: counts, the open segment, the spool.

use super::{Pipeline, part};
use crate::error::Error;
use crate::health::Health;
use crate::spool::Foreign;
use crate::status::{Counted, OpenFile, SpoolUse};
use imon_common::observe::Totals;

impl Pipeline {
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
    pub fn open_file(&self) -> Option<OpenFile> {
        let segment = &self.open.as_ref()?.segment;
        let (open, taken) = (self.open.as_ref()?, segment.taken());
        let waits = segment.file().is_waiting();
        let waiting = (taken.0.saturating_sub(open.written.0), taken.1.saturating_sub(open.written.1));
        Some(OpenFile {
            name: part(segment.part()),
            len_bytes: segment.file().len_bytes(),
            recorded_to: self.recorded_to,
            waiting: if waits { waiting } else { (0, 0) },
        })
    }

    /// What the segments take, by what was last heard of the spool.
    pub fn spool_use(&self) -> SpoolUse {
        let sealed = self.spool.sealed_of(&self.names);
        SpoolUse {
            segments: sealed.len() as u64,
            len_bytes: sealed.iter().map(|s| s.len_bytes).sum::<u64>() + self.open_file().map_or(0, |s| s.len_bytes),
            budget_bytes: self.plan.retention.map_or(u64::MAX, |keep| keep.size_bytes),
            kept: self.keeping.summary(),
        }
    }

    /// Files in the spool that look like segments and are not ours.
    pub fn foreign(&self) -> Foreign {
        self.spool.foreign_of(&self.names)
    }

    /// Identity of this run.
    pub fn run(&self) -> [u8; 16] {
        self.run
    }

    /// Nobody has to say any more how the start went.
    ///
    /// # Errors
    /// What the system says.
    pub fn clear_start(&self) -> Result<(), Error> {
        self.spool.clear_start()
    }

    /// Segments sealed so far.
    pub fn sealed_segments(&self) -> u64 {
        self.sealed
    }
}
