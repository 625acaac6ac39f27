//! What a section says of an interface, and its clock.

use crate::packet::LinkType;
use crate::time::{NANOS_PER_SECOND, UnixNanos};

/// What an interface description block says, and what was lost there.
pub(super) struct Interface {
    pub(super) link_type: LinkType,
    pub(super) snaplen: u32,
    pub(super) resolution: Resolution,
    pub(super) offset_ns: i128,
    /// From the last statistics block.
    pub(super) dropped_by_statistics: Option<u64>,
    /// Summed over the packets.
    pub(super) dropped_by_packets: Option<u64>,
}

impl Interface {
    /// The instant that a packet's time stamp of `units` means; clamped to what the type can hold.
    #[inline]
    pub(super) fn instant(&self, units: u64) -> UnixNanos {
        self.usual_instant(units).unwrap_or_else(|| self.any_instant(units))
    }

    /// The same in 64 bits, which all but odd resolutions and times fit into: 128 bits cost several
    /// times as much.
    #[inline]
    fn usual_instant(&self, units: u64) -> Option<UnixNanos> {
        let Resolution::Multiply(by) = self.resolution else {
            return None;
        };
        let ns = units.checked_mul(by)?;
        let ns = i64::try_from(ns).ok()?.checked_add(i64::try_from(self.offset_ns).ok()?)?;
        Some(UnixNanos(ns))
    }

    #[cold]
    fn any_instant(&self, units: u64) -> UnixNanos {
        let ns = self.resolution.to_ns(units) + self.offset_ns;
        UnixNanos(i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Statistics win: they count from the start and hold what was lost after the last packet, too.
    pub(super) fn dropped(&self) -> Option<u64> {
        self.dropped_by_statistics.or(self.dropped_by_packets)
    }
}

/// How to turn a count of time units into nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolution {
    /// Units of a nanosecond or longer, decimal.
    Multiply(u64),
    /// Decimal units shorter than a nanosecond.
    Divide(u128),
    /// Units of 2^-n seconds.
    Shift(u32),
}

impl Default for Resolution {
    fn default() -> Self {
        Self::Multiply(1_000) // microseconds, where no option says otherwise
    }
}

impl Resolution {
    /// By the option's byte: the upper bit chooses powers of two, the others are the negative
    /// exponent.
    pub(super) fn from_option(value: u8) -> Self {
        let exponent = u32::from(value & 0x7f);
        match (value & 0x80 != 0, exponent) {
            (true, _) => Self::Shift(exponent),
            (false, 0..=9) => Self::Multiply(10_u64.pow(9 - exponent)),
            // 10^29 ns is beyond any 64-bit count: the quotient is 0 from there on, and 10^38 still
            // fits.
            (false, _) => Self::Divide(10_u128.pow(exponent.min(47) - 9)),
        }
    }

    fn to_ns(self, units: u64) -> i128 {
        let units = u128::from(units);
        let ns = match self {
            Self::Multiply(by) => units * u128::from(by),
            Self::Divide(by) => units / by,
            Self::Shift(by) => (units * NANOS_PER_SECOND.unsigned_abs() as u128) >> by,
        };
        i128::try_from(ns).unwrap_or(i128::MAX) // cannot exceed 2^94
    }
}
