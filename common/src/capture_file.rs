//! Capture files: pcap and pcapng, from any `Read`, in one pass and bounded memory.
//!
//! The crate pcap-file parses the pieces: file headers, packet headers, blocks. It is handed slices
//! of a buffer of our own (`window`), because its readers cannot be told apart at the end of a file
//! (cut or complete), give up on a read that a signal interrupted, and stop for good on fields that
//! Wireshark takes (snapshot length 0, microseconds ≥ 1,000,000, options of odd length). Which
//! fields to believe is decided here.
//!
//! | read | what is done about it |
//! | --- | --- |
//! | pcap 2.0 to 2.4 (lengths exchanged before 2.3; AIX, DG/UX), µs and ns, both byte orders | yes |
//! | pcap with packet headers of 20, 24 or 28 bytes, under the "modified" magic (a1b2cd34) or the plain one | yes |
//! | pcapng: enhanced, simple and old packet blocks, many interfaces and sections, any time resolution and offset | yes |
//! | pcapng: statistics and drop counts | added up, see [`CaptureReader::dropped`] |
//! | pcapng: names, secrets, journal, custom and unknown blocks | passed over without being held in memory |
//! | a lying original length | handed on as stated: the decoder knows more |
//! | a file that ends inside a packet | every packet before it, then [`CaptureFileError::Cut`] |
//! | anything else that does not fit | every packet before it, then [`CaptureFileError::Damaged`]; nothing is guessed after it |
//!
//! Nothing here opens a path or undoes a compression; the file's own offsets are those of the bytes
//! handed in.

mod content;
mod error;
mod magic;
mod pcap;
mod pcapng;
mod window;

#[cfg(test)]
mod tests;

pub use content::{Content, ContentId};
pub use error::CaptureFileError;
pub use magic::{HEAD_BYTES, describe, is_capture};

use crate::packet::{CapturedPacket, Interface, LinkType};
use crate::time::UnixNanos;
use pcap::Pcap;
use pcapng::PcapNg;
use std::io::Read;
use window::Window;

/// Largest packet record or block that is taken whole. tcpdump's own limit for a packet is 262,144
/// bytes and Linux hands over at most 512 KiB at once (BIG TCP); 4 MiB leaves room and bounds
/// memory against a hostile length field.
const MAX_RECORD_BYTES: usize = 4 << 20;

/// Reads the packets of a pcap or pcapng file in file order.
///
/// Memory: 256 KiB, and more (at most 4 MiB) only while a larger record is really there.
pub struct CaptureReader<R> {
    window: Window<R>,
    format: Format,
    packets: u64,
    finished: bool,
}

/// What the first bytes decided.
enum Format {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

/// A record at the front of the window that holds a packet.
struct Found {
    ts: UnixNanos,
    orig_len: u32,
    link_type: LinkType,
    /// Number of the interface in the whole file.
    interface: u32,
    /// Bytes of the record before the packet's first byte.
    skip: usize,
    /// Captured bytes of the packet.
    cap_len: usize,
    /// Bytes of the whole record.
    record_len: usize,
}

impl Found {
    /// To be filled.
    const NOTHING: Self = Self {
        ts: UnixNanos(0),
        orig_len: 0,
        link_type: LinkType(0),
        interface: 0,
        skip: 0,
        cap_len: 0,
        record_len: 0,
    };
}

/// Why there is no further packet, before it is known where.
enum Stop {
    /// The input ends inside a record of `need` bytes (as far as known).
    Cut { part: &'static str, need: u64 },
    /// What was found, and what was expected.
    Damaged(String),
    /// The input itself failed.
    Io(std::io::Error),
}

impl From<std::io::Error> for Stop {
    fn from(source: std::io::Error) -> Self {
        Self::Io(source)
    }
}

impl<R: Read> CaptureReader<R> {
    /// Reads the file's header and finds out its format.
    ///
    /// Reads no further than it must, so a pipe whose writer is slow gives its packets as they
    /// come.
    ///
    /// # Errors
    /// `NotACapture` with the name of what it is instead; `Cut` or `Damaged` where its header is;
    /// `Io`.
    pub fn new(input: R) -> Result<Self, CaptureFileError> {
        let mut window = Window::new(input);
        match Self::read_header(&mut window) {
            Ok(Some(format)) => Ok(Self { window, format, packets: 0, finished: false }),
            Ok(None) => Err(CaptureFileError::NotACapture { found: magic::describe(window.unread()) }),
            Err(stop) => Err(CaptureFileError::at(stop, &window, 0)),
        }
    }

    /// The interfaces that the file has described so far, by their number in
    /// [`CapturedPacket::interface`]; none for pcap, which has one and does not name it.
    pub fn interfaces(&self) -> &[Interface] {
        match &self.format {
            Format::Pcap(_) => &[],
            Format::PcapNg(pcapng) => pcapng.described(),
        }
    }

    /// The next packet; `None` at the end of the file. Its bytes stay in the reader's buffer:
    /// nothing is copied.
    ///
    /// A simple packet block has no time; it gets that of the packet before it (the epoch if there
    /// is none).
    ///
    /// # Errors
    /// The file is cut or damaged here, or the input failed. All packets before that point have
    /// been given; further calls give `None`.
    #[inline]
    pub fn next_packet(&mut self) -> Result<Option<CapturedPacket<'_>>, CaptureFileError> {
        if self.finished {
            return Ok(None);
        }
        let mut found = Found::NOTHING;
        let there = match &mut self.format {
            Format::Pcap(pcap) => pcap.find(&mut self.window, &mut found),
            Format::PcapNg(pcapng) => pcapng.find(&mut self.window, &mut found),
        };
        match there {
            Ok(true) => {}
            Ok(false) => {
                self.finished = true;
                return Ok(None);
            }
            Err(stop) => return Err(self.stop(stop)),
        }
        self.packets += 1;
        let record = self.window.lend(found.record_len);
        let data = record.get(found.skip..).and_then(|rest| rest.get(..found.cap_len)).unwrap_or_default();
        let Found { ts, orig_len, link_type, interface, .. } = found;
        Ok(Some(CapturedPacket { ts, orig_len, link_type, interface, data }))
    }

    /// Packets given so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes of the (decompressed) file behind us: the end of the last packet given.
    pub fn offset(&self) -> u64 {
        self.window.offset()
    }

    /// Packets that the capturing program lost, as far as the file has said up to here; `None`
    /// where it says nothing.
    ///
    /// Only pcapng can: the last statistics block of each interface (`isb_ifdrop` + `isb_osdrop`),
    /// or, where there is none, the sum of the drop counts of its packets. Complete only after the
    /// last packet: statistics stand at the end.
    pub fn dropped(&self) -> Option<u64> {
        match &self.format {
            Format::Pcap(_) => None,
            Format::PcapNg(pcapng) => pcapng.dropped(),
        }
    }

    /// The input, wherever it has been read to.
    pub fn into_inner(self) -> R {
        self.window.into_inner()
    }

    /// The input, for asking how far it is.
    pub fn get_ref(&self) -> &R {
        self.window.get_ref()
    }

    /// Decides the format; `None` if the first bytes are those of no capture.
    fn read_header(window: &mut Window<R>) -> Result<Option<Format>, Stop> {
        window.fill_to(HEAD_BYTES)?;
        if pcap::is_magic(window.unread()) {
            return Pcap::open(window).map(|pcap| Some(Format::Pcap(pcap)));
        }
        // The section header is an ordinary block, which `find` reads with the others.
        Ok(pcapng::is_magic(window.unread()).then(|| Format::PcapNg(PcapNg::default())))
    }

    /// The error for `stop`, after which nothing more is given.
    #[cold]
    fn stop(&mut self, stop: Stop) -> CaptureFileError {
        self.finished = true;
        CaptureFileError::at(stop, &self.window, self.packets)
    }
}
