//! A row of usage, and a time in which nothing was recorded.

use super::{Blind, Evidence, Traffic};
use imon_common::time::UnixNanos;

/// Usage of one bucket, host, device, evidence, scope, candidate set, blind spot, interface and
/// source. Up is from the device to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Start of the 15-minute bucket: Unix seconds UTC, a multiple of [`BUCKET_S`].
    pub bucket_s: i64,
    /// Index into [`Books::hosts`].
    pub host: u32,
    /// Index into [`Books::devices`].
    pub device: u32,
    /// How the bytes came by their name.
    pub evidence: Evidence,
    /// Which kind of traffic: what is local or served has lines of its own in the ledger.
    pub traffic: Traffic,
    /// Index into [`Books::candidate_sets`], where shared DNS answers could explain the bytes by
    /// other hosts too.
    pub candidates: Option<u32>,
    /// The blind spot that the bytes are in.
    pub blind: Option<Blind>,
    /// Index into [`Books::interfaces`].
    pub interface: u32,
    /// Index into [`Books::sources`].
    pub source: u32,
    /// IP bytes from the device.
    pub up_bytes: u64,
    /// IP bytes to the device.
    pub down_bytes: u64,
    /// Packets from the device.
    pub up_packets: u64,
    /// Packets to the device.
    pub down_packets: u64,
}

impl Row {
    /// A row of no byte.
    pub const NOTHING: Self = Self {
        bucket_s: 0,
        host: 0,
        device: 0,
        evidence: Evidence::None,
        traffic: Traffic::Visited,
        candidates: None,
        blind: None,
        interface: 0,
        source: 0,
        up_bytes: 0,
        down_bytes: 0,
        up_packets: 0,
        down_packets: 0,
    };
}

/// A time in which nothing was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Gap {
    /// First instant that is missing.
    pub from: UnixNanos,
    /// First instant that is there again.
    pub to: UnixNanos,
    /// Why, in the words of `GapReason::word` and `Pause::word`.
    pub reason: String,
    /// What was not recorded, where that is known: of a gap between segments.
    pub interface: Option<String>,
}
