//! The way of a capture file's packets: the meter, and then a segment's bytes where the capture is
//! kept, or else what such a segment would give back. Captures that follow each other are like
//! segments of one run: the meter goes on from one to the next.

use super::run::ReadOptions;
use crate::exported::{self, EXPORTED, ExportMeter, ExportOptions, Spotted, Spotter};
use crate::store::Chain;
use imon_common::capture_file::{CaptureFileError, CaptureReader, Content, ContentId};
use imon_common::flow::Flow;
use imon_common::local::LocalNets;
use imon_common::names::NameSeen;
use imon_common::observe::{Count, Counter, Meter, MeterConfig, Observer, Usage};
use imon_common::packet::{CapturedPacket, Interface, LinkType};
use imon_common::segment::{Direct, SegmentClose, SegmentHeader, SegmentTotals, SegmentWriter};
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
    metering: Metering,
    exports: ExportOptions,
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
    /// An empty corridor.
    pub fn new(options: &ReadOptions) -> Self {
        Self {
            metering: Metering::None,
            exports: options.exports.clone(),
            local: options.local.clone(),
            recorder: options.recorder,
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

/// What turns packets into observations; what it is shows with the first packet.
#[derive(Debug)]
enum Metering {
    /// There was none.
    None,
    /// Packets count themselves.
    Packets(Box<Meter>, Spotter),
    /// Packets are messages of exporters, and the flows in them count.
    Exports(Box<ExportMeter>),
}

impl Metering {
    fn new(is_export: bool, exports: &ExportOptions, local: &LocalNets) -> Self {
        if is_export {
            return Self::Exports(Box::new(ExportMeter::new(exports, local)));
        }
        let meter = Meter::new(MeterConfig { local: local.clone(), ..MeterConfig::default() });
        Self::Packets(Box::new(meter), Spotter::default())
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
    /// A message of an exporter among its packets, whose flows were not asked for.
    pub spotted: Option<Spotted>,
}

/// Where the observations of a capture go.
pub trait Sink: Observer<Error = io::Error> {
    /// There is so much that it should be taken.
    fn is_filled(&self) -> bool;

    /// There is nothing that could be taken.
    fn is_empty(&self) -> bool;

    /// What was taken so far is a whole block.
    ///
    /// # Errors
    /// Those of what is behind it.
    fn commit(&mut self) -> io::Result<()>;

    /// The capture is over, and nothing more comes.
    ///
    /// # Errors
    /// Those of what is behind it.
    fn close(&mut self, identities: &[(u64, ContentId)]) -> io::Result<SegmentTotals>;
}

/// The bytes of a segment, to be kept.
#[derive(Debug)]
pub struct Bytes {
    /// `None` when the capture is over.
    writer: Option<SegmentWriter<Vec<u8>>>,
    /// What stands alone: the header, and what the writer gave at its end.
    apart: Vec<u8>,
}

impl Bytes {
    /// Bytes of the segment that has this header, the header's own first.
    ///
    /// # Errors
    /// Those of the segment writer.
    pub fn new(header: &SegmentHeader) -> io::Result<Self> {
        let mut writer = SegmentWriter::create(Vec::new(), header)?;
        let apart = std::mem::take(writer.get_mut());
        Ok(Self { writer: Some(writer), apart })
    }

    /// The bytes that nobody has taken.
    pub fn get(&self) -> &[u8] {
        match &self.writer {
            Some(writer) if self.apart.is_empty() => writer.get_ref(),
            _ => &self.apart,
        }
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        match &mut self.writer {
            Some(writer) if self.apart.is_empty() => writer.get_mut().clear(),
            _ => self.apart.clear(),
        }
    }

    fn writer(&mut self) -> io::Result<&mut SegmentWriter<Vec<u8>>> {
        self.writer.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Observer for Bytes {
    type Error = io::Error;

    fn interface(&mut self, number: u32, interface: &Interface) -> io::Result<()> {
        self.writer()?.interface(number, interface)
    }

    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> io::Result<()> {
        self.writer()?.name(flow, seen)
    }

    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> io::Result<()> {
        self.writer()?.usage(flow, interval, usage)
    }

    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> io::Result<()> {
        self.writer()?.counts(ts, counts)
    }
}

impl Sink for Bytes {
    fn is_filled(&self) -> bool {
        !self.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.get().is_empty()
    }

    fn commit(&mut self) -> io::Result<()> {
        self.writer()?.commit()
    }

    fn close(&mut self, identities: &[(u64, ContentId)]) -> io::Result<SegmentTotals> {
        let Some(writer) = self.writer.take() else { return Ok(SegmentTotals::default()) };
        let close = SegmentClose { identities: identities.to_vec(), ..SegmentClose::default() };
        let (bytes, written) = writer.close(&close)?;
        self.apart.extend(bytes);
        Ok(written)
    }
}

impl Sink for Direct {
    fn is_filled(&self) -> bool {
        self.is_worth_taking()
    }

    fn is_empty(&self) -> bool {
        self.whole() == 0
    }

    fn commit(&mut self) -> io::Result<()> {
        Self::commit(self);
        Ok(())
    }

    fn close(&mut self, _: &[(u64, ContentId)]) -> io::Result<SegmentTotals> {
        Self::commit(self);
        Ok(self.totals())
    }
}

/// A capture on its way through the corridor.
pub struct Passage<R, S> {
    corridor: Corridor,
    reader: CaptureReader<R>,
    header: SegmentHeader,
    sink: S,
    /// Interfaces of the capture that the sink has been told of.
    told: u32,
    /// What the capture holds, if that is wanted.
    content: Option<Content>,
    written: SegmentTotals,
    identities: Vec<(u64, ContentId)>,
    stopped: Option<CaptureFileError>,
    /// The last packet was read.
    is_read: bool,
    is_over: bool,
}

impl<R: Read, S: Sink> Passage<R, S> {
    /// Reads the first packet of a capture that is called `name`, on its way to what `sink` makes.
    ///
    /// # Errors
    /// None that a capture can cause; those of the sink.
    pub fn begin(
        mut corridor: Corridor,
        mut reader: CaptureReader<R>,
        (name, mut content): (&str, Option<Content>),
        sink: impl FnOnce(&SegmentHeader) -> io::Result<S>,
    ) -> io::Result<Self> {
        let mut stopped = None;
        let first = reader.next_packet().unwrap_or_else(|error| {
            stopped = Some(error);
            None
        });
        // Copied, so that the reader can be asked what the file has described until here.
        let first = first.map(|packet| (CapturedPacket { data: &[], ..packet }, packet.data.to_vec()));
        let (start, link_type) = first.as_ref().map_or((UnixNanos(0), LinkType(0)), |(p, _)| (p.ts, p.link_type));
        let link_type = exported::link_type(link_type, reader.interfaces());
        let is_export = corridor.exports.wanted || link_type == EXPORTED;
        if matches!(corridor.metering, Metering::None) {
            corridor.metering = Metering::new(is_export, &corridor.exports, &corridor.local);
        }
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
            link_type: if is_export { EXPORTED } else { link_type },
            interface: name.to_owned(),
            local: corridor.local.clone(),
        };
        (corridor.sequence, corridor.link_type) = (corridor.sequence + 1, link_type);
        corridor.before = header.segment;
        let mut sink = sink(&header)?;
        let mut told = 0;
        tell_interfaces(&reader, &mut told, &mut corridor.metering, &mut sink)?;
        if let Some((packet, data)) = first {
            let packet = CapturedPacket { data: &data, ..packet };
            if let Some(content) = &mut content {
                content.add(&packet);
            }
            count(&mut corridor, &packet, &mut sink)?;
        }
        Ok(Self {
            corridor,
            reader,
            header,
            sink,
            told,
            content,
            written: SegmentTotals::default(),
            identities: Vec::new(),
            stopped,
            is_read: false,
            is_over: false,
        })
    }

    /// Header of the segment that it is turned into.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Where the observations are.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Reads on until the sink is filled or the capture is over; tells whether there is something
    /// to take.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn fill(&mut self) -> io::Result<bool> {
        while !self.sink.is_filled() {
            if self.is_over {
                return Ok(!self.sink.is_empty());
            }
            if self.is_read {
                self.end()?;
                continue;
            }
            tell_interfaces(&self.reader, &mut self.told, &mut self.corridor.metering, &mut self.sink)?;
            match self.reader.next_packet() {
                Ok(Some(packet)) => {
                    if let Some(content) = &mut self.content {
                        content.add(&packet);
                    }
                    count(&mut self.corridor, &packet, &mut self.sink)?;
                }
                other => {
                    // Behind an error the reader says no more than that it is over.
                    self.stopped = self.stopped.take().or(other.err());
                    self.is_read = true;
                    // What the meter still holds is of the next interval, which another capture may
                    // reach earlier.
                    self.sink.commit()?;
                }
            }
        }
        Ok(true)
    }

    /// What came of the capture, its input, and the corridor for the next one.
    pub fn finish(mut self) -> (CaptureRun, R, Corridor) {
        let packets = self.reader.packets();
        let (written, identities) = (self.written, self.identities);
        if let Some((_, content)) = identities.last() {
            self.corridor.chain = self.corridor.chain.then(content);
        }
        let chain = self.corridor.chain;
        let spotted = match &self.corridor.metering {
            Metering::Packets(_, spotter) => spotter.spotted(),
            Metering::Exports(meter) => meter.spotted(),
            Metering::None => None,
        };
        let (header, stopped) = (self.header, self.stopped);
        let run = CaptureRun { header, packets, written, identities, chain, stopped, spotted };
        (run, self.reader.into_inner(), self.corridor)
    }

    #[cold]
    fn end(&mut self) -> io::Result<()> {
        tell_interfaces(&self.reader, &mut self.told, &mut self.corridor.metering, &mut self.sink)?;
        let now = match &mut self.corridor.metering {
            Metering::None => None,
            Metering::Packets(meter, _) => {
                meter.flush(&mut self.sink)?;
                meter.now()
            }
            Metering::Exports(meter) => {
                meter.end();
                while meter.write_next(&mut self.sink)? {
                    if self.sink.is_filled() {
                        return Ok(()); // it goes on when that was taken
                    }
                }
                meter.written();
                meter.now()
            }
        };
        self.is_over = true;
        if let Some(packets) = self.reader.dropped() {
            let count = Count { counter: Counter::KernelDropped, packets, bytes: 0 };
            self.sink.counts(now.unwrap_or(self.header.start), &[count])?;
        }
        self.identities = self.content.take().map(Content::finish).unwrap_or_default();
        self.written = self.sink.close(&self.identities)?;
        Ok(())
    }
}

/// Tells meter and sink of interfaces that the capture has described since the last time.
#[inline]
fn tell_interfaces<R: Read>(
    reader: &CaptureReader<R>,
    told: &mut u32,
    metering: &mut Metering,
    sink: &mut impl Sink,
) -> io::Result<()> {
    let meter = match metering {
        Metering::Packets(meter, _) => meter,
        // Flows are on interfaces of exporters, and not on those of the capture.
        Metering::Exports(_) | Metering::None => return Ok(()),
    };
    while let Some(interface) = reader.interfaces().get(*told as usize) {
        sink.interface(*told, interface)?;
        *told += 1;
        if *told > 1 {
            meter.expect_copies();
        }
    }
    Ok(())
}

/// Counts a packet.
#[inline]
fn count(corridor: &mut Corridor, packet: &CapturedPacket<'_>, sink: &mut impl Sink) -> io::Result<()> {
    corridor.last = corridor.last.max(Some(packet.ts));
    match &mut corridor.metering {
        Metering::Packets(meter, spotter) => {
            spotter.look(packet);
            meter.packet(packet, sink)
        }
        Metering::Exports(meter) => meter.packet(packet, sink),
        Metering::None => Ok(()),
    }
}

/// 128 random bits in the form of a UUID of version 4 (RFC 9562 section 5.4). The standard library
/// seeds its hashers from the system's random numbers; that is enough for telling files apart.
fn random_id() -> [u8; 16] {
    let word = || std::hash::RandomState::new().build_hasher().finish();
    let bits = (u128::from(word()) << 64) | u128::from(word());
    let version_and_variant = (bits & !(0xf << 76 | 0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    version_and_variant.to_be_bytes()
}
