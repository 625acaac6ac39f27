//! The books balance: what a meter hands over adds up to its totals.

use imon_common::flow::{Flow, FlowName};
use imon_common::names::{Name, NameSeen};
use imon_common::observe::{Count, Counter, Meter, MeterConfig, Observer, Totals, Usage};
use imon_common::packet::CapturedPacket;
use imon_common::segment::{SegmentEnd, SegmentHeader, SegmentReader, SegmentWriter};
use imon_common::time::UnixNanos;
use std::convert::Infallible;
use std::io;

/// Sums of what was observed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    pub usage: Usage,
    pub not_ip_packets: u64,
    pub undecodable_packets: u64,
    pub undecodable_bytes: u64,
    pub copies: u64,
    pub carried_bytes: u64,
    /// Records of all kinds.
    pub records: u64,
}

impl Sums {
    /// Sums what one frame can be booked as, each frame once.
    fn must_equal(&self, totals: &Totals) {
        let booked = self.usage.packets() + self.not_ip_packets + self.undecodable_packets + self.copies;
        assert_eq!(booked, totals.packets, "packets booked and seen");
        assert_eq!(self.usage.packets(), totals.ip_packets, "IP packets");
        assert_eq!(self.usage.bytes() + self.carried_bytes, totals.ip_bytes, "IP bytes");
        assert_eq!((self.copies, self.carried_bytes), (totals.copies, totals.carried_bytes));
        assert_eq!(self.not_ip_packets, totals.not_ip_packets);
        assert_eq!(self.undecodable_packets, totals.undecodable_packets);
        assert_eq!(self.undecodable_bytes, totals.undecodable_bytes);
    }
}

/// Panics where a name is not what a segment can hold and a terminal can show.
pub fn check_name(name: &Name) {
    assert_eq!(Name::from_presentation(name.as_str()).as_ref(), Some(name), "not in presentation form");
}

impl Observer for Sums {
    type Error = Infallible;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        check_name(&seen.name);
        seen.chain.iter().for_each(check_name);
        if seen.kind.is_in_flow() {
            assert_eq!(flow.name, Some(FlowName::of(seen)), "the flow has its name");
            assert!(seen.chain.is_empty() && seen.addresses.is_empty());
        }
        self.records += 1;
        Ok(())
    }

    fn usage(&mut self, _: &Flow, _: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.usage.add(usage);
        self.records += 1;
        Ok(())
    }

    fn counts(&mut self, _: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        for count in counts {
            self.records += 1;
            match count.counter {
                Counter::NotIp(_) => self.not_ip_packets += count.packets,
                Counter::Undecodable(_) => {
                    self.undecodable_packets += count.packets;
                    self.undecodable_bytes += count.bytes;
                }
                Counter::Copy => self.copies += count.packets,
                Counter::Carried(_) => self.carried_bytes += count.bytes,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Hands observations to the sums and to a segment.
struct Both {
    sums: Sums,
    segment: SegmentWriter<Vec<u8>>,
}

impl Observer for Both {
    type Error = io::Error;

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> io::Result<()> {
        let Ok(()) = self.sums.name(flow, seen);
        self.segment.name(flow, seen)
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> io::Result<()> {
        let Ok(()) = self.sums.usage(flow, interval, usage);
        self.segment.usage(flow, interval, usage)
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> io::Result<()> {
        let Ok(()) = self.sums.counts(ts, counts);
        self.segment.counts(ts, counts)
    }
}

/// The header of the segments that the targets write.
pub fn header() -> SegmentHeader {
    SegmentHeader {
        segment: *b"fuzz-segment-id!",
        recorder: *b"fuzz-recorder-id",
        run: *b"fuzz-run-id-16-b",
        start: UnixNanos(1_760_000_000_000_000_000),
        monotonic_start_ns: 1,
        interface: "fuzz0".into(),
        ..SegmentHeader::default()
    }
}

/// A meter whose packets' books are checked at the end, in memory and through a segment.
pub struct Books {
    meter: Meter,
    both: Both,
}

impl Default for Books {
    /// A meter with a table so small that inputs fill it.
    fn default() -> Self {
        let segment = SegmentWriter::create(Vec::new(), &header()).expect("a Vec takes everything");
        let config = MeterConfig { flow_limit: 16, ..MeterConfig::default() };
        Self { meter: Meter::new(config), both: Both { sums: Sums::default(), segment } }
    }
}

impl Books {
    /// Counts one frame.
    pub fn packet(&mut self, packet: &CapturedPacket<'_>) {
        self.meter.packet(packet, &mut self.both).expect("a Vec takes everything");
    }

    /// Checks that everything adds up. Gives the bytes of the segment.
    pub fn close(mut self) -> Vec<u8> {
        self.meter.flush(&mut self.both).expect("a Vec takes everything");
        self.both.sums.must_equal(&self.meter.totals());
        let (bytes, written) = self.both.segment.finish().expect("a Vec takes everything");
        let mut again = Sums::default();
        let report =
            SegmentReader::open(bytes.as_slice()).expect("our own header").read(&mut again).expect("in memory");
        assert_eq!(report.end, SegmentEnd::Sealed { records: written.records });
        assert_eq!(again, self.both.sums, "read back");
        bytes
    }
}
