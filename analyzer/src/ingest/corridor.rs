//! The way of a capture file's packets: meter, segment writer, replay. What comes out is what a recorder's segment of
//! the same packets would give.

use super::run::Taker;
use imon_common::capture_file::{CaptureFileError, CaptureReader};
use imon_common::local::LocalNets;
use imon_common::observe::{Count, Counter, Meter, MeterConfig, Observer, Totals};
use imon_common::packet::LinkType;
use imon_common::segment::{Replay, SegmentHeader, SegmentTotals, SegmentWriter};
use imon_common::time::UnixNanos;
use std::convert::Infallible;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Read, Write};

/// How a capture is read.
#[derive(Debug, Clone)]
pub struct Passage<'a> {
    /// Name of the capture, for the segment header.
    pub name: &'a str,
    /// Networks that are local beside the built-in ranges.
    pub local: &'a LocalNets,
}

/// What came of a capture.
#[derive(Debug)]
pub struct CaptureRun {
    /// Header of the segment that it was turned into.
    pub header: SegmentHeader,
    /// What the meter counted.
    pub totals: Totals,
    /// What the segment holds.
    pub written: SegmentTotals,
    /// Where reading stopped before the end, and why.
    pub stopped: Option<CaptureFileError>,
}

/// Reads a capture to its end, or to where it is damaged. Observations go to `taker`; the bytes of the segment to
/// `keep`, where given.
///
/// # Errors
/// What `keep` gives.
pub fn capture<R: Read, T: Taker>(
    reader: &mut CaptureReader<R>,
    passage: &Passage<'_>,
    mut keep: Option<&mut dyn Write>,
    taker: &mut T,
) -> io::Result<CaptureRun> {
    let mut meter = Meter::new(MeterConfig { local: passage.local.clone(), ..MeterConfig::default() });
    let mut lane: Option<Lane> = None;
    let stopped = loop {
        match reader.next_packet() {
            Ok(Some(packet)) => {
                let lane = match &mut lane {
                    Some(lane) => lane,
                    empty => empty.insert(Lane::begin(header(passage, packet.ts, packet.link_type), &mut keep, taker)?),
                };
                meter.packet(&packet, &mut lane.writer)?;
                lane.advance(&mut keep, taker)?;
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let dropped = reader.dropped();
    let mut lane = match lane {
        Some(lane) => lane,
        None => Lane::begin(header(passage, UnixNanos(0), LinkType(0)), &mut keep, taker)?,
    };
    meter.flush(&mut lane.writer)?;
    if let Some(packets) = dropped {
        let count = Count { counter: Counter::InterfaceDropped, packets, bytes: 0 };
        lane.writer.counts(meter.now().unwrap_or(lane.header.start), &[count])?;
    }
    let header = lane.header.clone();
    let written = lane.end(&mut keep, taker)?;
    Ok(CaptureRun { header, totals: meter.totals(), written, stopped })
}

/// Writer and reader of one segment, mouth to mouth.
struct Lane {
    header: SegmentHeader,
    writer: SegmentWriter<Vec<u8>>,
    replay: Replay,
}

impl Lane {
    fn begin<T: Taker>(header: SegmentHeader, keep: &mut Option<&mut dyn Write>, taker: &mut T) -> io::Result<Self> {
        taker.begin(&header);
        let mut writer = SegmentWriter::create(Vec::new(), &header)?;
        if let Some(keep) = keep {
            keep.write_all(writer.get_ref())?;
        }
        writer.get_mut().clear();
        Ok(Self { replay: Replay::new(&header), writer, header })
    }

    /// Hands on what the writer has written.
    #[inline]
    fn advance<O: Observer<Error = Infallible>>(
        &mut self,
        keep: &mut Option<&mut dyn Write>,
        observer: &mut O,
    ) -> io::Result<()> {
        if self.writer.get_ref().is_empty() {
            return Ok(());
        }
        if let Some(keep) = keep {
            keep.write_all(self.writer.get_ref())?;
        }
        let Ok(()) = self.replay.feed(self.writer.get_ref(), observer);
        self.writer.get_mut().clear();
        Ok(())
    }

    fn end<O: Observer<Error = Infallible>>(
        mut self,
        keep: &mut Option<&mut dyn Write>,
        observer: &mut O,
    ) -> io::Result<SegmentTotals> {
        self.writer.commit()?;
        self.advance(keep, observer)?;
        let (rest, totals) = self.writer.finish()?;
        if let Some(keep) = keep {
            keep.write_all(&rest)?;
        }
        Ok(totals)
    }
}

fn header(passage: &Passage<'_>, start: UnixNanos, link_type: LinkType) -> SegmentHeader {
    SegmentHeader {
        segment: random_id(),
        recorder: random_id(),
        sequence: 0,
        start,
        monotonic_start_ns: 0,
        interval_ns: MeterConfig::default().interval_ns,
        link_type,
        interface: passage.name.to_owned(),
        local: passage.local.clone(),
    }
}

/// 128 random bits in the form of a UUID of version 4 (RFC 9562 section 5.4). The standard library seeds its hashers
/// from the system's random numbers; that is enough for telling files apart.
fn random_id() -> [u8; 16] {
    let word = || std::hash::RandomState::new().build_hasher().finish();
    let bits = (u128::from(word()) << 64) | u128::from(word());
    let version_and_variant = (bits & !(0xf << 76 | 0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    version_and_variant.to_be_bytes()
}
