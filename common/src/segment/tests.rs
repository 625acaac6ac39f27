use super::block::{BlockHeader, BlockType, FRESH, Layout};
use super::*;
use crate::flow::{Flow, FlowName, Scope};
use crate::local::LocalNets;
use crate::names::{AnswerAddress, Name, NameKind, NameSeen, RecordKind};
use crate::observe::{Count, Counter, Observer, Usage};
use crate::packet::LinkType;
use crate::time::UnixNanos;
use crate::wire::{Mac, NotIp};
use proptest::prelude::*;
use std::convert::Infallible;
use std::io::{self, Write};

/// An observation, kept for comparison.
#[derive(Debug, Clone, PartialEq)]
enum Record {
    Name(Flow, NameSeen),
    Usage(Flow, UnixNanos, Usage),
    Count(UnixNanos, Count),
}

#[derive(Debug, Default)]
struct Keep(Vec<Record>);

impl Observer for Keep {
    type Error = Infallible;
    fn name(&mut self, flow: &Flow, seen: &NameSeen) -> Result<(), Infallible> {
        self.0.push(Record::Name(flow.clone(), seen.clone()));
        Ok(())
    }
    fn usage(&mut self, flow: &Flow, interval: UnixNanos, usage: Usage) -> Result<(), Infallible> {
        self.0.push(Record::Usage(flow.clone(), interval, usage));
        Ok(())
    }
    fn counts(&mut self, ts: UnixNanos, counts: &[Count]) -> Result<(), Infallible> {
        self.0.extend(counts.iter().map(|c| Record::Count(ts, *c)));
        Ok(())
    }
}

const SECOND: i64 = 1_000_000_000;

fn header() -> SegmentHeader {
    SegmentHeader {
        format: SegmentHeader::FORMAT,
        segment: [7; 16],
        recorder: [9; 16],
        run: [10; 16],
        sequence: 3,
        before: [6; 16],
        before_hash: [5; 32],
        boot: [4; 16],
        start: UnixNanos(1_793_491_200 * SECOND),
        monotonic_start_ns: 12_345,
        interval_ns: SECOND,
        link_type: LinkType(1),
        interface: "wlan0".into(),
        local: LocalNets::new(["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()]),
    }
}

fn flow(number: u64, named: bool) -> Flow {
    Flow {
        number,
        client: "192.0.2.7".parse().unwrap(),
        server: format!("2001:db8:1::{:x}", number % 5).parse().unwrap(),
        client_port: 40_000 + (number % 20_000) as u16,
        server_port: 443,
        proto: 6,
        scope: Scope::Remote,
        begin_seen: number.is_multiple_of(2),
        opened: crate::flow::Opener::Client,
        interface: 0,
        vlan: None,
        client_mac: number.is_multiple_of(3).then_some(Mac([2, 0, 0, 0, 0, number as u8])),
        start: UnixNanos(header().start.0 + 5_000),
        name: named.then(|| FlowName::new(NameKind::Sni, Name::from_host(b"www.example.org").unwrap())),
    }
}

fn answer(ts: UnixNanos) -> NameSeen {
    let address = |text: &str, record| AnswerAddress { address: text.parse().unwrap(), ttl_s: 300, record };
    NameSeen {
        ts,
        kind: NameKind::Dns,
        name: Name::from_host(b"www.example.org").unwrap(),
        chain: vec![Name::from_host(b"edge.cdn.example").unwrap()],
        addresses: vec![address("192.0.2.200", RecordKind::A), address("2001:db8:1::1", RecordKind::Hint)],
        asker_is_server: false,
        relayed: false,
    }
}

/// Records as a recorder makes them: names, usage, counts, interval after interval.
fn sample_records(intervals: i64) -> Vec<Record> {
    let mut records = Vec::new();
    for i in 0..intervals {
        let at = UnixNanos(header().start.0 + i * SECOND);
        records.push(Record::Name(flow(1, false), answer(UnixNanos(at.0 + 17_000))));
        if i == 0 {
            let seen =
                NameSeen { kind: NameKind::Sni, chain: vec![], addresses: vec![], ..answer(UnixNanos(at.0 + 20_000)) };
            records.push(Record::Name(flow(6, true), seen));
        }
        for number in [1, 6, i as u64 + 100] {
            let usage = Usage { up_packets: 1, down_packets: i as u64, up_bytes: 60, down_bytes: 1500 * i as u64 };
            records.push(Record::Usage(flow(number, number == 6), at, usage));
        }
        let count = Count { counter: Counter::NotIp(NotIp::EtherType(0x0806)), packets: 2, bytes: 84 };
        records.push(Record::Count(at, count));
    }
    records
}

fn write_to<W: Write>(out: W, records: &[Record]) -> io::Result<(W, SegmentTotals)> {
    let mut writer = SegmentWriter::create(out, &header())?;
    for record in records {
        match record {
            Record::Name(flow, seen) => writer.name(flow, seen)?,
            Record::Usage(flow, interval, usage) => writer.usage(flow, *interval, *usage)?,
            Record::Count(ts, count) => writer.counts(*ts, &[*count])?,
        }
    }
    writer.finish()
}

fn sample() -> (Vec<u8>, Vec<Record>) {
    let records = sample_records(4);
    (write_to(Vec::new(), &records).unwrap().0, records)
}

/// So many different flows, one after another: some 80,000 fill a group.
fn sample_of_groups(flows: u64) -> (Vec<u8>, Vec<Record>) {
    let usage = Usage { up_packets: 1, up_bytes: 40, ..Usage::default() };
    let at = |i: u64| UnixNanos(header().start.0 + i as i64 / 150 * SECOND);
    let records: Vec<Record> = (0..flows).map(|i| Record::Usage(flow(i, false), at(i), usage)).collect();
    (write_to(Vec::new(), &records).unwrap().0, records)
}

fn read(bytes: &[u8]) -> Option<(Vec<Record>, SegmentReport)> {
    let mut kept = Keep::default();
    let report = SegmentReader::open(bytes).ok()?.read(&mut kept).unwrap();
    Some((kept.0, report))
}

#[test]
fn a_segment_gives_back_what_was_written() {
    let (bytes, records) = sample();
    let reader = SegmentReader::open(bytes.as_slice()).unwrap();
    assert_eq!(reader.header(), &header());
    let (read_back, report) = read(&bytes).unwrap();
    assert_eq!(read_back, records);
    assert_eq!(report.end, SegmentEnd::Sealed { records: records.len() as u64 });
    assert_eq!(report.len_bytes, bytes.len() as u64);
    assert_eq!(report.packets, 3 * (1 + 2 + 3 + 4));
}

#[test]
fn a_name_seen_after_the_flow_was_defined_holds_for_the_rest_of_the_group() {
    let at = header().start;
    let seen = NameSeen { kind: NameKind::Sni, chain: vec![], addresses: vec![], ..answer(at) };
    let usage = Usage { up_packets: 1, ..Usage::default() };
    let later = UnixNanos(at.0 + SECOND);
    let records = [
        Record::Usage(flow(1, false), at, usage),
        Record::Name(flow(1, true), NameSeen { ts: later, ..seen }),
        Record::Usage(flow(1, true), later, usage),
    ];
    let bytes = write_to(Vec::new(), &records).unwrap().0;
    assert_eq!(read(&bytes).unwrap().0, records);
}

#[test]
fn cutting_a_segment_anywhere_keeps_a_prefix() {
    let (whole, records) = sample();
    for cut in 0..whole.len() {
        let Some((kept, report)) = read(&whole[..cut]) else {
            continue;
        };
        assert!(records.starts_with(&kept), "cut at byte {cut}");
        match report.end {
            SegmentEnd::Open { valid_to } => assert_eq!(valid_to, cut as u64),
            SegmentEnd::Torn { valid_to, left_over } => assert_eq!(valid_to + left_over, cut as u64),
            end => panic!("cut at byte {cut}: {end:?}"),
        }
    }
}

/// The end of a segment without its middle, and what reading all of it gives.
fn tail_and_whole(bytes: &[u8]) -> Option<(SegmentTail, SegmentReport)> {
    let whole = read(bytes)?.1;
    let tail = SegmentTail::read(&mut io::Cursor::new(bytes)).unwrap();
    assert_eq!(tail.header, header());
    Some((tail, whole))
}

#[test]
fn the_tail_of_a_segment_cut_anywhere_says_what_reading_all_of_it_does() {
    // Three groups: the last one is found without the others.
    let whole = sample_of_groups(200_000).0;
    let few = sample().0;
    let cuts =
        (0..=few.len()).map(|cut| &few[..cut]).chain((0..12).map(|n| &whole[..whole.len() - n * whole.len() / 13]));
    for bytes in cuts.filter(|bytes| bytes.len() >= 193) {
        let Some((tail, whole)) = tail_and_whole(bytes) else { continue };
        assert_eq!(tail.recorded_to, whole.recorded_to, "{} bytes", bytes.len());
        assert_eq!(tail.close.is_some(), matches!(whole.end, SegmentEnd::Sealed { .. }), "{} bytes", bytes.len());
    }
}

#[test]
fn a_segment_says_until_when_it_recorded() {
    let at = |ns: i64| UnixNanos(header().start.0 + ns);
    let usage = Usage { up_packets: 1, up_bytes: 40, ..Usage::default() };
    let mut writer = SegmentWriter::create(Vec::new(), &header()).unwrap();
    let mut to = Vec::new();
    let mut look = |writer: &SegmentWriter<Vec<u8>>| {
        let (tail, whole) = tail_and_whole(writer.get_ref()).unwrap();
        assert_eq!(tail.recorded_to, whole.recorded_to);
        to.push(whole.recorded_to.map(|to| to.since(header().start)));
    };
    look(&writer);
    writer.usage(&flow(1, false), at(0), usage).unwrap();
    writer.recorded_to(at(700_000_000));
    writer.commit().unwrap();
    look(&writer);
    // The rest of that interval.
    writer.usage(&flow(1, false), at(0), usage).unwrap();
    writer.commit().unwrap();
    look(&writer);
    writer.usage(&flow(1, false), at(2 * SECOND), usage).unwrap();
    writer.recorded_to(at(1_900_000_000)); // of the interval before: what its last packets are is not known
    writer.commit().unwrap();
    writer.recorded_to(at(9 * SECOND)); // nothing to say it in
    look(&writer);
    let close = SegmentClose { recorded_to: Some(at(3_250_000_000)), ..SegmentClose::default() };
    let bytes = writer.close(&close).unwrap().0;
    let (tail, whole) = tail_and_whole(&bytes).unwrap();
    assert_eq!(whole.end, SegmentEnd::Sealed { records: 5 });
    assert_eq!((tail.close.as_ref(), &whole.close), (Some(&close), &close));
    to.push(whole.recorded_to.map(|to| to.since(header().start)));
    // Its end block says it whatever became of what lies before.
    let mut damaged = bytes.clone();
    let middle = damaged.len() - damaged.len() / 4;
    damaged[middle] ^= 1;
    assert!(SegmentTail::read(&mut io::Cursor::new(&damaged)).unwrap() == tail);
    assert_eq!(to, [None, Some(700_000_000), Some(SECOND), Some(1_900_000_000), Some(3_250_000_000)]);
}

#[test]
fn a_hostile_file_has_some_tail_in_bounded_time() {
    let (mut bytes, head) = (sample().0, SegmentHeader::read(&mut sample().0.as_slice()).unwrap().1 as usize);
    // Block headers without a payload, one after the other, 8 MB of them.
    bytes.truncate(head);
    for sequence in 0..600_000_u32 {
        bytes.extend(block_of(&[], sequence));
    }
    let tail = SegmentTail::read(&mut io::Cursor::new(&bytes)).unwrap();
    assert_eq!((tail.recorded_to, tail.close), (None, None));
}

#[test]
fn flipping_any_byte_never_gives_another_record_or_a_seal() {
    let (whole, records) = sample();
    for place in 0..whole.len() {
        for bit in [0x01, 0x80, 0xff] {
            let mut flipped = whole.clone();
            flipped[place] ^= bit;
            let Some((kept, report)) = read(&flipped) else {
                continue;
            };
            assert!(!matches!(report.end, SegmentEnd::Sealed { .. }), "byte {place}: sealed");
            assert!(records.starts_with(&kept), "byte {place}: another record");
        }
    }
}

#[test]
fn after_damage_reading_goes_on_at_the_next_group() {
    let (whole, records) = sample_of_groups(200_000);
    let mut damaged = whole.clone();
    damaged[1000] ^= 4;
    let (kept, report) = read(&damaged).unwrap();
    assert!(kept.len() > 60_000 && kept.len() < records.len(), "{} records", kept.len());
    assert!(records.ends_with(&kept[kept.len() - 20_000..]));
    assert!(matches!(report.end, SegmentEnd::Damaged { at, .. } if at < 1000), "{:?}", report.end);
    assert_eq!(report.damage.len(), 1);
    assert!(report.damage[0].after > report.damage[0].before);
    assert_eq!(report.len_bytes, whole.len() as u64);
}

/// A file that another program writes.
#[derive(Clone, Default)]
struct Growing(std::rc::Rc<std::cell::RefCell<(Vec<u8>, usize)>>);

impl io::Read for Growing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut file = self.0.borrow_mut();
        let (bytes, at) = &mut *file;
        let n = (&bytes[*at..]).read(into)?;
        *at += n;
        Ok(n)
    }
}

#[test]
fn who_follows_a_segment_gets_each_record_once_whatever_the_steps_in_which_it_grows() {
    let (whole, records) = sample();
    for step in [1, 7, 39, 40, 41, 1_000, whole.len()] {
        let file = Growing::default();
        let mut keep = Keep::default();
        let mut reader: Option<SegmentReader<Growing>> = None;
        for piece in whole.chunks(step) {
            file.0.borrow_mut().0.extend(piece);
            if reader.is_none() && SegmentReader::open(file.clone()).is_err() {
                file.0.borrow_mut().1 = 0;
                continue;
            }
            let reader = reader.get_or_insert_with(|| {
                file.0.borrow_mut().1 = 0;
                let mut reader = SegmentReader::open(file.clone()).unwrap();
                reader.follow();
                reader
            });
            while reader.next_time().unwrap().is_some() {
                reader.deliver_next(&mut keep).unwrap();
            }
        }
        let reader = reader.unwrap();
        assert!(reader.is_over(), "step {step}");
        assert!(matches!(reader.into_report().end, SegmentEnd::Sealed { .. }), "step {step}");
        assert_eq!(keep.0, records, "step {step}");
    }
}

#[test]
fn who_stops_following_learns_how_the_segment_ended() {
    let (whole, _) = sample();
    let mut reader = SegmentReader::open(&whole[..whole.len() - 3]).unwrap();
    reader.follow();
    while reader.next_time().unwrap().is_some() {
        reader.deliver_next(&mut Keep::default()).unwrap();
    }
    assert!(!reader.is_over());
    reader.stop_following();
    assert_eq!(reader.next_time().unwrap(), None);
    assert!(matches!(reader.into_report().end, SegmentEnd::Torn { .. }));
}

/// Where each block of a segment begins, and the end of the last one; and which begin a group.
fn blocks_of(whole: &[u8]) -> Vec<(usize, bool)> {
    let mut at = SegmentHeader::read(&mut &whole[..]).unwrap().1 as usize;
    let mut found = Vec::new();
    while at < whole.len() {
        let (block, head_len) = layout().decode(&whole[at..]).unwrap().unwrap();
        found.push((at, block.flags & FRESH != 0 && block.block_type == BlockType::Records));
        at += head_len + block.stored_len as usize;
    }
    found.push((at, false));
    found
}

#[test]
fn who_follows_goes_on_after_damage_with_the_next_group_whatever_the_steps() {
    let (whole, records) = sample_of_groups(200_000);
    let blocks = blocks_of(&whole);
    let groups: Vec<usize> = (0..blocks.len()).filter(|n| blocks[*n].1).collect();
    assert!(groups.len() >= 3 && groups[1] > 2, "{groups:?}");
    // The second block is damaged: the rest of its group is lost, and nothing else.
    let mut bad = whole.clone();
    bad[blocks[1].0 + Layout::MAX_LEN] ^= 1;
    let (expected, report) = read(&bad).unwrap();
    assert!(expected.len() < records.len() && records.ends_with(&expected[expected.len() - 1..]));
    let [damage] = &report.damage[..] else { panic!("{:?}", report.damage) };
    assert_eq!((damage.from, damage.to), (blocks[1].0 as u64, blocks[groups[1]].0 as u64));
    let by_block: Vec<usize> = blocks.windows(2).map(|b| b[1].0 - b[0].0).collect();
    let steps = [vec![997; bad.len() / 997 + 1], by_block];
    for (n, steps) in steps.into_iter().enumerate() {
        let file = Growing::default();
        let start = blocks[0].0;
        file.0.borrow_mut().0.extend(&bad[..start]);
        let mut reader = SegmentReader::open(file.clone()).unwrap();
        reader.follow();
        let (mut keep, mut at) = (Keep::default(), start);
        for step in steps {
            let end = (at + step).min(bad.len());
            file.0.borrow_mut().0.extend(&bad[at..end]);
            at = end;
            while reader.next_time().unwrap().is_some() {
                reader.deliver_next(&mut keep).unwrap();
            }
        }
        assert!(reader.is_over(), "way {n}");
        assert_eq!(keep.0, expected, "way {n}");
        assert_eq!(reader.damage(), report.damage, "way {n}");
        let followed = reader.into_report();
        assert_eq!((followed.damaged_bytes, followed.end), (report.damaged_bytes, report.end.clone()), "way {n}");
    }
}

#[test]
fn a_group_after_blocks_that_are_missing_is_read() {
    let (whole, records) = sample_of_groups(130_000);
    let blocks = blocks_of(&whole);
    let second = blocks.iter().skip(1).find(|block| block.1).unwrap().0;
    // A block, or more, was cut out right before a group begins.
    let before = blocks.iter().rev().find(|block| block.0 < second).unwrap().0;
    let cut = [&whole[..before], &whole[second..]].concat();
    let (kept, report) = read(&cut).unwrap();
    let lost = records.len() - kept.len();
    assert!(lost > 0 && lost < records.len() / 2, "{lost} of {}", records.len());
    assert_eq!(kept.last(), records.last());
    let [damage] = &report.damage[..] else { panic!("{:?}", report.damage) };
    assert_eq!((damage.from, damage.to, report.damaged_bytes), (before as u64, before as u64, 0));
    assert!(damage.before.is_some() && damage.after.is_some());
}

#[test]
fn a_block_of_another_segment_is_refused() {
    let (whole, records) = sample();
    let other = SegmentHeader { segment: [8; 16], ..header() };
    let start = SegmentHeader::read(&mut whole.as_slice()).unwrap().1 as usize;
    let mut mixed = other.encode();
    mixed.extend(&whole[start..]);
    let (kept, report) = read(&mixed).unwrap();
    assert!(kept.is_empty() && !records.is_empty());
    assert!(matches!(report.end, SegmentEnd::Damaged { .. }));
}

/// Takes a number of bytes and then fails, as a full disk does.
#[derive(Debug)]
struct Limited {
    taken: Vec<u8>,
    left: usize,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.left);
        if n == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left -= n;
        self.taken.extend(&bytes[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_write_that_fails_anywhere_is_reported_and_what_was_written_stays_readable() {
    let (whole, records) = sample();
    for left in 0..whole.len() {
        let mut disk = Limited { taken: Vec::new(), left };
        let error = write_to(&mut disk, &records).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.taken.len(), left);
        if let Some((kept, _)) = read(&disk.taken) {
            assert!(records.starts_with(&kept), "{left} bytes");
        }
    }
}

#[test]
fn a_name_with_more_addresses_than_a_record_holds_goes_into_several() {
    let mut seen = answer(header().start);
    seen.addresses = (0..10_000u32)
        .map(|i| AnswerAddress { address: std::net::Ipv4Addr::from(i).into(), ttl_s: i, record: RecordKind::A })
        .collect();
    let all = seen.addresses.clone();
    let bytes = write_to(Vec::new(), &[Record::Name(flow(1, false), seen)]).unwrap().0;
    let (kept, report) = read(&bytes).unwrap();
    assert_eq!(report.end, SegmentEnd::Sealed { records: 3 });
    let back: Vec<AnswerAddress> = kept
        .iter()
        .flat_map(|r| match r {
            Record::Name(_, seen) => seen.addresses.clone(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(back, all);
}

#[test]
fn a_file_made_of_false_block_starts_is_read_in_bounded_time() {
    let mut bytes = header().encode();
    let mut block = [0u8; 8];
    block[..4].copy_from_slice(b"IMBK");
    block[4] = 1;
    for _ in 0..300_000 {
        bytes.extend(block);
    }
    let report = read(&bytes).unwrap().1;
    assert!(matches!(report.end, SegmentEnd::Damaged { .. }));
}

fn layout() -> Layout {
    Layout::of(&header())
}

/// A block with this payload, checksum and all.
fn block_of(payload: &[u8], sequence: u32) -> Vec<u8> {
    let head = BlockHeader {
        block_type: BlockType::Records,
        flags: FRESH,
        stored_len: payload.len() as u32,
        records: None,
        first_ts: header().start,
        sequence,
        group: None,
        crc: 0,
    };
    [head.encode(layout(), &header().segment, payload).bytes(), payload].concat()
}

/// A segment of one block with this payload.
fn with_payload(payload: &[u8]) -> Vec<u8> {
    [header().encode(), block_of(payload, 0)].concat()
}

/// Which lists a payload has.
fn has(lists: &[u16]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(&mut out, lists.iter().fold(0, |all, list| all | u64::from(*list)));
    out
}

#[test]
fn the_report_counts_only_what_was_delivered() {
    let mut payload = has(&[lists::USAGE]);
    payload.extend([1, 14, 0x55, 60, 60]); // a usage row of flow 7, which is not defined
    let (kept, report) = read(&with_payload(&payload)).unwrap();
    assert!(kept.is_empty());
    assert_eq!((report.records, report.packets, report.bytes), (0, 0, 0));
    let SegmentEnd::Damaged { cause, .. } = report.end else { panic!("{:?}", report.end) };
    assert_eq!(cause, block::BlockError::Content { what: "flow index" });
}

#[test]
fn shared_endings_do_not_multiply_a_payload_beyond_bounds() {
    let mut payload = has(&[lists::NAMES]);
    varint::put(&mut payload, 150_001);
    varint::put(&mut payload, 1000);
    payload.extend([b'x'; 1000]);
    payload.push(0);
    for _ in 0..150_000 {
        payload.extend([1, b'y', 1]); // and the last 1,000 bytes of the first name
        varint::put(&mut payload, 1000);
    }
    let SegmentEnd::Damaged { cause, .. } = read(&with_payload(&payload)).unwrap().1.end else { panic!() };
    assert_eq!(cause, block::BlockError::Content { what: "more text of names than any writer's" });
}

#[test]
fn names_made_to_share_endings_stay_within_what_a_reader_takes() {
    let ending = format!("{}.test", "x.".repeat(480));
    let records: Vec<Record> = (0..40_000)
        .map(|i| {
            let name = Name::from_presentation(&format!("{i:x}.{ending}")).unwrap();
            Record::Name(flow(1, false), NameSeen { name, chain: vec![], addresses: vec![], ..answer(header().start) })
        })
        .collect();
    let whole = write_to(Vec::new(), &records).unwrap().0;
    assert!(whole.len() < 1 << 20, "{} bytes: endings are not shared", whole.len());
    let (kept, report) = read(&whole).unwrap();
    assert_eq!(report.end, SegmentEnd::Sealed { records: 40_000 });
    assert!(kept == records);
}

proptest! {
    #[test]
    fn random_bytes_after_a_good_header_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..600)) {
        _ = SegmentTail::read(&mut io::Cursor::new([header().encode(), tail.clone()].concat()));
        let mut bytes = header().encode();
        bytes.extend(tail);
        read(&bytes);
    }

    /// A correct checksum over hostile content: the content checks must hold alone.
    #[test]
    fn hostile_content_under_a_correct_checksum_never_panics(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        read(&with_payload(&payload));
    }

    /// Any flow, name and amount comes back, in however many blocks, whatever was defined before.
    #[test]
    fn what_is_encoded_is_decoded(records in proptest::collection::vec(record(), 0..60), commit_at in 0..60_usize) {
        let mut writer = SegmentWriter::create(Vec::new(), &header()).unwrap();
        for (n, record) in records.iter().enumerate() {
            match record {
                Record::Name(flow, seen) => writer.name(flow, seen).unwrap(),
                Record::Usage(flow, interval, usage) => writer.usage(flow, *interval, *usage).unwrap(),
                Record::Count(ts, count) => writer.counts(*ts, &[*count]).unwrap(),
            }
            if n % 7 == commit_at {
                writer.commit().unwrap();
            }
        }
        let bytes = writer.finish().unwrap().0;
        let (read_back, report) = read(&bytes).unwrap();
        prop_assert_eq!(report.end, SegmentEnd::Sealed { records: records.len() as u64 });
        // A block has its names before its usage and counts.
        for kind in 0..3 {
            let of = |all: &[Record]| all.iter().filter(|record| kind_of(record) == kind).cloned().collect::<Vec<_>>();
            prop_assert_eq!(of(&read_back), of(&records));
        }
    }
}

fn kind_of(record: &Record) -> u8 {
    match record {
        Record::Name(..) => 0,
        Record::Usage(..) => 1,
        Record::Count(..) => 2,
    }
}

/// A record of one of a few flows that keep their facts, some of them named.
fn record() -> impl Strategy<Value = Record> {
    let amount = || prop_oneof![0..20_u64, 0..=MAX_AMOUNT];
    let at = prop_oneof![-5..5_i64, -5_000..5_000_000_000_i64];
    let ts = (at, 0..1_000_000_i64).prop_map(|(second, us)| UnixNanos(header().start.0 + second * SECOND + us * 1_000));
    let usage =
        (amount(), amount(), amount(), amount()).prop_map(|(up_packets, down_packets, up_bytes, down_bytes)| Usage {
            up_packets,
            down_packets,
            up_bytes,
            down_bytes,
        });
    (0..9_u64, ts, usage, 0..6_u8).prop_map(|(number, ts, usage, kind)| {
        // Numbers with distances of one and others; of odd ones the name is known from the first
        // record on.
        let named = number % 2 == 1;
        let flow = Flow { interface: number as u32 / 4, ..flow(number + number / 3 * 1_000_000_007, named) };
        match kind {
            0..=2 => Record::Usage(flow, ts.floor_to(SECOND), usage),
            3 if named => {
                Record::Name(flow, NameSeen { kind: NameKind::Sni, chain: vec![], addresses: vec![], ..answer(ts) })
            }
            3 | 4 => Record::Name(flow, answer(ts)),
            _ => Record::Count(
                ts,
                Count { counter: Counter::KernelDropped, packets: usage.up_packets, bytes: usage.up_bytes },
            ),
        }
    })
}

#[test]
fn a_statement_that_is_called_often_has_a_chain_of_bounded_length() {
    let mut payload = has(&[lists::NAMES, lists::STATEMENTS]);
    payload.extend([1, 1, b'x', 0]);
    payload.push(1);
    payload.extend([NameKind::Dns as u8, 0, 65]);
    payload.extend([0; 66]);
    let SegmentEnd::Damaged { cause, .. } = read(&with_payload(&payload)).unwrap().1.end else { panic!() };
    assert_eq!(cause, block::BlockError::Content { what: "a chain longer than any writer's" });
}

#[test]
fn a_list_that_no_reader_knows_is_damage() {
    let mut payload = Vec::new();
    varint::put(&mut payload, 1 << 11);
    let SegmentEnd::Damaged { cause, .. } = read(&with_payload(&payload)).unwrap().1.end else { panic!() };
    assert_eq!(cause, block::BlockError::Content { what: "a list that is not known" });
}

#[test]
fn times_at_both_ends_of_what_a_time_can_be_come_back() {
    let usage = Usage { up_packets: 1, up_bytes: 40, ..Usage::default() };
    for start in [i64::MIN / 2, 0, i64::MAX / 2] {
        for ns in [i64::MIN + 10 * SECOND, -1, 0, i64::MAX - 10 * SECOND] {
            let ts = UnixNanos(ns).floor_to(SECOND);
            let of = SegmentHeader { start: UnixNanos(start), ..header() };
            let mut writer = SegmentWriter::create(Vec::new(), &of).unwrap();
            writer.usage(&flow(1, false), ts, usage).unwrap();
            let (kept, _) = read(&writer.finish().unwrap().0).unwrap();
            assert!(matches!(kept[..], [Record::Usage(_, at, _)] if at == ts), "{start} {ns}");
        }
    }
}
