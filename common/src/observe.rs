//! Packets → observations: the facts that segments keep and attribution works on.

mod asked;
mod carriers;
mod copies;
mod fragment;
mod meter;
mod moved;
mod stub;

pub use meter::{Meter, MeterConfig, Totals};
pub use stub::OwnAddress;

use crate::flow::Flow;
use crate::names::NameSeen;
use crate::packet::Interface;
use crate::time::UnixNanos;
use crate::wire::{DecodeError, Fault, Layer, NotIp};

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
    /// The reason with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Suspend, Self::LinkDown, Self::ClockStep, Self::NoSpace, Self::Damaged, Self::InterfaceGone]
            .into_iter()
            .find(|r| *r as u32 == number)
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

/// What a [`Count`] counts. Everything that is not usage of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counter {
    /// Frames without IP, by what they hold. `bytes`: of the frames.
    NotIp(NotIp),
    /// Frames whose outermost IP header could not be read. `bytes`: what is booked as undecodable.
    Undecodable(DecodeError),
    /// Counted IP packets in which something above the outermost IP header could not be read. `bytes`: their IP bytes.
    Note(DecodeError),
    /// IP packets that state no length, or one for which a frame that was captured whole has no room: counted by the frame's.
    LengthFromFrame,
    /// Packets that the kernel handed or would have handed to the capture (libpcap `ps_recv`).
    KernelReceived,
    /// Packets that the kernel dropped because the ring was full (libpcap `ps_drop`). `bytes`: of their frames, if they were
    /// as long as those that the interface counted in the same interval are in the mean; 0 where that is unknown.
    KernelDropped,
    /// Packets that the interface or its driver dropped (libpcap `ps_ifdrop`).
    InterfaceDropped,
    /// Packets and bytes that the interface received, by its own counters.
    InterfaceReceived,
    /// Packets and bytes that the interface sent, by its own counters.
    InterfaceSent,
    /// Names that were not found because a bound of the reassembly was reached, and flows and DNS messages in which none
    /// was looked for because the recorder could not keep up.
    NamesGivenUp,
    /// Flows in which a field that should hold a host (Host, CONNECT, SNI) held what no host is called.
    NotAHost,
    /// Nothing was recorded from `ts` on for `bytes` nanoseconds.
    Gap(GapReason),
    /// Packets that were counted on another interface of the capture already. `bytes`: their IP bytes, which are in no flow.
    Copy,
    /// Bytes that the flow of this number (as far as 32 bits hold it) moved as carrier of a tunnel, and that were counted on the
    /// tunnel's own interface: they are not in the flow.
    Carried(u32),
    /// A counter of a newer format version; kept so that nothing vanishes. Number and detail.
    Unknown(u8, u32),
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
            Self::NotAHost => (20, 0),
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
            (20, _) => Self::NotAHost,
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

/// Takes observations, in the order in which they were made. Names come before the usage of the same interval.
pub trait Observer {
    /// What can go wrong while keeping one.
    type Error;

    /// What the interface with this number is ([`Flow::interface`]); told before the flows of it, and perhaps again.
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
            Counter::Unknown(200, 7),
        ] {
            let (number, detail) = counter.to_numbers();
            assert_eq!(Counter::from_numbers(number, detail), counter);
        }
    }
}
