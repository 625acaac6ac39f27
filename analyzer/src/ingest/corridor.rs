//! The way of a capture file's packets: meter, segment writer. What comes out are the bytes of the
//! segment that a recorder would have written of the same packets. Captures that follow each other
//! are like segments of one run: the meter goes on from one to the next.

use crate::store::Chain;
use imon_common::capture_file::{CaptureFileError, CaptureReader, Content, ContentId};
use imon_common::local::LocalNets;
use imon_common::observe::{Count, Counter, Meter, MeterConfig, Observer as _};
use imon_common::packet::{CapturedPacket, LinkType};
use imon_common::segment::{SegmentClose, SegmentHeader, SegmentTotals, SegmentWriter};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Read};
use std::ops::RangeInclusive;

/// Captures that follow each other within this time go on in one meter: the pieces of a ring
/// buffer. On a quiet link a piece may end long before the next begins; what matters is what the
/// flow table still holds of datagrams.
pub(super) const PIECE_GAP_NS: i64 = 300 * NANOS_PER_SECOND;

/// What goes on from one capture to the next.
#[derive(Debug)]
pub struct Corridor {
    meter: Meter,
    local: LocalNets,
    recorder: [u8; 16],
    run: [u8; 16],
    sequence: u64,
    /// The segment before, of this run.
    before: [u8; 16],
    link_type: LinkType,
    /// Time of the last packet.
    last: Option<UnixNanos>,
    /// The captures that went through, where their identities were computed.
    chain: Chain,
}

impl Corridor {
    /// An empty corridor; `recorder` stands for whoever keeps the captures as segments, `local` are
    /// networks that are local beside the built-in ranges.
    pub fn new(recorder: [u8; 16], local: &LocalNets) -> Self {
        Self {
            meter: Meter::new(MeterConfig { local: local.clone(), ..MeterConfig::default() }),
            local: local.clone(),
            recorder,
            run: random_id(),
            sequence: 0,
            before: [0; 16],
            link_type: LinkType(0),
            last: None,
            chain: Chain::default(),
        }
    }

    /// Link type, and times of the first packet, of a capture that goes on with what went through
    /// here.
    pub fn follower(&self) -> Option<(LinkType, RangeInclusive<UnixNanos>)> {
        let last = self.last?;
        Some((self.link_type, last..=UnixNanos(last.0.saturating_add(PIECE_GAP_NS))))
    }
}

/// What came of a capture.
#[derive(Debug)]
pub struct CaptureRun {
    /// Header of the segment that it was turned into.
    pub header: SegmentHeader,
    /// Packets that were read.
    pub packets: u64,
    /// What the segment holds.
    pub written: SegmentTotals,
    /// Identities of its first so many packets, the whole last, if that was wanted and there were
    /// any.
    pub identities: Vec<(u64, ContentId)>,
    /// It and the captures before it, likewise.
    pub chain: Chain,
    /// Where reading stopped before the end, and why.
    pub stopped: Option<CaptureFileError>,
}

/// A capture on its way through the corridor.
pub struct Passage<R> {
    corridor: Corridor,
    reader: CaptureReader<R>,
    header: SegmentHeader,
    /// `None` when the capture is over.
    writer: Option<SegmentWriter<Vec<u8>>>,
    /// Interfaces of the capture that the writer has been told of.
    told: u32,
    /// What the capture holds, if that is wanted.
    content: Option<Content>,
    /// Bytes of the segment that nobody has taken.
    bytes: Vec<u8>,
    written: SegmentTotals,
    identities: Vec<(u64, ContentId)>,
    stopped: Option<CaptureFileError>,
    /// The last packet was read.
    is_read: bool,
}

impl<R: Read> Passage<R> {
    /// Reads the first packet of a capture that is called `name`.
    ///
    /// # Errors
    /// None that a capture can cause; those of the segment writer.
    pub fn begin(
        mut corridor: Corridor,
        mut reader: CaptureReader<R>,
        name: &str,
        mut content: Option<Content>,
    ) -> io::Result<Self> {
        let mut stopped = None;
        let first = reader.next_packet().unwrap_or_else(|error| {
            stopped = Some(error);
            None
        });
        // Copied, so that the reader can be asked what the file has described until here.
        let first = first.map(|packet| (CapturedPacket { data: &[], ..packet }, packet.data.to_vec()));
        let (start, link_type) = first.as_ref().map_or((UnixNanos(0), LinkType(0)), |(p, _)| (p.ts, p.link_type));
        let header = SegmentHeader {
            format: SegmentHeader::FORMAT,
            segment: random_id(),
            recorder: corridor.recorder,
            run: corridor.run,
            sequence: corridor.sequence,
            before: corridor.before,
            before_hash: [0; 32],
            boot: [0; 16],
            start,
            monotonic_start_ns: 0,
            interval_ns: MeterConfig::default().interval_ns,
            link_type,
            interface: name.to_owned(),
            local: corridor.local.clone(),
        };
        (corridor.sequence, corridor.link_type) = (corridor.sequence + 1, link_type);
        corridor.before = header.segment;
        let mut writer = SegmentWriter::create(Vec::new(), &header)?;
        let bytes = std::mem::take(writer.get_mut());
        let mut told = 0;
        tell_interfaces(&reader, &mut told, &mut corridor.meter, &mut writer)?;
        if let Some((packet, data)) = first {
            let packet = CapturedPacket { data: &data, ..packet };
            if let Some(content) = &mut content {
                content.add(&packet);
            }
            count(&mut corridor, &packet, &mut writer)?;
        }
        let written = SegmentTotals::default();
        let (writer, identities) = (Some(writer), Vec::new());
        Ok(Self {
            corridor,
            reader,
            header,
            writer,
            told,
            content,
            bytes,
            written,
            identities,
            stopped,
            is_read: false,
        })
    }

    /// Header of the segment that it is turned into.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The next bytes of the segment, its file header first, then whole blocks; `None` when the
    /// capture is over. They stay until [`Self::take`].
    ///
    /// # Errors
    /// Those of the segment writer.
    pub fn next_bytes(&mut self) -> io::Result<Option<&[u8]>> {
        while self.bytes.is_empty() {
            let Some(writer) = &mut self.writer else { return Ok(None) };
            tell_interfaces(&self.reader, &mut self.told, &mut self.corridor.meter, writer)?;
            if !writer.get_ref().is_empty() {
                std::mem::swap(&mut self.bytes, writer.get_mut());
                break;
            }
            if self.is_read {
                self.end()?;
                continue;
            }
            match self.reader.next_packet() {
                Ok(Some(packet)) => {
                    if let Some(content) = &mut self.content {
                        content.add(&packet);
                    }
                    count(&mut self.corridor, &packet, writer)?;
                }
                other => {
                    self.stopped = other.err();
                    self.is_read = true;
                    // What the meter still holds is of the next interval, which another capture may
                    // reach earlier.
                    writer.commit()?;
                }
            }
        }
        Ok(Some(&self.bytes))
    }

    /// Takes the bytes that [`Self::next_bytes`] gave last.
    pub fn take(&mut self) {
        self.bytes.clear();
    }

    /// What came of the capture, its input, and the corridor for the next one.
    pub fn finish(mut self) -> (CaptureRun, R, Corridor) {
        let packets = self.reader.packets();
        let (written, identities) = (self.written, self.identities);
        if let Some((_, content)) = identities.last() {
            self.corridor.chain = self.corridor.chain.then(content);
        }
        let chain = self.corridor.chain;
        let run = CaptureRun { header: self.header, packets, written, identities, chain, stopped: self.stopped };
        (run, self.reader.into_inner(), self.corridor)
    }

    #[cold]
    fn end(&mut self) -> io::Result<()> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        tell_interfaces(&self.reader, &mut self.told, &mut self.corridor.meter, &mut writer)?;
        self.corridor.meter.flush(&mut writer)?;
        if let Some(packets) = self.reader.dropped() {
            let count = Count { counter: Counter::KernelDropped, packets, bytes: 0 };
            writer.counts(self.corridor.meter.now().unwrap_or(self.header.start), &[count])?;
        }
        let identities = self.content.take().map(Content::finish).unwrap_or_default();
        self.identities.clone_from(&identities);
        (self.bytes, self.written) = writer.close(&SegmentClose { identities, ..SegmentClose::default() })?;
        Ok(())
    }
}

/// Tells meter and writer of interfaces that the capture has described since the last time.
#[inline]
fn tell_interfaces<R: Read>(
    reader: &CaptureReader<R>,
    told: &mut u32,
    meter: &mut Meter,
    writer: &mut SegmentWriter<Vec<u8>>,
) -> io::Result<()> {
    while let Some(interface) = reader.interfaces().get(*told as usize) {
        writer.interface(*told, interface)?;
        *told += 1;
        if *told > 1 {
            meter.expect_copies();
        }
    }
    Ok(())
}

/// Counts a packet.
#[inline]
fn count(corridor: &mut Corridor, packet: &CapturedPacket<'_>, writer: &mut SegmentWriter<Vec<u8>>) -> io::Result<()> {
    corridor.last = corridor.last.max(Some(packet.ts));
    corridor.meter.packet(packet, writer)
}

/// 128 random bits in the form of a UUID of version 4 (RFC 9562 section 5.4). The standard library
/// seeds its hashers from the system's random numbers; that is enough for telling files apart.
fn random_id() -> [u8; 16] {
    let word = || std::hash::RandomState::new().build_hasher().finish();
    let bits = (u128::from(word()) << 64) | u128::from(word());
    let version_and_variant = (bits & !(0xf << 76 | 0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    version_and_variant.to_be_bytes()
}
