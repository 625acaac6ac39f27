//! A capture file to its end, through the meter and a segment: the books balance.

use crate::books::Books;
use imon_common::capture_file::CaptureReader;

/// One input.
pub fn run(data: &[u8]) {
    let Ok(mut reader) = CaptureReader::new(data) else { return };
    let mut books = Books::default();
    let mut packets = 0;
    while let Ok(Some(packet)) = reader.next_packet() {
        packets += 1;
        assert!(packet.data.len() <= data.len());
        books.packet(&packet);
    }
    assert_eq!(reader.packets(), packets);
    assert!(reader.offset() <= data.len() as u64);
    assert!(matches!(reader.next_packet(), Ok(None)), "something after the end");
    books.close();
}
