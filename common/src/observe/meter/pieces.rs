//! Packets that are part of another one, or one again: fragments, copies, and what tunnels carry.

use super::super::copies::Copy;
use super::super::fragment::{Early, First, Seen};
use super::super::{Counter, Observer};
use super::Meter;
use super::ends::Ends;
use crate::flow::Side;
use crate::packet::{CapturedPacket, Spot};
use crate::time::UnixNanos;
use crate::wire::{Fragment, IpPacket};

impl Meter {
    /// Counts a packet that was counted where it was seen first. Where there is more of it here, a
    /// tunnel around it, its flow gets that: so the longest of all copies counts, and the names
    /// inside.
    #[inline(never)]
    pub(super) fn copy<O: Observer>(
        &mut self,
        copy: Copy,
        ts: UnixNanos,
        ip: &IpPacket<'_>,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let (key, side) = Ends::of(ip, None, Spot::default()).key();
        let slot = self.table.find(&key).filter(|_| copy.more_bytes > 0);
        let more_bytes = slot.map_or(0, |_| copy.more_bytes);
        if let Some(slot) = slot {
            self.book_more(slot, ts, side, more_bytes.into());
        }
        let bytes = u64::from(ip.ip_bytes.saturating_sub(more_bytes));
        self.totals.ip_bytes += u64::from(more_bytes);
        self.totals.copies += 1;
        self.totals.copies_bytes += bytes;
        self.count(Counter::Copy, bytes, observer)
    }

    #[inline(never)]
    pub(super) fn follow_carriers(&mut self, packet: &CapturedPacket<'_>, ip: &IpPacket<'_>, is_copy: bool) {
        let (key, side) = Ends::of(ip, None, Spot::default()).key();
        if let Some(slot) = self.table.find(&key)
            && let Some(entry) = self.table.get(slot)
        {
            let up = entry.client_is_low == (side == Side::Low);
            self.carriers.packet(packet, ip, (slot, up), is_copy);
        }
    }

    /// Books a fragment where the first one of its datagram is, as soon as that is known.
    #[cold]
    pub(super) fn fragment<O: Observer>(
        &mut self,
        at: (UnixNanos, Spot),
        ip: &IpPacket<'_>,
        part: Fragment,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        match self.fragments.see(at, ip, part, Ends::of(ip, None, Spot::default()).flow()) {
            Seen::First(first, waited) => {
                self.fragment_in_flow(at, ip, None, observer)?;
                waited.iter().try_for_each(|early| self.later(early.at, &early.packet(), &first, observer))
            }
            Seen::Later(first) => self.later(at, ip, &first, observer),
            Seen::Alone => self.fragment_in_flow(at, ip, None, observer),
            Seen::Waits(done) => self.without_first(&done, observer),
        }
    }

    /// Books a fragment of which the first one is known.
    fn later<O: Observer>(
        &mut self,
        at: (UnixNanos, Spot),
        ip: &IpPacket<'_>,
        first: &First,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        match first.has_headers() {
            true => self.fragment_in_flow(at, &first.without_headers(ip), Some(first), observer),
            false => self.fragment_in_flow(at, ip, Some(first), observer),
        }
    }

    /// Books fragments whose first one did not come, without ports.
    pub(super) fn without_first<O: Observer>(&mut self, fragments: &[Early], observer: &mut O) -> Result<(), O::Error> {
        fragments.iter().try_for_each(|early| self.fragment_in_flow(early.at, &early.packet(), None, observer))
    }
}
