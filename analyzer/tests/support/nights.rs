//! A capture of two nights, in which clocks are set.

use imon_common::capture_file::CaptureReader;

/// The netlab capture as pcapng: in two interfaces with names, in VLANs, and stretched over two
/// nights in which clocks are set.
pub fn nights() -> Vec<u8> {
    let packed = std::fs::read(super::testdata("netlab/browse-lan.pcap.gz")).unwrap();
    let mut reader = CaptureReader::new(flate2::read::MultiGzDecoder::new(packed.as_slice())).unwrap();
    let mut packets: Vec<(i64, Vec<u8>)> = Vec::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        packets.push((packet.ts.0, packet.data.to_vec()));
    }
    let block = |kind: u32, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, &body, &len].concat()
    };
    let interface = |name: &[u8]| {
        let mut name_option = [&[2, 0, name.len() as u8, 0][..], name].concat();
        name_option.resize(name_option.len().next_multiple_of(4), 0);
        block(1, &[&[1, 0, 0, 0, 0, 0, 4, 0][..], &name_option, &[0; 4]].concat())
    };
    let section = block(0x0a0d_0d0a, &[&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[0xff; 8]].concat());
    let mut out = [section, interface(b"eth0"), interface(b"wlan0")].concat();
    let first = packets[0].0;
    // 18 seconds become 30 hours, the last of which lie behind the change of the clock.
    for begin_us in [1_711_828_800_000_000_i64, 1_729_972_800_000_000] {
        // Every second packet is enough, and none of a connection's answers is torn from it.
        for (at, data) in packets.iter().filter(|(_, data)| data.len() > 34) {
            let us = (begin_us + (at - first) / 1_000 * 6_000) as u64;
            let client = data[29].max(data[33]);
            let number = u32::from(client % 3 == 0);
            let mut frame = data.clone();
            if client % 4 == 1 {
                frame.splice(12..12, [0x81, 0, 0x20, 100 + client % 2]);
            }
            let len = frame.len() as u32;
            let words = [number, (us >> 32) as u32, us as u32, len, len];
            let head: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            out.extend(block(6, &[head, frame].concat()));
        }
    }
    out
}
