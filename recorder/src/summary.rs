//! What is said at the end.

use crate::counters::Sums;
use crate::pipeline::Pipeline;
use std::fmt;
use std::time::Duration;

/// What a recording came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Frames of all kinds.
    pub packets: u64,
    /// Outermost IP lengths, and what is booked for undecodable IP; what was seen on several
    /// interfaces once.
    pub ip_bytes: u64,
    /// What was lost.
    pub lost: Sums,
    /// Segments sealed.
    pub segments: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Summary {
    /// The summary of a pipeline whose last segment is sealed.
    pub fn of(pipeline: &Pipeline, lost: Sums, elapsed: Duration) -> Self {
        let totals = pipeline.totals();
        Self {
            packets: totals.packets,
            ip_bytes: totals.ip_bytes.saturating_sub(totals.carried_bytes) + totals.undecodable_bytes,
            lost,
            segments: pipeline.sealed_segments(),
            elapsed,
        }
    }
}

impl fmt::Display for Summary {
    /// One number a line, behind a fixed word, so that scripts can read it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "packets: {}", self.packets)?;
        writeln!(f, "IP bytes: {}", self.ip_bytes)?;
        writeln!(f, "dropped by the kernel: {}", self.lost.kernel_dropped)?;
        writeln!(f, "dropped by the interface: {}", self.lost.interface_dropped)?;
        writeln!(f, "segments: {}", self.segments)?;
        write!(f, "seconds: {:.3}", self.elapsed.as_secs_f64())
    }
}
