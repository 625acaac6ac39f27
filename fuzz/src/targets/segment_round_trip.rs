//! Observations through a segment come back; a changed segment is never sealed and never gives
//! another record.

use crate::books::header;
use crate::records::{Keep, Record, records};
use arbitrary::Unstructured;
use imon_common::flow::Opener;
use imon_common::observe::Observer;
use imon_common::segment::{SegmentEnd, SegmentHeader, SegmentReader, SegmentReport, SegmentWriter};
use sha2::{Digest as _, Sha256};

/// One input.
pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok(change) = u.arbitrary::<(u32, u8, bool)>() else { return };
    let Ok(records) = records(&mut u) else { return };
    let bytes = write(&header_of(data), &records);
    let (back, report) = read(&bytes).expect("our own header");
    let expected = by_kind(&records);
    assert_eq!(by_kind(&back), expected);
    assert!(matches!(report.end, SegmentEnd::Sealed { .. }), "{:?}", report.end);
    changed(bytes, change, &back);
}

/// Checksums of blocks begin with the segment's id, which nobody can know whose packets it holds:
/// with one that is always the same, content that looks like a block would be found in time.
fn header_of(data: &[u8]) -> SegmentHeader {
    let mut header = header();
    header.segment.iter_mut().zip(Sha256::digest(data)).for_each(|(to, from)| *to = from);
    header
}

fn write(header: &SegmentHeader, records: &[Record]) -> Vec<u8> {
    let mut writer = SegmentWriter::create(Vec::new(), header).expect("a Vec takes everything");
    for record in records {
        match record {
            Record::Name(flow, seen) => writer.name(flow, seen),
            Record::Usage(flow, interval, usage) => writer.usage(flow, *interval, *usage),
            Record::Count(ts, count) => writer.counts(*ts, &[*count]),
            Record::Commit => writer.commit(),
        }
        .expect("a Vec takes everything");
    }
    writer.finish().expect("a Vec takes everything").0
}

fn read(bytes: &[u8]) -> Option<(Vec<Record>, SegmentReport)> {
    let mut keep = Keep::default();
    let report = SegmentReader::open(bytes).ok()?.read(&mut keep).expect("in memory");
    Some((keep.0, report))
}

/// The records of each kind in order. In a block names come first, so a flow's usage may know its
/// name earlier, and who opened the flow, which its name can tell.
fn by_kind(records: &[Record]) -> [Vec<Record>; 3] {
    let mut kinds = [Vec::new(), Vec::new(), Vec::new()];
    for record in records {
        match record.clone() {
            Record::Usage(mut flow, interval, usage) => {
                (flow.name, flow.opened) = (None, Opener::Unknown);
                kinds[1].push(Record::Usage(flow, interval, usage));
            }
            Record::Commit => {}
            name @ Record::Name(..) => kinds[0].push(name),
            count @ Record::Count(..) => kinds[2].push(count),
        }
    }
    kinds
}

/// One byte changed, or the end cut off.
fn changed(mut bytes: Vec<u8>, (place, bits, cut): (u32, u8, bool), whole: &[Record]) {
    let place = place as usize % bytes.len();
    if cut {
        bytes.truncate(place);
    } else {
        bytes[place] ^= bits.max(1);
    }
    let Some((kept, report)) = read(&bytes) else { return };
    assert!(!matches!(report.end, SegmentEnd::Sealed { .. }), "sealed after a change");
    assert!(!cut || !matches!(report.end, SegmentEnd::Damaged { .. }), "a cut is no damage");
    let mut left = whole.iter();
    for record in &kept {
        assert!(left.any(|r| r == record), "another record: {record:?}");
    }
}
