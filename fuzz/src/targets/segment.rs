//! A segment file: as it is, and with lengths and checksums put right so that the content is
//! reached.

use crate::books::Sums;
use crate::segment::put_right;
use imon_common::segment::{SegmentEnd, SegmentReader, SegmentTail};

/// One input.
pub fn run(data: &[u8]) {
    let Some((mode, bytes)) = data.split_first() else { return };
    let bytes = if mode & 1 != 0 { put_right(bytes, mode & 2 != 0) } else { bytes.to_vec() };
    let Ok(reader) = SegmentReader::open(bytes.as_slice()) else { return };
    _ = reader.header().file_stem();
    let tail = SegmentTail::read(&mut std::io::Cursor::new(&bytes)).expect("its header is good");
    let mut sums = Sums::default();
    let report = reader.read(&mut sums).expect("in memory");
    assert_eq!((report.packets, report.bytes), (sums.usage.packets(), sums.usage.bytes()));
    // Names of kinds that only a newer version knows count as records, so that the stated totals
    // agree, and are passed over.
    assert!(report.records >= sums.records);
    assert!(report.len_bytes <= bytes.len() as u64);
    let kept = match report.end {
        SegmentEnd::Sealed { records } => {
            assert_eq!((tail.close, tail.recorded_to), (Some(report.close), report.recorded_to));
            assert_eq!(records, report.records);
            assert!(report.damage.is_empty());
            return;
        }
        SegmentEnd::Open { valid_to } => valid_to,
        SegmentEnd::Torn { valid_to, left_over } => valid_to + left_over,
        SegmentEnd::Damaged { at, .. } => return assert!(at < bytes.len() as u64),
    };
    assert_eq!(kept, bytes.len() as u64, "every byte is accounted for");
}
