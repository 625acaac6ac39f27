//! Packets → observations: the facts that segments keep and attribution works on.

mod asked;
mod carriers;
mod copies;
mod expected;
mod fragment;
mod meter;
mod moved;
mod natted;
mod stub;
#[cfg(test)]
mod testing;

pub use meter::{Meter, MeterConfig, Names, Totals};
pub use stub::OwnAddress;

use crate::flow::Flow;
use crate::names::NameSeen;
use crate::packet::Interface;
use crate::time::UnixNanos;
use crate::wire::{DecodeError, Fault, Layer, NotIp};
use std::convert::Infallible;

/// What a flow moved in one interval. Up is client → server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Packets from the client.
    pub up_packets: u64,
    /// Packets to the client.
    pub down_packets: u64,
    /// IP bytes from the client.
    pub up_bytes: u64,
    /// IP bytes to the client.
    pub down_bytes: u64,
}

impl Usage {
    /// Adds one packet of so many bytes.
    #[inline(always)]
    pub(crate) fn add_packet(&mut self, from_client: bool, bytes: u64) {
        match from_client {
            true => (self.up_packets, self.up_bytes) = (self.up_packets + 1, self.up_bytes + bytes),
            false => (self.down_packets, self.down_bytes) = (self.down_packets + 1, self.down_bytes + bytes),
        }
    }

    /// Adds `other` to this.
    pub fn add(&mut self, other: Self) {
        self.up_packets += other.up_packets;
        self.down_packets += other.down_packets;
        self.up_bytes += other.up_bytes;
        self.down_bytes += other.down_bytes;
    }

    /// Bytes of both directions.
    pub fn bytes(self) -> u64 {
        self.up_bytes + self.down_bytes
    }

    /// Packets of both directions.
    pub fn packets(self) -> u64 {
        self.up_packets + self.down_packets
    }
}

/// Why nothing was recorded for a while. The numbers are part of the segment format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum GapReason {
    /// The machine slept.
    Suspend = 1,
    /// An interface was down, or without carrier.
    LinkDown = 2,
    /// The wall clock was stepped.
    ClockStep = 3,
    /// The recorder ran out of room and dropped records.
    NoSpace = 4,
    /// Part of a segment file is damaged or missing.
    Damaged = 5,
    /// An interface did not exist (unplugged, or made again).
    InterfaceGone = 6,
}

impl GapReason {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::Suspend, Self::LinkDown, Self::ClockStep, Self::NoSpace, Self::Damaged, Self::InterfaceGone];

    /// The reason with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|r| *r as u32 == number)
    }

    /// The word for it in reports and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::LinkDown => "link-down",
            Self::ClockStep => "clock-step",
            Self::NoSpace => "no-space",
            Self::Damaged => "damaged",
            Self::InterfaceGone => "interface-gone",
        }
    }
}

/// What was wrong with messages of exporters (NetFlow, IPFIX), or what they lack. The numbers are
/// part of the segment format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ExportFault {
    /// Messages that cannot be read, or not to their end. `bytes`: their length.
    Malformed = 1,
    /// Sets of records whose template has not come.
    NoTemplate = 2,
    /// Records of which no part is counted: what they claim cannot have passed. `bytes`: what they
    /// claim.
    Impossible = 3,
    /// Records with a number of packets, a time or a duration that cannot be, which was put right.
    /// `bytes`: theirs, which count.
    Corrected = 4,
    /// Missing by the sequence numbers: messages of v9, records of v5 and IPFIX.
    Lost = 5,
    /// Records for a time that was written already: they count later than they were. `bytes`:
    /// theirs, which count.
    Late = 6,
    /// Packets of a capture of exports that hold none. `bytes`: of their frames.
    NoExport = 7,
    /// Exporters that began anew: what they had not sent is lost.
    Restarted = 8,
    /// Records of something else than a flow that moved bytes.
    NoFlow = 9,
    /// Exporters that were forgotten, as too many are followed.
    Forgotten = 10,
    /// Messages that were captured twice and count once. `bytes`: of their frames.
    Copied = 11,
}

impl ExportFault {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::NoTemplate,
        Self::Impossible,
        Self::Corrected,
        Self::Lost,
        Self::Late,
        Self::NoExport,
        Self::Restarted,
        Self::NoFlow,
        Self::Forgotten,
        Self::Copied,
    ];

    /// The fault with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| *fault as u32 == number)
    }

    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoTemplate => "no-template",
            Self::Impossible => "impossible",
            Self::Corrected => "corrected",
            Self::Lost => "lost",
            Self::Late => "late",
            Self::NoExport => "no-export",
            Self::Restarted => "restarted",
            Self::NoFlow => "no-flow",
            Self::Forgotten => "forgotten",
            Self::Copied => "copied",
        }
    }
}

/// What a [`Count`] counts. Everything that is not usage of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counter {
    /// Frames without IP, by what they hold. `bytes`: of the frames.
    NotIp(NotIp),
    /// Frames whose outermost IP header could not be read. `bytes`: what is booked as undecodable.
    Undecodable(DecodeError),
    /// Counted IP packets in which something above the outermost IP header could not be read.
    /// `bytes`: their IP bytes.
    Note(DecodeError),
    /// IP packets that state no length, or one for which a frame that was captured whole has no
    /// room: counted by the frame's.
    LengthFromFrame,
    /// Packets that the kernel handed or would have handed to the capture (libpcap `ps_recv`).
    KernelReceived,
    /// Packets that the kernel dropped because the ring was full (libpcap `ps_drop`). `bytes`: of
    /// their frames, if they were as long as those that the interface counted in the same interval
    /// are in the mean; 0 where that is unknown.
    KernelDropped,
    /// Packets that the interface or its driver dropped (libpcap `ps_ifdrop`).
    InterfaceDropped,
    /// Packets and bytes that the interface received, by its own counters.
    InterfaceReceived,
    /// Packets and bytes that the interface sent, by its own counters.
    InterfaceSent,
    /// Names that were not found because a bound of the reassembly was reached, and flows and DNS
    /// messages in which none was looked for because the recorder could not keep up.
    NamesGivenUp,
    /// Flows in which a field that should hold a host (Host, CONNECT, SNI) held what no host is
    /// called.
    NotAHost,
    /// Nothing was recorded from `ts` on for `bytes` nanoseconds.
    Gap(GapReason),
    /// Packets that were counted on another interface of the capture already. `bytes`: their IP
    /// bytes, which are in no flow.
    Copy,
    /// Bytes that the flow of this number (as far as 32 bits hold it) moved as carrier of a tunnel,
    /// and that were counted on the tunnel's own interface: they are not in the flow.
    Carried(u32),
    /// What a recorder knows of its run before, in the first segment of a run: [`RunBefore`] has
    /// the bits and what `bytes` are.
    RunBefore(u32),
    /// Packets and IP bytes that waited in memory for room on the disk when the run before ended,
    /// and were lost with it.
    Unsaved,
    /// Segments that the recorder removed to keep to its budget: the sequence (low 32 bits) of the
    /// first; `packets`: how many, in a row; `bytes`: of their files.
    Removed(u32),
    /// The segment with this sequence (low 32 bits) was begun and never got a byte.
    NeverWritten(u32),
    /// All that was seen until then is in the file, though the interval is not over. Nothing is
    /// counted.
    RecordedTo,
    /// Of the usage of the same second, what exporters reported that look at one of so many packets
    /// (1: at all): multiplied by that number already.
    Exported(u32),
    /// What was wrong with messages of exporters. `packets`: cases; [`ExportFault`] has the bytes.
    Export(ExportFault),
    /// A counter of a newer format version; kept so that nothing vanishes. Number and detail.
    Unknown(u8, u32),
}

/// What a recorder knows of its run before when it begins another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunBefore {
    /// Until when it recorded, as far as is known.
    pub to: UnixNanos,
    /// It was asked to stop.
    pub requested: bool,
    /// Its last segment was sealed.
    pub sealed: bool,
    /// The machine was started since.
    pub rebooted: bool,
    /// It said itself that an error ended it.
    pub failed: bool,
    /// How long ago that was by a clock that is not stepped, in nanoseconds; `None` where it is not
    /// known.
    pub elapsed_ns: Option<i64>,
}

impl RunBefore {
    const REQUESTED: u32 = 1;
    const SEALED: u32 = 2;
    const REBOOTED: u32 = 4;
    const FAILED: u32 = 8;
    /// Its end is later than the count by the clock, which was set back.
    const LATER: u32 = 16;

    /// The count of a segment that says it at `ts`: `bytes` are the microseconds between the two
    /// times by the wall clock, `packets` those that passed, 0 where that is not known.
    pub fn to_count(self, ts: UnixNanos) -> Count {
        let bits = [
            (self.requested, Self::REQUESTED),
            (self.sealed, Self::SEALED),
            (self.rebooted, Self::REBOOTED),
            (self.failed, Self::FAILED),
            (self.to > ts, Self::LATER),
        ];
        let bits = bits.into_iter().filter(|(is_set, _)| *is_set).fold(0, |bits, (_, bit)| bits | bit);
        let apart_us = ts.since(self.to).unsigned_abs() / 1_000;
        let passed_us = self.elapsed_ns.map_or(0, |ns| u64::try_from(ns / 1_000).unwrap_or(0).max(1));
        Count { counter: Counter::RunBefore(bits), packets: passed_us, bytes: apart_us }
    }

    /// What a count at `ts` says; `None` if it is none of these.
    pub fn of_count(ts: UnixNanos, count: &Count) -> Option<Self> {
        let Counter::RunBefore(bits) = count.counter else { return None };
        let is_set = |bit| bits & bit != 0;
        let apart_ns = i64::try_from(count.bytes).unwrap_or(i64::MAX).saturating_mul(1_000);
        let apart_ns = if is_set(Self::LATER) { apart_ns } else { -apart_ns };
        Some(Self {
            to: UnixNanos(ts.0.saturating_add(apart_ns)),
            requested: is_set(Self::REQUESTED),
            sealed: is_set(Self::SEALED),
            rebooted: is_set(Self::REBOOTED),
            failed: is_set(Self::FAILED),
            elapsed_ns: (count.packets > 0)
                .then(|| i64::try_from(count.packets).unwrap_or(i64::MAX).saturating_mul(1_000)),
        })
    }
}

impl Counter {
    /// Number and detail, as a segment stores them.
    pub fn to_numbers(self) -> (u8, u32) {
        match self {
            Self::NotIp(NotIp::EtherType(t)) => (1, t.into()),
            Self::NotIp(NotIp::Llc) => (2, 0),
            Self::NotIp(NotIp::Link) => (3, 0),
            Self::NotIp(NotIp::LinkType(t)) => (4, t.into()),
            Self::Undecodable(e) => (5, error_number(e)),
            Self::Note(e) => (6, error_number(e)),
            Self::LengthFromFrame => (7, 0),
            Self::KernelReceived => (8, 0),
            Self::KernelDropped => (9, 0),
            Self::InterfaceDropped => (10, 0),
            Self::InterfaceReceived => (11, 0),
            Self::InterfaceSent => (12, 0),
            Self::NamesGivenUp => (13, 0),
            Self::Gap(r) => (14, r as u32),
            Self::Copy => (15, 0),
            Self::Carried(flow) => (16, flow),
            Self::RunBefore(bits) => (17, bits),
            Self::Unsaved => (18, 0),
            Self::Removed(sequence) => (19, sequence),
            Self::NotAHost => (20, 0),
            Self::NeverWritten(sequence) => (21, sequence),
            Self::RecordedTo => (22, 0),
            Self::Exported(rate) => (23, rate),
            Self::Export(fault) => (24, fault as u32),
            Self::Unknown(number, detail) => (number, detail),
        }
    }

    /// The counter with these numbers; [`Counter::Unknown`] where this version has none.
    pub fn from_numbers(number: u8, detail: u32) -> Self {
        let ether = u16::try_from(detail).ok();
        match (number, ether) {
            (1, Some(t)) => Self::NotIp(NotIp::EtherType(t)),
            (2, _) => Self::NotIp(NotIp::Llc),
            (3, _) => Self::NotIp(NotIp::Link),
            (4, Some(t)) => Self::NotIp(NotIp::LinkType(t)),
            (5, _) => error_from(detail).map_or(Self::Unknown(number, detail), Self::Undecodable),
            (6, _) => error_from(detail).map_or(Self::Unknown(number, detail), Self::Note),
            (7, _) => Self::LengthFromFrame,
            (8, _) => Self::KernelReceived,
            (9, _) => Self::KernelDropped,
            (10, _) => Self::InterfaceDropped,
            (11, _) => Self::InterfaceReceived,
            (12, _) => Self::InterfaceSent,
            (13, _) => Self::NamesGivenUp,
            (14, _) => GapReason::from_number(detail).map_or(Self::Unknown(number, detail), Self::Gap),
            (15, _) => Self::Copy,
            (16, _) => Self::Carried(detail),
            (17, _) => Self::RunBefore(detail),
            (18, _) => Self::Unsaved,
            (19, _) => Self::Removed(detail),
            (20, _) => Self::NotAHost,
            (21, _) => Self::NeverWritten(detail),
            (22, _) => Self::RecordedTo,
            (23, _) => Self::Exported(detail),
            (24, _) => ExportFault::from_number(detail).map_or(Self::Unknown(number, detail), Self::Export),
            _ => Self::Unknown(number, detail),
        }
    }
}

const LAYERS: [Layer; 6] = [Layer::Link, Layer::Ipv4, Layer::Ipv6, Layer::Tunnel, Layer::Tcp, Layer::Udp];
const FAULTS: [Fault; 3] = [Fault::Truncated, Fault::Malformed, Fault::Unsupported];

fn error_number(e: DecodeError) -> u32 {
    ((e.layer as u32) << 8) | e.fault as u32
}

fn error_from(number: u32) -> Option<DecodeError> {
    Some(DecodeError {
        layer: LAYERS.into_iter().find(|l| *l as u32 == number >> 8)?,
        fault: FAULTS.into_iter().find(|f| *f as u32 == number & 0xff)?,
    })
}

/// An amount since the last report of the same counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// What is counted.
    pub counter: Counter,
    /// Number of packets (or of events).
    pub packets: u64,
    /// Bytes, as the counter defines them; nanoseconds for a gap.
    pub bytes: u64,
}

/// Takes observations, in the order in which they were made. Names come before the usage of the
/// same interval.
pub trait Observer {
    /// What can go wrong while keeping one.
    type Error;

    /// What the interface with this number is ([`Flow::interface`]); told before the flows of it,
    /// and perhaps again.
    ///
    /// # Errors
    /// As the implementation defines.
    fn interface(&mut self, number: u32, interface: &Interface) -> Result<(), Self::Error> {
        _ = (number, interface);
        Ok(())
    }

    /// A name was seen in `flow`. For an in-flow name, `flow.name` holds it already.
    ///
    /// # Errors
    /// As the implementation defines.
    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Self::Error>;

    /// `flow` moved `usage` in the interval that starts at `interval`.
    ///
    /// # Errors
    /// As the implementation defines.
    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Self::Error>;

    /// Counts that belong to the interval around `ts`.
    ///
    /// # Errors
    /// As the implementation defines.
    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Self::Error>;
}

/// Takes everything and keeps nothing: for who wants to know how a segment ends, and not what is in
/// it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Observer for Nothing {
    type Error = Infallible;

    fn name(&mut self, _: &Flow, _: &NameSeen) -> Result<(), Infallible> {
        Ok(())
    }

    fn usage(&mut self, _: &Flow, _: UnixNanos, _: Usage) -> Result<(), Infallible> {
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, _: &[Count]) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_survives_its_numbers() {
        let error = DecodeError { layer: Layer::Udp, fault: Fault::Unsupported };
        for counter in [
            Counter::NotIp(NotIp::EtherType(0x0806)),
            Counter::NotIp(NotIp::Llc),
            Counter::NotIp(NotIp::Link),
            Counter::NotIp(NotIp::LinkType(147)),
            Counter::Undecodable(error),
            Counter::Note(error),
            Counter::LengthFromFrame,
            Counter::KernelReceived,
            Counter::KernelDropped,
            Counter::InterfaceDropped,
            Counter::InterfaceReceived,
            Counter::InterfaceSent,
            Counter::NamesGivenUp,
            Counter::NotAHost,
            Counter::Gap(GapReason::Suspend),
            Counter::Copy,
            Counter::Carried(9),
            Counter::RunBefore(5),
            Counter::Unsaved,
            Counter::Removed(7),
            Counter::NeverWritten(8),
            Counter::RecordedTo,
            Counter::Exported(100),
            Counter::Export(ExportFault::Copied),
            Counter::Unknown(200, 7),
        ] {
            let (number, detail) = counter.to_numbers();
            assert_eq!(Counter::from_numbers(number, detail), counter);
        }
    }

    #[test]
    fn what_is_known_of_the_run_before_survives_its_count_to_the_microsecond() {
        let at = UnixNanos(1_793_491_200_000_000_000);
        for (apart_us, requested, sealed, rebooted, failed) in [
            (0, false, false, false, false),
            (8_000_000, true, true, false, false),
            (-3_600_000_000, false, false, true, false), // the clock was set back by more than the pause
            (86_400_000_000 * 400, false, true, false, true),
        ] {
            let to = UnixNanos(at.0 - apart_us * 1_000);
            for elapsed_ns in [None, Some(8_000_000_000)] {
                let before = RunBefore { to, requested, sealed, rebooted, failed, elapsed_ns };
                assert_eq!(RunBefore::of_count(at, &before.to_count(at)), Some(before));
            }
        }
        assert_eq!(RunBefore::of_count(at, &Count { counter: Counter::Unsaved, packets: 1, bytes: 1 }), None);
    }
}
