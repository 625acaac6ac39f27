//! Segments of several recorders, each with its own devices, as `imon-record` writes them.

use super::{flow, segment_header};
use imon_common::flow::Flow;
use imon_common::names::{AnswerAddress, Name, NameKind, NameSeen, RecordKind};
use imon_common::observe::{Observer as _, Usage};
use imon_common::segment::{SegmentClose, SegmentHeader, SegmentWriter};
use imon_common::time::{NANOS_PER_SECOND, UnixNanos};
use imon_common::wire::Mac;

/// Two sites share an address, so that some bytes could be of either.
const HOSTS: [(&str, [u8; 4]); 6] = [
    ("www.youtube.com", [203, 0, 113, 1]),
    ("r1.googlevideo.com", [203, 0, 113, 2]),
    ("www.example.org", [203, 0, 113, 3]),
    ("cdn.example.net", [203, 0, 113, 4]),
    ("static.example.com", [203, 0, 113, 4]),
    ("api.service.co.uk", [203, 0, 113, 5]),
];

/// Name and bytes of the segment that recorder `recorder` writes from `from_s` (Unix seconds) for
/// so many hours: a flow to each host and one to an address without a name, every ten minutes.
pub fn segment(recorder: u8, sequence: u8, from_s: i64, hours: i64) -> (String, Vec<u8>) {
    let at = |second: i64| UnixNanos((from_s + second) * NANOS_PER_SECOND);
    let id = |sequence: u8| [recorder, sequence, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
    let header = SegmentHeader {
        run: [recorder; 16],
        boot: [0xb0; 16],
        monotonic_start_ns: (1_000_000 + u64::from(sequence)) * 1_000_000_000,
        before: sequence.checked_sub(1).map_or([0; 16], id),
        interface: format!("eth{recorder}"),
        ..segment_header(id(sequence), [recorder; 16], sequence.into(), at(0))
    };
    let mut writer = SegmentWriter::create(Vec::new(), &header).unwrap();
    let mut number = 0;
    for minute in (0..hours * 60).step_by(10) {
        for (nth, (name, server)) in HOSTS.iter().copied().chain([("", [203, 0, 113, 99])]).enumerate() {
            number += 1;
            let (device, start) = (1 + (nth as u8 + recorder) % 3, at(minute * 60 + nth as i64));
            let flow = Flow {
                client: [192, 168, recorder, device].into(),
                server: server.into(),
                client_port: 50_000 + number as u16 % 10_000,
                client_mac: Some(Mac([2, 0, 0, 0, recorder, device])),
                ..flow(number, start)
            };
            if !name.is_empty() {
                let asked =
                    Flow { server_port: 53, proto: 17, server: [192, 168, recorder, 254].into(), ..flow.clone() };
                let answer = AnswerAddress { address: server.into(), ttl_s: 300, record: RecordKind::A };
                let seen = NameSeen {
                    ts: start,
                    kind: NameKind::Dns,
                    name: Name::from_host(name.as_bytes()).unwrap(),
                    chain: Vec::new(),
                    addresses: vec![answer],
                    asker_is_server: false,
                    relayed: false,
                };
                writer.name(&Flow { number: 100_000 + number, ..asked }, &seen).unwrap();
            }
            let bytes = 1_000 * (1 + nth as u64) + u64::from(recorder) * 100 + u64::from(sequence);
            let usage = Usage { up_packets: 2, down_packets: 3, up_bytes: bytes / 10, down_bytes: bytes };
            writer.usage(&flow, start, usage).unwrap();
        }
    }
    let close = SegmentClose { recorded_to: Some(at(hours * 3_600)), ..SegmentClose::default() };
    (format!("{}.seg", header.file_stem()), writer.close(&close).unwrap().0)
}

/// The id of a recorder as people see it.
pub fn id(recorder: u8) -> String {
    let digits = format!("{recorder:02x}").repeat(16);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
