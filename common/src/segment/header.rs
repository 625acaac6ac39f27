//! The file header.

use crate::cursor::Cursor;
use crate::local::{LocalNets, MAX_LOCAL_NETS};
use crate::packet::LinkType;
use crate::time::{NANOS_PER_SECOND, UnixNanos};
use ipnet::IpNet;
use std::io::{self, Read};
use std::net::IpAddr;

/// First bytes of a segment file.
pub(crate) const MAGIC: [u8; 8] = *b"IMONSEG\0";

/// Version that this code writes; it reads all before it as well (docs/SEGMENT-FORMAT.md,
/// versions).
const VERSION: u16 = 5;

/// Bytes before the variable part: magic, two versions, header length.
const FIXED_LEN: usize = 16;

/// Longest header: fixed part, identities and clocks, interface, local networks of IPv6, checksum;
/// rounded up.
const MAX_LEN: usize = 16 + 90 + 80 + 256 + MAX_LOCAL_NETS * 18 + 64;

/// What a segment says of itself before its first block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Format that the file has; [`SegmentHeader::FORMAT`] for one that is written.
    pub format: u16,
    /// Identifies this segment for ever.
    pub segment: [u8; 16],
    /// Identifies the recorder over all its runs; the run where the format is older than 3.
    pub recorder: [u8; 16],
    /// Identifies the run of the recorder; flow numbers count within it.
    pub run: [u8; 16],
    /// Place of this segment among those of the recorder, over all its runs, from 0; within the run
    /// where the format is older than 3.
    pub sequence: u64,
    /// The segment that this recorder wrote before, in this run or an earlier one; zeros where
    /// there is none or it is not known.
    pub before: [u8; 16],
    /// SHA-256 of the bytes of that segment; zeros where it is not known, as it is after an end
    /// without a seal.
    pub before_hash: [u8; 32],
    /// Identifies the time for which the machine has been running; zeros where it is not known.
    pub boot: [u8; 16],
    /// Wall clock at the start (for a capture file: its first packet).
    pub start: UnixNanos,
    /// Monotonic clock at the start, in nanoseconds; 0 where there is none.
    pub monotonic_start_ns: u64,
    /// Interval of the usage rows in nanoseconds.
    pub interval_ns: i64,
    /// Link type of the capture.
    pub link_type: LinkType,
    /// Interface name, or the capture file's name. At most 255 bytes are kept.
    pub interface: String,
    /// The local networks by which directions were settled.
    pub local: LocalNets,
}

/// Whose segment a file is, by its first bytes. Nothing else is looked at, and no checksum is
/// computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentMark {
    /// Identifies the recorder.
    pub recorder: [u8; 16],
    /// Place among the recorder's segments.
    pub sequence: u64,
    /// Identifies the time for which the machine was running.
    pub boot: [u8; 16],
    /// Monotonic clock at the start, in nanoseconds.
    pub monotonic_start_ns: u64,
}

impl SegmentMark {
    /// Bytes from the start of the file that [`Self::of`] needs.
    pub const LEN_BYTES: usize = 152;

    /// The mark in the first bytes of a file; `None` for what is no segment, is older than format
    /// 3, or is cut.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut at = Cursor::new(bytes);
        (at.array::<8>()? == MAGIC && at.le_u16()? >= 3).then_some(())?;
        at.skip(FIXED_LEN - 10 + 16)?; // the oldest version that reads it, the header's length; the segment
        let recorder = at.array()?;
        at.skip(16)?; // the run
        let sequence = at.le_u64()?;
        at.skip(16 + 32)?; // the segment before, and its hash
        let boot = at.array()?;
        at.skip(8)?; // the start by the wall clock
        Some(Self { recorder, sequence, boot, monotonic_start_ns: at.le_u64()? })
    }
}

/// Why a file is no segment that can be read.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The first bytes are not those of a segment.
    #[error("not a segment: it begins with {found:02x?}, not with \"IMONSEG\"")]
    NotASegment {
        /// The first bytes, at most 8.
        found: Vec<u8>,
    },
    /// The file ends inside its header.
    #[error("the file ends inside its header, after {len_bytes} bytes")]
    Cut {
        /// Bytes that are there.
        len_bytes: u64,
    },
    /// Written by a newer version in a way that this one cannot read.
    #[error("segment format {version} needs a newer imon (this one reads formats 1 to {VERSION})")]
    TooNew {
        /// The file's version.
        version: u16,
    },
    /// The checksum does not match, or a field cannot be.
    #[error("the header is damaged: {what}")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// Reading failed.
    #[error("reading failed")]
    Io(#[from] io::Error),
}

impl Default for SegmentHeader {
    /// A header of today's format that knows of nothing: zeros, no name, Ethernet, intervals of a
    /// second.
    fn default() -> Self {
        Self {
            format: Self::FORMAT,
            segment: [0; 16],
            recorder: [0; 16],
            run: [0; 16],
            sequence: 0,
            before: [0; 16],
            before_hash: [0; 32],
            boot: [0; 16],
            start: UnixNanos(0),
            monotonic_start_ns: 0,
            interval_ns: NANOS_PER_SECOND,
            link_type: LinkType(1),
            interface: String::new(),
            local: LocalNets::default(),
        }
    }
}

impl SegmentHeader {
    /// The format that is written.
    pub const FORMAT: u16 = VERSION;

    /// Whether its packets were recorded as they came: it follows the recorder's segments in time.
    /// What a capture file was turned into does not, and has no clock but its packets' own.
    pub fn is_live(&self) -> bool {
        let has_clock = self.monotonic_start_ns != 0;
        self.format >= 3 && has_clock && (self.boot != [0; 16] || self.has_own_clock())
    }

    /// Whether its clock is another than the time of its packets.
    pub fn has_own_clock(&self) -> bool {
        self.monotonic_start_ns != 0 && u64::try_from(self.start.0) != Ok(self.monotonic_start_ns)
    }

    /// The file name of the segment without its suffix: start in UTC, recorder, sequence. Names
    /// sort by time.
    pub fn file_stem(&self) -> String {
        let [a, b, c, d, ..] = self.recorder;
        format!("imon-{}-{a:02x}{b:02x}{c:02x}{d:02x}-{:06}", utc_stamp(self.start), self.sequence)
    }

    /// What of it stands in the first bytes of the file.
    pub fn mark(&self) -> SegmentMark {
        let Self { recorder, sequence, boot, monotonic_start_ns, .. } = *self;
        SegmentMark { recorder, sequence, boot, monotonic_start_ns }
    }

    /// The bytes at the start of the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(VERSION.to_le_bytes()); // oldest reader that understands this file
        out.extend([0; 4]); // header length, filled in below
        out.extend(self.segment);
        out.extend(self.recorder);
        out.extend(self.run);
        out.extend(self.sequence.to_le_bytes());
        out.extend(self.before);
        out.extend(self.before_hash);
        out.extend(self.boot);
        out.extend(self.start.0.to_le_bytes());
        out.extend(self.monotonic_start_ns.to_le_bytes());
        out.extend(self.interval_ns.to_le_bytes());
        out.extend(self.link_type.0.to_le_bytes());
        let name = self.interface.as_bytes();
        let name = name.get(..255).unwrap_or(name);
        out.push(name.len() as u8);
        out.extend(name);
        let nets: Vec<IpNet> = self.local.nets().collect();
        out.extend((nets.len() as u16).to_le_bytes());
        for net in nets {
            match net.network() {
                IpAddr::V4(a) => out.extend([4].into_iter().chain(a.octets())),
                IpAddr::V6(a) => out.extend([6].into_iter().chain(a.octets())),
            }
            out.push(net.prefix_len());
        }
        let len = (out.len() + 4) as u32;
        if let Some(place) = out.get_mut(12..16) {
            place.copy_from_slice(&len.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out.extend(crc.to_le_bytes());
        out
    }

    /// Reads a header; gives it and its length in bytes.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn read(input: &mut impl Read) -> Result<(Self, u64), HeaderError> {
        let mut bytes = read_up_to(input, FIXED_LEN)?;
        if bytes.get(..8) != Some(MAGIC.as_slice()) {
            bytes.truncate(8);
            return Err(if MAGIC.starts_with(&bytes) && !bytes.is_empty() {
                HeaderError::Cut { len_bytes: bytes.len() as u64 }
            } else {
                HeaderError::NotASegment { found: bytes }
            });
        }
        let cut = |bytes: &[u8]| HeaderError::Cut { len_bytes: bytes.len() as u64 };
        let mut at = Cursor::new(&bytes);
        let (Some(_), Some(version), Some(oldest), Some(len)) = (at.skip(8), at.le_u16(), at.le_u16(), at.le_u32())
        else {
            return Err(cut(&bytes));
        };
        if oldest > VERSION {
            return Err(HeaderError::TooNew { version });
        }
        let len = len as usize;
        if !(FIXED_LEN + 4..=MAX_LEN).contains(&len) {
            return Err(HeaderError::Damaged { what: format!("it states a length of {len} bytes") });
        }
        bytes.extend(read_up_to(input, len - FIXED_LEN)?);
        if bytes.len() < len {
            return Err(cut(&bytes));
        }
        let Some((body, stored)) = bytes.split_last_chunk::<4>() else {
            return Err(cut(&bytes));
        };
        let (stored, computed) = (u32::from_le_bytes(*stored), crc32c::crc32c(body));
        if stored != computed {
            return Err(HeaderError::Damaged { what: format!("checksum {stored:08x}, computed {computed:08x}") });
        }
        let mut at = Cursor::new(body);
        _ = at.skip(FIXED_LEN);
        // What is newer keeps the fields of the oldest format that its readers must understand.
        let header = Self::decode(&mut at, version.min(VERSION))
            .ok_or_else(|| HeaderError::Damaged { what: "a field is missing or out of range".into() })?;
        Ok((header, len as u64))
    }

    fn decode(at: &mut Cursor<'_>, format: u16) -> Option<Self> {
        let (segment, recorder) = (at.array()?, at.array()?);
        let run = if format >= 3 { at.array()? } else { recorder };
        let sequence = at.le_u64()?;
        let (before, before_hash, boot) =
            if format >= 3 { (at.array()?, at.array()?, at.array()?) } else { ([0; 16], [0; 32], [0; 16]) };
        let start = UnixNanos(at.le_u64()? as i64);
        let monotonic_start_ns = at.le_u64()?;
        let interval_ns = at.le_u64()? as i64;
        let link_type = LinkType(at.le_u16()?);
        let name_len = at.u8()?;
        let interface = String::from_utf8_lossy(at.take(name_len.into())?).into_owned();
        let count = at.le_u16()?;
        let mut nets = Vec::new();
        for _ in 0..usize::from(count).min(MAX_LOCAL_NETS) {
            let address: IpAddr = match at.u8()? {
                4 => at.array::<4>()?.into(),
                6 => at.array::<16>()?.into(),
                _ => return None,
            };
            nets.push(IpNet::new(address, at.u8()?).ok()?);
        }
        (interval_ns > 0).then_some(Self {
            format,
            segment,
            recorder,
            run,
            sequence,
            before,
            before_hash,
            boot,
            start,
            monotonic_start_ns,
            interval_ns,
            link_type,
            interface,
            local: LocalNets::new(nets),
        })
    }
}

/// Reads `n` bytes, fewer only at the end of the input.
fn read_up_to(input: &mut impl Read, n: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(n);
    input.take(n as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// `20261101T093000Z` (civil date from days: the proleptic Gregorian calendar, eras of 400 years).
fn utc_stamp(ts: UnixNanos) -> String {
    let seconds = ts.0.div_euclid(crate::time::NANOS_PER_SECOND);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01: a year that begins in March has its leap day at the end.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_what_the_whole_header_says_and_needs_no_more_than_its_bytes() {
        let header = SegmentHeader {
            format: SegmentHeader::FORMAT,
            segment: [1; 16],
            recorder: [2; 16],
            run: [3; 16],
            sequence: 4,
            before: [5; 16],
            before_hash: [6; 32],
            boot: [7; 16],
            start: UnixNanos(8),
            monotonic_start_ns: 9,
            interval_ns: 10,
            link_type: LinkType(1),
            interface: "eth0".into(),
            local: LocalNets::default(),
        };
        let bytes = header.encode();
        let mark = SegmentMark { recorder: [2; 16], sequence: 4, boot: [7; 16], monotonic_start_ns: 9 };
        assert_eq!(header.mark(), mark);
        assert_eq!(SegmentMark::of(&bytes), Some(mark));
        assert_eq!(SegmentMark::of(&bytes[..SegmentMark::LEN_BYTES]), Some(mark));
        for len in 0..SegmentMark::LEN_BYTES {
            assert_eq!(SegmentMark::of(&bytes[..len]), None);
        }
        let mut old = bytes.clone();
        old[8] = 2;
        assert_eq!(SegmentMark::of(&old), None);
    }

    #[test]
    fn the_stamp_is_the_civil_date() {
        for (seconds, stamp) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_793_491_200, "20261101T000000Z"),
            (4_107_542_399, "21000228T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(utc_stamp(UnixNanos(seconds * 1_000_000_000)), stamp);
        }
    }
}
