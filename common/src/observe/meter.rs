//! The meter: packets in, observations out.

use super::Observer;
use crate::local::LocalNets;
use crate::packet::CapturedPacket;
use crate::time::UnixNanos;

/// How a [`Meter`] works.
#[derive(Debug, Clone)]
pub struct MeterConfig {
    /// Which addresses are ours.
    pub local: LocalNets,
    /// Length of an interval in nanoseconds.
    pub interval_ns: i64,
    /// Most flows held at a time.
    pub flow_limit: usize,
}

impl Default for MeterConfig {
    fn default() -> Self {
        Self {
            local: LocalNets::default(),
            interval_ns: crate::time::NANOS_PER_SECOND,
            flow_limit: 65_536,
        }
    }
}

/// Decodes packets, keeps the flow table, and hands observations to an [`Observer`] at the end of each interval.
#[derive(Debug)]
pub struct Meter {}

impl Meter {
    /// An empty meter.
    pub fn new(config: MeterConfig) -> Self {
        _ = config;
        Self {}
    }

    /// Changes the list of local networks. Flows that are open keep their direction.
    pub fn set_local(&mut self, local: LocalNets) {
        _ = local;
    }

    /// Counts one frame. When its time lies in another interval than the frame before, that interval is handed over first.
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn packet<O: Observer>(
        &mut self,
        packet: &CapturedPacket<'_>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        _ = (packet, observer);
        Ok(())
    }

    /// Hands over what is pending if `now` lies after the current interval. For links on which nothing arrives.
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn tick<O: Observer>(&mut self, now: UnixNanos, observer: &mut O) -> Result<(), O::Error> {
        _ = (now, observer);
        Ok(())
    }

    /// Hands over everything pending, whatever the time: before a rotation, and at the end.
    ///
    /// # Errors
    /// What `observer` gives.
    pub fn flush<O: Observer>(&mut self, observer: &mut O) -> Result<(), O::Error> {
        _ = observer;
        Ok(())
    }

    /// Totals since the meter was made.
    pub fn totals(&self) -> Totals {
        Totals::default()
    }
}

/// What went through a [`Meter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// All frames.
    pub packets: u64,
    /// Frames that held an IP packet.
    pub ip_packets: u64,
    /// Outermost IP lengths, undecodable ones included.
    pub ip_bytes: u64,
    /// Frames without IP.
    pub not_ip_packets: u64,
    /// Frames whose IP header could not be read.
    pub undecodable_packets: u64,
}
